"""Models from and to ONNX (extra `[onnx]`): `fastnn.onnx.load` and `model.export("m.onnx")`."""

from __future__ import annotations

import os
from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.onnx.writer import to_proto
from fastnn.serialization.registry import model_class
from fastnn.tracing.variables import assign_all

__all__ = ["load", "to_proto"]


@hints_arguments
def load(
    source: str | os.PathLike[str] | bytes,
    open_batch: bool = False,
    name: str | None = None,
    max_bytes: int | None = None,
) -> Any:
    """The model of an ONNX file: called on arrays, it predicts, trains further and is saved.

    Float arrays of the file become weights, batch statistics among them that gradients leave alone;
    arrays that say how a node works stay as they are. Data outside of the file is read from plain
    files in its folder only.

    Args:
        source: A path, the bytes of a file, or a `ModelProto`.
        open_batch: Whether inputs whose first axis has a fixed size take any number of rows. Right
            for graphs that treat each row alike, as those written for one row at a time do.
        name: The name of the model.
        max_bytes: The most bytes that the file may have; by default 2 GiB.

    Returns:
        A model. Called, it gives tensors, or arrays where fastnn has no tensors of the type.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: The file is damaged, or uses an op that is not read; the message names the
            node.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> model.export("model.onnx")
        >>> again = fastnn.onnx.load("model.onnx")
        >>> x = np.ones((3, 2), np.float32)
        >>> bool(np.allclose(again(x), model(x)))
        True
    """
    from fastnn.onnx.reader import read
    from fastnn.onnx.weights import split_weights

    graph = read(source, max_bytes)
    weights = split_weights(graph)
    listed = [(k, list(a.shape), trained) for k, (a, trained) in weights.items()]
    model = model_class("OnnxModel")(graph, listed, open_batch, name)
    assign_all([model._by_name[k] for k in weights], [a for a, _ in weights.values()])
    return model


answer_missing(globals())
