"""Texts reach terminals of any encoding, and files with a byte order mark are read."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import fastnn
from fastnn import keras as K
from fastnn.config import shown
from fastnn.display.diagram import mermaid

CODE = """
import numpy as np, fastnn as tf
K = tf.keras
m = K.Sequential([K.Input((1,)), K.layers.Dense(1)]); m.compile("sgd", "mse")
m.summary()
print(m.fit(np.ones((2, 1)), np.ones(2), epochs=3))
m.predict(np.ones((2, 1)), verbose=1)
"""


def run(encoding, *args):
    env = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run([sys.executable, *args], env=env, capture_output=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "latin-1", "utf-8"])
def test_summaries_histories_and_progress_print_in_any_encoding(encoding):
    done = run(encoding, "-c", CODE)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert "Dense" in text
    assert ("█" in text) == (encoding in ("utf-8", "cp437"))


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("words", [["score"], ["score", "--lang", "zh"], ["score", "--lang", "de"],
                                   ["score", "--help"], ["gates"]], ids=" ".join)  # fmt: skip
def test_the_command_prints_in_any_encoding(words, encoding, tmp_path):
    path = tmp_path / "a.toml"
    assert run("utf-8", "-m", "fastnn", "exit", "init", str(path)).returncode == 0
    file = [str(path)] if words[0] == "score" and "--help" not in words else []
    done = run(encoding, "-m", "fastnn", "exit", words[0], *file, *words[1:])
    assert b"Error" not in done.stderr
    assert b"Traceback" not in done.stderr
    done.stdout.decode(encoding)


def test_what_cannot_be_shown_has_a_look_alike():
    class Stream:
        encoding = "ascii"

    assert shown("┏━┓ 3 × 2 ≥ 1 → “é” …", Stream()) == '+-+ 3 x 2 >= 1 -> "e" ...'
    Stream.encoding = "utf-8"
    assert shown("┏━┓", Stream()) == "┏━┓"


def test_a_byte_order_mark_is_no_part_of_a_model_or_a_weights_file(tmp_path):
    model = K.Sequential([K.Input((1,)), K.layers.Dense(1)])
    again = fastnn.models.model_from_json("\ufeff" + model.to_json())
    assert again.predict(np.ones((1, 1)), verbose=0).shape == (1, 1)
    profile, weights = tmp_path / "a.toml", tmp_path / "w.json"
    assert run("utf-8", "-m", "fastnn", "exit", "init", str(profile)).returncode == 0
    weights.write_text(json.dumps([0.2, 0.2, 0.2, 0.1, 0.1, 0.1, 0.1]))
    score = ("-m", "fastnn", "exit", "score", str(profile), "--weights", str(weights))
    plain = run("utf-8", *score)
    for file in (profile, weights):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    marked = run("utf-8", *score)
    assert (marked.returncode, marked.stdout) == (plain.returncode, plain.stdout)
    assert b"score" in plain.stdout.lower()


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\u202eb", "a\nb", "a\x00b", "a\ud800"])
def test_names_cannot_rewrite_the_lines_around_them(name):
    model = fastnn.Sequential(
        [fastnn.Input((1,)), fastnn.layers.Dense(1, name=name)], name=f"model {name}"
    )
    lines = []
    model.summary(print_fn=lines.append)
    with pytest.raises(ValueError, match="expects 1") as fault:
        model.predict(np.ones((2, 3)), verbose=0)
    for text in ("".join(lines), mermaid(model), str(fault.value)):
        assert repr(name)[1:-1] in text
        assert all(line.isprintable() for line in text.splitlines())
