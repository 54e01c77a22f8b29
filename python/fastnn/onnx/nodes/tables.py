"""Of the domain ai.onnx.ml what stands around networks: scaling, linear models, class codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.onnx.values import Call, dtype_of, host, is_known, ndim, shape, tensor, traced

__all__ = ["OPS"]

Op = Callable[..., Any]


def _floats(x: Any) -> Any:
    return ops.cast(tensor(x), "float32")


def _features(c: Call, name: str, x: Any) -> Any:
    """A list of numbers, one for all columns or one for each."""
    given = np.asarray(c.attr(name, []), np.float32)
    columns = shape(x)[-1] if ndim(x) else 1
    if given.size not in (1, columns):
        raise c.wrong(f"{name} has {given.size} numbers for {columns} columns")
    return given


def _extracted(c: Call, x: Any, indices: Any) -> Any:
    size = shape(x)[-1] if ndim(x) else None
    if not isinstance(size, int):
        raise c.wrong("its array has no fixed last axis", "give the size of that axis as a number")
    if not traced(indices):
        at = host(indices).astype(np.int64).reshape(-1)
        if at.size and not 0 <= at.min() <= at.max() < size:
            raise c.wrong(f"there are indices {at.min()} to {at.max()}, of {size} values")
        if not traced(x):
            found = host(x)[..., at]
            found = found[None] if ndim(x) == 1 else found
            return found if is_known(x) else tensor(found)
        indices = tensor(at)
    found = ops.take(tensor(x), ops.reshape(ops.cast(indices, "int32"), (-1,)), axis=-1)
    return ops.expand_dims(found, 0) if ndim(x) == 1 else found


def _scaler(c: Call, x: Any) -> Any:
    return (_floats(x) - _features(c, "offset", x)) * _features(c, "scale", x)


def _normalizer(c: Call, x: Any) -> Any:
    x, norm = _floats(x), c.attr("norm", "MAX")
    axis = 1 if ndim(x) > 1 else 0
    if norm == "MAX":
        size = ops.max(x, axis=axis, keepdims=True)
    elif norm == "L1":
        size = ops.sum(ops.abs(x), axis=axis, keepdims=True)
    elif norm == "L2":
        size = ops.sqrt(ops.sum(x * x, axis=axis, keepdims=True))
    else:
        raise c.wrong(f"norm is {norm!r}")
    return x / ops.where(ops.equal(size, 0.0), 1.0, size)


def _scores(c: Call, x: Any, outputs: int) -> Any:
    """The input by the coefficients, a row of them for each output, plus the intercepts."""
    kernel = np.asarray(c.attr("coefficients", []), np.float32)
    bias = np.asarray(c.attr("intercepts", []), np.float32)
    x = _floats(x)
    x = ops.expand_dims(x, 0) if ndim(x) == 1 else x
    if ndim(x) != 2 or kernel.size != outputs * shape(x)[1] or bias.size not in (0, outputs):
        raise c.wrong(
            f"{kernel.size} coefficients and {bias.size} intercepts for {outputs} outputs of "
            f"{shape(x)[1:]} columns"
        )
    found = ops.matmul(x, np.ascontiguousarray(kernel.reshape(outputs, -1).T))
    return found + bias if bias.size else found


def _transformed(c: Call, scores: Any) -> Any:
    how = c.attr("post_transform", "NONE")
    if how == "NONE":
        return scores
    if how == "LOGISTIC":
        return ops.sigmoid(scores)
    if how == "SOFTMAX":
        return ops.softmax(scores, axis=-1)
    raise c.wrong(f"post_transform is {how!r}", "NONE, LOGISTIC and SOFTMAX are read")


def _linear_regressor(c: Call, x: Any) -> Any:
    return _transformed(c, _scores(c, x, int(c.attr("targets", 1))))


def _linear_classifier(c: Call, x: Any) -> Any:
    names = c.attr("classlabels_strings")
    labels = np.asarray(names or c.attr("classlabels_ints", []), object if names else np.int64)
    if not labels.size or len(c.attr("intercepts") or labels) != labels.size:
        raise c.wrong(f"it has scores for other than its {labels.size} classes")
    scores = _scores(c, x, labels.size)
    return _extracted(c, labels, ops.argmax(scores, axis=-1))[0], _transformed(c, scores)


def _binarizer(c: Call, x: Any) -> Any:
    above = ops.greater(tensor(x), float(c.attr("threshold", 0.0)))
    return ops.cast(above, dtype_of(tensor(x)))


def _imputer(c: Call, x: Any) -> Any:
    whole = c.attr("imputed_value_int64s")
    if whole:
        missing = c.attr("replaced_value_int64", 0)
        return ops.where(ops.equal(tensor(x), int(missing)), np.asarray(whole, np.int32), tensor(x))
    missing = float(c.attr("replaced_value_float", 0.0))
    x = _floats(x)
    lacking = ops.isnan(x) if np.isnan(missing) else ops.equal(x, missing)
    return ops.where(lacking, _features(c, "imputed_value_floats", x), x)


def _feature_vectorizer(c: Call, *xs: Any) -> Any:
    parts = [_floats(x) for x in xs]
    return ops.concatenate([ops.expand_dims(x, 1) if ndim(x) == 1 else x for x in parts], axis=1)


def _one_hot(c: Call, x: Any) -> Any:
    names = c.attr("cats_strings")
    classes = names or c.ints("cats_int64s", [])
    if is_known(x) and (names or x.dtype == object):
        same = host(x)[..., None] == np.asarray(classes, object)
    elif names:
        raise c.wrong("its classes are texts", "call the model on arrays of texts")
    else:
        same = ops.equal(
            ops.expand_dims(ops.cast(tensor(x), "int32"), -1), tensor(np.asarray(classes))
        )
    if not c.attr("zeros", 1) and not traced(same) and not host(same).any(-1).all():
        raise c.wrong("a value is none of its classes", "zeros=1 gives zeros for such values")
    return same.astype(np.float32) if is_known(same) else ops.cast(same, "float32")


def _label_encoder(c: Call, x: Any) -> Any:
    """Keys to values, on arrays: files name them by the types of both."""

    def named(what: str) -> tuple[str, Any]:
        for kind in ("strings", "int64s", "floats", "tensor"):
            if (given := c.attr(f"{what}_{kind}")) is not None:
                return kind, np.asarray(given).reshape(-1).tolist()
        raise c.wrong(f"it has no {what}", "opset 2 of ai.onnx.ml or newer")

    (_, keys), (kind, values) = named("keys"), named("values")
    if len(keys) != len(values):
        raise c.wrong(f"it has {len(keys)} keys and {len(values)} values")
    defaults = {
        "strings": c.attr("default_string", "_Unused"), "int64s": c.attr("default_int64", -1),
        "floats": c.attr("default_float", -0.0), "tensor": c.attr("default_tensor"),
    }  # fmt: skip
    if (given := defaults[kind]) is None:
        raise c.wrong("it has no default_tensor")
    other = np.asarray(given).reshape(-1).tolist()[0]
    table = dict(zip(keys, values, strict=True))
    nan = next((v for k, v in table.items() if k != k), other)
    a = host(x, "its input")
    found = [nan if k != k else table.get(k, other) for k in a.reshape(-1).tolist()]
    dtype: Any = {"strings": object, "int64s": np.int64, "floats": np.float32}.get(kind)
    if dtype is None:
        dtype = np.asarray(c.attr("values_tensor")).dtype
    return np.asarray(found, dtype).reshape(a.shape)


OPS: dict[str, Op] = {
    "ArrayFeatureExtractor": _extracted, "Binarizer": _binarizer,
    "FeatureVectorizer": _feature_vectorizer, "Imputer": _imputer, "LabelEncoder": _label_encoder,
    "LinearClassifier": _linear_classifier, "LinearRegressor": _linear_regressor,
    "Normalizer": _normalizer, "OneHotEncoder": _one_hot, "Scaler": _scaler,
}  # fmt: skip
