"""Labels: refused or right at every entrance; weights by class, for training rows only."""

import numpy as np
import pytest

import fastnn
from fastnn import keras as K
from fastnn.data.labels import check_class_weight
from fastnn.errors import DataError, ShapeError

X = np.zeros((4, 2), "float32")


def classifier(loss="sparse_categorical_crossentropy", units=3, **compile):
    model = K.Sequential([K.Input((2,)), K.layers.Dense(units, "softmax")])
    model.compile("sgd", loss, **compile)
    return model


class Net(K.Model):
    def __init__(self):
        super().__init__()
        self.out = K.layers.Dense(3, "softmax")

    def call(self, x):
        return self.out(x)


def net():
    model = Net()
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def two(loss=("sparse_categorical_crossentropy", "mse")):
    x = K.Input((2,))
    model = K.Model(x, [K.layers.Dense(3, "softmax", name="a")(x), K.layers.Dense(1, name="b")(x)])
    model.compile("sgd", list(loss))
    return model


class Data(K.utils.PyDataset):
    def __init__(self, y):
        super().__init__()
        self.y = y

    def __len__(self):
        return 1

    def __getitem__(self, i):
        return X, self.y


GOOD = np.arange(4) % 3
ENTRANCES = {
    "fit": lambda y: classifier().fit(X, y, verbose=0),
    "fit, subclass": lambda y: net().fit(X, y, verbose=0),
    "fit, crossentropy by shape": lambda y: classifier("crossentropy").fit(X, y, verbose=0),
    "fit, eager": lambda y: classifier(run_eagerly=True).fit(X, y, verbose=0),
    "generator": lambda y: classifier().fit(iter([(X, y)]), verbose=0),
    "generator, subclass": lambda y: net().fit(iter([(X, y)]), verbose=0),
    "PyDataset": lambda y: classifier().fit(Data(y), verbose=0),
    "validation_data": lambda y: classifier().fit(X, GOOD, validation_data=(X, y), verbose=0),
    "validation batches": lambda y: classifier().fit(X, GOOD, validation_data=Data(y), verbose=0),
    "evaluate": lambda y: classifier().evaluate(X, y, verbose=0),
    "evaluate batches": lambda y: classifier().evaluate(iter([(X, y)]), verbose=0),
    "train_on_batch": lambda y: classifier().train_on_batch(X, y),
    "test_on_batch": lambda y: classifier().test_on_batch(X, y),
    "two outputs": lambda y: two().fit(X, [y, X[:, 0]], verbose=0),
    "two outputs by name": lambda y: two().fit(X, {"a": y, "b": X[:, 0]}, verbose=0),
    "two outputs, generator": lambda y: two().fit(iter([(X, (y, X[:, 0]))]), verbose=0),
    "the loss": lambda y: K.losses.SparseCategoricalCrossentropy()(y, np.full((4, 3), 1 / 3)),
    "the loss function": lambda y: K.losses.sparse_categorical_crossentropy(
        y, np.full((4, 3), 1 / 3, "float32")),
    "generalised": lambda y: K.losses.CategoricalGeneralizedCrossEntropy()(y, np.ones((4, 3)) / 3),
    "nll": lambda y: fastnn.losses.NLL()(y, np.zeros((4, 3), "float32")),
}  # fmt: skip
WRONG = {
    "beyond": np.array([0, 1, 2, 3]),
    "far beyond": np.full(4, 7),
    "negative": np.array([0, -1, 2, 1]),
    "no whole numbers": np.array([0.0, 0.5, 1.0, 2.0]),
    "nan": np.array([0.0, np.nan, 1.0, 2.0]),
}


@pytest.mark.parametrize("labels", WRONG)
@pytest.mark.parametrize("entrance", ENTRANCES)
def test_labels_outside_the_classes_are_refused_at_every_entrance(entrance, labels):
    ENTRANCES[entrance](GOOD)
    with pytest.raises(DataError, match="class") as caught:
        ENTRANCES[entrance](WRONG[labels])
    assert "hint:" in str(caught.value)
    if "two outputs" in entrance:
        assert "output 'a'" in str(caught.value)


@pytest.mark.parametrize("make", [lambda: K.metrics.MeanIoU(3), lambda: K.metrics.IoU(3, [0])])
def test_overlaps_say_which_labels_they_leave_out(make):
    for y, p in (([0, 1, 7], [0, 1, 2]), ([0, 1, 2], [0, 1, -1])):
        with pytest.warns(UserWarning, match=r"leaves out 1 of 3 class numbers"):
            make().update_state(y, p)
    with pytest.raises(DataError, match="whole class numbers"):
        make().update_state([0, 1, 2], [0.2, 0.7, 1.0])


def test_an_ignored_class_is_no_label_outside():
    loss = K.losses.SparseCategoricalCrossentropy(ignore_class=255)
    for fit in (lambda y: classifier(loss).fit(X, y, verbose=0),
                lambda y: loss(y, np.full((4, 3), 1 / 3, "float32"))):  # fmt: skip
        fit(np.array([0, 255, 1, 2]))
        with pytest.raises(DataError, match="254"):
            fit(np.array([0, 254, 1, 2]))


def test_in_a_trace_of_the_callers_a_label_outside_gives_nan_and_no_gradient_of_its_own():
    def own(y, p):
        return K.losses.sparse_categorical_crossentropy(y, p)

    with pytest.warns(UserWarning, match="loss is nan"):
        history = classifier(own).fit(X, np.array([0, 1, 2, 7]), verbose=0).history
    assert np.isnan(history["loss"]).all()
    good = classifier(own).fit(X, GOOD, verbose=0).history["loss"][0]
    assert good == pytest.approx(np.log(3), rel=1e-5)


@pytest.mark.parametrize("y", [[0, 2, 1, 1], [-1, 1, 1, -1], [0, 1, 1, 5.5]])
def test_binary_labels_outside_0_to_1_are_refused_at_every_entrance(y):
    def binary(**k):
        model = K.Sequential([K.Input((2,)), K.layers.Dense(1, "sigmoid")])
        model.compile("sgd", "binary_crossentropy", **k)
        return model

    y = np.array(y)
    for entrance in (
        lambda: binary().fit(X, y, verbose=0), lambda: binary().evaluate(X, y, verbose=0),
        lambda: binary().fit(iter([(X, y)]), verbose=0), lambda: binary().train_on_batch(X, y),
        lambda: binary(run_eagerly=True).fit(X, y, verbose=0),
        lambda: K.losses.BinaryCrossentropy()(y, np.full(4, 0.5, "float32")),
        lambda: K.losses.BinaryFocalCrossentropy()(y, np.full(4, 0.5, "float32")),
    ):  # fmt: skip
        with pytest.raises(DataError, match="from 0 to 1"):
            entrance()


ONE_HOT = np.eye(3, dtype="float32")
SHAPES = {
    "CategoricalAccuracy": K.metrics.CategoricalAccuracy,
    "TopKCategoricalAccuracy": lambda: K.metrics.TopKCategoricalAccuracy(k=1),
    "Accuracy": K.metrics.Accuracy,
    "BinaryAccuracy": K.metrics.BinaryAccuracy,
    "RootMeanSquaredError": K.metrics.RootMeanSquaredError,
    "MeanSquaredError": K.metrics.MeanSquaredError,
    "CosineSimilarity": K.metrics.CosineSimilarity,
    "TruePositives": K.metrics.TruePositives,
    "Precision": K.metrics.Precision,
    "AUC": K.metrics.AUC,
    "F1Score": K.metrics.F1Score,
    "R2Score": K.metrics.R2Score,
    "OneHotIoU": lambda: K.metrics.OneHotIoU(3, [0]),
    "OneHotMeanIoU": lambda: K.metrics.OneHotMeanIoU(3),
}


@pytest.mark.parametrize("name", SHAPES)
def test_class_numbers_are_no_one_hot_targets(name):
    with pytest.raises((ShapeError, ValueError), match="shape"):
        SHAPES[name]().update_state(np.array([0, 1, 2]), ONE_HOT)


@pytest.mark.parametrize("name", ["CategoricalAccuracy", "TopKCategoricalAccuracy", "F1Score"])
def test_class_numbers_are_no_one_hot_targets_in_compile_either(name):
    metric = SHAPES[name]()
    with pytest.raises((ShapeError, ValueError), match="shape") as caught:
        classifier(metrics=[metric]).fit(X, GOOD, verbose=0)
    assert metric.name in "".join(caught.value.__notes__)


def test_one_hot_targets_are_no_class_numbers():
    for metric in (K.metrics.SparseCategoricalAccuracy(),
                   K.metrics.SparseTopKCategoricalAccuracy(k=1)):  # fmt: skip
        with pytest.raises(ShapeError, match="one-hot"):
            metric.update_state(ONE_HOT, ONE_HOT)
        for y in ([0, 1, 2], [[0], [1], [2]]):
            metric.update_state(y, ONE_HOT)
        assert float(metric.result()) == 1.0
    with pytest.raises(ShapeError, match="one-hot"):
        classifier().fit(X, np.eye(3)[GOOD], verbose=0)


def test_a_metric_function_gets_targets_of_the_outputs_rank():
    def my_error(y, p):
        return K.ops.mean(K.ops.square(y - p))

    model = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=[my_error])
    x = np.arange(4.0)
    assert model.evaluate(x[:, None], x, verbose=0) == [0.0, 0.0]


# ---- shares of one label ------------------------------------------------------------------------

ROWS = np.eye(3)[GOOD].astype("float32")
#: Targets of a categorical loss that are a mistake, and what the message says.
NO_SHARES = {
    "zeros": (np.where(np.arange(4)[:, None] == 2, 0, ROWS), "is all zeros at position .2,."),
    "counts": (np.array([[2, 1, 0]] * 4), "adds up to 3"),
    "percent": (ROWS * 0.7 + 10.0, "adds up to"),
    "standardised": (ROWS - 0.5, "has negative values"),
    "integers": (np.zeros((4, 3), "int64"), "is all zeros"),
}
CCE = "categorical_crossentropy"
SHARED = {
    "fit": lambda y: classifier(CCE).fit(X, y, verbose=0),
    "focal": lambda y: classifier("categorical_focal_crossentropy").fit(X, y, verbose=0),
    "crossentropy by shape": lambda y: classifier("crossentropy").fit(X, y, verbose=0),
    "eager": lambda y: classifier(CCE, run_eagerly=True).fit(X, y, verbose=0),
    "generator": lambda y: classifier(CCE).fit(iter([(X, y)]), verbose=0),
    "PyDataset": lambda y: classifier(CCE).fit(Data(y), verbose=0),
    "validation_data": lambda y: classifier(CCE).fit(X, ROWS, validation_data=(X, y), verbose=0),
    "validation batches": lambda y: classifier(CCE).fit(X, ROWS, validation_data=Data(y),
                                                        verbose=0),
    "evaluate": lambda y: classifier(CCE).evaluate(X, y, verbose=0),
    "train_on_batch": lambda y: classifier(CCE).train_on_batch(X, y),
    "two outputs": lambda y: two((CCE, "mse")).fit(X, [y, X[:, 0]], verbose=0),
    "two outputs by name": lambda y: two((CCE, "mse")).fit(X, {"a": y, "b": X[:, 0]}, verbose=0),
    "the loss": lambda y: K.losses.CategoricalCrossentropy()(y, np.full((4, 3), 1 / 3)),
    "the loss function": lambda y: K.losses.categorical_crossentropy(y, np.full((4, 3), 1 / 3)),
    "the metric": lambda y: K.metrics.CategoricalCrossentropy()(y, np.full((4, 3), 1 / 3)),
    "a metric of fit": lambda y: classifier(
        "mse", metrics=[K.metrics.CategoricalCrossentropy()]).fit(X, y, verbose=0),
}  # fmt: skip


@pytest.mark.parametrize("wrong", NO_SHARES)
@pytest.mark.parametrize("entrance", SHARED)
def test_targets_that_are_no_shares_of_one_label_are_refused(entrance, wrong):
    y, words = NO_SHARES[wrong]
    with pytest.raises(DataError, match=words) as caught:
        SHARED[entrance](y)
    assert "hint:" in str(caught.value)


#: Targets that are meant so: smoothed, mixed, rounded, and one-hot rows times a weight.
SHARES = {
    "one-hot": ROWS,
    "smoothed": ROWS * 0.9 + 0.1 / 3,
    "mixed": ROWS * 0.3 + ROWS[::-1] * 0.7,
    "two digits": np.full((4, 3), 0.33),
    "weighted": ROWS * np.array([[2.0], [0.5], [1.0], [3.0]]),
    "advantages": ROWS * np.array([[2.0], [-0.5], [0.0], [-3.0]]),
}


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("entrance", SHARED)
def test_soft_and_weighted_targets_are_taken(entrance, name):
    SHARED[entrance](SHARES[name])


#: Rows of several labels, as a guide of Keras has them with random zeros and ones.
SEVERAL = {
    "integers": np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1]]),
    "booleans": np.ones((4, 3), bool),
}


@pytest.mark.parametrize("name", SEVERAL)
@pytest.mark.parametrize("entrance", SHARED)
def test_several_labels_a_row_are_taken_with_a_warning(entrance, name):
    with pytest.warns(UserWarning, match="several ones in a row"):
        SHARED[entrance](SEVERAL[name])


def test_several_labels_a_row_give_the_loss_that_is_written():
    p = np.array([[0.2, 0.3, 0.5]], "float32")
    with pytest.warns(UserWarning, match="several ones"):
        loss = K.losses.categorical_crossentropy(np.array([[1, 0, 1]]), p)
    assert float(loss[0]) == pytest.approx(-np.log(0.2) - np.log(0.5), rel=1e-6)
    traced = fastnn.jit(lambda y: K.losses.categorical_crossentropy(y, p))
    assert float(traced(np.array([[1.0, 0.0, 1.0]], "float32"))[0]) == pytest.approx(float(loss[0]))


def test_rows_to_leave_out_may_be_zeros():
    y = NO_SHARES["zeros"][0]
    keep = (np.arange(4) != 2).astype("float32")
    classifier(CCE).fit(X, y, sample_weight=keep, verbose=0)
    classifier(CCE).fit(iter([(X, y, keep)]), verbose=0)
    classifier(CCE).evaluate(X, y, sample_weight=keep, verbose=0)
    two((CCE, "mse")).fit(X, [y, X[:, 0]], sample_weight=[keep, np.ones(4)], verbose=0)
    K.losses.CategoricalCrossentropy()(y, np.full((4, 3), 1 / 3), sample_weight=keep)
    with pytest.raises(DataError, match="all zeros"):
        classifier(CCE).fit(X, y, sample_weight=1 - keep, verbose=0)
    # Labels per time step that are zeros stand for padding, as they do in Keras's programs.
    steps = np.eye(3)[np.array([[0, 1, 2], [2, 1, 0]])]
    steps[1, 2] = 0
    model = K.Sequential([K.Input((3, 2)), K.layers.Dense(3, "softmax")])
    model.compile("sgd", CCE)
    model.fit(np.zeros((2, 3, 2)), steps, verbose=0)


def test_the_check_of_targets_can_be_switched_off():
    fastnn.config.set_target_checks(False)
    try:
        assert not fastnn.config.are_targets_checked()
        for y, _ in NO_SHARES.values():
            classifier(CCE).fit(X, y, verbose=0)
    finally:
        fastnn.config.set_target_checks(True)


# ---- class_weight --------------------------------------------------------------------------------


def flat(units, activation, loss, shape=(2,)):
    last = K.layers.Dense(units, activation, kernel_initializer="zeros")
    model = K.Sequential([K.Input(shape), last])
    model.compile(K.optimizers.SGD(0.0), loss)
    return model


WEIGHTS = {0: 1.0, 1: 10.0}
LOG2 = np.log(2)
STEPS = np.zeros((2, 3, 2), "float32")
#: Model, x, y, the sum of weights over the labels, and how many labels there are.
WEIGHED = {
    "numbers": ((2, "softmax", "sparse_categorical_crossentropy"), X, [0, 1, 0, 0], 13, 4),
    "numbers (n, 1)": ((2, "softmax", "sparse_categorical_crossentropy"), X,
                       [[0], [1], [0], [0]], 13, 4),
    "floats": ((2, "softmax", "sparse_categorical_crossentropy"), X, [0.0, 1.0, 0, 0], 13, 4),
    "one-hot": ((2, "softmax", "categorical_crossentropy"), X, np.eye(2)[[0, 1, 0, 0]], 13, 4),
    "binary": ((1, "sigmoid", "binary_crossentropy"), X, [0, 1, 0, 0], 13, 4),
    "binary (n, 1)": ((1, "sigmoid", "binary_crossentropy"), X, [[0], [1], [0], [0]], 13, 4),
    "booleans": ((1, "sigmoid", "binary_crossentropy"), X, [False, True, False, False], 13, 4),
    "numbers per step": ((2, "softmax", "sparse_categorical_crossentropy", (3, 2)), STEPS,
                         [[0, 1, 0], [1, 1, 0]], 33, 6),
    "numbers per step (n, t, 1)": ((2, "softmax", "sparse_categorical_crossentropy", (3, 2)),
                                   STEPS, [[[0], [1], [0]], [[1], [1], [0]]], 33, 6),
    "one-hot per step": ((2, "softmax", "categorical_crossentropy", (3, 2)), STEPS,
                         np.eye(2)[[[0, 1, 0], [1, 1, 0]]], 33, 6),
    "binary per step": ((1, "sigmoid", "binary_crossentropy", (3, 2)), STEPS,
                        [[[0], [1], [0]], [[1], [1], [0]]], 33, 6),
}  # fmt: skip


@pytest.mark.parametrize("entrance", ["arrays", "generator", "train_on_batch", "eager"])
@pytest.mark.parametrize("name", WEIGHED)
def test_every_label_has_the_weight_of_its_class(name, entrance):
    settings, x, y, total, count = WEIGHED[name]
    model, y = flat(*settings), np.asarray(y)
    if entrance == "train_on_batch":
        got = model.train_on_batch(x, y, class_weight=WEIGHTS)
    else:
        model.run_eagerly = entrance == "eager"
        data = (x, y) if entrance != "generator" else (iter([(x, y)]),)
        got = model.fit(*data, class_weight=WEIGHTS, verbose=0).history["loss"][0]
    assert got == pytest.approx(LOG2 * total / count, rel=1e-5)


def test_class_weights_multiply_sample_weights_per_sample_and_per_label():
    settings, x, y, _, _ = WEIGHED["numbers per step"]
    y = np.asarray(y)
    per_class = np.where(y == 1, 10.0, 1.0)
    for share in (np.array([1.0, 3.0]), np.array([[1.0], [3.0]]), np.arange(6.0).reshape(2, 3)):
        got = flat(*settings).fit(x, y, class_weight=WEIGHTS, sample_weight=share,
                                  verbose=0).history["loss"][0]  # fmt: skip
        want = (per_class * (share[:, None] if share.ndim == 1 else share)).mean() * LOG2
        assert got == pytest.approx(want, rel=1e-5)
    with pytest.raises(DataError, match="sample_weight has shape"):
        flat(*settings).fit(x, y, class_weight=WEIGHTS, sample_weight=np.ones((2, 2)), verbose=0)


def test_classes_without_a_weight_weigh_one():
    y = np.array([0, 1, 2, 2])
    got = classifier().fit(X, y, class_weight={1: 5.0}, verbose=0).history["loss"][0]
    assert got == pytest.approx(np.log(3) * 8 / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("settings", "y"),
    [
        ((3, "sigmoid", "binary_crossentropy"), [[0, 1, 1], [1, 0, 1], [0, 0, 0], [1, 1, 1]]),
        ((2, None, "mse"), [[0.1, 3.0], [2.0, 0.5], [1.0, 1.0], [4.0, 2.0]]),
        ((1, "sigmoid", "binary_crossentropy"), [0.0, 0.4, 1.0, 1.0]),
    ],
)
def test_labels_that_are_no_single_class_are_refused_with_class_weight(settings, y):
    with pytest.raises(DataError, match="sample_weight"):
        flat(*settings).fit(X, np.array(y), class_weight=WEIGHTS, verbose=0)


@pytest.mark.parametrize("given", [[1.0, 2.0], {"0": 1.0}, {0: float("nan")}, {0: -1.0},
                                   {0.5: 1.0}])  # fmt: skip
@pytest.mark.parametrize("data", [(X, GOOD), (Data(GOOD),)])
def test_class_weights_that_make_no_sense_are_refused_before_training(given, data):
    with pytest.raises(ValueError, match="class_weight"):
        classifier().fit(*data, class_weight=given, verbose=0)
    assert classifier().fit(*data, class_weight={np.int64(0): np.float32(2), 1.0: 1}, verbose=0)


def test_validation_is_weighed_by_sample_weights_alone():
    x, y = np.zeros((4, 1), "float32"), np.array([0, 1, 0, 1])
    share = np.array([1.0, 1.0, 1.0, 3.0])
    double = {0: 2.0, 1: 2.0}

    def validated(data=(x, y), **settings):
        last = K.layers.Dense(1, "sigmoid", kernel_initializer="zeros")
        model = K.Sequential([K.Input((1,)), last])
        model.compile(K.optimizers.SGD(0.0), "binary_crossentropy")
        return model.fit(*data, class_weight=double, verbose=0, **settings).history

    history = validated(validation_split=0.5, shuffle=False)
    assert history["loss"][0] == pytest.approx(2 * LOG2, rel=1e-6)
    assert history["val_loss"][0] == pytest.approx(LOG2, rel=1e-6)
    history = validated(validation_split=0.5, sample_weight=share)
    assert history["loss"][0] == pytest.approx(2 * LOG2, rel=1e-6)
    assert history["val_loss"][0] == pytest.approx(2 * LOG2, rel=1e-6)
    for validation in ((x, y), iter([(x, y)]), [(x, y)][0]):
        assert validated(validation_data=validation)["val_loss"][0] == pytest.approx(LOG2)
    generator = validated((iter([(x, y)]),), validation_data=(x, y))
    assert generator["loss"][0] == pytest.approx(2 * LOG2)
    assert generator["val_loss"][0] == pytest.approx(LOG2)
    assert validated(validation_data=(x, y, share))["val_loss"][0] == pytest.approx(1.5 * LOG2)


# ---- accuracy of logits --------------------------------------------------------------------------

LOGITS = np.array([[-2.0], [0.2], [0.3], [3.0]], "float32")


def accuracies(metric, loss, **outputs):
    model = K.Sequential([K.Input((1,)), K.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", loss, metrics=[metric])
    return model.evaluate(LOGITS, np.array([0, 1, 1, 1]), verbose=0, return_dict=True)


@pytest.mark.parametrize("name", ["accuracy", "acc", "binary_accuracy", "BinaryAccuracy"])
@pytest.mark.parametrize("loss", [K.losses.BinaryCrossentropy(from_logits=True),
                                  K.losses.BinaryFocalCrossentropy(from_logits=True)])  # fmt: skip
def test_accuracy_by_name_cuts_logits_at_0_where_the_loss_takes_logits(name, loss):
    assert accuracies(name, loss)[name] == 1.0
    fastnn.config.set_accuracy_by_loss(False)
    try:
        assert accuracies(name, loss)[name] == 0.5
    finally:
        fastnn.config.set_accuracy_by_loss(True)
    assert accuracies(K.metrics.BinaryAccuracy(name="own"), loss)["own"] == 0.5


def test_accuracy_of_each_output_follows_its_own_loss(tmp_path):
    x = K.Input((1,))
    ones = {"kernel_initializer": "ones"}
    model = K.Model(
        x, [K.layers.Dense(1, name="a", **ones)(x), K.layers.Dense(1, name="b", **ones)(x)]
    )
    model.compile("sgd", [K.losses.BinaryCrossentropy(from_logits=True), "mse"],
                  metrics=[["accuracy"], ["accuracy"]])  # fmt: skip
    y = np.array([0, 1, 1, 1])
    got = model.evaluate(LOGITS, [y, y], verbose=0, return_dict=True)
    assert (got["a_accuracy"], got["b_accuracy"]) == (1.0, 0.5)
    model.save(tmp_path / "m.safetensors")
    again = K.models.load_model(tmp_path / "m.safetensors")
    assert again.evaluate(LOGITS, [y, y], verbose=0, return_dict=True) == got


def test_crossentropy_by_name_is_of_logits_where_the_loss_is():
    got = accuracies("crossentropy", K.losses.BinaryCrossentropy(from_logits=True))
    assert got["crossentropy"] == pytest.approx(got["loss"], rel=1e-6)


def test_class_weight_takes_yes_and_no_as_the_classes_0_and_1():
    assert check_class_weight({False: 1.0, True: 3.0}) == {0: 1.0, 1: 3.0}
