"""Many companies at once: stream CSV or Parquet in, one columnar row per company out.

A row that is not valid does not stop the batch: its `errors` column names code, field, fault and
fix. All companies share one random stream (common random numbers), so each is scored as `evaluate`
scores it alone, in any order and chunk size. Parquet needs pyarrow, imported when used.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from .completion import base_of, complete
from .contracts import CurveTable, ExitModel, SamplingSpec, Simulation
from .criteria import BASE_OPTIONS, Criteria, Weights, check_options, load_criteria, resolve_weights
from .errors import ExitError, Issue
from .evaluation import DEFAULT_DRAWS, check_draws, point_fits, rank_rows, recommend, unknown_leaves
from .gate_data import Gates, load_gates
from .gates import judge_gates
from .leaves import read_leaves
from .profile import Profile
from .sampling import build_spec, computed_facts, curves_of
from .scoring import score_fits

__all__ = ["BatchResult", "evaluate_many"]

CHUNK = 512  # companies in memory at once


@dataclass(frozen=True)
class BatchResult:
    """Columns of equal length, one entry per company; `failed` counts rows with errors."""

    columns: Mapping[str, Any]
    rows: int
    failed: int
    output: str | None

    def __getitem__(self, name: str) -> Any:
        """Return one column."""
        return self.columns[name]


@dataclass(frozen=True, slots=True)
class _Job:
    """Settings shared by all rows."""

    options: tuple[str, ...]
    weights: Weights
    criteria: Criteria
    curves: tuple[CurveTable | None, ...]
    gates: Gates
    model: ExitModel | None
    draws: int
    seed: int
    kappa: float
    threads: int | None


@dataclass(frozen=True, slots=True)
class _Ready:
    """One valid company, ready to be sampled."""

    row: dict[str, Any]
    spec: SamplingSpec
    parts: Any


def evaluate_many(
    source: str | Path | Iterable[Mapping[str, Any]],
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
) -> BatchResult:
    """Score every company of a CSV or Parquet file, or of an iterable of mappings.

    With `output` (.csv or .parquet) rows are written as they are made and the result holds only
    counts; without it the result holds the columns. `workers` processes read and judge companies
    side by side, with the same result. `progress(done)` is called after each chunk.
    """
    tree = criteria or load_criteria()
    chosen = check_options(options, tree)
    check_draws(draws, seed, kappa, len(chosen))
    job = _Job(
        chosen,
        resolve_weights(weights, tree),
        tree,
        curves_of(tree, chosen),
        gates or load_gates(),
        model,
        draws,
        seed,
        kappa,
        threads,
    )
    names = column_names(chosen)
    kept: dict[str, list[Any]] = {name: [] for name in names}
    done = failed = 0
    with ExitStack() as stack:
        write = None if output is None else _open_output(Path(output), names, stack)
        chunks = _chunks(_read_rows(source))
        for made in _scored(chunks, job, workers, stack):
            failed += sum(1 for row in made if row["errors"])
            done += len(made)
            if write is not None:
                write(made)
            else:
                for name in names:
                    kept[name].extend(row[name] for row in made)
            if progress is not None:
                progress(done)
    if write is not None:
        return BatchResult({}, done, failed, str(output))
    texts = ("name", "recommendation", "first", "errors")
    columns = {
        name: values if name in texts else np.asarray(values, dtype=np.float64)
        for name, values in kept.items()
    }
    return BatchResult(columns, done, failed, None)


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    source = iter(rows)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def _scored(
    chunks: Iterator[list[Mapping[str, Any]]], job: _Job, workers: int, stack: ExitStack
) -> Iterator[list[dict[str, Any]]]:
    """Yield scored chunks in order; a few are in flight when there are several workers."""
    if isinstance(workers, bool) or not isinstance(workers, int) or not 1 <= workers <= 256:
        raise ExitError(
            Issue("EX803", "workers", f"{workers!r} is not a number of processes", "use 1 to 256")
        )
    first = list(islice(chunks, 2))  # starting processes is not worth it for a single chunk
    chunks = chain(first, chunks)
    if workers == 1 or len(first) < 2:
        yield from (_score_chunk(chunk, job) for chunk in chunks)
        return
    import multiprocessing
    from concurrent.futures import Future, ProcessPoolExecutor

    kinds = multiprocessing.get_all_start_methods()
    kind = "forkserver" if "forkserver" in kinds else "spawn"  # fork would copy running threads
    context = multiprocessing.get_context(kind)
    pool = stack.enter_context(ProcessPoolExecutor(workers, mp_context=context))
    alone = replace(job, threads=1)
    waiting: deque[Future[list[dict[str, Any]]]] = deque()
    for chunk in chunks:
        waiting.append(pool.submit(_score_chunk, chunk, alone))
        if len(waiting) > 2 * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def column_names(options: Sequence[str]) -> list[str]:
    """Return the columns of a batch, in order."""
    kinds = ("p_first", "score_mean", "score_p05", "score_p95", "p_complete", "founder_npv", "open")
    out = ["name", "recommendation", "first", "lead", "unknown_weight"]
    out += [f"{kind}_{option}" for option in options for kind in kinds]
    return [*out, "errors"]


def _read_rows(source: str | Path | Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    if not isinstance(source, str | Path):
        yield from source
        return
    path = Path(source)
    if path.suffix.lower() == ".csv":
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file):
                    yield {key: cell for key, cell in row.items() if key and cell not in (None, "")}
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise ExitError(
                Issue("EX112", "", f"cannot read {path}: {error}", "check the file")
            ) from error
    elif path.suffix.lower() in (".parquet", ".pq"):
        yield from _read_parquet(path)
    else:
        raise ExitError(
            Issue("EX113", "", f"file format {path.suffix!r} is not known", "use .csv or .parquet")
        )


def _read_parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    parquet = _pyarrow()[1]
    try:
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=CHUNK):
                for row in batch.to_pylist():
                    yield {key: cell for key, cell in row.items() if cell is not None}
    except OSError as error:
        raise ExitError(
            Issue("EX112", "", f"cannot read {path}: {error}", "check the file")
        ) from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise ExitError(
            Issue(
                "EX804",
                "",
                "Parquet needs the package pyarrow",
                "pip install 'fastnn-rs[exit]', or use CSV",
            )
        ) from error
    return pyarrow, parquet


def _open_output(path: Path, names: Sequence[str], stack: ExitStack) -> Any:
    """Return a function that appends rows to a CSV or Parquet file."""
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise ExitError(
            Issue("EX802", "output", f"cannot write {suffix!r}", "name a .csv or .parquet file")
        )
    try:
        if suffix == ".csv":
            file = stack.enter_context(path.open("w", encoding="utf-8", newline=""))
            writer = csv.DictWriter(file, list(names))
            writer.writeheader()
            return writer.writerows
        pyarrow, parquet = _pyarrow()
        texts = ("name", "recommendation", "first", "errors")
        schema = pyarrow.schema(
            [(n, pyarrow.string() if n in texts else pyarrow.float64()) for n in names]
        )
        sink = stack.enter_context(parquet.ParquetWriter(str(path), schema))
    except OSError as error:
        raise ExitError(
            Issue("EX802", "output", f"cannot write {path}: {error}", "check the folder")
        ) from error
    return lambda rows: sink.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _score_chunk(chunk: Sequence[Mapping[str, Any]], job: _Job) -> list[dict[str, Any]]:
    from .uncertainty import simulate_many

    out: list[dict[str, Any]] = []
    ready: list[_Ready] = []
    for raw in chunk:
        row: dict[str, Any] = dict.fromkeys(column_names(job.options))
        row["name"], row["errors"] = str(raw.get("name", "")), ""
        out.append(row)
        try:
            ready.append(_prepare(raw, row, job))
        except ExitError as error:
            row["recommendation"] = "error"
            row["errors"] = "; ".join(
                f"{issue.code} {issue.field}: {issue.message} ({issue.hint})"
                for issue in error.issues
            )
    if ready:
        sims = simulate_many(
            [item.spec for item in ready],
            kappa=job.kappa,
            draws=job.draws,
            seed=job.seed,
            threads=job.threads,
        )
        for item, sim in zip(ready, sims, strict=True):
            _finish(item, sim, job)
    return out


def _prepare(raw: Mapping[str, Any], row: dict[str, Any], job: _Job) -> _Ready:
    """Return one company ready for sampling; everything but the ranks goes into its row."""
    from .money import proceeds

    profile = Profile.from_dict(raw)
    report = judge_gates(profile, job.gates, job.options, brief=True)
    leaves, _ = read_leaves(profile, job.criteria)
    money = proceeds(profile, profile.cap_table, profile.assumptions, job.options, brief=True)
    chances = complete(profile, job.options, leaves, report, base_of(profile, job.model))
    computed = computed_facts(job.options, money, chances, report)
    spec = build_spec(
        profile, job.criteria, job.options, job.weights.values, leaves, computed, report,
        job.curves,
    )  # fmt: skip
    fits = point_fits(job.criteria, job.options, leaves, computed)
    scores = score_fits(job.criteria, job.options, fits, job.weights.values)
    for option in job.options:
        row[f"p_complete_{option}"] = chances[option].value
        row[f"founder_npv_{option}"] = float(money.options[option].founder_npv[1])
        row[f"open_{option}"] = float(report.is_open(option))
    return _Ready(row, spec, (scores, report, unknown_leaves(job.criteria, leaves, profile)))


def _finish(item: _Ready, sim: Simulation, job: _Job) -> None:
    scores, report, unknown = item.parts
    ranking = rank_rows(sim, scores, report)
    advice = recommend(job.criteria, job.weights, ranking, scores, unknown, ())
    row = item.row
    row["recommendation"], row["first"] = advice.answer, ranking[0].option
    row["lead"], row["unknown_weight"] = advice.lead, advice.unknown_weight
    for k, option in enumerate(job.options):
        row[f"p_first_{option}"] = float(sim.p_first[k])
        row[f"score_mean_{option}"] = float(sim.score_mean[k])
        row[f"score_p05_{option}"] = float(sim.score_p05[k])
        row[f"score_p95_{option}"] = float(sim.score_p95[k])
