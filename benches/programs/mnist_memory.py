"""Peak memory of the MNIST run beyond the data: prints bytes beyond, and bytes needed.

Needed are parameters, the two moments of Adam, and the activations of one batch. The peak is read
from the kernel after the peak so far has been cleared, with everything imported and warmed up.
"""

import json
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers

SIZES, BATCH = [784, 512, 512, 10], 128


def memory(name: str) -> int:
    """A field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {name} in /proc/self/status")


def train(x, y, sizes):
    hidden = [layers.Dense(n, activation="relu") for n in sizes[1:-1]]
    last = layers.Dense(sizes[-1], activation="softmax")
    model = fastnn.Sequential([fastnn.Input((sizes[0],)), *hidden, last])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=BATCH, epochs=2, verbose=0)
    return model


rng = np.random.default_rng(0)
train(rng.random((256, 8), np.float32), rng.integers(0, 10, 256, dtype=np.int32), [8, 16, 16, 10])
x = rng.random((60_000, 784), np.float32)
y = rng.integers(0, 10, 60_000, dtype=np.int32)
Path("/proc/self/clear_refs").write_text("5")  # resets the peak
before = memory("VmRSS")
model = train(x, y, SIZES)
peak = memory("VmHWM")  # before the weights are copied to be counted
parameters = sum(w.size for w in model.get_weights())
print(
    json.dumps(
        {
            "beyond": peak - before,
            "needed": 4 * (3 * parameters + BATCH * sum(SIZES)),
            "parameters": parameters,
        }
    )
)
