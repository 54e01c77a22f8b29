"""The rows' formulas in float64, and how far a float32 result may be from them."""

import math

import numpy as np

import attentions
import recurrences
import windows

EPS = 2.0**-24  # half a unit in the last place of a float32 near one


# Units in the last place that an elementwise row may be off, where it is not correctly rounded.
ULPS = {"exp": 1.5, "tanh": 3, "sigmoid": 3, "erf": 3, "power": 8}


DEFAULT_ULPS = 4


CANCELLING = ("gelu_erf", "gelu_tanh")


def erf(x):
    return np.vectorize(math.erf, otypes=[np.float64])(x)


def layer_norm(x, gamma, beta, epsilon, center):
    mean = np.mean(x, -1) if center else np.zeros(x.shape[:-1])
    away = x - mean[..., None]
    scale = 1 / np.sqrt(np.mean(away**2, -1) + epsilon)
    return away * scale[..., None] * gamma + beta, mean, scale


def layer_norm_grad(dy, x, gamma, mean, scale, center):
    level = (x - mean[..., None]) * scale[..., None]
    a = dy * gamma
    flat = np.mean(a, -1, keepdims=True) if center else 0.0
    dx = scale[..., None] * (a - flat - level * np.mean(a * level, -1, keepdims=True))
    axes = tuple(range(x.ndim - 1))
    return dx, np.sum(dy * level, axes), np.sum(dy, axes)


def bfloat16(x):
    """x to the nearest number of eight significant bits."""
    fraction, exponent = np.frexp(np.asarray(x))
    return np.ldexp(np.round(fraction * 256), exponent - 8)


def reference(row, arrays, attrs, formula=None) -> np.ndarray:
    """The row's NumPy formula, or that of a part, in float64 (float32 would hide small steps)."""
    names = {name: default for name, _, default in row.attrs} | attrs
    names |= {"np": np, "erf": erf, "math": math, "bfloat16": bfloat16}
    names |= recurrences.FORMULAS | windows.NAMES | attentions.FORMULAS
    names |= {f.__name__: f for f in (layer_norm, layer_norm_grad)}
    if names.get("dtype") == "float32":
        names["dtype"] = "float64"
    wide = widen(arrays)
    if row.args and row.args[0].startswith("*"):
        names[row.args[0][1:]] = wide
    else:
        names |= dict(zip(row.args, wide, strict=True))
    with np.errstate(all="ignore"):
        return np.array(eval((formula or row.formula).replace("np.float32", "np.float64"), names))


def bound(row, arrays, attrs, y64) -> np.ndarray:
    """How far a float32 result may be from the float64 one."""
    if row.klass == "Elementwise":
        ulp = 2 * EPS * np.maximum(np.abs(y64), np.finfo(np.float32).tiny)
        lost = 4 * EPS * np.abs(arrays[0]) if row.name in CANCELLING else 0.0
        return ULPS.get(row.name, DEFAULT_ULPS) * ulp + lost
    terms = max((a.size for a in arrays), default=1)
    if row.name in ("sum", "mean", "matmul", "dot") or row.name.startswith("conv"):
        weight = reference(row, [np.abs(a) for a in arrays], attrs)
        if row.name.startswith("conv"):
            terms = max(a.size // max(a.shape[-1], 1) for a in arrays) * 2
            return (min(terms, 4096) + 4) * EPS * weight + 1e-30
        inner = {"sum": terms, "mean": terms}.get(row.name) or max(arrays[0].shape[-2:], default=1)
        return (inner + 4) * EPS * weight + 1e-30
    scale = max((np.abs(a).max() for a in arrays if a.dtype == np.float32 and a.size), default=1)
    if row.name == "layer_norm_grad":
        rows = max(1, arrays[1].size // arrays[1].shape[-1])
        return 32 * EPS * (np.abs(y64) + scale**3 * np.sqrt(rows) * 4)
    if row.name in attentions.FORMULAS:  # sums of as many products as there are numbers in a head
        width = max(a.shape[-1] for a in arrays[:4] if a.ndim)
        return 256 * EPS * (np.abs(y64).max(initial=1.0) + scale**2 * width)
    if row.name in recurrences.FORMULAS:  # errors of early steps grow with the states
        return 64 * EPS * (np.abs(y64).max(initial=1.0) + np.abs(y64) + scale)
    return 32 * EPS * (np.abs(y64) + max(1.0, scale)) + terms * EPS * np.abs(y64)


def widen(arrays) -> list[np.ndarray]:
    """Float64 copies of float32 inputs; others as they are."""
    return [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
