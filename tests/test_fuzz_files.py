"""Mutated model files give FormatError or a working model: no crash, no other exception.

A quick share of what rust/fastnn's own mutation test runs; FASTNN_FUZZ sets the count.
"""

import json
import os
import struct

import numpy as np
import pytest

import fastnn
from fastnn import layers

COUNT = int(os.environ.get("FASTNN_FUZZ", "1500"))


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


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """One or a few random edits, most of them in the header, where the structure is."""
    out = bytearray(data)
    header = 8 + struct.unpack("<Q", data[:8])[0]
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, min(len(out), header if rng.random() < 0.9 else len(out)) or 1))
        kind = rng.integers(6)
        if kind == 0:
            out[at : at + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            del out[at : at + int(rng.integers(1, 40))]
        elif kind == 2:
            out[at:at] = bytes(rng.integers(32, 127, int(rng.integers(1, 20))).astype(np.uint8))
        elif kind == 3:
            del out[at:]
        elif kind == 4:
            end = at + int(rng.integers(1, 60))
            out[at:at] = out[at:end]
        else:
            digits = [i for i in range(at, min(at + 400, header, len(out))) if 48 <= out[i] < 58]
            if digits:
                out[digits[0] : digits[0] + 1] = str(rng.integers(0, 2**62)).encode()
        if not out:
            break
    return bytes(out)


def test_a_mutated_model_file_is_a_format_error_or_a_model(whole, tmp_path, rng):
    path = tmp_path / "mutant.safetensors"
    refused = 0
    for _ in range(COUNT):
        path.write_bytes(mutate(whole, rng))
        try:
            model = fastnn.models.load_model(path)
            model.predict(np.ones((2, *model.input_shape[1:]), np.float32), verbose=0)
        except (fastnn.FormatError, fastnn.ShapeError, MemoryError):
            refused += 1
    assert refused > COUNT // 2


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
