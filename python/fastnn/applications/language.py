"""What language models share: rotary positions, a block's attention with a cache of keys, weights
by name. Depends on `models`, `layers`.

Sources: Su et al. 2021, "RoFormer" (rotary positions).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _core, ops
from fastnn.base.messages import escaped
from fastnn.base.typing import TensorLike
from fastnn.devices import choice
from fastnn.errors import DataError, FormatError, ShapeError
from fastnn.files.keras.archive import read_json
from fastnn.layers import Dense
from fastnn.layers.base.layer import Layer
from fastnn.layers.transformer.positions import rotated
from fastnn.models import Model
from fastnn.tracing.call_context import CallContext
from fastnn.tracing.variables import Scope, Variable, read_all

__all__ = ["Decoder", "LanguageModel", "SelfAttention", "TokenLoop", "read_tensors"]

Array = np.ndarray[Any, Any]


class Cache:
    """The keys and values of a text's tokens in one block, (1, length, heads, size)."""

    keys: Variable
    values: Variable

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.keys = Variable(np.zeros(shape, np.float32), trainable=False)
        self.values = Variable(np.zeros(shape, np.float32), trainable=False)


class SelfAttention(Layer):
    """Causal attention of a language model, with rotary positions and grouped heads if asked.

    Args:
        heads: The number of query heads.
        shared_heads: The number of heads of keys and values.
        use_bias: Whether the projections have biases.
        rope: The base of rotary positions; None for none.
        interleaved: Whether neighbours are turned together.
        scaling: How the angles are stretched for longer texts; None: not at all.
        **kwargs: `name` and what else every `Layer` takes.
    """

    query_dense: Any
    key_dense: Any
    value_dense: Any
    output_dense: Any
    heads: int
    shared_heads: int
    use_bias: bool
    rope: float | None
    interleaved: bool
    scaling: Mapping[str, Any] | None
    size: Any

    def __init__(
        self,
        heads: int,
        shared_heads: int,
        use_bias: bool = False,
        rope: float | None = None,
        interleaved: bool = False,
        scaling: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.heads, self.shared_heads, self.use_bias = heads, shared_heads, use_bias
        self.rope, self.interleaved, self.scaling = rope, interleaved, scaling

    def build(self, input_shape: Any) -> None:
        """Projections of queries, keys, values and outputs."""
        width = input_shape[-1]
        if width % self.heads or self.heads % self.shared_heads:
            raise ShapeError(
                f"{self.heads} heads, {self.shared_heads} of them for keys and values, in a width "
                f"of {width}: the first must divide the width, the second the first\n"
                f"  hint: width={-(-width // self.heads) * self.heads} and as many shared_heads "
                "as heads, or a divisor of them"
            )
        self.size = width // self.heads
        for name, out in (
            ("query", width), ("key", self.size * self.shared_heads),
            ("value", self.size * self.shared_heads), ("output", width),
        ):  # fmt: skip
            dense = Dense(out, use_bias=self.use_bias, name=name)
            dense.build((None, None, width))
            setattr(self, f"{name}_dense", dense)
        self.built = True

    def call(self, x: TensorLike, start: Any = 0, cache: Cache | None = None) -> Any:
        """The attention of `x` (batch, steps, width), whose first step is at position `start`; with
        a cache it sees what the cache holds before, and leaves its keys and values there.
        """
        batch, steps = ops.shape(x)[:2]
        q, k, v = (
            ops.reshape(dense(x), (batch, steps, heads, self.size))
            for dense, heads in (
                (self.query_dense, self.heads), (self.key_dense, self.shared_heads),
                (self.value_dense, self.shared_heads),
            )
        )  # fmt: skip
        at = ops.arange(steps, dtype="int32") + start
        if self.rope is not None:
            q, k = (rotated(t, at, self.rope, self.interleaved, self.scaling) for t in (q, k))
        if cache is None:
            out = ops.dot_product_attention(q, k, v, is_causal=True)
        else:
            for kept, new in ((cache.keys, k), (cache.values, v)):
                kept.assign(ops.slice_update(kept.value, (0, start, 0, 0), new))
            # The causal limit at `start` hides the cache's places that nothing was written to yet.
            out, _ = ops.attention(
                q, cache.keys.value, cache.values.value, 0.0, True, cache.keys.shape[1], start,
                np.zeros(4, np.int32), scale=self.size**-0.5, causal=True,
            )  # fmt: skip
        return self.output_dense(ops.reshape(out, (batch, steps, self.heads * self.size)))


class LanguageModel(Model):
    """A model of token numbers (batch, steps) that gives scores of the next token at each step."""

    layer_count: int
    heads: int
    shared_heads: int
    width: int
    vocabulary_size: int
    max_length: int

    def scores(self, tokens: Any, start: Any = 0, caches: Any = None) -> Any:
        """Scores (batch, steps, tokens) of the next tokens; subclasses define it."""
        raise NotImplementedError

    def call(self, tokens: Any, training: bool | None = None) -> Any:
        """Scores (batch, steps, vocabulary) of the token after each step."""
        steps = tokens.shape[1]
        if isinstance(steps, int) and steps > self.max_length:
            raise DataError(
                f"model {self.name!r} reads up to {self.max_length} tokens, got {steps}\n"
                f"  hint: tokens[:, -{self.max_length}:]"
            )
        return self.scores(tokens)

    def decoder(self, length: int | None = None) -> Decoder:
        """A cache of keys for one text, and the step that goes on from it.

        Args:
            length: How many tokens it holds at most; None: as many as the model reads.

        Returns:
            A `Decoder`.
        """
        return Decoder(self, min(length or self.max_length, self.max_length))

    def set_tensors(self, tensors: Mapping[str, Any], strict: bool = True) -> None:
        """Sets the weights from arrays under the names of the model's published layout.

        Args:
            tensors: Arrays by name.
            strict: Whether names that the model does not have are an error.

        Raises:
            FormatError: A weight is missing, or has another shape.
        """
        if not self.built:
            self(np.zeros((1, 1), np.int32))
        used: set[str] = set()
        for variable, names, change in self.layout():
            found = next((n for n in names if n in tensors), None)
            if found is None:
                raise FormatError(
                    f"the weights lack {names[0]!r} for {variable.path!r}\n"
                    f"  hint: they hold {', '.join(sorted(tensors)[:5])}, …"
                )
            used.add(found)
            value = change(np.asarray(tensors[found], np.float32))
            if value.shape != tuple(variable.shape):
                raise FormatError(
                    f"{found!r} has shape {value.shape}, {variable.path!r} has {variable.shape}\n"
                    "  hint: sizes of the model that the weights are of"
                )
            variable.assign(value)
        self._check_head(tensors, used)
        unknown = [n for n in tensors if n not in used and not n.endswith(self.ignored)]
        if unknown and strict:
            raise FormatError(
                f"the model has no place for {', '.join(sorted(unknown)[:5])}\n"
                "  hint: strict=False leaves them out"
            )

    def _check_head(self, tensors: Mapping[str, Any], used: set[str]) -> None:
        """FormatError where scores of the file have a table of their own and the model's do not."""
        if "lm_head.weight" not in tensors or "lm_head.weight" in used:
            return
        head, table = np.asarray(tensors["lm_head.weight"]), self._table().numpy()
        if head.shape != table.shape or not np.array_equal(head.astype(np.float32), table):
            raise FormatError(
                "'lm_head.weight' differs from the table of the embeddings, which the model's "
                "scores use\n  hint: tied=False"
            )

    def _table(self) -> Variable:
        """The vectors of the tokens."""
        raise NotImplementedError

    #: Endings of names that hold no weights.
    ignored: tuple[str, ...] = ()

    def layout(self) -> list[tuple[Variable, list[str], Callable[[Array], Array]]]:
        """Per weight: the names that files give it, and what turns their array into its own."""
        raise NotImplementedError

    def load_tensors(self, path: str | os.PathLike[str], strict: bool = True) -> None:
        """Sets the weights from safetensors of the model's published layout.

        Args:
            path: The file; or for weights in several files their `model.safetensors.index.json`,
                or the folder that holds them.
            strict: Whether names that the model does not have are an error.

        Raises:
            FormatError: A weight is missing, or has another shape.
        """
        self.set_tensors(read_tensors(path), strict)


class Decoder:
    """The step of a language model with a cache: feeds tokens in, gives scores of the next one."""

    model: LanguageModel
    length: int
    position: int
    device: str

    def __init__(self, model: LanguageModel, length: int) -> None:
        if not model.built:
            model(np.zeros((1, 1), np.int32))
        self.model, self.length, self.position = model, length, 0
        shape = (1, length, model.shared_heads, model.width // model.heads)
        self._caches = [Cache(shape) for _ in range(model.layer_count)]
        tokens = _core.placeholder((None,), dtype="int32", name="tokens")
        start = _core.placeholder((), dtype="int32", name="start")
        scores, updates = self.traced(tokens, start)
        self._function = _core.Function([tokens, start], [scores], updates)
        #: Where it reads, for as long as it lives.
        self.device = choice.chosen(model._compiled_device)
        self._placements = choice.Placements(1)

    def traced(self, tokens: Any, start: Any) -> tuple[Any, list[Any]]:
        """The scores of the token after `tokens`, the first of which is at `start`, as a graph, and
        what reading them changes in the cache.
        """
        with Scope(training=False, traces=True) as scope, CallContext(False):
            scores = self.model.scores(ops.expand_dims(tokens, 0), start, self._caches)
            return scores[0, -1], scope.updates()

    def feed(self, tokens: Any) -> Array:
        """Reads tokens after those read before; gives the scores of the next one.

        Args:
            tokens: Numbers, at least one.

        Returns:
            An array (vocabulary,).

        Raises:
            DataError: The cache is full.
        """
        tokens = np.asarray(tokens, np.int32).reshape(-1)
        if not tokens.size:
            raise DataError("no tokens to read\n  hint: at least one, such as the first of a text")
        self.make_room(tokens.size)
        step = self._placements.on(self._function, self.device)
        out = step(tokens, np.int32(self.position))
        self.position += tokens.size
        return np.asarray(out[0] if isinstance(out, list | tuple) else out)

    def make_room(self, count: int) -> None:
        """Raises DataError where `count` tokens more are more than the cache holds."""
        if self.position + count > self.length:
            raise DataError(
                f"{self.position} tokens and {count} more are more than the cache of "
                f"{self.length} holds\n  hint: a shorter prompt, fewer tokens, or decoder(length)"
            )

    def loop(self, draw: Callable[[Any, Any], tuple[Any, Any]], chances: Array, ends: Iterable[int]
             ) -> TokenLoop:  # fmt: skip
        """Tokens drawn one after another without Python between them.

        Args:
            draw: Gives for a graph of scores (vocabulary,) and one of a number in [0, 1) the token,
                an int32 scalar, and whether the scores allow none, a bool.
            chances: The number in [0, 1) of each draw.
            ends: Tokens behind which no more is drawn.

        Returns:
            A `TokenLoop`.
        """
        return TokenLoop(self, draw, chances, ends)


class TokenLoop:
    """Token after token through a decoder's cache: what moves on is kept in variables, and
    `Function.repeat` runs the step.
    """

    def __init__(
        self, decoder: Decoder, draw: Callable[[Any, Any], tuple[Any, Any]], chances: Array,
        ends: Iterable[int],
    ) -> None:  # fmt: skip
        self._decoder = decoder
        chances = np.asarray(chances, np.float32)
        self._chances = Variable(chances)
        self._said = Variable(np.zeros(len(chances), np.int32), dtype="int32")
        self._state = {
            name: Variable(np.int32(0), dtype="int32")
            for name in ("token", "position", "turn", "ended")
        }
        token, position, turn = (self._state[n].traced() for n in ("token", "position", "turn"))
        scores, updates = decoder.traced(ops.reshape(token, (1,)), position)
        new, fault = draw(scores, ops.reshape(ops.slice(self._chances.traced(), (turn,), (1,)), ()))
        known = [e for e in sorted(ends) if 0 <= e < scores.shape[0]]
        ended = ops.any(ops.equal(new, np.array(known, np.int32)))
        # A fault is more than an end: the token of such a draw means nothing.
        ended = ops.maximum(ops.cast(ended, "int32"), 2 * ops.cast(fault, "int32"))
        said = ops.slice_update(self._said.traced(), (turn,), ops.reshape(new, (1,)))
        moved = {"token": new, "position": position + 1, "turn": turn + 1, "ended": ended}
        updates = [*updates, (self._said, said), *((self._state[n], v) for n, v in moved.items())]
        self._function = _core.Function([], [], updates)
        self._placements = choice.Placements(1)
        #: How many tokens it has drawn.
        self._turn = 0

    def run(self, token: int, count: int) -> tuple[list[int], bool, bool]:
        """Reads `token` and goes on with up to `count` more.

        Args:
            token: The token that was drawn last.
            count: How many are drawn at most.

        Returns:
            The tokens, of which the last may be one of `ends`; whether it is; whether the scores
            allowed no further draw.

        Raises:
            DataError: The cache, or `chances`, has no room for them.
        """
        decoder, turn = self._decoder, self._turn
        decoder.make_room(count)
        if turn + count > len(np.asarray(self._chances)):
            raise DataError(
                f"{turn} draws and {count} more are more than there are chances\n"
                "  hint: one number in [0, 1) for each draw"
            )
        for name, value in (("token", token), ("position", decoder.position), ("ended", 0)):
            self._state[name].assign(np.int32(value))
        try:
            step = self._placements.on(self._function, decoder.device)
            step.repeat(count, until=self._state["ended"])
        finally:
            now, end, said = read_all([self._state["turn"], self._state["ended"], self._said])
            self._turn, ended = int(now), int(end)
            made = self._turn - turn
            decoder.position += made
        return [int(t) for t in said[turn : turn + made - (ended == 2)]], ended == 1, ended == 2


#: The names of weights in a folder: of all in one file, and of the list of several files.
_ONE, _INDEX = "model.safetensors", "model.safetensors.index.json"


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Array]:
    """The arrays of safetensors by name; bfloat16 and float16 as float32.

    The path is a file, the list of several (`….index.json`), or the folder of either.
    """
    place = Path(path)
    if place.is_dir():
        place = place / (_INDEX if (place / _INDEX).exists() else _ONE)
    if place.name.endswith(".index.json"):
        return _of_several(place)
    tensors, _ = _core.load_file(os.fspath(place))
    return {name: np.asarray(ops.cast(x, "float32")) for name, x in tensors.items()}


def _of_several(index: Path) -> dict[str, Array]:
    listed = read_json(index.read_bytes(), index.name, os.fspath(index))
    files = listed.get("weight_map") if isinstance(listed, dict) else None
    if not isinstance(files, dict) or not all(isinstance(f, str) for f in files.values()):
        raise FormatError(
            f"{os.fspath(index)!r} has no 'weight_map' from names to files\n"
            "  hint: the list that was published with the weights"
        )
    found: dict[str, Array] = {}
    for name in sorted(set(files.values())):
        if Path(name).name != name or "\\" in name:
            raise FormatError(
                f"{os.fspath(index)!r} names a file outside its folder: {escaped(name[:80])!r}\n"
                "  hint: files beside the list"
            )
        if not (index.parent / name).exists():
            raise FileNotFoundError(
                f"{os.fspath(index)!r} names {escaped(name[:80])!r}, which is not beside it\n"
                "  hint: all files of the weights in one folder"
            )
        found |= read_tensors(index.parent / name)
    if lacking := [n for n in files if n not in found]:
        raise FormatError(
            f"{os.fspath(index)!r} lists {escaped(str(lacking[0])[:80])!r}, which its file has "
            "not\n  hint: fetch the files again"
        )
    return found
