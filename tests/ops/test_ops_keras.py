"""`fastnn.ops` has what `keras.ops` has: each name works as in NumPy or says why it is absent.

The cases (odd shapes, empty arrays, NaN and infinities, whole numbers) stand in `ops_cases.py`; the
test beside this one in `peers` runs the same cases against Keras.
"""

import importlib
import warnings

import numpy as np
import pytest

import fastnn
import ops_cases
from fastnn import ops
from fastnn.base import absent
from fastnn.ops.families import FAMILIES

#: The names of `keras.ops` 3.15.1.
KERAS = """
    abs absolute adaptive_average_pool adaptive_max_pool add all allclose amax amin angle any
    append arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax argmin
    argpartition argsort array array_split associative_scan average average_pool bartlett
    batch_normalization binary_crossentropy bincount bitwise_and bitwise_invert
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman
    broadcast_to cast categorical_crossentropy cbrt cdist ceil celu cholesky cholesky_inverse
    clip concatenate cond conj conjugate conv conv_transpose convert_to_numpy convert_to_tensor
    copy corrcoef correlate cos cosh count_nonzero cross ctc_decode ctc_loss cumprod cumsum
    custom_gradient deg2rad depth_to_space depthwise_conv det diag diagflat diagonal diff
    digitize divide divide_no_nan dot dot_product_attention dsplit dstack dtype eig eigh einsum
    elu empty empty_like equal erf erfc erfinv exp exp2 expand_dims expm1 extract_sequences eye
    fabs fft fft2 flip fliplr flipud floor floor_divide fmax fmin fmod fold fori_loop full
    full_like gcd gelu geomspace get_item glu greater greater_equal hamming hanning hard_shrink
    hard_sigmoid hard_silu hard_swish hard_tanh heaviside histogram hsplit hstack hypot i0
    identity ifft2 imag in_top_k inner inv irfft is_tensor isclose isfinite isin isinf isnan
    isneginf isposinf isreal istft jvp kaiser kron layer_normalization lcm ldexp leaky_relu
    left_shift less less_equal linspace log log10 log1p log2 log_sigmoid log_softmax logaddexp
    logaddexp2 logdet logical_and logical_not logical_or logical_xor logspace logsumexp lstsq
    lu_factor map matmul matrix_rank max max_pool maximum mean median meshgrid min minimum mod
    moments moveaxis multi_hot multiply nan_to_num nanargmax nanargmin nancumprod nancumsum
    nanmax nanmean nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar ndim
    negative nextafter nonzero norm normalize not_equal one_hot ones ones_like outer pad
    percentile pinv polar power prod psnr ptp qr quantile rad2deg ravel real rearrange
    reciprocal relu relu6 repeat reshape rfft right_shift rms_normalization roll rot90 round
    rsqrt saturate_cast scan scatter scatter_update searchsorted segment_max segment_min
    segment_prod segment_sum select selu separable_conv shape sigmoid sign signbit silu sin sinc
    sinh size slice slice_update slogdet soft_shrink softmax softplus softsign solve
    solve_triangular sort space_to_depth sparse_categorical_crossentropy sparse_plus
    sparse_sigmoid sparsemax split sqrt square squareplus squeeze stack std stft stop_gradient
    subtract sum svd swapaxes swish switch take take_along_axis tan tanh tanh_shrink tensordot
    threshold tile top_k trace transpose trapezoid tri tril triu true_divide trunc unfold unique
    unravel_index unstack vander var vdot vectorize vectorized_map view view_as_complex
    view_as_real vsplit vstack where while_loop zeros zeros_like
""".split()
#: Those of `keras.ops.image`.
KERAS_IMAGE = """
    affine_transform crop_images elastic_transform extract_patches extract_patches_3d
    gaussian_blur hsv_to_rgb map_coordinates pad_images perspective_transform resize
    rgb_to_grayscale rgb_to_hsv scale_and_translate sobel_edges ssim
""".split()
#: Names whose NumPy namesake means something else, or that NumPy has not.
NOT_NUMPYS = {
    "average", "corrcoef", "erf", "nanargmax", "nanargmin", "norm", "normalize", "size", "round",
    "bitwise_left_shift", "left_shift", "select", "unstack", "slice", "get_item", "shape", "where",
    "saturate_cast", "squareplus", "bincount", "cross", "lstsq", "reciprocal", "fft", "eig",
    "take_along_axis",
}  # fmt: skip


def arrays(value):
    """The leaves of a result as NumPy arrays."""
    if isinstance(value, list | tuple):
        return [a for v in value for a in arrays(v)]
    return [np.asarray(value)]


def function(name):
    """The function of `fastnn.ops`, or of a namespace in it."""
    found = ops
    for part in name.split("."):
        found = getattr(found, part)
    return found


def close(ours, wanted, context):
    assert len(ours) == len(wanted), context
    for a, b in zip(ours, wanted, strict=True):
        assert a.shape == b.shape, f"{context}: {a.shape} {b.shape}"
        np.testing.assert_allclose(
            a.astype("float64"), b.astype("float64"), rtol=2e-4, atol=2e-5, err_msg=context
        )


@pytest.mark.parametrize("name", KERAS)
def test_every_name_of_keras_ops_works_or_says_why_it_is_absent(name):
    if name in ops.__all__:
        assert getattr(ops, name).__doc__
        return
    with pytest.raises(AttributeError, match=rf"fastnn\.ops has no '{name}': .+\n  hint: .+"):
        getattr(ops, name)


@pytest.mark.parametrize("name", KERAS_IMAGE)
def test_every_name_of_keras_ops_image_works_or_says_why_it_is_absent(name):
    if name in ops.image.__all__:
        assert getattr(ops.image, name).__doc__
        return
    with pytest.raises(AttributeError, match=rf"has no '{name}': .+\n  hint: .+"):
        getattr(ops.image, name)


def numpys(name):
    """NumPy's function of that name, if it has one that means the same."""
    return None if name in NOT_NUMPYS else getattr(np, name, None) or getattr(np.linalg, name, None)


@pytest.mark.parametrize(
    "name", list(filter(numpys, sorted(set(ops_cases.CASES) & set(ops.__all__))))
)
def test_functions_that_numpy_has_give_what_numpy_gives(name):
    theirs = numpys(name)
    compared = 0
    for i, (args, kwargs) in enumerate(ops_cases.CASES[name]):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                wanted = arrays(theirs(*args, **kwargs))
            except TypeError:
                continue
        close(arrays(function(name)(*args, **kwargs)), wanted, f"{name} case {i}")
        compared += 1
    assert compared


@pytest.mark.parametrize("name", sorted(set(ops_cases.CASES) & set(ops.__all__)))
def test_a_traced_function_gives_what_the_direct_call_gives(name):
    """Also covers those NumPy computes: they work or raise TraceError, never something else."""
    f = function(name)
    for i, (args, kwargs) in enumerate(ops_cases.CASES[name]):
        if not args or not isinstance(args[0], np.ndarray) or not args[0].size:
            continue
        direct = arrays(f(*args, **kwargs))
        try:
            traced = fastnn.jit(lambda x, a=args, k=kwargs: f(x, *a[1:], **k))(args[0])
        except fastnn.TraceError:
            assert name in ops.host.__all__ or name in ("bincount", "norm", "where", "shape")
            continue
        close(arrays(traced), direct, f"{name} case {i}")


SMOOTH = {
    "arccos": ops_cases.U, "arccosh": ops_cases.P + 1, "arcsin": ops_cases.U,
    "arcsinh": ops_cases.A, "arctan": ops_cases.A, "arctanh": ops_cases.U, "cosh": ops_cases.A,
    "sinh": ops_cases.A, "tan": ops_cases.U, "erfc": ops_cases.A, "erfinv": ops_cases.U * 0.8,
    "log2": ops_cases.P, "exp2": ops_cases.A, "cbrt": ops_cases.P, "sinc": ops_cases.P,
    "cumprod": ops_cases.A, "nanmean": ops_cases.A, "tril": ops_cases.A, "diagonal": ops_cases.A,
    "cholesky": ops_cases.SPD, "inv": ops_cases.SPD, "det": ops_cases.M, "logdet": ops_cases.SPD,
    "qr": ops_cases.B, "layer_normalization": ops_cases.A, "softmax": ops_cases.A,
    "rot90": ops_cases.A, "trace": ops_cases.A, "corrcoef": ops_cases.A, "rfft": ops_cases.A,
    "stft": ops_cases.SOUND, "image.ssim": ops_cases.IM16,
    "snake": ops_cases.A,
    "diff": ops_cases.A, "trapezoid": ops_cases.A, "square": ops_cases.A, "repeat": ops_cases.A,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SMOOTH))
def test_derivatives_agree_with_differences(name, rng):
    x = SMOOTH[name]
    f = function(name)
    if name == "repeat":
        f = lambda v: ops.repeat(v, 2)  # noqa: E731
    if name == "image.ssim":
        f = lambda v: ops.image.ssim(v, 1.0 - ops_cases.IM16)  # noqa: E731
    if name == "stft":
        f = lambda v: ops.stft(v, 6, 2, 8)  # noqa: E731
    weights = [rng.normal(size=a.shape).astype("f") for a in arrays(f(x))]

    def loss(v):
        parts = f(v)
        parts = parts if isinstance(parts, list | tuple) else [parts]
        total = 0.0
        for p, w in zip(parts, weights, strict=True):
            total = total + ops.sum(p * w)
        return total

    gradient = np.asarray(fastnn.grad(loss)(x), np.float64)
    step = rng.normal(size=x.shape)
    if name in ("cholesky", "logdet"):
        step = step + np.swapaxes(step, -1, -2)  # these read a symmetric matrix
        gradient = 0.5 * (gradient + np.swapaxes(gradient, -1, -2))
    h = 2e-3
    ends = [float(loss((x + s * h * step).astype("f"))) for s in (1, -1)]
    wanted = (ends[0] - ends[1]) / (2 * h)
    assert float((gradient * step).sum()) == pytest.approx(wanted, rel=2e-2, abs=3e-2)


@pytest.mark.parametrize(
    ("where", "name", "says"),
    [
        ("ops.nn", "polar", "no complex numbers"),
        ("ops", "sigmoyd", "did you mean sigmoid"),
        ("ops", "frobnicate", "lists what there is"),
    ],
)
def test_a_missing_function_is_answered_with_a_reason_or_a_name_that_is_close(where, name, says):
    module = function(where.removeprefix("ops.")) if "." in where else ops
    with pytest.raises(AttributeError, match=says):
        getattr(module, name)


def test_namespaces_hold_the_same_functions():
    assert ops.nn.relu is ops.relu
    assert ops.numpy.add is ops.add
    assert ops.linalg.solve is ops.solve
    assert absent.close_names("distribute", ["exit_strategy", "Constraint"]) == []


def test_a_function_on_values_says_so_where_a_step_is_traced():
    with pytest.raises(fastnn.TraceError, match=r"svd: NumPy computes it on values.*\n  hint:"):
        fastnn.jit(ops.svd)(np.eye(3, dtype="f"))
    with pytest.raises(fastnn.TraceError, match=r"unique: .*\n  hint:"):
        fastnn.jit(ops.unique)(np.ones(3, "f"))


def test_bad_arguments_of_functions_are_named():
    a = ops_cases.A
    for call, says in [
        (lambda: ops.einsum("ij,jk->ik", a, a), "axis 'j' has size 5"),
        (lambda: ops.einsum("ij->ii", a), "repeats a letter"),
        (lambda: ops.einsum("i...->i", a), "none in the result"),
        (lambda: ops.einsum("i", a), "does not name the axes"),
        (lambda: ops.einsum("ij,jk", a), "2 terms for 1 tensors"),
        (lambda: ops.tensordot(a, a, 1), "summed axes must have one size"),
        (lambda: ops.solve(a, a), "square matrices"),
        (lambda: ops.inv(np.zeros((2, 2), "f")), "singular"),
        (lambda: ops.cholesky(-np.eye(2, dtype="f")), "positive definite"),
        (lambda: ops.scatter(np.array([[7]]), np.ones((1,), "f"), (3,)), "position"),
        (lambda: ops.searchsorted(a, a), "wanted a vector"),
        (lambda: ops.bincount(np.array([-1])), "numbers from 0"),
        (lambda: ops.rearrange(a, "a b -> a c"), "name the same axes"),
        (lambda: ops.eig(np.array([[0.0, 1.0], [-1.0, 0.0]])), "complex"),
        (lambda: ops.bitwise_and(a, 1), "whole numbers"),
    ]:
        with pytest.raises((ValueError, TypeError, fastnn.FastnnError), match=says) as caught:
            call()
        assert "\n  hint:" in str(caught.value)


def test_choices_and_loops():
    assert float(ops.cond(ops.convert_to_tensor(True), lambda: 1.0, lambda: 2.0)) == 1.0
    assert float(ops.switch(5, [lambda: 1.0, lambda: 2.0])) == 2.0
    counted = ops.while_loop(lambda i, s: i < 4, lambda i, s: (i + 1, s * 2.0), (0, 1.0))
    assert [float(v) for v in counted] == [4.0, 16.0]
    assert float(ops.fori_loop(0, 3, lambda i, v: v + i, 0.0)) == 3.0
    scanned = ops.associative_scan(lambda a, b: a + b, np.arange(6.0, dtype="f"))
    assert np.asarray(scanned).tolist() == [0, 1, 3, 6, 10, 15]
    squares = ops.vectorized_map(lambda v: v * v, np.arange(3.0, dtype="f"))
    assert np.asarray(squares).tolist() == [0, 1, 4]
    halves = ops.vectorize(lambda v: v / 2)(np.arange(3.0))
    assert np.asarray(halves).tolist() == [0, 0.5, 1]
    value, slope = ops.linalg.jvp(lambda v: ops.sum(v**3), [ops_cases.V], [np.ones(7, "f")])
    assert float(value) == pytest.approx(float((ops_cases.V**3).sum()), rel=1e-4)
    assert float(slope) == pytest.approx(float(3 * (ops_cases.V**2).sum()), rel=1e-4)


def test_choices_and_loops_while_a_step_is_traced():
    f = fastnn.jit(lambda p, x: ops.cond(p > 0, lambda: x * 2.0, lambda: x - 1.0))
    assert [float(f(np.float32(p), np.float32(3.0))) for p in (1, -1)] == [6.0, 2.0]
    g = fastnn.jit(
        lambda n: ops.while_loop(
            lambda i, s: i < n, lambda i, s: (i + 1, s * 2.0), (0, 1.0), maximum_iterations=8
        )[1]
    )
    assert float(g(np.int32(5))) == 32.0
    h = fastnn.jit(lambda k, x: ops.switch(k, [lambda v: v, lambda v: -v, lambda v: v * v], x))
    assert [float(h(np.int32(k), np.float32(3.0))) for k in (0, 1, 2, 9)] == [3.0, -3.0, 9.0, 9.0]
    with pytest.raises(fastnn.TraceError, match="maximum_iterations"):
        fastnn.jit(lambda n: ops.while_loop(lambda i: i < n, lambda i: i + 1, 0))(np.int32(5))
    v = fastnn.Variable(1.0)
    k = fastnn.jit(lambda p: ops.cond(p > 0, lambda: v.assign(2.0), lambda: v.value + 0.5))
    assert [float(k(p)) for p in (-1.0, 1.0, -1.0)] == [1.5, 2.0, 2.5]
    assert float(v) == 2.0


def test_joins_without_an_axis_go_along_the_first_and_old_files_keep_the_last(tmp_path):
    assert ops.concatenate([np.ones((2, 3)), np.zeros((2, 3))]).shape == (4, 3)
    assert ops.cumsum(np.ones((2, 3), "f")).shape == (6,)
    a = fastnn.Input((3,))
    model = fastnn.Model(a, ops.cumsum(ops.concatenate([a, a], axis=-1), axis=1))
    model.save(tmp_path / "m.safetensors")
    x = np.ones((2, 3), "f")
    again = fastnn.models.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert ops.IN_FILES["concatenate"]([x, x]).shape == (2, 6)
    assert ops.IN_FILES["cumsum"](x).shape == (2, 3)


def test_snake_and_its_slopes_hold_for_any_frequency():
    x = np.array([-3.0, -1e-20, 0.0, 0.7, 2.0, 1e4], "f")
    slopes = fastnn.grad(lambda x, a: ops.sum(ops.snake(x, a)), argnums=(0, 1))
    for a in (-2.0, -1e-30, 0.0, 1e-30, 1e-5, 0.5, 30.0):
        f, a = np.float64(x), float(np.float32(a))
        angle = np.float64(np.float32(a) * x)  # the angle as float32 has it
        wanted = x if a == 0 else f + np.sin(angle) ** 2 / a
        assert np.asarray(ops.snake(x, a)) == pytest.approx(wanted, rel=1e-6)
        by_x, by_a = slopes(x, np.full(6, a, "f"))
        assert np.asarray(by_x) == pytest.approx(1 + np.sin(2 * angle), rel=1e-5, abs=3e-6)
        wanted = f * f * (np.sinc(angle / np.pi) * (2 * np.cos(angle) - np.sinc(angle / np.pi)))
        assert np.asarray(by_a) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_choices_between_element_types_give_the_wider():
    x, i = np.array([-1.0, 2.0], "f"), np.array([7, 8])
    f = fastnn.jit(lambda x, i: (ops.where(x > 0, x, i), ops.select([x > 0], [x], 0)))
    for a, b in (f(x, i), (ops.where(x > 0, x, i), ops.select([x > 0], [x], 0))):
        assert np.array_equal(np.asarray(a), [7.0, 2.0])
        assert a.dtype == "float32"
        assert np.array_equal(np.asarray(b), [0.0, 2.0])
    for c, a, b, kind in (
        (x > 0, x, 0, "float32"), (x > 0, True, 0.5, "float32"), (x > 0, i, True, "int32"),
        (x > 0, 1, 0, "int32"), (x > 0, x > 1, False, "bool"), ([1, 0], 1.0, 0, "float32"),
    ):  # fmt: skip
        got = ops.where(c, a, b)
        assert got.dtype == kind
        assert np.array_equal(np.asarray(got), np.where(c, a, b))


def test_export_says_which_file_other_packages_open():
    with pytest.raises(ValueError, match=r"'tf_saved_model' is not written.*\n  hint: .*m.keras"):
        fastnn.Sequential([fastnn.layers.Dense(1)]).export("m", format="tf_saved_model")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ops.linspace(0, 1, num=-2), "num is -2"),
        (lambda: ops.linspace(0, 1, num=2.5), "num is 2.5"),
        (lambda: ops.logspace(0, 1, num=-2), "num is -2"),
        (lambda: ops.split(np.ones(4), 0), "got 0 sections"),
        (lambda: ops.split(np.ones(4), -2), "got -2 sections"),
        (lambda: fastnn.set_num_threads(0), "got 0"),
        (lambda: fastnn.set_num_threads(-1), "got -1"),
    ],
)
def test_counts_that_are_none_are_told_with_a_hint(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "hint:" in str(caught.value)


def test_fold_and_unfold_are_each_others_transpose_and_place_windows_row_by_row():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(2, 3, 6, 5)).astype("f")
    how = {"kernel_size": (3, 2), "dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}
    columns = ops.unfold(x, **how).numpy()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
    wanted = [
        padded[:, :, 2 * a : 2 * a + 3, b : b + 3 : 2].reshape(2, -1)
        for a in range(3) for b in range(3)
    ]  # fmt: skip
    np.testing.assert_array_equal(columns, np.stack(wanted, axis=-1))
    other = draw.normal(size=columns.shape).astype("f")
    folded = ops.fold(other, (6, 5), **how).numpy()
    assert float((folded * x).sum()) == pytest.approx(float((other * columns).sum()), rel=1e-4)
    with pytest.raises(ValueError, match=r"fold: x has shape(?s:.)*hint:"):
        ops.fold(other[:, :-1], (6, 5), **how)


@pytest.mark.parametrize("space", [ops, fastnn.activations])
def test_activations_that_only_cut_keep_whole_numbers(space):
    x = np.array([-16777217, -1, 3, 9, 16777217], np.int32)
    for name, low, high in (("relu", 0, None), ("relu6", 0, 6), ("hard_tanh", -1, 1)):
        got = getattr(space, name)(x)
        assert got.dtype == "int32"
        np.testing.assert_array_equal(got.numpy(), np.clip(x, low, high))


def test_positions_of_extremes_of_large_whole_numbers_are_exact():
    x = np.array([[16777216, 16777217, -16777216, -16777217], [3, 3, 2, 2]], np.int32)
    for name in ("argmax", "argmin"):
        for how in ({}, {"axis": 0}, {"axis": -1, "keepdims": True}):
            op = getattr(ops, name)
            for got in (op(x, **how), fastnn.jit(lambda a, op=op, how=how: op(a, **how))(x)):
                np.testing.assert_array_equal(got.numpy(), getattr(np, name)(x, **how))


def test_full_is_of_floats_unless_told():
    for value in (3, True, np.int64(3), ops.convert_to_tensor(3)):
        assert ops.full((2,), value).dtype == "float32"
        assert ops.full((2,), value, "int32").dtype == "int32"


def test_whole_numbers_to_whole_powers_are_exact():
    x = np.array([4097, -3, 0], np.int32)
    t, v = ops.convert_to_tensor(x), fastnn.Variable(x, dtype="int32")
    for n in (0, 1, 2, 3, 7):
        wanted = x**n
        for got in (t**n, v**n, ops.power(x, n), fastnn.jit(lambda a, n=n: a**n)(x)):
            assert str(got.dtype) == "int32"
            np.testing.assert_array_equal(np.asarray(got), wanted)
    base = np.array([[2], [-3], [7], [0]], np.int32)
    exponent = np.array([1, 5, 40, 0], np.int32)
    for got in (ops.power(base, exponent), fastnn.jit(ops.power)(base, exponent)):
        np.testing.assert_array_equal(got.numpy(), base**exponent)
        assert got.dtype == "int32"
    negative = ops.power(np.array([1, -1, -1, 2, 0]), np.array([-3, -3, -2, -1, -1]))
    np.testing.assert_array_equal(negative.numpy(), [1, -1, 1, 0, 0])
    np.testing.assert_allclose((t[:2] ** -1).numpy(), 1.0 / x[:2], rtol=1e-6)
    np.testing.assert_array_equal((ops.convert_to_tensor([True, False]) ** 2).numpy(), [1, 0])


def test_every_op_is_where_its_family_says():
    for family, names in FAMILIES.items():
        module = importlib.import_module(f"fastnn.ops.{family}")
        assert sorted(module.__all__) == names.split()
        for name in names.split():
            assert getattr(ops, name) is getattr(module, name)
            assert getattr(ops, name).__module__ == "fastnn.ops"
    rows = {row.name for row in fastnn._core.op_table()}
    assert set(ops.__all__) == rows.union(*(names.split() for names in FAMILIES.values()))


def test_an_op_loads_its_family_when_it_is_asked_for(run_python):
    answer = run_python(
        "import pickle, sys\n"
        "import fastnn\n"
        "from fastnn import ops\n"
        "print('fastnn.ops.nn' in sys.modules, 'softmax' in dir(ops))\n"
        "print(ops.softmax is ops.nn.softmax, ops.linalg.softmax is ops.softmax)\n"
        "print(ops.exp is ops.rows.exp, pickle.loads(b'cfastnn.ops\\nfft\\n.') is ops.fft)\n"
        "print(pickle.loads(b'cfastnn.ops.fourier\\nfft\\n.').__module__)\n"
    )
    assert answer.split() == ["False", "True", "True", "True", "True", "True", "fastnn.ops"]


def test_settings_may_be_arrays_of_numpy():
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    starts, sizes = np.array([0, 1, 1]), np.array([1, 2, 2])
    wanted = x[:1, 1:3, 1:3]
    for found in (
        ops.slice(x, starts, sizes),
        ops.slice(x, start_indices=list(starts), shape=list(sizes)),
        ops.slice(x, ops.convert_to_tensor(starts), sizes),
        fastnn.jit(lambda v: ops.slice(v, starts, sizes))(x),
    ):
        assert np.array_equal(found, wanted)
    assert [v.shape for v in ops.unstack(x, num=np.int64(2))] == [(3, 4)] * 2
    with pytest.raises(fastnn.errors.ShapeError, match="one size for each"):
        ops.slice(x, starts)


def test_numbers_that_branches_and_loops_give_are_tensors():
    assert ops.fori_loop(0, 3, lambda i, v: v + i, 0).numpy() == 3
    assert ops.cond(True, lambda: 1.0, lambda: 2.0).numpy() == 1.0
    assert ops.switch(1, [lambda: 1, lambda: {"a": np.float32(2), "b": None}])["a"].numpy() == 2.0
    first = ops.fori_loop(0, 2, lambda i, v: (v[0] + 0.5, v[1]), (np.zeros(2), [1]))
    assert first[0].dtype == "float32"
    assert first[1][0].dtype == "int32"


def test_the_angle_of_infinities_is_that_of_their_sign():
    x = np.array([np.inf, -np.inf, -2.0, 0.0, np.nan], "float32")
    np.testing.assert_allclose(ops.angle(x).numpy(), np.angle(x), rtol=1e-6)


def test_a_length_with_an_infinite_side_is_infinite():
    x, y = np.array([np.inf, np.nan, -np.inf, np.nan, 3]), np.array([np.nan, -np.inf, np.inf, 1, 4])
    np.testing.assert_array_equal(fastnn.ops.hypot(x, y).numpy(), np.hypot(x, y).astype("float32"))


def test_indices_along_an_axis_broadcast_with_the_others():
    x = np.arange(24.0, dtype="f").reshape(2, 3, 4)
    for shape, axis in [((1, 2, 4), 1), ((2, 5, 1), 1), ((1, 1, 3), -1), ((3, 1, 1), 0)]:
        at = np.random.default_rng(0).integers(0, x.shape[axis], shape)
        got = ops.take_along_axis(x, at, axis=axis).numpy()
        np.testing.assert_array_equal(got, np.take_along_axis(x, at, axis=axis))
    one = np.arange(4.0, dtype="f").reshape(1, 4)
    at = np.array([[0, 3], [2, 1]])
    got = ops.take_along_axis(one, at, axis=1).numpy()
    np.testing.assert_array_equal(got, np.take_along_axis(one, at, axis=1))
    feed = fastnn.Input((3, 4))
    assert ops.take_along_axis(feed, at[None, :, :1], axis=1).shape == (None, 2, 4)


def test_tensors_join_as_flat_ones_without_an_axis():
    x = np.arange(6).reshape(2, 3)
    got = ops.concatenate([x, x[:1]], axis=None).numpy()
    np.testing.assert_array_equal(got, np.concatenate([x, x[:1]], axis=None))


def test_a_size_of_minus_one_takes_the_rest_of_an_axis():
    x = np.arange(12.0, dtype="f").reshape(3, 4)
    np.testing.assert_array_equal(ops.slice(x, (1, 2), (-1, -1)).numpy(), x[1:, 2:])
    np.testing.assert_array_equal(ops.slice(x, (-1, 0), (-1, 2)).numpy(), x[-1:, :2])
    feed = fastnn.Input((4,))
    assert ops.slice(feed, (0, 1), (-1, -1)).shape == (None, 3)
    with pytest.raises(fastnn.errors.ShapeError, match=r"slice: shape is -1 for axis 0 .*\n  hint"):
        ops.slice(feed, (1, 1), (-1, -1))


def test_several_classes_are_named_by_the_axis_after_the_batch():
    named = np.array([[[0], [1], [2]], [[4], [4], [0]]])
    got = ops.multi_hot(named, 5).numpy()
    want = np.zeros((2, 1, 5))
    want[0, 0, :3] = want[1, 0, [4, 0]] = 1
    np.testing.assert_array_equal(got, want)


def test_whole_numbers_between_coordinates_are_rounded():
    got = ops.image.map_coordinates(np.array([0, 10, 20]), [[0.26, 1.84]], 1, fill_value=3)
    assert got.dtype == "int32"
    assert got.tolist() == [3, 18]
    got = ops.image.map_coordinates(np.array([0, 10, 20]), [[-5.0, 1.6]], 0, fill_value=3)
    assert got.tolist() == [3, 20]


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (-1, 4)])
def test_images_without_pixels_are_refused(size):
    with pytest.raises(fastnn.errors.ShapeError, match=r"resize: size .*\n  hint"):
        ops.image.resize(np.zeros((1, 8, 8, 3)), size)
    with pytest.raises(ValueError, match=r"block_size is 0, wanted .*\n  hint"):
        ops.depth_to_space(np.zeros((1, 2, 2, 4)), 0)


def test_argpartition_without_an_axis_is_of_all_elements():
    x = np.array([[3.0, 1.0, 2.0], [9.0, 0.0, 5.0]], np.float32)
    found = ops.argpartition(x, 2, axis=None).numpy()
    assert found.shape == (6,)
    assert sorted(found[:2]) == [1, 4]
    assert found[2] == 2
    with pytest.raises(ValueError, match="kth is 6 of 6 elements"):
        ops.argpartition(x, 6, axis=None)
