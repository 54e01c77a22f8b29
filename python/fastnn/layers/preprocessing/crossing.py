"""`HashedCrossing`: several categories together as the number of a bin.

The hash is TensorFlow's `FingerprintCat64`, 64 bits without sign. Arrays are hashed by NumPy; in a
model, where the core has whole numbers of 32 bits, a hash is 64 zeros and ones, and its products
are matrix products of them. Depends on `host`, `encode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base.arguments import is_whole
from fastnn.base.caching import cached
from fastnn.base.typing import DTypeLike, Shape, TensorLike
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.layers.preprocessing.encode import counted, encode, encode_traced
from fastnn.layers.preprocessing.farmhash import fingerprint64
from fastnn.layers.preprocessing.host import Array, array_of, texts_of, whole_numbers_of
from fastnn.tracing.symbolic import is_symbolic

__all__ = ["HashedCrossing"]

_START, _FACTOR, _BITS = 0xDECAFCAFFE, 0xC6A4A7935BD1E995, 64
#: By how many bits a hash is moved down before it is joined with itself.
_MOVE = 47
#: Bins of a model's own arithmetic: 64 remainders below it have a sum of 31 bits.
_MOST_TRACED = 1 << 25


class HashedCrossing(Layer):
    """Several features together as the number of a bin, by a hash of their values.

    Shapes: a list of two or more inputs of one shape, (batch, 1), (batch,) or (), of whole numbers
    or text -> that shape for `"int"`, (batch, num_bins) or (num_bins,) for `"one_hot"`. The hash is
    TensorFlow's, so bins are those of Keras. In a model the inputs are whole numbers.

    Args:
        num_bins: The number of bins.
        output_mode: `"int"` or `"one_hot"`.
        sparse: Not supported; False.
        **kwargs: `name`, `trainable` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range.
        DataError: The inputs differ in shape, or hold fractions.

    Example:
        >>> layer = fastnn.layers.HashedCrossing(num_bins=5)
        >>> layer((np.array(["A", "B", "A"]), np.array([101, 101, 102]))).numpy()
        array([1, 4, 3], dtype=int32)
    """

    num_bins: int
    sparse: bool
    #: Hashes are whole numbers.
    _rounds_products = False

    def __init__(
        self, num_bins: int, output_mode: str = "int", sparse: bool = False, **kwargs: Any
    ) -> None:
        kwargs.pop("dtype", None)
        super().__init__(**kwargs)
        if not is_whole(num_bins) or not 0 < num_bins <= 2**31 - 1:
            raise ValueError(
                f"`num_bins` must be a whole number above 0. Received: num_bins={num_bins}\n"
                "  hint: num_bins=100"
            )
        if output_mode not in ("int", "one_hot"):
            raise ValueError(
                "Invalid value for argument `output_mode`. Expected one of ('int', 'one_hot'). "
                f"Received: output_mode={output_mode}\n  hint: output_mode='one_hot'"
            )
        if sparse:
            raise ValueError(
                "`sparse=True` can only be used with the TensorFlow backend.\n  hint: sparse=False"
            )
        self.num_bins, self.output_mode, self.sparse = num_bins, output_mode, sparse
        self._build_at_init()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The bins of data; on symbolic tensors a node, as for other layers."""
        inputs = args[0] if args else next(iter(kwargs.values()), None)
        parts = self._several(inputs)
        if is_symbolic(parts) or any(isinstance(x, Tensor) and x.is_traced for x in parts):
            return super().__call__(parts)
        return _core.tensor(self._compute([array_of(x) for x in parts]))

    def _several(self, inputs: TensorLike) -> list[Any]:
        if not isinstance(inputs, list | tuple):
            raise DataError(
                "`HashedCrossing` should be called on a list or tuple of inputs. Received: "
                f"inputs={inputs!r:.80}\n  hint: layer([first, second])"
            )
        if len(inputs) < 2:
            raise DataError(
                "`HashedCrossing` should be called on at least two inputs. Received: "
                f"{len(inputs)}\n  hint: layer([first, second])"
            )
        return list(inputs)

    def _refuse_shapes(self, shapes: Sequence[tuple[Any, ...]]) -> None:
        first, where = shapes[0], f"layer {self.name!r} (HashedCrossing)"
        if len(first) > 2 or (len(first) == 2 and first[-1] != 1):
            raise DataError(
                f"{where}: all `HashedCrossing` inputs should have shape `()`, `(batch_size)` or "
                f"`(batch_size, 1)`. Received: {first}\n  hint: one value a sample"
            )
        if any(len(s) != len(first) or not _same(s, first) for s in shapes[1:]):
            raise DataError(
                f"{where}: all `HashedCrossing` inputs should have equal shape. Received: "
                f"{', '.join(map(str, shapes))}\n  hint: one value a sample in each"
            )

    def _refuse_fractions(self, place: int, dtype: DTypeLike) -> None:
        raise DataError(
            f"layer {self.name!r} (HashedCrossing): all `HashedCrossing` inputs should have an "
            f"integer or string dtype, input {place} has {dtype}\n"
            "  hint: layers.Discretization makes bins of fractions"
        )

    def _compute(self, parts: list[Array]) -> Array:
        """The bins of arrays, or what `output_mode` makes of them."""
        self._refuse_shapes([x.shape for x in parts])
        codes = [self._codes(i, x) for i, x in enumerate(parts)]
        bins = (_hash_of(codes) % np.uint64(self.num_bins)).astype(np.int32)
        return bins if self.output_mode == "int" else encode(bins, "one_hot", self.num_bins)

    def _codes(self, place: int, values: Array) -> Array:
        """Values as numbers of 64 bits: whole numbers as they are, text by its fingerprint."""
        if values.dtype.kind in "fcb":
            self._refuse_fractions(place, values.dtype)
        where = f"layer {self.name!r} (HashedCrossing), input {place}"
        if values.dtype.kind in "iu":
            return whole_numbers_of(values, where).astype(np.uint64)
        flat = [fingerprint64(v.encode()) for v in texts_of(values, where).ravel().tolist()]
        return np.array(flat, np.uint64).reshape(values.shape)

    def call(self, inputs: Tensor) -> Any:
        """The bins of traced whole numbers, or what `output_mode` makes of them."""
        parts = self._several(inputs)
        self._refuse_shapes([tuple(x.shape) for x in parts])
        for place, x in enumerate(parts):
            if str(x.dtype) != "int32":
                self._refuse_fractions(place, x.dtype)
        if self.num_bins > _MOST_TRACED:
            raise DataError(
                f"layer {self.name!r} (HashedCrossing): a model makes at most {_MOST_TRACED:,} "
                f"bins, wanted {self.num_bins:,}\n  hint: cross the data before training"
            )
        bins = _traced_bins(parts, self.num_bins)
        return bins if self.output_mode == "int" else encode_traced(bins, "one_hot", self.num_bins)

    def get_config(self) -> dict[str, Any]:
        """The arguments; the type is that of the outputs, as Keras has it."""
        dtype = "int32" if self.output_mode == "int" else "float32"
        return {**super().get_config(), "dtype": dtype}

    def compute_output_shape(self, input_shape: Any) -> Shape:
        """The shape of one input, or (…, num_bins)."""
        shapes = [tuple(s) for s in input_shape]
        self._refuse_shapes(shapes)
        if self.output_mode == "int":
            return shapes[0]
        return counted(shapes[0], "one_hot", self.num_bins)


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    known = (int,)
    return all(
        x == y or not (isinstance(x, known) and isinstance(y, known))
        for x, y in zip(a, b, strict=True)
    )


def _hash_of(codes: Sequence[Array]) -> Array:
    """The hashes of numbers without sign, value by value."""
    factor, move = np.uint64(_FACTOR), np.uint64(_MOVE)
    found: Array = np.full(codes[0].shape, _START, np.uint64)
    with np.errstate(over="ignore"):  # products are taken modulo 2**64
        for code in codes:
            part = code * factor
            found = (found ^ factor) ^ ((part ^ (part >> move)) * factor)
            found = found * factor
            found = (found ^ (found >> move)) * factor
            found = found ^ (found >> move)
    return found


# ---- the same in the core ------------------------------------------------------------------------


def _bits_of(number: int) -> Array:
    return np.array([(number >> i) & 1 for i in range(_BITS)], np.float32)


@cached()
def _products() -> Array:
    """(64, 8): the bytes of the factor moved up by each number of bits, modulo 2**64."""
    moved = [(_FACTOR << i) % 2**_BITS for i in range(_BITS)]
    return np.array([list(m.to_bytes(8, "little")) for m in moved], np.float32)


def _spread(bytes_: Any) -> Any:
    """(…, 8) bytes as (…, 64) bits, the lowest first."""
    places = np.array([2.0**i for i in range(8)], np.float32)
    bits = ops.mod(ops.floor_divide(ops.expand_dims(bytes_, -1), places), 2.0)
    return ops.reshape(bits, (*bytes_.shape[:-1], _BITS))


def _signed(x: TensorLike) -> Any:
    """Whole numbers of 32 bits as (…, 64) bits, the sign in the upper half."""
    places = np.array([256**i for i in range(4)], np.int32)
    low = ops.mod(ops.floor_divide(ops.expand_dims(x, -1), places), 256)
    high = ops.where(ops.expand_dims(x, -1) < 0, 255, 0) + np.zeros(4, np.int32)
    return _spread(ops.cast(ops.concatenate([low, high], axis=-1), "float32"))


def _times(bits: Any) -> Any:
    """The product with the factor: sums of bytes below 2**24, exact in float32, and carries."""
    sums = ops.matmul(bits, _products())
    found: list[Any] = []
    carry: Any = 0.0
    for i in range(8):
        total = sums[..., i] + carry
        found.append(ops.mod(total, 256.0))
        carry = ops.floor_divide(total, 256.0)
    return _spread(ops.stack(found, axis=-1))


def _either(a: Any, b: Any) -> Any:
    return ops.absolute(a - b)


def _mixed(bits: Any) -> Any:
    """A hash joined with itself moved down."""
    zeros = ops.zeros_like(bits[..., :_MOVE])
    return _either(bits, ops.concatenate([bits[..., _MOVE:], zeros], axis=-1))


def _traced_bins(parts: Sequence[Any], num_bins: int) -> Any:
    factor = _bits_of(_FACTOR)
    found: Any = _bits_of(_START)
    for x in parts:
        found = _either(_either(found, factor), _times(_mixed(_times(_signed(x)))))
        found = _mixed(_times(_mixed(_times(found))))
    rests = np.array([2**i % num_bins for i in range(_BITS)], np.int32)
    return ops.mod(ops.sum(ops.cast(found, "int32") * rests, axis=-1), num_bins)
