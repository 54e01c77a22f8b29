"""Keras's namespaces over fastnn's own objects: `fastnn.keras.layers` is `fastnn.layers`.

Importing this package also makes `from fastnn.keras.layers import Dense` work.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from typing import TYPE_CHECKING

from fastnn.namespaces import KERAS, MODULES, lazy

_SUBMODULES = {k: v for k, v in MODULES.items() if k not in ("data", "errors", "transforms")}
__all__ = sorted([*KERAS, *_SUBMODULES])  # noqa: PLE0605
__getattr__, __dir__ = lazy(globals(), KERAS, _SUBMODULES)


class _Aliases:
    """Finds `fastnn.keras.<name>` as `fastnn.<name>`, the module itself."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> object:
        """The spec of the module that the alias stands for."""
        head, _, tail = name.rpartition("fastnn.keras.")
        if head or tail.partition(".")[0] not in _SUBMODULES:
            return None
        module = importlib.import_module(f"fastnn.{tail}")
        sys.modules[name] = module
        return importlib.machinery.ModuleSpec(name, _Ready(module))


class _Ready:
    """A loader for a module that is loaded already."""

    def __init__(self, module: object) -> None:
        self.module = module
        self.spec = getattr(module, "__spec__", None)

    def create_module(self, spec: object) -> object:
        """The module as it is."""
        return self.module

    def exec_module(self, module: object) -> None:
        """Nothing to run; the module keeps its own name."""
        module.__spec__ = self.spec  # type: ignore[attr-defined]


sys.meta_path.append(_Aliases)  # type: ignore[arg-type]

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
