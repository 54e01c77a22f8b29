"""Rows with kernels of their own at odd sizes: 1, primes, a tile and one more or less, no elements,
operands that are one number for all. Each is the CPU's row, and the same bits twice."""

import numpy as np
import pytest
from test_device_rows import on_cpu, run_row

from fastnn.errors import DataError

r = np.random.default_rng(5)


def f(*shape):
    return r.normal(size=shape).astype(np.float32)


def ids(low, high, shape=()):
    return np.asarray(r.integers(low, high, shape), np.int32)


def same(gpu, name, arrays, attrs, tolerance=0.0, least=0.1):
    """The results of a row on both; floats may differ by `tolerance` of the largest of a result, or
    of `least` where terms of that size cancel.
    """
    arrays = [np.asarray(a) for a in arrays]
    got, want = run_row(gpu, name, arrays, attrs), on_cpu(name, arrays, attrs)
    again = run_row(gpu, name, arrays, attrs) if tolerance else got
    label = f"{name} {[a.shape for a in arrays]} {attrs}"
    assert len(got) == len(want) > 0
    for mine, twice, theirs in zip(got, again, want, strict=True):
        assert (mine.shape, mine.dtype) == (theirs.shape, theirs.dtype), label
        np.testing.assert_array_equal(mine, twice, err_msg=label)
        if not tolerance or mine.dtype != np.float32:
            np.testing.assert_array_equal(mine, theirs, err_msg=label)
            continue
        finite = np.isfinite(theirs)
        np.testing.assert_array_equal(mine[~finite], theirs[~finite], err_msg=label)
        off = np.abs(mine[finite].astype("f8") - theirs[finite])
        assert off.max(initial=0) <= tolerance * np.abs(theirs[finite]).max(initial=least), label
    return want


ROWS = [(1,), (7,), (3, 64), (3, 65), (2, 3, 127), (2, 513), (300, 5), (0, 4), (4, 0), (1, 1030)]


@pytest.mark.parametrize("shape", ROWS, ids=str)
def test_rows_along_the_last_axis(gpu, shape):
    x, n = 3 * f(*shape), shape[-1]
    if n:
        same(gpu, "softmax_last", [x], {}, 1e-6)
        same(gpu, "log_softmax_last", [x], {}, 1e-6)
        labels = ids(0, n, shape[:-1])
        same(gpu, "sparse_softmax_cross_entropy", [x, labels], {}, 1e-6)
    if n > 5:
        same(gpu, "layer_normalize", [x], {"epsilon": 0.0}, 4e-6)
    for columns in ((n,), ()):
        for center in (True, False):
            operands = [f(*shape), x, f(*columns), f(*shape[:-1]), f(*shape[:-1])]
            same(gpu, "layer_norm_grad", operands, {"center": center}, 4e-6)
            if n > 5:
                same(gpu, "layer_norm", [x, f(*columns), f(*columns)], {"center": center}, 4e-6)


@pytest.mark.parametrize("scale", [1e19, 1e25, 3e37, 1e-19, 1e-25])
def test_squares_beyond_float32_are_normalised(gpu, scale):
    x = f(3, 100) * np.float32(scale)
    same(gpu, "layer_norm", [x, f(100), f(100)], {"epsilon": 0.0}, 4e-6)
    if scale > 1:
        same(gpu, "layer_normalize", [x], {"epsilon": 1e-3}, 4e-6)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 7, 2), (2, 300, 3)], ids=str)
def test_gathers_and_their_gradients(gpu, shape):
    x = f(*shape)
    for axis in (None, 0, 1, -1):
        n = x.size if axis is None else shape[axis]
        for count in ((), (2, 3), (0,), (600,)):
            indices = ids(-n, n, count)
            for values in (x, ids(-9, 9, shape), x > 0):
                same(gpu, "take", [values, indices], {"axis": axis})
            dy = np.take(x, indices % n, axis)
            same(gpu, "take_grad", [dy, indices], {"shape": shape, "axis": axis})
        if axis is None:
            continue
        for count in (0, 1, 6):
            own = list(shape)
            own[axis] = count
            indices = ids(-n, n, own)
            same(gpu, "take_along_axis", [x, indices], {"axis": axis})
            same(gpu, "take_along_axis_grad", [f(*own), indices], {"shape": shape, "axis": axis})
        same(gpu, "cumsum", [x], {"axis": axis}, 2e-6)
        same(gpu, "cumsum", [ids(-(2**31), 2**31 - 1, shape)], {"axis": axis})


def test_long_running_sums(gpu):
    same(gpu, "cumsum", [f(3, 2000, 2)], {"axis": 1}, 2e-5)
    same(gpu, "cumsum", [ids(-(2**31), 2**31 - 1, (1025,))], {"axis": 0})


def test_bad_indices_are_told_of_in_the_words_of_the_cpu(gpu):
    wrong = np.array([[0, 3], [7, -5]], np.int32)
    for name, arrays, attrs in (
        ("take", [f(4, 2), wrong], {"axis": 0}),
        ("take_along_axis", [f(4, 2), wrong], {"axis": 0}),
        ("sparse_softmax_cross_entropy", [f(2, 2, 4), wrong], {}),
    ):
        with pytest.raises(DataError) as theirs:
            on_cpu(name, arrays, attrs)
        with pytest.raises(DataError) as mine:
            run_row(gpu, name, arrays, attrs)
        assert str(mine.value) == str(theirs.value)


@pytest.mark.parametrize("shape", [(), (1,), (3, 5), (2, 3, 4), (0, 3), (2, 0)], ids=str)
def test_rows_that_place_elements(gpu, shape):
    x = f(*shape)
    widths = tuple((3 * i + 1) % 4 for i in range(2 * len(shape)))
    for values in (x, ids(-9, 9, shape), x > 0):
        same(gpu, "pad", [values], {"widths": widths, "value": 1.0})
    same(gpu, "extent", [x], {})
    if not shape:
        return
    for step in (1, 2, -1, -3):
        whole = [(0, n) if step > 0 else (n - 1, -n - 1) for n in shape]
        attrs = {
            "begin": tuple(b for b, _ in whole), "end": tuple(e for _, e in whole),
            "step": (step,) * len(shape),
        }  # fmt: skip
        (part,) = on_cpu("slice", [x], attrs)
        same(gpu, "unslice", [part], {**attrs, "shape": shape})
    same(gpu, "concatenate", [x] * 17, {"axis": 0})
    same(gpu, "concatenate", [x, x[..., :1], x[..., :0]], {"axis": -1})
    for start in (-9, -1, 0, 2, 9):
        own = [n // 2 for n in shape]
        starts = np.full(len(shape), start, np.int32)
        axes = list(range(len(shape)))
        same(gpu, "dynamic_slice", [x, starts], {"axes": axes, "sizes": own})
        same(gpu, "update_slice", [x, f(*own), starts], {"axes": axes})


CONVOLUTIONS = [
    ((2, 9, 3), (3, 3, 5), 1), ((1, 9, 8, 4), (3, 2, 2, 6), 2), ((3, 5, 5, 4), (1, 1, 1, 4), 4),
    ((2, 5, 6, 7, 2), (2, 3, 1, 2, 3), 1), ((3, 17, 13, 5), (3, 3, 5, 7), 1),
    ((0, 9, 9, 2), (3, 3, 2, 5), 1), ((2, 9, 9, 0), (3, 3, 0, 5), 1),
    ((2, 16, 16, 32), (3, 3, 32, 70), 1), ((2, 16, 16, 32), (3, 3, 16, 40), 2),
    ((3, 20, 20, 9), (3, 3, 9, 17), 1),
]  # fmt: skip


@pytest.mark.parametrize(("x", "w", "groups"), CONVOLUTIONS, ids=str)
def test_convolutions_and_their_gradients(gpu, x, w, groups):
    for stride, dilation, same_places in ((1, 1, False), (2, 1, True), (1, 2, True), (3, 1, False)):
        attrs = {
            "strides": (stride,), "padding": (-1,) if same_places else (), "dilation": (dilation,),
            "groups": groups,
        }  # fmt: skip
        (y,) = same(gpu, "conv", [f(*x), f(*w)], attrs, 4e-6)
        dy = f(*y.shape)
        same(gpu, "conv_input_grad", [dy, f(*w)], {**attrs, "size": x[1:-1]}, 4e-6)
        same(gpu, "conv_weight_grad", [f(*x), dy], {**attrs, "kernel": w[:-2]}, 4e-6)


@pytest.mark.parametrize("shape", [(2, 9, 3), (1, 9, 8, 4), (2, 5, 6, 7, 2), (0, 4, 4, 2)], ids=str)
def test_pooling_and_its_gradients(gpu, shape):
    for window, stride, padding in ((2, 2, ()), (3, 2, (-1,)), (3, 1, (-1,)), (1, 3, ())):
        attrs = {"window": (window,), "strides": (stride,), "padding": padding}
        ties = np.round(2 * f(*shape)) / 2
        y, indices = same(gpu, "max_pool", [ties], attrs)
        same(gpu, "max_pool_pick", [f(*shape), indices], attrs)
        dy, back = f(*y.shape), {**attrs, "size": shape[1:-1]}
        same(gpu, "max_pool_grad", [dy, indices], back, 1e-6)
        for counted in (True, False):
            same(gpu, "average_pool", [f(*shape)], {**attrs, "count_padding": counted}, 1e-6)
            same(gpu, "average_pool_grad", [dy], {**back, "count_padding": counted}, 1e-6)


@pytest.mark.parametrize("shape", [(2, 9, 8, 3), (1, 7, 1, 5), (0, 4, 4, 2)], ids=str)
def test_resampling_and_its_gradient(gpu, shape):
    for made, taps in (((18, 16), (2, 2)), ((3, 5), (4, 3)), ((4, 4), (1, 1))):
        tables = []
        for size, new, t in zip(shape[1:3], made, taps, strict=True):
            at = np.arange(new, dtype=np.int32) * (size + 1) // new - 1
            tables += [at.astype(np.int32), f(new, t)]
        same(gpu, "resample", [f(*shape), *tables], {}, 4e-6)
        dy = f(shape[0], *made, shape[3])
        same(gpu, "resample_grad", [dy, *tables], {"size": shape[1:3]}, 4e-6)


@pytest.mark.parametrize("shape", [(), (1,), (63,), (65,), (3, 5, 7), (0,), (3000,)], ids=str)
def test_random_numbers_are_the_cpus(gpu, shape):
    key, stream = ids(-(2**31), 2**31 - 1, (4,)), -7
    same(gpu, "random_uniform", [key], {"shape": shape, "stream": stream})
    same(gpu, "random_normal", [key], {"shape": shape, "stream": stream}, 1e-6)
    for low, high in ((0, 1), (-5, 7), (-(2**31), 2**31 - 1)):
        attrs = {"shape": shape, "low": low, "high": high, "stream": stream}
        same(gpu, "random_integers", [key], attrs)
    same(gpu, "random_permutation", [key], {"n": int(np.prod(shape)), "stream": stream})


@pytest.mark.parametrize("shape", [(1,), (7,), (2, 256), (2, 257), (2, 1000, 3), (0, 3)], ids=str)
def test_rows_that_order_values(gpu, shape):
    x = np.round(4 * f(*shape)) / 4
    x.ravel()[::5], x.ravel()[1::7] = np.nan, -np.inf
    for values in (x, ids(-5, 5, shape)):
        for axis in range(len(shape)):
            same(gpu, "sort", [values], {"axis": axis})
        for k in {1, shape[-1]}:
            same(gpu, "top_k", [values], {"k": k})


ATTENTION = [
    (2, 5, 7, 4, 2, 8, 16), (1, 1, 1, 1, 1, 1, 1), (2, 65, 130, 2, 1, 16, 70),
    (1, 3, 0, 2, 2, 4, 4), (1, 3, 4, 2, 2, 4, 0), (0, 3, 4, 2, 2, 4, 4), (2, 1, 129, 2, 2, 8, 8),
]  # fmt: skip


@pytest.mark.parametrize("sizes", ATTENTION, ids=str)
def test_attention_and_its_gradient(gpu, sizes):
    b, t, s, h, g, w, v = sizes
    key = ids(-(2**31), 2**31 - 1, (4,))
    beside = [
        (np.float32(0.5), np.array(True), np.int32(2**31 - 1), np.int32(0)),
        (f(1, h, t, s), r.random((b, 1, 1, s)) < 0.7, ids(1, s + 3, (b,)), ids(-2, s + 2, (b,))),
    ]
    for rest in beside:
        for causal, rate in ((True, 0.0), (False, 0.3)):
            attrs = {"scale": 0.3, "causal": causal, "rate": rate, "stream": -3}
            operands = [f(b, t, h, w), f(b, s, g, w), f(b, s, g, v), *rest, key]
            out, lse = same(gpu, "attention", operands, attrs, 2e-6)
            back = [f(b, t, h, v), *operands, out, lse]
            # Of a query that sees one key alone only rounding is left.
            same(gpu, "attention_grad", back, attrs, 1e-5, least=1.0)


@pytest.mark.parametrize(
    "sizes", [(2, 5, 3), (1, 1, 1), (3, 4, 33), (1, 2, 1100), (2, 0, 3)], ids=str
)
@pytest.mark.parametrize("lone", [True, False])
def test_recurrences_and_their_gradients(gpu, sizes, lone):
    b, t, u = sizes

    def of(*shape):
        return f() if lone else f(*shape)

    mask = np.array(True) if lone else r.random((b, t)) < 0.6
    w = [f(u, gates * u) / np.float32(np.sqrt(u)) for gates in (1, 3, 4)]
    for reverse in (True, False):
        at = {"reverse": reverse}
        x = [f(b, t, 4 * u), w[2], of(b, u), of(b, u), mask, of(b, 4 * u)]
        kept = same(gpu, "lstm", x, at, 4e-6)
        back = [of(b, t, u), of(b, u), of(b, u), w[2], *kept[3:5], x[3], mask, x[5]]
        same(gpu, "lstm_grad", back, at, 4e-6)
        for after in (True, False):
            at = {"reverse": reverse, "reset_after": after}
            x = [f(b, t, 3 * u), w[1], of(3 * u), of(b, u), mask, of(b, 3 * u)]
            kept = same(gpu, "gru", x, at, 4e-6)
            back = [of(b, t, u), of(b, u), w[1], *kept[2:5], mask, x[5]]
            same(gpu, "gru_grad", back, at, 4e-6)
        for activation in range(4):
            at = {"reverse": reverse, "activation": activation}
            x = [f(b, t, u), w[0], of(b, u), mask, of(b, u)]
            kept = same(gpu, "simple_rnn", x, at, 4e-6)
            back = [of(b, t, u), of(b, u), w[0], kept[0], mask, x[4]]
            same(gpu, "simple_rnn_grad", back, at, 4e-6)
