"""HDF5 read with suspicion: only hard links, only plain data sets, only expected shapes.

The file's own words about sizes are compared with what the built model wants before anything is
allocated. Depends on h5py (the extra `keras-files`), `errors`. Attacks refused here:
CVE-2026-0897 (shape bombs), CVE-2026-1669 (external, soft and virtual links).
"""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from fastnn.base.atomic import uninterrupted
from fastnn.errors import FormatError
from fastnn.files.keras.hdf5_layout import free_lists_end, largest_object, longest_claim, mapped
from fastnn.serialization.file_budget import no_memory

__all__ = ["Reader", "h5py_or_hint"]

#: Deflate and shuffle; other filters run code that a file should not choose.
FILTERS = {1: "gzip", 2: "shuffle"}
MAX_TEXT = 64 << 20
_FAULTS = (OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, AttributeError)


def h5py_or_hint() -> Any:
    """The h5py module; ImportError with the command that installs it."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError(
            "Keras's files hold HDF5, which is read with h5py\n"
            '  hint: pip install "fastnn-rs[keras-files]"'
        ) from error
    return h5py


class Reader:
    """An open HDF5 file that gives arrays of expected shapes and lists of names.

    `source` is a path or the bytes of a file; at most `max_bytes` of arrays are read in all.
    """

    def __init__(self, source: str | bytes, label: str, max_bytes: int) -> None:
        self._h5py = h5py_or_hint()
        self.label = label
        self._left = max_bytes
        self._size = len(source) if isinstance(source, bytes) else os.path.getsize(source)
        self._source = source
        #: Groups by path: finding a weight opens each group on the way once.
        self._groups: dict[str, Any] = {}
        self._longest: dict[str, int] = {}
        self._look: Callable[[], None] = lambda: None
        with uninterrupted(), self._faults("opening it"):
            self._heap = self._checked_heaps()
            given = io.BytesIO(source) if isinstance(source, bytes) else source
            self._file = self._h5py.File(given, "r")

    def __enter__(self) -> Reader:
        # Also where objects of HDF5 die an interrupt would be lost; all of them do so in here.
        self._interrupts = uninterrupted()
        self._look = self._interrupts.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._groups.clear()
            with contextlib.suppress(*_FAULTS):
                self._file.close()
            del self._file
        finally:
            self._interrupts.__exit__(None, None, None)

    @contextlib.contextmanager
    def _faults(self, what: str) -> Iterator[None]:
        try:
            yield
        except (FormatError, MemoryError):
            raise
        except _FAULTS as error:
            if f"[Errno {errno.ENOMEM}]" in str(error):
                raise no_memory(self.label, what, error) from None
            raise FormatError(
                f"{self.label!r}: damaged HDF5 file, {what}: {error}\n"
                "  hint: write or copy the file again"
            ) from None

    def _refuse(self, what: str, hint: str) -> FormatError:
        return FormatError(f"{self.label!r}: {what}\n  hint: {hint}")

    # ---- walking -------------------------------------------------------------------------------

    def _step(self, group: Any, name: str, at: str) -> Any:
        """The object behind one hard link, None when there is no such link."""
        key = name.encode()
        if not group.id.links.exists(key):
            return None
        kind = group.id.links.get_info(key).type
        if kind != self._h5py.h5l.TYPE_HARD:
            raise self._refuse(
                f"{at!r} is a soft or external link", "links that leave the file are never followed"
            )
        return group[name]

    def _find(self, path: str) -> Any:
        here, at = self._file, ""
        for name in path.split("/"):
            if name in ("", "."):
                continue
            if not isinstance(here, self._h5py.Group):
                return None
            at = f"{at}/{name}"
            known = self._groups.get(at)
            here = self._step(here, name, path) if known is None else known
            if here is None:
                return None
            if known is None and isinstance(here, self._h5py.Group):
                self._groups[at] = here
        return here

    def names(self, path: str) -> list[str] | None:
        """What the group at `path` holds, None when there is no such group."""
        self._look()
        with self._faults(f"group {path!r}"):
            group = self._find(path)
            if not isinstance(group, self._h5py.Group):
                return None
            if len(group) > 1_000_000:
                raise self._refuse(f"group {path!r} has {len(group):,} members", "too many")
            return list(group)

    def holders(self) -> list[str]:
        """Paths of all groups named `vars` that hold something, found without following links."""
        found, waiting = [], [""]
        while waiting:
            at = waiting.pop()
            for name in self.names(at) or []:
                inner = f"{at}/{name}" if at else name
                if name == "vars" and self.names(inner):
                    found.append(inner)
                elif name != "vars" and isinstance(self._find(inner), self._h5py.Group):
                    waiting.append(inner)
            if len(waiting) > 1_000_000:
                raise self._refuse("it has over a million groups", "too many")
        return sorted(found)

    # ---- arrays --------------------------------------------------------------------------------

    def array(self, path: str, shape: Sequence[int] | None) -> np.ndarray[Any, Any]:
        """The data set at `path`, of exactly this shape (None: any shape within the budget)."""
        self._look()
        with self._faults(f"data set {path!r}"):
            data = self._find(path)
            if not isinstance(data, self._h5py.Dataset):
                raise self._refuse(f"no data set {path!r}", "was it written for another model?")
            self._check_dataset(data, path, shape)
            return np.asarray(data[()])

    def _check_dataset(self, data: Any, path: str, shape: Sequence[int] | None) -> None:
        where = f"data set {path!r}"
        if data.shape is None or (shape is not None and tuple(data.shape) != tuple(shape)):
            raise self._refuse(
                f"{where} has shape {data.shape}, the model wants {shape}",
                "was it written for another model?",
            )
        if data.dtype.kind not in "fiu" or data.dtype.itemsize not in (1, 2, 4, 8):
            raise self._refuse(f"{where} has type {data.dtype}", "weights are float or int arrays")
        size = math.prod(data.shape) * data.dtype.itemsize
        if size > self._left:
            raise self._refuse(
                f"{where} has {size:,} bytes, {self._left:,} may still be read",
                "raise max_bytes= if you trust the file",
            )
        self._left -= size
        self._check_storage(data, where, size)

    def _check_storage(self, data: Any, where: str, size: int) -> None:
        settings, h5d = data.id.get_create_plist(), self._h5py.h5d
        layout = settings.get_layout()
        if layout not in (h5d.CONTIGUOUS, h5d.CHUNKED, h5d.COMPACT):
            raise self._refuse(
                f"{where} is virtual: it shows other files", "write it as plain data"
            )
        if settings.get_external_count() > 0:
            raise self._refuse(f"{where} lies in another file", "write it as plain data")
        for i in range(settings.get_nfilters()):
            code = settings.get_filter(i)[0]
            if code not in FILTERS:
                raise self._refuse(f"{where} uses HDF5 filter {code}", "use gzip and shuffle only")
        stored = data.id.get_storage_size()
        if layout == h5d.CHUNKED:
            chunk = math.prod(settings.get_chunk()) * data.dtype.itemsize
            if chunk > size + (1 << 20) or size > 1100 * stored + (1 << 20):
                raise self._refuse(
                    f"{where} claims {size:,} bytes in chunks of {chunk:,}, {stored:,} are stored",
                    "write it again with ordinary chunks",
                )
        elif stored < size:
            raise self._refuse(
                f"{where} claims {size:,} bytes, {stored:,} are stored", "write the file again"
            )

    # ---- attributes ----------------------------------------------------------------------------

    def text(self, path: str, name: str) -> str | None:
        """The text attribute `name` of the group at `path`, None when absent."""
        with self._faults(f"attribute {name!r} of {path!r}"):
            group = self._find(path)
            if group is None or not self._has(group, name):
                return None
            if self._count(group, name) != 1:
                raise self._refuse(f"attribute {name!r} of {path!r} is not one text", "damaged?")
            return _decoded(group.attrs[name])

    def texts(self, path: str, name: str) -> list[str] | None:
        """The texts under attribute `name`, which Keras may have split; None when absent."""
        with self._faults(f"attribute {name!r} of {path!r}"):
            group = self._find(path)
            if group is None:
                return None
            keys = [name] if self._has(group, name) else []
            while not keys or keys[-1] != name:
                if not self._has(group, f"{name}{len(keys)}"):
                    break
                keys.append(f"{name}{len(keys)}")
            if not keys:
                return None
            found: list[str] = []
            for key in keys:
                if self._count(group, key):
                    found.extend(_decoded(x) for x in np.atleast_1d(group.attrs[key]))
            return found

    def _checked_heaps(self) -> int:
        """The size of the longest text, from the file's bytes; HDF5 may walk bad heaps for ever."""
        with mapped(self._source) as data:
            longest = largest_object(data)
            if longest is None:
                raise self._refuse("its global heap is damaged", "write or copy the file again")
            if not free_lists_end(data):
                raise self._refuse("a local heap is damaged", "write or copy the file again")
        return longest

    def _longest_text(self, name: str) -> int:
        """Bytes of the longest text that attributes of this name can hold, from the file's bytes.

        HDF5 takes the memory that a reference to a text claims before it looks at the text.
        """
        if name not in self._longest:
            if self._file.id.get_create_plist().get_sizes() != (8, 8):
                raise self._refuse("addresses have another size than 8 bytes", "write it again")
            with mapped(self._source) as data:
                claimed = longest_claim(data, name.encode())
            if claimed is None or claimed > self._heap:
                raise self._refuse("its global heap is damaged", "write or copy the file again")
            self._longest[name] = self._heap
        return self._longest[name]

    def _has(self, group: Any, name: str) -> bool:
        return bool(self._h5py.h5a.exists(group.id, name.encode()))

    def _count(self, group: Any, name: str) -> int:
        """Elements of an attribute whose size is within bounds, counted before it is read."""
        attribute = self._h5py.h5a.open(group.id, name.encode())
        count = math.prod(attribute.shape or ())
        if count == 0:
            return 0
        kind = attribute.get_type()
        if kind.committed():
            raise self._refuse(f"attribute {name!r} has a named type", "write it as plain text")
        variable = kind.get_class() == self._h5py.h5t.STRING and kind.is_variable_str()
        if kind.get_class() != self._h5py.h5t.STRING:
            raise self._refuse(f"attribute {name!r} holds no text", "damaged?")
        each = self._longest_text(name) if variable else kind.get_size()
        limit = MAX_TEXT + (8 * self._size if variable else 0)
        if count > 1_000_000 or count * each > limit:
            raise self._refuse(
                f"attribute {name!r} may hold {count:,} texts of {each:,} bytes",
                "names of layers are short",
            )
        return count


def _decoded(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not text")
