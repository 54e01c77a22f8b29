"""A traced function on a GPU: a program for each tuple of sizes, over resident variables.

Depends on `executor`, `resident`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.devices.cells import array_of, words_of
from fastnn.devices.executor import Executable
from fastnn.devices.gpu import opened, size_text
from fastnn.devices.resident import Cell, Constant, Part, residence
from fastnn.errors import (
    DeviceError,
    FastnnError,
    GpuOutOfMemoryError,
    InternalError,
    hint_of,
    told,
)

__all__ = ["OnDevice", "Runnable", "has_rows", "row_program"]

#: Kinds of NumPy's types that are taken as they are, by the type of an input.
_KINDS = {
    "float32": "f", "bfloat16": "f", "float16": "f", "int32": "iu", "int8": "iu", "uint8": "iu",
    "bool": "b",
}  # fmt: skip
#: Programs of other sizes that a function keeps.
KEPT = 8


class Runnable:
    """A program with its memory, and which variables a run changes."""

    __slots__ = ("executable", "outputs", "updated")

    def __init__(self, executable: Executable, updated: list[Cell], outputs: list[Any]) -> None:
        self.executable, self.updated, self.outputs = executable, updated, outputs


class OnDevice:
    """A function of the core that runs on a GPU."""

    def __init__(self, function: _core.Function, device: str, stays: Iterable[Any] = ()) -> None:
        """Opens the device and makes room for the variables.

        Args:
            function: The function.
            device: A GPU's name.
            stays: Variables that are not brought home after a call: nobody else reads them.
        """
        self.function, self.gpu = function, opened(device)
        self.residence = residence(self.gpu)
        self.inputs: list[Any] = list(function.inputs)
        self.cells = [self.residence.cell(v) for v in function.variables]
        apart = {v.key for v in stays}
        #: What comes home after a call.
        self._comes = [c for c in self.cells if c.variable.key not in apart]
        #: What has run since bad data were last looked for.
        self._ran: dict[int, Executable] = {}
        self._constants = [Constant(self.gpu, t) for t in function.captured]
        self._states = [c.buffer for c in self.cells] + [c.buffer for c in self._constants]
        self._kept: dict[Any, Runnable] = {}

    @property
    def is_usable(self) -> bool:
        """Whether its GPU is there still."""
        return not self.gpu.is_lost

    def program(self, shapes: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The program for inputs of these shapes, as plain data.

        Raises:
            DeviceError: The function has a row without a kernel for devices.
        """
        try:
            text = _core.gpu_program(self.function, [list(s) for s in shapes], self.gpu.limits)
        except (DeviceError, InternalError) as error:
            raise error
        except FastnnError as error:
            hint = hint_of(error) or "device='cpu' runs it"
            raise DeviceError(f"{told(error)}, on {self.gpu.name}\n  hint: {hint}") from error
        made: dict[str, Any] = json.loads(text)
        return made

    def runnable(self, shapes: Sequence[Sequence[int]]) -> Runnable:
        """The program for inputs of these shapes, ready to run."""
        key = tuple(map(tuple, shapes))
        found = self._kept.pop(key, None)
        if found is None:
            data = self.program(shapes)
            executable = self._executable(data)
            updated = [self.cells[n] for n in sorted(_updated(data)) if n < len(self.cells)]
            outputs = sorted(
                (b for b in data["buffers"] if b["role"] == "output"), key=lambda b: b["number"]
            )
            found = Runnable(executable, updated, outputs)
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
        self._kept[key] = found
        return found

    def _executable(self, program: dict[str, Any]) -> Executable:
        """A program with its memory, for which those of other sizes may have to go."""
        try:
            return Executable(self.gpu, program, self._states)
        except GpuOutOfMemoryError as error:
            if self._kept:
                self._kept.clear()
                return self._executable(program)
            roles = (
                ("slot", "values between steps"), ("state", "weights, optimiser, metrics"),
                ("input", "the batch"), ("scratch", "workspace"), ("output", "results"),
            )  # fmt: skip
            needs = [
                f"{size_text(program['memory'][role])} for {what}"
                for role, what in roles
                if program.get("memory", {}).get(role)
            ]
            raise GpuOutOfMemoryError(
                f"{told(error)}; the program needs {', '.join(needs)}\n  hint: {hint_of(error)}"
            ) from error

    def checked(self, arrays: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        """The arrays, whose shapes and types are those of the inputs."""
        given = [np.asarray(a) for a in arrays]
        self.function.check([list(a.shape) for a in given])
        for at, (a, (_, _, dtype)) in enumerate(zip(given, self.inputs, strict=True)):
            if a.dtype.kind not in _KINDS[dtype]:
                given[at] = _core.tensor(a, dtype=dtype).numpy()
        return given

    def bring(self) -> None:
        """Sends to the device what has been assigned at home."""
        self.residence.bring(self.cells)

    def submit(self, found: Runnable, encode: Callable[[Any], None] | None = None) -> None:
        """Submits one run of a program, or what `encode` records of it."""
        with self.gpu.lock:
            # Noted before, so that an interruption in between leaves no change unnoticed.
            self._ran[id(found.executable)] = found.executable
            for cell in found.updated:
                cell.is_newer = True
            if encode is None:
                found.executable.run()
            else:
                self.gpu.submit(encode)

    def home(self, further: Sequence[Part] = (), only: Sequence[Cell] | None = None) -> list[Any]:
        """Brings variables home, all or some, and the words of parts of buffers.

        Raises:
            DataError: What ran met bad data: the variables are those of the last coming home.
        """
        cells = self._comes if only is None else only
        try:
            return self.residence.home(cells, self._ran, further, self.cells)
        except KeyboardInterrupt:
            # The device must not go on from later values than those that Python reads now.
            self.residence.home(cells, self._ran, (), self.cells)
            raise

    def __call__(self, *arrays: Any) -> Any:
        """Runs once; gives an array, or a tuple of them, and leaves variables at home."""
        given = self.checked(arrays)
        found = self.runnable([a.shape for a in given])
        with self.gpu.lock:  # another thread would fill the same inputs
            self.bring()
            outs = self._run(found, given)
        results = [
            array_of(w, row["dtype"], tuple(row["shape"]))
            for w, row in zip(outs, found.outputs, strict=True)
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def repeat(self, count: int, until: Any = None) -> int:
        """Runs up to `count` times, as `Function.repeat` does; gives the number of runs."""
        found = self.runnable([])
        self.bring()
        flag = None if until is None else self.residence.cell(until).buffer
        done = 0
        try:
            while done < count:
                self.submit(found)
                done += 1
                if flag is not None and self.home([(flag, 0, 4)], ())[0][0]:
                    break
        finally:
            self.home()
        return done

    def put(self, found: Runnable, at: int, array: np.ndarray[Any, Any]) -> None:
        """Uploads one input; none where the program does not read it."""
        buffer = found.executable.inputs.get(at)
        if buffer is not None and array.size:
            self.gpu.write(buffer, words_of(array, self.inputs[at][2]))

    def _run(
        self, found: Runnable, arrays: Sequence[Any], only: Sequence[Cell] | None = None
    ) -> list[Any]:
        """The words of each output for these inputs; variables come home as `home` says."""
        for at, a in enumerate(arrays):
            self.put(found, at, a)
        self.submit(found)
        made = found.executable.outputs
        return self.home([(made[b["number"]][0], 0, b["bytes"]) for b in found.outputs], only)

    def predict(self, arrays: Sequence[Any], batch_size: int = 32) -> list[np.ndarray[Any, Any]]:
        """Runs over all rows, `batch_size` at a time; one writable array per output."""
        given = self.checked(arrays)
        batched = [has_rows(shape) for _, shape, _ in self.inputs]
        # Of no rows the core gives arrays at once, or says what is wrong.
        none = [a[:0] if b else a for a, b in zip(given, batched, strict=True)]
        empty = self.function.predict(none, batch_size)
        rows = next(a.shape[0] for a, b in zip(given, batched, strict=True) if b)
        if not rows:
            return empty
        self.bring()
        parts: list[list[np.ndarray[Any, Any]]] = []
        for start in range(0, rows, batch_size):
            chunk = [
                a[start : start + batch_size] if b else a
                for a, b in zip(given, batched, strict=True)
            ]
            found = self.runnable([a.shape for a in chunk])
            with self.gpu.lock:
                outs = self._run(found, chunk, ())
            n = chunk[batched.index(True)].shape[0]
            parts.append(
                [
                    array_of(w, row["dtype"], (n, *e.shape[1:]))
                    for w, row, e in zip(outs, found.outputs, empty, strict=True)
                ]
            )
        self.home()
        if len(parts) == 1:
            return [np.array(a) for a in parts[0]]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]


def row_program(
    name: str, inputs: Sequence[tuple[Sequence[int], str]], attrs: Any, limits: dict[str, int]
) -> dict[str, Any]:
    """The program of one row of the op table, as plain data.

    Args:
        name: The row.
        inputs: Shape and type of each input.
        attrs: Attributes by name.
        limits: Of the adapter, as `Gpu.limits` has them.

    Returns:
        The program; inputs and outputs are numbered as the row's.

    Raises:
        DeviceError: The row has no kernel for devices.
    """
    shapes = [(list(shape), dtype) for shape, dtype in inputs]
    made: dict[str, Any] = json.loads(_core.gpu_row_program(name, shapes, attrs, limits))
    return made


def _updated(program: dict[str, Any]) -> set[int]:
    """The numbers of the states that a run changes."""
    buffers, kernels = program["buffers"], program["kernels"]
    written = {target for _, target, _ in program["copies"]}
    for group in program["groups"]:
        uses = kernels[group["kernel"]]["bindings"]
        for (buffer, _, _), use in zip(group["bindings"], uses, strict=True):
            if use == "read_write":
                written.add(buffer)
    return {buffers[b]["number"] for b in written if buffers[b]["role"] == "state"}


def has_rows(shape: Sequence[Any]) -> bool:
    """Whether an input of this shape has a batch as its first axis."""
    return bool(shape) and not isinstance(shape[0], int)
