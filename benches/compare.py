"""The honest comparison: fastnn against NumPy by hand, scikit-learn, JAX, Keras, PyTorch and ONNX
Runtime, whichever are installed; writes docs/benchmarks.md, losses included.

    make bench                          # everything, against whoever is there
    make bench BENCH_ARGS="--only exp --rounds 5"
    make bench-peers                    # install the peers first

Refuses to run when other work keeps the processors busy, unless --force, which marks the report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import harness
import report
import rows
from harness import Contestant

QUIET = 0.05  # processors that strangers may keep busy


def main() -> int:
    args = parse()
    chosen = [r for r in rows.all_rows() if args.only.lower() in r.title.lower()]
    if args.quick:
        chosen = [r for r in chosen if r.title in rows.QUICK]
    if args.list:
        print("\n".join(r.title for r in rows.all_rows()))
        return 0
    noisy = check_quiet(args.force)
    pythons, missing = find_rivals(args.peers_python)
    out = report.Report(args.rounds, noisy, os.getloadavg(), missing=missing)
    for number, row in enumerate(chosen, 1):
        contestants = [c for c in row.contestants if library_of(c) not in missing]
        begin = time.monotonic()
        results, share = harness.compete(
            contestants,
            row.task,
            row.params,
            rounds=args.rounds,
            seconds=min(row.seconds, args.seconds),
            pythons=pythons_for(contestants, pythons),
        )
        out.noisy |= share > 2 * QUIET
        out.add(row, results, share)
        print_row(f"[{number}/{len(chosen)}] {row.title}", row, results, time.monotonic() - begin)
    if not args.quick and "footprint".startswith(args.only.lower()):
        add_footprint(out, args.rounds)
        add_accuracy(out)
    if "sklearn" not in missing:
        add_scores(out, [r for r in chosen if r.task == "classifier_fit"], pythons)
    if args.output:
        before = args.output.read_text(encoding="utf-8") if args.output.exists() else None
        args.output.write_text(out.markdown(before), encoding="utf-8")
        print(f"wrote {args.output}")
        for name in report.READMES if args.readme else ():
            if report.update_readme(harness.ROOT / name, out.readme_table()):
                print(f"updated the table of {name}")
    else:
        print(out.markdown())
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose title contains this")
    parser.add_argument("--quick", action="store_true", help="a few rows that stand for all, in "
                        "two minutes, printed in the terminal")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the titles of the rows")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1.0, help="most seconds a turn")
    parser.add_argument("--force", action="store_true", help="run on a busy machine, and say so")
    parser.add_argument("--peers-python", default="", help="an interpreter that has the peers")
    parser.add_argument("--output", type=Path, default=None, help="default: docs/benchmarks.md for "
                        "a run of all rows, the terminal for a part")  # fmt: skip
    parser.add_argument(
        "--readme", action="store_true", help="also fill the tables of README.md and README.zh.md"
    )
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.seconds = min(args.rounds, 5), min(args.seconds, 0.1)
    elif args.output is None and not args.only:
        args.output = harness.ROOT / "docs" / "benchmarks.md"
    if args.rounds < 1:
        parser.error("--rounds must be at least 1")
    return args


def check_quiet(force: bool) -> bool:
    """Watch the machine for two seconds; True when it is busy and the user wants to go on."""
    before = harness.processor_seconds()
    time.sleep(2)
    share = harness.others_share(before, 2)
    if share <= QUIET:
        return False
    text = f"other work keeps {share:.2f} processors busy (more than {QUIET})"
    if not force:
        raise SystemExit(f"error: {text}\n  hint: wait for it to end, or pass --force")
    print(f"warning: {text}; the report will say so", file=sys.stderr)
    return True


def library_of(contestant: Contestant) -> str:
    """The module a contestant stands or falls with."""
    if contestant.library == "program":
        return contestant.variant.rpartition("_")[2]
    return contestant.library


def find_rivals(peers_python: str) -> tuple[dict[str, str], set[str]]:
    """The interpreter of every rival, and the rivals that are not installed."""
    candidates = [p for p in (peers_python, sys.executable) if p and Path(p).exists()]
    pythons, missing = {"fastnn": sys.executable, "numpy": sys.executable}, set()
    for library in ("jax", "keras", "sklearn", "torch", "onnxruntime"):
        python = harness.find_python(library, candidates)
        if python is None:
            missing.add(library)
        else:
            pythons[library] = python
    return pythons, missing


def pythons_for(contestants: list[Contestant], pythons: dict[str, str]) -> dict[str, str]:
    """Interpreters by library; programs run in that of the library they are about."""
    found = dict(pythons)
    for c in contestants:
        if c.library == "program":
            found[c.label()] = pythons.get(library_of(c), sys.executable)
    return found


def print_row(head: str, row: rows.Row, results: dict, seconds: float) -> None:
    """One line of progress: everybody's median."""
    figures = [
        f"{c.label()} {'failed' if r.error else report.show(row, r.median(row.key))}"
        for c, r in results.items()
    ]
    print(f"{head} ({seconds:.0f} s): {', '.join(figures)}", flush=True)


def add_footprint(out: report.Report, rounds: int) -> None:
    """Import beyond NumPy's, wheel size, and peak memory of the MNIST run."""
    contestants = [Contestant("program", 2, f"import_{name}") for name in ("fastnn", "numpy")]
    results, _ = harness.compete(contestants, "program", {}, rounds=rounds, seconds=0, pythons={})
    ours, numpy = (results[c].seconds() for c in contestants)
    beyond = sorted(1e3 * (a - b) for a, b in zip(ours, numpy, strict=True))[rounds // 2]
    out.add_figure("import fastnn beyond import numpy", f"{beyond:.0f} ms of at most 40",
                   40 / max(beyond, 1e-3), 1.0)  # fmt: skip

    wheels = sorted((harness.ROOT / "dist").glob("*.whl"))
    if wheels:
        size = wheels[-1].stat().st_size / 2**20
        out.add_figure("wheel, compressed", f"{size:.2f} MB of at most 3", 3 / size, 1.0)
    else:
        out.errors.append("wheel size: no wheel in dist/; run `make wheel`")

    program = harness.HERE / "programs" / "mnist_memory.py"
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    if done.returncode:
        out.errors.append(f"MNIST memory: {done.stderr.strip().splitlines()[-1]}")
        return
    facts = json.loads(done.stdout)
    share = facts["beyond"] / facts["needed"]
    beyond, needed = facts["beyond"] / 2**20, facts["needed"] / 2**20
    out.add_figure(
        "peak memory of the MNIST run beyond the data",
        f"{beyond:.1f} MiB, {share:.2f} of what parameters, optimiser state and the activations of "
        f"one batch need ({needed:.1f} MiB); at most 1.2",
        1.2 / share,
        1.0,
    )


def add_accuracy(out: report.Report) -> None:
    """Errors of exp, tanh and sigmoid in units in the last place."""
    for op, most in (("exp", 1.5), ("tanh", 3.0), ("sigmoid", 3.0)):
        worker = harness.Worker(Contestant("fastnn", 2), sys.executable)
        answer = worker.prepare("ulp_error", {"op": op})
        worker.close()
        if "error" in answer:
            out.errors.append(f"error of {op}: {answer['error'].strip().splitlines()[-1]}")
            continue
        error = answer["check"]
        out.add_figure(f"largest error of {op} on [-20, 20]",
                       f"{error:.2f} ulp of at most {most:g}", most / error, 1.0)  # fmt: skip


def add_scores(out: report.Report, chosen: list[rows.Row], pythons: dict[str, str]) -> None:
    """How well the estimators that were timed tell classes apart: ours no worse."""
    for row in chosen:
        scores = []
        for contestant in row.contestants:
            worker = harness.Worker(contestant, pythons[contestant.library])
            answer = worker.prepare(row.task, row.params)
            worker.close()
            if "error" in answer:
                out.errors.append(f"score: {answer['error'].strip().splitlines()[-1]}")
                break
            scores.append(answer["check"])
        else:
            text = f"{scores[0]:.4f}, scikit-learn's {scores[1]:.4f}; at most 0.01 below"
            out.add_figure(f"accuracy, {row.title}", text, scores[0] / (scores[1] - 0.01), 1.0)


if __name__ == "__main__":
    sys.exit(main())
