"""ONNX Runtime: predictions of an exported network, the quickest way a peer offers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from rivals import data
from rivals.callers import Clients, from_threads

_threads = 1


def versions(threads: int) -> dict[str, str]:
    global _threads
    _threads = threads
    return {"onnxruntime": onnxruntime.__version__}


def exported(sizes: list[int]) -> bytes:
    """The net as a file."""
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
    return model.SerializeToString()


def session_of(sizes: list[int]) -> onnxruntime.InferenceSession:
    """A session with as many threads as the row says."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    return onnxruntime.InferenceSession(
        exported(sizes), options, providers=["CPUExecutionProvider"]
    )


def predict_one(sizes: list[int], how: str, batch: int = 1) -> Callable[[], float]:
    session, x = session_of(sizes), data.uniform(batch, sizes[0])
    return lambda: float(session.run(None, {"x": x})[0][0, 0])


def asked(
    sizes: list[int], samples: int = 1, calls: int = 1, variant: str = ""
) -> Callable[[], None]:
    """`run` for rows, from one or two threads."""
    session, x = session_of(sizes), data.uniform(samples, sizes[0])
    ask = lambda: float(session.run(None, {"x": x})[0][0, 0])  # noqa: E731
    return ask if calls == 1 else from_threads(ask, 2 if "two" in variant else 1, calls)


def service(sizes: list[int], connections: int, requests: int) -> Callable[[], None]:
    """A FastAPI app around a session, and its clients."""
    file = Path(tempfile.mkdtemp(), "model.onnx")
    file.write_bytes(exported(sizes))
    row = data.uniform(1, sizes[0])[0].tolist()
    return Clients("serve_onnxruntime.py", file, row, connections, requests)
