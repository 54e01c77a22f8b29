"""`keras.preprocessing.text`: words of texts as numbers, as programs of older Keras make them.

`layers.TextVectorization` does the same within a model. Depends on the standard library and NumPy.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from zlib import crc32

import numpy as np

from fastnn.base.absent import answer_missing
from fastnn.base.arguments import as_number, hints_arguments, is_whole, whole_number
from fastnn.errors import DataError

__all__ = [
    "Tokenizer", "hashing_trick", "one_hot", "text_to_word_sequence", "tokenizer_from_json",
]  # fmt: skip

_FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'


def _as_text(value: Any, name: str) -> str:
    """The value, which must be a text: a missing one would else become the word "nan"."""
    if not isinstance(value, str):
        raise DataError(
            f"{name} is {value!r:.60} ({type(value).__name__}), wanted text\n"
            "  hint: fill missing texts with '' first; str(x) of numbers, x.decode() of bytes"
        )
    return value


def _as_word(value: Any, name: str) -> str:
    """A word of a list; whole numbers may be words."""
    return str(value) if is_whole(as_number(value)) else _as_text(value, name)


@hints_arguments
def text_to_word_sequence(
    input_text: str, filters: str = _FILTERS, lower: bool = True, split: str = " "
) -> list[str]:
    """The words of a text.

    Args:
        input_text: A text.
        filters: Characters that stand between words like `split`.
        lower: Whether words are in small letters.
        split: What stands between words.

    Returns:
        A list of words.

    Raises:
        DataError: It is no text, such as a missing value of a table.

    Example:
        >>> fastnn.preprocessing.text.text_to_word_sequence("A good, good day!")
        ['a', 'good', 'good', 'day']
    """
    text = _as_text(input_text, "input_text")
    text = text.lower() if lower else text
    for character in filters:
        text = text.replace(character, split)
    return [word for word in text.split(split) if word]


@hints_arguments
def hashing_trick(
    text: str,
    n: int,
    hash_function: str | Callable[[str], int] | None = None,
    filters: str = _FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], Sequence[str]] | None = None,
) -> list[int]:
    """The words of a text as numbers from 1 below `n`, which words may share.

    Args:
        text: A text.
        n: One more than the largest number.
        hash_function: "md5", a function of a word, or None for one that is the same in every run.
        filters: Characters that stand between words.
        lower: Whether words are in small letters.
        split: What stands between words.
        analyzer: A function that gives the words of the text instead.

    Returns:
        A list of whole numbers.

    Raises:
        DataError: It is no text, such as a missing value of a table.
        ValueError: `n` leaves no number for a word.

    Example:
        >>> fastnn.preprocessing.text.hashing_trick("a b a", 10, "md5")
        [2, 5, 2]
    """
    n = whole_number("n", n, 2)
    if hash_function == "md5":
        number: Any = lambda w: int(hashlib.md5(w.encode()).hexdigest(), 16)  # noqa: E731
    else:
        number = (lambda w: crc32(w.encode())) if hash_function in (None, hash) else hash_function
    words = (
        text_to_word_sequence(text, filters, lower, split) if analyzer is None else analyzer(text)
    )
    return [int(number(w) % (n - 1) + 1) for w in words]


@hints_arguments
def one_hot(
    input_text: str,
    n: int,
    filters: str = _FILTERS,
    lower: bool = True,
    split: str = " ",
    analyzer: Callable[[str], Sequence[str]] | None = None,
) -> list[int]:
    """As `hashing_trick`, under its older name: a number for each word, no vectors.

    Args:
        input_text: A text.
        n: One more than the largest number.
        filters: Characters that stand between words.
        lower: Whether words are in small letters.
        split: What stands between words.
        analyzer: A function that gives the words of the text instead.

    Returns:
        A list of whole numbers.

    Example:
        >>> len(fastnn.preprocessing.text.one_hot("a good day", 50))
        3
    """
    return hashing_trick(input_text, n, None, filters, lower, split, analyzer)


class Tokenizer:
    """Words of texts as whole numbers from 1, the most frequent one first.

    Args:
        num_words: Words with numbers below this are used; None: all.
        filters: Characters that stand between words.
        lower: Whether words are in small letters.
        split: What stands between words.
        char_level: Whether every character is a word.
        oov_token: What unknown words are; they are left out when None.
        analyzer: A function that gives the words of a text instead.

    Example:
        >>> tokenizer = fastnn.preprocessing.text.Tokenizer(oov_token="?")
        >>> tokenizer.fit_on_texts(["the cat", "the dog"])
        >>> tokenizer.texts_to_sequences(["the bird"])
        [[2, 1]]
    """

    num_words: int | None
    filters: str
    lower: bool
    split: str
    char_level: bool
    oov_token: str | None
    analyzer: Callable[[str], Sequence[str]] | None

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = _FILTERS,
        lower: bool = True,
        split: str = " ",
        char_level: bool = False,
        oov_token: str | None = None,
        analyzer: Callable[[str], Sequence[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        if "nb_words" in kwargs:
            warnings.warn("nb_words is num_words", stacklevel=2)
            num_words = kwargs.pop("nb_words")
        document_count = kwargs.pop("document_count", 0)
        if kwargs:
            raise TypeError(f"Tokenizer got {sorted(kwargs)}\n  hint: num_words=10000")
        self.num_words, self.filters, self.lower, self.split = num_words, filters, lower, split
        self.char_level, self.oov_token, self.analyzer = char_level, oov_token, analyzer
        self.document_count: int = document_count
        self.word_counts: OrderedDict[str, int] = OrderedDict()
        self.word_docs: defaultdict[str, int] = defaultdict(int)
        self.index_docs: defaultdict[int, int] = defaultdict(int)
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}

    def _words(self, text: Any, name: str = "text") -> Sequence[str]:
        if isinstance(text, list | tuple):
            words = [_as_word(w, f"{name}[{i}]") for i, w in enumerate(text)]
            return [w.lower() for w in words] if self.lower else words
        whole = _as_text(text, name)
        if self.char_level:
            return whole.lower() if self.lower else whole
        if self.analyzer is not None:
            return self.analyzer(whole)
        return text_to_word_sequence(whole, self.filters, self.lower, self.split)

    def fit_on_texts(self, texts: Iterable[Any]) -> None:
        """Counts the words of texts and numbers them anew.

        Args:
            texts: Texts, or lists of words.

        Raises:
            DataError: One is no text, such as a missing value of a table; nothing is counted.
        """
        if isinstance(texts, str):
            raise TypeError(
                "fit_on_texts got one text, wanted several\n  hint: fit_on_texts([text])"
            )
        every = [self._words(text, f"texts[{i}]") for i, text in enumerate(texts)]
        for words in every:
            self.document_count += 1
            for word in words:
                self.word_counts[word] = self.word_counts.get(word, 0) + 1
            for word in set(words):
                self.word_docs[word] += 1
        ordered = sorted(self.word_counts.items(), key=lambda item: -item[1])
        names = [] if self.oov_token is None else [self.oov_token]
        names += [word for word, _ in ordered if word != self.oov_token]
        self.word_index = {word: i for i, word in enumerate(names, 1)}
        self.index_word = {i: word for word, i in self.word_index.items()}
        for word, count in self.word_docs.items():
            self.index_docs[self.word_index[word]] = count

    def fit_on_sequences(self, sequences: Iterable[Sequence[int]]) -> None:
        """Counts in how many sequences each number is, which `sequences_to_matrix` may need.

        Args:
            sequences: Lists of whole numbers.
        """
        for sequence in sequences:
            self.document_count += 1
            for number in set(sequence):
                self.index_docs[int(number)] += 1

    def texts_to_sequences(self, texts: Iterable[Any]) -> list[list[int]]:
        """The numbers of the words of each text.

        Args:
            texts: Texts, or lists of words.

        Returns:
            A list of lists.
        """
        return list(self.texts_to_sequences_generator(texts))

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """As `texts_to_sequences`, one list after another.

        Args:
            texts: Texts, or lists of words.

        Returns:
            An iterator.
        """
        unknown = None if self.oov_token is None else self.word_index.get(self.oov_token)
        for place, text in enumerate(texts):
            numbers = []
            for word in self._words(text, f"texts[{place}]"):
                i = self.word_index.get(word)
                if i is None or (self.num_words and i >= self.num_words):
                    i = unknown
                if i is not None:
                    numbers.append(i)
            yield numbers

    def sequences_to_texts(self, sequences: Iterable[Sequence[int]]) -> list[str]:
        """The words of numbers, joined by blanks.

        Args:
            sequences: Lists of whole numbers.

        Returns:
            A list of texts.
        """
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Sequence[int]]) -> Iterator[str]:
        """As `sequences_to_texts`, one text after another.

        Args:
            sequences: Lists of whole numbers.

        Returns:
            An iterator.
        """
        for sequence in sequences:
            words = []
            for number in sequence:
                i = int(number)
                word = self.index_word.get(i)
                if word is None or (self.num_words and i >= self.num_words):
                    word = self.oov_token
                if word is not None:
                    words.append(word)
            yield " ".join(words)

    def texts_to_matrix(self, texts: Iterable[Any], mode: str = "binary") -> np.ndarray[Any, Any]:
        """One row per text and one column per number: see `sequences_to_matrix`.

        Args:
            texts: Texts, or lists of words.
            mode: "binary", "count", "freq" or "tfidf".

        Returns:
            An array of shape (texts, num_words).
        """
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode)

    def sequences_to_matrix(
        self, sequences: Sequence[Sequence[int]], mode: str = "binary"
    ) -> np.ndarray[Any, Any]:
        """One row per sequence and one column per number.

        Args:
            sequences: Lists of whole numbers.
            mode: "binary" for whether the number is there, "count" for how often, "freq" for its
                share, "tfidf" for how often, weighed by how rare it is among texts.

        Returns:
            An array of shape (sequences, num_words), or one more than words there are.
        """
        if not self.num_words and not self.word_index:
            raise ValueError("the tokenizer knows no words\n  hint: fit_on_texts, or num_words=")
        if mode not in ("binary", "count", "freq", "tfidf"):
            raise ValueError(f"mode is {mode!r}\n  hint: mode='binary', 'count', 'freq' or 'tfidf'")
        if mode == "tfidf" and not self.document_count:
            raise ValueError("tfidf needs counts of texts\n  hint: fit_on_texts first")
        width = self.num_words or len(self.word_index) + 1
        out = np.zeros((len(sequences), width))
        for row, sequence in zip(out, sequences, strict=True):
            counts = Counter(int(i) for i in sequence if int(i) < width)
            for i, count in counts.items():
                if mode == "count":
                    row[i] = count
                elif mode == "freq":
                    row[i] = count / len(sequence)
                elif mode == "binary":
                    row[i] = 1
                else:
                    seen = self.index_docs.get(i, 0)
                    row[i] = (1 + np.log(count)) * np.log(1 + self.document_count / (1 + seen))
        return out

    def get_config(self) -> dict[str, Any]:
        """The settings and counts, as JSON holds them.

        Returns:
            A dict; counts are texts of JSON, as in files of Keras.
        """
        return {
            "num_words": self.num_words, "filters": self.filters, "lower": self.lower,
            "split": self.split, "char_level": self.char_level, "oov_token": self.oov_token,
            "document_count": self.document_count, "word_counts": json.dumps(self.word_counts),
            "word_docs": json.dumps(self.word_docs), "index_docs": json.dumps(self.index_docs),
            "index_word": json.dumps(self.index_word), "word_index": json.dumps(self.word_index),
        }  # fmt: skip

    def to_json(self, **kwargs: Any) -> str:
        """The tokenizer as JSON, which `tokenizer_from_json` reads.

        Args:
            **kwargs: Settings of `json.dumps`.

        Returns:
            A text.
        """
        config = {"class_name": type(self).__name__, "config": self.get_config()}
        return json.dumps(config, **kwargs)


@hints_arguments
def tokenizer_from_json(json_string: str) -> Tokenizer:
    """The tokenizer that `to_json` wrote; Keras's files are read as well.

    Args:
        json_string: The text.

    Returns:
        A `Tokenizer`.

    Raises:
        ValueError: The text is no tokenizer.

    Example:
        >>> tokenizer = fastnn.preprocessing.text.Tokenizer()
        >>> tokenizer.fit_on_texts(["a b"])
        >>> fastnn.preprocessing.text.tokenizer_from_json(tokenizer.to_json()).word_index
        {'a': 1, 'b': 2}
    """
    try:
        config = dict(json.loads(json_string)["config"])
        counts = {
            name: json.loads(config.pop(name))
            for name in ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
        }
        tokenizer = Tokenizer(**config)
        tokenizer.word_counts = OrderedDict(counts["word_counts"])
        tokenizer.word_docs.update(counts["word_docs"])
        tokenizer.index_docs.update({int(k): v for k, v in counts["index_docs"].items()})
        tokenizer.index_word = {int(k): v for k, v in counts["index_word"].items()}
        tokenizer.word_index = counts["word_index"]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"the text is no tokenizer: {error}\n  hint: what tokenizer.to_json() gave"
        ) from None
    return tokenizer


answer_missing(globals())
