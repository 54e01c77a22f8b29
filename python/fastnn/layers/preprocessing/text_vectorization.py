"""`TextVectorization`: texts as rows of token numbers. Depends on `lookup`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Self

import numpy as np

from fastnn.base.typing import Shape
from fastnn.data.adapting import batches_to_adapt
from fastnn.errors import DataError
from fastnn.layers.preprocessing.encode import encode
from fastnn.layers.preprocessing.host import Array, HostLayer, array_of, texts_of
from fastnn.layers.preprocessing.lookup import StringLookup
from fastnn.serialization.encoding import function_config, function_of

__all__ = ["TextVectorization"]

_PUNCTUATION = re.compile(r'[!"#$%&()\*\+,-\./:;<=>?@\[\\\]^_`{|}~\']')
# Unicode's other spaces, such as the wide one of Chinese, divide no tokens, as in Keras.
_SPACE = re.compile(r"[ \t\n\v\f\r]+")
_LOWER = str.maketrans({chr(c): chr(c + 32) for c in range(ord("A"), ord("Z") + 1)})
_STANDARDIZE = ("lower_and_strip_punctuation", "lower", "strip_punctuation")
_SPLIT = ("whitespace", "character")


class TextVectorization(HostLayer):
    """Texts as rows of token numbers: standardised, split, perhaps joined to n-grams, looked up.

    In a model it stands first, at an `Input(dtype="string")` or the start of a `Sequential`: texts
    become numbers before the model runs. Token 0 is padding, 1 stands for what is not in the
    vocabulary. Shapes: (n,) or (n, 1) of texts -> (n, tokens) of int32; (n, size of the vocabulary)
    for the other modes.

    Args:
        max_tokens: The largest size of the vocabulary, special tokens too; None: no bound.
        standardize: `"lower_and_strip_punctuation"`, `"lower"` (letters A to Z),
            `"strip_punctuation"`, a function of an array of texts, or None.
        split: `"whitespace"` (that of ASCII), `"character"`, a function of an array of texts that
            gives lists, or None.
        ngrams: Up to how many neighbouring tokens are joined to one, or a tuple of how many.
        output_mode: `"int"`, `"multi_hot"`, `"count"` or `"tf_idf"`.
        output_sequence_length: The length that rows are cut or padded to; None: the longest.
        pad_to_max_tokens: Whether encoded outputs are `max_tokens` wide, however many tokens.
        vocabulary: The tokens, or the path of a file with one a line; None: `adapt` learns them.
        idf_weights: Weights for `"tf_idf"`.
        sparse: Not supported; False.
        ragged: Not supported; False.
        encoding: The encoding of texts given as bytes.
        name: The name of the layer; made from the class name when left out.
        **kwargs: `trainable` and what else every `Layer` takes.

    Raises:
        ValueError: An argument is out of range, or the vocabulary is empty or holds a token twice.
        DataError: Numbers are given where texts are wanted.

    Example:
        >>> layer = fastnn.layers.TextVectorization(output_sequence_length=4)
        >>> layer.adapt(["the cat sat", "the dog"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'sat', 'dog', 'cat']
        >>> layer(["The cat, sleeping"]).numpy()
        array([[2, 5, 1, 0]], dtype=int32)
    """

    standardize: Any
    split: Any
    ngrams: tuple[int, ...] | int | None
    output_mode: str
    output_sequence_length: int | None
    pad_to_max_tokens: bool
    max_tokens: int | None
    sparse: bool
    ragged: bool
    encoding: str

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: str | Callable[[Any], Any] | None = "lower_and_strip_punctuation",
        split: str | Callable[[Any], Any] | None = "whitespace",
        ngrams: int | tuple[int, ...] | None = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = False,
        encoding: str = "utf-8",
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        for key in ("vocabulary_size", "has_input_vocabulary"):
            kwargs.pop(key, None)
        super().__init__(name=name, **kwargs)
        _one_of("standardize", standardize, _STANDARDIZE)
        _one_of("split", split, _SPLIT)
        output_mode = {"binary": "multi_hot", "tf-idf": "tf_idf"}.get(output_mode, output_mode)
        if not (
            ngrams is None
            or isinstance(ngrams, int)
            or (isinstance(ngrams, list | tuple) and all(isinstance(n, int) for n in ngrams))
        ):
            raise ValueError(
                "`ngrams` must be None, an integer, or a tuple of integers. Received: "
                f"ngrams={ngrams}\n  hint: ngrams=2"
            )
        length = output_sequence_length
        if output_mode == "int" and not (
            length is None or (isinstance(length, int) and length > 0)
        ):
            raise ValueError(
                "`output_sequence_length` must be either None or an integer when `output_mode` is "
                f"'int'. Received: output_sequence_length={length}\n"
                "  hint: output_sequence_length=100"
            )
        if output_mode != "int" and length is not None:
            raise ValueError(
                "`output_sequence_length` must not be set if `output_mode` is not 'int'. Received "
                f"output_sequence_length={length}.\n  hint: leave it out"
            )
        if ragged:
            raise ValueError(
                "`ragged` must not be true: ragged tensors are not supported. Received: "
                f"ragged={ragged} and output_mode={output_mode}\n  hint: rows are padded with 0"
            )
        self.standardize, self.split = standardize, split
        self.ngrams = tuple(ngrams) if isinstance(ngrams, list) else ngrams
        self.output_mode, self.output_sequence_length = output_mode, length
        self.pad_to_max_tokens, self.max_tokens = pad_to_max_tokens, max_tokens
        self.sparse, self.ragged, self.encoding = sparse, ragged, encoding
        self._lookup_layer = StringLookup(
            max_tokens=max_tokens,
            vocabulary=vocabulary,
            idf_weights=idf_weights,
            pad_to_max_tokens=pad_to_max_tokens,
            mask_token="",
            output_mode=output_mode,
            sparse=sparse,
            encoding=encoding,
        )

    # ---- texts to tokens -------------------------------------------------------------------------

    def tokens(self, values: Any) -> list[list[str]]:
        """The tokens of each text.

        Args:
            values: An array or list of texts, (n,) or (n, 1).

        Returns:
            A list of lists.

        Example:
            >>> fastnn.layers.TextVectorization().tokens(["To be, or not"])
            [['to', 'be', 'or', 'not']]
        """
        texts = texts_of(array_of(values), f"layer {self.name!r} (TextVectorization)")
        if callable(self.standardize):
            texts = np.asarray(self.standardize(texts)).astype(str)
        if self.split is not None:
            if texts.ndim > 1 and texts.shape[-1] != 1:
                raise DataError(
                    "When using `TextVectorization` to tokenize strings, the input rank must be 1 "
                    f"or the last shape dimension must be 1. Received: inputs.shape={texts.shape} "
                    f"with rank={texts.ndim}\n  hint: one text a sample, or split=None"
                )
            texts = texts.reshape(-1)
        rows = [self._tokens_of(row) for row in texts.tolist()]
        if callable(self.split):
            rows = [list(r) for r in self.split(np.array([_joined(r) for r in rows]))]
        if self.ngrams is None:
            return rows
        sizes = range(1, self.ngrams + 1) if isinstance(self.ngrams, int) else self.ngrams
        return [
            [" ".join(r[i : i + n]) for n in sizes for i in range(len(r) - n + 1)] for r in rows
        ]

    def _tokens_of(self, text: Any) -> list[str]:
        parts = text if isinstance(text, list) else [text]
        kind = self.standardize
        if kind in ("lower", "lower_and_strip_punctuation"):
            parts = [p.translate(_LOWER) for p in parts]
        if kind in ("strip_punctuation", "lower_and_strip_punctuation"):
            parts = [_PUNCTUATION.sub("", p) for p in parts]
        if self.split == "whitespace":
            return [t for p in parts for t in _SPACE.split(p) if t]
        if self.split == "character":
            return [c for p in parts for c in p]
        return parts

    def compute(self, values: Array) -> Array:
        """Token numbers (n, tokens), or what `output_mode` makes of them."""
        lookup = self._lookup_layer
        lookup._refuse_unset(f"layer {self.name!r} (TextVectorization)")
        rows = self.tokens(values)
        length = self.output_sequence_length
        if self.output_mode != "int" or length is None:
            length = max(map(len, rows), default=0)
        padded = np.array(
            [[*r[:length], *[""] * (length - len(r))] for r in rows], dtype=str
        ).reshape(len(rows), length)
        if self.output_mode == "int":
            out: Array = lookup.compute(padded)
            return out[0] if values.ndim == 0 else out
        if length == 0:
            depth = self.max_tokens if self.pad_to_max_tokens else lookup.vocabulary_size()
            return encode(np.zeros((len(rows), 0), np.int32), "count", int(depth or 0))
        return lookup.compute(padded)

    def wants_rows(self) -> bool:
        """Whether a model hands it one value a row."""
        return False

    # ---- the vocabulary --------------------------------------------------------------------------

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learns the vocabulary: the tokens of the texts, the most frequent first.

        Args:
            data: An array or list of texts, or an iterable of batches of them.
            batch_size: Not needed.
            steps: At most so many batches.

        Raises:
            DataError: The data are no texts, or hold no token.

        Example:
            >>> layer = fastnn.layers.TextVectorization()
            >>> layer.adapt(["b a b"])
            >>> layer.get_vocabulary(include_special_tokens=False)
            ['b', 'a']
        """
        where = f"layer {self.name!r} (TextVectorization)"
        self.reset_state()
        for batch in batches_to_adapt(data, steps, where):
            self.update_state(batch)
        self._lookup_layer._refuse_none(where)
        self.finalize_state()

    def update_state(self, data: Any) -> None:
        """Counts the tokens of a batch of texts."""
        rows, lookup = self.tokens(data), self._lookup_layer
        for row in rows:
            lookup._counts.update(row)
            lookup._documents.update(set(row))
        lookup._n_documents += len(rows)

    def reset_state(self) -> None:
        """Forgets what was counted."""
        self._lookup_layer.reset_state()

    def finalize_state(self) -> None:
        """Makes the vocabulary of what was counted."""
        self._lookup_layer.finalize_state()

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The vocabulary; a token's place is the number that it becomes.

        Args:
            include_special_tokens: Whether '' (padding) and '[UNK]' stand before.

        Returns:
            A list of texts.

        Example:
            >>> fastnn.layers.TextVectorization(vocabulary=["a"]).get_vocabulary()
            ['', '[UNK]', 'a']
        """
        return self._lookup_layer.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of the special tokens too.

        Returns:
            A whole number.

        Example:
            >>> fastnn.layers.TextVectorization(vocabulary=["a"]).vocabulary_size()
            3
        """
        return self._lookup_layer.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Sets the vocabulary.

        Args:
            vocabulary: Tokens in order, with or without the special ones first; or the path of a
                text file with one a line.
            idf_weights: A weight for each token, for `output_mode="tf_idf"`.

        Raises:
            ValueError: It is empty, too large, or holds a token twice.

        Example:
            >>> layer = fastnn.layers.TextVectorization()
            >>> layer.set_vocabulary(["a", "b"])
            >>> layer.vocabulary_size()
            4
        """
        self._lookup_layer.set_vocabulary(vocabulary, idf_weights)

    def load_assets(self, folder: str) -> None:
        """Reads the vocabulary that Keras wrote into a folder."""
        self._lookup_layer.load_assets(folder)

    def _output_dtype(self) -> str:
        return "int32" if self.output_mode == "int" else "float32"

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(n, tokens), or (n, size of the vocabulary)."""
        batch = next(iter(input_shape), None)
        if self.output_mode == "int":
            return (batch, self.output_sequence_length)
        depth = self.max_tokens if self.pad_to_max_tokens else self.vocabulary_size()
        return (batch, depth)

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the vocabulary that it has; functions by name."""
        config = super().get_config() if not self._has_functions() else self._plain_config()
        lookup = self._lookup_layer
        return {**config, "vocabulary": lookup.vocabulary, "idf_weights": lookup.idf_weights}

    def _has_functions(self) -> bool:
        return callable(self.standardize) or callable(self.split)

    def _plain_config(self) -> dict[str, Any]:
        kept = self.standardize, self.split
        self.standardize, self.split = None, None
        try:
            config = super().get_config()
        finally:
            self.standardize, self.split = kept
        for name, value in zip(("standardize", "split"), kept, strict=True):
            config[name] = function_config(value) if callable(value) else value
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A layer; functions are looked up by name."""
        config = dict(config)
        for name, known in (("standardize", _STANDARDIZE), ("split", _SPLIT)):
            value = config.get(name)
            if value is not None and not (type(value) is str and value in known):
                config[name] = function_of(value, f"TextVectorization {config.get('name')!r}")
        return cls(**config)


def _joined(row: list[str]) -> str:
    return row[0] if row else ""


def _one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value is not None and not callable(value) and value not in known:
        raise ValueError(
            f"Unknown `{name}` argument of layer TextVectorization: {value!r}, wanted one of "
            f"{known}, a function or None\n  hint: {name}={known[0]!r}"
        )
