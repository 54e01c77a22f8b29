"""`get_file`: files of the cache that Keras keeps, checked and unpacked. Nothing is downloaded.

Depends on the standard library.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from fastnn.base.arguments import hints_arguments
from fastnn.errors import DataError

__all__ = ["get_file"]


@hints_arguments
def get_file(
    fname: Any = None,
    origin: Any = None,
    untar: bool = False,
    md5_hash: str | None = None,
    file_hash: str | None = None,
    cache_subdir: str = "datasets",
    hash_algorithm: str = "auto",
    extract: bool = False,
    archive_format: Any = "auto",
    cache_dir: Any = None,
    force_download: bool = False,
) -> str:
    """The path of a file in the cache, checked and unpacked as asked. Nothing is downloaded.

    The cache is Keras's, with its names, so what Keras has fetched is found. A file that `origin`
    names on this machine is copied there; one on the net must lie there already, or an error says
    where to put it.

    Args:
        fname: The name in the cache; None: that of `origin`. With `extract`, a name without an
            ending is that of the folder.
        origin: Where the file is from: a path, or an address `file://…` or `https://…`.
        untar: As `extract`, for tar archives.
        md5_hash: As `file_hash`, by MD5.
        file_hash: The hash that the file must have, in hexadecimal.
        cache_subdir: The folder in the cache, or an absolute path.
        hash_algorithm: `"sha256"`, `"md5"`, or `"auto"`, by the length of the hash.
        extract: Whether to unpack an archive, and give the path of the folder.
        archive_format: `"zip"`, `"tar"` (packed or not), `"auto"` for both, or a list.
        cache_dir: The cache; None: `$KERAS_HOME`, or `~/.keras`.
        force_download: Whether a file on this machine is copied again.

    Returns:
        The path as text: of the file, or of the folder with what was in it.

    Raises:
        DataError: The file is not there, has another hash, or is no archive.
        ValueError: A name or a setting cannot be used.

    Example:
        >>> import pathlib, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> _ = (folder / "words.txt").write_text("one two")
        >>> path = fastnn.utils.get_file(origin=folder / "words.txt", cache_dir=folder / "cache")
        >>> pathlib.Path(path).read_text(), pathlib.Path(path).parent.name
        ('one two', 'datasets')
    """
    if origin is None:
        raise ValueError(
            'Please specify the "origin" argument (URL of the file to download).\n'
            "  hint: get_file('a.txt', origin='https://…'), or the path of a file"
        )
    origin = os.fsdecode(origin)
    name = os.fsdecode(fname) if fname else ""
    if os.sep in name or "/" in name:
        raise ValueError(
            f"Paths are no longer accepted as the `fname` argument. Received: fname={name}\n"
            "  hint: cache_dir and cache_subdir say in which folder it is"
        )
    short = name or os.path.basename(unquote(urlsplit(origin).path)) or os.path.basename(origin)
    if not short:
        raise ValueError(
            f"Can't parse the file name from the origin provided: {origin!r}\n  hint: fname='a.txt'"
        )
    base = Path(cache_dir or os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    folder = base / cache_subdir
    target, unpacked = folder / short, folder / short
    if extract or untar:
        if name and "." in name:
            unpacked = folder / f"{name.split('.')[0]}_extracted"
        else:
            target = folder / f"{short}_archive"
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    local = _local(origin)
    if local is not None and (force_download or not _fits(target, file_hash, hash_algorithm)):
        _copied(local, target, file_hash, hash_algorithm)
    elif force_download and local is None:
        raise DataError(
            f"get_file: {origin} is not fetched again: nothing is downloaded\n"
            f"  hint: leave force_download out, and keep the file at {target}"
        )
    elif not target.exists():
        raise DataError(
            f"get_file: {origin} is not in the cache, and nothing is downloaded\n"
            f"  hint: fetch it with another program, and put it at {target}"
        )
    elif not _fits(target, file_hash, hash_algorithm):
        raise _other_hash(target, file_hash, hash_algorithm)
    if not (extract or untar):
        return str(target)
    _unpacked(target, unpacked, "tar" if untar and not extract else archive_format)
    return str(unpacked)


def _local(origin: str) -> Path | None:
    """The file of this machine that an origin names; None for an address on the net."""
    parts = urlsplit(origin)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    if len(parts.scheme) > 1 and "://" in origin:  # one letter is a drive
        return None
    return Path(origin).expanduser()


def _hash(path: Path, wanted: str, algorithm: str) -> str:
    if algorithm not in ("auto", "md5", "sha256"):
        raise ValueError(
            f"get_file: hash_algorithm is {algorithm!r}\n  hint: 'sha256', 'md5' or 'auto'"
        )
    by_length = "sha256" if len(wanted) == 64 else "md5"
    with path.open("rb") as file:
        return hashlib.file_digest(
            file, by_length if algorithm == "auto" else algorithm
        ).hexdigest()


def _fits(path: Path, wanted: str | None, algorithm: str) -> bool:
    """Whether a file is there and has the hash, if one is wanted."""
    if not path.exists():
        return False
    return wanted is None or _hash(path, wanted, algorithm) == wanted.lower()


def _other_hash(path: Path, wanted: str | None, algorithm: str) -> DataError:
    return DataError(
        f"get_file: Incomplete or corrupted file detected: {path} has the hash "
        f"{_hash(path, wanted or '', algorithm)}, wanted {wanted}\n"
        "  hint: fetch it again, and compare it with what its publisher says"
    )


def _copied(source: Path, target: Path, wanted: str | None, algorithm: str) -> None:
    """Copies a file into the cache whole, or not at all."""
    if not source.is_file():
        raise DataError(
            f"get_file: there is no file {str(source)!r}\n"
            f"  hint: the path is looked up from {os.getcwd()!r}"
        )
    if not _fits(source, wanted, algorithm):
        raise _other_hash(source, wanted, algorithm)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.samefile(source):
        return
    number, beside = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    os.close(number)
    try:
        shutil.copyfile(source, beside)
        os.replace(beside, target)
    except BaseException:
        os.unlink(beside)
        raise


def _unpacked(archive: Path, folder: Path, formats: Any) -> None:
    """Unpacks an archive into a folder, unless that is newer."""
    if folder.is_dir() and folder.stat().st_mtime_ns >= archive.stat().st_mtime_ns:
        return
    kinds = ("tar", "zip") if formats == "auto" else formats or ()
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    if "zip" in kinds and zipfile.is_zipfile(archive):
        read: Any = _unzip
    elif "tar" in kinds and tarfile.is_tarfile(archive):
        read = _untar
    else:
        raise DataError(
            f"get_file: {archive} is no archive of the formats {kinds}\n"
            "  hint: extract=False gives the file as it is"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Into a folder beside it first, so that one that is there is whole.
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        read(archive, beside)
        if folder.exists():
            shutil.copytree(beside, folder, dirs_exist_ok=True)
            os.utime(folder)
        else:
            os.replace(beside, folder)
            folder.chmod(0o755)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"get_file: {archive} cannot be unpacked: {error}\n  hint: fetch it again"
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _outside(archive: Path, name: str) -> DataError:
    return DataError(
        f"get_file: {archive} holds {name!r}, which lies outside the folder or is a link\n"
        "  hint: do not trust this archive; extract=False gives it as it is"
    )


def _checked(archive: Path, names: Iterator[str]) -> None:
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0]:
            raise _outside(archive, name)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        _checked(archive, iter(file.namelist()))
        file.extractall(folder)


def _untar(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as file:
        members = file.getmembers()
        _checked(archive, (m.name for m in members))
        for member in members:
            if not (member.isfile() or member.isdir()):
                raise _outside(archive, member.name)
            member.mode = 0o755 if member.isdir() else 0o644
        file.extractall(folder, members)
