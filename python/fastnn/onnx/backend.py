"""ONNX's interface for back ends: `prepare`, `run_model`, `supports_device`.

`onnx.backend.test.BackendTest(fastnn.onnx.backend, __name__)` runs ONNX's own tests with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn.onnx.exact import ExactModel
from fastnn.onnx.reader import read

__all__ = ["BackendRep", "prepare", "run_model", "supports_device"]


class BackendRep:
    """A model that is ready to run on arrays, as `prepare` gives it."""

    def __init__(self, model: ExactModel) -> None:
        self._model = model

    def run(self, inputs: Any, **_: Any) -> tuple[Any, ...]:
        """The outputs, with the types that the file gives them.

        Args:
            inputs: Arrays, in order or by name.
            **_: Accepted for the interface's sake.

        Returns:
            A tuple of arrays, or of lists for sequences.
        """
        return tuple(self._model.run(inputs))


def prepare(model: Any, device: str = "CPU", **_: Any) -> BackendRep:
    """Reads a model and makes it ready to run.

    Args:
        model: A `ModelProto`, bytes, or the path of a file.
        device: `"CPU"`.
        **_: Accepted for the interface's sake.

    Returns:
        Something with a method `run`.

    Raises:
        FormatError: The model cannot be read.
    """
    return BackendRep(ExactModel(read(model)))


def run_model(model: Any, inputs: Sequence[Any], device: str = "CPU", **_: Any) -> tuple[Any, ...]:
    """The outputs of a model for arrays.

    Args:
        model: A `ModelProto`, bytes, or the path of a file.
        inputs: Arrays in order.
        device: `"CPU"`.
        **_: Accepted for the interface's sake.

    Returns:
        A tuple of arrays.
    """
    return prepare(model, device).run(inputs)


def supports_device(device: str) -> bool:
    """Whether models run on a device: on `"CPU"` only.

    Args:
        device: The name of the device.

    Returns:
        True or False.
    """
    return device.partition(":")[0] == "CPU"
