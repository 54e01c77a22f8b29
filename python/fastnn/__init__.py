"""fastnn: Keras-style neural networks on a compiled Rust core.

`import fastnn as tf` and `tf.keras.Sequential([...])` run Keras programs; `fastnn.ops`, `grad`,
`value_and_grad` and `jit` serve functions of tensors. Everything but NumPy and the core is imported
when it is first used.
"""

from __future__ import annotations

from fastnn import _core
from fastnn.base import finder, forks
from fastnn.base.lazy import lazy
from fastnn.base.tensors import TYPES, TensorShape, complete
from fastnn.namespaces import CORE, FURTHER, KERAS, MODULES


def _hint(error: BaseException) -> str | None:
    """What to do about an error: how its message ends. None where it says nothing."""
    from fastnn.errors import hint_of

    return hint_of(error)


# On the class that all errors of the core and of the front share.
_core.FastnnError.hint = property(_hint)
_core.set_classes(TensorShape, TYPES)
complete(_core.Tensor, _core.Variable)

__version__: str = _core.info()["version"]

__all__ = sorted([*CORE, *KERAS, *MODULES, *FURTHER])

finder.install()
forks.install()
__getattr__, __dir__ = lazy(globals(), {**CORE, **KERAS}, {**MODULES, **FURTHER})
