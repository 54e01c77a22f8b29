"""A list of one output is that output, as in Keras."""

import numpy as np
import pytest

import fastnn
from fastnn import layers


@pytest.mark.parametrize("ending", ["keras", "safetensors"])
def test_a_list_of_one_output_is_that_output(tmp_path, ending):
    start = fastnn.Input((3,))
    model = fastnn.Model([start], [layers.Dense(2)(start)])
    x = np.ones((4, 3), np.float32)
    assert model.predict(x, verbose=0).shape == (4, 2)
    assert model(x).shape == (4, 2)
    assert model(fastnn.Input((3,))).shape == (None, 2)
    around = fastnn.Sequential([fastnn.Input((3,)), model, layers.Dense(1)])
    assert around.predict(x, verbose=0).shape == (4, 1)
    model.compile("sgd", "mse")
    model.fit(x, np.zeros((4, 2)), verbose=0)
    model.fit([x], [np.zeros((4, 2))], verbose=0)
    model.save(tmp_path / f"m.{ending}")
    again = fastnn.models.load_model(tmp_path / f"m.{ending}")
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
