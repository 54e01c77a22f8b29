"""No function takes a misspelt argument in silence; those of a first day name the right one."""

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import keras as K

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

import docstrings


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
    "ops": (lambda m: K.ops.mean(X, keepdim=True), "keepdims"),
    "ops, symbolic": (lambda m: K.ops.softmax(K.Input((2,)), axes=1), "axis"),
    "ops on the host": (lambda m: K.ops.median(X, axes=1), "axis"),
    "random": (lambda m: K.random.normal((2,), std=1.0), "stddev"),
    "a loss function": (
        lambda m: K.losses.binary_crossentropy(X, X, from_logit=True),
        "from_logits",
    ),
    "a loss": (lambda m: K.losses.MeanSquaredError()(X, X, sample_weights=1), "sample_weight"),
    "a metric": (lambda m: K.metrics.MeanSquaredError()(X, X, sample_weights=1), "sample_weight"),
    "update_state": (lambda m: K.metrics.AUC().update_state(X, X, weight=1), None),
    "an activation": (lambda m: K.activations.softmax(X, axes=-1), "axis"),
    "a model": (lambda m: m(X, train=True), "training"),
    "a functional model": (
        lambda m: K.Model(i := K.Input((2,)), i + 1)(X, trainning=True),
        "training",
    ),
    "a layer": (lambda m: K.layers.Dropout(0.5)(X, train=True), "training"),
    "a layer without a mode": (lambda m: K.layers.Dense(1)(X, train=True), "training"),
    "a symbolic layer": (lambda m: K.layers.LSTM(2)(K.Input((3, 2)), masks=None), "mask"),
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


#: What stands below the helper that gives the hints or uses public names alone, and functions of
#: one tensor in inner loops.
BARE = ("fastnn.errors.", "fastnn.dtype_policies.", "fastnn.datasets.")
OF_ONE_TENSOR = {f"fastnn.ops.{name}" for name in ("dtype", "is_tensor", "ndim", "shape", "size")}


def closed_functions():
    """The public functions that hand no further arguments on, by name."""
    for name, value in docstrings.public().items():
        if inspect.isfunction(value) and not name.startswith(BARE) and name not in OF_ONE_TENSOR:
            kinds = [p.kind for p in inspect.signature(value).parameters.values()]
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                yield name, value


def test_every_public_function_answers_a_misspelt_argument_with_a_hint():
    functions = dict(closed_functions())
    assert len(functions) > 500
    bare = []
    for name, function in functions.items():
        try:
            function(misspeltt=1)
        except TypeError as error:
            if "misspeltt" not in str(error) or not fastnn.errors.hint_of(error):
                bare.append(f"{name}: {error}")
        else:
            bare.append(f"{name} takes it")
    assert not bare, "\n".join(bare)


def test_the_format_that_is_asked_for_is_the_one_of_the_ending(tmp_path):
    with pytest.raises(ValueError, match="the ending of the name chooses"):
        model().save(tmp_path / "m", save_format="h5")
    model().save(tmp_path / "m.keras", save_format="keras")


@pytest.mark.parametrize("ending", ["safetensors", "keras", "h5"])
def test_a_file_without_the_optimizer_holds_weights_alone(ending, tmp_path):
    if ending != "safetensors":
        pytest.importorskip("h5py")
    made = model()
    made.compile("adam", "mse")
    made.fit(X, np.ones(2), verbose=0)
    made.save(tmp_path / f"whole.{ending}")
    made.save(tmp_path / f"bare.{ending}", include_optimizer=False)
    whole = K.models.load_model(tmp_path / f"whole.{ending}")
    bare = K.models.load_model(tmp_path / f"bare.{ending}")
    assert whole.compiled
    assert int(whole.optimizer.iterations.numpy()) == 1
    assert not bare.compiled
    for a, b in zip(made.get_weights(), bare.get_weights(), strict=True):
        assert np.array_equal(a, b)
    sizes = [(tmp_path / f"{name}.{ending}").stat().st_size for name in ("bare", "whole")]
    assert sizes[0] < sizes[1]


@pytest.mark.parametrize("ending", ["weights.h5", "keras", "safetensors"])
def test_weights_by_name_are_refused_where_the_file_pairs_by_order(ending, tmp_path):
    if ending != "safetensors":
        pytest.importorskip("h5py")
    save = model().save_weights if ending == "weights.h5" else model().save
    save(tmp_path / f"m.{ending}")
    with pytest.raises(ValueError, match="skip_mismatch=True"):
        model().load_weights(tmp_path / f"m.{ending}", by_name=True)


def named(*layers):
    made = K.Sequential([K.Input((2,))])
    for name, units in layers:
        made.add(K.layers.Dense(units, name=name))
    return made


def test_weights_of_older_files_go_by_name_to_other_models(tmp_path):
    pytest.importorskip("h5py")
    first = named(("body", 3), ("head", 2))
    first.save(tmp_path / "m.h5")
    other = named(("new", 2), ("body", 3), ("tail", 1))
    before = other.get_weights()
    assert np.shape(before[2]) == (2, 3)
    other.load_weights(tmp_path / "m.h5", by_name=True)
    after = other.get_weights()
    assert np.array_equal(after[2], first.layers[0].get_weights()[0])
    for i in (0, 1, 4, 5):
        assert np.array_equal(after[i], before[i])
    with pytest.raises(ValueError, match="head/kernel' has shape"):
        named(("body", 3), ("head", 4)).load_weights(tmp_path / "m.h5", by_name=True)
    wide = named(("body", 3), ("head", 4))
    with pytest.warns(UserWarning, match="head"):
        wide.load_weights(tmp_path / "m.h5", skip_mismatch=True, by_name=True)
    assert np.array_equal(wide.get_weights()[0], first.get_weights()[0])
    with pytest.warns(UserWarning, match="no layer of the model has a name of the file's"):
        named(("a", 3)).load_weights(tmp_path / "m.h5", by_name=True)


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
