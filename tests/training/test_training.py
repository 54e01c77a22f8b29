"""fit, evaluate, predict: Keras's semantics, data of every kind."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops


def line(**compile_args):
    model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_args})
    return model


def classifier(features=4, classes=3, metrics=("accuracy",)):
    model = fastnn.Sequential(
        [
            fastnn.Input((features,)),
            layers.Dense(16, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=list(metrics))
    return model


def blobs(rng, n=120):
    y = rng.integers(0, 3, n)
    return (np.eye(4)[y] * 2 + rng.normal(size=(n, 4)) * 0.3).astype(np.float32), y


def test_the_line_of_the_article_is_found():
    fastnn.utils.set_random_seed(7)
    x = np.array([1, 2, 3, 4, 5])
    model = fastnn.keras.Sequential([fastnn.keras.layers.Dense(units=1, input_shape=[1])])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    history = model.fit(x, 2 * x, epochs=100, verbose=0)
    assert len(history.history["loss"]) == 100
    assert history.params == {"verbose": 0, "epochs": 100, "steps": 1}
    assert history.epoch == list(range(100))
    assert history.history["loss"][-1] < 0.08
    predicted = model.predict(x, verbose=0)
    assert (predicted.shape, predicted.dtype) == ((5, 1), np.float32)


def test_one_sgd_step_by_hand():
    model = line(optimizer=fastnn.optimizers.SGD(0.01))
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    x = np.arange(1.0, 6.0)
    loss = model.train_on_batch(x, 2 * x)
    assert loss == pytest.approx(44.0)
    assert [w.item() for w in model.get_weights()] == pytest.approx([0.44, 0.12])


def test_logs_are_means_weighted_by_batch_size(rng):
    model = line(optimizer=fastnn.optimizers.SGD(0.0), metrics=["mae"])
    x, y = rng.normal(size=(10, 1)), rng.normal(size=(10, 1))
    logs = model.fit(x, y, batch_size=4, verbose=0).history
    error = model.predict(x, verbose=0) - y
    assert logs["loss"][0] == pytest.approx((error**2).mean(), rel=1e-5)
    assert logs["mae"][0] == pytest.approx(np.abs(error).mean(), rel=1e-5)
    assert model.evaluate(x, y, batch_size=3, verbose=0) == pytest.approx(
        [(error**2).mean(), np.abs(error).mean()], rel=1e-5
    )


def test_every_sample_is_seen_once_per_epoch_and_the_short_batch_is_kept():
    seen = []

    class Spy(fastnn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)

    model = line(optimizer=fastnn.optimizers.SGD(0.0))
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    x = np.arange(10.0)
    logs = model.fit(x, np.zeros(10), batch_size=4, epochs=2, verbose=0, callbacks=[Spy()])
    assert seen == [0, 1, 2, 0, 1, 2]
    assert logs.history["loss"] == pytest.approx([28.5, 28.5])


def test_validation_takes_the_tail_before_shuffling():
    model = line(optimizer=fastnn.optimizers.SGD(0.0))
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    x = np.arange(10.0)
    history = model.fit(x, np.zeros(10), validation_split=0.25, epochs=1, verbose=0).history
    assert list(history) == ["loss", "val_loss"]
    assert history["loss"][0] == pytest.approx((x[:7] ** 2).mean())
    assert history["val_loss"][0] == pytest.approx((x[7:] ** 2).mean())


def test_same_seed_gives_the_same_bits_for_any_number_of_threads(rng):
    x, y = blobs(rng)
    weights = []
    before = fastnn.get_num_threads()
    try:
        for threads in (1, 2, 3):
            fastnn.set_num_threads(threads)
            fastnn.utils.set_random_seed(5)
            model = fastnn.Sequential(
                [
                    fastnn.Input((4,)), layers.Dense(16, activation="relu"),
                    layers.Dropout(0.3), layers.BatchNormalization(), layers.Dense(3),
                ]
            )  # fmt: skip
            model.compile("adam", fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(x, y, epochs=3, verbose=0)
            weights.append(model.get_weights())
    finally:
        fastnn.set_num_threads(before)
    for other in weights[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(weights[0], other, strict=True))


def test_epochs_in_one_call_equal_epochs_one_by_one(rng):
    x, y = blobs(rng)
    results = []
    for callbacks in (None, [fastnn.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: None)]):
        fastnn.utils.set_random_seed(5)
        model = classifier()
        history = model.fit(x, y, epochs=4, verbose=0, callbacks=callbacks)
        results.append((history.history, model.get_weights()))
    assert results[0][0] == results[1][0]
    assert all(np.array_equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))


def test_classifier_learns_and_reports_accuracy(rng):
    x, y = blobs(rng)
    model = classifier()
    history = model.fit(x, y, epochs=30, verbose=0)
    assert list(history.history) == ["accuracy", "loss"]
    assert history.history["accuracy"][-1] > 0.95
    loss, accuracy = model.evaluate(x, y, verbose=0)
    assert accuracy == (model.predict(x, verbose=0).argmax(1) == y).mean()
    assert model.evaluate(x, y, verbose=0, return_dict=True) == {"accuracy": accuracy, "loss": loss}


def test_sample_weights_scale_the_loss_and_class_weights_multiply():
    model = line(optimizer=fastnn.optimizers.SGD(0.0), weighted_metrics=["mae"])
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    x, y = np.ones((2, 1)), np.array([1.0, 0.0])
    logs = model.fit(x, y, sample_weight=np.array([3.0, 1.0]), verbose=0).history
    assert (logs["loss"][0], logs["mae"][0]) == pytest.approx((1.5, 0.75))
    logs = model.fit(x, y, class_weight={1: 10.0}, verbose=0).history
    assert logs["loss"][0] == pytest.approx(5.0)


def test_fit_takes_lists_integers_booleans_and_frames():
    model = line()
    for x in ([1, 2, 3], [[1.0], [2.0], [3.0]], np.array([1, 2, 3], np.uint8), np.ones(3, bool)):
        assert np.isfinite(model.fit(x, [2, 4, 6], verbose=0).history["loss"][0])

    class Frame:
        shape = (3, 1)

        def to_numpy(self):
            return np.array([[1.0], [2.0], [3.0]])

    assert np.isfinite(model.fit(Frame(), [2, 4, 6], verbose=0).history["loss"][0])


def test_generators_datasets_and_iterables_of_batches_train(rng):
    x, y = blobs(rng, 96)

    def generate():
        while True:
            for i in range(0, 96, 32):
                yield x[i : i + 32], y[i : i + 32]

    class Batches(fastnn.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return x[i * 32 : (i + 1) * 32], y[i * 32 : (i + 1) * 32]

    pairs = [(x[i : i + 32], y[i : i + 32]) for i in range(0, 96, 32)]

    class Loader:
        def __iter__(self):
            return iter(pairs)

        def __len__(self):
            return 3

    results = []
    for source, steps in ((generate(), 3), (Batches(), None), (Loader(), None), (x, None)):
        fastnn.utils.set_random_seed(5)
        model = classifier()
        model.fit(
            source, y if source is x else None, epochs=2, steps_per_epoch=steps, verbose=0,
            shuffle=False,
        )  # fmt: skip
        results.append(model.get_weights())
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
    assert model.evaluate(Batches(), verbose=0) == pytest.approx(model.evaluate(x, y, verbose=0))
    assert np.array_equal(model.predict(Loader(), verbose=0), model.predict(x, verbose=0))


def test_initial_epoch_and_validation_frequency(rng):
    x, y = blobs(rng)
    history = classifier().fit(
        x, y, epochs=5, initial_epoch=1, validation_data=(x, y), validation_freq=2, verbose=0
    )
    assert history.epoch == [1, 2, 3, 4]
    assert len(history.history["loss"]) == 4
    assert len(history.history["val_loss"]) == 2


def test_own_train_step_is_traced_and_equals_the_built_in_one(rng):
    class Own(fastnn.Sequential):
        def train_step(self, data):
            x, y = data[0], data[1]

            def loss(weights):
                return ops.mean(fastnn.losses.mean_squared_error(y, self(x, training=True)))

            value, grads = fastnn.value_and_grad(loss)(self.trainable_variables)
            self.optimizer.apply(grads, self.trainable_variables)
            return {"loss": value}

    x = rng.normal(size=(32, 3)).astype(np.float32)
    start = [np.full((3, 1), 0.5, np.float32), np.zeros(1, np.float32)]
    weights = []
    for cls in (Own, fastnn.Sequential):
        model = cls([fastnn.Input((3,)), layers.Dense(1)])
        model.set_weights(start)
        model.compile("sgd", "mse")
        model.fit(x, x[:, :1], epochs=2, verbose=0, shuffle=False)
        weights.append(model.get_weights()[0])
    assert weights[0] == pytest.approx(weights[1], rel=1e-6)


def test_run_eagerly_gives_the_same_numbers(rng):
    x, y = blobs(rng, 64)
    losses = []
    for eager in (False, True):
        fastnn.utils.set_random_seed(3)
        model = classifier()
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=eager)
        losses.append(model.fit(x, y, epochs=2, shuffle=False, verbose=0).history["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_train_and_test_on_batch_give_the_values_of_that_batch(rng):
    x, y = blobs(rng, 32)
    model = classifier()
    first = model.test_on_batch(x, y)
    model.test_on_batch(x[:4], y[:4])
    assert model.test_on_batch(x, y) == first
    assert model.train_on_batch(x, y, return_dict=True)["loss"] == pytest.approx(first[0], rel=1e-5)
    assert model.predict_on_batch(x).shape == (32, 3)


def test_moving_averages_and_seeds_are_part_of_the_step(rng):
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)),
            layers.BatchNormalization(),
            layers.Dropout(0.5, seed=3),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    x = rng.normal(2.0, 1.0, size=(64, 4)).astype(np.float32)
    model.fit(x, x[:, :1], epochs=2, batch_size=32, verbose=0)
    mean = model.layers[0].moving_mean.numpy()
    assert (mean > 0.04).all()
    assert model.layers[1].seed_generator.state.numpy()[2] == 4  # one key a step


def test_metrics_that_are_vectors_are_reported(rng):
    y = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 60)]
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=[fastnn.metrics.F1Score()])
    history = model.fit(y, y, epochs=2, verbose=0).history
    assert np.shape(history["f1_score"]) == (2, 3)


def test_nan_is_announced_with_epoch_and_place():
    model = line()
    x = np.array([1.0, np.nan, 3.0])
    with pytest.warns(UserWarning, match=r"loss is nan in epoch 1; x holds NaN .* in row 1"):
        model.fit(x, x, verbose=0)


def test_penalties_are_part_of_the_loss():
    model = fastnn.Sequential(
        [fastnn.Input((1,)), layers.Dense(1, kernel_regularizer=fastnn.regularizers.L2(0.5))]
    )
    model.compile(fastnn.optimizers.SGD(0.0), "mse")
    model.set_weights([np.full((1, 1), 2.0), np.zeros(1)])
    assert model.evaluate(np.ones((1, 1)), np.full((1, 1), 2.0), verbose=0) == pytest.approx(2.0)


def test_predict_keeps_order_and_does_not_care_for_batches(rng):
    model = classifier()
    x = rng.normal(size=(70, 4)).astype(np.float32)
    whole = model.predict(x, verbose=0)
    assert whole == pytest.approx(model.predict(x, batch_size=7, verbose=0), rel=1e-5, abs=1e-6)
    assert whole[3:4] == pytest.approx(np.asarray(model(x[3:4])), rel=1e-5, abs=1e-6)


def test_logs_are_sorted_by_name_validation_among_them():
    x = np.linspace(0, 1, 32, dtype=np.float32).reshape(16, 2)
    y = (x.sum(1) > 1).astype(np.float32)[:, None]
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1, activation="sigmoid")])
    metrics = [fastnn.metrics.Recall(name="zeta"), fastnn.metrics.F1Score(threshold=0.5, name="f")]
    model.compile("sgd", "binary_crossentropy", metrics=metrics)
    seen = []
    told = fastnn.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(list(logs)))
    history = model.fit(x, y, epochs=1, verbose=0, validation_split=0.25, callbacks=[told])
    want = ["f", "loss", "val_f", "val_loss", "val_zeta", "zeta"]
    assert list(history.history) == seen[0] == want
    assert list(model.evaluate(x, y, verbose=0, return_dict=True)) == ["f", "loss", "zeta"]
