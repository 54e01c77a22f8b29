"""fastnn: Keras-style neural networks on a compiled Rust core.

`import fastnn as tf` and `tf.keras.Sequential([...])` run Keras programs; `fastnn.ops`, `grad`,
`value_and_grad` and `jit` serve functions of tensors. Everything but NumPy and the core is imported
when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn import _core
from fastnn.namespaces import CORE, KERAS, MODULES, lazy

__version__: str = _core.info()["version"]

_FURTHER = {"keras": "fastnn.keras", "exit_strategy": "fastnn.exit_strategy"}
__all__ = sorted([*CORE, *KERAS, *MODULES, *_FURTHER])

__getattr__, __dir__ = lazy(globals(), {**CORE, **KERAS}, {**MODULES, **_FURTHER})

if TYPE_CHECKING:
    from fastnn import (
        activations as activations,
    )
    from fastnn import (
        callbacks as callbacks,
    )
    from fastnn import (
        config as config,
    )
    from fastnn import (
        constraints as constraints,
    )
    from fastnn import (
        datasets as datasets,
    )
    from fastnn import (
        initializers as initializers,
    )
    from fastnn import (
        keras as keras,
    )
    from fastnn import (
        layers as layers,
    )
    from fastnn import (
        losses as losses,
    )
    from fastnn import (
        metrics as metrics,
    )
    from fastnn import (
        models as models,
    )
    from fastnn import (
        ops as ops,
    )
    from fastnn import (
        optimizers as optimizers,
    )
    from fastnn import (
        plot as plot,
    )
    from fastnn import (
        random as random,
    )
    from fastnn import (
        regularizers as regularizers,
    )
    from fastnn import (
        saving as saving,
    )
    from fastnn import (
        utils as utils,
    )
    from fastnn._core import (
        Function as Function,
    )
    from fastnn._core import (
        Tensor as Tensor,
    )
    from fastnn._core import (
        get_num_threads as get_num_threads,
    )
    from fastnn._core import (
        info as info,
    )
    from fastnn._core import (
        op_table as op_table,
    )
    from fastnn._core import (
        set_num_threads as set_num_threads,
    )
    from fastnn._core import (
        tensor as tensor,
    )
    from fastnn.errors import (
        DataError as DataError,
    )
    from fastnn.errors import (
        DeviceError as DeviceError,
    )
    from fastnn.errors import (
        FastnnError as FastnnError,
    )
    from fastnn.errors import (
        FormatError as FormatError,
    )
    from fastnn.errors import (
        InternalError as InternalError,
    )
    from fastnn.errors import (
        ShapeError as ShapeError,
    )
    from fastnn.errors import (
        TraceError as TraceError,
    )
    from fastnn.layers import (
        Input as Input,
    )
    from fastnn.layers import (
        Layer as Layer,
    )
    from fastnn.models import (
        Model as Model,
    )
    from fastnn.models import (
        Sequential as Sequential,
    )
    from fastnn.models import (
        load_model as load_model,
    )
    from fastnn.transforms import (
        grad as grad,
    )
    from fastnn.transforms import (
        jit as jit,
    )
    from fastnn.transforms import (
        value_and_grad as value_and_grad,
    )
    from fastnn.variables import Variable as Variable
