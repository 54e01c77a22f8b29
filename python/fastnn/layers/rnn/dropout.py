"""Dropout within recurrent cells: one mask for all steps of a sequence. Depends on `random`."""

from __future__ import annotations

from typing import Any

from fastnn import ops, random
from fastnn.tracing.call_context import current_call

__all__ = ["DropoutRNNCell", "rate_in"]


def rate_in(rate: float) -> float:
    """The rate brought to 0 to 1, as in Keras."""
    return min(1.0, max(0.0, rate))


class DropoutRNNCell:
    """Dropout masks for a cell that inherits from it: the same for all steps of a sequence.

    The cell has `dropout`, `recurrent_dropout` and `seed_generator`. Masks live as long as the
    layer call that they are made in: a cell that is called alone gets new ones in each call.
    """

    dropout: float
    recurrent_dropout: float
    seed_generator: Any

    def _masks(self, like: Any, rate: float) -> Any:
        count = getattr(self, "dropout_mask_count", None)
        ones = ops.ones_like(like)
        made = [random.dropout(ones, rate, seed=self.seed_generator) for _ in range(count or 1)]
        return made[0] if count is None else made

    def _mask(self, kind: str, like: Any, rate: float) -> Any:
        if rate <= 0:
            return None
        context = current_call()
        if context is None:
            return self._masks(like, rate)
        key = (kind, id(self))
        if key not in context.kept:
            context.kept[key] = self._masks(like, rate)
        return context.kept[key]

    def get_dropout_mask(self, step_input: Any) -> Any:
        """The mask of the inputs, shaped as those of one step; a list where gates have their own.

        Args:
            step_input: The inputs of a step.

        Returns:
            A tensor, a list of them, or None where `dropout` is 0.
        """
        return self._mask("inputs", step_input, self.dropout)

    def get_recurrent_dropout_mask(self, step_input: Any) -> Any:
        """The mask of the state, shaped as it; a list where gates have their own.

        Args:
            step_input: The state.

        Returns:
            A tensor, a list of them, or None where `recurrent_dropout` is 0.
        """
        return self._mask("states", step_input, self.recurrent_dropout)

    def reset_dropout_mask(self) -> None:
        """Forgets the mask of the inputs: the next sequence gets another."""
        self._forget("inputs")

    def reset_recurrent_dropout_mask(self) -> None:
        """Forgets the mask of the state."""
        self._forget("states")

    def _forget(self, kind: str) -> None:
        context = current_call()
        if context is not None:
            context.kept.pop((kind, id(self)), None)
