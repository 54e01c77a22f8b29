"""Layers that work on texts and other values of the host, before the core: and the door for them.

The core knows numbers alone. A model whose input is text reads it through the one layer that takes
that input: data are turned into its output at the door, and in the traced graph the layer gives
back what the door has made. Depends on `layers.base`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import numpy as np

from fastnn import _core
from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.text import as_text
from fastnn.data.arrays import numbers_of, unmasked
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.tracing.call_context import current_call
from fastnn.tracing.symbolic import KerasTensor

__all__ = [
    "HostLayer", "array_of", "fed", "is_text", "read_batches", "read_text", "text_doors",
    "texts_of", "whole_numbers_of",
]  # fmt: skip

Array = np.ndarray[Any, Any]
_made: WeakSet[HostLayer] = WeakSet()
#: What Keras's look-ups and hashes compute in.
_WHOLE = ("int32", "int64")


class HostLayer(Layer):
    """A layer whose work is done on arrays of the host; it stands at a model's text input."""

    reads_text = True

    #: Whether it takes numbers as well.
    takes_numbers = False

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get("dtype") in _WHOLE:
            del kwargs["dtype"]
        super().__init__(**kwargs)
        self._at_door = False
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
        if self._at_door and current_call() is not None:
            return x  # what the door has made of the input
        if x.is_traced or not self.takes_numbers:
            raise DataError(
                f"layer {self.name!r} ({type(self).__name__}) wants "
                f"{'values' if self.takes_numbers else 'text'}, got a tensor of {x.dtype}"
                f"{' in a traced step' if x.is_traced else ''}\n"
                "  hint: it goes first in a model, on an Input(dtype='string'), or on the data "
                "before training"
            )
        return self._made(self.compute(x.numpy()))

    def _made(self, out: Array) -> Any:
        return as_text(out) if out.dtype.kind in "UO" else _core.tensor(out)

    def call(self, inputs: Any) -> Any:
        """The inputs: the door has read them."""
        return inputs

    def compute_output_spec(self, inputs: Any) -> Any:
        """Shape and type of the output for a symbolic text input."""
        return KerasTensor(self.compute_output_shape(inputs.shape), dtype=self._output_dtype())

    def _output_dtype(self) -> str:
        return "int32"


def array_of(value: Any) -> Array:
    """Texts or numbers as an array: bytes are read as UTF-8, masked values are refused."""
    if isinstance(value, bytes):
        value = text_of(value)
    array = value if isinstance(value, np.ndarray) else _toarray_of(value)
    if isinstance(array, np.ma.MaskedArray):
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
        return value.numpy()
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


# ---- the door ------------------------------------------------------------------------------------


def text_doors(model: Any) -> dict[Any, HostLayer]:
    """The layers at a model's text inputs, by the input's name; of a Sequential by None."""
    if not _made or not any(layer in _made for layer in model._every_layer()):
        return {}
    graph = getattr(model, "_layer_graph", None)
    if model.model_kind == "sequential":
        first = next((x for x in model.layers if type(x).__name__ != "InputLayer"), None)
        if first is not None and getattr(first, "model_kind", None) is not None:
            return text_doors(first)
        return {None: _opened(first)} if isinstance(first, HostLayer) else {}
    if graph is None:
        return {}
    found: dict[Any, HostLayer] = {}
    for name, x in zip(model.input_names, model.inputs, strict=True):
        layer = _reader(graph, x, name)
        if layer is not None:
            found[name] = _opened(layer)
    return found


def _reader(graph: Any, x: KerasTensor, name: str) -> HostLayer | None:
    """The layer that reads an input on the host; it must be the only one that does."""
    readers = graph.readers_of(x)
    host = [n.operation for n in readers if isinstance(n.operation, HostLayer)]
    if not host and x.dtype != "string":
        return None
    if len(readers) != 1 or not host:
        names = ", ".join(repr(n.operation.name) for n in readers) or "nothing"
        raise DataError(
            f"input {name!r} is read by {names}; an input that is read before the model runs has "
            "one reader, a layer such as StringLookup\n  hint: call that layer once and use its "
            "output several times"
        )
    return host[0]


def fed(model: Any) -> list[KerasTensor]:
    """The symbolic tensors whose values the traced model gets: its inputs, or where one is read on
    the host the output of its reader.
    """
    inner = getattr(model, "_functional", None) or model
    graph = getattr(inner, "_layer_graph", None)
    if graph is None or not text_doors(inner):
        return list(model.inputs)
    doors = text_doors(inner)
    return [
        graph.readers_of(x)[0].outputs if name in doors else x
        for name, x in zip(inner.input_names, inner.inputs, strict=True)
    ]


def _opened(layer: HostLayer) -> HostLayer:
    layer._at_door = True
    return layer


def read_text(model: Any, x: Any, within: bool = False) -> Any:
    """`x` with what the layers at a model's text inputs make of the texts.

    Within a step tensors are what those layers have made already.
    """
    doors = text_doors(model)
    if not doors:
        return x
    if None in doors:
        return _read(doors[None], x, "x", within)
    names = model.input_names
    if isinstance(x, dict):
        return {
            k: _read(doors[k], v, f"x[{k!r}]", within) if k in doors else v for k, v in x.items()
        }
    if len(names) == 1:
        whole = isinstance(x, list | tuple) and len(x) == 1 and not isinstance(x[0], str | bytes)
        inner = x[0] if whole else x
        return _read(doors[names[0]], inner, "x", within)
    leaves = x if isinstance(x, list | tuple) and len(x) == len(names) else tree.flatten(x)
    return [
        _read(doors[n], v, f"x[{i}]", within) if n in doors else v
        for i, (n, v) in enumerate(zip(names, leaves, strict=False))
    ]


def _read(layer: HostLayer, value: Any, where: str, within: bool) -> Any:
    if isinstance(value, Tensor) and (within or value.is_traced):
        return value
    if not is_text(value) and not layer.takes_numbers:
        kind = getattr(value, "dtype", type(value).__name__)
        raise DataError(
            f"{where} holds {kind}, but layer {layer.name!r} ({type(layer).__name__}) there wants "
            "text\n  hint: an array or list of str"
        )
    array = array_of(value)
    if array.ndim == 1 and layer.wants_rows():
        array = array[:, None]
    return layer.compute(array)


def read_batches(model: Any, data: Any) -> Any:
    """Batches whose texts are read; `data` itself where the model has no text input."""
    return _Batches(model, data) if text_doors(model) else data


class _Batches:
    """An iterable of batches behind the door."""

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
