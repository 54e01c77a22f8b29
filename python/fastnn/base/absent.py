"""Names of Keras and TensorFlow that fastnn does not have: why, and what to do instead.

One table for all packages and modules; their `__getattr__` and the import system answer from it.
A name that is neither here nor close to a known one is answered with where to look, never with an
unrelated name. Depends on the standard library.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from fastnn.namespaces import MODULES, OLDER

__all__ = [
    "ABSENT",
    "OF_MODELS",
    "answer_from",
    "answer_missing",
    "close_names",
    "homes_of",
    "missing",
    "older_path",
    "reason",
]

_README = "the guide for Keras users (docs/keras.md) lists what is there and what is missing"
_IN_IMAGE = ("image functions are in fastnn.ops.image", "fastnn.ops.image.affine_transform")
_COMPLEX = ("fastnn has no complex numbers", "keep real and imaginary parts in two tensors")
_FILES = ("only its own files are written", "model.save('m.keras') or model.save('m.safetensors')")
_QUANTIZERS = ("there are no quantizer objects", "model.quantize('int8'), or 'bfloat16'")
_ONE_DEVICE = ("fastnn computes on the cores of one machine", "leave it out: all cores are used")

_RECORDS = (
    "TFRecord files are not read or written",
    "numpy.save and numpy.load, pandas.read_csv, or fastnn.data.Dataset.from_generator",
)

_SPECIAL = (
    "this special function is not computed",
    "scipy.special on arrays; tf.math.lgamma and tf.math.digamma are there",
)
_WRAPPED = (
    "this wrapper of older Keras and scikeras is now keras.wrappers.SKLearn…",
    "fastnn.wrappers.SKLearnClassifier(model=build, fit_kwargs={'epochs': 10}), or "
    "fastnn.sklearn.FastNNClassifier([64, 64], epochs=10)",
)

#: `section.name` (patterns as in `fnmatch`): what it is, and what to do instead.
ABSENT: dict[str, tuple[str, str]] = {
    # Layers.
    "layers.CuDNN*": ("there is one implementation of a layer", "layers.LSTM, layers.GRU"),
    "layers.MaxNumBoundingBoxes": (
        "layers of images do not change bounding boxes", "use fastnn.utils.bounding_boxes",
    ),
    "layers.TFSMLayer": ("SavedModels are not read", "load_model reads .keras and .safetensors"),
    "layers.*TorchModule*": ("there is no PyTorch back end", "rebuild the layer, set_weights it"),
    "layers.*Jax*": ("there is no JAX back end", "rebuild the layer, set_weights it"),
    "layers.*Flax*": ("there is no JAX back end", "rebuild the layer, set_weights it"),
    "layers.LocallyConnected*": ("it went from Keras in 2023", "fastnn.layers.Conv1D, Conv2D"),
    "layers.RandomHeight": ("it went from Keras in 2023", "fastnn.layers.RandomZoom(0.2, 0.0)"),
    "layers.RandomWidth": ("it went from Keras in 2023", "fastnn.layers.RandomZoom(0.0, 0.2)"),
    "layers.ThresholdedReLU": (
        "it went from Keras in 2023",
        "fastnn.layers.Lambda(lambda x: fastnn.ops.where(x > 1.0, x, 0.0))",
    ),
    # Ops.
    "ops.image_*": ("patches of images are not part of fastnn yet", _README),
    "ops.polar": _COMPLEX, "ops.view_as_*": _COMPLEX,
    "ops.view": ("bits are not read as another type", "numpy's x.view(dtype) on the array"),
    "ops.*_transform": _IN_IMAGE,
    "ops.extract_patches*": _IN_IMAGE,
    "ops.gaussian_blur": _IN_IMAGE, "ops.map_coordinates": _IN_IMAGE,
    "ops.scale_and_translate": _IN_IMAGE, "ops.ssim": _IN_IMAGE,
    "ops.sobel_edges": _IN_IMAGE,
    # Utilities and preprocessing.
    "utils.model_to_dot": ("there is no graphviz", "plot_model(model, 'model.svg')"),
    "utils.get_source_inputs": ("models keep their inputs", "model.inputs"),
    "utils.legacy": ("old helpers are not here", _README),
    "utils.multi_gpu_model": _ONE_DEVICE,
    "backend.gradients": ("there is no graph session", "tape.gradient of tf.GradientTape()"),
    "backend.function": ("there is no graph session", "keras.Model(inputs, outputs)"),
    # TensorFlow's namespaces.
    # The packages.
    "estimator": ("estimators are not part of fastnn", "model.fit"),
    "feature_column": ("feature columns are not part of fastnn", "fastnn.utils.FeatureSpace"),
    "wrappers.KerasClassifier": _WRAPPED, "wrappers.KerasRegressor": _WRAPPED,
    "wrappers.BaseWrapper": _WRAPPED, "wrappers.scikit_learn": _WRAPPED,
    "wrappers.scikit_learn.*": _WRAPPED,
    "saved_model": ("SavedModels are not written or read", _FILES[1]),
    "lite": ("TensorFlow Lite files are not written", "the Rust crate predicts without Python"),
    "export": _FILES,
    "train.*Example*": _RECORDS,
    "train.*Feature*": _RECORDS,
    "train.*List": _RECORDS,
    "train.ExponentialMovingAverage": (
        "means of weights are kept by the optimizer", "fastnn.optimizers.Adam(use_ema=True)",
    ),
    "train.*Optimizer": ("programs of TensorFlow 1 do not run", "fastnn.optimizers"),
    "io.TFRecord*": _RECORDS, "io.tf_record*": _RECORDS, "python_io": _RECORDS,
    "io.parse_*example": _RECORDS,
    "io.*Feature": _RECORDS,
    "io.serialize_tensor": ("tensors are not written as bytes", "numpy.save(path, x.numpy())"),
    "io.parse_tensor": ("tensors are not read from bytes", "numpy.load(path)"),
    "io.decode_raw": ("bytes are not read as numbers", "numpy.frombuffer(data, dtype)"),
    "RaggedTensorSpec": (
        "ragged tensors are not supported", "fastnn.utils.pad_sequences(rows), and TensorSpec",
    ),
    "*igamma*": _SPECIAL, "math.betainc": _SPECIAL, "math.polygamma": _SPECIAL,
    "math.zeta": _SPECIAL,
    "sparse.*": ("only the elements and their places are kept", "tf.sparse.to_dense(x)"),
    "summary.trace*": ("there is no profiler of TensorFlow", "fastnn.profile(model, x)"),
    "ragged": ("ragged tensors are not supported", "fastnn.utils.pad_sequences(rows)"),
    "RaggedTensor": ("ragged tensors are not supported", "fastnn.utils.pad_sequences(rows)"),
    "no_grad": ("gradients are counted inside a tape alone", "leave it out"),
    "Session": ("there is no graph session", "call the model, or fastnn.jit(f)"),
    "compat.v1.*": ("programs of TensorFlow 1 do not run", "port them to Keras 3 first"),
    "placeholder": ("there is no graph session", "fastnn.Input, or arguments of a function"),
    "complex64": _COMPLEX, "complex128": _COMPLEX, "complex": _COMPLEX,
    "profiler": ("there is no profiler of TensorFlow", "Function.steps shows what a step runs"),
    "raw_ops": ("there are no raw ops", "fastnn.op_table() lists the rows"),
    "quantizers": _QUANTIZERS, "Quantizer": _QUANTIZERS,
    "RematScope": (
        "what is kept for gradients and what is computed again is chosen by the compiler",
        "leave it out; fastnn.remat(f) is taken, and gives f",
    ),
    "SymbolicScope": (
        "layers and ops see by their arguments whether they are called on symbolic tensors",
        "leave it out; layer.compute_output_spec(KerasTensor(shape)) gives shapes",
    ),
    "config.is_nnx_enabled": ("there is no JAX back end", "leave it out"),
    "config.set_backend": ("fastnn is its own back end", "leave it out"),
    "dtype_policies.Int4DTypePolicy": (
        "weights are quantised after training", "model.quantize('int8'), or 'bfloat16'",
    ),
    "config.*max_epochs": ("runs are not cut from outside", "fit(epochs=..., steps_per_epoch=...)"),
    "config.*max_steps_per_epoch": (
        "runs are not cut from outside", "fit(epochs=..., steps_per_epoch=...)",
    ),
    "saving.KerasFileEditor": (
        "files are not edited in place",
        "load_model(path), set_weights of its layers, and save it again",
    ),
    "src": ("private modules of Keras are not here", "the public name, e.g. fastnn.layers"),
    "engine": ("private modules of Keras are not here", "the public name, e.g. fastnn.layers"),
    "python": ("private modules of TensorFlow are not here", "fastnn.layers and the like"),
    "legacy": ("old names of Keras are not here", _README),
    "experimental": ("experimental names of Keras are not here", _README),
    "tpu": _ONE_DEVICE, "TPUStrategy": _ONE_DEVICE,
    "distribute.*": _ONE_DEVICE,
    "distribution.*": _ONE_DEVICE,
    "data.TFRecordDataset": _RECORDS,
    "data.experimental.*": ("it is not part of fastnn", "fastnn.data.Dataset has its methods"),
    "models.Model": ("it is at the top", "fastnn.Model"),
    "optimizers.MultiOptimizer": (
        "a model has one optimizer", "train_step with an optimizer for each group of variables",
    ),
    "optimizers.OptimizerMap": (
        "a model has one optimizer", "train_step with an optimizer for each group of variables",
    ),
    "callbacks.RemoteMonitor": ("nothing is sent over the network", "LambdaCallback"),
    "callbacks.OrbaxCheckpoint": ("Orbax files are not written", "ModelCheckpoint"),
}  # fmt: skip

#: Methods and attributes of models in older versions of Keras: why they went, and what to do.
OF_MODELS: dict[str, tuple[str, str]] = {
    "fit_generator": ("fit takes generators itself", "model.fit(generator, epochs=...)"),
    "evaluate_generator": ("evaluate takes generators itself", "model.evaluate(generator)"),
    "predict_generator": ("predict takes generators itself", "model.predict(generator)"),
    "predict_classes": (
        "it went from Keras in 2021",
        "model.predict(x).argmax(-1), or (model.predict(x) > 0.5)",
    ),
    "predict_proba": ("it went from Keras in 2021", "model.predict(x)"),
    "add_metric": (
        "it went from Keras in 2023",
        "self.m = fastnn.metrics.Mean(name='m') in __init__, self.m.update_state(x) in call",
    ),
    "reset_metrics": ("every run starts with fresh metrics", "leave it out"),
    "to_yaml": ("YAML can run code", "model.to_json()"),
    "total_loss": ("a model keeps no graph of its loss", "model.compute_loss(y=y, y_pred=p)"),
    "targets": ("a model keeps no placeholders", "train_step(self, data) gets the targets"),
    "state_updates": ("weights say all of a model's state", "model.non_trainable_variables"),
    "zero_grad": (
        "there is no PyTorch back end",
        "with tf.GradientTape() as tape: …, tape.gradient(loss, model.trainable_variables) with "
        "import fastnn as tf, which starts from zero",
    ),
    "train_function": ("steps are traced when they are first run", "leave it out"),
}

#: Packages under whose names sections stand: `fastnn.keras.layers` is the section `layers`.
_PACKAGES = ("fastnn.keras.", "fastnn.")


def section(where: str) -> str:
    """The section of the table for a module: 'layers' for `fastnn.keras.layers`."""
    for package in _PACKAGES:
        if f"{where}.".startswith(package):
            return where[len(package) :].split(".")[0]
    return where


def reason(where: str, name: str) -> tuple[str, str] | None:
    """What the name of a module is and what to do instead, None where the table has nothing."""
    part = section(where)
    from fnmatch import fnmatchcase

    full = f"{part}.{name}" if part else name
    if full in ABSENT:
        return ABSENT[full]
    for pattern, answer in ABSENT.items():
        if "*" in pattern and fnmatchcase(full, pattern):
            return answer
    return None


def close_names(word: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Names that `word` may have been meant for: alike in nearly all letters, best first."""
    from difflib import SequenceMatcher

    lower = word.lower()
    scores = []
    for name in known:
        score = SequenceMatcher(None, lower, name.lower()).ratio()
        if score >= 0.82:
            scores.append((-score, name))
    return [name for _, name in sorted(scores)[:count]]


def missing(where: str, name: str, known: Iterable[str], depth: int = 2) -> Exception:
    """The error for a name that a module does not have.

    An AttributeError, or an ImportError when the caller's caller runs `from module import name`:
    Python would replace the text of an AttributeError there.
    """
    frame = sys._getframe(depth)
    if frame.f_globals.get("__name__") == "importlib._bootstrap":
        return AttributeError(name)  # a submodule is asked for; nobody reads this
    absent = None if name.startswith("__") else reason(where, name)
    if absent is not None:
        text = f"{where} has no {name!r}: {absent[0]}\n  hint: {absent[1]}"
    elif name.startswith("_"):
        text = f"{where} has no {name!r}"
    else:
        known = list(known)
        close = close_names(name, known)
        if close:
            hint = f"did you mean {', '.join(close)}?"
        elif elsewhere := _elsewhere(where, name):
            hint = f"it is {elsewhere}"
        else:
            hint = f"dir({where}) lists what there is"
        text = f"{where} has no {name!r}\n  hint: {hint}"
    return as_asked(text, where, depth + 1)


def as_asked(text: str, where: str, depth: int = 2) -> Exception:
    """An ImportError where the frame `depth` calls up imports a name, else an AttributeError."""
    frame = sys._getframe(depth)
    code = frame.f_code.co_code
    if 0 <= frame.f_lasti < len(code) and code[frame.f_lasti] == _import_from():
        return ImportError(text, name=where)
    return AttributeError(text)


def older_path(where: str, name: str) -> ModuleType | None:
    """The module under one of the paths of older Keras, `optimizers.legacy`, asked for by name."""
    inner = where.removeprefix("fastnn.").removeprefix("keras.")
    if f"{inner}.{name}" not in OLDER:
        return None
    return import_module(f"{where}.{name}")


def answer_missing(
    module: dict[str, Any], where: str = "", homes: Mapping[str, str] | None = None
) -> None:
    """Gives a module a `__getattr__` that answers for names it does not have.

    `where` is the name under which users know the module, if that is another one; `homes` says
    of names that it gets when they are asked for which module they are in, or are.

    Set here and not written in the module, so that type checkers go on finding wrong names.
    """
    where, known, homes = where or module["__name__"], module["__all__"], homes or {}

    def __getattr__(name: str) -> Any:
        if name in homes:
            home = import_module(homes[name])
            module[name] = found = home if homes[name].endswith(f".{name}") else getattr(home, name)
            return found
        older = older_path(where, name)
        if older is not None:
            return older
        raise missing(where, name, known)

    module["__getattr__"] = __getattr__
    if homes:
        module["__dir__"] = lambda: sorted({*module, *homes})


def homes_of(package: str, modules: Mapping[str, str]) -> dict[str, str]:
    """`homes` of `answer_missing`, from the names in each module of a package, between spaces."""
    return {
        name: f"{package}.{module}" for module, names in modules.items() for name in names.split()
    }


def _import_from() -> int:
    """The instruction that `from module import name` runs."""
    import opcode

    return opcode.opmap["IMPORT_FROM"]


def _elsewhere(where: str, name: str) -> str | None:
    """Another public module that has this very name."""
    for module in ("ops", "layers", "utils", "losses", "metrics", "callbacks", "optimizers",
                   "models", "activations", "initializers", "random", "config"):  # fmt: skip
        if f"fastnn.{module}" == where:
            continue
        home = import_module(MODULES[module])
        if name in vars(home) or name in getattr(home, "__all__", ()):
            return f"fastnn.{module}.{name}"
    return None


def answer_from(module: dict[str, Any], package: str) -> None:
    """Gives a module under one of Keras's further paths the names of its package as well."""
    where = module["__name__"]

    def __getattr__(name: str) -> Any:
        whole = sys.modules[package]
        if name in whole.__all__:
            return getattr(whole, name)
        raise missing(where, name, whole.__all__)

    module["__getattr__"] = __getattr__
