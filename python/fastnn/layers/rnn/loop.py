"""A cell carried over the steps of a sequence, with masks: what all recurrent layers run.

Depends on `ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import ops
from fastnn.base import tree
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError

__all__ = ["check_mask", "check_steps", "recur", "time_major", "zeros_like_state"]


def time_major(x: TensorLike) -> Any:
    """(batch, steps, …) as (steps, batch, …), and back."""
    return ops.transpose(x, (1, 0, *range(2, len(x.shape))))


def zeros_like_state(sequences: TensorLike, size: Any) -> Any:
    """A first state of zeros, (batch, size), for sequences (batch, steps, …)."""
    sizes = (size,) if isinstance(size, int) else tuple(size)
    return ops.zeros((ops.shape(sequences)[0], *sizes))


def check_steps(sequences: TensorLike) -> None:
    """ShapeError for sequences that are known to have no steps."""
    if isinstance(sequences.shape[1], int) and sequences.shape[1] == 0:
        raise ShapeError(
            "a recurrent layer got sequences of no steps: axis 1 has size 0\n"
            "  hint: at least one step; pad empty sequences and mask them"
        )


def check_mask(mask: TensorLike, sequences: TensorLike, where: str) -> Any:
    """The mask as bool (batch, steps); ShapeError when it does not fit the sequences."""
    if mask is None:
        return None
    mask = tree.flatten(mask)[0]
    if len(mask.shape) == 3 and mask.shape[-1] == 1:
        mask = ops.squeeze(mask, axis=-1)
    known = [
        (a, b)
        for a, b in zip(mask.shape, sequences.shape, strict=False)
        if isinstance(a, int) and isinstance(b, int)
    ]
    if len(mask.shape) != 2 or any(a != b for a, b in known):
        raise ShapeError(
            f"{where}: the mask has shape {tuple(mask.shape)}, the sequences have "
            f"{tuple(sequences.shape)}\n  hint: one truth value a step: shape (batch, steps)"
        )
    return ops.cast(mask, "bool")


def recur(
    step: Callable[[Any, Any], tuple[Any, Any]],
    inputs: TensorLike,
    states: list[Any],
    output: Any = None,
    mask: TensorLike = None,
    backwards: bool = False,
    unroll: bool = False,
    zero_masked: bool = False,
    all_outputs: bool = False,
    turned: bool = False,
) -> tuple[Any, Any, list[Any]]:
    """`step` carried over the first axis of `inputs`.

    Args:
        step: Takes the inputs of a step and the states, gives its output and the next states.
        inputs: A tensor (steps, batch, …).
        states: The first states, in any nesting.
        output: What stands for the output before the first step: for masked steps at the start.
        mask: Bool (batch, steps): False keeps the states and repeats the output.
        backwards: Begins with the last step.
        unroll: Writes the steps out.
        zero_masked: The output of masked steps is zero.
        all_outputs: Whether the outputs of all steps are wanted.
        turned: Whether the last step's output stands first among them.

    Returns:
        The last output, all outputs (batch, steps, …) or None, and the last states.
    """
    masks = None if mask is None else time_major(mask)

    def one(carry: Any, slices: Any) -> tuple[Any, Any]:
        last, states = carry
        x, keep = slices if masks is not None else (slices, None)
        y, new = step(x, states)
        new = tree.pack(states, tree.flatten(new))
        if keep is not None:
            instead = ops.zeros_like(y) if zero_masked else last
            y = ops.where(_spread(keep, y), y, instead)
            pairs = zip(tree.flatten(new), tree.flatten(states), strict=True)
            new = tree.pack(states, [ops.where(_spread(keep, a), a, b) for a, b in pairs])
        return [y, new], (y if all_outputs else None)

    sequence = inputs if masks is None else (inputs, masks)
    (last, states), outputs = ops.scan(
        one, [output, states], sequence, reverse=backwards, unroll=True if unroll else 1
    )
    if outputs is not None:
        outputs = time_major(ops.flip(outputs, axis=0) if turned else outputs)
    return last, outputs, states


def _spread(keep: Any, x: TensorLike) -> Any:
    """A mask (batch,) with as many axes as `x`."""
    return ops.reshape(keep, (*ops.shape(keep), *(1 for _ in x.shape[1:])))
