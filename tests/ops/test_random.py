"""Random rows: Philox by key and stream, the same bits everywhere, and what they promise."""

import numpy as np
import pytest

import fastnn
from fastnn import _core, ops
from test_attention_rows import attend

N = 400_000


def draw(name: str, key=(1, 2, 3, 0), **attrs) -> np.ndarray:
    return np.asarray(getattr(_core.ops, name)(np.array(key, np.int32), **attrs).numpy())


DRAWS = {
    "random_uniform": {"shape": (N,)},
    "random_normal": {"shape": (N,)},
    "random_integers": {"shape": (N,), "low": -3, "high": 9},
    "random_permutation": {"n": 10_007},
}


def attended(key, stream):
    x = ops.convert_to_tensor(np.linspace(-1, 1, 600, dtype="f").reshape(2, 30, 2, 5))
    return attend(x, x, x, key=key, rate=0.4, stream=stream)[0]


def attended_back(key, stream):
    x = np.linspace(-1, 1, 600, dtype="f").reshape(2, 30, 2, 5)
    loss = lambda v: ops.sum(attend(x, x, v, key=key, rate=0.4, stream=stream)[0])  # noqa: E731
    return fastnn.grad(loss)(ops.convert_to_tensor(x))


#: Rows that drop a share of something, by a key and a stream.
DROPS = {
    "dropout": lambda key, stream: _core.ops.dropout(np.ones(600, "f"), key, rate=0.4,
                                                     stream=stream),
    "attention": attended,
    "attention_grad": attended_back,
}  # fmt: skip


@pytest.mark.parametrize("name", DROPS)
def test_a_row_that_drops_does_so_by_key_and_stream(name):
    made = lambda key=(1, 2, 3, 0), stream=0: np.asarray(  # noqa: E731
        DROPS[name](np.array(key, np.int32), stream)
    )
    first = made()
    assert np.array_equal(first, made())
    for change in ({"key": (9, 2, 3, 0)}, {"key": (1, 9, 3, 0)}, {"key": (1, 2, 9, 0)},
                   {"stream": 1}):  # fmt: skip
        assert not np.array_equal(first, made(**change)), change


def test_every_random_row_is_tested():
    rows = {row.name for row in _core.op_table() if "key" in row.args}
    assert rows == {*DRAWS, *DROPS}


@pytest.mark.parametrize("name", DRAWS)
def test_equal_keys_give_equal_bits_and_others_do_not(name):
    first = draw(name, **DRAWS[name])
    assert np.array_equal(first, draw(name, **DRAWS[name]))
    changes = [{"key": (9, 2, 3, 0)}, {"key": (1, 9, 3, 0)}, {"key": (1, 2, 9, 0)}, {"stream": 1}]
    for change in changes:
        other = draw(name, **{**DRAWS[name], **change})
        assert np.mean(first == other) < 0.15


@pytest.mark.parametrize("name", ["random_uniform", "random_normal"])
def test_a_shorter_draw_is_the_beginning_of_a_longer_one(name):
    long = draw(name, shape=(1000,))
    for n in (1, 3, 16, 17, 999):
        assert np.array_equal(draw(name, shape=(n,)), long[:n])
    assert np.array_equal(draw(name, shape=(10, 100)).ravel(), long)


def test_uniform_numbers_fill_zero_to_one_evenly():
    x = draw("random_uniform", shape=(N,))
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() < 1
    counts, _ = np.histogram(x, 100, (0, 1))
    # Chi-square of 99 degrees of freedom: 149 is the 99.9 % point.
    assert np.sum((counts - N / 100) ** 2 / (N / 100)) < 149


def test_normal_numbers_have_the_normal_moments():
    x = draw("random_normal", shape=(N,)).astype(np.float64)
    assert abs(x.mean()) < 5 / np.sqrt(N)
    assert abs(x.var() - 1) < 5 * np.sqrt(2 / N)
    assert abs(np.mean(x**3)) < 5 * np.sqrt(15 / N)
    assert abs(np.mean(x**4) - 3) < 5 * np.sqrt(96 / N)
    assert abs(np.mean(x[:-1] * x[1:])) < 5 / np.sqrt(N)
    assert np.abs(x).max() > 4


def test_integers_are_even_over_low_to_high_exclusive():
    x = draw("random_integers", shape=(N,), low=-3, high=9)
    assert x.dtype == np.int32
    counts = np.bincount(x + 3, minlength=12)
    assert len(counts) == 12
    assert np.sum((counts - N / 12) ** 2 / (N / 12)) < 31.3  # 11 degrees of freedom, 99.9 %


@pytest.mark.parametrize("n", [0, 1, 2, 17, 1000, 60_000])
def test_a_permutation_holds_every_number_once(n):
    order = draw("random_permutation", n=n)
    assert np.array_equal(np.sort(order), np.arange(n))
    if n >= 1000:
        assert np.mean(order == np.arange(n)) < 0.01


def test_permutations_put_every_number_everywhere():
    spots = np.array([draw("random_permutation", key=(0, 0, i, 0), n=5) for i in range(4000)])
    for column in spots.T:
        counts = np.bincount(column, minlength=5)
        assert np.sum((counts - 800) ** 2 / 800) < 18.5  # 4 degrees of freedom, 99.9 %


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_zeroes_a_share_and_scales_the_rest(rate):
    x = np.full(N, 2.0, np.float32)
    y = np.asarray(_core.ops.dropout(x, np.array([1, 2, 3, 0], np.int32), rate=rate).numpy())
    kept = y != 0
    assert abs(np.mean(kept) - (1 - rate)) < 5 * np.sqrt(0.25 / N)
    np.testing.assert_allclose(y[kept], 2 / (1 - rate), rtol=1e-6)


def test_the_gradient_of_dropout_is_its_own_mask():
    x = _core.placeholder((1000,), "float32")
    key = _core.tensor(np.array([1, 2, 3, 0], np.int32))
    y = _core.apply("dropout", [x, key], {"rate": 0.3})
    both = _core.Function([x], [y, *_core.gradients(y, [x])])
    out, grad = (np.asarray(t.numpy()) for t in both(np.ones(1000, np.float32)))
    assert np.array_equal(out, grad)
    assert 0.6 < np.mean(grad != 0) < 0.8


def test_the_bits_do_not_depend_on_threads_or_instruction_set(run_python):
    program = """
import hashlib, numpy as np
from fastnn import _core
key = np.array([5, 6, 7, 0], np.int32)
h = hashlib.sha256()
h.update(_core.ops.random_uniform(key, shape=(100_003,)).numpy().tobytes())
h.update(_core.ops.random_integers(key, shape=(100_003,), low=0, high=77).numpy().tobytes())
h.update(_core.ops.random_permutation(key, n=50_001).numpy().tobytes())
print(h.hexdigest())
"""
    runs = [{"FASTNN_NUM_THREADS": n} for n in ("1", "2", "3")]
    runs += [{"FASTNN_ISA": isa} for isa in _core.info()["isa_available"]]
    assert len({run_python(program, **env) for env in runs}) == 1
