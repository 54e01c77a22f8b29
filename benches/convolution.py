"""Layers of known networks against PyTorch and JAX, forward and both gradients, interleaved; each
row with the share of the processor's peak that `peak.rs` measures where it is given.

    python benches/convolution.py                        # a table in the terminal
    python benches/convolution.py --only 3x3 --threads 1 --peak 205
"""

from __future__ import annotations

import argparse
import statistics
import sys

import harness
from harness import Contestant

#: What: images, height, width, channels, filters, taps, stride, padding, groups.
LAYERS = {
    "MNIST CNN 3x3 1-32 b64": (64, 28, 28, 1, 32, 3, 1, 0, 1),
    "MNIST CNN 3x3 32-64 b64": (64, 26, 26, 32, 64, 3, 1, 0, 1),
    "VGG16 3x3 3-64 224": (1, 224, 224, 3, 64, 3, 1, 1, 1),
    "VGG16 3x3 64-64 224": (1, 224, 224, 64, 64, 3, 1, 1, 1),
    "VGG16 3x3 128-128 112": (1, 112, 112, 128, 128, 3, 1, 1, 1),
    "VGG16 3x3 256-256 56": (1, 56, 56, 256, 256, 3, 1, 1, 1),
    "VGG16 3x3 512-512 28": (1, 28, 28, 512, 512, 3, 1, 1, 1),
    "VGG16 3x3 512-512 14 b8": (8, 14, 14, 512, 512, 3, 1, 1, 1),
    "ResNet50 7x7 3-64 224": (1, 224, 224, 3, 64, 7, 2, 3, 1),
    "ResNet50 3x3 64-64 56": (1, 56, 56, 64, 64, 3, 1, 1, 1),
    "ResNet50 3x3 128-128 28": (1, 28, 28, 128, 128, 3, 1, 1, 1),
    "ResNet50 3x3 256-256 14": (1, 14, 14, 256, 256, 3, 1, 1, 1),
    "ResNet50 3x3 512-512 7": (1, 7, 7, 512, 512, 3, 1, 1, 1),
    "ResNet50 1x1 64-256 56": (1, 56, 56, 64, 256, 1, 1, 0, 1),
    "ResNet50 1x1 1024-256 14": (1, 14, 14, 1024, 256, 1, 1, 0, 1),
    "ResNet50 1x1 512-2048 7": (1, 7, 7, 512, 2048, 1, 1, 0, 1),
    "ResNet50 1x1 256-512 56 s2": (1, 56, 56, 256, 512, 1, 2, 0, 1),
    "depthwise 3x3 32 112": (1, 112, 112, 32, 32, 3, 1, 1, 32),
    "depthwise 3x3 144 56 s2": (1, 56, 56, 144, 144, 3, 2, 1, 144),
    "depthwise 3x3 576 14": (1, 14, 14, 576, 576, 3, 1, 1, 576),
    "depthwise 3x3 192 28 b8": (8, 28, 28, 192, 192, 3, 1, 1, 192),
}
PARTS = ("forward", "input", "weights")
NAMES = ("images", "high", "wide", "channels", "filters", "taps", "stride", "padding", "groups")


def operations(layer: tuple[int, ...]) -> float:
    """Multiplications and additions of the direct way."""
    n, high, wide, channels, filters, taps, stride, padding, groups = layer
    places = n
    for size in (high, wide):
        places *= (size + 2 * padding - taps) // stride + 1
    return 2.0 * places * filters * channels // groups * taps * taps


def main() -> int:
    """Prints one line per layer and part."""
    args = parse()
    peers = args.peers_python or str(harness.ROOT / ".venv-peers" / "bin" / "python")
    contestants = [Contestant("fastnn", args.threads), Contestant("torch", args.threads),
                   Contestant("torch", args.threads, "channels_last"),
                   Contestant("jax", args.threads)]  # fmt: skip
    pythons = {"fastnn": sys.executable, "torch": peers, "jax": peers}
    worst: dict[str, list[float]] = {}
    for name, layer in LAYERS.items():
        for part in PARTS:
            if args.only not in f"{name} {part}":
                continue
            params = dict(zip(NAMES, layer, strict=True)) | {"part": part}
            results, _ = harness.compete(
                contestants, "convolution", params, rounds=args.rounds, seconds=args.seconds,
                pythons=pythons,
            )  # fmt: skip
            ours = results[contestants[0]]
            if ours.error:
                print(f"{name} {part}: {ours.error.splitlines()[-1]}")
                continue
            rate = operations(layer) / ours.median("p50") / 1e9
            share = f", {100 * rate / args.peak / args.threads:.0f} % of peak" if args.peak else ""
            text = [f"{name} {part}: {1e3 * ours.median('p50'):.3f} ms, {rate:.0f} GFLOP/s{share}"]
            ratios = []
            for contestant, result in list(results.items())[1:]:
                if result.error:
                    text.append(f"{contestant.label()} failed")
                    continue
                ratios.append(harness.ratio(result, ours, "p50")[0])
                text.append(f"{contestant.label()} {ratios[-1]:.2f}x")
            if ratios:
                worst.setdefault(part, []).append(min(ratios))
            print("; ".join(text), flush=True)
    for part, ratios in worst.items():
        print(f"{part}: the best of each row {statistics.geometric_mean(ratios):.2f}x in the "
              f"geometric mean, {min(ratios):.2f}x at worst")  # fmt: skip
    return 0


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="rows whose name has this")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.1, help="a turn")
    parser.add_argument("--peak", type=float, default=0.0, help="GFLOP/s of a core")
    parser.add_argument("--peers-python", default="", help="an interpreter that has the peers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
