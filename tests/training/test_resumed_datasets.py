"""A run cut off inside an epoch goes on with the rows that an unbroken one would have read.

The second run makes its data anew, as a new process does: orders at random come from the backup.
"""

import numpy as np
import pytest

import fastnn
from fastnn import callbacks, layers
from fastnn.preprocessing.image import ImageDataGenerator

Dataset = fastnn.data.Dataset
RNG = np.random.default_rng(0)
X = RNG.normal(size=(100, 6)).astype("float32")
Y = RNG.normal(size=(100, 1)).astype("float32")


class Cut(callbacks.Callback):
    """Ends the run after so many batches."""

    def __init__(self, batches):
        super().__init__()
        self.left = batches

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def rows():
    return Dataset.from_tensor_slices((X, Y))


def pictures():
    x = X[:, :3].reshape(25, 2, 2, 3)
    made = ImageDataGenerator(rotation_range=20, horizontal_flip=True)
    return made.flow(x, Y[:25], batch_size=8, seed=3)


def mixed_sources():
    sources = [rows().shuffle(100, seed=1), rows().shuffle(20, seed=4)]
    sampled = Dataset.sample_from_datasets(sources, seed=2, rerandomize_each_iteration=True)
    return sampled.batch(16).take(7)


KINDS = {
    "rows": lambda: {"x": rows().shuffle(100, seed=3).batch(16)},
    "without a seed": lambda: {"x": rows().shuffle(100).batch(16)},
    "rows and batches": lambda: {
        "x": rows().map(lambda x, y: (x * 2.0, y)).shuffle(40, seed=3).batch(16).shuffle(3, seed=5)
    },
    "cached": lambda: {"x": rows().shuffle(100, seed=3).batch(16).cache()},
    "after a cache": lambda: {"x": rows().cache().shuffle(100, seed=3).batch(16)},
    "repeated": lambda: {
        "x": rows().shuffle(100, seed=3).repeat().batch(16), "steps_per_epoch": 5
    },
    "steps": lambda: {"x": rows().shuffle(100, seed=3).batch(16), "steps_per_epoch": 5},
    "side by side": lambda: {
        "x": Dataset.zip((
            Dataset.from_tensor_slices(X).shuffle(50, seed=2),
            Dataset.from_tensor_slices(Y).shuffle(50, seed=2),
        )).batch(16)
    },
    "sampled": lambda: {"x": mixed_sources()},
    "one after another": lambda: {
        "x": rows().take(40).concatenate(rows().shuffle(100, seed=7)).batch(16)
    },
    "validation": lambda: {
        "x": X, "y": Y, "validation_data": rows().shuffle(100, seed=9).take(30).batch(8)
    },
    "validation steps": lambda: {
        "x": rows().shuffle(100, seed=3).batch(16), "validation_steps": 3,
        "validation_data": rows().shuffle(100, seed=9).batch(8),
    },
    "pictures": lambda: {"x": pictures()},
}  # fmt: skip


def trained(kind, more=()):
    fastnn.utils.set_random_seed(1)
    shape = (2, 2, 3) if kind == "pictures" else (6,)
    parts = [layers.Flatten(), layers.Dense(8, "relu"), layers.Dropout(0.3), layers.Dense(1)]
    model = fastnn.Sequential([fastnn.Input(shape), *parts])
    model.compile("adam", "mse")
    given = KINDS[kind]()
    return model, lambda: model.fit(**given, epochs=5, verbose=0, callbacks=[*more])


@pytest.mark.parametrize(("cuts", "every"), [((10,), "epoch"), ((10, 7), 3)])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_a_broken_epoch_are_read_once(kind, cuts, every, tmp_path):
    whole, run = trained(kind)
    expected = run().history

    def backup():
        return callbacks.BackupAndRestore(tmp_path / "backup", save_freq=every)

    for batches in cuts:
        with pytest.raises(KeyboardInterrupt):
            trained(kind, [backup(), Cut(batches)])[1]()
    resumed, run = trained(kind, [backup()])
    history = run()
    assert history.epoch[-1] == 4
    assert len(history.epoch) < 5
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    for name, values in history.history.items():
        assert values == expected[name][-len(values) :], name
