"""MNIST's digits on a GPU and on the CPU: the same losses, and how long an epoch takes on each.

    python examples/gpu_mnist.py [folder with the four idx files]

Without a folder the files are looked for in $FASTNN_DATA and ~/.cache/fastnn/mnist; without the
files the digits that ship with fastnn are taken. Needs `pip install "fastnn-rs[gpu]"` and a card's
driver, and says so where one is missing.
"""

import sys
import time

import numpy as np

import fastnn
from fastnn import layers
from fastnn.datasets import digits, mnist
from fastnn.errors import GpuUnavailableError


def images(folder: str | None = None):
    """Training images from 0 to 1 with a channel, and their digits."""
    try:
        (x, y), _ = mnist.load_data(folder)
        x = x / 255
    except FileNotFoundError:
        (x, y), _ = digits.load_data()
        x = x / np.max(x)
    return x.astype("float32")[..., None], y


def train(device: str, x: np.ndarray, y: np.ndarray, epochs: int) -> tuple[list[float], float]:
    """The loss of each epoch, and the seconds of the last one."""
    fastnn.utils.set_random_seed(7)
    model = fastnn.Sequential(
        [
            fastnn.Input(x.shape[1:]),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", device=device)
    losses = []
    for epoch in range(epochs):
        start = time.perf_counter()
        done = model.fit(x, y, batch_size=128, initial_epoch=epoch, epochs=epoch + 1, verbose=0)
        losses += done.history["loss"]
        seconds = time.perf_counter() - start
    return losses, seconds


def main(folder: str | None = None, epochs: int = 2, rows: int | None = None) -> dict:
    """Trains on both; returns the losses by device, without the GPU's where there is none."""
    x, y = images(folder)
    x, y = x[:rows], y[:rows]
    results = {}
    for device in ("gpu", "cpu"):
        try:
            losses, seconds = train(device, x, y, epochs)
        except GpuUnavailableError as error:
            print(error)
            continue
        results[device] = losses
        print(f"{device}: losses {', '.join(f'{v:.4f}' for v in losses)}; {seconds:.2f} s an epoch")
    return results


if __name__ == "__main__":
    main(*sys.argv[1:])
