"""What can go wrong with a GPU: each an error of fastnn with a hint, in a process that goes on."""

import pytest

HEAD = """
import os, warnings
os.environ.setdefault("FASTNN_SOFTWARE_GPU", "1")
import numpy as np
import fastnn
from fastnn import _core, errors
"""
MODEL = """
fastnn.utils.set_random_seed(0)
model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(3), fastnn.layers.Dense(1)])
model.compile("adam", "mse", device="gpu")
x, y = np.ones((64, 4), "f"), np.ones((64, 1), "f")
"""


@pytest.fixture
def fails(gpu, run_python):
    """Runs a program that ends in an error of fastnn, whose class and text it prints."""

    def run(body, **env):
        text = HEAD + "try:\n" + "".join(f"    {line}\n" for line in body.splitlines())
        return run_python(
            text + "except errors.FastnnError as e:\n    print(type(e).__name__, e, sep='|')", **env
        )

    return run


def test_without_wgpu_it_is_said_what_to_install(fails):
    out = fails("import sys\nsys.modules['wgpu'] = None\nfastnn.set_device('gpu')")
    assert out.startswith("GpuUnavailableError|a GPU needs the package wgpu")
    assert "hint: pip install 'fastnn-rs[gpu]'" in out


def test_without_a_driver_hints_name_drivers_and_containers(fails):
    out = fails(
        "fastnn.set_device('gpu')",
        VK_DRIVER_FILES="/nowhere.json",
        VK_ICD_FILENAMES="/nowhere.json",
    )
    assert out.startswith("GpuUnavailableError|there is no gpu:0")
    assert "hint: is the card's driver installed" in out


REFUSALS = {
    "cannot be opened: out of queues": """
from fastnn.devices import hardware
class Refusing:
    def __init__(self, handle): self.handle = handle
    def __getattr__(self, name): return getattr(self.handle, name)
    def request_device_sync(self, **_): raise RuntimeError("out of queues")
import dataclasses
hardware._found = [dataclasses.replace(a, handle=Refusing(a.handle)) for a in hardware.adapters()]
""",
    "wgpu cannot list the adapters: no loader": """
import wgpu
def refuse(**_): raise RuntimeError("no loader")
wgpu.gpu.enumerate_adapters_sync = refuse
""",
    "wgpu's library does not load: libvulkan is too old": """
import builtins
real = builtins.__import__
def refuse(name, *rest):
    if name == "wgpu": raise OSError("libvulkan is too old")
    return real(name, *rest)
builtins.__import__ = refuse
""",
}


@pytest.mark.parametrize("said", REFUSALS)
def test_a_driver_that_refuses_is_told_and_the_cpu_goes_on(fails, said):
    goes_on = """
try:
    fastnn.set_device('gpu')
except errors.GpuUnavailableError as e:
    print(e)
else:
    print('opened')
model = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(1)])
model.compile("adam", "mse")
print(fastnn.get_device(), model.predict(np.ones((2, 4)), verbose=0).shape)
"""
    out = fails(REFUSALS[said] + goes_on)
    assert said in out
    assert "hint: " in out
    assert "cpu (2, 1)" in out


def test_a_number_that_no_adapter_has_lists_those_there_are(fails):
    assert "there is no gpu:7: gpu:0 is " in fails("fastnn.set_device('gpu:7')")


def test_a_process_that_never_asks_for_a_gpu_does_not_import_wgpu(run_python):
    out = run_python(
        HEAD + MODEL.replace(', device="gpu"', "") + "model.fit(x, y, verbose=0)\n"
        "import sys\nprint('wgpu' in sys.modules)"
    )
    assert out.strip() == "False"


def test_a_software_adapter_is_told_once(run_python, gpu):
    out = run_python(
        "import warnings, fastnn\n"
        "with warnings.catch_warnings(record=True) as said:\n"
        "    warnings.simplefilter('always')\n"
        "    fastnn.set_device('gpu'); fastnn.set_device('gpu')\n"
        "print([str(w.message)[:40] for w in said if 'driver that runs' in str(w.message)])",
        FASTNN_SOFTWARE_GPU="",
    )
    assert out.count("gpu:0 is ") == int(gpu.adapter.is_software)


def test_a_fork_is_refused_and_does_not_hang(fails):
    out = fails(
        "fastnn.set_device('gpu')\n"
        "import sys\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    try:\n"
        "        fastnn.set_device('gpu')\n"
        "    except errors.GpuUnavailableError as e:\n"
        "        print(e, flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)"
    )
    assert "this process is a fork of one that used a GPU" in out
    assert "hint: multiprocessing.get_context('spawn')" in out


def test_a_tensor_that_no_binding_holds_is_named_with_its_size(fails):
    out = fails(
        "from fastnn.devices.gpu import opened\nopened('gpu:0').buffer(1 << 40, 'x of all')"
    )
    assert out.startswith("GpuOutOfMemoryError|x of all has 1024.0 GiB, gpu:0 has buffers of ")


def test_memory_that_runs_out_is_an_error_and_the_device_goes_on(gpu):
    """The driver's own refusal, as wgpu words it."""
    from fastnn.errors import GpuOutOfMemoryError

    error = gpu.module.GPUValidationError("Not enough memory left.")
    told = gpu._translated(error, "the weights")
    assert isinstance(told, GpuOutOfMemoryError)
    assert isinstance(told, MemoryError)
    assert "no memory left for the weights" in str(told)


def test_a_lost_device_leaves_the_weights_of_the_last_epoch_and_comes_back(fails):
    out = fails(
        MODEL
        + """
kept = []
class Lose(fastnn.keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        kept.append([np.array(w) for w in self.model.get_weights()])
    def on_train_batch_end(self, batch, logs=None):
        if len(kept) == 2 and batch == 1:
            from fastnn.devices.gpu import opened
            opened("gpu:0").device.destroy()
            opened("gpu:0").lost = "Device lost: destroyed by a test"
try:
    model.fit(x, y, batch_size=16, epochs=5, verbose=0, callbacks=[Lose()])
except errors.GpuDeviceLostError as e:
    print("lost:", "hint: weights are those of" in str(e))
print("finite:", all(np.isfinite(w).all() for w in model.get_weights()))
print("epochs:", len(model.history.epoch))
model.fit(x, y, batch_size=16, epochs=1, verbose=0)
print("again:", np.isfinite(model.history.history["loss"]).all())
"""
    )
    assert "lost: True" in out
    assert "finite: True" in out
    assert "epochs: 2" in out
    assert "again: True" in out


def test_a_submission_to_a_lost_device_is_refused_before_wgpu_would_end_the_process(fails):
    out = fails(
        "from fastnn.devices.gpu import opened\n"
        "gpu = opened('gpu:0')\n"
        "import logging\n"
        "logging.getLogger('wgpu').error('DEVICE LOST!')\n"
        "gpu.submit(lambda encoder: None)"
    )
    assert out.startswith("GpuDeviceLostError|gpu:0 (")


def test_ctrl_c_ends_a_long_fit_and_leaves_whole_steps(gpu, run_python):
    out = run_python(
        HEAD
        + MODEL
        + """
import _thread, threading
model.fit(x, y, verbose=0)
before = steps = int(model.optimizer.iterations.numpy())
delay = 0.5
while steps == before:  # a busy machine may not come to a step so soon
    try:
        threading.Timer(delay, _thread.interrupt_main).start()
        model.fit(x, y, batch_size=8, epochs=10**6, verbose=0)
    except KeyboardInterrupt:
        steps, delay = int(model.optimizer.iterations.numpy()), 2 * delay
print("interrupted")
print(all(np.isfinite(w).all() for w in model.get_weights()))
model.fit(x, y, batch_size=8, epochs=1, verbose=0)
print(int(model.optimizer.iterations.numpy()) == steps + 8)
"""
    )
    assert out.split() == ["interrupted", "True", "True"]


def test_ids_outside_the_vocabulary_are_told_as_on_the_cpu(gpu, rng):
    import numpy as np

    import fastnn

    said = []
    for device in ("cpu", "gpu"):
        model = fastnn.Sequential(
            [fastnn.Input((3,), dtype="int32"), fastnn.layers.Embedding(5, 2, name="ids")]
        )
        model.compile("sgd", "mse", device=device)
        ids = np.array([[0, 1, 2], [4, 7, 0]], np.int32)
        with pytest.raises(fastnn.DataError) as error:
            model.predict(ids, verbose=0)
        said.append(str(error.value))
    assert said[0] == said[1]


@pytest.mark.parametrize("bad", [7, -1])
def test_an_id_of_a_batch_before_others_is_told_by_its_own_number(gpu, bad):
    import numpy as np

    import fastnn

    said = []
    for device in ("cpu", "gpu"):
        layers = fastnn.layers.Embedding(5, 2, name="ids"), fastnn.layers.Flatten()
        model = fastnn.Sequential([fastnn.Input((3,), dtype="int32"), *layers])
        model.compile("sgd", "mse", device=device)
        ids = np.ones((40, 3), np.int32)
        ids[17, 2] = bad
        ids[25, 0] = 9  # an earlier place of a later batch
        with pytest.raises(fastnn.DataError) as error:
            model.predict(ids, batch_size=8, verbose=0)
        said.append(str(error.value))
        with pytest.raises(fastnn.DataError) as error:
            model.fit(ids, np.ones((40, 6)), batch_size=8, shuffle=False, verbose=0)
        said.append(str(error.value))
    assert said[:2] == said[2:]
    assert f"token id {bad} at position (1, 2)" in said[0]


COUNT = """
v = fastnn.Variable(np.zeros(3, "f"))
w = fastnn.Variable(np.zeros(5, "f"))
@fastnn.jit
def step():
    v.assign_add(fastnn.ops.ones(3))
    w.assign_add(fastnn.ops.ones(5))
fastnn.set_device("gpu")
"""


def test_a_fork_finds_the_values_of_the_device_at_home(fails):
    out = fails(
        COUNT
        + """
for _ in range(4):
    step()
child = os.fork()
if child == 0:
    try:
        print("child:", v.numpy()[0], w.numpy()[0], flush=True)
        step()
    except errors.GpuUnavailableError as e:
        print("child:", str(e)[:14], flush=True)
    os._exit(0)
os.waitpid(child, 0)
step()
print("parent:", v.numpy()[0])
"""
    )
    assert out.splitlines() == ["child: 4.0 4.0", "child: this process i", "parent: 5.0"]


def test_a_device_that_is_lost_leaves_variables_of_one_moment(fails):
    out = fails(
        COUNT
        + """
from fastnn.devices.gpu import opened
for _ in range(3):
    step()
fastnn.tracing.variables.read_all([v, w])
for _ in range(2):
    step()
print("part:", v.numpy()[0])
step()
opened("gpu:0").lost = "Device lost: destroyed by a test"
for act in (lambda: w.numpy(), step):
    try:
        act()
    except errors.GpuDeviceLostError as e:
        print("lost:", "hint: weights are those" in str(e))
print("one moment:", v.numpy()[0], w.numpy()[0])
fastnn.set_device("gpu")
step()
print("again:", v.numpy()[0], w.numpy()[0])
"""
    )
    assert out.splitlines() == ["part: 5.0", "lost: True", "one moment: 4.0 4.0", "again: 5.0 5.0"]
