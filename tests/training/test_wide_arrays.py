"""Large arrays of other types give what their float32 copies give, a batch at a time."""

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.data import arrays


def model():
    fastnn.utils.set_random_seed(0)
    net = fastnn.Sequential(
        [fastnn.Input((4, 4, 2)), layers.Flatten(), layers.Dense(3, activation="tanh")]
    )
    net.compile(fastnn.optimizers.SGD(0.01), "mse", metrics=["mae"])
    return net


def results(x, y):
    net = model()
    history = net.fit(x, y, batch_size=16, epochs=2, verbose=0, validation_split=0.25).history
    return history, net.evaluate(x, y, verbose=0), net.predict(x, verbose=0), net.get_weights()


@pytest.mark.parametrize("kind", ["float64", "int16", "uint16", "int64", "bool", "uint8"])
def test_results_are_those_of_a_float32_copy(kind, monkeypatch, tmp_path):
    draw = np.random.default_rng(0)
    x = draw.integers(0, 2, (60, 4, 4, 2)).astype(kind)
    y = draw.normal(size=(60, 3))
    want = results(x.astype(np.float32), y)
    monkeypatch.setattr(arrays, "DENSE_BYTES", 64)
    wide = arrays.as_arrays(x, "x", narrow=True)
    assert isinstance(wide, arrays.WideRows) == (kind != "uint8")
    np.save(tmp_path / "x.npy", x)
    for given in (x, np.load(tmp_path / "x.npy", mmap_mode="r"), np.asfortranarray(x)):
        got = results(given, y)
        for key, values in want[0].items():
            np.testing.assert_allclose(got[0][key], values, rtol=1e-5)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-5)
        np.testing.assert_allclose(got[2], want[2], rtol=1e-4, atol=1e-6)
        for a, b in zip(got[3], want[3], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_samples_of_another_rank_are_fitted(monkeypatch):
    monkeypatch.setattr(arrays, "DENSE_BYTES", 64)
    net = fastnn.Sequential([fastnn.Input((5, 5, 1)), layers.Flatten(), layers.Dense(1)])
    x = np.arange(100.0).reshape(4, 5, 5)
    np.testing.assert_allclose(net.predict(x, verbose=0), net.predict(x[..., None], verbose=0))


def test_numbers_beyond_float32_are_named_when_their_batch_comes(monkeypatch):
    monkeypatch.setattr(arrays, "DENSE_BYTES", 64)
    x = np.zeros((60, 4, 4, 2))
    x[40, 0, 0, 0] = 1e300
    with pytest.raises(fastnn.DataError, match="beyond float32"):
        model().predict(x, verbose=0)
