"""The weights and random states of a model under the names that fastnn's files give them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

from fastnn import _core
from fastnn.base.messages import escaped
from fastnn.config import snake_case
from fastnn.errors import FormatError, warn_of_skipped
from fastnn.random import SeedGenerator
from fastnn.tracing.away import staying

__all__ = ["BESIDE", "assign", "named_variables", "of_one_state", "random_states", "save_file"]

T = TypeVar("T")


def of_one_state(model: Any, read: Callable[[], T]) -> T:
    """What `read` gives, read again where another thread compiled the model or froze weights.

    Settings of one optimizer with the state of another would be a file that nobody can load.
    """
    for _ in range(_TRIES):
        compiled, trained = _compiled(model), [v.trainable for v in model.variables]
        found = read()
        same = all(a is b for a, b in zip(compiled, _compiled(model), strict=True))
        if same and trained == [v.trainable for v in model.variables]:
            break
    return found


#: A model whose own methods compile it at each reading is written as it is then.
_TRIES = 20


def _compiled(model: Any) -> tuple[Any, Any]:
    return getattr(model, "optimizer", None), getattr(model, "_compile_config", None)


def named_variables(model: Any) -> dict[str, Any]:
    """Every weight and random state under a name that says where it lives."""
    found: dict[str, Any] = {}
    seen: set[int] = set()

    def add(name: str, variable: Any) -> None:
        if id(variable) in seen:
            return
        seen.add(id(variable))
        unique, n = name, 0
        while unique in found:
            n += 1
            unique = f"{name}_{n}"
        found[unique] = variable

    def walk(layer: Any, prefix: str) -> None:
        for v in layer._own_weights():
            add(f"{prefix}{v.name}", v)
        for key, value in layer.__dict__.items():
            for i, held in enumerate(_held(value)):
                if isinstance(held, SeedGenerator):
                    add(f"{prefix}{key}/{f'{i}/' if held is not value else ''}state", held.state)
        counts: Counter[str] = Counter()
        for inner in layer._sublayers():
            # Automatic names count per process, files count per model.
            label = inner.name
            base = snake_case(type(inner).__name__)
            if re.fullmatch(rf"{base}(_\d+)?", inner.name):
                label = f"{base}_{counts[base]}" if counts[base] else base
                counts[base] += 1
            walk(inner, f"{prefix}{label}/")

    walk(model, "")
    return found


def save_file(path: str, tensors: dict[str, Any], metadata: dict[str, str], function: Any) -> None:
    """Writes a file of the core's with the values that variables have now, wherever they are."""
    traced = [] if function is None else function.variables
    with staying([*tensors.values(), *traced]):
        _core.save_file(path, tensors, metadata, function)


def random_states(model: Any) -> dict[str, Any]:
    """The variables among `named_variables` that random numbers are drawn from."""
    found = named_variables(model).items()
    return {name: v for name, v in found if v.path.endswith("/seed_generator_state")}


def _held(value: Any) -> list[Any]:
    """The value itself, or what a list, tuple or dict of them holds."""
    if isinstance(value, dict):
        return list(value.values())
    return list(value) if isinstance(value, list | tuple) else [value]


#: What files hold beside the weights of layers, by the start of the name.
BESIDE = ("optimizer/", "callbacks/", "metrics/", "random/")


def assign(
    variables: dict[str, Any], tensors: dict[str, Any], path: str, skip_mismatch: bool
) -> None:
    """Sets variables from tensors of their names: all of them, and no tensor is left over.

    Nothing is set when something does not fit; with `skip_mismatch` the rest is, and a warning
    names what is not. Random states without a place are named in a warning: they are no weights.
    """
    fits, faults = {}, []
    for name, v in variables.items():
        value = tensors.get(name)
        if value is None:
            faults.append(f"it has no tensor {name!r}")
        elif tuple(value.shape) != tuple(v.shape):
            faults.append(
                f"tensor {name!r} has shape {tuple(value.shape)}, the model wants {v.shape}"
            )
        else:
            fits[name] = value
    left = [n for n in tensors if n not in variables and not n.startswith(BESIDE)]
    states = [n for n in left if n.endswith("/state")]
    left = [n for n in left if n not in states]
    if left:
        shown = ", ".join(map(repr, left[:8])) + (", …" if len(left) > 8 else "")
        faults.append(f"the model has no place for {len(left)} of its tensors: {shown}")
    if faults and not skip_mismatch:
        names = sorted(k for k in tensors if not k.startswith("optimizer/"))
        have = ", ".join(map(escaped, names[:8]))
        hint = f"the file holds {have}"
        if not any(n in tensors for n in variables) and not fits:
            hint += "; call the model on data first, or define build(), so that it has its layers"
        elif left:
            hint += "; skip_mismatch=True takes what fits"
        raise FormatError(f"{path!r} does not fit the model: {faults[0]}\n  hint: {hint}")
    if faults:
        warn_of_skipped(path, faults)
    if states:
        drawn = escaped(", ".join(states))
        warn_of_skipped(path, [f"no layer draws from the random states {drawn}"])
    for name, value in fits.items():
        variables[name].assign(value)
