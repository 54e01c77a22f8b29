"""A GRU foretells a series that has two seasons, beside what a forecaster must beat.

    python examples/forecast.py

The series is made here: a daily and a weekly wave whose strength drifts, with noise, over 200 days.
Prints the mean error of forecasts an hour ahead on the last 40 days: of the hour before, of the
same hour a day and a week before, and of the network, which must beat them all.
"""

import sys

import numpy as np

import fastnn
from fastnn import layers

HOURS, WINDOW, HELD = 24 * 200, 48, 24 * 40


def series(seed: int = 0) -> np.ndarray:
    """The values, hour by hour."""
    rng = np.random.default_rng(seed)
    t = np.arange(HOURS)
    drift = 1 + 0.3 * np.sin(2 * np.pi * t / (24 * 60))
    day, week = np.sin(2 * np.pi * t / 24), np.sin(2 * np.pi * t / (24 * 7))
    noise = np.zeros(HOURS)
    for i in range(1, HOURS):
        noise[i] = 0.6 * noise[i - 1] + rng.normal(scale=0.15)
    return drift * day + 0.8 * week + noise


def build() -> fastnn.Model:
    """Two days of hours to the change over the next one."""
    model = fastnn.Sequential([
        fastnn.Input((None, 1)), layers.GRU(32), layers.Dense(1),
    ])  # fmt: skip
    model.compile(fastnn.optimizers.Adam(3e-3), "mse")
    return model


def main(epochs: int = 8) -> dict[str, float]:
    """Trains; prints and returns the mean absolute errors."""
    fastnn.utils.set_random_seed(0)
    values = series().astype("float32")
    rows = np.lib.stride_tricks.sliding_window_view(values, WINDOW + 1)
    x, change = rows[:, :-1, None], rows[:, -1] - rows[:, -2]
    cut = len(rows) - HELD
    model = build()
    model.fit(x[:cut], change[:cut], batch_size=64, epochs=epochs, verbose=0)
    said = values[-HELD - 1 : -1] + model.predict(x[cut:], verbose=0)[:, 0]
    true = values[-HELD:]
    errors = {
        "the hour before": np.abs(true - values[-HELD - 1 : -1]).mean(),
        "a day before": np.abs(true - values[-HELD - 24 : -24]).mean(),
        "a week before": np.abs(true - values[-HELD - 168 : -168]).mean(),
        "the network": np.abs(true - said).mean(),
    }
    for name, error in errors.items():
        print(f"{name:16} {error:.4f}")
    return {name: float(error) for name, error in errors.items()}


if __name__ == "__main__":
    found = main()
    sys.exit(found["the network"] > 0.9 * min(list(found.values())[:-1]))
