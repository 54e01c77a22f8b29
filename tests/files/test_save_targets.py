"""A save treats what is at its path as a careful editor does, and Ctrl-C in one is never lost."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import files, layers

SUFFIXES = ["safetensors", "keras", "weights.h5"]
INTERRUPTS = int(os.environ.get("FASTNN_INTERRUPTS", "6"))


@pytest.fixture
def model():
    return fastnn.Sequential([fastnn.Input((4,)), layers.Dense(8)])


def save(model, path):
    if path.name.endswith("h5"):
        pytest.importorskip("h5py")
        model.save_weights(path)
    else:
        if path.suffix == ".keras":
            pytest.importorskip("h5py")
        model.save(path)


def leftovers(folder):
    return [p.name for p in folder.iterdir() if p.name.endswith(".fastnn-tmp")]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_mode_of_an_old_file_stays_and_a_new_one_follows_the_umask(model, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    before = os.umask(0o027)
    try:
        save(model, path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    for mode in (0o600, 0o664):
        path.chmod(mode)
        save(model, path)
        assert stat.S_IMODE(path.stat().st_mode) == mode


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_link_stays_a_link_and_its_target_is_written(model, tmp_path, suffix):
    (tmp_path / "there").mkdir()
    for name in ("old", "new"):
        target, link = tmp_path / "there" / f"{name}.{suffix}", tmp_path / f"{name}.{suffix}"
        if name == "old":
            save(model, target)
        link.symlink_to(os.path.join("there", target.name))
        save(model, link)
        assert link.is_symlink()
        assert target.is_file()
        assert target.stat().st_size > 100
    assert not leftovers(tmp_path)
    assert not leftovers(tmp_path / "there")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_or_a_folder_is_refused_by_name_and_stays(model, tmp_path, suffix):
    pipe, folder = tmp_path / f"p.{suffix}", tmp_path / f"f.{suffix}"
    os.mkfifo(pipe)
    folder.mkdir()
    with pytest.raises(OSError, match=f"p.{suffix}.*is a pipe"):
        save(model, pipe)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    with pytest.raises(IsADirectoryError, match=f"f.{suffix}"):
        save(model, folder)
    assert folder.is_dir()
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_loading_never_waits_at_a_pipe(model, tmp_path, suffix):
    pipe = tmp_path / f"p.{suffix}"
    os.mkfifo(pipe)
    load = model.load_weights if suffix == "weights.h5" else fastnn.models.load_model
    with pytest.raises(OSError, match="is a pipe"):
        load(pipe)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_as_long_as_the_system_allows_can_be_saved(model, tmp_path, suffix):
    for fill in ("n", "ü"):
        room = 255 - len(suffix) - 1
        path = tmp_path / f"{fill * (room // len(fill.encode()))}.{suffix}"
        for _ in range(2):
            save(model, path)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_temporaries_of_writers_that_may_live_are_kept(model, tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    foreign = tmp_path / f".a.{suffix}.999999-0.fastnn-tmp"
    foreign.touch()
    seen = []

    def slow(temporary):
        # Another save of the same file while this one is at work.
        save(model, path)
        seen.append(os.path.exists(temporary))
        with open(temporary, "w") as file:
            file.write("mine")

    files.replace_file(path, slow)
    assert seen == [True]
    assert path.read_text() == "mine"
    assert leftovers(tmp_path) == [foreign.name]
    os.utime(foreign, (0, 0))  # so old that nobody writes it any more
    save(model, path)
    assert not leftovers(tmp_path)


def test_a_read_only_folder_or_file_is_named(tmp_path, run_python):
    out = run_python(
        """
import os, sys, tempfile
import fastnn
from fastnn import layers
model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(8)])
folder = sys.argv[1]
model.save(f"{folder}/a.safetensors")
os.chmod(f"{folder}/a.safetensors", 0o444)
os.chmod(folder, 0o555)
if os.geteuid() == 0:  # the system refuses root nothing
    import pathlib
    for parent in pathlib.Path(folder).parents[:-2]:
        os.chmod(parent, os.stat(parent).st_mode | 0o55)
    os.seteuid(65534)
for name in "ab":
    try:
        model.save(f"{folder}/{name}.safetensors")
    except PermissionError as error:
        print("refused", error)
os.seteuid(os.getuid())
os.chmod(folder, 0o755)
""",
        str(tmp_path),
    )
    assert out.count("read-only") == 2, out
    assert "a.safetensors" in out


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_the_old_file(model, tmp_path, suffix, run_python):
    path = tmp_path / f"a.{suffix}"
    save(model, path)
    before = path.read_bytes()
    # A file size limit stands for the full disk: the write fails half-way.
    out = run_python(
        """
import resource, signal, sys
import fastnn
from fastnn import layers
model = fastnn.Sequential([fastnn.Input((400,)), layers.Dense(800)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
path = sys.argv[1]
try:
    model.save_weights(path) if path.endswith("h5") else model.save(path)
except OSError as error:
    print("refused", error)
""",
        str(path),
    )
    assert "refused" in out
    assert path.read_bytes() == before
    assert not leftovers(tmp_path)


def test_text_goes_through_a_pipe_as_it_stands(tmp_path):
    files.write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_text() == "text"
    read, write = os.pipe()
    files.write_text(f"/proc/self/fd/{write}", "piped")
    assert os.read(read, 100) == b"piped"
    os.close(read)
    os.close(write)


def test_names_are_shown_without_what_a_terminal_would_obey():
    assert files.quoted("plain ü.keras") == "'plain ü.keras'"
    for hidden in ("a\x1b[2Jb", "a\u202eb", "a\nb", "a\ud800b", "a\u2028b"):
        shown = files.quoted(hidden)
        assert shown.isascii()
        assert shown.isprintable()


# Saves for ever; says how it ended. An exception that Python could only print is reported as lost.
SAVER = """
import os, sys
import numpy as np
import fastnn
from fastnn import layers
lost = []
sys.unraisablehook = lambda info: lost.append(info.exc_type.__name__)
path = sys.argv[1]
model = fastnn.Sequential([fastnn.Input((256,)), *(layers.Dense(64) for _ in range(60))])
save = model.save_weights if path.endswith("h5") else model.save
save(path)
try:
    print("READY", flush=True)  # in here: the signal may come before the next line
    while True:
        if sys.argv[2] == "save":
            save(path)
        elif path.endswith("h5"):
            model.load_weights(path)
        else:
            fastnn.models.load_model(path)
except KeyboardInterrupt:
    print("stopped", lost, flush=True)
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("what", ["save", "load"])
def test_ctrl_c_in_a_save_or_load_is_never_lost_and_the_file_is_whole(
    model, tmp_path, suffix, what
):
    if suffix != "safetensors":
        pytest.importorskip("h5py")
    chance = np.random.default_rng(len(suffix))
    for _ in range(INTERRUPTS):
        path = tmp_path / f"m.{suffix}"
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path), what], stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as child:  # fmt: skip
            assert child.stdout.readline() == "READY\n"
            time.sleep(chance.uniform(0.02, 0.3))
            child.send_signal(signal.SIGINT)
            out, _ = child.communicate(timeout=300)
        assert out == "stopped []\n"
        assert not leftovers(tmp_path)
        if suffix == "weights.h5":
            import h5py

            with h5py.File(path) as file:
                assert len(file["layers"]) >= 60
        else:
            fastnn.models.load_model(path)


def test_saving_a_whole_model_under_the_name_of_a_weights_file_points_to_save_weights(tmp_path):
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    with pytest.raises(
        ValueError, match=r"weights alone\n  hint: model.save_weights\('m.weights.h5'"
    ):
        model.save(tmp_path / "m.weights.h5")


@pytest.mark.parametrize("spelt", [os.fsencode, Path])
@pytest.mark.parametrize("ending", ["keras", "h5", "safetensors", "weights.h5", "onnx"])
def test_paths_may_be_bytes_as_in_the_standard_library(spelt, ending, tmp_path):
    if ending != "safetensors":
        pytest.importorskip("onnx" if ending == "onnx" else "h5py")
    model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(2)])
    path = spelt(str(tmp_path / f"m.{ending}"))
    if ending == "onnx":
        model.export(path)
    elif ending == "weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
        again = fastnn.models.load_model(path)
        assert np.array_equal(again.get_weights()[0], model.get_weights()[0])
    if ending != "onnx":
        model.load_weights(path)
    assert (tmp_path / f"m.{ending}").is_file()
