"""Keras's namespaces over fastnn's own objects: `fastnn.keras.layers` is `fastnn.layers`.

Importing this package also makes `from fastnn.keras.layers import Dense` work: the submodules are
entered under both names, as stand-ins that load the module itself when an attribute is asked for.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from fastnn import _core
from fastnn.namespaces import KERAS, KERAS_MODULES, lazy

__version__: str = _core.info()["version"]

__all__ = sorted([*KERAS, *KERAS_MODULES])
__getattr__, __dir__ = lazy(globals(), KERAS, KERAS_MODULES)


class _Alias(ModuleType):
    """`fastnn.keras.<name>` for the import system: everything comes from `fastnn.<name>`."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            return []
        target = self.__name__.replace("fastnn.keras.", "fastnn.", 1)
        return getattr(importlib.import_module(target), name)


for _name in (*KERAS_MODULES, "optimizers.schedules"):
    sys.modules.setdefault(f"{__name__}.{_name}", _Alias(f"{__name__}.{_name}"))
