"""Attention: what models are promised of it besides its formulas (tests/ops/test_ops.py has these,
tests/ops/random_graphs.py draws them)."""

import numpy as np
import pytest

import attentions
import fastnn
from fastnn import ShapeError, _core, ops

MANY, NONE = np.array(2**31 - 1, np.int32), np.array(0, np.int32)
KEY = np.array([7, 0, 3, 0], np.int32)


def heads(rng, *shapes):
    return [rng.normal(size=shape).astype("f") for shape in shapes]


def attend(q, k, v, bias=0.0, mask=True, lengths=MANY, start=NONE, key=KEY, **attrs):
    mask = _core.tensor(np.asarray(mask))
    return _core.ops.attention(q, k, v, bias, mask, lengths, start, key, **{"scale": 0.3, **attrs})


def with_weights(q, k, v, key=KEY, rate=0.0, causal=False, scale=0.3):
    """The same by the matrix of weights, in rows of the table."""
    q, k, v = (ops.transpose(x, (0, 2, 1, 3)) for x in (q, k, v))
    scores = ops.matmul(q, ops.transpose(k, (0, 1, 3, 2))) * scale
    if causal:
        scores = ops.where(np.tri(q.shape[2], k.shape[2], dtype=bool), scores, -1e9)
    weights = _core.ops.dropout(ops.softmax(scores), key, rate=rate)
    return ops.transpose(ops.matmul(weights, v), (0, 2, 1, 3))


@pytest.mark.parametrize(("rate", "causal"), [(0.0, True), (0.3, False), (0.5, True), (1.0, False)])
@pytest.mark.parametrize(("t", "s"), [(5, 5), (100, 100), (200, 75)])
def test_values_gradients_and_dropped_weights_are_those_of_the_matrix(rate, causal, t, s, rng):
    q, k, v = heads(rng, (2, t, 3, 8), (2, s, 3, 8), (2, s, 3, 8))
    weigh = rng.normal(size=q.shape).astype("f")
    options = {"rate": rate, "causal": causal}

    def ours(q, k, v):
        return ops.sum(attend(q, k, v, **options)[0] * weigh)

    def theirs(q, k, v):
        return ops.sum(with_weights(q, k, v, **options) * weigh)

    a, b = attend(q, k, v, **options)[0], with_weights(q, k, v, **options)
    np.testing.assert_allclose(a, b, atol=3e-6)
    for one, other in zip(
        fastnn.grad(ours, argnums=(0, 1, 2))(q, k, v),
        fastnn.grad(theirs, argnums=(0, 1, 2))(q, k, v),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=2e-5)


def test_any_number_of_threads_gives_the_same_bits(rng):
    q, k, v = heads(rng, (3, 230, 4, 16), (3, 230, 2, 16), (3, 230, 2, 16))

    def loss(q, k, v):
        return ops.sum(ops.square(attend(q, k, v, causal=True, rate=0.2)[0]))

    before, found = fastnn.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            fastnn.set_num_threads(threads)
            out, lse = attend(q, k, v, causal=True)
            slopes = fastnn.grad(loss, argnums=(0, 1, 2))(q, k, v)
            found.append([np.asarray(x) for x in (out, lse, *slopes)])
    finally:
        fastnn.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            assert np.array_equal(a, b)


def test_a_step_with_a_cache_reads_as_far_as_it_has_been_filled(rng):
    """One query a step against a cache: the rest of the cache may hold anything."""
    q, k, v = heads(rng, (2, 9, 4, 16), (2, 9, 2, 16), (2, 9, 2, 16))
    whole = np.asarray(attend(q, k, v, causal=True)[0])
    caches = [np.full((2, 200, 2, 16), np.nan, "f") for _ in range(2)]
    for t in range(9):
        caches[0][:, t], caches[1][:, t] = k[:, t], v[:, t]
        start = np.array(t, np.int32)
        step = attend(q[:, t : t + 1], *caches, start=start, causal=True)[0]
        np.testing.assert_allclose(step[:, 0], whole[:, t], atol=1e-6)
        lengths = np.array([t + 1] * 2, np.int32)
        assert np.array_equal(attend(q[:, t : t + 1], *caches, lengths=lengths)[0], step)


def test_a_row_of_the_batch_does_not_see_the_others(rng):
    q, k, v = heads(rng, (5, 33, 2, 8), (5, 33, 2, 8), (5, 33, 2, 8))
    whole = np.asarray(attend(q, k, v, causal=True)[0])
    k[3], v[3], q[3] = np.nan, np.nan, np.nan
    changed = np.asarray(attend(q, k, v, causal=True)[0])
    others = [0, 1, 2, 4]
    assert np.array_equal(whole[others], changed[others])
    assert np.isnan(changed[3]).all()


@pytest.mark.parametrize("size", [1e-30, 1.0, 80.0, 1e4, 1e18])
def test_scores_of_any_size_give_means(size, rng):
    q, k, v = heads(rng, (1, 7, 1, 4), (1, 9, 1, 4), (1, 9, 1, 4))
    out = np.asarray(attend(q * np.float32(size), k, v)[0])
    scores = np.einsum("btd,bsd->bts", q[:, :, 0].astype("f8") * size, k[:, :, 0]) * 0.3
    p = np.exp(scores - scores.max(-1, keepdims=True))
    wanted = p / p.sum(-1, keepdims=True) @ v[:, :, 0]
    np.testing.assert_allclose(out[:, :, 0], wanted, atol=2e-3 if size > 100 else 1e-5)


def test_a_query_that_sees_nothing_gives_zero_and_no_gradient(rng):
    q, k, v = heads(rng, (2, 5, 1, 4), (2, 6, 1, 4), (2, 6, 1, 4))
    lengths = np.array([0, 6], np.int32)
    out, lse = attend(q, k, v, lengths=lengths)
    assert not np.asarray(out)[0].any()
    assert np.isneginf(np.asarray(lse)[0]).all()
    slopes = fastnn.grad(
        lambda q, k, v: ops.sum(attend(q, k, v, lengths=lengths)[0] ** 2), argnums=(0, 1, 2)
    )(q, k, v)
    for slope in slopes:
        assert not np.asarray(slope)[0].any()
        assert np.isfinite(slope).all()


def test_keras_means_of_all_keys_where_the_mask_hides_everything(rng):
    q, k, v = heads(rng, (2, 5, 4, 8), (2, 6, 2, 8), (2, 6, 2, 8))
    mask = np.ones((2, 1, 5, 6), bool)
    mask[1, :, 2] = False
    out = np.asarray(ops.dot_product_attention(q, k, v, mask=mask))
    wanted = v[1].mean(0).repeat(2, 0)
    np.testing.assert_allclose(out[1, 2], wanted, atol=1e-6)
    plain = np.asarray(ops.dot_product_attention(q, k, v))
    rest = np.ones((2, 5), bool)
    rest[1, 2] = False
    np.testing.assert_allclose(out[rest], plain[rest], atol=1e-6)


def test_keras_attention_takes_masks_and_biases_of_fewer_axes(rng):
    q, k, v = heads(rng, (2, 5, 4, 8), (2, 6, 4, 8), (2, 6, 4, 8))
    bias, mask = rng.normal(size=(5, 6)).astype("f"), rng.random((4, 1, 6)) < 0.7
    mask[..., 0] = True
    got = ops.dot_product_attention(q, k, v, bias=bias, mask=mask, scale=0.5, is_causal=True)
    wanted, _ = attentions.attention(
        *(x.astype("f8") for x in (q, k, v)), bias, mask, 6, 0, 0.5, True
    )
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    capped = ops.dot_product_attention(q, k, v, attn_logits_soft_cap=50.0)
    np.testing.assert_allclose(capped, ops.dot_product_attention(q, k, v), atol=1e-2)


def test_the_derivative_by_a_bias_is_right(rng):
    q, k, v, bias = heads(rng, (1, 4, 2, 3), (1, 5, 1, 3), (1, 5, 1, 3), (1, 2, 4, 5))

    def loss(bias):
        return ops.sum(ops.square(attend(q, k, v, bias)[0]))

    along, step = rng.normal(size=bias.shape).astype("f"), 1e-2
    up, down = (float(loss(bias + s * step * along)) for s in (1, -1))
    slope = float(np.sum(np.asarray(fastnn.grad(loss)(bias)) * along))
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-2, abs=1e-3)


def test_one_trace_serves_every_length(rng):
    x = fastnn.Input((None, 2, 8))
    out = ops.dot_product_attention(x, x, x, is_causal=True)
    model = fastnn.Model(x, out)
    for length in (1, 2, 50, 130):
        (data,) = heads(rng, (3, length, 2, 8))
        wanted, _ = attentions.attention(
            *[data.astype("f8")] * 3, 0.0, True, length, 0, 8**-0.5, True
        )
        np.testing.assert_allclose(model.predict(data, verbose=0), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"q": (2, 5, 3, 8)}, "3 heads of q do not divide among the 2 of k"),
        ({"k": (2, 6, 2, 7)}, "of different width"),
        ({"v": (2, 5, 2, 8)}, r"v float32\(2, 5, 2, 8\)"),
        ({"q": (2, 5, 8)}, "wanted .batch, steps, heads, width. each"),
        ({"bias": (5, 6)}, r"bias is float32\(5, 6\), wanted"),
        ({"bias": (2, 4, 5, 5)}, r"bias is float32\(2, 4, 5, 5\), wanted"),
    ],
)
def test_what_does_not_fit_is_named(change, words):
    shapes = {"q": (2, 5, 4, 8), "k": (2, 6, 2, 8), "v": (2, 6, 2, 8), "bias": (1, 1, 1, 1)}
    arrays = {name: np.zeros(shape, "f") for name, shape in {**shapes, **change}.items()}
    with pytest.raises(ShapeError, match=rf"attention: .*{words}[\s\S]*\n  hint: "):
        attend(**arrays)
