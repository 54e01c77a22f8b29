"""Where a token stands: learned, by waves, or by turning vectors. Depends on `layers.embedding`.

Sources: Vaswani et al. 2017 (waves), Su et al. 2021, "RoFormer" (turning); for texts longer than
those of the training Chen et al. 2023 ("linear"), Peng et al. 2023 ("yarn"), Llama 3.1 ("llama3").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn import initializers, ops
from fastnn._core import Tensor
from fastnn.base.arguments import positive_size
from fastnn.base.typing import Identifier, Shape, TensorLike
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.layers.embedding import Embedding
from fastnn.tracing.variables import Variable

__all__ = [
    "PositionEmbedding", "RotaryEmbedding", "SinePositionEncoding", "TokenAndPositionEmbedding",
    "rotary_rates", "rotated",
]  # fmt: skip


#: What each kind of scaling needs besides its name.
_SCALINGS = {
    "default": (), "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
    "yarn": ("factor", "original_max_position_embeddings"),
}  # fmt: skip


def rotary_rates(
    size: int, base: float, scaling: Mapping[str, Any] | None = None
) -> tuple[np.ndarray[Any, Any], float]:
    """The angles that vectors of a size are turned by from one position to the next, and what
    the turned ones are multiplied by; `scaling` is `rope_scaling` of Hugging Face's configs.
    """
    half = size // 2
    rates = base ** (-np.arange(half, dtype=np.float64) / half)
    given = dict(scaling or {})
    kind = given.get("rope_type", given.get("type", "default"))
    if kind not in _SCALINGS:
        raise DataError(
            f"rope_scaling of type {kind!r} is not there, but {', '.join(map(repr, _SCALINGS))}\n"
            "  hint: rope_scaling={'rope_type': 'linear', 'factor': 2.0}"
        )
    if lacking := [key for key in _SCALINGS[kind] if given.get(key) is None]:
        raise DataError(
            f"rope_scaling of type {kind!r} lacks {', '.join(map(repr, lacking))}\n"
            "  hint: the entry of the model's config.json"
        )
    factor = float(given.get("factor") or 1.0)
    if kind == "linear":
        return rates / factor, 1.0
    if kind == "llama3":
        turns = float(given["original_max_position_embeddings"]) * rates / (2 * math.pi)
        low, high = float(given["low_freq_factor"]), float(given["high_freq_factor"])
        share = np.clip((turns - low) / (high - low), 0, 1)  # of the rate as it was
        return rates * (share + (1 - share) / factor), 1.0
    if kind == "yarn":
        length = float(given["original_max_position_embeddings"])

        def place(turns: float) -> float:
            return size * math.log(length / (turns * 2 * math.pi)) / (2 * math.log(base))

        first = max(math.floor(place(float(given.get("beta_fast") or 32))), 0)
        last = min(math.ceil(place(float(given.get("beta_slow") or 1))), size - 1)
        slow = np.clip((np.arange(half) - first) / (max(last - first, 0) or 0.001), 0, 1)
        scale = given.get("attention_factor")
        scale = (0.1 * math.log(factor) + 1 if factor > 1 else 1.0) if scale is None else scale
        return rates * (1 - slow + slow / factor), float(scale)
    return rates, 1.0


def rotated(
    x: TensorLike,
    positions: Any,
    base: float,
    interleaved: bool = False,
    scaling: Mapping[str, Any] | None = None,
) -> Any:
    """`x` (batch, steps, heads, size) turned by angles that grow with the position.

    Args:
        x: A tensor.
        positions: The positions of the steps, (steps,).
        base: The angles' base: 10000 in most models.
        interleaved: Whether neighbours make a pair (llama2.c) or the halves do (Hugging Face).
        scaling: How angles are stretched for longer texts; None: not at all.
    """
    half = x.shape[-1] // 2
    rates, scale = rotary_rates(x.shape[-1], base, scaling)
    angles = ops.expand_dims(ops.cast(positions, "float32"), -1) * rates.astype(np.float32)
    cos, sin = (ops.expand_dims(f(angles), 1) for f in (ops.cos, ops.sin))  # (steps, 1, half)
    if scale != 1.0:
        cos, sin = cos * scale, sin * scale
    if interleaved:
        pairs = ops.reshape(x, (*ops.shape(x)[:-1], half, 2))
        a, b = pairs[..., 0], pairs[..., 1]
        turned = ops.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)
        return ops.reshape(turned, ops.shape(x))
    a, b = x[..., :half], x[..., half:]
    return ops.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


class PositionEmbedding(Layer):
    """Learned vectors of positions: a table, of which the first rows are given.

    Shapes: (…, steps, features) -> the same: row i of the table at step i.

    Args:
        sequence_length: The number of positions.
        initializer: First values of the table.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        DataError: There are more steps than positions.

    Example:
        >>> fastnn.nn.PositionEmbedding(8)(np.ones((2, 5, 4))).shape
        (2, 5, 4)
    """

    sequence_length: int
    initializer: Any
    position_embeddings: Variable

    def __init__(
        self, sequence_length: int, initializer: Identifier = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        where = f"PositionEmbedding {self.name!r}"
        self.sequence_length = positive_size("sequence_length", sequence_length, where)
        self.initializer = initializers.get(initializer)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        """The table (sequence_length, features)."""
        self.position_embeddings = self.add_weight(
            name="embeddings",
            shape=(self.sequence_length, input_shape[-1]),
            initializer=self.initializer,
        )
        self.built = True

    def call(self, inputs: TensorLike, start_index: Any = 0) -> Tensor:
        """The rows of the positions from `start_index` on, for every sample."""
        steps = inputs.shape[-2]
        if isinstance(steps, int) and steps > self.sequence_length:
            raise DataError(
                f"layer {self.name!r} knows {self.sequence_length} positions, got {steps} steps\n"
                f"  hint: sequence_length={steps}"
            )
        at = ops.arange(ops.shape(inputs)[-2], dtype="int32") + start_index
        rows = ops.take(self.position_embeddings.value, at, axis=0)
        return ops.zeros_like(inputs) + rows

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


class SinePositionEncoding(Layer):
    """Waves in place of learned positions: sines and cosines of falling rates.

    Shapes: (…, steps, features) -> the same.

    Args:
        max_wavelength: The longest wave is 2 pi times this.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.nn.SinePositionEncoding()(np.ones((1, 2, 2))).numpy()[0, 0]
        array([0., 1.], dtype=float32)
    """

    def __init__(self, max_wavelength: float = 10000, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_wavelength = max_wavelength
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: Tensor, start_index: Any = 0) -> Tensor:
        """The waves of the positions from `start_index` on, for every sample."""
        size = inputs.shape[-1]
        at = ops.cast(ops.arange(ops.shape(inputs)[-2], dtype="int32") + start_index, "float32")
        rates = self.max_wavelength ** (-2.0 * (np.arange(size) // 2) / size)
        angles = ops.expand_dims(at, -1) * rates.astype(np.float32)
        waves = ops.where(np.arange(size) % 2 == 0, ops.sin(angles), ops.cos(angles))
        return ops.zeros_like(inputs) + waves

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


class RotaryEmbedding(Layer):
    """Turns the halves of vectors by angles that grow with the position, for queries and keys.

    Shapes: (batch, steps, heads, size) or (batch, steps, size) -> the same.

    Args:
        max_wavelength: The longest wave is 2 pi times this.
        scaling_factor: Positions are divided by it.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.nn.RotaryEmbedding()(np.ones((1, 3, 2, 4))).shape
        (1, 3, 2, 4)
    """

    max_wavelength: float
    scaling_factor: float

    def __init__(
        self, max_wavelength: float = 10000, scaling_factor: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_wavelength, self.scaling_factor = max_wavelength, scaling_factor
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: TensorLike, start_index: Any = 0, positions: Any = None) -> Tensor:
        """The inputs, turned."""
        if inputs.shape[-1] is None or inputs.shape[-1] % 2:
            raise DataError(
                f"layer {self.name!r}: the last axis has size {inputs.shape[-1]}, wanted an even "
                "number\n  hint: heads of an even size"
            )
        at = positions
        if at is None:
            at = ops.arange(ops.shape(inputs)[1], dtype="int32") + start_index
        at = ops.cast(at, "float32") / self.scaling_factor
        x = inputs if len(inputs.shape) == 4 else ops.expand_dims(inputs, 2)
        out = rotated(x, at, self.max_wavelength)
        return out if len(inputs.shape) == 4 else ops.squeeze(out, 2)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


class TokenAndPositionEmbedding(Layer):
    """The sum of a token's vector and of its position's.

    Shapes: (batch, steps) of int32 -> (batch, steps, embedding_dim).

    Args:
        vocabulary_size: The number of tokens.
        sequence_length: The number of positions.
        embedding_dim: The length of a vector.
        embeddings_initializer: First values of both tables.
        mask_zero: Whether the number 0 marks padding.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        DataError: A token lies outside the vocabulary, or there are more steps than positions.

    Example:
        >>> fastnn.nn.TokenAndPositionEmbedding(10, 8, 4)(np.array([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    vocabulary_size: int
    sequence_length: int
    embedding_dim: int
    mask_zero: bool
    embeddings_initializer: Any
    token_embedding: Embedding
    position_embedding: PositionEmbedding

    def __init__(
        self,
        vocabulary_size: int,
        sequence_length: int,
        embedding_dim: int,
        embeddings_initializer: Identifier = "uniform",
        mask_zero: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size, self.sequence_length = vocabulary_size, sequence_length
        self.embedding_dim, self.mask_zero = embedding_dim, mask_zero
        self.embeddings_initializer = initializers.get(embeddings_initializer)
        first = self.embeddings_initializer
        self.token_embedding = Embedding(
            vocabulary_size, embedding_dim, first, mask_zero=mask_zero, name="token_embedding"
        )
        self.position_embedding = PositionEmbedding(
            sequence_length, first, name="position_embedding"
        )
        self.supports_masking = mask_zero

    def build(self, input_shape: Shape) -> None:
        """Both tables."""
        self.token_embedding.build(input_shape)
        self.position_embedding.build((*input_shape, self.embedding_dim))
        self.built = True

    def call(self, inputs: TensorLike, start_index: Any = 0) -> Tensor:
        """The sums."""
        tokens = self.token_embedding.call(inputs)
        return tokens + self.position_embedding.call(tokens, start_index)

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """True where the token is not 0, with mask_zero."""
        return self.token_embedding.compute_mask(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, steps, embedding_dim)."""
        return (*tuple(input_shape), self.embedding_dim)
