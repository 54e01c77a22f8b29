"""Files: models and weights come back with the same bits, names are looked up in closed tables."""

import json

import numpy as np
import pytest

import fastnn
from fastnn import layers


def trained(rng):
    model = fastnn.Sequential(
        [
            fastnn.Input((4,)), layers.Dense(8, activation="gelu", kernel_regularizer="l2"),
            layers.BatchNormalization(), layers.Dropout(0.2),
            layers.Dense(3, activation="softmax", name="head"),
        ]
    )  # fmt: skip
    model.compile(
        fastnn.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    x = rng.normal(size=(40, 4)).astype(np.float32)
    y = rng.integers(0, 3, 40)
    model.fit(x, y, epochs=2, verbose=0)
    return model, x, y


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a.get_weights(), b.get_weights(), strict=True))


def test_state_of_layers_that_were_taken_off_does_not_travel(tmp_path):
    """Found by the state machine: it went to weights of the same shapes."""
    x, y = np.ones((8, 3), np.float32), np.ones((8, 2), np.float32)
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2), layers.Dense(2)])
    model.compile(fastnn.optimizers.Adam(0.1), "mse")
    model.fit(x, y, epochs=3, verbose=0)
    model.pop()
    model.add(layers.Dense(2))
    for suffix in ("safetensors", "keras"):
        model.save(tmp_path / f"m.{suffix}")
        again = fastnn.models.load_model(tmp_path / f"m.{suffix}")
        state = again.optimizer.part(again.layers[0].weights).variables
        wanted = model.optimizer.part(model.layers[0].weights).variables
        for a, b in zip(state, wanted, strict=True):
            assert np.array_equal(a.numpy(), b.numpy()), a.path
        fresh = again.optimizer.part(again.layers[1].weights).variables[2:]
        assert not any(v.numpy().any() for v in fresh)
        assert np.isfinite(again.fit(x, y, verbose=0).history["loss"][0])


def test_a_model_comes_back_with_its_training_state(rng, tmp_path):
    model, x, y = trained(rng)
    model.save(tmp_path / "m.safetensors")
    again = fastnn.load_model(tmp_path / "m.safetensors")
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert again.to_json() == model.to_json()
    model.fit(x, y, epochs=4, initial_epoch=2, verbose=0)
    again.fit(x, y, epochs=4, initial_epoch=2, verbose=0)
    assert same(model, again)
    assert again.history.history == model.history.history


def test_a_new_process_predicts_the_same_bits(rng, tmp_path, run_python):
    model, x, _ = trained(rng)
    model.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", x)
    out = run_python(
        "import sys, numpy as np, fastnn\n"
        "m = fastnn.load_model(sys.argv[1] + '/m.safetensors')\n"
        "print(m.predict(np.load(sys.argv[1] + '/x.npy'), verbose=0).tobytes().hex())",
        str(tmp_path),
    )
    assert out.strip() == model.predict(x, verbose=0).tobytes().hex()


def test_the_inference_graph_runs_without_the_layers(rng, tmp_path):
    model, x, _ = trained(rng)
    model.save(tmp_path / "m.safetensors")
    got = fastnn._core.Model.load(tmp_path / "m.safetensors").predict(x)
    assert np.array_equal(np.asarray(got), model.predict(x, verbose=0))


def test_functional_models_with_ops_and_sharing_come_back(rng, tmp_path):
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((3,), name="b")
    shared = layers.Dense(3, activation="tanh")
    joined = layers.Concatenate()([shared(a), shared(b) * 2.0 - a])
    out = layers.Dense(1)(fastnn.ops.concatenate([joined[:, 1:4], joined[..., :1]], axis=-1))
    model = fastnn.Model({"a": a, "b": b}, {"score": out, "raw": joined})
    x = {k: rng.normal(size=(5, 3)).astype(np.float32) for k in ("a", "b")}
    model.save(tmp_path / "f.safetensors")
    again = fastnn.load_model(tmp_path / "f.safetensors")
    for key, value in model.predict(x, verbose=0).items():
        assert np.array_equal(again.predict(x, verbose=0)[key], value)


def test_weights_alone_go_into_an_equal_model(rng, tmp_path):
    model, _, _ = trained(rng)
    model.save_weights(tmp_path / "w.safetensors")
    other = fastnn.models.clone_model(model)
    other.load_weights(tmp_path / "w.safetensors")
    assert same(model, other)


def test_files_are_plain_safetensors(rng, tmp_path):
    model, _, _ = trained(rng)
    model.save(tmp_path / "m.safetensors")
    raw = (tmp_path / "m.safetensors").read_bytes()
    head = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert "head/kernel" in head
    assert json.loads(head["__metadata__"]["fastnn.config"])["class_name"] == "Sequential"


def test_own_classes_are_handed_in_or_registered(rng, tmp_path):
    class Twice(layers.Layer):
        def call(self, x):
            return x * 2.0

    model = fastnn.Sequential([fastnn.Input((2,)), Twice()])
    model.save(tmp_path / "t.safetensors")
    with pytest.raises(ValueError, match=r"custom_objects=\{'Twice': Twice\}"):
        fastnn.load_model(tmp_path / "t.safetensors")
    again = fastnn.load_model(tmp_path / "t.safetensors", custom_objects={"Twice": Twice})
    assert again.predict(np.ones((1, 2), np.float32), verbose=0).tolist() == [[2.0, 2.0]]
    with fastnn.saving.custom_object_scope({"Twice": Twice}):
        fastnn.load_model(tmp_path / "t.safetensors")


def test_no_module_is_imported_for_a_name_in_a_file(run_python):
    run_python(
        "import sys, json, random, fastnn, fastnn.saving, fastnn.models, fastnn.layers\n"
        "words = ['os', 'subprocess', 'pickle', 'ctypes', 'http.client', 'sqlite3']\n"
        "for further in ({}, {'module': 'keras', 'registered_name': None}):\n"
        "    try:\n"
        "        fastnn.saving.deserialize({'class_name': 'Nobody', 'config': {}, **further})\n"
        "    except ValueError:\n"
        "        pass  # now fastnn's own tables are loaded, all of them\n"
        "bad = []\n"
        "def hook(event, args):\n"
        "    if event in ('import', 'exec', 'socket.connect', 'subprocess.Popen'):\n"
        "        bad.append((event, args[0]))\n"
        "sys.addaudithook(hook)\n"
        "rng = random.Random(0)\n"
        "for i in range(2000):\n"
        "    name = rng.choice(words) + '.' + rng.choice(['system', 'Popen', 'loads', 'x'])\n"
        "    config = {'module': name, 'class_name': name, 'config': {'name': name},\n"
        "              'registered_name': name}\n"
        "    try:\n"
        "        fastnn.saving.deserialize(config)\n"
        "    except ValueError:\n"
        "        continue\n"
        "    raise SystemExit('accepted ' + name)\n"
        "assert not bad, bad[:3]\n"
    )


@pytest.mark.parametrize("name", ["l.safetensors", "l.keras"])
def test_a_lambda_is_never_written(name, tmp_path):
    if name.endswith(".keras"):
        pytest.importorskip("h5py", reason="needs the extra [keras-files]")
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Lambda(lambda x: x)])
    with pytest.raises(ValueError, match="holds code, which is never written"):
        model.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def doubled(x):
    return x * 2.0


@pytest.mark.parametrize("name", ["l.safetensors", "l.keras"])
def test_a_named_function_of_a_lambda_is_saved_by_name(name, tmp_path):
    if name.endswith(".keras"):
        pytest.importorskip("h5py", reason="needs the extra [keras-files]")
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Lambda(doubled, name="two")])
    model.save(tmp_path / name)
    with pytest.raises(fastnn.FormatError, match="custom_objects"):
        fastnn.models.load_model(tmp_path / name)
    again = fastnn.models.load_model(tmp_path / name, custom_objects={"doubled": doubled})
    assert again.predict(np.ones((1, 2)), verbose=0).tolist() == [[2.0, 2.0]]


@pytest.mark.parametrize("name", ["a\ud800", "a\x00b"])
@pytest.mark.parametrize("file", ["m.safetensors", "m.keras", "m.weights.h5"])
def test_a_name_that_no_file_can_hold_is_refused_by_name(name, file, tmp_path):
    model = fastnn.Sequential([fastnn.Input((1,)), fastnn.layers.Dense(1, name=name)])
    write = model.save_weights if "weights" in file else model.save
    with pytest.raises(ValueError, match="cannot save layer") as fault:
        write(tmp_path / file)
    assert repr(name) in str(fault.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["Sequential", "functional"])
def test_the_graph_of_a_file_leaves_open_what_the_input_does(tmp_path, kind):
    x = fastnn.Input((None, 3))
    dense = layers.Dense(4)
    model = fastnn.Sequential([x, dense]) if kind == "Sequential" else fastnn.Model(x, dense(x))
    model.save(tmp_path / "m.safetensors")
    loaded = fastnn._core.Model.load(tmp_path / "m.safetensors")
    for n in (1, 5, 2):
        rows = np.ones((2, n, 3), "float32") * n
        assert (loaded.predict(rows) == model.predict(rows, verbose=0)).all()


@pytest.mark.parametrize("suffix", ["safetensors", "keras", "h5"])
def test_a_graph_with_arrays_of_its_own_comes_back(rng, tmp_path, suffix):
    pytest.importorskip("h5py")
    table = np.arange(6, dtype="float32").reshape(2, 3)
    x = fastnn.Input((2, 3))
    y = fastnn.ops.median(x * table, axis=-1) + fastnn.ops.convert_to_tensor(table[:, 0])
    model = fastnn.Model(x, layers.Dense(2)(y))
    path, data = str(tmp_path / f"m.{suffix}"), rng.normal(size=(4, 2, 3)).astype("float32")
    model.save(path)
    again = fastnn.models.load_model(path)
    np.testing.assert_array_equal(again.predict(data, verbose=0), model.predict(data, verbose=0))
    again.set_weights([w * 0 for w in again.get_weights()])
    if suffix == "safetensors":
        again.load_weights(path)
        assert same(again, model)
        other = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2, name="other")])
        with pytest.raises(fastnn.errors.FormatError):
            other.load_weights(path)


def test_text_that_describes_no_model_is_refused_whatever_stands_in_a_field():
    made = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2, activation="relu")])
    whole = json.loads(made.to_json())

    def places(value, path=()):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in inner:
            yield (*path, key)
            if isinstance(part, dict | list):
                yield from places(part, (*path, key))

    bare = []
    for path in places(whole):
        for wrong in (None, -1, "x", [], {}, float("inf"), "\0", True):
            config = json.loads(json.dumps(whole))
            at = config
            for key in path[:-1]:
                at = at[key]
            at[path[-1]] = wrong
            try:
                fastnn.models.model_from_json(json.dumps(config))
            except Exception as error:
                if not fastnn.errors.hint_of(error):
                    bare.append(f"{path} = {wrong!r}: {type(error).__name__}: {error}")
    assert not bare, "\n".join(bare)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{", "", b"{}", None])
def test_text_that_is_no_record_of_a_model_is_refused(text):
    with pytest.raises((ValueError, TypeError), match="hint:"):
        fastnn.models.model_from_json(text)


def test_a_model_that_never_saw_data_has_no_weights_to_save(tmp_path):
    path = tmp_path / "w.safetensors"
    for made in ([], [fastnn.layers.Rescaling(0.5)], [fastnn.layers.Dense(2)]):
        model = fastnn.Sequential(made)
        with pytest.raises(ValueError, match=r"is not built\n  hint: "):
            model.save_weights(path)
        assert not path.exists()
    inner = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(2)])
    fastnn.Sequential([inner, fastnn.layers.ReLU()]).save_weights(path)
    assert path.exists()
