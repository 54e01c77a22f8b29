"""No function takes a misspelt argument in silence; those of a first day name the right one."""

import numpy as np
import pytest

import fastnn
from fastnn import keras as K


def model():
    made = K.Sequential([K.Input((2,)), K.layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


X = np.zeros((2, 2), np.float32)
SLIPS = {
    "add_weight": (lambda m: m.layers[0].add_weight((2,), initialiser="ones"), "initializer"),
    "save": (lambda m: m.save("m.keras", overwite=False), "overwrite"),
    "save_model": (lambda m: K.models.save_model(m, "m.keras", overwite=False), "overwrite"),
    "load_weights": (lambda m: m.load_weights("m.weights.h5", skip_mismatches=1), "skip_mismatch"),
    "load_model": (lambda m: K.models.load_model("m.keras", custom_object={}), "custom_objects"),
    "clone_model": (lambda m: K.models.clone_model(m, clone_fn=None), "clone_function"),
    "apply_gradients": (lambda m: m.optimizer.apply_gradients([], names=1), None),
    "LossScaleOptimizer": (lambda m: K.optimizers.LossScaleOptimizer("sgd", initial=1), None),
    "train_on_batch": (lambda m: m.train_on_batch(X, X, sample_weights=1), "sample_weight"),
    "summary": (lambda m: m.summary(expand_nest=True), "expand_nested"),
    "generate": (lambda m: fastnn.generate(m, [1], max_new_tokens=3), "max_tokens"),
    "generate, temperature": (lambda m: fastnn.generate(m, [1], temprature=1), "temperature"),
    "pad_sequences": (lambda m: K.utils.pad_sequences([[1]], max_len=3), "maxlen"),
    "to_categorical": (lambda m: K.utils.to_categorical([1], num_class=3), "num_classes"),
    "Input": (lambda m: K.Input((2,), batchsize=3), "batch_size"),
    "grad": (lambda m: fastnn.grad(lambda x: x, argnum=0), "argnums"),
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_misspelt_argument_is_answered_with_the_right_one(slip, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, right = SLIPS[slip]
    with pytest.raises(TypeError) as caught:
        wrong(model())
    if right is not None:
        assert f"did you mean `{right}`?" in fastnn.errors.hint_of(caught.value)
    assert not list(tmp_path.iterdir())


def test_the_format_that_is_asked_for_is_the_one_of_the_ending(tmp_path):
    with pytest.raises(ValueError, match="the ending of the name chooses"):
        model().save(tmp_path / "m", save_format="h5")
    model().save(tmp_path / "m.keras", save_format="keras")
    with pytest.warns(UserWarning, match="written all the same"):
        model().save(tmp_path / "n.keras", include_optimizer=False)


def test_weights_by_name_are_refused_as_they_are_paired_by_order(tmp_path):
    model().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="skip_mismatch=True"):
        model().load_weights(tmp_path / "m.weights.h5", by_name=True)


@pytest.mark.parametrize("end", ["Activation", "Softmax", "Dense"])
def test_a_softmax_of_one_unit_warns_in_every_layer(end):
    L = K.layers
    tail = {
        "Activation": lambda: [L.Dense(1), L.Activation("softmax")],
        "Softmax": lambda: [L.Dense(1), L.Softmax()],
        "Dense": lambda: [L.Dense(1, "softmax")],
    }[end]
    with pytest.warns(UserWarning, match="softmax of one unit, which is always 1"):
        K.Sequential([K.Input((2,)), *tail()])


def test_masks_of_0_and_255_are_told_to_be_divided():
    made = K.Sequential([K.Input((2,)), K.layers.Dense(1, "sigmoid")])
    made.compile("sgd", "binary_crossentropy")
    with pytest.raises(fastnn.errors.DataError, match="y / 255"):
        made.fit(X, np.array([0, 255], np.uint8), verbose=0)
