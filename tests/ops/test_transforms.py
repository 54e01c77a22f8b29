"""grad, value_and_grad, jit: values, structures, caching, refusals."""

import numpy as np
import pytest

import fastnn
from fastnn import TraceError, grad, jit, ops, value_and_grad


def test_the_worked_gradient_step():
    """w = b = 0 on x = 1…5, y = 2x: MSE 44, slopes -44 and -12."""
    x = np.arange(1.0, 6.0)

    def loss(w, b):
        return ops.mean((w * x + b - 2 * x) ** 2)

    value, (dw, db) = value_and_grad(loss, argnums=(0, 1))(0.0, 0.0)
    assert (float(value), float(dw), float(db)) == pytest.approx((44.0, -44.0, -12.0))


def test_gradients_keep_the_structure(rng):
    params = {"w": rng.normal(size=(3, 2)), "b": [np.zeros(2), (np.ones(2),)]}
    x = rng.normal(size=(5, 3))

    def loss(p):
        return ops.sum(ops.tanh(ops.matmul(x, p["w"]) + p["b"][0]) * p["b"][1][0])

    value, g = value_and_grad(loss)(params)
    t = np.tanh(x @ params["w"])
    assert float(value) == pytest.approx(t.sum(), rel=1e-4)
    assert np.asarray(g["w"]) == pytest.approx(x.T @ (1 - t**2), rel=1e-3, abs=1e-4)
    assert np.asarray(g["b"][1][0]) == pytest.approx(t.sum(0), rel=1e-3, abs=1e-4)
    assert isinstance(g["b"], list)
    assert isinstance(g["b"][1], tuple)


def test_gradients_nest():
    second = grad(grad(lambda x: x**3 + ops.sin(x)))
    assert float(second(0.7)) == pytest.approx(6 * 0.7 - np.sin(0.7), rel=1e-4)


def test_gradients_by_variables():
    w = fastnn.Variable(np.array([1.0, 2.0], np.float32), name="w")
    step = value_and_grad(lambda v: ops.sum(v[0] * v[0] * 3.0))
    assert np.asarray(step([w])[1][0]).tolist() == [6.0, 12.0]
    w.assign(np.array([2.0, 0.0], np.float32))
    assert np.asarray(step([w])[1][0]).tolist() == [12.0, 0.0]


def test_something_besides_the_loss():
    (value, aux), g = value_and_grad(lambda x: (x * x, x + 1.0), has_aux=True)(3.0)
    assert (float(value), float(aux), float(g)) == (9.0, 4.0, 6.0)


def test_jit_traces_once_per_shape():
    calls = []

    @jit
    def f(x, scale):
        calls.append(1)
        return {"y": x * scale, "total": ops.sum(x)}

    assert np.asarray(f(np.ones(3), 2.0)["y"]).tolist() == [2.0, 2.0, 2.0]
    assert float(f(np.arange(3.0), 2.0)["total"]) == 3.0
    assert len(calls) == 1
    f(np.ones(4), 2.0)
    assert len(calls) == 2


def test_jit_takes_arrays_and_tensors_alike():
    factor = [2.0]
    run = fastnn.jit(lambda x, y: x * factor[0] - y)
    x, y = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones((2, 3), np.int32)
    for _ in range(3):
        for given in ((x, y), (fastnn.tensor(x), y), (x, fastnn.tensor(y)), (x.T.copy().T, y)):
            np.testing.assert_array_equal(run(*given).numpy(), x * factor[0] - y)
    assert run.trace_count() == 1
    factor[0] = 3.0
    np.testing.assert_array_equal(run(x, y).numpy(), x * 3 - 1)
    np.testing.assert_array_equal(run(x[:, :2], y[:, :2]).numpy(), x[:, :2] * 3 - 1)
    np.testing.assert_array_equal(run(x.astype("f8"), y > 0).numpy(), x * 3 - 1)
    assert run.trace_count() == 4


def test_jit_updates_variables_at_every_call():
    count = fastnn.Variable(np.float32(0.0), name="count")

    @jit
    def f(x):
        count.assign_add(1.0)
        return x + count

    assert [float(f(10.0)) for _ in range(3)] == [11.0, 12.0, 13.0]
    assert float(count.numpy()) == 3.0


def test_a_python_if_is_refused_with_a_hint():
    with pytest.raises(TraceError, match="where"):
        jit(lambda x: x if x > 0 else -x)(1.0)


def test_a_vector_is_not_a_loss():
    with pytest.raises(fastnn.ShapeError, match=r"gave shape \(3,\), wanted a scalar"):
        grad(lambda x: x * 2.0)(np.ones(3))


def test_many_lengths_and_closures_stay_bounded_and_right():
    from fastnn.transforms import KEPT_PROGRAMS, Traced

    traced = Traced(lambda x: ops.sum(x) * 2, lambda f, args, kwargs: f(*args, **kwargs))
    for n in (*range(1, 3 * KEPT_PROGRAMS), 1, 2):
        assert float(traced(fastnn.ops.ones((n,)))) == 2 * n
        assert float(traced(np.ones(n, np.float32))) == 2 * n
    assert len(traced.programs) <= KEPT_PROGRAMS
    assert len(traced.plain) <= KEPT_PROGRAMS

    scale = [1.0]

    def scaled(x):
        return x * scale[0]

    compiled = fastnn.jit(scaled)
    x = np.ones(2, np.float32)
    for i in range(3 * KEPT_PROGRAMS):
        scale = [float(i)]  # the old list is freed, and its address used again
        np.testing.assert_array_equal(compiled(x), x * i)
        np.testing.assert_array_equal(
            compiled(
                x,
            ),
            x * i,
        )


def test_an_argument_that_cannot_be_hashed_is_told_from_the_next_one():
    class Box:
        __hash__ = None

        def __init__(self, value):
            self.value = value

    compiled = fastnn.jit(lambda x, box: x * box.value)
    x = np.ones(2, np.float32)
    for i in range(50):
        np.testing.assert_array_equal(compiled(x, Box(float(i))), x * i)


def test_gradients_of_functions_that_read_arrays_around_them():
    weights = np.array([3.0, -4.0], np.float32)
    at = np.array([1.0, 2.0], np.float32)
    np.testing.assert_array_equal(grad(lambda p: ops.sum(p * weights))(at), weights)
    value, slope = value_and_grad(lambda p: ops.sum(p * p * (weights + 1)))(at)
    assert float(value) == 4 * 1 - 3 * 4
    np.testing.assert_array_equal(slope, 2 * at * (weights + 1))


def test_derivatives_by_whole_numbers_are_not_cut_to_whole_numbers():
    x = np.array([1, 2, 3])
    third = np.array([2, 4, 6], np.float32) / 3
    for wrap in (lambda f: f, fastnn.jit):
        value, slope = wrap(fastnn.value_and_grad(lambda x: ops.mean(x * x)))(x)
        assert float(value) == pytest.approx(14 / 3)
        assert np.asarray(slope) == pytest.approx(third)
    assert float(fastnn.grad(fastnn.grad(lambda x: x * x * x / 4))(3)) == pytest.approx(4.5)
    both = fastnn.grad(lambda d: ops.mean(d["a"] * d["b"]))({"a": x, "b": x * 1.5})
    assert np.asarray(both["a"]) == pytest.approx(x * 0.5)
    assert np.asarray(fastnn.grad(ops.sum)(np.array([True, False]))).tolist() == [1.0, 1.0]


def test_a_tape_gives_no_derivative_by_whole_numbers_and_says_so():
    x = ops.convert_to_tensor(np.array([1, 2, 3]))
    for kind, wanted in (("none", None), ("zero", [0.0, 0.0, 0.0])):
        with fastnn.GradientTape() as tape:
            tape.watch(x)
            y = ops.mean(x * x)
        with pytest.warns(UserWarning, match="no derivative by a source of type int32"):
            slope = tape.gradient(y, x, unconnected_gradients=kind)
        assert slope is None if wanted is None else np.asarray(slope).tolist() == wanted
