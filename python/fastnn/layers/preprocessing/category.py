"""`CategoryEncoding` and `Discretization`, which run in the core, and `Hashing`, which does not.

Depends on `host`, `encode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.arguments import is_whole
from fastnn.base.typing import DTypeLike, Shape
from fastnn.config import stored_dtype
from fastnn.data.adapting import batches_to_adapt
from fastnn.data.arrays import leaf
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.layers.preprocessing.encode import counted, encode, encode_traced
from fastnn.layers.preprocessing.farmhash import fingerprint64
from fastnn.layers.preprocessing.host import Array, HostLayer, text_of, whole_numbers_of
from fastnn.layers.preprocessing.siphash import salt_of, siphash24

__all__ = ["CategoryEncoding", "Discretization", "Hashing"]


class CategoryEncoding(Layer):
    """Whole numbers as vectors: one-hot, multi-hot or counts.

    Shapes: (…, values) of int32 -> (…, num_tokens); with `"one_hot"` one vector a value.

    Args:
        num_tokens: The number of categories: the largest number that may come, plus 1.
        output_mode: `"multi_hot"` (whether each occurs), `"one_hot"` or `"count"`.
        sparse: Not supported; False.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range.
        DataError: A number lies outside 0 to num_tokens - 1.

    Example:
        >>> layer = fastnn.layers.CategoryEncoding(4, output_mode="multi_hot")
        >>> layer(np.array([[0, 2], [3, 3]])).numpy()
        array([[1., 0., 1., 0.],
               [0., 0., 0., 1.]], dtype=float32)
    """

    num_tokens: int
    sparse: bool

    def __init__(
        self,
        num_tokens: int | None = None,
        output_mode: str = "multi_hot",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("dtype", None)
        super().__init__(**kwargs)
        output_mode = "multi_hot" if output_mode == "binary" else output_mode
        if output_mode not in ("count", "one_hot", "multi_hot"):
            raise ValueError(
                f"Unknown arg for output_mode: {output_mode}\n  hint: output_mode='multi_hot'"
            )
        if num_tokens is None:
            raise ValueError(
                "num_tokens must be set to use this layer. If the number of tokens is not known "
                "beforehand, use the IntegerLookup layer instead.\n  hint: num_tokens=10"
            )
        if not is_whole(num_tokens) or num_tokens < 1:
            raise ValueError(
                f"`num_tokens` must be >= 1. Received: num_tokens={num_tokens}.\n"
                "  hint: a whole number, as num_tokens=10"
            )
        if sparse:
            raise ValueError("sparse=True is not supported\n  hint: sparse=False")
        self.num_tokens, self.output_mode, self.sparse = num_tokens, output_mode, sparse
        self._build_at_init()

    def call(self, inputs: Any, count_weights: Any = None) -> Any:
        """The vectors; `count_weights` weigh each value of `"count"`."""
        if count_weights is not None and self.output_mode != "count":
            raise ValueError(
                "`count_weights` is not used when `output_mode` is not `'count'`. Received "
                f"`count_weights={count_weights}`.\n  hint: output_mode='count'"
            )
        if not (isinstance(inputs, Tensor) and inputs.is_traced):
            inputs = self._in_range(np.asarray(inputs))
        return encode_traced(inputs, self.output_mode, self.num_tokens, count_weights)

    def _in_range(self, values: Array) -> Array:
        """Values that can be looked at, as numbers of categories."""
        where = f"layer {self.name!r} (CategoryEncoding)"
        numbers = whole_numbers_of(values, where)
        outside = numbers[(numbers < 0) | (numbers >= self.num_tokens)]
        if outside.size:
            raise DataError(
                f"{where} got {outside[0]}, wanted numbers from 0 to {self.num_tokens - 1}\n"
                "  hint: a larger num_tokens, or IntegerLookup for numbers of any kind"
            )
        return numbers.astype(np.int32)

    def compute_output_shape(self, input_shape: Shape, count_weights_shape: Any = None) -> Shape:
        """(…, num_tokens)."""
        shape = tuple(input_shape)
        if not shape:
            return (self.num_tokens,)
        if self.output_mode == "one_hot" and len(shape) == 1:
            return (*shape, self.num_tokens)
        return counted(shape, self.output_mode, self.num_tokens)


class Discretization(Layer):
    """Numbers as the number of the bin they lie in.

    Shapes: as the input for `"int"`; (…, bins) for the other modes. A boundary belongs to the bin
    above it.

    Args:
        bin_boundaries: The boundaries between bins, rising: n of them make n + 1 bins.
        num_bins: How many bins `adapt` is to make, of equal numbers of values.
        epsilon: Taken for Keras's sake: quantiles are exact, those of all data.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"` or `"count"`.
        sparse: Not supported; False.
        dtype: Taken for Keras's sake.
        name: The name of the layer; made from the class name when left out.

    Raises:
        ValueError: Not exactly one of `bin_boundaries` and `num_bins` is given.

    Example:
        >>> layer = fastnn.layers.Discretization(bin_boundaries=[0.0, 1.0])
        >>> layer(np.array([-0.5, 0.5, 7.0])).numpy()
        array([0, 1, 2], dtype=int32)
    """

    bin_boundaries: Any
    num_bins: int | None
    epsilon: float
    sparse: bool

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        sparse: bool = False,
        dtype: DTypeLike = None,
        name: str | None = None,
    ) -> None:
        whole = dtype is not None and stored_dtype(dtype) == "int32"  # as its numbers are
        super().__init__(name=name, dtype=None if whole else dtype)
        if sparse:
            raise ValueError(
                f"`sparse=True` cannot be used with backend fastnn. Received: sparse={sparse} and "
                f"output_mode={output_mode}\n  hint: sparse=False"
            )
        if output_mode not in ("int", "one_hot", "multi_hot", "count"):
            raise ValueError(
                f"Unknown `output_mode` argument of layer Discretization: {output_mode!r}\n"
                "  hint: output_mode='int'"
            )
        if num_bins is not None and not is_whole(num_bins):
            raise ValueError(
                f"`num_bins` must be a whole number, got {num_bins!r}\n  hint: num_bins=10"
            )
        if num_bins is not None and num_bins < 0:
            raise ValueError(
                "`num_bins` must be greater than or equal to 0. Received: "
                f"`num_bins={num_bins}`\n  hint: num_bins=10"
            )
        if num_bins is not None and bin_boundaries is not None:
            raise ValueError(
                "Both `num_bins` and `bin_boundaries` should not be set. Received: "
                f"`num_bins={num_bins}` and `bin_boundaries={bin_boundaries}`\n  hint: one of them"
            )
        if num_bins is None and bin_boundaries is None:
            raise ValueError(
                "You need to set either `num_bins` or `bin_boundaries`.\n"
                "  hint: bin_boundaries=[0.0, 1.0]"
            )
        if bin_boundaries is not None:
            bin_boundaries = [float(v) for v in bin_boundaries]
            if sorted(bin_boundaries) != bin_boundaries or np.isnan(bin_boundaries).any():
                raise ValueError(
                    f"`bin_boundaries` must rise, got {bin_boundaries}\n  hint: sorted(boundaries)"
                )
        self.bin_boundaries, self.num_bins, self.epsilon = bin_boundaries, num_bins, epsilon
        self.output_mode, self.sparse = output_mode, sparse
        self._seen: list[Array] = []
        self._build_at_init()

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Learns boundaries that divide the data into `num_bins` parts of equal size.

        Args:
            data: An array, or an iterable of batches.
            steps: At most so many batches.

        Raises:
            ValueError: The boundaries were given.
            DataError: There are no data, or they hold no numbers, NaN or infinities.

        Example:
            >>> layer = fastnn.layers.Discretization(num_bins=2)
            >>> layer.adapt(np.array([1.0, 2.0, 3.0, 4.0]))
            >>> layer(np.array([1.0, 4.0])).numpy()
            array([0, 1], dtype=int32)
        """
        if self.num_bins is None:
            raise ValueError(
                "Cannot adapt a Discretization layer that has been initialized with "
                "`bin_boundaries`, use `num_bins` instead.\n  hint: Discretization(num_bins=10)"
            )
        self.reset_state()
        for batch in batches_to_adapt(data, steps, f"layer {self.name!r} (Discretization)"):
            self.update_state(batch)
        if not any(v.size for v in self._seen):
            raise DataError(
                f"layer {self.name!r} (Discretization): adapt got 0 numbers\n"
                "  hint: data with at least one number"
            )
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Takes a batch of numbers."""
        values = leaf(data, "the data").astype(np.float32).ravel()
        if not np.isfinite(values).all():
            raise DataError(
                f"layer {self.name!r} (Discretization): the data hold NaN or infinities\n"
                "  hint: values[numpy.isfinite(values)]"
            )
        self._seen = [*self._seen, values]

    def reset_state(self) -> None:
        """Forgets the numbers that `update_state` took."""
        self._seen = []

    def finalize_state(self) -> None:
        """Makes the boundaries of what was taken."""
        if self.num_bins is None or not self._seen:
            return
        values = np.sort(np.concatenate(self._seen))
        places = np.arange(1, self.num_bins) / self.num_bins
        # The definition that Keras's summaries of the data come to.
        found = np.quantile(values, places, method="interpolated_inverted_cdf")
        self.bin_boundaries = [float(v) for v in found]
        self._seen = []

    def call(self, inputs: Tensor) -> Any:
        """The numbers of the bins, or what `output_mode` makes of them."""
        if self.bin_boundaries is None:
            raise ValueError(
                "You need to either pass the `bin_boundaries` argument at construction time or "
                "call `adapt(dataset)` before you can start using the `Discretization` layer.\n"
                "  hint: layer.adapt(data)"
            )
        numbers = ops.digitize(inputs, np.asarray(self.bin_boundaries, np.float32))
        if self.output_mode == "int":
            return numbers
        axis = 1 if len(numbers.shape) > 1 else 0  # as Keras: the axis after the batch's
        return encode_traced(numbers, self.output_mode, len(self.bin_boundaries) + 1, axis=axis)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the numbers, or (…, bins)."""
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        known = self.bin_boundaries is not None
        depth = len(self.bin_boundaries) + 1 if known else self.num_bins
        if self.output_mode == "one_hot":
            return counted(shape, "one_hot", depth) if len(shape) > 1 else (*shape, depth)
        return (shape[0], *shape[2:], depth) if len(shape) > 1 else (depth,)

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the boundaries that it has."""
        return {
            "bin_boundaries": self.bin_boundaries, "num_bins": self.num_bins,
            "epsilon": self.epsilon, "output_mode": self.output_mode, "sparse": self.sparse,
            "name": self.name, "dtype": "int32" if self.output_mode == "int" else "float32",
        }  # fmt: skip

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer, with boundaries that it had learned."""
        config = dict(config)
        config.pop("trainable", None)
        known = config.get("bin_boundaries")
        if known is not None and config.get("num_bins") is not None:
            config["bin_boundaries"] = None
            layer = cls(**config)
            layer.bin_boundaries = list(known)
            return layer
        return cls(**config)


class Hashing(HostLayer):
    """Texts or whole numbers as the number of a bin, by a hash: a vocabulary without learning it.

    In a model it stands at an input. Shapes: as the input for `"int"`; (…, num_bins) for the other
    modes. The hash is FarmHash's fingerprint, so bins are those of Keras.

    Args:
        num_bins: The number of bins, the one for `mask_value` too.
        mask_value: The value whose bin is 0; None: none.
        salt: A number or two that key the hash; None: FarmHash without a key.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"` or `"count"`.
        sparse: Not supported; False.
        **kwargs: `name`, `trainable` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range.

    Example:
        >>> fastnn.layers.Hashing(num_bins=3)(np.array([["A"], ["B"], ["C"]])).numpy().ravel()
        array([1, 0, 1], dtype=int32)
    """

    num_bins: int
    mask_value: Any
    salt: list[int] | None
    sparse: bool

    takes_numbers = True

    def __init__(
        self,
        num_bins: int,
        mask_value: Any = None,
        salt: Any = None,
        output_mode: str = "int",
        sparse: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("dtype", None)
        super().__init__(**kwargs)
        if num_bins is None or not is_whole(num_bins) or num_bins <= 0:
            raise ValueError(
                "The `num_bins` for `Hashing` cannot be `None` or non-positive values. Received: "
                f"num_bins={num_bins}.\n  hint: a whole number, as num_bins=100"
            )
        if output_mode not in ("int", "one_hot", "multi_hot", "count"):
            raise ValueError(
                "Invalid value for argument `output_mode`. Expected one of ('int', 'one_hot', "
                f"'multi_hot', 'count'). Received: output_mode={output_mode}\n"
                "  hint: output_mode='int'"
            )
        if sparse:
            raise ValueError(
                '`sparse` may only be true if `output_mode` is `"one_hot"`, `"multi_hot"`, or '
                f'`"count"`, and is not supported. Received: sparse={sparse} and '
                f"output_mode={output_mode}\n  hint: leave it out"
            )
        self.num_bins, self.mask_value = num_bins, mask_value
        self.salt = salt_of(salt, "Hashing")
        self.output_mode, self.sparse = output_mode, sparse

    def compute(self, values: Array) -> Array:
        """The bins, or what `output_mode` makes of them."""
        if any(not isinstance(v, str | bytes) for v in values.ravel().tolist()):
            values = whole_numbers_of(values, f"layer {self.name!r} (Hashing)")
        numbers = np.array([self._bin(v) for v in values.ravel().tolist()], np.int32)
        numbers = numbers.reshape(values.shape)
        if self.output_mode == "int":
            return numbers
        return encode(numbers, self.output_mode, self.num_bins)

    def _bin(self, value: Any) -> int:
        text = text_of(value) if isinstance(value, bytes) else str(value)
        if self.mask_value is not None and self.num_bins > 1:
            if value == self.mask_value:
                return 0
            return self._hash(text) % (self.num_bins - 1) + 1
        return self._hash(text) % self.num_bins

    def _hash(self, text: str) -> int:
        data = text.encode()
        return fingerprint64(data) if self.salt is None else siphash24(self.salt, data)

    def wants_rows(self) -> bool:
        """Whether a model hands it one value a row."""
        return True

    def _output_dtype(self) -> str:
        return "int32" if self.output_mode == "int" else "float32"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the values, or (…, num_bins)."""
        if self.output_mode == "int":
            return tuple(input_shape)
        return counted(tuple(input_shape), self.output_mode, self.num_bins)
