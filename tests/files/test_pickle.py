"""Live models, layers, optimisers, losses, metrics and histories through pickle and deepcopy."""

import copy
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, initializers, layers, losses, metrics, optimizers

X = np.random.default_rng(2).normal(size=(24, 6)).astype(np.float32)
Y = np.tanh(X[:, :2])
WAYS = [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy]
both = pytest.mark.parametrize("copied", WAYS, ids=["pickle", "deepcopy"])


@fastnn.saving.register_keras_serializable("tests")
class Net(fastnn.Model):
    """A subclassed model with a list of layers and a layer of the user's own."""

    def __init__(self, units=4, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.blocks = [layers.Dense(units, activation="relu"), layers.Dropout(0.2)]
        self.out = layers.Dense(2)

    def call(self, x, training=None):
        for block in self.blocks:
            x = block(x)
        return self.out(x)


def sequential():
    return fastnn.Sequential(
        [fastnn.Input((6,)), layers.Dense(5, activation="relu"), layers.BatchNormalization(),
         layers.Dropout(0.3), layers.Dense(2)]
    )  # fmt: skip


def functional():
    a = fastnn.Input((6,))
    shared = layers.Dense(6, activation="tanh")
    inner = fastnn.Sequential([layers.Dense(4), layers.PReLU()], name="inner")
    x = shared(shared(a))
    x = layers.Concatenate()([inner(x), x[:, 1:4], fastnn.ops.maximum(x, 0.1) * 2.0])
    return fastnn.Model(a, layers.Dense(2)(1.0 - x))


def open_sequential():
    return fastnn.Sequential([layers.Dense(3), layers.GaussianNoise(0.1), layers.Dense(2)])


MODELS = {"sequential": sequential, "functional": functional, "subclass": Net,
          "open": open_sequential}  # fmt: skip
models = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())


def train(model, first=0, last=2):
    return model.fit(X, Y, batch_size=8, initial_epoch=first, epochs=last, verbose=0)


def bits(model):
    return [w.tobytes() for w in model.get_weights()]


@both
@models
def test_a_trained_copy_goes_on_with_the_same_bits_and_leaves_the_original_alone(make, copied):
    fastnn.utils.set_random_seed(3)
    model = make()
    model.compile(optimizers.Adam(0.01, weight_decay=0.01), "mse", metrics=["mae"])
    train(model)
    twin = copied(model)
    before = bits(model)
    assert bits(twin) == before
    assert type(twin) is type(model)
    assert (twin.name, [x.name for x in twin.layers]) == (
        model.name,
        [x.name for x in model.layers],
    )
    assert np.array_equal(twin.predict(X, verbose=0), model.predict(X, verbose=0))
    assert twin.history.history == model.history.history
    later = train(twin, 2, 4).history
    assert bits(model) == before
    assert bits(twin) != before
    assert train(model, 2, 4).history == later
    assert bits(twin) == bits(model)


@both
@models
def test_a_model_that_is_not_built_or_compiled_is_copied_as_it_is(make, copied):
    twin = copied(make())
    assert not twin.compiled
    assert twin.built == make().built
    twin.compile("sgd", "mse")
    assert np.isfinite(train(twin).history["loss"]).all()


def test_weights_that_decay_leaves_alone_are_so_in_a_copy():
    model = fastnn.Sequential([fastnn.Input((6,)), layers.Dense(2)])
    optimizer = optimizers.SGD(0.0, weight_decay=0.1)
    optimizer.exclude_from_weight_decay([model.layers[0].kernel])
    model.compile(optimizer, "mse")
    for copied in WAYS:
        twin = copied(model)
        train(twin)
        assert np.array_equal(twin.get_weights()[0], model.get_weights()[0])


@both
def test_shared_layers_stay_shared_and_a_layer_comes_without_its_model(copied):
    model = functional()
    twin = copied(model)
    assert len(twin.weights) == len(model.weights)
    twin.layers[1].kernel.assign(np.zeros((6, 6)))
    assert np.ptp(twin.predict(X, verbose=0), axis=0).max() == 0
    layer = copied(model.layers[1])
    assert np.array_equal(layer(X), model.layers[1](X))
    assert len(pickle.dumps(model.layers[1])) < 3000


@both
def test_a_graph_of_three_hundred_layers_is_copied(copied):
    x = a = fastnn.Input((2,))
    for _ in range(300):
        x = layers.Add()([layers.Identity()(x), a])
    model = fastnn.Model(a, x)
    ones = np.ones((1, 2), np.float32)
    assert copied(model).predict(ones, verbose=0).tolist() == [[301.0, 301.0]]


THINGS = {
    "layer": lambda: layers.Dense(3, kernel_regularizer="l2"),
    "optimizer": lambda: optimizers.Adam(optimizers.schedules.CosineDecay(0.1, 5)),
    "loss": lambda: losses.Huber(0.5), "initializer": lambda: initializers.HeNormal(seed=3),
    "metric": lambda: metrics.AUC(curve="PR"), "seeds": lambda: fastnn.random.SeedGenerator(7),
    "stopping": lambda: callbacks.EarlyStopping("loss", patience=3),
}  # fmt: skip


@both
@pytest.mark.parametrize("kind", THINGS)
def test_parts_are_copied(kind, copied):
    made = THINGS[kind]()
    twin = copied(made)
    assert type(twin) is type(made)
    if hasattr(made, "get_config"):
        assert twin.get_config() == made.get_config()


@both
def test_metrics_keep_what_they_have_seen_and_generators_where_they_are(copied):
    metric = metrics.Mean()
    metric.update_state([1.0, 2.0, 6.0])
    twin = copied(metric)
    twin.update_state([7.0])
    assert (float(twin.result()), float(metric.result())) == (4.0, 3.0)
    seeds = fastnn.random.SeedGenerator(7)
    seeds.next()
    assert np.array_equal(copied(seeds).next(), seeds.next())


@both
def test_a_history_is_copied(copied):
    model = sequential()
    model.compile("sgd", "mse")
    history = train(model)
    twin = copied(history)
    assert (twin.history, twin.epoch, twin.params) == (
        history.history,
        history.epoch,
        history.params,
    )


def test_a_lambda_layer_with_a_nameless_function_says_what_pickle_cannot_write():
    twice = fastnn.Sequential([fastnn.Input((6,)), layers.Lambda(lambda x: x * 2, name="twice")])
    with pytest.raises(pickle.PicklingError, match=r"'twice' holds .*lambda.*\n  hint: "):
        pickle.dumps(twice)
    assert np.array_equal(copy.deepcopy(twice).predict(X, verbose=0), X * 2)
    named = fastnn.Sequential([fastnn.Input((6,)), layers.Lambda(fastnn.ops.tanh)])
    again = pickle.loads(pickle.dumps(named))
    assert np.array_equal(again.predict(X, verbose=0), named.predict(X, verbose=0))
