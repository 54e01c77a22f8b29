"""Reprs and notebook displays tell what happened; TensorBoard files hold it."""

import re
import struct
import sys
import types
from xml.etree import ElementTree

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.callbacks import History, TensorBoard
from fastnn.display import charts
from fastnn.display.notebook import NotebookDisplay

X = np.arange(8.0)[:, None] / 8


@pytest.fixture
def model():
    made = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1, name="out")])
    made.set_weights([np.zeros((1, 1)), np.ones(1)])
    made.compile("sgd", "mse", metrics=["mae"])
    return made


def run(**logs):
    history = History()
    history.epoch = list(range(len(next(iter(logs.values()), []))))
    history.history = logs
    return history


# ---- history ------------------------------------------------------------------------------------


def test_a_history_shows_last_values_and_their_course():
    shown = repr(run(loss=[4.0, 2.0, 1.0, 0.5], val_loss=[4.0, 3.0, 3.5, 0.0]))
    assert shown == "<History of 4 epochs: loss 0.5 █▄▂▁, val_loss 0 █▆▇▁>"
    assert repr(History()) == "<History of 0 epochs>"
    assert repr(run(loss=[float("nan")])) == "<History of 1 epoch: loss nan ×>"


def test_values_that_are_no_single_numbers_are_left_out():
    history = run(loss=[2.0, 1.0], f1=[np.zeros(3), np.ones(3)])
    assert repr(history) == "<History of 2 epochs: loss 1 █▁>"
    assert "f1" not in history._repr_html_()


def test_sparklines_are_short_keep_the_end_and_stay_flat_when_nothing_changes():
    assert charts.sparkline([1.0, 1.0, 1.0]) == "▁▁▁"
    long = charts.sparkline([0.0] * 999 + [1.0])
    assert len(long) == 12
    assert long[-1] == "█"


def test_a_history_is_a_chart_per_metric_and_a_table_in_notebooks():
    html = run(
        loss=[4.0, 2.0, float("nan"), 1.0], val_loss=[3.0, 3.0, 3.0, 5.0], mae=[1.0] * 4
    )._repr_html_()
    root = ElementTree.fromstring(f"<root>{html}</root>")
    space = "{http://www.w3.org/2000/svg}"
    svgs = list(root.iter(f"{space}svg"))
    assert [s.get("aria-label") for s in svgs] == ["loss from 1 to 5", "mae from 1 to 1"]
    solid, dashed = svgs[0].iter(f"{space}polyline")
    assert dashed.get("stroke-dasharray")
    points = [tuple(map(float, p.split(","))) for p in solid.get("points").split()]
    assert len(points) == 3  # NaN has no place
    assert points[0][1] < points[1][1] < points[2][1]  # it falls, and y points down
    rows = [[c.text or "" for c in row] for row in root.find("table")]
    assert rows[0] == ["", "first", "last", "lowest", "highest"]
    assert rows[1] == ["loss", "4", "1", "1", "4"]
    assert History()._repr_html_() == "&lt;History of 0 epochs&gt;"


# ---- notebooks ----------------------------------------------------------------------------------


@pytest.fixture
def notebook(monkeypatch):
    """A stand-in for IPython inside a kernel; gives the list of everything shown."""
    shown = []

    class Handle:
        def update(self, content):
            shown.append(("update", content))

    def display(content, display_id=None):
        assert display_id is True
        shown.append(("new", content))
        return Handle()

    package = types.ModuleType("IPython")
    package.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    part = types.ModuleType("IPython.display")
    part.display, part.HTML = display, lambda text: text
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    return shown


def test_a_fit_in_a_notebook_is_one_display(model, notebook, capsys):
    model.fit(X, X, epochs=30, batch_size=2)
    assert capsys.readouterr().out == ""
    assert [kind for kind, _ in notebook].count("new") == 1
    lines = ElementTree.fromstring(notebook[-1][1]).text.splitlines()
    assert lines[0] == "… 10 more epochs"
    assert len(lines) == 21
    assert re.fullmatch(r"Epoch 30/30 - 4/4 - 0s - \S+/step - loss: \S+ - mae: \S+", lines[-1])


def test_an_interrupted_fit_shows_the_finished_epochs(model, notebook):
    class Stop(fastnn.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, X, epochs=9, callbacks=[Stop()])
    text = ElementTree.fromstring(notebook[-1][1]).text
    assert "Epoch 2/9" in text
    assert "Epoch 3/9" not in text


def test_the_running_epoch_is_a_bar_and_colours_obey_no_color(notebook, monkeypatch):
    for value, coloured in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", value)
        shown = NotebookDisplay(3, 16, interval=0.0)
        shown.begin(0)
        shown.during(0, 8, {"loss": 12.399})
        root = ElementTree.fromstring(notebook[-1][1])
        bar = root.find("progress")
        assert (bar.get("value"), bar.get("max")) == ("8", "16")
        assert ("style" in bar.attrib) is coloured
        assert re.fullmatch(r" Epoch 1/3 - 8/16 · 0s left - loss: 12.3990", bar.tail)


def test_redraws_are_limited_and_the_last_state_is_always_drawn(notebook):
    shown = NotebookDisplay(1000, 1, interval=3600.0)
    for epoch in range(1000):
        shown.begin(epoch)
        shown.end(epoch, 1, {"loss": 1.0}, 0.001)
    assert len(notebook) == 1
    shown.close()
    assert len(notebook) == 2
    assert "Epoch 1000/1000" in notebook[-1][1]
    shown.close()
    assert len(notebook) == 2


def test_evaluate_in_a_notebook_is_a_line_of_html(model, notebook, capsys):
    model.evaluate(X, X)
    model.fit(X, X, verbose=0)
    assert capsys.readouterr().out == ""
    ((kind, html),) = notebook
    assert kind == "new"
    assert re.fullmatch(r"<pre>1/1 - 0s - \S+ - loss: \S+ - mae: \S+</pre>", html)


def test_ipython_on_a_terminal_is_no_notebook(monkeypatch, model, capsys):
    package = types.ModuleType("IPython")
    package.get_ipython = lambda: types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", package)
    model.fit(X, X)
    assert capsys.readouterr().out.startswith("Epoch 1/1 - 1/1 - 0s")


# ---- TensorBoard --------------------------------------------------------------------------------


def events(folder):
    """Scalars by name and the names of the rest, read from the TFRecord framing of event files."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2", reason="needs [tensorboard]")
    scalars, others = {}, []
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = proto.Event.FromString(data[at + 12 : at + 12 + size])
            at += 12 + size + 4
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    scalars.setdefault(value.tag, {})[event.step] = value.simple_value
                else:
                    others.append(value.tag)
    return scalars, others


def test_tensorboard_files_hold_the_history(model, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs the extra [tensorboard]")
    board = TensorBoard(tmp_path, histogram_freq=2)
    history = model.fit(
        X, X, epochs=3, batch_size=4, validation_data=(X, X), callbacks=[board], verbose=0
    ).history
    scalars, others = events(tmp_path / "train")
    assert sorted(scalars) == ["epoch_learning_rate", "epoch_loss", "epoch_mae"]
    assert list(scalars["epoch_loss"]) == [0, 1, 2]
    assert list(scalars["epoch_loss"].values()) == pytest.approx(history["loss"])
    assert scalars["epoch_learning_rate"][2] == pytest.approx(0.01)
    assert others.count("model/text_summary") == 1
    kernels = [name for name in others if "kernel" in name]
    assert len(kernels) == 2  # epochs 0 and 2
    scalars, _ = events(tmp_path / "validation")
    assert list(scalars["epoch_mae"].values()) == pytest.approx(history["val_mae"])


def test_tensorboard_writes_batches_when_asked(model, tmp_path):
    pytest.importorskip("tensorboardX", reason="needs the extra [tensorboard]")
    board = TensorBoard(tmp_path, update_freq=2, write_graph=False, write_steps_per_second=True)
    history = model.fit(X, X, epochs=2, batch_size=2, callbacks=[board], verbose=0).history
    scalars, others = events(tmp_path / "train")
    assert list(scalars["batch_loss"]) == [2, 4, 6, 8]
    assert scalars["batch_loss"][4] == pytest.approx(history["loss"][0])
    assert all(v > 0 for v in scalars["epoch_steps_per_second"].values())
    assert others == []
    assert not (tmp_path / "validation").exists()


def test_tensorboard_refuses_and_names_what_is_missing(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"update_freq is 0\n  hint: 'epoch', 'batch' or"):
        TensorBoard(tmp_path, update_freq=0)
    with pytest.warns(UserWarning, match="write_images has no effect"):
        TensorBoard(tmp_path, write_images=True)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'hint: pip install "fastnn-rs\[tensorboard\]"'):
        model.fit(X, X, callbacks=[TensorBoard(tmp_path)], verbose=0)
    assert model.predict(X, verbose=0).shape == (8, 1)
