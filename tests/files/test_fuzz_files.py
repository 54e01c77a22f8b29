"""Mutated model files of every format give FormatError or a working model.

FASTNN_FUZZ sets how many mutants all kinds of files have together: 12,000 here, 1,000,000 before a
release (`FASTNN_FUZZ=1000000 pytest -s tests/files/test_fuzz_files.py -k mutated_files`; an hour).
"""

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

import fastnn
import fuzz_files
from fastnn import layers

COUNT = int(os.environ.get("FASTNN_FUZZ", "12000"))
#: What share of the mutants a kind has; HDF5 takes the most time.
SHARES = {"safetensors": 0.66, "keras": 0.05, "config": 0.05, "weights": 0.12, "legacy": 0.12}
STEP = 10_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> bytes:
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)),
            layers.Dense(5, activation="relu", name="first"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.ones((8, 4), np.float32)
    model.fit(x, np.zeros(8, np.int64), epochs=1, verbose=0)
    path = tmp_path_factory.mktemp("fuzz") / "model.safetensors"
    model.save(path)
    return path.read_bytes()


@pytest.fixture(scope="session")
def originals(tmp_path_factory):
    pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')
    folder = tmp_path_factory.mktemp("originals")
    fuzz_files.write_originals(folder)
    return folder


@pytest.mark.timeout(0)
@pytest.mark.parametrize("kind", SHARES)
def test_mutated_files_load_or_are_refused(originals, kind):
    """No crash, no other exception, 2 s and 512 MB at most; processes of their own do the work."""
    total, loaded = int(COUNT * SHARES[kind]), 0
    for first in range(0, total, STEP):
        count = min(STEP, total - first)
        done = subprocess.run(
            [sys.executable, fuzz_files.__file__, kind, str(first), str(count), str(originals)],
            capture_output=True, text=True, timeout=600 + count, check=False,
        )  # fmt: skip
        at = (originals / f"{kind}.seed").read_text().strip()
        assert done.returncode == 0, f"{kind} mutant {at}: {done.returncode}\n{done.stderr}"
        report = json.loads(done.stdout)
        assert report["peak_mb"] < fuzz_files.MEGABYTES
        loaded += report["loaded"]
        print(f"{kind}: {first + count:,} of {total:,}, {loaded:,} loaded, {report}", flush=True)
    assert 0 < loaded < total


def parts(data: bytes) -> tuple[dict, bytes]:
    size = struct.unpack("<Q", data[:8])[0]
    return json.loads(data[8 : 8 + size]), data[8 + size :]


def rebuild(header: dict, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def first_tensor(header: dict) -> dict:
    return next(v for k, v in header.items() if k != "__metadata__")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: b"",
        lambda d: b"junk",
        lambda d: b"PK\x03\x04" + d,
        lambda d: d[: len(d) // 2],
        lambda d: d[:-1],
        lambda d: d + b"\0",
        lambda d: struct.pack("<Q", 2**63) + d[8:],
        lambda d: struct.pack("<Q", 2) + b"[]",
        lambda d: struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
    ids=["empty", "junk", "zip", "half", "short", "long", "header-bomb", "list", "deep"],
)
def test_a_foreign_or_cut_file_is_named(whole, tmp_path, change):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(change(whole))
    with pytest.raises(fastnn.FormatError, match=r"broken\.safetensors"):
        fastnn.models.load_model(path)


def test_a_declared_size_is_checked_before_memory_is_asked_for(whole, tmp_path):
    header, body = parts(whole)
    first_tensor(header)["shape"] = [2**40, 2**20]
    path = tmp_path / "bomb.safetensors"
    path.write_bytes(rebuild(header, body))
    with pytest.raises(fastnn.FormatError):
        fastnn.models.load_model(path)


def test_a_class_outside_the_table_is_refused_not_imported(whole, tmp_path, run_python):
    header, body = parts(whole)
    metadata = header["__metadata__"]
    (key,) = [k for k, v in metadata.items() if "BatchNormalization" in v and "class_name" in v]
    metadata[key] = metadata[key].replace("BatchNormalization", "os.system")
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(rebuild(header, body))
    with pytest.raises((fastnn.FormatError, ValueError), match="system"):
        fastnn.models.load_model(path)
