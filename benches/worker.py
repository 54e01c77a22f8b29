"""One rival in a process of its own: reads orders as JSON lines, answers in JSON lines.

    worker.py LIBRARY VARIANT THREADS

Orders: {"prepare": task, "params": {...}} and {"round": seconds}. Started by harness.py, which sets
thread counts in the environment before any library is imported.
"""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
import traceback
from typing import Any

MOST_SAMPLES = 20_000


def prepare(library: Any, variant: str, order: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Set a task up and run it once; the first call with its compilation is timed apart."""
    params = order["params"] | ({"variant": variant} if variant else {})
    begin = time.perf_counter()
    call = getattr(library, order["prepare"])(**params)
    check = call()
    first = time.perf_counter() - begin
    call()
    return call, {"first": first, "check": check}


def measure(call: Any, seconds: float) -> dict[str, Any]:
    """Call for about `seconds`, at least three times; mean, quantiles and processor time.

    Where a call is many requests, whose times it notes in `samples`, the quantiles are theirs.
    """
    samples = []
    requests = getattr(call, "samples", samples)
    requests.clear()
    cpu = time.process_time()
    begin = last = time.perf_counter()
    while len(samples) < 3 or (last - begin < seconds and len(samples) < MOST_SAMPLES):
        check = call()
        now = time.perf_counter()
        samples.append(now - last)
        last = now
    ordered = sorted(requests)

    def quantile(q: float) -> float:
        return ordered[min(int(q * len(ordered)), len(ordered) - 1)]

    return {
        "mean": (last - begin) / len(samples),
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "cpu": (time.process_time() - cpu) / len(samples),
        "calls": len(samples),
        "check": check,
    }


def main(name: str, variant: str, threads: str) -> None:
    # Ends as a program does, so that what it has started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    # Libraries print banners and warnings; the answers keep the real standard output.
    answers, sys.stdout = sys.stdout, sys.stderr
    library = call = None
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if library is None:
                library = importlib.import_module(f"rivals.{name}")
                versions = library.versions(int(threads))
            if "prepare" in order:
                call, answer = prepare(library, variant, order)
                answer["versions"] = versions
            else:
                answer = measure(call, order["round"])
        except Exception:
            answer = {"error": traceback.format_exc(limit=3)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
