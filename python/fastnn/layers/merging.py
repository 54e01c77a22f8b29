"""Layers of several inputs: sums, products, joins. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import ops
from fastnn.errors import ShapeError
from fastnn.layers.base import Layer

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
        self.built = True

    def _join(self, inputs: list[Any]) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        """The inputs merged; lower ranks get axes after the batch."""
        inputs = self._listed(inputs)
        rank = max(ops.ndim(x) for x in inputs)
        return self._join([_lift(x, rank) for x in inputs])

    def _listed(self, inputs: Any) -> list[Any]:
        kind = type(self).__name__
        if not isinstance(inputs, list | tuple) or not inputs:
            raise ValueError(
                f"{kind} '{self.name}' merges a list of inputs, got {type(inputs).__name__}\n"
                f"  hint: {kind}()([a, b])"
            )
        if self._exactly is not None and len(inputs) != self._exactly:
            raise ValueError(
                f"{kind} '{self.name}' takes {self._exactly} inputs, got {len(inputs)}\n"
                f"  hint: {kind}()([a, b])"
            )
        return [ops.convert_to_tensor(x) for x in inputs]

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Positions that are valid in all masked inputs."""
        masks = [m for m in (previous_mask or []) if m is not None]
        if not masks:
            return None
        out = masks[0]
        for m in masks[1:]:
            out = ops.logical_and(out, m)
        return out


def _lift(x: Any, rank: int) -> Any:
    while ops.ndim(x) < rank:
        x = ops.expand_dims(x, axis=1)
    return x


class Add(_Merge):
    """Sum of the inputs."""

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = out + x
        return out


class Subtract(_Merge):
    """First input minus second."""

    _exactly = 2

    def _join(self, inputs: list[Any]) -> Any:
        return inputs[0] - inputs[1]


class Multiply(_Merge):
    """Product of the inputs."""

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = out * x
        return out


class Average(_Merge):
    """Mean of the inputs."""

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = out + x
        return out / float(len(inputs))


class Maximum(_Merge):
    """Elementwise largest."""

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = ops.maximum(out, x)
        return out


class Minimum(_Merge):
    """Elementwise smallest."""

    def _join(self, inputs: list[Any]) -> Any:
        out = inputs[0]
        for x in inputs[1:]:
            out = ops.minimum(out, x)
        return out


class Concatenate(_Merge):
    """Inputs joined along `axis`; other sizes must agree."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """The joined inputs."""
        inputs = self._listed(inputs)
        shapes = [tuple(x.shape) for x in inputs]
        rank = len(shapes[0])
        at = self.axis % rank
        if any(len(s) != rank for s in shapes) or any(
            len({s[i] for s in shapes}) > 1 for i in range(rank) if i != at
        ):
            raise ShapeError(
                f"inputs of shapes {shapes} cannot be joined along axis {self.axis}\n"
                "  hint: all sizes but that axis must agree"
            )
        return ops.concatenate(inputs, axis=self.axis)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """Masks joined, or combined when features are joined."""
        masks = list(previous_mask or [])
        if not any(m is not None for m in masks):
            return None
        wide = [
            ops.cast(ops.ones_like(x), "bool") if m is None
            else ops.logical_and(ops.expand_dims(m, axis=-1), ops.cast(ops.ones_like(x), "bool"))
            if ops.ndim(m) < ops.ndim(x) else m
            for x, m in zip(inputs, masks, strict=True)
        ]  # fmt: skip
        return ops.all(ops.concatenate(wide, axis=self.axis), axis=-1)


class Dot(_Merge):
    """Dot products of two inputs along `axes`; cosine similarity with `normalize`."""

    _exactly = 2

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axes = axes if isinstance(axes, int) else list(axes)
        self.normalize = normalize

    def call(self, inputs: Any) -> Any:
        """Products per sample."""
        a, b = self._listed(inputs)
        i, j = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        i, j = i % ops.ndim(a), j % ops.ndim(b)
        if a.shape[i] != b.shape[j]:
            raise ShapeError(
                f"axes {i} and {j} of shapes {tuple(a.shape)} and {tuple(b.shape)} differ: "
                f"{a.shape[i]} and {b.shape[j]}\n  hint: choose axes of equal size"
            )
        if self.normalize:
            a, b = ops.normalize(a, axis=i), ops.normalize(b, axis=j)
        a = ops.moveaxis(a, i, -1) if i != ops.ndim(a) - 1 else a
        b = ops.moveaxis(b, j, 1) if j != 1 else b
        flat_a, flat_b = ops.ndim(a) == 2, ops.ndim(b) == 2
        a = ops.expand_dims(a, axis=1) if flat_a else a
        b = ops.expand_dims(b, axis=2) if flat_b else b
        out = ops.matmul(a, b)
        if flat_a and flat_b:
            return ops.squeeze(out, 2)
        if flat_a:
            return ops.squeeze(out, 1)
        return ops.squeeze(out, -1) if flat_b else out

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """None: positions are summed away."""
        return None


def add(inputs: Any, **kwargs: Any) -> Any:
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


def subtract(inputs: Any, **kwargs: Any) -> Any:
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Any, **kwargs: Any) -> Any:
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


def average(inputs: Any, **kwargs: Any) -> Any:
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


def maximum(inputs: Any, **kwargs: Any) -> Any:
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Any, **kwargs: Any) -> Any:
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Any, axis: int = -1, **kwargs: Any) -> Any:
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


def dot(inputs: Any, axes: Any = -1, **kwargs: Any) -> Any:
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
