"""The policy "mixed_bfloat16" on the CPU: which products round their operands, and what becomes of
values, gradients and training. The arithmetic is chosen once a process, so programs of their own
run it, forced on (`FASTNN_BF16=1`: by the processor's instruction or emulated) or off."""

import numpy as np
import pytest

import fastnn
from fastnn import _core, layers, ops


@pytest.fixture(autouse=True)
def float32_afterwards():
    yield
    fastnn.config.set_dtype_policy("float32")


def products(layer, x):
    """The precision of each product in a layer's graph."""
    lines = fastnn.debug.show_graph(layer, x).splitlines()
    return ["bfloat16" if "bfloat16" in line else "float32"
            for line in lines if " = matmul(" in line]  # fmt: skip


VALUES = """
import sys
import numpy as np
import fastnn
from fastnn import _core

fastnn.set_num_threads(int(sys.argv[1]))
rng = np.random.default_rng(0)
found = {}
cases = [((70, 49), (49, 65)), ((300, 47), (47, 130)), ((2, 40, 65), (65, 50)),
         ((3, 66, 67), (3, 67, 71)), ((5, 7), (7, 3)), ((1, 64), (64, 64)), ((0, 20), (20, 30)),
         ((20, 0), (0, 30))]
for n, (a, b) in enumerate(cases):
    for left in (False, True):
        for right in (False, True):
            x, w = (rng.normal(size=s).astype("f") for s in (a, b))
            x = np.ascontiguousarray(np.swapaxes(x, -1, -2)) if left else x
            w = np.ascontiguousarray(np.swapaxes(w, -1, -2)) if right else w
            attrs = {"transpose_a": left, "transpose_b": right, "precision": "bfloat16"}

            @fastnn.jit
            def step(x, w, d):
                def value(x, w):
                    y = _core.apply("matmul", [x, w], attrs)
                    return fastnn.ops.sum(y * d), y
                (_, y), grads = fastnn.value_and_grad(value, argnums=(0, 1), has_aux=True)(x, w)
                return y, *grads

            shape = (np.swapaxes(x, -1, -2) if left else x) @ (
                np.swapaxes(w, -1, -2) if right else w)
            d = rng.normal(size=shape.shape).astype("f")
            for key, v in zip(("y", "dx", "dw"), step(x, w, d), strict=True):
                found[f"{n}{left:d}{right:d}{key}"] = np.asarray(v)
            for key, v in (("x", x), ("w", w), ("d", d)):
                found[f"{n}{left:d}{right:d}{key}"] = v
np.savez(sys.argv[2], arithmetic=_core.info()["mixed_bfloat16"], **found)
"""


def rounded(x):
    """The nearest bfloat16, as float64."""
    return np.asarray(_core.tensor(x).astype("bfloat16").astype("float32"), np.float64)


def turned(x, turn):
    return np.swapaxes(x, -1, -2) if turn else x


def summed_to(x, shape):
    """`x` without the axes that were broadcast."""
    lead = x.ndim - len(shape)
    return x.sum(tuple(range(lead)))


@pytest.mark.parametrize("isa", _core.info()["isa_available"])
def test_values_and_gradients_are_those_of_rounded_operands(isa, run_python, tmp_path):
    found = []
    for threads in ("1", "2", "3"):
        at = tmp_path / f"{threads}.npz"
        run_python(VALUES, threads, str(at), FASTNN_ISA=isa, FASTNN_BF16="1")
        found.append(dict(np.load(at)))
    assert found[0].pop("arithmetic").item().startswith("bfloat16")
    for other in found[1:]:  # the same bits for any number of threads
        assert all(np.array_equal(found[0][key], other[key]) for key in found[0])
    worst = 0.0
    for key in (k for k in found[0] if k.endswith("y")):
        case, left, right = key[:-3], key[-3] == "1", key[-2] == "1"
        x, w, d = (found[0][f"{key[:-1]}{name}"] for name in "xwd")
        a, b = turned(x, left), turned(w, right)
        want = {"y": (a, b, False), "dx": (d, turned(b, True), left),
                "dw": (turned(a, True), d, right)}  # fmt: skip
        for name, (p, q, back) in want.items():
            got = np.asarray(found[0][f"{key[:-1]}{name}"], np.float64)
            exact, scale, near = (
                summed_to(turned(f(p) @ f(q), back), got.shape)
                for f in (lambda v: v.astype(np.float64), np.abs, rounded)
            )
            scale = scale.astype(np.float64)
            assert np.all(np.abs(got - exact) <= 2.0**-7 * scale + 1e-12), (key, name)
            # Large enough, so the operands were rounded, and nothing else.
            if case == "3" or (name == "y" and (case in "01" or (case == "2" and not left))):
                assert np.all(np.abs(got - near) <= 2.0**-16 * scale), (key, name)
                worst = max(worst, float(np.max(np.abs(got - exact) / scale)))
    assert worst > 2.0**-14, "nothing was rounded"


def test_without_bfloat16_the_bits_are_those_of_float32(run_python):
    program = """
import numpy as np, fastnn
x, w = np.random.default_rng(0).normal(size=(2, 64, 64)).astype("f")
plain = fastnn.ops.matmul(x, w).numpy()
layer = fastnn.layers.Dense(64, use_bias=False, dtype="mixed_bfloat16")
layer.build((None, 64))
layer.set_weights([w])
assert np.array_equal(layer(x).numpy(), plain) == ({} == 0)
"""
    for way in (0, 1):
        run_python(program.format(way), FASTNN_BF16=str(way))


def test_layers_have_the_policy_they_were_made_under():
    x = np.ones((4, 3), "f")
    before = layers.Dense(2)
    fastnn.config.set_dtype_policy("mixed_bfloat16")
    mixed, exact = layers.Dense(2), layers.Dense(2, dtype="float32")
    fastnn.config.set_dtype_policy("float32")
    given = layers.Dense(2, dtype="mixed_bfloat16")
    assert [y.dtype_policy.name for y in (before, mixed, exact, given)] == [
        "float32", "mixed_bfloat16", "float32", "mixed_bfloat16"]  # fmt: skip
    assert [products(y, x) for y in (before, mixed, exact, given)] == [
        ["float32"], ["bfloat16"], ["float32"], ["bfloat16"]]  # fmt: skip
    assert mixed(x).dtype == mixed.kernel.dtype == mixed.compute_dtype == "float32"
    again = layers.Dense.from_config(mixed.get_config())
    assert again.dtype_policy == mixed.dtype_policy != before.dtype_policy


class Own(layers.Layer):
    """A layer of the caller's, whose constructor takes no dtype."""

    def __init__(self):
        super().__init__()

    def build(self, shape):
        self.inner = layers.Dense(shape[-1])
        self.w = self.add_weight((shape[-1], shape[-1]), "ones", name="w")

    def call(self, x):
        return ops.matmul(x, self.w.value) + x @ self.w.value + ops.einsum(
            "ij,jk->ik", self.inner(x), self.w.value)  # fmt: skip


def test_products_of_layers_inside_and_of_own_layers_follow_the_policy():
    fastnn.config.set_dtype_policy("mixed_bfloat16")
    own = Own()
    heads = layers.MultiHeadAttention(2, 4)
    table = layers.ReversibleEmbedding(5, 4)
    fastnn.config.set_dtype_policy("float32")
    assert products(own, np.ones((4, 3), "f")) == ["bfloat16"] * 4
    assert Own.from_config(own.get_config()).dtype_policy.name == "mixed_bfloat16"
    x = np.ones((2, 5, 8), "f")
    x_in = fastnn.Input((5, 8))
    model = fastnn.Model(x_in, heads(x_in, x_in))
    assert set(products(model, x)) == {"bfloat16"}
    assert len(products(model, x)) >= 4
    assert heads.query_dense.dtype_policy.name == "mixed_bfloat16"
    assert "bfloat16" in str(table.get_config()["dtype"])


def test_products_that_must_be_exact_are_float32():
    class Spectrum(layers.Layer):
        def call(self, x):
            return ops.rfft(x)[0]

    layer = Spectrum(dtype="mixed_bfloat16")
    assert "bfloat16" not in products(layer, np.ones((2, 12), "f"))
    x = np.random.default_rng(0).normal(size=(20, 24)).astype("f")
    np.testing.assert_array_equal(layer(x), ops.rfft(x)[0])
    crossing = layers.HashedCrossing(50, dtype="mixed_bfloat16")
    pair = np.array([3, 7, 900_000_001]), np.array([5, 1, 12_345_678])
    np.testing.assert_array_equal(crossing(pair), layers.HashedCrossing(50)(pair))


@pytest.mark.parametrize("name", ["model.safetensors", "model.keras"])
def test_the_policy_is_in_files(name, tmp_path):
    fastnn.config.set_dtype_policy("mixed_bfloat16")
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(20, "relu"), layers.Dense(2)])
    fastnn.config.set_dtype_policy("float32")
    model.save(tmp_path / name)
    loaded = fastnn.saving.load_model(tmp_path / name)
    assert [y.dtype_policy.name for y in loaded.layers] == ["mixed_bfloat16"] * 2
    x = np.random.default_rng(0).normal(size=(20, 3)).astype("f")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_gradients_of_gradients_are_rounded_too():
    x = np.ones((3, 4), "f")
    layer = layers.Dense(5, use_bias=False, dtype="mixed_bfloat16")
    layer.build((None, 4))

    class Step(layers.Layer):
        def call(self, x):
            return fastnn.grad(lambda x: ops.sum(ops.square(layer(x))))(x)

    assert products(Step(), x) == ["bfloat16"] * 2


TRAINED = """
import json
import numpy as np, fastnn
from fastnn import layers
losses = {}
for policy in ("float32", "mixed_bfloat16"):
    fastnn.utils.set_random_seed(3)
    fastnn.config.set_dtype_policy(policy)
    model = fastnn.applications.GPT(40, 64, 2, heads=4, max_length=24)
    model.compile(fastnn.optimizers.Adam(3e-3),
                  fastnn.losses.SparseCategoricalCrossentropy(from_logits=True))
    text = (np.arange(64)[:, None] * 7 + np.arange(25) ** 2) % 40
    x, y = text[:, :-1].astype("i4"), text[:, 1:].astype("i4")
    losses[policy] = [float(model.train_on_batch(x, y)) for _ in range(40)]
    kinds = {str(v.dtype) for v in [*model.weights, *model.optimizer.variables]}
    assert kinds <= {"float32", "int32", "int64"}, kinds
print(json.dumps([losses["float32"], losses["mixed_bfloat16"]]))
"""


@pytest.mark.parametrize("isa", _core.info()["isa_available"][:2])
def test_a_transformer_learns_as_in_float32(isa, run_python):
    import json

    exact, mixed = json.loads(run_python(TRAINED, FASTNN_BF16="1", FASTNN_ISA=isa))
    assert exact != mixed, "nothing was rounded"
    assert exact[-1] < 0.5 * exact[0]
    np.testing.assert_allclose(mixed, exact, rtol=0.05)
