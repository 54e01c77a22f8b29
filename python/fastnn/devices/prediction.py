"""Predictions of many batches on a GPU: what is uploaded, submitted and read back together.

Depends on `cells`, `resident`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn.devices.cells import array_of, words_of
from fastnn.devices.resident import Runnable

__all__ = ["BATCHES", "Prediction"]

Array = np.ndarray[Any, Any]

#: Bytes of inputs and outputs that are uploaded and read back at a time.
CHUNK = 32 << 20
#: Batches that are submitted at a time: Ctrl-C waits for them.
BATCHES = 64


class Prediction:
    """One call of `OnDevice.predict`: chunks of whole batches.

    While one runs the rows of the next are uploaded; its outputs are read back in one go.
    """

    on: Any
    gpu: Any
    batch: int
    arrays: Sequence[Array]
    batched: Sequence[bool]
    empty: Sequence[Array]
    reads: list[int]
    makes: list[int]
    rows: int

    def __init__(
        self, on: Any, arrays: Sequence[Array], batched: Sequence[bool], empty: Sequence[Array],
        batch: int,
    ) -> None:  # fmt: skip
        """Plans the chunks.

        Args:
            on: The function on its device.
            arrays: Its inputs.
            batched: Which of them have rows.
            empty: Its outputs for no rows.
            batch: Rows of a batch.
        """
        self.on, self.gpu, self.batch = on, on.gpu, batch
        self.arrays, self.batched, self.empty = arrays, batched, empty
        #: Bytes of a row of each input and output; 0 where nothing is moved.
        self.reads = [_width(a) if b else 0 for a, b in zip(arrays, batched, strict=True)]
        self.makes = [_width(e) for e in empty]
        widths = [*self.reads, *self.makes]
        room = min(
            CHUNK // max(1, sum(widths)), self.gpu.limits["binding_bytes"] // max(1, *widths)
        )
        #: Rows of a chunk.
        self.rows = min(max(1, room // batch), BATCHES) * batch

    def run(self, rows: int) -> list[Array]:
        """The outputs for so many rows."""
        most = min(self.rows, rows)
        sizes = [most * width for width in (*self.reads, *self.makes)]
        parts: list[list[Array]] = []
        with self.gpu.lock:  # another thread would fill the same inputs
            self.on.bring()
            made = [self.gpu.buffer(n, "rows of a prediction") if n else None for n in sizes]
            sources, targets = made[: len(self.reads)], made[len(self.reads) :]
            try:
                self._upload(sources, 0, most)
                for start in range(0, rows, self.rows):
                    end = min(start + self.rows, rows)
                    found = self._submit(sources, targets, end - start)
                    if end < rows:  # while that runs
                        self._upload(sources, end, min(end + self.rows, rows))
                    parts.append(self._download(targets, end - start, found))
            finally:
                self.gpu.release(sum(sizes))
        if len(parts) == 1:
            return parts[0]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def _upload(self, sources: Sequence[Any], start: int, end: int) -> None:
        """Sends rows, which are there for what is submitted from here on."""
        for source, a, row in zip(sources, self.arrays, self.on.inputs, strict=True):
            if source is not None:
                self.gpu.write(source, words_of(a[start:end], row[2]))

    def _submit(self, sources: Sequence[Any], targets: Sequence[Any], rows: int) -> Runnable:
        """Submits the batches of a chunk; gives the program of the first."""
        starts = range(0, rows, self.batch)
        counts = [min(self.batch, rows - start) for start in starts]
        programs = {n: self._runnable(n) for n in dict.fromkeys(counts)}

        def encode(encoder: Any) -> None:
            for start, n in zip(starts, counts, strict=True):
                self._encode(encoder, programs[n], sources, targets, start, n)

        for found in programs.values():
            for at, (a, b) in enumerate(zip(self.arrays, self.batched, strict=True)):
                if not b:
                    self.on.put(found, at, a)
            self.on.note(found)
        self.gpu.submit(encode)
        return programs[counts[0]]

    def _encode(
        self, encoder: Any, found: Runnable, sources: Sequence[Any], targets: Sequence[Any],
        start: int, n: int,
    ) -> None:  # fmt: skip
        """Records one batch: rows in, the program, rows out."""
        executable = found.executable
        for at, (source, width) in enumerate(zip(sources, self.reads, strict=True)):
            held = executable.inputs.get(at)
            if source is not None and held is not None:
                encoder.copy_buffer_to_buffer(source, start * width, held, 0, n * width)
        compute = encoder.begin_compute_pass()
        executable.encode(compute)
        compute.end()
        executable.copy(encoder)
        for target, width, row in zip(targets, self.makes, found.outputs, strict=True):
            if target is not None:
                made, _ = executable.outputs[row["number"]]
                encoder.copy_buffer_to_buffer(made, 0, target, start * width, n * width)

    def _download(self, targets: Sequence[Any], rows: int, found: Runnable) -> list[Array]:
        """The outputs of what was submitted last."""
        pairs = list(zip(targets, self.makes, strict=True))
        words = iter(self.on.home([(b, 0, rows * w) for b, w in pairs if b is not None], ()))
        none = np.zeros(0, np.uint32)
        return [
            array_of(
                none if target is None else next(words), row["dtype"], (rows, *empty.shape[1:])
            )
            for target, row, empty in zip(targets, found.outputs, self.empty, strict=True)
        ]

    def _runnable(self, n: int) -> Runnable:
        pairs = zip(self.arrays, self.batched, strict=True)
        found: Runnable = self.on.runnable([(n, *a.shape[1:]) if b else a.shape for a, b in pairs])
        return found


def _width(array: Array) -> int:
    """Bytes of a row on a device."""
    return 4 * int(np.prod(array.shape[1:], dtype=np.int64))
