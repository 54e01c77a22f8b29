"""Arguments that a constructor or function does not take, or lacks, are named with a hint."""

import inspect

import numpy as np
import pytest

import fastnn
from fastnn import (
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    ops,
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


REQUIRED = [
    param
    for param in CLASSES
    if any(
        p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        for p in inspect.signature(param.values[0]).parameters.values()
    )
]


@pytest.mark.parametrize("cls", REQUIRED)
def test_a_missing_argument_of_a_constructor_is_named_with_a_hint(cls):
    with pytest.raises(TypeError, match=r"needs the argument '\w+', which is missing\n  hint: "):
        cls()


@pytest.mark.parametrize(("call", "says"), [
    (lambda: layers.Dense(*range(1, 15)),
     r"Dense takes 12 arguments by position, got 14\n  hint: Dense\(units, activation, "),
    (lambda: ops.matmul(np.ones((2, 2))),
     r"matmul\(\) needs the argument 'x2', which is missing\n  hint: matmul\(x2=...\)"),
    (lambda: ops.matmul(ops.ones((2, 2))), r"matmul\(\) needs the argument 'x2'"),
    (lambda: ops.matmul(x1=ops.ones((2, 2))), r"matmul\(\) needs the argument 'x2'"),
    (lambda: ops.relu(np.ones(2), 1, 2, 3, 4),
     r"relu\(\) takes 1 argument by position, got 5\n  hint: relu\(x\)"),
    (lambda: ops.sum(ops.ones(2), 0, False, 1), r"sum\(\) takes 3 arguments by position, got 4"),
    (lambda: fastnn.load_model(),
     r"load_model\(\) needs the argument 'filepath'.*\n  hint: load_model\(filepath=...\)"),
    (lambda: fastnn.load_model(path="m"), r"'filepath'.*\n  hint: `path` is called `filepath`"),
    (lambda: fastnn.Sequential().add(), r"add\(\) needs the argument 'layer'.*\n  hint: add\(lay"),
    (lambda: fastnn.Sequential().save(), r"save\(\) needs the argument 'filepath'"),
    (lambda: fastnn.Sequential().export(), r"export\(\) needs the argument 'filepath'"),
    (lambda: fastnn.explain(), r"explain\(\) needs the argument 'model'"),
    (lambda: fastnn.GradientTape().gradient(1.0), r"gradient\(\) needs the argument 'sources'"),
    (lambda: fastnn.data.Dataset.from_tensor_slices(),
     r"from_tensor_slices\(\) needs the argument 'tensors'"),
    (lambda: metrics.Mean().update_state(), r"update_state\(\) needs the argument 'values'"),
])  # fmt: skip
def test_arguments_that_do_not_fit_are_told_with_what_is_taken(call, says):
    with pytest.raises(TypeError, match=says):
        call()


def test_an_error_within_a_function_that_fits_stays_as_it_is():
    def scale(shape, dtype=None):
        return 2.0 * None

    with pytest.raises(TypeError, match=r"unsupported operand.*NoneType"):
        layers.Dense(2, kernel_initializer=scale).build((None, 3))
