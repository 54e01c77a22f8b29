"""`tf.signal`: frames of signals, windows over them and their spectra. Depends on `ops`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.typing import TensorLike

__all__ = [
    "Spectrum", "fftshift", "frame", "hamming_window", "hann_window", "ifftshift", "inverse_stft",
    "irfft", "overlap_and_add", "rfft", "stft",
]  # fmt: skip


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

    def __getitem__(self, at: Any) -> Spectrum:
        real: Any = self.real
        imag: Any = self.imag
        return Spectrum(real[at], imag[at])


def hann_window(window_length: int, periodic: bool = True, dtype: Any = "float32") -> Tensor:
    """Half a raised cosine over so many steps."""
    return _cosine(window_length, periodic, 0.5)


def hamming_window(window_length: int, periodic: bool = True, dtype: Any = "float32") -> Tensor:
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
    pad_value: float = 0, axis: int = -1, name: Any = None,
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


def rfft(input_tensor: TensorLike, fft_length: Any = None, name: Any = None) -> Spectrum:
    """The spectrum of real numbers along the last axis."""
    length = None if fft_length is None else int(ops.convert_to_numpy(fft_length).ravel()[0])
    return Spectrum(*ops.rfft(input_tensor, length))


def irfft(input_tensor: Spectrum, fft_length: Any = None, name: Any = None) -> Tensor:
    """The real numbers of a spectrum."""
    length = None if fft_length is None else int(ops.convert_to_numpy(fft_length).ravel()[0])
    return ops.irfft((input_tensor.real, input_tensor.imag), length)


def stft(
    signals: TensorLike, frame_length: int, frame_step: int, fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window, pad_end: bool = False, name: Any = None,
) -> Spectrum:  # fmt: skip
    """The spectra of frames of signals: (…, frames, fft_length // 2 + 1)."""
    frames = frame(signals, frame_length, frame_step, pad_end)
    if window_fn is not None:
        frames = frames * window_fn(frame_length)
    length = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else int(fft_length)
    return Spectrum(*ops.rfft(frames, length))


def inverse_stft(
    stfts: Spectrum, frame_length: int, frame_step: int, fft_length: int | None = None,
    window_fn: Callable[..., Any] | None = hann_window, name: Any = None,
) -> Tensor:  # fmt: skip
    """Signals whose frames, added where they overlap, have these spectra."""
    length = 2 ** math.ceil(math.log2(frame_length)) if fft_length is None else int(fft_length)
    frames: Any = ops.irfft((stfts.real, stfts.imag), length)[..., :frame_length]
    if window_fn is not None:
        frames = frames * window_fn(frame_length)
    return overlap_and_add(frames, frame_step)


def overlap_and_add(signal: TensorLike, frame_step: int, name: Any = None) -> Tensor:
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


def _rolled(x: Any, axes: Any, by: Callable[[int], int]) -> Any:
    if isinstance(x, Spectrum):
        return Spectrum(_rolled(x.real, axes, by), _rolled(x.imag, axes, by))
    x = ops.convert_to_tensor(x)
    sizes = ops.shape(x)
    every = range(len(sizes)) if axes is None else [axes] if isinstance(axes, int) else axes
    for axis in every:
        x = ops.roll(x, by(sizes[axis]), axis=axis)
    return x


def fftshift(x: Any, axes: Any = None, name: Any = None) -> Any:
    """Frequency 0 moved from the start of the axes, all or those named, to the middle."""
    return _rolled(x, axes, lambda size: size // 2)


def ifftshift(x: Any, axes: Any = None, name: Any = None) -> Any:
    """What `fftshift` moved, moved back."""
    return _rolled(x, axes, lambda size: -(size // 2))


answer_missing(globals())
