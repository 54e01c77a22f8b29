"""`generate`: texts from language models, token by token through a cache of keys.

Depends on `errors`; the model brings its `decoder`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.errors import DataError

__all__ = ["CharTokenizer", "generate"]

Array = np.ndarray[Any, Any]


class CharTokenizer:
    """Letters as tokens: number i is the i-th letter of an alphabet.

    Args:
        text: The text whose letters make the alphabet, in the order of their code points.

    Example:
        >>> letters = fastnn.CharTokenizer("hello")
        >>> letters.encode("hole"), letters.decode([1, 0])
        ([1, 3, 2, 0], 'he')
    """

    def __init__(self, text: str) -> None:
        self.letters = sorted(set(text))
        if not self.letters:
            raise ValueError("an alphabet of no letters\n  hint: the text to train on")
        self._numbers = {c: i for i, c in enumerate(self.letters)}

    def __len__(self) -> int:
        return len(self.letters)

    def encode(self, text: str) -> list[int]:
        """The numbers of the letters of a text.

        Args:
            text: A text.

        Returns:
            A list of numbers.

        Raises:
            DataError: A letter is not in the alphabet.
        """
        for i, c in enumerate(text):
            if c not in self._numbers:
                raise DataError(
                    f"letter {c!r} at position {i} is not in the alphabet\n"
                    f"  hint: it has {''.join(self.letters)[:80]!r}"
                )
        return [self._numbers[c] for c in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of numbers.

        Args:
            tokens: Numbers of letters.

        Returns:
            A text.
        """
        return "".join(self.letters[int(t)] for t in tokens)


def generate(
    model: Any,
    prompt: Any,
    max_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    stop: Any = None,
    stream: bool = False,
    tokenizer: Any = None,
) -> Any:
    """Goes on from a prompt with tokens drawn from a language model's scores.

    The prompt is read at once and each new token costs one step. The same seed gives the same
    tokens on any number of threads.

    Args:
        model: A model with a `decoder`, such as `applications.GPT` or `applications.Llama`.
        prompt: Token numbers, or a text where there is a tokenizer.
        max_tokens: How many tokens are made at most.
        temperature: 0 takes the best token each time; larger values choose more freely.
        top_k: Only so many of the best tokens may be drawn.
        top_p: Only the best tokens that together have this probability may be drawn.
        seed: Seed of the draws; None: another text each time.
        stop: A token number, or a list of them, that ends the text and is left out; with a
            tokenizer also texts.
        stream: Whether an iterator is given, with one token (or piece of text) at a time.
        tokenizer: What turns texts into numbers and back: with `encode` and `decode`, as
            `CharTokenizer` and the library `tokenizers` have them.

    Returns:
        A list of token numbers, or a text with a tokenizer; an iterator of them with `stream`.

    Raises:
        DataError: The prompt is empty, too long for the cache, or holds numbers outside the
            vocabulary; scores are NaN.
        ValueError: An argument is out of range.

    Example:
        >>> model = fastnn.applications.GPT(32, 16, 2, heads=4, max_length=16)
        >>> len(fastnn.generate(model, [1, 2, 3], max_tokens=5, seed=0))
        5
    """
    _check(max_tokens, temperature, top_k, top_p)
    if isinstance(prompt, str):
        if tokenizer is None:
            raise DataError(
                "the prompt is a text, and there is no tokenizer\n"
                "  hint: tokenizer=fastnn.CharTokenizer(text), or a list of token numbers"
            )
        prompt = _encoded(tokenizer, prompt)
    tokens = np.asarray(prompt)
    if tokens.ndim != 1 or not tokens.size or tokens.dtype.kind not in "iu":
        raise DataError(
            f"the prompt has shape {tokens.shape} of {tokens.dtype}, wanted at least one token "
            "number\n  hint: a list such as [1]"
        )
    size = getattr(model, "vocabulary_size", None)
    if size is not None and (tokens.min() < 0 or tokens.max() >= size):
        at = int(np.argmax((tokens < 0) | (tokens >= size)))
        raise DataError(
            f"token {int(tokens[at])} at position {at} of the prompt is outside 0 to {size - 1}\n"
            "  hint: numbers of the model's vocabulary"
        )
    ends = stop if isinstance(stop, list | tuple | set) else [] if stop is None else [stop]
    numbers = {int(e) for e in ends if not isinstance(e, str)}
    words = [e for e in ends if isinstance(e, str)]
    if words and tokenizer is None:
        raise ValueError("stop holds texts, and there is no tokenizer\n  hint: token numbers")
    made = _tokens(model, tokens, max_tokens, temperature, top_k, top_p, seed, numbers)
    if tokenizer is None:
        return made if stream else list(made)
    pieces = _pieces(made, tokenizer, words)
    return pieces if stream else "".join(pieces)


def _check(max_tokens: Any, temperature: Any, top_k: Any, top_p: Any) -> None:
    for name, value, good, hint in (
        ("max_tokens", max_tokens, isinstance(max_tokens, int) and max_tokens > 0, "100"),
        ("temperature", temperature, temperature >= 0, "0.8"),
        ("top_k", top_k, top_k is None or (isinstance(top_k, int) and top_k > 0), "40"),
        ("top_p", top_p, top_p is None or 0 < top_p <= 1, "0.9"),
    ):
        if not good:
            raise ValueError(f"generate: {name} is {value!r}\n  hint: {name}={hint}")


def _encoded(tokenizer: Any, text: str) -> list[int]:
    found = tokenizer.encode(text)
    return list(getattr(found, "ids", found))


def _tokens(
    model: Any, prompt: Array, count: int, temperature: float, top_k: int | None,
    top_p: float | None, seed: int | None, ends: set[int],
) -> Iterator[int]:  # fmt: skip
    draws = np.random.Generator(np.random.Philox(seed))
    limit = getattr(model, "max_length", None)
    if limit is not None and len(prompt) + count - 1 > limit:
        raise DataError(
            f"a prompt of {len(prompt)} tokens and {count} more are more than the {limit} that the "
            "model reads\n"
            f"  hint: max_tokens={max(limit - len(prompt) + 1, 1)}, or a shorter prompt"
        )
    decoder = model.decoder(len(prompt) + count)
    scores = decoder.feed(prompt)
    for i in range(count):
        token = _drawn(scores, temperature, top_k, top_p, draws)
        if token in ends:
            return
        yield token
        if i + 1 < count:
            scores = decoder.feed([token])


def _drawn(
    scores: Array, temperature: float, top_k: int | None, top_p: float | None, draws: Any
) -> int:
    if np.isnan(scores).any():
        raise DataError("the model's scores are NaN\n  hint: fastnn.debug.find_nan(model, tokens)")
    if temperature == 0:
        return int(scores.argmax())
    x = scores.astype(np.float64) / temperature
    order = np.argsort(-x, kind="stable")
    if top_k is not None:
        order = order[:top_k]
    weights = np.exp(x[order] - x[order[0]])
    weights /= weights.sum()
    if top_p is not None:
        kept = int(np.searchsorted(np.cumsum(weights), top_p)) + 1
        order, weights = order[:kept], weights[:kept] / weights[:kept].sum()
    at = int(np.searchsorted(np.cumsum(weights), draws.random(), side="right"))
    return int(order[min(at, len(order) - 1)])


def _pieces(tokens: Iterator[int], tokenizer: Any, stop: list[str]) -> Iterator[str]:
    """Texts of tokens as they come, up to a text that ends all.

    A letter of several bytes may need several tokens: a piece waits until it is whole. So does a
    piece that may be the start of an ending.
    """
    seen: list[int] = []
    given = ""
    for token in tokens:
        seen.append(token)
        text = tokenizer.decode(seen)
        end = min((i for i in (text.find(s, len(given)) for s in stop) if i >= 0), default=None)
        if end is not None:
            yield text[len(given) : end]
            return
        held = max((_overlap(text, s) for s in stop), default=0)
        ready = len(text) - held
        if text.endswith("\ufffd") or ready <= len(given):
            continue
        yield text[len(given) : ready]
        given = text[:ready]
    if seen:
        rest = tokenizer.decode(seen)[len(given) :]
        if rest:
            yield rest


def _overlap(text: str, stop: str) -> int:
    """How long the end of `text` is that begins `stop`."""
    return next((n for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n])), 0)
