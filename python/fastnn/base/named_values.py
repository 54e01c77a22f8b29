"""`Config`: named values that can be frozen. Depends on the standard library."""

from __future__ import annotations

import json
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from fastnn.errors import nearest

__all__ = ["Config"]


class Config:
    """Named values, as attributes and as items of a dict, which can be frozen.

    A loop over it goes through the names in alphabetical order.

    Args:
        **kwargs: The first values by name.

    Raises:
        AttributeError: There is no value of this name.
        ValueError: The config is frozen and shall change.

    Example:
        >>> config = fastnn.utils.Config(rate=0.1)
        >>> config.steps = 5
        >>> config["rate"], config.as_dict()
        (0.1, {'rate': 0.1, 'steps': 5})
    """

    _config: dict[str, Any]
    _frozen: bool

    def __init__(self, **kwargs: Any) -> None:
        self.__dict__.update(_config=dict(kwargs), _frozen=False)

    @property
    def frozen(self) -> bool:
        """Whether values cannot be changed."""
        return self._frozen

    def freeze(self) -> None:
        """From now on values cannot be changed."""
        self.__dict__["_frozen"] = True

    def unfreeze(self) -> None:
        """From now on values can be changed."""
        self.__dict__["_frozen"] = False

    def _refuse_if_frozen(self) -> None:
        if self._frozen:
            raise ValueError(
                "Cannot mutate attribute(s) because the config is frozen.\n"
                "  hint: config.unfreeze() first"
            )

    def as_dict(self) -> dict[str, Any]:
        """The values as a dict of its own."""
        return dict(self._config)

    def to_json(self) -> str:
        """The values as JSON."""
        return json.dumps(self._config)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._config.keys()

    def values(self) -> ValuesView[Any]:
        """The values."""
        return self._config.values()

    def items(self) -> ItemsView[str, Any]:
        """Names and values."""
        return self._config.items()

    def get(self, keyname: str, value: Any = None) -> Any:
        """The value of a name, or the one given where there is none."""
        return self._config.get(keyname, value)

    def pop(self, *args: Any) -> Any:
        """Takes a value out, as `dict.pop`."""
        self._refuse_if_frozen()
        return self._config.pop(*args)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes values over, as `dict.update`."""
        self._refuse_if_frozen()
        self._config.update(*args, **kwargs)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__") or hasattr(type(self), name):
            raise AttributeError(
                f"Config has a method or property {name!r}\n  hint: another name for the value"
            )
        self[name] = value

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("_config", {})
        if name in values:
            return values[name]
        close = nearest(name, list(values))
        hint = f"did you mean {', '.join(close)}?" if close else f"it has {sorted(values)}"
        raise AttributeError(f"Unknown attribute: {name!r}.\n  hint: {hint}")

    def __setitem__(self, key: str, item: Any) -> None:
        self._refuse_if_frozen()
        self._config[key] = item

    def __getitem__(self, key: str) -> Any:
        return self._config[key]

    def __delitem__(self, key: str) -> None:
        self._refuse_if_frozen()
        del self._config[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._config))

    def __len__(self) -> int:
        return len(self._config)

    def __contains__(self, key: object) -> bool:
        return key in self._config

    def __repr__(self) -> str:
        return f"<Config {self._config}>"
