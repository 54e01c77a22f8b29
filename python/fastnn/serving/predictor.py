"""`Predictor`: a saved model, ready to answer many threads. Depends on `models`, `_core`."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base import tree
from fastnn.base.arguments import as_number, is_whole, local_path
from fastnn.data.arrays import as_arrays, leaf, numbers_of
from fastnn.errors import DataError, FormatError, ShapeError, nearest
from fastnn.files.native import inference, refuse_onnx
from fastnn.layers.preprocessing.host import HOST_LAYERS, TextInput, read_value, text_inputs
from fastnn.models import Model, load_model
from fastnn.serialization.file_budget import format_errors
from fastnn.serving.joining import Joiner
from fastnn.tracing.tables import naming_table
from fastnn.training.inputs import as_whole_numbers, place_of_odd

__all__ = ["Port", "Predictor"]

Array = np.ndarray[Any, Any]
_F32 = np.dtype(np.float32)

#: Sizes that are tried for axes that a model leaves open, to compile it before the first request.
_TRIED = (1, 8, 32, 256)
#: How much larger the size is by which outputs show which of their sizes depend on it.
_APART = 64
#: Layers that have no answer for sequences or images of no positions, which the graph does not say.
_NEED_POSITIONS = frozenset((
    "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "LSTM", "RNN", "SimpleRNN",
))  # fmt: skip

#: Seconds of a run that is not worth handing to another thread: that takes as long. They are those
#: of the thread's own work, which say the same on a busy machine.
_SHORT = 2e-4


@dataclass(frozen=True)
class Port:
    """An input or an output of a served model.

    Args:
        name: Its name.
        shape: Its sizes; None is open, as the first one, the rows.
        dtype: The type of its numbers.

    Example:
        >>> fastnn.serving.Port("x", (None, 4), "float32").shape
        (None, 4)
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


class Predictor:
    """A model that answers many threads at once: loaded and compiled before the first question.

    It holds the inference graph and weights of a file, without losses or optimiser, and without
    layers but those that look values up before the graph begins, as `StringLookup` does.
    Computing releases the GIL, calls wait for each other only where there are fewer cores,
    and every answer has the bits that `model.predict` gives. The file may be replaced meanwhile;
    `reload` takes the new one. Copies and pickles read the file again, or take the model along.

    Args:
        source: The path of a saved model, or a built model, whose weights it then shares.
        max_delay: None: each call runs at once. A number: requests that wait at the same time are
            joined into one batch, and none waits longer than so many seconds for others; with 0
            only what comes while a batch runs is joined. Larger models gain by it, since a batch
            reads the weights once.
        max_batch_size: Rows of one run.
        custom_objects: Classes and functions by name, for a file in one of Keras's formats.

    Raises:
        FileNotFoundError: There is no such file.
        FormatError: The file is damaged, or holds no inference graph.
        ValueError: An argument is out of range.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
        >>> model.save("m.safetensors")
        >>> predictor = fastnn.Predictor("m.safetensors")
        >>> predictor.predict(np.ones((4, 3), "float32")).shape
        (4, 2)
        >>> predictor.inputs
        [Port(name='input_layer', shape=(None, 3), dtype='float32')]
    """

    path: str | None

    def __init__(
        self,
        source: Any,
        *,
        max_delay: float | None = None,
        max_batch_size: int = 256,
        custom_objects: dict[str, Any] | None = None,
    ) -> None:
        max_delay, max_batch_size = as_number([max_delay, max_batch_size])
        if max_delay is not None and not (
            isinstance(max_delay, int | float) and 0 <= max_delay <= 60
        ):
            raise ValueError(
                f"max_delay is {max_delay!r}, wanted None or 0 to 60 seconds\n"
                "  hint: max_delay=0.002"
            )
        if not is_whole(max_batch_size) or max_batch_size < 1:
            raise ValueError(
                f"max_batch_size is {max_batch_size!r}, wanted a whole number of at least 1\n"
                "  hint: max_batch_size=256"
            )
        self._max_delay, self._max_rows = max_delay, max_batch_size
        self._objects = custom_objects
        self._model = source if isinstance(source, Model) else None
        self.path = None if isinstance(source, Model) else local_path(source)
        self._served = _load(source if self.path is None else self.path, custom_objects)
        self._served.warm()
        self._joiner: Joiner | None = None
        self._joiner_of = -1
        self._making = threading.Lock()
        self._finish: Any = None
        self._closed = False
        self._alone = 0

    @property
    def inputs(self) -> list[Port]:
        """The inputs."""
        return list(self._served.inputs)

    @property
    def outputs(self) -> list[Port]:
        """The outputs; sizes that follow from open ones of the inputs are None."""
        return list(self._served.outputs)

    @property
    def batches(self) -> int:
        """How many batches the requests of `submit` have made so far."""
        return self._alone + (0 if self._joiner is None else self._joiner.batches)

    def predict(self, x: Any) -> Any:
        """The outputs for rows.

        Args:
            x: An array (n, …), a list of rows, or for several inputs a list, or a dict by name.

        Returns:
            A float32 array (n, …), or a structure of them as the model gives it.

        Raises:
            DataError: It holds text, or numbers beyond the range, or an input is missing.
            ShapeError: The shape is not that of the input.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
            >>> predictor = fastnn.Predictor(model)
            >>> x = np.ones((4, 3), "float32")
            >>> bool((predictor.predict(x) == model.predict(x, verbose=0)).all())
            True
        """
        if self._max_delay is not None:
            return self.submit(x).result()
        if self._closed:
            raise _closed()
        served = self._served
        if x.__class__ is np.ndarray and x.dtype is _F32 and x.shape[1:] == served.plain:
            return served.run((x,), self._max_rows)[0]
        return served.pack(served.run(served.arrays(x), self._max_rows))

    __call__ = predict

    def submit(self, x: Any) -> Future[Any]:
        """Queues rows, so that they are computed together with what others ask meanwhile.

        Where nobody waits, `max_delay` allows no wait, and such rows last took less than 0.2 ms,
        they are computed at once, by the caller: the future is then done.

        Args:
            x: As for `predict`.

        Returns:
            A `concurrent.futures.Future`: `result()` waits for the outputs, `asyncio.wrap_future`
            awaits them.

        Raises:
            DataError: As for `predict`, before anything is queued.
            ShapeError: As for `predict`, before anything is queued.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
            >>> with fastnn.Predictor(model, max_delay=0.001) as predictor:
            ...     asked = [predictor.submit(np.ones((1, 3))) for _ in range(5)]
            ...     shapes = [a.result().shape for a in asked]
            >>> shapes[0]
            (1, 2)
        """
        served = self._served
        arrays = served.arrays(x)
        if not self._max_delay and served.is_short(arrays) and not self._closed:
            joiner = self._running()
            if joiner is None or joiner.idle:
                return self._at_once(served, arrays)
        while True:
            asked = self._joined().submit(served, arrays)
            if asked is not None:  # else an app that shut down has just ended that thread
                return asked

    def _at_once(self, served: _Served, arrays: Sequence[Array]) -> Future[Any]:
        """A future that is done."""
        done: Future[Any] = Future()
        start = time.thread_time()
        try:
            done.set_result(served.pack(served.run(arrays, self._max_rows)))
        except Exception as error:
            done.set_exception(error)
        served.note(arrays, time.thread_time() - start)
        with _counting:
            self._alone += 1
        return done

    def _joined(self) -> Joiner:
        """The thread that joins requests; a forked child starts one of its own."""
        joiner = self._running()
        if joiner is None:
            if self._joiner_of not in (-1, os.getpid()):
                self._making = threading.Lock()  # may be held by a thread the fork left behind
                self._alone, self._joiner = self.batches, None
            with self._making:
                joiner = self._running()
                if joiner is None:
                    if self._closed:
                        raise _closed()
                    before = 0 if self._joiner is None else self._joiner.batches
                    joiner = Joiner(self._max_rows, self._max_delay or 0.0, before)
                    self._joiner, self._joiner_of = joiner, os.getpid()
                    if self._finish is not None:
                        self._finish.detach()
                    self._finish = weakref.finalize(self, joiner.close)
        return joiner

    def _running(self) -> Joiner | None:
        joiner = self._joiner
        here = joiner is not None and self._joiner_of == os.getpid() and not joiner.closed
        return joiner if here else None

    def rest(self, seconds: float | None = None) -> None:
        """Ends the thread that joins requests, once those that wait are answered; the next request
        starts another one.

        Args:
            seconds: How long the end of the thread is waited for at most; None: until it ends.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
            >>> predictor = fastnn.Predictor(model, max_delay=0)
            >>> predictor.rest()
            >>> predictor.predict(np.ones((4, 3))).shape
            (4, 2)
            >>> predictor.close()
        """
        if self._joiner_of not in (-1, os.getpid()):
            return  # the thread was left behind by a fork
        with self._making:
            joiner = self._joiner
            if joiner is not None:
                joiner.close()
        if joiner is not None:
            joiner.wait(seconds)

    def reload(self) -> None:
        """Reads the file again and answers from then on with what it holds now.

        Calls under way end with the old model. Where the new file cannot be read, or takes or
        gives something else, the old model stays.

        Raises:
            FormatError: The file is damaged, or its model has other inputs or outputs.
            FileNotFoundError: The file is gone.
            RuntimeError: The predictor was made from a model, not from a file.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
            >>> model.save("m.safetensors")
            >>> predictor = fastnn.Predictor("m.safetensors")
            >>> before = predictor.predict(np.ones((1, 3)))
            >>> model.set_weights([2 * w for w in model.get_weights()])
            >>> model.save("m.safetensors")
            >>> predictor.reload()
            >>> np.allclose(predictor.predict(np.ones((1, 3))), 2 * before)
            True
        """
        if self.path is None:
            raise RuntimeError(
                "this predictor was made from a model, whose weights it shares\n"
                "  hint: Predictor(path) reads a file, which can be read again"
            )
        new = _load(self.path, self._objects)
        new.warm()
        old = self._served
        new.keep_names(old)
        if (new.inputs, new.outputs) != (old.inputs, old.outputs):
            raise FormatError(
                f"{self.path}: the new model takes {_ports(new.inputs)} and gives "
                f"{_ports(new.outputs)}, the one that is served takes {_ports(old.inputs)} and "
                f"gives {_ports(old.outputs)}\n  hint: make a new Predictor for it"
            )
        self._served = new

    def close(self) -> None:
        """Takes no more calls, and waits until those that came before are answered.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
            >>> predictor = fastnn.Predictor(model)
            >>> predictor.close()
        """
        self._closed = True
        self.rest()

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies, in this process or another, read the file again, or hold the model; threads and
        # what waits stay here.
        source = self._model if self.path is None else os.path.abspath(self.path)
        settings: dict[str, Any] = {
            "max_delay": self._max_delay,
            "max_batch_size": self._max_rows,
            "custom_objects": self._objects,
        }
        return functools.partial(Predictor, **settings), (source,)

    def __repr__(self) -> str:
        what = f"{_ports(self._served.inputs)} -> {_ports(self._served.outputs)}"
        return f"<fastnn.Predictor {self.path or 'of a model'}: {what}>"


_counting = threading.Lock()


def _closed() -> RuntimeError:
    return RuntimeError("the predictor is closed\n  hint: make a new Predictor(path)")


def _ports(ports: list[Port]) -> str:
    return ", ".join(f"{p.name} {p.shape} {p.dtype}" for p in ports)


class _Served:
    """A loaded model: how to run it, what it takes and gives."""

    def __init__(
        self,
        function: Any,
        of_file: bool,
        names: list[str],
        out_names: list[str],
        out: Any,
        tables: list[tuple[str, int]],
        readers: Sequence[tuple[TextInput, Port] | None] = (),
        needs_positions: str | None = None,
    ) -> None:
        self._function, self._of_file, self._tables = function, of_file, tables
        #: The name of a layer that has no answer for sequences of no steps.
        self._needs_positions = needs_positions
        found = function.inputs
        if len(names) != len(found) or len(set(names)) < len(names):
            names = ["input"] if len(found) == 1 else [n for n, _, _ in found]
        #: What the graph takes: of an input that is read on the host, what is made of it there.
        self._taken = [
            Port(n, tuple(d if isinstance(d, int) else None for d in shape), dtype)
            for n, (_, shape, dtype) in zip(names, found, strict=True)
        ]
        self._readers = [None if r is None else r[0] for r in readers] or [None] * len(found)
        self.inputs = list(self._taken)
        for at, reader in enumerate(readers):
            if reader is not None:
                self.inputs[at] = replace(reader[1], name=names[at])
        self.outputs: list[Port] = []
        self._out, self._out_names = out, out_names
        #: Up to so many numbers a run is short.
        self._short = 0
        #: The sizes of a row, where `x` may be run as it is.
        self.plain: Any = None
        if len(found) == 1 and self.inputs[0].dtype == "float32" and out is None and not readers:
            shape = self.inputs[0].shape[1:]
            self.plain = shape if None not in shape else None

    def run(self, arrays: Sequence[Array], batch_size: int) -> list[Array]:
        """The outputs, flat."""
        try:
            if self._of_file:
                found = self._function.predict(*arrays, batch_size=batch_size)
                return found if isinstance(found, list) else [found]
            return self._function.predict(arrays, batch_size)  # type: ignore[no-any-return]
        except DataError as error:
            raise naming_table(error, self._tables) from None

    def note(self, arrays: Sequence[Array], seconds: float) -> None:
        """Learns from a run which ones are short."""
        numbers = sum(a.size for a in arrays)
        short = seconds <= _SHORT
        self._short = max(self._short, numbers) if short else min(self._short, numbers - 1)

    def is_short(self, arrays: Sequence[Array]) -> bool:
        """Whether such a run last was short."""
        return sum(a.size for a in arrays) <= self._short

    def pack(self, outputs: list[Array]) -> Any:
        """The outputs as the model gives them."""
        if self._out is not None:
            return tree.pack(self._out, outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def keep_names(self, old: _Served) -> None:
        """The only input and output are called as before: names of layers are often numbered."""
        for ports, before in ((self.inputs, old.inputs), (self.outputs, old.outputs)):
            if len(ports) == len(before) == 1:
                ports[0] = replace(ports[0], name=before[0].name)

    def arrays(self, x: Any) -> list[Array]:
        """What was given, as one array per input in the core's order, checked."""
        names = [p.name for p in self.inputs]
        if isinstance(x, dict):
            missing = [n for n in names if n not in x]
            extra = sorted(set(x) - set(names))
            if missing or extra:
                wrong = (
                    f"lacks {missing[0]!r}" if missing else f"has {extra[0]!r}, which is unknown"
                )
                near = nearest(missing[0] if missing else extra[0], x if missing else names, 1)
                hint = f"did you mean {near[0]!r}?" if near else "wanted " + ", ".join(names)
                raise DataError(f"x {wrong}\n  hint: {hint}")
            parts = [x[n] for n in names]
        elif len(names) == 1:
            parts = [x]
        else:
            parts = list(x) if isinstance(x, list | tuple) else [x]
            if len(parts) != len(names):
                raise DataError(
                    f"x has {len(parts)} arrays, the model takes {len(names)} "
                    f"({', '.join(names)})\n  hint: give a list or a dict of them"
                )
        where = ["x"] if len(names) == 1 else [f"x[{n!r}]" for n in names]
        arrays = [
            _checked(v if text is None else read_value(text, v, label), p, label)
            for v, text, p, label in zip(parts, self._readers, self._taken, where, strict=True)
        ]
        if len({a.shape[0] for a in arrays}) > 1:
            counts = ", ".join(f"{n} has {a.shape[0]}" for n, a in zip(names, arrays, strict=True))
            raise DataError(f"{counts} rows\n  hint: all inputs need the same number of rows")
        for a, label in zip(arrays, where, strict=True) if self._needs_positions else ():
            if 0 in a.shape[1:]:
                raise ShapeError(
                    f"{label} has shape {a.shape}, sequences of no steps, and layer "
                    f"{self._needs_positions!r} needs some\n"
                    "  hint: at least one step; pad empty sequences and mask them"
                )
        return arrays

    def warm(self) -> None:
        """Compiles for one row, and finds what the outputs are."""
        is_open = any(None in p.shape[1:] for p in self._taken)
        found: list[Array] | None = None
        for size in _TRIED if is_open else (1,):
            zeros = self._zeros(size)
            try:
                found = self.run(zeros, 1)
                start = time.thread_time()
                self.run(zeros, 1)
                self.note(zeros, time.thread_time() - start)
                break
            except ShapeError:  # a window may be larger than this size
                continue
        if found is None:
            return
        names = self._out_names
        if len(names) != len(found) or len(set(names)) < len(names):
            names = [f"output {i}" for i in range(len(found))] if len(found) > 1 else ["output"]
        if self._out is not None and len(tree.flatten(self._out)) != len(found):
            self._out = None
        other: Any = self._shapes_for(size + _APART) if is_open else [a.shape for a in found]
        other = other or [(None,) * a.ndim for a in found]
        self.outputs = [
            Port(n, (None, *(d if d == e else None for d, e in both)), a.dtype.name)
            for n, a, shape in zip(names, found, other, strict=True)
            for both in [list(zip(a.shape[1:], shape[1:], strict=True))]
        ]

    def _zeros(self, size: int) -> list[Array]:
        """A row of zeros, with `size` in place of open sizes."""
        return [
            np.zeros([1, *(size if d is None else d for d in p.shape[1:])], p.dtype)
            for p in self._taken
        ]

    def _shapes_for(self, size: int) -> list[tuple[int, ...]]:
        """The shapes of outputs where open sizes are `size`; [] if that is none for the model."""
        try:
            return [a.shape for a in self.run(self._zeros(size), 1)]
        except ShapeError:
            return []


def _checked(value: Any, port: Port, name: str) -> Array:
    """An array of the type and shape of an input."""
    if port.dtype == "float32":
        value = as_arrays(value, name)
        if not isinstance(value, np.ndarray):
            kind = "None" if value is None else f"a {type(value).__name__} of arrays"
            raise DataError(
                f"{name} is {kind}, the model takes one input, {port.name!r}\n"
                "  hint: give one array (n, …)"
            )
        array = value if value.dtype == _F32 else value.astype(np.float32)
    else:
        if port.dtype == "int32" and isinstance(value, np.ndarray | list | tuple):
            value = as_whole_numbers(numbers_of(value, name))
        array = leaf(value, name)
        if np.dtype(port.dtype).kind in "iu":
            _check_whole(array, port, name)
        array = array.astype(port.dtype)
    wanted = port.shape
    fits = array.ndim == len(wanted) and all(
        d is None or d == n for d, n in zip(wanted, array.shape, strict=True)
    )
    if not fits:
        row = array.ndim + 1 == len(wanted) and all(
            d is None or d == n for d, n in zip(wanted[1:], array.shape, strict=True)
        )
        hint = f"{name}[None] makes it one row" if row else "check the columns of the data"
        raise ShapeError(
            f"{name} has shape {array.shape}, input {port.name!r} takes {wanted} with None for any "
            f"size\n  hint: {hint}"
        )
    return np.ascontiguousarray(array)


def _check_whole(array: Array, port: Port, name: str) -> None:
    """DataError for numbers that the type of an input does not hold."""
    at = place_of_odd(array, port.dtype)
    if at is not None:
        limits = np.iinfo(port.dtype)
        raise DataError(
            f"{name} holds {array[at]} at position {at}, input {port.name!r} takes whole numbers "
            f"from {limits.min} to {limits.max} ({port.dtype})\n  hint: "
            + ("give class or word numbers" if limits.bits == 32 else "numbers of that range")
        )


def _load(source: Any, objects: dict[str, Any] | None) -> _Served:
    if not isinstance(source, Model):
        if not source.endswith((".keras", ".h5", ".hdf5")):
            refuse_onnx(source)
            with format_errors(source):
                file = _core.Model.load(source)
            config = file.metadata.get("fastnn.config")
            older = any(node.get("class_name") in HOST_LAYERS for node in _nodes_of(config))
            if "fastnn.before" not in file.metadata and not older:
                named = _needy_of(config)
                return _Served(file, True, *_of_config(config), _tables_of(config), (), named)
        source = load_model(source, custom_objects=objects, compile=False)
    found = source._input_shapes()
    if found is None:
        raise ValueError(
            f"model {source.name!r} has no fixed input shape\n"
            "  hint: begin it with Input(shape), or call it on data first"
        )
    function, out = inference(source)
    names = list(getattr(source, "output_names", ()))
    nested = out if isinstance(out, dict | list | tuple) else None
    tables = [(x.name, getattr(x, "input_dim", -1)) for x in source._every_layer()]
    named = next(
        (x.name for x in source._every_layer() if type(x).__name__ in _NEED_POSITIONS), None
    )
    return _Served(function, False, list(found[0]), names, nested, tables, _readers(source), named)


def _readers(model: Any) -> list[tuple[TextInput, Port] | None]:
    """Per input of a model how it is read before the graph, and what it takes; [] if none is."""
    texts = text_inputs(model)
    if not texts:
        return []
    labels = [None] if None in texts else list(model.input_names)
    return [
        (texts[n], Port(x.name, tuple(x.shape), str(x.dtype))) if n in texts else None
        for n, x in zip(labels, model.inputs, strict=True)
    ]


def _nodes_of(text: str | None) -> Iterator[dict[str, Any]]:
    """All objects of a config, wherever they stand in it."""
    try:
        left = [json.loads(text or "null")]
    except (ValueError, RecursionError):
        return
    while left:
        node = left.pop()
        left += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        if isinstance(node, dict):
            yield node


def _needy_of(text: str | None) -> str | None:
    """The name of a layer of a config that has no answer for sequences of no steps."""
    for node in _nodes_of(text):
        inner = node.get("config")
        if node.get("class_name") in _NEED_POSITIONS and isinstance(inner, dict):
            return str(inner.get("name", node["class_name"]))
    return None


def _tables_of(text: str | None) -> list[tuple[str, int]]:
    """Names and sizes of the tables that ids are looked up in, wherever the config has them."""
    return [
        (str(node.get("name")), size)
        for node in _nodes_of(text)
        if isinstance(size := node.get("input_dim"), int)
    ]


def _of_config(text: str | None) -> tuple[list[str], list[str], Any]:
    """Names of inputs and outputs, and the structure of outputs, as the layers' config has them.

    The graph of a file has no names; where the config does not tell, numbers serve.
    """
    try:
        whole = json.loads(text or "null")
        config, kind = whole["config"], whole["class_name"]
        layers = config["layers"]
        if kind == "Sequential":
            first = layers[0]["config"]["name"] if layers[0]["class_name"] == "InputLayer" else "x"
            return [first], [layers[-1]["config"]["name"]], None

        def decoded(node: Any) -> Any:
            if isinstance(node, list):
                return [decoded(n) for n in node]
            if "__tuple__" in node:
                return tuple(decoded(n) for n in node["__tuple__"])
            if "__dict__" in node:
                return {k: decoded(n) for k, n in node["__dict__"].items()}
            return layers[config["calls"][node["__tensor__"][0]]["operation"]]["config"]["name"]

        ends = [decoded(config["inputs"]), decoded(config["outputs"])]
        names = [
            sorted(e) if isinstance(e, dict) and all(isinstance(v, str) for v in e.values())
            else tree.flatten(e)
            for e in ends
        ]  # fmt: skip
        return names[0], names[1], None if isinstance(ends[1], str) else ends[1]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return [], [], None
