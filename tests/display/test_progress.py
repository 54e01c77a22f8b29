"""What fit, evaluate and predict print, on a terminal and elsewhere."""

import itertools
import re

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.display import progress, reporter

X = np.arange(8.0)[:, None] / 8


@pytest.fixture
def model():
    made = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)])
    made.set_weights([np.zeros((1, 1)), np.ones(1)])
    made.compile("sgd", "mse", metrics=["mae"])
    return made


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(progress, "is_terminal", lambda stream=None: True)
    monkeypatch.setattr(reporter, "is_terminal", lambda stream=None: True)
    monkeypatch.setattr("fastnn.training.predict.is_terminal", lambda stream=None: True)
    monkeypatch.setattr("fastnn.training.trainer.is_terminal", lambda stream=None: True)
    monkeypatch.setenv("NO_COLOR", "1")


def test_elsewhere_an_epoch_is_one_plain_line(model, capsys):
    model.fit(X, X, epochs=3, validation_data=(X, X))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for i, text in enumerate(lines):
        assert re.fullmatch(
            rf"Epoch {i + 1}/3 - 1/1 - 0s - \d+(us|ms)/step - loss: \d\.\d{{4}} - mae: \d\.\d{{4}}"
            r" - val_loss: \d\.\d{4} - val_mae: \d\.\d{4}",
            text,
        ), text


def test_silent_means_silent(model, capsys):
    model.fit(X, X, epochs=2, verbose=0)
    model.evaluate(X, X, verbose=0)
    model.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


def test_lines_of_verbose_2_are_sorted(model, capsys):
    model.evaluate(X, X, verbose=2)
    text = capsys.readouterr().out.strip()
    assert re.fullmatch(r"1/1 - 0s - \d+(us|ms)/step - loss: \S+ - mae: \S+", text), text


def test_a_bar_redraws_on_a_terminal(model, capsys, terminal):
    model.fit(X, X, epochs=2, batch_size=2)
    out = capsys.readouterr().out
    assert "Epoch 1/2\n" in out
    assert "Epoch 2/2\n" in out
    assert "\r4/4 " + "━" * 20 + " 0s" in out
    assert "\x1b[" not in out
    assert out.endswith("\n")


def test_each_batch_of_a_slow_generator_moves_the_bar(model, capsys, terminal, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(clock)))
    model.fit(((X, X) for _ in range(5)), steps_per_epoch=5)
    out = capsys.readouterr().out
    assert re.findall(r"\r(\d)/5 ", out) == ["1", "2", "3", "4", "5", "5"]


def test_colours_only_without_no_color(model, capsys, terminal, monkeypatch):
    monkeypatch.delenv("NO_COLOR")
    model.fit(X, X)
    assert "\x1b[1m4" not in capsys.readouterr().out.replace("\x1b[1m1/1", "")


def test_a_bar_of_half_the_way(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    bar = progress.Progbar(16, interval=0.0)
    bar.update(8, [("loss", 12.399)])
    text = capsys.readouterr().out
    assert text.startswith("\r 8/16 " + "━" * 10 + "-" * 10 + " ")
    assert text.rstrip().endswith("- loss: 12.3990")


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5000"), (12.39904, "12.3990"), (0.00012345, "1.2345e-04")]
)
def test_values_have_four_digits(value, text):
    assert progress.format_value(value) == text


def test_a_bar_of_unknown_length(capsys, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    progress.Progbar(None, interval=0.0).update(7)
    assert "7/Unknown" in capsys.readouterr().out
