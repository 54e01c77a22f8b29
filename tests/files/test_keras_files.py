"""Keras's files without Keras: round trips and plain mistakes."""

import io
import json
import os
import zipfile

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import FormatError
from fuzz_files import batch, edit_config, small

h5py = pytest.importorskip("h5py", reason='needs h5py: pip install "fastnn-rs[keras-files]"')


def predict(model):
    return model.predict(batch(), verbose=0)


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
    edit_config(path, lambda c: c["config"]["layers"].__setitem__(1, entry))
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


def test_the_state_within_the_wrapper_of_scaled_losses_is_read(tmp_path):
    """Keras wraps the optimizer of a model that is compiled under "mixed_float16"."""
    model = small(trained=True)
    model.save(tmp_path / "m.keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    weights = io.BytesIO(members["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        group = file["optimizer"]
        group.copy("vars", group, "inner_optimizer/vars")
        count = len(group["vars"])
        for i in range(4):  # its own count, rate and scale
            group["vars"].create_dataset(str(count + i), data=np.float32(i))
    members["model.weights.h5"] = weights.getvalue()
    with zipfile.ZipFile(tmp_path / "wrapped.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)

    model.save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.move("fastnn/optimizer", "optimizer_weights")
        group = file["optimizer_weights"]
        own = [f"loss_scale_optimizer/{name}" for name in ("step_counter", "dynamic_scale")]
        for name in own:
            group[name] = np.float32(1)
        names = [*own, *map(str, group.attrs["weight_names"])]
        group.attrs["weight_names"] = [name.encode() for name in names]

    for name in ("wrapped.keras", "m.h5"):
        back = fastnn.models.load_model(tmp_path / name)
        for a, b in zip(back.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(a, b)
