"""`fastnn gpu tune`: measured by order alone, kept for the adapter, read when a GPU is opened."""

import json

import numpy as np
import pytest

from fastnn import _core, cli, devices
from fastnn.devices import gpu as gpus, speeds, tuning
from fastnn.errors import DeviceError, GpuUnavailableError

TILES = _core.gpu_tiles()


@pytest.fixture
def cache(gpu, tmp_path, monkeypatch):
    """A cache folder of its own; the GPU forgets afterwards what it was told here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gpu, "limits", dict(gpu.limits))
    monkeypatch.setattr(tuning, "SECONDS", 0.0)
    monkeypatch.setattr(tuning, "TIMES", 1)
    return tmp_path / "fastnn" / "tiles.json"


def test_a_software_adapter_is_measured_only_when_told_to(gpu, cache, capsys):
    if not gpu.adapter.is_software:
        pytest.skip("this adapter is a card")
    with pytest.raises(GpuUnavailableError, match="--software"):
        devices.tune(gpu.name)
    assert cli.main(["gpu", "tune", "--device", gpu.name]) == 1
    assert "hint: --software" in capsys.readouterr().err
    assert not cache.exists()


def test_what_is_measured_is_kept_for_the_adapter_and_decides_tiles(gpu, cache, capsys):
    assert cli.main(["gpu", "tune", "--device", gpu.name, "--software", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == set(TILES)
    assert max(found.values()) > 0
    assert speeds.kept_speeds(gpu.adapter) == found
    assert speeds.prefixed(found).items() <= gpu.limits.items()
    # What a later process opens knows it as well.
    best = {tile: int(tile == "64x16x16") for tile in TILES}
    assert speeds.keep_speeds(gpu.adapter, best)
    opened = gpus.Gpu(gpu.adapter)
    program = json.loads(
        _core.gpu_row_program("matmul", [([500, 500], "float32")] * 2, {}, opened.limits)
    )
    assert "tiles of 64 by 16" in program["kernels"][0]["name"]
    assert cli.main(["gpu", "tune", "--device", gpu.name, "--software"]) == 0
    assert "GFLOP/s" in capsys.readouterr().out


def test_another_driver_has_speeds_of_its_own(gpu, cache):
    speeds.keep_speeds(gpu.adapter, dict.fromkeys(TILES, 5))
    other = devices.Adapter("gpu:0", gpu.adapter.name, "CPU", "Vulkan", "another", {}, (), None)
    assert speeds.kept_speeds(other) == {}
    speeds.keep_speeds(other, dict.fromkeys(TILES, 7))
    assert speeds.kept_speeds(gpu.adapter) == dict.fromkeys(TILES, 5)


def test_a_file_that_is_spoiled_or_foreign_is_ignored_with_a_warning(gpu, cache):
    assert speeds.kept_speeds(gpu.adapter) == {}  # none is no fault
    cache.parent.mkdir(parents=True)
    whole = dict.fromkeys(TILES, 5)

    def with_speeds(made):
        return json.dumps({"format": speeds.FORMAT, "adapters": {"a": made}})

    for text in (
        "", "{", "[]", '"text"', json.dumps({"a": 1}), json.dumps({"format": speeds.FORMAT}),
        with_speeds({}), with_speeds([1]), with_speeds({**whole, "9x9x9": 1}),
        with_speeds({**whole, TILES[0]: -1}), with_speeds({**whole, TILES[0]: 1.5}),
        with_speeds({**whole, TILES[0]: True}), with_speeds(dict.fromkeys(TILES, 0)),
    ):  # fmt: skip
        cache.write_text(text, encoding="utf-8")
        with pytest.warns(RuntimeWarning, match="is ignored"):
            assert speeds.kept_speeds(gpu.adapter) == {}
    cache.write_bytes(b"\xff\xfe")
    with pytest.warns(RuntimeWarning, match="is ignored"):
        assert speeds.kept_speeds(gpu.adapter) == {}


def test_a_tile_with_wrong_results_is_never_taken(gpu, cache, monkeypatch):
    real = tuning._submissions

    def spoiled(device, executable):
        took = real(device, executable)
        monkeypatch.setattr(tuning, "_submissions", real)  # the first tile alone
        buffer, size = executable.outputs[0]
        device.write(buffer, np.ones(size // 4, np.uint32))
        return took

    monkeypatch.setattr(tuning, "_submissions", spoiled)
    found = devices.tune(gpu.name, software=True)
    assert found[TILES[0]] == 0
    assert sum(speed > 0 for speed in found.values()) >= 3


def test_a_folder_that_cannot_be_written_is_told(gpu, cache, monkeypatch):
    cache.parent.parent.joinpath("fastnn").write_text("a file", encoding="utf-8")
    monkeypatch.setattr(tuning, "_speed", lambda *_: 1)
    with pytest.raises(DeviceError, match="cannot be written"):
        devices.tune(gpu.name, software=True)
