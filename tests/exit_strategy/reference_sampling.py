"""NumPy reference of `uncertainty`: the same Philox streams, everything else by the definition.

Normals by SciPy's quantile (AS 241's values to 1e-15), gammas by Marsaglia and Tsang without the
squeeze, marginals by SciPy's quantiles, curves by `numpy.interp`, quantiles by `numpy.quantile`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special, stats

from fastnn.exit_strategy.contracts import Distribution, SamplingSpec

GAMMAS = 1 << 16


def philox(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox4x32-10 on (n, 4) uint32 counters."""
    c = [counter[:, i].astype(np.uint64) for i in range(4)]
    k0, k1 = key
    mask = np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0),
            p1 & mask,
            (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1),
            p0 & mask,
        ]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).astype(np.uint32)


def words(draws: np.ndarray, word: int, purpose: int, stream: int, seed: int) -> np.ndarray:
    counter = np.zeros((len(draws), 4), np.uint32)
    counter[:, 0], counter[:, 1], counter[:, 2], counter[:, 3] = draws, word, purpose, stream
    return philox(counter, (seed & 0xFFFFFFFF, seed >> 32))


def unit(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.float64) + 0.5) / 2**32


def normals(n: int, draws: int, stream: int, seed: int) -> np.ndarray:
    out = np.empty((n, draws))
    d = np.arange(draws, dtype=np.uint32)
    for word in range((n + 3) // 4):
        u = unit(words(d, word, 0, stream, seed))
        for k in range(min(4, n - 4 * word)):
            out[4 * word + k] = special.ndtri(u[:, k])
    return out


def gamma(alpha: float, group: int, draws: int, stream: int, seed: int) -> np.ndarray:
    d = (alpha + 1.0 if alpha < 1.0 else alpha) - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    out, left, attempt = np.zeros(draws), np.arange(draws, dtype=np.uint32), 0
    while len(left):
        bits = words(left, group, GAMMAS | attempt, stream, seed)
        x, u = special.ndtri(unit(bits[:, 0])), unit(bits[:, 1])
        v = (1.0 + c * x) ** 3
        with np.errstate(invalid="ignore"):
            ok = (v > 0) & (np.log(u) < 0.5 * x * x + d - d * v + d * np.log(v))
        boost = unit(bits[:, 2]) ** (1.0 / alpha) if alpha < 1.0 else np.ones(len(left))
        out[left[ok]] = d * v[ok] * boost[ok]
        left, attempt = left[~ok], attempt + 1
    return out


def weights(
    spec: SamplingSpec, kappa: float | None, draws: int, stream: int, seed: int
) -> np.ndarray:
    w = np.array(spec.group_weights)
    if kappa is None:
        return np.repeat(w[:, None], draws, axis=1)
    alphas = np.ones(len(w)) if kappa == 0 else kappa * w / w.sum()
    g = np.stack([gamma(a, i, draws, stream, seed) for i, a in enumerate(alphas)])
    return g / g.sum(0) * w.sum()


def quantile(dist: Distribution, u: np.ndarray) -> np.ndarray:
    """Values of a marginal at uniforms, clipped."""
    p = dist.params
    if dist.kind == "fixed":
        x = np.full_like(u, p[0])
    elif dist.kind == "normal":
        x = p[0] + p[1] * special.ndtri(u)
    elif dist.kind == "lognormal":
        x = p[0] * np.exp(p[1] * special.ndtri(u))
    elif dist.kind == "uniform":
        x = p[0] + (p[1] - p[0]) * u
    elif dist.kind == "triangular":
        x = triangular(u, *p)
    elif dist.kind == "pert":
        a = 1 + 4 * (p[1] - p[0]) / (p[2] - p[0])
        x = p[0] + (p[2] - p[0]) * stats.beta.ppf(u, a, 6 - a)
    else:
        x = dist.low + (dist.high - dist.low) * stats.beta.ppf(u, p[0], p[1])
    return np.clip(x, dist.low, dist.high)


def triangular(u: np.ndarray, low: float, mode: float, high: float) -> np.ndarray:
    if high == low:
        return np.full_like(u, low)
    split = (mode - low) / (high - low)
    left = low + np.sqrt(u * (high - low) * (mode - low))
    right = high - np.sqrt((1 - u) * (high - low) * (high - mode))
    return np.where(u < split, left, right)


def scores(
    spec: SamplingSpec, kappa: float | None, draws: int, seed: int, stream: int = 0
) -> np.ndarray:
    """Scores (options, draws) in float64."""
    z = normals(len(spec.leaves), draws, stream, seed)
    if spec.correlation is not None:
        z = np.linalg.cholesky(spec.correlation) @ z
    u = special.ndtr(z)
    w = weights(spec, kappa, draws, stream, seed)
    out = np.zeros((len(spec.options), draws))
    for leaf, curve in enumerate(spec.curves):
        scale = w[spec.group_of[leaf]] * spec.local_weights[leaf]
        for o in range(len(spec.options)):
            if curve is None:
                fit = triangular(u[leaf], *spec.computed[o, leaf])
            else:
                x = quantile(spec.inputs[leaf], u[leaf])
                x = np.log10(np.maximum(x, 1e-300)) if curve.log else x
                fit = np.interp(x, curve.x, curve.fits[o])
            out[o] += scale * fit
    return out


def simulate(spec: SamplingSpec, kappa: float | None, draws: int, seed: int) -> dict[str, Any]:
    """Means, quantiles and first-place shares (ties ignored: they have measure zero)."""
    s = scores(spec, kappa, draws, seed)
    order = np.argsort(-s, axis=0)
    ranks = np.argsort(order, axis=0)
    o = len(spec.options)
    return {
        "mean": s.mean(1),
        "quantiles": np.quantile(s, (0.05, 0.5, 0.95), axis=1).T,
        "p_rank": np.array([[(ranks[i] == r).mean() for r in range(o)] for i in range(o)]),
    }
