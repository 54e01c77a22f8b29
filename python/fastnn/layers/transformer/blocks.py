"""`TransformerEncoder` and `TransformerDecoder`. Depends on `layers.attention`.

Source: Vaswani et al. 2017, "Attention is all you need".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn import activations, initializers
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.errors import DataError
from fastnn.layers.attention import MultiHeadAttention
from fastnn.layers.base.layer import Layer
from fastnn.layers.core import Dense
from fastnn.layers.normalization import LayerNormalization
from fastnn.layers.regularization import Dropout

__all__ = ["TransformerDecoder", "TransformerEncoder"]


class _Block(Layer):
    """Attention and two products, each added to what goes in and normalised."""

    intermediate_dim: int
    num_heads: int
    dropout: float
    activation: Callable[..., Tensor]
    layer_norm_epsilon: float
    normalize_first: bool
    kernel_initializer: Any
    bias_initializer: Any
    intermediate_dense: Dense
    output_dense: Dense
    feedforward_norm: LayerNormalization
    feedforward_dropout: Dropout

    def _set(
        self, intermediate_dim: int, num_heads: int, dropout: float, activation: Identifier,
        layer_norm_epsilon: float, kernel_initializer: Identifier, bias_initializer: Identifier,
        normalize_first: bool,
    ) -> None:  # fmt: skip
        self.intermediate_dim, self.num_heads, self.dropout = intermediate_dim, num_heads, dropout
        self.activation = activations.get(activation)
        self.layer_norm_epsilon, self.normalize_first = layer_norm_epsilon, normalize_first
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.supports_masking = True

    def _attention(self, name: str, shape: Any, other: Any = None) -> tuple[Any, Any, Any]:
        width = shape[-1]
        if width is None or width % self.num_heads:
            raise DataError(
                f"layer {self.name!r}: {width} features do not divide among {self.num_heads} "
                "heads\n  hint: a multiple of num_heads"
            )
        attention = MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            dropout=self.dropout,
            kernel_initializer=self._fresh(self.kernel_initializer),
            bias_initializer=self._fresh(self.bias_initializer),
            name=name,
        )
        attention.build(shape, other if other is not None else shape)
        return attention, self._norm(f"{name}_norm", shape), Dropout(self.dropout)

    def _norm(self, name: str, shape: Any) -> LayerNormalization:
        norm = LayerNormalization(epsilon=self.layer_norm_epsilon, name=name)
        norm.build(shape)
        return norm

    def _fresh(self, first: Any) -> Any:
        return type(first).from_config(first.get_config())

    def _build_feedforward(self, shape: Any) -> None:
        width = shape[-1]
        made = [
            Dense(
                n,
                activation=f,
                kernel_initializer=self._fresh(self.kernel_initializer),
                bias_initializer=self._fresh(self.bias_initializer),
                name=name,
            )
            for n, f, name in (
                (self.intermediate_dim, self.activation, "intermediate"), (width, None, "output"),
            )
        ]  # fmt: skip
        made[0].build(shape)
        made[1].build((*tuple(shape)[:-1], self.intermediate_dim))
        self.intermediate_dense, self.output_dense = made
        self.feedforward_norm = self._norm("feedforward_norm", shape)
        self.feedforward_dropout = Dropout(self.dropout)

    def _part(self, x: TensorLike, norm: Any, drop: Any, part: Any) -> Any:
        """`part` of x added to x, normalised before or after."""
        if self.normalize_first:
            return x + drop(part(norm(x)))
        return norm(x + drop(part(x)))

    def _feedforward(self, x: TensorLike) -> Any:
        return self._part(
            x, self.feedforward_norm, self.feedforward_dropout,
            lambda y: self.output_dense(self.intermediate_dense(y)),
        )  # fmt: skip

    def compute_output_shape(self, shape: Shape, *_: Any) -> Shape:
        """The shape of the first input."""
        return tuple(shape)


class TransformerEncoder(_Block):
    """A block of a Transformer's encoder: attention to itself and two products, with residuals.

    Shapes: (batch, steps, features) -> the same. Masks of the inputs are taken.

    Args:
        intermediate_dim: The width of the inner product.
        num_heads: The number of heads; it divides the features.
        dropout: Share that is dropped in training, of attention and after each part.
        activation: The function between the products, or its name.
        layer_norm_epsilon: Added to the variance in the norms.
        kernel_initializer: First values of the kernels.
        bias_initializer: First values of the biases.
        normalize_first: Whether norms stand before the parts, not after.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.nn.TransformerEncoder(16, num_heads=2)(np.ones((1, 3, 8))).shape
        (1, 3, 8)
    """

    self_attention: Any
    attention_norm: Any
    attention_dropout: Any

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: Identifier = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set(intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon,
                  kernel_initializer, bias_initializer, normalize_first)  # fmt: skip

    def build(self, inputs_shape: Shape) -> None:
        """Attention, products and norms."""
        parts = self._attention("self_attention", inputs_shape)
        self.self_attention, self.attention_norm, self.attention_dropout = parts
        self._build_feedforward(inputs_shape)
        self.built = True

    def call(
        self, inputs: Tensor, padding_mask: Any = None, attention_mask: TensorLike = None,
        mask: TensorLike = None, training: bool | None = None,
    ) -> Any:  # fmt: skip
        """The block's output; `padding_mask` (batch, steps) is false where a step is padding."""
        seen = mask if padding_mask is None else padding_mask

        def attend(y: Any) -> Any:
            return self.self_attention(
                y, y, value_mask=seen, attention_mask=attention_mask, training=training
            )

        x = self._part(inputs, self.attention_norm, self.attention_dropout, attend)
        return self._feedforward(x)


class TransformerDecoder(_Block):
    """A block of a Transformer's decoder: causal attention to itself, attention to an encoder's
    output where one is given, and two products, with residuals.

    Shapes: (batch, steps, features), perhaps (batch, other steps, other features) -> the first.

    Args:
        intermediate_dim: The width of the inner product.
        num_heads: The number of heads; it divides the features.
        dropout: Share that is dropped in training, of attention and after each part.
        activation: The function between the products, or its name.
        layer_norm_epsilon: Added to the variance in the norms.
        kernel_initializer: First values of the kernels.
        bias_initializer: First values of the biases.
        normalize_first: Whether norms stand before the parts, not after.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.nn.TransformerDecoder(16, num_heads=2)
        >>> layer(np.ones((1, 3, 8)), np.ones((1, 5, 8))).shape
        (1, 3, 8)
    """

    self_attention: Any
    attention_norm: Any
    attention_dropout: Any
    cross_norm: Any
    cross_dropout: Any

    def __init__(
        self,
        intermediate_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        activation: Identifier = "relu",
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        normalize_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set(intermediate_dim, num_heads, dropout, activation, layer_norm_epsilon,
                  kernel_initializer, bias_initializer, normalize_first)  # fmt: skip

    cross_attention: Any

    def build(self, decoder_sequence_shape: Any, encoder_sequence_shape: Any = None) -> None:
        """Attention, products and norms."""
        shape = decoder_sequence_shape
        parts = self._attention("self_attention", shape)
        self.self_attention, self.attention_norm, self.attention_dropout = parts
        self.cross_attention = None
        if encoder_sequence_shape is not None:
            parts = self._attention("cross_attention", shape, encoder_sequence_shape)
            self.cross_attention, self.cross_norm, self.cross_dropout = parts
        self._build_feedforward(shape)
        self.built = True

    def call(
        self, decoder_sequence: TensorLike, encoder_sequence: TensorLike = None,
        decoder_padding_mask: Any = None, decoder_attention_mask: Any = None,
        encoder_padding_mask: Any = None, encoder_attention_mask: Any = None,
        decoder_sequence_mask: Any = None, encoder_sequence_mask: Any = None,
        use_causal_mask: bool = True, training: bool | None = None,
    ) -> Any:  # fmt: skip
        """The block's output; padding masks are false where a step is padding."""
        if (encoder_sequence is None) != (self.cross_attention is None):
            had = "without" if self.cross_attention is None else "with"
            raise DataError(
                f"layer {self.name!r} was built {had} an encoder's output\n"
                "  hint: call it the same way each time"
            )
        seen = decoder_padding_mask if decoder_padding_mask is not None else decoder_sequence_mask

        def attend(y: Any) -> Any:
            return self.self_attention(
                y, y, value_mask=seen, attention_mask=decoder_attention_mask,
                use_causal_mask=use_causal_mask, training=training,
            )  # fmt: skip

        x = self._part(decoder_sequence, self.attention_norm, self.attention_dropout, attend)
        if self.cross_attention is not None:
            other = (
                encoder_padding_mask if encoder_padding_mask is not None else encoder_sequence_mask
            )

            def look(y: Any) -> Any:
                return self.cross_attention(
                    y, encoder_sequence, value_mask=other,
                    attention_mask=encoder_attention_mask, training=training,
                )  # fmt: skip

            x = self._part(x, self.cross_norm, self.cross_dropout, look)
        return self._feedforward(x)
