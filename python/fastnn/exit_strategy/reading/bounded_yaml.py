"""YAML with a bound on what its aliases expand to, no key twice, and numbers left as text.

Numbers are left to the one reader of amounts: YAML 1.1 reads 010 as 8 and 1:30 as 90. Needs pyyaml.
"""

from __future__ import annotations

from typing import Any

import yaml

from fastnn.exit_strategy.errors import ExitError, Issue

__all__ = ["load_yaml"]

_MOST_NODES = 100_000
_KEPT = ("tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp",
         "tag:yaml.org,2002:merge")  # fmt: skip


class _Loader(yaml.SafeLoader):
    """The safe loader without YAML 1.1's numbers."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, shape) for tag, shape in rows if tag in _KEPT]
    for first, rows in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str) -> Any:
    """Return the value of a YAML document; EX114 for too many aliases, EX121 for a key twice."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _size(node, {}, set())
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _size(node: Any, known: dict[int, int], above: set[int]) -> int:
    """Return how many nodes a node stands for once its aliases are written out."""
    key = id(node)
    if key in known:
        return known[key]
    if key in above:
        raise _refused("an alias that holds itself")
    above.add(key)
    total = 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for name, value in node.value:
            if isinstance(name, yaml.ScalarNode) and name.value != "<<":
                if name.value in seen:
                    raise ExitError(
                        Issue(
                            "EX121", name.value, "the field is given twice", "keep one of the two"
                        )
                    )
                seen.add(name.value)
            total += _size(name, known, above) + _size(value, known, above)
    elif isinstance(node, yaml.SequenceNode):
        total += sum(_size(item, known, above) for item in node.value)
    above.discard(key)
    if total > _MOST_NODES:
        raise _refused(f"more than {_MOST_NODES:,} values")
    known[key] = total
    return total


def _refused(what: str) -> ExitError:
    return ExitError(
        Issue("EX114", "", f"the YAML expands to {what}", "write the profile without aliases")
    )
