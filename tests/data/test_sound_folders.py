"""WAV files as arrays, other rates of samples, and data sets of folders of sounds."""

import wave

import numpy as np
import pytest
import scipy.io.wavfile

import fastnn
from fastnn.data.sounds import read_wav, resampled


@pytest.fixture
def folder(tmp_path):
    """Two classes of three sounds of unlike length: sound i holds i / 100 in all samples."""
    for number, name in enumerate(("no", "yes")):
        (tmp_path / name).mkdir()
        for i in range(3):
            value = round((number * 3 + i) / 100 * 32768)
            scipy.io.wavfile.write(
                tmp_path / name / f"{i}.wav", 8000, np.full(10 + i, value, "int16")
            )
    return tmp_path


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "f4", "f8"])
def test_samples_are_from_minus_1_to_1_whatever_the_file_holds(kind, tmp_path, rng):
    wanted = rng.uniform(-0.99, 0.99, (30, 2))
    scale = {"u1": 128, "i2": 2**15, "i4": 2**31}.get(kind, 1)
    held = np.round(wanted * scale) + (128 if kind == "u1" else 0) if scale > 1 else wanted
    scipy.io.wavfile.write(tmp_path / "a.wav", 22050, held.astype(kind))
    samples, rate = read_wav(str(tmp_path / "a.wav"))
    assert (rate, samples.shape, samples.dtype) == (22050, (30, 2), "float32")
    np.testing.assert_allclose(samples, wanted, atol=0.6 / scale + 1e-7)


def test_samples_of_24_bits_are_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setparams((1, 3, 8000, 0, "NONE", ""))
        file.writeframes(b"\x00\x00\x40\x00\x00\xc0\xff\xff\xff")
    samples, _ = read_wav(str(tmp_path / "a.wav"))
    np.testing.assert_allclose(samples[:, 0], [0.5, -0.5, -(2.0**-23)])


def test_what_is_no_sound_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"ID3 music")
    with pytest.raises(fastnn.DataError, match="no WAV file"):
        read_wav(str(path))
    path.write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    with pytest.raises(fastnn.DataError, match="no samples"):
        read_wav(str(path))


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100])
def test_tones_keep_their_pitch_at_another_rate(rate):
    def tones(rate, count):
        t = np.arange(count)[:, None] / rate
        return np.sin(2 * np.pi * 440 * t) + 0.5 * np.cos(2 * np.pi * 1000 * t)

    made = resampled(tones(16000, 8000).astype("f"), 16000, rate)
    assert made.shape == (-(-8000 * rate // 16000), 1)
    np.testing.assert_allclose(made[300:-300], tones(rate, len(made))[300:-300], atol=1e-4)
    high = np.sin(2 * np.pi * 7000 * np.arange(8000) / 16000)[:, None]
    assert np.abs(resampled(high, 16000, 8000)[300:-300]).max() < 1e-4  # nothing comes back lower


def test_a_folder_of_sounds_is_a_data_set(folder):
    read = fastnn.utils.audio_dataset_from_directory
    ds = read(folder, shuffle=False, batch_size=4, verbose=False)
    assert ds.class_names == ["no", "yes"]
    (first, labels), (second, rest) = ((x.numpy(), y.numpy()) for x, y in ds)
    assert (first.shape, second.shape) == ((4, 12, 1), (2, 12, 1))
    assert labels.tolist() + rest.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(first[:, 0, 0], [0, 0.01, 0.02, 0.03], atol=2e-5)
    assert first[0, 10:].tolist() == [[0.0], [0.0]]  # filled up to the longest
    ds = read(folder, label_mode="binary", output_sequence_length=11, verbose=False, seed=1)
    x, y = next(iter(ds))
    assert (x.shape, y.shape, y.numpy().sum()) == ((6, 11, 1), (6, 1), 3.0)
    x, y = next(iter(read(folder, label_mode="categorical", sampling_rate=4000, verbose=False)))
    assert (x.shape, y.shape) == ((6, 6, 1), (6, 2))
    train, held = read(
        folder, labels=None, validation_split=0.5, subset="both", seed=2, batch_size=None,
        verbose=False,
    )  # fmt: skip
    assert sorted(train.file_paths + held.file_paths) == sorted(map(str, folder.glob("*/*.wav")))
    assert (len(list(train)), len(list(held))) == (3, 3)


def test_what_a_folder_of_sounds_cannot_be_is_refused(folder, tmp_path):
    read = fastnn.utils.audio_dataset_from_directory
    for bad in ({"ragged": True}, {"label_mode": "text"}, {"labels": "all"}, {"sampling_rate": 0}):
        with pytest.raises(ValueError, match="hint:"):
            read(folder, verbose=False, **bad)
    (tmp_path / "none" / "a").mkdir(parents=True)
    with pytest.raises(fastnn.DataError, match="No audio files found"):
        read(tmp_path / "none", verbose=False)
