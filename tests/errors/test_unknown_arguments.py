"""A misspelt argument of any constructor is answered with its name and a hint."""

import inspect

import pytest

from fastnn import (
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    optimizers,
    regularizers,
)
from fastnn.optimizers import schedules

MODULES = (
    callbacks, constraints, initializers, layers, losses, metrics, optimizers, regularizers,
    schedules,
)  # fmt: skip
#: They hand further keywords on, or take more of Keras's than they need.
OPEN_ENDED = (
    callbacks.CallbackList, callbacks.LambdaCallback, layers.InputSpec, losses.LossFunctionWrapper,
    metrics.MeanMetricWrapper,
)  # fmt: skip
CLASSES = [
    pytest.param(cls, id=f"{module.__name__.removeprefix('fastnn.')}.{name}")
    for module in MODULES
    for name in module.__all__
    if inspect.isclass(cls := getattr(module, name))
    and not inspect.isabstract(cls)
    and cls.__init__ is not object.__init__
    and cls not in OPEN_ENDED
]

#: Arguments without a default that constructors look at before they hand keywords on.
NEEDED = {
    "cell": layers.LSTMCell(2), "filters": 2, "head_dim": 2, "kernel_size": 2, "key_dim": 2,
    "layer": layers.LSTM(2), "num_heads": 2, "num_key_value_heads": 1, "num_query_heads": 2,
    "units": 2,
}  # fmt: skip


@pytest.mark.parametrize("cls", CLASSES)
def test_a_misspelt_argument_names_itself_and_ends_in_a_hint(cls):
    needed = {
        p.name: NEEDED.get(p.name)
        for p in inspect.signature(cls).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    }
    with pytest.raises(TypeError, match=r"misspeltt(.|\n)*\n  hint: "):
        cls(**needed, misspeltt=1)
