"""Spectra of short parts of signals, and signals from them.

Frames times matrices of cosines and sines, as in `fourier`. Depends on `arrays`, `fourier`,
`linalg`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn._core import Tensor
from fastnn.base.arguments import whole_number
from fastnn.base.caching import cached
from fastnn.errors import ShapeError
from fastnn.ops.arrays import extract_sequences
from fastnn.ops.convert import TensorLike, computed, known_size, shape
from fastnn.ops.elements import where
from fastnn.ops.families import name_ops
from fastnn.ops.fourier import Pair, irfft, waves
from fastnn.ops.linalg import exact_matmul
from fastnn.ops.reduce import sum as total
from fastnn.ops.shapes import pad, reshape, swapaxes
from fastnn.tracing.symbolic import keras_op

__all__ = ["istft", "stft"]

Array = np.ndarray[Any, Any]

#: Windows as sums of cosines of 0, 1, 2.. turns, with alternating signs.
_COSINES = {
    "boxcar": (1.0,), "hann": (0.5, 0.5), "hamming": (0.54, 0.46), "blackman": (0.42, 0.5, 0.08),
}  # fmt: skip
#: Windows of `stft`, as in Keras.
_OF_STFT = ("hann", "hamming")


def signal_window(name: str, length: int, periodic: bool = True) -> Array:
    """The values of a window in float64: of these names by their formula, others by SciPy's."""
    if name in _COSINES:
        turns = 2.0 * np.pi * np.arange(length) / max(length if periodic else length - 1, 1)
        terms = [(-1) ** k * a * np.cos(k * turns) for k, a in enumerate(_COSINES[name])]
        return np.ones(1) if length == 1 else np.asarray(sum(terms))
    try:
        from scipy.signal import get_window
    except ImportError:
        raise ValueError(
            f"window {name!r} is not known\n"
            f"  hint: one of {', '.join(_COSINES)}; with SciPy installed, its names as well"
        ) from None
    try:
        return np.asarray(get_window(name, length, fftbins=periodic), np.float64)
    except ValueError as error:
        raise ValueError(f"window {name!r}: {error}\n  hint: 'hann' or 'hamming'") from None


def _mel(hertz: Any) -> Any:
    """Frequencies on the mel scale of HTK."""
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


@cached(8)
def mel_filters(bins: int, terms: int, rate: float, low: float, high: float) -> Array:
    """Triangles that are even on the mel scale: (terms, bins). The first term, 0 Hz, counts 0."""
    at = _mel(np.linspace(0.0, rate / 2.0, terms))[1:, None]
    edges = np.linspace(_mel(low), _mel(high), bins + 2)
    before, middle, after = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (at - before) / (middle - before), (after - at) / (after - middle)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    return np.concatenate([np.zeros((1, bins)), weights]).astype(np.float32)


def _settings(name: str, length: Any, stride: Any, points: Any) -> tuple[int, int, int]:
    """Sizes of frames, steps and transforms as whole numbers that fit together."""
    length = whole_number("sequence_length", length, 1, f"{name}: ")
    stride = whole_number("sequence_stride", stride, 1, f"{name}: ")
    points = whole_number("fft_length", points, 1, f"{name}: ")
    if points < length:
        raise ValueError(
            f"{name}: `fft_length` must equal or larger than `sequence_length`. Received: "
            f"sequence_length={length}, fft_length={points}\n"
            "  hint: fft_length is the power of 2 from sequence_length up"
        )
    return length, stride, points


def _window(name: str, window: Any, length: int) -> Any:
    """The window's values: an array in float64 where they are known, else a tensor; None: none."""
    if window is None:
        return None
    if isinstance(window, str):
        if window not in _OF_STFT:
            raise ValueError(
                f'{name}: If a string is passed to `window`, it must be one of `"hann"`, '
                f'`"hamming"`. Received: window={window}\n  hint: or an array of {length} values'
            )
        return signal_window(window, length)
    found = computed(window, "float32")
    if shape(found) != (length,):
        raise ShapeError(
            f"{name}: The shape of `window` must be equal to [sequence_length]. Received: window "
            f"shape={shape(found)}\n  hint: {length} values"
        )
    return found


@cached(8)
def _matrices(length: int, points: int, window: str | None) -> tuple[Array, Array]:
    """What frames are multiplied with: cosines and sines, times the window where it is known."""
    before = (points - length) // 2
    cos, sin = (part[before : before + length] for part in waves(points, points // 2 + 1, -1.0))
    if window is not None:
        values = signal_window(window, length)[:, None]
        cos, sin = (part * values.astype(np.float32) for part in (cos, sin))
    return np.ascontiguousarray(cos), np.ascontiguousarray(sin)


@keras_op
def stft(
    x: TensorLike,
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    window: Any = "hann",
    center: bool = True,
) -> Pair:
    """The Fourier transforms of frames along the last axis: how loud each pitch is, over time.

    Args:
        x: A tensor or array (…, samples).
        sequence_length: Samples of a frame.
        sequence_stride: Samples from the start of a frame to the start of the next.
        fft_length: The length that is transformed, of at least `sequence_length`; frames stand in
            the middle of zeros.
        window: `"hann"`, `"hamming"`, an array of `sequence_length` values, or None for none, by
            which frames are of `fft_length` samples.
        center: Whether the signal is mirrored at its ends by `fft_length // 2` samples, so that
            frame t has its middle at t * `sequence_stride`.

    Returns:
        A pair of tensors (real part, imaginary part), both (…, frames, fft_length // 2 + 1).

    Raises:
        ShapeError: The signal is shorter than a frame, or the window has another length.
        ValueError: The sizes do not fit together.

    Example:
        >>> real, imag = fastnn.ops.stft(np.arange(5.0), 3, 2, 3)
        >>> real.numpy().round(3)
        array([[ 0.75 , -0.375],
               [ 3.75 , -1.875],
               [ 5.25 , -2.625]], dtype=float32)
    """
    length, stride, points = _settings("stft", sequence_length, sequence_stride, fft_length)
    values = _window("stft", window, length)
    length = points if window is None else length
    x = computed(x, "float32")
    samples = known_size("stft", x, -1)
    half = points // 2 if center else 0
    if samples + 2 * half < points or (half and samples <= half):
        raise ShapeError(
            f"stft: signals of {samples} samples are shorter than a frame of fft_length={points}"
            + (f" needs with center=True, {half + 1}" if center else "")
            + "\n  hint: a smaller fft_length, or ops.pad the signals"
        )
    if half:
        x = pad(x, [(0, 0)] * (len(shape(x)) - 1) + [(half, half)], mode="reflect")
    # The zeros around a frame add nothing, so the samples there are left out.
    before = (points - length) // 2
    count = 1 + (samples + 2 * half - points) // stride
    frames: Any = extract_sequences(
        x[..., before : before + (count - 1) * stride + length], length, stride
    )
    if values is not None and not isinstance(window, str):
        frames = frames * values
    cos, sin = _matrices(length, points, window if isinstance(window, str) else None)
    return exact_matmul(frames, cos), exact_matmul(frames, sin)


def _overlapped(frames: Any, stride: int) -> Any:
    """The sum of frames (…, count, length) that start `stride` apart: (…, samples)."""
    *batch, count, length = shape(frames)
    front = [(0, 0)] * len(batch)
    blocks = -(-length // stride)
    frames = pad(frames, [*front, (0, 0), (0, blocks * stride - length)])
    rows = swapaxes(reshape(frames, (*_open(batch), count, blocks, stride)), -3, -2)
    # Block b of frame t belongs to place t + b: rows of one block less than they have move by b.
    rows = pad(rows, [*front, (0, 0), (0, blocks), (0, 0)])
    flat: Any = reshape(rows, (*_open(batch), blocks * (count + blocks), stride))
    wide = count + blocks - 1
    skewed: Any = reshape(flat[..., : blocks * wide, :], (*_open(batch), blocks, wide, stride))
    samples: Any = reshape(total(skewed, axis=-3), (*_open(batch), wide * stride))
    return samples[..., : (count - 1) * stride + length]


def _open(sizes: Any) -> tuple[Any, ...]:
    """Sizes for a reshape, in which one may be open."""
    return tuple(n if isinstance(n, int) else -1 for n in sizes)


@keras_op
def istft(
    x: tuple[TensorLike, TensorLike],
    sequence_length: int,
    sequence_stride: int,
    fft_length: int,
    length: int | None = None,
    window: Any = "hann",
    center: bool = True,
) -> Tensor:
    """The signals of which `stft` with the same settings gives `x`.

    Frames are added where they overlap, times the window, and divided by the sum of its squares
    there. With `window=None` they are added and not divided, as in Keras.

    Args:
        x: A pair (real part, imaginary part), both (…, frames, fft_length // 2 + 1).
        sequence_length: Samples of a frame.
        sequence_stride: Samples from the start of a frame to the start of the next.
        fft_length: The length that was transformed.
        length: Samples of the result at most; None: all that the frames tell.
        window: The window of `stft`.
        center: Whether the signal was mirrored at its ends.

    Returns:
        A tensor (…, samples).

    Raises:
        ShapeError: The parts have other axes, or the window has another length.
        ValueError: The sizes do not fit together.

    Example:
        >>> x = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
        >>> pair = fastnn.ops.stft(x, 4, 2, 4)
        >>> np.abs(fastnn.ops.istft(pair, 4, 2, 4).numpy().round(4))
        array([0., 1., 2., 3., 4., 5.], dtype=float32)
    """
    size, stride, points = _settings("istft", sequence_length, sequence_stride, fft_length)
    if not isinstance(x, list | tuple) or len(x) != 2:
        raise ValueError(
            "istft: Input `x` should be a tuple of two tensors - real and imaginary. "
            f"Received: {type(x).__name__}\n  hint: ops.istft((real, imaginary), …)"
        )
    real, imag = (computed(part, "float32") for part in x)
    bins = points // 2 + 1
    if shape(real) != shape(imag) or len(shape(real)) < 2 or shape(real)[-1] != bins:
        raise ShapeError(
            f"istft: Both the real and imaginary parts should have the same shape (…, frames, "
            f"{bins}). Received: {shape(real)} and {shape(imag)}\n"
            f"  hint: fft_length={points} has {bins} terms"
        )
    values = _window("istft", window, size)
    frames: Any = irfft((real, imag), points)
    count = known_size("istft", real, -2)
    if values is not None:
        if isinstance(values, np.ndarray):
            values = values.astype(np.float32)
        before = (points - size) // 2
        values = pad(values, [(before, points - size - before)])
        frames = frames * values
    samples = _overlapped(frames, stride)
    if values is not None:
        squares = _overlapped(reshape(values * values, (1, -1)) * np.ones((count, 1), "f"), stride)
        samples = samples / where(squares > 1e-10, squares, 1.0)
    start = points // 2 if center else 0
    end = (count - 1) * stride + points
    if length is not None:
        end = min(end, start + whole_number("length", length, 0, "istft: "))
    elif center:
        end -= points // 2
    return samples[..., start:end]


name_ops(globals())
