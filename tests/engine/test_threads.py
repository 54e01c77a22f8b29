"""The same bits on any number of threads, in forked children, and from many Python threads."""

import hashlib
import threading

import numpy as np
import pytest

import fastnn
from fastnn import layers

# Trains a small network; prints a digest of weights, losses and predictions.
FIT = """
import hashlib, sys
import numpy as np
import fastnn
from fastnn import layers

def fit(seed=3):
    fastnn.utils.set_random_seed(seed)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(700, 37)).astype(np.float32)
    y = rng.integers(0, 5, 700)
    model = fastnn.Sequential([
        fastnn.Input((37,)), layers.Dense(129, activation="tanh"), layers.BatchNormalization(),
        layers.Dropout(0.3), layers.Dense(65, activation="gelu"), layers.LayerNormalization(),
        layers.Dense(5, activation="softmax"),
    ])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, batch_size=64, epochs=3, verbose=0)
    parts = [*model.get_weights(), np.asarray(history.history["loss"]),
             np.asarray(model.predict(x, verbose=0))]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
"""


def test_fit_is_bitwise_independent_of_threads(run_python):
    digests = {
        n: run_python(FIT + "print(fit())", FASTNN_NUM_THREADS=str(n)).strip() for n in (1, 2, 3)
    }
    assert len(set(digests.values())) == 1, digests
    inside = run_python(
        FIT + "for n in (3, 1, 2):\n    fastnn.set_num_threads(n)\n    print(fit())\n"
    ).split()
    assert set(inside) == set(digests.values())


def test_another_seed_gives_other_bits(run_python):
    first, second = run_python(FIT + "print(fit(3)); print(fit(4))").split()
    assert first != second


@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_child_fits_after_the_parent_has(run_python, threads):
    program = (
        FIT
        + """
import os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork with threads
parent = fit()
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.write(write, fit().encode())
    os._exit(0)
os.close(write)
answer = os.read(read, 100).decode()
_, status = os.waitpid(child, 0)
print(status, answer == parent, fit() == parent)
"""
    )
    out = run_python(program, timeout=60, FASTNN_NUM_THREADS=str(threads))
    assert out.split() == ["0", "True", "True"]


def build_model(features: int = 20) -> fastnn.Sequential:
    fastnn.utils.set_random_seed(1)
    return fastnn.Sequential(
        [fastnn.Input((features,)), layers.Dense(64, activation="relu"), layers.Dense(3)]
    )


def run_all(targets) -> None:
    """Run the callables on a thread each; the first exception of any of them is raised here."""
    failures: list[BaseException] = []

    def guarded(target):
        try:
            target()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(t,)) for t in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
        assert not thread.is_alive(), "a thread hangs"
    if failures:
        raise failures[0]


def test_two_threads_predict_on_one_model(rng):
    model = build_model()
    batches = [rng.normal(size=(n, 20)).astype(np.float32) for n in (1, 33)]
    alone = [np.asarray(model.predict(x, verbose=0)) for x in batches]

    def predict(x, wanted):
        for _ in range(200):
            assert np.array_equal(model.predict(x, verbose=0), wanted)

    run_all([lambda x=x, w=w: predict(x, w) for x, w in zip(batches, alone, strict=True)])


def test_a_storm_of_threads_agrees_with_one(rng, tmp_path):
    """Eight threads predict with sizes of their own while others save, read weights and train."""
    model, other = build_model(), build_model(7)
    other.compile("adam", "mse")
    x7 = rng.normal(size=(256, 7)).astype(np.float32)
    sizes = (1, 2, 5, 31, 64, 65, 257, 1000)
    inputs = [rng.normal(size=(n, 20)).astype(np.float32) for n in sizes]
    alone = [np.asarray(model.predict(x, verbose=0)) for x in inputs]
    weights = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).digest()

    def predict(i):
        for _ in range(60):
            assert np.array_equal(model.predict(inputs[i], verbose=0), alone[i])

    def save():
        for _ in range(10):
            model.save(tmp_path / "storm.safetensors")

    def read():
        for _ in range(100):
            now = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).digest()
            assert now == weights

    def train():
        for _ in range(10):
            other.fit(x7, x7[:, :3], epochs=1, verbose=0)

    run_all([*(lambda i=i: predict(i) for i in range(len(sizes))), save, read, train])
    again = fastnn.models.load_model(tmp_path / "storm.safetensors")
    assert np.array_equal(again.predict(inputs[3], verbose=0), alone[3])


RACE = """
import threading, time
import numpy as np
import fastnn
from fastnn import _core, ops

ids = np.zeros(4096, np.int32)
table = np.ones((64, 8), np.float32)
stop = time.monotonic() + 2

def flip():
    while time.monotonic() < stop:
        ids[::7] = 2**31 - 1
        ids[::7] = 3
        ids[::5] = -2**31
        ids[::5] = 3

thread = threading.Thread(target=flip)
thread.start()
x = _core.placeholder((64, 8), "float32")
i = _core.placeholder((4096,), "int32")
y = ops.take(x, i, axis=0)
loss = (y * y).sum() if hasattr(y, "sum") else ops.sum(y * y)
along = _core.ops.take_along_axis(_core.ops.reshape(x, shape=(512,)), i, axis=0)
labels = _core.ops.sparse_softmax_cross_entropy(y, i)
hot = _core.ops.one_hot(i, num_classes=9)
outs = [y, *_core.gradients(loss, [x]), along, *_core.gradients(ops.sum(along), [x]), labels, hot]
functions = [_core.Function([x, i], [out]) for out in outs]
calls = errors = 0
while time.monotonic() < stop:
    for f in functions:
        calls += 1
        try:
            f(table, ids)
        except fastnn.errors.DataError:
            errors += 1
thread.join()
print(calls)
"""


def test_indices_that_change_while_they_are_read_are_refused_or_read_as_they_were(run_python):
    """No read or write outside the arrays, whatever another thread does to the indices."""
    assert int(run_python(RACE)) > 0


def test_a_child_imports_what_a_thread_of_its_parent_was_importing(run_python, tmp_path):
    (tmp_path / "slow_module.py").write_text(
        "import threading, time\n"
        "if threading.current_thread().name == 'slow':\n    time.sleep(60)\nmade = True\n"
    )
    program = f"""
import os, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork with threads
import fastnn
sys.path.insert(0, {str(tmp_path)!r})
threading.Thread(target=lambda: __import__("slow_module"), name="slow", daemon=True).start()
while "slow_module" not in sys.modules:
    time.sleep(0.01)
child = os.fork()
if child == 0:
    import slow_module
    os._exit(7 if slow_module.made else 1)
while not (ended := os.waitpid(child, os.WNOHANG))[0]:
    time.sleep(0.01)
print(os.waitstatus_to_exitcode(ended[1]), flush=True)
os._exit(0)
"""
    assert run_python(program, timeout=40).strip() == "7"
