"""What a random graph must compute, by formulas in float64, and how far float32 may be from it."""

import numpy as np

from fastnn import _core
from network_recipes import RECURRENT
from row_formulas import reference
from row_table import ROWS

#: Rows whose result jumps: their inputs must be far from a jump before results can be compared.
JUMPS = {"floor_divide", "mod"}


def exact(g, leaves, noise=0.0, rng=None):
    """Every value by the rows' formulas in float64, each float off by up to `noise` of itself."""
    values = []
    for i, node in enumerate(g.nodes):
        if node[0] == "leaf":
            y = leaves[i]
        elif node[0] == "dropout":
            # Which elements stay is the row's own choice: a factor of each.
            factor = _core.apply(
                "dropout", [np.ones_like(g.values[i]), g.values[node[1][1]]], node[2]
            )
            y = values[node[1][0]] * np.asarray(factor.numpy(), np.float64)
        elif not ROWS[node[0]].formula:
            y = g.values[i]
        else:
            name, inputs, attrs, k = node
            y = formula_of(name, [values[j] for j in inputs], attrs, k)
        kind = g.values[i].dtype.kind
        y = np.asarray(y).astype({"f": np.float64, "i": np.int64, "b": np.bool_}[kind])
        if noise and kind == "f":
            y = y * (1 + noise * rng.uniform(-1, 1, y.shape))
            if node[0] == "tanh_shrink":
                # It takes away nearly all of a small number, whose rounding stays.
                x = np.where(np.isfinite(y), values[node[1][0]], 0)
                y = y + noise * x * rng.uniform(-1, 1, y.shape)
        values.append(y)
    return values


def formula_of(name, arrays, attrs, k):
    """Result k of a row by its NumPy formula in float64."""
    row = ROWS[name]
    if name == "power":  # of integers is float32 too
        # Each with its own exponent: NumPy takes roots for one exponent of 0.5, NaN for -infinity.
        arrays = [a.astype(np.float64) for a in np.broadcast_arrays(*arrays)]
    if name == "prod":  # and so is this, which integers of 64 bits do not hold
        arrays = [a.astype(np.float64) for a in arrays]
    return reference(row, numbers(arrays), attrs, row.parts[k - 1][1] if k else row.formula)


def numbers(arrays):
    """The arrays as arithmetic takes them: truth values count as 0 and 1."""
    return [a.astype(np.int64) if a.dtype == np.bool_ else a for a in arrays]


def wide(array):
    return array.astype(np.float64) if array.dtype == np.float32 else array


def bits(array):
    """The bytes, with one NaN for all."""
    array = np.ascontiguousarray(array)
    if array.dtype == np.float32:
        array = np.where(np.isnan(array), np.float32(np.nan), array)
    return f"{array.shape}{array.dtype}".encode() + array.tobytes()


def step_fault(g, i):
    """What is wrong with node i against its formula on its float32 inputs, or None."""
    name, inputs, attrs, k = g.nodes[i]
    row, got = ROWS[name], g.values[i]
    if not row.formula:
        return None
    arrays = numbers([g.values[j] for j in inputs])
    try:
        y = formula_of(name, arrays, attrs, k)
    except ValueError as error:
        unknown = ("zero-size", "empty sequence", "negative integer powers")
        return None if any(u in str(error) for u in unknown) else f"the formula raised {error}"
    if got.shape != y.shape:
        return f"shape {got.shape}, NumPy {y.shape}"
    y = y.astype(np.float64) if got.dtype == np.float32 else y
    whole = [a for a in arrays if a.dtype.kind == "i" and a.size]
    floats = [wide(a) for a in arrays if a.dtype == np.float32 and a.size]
    rounded = got.dtype == np.float32 or floats
    if rounded and any(np.abs(a.astype(np.int64)).max() > 2**24 for a in whole):
        return None  # such integers are rounded on their way to float32
    with np.errstate(all="ignore"):
        if got.dtype != np.float32:
            huge = name in ("cast", "to_int") and any((~(np.abs(f) < 2**31)).any() for f in floats)
            return None if huge or np.array_equal(got, y.astype(got.dtype)) else "integers differ"
        clear = np.ones(y.shape, bool)
        if name in JUMPS:
            q = wide(arrays[0]) / wide(arrays[1])
            off = np.abs(q - np.round(q)) < 1e-6 * np.maximum(1, np.abs(q))
            clear = np.broadcast_to(~(off | ~(np.abs(q) < 1e6)), y.shape)
        top = max((np.nanmax(np.abs(f[np.isfinite(f)]), initial=0.0) for f in floats), default=0.0)
        if top > 1e15 and row.klass != "Elementwise":
            return None  # float32 may overflow on the way
        if top > 4 and (name in RECURRENT or name.startswith("attention")):
            return None  # errors grow without bound, step by step or in an exponent
        odd = g.special or any(not np.isfinite(f).all() for f in floats)
        if name.startswith("attention") and odd:
            # What a weight of 0 hides may be read or not.
            y = np.where(np.isnan(got) | ~np.isfinite(y), got, y)
        products = name in ("matmul", "dot", "layer_norm_grad") or name in RECURRENT
        if name == "prod" or (products and odd):
            # Part of a product may reach 0 or infinity before the rest is taken in, and NumPy's
            # products drop NaN times 0.
            lost = ~np.isfinite(got) | (got == 0) if name == "prod" else np.isnan(got)
            y = np.where(lost | ~np.isfinite(y), got, y)
        if name == "layer_norm" and k == 0:
            # Infinity times a difference from the mean that only rounding tells from 0.
            y = np.where(np.isinf(arrays[1]) & np.isnan(y) & np.isinf(got), got, y)
        rounded = y.astype(np.float32)
        whole = np.isfinite(rounded) & np.isfinite(y)
        same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        wrong = ~whole & ~same & clear
        terms = max((a.size for a in arrays), default=1)
        scale = np.abs(y)
        if row.klass != "Elementwise" or name in ("gelu_erf", "gelu_tanh"):
            power = {"variance": 2, "matmul": 2, "dot": 2}.get(name, 1)
            width = max((a.shape[-1] for a in arrays if a.ndim), default=1)
            scale = scale + max(1.0, top) ** power * (width if power == 2 else 1)
        if name == "sigmoid_cross_entropy":  # of a logit and its product with a label
            labels, logits = (np.abs(wide(a)) for a in arrays)
            parts = logits * (1 + labels)
            scale = scale + np.where(np.isfinite(parts), parts, 0)
        # A small last sum keeps the rounding of the large ones before it.
        if name in ("cumsum", "layer_norm_grad") or name.startswith("attention"):
            scale = scale + np.nanmax(scale[np.isfinite(scale)], initial=0.0)
        if name == "layer_norm_grad" and k == 0:
            # What is left of a product with the levels, twice, may be far smaller than the product.
            dy, x, gamma, mean, by = (np.nanmax(np.abs(wide(a)), initial=0.0) for a in arrays)
            left = dy * gamma * by * ((x + mean) * by) ** 2
            scale = scale + (0.0 if np.isnan(left) else left)  # 0 times infinity widens nothing
        if name.startswith("attention"):  # its weights come of any sums, not of those that fit
            scale = scale * np.exp(top)
        if name == "attention_grad":  # nor does its level: large weights times what cancels
            text = row.parts[k - 1][1] if k else row.formula
            sizes = reference(row, arrays, attrs, text.replace(name, f"{name}_terms"))
            scale = scale + np.where(np.isfinite(sizes), sizes, 0)
        bound = 64 * 2.0**-24 * scale + terms * 2.0**-24 * scale * (row.klass != "Elementwise")
        wrong |= whole & clear & ~(np.abs(wide(got) - y) <= bound + 1e-44)
    if wrong.any():
        at = np.argmax(wrong)
        return f"{got.flat[at]!r}, its formula says {y.flat[at]!r}"
    return None


class Tolerance:
    """How far each value of a graph may move when every op rounds differently."""

    def __init__(self, g):
        leaves = [wide(v) for v in g.values]
        rng = np.random.default_rng(1)
        self.exact = self.moved = None
        try:
            with np.errstate(all="ignore"):
                self.exact = exact(g, leaves)
                self.moved = [exact(g, leaves, 2.0**-21, rng) for _ in range(3)]
        except ValueError:
            pass  # a formula that takes no empty arrays

    def fault(self, got, wanted, i):
        """What is wrong with `got` for node i, which alone computes `wanted`, or None."""
        if (got.shape, got.dtype) != (wanted.shape, wanted.dtype):
            return f"{got.dtype}{got.shape} instead of {wanted.dtype}{wanted.shape}"
        if self.moved is None or not got.size:
            return None
        with np.errstate(all="ignore"):
            y = np.asarray(self.exact[i], np.float64)
            off = [np.abs(np.asarray(m[i], np.float64) - y) for m in self.moved]
            deviation = np.max(off, axis=0)
            spread = np.nanmax(deviation[np.isfinite(deviation)], initial=0.0)
            a, b = got.astype(np.float64), wanted.astype(np.float64)
            same = (a == b) | (np.isnan(a) & np.isnan(b))
            if got.dtype != np.float32:
                wrong = ~same & np.isfinite(deviation) & (spread == 0)
            else:
                top = np.nanmax(np.abs(b[np.isfinite(b)]), initial=0.0)
                limit = 100 * spread + 1e-5 * np.abs(b) + 1e-6 * top
                settled = np.isfinite(deviation) & (np.abs(y) < 1e36)
                # An infinity or NaN that no rounding brings or takes away must be there.
                fixed = ~np.isfinite(y) & (np.isnan(y) | np.isinf(y))
                for m in self.moved:
                    fixed &= (m[i] == y) | (np.isnan(m[i]) & np.isnan(y))
                agreed = (b == y) | (np.isnan(b) & np.isnan(y))
                # A constant is folded in float64, so it may be nearer than what its kernel gives.
                near = (np.abs(a - b) <= limit) | (np.abs(a - y) <= np.abs(b - y))
                wrong = ~same & ((settled & ~near) | (fixed & agreed))
                zero = (a == 0) & (b == 0) & (y == 0) & (spread == 0)
                signs = np.signbit(b) == np.signbit(y)
                wrong |= zero & signs & (np.signbit(a) != np.signbit(b))
        if wrong.any():
            at = np.argmax(wrong)
            return f"{got.flat[at]!r} instead of {wanted.flat[at]!r} (exactly {y.flat[at]!r})"
        return None
