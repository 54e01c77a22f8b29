"""Keras's files without Keras: round trips, errors, and hostile files that must be refused."""

import io
import json
import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import FormatError
from fuzz_files import batch, members_of, small, write_legacy, write_zip

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


def predict(model):
    return model.predict(batch(), verbose=0)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    model = small(trained=True)
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    write_legacy(folder / "m.h5", model)
    return folder


# ---- round trips ---------------------------------------------------------------------------------


def test_an_older_file_gives_back_the_same_bits_and_the_settings(tmp_path):
    model = small(trained=True)
    model.save(tmp_path / "m.h5")
    back = fastnn.models.load_model(tmp_path / "m.h5")
    np.testing.assert_array_equal(predict(back), predict(model))
    assert type(back.optimizer) is type(model.optimizer)
    again = fastnn.models.load_model(tmp_path / "m.h5", compile=False)
    again.load_weights(tmp_path / "m.h5")
    np.testing.assert_array_equal(predict(again), predict(model))


def test_keras_file_gives_back_the_same_bits_and_goes_on_training(saved, tmp_path):
    model = small(trained=True)
    back = fastnn.models.load_model(saved / "m.keras")
    np.testing.assert_array_equal(predict(back), predict(model))
    assert back.name == model.name
    assert [x.name for x in back.layers] == [x.name for x in model.layers]
    for m in (model, back):
        m.layers[-2].rate = 0.0
        m.compile(m.optimizer, "mse")
        m.fit(batch(), np.ones((8, 2), "f"), epochs=1, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(back.optimizer.iterations) == 3


@pytest.mark.parametrize("name", ["m.weights.h5", "m.keras", "m.h5"])
def test_weights_load_from_every_kind_of_keras_file(saved, name):
    model = small()
    before = predict(model)
    model.load_weights(saved / name)
    assert np.abs(predict(model) - before).max() > 1e-3
    np.testing.assert_array_equal(predict(model), predict(small(trained=True)))


def test_legacy_file_loads_whole(saved):
    back = fastnn.models.load_model(saved / "m.h5")
    np.testing.assert_array_equal(predict(back), predict(small(trained=True)))


def test_layout_is_keras_3(saved):
    with zipfile.ZipFile(saved / "m.keras") as archive:
        assert archive.namelist() == ["metadata.json", "config.json", "model.weights.h5"]
        assert all(i.compress_type == zipfile.ZIP_STORED for i in archive.infolist())
        config = json.loads(archive.read("config.json"))
        metadata = json.loads(archive.read("metadata.json"))
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")), "r")
    assert set(metadata) == {"keras_version", "date_saved"}
    assert (config["module"], config["class_name"]) == ("keras.src.models.functional", "Functional")
    assert config["config"]["input_layers"] == [["a", 0, 0], ["b", 0, 0]]
    entries = {x["name"]: x for x in config["config"]["layers"]}
    shared = entries["shared"]
    assert shared["module"] == "keras.layers"
    assert shared["registered_name"] is None
    assert shared["build_config"] == {"input_shape": [None, 4]}
    assert len(shared["inbound_nodes"]) == 2
    tensor = shared["inbound_nodes"][1]["args"][0]
    assert tensor["class_name"] == "__keras_tensor__"
    assert tensor["config"]["keras_history"][1:] == [0, 0]
    assert config["compile_config"]["optimizer"]["class_name"] == "Adam"
    # Groups are numbered by class; the layer's own name is an attribute.
    names = [weights[f"layers/{g}/vars"].attrs["name"] for g in ("dense", "dense_1", "dense_2")]
    assert "shared" in names
    assert weights["layers/dense_3/vars"].attrs["name"] == "head"
    assert weights["layers/sequential/layers/p_re_lu/vars/0"].shape == (3,)
    assert len(weights["optimizer/vars"]) == 2 + 2 * len(small().trainable_weights)


def test_own_classes_travel_by_registered_name(tmp_path):
    @fastnn.saving.register_keras_serializable("shop")
    class Scale(fastnn.layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            self.gain = self.add_weight((input_shape[-1],), "ones", name="gain")

        def call(self, x):
            return x * self.gain * self.factor

    model = fastnn.Sequential([layers.Input((3,)), Scale(2.5), layers.Dense(2)])
    model.layers[0].gain.assign(np.array([1.0, 2.0, 3.0], "f"))
    model.save(tmp_path / "m.keras")
    x = np.ones((2, 3), "f")
    back = fastnn.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(back.predict(x, verbose=0), model.predict(x, verbose=0))
    del fastnn.saving.get_custom_objects()["shop>Scale"]
    del fastnn.saving.get_custom_objects()["Scale"]
    with pytest.raises(FormatError, match="custom_objects="):
        fastnn.models.load_model(tmp_path / "m.keras")
    fastnn.models.load_model(tmp_path / "m.keras", custom_objects={"Scale": Scale})


def test_subclassed_model_is_rebuilt_and_filled(tmp_path):
    class Net(fastnn.Model):
        def __init__(self, units=4, **kwargs):
            super().__init__(**kwargs)
            self.units = units
            self.second = layers.Dense(2)
            self.blocks = [layers.Dense(units, activation="relu"), layers.Dense(units)]

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return self.second(x)

    model = Net(5)
    x = np.random.default_rng(1).standard_normal((6, 3)).astype("f")
    wanted = np.asarray(model(x))
    model.save(tmp_path / "m.keras")
    back = fastnn.models.load_model(tmp_path / "m.keras", custom_objects={"Net": Net})
    np.testing.assert_allclose(np.asarray(back(x)), wanted, atol=1e-6)


def test_skip_mismatch_keeps_what_does_not_fit(saved, tmp_path):
    model = fastnn.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(2)])
    model.save_weights(tmp_path / "w.weights.h5")
    other = fastnn.Sequential([layers.Input((3,)), layers.Dense(4), layers.Dense(5)])
    kept = other.layers[1].get_weights()[0]
    with pytest.raises(FormatError, match=r"'layers/dense_1/vars/0' has shape \(4, 2\)"):
        other.load_weights(tmp_path / "w.weights.h5")
    with pytest.warns(UserWarning, match="dense_1/vars/0"):
        other.load_weights(tmp_path / "w.weights.h5", skip_mismatch=True)
    np.testing.assert_array_equal(
        other.layers[0].get_weights()[0], model.layers[0].get_weights()[0]
    )
    np.testing.assert_array_equal(other.layers[1].get_weights()[0], kept)


# ---- real files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5", 50),
        ("fer2013_mini_XCEPTION.102-0.66.hdf5", 0),
    ],
)
def test_real_legacy_weights_are_read_as_stored(data_dir, name, count):
    path = data_dir / "weights" / "keras_h5" / name
    if not path.is_file():
        pytest.skip(f"no {name} in the data folder")
    found = fastnn.files.keras.read_weights(str(path))
    assert len(found) > 30
    if count:
        assert len(found) == count
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        n = 0
        for layer in root.attrs["layer_names"]:
            group = root[layer]
            for weight in group.attrs["weight_names"]:
                key = f"{layer.decode()}/{weight.decode()}"
                np.testing.assert_array_equal(found[key], group[weight][()])
                n += 1
    assert n == len(found)


def test_batch_normalisation_of_a_real_old_file_loads_into_layers(data_dir):
    path = data_dir / "weights" / "keras_h5" / "fer2013_mini_XCEPTION.102-0.66.hdf5"
    if not path.is_file():
        pytest.skip("no fer2013 model in the data folder")
    found = fastnn.files.keras.read_weights(str(path))
    mine = [v for k, v in found.items() if k.startswith("batch_normalization_1/")]
    assert [v.shape for v in mine] == [(8,)] * 4
    layer = layers.BatchNormalization()
    layer.build((None, 8))
    layer.set_weights(mine)
    x = np.random.default_rng(0).standard_normal((5, 8)).astype("f")
    gamma, beta, mean, variance = mine
    wanted = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(np.asarray(layer(x)), wanted, rtol=1e-5, atol=1e-5)


# ---- plain mistakes ------------------------------------------------------------------------------


def test_files_that_are_not_keras_say_their_first_bytes(tmp_path):
    for name, expected in (("junk.keras", "zip"), ("junk.h5", "HDF5"), ("j.weights.h5", "HDF5")):
        (tmp_path / name).write_bytes(b"junk and more")
        with pytest.raises(FormatError, match=rf"first bytes 6a 75 6e 6b; expected {expected}"):
            fastnn.models.load_model(tmp_path / name)
    (tmp_path / "empty.keras").write_bytes(b"")
    with pytest.raises(FormatError, match="empty"):
        fastnn.models.load_model(tmp_path / "empty.keras")


def test_missing_files_name_similar_ones(saved):
    with pytest.raises(FileNotFoundError, match=r"did you mean.*m\.keras"):
        fastnn.models.load_model(saved / "n.keras")


def test_weights_files_are_not_models(saved):
    with pytest.raises(FormatError, match="load_weights"):
        fastnn.models.load_model(saved / "m.weights.h5")


def test_whole_models_are_not_written_as_files_of_weights(tmp_path):
    with pytest.raises(ValueError, match=r"m\.keras"):
        small().save(tmp_path / "m.weights.h5")
    assert list(tmp_path.iterdir()) == []


def test_without_h5py_the_message_names_the_extra(run_python, saved):
    run_python(
        "import sys; sys.modules['h5py'] = None\n"
        "import fastnn\n"
        "try: fastnn.models.load_model(sys.argv[1])\n"
        "except ImportError as e: assert 'fastnn-rs[keras-files]' in str(e), e\n"
        "else: raise SystemExit('no error')\n",
        str(saved / "m.keras"),
    )


def test_lambda_is_neither_written_nor_read(tmp_path):
    model = fastnn.Sequential([layers.Input((2,)), layers.Lambda(lambda x: x * 2, name="twice")])
    with pytest.raises(ValueError, match="custom_objects"):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []
    entry = {"module": "keras.layers", "class_name": "Lambda", "registered_name": None,
             "config": {"name": "twice", "function": {"class_name": "__lambda__",
                        "config": {"value": "4wEAAAA="}}}}  # fmt: skip
    path = tmp_path / "l.keras"
    plain = fastnn.Sequential([layers.Input((2,)), layers.Identity(name="twice")])
    plain.save(path)
    _edit_config(path, lambda c: c["config"]["layers"].__setitem__(1, entry))
    for kwargs in ({}, {"safe_mode": False}):
        with pytest.raises(FormatError, match=r"'twice' \(Lambda\) holds code"):
            fastnn.models.load_model(path, **kwargs)
    back = fastnn.models.load_model(path, custom_objects={"twice": lambda x: x * 3})
    np.testing.assert_array_equal(back.predict(np.ones((1, 2), "f"), verbose=0), [[3.0, 3.0]])


def test_failed_save_leaves_the_old_file_and_no_other(saved, tmp_path, monkeypatch):
    path = tmp_path / "m.keras"
    path.write_bytes((saved / "m.keras").read_bytes())
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(OSError, match="No space left"):
        small().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_what_a_killed_save_left_is_removed(tmp_path):
    left = tmp_path / ".m.keras.999999999-k0.fastnn-tmp"
    left.write_bytes(b"half")
    os.utime(left, (0, 0))  # by its name an older version wrote it; its age says that it is gone
    small().save(tmp_path / "m.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


# ---- hostile files -------------------------------------------------------------------------------


def _edit_config(path, change):
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    write_zip(path, members)


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
        _edit_config(path, change)
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

        _edit_config(path, grow)

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


class Counted(layers.Layer):
    """Keeps a table of its own making beside its weight."""

    def build(self, input_shape):
        self.scale = self.add_weight(name="scale", shape=(), initializer="ones")
        self.table = np.zeros(0)

    def call(self, inputs):
        return inputs * self.scale.value

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["table"] = self.table

    def load_own_variables(self, store):
        self.table = np.array(store["table"])
        super().load_own_variables({k: v for k, v in store.items() if k != "table"})


def test_layers_may_store_their_values_in_their_own_way(tmp_path):
    model = fastnn.Sequential([layers.Input((2,)), Counted(), layers.Dense(1)])
    model.layers[0].table = np.arange(5.0)
    model.layers[0].scale.assign(3.0)
    model.save(tmp_path / "m.keras")
    again = fastnn.models.load_model(tmp_path / "m.keras", custom_objects={"Counted": Counted})
    assert again.layers[0].table.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    x = np.ones((1, 2), np.float32)
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


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


def test_an_h5_file_that_could_not_be_loaded_is_not_written(tmp_path):
    class Net(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.head = fastnn.layers.Dense(2)

        def call(self, x):
            return self.head(x)

    net = Net()
    net(np.ones((1, 3), np.float32))
    with pytest.raises(NotImplementedError, match=r"subclass \(Net\)(.|\n)*m.weights.h5"):
        net.save(tmp_path / "m.h5")
    assert not list(tmp_path.iterdir())


def test_files_that_name_layers_by_private_attributes_still_load(tmp_path):
    def model():
        entrance = fastnn.Input((5, 4))
        attention = fastnn.layers.MultiHeadAttention(2, 3)
        return fastnn.Model(entrance, attention(entrance, entrance))

    written, path = model(), tmp_path / "m.weights.h5"
    written.save_weights(path)
    with h5py.File(path, "r+") as file:
        group = file["layers/multi_head_attention"]
        for name in ("query", "key", "value", "output"):  # as Keras did before these properties
            group.move(f"{name}_dense", f"_{name}_dense")
    other = model()
    other.load_weights(path)
    for a, b in zip(other.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
