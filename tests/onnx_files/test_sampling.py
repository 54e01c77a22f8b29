"""Sampling between points of a grid: on arrays, in compiled graphs, in exports and in training."""

import itertools

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")
pytest.importorskip("onnxruntime", reason="needs onnxruntime to compare with")

import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import fastnn

rng = np.random.default_rng(0)


def floats(*sizes):
    return rng.standard_normal(sizes).astype(np.float32)


def made(nodes, inputs, arrays=None):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(k, t, d) for k, (t, d) in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(a, k) for k, a in (arrays or {}).items()],
    )
    opsets = [helper.make_opsetid("", 20)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()


def runtime(data, inputs):
    run = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return run.run(None, inputs)[0]


OPEN = {
    "x": (TensorProto.FLOAT, ["n", 2, "h", "w"]),
    "g": (TensorProto.FLOAT, ["n", "a", "b", 2]),
}


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("border", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("corners", [False, True])
def test_grids_are_sampled_as_onnx_runtime_does(mode, border, corners, tmp_path):
    node = helper.make_node(
        "GridSample", ["x", "g"], ["y"], mode=mode, padding_mode=border, align_corners=int(corners)
    )
    data, x, g = made([node], OPEN), floats(3, 2, 5, 6), 2 * floats(3, 4, 3, 2)
    want = runtime(data, {"x": x, "g": g})
    model = fastnn.onnx.load(data)
    np.testing.assert_allclose(model([x, g]), want, atol=1e-5)
    np.testing.assert_allclose(model.predict([x, g], verbose=0), want, atol=1e-5)
    model.export(tmp_path / "again.onnx", opset_version=20)
    found = runtime((tmp_path / "again.onnx").read_bytes(), {"x": x, "g": g})
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_gradients_of_sampled_points_are_differences():
    node = helper.make_node("GridSample", ["x", "g"], ["y"], padding_mode="border")
    model = fastnn.onnx.load(made([node], OPEN))
    x, g = floats(1, 2, 4, 4), 0.4 * floats(1, 2, 2, 2)
    by_x, by_g = fastnn.grad(lambda x, g: fastnn.ops.sum(model([x, g]) ** 2), argnums=(0, 1))(x, g)
    for at, found in ((0, by_x), (1, by_g)):
        for place in itertools.islice(np.ndindex(found.shape), 0, None, 5):
            sides = []
            for step in (1e-2, -1e-2):
                moved = [x.copy(), g.copy()]
                moved[at][place] += step
                sides.append(float((np.asarray(model(moved)).astype(np.float64) ** 2).sum()))
            want = (sides[0] - sides[1]) / 2e-2
            np.testing.assert_allclose(np.asarray(found)[place], want, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("ratio", [0, 2])
def test_boxes_of_a_file_are_aligned_in_exports_too(ratio, tmp_path):
    boxes = np.abs(floats(5, 4))
    boxes[:, 2:] += boxes[:, :2] + np.arange(5, dtype=np.float32)[:, None]
    node = helper.make_node(
        "RoiAlign", ["x", "r", "i"], ["y"], output_height=3, output_width=2, sampling_ratio=ratio
    )
    inputs = {"x": (TensorProto.FLOAT, ["n", 3, 9, 8])}
    data = made([node], inputs, {"r": boxes, "i": np.array([0, 1, 1, 0, 1])})
    x = floats(2, 3, 9, 8)
    want = runtime(data, {"x": x})
    model = fastnn.onnx.load(data)
    np.testing.assert_allclose(model(x), want, atol=1e-5)
    model.export(tmp_path / "again.onnx")
    found = runtime((tmp_path / "again.onnx").read_bytes(), {"x": x})
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_deformable_convolutions_train():
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["o"], pads=[1, 1, 1, 1]),
        helper.make_node("DeformConv", ["x", "w", "o", "b"], ["y"], pads=[1, 1, 1, 1],
                         offset_group=2),
    ]  # fmt: skip
    arrays = {"k": floats(36, 4, 3, 3), "w": floats(5, 4, 3, 3), "b": floats(5)}
    inputs = {"x": (TensorProto.FLOAT, ["n", 4, 6, 7])}
    model, x = fastnn.onnx.load(made(nodes, inputs, arrays)), floats(3, 4, 6, 7)
    before = model.predict(x, verbose=0)
    np.testing.assert_allclose(model(x), before, atol=1e-4)
    assert len(model.trainable_weights) == 3
    held = [w.numpy().copy() for w in model.trainable_weights]
    model.compile("adam", "mse")
    losses = model.fit(x, before + 1, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all((a != w.numpy()).any() for a, w in zip(held, model.trainable_weights, strict=True))
