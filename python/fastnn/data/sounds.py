"""Sounds: WAV files as arrays, another rate of samples, and folders with a subfolder a class.

Depends on `folders`, `pipeline`.
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments, whole_number
from fastnn.config import floatx
from fastnn.data.folders import _checked_split, check_label_mode, index_directory
from fastnn.data.pipeline import Dataset
from fastnn.errors import DataError

__all__ = ["audio_dataset_from_directory", "read_wav", "resampled", "wav_samples"]

Array = np.ndarray[Any, Any]

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
#: Crossings of zero of the filter on either side, and the form of its window, when resampling.
_CROSSINGS, _BETA = 24, 9.0


def read_wav(path: str) -> tuple[Array, int]:
    """The samples of a WAV file, (samples, channels) from -1 to 1, and how many there are a second.

    Whole numbers of 8, 16, 24 and 32 bits and float32 and float64 are read; what is compressed by
    `soundfile` where it is installed.
    """
    with open(path, "rb") as file:
        return wav_samples(file.read(), path)


def wav_samples(data: bytes, name: str) -> tuple[Array, int]:
    """`read_wav` of what a file holds; errors call it `name`."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise DataError(f"{name} is no WAV file\n  hint: convert it: ffmpeg -i in.mp3 out.wav")
    form: tuple[int, ...] | None = None
    at = 12
    while at + 8 <= len(data):
        part, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
        body = data[at + 8 : at + 8 + size]
        if part == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
            if kind == _EXTENSIBLE and len(body) >= 26:
                kind = struct.unpack_from("<H", body, 24)[0]
            form = (kind, channels, rate, bits)
        elif part == b"data" and form is not None:
            kind, channels, rate, bits = form
            samples = _decoded(body, kind, bits)
            if samples is None or not channels:
                return _by_soundfile(data, name, f"format {kind} of {bits} bits")
            whole = len(samples) // channels * channels
            return samples[:whole].reshape(-1, channels), rate
        at += 8 + size + size % 2
    raise DataError(f"{name} has no samples\n  hint: the file is cut; write it again")


def _decoded(body: bytes, kind: int, bits: int) -> Array | None:
    """Samples from -1 to 1 as float32; None for a format that is not known."""
    width = bits // 8
    if kind == _FLOAT and bits in (32, 64):
        whole = len(body) // width * width
        return np.frombuffer(body[:whole], f"<f{width}").astype(np.float32)
    if kind != _PCM or bits not in (8, 16, 24, 32):
        return None
    raw = np.frombuffer(body[: len(body) // width * width], np.uint8).reshape(-1, width)
    if bits == 8:  # unsigned, with its middle at 128
        return (raw[:, 0].astype(np.float32) - 128.0) / 128.0
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 4 - width :] = raw
    number = wide.view("<i4")[:, 0].astype(np.float64) / 2.0**31
    return number.astype(np.float32)


def _by_soundfile(data: bytes, name: str, what: str) -> tuple[Array, int]:
    try:
        import soundfile
    except ImportError:
        raise DataError(
            f"{name}: {what} is not read\n  hint: pip install soundfile, or convert it to 16 bits"
        ) from None
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    return samples, int(rate)


def resampled(samples: Array, rate: int, wanted: int) -> Array:
    """(samples, channels) at another rate, by a filter that leaves out what cannot be heard there.

    A sinc under a window of Kaiser; silence is taken to be before the first and after the last
    sample.
    """
    if rate == wanted or not len(samples):
        return samples
    cut = min(1.0, wanted / rate)
    reach = math.ceil(_CROSSINGS / cut)
    count = -(-len(samples) * wanted // rate)
    filled = np.pad(samples.astype(np.float64), [(reach, reach + 1), (0, 0)])
    out = np.empty((count, samples.shape[1]), np.float32)
    offsets = np.arange(-reach + 1, reach + 1)
    for first in range(0, count, 4096):
        j = np.arange(first, min(first + 4096, count))
        nearest = j * rate // wanted  # whole numbers, so that long files do not drift
        distance = ((j * rate) % wanted / wanted)[:, None] - offsets
        window = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1.0 - (distance / reach) ** 2)))
        taps = cut * np.sinc(cut * distance) * window / np.i0(_BETA)
        rows = filled[nearest[:, None] + offsets + reach]
        out[first : first + len(j)] = np.einsum("jt,jtc->jc", taps, rows)
    return out


@hints_arguments
def audio_dataset_from_directory(
    directory: Any,
    labels: Any = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    sampling_rate: int | None = None,
    output_sequence_length: int | None = None,
    ragged: bool = False,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """A data set of the sounds in a folder, which has a subfolder for each class.

    Sounds (.wav) come as float32 from -1 to 1 of shape (samples, channels); those of a batch are
    filled up with zeros to the longest. The data set has `class_names` and `file_paths`.

    Args:
        directory: The folder.
        labels: `"inferred"` from the subfolders, None, or a list with a number for each file in
            order of paths.
        label_mode: `"int"` (int32), `"binary"` (float32 of shape (batch, 1)), `"categorical"`
            (one-hot float32) or None.
        class_names: Subfolders in the order of their class numbers; None: sorted.
        batch_size: Sounds of a batch; None for single sounds.
        sampling_rate: Samples a second that all sounds are brought to; None: as in the files.
        output_sequence_length: Samples that all sounds are cut or filled up to; None: as they are.
        ragged: False: there are no ragged tensors.
        shuffle: Whether they are mixed.
        seed: Of the order; a number makes it the same in each run.
        validation_split: The share of the files, the last ones, that is for validation.
        subset: `"training"`, `"validation"` or `"both"` (two data sets).
        follow_links: Whether links to folders are followed.
        verbose: Whether to say how many files were found.

    Returns:
        A `fastnn.data.Dataset`, or two of them.

    Raises:
        DataError: There is no such folder, no sound in it, or a file that cannot be read.

    Example:
        >>> import pathlib, tempfile, wave
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> for name in ("no", "yes"):
        ...     (folder / name).mkdir()
        ...     with wave.open(str(folder / name / "0.wav"), "wb") as file:
        ...         file.setparams((1, 2, 8000, 0, "NONE", ""))
        ...         file.writeframes(np.array([0, 16384], "<i2").tobytes())
        >>> ds = fastnn.utils.audio_dataset_from_directory(folder, shuffle=False, verbose=False)
        >>> [(x.numpy().ravel().tolist(), y.numpy().tolist()) for x, y in ds]
        [([0.0, 0.5, 0.0, 0.5], [0, 1])]
    """
    if labels not in ("inferred", None) and not isinstance(labels, list | tuple):
        raise ValueError(
            "The `labels` argument should be a list/tuple of integer labels, of the same size as "
            f"the number of audio files in the target directory. Received: labels={labels}\n"
            "  hint: labels='inferred' takes them from the subfolders"
        )
    check_label_mode(label_mode)
    if ragged:
        raise ValueError(
            "audio_dataset_from_directory: there are no ragged tensors\n"
            "  hint: leave ragged out: sounds are filled up to the longest of their batch"
        )
    if sampling_rate is not None:
        sampling_rate = whole_number("sampling_rate", sampling_rate, 1)
    if output_sequence_length is not None:
        output_sequence_length = whole_number("output_sequence_length", output_sequence_length, 1)
    if labels is None or label_mode is None:
        labels = label_mode = None
    _checked_split(validation_split, subset, shuffle, seed)
    if shuffle and seed is None:
        seed = int(np.random.randint(10**6))
    paths, numbers, names = index_directory(
        directory, labels, (".wav",), class_names, shuffle, seed, follow_links, verbose
    )
    if label_mode == "binary" and len(names or ()) != 2:
        raise ValueError(
            'When passing `label_mode="binary"`, there must be exactly 2 class_names. '
            f"Received: class_names={names}\n  hint: label_mode='int' or 'categorical'"
        )
    held = int((validation_split or 0) * len(paths))
    parts = {"training": (0, len(paths) - held), "validation": (len(paths) - held, len(paths))}
    wanted = (subset,) if subset in parts else tuple(parts) if subset == "both" else (None,)
    made = []

    def target(i: int) -> Array:
        if label_mode == "binary":
            return np.asarray([numbers[i]], floatx())
        if label_mode == "categorical":
            one: Array = np.eye(len(names or ()), dtype=floatx())[int(numbers[i])]
            return one
        return np.asarray(numbers[i], np.int32)

    def read(i: int) -> Any:
        sound = _sound(paths[i], sampling_rate, output_sequence_length)
        return sound if label_mode is None else (sound, target(i))

    for part in wanted:
        first, last = parts.get(part or "", (0, len(paths)))
        if first == last:
            kind = f"{part} audio" if part else "audio"
            raise DataError(
                f"No {kind} files found in directory {os.fsdecode(directory)!r}. Allowed format: "
                ".wav\n  hint: one subfolder a class, sounds in it"
            )
        mixed = shuffle and not (subset == "both" and part == "validation")
        order = Dataset.from_tensor_slices(np.arange(first, last))
        order = order.shuffle(last - first, seed=seed) if mixed else order

        def make(order: Any = order) -> Iterator[Any]:
            return (read(int(i)) for i in order.as_numpy_iterator())

        ds = Dataset(make, last - first, sources=(order,))
        if batch_size is not None:
            same = output_sequence_length is not None
            ds = ds.batch(batch_size) if same else ds.padded_batch(batch_size)
        vars(ds).update(class_names=names, file_paths=paths[first:last])
        made.append(ds)
    return made if subset == "both" else made[0]


def _sound(path: str, rate: int | None, length: int | None) -> Array:
    samples, have = read_wav(path)
    if rate is not None:
        samples = resampled(samples, have, rate)
    if length is not None:
        samples = samples[:length]
        samples = np.pad(samples, [(0, length - len(samples)), (0, 0)])
    return samples
