"""Storage types (bfloat16, float16, int8, uint8): exact bits in and out, conversions that round as
integer arithmetic says, and every op on them as on the same values in float32 or int32.

The whole file runs again under every instruction set of the machine.
"""

import os
import tracemalloc

import numpy as np
import pytest

import fastnn
import ops_cases
from fastnn import _core, ops
from instruction_sets import assert_holds_on, each_lower_set
from row_table import ROWS, cases_of, sample, table

WIDE = {"bfloat16": "float32", "float16": "float32", "int8": "int32", "uint8": "int32"}
STORED = list(WIDE)


def bits(x) -> np.ndarray:
    """The bits of an array, all NaN alike."""
    x = np.asarray(x)
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), np.array(np.nan, x.dtype), x)
    return np.frombuffer(x.tobytes(), np.uint8)


def same(got, wanted, what="") -> None:
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype), what
    assert np.array_equal(bits(got), bits(wanted)), f"{what}: {got} != {wanted}"


def stored(x, dtype):
    """A tensor of a storage type and, in NumPy, the same values as they are computed with."""
    t = _core.tensor(x).astype(dtype)
    return t, np.asarray(t.astype(WIDE[dtype]))


# ---- conversions --------------------------------------------------------------------------


def bfloat16_bits(x: np.ndarray) -> np.ndarray:
    """To the nearest, ties to even, by integer arithmetic."""
    b = x.view(np.uint32).astype(np.uint64)
    rounded = ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype(np.uint16)
    quiet = ((b >> 16) & 0x8000 | 0x7FC0).astype(np.uint16)
    return np.where(np.isnan(x), quiet, rounded)


def float16_bits(x: np.ndarray) -> np.ndarray:
    """To the nearest, ties to even, by integer arithmetic."""
    b = x.view(np.uint32).astype(np.int64)
    sign, exponent, fraction = b >> 16 & 0x8000, (b >> 23 & 255) - 127, b & 0x7FFFFF | 0x800000
    # In units of the smallest number of that size: 2^(exponent - 10), but 2^-24 for small ones.
    shift = np.clip(np.where(exponent < -14, -1 - exponent, 13), 13, 60)
    down, rest, half = fraction >> shift, fraction & ((1 << shift) - 1), 1 << (shift - 1)
    units = down + ((rest > half) | (rest == half) & (down & 1 == 1))
    units = np.where(exponent == -127, 0, units)
    magnitude = np.where(exponent < -14, units, ((exponent + 14) << 10) + units)
    magnitude = np.where(magnitude >= 0x7C00, 0x7C00, magnitude)
    magnitude = np.where(np.isnan(x), 0x7E00 | (b >> 13 & 0x3FF), magnitude)
    return (sign | magnitude).astype(np.uint16)


def hard_floats(rng) -> np.ndarray:
    """Floats of all kinds: any bits, ties and their neighbours, limits, and the smallest."""
    drawn = rng.integers(0, 2**32, 60_000, dtype=np.uint64).astype(np.uint32)
    ties = np.arange(0, 2**32, 2**15, dtype=np.uint64)
    near = (ties[:, None] + np.array([-1, 0, 1])).ravel() % 2**32
    small = np.arange(0, 2**25, 4099, dtype=np.uint64)
    halves = rng.integers(0x33000000 // 2**12, 0x47FFFFFF // 2**12, 30_000) * 2**12
    parts = [drawn, near, small, halves, halves + 2**31, halves + 1, np.maximum(halves, 1) - 1]
    return np.concatenate([p.astype(np.uint32) for p in parts]).view(np.float32)


def raw(tensor) -> np.ndarray:
    """The 16-bit patterns of a tensor, through a file."""
    path = os.path.join(raw.folder, "bits.safetensors")
    _core.save_file(path, {"x": tensor})
    with open(path, "rb") as file:
        return np.frombuffer(file.read()[-2 * tensor.size :], np.uint16)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    raw.folder = str(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "wanted"), [("bfloat16", bfloat16_bits), ("float16", float16_bits)]
)
def test_floats_round_to_the_nearest_ties_to_even(dtype, wanted, rng):
    x = hard_floats(rng)
    got = raw(_core.tensor(x).astype(dtype))
    want = wanted(x)
    wrong = got != want
    assert not wrong.any(), (x[wrong][:5], got[wrong][:5], want[wrong][:5])


def test_float16_rounds_as_numpy(rng):
    x = hard_floats(rng)
    with np.errstate(over="ignore", invalid="ignore"):
        same(_core.tensor(x).astype("float16"), x.astype(np.float16))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_half_is_read_exactly(dtype, tmp_path):
    every = np.arange(2**16, dtype=np.uint32).astype(np.uint16)
    wanted = (every.astype(np.uint32) << 16).view(np.float32)
    if dtype == "float16":
        wanted = every.view(np.float16).astype(np.float32)
    code = {"bfloat16": "BF16", "float16": "F16"}[dtype]
    header = f'{{"x":{{"dtype":"{code}","shape":[65536],"data_offsets":[0,131072]}}}}'.encode()
    path = tmp_path / "all.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + every.tobytes())
    x = _core.load_file(str(path))[0]["x"]
    assert x.dtype == dtype
    same(x.astype("float32"), wanted)
    assert np.array_equal(raw(x), every), "the bits of a file stay what they are"
    # A value that a type holds is that value again, NaN a NaN.
    again = raw(x.astype("float32").astype(dtype))
    number = ~np.isnan(wanted)
    assert np.array_equal(again[number], every[number])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_integers_wrap_as_in_numpy(dtype, rng):
    whole = rng.integers(-(2**31), 2**31, 5000).astype(np.int32)
    same(_core.tensor(whole).astype(dtype), whole.astype(dtype))
    floats = (rng.normal(size=5000) * 300).astype(np.float32)
    same(_core.tensor(floats).astype(dtype), np.trunc(floats).astype(np.int32).astype(dtype))
    odd = np.array([np.nan, np.inf, -np.inf, 3e9], np.float32)
    assert np.asarray(_core.tensor(odd).astype(dtype)).tolist() == [0, 0, 0, 0]
    every = np.arange(256).astype(np.uint8).view(dtype)
    same(_core.tensor(every, dtype=dtype).astype("int32"), every.astype(np.int32))
    same(_core.tensor(every, dtype=dtype).astype("float32"), every.astype(np.float32))


@pytest.mark.parametrize("dtype", STORED)
def test_numbers_that_do_not_fit_are_refused_by_name(dtype):
    bad = {"bfloat16": 3.4e38, "float16": 70000.0, "int8": 128, "uint8": -1}[dtype]
    with pytest.raises(_core.DataError, match=rf"(?s)position 1.*{dtype}.*hint:"):
        _core.tensor(np.array([1, bad]), dtype=dtype)


# ---- every op ----------------------------------------------------------------------------------


def run_row(name, inputs, attrs):
    out = _core.apply(name, list(inputs), attrs)
    out = list(out) if isinstance(out, list | tuple) else [out]
    for x in out:
        x.numpy()  # some values do not fit only when they are computed
    return out


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("name", sorted(table()))
def test_a_row_computes_with_the_values_that_are_stored(name, dtype, rng):
    row, tried = ROWS[name], 0
    for one in cases_of(row, small=False):
        arrays = sample(row, one, rng)
        kind = "f" if WIDE[dtype] == "float32" else "i"
        sides = [i for i, a in enumerate(arrays) if a.dtype.kind == kind]
        for chosen in [[i] for i in sides] + [sides] * (len(sides) > 1):
            narrow, wide = list(arrays), list(arrays)
            for i in chosen:
                narrow[i], wide[i] = stored(arrays[i], dtype)
            try:
                wanted = run_row(name, wide, one.attrs)
            except fastnn.errors.FastnnError:
                continue  # the values themselves do not fit the op
            try:
                got = run_row(name, narrow, one.attrs)
            except (fastnn.errors.DataError, fastnn.errors.ShapeError):
                # Operands that must be of one type are one by one refused, never misread.
                if len(sides) > 1 and chosen != sides:
                    continue
                raise
            tried += 1
            for g, w in zip(got, wanted, strict=True):
                if g.dtype in WIDE:
                    assert g.dtype == dtype or name.startswith("to_") or name == "cast"
                    g = g.astype(WIDE[g.dtype])
                    w = w.astype(g.dtype)
                same(g, w, f"{name} {one.label()} {chosen}")
    floats = any(
        a.dtype.kind == "f" for c in cases_of(row, small=True) for a in sample(row, c, rng)
    )
    assert tried or not (floats and dtype == "bfloat16") or not row.args


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("name", sorted(set(ops_cases.CASES) & set(ops.__all__)))
def test_a_function_of_ops_computes_with_the_values_that_are_stored(name, dtype):
    call = getattr(ops, name)
    kind = "f" if WIDE[dtype] == "float32" else "i"

    def converted(value, narrow):
        if isinstance(value, list | tuple):
            return type(value)(converted(v, narrow) for v in value)
        if isinstance(value, np.ndarray) and value.dtype.kind == kind:
            return stored(value, dtype)[0 if narrow else 1]
        return value

    def flat(value):
        if isinstance(value, list | tuple):
            return [x for v in value for x in flat(v)]
        return [value]

    for args, kwargs in ops_cases.CASES[name]:
        wide, narrow = converted(args, False), converted(args, True)
        try:
            wanted = call(*wide, **kwargs)
            [np.asarray(x) for x in flat(wanted)]
        except (fastnn.errors.FastnnError, ValueError, TypeError, IndexError):
            continue
        got = call(*narrow, **kwargs)
        for g, w in zip(flat(got), flat(wanted), strict=True):
            g, w = np.asarray(g), np.asarray(w)
            assert g.shape == w.shape, name
            kinds = {"f": "f", "i": "iu", "b": "b", "u": "iu"}
            assert g.dtype.kind in kinds.get(w.dtype.kind, w.dtype.kind), (name, g.dtype, w.dtype)
            g, w = g.astype(np.float64), w.astype(np.float64)
            # Sums of products may be added in another order.
            assert np.allclose(g, w, rtol=1e-6, atol=1e-6, equal_nan=True), (name, g, w)


SHAPES = [(1, 300, 130), (3, 64, 64), (5, 1, 7), (40, 513, 1), (130, 600, 70), (2, 0, 3)]


@pytest.mark.parametrize("dtype", STORED)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("m", "k", "n"), SHAPES)
def test_a_product_reads_stored_weights_as_they_lie(dtype, turned, m, k, n, rng):
    a = rng.normal(size=(m, k)).astype("f")
    b, wide = stored((rng.normal(size=(n, k) if turned else (k, n)) * 9).astype("f"), dtype)
    got = _core.apply("matmul", [a, b], {"transpose_b": turned})
    exact = a.astype(np.float64) @ (wide.T if turned else wide).astype(np.float64)
    size = np.abs(a) @ np.abs(wide.T if turned else wide) + 1e-30
    assert got.dtype == "float32"
    assert (np.abs(np.asarray(got) - exact) <= 1e-6 * size * max(1, k) ** 0.5).all()
    # In a function the weights are an input of the step itself: no copy of them is made before.
    x, w = _core.placeholder((m, k)), _core.placeholder(b.shape, dtype=dtype)
    y = _core.apply("matmul", [x, w], {"transpose_b": turned})
    f = _core.Function([x, w], [_core.ops.relu(y + 1.0)])
    same(f(a, b), np.maximum(np.asarray(got) + np.float32(1), 0))
    if k:
        heads = [line for line in f.steps.split(":\n")[-1].splitlines() if "  " in line]
        assert sum("head" in line for line in heads) == 1, f.steps
        assert not any("tile" in line or "copy" in line for line in heads), f.steps


@pytest.mark.parametrize("dtype", STORED)
def test_fused_groups_read_and_write_storage_types(dtype, rng):
    x, wide = stored((rng.normal(size=(37, 45, 3)) * 50).astype("f"), dtype)
    p, q = _core.placeholder(x.shape, dtype=dtype), _core.placeholder((37, 1, 3))
    turned = _core.ops.transpose(p, axes=(2, 0, 1))
    y = _core.ops.transpose(turned * 0.5, axes=(1, 2, 0)) + q
    f = _core.Function([p, q], [y, y.astype(dtype), _core.ops.sum(y, axis=(1,))])
    b = rng.normal(size=(37, 1, 3)).astype("f")
    got = f(x, b)
    want = wide.astype("f") * np.float32(0.5) + b
    same(got[0], want)
    same(got[1], stored(want, dtype)[0])
    assert np.allclose(got[2], want.sum(1), atol=1e-2)
    for large in (10_000_019, 512 * 7 + 3):
        v, wide = stored((rng.normal(size=large) * 50).astype("f"), dtype)
        p = _core.placeholder((large,), dtype=dtype)
        f = _core.Function([p], [(p.astype("float32") * 3.0).astype(dtype)])
        same(f(v), stored(wide.astype("f") * np.float32(3), dtype)[0])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_gradients_of_stored_floats_are_those_of_their_values(dtype, rng):
    table, wide = stored(rng.normal(size=(11, 4)).astype("f"), dtype)
    w, wide_w = stored(rng.normal(size=(4, 3)).astype("f"), dtype)
    ids = np.array([1, 5, 5, 0], np.int32)

    def loss(table, w):
        return ops.sum(ops.square(ops.matmul(ops.take(table, ids, axis=0), w)))

    got = fastnn.grad(loss, argnums=(0, 1))(table, w)
    want = fastnn.grad(loss, argnums=(0, 1))(wide, wide_w)
    for g, v in zip(got, want, strict=True):
        assert g.dtype == "float32"
        np.testing.assert_allclose(np.asarray(g), np.asarray(v), rtol=1e-5, atol=1e-6)


def test_int8_weights_with_a_scale_per_column_are_one_step(rng):
    x, w = rng.normal(size=(33, 200)).astype("f"), rng.normal(size=(200, 70)).astype("f")
    scale = (np.abs(w).max(0) / 127).astype("f")
    q = _core.tensor(np.round(w / scale)).astype("int8")
    bias = rng.normal(size=70).astype("f")
    a, b = _core.placeholder((33, 200)), _core.placeholder((200, 70), dtype="int8")
    s, c = _core.placeholder((70,)), _core.placeholder((70,))
    f = _core.Function([a, b, s, c], [_core.ops.relu(_core.ops.matmul(a, b) * s + c)])
    wanted = np.maximum(x @ (np.asarray(q).astype("f") * scale) + bias, 0)
    np.testing.assert_allclose(f(x, q, scale, bias), wanted, rtol=1e-4, atol=1e-4)
    plan = f.steps.split(":\n")[-1]
    assert "head" in plan
    assert not any(kind in plan for kind in ("tile", "kernel", "copy ")), f.steps


# ---- conversions --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", STORED)
def test_values_go_out_and_in_with_their_bits(dtype, rng):
    t, wide = stored((rng.normal(size=(3, 5)) * 50).astype("f"), dtype)
    a = np.asarray(t)
    assert a.dtype == ("float32" if dtype == "bfloat16" else dtype)
    assert np.array_equal(a, wide)
    assert np.array_equal(np.array(t, np.float64), wide)
    assert t.tolist() == wide.tolist()
    assert t[1, 2].item() == wide[1, 2]
    assert f"dtype={dtype}" in repr(t)
    same(_core.tensor(a, dtype=dtype).astype(WIDE[dtype]), wide)
    back = _core.from_dlpack(t)
    assert back.dtype == dtype
    same(back.astype(WIDE[dtype]), wide)
    if dtype != "bfloat16":
        same(np.from_dlpack(t), a)
        same(_core.from_dlpack(a), a)
    v = fastnn.Variable(t, dtype=dtype)
    assert v.dtype == dtype
    v.assign(np.zeros((3, 5), "f"))
    assert v.dtype == dtype
    assert not np.asarray(v).any()
    for keras in (ops.cast(wide, dtype), ops.array(a, dtype=dtype), ops.convert_to_tensor(t)):
        assert keras.dtype == dtype
        same(keras.astype(WIDE[dtype]), wide)


@pytest.mark.parametrize("dtype", STORED)
def test_a_file_keeps_types_and_bits_and_a_model_reads_any(dtype, tmp_path, rng):
    kernel, wide = stored((rng.normal(size=(6, 4)) * 3).astype("f"), dtype)
    path = str(tmp_path / "k.safetensors")
    _core.save_file(path, {"kernel": kernel, "half": wide})
    tensors = _core.load_file(path)[0]
    assert tensors["kernel"].dtype == dtype
    assert tensors["half"].dtype == WIDE[dtype]
    same(tensors["kernel"].astype(WIDE[dtype]), wide)
    layer = fastnn.layers.Dense(4)
    layer.build((None, 6))
    layer.kernel.assign(tensors["kernel"])
    assert layer.kernel.dtype == "float32"
    same(layer.kernel.numpy(), wide.astype("f"))


@pytest.mark.parametrize("dtype", STORED)
def test_inputs_of_storage_types_are_read_as_they_are(dtype, rng):
    x = (rng.normal(size=(20, 6)) * 50).astype("f")
    t, wide = stored(x, dtype)
    inputs = fastnn.Input((6,), dtype=dtype)
    model = fastnn.Model(inputs, fastnn.layers.Dense(3)(inputs))
    given = wide if dtype == "bfloat16" else np.asarray(t)
    got = model.predict(given, batch_size=7, verbose=0)
    layer = model.layers[-1]
    np.testing.assert_allclose(
        got, wide @ layer.kernel.numpy() + layer.bias.numpy(), rtol=2e-5, atol=1e-3
    )


# ---- arrays as they are --------------------------------------------------------------------------


def classifier():
    fastnn.utils.set_random_seed(3)
    inputs = fastnn.Input((40,))
    hidden = fastnn.layers.Dense(8, activation="relu")(fastnn.layers.Rescaling(1 / 255)(inputs))
    model = fastnn.Model(inputs, fastnn.layers.Dense(3, activation="softmax")(hidden))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float16"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_samples_are_read_as_they_are_with_the_same_results(dtype, shuffle, tmp_path, rng):
    x = (rng.random((101, 40)) * 120).astype(dtype)
    y = rng.integers(0, 3, 101).astype("uint8")
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", dtype, x.shape)
    mapped[:] = x
    mapped.flush()
    del mapped
    on_disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    fixed = x.copy()
    fixed.flags.writeable = False
    seen = []
    for given in (x.astype("float32"), x, fixed, on_disk, np.asfortranarray(x)):
        model = classifier()
        history = model.fit(given, y, epochs=2, batch_size=16, shuffle=shuffle, verbose=0)
        scores = model.predict(given, batch_size=7, verbose=0)
        loss = model.evaluate(given, y, verbose=0)
        seen.append((history.history["loss"], scores, loss, model.get_weights()))
    for other in seen[1:]:
        assert other[0] == seen[0][0]
        assert other[2] == seen[0][2]
        same(other[1], seen[0][1])
        for a, b in zip(other[3], seen[0][3], strict=True):
            same(a, b)


def test_no_wider_copy_of_the_samples_is_made(rng):
    x = rng.integers(0, 256, (100_000, 40)).astype(np.uint8)
    y = rng.integers(0, 3, 100_000).astype(np.int32)
    model = classifier()
    model.fit(x[:64], y[:64], verbose=0)
    tracemalloc.start()
    try:
        model.fit(x, y, batch_size=512, verbose=0)
        model.predict(x, batch_size=512, verbose=0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes, f"{peak} bytes beside {x.nbytes} of samples"


def test_a_model_built_on_narrow_samples_takes_others(rng):
    model = fastnn.Sequential([fastnn.layers.Dense(2)])
    model.compile("sgd", "mse")
    x = rng.integers(0, 200, (10, 3)).astype(np.uint8)
    model.fit(x, np.zeros((10, 2), "f"), verbose=0)
    wide = model.predict(x.astype(np.int32) + 300, verbose=0)
    assert np.isfinite(wide).all()


@each_lower_set
def test_storage_types_hold_on_every_instruction_set(isa):
    """This file again in a process that is limited to one instruction set."""
    assert_holds_on(isa, __file__)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", np.int16, np.dtype("uint8")])
def test_saturate_cast_ends_at_the_limits_of_the_type_that_is_asked_for(dtype):
    limits = np.iinfo(dtype)
    for x in (np.array([1e6, -1e6, 7.6], np.float32), np.array([10**6, -(10**6), 7], np.int32)):
        expected = [limits.max, limits.min, 7]
        assert fastnn.ops.saturate_cast(x, dtype).numpy().tolist() == expected
    assert fastnn.ops.saturate_cast(np.array([-5]), "uint32").numpy().tolist() == [0]


@pytest.mark.parametrize("dtype", [None, "int", int, "int32", np.int32, np.dtype("int64")])
def test_overlaps_and_bins_take_whole_types(dtype):
    metric = fastnn.metrics.MeanIoU(2, dtype=dtype)
    metric.update_state([0, 1, 1], [0, 1, 0])
    assert metric.total_cm.dtype == "int32"
    assert float(metric.result()) == 0.5
    bins = fastnn.layers.Discretization([0.0, 1.0], dtype=dtype)
    assert bins(np.array([0.5])).numpy().tolist() == [1]


@pytest.mark.parametrize("dtype", STORED)
def test_what_makes_values_makes_them_in_storage_types(dtype):
    x = np.zeros(2, np.float32)
    made = [
        ops.ones(2, dtype), ops.zeros(2, dtype), ops.full(2, 3, dtype), ops.full(2, [3, 4], dtype),
        ops.empty(2, dtype), ops.eye(2, dtype=dtype), ops.identity(2, dtype),
        ops.arange(2, dtype=dtype),
        ops.linspace(0, 1, 2, dtype=dtype), ops.ones_like(x, dtype), ops.zeros_like(x, dtype),
        ops.full_like(x, 3, dtype), ops.tri(2, dtype=dtype), ops.one_hot([0], 2, dtype=dtype),
    ]  # fmt: skip
    assert {v.dtype for v in made} == {dtype}
    assert [v.astype(WIDE[dtype]).numpy().tolist() for v in made[:4]] == [
        [1, 1],
        [0, 0],
        [3, 3],
        [3, 4],
    ]
    assert ops.ones_like(x, "int64").dtype == "int32"
    for kind in ("ones", "zeros", "identity"):
        weight = fastnn.Variable(fastnn.initializers.get(kind), (2, 2), dtype)
        assert weight.dtype == dtype, kind
        assert weight.value.astype("float32").numpy()[0, 0] == (kind != "zeros")


def test_a_type_that_there_is_not_is_named_by_what_makes_values():
    for make in (ops.ones, ops.zeros, lambda n, dtype: ops.full(n, 2, dtype)):
        with pytest.raises(fastnn.errors.DataError, match="complex64"):
            make(2, "complex64")
