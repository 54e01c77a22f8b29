"""A recurrent network makes up names, letter by letter, from 32,000 real ones.

    python examples/names_rnn.py [FOLDER]

The folder holds `names.txt` (karpathy/makemore, MIT); without one it is looked for in
$FASTNN_DATA/text/names. Prints the loss a letter on names held back, beside that of letters drawn
by their frequency, and twenty new names.
"""

import os
import sys
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers

END = 0  # ends a name and pads it; letters are 1 to 26
GOAL = 2.15


def read(folder: Path) -> np.ndarray:
    """The names as rows of numbers, padded with END."""
    names = (folder / "names.txt").read_text().splitlines()
    rows = np.zeros((len(names), 16), int)
    for row, name in zip(rows, names, strict=True):
        row[: len(name)] = [ord(c) - 96 for c in name]
    return np.random.default_rng(0).permutation(rows)


def pairs(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Letters before, letters to guess, and which count: up to the end of the name."""
    before = np.concatenate([np.full((len(rows), 1), 27), rows[:, :-1]], axis=1)
    counts = np.cumsum(rows == END, axis=1) <= 1
    return before, rows, counts.astype("float32")


def build() -> fastnn.Model:
    """Letters, a GRU, and scores of the next letter."""
    model = fastnn.Sequential(
        [
            fastnn.Input((None,), dtype="int32"),
            layers.Embedding(28, 32),
            layers.GRU(128, return_sequences=True),
            layers.Dense(27),
        ]
    )
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fastnn.optimizers.Adam(3e-3), loss)
    return model


def loss_of(model: fastnn.Model, rows: np.ndarray) -> float:
    """The mean loss a letter."""
    before, wanted, counts = pairs(rows)
    scores = model.predict(before, verbose=0)
    log = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    lost = -np.take_along_axis(log, wanted[..., None], -1)[..., 0]
    return float((lost * counts).sum() / counts.sum())


def make_up(model: fastnn.Model, count: int, rng: np.random.Generator) -> list[str]:
    """New names, drawn letter by letter."""
    letters = np.full((count, 17), END)
    letters[:, 0] = 27
    for i in range(16):
        scores = model.predict(letters[:, : i + 1], verbose=0)[:, i]
        chances = np.exp(scores - scores.max(-1, keepdims=True))
        chances = np.cumsum(chances / chances.sum(-1, keepdims=True), axis=1)
        letters[:, i + 1] = np.argmax(chances > rng.random((count, 1)), axis=1)
    texts = ["".join(chr(96 + n) for n in row[1:]) for row in letters]
    return [t.split(chr(96))[0] for t in texts]


def main(folder: str | None = None, epochs: int = 6) -> float:
    """Trains; prints losses and names."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "text", "names"))
    if not (place / "names.txt").exists():
        raise SystemExit(f"no names.txt in {place}: give its folder as an argument")
    fastnn.utils.set_random_seed(0)
    rows = read(place)
    train, test = rows[:-2000], rows[-2000:]
    before, wanted, counts = pairs(train)
    shares = np.bincount(wanted[counts > 0], minlength=27) / counts.sum()
    _, held, kept = pairs(test)
    baseline = float(-np.log(shares[held[kept > 0]]).mean())
    model = build()
    model.fit(before, wanted, sample_weight=counts, batch_size=128, epochs=epochs, verbose=2)
    found = loss_of(model, test)
    print(f"loss a letter: {found:.3f}; by frequency alone {baseline:.3f}")
    print(*make_up(model, 20, np.random.default_rng(1)), sep=" ")
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]) > GOAL)
