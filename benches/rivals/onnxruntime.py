"""ONNX Runtime: predictions of an exported network, the quickest way a peer offers."""

from __future__ import annotations

from collections.abc import Callable

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from rivals import data

_threads = 1


def versions(threads: int) -> dict[str, str]:
    global _threads
    _threads = threads
    return {"onnxruntime": onnxruntime.__version__}


def predict_one(sizes: list[int], how: str, batch: int = 1) -> Callable[[], float]:
    nodes, constants, name = [], [], "x"
    for i, (w, b) in enumerate(data.layer_weights(sizes)):
        constants += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        nodes.append(helper.make_node("Gemm", [name, f"w{i}", f"b{i}"], [f"z{i}"]))
        name = f"z{i}"
        if i < len(sizes) - 2:
            nodes.append(helper.make_node("Relu", [name], [f"a{i}"]))
            name = f"a{i}"
    form = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", size])
        for n, size in (("x", sizes[0]), (name, sizes[-1]))
    ]
    graph = helper.make_graph(nodes, "mlp", form[:1], form[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = data.uniform(batch, sizes[0])
    return lambda: float(session.run(None, {"x": x})[0][0, 0])
