"""Attention in NumPy, with the matrix of weights: what the formulas of its rows call."""

import numpy as np


def _weights(q, k, bias, mask, lengths, start, scale, causal):
    """Scores and which keys are seen, by (batch, heads, queries, keys)."""
    batch, queries, heads, _ = q.shape
    keys, groups = k.shape[1:3]
    k = np.repeat(k, heads // groups if groups else 1, 2)
    scores = np.einsum("bthd,bshd->bhts", q, k) * scale + bias
    shape = (batch, heads, queries, keys)
    seen = np.broadcast_to(np.asarray(mask) != 0, shape).copy()
    places = np.arange(keys)
    seen &= (places < np.broadcast_to(lengths, (batch,))[:, None])[:, None, None]
    if causal:
        last = np.broadcast_to(start, (batch,))[:, None] + np.arange(queries)
        seen &= (places <= last[..., None])[:, None]
    return scores, seen


def attention(q, k, v, bias, mask, lengths, start, scale, causal):
    scores, seen = _weights(q, k, bias, mask, lengths, start, scale, causal)
    heads, groups = q.shape[2], k.shape[2]
    scores = np.where(seen, scores, -np.inf)
    top = scores.max(-1, keepdims=True, initial=-np.inf)
    level = np.where(np.isneginf(top), 0, top)
    e = np.exp(scores - level)
    total = e.sum(-1, keepdims=True)
    p = e / np.where(np.isneginf(top), 1, total)
    out = np.einsum("bhts,bshd->bthd", p, np.repeat(v, heads // groups if groups else 1, 2))
    return out, (np.log(total) + level)[..., 0]


def attention_grad(dout, q, k, v, bias, mask, lengths, start, out, lse, scale, causal):
    scores, seen = _weights(q, k, bias, mask, lengths, start, scale, causal)
    (batch, _, heads, width), (keys, groups) = q.shape, k.shape[1:3]
    share = heads // groups if groups else 1
    seen = seen & ~np.isneginf(scores)
    p = np.where(seen, np.exp(scores - lse[..., None]), 0)
    dp = np.einsum("bthd,bshd->bhts", dout, np.repeat(v, share, 2))
    inner = np.sum(dout * out, -1).transpose(0, 2, 1)[..., None]
    ds = np.where(seen, p * (dp - inner) * scale, 0)
    dq = np.einsum("bhts,bshd->bthd", ds, np.repeat(k, share, 2))
    dk = np.einsum("bhts,bthd->bshd", ds, q).reshape(batch, keys, groups, share, width).sum(3)
    dv = np.einsum("bhts,bthd->bshd", p, dout)
    return dq, dk, dv.reshape(batch, keys, groups, share, v.shape[3]).sum(3)


def attention_grad_terms(dout, q, k, v, bias, mask, lengths, start, out, lse, scale, causal):
    """`attention_grad` of the sizes of its terms, before any of them cancel."""
    scores, seen = _weights(q, k, bias, mask, lengths, start, scale, causal)
    p = np.where(seen, np.exp(scores - lse[..., None]), 0)
    dout, q, k, v, out = (np.abs(a) for a in (dout, q, k, v, out))
    share = q.shape[2] // k.shape[2] if k.shape[2] else 1
    dp = np.einsum("bthd,bshd->bhts", dout, np.repeat(v, share, 2))
    ds = p * (dp + np.sum(dout * out, -1).transpose(0, 2, 1)[..., None]) * abs(scale)
    dk = np.einsum("bhts,bthd->bshd", ds, q)
    dv = np.einsum("bhts,bthd->bshd", p, dout)
    grouped = [d.reshape(*k.shape[:3], share, d.shape[3]).sum(3) for d in (dk, dv)]
    return (np.einsum("bhts,bshd->bthd", ds, np.repeat(k, share, 2)), *grouped)


FORMULAS = {f.__name__: f for f in (attention, attention_grad, attention_grad_terms)}
