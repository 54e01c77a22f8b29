"""`utils.get_file`: files of the cache, checked and unpacked; nothing is downloaded."""

import hashlib
import io
import os
import pathlib
import tarfile
import zipfile

import pytest

import fastnn
from fastnn.utils import get_file

TEXT = b"words of a file"


def packed(path, kind, members):
    """An archive of these files."""
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as file:
            for name, body in members.items():
                file.writestr(name, body)
        return path
    with tarfile.open(path, f"w:{kind}") as file:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            file.addfile(info, io.BytesIO(body))
    return path


def test_a_file_on_the_net_is_found_in_the_cache_or_the_error_says_where_to_put_it(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    target = tmp_path / "datasets" / "a b.txt"
    with pytest.raises(fastnn.DataError, match="nothing is downloaded") as caught:
        get_file(origin="https://example.org/x/a%20b.txt?v=1")
    assert f"put it at {target}" in str(caught.value)
    target.parent.mkdir()
    target.write_bytes(TEXT)
    assert get_file(origin="https://example.org/x/a%20b.txt?v=1") == str(target)
    assert get_file("a b.txt", "https://example.org/other") == str(target)
    with pytest.raises(fastnn.DataError, match="not fetched again"):
        get_file("a b.txt", "https://example.org/other", force_download=True)


@pytest.mark.parametrize("as_address", [False, True])
def test_a_file_of_this_machine_is_copied_into_the_cache(as_address, tmp_path):
    source = tmp_path / "from me.txt"
    source.write_bytes(TEXT)
    origin = source.as_uri() if as_address else source
    path = get_file("to.txt", origin, cache_dir=tmp_path / "cache", cache_subdir="mine")
    assert path == str(tmp_path / "cache" / "mine" / "to.txt")
    assert pathlib.Path(path).read_bytes() == TEXT
    assert os.listdir(tmp_path / "cache" / "mine") == ["to.txt"]
    source.write_bytes(b"new")
    assert pathlib.Path(get_file("to.txt", origin, cache_dir=tmp_path / "cache",
                                 cache_subdir="mine")).read_bytes() == TEXT  # fmt: skip
    get_file("to.txt", origin, cache_dir=tmp_path / "cache", cache_subdir="mine",
             force_download=True)  # fmt: skip
    assert pathlib.Path(path).read_bytes() == b"new"
    with pytest.raises(fastnn.DataError, match="there is no file"):
        get_file(origin=tmp_path / "none.txt", cache_dir=tmp_path)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_hashes_are_compared(algorithm, tmp_path):
    target = tmp_path / "datasets" / "a.txt"
    target.parent.mkdir()
    target.write_bytes(TEXT)
    right = hashlib.new(algorithm, TEXT).hexdigest()
    address = "https://example.org/a.txt"
    for settings in ({}, {"hash_algorithm": algorithm}):
        found = get_file(origin=address, file_hash=right, cache_dir=tmp_path, **settings)
        assert found == str(target)
    wrong = right[::-1]
    with pytest.raises(fastnn.DataError, match=f"corrupted file.*{right}.*wanted {wrong}"):
        get_file(origin=address, file_hash=wrong, cache_dir=tmp_path)
    if algorithm == "md5":
        assert get_file(origin=address, md5_hash=right.upper(), cache_dir=tmp_path)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", ""])
def test_archives_are_unpacked_under_the_names_that_keras_gives(kind, tmp_path):
    source = packed(tmp_path / "data.bin", kind, {"d/a.txt": TEXT, "b.txt": b"b"})
    cache = tmp_path / "cache"
    folder = pathlib.Path(get_file(origin=source, extract=True, cache_dir=cache))
    assert folder == cache / "datasets" / "data.bin"
    assert (folder / "d" / "a.txt").read_bytes() == TEXT
    assert (cache / "datasets" / "data.bin_archive").is_file()
    folder = get_file("set.tgz", source, extract=True, cache_dir=cache)
    assert folder == str(cache / "datasets" / "set_extracted")
    folder = pathlib.Path(get_file("set", source, extract=True, cache_dir=cache))
    assert folder == cache / "datasets" / "set"
    assert (folder / "b.txt").read_bytes() == b"b"
    (folder / "mine.txt").write_bytes(b"")  # what is unpacked is not unpacked again
    assert get_file("set", source, extract=True, cache_dir=cache) == str(folder)
    assert sorted(os.listdir(folder)) == ["b.txt", "d", "mine.txt"]
    assert not [n for n in os.listdir(cache / "datasets") if n.startswith(".")]


@pytest.mark.parametrize("kind", ["zip", "gz"])
@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt"])
def test_no_archive_writes_outside_its_folder(kind, name, tmp_path):
    source = packed(tmp_path / "bad", kind, {name: TEXT})
    with pytest.raises(fastnn.DataError, match="outside the folder"):
        get_file(origin=source, extract=True, cache_dir=tmp_path / "cache")
    assert not list(tmp_path.rglob("out.txt"))


def test_links_in_archives_and_other_files_are_refused(tmp_path):
    with tarfile.open(tmp_path / "link.tar", "w") as file:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(fastnn.DataError, match="is a link"):
        get_file(origin=tmp_path / "link.tar", extract=True, cache_dir=tmp_path)
    (tmp_path / "plain.txt").write_bytes(TEXT)
    with pytest.raises(fastnn.DataError, match="no archive"):
        get_file(origin=tmp_path / "plain.txt", untar=True, cache_dir=tmp_path)


@pytest.mark.parametrize(
    ("says", "settings"),
    [
        ('specify the "origin"', {}),
        ("no longer accepted", {"fname": "a/b.txt", "origin": "https://example.org/a"}),
        ("Can't parse the file name", {"origin": "https://example.org/"}),
    ],
)
def test_names_that_cannot_be_used_are_refused(says, settings, tmp_path):
    with pytest.raises(ValueError, match=says):
        get_file(cache_dir=tmp_path, **settings)
