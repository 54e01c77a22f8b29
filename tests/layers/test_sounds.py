"""Spectra of sounds: `ops.stft`, its inverse, the initialiser and the layers made of it.

Values are compared with NumPy's transforms of frames cut out one by one.
"""

import numpy as np
import pytest
import scipy.signal

import fastnn
from fastnn import initializers, layers, ops

SOUND = np.random.default_rng(0).normal(size=(2, 200)).astype("f")


def by_frames(x, length, stride, points, window, center):
    """The transforms of frames in float64, one after the other."""
    values = np.ones(points)
    if window is not None:
        inner = scipy.signal.get_window(window, length) if isinstance(window, str) else window
        left = (points - length) // 2
        values = np.pad(inner, (left, points - length - left))
    x = np.asarray(x, np.float64)
    if center:
        x = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(points // 2, points // 2)], mode="reflect")
    starts = range(0, x.shape[-1] - points + 1, stride)
    return np.stack([np.fft.rfft(x[..., s : s + points] * values) for s in starts], axis=-2)


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("window", ["hann", "hamming", None, "values"])
@pytest.mark.parametrize(("length", "stride", "points"), [(16, 4, 16), (9, 7, 12), (5, 1, 5)])
def test_frames_are_transformed_as_numpy_does(length, stride, points, window, center):
    window = np.linspace(0.5, 1.5, length) if window == "values" else window
    wanted = by_frames(SOUND, length, stride, points, window, center)
    real, imag = ops.stft(SOUND, length, stride, points, window, center)
    np.testing.assert_allclose(real.numpy(), wanted.real, atol=2e-5)
    np.testing.assert_allclose(imag.numpy(), wanted.imag, atol=2e-5)


@pytest.mark.parametrize("window", ["hann", "hamming"])
@pytest.mark.parametrize(("length", "stride", "points"), [(16, 4, 16), (12, 3, 16), (7, 2, 7)])
def test_the_inverse_gives_the_signal_back_up_to_its_ends(length, stride, points, window):
    pair = ops.stft(SOUND, length, stride, points, window)
    back = ops.istft(pair, length, stride, points, window=window).numpy()
    assert 200 - stride < back.shape[1] <= 200 + 1
    count = min(back.shape[1], 200)
    np.testing.assert_allclose(back[:, :count], SOUND[:, :count], atol=2e-5)
    cut = ops.istft(pair, length, stride, points, length=50, window=window)
    np.testing.assert_allclose(cut.numpy(), SOUND[:, :50], atol=2e-5)


def test_the_inverse_differentiates(rng):
    def loss(v):
        return ops.sum(ops.square(ops.istft((v, 0.5 * v), 8, 3, 8)) * weights)

    x, step = rng.normal(size=(2, 6, 5)), rng.normal(size=(2, 6, 5))
    weights = rng.normal(size=(15,)).astype("f")
    gradient = fastnn.grad(loss)(x.astype("f")).numpy()
    ends = [float(loss((x + s * 1e-2 * step).astype("f"))) for s in (1, -1)]
    assert float((gradient * step).sum()) == pytest.approx((ends[0] - ends[1]) / 2e-2, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ops.stft(SOUND, 8, 0, 8), "sequence_stride is 0"),
        (lambda: ops.stft(SOUND, 8, 2, 4), "`fft_length` must equal or larger"),
        (lambda: ops.stft(SOUND, 8, 2, 8, "tukey"), 'must be one of `"hann"`'),
        (lambda: ops.stft(SOUND, 8, 2, 8, np.ones(7)), r"window shape=\(7,\)"),
        (lambda: ops.stft(np.ones(5), 8, 2, 16), "shorter than a frame"),
        (lambda: ops.istft((SOUND, SOUND), 8, 2, 8), "same shape"),
        (lambda: ops.istft(SOUND, 8, 2, 8), "tuple of two tensors"),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    with pytest.raises(ValueError, match=says) as caught:
        call()
    assert "hint:" in str(caught.value)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("window", ["boxcar", "hann", "hamming", "blackman", "tukey"])
def test_kernels_are_waves_under_scipys_windows(window, periodic):
    values = scipy.signal.get_window(window, 20, periodic)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(20), np.arange(17)) / 32)
    for scaling, divisor in (
        ("density", np.sqrt((values**2).sum())), ("spectrum", values.sum()), (None, 1.0),
    ):  # fmt: skip
        wanted = waves * values[:, None] / divisor
        for side, part in (("real", wanted.real), ("imag", wanted.imag)):
            first = initializers.STFT(side, window, scaling, periodic)
            np.testing.assert_allclose(first((20, 1, 17))[:, 0], part, atol=1e-6)


def test_spectrograms_are_scipys():
    x = SOUND[..., None]
    for mode in ("psd", "magnitude"):
        layer = layers.STFTSpectrogram(mode, frame_length=64, frame_step=16, scaling="spectrum")
        _, _, wanted = scipy.signal.spectrogram(
            SOUND, window=np.hanning(64), nperseg=64, noverlap=48, mode=mode, scaling="spectrum",
            detrend=False,
        )  # fmt: skip
        np.testing.assert_allclose(layer(x).numpy(), wanted.transpose(0, 2, 1), atol=4e-4)


def test_channels_stand_one_after_the_other_or_on_an_axis_of_their_own():
    x = SOUND.T[None]  # (1, samples, 2)
    each = [layers.STFTSpectrogram("stft", 32)(x[..., i : i + 1]).numpy() for i in (0, 1)]
    np.testing.assert_allclose(
        layers.STFTSpectrogram("stft", 32)(x).numpy(), np.concatenate(each, -1), atol=1e-6
    )
    wide = layers.STFTSpectrogram("stft", 32, expand_dims=True)
    np.testing.assert_allclose(wide(x).numpy(), np.stack(each, -1), atol=1e-6)
    first = layers.STFTSpectrogram("stft", 32, expand_dims=True, data_format="channels_first")
    np.testing.assert_allclose(first(x.transpose(0, 2, 1)).numpy(), np.stack(each, 1), atol=1e-6)


def test_the_kernels_of_a_spectrogram_are_trained():
    model = fastnn.Sequential([
        fastnn.Input((None, 1)), layers.STFTSpectrogram("log", 16), layers.GlobalMaxPooling1D(),
        layers.Dense(1),
    ])  # fmt: skip
    model.compile("sgd", "mse")
    before = model.layers[0].real_kernel.numpy().copy()
    model.fit(SOUND[..., None], np.ones((2, 1)), epochs=2, verbose=0)
    assert np.abs(model.layers[0].real_kernel.numpy() - before).max() > 0


def mel_by_hand(x, points, stride, rate, bins, low, high):
    """Powers in triangles between mel points, in float64."""
    power = np.abs(by_frames(x, points, stride, points, "hann", True)) ** 2
    mel = lambda f: 2595 * np.log10(1 + f / 700)  # noqa: E731
    edges = np.linspace(mel(low), mel(high), bins + 2)
    out = np.zeros((*power.shape[:-1], bins))
    for term in range(1, points // 2 + 1):
        at = mel(term * rate / points)
        for b in range(bins):
            left, middle, right = edges[b : b + 3]
            if left < at < right:
                share = (at - left) / (middle - left) if at <= middle else 0
                share = share if at <= middle else (right - at) / (right - middle)
                out[..., b] += share * power[..., term]
    return np.swapaxes(out, -1, -2)


def test_mel_spectrograms_are_powers_in_triangles():
    settings = {"sampling_rate": 8000, "num_mel_bins": 10, "min_freq": 100.0, "max_freq": 3000.0}
    wanted = mel_by_hand(SOUND, 64, 20, 8000, 10, 100.0, 3000.0)
    plain = layers.MelSpectrogram(64, 20, power_to_db=False, **settings)
    np.testing.assert_allclose(plain(SOUND).numpy(), wanted, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(plain(SOUND[0]).numpy(), wanted[0], rtol=1e-4, atol=1e-3)
    levels = 10 * np.log10(np.maximum(wanted, 1e-10) / 2.0)
    loud = layers.MelSpectrogram(64, 20, top_db=15.0, ref_power=2.0, **settings)
    np.testing.assert_allclose(
        loud(SOUND).numpy(), np.maximum(levels, levels.max() - 15.0), rtol=1e-4, atol=1e-3
    )
    root = layers.MelSpectrogram(64, 20, power_to_db=False, mag_exp=1.0, **settings)
    assert np.all(root(SOUND).numpy() > 0)
    assert np.abs(root(SOUND).numpy() - wanted).max() > 1.0


def test_settings_of_spectrograms_are_checked():
    for bad in (
        {"frame_length": 16, "frame_step": 17}, {"frame_length": 16, "fft_length": 8},
        {"mode": "loud"}, {"padding": "full"}, {"scaling": "l2"}, {"window": "unknown"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="hint:"):
            layers.STFTSpectrogram(**bad)
    with pytest.raises(TypeError, match="hint:"):
        layers.STFTSpectrogram(frame_length=16)(np.ones((1, 32, 1), "int32"))
    with pytest.raises(ValueError, match="greater than or equal"):
        layers.MelSpectrogram(256, 64, 512)
    with pytest.raises(ValueError, match="bands from 300"):
        layers.MelSpectrogram(min_freq=300, max_freq=200)
