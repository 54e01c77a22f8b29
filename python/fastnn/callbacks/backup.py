"""`BackupAndRestore`: a run that was cut off goes on. Depends on `base`, `files`."""

from __future__ import annotations

import itertools
import os
import warnings
from typing import Any

import numpy as np

from fastnn.base.arguments import is_whole, local_path
from fastnn.callbacks.base import Callback, Logs
from fastnn.data.batches import IterableData
from fastnn.errors import FormatError
from fastnn.files import native as saving
from fastnn.metrics.metric import metric_variables
from fastnn.serialization.encoding import to_config
from fastnn.tracing.ranks import count_ranks, group, is_first

__all__ = ["BackupAndRestore"]


class BackupAndRestore(Callback):
    """Saves the whole state of a run, and resumes from it after a crash.

    Weights, optimiser, random state and callbacks are saved each epoch; a run that was cut off goes
    on with the same bits and decisions as one that was not. It is called after all other callbacks,
    wherever it stands. With a number as `save_freq` it also saves every so many batches and goes on
    after the batch that was saved; sources of batches are then read from their start, and the
    batches made before are passed over. Data sets and pictures that are mixed come in the order of
    the run that was cut off.

    Args:
        backup_dir: The folder of the backup.
        save_freq: `"epoch"`, or a number of batches.
        double_checkpoint: Whether the backup before the last is kept too, for a file that got
            damaged.
        delete_checkpoint: Whether the backup goes when training ends.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> def backup():
        ...     return [fastnn.callbacks.BackupAndRestore("backup", delete_checkpoint=False)]
        >>> first = model.fit([[1.0]], [1.0], epochs=2, verbose=0, callbacks=backup())
        >>> model.fit([[1.0]], [1.0], epochs=5, verbose=0, callbacks=backup()).epoch
        [2, 3, 4]
    """

    backup_dir: Any
    save_freq: str | int
    delete_checkpoint: bool
    double_checkpoint: bool

    def __init__(
        self,
        backup_dir: Any,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError(
                "Empty `backup_dir` argument passed\n  hint: BackupAndRestore('backup')"
            )
        if save_freq != "epoch" and (not is_whole(save_freq) or int(save_freq) < 1):
            raise ValueError(
                f"Invalid value for argument `save_freq`: {save_freq!r}\n"
                "  hint: 'epoch' or a number of batches"
            )
        self.backup_dir, self.save_freq = local_path(backup_dir), save_freq
        self.others: list[Any] = []
        self.delete_checkpoint, self.double_checkpoint = delete_checkpoint, double_checkpoint
        self._current_epoch = self._last_batch_seen = 0
        self._restored: str | None = None
        if save_freq != "epoch":
            self.__dict__["on_train_batch_end"] = self._after_batch

    comes_last = True

    @property
    def _path(self) -> str:
        return os.path.join(self.backup_dir, "backup.safetensors")

    @property
    def _previous(self) -> str:
        return os.path.join(self.backup_dir, "previous.safetensors")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Restores an earlier backup."""
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a built model\n"
                "  hint: start the model with Input(shape=...)"
            )
        paths = [p for p in (self._path, self._previous) if os.path.exists(p)]
        self._restored = None
        if not is_first():
            return  # the ranks go on from what rank 0 has read
        for path in paths:
            try:
                position, arrays = saving.load_state(self.model, path)
            except FormatError as error:
                if path == paths[-1]:
                    raise
                warnings.warn(f"{error}; the backup before it is restored", stacklevel=2)
                continue
            self.model._initial_epoch = self._current_epoch = position["epoch"]
            names = (f"metrics/{i}" for i in range(position.get("metrics", 0)))
            batch = position.get("batch", 0)
            if batch and position.get("ranks", 1) != count_ranks():
                raise ValueError(
                    f"the backup {path!r} was made in the middle of an epoch by "
                    f"{position.get('ranks', 1)} ranks, now there are {count_ranks()}; a batch "
                    "would have other rows\n  hint: start as many ranks, or remove the backup"
                )
            sums = [arrays[n] for n in names] if batch else []
            self.model._resumed = (batch, sums, position.get("passes", []))
            self._revive(position.get("callbacks", []), arrays)
            self.model.stop_training = position.get("stopped", False)
            self._restored = path if batch else None
            break

    def _states(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Classes and states of the other callbacks, arrays among them apart."""
        states: list[dict[str, Any]] = []
        arrays: dict[str, Any] = {}
        for i, c in enumerate(self.others):
            state = dict(c.get_state()) if hasattr(c, "get_state") else {}
            kept = [k for k, v in state.items() if isinstance(v, list) and v
                    and isinstance(v[0], np.ndarray)]  # fmt: skip
            for key in kept:
                arrays |= {f"callbacks/{i}/{key}/{j}": a for j, a in enumerate(state.pop(key))}
            states.append({"class": type(c).__name__, "state": to_config(state), "arrays": kept})
        return states, arrays

    def _revive(self, states: list[Any], arrays: dict[str, Any]) -> None:
        """Hands each callback the state that one of its class had, in their order."""
        waiting = list(self.others)
        for i, entry in enumerate(states):
            c = next((c for c in waiting if type(c).__name__ == entry["class"]), None)
            if c is None:
                continue
            waiting.remove(c)
            state = dict(entry["state"])
            for key in entry["arrays"]:
                names = itertools.takewhile(
                    arrays.__contains__, (f"callbacks/{i}/{key}/{j}" for j in itertools.count())
                )
                state[key] = [arrays[n] for n in names]
            if state:
                c.set_state(state)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Remembers the epoch."""
        self._current_epoch = epoch
        if self._restored is not None:
            # This epoch had begun before: what the others did again at its beginning is undone.
            position, arrays = saving.load_state(self.model, self._restored)
            self._revive(position.get("callbacks", []), arrays)
            self._restored = None

    def _after_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._last_batch_seen = batch
        last = self.params.get("steps") == batch + 1  # the end of the epoch saves
        if (batch + 1) % int(self.save_freq) == 0 and not last:
            self._save(batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Writes the backup."""
        self._current_epoch = epoch + 1
        self._save()

    def _save(self, batch: int = 0) -> None:
        if not is_first():
            return  # rank 0 writes for all
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and os.path.exists(self._path):
            os.replace(self._path, self._previous)
        states, arrays = self._states()
        position = {"epoch": self._current_epoch, "callbacks": states}
        position["stopped"] = bool(self.model.stop_training)
        # The data may be in the middle of a pass, that of the validation is not.
        position["passes"] = [
            data.passes(within) if isinstance(data, IterableData) else []
            for data, within in zip(self.model._sources_read, (batch > 0, False), strict=False)
        ]
        if batch:
            ranks = group()
            sums = [np.asarray(v) for v in metric_variables(self.model)]
            if ranks is not None:  # each goes on from its own, so that the bits are the same
                sums = [np.stack(parts) for parts in zip(*ranks.sums, strict=True)]
            arrays |= {f"metrics/{i}": a for i, a in enumerate(sums)}
            position |= {"batch": batch, "metrics": len(sums), "ranks": count_ranks()}
        saving.save_state(self.model, self._path, position, arrays)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Removes the backup of a finished run."""
        if not self.delete_checkpoint or not is_first():
            return
        for path in (self._path, self._previous):
            if os.path.exists(path):
                os.remove(path)
        if os.path.isdir(self.backup_dir) and not os.listdir(self.backup_dir):
            os.rmdir(self.backup_dir)
