"""The `fastnn` command: what is installed, a demonstration on handwritten digits, and the tools of
`fastnn.exit_strategy`.

Uses fastnn's public names only, imported when a command runs, so that `fastnn --help` is instant.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fastnn.datasets.idx import Split

EPOCHS = {"mnist": 5, "digits": 30}

# What the second process of the demonstration runs: nothing but the saved file and the images.
PREDICT_AGAIN = """
import sys
import fastnn
from fastnn.cli import fingerprint, load_images
model = fastnn.models.load_model(sys.argv[1])
_, (x, _) = load_images(sys.argv[2])
print(fingerprint(model.predict(x, verbose=0)))
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["exit"] and argv is None:
        # Imports and a short run leave no cycles; looking for some takes a tenth of the time.
        gc.set_threshold(100_000, 50, 50)
    if words[:1] == ["exit"] and "numpy" not in sys.modules:
        # Starting the threads of NumPy's BLAS, which these commands hardly use, takes 60 ms.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from fastnn.config import printable_stream  # imports NumPy

    printable_stream(sys.stdout)
    printable_stream(sys.stderr)
    args = build_parser(words).parse_args(words)
    status = int(args.run(args) or 0)
    if argv is None:
        gc.freeze()  # the end of the process looks through what is not frozen, for 20 ms
    return status


def build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; where `words` ask for the exit tool, its commands alone have their arguments."""
    of_exit = words[:1] == ["exit"]
    tools = importlib.import_module("fastnn.exit_strategy.cli") if of_exit else None
    how: dict[str, Any] = {} if tools is None else {"formatter_class": tools.Formatter}
    parser = argparse.ArgumentParser(
        prog="fastnn", description="Neural networks on a compiled Rust core.", **how
    )
    parser.add_argument("--version", action=_Version, help="print the version")
    commands = parser.add_subparsers(
        dest="command", metavar="command", required=True, prog="fastnn"
    )
    if tools is None:  # to make the others takes longer than some tools run
        _add_commands(commands)
    strategy = commands.add_parser(
        "exit", help="weigh IPO, sale and strategic transformation", **how
    )
    if tools is not None:
        found = strategy.add_subparsers(
            dest="tool", metavar="tool", required=True, prog="fastnn exit"
        )
        tools.add_commands(found, words[1] if len(words) > 1 else None)
    return parser


def _add_commands(commands: Any) -> None:
    """Add the commands besides `exit`."""
    info = commands.add_parser("info", help="versions, instruction set, threads, GPU adapters")
    info.add_argument("--json", action="store_true", help="print one JSON object")
    info.set_defaults(run=run_info)

    gpu = commands.add_parser("gpu", help="measure an adapter, for faster programs")
    gpu_tools = gpu.add_subparsers(dest="tool", metavar="tool", required=True)
    tuner = gpu_tools.add_parser(
        "tune", help="how fast the tiles of products are; kept for this adapter"
    )
    tuner.add_argument(
        "--device", default="gpu:0", help="as `fastnn info` names it; default: gpu:0"
    )
    tuner.add_argument("--software", action="store_true", help="also a driver that runs on the CPU")
    tuner.add_argument("--json", action="store_true", help="print one JSON object")
    tuner.set_defaults(run=run_gpu_tune)

    demo = commands.add_parser("demo", help="train on handwritten digits, save, load, compare")
    demo.add_argument("--data", choices=sorted(EPOCHS), help="default: mnist if found, or digits")
    demo.add_argument("--epochs", type=positive, help="default: 5 for mnist, 30 for digits")
    demo.add_argument("--seed", type=int, default=0, help="default: 0")
    demo.set_defaults(run=run_demo)

    look = commands.add_parser("inspect", help="what a model file holds: layers, weights, sizes")
    look.add_argument("file", metavar="FILE", help="of fastnn, Keras or ONNX, or safetensors")
    look.add_argument("--json", action="store_true", help="print one JSON object")
    look.set_defaults(run=run_inspect)

    server = commands.add_parser("serve", help="answer with a model's predictions over HTTP")
    server.add_argument("model", metavar="MODEL", help="a saved model")
    server.add_argument("--host", default="127.0.0.1", help="default: this machine alone")
    server.add_argument("--port", type=positive, default=8000, help="default: 8000")
    server.add_argument(
        "--token-file", metavar="FILE", help="a secret that requests must carry; or the variable "
        "FASTNN_TOKEN",
    )  # fmt: skip
    server.add_argument("--max-body", type=positive, help="bytes of a request; default: 10 MiB")
    server.add_argument("--max-rows", type=positive, help="rows of a request; default: 4096")
    server.add_argument("--max-seconds", type=positive, help="for a request; default: 30")
    server.add_argument("--max-batch", type=positive, default=256, help="rows of a run; 256")
    server.add_argument(
        "--max-delay", type=float, default=0.0, metavar="MS",
        help="milliseconds that a request waits for others to join it; default: 0",
    )  # fmt: skip
    server.add_argument(
        "--watch", type=float, default=2.0, metavar="SECONDS",
        help="how often to look for a new model file; 0: never; default: 2",
    )  # fmt: skip
    server.set_defaults(run=run_serve)


class _Version(argparse.Action):
    """Prints the version, which is looked up only then, and ends."""

    def __init__(self, option_strings: Sequence[str], dest: str, **kwargs: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **kwargs)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Prints and exits."""
        import fastnn

        print(f"fastnn {fastnn.__version__}")
        parser.exit()


def positive(text: str) -> int:
    """An argparse type: a whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value


# --- fastnn info -----------------------------------------------------------------------------


def run_info(args: argparse.Namespace) -> int:
    """Print what is installed and what the machine offers."""
    facts = collect_info()
    if args.json:
        print(json.dumps(facts, indent=2, sort_keys=True))
        return 0
    width = max(map(len, facts))
    for name, value in facts.items():
        lines = [str(v) for v in value] or ["none"] if isinstance(value, list) else [str(value)]
        print(f"{name:<{width}}  {', '.join(lines)}")
    return 0


def collect_info() -> dict[str, Any]:
    """Versions, instruction set, threads and GPU adapters, ready for JSON."""
    import platform

    import numpy as np

    import fastnn

    return {
        "fastnn": fastnn.__version__,
        **{k: v for k, v in fastnn.info().items() if k != "version"},
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
        "gpu_adapters": find_adapters(),
    }


def find_adapters() -> list[str] | str:
    """The names of the GPU adapters, or what to install to see them."""
    from fastnn import devices
    from fastnn.errors import GpuUnavailableError, hint_of, told

    try:
        found = devices.adapters()
    except GpuUnavailableError as error:
        return f"unknown: {told(error)}; {hint_of(error)}"
    return [
        f"{a.device}: {a.name} ({a.kind}, {a.api}, {a.driver}; binds "
        f"{a.limits['binding_bytes'] >> 20} MiB, {a.limits['storage_buffers']} buffers, "
        f"{a.limits['workgroup_bytes'] >> 10} KiB shared"
        + ("; runs on the CPU, for tests)" if a.is_software else ")")
        for a in found
    ]


def run_gpu_tune(args: argparse.Namespace) -> int:
    """Measure the tiles of an adapter, keep and print what was found."""
    from fastnn import devices
    from fastnn.errors import FastnnError

    try:
        speeds = devices.tune(args.device, software=args.software)
    except (FastnnError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if args.json:
        print(json.dumps(speeds, indent=2))
        return 0
    for tile, speed in sorted(speeds.items(), key=lambda row: -row[1]):
        print(
            f"{tile:<12}{speed / 1000:>12,.1f} GFLOP/s" if speed else f"{tile:<12}{'not used':>12}"
        )
    return 0


# --- fastnn serve ----------------------------------------------------------------------------


def run_inspect(args: argparse.Namespace) -> int:
    """Print what a model file holds."""
    from fastnn.errors import FastnnError
    from fastnn.models import inspect_file

    try:
        found = inspect_file(args.file)
    except (FastnnError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(json.dumps(found.to_dict(), indent=2) if args.json else found)
    return 0


def run_serve(args: argparse.Namespace) -> int:
    """Serve a model until interrupted."""
    import os

    from fastnn.errors import FastnnError
    from fastnn.serving import Limits, create_app
    from fastnn.serving.app import run

    token = os.environ.get("FASTNN_TOKEN")
    try:
        if args.token_file:
            token = Path(args.token_file).read_text(encoding="utf-8").strip()
        given = {
            "max_body": args.max_body, "max_rows": args.max_rows, "max_seconds": args.max_seconds,
        }  # fmt: skip
        limits = Limits(**{k: v for k, v in given.items() if v is not None})
        app = create_app(
            args.model, token=token, limits=limits, max_delay=args.max_delay / 1000,
            max_batch_size=args.max_batch, watch=args.watch,
        )  # fmt: skip
        print(f"serving {args.model} at http://{args.host}:{args.port}", file=sys.stderr)
        run(app, args.host, args.port, token, limits)
    except (FastnnError, OSError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


# --- fastnn demo -----------------------------------------------------------------------------


def run_demo(args: argparse.Namespace) -> int:
    """Train, test, save, load in a new process, and compare the predictions bit for bit."""
    import subprocess
    import tempfile

    import numpy as np

    import fastnn

    start = time.perf_counter()

    def done(what: str) -> None:
        nonlocal start
        print(f"[{what}: {time.perf_counter() - start:.1f} s]\n", flush=True)
        start = time.perf_counter()

    name = args.data or choose_images()
    (x, y), (x_test, y_test) = load_images(name)
    side, epochs = x.shape[1], args.epochs or EPOCHS[name]
    print(f"{name}: {len(x):,} handwritten digits of {side}x{side} pixels, {len(x_test):,} to test")
    fastnn.utils.set_random_seed(args.seed)
    batch = 128 if name == "mnist" else 64
    model = build_model(side, 255.0 if name == "mnist" else 16.0, epochs * -(-len(x) // batch))
    model.summary()
    model.fit(x, y, batch_size=batch, epochs=epochs)
    done("data and training")

    probabilities = np.asarray(model.predict(x_test, verbose=0))
    guesses = probabilities.argmax(axis=1)
    print(f"\ntest accuracy: {np.mean(guesses == y_test):.2%} of {len(y_test):,} digits not seen\n")
    print(confusion_table(y_test, guesses))
    done("test")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "digits.safetensors")
        model.save(path)
        print(f"saved {path.name} ({path.stat().st_size:,} bytes)")
        again = subprocess.run(
            [sys.executable, "-c", PREDICT_AGAIN, str(path), name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout.strip()
    here = fingerprint(probabilities)
    print(f"predictions of this process         {here[:32]}")
    print(f"predictions of a new one that loads {again[:32]}")
    done("saving, a new process, loading")
    same = here == again
    print("same bits" if same else "error: the loaded model predicts other bits")
    return 0 if same else 1


def choose_images() -> str:
    """MNIST where its files are, else the digits that ship with the package."""
    from fastnn.datasets import mnist

    try:
        mnist.load_data()
    except FileNotFoundError:
        return "digits"
    return "mnist"


def load_images(name: str) -> tuple[Split, Split]:
    """The training and test images of the data set called `name`."""
    from fastnn.datasets import digits, mnist

    return mnist.load_data() if name == "mnist" else digits.load_data()


def build_model(side: int, largest: float, steps: int) -> Any:
    """A compiled classifier of ten classes for images (side, side) of 0 to `largest`.

    `steps` says in how many steps the learning rate falls to nothing.
    """
    import fastnn

    layers, large = fastnn.layers, side >= 28
    changes = [
        layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
        layers.RandomRotation(0.03, fill_mode="constant"),
    ]

    def convolution(filters: int) -> list[Any]:
        return [
            layers.Conv2D(filters, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]

    model = fastnn.Sequential(
        [
            fastnn.Input((side, side)),
            layers.Rescaling(1.0 / largest),
            layers.Reshape((side, side, 1)),
            # The few shipped digits are shifted and turned a little each time, MNIST's are many.
            *([] if large else changes),
            *convolution(32),
            *([layers.MaxPooling2D()] if large else []),
            *convolution(32),
            layers.MaxPooling2D(),
            layers.SpatialDropout2D(0.1),
            *convolution(64),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    rate = fastnn.optimizers.schedules.CosineDecay(3e-3, decay_steps=steps)
    model.compile(
        optimizer=fastnn.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def confusion_table(
    truth: npt.NDArray[np.integer[Any]], guesses: npt.NDArray[np.integer[Any]]
) -> str:
    """Counts of true digit (rows) against predicted digit (columns)."""
    import numpy as np

    counts = np.zeros((10, 10), np.int64)
    np.add.at(counts, (truth, guesses), 1)
    width = max(4, len(str(counts.max())) + 1)
    head = "true \\ predicted" + "".join(f"{digit:>{width}}" for digit in range(10))
    rows = [
        f"{digit:>16}" + "".join(f"{count or '.':>{width}}" for count in row)
        for digit, row in enumerate(counts.tolist())
    ]
    return "\n".join([head, *rows])


def fingerprint(values: npt.ArrayLike) -> str:
    """The SHA-256 of the bytes of an array: equal for equal bits alone."""
    import hashlib

    import numpy as np

    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
