"""Fourier transforms as products with matrices of cosines and sines.

A complex number is a pair (real, imaginary) of tensors, as in Keras. A transform of n points costs
n^2 operations and differentiates like any product. Depends on `_core`, `linalg`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import ShapeError
from fastnn.ops.convert import TensorLike, computed, shape
from fastnn.ops.families import name_ops
from fastnn.ops.linalg import exact_matmul
from fastnn.ops.shapes import swapaxes
from fastnn.tracing.symbolic import keras_op

__all__ = ["fft", "fft2", "ifft2", "irfft", "rfft"]

_c = _core.ops
Pair = tuple[Tensor, Tensor]


def _size(name: str, x: TensorLike) -> int:
    n = shape(x)[-1] if shape(x) else None
    if not isinstance(n, int) or not n:
        raise ShapeError(
            f"{name}: the last axis of shape {shape(x)} has no known size above 0\n"
            "  hint: give it a size in Input(shape=...)"
        )
    return int(n)


def waves(n: int, columns: int, sign: float, rows: int | None = None) -> tuple[Any, Any]:
    """Cos and sin of sign * 2 pi j k / n for j below `rows` (n unless told), k below `columns`.

    The product is reduced first, so angles are exact.
    """
    turns = np.outer(np.arange(n if rows is None else rows), np.arange(columns)) % n
    angle = sign * 2.0 * math.pi / n * turns
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _transformed(name: str, x: TensorLike, sign: float, scale: float = 1.0) -> Pair:
    real, imag = (computed(part, "float32") for part in x)
    n = _size(name, real)
    cos, sin = waves(n, n, sign)
    if scale != 1.0:
        cos, sin = cos * np.float32(scale), sin * np.float32(scale)
    return (
        exact_matmul(real, cos) - exact_matmul(imag, sin),
        exact_matmul(real, sin) + exact_matmul(imag, cos),
    )


def _turned(x: Pair) -> Pair:
    return swapaxes(x[0], -2, -1), swapaxes(x[1], -2, -1)


@keras_op
def fft(x: tuple[TensorLike, TensorLike]) -> Pair:
    """The Fourier transform of the last axis of a pair (real, imaginary).

    Args:
        x: A pair (real part, imaginary part).

    Returns:
        A pair of tensors (real part, imaginary part).

    Example:
        >>> [part.numpy() for part in fastnn.ops.fft((np.ones(2), np.zeros(2)))]
        [array([2., 0.], dtype=float32), array([ 0.0000000e+00, -1.2246469e-16], dtype=float32)]
    """
    return _transformed("fft", x, -1.0)


@keras_op
def fft2(x: tuple[TensorLike, TensorLike]) -> Pair:
    """The Fourier transform of the last two axes of a pair (real, imaginary).

    Args:
        x: A pair (real part, imaginary part).

    Returns:
        A pair of tensors (real part, imaginary part).

    Example:
        >>> fastnn.ops.fft2((np.ones((2, 2)), np.zeros((2, 2))))[0].numpy()
        array([[ 4.0000000e+00,  0.0000000e+00],
               [ 0.0000000e+00, -1.4997599e-32]], dtype=float32)
    """
    return _turned(_transformed("fft2", _turned(_transformed("fft2", x, -1.0)), -1.0))


@keras_op
def ifft2(x: tuple[TensorLike, TensorLike]) -> Pair:
    """The inverse of `fft2`.

    Args:
        x: A pair (real part, imaginary part).

    Returns:
        A pair of tensors (real part, imaginary part).

    Example:
        >>> fastnn.ops.ifft2((np.ones((2, 2)), np.zeros((2, 2))))[0].numpy()
        array([[ 1.0000000e+00,  0.0000000e+00],
               [ 0.0000000e+00, -3.7493998e-33]], dtype=float32)
    """
    first = _transformed("ifft2", x, 1.0, 1.0 / _size("ifft2", x[0]))
    turned = _turned(first)
    return _turned(_transformed("ifft2", turned, 1.0, 1.0 / _size("ifft2", turned[0])))


def _fitted(x: TensorLike, n: int) -> Any:
    """The last axis cut, or filled with zeros, to n."""
    have = _size("rfft", x)
    if have >= n:
        return x[..., :n]
    return _c.pad(x, widths=[0, 0] * (len(shape(x)) - 1) + [0, n - have], value=0.0)


@keras_op
def rfft(x: TensorLike, fft_length: int | None = None) -> Pair:
    """The Fourier transform of real numbers along the last axis: the first n / 2 + 1 terms.

    Args:
        x: A tensor or array.
        fft_length: The length that is transformed; None: that of the axis.

    Returns:
        A pair of tensors (real part, imaginary part).

    Example:
        >>> fastnn.ops.rfft(np.array([1.0, 1.0, 1.0, 1.0]))[0].numpy()
        array([ 4.0000000e+00, -1.8369701e-16,  0.0000000e+00], dtype=float32)
    """
    x = computed(x, "float32")
    n = fft_length or _size("rfft", x)
    cos, sin = waves(n, n // 2 + 1, -1.0)
    x = _fitted(x, n)
    return exact_matmul(x, cos), exact_matmul(x, sin)


@keras_op
def irfft(x: tuple[TensorLike, TensorLike], fft_length: int | None = None) -> Tensor:
    """The inverse of `rfft`: real numbers, `fft_length` of them.

    Args:
        x: A pair (real part, imaginary part).
        fft_length: The length of the result; None: twice the terms less 2.

    Returns:
        Real numbers.

    Example:
        >>> fastnn.ops.irfft(fastnn.ops.rfft(np.array([1.0, 2.0, 3.0, 4.0]))).numpy().round(4)
        array([1., 2., 3., 4.], dtype=float32)
    """
    real, imag = (computed(part, "float32") for part in x)
    n = fft_length or 2 * (_size("irfft", real) - 1)
    terms = n // 2 + 1
    cos, sin = waves(n, terms, 1.0)
    twice = np.full((terms, 1), 2.0 / n, np.float32)
    twice[0] = 1.0 / n
    if n % 2 == 0:
        twice[-1] = 1.0 / n
    real, imag = _fitted(real, terms), _fitted(imag, terms)
    return exact_matmul(real, cos.T * twice) - exact_matmul(imag, sin.T * twice)


name_ops(globals())
