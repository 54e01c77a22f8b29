"""Targets that a loss or a metric cannot take: refused at every entrance, NaN where not known."""

import warnings

import numpy as np
import pytest

import fastnn
from fastnn import keras as K
from fastnn.errors import DataError

X = np.zeros((4, 2), "float32")
P = np.array([0.2, 0.9, 0.8, 0.4], "float32")
GOOD = np.array([0, 1, 1, 0])

#: Metrics of labels 0 and 1.
YES_NO = {
    "AUC": K.metrics.AUC,
    "Precision": K.metrics.Precision,
    "Recall": K.metrics.Recall,
    "TruePositives": K.metrics.TruePositives,
    "TrueNegatives": K.metrics.TrueNegatives,
    "FalsePositives": K.metrics.FalsePositives,
    "FalseNegatives": K.metrics.FalseNegatives,
    "SensitivityAtSpecificity": lambda: K.metrics.SensitivityAtSpecificity(0.5),
    "SpecificityAtSensitivity": lambda: K.metrics.SpecificityAtSensitivity(0.5),
    "PrecisionAtRecall": lambda: K.metrics.PrecisionAtRecall(0.5),
    "RecallAtPrecision": lambda: K.metrics.RecallAtPrecision(0.5),
}
#: Metrics of labels from 0 to 1.
BINARY = {
    "BinaryAccuracy": K.metrics.BinaryAccuracy,
    "BinaryCrossentropy": K.metrics.BinaryCrossentropy,
    "Hinge": K.metrics.Hinge,
    "SquaredHinge": K.metrics.SquaredHinge,
}
BETWEEN = ("AUC", "SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall",
           "RecallAtPrecision")  # fmt: skip


@pytest.fixture
def unchecked():
    fastnn.config.set_target_checks(False)
    yield
    fastnn.config.set_target_checks(True)


def told(error):
    text = str(error.value)
    assert all(word in text for word in ("hint:", "position", "want"))
    return text


def sigmoid(loss="mse", **compile):
    model = K.Sequential([K.Input((2,)), K.layers.Dense(1, "sigmoid")])
    model.compile("sgd", loss, **compile)
    return model


@pytest.mark.parametrize("name", [*YES_NO, *BINARY])
def test_a_metric_of_two_classes_refuses_other_labels(name):
    make = {**YES_NO, **BINARY}[name]
    make().update_state(GOOD, P)
    for y in ([0, 2, 1, 0], [0.0, 1.0, np.nan, 1.0], [0, 1, 1, -3]):
        with pytest.raises(DataError) as caught:
            make().update_state(np.array(y), P)
        told(caught)
    with pytest.raises(DataError):
        sigmoid(metrics=[make()]).fit(X, np.array([0, 2, 1, 0]), verbose=0)
    with pytest.raises(DataError) as caught:
        sigmoid(metrics=[make()]).evaluate(iter([(X, np.array([0, 2, 1, 0]))]), verbose=0)
    assert "y of metric" in str(caught.value)


@pytest.mark.parametrize("name", YES_NO)
def test_a_count_of_hits_refuses_labels_that_are_neither_yes_nor_no(name):
    for y in ([0.3, 1, 1, 0], [-1, 1, 1, -1]):
        with pytest.raises(DataError):
            YES_NO[name]().update_state(np.array(y), P)


@pytest.mark.parametrize("name", [*YES_NO, "BinaryAccuracy", "BinaryCrossentropy"])
def test_rows_of_weight_0_may_hold_any_label(name):
    metric, same = {**YES_NO, **BINARY}[name](), {**YES_NO, **BINARY}[name]()
    metric.update_state(np.array([[-7], [1], [1], [0]]), P[:, None], sample_weight=[0, 1, 1, 1])
    same.update_state(GOOD[1:, None], P[1:, None])
    assert float(metric.result()) == pytest.approx(float(same.result()), abs=1e-6)


@pytest.mark.parametrize("name", BETWEEN)
def test_thresholds_from_0_to_1_are_for_probabilities(name):
    with pytest.raises(DataError, match=r"y_pred holds 1\.5.*probabilities") as caught:
        YES_NO[name]().update_state(GOOD, [0.2, 1.5, 0.8, 0.4])
    assert "hint:" in str(caught.value)
    YES_NO[name]().update_state(GOOD, [0.0, 1.0, 1.0 + 1e-6, 0.4])


def test_an_area_under_logits_is_nan_in_training_and_said_to_be():
    def evaluated(metric):
        last = K.layers.Dense(1, kernel_initializer="ones")
        model = K.Sequential([K.Input((1,)), last])
        model.compile("sgd", "mse", metrics=[metric])
        return model.evaluate(np.array([[-2.0], [3.0], [1.0], [-1]]), GOOD, verbose=0)[1]

    with pytest.warns(UserWarning, match="'area' is NaN.*from_logits=True"):
        assert np.isnan(evaluated(K.metrics.AUC(name="area")))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert evaluated(K.metrics.AUC(from_logits=True)) == pytest.approx(1.0)


ROWS = np.eye(3)[[0, 1, 2]]
EMPTY = ROWS * np.array([[1], [0], [1]])
SCORES = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]])
SHARES = {
    "CategoricalAccuracy": K.metrics.CategoricalAccuracy,
    "TopKCategoricalAccuracy": lambda: K.metrics.TopKCategoricalAccuracy(k=1),
    "CategoricalCrossentropy": K.metrics.CategoricalCrossentropy,
    "OneHotIoU": lambda: K.metrics.OneHotIoU(3, [0]),
    "OneHotMeanIoU": lambda: K.metrics.OneHotMeanIoU(3),
}


@pytest.mark.parametrize("name", SHARES)
def test_a_row_without_a_class_is_never_counted(name):
    SHARES[name]().update_state(ROWS, SCORES)
    with pytest.raises(DataError, match="all zeros at position") as caught:
        SHARES[name]().update_state(EMPTY, SCORES)
    assert "hint:" in str(caught.value)
    metric, same = SHARES[name](), SHARES[name]()
    metric.update_state(EMPTY, SCORES, sample_weight=[1.0, 0.0, 1.0])
    same.update_state(ROWS[::2], SCORES[::2])
    assert float(metric.result()) == pytest.approx(float(same.result()))
    model = K.Sequential([K.Input((2,)), K.layers.Dense(3, "softmax")])
    model.compile("sgd", "mse", metrics=[SHARES[name]()])
    with pytest.raises(DataError, match="all zeros"):
        model.fit(X[:3], EMPTY, verbose=0)


SPARSE = {
    "SparseCategoricalAccuracy": K.metrics.SparseCategoricalAccuracy,
    "SparseTopKCategoricalAccuracy": lambda: K.metrics.SparseTopKCategoricalAccuracy(k=1),
    "SparseCategoricalCrossentropy": K.metrics.SparseCategoricalCrossentropy,
}


@pytest.mark.parametrize("name", SPARSE)
@pytest.mark.parametrize("y", [[0, 3, 1], [0, -1, 1], [0.0, 0.5, 1.0]])
def test_a_sparse_metric_refuses_numbers_of_no_class(name, y):
    SPARSE[name]().update_state([0, 2, 1], SCORES)
    with pytest.raises(DataError, match="class"):
        SPARSE[name]().update_state(y, SCORES)
    if y[1] != 0.5:
        metric, same = SPARSE[name](), SPARSE[name]()
        metric.update_state(y, SCORES, sample_weight=[1, 0, 1])
        same.update_state(y[::2], SCORES[::2])
        assert float(metric.result()) == pytest.approx(float(same.result()))


def test_sorted_ids_do_not_say_how_many_classes_there_are():
    metric = K.metrics.SparseTopKCategoricalAccuracy(k=2, from_sorted_ids=True)
    metric.update_state([7, 3], [[7, 2], [1, 2]])
    assert float(metric.result()) == 0.5


@pytest.mark.parametrize(
    ("loss", "bad"),
    [
        ("Hinge", 2), ("SquaredHinge", -3), ("CategoricalHinge", 2), ("Dice", 255), ("Tversky", 2),
        ("KLDivergence", 2), ("Poisson", -1), ("MeanSquaredLogarithmicError", -2), ("Circle", 0.5),
        ("BinaryCrossentropy", 2), ("BinaryFocalCrossentropy", -1),
    ],
)  # fmt: skip
def test_a_loss_refuses_targets_that_its_formula_is_not_for(loss, bad):
    make = getattr(K.losses, loss)
    y = np.array([[0.0], [1.0], [1.0], [bad]])
    y = y[:, 0] if loss == "Circle" else y
    p = np.array([[0.6, 0.8]] * 4) if loss == "Circle" else P[:, None]
    good = np.where(y == bad, 1.0, y)
    assert np.isfinite(float(make()(good, p)))
    with pytest.raises(DataError) as caught:
        make()(y, p)
    told(caught)
    if loss != "Circle":
        with pytest.raises(DataError):
            sigmoid(make()).fit(X, y, verbose=0)
        if loss not in ("Dice", "Tversky", "Hinge", "SquaredHinge"):
            weighed = make()(y, p, sample_weight=np.array([1.0, 1.0, 1.0, 0.0]))
            assert float(weighed) == pytest.approx(float(make()(good, p, sample_weight=np.array(
                [1.0, 1.0, 1.0, 0.0]))))  # fmt: skip


def test_the_switch_takes_any_targets_as_keras_does(unchecked):
    for name in (*YES_NO, *BINARY):
        {**YES_NO, **BINARY}[name]().update_state(np.array([0, 2, 1, 0]), P * 3)
    for name in SHARES:
        SHARES[name]().update_state(EMPTY, SCORES)
    assert np.isfinite(float(K.losses.Dice()(np.array([[2.0]]), np.array([[0.5]]))))
    sigmoid("hinge", metrics=[K.metrics.AUC()]).fit(X, np.array([0, 2, 1, 0]), verbose=0)


def test_switching_the_checks_is_seen_by_a_step_that_was_traced_before():
    model = sigmoid("hinge")
    model.fit(X, GOOD, verbose=0)
    fastnn.config.set_target_checks(False)
    try:
        model.fit(X, np.array([0, 2, 1, 0]), verbose=0)
    finally:
        fastnn.config.set_target_checks(True)
    with pytest.raises(DataError):
        model.fit(X, np.array([0, 2, 1, 0]), verbose=0)


# ---- steps of the user's own --------------------------------------------------------------------


class Own(K.Model):
    """A step that makes one-hot rows of class numbers before it calls loss and metrics."""

    def __init__(self):
        super().__init__()
        self.out = K.layers.Dense(3, "softmax")

    def call(self, x):
        return self.out(x)

    def train_step(self, data):
        x, y = data
        y = K.ops.one_hot(y, 3)
        with fastnn.GradientTape() as tape:
            p = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=p)
        grads = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(grads, self.trainable_variables, strict=True))
        self.compute_metrics(x, y, p)
        return {m.name: m.result() for m in self.metrics} | {"loss": loss}


def own():
    model = Own()
    model.compile("sgd", "categorical_crossentropy", metrics=[K.metrics.CategoricalAccuracy()])
    return model


@pytest.mark.parametrize("eager", [False, True])
def test_targets_that_a_step_changes_first_are_judged_as_the_loss_gets_them(eager):
    model = own()
    model.run_eagerly = eager
    history = model.fit(X, np.array([0, 1, 2, 1]), verbose=0).history
    assert history["loss"][0] == pytest.approx(np.log(3), rel=1e-5)


def test_a_bad_row_that_a_step_makes_is_nan_and_not_right():
    with pytest.warns(UserWarning, match="the loss is nan.*step of your own"):
        history = own().fit(X, np.array([0, 1, 2, 7]), verbose=0).history
    assert np.isnan([history["loss"][0], history["categorical_accuracy"][0]]).all()


def test_a_compute_loss_of_the_users_own_gets_targets_of_any_kind():
    class Shifted(K.Sequential):
        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            return super().compute_loss(x, y - 1, y_pred, sample_weight)

    model = Shifted([K.Input((2,)), K.layers.Dense(3, "softmax", kernel_initializer="zeros")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    history = model.fit(X, np.array([1, 2, 3, 1]), verbose=0).history
    assert history["loss"][0] == pytest.approx(np.log(3), rel=1e-5)


# ---- accuracy by name ---------------------------------------------------------------------------


def named(loss, last, x, y):
    model = K.Sequential([K.Input(x.shape[1:]), last])
    model.compile("sgd", loss, metrics=["accuracy"])
    return model.evaluate(x, y, verbose=0)[1]


def test_accuracy_by_name_follows_a_hinge_loss_and_its_labels():
    last = K.layers.Dense(1, "tanh", kernel_initializer="ones")
    x = np.array([[-0.4], [2.0], [0.3], [-1.0]])
    for y in ([-1, 1, 1, -1], [0, 1, 1, 0]):
        assert named("hinge", last, x, np.array(y)) == 1.0
    assert named("hinge", last, x, np.array([1, 1, 1, -1])) == 0.75


def test_accuracy_by_name_of_several_labels_at_once_counts_each():
    last = K.layers.Dense(2, "sigmoid", kernel_initializer="identity")
    x = np.array([[3.0, 3.0], [-3.0, 3.0], [3.0, -3.0], [-3.0, -3.0]])
    y = np.array([[1, 1], [0, 1], [1, 1], [0, 0]])
    assert named("binary_crossentropy", last, x, y) == 0.875
    fastnn.config.set_accuracy_by_loss(False)
    try:
        fastnn.config.set_target_checks(False)
        assert named("binary_crossentropy", last, x, y) == 1.0  # Keras compares argmax
    finally:
        fastnn.config.set_accuracy_by_loss(True)
        fastnn.config.set_target_checks(True)


def test_accuracy_by_name_beside_a_loss_of_numbers_warns_and_goes_on():
    for y in (np.arange(4.0), np.arange(4.0)[:, None]):
        with pytest.warns(UserWarning, match="compares classes"):
            sigmoid("mse", metrics=["accuracy"]).fit(X, y, verbose=0)
    with pytest.raises(DataError):
        sigmoid("mse", metrics=["binary_accuracy"]).fit(X, np.arange(4.0), verbose=0)


def test_noise_on_labels_passes_zero_and_one_by_less_than_a_half():
    """The labels of adversarial networks are often 0 and 1 with noise; class numbers are not."""
    noisy, scores = np.array([[1.05], [-0.05]], "f"), np.array([[0.3], [-0.2]], "f")
    loss = K.losses.BinaryCrossentropy(from_logits=True)
    want = np.mean(np.maximum(scores, 0) - scores * noisy + np.log1p(np.exp(-np.abs(scores))))
    assert float(loss(noisy, scores)) == pytest.approx(float(want), 1e-5)

    class Noisy(fastnn.Model):
        def train_step(self, data):
            x, y = data
            value = loss(y + 0.05, self(x))
            return {"loss": value}

    inputs = fastnn.Input((3,))
    model = Noisy(inputs, fastnn.layers.Dense(1, kernel_initializer="zeros")(inputs))
    model.compile("sgd")
    history = model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0).history
    assert history["loss"][0] == pytest.approx(np.log(2.0), 1e-5)
    for far in (-1.0, 2.0):
        with pytest.raises(DataError, match="labels from 0 to 1"):
            loss(np.full((2, 1), far), scores)
