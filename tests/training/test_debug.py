"""The tools of `fastnn.debug` name the place and leave the model alone."""

import doctest

import numpy as np
import pytest

import fastnn
from fastnn import debug, layers, ops


def classifier() -> fastnn.Model:
    """A model with dropout and batch statistics, whose state a training call would change."""
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)),
            layers.Dense(5, activation="relu", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(3, name="out"),
        ],
        name="m",
    )
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss)
    return model


def state(model: fastnn.Model) -> list[bytes]:
    drop = model.get_layer("drop").seed_generator.state
    return [v.numpy().tobytes() for v in [*model.variables, drop]]


def batch(rng):
    return rng.normal(size=(8, 4)).astype("float32"), np.arange(8) % 3


def test_the_examples_of_the_docstrings_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # they write files where they stand
    assert doctest.testmod(debug, extraglobs={"fastnn": fastnn}).failed == 0


def test_a_healthy_model_gives_none_and_keeps_its_state(rng):
    model, (x, y) = classifier(), batch(rng)
    model.fit(x, y, verbose=0)
    before = state(model)
    assert debug.find_nan(model, x) is None
    assert debug.find_nan(model, x, y, sample_weight=np.ones(8), training=True) is None
    debug.layer_outputs(model, x, training=True)
    debug.show_graph(model, x, training=True)
    assert state(model) == before


def test_the_input_is_named_first(rng):
    model, (x, y) = classifier(), batch(rng)
    x[2, 1] = np.nan
    found = debug.find_nan(model, x, y)
    assert (found.what, found.where, found.index, found.count) == ("input", "0", (2, 1), 1)
    assert "hint:" in str(found)


def test_a_weight_that_diverged_is_named(rng):
    model, (x, _) = classifier(), batch(rng)
    model.get_layer("out").bias.assign([0.0, np.inf, 0.0])
    found = debug.find_nan(model, x)
    assert (found.what, found.where, found.value) == ("weight", "m/out/bias", np.inf)


def test_the_first_layer_is_named_not_those_behind_it(rng):
    inputs = fastnn.Input((4,))
    h = layers.Dense(4, name="before")(inputs)
    h = layers.Lambda(lambda t: ops.log(ops.relu(t) * 0.0), name="log")(h)
    model = fastnn.Model(inputs, layers.Dense(2, name="behind")(h), name="m")
    found = debug.find_nan(model, batch(rng)[0])
    assert (found.what, found.where, found.count) == ("layer output", "m/log", 32)


def test_a_layer_inside_a_model_inside_a_model_is_named_by_its_path(rng):
    inner = fastnn.Sequential([layers.Lambda(lambda t: t / 0.0, name="half")], name="inner")
    model = fastnn.Sequential([fastnn.Input((4,)), inner], name="outer")
    assert debug.find_nan(model, batch(rng)[0]).where == "outer/inner/half"


def test_what_arises_between_layers_is_told_from_what_layers_give(rng):
    class Between(fastnn.Model):
        def __init__(self):
            super().__init__(name="between")
            self.dense = layers.Dense(3, name="dense")

        def call(self, x):
            return self.dense(ops.sqrt(-ops.abs(x) - 1.0))

    found = debug.find_nan(Between(), batch(rng)[0])
    assert (found.what, found.where) == ("layer input", "between/dense")


def test_loss_and_gradient_are_looked_at_when_labels_are_given(rng):
    x, _ = batch(rng)
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(1, name="out")], name="m")
    model.compile("sgd", lambda y, p: ops.mean(ops.log(y * 0.0)) + ops.mean(p))
    assert debug.find_nan(model, x) is None
    assert debug.find_nan(model, x, np.ones((8, 1))).what == "loss"
    model.compile("sgd", lambda y, p: ops.sqrt(ops.mean(ops.square(p)) * 0.0))
    found = debug.find_nan(model, x, np.ones((8, 1)))
    assert (found.what, found.where) == ("gradient", "m/out/kernel")


def test_a_layer_that_reads_values_can_be_looked_at_but_has_no_graph(rng):
    class Reader(layers.Layer):
        def call(self, x):
            return x * (2.0 if float(ops.sum(x)) > 1e30 else np.nan)

    class Eager(fastnn.Model):
        def __init__(self):
            super().__init__(name="m")
            self.reader = Reader(name="reader")

        def call(self, x):
            return self.reader(x)

    model = Eager()
    found = debug.find_nan(model, batch(rng)[0])
    assert (found.what, found.where) == ("layer output", "m/reader")
    with pytest.raises(fastnn.TraceError, match="hint:"):
        debug.show_graph(model, batch(rng)[0])


def test_several_inputs_come_as_a_dict_and_lists_of_numbers_are_taken():
    a, b = fastnn.Input((2,), name="a"), fastnn.Input((2,), name="b")
    model = fastnn.Model({"a": a, "b": b}, layers.Add(name="sum")([a, b]), name="m")
    given = debug.layer_outputs(model, {"a": np.ones((3, 2)), "b": np.ones((3, 2))})
    assert [(g.path, g.shape) for g in given] == [("m/sum", (3, 2)), ("m", (3, 2))]
    assert given[0].values.tolist() == [[2.0, 2.0]] * 3
    plain = fastnn.Sequential([fastnn.Input((2,)), layers.ReLU()])
    assert debug.find_nan(plain, [[1.0, float("nan")]]).what == "input"


def test_every_op_of_the_graph_carries_its_layer(rng):
    model, (x, _) = classifier(), batch(rng)
    lines = debug.show_graph(model, x).splitlines()
    assert all("  # " in line for line in lines if "scalar(" not in line)
    owners = {line.split(" = ")[1].split("(")[0]: line.split("  # ")[1] for line in lines[1:]}
    assert owners["relu"] == "m/hidden (Dense)"
    assert lines[0].endswith("# input 0")
    weights = {line.split("  # ")[1] for line in lines if " = input()" in line}
    assert {"m/out/kernel", "m/norm/gamma"} <= weights


def test_what_is_no_model_is_refused_with_a_hint():
    with pytest.raises(fastnn.DataError, match="hint:"):
        debug.find_nan(np.ones(3), np.ones(3))
