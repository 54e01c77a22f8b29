"""`tf.train`: the state of models, optimizers and variables in numbered files, and back.

The files are fastnn's own (safetensors); TensorFlow's are not read. Depends on `files`, `layers`.
"""

from __future__ import annotations

import os
import re
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastnn import _core
from fastnn.base.absent import answer_missing
from fastnn.base.atomic import replace_file, write_text
from fastnn.errors import FormatError
from fastnn.files.variables import named_variables, save_file
from fastnn.layers.base.module import Module
from fastnn.metrics import Metric
from fastnn.optimizers import Optimizer
from fastnn.random import SeedGenerator
from fastnn.tracing.late import waiting
from fastnn.tracing.variables import Variable, suspended_scope

__all__ = [
    "Checkpoint", "CheckpointManager", "CheckpointOptions", "CheckpointState",
    "get_checkpoint_state", "latest_checkpoint", "list_variables", "load_variable",
]  # fmt: skip

Array = np.ndarray[Any, Any]
_ENDING = ".safetensors"
_COUNTER = "save_counter"
#: What a checkpoint may hold beside lists, tuples and dicts of them.
_KEPT = (Variable, Module, Optimizer, Metric, SeedGenerator)


def _entries(part: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterable[tuple[Any, Any]]:
    """What a part of parts holds, by key or place."""
    return part.items() if isinstance(part, dict) else enumerate(part)


def _named(name: str, part: Any) -> Iterator[tuple[str, Variable]]:
    """The variables of a part of a checkpoint under names that say where they live."""
    if isinstance(part, Variable):
        yield name, part
    elif isinstance(part, Module):
        for own, variable in named_variables(part).items():
            yield f"{name}/{own}", variable
    elif isinstance(part, SeedGenerator):
        yield name, part.state
    elif isinstance(part, Optimizer | Metric):
        for at, variable in enumerate(part.variables):
            yield f"{name}/{at}", variable
    elif isinstance(part, Checkpoint):
        for own, inner in part._parts.items():
            yield from _named(f"{name}/{own}", inner)
    elif isinstance(part, dict | list | tuple):
        for key, inner in _entries(part):
            yield from _named(f"{name}/{key}", inner)


def _check(name: str, part: Any) -> None:
    """ValueError for what has no state that a file could keep."""
    if isinstance(part, (*_KEPT, Checkpoint)):
        return
    if isinstance(part, dict | list | tuple):
        for key, inner in _entries(part):
            _check(f"{name}.{key}", inner)
        return
    hint = "tf.Variable(value) for a number"
    if hasattr(part, "__next__") or hasattr(part, "as_numpy_iterator"):
        hint = "leave it out: the place in a data set is not kept"
    raise ValueError(
        f"Checkpoint: {name} is {type(part).__name__}, wanted a model, layer, optimizer, metric "
        f"or variable\n  hint: {hint}"
    )


class _Waiting:
    """Values of a file for variables that are made later; held by nobody but who makes them."""

    def __init__(self, parts: dict[str, Any], values: dict[str, Array], path: str) -> None:
        self.parts = {name: _reference(part) for name, part in parts.items()}
        self.values, self.path = values, path

    def put(self) -> bool:
        """Sets what there is a variable for by now; True when nothing is left to wait for."""
        alive = {name: part() for name, part in self.parts.items()}
        found = {k: v for n, p in alive.items() if p is not None for k, v in _named(n, p)}
        with suspended_scope():
            for name in self.values.keys() & found.keys():
                _set(found[name], self.values.pop(name), name, self.path)
        return not self.values or not any(p is not None for p in alive.values())


def _reference(part: Any) -> Any:
    if isinstance(part, dict | list | tuple):
        return lambda: part
    return weakref.ref(part)


def _set(variable: Variable, value: Array, name: str, path: str) -> None:
    if tuple(value.shape) != tuple(variable.shape):
        raise FormatError(
            f"checkpoint {path!r}: {name!r} has shape {tuple(value.shape)}, the variable has "
            f"{tuple(variable.shape)}\n  hint: it was written by another model"
        )
    variable.assign(value)


class _Status:
    """What `restore` found: checks that TensorFlow's programs call on it."""

    def __init__(self, waits: _Waiting | None, unread: list[str]) -> None:
        self._waits, self._unread = waits, unread

    def assert_existing_objects_matched(self) -> _Status:
        """FormatError when a variable that exists has no value in the file."""
        if self._unread:
            raise FormatError(
                f"the checkpoint has nothing for {', '.join(self._unread[:5])}\n"
                "  hint: it was written by other objects"
            )
        return self

    def assert_consumed(self) -> _Status:
        """FormatError when a variable or a value of the file is left over."""
        left = sorted(self._waits.values) if self._waits is not None else []
        if left:
            raise FormatError(
                f"no variable is there yet for {', '.join(left[:5])} of the checkpoint\n"
                "  hint: call the model on data first, or expect_partial()"
            )
        return self.assert_existing_objects_matched()

    assert_nontrivial_match = assert_existing_objects_matched

    def expect_partial(self) -> _Status:
        """The status itself."""
        return self

    def initialize_or_restore(self, session: Any = None) -> None:
        """Nothing: values are set already."""

    run_restore_ops = initialize_or_restore


class Checkpoint:
    """Models, optimizers and variables whose values are kept in files together.

    Values of variables that do not exist yet (a model that has not been called, an optimizer
    before its first step) are set when they are made.

    Args:
        root: One object, in place of names.
        **kwargs: Models, layers, optimizers, metrics, variables, or lists and dicts of them.

    Example:
        >>> import fastnn as tf
        >>> step = tf.Variable(3)
        >>> path = tf.train.Checkpoint(step=step).save("./ckpts/a")
        >>> step.assign(0)
        >>> status = tf.train.Checkpoint(step=step).restore(path)
        >>> path, int(step)
        ('./ckpts/a-1', 3)
    """

    def __init__(self, root: Any = None, **kwargs: Any) -> None:
        parts = {**({} if root is None else {"root": root}), **kwargs}
        for name, part in parts.items():
            _check(name, part)
        self._parts = parts
        self.save_counter = Variable(0, dtype="int32", trainable=False, name=_COUNTER)

    def __getattr__(self, name: str) -> Any:
        parts = self.__dict__.get("_parts", {})
        if name not in parts:
            have = ", ".join(parts) or "nothing"
            raise AttributeError(f"the checkpoint has no {name!r}\n  hint: it has {have}")
        return parts[name]

    def _variables(self) -> dict[str, Variable]:
        found = {k: v for n, p in self._parts.items() for k, v in _named(n, p)}
        return {_COUNTER: self.save_counter, **found}

    def write(self, file_prefix: Any, options: Any = None) -> str:
        """Writes all values to one file.

        Args:
            file_prefix: The path without ending.
            options: Taken and not needed.

        Returns:
            The path, for `read`.
        """
        path = os.fspath(file_prefix)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        tensors = dict(self._variables())
        replace_file(
            path + _ENDING,
            lambda place: save_file(place, tensors, {"fastnn.format": "checkpoint"}, None),
        )
        return path

    def save(self, file_prefix: Any, options: Any = None) -> str:
        """Writes all values to a numbered file, which `latest_checkpoint` finds.

        Args:
            file_prefix: The path without number and ending.
            options: Taken and not needed.

        Returns:
            The path, for `restore`.
        """
        self.save_counter.assign_add(1)
        path = self.write(f"{os.fspath(file_prefix)}-{int(self.save_counter)}")
        folder = os.path.dirname(path)
        state = get_checkpoint_state(folder)
        kept = [] if state is None else state.all_model_checkpoint_paths
        _note(folder, [p for p in kept if p != path] + [path])
        return path

    def read(self, save_path: Any, options: Any = None) -> _Status:
        """Sets all values from a file that `write` or `save` wrote."""
        path = os.fspath(save_path)
        values = _values(path)
        found = self._variables()
        unread = [n for n in found if n not in values and n != _COUNTER]
        for name in values.keys() & found.keys():
            _set(found[name], values.pop(name), name, path)
        waits = _Waiting(self._parts, values, path) if values else None
        if waits is not None:
            waiting.append(waits.put)
        return _Status(waits, unread)

    def restore(self, save_path: Any, options: Any = None) -> _Status:
        """Sets all values from a file that `save` wrote; None, for no file yet, changes nothing."""
        return _Status(None, []) if save_path is None else self.read(save_path)


def _values(path: str) -> dict[str, Array]:
    if not os.path.exists(path + _ENDING):
        if os.path.exists(path + ".index"):
            raise FormatError(
                f"{path!r} is a checkpoint of TensorFlow's, which is not read\n"
                "  hint: there, model.save('m.keras'); here, load_model('m.keras')"
            )
        raise FileNotFoundError(
            f"there is no checkpoint {path!r}\n  hint: tf.train.latest_checkpoint(folder)"
        )
    tensors, metadata = _core.load_file(path + _ENDING)
    if metadata.get("fastnn.format") != "checkpoint":
        raise FormatError(
            f"{path + _ENDING!r} is no checkpoint\n  hint: load_model, or model.load_weights"
        )
    return {name: np.asarray(value) for name, value in tensors.items()}


class CheckpointOptions:
    """Options of TensorFlow, taken and not needed."""

    def __init__(self, **options: Any) -> None:
        vars(self).update(options)


class CheckpointState:
    """The checkpoints of a folder, oldest first, and the latest of them."""

    def __init__(self, paths: list[str]) -> None:
        self.model_checkpoint_path = paths[-1]
        self.all_model_checkpoint_paths = paths


def _note(folder: str, paths: list[str]) -> None:
    """Writes which checkpoints a folder has, in TensorFlow's words."""
    place = os.path.join(folder, "checkpoint")
    names = [os.path.basename(p) for p in paths]
    lines = [f'model_checkpoint_path: "{names[-1]}"'] if names else []
    lines += [f'all_model_checkpoint_paths: "{name}"' for name in names]
    write_text(place, "".join(f"{line}\n" for line in lines))


def get_checkpoint_state(
    checkpoint_dir: Any, latest_filename: str | None = None
) -> CheckpointState | None:
    """What a folder's `checkpoint` file says; None where there is none."""
    folder = os.fspath(checkpoint_dir)
    place = os.path.join(folder, latest_filename or "checkpoint")
    if not os.path.isfile(place):
        return None
    with open(place, encoding="utf-8") as file:
        names = re.findall(r'^all_model_checkpoint_paths: "(.*)"$', file.read(), re.M)
    return CheckpointState([os.path.join(folder, name) for name in names]) if names else None


def latest_checkpoint(checkpoint_dir: Any, latest_filename: str | None = None) -> str | None:
    """The path of a folder's last checkpoint, for `restore`; None where there is none.

    Args:
        checkpoint_dir: The folder.
        latest_filename: The name of the file that lists them, `checkpoint` unless told.

    Returns:
        A path without ending, or None.

    Example:
        >>> import fastnn as tf
        >>> print(tf.train.latest_checkpoint("nowhere"))
        None
    """
    state = get_checkpoint_state(checkpoint_dir, latest_filename)
    return None if state is None else state.model_checkpoint_path


def _at(path: Any) -> str:
    return (latest_checkpoint(path) or "") if os.path.isdir(path) else os.fspath(path)


def list_variables(ckpt_dir_or_file: Any) -> list[tuple[str, list[int]]]:
    """Names and shapes of what a checkpoint holds."""
    return [(name, list(v.shape)) for name, v in sorted(_values(_at(ckpt_dir_or_file)).items())]


def load_variable(ckpt_dir_or_file: Any, name: str) -> Array:
    """One value of a checkpoint."""
    values = _values(_at(ckpt_dir_or_file))
    if name not in values:
        raise KeyError(f"the checkpoint has no {name!r}\n  hint: tf.train.list_variables(path)")
    return values[name]


class CheckpointManager:
    """Numbered checkpoints in a folder, of which the last few are kept.

    Args:
        checkpoint: A `Checkpoint`.
        directory: The folder.
        max_to_keep: How many stay; None for all.
        keep_checkpoint_every_n_hours: Of checkpoints that would be removed, one in so many hours
            stays for good.
        checkpoint_name: What their names begin with.
        step_counter: A variable that counts steps, for `checkpoint_interval`.
        checkpoint_interval: Steps from one checkpoint to the next.
        init_fn: Called by `restore_or_initialize` where there is no checkpoint.

    Example:
        >>> import fastnn as tf
        >>> ckpt = tf.train.Checkpoint(step=tf.Variable(1))
        >>> manager = tf.train.CheckpointManager(ckpt, "./managed", max_to_keep=2)
        >>> [manager.save() for _ in range(3)][-1], len(manager.checkpoints)
        ('./managed/ckpt-3', 2)
    """

    def __init__(
        self, checkpoint: Checkpoint, directory: Any, max_to_keep: int | None,
        keep_checkpoint_every_n_hours: float | None = None, checkpoint_name: str = "ckpt",
        step_counter: Any = None, checkpoint_interval: int | None = None, init_fn: Any = None,
    ) -> None:  # fmt: skip
        if max_to_keep is not None and max_to_keep < 1:
            raise ValueError(f"max_to_keep is {max_to_keep}\n  hint: 1 or more, or None for all")
        if checkpoint_interval is not None and step_counter is None:
            raise ValueError(
                "checkpoint_interval needs a step_counter\n"
                "  hint: step_counter=optimizer.iterations"
            )
        self._checkpoint, self._max, self._init = checkpoint, max_to_keep, init_fn
        self._directory, self._name = os.fspath(directory), checkpoint_name
        self._counter, self.checkpoint_interval = step_counter, checkpoint_interval
        self._saved_at: int | None = None
        hours = keep_checkpoint_every_n_hours
        self._seconds = None if hours is None else 3600.0 * float(hours)
        #: When each was written, and when the last one that stays for good was; at first now.
        self._times: dict[str, float] = {}
        self._kept_at = time.time()
        state = get_checkpoint_state(self._directory)
        #: The paths of those that are kept, oldest first.
        self.checkpoints = [] if state is None else state.all_model_checkpoint_paths

    @property
    def checkpoint(self) -> Checkpoint:
        """What is kept."""
        return self._checkpoint

    @property
    def directory(self) -> str:
        """The folder."""
        return self._directory

    @property
    def latest_checkpoint(self) -> str | None:
        """The path of the last one; None where there is none."""
        return self.checkpoints[-1] if self.checkpoints else None

    def save(
        self, checkpoint_number: Any = None, check_interval: bool = True, options: Any = None
    ) -> str | None:
        """Writes the next checkpoint and removes the oldest of more than `max_to_keep`.

        Args:
            checkpoint_number: Its number; that of the saves so far unless told.
            check_interval: Whether nothing is written before `checkpoint_interval` is over.
            options: Taken and not needed.

        Returns:
            The path; None when nothing was written.
        """
        if self.checkpoint_interval is not None and check_interval:
            step = int(self._counter)
            if self._saved_at is not None and step - self._saved_at < self.checkpoint_interval:
                return None
            self._saved_at = step
        counter = self._checkpoint.save_counter
        counter.assign_add(1)
        number = int(counter if checkpoint_number is None else checkpoint_number)
        path = self._checkpoint.write(os.path.join(self._directory, f"{self._name}-{number}"))
        self.checkpoints = [p for p in self.checkpoints if p != path] + [path]
        old = [] if self._max is None else self.checkpoints[: -self._max]
        self.checkpoints = self.checkpoints[len(old) :]
        _note(self._directory, self.checkpoints)
        self._times[path] = time.time()
        for gone in old:
            if self._stays(gone):
                continue
            if os.path.exists(gone + _ENDING):
                os.remove(gone + _ENDING)
        return path

    def _stays(self, path: str) -> bool:
        """Whether a checkpoint that is one too many is kept for good, by its time."""
        if self._seconds is None or not os.path.exists(path + _ENDING):
            return False
        written = self._times.pop(path, None) or os.path.getmtime(path + _ENDING)
        if written - self._kept_at < self._seconds:
            return False
        self._kept_at = written
        return True

    def restore_or_initialize(self) -> str | None:
        """Sets all from the last checkpoint and gives its path; else calls `init_fn`."""
        if self.latest_checkpoint is not None:
            self._checkpoint.restore(self.latest_checkpoint)
        elif self._init is not None:
            self._init()
        return self.latest_checkpoint


answer_missing(globals(), "fastnn.train")
