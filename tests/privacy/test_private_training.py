"""DP-SGD: what a step does, that no row counts for more, and what is promised."""

import math
import sys

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.privacy import PrivateModel, epsilon


def linear(width=3):
    model = fastnn.Sequential([fastnn.Input((width,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.arange(1, width + 1, dtype="float32")[:, None] / 10])
    return model


def step(x, y, *, rate=0.5, weights=None, **settings):
    """The change of the weights in one step."""
    model = linear(x.shape[1])
    before = model.get_weights()[0][:, 0].copy()
    private = PrivateModel(model, **{"noise_multiplier": 0.0} | settings)
    private.compile(fastnn.optimizers.SGD(rate), "mse")
    private.fit(x, y, sample_weight=weights, batch_size=len(x), shuffle=False, verbose=0)
    return model.get_weights()[0][:, 0] - before


def by_hand(x, y, clip, rate=0.5, rows=1, weights=None):
    w = np.arange(1, x.shape[1] + 1) / 10
    weights = np.ones(len(x)) if weights is None else weights
    slopes = 2 * (x @ w - y)[:, None] * x * weights[:, None]
    slopes = slopes.reshape(-1, rows, x.shape[1]).mean(axis=1)
    norms = np.linalg.norm(slopes, axis=1, keepdims=True)
    return -rate * (slopes * np.minimum(1, clip / norms)).mean(axis=0)


@pytest.mark.parametrize("clip", [0.3, 2.0, 1e6])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_the_mean_of_clipped_gradients(rng, clip, rows, weighted):
    x, y = rng.normal(size=(24, 3)), rng.normal(size=24)
    weights = rng.random(24) if weighted else None
    found = step(x, y, l2_norm_clip=clip, microbatch_size=rows, weights=weights)
    assert np.allclose(found, by_hand(x, y, clip, rows=rows, weights=weights), atol=1e-5)


def test_without_clip_and_noise_it_is_plain_training(rng):
    x, y = rng.normal(size=(50, 3)).astype("float32"), rng.normal(size=50)
    plain, given = linear(), linear()
    private = PrivateModel(given, l2_norm_clip=1e9, noise_multiplier=0.0)
    for model in (plain, private):
        fastnn.utils.set_random_seed(1)
        model.compile(fastnn.optimizers.Adam(0.05), "mse", metrics=["mae"])
        model.fit(x, y, epochs=3, batch_size=16, verbose=0)
    assert np.allclose(plain.get_weights()[0], given.get_weights()[0], atol=1e-5)
    assert plain.history.history["loss"] == pytest.approx(private.history.history["loss"], rel=1e-4)


@pytest.mark.parametrize("bad", [1e6, np.inf, np.nan])
@pytest.mark.filterwarnings("ignore:the loss is")
def test_no_row_moves_the_weights_by_more_than_its_share(rng, bad):
    x, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    without = step(x, y, l2_norm_clip=1.0)
    other = x.copy()
    other[7] = bad
    moved = step(other, y, l2_norm_clip=1.0) - without
    # From anywhere in the ball to anywhere else in it.
    assert np.linalg.norm(moved) <= 0.5 * 2 * 1.0 / 20 * (1 + 1e-4)
    assert np.isfinite(moved).all()


@pytest.mark.parametrize(("rows", "reach"), [(1, 1), (5, 2)])
def test_the_noise_has_the_deviation_that_was_asked_for(rows, reach):
    x, y = np.zeros((10, 2000), "float32"), np.zeros(10)  # no gradient at all
    found = step(x, y, rate=1.0, l2_norm_clip=3.0, noise_multiplier=1.5, microbatch_size=rows)
    wanted = 1.5 * 3.0 * reach / (10 / rows)
    assert abs(found.mean()) < 5 * wanted / math.sqrt(2000)
    assert found.std() == pytest.approx(wanted, rel=0.1)


def test_noise_is_fresh_unless_a_seed_is_given():
    x, y = np.zeros((4, 50), "float32"), np.zeros(4)
    a, b = (step(x, y, noise_multiplier=1.0) for _ in range(2))
    assert (a != b).any()
    fastnn.utils.set_random_seed(1)
    c = step(x, y, noise_multiplier=1.0)
    fastnn.utils.set_random_seed(1)
    d = step(x, y, noise_multiplier=1.0)
    assert (c != d).any()  # a seed of the process is no secret, so it does not make the noise
    e, f = (step(x, y, noise_multiplier=1.0, seed=3) for _ in range(2))
    assert (e == f).all()


def test_it_learns_and_the_given_model_has_the_weights(rng, tmp_path):
    x = rng.normal(size=(600, 4)).astype("float32")
    y = (x[:, 0] > 0).astype(int)
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(8, "tanh"), layers.Dropout(0.1), layers.Dense(2)]
    )
    private = PrivateModel(model, noise_multiplier=1.0, seed=0)
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    private.compile(fastnn.optimizers.Adam(0.05), loss, metrics=["accuracy"])
    private.fit(x, y, epochs=4, batch_size=60, verbose=0, validation_split=0.1)
    assert np.mean(model.predict(x, verbose=0).argmax(1) == y) > 0.85
    with pytest.raises(ValueError, match="save the model that it was made of"):
        private.save(tmp_path / "p.safetensors")
    model.save(tmp_path / "m.safetensors")


def test_functional_models_with_several_inputs_and_outputs(rng):
    a, b = fastnn.Input((2,), name="a"), fastnn.Input((3,), name="b")
    h = layers.Concatenate()([a, b])
    ends = [layers.Dense(1, name="one")(h), layers.Dense(1, name="two")(h)]
    private = PrivateModel(fastnn.Model([a, b], ends), l2_norm_clip=0.5)
    private.compile("sgd", ["mse", "mae"])
    x = [rng.normal(size=(20, 2)), rng.normal(size=(20, 3))]
    run = private.fit(x, [np.ones(20), np.ones(20)], epochs=2, verbose=0)
    assert all(np.isfinite(v).all() for v in run.history.values())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"l2_norm_clip": 0}, "l2_norm_clip is 0"),
        ({"l2_norm_clip": float("nan")}, "l2_norm_clip"),
        ({"noise_multiplier": -1}, "noise_multiplier is -1"),
        ({"microbatch_size": 0}, "microbatch_size is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, text):
    with pytest.raises(ValueError, match=text):
        PrivateModel(linear(), **settings)


def test_layers_that_mix_rows_and_uneven_batches_are_refused(rng):
    mixing = fastnn.Sequential([fastnn.Input((3,)), layers.BatchNormalization(), layers.Dense(1)])
    with pytest.raises(ValueError, match="mixes the rows"):
        PrivateModel(mixing)
    with pytest.raises(ValueError, match="not built"):
        PrivateModel(fastnn.Sequential([layers.Dense(1)]))
    private = PrivateModel(linear(), microbatch_size=4)
    private.compile("sgd", "mse")
    with pytest.raises(fastnn.ShapeError) as caught:
        private.fit(np.ones((34, 3)), np.ones(34), batch_size=32, verbose=0)
    assert "has to divide every batch" in "".join(caught.value.__notes__)


# ---- what is promised ----------------------------------------------------------------------------


def gaussian_delta(eps, sigma):
    """The exact delta of one Gaussian mechanism (Balle and Wang 2018)."""
    phi = lambda t: 0.5 * math.erfc(-t / math.sqrt(2))  # noqa: E731
    a = 1 / (2 * sigma)
    return phi(a - eps * sigma) - math.exp(eps) * phi(-a - eps * sigma)


@pytest.fixture
def accountant():
    pytest.importorskip("dp_accounting", reason="needs the `privacy` extra")


@pytest.mark.parametrize(("noise", "epochs"), [(1.0, 1), (4.0, 9)])
def test_epochs_of_noise_are_one_mechanism_with_less(accountant, noise, epochs):
    found = epsilon(noise, epochs=epochs, delta=1e-5)
    # Composed Gaussians are one of deviation / sqrt(times).
    sigma = noise / math.sqrt(epochs)
    assert gaussian_delta(found, sigma) <= 1e-5 * (1 + 1e-6)
    assert gaussian_delta(found - 0.02, sigma) > 1e-5


def test_chance_hides_rows_and_more_noise_hides_more(accountant):
    given = {"epochs": 5, "delta": 1e-5}
    drawn = {"sampling": "poisson", "batch_size": 256, "rows": 60_000}
    assert epsilon(1.1, **given, **drawn) < epsilon(1.1, **given)
    assert epsilon(2.0, **given) < epsilon(1.0, **given)
    assert epsilon(1.0, epochs=0, delta=1e-5) == 0.0


@pytest.mark.parametrize(
    "more",
    [{"delta": 0}, {"delta": 1}, {"noise_multiplier": -1}, {"epochs": 1.5}, {"sampling": "x"},
     {"sampling": "poisson"}, {"sampling": "poisson", "batch_size": 9, "rows": 3}],
)  # fmt: skip
def test_promises_of_nothing_are_refused(more):
    with pytest.raises(ValueError, match="hint"):
        epsilon(**{"noise_multiplier": 1.0, "epochs": 1, "delta": 1e-5} | more)


def test_an_absent_accountant_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(ImportError, match=r"fastnn-rs\[privacy\]"):
        epsilon(1.0, epochs=1, delta=1e-5)


# ---- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m.safetensors", "m.keras", "m.h5"])
def test_a_model_file_holds_no_row_that_it_was_trained_on(tmp_path, rng, name):
    """Neither numbers nor texts of the data, in any of their encodings."""
    if not name.endswith(".safetensors"):
        pytest.importorskip("h5py")
    x = rng.normal(size=(40, 6)).astype("float32")
    y = rng.normal(size=40).astype("float32")
    model = fastnn.Sequential([fastnn.Input((6,)), layers.Dense(4, "relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    model.fit(x, y, epochs=2, verbose=0, validation_split=0.2)
    model.save(tmp_path / name)
    data = (tmp_path / name).read_bytes()
    for value in [*x.ravel()[:100], *y]:
        assert value.tobytes() not in data
        assert np.float64(value).tobytes() not in data
        assert repr(float(value)).encode() not in data
