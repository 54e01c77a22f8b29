"""Two networks against each other: one makes points, one tells them from eight clusters on a ring.

    python examples/gan_ring.py

Prints how many of the eight clusters the maker's points reach: at least seven.
"""

import sys

import numpy as np

import fastnn
from fastnn import layers, ops

MODES, NOISE, GOAL = 8, 8, 7
CENTRES = np.stack([(np.cos(a), np.sin(a)) for a in 2 * np.pi * np.arange(MODES) / MODES])


class Ring(fastnn.Model):
    """A maker and a judge that train in one step."""

    def __init__(self) -> None:
        super().__init__()
        self.maker = fastnn.Sequential([
            fastnn.Input((NOISE,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"),
            layers.Dense(2),
        ])  # fmt: skip
        self.judge = fastnn.Sequential([
            fastnn.Input((2,)), layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1),
        ])  # fmt: skip
        self.seeds = fastnn.random.SeedGenerator(1)

    def made(self, like: object) -> object:
        """As many points as `like` has rows."""
        noise = fastnn.random.normal((ops.shape(like)[0], NOISE), seed=self.seeds)
        return self.maker(noise)

    def train_step(self, data: object) -> dict:
        """The judge learns to tell and the maker to pass, both from where they stand."""
        real = data[0] if isinstance(data, tuple) else data
        with fastnn.GradientTape(persistent=True) as tape:
            no = self.judge(self.made(real))
            told = ops.mean(ops.softplus(-self.judge(real))) + ops.mean(ops.softplus(no))
            passed = ops.mean(ops.softplus(-no))
        judge, maker = self.judge.trainable_variables, self.maker.trainable_variables
        slopes = [*tape.gradient(told, judge), *tape.gradient(passed, maker)]
        self.optimizer.apply(slopes, [*judge, *maker])
        return {"judge": told, "maker": passed}


def points(count: int, rng: np.random.Generator) -> np.ndarray:
    """Points of the clusters."""
    near = CENTRES[rng.integers(0, MODES, size=count)]
    return (near + rng.normal(scale=0.05, size=(count, 2))).astype("float32")


def main(epochs: int = 30) -> int:
    """Trains; prints and returns how many clusters are reached."""
    fastnn.utils.set_random_seed(2)
    model = Ring()
    model.compile(fastnn.optimizers.Adam(1e-3, beta_1=0.5))
    model.fit(points(25_600, np.random.default_rng(0)), batch_size=256, epochs=epochs, verbose=0)
    noise = np.random.default_rng(1).normal(size=(2000, NOISE)).astype("float32")
    made = model.maker.predict(noise, verbose=0)
    far = np.linalg.norm(made[:, None] - CENTRES, axis=-1)
    near = np.bincount(far.argmin(1)[far.min(1) < 0.25], minlength=MODES)
    reached = int((near >= 20).sum())
    print(f"points near each cluster: {near.tolist()}; clusters reached: {reached} of {MODES}")
    return reached


if __name__ == "__main__":
    sys.exit(main() < GOAL)
