"""Losses and metrics as `compile` takes them: one or many, by position or by output name.

Depends on `losses`, `metrics`.
"""

from __future__ import annotations

import inspect
import itertools
import warnings
from typing import Any

import numpy as np

from fastnn import losses, metrics, ops
from fastnn.base import tree
from fastnn.base.typing import TensorLike
from fastnn.config import is_accuracy_by_loss, snake_case
from fastnn.errors import DataError, unknown_name
from fastnn.losses.targets import Targets, classes_of, is_fed, labels_are_checked, targets_of

__all__ = ["CompiledLoss", "CompiledMetrics", "OlderMetrics"]


def resolve_loss(identifier: Any) -> Any:
    """A Loss object for what one entry of `loss=` may be."""
    if identifier is None or isinstance(identifier, losses.Loss):
        return identifier
    if identifier in ("crossentropy", "ce"):
        return identifier
    found = losses.get(identifier)
    if isinstance(found, losses.Loss):
        return found
    if not callable(found):
        raise ValueError(f"loss is {identifier!r}\n  hint: a name, a function or a Loss object")
    if inspect.isclass(identifier):
        return found
    check_call(found, f"loss {getattr(found, '__name__', found)!r}")
    return losses.LossFunctionWrapper(found, name=getattr(found, "__name__", None))


def check_call(fn: Any, what: str) -> None:
    """TypeError when the function cannot be called with (y_true, y_pred)."""
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise TypeError(
            f"{what} takes {signature}, it is called with (y_true, y_pred): {error}\n"
            "  hint: def my_loss(y_true, y_pred): ..."
        ) from None


def _by_output(given: Any, names: list[str] | None, count: int, what: str) -> list[Any]:
    """One entry per output, from a single entry, a list or a dict."""
    if names and any("/" in name for name in names) and _is_nested(given, names, count):
        return _at_paths(given, names, what)
    if isinstance(given, dict):
        if not names and (count != 1 or len(given) != 1):
            keys = ", ".join(map(repr, given))
            raise ValueError(
                f"{what} names {keys}, the model has {count} output(s) without names\n"
                "  hint: return a dict of outputs from call, or give a list in their order"
            )
        order = names or list(given)
        for key in given:
            if key not in order:
                raise unknown_name(f"output in {what}", key, order)
        return [given.get(n) for n in order]
    if isinstance(given, list | tuple):
        if len(given) != count:
            raise ValueError(
                f"{what} has {len(given)} entries, the model has {count} outputs\n"
                "  hint: one entry per output, None for none"
            )
        return list(given)
    return [given] * count


def _is_nested(given: Any, names: list[str], count: int) -> bool:
    """Whether entries stand where the nested outputs stand, not in a row or under whole paths."""
    if isinstance(given, dict):
        return not set(given) <= set(names) or len(given) < count
    if not isinstance(given, list | tuple):
        return False
    return len(given) != count or any(isinstance(e, dict | list | tuple) for e in given)


def _at_paths(given: Any, names: list[str], what: str) -> list[Any]:
    """The entry above or at each path of nested outputs."""
    for key in _by_path(given):
        if not any(_above(key, name) or _above(name, key) for name in names):
            raise unknown_name(f"output in {what}", key, names)
    return [_at_path(given, name, what) for name in names]


def _above(path: str, other: str) -> bool:
    return other == path or other.startswith(f"{path}/")


def _at_path(given: Any, name: str, what: str) -> Any:
    """What stands at a path, or at the first part of it that is no dict or list."""
    if isinstance(given, dict) and name in given:
        return given[name]
    for part in name.split("/"):
        if isinstance(given, dict):
            given = given.get(part)
        elif isinstance(given, list | tuple):
            if int(part) >= len(given):
                raise ValueError(
                    f"{what} has {len(given)} entries on the way to output {name!r}\n"
                    "  hint: one entry per output, None for none"
                )
            given = given[int(part)]
        else:
            break
    return given


def _labels(y_pred: Any, names: list[str] | None, given: list[str] | None) -> list[str] | None:
    """What results are called: `names`, and in nested lists the output's own name in its place."""
    if names is None or given is None or len(given) != len(names):
        return names
    paths = [path for path, _ in tree.flatten_with_path(y_pred)]
    if len(paths) != len(names) or all(len(path) < 2 for path in paths):
        return names
    return [
        "/".join([*map(str, path[:-1]), path[-1] if isinstance(path[-1], str) else own])
        for path, own in zip(paths, given, strict=True)
    ]


def _names(y_pred: TensorLike, names: list[str] | None) -> list[str] | None:
    """Names of the outputs: keys of a dict, paths in nested structures, else as the model says."""
    by_path = _by_path(y_pred)
    nested = any("/" in path for path in by_path)
    if nested or isinstance(y_pred, dict) or (names is not None and len(names) != len(by_path)):
        return list(by_path)
    return names


def _by_path(nested: Any) -> dict[str, Any]:
    """The leaves of a nested structure by their paths."""
    leaves = tree.flatten_with_path(nested)
    return {"/".join(map(str, path)) or "output": leaf for path, leaf in leaves}


def _loss_entries(given: Any, names: list[str] | None, count: int) -> list[Any]:
    """One loss per output; a list of one stands for its loss, nested outputs take nested losses."""
    inner = list(given.values()) if isinstance(given, dict) else given
    nested = isinstance(inner, list | tuple) and any(isinstance(e, dict | list) for e in inner)
    by_path = names and any("/" in name for name in names)
    if nested and not by_path and len(inner) != count and len(tree.flatten(given)) == count:
        return tree.flatten(given)
    entries = []
    for i, e in enumerate(_by_output(given, names, count, "loss")):
        one = e[0] if isinstance(e, list | tuple) and len(e) == 1 else e
        if isinstance(one, dict | list | tuple):
            where = f"'{names[i]}'" if names else f"number {i}"
            raise ValueError(
                f"output {where} has {len(one)} losses, wanted one\n"
                "  hint: write a function of (y_true, y_pred) that adds them"
            )
        entries.append(one)
    return entries


def _aligned(y: Any, y_pred: TensorLike, names: list[str] | None, partly: bool = True) -> list[Any]:
    """Targets in the order of the outputs."""
    if isinstance(y, dict) and names:
        given = _by_path(y) if isinstance(y_pred, dict) else y
        for key in given:
            if key not in names:
                raise unknown_name("output in y", key, names)
        missing = [n for n in names if n not in given]
        if missing and not partly:
            raise DataError(
                f"y lacks the output '{missing[0]}', it has {', '.join(map(repr, given))}\n"
                f"  hint: name the targets after the outputs: {', '.join(names)}"
            )
        return [given.get(n) for n in names]
    if isinstance(y, dict) and len(y) > 1 and isinstance(y_pred, list | tuple):
        raise DataError(
            f"y names {', '.join(map(repr, y))}, the model's {len(y_pred)} outputs have no names\n"
            "  hint: return a dict of outputs from call, or give a list in their order"
        )
    return tree.flatten(y)


def _spread(targets: list[Any], entries: list[Any]) -> list[Any]:
    """One target for each output, where there is one for each output that has a loss."""
    having = [i for i, entry in enumerate(entries) if entry is not None]
    if len(targets) == len(entries) or len(targets) != len(having):
        return targets
    spread = [None] * len(entries)
    for i, target in zip(having, targets, strict=True):
        spread[i] = target
    return spread


class CompiledLoss:
    """The sum of the weighted losses of all outputs; a tracker for each of several, unweighted."""

    def __init__(self, loss: Any, weights: Any = None) -> None:
        self._given = tree.map_structure(resolve_loss, loss) if isinstance(
            loss, dict | list | tuple
        ) else resolve_loss(loss)  # fmt: skip
        if isinstance(self._given, list | tuple) and len(self._given) == 1:
            self._given = self._given[0]
        self._weights = _checked_weights(weights)
        self.trackers: list[metrics.Mean] = []
        self._chosen: list[Any] | None = None
        #: Classes of each output, known from the first batch on.
        self._classes: list[int | None] | None = None

    def __call__(
        self, y: Any, y_pred: TensorLike, sample_weight: TensorLike, names: list[str] | None
    ) -> Any:
        """Gives the total loss of a batch."""
        outputs = tree.flatten(y_pred)
        own, names = names, _names(y_pred, names)
        if not outputs:
            raise DataError(
                "the model's call returned nothing, so there is no output to train\n"
                "  hint: end call(self, inputs) with `return ...`"
            )
        if y is None:
            raise DataError("y is missing, the loss needs it\n  hint: fit(x, y), evaluate(x, y)")
        entries = _loss_entries(self._given, names, len(outputs))
        targets = _aligned(y, y_pred, names, partly=any(e is None for e in entries))
        targets = _spread(targets, entries)
        if len(targets) != len(outputs):
            raise DataError(
                f"y has {len(targets)} parts, the model has {len(outputs)} outputs\n"
                "  hint: one array of targets per output"
            )
        labels = _labels(y_pred, names, own)
        chosen = self._choose(targets, outputs, names, isinstance(y_pred, dict), labels)
        self._classes = [_classes(fn, p) for fn, p in zip(chosen, outputs, strict=True)]
        factors = _by_output(self._weights, names, len(outputs), "loss_weights")
        shares = self._sample_weights(sample_weight, names, len(outputs))
        total: Any = None
        for i, fn in enumerate(chosen):
            if fn is None:
                continue
            losses.check_targets(fn, targets[i], outputs[i])
            wanted = targets_of(fn)
            known = wanted is not None and (wanted.kind != "number" or self._classes[i] is not None)
            with labels_are_checked(known and is_fed(targets[i], ("loss", i))):
                value = fn(targets[i], outputs[i], shares[i])
            for tracker in self.trackers:
                if tracker._output == i:  # type: ignore[attr-defined]
                    tracker.update_state(value, _extent(outputs[i]))
            value = value if factors[i] is None else value * float(factors[i])
            total = value if total is None else total + value
        if total is None:
            raise ValueError("every output's loss is None\n  hint: give at least one loss")
        return total

    def spread(self, targets: list[Any], names: list[str] | None, count: int) -> list[Any]:
        """One target for each of `count` outputs, None where an output has no loss."""
        if len(targets) == count:
            return targets
        return _spread(targets, _loss_entries(self._given, names, count))

    def _choose(
        self,
        targets: list[Any],
        outputs: list[Any],
        names: list[str] | None,
        by_name: bool,
        labels: list[str] | None,
    ) -> list[Any]:
        if self._chosen is None:
            entries = _loss_entries(self._given, names, len(outputs))
            self._chosen = [
                _crossentropy(t, p) if e in ("crossentropy", "ce") else e
                for e, t, p in zip(entries, targets, outputs, strict=True)
            ]
            if sum(fn is not None for fn in self._chosen) > 1:
                for i, fn in enumerate(self._chosen):
                    if fn is not None:
                        label = labels[i] if labels else f"output_{i}"
                        tracker = metrics.Mean(name=f"{label}_loss")
                        tracker._output = i
                        self.trackers.append(tracker)
                if by_name and isinstance(self._given, dict):
                    place = {f"{name}_loss": i for i, name in enumerate(self._given)}
                    self.trackers.sort(key=lambda t: place.get(t.name, len(place)))
        return self._chosen

    @staticmethod
    def _sample_weights(given: Any, names: list[str] | None, count: int) -> list[Any]:
        if given is None:
            return [None] * count
        return _by_output(given, names, count, "sample_weight")

    def takes_logits(self, output: int, count: int) -> bool:
        """Whether the loss of an output says that it gives logits."""
        given = tree.flatten(self._given) if self._chosen is None else self._chosen
        fn = given[output] if len(given) == count else given[0] if len(given) == 1 else None
        settings = getattr(fn, "_fn_kwargs", {})
        return bool(getattr(fn, "from_logits", settings.get("from_logits", False)))

    @property
    def takes_numbers(self) -> bool:
        """Whether y of the single output holds class numbers."""
        given = tree.flatten(self._given) if self._chosen is None else self._chosen
        wanted = targets_of(given[0]) if len(given) == 1 else None
        return wanted is not None and wanted.kind == "number"

    @property
    def is_traced(self) -> bool:
        """Whether a trace has told the classes of the outputs."""
        return self._classes is not None

    def wanted(self, output: int, count: int) -> Targets | None:
        """What the loss of an output wants as targets."""
        given = tree.flatten(self._given) if self._chosen is None else self._chosen
        fn = given[output] if len(given) == count else given[0] if len(given) == 1 else None
        return targets_of(fn)

    def check_labels(
        self,
        y: Any,
        names: list[str] | None,
        sizes: list[int | None] | None,
        weights: Any = None,
        fed: Any = None,
    ) -> set[tuple[int, str, int]]:
        """DataError when labels are none that the loss of an output can take.

        `sizes` are those of the outputs' last axes, where they are known before the first batch.
        `fed` holds ("loss", output) for those that get their targets as they are; None: all do.
        Gives what was looked at: the output, the kind and the axis.
        """
        done: set[tuple[int, str, int]] = set()
        count = len(self._classes) if self._classes is not None else len(sizes or ())
        if not count:
            return done
        try:
            chosen = self._chosen or _loss_entries(self._given, names, count)
        except ValueError:
            return done  # told in full when the loss is first called
        targets = [y.get(n) for n in names] if isinstance(y, dict) and names else tree.flatten(y)
        if len(targets) != count:
            return done
        shares = _shares_of(weights, names, count)
        for i, (fn, labels) in enumerate(zip(chosen, targets, strict=True)):
            what = "y" if count == 1 else f"y of output '{names[i]}'" if names else f"y[{i}]"
            wanted = targets_of(fn)
            if labels is None or wanted is None or (fed is not None and ("loss", i) not in fed):
                continue
            wanted.check(labels, (self._classes or sizes or [])[i], what, shares[i])
            done.add((i, wanted.kind, wanted.axis))
        return done


def _shares_of(weights: Any, names: list[str] | None, count: int) -> list[Any]:
    """The sample weights of each output, None where they are not said one by one."""
    found = [weights.get(n) for n in names] if isinstance(weights, dict) and names else (
        tree.flatten(weights)
    )  # fmt: skip
    return found if len(found) == count else [None] * count


def _checked_weights(weights: Any) -> Any:
    for factor in tree.flatten(weights) if weights is not None else []:
        if isinstance(factor, bool) or not isinstance(factor, int | float | np.number):
            hint = "metrics=['accuracy'] by name: the third argument is loss_weights" if (
                isinstance(factor, str)
            ) else "one number per output, such as [1.0, 0.2]"  # fmt: skip
            raise ValueError(
                f"loss_weights hold {factor!r} ({type(factor).__name__}), wanted numbers\n"
                f"  hint: {hint}"
            )
    return weights


def _classes(fn: Any, y_pred: TensorLike) -> int | None:
    """How many classes an output has, for a loss of class numbers; None where the data says."""
    axis = getattr(fn, "axis", -1)
    if fn is None or not ops.ndim(y_pred):
        return None
    size = y_pred.shape[axis if isinstance(axis, int) else -1]
    return size if isinstance(size, int) else None


def _extent(x: Any) -> Any:
    from fastnn import _core

    return _core.ops.extent(x, axis=[0])


def _crossentropy(y: Any, p: Any) -> Any:
    if p.shape[-1] == 1:
        return losses.BinaryCrossentropy()
    if len(y.shape) < len(p.shape) or y.shape[-1] == 1:
        return losses.SparseCategoricalCrossentropy()
    return losses.CategoricalCrossentropy()


class CompiledMetrics:
    """Metrics of all outputs, resolved at the first batch, when shapes are known."""

    output_names: list[str] | None
    by_output: bool

    name = "compile_metrics"
    variables: tuple[Any, ...] = ()

    def __init__(
        self,
        plain: Any,
        weighted: Any,
        output_names: list[str] | None = None,
        loss: CompiledLoss | None = None,
    ) -> None:
        self.output_names, self._loss = output_names, loss
        for given in (plain, weighted):
            for m in tree.flatten(given):
                if isinstance(m, str):
                    metrics.check_name(m)
                elif not isinstance(m, metrics.Metric) and not callable(m):
                    raise ValueError(
                        f"metrics hold {m!r}\n  hint: names, functions or Metric objects"
                    )
        self._given = (plain, weighted)
        self._slots: list[tuple[int, Any, bool]] | None = None
        #: Classes that each metric counts, as `CompiledLoss._classes`.
        self._classes: list[int | None] = []
        #: Whether the names say which of several outputs is meant.
        self.by_output = False

    @property
    def metrics(self) -> list[Any]:
        """The metrics, in the order given; before the first batch this object stands for them."""
        if self._slots is None:
            return [self] if tree.flatten(self._given) else []
        return [m for _, m, _ in self._slots]

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Takes a batch into account: how a `train_step` updates `self.metrics`."""
        self.update(y_true, y_pred, sample_weight, self.output_names)

    def result(self) -> dict[str, Any]:
        """Values of all metrics by name."""
        return {m.name: m.result() for _, m, _ in self._slots or ()}

    def reset_state(self) -> None:
        """All back to the start; before the first batch those that were given as objects."""
        if self._slots is None:
            found = [m for m in tree.flatten(self._given) if isinstance(m, metrics.Metric)]
        else:
            found = [m for _, m, _ in self._slots]
        for m in found:
            m.reset_state()

    def check_labels(
        self,
        y: Any,
        names: list[str] | None,
        weights: Any = None,
        fed: Any = None,
        done: Any = (),
    ) -> None:
        """DataError when labels are none that a metric can count.

        `fed` holds ("metric", its place) for those that get their targets as they are; None: all
        do. `done` says what the loss has looked at.
        """
        targets = [y.get(n) for n in names] if isinstance(y, dict) and names else tree.flatten(y)
        shares = _shares_of(weights, names, len(targets))
        for at, (i, metric, _) in enumerate(self._slots or ()):
            target: Any = targets[i] if i < len(targets) else None
            if target is None or (fed is not None and ("metric", at) not in fed):
                continue
            if hasattr(metric, "check_labels"):
                metric.check_labels(target)
            wanted, classes = targets_of(metric), getattr(self, "_classes", [])
            if wanted is None or at >= len(classes):
                continue
            if wanted.kind != "number" and (i, wanted.kind, wanted.axis) in done:
                continue
            try:
                wanted.check(target, classes[at], f"y of metric '{metric.name}'", shares[i])
            except DataError:
                if not getattr(metric, "_any_targets", False):
                    raise
                warnings.warn(
                    f"metric '{metric.name}' compares classes, and y holds other numbers: for "
                    "regression use metrics=['mae']",
                    stacklevel=6,
                )

    def update(
        self, y: Any, y_pred: TensorLike, sample_weight: TensorLike, names: list[str] | None
    ) -> None:
        """Takes a batch into account."""
        outputs = tree.flatten(y_pred)
        own, names = names, _names(y_pred, names)
        targets = _aligned(y, y_pred, names)
        loss = getattr(self, "_loss", None)  # pickles of older versions have none
        if loss is not None:
            targets = loss.spread(targets, names, len(outputs))
        if self._slots is None:
            labels = _labels(y_pred, names, own)
            self._slots = self._build(targets, outputs, names, labels)
        weights = (
            [None] * len(outputs) if sample_weight is None
            else _by_output(sample_weight, names, len(outputs), "sample_weight")
        )  # fmt: skip
        self._classes = [classes_of(outputs[i], targets_of(m)) for i, m, _ in self._slots]
        for at, (i, metric, weighted) in enumerate(self._slots):
            try:
                # What a step is fed is checked before each run, with the weights of its rows.
                wanted = targets_of(metric)
                known = wanted is not None and (
                    wanted.kind != "number" or self._classes[at] is not None
                )
                checked = known and is_fed(targets[i], ("metric", at))
                checked |= getattr(metric, "_any_targets", False)
                with labels_are_checked(checked):
                    metric.update_state(targets[i], outputs[i], weights[i] if weighted else None)
            except Exception as error:
                error.add_note(f"  in metric {metric.name!r}")
                raise

    def _build(
        self,
        targets: list[Any],
        outputs: list[Any],
        names: list[str] | None,
        labels: list[str] | None,
    ) -> list[tuple[int, Any, bool]]:
        slots: list[tuple[int, Any, bool]] = []
        self.by_output = len(outputs) > 1
        taken = {"loss", *(f"{name}_loss" for name in labels or () if len(outputs) > 1)}
        for given, weighted in zip(self._given, (False, True), strict=True):
            for i, entries in enumerate(_metric_lists(given, names, len(outputs))):
                for entry in entries:
                    loss = getattr(self, "_loss", None)  # pickles of older versions have none
                    logits = loss is not None and loss.takes_logits(i, len(outputs))
                    wanted = None if loss is None else loss.wanted(i, len(outputs))
                    kind = wanted.kind if wanted is not None else None
                    metric = _resolve(entry, targets[i], outputs[i], logits, kind)
                    label = (labels[i] if labels else f"output_{i}") + "_"
                    label = label if len(outputs) > 1 else ""
                    if all(metric is not m for _, m, _ in slots):
                        # Configs keep the name that was given: this one is made anew from it.
                        own = metric.__dict__.setdefault("_given_name", metric.name)
                        twice = weighted and f"{label}{own}" in taken
                        metric.name = _unique(f"{label}{'weighted_' if twice else ''}{own}", taken)
                        taken.add(metric.name)
                    slots.append((i, metric, weighted))
        return slots


def _unique(name: str, taken: set[str]) -> str:
    """The name, numbered where it is taken: results stand in a dict by name."""
    numbered = (f"{name}_{n}" for n in itertools.count(1))
    return name if name not in taken else next(n for n in numbered if n not in taken)


def _metric_lists(given: Any, names: list[str] | None, count: int) -> list[list[Any]]:
    if given is None:
        return [[] for _ in range(count)]
    if isinstance(given, dict):
        return [_listed(v) for v in _by_output(given, names, count, "metrics")]
    if names and any("/" in name for name in names) and len(_listed(given)) != count:
        return [_listed(v) for v in _at_paths(given, names, "metrics")]
    entries = _listed(given)
    if count == 1:
        flat = [m for e in entries for m in _listed(e)]
        return [flat]
    if len(entries) == count:
        return [_listed(e) for e in entries]
    raise ValueError(
        f"metrics has {len(entries)} entries, the model has {count} outputs\n"
        "  hint: one list per output, or a dict by output name"
    )


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _resolve(entry: Any, y: Any, p: Any, from_logits: bool, kind: str | None) -> Any:
    if isinstance(entry, metrics.Metric):
        return entry
    from_logits = from_logits and is_accuracy_by_loss()
    if isinstance(entry, str) and entry.lower() in metrics.BY_SHAPE:
        of_loss = kind if is_accuracy_by_loss() else None
        metric = metrics.by_shape(entry, y, p, from_logits, of_loss)
        # Nobody said that y holds classes: neither the metric's class nor the loss.
        metric._any_targets = kind is None
        return metric
    if isinstance(entry, str):
        found = metrics.get(entry)
        if from_logits and type(found) is metrics.BinaryAccuracy:
            found = metrics.BinaryAccuracy(threshold=0.0)
        if not isinstance(found, metrics.Metric):
            found = metrics.MeanMetricWrapper(found, entry)
        found.name = entry
        return found
    found = metrics.get(entry)
    if isinstance(found, metrics.Metric):
        return found
    return metrics.MeanMetricWrapper(found, _name_of(found))


def _name_of(function: Any) -> str:
    """The name under which Keras reports a function or callable object: `camelCase` is camel_case.

    A lambda is lambda, an object without a name is called after its class.
    """
    name = getattr(function, "name", None)
    own = getattr(function, "__name__", type(function).__name__)
    return name if isinstance(name, str) else snake_case(own)


class OlderMetrics:
    """The compiled metrics of a model under the names that they had in Keras 2."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @property
    def metrics(self) -> list[Any]:
        """The metrics."""
        found = self._model._compiled_metrics
        return [] if found is None else list(found.metrics)

    def update_state(self, y: Any, y_pred: TensorLike, sample_weight: TensorLike = None) -> None:
        """Takes a batch in."""
        if self._model._compiled_metrics is not None:
            names = getattr(self._model, "output_names", None)
            self._model._compiled_metrics.update(y, y_pred, sample_weight, names)

    def result(self) -> dict[str, Any]:
        """The values by name."""
        return {m.name: m.result() for m in self.metrics}
