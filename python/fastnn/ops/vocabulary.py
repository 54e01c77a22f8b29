"""The loss of scores over a large vocabulary, whose scores are never held all at once.

Source: Wijmans et al. 2024, "Cut Your Losses in Large-Vocabulary Language Models". Depends on
`control`, `shapes`.
"""

from __future__ import annotations

import math
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops.control import custom_gradient, map, scan
from fastnn.ops.convert import TensorLike, arange, cast, computed, shape, zeros
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import pad, reshape
from fastnn.tracing.symbolic import keras_op

__all__ = ["linear_cross_entropy"]

_c = _core.ops
#: Scores that are held at a time, and rows at least: fewer would read the weights too often.
_SCORES = 1 << 22
_ROWS = 128


@keras_op
def linear_cross_entropy(
    inputs: TensorLike,
    kernel: TensorLike,
    labels: TensorLike,
    bias: TensorLike | None = None,
    transpose_kernel: bool = False,
) -> Tensor:
    """The cross-entropy of `inputs @ kernel + bias`, without the memory of that product.

    It is what `sparse_categorical_crossentropy(labels, inputs @ kernel + bias, from_logits=True)`
    gives, with its gradients. Scores are computed for some rows at a time, and once more for the
    gradient: a step takes a third product of that size more, and in place of two arrays of a
    number for each row and class two of 2^22 numbers. It pays where the vocabulary is large.

    Args:
        inputs: Features (..., features), such as a language model's before its last layer.
        kernel: Weights (features, classes).
        labels: Class numbers (...), integers.
        bias: (classes,), or None.
        transpose_kernel: Whether `kernel` is (classes, features), as a table of embeddings.

    Returns:
        A tensor (...), float32: the loss of each row.

    Raises:
        ShapeError: The shapes do not go together.

    Example:
        >>> x, w = np.eye(2, 3), np.ones((3, 4))
        >>> fastnn.ops.linear_cross_entropy(x, w, [0, 3]).numpy().round(4)
        array([1.3863, 1.3863], dtype=float32)
    """
    x, w, y = computed(inputs, "float32"), computed(kernel, "float32"), cast(labels, "int32")
    lead, width = shape(x)[:-1], shape(x)[-1]
    if len(w.shape) != 2 or shape(w)[int(transpose_kernel)] != width or shape(y) != lead:
        wanted = "(classes, features)" if transpose_kernel else "(features, classes)"
        raise ShapeError(
            f"linear_cross_entropy: inputs of shape {tuple(shape(x))}, a kernel of "
            f"{tuple(shape(w))} and labels of {tuple(shape(y))}, wanted (..., features), {wanted} "
            "and (...)\n  hint: transpose_kernel says that a row of the kernel belongs to a class"
        )
    b = None if bias is None else computed(bias, "float32")
    cut = _cut(lead, shape(w)[int(not transpose_kernel)])
    rounded = _core.product_precision()
    loss = _loss(_blocks(x, cut, (width,)), w, _blocks(y, cut), b, transpose_kernel, rounded)
    loss = reshape(loss, (-1,))
    return reshape(loss[: math.prod(lead)] if _known(lead) else loss, lead)


def _known(sizes: tuple[Any, ...]) -> bool:
    return all(isinstance(n, int) for n in sizes)


def _cut(lead: tuple[Any, ...], classes: int) -> tuple[Any, Any]:
    """The number of blocks and the rows of each; of open sizes the first axis is cut."""
    if not _known(lead):
        return (lead[0], math.prod(lead[1:])) if len(lead) > 1 else (1, lead[0])
    rows = math.prod(lead)
    count = max(1, -(-rows // max(_ROWS, _SCORES // max(classes, 1))))
    return count, -(-rows // count)


def _blocks(x: Tensor, cut: tuple[Any, Any], last: tuple[Any, ...] = ()) -> Tensor:
    """`x` by blocks of rows, (count, rows, ...), zeros behind its last rows."""
    x = reshape(x, (-1, *last))
    if _known(cut) and (short := cut[0] * cut[1] - shape(x)[0]):
        x = pad(x, ((0, short), *((0, 0) for _ in last)))
    return reshape(x, (*cut, *last))


@custom_gradient
def _loss(x: Tensor, w: Tensor, y: Tensor, b: Tensor | None, transposed: bool, rounded: str) -> Any:
    """The losses of blocks of rows, and their gradient, for which scores are made again."""

    def scores(rows: Tensor) -> Tensor:
        z = _c.matmul(rows, w, transpose_b=transposed, precision=rounded)
        return z if b is None else z + b

    def gradient(upstream: Tensor) -> tuple[Any, ...]:
        def back(sums: list[Tensor], block: tuple[Tensor, ...]) -> tuple[Any, Any]:
            rows, labels, weights = block
            chances = _c.softmax(scores(rows))
            hit = _c.equal(_c.expand_dims(labels, axis=[-1]), arange(shape(chances)[-1]))
            d = (chances - cast(hit, "float32")) * _c.expand_dims(weights, axis=[-1])
            pair = (d, rows) if transposed else (rows, d)
            made = [sums[0] + _c.matmul(*pair, transpose_a=True, precision=rounded)]
            if b is not None:
                made.append(sums[1] + _c.sum(d, axis=[0]))
            flows = _c.matmul(d, w, transpose_b=not transposed, precision=rounded)
            return made, flows

        start = [zeros(shape(t)) for t in (w, b) if t is not None]
        sums, dx = scan(back, start, (x, y, upstream))
        return dx, sums[0], None, sums[1] if b is not None else None, None, None

    losses = map(lambda block: _c.sparse_softmax_cross_entropy(scores(block[0]), block[1]), (x, y))
    return losses, gradient


name_ops(globals())
