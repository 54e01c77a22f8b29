"""A traced function on a GPU: a program for each tuple of sizes, over resident variables.

Depends on `executor`, `memory`, `prediction`, `resident`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.devices.cells import array_of, words_of
from fastnn.devices.executor import Executable
from fastnn.devices.gpu import opened
from fastnn.devices.hardware import ON_CPU
from fastnn.devices.memory import between_steps, needs, planned
from fastnn.devices.prediction import BATCHES, Prediction
from fastnn.devices.resident import Cell, Constant, Part, Ran, Runnable, residence
from fastnn.errors import (
    DeviceError,
    FastnnError,
    GpuOutOfMemoryError,
    InternalError,
    hint_of,
    told,
)

__all__ = ["OnDevice", "has_rows", "row_program"]

#: Kinds of NumPy's types that are taken as they are, by the type of an input.
_KINDS = {
    "float32": "f", "bfloat16": "f", "float16": "f", "int32": "iu", "int8": "iu", "uint8": "iu",
    "bool": "b",
}  # fmt: skip
#: Programs of other sizes that a function keeps.
KEPT = 8
#: Seconds after which all that a function changes is copied to the CPU again, so that a device
#: that is lost takes no more along.
HOME = 60.0


class OnDevice:
    """A function of the core that runs on a GPU."""

    def __init__(self, function: _core.Function, device: str) -> None:
        """Opens the device and makes room for the variables.

        Args:
            function: The function.
            device: A GPU's name.
        """
        self.function, self.gpu = function, opened(device)
        self.residence = residence(self.gpu)
        self.inputs: list[Any] = list(function.inputs)
        #: The type of activations between steps where that is one of two bytes.
        self.between = between_steps()
        self.cells: list[Cell] = []
        self.cells = self.residence.join(self, function.variables)
        #: What has run since bad data were last looked for.
        self._ran: Ran = {}
        self._constants = [Constant(self.gpu, t) for t in function.captured]
        self._states = [c.buffer for c in self.cells] + [c.buffer for c in self._constants]
        self._kept: dict[Any, Runnable] = {}
        #: When all was last on the CPU.
        self._was_home = time.monotonic()

    @property
    def batches_at_once(self) -> int:
        """Batches that are best given to `predict` together, so that none is waited for alone."""
        return BATCHES if all(has_rows(shape) for _, shape, _ in self.inputs) else 1

    def let_go(self) -> bool:
        """Forgets the programs that nobody runs; whether there were any."""
        held = bool(self._kept)
        self._kept.clear()
        return held

    @property
    def is_usable(self) -> bool:
        """Whether its GPU is there still, and the policy is the same."""
        return not self.gpu.is_lost and self.between == between_steps()

    def program(self, shapes: Sequence[Sequence[int]]) -> dict[str, Any]:
        """The program for inputs of these shapes, as plain data.

        Raises:
            DeviceError: The function has a row without a kernel for devices.
        """
        try:
            return planned(self.function, shapes, self.gpu.limits, self.between)
        except (DeviceError, InternalError) as error:
            raise error
        except FastnnError as error:
            hint = hint_of(error) or ON_CPU
            raise DeviceError(f"{told(error)}, on {self.gpu.name}\n  hint: {hint}") from error

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
            if self.residence.make_room():
                return self._executable(program)
            raise GpuOutOfMemoryError(
                f"{told(error)}; the program needs {needs(program)}\n  hint: {hint_of(error)}"
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
        """Sends to the device what has been assigned on the CPU."""
        self.residence.bring(self.cells)

    def submit(
        self,
        found: Runnable,
        encode: Callable[[Any], None] | None = None,
        copies: Sequence[tuple[Any, Any, int]] = (),
    ) -> None:
        """Submits one run of a program after `copies`, or what `encode` records of it."""
        with self.gpu.lock:
            self.note(found, bool(copies))
            self.gpu.copy(copies)
            if encode is None:
                found.executable.run()
            else:
                self.gpu.submit(encode)

    def note(self, found: Runnable, is_guarded: bool = False) -> None:
        """Told before a program runs."""
        if found.may_fault:
            self._ran[id(found)] = found
            found.is_guarded = is_guarded
        self.residence.note(found)

    def guard(self, found: Runnable) -> list[tuple[Any, Any, int]]:
        """The copies for `submit` with which bad data leave variables as they were before the run.

        Raises:
            DataError: A run before this one met bad data.
        """
        if not found.may_fault:
            return []
        earlier = {**self._ran, **{k: r for c in found.updated for k, r in c.writers.items()}}
        self._ran = {}
        if earlier:
            self.residence.home((), earlier)
        return self.residence.guard(found)

    def home(
        self, further: Sequence[Part] = (), only: Sequence[Cell] | None = None
    ) -> list[np.ndarray[Any, Any]]:
        """Copies variables to the CPU, all or some, and the words of parts of buffers.

        Raises:
            DataError: What ran met bad data.
        """
        words = self.residence.home(self.cells if only is None else only, self._ran, further)
        if only is None:
            self.residence.whole(self.cells)
            self._was_home = time.monotonic()
        return words

    def __call__(self, *arrays: Any) -> Any:
        """Runs once; gives a tensor, or a tuple of them, as the function does.

        What it changes is copied to the CPU when it is read. A run without results may be under
        way still when this returns; what it met of bad data is told by the next run, or reading.
        """
        words, rows = self._once(self.checked(arrays))
        results = [
            _core.tensor(_array(w, row), dtype=row["dtype"])
            for w, row in zip(words, rows, strict=True)
        ]
        return results[0] if len(results) == 1 else tuple(results)

    def _once(
        self, given: Sequence[np.ndarray[Any, Any]]
    ) -> tuple[list[np.ndarray[Any, Any]], list[Any]]:
        """The words of each output for these inputs, and what the program says of it."""
        found = self.runnable([a.shape for a in given])
        with self.gpu.lock:  # another thread would fill the same inputs
            self.bring()
            words = self._run(found, given)
            if time.monotonic() - self._was_home > HOME:
                self.home()
        return words, found.outputs

    def repeat(self, count: int, until: Any = None) -> int:
        """Runs up to `count` times, as `Function.repeat` does; gives the number of runs."""
        found = self.runnable([])
        flag = None if until is None else self.residence.cell(until).buffer
        done = 0
        with self.gpu.lock:
            self.bring()
            while done < count:
                self.submit(found)
                done += 1
                if flag is not None and self.home([(flag, 0, 4)], ())[0][0]:
                    break
        return done

    def put(self, found: Runnable, at: int, array: np.ndarray[Any, Any]) -> None:
        """Uploads one input; none where the program does not read it."""
        buffer = found.executable.inputs.get(at)
        if buffer is not None and array.size:
            self.gpu.write(buffer, words_of(array, self.inputs[at][2]))

    def _run(self, found: Runnable, arrays: Sequence[Any]) -> list[np.ndarray[Any, Any]]:
        """The words of each output for these inputs."""
        for at, a in enumerate(arrays):  # while the run before this one is under way
            self.put(found, at, a)
        copies = self.guard(found)
        made = [(found.executable.outputs[b["number"]][0], 0, b["bytes"]) for b in found.outputs]
        if not made:
            self.gpu.wait()
        self.submit(found, copies=copies)
        if found.may_fault and found.updated and not found.is_guarded:
            return self.home(made)
        return self.home(made, ()) if made else []

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
        if rows > batch_size:
            return Prediction(self, given, batched, empty, batch_size).run(rows)
        return list(map(_array, *self._once(given)))


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


def _array(words: np.ndarray[Any, Any], row: dict[str, Any]) -> np.ndarray[Any, Any]:
    """An output, as the program describes it."""
    return array_of(words, row["dtype"], tuple(row["shape"]))


def has_rows(shape: Sequence[Any]) -> bool:
    """Whether an input of this shape has a batch as its first axis."""
    return bool(shape) and not isinstance(shape[0], int)
