"""Quantised files, as onnxruntime.quantization writes them, on arrays and in compiled graphs."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")
pytest.importorskip("onnxruntime", reason="needs onnxruntime to compare with")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization as q

import fastnn

rng = np.random.default_rng(0)


def floats(*sizes):
    return rng.standard_normal(sizes).astype(np.float32)


def runtime(model, inputs):
    """What the file says, without the rewriting that moves roundings."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else model.SerializeToString()
    run = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return run.run(None, inputs)[0]


def made(nodes, arrays, inputs, output, opset=17):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(k, t, d) for k, (t, d) in inputs.items()],
        [helper.make_tensor_value_info(output[0], *output[1:])],
        [numpy_helper.from_array(a, k) for k, a in arrays.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets)
    model.ir_version = 8
    return model


def network():
    nodes = [
        helper.make_node("Conv", ["x", "k", "b"], ["c"], name="c", pads=[1, 1, 1, 1]),
        helper.make_node("LeakyRelu", ["c"], ["r"], name="r", alpha=0.2),
        helper.make_node("Conv", ["r", "k2"], ["d"], name="d", group=2, pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["r", "d"], ["a"], name="a"),
        helper.make_node("Mul", ["a", "r"], ["m"], name="m"),
        helper.make_node("Concat", ["m", "r"], ["j"], name="j", axis=1),
        helper.make_node("Sigmoid", ["j"], ["s"], name="s"),
        helper.make_node("GlobalAveragePool", ["s"], ["p"], name="p"),
        helper.make_node("Flatten", ["p"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "w", "v"], ["g"], name="g", transB=1),
        helper.make_node("Softmax", ["g"], ["y"], name="y", axis=-1),
    ]
    arrays = {
        "k": floats(4, 3, 3, 3), "b": floats(4), "k2": floats(4, 2, 3, 3), "w": floats(3, 8),
        "v": floats(3),
    }  # fmt: skip
    return made(
        nodes,
        arrays,
        {"x": (TensorProto.FLOAT, ["n", 3, 6, 6])},
        ("y", TensorProto.FLOAT, ["n", 3]),
    )


def assert_near(found, want):
    """Equal, but for a few steps of the last grid where a sum lies between two points of it."""
    apart = np.abs(np.asarray(found) - want)
    assert apart.max() < 0.02
    assert np.mean(apart < 1e-4) >= 0.7


class Rows(q.CalibrationDataReader):
    def __init__(self, x):
        self.left = [{"x": x}]

    def get_next(self):
        return self.left.pop() if self.left else None


WAYS = {
    "dynamic": lambda a, b, x: q.quantize_dynamic(a, b),
    "dynamic, by channel": lambda a, b, x: q.quantize_dynamic(
        a, b, per_channel=True, weight_type=q.QuantType.QUInt8
    ),
    "pairs": lambda a, b, x: q.quantize_static(
        a, b, Rows(x), quant_format=q.QuantFormat.QDQ, per_channel=True
    ),
    "pairs of 16 bits": lambda a, b, x: q.quantize_static(
        a, b, Rows(x), quant_format=q.QuantFormat.QDQ, activation_type=q.QuantType.QUInt16
    ),
    "operators": lambda a, b, x: q.quantize_static(
        a, b, Rows(x), quant_format=q.QuantFormat.QOperator
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_quantised_network_predicts_what_onnx_runtime_does(way, tmp_path):
    plain, path, x = tmp_path / "plain.onnx", tmp_path / "q.onnx", floats(5, 3, 6, 6)
    onnx.save(network(), plain)
    WAYS[way](str(plain), str(path), x)
    kinds = {n.op_type for n in onnx.load(path).graph.node}
    assert kinds & {"ConvInteger", "QuantizeLinear", "QLinearConv"}
    want = runtime(path.read_bytes(), {"x": x})
    model = fastnn.onnx.load(path)
    assert_near(model(x), want)
    assert_near(model.predict(x, verbose=0), want)
    model.save(tmp_path / "q.safetensors")
    again = fastnn.load_model(tmp_path / "q.safetensors")
    assert_near(again.predict(x, verbose=0), want)
    model.export(tmp_path / "again.onnx")
    found = runtime((tmp_path / "again.onnx").read_bytes(), {"x": x})
    assert_near(found, want)


@pytest.mark.parametrize("zero", [0, 3])
def test_sums_beyond_two_to_the_24_are_exact(zero):
    x = rng.integers(250, 256, (2, 900)).astype(np.uint8)
    w = (2 * rng.integers(120, 128, (900, 3)) + 1).astype(np.uint8)
    w[:, 2] //= 5
    arrays = {"w": w, "z": np.uint8(zero).reshape(())}
    nodes = [helper.make_node("MatMulInteger", ["x", "w", "", "z"], ["y"])]
    model = fastnn.onnx.load(
        made(
            nodes,
            arrays,
            {"x": (TensorProto.UINT8, ["n", 900])},
            ("y", TensorProto.INT32, ["n", 3]),
        ).SerializeToString()
    )
    want = x.astype(np.int64) @ (w.astype(np.int64) - zero)
    assert want.max() > 1 << 24
    np.testing.assert_array_equal(model(x), want)
    np.testing.assert_array_equal(model.predict(x.astype(np.int32), verbose=0), want)
    nodes = [helper.make_node("ConvInteger", ["x", "k", "", "z"], ["y"])]
    model = fastnn.onnx.load(
        made(
            nodes,
            {"k": w.T.reshape(3, 100, 3, 3), "z": arrays["z"]},
            {"x": (TensorProto.UINT8, ["n", 100, 3, 3])},
            ("y", TensorProto.INT32, ["n", 3, 1, 1]),
        ).SerializeToString()
    )
    image = x.reshape(2, 100, 3, 3)
    np.testing.assert_array_equal(np.asarray(model(image))[..., 0, 0], want)
    found = model.predict(image.astype(np.int32), verbose=0)
    np.testing.assert_array_equal(found[..., 0, 0], want)


def test_both_operands_may_be_computed():
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["a", "s", "z"]),
        helper.make_node("DynamicQuantizeLinear", ["u"], ["b", "t", "v"]),
        helper.make_node("MatMulInteger", ["a", "b", "z", "v"], ["i"]),
        helper.make_node("Cast", ["i"], ["f"], to=1),
        helper.make_node("Mul", ["s", "t"], ["st"]),
        helper.make_node("Mul", ["f", "st"], ["y"]),
    ]
    model = made(
        nodes,
        {},
        {"x": (TensorProto.FLOAT, ["n", 4, 700]), "u": (TensorProto.FLOAT, ["n", 700, 5])},
        ("y", TensorProto.FLOAT, ["n", 4, 5]),
    )
    x, u = np.abs(floats(3, 4, 700)) + 3, np.abs(floats(3, 700, 5)) + 3
    loaded, want = fastnn.onnx.load(model.SerializeToString()), runtime(model, {"x": x, "u": u})
    np.testing.assert_allclose(loaded([x, u]), want, rtol=1e-6)
    np.testing.assert_allclose(loaded.predict([x, u], verbose=0), want, rtol=1e-6)


def test_what_is_quantised_wraps_around_as_its_type_does():
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["a"]),
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("DequantizeLinear", ["b", "s", "z"], ["y"]),
    ]
    arrays = {"s": np.float32(0.5).reshape(()), "z": np.int8(5).reshape(())}
    types = {"x": (TensorProto.FLOAT, ["n", 5])}, ("y", TensorProto.FLOAT, ["n", 5])
    model = made(nodes, arrays, *types)
    x = np.array([[0.25, 30.0, -1e30, 1e30, 0.75]], np.float32)
    loaded = fastnn.onnx.load(model.SerializeToString())
    want = np.asarray(loaded(x))
    assert want[0, 1] == ((2 * 65 + 128) % 256 - 128 - 5) * 0.5
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), want)


def test_an_lstm_of_whole_numbers_is_near_what_onnx_runtime_gives(tmp_path):
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "b"], ["", "h"], name="l", hidden_size=6,
                         direction="bidirectional"),
        helper.make_node("Transpose", ["h"], ["y"], perm=[1, 0, 2]),
    ]  # fmt: skip
    arrays = {"w": floats(2, 24, 4), "r": floats(2, 24, 6), "b": floats(2, 48)}
    types = {"x": (TensorProto.FLOAT, [5, "n", 4])}, ("y", TensorProto.FLOAT, ["n", 2, 6])
    onnx.save(made(nodes, arrays, *types), tmp_path / "plain.onnx")
    path = tmp_path / "q.onnx"
    q.quantize_dynamic(str(tmp_path / "plain.onnx"), str(path), per_channel=True)
    assert "DynamicQuantizeLSTM" in {n.op_type for n in onnx.load(path).graph.node}
    x = floats(5, 3, 4)
    want = runtime(path.read_bytes(), {"x": x})
    found = np.asarray(fastnn.onnx.load(path)(x))
    np.testing.assert_allclose(found, want, atol=0.03)  # its activations are not rounded here
