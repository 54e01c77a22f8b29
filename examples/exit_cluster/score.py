"""Score a portfolio on many machines with Dask: partitions of Parquet in, partitions out.

    python score.py IN.parquet OUT_FOLDER [--scheduler tcp://host:8786] [--draws 10000]

Every company sees the same random numbers wherever it is scored, so the partitions together are, to
the bit, what one run makes. Needs `fastnn-rs[exit]` and `distributed` on every machine, and folders
that all of them reach.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

import fastnn
from fastnn.exit_strategy import evaluate_many, load_gates


def split(source: str | Path, folder: str | Path, rows: int) -> list[Path]:
    """Write a table as partitions of some rows each, without reading it whole."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    parts = []
    with parquet.ParquetFile(source) as file:
        for number, batch in enumerate(file.iter_batches(batch_size=rows)):
            part = Path(folder) / f"in-{number:05d}.parquet"
            with parquet.ParquetWriter(part, batch.schema) as sink:
                sink.write_batch(batch)
            parts.append(part)
    return parts


def score(part: str, out: str, settings: dict[str, Any]) -> tuple[int, int]:
    """Score one partition on a worker; what was whole before is not made again."""
    if Path(out).exists():  # a file has its name only once it is whole
        done = parquet.read_metadata(out).metadata
        return int(done[b"rows"]), int(done[b"failed"])
    made = evaluate_many(part, output=out, threads=1, **settings)
    return made.rows, made.failed


def score_all(client: Any, parts: list[Path], folder: str | Path, **settings: Any) -> list[Path]:
    """Score partitions on the workers of a Dask client; return the outputs in order."""
    outs = [_out_of(part, Path(folder), settings) for part in parts]
    jobs = [
        client.submit(score, str(part), str(out), settings, pure=False, retries=2)
        for part, out in zip(parts, outs, strict=True)
    ]
    counts = client.gather(jobs)
    print(f"{sum(n for n, _ in counts):,} companies, {sum(f for _, f in counts):,} with errors")
    return outs


def _out_of(part: Path, folder: Path, settings: dict[str, Any]) -> Path:
    """The output of a partition: another name for other companies, settings or rules."""
    made_by = (fastnn.__version__, sorted(load_gates().hashes.items()), sorted(settings.items()))
    digest = hashlib.sha256(part.read_bytes() + repr(made_by).encode()).hexdigest()[:16]
    return folder / f"{part.stem.replace('in-', 'out-')}-{digest}.parquet"


def main() -> None:
    """Run from the command line."""
    from distributed import Client

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("source")
    parser.add_argument("folder")
    parser.add_argument("--scheduler", help="default: the cores of this machine")
    parser.add_argument("--rows", type=int, default=20_000, help="of a partition")
    parser.add_argument("--draws", type=int, default=10_000)
    args = parser.parse_args()
    with Client(args.scheduler) if args.scheduler else Client(threads_per_worker=1) as client:
        parts = split(args.source, args.folder, args.rows)
        score_all(client, parts, args.folder, draws=args.draws)


if __name__ == "__main__":
    main()
