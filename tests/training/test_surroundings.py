"""What traced code reads from around it counts: a compiled step never runs on an old value."""

import functools
import types

import numpy as np
import pytest

import fastnn
from fastnn import keras as K

L = K.layers
X = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
FACTOR = 1.0
TABLE = {"factor": 1.0}
ARRAY = np.ones(3, np.float32)
TENSOR = fastnn.tensor(1.0)
SETTINGS = types.SimpleNamespace(factor=1.0)
MODULE = types.ModuleType("settings_of_a_test")
MODULE.factor = 1.0


class Own:
    factor = 1.0

    def __init__(self):
        self.inner = {"factor": 1.0}


OWN = Own()


def helper(x):
    return x * FACTOR


def of_helper(x):
    return helper(x)


def of_partial(x):
    return functools.partial(helper)(x)


def of_name(x):
    return x * FACTOR


def of_table(x):
    return x * TABLE["factor"]


def of_array(x):
    return x * ARRAY


def of_tensor(x):
    return x * TENSOR


def of_settings(x):
    return x * SETTINGS.factor


def of_module(x):
    return x * MODULE.factor


def of_class(x):
    return x * Own.factor


def of_object(x):
    return x * OWN.inner["factor"]


def of_inner_function(x):
    return (lambda t: t * FACTOR)(x)


def everything(value, monkeypatch):
    """Every place that the functions above read holds this value."""
    for name, held in (("FACTOR", value), ("TENSOR", fastnn.tensor(value))):
        monkeypatch.setitem(globals(), name, held)
    monkeypatch.setitem(TABLE, "factor", value)
    monkeypatch.setattr(SETTINGS, "factor", value)
    monkeypatch.setattr(MODULE, "factor", value)
    monkeypatch.setattr(Own, "factor", value)
    monkeypatch.setitem(OWN.inner, "factor", value)
    ARRAY[:] = value


READERS = [
    of_helper, of_partial, of_name, of_table, of_array, of_tensor, of_settings, of_module, of_class,
    of_object, of_inner_function,
]  # fmt: skip


@pytest.fixture
def change(monkeypatch):
    yield functools.partial(everything, monkeypatch=monkeypatch)
    ARRAY[:] = 1.0


@pytest.mark.parametrize("read", READERS, ids=lambda f: f.__name__)
def test_a_compiled_function_sees_what_it_reads(read, change):
    traced, differentiated = fastnn.jit(read), fastnn.grad(lambda x: fastnn.ops.sum(read(x)))
    for value in (1.0, 2.0, 1.0, 3.0):
        change(value)
        np.testing.assert_allclose(traced(X), value * X, rtol=1e-6)
        np.testing.assert_allclose(differentiated(X), np.full_like(X, value), rtol=1e-6)
    assert traced.trace_count() == 3 if read is not of_tensor else 4


@pytest.mark.parametrize("read", READERS, ids=lambda f: f.__name__)
def test_a_compiled_gradient_sees_what_its_function_reads_and_is_traced_once_for_it(read, change):
    compiled = fastnn.jit(fastnn.grad(lambda x: fastnn.ops.sum(read(x))))
    for value in (1.0, 2.0, 1.0, 3.0):
        change(value)
        for _ in range(3):
            np.testing.assert_allclose(compiled(X), np.full_like(X, value), rtol=1e-6)
    assert compiled.trace_count() == 3 if read is not of_tensor else 4


@pytest.mark.parametrize("read", READERS, ids=lambda f: f.__name__)
def test_layers_see_what_their_calls_read(read, change):
    class Reading(L.Layer):
        def call(self, x):
            return read(x)

    class ByMethod(L.Layer):
        def call(self, x):
            return self.scaled(x)

        def scaled(self, x):
            return read(x)

    model = K.Sequential([K.Input((3,)), Reading(), ByMethod(), L.Lambda(read)])
    model.compile("sgd", "mse")
    for value in (1.0, 2.0, 3.0):
        change(value)
        np.testing.assert_allclose(model.predict(X, verbose=0), value**3 * X, rtol=1e-5)
        got = model.evaluate(X, 0 * X, verbose=0)
        assert got == pytest.approx(np.mean((value**3 * X) ** 2), rel=1e-5)


def test_attributes_of_the_class_and_properties_are_seen(monkeypatch):
    class Scaled(L.Layer):
        factor = 1.0

        @property
        def twice(self):
            return 2 * self.factor

        def call(self, x):
            return x * self.twice

    model = K.Sequential([K.Input((3,)), Scaled()])
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X)
    monkeypatch.setattr(Scaled, "factor", 3.0)
    np.testing.assert_allclose(model.predict(X, verbose=0), 6 * X)


def test_compiled_functions_see_layers_and_objects_they_are_given():
    slope, one = L.LeakyReLU(negative_slope=0.5), Own()

    @fastnn.jit
    def captured(x):
        return slope(x)

    @fastnn.jit
    def given(thing, x):
        return x * thing.inner["factor"]

    given(one, X)
    captured(X)
    slope.negative_slope, one.inner["factor"] = 0.25, 4.0
    np.testing.assert_allclose(captured(X), np.where(X > 0, X, 0.25 * X))
    np.testing.assert_allclose(given(one, X), 4 * X)


def test_code_that_keeps_records_of_its_calls_is_not_traced_again_for_them():
    global COUNT
    COUNT, calls, log = 0, [], {}

    @fastnn.jit
    def compiled(x):
        global COUNT
        COUNT += 1
        calls.append(x.shape)
        log[len(log)] = COUNT
        return x * 2.0

    class Recording(L.Layer):
        def call(self, x):
            calls.append(x.shape)
            return x

    model = K.Sequential([K.Input((3,)), Recording(), L.Dense(1)])
    model.compile("sgd", "mse")
    for _ in range(2):
        compiled(X)
        model.fit(X, X[:, :1], verbose=0)
        model.predict(X, verbose=0)
    settled = len(calls)
    for _ in range(3):
        compiled(X)
        model.fit(X, X[:, :1], verbose=0)
        model.predict(X, verbose=0)
    assert len(calls) == settled
    assert compiled.trace_count() == COUNT == 1


class Weighed(K.losses.Loss):
    def __init__(self):
        super().__init__()
        self.factor = 1.0

    def call(self, y, p):
        return self.factor * FACTOR * K.ops.mean(K.ops.square(y - p), axis=-1)


def still_model(loss, *layers, **settings):
    """A model that does not learn, so that losses differ by their settings alone."""
    last = L.Dense(1, kernel_initializer="ones")
    made = K.Sequential([K.Input((3,)), *layers, last])
    made.compile(K.optimizers.SGD(0.0), loss, **settings)
    return made


@pytest.mark.parametrize("generator", [False, True])
def test_what_callbacks_change_between_epochs_holds_from_then_on(generator, monkeypatch):
    loss, slope = Weighed(), L.LeakyReLU(negative_slope=1.0)
    for change, power in (
        (lambda value: setattr(loss, "factor", value), 1),
        (lambda value: monkeypatch.setitem(globals(), "FACTOR", value), 1),
        (lambda value: setattr(slope, "negative_slope", value), 2),
    ):
        change(1.0)
        model = still_model(loss, slope)
        hook = K.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: change(float(epoch + 1))  # noqa: B023
        )
        x, y = -np.abs(X), np.zeros((16, 1), np.float32)
        settings = {"epochs": 3, "verbose": 0, "callbacks": [hook]}
        if generator:
            batches = ((x, y) for _ in range(3))
            history = model.fit(batches, steps_per_epoch=1, **settings).history["loss"]
        else:
            history = model.fit(x, y, **settings).history["loss"]
        np.testing.assert_allclose(history, history[0] * np.arange(1.0, 4.0) ** power, rtol=1e-4)
        change(1.0)


def test_what_callbacks_change_within_an_epoch_is_told_to_hold_from_the_next():
    loss = Weighed()
    hook = K.callbacks.LambdaCallback(
        on_train_batch_begin=lambda batch, logs: setattr(loss, "factor", 1.0 + batch)
    )
    with pytest.warns(UserWarning, match="holds from the next epoch on"):
        still_model(loss).fit(X, X[:, :1], batch_size=8, verbose=0, callbacks=[hook])


def test_settings_of_losses_and_metrics_hold_when_they_are_changed():
    loss = K.losses.Huber(delta=1.0)
    y = np.full((4, 1), 10.0, np.float32)
    loss(y, 0 * y)
    loss.delta = 0.5
    assert float(loss(y, 0 * y)) == float(K.losses.Huber(delta=0.5)(y, 0 * y))
    assert loss.get_config()["delta"] == 0.5
    metric = K.metrics.BinaryAccuracy(threshold=0.5)
    metric.threshold = 0.9
    assert float(metric([[0.0]], [[0.7]])) == 1.0


class Settings:
    """What `Counting` reads, and what it counts."""

    factor = 2.0
    calls = 0


class Counting(fastnn.layers.Layer):
    """The input times a number of the class `Settings`, whose calls it counts."""

    def call(self, x):
        Settings.calls += 1
        return x * Settings.factor


class Marking(fastnn.layers.Layer):
    """The input times a number of `Settings`, in which it notes another."""

    def call(self, x):
        Settings.calls = 7
        return x * Settings.factor


def test_a_setting_beside_an_attribute_that_a_layer_assigns_counts(monkeypatch):
    monkeypatch.setattr(Settings, "calls", 0)
    model = fastnn.Sequential([fastnn.Input((1,)), Marking()])
    x = np.ones((2, 1), "f")
    assert model.predict(x, verbose=0)[0, 0] == 2.0
    monkeypatch.setattr(Settings, "factor", 3.0)
    assert model.predict(x, verbose=0)[0, 0] == 3.0


def test_a_counter_on_a_class_makes_no_new_trace_and_a_setting_beside_it_does(monkeypatch):
    monkeypatch.setattr(Settings, "calls", 0)
    model = fastnn.Sequential([fastnn.Input((1,)), Counting()])
    x = np.ones((2, 1), "f")
    Settings.calls = 0
    for _ in range(3):
        assert model.predict(x, verbose=0)[0, 0] == 2.0
    Settings.calls = 10
    model.predict(x, verbose=0)
    assert Settings.calls in (10, 11)
    monkeypatch.setattr(Settings, "factor", 3.0)
    assert model.predict(x, verbose=0)[0, 0] == 3.0
