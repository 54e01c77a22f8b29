"""Loops whose round is traced once and run by the core, however many rounds there are.

A round is called with placeholders. What it reads besides becomes a value that all rounds share, a
variable that it reads too; a variable that it assigns is one more carry, assigned again behind the
loop. Depends on `_core`, `variables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import TraceError
from fastnn.tracing.variables import Scope, Variable, current_scope

#: Loops of at most so many rounds are written out: their steps can be fused across rounds.
FEW_ROUNDS = 4


class Untraceable(Exception):
    """A round that has to be called again and again; `reason` says why."""

    reason: str
    needs_values: bool

    def __init__(self, reason: str, needs_values: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.needs_values = reason, needs_values


class _Round(Scope):
    """Collects what a round reads and assigns; variables are read through placeholders."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = current_scope()

    def now(self, variable: Variable) -> Tensor:
        """The value of a variable where the loop stands."""
        return variable.stored() if self.outer is None else self.outer.get(variable)

    def leaf(self, variable: Variable) -> Tensor:
        leaf = self.leaves.get(variable)
        if leaf is None:
            leaf = self.leaves[variable] = _core.round_inputs([self.now(variable)])[0]
        return leaf

    def finish(self, variable: Variable, value: Tensor) -> None:
        """Assigns a variable behind the loop."""
        if self.outer is None:
            variable.store(value)
        else:
            self.outer.assign(variable, value)


def run(
    trace: Callable[[list[Tensor], list[Tensor]], tuple[list[Tensor], list[Tensor]]],
    init: Sequence[Tensor],
    slices: Sequence[Tensor],
    length: Any,
    reverse: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """The last carries and the stacked results of `length` rounds.

    `trace` gets placeholders for the carries and for a slice of each of `slices`, and gives the
    next carries and the results of the round. Raises `Untraceable` when the round reads values
    while it is traced, adds losses, or assigns a trainable variable, whose gradient is the sum over
    the values that it has in all rounds.
    """
    scope = _Round()
    carries = _core.round_inputs(list(init))
    parts = _core.round_inputs(list(slices), slices=True)
    try:
        with scope:
            new, given = trace(carries, parts)
    except TraceError as error:
        raise Untraceable(str(error), needs_values=True) from error
    if scope.losses:
        raise Untraceable("it adds losses")
    assigned = list(scope.values)
    if scope.outer is not None and any(scope.outer.follows(v) for v in assigned):
        raise Untraceable("it assigns a variable whose gradient may be asked for")
    carries += [scope.leaf(v) for v in assigned]
    new = [*new, *(scope.values[v] for v in assigned)]
    shared = [v for v in scope.leaves if v not in scope.values]
    if not new and not given:
        return [], []
    results = _core.scan_rounds(
        carries,
        parts,
        [scope.leaves[v] for v in shared],
        [*new, *given],
        [*init, *(scope.now(v) for v in assigned), *slices, *(scope.now(v) for v in shared)],
        length,
        reverse,
    )
    for variable, value in zip(assigned, results[len(init) : len(new)], strict=True):
        scope.finish(variable, value)
    return results[: len(init)], results[len(new) :]
