"""Random nets give the same in Keras, on JAX or on PyTorch, and here. Needs `[peers]`.

`FASTNN_NETS` sets how many nets of each kind are drawn, `FASTNN_NETS_FIRST` the first one's
number, `KERAS_BACKEND=torch` Keras's back end.
"""

import os

import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")
# Compiling takes the time here, not running.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
keras = pytest.importorskip("keras", reason="the peers extra is not installed: keras")

import fastnn  # noqa: E402

from . import image_nets, sequence_nets  # noqa: E402
from .agreement import assert_agree, with_same_weights  # noqa: E402

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]
COUNT = int(os.environ.get("FASTNN_NETS", "6"))
FIRST = int(os.environ.get("FASTNN_NETS_FIRST", "0"))
SEEDS = range(FIRST, FIRST + COUNT)


def agrees(nets, seed):
    models = [nets.drawn(k, seed) for k in (keras, fastnn)]
    weights = with_same_weights(*models, seed)
    assert_agree((keras, fastnn), models, weights, nets.given(models[0], seed), seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_recurrent_or_attention_net_agrees(seed):
    agrees(sequence_nets, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_convolutional_net_agrees(seed):
    agrees(image_nets, seed)


def test_the_comparison_sees_a_difference():
    models = [image_nets.drawn(k, 3) for k in (keras, fastnn)]
    weights = with_same_weights(*models, 3)
    models[1].set_weights([*weights[:-1], weights[-1] + 1e-3])
    with pytest.raises(AssertionError, match="outputs"):
        assert_agree((keras, fastnn), models, weights, image_nets.given(models[0], 3), 3)
