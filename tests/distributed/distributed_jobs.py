"""What the tests of `fastnn.distributed` run on ranks: `python jobs.py NAME FOLDER ARGUMENTS`.

Each job trains and returns arrays; `batch` is the batch of one rank, so that the same job in one
process with as many times the batch is what ranks together have to equal.
"""

import json
import os
import pathlib
import signal
import sys
import threading
import time

import numpy as np

import fastnn
from fastnn import layers

F32 = np.float32


def rows(n=103, width=6, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, width)).astype(F32)
    y = (x[:, :classes] + 0.3 * rng.normal(size=(n, classes))).argmax(1).astype(np.int32)
    return x, y, rng.uniform(0.2, 2.0, n).astype(F32)


def dense(width=6, classes=3, extra=(), **kwargs):
    fastnn.random.set_seed(7)
    return fastnn.Sequential(
        [
            fastnn.Input((width,)),
            layers.Dense(16, activation="relu", **kwargs),
            *extra,
            layers.Dense(classes, activation="softmax"),
        ]
    )


def result(model, history, **more):
    out = {f"history/{k}": np.array(v) for k, v in history.history.items()}
    out |= {f"weight/{i}": v.numpy() for i, v in enumerate(model.weights)}
    return out | {k: np.asarray(v) for k, v in more.items()}


def weighted(batch, n=103):
    """Sample weights, a penalty of weights and of activity, metrics, validation."""
    x, y, w = rows(n)
    model = dense(kernel_regularizer="l2", activity_regularizer=fastnn.regularizers.L1(1e-3))
    model.compile(
        fastnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy",
        metrics=["accuracy"], weighted_metrics=["sparse_categorical_crossentropy"],
    )  # fmt: skip
    history = model.fit(
        x, y, batch, 3, verbose=2, sample_weight=w, validation_data=rows(41, seed=1)
    )
    return result(model, history, predicted=model.predict(x, verbose=0))


def batchnorm(batch, n=61, branches=False):
    """Batch normalisation, also in branches that do not depend on each other."""
    x, y, _ = rows(n, 8)
    fastnn.random.set_seed(3)
    inputs = fastnn.Input((8,))
    norm = layers.BatchNormalization
    h = norm()(layers.Dense(12, use_bias=False)(inputs))
    if branches:
        other = norm()(layers.Dense(5, use_bias=False)(inputs))
        h = layers.Concatenate()([h, other, norm()(inputs)])
    outputs = layers.Dense(3, activation="softmax")(norm()(layers.Activation("relu")(h)))
    model = fastnn.Model(inputs, outputs)
    model.compile(fastnn.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    return result(model, model.fit(x, y, batch, 3, verbose=0, validation_split=0.2))


def images(batch):
    """Convolutions with batch normalisation."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(37, 8, 8, 2)).astype(F32), rng.integers(0, 2, 37)
    fastnn.random.set_seed(3)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 8, 2)),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(fastnn.optimizers.SGD(0.2), "binary_crossentropy", metrics=["AUC"])
    return result(model, model.fit(x, y, batch, 3, verbose=0))


def masked(batch, weighing=False):
    """Sequences of other lengths: the mean is over what is not masked, on all ranks together."""
    rng = np.random.default_rng(2)
    x = rng.integers(1, 9, (45, 7))
    for row, length in zip(x, rng.integers(1, 8, 45), strict=True):
        row[length:] = 0
    y = rng.normal(size=(45, 7, 2)).astype(F32)
    fastnn.random.set_seed(3)
    model = fastnn.Sequential(
        [
            fastnn.Input((7,), dtype="int32"),
            layers.Embedding(9, 5, mask_zero=True),
            layers.LSTM(6, return_sequences=True),
            layers.Dense(2),
        ]
    )
    loss = fastnn.losses.MeanSquaredError(
        reduction="mean_with_sample_weight" if weighing else "sum_over_batch_size"
    )
    model.compile(fastnn.optimizers.SGD(0.1), loss, weighted_metrics=["mae"])
    w = rng.uniform(0, 1, 45).astype(F32) if weighing else None
    return result(model, model.fit(x, y, batch, 3, verbose=0, sample_weight=w))


def summed(batch):
    """A loss that is the sum over the batch."""
    x, y, w = rows(50)
    model = dense()
    loss = fastnn.losses.SparseCategoricalCrossentropy(reduction="sum")
    model.compile(fastnn.optimizers.SGD(0.005), loss)
    return result(model, model.fit(x, y, batch, 3, verbose=0, sample_weight=w))


def scored(batch):
    """Metrics whose states are not sums alone; the ranks see targets of other means."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(70, 5)).astype(F32)
    y = (x[:, :2] + np.arange(70)[:, None]).astype(F32)
    fastnn.random.set_seed(7)
    model = fastnn.Sequential([fastnn.Input((5,)), layers.Dense(2)])
    metrics = [fastnn.metrics.R2Score(), fastnn.metrics.R2Score(None, name="each"), "mae"]
    model.compile(fastnn.optimizers.Adam(0.1), "mse", metrics=metrics)
    w = np.linspace(0.0, 2.0, 70).astype(F32)
    history = model.fit(
        x, y, batch, 3, verbose=0, shuffle=False, sample_weight=w, validation_data=(x[:9], y[:9])
    )
    return result(model, history)


def clipped(batch):
    """The length of the whole gradient is limited after the sum, not that of its parts."""
    x, y, _ = rows(53)
    model = dense()
    model.compile(
        fastnn.optimizers.Adam(0.02, global_clipnorm=0.05, use_ema=True, loss_scale_factor=128.0),
        "sparse_categorical_crossentropy",
    )
    return result(model, model.fit(x, y, batch, 3, verbose=0))


def wide(batch):
    """Gradients that are long enough to be summed each by itself, and in parts."""
    x, y, _ = rows(41)
    fastnn.random.set_seed(7)
    hidden = [layers.Dense(210, activation="tanh", use_bias=False) for _ in range(3)]
    model = fastnn.Sequential([fastnn.Input((6,)), *hidden, layers.Dense(3, "softmax")])
    model.compile(fastnn.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return result(model, model.fit(x, y, batch, 3, verbose=0))


def overlapping(batch):
    """Losses that are ratios of sums over the batch."""
    x, y, _ = rows(52)
    model = dense()
    model.compile(fastnn.optimizers.SGD(0.5), "dice")
    return result(model, model.fit(x, np.eye(3, dtype=F32)[y], batch, 3, verbose=0))


def accumulated(batch):
    """Gradients of several steps are added up before the weights change."""
    x, y, _ = rows(96)
    model = dense()
    model.compile(
        fastnn.optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=3),
        "sparse_categorical_crossentropy",
    )
    return result(model, model.fit(x, y, batch, 3, verbose=0))


def generated(batch, steps=False):
    """Batches of a generator are dealt out to the ranks."""
    n = 80 if steps else 90
    x, y, w = rows(n)

    def batches():
        while True:
            for i in range(0, n, batch):
                yield x[i : i + batch], y[i : i + batch], w[i : i + batch]
            if not steps:
                return

    class Batches:
        def __iter__(self):
            return batches()

    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    per = {"steps_per_epoch": 3} if steps else {}
    held = None if steps else Batches()
    data = batches() if steps else Batches()
    return result(model, model.fit(data, epochs=3, verbose=0, validation_data=held, **per))


def numbered(batch, shuffle=False):
    """A PyDataset: each rank asks for its own batches only."""
    x, y, _ = rows(88)
    asked = []

    class Data(fastnn.utils.PyDataset):
        def __len__(self):
            return -(-88 // batch)

        def __getitem__(self, i):
            asked.append(i)
            return x[i * batch : (i + 1) * batch], y[i * batch : (i + 1) * batch]

    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(Data(), epochs=2, verbose=0, shuffle=shuffle)
    return result(model, history, asked=sorted(asked))


def stepped(batch):
    """Arrays in epochs of so many steps."""
    x, y, _ = rows(70)
    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy")
    history = model.fit(x, y, batch, 4, verbose=0, steps_per_epoch=3)
    return result(model, history)


def eager(batch):
    """Steps that run as they are written."""
    x, y, _ = rows(45)
    model = dense(extra=[layers.BatchNormalization()])
    model.compile(
        fastnn.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"],
        run_eagerly=True,
    )  # fmt: skip
    return result(model, model.fit(x, y, batch, 2, verbose=0, validation_split=0.2))


def own_step(batch):
    """A training step of the user's, with a tape and a log of its own."""
    x, y, _ = rows(45)

    class Own(fastnn.Sequential):
        def train_step(self, data):
            x, y = data
            with fastnn.GradientTape() as tape:
                p = self(x, training=True)
                loss = self.compute_loss(x, y, p)
            grads = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(grads, self.trainable_variables, strict=True))
            return self.compute_metrics(x, y, p) | {"own": loss}

    fastnn.random.set_seed(7)
    model = Own([fastnn.Input((6,)), layers.BatchNormalization(), layers.Dense(3)])
    model.compile(
        fastnn.optimizers.SGD(0.1),
        fastnn.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return result(model, model.fit(x, y, batch, 2, verbose=0))


def on_batches(batch):
    """`train_on_batch` on rows of each rank's own."""
    x, y, _ = rows(64)
    rank, size = fastnn.distributed.rank(), fastnn.distributed.size()
    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    logs = []
    for i in range(0, 64, batch * size):
        at = slice(i + rank * batch, i + (rank + 1) * batch)
        logs.append(model.train_on_batch(x[at], y[at]))
    out = {f"weight/{i}": v.numpy() for i, v in enumerate(model.weights)}
    return out | {"logs": np.array(logs)}


def own_data(batch):
    """Each rank has rows of its own, and not as many."""
    rank = fastnn.distributed.rank()
    x, y, _ = rows(30 + 17 * rank, seed=rank)
    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch, 3, verbose=0, validation_data=(x, y))
    return result(model, history)


def dropped(batch, folder=None, epochs=6, stop=None, freq="epoch"):
    """Dropout, shuffling and a callback with a state; may be cut off and resumed."""
    x, y, _ = rows(60)
    fastnn.random.set_seed(5)
    model = dense(extra=[layers.Dropout(0.4)])
    model.compile(fastnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy")

    def rates(epoch, logs):
        # A condition that a program on one rank does not notice to be wrong.
        if epoch == 1 and fastnn.distributed.rank() > 0:
            model.optimizer.learning_rate = 0.5

    calls = [
        fastnn.callbacks.LambdaCallback(on_epoch_begin=rates),
        fastnn.callbacks.ReduceLROnPlateau("loss", 0.5, 1, min_delta=0.05),
        fastnn.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None),
    ]
    if folder:
        calls.append(
            fastnn.callbacks.BackupAndRestore(folder, save_freq=freq, delete_checkpoint=False)
        )
    if stop is not None:

        class Fail(fastnn.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                if (len(model.history.epoch), batch) == tuple(stop):
                    raise KeyboardInterrupt

        calls.append(Fail())
    try:
        history = model.fit(x, y, batch, epochs, verbose=0, callbacks=calls)
    except KeyboardInterrupt:
        return {}
    rate = float(np.asarray(model.optimizer.learning_rate))
    return result(model, history, rate=rate, files=sorted(os.listdir(folder)) if folder else [])


def stopped(batch, folder):
    """Stops by a value of validation, and saves the best; one rank wants to stop by itself."""
    x, y, _ = rows(80)
    model = dense()
    model.compile(fastnn.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    path = os.path.join(folder, "rank-{epoch}.safetensors")
    calls = [
        fastnn.callbacks.EarlyStopping(patience=1, restore_best_weights=True, min_delta=0.02),
        fastnn.callbacks.ModelCheckpoint(path),
        fastnn.callbacks.CSVLogger(os.path.join(folder, "log.csv")),
    ]
    first = model.fit(x, y, batch, 50, verbose=0, validation_split=0.3, callbacks=calls)

    class Last(fastnn.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1 and fastnn.distributed.rank() == fastnn.distributed.size() - 1:
                self.model.stop_training = True

    second = model.fit(x, y, batch, 50, verbose=0, callbacks=[Last()])
    return result(model, first, second=len(second.epoch), epochs=len(first.epoch))


def averaged(batch):
    """What a layer keeps of the batches it saw is averaged over the ranks."""

    class Seen(layers.Layer):
        def build(self, shape):
            self.seen = self.add_weight((), "zeros", trainable=False)

        def call(self, x, training=False):
            if training:
                self.seen.assign(0.9 * self.seen + 0.1 * fastnn.ops.mean(x))
            return x

    x, y, _ = rows(64)
    fastnn.random.set_seed(1)
    model = fastnn.Sequential([fastnn.Input((6,)), Seen(), layers.Dense(3)])
    model.compile(fastnn.optimizers.SGD(0.0), "mse")
    return result(model, model.fit(x, np.eye(3, dtype=F32)[y], batch, 2, verbose=0, shuffle=False))


# ---- what has to fail ----------------------------------------------------------------------------


def killed(batch, between=True):
    """The last rank is killed in the middle of an epoch: between two steps, or inside one."""
    x, y, _ = rows(200)
    model = dense()
    model.compile("adam", "sparse_categorical_crossentropy")
    if not between:
        model.fit(x, y, batch, 1, verbose=0)
        if fastnn.distributed.rank() == fastnn.distributed.size() - 1:
            threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGKILL)).start()
        model.fit(x, y, batch, 10**9, verbose=0)

    class Kill(fastnn.callbacks.Callback):
        def on_train_batch_end(self, number, logs=None):
            if number == 3 and fastnn.distributed.rank() == fastnn.distributed.size() - 1:
                os.kill(os.getpid(), signal.SIGKILL)

    model.fit(x, y, batch, 100000, verbose=0, callbacks=[Kill()])


def fails(batch, how):
    """One rank goes another way: how each is to end is what the tests look at."""
    rank = fastnn.distributed.rank()
    x, y, _ = rows(40)
    calls = []
    width = 16
    if how == "units" and rank == 1:
        width = 17
    fastnn.random.set_seed(7)
    model = fastnn.Sequential(
        [
            fastnn.Input((6,)),
            layers.Dense(width, activation="tanh" if how == "layer" and rank == 1 else "relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    rate = 0.1 if how == "rate" and rank == 1 else 0.2
    model.compile(fastnn.optimizers.SGD(rate), "sparse_categorical_crossentropy")
    if how == "data" and rank == 1:
        x = x + 1
    if how == "samples" and rank == 1:
        x, y = x[:30], y[:30]
    if how == "batch" and rank == 1:
        batch += 1
    if how == "error":

        class Fail(fastnn.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if epoch == 1 and rank == 1:
                    raise ZeroDivisionError("of rank 1 alone")

        calls.append(Fail())
    if how == "labels" and rank == 1:
        y = y + 1
        fastnn.tracing.ranks.group().own_data = False
    if how == "weights":

        class Change(fastnn.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                if rank == 1:
                    model.layers[0].kernel.assign(model.layers[0].kernel * 2)

        calls.append(Change())
    if how == "ended" and rank == 1:
        return {}
    if how == "helper" and rank == 1:
        fastnn.distributed.all_reduce(np.ones(3))
    if how == "uncaught" and rank == 1:
        raise LookupError("nobody handles this")
    try:
        model.fit(x, y, batch, 3, verbose=0, callbacks=calls)
    except Exception as error:
        print(f"\nrank {rank} got {type(error).__name__}: {error}\n", flush=True)
        if how != "error":
            raise
        raise SystemExit(3) from None
    if how == "evaluate":
        # Only one of them: evaluation and prediction are each rank's own.
        if rank == 0:
            model.evaluate(x, y, verbose=0)
            model.predict(x, verbose=0)
        history = model.fit(x, y, batch, 1, verbose=0)
        return result(model, history)
    return {}


def version(batch):
    """See `main`: one rank says that it is of another version."""
    return {}


def helpers(batch):
    """What programs call themselves."""
    d = fastnn.distributed
    total = d.all_reduce(np.arange(3.0) * (d.rank() + 1))
    mean = d.all_reduce(d.rank(), op="mean")
    d.barrier()
    big = d.all_reduce(np.full(3, 0.1 * (d.rank() + 1), F32))
    said = d.broadcast({"path": "a"} if d.rank() == 0 else None)
    try:
        d.all_reduce(np.zeros(2 + d.rank()))
        error = ""
    except RuntimeError as raised:
        error = str(raised)
    return {"total": total, "mean": mean, "said": said["path"], "error": error, "big": big}


def main():
    name, folder, given = sys.argv[1], pathlib.Path(sys.argv[2]), json.loads(sys.argv[3])
    rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", "0"))
    if given.pop("messages", False):  # as between machines
        fastnn.distributed.shared_team = lambda mpi, comm: None
    if name == "version" and rank == 1:
        fastnn.__dict__["__version__"] = "0.0.0"
    fastnn.distributed.init(own_data=name == "own_data")
    if fastnn.distributed.size() > 1:
        team = fastnn.tracing.ranks.group().team
        assert (team is None) == ("messages" in sys.argv[3])
    np.savez(folder / f"{fastnn.distributed.rank()}.npz", **globals()[name](**given))
    (folder / f"{fastnn.distributed.rank()}.time").write_text(str(time.time()))


if __name__ == "__main__":
    main()
