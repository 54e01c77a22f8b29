"""`fastnn inspect FILE`: what a model file of any kind holds."""

import json

import numpy as np
import pytest

import fastnn
from fastnn.cli import main
from fastnn.models import inspect_file


def model():
    made = fastnn.Sequential(
        [fastnn.Input((3,)), fastnn.layers.Dense(4, name="hidden"), fastnn.layers.Dense(1)],
        name="net",
    )
    made.compile("adam", "mse")
    made.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    return made


KERNELS = {(3, 4), (4,), (4, 1), (1,)}


@pytest.mark.parametrize("suffix", [".safetensors", ".keras", ".h5", ".onnx"])
def test_every_kind_of_model_file(suffix, tmp_path):
    if suffix in (".keras", ".h5"):
        pytest.importorskip("h5py", reason="needs the `keras-files` extra")
    if suffix == ".onnx":
        pytest.importorskip("onnx", reason="needs the `onnx` extra")
    path = tmp_path / f"m{suffix}"
    (model().export if suffix == ".onnx" else model().save)(path)
    found = inspect_file(path)
    assert found.size == path.stat().st_size
    assert {shape for _, _, shape, _ in found.arrays} == KERNELS
    assert {dtype for _, dtype, _, _ in found.arrays} == {"float32"}
    assert sum(size for *_, size in found.arrays) == 4 * (12 + 4 + 4 + 1)
    assert "net" in found.model
    assert len(found.inputs) == 1
    text = str(found)
    assert "84 bytes" in text
    assert ("MatMul" if suffix == ".onnx" else "hidden") in text
    assert (found.state > 0) == (suffix == ".safetensors")  # Adam's averages


def test_files_of_arrays_alone(tmp_path):
    fastnn.saving.save_weights(model(), tmp_path / "w.safetensors")
    found = inspect_file(tmp_path / "w.safetensors")
    assert found.model is None
    assert len(found.arrays) == 4


def test_weights_in_keras_format(tmp_path):
    pytest.importorskip("h5py", reason="needs the `keras-files` extra")
    model().save_weights(tmp_path / "m.weights.h5")
    found = inspect_file(tmp_path / "m.weights.h5")
    assert {shape for _, _, shape, _ in found.arrays} == KERNELS
    assert sum(size for *_, size in found.arrays) == 4 * (12 + 4 + 4 + 1)
    assert "vars/0" in str(found)
    assert found.state > 0  # Adam's averages


def test_the_command(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    model().save(path)
    assert main(["inspect", str(path)]) == 0
    assert "hidden/kernel" in capsys.readouterr().out
    assert main(["inspect", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layers"] == [["InputLayer", found["layers"][0][1]], ["Dense", "hidden"],
                               ["Dense", found["layers"][2][1]]]  # fmt: skip


def test_what_is_no_model_file(tmp_path, capsys):
    for data in (b"", b"PK\x03\x04 cut", b"\x89HDF\r\n\x1a\n cut", b"plain text", b"\xff" * 100):
        path = tmp_path / "m"
        path.write_bytes(data)
        with pytest.raises(fastnn.FormatError, match="hint:"):
            inspect_file(path)
        assert main(["inspect", str(path)]) == 1
        assert "error:" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "none")]) == 1
    assert main(["inspect", str(tmp_path)]) == 1


def test_load_model_names_what_reads_onnx(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(fastnn.FormatError, match=r"fastnn\.onnx\.load"):
        fastnn.load_model(tmp_path / "m.onnx")
