"""Changes of type, constants, and values made from nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops, random
from fastnn._core import Dim
from fastnn.onnx.graph import ELEMENTS, numpy_type
from fastnn.onnx.values import Call, is_known, shape, tensor, traced

__all__ = ["OPS", "cast_array", "cast_to"]

Op = Callable[..., Any]
_EIGHT = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")


def cast_array(x: np.ndarray[Any, Any], name: str, saturate: bool = True) -> np.ndarray[Any, Any]:
    """An array as another type, by ONNX's rules."""
    if name == "object":
        return _as_text(x)
    dtype = numpy_type(name)
    if x.dtype == dtype:
        return x
    if x.dtype == object:
        flat = [v.decode() if isinstance(v, bytes) else v for v in x.reshape(-1)]
        sizes = [int(v) if isinstance(v, Dim) else v for v in flat]
        wide = np.array(sizes, dtype=np.float64 if dtype.kind not in "iu" else None)
        return cast_array(wide.reshape(x.shape).astype(wide.dtype), name)
    if dtype == np.bool_:
        return x != 0
    if name in _EIGHT and saturate:
        import ml_dtypes

        top = float(ml_dtypes.finfo(dtype).max)  # type: ignore[no-untyped-call]
        wide = x.astype(np.float32)
        kept = np.isnan(wide)
        return np.where(kept, wide, np.clip(wide, -top, top)).astype(dtype)
    if name == "float8_e8m0fnu":
        return _to_power_of_two(x, saturate)
    if name in ("int4", "uint4", "int2", "uint2"):
        bits = int(name.strip("uint"))
        low = 0 if name[0] == "u" else -(2 ** (bits - 1))
        whole = np.trunc(x.astype(np.float64)).astype(np.int64)
        return ((whole - low) % 2**bits + low).astype(np.int8).astype(dtype)
    if name == "float4_e2m1fn":
        return x.astype(np.float32).astype(dtype)
    if dtype.kind in "iu" and x.dtype.kind not in "iub":
        wide = x.astype(np.float64) if x.dtype != np.float64 else x
        return np.trunc(wide).astype(np.int64).astype(dtype)
    return x.astype(dtype)


def _to_power_of_two(x: np.ndarray[Any, Any], saturate: bool) -> np.ndarray[Any, Any]:
    from onnx.numpy_helper import to_float8e8m0

    return np.asarray(to_float8e8m0(x.astype(np.float32), saturate=saturate))


def _as_text(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    flat = np.empty(x.size, object)
    wide = x.astype(np.float32) if str(x.dtype) in ("bfloat16", *_EIGHT) else x
    flat[:] = [str(v) if v.__class__ is not float else repr(v) for v in wide.reshape(-1)]
    return flat.reshape(x.shape)


def cast_to(c: Call, x: Any, name: str, saturate: bool = True) -> Any:
    """A value as the type of this name."""
    if is_known(x) and not (x.dtype == object and any(isinstance(v, Dim) for v in x.flat)):
        return cast_array(x, name, saturate)
    if is_known(x) and name in ("int64", "int32"):
        return x  # sizes, some of them open
    if traced(x) or is_known(x):
        t = tensor(x)
        kind = {"float64": "float32", "bool": "bool", "float32": "float32"}.get(name)
        if kind is None and name in ("float16", "bfloat16"):  # rounded, then computed with as ever
            return ops.cast(ops.cast(ops.cast(t, "float32"), name), "float32")
        if kind is None and name in ("int64", "int32", "uint32", "uint64", "int16"):
            kind = "int32"
        if kind is None and name in ("int8", "uint8"):
            return ops.cast(ops.cast(t, name), "int32")
        if kind is None:
            raise c.wrong(f"values of {name} cannot be computed with", "call the model on arrays")
        return ops.cast(t, kind)
    if name in ("float32", "bool"):
        return ops.cast(x, name)
    return cast_array(np.asarray(x), name, saturate)


def _cast(c: Call, x: Any) -> Any:
    return cast_to(c, x, _element(c, c.attr("to")), bool(c.attr("saturate", 1)))


def _cast_like(c: Call, x: Any, target: Any) -> Any:
    name = str(target.dtype)
    return cast_to(c, x, name, bool(c.attr("saturate", 1)))


def _element(c: Call, number: Any) -> str:
    if number not in ELEMENTS:
        raise c.wrong(f"there is no element type {number!r}")
    return ELEMENTS[number]


def _bit_cast(c: Call, x: Any) -> Any:
    name = _element(c, c.attr("to"))
    return c.on_arrays(lambda a: np.ascontiguousarray(a).view(numpy_type(name)).reshape(a.shape), x)


def _constant(c: Call) -> Any:
    attrs = c.node.attrs
    for key, dtype in (("value_float", np.float32), ("value_floats", np.float32),
                       ("value_int", np.int64), ("value_ints", np.int64)):  # fmt: skip
        if key in attrs:
            return np.asarray(attrs[key], dtype)
    if "value_string" in attrs:
        return np.array(attrs["value_string"], object)
    if "value_strings" in attrs:
        return np.array(attrs["value_strings"], object)
    for key in ("value", "sparse_value"):
        if key in attrs:
            return attrs[key]
    raise c.wrong("it has no value")


def _constant_of_shape(c: Call, sizes: Any) -> Any:
    dims = c.list(sizes, "shape")
    c.check(dims)
    value = np.asarray(c.attr("value", np.zeros(1, np.float32))).reshape(-1)
    if value.size != 1:
        raise c.wrong(f"its value has {value.size} elements, wanted one")
    if any(isinstance(d, Dim) for d in dims):
        return ops.full(dims, value[0].item(), str(tensor(value).dtype))
    return np.full(dims, value[0], value.dtype)


def _range(c: Call, start: Any, limit: Any, delta: Any) -> Any:
    first, end, step = (c.host(x, n).reshape(()) for x, n in
                        ((start, "start"), (limit, "limit"), (delta, "delta")))  # fmt: skip
    if end.dtype == object:
        if int(first) != 0 or int(step) != 1:
            raise c.wrong("a range to an open size has to begin at 0 and go by 1", "cast it")
        return ops.iota(end.item())
    if step == 0:
        raise c.wrong("its delta is 0")
    count = max(int(np.ceil((float(end) - float(first)) / float(step))), 0)
    c.check([count])
    return (first + step * np.arange(count).astype(first.dtype)).astype(first.dtype)


def _eye_like(c: Call, x: Any) -> Any:
    rows, columns = shape(x)
    name = _element(c, c.attr("dtype")) if "dtype" in c.node.attrs else str(x.dtype)
    if isinstance(rows, Dim) or isinstance(columns, Dim):
        return cast_to(c, ops.eye(rows, columns, c.attr("k", 0)), name)
    return np.eye(rows, columns, c.attr("k", 0)).astype(numpy_type(name))


def _draws(kind: str, by_shape: bool) -> Op:
    def op(c: Call, *xs: Any) -> Any:
        sizes = c.ints("shape", []) if by_shape else list(shape(xs[0]))
        c.check(sizes)
        name = _element(c, c.attr("dtype", 1))
        seed = c.attr("seed")
        seed = None if seed is None else int(seed)
        if kind == "normal":
            drawn = random.normal(sizes, c.attr("mean", 0.0), c.attr("scale", 1.0), seed=seed)
        else:
            drawn = random.uniform(sizes, c.attr("low", 0.0), c.attr("high", 1.0), seed=seed)
        return drawn if name == "float32" else cast_to(c, drawn, name)

    return op


def _bernoulli(c: Call, x: Any) -> Any:
    seed = c.attr("seed")
    drawn = random.uniform(shape(x), seed=None if seed is None else int(seed))
    found = ops.less(drawn, ops.cast(tensor(x), "float32"))
    name = _element(c, c.attr("dtype")) if "dtype" in c.node.attrs else str(x.dtype)
    return cast_to(c, found, name)


OPS: dict[str, Op] = {
    "Cast": _cast, "CastLike": _cast_like, "BitCast": _bit_cast, "Constant": _constant,
    "ConstantOfShape": _constant_of_shape, "Range": _range, "EyeLike": _eye_like,
    "RandomNormal": _draws("normal", True), "RandomUniform": _draws("uniform", True),
    "RandomNormalLike": _draws("normal", False), "RandomUniformLike": _draws("uniform", False),
    "Bernoulli": _bernoulli,
}  # fmt: skip
