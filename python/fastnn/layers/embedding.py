"""`Embedding`: rows of a table by number. Depends on `base`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn import constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.arguments import positive_size
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.layers.base.low_rank import Adapted, LowRank
from fastnn.tracing.tables import outside_table
from fastnn.tracing.variables import current_scope

__all__ = ["Embedding"]


class Embedding(LowRank):
    """Looks rows of a learned table up by whole numbers.

    Shapes: (…) of int32 -> (…, output_dim). Weight: `embeddings` (input_dim, output_dim).

    Args:
        input_dim: The number of rows: the largest number that may come, plus 1.
        output_dim: The length of a row.
        embeddings_initializer: First values of the table.
        embeddings_regularizer: Penalty on the table, added to the loss.
        embeddings_constraint: What the table is brought back to after each step.
        mask_zero: Whether the number 0 marks padding, which later layers and the loss leave out.
        weights: First values of the table as an array (input_dim, output_dim), or a list that holds
            it.
        lora_rank: The rank of a trained change of a frozen table (`enable_lora`); None for none.
        lora_alpha: The change is multiplied by `lora_alpha / lora_rank`; None for `lora_rank`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        DataError: A number lies outside 0 to input_dim - 1.
        ValueError: A size is not a whole number above 0.

    Example:
        >>> layer = fastnn.layers.Embedding(3, 2, weights=np.array([[0.0, 0], [1, 1], [2, 2]]))
        >>> layer(np.array([[2, 0]])).numpy()
        array([[[2., 2.],
                [0., 0.]]], dtype=float32)
    """

    input_dim: int
    output_dim: int
    embeddings_initializer: Any
    embeddings_regularizer: Any
    embeddings_constraint: Any
    _adapted = "embeddings"
    embeddings: Adapted = Adapted("embeddings")

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        weights: Any = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("input_length", None)
        super().__init__(**kwargs)
        self._take_rank(lora_rank, lora_alpha)
        self.input_dim = positive_size("input_dim", input_dim, f"Embedding {self.name!r}")
        self.output_dim = positive_size("output_dim", output_dim, f"Embedding {self.name!r}")
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        self.embeddings_regularizer = regularizers.get(embeddings_regularizer)
        self.embeddings_constraint = constraints.get(embeddings_constraint)
        self.mask_zero = mask_zero
        self.supports_masking = mask_zero
        self._first_weights = weights
        if weights is not None:
            self.build(None)

    def build(self, input_shape: Shape | None = None) -> None:
        """Embeddings (input_dim, output_dim)."""
        table = self.embeddings = self.add_weight(
            name="embeddings",
            shape=(self.input_dim, self.output_dim),
            initializer=self.embeddings_initializer,
            regularizer=self.embeddings_regularizer,
            constraint=self.embeddings_constraint,
        )
        if self._first_weights is not None:
            first = self._first_weights
            table.assign(first[0] if isinstance(first, list) else first)
        self.built = True
        self._adapt_as_given()

    def call(self, inputs: TensorLike) -> Tensor:
        """embeddings[inputs]; a number outside the table is a DataError when the step runs."""
        ids = ops.cast(inputs, "int32")
        if isinstance(ids, Tensor) and not ids.is_traced:
            self._check(np.asarray(ids))
        elif (scope := current_scope()) is not None:
            scope.note_table(self.name, self.input_dim)
        # Rows are not counted from the end: what is negative is put outside the table.
        ids = ops.where(ids < 0, ids - self.input_dim, ids)
        rows = ops.take(self.__dict__["embeddings"].value, ids, axis=0)
        if self.lora_enabled:  # rows of the adapters' product, which is never made
            a, b = self._adapters
            rows = rows + ops.matmul(ops.take(a.value, ids, axis=0), b.value) * self._adapter_scale
        return rows

    def _check(self, ids: np.ndarray[Any, Any]) -> None:
        outside = (ids < 0) | (ids >= self.input_dim)
        if outside.any():
            place = tuple(int(i) for i in np.argwhere(outside)[0])
            raise outside_table(self.name, int(ids[place]), place, self.input_dim)

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """True where the number is not 0, with mask_zero."""
        return ops.cast(inputs, "int32") != 0 if self.mask_zero else None

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        return (inputs,)

    def get_config(self) -> dict[str, Any]:
        """Without first weights."""
        result = super().get_config()
        result.pop("weights", None)
        return result
