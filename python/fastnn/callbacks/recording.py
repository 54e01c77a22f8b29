"""Callbacks that write what happens: rows of CSV, files for TensorBoard. Depends on `base`."""

from __future__ import annotations

import os
import time
import warnings
from typing import Any

import numpy as np

from fastnn.base.arguments import local_path
from fastnn.base.atomic import check_regular
from fastnn.callbacks.base import Callback, Logs
from fastnn.tracing.ranks import is_first

__all__ = ["CSVLogger", "TensorBoard"]


class CSVLogger(Callback):
    """Writes one row of a CSV file per epoch, keys sorted.

    Args:
        filename: The file.
        separator: What stands between two values.
        append: Whether rows are added to a file that is there.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> log = fastnn.callbacks.CSVLogger("log.csv")
        >>> history = model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=[log])
        >>> import pathlib
        >>> pathlib.Path("log.csv").read_text().splitlines()[0]
        'epoch,loss,val_loss'
    """

    filename: Any
    sep: Any
    append: bool

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.sep, self.append = local_path(filename), separator, append
        self._file: Any = None
        self._writer: Any = None
        self.keys: list[str] | None = None
        self._with_header = True
        self._rows_end: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file."""
        if not is_first():
            return
        if self.append and os.path.exists(self.filename):
            self._with_header = os.path.getsize(self.filename) == 0
        # What a resumed run goes on with is not known yet: older rows go when the first one comes.
        check_regular(self.filename)
        folder = os.path.dirname(self.filename)
        if folder and not os.path.isdir(folder):
            raise FileNotFoundError(
                f"CSVLogger: cannot write {self.filename!r}: there is no folder {folder!r}\n"
                f"  hint: os.makedirs({folder!r}) before fit"
            )
        self._file = open(self.filename, "a", newline="")  # noqa: SIM115
        self._rows_end = None if self.append else 0
        self._writer, self.keys = None, None

    def get_state(self) -> dict[str, Any]:
        """The columns, and how long the file is."""
        if self._file is None:
            return {}
        return {"keys": self.keys, "rows_end": self._file.tell(), "append": self.append}

    def set_state(self, state: dict[str, Any]) -> None:
        """Rows after the last backup are dropped, those before it stay."""
        if state["keys"] is not None:
            self.keys, self._rows_end, self._with_header = state["keys"], state["rows_end"], False

    def _drop_rows(self) -> None:
        if self._rows_end is not None:
            self._file.truncate(self._rows_end)
            self._rows_end = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes a row."""
        if self._file is None:
            return  # rank 0 writes for all
        logs = logs or {}
        self._drop_rows()
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(k.startswith("val_") for k in self.keys):
                self.keys += [f"val_{k}" for k in self.keys]
        if self._writer is None:
            import csv

            self._writer = csv.DictWriter(
                self._file, ["epoch", *self.keys], delimiter=self.sep, lineterminator=os.linesep
            )
            if self._with_header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch} | {k: logs.get(k, "NA") for k in self.keys})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Closes the file."""
        if self._file is not None:
            self._drop_rows()
            self._file.close()
        self._file = self._writer = None


class TensorBoard(Callback):
    """Writes values for TensorBoard through tensorboardX (extra `[tensorboard]`).

    Folders and names are Keras's: `train` and `validation` under `log_dir`, `epoch_loss` by epoch,
    `batch_loss` by batch.

    Args:
        log_dir: The folder of the logs.
        histogram_freq: Every how many epochs histograms of the weights are written; 0: never.
        write_graph: Whether the model's graph is written, as a Mermaid text.
        write_images: Whether weights are written as images.
        write_steps_per_second: Whether the speed is written.
        update_freq: `"epoch"`, `"batch"`, or a number of batches.
        profile_batch: Accepted for Keras's sake; nothing is written for them.
        embeddings_freq: Accepted for Keras's sake; nothing is written for them.
        embeddings_metadata: Accepted for Keras's sake; nothing is written for them.

    Raises:
        ImportError: tensorboardX is not installed.

    Example:
        >>> callback = fastnn.callbacks.TensorBoard("logs", update_freq=10)
    """

    log_dir: Any
    histogram_freq: int
    write_graph: bool
    write_steps_per_second: bool

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: Any = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        freq = 1 if update_freq == "batch" else update_freq
        if freq != "epoch" and (isinstance(freq, bool) or not isinstance(freq, int) or freq < 1):
            raise ValueError(
                f"update_freq is {update_freq!r}\n  hint: 'epoch', 'batch' or a number of batches"
            )
        for name, value in (
            ("write_images", write_images), ("profile_batch", profile_batch),
            ("embeddings_freq", embeddings_freq),
        ):  # fmt: skip
            if value:
                warnings.warn(f"TensorBoard: {name} has no effect here", stacklevel=2)
        self.log_dir, self.histogram_freq = local_path(log_dir), histogram_freq
        self.write_graph, self.write_steps_per_second = write_graph, write_steps_per_second
        self.update_freq = freq
        self._writers: dict[str, Any] = {}
        self._batches, self._begun = 0, (0, 0.0)
        if freq != "epoch" or write_steps_per_second:
            self.on_train_batch_end = self._after_batch  # type: ignore[method-assign]

    def _writer(self, part: str) -> Any:
        """The event file of `train` or `validation`, opened when first written to."""
        if part not in self._writers:
            self._writers[part] = event_writer(os.path.join(self.log_dir, part))
        return self._writers[part]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Opens the file of training, with the model's graph."""
        self._batches = 0
        if not is_first():
            return
        writer = self._writer("train")
        if self.write_graph and self.model is not None:
            from fastnn.display.diagram import mermaid

            writer.add_text("model", f"```mermaid\n{mermaid(self.model)}```", 0)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Notes when the epoch began."""
        self._begun = (self._batches, time.perf_counter())

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self.update_freq != "epoch" and self._batches % self.update_freq == 0:
            self._write("train", "batch_", logs or {}, self._batches)

    def _write(self, part: str, prefix: str, logs: Logs, step: int) -> None:
        if not is_first():
            return  # rank 0 writes for all
        for key, value in logs.items():
            if np.ndim(value) == 0:
                self._writer(part).add_scalar(prefix + key, float(value), step)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the values of an epoch, and the learning rate."""
        train = {k: v for k, v in (logs or {}).items() if not k.startswith("val_")}
        optimizer = getattr(self.model, "optimizer", None)
        if optimizer is not None:
            train.setdefault("learning_rate", float(np.asarray(optimizer.learning_rate)))
        if self.write_steps_per_second:
            first, start = self._begun
            train["steps_per_second"] = (self._batches - first) / (time.perf_counter() - start)
        self._write("train", "epoch_", train, epoch)
        validation = {k[4:]: v for k, v in (logs or {}).items() if k.startswith("val_")}
        self._write("validation", "epoch_", validation, epoch)
        if self.histogram_freq and epoch % self.histogram_freq == 0 and is_first():
            for v in self.model.weights:
                self._writer("train").add_histogram(v.path, np.asarray(v), epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Closes the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def event_writer(folder: Any) -> Any:
    """A writer of TensorBoard's event files in a folder; ImportError without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError(
            "TensorBoard needs tensorboardX, which is not installed\n"
            '  hint: pip install "fastnn-rs[tensorboard]"'
        ) from None
    return SummaryWriter(local_path(folder))
