"""Keras's guides as functions of the library: each runs on Keras and on fastnn with one result.

A program gets the library as `keras`, starts every model from `fixed` weights, does not shuffle,
and returns what is compared: numbers, arrays, texts, and lists and dicts of them.
"""

import contextlib
import io
import os

import numpy as np

__all__ = ["PROGRAMS"]


def values(shape, scale=1.0):
    """Numbers of that shape that are the same everywhere."""
    count = int(np.prod(shape)) if len(shape) else 1
    numbers = np.sin(np.arange(count) * 12.9898 + 0.5) * scale
    return numbers.reshape(tuple(shape)).astype(np.float32)


def fixed(model):
    """The model with weights that depend on their shapes alone."""
    state = model.get_weights()
    model.set_weights([values(w.shape, 0.5) if w.ndim > 1 else w for w in state])
    return model


def printed(action):
    """What the action prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        action()
    return [line.rstrip() for line in out.getvalue().splitlines()]


RNG = np.random.default_rng(0)
X = RNG.random((64, 6)).astype("float32")
SUM = X.sum(axis=1, keepdims=True)
LABELS = RNG.integers(0, 3, 64)
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
FIT = {"epochs": 2, "batch_size": 16, "shuffle": False, "verbose": 0}


def sequential_guide(keras):
    model = keras.Sequential(name="my_sequential")
    model.add(keras.Input(shape=(6,)))
    model.add(keras.layers.Dense(5, activation="relu", name="first"))
    model.add(keras.layers.Dense(4, name="second"))
    dropped = model.pop()
    model.add(keras.layers.Dense(3, name="third"))
    fixed(model)
    features = keras.Model(model.inputs[0], [layer.output for layer in model.layers])
    return {
        "dropped": dropped.name, "names": [layer.name for layer in model.layers],
        "shapes": [model.input_shape, model.output_shape], "summary": printed(model.summary),
        "features": features(X[:3]), "paths": [w.path for w in model.weights],
    }  # fmt: skip


def functional_guide(keras):
    inputs = keras.Input(shape=(6,), name="digits")
    x = keras.layers.Dense(8, activation="relu", name="d1")(inputs)
    x = keras.layers.Dense(8, activation="relu", name="d2")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, name="out")(x), name="mnist_model")
    fixed(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.RMSprop(), loss, metrics=["accuracy"])
    history = model.fit(X, LABELS, validation_split=0.25, **FIT)
    model.save("m.keras")
    again = keras.models.load_model("m.keras")
    return {
        "history": history.history, "epochs": history.epoch, "summary": printed(model.summary),
        "scores": model.evaluate(X, LABELS, verbose=0), "again": again.predict(X[:3], verbose=0),
    }  # fmt: skip


def residual_net(keras):
    inputs = keras.Input(shape=(6,), name="x")
    one = keras.layers.Dense(4, activation="relu", name="one")(inputs)
    two = keras.layers.Dense(4, activation="relu", name="two")(one)
    both = keras.layers.add([two, one], name="both")
    normed = keras.layers.BatchNormalization(name="normed")(both)
    again = keras.layers.add([normed, both], name="again")
    model = fixed(keras.Model(inputs, keras.layers.Dense(3, name="out")(again), name="toy"))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("rmsprop", loss, metrics=["acc"])
    return {
        "history": model.fit(X, LABELS[:, None], validation_split=0.25, **FIT).history,
        "summary": printed(model.summary), "out": model.predict(X[:4], verbose=0),
    }  # fmt: skip


def nested_autoencoder(keras):
    start = keras.Input(shape=(2, 3), name="img")
    flat = keras.layers.Flatten(name="flat")(start)
    encoder = keras.Model(start, keras.layers.Dense(2, name="code")(flat), name="encoder")
    code = keras.Input(shape=(2,), name="encoded")
    wide = keras.layers.Dense(6, activation="sigmoid", name="wide")(code)
    decoder = keras.Model(code, keras.layers.Reshape((2, 3), name="shape")(wide), name="decoder")
    image = keras.Input(shape=(2, 3), name="image")
    model = fixed(keras.Model(image, decoder(encoder(image)), name="autoencoder"))
    model.compile("adam", "mse")
    images = X.reshape(-1, 2, 3)
    return {
        "history": model.fit(images, images, **FIT).history,
        "summary": printed(lambda: model.summary(expand_nested=True, show_trainable=True)),
        "code": encoder.predict(images[:2], verbose=0),
    }


def several_inputs_and_outputs(keras):
    words, tags = keras.Input((None,), name="words"), keras.Input((6,), name="tags")
    embedded = keras.layers.Embedding(20, 4, name="table")(words)
    mean = keras.layers.Lambda(lambda t: keras.ops.mean(t, axis=1), name="mean")(embedded)
    joined = keras.layers.concatenate([mean, tags], name="joined")
    outputs = {
        "priority": keras.layers.Dense(1, name="priority")(joined),
        "department": keras.layers.Dense(3, name="department")(joined),
    }
    model = fixed(keras.Model([words, tags], outputs))
    model.compile(
        keras.optimizers.RMSprop(1e-3),
        {
            "priority": keras.losses.BinaryCrossentropy(from_logits=True),
            "department": keras.losses.CategoricalCrossentropy(from_logits=True),
        },
        loss_weights={"priority": 2.0, "department": 0.2},
        metrics={"department": ["accuracy"]},
    )
    x = {"words": np.arange(64 * 5).reshape(64, 5) % 20, "tags": X}
    y = {"priority": (SUM > 3).astype("float32"), "department": ONE_HOT}
    return {
        "history": model.fit(x, y, **FIT).history,
        "logs": model.evaluate(x, y, verbose=0, return_dict=True),
        "list": model.evaluate(x, y, verbose=0),
        "out": dict(sorted(model.predict(x, verbose=0).items())),
    }


def own_layers(keras):
    class Linear(keras.layers.Layer):
        def __init__(self, units=32, **kwargs):
            super().__init__(**kwargs)
            self.units = units

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1], self.units), name="w")
            self.b = self.add_weight(shape=(self.units,), initializer="zeros", name="b")

        def call(self, inputs):
            return keras.ops.matmul(inputs, self.w) + self.b

        def get_config(self):
            return {**super().get_config(), "units": self.units}

    class Block(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first = Linear(4, name="first")
            self.second = Linear(1, name="second")

        def call(self, inputs):
            hidden = keras.ops.relu(self.first(inputs))
            self.add_loss(0.01 * keras.ops.mean(hidden))
            return self.second(hidden)

    inputs = keras.Input((6,))
    model = fixed(keras.Model(inputs, Block(name="block")(inputs)))
    model.compile("sgd", "mse", metrics=["mae"])
    config = Linear(7, name="seven").get_config()
    again = Linear.from_config(config)
    history = model.fit(X, SUM, **FIT).history
    return {"history": history, "paths": [w.path for w in model.weights],
            "again": [again.units, again.name], "losses": len(model.losses)}  # fmt: skip


def own_loss_and_metric(keras):
    ops = keras.ops

    class Positives(keras.metrics.Metric):
        def __init__(self, name="positives", **kwargs):
            super().__init__(name=name, **kwargs)
            self.total = self.add_variable(shape=(), initializer="zeros", name="total")

        def update_state(self, y_true, y_pred, sample_weight=None):
            best = ops.cast(ops.argmax(y_pred, axis=1), "int32")
            right = ops.equal(ops.cast(ops.reshape(y_true, (-1,)), "int32"), best)
            self.total.assign_add(ops.sum(ops.cast(right, "float32")))

        def result(self):
            return self.total.value

        def reset_state(self):
            self.total.assign(0.0)

    class Smooth(keras.losses.Loss):
        def __init__(self, factor=0.1, name="smooth"):
            super().__init__(name=name)
            self.factor = factor

        def call(self, y_true, y_pred):
            error = ops.mean(ops.square(y_true - y_pred), axis=-1)
            return error + self.factor * ops.mean(ops.square(0.5 - y_pred), axis=-1)

    def net():
        softmax = keras.layers.Dense(3, activation="softmax")
        return fixed(keras.Sequential([keras.Input((6,)), softmax]))

    one, two = net(), net()
    one.compile("adam", Smooth())
    two.compile("rmsprop", "sparse_categorical_crossentropy", metrics=[Positives()])
    return [one.fit(X, ONE_HOT, **FIT).history, two.fit(X, LABELS[:, None], **FIT).history]


def weights_of_samples_and_classes(keras):
    def net():
        softmax = keras.layers.Dense(3, activation="softmax")
        model = fixed(keras.Sequential([keras.Input((6,)), softmax]))
        model.compile(
            "rmsprop",
            "sparse_categorical_crossentropy",
            metrics=["sparse_categorical_accuracy"],
            weighted_metrics=["accuracy"],
        )
        return model

    shares = np.where(LABELS == 1, 2.0, 1.0)
    model = net()
    return [
        net().fit(X, LABELS, class_weight={0: 1.0, 1: 2.0, 2: 0.5}, **FIT).history,
        net().fit(X, LABELS, sample_weight=shares, validation_split=0.25, **FIT).history,
        net().fit(X, LABELS, validation_data=(X, LABELS, shares), validation_freq=2, **FIT).history,
        model.evaluate(X, LABELS, sample_weight=shares, verbose=0),
        [model.train_on_batch(X[:8], LABELS[:8]) for _ in range(3)],
        model.test_on_batch(X[8:16], LABELS[8:16], return_dict=True),
    ]


def datasets_of_batches(keras):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return X[i * 16 : i * 16 + 16], SUM[i * 16 : i * 16 + 16]

    def forever():
        while True:
            yield from (Batches()[i] for i in range(4))

    model = fixed(keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)]))
    model.compile("sgd", "mse")
    return [
        model.fit(Batches(), epochs=2, validation_data=Batches(), verbose=0, shuffle=False).history,
        model.fit(forever(), epochs=2, steps_per_epoch=3, verbose=0, shuffle=False).history,
        model.evaluate(Batches(), verbose=0), model.predict(Batches(), verbose=0),
    ]  # fmt: skip


def every_hook(keras):
    calls = []

    class Watch(keras.callbacks.Callback):
        pass

    def hook(name):
        def method(self, *at, logs=None):
            given = [a for a in at if isinstance(a, dict)]
            keys = sorted(logs or (given[0] if given else {}))
            calls.append([name, *(a for a in at if isinstance(a, int)), keys])

        return method

    for kind in ("train", "test", "predict"):
        for part in ("begin", "end", "batch_begin", "batch_end"):
            setattr(Watch, f"on_{kind}_{part}", hook(f"on_{kind}_{part}"))
    Watch.on_epoch_begin, Watch.on_epoch_end = hook("on_epoch_begin"), hook("on_epoch_end")
    model = fixed(keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)]))
    model.compile("sgd", "mse", metrics=["mae"])
    model.fit(X, SUM, validation_split=0.5, callbacks=[Watch()], **FIT)
    model.evaluate(X, SUM, callbacks=[Watch()], verbose=0)
    model.predict(X, callbacks=[Watch()], verbose=0)
    return calls


def callbacks_that_decide(keras):
    model = fixed(keras.Sequential([keras.Input((6,)), keras.layers.Dense(8, "relu"),
                                    keras.layers.Dense(1)]))  # fmt: skip
    model.compile(keras.optimizers.Adam(0.05), "mse", metrics=["mae"])
    chosen = [
        keras.callbacks.EarlyStopping("val_loss", 1e-2, 2, verbose=1, restore_best_weights=True),
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, verbose=1),
        keras.callbacks.ModelCheckpoint("m{epoch}.keras", save_best_only=True, verbose=1),
        keras.callbacks.CSVLogger("log.csv"),
    ]
    settings = {**FIT, "epochs": 30}
    history = {}

    def fit():
        fitted = model.fit(X, SUM, validation_split=0.25, callbacks=chosen, **settings)
        history.update(fitted.history)

    texts = printed(fit)
    with open("log.csv") as log:
        head, *rows = log.read().split()
    return {
        "history": history, "keys": list(history), "texts": texts, "head": head,
        "rows": [[float(c) for c in row.split(",")] for row in rows],
        "files": sorted(os.listdir(".")), "out": model.predict(X[:3], verbose=0),
    }  # fmt: skip


def transfer_learning(keras):
    layers = [keras.layers.Dense(n, activation="relu", name=f"b{n}") for n in (5, 4)]
    base = fixed(keras.Sequential([keras.Input((6,)), *layers], name="base"))
    base.trainable = False
    inputs = keras.Input((6,), name="start")
    scaled = keras.layers.Rescaling(2.0, offset=-1.0, name="scaled")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="top")(base(scaled)), name="whole")
    fixed(model)
    before = [w.copy() for w in base.get_weights()]
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    frozen = model.fit(X, SUM > 3, **FIT).history
    table = printed(lambda: model.summary(show_trainable=True))
    kept = all(np.array_equal(a, b) for a, b in zip(before, base.get_weights(), strict=True))
    base.trainable = True
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    tuned = model.fit(X, SUM > 3, **FIT).history
    counts = [len(model.trainable_weights), len(model.non_trainable_weights)]
    return {"frozen": frozen, "tuned": tuned, "kept": kept, "counts": counts, "table": table}


def registered_classes_in_files(keras):
    @keras.saving.register_keras_serializable(package="Own")
    class Scale(keras.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, inputs):
            return inputs * self.factor

        def get_config(self):
            return {**super().get_config(), "factor": self.factor}

    @keras.saving.register_keras_serializable(package="Own", name="squared")
    def squared(x):
        return x**2

    inputs = keras.Input((6,))
    outputs = keras.layers.Dense(2, activation=squared)(Scale(0.5)(inputs))
    model = fixed(keras.Model(inputs, outputs))
    model.compile("rmsprop", "mse")
    model.fit(X, ONE_HOT[:, :2], **FIT)
    model.save("own.keras")
    again = keras.models.load_model("own.keras")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    json = keras.models.model_from_json(model.to_json())
    return {
        "factor": again.layers[1].factor, "name": keras.saving.get_registered_name(Scale),
        "out": again.predict(X[:3], verbose=0), "copy": copy.predict(X[:3], verbose=0),
        "layers": len(json.layers), "on": again.fit(X, ONE_HOT[:, :2], **FIT).history,
    }  # fmt: skip


def siamese_net(keras):
    ops = keras.ops
    dense = keras.layers.Dense(4, activation="relu", name="d")
    start, left, right = (keras.Input((6,), name=name) for name in ("in", "left", "right"))
    base = keras.Model(start, dense(start), name="base")

    def distance(pair):
        squares = ops.sum(ops.square(pair[0] - pair[1]), axis=1, keepdims=True)
        return ops.sqrt(ops.maximum(squares, keras.backend.epsilon()))

    apart = keras.layers.Lambda(distance, name="apart")([base(left), base(right)])
    model = fixed(keras.Model([left, right], keras.layers.Dense(1, activation="sigmoid")(apart)))

    def contrastive(y_true, y_pred):
        far = ops.square(ops.maximum(1.0 - y_pred, 0))
        return ops.mean((1 - y_true) * ops.square(y_pred) + y_true * far)

    model.compile("rmsprop", contrastive, metrics=["accuracy"])
    same = (LABELS == 1).astype("float32")
    return [model.fit([X, X[::-1]], same, **FIT).history,
            model.predict([X[:3], X[3:6]], verbose=0)]  # fmt: skip


def masks_of_padding(keras):
    ops = keras.ops
    padded = keras.utils.pad_sequences([[7, 6, 2], [3, 8, 5, 1, 9], [4]], padding="post")

    class TemporalMean(keras.layers.Layer):
        def call(self, inputs, mask=None):
            keep = ops.expand_dims(ops.cast(mask, "float32"), -1)
            return ops.sum(inputs * keep, axis=1) / ops.sum(keep, axis=1)

    table = keras.layers.Embedding(10, 4, mask_zero=True)
    inputs = keras.Input((None,), dtype="int32")
    outputs = keras.layers.Dense(1, activation="sigmoid")(TemporalMean()(table(inputs)))
    model = fixed(keras.Model(inputs, outputs))
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return {
        "padded": padded, "mask": np.asarray(table.compute_mask(padded)),
        "history": model.fit(padded, np.array([0, 1, 1]), **FIT).history,
        "short": model.predict(padded[:1, :3], verbose=0),
    }  # fmt: skip


def arithmetic_of_symbolic_tensors(keras):
    ops = keras.ops
    a, b = keras.Input((4,)), keras.Input((4,))
    c = a * 2 + b / 3 - 1
    both = ops.concatenate([ops.relu(-c) ** 2, ops.where(a > b, a, b)], axis=-1)
    part = ops.reshape(both, (-1, 2, 4))[:, 0, :]
    outputs = [c, part, 1 / (1 + ops.abs(a)), a @ ops.ones((4, 2)), a % 2, 3 - a, abs(b)]
    model = keras.Model([a, b], outputs)
    return model.predict([values((3, 4)), values((3, 4), 2.0)], verbose=0)


def regularisers_and_constraints(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, kernel_regularizer="l2", bias_regularizer=keras.regularizers.L2(0.01)),
            layers.Dense(8, kernel_constraint=keras.constraints.MaxNorm(0.5),
                         activity_regularizer=keras.regularizers.L2(1e-3)),
            layers.Dense(4, kernel_constraint="unit_norm", bias_constraint="non_neg"),
        ]
    )  # fmt: skip
    fixed(model).compile(keras.optimizers.SGD(0.1), "mse")
    return [model.fit(X, X[:, :4], **FIT).history, model.get_weights(), len(model.losses)]


def options_of_optimizers(keras):
    results = {}
    options = [{"clipnorm": 0.5}, {"clipvalue": 0.1}, {"global_clipnorm": 0.3},
               {"use_ema": True, "ema_momentum": 0.9}, {"gradient_accumulation_steps": 2},
               {"weight_decay": 0.01}]  # fmt: skip
    rates = keras.optimizers.schedules
    for option in options:
        model = fixed(keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)]))
        model.compile(keras.optimizers.Adam(0.05, **option), "mse")
        model.fit(X, SUM, **FIT)
        results[str(option)] = model.get_weights()
    model = fixed(keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)]))
    model.compile(keras.optimizers.SGD(rates.ExponentialDecay(0.1, 3, 0.9, True)), "mse")
    results["decay"] = model.fit(X, SUM, **FIT).history["loss"]
    results["rate"] = float(model.optimizer.learning_rate)
    results["steps"] = int(model.optimizer.iterations)
    return results


def normalised_then_saved(keras):
    layers = keras.layers
    norm = layers.Normalization()
    norm.adapt(X)
    leaky = layers.LeakyReLU(negative_slope=0.1)
    model = keras.Sequential(
        [keras.Input((6,)), norm, layers.Dense(4, activation=leaky), layers.PReLU(),
         layers.Dense(3), layers.ReLU(max_value=6), layers.Softmax()]
    )  # fmt: skip
    kernels = [w for w in model.get_weights() if w.ndim == 2 and w.shape[0] in (4, 6)]
    model.layers[1].set_weights([values(kernels[0].shape, 0.5), np.zeros(4)])
    model.layers[3].set_weights([values((4, 3), 0.5), np.zeros(3)])
    model.compile("nadam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(X, LABELS, **FIT).history
    model.save("n.keras")
    return [history, keras.models.load_model("n.keras").predict(X[:3], verbose=0)]


PROGRAMS = [
    sequential_guide, functional_guide, residual_net, nested_autoencoder,
    several_inputs_and_outputs, own_layers, own_loss_and_metric, weights_of_samples_and_classes,
    datasets_of_batches, every_hook, callbacks_that_decide, transfer_learning,
    registered_classes_in_files, siamese_net, masks_of_padding, arithmetic_of_symbolic_tensors,
    regularisers_and_constraints, options_of_optimizers, normalised_then_saved,
]  # fmt: skip
