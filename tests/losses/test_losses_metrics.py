"""Losses and metrics: golden numbers, reductions, weights, masks, names."""

import importlib

import numpy as np
import pytest

import fastnn
from fastnn import losses, metrics


def value(x) -> float:
    return float(np.asarray(x))


def test_cross_entropies_clip_probabilities():
    assert value(losses.BinaryCrossentropy()([[1.0]], [[0.0]])) == pytest.approx(
        16.118095, abs=1e-5
    )
    got = losses.CategoricalCrossentropy()([[0.0, 1.0]], [[1.0, 0.0]])
    assert value(got) == pytest.approx(16.118095, abs=1e-5)


def test_sparse_cross_entropy_ignores_a_class():
    loss = losses.SparseCategoricalCrossentropy(ignore_class=0)
    got = loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.2, 0.8]], np.float32))
    assert value(got) == pytest.approx(0.223144, abs=1e-6)


@pytest.mark.parametrize(("weights", "expected"), [((1.0, 0.0), 0.5), ((3.0, 1.0), 3.5)])
def test_loss_divides_by_elements_also_with_weights(weights, expected):
    got = losses.MeanSquaredError()([[1.0], [2.0]], [[0.0], [0.0]], sample_weight=np.array(weights))
    assert value(got) == pytest.approx(expected)


def test_metric_divides_by_the_sum_of_weights():
    metric = metrics.MeanSquaredError()
    metric.update_state([[1.0], [2.0]], [[0.0], [0.0]], sample_weight=np.array([3.0, 1.0]))
    assert value(metric.result()) == pytest.approx(1.75)


def test_auc_of_four_scores():
    metric = metrics.AUC()
    metric.update_state([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
    assert value(metric.result()) == pytest.approx(0.75, abs=1e-6)


def reference(name, y, p):
    eps = 1e-7
    clip = np.clip(p, eps, 1 - eps)
    return {
        "mse": lambda: ((y - p) ** 2).mean(-1),
        "mae": lambda: np.abs(y - p).mean(-1),
        "mape": lambda: 100 * np.abs((y - p) / np.maximum(np.abs(y), eps)).mean(-1),
        "msle": lambda: (
            (np.log(np.maximum(y, eps) + 1) - np.log(np.maximum(p, eps) + 1)) ** 2
        ).mean(-1),
        "bce": lambda: -(y * np.log(clip) + (1 - y) * np.log(1 - clip)).mean(-1),
        "kld": lambda: (np.clip(y, eps, 1) * np.log(np.clip(y, eps, 1) / np.clip(p, eps, 1))).sum(
            -1
        ),
        "huber": lambda: np.where(np.abs(y - p) <= 1, 0.5 * (y - p) ** 2, np.abs(y - p) - 0.5).mean(
            -1
        ),
        "log_cosh": lambda: np.log(np.cosh(p - y)).mean(-1),
        "poisson": lambda: (p - y * np.log(p + eps)).mean(-1),
        "cosine_similarity": lambda: (
            -(y * p).sum(-1) / np.linalg.norm(y, axis=-1) / np.linalg.norm(p, axis=-1)
        ),
        "hinge": lambda: np.maximum(1 - y * p, 0).mean(-1),
        "squared_hinge": lambda: (np.maximum(1 - y * p, 0) ** 2).mean(-1),
        "categorical_hinge": lambda: np.maximum(((1 - y) * p).max(-1) - (y * p).sum(-1) + 1, 0),
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "mse", "mae", "mape", "msle", "bce", "kld", "huber", "log_cosh", "poisson",
        "cosine_similarity", "hinge", "squared_hinge", "categorical_hinge",
    ],
)  # fmt: skip
def test_loss_functions_follow_their_formulas(name, rng):
    y, p = rng.uniform(0.05, 0.95, (2, 7, 4))
    got = losses.get(name)(y.astype(np.float32), p.astype(np.float32))
    assert np.asarray(got) == pytest.approx(reference(name, y, p), rel=2e-5, abs=1e-6)


def test_logits_and_probabilities_agree(rng):
    logits = rng.normal(size=(6, 5)).astype(np.float32)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labels = rng.integers(0, 5, 6)
    a = losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    b = losses.SparseCategoricalCrossentropy()(labels, p)
    c = losses.CategoricalCrossentropy(from_logits=True)(
        np.eye(5, dtype=np.float32)[labels], logits
    )
    assert value(a) == pytest.approx(value(b), rel=1e-5)
    assert value(a) == pytest.approx(value(c), rel=1e-5)
    z = rng.normal(size=(6, 1)).astype(np.float32)
    y = rng.integers(0, 2, (6, 1)).astype(np.float32)
    d = losses.BinaryCrossentropy(from_logits=True)(y, z)
    e = losses.BinaryCrossentropy()(y, 1 / (1 + np.exp(-z)))
    assert value(d) == pytest.approx(value(e), rel=1e-5)


def test_label_smoothing_moves_labels_towards_the_middle():
    got = losses.BinaryCrossentropy(label_smoothing=0.2)([[1.0]], [[0.9]])
    assert value(got) == pytest.approx(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)), rel=1e-5)


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 5.0), ("sum_over_batch_size", 2.5)])
def test_reductions(reduction, expected):
    got = losses.MeanSquaredError(reduction=reduction)([[1.0], [2.0]], [[0.0], [0.0]])
    assert value(got) == pytest.approx(expected)
    none = losses.MeanSquaredError(reduction=None)([[1.0], [2.0]], [[0.0], [0.0]])
    assert np.asarray(none).tolist() == [1.0, 4.0]


def test_rows_and_columns_meet():
    assert value(losses.MeanSquaredError()(np.arange(3.0), np.zeros((3, 1)))) == pytest.approx(
        5 / 3
    )


def test_the_reduction_of_a_loss_of_ones_own_is_in_its_config():
    class Scaled(losses.Loss):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, y_true, y_pred):
            return self.factor * fastnn.ops.mean(y_pred - y_true, axis=-1)

    class Bare(Scaled):
        def __init__(self, factor=1.0):
            super().__init__(factor)

    made = Scaled(2.0, reduction="sum", name="far")
    again = Scaled.from_config(made.get_config())
    assert (again.factor, again.reduction, again.name) == (2.0, "sum", "far")
    assert Bare.from_config(Bare(3.0).get_config()).factor == 3.0


def test_losses_round_trip_through_their_config():
    for cls in losses.lookup.CLASSES:
        loss = cls()
        again = losses.deserialize(losses.serialize(loss))
        assert type(again) is cls
        assert again.get_config() == loss.get_config()


def test_every_alias_of_the_card_is_known():
    for name in "bce BCE kld mae MAE mse mape msle".split():
        assert losses.get(name) is not None
    for name in "mse mae mape msle bce binary_accuracy precision recall auc".split():
        assert isinstance(metrics.get(name), metrics.Metric)


@pytest.mark.parametrize(
    ("y_shape", "p_shape", "kind"),
    [
        ((4, 1), (4, 1), metrics.BinaryAccuracy),
        ((4,), (4, 3), metrics.SparseCategoricalAccuracy),
        ((4, 1), (4, 3), metrics.SparseCategoricalAccuracy),
        ((4, 3), (4, 3), metrics.CategoricalAccuracy),
    ],
)
def test_accuracy_is_chosen_by_the_shapes(y_shape, p_shape, kind):
    assert type(metrics.by_shape("accuracy", np.zeros(y_shape), np.zeros(p_shape))) is kind


def test_metrics_equal_scikit_learn(rng):
    sk = pytest.importorskip("sklearn.metrics")
    y = rng.integers(0, 2, 200)
    p = rng.uniform(size=200).astype(np.float32)
    hits = (p > 0.5).astype(int)
    for metric, expected in (
        (metrics.Precision(), sk.precision_score(y, hits)),
        (metrics.Recall(), sk.recall_score(y, hits)),
        (metrics.BinaryAccuracy(), sk.accuracy_score(y, hits)),
        (metrics.AUC(num_thresholds=2000), sk.roc_auc_score(y, p)),
        (metrics.R2Score(), sk.r2_score(y, p)),
        (metrics.RootMeanSquaredError(), np.sqrt(((y - p) ** 2).mean())),
    ):
        column = (y[:, None], p[:, None])
        for part in range(0, 200, 64):
            metric.update_state(column[0][part : part + 64], column[1][part : part + 64])
        assert value(metric.result()) == pytest.approx(expected, abs=2e-3)
        metric.reset_state()
        assert value(metric.result()) in (0.0, pytest.approx(0.0)) or isinstance(
            metric, metrics.R2Score
        )


def test_f1_per_class_equals_scikit_learn(rng):
    sk = pytest.importorskip("sklearn.metrics")
    y, p = rng.integers(0, 3, 90), rng.uniform(size=(90, 3)).astype(np.float32)
    metric = metrics.F1Score()
    metric.update_state(np.eye(3, dtype=np.float32)[y], p)
    expected = sk.f1_score(y, p.argmax(1), average=None)
    assert np.asarray(metric.result()) == pytest.approx(expected, abs=1e-5)


def test_top_k_accuracy():
    p = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], np.float32)
    metric = metrics.SparseTopKCategoricalAccuracy(k=2)
    metric.update_state(np.array([1, 2]), p)
    assert value(metric.result()) == pytest.approx(0.5)


def test_counts_of_the_four_kinds():
    y, p, w = [1, 1, 0, 0], [0.9, 0.1, 0.8, 0.3], [1.0, 2.0, 3.0, 4.0]
    for cls, expected in (
        (metrics.TruePositives, 1),
        (metrics.FalseNegatives, 2),
        (metrics.FalsePositives, 3),
        (metrics.TrueNegatives, 4),
    ):
        metric = cls()
        metric.update_state(y, p, sample_weight=w)
        assert value(metric.result()) == expected


def test_metric_of_a_function_is_named_after_its_class_as_in_keras():
    def spread(y, p):
        return fastnn.ops.abs(y - p)

    metric = metrics.MeanMetricWrapper(spread)
    metric.update_state([1.0, 2.0], [0.0, 0.0])
    assert value(metric.result()) == 1.5
    assert metric.name.startswith("mean_metric_wrapper")
    assert metrics.MeanMetricWrapper(spread, name="gap").name == "gap"


def test_generalized_cross_entropy_follows_its_formula():
    p = np.array([[0.7, 0.3], [0.2, 0.8]], np.float32)
    got = losses.CategoricalGeneralizedCrossEntropy(q=0.5)(np.array([0, 1]), p)
    expected = np.mean([(1 - 0.7**0.5) / 0.5, (1 - 0.8**0.5) / 0.5])
    assert value(got) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="q is 1"):
        losses.categorical_generalized_cross_entropy(np.array([0]), p[:1], 1)


def test_circle_loss_is_small_where_classes_are_apart():
    x = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    apart = losses.circle(np.array([0, 0, 1, 1]), x, gamma=1.0)
    mixed = losses.circle(np.array([0, 1, 0, 1]), x, gamma=1.0)
    assert np.all(np.asarray(apart) < np.asarray(mixed))


def test_tversky_weighs_missed_labels_by_alpha():
    y, p = np.array([1.0, 1.0, 0.0, 0.0], np.float32), np.array([1.0, 0.0, 1.0, 0.0], np.float32)
    got = losses.tversky(y, p, alpha=0.2, beta=0.6)
    assert value(got) == pytest.approx(1 - 1 / (1 + 0.2 + 0.6), rel=1e-5)


@pytest.mark.parametrize("loss", [losses.BinaryCrossentropy(), losses.CategoricalCrossentropy()])
def test_cross_entropies_refuse_shapes_that_only_broadcast(loss):
    with pytest.raises(ValueError, match="must have the same shape"):
        loss(np.zeros((3, 1), np.float32), np.full((3, 3), 1 / 3, np.float32))


def test_dtypes_other_than_float32_are_refused():
    for make in (losses.MeanSquaredError, metrics.Mean, metrics.AUC):
        with pytest.raises(ValueError, match="'float16' is not supported"):
            make(dtype="float16")


def test_intersection_over_union_of_classes():
    y, p = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert value(metrics.IoU(2, [0])(y, p)) == pytest.approx(1 / 3)
    assert value(metrics.MeanIoU(2)(y, p, np.array([0.3, 0.3, 0.3, 0.1]))) == pytest.approx(
        (0.3 / 0.9 + 0.1 / 0.7) / 2
    )
    scores = np.array([0.1, 0.2, 0.4, 0.7], np.float32)
    assert value(metrics.BinaryIoU([0, 1], 0.3)(y, scores)) == pytest.approx(1.0)


def test_best_rate_under_a_bound():
    p = np.array([0.0, 0.1, 0.2, 0.5, 0.6, 0.2, 0.5, 0.6, 0.8, 0.9], np.float32)
    y = np.array([0] * 5 + [1] * 5)
    assert value(metrics.PrecisionAtRecall(0.8)(y, p)) == pytest.approx(2 / 3)
    assert value(metrics.SensitivityAtSpecificity(1.0)(y, p)) == pytest.approx(0.4)


def test_area_by_label_is_the_mean_over_labels():
    y = np.array([[0, 1], [0, 1], [1, 0], [1, 0]])
    p = np.array([[0.0, 0.1], [0.5, 0.2], [0.3, 0.3], [0.9, 0.4]], np.float32)
    single = [value(metrics.AUC()(y[:, i], p[:, i])) for i in (0, 1)]
    assert value(metrics.AUC(multi_label=True)(y, p)) == pytest.approx(np.mean(single))
    weighted = metrics.AUC(multi_label=True, label_weights=[3.0, 1.0])
    assert value(weighted(y, p)) == pytest.approx((3 * single[0] + single[1]) / 4)


def test_correlations_of_linear_and_shifted_values():
    y = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    assert value(metrics.PearsonCorrelation()(y, 2 * y + 1)) == pytest.approx(1.0, abs=1e-6)
    shifted = metrics.ConcordanceCorrelation()(y, y + 1)
    assert value(shifted) == pytest.approx(2 * 1.25 / (1.25 + 1.25 + 1), rel=1e-5)


def test_stateless_metrics_leave_the_stored_state():
    metric = metrics.Mean()
    state = metric.stateless_update_state(metric.variables, [1.0, 3.0])
    assert value(metric.stateless_result(state)) == 2.0
    assert [value(v) for v in metric.variables] == [0.0, 0.0]


def test_objects_come_back_from_their_written_form():
    from fastnn.saving import deserialize_keras_object, serialize_keras_object

    for thing in (losses.Huber(delta=2.0), metrics.AUC(num_thresholds=7), metrics.Poisson()):
        written = serialize_keras_object(thing)
        back = deserialize_keras_object(written)
        assert type(back) is type(thing)
        assert back.get_config() == thing.get_config()
    assert serialize_keras_object(losses.Poisson())["module"] == "keras.losses"
    with pytest.raises(ValueError, match="did you mean"):
        deserialize_keras_object({"class_name": "Hubber", "config": {}, "module": "keras.losses"})


def test_overlaps_count_beyond_two_to_the_24th_and_take_fractional_weights():
    m = fastnn.metrics.MeanIoU(2)
    m.total_cm.assign(np.array([[2**24, 0], [0, 5]], np.int32))
    m.update_state([0, 1, 1], [0, 1, 1])
    assert m.total_cm.numpy().tolist() == [[2**24 + 1, 0], [0, 7]]
    w = fastnn.metrics.MeanIoU(2)
    w.update_state([0, 1], [0, 1])
    w.update_state([0, 1, 1], [0, 0, 1], sample_weight=np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(w.total_cm.numpy(), [[1.5, 0], [0.25, 1.25]])
    assert float(w.result()) == pytest.approx((1.5 / 1.75 + 1.25 / 1.5) / 2)
    w.reset_state()
    assert w.variables == [w.total_cm]
    assert float(w.result()) == 0.0


def test_every_metric_is_in_the_module_that_the_table_says():
    listed = [name for names in metrics.MODULES.values() for name in names.split()]
    for inner, names in metrics.MODULES.items():
        module = importlib.import_module(f"fastnn.metrics.{inner}")
        for name in names.split():
            assert getattr(metrics, name) is getattr(module, name)
    for name in set(metrics.__all__) - set(listed):
        assert getattr(metrics, name) is getattr(losses, name)
    assert set(listed) <= set(metrics.__all__)
    assert metrics.mse is losses.mean_squared_error
    assert metrics.TABLE.find("AUC") is metrics.AUC


def test_names_of_metrics_and_callbacks_are_found_before_they_are_loaded(run_python):
    answer = run_python(
        "import fastnn\n"
        "from fastnn import callbacks, metrics, models\n"
        "print('AUC' in dir(metrics), metrics.get('auc').name, 'CSVLogger' in dir(callbacks))\n"
        "print(all(getattr(callbacks, n).__name__ == n for n in callbacks.__all__))\n"
        "config = metrics.serialize(metrics.BinaryAccuracy(threshold=0.7))\n"
        "print(metrics.deserialize(config).threshold, models.TABLE.find('Functional').__name__)\n"
    )
    assert answer.split() == ["True", "auc", "True", "True", "0.7", "Functional"]
