"""`StringLookup` and `IntegerLookup`: values of a vocabulary as numbers. Depends on `host`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.base.typing import Shape
from fastnn.data.adapting import batches_to_adapt
from fastnn.errors import DataError, reject_arguments
from fastnn.layers.base.config import constructor
from fastnn.layers.preprocessing.encode import counted, encode
from fastnn.layers.preprocessing.farmhash import fingerprint64
from fastnn.layers.preprocessing.host import (
    Array,
    HostLayer,
    array_of,
    texts_of,
    whole_numbers_of,
)
from fastnn.layers.preprocessing.siphash import salt_of, siphash24

__all__ = ["IndexLookup", "IntegerLookup", "StringLookup"]

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")


class IndexLookup(HostLayer):
    """A vocabulary with tokens for padding and for what is not in it: what both layers share."""

    mask_token: Any
    oov_token: Any
    input_vocabulary: Any
    input_idf_weights: Any
    salt: list[int] | None
    max_tokens: int | None
    num_oov_indices: int
    invert: bool
    sparse: bool

    def _set(
        self, max_tokens: int | None, num_oov_indices: int, mask_token: Any, oov_token: Any,
        vocabulary: Any, idf_weights: Any, invert: bool, output_mode: str, sparse: bool,
        pad_to_max_tokens: bool, oov_method: str, salt: Any, more: dict[str, Any],
    ) -> None:  # fmt: skip
        for key in ("vocabulary_size", "has_input_vocabulary", "vocabulary_dtype"):
            more.pop(key, None)
        if oov_method not in ("floormod", "farmhash"):
            raise ValueError(
                f"Unknown `oov_method` argument of layer {type(self).__name__}: {oov_method!r}, "
                "wanted 'floormod' or 'farmhash'\n  hint: oov_method='farmhash'"
            )
        if salt is not None and oov_method != "farmhash" and isinstance(self, IntegerLookup):
            raise ValueError(
                "`salt` can only be used when `oov_method='farmhash'`. Received: "
                f"oov_method={oov_method}\n  hint: oov_method='farmhash'"
            )
        self.oov_method, self.salt = oov_method, salt_of(salt, "IndexLookup")
        if more:
            raise reject_arguments(type(self).__name__, more, constructor(type(self)))
        output_mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
        if max_tokens is not None and max_tokens <= 1:
            raise ValueError(
                "If set, `max_tokens` must be greater than 1. Received: "
                f"max_tokens={max_tokens}\n  hint: max_tokens=10000"
            )
        if pad_to_max_tokens and max_tokens is None:
            raise ValueError(
                "If pad_to_max_tokens is True, must set `max_tokens`. Received: "
                f"max_tokens={max_tokens}\n  hint: max_tokens=10000"
            )
        if num_oov_indices < 0:
            raise ValueError(
                "`num_oov_indices` must be greater than or equal to 0. Received: "
                f"num_oov_indices={num_oov_indices}\n  hint: num_oov_indices=1"
            )
        if output_mode not in _MODES:
            raise ValueError(
                f"Unknown `output_mode` argument of layer {type(self).__name__}: {output_mode!r}, "
                f"wanted one of {_MODES}\n  hint: output_mode='int'"
            )
        if invert and output_mode != "int":
            raise ValueError(
                "`output_mode` must be `'int'` when `invert` is true. Received: "
                f"output_mode={output_mode}\n  hint: leave output_mode out"
            )
        if sparse:
            raise ValueError(
                f"{type(self).__name__}: sparse=True is not supported\n  hint: sparse=False"
            )
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.mask_token, self.oov_token = mask_token, oov_token
        self.invert, self.output_mode, self.sparse = invert, output_mode, sparse
        self.pad_to_max_tokens = pad_to_max_tokens
        self._tokens: list[Any] = []
        self._index: dict[Any, int] = {}
        self._idf: Array | None = None
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._n_documents = 0
        if vocabulary is not None or idf_weights is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    # ---- the vocabulary --------------------------------------------------------------------------

    def _values(self, data: Any) -> Array:
        raise NotImplementedError

    def _oov_start(self) -> int:
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    def _token_start(self) -> int:
        return self._oov_start() + self.num_oov_indices

    @property
    def vocabulary(self) -> list[Any] | None:
        """The vocabulary without special tokens; None before there is one."""
        return list(self._tokens) or None

    @property
    def idf_weights(self) -> list[float] | None:
        """The weights of the tokens by how few documents hold them; None without `tf_idf`."""
        return None if self._idf is None else [float(v) for v in self._idf[self._token_start() :]]

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The vocabulary; a value's place is the number that it becomes.

        Args:
            include_special_tokens: Whether the tokens for padding and for what is not in the
                vocabulary stand before.

        Returns:
            A list.
        """
        if not include_special_tokens:
            return list(self._tokens)
        start = [self.mask_token] * self._oov_start() + [self.oov_token] * self.num_oov_indices
        return start + self._tokens

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of the special tokens too.

        Returns:
            A whole number.
        """
        return len(self._tokens) + self._token_start()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the vocabulary.

        Args:
            vocabulary: Values in order, with or without the special tokens first; or the path of a
                text file with one a line.
            idf_weights: A weight for each value, for `output_mode="tf_idf"`.

        Raises:
            ValueError: It is empty, too large, or holds a value twice.
        """
        if self.output_mode == "tf_idf" and idf_weights is None:
            raise ValueError(
                "`idf_weights` must be set if output_mode is 'tf_idf'.\n"
                "  hint: one weight a token, or adapt(data)"
            )
        if self.output_mode != "tf_idf" and idf_weights is not None:
            raise ValueError(
                "`idf_weights` should only be set if `output_mode` is `'tf_idf'`. Received: "
                f"output_mode={self.output_mode} and idf_weights={idf_weights}\n"
                "  hint: output_mode='tf_idf'"
            )
        if isinstance(vocabulary, str | os.PathLike):
            path, vocabulary = vocabulary, _lines(vocabulary)
            if not any(vocabulary):
                raise ValueError(
                    f"Cannot set an empty vocabulary: the file {path} holds no token\n"
                    "  hint: a text file with one token a line"
                )
        given = np.asarray([] if vocabulary is None else vocabulary)
        if given.size == 0:
            raise ValueError(
                f"Cannot set an empty vocabulary. Received: vocabulary={vocabulary}\n"
                "  hint: at least one token"
            )
        tokens = self._values(given).ravel().tolist()
        start = self._token_start()
        special = self.get_vocabulary()[:start]
        rest = tokens[start:] if tokens[:start] == special and start else tokens
        twice = [t for t, n in Counter(rest).items() if n > 1]
        if twice:
            raise ValueError(
                "The passed vocabulary has at least one repeated term. Please uniquify your "
                f"dataset. The repeated terms are: {twice[:8]}\n  hint: dict.fromkeys(vocabulary)"
            )
        for kind, token in (("mask", self.mask_token), ("OOV", self.oov_token)):
            if token is not None and (kind == "mask" or self.invert) and token in rest:
                raise ValueError(
                    f"Found reserved {kind} token at unexpected location in `vocabulary`. Note "
                    "that passed `vocabulary` does not need to include the OOV and mask tokens. "
                    "Either remove all mask and OOV tokens, or include them only at the start of "
                    f"the vocabulary in precisely this order: {special}. Received: "
                    f"{kind.lower()}_token={token} at vocabulary index {tokens.index(token)}\n"
                    "  hint: leave the special tokens out"
                )
        if self.max_tokens is not None and start + len(rest) > self.max_tokens:
            raise ValueError(
                "Attempted to set a vocabulary larger than the maximum vocab size. Received "
                f"vocabulary size is {start + len(rest)}; `max_tokens` is {self.max_tokens}.\n"
                "  hint: a larger max_tokens"
            )
        idf = None
        if idf_weights is not None:
            idf = np.asarray(idf_weights, np.float32)
            if len(idf) not in (len(tokens), len(rest)) or idf.ndim != 1:
                raise ValueError(
                    "`idf_weights` must be the same length as vocabulary. len(idf_weights) is "
                    f"{len(idf)}; len(vocabulary) is {len(tokens)}\n  hint: one weight a token"
                )
            idf = idf[-len(rest) :]
        self._take(rest, idf)

    def _take(self, tokens: list[Any], idf: Array | None) -> None:
        start = self._token_start()
        self._tokens = tokens
        self._index = {t: i + start for i, t in enumerate(tokens)}
        if idf is not None:
            self._idf = np.concatenate([np.full(start, idf.mean(), np.float32), idf])

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learns the vocabulary: the values of the data, the most frequent first.

        Args:
            data: An array or list of values, or a list of arrays, generator or other iterable of
                batches, alone or as (x, y).
            batch_size: Not needed.
            steps: At most so many batches.

        Raises:
            DataError: The data hold values that the layer does not take, or none.
        """
        where = f"layer {self.name!r} ({type(self).__name__})"
        self.reset_state()
        for batch in batches_to_adapt(data, steps, where):
            values = array_of(batch)
            # Of a whole array each value is a document, of a source of batches each batch.
            whole = batch is data and values.ndim < 2
            self.update_state(values.reshape(-1, 1) if whole else values)
        self._refuse_none(where)
        self.finalize_state()

    def _refuse_none(self, where: str) -> None:
        """DataError where nothing was counted that can be in a vocabulary."""
        if not self._counts.keys() - {self.mask_token, self.oov_token}:
            raise DataError(
                f"{where}: adapt found no tokens in {self._n_documents} samples\n"
                "  hint: data with at least one value"
            )

    def reset_state(self) -> None:
        """Forgets what `update_state` has counted."""
        self._counts, self._documents, self._n_documents = Counter(), Counter(), 0

    def update_state(self, data: Any) -> None:
        """Counts the values of a batch.

        Args:
            data: An array or list; one of a single axis is one document.
        """
        rows = self._documents_of(data)
        for row in rows:
            self._counts.update(row)
            if self.output_mode == "tf_idf":
                self._documents.update(set(row))
        self._n_documents += len(rows)

    def _documents_of(self, data: Any) -> list[list[Any]]:
        values = self._values(array_of(data))
        if values.ndim < 2:
            values = values.reshape(1, -1)
        return [row.ravel().tolist() for row in values]

    def finalize_state(self) -> None:
        """Makes the vocabulary of what was counted."""
        for token in (self.mask_token, self.oov_token):
            self._counts.pop(token, None)
        if not self._counts:
            return
        order = sorted(self._counts.items(), key=lambda kv: (kv[1], kv[0]), reverse=True)
        room = None if self.max_tokens is None else self.max_tokens - self._token_start()
        tokens = [t for t, _ in order[:room]]
        idf = None
        if self.output_mode == "tf_idf":
            seen = np.array([self._documents[t] for t in tokens], np.float64)
            idf = np.log(1 + self._n_documents / (1 + seen)).astype(np.float32)
        self._take(tokens, idf)

    # ---- looking up ------------------------------------------------------------------------------

    def _outside(self, token: Any, values: Array) -> int:
        """The number of a value that is not in the vocabulary."""
        if self.num_oov_indices == 0:
            raise DataError(
                f"layer {self.name!r} ({type(self).__name__}): {token!r} is not in the vocabulary, "
                "and num_oov_indices is 0\n  hint: num_oov_indices=1"
            )
        place = 0 if self.num_oov_indices == 1 else self._bucket(token)
        return self._oov_start() + place

    def _bucket(self, token: Any) -> int:
        raise NotImplementedError

    def _hash(self, data: bytes) -> int:
        return fingerprint64(data) if self.salt is None else siphash24(self.salt, data)

    def _numbers(self, values: Array) -> Array:
        """The numbers of values, in their shape; -1 for padding that is to leave no trace."""
        index = self._index
        if self.mask_token is not None:
            index = {**index, self.mask_token: 0 if self.output_mode == "int" else -1}
        flat = values.ravel().tolist()
        out = [index.get(v) for v in flat]
        if None in out:
            out = [self._outside(v, values) if n is None else n
                   for v, n in zip(flat, out, strict=True)]  # fmt: skip
        return np.array(out, np.int32).reshape(values.shape)

    def _refuse_unset(self, where: str) -> None:
        """RuntimeError where there is no vocabulary, so that all values would be one number."""
        if not self._tokens and self.output_mode == "int":
            raise RuntimeError(
                f"{where} has no vocabulary yet\n"
                "  hint: layer.adapt(data), or the argument `vocabulary`"
            )

    def compute(self, values: Array) -> Array:
        """Numbers of the values, or what `output_mode` makes of them."""
        self._refuse_unset(f"layer {self.name!r} ({type(self).__name__})")
        if self.invert:
            return self._back(values)
        if self.output_mode != "int" and not self._tokens and not self.pad_to_max_tokens:
            raise RuntimeError(
                f"When using `output_mode={self.output_mode}` and `pad_to_max_tokens=False`, you "
                "must set the layer's vocabulary before calling it. Either pass a `vocabulary` "
                "argument to the layer, or call `adapt` with some sample data.\n"
                "  hint: layer.adapt(data)"
            )
        numbers = self._numbers(self._values(values))
        if self.output_mode == "int":
            return numbers
        depth = self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()
        assert depth is not None
        return encode(numbers, self.output_mode, depth, self._idf)

    def _back(self, values: Array) -> Array:
        if values.dtype.kind not in "iu":
            raise DataError(
                f"layer {self.name!r}: with invert=True it takes whole numbers, got {values.dtype}"
                "\n  hint: what a layer without invert gave"
            )
        every = self.get_vocabulary()
        flat = [
            every[i] if 0 <= i < len(every) else self.oov_token for i in values.ravel().tolist()
        ]
        return np.array(flat).reshape(values.shape)

    @property
    def takes_numbers(self) -> bool:  # type: ignore[override]
        """Whether numbers are taken: with `invert`."""
        return self.invert

    def wants_rows(self) -> bool:
        """Whether a model hands it one value a row."""
        return True

    def _output_dtype(self) -> str:
        return "int32" if self.output_mode == "int" else "float32"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape of the values, or (…, tokens) where they are encoded."""
        shape = tuple(input_shape)
        if self.output_mode == "int":
            return shape
        depth = self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()
        return counted(shape, self.output_mode, depth)

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the vocabulary that it has."""
        config = super().get_config()
        return {**config, "vocabulary": self.vocabulary, "idf_weights": self.idf_weights}

    # Keras keeps the weights of `tf_idf` among the variables, the vocabulary in a text file.
    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Puts the weights of `"tf_idf"` into a store, as Keras does.

        Args:
            store: Arrays by name.
        """
        if self._idf is not None:
            store["idf_weights"] = self._idf

    def load_own_variables(self, store: dict[str, Any]) -> None:
        """Takes the weights of `"tf_idf"` for the vocabulary that `load_assets` reads.

        Args:
            store: Arrays by name.
        """
        self._read_idf = store.get("idf_weights")

    def save_assets(self, folder: str) -> None:
        """Writes the vocabulary into a folder, as Keras does.

        Args:
            folder: The folder of the layer's assets.
        """
        tokens = self.get_vocabulary(include_special_tokens=True)
        if not self._tokens:
            return
        Path(folder, "vocabulary.txt").write_text(
            "\n".join(str(t) for t in tokens), encoding="utf-8"
        )

    def load_assets(self, folder: str) -> None:
        """Reads the vocabulary that Keras wrote into a folder.

        Args:
            folder: The folder of the layer's assets.
        """
        path = Path(folder) / "vocabulary.txt"
        if path.exists() and not self._tokens:
            self.set_vocabulary(path, self.__dict__.pop("_read_idf", None))


def _lines(path: Any) -> list[str]:
    path = Path(path)
    if not path.exists():
        raise ValueError(f"Vocabulary file {path} does not exist.\n  hint: the path of a text file")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}\n  hint: save it as UTF-8") from None
    lines: list[str] = text.split("\n")
    return lines[:-1] if text.endswith("\n") else lines


class StringLookup(IndexLookup):
    """Texts as whole numbers, by their place in a vocabulary.

    In a model it stands at an `Input(dtype="string")`: texts are turned into numbers before the
    model runs. Shapes: as the input for `"int"`; (…, tokens) for the other modes.

    Args:
        max_tokens: The largest size of the vocabulary, special tokens too; None: no bound.
        num_oov_indices: How many numbers stand for texts outside the vocabulary; 0: such texts are
            an error.
        mask_token: The text that becomes 0, as padding; None: none.
        oov_token: What `invert` gives for numbers of no text.
        vocabulary: The texts, or the path of a file with one a line; None: `adapt` learns them.
        idf_weights: Weights for `"tf_idf"`.
        invert: Whether numbers are turned into texts.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"`, `"count"` or `"tf_idf"`.
        pad_to_max_tokens: Whether encoded outputs are `max_tokens` wide, however many texts.
        sparse: Not supported; False.
        encoding: The encoding of texts given as bytes.
        name: The name of the layer; made from the class name when left out.
        oov_method: How values outside the vocabulary are spread over `num_oov_indices`: whole
            numbers by their remainder (`"floormod"`) or by a hash (`"farmhash"`), texts by a hash.
        salt: A number or two that key the hash; None: FarmHash without a key.
        **kwargs: `trainable` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range, or the vocabulary is empty or holds a text twice.
        DataError: Numbers are given where texts are wanted.

    Example:
        >>> layer = fastnn.layers.StringLookup()
        >>> layer.adapt(["b", "a", "b"])
        >>> layer.get_vocabulary()
        ['[UNK]', 'b', 'a']
        >>> layer(np.array([["a", "c"]])).numpy()
        array([[2, 0]], dtype=int32)
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        oov_method: str = "floormod",
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **_own(kwargs))
        self.encoding = encoding
        self._set(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, sparse, pad_to_max_tokens, oov_method, salt, kwargs,
        )  # fmt: skip

    def _values(self, data: Any) -> Array:
        return texts_of(data, f"layer {self.name!r} (StringLookup)")

    def _bucket(self, token: Any) -> int:
        return self._hash(token.encode(self.encoding)) % self.num_oov_indices


class IntegerLookup(IndexLookup):
    """Whole numbers as numbers from 0, by their place in a vocabulary.

    In a model it stands at an input of whole numbers. Shapes: as the input for `"int"`; (…, tokens)
    for the other modes.

    Args:
        max_tokens: The largest size of the vocabulary, special tokens too; None: no bound.
        num_oov_indices: How many numbers stand for values outside the vocabulary; 0: such values
            are an error.
        mask_token: The value that becomes 0, as padding; None: none.
        oov_token: What `invert` gives for numbers of no value.
        vocabulary: The values; None: `adapt` learns them.
        vocabulary_dtype: Taken for Keras's sake.
        idf_weights: Weights for `"tf_idf"`.
        invert: Whether places are turned into values.
        output_mode: `"int"`, `"one_hot"`, `"multi_hot"`, `"count"` or `"tf_idf"`.
        sparse: Not supported; False.
        pad_to_max_tokens: Whether encoded outputs are `max_tokens` wide, however many values.
        name: The name of the layer; made from the class name when left out.
        oov_method: How values outside the vocabulary are spread over `num_oov_indices`: whole
            numbers by their remainder (`"floormod"`) or by a hash (`"farmhash"`), texts by a hash.
        salt: A number or two that key the hash; None: FarmHash without a key.
        **kwargs: `trainable` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range, or the vocabulary is empty or holds a value twice.
        DataError: Texts or fractions are given where whole numbers are wanted.

    Example:
        >>> layer = fastnn.layers.IntegerLookup(output_mode="one_hot")
        >>> layer.adapt(np.array([7, 7, 40]))
        >>> layer.get_vocabulary()
        [-1, 7, 40]
        >>> layer(np.array([40])).numpy()
        array([[0., 0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        name: str | None = None,
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **_own(kwargs))
        self.vocabulary_dtype = vocabulary_dtype
        self._set(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert,
            output_mode, sparse, pad_to_max_tokens, oov_method, salt, kwargs,
        )  # fmt: skip

    @property
    def takes_numbers(self) -> bool:  # type: ignore[override]
        """Whether numbers are taken: always."""
        return True

    def _values(self, data: Any) -> Array:
        data = np.asarray(data)
        if data.dtype.kind == "U":
            try:
                read: Array = data.astype(np.int64)  # a vocabulary from a file
                return read
            except ValueError:
                pass
        return whole_numbers_of(data, f"layer {self.name!r} (IntegerLookup)")

    def _bucket(self, token: Any) -> int:
        if self.oov_method == "floormod":
            return int(token) % self.num_oov_indices
        return self._hash(str(token).encode()) % self.num_oov_indices


def _own(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the base class of layers takes, out of `kwargs`."""
    return {k: kwargs.pop(k) for k in ("trainable", "dtype") if k in kwargs}
