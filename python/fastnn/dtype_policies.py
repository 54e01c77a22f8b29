"""Keras's dtype policies: "float32", and mixed ones by name, which compute in float32 as well.

Depends on `config`.
"""

from __future__ import annotations

from typing import Any

from fastnn.config import MIXED, computing_dtype

__all__ = ["DTypePolicy", "deserialize", "get", "serialize"]


class DTypePolicy:
    """How a layer computes and stores: in "float32".

    The names "mixed_float16" and "mixed_bfloat16" are taken with the same meaning; other policies
    are refused with ValueError.
    """

    def __init__(self, name: Any = "float32") -> None:
        given = getattr(name, "name", name)
        computed = computing_dtype(name, "DTypePolicy")
        self.name = str(given) if given in MIXED else computed

    @property
    def compute_dtype(self) -> str:
        """The type of the computation."""
        return "float32"

    @property
    def variable_dtype(self) -> str:
        """The type of the weights."""
        return "float32"

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The policy that a config describes."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<DTypePolicy {self.name!r}>"


def get(identifier: Any) -> DTypePolicy:
    """The policy that a name, a config or a policy means."""
    return identifier if isinstance(identifier, DTypePolicy) else DTypePolicy(identifier)


def serialize(dtype_policy: DTypePolicy) -> str:
    """What configs say of a policy: its name."""
    return dtype_policy.name


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy of a config, fastnn's or Keras's."""
    return get(config)
