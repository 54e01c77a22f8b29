"""Contestants, interleaved rounds and what they are worth: the part of the comparison that knows
nothing of which rows there are.

Every rival lives in a process of its own with its thread count set before it imports anything. In
each round all contestants of a row run once, in turn, so that a change of the machine's mood meets
them alike; a ratio is formed inside each round, and the median of the ratios is reported.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
THREAD_VARIABLES = (
    "FASTNN_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)
PAUSE = 0.02  # lets a pool that spins after its work go to sleep before the next contestant runs


@dataclass(frozen=True)
class Contestant:
    """A library with a thread count; `variant` picks one of its ways, `env` forces a setting."""

    library: str
    threads: int
    variant: str = ""
    env: tuple[tuple[str, str], ...] = ()

    def label(self) -> str:
        """Its name in the report."""
        forced = dict.fromkeys(value.rpartition("=")[2].lower() for _, value in self.env)
        return " ".join([self.library, *filter(None, [self.variant, *forced])])


@dataclass
class Result:
    """What one contestant did in all rounds of a row; seconds per call."""

    first: float = 0.0
    rounds: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def seconds(self, key: str = "mean") -> list[float]:
        """One figure a round."""
        return [r[key] for r in self.rounds]

    def median(self, key: str = "mean") -> float:
        """The middle round."""
        return statistics.median(self.seconds(key))

    def best(self) -> float:
        """The quickest round."""
        return min(self.seconds())


def ratio(theirs: Result, ours: Result, key: str = "mean") -> tuple[float, float, float]:
    """How many times quicker we are: median of the ratios of all rounds, and a 95 % interval.

    The interval is that of the median by order statistics (binomial), without any assumption about
    the distribution; below six rounds it is the whole range.
    """
    pairs = zip(theirs.seconds(key), ours.seconds(key), strict=True)
    ratios = sorted(t / o for t, o in pairs)
    n = len(ratios)
    cut = max(0, int((n - 1.96 * n**0.5) / 2)) if n >= 6 else 0
    return statistics.median(ratios), ratios[cut], ratios[n - 1 - cut]


def environment(contestant: Contestant) -> dict[str, str]:
    """The environment that sets a rival's threads before it starts."""
    env = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(contestant.threads))}
    env["KERAS_BACKEND"] = "jax"
    env["JAX_PLATFORMS"] = "cpu"
    env["TF_CPP_MIN_LOG_LEVEL"] = "3"
    env["PYTHONPATH"] = str(HERE)
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed program has its byte code
    return env | dict(contestant.env)


def pin(threads: int) -> None:
    """Limit this process to as many processors as it may use; JAX sizes its pool by that."""
    allowed = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(allowed[-threads:]))


class Worker:
    """A rival in its process."""

    def __init__(self, contestant: Contestant, python: str) -> None:
        """Start the process; nothing is imported yet."""
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py"), contestant.library, contestant.variant,
             str(contestant.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(contestant),
            preexec_fn=lambda: pin(contestant.threads),
        )  # fmt: skip

    def ask(self, **order: Any) -> dict[str, Any]:
        """Send an order and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(order) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        return json.loads(line) if line else {"error": f"the process ended ({self.process.wait()})"}

    def prepare(self, task: str, params: dict[str, Any]) -> dict[str, Any]:
        """Import, build, first call."""
        return self.ask(prepare=task, params=params)

    def round(self, seconds: float) -> dict[str, Any]:
        """Run for about `seconds`."""
        return self.ask(round=seconds)

    def close(self) -> None:
        """End the process."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        self.process.terminate()
        self.process.wait()


class Peak:
    """The machine itself: `variant` is a mode of peak.rs; `work` FLOP or bytes make one call."""

    program = ROOT / "target" / "bench-peak"

    def __init__(self, contestant: Contestant, python: str) -> None:
        """Compile peak.rs when it is newer than the program."""
        self.contestant = contestant
        self.work = 0.0
        source = HERE / "peak.rs"
        if not self.program.exists() or self.program.stat().st_mtime < source.stat().st_mtime:
            self.program.parent.mkdir(exist_ok=True)
            command = ["rustc", "--edition", "2024", "-O", str(source), "-o", str(self.program)]
            subprocess.run(command, check=True)

    def prepare(self, task: str, params: dict[str, Any]) -> dict[str, Any]:
        """Note the work of one call of the row."""
        self.work = work(task, params)
        answer = self.round(0.01)
        return {"first": answer.get("mean", 0.0), "versions": {}, "check": None} | (
            {"error": answer["error"]} if "error" in answer else {}
        )

    def round(self, seconds: float) -> dict[str, Any]:
        """Seconds that the row's work would take at the machine's peak."""
        done = subprocess.run(
            [self.program, self.contestant.variant, str(self.contestant.threads), str(seconds)],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: pin(self.contestant.threads),
        )
        if done.returncode:
            return {"error": done.stderr.strip()}
        mean = self.work / (float(done.stdout) * 1e9)
        return {"mean": mean, "p50": mean, "p90": mean, "p99": mean, "cpu": mean}

    def close(self) -> None:
        """Nothing to end."""


class Program:
    """A whole program from launch to exit; `variant` names a file in benches/programs."""

    def __init__(self, contestant: Contestant, python: str) -> None:
        """Note how to start it."""
        self.contestant, self.python = contestant, python

    def prepare(self, task: str, params: dict[str, Any]) -> dict[str, Any]:
        """Run once, so that byte code is cached."""
        answer = self.round(0)
        return {"first": answer.get("mean"), "versions": {}, "check": None} | (
            {"error": answer["error"]} if "error" in answer else {}
        )

    def round(self, seconds: float) -> dict[str, Any]:
        """Launch to exit, once."""
        begin = time.perf_counter()
        done = subprocess.run(
            [self.python, str(HERE / "programs" / f"{self.contestant.variant}.py")],
            capture_output=True,
            text=True,
            check=False,
            env=environment(self.contestant),
        )
        mean = time.perf_counter() - begin
        if done.returncode:
            return {"error": done.stderr[-500:]}
        return {"mean": mean, "p50": mean, "p90": mean, "p99": mean, "cpu": mean}

    def close(self) -> None:
        """Nothing to end."""


def work(task: str, params: dict[str, Any]) -> float:
    """FLOP of a matrix product, bytes read and written of an elementwise op."""
    if task == "gemm":
        return 2.0 * params["n"] ** 3
    if task == "elementwise":
        return 8.0 * params["rows"] * params["cols"]
    raise ValueError(f"no peak is defined for {task}")


def find_python(library: str, pythons: list[str]) -> str | None:
    """The first interpreter that can import a library."""
    for python in pythons:
        found = subprocess.run(
            [
                python,
                "-c",
                f"import importlib.util as u, sys; sys.exit(not u.find_spec('{library}'))",
            ],
            capture_output=True,
            check=False,
        )
        if found.returncode == 0:
            return python
    return None


def processor_seconds() -> tuple[float, float]:
    """Busy seconds of all processors since boot, and the part of this process and its children."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(t) for t in file.readline().split()[1:]]
    hertz = os.sysconf("SC_CLK_TCK")
    busy = (sum(ticks[:8]) - ticks[3] - ticks[4]) / hertz
    own = 0.0
    group = os.getpgrp()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                own += sum(int(t) for t in fields[11:15]) / hertz
    return busy, own


def others_share(before: tuple[float, float], seconds: float) -> float:
    """How many processors strangers kept busy since `before`, 0.05 being a twentieth of one."""
    busy, own = processor_seconds()
    return max(0.0, (busy - before[0]) - (own - before[1])) / max(seconds, 1e-9)


def compete(
    contestants: list[Contestant],
    task: str,
    params: dict[str, Any],
    *,
    rounds: int,
    seconds: float,
    pythons: dict[str, str],
) -> tuple[dict[Contestant, Result], float]:
    """Run a row: everybody prepares, then all take turns. Returns results and others' share."""
    kinds = {"peak": Peak, "program": Program}
    workers, results = {}, {}
    for contestant in contestants:
        python = pythons.get(contestant.label()) or pythons.get(contestant.library)
        python = python or sys.executable
        worker = kinds.get(contestant.library, Worker)(contestant, python)
        answer = worker.prepare(task, params)
        results[contestant] = Result(
            first=answer.get("first", 0.0),
            error=answer.get("error", ""),
            versions=answer.get("versions", {}),
        )
        if results[contestant].error:
            worker.close()
        else:
            workers[contestant] = worker
    before, begin = processor_seconds(), time.monotonic()
    try:
        order = list(workers)
        for turn in range(rounds if order else 0):
            for contestant in order[turn % len(order) :] + order[: turn % len(order)]:
                time.sleep(PAUSE)
                answer = workers[contestant].round(seconds)
                results[contestant].error = answer.get("error", "")
                results[contestant].rounds.append(answer)
        share = others_share(before, time.monotonic() - begin)
    finally:
        for worker in workers.values():
            worker.close()
    return results, share
