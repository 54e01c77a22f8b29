"""No file is taken in part without a word: every weight is filled, every tensor has a place."""

import threading
import warnings

import numpy as np
import pytest

from fastnn import keras as K
from fastnn.errors import FormatError
from fastnn.files import keras, native
from fastnn.models import load_model

X = np.ones((4, 2), "float32")
WHOLE = ("m.safetensors", "m.keras")
WEIGHTS = ("w.safetensors", "w.weights.h5")


class Net(K.Model):
    def __init__(self, **k):
        super().__init__(**k)
        self.a = K.layers.Dense(3)
        self.drop = K.layers.Dropout(0.5)

    def call(self, x, training=False):
        return self.drop(self.a(x), training=training)

    def get_config(self):
        return {}


class Nested(Net):
    def __init__(self, **k):
        super().__init__(**k)
        self.inner = Net()
        self.more = [K.layers.Dense(2), K.layers.Dense(2)]

    def call(self, x, training=False):
        return self.more[1](self.more[0](self.inner(x, training=training)))


class Pair(Net):
    """Takes two inputs in a dict."""

    def call(self, inputs, training=None):
        return self.a(inputs["x"]) + inputs["z"]


class Lazy(Net):
    """Makes a layer when it is first called."""

    late = None

    def call(self, x, training=False):
        if self.late is None:
            self.late = K.layers.Dense(3)
        return self.late(super().call(x, training))


class Opaque(Net):
    """Cannot be called on placeholders: it looks at the values."""

    def call(self, x, training=False):
        assert float(K.ops.sum(x)) >= 0
        return super().call(x, training)


CASES = {
    "subclass": (Net, X),
    "nested": (Nested, X),
    "dict of inputs": (Pair, {"x": X, "z": X[:, :1]}),
    "lazy layer": (Lazy, X),
}


@pytest.mark.parametrize("file", WHOLE)
@pytest.mark.parametrize("name", CASES)
def test_a_subclassed_model_comes_back_with_its_weights_and_goes_on(name, file, tmp_path):
    make, x = CASES[name]
    model, y = make(), np.zeros((4, 3 if name != "nested" else 2), "float32")
    model.compile("adam", "mse")
    model.fit(x, y, verbose=0)
    want = model.predict(x, verbose=0)
    model.save(tmp_path / file)
    again = load_model(tmp_path / file, custom_objects={make.__name__: make})
    np.testing.assert_array_equal(again.predict(x, verbose=0), want)
    if file.endswith(".keras"):
        return  # Keras's format has no place for the states of random layers in a subclass
    for m in (model, again):
        m.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_of_a_subclassed_model_is_whole(tmp_path):
    model = Net()
    model.compile("sgd", "mse")
    path = tmp_path / "{epoch}.safetensors"
    model.fit(X, np.zeros((4, 3)), verbose=0, callbacks=[K.callbacks.ModelCheckpoint(path)])
    again = load_model(tmp_path / "1.safetensors", custom_objects={"Net": Net})
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_model_that_cannot_be_built_from_a_file_is_refused(tmp_path):
    model = Opaque()
    model(X)
    model.save(tmp_path / "m.safetensors")
    with pytest.raises(FormatError, match="hint:"):
        load_model(tmp_path / "m.safetensors", custom_objects={"Opaque": Opaque})


def dense(*units, names=None, width=2):
    names = names or [None] * len(units)
    layers = [K.layers.Dense(u, name=n) for u, n in zip(units, names, strict=True)]
    return K.Sequential([K.Input((width,)), *layers])


OTHERS = {
    "fewer layers": lambda: dense(3),
    "more layers": lambda: dense(3, 4, 5),
    "other widths": lambda: dense(3, 5),
    "other names": lambda: dense(3, 4, names=["p", "q"]),
}


@pytest.mark.parametrize("file", [*WEIGHTS, *WHOLE])
@pytest.mark.parametrize("other", OTHERS)
def test_weights_of_another_architecture_are_refused_and_leave_the_model_alone(
    other, file, tmp_path
):
    model = dense(3, 4, names=["one", "two"] if other == "other names" else None)
    save = model.save if file in WHOLE else model.save_weights
    save(tmp_path / file)
    if other == "other names" and not file.endswith(".safetensors"):
        # Keras's files go by class and order, not by name.
        OTHERS[other]().load_weights(tmp_path / file)
        return
    made = OTHERS[other]()
    before = made.get_weights()
    with pytest.raises(FormatError, match=r"fit|shape") as caught:
        made.load_weights(tmp_path / file)
    assert "hint:" in str(caught.value)
    for a, b in zip(made.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.warns(UserWarning, match="not taken as a whole"):
        made.load_weights(tmp_path / file, skip_mismatch=True)


@pytest.mark.parametrize("file", WEIGHTS)
def test_a_subclass_that_lacks_a_layer_of_the_file_is_refused(file, tmp_path):
    big, small = Nested(), Net()
    big(X)
    small(X)
    big.save_weights(tmp_path / file)
    with pytest.raises(FormatError):
        small.load_weights(tmp_path / file)


def test_optimizer_state_is_no_weight_and_random_states_are_named(tmp_path):
    with_dropout = K.Sequential([K.Input((2,)), K.layers.Dropout(0.5), K.layers.Dense(1)])
    with_dropout.compile("adam", "mse")
    with_dropout.fit(X, np.zeros(4), verbose=0)
    with_dropout.save(tmp_path / "m.safetensors")
    plain = dense(1)
    with pytest.warns(UserWarning, match="random states"):
        plain.load_weights(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(plain.get_weights()[0], with_dropout.get_weights()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = K.Sequential([K.Input((2,)), K.layers.Dropout(0.5), K.layers.Dense(1)])
        same.load_weights(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("ending", "module", "name"),
    [
        ("keras", keras.state, "weights_bytes"), ("h5", keras.legacy, "write_model"),
        ("safetensors", native, "optimizer_values"),
    ],
)  # fmt: skip
def test_a_model_compiled_by_another_thread_while_it_is_saved_loads(
    ending, module, name, tmp_path, monkeypatch
):
    model = K.Sequential([K.Input((2,)), K.layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(X, np.ones(4), verbose=0)
    read, times = getattr(module, name), []

    def compiled_before(*args, **kwargs):
        if not times:
            thread = threading.Thread(target=lambda: model.compile("sgd", "mae"))
            thread.start()
            thread.join()
        times.append(1)
        return read(*args, **kwargs)

    monkeypatch.setattr(module, name, compiled_before)
    model.save(tmp_path / f"m.{ending}")
    loaded = load_model(tmp_path / f"m.{ending}")
    assert len(times) == 2
    assert isinstance(loaded.optimizer, K.optimizers.SGD)
    assert loaded.loss == "mae"
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
