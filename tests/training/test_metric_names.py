"""Results of metrics stand in a dict by name: none takes another's place, and names stay."""

import numpy as np
import pytest

from fastnn import keras as K
from fastnn.errors import ShapeError

X, Y = np.ones((4, 2), np.float32), np.zeros((4, 1), np.float32)
M = K.metrics


def test_metrics_of_one_name_and_one_named_loss_are_numbered():
    model = K.Sequential([K.Input((2,)), K.layers.Dense(1, kernel_initializer="ones")])
    same = M.MeanAbsoluteError(name="q")
    model.compile("sgd", "mse", metrics=[same, M.MeanSquaredError(name="q"), same])
    assert model.evaluate(X, Y, verbose=0) == [4.0, 2.0, 4.0]
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": 4.0, "q": 2.0, "q_1": 4.0}
    model.compile("sgd", "mse", metrics=[M.MeanAbsoluteError(name="loss")])
    assert model.evaluate(X, Y, verbose=0, return_dict=True) == {"loss": 4.0, "loss_1": 2.0}


@pytest.mark.parametrize("ending", ["keras", "safetensors"])
def test_names_of_metrics_do_not_grow_when_a_model_is_compiled_or_loaded_again(ending, tmp_path):
    pytest.importorskip("h5py") if ending == "keras" else None
    entrance = K.Input((2,))
    outputs = [K.layers.Dense(1, name=name)(entrance) for name in "ab"]
    model, metric = K.Model(entrance, outputs), M.MeanAbsoluteError(name="q")
    for _ in range(2):
        model.compile("sgd", "mse", metrics=[[metric], []])
        assert "a_q" in model.evaluate(X, [Y, Y], verbose=0, return_dict=True)
    model.save(tmp_path / f"m.{ending}")
    again = K.models.load_model(tmp_path / f"m.{ending}")
    assert "a_q" in again.evaluate(X, [Y, Y], verbose=0, return_dict=True)


def test_overlaps_of_class_numbers_name_the_setting_for_scores():
    with pytest.raises(ShapeError, match="hint: sparse_y_pred=False takes scores"):
        M.MeanIoU(3)(np.array([0, 1, 2]), np.eye(3))
    with pytest.raises(ShapeError, match="hint: sparse_y_true=False takes scores"):
        M.MeanIoU(3)(np.eye(3), np.array([0, 1, 2]))


def test_functions_are_reported_under_the_names_that_keras_gives_them():
    def RMSELoss(y, p):
        return K.ops.mean(y - p)

    def camelCase(y, p):
        return K.ops.mean(p)

    class Gap:
        def __call__(self, y, p):
            return K.ops.mean(y)

    model = K.Sequential([K.Input((2,)), K.layers.Dense(1)])
    alike = [lambda y, p: K.ops.mean(y), lambda y, p: K.ops.mean(p)]
    model.compile("sgd", "mse", metrics=[RMSELoss, camelCase, Gap(), *alike])
    names = ["camel_case", "gap", "lambda", "lambda_1", "loss", "rmse_loss"]
    assert sorted(model.fit(X, Y, verbose=0).history) == names


@pytest.mark.parametrize("form", ["lists", "dicts", "one", "numbered"])
def test_metrics_names_stand_in_the_order_of_evaluate(form):
    entrance = K.Input((2,))
    outputs = [K.layers.Dense(1, name=name)(entrance) for name in "ba"]
    y, metrics = [Y, Y + 1], [["mae"], ["mse", "mae"]]
    if form == "dicts":
        outputs, y = dict(zip("ba", outputs, strict=True)), dict(zip("ba", y, strict=True))
        metrics = dict(zip("ba", metrics, strict=True))
    elif form != "lists":
        outputs, y, metrics = outputs[0], Y, ["mae", "mse"]
        if form == "numbered":
            metrics = [M.MeanAbsoluteError(name="q"), M.MeanSquaredError(name="q")]
    model = K.Model(entrance, outputs)
    model.compile("sgd", "mse", metrics=metrics)
    values = model.evaluate(X, y, verbose=0)
    wanted = model.evaluate(X, y, verbose=0, return_dict=True)
    assert dict(zip(model.metrics_names, values, strict=True)) == wanted


def test_a_metric_may_call_its_false_negatives_fn():
    class Misses(M.Metric):
        def __init__(self, name="misses"):
            super().__init__(name=name)
            self.fn = self.add_weight(name="fn", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.fn.assign_add(K.ops.sum(K.ops.cast(y_true > y_pred, "float32")))

        def result(self):
            return self.fn

    model = K.Sequential([K.Input((2,)), K.layers.Dense(1, kernel_initializer="zeros")])
    model.compile(K.optimizers.SGD(0.0), "mse", metrics=[Misses()])
    history = model.fit(X, np.array([[1.0], [0.0], [2.0], [0.0]]), epochs=2, verbose=0)
    assert history.history["misses"] == [2.0, 2.0]


def test_a_further_compile_without_a_loss_keeps_it_and_its_metrics():
    x, y = np.ones((4, 2), "f"), np.full((4, 1), 3.0, "f")
    model = K.Sequential([K.Input((2,)), K.layers.Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse", metrics=["mae"])
    model.compile(K.optimizers.SGD(0.0))
    assert model.fit(x, y, verbose=0).history == {"loss": [1.0], "mae": [1.0]}
    model.compile("sgd", metrics=[])
    assert model.evaluate(x, y + 1.0, verbose=0) == 4.0
    model.compile("sgd", "mse", metrics=["mae"])
    model.compile("sgd", "mae")  # a head of another kind, say, which those metrics do not fit
    assert model.evaluate(x, y + 1.0, verbose=0) == 2.0
