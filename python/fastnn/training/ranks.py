"""Training on several ranks: which rows are whose, and what all ranks have to agree on.

Every step begins with a count of the rows that each rank has for it. A rank that has none left
runs the step on rows that do not count, because the others wait for its sums.
"""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fastnn import _core, random
from fastnn.base import tree
from fastnn.data.batches import ArrayData, IterableData
from fastnn.errors import DataError, RankError
from fastnn.metrics.metric import metric_variables
from fastnn.optimizers.base import Optimizer
from fastnn.serialization.encoding import to_config
from fastnn.tracing import ranks
from fastnn.tracing.variables import Variable

__all__ = ["Ranks", "data_facts", "ranks_of"]

#: Bytes of an array that are read to compare it with that of other ranks.
_READ = 64 << 20
#: What configs hold that ranks need not share: names are counted up, seeds are those of rank 0.
_OWN = ("name", "seed", "shared_object_id", "build_config")


def ranks_of(model: Any) -> Ranks | None:
    """The ranks that train the model together; None in a process that is alone."""
    group = ranks.group()
    return None if group is None else Ranks(model, group)


class Ranks:
    """One run of a model on several ranks: a `fit`, or a batch."""

    model: Any
    group: Any
    rank: Any
    size: Any
    own_data: Any
    hooks: bool
    pace: int

    def __init__(self, model: Any, group: Any) -> None:
        self.model, self.group = model, group
        self.rank, self.size, self.own_data = group.rank, group.size, group.own_data
        #: Whether some rank has hooks of batches, so that all sum up their metrics for them.
        self.hooks = False
        #: Steps that are made without a look at the other ranks, sums apart.
        self.pace = 1
        self._agreed = False

    @contextlib.contextmanager
    def together(self, place: str) -> Iterator[None]:
        """What fails inside on one rank fails on all; `place` says where it was."""
        with self.group.at(place):
            try:
                yield
            except BaseException as error:
                raised, self.group.raised = self.group.raised, None
                if raised is not None:
                    raise raised from None
                self.group.fail(error)
                raise

    def stepping(self) -> Any:
        """Steps that are traced or run inside are those of all ranks."""
        return ranks.stepping(self.group.share)

    @property
    def readers(self) -> int:
        """How many ranks share the data that this one was given."""
        return 1 if self.own_data else int(self.size)

    # ---- data ----------------------------------------------------------------------------------

    def steps(self, data: ArrayData, batch_size: int) -> int:
        """Steps of an epoch: batches of the rank that has most."""
        if not self.own_data:
            return data.steps(batch_size * self.size)
        return int(max(self.group.gather(data.steps(batch_size))))

    def divide(self, data: Any) -> None:
        """Batches of an iterable are dealt out to the ranks, unless each has its own."""
        if isinstance(data, IterableData) and not self.own_data:
            data.share = (self.rank, self.size)

    def parts(
        self, data: ArrayData, batch_size: int, steps: int, order: Any, first: int = 0
    ) -> Iterator[Any]:
        """This rank's batches of an epoch, and whether they count, from number `first` on."""
        for i in range(first, steps):
            if self.own_data:
                begin, end = i * batch_size, min((i + 1) * batch_size, data.n)
            else:
                begin = i * batch_size * self.size
                rows = min(begin + batch_size * self.size, data.n) - begin
                begin, end = (begin + rows * r // self.size for r in (self.rank, self.rank + 1))
            counts = end > begin
            at: Any = slice(begin, end) if counts else slice(0, 1)
            at = at if order is None else order[at]
            parts = (data.x, data.y, data.weights)
            yield tuple(tree.map_structure(lambda a, at=at: a[at], p) for p in parts), counts

    def whole_steps(self, data: ArrayData, batch_size: int) -> int:
        """Steps of an epoch, from the first on, in which every rank has a full batch."""
        if self.own_data:
            return int(min(self.group.gather(data.n // batch_size)))
        return int(data.n // (batch_size * self.size))

    def rows_of_whole_steps(self, data: ArrayData, batch_size: int, steps: int, order: Any) -> Any:
        """The rows of this rank in the first steps, one after another."""
        order = np.arange(data.n, dtype=np.int32) if order is None else order
        if self.own_data:
            return order[: steps * batch_size]
        dealt = order[: steps * batch_size * self.size].reshape(steps, self.size, batch_size)
        return np.ascontiguousarray(dealt[:, self.rank]).reshape(-1)

    def all_can(self, can: bool) -> bool:
        """Whether every rank can."""
        found, _ = self.group.counts(int(can), False)
        return bool(found.all())

    def share_whole(self) -> None:
        """Steps that follow have a full batch on every rank."""
        self.group.share.assign(np.float32(1 / self.size))

    def settle_pace(self, steps: int) -> bool:
        """The number of steps until the ranks meet again is what rank 0 says; whether to stop."""
        found, stop = self.group.counts(steps, bool(self.model.stop_training))
        self.pace = int(found[0])
        return bool(stop)

    def counted(self, batches: Iterator[Any], train: bool) -> Iterator[Any]:
        """The batches of this rank, or rows that do not count, until no rank has more."""
        model, last, done = self.model, None, 0
        for batch, counts in _until_all_end(batches):
            rows = _rows(batch) if counts else 0
            found, stop = self.group.counts(rows, bool(model.stop_training) and train)
            if stop and done:
                model.stop_training = True
                return
            total = int(found.sum())
            if total == 0:
                return
            done += 1
            self.group.share.assign(np.float32(rows / total))
            if counts:
                last = batch
                yield batch
                continue
            batch = last if batch is None else batch
            if batch is None:
                raise DataError(
                    f"rank {self.rank} of {self.size} has no batch at all\n"
                    "  hint: fewer ranks, or smaller batches"
                )
            held = {v: np.array(v) for v in metric_variables(model)}
            yield batch
            for v in metric_variables(model):  # the first step makes some
                v.assign(held.get(v, np.zeros_like(np.asarray(v))))

    # ---- agreement -----------------------------------------------------------------------------

    def begin(self, settings: dict[str, Any], calls: Any) -> None:
        """Before the first epoch: the ranks compare what they were told; rank 0's run counts."""
        for layer in self.model._every_layer():
            if getattr(layer, "stateful", False) is True:
                raise ValueError(
                    f"layer {layer.name!r} is stateful: it goes on from the rows of the batch "
                    "before, and ranks share the rows out\n  hint: stateful=False, or one rank"
                )
        hooks = calls is not None and calls.overrides(
            "on_train_batch_begin", "on_batch_begin", "on_train_batch_end", "on_batch_end",
            "on_test_batch_begin", "on_test_batch_end",
        )  # fmt: skip
        facts = _facts(self.model) | settings
        found = self.group.gather((facts, hooks))
        self.hooks = any(has for _, has in found)
        self._compare([told for told, _ in found])
        model = self.model
        model._initial_epoch, model._shuffle_seed, model.stop_training, model._resumed = (
            self.group.broadcast(
                (model._initial_epoch, model._shuffle_seed, model.stop_training, model._resumed)
            )
        )
        self.follow(calls)

    def follow(self, calls: Any) -> None:
        """Callbacks take the state of those of rank 0 that have their class."""
        held = [] if calls is None else list(calls.callbacks)
        states = [(type(c).__name__, c.get_state()) for c in held if hasattr(c, "get_state")]
        states = self.group.broadcast(states if self.rank == 0 else None)
        if self.rank == 0:
            return
        for name, state in states:
            c = next((c for c in held if type(c).__name__ == name), None)
            if c is not None:
                held.remove(c)
                if state:
                    c.set_state(state)

    def agree(self) -> None:
        """Before the first step, with the model built: one model, with rank 0's values."""
        if self._agreed:
            return
        self._agreed = True
        self.group.known.add(self.model)
        variables = _state(self.model)
        facts = {
            f"weight {i}": (list(v.shape), str(v.dtype), bool(v.trainable))
            for i, v in enumerate(variables)
        }
        self._compare(self.group.gather(facts))
        apart = self._apart(variables)
        values = self.group.broadcast_arrays([np.asarray(v) for v in apart])
        if self.rank:
            for v, value in zip(apart, values, strict=True):
                v.assign(value)
        state = self.group.broadcast(random.global_state())
        if self.rank and state is not None:
            random.set_global_state(state)

    def _apart(self, variables: Sequence[Variable]) -> list[Variable]:
        """Those of the variables whose values are not the same on all ranks."""
        found = self.group.gather([_digest(np.asarray(v)) for v in variables])
        return [v for v, *sums in zip(variables, *found, strict=True) if len(set(sums)) > 1]

    def _compare(self, told: Sequence[dict[str, Any]]) -> None:
        for r, facts in enumerate(told):
            for name in dict.fromkeys([*told[0], *facts]):
                if told[0].get(name) != facts.get(name):
                    self._refuse(r, name, told)

    def _refuse(self, r: int, name: str, told: Sequence[dict[str, Any]]) -> None:
        def shown(facts: dict[str, Any]) -> str:
            return str(facts[name]) if name in facts else "nothing"

        hint = "every rank has to build, compile and fit the same model"
        if name.startswith("data"):
            hint = (
                "give every rank all data in the same order; or, if each has its own part, call "
                "fastnn.distributed.init(own_data=True)"
            )
        raise RankError(
            f"the ranks differ: {name} is {shown(told[r])} on rank {r}, {shown(told[0])} on rank 0"
            f"\n  hint: {hint}"
        )

    def stop(self) -> None:
        """Where one rank wants to stop, all do."""
        _, stop = self.group.counts(0, bool(self.model.stop_training))
        self.model.stop_training = stop or self.model.stop_training

    def same_rate(self) -> None:
        """The learning rate is that of rank 0, also where a callback set it there only."""
        optimizer = self.model.optimizer
        own = float(np.asarray(optimizer.learning_rate))
        rate = self.group.broadcast(own)
        if rate != own:
            optimizer.learning_rate = rate

    def settle(self) -> None:
        """After the steps of an epoch: the ranks hold the same values, or are brought to them.

        Weights have to be the same. What a layer keeps of the batches it saw is averaged; what
        else differs, as a learning rate that a callback set, is taken from rank 0.
        """
        # Slots follow from gradients, which are summed: they are equal where weights are.
        variables = _state(self.model, slots=False)
        apart = self._apart(variables)
        if not apart:
            return
        own = {id(v) for v in self.model.non_trainable_variables}
        values = self.group.gather([np.asarray(v) for v in apart])
        for k, v in enumerate(apart):
            held = [other[k] for other in values]
            if v.trainable:
                r = next(r for r in range(self.size) if held[r].tobytes() != held[0].tobytes())
                raise RankError(
                    f"the weight {v.path!r} of rank {r} is no longer that of rank 0\n"
                    "  hint: change weights on all ranks alike, as in a callback without conditions"
                )
            mean = id(v) in own and held[0].dtype.kind == "f"
            v.assign(_mean(held) if mean else held[0])

    # ---- metrics -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def totals(self, keep: bool = False) -> Iterator[None]:
        """The metrics hold the sums of all ranks: inside, or from here on with `keep`."""
        variables = metric_variables(self.model)
        own = [np.array(v) for v in variables]
        found = self.group.sums = self.group.gather(own)
        for v, parts in zip(variables, zip(*found, strict=True), strict=True):
            v.assign(_joined(v.aggregation, parts))
        held = {id(v): parts for v, parts in zip(variables, zip(*found, strict=True), strict=True)}
        for metric in dict.fromkeys(self.model.metrics):
            metric._join_ranks(lambda v: held[id(v)])
        yield
        if not keep:
            for v, value in zip(variables, own, strict=True):
                v.assign(value)

    def own_sums(self, sums: Sequence[Any] | None) -> Any:
        """Of what a backup holds of the metrics of each rank, that of this one."""
        return sums if sums is None else [a[self.rank] for a in sums]

    def mean_logs(self, logs: dict[str, Any]) -> dict[str, Any]:
        """Values that are not those of metrics, averaged by rows."""
        share = float(np.asarray(self.group.share))
        own = {k: float(v) for k, v in logs.items() if np.ndim(v) == 0}
        found = self.group.gather((share, own))
        return logs | {
            k: sum(part * values[k] for part, values in found if part and k in values) for k in own
        }


def _until_all_end(batches: Iterator[Any]) -> Iterator[tuple[Any, bool]]:
    yield from batches
    while True:
        yield None, False


def _rows(batch: Any) -> int:
    return int(tree.flatten(batch[0])[0].shape[0])


def _joined(how: str | None, parts: Sequence[Any]) -> Any:
    first = np.asarray(parts[0])
    if how == "only_first_replica":
        return first
    wide = [
        np.asarray(p).astype(np.float64 if first.dtype.kind == "f" else np.int64) for p in parts
    ]
    total = sum(wide[1:], wide[0])
    return (total / len(parts) if how == "mean" else total).astype(first.dtype)


def _mean(parts: Sequence[Any]) -> Any:
    return _joined("mean", parts)


def _state(model: Any, slots: bool = True) -> list[Variable]:
    """All that a step changes: weights, states of random numbers, slots of optimisers.

    Without `slots`, of the model's optimiser the numbers alone.
    """
    from fastnn.files.compiling import optimizer_values  # files: few programs have ranks
    from fastnn.files.variables import named_variables

    named = named_variables(model)
    kept = list(optimizer_values(model, named).values())
    dropped = set() if slots else {id(v) for v in kept if v.shape}
    found = [v for v in (*named.values(), *kept) if id(v) not in dropped]
    for value in vars(model).values():
        if isinstance(value, Optimizer) and value is not model.optimizer:
            found += value.variables
    return list(dict.fromkeys(v for v in found if isinstance(v, Variable)))


def _facts(model: Any) -> dict[str, Any]:
    """What ranks have to have in common before the model is built."""
    facts: dict[str, Any] = {"the model": type(model).__name__}
    for i, layer in enumerate(model._every_layer()):
        if layer is not model:
            facts |= _parts(f"layer {i}", layer)
    facts |= _parts("the optimizer", model.optimizer)
    for key in ("loss", "loss_weights", "metrics", "weighted_metrics"):
        chosen = (model._compile_config or {}).get(key)
        facts[f"compile({key}=)"] = _told(chosen)
    facts["run_eagerly"] = str(model.run_eagerly)
    return facts


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return str({str(k): _told(v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return str([_told(v) for v in value])
    if value is None or isinstance(value, str | int | float):
        return str(value)
    return getattr(value, "__name__", type(value).__name__) + _config(value)


def _parts(label: str, thing: Any) -> dict[str, Any]:
    """The class of a layer or optimiser, and each of its settings."""
    settings = _settings(thing)
    return {label: type(thing).__name__} | {
        f"{name} of {label}": json.dumps(value, sort_keys=True) for name, value in settings.items()
    }


def _settings(thing: Any) -> dict[str, Any]:
    """The settings of a layer, optimiser or loss; nothing where it has none to give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = _common(to_config(thing.get_config()))
            json.dumps(found)
        except Exception:
            return {}
    return found if isinstance(found, dict) else {}


def _config(thing: Any) -> str:
    return json.dumps(_settings(thing), sort_keys=True)


def _common(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _common(v) for k, v in value.items() if k not in _OWN}
    if isinstance(value, list | tuple):
        return [_common(v) for v in value]
    return value


def data_facts(what: str, data: Any, own_data: bool) -> dict[str, Any]:
    """Of arrays, what ranks have to have in common: of their own parts, the form of a row."""
    if not isinstance(data, ArrayData):
        kind = None if data is None else "batches"
        return {f"data {what}": kind}
    facts: dict[str, Any] = {}
    if not own_data:
        facts[f"data {what}, samples"] = data.n
    for i, a in enumerate(data.leaves):
        shape, dtype = tuple(a.shape[1:]), str(a.dtype)
        facts[f"data {what}, array {i}"] = f"{dtype} of rows of shape {shape}"
        if not own_data and isinstance(a, np.ndarray):
            facts[f"data {what}, contents of array {i}"] = f"of checksum {_checksum(a):016x}"
    return facts


def _checksum(a: Any) -> int:
    every = -(-a.nbytes // _READ) or 1
    return _digest(a[::every])


def _digest(a: Any) -> int:
    """64 bits that tell contents apart, their order too."""
    flat = np.ascontiguousarray(a).reshape(-1).view(np.uint8)
    return _core.digest(flat)
