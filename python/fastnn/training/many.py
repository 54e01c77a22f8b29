"""`fit_many`: many small networks at once, one core each. Depends on `random`, `display`, `_core`.

The core's loop runs outside the interpreter, so threads train side by side; within a run the core
then uses one thread, and results do not depend on that.
"""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from fastnn import _core, random
from fastnn.base import tree
from fastnn.base.arguments import as_number, is_whole, verbosity
from fastnn.callbacks import History
from fastnn.display.progress import Progbar, format_value
from fastnn.metrics import Metric

__all__ = ["Seeded", "checked_workers", "fit_many", "side_by_side"]


def fit_many(
    models: Any,
    data: Any,
    *,
    seeds: Sequence[int] | None = None,
    workers: int | None = None,
    verbose: Any = "auto",
    **fit: Any,
) -> list[History]:
    """Trains many models at once, one core each: folds, seeds, members of an ensemble, candidates.

    Run `i` gives the bits of `with fastnn.random.seed_scope(seeds[i]): build().fit(...)`, whatever
    the number of workers. A large network gains nothing here: `fit` uses all cores for it.

    Args:
        models: A function that gives a compiled model, called once per entry of `data`; or a list
            of such functions or of compiled models, which must share nothing that changes.
        data: A list with one entry per model: (x, y), (x, y, sample_weight), or a dict of
            arguments of `fit`, such as `{"x": x, "y": y, "validation_data": (a, b)}`. With a list
            of models also one such tuple or dict for all of them.
        seeds: A seed per model; None draws them from the process's source.
        workers: How many train at the same time; None: as many as the core uses threads.
        verbose: 0 is silent, 1 shows how many are done, 2 prints a line a model.
        **fit: Further arguments of `fit` for all models. `callbacks` is a function that gives a new
            list for each model, since callbacks keep what they have seen.

    Returns:
        A list of `History`, in the order of the models; each has its `model`.

    Raises:
        ValueError: Numbers of models, data and seeds differ, or models share weights.
        Exception: What the first run that failed has raised; the others are stopped.

    Example:
        >>> def build():
        ...     model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        ...     model.compile(fastnn.optimizers.Adam(0.1), "mse")
        ...     return model
        >>> rng = np.random.default_rng(0)
        >>> bags = [rng.normal(size=(50, 3)) for _ in range(4)]
        >>> runs = fastnn.fit_many(build, [(x, x.sum(1)) for x in bags], seeds=range(4),
        ...                        epochs=20, verbose=0)
        >>> len(runs), runs[0].model.predict(bags[0], verbose=0).shape
        (4, (50, 1))
    """
    level = verbosity(verbose)
    makers, entries = _paired(models, data)
    chosen = _seeds(seeds, len(makers))
    calls = fit.pop("callbacks", None)
    if calls is not None and not callable(calls):
        raise ValueError(
            "callbacks is a list, which all models would share; callbacks keep what they have seen"
            "\n  hint: callbacks=lambda: [fastnn.callbacks.EarlyStopping()]"
        )
    taken: dict[int, tuple[int, Any]] = {}

    def make(at: int) -> Seeded:
        run = Seeded(chosen[at], makers[at])
        with _naming(at):
            _refuse_shared(taken, at, run.made)
        return run

    def work(at: int, run: Seeded) -> History:
        with _naming(at):
            given = {"verbose": 0} | fit | entries[at]
            if calls is not None:
                given["callbacks"] = calls()
            return run(run.made.fit, **given)  # type: ignore[no-any-return]

    histories: list[History] = []
    bar = Progbar(len(makers), unit_name="model") if level == 1 else None
    for history in side_by_side(len(makers), make, work, checked_workers(workers)):
        histories.append(history)
        last = {k: v[-1] for k, v in history.history.items() if v}
        if bar is not None:
            bar.update(len(histories), list(last.items()))
        elif level == 2:
            text = " - ".join(f"{k}: {format_value(v)}" for k, v in last.items())
            print(f"model {len(histories) - 1}: {text}")
    return histories


class Seeded:
    """A model built under a seed of its own, which goes on where the building left it.

    The two parts may run in different threads, as one context that is handed over.
    """

    made: Any

    def __init__(self, seed: int, build: Callable[[], Any]) -> None:
        self._context = random.seed_context(seed)
        self.made = self._context.run(build)

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Calls a function under the seed."""
        return self._context.run(function, *args, **kwargs)


def checked_workers(workers: Any) -> int:
    """How many runs go on at the same time."""
    if workers is None:
        return _core.get_num_threads()
    count = as_number(workers)
    if not is_whole(count) or not 1 <= count <= 256:
        raise ValueError(
            f"workers is {workers!r}, wanted a whole number from 1 to 256\n  hint: workers=None"
        )
    return int(count)


def side_by_side(
    count: int,
    make: Callable[[int], Seeded],
    work: Callable[[int, Seeded], Any],
    workers: int,
) -> Iterator[Any]:
    """What `work(i, make(i))` gives for each i, in order.

    Everything is made by the calling thread, one after the other, so that names and draws do not
    depend on threads; what is made runs on `workers` threads. When a run fails, or the caller is
    interrupted, the runs under way end at their next look.
    """
    if workers == 1 or count <= 1:
        for at in range(count):
            yield work(at, make(at))
        return
    pending: deque[tuple[Seeded, Future[Any]]] = deque()
    pool = ThreadPoolExecutor(min(workers, count), thread_name_prefix="fastnn-fit")
    with _one_core_each():
        try:
            for at in range(count):
                made = make(at)
                pending.append((made, pool.submit(work, at, made)))
                # A few are made ahead, so that no worker waits for its next model.
                if len(pending) > 2 * workers:
                    yield pending[0][1].result()
                    pending.popleft()
            while pending:
                yield pending[0][1].result()
                pending.popleft()
        finally:
            for _, future in pending:
                future.cancel()
            while any(not future.done() for _, future in pending):
                # Again and again: a fit that begins takes the mark away.
                for made, _ in pending:
                    made.made.stop_training = True
                with contextlib.suppress(TimeoutError, Exception):
                    next(f for _, f in pending if not f.done()).result(0.02)
            pool.shutdown()


_holders = 0
_before = 0
_holding = threading.Lock()


@contextlib.contextmanager
def _one_core_each() -> Iterator[None]:
    """The core computes on the calling threads alone; the last to leave puts back what was."""
    global _holders, _before
    with _holding:
        if _holders == 0:
            _before = _core.get_num_threads()
            _core.set_num_threads(1)
        _holders += 1
    try:
        yield
    finally:
        with _holding:
            _holders -= 1
            if _holders == 0:
                _core.set_num_threads(_before)


@contextlib.contextmanager
def _naming(at: int) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"  in model {at} of fit_many")
        raise


def _same(model: Any) -> Any:
    return model


def _is_model(value: Any) -> bool:
    kind = type(value)  # asking the model itself would collect its weights
    return hasattr(kind, "fit") and hasattr(kind, "trainable_variables")


def _paired(models: Any, data: Any) -> tuple[list[Callable[[], Any]], list[dict[str, Any]]]:
    """A builder and the arguments of `fit` for each run."""
    several = isinstance(models, list | tuple)
    if not several and (_is_model(models) or not callable(models)):
        raise ValueError(
            f"models is a {type(models).__name__}, wanted a function that gives a compiled model, "
            "or a list of models\n  hint: fit_many(build, [(x1, y1), (x2, y2)])"
        )
    for_all = isinstance(data, dict | tuple)
    if for_all and not several:
        raise ValueError(
            "data is one entry, so it does not say how many models to build\n"
            "  hint: fit_many([build] * 10, (x, y)), or a list with an entry per model"
        )
    if not for_all and not isinstance(data, list):
        raise ValueError(
            f"data is a {type(data).__name__}, wanted a list with (x, y) per model\n"
            "  hint: fit_many(build, [(x1, y1), (x2, y2)])"
        )
    count = len(models) if several else len(data)
    entries = [_arguments(e, i) for i, e in enumerate([data] * count if for_all else data)]
    if len(entries) != count:
        raise ValueError(
            f"there are {count} models and {len(entries)} entries of data\n"
            "  hint: one (x, y) per model, or one for all"
        )
    makers: list[Callable[[], Any]] = []
    for at, model in enumerate(models if several else [models] * count):
        if not _is_model(model) and not callable(model):
            raise ValueError(
                f"models[{at}] is a {type(model).__name__}, wanted a compiled model or a function "
                "that gives one\n  hint: fit_many([build_a, build_b], (x, y))"
            )
        makers.append(functools.partial(_same, model) if _is_model(model) else model)
    return makers, entries


def _arguments(entry: Any, at: int) -> dict[str, Any]:
    if isinstance(entry, dict):
        return dict(entry)
    if isinstance(entry, tuple | list) and 1 <= len(entry) <= 3:
        return dict(zip(("x", "y", "sample_weight"), entry, strict=False))
    raise ValueError(
        f"data[{at}] is a {type(entry).__name__}, wanted (x, y), (x, y, sample_weight) or a "
        'dict of arguments of fit\n  hint: {"x": x, "y": y, "validation_data": (a, b)}'
    )


def _seeds(seeds: Any, count: int) -> list[int]:
    if seeds is None:
        return [random.make_default_seed() for _ in range(count)]
    given = [as_number(s) for s in seeds] if hasattr(seeds, "__iter__") else None
    if given is None or len(given) != count or any(not is_whole(s) or s < 0 for s in given):
        got = repr(seeds) if given is None else f"{len(given)} values"
        raise ValueError(
            f"seeds is {got}, wanted {count} whole numbers from 0, one per model\n"
            f"  hint: seeds=range({count})"
        )
    return given


def _refuse_shared(taken: dict[int, tuple[int, Any]], at: int, model: Any) -> None:
    """Refuses a model that would train what another one trains."""
    if not _is_model(model):
        raise ValueError(
            f"the function gave a {type(model).__name__}, wanted a compiled model\n"
            "  hint: def build(): ...; model.compile(...); return model"
        )
    parts = [("the model", model), *((f"the weight {v.path!r}", v) for v in model.variables)]
    if getattr(model, "compiled", False):
        parts.append(("the optimizer", model.optimizer))
        # Metrics given as objects are the same for every model that was compiled with them.
        chosen = [model._compile_config[k] for k in ("metrics", "weighted_metrics")]
        given = [m for m in tree.flatten(chosen) if isinstance(m, Metric)]
        parts += [(f"the metric {m.name!r}", m) for m in [*given, *model.metrics]]
    for what, part in parts:
        first = taken.setdefault(id(part), (at, part))[0]
        if first != at:
            raise ValueError(
                f"models {first} and {at} share {what}, and would train it at the same time\n"
                "  hint: build each model anew, with an optimizer and metrics of its own"
            )
