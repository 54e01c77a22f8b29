"""Says of errors from traced or compiled steps where in the model they come from.

Depends on `errors`, `layers`; models are taken as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastnn.errors import DataError
from fastnn.layers.core import outside_table

__all__ = ["batch_is_open", "naming_layers"]

_TAKE = re.compile(r"take: index (-?\d+) at position \[([\d, ]*)\] is out of range for (\d+) ")


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
        found = _TAKE.match(str(error))
        size = int(found[3]) if found else None
        names = [
            layer.name for layer in model._every_layer() if getattr(layer, "input_dim", -1) == size
        ]
        if found is None or not names:
            raise
        token = int(found[1]) + (size or 0 if int(found[1]) < 0 else 0)  # as Embedding puts it
        place = [int(i) for i in found[2].split(",") if i.strip()]
        named = outside_table(names[0], token, place, int(found[3]))
        for note in getattr(error, "__notes__", []):
            named.add_note(note)
        raise named from None
