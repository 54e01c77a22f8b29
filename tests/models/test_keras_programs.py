"""Programs as Keras users write them from memory: models, loops and callbacks put together."""

import numpy as np
import pytest

import fastnn as tf
from fastnn import keras, ops
from fastnn.keras import layers


def test_a_model_of_two_inputs_and_outputs_is_trained_cut_cloned_and_described(rng, capsys):
    a, b = keras.Input((8,), name="a"), keras.Input((4,), name="b")
    x = layers.Concatenate(name="concatenate")(
        [layers.Dense(6, "relu")(a), layers.Dense(3, "tanh")(b)]
    )
    outputs = [
        layers.Dense(1, "sigmoid", name="priority")(x),
        layers.Dense(4, "softmax", name="department")(x),
    ]
    model = keras.Model(inputs=[a, b], outputs=outputs, name="tickets")
    model.compile(
        optimizer=keras.optimizers.RMSprop(1e-3),
        loss={"priority": keras.losses.BinaryCrossentropy(),
              "department": "categorical_crossentropy"},
        loss_weights={"priority": 1.0, "department": 0.2},
        metrics={"priority": ["accuracy"], "department": ["accuracy"]},
    )  # fmt: skip
    inputs = {"a": rng.random((32, 8)), "b": rng.random((32, 4))}
    targets = {
        "priority": rng.integers(0, 2, (32, 1)),
        "department": keras.utils.to_categorical(rng.integers(0, 4, 32), 4),
    }
    history = model.fit(inputs, targets, epochs=2, validation_split=0.25, verbose=0).history
    assert {"priority_loss", "val_department_accuracy"} <= set(history)
    model.summary()
    assert "tickets" in capsys.readouterr().out
    given = [inputs["a"], inputs["b"]]
    cut = keras.Model(model.input, model.get_layer("concatenate").output)
    assert cut.predict(given, verbose=0).shape == (32, 9)
    for other in (
        keras.models.clone_model(model), keras.models.model_from_json(model.to_json())
    ):  # fmt: skip
        other.set_weights(model.get_weights())
        for p, q in zip(
            other.predict(given, verbose=0), model.predict(given, verbose=0), strict=True
        ):
            np.testing.assert_array_equal(p, q)


class Block(layers.Layer):
    """Layers in a list and in a dict."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.steps = [layers.Dense(units, "gelu"), layers.LayerNormalization()]
        self.sides = {"skip": layers.Dense(units)}

    def call(self, x):
        y = x
        for step in self.steps:
            y = step(y)
        return y + self.sides["skip"](x)


class Net(keras.Model):
    """Blocks in a list."""

    def __init__(self, depth=2, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [Block(8) for _ in range(depth)]
        self.head = layers.Dense(1)

    def call(self, x, training=None):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_nested_lists_of_layers_are_trained_frozen_and_saved(rng, tmp_path):
    x = rng.random((40, 5)).astype("f")
    model = Net()
    model.compile("adam", "mse", metrics=["mae", keras.metrics.RootMeanSquaredError()])
    model.fit(x, x.sum(1, keepdims=True), epochs=2, verbose=0)
    assert len(model.trainable_variables) == 2 * 6 + 2
    model.save_weights(tmp_path / "w.safetensors")
    other = Net()
    other(x[:1])
    other.load_weights(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))
    model.blocks[0].trainable = False
    assert len(model.trainable_variables) == 6 + 2


def test_a_written_loop_over_a_data_set_counts_metrics_and_follows_its_schedule(rng):
    x = rng.random((96, 10)).astype("f")
    y = (x.sum(1) > 5).astype("int32")
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(96, seed=0).batch(32)
    model = keras.Sequential(
        [layers.Dense(16, "relu", kernel_constraint=keras.constraints.MaxNorm(2.0),
                      kernel_regularizer="l2"), layers.Dense(2)]
    )  # fmt: skip
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(1e-2, 30))
    loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy, mean = keras.metrics.SparseCategoricalAccuracy(), keras.metrics.Mean()

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = loss_of(y, logits) + tf.add_n(model.losses)
        grads = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(grads, model.trainable_weights, strict=True))
        accuracy.update_state(y, logits)
        mean.update_state(loss)
        return loss

    means = []
    for _ in range(3):
        for xb, yb in batches:
            loss = step(xb, yb)
            assert f"{loss:.3f}"
        means.append(float(mean.result()))
        mean.reset_state()
    assert means[2] < means[0]
    assert int(optimizer.iterations) == 9
    assert float(optimizer.learning_rate) < 1e-2
    assert 0.0 <= float(accuracy.result()) <= 1.0
    assert np.linalg.norm(model.layers[0].get_weights()[0], axis=0).max() <= 2.0 + 1e-5


def test_an_equation_is_solved_by_second_derivatives():
    keras.utils.set_random_seed(0)
    net = keras.Sequential([layers.Dense(16, "tanh"), layers.Dense(1)])
    x = tf.constant(np.linspace(0, 1, 16)[:, None], dtype=tf.float32)
    optimizer = keras.optimizers.Adam(1e-2)
    losses = []
    for _ in range(12):
        with tf.GradientTape() as train:
            with tf.GradientTape() as second:
                second.watch(x)
                with tf.GradientTape() as first:
                    first.watch(x)
                    u = net(x)
                slope = first.gradient(u, x)
            bend = second.gradient(slope, x)
            loss = tf.reduce_mean(tf.square(bend + u)) + tf.square(u[0, 0])
            loss = loss + tf.square(u[-1, 0] - 1.0)
        grads = train.gradient(loss, net.trainable_variables)
        grads, _ = tf.clip_by_global_norm(grads, 1.0)
        optimizer.apply_gradients(zip(grads, net.trainable_variables, strict=True))
        losses.append(float(loss))
    assert losses[-1] < 0.7 * losses[0]


def test_a_gan_trains_in_its_own_step(rng):
    class Gan(keras.Model):
        def __init__(self, critic, maker):
            super().__init__()
            self.critic, self.maker = critic, maker

        def compile(self, critic_optimizer, maker_optimizer, loss_of):
            super().compile()
            self.steps = (critic_optimizer, maker_optimizer)
            self.loss_of = loss_of

        def train_step(self, real):
            n = tf.shape(real)[0]
            fake = self.maker(tf.random.normal(shape=(n, 4)))
            both = tf.concat([fake, real], axis=0)
            labels = tf.concat([tf.ones((n, 1)), tf.zeros((n, 1))], axis=0)
            with tf.GradientTape() as tape:
                critic_loss = self.loss_of(labels, self.critic(both))
            weights = self.critic.trainable_weights
            self.steps[0].apply_gradients(
                zip(tape.gradient(critic_loss, weights), weights, strict=True)
            )
            with tf.GradientTape() as tape:
                made = self.critic(self.maker(tf.random.normal(shape=(n, 4))))
                maker_loss = self.loss_of(tf.zeros((n, 1)), made)
            weights = self.maker.trainable_weights
            self.steps[1].apply_gradients(
                zip(tape.gradient(maker_loss, weights), weights, strict=True)
            )
            return {"critic": critic_loss, "maker": maker_loss}

    critic = keras.Sequential([keras.Input((6,)), layers.Dense(8), layers.LeakyReLU(),
                               layers.Dense(1)])  # fmt: skip
    maker = keras.Sequential([keras.Input((4,)), layers.Dense(6, "sigmoid")])
    gan = Gan(critic, maker)
    gan.compile(
        keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )  # fmt: skip
    before = maker.get_weights()[0].copy()
    history = gan.fit(rng.random((48, 6)).astype("f"), epochs=2, batch_size=16, verbose=0).history
    assert set(history) == {"critic", "maker"}
    assert not np.array_equal(before, maker.get_weights()[0])


def test_a_metric_of_metrics_and_a_head_put_on_a_trained_body(rng):
    class F1(keras.metrics.Metric):
        def __init__(self, name="f1", **kwargs):
            super().__init__(name=name, **kwargs)
            self.p, self.r = keras.metrics.Precision(), keras.metrics.Recall()

        def update_state(self, y, p, sample_weight=None):
            self.p.update_state(y, p, sample_weight)
            self.r.update_state(y, p, sample_weight)

        def result(self):
            p, r = self.p.result(), self.r.result()
            return 2 * p * r / (p + r + keras.backend.epsilon())

        def reset_state(self):
            self.p.reset_state()
            self.r.reset_state()

    x = rng.random((60, 6)).astype("f")
    y = (x.sum(1, keepdims=True) > 3).astype("f")
    model = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(1, "sigmoid")])
    model.compile("adam", "binary_crossentropy", metrics=[F1()])
    history = model.fit(x, y, epochs=2, verbose=0).history
    p = model.predict(x, verbose=0) > 0.5
    hits = float((p * y).sum())
    wanted = 2 * hits / max(p.sum() + y.sum(), 1)
    assert model.evaluate(x, y, verbose=0, return_dict=True)["f1"] == pytest.approx(
        wanted, abs=1e-5
    )
    assert len(history["f1"]) == 2
    model.pop()
    model.add(layers.Dense(3, "softmax", name="head"))
    model.layers[0].trainable = False
    kept = model.layers[0].get_weights()[0].copy()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(x, rng.integers(0, 3, 60), verbose=0)
    np.testing.assert_array_equal(kept, model.layers[0].get_weights()[0])
    assert model.output_shape == (None, 3)
    assert float(ops.sum(model(x[:1]))) == pytest.approx(1.0, abs=1e-5)


def test_every_kind_of_metric_counts_in_all_three_loops(rng):
    x = rng.standard_normal((60, 3)).astype("f")
    y = (x.sum(1, keepdims=True) > 0).astype("f")
    metrics = keras.metrics
    for make in (
        metrics.AUC, lambda: metrics.AUC(from_logits=True, curve="PR"),
        lambda: metrics.Precision(thresholds=[0.3, 0.6]), lambda: metrics.Recall(0.4),
        lambda: metrics.PrecisionAtRecall(0.5), lambda: metrics.F1Score(threshold=0.5),
        lambda: metrics.BinaryIoU(threshold=0.4), lambda: metrics.BinaryAccuracy(threshold=0.0),
    ):  # fmt: skip
        model = keras.Sequential([keras.Input((3,)), layers.Dense(1, "sigmoid")])
        model.compile("sgd", "mse", metrics=[make()])
        model.fit(x, y, batch_size=16, epochs=2, verbose=0, validation_data=(x, y))
        alone = make()
        alone.update_state(y, model.predict(x, verbose=0))
        want = np.asarray(alone.result())
        for got in (model.evaluate(x, y, verbose=0)[1], model.test_on_batch(x, y)[1]):
            np.testing.assert_allclose(np.asarray(got), want, rtol=1e-5, err_msg=alone.name)


class _Lookups(keras.Model):
    def __init__(self):
        super().__init__()
        self.table = layers.Embedding(8, 3)

    def call(self, ids):
        return self.table(ids)


def test_a_model_of_ones_own_gets_rows_of_one_axis_as_they_are():
    model, ids = _Lookups(), np.arange(8)
    model.compile("sgd", "mse")
    model.fit(ids, np.ones((8, 3)), batch_size=4, verbose=0)
    assert model.predict(ids, verbose=0).shape == (8, 3)
    assert model(ids).shape == (8, 3)
    batches = tf.data.Dataset.from_tensor_slices((ids, np.ones((8, 3)))).batch(4)
    model.fit(batches, verbose=0)
    assert model.predict(ids, verbose=0) == pytest.approx(np.asarray(model(ids)))


class _Apart(keras.Model):
    def train_step(self, data):
        x = data[0] if isinstance(data, tuple) else data
        with tf.GradientTape() as tape:
            loss = ops.mean(ops.square(self(x[0])))
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(grads, self.trainable_variables)
        return {"loss": loss}


def test_a_step_of_ones_own_takes_batches_apart():
    x = keras.Input((4,))
    model = _Apart(x, layers.Dense(2)(x))
    model.compile("sgd")

    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return np.random.default_rng(0).random((2, 5, 4)).astype("float32")

    losses = model.fit(Batches(), epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    with pytest.raises(tf.ShapeError, match="expect"):
        model.predict(np.ones((2, 5, 4)), verbose=0)


def test_softmax_over_all_axes_adds_up_to_one(rng):
    x = rng.normal(size=(2, 3)).astype("float32")
    wanted = np.exp(x) / np.exp(x).sum()
    for found in (layers.Softmax(axis=None)(x), keras.activations.softmax(x, axis=None)):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)
    logs = keras.activations.log_softmax(x, axis=None)
    np.testing.assert_allclose(logs.numpy(), np.log(wanted), rtol=1e-5)


def test_a_layer_is_asked_for_by_its_name_or_its_place():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1, name="out")])
    with pytest.raises(ValueError, match="name 'out' and index 0, wanted one of them"):
        model.get_layer("out", 0)


class Tripled(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate):
        self.rate = rate

    def __call__(self, step):
        return 3.0 * self.rate

    def get_config(self):
        return {"rate": self.rate}


def doubled(x):
    return 2.0 * x


class Halving(keras.constraints.Constraint):
    def __call__(self, w):
        return 0.5 * w


class Filled(keras.initializers.Initializer):
    def __call__(self, shape, dtype=None):
        return ops.full(shape, 7.0)


class Penalty(keras.regularizers.Regularizer):
    def __call__(self, x):
        return ops.sum(x)

    def get_config(self):
        return {}


class Passing(keras.layers.Layer):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("room", "own"),
    [
        (keras.constraints, Halving),
        (keras.initializers, Filled),
        (keras.regularizers, Penalty),
        (keras.layers, Passing),
    ],
)
def test_own_classes_are_handed_to_deserialize_by_name(room, own):
    config = {"class_name": own.__name__, "config": {}}
    assert isinstance(room.deserialize(config, custom_objects={own.__name__: own}), own)


def test_own_functions_and_schedules_are_handed_to_deserialize_by_name():
    found = keras.activations.deserialize("doubled", custom_objects={"doubled": doubled})
    assert found is doubled
    schedules = keras.optimizers.schedules
    config = {"class_name": "Tripled", "config": {"rate": 0.5}}
    assert schedules.deserialize(config, custom_objects={"Tripled": Tripled})(0) == 1.5


def test_arguments_have_the_names_that_keras_gives_them():
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    written = keras.optimizers.schedules.serialize(learning_rate_schedule=rate)
    assert written["class_name"] == "ExponentialDecay"
    assert keras.layers.serialize(layer=layers.ReLU(name="cut"))["config"]["name"] == "cut"
    assert keras.losses.deserialize(name="mse") is keras.losses.mean_squared_error
    assert keras.saving.get_registered_name(obj=layers.Dense) == "Dense"
    assert float(keras.ops.stop_gradient(variable=3.0)) == 3.0
    packed = keras.utils.pack_x_y_sample_weight(1, 2, sample_weight=3)
    assert packed == (1, 2, 3)
    for kind in (keras.optimizers.Adam, keras.optimizers.Nadam):
        optimizer = kind()
        optimizer.build(var_list=[tf.Variable([1.0])])
        assert optimizer.built
    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    assert keras.models.model_from_json(json_string=model.to_json()).count_params() == 3
