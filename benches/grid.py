"""Dense nets of every size against the best compilers: training (Adam; JAX, an epoch as one scan)
and prediction (ONNX Runtime), interleaved; the worst cell and the geometric mean.

    python benches/grid.py                              # all cells, a table in the terminal
    python benches/grid.py --only train --widths 24,64 --batches 1,32
    python benches/grid.py --against PYTHONPATH          # also another build of fastnn
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from dataclasses import dataclass

import harness
from harness import Contestant

WIDTHS = (16, 24, 64, 100, 256, 1024, 1200, 3072)
BATCHES = (1, 8, 32, 256, 2048)
LARGEST = 3e11  # multiply-adds of one call that are worth waiting for


@dataclass(frozen=True)
class Cell:
    """One net and batch size: the nets are width-width-width-10."""

    task: str  # "train", "model(x)" or "predict"
    width: int
    batch: int

    def order(self) -> tuple[str, dict[str, object], int]:
        """The task of the rivals, its arguments, and steps in a call."""
        sizes = [self.width] * 3 + [10]
        if self.task != "train":
            how = "call" if self.task == "model(x)" else "batches"
            return "predict_one", {"sizes": sizes, "how": how, "batch": self.batch}, 1
        weights = 2 * self.width**2 + 10 * self.width
        # About 50 ms: arithmetic, the optimiser's memory, and what a step costs at least.
        guess = 6 * weights * self.batch / 2e11 + 28 * weights / 2e10 + 5e-6
        steps = min(max(int(0.05 / guess), 3), 2000)
        return (
            "mlp_fit",
            {"sizes": sizes, "batch": self.batch, "samples": self.batch * steps},
            steps,
        )


def main() -> int:
    args = parse()
    tasks = [t for t in ("train", "model(x)", "predict") if not args.only or args.only in t]
    for task in tasks:
        table = {}
        for width in args.widths:
            for batch in args.batches:
                cell = Cell(task, width, batch)
                if 6 * width**2 * batch < LARGEST:
                    table[cell] = run(cell, args)
                    print(line(cell, table[cell]), flush=True)
        print(summary(task, table), flush=True)
    return 0


def parse() -> argparse.Namespace:
    numbers = lambda text: [int(n) for n in text.split(",")]  # noqa: E731
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="train, model(x) or predict")
    parser.add_argument("--widths", type=numbers, default=WIDTHS)
    parser.add_argument("--batches", type=numbers, default=BATCHES)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="a turn")
    parser.add_argument("--peers-python", default="", help="an interpreter that has the peers")
    parser.add_argument("--against", default="", help="a folder with another build of fastnn")
    return parser.parse_args()


def run(cell: Cell, args: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Seconds a step of everybody, and how many times quicker than each fastnn is."""
    task, params, steps = cell.order()
    ours = Contestant("fastnn", args.threads)
    rival = Contestant(*(("jax", args.threads, "scan") if cell.task == "train"
                         else ("onnxruntime", args.threads)))  # fmt: skip
    contestants = [ours, rival]
    if args.against:
        path = os.pathsep.join((args.against, str(harness.HERE)))
        contestants.append(Contestant("fastnn", args.threads, env=(("PYTHONPATH", path),)))
    peers = args.peers_python or str(harness.ROOT / ".venv-peers" / "bin" / "python")
    results, _ = harness.compete(
        contestants,
        task,
        params,
        rounds=args.rounds,
        seconds=args.seconds,
        pythons={"fastnn": sys.executable, "jax": peers, "onnxruntime": peers},
    )
    out = {}
    for contestant, result in results.items():
        if result.error or results[ours].error:
            print(f"{cell}: {(result.error or results[ours].error).splitlines()[-1]}")
            continue
        name = "before" if contestant.env else contestant.library
        key = "p50" if cell.task != "train" else "mean"
        out[name] = (
            result.median(key) / steps,
            harness.ratio(result, results[ours], key)[0],
        )
    return out


def line(cell: Cell, figures: dict[str, tuple[float, float]]) -> str:
    """A cell in words."""
    parts = [f"{name} {1e6 * t:.1f} us" + (f" ({r:.2f}x)" if name != "fastnn" else "")
             for name, (t, r) in figures.items()]  # fmt: skip
    return f"{cell.task} width {cell.width} batch {cell.batch}: {', '.join(parts)}"


def summary(task: str, table: dict[Cell, dict[str, tuple[float, float]]]) -> str:
    """The table of ratios as Markdown, with the worst cell and the geometric mean."""
    batches = sorted({c.batch for c in table})
    rows = [f"| {task}, width | " + " | ".join(f"batch {b}" for b in batches) + " |",
            "| --- |" + " --- |" * len(batches)]  # fmt: skip
    ratios = {}
    for cell, figures in table.items():
        rivals = [r for name, (_, r) in figures.items() if name in ("jax", "onnxruntime")]
        if rivals:
            ratios[cell] = rivals[0]
    for width in sorted({c.width for c in table}):
        cells = (ratios.get(Cell(task, width, b)) for b in batches)
        rows.append(f"| {width} | " + " | ".join(f"{r:.2f}x" if r else "" for r in cells) + " |")
    if ratios:
        worst = min(ratios, key=ratios.__getitem__)
        mean = math.exp(statistics.fmean(math.log(r) for r in ratios.values()))
        rows.append(f"\nworst {ratios[worst]:.2f}x (width {worst.width}, batch {worst.batch}), "
                    f"geometric mean {mean:.2f}x of {len(ratios)} cells")  # fmt: skip
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
