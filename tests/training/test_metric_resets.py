"""Metrics and models that put metrics back in a way of their own are asked to, by every loop."""

import itertools

import numpy as np
import pytest

import fastnn


class Kept(fastnn.metrics.MeanSquaredError):
    """A metric that goes on from epoch to epoch."""

    def reset_state(self):
        pass


class FromHundred(fastnn.metrics.Metric):
    def __init__(self):
        super().__init__(name="count")
        self.count = self.add_weight(shape=(), initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count.assign(self.count + 1.0)

    def result(self):
        return self.count

    def reset_state(self):
        self.count.assign(100.0)


@pytest.mark.parametrize("way", ["arrays", "steps", "hook", "eager", "generator"])
def test_a_metric_that_resets_itself_is_asked_at_every_epoch(way):
    x, y = np.ones((80, 4), "f"), np.ones((80, 1), "f")
    dense = fastnn.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = fastnn.Sequential([fastnn.Input((4,)), dense])
    model.compile(
        "sgd", "mse", metrics=[Kept(name="kept"), FromHundred()], run_eagerly=way == "eager"
    )
    given = {"x": x, "y": y, "batch_size": 8, "epochs": 3, "verbose": 0}
    if way == "steps":
        given["steps_per_epoch"] = 10
    elif way == "hook":
        given["callbacks"] = [
            fastnn.callbacks.LambdaCallback(on_batch_end=lambda batch, logs: None)
        ]
    elif way == "generator":
        given |= {"x": itertools.repeat((x[:8], y[:8])), "y": None, "steps_per_epoch": 10}
        del given["batch_size"]
    logs = model.fit(**given).history
    assert logs["count"] == [110.0] * 3
    kept = [np.mean(logs["loss"][: i + 1]) for i in range(3)]
    np.testing.assert_allclose(logs["kept"], kept, rtol=1e-5)
    assert model.evaluate(x, y, batch_size=8, verbose=0, return_dict=True)["count"] == 110.0


def test_a_model_that_resets_its_metrics_is_asked_at_every_epoch():
    class Counting(fastnn.Sequential):
        resets = 0

        def reset_metrics(self):
            self.resets += 1
            super().reset_metrics()

    model = Counting([fastnn.Input((4,)), fastnn.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(np.ones((8, 4), "f"), np.ones((8, 1), "f"), epochs=3, verbose=0)
    assert model.resets == 3
