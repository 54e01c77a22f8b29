"""How each row of the op table is written in ONNX, by family.

An entry is a function of the builder, the row and its operands that gives the name of the result,
or the names of all results of a row with parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastnn.onnx.rows import elements, images, loops, networks, reducing, sequences, shaping

__all__ = ["NOT_WRITTEN", "ROWS"]

#: Writers by the names of rows.
ROWS: dict[str, Callable[..., Any]] = {
    **elements.ROWS, **shaping.ROWS, **reducing.ROWS, **networks.ROWS, **images.ROWS,
    **sequences.ROWS,
    "scan": loops.scan,
}  # fmt: skip

_DRAWN = "random numbers are not written; leave the layer out of the exported model"
_TRAINED = "a step of training is not written; export the model, which predicts"

#: Rows that ONNX is not told of, and what to do instead.
NOT_WRITTEN: dict[str, str] = {
    **dict.fromkeys(
        ("random_integers", "random_normal", "random_permutation", "random_uniform", "dropout"),
        _DRAWN,
    ),
    **dict.fromkeys(
        ("all_reduce", "attention_grad", "average_pool_grad", "conv_weight_grad", "gru_grad",
         "layer_norm_grad", "lstm_grad", "max_pool_grad", "max_pool_pick", "resample_grad",
         "simple_rnn_grad"),
        _TRAINED,
    ),
}  # fmt: skip
