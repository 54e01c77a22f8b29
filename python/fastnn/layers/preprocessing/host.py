"""Layers that work on texts and other values of the host, before the core, and the text inputs of
models, which they read.

The core knows numbers alone. A model whose input is text reads it through the one layer that takes
that input: data are turned into its output before the model runs, and in the traced graph the
layer gives back what was made there. Depends on `layers.base`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple
from weakref import WeakSet

import numpy as np

from fastnn import _core, ops
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.text import as_text
from fastnn.base.typing import TensorLike
from fastnn.data.arrays import is_masked, numbers_of, unmasked
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.tracing.call_context import current_call
from fastnn.tracing.symbolic import KerasTensor

__all__ = [
    "HOST_LAYERS", "HostLayer", "TextInput", "array_of", "fed", "is_text", "read_batches",
    "read_symbols", "read_text", "read_value", "text_inputs", "texts_of", "whole_numbers_of",
]  # fmt: skip

Array = np.ndarray[Any, Any]
_made: WeakSet[HostLayer] = WeakSet()
#: The layers that may stand there, by which files without `fastnn.before` tell; their modules are
#: not loaded for that.
HOST_LAYERS = frozenset(("Hashing", "IntegerLookup", "StringLookup", "TextVectorization"))
#: What Keras's look-ups and hashes compute in.
_WHOLE = ("int32", "int64")


class HostLayer(Layer):
    """A layer whose work is done on arrays of the host; it stands at a model's text input."""

    reads_text = True

    #: Whether it takes numbers as well.
    takes_numbers = False
    #: Whether a model reads its text input through this layer; older pickles do not hold it.
    _at_text_input = False
    _rounds_products = False

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get("dtype") in _WHOLE:
            del kwargs["dtype"]
        super().__init__(**kwargs)
        self._build_at_init()
        _made.add(self)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave."""
        super().__setstate__(state)
        _made.add(self)

    def compute(self, values: Array) -> Array:
        """The output for an array of texts or numbers; subclasses define it."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The arguments; the type is that of the outputs, as Keras has it."""
        return {**super().get_config(), "dtype": self._output_dtype()}

    def wants_rows(self) -> bool:
        """Whether a model hands it one value a row."""
        return False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The output for data; on symbolic tensors a node, as for other layers."""
        value = args[0] if args else next(iter(kwargs.values()), None)
        if isinstance(value, KerasTensor):
            if value.dtype != "string" and not self.takes_numbers:
                raise DataError(
                    f"layer {self.name!r} ({type(self).__name__}) wants text, its input holds "
                    f"{value.dtype}\n  hint: Input(shape=(1,), dtype='string')"
                )
            return super().__call__(value)
        if isinstance(value, Tensor):
            return self._of_tensor(value)
        return self._made(self.compute(array_of(value)))

    def _of_tensor(self, x: Tensor) -> Any:
        if self._at_text_input and current_call() is not None:
            return self._own_part(x)  # what was made of the input before the model ran
        if x.is_traced or not self.takes_numbers:
            raise DataError(
                f"layer {self.name!r} ({type(self).__name__}) wants "
                f"{'values' if self.takes_numbers else 'text'}, got a tensor of {x.dtype}"
                f"{' in a traced step' if x.is_traced else ''}\n"
                "  hint: it goes first in a model, on an Input(dtype='string'), or on the data "
                "before training"
            )
        return self._made(self.compute(np.asarray(x)))

    def _own_part(self, x: Tensor) -> Any:
        """What was made for this layer, of a value that it shares with others."""
        parts = getattr(self, "_parts", {})
        sizes = tuple(x.shape)[1:] if parts else ()
        total = math.prod(sizes) if sizes and all(isinstance(d, int) for d in sizes) else 0
        if total not in parts:
            return x
        return parts[total].of(ops.reshape(x, (-1, total)))

    def _made(self, out: Array) -> Any:
        return as_text(out) if out.dtype.kind in "UO" else _core.tensor(out)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs: they were read before the model ran."""
        return inputs

    def compute_output_spec(self, inputs: TensorLike) -> Any:
        """Shape and type of the output for a symbolic text input."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self._output_dtype())

    def _output_dtype(self) -> str:
        return "int32"


def array_of(value: Any) -> Array:
    """Texts or numbers as an array: bytes are read as UTF-8, masked values are refused."""
    if isinstance(value, bytes):
        value = text_of(value)
    array = value if isinstance(value, np.ndarray) else _toarray_of(value)
    if is_masked(array):
        array = unmasked(array, "the data")
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError:
            items: list[Any] = array.ravel().tolist()
            for item in items:
                text_of(item)
            raise
    return array


def text_of(value: bytes) -> str:
    """Bytes as text; DataError where they are not UTF-8."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the text {value!r:.60} is not UTF-8: {error}\n"
            "  hint: value.decode('latin-1') if that is its encoding"
        ) from None


def _toarray_of(value: Any) -> Array:
    if isinstance(value, Tensor):
        return np.asarray(value)
    value = value.to_numpy() if hasattr(value, "to_numpy") else value
    if isinstance(value, list | tuple) and any(isinstance(v, list | tuple) for v in value):
        widths = {len(v) for v in value}
        if len(widths) > 1:
            raise DataError(
                f"rows of {sorted(widths)[:4]} values, wanted rows of one length\n"
                "  hint: pad them, or one text a sample"
            )
    return np.asarray(value)


def texts_of(values: Array, where: str) -> Array:
    """An array of `str`; DataError names the first value that is no text."""
    if values.dtype.kind == "U":
        return values
    if values.dtype.kind == "T":  # NumPy's strings of any length
        return values.astype(object).astype(str)
    if values.dtype.kind == "O":
        flat = values.ravel()
        if any(isinstance(v, np.ndarray) for v in flat):  # texts without axes, gathered in a list
            alone = [v.item() if isinstance(v, np.ndarray) and v.ndim == 0 else v for v in flat]
            flat = np.empty(values.size, object)
            flat[:] = alone
            values = flat.reshape(values.shape)
        if all(isinstance(v, str) for v in flat):
            return values.astype(str) if values.size else values.astype("U1")
        for i, v in enumerate(flat):
            if isinstance(v, bytes):
                continue
            if not isinstance(v, str):
                raise DataError(
                    f"{where} wants text, value {i} is {v!r:.60} ({type(v).__name__})\n"
                    "  hint: fill missing texts with '' first"
                )
        read = [text_of(v) if isinstance(v, bytes) else v for v in flat]
        return np.array(read).reshape(values.shape)
    if values.size == 0:
        return values.astype("U1")
    raise DataError(
        f"{where} wants text, got numbers ({values.dtype})\n"
        "  hint: x.astype(str), or a layer for numbers such as IntegerLookup"
    )


def whole_numbers_of(values: Array, where: str) -> Array:
    """An array of int64; DataError for texts, fractions, NaN and numbers beyond 64 bits."""
    if values.dtype.kind == "O":
        values = numbers_of(values, where)
    whole = values.dtype.kind in "iub"
    if values.dtype.kind == "f":
        whole = bool((values == np.round(values)).all())  # of NaN it is not
    if not whole and values.size:
        raise DataError(
            f"{where} wants whole numbers, got {values.dtype}\n"
            "  hint: StringLookup for texts, Discretization for fractions"
        )
    low, high = (values.min().item(), values.max().item()) if values.size else (0, 0)
    if high >= 2**63 or low < -(2**63):
        raise DataError(
            f"{where} wants whole numbers of 64 bits, got {low} to {high}\n"
            "  hint: x.astype(str), or number the values from 0"
        )
    found: Array = values.astype(np.int64)
    return found


def is_text(value: Any) -> bool:
    """Whether a value is text or an array, list or column of it."""
    if isinstance(value, str | bytes):
        return True
    dtype = getattr(value, "dtype", None)
    kind = getattr(dtype, "kind", None)
    if kind in ("U", "S", "T"):
        return True
    if kind == "O" or (dtype is not None and str(dtype) in ("string", "str", "category")):
        first = next(iter(np.asarray(value, object).ravel()), None)
        return isinstance(first, str | bytes)
    if isinstance(value, list | tuple) and value:
        return is_text(value[0])
    return False


# ---- text inputs of models -----------------------------------------------------------------------


class Part(NamedTuple):
    """The columns of one array that are a reader's."""

    start: int
    width: int
    tail: tuple[int, ...]
    dtype: str

    def of(self, x: Tensor) -> Any:
        """The reader's value."""
        columns = ops.reshape(x, (-1, x.shape[-1]))[:, self.start : self.start + self.width]
        return ops.reshape(ops.cast(columns, self.dtype), (-1, *self.tail))


class Reader(NamedTuple):
    """A layer that reads a text input on the host."""

    layer: Any
    #: What it gives.
    spec: KerasTensor
    #: Axes that `expand_dims` has put between the input and the layer.
    axes: tuple[int, ...]


class _AsItIs:
    """A reader that gives the numbers of an input themselves, for those who compute with them."""

    takes_numbers = True

    def __init__(self, name: str) -> None:
        self.name = name

    def compute(self, values: Array) -> Array:
        return values

    def wants_rows(self) -> bool:
        return True


class TextInput:
    """What becomes of one text input before the model runs: the work of its readers.

    Of several readers each gets its own columns of one array, so that an input stays one value.
    """

    layers: list[HostLayer]
    takes_numbers: bool
    spec: KerasTensor
    shared: bool
    #: Where the input's own numbers are in that array; None where nobody computes with them.
    itself: Part | None = None

    def __init__(self, name: str, readers: list[Reader], single: bool = False) -> None:
        self.name = name
        #: Whether the input is one text a sample, with no axis for it.
        self.single = single
        self.readers = readers
        self.layers = [_opened(reader.layer) for reader in readers]
        self.takes_numbers = all(layer.takes_numbers for layer in self.layers)
        self.spec = readers[0].spec if readers else KerasTensor((None,), dtype="float32")
        self.shared = len(readers) > 1 or any(reader.axes for reader in readers)
        if self.shared:
            self.spec = KerasTensor((None, self._share(readers)), dtype="float32")

    def _share(self, readers: list[Reader]) -> int:
        tails = [tuple(reader.spec.shape)[1:] for reader in readers]
        if any(not isinstance(d, int) for tail in tails for d in tail):
            names = ", ".join(repr(layer.name) for layer in self.layers)
            raise DataError(
                f"input {self.name!r} is read by {names}, one of which gives rows of open length; "
                "an input that is read before the model runs has then one reader\n"
                "  hint: call that layer once and use its output several times, or give it an "
                "output_sequence_length"
            )
        widths = [math.prod(d or 0 for d in tail) for tail in tails]
        total: int = sum(widths)
        start = 0
        for (layer, spec, _), tail, width in zip(readers, tails, widths, strict=True):
            part = Part(start, width, tail, spec.dtype)
            start += width
            if isinstance(layer, _AsItIs):
                self.itself = part
                continue
            parts = layer.__dict__.setdefault("_parts", {})
            if parts.setdefault(total, part) != part:
                raise DataError(
                    f"layer {layer.name!r} reads several inputs beside others\n"
                    "  hint: a layer of its own for each input"
                )
        return total

    def read(self, array: Array) -> Array:
        """The value that the model gets for texts."""
        made: list[Array] = []
        if self.single and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        for layer, _, axes in self.readers:
            values = array
            for axis in axes:
                values = np.expand_dims(values, axis)
            rows = values.ndim == 1 and layer.wants_rows() and not self.single
            made.append(layer.compute(values[:, None] if rows else values))
        if len(made) == 1 and not self.shared:
            return made[0]
        if not made:  # nobody reads it
            return np.zeros(len(array), np.float32)
        for out in made:
            if out.dtype.kind in "iu" and out.size and abs(out).max() > 2**24:
                raise DataError(
                    f"input {self.name!r} has several readers, one of which gives {out.max()}\n"
                    "  hint: numbers up to 2**24, or one reader"
                )
        return np.concatenate([out.reshape(len(out), -1).astype(np.float32) for out in made], 1)


def text_inputs(model: Any) -> dict[Any, TextInput]:
    """A model's text inputs by their names; of a Sequential by None."""
    if not _made or not any(layer in _made for layer in model._every_layer()):
        return {}
    graph = getattr(model, "_layer_graph", None)
    if model.model_kind == "sequential":
        first = next((x for x in model.layers if type(x).__name__ != "InputLayer"), None)
        if first is not None and getattr(first, "model_kind", None) is not None:
            # The model within may call its one input otherwise.
            return dict(zip([None], text_inputs(first).values(), strict=False))
        if not isinstance(first, HostLayer):
            return {}
        spec = KerasTensor((None,), dtype=first._output_dtype())
        return {None: TextInput("x", [Reader(first, spec, ())])}
    if graph is None:
        return {}
    found: dict[Any, TextInput] = {}
    for name, x in zip(model.input_names, model.inputs, strict=True):
        text = _text_input(graph, x, name)
        if text is not None:
            found[name] = text
    return found


def _text_input(graph: Any, x: KerasTensor, name: str) -> TextInput | None:
    """How an input is read before the model runs; None where the model reads it itself."""
    readers, others = _readers(graph, x)
    if not readers and (x.dtype != "string" or not others):
        return None if x.dtype != "string" else TextInput(name, [])
    single = len(x.shape) == 1
    if others and (x.dtype == "string" or not _apart(graph, x, others)):
        names = ", ".join(repr(n) for n in [*(r.layer.name for r in readers), *others])
        hint = "call that layer and use its output several times"
        if x.dtype != "string":
            hint = "for the model within an Input of its own, given the same data"
        raise DataError(
            f"input {name!r} is read by {names}; it is read before the model runs, by layers such "
            f"as StringLookup and IntegerLookup\n  hint: {hint}"
        )
    if others:
        readers.append(Reader(_AsItIs(others[0]), x, ()))
    return TextInput(name, readers, single)


def _apart(graph: Any, x: KerasTensor, others: list[str]) -> bool:
    """Whether those who compute with an input can be given its own numbers: they are all here, or
    all in the one model within that takes the input.
    """
    found = [node.operation for node in graph.readers_of(x)]
    here = {op.name for op in found if getattr(op, "model_kind", None) is None}
    return len(found) == 1 or here.issuperset(others)


def _readers(
    graph: Any, x: KerasTensor, axes: tuple[int, ...] = ()
) -> tuple[list[Reader], list[str]]:
    """The layers that read an input on the host, those of models within too; names of others."""
    found: dict[int, Reader] = {}
    others = []
    for node in graph.readers_of(x):
        inner = getattr(node.operation, "_functional", None) or node.operation
        deeper: list[tuple[Any, KerasTensor, tuple[int, ...]]] = []
        if isinstance(node.operation, HostLayer):
            found.setdefault(id(node.operation), Reader(node.operation, node.outputs, axes))
        elif getattr(inner, "_layer_graph", None) is not None:
            deeper = [(inner._layer_graph, at, axes) for at in _fed_inputs(inner, node, x)]
        elif x.dtype == "string" and getattr(node.operation, "op_name", None) == "expand_dims":
            axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("axis")
            deeper = [(graph, node.outputs, (*axes, axis))]
        else:
            others.append(node.operation.name)
        for place in deeper:
            readers, further = _readers(*place)
            for reader in readers:
                found.setdefault(id(reader.layer), reader)
            others += further
    return list(found.values()), others


def _fed_inputs(inner: Any, node: Any, x: KerasTensor) -> list[KerasTensor]:
    """The inputs of a model within that `x` is given to by this call."""
    given = node.args[0] if node.args else next(iter(node.kwargs.values()))
    if isinstance(given, dict) and all(n in given for n in inner.input_names):
        leaves = [given[n] for n in inner.input_names]
    else:
        leaves = tree.flatten(given)
    return [i for i, leaf in zip(inner.inputs, leaves, strict=False) if leaf is x]


def fed(model: Any) -> list[KerasTensor]:
    """The symbolic tensors whose values the traced model gets: its inputs, or where one is read on
    the host what is made of it there.
    """
    inner = getattr(model, "_functional", None) or model
    graph = getattr(inner, "_layer_graph", None)
    texts = {} if graph is None else text_inputs(inner)
    if not texts:
        return list(model.inputs)
    return [
        texts[name].spec if name in texts else x
        for name, x in zip(inner.input_names, inner.inputs, strict=True)
    ]


def _opened(layer: Any) -> Any:
    if isinstance(layer, HostLayer):
        layer._at_text_input = True
    return layer


def read_text(model: Any, x: TensorLike, within: bool = False) -> Any:
    """`x` with what the layers at a model's text inputs make of the texts.

    Within a step tensors are what those layers have made already.
    """
    texts = text_inputs(model)
    if not texts:
        return x
    if None in texts:
        return _read(texts[None], x, "x", within)
    names = model.input_names
    if isinstance(x, dict):
        return {
            k: _read(texts[k], v, f"x[{k!r}]", within) if k in texts else v for k, v in x.items()
        }
    if len(names) == 1:
        whole = isinstance(x, list | tuple) and len(x) == 1 and not isinstance(x[0], str | bytes)
        inner = x[0] if whole else x
        return _read(texts[names[0]], inner, "x", within)
    leaves = x if isinstance(x, list | tuple) and len(x) == len(names) else tree.flatten(x)
    return [
        _read(texts[n], v, f"x[{i}]", within) if n in texts else v
        for i, (n, v) in enumerate(zip(names, leaves, strict=False))
    ]


def read_symbols(model: Any, x: TensorLike) -> Any:
    """Symbolic inputs of a model within, with what is made of text in the text's place."""
    inner = getattr(model, "_functional", None) or model
    if getattr(inner, "_layer_graph", None) is None:
        return x
    named = isinstance(x, dict) and all(n in x for n in inner.input_names)
    leaves = [x[n] for n in inner.input_names] if named else tree.flatten(x)
    given = [
        leaf if of is declared else of
        for leaf, of, declared in zip(leaves, fed(inner), inner.inputs, strict=False)
    ]
    if named:
        return {**x, **dict(zip(inner.input_names, given, strict=True))}
    return tree.pack(x, given) if len(given) == len(leaves) else x


def _read(text: TextInput, value: Any, where: str, within: bool) -> Any:
    if isinstance(value, KerasTensor) or (
        isinstance(value, Tensor) and (within or value.is_traced)
    ):
        return value
    if not is_text(value) and not text.takes_numbers:
        kind = getattr(value, "dtype", type(value).__name__)
        names = ", ".join(f"{layer.name!r} ({type(layer).__name__})" for layer in text.layers)
        raise DataError(
            f"{where} holds {kind}, but layer {names} there wants text\n"
            "  hint: an array or list of str"
        )
    return text.read(array_of(value))


def read_value(text: TextInput, value: Any, where: str) -> Array:
    """What the layers at a text input make of a value; DataError where they want text."""
    found: Array = _read(text, value, where, False)
    return found


def read_batches(model: Any, data: Any) -> Any:
    """Batches whose texts are read; `data` itself where the model has no text input."""
    return _Batches(model, data) if text_inputs(model) else data


class _Batches:
    """An iterable of batches whose texts are read."""

    def __init__(self, model: Any, data: Any) -> None:
        self._model, self._data = model, data
        if hasattr(data, "__len__"):
            self.__class__ = _Sized

    def __iter__(self) -> Iterator[Any]:
        for batch in self._data:
            if isinstance(batch, tuple):
                yield (read_text(self._model, batch[0]), *batch[1:])
            else:
                yield read_text(self._model, batch)


class _Sized(_Batches):
    def __len__(self) -> int:
        return len(self._data)
