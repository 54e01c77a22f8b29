"""Sums of metrics stay exact: beyond 2^24 samples, for means far from 0, after a reset by hand."""

import copy
import pickle

import numpy as np
import pytest

from fastnn import keras as K

M = K.metrics
MANY = 2**24
ONE = np.ones((1, 1), "float32")
COUNTS = {
    "TruePositives": (M.TruePositives, [[1.0]], [[1.0]]),
    "TrueNegatives": (M.TrueNegatives, [[0.0]], [[0.0]]),
    "FalsePositives": (M.FalsePositives, [[0.0]], [[1.0]]),
    "FalseNegatives": (M.FalseNegatives, [[1.0]], [[0.0]]),
}


def number(x):
    return float(np.asarray(x))


def begun(metric, **sums):
    """A metric that has seen so much."""
    for name, value in sums.items():
        v = getattr(metric, name)
        v.assign(np.full(v.shape, value, np.float32))
    return metric


@pytest.mark.parametrize("start", [MANY, 2**26, 10**9])
@pytest.mark.parametrize("name", COUNTS)
def test_confusion_counts_go_on_beyond_two_to_the_24th(name, start):
    make, y, p = COUNTS[name]
    metric = make()
    begun(metric, **{metric.variables[0].name: start})
    for _ in range(64):
        metric.update_state(y, p)
    assert number(metric.result()) == np.float32(np.float32(start) + 64)


@pytest.mark.parametrize("start", [MANY, 10**9])
def test_means_take_every_sample_in(start):
    start = int(np.float32(start))
    for metric in (M.Mean(), M.MeanSquaredError(), M.BinaryAccuracy(), M.MeanAbsoluteError()):
        begun(metric, total=start, count=start)
        args = ([0.0],) if type(metric) is M.Mean else ([[1.0]], [[0.0]])
        wrong = type(metric) in (M.MeanSquaredError, M.MeanAbsoluteError)
        for _ in range(1000):
            metric.update_state(*args)
        want = (start + 1000 * wrong) / (start + 1000)
        assert number(metric.result()) == pytest.approx(want, rel=2e-7), type(metric).__name__


def test_weights_and_sums_take_every_sample_in():
    total, mean = begun(M.Sum(), total=MANY), begun(M.Mean(), total=MANY, count=MANY)
    for _ in range(1000):
        total.update_state([1.0, 1.0], sample_weight=[0.25, 0.75])
        mean.update_state([0.0], sample_weight=[1.0])
    assert number(total.result()) == MANY + 1000
    assert number(mean.result()) == pytest.approx(MANY / (MANY + 1000), rel=1e-7)


def test_precision_recall_f1_and_auc_take_every_sample_in():
    precision = begun(M.Precision(), true_positives=MANY, false_positives=MANY)
    recall = begun(M.Recall(), true_positives=MANY, false_negatives=MANY)
    f1 = M.F1Score(threshold=0.5)
    f1.update_state(ONE, ONE)
    begun(f1, true_positives=MANY, false_positives=MANY, false_negatives=MANY)
    auc = begun(M.AUC(num_thresholds=3), true_positives=MANY, false_positives=MANY,
                true_negatives=MANY, false_negatives=MANY)  # fmt: skip
    n = 1000
    for _ in range(n):
        for m in (precision, recall, f1, auc):
            m.update_state(ONE, ONE)
    want = (MANY + n) / (2 * MANY + n)
    assert number(precision.result()) == pytest.approx(want, rel=2e-7)
    assert number(recall.result()) == pytest.approx(want, rel=2e-7)
    assert np.asarray(f1.result())[0] == pytest.approx(want, rel=2e-7)
    assert np.asarray(auc.true_positives)[0] == MANY + n
    assert np.asarray(auc.true_positives)[-1] == MANY


def test_the_loss_of_an_epoch_takes_every_batch_in():
    model = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(K.optimizers.SGD(0.0), "mse")
    y = np.r_[np.full(2000, 4000.0), np.zeros(2000)].astype("float32")
    got = model.evaluate(np.zeros((4000, 1)), y, batch_size=1, verbose=0)
    assert got == pytest.approx(8e6, rel=1e-7)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("mean", [0.0, 1e4, -3e4])
def test_r2_is_right_whatever_the_mean(mean, size):
    rng = np.random.default_rng(0)
    y = (mean + rng.normal(size=(1000, 2))).astype("float32")
    y[:size] -= np.float32(0.0 if size == 1000 else 500.0)  # a first batch apart from the others
    p = (y + 0.1 * rng.normal(size=y.shape)).astype("float32")
    w = rng.uniform(0.5, 2, size=1000).astype("float32")
    for weight in (None, w):
        metric = M.R2Score(class_aggregation=None)
        for i in range(0, 1000, size):
            at = slice(i, i + size)
            metric.update_state(y[at], p[at], None if weight is None else weight[at])
        a, b = y.astype("float64"), p.astype("float64")
        f = np.ones((1000, 1)) if weight is None else weight[:, None].astype("float64")
        centre = (f * a).sum(0) / f.sum()
        want = 1 - (f * (a - b) ** 2).sum(0) / (f * (a - centre) ** 2).sum(0)
        np.testing.assert_allclose(np.asarray(metric.result()), want, atol=2e-5)


@pytest.mark.parametrize("dtype", [None, "float32"])
def test_overlaps_count_beyond_two_to_the_31st(dtype):
    metric = M.MeanIoU(2, dtype=dtype)
    metric.update_state([0, 1], [0, 1])
    for _ in range(6):
        metric.total_cm.assign(metric.total_cm + np.array([[2**29, 0], [0, 2**29]],
                                                          metric.total_cm.dtype))  # fmt: skip
        metric.update_state([0, 1, 1], [0, 1, 0])
    want = (6 * 2**29 + 7) / (6 * 2**29 + 13)
    assert number(metric.result()) == pytest.approx(want, rel=1e-6)


def test_a_sum_set_by_hand_starts_there():
    metric = begun(M.Mean(), total=MANY, count=MANY)
    for _ in range(33):
        metric.update_state([1.0])
    metric.total.assign(0.0)
    metric.count.assign(0.0)
    metric.update_state([3.0, 5.0])
    assert number(metric.result()) == 4.0
    metric.reset_state()
    metric.update_state([7.0])
    assert number(metric.result()) == 7.0


def test_infinity_and_nan_are_told_as_they_are():
    for value in (np.inf, -np.inf, np.nan):
        metric = M.Mean()
        metric.update_state([1.0])
        metric.update_state([value])
        metric.update_state([1.0])
        np.testing.assert_equal(number(metric.result()), value)


def test_variables_are_those_of_keras_and_copies_go_on_with_the_same_bits():
    metric = begun(M.BinaryAccuracy(), total=MANY, count=MANY)
    assert [v.name for v in metric.variables] == ["total", "count"]
    for _ in range(3):
        metric.update_state(ONE, ONE)
    twin, thawed = copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))
    old = begun(M.BinaryAccuracy(), total=MANY, count=MANY)
    for v in old.variables:
        del v.__dict__["rest"]  # as pickled before sums had rests
    for _ in range(3):
        old.update_state(ONE, ONE)
    for m in (metric, twin, thawed, old):
        m.update_state(ONE, ONE)
        assert [number(v) for v in m.variables] == [MANY + 4, MANY + 4]


def test_the_stateless_way_gives_and_takes_the_same_variables():
    for metric, data in ((M.Mean(), ([1.0, 3.0],)), (M.MeanIoU(2), ([0, 1], [0, 1]))):
        state = metric.stateless_reset_state()
        for _ in range(3):
            state = metric.stateless_update_state(state, *data)
        assert len(state) == len(metric.variables)
        assert number(metric.stateless_result(state)) == (2.0 if len(state) == 2 else 1.0)
    metric, rng = M.R2Score(), np.random.default_rng(0)
    y = rng.normal(size=(60, 1)).astype("float32") + 50
    p = y + 0.1
    metric.update_state(y, p)
    want = number(metric.result())
    metric.reset_state()
    state = [v.value for v in metric.variables]
    for i in range(0, 60, 20):
        state = metric.stateless_update_state(state, y[i : i + 20], p[i : i + 20])
    assert number(metric.stateless_result(state)) == pytest.approx(want, abs=1e-5)


def test_a_counter_of_whole_numbers_goes_past_what_float32_counts():
    class Rows(K.metrics.Metric):
        def __init__(self):
            super().__init__(name="rows")
            self.rows = self.add_weight(shape=(), initializer="zeros", dtype="int32")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.rows.assign_add(K.ops.shape(y_true)[0])

        def result(self):
            return self.rows

    metric = Rows()
    metric.rows.assign(1 << 24)
    for _ in range(5):
        metric.update_state(np.ones((1, 1)), np.ones((1, 1)))
    assert int(metric.result().numpy()) == (1 << 24) + 5


@pytest.mark.parametrize("eagerly", [False, True])
def test_overlaps_that_turn_to_fractions_within_a_step_keep_its_counts(eagerly):
    """Pictures counted whole before, in the same step and at each call of its trace."""

    class Counting(K.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight((1,), "ones")
            self.overlap = M.MeanIoU(2)

        def call(self, x):
            return x * self.w

        def train_step(self, data):
            x, y = data
            self.overlap.update_state(y, x)
            self.overlap.update_state(y, x, sample_weight=K.ops.ones_like(x) * 0.25)
            return {"counted": K.ops.sum(self.overlap.total_cm)}

    x = np.array([[0.0], [1.0], [1.0], [0.0]], "f")
    model = Counting()
    model.compile("sgd", "mse", run_eagerly=eagerly)
    for _ in range(3):
        assert model.train_on_batch(x, x, return_dict=True)["counted"] == 5.0
    model = Counting()
    model.compile("sgd", "mse", run_eagerly=eagerly)
    assert model.fit(x, x, batch_size=1, epochs=2, verbose=0).history["counted"][-1] == 5.0


def test_a_state_outside_a_metric_takes_fractions():
    metric = M.MeanIoU(2)
    labels, found = [0, 1, 1, 0], [0, 1, 0, 0]
    weights = np.array([0.5, 0.5, 0.5, 0.25], "f")
    state = metric.stateless_update_state(metric.stateless_reset_state(), labels, found)
    state = metric.stateless_update_state(state, labels, found, sample_weight=weights)
    state = metric.stateless_update_state(state, labels, found)
    np.testing.assert_array_equal(state[0], [[4.75, 0.0], [2.5, 2.5]])
    assert number(metric.stateless_result(state)) == pytest.approx((4.75 / 7.25 + 0.5) / 2)
    assert number(metric.result()) == 0.0
