"""Cases of rows for devices: those of `tests/ops/row_table.py`, and more that follow from what the
op table says of a row: shapes around a workgroup, no elements, one axis for all, types, both ends
of broadcasting.
"""

import functools
import math
from dataclasses import dataclass, field

import numpy as np

import row_table

#: One operand.
SHAPES = [(), (1,), (255,), (257,), (65, 33), (3, 1, 5), (0, 3), (2, 0), (2, 3, 4, 5), (70_001,)]
#: Two operands that broadcast, in both orders.
PAIRS = [
    ((), (7,)), ((4, 1, 5), (3, 1)), ((1, 257), (65, 1)), ((2, 0), (1,)), ((5,), (2, 3, 5)),
    ((33, 65), (65,)), ((2, 3, 4), (2, 3, 1)), ((1, 1, 1), (1,)), ((300, 300), ()),
]  # fmt: skip
#: Three.
TRIPLES = [
    ((), (7,), ()), ((4, 1, 5), (3, 1), (5,)), ((1, 257), (65, 1), ()), ((0,), (0,), (1,)),
    ((3, 4), (3, 1), (3, 4)), ((300, 300), (300,), (300, 1)),
]  # fmt: skip
#: What reductions reduce, and along which axes.
REDUCED = [
    ((70_001,), (0,)), ((5, 9000), (1,)), ((9000, 5), (0,)), ((3, 700, 65), (1,)),
    ((2, 3, 4, 5), (1, 3)), ((2, 3, 4, 5), (0, 1)), ((0, 3), (1,)), ((1, 1), (0, 1)),
    ((257, 33), (1,)), ((257, 33), (0,)), ((2, 31, 33), (0, 2)), ((300, 256), None),
]  # fmt: skip
#: Products: both shapes, before what is transposed is.
PRODUCTS = [
    ((1, 1), (1, 1)), ((8, 300), (300, 5)), ((9, 16), (16, 9)), ((31, 33), (33, 65)),
    ((64, 64), (64, 64)), ((65, 17), (17, 129)), ((130, 20), (20, 12)), ((40, 2052), (2052, 36)),
    ((300, 7), (7, 500)), ((3, 20, 8), (8, 20)), ((2, 1, 12, 5), (3, 5, 30)), ((0, 4), (4, 5)),
    ((4, 5), (5, 0)), ((500, 12), (12, 16)), ((3, 10, 1), (3, 1, 10)), ((129, 1000), (1000, 3)),
]  # fmt: skip
#: Whole numbers, and truth.
TYPES = (np.int32, np.bool_)


@dataclass(frozen=True)
class RowCase:
    """A row over these arrays."""

    name: str
    arrays: tuple
    attrs: dict = field(default_factory=dict)

    def label(self) -> str:
        """What is tried."""
        shapes = [f"{a.dtype}{list(a.shape)}" for a in self.arrays]
        return f"{self.name} {' '.join(shapes)} {self.attrs}"


def _shapes(row):
    return {1: [(s,) for s in SHAPES], 2: [*PAIRS, *(p[::-1] for p in PAIRS)], 3: TRIPLES}[
        len(row.args)
    ]


def _elementwise(row):
    """Every shape; whole numbers and truth values where the row takes them as they are."""
    for shapes in _shapes(row):
        yield row_table.Case(shapes)
    if row.accept not in ("Number", "Common", "Exact", "Truth"):
        return
    rng = np.random.default_rng(1)
    for dtype in TYPES:
        low, high = (1, 9) if dtype is np.int32 else (0, 2)
        for shapes in _shapes(row):
            arrays = [rng.integers(low, high, s).astype(dtype) for s in shapes]
            if dtype is np.bool_ and row.name in ("floor_divide", "mod"):
                continue
            if row.name == "where":
                arrays[0] = arrays[0] > low
            yield row_table.Case(tuple(np.asarray(a) for a in arrays))


def _reductions(row):
    one = any(name == "axis" and kind == "IntOrNone" for name, kind, _ in row.attrs)
    rng = np.random.default_rng(2)
    for shape, axes in REDUCED:
        if one and axes is not None and len(axes) > 1:
            continue
        reduced = range(len(shape)) if axes is None else axes
        if not math.prod(shape[a] for a in reduced):
            continue
        for keepdims in (False, True):
            axis = axes[0] if one and axes is not None else axes
            attrs = {"axis": axis, "keepdims": keepdims}
            yield row_table.Case((shape,), attrs)
            if row.accept in ("Number", "Exact", "Truth") and math.prod(shape) < 10_000:
                whole = rng.integers(-3, 4, shape).astype(np.int32)
                yield row_table.Case((whole,), attrs)
                yield row_table.Case((whole > 0,), attrs)


def _products(row):
    for a, b in PRODUCTS:
        for left in (False, True):
            for right in (False, True):
                x = (*a[:-2], a[-1], a[-2]) if left else a
                y = (*b[:-2], b[-1], b[-2]) if right else b
                yield row_table.Case((x, y), {"transpose_a": left, "transpose_b": right})


def further(row):
    """Cases besides those of the table's own tests."""
    plain = not any(default is ... for _, _, default in row.attrs)
    if row.klass == "Elementwise" and row.name not in row_table.CASES and plain:
        return list(_elementwise(row))
    if row.klass == "Reduce":
        return list(_reductions(row))
    if row.name == "matmul":
        return list(_products(row))
    return []


@functools.cache
def cases(name):
    """All cases of a row."""
    row = row_table.ROWS[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    found = []
    for one in [*row_table.cases_of(row, small=False), *further(row)]:
        arrays = tuple(np.asarray(a) for a in row_table.sample(row, one, rng))
        found.append(RowCase(name, arrays, one.attrs))
    return found
