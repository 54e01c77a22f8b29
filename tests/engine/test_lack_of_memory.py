"""Running out of memory is a MemoryError, never the end of the process.

Each program limits its address space to little more than it has, then asks for a lot.
"""

import sys

import pytest

LIMIT = """
import os, resource, sys
import numpy as np
import fastnn
from fastnn import _core, layers

def limit(megabytes):
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (megabytes << 20),) * 2)

"""

PROGRAMS = {
    "negative indices": """
x, at = _core.tensor(np.ones(4, "f")), np.full(10_000_000, -1, np.int32)
run = lambda: np.asarray(_core.ops.take(x, at, axis=0))
room = 60""",
    "booleans for others": """
x = _core.tensor(np.ones(30_000_000, bool))
run, room = x.__dlpack__, 15""",
    "the order of an epoch": """
model = fastnn.Sequential([fastnn.Input((1,)), layers.Dense(1)])
model.compile("sgd", "mse")
x = np.zeros((20_000_000, 1), "f")
model.fit(x[:4], x[:4], verbose=0)
run = lambda: model.fit(x, x, batch_size=1000, verbose=0)
room = 40""",
    "a permutation": """
key = np.array([1, 2, 3, 4], np.int32)
run = lambda: np.asarray(_core.ops.random_permutation(key, n=100_000_000))
room = 200""",
    "a product": """
a = np.ones((4000, 4000), "f")
run = lambda: np.asarray(_core.ops.matmul(a, a))
room = 40""",
    "a long graph": """
place = _core.placeholder((3,), "float32")
def run():
    y = place
    for _ in range(60_000):
        y = _core.ops.sin(y)
    _core.Function([place], [y])(np.ones(3, "f"))
room = 12""",
    "a list of rows": """
x = _core.tensor(np.ones(5_000_000, "f"))
run, room = lambda: list(x), 60""",
    "a model in a file": """
model = fastnn.Sequential([fastnn.Input((3000,)), layers.Dense(5000)])
model.save("large.safetensors")
run, room = lambda: fastnn.load_model("large.safetensors"), 30""",
    "a model in an HDF5 file": """
model = fastnn.Sequential([fastnn.Input((3000,)), layers.Dense(5000)])
model.save("large.h5")
run, room = lambda: fastnn.load_model("large.h5"), 50""",
    "many models": """
kept = []
def run():
    while True:
        kept.append(fastnn.Sequential([fastnn.Input((64,)), layers.Dense(64)]))
room = 30""",
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", PROGRAMS)
def test_running_out_of_memory_is_a_memory_error(run_python, tmp_path, name):
    program = (
        LIMIT
        + "os.chdir(sys.argv[1])\n"
        + PROGRAMS[name]
        + """
limit(room)
try:
    run()
except MemoryError as error:
    print("refused", error)
"""
    )
    assert run_python(program, str(tmp_path)).startswith("refused")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_booleans_are_saved_without_a_second_copy(run_python, tmp_path):
    run_python(
        LIMIT
        + """
x = _core.tensor(np.ones(30_000_000, bool))
limit(15)
_core.save_file(sys.argv[1], {"x": x})
""",
        str(tmp_path / "x.safetensors"),
    )


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_header_that_is_a_bomb_is_refused_in_bounded_memory(run_python, tmp_path):
    bombs = [
        b'{"a":[' + b'{"":0},' * 2_000_000 + b"0]}",
        b"{" + b",".join(b'"%d":{}' % i for i in range(1_000_000)) + b"}",
        b'{"__metadata__":{' + b",".join(b'"%d":[[]]' % i for i in range(500_000)) + b"}}",
    ]
    for number, bomb in enumerate(bombs):
        path = tmp_path / f"bomb{number}.safetensors"
        path.write_bytes(len(bomb).to_bytes(8, "little") + bomb)
        out = run_python(
            LIMIT
            + """
limit(450)
try:
    _core.load_file(sys.argv[1])
except fastnn.FormatError as error:
    print("refused", error)
""",
            str(path),
        )
        assert out.startswith("refused")
