"""What the table of ops does not hold for readers: words for arguments, and an example an op.

`rows` makes docstrings and signatures of them; `tests/repository/test_docstrings.py` runs the
examples. Depends on `_core`.
"""

from __future__ import annotations

import inspect
import textwrap
from typing import Any

from fastnn import _core

__all__ = ["docstring", "signature"]

_OPERANDS = {
    "a": "A tensor, array or number.",
    "b": "A tensor, array or number that broadcasts with `a`.",
    "before": "The states before each step, as `gru` keeps them.",
    "beta": "What is added at the end, one number a column or one for all.",
    "bias": "What is added to products: one number a column or a score, or 0 for all.",
    "c0": "The cell before the first step, or 0.",
    "cells": "The cells, as `lstm` keeps them.",
    "column_at": "The first column that each column of the result is made of, int32.",
    "column_by": "The weights of that column and those behind it, one row a column.",
    "cond": "A bool tensor.",
    "dc": "The gradient of the last cell, or 0.",
    "dh": "The gradient of the last state, or 0.",
    "dout": "The gradient of the outputs.",
    "drop": "Factors of the state on its way into each gate, or 1.",
    "dy": "The gradient that comes in, a tensor.",
    "gamma": "What is multiplied at the end, one number a column or one for all.",
    "gates": "The gates, as the recurrence keeps them.",
    "h0": "The state before the first step, or 0.",
    "indices": "Positions, an int32 tensor.",
    "inner": "The factors of the reset gate, as `gru` keeps them.",
    "key": "An int32 tensor (4,): two numbers of the seed, a count, 0.",
    "k": "Keys.",
    "labels": "Class numbers, an int32 tensor.",
    "row_at": "The first row that each row of the result is made of, int32.",
    "row_by": "The weights of that row and those behind it, one row a row.",
    "lengths": "How many keys are seen, int32, one number or one per row of the batch.",
    "lse": "Logarithms of sums, as `attention` gives them.",
    "logits": "Scores before softmax or sigmoid.",
    "mask": "Truth values, or True for all: False hides a step or a key.",
    "mean": "What was taken off, as `layer_norm` gives it.",
    "out": "The outputs, as `attention` gives them.",
    "part": "The tensor that is put in.",
    "q": "Queries.",
    "scale": "What was multiplied by, as `layer_norm` gives it.",
    "start": "Where the window or the queries begin, int32.",
    "target": "Labels: probabilities of the shape of `logits`.",
    "v": "Values.",
    "w": "Taps (sizes.., channels / groups, filters).",
    "weight": "How much this process counts, a number of at least 0.",
    "weights": "The recurrent weights, (units, gates times units).",
    "x": "A tensor or array.",
    "y": "The states, as the recurrence gives them.",
    "z": "What inputs and biases give to the gates, (batch, steps, gates times units).",
}
_ATTRIBUTES = {
    "activation": "0: tanh, 1: relu, 2: none, 3: sigmoid.",
    "alpha": "The value that very negative inputs approach, negated.",
    "axes": "The axes of the window.",
    "axis": "The axis or axes; None: all of them.",
    "center": "Whether the mean is taken off.",
    "causal": "Whether a query sees no key beyond its own place.",
    "begin": "The first position along each axis.",
    "count_padding": "Whether padding counts in the mean.",
    "dilation": "The distance of two taps, one for all axes or one per axis; empty: 1.",
    "dtype": 'The type of the result: `"float32"`, `"int32"` or `"bool"`.',
    "end": "The end along each axis, excluded.",
    "epsilon": "A small number added to the variance.",
    "groups": "Into how many groups the channels are divided.",
    "high": "The end, excluded.",
    "keepdims": "Whether the axes stay with size 1.",
    "kernel": "The sizes of the taps.",
    "low": "The smallest number.",
    "n": "How many.",
    "negative_slope": "The slope for negative inputs.",
    "padding": "(before, after) per axis, flat; empty: none; (-1,): ceil(size / stride) places.",
    "place": "A whole number that no other sum of the program has.",
    "rate": "The share that is dropped, from 0 to 1.",
    "repeats": "How many times along each axis.",
    "reset_after": "Whether the reset gate acts on the candidate's product.",
    "reverse": "Whether the last step is done first.",
    "scale": "The factor of products of queries and keys.",
    "scaled": "Whether each process counts by its weight.",
    "shape": "The sizes of the result.",
    "size": "The size, a number or one that inputs leave open.",
    "sizes": "The sizes of the window.",
    "step": "The distance of two positions along each axis.",
    "stop": "The end, excluded.",
    "strides": "The steps of the window, one for all axes or one per axis; empty: 1.",
    "stream": "Which of the key's streams of numbers.",
    "window": "The sizes of the window.",
}
#: Op -> what is typed, and what is printed.
_EXAMPLES = {
    "absolute": ("fastnn.ops.absolute([-1.0, 2.0]).numpy()", "array([1., 2.], dtype=float32)"),
    "add": ("fastnn.ops.add([1.0, 2.0], [2.0, 2.0]).numpy()", "array([3., 4.], dtype=float32)"),
    "all_reduce": (
        "fastnn.ops.all_reduce([1.0, 2.0], 1.0).numpy()",
        "array([1., 2.], dtype=float32)",
    ),
    "arctan": (
        "fastnn.ops.arctan([-1.0, 2.0]).numpy().round(4)",
        "array([-0.7854,  1.1071], dtype=float32)",
    ),
    "average_pool_grad": (
        "fastnn.ops.average_pool_grad(np.ones((1, 2, 1)), size=4, window=2, strides=2).shape",
        "(1, 4, 1)",
    ),
    "axis_size": ("int(fastnn.ops.axis_size(size=3))", "3"),
    "broadcast_to": (
        "fastnn.ops.broadcast_to([1.0, 2.0], (2, 2)).numpy()",
        "array([[1., 2.],\n       [1., 2.]], dtype=float32)",
    ),
    "ceil": ("fastnn.ops.ceil([-1.5, 1.5]).numpy()", "array([-1.,  2.], dtype=float32)"),
    "celu": (
        "fastnn.ops.celu([-1.0, 2.0]).numpy().round(4)",
        "array([-0.6321,  2.    ], dtype=float32)",
    ),
    "conv_input_grad": (
        "fastnn.ops.conv_input_grad(np.ones((1, 3, 4)), np.ones((2, 8, 4)), size=4).shape",
        "(1, 4, 8)",
    ),
    "conv_weight_grad": (
        "fastnn.ops.conv_weight_grad(np.ones((1, 4, 8)), np.ones((1, 3, 5)), kernel=2).shape",
        "(2, 8, 5)",
    ),
    "cos": (
        "fastnn.ops.cos([-1.0, 2.0]).numpy().round(4)",
        "array([ 0.5403, -0.4161], dtype=float32)",
    ),
    "divide": (
        "fastnn.ops.divide([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([0.5, 1. ], dtype=float32)",
    ),
    "dropout": (
        "fastnn.ops.dropout(np.ones(3), np.zeros(4, 'int32'), rate=0.0).numpy()",
        "array([1., 1., 1.], dtype=float32)",
    ),
    "dynamic_slice": (
        "fastnn.ops.dynamic_slice([1, 2, 3], [1], axes=[0], sizes=[2]).numpy()",
        "array([2, 3], dtype=int32)",
    ),
    "elu": (
        "fastnn.ops.elu([-1.0, 2.0]).numpy().round(4)",
        "array([-0.6321,  2.    ], dtype=float32)",
    ),
    "equal": ("fastnn.ops.equal([1.0, 2.0], [2.0, 2.0]).numpy()", "array([False,  True])"),
    "erf": (
        "fastnn.ops.erf([-1.0, 2.0]).numpy().round(4)",
        "array([-0.8427,  0.9953], dtype=float32)",
    ),
    "exp": (
        "fastnn.ops.exp([-1.0, 2.0]).numpy().round(4)",
        "array([0.3679, 7.3891], dtype=float32)",
    ),
    "expand_dims": (
        "fastnn.ops.expand_dims([1.0, 2.0], axis=[0]).numpy()",
        "array([[1., 2.]], dtype=float32)",
    ),
    "expm1": (
        "fastnn.ops.expm1([-1.0, 2.0]).numpy().round(4)",
        "array([-0.6321,  6.3891], dtype=float32)",
    ),
    "exponential": (
        "fastnn.ops.exponential([-1.0, 2.0]).numpy().round(4)",
        "array([0.3679, 7.3891], dtype=float32)",
    ),
    "extent": ("float(fastnn.ops.extent(np.ones((2, 3))))", "6.0"),
    "floor": ("fastnn.ops.floor([-1.5, 1.5]).numpy()", "array([-2.,  1.], dtype=float32)"),
    "floor_divide": (
        "fastnn.ops.floor_divide([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([0., 1.], dtype=float32)",
    ),
    "gelu_erf": (
        "fastnn.ops.gelu_erf([-1.0, 2.0]).numpy().round(4)",
        "array([-0.1587,  1.9545], dtype=float32)",
    ),
    "gelu_tanh": (
        "fastnn.ops.gelu_tanh([-1.0, 2.0]).numpy().round(4)",
        "array([-0.1588,  1.9546], dtype=float32)",
    ),
    "greater": ("fastnn.ops.greater([1.0, 2.0], [2.0, 2.0]).numpy()", "array([False, False])"),
    "greater_equal": (
        "fastnn.ops.greater_equal([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([False,  True])",
    ),
    "hard_sigmoid": (
        "fastnn.ops.hard_sigmoid([-1.0, 2.0]).numpy()",
        "array([0.3333333, 0.8333334], dtype=float32)",
    ),
    "hard_silu": (
        "fastnn.ops.hard_silu([-1.0, 2.0]).numpy()",
        "array([-0.3333333,  1.6666667], dtype=float32)",
    ),
    "hard_tanh": ("fastnn.ops.hard_tanh([-1.0, 2.0]).numpy()", "array([-1.,  1.], dtype=float32)"),
    "iota": ("fastnn.ops.iota(3).numpy()", "array([0, 1, 2], dtype=int32)"),
    "is_finite": (
        "fastnn.ops.is_finite([1.0, float('inf'), float('nan')]).numpy()",
        "array([ True, False, False])",
    ),
    "is_inf": (
        "fastnn.ops.is_inf([1.0, float('inf'), float('nan')]).numpy()",
        "array([False,  True, False])",
    ),
    "is_nan": (
        "fastnn.ops.is_nan([1.0, float('inf'), float('nan')]).numpy()",
        "array([False, False,  True])",
    ),
    "layer_norm": (
        "fastnn.ops.layer_norm([1.0, 2.0, 3.0], 1.0, 0.0)[0].numpy().round(3)",
        "array([-1.224,  0.   ,  1.224], dtype=float32)",
    ),
    "layer_norm_grad": (
        "fastnn.ops.layer_norm_grad([3.0, 0.0], [-1.0, 1.0], 1.0, 0.0, 1.0)[2].numpy()",
        "array([3., 0.], dtype=float32)",
    ),
    "layer_normalize": (
        "fastnn.ops.layer_normalize([1.0, 2.0, 3.0]).numpy().round(3)",
        "array([-1.224,  0.   ,  1.224], dtype=float32)",
    ),
    "leaky_relu": (
        "fastnn.ops.leaky_relu([-1.0, 2.0]).numpy()",
        "array([-0.2,  2. ], dtype=float32)",
    ),
    "less": ("fastnn.ops.less([1.0, 2.0], [2.0, 2.0]).numpy()", "array([ True, False])"),
    "less_equal": (
        "fastnn.ops.less_equal([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([ True,  True])",
    ),
    "log": (
        "fastnn.ops.log([1.0, 4.0]).numpy().round(4)",
        "array([0.    , 1.3863], dtype=float32)",
    ),
    "log1p": (
        "fastnn.ops.log1p([1.0, 4.0]).numpy().round(4)",
        "array([0.6931, 1.6094], dtype=float32)",
    ),
    "log_sigmoid": (
        "fastnn.ops.log_sigmoid([-1.0, 2.0]).numpy().round(4)",
        "array([-1.3133, -0.1269], dtype=float32)",
    ),
    "log_softmax_last": (
        "fastnn.ops.log_softmax_last([-1.0, 2.0]).numpy().round(4)",
        "array([-3.0486, -0.0486], dtype=float32)",
    ),
    "logical_and": (
        "fastnn.ops.logical_and([True, False], [True, True]).numpy()",
        "array([ True, False])",
    ),
    "logical_not": ("fastnn.ops.logical_not([True, False]).numpy()", "array([False,  True])"),
    "logical_or": (
        "fastnn.ops.logical_or([True, False], [True, True]).numpy()",
        "array([ True,  True])",
    ),
    "logical_xor": (
        "fastnn.ops.logical_xor([True, False], [True, True]).numpy()",
        "array([False,  True])",
    ),
    "max_pool_grad": (
        "fastnn.ops.max_pool_grad(\n"
        "...     np.ones((1, 2, 1)), [[[1], [0]]], size=4, window=2, strides=2\n"
        "... ).numpy().ravel()",
        "array([0., 1., 1., 0.], dtype=float32)",
    ),
    "max_pool_pick": (
        "fastnn.ops.max_pool_pick(\n"
        "...     [[[1.0], [2.0], [3.0], [4.0]]], [[[1], [0]]], window=2, strides=2\n"
        "... ).numpy().ravel()",
        "array([2., 3.], dtype=float32)",
    ),
    "maximum": (
        "fastnn.ops.maximum([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([2., 2.], dtype=float32)",
    ),
    "minimum": (
        "fastnn.ops.minimum([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([1., 2.], dtype=float32)",
    ),
    "mish": (
        "fastnn.ops.mish([-1.0, 2.0]).numpy().round(4)",
        "array([-0.3034,  1.944 ], dtype=float32)",
    ),
    "mod": ("fastnn.ops.mod([1.0, 2.0], [2.0, 2.0]).numpy()", "array([1., 0.], dtype=float32)"),
    "multiply": (
        "fastnn.ops.multiply([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([2., 4.], dtype=float32)",
    ),
    "negative": ("fastnn.ops.negative([-1.0, 2.0]).numpy()", "array([ 1., -2.], dtype=float32)"),
    "not_equal": ("fastnn.ops.not_equal([1.0, 2.0], [2.0, 2.0]).numpy()", "array([ True, False])"),
    "random_integers": (
        "fastnn.ops.random_integers(np.zeros(4, 'int32'), (3,), 0, 2).shape",
        "(3,)",
    ),
    "random_normal": ("fastnn.ops.random_normal(np.zeros(4, 'int32'), (3,)).shape", "(3,)"),
    "random_permutation": (
        "sorted(fastnn.ops.random_permutation(np.zeros(4, 'int32'), 3).tolist())",
        "[0, 1, 2]",
    ),
    "random_uniform": ("fastnn.ops.random_uniform(np.zeros(4, 'int32'), (3,)).shape", "(3,)"),
    "reciprocal": (
        "fastnn.ops.reciprocal([-1.0, 2.0]).numpy()",
        "array([-1. ,  0.5], dtype=float32)",
    ),
    "relu": ("fastnn.ops.relu([-1.0, 2.0]).numpy()", "array([0., 2.], dtype=float32)"),
    "relu6": ("fastnn.ops.relu6([-1.0, 2.0]).numpy()", "array([0., 2.], dtype=float32)"),
    "resample": (
        "fastnn.ops.resample(\n"
        "...     [[[[1.0]], [[3.0]]]], [0, 0, 1], [[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]],\n"
        "...     [0], [[1.0]],\n"
        "... ).numpy().ravel()",
        "array([1., 2., 3.], dtype=float32)",
    ),
    "resample_grad": (
        "fastnn.ops.resample_grad(\n"
        "...     np.ones((1, 3, 1, 1)), [0, 0, 1], [[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]],\n"
        "...     [0], [[1.0]], size=(2, 1),\n"
        "... ).numpy().ravel()",
        "array([1.5, 1.5], dtype=float32)",
    ),
    "rsqrt": ("fastnn.ops.rsqrt([1.0, 4.0]).numpy().round(4)", "array([1. , 0.5], dtype=float32)"),
    "selu": (
        "fastnn.ops.selu([-1.0, 2.0]).numpy().round(4)",
        "array([-1.1113,  2.1014], dtype=float32)",
    ),
    "sigmoid": (
        "fastnn.ops.sigmoid([-1.0, 2.0]).numpy().round(4)",
        "array([0.2689, 0.8808], dtype=float32)",
    ),
    "sigmoid_cross_entropy": (
        "fastnn.ops.sigmoid_cross_entropy([1.0], [0.0]).numpy().round(4)",
        "array([0.6931], dtype=float32)",
    ),
    "sign": ("fastnn.ops.sign([-1.0, 2.0]).numpy()", "array([-1.,  1.], dtype=float32)"),
    "silu": (
        "fastnn.ops.silu([-1.0, 2.0]).numpy().round(4)",
        "array([-0.2689,  1.7616], dtype=float32)",
    ),
    "sin": (
        "fastnn.ops.sin([-1.0, 2.0]).numpy().round(4)",
        "array([-0.8415,  0.9093], dtype=float32)",
    ),
    "softmax_cross_entropy": (
        "fastnn.ops.softmax_cross_entropy([0.0, 1.0], [0.0, 0.0]).numpy().round(4)",
        "np.float32(0.6931)",
    ),
    "softmax_last": (
        "fastnn.ops.softmax_last([-1.0, 2.0]).numpy().round(4)",
        "array([0.0474, 0.9526], dtype=float32)",
    ),
    "softplus": (
        "fastnn.ops.softplus([-1.0, 2.0]).numpy().round(4)",
        "array([0.3133, 2.1269], dtype=float32)",
    ),
    "softsign": (
        "fastnn.ops.softsign([-1.0, 2.0]).numpy()",
        "array([-0.5      ,  0.6666667], dtype=float32)",
    ),
    "sparse_softmax_cross_entropy": (
        "fastnn.ops.sparse_softmax_cross_entropy([[0.0, 0.0]], [1]).numpy().round(4)",
        "array([0.6931], dtype=float32)",
    ),
    "sqrt": ("fastnn.ops.sqrt([1.0, 4.0]).numpy().round(4)", "array([1., 2.], dtype=float32)"),
    "subtract": (
        "fastnn.ops.subtract([1.0, 2.0], [2.0, 2.0]).numpy()",
        "array([-1.,  0.], dtype=float32)",
    ),
    "sum_to": (
        "fastnn.ops.sum_to(np.ones((3, 2)), (2,)).numpy()",
        "array([3., 3.], dtype=float32)",
    ),
    "take_along_axis_grad": (
        "fastnn.ops.take_along_axis_grad([5.0], [1], (3,)).numpy()",
        "array([0., 5., 0.], dtype=float32)",
    ),
    "take_grad": (
        "fastnn.ops.take_grad([5.0], [1], (3,)).numpy()",
        "array([0., 5., 0.], dtype=float32)",
    ),
    "tanh": (
        "fastnn.ops.tanh([-1.0, 2.0]).numpy().round(4)",
        "array([-0.7616,  0.964 ], dtype=float32)",
    ),
    "tanh_shrink": (
        "fastnn.ops.tanh_shrink([-1.0, 2.0]).numpy().round(4)",
        "array([-0.2384,  1.036 ], dtype=float32)",
    ),
    "tile": ("fastnn.ops.tile([1, 2], [2]).numpy()", "array([1, 2, 1, 2], dtype=int32)"),
    "to_bool": ("fastnn.ops.to_bool([-1.0, 2.0]).numpy()", "array([ True,  True])"),
    "to_bfloat16": (
        "fastnn.ops.to_bfloat16([1.001, 2.0]).numpy()",
        "array([1., 2.], dtype=float32)",
    ),
    "to_float16": ("fastnn.ops.to_float16([1, 2]).numpy()", "array([1., 2.], dtype=float16)"),
    "to_int8": ("fastnn.ops.to_int8([1.7, 200]).numpy()", "array([  1, -56], dtype=int8)"),
    "to_uint8": ("fastnn.ops.to_uint8([1.7, -1]).numpy()", "array([  1, 255], dtype=uint8)"),
    "to_float": ("fastnn.ops.to_float([1, 2]).numpy()", "array([1., 2.], dtype=float32)"),
    "to_int": ("fastnn.ops.to_int([-1.0, 2.0]).numpy()", "array([-1,  2], dtype=int32)"),
    "attention": (
        "fastnn.ops.attention(*[np.ones((1, 2, 1, 1))] * 3, 0.0, True, 2, 0, np.zeros(4, 'int32'), "
        "scale=1.0)[1].numpy().round(4)",
        "array([[[1.6931, 1.6931]]], dtype=float32)",
    ),
    "attention_grad": (
        "fastnn.ops.attention_grad(*[np.ones((1, 1, 1, 1))] * 4, 0.0, True, 1, 0, "
        "np.zeros(4, 'int32'), np.ones((1, 1, 1, 1)), np.ones((1, 1, 1)), scale=1.0)[2].tolist()",
        "[[[[1.0]]]]",
    ),
    "gru_grad": (
        "fastnn.ops.gru_grad(1.0, 0.0, np.zeros((1, 3)), np.full((1, 1, 3), 0.5), "
        "np.ones((1, 1, 1)), np.ones((1, 1, 1)), True, 1.0)[0].numpy()",
        "array([[[0.125  , 0.09375, 0.375  ]]], dtype=float32)",
    ),
    "lstm_grad": (
        "fastnn.ops.lstm_grad(1.0, 0.0, 0.0, np.zeros((1, 4)), np.full((1, 1, 4), 0.5), "
        "np.zeros((1, 1, 1)), 0.0, True, 1.0)[0].numpy()",
        "array([[[0.0625, 0.    , 0.1875, 0.    ]]], dtype=float32)",
    ),
    "simple_rnn_grad": (
        "fastnn.ops.simple_rnn_grad(1.0, 0.0, np.zeros((1, 1)), np.full((1, 1, 1), 0.5), "
        "True, 1.0)[0].numpy()",
        "array([[[0.75]]], dtype=float32)",
    ),
    "unslice": (
        "fastnn.ops.unslice([5.0], (3,), [1], [2], [1]).numpy()",
        "array([0., 5., 0.], dtype=float32)",
    ),
    "update_slice": (
        "fastnn.ops.update_slice([1, 2, 3], [9], [1], axes=[0]).numpy()",
        "array([1, 9, 3], dtype=int32)",
    ),
    "variance": ("float(fastnn.ops.variance([1.0, 3.0]))", "1.0"),
}


def docstring(row: _core.OpRow) -> str:
    """The docstring of an op in the form that all public docstrings have."""
    summary, _, more = row.doc.partition(". ")
    text = f"{summary.rstrip('.')}.\n"
    if more:
        text += "\n" + textwrap.fill(more, 96) + "\n"
    told = {a.lstrip("*"): _OPERANDS.get(a.lstrip("*"), "Tensors.") for a in row.args}
    told |= {name: _ATTRIBUTES.get(name, "") for name, _, _ in row.attrs}
    if told:
        lines = [f"    {name}: {words}" for name, words in told.items()]
        text += "\nArgs:\n" + "\n".join(lines) + "\n"
    several = f"A tuple: the result, and {', '.join(p[0] for p in row.parts)}." if row.parts else ""
    text += f"\nReturns:\n    {several or 'A tensor.'}\n"
    example = _EXAMPLES.get(row.name)
    if example:
        shown = textwrap.indent(example[1], "    ")
        typed = example[0].replace("\n", "\n    ")
        text += f"\nExample:\n    >>> {typed}\n{shown}\n"
    return text


def signature(row: _core.OpRow) -> inspect.Signature:
    """Operands, then attributes with their defaults."""
    kind, many = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL
    parameters = [
        inspect.Parameter(name.lstrip("*"), many if name.startswith("*") else kind)
        for name in row.args
    ]
    named = inspect.Parameter.KEYWORD_ONLY if any(p.kind is many for p in parameters) else kind
    for name, _, default in row.attrs:
        value: Any = inspect.Parameter.empty if default is ... else default
        parameters.append(inspect.Parameter(name, named, default=value))
    return inspect.Signature(_defaults_last(parameters))


def _defaults_last(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """The same, where what follows a default is by name alone if it has none."""
    seen, fixed = False, list[inspect.Parameter]()
    for p in parameters:
        by_position = p.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        bare = seen and p.default is inspect.Parameter.empty
        if by_position and (bare or (fixed and fixed[-1].kind is inspect.Parameter.KEYWORD_ONLY)):
            p = p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        seen = seen or p.default is not inspect.Parameter.empty
        fixed.append(p)
    return fixed
