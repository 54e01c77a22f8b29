"""Times of layers: `summary(timing=True)`, `debug.layer_times`, and a trace for Chrome."""

import json

import numpy as np
import pytest

import fastnn
from fastnn import layers as L


def model():
    inner = fastnn.Sequential([fastnn.Input((6,)), L.Dense(5, name="deep")], name="inside")
    return fastnn.Sequential(
        [fastnn.Input((4,)), L.Dense(6, name="first"), inner, L.BatchNormalization(name="norm")],
        name="net",
    )


def test_every_layer_has_its_time_within_that_of_its_model():
    x = np.ones((8, 4), np.float32)
    net = model()
    before = net.get_weights()
    times = {t.path: t for t in fastnn.debug.layer_times(net, x)}
    assert {p.rpartition("/")[2] for p in times} == {"first", "deep", "inside", "norm", "net"}
    whole = times["net"]
    for t in times.values():
        assert t.seconds > 0
        assert t.start >= whole.start
        assert t.start + t.seconds <= whole.start + whole.seconds
    for a, b in zip(before, net.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_trace_for_chrome(tmp_path):
    path = tmp_path / "trace.json"
    times = fastnn.profile(model(), np.ones((8, 4), np.float32), path)
    events = json.loads(path.read_text())["traceEvents"]
    spans = [e for e in events if e["ph"] == "X"]
    assert [e["name"] for e in spans] == [*(t.path for t in times), "net, compiled"]
    assert all(e["dur"] > 0 for e in spans)


def test_the_summary_has_a_column_of_times():
    lines = []
    model().summary(timing=True, print_fn=lines.append, line_length=100)
    text = "\n".join(lines)
    assert "Time" in text
    assert text.count(" us") + text.count(" ms") == 3
    plain = []
    model().summary(print_fn=plain.append)
    assert "Time" not in "\n".join(plain)


def test_what_cannot_be_timed():
    with pytest.raises(ValueError, match="hint:"):
        fastnn.Sequential([L.Dense(1)]).summary(timing=True) or fastnn.debug.layer_times(3, 4)
    with pytest.raises(fastnn.DataError, match="hint:"):
        fastnn.debug.layer_times(model(), np.ones((1, 4)), repeats=0)
