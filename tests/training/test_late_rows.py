"""`fit` lets rows of an embedding make their steps late; nobody sees that by a single bit."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

import fastnn as nn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

TOKENS, WIDTH, BATCH, STEPS = 5000, 64, 8, 20


def made(optimizer: nn.optimizers.Optimizer) -> nn.Sequential:
    nn.utils.set_random_seed(4)
    model = nn.Sequential(
        [
            nn.Input((STEPS,), dtype="int32"),
            nn.layers.Embedding(TOKENS, WIDTH, mask_zero=True),
            nn.layers.GlobalAveragePooling1D(),
            nn.layers.Dense(1),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def data(batches: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    often = random.integers(0, TOKENS // 4, (batches * BATCH, STEPS))
    rarely = random.integers(0, TOKENS * 3 // 4, often.shape)
    x = np.where(random.random(often.shape) < 0.9, often, rarely).astype(np.int32)
    return x, random.standard_normal((len(x), 1)).astype(np.float32)


def state(model: nn.Sequential) -> list[np.ndarray]:
    return [np.asarray(v) for v in [*model.weights, *model.optimizer.variables]]


def one_by_one(model: nn.Sequential, x: np.ndarray, y: np.ndarray, steps: int) -> None:
    for at in range(steps):
        rows = slice(at * BATCH, (at + 1) * BATCH)
        model.train_on_batch(x[rows], y[rows])


def assert_same(a: nn.Sequential, b: nn.Sequential) -> None:
    for got, want in zip(state(a), state(b), strict=True):
        assert got.tobytes() == want.tobytes()


def interrupted(
    model: nn.Sequential, x: np.ndarray, y: np.ndarray, batch: int, seconds: float
) -> None:
    """Trains until a signal comes."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        model.fit(x, y, batch, epochs=1000, shuffle=False, verbose=0)
    except KeyboardInterrupt:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def rate() -> nn.optimizers.schedules.LearningRateSchedule:
    return nn.optimizers.schedules.ExponentialDecay(0.01, 10, 0.8)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: nn.optimizers.Adam(rate()),
        lambda: nn.optimizers.Adam(0.01, amsgrad=True),
        lambda: nn.optimizers.Adam(0.01, global_clipnorm=0.1),
        lambda: nn.optimizers.AdamW(rate()),
        lambda: nn.optimizers.RMSprop(rate()),
        lambda: nn.optimizers.SGD(rate(), momentum=0.9),
        lambda: nn.optimizers.SGD(0.1),
    ],
)
def test_fit_gives_the_bits_of_single_steps(
    optimizer: Callable[[], nn.optimizers.Optimizer],
) -> None:
    x, y = data(80)
    whole, single = made(optimizer()), made(optimizer())
    whole.fit(x[: 70 * BATCH], y[: 70 * BATCH], BATCH, shuffle=False, verbose=0)
    rest = slice(70 * BATCH, None)
    whole.fit(x[rest], y[rest], BATCH, shuffle=False, verbose=0)
    one_by_one(single, x, y, 80)
    assert_same(whole, single)


def test_an_interrupt_leaves_every_row_at_the_same_step() -> None:
    batches = 4000
    x, y = data(batches)
    model = made(nn.optimizers.Adam(0.01))
    model.fit(x[:BATCH], y[:BATCH], BATCH, shuffle=False, verbose=0)

    interrupted(model, x, y, BATCH, 0.3)
    steps = int(model.optimizer.iterations)
    single = made(nn.optimizers.Adam(0.01))
    one_by_one(single, x, y, 1)
    for epoch in range((steps - 1) // batches + 1):
        one_by_one(single, x, y, min(batches, steps - 1 - epoch * batches))
    assert_same(model, single)


def test_a_step_that_an_interrupt_leaves_to_itself_brings_every_row_along() -> None:
    tokens, batch = 20_000, 128

    def wide() -> nn.Sequential:
        nn.utils.set_random_seed(4)
        layers = [nn.layers.Embedding(tokens, WIDTH), nn.layers.Flatten()]
        layers += [nn.layers.Dense(2048, "relu"), nn.layers.Dense(2048, "relu"), nn.layers.Dense(1)]
        model = nn.Sequential([nn.Input((STEPS,), dtype="int32"), *layers])
        model.compile(nn.optimizers.Adam(0.001), "mse")
        return model

    random = np.random.default_rng(0)
    x = random.integers(0, tokens, (4 * batch, STEPS)).astype(np.int32)
    y = random.standard_normal((len(x), 1)).astype(np.float32)
    model, single = wide(), wide()
    model.fit(x, y, batch, shuffle=False, verbose=0)

    interrupted(model, x, y, batch, 0.25)
    for at in range(int(model.optimizer.iterations)):
        rows = slice(at % 4 * batch, (at % 4 + 1) * batch)
        single.train_on_batch(x[rows], y[rows])
    assert_same(model, single)


def test_a_reader_beside_fit_sees_whole_steps() -> None:
    x, y = data(300)
    model, single = made(nn.optimizers.Adam(0.01)), made(nn.optimizers.Adam(0.01))
    found = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found.append(hash(np.asarray(model.weights[0]).tobytes()))

    reader = threading.Thread(target=read)
    reader.start()
    model.fit(x, y, BATCH, shuffle=False, verbose=0)
    done.set()
    reader.join()
    known = {hash(np.asarray(single.weights[0]).tobytes())}
    for at in range(300):
        one_by_one(single, x[at * BATCH :], y[at * BATCH :], 1)
        known.add(hash(np.asarray(single.weights[0]).tobytes()))
    assert set(found) <= known
    assert_same(model, single)


def test_callbacks_at_batches_find_every_row_at_their_step() -> None:
    x, y = data(20)
    model, single = made(nn.optimizers.Adam(0.01)), made(nn.optimizers.Adam(0.01))
    tables = []

    class Look(nn.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
            tables.append(np.array(self.model.weights[0]))

    model.fit(x, y, BATCH, shuffle=False, verbose=0, callbacks=[Look()])
    for at, table in enumerate(tables):
        one_by_one(single, x[at * BATCH :], y[at * BATCH :], 1)
        assert table.tobytes() == np.asarray(single.weights[0]).tobytes()
