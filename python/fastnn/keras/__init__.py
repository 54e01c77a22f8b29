"""Keras's namespaces over fastnn's own objects: `fastnn.keras.layers` is `fastnn.layers`.

`from fastnn.keras.layers import Dense` works as well: `fastnn.base.finder` finds the module itself.
"""

from __future__ import annotations

from fastnn import _core
from fastnn.base.lazy import lazy
from fastnn.namespaces import KERAS, KERAS_ALONE, KERAS_MODULES

__version__: str = _core.info()["version"]

__all__ = sorted([*KERAS, *KERAS_ALONE, *KERAS_MODULES])
__getattr__, __dir__ = lazy(globals(), KERAS | KERAS_ALONE, KERAS_MODULES)
