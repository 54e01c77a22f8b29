"""What an HDF5 file's bytes claim about texts of variable length, read without the HDF5 library.

Texts lie in global heap collections; attributes hold references (length, address, number) to them.
Depends on NumPy. Layout: HDF5 file format 3.0, sections III.D, III.E, IV.A.2.b, d and m.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["free_lists_end", "largest_object", "longest_claim", "mapped"]

#: The start of a global heap collection: signature and version.
HEAP = b"GCOL\x01"
#: The start of a local heap, and the place that ends its list of free blocks.
NAMES = b"HEAP\0"
NO_BLOCK = 1
VARIABLE_LENGTH = 9


@contextmanager
def mapped(source: str | bytes) -> Iterator[Any]:
    """The bytes of a file, read where they are looked at."""
    if isinstance(source, bytes):
        yield source
        return
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def largest_object(data: Any) -> int | None:
    """Bytes of the largest object in the global heap, None when a collection is damaged."""
    largest, at = 0, data.find(HEAP)
    while at >= 0:
        found = _largest_in(data, at)
        if found is None:
            return None
        largest = max(largest, found)
        at = data.find(HEAP, at + len(HEAP))
    return largest


def _largest_in(data: Any, start: int) -> int | None:
    """The largest object of one collection, None when its objects do not fill it one by one.

    Signature, version, three zeros, size; then objects of number, references, four zeros, size and
    bytes padded to eight; number 0 is the free rest.
    """
    if start + 16 > len(data):
        return None
    (size,) = struct.unpack("<Q", data[start + 8 : start + 16])
    end, at, largest = start + size, start + 16, 0
    if end > len(data):
        return None
    while at + 16 <= end:
        number, _, _, length = struct.unpack("<HHIQ", data[at : at + 16])
        if number == 0:
            return largest if length == end - at else None
        at += 16 + (length + 7) // 8 * 8
        if at > end:
            return None
        largest = max(largest, length)
    return largest


def free_lists_end(data: Any) -> bool:
    """Whether the list of free blocks of every local heap, where names of links lie, has an end.

    HDF5 2.0 follows a list that runs in a circle for ever.
    """
    at = data.find(NAMES)
    while at >= 0:
        if at + 32 > len(data) or not _list_ends(
            data, *struct.unpack("<QQQ", data[at + 8 : at + 32])
        ):
            return False
        at = data.find(NAMES, at + len(NAMES))
    return True


def _list_ends(data: Any, size: int, block: int, start: int) -> bool:
    """Whether the free blocks of a heap (place of the next, size) lead to the mark of the end."""
    seen: set[int] = set()
    while block != NO_BLOCK:
        at = start + block
        if block in seen or block + 16 > size or at + 16 > len(data):
            return False
        seen.add(block)
        (block,) = struct.unpack("<Q", data[at : at + 8])
    return True


def longest_claim(data: Any, name: bytes) -> int | None:
    """The longest text that attributes of this name refer to, None when one is damaged.

    Wherever HDF5 keeps an attribute, its message lies in one piece and holds the name.
    """
    longest, name = 0, name + b"\0"
    at = data.find(name)
    while at >= 0:
        found = _claim_of(data, at, len(name))
        if found is None:
            return None
        longest = max(longest, found)
        at = data.find(name, at + 1)
    return longest


def _claim_of(data: Any, at: int, size: int) -> int | None:
    """The longest text of the attribute message whose name stands at `at`; 0 when it is none."""
    head = _head_of(data, at, size)
    if head is None:
        return 0
    flags, type_size, space_size, padded = head
    type_at = at + (-(-size // 8) * 8 if padded else size)
    space_at = type_at + (-(-type_size // 8) * 8 if padded else type_size)
    values_at = space_at + (-(-space_size // 8) * 8 if padded else space_size)
    if flags:  # type or space lie elsewhere
        return None
    if type_at >= len(data) or data[type_at] & 15 != VARIABLE_LENGTH:
        return 0
    if values_at > len(data) or type_size < 16 or space_size < 4:
        return None
    (character,) = struct.unpack("<I", data[type_at + 12 : type_at + 16])
    count = _count_of(data, space_at, space_size)
    if character != 1 or count is None or values_at + 16 * count > len(data):
        return None
    references = np.frombuffer(data[values_at : values_at + 16 * count], "<u4")
    return int(references[::4].max(initial=0))


def _head_of(data: Any, at: int, size: int) -> tuple[int, int, int, bool] | None:
    """Flags, sizes of type and space, and whether parts are padded, of a message with this name."""
    for version, start in ((1, at - 8), (2, at - 8), (3, at - 9)):
        if start >= 0 and data[start] == version:
            flags, found, type_size, space_size = struct.unpack(
                "<BHHH", data[start + 1 : start + 8]
            )
            if found == size:
                return (0 if version == 1 else flags), type_size, space_size, version == 1
    return None


def _count_of(data: Any, at: int, size: int) -> int | None:
    """The elements that a data space message counts; None when it is damaged."""
    version, rank = data[at], data[at + 1]
    start = {1: 8, 2: 4}.get(version)
    if start is None or start + 8 * rank > size:
        return None
    if version == 2 and data[at + 3] == 2:  # the null space
        return 0
    sizes: tuple[int, ...] = struct.unpack(f"<{rank}Q", data[at + start : at + start + 8 * rank])
    return math.prod(sizes)
