"""Sounds as pictures of their pitches over time. Depends on `layers.base`."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from fastnn import config, initializers, ops
from fastnn._core import Tensor
from fastnn.base.arguments import whole_number
from fastnn.base.typing import Shape, TensorLike
from fastnn.layers.base.layer import Layer
from fastnn.ops.audio import mel_filters

__all__ = ["MelSpectrogram", "STFTSpectrogram"]

Array = np.ndarray[Any, Any]


class MelSpectrogram(Layer):
    """Signals as mel spectrograms: how loud each band of pitches is, over time.

    Shapes: (batch, samples) or (samples,) to (batch, num_mel_bins, frames) or (num_mel_bins,
    frames). Frames have their middle at multiples of `sequence_stride`.

    Args:
        fft_length: Samples that are transformed.
        sequence_stride: Samples from the start of a frame to the start of the next.
        sequence_length: Samples of a frame; None: `fft_length`.
        window: `"hann"`, `"hamming"`, an array of `sequence_length` values, or None.
        sampling_rate: Samples a second.
        num_mel_bins: Bands, each a triangle; they are even on the mel scale.
        min_freq: The lower end of the lowest band, in Hz.
        max_freq: The upper end of the highest band, in Hz; None: half the sampling rate.
        power_to_db: Whether the result is in decibels.
        top_db: What lies this many decibels below the loudest of all is raised to there.
        mag_exp: The power of the magnitudes: 1 for magnitudes, 2 for powers.
        min_power: What powers and `ref_power` are at least.
        ref_power: The power of 0 decibels.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `fft_length` is below `sequence_length`.

    Example:
        >>> layer = fastnn.layers.MelSpectrogram(512, 256, sampling_rate=8000, num_mel_bins=40)
        >>> layer(np.zeros((2, 8000))).shape
        (2, 40, 32)
    """

    fft_length: int
    sequence_stride: int
    sequence_length: int
    sampling_rate: float
    num_mel_bins: int
    min_freq: float
    max_freq: float
    power_to_db: bool
    top_db: float
    mag_exp: float
    min_power: float
    ref_power: float

    def __init__(
        self,
        fft_length: int = 2048,
        sequence_stride: int = 512,
        sequence_length: int | None = None,
        window: Any = "hann",
        sampling_rate: float = 16000,
        num_mel_bins: int = 128,
        min_freq: float = 20.0,
        max_freq: float | None = None,
        power_to_db: bool = True,
        top_db: float = 80.0,
        mag_exp: float = 2.0,
        min_power: float = 1e-10,
        ref_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        where = "MelSpectrogram: "
        self.fft_length = whole_number("fft_length", fft_length, 1, where)
        self.sequence_stride = whole_number("sequence_stride", sequence_stride, 1, where)
        self.sequence_length = sequence_length or fft_length
        if self.fft_length < self.sequence_length:
            raise ValueError(
                "`fft_length` must be greater than or equal to `sequence_length`. Received: "
                f"`sequence_length`={self.sequence_length}, `fft_length`={fft_length}\n"
                "  hint: leave sequence_length out"
            )
        self.window = window
        self.sampling_rate = sampling_rate
        self.num_mel_bins = whole_number("num_mel_bins", num_mel_bins, 1, where)
        self.min_freq, self.max_freq = min_freq, max_freq or int(sampling_rate / 2)
        if not 0 <= min_freq < self.max_freq:
            raise ValueError(
                f"{where}bands from {min_freq} Hz to {self.max_freq} Hz\n"
                "  hint: 0 <= min_freq < max_freq <= sampling_rate / 2"
            )
        self.power_to_db, self.top_db, self.mag_exp = power_to_db, top_db, mag_exp
        self.min_power, self.ref_power = min_power, ref_power
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """The spectrogram."""
        x: Any = ops.convert_to_tensor(inputs, "float32")
        real, imag = ops.stft(
            x, self.sequence_length, self.sequence_stride, self.fft_length, self.window
        )
        power = ops.square(real) + ops.square(imag)
        if self.mag_exp != 2:
            power = ops.power(ops.sqrt(power), self.mag_exp)
        terms = self.fft_length // 2 + 1
        bands = ops.matmul(power, self._weights(terms))
        return ops.swapaxes(self._decibels(bands) if self.power_to_db else bands, -1, -2)

    def _weights(self, terms: int) -> Array:
        return mel_filters(
            self.num_mel_bins, terms, self.sampling_rate, self.min_freq, self.max_freq
        )

    def _decibels(self, bands: Any) -> Any:
        floor = math.log10(max(abs(self.ref_power), self.min_power))
        levels = 10.0 * (ops.log10(ops.maximum(bands, self.min_power)) - floor)
        return ops.maximum(levels, ops.max(levels) - self.top_db)


_MODES = ("log", "magnitude", "psd", "real", "imag", "angle", "stft")


class STFTSpectrogram(Layer):
    """Short-time Fourier transforms of signals by convolutions, whose kernels can be trained.

    Shapes: (batch, samples, channels) to (batch, frames, channels * terms), where terms are
    `fft_length // 2 + 1`, twice as many for `"stft"`. With `expand_dims` to (batch, frames, terms,
    channels). With channels first: (batch, channels, samples) to (batch, channels * terms,
    frames), or (batch, channels, frames, terms).

    Args:
        mode: `"real"`, `"imag"`, both as `"stft"`, their `"angle"`, `"psd"` for the power of
            positive and negative frequencies, `"magnitude"`, or `"log"` of it.
        frame_length: Samples of a frame.
        frame_step: Samples from the start of a frame to the start of the next; None: half of one.
        fft_length: The length that is transformed; None: the power of two from `frame_length` up.
        window: The name of a window, its values, or None for none.
        periodic: Whether the window is one turn of a wave.
        scaling: `"density"`, `"spectrum"` or None: what the window is divided by, as in
            `initializers.STFT`.
        padding: `"valid"`, or `"same"` for zeros at the ends.
        expand_dims: Whether terms and channels have axes of their own.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        TypeError: The inputs are whole numbers.
        ValueError: A setting is not known, or sizes do not fit together.

    Example:
        >>> layer = fastnn.layers.STFTSpectrogram("magnitude", frame_length=64, frame_step=32)
        >>> layer(np.zeros((2, 256, 1), "float32")).shape
        (2, 7, 33)
    """

    frame_length: int
    frame_step: int | None
    fft_length: int | None
    periodic: bool
    scaling: str | None
    expand_dims: bool
    data_format: str
    real_kernel: Any
    imag_kernel: Any

    def __init__(
        self,
        mode: str = "log",
        frame_length: int = 256,
        frame_step: int | None = None,
        fft_length: int | None = None,
        window: Any = "hann",
        periodic: bool = False,
        scaling: str | None = "density",
        padding: str = "valid",
        expand_dims: bool = False,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        where = "STFTSpectrogram: "
        frame_length = whole_number("frame_length", frame_length, 2, where)
        if frame_step is not None:
            frame_step = whole_number("frame_step", frame_step, 1, where)
            if frame_step > frame_length:
                raise ValueError(
                    "`frame_step` should be a positive integer not greater than `frame_length`. "
                    f"Received frame_step={frame_step}, frame_length={frame_length}\n"
                    "  hint: half of frame_length"
                )
        if fft_length is not None:
            fft_length = whole_number("fft_length", fft_length, 1, where)
            if fft_length < frame_length:
                raise ValueError(
                    "`fft_length` should be not less than `frame_length`. Received "
                    f"fft_length={fft_length}, frame_length={frame_length}\n"
                    "  hint: leave fft_length out"
                )
            if fft_length & (fft_length - 1):
                warnings.warn(
                    f"`fft_length` is recommended to be a power of two. Received {fft_length}",
                    stacklevel=2,
                )
        if mode not in _MODES:
            raise ValueError(
                f"Output mode is invalid, it must be one of {', '.join(_MODES)}. Received: "
                f"mode={mode}\n  hint: mode='log'"
            )
        if padding not in ("valid", "same"):
            raise ValueError(
                f"Padding is invalid, it should be 'valid', 'same'. Received: padding={padding}\n"
                "  hint: padding='valid'"
            )
        initializers.STFT("real", window, scaling, periodic)  # refuses what is not known
        super().__init__(**kwargs)
        self.mode, self.padding, self.window = mode, padding, window
        self.frame_length, self.frame_step, self.fft_length = frame_length, frame_step, fft_length
        self.periodic, self.scaling, self.expand_dims = periodic, scaling, expand_dims
        self.data_format = config.standardize_data_format(data_format)

    def _terms(self) -> int:
        return (self.fft_length or 2 ** math.ceil(math.log2(self.frame_length))) // 2 + 1

    def build(self, input_shape: Shape) -> None:
        """Makes the kernels."""
        shape = (self.frame_length, 1, self._terms())
        for side in ("real", "imag"):
            if self.mode != {"real": "imag", "imag": "real"}[side]:
                first = initializers.STFT(side, self.window, self.scaling, self.periodic)
                weight = self.add_weight(shape, first, name=f"{side}_kernel")
                setattr(self, f"{side}_kernel", weight)
        self.built = True

    def call(self, inputs: TensorLike) -> Tensor:
        """The spectrogram."""
        x: Any = ops.convert_to_tensor(inputs)
        if x.dtype not in ("float32", "float16", "bfloat16"):
            raise TypeError(
                f"STFTSpectrogram {self.name!r}: Invalid input type. Expected `float16`, `float32` "
                f"or `float64`. Received: input type={x.dtype}\n"
                "  hint: signals from -1 to 1: x.astype('float32') / 32768"
            )
        first = self.data_format == "channels_first"
        x = ops.transpose(x, (0, 2, 1)) if first else x
        y = self._spectrum(x)  # (batch, frames, channels * terms)
        if self.expand_dims:
            batch, frames, wide = ops.shape(y)
            channels = ops.shape(x)[-1]
            y = ops.reshape(y, (batch, frames, channels, wide // channels))
            return ops.transpose(y, (0, 2, 1, 3) if first else (0, 1, 3, 2))
        return ops.transpose(y, (0, 2, 1)) if first else y

    def _spectrum(self, x: TensorLike) -> Any:
        mode = self.mode
        if mode in ("real", "imag"):
            return self._filtered(x, getattr(self, f"{mode}_kernel"))
        if mode == "stft":
            return self._filtered(x, ops.concatenate([self.real_kernel, self.imag_kernel], axis=-1))
        real, imag = self._filtered(x, self.real_kernel), self._filtered(x, self.imag_kernel)
        if mode == "angle":
            return ops.arctan2(imag, real)
        power = ops.square(real) + ops.square(imag)
        if mode == "psd":  # all but the first and the last term stand for two frequencies
            twice = np.full(self._terms(), 2.0, np.float32)
            twice[[0, -1]] = 1.0
            return power * np.tile(twice, ops.shape(x)[-1])
        magnitude = ops.sqrt(ops.maximum(power, config.epsilon()))
        if mode == "magnitude":
            return magnitude
        return ops.log(ops.maximum(magnitude, config.epsilon()))

    def _filtered(self, x: TensorLike, kernel: Any) -> Any:
        """Each channel of (batch, samples, channels) with the kernels."""
        size, _, terms = ops.shape(kernel)
        taps = ops.broadcast_to(kernel, (size, ops.shape(x)[-1], terms))
        step = self.frame_step or self.frame_length // 2
        return ops.depthwise_conv(x, taps, step, self.padding, "channels_last")
