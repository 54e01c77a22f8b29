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
