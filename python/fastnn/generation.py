"""`generate`: texts from language models, token by token through a cache of keys.

The model brings its `decoder`. Depends on `errors`, `ops`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import as_number, hints_arguments, is_whole, whole_number
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

    letters: list[str]

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

        Raises:
            DataError: A number is of no letter.
        """
        for i, token in enumerate(tokens):
            if not 0 <= int(token) < len(self.letters):
                raise DataError(
                    f"token {token} at position {i} is outside 0 to {len(self.letters) - 1}, the "
                    "letters of the alphabet\n"
                    "  hint: the tokenizer that the model was trained with"
                )
        return "".join(self.letters[int(t)] for t in tokens)


@hints_arguments
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

    The prompt is read at once and each new token costs one step, which runs without Python. The
    same seed gives the same tokens on any number of threads, streamed or not.

    Args:
        model: A model with a `decoder`, such as `applications.GPT` or `applications.Llama`.
        prompt: Token numbers, or a text where there is a tokenizer.
        max_tokens: How many tokens are made at most.
        temperature: 0 takes the best token each time; larger values choose more freely.
        top_k: Only so many of the best tokens may be drawn.
        top_p: Only the best tokens that together have this probability may be drawn.
        seed: Seed of the draws; None: another text each time.
        stop: A token number, or a list or array of them, that ends the text and is left out; with a
            tokenizer also texts.
        stream: Whether an iterator is given, with one token (or piece of text) at a time.
        tokenizer: What turns texts into numbers and back: with `encode` and `decode`, as
            `CharTokenizer` and the library `tokenizers` have them.

    Returns:
        A list of token numbers, or a text with a tokenizer; an iterator of them with `stream`.

    Raises:
        DataError: The prompt is empty, too long for the cache, or holds numbers outside the
            vocabulary; scores are NaN, or infinite where tokens are drawn.
        ValueError: An argument is out of range, or the model has no `decoder`.

    Example:
        >>> model = fastnn.applications.GPT(32, 16, 2, heads=4, max_length=16)
        >>> len(fastnn.generate(model, [1, 2, 3], max_tokens=5, seed=0))
        5
    """
    where = "generate: "
    count = whole_number("max_tokens", max_tokens, 1, where)
    top_k = None if top_k is None else whole_number("top_k", top_k, 1, where)
    seed = None if seed is None else whole_number("seed", seed, 0, where)
    temperature = _number("temperature", temperature, lambda t: t >= 0, 0.8)
    top_p = None if top_p is None else _number("top_p", top_p, lambda p: 0 < p <= 1, 0.9)
    if not hasattr(model, "decoder"):
        raise ValueError(
            f"generate: {type(model).__name__} has no `decoder`: it is no language model\n"
            "  hint: applications.GPT, applications.Llama or a model with decoder(length)"
        )
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
    numbers, words = _endings(stop, tokenizer)
    _check_room(model, tokens, count)
    draw = _Draw(temperature, top_k, top_p)
    made = _tokens(model, tokens, count, draw, seed, numbers, stream or bool(words))
    if tokenizer is None:
        return made if stream else list(made)
    pieces = _pieces(made, tokenizer, words)
    return pieces if stream else "".join(pieces)


def _number(name: str, value: Any, good: Callable[[Any], bool], hint: float) -> float:
    number = as_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not good(number):
        raise ValueError(f"generate: {name} is {value!r}\n  hint: {name}={hint}")
    return number


def _endings(stop: Any, tokenizer: Any) -> tuple[set[int], list[str]]:
    """The tokens and the texts that end what is made."""
    stop = stop.tolist() if isinstance(stop, np.ndarray) else stop
    ends = stop if isinstance(stop, list | tuple | set) else [] if stop is None else [stop]
    words = [e for e in ends if isinstance(e, str)]
    if words and tokenizer is None:
        raise ValueError("stop holds texts, and there is no tokenizer\n  hint: token numbers")
    if "" in words:
        raise ValueError("generate: stop holds an empty text\n  hint: leave it out")
    numbers = [e for e in ends if not isinstance(e, str)]
    for e in numbers:
        if not is_whole(e):
            raise ValueError(
                f"generate: stop is {e!r}, wanted a token number or a text\n  hint: stop=2"
            )
    return {int(as_number(e)) for e in numbers}, words


def _check_room(model: Any, prompt: Array, count: int) -> None:
    limit = getattr(model, "max_length", None)
    if limit is not None and len(prompt) + count - 1 > limit:
        room = limit - len(prompt) + 1
        mend = f"max_tokens={room}, or a shorter prompt" if room > 0 else f"prompt[-{limit}:]"
        raise DataError(
            f"a prompt of {len(prompt)} tokens and {count} more are more than the {limit} that the "
            f"model reads\n  hint: {mend}"
        )


def _encoded(tokenizer: Any, text: str) -> list[int]:
    found = tokenizer.encode(text)
    return list(getattr(found, "ids", found))


def _tokens(
    model: Any, prompt: Array, count: int, draw: _Draw, seed: int | None, ends: set[int],
    stream: bool,
) -> Iterator[int]:  # fmt: skip
    chances = np.random.Generator(np.random.Philox(seed)).random(count, np.float32)
    decoder = model.decoder(len(prompt) + count)
    token = draw.once(decoder.feed(prompt), chances[0])
    if token in ends:
        return
    yield token
    if not hasattr(decoder, "loop"):  # a decoder of one's own
        for chance in chances[1:]:
            token = draw.once(decoder.feed([token]), chance)
            if token in ends:
                return
            yield token
        return
    left = count - 1
    if not left:
        return
    loop = decoder.loop(draw, chances[1:], ends)
    at_once = 1 if stream else left
    while left:
        began = time.monotonic()
        made, ended, fault = loop.run(token, min(at_once, left))
        took = time.monotonic() - began
        yield from made[: len(made) - ended]
        if fault:
            raise _no_draw()
        if ended:
            return
        left, token = left - len(made), made[-1]
        # Readers see tokens come one by one; quick ones need not pay for a pause behind each.
        at_once = at_once if not stream else max(1, min(2 * at_once, int(at_once * _SHOWN / took)))


#: Seconds between two pieces of a streamed text.
_SHOWN = 0.02


def _no_draw() -> DataError:
    return DataError(
        "the model's scores are NaN, or infinite: no token can be drawn\n"
        "  hint: fastnn.debug.find_nan(model, tokens)"
    )


class _Draw:
    """Draws a token by scores; a graph, of which the loop in Rust and `once` make use."""

    def __init__(self, temperature: float, top_k: int | None, top_p: float | None) -> None:
        # Colder than this is the best token alone; a float32 has smaller numbers not at all.
        self.temperature = temperature and max(temperature, 1e-30)
        self.top_k, self.top_p = top_k, None if top_p == 1 else top_p
        self._once: Any = None

    def __call__(self, scores: Any, chance: Any) -> tuple[Any, Any]:
        """The token and whether there is none, for scores (vocabulary,) and a number in [0, 1)."""
        scores = ops.cast(scores, "float32")
        fault = ops.any(ops.isnan(scores))
        if self.temperature == 0:
            return ops.argmax(scores), fault
        size = scores.shape[0]
        order: Any = None
        if self.top_k is not None or self.top_p is not None:
            scores, order = ops.top_k(scores, size if self.top_k is None else min(self.top_k, size))
        # The largest is taken off before the division: a low temperature overflows nothing.
        weights = ops.exp((scores - ops.max(scores)) / self.temperature)
        if self.top_p is not None:
            before = ops.cumsum(weights) - weights
            weights = ops.where(before < self.top_p * ops.sum(weights), weights, 0.0)
        reached = ops.cumsum(weights)
        total = reached[-1]
        at = ops.sum(ops.cast(reached <= chance * total, "int32"))
        # Rounding may carry the chance up to the total: the last one with any weight is meant.
        last = ops.sum(ops.cast(reached < total, "int32"))
        at = ops.minimum(at, last)
        token = at if order is None else ops.take(order, at)
        return token, ops.logical_or(fault, ops.logical_not(total > 0))

    def once(self, scores: Array, chance: Any) -> int:
        """The token that is drawn by scores (vocabulary,).

        Raises:
            DataError: The scores allow no draw.
        """
        if self._once is None:
            numbers = _core.placeholder(np.shape(scores), name="scores")
            number = _core.placeholder((), name="chance")
            self._once = _core.Function([numbers, number], [*self(numbers, number)])
        token, fault = self._once(np.asarray(scores, np.float32), np.float32(chance))
        if np.asarray(fault):
            raise _no_draw()
        return int(np.asarray(token))


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
            if end > len(given):
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


answer_missing(globals())
