"""Models from and to ONNX (extra `[onnx]`): `fastnn.onnx.load` and `model.export("m.onnx")`."""

from __future__ import annotations

from fastnn.onnx.writer import export, to_proto

__all__ = ["export", "to_proto"]
