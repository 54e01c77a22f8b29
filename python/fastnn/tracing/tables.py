"""Numbers outside the table of an `Embedding`, told by the layer's name. Depends on `errors`.

A compiled program knows only its op, and an Embedding puts a negative number below what the op
would count from the end of the table. So whoever runs a program says which tables it looks up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fastnn.errors import DataError

__all__ = ["naming_table", "outside_table"]

_TAKE = re.compile(r"take: index (-?\d+) at position \[([\d, ]*)\] is out of range for (\d+) ")


def outside_table(name: str, token: int, place: Sequence[int], size: int) -> DataError:
    """The error of an Embedding that got a number without a row."""
    hint = f"input_dim={token + 1} or more" if token > 0 else "number the tokens from 0"
    at = ", ".join(map(str, place))
    return DataError(
        f"Embedding {name!r}: token id {token} at position ({at}) of the batch is out of range, "
        f"outside 0…{size - 1} (input_dim={size})\n  hint: {hint}"
    )


def naming_table(error: DataError, tables: Iterable[tuple[str, int]]) -> DataError:
    """An error of a lookup that names the table, where one of `tables`, names with sizes, has the
    size; other errors as they are.
    """
    found = _TAKE.match(str(error))
    if found is None:
        return error
    size = int(found[3])
    name = next((name for name, rows in tables if rows == size), None)
    if name is None:
        return error
    token = int(found[1]) + (size if int(found[1]) < 0 else 0)  # as Embedding puts it
    named = outside_table(name, token, [int(i) for i in found[2].split(",") if i.strip()], size)
    for note in getattr(error, "__notes__", []):
        named.add_note(note)
    return named
