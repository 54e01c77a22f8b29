"""Recurrences of whole sequences: LSTM, GRU and the plain recurrent layer, step after step.

Each takes what the inputs and biases give to the gates for all steps, one product outside, and
runs the rest in one row of the core. Depends on `_core`.
"""

from __future__ import annotations

from fastnn import _core
from fastnn._core import Tensor
from fastnn.errors import DataError
from fastnn.ops.convert import TensorLike, cast
from fastnn.ops.families import name_ops
from fastnn.tracing.symbolic import keras_op

__all__ = ["gru", "lstm", "simple_rnn"]

_c = _core.ops
#: The activations of `simple_rnn` by the number that its row knows them by.
_ACTIVATIONS = ("tanh", "relu", "linear", "sigmoid")


def _float(x: TensorLike | None, absent: float) -> TensorLike:
    return absent if x is None else cast(x, "float32")


def _mask(mask: TensorLike | None) -> TensorLike:
    return _core.tensor(True) if mask is None else cast(mask, "bool")


@keras_op
def lstm(
    z: TensorLike,
    weights: TensorLike,
    h0: TensorLike | None = None,
    c0: TensorLike | None = None,
    mask: TensorLike | None = None,
    drop: TensorLike | None = None,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """The states of an LSTM after each step, its last state, and its last cell.

    Args:
        z: What inputs and biases give to the gates input, forget, candidate and output (Keras's
            order): `(batch, steps, 4 units)`.
        weights: The recurrent weights, `(units, 4 units)`.
        h0: The state before the first step, `(batch, units)`; None: zeros.
        c0: The cell before the first step, `(batch, units)`; None: zeros.
        mask: Truth values, `(batch, steps)`: a step where it is False leaves the state as it is.
        drop: Factors of the state on its way into each gate, `(batch, 4 units)`, the same for all
            steps: the masks of recurrent dropout.
        reverse: Whether the last step is done first. States lie where their steps do, so the last
            state is then that of step 0.

    Returns:
        Three tensors: `(batch, steps, units)`, `(batch, units)`, `(batch, units)`. One that nobody
        reads costs nothing.

    Raises:
        ShapeError: If sizes do not fit each other.

    Example:
        >>> y, h, c = fastnn.ops.lstm(np.zeros((2, 3, 16)), np.zeros((4, 16)))
        >>> y.shape, h.shape, c.shape
        ((2, 3, 4), (2, 4), (2, 4))
    """
    floats = (_float(z, 0.0), _float(weights, 0.0), _float(h0, 0.0), _float(c0, 0.0))
    y, h, c, *_ = _c.lstm(*floats, _mask(mask), _float(drop, 1.0), reverse=reverse)
    return y, h, c


@keras_op
def gru(
    z: TensorLike,
    weights: TensorLike,
    bias: TensorLike | None = None,
    h0: TensorLike | None = None,
    mask: TensorLike | None = None,
    drop: TensorLike | None = None,
    reverse: bool = False,
    reset_after: bool = True,
) -> tuple[Tensor, Tensor]:
    """The states of a GRU after each step, and its last state.

    Args:
        z: What inputs and their biases give to the gates update, reset and candidate (Keras's
            order): `(batch, steps, 3 units)`.
        weights: The recurrent weights, `(units, 3 units)`.
        bias: Added to the products of the state with the weights, `(3 units,)`; None: zeros.
        h0: The state before the first step, `(batch, units)`; None: zeros.
        mask: Truth values, `(batch, steps)`: a step where it is False leaves the state as it is.
        drop: Factors of the state on its way into each gate, `(batch, 3 units)`, the same for all
            steps: the masks of recurrent dropout.
        reverse: Whether the last step is done first. States lie where their steps do.
        reset_after: Whether the reset gate acts on the candidate's product (as in cuDNN) or on the
            state that enters it.

    Returns:
        Two tensors: `(batch, steps, units)`, `(batch, units)`. One that nobody reads costs nothing.

    Raises:
        ShapeError: If sizes do not fit each other.

    Example:
        >>> y, h = fastnn.ops.gru(np.zeros((2, 3, 12)), np.zeros((4, 12)))
        >>> y.shape, h.shape
        ((2, 3, 4), (2, 4))
    """
    floats = (_float(z, 0.0), _float(weights, 0.0), _float(bias, 0.0), _float(h0, 0.0))
    flags = {"reverse": reverse, "reset_after": reset_after}
    y, h, *_ = _c.gru(*floats, _mask(mask), _float(drop, 1.0), **flags)
    return y, h


@keras_op
def simple_rnn(
    z: TensorLike,
    weights: TensorLike,
    h0: TensorLike | None = None,
    mask: TensorLike | None = None,
    drop: TensorLike | None = None,
    reverse: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """The states `h = activation(z + h weights)` after each step, and the last state.

    Args:
        z: What inputs and biases give, `(batch, steps, units)`.
        weights: The recurrent weights, `(units, units)`.
        h0: The state before the first step, `(batch, units)`; None: zeros.
        mask: Truth values, `(batch, steps)`: a step where it is False leaves the state as it is.
        drop: Factors of the state on its way into the product, `(batch, units)`, the same for all
            steps: the mask of recurrent dropout.
        reverse: Whether the last step is done first. States lie where their steps do.
        activation: `"tanh"`, `"relu"`, `"linear"` or `"sigmoid"`.

    Returns:
        Two tensors: `(batch, steps, units)`, `(batch, units)`. One that nobody reads costs nothing.

    Raises:
        ShapeError: If sizes do not fit each other.
        DataError: If the activation is another one.

    Example:
        >>> y, h = fastnn.ops.simple_rnn(np.zeros((2, 3, 4)), np.zeros((4, 4)))
        >>> y.shape, h.shape
        ((2, 3, 4), (2, 4))
    """
    if activation not in _ACTIVATIONS:
        raise DataError(
            f"simple_rnn: activation is {activation!r}, wanted one of {', '.join(_ACTIVATIONS)}\n"
            "  hint: a scan runs any cell"
        )
    floats = (_float(z, 0.0), _float(weights, 0.0), _float(h0, 0.0))
    attrs = {"reverse": reverse, "activation": _ACTIVATIONS.index(activation)}
    y, h, *_ = _c.simple_rnn(*floats, _mask(mask), _float(drop, 1.0), **attrs)
    return y, h


name_ops(globals())
