"""Adds to errors of traced or compiled steps where in the model they arose.

Depends on `errors`, `tracing`; models are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastnn.errors import DataError
from fastnn.tracing.tables import naming_table

__all__ = ["batch_is_open", "naming_layers"]


@contextmanager
def batch_is_open() -> Iterator[None]:
    """Says why a size is None to who computes with it while a step is traced."""
    try:
        yield
    except TypeError as error:
        if "NoneType" in str(error):
            error.add_note(
                "  the step is traced once for batches of any size, so ops.shape(x)[0] is None\n"
                "  hint: keep None in shapes for ops and random, or compile(run_eagerly=True)"
            )
        raise


@contextmanager
def naming_layers(model: Any) -> Iterator[None]:
    """Names the Embedding whose table an index left; the compiled step knows only its op."""
    try:
        yield
    except DataError as error:
        layers = model._every_layer()
        tables = ((layer.name, getattr(layer, "input_dim", -1)) for layer in layers)
        raise naming_table(error, tables) from None
