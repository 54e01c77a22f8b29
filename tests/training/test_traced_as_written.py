"""What a training step says is done the same way traced, run eagerly, and called as it is."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.errors import TraceError

X = np.random.default_rng(0).normal(size=(4, 3)).astype("f")


class Adding(layers.Layer):
    """Adds a loss that grows with the number of calls."""

    def __init__(self):
        super().__init__()
        self.times = self.add_weight((), "zeros", trainable=False)

    def call(self, inputs):
        self.times.assign_add(1.0)
        self.add_loss(ops.sum(inputs) * self.times.value)
        return inputs


class Step(fastnn.Model):
    """A model whose training step is a function of it and a batch."""

    def __init__(self, step):
        super().__init__()
        self.step = step
        self.weight = self.add_weight((3, 2), "ones")
        self.number = self.add_weight((), "zeros", trainable=False)
        self.narrow = self.add_weight((2,), "zeros", dtype="int8", trainable=False)
        self.adding, self.other = Adding(), Adding()

    def call(self, inputs):
        return inputs @ self.weight.value

    def train_step(self, data):
        found = self.step(self, data[0])
        return {str(at): x for at, x in enumerate(found if isinstance(found, tuple) else (found,))}


def runs(step, how, calls=3):
    """Logs and variables after each call."""
    model = Step(step)
    model.compile(fastnn.optimizers.SGD(0.1), run_eagerly=how == "eager")
    found = []
    for _ in range(calls):
        if how == "plain":
            logs = model.train_step((fastnn.tensor(X), None))
        else:
            logs = model.train_on_batch(X, X, return_dict=True)
        found.append([float(x) for x in logs.values()])
        found.append([v.numpy().astype("f").tolist() for v in model.variables])
    return [np.asarray(x) for part in found for x in part]


STEPS = {}


def step(f):
    STEPS[f.__name__] = f
    return f


def known(gradient):
    """The sum of a gradient, -1 for None."""
    return ops.convert_to_tensor(-1.0 if gradient is None else ops.sum(gradient))


@step
def computed_before_the_tape(model, x):
    hidden, first = x @ model.weight.value, model.weight.value
    with fastnn.GradientTape() as tape:
        loss = ops.sum(hidden * model.weight[0]) + ops.sum(first * model.weight)
    model.optimizer.apply([tape.gradient(loss, model.weight)], [model.weight])
    return loss


@step
def computed_after_the_tape(model, x):
    with fastnn.GradientTape() as tape:
        hidden = x @ model.weight.value
    return known(tape.gradient(ops.sum(hidden), model.weight))


@step
def computed_while_it_does_not_record(model, x):
    with fastnn.GradientTape() as tape:
        with tape.stop_recording():
            hidden = x @ model.weight.value
        loss = ops.sum(hidden * model.weight[0])
    return known(tape.gradient(loss, model.weight))


@step
def a_tensor_that_is_not_watched(model, x):
    with fastnn.GradientTape() as tape:
        loss = ops.sum((x @ model.weight.value) ** 2)
    return known(tape.gradient(loss, x))


@step
def a_frozen_variable(model, x):
    with fastnn.GradientTape() as tape:
        loss = ops.sum(x) * model.number.value
    return known(tape.gradient(loss, model.number))


@step
def a_tape_that_watches_what_it_is_told(model, x):
    with fastnn.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(model.number)
        loss = ops.sum(x @ model.weight.value) * (model.number + 1.0)
    return tuple(map(known, tape.gradient(loss, [model.weight, model.number])))


@step
def watched_variables_are_trained(model, x):
    with fastnn.GradientTape() as tape:
        loss = ops.sum((x @ model.weight.value) ** 2)
    model.optimizer.apply(tape.gradient(loss, tape.watched_variables()), tape.watched_variables())
    return loss


@step
def an_inner_tape_follows_its_own_block_only(model, x):
    with fastnn.GradientTape() as outer:
        before = model.weight.value * 2.0
        with fastnn.GradientTape() as tape:
            loss = ops.sum(before * model.weight.value**2)
        first = tape.gradient(loss, model.weight)
        size = ops.sum(first * first)
    return known(first), known(outer.gradient(size, model.weight))


@step
def a_function_of_a_value_that_it_also_reads(model, x):
    def f(value):
        return ops.sum(value * value) * model.weight[0, 0]

    value, slope = fastnn.value_and_grad(f)(model.weight.value)
    model.weight.assign_sub(0.001 * slope)
    return value, ops.sum(slope)


@step
def a_narrow_variable(model, x):
    model.narrow.assign(model.narrow.value + 1)
    return ops.cast(ops.sum(model.narrow), "float32")


@step
def losses_that_layers_added(model, x):
    model.adding(model.adding(x))
    model.adding(x)
    model.other(x)
    return sum(model.losses), sum(model.other.losses), model.compute_loss()


@step
def a_branch_that_assigns_and_adds_losses(model, x):
    model.other(x)

    def yes():
        model.number.assign_add(1.0)
        return ops.sum(model.adding(x))

    def no():
        model.weight.assign(model.weight * 0.5)
        model.number.assign_add(10.0)
        return model.number.value

    out = ops.cond(model.number.value < 1.5, yes, no)
    return out, model.number.value, sum(model.other.losses)


@step
def the_loss_of_a_branch(model, x):
    model.adding(x)
    ops.cond(ops.sum(model.number) < 1.5, lambda: model.adding(x), lambda: x + 1.0)
    ops.cond(ops.sum(model.number) > 1.5, lambda: model.other(x), lambda: x + 1.0)
    return model.compute_loss()


@step
def one_of_several_branches(model, x):
    def third():
        model.weight.assign(model.weight * 3.0)
        return model.number.value

    branches = [lambda: model.number.assign_add(1.0), lambda: model.number.assign_add(2.0), third]
    return ops.switch(ops.cast(model.number.value, "int32"), branches)


@step
def a_loop_that_assigns_and_ends_early(model, x):
    def goes_on(i):
        model.number.assign_add(100.0)
        return i < model.weight[0, 0] * 2.5

    def body(i):
        model.number.assign_add(1.0)
        return (i + 1.0,)

    (last,) = ops.while_loop(goes_on, body, (ops.convert_to_tensor(0.0),), maximum_iterations=9)
    return last, model.number.value


@step
def a_loop_that_assigns_a_weight_within_a_tape(model, x):
    with fastnn.GradientTape() as tape:

        def body(i, total):
            model.weight.assign(model.weight * 0.5 + total)
            return total + ops.sum(model.weight) * 0.01

        total = ops.fori_loop(0, 7, body, ops.mean(x) * 0.1)
        scanned, _ = ops.scan(lambda c, row: (body(0, c + row), c), total, ops.ones((6,)))
    return known(tape.gradient(scanned, model.weight)), scanned


@step
def values_read_within_the_tape(model, x):
    with fastnn.GradientTape() as tape:
        hidden = x @ model.weight.value
        loss = ops.sum(hidden**2)
        if not loss.is_traced:
            float(ops.sum(hidden)), float(loss)
    model.optimizer.apply([tape.gradient(loss, model.weight)], [model.weight])
    return loss


@step
def a_layer_called_with_values_of_another(model, x):
    model.weight.assign(model.weight * 2.0)

    class Reader(layers.Layer):
        def call(self, inputs):
            return inputs @ model.weight.value

    reader = Reader()
    reader.built = True
    return ops.sum(reader.stateless_call([], [], x)[0])


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", STEPS)
def test_a_step_does_the_same_traced_eagerly_and_plain(name):
    wanted = runs(STEPS[name], "plain", calls=1 if "loss" in name else 3)
    for how in ("traced", "eager"):
        for got, want in zip(runs(STEPS[name], how), wanted, strict=False):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=how)


def test_a_loss_of_an_earlier_step_does_not_come_back():
    traced, eager = (runs(the_loss_of_a_branch, how) for how in ("traced", "eager"))
    for got, want in zip(traced, eager, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)


READS = {
    "numpy": lambda model: float(model.number.numpy()),
    "asarray": lambda model: float(np.asarray(model.number)),
    "a NumPy function": lambda model: float(np.sum(model.number)),
    "convert_to_numpy": lambda model: float(ops.convert_to_numpy(model.number)),
    "get_weights": lambda model: float(model.get_weights()[1]),
    "predict": lambda model: float(model.predict(X, verbose=0)[0, 0]),
    "predict_on_batch": lambda model: float(model.predict_on_batch(X)[0, 0]),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_value_read_within_a_step_is_that_of_its_time_or_refused(read):
    def step(model, x):
        model.number.assign_add(1.0)
        model.weight.assign(model.weight * 2.0)
        return ops.convert_to_tensor(read(model))

    for got, want in zip(runs(step, "eager"), runs(step, "plain"), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5)
    with pytest.raises(TraceError):
        runs(step, "traced")


def test_a_second_gradient_of_a_tape_that_is_not_persistent_is_refused_in_a_trace_too():
    def step(model, x):
        with fastnn.GradientTape() as tape:
            loss = ops.sum(x @ model.weight.value)
        tape.gradient(loss, model.weight)
        return known(tape.gradient(loss, model.weight))

    for how in ("traced", "eager", "plain"):
        with pytest.raises(RuntimeError, match="persistent=True"):
            runs(step, how)
