"""A small GPT learns to write like Shakespeare, letter by letter, and speaks through a cache.

    python examples/char_gpt.py [FOLDER] [MINUTES]

The folder holds `input.txt` (Tiny Shakespeare, public domain); without one it is looked for in
$FASTNN_DATA/text/tinyshakespeare. Trains for ten minutes unless told otherwise, prints the loss a
letter on the last tenth of the text, and a few new lines.
"""

import math
import os
import sys
import time
from pathlib import Path

import numpy as np

import fastnn
from fastnn.applications import GPT

WINDOW = 128
GOAL = 1.60


RATE = 2e-3


class Clock(fastnn.callbacks.Callback):
    """The rate rises and falls with the time that has passed; training ends when it is up."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.start, self.seconds = time.monotonic(), seconds

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Looks at the clock."""
        share = min((time.monotonic() - self.start) / self.seconds, 1.0)
        falling = 0.02 + 0.98 * (1 + math.cos(math.pi * share)) / 2
        self.model.optimizer.learning_rate = RATE * min(falling, 0.1 + share / 0.02)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Looks at the clock."""
        if time.monotonic() > self.start + self.seconds:
            self.model.stop_training = True


def windows(tokens: np.ndarray, count: int, rng: np.random.Generator) -> tuple:
    """Stretches of the text from random places, and what follows each letter of them."""
    starts = rng.integers(0, len(tokens) - WINDOW - 1, size=count)
    rows = tokens[starts[:, None] + np.arange(WINDOW + 1)]
    return rows[:, :-1], rows[:, 1:]


def main(folder: str | None = None, minutes: float = 10.0) -> float:
    """Trains, prints the loss on held-back text and new letters; returns the loss."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "text", "tinyshakespeare"))
    if not (place / "input.txt").exists():
        raise SystemExit(f"no input.txt in {place}: give its folder as an argument")
    text = (place / "input.txt").read_text()
    letters = fastnn.CharTokenizer(text)
    tokens = np.array(letters.encode(text))
    cut = int(0.9 * len(tokens))
    fastnn.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = GPT(len(letters), 128, 4, heads=4, max_length=WINDOW, dropout=0.1)
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(fastnn.optimizers.AdamW(RATE, weight_decay=0.01, clipnorm=1.0), loss)
    test = windows(tokens[cut:], 200, np.random.default_rng(1))
    clock = Clock(60 * minutes)
    while not model.stop_training:
        x, y = windows(tokens[:cut], 800, rng)  # a hundred steps of eight windows
        model.fit(x, y, batch_size=8, verbose=0, callbacks=[clock])
    found = float(model.evaluate(*test, batch_size=8, verbose=0))
    print(f"loss a letter on held-back text: {found:.3f}")
    for name in ("ROMEO:", "JULIET:", "KING RICHARD III:"):
        prompt = name + "\n"
        print(prompt, end="")
        # A place behind those of the windows has never been learned.
        left = WINDOW - len(prompt)
        for piece in fastnn.generate(
            model, prompt, max_tokens=left, temperature=0.8, seed=1, stream=True, tokenizer=letters
        ):
            print(piece, end="", flush=True)
        print("\n")
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2], *map(float, sys.argv[2:3])) > GOAL)
