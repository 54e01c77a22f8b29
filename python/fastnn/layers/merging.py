"""Layers of several inputs: sums, products, joins. Depends on `base`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError
from fastnn.layers.base.axes import check_axes
from fastnn.layers.base.layer import Layer
from fastnn.tracing.call_context import mask_of
from fastnn.tracing.symbolic import known_sizes

__all__ = [
    "Add", "Average", "Concatenate", "Dot", "Maximum", "Minimum", "Multiply", "Subtract", "add",
    "average", "concatenate", "dot", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip


class _Merge(Layer):
    """Inputs of one shape (or broadcasting over it) into one output."""

    _exactly: int | None = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def _join(self, inputs: list[Any]) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """The inputs merged; lower ranks get axes after the batch."""
        inputs = self._listed(inputs)
        rank = max(ops.ndim(x) for x in inputs)
        return self._join([_lift(x, rank) for x in inputs])

    def _listed(self, inputs: TensorLike) -> list[Any]:
        kind = type(self).__name__
        if not isinstance(inputs, list | tuple) or not inputs:
            raise ValueError(
                f"{kind} {self.name!r} merges a list of inputs, got {type(inputs).__name__}\n"
                f"  hint: {kind}()([a, b])"
            )
        if self._exactly is not None and len(inputs) != self._exactly:
            raise ValueError(
                f"A `{kind}` layer should be called on exactly {self._exactly} inputs. "
                f"{self.name!r} received {len(inputs)}\n"
                f"  hint: {kind}()([a, b])"
            )
        return [ops.convert_to_tensor(x) for x in inputs]

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """Positions that are valid in some input, as in Keras; None when an input has no mask."""
        masks = _mask_list(inputs, mask)
        if not masks or any(m is None for m in masks):
            return None
        out = masks[0]
        for m in masks[1:]:
            out = ops.logical_or(out, m)
        return out

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        return functools.reduce(lambda a, b: (a, b), masks)

    def _fold(self, inputs: list[Any], fold: Callable[[Any, Any], Any], identity: float) -> Any:
        """The inputs folded without what is masked out; 0 where every input is."""
        masks = [mask_of(x) for x in inputs]
        kept, wide = [], []
        for x, m in zip(inputs, masks, strict=True):
            if m is not None:
                m = ops.expand_dims(m, axis=-1) if ops.ndim(m) < ops.ndim(x) else m
                x = ops.where(m, x, identity)
                wide.append(m)
            kept.append(x)
        out = functools.reduce(fold, kept)
        if len(wide) < len(inputs):
            return out
        return ops.where(functools.reduce(ops.logical_or, wide), out, 0.0)


def _mask_list(inputs: TensorLike, masks: TensorLike) -> list[Any]:
    """The masks of the inputs; ValueError unless there is one entry per input."""
    if masks is None:
        return []
    for name, value in (("mask", masks), ("inputs", inputs)):
        if not isinstance(value, list | tuple):
            raise ValueError(
                f"`{name}` should be a list. Received: {name}={value}\n  hint: put it in a list"
            )
    if len(masks) != len(inputs):
        raise ValueError(
            "The lists `inputs` and `mask` should have the same length. Received: "
            f"{len(inputs)} inputs and {len(masks)} masks"
            "\n  hint: one mask per input, None where there is none"
        )
    return list(masks)


def _lift(x: TensorLike, rank: int) -> Any:
    while ops.ndim(x) < rank:
        x = ops.expand_dims(x, axis=1)
    return x


class Add(_Merge):
    """The sum of several inputs, element by element.

    Shapes: a list of two or more inputs that broadcast -> their common shape.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The shapes do not broadcast.

    Example:
        >>> fastnn.layers.Add()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).numpy()
        array([[11., 22.]], dtype=float32)
    """

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = out + x
        return out


class Subtract(_Merge):
    """The first of two inputs minus the second, element by element.

    Shapes: a list of exactly two inputs that broadcast -> their common shape.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The shapes do not broadcast.

    Example:
        >>> fastnn.layers.Subtract()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).numpy()
        array([[ -9., -18.]], dtype=float32)
    """

    _exactly = 2

    def _join(self, inputs: list[Any]) -> Any:
        return inputs[0] - inputs[1]


class Multiply(_Merge):
    """The product of several inputs, element by element.

    Shapes: a list of two or more inputs that broadcast -> their common shape.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The shapes do not broadcast.

    Example:
        >>> fastnn.layers.Multiply()([np.array([[1.0, 2.0]]), np.array([[10.0, 20.0]])]).numpy()
        array([[10., 40.]], dtype=float32)
    """

    def _join(self, inputs: list[Any]) -> Any:
        return self._fold(inputs, ops.multiply, 1.0)


class Average(_Merge):
    """The mean of several inputs, element by element.

    Shapes: a list of two or more inputs that broadcast -> their common shape.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The shapes do not broadcast.

    Example:
        >>> fastnn.layers.Average()([np.array([[1.0, 2.0]]), np.array([[3.0, 6.0]])]).numpy()
        array([[2., 4.]], dtype=float32)
    """

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = out + x
        return out / float(len(inputs))


class Maximum(_Merge):
    """The largest of several inputs, element by element.

    Shapes: a list of two or more inputs that broadcast -> their common shape.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The shapes do not broadcast.

    Example:
        >>> fastnn.layers.Maximum()([np.array([[1.0, 9.0]]), np.array([[3.0, 6.0]])]).numpy()
        array([[3., 9.]], dtype=float32)
    """

    def _join(self, inputs: list[Any]) -> Any:
        return self._fold(inputs, ops.maximum, -math.inf)


class Minimum(_Merge):
    """The smallest of several inputs, element by element.

    Shapes: a list of two or more inputs that broadcast -> their common shape.

    Args:
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The shapes do not broadcast.

    Example:
        >>> fastnn.layers.Minimum()([np.array([[1.0, 9.0]]), np.array([[3.0, 6.0]])]).numpy()
        array([[1., 6.]], dtype=float32)
    """

    def _join(self, inputs: list[Any]) -> Any:
        return self._fold(inputs, ops.minimum, math.inf)


class Concatenate(_Merge):
    """Several inputs joined along one axis.

    Shapes: a list of inputs whose other sizes agree -> the sizes along `axis` added up.

    Args:
        axis: The axis to join along; the batch is axis 0, and -1 is the last one.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: Other sizes than that of `axis` differ.

    Example:
        >>> fastnn.layers.Concatenate()([np.array([[1.0]]), np.array([[2.0, 3.0]])]).numpy()
        array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: TensorLike) -> Tensor:
        """The joined inputs."""
        inputs = self._listed(inputs)
        shapes = [known_sizes(x.shape) for x in inputs]  # open sizes may meet any
        rank = len(shapes[0])
        check_axes([self.axis], rank, f"Concatenate {self.name!r}")
        at = self.axis % rank
        if any(len(s) != rank for s in shapes) or any(
            len({s[i] for s in shapes if s[i] is not None}) > 1 for i in range(rank) if i != at
        ):
            raise ShapeError(
                f"Concatenate {self.name!r} requires inputs with matching shapes except for the "
                f"concatenation axis {self.axis}. Received: {shapes}\n"
                "  hint: all sizes but that axis must agree"
            )
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """Masks joined, or combined when features are joined."""
        masks = _mask_list(inputs, mask)
        if not any(m is not None for m in masks):
            return None
        wide = [
            ops.cast(ops.ones_like(x), "bool") if m is None
            else ops.logical_and(ops.expand_dims(m, axis=-1), ops.cast(ops.ones_like(x), "bool"))
            if ops.ndim(m) < ops.ndim(x) else m
            for x, m in zip(inputs, masks, strict=True)
        ]  # fmt: skip
        return ops.any(ops.concatenate(wide, axis=self.axis), axis=-1)

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        pairs = zip(inputs, masks, strict=True)
        return (tuple((x,) if m is None else ((m,), (x,)) for x, m in pairs),)


class Dot(_Merge):
    """Dot products of two inputs along one axis of each; their cosine with `normalize`.

    Shapes: (n, …a…, k) and (n, k, …b…) -> (n, …a…, …b…), and (n, 1) when no other axes are left.

    Args:
        axes: The axis to sum over, or a pair with one for each input; the batch is axis 0.
        normalize: Whether both inputs are scaled to length 1 along their axis first.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ShapeError: The sizes along `axes` differ, or one of them is none of an input's axes or the
            axis of the samples.

    Example:
        >>> a, b = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])
        >>> fastnn.layers.Dot(axes=1)([a, b]).numpy()
        array([[11.]], dtype=float32)
    """

    axes: int | Sequence[int]

    _exactly = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = axes if isinstance(axes, int) else list(axes)
        self.normalize = normalize

    def call(self, inputs: TensorLike) -> Tensor:
        """Products per sample."""
        a, b = self._listed(inputs)
        i, j = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        for axis, x in ((i, a), (j, b)):
            check_axes([axis], ops.ndim(x), f"Dot {self.name!r}")
        i, j = i % ops.ndim(a), j % ops.ndim(b)
        if 0 in (i, j):
            raise ShapeError(
                f"Dot {self.name!r}: axes={self.axes} names axis 0, that of the samples, of inputs "
                f"of shapes {tuple(a.shape)} and {tuple(b.shape)}\n  hint: axes=-1"
            )
        if None not in (a.shape[i], b.shape[j]) and a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"axes {i} and {j} of shapes {tuple(a.shape)} and {tuple(b.shape)} differ: "
                f"{a.shape[i]} and {b.shape[j]}\n  hint: choose axes of equal size"
            )
        if self.normalize:
            a, b = ops.normalize(a, axis=i), ops.normalize(b, axis=j)
        a = ops.moveaxis(a, i, -1) if i != ops.ndim(a) - 1 else a
        b = ops.moveaxis(b, j, 1) if j != 1 else b
        left, right = tuple(a.shape[1:-1]), tuple(b.shape[2:])
        if len(left) != 1:
            a = ops.reshape(a, (-1, math.prod(left), a.shape[-1]))
        if len(right) != 1:
            b = ops.reshape(b, (-1, b.shape[1], math.prod(right)))
        out = ops.matmul(a, b)
        if len(left) == len(right) == 1:
            return out
        return ops.reshape(out, (-1, *((*left, *right) or (1,))))

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """None: positions are summed away."""
        return None


def add(inputs: TensorLike, **kwargs: Any) -> Any:
    """The sum of several inputs: `Add(**kwargs)(inputs)`.

    Args:
        inputs: A list of tensors or arrays that broadcast.
        **kwargs: Given to the layer.

    Returns:
        A tensor of their common shape.

    Example:
        >>> fastnn.layers.add([np.array([1.0]), np.array([2.0])]).numpy()
        array([3.], dtype=float32)
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: TensorLike, **kwargs: Any) -> Any:
    """The first of two inputs minus the second: `Subtract(**kwargs)(inputs)`.

    Args:
        inputs: A list of two tensors or arrays that broadcast.
        **kwargs: Given to the layer.

    Returns:
        A tensor of their common shape.

    Example:
        >>> fastnn.layers.subtract([np.array([1.0]), np.array([2.0])]).numpy()
        array([-1.], dtype=float32)
    """
    return Subtract(**kwargs)(inputs)


def multiply(inputs: TensorLike, **kwargs: Any) -> Any:
    """The product of several inputs: `Multiply(**kwargs)(inputs)`.

    Args:
        inputs: A list of tensors or arrays that broadcast.
        **kwargs: Given to the layer.

    Returns:
        A tensor of their common shape.

    Example:
        >>> fastnn.layers.multiply([np.array([3.0]), np.array([2.0])]).numpy()
        array([6.], dtype=float32)
    """
    return Multiply(**kwargs)(inputs)


def average(inputs: TensorLike, **kwargs: Any) -> Any:
    """The mean of several inputs: `Average(**kwargs)(inputs)`.

    Args:
        inputs: A list of tensors or arrays that broadcast.
        **kwargs: Given to the layer.

    Returns:
        A tensor of their common shape.

    Example:
        >>> fastnn.layers.average([np.array([3.0]), np.array([2.0])]).numpy()
        array([2.5], dtype=float32)
    """
    return Average(**kwargs)(inputs)


def maximum(inputs: TensorLike, **kwargs: Any) -> Any:
    """The largest of several inputs: `Maximum(**kwargs)(inputs)`.

    Args:
        inputs: A list of tensors or arrays that broadcast.
        **kwargs: Given to the layer.

    Returns:
        A tensor of their common shape.

    Example:
        >>> fastnn.layers.maximum([np.array([3.0]), np.array([2.0])]).numpy()
        array([3.], dtype=float32)
    """
    return Maximum(**kwargs)(inputs)


def minimum(inputs: TensorLike, **kwargs: Any) -> Any:
    """The smallest of several inputs: `Minimum(**kwargs)(inputs)`.

    Args:
        inputs: A list of tensors or arrays that broadcast.
        **kwargs: Given to the layer.

    Returns:
        A tensor of their common shape.

    Example:
        >>> fastnn.layers.minimum([np.array([3.0]), np.array([2.0])]).numpy()
        array([2.], dtype=float32)
    """
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: TensorLike, axis: int = -1, **kwargs: Any) -> Any:
    """Several inputs joined along one axis: `Concatenate(axis, **kwargs)(inputs)`.

    Args:
        inputs: A list of tensors or arrays whose other sizes agree.
        axis: The axis to join along.
        **kwargs: Given to the layer.

    Returns:
        A tensor whose size along `axis` is the sum of theirs.

    Example:
        >>> fastnn.layers.concatenate([np.array([[3.0]]), np.array([[2.0]])]).numpy()
        array([[3., 2.]], dtype=float32)
    """
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: TensorLike, axes: Any = -1, **kwargs: Any) -> Any:
    """Dot products of two inputs: `Dot(axes, **kwargs)(inputs)`.

    Args:
        inputs: A list of two tensors or arrays.
        axes: The axis to sum over, or a pair with one for each input.
        **kwargs: Given to the layer.

    Returns:
        A tensor (n, 1), or with the axes that are left.

    Example:
        >>> fastnn.layers.dot([np.array([[3.0, 1.0]]), np.array([[2.0, 1.0]])], axes=1).numpy()
        array([[7.]], dtype=float32)
    """
    return Dot(axes=axes, **kwargs)(inputs)
