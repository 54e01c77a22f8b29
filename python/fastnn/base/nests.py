"""`keras.tree`: nested dicts, lists and tuples, taken apart and put together leaf by leaf.

Other than in `fastnn.base.tree`, which data go through, None is a leaf here as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.tree import pack as pack, structure as structure

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path",
    "is_nested", "lists_to_tuples", "map_shape_structure", "map_structure",
    "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip


class MAP_TO_NONE:
    """What a function that `traverse` calls returns where None shall stand.

    Example:
        >>> nest, none = [1, 2], fastnn.tree.MAP_TO_NONE
        >>> fastnn.tree.traverse(lambda leaf: none if leaf == 2 else None, nest)
        [1, None]
    """


@hints_arguments
def is_nested(structure: Any) -> bool:
    """True for dicts, lists and tuples.

    Args:
        structure: Anything.

    Returns:
        A truth value.

    Example:
        >>> fastnn.tree.is_nested([1]), fastnn.tree.is_nested(1)
        (True, False)
    """
    return isinstance(structure, dict | list | tuple)


def _parts(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, dict):
        return [(k, node[k]) for k in sorted(node)]
    return list(enumerate(node))


def _made(node: Any, parts: list[Any]) -> Any:
    """A nest like `node` of other parts, which stand in the order of `_parts`."""
    if isinstance(node, dict):
        by_key = dict(zip(sorted(node), parts, strict=True))
        return type(node)((k, by_key[k]) for k in node)
    if hasattr(node, "_fields"):
        return type(node)(*parts)
    return type(node)(parts)


@hints_arguments
def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """Leaves with the keys and positions that lead to them.

    Args:
        structure: A nest; dicts are read by sorted key.

    Returns:
        Pairs of a path and a leaf.

    Example:
        >>> fastnn.tree.flatten_with_path({"a": [1, 2]})
        [(('a', 0), 1), (('a', 1), 2)]
    """
    if not is_nested(structure):
        return [((), structure)]
    return [
        ((key, *path), leaf)
        for key, part in _parts(structure)
        for path, leaf in flatten_with_path(part)
    ]


@hints_arguments
def flatten(structure: Any) -> list[Any]:
    """The leaves in order; dicts are read by sorted key.

    Args:
        structure: A nest, or one leaf.

    Returns:
        A list.

    Example:
        >>> fastnn.tree.flatten({"b": 1, "a": [2, None]})
        [2, None, 1]
    """
    return [leaf for _, leaf in flatten_with_path(structure)]


@hints_arguments
def pack_sequence_as(structure: Any, flat_sequence: Sequence[Any]) -> Any:
    """A nest like `structure` with other leaves.

    Args:
        structure: A nest.
        flat_sequence: As many leaves as it has, in the order of `flatten`.

    Returns:
        The nest.

    Raises:
        ValueError: There are more or fewer leaves.

    Example:
        >>> fastnn.tree.pack_sequence_as({"a": 0, "b": [0, 0]}, [1, 2, 3])
        {'a': 1, 'b': [2, 3]}
    """
    leaves = list(flat_sequence)
    if len(leaves) != len(flatten(structure)):
        raise ValueError(
            f"pack_sequence_as: {len(leaves)} leaves for a structure of "
            f"{len(flatten(structure))}\n  hint: the leaves that flatten gave"
        )
    rest = iter(leaves)

    def fill(node: Any) -> Any:
        if not is_nested(node):
            return next(rest)
        return _made(node, [fill(part) for _, part in _parts(node)])

    return fill(structure)


@hints_arguments
def assert_same_structure(a: Any, b: Any, check_types: bool = True) -> None:
    """Nothing when two nests differ in leaves alone.

    Args:
        a: A nest.
        b: Another one.
        check_types: Whether lists and tuples are told apart.

    Raises:
        ValueError: They differ; the message names the place.

    Example:
        >>> fastnn.tree.assert_same_structure({"a": 1}, {"a": 2})
    """

    def kind(node: Any) -> Any:
        if not check_types:
            return isinstance(node, dict)
        return type(node)

    def same(x: Any, y: Any, path: tuple[Any, ...]) -> None:
        where = "".join(f"[{k!r}]" for k in path) or "the top"
        if is_nested(x) != is_nested(y) or (is_nested(x) and kind(x) != kind(y)):
            raise ValueError(
                f"structures differ at {where}: {type(x).__name__} and {type(y).__name__}\n"
                "  hint: the same nesting in both"
            )
        if not is_nested(x):
            return
        left, right = _parts(x), _parts(y)
        if [k for k, _ in left] != [k for k, _ in right]:
            raise ValueError(
                f"structures differ at {where}: {[k for k, _ in left]!r:.80} and "
                f"{[k for k, _ in right]!r:.80}\n  hint: the same nesting in both"
            )
        for (key, u), (_, v) in zip(left, right, strict=True):
            same(u, v, (*path, key))

    same(a, b, ())


@hints_arguments
def assert_same_paths(a: Any, b: Any) -> None:
    """Nothing when the leaves of two nests are reached by the same keys and positions.

    Args:
        a: A nest.
        b: Another one; lists and tuples may differ.

    Raises:
        ValueError: Paths differ.

    Example:
        >>> fastnn.tree.assert_same_paths([1, 2], (3, 4))
    """
    left = {path for path, _ in flatten_with_path(a)}
    right = {path for path, _ in flatten_with_path(b)}
    if left != right:
        raise ValueError(
            f"paths differ: {sorted(map(str, left ^ right))[:4]}\n  hint: the same keys in both"
        )


@hints_arguments
def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """`func` of the leaves at each place.

    Args:
        func: Called with one leaf of each structure.
        *structures: Nests that differ in leaves alone.
        none_is_leaf: Whether None is handed to `func`; else it stays.

    Returns:
        A nest like the first.

    Raises:
        TypeError: `func` cannot be called.
        ValueError: There is no structure, or they differ.

    Example:
        >>> fastnn.tree.map_structure(lambda a, b: a + b, {"x": 1}, {"x": 2})
        {'x': 3}
    """
    if not callable(func):
        raise TypeError(f"func is {func!r:.60}, wanted a function\n  hint: lambda x: ...")
    if not structures:
        raise ValueError("map_structure wants a structure\n  hint: map_structure(func, {...})")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    columns = zip(*(flatten(s) for s in structures), strict=True)
    return pack_sequence_as(
        structures[0],
        [None if not none_is_leaf and leaves[0] is None else func(*leaves) for leaves in columns],
    )


@hints_arguments
def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """`func` of the parts of deeper nests that stand where a shallow one has leaves.

    Args:
        shallow_structure: The nest that says how deep to go.
        func: Called with one part of each structure.
        *structures: Nests that begin like the shallow one.

    Returns:
        A nest like the shallow one.

    Example:
        >>> fastnn.tree.map_structure_up_to([0, 0], len, [[1, 2], [3]])
        [2, 1]
    """

    def apply(shallow: Any, parts: tuple[Any, ...]) -> Any:
        if not is_nested(shallow):
            return func(*parts)
        keys = [key for key, _ in _parts(shallow)]
        for part in parts:
            if not is_nested(part) or [key for key, _ in _parts(part)] != keys:
                raise ValueError(
                    f"map_structure_up_to: wanted the parts {keys!r:.80}, got "
                    f"{type(part).__name__}\n  hint: structures that begin like the shallow one"
                )
        return _made(shallow, [apply(shallow[k], tuple(p[k] for p in parts)) for k in keys])

    return apply(shallow_structure, structures)


@hints_arguments
def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """`func` of every part; where it gives None the part stays and its own parts are visited.

    Args:
        func: Gives None, what takes the part's place, or `MAP_TO_NONE` for None.
        structure: A nest.
        top_down: Whether a part is visited before its own parts.

    Returns:
        The nest with what `func` gave in it.

    Example:
        >>> fastnn.tree.traverse(lambda v: -v if isinstance(v, int) else None, [1, (2, "a")])
        [-1, (-2, 'a')]
    """

    def given(value: Any) -> Any:
        return None if value is MAP_TO_NONE or isinstance(value, MAP_TO_NONE) else value

    def visit(node: Any) -> Any:
        if top_down:
            out = func(node)
            if out is not None:
                return given(out)
        if is_nested(node):
            node = _made(node, [visit(part) for _, part in _parts(node)])
        if top_down:
            return node
        out = func(node)
        return node if out is None else given(out)

    return visit(structure)


@hints_arguments
def lists_to_tuples(structure: Any) -> Any:
    """A nest with tuples in place of lists.

    Args:
        structure: A nest.

    Returns:
        The nest.

    Example:
        >>> fastnn.tree.lists_to_tuples([1, [2]])
        (1, (2,))
    """
    if not is_nested(structure):
        return structure
    parts = [lists_to_tuples(part) for _, part in _parts(structure)]
    return tuple(parts) if isinstance(structure, list) else _made(structure, parts)


@hints_arguments
def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """`func` of every shape in a nest; a shape is a list or tuple of sizes and None.

    Args:
        func: Called with each shape, as a tuple.
        structure: A nest of shapes.

    Returns:
        A nest of what it gave.

    Example:
        >>> fastnn.tree.map_shape_structure(len, {"a": (2, None), "b": [3]})
        {'a': 2, 'b': 1}
    """

    def is_shape(node: Any) -> bool:
        return isinstance(node, list | tuple) and all(
            d is None or (not is_nested(d) and hasattr(d, "__index__")) for d in node
        )

    if is_shape(structure):
        return func(tuple(structure))
    if not is_nested(structure):
        raise ValueError(f"{structure!r:.60} is no shape\n  hint: a tuple of sizes")
    return _made(structure, [map_shape_structure(func, part) for _, part in _parts(structure)])


answer_missing(globals())
