"""fastnn.datasets: what is shipped is right, what is read is checked, what is missing is said."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

import fastnn
from fastnn.datasets import digits, fashion_mnist, mnist

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path, rng):
    """Four small valid files, two of them compressed."""
    for i, name in enumerate(NAMES):
        n = 7 if i < 2 else 3
        high, shape = (256, (n, 28, 28)) if "images" in name else (10, (n,))
        data = idx(rng.integers(0, high, shape).astype(np.uint8))
        if i % 2:
            (tmp_path / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (tmp_path / name).write_bytes(data)
    return tmp_path


def test_digits_are_the_1797_images_of_the_uci_test_set():
    (x, y), (x_test, y_test) = digits.load_data()
    assert x.shape == (1437, 8, 8)
    assert x_test.shape == (360, 8, 8)
    assert y.shape == (1437,)
    assert y_test.shape == (360,)
    assert {a.dtype for a in (x, y, x_test, y_test)} == {np.dtype(np.uint8)}
    datasets = pytest.importorskip("sklearn.datasets")
    theirs = datasets.load_digits()
    assert np.array_equal(np.concatenate([x, x_test]), theirs.images)
    assert np.array_equal(np.concatenate([y, y_test]), theirs.target)


def test_mnist_reads_the_real_files(data_dir):
    (x, y), (x_test, y_test) = mnist.load_data(data_dir / "mnist")
    assert x.shape == (60000, 28, 28)
    assert x_test.shape == (10000, 28, 28)
    assert np.bincount(y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # The md5 sums under which the original files were published.
    assert hashlib.md5(idx(x)).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert hashlib.md5(idx(x_test)).hexdigest() == "2646ac647ad5339dbf082846283269ea"


def test_plain_and_compressed_files_read_alike(folder):
    (x, y), (x_test, y_test) = mnist.load_data(folder)
    assert x.shape == (7, 28, 28)
    assert y.shape == (7,)
    for name in NAMES:
        packed = folder / f"{name}.gz"
        if packed.exists():
            (folder / name).write_bytes(gzip.decompress(packed.read_bytes()))
            packed.unlink()
    (x2, y2), (x_test2, y_test2) = fashion_mnist.load_data(str(folder))
    for a, b in [(x, x2), (y, y2), (x_test, x_test2), (y_test, y_test2)]:
        assert np.array_equal(a, b)


def test_the_environment_folder_and_the_cache_are_searched(folder, tmp_path_factory, monkeypatch):
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty))
    monkeypatch.setenv("FASTNN_DATA", str(folder))
    assert mnist.load_data()[0][0].shape == (7, 28, 28)
    # Fashion-MNIST's files have the same names: MNIST's folder must not be taken for it.
    with pytest.raises(FileNotFoundError, match="fashion_mnist"):
        fashion_mnist.load_data()
    monkeypatch.delenv("FASTNN_DATA")
    (empty / "fastnn").mkdir()
    (empty / "fastnn" / "fashion_mnist").symlink_to(folder)
    assert fashion_mnist.load_data()[1][1].shape == (3,)


def test_missing_files_are_named_with_the_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTNN_DATA", str(tmp_path / "here"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError) as caught:
        mnist.load_data()
    text = str(caught.value)
    for part in (*NAMES, "here/mnist", "cache/fastnn/mnist", "never downloads", "hint:"):
        assert part in text


def spoil(folder, name, change):
    plain, packed = folder / name, folder / f"{name}.gz"
    data = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    packed.unlink(missing_ok=True)
    plain.write_bytes(change(data))


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        (NAMES[0], lambda d: b"", "is empty"),
        (NAMES[0], lambda d: b"junk" + d[4:], "starts with 6a756e6b"),
        (NAMES[1], lambda d: struct.pack(">I", 0x803) + d[4:], "starts with 00000803"),
        (NAMES[0], lambda d: d[:10], "ends inside its header"),
        (NAMES[0], lambda d: d[:-1], "only 5487 of the 5488 bytes"),
        (NAMES[0], lambda d: d + b"\0", "more than the 5488 bytes"),
        (NAMES[0], lambda d: d[:4] + b"\xff" * 4 + d[8:], "too short for the shape"),
        (NAMES[3], lambda d: d[:-1] + b"\x0a", "label 10 at position 2"),
        (NAMES[1], lambda d: struct.pack(">II", 0x801, 6) + d[8:-1], "6 labels for the 7"),
        (NAMES[2], lambda d: idx(np.zeros((3, 8, 8), np.uint8)), "8x8, not 28x28"),
        (NAMES[2], lambda d: gzip.compress(d)[:-20], "damaged gzip data"),
        (NAMES[2], lambda d: gzip.compress(d[:-1]), "only 2351 of the 2352 bytes"),
    ],
)
def test_a_damaged_file_is_a_format_error(folder, name, change, text):
    spoil(folder, name, change)
    with pytest.raises(fastnn.FormatError, match=text) as caught:
        mnist.load_data(folder)
    assert name in str(caught.value)


def test_no_mutation_of_a_file_gets_past_the_reader_unnoticed(folder, rng):
    """Any bytes give arrays of the promised form or a FormatError, never another exception."""
    for _ in range(300):
        name = NAMES[rng.integers(4)]
        path = folder / name if (folder / name).exists() else folder / f"{name}.gz"
        whole = path.read_bytes()
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            data[rng.integers(min(len(data), 40))] = rng.integers(256)
        path.write_bytes(data[: rng.integers(len(data) + 1)] if rng.random() < 0.3 else data)
        try:
            (x, y), _ = mnist.load_data(folder)
            assert len(x) == len(y)
            assert y.max() < 10
        except fastnn.FormatError:
            pass
        path.write_bytes(whole)
