"""fastnn.random and initialisers: seeds, generators, distributions."""

import numpy as np
import pytest

import fastnn
from fastnn import random


def array(x):
    return np.asarray(x)


def test_an_integer_seed_always_gives_the_same_numbers():
    assert np.array_equal(array(random.normal((5,), seed=3)), array(random.normal((5,), seed=3)))
    assert not np.array_equal(
        array(random.normal((5,), seed=3)), array(random.normal((5,), seed=4))
    )


def test_a_generator_moves_on_and_starts_over():
    one, two = random.SeedGenerator(7), random.SeedGenerator(7)
    first = [array(random.uniform((4,), seed=one)) for _ in range(3)]
    second = [array(random.uniform((4,), seed=two)) for _ in range(3)]
    assert np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert one.state.numpy().tolist() == [7, 0, 3, 0]


def test_set_seed_fixes_everything_drawn_after_it():
    draws = []
    for _ in range(2):
        random.set_seed(42)
        layer = fastnn.layers.Dense(3)
        layer.build((None, 2))
        draws.append((array(random.normal((3,))), layer.get_weights()[0]))
    assert np.array_equal(draws[0][0], draws[1][0])
    assert np.array_equal(draws[0][1], draws[1][1])


def test_set_random_seed_covers_python_and_numpy():
    import random as python_random

    draws = []
    for _ in range(2):
        fastnn.utils.set_random_seed(1)
        draws.append(
            (python_random.random(), np.random.rand(), array(random.uniform((2,))).tolist())
        )
    assert draws[0] == draws[1]


def test_distributions_have_their_moments():
    n = 200_000
    u = array(random.uniform((n,), -1.0, 3.0, seed=1))
    assert (u.min() >= -1.0, u.max() < 3.0) == (True, True)
    assert u.mean() == pytest.approx(1.0, abs=0.01)
    z = array(random.normal((n,), 2.0, 0.5, seed=1))
    assert (z.mean(), z.std()) == pytest.approx((2.0, 0.5), abs=0.01)
    t = array(random.truncated_normal((n,), 0.0, 1.0, seed=1))
    assert np.abs(t).max() <= 2.0
    assert t.std() == pytest.approx(0.87962566, abs=0.005)
    k = array(random.randint((n,), -2, 3, seed=1))
    assert sorted(set(k.tolist())) == [-2, -1, 0, 1, 2]
    b = array(random.bernoulli((n,), 0.3, seed=1))
    assert b.mean() == pytest.approx(0.3, abs=0.01)
    c = array(random.categorical(np.log([[0.2, 0.8]]), 10_000, seed=1))
    assert c.mean() == pytest.approx(0.8, abs=0.02)


def test_truncated_normal_follows_the_distribution():
    from statistics import NormalDist

    t = np.sort(array(random.truncated_normal((100_000,), seed=5)))
    normal = NormalDist()
    low, high = normal.cdf(-2), normal.cdf(2)
    expected = [(normal.cdf(float(v)) - low) / (high - low) for v in t[::1000]]
    assert expected == pytest.approx(np.arange(100) / 100, abs=0.01)


def test_shuffle_keeps_the_rows():
    x = np.arange(20).reshape(10, 2)
    out = array(random.shuffle(x, seed=3))
    assert sorted(map(tuple, out.tolist())) == sorted(map(tuple, x.tolist()))
    assert not np.array_equal(out, x)


def test_seeds_are_integers():
    with pytest.raises(ValueError, match="seed is 'a', wanted an integer"):
        random.SeedGenerator("a")


def test_a_seed_scope_is_its_own_and_leaves_the_process_alone():
    random.set_seed(3)
    want = [random.make_default_seed(), array(random.normal((2,))).tolist()]
    random.set_seed(3)
    inside = []
    for _ in range(2):
        with random.seed_scope(8):
            first = (random.make_default_seed(), array(random.normal((2,))).tolist())
            with random.seed_scope(8):
                assert random.make_default_seed() == first[0]
            inside.append((*first, random.make_default_seed()))
            random.set_seed(1)  # of the scope
    assert inside[0] == inside[1]
    assert [random.make_default_seed(), array(random.normal((2,))).tolist()] == want
    with pytest.raises(ValueError, match="seed is 'a'"), random.seed_scope("a"):
        pass


@pytest.mark.parametrize("dtype", [np.float32, np.dtype("float32"), float, "float64"], ids=repr)
def test_uniform_numbers_of_types_of_numpy(dtype):
    same = fastnn.random.uniform((5,), seed=3)
    np.testing.assert_array_equal(fastnn.random.uniform((5,), dtype=dtype, seed=3), same)


@pytest.mark.parametrize("dtype", [np.int32, np.dtype("int64"), int], ids=repr)
def test_uniform_whole_numbers_of_types_of_numpy(dtype):
    drawn = fastnn.random.uniform((50,), 2, 5, dtype=dtype, seed=3)
    assert drawn.dtype == "int32"
    assert set(drawn.numpy().tolist()) == {2, 3, 4}


DRAWN = {
    "normal": lambda d: random.normal((3,), 1.0, 2.0, dtype=d, seed=1),
    "uniform": lambda d: random.uniform((3,), dtype=d, seed=1),
    "truncated_normal": lambda d: random.truncated_normal((3,), dtype=d, seed=1),
    "gamma": lambda d: random.gamma((3,), 2.0, dtype=d, seed=1),
    "beta": lambda d: random.beta((3,), 2.0, 2.0, dtype=d, seed=1),
    "binomial": lambda d: random.binomial((3,), 4, 0.5, dtype=d, seed=1),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_come_in_the_type_that_is_asked_for(name, dtype):
    found, wide = DRAWN[name](dtype), DRAWN[name](None)
    assert found.dtype == dtype
    assert wide.dtype == "float32"
    assert np.array_equal(found.numpy(), wide.astype(dtype).numpy())


@pytest.mark.parametrize("name", DRAWN)
def test_numbers_of_a_type_that_cannot_hold_them_are_refused(name):
    if name != "uniform":  # which gives whole numbers of whole types
        with pytest.raises(ValueError, match=r"requires a floating point `dtype`(.|\n)*hint:"):
            DRAWN[name]("int32")
    with pytest.raises(ValueError, match="requires a floating point `dtype`"):
        DRAWN[name]("bool")


def test_whole_numbers_come_in_whole_types_alone():
    assert random.randint((3,), 0, 5, "uint8", seed=1).dtype == "uint8"
    logits = np.zeros((1, 3), np.float32)
    assert random.categorical(logits, 2, dtype="int8", seed=1).dtype == "int8"
    with pytest.raises(ValueError, match=r"requires an integer `dtype`(.|\n)*hint:"):
        random.randint((3,), 0, 5, "float32", seed=1)


def test_first_values_come_in_the_type_that_is_asked_for():
    for name in (
        "random_normal",
        "random_uniform",
        "truncated_normal",
        "glorot_uniform",
        "he_normal",
    ):
        assert fastnn.initializers.get(name)((2, 2), dtype="float16").dtype == "float16", name
