"""What `fastnn` and `fastnn.keras` offer under which name, and how it is loaded when used.

One table for both packages, so that they hold the same objects. Depends on the standard library.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

__all__ = ["CORE", "FURTHER", "KERAS", "KERAS_MODULES", "MODULES", "lazy"]

#: Submodules by public name.
MODULES = {
    name: f"fastnn.{name}"
    for name in (
        "activations", "backend", "callbacks", "config", "constraints", "data", "datasets",
        "dtype_policies", "ensemble", "errors", "initializers", "layers", "losses", "metrics",
        "models", "ops", "optimizers", "plot", "random", "regularizers", "saving", "transforms",
        "utils",
    )
}  # fmt: skip

#: What `fastnn` has besides.
FURTHER = {"keras": "fastnn.keras", "exit_strategy": "fastnn.exit_strategy"}

#: What `fastnn.keras` has of them: Keras's own namespaces.
KERAS_MODULES = {
    k: v for k, v in MODULES.items() if k not in ("data", "errors", "plot", "transforms")
}

#: Names of Keras at the top, and the module that holds them.
KERAS = {
    "Input": "layers", "Layer": "layers", "InputSpec": "layers", "Model": "models",
    "Sequential": "models", "Functional": "models", "Variable": "variables",
    "KerasTensor": "symbolic", "Loss": "losses", "Metric": "metrics", "Optimizer": "optimizers",
    "Initializer": "initializers", "Regularizer": "regularizers", "Constraint": "constraints",
    "Callback": "callbacks", "name_scope": "backend", "DTypePolicy": "dtype_policies",
}  # fmt: skip

#: Further names of fastnn itself.
CORE = {
    "grad": "transforms", "value_and_grad": "transforms", "jit": "transforms",
    "load_model": "models", "Tensor": "_core", "Function": "_core", "tensor": "_core",
    "op_table": "_core", "set_num_threads": "_core", "get_num_threads": "_core", "info": "_core",
    "gradients": "_core", "DataError": "errors", "DeviceError": "errors",
    "FastnnError": "errors", "FormatError": "errors", "InternalError": "errors",
    "ShapeError": "errors", "TraceError": "errors", "Ensemble": "ensemble",
}  # fmt: skip


#: Names that programs for other libraries ask for, and what does their work here.
ELSEWHERE = {
    "GradientTape": "value, grads = fastnn.value_and_grad(loss)(model.trainable_variables)",
    "function": "fastnn.jit compiles functions of tensors",
    "applications": "there are no pretrained models; load_model reads your own files",
    "preprocessing": "pad_sequences and to_categorical are in fastnn.utils",
}


def lazy(
    package: dict[str, Any], names: dict[str, str], modules: dict[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` for a package that imports what is asked for."""

    def __getattr__(name: str) -> Any:
        if name in modules:
            value = importlib.import_module(modules[name])
        elif name in names:
            value = getattr(importlib.import_module(f"fastnn.{names[name]}"), name)
        else:
            from fastnn.errors import nearest

            close = nearest(name, [*names, *modules]) if not name.startswith("_") else []
            hint = f"\n  hint: did you mean {', '.join(close)}?" if close else ""
            hint = f"\n  hint: {ELSEWHERE[name]}" if name in ELSEWHERE else hint
            raise AttributeError(f"{package['__name__']} has no {name!r}{hint}")
        package[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*package, *names, *modules})

    return __getattr__, __dir__
