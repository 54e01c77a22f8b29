"""`tf.signal`: frames of signals, windows over them and their spectra. Depends on `ops`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.ops.audio import mel_filters

__all__ = [
    "Spectrum", "dct", "fftshift", "frame", "hamming_window", "hann_window", "idct", "ifftshift",
    "inverse_stft", "irfft", "linear_to_mel_weight_matrix", "mfccs_from_log_mel_spectrograms",
    "overlap_and_add", "rfft", "stft",
]  # fmt: skip

Array = np.ndarray[Any, Any]


class Spectrum:
    """Complex numbers as two tensors: `tf.abs` gives their magnitudes."""

    real: Tensor
    imag: Tensor

    def __init__(self, real: Tensor, imag: Tensor) -> None:
        self.real, self.imag = real, imag

    @property
    def shape(self) -> tuple[Any, ...]:
        """The sizes of both parts."""
        return ops.shape(self.real)

    def magnitude(self) -> Tensor:
        """The absolute values."""
        return ops.sqrt(ops.square(self.real) + ops.square(self.imag))

    __abs__ = magnitude

    def numpy(self) -> Array:
        """Both parts as one array of complex numbers."""
        return np.asarray(self.real) + 1j * np.asarray(self.imag)

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> Array:
        whole = self.numpy()
        return whole if dtype is None else whole.astype(dtype)

    def __len__(self) -> int:
        return len(self.real)

    def __getitem__(self, at: Any) -> Spectrum:
        real: Any = self.real
        imag: Any = self.imag
        return Spectrum(real[at], imag[at])


def hann_window(window_length: int, periodic: bool = True, dtype: DTypeLike = "float32") -> Tensor:
    """Half a raised cosine over so many steps."""
    return _cosine(window_length, periodic, 0.5)


def hamming_window(
    window_length: int, periodic: bool = True, dtype: DTypeLike = "float32"
) -> Tensor:
    """A raised cosine that ends above zero, over so many steps."""
    return _cosine(window_length, periodic, 0.54)


def _cosine(length: int, periodic: bool, high: float) -> Tensor:
    if length == 1:
        return ops.ones((1,))
    # As TensorFlow has it, windows of odd lengths are never periodic.
    span = length if periodic and length % 2 == 0 else length - 1
    steps = ops.cast(ops.arange(length), "float32")
    return high - (1.0 - high) * ops.cos(2.0 * math.pi * steps / span)


def frame(
    signal: TensorLike, frame_length: int, frame_step: int, pad_end: bool = False,
    pad_value: float = 0, axis: int = -1, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Parts of the last axis, `frame_length` long, that start `frame_step` apart."""
    if axis != -1:
        raise ValueError(f"frame: axis {axis}, wanted the last one\n  hint: ops.moveaxis first")
    x = ops.convert_to_tensor(signal)
    n = ops.shape(x)[-1]
    if pad_end:
        missing = max(0, (-(-n // frame_step) - 1) * frame_step + frame_length - n)
        x = ops.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, missing]], "constant", pad_value)
    return ops.extract_sequences(x, frame_length, frame_step)


def rfft(input_tensor: TensorLike, fft_length: Any = None, name: str | None = None) -> Spectrum:
    """The spectrum of real numbers along the last axis."""
    length = None if fft_length is None else int(ops.convert_to_numpy(fft_length).ravel()[0])
    return Spectrum(*ops.rfft(input_tensor, length))


def irfft(input_tensor: Spectrum, fft_length: Any = None, name: str | None = None) -> Tensor:
    """The real numbers of a spectrum."""
    length = None if fft_length is None else int(ops.convert_to_numpy(fft_length).ravel()[0])
    return ops.irfft((input_tensor.real, input_tensor.imag), length)


def stft(
    signals: TensorLike,
    frame_length: int,
    frame_step: int,
    fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window,
    pad_end: bool = False,
    name: str | None = None,
) -> Spectrum:
    """The spectra of frames of signals: (…, frames, fft_length // 2 + 1)."""
    frames = frame(signals, frame_length, frame_step, pad_end)
    if window_fn is not None:
        frames = frames * window_fn(frame_length)
    length = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else int(fft_length)
    return Spectrum(*ops.rfft(frames, length))


def inverse_stft(
    stfts: Spectrum, frame_length: int, frame_step: int, fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Signals whose frames, added where they overlap, have these spectra."""
    length = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else int(fft_length)
    frames: Any = ops.irfft((stfts.real, stfts.imag), length)[..., :frame_length]
    if window_fn is not None:
        frames = frames * window_fn(frame_length)
    return overlap_and_add(frames, frame_step)


def overlap_and_add(signal: TensorLike, frame_step: int, name: str | None = None) -> Tensor:
    """Signals of frames (…, frames, length) that start `frame_step` apart, added up."""
    frames: Any = ops.convert_to_tensor(signal)
    count, length = ops.shape(frames)[-2:]
    total = (count - 1) * frame_step + length
    parts = [
        ops.pad(
            frames[..., i, :],
            [[0, 0]] * (len(frames.shape) - 2)
            + [[i * frame_step, total - i * frame_step - length]],
        )
        for i in range(count)
    ]
    return ops.sum(ops.stack(parts), axis=0)


def _rolled(x: TensorLike, axes: Any, by: Callable[[int], int]) -> Any:
    if isinstance(x, Spectrum):
        return Spectrum(_rolled(x.real, axes, by), _rolled(x.imag, axes, by))
    x = ops.convert_to_tensor(x)
    sizes = ops.shape(x)
    every = range(len(sizes)) if axes is None else [axes] if isinstance(axes, int) else axes
    for axis in every:
        x = ops.roll(x, by(sizes[axis]), axis=axis)
    return x


def fftshift(x: TensorLike, axes: Any = None, name: str | None = None) -> Any:
    """Frequency 0 moved from the start of the axes, all or those named, to the middle."""
    return _rolled(x, axes, lambda size: size // 2)


def ifftshift(x: TensorLike, axes: Any = None, name: str | None = None) -> Any:
    """What `fftshift` moved, moved back."""
    return _rolled(x, axes, lambda size: -(size // 2))


def dct(
    input: TensorLike, type: int = 2, n: int | None = None, axis: int = -1,
    norm: str | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """The discrete cosine transform of the last axis.

    Args:
        input: A tensor.
        type: 1 to 4, as in `scipy.fft.dct`.
        n: Steps to take: the first ones, or zeros after the last; None: all.
        axis: -1.
        norm: "ortho" makes the transform orthonormal.
        name: Ignored.

    Returns:
        A tensor with `n` numbers in its last axis.

    Raises:
        ValueError: The type, the axis or the norm is another, or one step is too few.

    Example:
        >>> fastnn.signal.dct([1.0, 1.0]).numpy()
        array([4., 0.], dtype=float32)
    """
    if axis != -1:
        raise ValueError(f"dct: axis {axis}, wanted the last one\n  hint: ops.moveaxis first")
    x: Any = ops.convert_to_tensor(input)
    size = int(ops.shape(x)[-1])
    if n is not None and int(n) != size:
        lacking = max(0, int(n) - size)
        x = ops.pad(x, [[0, 0]] * (len(x.shape) - 1) + [[0, lacking]])[..., : int(n)]
        size = int(n)
    return ops.matmul(x, _cosines(type, size, norm))


def idct(
    input: TensorLike, type: int = 2, n: int | None = None, axis: int = -1,
    norm: str | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """`dct` undone, but for a factor of twice the steps where `norm` is None, as in TensorFlow.

    Args:
        input: A tensor.
        type: The type of the transform to undo.
        n: None.
        axis: -1.
        norm: As `dct` had it.
        name: Ignored.

    Returns:
        A tensor of the shape of `input`.

    Raises:
        ValueError: As in `dct`, or `n` is given.

    Example:
        >>> fastnn.signal.idct(fastnn.signal.dct([1.0, 3.0], norm="ortho"), norm="ortho").numpy()
        array([1., 3.], dtype=float32)
    """
    if n is not None:
        raise ValueError(f"idct: n={n}, wanted None\n  hint: cut or pad the input first")
    return dct(input, {2: 3, 3: 2}.get(type, type), None, axis, norm)


def _cosines(type: int, n: int, norm: str | None) -> Array:
    """The matrix that a row is multiplied by: (n, n)."""
    if type not in (1, 2, 3, 4) or norm not in (None, "ortho") or (type, norm) == (1, "ortho"):
        raise ValueError(
            f"dct: type {type!r} with norm {norm!r} is not known\n"
            "  hint: types 1 to 4; norm None or, but for type 1, 'ortho'"
        )
    if n < 1 + (type == 1):
        raise ValueError(f"dct of {n} steps\n  hint: at least {1 + (type == 1)}")
    step, term = np.arange(n)[:, None], np.arange(n)[None, :]
    if type == 1:
        ends = np.where((step == 0) | (step == n - 1), 1.0, 2.0)
        return np.asarray(ends * np.cos(np.pi * step * term / (n - 1)), np.float32)
    a, b = step + (type in (2, 4)) / 2, term + (type in (3, 4)) / 2
    matrix = 2.0 * np.cos(np.pi * a * b / n)
    if type == 3:
        matrix[0] /= 2.0
    if norm == "ortho":
        matrix /= math.sqrt(2 * n)
        if type == 2:
            matrix[:, 0] /= math.sqrt(2.0)
        if type == 3:
            matrix[0] *= math.sqrt(2.0)
    return np.asarray(matrix, np.float32)


def linear_to_mel_weight_matrix(
    num_mel_bins: int = 20, num_spectrogram_bins: int = 129, sample_rate: float = 8000,
    lower_edge_hertz: float = 125.0, upper_edge_hertz: float = 3800.0, dtype: DTypeLike = "float32",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Triangles, even on the mel scale, that sum magnitudes of a spectrum to bands.

    Args:
        num_mel_bins: Bands.
        num_spectrogram_bins: Terms of the spectrum.
        sample_rate: Samples a second of the signal.
        lower_edge_hertz: Where the lowest band begins.
        upper_edge_hertz: Where the highest band ends; at most half of `sample_rate`.
        dtype: float32.
        name: Ignored.

    Returns:
        A tensor (num_spectrogram_bins, num_mel_bins).

    Raises:
        ValueError: A number is out of range.

    Example:
        >>> fastnn.signal.linear_to_mel_weight_matrix(8, 65).shape
        (65, 8)
    """
    rate, low, high = float(sample_rate), float(lower_edge_hertz), float(upper_edge_hertz)
    if num_mel_bins < 1 or num_spectrogram_bins < 2 or not 0 <= low < high <= rate / 2:
        raise ValueError(
            f"linear_to_mel_weight_matrix: {num_mel_bins} bands from {low:g} to {high:g} Hz of "
            f"{num_spectrogram_bins} terms at {rate:g} samples a second\n"
            "  hint: at least 1 band and 2 terms, and 0 <= lower < upper <= sample_rate / 2"
        )
    return ops.convert_to_tensor(mel_filters(num_mel_bins, num_spectrogram_bins, rate, low, high))


def mfccs_from_log_mel_spectrograms(
    log_mel_spectrograms: TensorLike, name: str | None = None
) -> Tensor:
    """Cepstral coefficients of mel spectrograms (…, bands), as many as bands.

    Args:
        log_mel_spectrograms: Logarithms of mel spectrograms.
        name: Ignored.

    Returns:
        A tensor of the same shape; often the first 13 coefficients are used.

    Raises:
        ValueError: There are no bands.

    Example:
        >>> fastnn.signal.mfccs_from_log_mel_spectrograms([[1.0, 1.0]]).numpy()
        array([[2., 0.]], dtype=float32)
    """
    bands = int(ops.shape(log_mel_spectrograms)[-1])
    return dct(log_mel_spectrograms) / math.sqrt(2.0 * max(bands, 1))


answer_missing(globals())
