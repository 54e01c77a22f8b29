"""A saved model predicts in Rust, without Python, to the same bits."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fastnn

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_rust_example_predicts_the_same_bits_as_python(tmp_path: Path) -> None:
    cargo = shutil.which("cargo")
    if cargo is None or not (ROOT / "rust/fastnn/examples/predict.rs").is_file():
        pytest.skip("needs cargo and the source tree")
    fastnn.utils.set_random_seed(3)
    model = fastnn.Sequential(
        [
            fastnn.Input((12,)),
            fastnn.layers.Normalization(mean=0.5, variance=2.0),
            fastnn.layers.Dense(33, activation="relu"),
            fastnn.layers.BatchNormalization(),
            fastnn.layers.Dense(7, activation="tanh"),
            fastnn.layers.Dropout(0.5),
            fastnn.layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(50, 12)).astype(np.float32)
    model.fit(x, np.eye(3, dtype=np.float32)[np.arange(50) % 3], epochs=2, verbose=0)
    model.save(tmp_path / "model.safetensors")
    x.tofile(tmp_path / "rows.f32")
    command = [cargo, "run", "--quiet", "--package", "fastnn", "--example", "predict", "--"]
    files = [str(tmp_path / name) for name in ("model.safetensors", "rows.f32", "out.f32")]
    done = subprocess.run(command + files, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    ours = np.fromfile(tmp_path / "out.f32", np.float32).reshape(50, 3)
    assert ours.tobytes() == model.predict(x, verbose=0).tobytes()


def test_the_header_for_c_has_every_call_of_the_crate():
    """The checked-in header is what cbindgen made of the source: names and numbers of arguments."""
    crate = ROOT / "rust" / "fastnn-capi"
    source = (crate / "src" / "lib.rs").read_text(encoding="utf-8")
    header = (crate / "include" / "fastnn.h").read_text(encoding="utf-8")
    in_rust = re.findall(r'extern "C" fn (\w+)\((.*?)\)(?: ->| \{)', source, re.S)
    in_c = re.findall(r"^[\w ]+[ *](fastnn_\w+)\((.*?)\);", header, re.S | re.M)
    counts = {name: len([a for a in given.split(",") if a.strip()]) for name, given in in_rust}
    assert len(counts) >= 11
    found = {n: 0 if a == "void" else len(a.split(",")) for n, a in in_c}
    assert found == counts
    statuses = re.findall(r"^    (FASTNN_\w+) = (\d+),", source, re.M)
    statuses += re.findall(
        r"^    (FASTNN_\w+) = (\d+),", (crate / "src" / "guard.rs").read_text("utf-8"), re.M
    )
    assert statuses
    assert all(f"{name} = {number}," in header for name, number in statuses)
