"""Small functions and loops of the core that several tests run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fastnn import _core

ops = _core.ops


def rss() -> int:
    """Resident bytes of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def linear(width: int = 3, units: int = 2) -> tuple[_core.Function, _core.Variable]:
    """x @ w with w of ones."""
    x = _core.placeholder((None, width), name="x")
    w = _core.Variable(np.ones((width, units), np.float32), name="w")
    return _core.Function([x], [x @ w.traced()]), w


def training_loop(rows: int = 64, width: int = 8) -> tuple[_core.Loop, list[Any], _core.Variable]:
    """Least squares by gradient steps, with the mean loss as result."""
    rng = np.random.default_rng(0)
    data = rng.normal(size=(rows, width)).astype(np.float32)
    target = data.sum(axis=1, keepdims=True)
    x = _core.placeholder((None, width), name="x")
    y = _core.placeholder((None, 1), name="y")
    w = _core.Variable(np.zeros((width, 1), np.float32), name="w")
    total, count = (_core.Variable(np.float32(0), name=n) for n in ("total", "count"))
    leaf = w.traced()
    loss = ops.mean(ops.square(x @ leaf - y))
    (grad,) = _core.gradients(loss, [leaf])
    updates = [
        (w, leaf - 0.05 * grad),
        (total, total.traced() + loss),
        (count, count.traced() + 1.0),
    ]
    step = _core.Function([x, y], [], updates)
    results = _core.Function([], [total.traced() / count.traced()])
    return _core.Loop(step, results, [total, count]), [data, target], w
