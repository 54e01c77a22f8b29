"""`keras.preprocessing.sequence`: sequences filled up, pairs of near words, windows of series."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import random
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.data import PyDataset
from fastnn.utils import pad_sequences

__all__ = ["TimeseriesGenerator", "make_sampling_table", "pad_sequences", "skipgrams"]


@hints_arguments
def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> np.ndarray[Any, Any]:
    """How likely the word of each rank is kept, less for frequent ones, by Zipf's law.

    Args:
        size: How many words there are.
        sampling_factor: The share of all words from which on a word is left out at times.

    Returns:
        An array of shape (size,).

    Example:
        >>> fastnn.preprocessing.sequence.make_sampling_table(3).round(4)
        array([0.0032, 0.0032, 0.0055])
    """
    gamma = 0.577
    rank = np.arange(size)
    rank[:1] = 1
    share = sampling_factor * (rank * (np.log(rank) + gamma) + 0.5 - 1.0 / (12.0 * rank))
    return np.minimum(1.0, share / np.sqrt(share))


@hints_arguments
def skipgrams(
    sequence: Sequence[int],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: Any = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pairs of a word and one near it, labelled 1, and of a word and one drawn at random, 0.

    Args:
        sequence: Numbers of words; 0 is none.
        vocabulary_size: One more than the largest number.
        window_size: How far apart words of a pair are at most.
        negative_samples: Pairs drawn at random for each pair of near words.
        shuffle: Whether pairs come in random order.
        categorical: Whether labels are [0, 1] and [1, 0].
        sampling_table: How likely each word is kept, as from `make_sampling_table`.
        seed: Where draws begin; drawn from the process-wide source unless told.

    Returns:
        The pairs and their labels.

    Example:
        >>> pairs, labels = fastnn.preprocessing.sequence.skipgrams([1, 2], 3, negative_samples=0)
        >>> sorted(pairs), labels
        ([[1, 2], [2, 1]], [1, 1])
    """
    rng = np.random.default_rng(abs(random.make_default_seed() if seed is None else int(seed)))
    words = [int(w) for w in sequence]
    pairs: list[list[int]] = []
    labels: list[Any] = []
    for i, word in enumerate(words):
        if not word or (sampling_table is not None and sampling_table[word] < rng.random()):
            continue
        for j in range(max(0, i - window_size), min(len(words), i + window_size + 1)):
            if j != i and words[j]:
                pairs.append([word, words[j]])
                labels.append([0, 1] if categorical else 1)
    if negative_samples > 0 and pairs:
        count = int(len(labels) * negative_samples)
        firsts = rng.permutation([pair[0] for pair in pairs])
        drawn = rng.integers(1, max(2, vocabulary_size), count)
        pairs += [[int(firsts[i % len(firsts)]), int(drawn[i])] for i in range(count)]
        labels += [[1, 0] if categorical else 0] * count
    if shuffle:
        order = rng.permutation(len(pairs))
        pairs, labels = [pairs[i] for i in order], [labels[i] for i in order]
    return pairs, labels


class TimeseriesGenerator(PyDataset):
    """Batches of windows of a series and the target after each, for `fit`.

    `utils.timeseries_dataset_from_array` makes a data set of them.

    Args:
        data: The series, its steps along the first axis.
        targets: One for each step.
        length: How many steps a window spans.
        sampling_rate: From one step of a window to the next.
        stride: From the start of a window to that of the next.
        start_index: The first step used.
        end_index: The last step used; None: the last.
        shuffle: Whether windows are drawn at random.
        reverse: Whether windows run backwards.
        batch_size: Windows of a batch.

    Example:
        >>> make = fastnn.preprocessing.sequence.TimeseriesGenerator
        >>> x, y = make(np.arange(6), np.arange(6), length=3, batch_size=8)[0]
        >>> x.tolist(), y.tolist()
        ([[0, 1, 2], [1, 2, 3], [2, 3, 4]], [3, 4, 5])
    """

    length: int
    sampling_rate: int
    stride: int
    start_index: int
    end_index: int
    shuffle: bool
    reverse: bool
    batch_size: int

    def __init__(
        self,
        data: Any,
        targets: Any,
        length: int,
        sampling_rate: int = 1,
        stride: int = 1,
        start_index: int = 0,
        end_index: int | None = None,
        shuffle: bool = False,
        reverse: bool = False,
        batch_size: int = 128,
    ) -> None:
        super().__init__()
        if len(data) != len(targets):
            raise ValueError(
                f"{len(data)} steps of data and {len(targets)} targets\n"
                "  hint: one target for each step"
            )
        self.data, self.targets = np.asarray(data), np.asarray(targets)
        self.length, self.sampling_rate, self.stride = length, sampling_rate, stride
        self.start_index = start_index + length
        self.end_index = len(data) - 1 if end_index is None else end_index
        self.shuffle, self.reverse, self.batch_size = shuffle, reverse, batch_size
        if self.start_index > self.end_index:
            raise ValueError(
                f"windows of {length} steps between {start_index} and {self.end_index}: there is "
                "none\n  hint: a smaller length"
            )

    def __len__(self) -> int:
        span = self.end_index - self.start_index + self.batch_size * self.stride
        return span // (self.batch_size * self.stride)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if self.shuffle:
            ends = np.random.default_rng(abs(random.make_default_seed())).integers(
                self.start_index, self.end_index + 1, self.batch_size
            )
        else:
            first = self.start_index + self.batch_size * self.stride * index
            last = min(first + self.batch_size * self.stride, self.end_index + 1)
            ends = np.arange(first, last, self.stride)
        steps = np.arange(-self.length, 0, self.sampling_rate)
        x = self.data[ends[:, None] + steps]
        return (x[:, ::-1] if self.reverse else x), self.targets[ends]

    def get_config(self) -> dict[str, Any]:
        """The settings and the data, as JSON holds them.

        Returns:
            A dict.
        """
        return {
            "data": json.dumps(self.data.tolist()), "targets": json.dumps(self.targets.tolist()),
            "length": self.length, "sampling_rate": self.sampling_rate, "stride": self.stride,
            "start_index": self.start_index, "end_index": self.end_index,
            "shuffle": self.shuffle, "reverse": self.reverse, "batch_size": self.batch_size,
        }  # fmt: skip


answer_missing(globals())
