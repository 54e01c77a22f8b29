"""A program of the planner on a GPU: buffers, kernels and groups made once, then steps encoded.

A program is plain data, as `_core.gpu_program` gives it in JSON:

* `kernels`: `name`, `wgsl`, `bindings` (how each is used: `read` or `read_write`);
* `buffers`: `bytes`, `dtype` and `role`: `input`, `state` (variables and captured arrays, by
  `number`), `output`, `constant` (with `init`), `slot`, `scratch`, `fault`;
* `groups`: `kernel` and `bindings`, each of a buffer, an offset and bytes;
* `steps`: kernel, group and the three sizes of the grid, in order;
* `copies`: from, to and bytes, after the last step;
* `faults`: two words each that tell of bad data, and the message.

Depends on `gpu` and `recording`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.devices.gpu import Gpu
from fastnn.devices.hardware import ON_CPU
from fastnn.devices.recording import handle_of, recorded
from fastnn.errors import DataError, DeviceError, InternalError

__all__ = ["VERSION", "Executable"]

#: The version of programs that is understood.
VERSION = 1

#: The element of each binding of a text, whole or four at a time.
_DECLARED = re.compile(r"@binding\((\d+)\)\s*var<[^>]*>\s*\w+\s*:\s*array<(?:vec[234]<)?(\w+)")

#: Roles of buffers that belong to one executable; states are shared by all that use a variable.
_OWN = {"input", "output", "slot", "scratch", "constant", "fault"}


class Executable:
    """A program with its memory, ready to be encoded."""

    buffers: list[tuple[Any, Any]]
    copies: list[tuple[Any, Any, Any]]
    memory: dict[Any, Any]

    def __init__(self, gpu: Gpu, program: dict[str, Any], states: Sequence[Any]) -> None:
        """Makes what the program needs.

        Args:
            gpu: Where it runs.
            program: The data of the program.
            states: The buffer of each state, by number.
        """
        if program.get("version") != VERSION:
            raise InternalError(
                f"a program of version {program.get('version')}, wanted {VERSION}\n"
                "  hint: fastnn's Python part and its core are of different releases"
            )
        self.gpu = gpu
        self.inputs: dict[int, Any] = {}
        self.outputs: dict[int, tuple[Any, int]] = {}
        self._size = 0
        kernels = program["kernels"]
        pipelines = [
            gpu.kernel(k["name"], k["wgsl"], _uses(k["bindings"])) for k in kernels
        ]  # fmt: skip
        buffers = [self._buffer(b, states) for b in program["buffers"]]
        #: All buffers with their roles.
        self.buffers = [(b["role"], x) for b, x in zip(program["buffers"], buffers, strict=True)]
        groups = []
        for group in program["groups"]:
            uses = _uses(kernels[group["kernel"]]["bindings"])
            bound = [(buffers[b], offset, size) for b, offset, size in group["bindings"]]
            _check_apart(kernels[group["kernel"]]["name"], uses, group["bindings"], buffers)
            _check_types(kernels[group["kernel"]], uses, group["bindings"], program["buffers"])
            groups.append(gpu.group(uses, bound))
        most = gpu.limits["grid"]
        #: What a step encodes: pipeline, group, grid.
        self.steps: list[tuple[Any, Any, int, int, int]] = []
        for kernel, group, x, y, z in program["steps"]:
            if not (0 < x <= most and 0 < y <= most and 0 < z <= most):
                raise InternalError(
                    f"the kernel {kernels[kernel]['name']} has a grid of {x} x {y} x {z}, wanted "
                    f"1 to {most}\n  hint: please report this"
                )
            self.steps.append((pipelines[kernel], groups[group], x, y, z))
        self._recording: _core.GpuRecording | None = None
        self._encoded = self._is_plain = False
        self.copies = [(buffers[a], buffers[b], size) for a, b, size in program["copies"]]
        self._faults = [
            (buffers[f["buffer"]], f["offset"], f["message"], f.get("shape", []))
            for f in program["faults"]
        ]
        self.memory = dict(program.get("memory", {}))

    def _buffer(self, row: dict[str, Any], states: Sequence[Any]) -> Any:
        role, number = row["role"], row.get("number") or 0
        if role == "state":
            return states[number]
        if role not in _OWN:
            raise InternalError(
                f"a buffer of the unknown role {role!r}\n  hint: please report this"
            )
        size = max(4, -(-row["bytes"] // 4) * 4)
        made = self.gpu.buffer(size, f"{row.get('name') or role} of a program")
        self._size += size
        if role == "input":
            self.inputs[number] = made
        elif role == "output":
            self.outputs[number] = (made, row["bytes"])
        init = row.get("init")
        if init is not None:
            self.gpu.write(made, np.array(init, np.uint32))
        return made

    def __del__(self) -> None:
        size = getattr(self, "_size", 0)
        if size:
            self.gpu.release(size)

    def encode(self, compute: Any) -> None:
        """Records one run into a compute pass, without the copies at its end.

        The first time through wgpu-py, where a mistake is an exception, from then on by the core.
        """
        if self._encoded and self._recording is None and not self._is_plain:
            self._recording = recorded(self.gpu.device, self.steps, self.copies)
            self._is_plain = self._recording is None
        if self._recording is not None:
            self._recording.encode(handle_of(compute))
            return
        self._encoded = True
        pipeline = group = None
        for kernel, bound, x, y, z in self.steps:
            if kernel is not pipeline:
                compute.set_pipeline(kernel)
                pipeline = kernel
            if bound is not group:
                compute.set_bind_group(0, bound)
                group = bound
            compute.dispatch_workgroups(x, y, z)

    def copy(self, encoder: Any) -> None:
        """Records the copies that end a run."""
        for source, target, size in self.copies:
            encoder.copy_buffer_to_buffer(source, 0, target, 0, size)

    def run(self) -> None:
        """Submits one run."""

        def encode(encoder: Any) -> None:
            compute = encoder.begin_compute_pass()
            self.encode(compute)
            compute.end()
            self.copy(encoder)

        self.gpu.submit(encode)

    def fault_parts(self) -> list[tuple[Any, int, int]]:
        """What to read to learn of bad data."""
        return [(buffer, offset, 8) for buffer, offset, *_ in self._faults]

    def tell_faults(self, words: Sequence[np.ndarray[Any, Any]]) -> None:
        """Raises DataError where the words tell of bad data, after clearing them."""
        told = None
        for (buffer, offset, message, shape), pair in zip(self._faults, words, strict=True):
            if pair[0]:
                self.gpu.write(buffer, np.zeros(2, np.uint32), offset)
                position = 0xFFFF_FFFF - int(pair[0])
                value = int(pair[1].astype(np.int32)) if pair.size > 1 else 0
                place = [int(n) for n in np.unravel_index(position, shape)] if shape else []
                for name, part in (("value", value), ("position", position), ("place", place)):
                    message = message.replace(f"{{{name}}}", str(part))
                told = told or message
        if told is not None:
            raise DataError(told)


def _uses(bindings: Sequence[Any]) -> tuple[str, ...]:
    return tuple(str(use).lower() for use in bindings)


def _check_types(
    kernel: dict[str, Any],
    uses: tuple[str, ...],
    bindings: Sequence[Any],
    rows: Sequence[dict[str, Any]],
) -> None:
    """DeviceError where a kernel would take whole numbers for floats, or floats for whole numbers:
    their bits are others. Slots hold values of several types, and outputs those on the way.
    """
    declared = dict(_DECLARED.findall(kernel["wgsl"]))
    for at, (buffer, _, _) in enumerate(bindings):
        row, read = rows[buffer], declared.get(str(at))
        if row["role"] not in ("input", "state", "constant") or uses[at] != "read" or not read:
            continue
        held = "f32" if "float" in row["dtype"] else "i32" if "int" in row["dtype"] else "u32"
        if read != held and "f32" in (read, held) and read in ("f32", "i32"):
            raise DeviceError(
                f"{kernel['name']} reads {row['name']!r}, which is of {row['dtype']}, as {read}: "
                f"devices have no kernel for that\n  hint: {ON_CPU}"
            )


def _check_apart(
    name: str, uses: tuple[str, ...], bindings: Sequence[Any], buffers: Sequence[Any]
) -> None:
    """A buffer that a dispatch writes may be bound by it once, or in windows that it writes all and
    that do not meet: else its driver may do anything.
    """
    for at, (use, (buffer, begin, size)) in enumerate(zip(uses, bindings, strict=True)):
        if use != "read_write":
            continue
        for k, (other, first, count) in enumerate(bindings):
            is_apart = uses[k] == use and (begin + size <= first or first + count <= begin)
            if k != at and buffers[other] is buffers[buffer] and not is_apart:
                raise InternalError(
                    f"the kernel {name} binds a buffer that it writes twice\n"
                    "  hint: please report this"
                )
