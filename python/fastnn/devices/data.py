"""A data set on a GPU: its arrays uploaded once, and the rows of a batch gathered there.

What does not fit is gathered by the CPU and uploaded batch by batch.
Depends on `cells`, `functions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.devices.cells import words_of
from fastnn.devices.functions import OnDevice, has_rows
from fastnn.devices.gpu import Gpu
from fastnn.devices.resident import Runnable

__all__ = ["Data"]

#: Bytes of data that are kept on a device; how much memory it has cannot be asked.
RESIDENT = 1 << 30
_THREADS = 256

_GATHER = """
@group(0) @binding(0) var<storage, read> rows: array<u32>;
@group(0) @binding(1) var<storage, read> order: array<u32>;
@group(0) @binding(2) var<storage, read> cursor: array<u32>;
@group(0) @binding(3) var<storage, read_write> batch: array<u32>;
@compute @workgroup_size({threads})
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) thread: u32) {{
    let i = (group.y * groups.x + group.x) * {threads}u + thread;
    if (i >= {count}u) {{ return; }}
    batch[i] = rows[order[cursor[0] + i / {width}u] * {width}u + i % {width}u];
}}
"""
#: One word says where in the order the next batch begins, so that steps need no upload.
_ADVANCE = """
@group(0) @binding(0) var<storage, read_write> cursor: array<u32>;
@compute @workgroup_size(1) fn main() {{ cursor[0] = cursor[0] + {count}u; }}
"""


class Data:
    """The arrays of a run, one per input of its step."""

    step: OnDevice
    gpu: Gpu
    batched: list[bool]
    rows: Any
    is_resident: bool | Any

    def __init__(self, step: OnDevice, arrays: Sequence[np.ndarray[Any, Any]]) -> None:
        self.step, self.gpu = step, step.gpu
        self.arrays = list(arrays)
        self.batched = [has_rows(shape) for _, shape, _ in step.inputs]
        self.rows = next(
            (a.shape[0] for a, b in zip(arrays, self.batched, strict=True) if b), 1
        )  # fmt: skip
        sizes = [4 * a.size for a, b in zip(arrays, self.batched, strict=True) if b]
        room = self.gpu.limits["binding_bytes"]
        #: Whether all rows lie on the device.
        self.is_resident = sum(sizes) <= RESIDENT and max([*sizes, 4 * self.rows]) <= room
        self._columns: dict[int, Any] = {}
        self._order: Any = None
        self._plain: np.ndarray[Any, Any] | None = None
        #: What gathers for a program, which is held so that no other gets its number.
        self._gathers: dict[int, tuple[Any, list[tuple[Any, Any, int, int, int]]]] = {}
        self._at = 0
        self._held = 0
        if self.is_resident:
            self._order = self._made(4 * self.rows, "the order of an epoch")
            self._cursor = self._made(4, "the place in an epoch")
            for at, a in enumerate(self.arrays):
                if self.batched[at] and a.size:
                    self._columns[at] = self._made(4 * a.size, f"the data of input {at}")
                    self.gpu.write(self._columns[at], words_of(a, step.inputs[at][2]))

    def _made(self, size: int, what: str) -> Any:
        made = self.gpu.buffer(size, what)
        self._held += size
        return made

    def __del__(self) -> None:
        held = getattr(self, "_held", 0)
        if held:
            self.gpu.release(held)

    def begin(self, order: np.ndarray[Any, Any] | None) -> None:
        """Begins an epoch whose rows come in this order."""
        self._at = 0
        if not self.is_resident:
            self._plain = order
            return
        if order is None:
            order = np.arange(self.rows, dtype=np.uint32)
        self.gpu.write(self._order, words_of(order, "int32"))
        self.gpu.write(self._cursor, np.zeros(1, np.uint32))

    def shapes(self, n: int) -> list[tuple[int, ...]]:
        """The shapes of the inputs for a batch of `n` rows."""
        return [
            (n, *a.shape[1:]) if b else a.shape
            for a, b in zip(self.arrays, self.batched, strict=True)
        ]

    def fixed(self, found: Runnable) -> None:
        """Uploads the inputs that have no rows."""
        for at, a in enumerate(self.arrays):
            if not self.batched[at]:
                self.step.put(found, at, a)

    def upload(self, found: Runnable, n: int) -> None:
        """Where data are not resident: uploads the next `n` rows, for one step."""
        if self.is_resident:
            return
        place: Any = slice(self._at, self._at + n)
        place = place if self._plain is None else self._plain[place]
        for at, a in enumerate(self.arrays):
            if self.batched[at]:
                self.step.put(found, at, a[place])
        self._at += n

    def gather(self, compute: Any, found: Runnable, n: int) -> None:
        """Where data are resident: records what brings the next `n` rows to the inputs."""
        if not self.is_resident:
            return
        executable = found.executable
        if id(executable) not in self._gathers:
            self._gathers[id(executable)] = (executable, self._recorded(found, n))
        _, steps = self._gathers[id(executable)]
        for pipeline, group, x, y, z in steps:
            compute.set_pipeline(pipeline)
            compute.set_bind_group(0, group)
            compute.dispatch_workgroups(x, y, z)

    def _recorded(self, found: Runnable, n: int) -> list[tuple[Any, Any, int, int, int]]:
        gpu, steps = self.gpu, []
        uses = ("read", "read", "read", "read_write")
        for at, column in self._columns.items():
            target = found.executable.inputs.get(at)
            if target is None:
                continue
            width = self.arrays[at].size // self.rows
            text = _GATHER.format(threads=_THREADS, count=n * width, width=width)
            bound = [
                (column, 0, 4 * self.arrays[at].size), (self._order, 0, 4 * self.rows),
                (self._cursor, 0, 4), (target, 0, 4 * n * width),
            ]  # fmt: skip
            kernel = gpu.kernel("a gather of rows", text, uses)
            steps.append((kernel, gpu.group(uses, bound), *_grid(gpu, n * width)))
        text = _ADVANCE.format(count=n)
        kernel = gpu.kernel("the place in an epoch", text, ("read_write",))
        group = gpu.group(("read_write",), [(self._cursor, 0, 4)])
        return [*steps, (kernel, group, 1, 1, 1)]


def _grid(gpu: Gpu, count: int) -> tuple[int, int, int]:
    """A grid of enough workgroups, in two axes where one has too few."""
    groups = -(-count // _THREADS)
    rows = -(-groups // gpu.limits["grid"])
    return -(-groups // rows), rows, 1
