"""Adafactor, Muon and schedule-free AdamW: Keras's numbers, state, files and settings."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, optimizers

# Losses of three epochs and sums of the weights after them, of Keras 3.15.1 on JAX.
KERAS = {
    "adafactor": (
        lambda: optimizers.Adafactor(0.05),
        [1.4237, 1.129, 0.9733], [0.41, -2.209, -0.819, 0.105, -0.202, -0.417],
    ),
    "adafactor by a schedule": (
        lambda: optimizers.Adafactor(
            optimizers.schedules.ExponentialDecay(0.05, 3, 0.9), relative_step=False,
            weight_decay=0.1,
        ),
        [1.4184, 1.1383, 1.0036], [0.31, -2.031, -0.736, 0.097, -0.221, -0.428],
    ),
    "muon": (lambda: optimizers.Muon(0.02),
        [1.4305, 1.169, 1.0042], [0.19, -2.486, -0.991, 0.11, -0.287, -0.403]),
    "muon but for a layer": (
        lambda: optimizers.Muon(
            0.02, exclude_layers=["head"], nesterov=False, rms_rate=None, adam_lr_ratio=0.5,
            weight_decay=None,
        ),
        [1.4608, 1.2452, 1.0925], [0.363, -2.106, -0.786, 0.095, -0.277, -0.548],
    ),
    "schedule-free": (
        lambda: optimizers.ScheduleFreeAdamW(0.05),
        [1.4052, 0.9687, 0.8352], [0.841, -2.585, -0.968, 0.091, -0.243, -0.381],
    ),
    "schedule-free, warmed up": (
        lambda: optimizers.ScheduleFreeAdamW(0.05, warmup_steps=5, weight_decay=0.01),
        [1.4451, 1.1455, 0.9122], [0.93, -2.389, -0.939, 0.127, -0.179, -0.435],
    ),
}  # fmt: skip


def net():
    model = fastnn.Sequential([
        fastnn.Input((5,)), layers.Dense(8, activation="tanh"), layers.Reshape((2, 4)),
        layers.Conv1D(3, 2), layers.Flatten(), layers.Dense(2, name="head"),
    ])  # fmt: skip
    draw = np.random.default_rng(1)
    model.set_weights([draw.normal(size=w.shape) * 0.5 for w in model.get_weights()])
    return model


def data():
    draw = np.random.default_rng(0)
    return draw.normal(size=(32, 5)).astype("f4"), draw.normal(size=(32, 2)).astype("f4")


@pytest.mark.parametrize("name", KERAS)
def test_training_gives_kerass_losses_and_weights(name):
    make, losses, sums = KERAS[name]
    (x, y), model = data(), net()
    model.compile(make(), "mse")
    history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
    assert history.history["loss"] == pytest.approx(losses, abs=2e-4)
    assert [float(w.sum()) for w in model.get_weights()] == pytest.approx(sums, abs=2e-3)


@pytest.mark.parametrize("name", KERAS)
def test_a_saved_model_trains_on_as_the_one_that_was_saved(name, tmp_path):
    (x, y), model = data(), net()
    model.compile(KERAS[name][0](), "mse")
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    model.save(tmp_path / "m.safetensors")
    again = fastnn.load_model(tmp_path / "m.safetensors")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    for each in (model, again):
        each.fit(x, y, batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_adafactor_keeps_a_row_and_a_column_of_each_matrix():
    optimizer = optimizers.Adafactor()
    optimizer.build([fastnn.Variable(np.zeros((2, 3, 4))), fastnn.Variable(np.zeros(5))])
    shapes = [tuple(v.shape) for v in optimizer.variables]
    assert shapes == [(), (), (2, 3), (2, 4), (2, 3, 4), (), (), (5,)]


def test_muon_leaves_vectors_embeddings_and_named_layers_to_adamw():
    optimizer = optimizers.Muon(exclude_layers=["head"])
    paths = {"embedding/embeddings": (3, 2), "dense/kernel": (3, 2), "dense/bias": (2,),
             "head/kernel": (3, 2)}  # fmt: skip
    variables = []
    for path, shape in paths.items():
        variables.append(fastnn.Variable(np.zeros(shape)))
        variables[-1].path = path
    assert [len(optimizer.slots_of(v)) for v in variables] == [2, 1, 2, 2]


def test_the_rate_or_schedule_that_was_given_has_kerass_name_within():
    assert float(optimizers.Adam(0.5)._learning_rate) == 0.5
    schedule = optimizers.schedules.CosineDecay(0.1, 10)
    assert optimizers.Adam(schedule)._learning_rate is schedule


@pytest.mark.parametrize("shape", [(3,), (3, 2), (2, 3, 2)])
@pytest.mark.parametrize("name", ["Adafactor", "Muon", "ScheduleFreeAdamW"])
def test_gradients_that_accumulate_give_the_step_of_their_mean(name, shape, rng):
    grads = rng.normal(size=(2, 3, *shape)).astype("f")
    start = rng.normal(size=shape).astype("f")
    make = getattr(optimizers, name)
    whole, parts = make(0.1), make(0.1, gradient_accumulation_steps=3)
    one, three = fastnn.Variable(start), fastnn.Variable(start)
    for step in grads:
        whole.apply([step.mean(0)], [one])
        for g in step:
            parts.apply([g], [three])
    np.testing.assert_allclose(three.numpy(), one.numpy(), rtol=2e-5, atol=1e-6)
