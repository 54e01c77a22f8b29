"""The `onnx` package, which knows the file format; it comes with the extra `[onnx]`."""

from __future__ import annotations

from typing import Any

__all__ = ["onnx_package"]


def onnx_package(what: str) -> Any:
    """The package, imported when `what` needs it; ImportError with a hint when it is missing."""
    try:
        import onnx
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("onnx", "google", "ml_dtypes"):
            raise
        raise ImportError(
            f"{what} needs the package onnx 1.16 or newer, which is not installed\n"
            '  hint: pip install "fastnn-rs[onnx]"'
        ) from None
    return onnx
