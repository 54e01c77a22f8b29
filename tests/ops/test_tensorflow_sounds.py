"""`tf.audio` and the spectra of `tf.signal`, as TensorFlow 2.21 gives them."""

import numpy as np
import pytest

import fastnn as tf

#: (type, norm) -> what TensorFlow made of 0, 1, 2, 3, 4, 5 to the power of 1.5.
TRANSFORMS = {
    (1, None): [45.2294998, -23.9699137, 3.7586031, -3.0230417, 1.5774965, -1.9157886],
    (2, "ortho"): [11.5146093, -9.4465694, 1.5778797, -0.7399971, 0.3478308, -0.1333588],
    (2, None): [56.4098358, -32.7238770, 5.4659357, -2.5634251, 1.2049212, -0.4619685],
    (3, "ortho"): [8.0732823, -10.8962288, 5.1583214, -3.3679461, 1.6586246, -0.6260533],
    (3, None): [27.9666672, -37.7456474, 17.8689499, -11.6669083, 5.7456465, -2.1687133],
}
WAVES = np.array([[0.5, -1.0], [0.99999, 1.5], [-0.123, 0.00003], [-2, 0.25]], np.float32)


def test_a_wav_file_is_written_and_read_as_tensorflow_does(tmp_path):
    wav = tf.audio.encode_wav(WAVES, 16000)
    assert wav[44:].hex() == "00400080ff7fff7f42f0010000800020"
    tf.io.write_file(str(tmp_path / "a.wav"), wav)
    audio, rate = tf.audio.decode_wav(tf.io.read_file(str(tmp_path / "a.wav")))
    want = [[0.5, -1.0], [32767 / 32768, 32767 / 32768], [-4030 / 32768, 1 / 32768], [-1.0, 0.25]]
    assert audio.numpy().tolist() == want
    assert (int(rate), rate.dtype) == (16000, "int32")
    assert tf.audio.decode_wav(wav, 1, 2).audio.numpy().tolist() == [[0.5], [32767 / 32768]]
    longer = tf.audio.decode_wav(wav, 3, 6).audio.numpy()
    assert longer[3].tolist() == [-1.0, 0.25, 0.25]
    assert longer[4:].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_what_is_no_wav_file_is_refused_with_its_reason():
    with pytest.raises(tf.errors.DataError, match="is no WAV file\\n  hint: convert"):
        tf.audio.decode_wav(b"ID3 something")
    with pytest.raises(tf.errors.DataError, match="has no samples"):
        tf.audio.decode_wav(tf.audio.encode_wav(WAVES, 16000)[:30])
    with pytest.raises(TypeError, match=r"got str\n  hint: tf.audio.decode_wav\(tf.io.read_file"):
        tf.audio.decode_wav("a.wav")
    with pytest.raises(ValueError, match=r"shape \(4,\), wanted \(steps, channels\)"):
        tf.audio.encode_wav(WAVES[:, 0], 16000)


@pytest.mark.parametrize(("kind", "norm"), TRANSFORMS)
def test_cosine_transforms_are_tensorflows(kind, norm):
    x = np.arange(6, dtype=np.float32) ** 1.5
    got = tf.signal.dct(np.stack([x, 2 * x]), type=kind, norm=norm).numpy()
    want = np.array(TRANSFORMS[kind, norm])
    np.testing.assert_allclose(got, [want, 2 * want], rtol=2e-5, atol=2e-5)


def test_a_cosine_transform_is_undone_cut_and_padded():
    x = np.arange(6, dtype=np.float32) ** 1.5
    for kind in (2, 3, 4):
        back = tf.signal.idct(tf.signal.dct(x, kind, norm="ortho"), kind, norm="ortho")
        np.testing.assert_allclose(back.numpy(), x, atol=2e-5)
    short, cut = tf.signal.dct(x, n=4).numpy(), tf.signal.dct(x[:4]).numpy()
    np.testing.assert_array_equal(short, cut)
    longer = tf.signal.dct(np.concatenate([x, np.zeros(2, np.float32)])).numpy()
    np.testing.assert_array_equal(tf.signal.dct(x, n=8).numpy(), longer)
    for wrong in ({"type": 5}, {"type": 1, "norm": "ortho"}, {"norm": "half"}, {"n": 0}):
        with pytest.raises(ValueError, match="hint: "):
            tf.signal.dct(x, **wrong)


def test_mel_bands_and_cepstral_coefficients_are_tensorflows():
    weights = tf.signal.linear_to_mel_weight_matrix(6, 33, 16000, 80.0, 7600.0).numpy()
    assert weights.shape == (33, 6)
    want = [[0, 0.2876099, 0.7123901, 0, 0, 0], [0, 0, 0.9305283, 0.0694717, 0, 0],
            [0, 0, 0.6119215, 0.3880785, 0, 0], [0, 0, 0.3242989, 0.6757011, 0, 0]]  # fmt: skip
    np.testing.assert_allclose(weights[5:9], want, atol=1e-6)
    x = np.arange(6, dtype=np.float32) ** 1.5
    got = tf.signal.mfccs_from_log_mel_spectrograms(x[None]).numpy()
    np.testing.assert_allclose(got[0], np.array(TRANSFORMS[2, None]) / 12**0.5, atol=2e-5)
    with pytest.raises(ValueError, match=r"from 100 to 9000 Hz .*\n  hint: "):
        tf.signal.linear_to_mel_weight_matrix(6, 33, 16000, 100.0, 9000.0)


def test_words_are_told_apart_by_their_spectrograms(tmp_path):
    """A program for sounds as users write it: files, a spectrogram, a small network."""
    rng = np.random.default_rng(0)
    for i in range(40):
        steps = np.arange(2000) / 8000
        tone = np.sin(2 * np.pi * (440 if i % 2 else 1200) * steps + rng.uniform(0, 6))
        noisy = 0.3 * tone + 0.05 * rng.standard_normal(2000)
        name = tmp_path / ("low" if i % 2 else "high") / f"{i}.wav"
        tf.io.write_file(str(name), tf.audio.encode_wav(noisy[:, None], 8000))

    def spectrogram(path):
        wave, _ = tf.audio.decode_wav(tf.io.read_file(path), desired_channels=1)
        power = tf.abs(tf.signal.stft(tf.squeeze(wave, -1), frame_length=255, frame_step=128))
        return power[..., None]

    files = sorted(str(f) for f in tmp_path.glob("*/*.wav"))
    x = np.stack([spectrogram(f).numpy() for f in files])
    y = np.array(["low" in f.rsplit("/", 2)[1] for f in files], np.int32)
    tf.keras.utils.set_random_seed(1)
    model = tf.keras.Sequential([
        tf.keras.Input(x.shape[1:]),
        tf.keras.layers.AveragePooling2D((2, 8)),
        tf.keras.layers.Conv2D(8, 3, activation="relu"),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(2),
    ])  # fmt: skip
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    model.fit(x[::2], y[::2], epochs=60, verbose=0)
    assert model.evaluate(x[1::2], y[1::2], verbose=0)[1] >= 0.9


def test_a_spectrum_is_an_array_of_complex_numbers_to_numpy():
    sound = np.sin(np.arange(32.0)).astype("float32")
    found, expected = tf.signal.rfft(sound), np.fft.rfft(sound)
    assert len(found) == len(expected)
    np.testing.assert_allclose(np.asarray(found), expected, atol=1e-5)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-5)
    assert np.asarray(found, "complex64").dtype == "complex64"
