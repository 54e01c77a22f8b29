"""IMDB: 25,000 + 25,000 film reviews as lists of word numbers, good or bad (Maas et al. 2011)."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from . import keras_cache

__all__ = ["get_word_index", "load_data"]


def load_data(
    path: str | PathLike[str] = "imdb.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> Any:
    """Reads `imdb.npz` of Keras from `~/.keras/datasets` or from `path`; nothing is downloaded.

    Args:
        path: The file, a folder that holds it, or its name in Keras's cache.
        num_words: Words of this number and above become `oov_char`; None keeps all.
        skip_top: Words below this number become `oov_char`.
        maxlen: Reviews of so many words and more are left out; None keeps all.
        seed: What the order is drawn by.
        start_char: The number at the start of each review; None: there is none.
        oov_char: The number of words that are cut out; None leaves them out.
        index_from: What is added to the numbers of words.

    Returns:
        ((x, y), (x_test, y_test)): x is an array of lists, y (n,) is 1 for good reviews.

    Raises:
        FileNotFoundError: The file is missing; the message says where it is looked for.
        FormatError: It is damaged, or holds what is no array.

    Example:
        >>> try:
        ...     (x, y), (x_test, y_test) = fastnn.datasets.imdb.load_data("no such file")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    file = keras_cache.where("imdb", "imdb.npz", path)
    parts = keras_cache.arrays_of(file, ("x_train", "y_train", "x_test", "y_test"))
    texts: list[list[int]] = []
    labels = []
    for x, y in (parts[:2], parts[2:]):
        found = keras_cache.numbered(
            *keras_cache.shuffled(x, y, seed), maxlen, start_char, index_from
        )
        texts += found[0]
        labels.append(np.asarray(found[1]))
    texts = keras_cache.cut_words(texts, num_words, skip_top, oov_char)
    count = len(labels[0])
    return (
        (keras_cache.lists(texts[:count]), labels[0]),
        (keras_cache.lists(texts[count:]), labels[1]),
    )


def get_word_index(path: str | PathLike[str] = "imdb_word_index.json") -> dict[str, int]:
    """The number of each word, before `index_from` is added.

    Args:
        path: The file, a folder that holds it, or its name in Keras's cache.

    Returns:
        A dict: word -> number.

    Raises:
        FileNotFoundError: The file is missing.

    Example:
        >>> try:
        ...     words = fastnn.datasets.imdb.get_word_index("no such file")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    return keras_cache.word_index("imdb", path)
