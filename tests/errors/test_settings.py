"""Settings may come as NumPy scalars, arrays of no axes, fractions or decimals, and are kept as
Python's own numbers, everywhere alike."""

import decimal
import fractions
import inspect
import json

import numpy as np
import pytest

import fastnn
from fastnn import (
    callbacks,
    constraints,
    initializers,
    keras as K,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    regularizers,
)
from fastnn.optimizers import schedules

#: What a class cannot be made without.
NEEDED = {
    "Activation": {"activation": "relu"}, "Cropping1D": {}, "Dense": {"units": 3},
    "Dot": {"axes": 1}, "Dropout": {"rate": 0.25}, "Embedding": {"input_dim": 3, "output_dim": 2},
    "GaussianDropout": {"rate": 0.25}, "GaussianNoise": {"stddev": 0.5},
    "AlphaDropout": {"rate": 0.25}, "SpatialDropout1D": {"rate": 0.25},
    "SpatialDropout2D": {"rate": 0.25}, "SpatialDropout3D": {"rate": 0.25},
    "Permute": {"dims": (2, 1)}, "RepeatVector": {"n": 3}, "Reshape": {"target_shape": (3, 1)},
    "Rescaling": {"scale": 0.5}, "InputLayer": {"shape": (3,)}, "MeanIoU": {"num_classes": 3},
    "OneHotMeanIoU": {"num_classes": 3}, "IoU": {"num_classes": 3, "target_class_ids": (0, 1)},
    "OneHotIoU": {"num_classes": 3, "target_class_ids": (0, 1)},
    "SensitivityAtSpecificity": {"specificity": 0.5}, "PrecisionAtRecall": {"recall": 0.5},
    "SpecificityAtSensitivity": {"sensitivity": 0.5}, "RecallAtPrecision": {"precision": 0.5},
    "ExponentialDecay": {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.5},
    "InverseTimeDecay": {"initial_learning_rate": 0.5, "decay_steps": 10, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [1, 2], "values": [0.5, 0.25, 0.125]},
    "PolynomialDecay": {"initial_learning_rate": 0.5, "decay_steps": 10},
    "CosineDecay": {"initial_learning_rate": 0.5, "decay_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.5, "first_decay_steps": 10},
}  # fmt: skip
MODULES = (layers, losses, metrics, optimizers, schedules, initializers, regularizers, constraints)
FORMS = {
    "NumPy scalars": lambda v: np.float64(v) if isinstance(v, float) else np.int64(v),
    "arrays of no axes": lambda v: np.array(v),
    "NumPy's short types": lambda v: np.float32(v) if isinstance(v, float) else np.int16(v),
}


def numbered(value, form):
    if isinstance(value, list | tuple):
        return type(value)(numbered(v, form) for v in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return FORMS[form](value)


def made():
    """Every public class with its settings: what it needs, and its defaults that are numbers."""
    for module in MODULES:
        for name in sorted(module.__all__):
            cls = getattr(module, name)
            if not inspect.isclass(cls) or not hasattr(cls, "get_config"):
                continue
            settings = dict(NEEDED.get(name, {}))
            for p in inspect.signature(cls.__init__).parameters.values():
                if p.default is inspect.Parameter.empty or p.name in settings:
                    continue
                if isinstance(p.default, int | float | tuple) and not isinstance(p.default, bool):
                    settings[p.name] = p.default
            try:
                cls(**settings)
            except (TypeError, ValueError, NotImplementedError):
                continue  # abstract, or it wants an object
            yield pytest.param(cls, settings, id=f"{module.__name__.split('.')[-1]}.{name}")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("cls", "settings"), [*made()])
def test_a_class_takes_numbers_in_every_form_and_keeps_pythons_own(cls, settings, form):
    given = {k: numbered(v, form) for k, v in settings.items()}

    def config(settings):
        found = cls(**settings).get_config()
        return {k: v for k, v in found.items() if k not in ("name", "seed")}

    got = config(given)
    json.dumps(got)
    assert json.dumps(got) == pytest.approx(json.dumps(config(settings))) or all(
        np.allclose(got[k], v) for k, v in config(settings).items() if isinstance(v, float)
    )


def test_most_classes_are_looked_at():
    assert len([*made()]) > 120


def test_fractions_and_decimals_are_rates():
    for value in (fractions.Fraction(1, 4), decimal.Decimal("0.25"), np.float16(0.25)):
        assert layers.Dropout(value).get_config()["rate"] == 0.25
        assert float(optimizers.SGD(value).learning_rate) == 0.25


X, Y = np.zeros((8, 3), "float32"), np.zeros(8, "float32")
ONE = [np.int64(1), np.array(1), np.uint8(1)]


def model():
    made = K.Sequential([K.Input((3,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


@pytest.mark.parametrize("one", ONE, ids=str)
def test_training_takes_counts_in_every_form(one):
    quarter = np.float32(0.25)
    history = model().fit(
        X, Y, batch_size=one * 4, epochs=one, initial_epoch=one - one, validation_split=quarter,
        validation_freq=one, validation_batch_size=one, verbose=0,
    )  # fmt: skip
    assert history.epoch == [0]
    assert "val_loss" in history.history
    model().fit(X, Y, steps_per_epoch=one, epochs=one, verbose=one - one, validation_steps=one,
                validation_data=(X, Y))  # fmt: skip
    model().predict(X, batch_size=one, steps=one, verbose=0)
    model().evaluate(X, Y, batch_size=one, steps=one, verbose=0)
    model().compile("sgd", "mse", loss_weights=[np.float32(0.5)], steps_per_execution=one)


@pytest.mark.parametrize("one", ONE, ids=str)
def test_callbacks_take_counts_in_every_form(one, tmp_path):
    half = np.float32(0.5)
    model().fit(
        X, Y, verbose=0, validation_data=(X, Y), callbacks=[
            callbacks.EarlyStopping(patience=one, min_delta=half, baseline=half),
            callbacks.ReduceLROnPlateau(factor=half, patience=one, cooldown=one, min_lr=half),
            callbacks.ModelCheckpoint(tmp_path / "m.safetensors", save_freq=one),
            callbacks.BackupAndRestore(tmp_path / "b", save_freq=one),
            callbacks.LearningRateScheduler(lambda epoch: half),
        ],
    )  # fmt: skip
    assert (tmp_path / "m.safetensors").exists()


def test_a_trained_model_with_numpy_settings_is_saved_and_copied(tmp_path):
    made = K.Sequential([
        K.Input((np.int64(3),)), layers.Dense(np.int64(4)), layers.Dropout(np.float32(0.5)),
        layers.BatchNormalization(axis=np.int64(1), momentum=np.float32(0.9)),
        layers.Reshape(np.array([2, 2])), layers.Flatten(), layers.Dense(np.array(1)),
    ])  # fmt: skip
    made.compile(
        optimizers.AdamW(
            np.float32(0.01), weight_decay=np.float32(0.01), beta_1=np.float64(0.8),
            global_clipnorm=np.float32(1), ema_overwrite_frequency=np.int64(2), use_ema=True,
        ),
        losses.Huber(delta=np.float32(1)), metrics=[metrics.TopKCategoricalAccuracy(k=np.int64(1))],
    )  # fmt: skip
    made.fit(X, np.ones((len(X), 1)), verbose=0)
    for file in ("m.safetensors", "m.keras"):
        made.save(tmp_path / file)
        again = K.models.load_model(tmp_path / file)
        np.testing.assert_array_equal(again.predict(X, verbose=0), made.predict(X, verbose=0))
    json.loads(made.to_json())


@pytest.mark.parametrize("one", ONE, ids=str)
def test_functions_take_axes_shapes_and_seeds_in_every_form(one):
    x = fastnn.tensor(np.arange(6.0, dtype="float32").reshape(2, 3))
    for f in (ops.sum, ops.mean, ops.max, ops.argmax, ops.softmax, ops.cumsum, ops.var, ops.norm,
              ops.expand_dims, ops.log_softmax):  # fmt: skip
        np.testing.assert_array_equal(np.asarray(f(x, axis=one)), np.asarray(f(x, axis=1)))
    np.testing.assert_array_equal(np.asarray(ops.sum(x, axis=(one - one, one))), 15)
    assert ops.reshape(x, (one * 3, one * 2)).shape == (3, 2)
    assert ops.reshape(x, np.array([3, 2])).shape == (3, 2)
    assert ops.zeros((one, one)).shape == ops.ones((one, 1)).shape == (1, 1)
    assert ops.concatenate([x, x], axis=one).shape == (2, 6)
    assert ops.stack([x, x], axis=one).shape == (2, 2, 3)
    assert ops.transpose(x, (one, one - one)).shape == (3, 2)
    assert ops.repeat(x, one * 2, axis=one).shape == (2, 6)
    assert ops.one_hot([0, 1], one * 3).shape == (2, 3)
    assert ops.squeeze(ops.reshape(x, (6, 1)), axis=one).shape == (6,)
    K.utils.set_random_seed(one)
    a = np.asarray(fastnn.random.normal((one, 3), seed=one))
    np.testing.assert_array_equal(a, np.asarray(fastnn.random.normal((1, 3), seed=1)))
    assert K.utils.to_categorical([0, 1], one * 2).shape == (2, 2)
    assert K.utils.pad_sequences([[1], [1, 2]], maxlen=one * 3).shape == (2, 3)
    assert layers.Dot(axes=one)([K.Input((3,))] * 2).shape == (None, 1)
    weight = layers.Dense(1).add_weight(shape=(one, one * 2))
    assert weight.shape == (1, 2)


@pytest.mark.parametrize(
    ("made", "name", "value"),
    [
        (lambda: K.optimizers.Adam(), "amsgrad", True),
        (lambda: K.optimizers.Adam(amsgrad=True), "amsgrad", False),
        (lambda: K.optimizers.SGD(), "momentum", 0.9),
        (lambda: K.optimizers.SGD(momentum=0.9), "momentum", 0.0),
        (lambda: K.optimizers.RMSprop(), "centered", True),
        (lambda: K.optimizers.Adam(), "use_ema", True),
        (lambda: K.optimizers.Adam(), "gradient_accumulation_steps", 2),
    ],
)
def test_a_setting_that_needs_other_state_is_refused_once_the_optimizer_is_built(made, name, value):
    model = K.Sequential([K.Input((2,)), K.layers.Dense(1)])
    optimizer = made()
    before = getattr(optimizer, name)
    model.compile(optimizer, "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    with pytest.raises(ValueError, match=f"{name} cannot become {value!r}.*\n  hint: compile with"):
        setattr(optimizer, name, value)
    assert getattr(optimizer, name) == before
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    optimizer.clipnorm = 1.0
    optimizer.learning_rate = 0.5
    with pytest.raises(ValueError, match="hint:"):
        optimizer.learning_rate = "fast"
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
