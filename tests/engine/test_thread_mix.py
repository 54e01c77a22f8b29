"""One model in the hands of many threads, and children forked while they work.

FASTNN_MIX sets the seconds of the thread mix (3 here; 60, twenty times, before a release),
FASTNN_FORKS the number of children (40 here, 10,000 before a release).
"""

import os

import pytest

MIX = os.environ.get("FASTNN_MIX", "3")
FORKS = os.environ.get("FASTNN_FORKS", "40")

MODEL = """
import faulthandler, os, sys, threading, time
import numpy as np
import fastnn
from fastnn import _core, layers, ops

rng = np.random.default_rng(0)
x = rng.normal(size=(512, 16)).astype("f")
y = rng.normal(size=(512, 1)).astype("f")
model = fastnn.Sequential([fastnn.Input((16,)), layers.Dense(64, "relu"), layers.Dense(1)])
model.compile("adam", "mse")
model.fit(x, y, verbose=0)
"""

THREADS = (
    MODEL
    + """
seconds, folder = float(sys.argv[1]), sys.argv[2]
# A deadlock ends here, with everybody's stack.
faulthandler.dump_traceback_later(seconds + 120, exit=True)
end = time.monotonic() + seconds
saved = f"{folder}/mix.safetensors"
model.save(saved)
start = model.get_weights()
other = fastnn.models.load_model(saved)
count, failures = {}, []

def fit():
    model.fit(x, y, epochs=5, batch_size=16, verbose=0)

def predict():
    assert model.predict(x[: 1 + count.get("predict", 0) % 300], verbose=0).shape[1] == 1

def call():
    assert np.isfinite(np.asarray(model(x[:8]))).all()

def assign():
    w = model.weights[count.get("assign", 0) % len(model.weights)]
    w.assign(np.asarray(w) * 0.5)

def save():
    model.save(saved)

def load():
    model.load_weights(saved)
    assert fastnn.models.load_model(saved).count_params() == model.count_params()

def set_weights():
    model.set_weights(start)

def work(job):
    try:
        while time.monotonic() < end and not failures:
            job()
            count[job.__name__] = count.get(job.__name__, 0) + 1
    except BaseException:
        import traceback
        failures.append(f"{job.__name__}: {traceback.format_exc()}")

jobs = (fit, predict, call, assign, save, load, set_weights)
threads = [threading.Thread(target=work, args=(job,), daemon=True) for job in jobs]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures[0]
assert all(count.get(job.__name__) for job in jobs), count
print(count)
"""
)


@pytest.mark.timeout(0)
def test_all_that_threads_do_with_one_model_goes_on_beside_a_fit(run_python, tmp_path):
    print(run_python(THREADS, MIX, str(tmp_path), timeout=float(MIX) + 180))


FORKING = (
    MODEL
    + """
import signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of fork with threads
wanted = int(sys.argv[1])
big = rng.normal(size=(300, 300)).astype("f")
other = fastnn.models.clone_model(model)
other.compile("adam", "mse")

def work(kind):
    chance = np.random.default_rng(kind)
    while True:
        if kind == 0:
            np.asarray(_core.ops.matmul(big, big))
        elif kind == 1:
            float(ops.sum(_core.tensor(x) @ _core.tensor(x.T)))
        elif kind == 2:
            other.fit(x, y, batch_size=16, verbose=0)
        else:
            model.predict(x[: int(chance.integers(1, 400))], verbose=0)

for kind in range(4):
    threading.Thread(target=work, args=(kind,), daemon=True).start()
hung, running = [], {}
for child in range(wanted + 3):
    if child < wanted:
        pid = os.fork()
        if pid == 0:
            faulthandler.dump_traceback_later(100, exit=True)  # a hang ends with its stack
            model.predict(x[:5], verbose=0)
            model.fit(x[:64], y[:64], verbose=0)
            np.asarray(_core.ops.matmul(big, big))
            os._exit(0)
        running[pid] = time.monotonic()
    while running and (len(running) > 3 or child >= wanted):
        pid, status = os.wait()
        running.pop(pid)
        if status:
            hung.append(status)
    assert not hung, f"child {child}: {hung}"
print(wanted)
os._exit(0)
"""
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.timeout(0)
def test_children_forked_while_threads_compute_never_hang(run_python):
    out = run_python(FORKING, FORKS, timeout=300 + float(FORKS))
    assert out.strip().endswith(FORKS)


STEPS = """
import threading
import numpy as np
from fastnn import _core

# Two numbers that each step raises together: a reader must never see them apart.
n = _core.placeholder((None, 1), dtype="float32")
a = [_core.Variable(np.zeros(1000, "f"), name=f"v{i}") for i in range(20)]
new = [(v, v.traced() + 1.0) for v in a]
loop = _core.Loop(_core.Function([n], [], new))
rows = np.zeros((1000, 1), "f")
running = threading.Thread(target=lambda: loop.run([rows], 1, 30))
running.start()
reads = writes = 0
while running.is_alive():
    seen = {float(v.numpy()[0]) for v in _core.snapshots(a)}
    assert len(seen) == 1, seen
    reads += 1
    if reads % 7 == 0:
        _core.assign_all(a, [np.full(1000, 5.0, "f")] * 20)
        writes += 1
running.join()
assert reads > 5 and writes > 0, (reads, writes)
"""


def test_values_read_or_set_together_are_of_one_step(run_python):
    run_python(STEPS)
