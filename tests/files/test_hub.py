"""Models in the Hub's layout: folders without its library, its cache without the network."""

import json
import sys

import numpy as np
import pytest

import fastnn
from fastnn import hub, layers


def net():
    fastnn.utils.set_random_seed(0)
    return fastnn.Sequential([fastnn.Input((3,)), layers.Dense(4, "relu"), layers.Dense(2)])


def test_a_folder_holds_the_model_a_config_and_a_card(tmp_path, rng):
    model, x = net(), rng.normal(size=(5, 3)).astype("float32")
    folder = tmp_path / "deep" / "mine"
    assert hub.save_pretrained(model, folder) == ["model.safetensors", "config.json", "README.md"]
    again = hub.load_pretrained(folder)
    assert (again.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    assert not again.compiled
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["library_name"] == "fastnn"
    assert config["parameters"] == model.count_params()
    assert config["inputs"] == [{"shape": [None, 3], "dtype": "float32"}]
    assert config["outputs"][0]["shape"] == [None, 2]
    (folder / "README.md").write_text("mine")  # a card of one's own stays
    assert hub.save_pretrained(model, folder) == ["model.safetensors", "config.json"]
    assert (folder / "README.md").read_text() == "mine"
    hub.save_pretrained(model, folder, card="new")
    assert (folder / "README.md").read_text() == "new"


def test_the_safetensors_library_reads_the_weights(tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy", reason="needs the package safetensors")
    model = net()
    hub.save_pretrained(model, tmp_path)
    found = safetensors.load_file(tmp_path / "model.safetensors")
    weights = {w.tobytes() for w in model.get_weights()}
    assert weights <= {np.ascontiguousarray(a).tobytes() for a in found.values()}


def test_the_cache_of_the_hub_is_read_offline(tmp_path, rng, monkeypatch):
    pytest.importorskip("huggingface_hub", reason="needs the `hub` extra")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model, x = net(), rng.normal(size=(5, 3)).astype("float32")
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "models--me--digits"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    hub.save_pretrained(model, repository / "snapshots" / commit)
    for revision in (None, "main", commit):
        again = hub.load_pretrained(
            "me/digits", revision=revision, local_files_only=True, cache_dir=tmp_path
        )
        assert (again.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    from huggingface_hub.errors import LocalEntryNotFoundError

    with pytest.raises(LocalEntryNotFoundError):
        hub.load_pretrained("me/other", local_files_only=True, cache_dir=tmp_path)


def test_a_name_that_is_nowhere_is_told_to_be_no_folder(tmp_path):
    pytest.importorskip("huggingface_hub", reason="needs the `hub` extra")
    with pytest.raises(FileNotFoundError) as caught:
        fastnn.hub.load_pretrained("models/mine", local_files_only=True, cache_dir=tmp_path)
    (note,) = caught.value.__notes__
    assert "'models/mine' is no folder here" in note
    assert "\n  hint: " in note


def test_without_a_network_the_hub_is_asked_once(tmp_path, monkeypatch):
    library = pytest.importorskip("huggingface_hub", reason="needs the `hub` extra")
    asked = []

    class Session:
        def head(self, address, timeout):
            asked.append(address)
            raise OSError("no route to host")

    monkeypatch.setattr(library, "get_session", Session)
    monkeypatch.setattr(library, "hf_hub_download", lambda *a, **k: pytest.fail("asked again"))
    monkeypatch.setattr(library.constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(ConnectionError) as caught:
        hub.load_pretrained("me/digits", cache_dir=tmp_path, endpoint="https://hub.example")
    text = str(caught.value)
    assert "'me/digits' is neither a folder here nor in the Hub's cache" in text
    assert "https://hub.example cannot be reached: no route to host" in text
    assert "\n  hint: " in text
    assert asked == ["https://hub.example"]
    # What the cache has is found without that question: the Hub's library falls back to it.
    snapshot = tmp_path / "models--me--digits" / "snapshots" / ("0" * 40)
    del asked[:]
    snapshot.mkdir(parents=True)
    (tmp_path / "models--me--digits" / "refs").mkdir()
    (tmp_path / "models--me--digits" / "refs" / "main").write_text("0" * 40)
    hub.save_pretrained(net(), snapshot)
    held = str(snapshot / "model.safetensors")
    monkeypatch.setattr(library, "hf_hub_download", lambda *a, **k: held)
    assert hub.load_pretrained("me/digits", cache_dir=tmp_path).count_params() == 26
    assert not asked


def test_a_model_is_pushed_with_all_its_files_and_private(monkeypatch):
    """Against the calls of the Hub's library that are used: the network is no part of a test."""
    library = pytest.importorskip("huggingface_hub", reason="needs the `hub` extra")
    calls = []

    class Api:
        def __init__(self, token=None):
            calls.append(("token", token))

        def create_repo(self, repo_id, private, exist_ok):
            calls.append(("repo", repo_id, private, exist_ok))

        def upload_folder(self, repo_id, folder_path, commit_message):
            import os

            calls.append(("files", repo_id, sorted(os.listdir(folder_path)), commit_message))
            return "address"

    monkeypatch.setattr(library, "HfApi", Api)
    assert hub.push_to_hub(net(), "me/digits", token="t") == "address"
    assert calls == [
        ("token", "t"),
        ("repo", "me/digits", True, True),
        ("files", "me/digits", ["README.md", "config.json", "model.safetensors"], "Add the model"),
    ]


def test_what_is_no_model_is_refused(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors"):
        hub.load_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"junk")
    with pytest.raises(fastnn.FormatError) as caught:
        hub.load_pretrained(tmp_path)
    assert "other libraries" in "".join(caught.value.__notes__)
    for name in ("./none", "none", "a/b/c", str(tmp_path / "none")):
        with pytest.raises(FileNotFoundError, match="neither"):
            hub.load_pretrained(name)
    with pytest.raises(ValueError, match="wanted a fastnn model"):
        hub.save_pretrained(5, tmp_path)
    with pytest.raises(ValueError, match="not built"):
        hub.save_pretrained(fastnn.Sequential([layers.Dense(1)]), tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"fastnn-rs\[hub\]"):
        hub.load_pretrained("me/digits")
