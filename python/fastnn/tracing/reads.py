"""What the code of a function reads from around it, and what it changes there.

Found in its byte code, so that source need not be at hand. Depends on `caching`.
"""

from __future__ import annotations

import dis
import sys
import types
from typing import Any, NamedTuple

from fastnn.base.caching import cached

__all__ = ["Reads", "is_library", "reads"]

#: Methods that change their object: one that a function calls keeps a record, it is no setting.
_CHANGERS = frozenset(
    "add append appendleft clear discard extend insert pop popitem popleft remove setdefault sort"
    " update write".split()
)
_NAMES = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_ASSIGNED = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")


class Reads(NamedTuple):
    """Names that code reads and changes."""

    #: Names of the module, each with the attributes that are read of it at once.
    names: tuple[tuple[str, tuple[str, ...]], ...]
    #: All attributes that are read of anything.
    attributes: frozenset[str]
    #: Names around it that it assigns or whose object it changes by a method.
    changed: frozenset[str]
    #: Names that it may change by assigning an item.
    filled: frozenset[str]
    #: Names whose attributes it assigns: `counter` in `counter.calls += 1`.
    marked: frozenset[str]


@cached(4096)
def reads(code: types.CodeType) -> Reads:
    """What a function's code reads and changes, with the functions inside it."""
    names: set[tuple[str, tuple[str, ...]]] = set()
    attributes: set[str] = set()
    changed: set[str] = set()
    loaded: set[str] = set()
    marked: set[str] = set()
    steps = [i for i in dis.get_instructions(code) if i.opname not in ("CACHE", "PUSH_NULL")]
    # An attribute that it assigns is a record, as a counter is: its old value is no setting.
    assigned = {step.argval for step in steps if step.opname == "STORE_ATTR"}
    for at, step in enumerate(steps):
        if step.opname in _ASSIGNED:
            changed.add(step.argval)
        elif step.opname in _ATTRIBUTES:
            attributes.add(step.argval)
        elif step.opname in _NAMES:
            chain = []
            after = at + 1
            while after < len(steps) and steps[after].opname in _ATTRIBUTES:
                chain.append(steps[after].argval)
                after += 1
            loaded.add(step.argval)
            if chain and chain[-1] in _CHANGERS:
                changed.add(step.argval)
            target = steps[after].opname if after < len(steps) else ""
            if target in ("STORE_ATTR", "DELETE_ATTR") or assigned.intersection(chain):
                marked.add(step.argval)
            elif step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                names.add((step.argval, tuple(chain)))
    fills = any(step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR") for step in steps)
    filled = loaded if fills else set()
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            part = reads(inner)
            names |= set(part.names)
            attributes |= part.attributes
            changed |= part.changed
            filled = filled | part.filled
            marked |= part.marked
    return Reads(
        tuple(sorted(names)),
        frozenset(attributes - assigned),
        frozenset(changed),
        frozenset(filled),
        frozenset(marked),
    )


@cached()
def _libraries() -> tuple[str, ...]:
    """Where installed libraries lie; Python takes a millisecond to say so."""
    import sysconfig

    paths = sysconfig.get_paths()
    return tuple(paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib"))


@cached(4096)
def _lies_in_a_library(file: str | None) -> bool:
    return bool(file) and str(file).startswith((*_libraries(), "<frozen"))


def is_library(thing: Any) -> bool:
    """Whether a module, class or function is one of fastnn's or of an installed library."""
    module: Any
    file: Any
    if isinstance(thing, types.FunctionType):
        module, file = thing.__module__, thing.__code__.co_filename
    elif isinstance(thing, types.ModuleType):
        module, file = thing.__name__, getattr(thing, "__file__", None)
    else:
        module = getattr(thing, "__module__", None)
        file = getattr(sys.modules.get(str(module)), "__file__", None)
    root = str(module).split(".")[0]
    return root == "fastnn" or root in sys.builtin_module_names or _lies_in_a_library(file)
