"""A source may fill the arrays of its batches again: what is read ahead stays what it was."""

import numpy as np
import pytest

import fastnn

ROWS = np.random.default_rng(5).normal(size=(12, 4, 3)).astype("float32")


def model():
    net = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1, kernel_initializer="ones")])
    net.compile("sgd", "mse")
    return net


def batches(again, dtype="float32"):
    """Batches in arrays of their own, or all in the same two."""
    x, y = np.empty((4, 3), dtype), np.empty((4, 1), dtype)
    for rows in ROWS:
        x[:], y[:] = rows, rows.sum(-1, keepdims=True) + 1
        yield (x, y) if again else (x.copy(), y.copy())


class Numbered(fastnn.utils.PyDataset):
    """The same batches by number."""

    def __init__(self, again):
        super().__init__()
        self.again, self.x, self.y = again, np.empty((4, 3), "float32"), np.empty((4, 1), "float32")

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, index):
        x, y = (self.x, self.y) if self.again else (self.x.copy(), self.y.copy())
        x[:], y[:] = ROWS[index], ROWS[index].sum(-1, keepdims=True) + 1
        return x, y


SOURCES = {
    "generator": batches,
    "generator of views": lambda again: ((x[:3], y[:3]) for x, y in batches(again)),
    "generator of float64": lambda again: batches(again, "float64"),
    "numbered": Numbered,
    "tf.data": lambda again: fastnn.data.Dataset.from_generator(lambda: batches(again)).shuffle(
        6, seed=3
    ),
    "dicts": lambda again: (({"a": x}, y) for x, y in batches(again)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_fit_evaluate_and_predict_see_each_batch_as_it_was_given(kind):
    make = SOURCES[kind]
    results = []
    for again in (False, True):
        net = model()
        if kind == "dicts":
            inside = net
            a = fastnn.Input((3,), name="a")
            net = fastnn.Model({"a": a}, inside(a))
            net.compile("sgd", "mse")
        predictions = net.predict(make(again), verbose=0)
        loss = net.evaluate(make(again), verbose=0)
        net.fit(make(again), shuffle=False, verbose=0)
        results.append([predictions, np.asarray(loss), *net.get_weights()])
    for apart, same in zip(*results, strict=True):
        np.testing.assert_array_equal(apart, same)
