"""Functions of tensors under the names of `keras.ops`.

The rows of the core's op table (`rows`), NumPy-like forms of those that take lists, composites of
rows by family, and functions that NumPy computes on values (`host`). All accept tensors, arrays,
numbers and variables; all but those of `host` work while a step is traced, differentiate, and take
the symbolic tensors of functional models. Names of Keras that are missing say why. Depends on
`_core`.
"""

from __future__ import annotations

from fastnn.base.absent import answer_from, answer_missing
from fastnn.ops import (
    arrays,
    contract,
    control,
    convert,
    convolution,
    ctc,
    cumulate,
    diagonals,
    elements,
    fourier,
    host,
    image,
    index,
    linalg,
    matrices,
    nn,
    numpy,
    order,
    quantiles,
    recurrence,
    reduce,
    rows,
    shapes,
    special,
    thresholds,
    unfolding,
    vocabulary,
    whole_numbers,
    window,
)
from fastnn.tracing.known_ops import enter_ops

# A name that the rows and a family both have is the family's, so the rows come first.
# isort: off
from fastnn.ops.rows import *  # noqa: F403
from fastnn.ops.convert import *  # noqa: F403
from fastnn.ops.elements import *  # noqa: F403
from fastnn.ops.whole_numbers import *  # noqa: F403
from fastnn.ops.thresholds import *  # noqa: F403
from fastnn.ops.special import *  # noqa: F403
from fastnn.ops.shapes import *  # noqa: F403
from fastnn.ops.arrays import *  # noqa: F403
from fastnn.ops.diagonals import *  # noqa: F403
from fastnn.ops.index import *  # noqa: F403
from fastnn.ops.window import *  # noqa: F403
from fastnn.ops.reduce import *  # noqa: F403
from fastnn.ops.order import *  # noqa: F403
from fastnn.ops.quantiles import *  # noqa: F403
from fastnn.ops.cumulate import *  # noqa: F403
from fastnn.ops.contract import *  # noqa: F403
from fastnn.ops.linalg import *  # noqa: F403
from fastnn.ops.matrices import *  # noqa: F403
from fastnn.ops.fourier import *  # noqa: F403
from fastnn.ops.nn import *  # noqa: F403
from fastnn.ops.recurrence import *  # noqa: F403
from fastnn.ops.convolution import *  # noqa: F403
from fastnn.ops.unfolding import *  # noqa: F403
from fastnn.ops.control import *  # noqa: F403
from fastnn.ops.ctc import *  # noqa: F403
from fastnn.ops.vocabulary import *  # noqa: F403
from fastnn.ops.host import *  # noqa: F403
# isort: on

#: What `fastnn.ops` is made of; later ones win.
_FAMILIES = (
    rows, convert, elements, whole_numbers, thresholds, special, shapes, arrays, diagonals, index,
    window, reduce, order, quantiles, cumulate, contract, linalg, matrices, fourier, nn,
    recurrence, convolution, unfolding, control, ctc, vocabulary, host,
)  # fmt: skip
#: Keras's further paths to the same functions; the functions of images are in `image` alone.
NAMESPACES = ("image", "linalg", "nn", "numpy")

#: Ops by the names and with the defaults that model files know, where Keras's defaults differ.
IN_FILES = {
    "concatenate": shapes.joined, "cumsum": rows.cumsum, "gelu": rows.gelu,
    "take_along_axis": rows.take_along_axis,
}  # fmt: skip

__all__ = sorted({_name for _family in _FAMILIES for _name in _family.__all__})

for _name in __all__:  # pickles and files name a function by the package, whatever its family
    globals()[_name].__module__ = __name__
for _name in image.__all__:
    getattr(image, _name).__module__ = image.__name__

enter_ops("ops", {_name: globals()[_name] for _name in __all__})
enter_ops("files", IN_FILES)
for _module in (image, linalg, nn, numpy):
    answer_from(_module, globals())
answer_missing(globals())
