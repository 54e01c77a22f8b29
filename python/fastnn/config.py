"""Global settings under Keras's names, and the state of a process: name counters.

Depends on `messages`.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from types import SimpleNamespace
from typing import Any

from fastnn.base.absent import missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
    printable_stream,
    set_logging_verbosity,
    shown,
)
from fastnn.dtype_policies import DTypePolicy, computing_dtype, policy_name

__all__ = [
    "are_targets_checked",
    "backend",
    "clear_session",
    "disable_flash_attention",
    "disable_interactive_logging",
    "disable_traceback_filtering",
    "dtype_policy",
    "enable_flash_attention",
    "enable_interactive_logging",
    "enable_traceback_filtering",
    "enable_unsafe_deserialization",
    "epsilon",
    "floatx",
    "image_data_format",
    "is_accuracy_by_loss",
    "is_flash_attention_enabled",
    "is_interactive_logging_enabled",
    "is_traceback_filtering_enabled",
    "list_logical_devices",
    "list_physical_devices",
    "printable_stream",
    "run_functions_eagerly",
    "set_accuracy_by_loss",
    "set_dtype_policy",
    "set_epsilon",
    "set_floatx",
    "set_image_data_format",
    "set_logging_verbosity",
    "set_target_checks",
    "shown",
    "standardize_data_format",
    "unique_name",
]

_epsilon = 1e-7
_accuracy_by_loss = True
_target_checks = True
_data_format = "channels_last"
_flash_attention = False
_traceback_filtering = True
_counts: Counter[str] = Counter()


@hints_arguments
def enable_flash_attention() -> None:
    """Taken for Keras's sake: attention has one implementation, which is chosen by its shapes.

    Example:
        >>> fastnn.config.enable_flash_attention()
        >>> fastnn.config.is_flash_attention_enabled()
        True
        >>> fastnn.config.disable_flash_attention()
    """
    global _flash_attention
    _flash_attention = True


@hints_arguments
def disable_flash_attention() -> None:
    """Takes back what `enable_flash_attention` set.

    Example:
        >>> fastnn.config.disable_flash_attention()
        >>> fastnn.config.is_flash_attention_enabled()
        False
    """
    global _flash_attention
    _flash_attention = False


@hints_arguments
def is_flash_attention_enabled() -> bool:
    """Whether `enable_flash_attention` was called.

    Returns:
        A truth value.

    Example:
        >>> fastnn.config.is_flash_attention_enabled()
        False
    """
    return _flash_attention


@hints_arguments
def enable_traceback_filtering() -> None:
    """Taken for Keras's sake: tracebacks are whole, and errors name the layer themselves.

    Example:
        >>> fastnn.config.enable_traceback_filtering()
        >>> fastnn.config.is_traceback_filtering_enabled()
        True
    """
    global _traceback_filtering
    _traceback_filtering = True


@hints_arguments
def disable_traceback_filtering() -> None:
    """Takes back what `enable_traceback_filtering` set.

    Example:
        >>> fastnn.config.disable_traceback_filtering()
        >>> fastnn.config.is_traceback_filtering_enabled()
        False
        >>> fastnn.config.enable_traceback_filtering()
    """
    global _traceback_filtering
    _traceback_filtering = False


@hints_arguments
def is_traceback_filtering_enabled() -> bool:
    """Whether `disable_traceback_filtering` was not called.

    Returns:
        A truth value.

    Example:
        >>> fastnn.config.is_traceback_filtering_enabled()
        True
    """
    return _traceback_filtering


@hints_arguments
def enable_unsafe_deserialization() -> None:
    """Taken for Keras's sake: no file makes fastnn run code, whatever is called here.

    Example:
        >>> fastnn.config.enable_unsafe_deserialization()
    """


@hints_arguments
def backend() -> str:
    """The name of the engine: always "fastnn".

    Returns:
        The name.

    Example:
        >>> fastnn.backend.backend()
        'fastnn'
    """
    return "fastnn"


@hints_arguments
def floatx() -> str:
    """The floating type everything computes in: always "float32".

    Returns:
        The name of the type.

    Example:
        >>> fastnn.backend.floatx()
        'float32'
    """
    return "float32"


@hints_arguments
def set_floatx(value: str) -> None:
    """Accepts "float32", the only type that computes.

    Args:
        value: `"float32"`.

    Raises:
        ValueError: Another type.

    Example:
        >>> fastnn.backend.set_floatx("float32")
    """
    if value != "float32":
        raise ValueError(f"floatx {value!r} is not supported\n  hint: fastnn computes in 'float32'")


#: The types that memory holds and nothing computes in, and the one that each is computed with as.
COMPUTED = {"bfloat16": "float32", "float16": "float32", "int8": "int32", "uint8": "int32"}

#: NumPy's number types and the one of fastnn's that stands for each.
STORED = {
    **dict.fromkeys(("float", "float32", "float64"), "float32"),
    **dict.fromkeys(("int", "int16", "int32", "int64", "uint16", "uint32"), "int32"),
    "bool": "bool", **{name: name for name in COMPUTED},
}  # fmt: skip


def dtype_name(dtype: object) -> str:
    """The name of a type that is given by name, by NumPy's or Python's type."""
    named = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    return str(named or getattr(dtype, "__name__", dtype))


def stored_dtype(dtype: object) -> str:
    """The type that values of a NumPy or Keras type are kept in; unknown names stay as they are."""
    name = dtype_name(dtype)
    return STORED.get(name, name)


_policy = "float32"


@hints_arguments
def dtype_policy() -> Any:
    """The policy that `set_dtype_policy` set, which layers made from then on have.

    Returns:
        A `DTypePolicy`.

    Example:
        >>> fastnn.config.dtype_policy().name
        'float32'
    """
    return DTypePolicy(_policy)


@hints_arguments
def set_dtype_policy(policy: Any) -> None:
    """Sets the policy of layers that are made from now on: "float32", or a mixed one.

    Under "mixed_bfloat16" products of matrices in layers (`Dense`, `EinsumDense`, the projections
    of attention, heads, `ops.matmul` and `@` in a `call`), and their gradients, round their
    operands to bfloat16 and add in float32 on processors that are faster so (`fastnn.info()` says
    whether this one is). All else, weights and the optimiser's state are float32. "mixed_float16"
    changes nothing on the CPU. What runs on a GPU while either is set keeps activations in two
    bytes an element between steps.

    Args:
        policy: A name, or a `DTypePolicy`.

    Raises:
        ValueError: Another policy.

    Example:
        >>> fastnn.config.set_dtype_policy("float32")
    """
    global _policy
    computing_dtype(policy, "set_dtype_policy")
    name = policy_name(policy)
    if name == "mixed_float16" != _policy:
        warnings.warn(
            f"the policy {name!r} is taken, and everything computes in float32; a GPU keeps "
            "activations in two bytes between steps",
            stacklevel=3,
        )
    _policy = name


@hints_arguments
def list_physical_devices(device_type: str | None = None) -> list[Any]:
    """TensorFlow's question for devices: the CPU, and an empty list for "GPU".

    Args:
        device_type: `"CPU"`, `"GPU"`, or None for all.

    Returns:
        A list of devices.

    Example:
        >>> fastnn.config.list_logical_devices("GPU")
        []
    """
    from types import SimpleNamespace

    cpu = SimpleNamespace(name="/physical_device:CPU:0", device_type="CPU")
    return [cpu] if device_type in (None, "CPU") else []


list_logical_devices = list_physical_devices


@hints_arguments
def run_functions_eagerly(run_eagerly: bool) -> None:
    """Taken for TensorFlow's sake: `fastnn.function` is compiled where it can be.

    Args:
        run_eagerly: Changes nothing.

    Example:
        >>> fastnn.config.run_functions_eagerly(True)
    """


@hints_arguments
def epsilon() -> float:
    """The small number that keeps divisions and logarithms finite, 1e-7 unless set.

    Returns:
        The number.

    Example:
        >>> fastnn.backend.epsilon()
        1e-07
    """
    return _epsilon


@hints_arguments
def set_epsilon(value: float) -> None:
    """Sets the small number that `epsilon()` gives.

    Args:
        value: A number above 0.

    Example:
        >>> fastnn.backend.set_epsilon(1e-7)
    """
    global _epsilon
    _epsilon = float(value)


@hints_arguments
def image_data_format() -> str:
    """The axis order of images that layers take unless they are told.

    Returns:
        `"channels_last"` at first.

    Example:
        >>> fastnn.backend.image_data_format()
        'channels_last'
    """
    return _data_format


@hints_arguments
def set_image_data_format(data_format: str) -> None:
    """Sets the axis order that new layers take.

    Args:
        data_format: `"channels_last"` or `"channels_first"`.

    Raises:
        ValueError: It is neither.

    Example:
        >>> fastnn.backend.set_image_data_format("channels_last")
    """
    global _data_format
    _data_format = standardize_data_format(data_format)


@hints_arguments
def standardize_data_format(data_format: object) -> str:
    """The axis order that an argument means.

    Args:
        data_format: `"channels_last"`, `"channels_first"`, or None for the global one.

    Returns:
        One of the two.

    Raises:
        ValueError: It is neither.

    Example:
        >>> fastnn.config.standardize_data_format(None)
        'channels_last'
    """
    if data_format is None:
        return _data_format
    name = str(data_format).lower()
    if name not in ("channels_last", "channels_first"):
        raise ValueError(
            "The `data_format` argument must be one of 'channels_last', 'channels_first'. "
            f"Received: {data_format!r}\n  hint: data_format='channels_last'"
        )
    return name


@hints_arguments
def is_accuracy_by_loss() -> bool:
    """Whether "accuracy" by name takes outputs as its loss does.

    Returns:
        True unless set.

    Example:
        >>> fastnn.config.is_accuracy_by_loss()
        True
    """
    return _accuracy_by_loss


@hints_arguments
def set_accuracy_by_loss(flag: bool) -> None:
    """Chooses where "accuracy" of logits is cut: at 0, or at 0.5 as Keras does in all cases.

    It concerns names in `compile(metrics=...)`: "accuracy", "binary_accuracy" and "crossentropy"
    beside a loss with `from_logits=True`. Metric objects are as they were made.

    Args:
        flag: True for 0 beside such a loss, False for 0.5.

    Example:
        >>> fastnn.config.set_accuracy_by_loss(True)
    """
    global _accuracy_by_loss
    _accuracy_by_loss = bool(flag)


@hints_arguments
def are_targets_checked() -> bool:
    """Whether losses and metrics refuse targets that they are not for.

    Returns:
        True unless set.

    Example:
        >>> fastnn.config.are_targets_checked()
        True
    """
    return _target_checks


@hints_arguments
def set_target_checks(flag: bool) -> None:
    """Chooses whether losses and metrics refuse targets that they are not for, or take any numbers
    as Keras does.

    With True categorical losses and metrics want rows that add up to 1: one-hot, smoothed or mixed.
    Rows of one value besides zeros, such as a one-hot row times a weight or an advantage, pass as
    well, and so do rows of zeros as padding among labels per time step. Binary losses want labels
    from 0 to 1, counts of hits (`Precision`, `AUC`, ...) 0 and 1, hinge losses -1 and 1 or 0 and 1,
    `poisson` and `mean_squared_logarithmic_error` no negative numbers; metrics by thresholds from 0
    to 1 want such predictions. Rows of sample weight 0 may hold anything. Class numbers are looked
    at in any case by losses.

    Args:
        flag: False for Keras's results of any targets.

    Example:
        >>> fastnn.config.set_target_checks(True)
    """
    global _target_checks
    _target_checks = bool(flag)


def snake_case(name: str) -> str:
    """`BatchNormalization` as `batch_normalization`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


@hints_arguments
def unique_name(prefix: str) -> str:
    """The next automatic name: `dense`, `dense_1`, `dense_2`, … until `clear_session()`.

    Args:
        prefix: The first part of the name.

    Returns:
        The name.

    Example:
        >>> fastnn.config.unique_name("part") != fastnn.config.unique_name("part")
        True
    """
    n = _counts[prefix]
    _counts[prefix] += 1
    return f"{prefix}_{n}" if n else prefix


@hints_arguments
def get_uid(prefix: str = "") -> int:
    """The next number for automatic names of a prefix, counted from 1.

    Args:
        prefix: The prefix.

    Returns:
        A whole number.

    Example:
        >>> fastnn.backend.get_uid("block") + 1 == fastnn.backend.get_uid("block")
        True
    """
    _counts[prefix] += 1
    return _counts[prefix]


@hints_arguments
def clear_session(free_memory: bool = True) -> None:
    """Starts automatic names at zero again; models free their memory when they are dropped.

    Args:
        free_memory: Accepted for Keras's sake.

    Example:
        >>> fastnn.backend.clear_session()
        >>> fastnn.layers.Dense(1).name
        'dense'
    """
    _counts.clear()


def _nothing(*_: Any, **__: Any) -> None:
    """Taken for TensorFlow's sake: memory and threads need no settings here."""


def _get_visible_devices(device_type: str | None = None) -> list[Any]:
    return list_physical_devices(device_type)


#: Settings of TensorFlow that programs make at their start.
_FURTHER = {
    "experimental": SimpleNamespace(
        enable_op_determinism=_nothing, list_physical_devices=list_physical_devices,
        set_memory_growth=_nothing, set_virtual_device_configuration=_nothing,
        get_visible_devices=_get_visible_devices, set_visible_devices=_nothing,
        list_logical_devices=list_logical_devices,
    ),
    "experimental_run_functions_eagerly": run_functions_eagerly,
    "get_visible_devices": _get_visible_devices,
    "optimizer": SimpleNamespace(
        set_jit=_nothing, set_experimental_options=_nothing, get_jit=lambda: ""
    ),
    "set_logical_device_configuration": _nothing,
    "set_soft_device_placement": _nothing,
    "set_visible_devices": _nothing,
    "threading": SimpleNamespace(
        set_inter_op_parallelism_threads=_nothing, set_intra_op_parallelism_threads=_nothing
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _FURTHER:
        return _FURTHER[name]
    raise missing(__name__, name, [*__all__, *_FURTHER])
