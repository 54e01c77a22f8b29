"""Objects as configs: the constructor's arguments in terms that JSON knows.

Depends on `custom_objects`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from fastnn.base.arguments import kept_signature, takes_numbers
from fastnn.base.tensors import TensorShape
from fastnn.serialization.custom_objects import custom_objects, get_registered_name
from fastnn.serialization.shared import marked
from fastnn.tracing.variables import touch

__all__ = ["Configurable", "FunctionName", "as_json", "function_config", "function_of", "to_config"]


class FunctionName(str):
    """The name of a function in a config, which in memory brings the function along.

    Written to a file it is a text like any other: the file holds no code.
    """

    function: Callable[..., Any]

    def __new__(cls, function: Callable[..., Any]) -> FunctionName:
        """The name under which files know a function."""
        name = super().__new__(cls, get_registered_name(function))
        name.function = function
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str(self),)

    def __deepcopy__(self, memo: Any) -> FunctionName:
        return self


def function_config(function: Any) -> Any:
    """A function as configs hold it: by name, or itself when it has none (a lambda).

    So it is there for a config in memory, and no file takes what nobody could find by a name.
    """
    if callable(function) and getattr(function, "__name__", "<lambda>") != "<lambda>":
        return FunctionName(function)
    return function


def function_of(config: Any, where: str) -> Any:
    """The function that `function_config` or Keras described; code is never read."""
    if isinstance(config, FunctionName):
        return config.function
    name = config
    if isinstance(config, dict):
        name = config.get("config") if config.get("class_name") == "function" else None
    if callable(config) or config is None:
        return config
    if not isinstance(name, str):
        raise ValueError(
            f"{where} holds code, which is never read from a file or a config\n"
            "  hint: write a Layer subclass and pass it as custom_objects"
        )
    found = custom_objects().get(name)
    if not callable(found):
        raise ValueError(
            f"{where} uses the function {name!r:.80}, which is not known\n"
            f"  hint: custom_objects={{{name!r:.80}: {name:.80}}}"
        )
    return found


def as_json(config: Any, **options: Any) -> str:
    """`config` as JSON text; ValueError for code, which never goes into a file."""

    def refuse(value: Any) -> Any:
        raise ValueError(
            f"a config holds code, which is never written to a file: {value!r}\n"
            "  hint: name the function (def) and pass it as custom_objects on load, or write a "
            "Layer subclass"
        )

    return json.dumps(config, default=refuse, **options)


class Configurable:
    """Something that can be described by its constructor's arguments and made again from them."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        takes_numbers(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        # Steps that were traced hold settings as numbers, so a setting that changes counts as a
        # change of the model. What an object keeps for itself, and `built`, are no settings.
        if name[0] != "_" and name != "built" and self.__dict__.get(name, value) is not value:
            touch()
        object.__setattr__(self, name, value)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON holds them.

        Returns:
            A dict; `from_config` makes an object of it.

        Example:
            >>> fastnn.metrics.BinaryAccuracy(threshold=0.7).get_config()["threshold"]
            0.7
        """
        config = {}
        own = list(kept_signature(type(self).__init__).parameters.items())[1:]
        for name, p in own:
            if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL):
                continue
            if not hasattr(self, name):
                raise NotImplementedError(
                    f"{type(self).__name__} keeps no attribute {name!r}, so its config is unknown\n"
                    f"  hint: set self.{name} in __init__ or define get_config"
                )
            config[name] = to_config(getattr(self, name))
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """An object made from a config."""
        return cls(**config)


def to_config(value: Any) -> Any:
    """`value` in terms that JSON knows; functions as `function_config` has them."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {k: to_config(v) for k, v in value.items()}
    if isinstance(value, TensorShape):
        return tuple(value)
    if isinstance(value, list | tuple):
        return (
            type(value)(to_config(v) for v in value)
            if type(value) in (list, tuple)
            else list(value)
        )
    if hasattr(value, "get_config"):
        entry = {"class_name": get_registered_name(type(value)), "config": value.get_config()}
        return marked(value, entry)
    if callable(value):
        return function_config(value)
    if hasattr(value, "numpy"):
        return np.asarray(value).tolist()
    raise TypeError(f"{value!r} cannot be written to a config\n  hint: define get_config")
