"""What was compiled is never older than the model: every change shows in the next call."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

X = np.random.default_rng(0).normal(size=(3, 4)).astype("f")


class Scaled(layers.Layer):
    def __init__(self):
        super().__init__()
        self.rate = 1.0
        self.rates = [1.0]
        self.table = {"rate": [1.0]}
        self.array = np.ones(1, np.float32)
        self.holder = Holder()
        self._hidden = 1.0
        self.calls = 0

    def call(self, x):
        self.calls += 1
        rate = self.rate * self.rates[0] * self.table["rate"][0] * self._hidden * self.holder.rate
        return x * rate * self.array


class Holder:
    rate = 1.0


class Net(fastnn.Model):
    def __init__(self):
        super().__init__()
        self.scaled = Scaled()
        self.blocks = [Scaled()]
        self.head = None

    def call(self, x):
        x = self.blocks[0](self.scaled(x))
        return x if self.head is None else self.head(x)


def subclassed():
    net = Net()
    return net, net.scaled


def nested():
    net = Net()
    return net, net.blocks[0]


def functional():
    x = fastnn.Input((4,))
    layer = Scaled()
    return fastnn.Model(x, layer(x)), layer


def sequential():
    layer = Scaled()
    return fastnn.Sequential([fastnn.Input((4,)), layer]), layer


def inner():
    layer = Scaled()
    part = fastnn.Sequential([fastnn.Input((4,)), layer])
    return fastnn.Sequential([fastnn.Input((4,)), part]), layer


CHANGES = {
    "attribute": lambda s: setattr(s, "rate", 2.0),
    "hidden attribute": lambda s: setattr(s, "_hidden", 2.0),
    "list": lambda s: s.rates.__setitem__(0, 2.0),
    "nested list": lambda s: s.table["rate"].__setitem__(0, 2.0),
    "array": lambda s: s.array.__setitem__(0, 2.0),
    "object": lambda s: setattr(s.holder, "rate", 2.0),
}


def warm(model):
    """The model with everything compiled that it can compile."""
    model.compile("sgd", "mse")
    for _ in range(2):
        model.predict(X, verbose=0)
        model(X)
        model.evaluate(X, X, verbose=0)
    return model


@pytest.mark.parametrize("make", [subclassed, nested, functional, sequential, inner])
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_attribute_shows_everywhere(make, change):
    model, layer = make()
    warm(model)
    np.testing.assert_allclose(model(X), X)
    CHANGES[change](layer)
    np.testing.assert_allclose(model(X), 2 * X, rtol=1e-6)
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * X, rtol=1e-6)
    loss = np.mean(X**2)
    np.testing.assert_allclose(model.evaluate(X, X, verbose=0), loss, rtol=1e-5)
    np.testing.assert_allclose(model.test_on_batch(X, X), loss, rtol=1e-5)


def test_a_new_head_is_used():
    model, _ = subclassed()
    warm(model)
    model.head = layers.Dense(2)
    assert model(X).shape == (3, 2)
    assert model.predict(X, verbose=0).shape == (3, 2)
    model.head = layers.Dense(5)
    assert model(X).shape == model.predict(X, verbose=0).shape == (3, 5)


@pytest.mark.parametrize("functional", [False, True])
def test_a_changed_activation_and_rate_of_our_layers_are_used(functional):
    dense = layers.Dense(6, activation="relu", use_bias=False)
    leaky = layers.LeakyReLU(negative_slope=0.0)
    if functional:
        x = fastnn.Input((4,))
        model = fastnn.Model(x, leaky(dense(x)))
    else:
        model = fastnn.Sequential([fastnn.Input((4,)), dense, leaky])
    warm_up = [model(X), model.predict(X, verbose=0), model(X)]
    assert all((np.asarray(y) >= 0).all() for y in warm_up)
    dense.activation = fastnn.activations.linear
    model.layers[-1].negative_slope = 1.0
    right = X @ np.asarray(dense.kernel)
    for _ in range(2):
        np.testing.assert_allclose(model(X), right, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(model.predict(X, verbose=0), right, rtol=1e-5, atol=1e-6)


def test_replaced_weights_are_used():
    dense = layers.Dense(6, use_bias=False)
    model = fastnn.Sequential([fastnn.Input((4,)), dense])
    model(X), model.predict(X, verbose=0), model(X)
    dense.kernel = fastnn.Variable(np.full((4, 6), 2.0, np.float32))
    for got in (model(X), model.predict(X, verbose=0)):
        np.testing.assert_allclose(got, X @ np.full((4, 6), 2.0), rtol=1e-5)


def test_training_follows_trainable_rate_loss_and_regularizer():
    dense = layers.Dense(1, use_bias=False, kernel_initializer="ones", kernel_regularizer="l2")
    model = fastnn.Sequential([fastnn.Input((4,)), dense])
    model.compile(fastnn.optimizers.SGD(0.1), "mse")
    y = np.zeros((3, 1), np.float32)
    model.fit(X, y, verbose=0)
    plain = model.evaluate(X, y, verbose=0)
    squares = float(np.sum(np.asarray(dense.kernel) ** 2))
    dense.kernel_regularizer.l2 = 1.0
    assert model.evaluate(X, y, verbose=0) == pytest.approx(plain + 0.99 * squares, rel=1e-4)
    dense.trainable = False
    before = np.array(dense.kernel)
    with pytest.warns(UserWarning, match="trainable"):
        model.fit(X, y, verbose=0)
    np.testing.assert_array_equal(np.array(dense.kernel), before)
    dense.trainable = True
    dense.kernel_regularizer.l2 = 0.0
    model.compile(fastnn.optimizers.SGD(0.0), "mae")
    wanted = np.abs(X @ before).mean()
    assert model.evaluate(X, y, verbose=0) == pytest.approx(wanted, rel=1e-4)


class Factor(fastnn.losses.Loss):
    def __init__(self):
        super().__init__()
        self.factor = 1.0

    def call(self, y_true, y_pred):
        return self.factor * ops.mean(ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("optimizer", "momentum", 0.9),
        ("optimizer", "clipnorm", 1e-3),
        ("optimizer", "weight_decay", 0.1),
        ("loss", "factor", 3.0),
        ("penalty", "l2", 1.0),
    ],
)
def test_a_setting_changed_between_two_calls_of_train_on_batch_is_used(part, setting, value):
    x, y = np.ones((4, 1), np.float32), np.full(4, 3.0, np.float32)

    def weight(changed, by_fit=False):
        penalty = fastnn.regularizers.L2(0.01)
        dense = layers.Dense(1, kernel_initializer="ones", kernel_regularizer=penalty)
        model = fastnn.Sequential([fastnn.Input((1,)), dense])
        parts = {"optimizer": fastnn.optimizers.SGD(0.1, 0.5), "loss": Factor(), "penalty": penalty}
        model.compile(parts["optimizer"], parts["loss"])
        model.train_on_batch(x, y)
        if changed:
            setattr(parts[part], setting, value)
        # A fit takes every setting anew, so it says what is right.
        if by_fit:
            model.fit(x, y, verbose=0)
        else:
            model.train_on_batch(x, y)
        return model.get_weights()[0].item()

    assert weight(True) == weight(True, by_fit=True) != weight(False)


def swap_attributes(part, **settings):
    part.__dict__ = part.__dict__ | settings


def close_over(value):
    def loss(y_true, y_pred):
        return value * ops.mean(ops.square(y_true - y_pred), axis=-1)

    def change(new):
        nonlocal value
        value = new

    return loss, change


@pytest.mark.parametrize(
    ("loss", "change"),
    [
        ("mse", lambda optimizer, loss: setattr(optimizer, "clipnorm", 1e-3)),
        ("mse", lambda optimizer, loss: swap_attributes(optimizer, clipvalue=1e-3)),
        ("mse", lambda optimizer, loss: optimizer._no_decay_names.append("kernel")),
        (fastnn.losses.Huber, lambda optimizer, loss: loss._fn_kwargs.update(delta=0.1)),
        (fastnn.losses.Huber, lambda optimizer, loss: setattr(loss, "reduction", "sum")),
        (Factor, lambda optimizer, loss: setattr(loss, "factor", 3.0)),
        (lambda: close_over(1.0), lambda optimizer, loss: loss(3.0)),
    ],
    ids=["attribute", "attributes", "list", "dict", "text", "own class", "closure"],
)
def test_what_is_changed_between_two_fits_is_used(loss, change):
    x, y = np.ones((4, 1), np.float32), np.full(4, 3.0, np.float32)

    def fitted(fits, change_after):
        made = loss() if callable(loss) else loss
        made, handle = made if isinstance(made, tuple) else (made, made)
        optimizer = fastnn.optimizers.SGD(0.1, weight_decay=0.1)
        model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizer, made)
        for i in range(fits):
            if i == change_after:
                change(optimizer, handle)
            model.fit(x, y, verbose=0)
        return np.concatenate([np.ravel(w) for w in model.get_weights()])

    # The third fit finds the trace of the second as it left it.
    one_by_one = fitted(3, 2)
    assert not np.allclose(one_by_one, fitted(3, None))

    def in_one(changed):
        made = loss() if callable(loss) else loss
        made, handle = made if isinstance(made, tuple) else (made, made)
        optimizer = fastnn.optimizers.SGD(0.1, weight_decay=0.1)
        model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizer, made)
        if changed is not None:
            model.build((None, 1))
            model.set_weights(changed)
            change(optimizer, handle)
            model.fit(x, y, verbose=0)
        else:
            model.fit(x, y, epochs=2, verbose=0)
        return model.get_weights()

    wanted = np.concatenate([np.ravel(w) for w in in_one(in_one(None))])
    np.testing.assert_allclose(one_by_one, wanted, rtol=1e-6)


def test_code_of_others_runs_at_every_call_of_a_model():
    model, layer = subclassed()
    warm(model)
    before = layer.calls
    for _ in range(3):
        model(X)
    assert layer.calls == before + 3


def test_nothing_is_traced_twice_when_nothing_changes(monkeypatch):
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)),
            layers.Dense(4, "relu", kernel_regularizer="l2"),
            layers.Dropout(0.1),
            layers.BatchNormalization(),
            layers.LayerNormalization(axis=[-1]),
            layers.Dense(4),
        ]
    )
    model.compile("adam", "mse", metrics=["mae"])

    def work():
        model.fit(X, X, verbose=0)
        model.train_on_batch(X, X)
        model.predict(X, verbose=0)
        model.evaluate(X, X, verbose=0)
        model(X)

    work()
    made = []
    monkeypatch.setattr(type(model), "_trace_step", lambda *a: made.append(a) or 1 / 0)
    programs = model._predict_programs.keys()
    for _ in range(3):
        work()
    assert not made
    assert model._predict_programs.keys() == programs


@pytest.mark.parametrize("optimizer", ["adam", "sgd", fastnn.optimizers.Adamax(0.1)])
def test_what_the_first_step_builds_is_no_reason_to_trace_again(monkeypatch, optimizer):
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(4)])
    model.compile(optimizer, "mse")
    model.fit(X, X, verbose=0)
    monkeypatch.setattr(type(model), "_trace_step", lambda *a: 1 / 0)
    model.fit(X, X, verbose=0)
    model.optimizer.learning_rate = 0.5  # a variable, not a reason either
    model.fit(X, X, verbose=0)


def test_an_attribute_that_is_not_a_number_is_no_reason_to_trace_again():
    model, layer = functional()
    layer.rate = float("nan")
    warm(model)
    kept = len(model._predict_programs)
    model.predict(X, verbose=0)
    assert len(model._predict_programs) == kept
    assert np.isnan(ops.sum(model(X)))
