"""The rows of the comparison: who meets whom at what, and the goals they were built for.

A goal is how many times quicker than a rival fastnn has to be; "best" stands for the quickest rival
that was there. For the machine itself ("peak") it is the share of the peak to be reached.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from harness import Contestant
from rivals.data import adult_folder

MNIST = [784, 512, 512, 10]
SMALL = [20, 64, 64, 1]
RANK = "rank 3 options by 28 criteria, 10,000 draws, "
PAY = "waterfall, 10 classes, 1,000 prices"
ONE = "exit_strategy.evaluate, one company"
SCORE = "`fastnn exit score` as a whole process"

#: How each library is held to AVX2 on a processor that can do more.
AVX2 = {
    "fastnn": (("FASTNN_ISA", "avx2"),),
    "numpy": (("OPENBLAS_CORETYPE", "Haswell"),),
    "jax": (("XLA_FLAGS", "--xla_cpu_max_isa=AVX2"),),
    "torch": (("MKL_ENABLE_INSTRUCTIONS", "AVX2"), ("ONEDNN_MAX_CPU_ISA", "AVX2")),
}


@dataclass(frozen=True)
class Row:
    """One line of the report."""

    group: str
    title: str
    task: str
    params: dict[str, Any]
    contestants: tuple[Contestant, ...]  # the first is fastnn
    goals: dict[str, float] = field(default_factory=dict)
    per_call: float = 1.0  # units of work in a call
    unit: str = "us"  # "us" a call, or a rate: "GFLOP/s", "GB/s", "samples/s", "steps/s", "ms"
    key: str = "mean"
    seconds: float = 0.2


def versus(threads: int, *rivals: str) -> tuple:
    """fastnn and rivals, all with the same threads; "jax/scan" is JAX in its variant scan."""
    return tuple(Contestant(*_split(r, threads)) for r in ("fastnn", *rivals))


def _split(rival: str, threads: int) -> tuple[str, int, str]:
    library, _, variant = rival.partition("/")
    return library, threads, variant


def products() -> list[Row]:
    """Matrix products against the measured peak, against peers, and with a second thread."""
    rows = []
    for isa, goal in (("avx512", 0.85), ("avx2", 0.75)):
        for n in (256, 512, 1024, 2048):
            contestants = versus(1, f"peak/fma-{isa}", "numpy", "jax", "torch")
            if isa == "avx2":
                contestants = tuple(replace(c, env=AVX2.get(c.library, ())) for c in contestants)
            title = f"GEMM {n}, {isa}, 1 thread"
            goals = {f"peak fma-{isa}": goal}
            flops = 2 * n**3 / 1e9
            rows.append(Row("Matrix products", title, "gemm", {"n": n}, contestants, goals,
                            flops, "GFLOP/s"))  # fmt: skip
    for n in (512, 1024, 2048):
        pair = (Contestant("fastnn", 2), Contestant("fastnn", 1), *versus(2, "numpy", "jax")[1:])
        rows.append(Row("Matrix products", f"GEMM {n}, 2 threads (fastnn: 2 against 1)", "gemm",
                        {"n": n}, pair, {"fastnn": 1.7}, 2 * n**3 / 1e9, "GFLOP/s"))  # fmt: skip
    for m, n, k in ((64, 10, 128), (1, 128, 784)):
        rows.append(Row("Matrix products", f"dense {m}x{n}x{k}, 1 thread", "dense",
                        {"m": m, "n": n, "k": k}, versus(1, "numpy", "jax", "torch"),
                        {"torch": 2.0}))  # fmt: skip
    return rows


def elementwise() -> list[Row]:
    """Functions of arrays: L1-sized, L2-sized and far beyond the caches."""
    rows = []
    for size in (64, 1024):
        for op in ("exp", "tanh", "sigmoid", "gelu", "softmax", "layer_norm"):
            rows.append(Row("Elementwise and rows", f"{op} {size}x{size}", "elementwise",
                            {"op": op, "rows": size, "cols": size},
                            versus(2, "numpy", "jax", "torch"), {"best": 1.5}))  # fmt: skip
    rows.append(Row("Elementwise and rows", "sum over rows 1024x1024", "elementwise",
                    {"op": "sum", "rows": 1024, "cols": 1024},
                    versus(2, "numpy", "jax", "torch")))  # fmt: skip
    for op in ("relu", "add"):
        rows.append(Row("Elementwise and rows", f"{op} on 16M floats", "elementwise",
                        {"op": op, "rows": 4096, "cols": 4096},
                        versus(2, "peak/copy", "numpy", "jax", "torch"), {"peak copy": 0.8},
                        8 * 4096 * 4096 / 1e9, "GB/s"))  # fmt: skip
    return rows


def training() -> list[Row]:
    """Whole epochs inside each library's own way of training."""
    rivals = ("numpy", "jax", "jax/scan", "keras", "sklearn", "torch")
    big = {"sizes": MNIST, "batch": 128, "samples": 6400}
    small = {"sizes": SMALL, "batch": 32, "samples": 16000}
    return [
        Row("Training", "MLP 784-512-512-10, batch 128, Adam", "mlp_fit", big,
            versus(2, *rivals), {"best": 1.6}, 6400, "samples/s"),
        Row("Training", "the same, 1 thread", "mlp_fit", big, versus(1, *rivals), {}, 6400,
            "samples/s"),
        Row("Training", "MLP 20-64-64-1, batch 32, Adam", "mlp_fit", small, versus(2, *rivals),
            {"jax": 3.0, "keras": 12.0, "torch": 25.0}, 500, "steps/s"),
        Row("Training", "MLP 20-64-64-1, bar on a terminal (fastnn: bar against verbose=0)",
            "fit_shown", small,
            (Contestant("fastnn", 2, "bar"), Contestant("fastnn", 2, "silent")),
            {"fastnn silent": 0.95}, 20 * 500, "steps/s", seconds=0.4),
        Row("Training", "recurrent net of 64, 100 steps, batch 32, Adam", "rnn_fit",
            {"units": 64, "steps": 100, "batch": 32, "samples": 320},
            (*versus(2, "jax"), Contestant("fastnn", 2, "unrolled")),
            {"fastnn unrolled": 1.0}, 10, "steps/s"),
        Row("Training", "MLP 784-512-512-10 on 2 ranks (fastnn: ranks of a thread against threads)",
            "mlp_ranks", big,
            (Contestant("fastnn", 1, "2 ranks"), Contestant("fastnn", 2, "threads")),
            {"fastnn threads": 0.9}, 6400, "samples/s"),
        Row("Training", "linear regression of article 000, a later fit of 100 epochs", "line_fit",
            {}, versus(2, "numpy", "keras", "torch"), {"numpy": 3.0, "keras": 150.0}, 1, "ms"),
        Row("Training", "the same as a whole process, import included", "program", {},
            (Contestant("program", 2, "line_fastnn"), Contestant("program", 2, "line_numpy"),
             Contestant("program", 2, "line_keras")),
            {"program line_keras": 12.0}, 1, "ms", seconds=0),
    ]  # fmt: skip


#: Estimators trained from scratch: data, widths, epochs, batch, rows of an epoch.
ESTIMATORS = (
    ("digits", [100], 20, 32, 1500),
    ("digits", [256, 128], 20, 128, 1500),
    ("adult", [64, 32], 10, 200, 32561),
)


def estimators() -> list[Row]:
    """`FastNNClassifier` against `MLPClassifier`: fit from scratch and score."""
    return [
        Row("Estimators", f"fit and score, {name}, widths {widths}, {epochs} epochs",
            "classifier_fit",
            {"name": name, "widths": widths, "epochs": epochs, "batch": batch},
            versus(2, "sklearn"), {"sklearn": 5.0}, epochs * rows, "samples/s")
        for name, widths, epochs, batch, rows in ESTIMATORS
        if name != "adult" or adult_folder()
    ]  # fmt: skip


def latency() -> list[Row]:
    """One sample at a time; the median call, for a mean would count the machine's hiccups."""
    rivals = ("numpy", "jax", "keras", "sklearn", "torch", "onnxruntime")
    rows = []
    for sizes, name, goals in (
        (SMALL, "20-64-64-1", {"call": {}, "predict": {}}),
        (MNIST, "784-512-512-10", {"call": {"onnxruntime": 1.0}, "predict": {}}),
    ):
        for how, words in (("call", "model(x)"), ("predict", "model.predict(x)")):
            rows.append(Row("One prediction", f"{words}, MLP {name}", "predict_one",
                            {"sizes": sizes, "how": how}, versus(2, *rivals), goals[how],
                            key="p50"))  # fmt: skip
    return rows


def exits() -> list[Row]:
    """Weighing options on draws, sharing money among claims, and whole companies."""
    group = "Exit scoring"
    pair = versus(2, "numpy")
    ranks = {"profiles": 64, "draws": 10_000}
    return [
        Row(group, RANK + "weights only", "rank", ranks | {"uncertain": False}, pair,
            {"numpy": 12.0}, 64, "profiles/s"),
        Row(group, RANK + "weights and inputs", "rank", ranks | {"uncertain": True}, pair,
            {"numpy": 12.0}, 64, "profiles/s"),
        Row(group, PAY, "waterfall", {"tables": 256, "prices": 1000}, versus(2), {}, 256,
            "tables/s"),
        Row(group, ONE, "exit_score", {"fresh": False}, versus(2), {}),
        Row(group, ONE + ", draws made anew", "exit_score", {"fresh": True}, versus(2), {}),
        Row(group, "exit_strategy.evaluate_many, one process", "exit_many", {"companies": 100},
            versus(2), {}, 100, "companies/s"),
        Row(group, SCORE, "program", {}, (Contestant("program", 2, "exit_fastnn"),), {}, 1, "ms",
            seconds=0),
    ]  # fmt: skip


def imports() -> list[Row]:
    """A process that imports and ends."""
    contestants = tuple(
        Contestant("program", 2, f"import_{name}") for name in ("fastnn", "numpy", "jax", "keras")
    )
    return [
        Row("Footprint", "import, as a whole process", "program", {}, contestants, {}, 1, "ms",
            seconds=0)
    ]  # fmt: skip


def all_rows() -> list[Row]:
    """Every row, in the order of the report."""
    from images import images
    from sequences import sequences
    from uses import uses

    return [
        *products(),
        *elementwise(),
        *training(),
        *images(),
        *sequences(),
        *estimators(),
        *latency(),
        *uses(),
        *exits(),
        *imports(),
    ]


# Rows of the README's table, wins and losses alike; the report has all of them.
SHORT = (
    "GEMM 1024, avx512, 1 thread",
    "GEMM 1024, 2 threads (fastnn: 2 against 1)",
    "softmax 1024x1024",
    "sum over rows 1024x1024",
    "MLP 784-512-512-10, batch 128, Adam",
    "MLP 20-64-64-1, batch 32, Adam",
    "linear regression of article 000, a later fit of 100 epochs",
    "model.predict(x), MLP 20-64-64-1",
    RANK + "weights and inputs",
    "import, as a whole process",
)

# What stands for all rows in two minutes.
QUICK = (
    "GEMM 512, avx512, 1 thread",
    "GEMM 2048, avx512, 1 thread",
    "GEMM 1024, avx2, 1 thread",
    "dense 64x10x128, 1 thread",
    "exp 64x64",
    "tanh 1024x1024",
    "softmax 64x64",
    "MLP 784-512-512-10, batch 128, Adam",
    "MLP 20-64-64-1, batch 32, Adam",
    "model(x), MLP 784-512-512-10",
    "model.predict(x), MLP 20-64-64-1",
)

# Goals in absolute terms: (row title, figure in the row's unit, at most).
CEILINGS = {
    "model(x), MLP 20-64-64-1": 5.0,
    "model.predict(x), MLP 20-64-64-1": 12.0,
    RANK + "weights only": 64 * 50.0,  # 100,000 profiles in 5 s
    RANK + "weights and inputs": 64 * 600.0,  # in 60 s
    PAY: 256 * 50.0,  # 100,000 tables in 5 s
    ONE: 5_000.0,
    SCORE: 200_000.0,
}
