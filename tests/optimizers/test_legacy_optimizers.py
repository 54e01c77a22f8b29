"""`keras.optimizers.legacy`: the arguments of older Keras, with what they meant."""

import numpy as np
import pytest

import fastnn
from fastnn.optimizers import legacy


def test_decay_lets_the_rate_fall_with_the_steps():
    optimizer = legacy.SGD(lr=0.5, decay=1.0)
    v, rates = fastnn.Variable([0.0]), []
    for _ in range(3):
        before = float(v.numpy()[0])
        optimizer.apply_gradients([(fastnn.ops.ones(1), v)])
        rates.append(before - float(v.numpy()[0]))
    np.testing.assert_allclose(rates, [0.5, 0.25, 0.5 / 3], rtol=1e-6)


@pytest.mark.parametrize("name", legacy.__all__)
def test_each_makes_the_optimizer_of_today(name):
    older, today = getattr(legacy, name), getattr(fastnn.optimizers, name)
    if name == "Optimizer":
        assert older is today
        return
    made = older(learning_rate=0.1)
    assert type(made) is today
    assert isinstance(made, older)
    assert type(older.from_config(made.get_config())) is today
    assert getattr(fastnn.keras.optimizers.legacy, name) is older


def test_arguments_that_contradict_each_other_are_refused():
    with pytest.raises(TypeError, match=r"twice\n  hint"):
        legacy.Adam(0.1, lr=0.1)
    rate = fastnn.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    with pytest.raises(ValueError, match=r"decay=0.1.*\n  hint"):
        legacy.Adam(rate, decay=0.1)
    with pytest.raises(TypeError, match=r"learning_rat"):
        legacy.Adam(learning_rat=0.1)
