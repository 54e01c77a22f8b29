"""A tensor that was read or computed from a variable stays what it was, wherever it is used.

A compiled function reads a variable anew at each call where the variable is read in the function.
What was read around it is a constant, as it is where the same code runs as it is written.
"""

import functools

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops

ZERO = np.zeros(1, "f")
X = np.ones((4, 3), "f")


def variable(*values):
    return fastnn.Variable(np.asarray(values, "f"))


#: Ways to use a captured `h` and `r`, and the variable itself, in a function of x.
USES = {
    "plain": lambda x, h, r, v: x + h + r + v.value,
    "operand": lambda x, h, r, v: ops.add(ops.add(ops.add(x, h), r), v),
    "view": lambda x, h, r, v: x + ops.reshape(h, (1, 1))[0] + ops.squeeze(r) + ops.flip(v.value),
    "jit": lambda x, h, r, v: fastnn.jit(lambda y: y + h + r + v.value)(x),
    "cond": lambda x, h, r, v: ops.cond(ops.sum(x) < 1, lambda: x + h + r + v.value, lambda: x - h),
    "switch": lambda x, h, r, v: ops.switch(
        ops.cast(ops.sum(x), "int32"), [lambda: x + h + r + v.value, lambda: x]
    ),
    "scan": lambda x, h, r, v: ops.scan(
        lambda c, _: (c + h + r + v.value, None), x, None, length=6
    )[0],
    "fori_loop": lambda x, h, r, v: ops.fori_loop(0, 6, lambda i, c: c + h + r + v.value, x),
    "few_rounds": lambda x, h, r, v: ops.fori_loop(0, 2, lambda i, c: c + h + r + v.value, x),
    "while_loop": lambda x, h, r, v: ops.while_loop(
        lambda i, c: i < 6, lambda i, c: (i + 1, c + h + r + v), (ops.convert_to_tensor(0), x)
    )[1],
    "vectorized_map": lambda x, h, r, v: ops.vectorized_map(
        lambda a: a + h + r + v.value, ops.reshape(x, (1, 1))
    )[0],
    "map": lambda x, h, r, v: ops.map(lambda a: a + h + r + v, ops.reshape(x, (1, 1)))[0],
    "grad": lambda x, h, r, v: fastnn.grad(lambda y: ops.sum(y * (h + r + v.value)))(x),
    "vjp_of_a_product": lambda x, h, r, v: fastnn.value_and_grad(
        lambda y: ops.sum((y + 1.0) * (h * r + v))
    )(x)[0],
}


@pytest.mark.parametrize("use", sorted(USES))
def test_what_was_read_before_a_compiled_function_stays(use):
    v = variable(1.0)
    h, r = v.value * 2.0, v.value
    v.assign([5.0])
    compiled = fastnn.jit(lambda x: USES[use](x, h, r, v))
    for value in (5.0, 7.0, 11.0):
        v.assign([value])
        wanted = USES[use](fastnn.tensor(ZERO), variable(2.0).value, variable(1.0).value, v)
        np.testing.assert_array_equal(compiled(ZERO), wanted)


def test_values_that_a_function_updates_do_not_reach_what_was_read():
    """The update is made in place, unless somebody holds the value."""
    v = variable(*range(1000))
    before, twice = v.value, v.value * 2.0

    @fastnn.jit
    def step(x):
        v.assign_add(before + x)
        return ops.sum(before), ops.sum(twice), v

    for call in range(1, 4):
        one, two, new = step(np.float32(1.0))
        assert (float(one), float(two)) == (499500.0, 999000.0)
        np.testing.assert_array_equal(new, np.arange(1000) * (1 + call) + call)
    np.testing.assert_array_equal(before, np.arange(1000))


def test_a_variable_that_a_function_returns_has_its_new_value():
    v = variable(1.0)

    @fastnn.jit
    def step(x):
        v.assign_add(x)
        return {"new": v}

    assert [float(step(np.ones(1, "f"))["new"][0]) for _ in range(3)] == [2.0, 3.0, 4.0]


def test_derivatives_see_a_captured_value_as_a_constant():
    v = variable(3.0)
    h, r = v.value * 2.0, v.value
    both = fastnn.value_and_grad(lambda w: ops.sum(w.value * h * r))
    for value in (3.0, 5.0):
        v.assign([value])
        loss, slope = both(v)
        assert (float(loss), float(slope[0])) == (value * 18.0, 18.0)

    @fastnn.jit
    def taped(x):
        with fastnn.GradientTape() as tape:
            y = ops.sum(v.value * h * x)
        return tape.gradient(y, v)

    assert float(taped(np.ones(1, "f"))[0]) == 6.0


def test_a_tape_follows_what_it_recorded_into_a_compiled_function():
    v = variable(3.0)
    with fastnn.GradientTape(persistent=True) as tape:
        h = v.value * 2.0
        y = ops.sum(fastnn.jit(lambda x: x * h)(fastnn.tensor(np.ones(1, "f"))))
    v.assign([8.0])
    assert float(tape.gradient(y, v)[0]) == 2.0
    compiled = fastnn.jit(lambda x: x * h)
    for value in (9.0, 10.0):
        v.assign([value])
        assert float(compiled(np.ones(1, "f"))[0]) == 6.0
    assert float(tape.gradient(h, v)[0]) == 2.0


class Keeping(fastnn.Model):
    """Holds values of its weight in attributes, from its making on."""

    def __init__(self):
        super().__init__()
        self.w = self.add_weight((3,), "ones")
        self.read, self.twice = self.w.value, self.w.value * 2.0
        self.named, self.listed = {"a": self.w.value * 3.0}, [self.w.value + 0.0]

    def call(self, x):
        held = self.read * 10.0 + self.twice * 100.0 + self.named["a"] * 1e3 + self.listed[0] * 1e4
        return x * self.w.value + held

    def as_written(self):
        return np.asarray(self.call(fastnn.tensor(X)))


def test_a_model_keeps_the_values_in_its_attributes(tmp_path):
    model = Keeping()
    first = model.predict(X, verbose=0)
    for step in range(3):
        np.testing.assert_array_equal(model.predict(X, verbose=0), model.as_written())
        np.testing.assert_array_equal(model(X), model.as_written())
        model.w.assign(np.full(3, 2.0 + step, "f"))
        np.testing.assert_array_equal(model.predict(X, verbose=0), first + 1.0 + step)
    model.twice = model.w.value * 2.0
    model.named["a"], model.listed[0] = model.w.value * 3.0, model.w.value + 0.0
    np.testing.assert_array_equal(model.predict(X, verbose=0), model.as_written())
    model.w.assign(np.ones(3, "f"))
    np.testing.assert_array_equal(model.predict(X, verbose=0), model.as_written())


def test_a_graph_of_layers_keeps_what_was_given_to_it():
    v = variable(1.0, 1.0, 1.0)
    h = v.value * 2.0
    x = fastnn.Input((3,))
    model = fastnn.Model(x, layers.Lambda(lambda a: a + h)(x) * h + v.value)
    for value in (5.0, 7.0):
        v.assign([value] * 3)
        np.testing.assert_array_equal(model.predict(X, verbose=0), np.full((4, 3), 7.0))


@pytest.mark.parametrize("eagerly", [False, True])
def test_training_takes_captured_values_as_constants(eagerly):
    """In a layer, in the step and in the loss; w is 1 at first."""

    class Training(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.w = self.add_weight((3,), "ones")
            self.twice = self.w.value * 2.0

        def call(self, x):
            return x * self.w.value * self.twice

        def train_step(self, data):
            return {**super().train_step(data), "twice": ops.sum(self.twice)}

    model = Training()
    thrice = model.w.value * 3.0
    model.compile(
        fastnn.optimizers.SGD(0.01), lambda y, p: ops.mean((p * thrice) ** 2), run_eagerly=eagerly
    )
    w = 1.0
    for _ in range(4):
        logs = model.train_on_batch(X, X, return_dict=True)
        assert logs["loss"] == pytest.approx(36.0 * w * w, rel=1e-5)
        assert logs["twice"] == 6.0
        w -= 0.01 * 2 * 36.0 * w / 3  # each of three weights has a third of the mean
        np.testing.assert_allclose(model.w, [w] * 3, rtol=1e-5)
    history = model.fit(X, X, epochs=2, verbose=0).history
    assert history["twice"] == [6.0, 6.0]


def test_a_captured_value_does_not_change_with_the_weights_of_a_file(tmp_path):
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, kernel_initializer="ones")])
    kernel = model.layers[0].kernel.value
    compiled = fastnn.jit(lambda x: ops.matmul(x, kernel))
    model.save_weights(tmp_path / "w.weights.h5")
    model.set_weights([np.zeros((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(compiled(X), np.full((4, 2), 3.0))
    model.load_weights(tmp_path / "w.weights.h5")
    model.layers[0].kernel.assign(np.zeros((3, 2)))
    np.testing.assert_array_equal(compiled(X), np.full((4, 2), 3.0))


# ---- what is around a compiled function, and changes between calls -------------------------------

ONE, TWO = fastnn.tensor(np.ones(1, "f")), fastnn.tensor(np.full(1, 2.0, "f"))


class Holder:
    def __init__(self):
        self.h = ONE

    def add(self, x):
        return x + self.h

    __call__ = add


def in_a_dict():
    held = {"h": ONE}
    return lambda x: x + held["h"], lambda: held.update(h=TWO)


def in_nested_lists():
    held = [[ONE, {"a": ONE}]]
    return lambda x: x + held[0][1]["a"], lambda: held[0][1].update(a=TWO)


def in_an_object():
    held = Holder()
    return lambda x: x + held.h, lambda: setattr(held, "h", TWO)


def in_the_object_of_a_method():
    held = Holder()
    return held.add, lambda: setattr(held, "h", TWO)


def in_a_callable_object():
    held = Holder()
    return held, lambda: setattr(held, "h", TWO)


def in_what_a_partial_gives():
    held = {"h": ONE}
    return functools.partial(lambda d, x: x + d["h"], held), lambda: held.update(h=TWO)


def around_a_function_that_is_called():
    held = [ONE]

    def helper(x):
        return x + held[0]

    return lambda x: helper(x), lambda: held.__setitem__(0, TWO)


def in_a_name():
    h = ONE

    def change():
        nonlocal h
        h = TWO

    return lambda x: x + h, change


def in_a_global():
    names = {"h": ONE}
    exec("def f(x):\n    return x + h", names)
    return names["f"], lambda: names.update(h=TWO)


def in_a_layer():
    layer = layers.Dense(1, kernel_initializer="ones")
    layer.h = ONE
    return (
        lambda x: layer(ops.reshape(x + 1.0, (1, 1)))[0] * layer.h,
        lambda: setattr(layer, "h", TWO),
    )


PLACES = [in_a_dict, in_nested_lists, in_an_object, in_the_object_of_a_method, in_a_callable_object,
          in_what_a_partial_gives, around_a_function_that_is_called, in_a_name, in_a_global,
          in_a_layer]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_tensor_that_is_put_in_anothers_place_is_read_anew(place):
    f, change = place()
    compiled = fastnn.jit(f)
    assert [float(compiled(fastnn.tensor(ZERO))[0]) for _ in range(3)] == [1.0] * 3
    change()
    assert [float(compiled(fastnn.tensor(ZERO))[0]) for _ in range(3)] == [2.0] * 3


def test_gradients_read_what_has_been_put_in_anothers_place():
    held = {"h": ONE}
    both = fastnn.value_and_grad(lambda x: ops.sum(x * held["h"]))
    assert float(both(ONE)[1][0]) == 1.0
    held["h"] = TWO
    assert float(both(ONE)[1][0]) == 2.0


def test_a_function_that_changes_what_is_around_it_is_traced_once_a_shape():
    calls = []

    def f(x):
        calls.append(x.shape)
        return x + 1.0

    compiled = fastnn.jit(f)
    for size in (1, 2, 1, 2, 1):
        compiled(fastnn.tensor(np.zeros(size, "f")))
    assert calls == [(1,), (2,)]


def test_a_layer_that_is_built_in_a_trace_is_not_traced_again():
    layer = layers.Dense(2)
    compiled = fastnn.jit(lambda x: layer(x))
    for _ in range(4):
        compiled(fastnn.tensor(X))
    assert compiled.trace_count() == 1
    layer.activation = fastnn.activations.get("sigmoid")
    np.testing.assert_allclose(compiled(X), layer(X), rtol=1e-6)
    assert compiled.trace_count() == 2


@pytest.mark.parametrize("compiled", [False, True])
def test_a_value_that_was_read_before_a_tape_is_watched_alone(compiled):
    """Not what the tape's block reads of the same variable."""
    v = variable(3.0)

    def f(x):
        before = v.value
        with fastnn.GradientTape(persistent=True) as outer:
            with fastnn.GradientTape(persistent=True) as tape:
                tape.watch(before)
                y = ops.sum(v.value * v.value * before)
            first = [tape.gradient(y, before), tape.gradient(y, v)]
        return [*first, outer.gradient(first[1], v)]

    slopes = (fastnn.jit(f) if compiled else f)(fastnn.tensor(ZERO))
    assert [float(slope[0]) for slope in slopes] == [9.0, 18.0, 6.0]
