"""What a GPU does with fastnn's programs, measured in at most eight minutes and written as JSON.

    python benches/gpu_card.py [--out card.json] [--minutes 8] [--rows 3] [--small]

In this order, so that what matters first is there when time runs out: the adapter; losses of models
beside the CPU's; the cases of the op table's rows, for at most `--rows` minutes (0: none), where
pytest and the checkout's tests are there; the cost of encoding and of a dispatch; transfers; tiles;
products and elementwise work beside a plain copy; steps of models, beside PyTorch's with and
without TF32 where it is installed. `--small` takes sizes for a software driver, whose figures say
nothing about cards. `gpu_card.sh` beside this file installs what it needs from a folder first.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import fastnn
from fastnn import layers
from fastnn.devices.executor import Executable
from fastnn.devices.functions import row_program
from fastnn.devices.gpu import Gpu, opened
from fastnn.devices.recording import handle_of, recorded
from fastnn.devices.tuning import tune

#: The checkout, whose tests hold the cases of rows.
ROOT = Path(__file__).resolve().parents[1]

EMPTY = """
@group(0) @binding(0) var<storage, read_write> x: array<u32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= 64u) { return; }
    x[id.x] = x[id.x] + 1u;
}
"""


def seconds(call: Callable[[], Any], least: float = 0.2, most: int = 50) -> dict[str, float]:
    """The fastest and the median time of a call, after one to warm up."""
    call()
    took: list[float] = []
    end = time.perf_counter() + least
    while len(took) < 3 or (len(took) < most and time.perf_counter() < end):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return {"min": min(took), "median": statistics.median(took), "runs": len(took)}


def encoding(gpu: Gpu, count: int = 60) -> dict[str, Any]:
    """Encoding and submitting `count` dispatches, and what each costs the device."""
    uses = ("read_write",)
    kernel = gpu.kernel("an addition", EMPTY, uses)
    same = [gpu.buffer(256, "a bench")] * count
    apart = [gpu.buffer(256, "a bench") for _ in range(count)]
    out: dict[str, Any] = {"dispatches": count}
    for name, buffers in (("dependent", same), ("independent", apart)):
        groups = [gpu.group(uses, [(b, 0, 256)]) for b in buffers]

        def encode(encoder: Any, groups: Any = groups) -> None:
            compute = encoder.begin_compute_pass()
            for group in groups:
                compute.set_pipeline(kernel)
                compute.set_bind_group(0, group)
                compute.dispatch_workgroups(1, 1, 1)
            compute.end()

        def only_encode(encode: Any = encode) -> None:
            encoder = gpu.device.create_command_encoder()
            encode(encoder)
            encoder.finish()

        def whole(encode: Any = encode) -> None:
            gpu.submit(encode)
            gpu.wait()

        found = {"encode": seconds(only_encode), "encode, submit and wait": seconds(whole)}
        core = recorded(gpu.device, [(kernel, group, 1, 1, 1) for group in groups], [])
        if core is not None:

            def by_core(core: Any = core) -> None:
                encoder = gpu.device.create_command_encoder()
                compute = encoder.begin_compute_pass()
                core.encode(handle_of(compute))
                compute.end()
                encoder.finish()

            found["encode by the core"] = seconds(by_core)
        out[name] = found
    return out


def rows_of_the_table(device: str, limit: float) -> dict[str, Any]:
    """The cases of the op table's rows beside the CPU and float64, for at most `limit` seconds."""
    suite = ROOT / "tests" / "gpu" / "test_device_rows.py"
    if limit <= 0:
        return {"absent": "no time was given to it"}
    if device != "gpu:0":
        return {"absent": f"the tests run on gpu:0, not on {device}"}
    if not suite.exists():
        return {"absent": "this is no checkout with the tests of GPUs"}
    if importlib.util.find_spec("pytest") is None:
        return {"absent": "pytest is not installed"}
    with tempfile.TemporaryDirectory() as folder:
        report, settings = Path(folder, "rows.xml"), Path(folder, "pytest.ini")
        paths = " ".join(str(ROOT / "tests" / part) for part in ("ops", "layers", "files"))
        settings.write_text(f"[pytest]\npythonpath = {paths}\n", "utf-8")
        words = ["-q", "-c", str(settings), "--rootdir", str(ROOT), "-p", "no:cacheprovider"]
        # The driver that runs the rows is the one that is measured here.
        env = {**os.environ, "FASTNN_TEST_GPU": "card"}
        start = time.perf_counter()
        run = subprocess.Popen(
            [sys.executable, "-m", "pytest", *words, f"--junitxml={report}", str(suite)],
            env=env, stdout=sys.stderr,
        )  # fmt: skip
        try:
            run.wait(limit)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGINT)  # upon which it writes what it has
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(20)
        finally:
            run.kill()
        out: dict[str, Any] = {"seconds": time.perf_counter() - start, "code": run.wait()}
        if report.exists():
            out |= _counted(report, is_whole=out["code"] in (0, 1))
    return out


def _counted(report: Path, is_whole: bool = True) -> dict[str, Any]:
    """How many tests passed, and what the others said first; the last of a run that time ended is
    named apart, since it did not end."""
    found: dict[str, Any] = {"passed": 0, "skipped": 0, "failed": {}}
    cases = list(ElementTree.parse(report).iter("testcase"))
    if not is_whole and cases:
        found["ended in"] = cases.pop().get("name")
    for case in cases:
        wrong = [e for e in case if e.tag in ("failure", "error")]
        if wrong:
            found["failed"][case.get("name")] = wrong[0].get("message", "")[:400]
        else:
            found["skipped" if any(e.tag == "skipped" for e in case) else "passed"] += 1
    return found


def transfers(gpu: Gpu, sizes: list[int]) -> list[dict[str, Any]]:
    """Uploads and downloads of some sizes."""
    rows = []
    for size in sizes:
        buffer, data = gpu.buffer(size, "a bench"), np.zeros(size // 4, np.uint32)

        def up(buffer: Any = buffer, data: Any = data) -> None:
            gpu.write(buffer, data)
            gpu.submit(lambda encoder: None)
            gpu.wait()

        down = seconds(lambda buffer=buffer, size=size: gpu.read([(buffer, 0, size)]))
        rows.append({"bytes": size, "up": seconds(up), "down": down})
    return rows


def repeated(gpu: Gpu, executable: Executable, times: int) -> float:
    """Seconds of one run of a program among `times` that are submitted together."""

    def call() -> None:
        def encode(encoder: Any) -> None:
            compute = encoder.begin_compute_pass()
            for _ in range(times):
                executable.encode(compute)
            compute.end()

        gpu.submit(encode)
        gpu.wait()

    return seconds(call, 0.5, 20)["min"] / times


def row(gpu: Gpu, name: str, shapes: list[tuple[int, ...]], attrs: Any = None) -> Executable:
    """The program of a row over random inputs."""
    inputs = [(list(s), "float32") for s in shapes]
    executable = Executable(gpu, row_program(name, inputs, attrs or {}, gpu.limits), [])
    draw = np.random.default_rng(0)
    for at, shape in enumerate(shapes):
        gpu.write(executable.inputs[at], draw.normal(size=shape).astype(np.float32))
    return executable


def products(gpu: Gpu, sizes: list[int], times: int) -> list[dict[str, Any]]:
    """Square products in float32."""
    rows = []
    for n in sizes:
        took = repeated(gpu, row(gpu, "matmul", [(n, n), (n, n)]), times)
        rows.append({"n": n, "seconds": took, "TFLOP/s": 2e-12 * n**3 / took})
    return rows


def elementwise(gpu: Gpu, count: int, times: int) -> dict[str, Any]:
    """A sum of two tensors beside a copy of one."""
    took = repeated(gpu, row(gpu, "add", [(count,), (count,)]), times)
    source, target = (gpu.buffer(4 * count, "a bench") for _ in range(2))

    def copy() -> None:
        def encode(encoder: Any) -> None:
            for _ in range(times):
                encoder.copy_buffer_to_buffer(source, 0, target, 0, 4 * count)

        gpu.submit(encode)
        gpu.wait()

    copied = seconds(copy)["min"] / times
    return {"GB/s": 12e-9 * count / took, "GB/s of a copy": 8e-9 * count / copied, "cells": count}


def mlp() -> tuple[Any, Any, Any]:
    """784-256-128-10."""
    net = [fastnn.Input((784,)), layers.Dense(256, "relu"), layers.Dense(128, "relu")]
    return fastnn.Sequential([*net, layers.Dense(10)]), (784,), 10


def cnn() -> tuple[Any, Any, Any]:
    """Two convolutions on images of 32 x 32."""
    net = [
        fastnn.Input((32, 32, 3)), layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(), layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.GlobalAveragePooling2D(), layers.Dense(10),
    ]  # fmt: skip
    return fastnn.Sequential(net), (32, 32, 3), 10


def model_steps(make: Any, batch: int, steps: int, devices: list[str]) -> dict[str, Any]:
    """Losses of an epoch and seconds of a step on each device."""
    out: dict[str, Any] = {"batch": batch}
    draw = np.random.default_rng(0)
    for device in devices:
        fastnn.utils.set_random_seed(0)
        model, shape, classes = make()
        x = draw.normal(size=(steps * batch, *shape)).astype(np.float32)
        y = np.arange(steps * batch) % classes
        loss = fastnn.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, device=device)
        first = model.fit(x, y, batch_size=batch, verbose=0).history["loss"]
        took = []
        for _ in range(3):
            start = time.perf_counter()
            model.fit(x, y, batch_size=batch, epochs=2, verbose=0)
            took.append((time.perf_counter() - start) / (2 * steps))
        out[device] = {"loss of the first epoch": first[0], "seconds a step": min(took)}
        draw = np.random.default_rng(0)
    return out


def torch_steps(batch: int, steps: int) -> dict[str, Any]:
    """The same network in PyTorch, where it is installed with CUDA."""
    try:
        import torch
    except ImportError:
        return {"absent": "PyTorch is not installed"}
    if not torch.cuda.is_available():
        return {"absent": "PyTorch sees no CUDA device"}
    out: dict[str, Any] = {"version": torch.__version__, "batch": batch}
    for tf32 in (False, True):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        net = torch.nn.Sequential(
            torch.nn.Linear(784, 256), torch.nn.ReLU(), torch.nn.Linear(256, 128), torch.nn.ReLU(),
            torch.nn.Linear(128, 10),
        ).cuda()  # fmt: skip
        best = torch.optim.Adam(net.parameters())
        x = torch.randn(batch, 784, device="cuda")
        y = torch.arange(batch, device="cuda") % 10

        def step(net: Any = net, best: Any = best, x: Any = x, y: Any = y) -> None:
            for _ in range(steps):
                best.zero_grad()
                torch.nn.functional.cross_entropy(net(x), y).backward()
                best.step()
            torch.cuda.synchronize()

        a = torch.randn(4096, 4096, device="cuda")

        def product(a: Any = a) -> None:
            a @ a
            torch.cuda.synchronize()

        name = "TF32" if tf32 else "float32"
        out[f"seconds a step, {name}"] = seconds(step)["min"] / steps
        out[f"product of 4096, {name}, TFLOP/s"] = 2e-12 * 4096**3 / seconds(product)["min"]
    return out


def main(words: list[str] | None = None) -> dict[str, Any]:
    """Measures and writes; returns what it wrote."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", default="gpu_card.json")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--rows", type=float, default=3.0, metavar="MINUTES")
    parser.add_argument("--jobs", nargs="*", help="the names of some, as card.json has them")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--device", default="gpu:0")
    args = parser.parse_args(words)
    os.environ.setdefault("FASTNN_SOFTWARE_GPU", "1")
    with tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # what tiles do is measured anew, and not kept
        return measured(args)


def measured(args: argparse.Namespace) -> dict[str, Any]:
    """What was found, which is written after each job."""
    end = time.monotonic() + 60 * args.minutes
    start = time.perf_counter()
    gpu = opened(args.device)
    found: dict[str, Any] = {
        "adapter": gpu.adapter.name, "kind": gpu.adapter.kind, "api": gpu.adapter.api,
        "driver": gpu.adapter.driver, "limits": gpu.limits, "features": gpu.adapter.features,
        "wgpu": gpu.module.__version__, "fastnn": fastnn.__version__,
        "seconds to open": time.perf_counter() - start, "small": args.small,
    }  # fmt: skip
    small = args.small
    both = ["cpu", args.device]
    jobs: dict[str, Callable[[], Any]] = {
        "mlp": lambda: model_steps(mlp, 128, 4 if small else 200, both),
        "rows": lambda: rows_of_the_table(
            args.device, min(60 * args.rows, end - time.monotonic() - 30)
        ),
        "encoding": lambda: encoding(gpu),
        "transfers": lambda: transfers(gpu, [4, 1 << 16, 1 << 20, *([] if small else [1 << 26])]),
        "tiles": lambda: {"million operations a second": tune(args.device, software=True)},
        "products": lambda: products(
            gpu, [128, 256] if small else [256, 512, 1024, 2048, 4096], 2 if small else 10
        ),
        "elementwise": lambda: elementwise(gpu, 1 << (16 if small else 25), 2 if small else 10),
        "cnn": lambda: model_steps(cnn, 32, 2 if small else 50, both),
        "torch": lambda: torch_steps(128, 200),
        "large product": lambda: [] if small else products(gpu, [8192], 3),
    }
    unknown = set(args.jobs or ()) - jobs.keys()
    if unknown:
        raise SystemExit(f"no jobs: {', '.join(sorted(unknown))}; there are {', '.join(jobs)}")
    for name, job in jobs.items():
        if args.jobs is not None and name not in args.jobs:
            continue
        try:
            found[name] = job() if time.monotonic() < end else "no time left"
        except Exception as error:  # one job that fails leaves the others
            found[name] = {"error": f"{type(error).__name__}: {error}"}
        print(name, json.dumps(found[name])[:300], file=sys.stderr, flush=True)
        with open(args.out, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=2)
    return found


if __name__ == "__main__":
    main()
