"""`tf.sparse`: elements by their places, for programs that make a dense tensor of them.

Nothing computes on them as they are. Depends on `ops`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.tensors import DType, TensorShape
from fastnn.base.typing import TensorLike
from fastnn.errors import DataError

__all__ = [
    "IndexedSlices",
    "SparseTensor",
    "from_dense",
    "reorder",
    "sparse_dense_matmul",
    "to_dense",
]


class IndexedSlices:
    """Rows of a tensor and their numbers, for updates of parts of a variable.

    Args:
        values: The rows.
        indices: Their numbers.
        dense_shape: The sizes of the tensor, or None.

    Example:
        >>> import fastnn as tf
        >>> tf.Variable([1.0, 2.0]).scatter_add(tf.IndexedSlices([0.5], [0])).numpy()
        array([1.5, 2. ], dtype=float32)
    """

    def __init__(self, values: Any, indices: Any, dense_shape: Any = None) -> None:
        self.values = ops.convert_to_tensor(values)
        self.indices = ops.convert_to_tensor(indices, "int32")
        self.dense_shape = dense_shape


class SparseTensor:
    """Elements of a tensor by their places; the others are 0.

    Args:
        indices: Places, one row each: (n, axes).
        values: The elements, (n,).
        dense_shape: The sizes of the tensor.

    Example:
        >>> import fastnn as tf
        >>> found = tf.SparseTensor([[0, 1], [1, 0]], [3.0, 4.0], [2, 2])
        >>> tf.sparse.to_dense(found).tolist()
        [[0.0, 3.0], [4.0, 0.0]]
    """

    def __init__(self, indices: Any, values: Any, dense_shape: Any) -> None:
        self.indices = ops.convert_to_tensor(indices, "int32")
        self.values = ops.convert_to_tensor(values)
        self.dense_shape = ops.convert_to_tensor(dense_shape, "int32")
        self._sizes = TensorShape(int(n) for n in np.asarray(self.dense_shape))
        places, axes = np.asarray(self.indices), len(self._sizes)
        if places.ndim != 2 or places.shape != (len(self.values), axes):
            raise DataError(
                f"SparseTensor: indices of shape {places.shape} for {len(self.values)} values of "
                f"{axes} axes\n  hint: one row of {axes} whole numbers for each value"
            )
        if len(places) and ((places < 0) | (places >= np.array(self._sizes))).any():
            raise DataError(
                f"SparseTensor: a place lies outside of {self._sizes}\n  hint: a larger dense_shape"
            )

    @property
    def shape(self) -> TensorShape:
        """The sizes of the tensor."""
        return self._sizes

    def get_shape(self) -> TensorShape:
        """The sizes of the tensor."""
        return self._sizes

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self.values.dtype

    def __repr__(self) -> str:
        return f"<SparseTensor shape={self._sizes}, {len(self.values)} values>"


def to_dense(
    sp_input: SparseTensor, default_value: Any = None, validate_indices: bool = True,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """The whole tensor; `default_value`, 0 unless told, where there is no element."""
    start = ops.full(sp_input.shape, 0 if default_value is None else default_value)
    start = ops.cast(start, sp_input.dtype)
    found: Tensor = ops.scatter_update(start, sp_input.indices, sp_input.values)
    return found


def from_dense(tensor: TensorLike, name: str | None = None) -> SparseTensor:
    """The elements of a tensor that are not 0."""
    array = np.asarray(ops.convert_to_tensor(tensor))
    places = np.argwhere(array)
    return SparseTensor(places.reshape(-1, array.ndim), array[tuple(places.T)], array.shape)


def reorder(sp_input: SparseTensor, name: str | None = None) -> SparseTensor:
    """The elements row by row."""
    places = np.asarray(sp_input.indices)
    order = np.lexsort(places.T[::-1])
    return SparseTensor(places[order], np.asarray(sp_input.values)[order], sp_input.shape)


def sparse_dense_matmul(
    sp_a: Any, b: Any, adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None
) -> Tensor:
    """Products of matrices, the first of which is given by its elements."""
    x, y = (to_dense(m) if isinstance(m, SparseTensor) else m for m in (sp_a, b))
    x = ops.swapaxes(x, -2, -1) if adjoint_a else x
    return ops.matmul(x, ops.swapaxes(y, -2, -1) if adjoint_b else y)


answer_missing(globals(), "fastnn.sparse")
