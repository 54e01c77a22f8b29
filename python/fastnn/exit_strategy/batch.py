"""Many companies at once: stream CSV or Parquet in, one columnar row per company out.

A row that is not valid does not stop the batch: its `errors` column names code, field, fault and
fix. All companies share one random stream (common random numbers), so each is scored as `evaluate`
scores it alone, in any order and chunk size. Rows come from `batch_input` and go to `batch_output`.
"""

from __future__ import annotations

import inspect
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from fastnn.exit_strategy.records import dataclass

from .batch_input import Source, open_source
from .batch_output import TEXTS, Output, fingerprint
from .contracts import CurveTable, ExitModel, SamplingSpec, Simulation
from .criteria import BASE_OPTIONS, Criteria, Weights, check_options, load_criteria, resolve_weights
from .errors import ExitError, Issue, visible
from .evaluation import DEFAULT_DRAWS, check_draws
from .gates.data import Gates, load_gates
from .gates.judge import unique
from .notes import Note
from .profile.profile import Profile
from .reading.delimited import BadRow
from .reading.files import home
from .resources import cached
from .scoring.judging import Frame, Judgement, judge_many
from .scoring.ranking import methods_agree, rank_rows, recommend
from .scoring.sampling import build_spec, computed_fits, curves_of
from .scoring.told import told_of
from .scoring.uncertainty import simulate_many

__all__ = ["BatchResult", "evaluate_many"]

CHUNK = 512  # companies in memory at once


@dataclass(frozen=True)
class BatchResult:
    """Columns of equal length, one entry per company; `failed` counts rows with errors.

    `remarks` says how the source was read where it is not plain, and what was taken up again.
    """

    columns: Mapping[str, Any]
    rows: int
    failed: int
    output: str | None
    remarks: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Any:
        """Return one column."""
        return self.columns[name]


@dataclass(frozen=True, slots=True)
class _Job:
    """Settings shared by all rows."""

    frame: Frame
    weights: Weights
    curves: tuple[CurveTable | None, ...]
    draws: int
    seed: int
    kappa: float
    threads: int | None
    decimal: str | None


@dataclass(frozen=True, slots=True)
class _Ready:
    """One valid company, ready to be sampled."""

    row: dict[str, Any]
    company: Profile
    spec: SamplingSpec
    made: Judgement


def evaluate_many(
    source: Any,
    *,
    output: str | Path | None = None,
    options: Sequence[str] = BASE_OPTIONS,
    weights: object = "founder",
    draws: int = DEFAULT_DRAWS,
    seed: int = 0,
    kappa: float = 60.0,
    gates: Gates | None = None,
    model: ExitModel | None = None,
    criteria: Criteria | None = None,
    threads: int | None = None,
    workers: int = 1,
    progress: Any = None,
    resume: bool = False,
    encoding: str | None = None,
    decimal: str | None = None,
) -> BatchResult:
    """Score every company of a CSV or Parquet file, a data frame, or an iterable of mappings.

    With `output` (.csv or .parquet) rows are written as they are made and the result holds only
    counts; without it the result holds the columns. The file has its name once it is whole; until
    then it is called `NAME.partial.csv`, and `resume` goes on where such a file stops. `workers`
    processes score companies side by side, with the same result; one samples a chunk while it
    judges the next, which keeps two cores busy. `progress(done)`, or `progress(done, total)` where
    it takes both, is called after each chunk; the total is None where only the end will tell.
    `encoding` and `decimal` say how a CSV file is written, where that cannot be told.

    Raises:
        ExitError: EX112 to EX114 for a source that cannot be read or holds no company, EX121 for a
            column that stands twice, EX802 for an output that cannot be written or taken up again.
    """
    tree = criteria or load_criteria()
    chosen = check_options(options, tree)
    check_draws(draws, seed, kappa, len(chosen))
    tell = _teller(progress)
    _check_workers(workers)
    weighting = resolve_weights(weights, tree)
    job = _Job(
        Frame(tree, chosen, tuple(weighting.values), gates or load_gates(), model),
        weighting,
        curves_of(tree, chosen),
        draws,
        seed,
        kappa,
        threads,
        decimal,
    )
    names = column_names(chosen)
    kept: dict[str, list[Any]] = {name: [] for name in names}
    with ExitStack() as stack:
        given = open_source(source, encoding, CHUNK)
        stack.callback(given.close)  # an interruption leaves no file open
        sink = None
        if output is not None:
            print_of = fingerprint(source, _settings_of(job)) if resume or given.path else ""
            sink = Output(home(output), names, print_of, resume, stack)
        elif resume:
            raise ExitError(Issue("EX803", "resume", "there is no output", "name the output file"))
        done, failed = (sink.rows, sink.failed) if sink else (0, 0)
        rows = enumerate(islice(given.rows, done, None), done + 1)
        for made in _scored(_chunks(rows), job, given, workers, stack):
            failed += sum(1 for row in made if row["errors"])
            done += len(made)
            if sink is not None:
                sink.write(made)
            else:
                for name in names:
                    kept[name].extend(row[name] for row in made)
            tell(done, given.total)
        if given.path and not done:
            text = f"{given.path} holds no company"
            raise ExitError(Issue("EX114", "", text, "write one row per company below the header"))
        if sink is not None:
            sink.finish(done, failed)
    remarks = given.remarks if sink is None else (*given.remarks, *sink.remarks)
    if output is not None:
        return BatchResult({}, done, failed, str(output), remarks)
    columns = {
        name: values if name in TEXTS else np.asarray(values, dtype=np.float64)
        for name, values in kept.items()
    }
    return BatchResult(columns, done, failed, None, remarks)


def _teller(progress: Any) -> Callable[[int, int | None], None]:
    """Return what tells of progress: a function of what is done, and of the total if it asks."""
    if progress is None:
        return lambda done, total: None
    try:
        given = list(inspect.signature(progress).parameters.values())
    except (TypeError, ValueError):  # some builtins do not tell
        given = []
    both = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in given) >= 2

    def tell(done: int, total: int | None) -> None:
        progress(*((done, total) if both else (done,)))

    return tell


def _settings_of(job: _Job) -> tuple[str, ...]:
    """What a result depends on besides the source, as texts."""
    frame = job.frame
    tree = frame.criteria
    return (
        *frame.options, *map(repr, frame.weights), str(job.draws), str(job.seed),
        repr(job.kappa), *frame.gates.hashes.values(), frame.model.name if frame.model else "",
        "" if tree.source is None else tree.source[1], str(job.decimal),
    )  # fmt: skip


def _check_workers(workers: int) -> None:
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 256:
        raise ExitError(
            Issue("EX803", "workers", f"{workers!r} is not a number of processes", "use 1 to 256")
        )


def _chunks(rows: Iterable[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def _scored(
    chunks: Iterator[list[tuple[int, Any]]],
    job: _Job,
    given: Source,
    workers: int,
    stack: ExitStack,
) -> Iterator[list[dict[str, Any]]]:
    """Yield scored chunks in order; a few are in flight when there are several workers."""
    first = list(islice(chunks, 2))  # starting processes is not worth it for a single chunk
    chunks = chain(first, chunks)
    if workers == 1 or len(first) < 2:
        yield from _side_by_side(chunks, job, given.total, stack)
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    kinds = multiprocessing.get_all_start_methods()
    kind = "forkserver" if "forkserver" in kinds else "spawn"  # fork would copy running threads
    context = multiprocessing.get_context(kind)
    pool = ProcessPoolExecutor(workers, mp_context=context)
    stack.callback(pool.shutdown, wait=True, cancel_futures=True)  # an interrupt does not wait long
    alone = replace(job, threads=1)
    waiting: deque[Future[list[dict[str, Any]]]] = deque()
    try:
        for chunk in chunks:
            with _main_left_alone(job):
                waiting.append(pool.submit(_chunk_alone, chunk, alone, given.total))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        hint = "use workers=1, or put the call under if __name__ == '__main__':"
        raise ExitError(Issue("EX803", "workers", "a worker process ended", hint)) from error


def _side_by_side(
    chunks: Iterator[list[tuple[int, Any]]], job: _Job, total: int | None, stack: ExitStack
) -> Iterator[list[dict[str, Any]]]:
    """Yield scored chunks in order; one is sampled, in compiled code, while the next is judged."""
    from concurrent.futures import Future, ThreadPoolExecutor

    sampler = ThreadPoolExecutor(1, "fastnn-exit-batch")
    stack.callback(sampler.shutdown, wait=True, cancel_futures=True)
    waiting: deque[tuple[_Chunk, Future[list[Simulation | Exception]]]] = deque()
    for chunk in chunks:
        begun = _begin(chunk, job, total)
        waiting.append((begun, sampler.submit(_simulated, begun.ready, job)))
        if len(waiting) > 1:
            before, sims = waiting.popleft()
            yield _score_chunk(before, sims.result(), job)
    for before, sims in waiting:
        yield _score_chunk(before, sims.result(), job)


@contextmanager
def _main_left_alone(job: _Job) -> Iterator[None]:
    """Start processes without running the caller's script again: workers need nothing of it.

    Unless the caller's own model is defined in the script.
    """
    main = sys.modules["__main__"]
    if b"__main__" in pickle.dumps(job):
        yield
        return
    names: dict[str, Any] = {
        name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)
    }
    vars(main).pop("__file__", None)
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(names)


def column_names(options: Sequence[str]) -> list[str]:
    """Return the columns of a batch, in order; `row` is the place among the source's `rows`.

    `listing_rules` says what the venues' rules come to: `pass`, `pass_unread` where only rules
    pass whose source nobody has read, `unknown` or `fail`; empty where no listing is weighed.
    """
    kinds = ("p_first", "score_mean", "score_p05", "score_p95", "p_complete", "founder_npv", "open")
    out = ["name", "recommendation", "first", "lead", "unknown_weight"]
    out += [f"{kind}_{option}" for option in options for kind in kinds]
    return [*out, "listing_rules", "row", "rows", "errors", "warnings"]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some rows of a batch, read and judged: all of them, and those that can be sampled."""

    rows: list[dict[str, Any]]
    ready: list[_Ready]


def _chunk_alone(
    chunk: Sequence[tuple[int, Any]], job: _Job, total: int | None
) -> list[dict[str, Any]]:
    begun = _begin(chunk, job, total)
    return _score_chunk(begun, _simulated(begun.ready, job), job)


def _begin(chunk: Sequence[tuple[int, Any]], job: _Job, total: int | None) -> _Chunk:
    """Read and judge companies; what is wrong with one stays in its row."""
    options = job.frame.options
    names = column_names(options)
    out: list[dict[str, Any]] = []
    read: list[tuple[dict[str, Any], Profile]] = []
    for number, raw in chunk:
        row: dict[str, Any] = dict.fromkeys(names)
        row["row"], row["rows"] = float(number), None if total is None else float(total)
        cells = raw.cells if isinstance(raw, BadRow) else raw
        row["name"] = _name_of(cells)
        row["errors"] = row["warnings"] = row["listing_rules"] = ""
        out.append(row)
        try:
            if isinstance(raw, BadRow):
                raise ExitError(raw.issue)
            stated = job.decimal and isinstance(raw, Mapping) and "decimal" not in raw
            given = {**raw, "decimal": job.decimal} if stated else raw
            read.append((row, Profile.from_dict(given)))
        except Exception as error:  # whatever is odd in one row, the others go on
            _fail(row, error)
    return _Chunk(out, _judged(read, job))


def _judged(read: Sequence[tuple[dict[str, Any], Profile]], job: _Job) -> list[_Ready]:
    """Judge companies together; if that fails one by one, so that the fault stays with its row."""
    try:
        made = judge_many([profile for _, profile in read], job.frame)
        fits = computed_fits(job.frame.criteria, job.frame.options, [one.computed for one in made])
        return [
            _prepare(row, who, one, own, job)
            for (row, who), one, own in zip(read, made, fits, strict=True)
        ]
    except Exception as error:
        if len(read) == 1:
            _fail(read[0][0], error)
            return []
    return [ready for item in read for ready in _judged([item], job)]


def _score_chunk(
    begun: _Chunk, sims: Sequence[Simulation | Exception], job: _Job
) -> list[dict[str, Any]]:
    """Rank what has been sampled, and return the rows."""
    done = []
    for item, sim in zip(begun.ready, sims, strict=True):
        if isinstance(sim, Exception):
            _fail(item.row, sim)
        else:
            done.append((item, sim))
    scores = [item.made.scores for item, _ in done]
    agree = methods_agree(scores, [item.spec.open_options for item, _ in done], job.weights)
    for (item, sim), same in zip(done, agree, strict=True):
        _finish(item, sim, same, job)
    return begun.rows


def _name_of(cells: Any) -> str:
    try:
        name = cells.get("name", "")
        return visible(str(name)[:120])
    except Exception:  # a row that is no mapping, or a name that cannot be shown
        return ""


def _fail(row: dict[str, Any], error: Exception) -> None:
    """Put what is wrong into a row; its figures are taken back."""
    if not isinstance(error, ExitError):
        text = f"{type(error).__name__}: {error}"[:200]
        error = ExitError(Issue("EX123", "", text, "check the types of the row's values"))
    for name in row:
        if name not in ("name", "row", "rows"):
            row[name] = None
    row["recommendation"] = "error"
    row["warnings"] = row["listing_rules"] = ""
    row["errors"] = visible(
        "; ".join(
            f"{issue.code} {issue.field}: {issue.message} ({issue.hint})" for issue in error.issues
        )
    )


def _simulated(ready: Sequence[_Ready], job: _Job) -> list[Simulation | Exception]:
    """Sample companies together; if that fails one by one, so that the fault stays with its row."""
    if not ready:
        return []
    specs = [item.spec for item in ready]
    try:
        return list(
            simulate_many(
                specs, kappa=job.kappa, draws=job.draws, seed=job.seed, threads=job.threads
            )
        )
    except ExitError as error:
        if len(ready) == 1:
            return [error]
    return [sim for item in ready for sim in _simulated([item], job)]


def _prepare(
    row: dict[str, Any], profile: Profile, made: Judgement, fits: Any, job: _Job
) -> _Ready:
    """Return one company ready for sampling; everything but the ranks goes into its row."""
    frame = job.frame
    spec = build_spec(
        profile, frame.criteria, frame.options, frame.weights, made.leaves, made.computed,
        made.report, job.curves, fits,
    )  # fmt: skip
    for option, is_open in zip(frame.options, spec.open_options, strict=True):
        row[f"p_complete_{option}"] = made.chances[option].value
        row[f"founder_npv_{option}"] = float(made.money.options[option].founder_npv[1])
        row[f"open_{option}"] = float(is_open)
    venues = [gate for gate in made.report.hard if gate.name == "venue"]
    row["listing_rules"] = venues[0].word if venues else ""
    return _Ready(row, profile, spec, made)


@cached()
def _plain(key: str) -> str:
    """The text of a warning that is the same for every company."""
    return Note(key).text()


def _finish(item: _Ready, sim: Simulation, agree: bool, job: _Job) -> None:
    made = item.made
    ranking = rank_rows(sim, made.scores, made.report)
    advice = recommend(
        job.frame.criteria, job.weights, ranking, made.scores, made.unknown, (), agree
    )
    row = item.row
    row["recommendation"], row["first"] = advice.answer, ranking[0].option
    row["lead"], row["unknown_weight"] = advice.lead, advice.unknown_weight
    notes = unique(told_of(item.company, made, advice))
    texts = (n.text() if n.values else _plain(n.key) for n in notes)
    row["warnings"] = visible(" | ".join(texts))
    for k, option in enumerate(job.frame.options):
        row[f"p_first_{option}"] = float(sim.p_first[k])
        row[f"score_mean_{option}"] = float(sim.score_mean[k])
        row[f"score_p05_{option}"] = float(sim.score_p05[k])
        row[f"score_p95_{option}"] = float(sim.score_p95[k])
