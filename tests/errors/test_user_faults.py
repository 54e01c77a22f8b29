"""Faults in the user's code: the error keeps its type, a note says where, the model lives on."""

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers

X, Y = np.ones((8, 3), np.float32), np.ones((8, 1), np.float32)


def net(**settings):
    made = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1)])
    made.compile("sgd", "mse", **settings)
    return made


def after_two(third):
    """Two good batches, then another; an exception is raised."""
    yield X, Y
    yield X, Y
    if isinstance(third, Exception):
        raise third
    yield third


def assert_usable(model):
    assert np.isfinite(model.fit(X, Y, epochs=2, verbose=0).history["loss"]).all()
    assert np.isfinite(model.evaluate(X, Y, verbose=0))
    assert model.predict(X, verbose=0).shape == (8, 1)


def notes(error):
    return "\n".join(getattr(error.value, "__notes__", []))


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize(
    ("third", "kind", "text"),
    [
        (OSError("disk gone"), OSError, "disk gone"),
        ((np.ones((8, 5)), Y), fastnn.errors.ShapeError, "x has 5 features, .* expects 3"),
        ((np.ones((8, 3, 2)), Y), fastnn.errors.ShapeError, r"shape \(3, 2\), .* expects 3"),
        ((np.array([["a"] * 3] * 8), Y), fastnn.errors.DataError, "x holds text"),
        ((X, Y, Y, Y), fastnn.errors.DataError, "a batch has 4 parts"),
        ((X,), fastnn.errors.DataError, "y is missing"),
        ((X, np.ones((8, 4))), fastnn.errors.ShapeError, r"y has shape .*4\).* gives .*1\)"),
        ((X, Y[:5]), fastnn.errors.DataError, "x has 8 samples, y has 5 samples"),
        ((X[:0], Y[:0]), fastnn.errors.DataError, "x has 0 samples"),
    ],
)
def test_a_generator_that_fails_says_at_which_batch_and_epoch(third, kind, text, eager):
    model = net(run_eagerly=eager)
    with pytest.raises(kind, match=text) as caught:
        model.fit(after_two(third), epochs=3, verbose=0)
    assert "batch 3" in notes(caught)
    assert "in epoch 1" in notes(caught)
    assert_usable(model)
    with pytest.raises(kind, match=text) as caught:
        model.evaluate(after_two(third), verbose=0)
    assert "batch 3" in notes(caught)
    assert_usable(model)


def test_a_generator_that_fails_in_predict_or_validation_says_where():
    model = net()
    with pytest.raises(OSError, match="gone") as caught:
        model.predict(after_two(OSError("gone")), verbose=0)
    assert "batch 3 of x" in notes(caught)
    with pytest.raises(OSError, match="gone") as caught:
        model.fit(X, Y, validation_data=after_two(OSError("gone")), epochs=2, verbose=0)
    assert "batch 3" in notes(caught)
    assert_usable(model)


def test_an_empty_batch_in_predict_says_where():
    model = net()
    with pytest.raises(fastnn.errors.DataError, match="x has 0 samples") as caught:
        model.predict(iter([X, X[:0], X]), verbose=0)
    assert "batch 2 of x" in notes(caught)
    assert_usable(model)


ALIKE = "mse mae mape msle huber log_cosh hinge squared_hinge categorical_hinge poisson".split()


@pytest.mark.parametrize("loss", [*ALIKE, "kl_divergence", "cosine_similarity", "dice", "tversky"])
@pytest.mark.parametrize(("outputs", "targets"), [(1, 4), (4, 1), (4, None)])
def test_targets_that_would_be_stretched_over_the_outputs_are_refused(loss, outputs, targets):
    """Keras 3.15 trains (n, 4) against (n, 1) with these losses and says nothing."""
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(outputs, "sigmoid")])
    model.compile("sgd", loss)
    y = np.ones((8,) if targets is None else (8, targets), np.float32)
    for call in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(fastnn.errors.ShapeError, match="must have the same shape\n  hint: "):
            call(X, y, **({} if call == model.train_on_batch else {"verbose": 0}))
    fine = np.ones((8, outputs), np.float32)
    assert np.isfinite(model.fit(X, fine, verbose=0).history["loss"][0])


def test_a_loss_of_the_users_own_may_stretch_targets():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4)])
    model.compile("sgd", lambda y, p: fastnn.ops.mean((y - p) ** 2, axis=-1))
    assert np.isfinite(model.fit(X, Y, verbose=0).history["loss"][0])


@pytest.mark.parametrize("start", [[], [fastnn.Input((3,))]])
def test_a_sequential_without_layers_says_so_wherever_it_is_used(start):
    """Keras 3.15: ValueError, cannot be built because it has no layers."""
    model = fastnn.Sequential(start)
    model.compile("sgd", "mse")
    for call in (
        lambda: model.predict(X, verbose=0), lambda: model.fit(X, Y, verbose=0),
        lambda: model.fit(X, Y, epochs=0), lambda: model.evaluate(X, Y, verbose=0),
        lambda: model.train_on_batch(X, Y),
        lambda: model.predict_on_batch(X), lambda: model(X), lambda: model.build((None, 3)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"has no layers, .*\n  hint: model\.add"):
            call()
    model.add(layers.Dense(1))
    assert_usable(model)


def test_batches_of_other_types_and_sizes_are_trained_on():
    model = net()
    batches = [(X, Y), (X.astype("f8"), Y.astype("f8")), (X[:3].astype(int), Y[:3]), (X > 0, Y)]
    assert np.isfinite(model.fit(iter(batches), verbose=0).history["loss"][0])
    assert model.predict(iter([b[0] for b in batches]), verbose=0).shape == (27, 1)


def test_a_source_that_yields_too_little_is_said():
    model = net()
    with pytest.warns(UserWarning, match="x ran out after 1 of 2 batches in epoch 2"):
        history = model.fit(iter([(X, Y)] * 3), steps_per_epoch=2, epochs=3, verbose=0)
    assert history.epoch == [0, 1, 2]
    with pytest.warns(UserWarning, match="x ran out after 1 of 4 batches"):
        model.evaluate(iter([(X, Y)]), steps=4, verbose=0)
    with pytest.warns(UserWarning, match="x ran out after 1 of 4 batches"):
        assert model.predict(iter([X]), steps=4, verbose=0).shape == (8, 1)
    assert_usable(model)


HOOKS = ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end",
         "on_test_begin", "on_test_end", "on_epoch_end", "on_train_end"]  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS)
def test_a_callback_that_raises_is_named_with_its_hook(hook):
    def fail(*_args):
        raise ZeroDivisionError("mine")

    bad = type("Bad", (callbacks.Callback,), {hook: lambda self, *args: fail()})()
    model = net()
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[bad], validation_data=(X, Y))
    assert f"in {hook}" in notes(caught)
    assert "of callback Bad" in notes(caught)
    if hook not in ("on_train_begin", "on_train_end"):
        assert_usable(model)


def test_what_a_callback_lacks_is_named_with_the_way_on(tmp_path):
    def fitted(callback):
        model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[callback])

    with pytest.raises(
        FileNotFoundError, match=r"CSVLogger(?s:.)*no folder(?s:.)*hint: .*makedirs"
    ):
        fitted(fastnn.callbacks.CSVLogger(tmp_path / "no" / "log.csv"))
    with pytest.raises(ValueError, match=r"'val_acc' is no metric of the model(?s:.)*hint:"):
        fitted(fastnn.callbacks.EarlyStopping("val_acc"))


def test_arguments_of_older_optimizers_say_what_stands_for_them():
    with pytest.raises(TypeError, match=r"'decay'(?s:.)*hint: .*InverseTimeDecay"):
        fastnn.optimizers.SGD(decay=0.1)
    assert type(fastnn.optimizers.legacy.Adam(0.1)) is fastnn.optimizers.Adam


@pytest.mark.parametrize(
    "layer",
    [
        layers.LSTM(2), layers.Bidirectional(layers.GRU(2)), layers.Dense(2), layers.Conv1D(2, 2),
        layers.LayerNormalization(), layers.BatchNormalization(), layers.RMSNormalization(),
        layers.GroupNormalization(2), layers.GlobalAveragePooling1D(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("symbolic", [False, True])
def test_a_list_for_a_layer_of_one_input_is_refused_with_its_shapes(layer, symbolic):
    a = fastnn.Input((3, 4)) if symbolic else np.ones((2, 3, 4), "f")
    with pytest.raises(fastnn.ShapeError, match=r"received 2 input tensors.*3, 4\)(?s:.)*hint:"):
        layer([a, a])


def test_a_layer_or_model_that_is_called_on_nothing_names_its_input():
    for callee, name in (
        (layers.Dense(3), "inputs"), (layers.LSTM(3), "sequences"), (layers.Add(), "inputs"),
        (fastnn.Sequential([layers.Dense(3)]), "inputs"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=f"needs the input '{name}'(?s:.)*hint:"):
            callee()
        with pytest.raises(TypeError, match=f"needs the input '{name}'(?s:.)*hint:"):
            callee(training=True)


def test_numpy_functions_on_symbolic_tensors_are_refused_and_operators_are_not():
    x = fastnn.Input((3,))
    for use in (lambda: np.exp(x), lambda: np.maximum(x, 0.0), lambda: np.add(x, 1.0)):
        with pytest.raises(fastnn.TraceError, match=r"has no value yet(?s:.)*hint:"):
            use()
    given = np.array([[1.0, 2.0, 4.0]], "f")
    outputs = [given * x, given - x, np.float32(2.0) / x, given // x, 7.0 % x, given > x]
    found = fastnn.Model(x, outputs)(np.full((1, 3), 2.0, "f"))
    assert [f.numpy().tolist() for f in found] == [
        [[2.0, 4.0, 8.0]], [[-1.0, 0.0, 2.0]], [[1.0] * 3], [[0.0, 1.0, 2.0]], [[1.0] * 3],
        [[False, False, True]],
    ]  # fmt: skip
    with pytest.raises(TypeError, match=r"list of symbolic tensors(?s:.)*hint: fastnn.ops.stack"):
        x.__add__([x, x])


def test_methods_of_pytorchs_tensors_say_what_does_the_same_here():
    x, v = fastnn.ops.ones((3,)), fastnn.Variable([1.0])
    for value in (x, v):
        for name in ("backward", "grad", "requires_grad", "detach", "cpu", "cuda", "to"):
            with pytest.raises(AttributeError, match=f"has no '{name}'(?s:.)*hint:"):
                getattr(value, name)
            assert not hasattr(value, name)

    class Torchlike(fastnn.Model):
        def train_step(self, data):
            loss = self.compute_loss(y=data[1], y_pred=self(data[0]))
            loss.backward()
            return {"loss": loss}

    inputs = fastnn.Input((3,))
    model = Torchlike(inputs, layers.Dense(1)(inputs))
    model.compile("sgd", "mse")
    with pytest.raises(AttributeError, match=r"hint: with tf.GradientTape\(\) as tape"):
        model.fit(X, Y, verbose=0)
    with pytest.raises(AttributeError, match=r"no_grad(?s:.)*hint: leave it out"):
        fastnn.no_grad()


def test_a_dict_of_losses_for_outputs_without_names_is_refused():
    class Two(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.box, self.kind = layers.Dense(2), layers.Dense(1)

        def call(self, inputs):
            return self.kind(inputs), self.box(inputs)

    both = {"kind": "binary_crossentropy", "box": "mse"}
    for settings, what in (
        ({"loss": both}, "loss"), ({"loss": "mse", "metrics": both}, "metrics"),
        ({"loss": "mse", "loss_weights": {"kind": 1.0, "box": 2.0}}, "loss_weights"),
    ):  # fmt: skip
        model = Two()
        model.compile("sgd", **settings)
        with pytest.raises(ValueError, match=rf"^{what} names 'kind', 'box'(?s:.)*hint: return a"):
            model.fit(X, [Y, np.ones((8, 2), "f")], verbose=0)
    model = Two()
    model.compile("sgd", "mse")
    named = {"kind": Y, "box": np.ones((8, 2), "f")}
    for run in (model.fit, model.evaluate, model.train_on_batch):
        with pytest.raises(fastnn.DataError, match=r"y names 'kind', 'box'(?s:.)*hint: return a"):
            run(X, named)
    one = fastnn.Sequential([layers.Dense(1)])
    one.compile("sgd", {"a": "mse", "b": "mae"})
    with pytest.raises(ValueError, match=r"1 output\(s\) without names(?s:.)*hint:"):
        one.fit(X, Y, verbose=0)


def test_an_argument_of_an_own_call_that_is_left_out_is_named():
    class Sum(fastnn.layers.Layer):
        def call(self, a, b, training=None):
            return a + b

    class Joint(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.dense = fastnn.layers.Dense(1)

        def call(self, a, b):
            return self.dense(a) + b

    x = np.ones((4, 2), np.float32)
    for given in (x, fastnn.Input((2,))):
        with pytest.raises(TypeError, match=r"Sum\) needs the input 'b'.*\n  hint: .*\(a, b\)"):
            Sum()(given)
    model = Joint()
    model.compile("sgd", "mse")
    for run in (lambda: model.fit(x, x[:, :1], verbose=0), lambda: model.predict(x), model.call):
        with pytest.raises(TypeError, match="'b'"):
            run()
    with pytest.raises(TypeError, match=r"fit gives one argument: def call\(self, inputs\): a, b"):
        model.fit(x, x[:, :1], verbose=0)

    class Broken(fastnn.layers.Layer):
        def call(self, a, b=1):
            return a + len(b)

    with pytest.raises(TypeError, match="has no len"):
        Broken()(x)
