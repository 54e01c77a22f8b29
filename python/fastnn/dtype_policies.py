"""Keras's dtype policies: "float32", and mixed ones, which round operands or activations."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

#: Keras's policies of half precision. Sums and what is not a product are float32; products of
#: "mixed_bfloat16" may round their operands on the CPU, and a GPU keeps activations in two bytes.
MIXED = ("mixed_float16", "mixed_bfloat16")


def policy_name(dtype: object) -> str:
    """The policy that a `dtype=` argument other than None names: a mixed one, or "float32"."""
    name: Any = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    name = getattr(name, "name", name)
    return str(name) if name in MIXED else "float32"


def computing_dtype(dtype: object, where: str) -> str:
    """The type that a `dtype=` argument means, "float32"; ValueError for any other.

    None means it too, Python's float, NumPy's float32, and Keras's "float32" policy or its config.
    """
    name: Any = dtype.get("config", {}).get("name") if isinstance(dtype, dict) else dtype
    if getattr(name, "name", name) in MIXED:
        return "float32"
    if hasattr(name, "compute_dtype"):
        name = name.compute_dtype
    elif name is not None and not isinstance(name, str):
        name = getattr(name, "name", getattr(name, "__name__", name))
    if name not in (None, "float32") and dtype is not float:
        raise ValueError(
            f"{where}: dtype {name!r} is not supported\n  hint: fastnn computes in 'float32'"
        )
    return "float32"


class DTypePolicy:
    """How a layer computes and stores: in "float32".

    Under "mixed_bfloat16" products of matrices round their operands to bfloat16 where the
    processor is faster so; sums, everything else and what layers hand on are float32, which is why
    `compute_dtype` is. While `config.set_dtype_policy` has chosen it or "mixed_float16", a GPU
    keeps activations in two bytes an element.

    Args:
        name: The name of the policy.

    Raises:
        ValueError: Another policy.

    Example:
        >>> fastnn.dtype_policies.DTypePolicy("float32").compute_dtype
        'float32'
    """

    name: str

    def __init__(self, name: str = "float32") -> None:
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
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The policy that a config describes."""
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"<DTypePolicy {self.name!r}>"


#: Keras's name of the same.
FloatDTypePolicy = DTypePolicy


def get(identifier: Any) -> DTypePolicy:
    """The policy that a name, a config or a policy means.

    Args:
        identifier: A name, a config or a `DTypePolicy`.

    Returns:
        A `DTypePolicy`.

    Raises:
        ValueError: Another policy.

    Example:
        >>> fastnn.dtype_policies.get("float32").name
        'float32'
    """
    return identifier if isinstance(identifier, DTypePolicy) else DTypePolicy(identifier)


def serialize(dtype_policy: DTypePolicy) -> str:
    """What configs say of a policy: its name.

    Args:
        dtype_policy: A `DTypePolicy`.

    Returns:
        The name.

    Example:
        >>> fastnn.dtype_policies.serialize(fastnn.dtype_policies.DTypePolicy())
        'float32'
    """
    return dtype_policy.name


def deserialize(config: Any, custom_objects: dict[str, Any] | None = None) -> DTypePolicy:
    """The policy of a config, fastnn's or Keras's.

    Args:
        config: A name, or a dict.
        custom_objects: Classes and functions by name, for what fastnn does not know.

    Returns:
        A `DTypePolicy`.

    Raises:
        ValueError: Another policy.

    Example:
        >>> fastnn.dtype_policies.deserialize("float32").name
        'float32'
    """
    return get(config)


def _absent(name: str) -> Any:
    if name.startswith(("Quantized", "GPTQ", "AWQ")):
        raise AttributeError(
            f"fastnn.dtype_policies has no {name!r}: weights are quantised after training\n"
            "  hint: model.quantize('int8'), or 'bfloat16'"
        )
    if name == "DTypePolicyMap":
        raise AttributeError(
            f"fastnn.dtype_policies has no {name!r}: a layer has the policy it was made with\n"
            "  hint: layers.Dense(8, dtype='mixed_bfloat16')"
        )
    raise AttributeError(f"fastnn.dtype_policies has no {name!r}\n  hint: {', '.join(__all__)}")


globals()["__getattr__"] = _absent  # not written as a function, so that type checkers find slips
