"""`ReversibleEmbedding`: an embedding that also turns vectors into scores of tokens.

Depends on `layers.embedding`.
"""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.layers.embedding import Embedding
from fastnn.tracing.call_context import set_mask

__all__ = ["ReversibleEmbedding"]


class ReversibleEmbedding(Embedding):
    """An embedding that is called in reverse as well: vectors to a score of each token.

    Shapes: (…) of int32 -> (…, output_dim); with `reverse=True` (…, output_dim) -> (…, input_dim).

    Args:
        input_dim: The number of tokens.
        output_dim: The length of a vector.
        tie_weights: Whether both ways use one table; else a second one, `reverse_embeddings`.
        embeddings_initializer: First values of the table.
        embeddings_regularizer: Penalty on the table, added to the loss.
        embeddings_constraint: What the table is brought back to after each step.
        mask_zero: Whether the number 0 marks padding.
        reverse_dtype: The type that scores are computed in: float32.
        logit_soft_cap: The size that scores approach at most; None for no bound.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.ReversibleEmbedding(10, 4)
        >>> vectors = layer(np.array([[1, 2, 3]]))
        >>> vectors.shape, layer(vectors, reverse=True).shape
        ((1, 3, 4), (1, 3, 10))
    """

    reverse_embeddings: Any

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        embeddings_initializer: Identifier = "uniform",
        embeddings_regularizer: Identifier = None,
        embeddings_constraint: Identifier = None,
        mask_zero: bool = False,
        reverse_dtype: Any = None,
        logit_soft_cap: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            input_dim,
            output_dim,
            embeddings_initializer=embeddings_initializer,
            embeddings_regularizer=embeddings_regularizer,
            embeddings_constraint=embeddings_constraint,
            mask_zero=mask_zero,
            **kwargs,
        )
        self.tie_weights = tie_weights
        self.reverse_dtype = reverse_dtype
        self.logit_soft_cap = logit_soft_cap

    def build(self, input_shape: Shape | None = None) -> None:
        """Embeddings (input_dim, output_dim); in reverse (output_dim, input_dim) if not tied."""
        super().build(input_shape)
        if not self.tie_weights:
            self.reverse_embeddings = self.add_weight(
                name="reverse_embeddings",
                shape=(self.output_dim, self.input_dim),
                initializer=self.embeddings_initializer,
            )

    def call(self, inputs: TensorLike, reverse: bool = False) -> Tensor:
        """embeddings[inputs], or with `reverse` the products of vectors with all embeddings."""
        if not reverse:
            vectors = super().call(inputs)
            if self.mask_zero:
                set_mask(vectors, super().compute_mask(inputs))
            return vectors
        tied = self.tie_weights
        kernel = ops.transpose(self._with_adapters()) if tied else self.reverse_embeddings.value
        scores = ops.matmul(inputs, kernel)
        cap = self.logit_soft_cap
        return scores if cap is None else ops.tanh(scores / cap) * cap

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """None: the mask of padding is attached in the call, which knows its direction."""
        return None

    def _mask_sources(self, inputs: TensorLike, masks: TensorLike) -> Any:
        return None

    def compute_output_shape(self, input_shape: Shape, reverse: bool = False) -> Shape:
        """(…, output_dim), or (…, input_dim) with `reverse`."""
        shape = tuple(input_shape)
        return (*shape[:-1], self.input_dim) if reverse else (*shape, self.output_dim)
