"""Attention layers against their formulas in NumPy: masks, heads, axes, open lengths, files."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.errors import ShapeError


def array(x) -> np.ndarray:
    return np.asarray(x)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def shaken(layer, rng, *inputs, **kwargs):
    layer(*inputs, **kwargs)
    layer.set_weights([rng.normal(size=w.shape, scale=0.5) for w in layer.get_weights()])
    return layer.get_weights()


def heads(x, kernel, bias):
    return np.einsum("btf,fhd->bthd", x, kernel) + bias


def test_several_heads_follow_their_formula(rng):
    layer = layers.MultiHeadAttention(3, 4, value_dim=5)
    q, v, k = (rng.normal(size=(2, n, 6)) for n in (4, 7, 7))
    wq, bq, wk, bk, wv, bv, wo, bo = shaken(layer, rng, q, v, k)
    mask = rng.random((2, 4, 7)) < 0.7
    mask[:, :, 0] = True
    scores = np.einsum("bqhd,bkhd->bhqk", heads(q, wq, bq), heads(k, wk, bk)) / 2
    weights = softmax(np.where(mask[:, None], scores, -1e30))
    out = np.einsum("bhqk,bkhd,hdo->bqo", weights, heads(v, wv, bv), wo) + bo
    assert array(layer(q, v, k, attention_mask=mask)) == pytest.approx(out, abs=1e-4)
    y, found = layer(q, v, key=k, attention_mask=mask, return_attention_scores=True)
    assert array(y) == pytest.approx(out, abs=1e-4)
    assert array(found) == pytest.approx(weights, abs=1e-5)


def test_groups_of_queries_share_keys(rng):
    layer = layers.GroupQueryAttention(4, num_query_heads=4, num_key_value_heads=2)
    q, v = rng.normal(size=(2, 3, 6)), rng.normal(size=(2, 5, 6))
    wq, bq, wk, bk, wv, bv, wo, bo = shaken(layer, rng, q, v)
    k, values = (np.repeat(heads(v, w, b), 2, axis=2) for w, b in ((wk, bk), (wv, bv)))
    weights = softmax(np.einsum("bqhd,bkhd->bhqk", heads(q, wq, bq), k) / 2)
    out = np.einsum("bhqk,bkhd,hdo->bqo", weights, values, wo) + bo
    assert array(layer(q, v)) == pytest.approx(out, abs=1e-4)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_causal_query_does_not_see_what_comes_later(dropout, rng):
    x = rng.normal(size=(2, 6, 8)).astype("float32")
    changed = x.copy()
    changed[:, 4:] = rng.normal(size=(2, 2, 8))
    for layer in (
        layers.MultiHeadAttention(2, 4, dropout=dropout),
        layers.GroupQueryAttention(4, 4, 2, dropout=dropout),
    ):
        first = array(layer(x, x, use_causal_mask=True))
        again = array(layer(changed, changed, use_causal_mask=True))
        assert first[:, :4] == pytest.approx(again[:, :4], abs=1e-6)
        assert (first[:, 4:] != again[:, 4:]).any()
        near = type(layer).from_config({**layer.get_config(), "sliding_window": 2})
        near(x, x)
        near.set_weights(layer.get_weights())
        moved = x.copy()
        moved[:, :2] += 1.0
        same = array(near(moved, moved, use_causal_mask=True))[:, 3:]
        assert array(near(x, x, use_causal_mask=True))[:, 3:] == pytest.approx(same, abs=1e-5)


def test_masks_of_the_inputs_reach_the_heads(rng):
    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]])
    inputs = fastnn.Input((None,), dtype="int32")
    x = layers.Embedding(8, 6, mask_zero=True)(inputs)
    attention = layers.MultiHeadAttention(2, 3)
    y = attention(x, x)
    assert y.mask is not None
    model = fastnn.Model(inputs, y)
    out = model.predict(tokens)
    assert out[0, :3] == pytest.approx(model.predict(tokens[:1, :3])[0], abs=1e-6)
    assert out[1, :2] == pytest.approx(model.predict(tokens[1:, :2])[0], abs=1e-6)


def test_a_mask_that_hides_everything_gives_numbers(rng):
    x = rng.normal(size=(1, 3, 4))
    layer = layers.MultiHeadAttention(2, 4)
    y = array(layer(x, x, attention_mask=np.zeros((1, 3, 3), bool)))
    assert np.isfinite(y).all()


def test_attention_runs_over_chosen_axes(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    layer = layers.MultiHeadAttention(2, 3, attention_axes=(2,))
    y = array(layer(x, x))
    flat = layers.MultiHeadAttention(2, 3)
    flat(x[0], x[0])
    flat.set_weights(layer.get_weights())
    assert y == pytest.approx(np.stack([array(flat(row, row)) for row in x]), abs=1e-5)
    both = layers.MultiHeadAttention(2, 3, attention_axes=(1, 2), output_shape=(7,))
    assert both(x, x).shape == (2, 3, 4, 7)


@pytest.mark.parametrize("mode", ["dot", "concat"])
def test_attention_without_heads_follows_its_formula(mode, rng):
    q, v, k = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 6)), rng.normal(size=(2, 5, 4))
    layer = layers.Attention(use_scale=True, score_mode=mode)
    shaken(layer, rng, [q, v, k])
    scale = array(layer.scale)
    if mode == "dot":
        scores = scale * q @ k.swapaxes(1, 2)
    else:
        terms = np.tanh(scale * (q[:, :, None] + k[:, None]))
        scores = array(layer.concat_score_weight) * terms.sum(-1)
    mask = np.array([[1, 1, 0, 1, 0], [1, 0, 1, 1, 1]], bool)
    weights = softmax(np.where(mask[:, None], scores, -1e30))
    out, found = layer([q, v, k], mask=[None, mask], return_attention_scores=True)
    assert array(found) == pytest.approx(weights, abs=1e-5)
    assert array(out) == pytest.approx(weights @ v, abs=1e-5)


def test_additive_attention_follows_its_formula(rng):
    q, v = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 4))
    layer = layers.AdditiveAttention()
    (scale,) = shaken(layer, rng, [q, v])
    weights = softmax((scale * np.tanh(q[:, :, None] + v[:, None])).sum(-1))
    assert array(layer([q, v])) == pytest.approx(weights @ v, abs=1e-5)
    causal = array(layer([v, v], use_causal_mask=True))
    assert causal[:, 0] == pytest.approx(v[:, 0], abs=1e-5)


@pytest.mark.parametrize(
    ("equation", "shape", "wanted", "bias", "kernel"),
    [
        ("abc,cd->abd", (2, 3, 5), (None, 4), "d", (5, 4)),
        ("abc,cde->abde", (2, 3, 5), (None, 2, 4), "de", (5, 2, 4)),
        ("abcd,cde->abe", (2, 3, 2, 4), (None, 6), None, (2, 4, 6)),
        ("...x,xy->...y", (2, 3, 4, 5), 7, "y", (5, 7)),
        ("ab...,bc->ac...", (2, 3, 4), (6,), "c", (3, 6)),
        ("ab,b->a", (2, 5), (), None, (5,)),
    ],
)  # fmt: skip
def test_einsum_dense_is_the_product_of_its_equation(equation, shape, wanted, bias, kernel, rng):
    layer = layers.EinsumDense(equation, wanted, bias_axes=bias, activation="tanh")
    x = rng.normal(size=shape)
    weights = shaken(layer, rng, x)
    assert weights[0].shape == kernel
    y = np.einsum(equation, x, weights[0]) + (weights[1] if bias else 0.0)
    assert array(layer(x)) == pytest.approx(np.tanh(y), abs=1e-5)
    assert layer.compute_output_shape(shape) == y.shape


@pytest.mark.parametrize(
    ("equation", "sizes", "wanted"),
    [("...c,cd->...d", (6, 5), 1), ("abc,cd->abd", (3, 4, 5), 2), ("ab...,bd->ad...", (4, 5), 1),
     ("abc,cd->abd", (5,), 2)],
)  # fmt: skip
def test_einsum_dense_refuses_more_or_fewer_sizes_than_the_output_has(equation, sizes, wanted):
    layer = layers.EinsumDense(equation, sizes)
    with pytest.raises(ShapeError, match=f"has {len(sizes)} sizes, wanted {wanted}"):
        layer(np.ones((2, 3, 4), "float32"))


def test_first_kernels_of_heads_spread_by_what_goes_in_and_out():
    # (features, heads, size): 48 numbers go in and 6 * 8 come out, whatever the order of the axes.
    layer = layers.EinsumDense("abc,cde->abde", (None, 60, 80))
    layer.build((None, None, 48))
    limit = (6 / (48 + 60 * 80)) ** 0.5
    kernel = layer.kernel.numpy()
    assert np.abs(kernel).max() <= limit
    assert np.abs(kernel).max() >= 0.95 * limit


def test_a_reversible_embedding_scores_tokens(rng):
    for tied in (True, False):
        layer = layers.ReversibleEmbedding(9, 4, tie_weights=tied, logit_soft_cap=2.0)
        x = layer(np.array([[1, 5]]))
        table = array(layer.embeddings)
        other = table.T if tied else array(layer.reverse_embeddings)
        scores = 2 * np.tanh(array(x) @ other / 2)
        assert array(layer(x, reverse=True)) == pytest.approx(scores, abs=1e-6)
        assert len(layer.weights) == (1 if tied else 2)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_attention_models_come_back_from_files(suffix, tmp_path, rng):
    if suffix == ".keras":
        pytest.importorskip("h5py")
    inputs = fastnn.Input((None,), dtype="int32")
    x = layers.Embedding(12, 8, mask_zero=True)(inputs)
    y = layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x, use_causal_mask=True)
    y = layers.GroupQueryAttention(4, 4, 2)(query=y, value=x)
    y = layers.Attention(use_scale=True)([y, x])
    model = fastnn.Model(inputs, layers.Dense(3)(y))
    tokens = rng.integers(1, 12, size=(3, 7))
    wanted = model.predict(tokens)
    model.save(tmp_path / f"model{suffix}")
    again = fastnn.models.load_model(tmp_path / f"model{suffix}")
    assert again.predict(tokens).tolist() == wanted.tolist()
    assert model.predict(tokens[:, :4]).shape == (3, 4, 3)


def test_a_product_over_two_open_axes_is_one_product():
    # Written as products of elements it would need a hundred times the memory.
    x = fastnn.Input((None, 64))
    y = ops.einsum("abc,cde->abde", x, np.ones((64, 4, 8), "float32"))
    assert y.shape == (None, None, 4, 8)
    function = fastnn.jit(lambda x: ops.einsum("abc,cde->abde", x, np.ones((64, 4, 8), "float32")))
    assert array(function(np.ones((2, 3, 64), "float32"))).shape == (2, 3, 4, 8)


def test_arguments_of_a_call_may_all_go_by_name(rng):
    x = rng.normal(size=(2, 3, 4)).astype("float32")
    layer = layers.MultiHeadAttention(2, 4)
    first = array(layer(query=x, value=x))
    assert first == pytest.approx(array(layer(x, x)), abs=0)
    assert layers.Dense(3)(inputs=x).shape == (2, 3, 3)
    with pytest.raises(fastnn.ShapeError, match="at least 2 axes"):
        layers.Dense(3)(inputs=np.ones(3))


def test_what_does_not_fit_is_said():
    x = np.zeros((2, 3, 4))
    for wrong, words in (
        (lambda: layers.MultiHeadAttention(0, 4), "num_heads"),
        (lambda: layers.MultiHeadAttention(2, 4)(x, x, np.zeros((2, 5, 4))), "must be equal"),
        (lambda: layers.GroupQueryAttention(4, 4, 3), "divisible"),
        (lambda: layers.Attention(score_mode="sum"), "score_mode"),
        (lambda: layers.Attention()(x), "list of inputs"),
        (lambda: layers.EinsumDense("ab->ac", 3)(x), "Invalid einsum equation"),
        (lambda: layers.EinsumDense("abc,cd->abe", (None, 3))(x), "no corresponding dim"),
    ):
        with pytest.raises((ValueError, fastnn.FastnnError), match=words) as error:
            wrong()
        assert "hint:" in str(error.value)
