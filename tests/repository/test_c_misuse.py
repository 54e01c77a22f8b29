"""A C program that does everything wrong is refused; valgrind sees no wrong access and no leak."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import fastnn

ROOT = Path(__file__).resolve().parents[2]
CRATE = ROOT / "rust" / "fastnn-capi"


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_wrong_calls_from_c_are_refused_without_a_wrong_access(tmp_path):
    cargo, valgrind = shutil.which("cargo"), shutil.which("valgrind")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if cargo is None or compiler is None or valgrind is None:
        pytest.skip("needs cargo, a C compiler and valgrind")
    build = [cargo, "build", "--quiet", "--package", "fastnn-capi"]
    subprocess.run(build, cwd=ROOT, check=True, timeout=1500)
    target = ROOT / "target" / "debug"
    program = str(tmp_path / "misuse")
    strict = ["-std=c11", "-g", "-Wall", "-Wextra", "-Werror", "-I", str(CRATE / "include")]
    source = str(Path(__file__).with_name("misuse.c"))
    inside = [str(target / "libfastnn_c.a"), "-lpthread", "-ldl", "-lm"]
    subprocess.run([compiler, *strict, source, "-o", program, *inside], check=True)

    model = fastnn.Sequential([fastnn.Input((5,)), fastnn.layers.Dense(2, "tanh")])
    whole, cut, text = tmp_path / "m.safetensors", tmp_path / "cut", tmp_path / "text"
    model.save(whole)
    cut.write_bytes(whole.read_bytes()[:-9])
    text.write_text("no model at all")
    files = [str(f) for f in (whole, cut, text)]
    watched = [valgrind, "--quiet", "--error-exitcode=9", "--leak-check=full",
               "--errors-for-leak-kinds=definite,indirect"]  # fmt: skip
    # Valgrind knows no AVX-512.
    env = {**os.environ, "FASTNN_ISA": "portable", "FASTNN_NUM_THREADS": "2"}
    for command in ([program], [*watched, program]):
        done = subprocess.run(
            [*command, *files], capture_output=True, text=True, timeout=300, env=env
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "refused all\n"
