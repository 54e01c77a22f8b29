"""Weights of samples in metrics: they reach the samples they are for, or are refused by name."""

import numpy as np
import pytest

import fastnn
from fastnn import losses, metrics
from fastnn.errors import ShapeError

RNG = np.random.default_rng(0)
STEPS = np.array([[0, 1, 2], [1, 1, 2], [0, 0, 0]])
SHARES = RNG.dirichlet(np.ones(3), (3, 3)).astype(np.float32)


def test_a_weight_per_sample_with_an_ignored_class_counts_for_the_steps_of_its_sample():
    weights = np.array([1.0, 0.5, 0.0])
    lost = -np.log(np.take_along_axis(SHARES, STEPS[..., None], -1))[..., 0]
    counts = (STEPS != 2) * weights[:, None]
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=2)
    metric.update_state(STEPS, SHARES, sample_weight=weights)
    assert float(metric.result()) == pytest.approx((lost * counts).sum() / counts.sum(), rel=1e-5)


def test_a_weight_per_picture_counts_for_all_its_pixels_in_overlaps():
    one, other = np.array([[0, 1], [1, 1]]), np.array([[0, 1], [0, 0]])
    metric = metrics.MeanIoU(2)
    metric.update_state(np.stack([one, one]), np.stack([other, one]), sample_weight=[1.0, 0.0])
    alone = metrics.MeanIoU(2)
    alone.update_state(one[None], other[None])
    assert float(metric.result()) == float(alone.result())


@pytest.mark.parametrize(
    "metric",
    [
        metrics.MeanSquaredError(), metrics.Precision(), metrics.AUC(), metrics.F1Score(),
        metrics.R2Score(), metrics.OneHotIoU(3, [0]), metrics.CosineSimilarity(),
        metrics.CategoricalAccuracy(), metrics.PearsonCorrelation(),
    ],
    ids=lambda m: type(m).__name__,
)  # fmt: skip
@pytest.mark.parametrize("weights", [np.ones(5), np.ones(2), np.ones((4, 3, 2))], ids=np.shape)
def test_weights_that_do_not_fit_are_refused_by_name(metric, weights):
    y = np.eye(3, dtype=np.float32)[[0, 1, 2, 1]]
    with pytest.raises(ShapeError, match=r"sample_weight has shape .*\n  hint: "):
        metric.update_state(y, y * 0.8 + 0.05, sample_weight=weights)


@pytest.mark.parametrize("thing", [losses.MeanSquaredError, metrics.MeanSquaredError])
def test_weights_of_a_single_row_of_numbers_say_what_shape_to_give(thing):
    with pytest.raises(ShapeError, match=r"hint: give y and the predictions .*\(samples, 1\)"):
        thing()(np.arange(3.0), np.zeros(3), sample_weight=np.ones(3))


def test_perplexity_leaves_masked_tokens_out_whatever_they_hold():
    scores = np.full((1, 3, 4), 0.25, np.float32)
    outside = metrics.Perplexity(mask_token_id=-1)
    outside.update_state([[0, -1, 1]], scores)
    assert float(outside.result()) == pytest.approx(4.0)
    scores[0, 0] = np.nan
    padded = metrics.Perplexity(mask_token_id=0)
    padded.update_state([[0, 2, 1]], scores)
    assert float(padded.result()) == pytest.approx(4.0)


def test_perplexity_counts_tokens_beyond_two_to_the_24th():
    metric = metrics.Perplexity()
    metric.count.assign(2.0**24)
    for _ in range(4):
        metric.update_state([[0]], np.full((1, 1, 4), 0.25, np.float32))
    assert float(metric.count.value) == 2**24 + 4


def test_r2_of_targets_of_one_value_is_one_only_without_error():
    ones = np.ones((4, 1), np.float32)
    assert float(metrics.R2Score()(ones, ones)) == 1.0
    assert float(metrics.R2Score()(ones, 0 * ones)) == 0.0
    metric = metrics.R2Score()
    metric.update_state(ones, ones)
    metric.reset_state()
    assert float(metric.result()) == 0.0


@pytest.mark.parametrize("regressors", [3, 4])
def test_r2_with_too_few_samples_to_adjust_stays_the_plain_score(regressors):
    y = np.arange(4.0, dtype=np.float32)[:, None]
    plain = float(metrics.R2Score()(y, y + 0.1))
    assert float(metrics.R2Score(num_regressors=regressors)(y, y + 0.1)) == plain


def test_weights_reach_metrics_in_fit_alike():
    x = RNG.normal(size=(8, 2)).astype(np.float32)
    y, weights = (x[:, 0] > 0).astype(np.float32), np.arange(8.0)
    model = fastnn.keras.Sequential([fastnn.keras.Input((2,)), fastnn.keras.layers.Dense(1)])
    model.compile("sgd", "mse", weighted_metrics=["mae"])
    got = model.evaluate(x, y, sample_weight=weights, batch_size=3, verbose=0)[1]
    gap = np.abs(model.predict(x, verbose=0)[:, 0] - y)
    assert got == pytest.approx(float((gap * weights).sum() / weights.sum()), rel=1e-5)


def test_sums_with_a_weight_per_sample_take_all_numbers_of_a_sample():
    metric = metrics.Sum()
    metric.update_state([[1.0, 2.0], [3.0, 4.0]], sample_weight=[1.0, 10.0])
    assert float(metric.result()) == 73.0


def test_a_sample_counts_once_in_a_mean_however_long_it_is():
    """Batches of long sequences weigh no more than those of short ones, as in Keras."""
    metric = metrics.MeanAbsoluteError()
    metric.update_state(np.ones((1, 2, 1)), np.zeros((1, 2, 1)))
    metric.update_state(np.full((1, 8, 1), 3.0), np.zeros((1, 8, 1)))
    assert float(metric.result()) == 2.0
    metric.update_state(np.full((2, 4, 1), 7.0), np.zeros((2, 4, 1)), sample_weight=[1.0, 0.0])
    assert float(metric.result()) == pytest.approx(11.0 / 3.0)
    metric.update_state(
        np.full((1, 2, 1), 5.0), np.zeros((1, 2, 1)), sample_weight=np.array([[1.0, 0.0]])
    )
    assert float(metric.result()) == pytest.approx((11.0 + 2.5) / 3.5)


@pytest.mark.parametrize("kind", [losses.Dice, losses.Tversky])
def test_each_weight_weighs_a_loss_over_the_whole_batch(kind):
    masks, weights = RNG.integers(0, 2, (2, 4, 4, 1)).astype(np.float32), [1.0, 0.0]
    alone = float(kind()(masks, 0.5 * masks))
    for reduction, want in (("sum_over_batch_size", 0.5), ("sum", 1.0), (None, [1.0, 0.0])):
        found = kind(reduction=reduction)(masks, 0.5 * masks, sample_weight=weights)
        np.testing.assert_allclose(found.numpy(), alone * np.array(want), 1e-6)
    model = fastnn.Sequential([fastnn.Input((4, 4, 1)), fastnn.layers.Conv2D(1, 1)])
    model.compile("sgd", kind())
    history = model.fit(masks, masks, sample_weight=np.array([3.0, 1.0]), verbose=0).history
    assert np.isfinite(history["loss"]).all()
    per_sample = kind(axis=(1, 2, 3))
    weighted = float(per_sample(masks, 0.5 * masks, sample_weight=weights))
    assert weighted == pytest.approx(float(per_sample(masks[:1], 0.5 * masks[:1])) / 2.0)


@pytest.mark.parametrize("kind", [metrics.Sum, metrics.Mean])
def test_a_mask_of_the_values_takes_the_weights_of_what_it_hides(kind):
    values = fastnn.ops.convert_to_tensor([[1.0, 2.0], [3.0, 5.0]])
    values._keras_mask = fastnn.ops.convert_to_tensor([True, False])
    metric, wanted = kind(), kind()
    metric.update_state(values, sample_weight=[2.0, 1.0])
    wanted.update_state([[1.0, 2.0]], sample_weight=[2.0])
    assert float(metric.result()) == float(wanted.result())
