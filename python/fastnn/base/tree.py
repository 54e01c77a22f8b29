"""Nested dicts, lists and tuples of arrays, flattened and put together again in a fixed order.

Dictionaries are walked by sorted key, so equal content gives equal order. Depends on nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["flatten", "flatten_with_path", "map_structure", "pack", "structure"]


def _children(node: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(node, dict):
        return [(k, node[k]) for k in sorted(node)]
    if isinstance(node, list | tuple):
        return list(enumerate(node))
    return None


#: As a tuple: a union of types is made anew each time, which takes longer than a small step.
_BRANCHES = (dict, list, tuple)


def _walk(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    children = _children(node)
    if children is None:
        if node is not None:
            yield path, node
        return
    for key, child in children:
        yield from _walk(child, (*path, key))


def flatten(tree: Any) -> list[Any]:
    """The leaves of `tree` in order; `None` is an empty branch."""
    if not isinstance(tree, _BRANCHES):
        return [] if tree is None else [tree]
    return [leaf for _, leaf in _walk(tree, ())]


def flatten_with_path(tree: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Leaves with the keys and positions that lead to them."""
    return list(_walk(tree, ()))


def structure(tree: Any) -> Any:
    """A hashable description of the tree, equal for trees that differ in leaves only."""
    if isinstance(tree, dict):
        return ("dict", tuple((k, structure(tree[k])) for k in sorted(tree)))
    if isinstance(tree, list | tuple):
        return (type(tree).__name__, tuple(structure(c) for c in tree))
    return None if tree is None else "*"


def _rebuild(tree: Any, leaves: Iterator[Any]) -> Any:
    if isinstance(tree, dict):
        filled = {k: _rebuild(tree[k], leaves) for k in sorted(tree)}
        return {k: filled[k] for k in tree}
    if isinstance(tree, tuple):
        parts = [_rebuild(c, leaves) for c in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else tuple(parts)
    if isinstance(tree, list):
        return [_rebuild(c, leaves) for c in tree]
    return None if tree is None else next(leaves)


def pack(tree: Any, leaves: list[Any]) -> Any:
    """The tree with its leaves replaced by `leaves`, in the order of `flatten`."""
    return _rebuild(tree, iter(leaves))


def map_structure(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """`f` applied leaf by leaf; `rest` are trees of the same structure."""
    if not rest and not isinstance(tree, _BRANCHES):
        return None if tree is None else f(tree)
    others = [flatten(r) for r in rest]
    leaves = flatten(tree)
    return pack(tree, [f(*args) for args in zip(leaves, *others, strict=True)])
