"""Keras's files made to do harm: names, links, sizes, archives and heaps are refused before they
cost anything.
"""

import json
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import FormatError
from fuzz_files import edit_config, members_of, write_zip

h5py = pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')


def peak_mb(call):
    """Megabytes by which `call` raised the process's memory at its highest."""

    def status(key):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(key))

    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before = status("VmRSS")
    call()
    return status("VmHWM") - before


def test_module_strings_are_compared_and_never_imported(run_python):
    """10,000 random module strings in configs: no import, open, exec, compile or socket."""
    run_python("""
import random, string, sys
import fastnn
from fastnn import layers
from fastnn.errors import FormatError
from fastnn.serialization.keras_config import clean, restore
layers.Dense(2).get_config()
good = {"module": "keras.layers", "class_name": "Dense", "registered_name": None,
        "config": {"name": "d", "units": 3, "kernel_initializer": {
            "module": "keras.initializers", "class_name": "HeNormal", "config": {"seed": None}}}}
restore(good)
try: restore({**good, "module": "nowhere"})
except FormatError: pass
real = ("os subprocess builtins posix shutil pickle socket importlib ctypes keras keras.ops numpy "
        "keras.src.utils.file_utils tensorflow fastnn fastnn._core http.server fastnn.saving runpy "
        "antigravity this turtle").split()
classes = ("system Dense Popen eval exec load_model get_file run_path Layer Lambda __import__ "
           "loads function enable_unsafe_deserialization").split()
rng = random.Random(7)
seen = []
def hook(event, args):
    if watching and (event in ("import", "open", "exec", "compile") or event.startswith(
            ("socket.", "subprocess.", "os.", "ctypes.", "shutil.", "marshal.", "pickle."))):
        seen.append((event, args))
watching = False
sys.addaudithook(hook)
refused = 0
for i in range(10_000):
    module = rng.choice(real) if i % 2 else ".".join(
        "".join(rng.choices(string.ascii_lowercase + "_.", k=rng.randint(1, 9)))
        for _ in range(rng.randint(1, 4)))
    odd = "".join(rng.choices(string.printable, k=6))
    name = rng.choice(classes) if rng.random() < 0.8 else odd
    evil = {"module": module, "class_name": name, "config": rng.choice([{}, {"name": "x"}]),
            "registered_name": rng.choice([None, name, module])}
    where = rng.randrange(4)
    watching = True
    try:
        if where == 0: restore(evil)
        elif where == 1: restore({**good, "config": {**good["config"], "kernel_initializer": evil}})
        elif where == 2: restore({**good, "config": {**good["config"], "activation": {**evil,
                                  "class_name": "function", "config": name}}})
        else: clean({"optimizer": evil, "loss": evil})
        watching = False
    except FormatError:
        watching = False
        refused += 1
    assert not seen, (module, name, seen[:3])
assert refused > 9_000, refused
""")


def test_ops_of_a_file_come_from_the_table(saved, tmp_path):
    path = tmp_path / "m.keras"

    def other_module(config):
        entry = next(x for x in config["config"]["layers"] if x["class_name"] == "Tanh")
        entry["module"] = "keras.src.ops.core"

    def other_class(config):
        entry = next(x for x in config["config"]["layers"] if x["class_name"] == "Tanh")
        entry["class_name"] = "LoadModel"

    for change in (other_module, other_class):
        path.write_bytes((saved / "m.keras").read_bytes())
        edit_config(path, change)
        with pytest.raises(FormatError, match=r"op '.*' of module '.*' is not known"):
            fastnn.models.load_model(path)


def test_weights_that_a_config_claims_are_bounded_by_the_file(tmp_path):
    """A few hundred bytes of config must not take gigabytes: refused before anything is made."""
    path = tmp_path / "m.keras"
    model = fastnn.Sequential([layers.Input((3,)), layers.Dense(2)])
    for units in (10**9, 10**5):
        model.save(path)

        def grow(config, units=units):
            config["config"]["layers"][0]["config"]["batch_shape"] = [None, units]
            config["config"]["layers"][1]["config"]["units"] = units

        edit_config(path, grow)

        def load():
            with pytest.raises(FormatError, match=r"weights of shape .* take .* bytes"):
                fastnn.models.load_model(path)

        assert peak_mb(load) < 64

    model.save(path)
    config = json.loads(members_of(path)["config.json"])
    norm = {"module": "keras.layers", "class_name": "Normalization", "registered_name": None,
            "config": {"name": "n", "axis": -1, "mean": 0.0, "variance": 1.0}}  # fmt: skip
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**9]
    config["config"]["layers"].insert(1, norm)
    write_zip(path, {**members_of(path), "config.json": json.dumps(config).encode()})
    assert peak_mb(load) < 64


def test_models_nested_to_explode_are_refused(tmp_path):
    """Ten models, each calling the next six times: 6**10 calls."""
    x = layers.Input((2,))
    model = fastnn.Model(x, layers.Identity()(x))
    model.save(tmp_path / "m.keras")
    entry = json.loads(members_of(tmp_path / "m.keras")["config.json"])
    for level in range(10):
        tensor = {"class_name": "__keras_tensor__", "config": {"keras_history": ["i", 0, 0]}}
        start = {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
                 "name": "i", "inbound_nodes": [],
                 "config": {"batch_shape": [None, 2], "dtype": "float32", "name": "i"}}  # fmt: skip
        nodes = [{"args": [tensor], "kwargs": {}} for _ in range(6)]
        inner = {**entry, "name": f"m{level}", "inbound_nodes": nodes}
        inner["config"] = {**inner["config"], "name": f"m{level}"}
        ends = [[f"m{level}", i + 1, 0] for i in range(6)]
        outputs = {"layers": [start, inner], "input_layers": [["i", 0, 0]], "name": "o",
                   "trainable": True, "output_layers": ends[0]}  # fmt: skip
        add = {"module": "keras.layers", "class_name": "Add", "registered_name": None, "name": "s",
               "config": {"name": "s"}, "inbound_nodes": [{"args": [[
                   {"class_name": "__keras_tensor__",
                    "config": {"keras_history": [f"m{level}", i, 0]}} for i in range(6)]],
                    "kwargs": {}}]}  # fmt: skip
        outputs["layers"].append(add)
        outputs["output_layers"] = [["s", 0, 0]]
        entry = {**entry, "config": outputs}
    members = members_of(tmp_path / "m.keras")
    write_zip(tmp_path / "m.keras", {**members, "config.json": json.dumps(entry).encode()})
    with pytest.raises(FormatError, match="too many calls"):
        fastnn.models.load_model(tmp_path / "m.keras")


def _as_weights(tmp_path, write):
    path = tmp_path / "m.weights.h5"
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        group = file.create_group("layers/dense/vars")
        write(file, group)
        if "1" not in group:
            group.create_dataset("1", data=np.zeros(2, "f"))
    return path


def _two_by_two():
    return fastnn.Sequential([layers.Input((3,)), layers.Dense(2)])


def test_links_and_foreign_storage_are_refused(tmp_path):
    """CVE-2026-1669: external, soft and virtual data must not show other files."""
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file.create_dataset("x", data=np.full((3, 2), 7.0, "f"))
    (tmp_path / "raw").write_bytes(np.full((3, 2), 7.0, "f").tobytes())

    def external(file, group):
        group["0"] = h5py.ExternalLink(str(secret), "/x")

    def soft(file, group):
        file.create_dataset("x", data=np.ones((3, 2), "f"))
        group["0"] = h5py.SoftLink("/x")

    def virtual(file, group):
        layout = h5py.VirtualLayout((3, 2), "f4")
        layout[:] = h5py.VirtualSource(str(secret), "x", (3, 2))
        group.create_virtual_dataset("0", layout)

    def outside(file, group):
        group.create_dataset("0", (3, 2), "f4", external=[(str(tmp_path / "raw"), 0, 24)])

    for write, words in (
        (external, "soft or external link"), (soft, "soft or external link"),
        (virtual, "virtual"), (outside, "another file"),
    ):  # fmt: skip
        path = _as_weights(tmp_path, write)
        model = _two_by_two()
        before = [w.copy() for w in model.get_weights()]
        with pytest.raises(FormatError, match=words):
            model.load_weights(path)
        for a, b in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(a, b)

    def group_link(file, group):
        file["layers"].move("dense", "other")
        file["layers/dense"] = h5py.SoftLink("/layers/other")

    path = _as_weights(tmp_path, lambda f, g: g.create_dataset("0", data=np.zeros((3, 2), "f")))
    with h5py.File(path, "a") as file:
        group_link(file, None)
    with pytest.raises(FormatError, match="soft or external link"):
        _two_by_two().load_weights(path)


def test_shape_bombs_are_refused_before_memory_is_taken(tmp_path):
    """CVE-2026-0897: huge declared, little stored."""

    def huge(file, group):
        group.create_dataset("0", (1 << 40, 2), "f4", chunks=(1024, 2), compression="gzip")

    def unstored(file, group):
        group.create_dataset("0", (3, 2), "f4")

    def big_chunk(file, group):
        group.create_dataset(
            "0", (3, 2), "f4", maxshape=(None, None), chunks=(1 << 14, 1 << 13), compression="gzip"
        )

    def odd_filter(file, group):
        group.create_dataset("0", data=np.ones((3, 2), "f"), fletcher32=True)

    def text(file, group):
        group.create_dataset("0", data=np.array([["a", "b"]] * 3, dtype="S4"))

    for write, words in (
        (huge, "shape"), (unstored, "are stored"), (big_chunk, "in chunks of"),
        (odd_filter, "filter 3"), (text, "type"),
    ):  # fmt: skip
        path = _as_weights(tmp_path, write)
        model = _two_by_two()

        def load(words=words, path=path, model=model):
            with pytest.raises(FormatError, match=words):
                model.load_weights(path)

        assert peak_mb(load) < 64

    def packed(file, group):
        data = np.arange(6, dtype="f").reshape(3, 2)
        group.create_dataset("0", data=data, compression="gzip", shuffle=True)

    model = _two_by_two()
    model.load_weights(_as_weights(tmp_path, packed))
    np.testing.assert_array_equal(model.get_weights()[0], np.arange(6).reshape(3, 2))


def test_texts_of_attributes_are_bounded(tmp_path):
    """Many names that all point at one large text would multiply in memory."""
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["big"] = "x" * 3_000_000
        file.attrs.create("layer_names", ["n"] * 3_000, dtype=h5py.string_dtype())
    with pytest.raises(FormatError, match="may hold 3,000 texts"):
        _two_by_two().load_weights(path)


def test_damaged_heaps_are_refused_before_hdf5_walks_them(saved, tmp_path):
    """An object whose size wraps around made HDF5 1.14 loop for ever (found by mutation)."""
    whole = (saved / "m.h5").read_bytes()
    heaps = [i for i in range(len(whole)) if whole.startswith(b"GCOL", i)]
    assert heaps
    path = tmp_path / "m.h5"
    for size in (2**64 - 16, 2**64 - 8, 2**40, 2**16):
        for at in heaps:
            path.write_bytes(whole[: at + 24] + struct.pack("<Q", size) + whole[at + 32 :])
            with pytest.raises(FormatError, match="global heap is damaged"):
                fastnn.models.load_model(path)


def test_archives_are_bounded(saved, tmp_path):
    members = members_of(saved / "m.keras")
    path = tmp_path / "m.keras"

    def refused(words, members, compression=zipfile.ZIP_STORED):
        write_zip(path, members, compression)
        with pytest.raises(FormatError, match=words):
            fastnn.models.load_model(path)

    text = members["config.json"]
    bomb = {**members, "config.json": text + b" " * (8 << 20)}
    refused("at most 100:1", bomb, zipfile.ZIP_DEFLATED)
    refused("at most 67,108,864", {**members, "config.json": b" " * ((64 << 20) + 1)})
    refused("packed in an unknown way", members, zipfile.ZIP_BZIP2)
    refused("no member 'model.weights.h5'", {"config.json": text})
    refused("stands twice", {**members, "config.json": text[:-1] + b', "module": "x"}'})
    deep = b"[" * 300 + b"]" * 300
    refused("nested deeper than 256", {**members, "config.json": deep})
    refused("nested deeper than 256", {**members, "config.json": b"[" * 10**6 + b"]" * 10**6})
    refused("items", {**members, "config.json": b"[" + b"[]," * 2_100_000 + b"[]]"})
    refused("not usable JSON", {**members, "config.json": text[:-9]})
    refused("not usable JSON", {**members, "config.json": b"\xff\xfe"})
    refused("unpacks|bytes", {**members, "model.weights.h5": b"\0" * (80 << 20)},
            zipfile.ZIP_DEFLATED)  # fmt: skip
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, data in [*members.items(), ("config.json", b"{}")]:
            archive.writestr(name, data)
    with pytest.raises(FormatError, match="stands twice"):
        fastnn.models.load_model(path)
    write_zip(path, {n: d for n, d in members.items()}, zipfile.ZIP_DEFLATED)
    fastnn.models.load_model(path)


def test_cut_off_files_are_refused(saved, tmp_path):
    for name in ("m.keras", "m.h5"):
        whole = (saved / name).read_bytes()
        path = tmp_path / name
        for size in sorted({*range(0, 64, 7), *range(64, len(whole), max(1, len(whole) // 60))}):
            path.write_bytes(whole[:size])
            with pytest.raises(FormatError):
                fastnn.models.load_model(path)


def test_a_text_of_two_gigabytes_is_refused_before_memory_is_taken(saved, tmp_path):
    """HDF5 1.14 takes what a reference claims and only then looks (found by mutation)."""
    whole = (saved / "m.h5").read_bytes()
    name = whole.index(b"weight_names\0\0\0\0\x19")  # 0x19: a type of variable length
    sizes = struct.unpack("<HHH", whole[name - 6 : name])
    at = name + sum(-(-n // 8) * 8 for n in sizes)  # the first reference: length, place
    assert whole[at : at + 4] == struct.pack("<I", len("dense/w0:0"))
    path = tmp_path / "m.h5"

    def load():
        with pytest.raises(FormatError, match="global heap is damaged"):
            fastnn.models.load_model(path)

    for size in (1 << 31, 1 << 28, 1 << 20):
        path.write_bytes(whole[:at] + struct.pack("<I", size) + whole[at + 4 :])
        assert peak_mb(load) < 64


def test_heaps_that_run_in_circles_are_refused_before_hdf5_walks_them(saved, tmp_path):
    """A free rest that ends early, a list of free blocks without end: HDF5 2.0 hung (mutations)."""
    whole = (saved / "m.h5").read_bytes()
    path = tmp_path / "m.h5"
    for heap in [i for i in range(len(whole)) if whole.startswith(b"GCOL", i)]:
        (size,) = struct.unpack("<Q", whole[heap + 8 : heap + 16])
        at = heap + 16
        while at < heap + size and whole[at : at + 2] != b"\0\0":
            at += 16 + -(-struct.unpack("<Q", whole[at + 8 : at + 16])[0] // 8) * 8
        if at < heap + size:
            break
    assert struct.unpack("<Q", whole[at + 8 : at + 16])[0] == heap + size - at
    path.write_bytes(whole[: at + 8] + struct.pack("<Q", 40) + whole[at + 16 :])
    with pytest.raises(FormatError, match="global heap is damaged"):
        fastnn.models.load_model(path)
    names = whole.index(b"HEAP\0")
    first, start = struct.unpack("<QQ", whole[names + 16 : names + 32])
    for next_block in (first, 2**40):
        at = start + first
        path.write_bytes(whole[:at] + struct.pack("<Q", next_block) + whole[at + 8 :])
        with pytest.raises(FormatError, match="local heap is damaged"):
            fastnn.models.load_model(path)
