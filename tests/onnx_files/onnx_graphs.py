"""Graphs of ONNX that several tests load."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(0)
F = TensorProto.FLOAT


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def proto(nodes, inputs, outputs, arrays=None, opset=18, **more):
    """A model of nodes; inputs and outputs are name, type and shape."""
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        [numpy_helper.from_array(a, k) for k, a in (arrays or {}).items()],
    )  # fmt: skip
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more
    )


def network():
    """Two layers with a normalised middle, as exporters write them."""
    arrays = {
        "w/1": floats(4, 8), "b:1": floats(8), "scale": floats(8), "shift": floats(8),
        "mean": floats(8), "var": np.abs(floats(8)) + 0.5, "w2": floats(3, 8), "b2": floats(3),
        "low": np.float32(-1.0), "sizes": np.array([0, -1], np.int64),
    }  # fmt: skip
    nodes = [
        helper.make_node("MatMul", ["x", "w/1"], ["a"]),
        helper.make_node("Add", ["a", "b:1"], ["b"]),
        helper.make_node("BatchNormalization", ["b", "scale", "shift", "mean", "var"], ["c"]),
        helper.make_node("Clip", ["c", "low"], ["d"]),
        helper.make_node("Reshape", ["d", "sizes"], ["e"]),
        helper.make_node("Gemm", ["e", "w2", "b2"], ["y"], transB=1),
    ]
    return proto(nodes, [("x", F, ["N", 4])], [("y", F, ["N", 3])], arrays)
