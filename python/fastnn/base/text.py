"""Text as programs around TensorFlow see it: an array of NumPy's with a tensor's few methods.

No tensor holds text. What data sets, `tf.constant` and `tf.strings` give instead is such an array:
its parts are again arrays, of no axes at last, and `numpy()` gives bytes, as there. Depends on
nothing of fastnn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

__all__ = ["TextArray", "as_text"]


class TextArray(np.ndarray[Any, Any]):
    """An array of text whose parts stay arrays; `as_text` makes one."""

    def numpy(self) -> Any:
        """The text as bytes of UTF-8: one `bytes`, or an array of such objects."""
        if self.ndim == 0:
            return str(self.item()).encode()
        out = np.empty(self.shape, object)
        out.ravel()[:] = [str(v).encode() for v in self.ravel().tolist()]
        return out

    def get_shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return tuple(self.shape)

    def set_shape(self, shape: Sequence[int | None]) -> None:
        """Nothing: an array has its shape."""

    def to_tensor(
        self, default_value: Any = "", shape: Any = None, name: str | None = None
    ) -> TextArray:
        """The array itself, as rows of unlike lengths are filled up already."""
        return self

    def __getitem__(self, key: Any) -> Any:
        """A part; a single text is an array without axes."""
        key = tuple(map(_index, key)) if isinstance(key, tuple) else _index(key)
        return as_text(super().__getitem__(key))

    def __iter__(self) -> Iterator[Any]:
        """The parts along the first axis."""
        return (self[i] for i in range(len(self)))

    def __hash__(self) -> int:  # type: ignore[override]
        if self.ndim:
            raise TypeError("unhashable type: an array of several texts\n  hint: x.tolist()")
        return hash(self.item())

    def __str__(self) -> str:
        return str(self.item()) if self.ndim == 0 else super().__str__()


def _index(key: Any) -> Any:
    """An index as NumPy takes it: tensors of numbers and truth values are arrays."""
    return np.asarray(key) if hasattr(key, "numpy") and not isinstance(key, np.ndarray) else key


def as_text(value: Any) -> TextArray:
    """Texts of any nesting as a `TextArray`; an array is not copied."""
    array = np.asarray(value)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    return array.view(TextArray)
