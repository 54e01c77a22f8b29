"""`model(x)` on a GPU: the outputs, losses and state of the CPU."""

import warnings

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.base import tree
from fastnn.devices.gpu import Gpu


@pytest.fixture
def submitted(gpu, monkeypatch):
    """Command buffers so far, as a list whose length counts them."""
    seen, submit = [], Gpu.submit
    monkeypatch.setattr(Gpu, "submit", lambda self, encode: seen.append(1) or submit(self, encode))
    return seen


def both(make, call):
    """What a call gives on a fresh model on each device."""
    results = []
    for device in ("cpu", "gpu"):
        fastnn.utils.set_random_seed(4)
        model = make()
        with fastnn.device(device):
            results.append((model, call(model)))
    return results


def same(mine, theirs):
    for a, b in zip(tree.flatten(mine), tree.flatten(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def normed():
    return fastnn.Sequential(
        [
            fastnn.Input((6,)), layers.Dense(8, "relu", activity_regularizer="l2"),
            layers.BatchNormalization(), layers.Dropout(0.4), layers.Dense(3),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("training", [None, False, True])
def test_a_call_gives_what_the_cpu_gives(submitted, rng, training):
    x = rng.normal(size=(9, 6)).astype("f")

    def call(model):
        outs = [model(x, training=training).numpy() for _ in range(3)]
        return outs, [float(v) for v in model.losses], model.get_weights()

    (_, wanted), (_, got) = both(normed, call)
    assert submitted
    assert len(got[1]) == 1
    for mine, theirs in zip(got, wanted, strict=True):
        same(mine, theirs)


def two_inputs():
    a, b = fastnn.Input((4,), name="a"), fastnn.Input((5,), dtype="int32", name="b")
    e = layers.Embedding(9, 3, mask_zero=True)(b)
    h = layers.Concatenate()([layers.Dense(4)(a), layers.GRU(3)(e)])
    return fastnn.Model({"a": a, "b": b}, {"h": h, "out": [layers.Dense(2)(h)]})


def test_nested_inputs_and_outputs_and_masks(submitted, rng):
    x = {"a": rng.normal(size=(3, 4)).astype("f"), "b": rng.integers(0, 9, (3, 5))}
    (_, wanted), (_, got) = both(two_inputs, lambda m: m(x))
    assert submitted
    assert got.keys() == wanted.keys()
    same(got, wanted)


class Counting(fastnn.Model):
    def __init__(self):
        super().__init__()
        self.dense, self.calls = layers.Dense(3), 0

    def call(self, inputs, scale=1.0):
        self.calls += 1
        return self.dense(inputs) * scale * float(self.calls)


def test_code_of_ones_own_acts_at_every_call(submitted, rng):
    x = rng.normal(size=(2, 6)).astype("f")
    (_, wanted), (model, got) = both(
        Counting, lambda m: [m(x), m(x), m(x, scale=0.5), m(x), m(x + 1.0)]
    )
    assert submitted
    assert model.calls == 5
    same(got, wanted)


class Deciding(fastnn.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(3)

    def call(self, inputs):
        y = self.dense(inputs)
        return y * 2.0 if float(ops.sum(y)) > 0 else -y


def test_a_model_that_reads_values_is_called_on_the_cpu_and_says_so(gpu, rng):
    x = rng.normal(size=(2, 6)).astype("f")
    model = Deciding()
    wanted = model(x)
    with fastnn.device("gpu"), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        got = [model(x) for _ in range(2)][1]
    assert len([w for w in said if "called on the CPU" in str(w.message)]) == 1
    np.testing.assert_array_equal(got, wanted)


def test_calls_inside_tapes_and_traces_belong_to_those(gpu, rng):
    x = rng.normal(size=(2, 6)).astype("f")
    model = normed()
    with fastnn.device("gpu"):
        with fastnn.GradientTape() as tape:
            loss = ops.sum(model(x))
        assert tape.gradient(loss, model.trainable_variables)[0] is not None
        total = fastnn.jit(lambda x: ops.sum(model(x)))(x)
        symbolic = model(fastnn.Input((6,)))
    assert symbolic.shape == (None, 3)
    np.testing.assert_allclose(total, loss, rtol=1e-4)


def test_weights_set_between_calls_count_and_copies_are_made(gpu, rng):
    x = rng.normal(size=(2, 6)).astype("f")
    model = normed()
    with fastnn.device("gpu"):
        first = model(x)
        model.set_weights([2.0 * w for w in model.get_weights()])
        second = model(x)
        model.layers[0].activation = ops.tanh
        third = model(x)
    assert not np.allclose(first, second)
    assert not np.allclose(third, second)
    np.testing.assert_allclose(third, model(x), rtol=1e-4, atol=1e-5)
    import copy
    import pickle

    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_allclose(other(x), third, rtol=1e-4, atol=1e-5)


def test_an_op_without_a_kernel_is_refused_by_name(gpu, monkeypatch, rng):
    from fastnn import _core

    def refuse(*_):
        raise _core.DeviceError("the op 'odd' has no kernel for devices\n  hint: device='cpu'")

    model = normed()
    monkeypatch.setattr(_core, "gpu_program", refuse)
    with fastnn.device("gpu"), pytest.raises(fastnn.errors.DeviceError, match="odd"):
        model(rng.normal(size=(2, 6)).astype("f"))


def test_a_summary_says_what_a_device_needs(gpu):
    from fastnn.devices.functions import OnDevice

    model = normed()
    lines = []
    model.summary(device="gpu", print_fn=lines.append)
    assert "Memory on gpu:0" in lines[0]
    assert "predict:" in lines[0]
    assert "fit:" not in lines[0]
    model.compile("adam", fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    lines.clear()
    model.summary(device="gpu", print_fn=lines.append)
    assert "fit:" in lines[0]
    function, _ = model._predict_function(np.zeros((32, 6), "f"))
    planned = OnDevice(function, "gpu:0").program([(32, 6)])
    from fastnn.devices.memory import needs

    assert needs(planned) in lines[0]
    with pytest.raises(ValueError, match=r"device is 'cpu'.*\n  hint: device='gpu'"):
        model.summary(device="cpu")
    with pytest.raises(ValueError, match=r"no known inputs.*\n  hint"):
        built().summary(device="gpu")


def built():
    model = Counting()
    model(np.zeros((1, 6), "f"))
    return model
