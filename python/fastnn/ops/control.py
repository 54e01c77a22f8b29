"""Choices and loops over tensors, and functions applied slice by slice.

On values a choice runs one branch and a loop runs as written. While a step is traced the graph has
no jumps: a choice computes both branches and takes what one of them gives, assigns and adds as a
loss, and a loop whose end depends on values needs `maximum_iterations`. A round is traced once and
run by the core (`rounds`); one that cannot be is written out again and again. Depends on `_core`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn._core import Dim, Tensor
from fastnn.base import tree
from fastnn.base.arguments import hints_arguments
from fastnn.errors import TraceError
from fastnn.ops import host, rounds
from fastnn.ops.convert import TensorLike, cast, convert_to_tensor, shape
from fastnn.ops.families import name_ops
from fastnn.ops.shapes import concatenate, moveaxis, stack, unstack
from fastnn.tracing.own_gradients import custom_gradient
from fastnn.tracing.symbolic import KerasTensor, keras_op
from fastnn.tracing.variables import current_scope

__all__ = [
    "associative_scan",
    "cond",
    "custom_gradient",
    "fori_loop",
    "map",
    "scan",
    "switch",
    "vectorize",
    "vectorized_map",
    "while_loop",
]

_c = _core.ops

#: What a function may give in place of a tensor.
_NUMBERS = (bool, int, float, np.number, np.bool_, np.ndarray)
#: Rounds of a loop that are written out while a step is traced.
MOST_ROUNDS = 10_000


def _has_value(x: TensorLike) -> bool:
    return not isinstance(x, KerasTensor) and not (isinstance(x, Tensor) and x.is_traced)


def _as_tensors(values: Any) -> Any:
    """`values` with tensors for the numbers and arrays that stand among them."""
    return tree.map_structure(
        lambda v: convert_to_tensor(v) if isinstance(v, _NUMBERS) else v, values
    )


def _chosen(condition: Any, yes: Any, no: Any, name: str) -> Any:
    """The leaves of `yes` where `condition` holds, else those of `no`."""
    if tree.structure(yes) != tree.structure(no):
        raise ValueError(
            f"{name}: the branches return unlike structures\n"
            "  hint: both return as many tensors, in the same nesting"
        )

    pairs = zip(tree.flatten(yes), tree.flatten(no), strict=True)
    return tree.pack(yes, [_one_of(condition, a, b, name) for a, b in pairs])


def _either(condition: Any, yes: Callable[[], Any], no: Callable[[], Any], name: str) -> Any:
    """What `yes()` gives and does to the step's variables where `condition` holds, else `no()`."""
    scope = current_scope()
    if scope is None or scope.eager:
        return _chosen(condition, yes(), no(), name)
    values, losses = scope.values, scope.losses
    results, after, added = [], [], []
    for run in (yes, no):
        scope.values, scope.losses = dict(values), list(losses)
        results.append(run())
        after.append(scope.values)
        added.append(scope.losses)
    scope.values, scope.losses = values, []
    for variable in {**after[0], **after[1]}:
        a, b = (end[variable] if variable in end else scope.leaf(variable) for end in after)
        if a is not b:
            scope.assign(variable, _c.where(condition, a, b))
    for entry in {id(entry): entry for entry in (*losses, *added[0], *added[1])}.values():
        in_yes, in_no = (any(entry is one for one in some) for some in added)
        if in_yes and in_no:
            scope.losses.append(entry)
        elif in_yes or in_no:  # else a call of the layer took it back
            layer, x = entry
            x = _c.where(condition, x if in_yes else 0.0, x if in_no else 0.0)
            scope.losses.append((layer, x))
    return _chosen(condition, results[0], results[1], name)


def _one_of(condition: Any, a: Any, b: Any, name: str) -> Any:
    if a is None and b is None:
        return None
    a, b = convert_to_tensor(a), convert_to_tensor(b)
    if a.shape != b.shape:
        raise _core.ShapeError(
            f"{name}: the branches return shapes {a.shape} and {b.shape}\n"
            "  hint: while a step is traced both must give one shape"
        )
    return _c.where(condition, a, b)


@hints_arguments
def cond(pred: TensorLike, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What `true_fn()` returns where `pred` is true, else what `false_fn()` returns.

    While a step is traced both run, and the results of one are taken; so are the variables that it
    assigned and the losses that it added.

    Args:
        pred: A bool, or a bool tensor without axes.
        true_fn: A function without arguments.
        false_fn: One that gives the same structure.

    Returns:
        What the chosen function gives.

    Example:
        >>> float(fastnn.ops.cond(True, lambda: 1.0, lambda: 2.0))
        1.0
    """
    if _has_value(pred):
        return _as_tensors(true_fn() if bool(pred) else false_fn())
    return _either(cast(pred, "bool"), true_fn, false_fn, "cond")


@hints_arguments
def switch(index: TensorLike, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """What `branches[index](*operands)` returns; an index outside is brought to the nearest.

    Args:
        index: Which branch.
        branches: Functions of the operands.
        *operands: Tensors, or structures of them.

    Returns:
        What the chosen function gives.

    Example:
        >>> float(fastnn.ops.switch(1, [lambda x: x, lambda x: -x], 3.0))
        -3.0
    """
    if not branches:
        raise ValueError("switch: no branches\n  hint: a list of functions")
    last = len(branches) - 1
    if _has_value(index):
        return _as_tensors(branches[min(max(int(index), 0), last)](*operands))
    index = cast(index, "int32")

    def from_on(i: int) -> Any:
        if i == last:
            return branches[last](*operands)
        return _either(index <= i, lambda: branches[i](*operands), lambda: from_on(i + 1), "switch")

    return from_on(0)


@hints_arguments
def while_loop(
    cond: Callable[..., Any],
    body: Callable[..., Any],
    loop_vars: Any,
    maximum_iterations: int | None = None,
) -> Any:
    """`body` applied to the loop variables again and again while `cond` of them holds.

    Args:
        cond: A function of the variables that gives a bool.
        body: A function of the variables that gives the next ones.
        loop_vars: The first variables, a list or tuple.
        maximum_iterations: At most so many rounds.

    Returns:
        The last variables.

    Example:
        >>> (last,) = fastnn.ops.while_loop(lambda i: i < 3, lambda i: (i + 1,), (0.0,))
        >>> float(last)
        3.0
    """
    many = isinstance(loop_vars, list | tuple)
    state = tuple(loop_vars) if many else (loop_vars,)
    kind = type(loop_vars) if many else tuple
    state = tuple(tree.map_structure(_tensor, s) for s in state)
    done = 0
    while maximum_iterations is None or done < maximum_iterations:
        going = cond(*state)
        if not _has_value(going):
            return _unrolled(going, cond, body, state, done, maximum_iterations, many, kind)
        if not bool(going):
            break
        state = _next(body, state, many)
        done += 1
    return kind(state) if many else state[0]


def _tensor(x: TensorLike) -> Any:
    return convert_to_tensor(x)


def _next(body: Callable[..., Any], state: tuple[Any, ...], many: bool) -> tuple[Any, ...]:
    new = body(*state)
    new = tuple(new) if isinstance(new, list | tuple) and many else (new,)
    if len(new) != len(state):
        raise ValueError(
            f"while_loop: body returned {len(new)} values for {len(state)} loop variables\n"
            "  hint: return all of them, in order"
        )
    return tuple(tree.map_structure(_tensor, s) for s in new)


def _unrolled(
    going: Any, cond: Callable[..., Any], body: Callable[..., Any], state: tuple[Any, ...],
    done: int, most: int | None, many: bool, kind: Any,
) -> Any:  # fmt: skip
    """The loop of a traced step: every round computed, its result kept while the loop goes on."""
    if most is None:
        raise TraceError(
            "while_loop: its end depends on values, which a traced step does not have\n"
            "  hint: maximum_iterations=n, or call it outside the model"
        )

    def one(going: Any, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        return going, _either(going, lambda: _next(body, state, many), lambda: state, "while_loop")

    def further(going: Any, state: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        def asked() -> Tensor:
            return cast(cond(*state), "bool")

        return one(_either(going, asked, lambda: convert_to_tensor(False), "while_loop"), state)

    def step(i: Any, loop: tuple[Any, tuple[Any, ...]]) -> tuple[Any, tuple[Any, ...]]:
        # Whether there is a first round has been asked.
        return one(*loop) if isinstance(i, int) and i == done else further(*loop)

    loop = (cast(going, "bool"), state)
    _, state = _repeated("while_loop", step, loop, range(done, most))
    return kind(state) if many else state[0]


def _repeated(name: str, step: Callable[[Any, Any], Any], state: Any, counts: range) -> Any:
    """`step(i, state)` for the counts in order. Of a traced state one round stands for all but the
    first few, if it keeps structure, shapes and types; else each is written out.
    """
    for at, i in enumerate(counts):
        left = len(counts) - at
        leaves = tree.flatten(state)
        traced = at > 0 and any(isinstance(x, Tensor) and x.is_traced for x in leaves)
        if traced and left > rounds.FEW_ROUNDS and abs(counts[0]) + abs(counts[-1]) < 2**31:
            try:
                return _in_core(step, state, counts[at:])
            except Exception as why:
                # Whatever it is that the body does with a count that has no value (a key of a
                # dictionary), it may do with a number.
                if left > MOST_ROUNDS:
                    raise TraceError(
                        f"{name}: {left} rounds of a body that cannot be traced: {why}\n"
                        f"  hint: at most {MOST_ROUNDS} are written out"
                    ) from why
            return _written_out(step, state, counts[at:])
        state = step(i, state)
    return state


def _written_out(step: Callable[[Any, Any], Any], state: Any, counts: range) -> Any:
    for i in counts:
        state = step(i, state)
    return state


def _in_core(step: Callable[[Any, Any], Any], state: Any, counts: range) -> Any:
    state = tree.map_structure(_tensor, state)
    first = [convert_to_tensor(counts.start, "int32"), *tree.flatten(state)]

    def trace(carries: list[Tensor], _: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        new = step(carries[0], tree.pack(state, carries[1:]))
        new = tree.map_structure(_tensor, new)
        try:
            _same_carry(state, new)
        except ValueError as error:
            raise rounds.Untraceable("a round changes what it is given") from error
        return [carries[0] + counts.step, *tree.flatten(new)], []

    last, _ = rounds.run(trace, first, [], len(counts))
    return tree.pack(state, last[1:])


@hints_arguments
def fori_loop(lower: int, upper: int, body_fun: Callable[[Any, Any], Any], init_val: Any) -> Any:
    """`body_fun(i, value)` for i from `lower` up to but not with `upper`; gives the last value.

    Args:
        lower: The first i.
        upper: The end, excluded.
        body_fun: A function of (i, value) that gives the next value.
        init_val: The first value, or a structure of them.

    Returns:
        The last value.

    Example:
        >>> float(fastnn.ops.fori_loop(0, 4, lambda i, value: value + i, 0.0))
        6.0
    """
    for bound in (lower, upper):
        if not _has_value(bound):
            raise TraceError(
                "fori_loop: a bound is not known while a step is traced\n"
                "  hint: bounds that are Python numbers"
            )
    counts = range(int(lower), int(upper))
    return _as_tensors(_repeated("fori_loop", body_fun, _as_tensors(init_val), counts))


# ---- slice by slice ----------------------------------------------------------------------------


def _length(name: str, xs: Any) -> int:
    sizes = {shape(x)[0] if shape(x) else -1 for x in tree.flatten(xs)}
    if len(sizes) != 1 or -1 in sizes or None in sizes:
        raise _core.ShapeError(
            f"{name}: first axes of sizes {sorted(str(s) for s in sizes)}, wanted one known size\n"
            "  hint: arrays of equal length; a model gets it from Input(shape=...) or batch_shape"
        )
    return int(next(iter(sizes)))


@keras_op
def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """`f` of every slice of the first axis, the results stacked.

    As in `scan`, `f` is called once and run for each slice; where it needs values and has them, it
    is called once per slice.

    Args:
        f: A function of a slice.
        xs: A tensor, or a structure of tensors of one length.

    Returns:
        The results, stacked.

    Example:
        >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> fastnn.ops.map(lambda row: fastnn.ops.sum(row), x).numpy()
        array([3., 7.], dtype=float32)
    """
    arrays = [convert_to_tensor(x) for x in tree.flatten(xs)]
    n = _rounds("map", arrays, None)
    if not isinstance(n, int) or n > rounds.FEW_ROUNDS:
        like: Any = None

        def trace(_: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            nonlocal like
            like = tree.map_structure(_tensor, f(tree.pack(xs, slices)))
            return [], tree.flatten(like)

        try:
            _, results = rounds.run(trace, [], arrays, n)
        except rounds.Untraceable as why:
            if not isinstance(n, int):
                raise TraceError(
                    f"map: the length {n} is open and f cannot be traced: {why.reason}\n"
                    "  hint: ops.where(c, a, b) chooses without values"
                ) from why.__cause__
        else:
            return tree.pack(like, results)
    leaves = [unstack(x, n, 0) if n else [] for x in arrays]
    outs = [f(tree.pack(xs, [leaf[i] for leaf in leaves])) for i in range(n)]
    if not outs:
        raise ValueError("map: no slices\n  hint: at least one along the first axis")
    columns = zip(*(tree.flatten(o) for o in outs), strict=True)
    return tree.pack(outs[0], [stack(list(c), axis=0) for c in columns])


@keras_op
def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`function` of every slice of the first axis, the results stacked.

    The slices are computed one by one in one graph, not by a vectorised copy of the function.

    Args:
        function: A function of a slice.
        elements: A tensor, or a structure of tensors of one length.

    Returns:
        The results, stacked.

    Example:
        >>> x = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> fastnn.ops.vectorized_map(lambda row: fastnn.ops.sum(row), x).numpy()
        array([3., 7.], dtype=float32)
    """
    return map(function, elements)


@hints_arguments
def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Any = None, signature: str | None = None
) -> Callable[..., Any]:
    """`pyfunc` of single elements as a function of arrays that are broadcast against each other.

    Args:
        pyfunc: A function of single elements.
        excluded: Arguments that are taken as a whole.
        signature: Shapes of what the function takes, as in NumPy.

    Returns:
        A function of arrays.

    Example:
        >>> fastnn.ops.vectorize(lambda a, b: a + b)(np.array([1.0, 2.0]), 1.0).numpy()
        array([2., 3.], dtype=float32)
    """
    import numpy as np

    if signature is not None:
        raise ValueError(
            "vectorize: signature is not supported\n  hint: fastnn.ops.map over the first axis"
        )
    fixed = set(excluded or ())

    def call(*args: Any) -> Any:
        arrays = [np.asarray(host.value("vectorize", a)) for i, a in enumerate(args)
                  if i not in fixed]  # fmt: skip
        spread = np.broadcast_arrays(*arrays)
        outs = []
        for place in np.ndindex(spread[0].shape):
            given = iter(a[place] for a in spread)
            outs.append(pyfunc(*(a if i in fixed else next(given) for i, a in enumerate(args))))
        flat = np.asarray([np.asarray(o) for o in outs])
        return host.tensor(flat.reshape(spread[0].shape))

    return call


@keras_op
def scan(
    f: Callable[[Any, Any], Any],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """`f` carried along the first axis of `xs`: carry, y = f(carry, x) for slice after slice.

    `f` is called once, with tensors that have no values yet, and what it computes is run for each
    slice by the core: the time to compile does not grow with the length, which may be open, and
    gradients flow through. Variables that `f` assigns move on from round to round, seeds too. Where
    `f` needs values (`if carry > 0`) and the arguments have them, it is called once per round.

    Args:
        f: takes the carry and a slice, gives the next carry, of the same structure, shapes and
            types, and a result (tensors in any nesting, or None).
        init: the first carry: a tensor, or tensors in any nesting.
        xs: tensors in any nesting, all of one length along the first axis; None gives `f` None.
        length: the number of rounds; needed when `xs` is None.
        reverse: begin with the last slice; results stand at the place of their slice.
        unroll: True writes the rounds out, at most 10,000 of them, so that they can be fused with
            each other; numbers are taken for Keras's sake. Up to four rounds always are.

    Returns:
        The last carry, and the results stacked along a new first axis (None where `f` gave None).

    Raises:
        ShapeError: lengths differ, or a round changes the shape or type of the carry.
        TraceError: `f` needs values and the arguments have none.
        TypeError: `f` is no function.
        ValueError: neither `xs` nor `length` is given.

    Example:
        >>> last, sums = fastnn.ops.scan(lambda c, x: (c + x, c + x), 0.0, np.array([1, 2, 3]))
        >>> sums.tolist()
        [1.0, 3.0, 6.0]
    """
    if not callable(f):
        raise TypeError(
            f"scan: f is {f!r}, wanted a function of a carry and a slice\n"
            "  hint: f(carry, x) gives (carry, y)"
        )
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(
            f"scan: unroll is {unroll!r}, wanted a positive number or a truth value\n"
            "  hint: unroll=1"
        )
    if xs is None and length is None:
        raise ValueError("scan: no xs to scan over\n  hint: length=n for n rounds without slices")
    leaves = [] if xs is None else [convert_to_tensor(x) for x in tree.flatten(xs)]
    n = _rounds("scan", leaves, length)
    carry = tree.map_structure(_tensor, init)

    def one(carry: Any, slices: list[Any]) -> tuple[Any, Any]:
        slices = [cast(s, x.dtype) for s, x in zip(slices, leaves, strict=True)]
        out = f(carry, tree.pack(xs, slices) if xs is not None else None)
        if not isinstance(out, list | tuple) or len(out) != 2:
            raise ValueError("scan: f gave no pair\n  hint: return carry, y; y may be None")
        new = tree.map_structure(_tensor, out[0])
        _same_carry(carry, new)
        return new, None if out[1] is None else tree.map_structure(_tensor, out[1])

    known = isinstance(n, int)
    if not known or (unroll is not True and n > rounds.FEW_ROUNDS):
        like: Any = None

        def trace(carries: list[Tensor], slices: list[Tensor]) -> tuple[list[Any], list[Any]]:
            nonlocal like
            new, like = one(tree.pack(carry, carries), slices)
            return tree.flatten(new), tree.flatten(like)

        try:
            last, ys = rounds.run(trace, tree.flatten(carry), leaves, n, reverse)
        except rounds.Untraceable as why:
            valued = all(_has_value(x) for x in [*leaves, *tree.flatten(carry)])
            if not known or (why.needs_values and not valued):
                raise TraceError(
                    f"scan: f cannot be traced: {why.reason}\n  hint: ops.where(c, a, b) chooses "
                    "without values; unroll=True calls f once per round"
                ) from why.__cause__
        else:
            return tree.pack(carry, last), None if like is None else tree.pack(like, ys)
    if n > MOST_ROUNDS and not all(_has_value(x) for x in [*leaves, *tree.flatten(carry)]):
        raise TraceError(
            f"scan: {n} rounds are written out in a traced step\n"
            f"  hint: at most {MOST_ROUNDS}; without unroll=True there is no limit"
        )
    if n == 0:
        # Without slices the round only tells what the results look like.
        _, y = one(carry, [_c.broadcast_to(0, shape=list(x.shape[1:])) for x in leaves])
        return carry, None if y is None else tree.map_structure(_nothing, y)
    made: list[Any] = []
    for i in reversed(range(n)) if reverse else range(n):
        carry, y = one(carry, [x[i] for x in leaves])
        made.append(y)
    if reverse:
        made.reverse()
    if made[0] is None:
        return carry, None
    columns = zip(*(tree.flatten(y) for y in made), strict=True)
    return carry, tree.pack(made[0], [stack(list(c), axis=0) for c in columns])


def _rounds(name: str, leaves: list[Tensor], length: Any) -> Any:
    """How many rounds a loop has: a number, or a size that is open."""
    sizes = [x.shape[0] if x.shape else -1 for x in leaves]
    if not sizes:
        sizes = [length if isinstance(length, Dim) else int(length or 0)]
    numbers = {n for n in sizes if isinstance(n, int)}
    if len(numbers) > 1 or -1 in numbers:
        raise _core.ShapeError(
            f"{name}: first axes of sizes {sorted(str(n) for n in sizes)}, wanted one size\n"
            "  hint: arrays of equal length"
        )
    # The batch is None, as in every shape: the core knows its size.
    n = next(iter(numbers), sizes[0])
    given = None if length is None or isinstance(length, Dim) else int(length)
    if (isinstance(n, int) and n < 0) or (given is not None and given != n):
        raise _core.ShapeError(
            f"{name}: length is {length}, the first axis of xs has {n} slices\n"
            "  hint: leave length out when xs is given"
        )
    return n


def _nothing(y: Tensor) -> Tensor:
    """No results like `y`."""
    return _c.full(shape=[0, *y.shape], value=0.0, dtype=y.dtype)


def _same_carry(old: Any, new: Any) -> None:
    if tree.structure(old) != tree.structure(new):
        raise ValueError(
            "scan: f returns a carry of another structure than it was given\n"
            "  hint: return as many tensors as init has, in the same nesting"
        )
    for a, b in zip(tree.flatten(old), tree.flatten(new), strict=True):
        # Whether open sizes are equal is for the engine to say.
        sizes = [(x, y) for x, y in zip(a.shape, b.shape, strict=False) if isinstance(x, int)]
        known = [(x, y) for x, y in sizes if isinstance(y, int)]
        if len(a.shape) != len(b.shape) or a.dtype != b.dtype or any(x != y for x, y in known):
            raise _core.ShapeError(
                f"scan: a round turns a carry of {a.dtype}{tuple(a.shape)} into "
                f"{b.dtype}{tuple(b.shape)}\n  hint: give init the shape and type of the results"
            )


@hints_arguments
def associative_scan(
    f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """Running results of the associative function `f` along an axis, in log2(n) passes.

    Args:
        f: An associative function of two values.
        elems: A tensor, or a structure of tensors of one length.
        reverse: Whether it runs from the end.
        axis: The axis along which is scanned.

    Returns:
        Tensors of the structure and shapes of `elems`.

    Example:
        >>> fastnn.ops.associative_scan(lambda a, b: a + b, np.array([1.0, 2.0, 3.0])).numpy()
        array([1., 3., 6.], dtype=float32)
    """
    leaves = [moveaxis(convert_to_tensor(x), axis, 0) for x in tree.flatten(elems)]
    n = _length("associative_scan", leaves)
    if reverse:
        leaves = [_c.flip(x, axis=[0]) for x in leaves]
    step = 1
    while step < n:
        earlier = tree.pack(elems, [x[: n - step] for x in leaves])
        later = tree.pack(elems, [x[step:] for x in leaves])
        joined = tree.flatten(f(earlier, later))
        pairs = zip(leaves, joined, strict=True)
        leaves = [concatenate([x[:step], j], axis=0) for x, j in pairs]
        step *= 2
    if reverse:
        leaves = [_c.flip(x, axis=[0]) for x in leaves]
    return tree.pack(elems, [moveaxis(x, 0, axis) for x in leaves])


name_ops(globals())
