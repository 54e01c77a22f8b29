"""`tf.audio`: WAV files as `tf.io.read_file` gives them, and as `tf.io.write_file` takes them."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.typing import TensorLike
from fastnn.data.sounds import wav_samples
from fastnn.errors import ShapeError

__all__ = ["DecodeWav", "decode_wav", "encode_wav"]


class DecodeWav(NamedTuple):
    """Samples (steps, channels) from -1 to 1, and how many there are a second."""

    audio: Tensor
    sample_rate: Tensor


def decode_wav(
    contents: Any, desired_channels: int = -1, desired_samples: int = -1, name: str | None = None
) -> DecodeWav:
    """The samples of a WAV file's bytes.

    Args:
        contents: What `tf.io.read_file` gives.
        desired_channels: Channels to give: the first ones, or the last one again for those that
            the file lacks; -1: those of the file.
        desired_samples: Steps to give: the first ones, or zeros after the last; -1: those of the
            file.
        name: Ignored.

    Returns:
        The pair (audio, sample_rate).

    Raises:
        DataError: It is no WAV file, or has a format that is not read.

    Example:
        >>> wav = fastnn.audio.encode_wav([[0.5], [-0.25]], 8000)
        >>> audio, rate = fastnn.audio.decode_wav(wav, desired_samples=3)
        >>> audio.numpy().ravel().round(3), int(rate)
        (array([ 0.5 , -0.25,  0.  ], dtype=float32), 8000)
    """
    data = contents.item() if isinstance(contents, np.ndarray) else contents
    if not isinstance(data, bytes):
        raise TypeError(
            f"decode_wav takes the bytes of a file, got {type(contents).__name__}\n"
            "  hint: tf.audio.decode_wav(tf.io.read_file(path))"
        )
    samples, rate = wav_samples(data, "decode_wav: contents")
    if desired_channels >= 0:
        lacking = max(0, desired_channels - samples.shape[1])
        samples = np.pad(samples, [(0, 0), (0, lacking)], "edge")[:, :desired_channels]
    if desired_samples >= 0:
        lacking = max(0, desired_samples - len(samples))
        samples = np.pad(samples, [(0, lacking), (0, 0)])[:desired_samples]
    return DecodeWav(ops.convert_to_tensor(samples), ops.convert_to_tensor(rate, "int32"))


def encode_wav(audio: TensorLike, sample_rate: Any, name: str | None = None) -> bytes:
    """A WAV file of 16 bits a sample, as bytes.

    Args:
        audio: Samples (steps, channels); what lies beyond -1 and 1 is cut.
        sample_rate: Samples a second.
        name: Ignored.

    Returns:
        The bytes.

    Raises:
        ShapeError: `audio` has not two axes.

    Example:
        >>> len(fastnn.audio.encode_wav([[0.5], [-0.25]], 8000))
        48
    """
    samples = ops.convert_to_numpy(audio)
    if samples.ndim != 2:
        raise ShapeError(
            f"encode_wav: audio has shape {samples.shape}, wanted (steps, channels)\n"
            "  hint: audio[:, None] of one channel"
        )
    rate, channels = int(ops.convert_to_numpy(sample_rate)), samples.shape[1]
    scaled = np.rint(np.clip(samples.astype(np.float64) * 32768.0, -32768, 32767))
    body = np.nan_to_num(scaled).astype("<i2").tobytes()
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, channels, rate,
        2 * channels * rate, 2 * channels, 16, b"data", len(body),
    )  # fmt: skip
    return head + body


answer_missing(globals(), "fastnn.audio")
