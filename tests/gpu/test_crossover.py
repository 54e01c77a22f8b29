"""`device="auto"`: measured once, kept in the cache folder, never software."""

import json

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.devices import crossover, hardware


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(crossover, "_known", {})
    return tmp_path / "fastnn" / "devices.json"


def small():
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dropout(0.5), layers.Dense(1)])
    model.compile("adam", "mse", device="auto")
    return model, np.ones((64, 4), "f"), np.ones((64, 1), "f")


def test_a_software_adapter_is_never_chosen(gpu, cache, capsys):
    model, x, y = small()
    model.fit(x, y, verbose=2)
    if gpu.adapter.is_software:
        assert "device cpu: there is no GPU but software" in capsys.readouterr().out
        assert not cache.exists()


@pytest.mark.parametrize(("times", "device"), [((1.0, 3.0), "gpu:0"), ((3.0, 1.0), "cpu")])
def test_the_faster_is_chosen_told_and_kept_and_no_step_is_counted(
    gpu, cache, capsys, monkeypatch, times, device
):
    monkeypatch.setattr(hardware.Adapter, "is_software", property(lambda self: False))
    steps, clock = [], iter(times)

    def seconds(step):
        step()
        steps.append(step)
        return next(clock)

    monkeypatch.setattr(crossover, "_seconds", seconds)
    model, x, y = small()
    before = [np.array(w) for w in model.get_weights()]
    model.fit(x, y, batch_size=16, epochs=1, verbose=2)
    said = capsys.readouterr().out
    assert f"device {device}: a step takes {1000 * times[0]:.2f} ms on " in said
    assert len(steps) == 2
    assert int(model.optimizer.iterations.numpy()) == 4
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    (kept,) = json.loads(cache.read_text(encoding="utf-8")).values()
    assert kept[0] == device
    monkeypatch.setattr(crossover, "_known", {})
    model, x, y = small()
    model.fit(x, y, batch_size=16, epochs=1, verbose=0)
    assert len(steps) == 2


def test_a_cache_file_that_is_spoiled_counts_as_empty(cache):
    cache.parent.mkdir(parents=True)
    for text in ("", "[]", "{", json.dumps({"a": 1, "b": ["cpu", 3], "c": ["cpu", "why"]})):
        cache.write_text(text, encoding="utf-8")
        assert set(crossover._read()) <= {"c"}
