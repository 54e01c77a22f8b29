"""Keras's namespaces over fastnn's own objects: `fastnn.keras.layers` is `fastnn.layers`.

Importing this package also makes `from fastnn.keras.layers import Dense` work: the submodules are
entered under both names, as stand-ins that load the module itself when an attribute is asked for.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fastnn.namespaces import KERAS, MODULES, lazy

_SUBMODULES = {
    k: v for k, v in MODULES.items() if k not in ("data", "errors", "plot", "transforms")
}
__all__ = sorted([*KERAS, *_SUBMODULES])
__getattr__, __dir__ = lazy(globals(), KERAS, _SUBMODULES)


class _Alias(ModuleType):
    """`fastnn.keras.<name>` for the import system: everything comes from `fastnn.<name>`."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":
            return []
        target = self.__name__.replace("fastnn.keras.", "fastnn.", 1)
        return getattr(importlib.import_module(target), name)


for _name in (*_SUBMODULES, "optimizers.schedules"):
    sys.modules.setdefault(f"{__name__}.{_name}", _Alias(f"{__name__}.{_name}"))

if TYPE_CHECKING:
    from fastnn import (
        activations as activations,
    )
    from fastnn import (
        layers as layers,
    )
    from fastnn import (
        models as models,
    )
    from fastnn import (
        optimizers as optimizers,
    )
    from fastnn.layers import Input as Input
    from fastnn.models import Model as Model
    from fastnn.models import Sequential as Sequential
