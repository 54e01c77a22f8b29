"""Mutated model files of every format, loaded one after another; a program of its own.

`python tests/files/fuzz_files.py KIND FIRST COUNT FOLDER` loads mutants FIRST to FIRST + COUNT - 1
of the files that `write_originals(FOLDER)` left there. A mutant is a FormatError or a working
model; any other exception, 2 s of processor time (the process dies of SIGPROF) or 512 MB end the
run. The file `FOLDER/KIND.seed` names the mutant at hand. Depends on h5py but for
`safetensors`.
"""

import json
import math
import random
import signal
import struct
import sys
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers

SUFFIX = {"safetensors": ".safetensors", "keras": ".keras", "config": ".keras",
          "weights": ".weights.h5", "legacy": ".h5"}  # fmt: skip
SECONDS, MEGABYTES = 2.0, 512
VALUES = [
    None, True, -1, 0, 1, 10**9, 10**40, 1e308, float("nan"), "", "x", "__lambda__", [], {},
    [[]], [None], "os.system", {"class_name": "Dense", "config": {}}, "copy",
]  # fmt: skip


def small(trained=False):
    """A model of two inputs, shared and nested layers, ops, moving averages and random state."""
    fastnn.utils.set_random_seed(3)
    fastnn.utils.clear_session()
    a, b = layers.Input((4,), name="a"), layers.Input((3,), name="b")
    shared = layers.Dense(5, activation="tanh", name="shared")
    x = shared(layers.Dense(4, kernel_regularizer="l2")(a))
    y = shared(layers.Dense(4)(b))
    inner = fastnn.Sequential([layers.Input((5,)), layers.Dense(3), layers.PReLU()], name="inner")
    z = layers.Concatenate()([layers.BatchNormalization()(x), inner(y)])
    z = fastnn.ops.tanh(z) * 2.0 + (1.0 - z)[:, :1]
    model = fastnn.Model([a, b], layers.Dense(2, name="head")(layers.Dropout(0.2)(z)), name="net")
    if trained:
        model.compile(fastnn.optimizers.Adam(0.01), "mse", metrics=["mae"])
        model.fit(batch(), np.ones((8, 2), "f"), epochs=2, verbose=0)
    return model


def tiny(trained=False):
    """A stack that loads in a fraction of the time of `small`."""
    fastnn.utils.set_random_seed(4)
    fastnn.utils.clear_session()
    model = fastnn.Sequential(
        [layers.Input((3,)), layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dense(2)]
    )
    if trained:
        model.compile(fastnn.optimizers.SGD(0.01, momentum=0.9), "mse")
        model.fit(np.ones((8, 3), "f"), np.ones((8, 2), "f"), verbose=0)
    return model


def batch():
    """Inputs for `small`."""
    rng = np.random.default_rng(5)
    return [rng.standard_normal((8, 4)).astype("f"), rng.standard_normal((8, 3)).astype("f")]


def write_legacy(path, model):
    """A whole model as Keras's legacy format keeps it, by the published layout."""
    import h5py

    from fastnn.files.keras.write_config import model_entry

    def plain_entry(entry):
        config = dict(entry["config"])
        if "layers" in config:
            config["layers"] = [plain_entry(x) for x in config["layers"]]
        keep = {k: entry[k] for k in ("name", "inbound_nodes") if k in entry}
        return {"class_name": entry["class_name"], "config": config, **keep}

    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "3.15.1"
        file.attrs["model_config"] = json.dumps(plain_entry(model_entry(model)))
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [x.name for x in model.layers]
        for layer in model.layers:
            inner = group.create_group(layer.name)
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = [f"{layer.name}/w{i}:0" for i in range(len(weights))]
            inner.attrs["weight_names"] = names
            for name, w in zip(names, weights, strict=True):
                inner.create_dataset(name, data=w.numpy())


def write_originals(folder):
    """The files whose mutants are loaded: `small` and `tiny` in each format."""
    for make in (small, tiny):
        model, stem = make(trained=True), str(folder / make.__name__)
        model.save(f"{stem}.safetensors")
        model.save(f"{stem}.keras")
        model.save_weights(f"{stem}.weights.h5")
        write_legacy(f"{stem}.h5", model)


def members_of(path):
    """The members of a zip by name."""
    with zipfile.ZipFile(path) as archive:
        return {n: archive.read(n) for n in archive.namelist()}


def edit_config(path, change):
    """Changes the config within a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        members = {n: archive.read(n) for n in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    members["config.json"] = json.dumps(config).encode()
    write_zip(path, members)


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    """A zip of these members."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


# ---- mutators ------------------------------------------------------------------------------------


def mutated(rng, data):
    """The bytes with one or a few places changed, removed, copied or added."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16])):
        at = rng.randrange(len(data))
        kind = rng.randrange(6)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([0, 1, 127, 128, 255])
        elif kind == 2:
            size = rng.choice([2, 4, 8])
            data[at : at + size] = rng.choice([b"\xff", b"\0", b"\x7f"]) * size
        elif kind == 3:
            del data[at : at + rng.randrange(1, 64)]
        elif kind == 4:
            other = rng.randrange(len(data))
            data[at : at + 16] = data[other : other + 16]
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 16))
        if not data:
            data = bytearray(b"x")
    return bytes(data)


def mutated_config(rng, config):
    """The JSON value with one to three places replaced, dropped or copied over."""
    config = json.loads(json.dumps(config))
    places = []
    pending = [config]
    while pending:
        node = pending.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                pending.append(node[key])
    for _ in range(rng.choice([1, 1, 2, 3])):
        node, key = rng.choice(places)
        if isinstance(node, list) and key >= len(node):
            continue
        value = rng.choice(VALUES)
        if value == "copy":
            other, where = rng.choice(places)
            there = where in (other if isinstance(other, dict) else range(len(other)))
            value = json.loads(json.dumps(other[where] if there else None))
        if isinstance(node, dict) and rng.random() < 0.2:
            node.pop(key, None)
        else:
            node[key] = value
    return config


def mutated_safetensors(rng, data):
    """A quarter of the mutants keep the outer structure: values inside the JSON texts change."""
    size = struct.unpack("<Q", data[:8])[0]
    way = rng.random()
    if way < 0.35:
        return mutated(rng, data)
    if way < 0.75:
        text = mutated(rng, data[8 : 8 + size])
        return struct.pack("<Q", len(text)) + text + data[8 + size :]
    header = json.loads(data[8 : 8 + size])
    texts = header["__metadata__"]
    key = rng.choice([k for k, v in texts.items() if v[0] == "{"] + [None])
    if key is None:
        header = mutated_config(rng, header)
    else:
        texts[key] = json.dumps(mutated_config(rng, json.loads(texts[key])))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


class Mutants:
    """The mutants of one kind by number; every sixteenth is one of the larger model."""

    def __init__(self, kind, folder):
        self.kind = kind
        self.path = folder / f"mutant-{kind}{SUFFIX[kind]}"
        self.originals = [Original(folder / f"{m}{SUFFIX[kind]}") for m in ("small", "tiny")]
        self.models = [small(), tiny()]

    def write(self, number):
        """Writes a mutant, the same for the same number, and gives a model of its shapes."""
        rng, which = random.Random(number), int(number % 16 > 0)
        original = self.originals[which]
        if self.kind == "config":
            text = json.dumps(mutated_config(rng, original.config)).encode()
            write_zip(self.path, {**original.members, "config.json": text})
        elif self.kind == "keras" and rng.random() < 0.5:
            name = rng.choice(list(original.members))
            part = mutated(rng, original.members[name])
            write_zip(self.path, {**original.members, name: part})
        elif self.kind == "safetensors":
            self.path.write_bytes(mutated_safetensors(rng, original.whole))
        else:
            self.path.write_bytes(mutated(rng, original.whole))
        return self.models[which]


class Original:
    """A whole file, and what a zip holds."""

    def __init__(self, path):
        self.whole = path.read_bytes()
        self.members = members_of(path) if path.suffix == ".keras" else {}
        self.config = json.loads(self.members.get("config.json", "null"))


# ---- loading -------------------------------------------------------------------------------------


def peak_megabytes():
    """The most memory that this process has held; Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith("VmHWM"))


def try_out(model):
    """A prediction with a model that loaded, where its inputs are of ordinary size."""
    try:
        shapes = model.input_shape
    except AttributeError:  # a file may leave the shape open
        return
    shapes = list(shapes.values()) if isinstance(shapes, dict) else shapes
    shapes = [shapes] if isinstance(shapes, tuple) else shapes
    sizes = [[n or 1 for n in s[1:]] for s in shapes]
    if all(math.prod(s) < 100_000 for s in sizes):
        x = [np.ones((2, *s), np.float32) for s in sizes]
        model.predict(x[0] if len(x) == 1 else x, verbose=0)


def load(kind, path, model):
    """Loads a mutant into a model, or as one."""
    if kind == "weights":
        model.load_weights(path)
    else:
        return fastnn.models.load_model(path)
    return None


def main(kind, first, count, folder):
    """Loads the mutants and prints a report as JSON."""
    warnings.simplefilter("ignore")
    mutants = Mutants(kind, folder)
    at = open(folder / f"{kind}.seed", "w")  # noqa: SIM115
    loaded, slowest = 0, 0.0
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    for number in range(first, first + count):
        model = mutants.write(number)
        at.seek(0)
        at.write(f"{number:12}")
        at.flush()
        began = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            found = load(kind, mutants.path, model)
            loaded += 1
            if found is not None and number % 10 == 0:
                try_out(found)
        except fastnn.FormatError as error:
            if "\n  hint: " not in str(error):
                raise SystemExit(f"{kind} mutant {number}: no hint: {error}") from error
        except Exception as error:
            raise SystemExit(f"{kind} mutant {number}: {type(error).__name__}: {error}") from error
        signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - began)
        if number % 64 == 0 and peak_megabytes() > MEGABYTES:
            raise SystemExit(f"{kind} mutant {number} or 64 before: {peak_megabytes():.0f} MB")
    report = {"loaded": loaded, "slowest": round(slowest, 3), "peak_mb": round(peak_megabytes())}
    print(json.dumps(report))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
