"""The examples run on the digits that ship with fastnn and show what they claim."""

from __future__ import annotations

import importlib.util
import json
import re
import runpy
import shutil
import socket
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import fastnn
from fastnn.cli import build_parser

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
#: Tests of their own: test_articles, test_datasets, test_language, tests/exit_strategy.
ELSEWHERE = {
    "mnist_mlp.py",
    "stories.py",
    "articles",
    "exit_cluster",
    "exit_model",
    "exit_profiles",
}


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, EXAMPLES / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_network_trains_on_the_gpu_as_on_the_cpu(monkeypatch):
    monkeypatch.setenv("FASTNN_SOFTWARE_GPU", "1")
    losses = load("gpu_mnist.py").main(epochs=2, rows=300)
    assert losses["cpu"][1] < losses["cpu"][0]
    for mine, theirs in zip(losses.get("gpu", ()), losses["cpu"], strict=False):
        assert mine == pytest.approx(theirs, rel=1e-4)


def test_the_program_for_ranks_is_the_same_alone():
    # On ranks: tests/distributed.
    assert load("train_distributed.py").main()["accuracy"] > 0.85


def test_two_heads_learn_at_once():
    results = load("functional.py").main(epochs=20)
    assert results["digit_accuracy"] > 0.85
    assert results["carries_accuracy"] > 0.85  # half of the sums carry
    assert results["loss"] == pytest.approx(results["digit_loss"] + results["carries_loss"])


def test_a_layer_of_ones_own_learns_and_comes_back(tmp_path):
    assert load("custom_layer.py").main(str(tmp_path)) > 0.85
    assert (tmp_path / "residual.safetensors").is_file()


def test_a_training_step_of_ones_own_changes_what_is_learned():
    plain, hardened = load("custom_train_step.py").main()
    assert hardened > plain


def test_callbacks_stop_and_keep_the_best(tmp_path):
    epochs, accuracy = load("callbacks.py").main(str(tmp_path))
    assert epochs < 100
    assert accuracy > 0.85
    assert len((tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()) == epochs + 1


def test_a_compiled_newton_step_converges(capsys):
    assert load("jit.py").main() > 0.95
    losses = [float(n) for n in re.findall(r"loss ([\d.]+)", capsys.readouterr().out)]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(losses[-2], abs=1e-5)


@pytest.mark.slow
def test_networks_in_ensembles_know_the_survivors(data_dir, capsys):
    pytest.importorskip("sklearn", reason="needs the `sklearn` extra")
    pytest.importorskip("pandas")
    folder = str(data_dir / "tabular" / "titanic")
    found = load("sklearn_titanic.py").main(folder, epochs=20, beside=False)
    assert set(found) == {"alone", "bagging", "AdaBoost", "voting", "stacking"}
    assert all(score > 0.74 for scores in found.values() for score in scores)
    assert "95 % interval" in capsys.readouterr().out


@pytest.mark.slow
def test_incomes_are_told_as_well_as_by_scikit_learn(data_dir):
    pytest.importorskip("sklearn", reason="needs the `sklearn` extra")
    pytest.importorskip("pandas")
    found = load("sklearn_adult.py").main(str(data_dir / "tabular" / "adult"), rows=4000)
    assert found["FastNNClassifier"] > 0.84
    assert found["FastNNClassifier"] > found["MLPClassifier"] - 0.01
    assert found["balanced accuracy, balanced"] > found["balanced accuracy, None"] + 0.02
    assert found["search"] > 0.83


@pytest.mark.slow
def test_a_rust_program_gives_the_classes_of_python(tmp_path):
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("needs cargo")
    classes = load("embed_rust/train.py").main(str(tmp_path))
    command = [cargo, "run", "--quiet", "--package", "fastnn", "--example", "embed", "--"]
    files = [str(tmp_path / name) for name in ("digits.safetensors", "images.f32")]
    done = subprocess.run(command + files, cwd=ROOT, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    assert [int(line) for line in done.stdout.split()] == classes
    no_model = [files[1], files[1]]
    refused = subprocess.run(command + no_model, cwd=ROOT, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "not a safetensors file" in refused.stderr


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_gaps_between_groups_are_shown_and_closed(data_dir):
    pytest.importorskip("fairlearn", reason="needs the `fairness` extra")
    pytest.importorskip("pandas")
    found = load("fairness_adult.py").main(str(data_dir / "tabular" / "adult"), rows=8000)
    assert found["sex"]["gap"] > 0.1
    assert found["sex"]["gap after"] < 0.03
    assert all(f["accuracy after"] > f["accuracy"] - 0.04 > 0.78 for f in found.values())


@pytest.mark.slow
def test_small_models_know_the_digits_too():
    found = load("small_models.py").main()
    whole, accuracy = found["float32"]
    wanted = {
        "bfloat16": (0.6, 0.01), "int8": (0.4, 0.01), "pruned, int8": (0.4, 0.03),
        "distilled": (0.15, 0.06),
    }  # fmt: skip
    for name, (size, loss) in wanted.items():
        assert found[name][0] < size * whole
        assert found[name][1] > accuracy - loss
    assert found["distilled"][1] > found["small alone"][1]


@pytest.mark.slow
def test_a_search_gives_hopeless_trials_up(capsys):
    pytest.importorskip("optuna", reason="needs the `tune` extra")
    study = load("tune.py").main()
    assert study.best_value > 0.93
    assert study.user_attrs["test_accuracy"] > 0.88
    pruned = int(re.match(r"(\d+) of 20 trials", capsys.readouterr().out)[1])
    assert pruned >= 6


def cargo_or_skip() -> str:
    cargo = shutil.which("cargo")
    if cargo is None:
        pytest.skip("needs cargo")
    return cargo


@pytest.mark.slow
def test_a_c_program_gives_the_bits_of_python(tmp_path):
    cargo = cargo_or_skip()
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    load("embed_rust/train.py").main(str(tmp_path))
    build = [cargo, "build", "--quiet", "--package", "fastnn-capi"]
    subprocess.run(build, cwd=ROOT, check=True, timeout=600)
    target = ROOT / "target" / "debug"
    include = ROOT / "rust" / "fastnn-capi" / "include"
    source = EXAMPLES / "embed_c" / "main.c"
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-I{include}"]
    shared = ["-L", str(target), "-lfastnn_c", f"-Wl,-rpath,{target}"]
    inside = [str(target / "libfastnn_c.a"), "-lpthread", "-ldl", "-lm"]
    files = [str(tmp_path / name) for name in ("digits.safetensors", "images.f32")]
    model = fastnn.models.load_model(files[0])
    images = np.fromfile(files[1], "float32").reshape(-1, *model.input_shape[1:])
    wanted = model.predict(images, verbose=0)
    for name, libraries in (("shared", shared), ("inside", inside)):
        program = str(tmp_path / name)
        subprocess.run([compiler, *strict, str(source), "-o", program, *libraries], check=True)
        done = subprocess.run([program, *files], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        rows = [[float.fromhex(v) for v in line.split()] for line in done.stdout.splitlines()]
        assert (np.array(rows, "float32") == wanted).all()
        refused = subprocess.run([program, files[1], files[1]], capture_output=True, text=True)
        assert refused.returncode == 1
        assert "not a safetensors file" in refused.stderr


def test_the_program_outside_the_workspace_is_locked_to_the_crates_of_the_workspace():
    # What has been downloaded for one then builds the other without a network.
    def locked(folder):
        return tomllib.loads((folder / "Cargo.lock").read_text())["package"]

    outside = [p for p in locked(EXAMPLES / "rust_outside") if "checksum" in p]
    inside = {p["name"]: [] for p in locked(ROOT)}
    for package in locked(ROOT):
        inside[package["name"]].append(package["version"])
    assert outside
    assert not [p for p in outside if p["version"] not in inside.get(p["name"], [])]


@pytest.mark.slow
def test_a_rust_program_outside_the_workspace_answers(tmp_path):
    cargo = cargo_or_skip()
    model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
    model.save(tmp_path / "m.safetensors")
    manifest = str(EXAMPLES / "rust_outside" / "Cargo.toml")
    command = [
        cargo,
        "run",
        "--quiet",
        "--offline",
        "--target-dir",
        str(ROOT / "target" / "outside"),
    ]
    lines = "1,2,3\n0.5,-1,x\n4,5\n0.25,0.5,1\n"
    done = subprocess.run(
        [*command, "--manifest-path", manifest, "--", str(tmp_path / "m.safetensors")],
        input=lines, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    found = np.array([line.split(",") for line in done.stdout.split()], "float32")
    wanted = model.predict(np.array([[1, 2, 3], [0.25, 0.5, 1]], "float32"), verbose=0)
    assert (found == wanted).all()
    assert "line 2: 'x' is no number" in done.stderr
    assert "line 3:" in done.stderr


@pytest.mark.slow
def test_a_served_model_answers_its_client(capfd):
    pytest.importorskip("fastapi", reason="needs the `serve` extra")
    pytest.importorskip("uvicorn", reason="needs the `serve` extra")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert load("serve/client.py").main(port) > 0.85
    assert "'inputs'" in capfd.readouterr().out
    dockerfile = (EXAMPLES / "serve" / "Dockerfile").read_text(encoding="utf-8")
    entry = re.search(r"ENTRYPOINT (\[.+?\])", dockerfile.replace("\\\n", ""))
    command = json.loads(entry[1])
    options = build_parser(command[1:]).parse_args(command[1:])
    assert options.host == "0.0.0.0"
    assert options.token_file


def test_a_transformer_turns_sequences_round():
    assert load("reverse_sequence.py").main() >= 0.99


def test_a_network_foretells_better_than_yesterday():
    errors = load("forecast.py").main(epochs=4)
    network = errors.pop("the network")
    assert network < 0.9 * min(errors.values())


def test_a_maker_reaches_the_clusters():
    assert load("gan_ring.py").main(20) >= 7


def test_a_network_makes_up_names(data_dir):
    assert load("names_rnn.py").main(str(data_dir / "text" / "names"), epochs=1) < 2.4


def test_a_small_gpt_begins_to_write(data_dir, capsys):
    assert load("char_gpt.py").main(str(data_dir / "text" / "tinyshakespeare"), 0.05) < 3.6
    assert "ROMEO" not in capsys.readouterr().out.splitlines()[0]


def test_sentences_of_reviews_are_told_apart(data_dir):
    program = load("articles/001_text_classifier.py")
    folder = data_dir / "sentiment" / "sentence_polarity"
    assert program.main(str(folder), epochs=2) > 0.7


@pytest.fixture
def photographs(tmp_path):
    """Twelve pictures to train on and six to look at, of two colours."""
    draw = np.random.default_rng(0)
    for part, count in (("train", 6), ("validation", 3)):
        for name, colour in (("daisy", 60), ("dandelion", 190)):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                picture = draw.normal(colour, 20, (40, 60, 3)).clip(0, 255)
                fastnn.utils.save_img(folder / f"{i}.jpg", picture, scale=False)
    return tmp_path


def test_a_trained_network_learns_other_photographs(photographs, monkeypatch, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    file = photographs / "squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5"
    net = fastnn.applications.SqueezeNet(weights=None, include_top=False)
    net.save_weights(photographs / "net.weights.h5")
    (photographs / "net.weights.h5").rename(file)
    monkeypatch.setenv("FASTNN_DATA", str(photographs))
    accuracy = load("transfer_photos.py").main(str(photographs), fine_tuning=1)
    assert 0 <= accuracy <= 1
    out = capsys.readouterr().out
    assert "Found 12 images belonging to 2 classes." in out
    assert "of 6 validation photographs right" in out


def test_article_003_is_answered_as_printed_and_learns_when_mended(monkeypatch):
    from fastnn.datasets import digits, mnist

    program = load("articles/003_mnist_cnn.py")
    said = program.as_printed()
    assert "'view' (Reshape)" in said
    assert "1,600" in said
    assert "3,136" in said
    assert "Flatten()" in said
    assert "padding='same'" in said
    assert program.network("same").count_params() == 421_642

    def enlarged():
        """The digits that ship with fastnn in MNIST's size and range."""
        parts = []
        for x, y in digits.load_data():
            wide = np.pad(x.repeat(3, 1).repeat(3, 2) * 15, ((0, 0), (2, 2), (2, 2)))
            parts.append((wide.astype(np.uint8), y))
        return tuple(parts)

    monkeypatch.setattr(mnist, "load_data", enlarged)
    assert program.corrected(epochs=3) > 0.85


def test_article_004_runs_on_photographs(photographs, monkeypatch, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    monkeypatch.setenv("FASTNN_EPOCHS", "1")
    for name in ("FASTNN_DATA", "XDG_CACHE_HOME", "KERAS_HOME"):
        monkeypatch.setenv(name, str(photographs / "nothing"))
    monkeypatch.setattr("sys.argv", ["004_vgg16_transfer.py", str(photographs)])
    scope = runpy.run_path(str(EXAMPLES / "articles" / "004_vgg16_transfer.py"))
    assert scope["model"].count_params() == 23_105_345
    out = capsys.readouterr().out
    assert "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5" in out
    assert "random numbers" in out
    assert "of 6 right" in out


def test_every_example_is_on_the_page_and_in_a_test():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(([^)]+)\)", page))
    there = {p.name for p in EXAMPLES.iterdir()} - {"README.md", "__pycache__"}
    assert named == there
    own = Path(__file__).read_text(encoding="utf-8")
    assert all(name in ELSEWHERE or f'"{name}' in own for name in there)


@pytest.mark.slow
def test_films_are_foretold_better_than_by_their_means(data_dir):
    fastnn.utils.set_random_seed(0)
    found = load("recommender.py").main(str(data_dir / "movielens-latest-small"))
    assert found["factorisation"] < 0.93
    assert found["two towers"] < 0.93 < found["the film's mean"]


@pytest.mark.slow
def test_a_translator_trains_and_translates(data_dir, capsys):
    score = load("translate_en_fr.py").main(str(data_dir / "translation"), count=3000, epochs=3)
    said = capsys.readouterr().out
    assert "BLEU on 500 sentences held back" in said
    assert "looked up:" in said
    assert 0 <= score < 1


def test_a_translator_cannot_see_beyond_a_word_nor_what_hides_behind_padding():
    translator = load("translate_en_fr.py")
    model, _, decoder = translator.build(20, 30)
    rng = np.random.default_rng(0)
    source, said = rng.integers(1, 20, (2, 8)), rng.integers(1, 30, (2, 12))
    source[:, 5:] = 0
    scores, looks = (np.asarray(x) for x in decoder([source, said]))
    assert np.asarray(model([source, said])) == pytest.approx(scores, abs=1e-5)
    assert looks.sum(-1) == pytest.approx(1.0, abs=1e-5)
    assert np.all(looks[:, :, 5:] == 0)
    said[:, 7:] = 1
    assert np.asarray(decoder([source, said])[0])[:, :7] == pytest.approx(scores[:, :7], abs=1e-5)
    short = np.asarray(decoder([source[:, :5], said])[0])
    assert short[:, :7] == pytest.approx(scores[:, :7], abs=1e-5)
