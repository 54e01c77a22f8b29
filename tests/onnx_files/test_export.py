"""`model.export("m.onnx")`: ONNX Runtime gives what `predict` gives, for every layer and model."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")
pytest.importorskip("onnxruntime", reason="needs onnxruntime to compare with")

import onnx
import onnxruntime as ort
from layer_cases import CASES

import fastnn
from fastnn import _core, layers as L, ops
from fastnn.onnx import to_proto

NEWEST = min(onnx.defs.onnx_opset_version(), 23)
rng = np.random.default_rng(0)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def session(proto):
    return ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])


def check(model, *xs, opset=None, **more):
    """ONNX Runtime's results are those of `predict` to 1e-5, and so are their shapes."""
    proto = to_proto(model, opset, **more)
    onnx.checker.check_model(proto, full_check=True)
    given = list(xs) if len(xs) > 1 else xs[0]
    want = model.predict(given, verbose=0)
    want = list(want) if isinstance(want, list | tuple) else [want]
    run = session(proto)
    got = run.run(None, {i.name: x for i, x in zip(run.get_inputs(), xs, strict=True)})
    assert len(got) == len(want)
    for a, b in zip(want, got, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    return proto


def randomised(model):
    """The model with weights that hide nothing: no zeros and ones."""
    model.set_weights([rng.uniform(0.2, 1.2, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


#: Layers of two inputs.
MERGING = [L.Add, L.Average, L.Concatenate, L.Maximum, L.Minimum, L.Multiply, L.Subtract]


@pytest.mark.parametrize("name", CASES)
def test_every_layer_gives_in_onnx_runtime_what_it_gives_here(name):
    for layer, shape in CASES[name]():
        model = randomised(fastnn.Sequential([fastnn.Input(shape), layer]))
        sizes = [6 if d is None else d for d in shape]
        proto = check(model, floats(3, *sizes))
        dims = proto.graph.input[0].type.tensor_type.shape.dim
        assert dims[0].dim_param == "batch"
        for d, wanted in zip(dims[1:], shape, strict=True):
            assert bool(d.dim_param) == (wanted is None)


@pytest.mark.parametrize("layer", [L.MaxPooling2D, L.AveragePooling2D])
@pytest.mark.parametrize(("window", "strides"), [((2, 1), (1, 3)), ((1, 1), (2, 2)), ((3, 1), 2)])
def test_pools_may_leave_places_out(layer, window, strides):
    for size in (5, None):
        pool = layer(window, strides, padding="same")
        model = fastnn.Sequential([fastnn.Input((size, 7, 2)), pool])
        check(model, floats(2, 5, 7, 2))
    conv = L.Conv2D(3, window, strides, padding="same")
    check(randomised(fastnn.Sequential([fastnn.Input((5, 7, 2)), conv])), floats(2, 5, 7, 2))


@pytest.mark.parametrize("opset", range(17, NEWEST + 1))
def test_every_opset_from_17_on_says_the_same(opset):
    model = fastnn.Sequential([
        fastnn.Input((None, 4)), L.Dense(5, "gelu"), L.LayerNormalization(), L.Dense(4, "mish"),
        L.Lambda(lambda x: ops.sum(x, axis=-1, keepdims=True) + ops.max(x, axis=1, keepdims=True)),
        L.Lambda(lambda x: ops.logsumexp(x, axis=-1) + ops.min(x, axis=-1) * ops.prod(x, axis=-1)),
    ])  # fmt: skip
    proto = check(model, floats(2, 3, 4), opset=opset)
    assert proto.opset_import[0].version == opset


@pytest.mark.parametrize("layer", MERGING)
def test_layers_of_two_inputs(layer):
    a, b = fastnn.Input((4,), name="a"), fastnn.Input((4,), name="b")
    check(fastnn.Model([a, b], layer()([a, b])), floats(3, 4), floats(3, 4))


def test_dot_products_and_embeddings():
    a, b = fastnn.Input((4,)), fastnn.Input((4,))
    check(fastnn.Model([a, b], L.Dot(1)([a, b])), floats(3, 4), floats(3, 4))
    check(fastnn.Model([a, b], L.Dot(1, normalize=True)([a, b])), floats(3, 4), floats(3, 4))
    ids = fastnn.Input((None,), dtype="int32")
    words = rng.integers(0, 7, (3, 5)).astype(np.int32)
    check(fastnn.Model(ids, L.Embedding(7, 2)(ids)), words)
    masked = L.Embedding(7, 2, mask_zero=True)(ids)
    check(fastnn.Model(ids, masked), words)
    for layer in (
        L.CategoryEncoding(7), L.CategoryEncoding(7, "one_hot"), L.CategoryEncoding(7, "count"),
        L.Discretization([1.5, 3.0]),
    ):  # fmt: skip
        numbers = fastnn.Input((1,), dtype="int32")
        given = words[:, :1].astype(np.int32)
        check(fastnn.Model(numbers, layer(numbers)), given)
    both = L.ReversibleEmbedding(7, 2)
    check(fastnn.Model(ids, both(both(ids), reverse=True)), words)


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    q, v = fastnn.Input((None, 6)), fastnn.Input((None, 6))
    heads = [L.MultiHeadAttention(2, 3), L.GroupedQueryAttention(3, 4, 2)]
    for layer in (L.Attention(use_scale=True), L.AdditiveAttention(), *heads):
        given = {"use_causal_mask": True} if causal else {}
        plain = type(layer).__name__ in ("Attention", "AdditiveAttention")
        y = layer([q, v], **given) if plain else layer(q, v, **given)
        check(randomised(fastnn.Model([q, v], y)), floats(3, 5, 6), floats(3, 7, 6))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_over_padded_words_where_queries_see_nothing(causal):
    ids = fastnn.Input((None,), dtype="int32")
    words = L.Embedding(9, 6, mask_zero=True)(ids)
    given = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [0, 0, 5, 6], [0, 0, 0, 0]], np.int32)
    for layer in (L.MultiHeadAttention(2, 3), L.GroupedQueryAttention(3, 4, 2)):
        model = fastnn.Model(ids, layer(words, words, use_causal_mask=causal))
        check(randomised(model), given)


@pytest.mark.parametrize("sizes", [(7, 9), (None, None)])
def test_same_padding_of_dilated_windows(sizes):
    x = floats(2, 7, 9, 4)
    for kernel, strides, dilation, groups in (
        (3, 1, 2, 1), (2, 1, (3, 2), 2), (1, 1, 2, 1), (3, 2, 2, 1), ((2, 3), (3, 2), (2, 3), 1),
    ):  # fmt: skip
        size = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        weights = floats(*size, 4 // groups, 6)
        layer = L.Lambda(lambda x, w=weights, s=strides, d=dilation: ops.conv(
            x, w, strides=s, padding="same", dilation_rate=d))  # fmt: skip
        check(fastnn.Sequential([fastnn.Input((*sizes, 4)), layer]), x)
    depthwise = L.DepthwiseConv2D(3, padding="same", dilation_rate=2)
    check(randomised(fastnn.Sequential([fastnn.Input((*sizes, 4)), depthwise])), x)


@pytest.mark.parametrize("mask", [False, True])
@pytest.mark.parametrize("layer", [
    L.LSTM(3), L.LSTM(3, return_sequences=True, go_backwards=True), L.GRU(3, reset_after=False),
    L.GRU(3, return_sequences=True), L.SimpleRNN(3, "relu"), L.Bidirectional(L.GRU(2)),
], ids=lambda layer: layer.name)  # fmt: skip
def test_recurrent_layers_with_and_without_masks(layer, mask):
    ids = fastnn.Input((None,), dtype="int32")
    y = type(layer).from_config(layer.get_config())(L.Embedding(5, 4, mask_zero=mask)(ids))
    check(randomised(fastnn.Model(ids, y)), rng.integers(0, 4, (3, 6)).astype(np.int32))


# ---- rows of recurrences -------------------------------------------------------------------------

RECURRENT = {
    "lstm": lambda z, w, m, r: _core.ops.lstm(z, w, 0.0, 0.0, m, 1.0, reverse=r)[:3],
    "gru": lambda z, w, m, r: _core.ops.gru(z[..., :9], w[:, :9], np.ones(9, "f4"), 0.0, m, 1.0,
                                            reverse=r)[:2],
    "gru before": lambda z, w, m, r: _core.ops.gru(z[..., :9], w[:, :9], 0.0, z[:, 0, :3], m, 1.0,
                                                   reverse=r, reset_after=False)[:2],
    "rnn": lambda z, w, m, r: _core.ops.simple_rnn(z[..., :3], w[:, :3], 0.0, m, 1.0, reverse=r,
                                                   activation=1)[:2],
    "plain": lambda z, w, m, r: _core.ops.simple_rnn(z[..., :3], w[:, :3], 0.0, m, 1.0, reverse=r,
                                                     activation=2)[:2],
}  # fmt: skip


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrences_are_nodes_of_onnx_and_scans_under_a_mask(name, masked, reverse):
    w, kernel = floats(3, 12), floats(4, 12)
    x = fastnn.Input((None, 4))

    def call(x):
        z = ops.matmul(x, kernel) + np.ones(12, np.float32)
        mask = ops.less(ops.max(x, axis=-1), 1.0) if masked else True
        return list(RECURRENT[name](z, w, mask, reverse))

    proto = check(fastnn.Model(x, L.Lambda(call)(x)), floats(3, 5, 4))
    found = {n.op_type for n in proto.graph.node} & {"LSTM", "GRU", "RNN", "Scan"}
    kinds = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN", "gru before": "GRU", "plain": "Scan"}
    assert found == {"Scan" if masked else kinds[name]}


ACTIVATIONS = [
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6",
    "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus",
    "sparse_sigmoid", "squareplus", "tanh", "tanh_shrink",
]  # fmt: skip


@pytest.mark.parametrize("opset", [17, 20])
def test_activations(opset):
    x = fastnn.Input((6,))
    outputs = [L.Activation(name, name=f"of_{name}")(x) for name in ACTIVATIONS]
    data = np.concatenate([5 * floats(6, 6), np.zeros((1, 6), np.float32)])
    check(fastnn.Model(x, outputs), data, opset=opset)


# ---- ops -----------------------------------------------------------------------------------------

#: Functions of a (batch, 4, 6) tensor; the comments in `rows` say what is not plain about them.
FUNCTIONS = {
    "cumsum": lambda x: ops.cumsum(x, axis=1), "flip": lambda x: ops.flip(x, axis=-1),
    "roll": lambda x: ops.roll(x, 2, axis=1), "sort": lambda x: ops.sort(x, axis=1),
    "argsort": lambda x: ops.argsort(x, axis=-1), "top_k": lambda x: ops.top_k(x, 3)[0],
    "top_k places": lambda x: ops.top_k(x, 3)[1], "argmax": lambda x: ops.argmax(x, axis=1),
    "argmin": lambda x: ops.argmin(x, axis=-1, keepdims=True), "tile": lambda x: ops.tile(
        x, [1, 2, 3]), "repeat": lambda x: ops.repeat(x, 3, axis=1),
    "std": lambda x: ops.std(x, axis=[1, 2], keepdims=True), "var": lambda x: ops.var(x, axis=1),
    "any": lambda x: ops.any(x > 1.0, axis=-1), "all": lambda x: ops.all(x > -1.0, axis=1),
    "floor_divide": lambda x: ops.floor_divide(x, 0.3), "mod": lambda x: ops.mod(x, -0.7),
    "whole numbers": lambda x: ops.mod(ops.floor_divide(ops.cast(10 * x, "int32"), -3), 4),
    "expm1": lambda x: ops.expm1(1e-4 * x) * 1e4, "log1p": lambda x: ops.log1p(1e-4 * x) * 1e4,
    "log1p of large values": lambda x: ops.log1p(ops.exp(3 * x)), "trunc": lambda x: ops.trunc(
        3 * x), "round": lambda x: ops.round(2 * x), "where": lambda x: ops.where(x > 0, x, 2),
    "one_hot": lambda x: ops.one_hot(ops.cast(x, "int32"), 3), "strided slice": lambda x: x[
        :, ::-2, 1:-1], "take": lambda x: ops.take(x, np.array([[3, 0], [1, 1]]), axis=1),
    "take_along_axis": lambda x: ops.take_along_axis(x, ops.argsort(x, axis=1), axis=1),
    "einsum": lambda x: ops.einsum("bij,bkj->bik", x, x), "matmul": lambda x: ops.matmul(
        ops.transpose(x, [0, 2, 1]), x), "stack": lambda x: ops.stack([x, 2 * x], axis=1),
    "pad": lambda x: ops.pad(x, [[0, 0], [1, 2], [0, 1]], constant_values=3.0),
    "outer batch": lambda x: x - ops.mean(x, axis=0, keepdims=True), "tril": lambda x: ops.tril(x),
    "slice_update": lambda x: ops.slice_update(x, [0, 1, 2], x[:, :2, :2]),
    "size": lambda x: x / ops.cast(ops.size(x), "float32"), "is_nan": lambda x: ops.isfinite(x / 0),
    "integers": lambda x: ops.cast(x * 3, "int32") * 2 + ops.iota(6),
    "positions": lambda x: x + ops.cast(ops.arange(x.shape[1]), "float32")[:, None],
    "scatter": lambda x: ops.segment_sum(x[0], np.array([0, 1, 0, 2]), 3),
    "bfloat16": lambda x: ops.cast(ops.cast(x, "float16"), "float32"),
    "not equal": lambda x: ops.logical_xor(ops.not_equal(ops.round(x), 0), x > 0),
    "arctan": lambda x: ops.arctan(x) + ops.sin(x) * ops.cos(x), "rsqrt": lambda x: ops.rsqrt(
        ops.square(x) + 0.1), "erf": lambda x: ops.erf(x), "logsumexp": lambda x: ops.logsumexp(
        100 * x, axis=-1), "broadcast": lambda x: ops.broadcast_to(x[:, :1], ops.shape(x)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("is_open", [False, True])
def test_rows(name, is_open):
    is_open &= name != "scatter"  # the segments are numbered for 4 rows
    x = fastnn.Input((None if is_open else 4, 6))
    model = fastnn.Model(x, L.Lambda(FUNCTIONS[name])(x))
    data = floats(3, 4, 6)
    proto = to_proto(model)
    run = session(proto)
    want = np.asarray(FUNCTIONS[name](fastnn.tensor(data)))
    got = run.run(None, {run.get_inputs()[0].name: data})[0]
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_loops_are_scans():
    class Rounds(L.Layer):
        def call(self, x):
            t = ops.transpose(x, [1, 0, 2])
            start = ops.zeros_like(t[0])
            carry, y = ops.scan(lambda c, v: (c * 0.5 + ops.tanh(v), c + v * 2), start, t)
            _, back = ops.scan(lambda c, v: (c * 0.5 + v, c + v * 2), start, t, reverse=True)
            more = ops.fori_loop(0, 40, lambda i, a: a * 0.9 + 1.0, carry)
            return ops.transpose(y + back, [1, 0, 2]) + more[:, None]

    for length in (None, 30):
        model = fastnn.Sequential([fastnn.Input((length, 4)), Rounds()])
        proto = check(model, floats(3, length or 7, 4))
        assert "Scan" in {n.op_type for n in proto.graph.node}


# ---- models --------------------------------------------------------------------------------------


def test_several_inputs_and_outputs_keep_their_names(tmp_path):
    a, b = fastnn.Input((4,), name="left"), fastnn.Input((None, 3), name="right")
    h = L.Dense(3, name="first")(a)
    y = L.Concatenate(name="joined")([h, L.Lambda(lambda x: ops.max(x, axis=1))(b)])
    proto = check(fastnn.Model([a, b], [h, y]), floats(5, 4), floats(5, 2, 3))
    assert [i.name for i in proto.graph.input] == ["left", "right"]
    assert [o.name for o in proto.graph.output] == ["first", "joined"]
    assert {"first/kernel", "first/bias"} <= {i.name for i in proto.graph.initializer}


class Small(fastnn.Model):
    def __init__(self):
        super().__init__()
        self.dense = L.Dense(3)

    def call(self, x):
        if isinstance(x, dict):
            return {"y": self.dense(x["u"]) + self.dense(x["v"]), "z": x["u"]}
        return ops.tanh(self.dense(x))


def test_subclassed_models():
    model = Small()
    model(floats(2, 4))
    proto = check(model, floats(5, 4))
    assert [i.name for i in proto.graph.input] == ["input"]
    model = Small()
    u, v = floats(5, 4), floats(5, 4)
    want = model({"u": u, "v": v})
    run = session(to_proto(model))
    got = dict(zip(["y", "z"], run.run(None, {"u": u, "v": v}), strict=True))
    for name in got:
        np.testing.assert_allclose(got[name], want[name].numpy(), rtol=1e-5, atol=1e-5)


def test_a_signature_fixes_sizes_and_builds_models():
    model = Small()
    spec = fastnn.InputSpec(shape=(None, 4), dtype="float32")
    check(model, floats(2, 4), input_signature=[spec])
    proto = to_proto(model, input_signature=[(1, 4)])
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 1
    with pytest.raises(fastnn.ShapeError, match="hint:"):
        to_proto(fastnn.Sequential([fastnn.Input((3,)), L.Dense(1)]), input_signature=[(1, 4)])


def test_training_state_is_left_out_and_unchanged(tmp_path):
    model = fastnn.Sequential([fastnn.Input((4,)), L.Dense(3), L.BatchNormalization(), L.Dense(1)])
    model.compile("adam", "mse")
    model.fit(floats(32, 4), floats(32, 1), epochs=2, verbose=0)
    before = model.get_weights()
    model.export(tmp_path / "m.onnx")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    proto = onnx.load(tmp_path / "m.onnx")
    assert len(proto.graph.initializer) < 20
    check(model, floats(3, 4))


# ---- refusals ------------------------------------------------------------------------------------


class Noisy(L.Layer):
    def call(self, x):
        return x + fastnn.random.normal((4,))


def test_what_onnx_lacks_is_named_with_its_layer():
    model = fastnn.Sequential([fastnn.Input((4,)), L.Dense(4), Noisy(name="noise")], name="m")
    with pytest.raises(fastnn.DataError, match=r"layer 'm/noise' \(Noisy\) uses .*random_normal"):
        to_proto(model)


def test_what_runs_before_the_graph_is_not_left_out_in_silence():
    x = fastnn.Input((1,), dtype="int32")
    lookup = L.IntegerLookup(vocabulary=[2, 3, 5], name="numbers")
    model = fastnn.Model(x, L.Embedding(4, 2)(lookup(x)))
    with pytest.raises(fastnn.DataError, match=r"layer 'numbers' \(IntegerLookup\)(.|\n)*hint:"):
        to_proto(model)


def test_what_cannot_be_exported_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"not built(.|\n)*hint:"):
        fastnn.Sequential([L.Dense(1)]).export(tmp_path / "m.onnx")
    model = fastnn.Sequential([fastnn.Input((3,)), L.Dense(1)])
    for bad in (16, 99, "18", True, 18.5):
        with pytest.raises(ValueError, match="opset_version"):
            model.export(tmp_path / "m.onnx", opset_version=bad)
    with pytest.raises(ValueError, match=r"'m\.pb'(.|\n)*hint:"):
        model.export("m.pb")
    with pytest.raises((ValueError, NotImplementedError), match="tf_saved_model"):
        model.export(tmp_path / "m", format="tf_saved_model")
    with pytest.raises(TypeError, match="opset"):
        model.export(tmp_path / "m.onnx", opset=17)
    assert list(tmp_path.iterdir()) == []


def test_keras_names_of_arguments(tmp_path, capsys):
    model = fastnn.Sequential([fastnn.Input((3,)), L.Dense(1)])
    model.export(str(tmp_path / "model"), format="onnx", verbose=True, opset_version=17)
    assert onnx.load(tmp_path / "model").opset_import[0].version == 17
    assert "model" in capsys.readouterr().out


def test_an_export_replaces_a_file_whole(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"old")
    with pytest.raises(fastnn.DataError):
        fastnn.Sequential([fastnn.Input((4,)), Noisy()]).export(path)
    assert path.read_bytes() == b"old"


def test_division_downwards_is_that_of_numpy_where_the_quotient_is_rounded():
    pair = fastnn.Input((2,), name="pair")
    model = fastnn.Model(pair, ops.floor_divide(pair[:, 0], pair[:, 1]))
    x = np.array(
        [[1.4, 0.7], [2.1, 0.7], [-7, 0.7], [2.1, -0.7], [4.2, 0.7], [6, 3], [-6, 4], [1, 0],
         [-1, 0], [0, 0], [np.inf, 2], [2, np.inf], [-2, np.inf], [np.nan, 1], [1e10, 3]],
        np.float32,
    )  # fmt: skip
    check(model, x)
    with np.errstate(all="ignore"):
        want = x[:, 0] // x[:, 1]
    np.testing.assert_array_equal(model.predict(x, verbose=0), want)
    np.testing.assert_array_equal(session(to_proto(model)).run(None, {"pair": x})[0], want)


def test_outputs_that_are_called_as_an_input_get_another_name():
    a, b = fastnn.Input((2,), name="a"), fastnn.Input((2,), name="b")
    for model, names in (
        (fastnn.Model(a, a), ["a_output"]),
        (fastnn.Model([a, b], [b, a + 1.0]), ["b_output", "add"]),
        (fastnn.Model([a, b], {"a": a + 1.0, "c": b}), ["a_output", "c"]),
    ):
        proto = to_proto(model)
        onnx.checker.check_model(proto, full_check=True)
        run = session(proto)
        found = [o.name for o in run.get_outputs()]
        assert [n.rstrip("_0123456789") for n in found] == names
        x = {i.name: floats(3, 2) for i in run.get_inputs()}
        want = model.predict(x, verbose=0) if len(x) > 1 else model.predict(x["a"], verbose=0)
        for got, wanted in zip(run.run(None, x), fastnn.tree.flatten(want), strict=True):
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_padding_with_what_is_no_finite_number(value):
    x = fastnn.Input((5,))
    y = L.Lambda(lambda x: ops.pad(x, [(0, 0), (1, 2)], constant_values=value))(x)
    check(fastnn.Model(x, y), floats(3, 5))


def test_truth_values_are_selected_reduced_and_compared():
    x = fastnn.Input((5,))
    fs = [
        lambda x: ops.where(x > 0, x < 1, x > -1),
        lambda x: ops.maximum(x > 0, x < -1),
        lambda x: ops.minimum(x > 0, x < 1),
        lambda x: ops.max(x > 0, axis=1),
        lambda x: ops.min(x > -1, axis=1, keepdims=True),
    ]
    check(fastnn.Model(x, [L.Lambda(f)(x) for f in fs]), floats(3, 5))


@pytest.mark.parametrize(
    ("nodes", "sizes", "first"),
    [
        ([("Transpose", "y", "t"), ("MatMul", "x", "t", "z")], (3, 5), ["batch", "m"]),
        ([("Sum", "x", "y", "z")], (4, 4), ["batch", "batch"]),
    ],
)
def test_first_sizes_that_a_file_names_apart_stay_apart_where_they_may_differ(nodes, sizes, first):
    made = [onnx.helper.make_node(op, ins, [out]) for op, *ins, out in nodes]
    inputs = [
        onnx.helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, [d, 4])
        for k, d in (("x", "n"), ("y", "m"))
    ]
    outputs = [onnx.helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [None, None])]
    graph = onnx.helper.make_graph(made, "g", inputs, outputs)
    opsets = [onnx.helper.make_opsetid("", 17)]
    proto = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model = fastnn.onnx.load(proto.SerializeToString())
    again = to_proto(model)
    onnx.checker.check_model(again, full_check=True)
    dims = [i.type.tensor_type.shape.dim[0].dim_param for i in again.graph.input]
    assert dims == first
    given = {"x": floats(sizes[0], 4), "y": floats(sizes[1], 4)}
    want = session(proto).run(None, given)[0]
    np.testing.assert_allclose(session(again).run(None, given)[0], want, rtol=1e-6)
    np.testing.assert_allclose(model([*given.values()]), want, rtol=1e-6)
