"""Reuters: 11,228 newswires as lists of word numbers, in 46 topics (Lewis 1987)."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np

from . import keras_cache

__all__ = ["get_label_names", "get_word_index", "load_data"]

_TOPICS = (
    "cocoa", "grain", "veg-oil", "earn", "acq", "wheat", "copper", "housing", "money-supply",
    "coffee", "sugar", "trade", "reserves", "ship", "cotton", "carcass", "crude", "nat-gas", "cpi",
    "money-fx", "interest", "gnp", "meal-feed", "alum", "oilseed", "gold", "tin",
    "strategic-metal", "livestock", "retail", "ipi", "iron-steel", "rubber", "heat", "jobs", "lei",
    "bop", "zinc", "orange", "pet-chem", "dlr", "gas", "silver", "wpi", "hog", "lead",
)  # fmt: skip


def load_data(
    path: str | PathLike[str] = "reuters.npz",
    num_words: int | None = None,
    skip_top: int = 0,
    maxlen: int | None = None,
    test_split: float = 0.2,
    seed: int = 113,
    start_char: int | None = 1,
    oov_char: int | None = 2,
    index_from: int | None = 3,
) -> Any:
    """Reads `reuters.npz` of Keras from `~/.keras/datasets` or from `path`; nothing is downloaded.

    Args:
        path: The file, a folder that holds it, or its name in Keras's cache.
        num_words: Words of this number and above become `oov_char`; None keeps all.
        skip_top: Words below this number become `oov_char`.
        maxlen: Texts of so many words and more are left out; None keeps all.
        test_split: The share of the texts that is for tests.
        seed: What the order is drawn by.
        start_char: The number at the start of each text; None: there is none.
        oov_char: The number of words that are cut out; None leaves them out.
        index_from: What is added to the numbers of words.

    Returns:
        ((x, y), (x_test, y_test)): x is an array of lists, y (n,) the topic, 0 to 45.

    Raises:
        FileNotFoundError: The file is missing; the message says where it is looked for.
        FormatError: It is damaged, or holds what is no array.

    Example:
        >>> try:
        ...     (x, y), (x_test, y_test) = fastnn.datasets.reuters.load_data("no such file")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    file = keras_cache.where("reuters", "reuters.npz", path)
    x, y = keras_cache.arrays_of(file, ("x", "y"))
    x, y = keras_cache.shuffled(x, y, seed)
    texts, y = keras_cache.numbered(x, y, maxlen, start_char, index_from)
    texts = keras_cache.cut_words(texts, num_words, skip_top, oov_char)
    return keras_cache.split(keras_cache.lists(texts), np.asarray(y), test_split)


def get_word_index(path: str | PathLike[str] = "reuters_word_index.json") -> dict[str, int]:
    """The number of each word, before `index_from` is added.

    Args:
        path: The file, a folder that holds it, or its name in Keras's cache.

    Returns:
        A dict: word -> number.

    Raises:
        FileNotFoundError: The file is missing.

    Example:
        >>> try:
        ...     words = fastnn.datasets.reuters.get_word_index("no such file")
        ... except FileNotFoundError as error:
        ...     print("hint:" in str(error))
        True
    """
    return keras_cache.word_index("reuters", path)


def get_label_names() -> tuple[str, ...]:
    """The topics in the order of their numbers.

    Returns:
        46 names.

    Example:
        >>> fastnn.datasets.reuters.get_label_names()[:2]
        ('cocoa', 'grain')
    """
    return _TOPICS
