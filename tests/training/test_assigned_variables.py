"""Variables that a step assigns: what reads them sees the value of its time, in every call."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.errors import TraceError

VIEWS = {
    "reshape": lambda x: ops.reshape(x, (3, 4)),
    "reshape, one size open": lambda x: ops.reshape(x, (-1, 3)),
    "same shape": lambda x: ops.reshape(x, (4, 3)),
    "ravel": ops.ravel,
    "expand_dims": lambda x: ops.expand_dims(x, 0),
    "squeeze": lambda x: ops.squeeze(ops.expand_dims(x, 1), 1),
    "stop_gradient": ops.stop_gradient,
    "transpose": ops.transpose,
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_of_a_variable_follows_the_variable(view):
    weight = fastnn.Variable(np.arange(1, 13, dtype=np.float32).reshape(4, 3))

    @fastnn.jit
    def normalise():
        total = ops.sum(view(weight.value))
        weight.assign(weight.value / total)
        return total

    np.testing.assert_allclose([float(normalise()) for _ in range(3)], [78, 1, 1], rtol=1e-6)


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_gradient_passes_a_view_of_a_weight(view):
    class Model(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.kernel = self.add_weight((4, 3), "ones")

        def call(self, x):
            return ops.sum(x) * 0.0 + ops.sum(view(self.kernel.value))

    model = Model()
    model.compile(fastnn.optimizers.SGD(0.5), lambda y, out: out)
    for _ in range(2):
        model.train_on_batch(np.ones((2, 1)), np.ones((2, 1)))
    wanted = 1.0 if view is ops.stop_gradient else 0.0
    np.testing.assert_array_equal(model.kernel.numpy(), np.full((4, 3), wanted, np.float32))


READS = {
    "float": lambda v: float(v),
    "float of an element": lambda v: float(v.value[0]),
    "numpy": lambda v: v.numpy(),
    "asarray": np.asarray,
    "a NumPy function": np.sum,
    "bool": lambda v: 1.0 if v else 2.0,
    "comparison": lambda v: 1.0 if v > 0 else 2.0,
    "convert_to_numpy": ops.convert_to_numpy,
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_reading_the_value_of_a_variable_in_a_trace_is_refused(read):
    weight = fastnn.Variable([1.0], name="scale")
    with pytest.raises(TraceError, match="no values yet"):
        fastnn.jit(lambda x: x * read(weight))(np.ones(2, np.float32))
    assert read(weight) == 1.0


class Pair(fastnn.Model):
    """Two networks, each with an optimiser; the second's loss reads the first, just trained."""

    def __init__(self):
        super().__init__()
        self.maker = fastnn.Sequential(
            [fastnn.Input((8,)), layers.Dense(4, "relu"), layers.Dense(2)]
        )
        self.judge = fastnn.Sequential([
            fastnn.Input((2,)), layers.Dense(4, "relu"), layers.Dense(4, "relu"), layers.Dense(1),
        ])  # fmt: skip

    def train_step(self, data):
        noise, real = data
        losses = {}
        with fastnn.GradientTape() as tape:
            yes, no = self.judge(real), self.judge(self.maker(noise))
            losses["judge"] = ops.mean(ops.softplus(-yes)) + ops.mean(ops.softplus(no))
        weights = self.judge.trainable_variables
        self.optimizers[0].apply(tape.gradient(losses["judge"], weights), weights)
        with fastnn.GradientTape() as tape:
            losses["maker"] = ops.mean(ops.softplus(-self.judge(self.maker(noise))))
        weights = self.maker.trainable_variables
        self.optimizers[1].apply(tape.gradient(losses["maker"], weights), weights)
        return losses


@pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop", "Adagrad", "Lion"])
def test_a_traced_step_of_two_optimisers_is_the_step_as_written(kind):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(32, 8)).astype(np.float32)
    real = rng.normal(size=(32, 2)).astype(np.float32)
    runs = []
    for eagerly in (False, True):
        fastnn.utils.set_random_seed(1)
        model = Pair()
        model.optimizers = [getattr(fastnn.optimizers, kind)(0.01) for _ in range(2)]
        model.compile(run_eagerly=eagerly)
        logs = [model.train_on_batch(noise, real, return_dict=True) for _ in range(4)]
        runs.append([logs[-1]["judge"], logs[-1]["maker"], *map(np.array, model.get_weights())])
    for traced, written in zip(*runs, strict=True):
        np.testing.assert_allclose(traced, written, rtol=2e-4, atol=2e-5)


def test_no_gradient_flows_through_an_assignment():
    weight, sink = fastnn.Variable([3.0]), fastnn.Variable([0.0])

    @fastnn.jit
    def through():
        with fastnn.GradientTape() as tape:
            sink.assign(weight.value * 2.0)
            y = ops.sum(sink.value * sink.value)
        return tape.gradient(y, [weight, sink], unconnected_gradients="zero")

    by_weight, by_sink = through()
    assert by_weight.numpy() == 0
    assert by_sink.numpy() == 12


def test_the_gradient_by_a_variable_is_that_of_all_its_values():
    weight = fastnn.Variable([3.0])

    def before_and_after():
        with fastnn.GradientTape() as tape:
            y = ops.sum(weight.value**2)
            weight.assign([5.0])
            y = y + ops.sum(weight.value**2)
        return tape.gradient(y, weight)

    assert float(before_and_after()[0]) == 16
    weight.assign([3.0])
    assert float(fastnn.jit(before_and_after)()[0]) == 16


def test_stateless_calls_pass_gradients_to_the_given_values():
    layer = layers.Dense(1, use_bias=False)
    layer.build((None, 2))
    x = np.array([[1.0, 2.0]], np.float32)

    def loss(kernel):
        out, _ = layer.stateless_call([kernel], [], x)
        return ops.sum(out)

    kernel = fastnn.ops.convert_to_tensor(np.ones((2, 1), np.float32))
    _, slope = fastnn.value_and_grad(loss)(kernel)
    np.testing.assert_array_equal(slope.numpy(), [[1], [2]])
