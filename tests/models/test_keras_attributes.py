"""Attributes and methods of layers, models and symbolic tensors that Keras's programs read."""

import pickle

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

FLAGS = np.array([True, False, True])


class Block(layers.Layer):
    """A layer with a layer inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(2, name="inner")

    def build(self, input_shape):
        self.inner.build(input_shape)

    def call(self, inputs):
        return self.inner(inputs)


def test_a_layer_has_its_path_once_it_is_built():
    block, alone = Block(name="block"), layers.Dense(2, name="alone")
    assert block.path is None
    assert alone.path is None
    block(np.ones((1, 3)))
    alone.build((None, 2))
    assert (block.path, block.inner.path, alone.path) == ("block", "block/inner", "alone")
    assert [v.path for v in block.weights] == ["block/inner/kernel", "block/inner/bias"]
    model = fastnn.Sequential([fastnn.Input((3,)), Block(name="first")], name="all")
    assert (model.path, model.layers[0].path) == ("all", "all/first")
    assert model.layers[0].inner.path == "all/first/inner"
    rnn = layers.LSTM(2, name="rnn")
    rnn(np.ones((1, 2, 3)))
    assert rnn.cell.path == "rnn/lstm_cell"
    x = fastnn.Input((2,))
    assert fastnn.Model(x, alone(x), name="net").path == "net"
    assert alone.path == "alone", "the first call counts"


def test_operations_are_layers_and_ops_in_order():
    x = fastnn.Input((3,), name="x")
    model = fastnn.Model(x, ops.relu(layers.Dense(2, name="d")(x)))
    assert [op.name.rstrip("_0123456789") for op in model.operations] == ["x", "d", "relu"]
    assert [layer.name for layer in model.layers] == ["x", "d"]


def test_what_compile_said_of_compilation_can_be_read_and_set():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)])
    assert model.supports_jit
    assert (model.run_eagerly, model.jit_compile) == (False, True)
    model.compile("sgd", "mse", jit_compile=False)
    assert model.jit_compile is False
    model.compile("sgd", "mse", run_eagerly=True)
    assert (model.run_eagerly, model.jit_compile) == (True, False)
    model.jit_compile, model.run_eagerly = True, False
    assert (model.run_eagerly, model.jit_compile) == (False, True)


def test_an_input_spec_comes_back_from_its_config():
    spec = layers.InputSpec(shape=(None, 3), dtype="float32", axes={-1: 3}, optional=True)
    config = spec.get_config()
    assert config == {
        "dtype": "float32", "shape": (None, 3), "ndim": 2, "max_ndim": None, "min_ndim": None,
        "axes": {-1: 3}, "optional": True,
    }  # fmt: skip
    assert layers.InputSpec.from_config(config).get_config() == config
    assert repr(spec) == "InputSpec(dtype=float32, shape=(None, 3), ndim=2, axes={-1: 3})"


def test_an_input_spec_refuses_other_sizes_than_its_shape():
    layer = layers.Identity()
    layer.input_spec = layers.InputSpec(shape=(None, 3))
    assert layer(np.ones((2, 3))).shape == (2, 3)
    with pytest.raises(ValueError, match=r"shape \(None, 3\), got \(2, 4\)\n  hint:"):
        layer(np.ones((2, 4)))
    layer.input_spec = layers.InputSpec(shape=(None, 3, 1), allow_last_axis_squeeze=True)
    assert layer(np.ones((2, 3))).shape == (2, 3)
    assert layer(np.ones((2, 3, 1))).shape == (2, 3, 1)
    with pytest.raises(ValueError, match="expects inputs of shape"):
        layer(np.ones((2, 3, 2)))


def test_a_variable_is_made_by_the_name_of_an_initialiser():
    assert fastnn.Variable("ones", shape=(2,)).numpy().tolist() == [1.0, 1.0]
    whole = fastnn.Variable("zeros", shape=(2,), dtype="int32", name="w")
    assert (whole.dtype, whole.numpy().tolist()) == ("int32", [0, 0])
    with pytest.raises(ValueError, match=r"onez(.|\n)*hint:"):
        fastnn.Variable("onez", shape=(2,))


def test_operators_of_symbolic_tensors_are_recorded_and_saved(tmp_path):
    flag, x = fastnn.Input((3,), dtype="bool"), fastnn.Input((1, 3))
    low = x.squeeze(1)
    quotient, rest = divmod(low, 2.0)
    outputs = [flag & (low > 0.0), flag | (low > 0.0), flag ^ (low > 0.0), ~flag, round(low, 1),
               quotient, rest, divmod(5.0, low)[0], FLAGS & flag]  # fmt: skip
    model = fastnn.Model([flag, x], outputs)
    flags, values = np.array([[True, False, True]]), np.array([[[0.26, -1.5, 3.0]]], np.float32)
    row, up = values[:, 0], values[:, 0] > 0
    wanted = [flags & up, flags | up, flags ^ up, ~flags, row.round(1), row // 2, row % 2,
              np.float32(5) // row, flags & FLAGS]  # fmt: skip
    model.save(tmp_path / "m.keras")
    for made in (model, fastnn.models.load_model(tmp_path / "m.keras")):
        for got, want in zip(made([flags, values]), wanted, strict=True):
            assert np.allclose(np.asarray(got), want), want


def nested(make):
    x = fastnn.Input((3,))
    return fastnn.Model(x, make(lambda n: layers.Dense(1, name=n, kernel_initializer="ones")(x)))


ROWS, ZEROS = np.ones((4, 3), np.float32), np.zeros((4, 1), np.float32)


@pytest.mark.parametrize(
    ("make", "y", "settings", "wanted"),
    [
        (lambda d: {"a": [d("x"), d("y")], "b": d("z")}, {"a": [ZEROS, ZEROS], "b": ZEROS},
         {"loss": {"a": ["mse", "mae"], "b": "mse"}, "loss_weights": {"a": [1.0, 2.0], "b": 3.0}},
         {"loss": 42, "a/x_loss": 9, "a/y_loss": 3, "b_loss": 9}),
        (lambda d: [{"p": d("x"), "q": d("y")}, d("z")], [{"p": ZEROS, "q": ZEROS}, ZEROS],
         {"loss": [{"p": "mse", "q": "mae"}, "mse"]},
         {"loss": 21, "0/p_loss": 9, "0/q_loss": 3, "z_loss": 9}),
        (lambda d: (d("x"), (d("y"), d("z"))), (ZEROS, (ZEROS, ZEROS)),
         {"loss": ("mse", ("mae", "mse"))},
         {"loss": 21, "x_loss": 9, "1/y_loss": 3, "1/z_loss": 9}),
        (lambda d: {"a": [d("x"), d("y")], "b": d("z")}, {"a": [ZEROS, ZEROS], "b": ZEROS},
         {"loss": "mse"}, {"loss": 27, "a/x_loss": 9, "a/y_loss": 9, "b_loss": 9}),
        (lambda d: {"a": [d("x"), d("y")], "b": d("z")}, {"a": [ZEROS, ZEROS], "b": ZEROS},
         {"loss": {"a": ["mse", None], "b": "mae"}}, {"loss": 12, "a/x_loss": 9, "b_loss": 3}),
        (lambda d: {"a": d("x"), "b": d("z")}, {"a": ZEROS, "b": ZEROS},
         {"loss": {"a": ["mse"], "b": ["mae"]}}, {"loss": 12, "a_loss": 9, "b_loss": 3}),
    ],
)  # fmt: skip
def test_losses_are_nested_as_the_outputs(make, y, settings, wanted):
    model = nested(make)
    model.compile("sgd", **settings)
    found = model.evaluate(ROWS, y, verbose=0, return_dict=True)
    assert found == pytest.approx(wanted)
    assert set(model.fit(ROWS, y, verbose=0).history) == set(wanted)


def test_a_nested_loss_that_fits_no_output_is_refused():
    model = nested(lambda d: {"a": [d("x"), d("y")], "b": d("z")})
    y = {"a": [ZEROS, ZEROS], "b": ZEROS}
    for loss, text in (
        ({"a": ["mse", "mae"], "c": "mse"}, "unknown output in loss"),
        ({"a": ["mse", "mae", "mse"], "b": "mse"}, "unknown output in loss"),
        ({"a": {"p": "mse"}, "b": "mse"}, "unknown output in loss"),
    ):
        model.compile("sgd", loss)
        with pytest.raises(ValueError, match=text):
            model.evaluate(ROWS, y, verbose=0)


def test_the_summary_of_a_model_without_weights_yet_lists_its_layers():
    class Own(fastnn.Model):
        def __init__(self):
            super().__init__(name="own")
            self.first = layers.Dense(2, name="first")

        def call(self, inputs):
            return self.first(inputs)

    for model in (Own(), fastnn.Sequential([layers.Dense(2, name="first")], name="own")):
        lines = []
        model.summary(line_length=80, print_fn=lines.append)
        text = "\n".join(lines)
        assert text.startswith('Model: "own"\n┏')
        assert "first (Dense)" in text
        assert "0 (unbuilt)" in text
        assert " Total params: 0 (0.00 B)" in text
        assert "hint: not built yet" in text


def test_a_policy_is_set_after_the_layer_was_made():
    x = np.full((64, 256), 1.0 + 2.0**-10, np.float32)
    layer = layers.Dense(256, kernel_initializer="ones")
    made_so = layers.Dense(256, kernel_initializer="ones", dtype="mixed_bfloat16")
    assert layer(x).numpy()[0, 0] == 256.25
    layer.dtype_policy = "mixed_bfloat16"
    assert layer.dtype_policy.name == layer.get_config()["dtype"] == "mixed_bfloat16"
    assert np.array_equal(layer(x), made_so(x))
    with pytest.raises(ValueError, match="hint:"):
        layer.dtype_policy = "mixed_float99"
    assert layer.input_dtype == "float32"
    assert layer.symbolic_call(fastnn.Input((256,))).shape == (None, 256)


def test_a_sequential_is_made_of_what_a_generator_gives():
    model = fastnn.Sequential(layers.Dense(2, name=f"d{i}") for i in range(2))
    model.build((None, 3))
    assert [layer.name for layer in model.layers] == ["d0", "d1"]
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again(ROWS), model(ROWS))
    assert fastnn.models.clone_model(model).output_shape == (None, 2)


def test_comparisons_of_symbolic_tensors_compare_when_the_model_runs(tmp_path):
    x = fastnn.Input((3,))
    outputs = [x == 1.0, x != 1.0, ops.where(x == 0.0, 5.0, x), np.float32([0, 1, 1]) == x]
    model = fastnn.Model(x, outputs)
    model.save(tmp_path / "m.keras")
    rows = np.array([[0.0, 1.0, 2.0]], np.float32)
    wanted = [rows == 1, rows != 1, [[5.0, 1.0, 2.0]], [[True, True, False]]]
    for made in (model, fastnn.models.load_model(tmp_path / "m.keras")):
        for got, want in zip(made(rows), wanted, strict=True):
            assert np.array_equal(got, want)
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711
    assert x in [x]
    assert {x: 1}[x] == 1
    y, wide = fastnn.Input((3,)), fastnn.Input((5, 7))
    assert y not in [x, wide]
    assert [wide, x, y].index(y) == 2
    assert bool(x != y)
    assert not bool(x == y)
    assert (x == "text") is False
    both = fastnn.Model([x, y], ops.where(x == y, 1.0, 0.0))
    assert both.inputs == [x, y]
    assert both.inputs != [y, x]
    assert np.array_equal(both([rows, np.zeros_like(rows)]), [[1.0, 0.0, 0.0]])
    with pytest.raises(fastnn.TraceError, match="hint:"):
        bool(x == 1.0)
