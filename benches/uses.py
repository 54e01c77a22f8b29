"""The rows about what comes after and around training: many nets at once, callers, a service."""

from __future__ import annotations

from harness import Contestant
from rows import SMALL, Row, versus

WIDE = [784, 128, 10]


def many() -> list[Row]:
    """64 nets, each with an order of the rows of its own; JAX trains them as one by `vmap`."""
    return [
        Row("Many at once", f"64 nets {name}, batch 32, Adam, {epochs} epochs (fastnn: fit_many "
            "against one after another)", "fit_nets",
            {"sizes": sizes, "nets": 64, "batch": 32, "samples": samples, "epochs": epochs},
            (Contestant("fastnn", 2, "side by side"), Contestant("fastnn", 2, "in turn"),
             Contestant("jax", 2)),
            {"fastnn in turn": 1.8, "jax": 1.5}, 64, "nets/s", seconds=0.5)
        for name, sizes, samples, epochs in (
            ("20-64-64-1", SMALL, 2048, 5), ("784-128-10", WIDE, 1280, 1),
        )
    ]  # fmt: skip


def callers() -> list[Row]:
    """`Predictor` against ONNX Runtime's session: one thread, and two that ask at the same time.

    What two threads gain is told beside one thread on one core, which would else have both for a
    call of many rows. A call of one row keeps Python's lock, since giving it back takes longer
    than the call: two threads take turns then, and there is nothing to gain.
    """
    group = "Callers and services"
    two = tuple(Contestant(library, 2, "two threads") for library in ("fastnn", "onnxruntime"))
    rows = [
        Row(group, "Predictor.predict, one row, MLP 20-64-64-1", "asked", {"sizes": SMALL},
            versus(2, "onnxruntime"), {"onnxruntime": 2.0}, key="p50")
    ]  # fmt: skip
    for samples, calls in ((1, 4000), (64, 1000), (512, 200)):
        rows.append(
            Row(group, f"{samples} row{'s' if samples > 1 else ''} a call from two threads, MLP "
                "20-64-64-1 (fastnn: two threads against one on one core)", "asked",
                {"sizes": SMALL, "samples": samples, "calls": calls},
                (two[0], Contestant("fastnn", 1, "one thread"), two[1]),
                {"fastnn one thread": 1.9} if samples > 1 else {}, calls, "calls/s")
        )  # fmt: skip
    return rows


def services() -> list[Row]:
    """`fastnn serve` against an app by hand: requests of a row each, 16 under way all the time."""
    params = {"sizes": SMALL, "connections": 16, "requests": 800}
    both = versus(2, "onnxruntime")
    title = "`fastnn serve`, MLP 20-64-64-1, 16 clients at once, "
    group = "Callers and services"
    return [
        Row(group, title + "a row each", "service", params, both, {"onnxruntime": 1.0}, 800,
            "requests/s", seconds=0.5),
        Row(group, title + "the slowest of 100 answers", "service", params, both, {}, 1, "ms",
            key="p99", seconds=0.5),
    ]  # fmt: skip


def uses() -> list[Row]:
    """All of them."""
    return [*many(), *callers(), *services()]
