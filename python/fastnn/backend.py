"""Names of `keras.backend` that programs use, those of Keras 2 included.

`K.mean`, `K.square`, `K.clip` and the like are the functions of `ops`; where Keras 2 has other
arguments or defaults, they are here. Depends on `config`, `layers`, `ops`, `utils`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastnn import _core, losses, ops, random
from fastnn.base.absent import missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike
from fastnn.config import (
    backend,
    clear_session,
    epsilon,
    floatx,
    get_uid,
    image_data_format,
    set_epsilon,
    set_floatx,
    set_image_data_format,
    standardize_data_format,
)
from fastnn.layers import Layer
from fastnn.tracing.call_context import NameScope
from fastnn.tracing.variables import Scope, Variable, current_scope
from fastnn.utils import is_keras_tensor, standardize_dtype

__all__ = [
    "Operation", "StatelessScope", "backend", "clear_session", "epsilon", "floatx", "get_uid",
    "image_data_format", "in_stateless_scope", "is_float_dtype", "is_int_dtype",
    "is_keras_tensor", "name_scope", "remat", "set_epsilon", "set_floatx",
    "set_image_data_format", "standardize_dtype", "version",
]  # fmt: skip

name_scope = NameScope


class _Kind(type):
    def __instancecheck__(cls, thing: Any) -> bool:
        if cls is Operation:
            return isinstance(thing, Layer)
        return super().__instancecheck__(thing)


class Operation(Layer, metaclass=_Kind):
    """A computation of one's own without weights, on tensors and in functional models.

    Layers are operations too.

    Args:
        **kwargs: `name`.

    Example:
        >>> class Double(fastnn.Operation):
        ...     def call(self, x):
        ...         return x * 2
        >>> Double()(np.array([1.0, 2.0])).numpy()
        array([2., 4.], dtype=float32)
    """


class StatelessScope(Scope):
    """Inside the `with` block, variables have the values that are given, and keep their own.

    Assignments are noted and change nothing outside.

    Args:
        state_mapping: Pairs of a variable and its value.
        collect_losses: Taken for Keras's sake: losses are collected.
        initialize_variables: Taken for Keras's sake: variables have values from the start.

    Example:
        >>> v = fastnn.Variable([1.0])
        >>> with fastnn.StatelessScope(state_mapping=[(v, np.array([5.0]))]) as scope:
        ...     new = v.assign_add([1.0])
        >>> scope.get_current_value(v).numpy(), v.numpy()
        (array([6.], dtype=float32), array([1.], dtype=float32))
    """

    def __init__(
        self,
        state_mapping: Iterable[tuple[Variable, Any]] | None = None,
        collect_losses: bool = False,
        initialize_variables: bool = True,
    ) -> None:
        super().__init__()
        for variable, value in state_mapping or ():
            self.put(variable, ops.convert_to_tensor(value))

    def get_current_value(self, variable: Variable) -> Any:
        """The value that a variable has here; None where it was neither given nor assigned.

        Args:
            variable: A variable.

        Returns:
            A tensor, or None.

        Example:
            >>> fastnn.StatelessScope().get_current_value(fastnn.Variable(1.0)) is None
            True
        """
        return self.values.get(variable)

    def add_update(self, update: tuple[Variable, Any]) -> None:
        """Notes the new value of a variable.

        Args:
            update: A pair of the variable and the value.

        Example:
            >>> v, scope = fastnn.Variable(1.0), fastnn.StatelessScope()
            >>> scope.add_update((v, 3.0))
            >>> float(scope.get_current_value(v))
            3.0
        """
        variable, value = update
        self.put(variable, ops.convert_to_tensor(value))

    def add_loss(self, loss: Any) -> None:
        """Notes a loss, beside those that layers add.

        Args:
            loss: A tensor.

        Example:
            >>> scope = fastnn.StatelessScope()
            >>> scope.add_loss(2.0)
            >>> len(scope.losses)
            1
        """
        self.losses.append((None, loss))


@hints_arguments
def in_stateless_scope() -> bool:
    """Whether the caller is inside a `StatelessScope`.

    Returns:
        True or False.

    Example:
        >>> with fastnn.StatelessScope():
        ...     fastnn.backend.in_stateless_scope()
        True
    """
    return isinstance(current_scope(), StatelessScope)


@hints_arguments
def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function itself: what is computed again and what is kept is chosen by the compiler.

    Args:
        f: A function of tensors.

    Returns:
        The function.

    Example:
        >>> float(fastnn.remat(fastnn.ops.square)(3.0))
        9.0
    """
    return f


@hints_arguments
def version() -> str:
    """The version of fastnn, as `fastnn.__version__`.

    Returns:
        Text.

    Example:
        >>> fastnn.version() == fastnn.__version__
        True
    """
    return str(_core.info()["version"])


version.VERSION = version()  # type: ignore[attr-defined]  # as `tf.version.VERSION`


@hints_arguments
def is_float_dtype(dtype: DTypeLike) -> bool:
    """Whether a type is a floating one.

    Args:
        dtype: A name, or a type of NumPy.

    Returns:
        True or False.

    Example:
        >>> fastnn.backend.is_float_dtype("float32")
        True
    """
    return str(getattr(dtype, "name", dtype)).startswith(("float", "bfloat"))


@hints_arguments
def is_int_dtype(dtype: DTypeLike) -> bool:
    """Whether a type is an integer one, signed or not.

    Args:
        dtype: A name, or a type of NumPy.

    Returns:
        True or False.

    Example:
        >>> fastnn.backend.is_int_dtype("uint8")
        True
    """
    return str(getattr(dtype, "name", dtype)).startswith(("int", "uint"))


# ---- Keras 2 -------------------------------------------------------------------------------------

#: Names that mean what they mean in `ops`.
_AS_IN_OPS = (
    "abs", "all", "any", "arange", "cast", "cos", "elu", "equal", "exp",
    "eye", "greater", "greater_equal", "hard_sigmoid", "less", "less_equal", "log",
    "logsumexp", "max", "maximum", "mean", "min", "minimum", "not_equal", "ones", "ones_like",
    "prod", "reshape", "round", "shape", "sigmoid", "sign", "sin", "softmax", "softplus",
    "softsign", "sqrt", "square", "squeeze", "stack", "std", "stop_gradient", "sum", "tanh", "tile",
    "transpose", "var", "zeros", "zeros_like",
)  # fmt: skip


def _get_value(x: Any) -> Any:
    return np.array(x) if hasattr(x, "numpy") else np.asarray(x)


def _update(x: Any, value: Any) -> Any:
    x.assign(value)
    return x


def _relu(x: Any, alpha: float = 0.0, max_value: Any = None, threshold: float = 0.0) -> Any:
    from fastnn import activations

    return activations.relu(x, alpha, max_value, threshold)


def _switch(condition: Any, then: Any, otherwise: Any) -> Any:
    a, b = (v() if callable(v) else v for v in (then, otherwise))
    condition = ops.cast(condition, "bool")
    while ops.ndim(condition) < max(ops.ndim(a), ops.ndim(b)):
        condition = ops.expand_dims(condition, axis=[-1])
    return ops.where(condition, a, b)


def _variable(
    value: Any, dtype: DTypeLike = None, name: str | None = None, constraint: Any = None
) -> Any:
    return Variable(value, dtype=dtype or "float32", name=name)


def _constant(
    value: Any, dtype: DTypeLike = None, shape: Any = None, name: str | None = None
) -> Any:
    x = ops.convert_to_tensor(value, dtype or "float32")
    return x if shape is None else ops.broadcast_to(x, shape=list(shape))


def _l2_normalize(x: Any, axis: Any = None) -> Any:
    axes: Any = tuple(range(ops.ndim(x))) if axis is None else axis
    return ops.normalize(x, axis=axes, epsilon=1e-6)


def _batch_dot(x: Any, y: Any, axes: Any = None) -> Any:
    from fastnn.layers import Dot

    if axes is None:
        axes = [ops.ndim(x) - 1, 1 if ops.ndim(y) == 2 else ops.ndim(y) - 2]
    return Dot(axes)([x, y])


def _lengths(x: Any) -> Any:
    """(batch,) whole numbers of (batch,) or (batch, 1)."""
    return ops.reshape(ops.cast(x, "int32"), (-1,))


def _ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Any:
    """The CTC loss (batch, 1) of shares of classes, of which the last one is the blank."""
    logits = ops.log(ops.convert_to_tensor(y_pred, "float32") + epsilon())
    loss = ops.ctc_loss(
        ops.cast(y_true, "int32"), logits, _lengths(label_length), _lengths(input_length),
        mask_index=int(y_pred.shape[-1]) - 1,
    )  # fmt: skip
    return ops.expand_dims(loss, axis=1)


def _ctc_decode(
    y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1
) -> Any:
    """([labels of each path], log shares); -1 fills up. The last class is the blank."""
    logits = ops.log(ops.convert_to_tensor(y_pred, "float32") + epsilon())
    paths, scores = ops.ctc_decode(
        logits, _lengths(input_length), "greedy" if greedy else "beam_search", beam_width,
        top_paths, mask_index=int(y_pred.shape[-1]) - 1,
    )  # fmt: skip
    return [paths[i] for i in range(int(paths.shape[0]))], scores


def _convolution(
    x: Any, kernel: Any, strides: Any = 1, padding: str = "valid", data_format: Any = None,
    dilation_rate: Any = 1,
) -> Any:  # fmt: skip
    return ops.conv(
        x, kernel, strides=strides, padding=padding, data_format=data_format,
        dilation_rate=dilation_rate,
    )  # fmt: skip


def _pooling(
    x: Any, pool_size: Any, strides: Any = 1, padding: str = "valid", data_format: Any = None,
    pool_mode: str = "max",
) -> Any:  # fmt: skip
    kinds = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in kinds:
        raise ValueError(f"pool_mode is {pool_mode!r}\n  hint: 'max' or 'avg'")
    return kinds[pool_mode](x, pool_size, strides=strides, padding=padding, data_format=data_format)


def _padded(x: Any, padding: Any, data_format: Any) -> Any:
    """Zeros around the axes between the batch and the channels."""
    sides = [tuple(pair) for pair in padding]
    first = standardize_data_format(data_format) == "channels_first"
    return ops.pad(x, [(0, 0), *([(0, 0)] if first else []), *sides, *([] if first else [(0, 0)])])


def _resize_images(
    x: Any, height_factor: int, width_factor: int, data_format: Any, interpolation: str = "nearest"
) -> Any:
    from fastnn.layers import UpSampling2D

    return UpSampling2D(
        (height_factor, width_factor), data_format=data_format, interpolation=interpolation
    )(x)


#: Names whose arguments or defaults are Keras 2's own.
_OWN = {
    "argmax": lambda x, axis=-1: ops.argmax(x, axis=axis),
    "argmin": lambda x, axis=-1: ops.argmin(x, axis=axis),
    "batch_dot": _batch_dot,
    "batch_flatten": lambda x: ops.reshape(x, (-1, int(np.prod(x.shape[1:])))),
    "batch_get_value": lambda tensors: [_get_value(x) for x in tensors],
    "batch_set_value": lambda pairs: [_update(x, v) for x, v in pairs] and None,
    "bias_add": lambda x, bias, data_format=None: x + bias,
    "binary_crossentropy": ops.binary_crossentropy,
    "cast_to_floatx": lambda x: np.asarray(x, dtype="float32"),
    "categorical_crossentropy": ops.categorical_crossentropy,
    "clip": lambda x, min_value, max_value: ops.clip(
        x, -np.inf if min_value is None else min_value, np.inf if max_value is None else max_value
    ),
    "concatenate": lambda tensors, axis=-1: ops.concatenate(tensors, axis=axis),
    "constant": _constant,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "ctc_batch_cost": _ctc_batch_cost,
    "ctc_decode": _ctc_decode,
    "count_params": lambda x: int(np.prod(x.shape)),
    "cumprod": lambda x, axis=0: ops.cumprod(x, axis=axis),
    "cumsum": lambda x, axis=0: ops.cumsum(x, axis=axis),
    "dot": ops.dot,
    "dropout": lambda x, level, noise_shape=None, seed=None: random.dropout(
        x, level, noise_shape, seed
    ),
    "dtype": lambda x: x.dtype,
    "eval": _get_value,
    "expand_dims": lambda x, axis=-1: ops.expand_dims(x, axis=axis),
    "flatten": lambda x: ops.reshape(x, (-1,)),
    "gather": lambda reference, indices: ops.take(reference, indices, axis=0),
    "get_value": _get_value,
    "in_top_k": lambda predictions, targets, k: ops.in_top_k(targets, predictions, k),
    "int_shape": lambda x: tuple(x.shape),
    "is_sparse": lambda tensor: False,
    "l2_normalize": _l2_normalize,
    "map_fn": lambda fn, elems, name=None, dtype=None: ops.map(fn, elems),
    "mean_squared_error": losses.mean_squared_error,
    "moving_average_update": lambda x, value, momentum: _update(
        x, x * momentum + value * (1.0 - momentum)
    ),
    "ndim": ops.ndim,
    "one_hot": lambda indices, num_classes: ops.one_hot(indices, num_classes),
    "permute_dimensions": lambda x, pattern: ops.transpose(x, pattern),
    "pow": lambda x, a: ops.power(x, a),
    "pool2d": _pooling,
    "pool3d": _pooling,
    "random_bernoulli": lambda shape, p=0.0, dtype=None, seed=None: random.bernoulli(
        shape, p, seed
    ),
    "random_normal": lambda shape, mean=0.0, stddev=1.0, dtype=None, seed=None: random.normal(
        shape, mean, stddev, seed=seed
    ),
    "random_uniform": lambda shape, minval=0.0, maxval=1.0, dtype=None, seed=None: random.uniform(
        shape, minval, maxval, seed=seed
    ),
    "relu": _relu,
    "repeat": lambda x, n: ops.repeat(ops.expand_dims(x, axis=[1]), n, axis=1),
    "repeat_elements": lambda x, rep, axis: ops.repeat(x, rep, axis=axis),
    "resize_images": _resize_images,
    "result_type": lambda *types: "float32" if any(
        is_float_dtype(getattr(t, "dtype", t)) or isinstance(t, float) for t in types
    ) else "int32",
    "reverse": lambda x, axes: ops.flip(x, axis=axes),
    "set_value": lambda x, value: _update(x, value) and None,
    "spatial_2d_padding": lambda x, padding=((1, 1), (1, 1)), data_format=None: _padded(
        x, padding, data_format
    ),
    "spatial_3d_padding": lambda x, padding=((1, 1),) * 3, data_format=None: _padded(
        x, padding, data_format
    ),
    "sparse_categorical_crossentropy": ops.sparse_categorical_crossentropy,
    "switch": _switch,
    "temporal_padding": lambda x, padding=(1, 1): _padded(x, [padding], "channels_last"),
    "to_dense": lambda tensor: tensor,
    "truncated_normal": lambda shape, mean=0.0, stddev=1.0, dtype=None, seed=None: (
        random.truncated_normal(shape, mean, stddev, seed=seed)
    ),
    "update": _update,
    "update_add": lambda x, increment: _update(x, x + increment),
    "update_sub": lambda x, decrement: _update(x, x - decrement),
    "variable": _variable,
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _AS_IN_OPS:
        return getattr(ops, name)
    if name in _OWN:
        return _OWN[name]
    raise missing(__name__, name, [*__all__, *_AS_IN_OPS, *_OWN])


def __dir__() -> list[str]:
    return sorted([*__all__, *_AS_IN_OPS, *_OWN])
