"""A layer's constructor: what it was given, as configs hold it, and what to say of wrong arguments.

Depends on `arguments`, `encoding`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any

from fastnn.base.arguments import kept_signature
from fastnn.base.caching import cached
from fastnn.base.typing import Shape
from fastnn.serialization.encoding import to_config

__all__ = [
    "accepted",
    "batch_size_of",
    "config_of",
    "constructor",
    "input_shape_of",
    "required",
]


def config_of(layer: Any, without: Collection[str] = ()) -> dict[str, Any]:
    """Name, trainable flag and the constructor's arguments, but for those named."""
    result: dict[str, Any] = {
        "name": layer.name,
        "trainable": layer._trainable,
        "dtype": layer.dtype_policy.name,
    }
    if layer.activity_regularizer is not None:
        result["activity_regularizer"] = to_config(layer.activity_regularizer)
    signature = kept_signature(constructor(type(layer)))
    args, kwargs = layer._init_arguments
    given = signature.bind_partial(layer, *args, **kwargs).arguments
    own = type(layer).__module__.startswith("fastnn.")
    for name, p in list(signature.parameters.items())[1:]:
        if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) or name in result or name in without:
            continue
        value = getattr(layer, name, p.default) if own or name not in given else given[name]
        try:
            result[name] = to_config(None if value is p.empty else value)
        except TypeError as error:
            raise TypeError(
                f"layer {layer.name!r} ({type(layer).__name__}): argument `{name}`: {error}"
            ) from None
    return result


def accepted(cls: type, config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of a config the constructor takes, and what of its name and flag it does not.

    A class of the user's may take neither: `def __init__(self, units): super().__init__()`.
    """
    parameters = inspect.signature(constructor(cls)).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return config, {}
    own = ("name", "trainable", "dtype")
    beside = {k: v for k, v in config.items() if k in own and k not in parameters}
    return {k: v for k, v in config.items() if k not in beside}, beside


@cached()
def required(cls: type) -> tuple[str, ...]:
    """Names of the constructor's parameters that have no default, in order."""
    parameters = list(inspect.signature(constructor(cls)).parameters.values())[1:]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return tuple(p.name for p in parameters if p.kind in kinds and p.default is p.empty)


def constructor(cls: type) -> Callable[..., Any]:
    """The `__init__` nearest to the class that was written for it."""
    return cls.__init__  # type: ignore[misc, no-any-return]


def batch_size_of(kwargs: dict[str, Any]) -> int | None:
    """The batch size among Keras's older spellings of the input shape; None where it is open."""
    shape = kwargs.get("batch_input_shape") or kwargs.get("batch_shape") or (None,)
    return shape[0] if isinstance(shape[0], int) else None


def input_shape_of(kwargs: dict[str, Any]) -> Shape | None:
    """Takes Keras's older spellings of the input shape out of `kwargs`: without the batch."""
    for key in ("input_shape", "batch_input_shape", "batch_shape", "input_dim"):
        if key in kwargs:
            value = kwargs.pop(key)
            if value is None:
                continue
            sizes = (value,) if isinstance(value, int) else tuple(value)
            return sizes[1:] if key.startswith("batch") else sizes
    return None
