"""One trace of a step serves every size that inputs leave open, in training and prediction."""

import resource

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.errors import ShapeError
from fastnn.tracing.traces import Pattern
from fastnn.training.step import KEPT_STEPS

LENGTHS = (3, 7, 50)


class Counted(layers.Layer):
    """The input; `calls` says how often it was traced."""

    calls = 0

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, x):
        Counted.calls += 1
        return x * 1.0


@pytest.fixture
def traces():
    """How often the layer `Counted` was called since it was asked the last time."""

    def count():
        made, Counted.calls = Counted.calls, 0
        return made

    return count


def tagger(size=None, loss="sparse_categorical_crossentropy", **compiled):
    """A class of three for every step of four features."""
    fastnn.utils.set_random_seed(5)
    x = fastnn.Input((size, 4))
    h = layers.LayerNormalization()(layers.Dense(8, activation="tanh")(Counted()(x)))
    model = fastnn.Model(x, layers.Dense(3, activation="softmax")(h))
    model.compile(fastnn.optimizers.Adam(0.01), loss, **compiled)
    return model


def steps(rng, size, rows=4):
    return rng.normal(size=(rows, size, 4)).astype("f"), rng.integers(0, 3, (rows, size))


def test_one_trace_trains_evaluates_and_predicts_at_every_length(rng, traces):
    model = tagger(metrics=["accuracy"])
    traces()
    for size in LENGTHS:
        model.train_on_batch(*steps(rng, size))
    model.fit((steps(rng, size) for size in (4, 1, *LENGTHS, 9)), epochs=1, verbose=0)
    for size in LENGTHS:
        model.fit(*steps(rng, size, 10), batch_size=4, epochs=2, verbose=0)
    assert traces() == 1
    for size in LENGTHS:
        model.evaluate(*steps(rng, size, 10), batch_size=4, verbose=0)
        model.test_on_batch(*steps(rng, size))
    model.evaluate((steps(rng, size) for size in (4, *LENGTHS)), verbose=0)
    assert traces() == 1
    for size in LENGTHS:
        model.predict(steps(rng, size)[0], verbose=0)
        model.predict_on_batch(steps(rng, size)[0])
    assert traces() == 1
    assert len(model._step_programs) == 2


def test_weights_and_logs_are_those_of_the_models_built_for_each_length(rng):
    data = [steps(rng, size) for size in (3, 1, 7, 3, 50, 2)]
    weights = [rng.random(y.shape).astype("f") for _, y in data]
    model = tagger(metrics=["accuracy"], weighted_metrics=["accuracy"])
    state = None
    for (x, y), w in zip(data, weights, strict=True):
        fixed = tagger(x.shape[1], metrics=["accuracy"], weighted_metrics=["accuracy"])
        fixed.train_on_batch(x, y, sample_weight=w)  # makes the slots
        start = tagger() if state is None else None
        fixed.set_weights(start.get_weights() if start else state[0])
        for v, value in zip(fixed.optimizer.variables, state[1] if state else (), strict=False):
            v.assign(value)
        if state is None:
            for v in fixed.optimizer.variables[2:]:
                v.assign(np.zeros(v.shape))
            fixed.optimizer.iterations.assign(0)
        want = fixed.train_on_batch(x, y, sample_weight=w)
        got = model.train_on_batch(x, y, sample_weight=w)
        np.testing.assert_allclose(got, want, rtol=1e-5)
        state = fixed.get_weights(), [v.numpy() for v in fixed.optimizer.variables]
        for a, b in zip(model.get_weights(), state[0], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_masks_weights_and_classes_keep_one_trace(rng, traces):
    x = fastnn.Input((None,), dtype="int32")
    h = Counted()(layers.Embedding(10, 8, mask_zero=True)(x))
    model = fastnn.Model(x, layers.Dense(3, activation="softmax")(h))
    model.compile("adam", "sparse_categorical_crossentropy", weighted_metrics=["accuracy"])

    def batch(size, *weights):
        return rng.integers(0, 10, (4, size)), rng.integers(0, 3, (4, size)), *weights

    traces()
    model.fit((batch(n, rng.random((4, n))) for n in LENGTHS), verbose=0)
    assert traces() == 1
    model.fit((batch(n) for n in LENGTHS), class_weight={0: 1.0, 1: 2.0, 2: 0.5}, verbose=0)
    assert traces() == 0  # weights per step, as before
    model.fit((batch(n, rng.random(4)) for n in LENGTHS), verbose=0)
    assert traces() == 1
    one_hot = [(batch(n)[0], np.eye(3)[rng.integers(0, 3, (4, n))]) for n in LENGTHS]
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    for x, y in one_hot:
        model.train_on_batch(x, y)
    assert traces() == 1


def pair(joined):
    a, b = fastnn.Input((None, 4), name="a"), fastnn.Input((None, 4), name="b")
    x, y = Counted()(a), b
    x, y = (x, y) if joined else (ops.mean(x, axis=1), ops.mean(y, axis=1))
    model = fastnn.Model({"a": a, "b": b}, layers.Dense(1)(layers.Add(name="sum")([x, y])))
    model.compile("sgd", "mse")
    return model


def both(rng, first, second, *target):
    x = {"a": rng.normal(size=(4, first, 4)), "b": rng.normal(size=(4, second, 4))}
    return x, rng.normal(size=(4, *target, 1))


def test_inputs_have_lengths_of_their_own(rng, traces):
    model = pair(joined=False)
    traces()
    for first, second in ((3, 5), (5, 3), (7, 7), (1, 9)):
        model.train_on_batch(*both(rng, first, second))
    assert traces() == 1


def test_lengths_that_must_be_equal_are_told_apart_by_their_numbers(rng, traces):
    model = pair(joined=True)
    traces()
    for size in LENGTHS:
        model.train_on_batch(*both(rng, size, size, size))
    assert traces() == 1
    before = model.get_weights()
    for call in (model.train_on_batch, model.fit, model.evaluate):
        with pytest.raises(ShapeError, match=r"\(batch, 3, 4\) and \(batch, 5, 4\)"):
            call(*both(rng, 3, 5, 3))
    for a, b in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    traces()
    for size in (4, *LENGTHS):
        model.train_on_batch(*both(rng, size, size, size))
    assert traces() == 0


def test_targets_follow_what_the_layers_make_of_the_length(rng, traces):
    x = fastnn.Input((None, 4))
    y = layers.UpSampling1D(3)(layers.Cropping1D((1, 1))(Counted()(x)))
    model = fastnn.Model(x, layers.Dense(1)(y))
    model.compile("sgd", "mse", metrics=["mae"])
    traces()
    for size in LENGTHS:
        batch = rng.normal(size=(2, size, 4)), rng.normal(size=(2, 3 * (size - 2), 1))
        model.train_on_batch(*batch)
    assert traces() == 1
    with pytest.raises(ShapeError):
        model.train_on_batch(rng.normal(size=(2, 5, 4)), rng.normal(size=(2, 8, 1)))


def test_targets_may_have_a_length_of_their_own(rng, traces):
    x = fastnn.Input((None, 4))
    model = fastnn.Model(x, layers.Dense(1)(Counted()(x)))
    model.compile("sgd", lambda y, p: ops.square(ops.mean(p, axis=1) - ops.mean(y, axis=1)))
    traces()
    for size, other in ((3, 2), (7, 4), (50, 9), (9, 9), (6, 11), (2, 5)):
        x, y = rng.normal(size=(2, size, 4)), rng.normal(size=(2, other))
        p = model.predict(x, verbose=0)
        got = model.test_on_batch(x, y)
        assert got == pytest.approx(np.mean((p.mean(1) - y.mean(1)[:, None]) ** 2), rel=1e-4)
    assert traces() <= 2 + 1


def test_images_of_every_size_have_one_trace(rng, traces):
    x = fastnn.Input((None, None, 3))
    model = fastnn.Model(x, layers.Dense(2)(Counted()(layers.ZeroPadding2D(1)(x))))
    model.compile("sgd", "mse")
    traces()
    for h, w in ((2, 3), (5, 2), (1, 1), (8, 8)):
        model.train_on_batch(rng.normal(size=(2, h, w, 3)), rng.normal(size=(2, h + 2, w + 2, 2)))
    assert traces() == 1


class Own(fastnn.Model):
    """A model that says nothing of its inputs."""

    def __init__(self):
        super().__init__()
        self.first, self.rest = Counted(), layers.Dense(1)

    def call(self, x):
        return self.rest(self.first(x))


@pytest.mark.parametrize("make", [Own, lambda: fastnn.Sequential([Counted(), layers.Dense(1)])])
def test_models_without_input_open_the_axes_that_change(make, rng, traces):
    model = make()
    model.compile("sgd", "mse")
    for size in (3, 7):
        model.train_on_batch(rng.normal(size=(2, size, 4)), rng.normal(size=(2, size, 1)))
    for size in (50, 3, 9, 1):
        model.train_on_batch(rng.normal(size=(2, size, 4)), rng.normal(size=(2, size, 1)))
    assert len(model._step_programs) == 2
    with pytest.raises(ValueError, match="4"):
        model.train_on_batch(rng.normal(size=(2, 3, 5)), rng.normal(size=(2, 3, 1)))
    traces()
    model.train_on_batch(rng.normal(size=(2, 11, 4)), rng.normal(size=(2, 11, 1)))
    assert len(model._step_programs) == 2


@pytest.mark.parametrize("kind", ["mse", "binary_crossentropy", "sparse_categorical_crossentropy"])
@pytest.mark.parametrize("own", [False, True])
def test_targets_of_another_shape_are_refused_after_good_ones_too(kind, own, rng):
    """An axis that has another size than before is open, and no reason to stretch it."""
    classes = 3 if kind.startswith("sparse") else 1
    model = Own() if own else fastnn.Sequential([fastnn.Input((4,)), layers.Dense(1)])
    if own:
        model.rest = layers.Dense(classes)
    elif classes > 1:
        model.add(layers.Dense(classes))
    model.compile("sgd", kind)
    x = rng.normal(size=(8, 4))
    for _ in range(2):
        model.train_on_batch(x, np.zeros((8, 1)))
    before = model.get_weights()
    for call in (model.train_on_batch, model.evaluate, model.fit):
        with pytest.raises(ShapeError, match=r"y has shape \(.*, 4\)"):
            call(x, np.zeros((8, 4)))
    for a, b in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(a, b)
    model.train_on_batch(x, np.zeros((8, 1)))


def test_labels_outside_an_open_number_of_classes_are_seen(rng):
    x = fastnn.Input((None, 4))
    model = fastnn.Model(x, layers.Softmax()(ops.sum(layers.Dense(2)(x), axis=-1)))
    model.compile("sgd", "sparse_categorical_crossentropy")
    for size in (5, 3, 7):
        x = rng.normal(size=(2, size, 4))
        assert np.isfinite(model.train_on_batch(x, np.array([0, size - 1])))
        assert np.isnan(model.test_on_batch(x, np.array([0, size])))


# ---- sizes that are read as numbers --------------------------------------------------------------


def scaled(loss):
    x = fastnn.Input((None, 4))
    model = fastnn.Model(x, layers.Dense(1, kernel_initializer="ones")(Counted()(x)))
    model.compile(fastnn.optimizers.SGD(0.0), loss)
    return model


def by_number(y, p):
    return ops.sum(ops.square(y - p), axis=(1, 2)) / int(p.shape[1])


def by_range(y, p):
    return sum(ops.square(y[:, i] - p[:, i])[:, 0] for i in range(y.shape[1])) / p.shape[1]


def by_comparison(y, p):
    return ops.mean(ops.square(y - p), axis=(1, 2)) * (2.0 if p.shape[1] > 5 else 1.0)


def by_equality(y, p):
    return ops.mean(ops.square(y - p), axis=(1, 2)) * (2.0 if p.shape[1] == 7 else 1.0)


def by_value(y, p):
    return ops.mean(ops.square(y - p), axis=(1, 2)) * float(np.sqrt(float(p.shape[1])))


@pytest.mark.parametrize(
    ("loss", "factor", "most"),
    [
        (by_number, lambda n: 1.0, 4),
        (by_range, lambda n: 1.0, 4),
        (by_comparison, lambda n: 1.0 + (n > 5), 2),
        (by_equality, lambda n: 1.0 + (n == 7), 2),
        (by_value, lambda n: n**0.5, 4),
    ],
)  # fmt: skip
def test_a_size_that_is_read_as_a_number_has_the_one_of_the_data(loss, factor, most, rng, traces):
    model = scaled(loss)
    traces()
    for size in (3, 7, 50, 4, 7, 3, 50, 4):
        x, y = rng.normal(size=(2, size, 4)).astype("f"), rng.normal(size=(2, size, 1)).astype("f")
        want = np.mean((x.sum(-1, keepdims=True) - y) ** 2) * factor(size)
        assert model.train_on_batch(x, y) == pytest.approx(want, rel=1e-4)
    assert traces() == most


def test_a_step_that_must_know_its_sizes_is_traced_for_each(rng, traces):
    class Loop(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.first, self.rest = Counted(), layers.Dense(1)

        def call(self, x):
            return self.rest(ops.stack(ops.unstack(self.first(x), axis=1), axis=1))

    model = Loop()
    model.compile("sgd", "mse")
    for size in LENGTHS * 2:
        model.train_on_batch(rng.normal(size=(2, size, 4)), rng.normal(size=(2, size, 1)))
    assert traces() == len(LENGTHS) + 1  # and one try with an open size


def test_sizes_read_as_numbers_keep_a_bounded_number_of_traces(rng):
    model = scaled(by_number)
    for size in range(1, KEPT_STEPS + 10):
        model.train_on_batch(rng.normal(size=(2, size, 4)), rng.normal(size=(2, size, 1)))
    assert len(model._step_programs) == KEPT_STEPS


def test_a_file_holds_the_graph_of_every_length_whatever_training_read(rng, tmp_path):
    model = scaled(by_number)
    model.train_on_batch(rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3, 1)))
    model.save(tmp_path / "m.safetensors")
    core = fastnn._core.Model.load(str(tmp_path / "m.safetensors"))
    for size in (1, 3, 9):
        x = rng.normal(size=(2, size, 4)).astype("f")
        np.testing.assert_allclose(core.predict(x), x.sum(-1, keepdims=True), rtol=1e-5, atol=1e-5)


# ---- memory --------------------------------------------------------------------------------------


def test_hundreds_of_lengths_take_bounded_memory(rng):
    def resident():
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    model = tagger()
    for size in range(1, 120):
        model.train_on_batch(*steps(rng, size, 1))
    before = resident()
    for size in range(120, 420):
        model.train_on_batch(*steps(rng, size, 1))
    assert len(model._step_programs) == 1
    assert resident() - before < 24 * 2**20


def test_patterns_widen_to_the_axes_that_differ():
    a, b = np.zeros((2, 3, 4)), np.zeros((2, 3))
    narrow = Pattern.of([a, b])
    assert not narrow.is_open
    assert narrow.sizes([a, b]) == {}
    assert narrow.sizes([a[:, :2], b]) is None
    wide = narrow.widened([np.zeros((2, 7, 4)), np.zeros((2, 7))])
    assert wide.shapes[0][0] is wide.shapes[1][0] or str(wide.shapes[0][0]) == str(
        wide.shapes[1][0]
    )
    assert wide.shapes[0][1] == 4
    assert list(wide.sizes([a, b]).values()) == [3]
    assert wide.sizes([a, b[:, :2]]) is None
    wider = wide.widened([a, b[:, :2]])
    assert sorted(wider.sizes([a, b[:, :2]]).values()) == [2, 3]
    assert wide.sizes([a[:, :0], b[:, :0]]) is None  # a named size is 1 or more
