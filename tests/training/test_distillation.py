"""`distillation`: a student learns from labels and from a teacher."""

import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import layers, losses, models
from fastnn.distillation import (
    DistillationLoss,
    Distiller,
    FeatureDistillation,
    LogitsDistillation,
)

T = np.random.default_rng(0).normal(size=(6, 4))
S = np.random.default_rng(1).normal(size=(6, 4))


def soft(x, temperature):
    e = np.exp(x / temperature)
    return e / e.sum(-1, keepdims=True)


def pair(names=("h", "g")):
    fastnn.utils.set_random_seed(3)
    return [
        fastnn.Sequential([
            fastnn.Input((5,)), layers.Dense(8, activation="tanh", name=name), layers.Dense(4),
        ])
        for name in names
    ]  # fmt: skip


@pytest.mark.parametrize("loss", ["kl_divergence", losses.KLDivergence(), losses.kl_divergence])
def test_softened_outputs_are_compared_by_kl_however_it_is_named(loss):
    p, q = soft(T, 2.5), soft(S, 2.5)
    wanted = (p * np.log(p / q)).sum(-1).mean() * 2.5**2
    found = LogitsDistillation(2.5, loss).compute_loss(T, S)
    assert float(found) == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", losses.CategoricalCrossentropy(from_logits=True)]
)
def test_cross_entropy_is_of_probabilities(loss):
    wanted = -(soft(T, 2.0) * np.log(soft(S, 2.0))).sum(-1).mean()
    found = LogitsDistillation(2.0, loss).compute_loss(T, S)
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_other_losses_and_several_outputs():
    mse = ((T - S) ** 2).mean()
    assert float(LogitsDistillation(2.0, "mse").compute_loss(T, S)) == pytest.approx(
        mse / 4, rel=1e-4
    )
    several = LogitsDistillation(1.0, ["mse", None])
    assert float(several.compute_loss([T, T], [S, 5 * S])) == pytest.approx(mse, rel=1e-4)
    both = FeatureDistillation({"a": "mae", "b": "mse"})
    wanted = np.abs(T - S).mean() + mse
    found = both.compute_loss({"a": T, "b": T}, {"a": S, "b": S})
    assert float(found) == pytest.approx(wanted, rel=1e-4)


def test_the_student_learns_and_the_teacher_stays(rng):
    teacher, student = pair()
    x, y = rng.normal(size=(32, 5)).astype("f"), rng.integers(0, 4, 32)
    weights = np.linspace(0.5, 1.5, 32)
    terms = [LogitsDistillation(2.0), FeatureDistillation("mse", "h", "g")]
    distiller = Distiller(teacher, student, terms, [1.0, 0.25], student_loss_weight=0.3)
    label = losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(fastnn.optimizers.SGD(0.1), label, metrics=["accuracy"])
    before = teacher.get_weights()
    t, s = (m.predict(x, verbose=0).astype(float) for m in (teacher, student))
    th, sh = (
        models.Model(m.inputs, m.layers[0].output).predict(x, verbose=0).astype(float)
        for m in (teacher, student)
    )
    p, q = soft(t, 2.0), soft(s, 2.0)
    apart = 4 * (p * np.log(p / q)).sum(-1).mean() + 0.25 * ((th - sh) ** 2).mean()
    labels = (-np.log(soft(s, 1.0)[np.arange(32), y]) * weights).mean()
    logs = distiller.evaluate(x, y, sample_weight=weights, return_dict=True, verbose=0)
    assert logs["distillation_loss"] == pytest.approx(apart, rel=1e-4)
    assert logs["student_loss"] == pytest.approx(labels, rel=1e-4)
    assert logs["total_loss"] == pytest.approx(0.3 * labels + 0.7 * apart, rel=1e-4)
    assert logs["loss"] == pytest.approx(logs["total_loss"])
    history = distiller.fit(x, y, epochs=20, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert set(history) == {"accuracy", "loss", "student_loss", "distillation_loss", "total_loss"}
    for a, b in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(
        distiller.predict(x, verbose=0), distiller.student.predict(x, verbose=0)
    )


def test_shares_of_0_and_1_leave_the_other_out(rng):
    x, y = rng.normal(size=(8, 5)).astype("f"), rng.integers(0, 4, 8)
    label = losses.SparseCategoricalCrossentropy(from_logits=True)
    for share, zero in ((0.0, "student_loss"), (1.0, "distillation_loss")):
        distiller = Distiller(*pair(), LogitsDistillation(), student_loss_weight=share)
        distiller.compile("sgd", label)
        logs = distiller.evaluate(x, y, return_dict=True, verbose=0)
        assert logs[zero] == 0.0
        assert logs["total_loss"] > 0.0


@pytest.mark.parametrize("name", ["d.keras", "d.safetensors"])
def test_a_distiller_comes_back_from_a_file_in_another_process(name, tmp_path, rng):
    x = rng.normal(size=(4, 5)).astype("f")
    terms = [LogitsDistillation(2.0), FeatureDistillation(losses.MeanSquaredError(), "h", "g")]
    distiller = Distiller(*pair(), terms, [1.0, 0.5], 0.25)
    distiller.compile("adam", "mse")
    distiller.save(tmp_path / name)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, fastnn\n"
        "model = fastnn.models.load_model(sys.argv[1])\n"
        "assert [type(t).__name__ for t in model.distillation_losses] == "
        "['LogitsDistillation', 'FeatureDistillation'], model.distillation_losses\n"
        "assert model.student_loss_weight == 0.25\n"
        "assert model.distillation_loss_weights == [1.0, 0.5]\n"
        "np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))\n"
    )
    files = [str(tmp_path / n) for n in (name, "x.npy", "y.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True)
    np.testing.assert_array_equal(np.load(files[2]), distiller.predict(x, verbose=0))


def test_what_does_not_fit_is_refused():
    teacher, student = pair()
    wide = fastnn.Sequential([fastnn.Input((5,)), layers.Dense(9)])
    good = LogitsDistillation()
    for says, arguments in (
        ("Student must be", (teacher, "student", good)),
        ("incompatible", (teacher, wide, good)),
        ("cannot be `None`", (teacher, student, None)),
        ("must match number", (teacher, student, [good, good], [1.0])),
        ("between 0.0 and 1.0", (teacher, student, good, None, 1.5)),
        ("no distillation loss", (teacher, student, ["mse"])),
        ("In teacher model", (teacher, student, FeatureDistillation("mse", "no", "g"))),
    ):
        with pytest.raises(ValueError, match=says):
            Distiller(*arguments)
    for says, settings in (
        ("must be positive", {"temperature": 0.0}), ("must be a number", {"temperature": "3"}),
        ("non-`None`", {"loss": [None, None]}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=says):
            LogitsDistillation(**settings)
    with pytest.raises(ValueError, match="nested differently"):
        good.validate_outputs(T, {"output": S})
    with pytest.raises(ValueError, match="cannot be `None`"):
        Distiller(teacher, student, good).compile("sgd")

    class Rows(DistillationLoss):
        def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
            return fastnn.ops.mean(teacher_outputs - student_outputs, axis=-1)

    distiller = Distiller(teacher, student, Rows())
    distiller.compile("sgd", "mse")
    with pytest.raises(ValueError, match="non-scalar"):
        distiller.fit(np.zeros((4, 5)), np.zeros((4, 4)), verbose=0)
