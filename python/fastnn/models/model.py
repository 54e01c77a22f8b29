"""`Model`: layers grouped into something that trains, predicts and saves.

`Model(inputs, outputs)` makes a functional model; subclasses define `call`. Depends on `layers`,
`training`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from fastnn import _core
from fastnn.base import tree
from fastnn.base.absent import OF_MODELS
from fastnn.base.arguments import hints_arguments, local_path, training_default
from fastnn.base.messages import shown
from fastnn.devices import choice
from fastnn.errors import reject_arguments, unknown_name
from fastnn.layers.base.call import shapes_of
from fastnn.layers.base.layer import Layer
from fastnn.layers.preprocessing.host import read_symbols, read_text
from fastnn.models.calls import ELSEWHERE, DeviceCalls
from fastnn.models.state_tree import StateTree
from fastnn.serialization.custom_objects import custom_object_scope
from fastnn.serialization.encoding import as_json
from fastnn.serialization.objects import own_config
from fastnn.serialization.registry import model_class
from fastnn.tracing import variables
from fastnn.tracing.away import bring_home, held
from fastnn.tracing.call_context import current_call, without_own_name
from fastnn.tracing.fingerprint import is_ours
from fastnn.tracing.stored import MODES, layer_filter, weights_in, with_fewer_bits
from fastnn.tracing.variables import current_scope, local as _scopes
from fastnn.training.inputs import typed_inputs
from fastnn.training.memory import device_memory
from fastnn.training.trainer import Trainer

__all__ = ["Model"]


class Model(StateTree, Trainer, Layer):
    """Layers grouped into something that trains, predicts and saves.

    `Model(inputs, outputs)` makes a functional model of symbolic tensors; a subclass defines
    `call`. `compile`, `fit`, `evaluate`, `predict` and `save` do the rest.

    Args:
        inputs: A symbolic tensor, or a list or dict of them.
        outputs: A symbolic tensor, or a list or dict of them.
        name: The name of the model; made from the class name when left out.

    Example:
        >>> x = fastnn.Input((2,))
        >>> model = fastnn.Model(x, fastnn.layers.Dense(1, kernel_initializer="ones")(x))
        >>> model.predict(np.array([[1.0, 2.0]]), verbose=0)
        array([[3.]], dtype=float32)
    """

    built: bool

    model_kind: str | None = "subclassed"
    reads_text = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Makes a functional model when inputs and outputs are given."""
        if cls is Model and _gives_graph(args, kwargs):
            return Layer.__new__(model_class("Functional"), *args, **kwargs)  # type: ignore[no-any-return]
        return Layer.__new__(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if _gives_graph(args, kwargs):
            functional = model_class("Functional")
            if not isinstance(self, functional):
                _replace_base(type(self), functional)
                functional.__init__(self, *args, **kwargs)
                return
        Layer.__init__(self, *args, **kwargs)
        self._init_training()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the model."""
        shape, version, function, whole = self._shortcut
        # Outside of training a call is one of inference, whether it says so or not.
        plain = not kwargs or (len(kwargs) == 1 and _is_inference(kwargs.get("training", True)))
        if choice.is_used and getattr(_scopes, "scope", None) is None:
            out = self._call_on_device(args, kwargs)
            if out is not ELSEWHERE:
                return out
            if held:
                bring_home(self.variables)
        if whole and plain and len(args) == 1 and getattr(_scopes, "scope", None) is None:
            x = args[0]
            is_array = x.__class__ is np.ndarray
            is_data = is_array or (x.__class__ is _core.Tensor and not x.is_traced)
            if is_data and (version == variables._version or self._is_current()):
                if is_array and (out := function.call_plain(x, shape)) is not None:  # type: ignore[union-attr]
                    return out
                if x.shape[1:] == shape:
                    return function(x)  # type: ignore[misc]
                if self._known_size(x):
                    return self._predict_function(x)[0](x)
        if args:
            within = current_scope() is not None or current_call() is not None
            args = (typed_inputs(self, read_text(self, args[0], within)), *args[1:])
        out = Layer.__call__(self, *args, **kwargs)
        if (
            not (self._shortcut[3] and self._is_current())
            and plain
            and len(args) == 1
            and current_scope() is None
        ):
            self._trace_for_calls(args[0])
        return out

    def _call_on_device(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A call on the device that is chosen; `ELSEWHERE` where that is the CPU."""
        if choice.chosen(self._compiled_device) == choice.CPU:
            return ELSEWHERE
        if self._device_calls is None:
            self._device_calls = DeviceCalls(self, Layer.__call__)
        if args:
            args = (typed_inputs(self, read_text(self, args[0])), *args[1:])
        return self._device_calls.run(args, kwargs, all(map(_is_ours, self._every_layer())))

    def _read_values(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (read_symbols(self, args[0]), *args[1:]) if args else args

    def _trace_for_calls(self, x: Any) -> None:
        """After a first call on data, further ones run the traced inference graph."""
        if self._known_size(x) and self._callable_fast():
            # A layer may read values or mix the batch with a size of its own, which is fine here
            # and impossible in a trace.
            with contextlib.suppress(_core.TraceError, _core.ShapeError):
                self._predict_function(x)

    def _known_size(self, x: Any) -> bool:
        """Whether `x` is a float32 array of the model's one input, whose open sizes take any."""
        if x.__class__ is not np.ndarray or x.dtype != np.float32:
            return False
        wanted = self._input_shapes()
        if wanted is None or len(wanted[1]) != 1 or len(wanted[1][0]) != x.ndim:
            return False
        pairs = zip(wanted[1][0][1:], x.shape[1:], strict=True)
        return all(w is None or w == n for w, n in pairs)

    def _callable_fast(self) -> bool:
        """Whether `model(x)` is the traced inference graph and nothing else."""
        return type(self).predict_step is Trainer.predict_step and all(
            layer.activity_regularizer is None
            and _is_ours(layer)
            # Layers that change images do so unless a call says that it is not training.
            and not training_default(type(layer).call)
            for layer in self._every_layer()
        )

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Answers for methods of older versions of Keras; others are plainly absent."""
            why = OF_MODELS.get(name)
            if why is None:
                return self.__getattribute__(name)  # which says so in Python's words
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}: {why[0]}\n"
                f"  hint: {why[1]}"
            )

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; subclasses define it.

        Args:
            *args: What the model is called with: a tensor, or a structure of tensors.
            **kwargs: `training` and `mask`, where a subclass takes them, and what else it takes.

        Returns:
            A tensor, or a structure of tensors.

        Example:
            >>> class Double(fastnn.Model):
            ...     def call(self, inputs):
            ...         return inputs * 2.0
            >>> Double()(np.ones((1, 2))).numpy()
            array([[2., 2.]], dtype=float32)
        """
        raise NotImplementedError(
            f"model {self.name!r} ({type(self).__name__}) has no `call` method\n"
            "  hint: def call(self, inputs): ..., or use Model(inputs, outputs)"
        )

    # ---- layers --------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers directly inside, from input to output; a Sequential's without the input."""
        return self._listed_layers()

    @layers.setter
    def layers(self, _: Any) -> None:
        raise AttributeError(
            f"`{type(self).__name__}.layers` attribute is reserved and cannot be set\n"
            "  hint: another name; the layers of a Sequential change by `add()` and `pop()`"
        )

    def _listed_layers(self) -> list[Layer]:
        return list(self._sublayers())

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of a name, or at a position.

        Args:
            name: The name.
            index: The position in `layers`.

        Returns:
            The layer.

        Raises:
            ValueError: There is none; the hint names the nearest names. Or both were given.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1, name="out")])
            >>> model.get_layer("out").units
            1
        """
        if name is not None and index is not None:
            raise ValueError(
                f"get_layer: got name {name!r} and index {index}, wanted one of them\n"
                f"  hint: get_layer({name!r})"
            )
        if index is not None:
            if not -len(self.layers) <= index < len(self.layers):
                raise ValueError(
                    f"get_layer: index {index}, the model has {len(self.layers)} layers\n"
                    f"  hint: 0 to {len(self.layers) - 1}"
                )
            return self.layers[index]
        if name is None:
            raise ValueError("get_layer needs a name or an index\n  hint: get_layer('dense')")
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise unknown_name(f"layer in model {self.name!r}", name, [x.name for x in self.layers])

    def _input_shapes(self) -> tuple[list[str], list[tuple[int | None, ...]]] | None:
        """Names and shapes of the inputs, None when any shape is taken."""
        return None

    def _expects(self, shape: tuple[int | None, ...], have: tuple[int, ...]) -> str:
        inner = shape[1:]
        first = next((x.name for x in self.layers if type(x).__name__ != "InputLayer"), "?")
        wanted = (
            str(inner[0])
            if len(inner) == 1 and inner[0] is not None
            else f"samples of shape {inner}"
        )
        return (
            f"model {self.name!r} expects {wanted} (layer {first!r}, Input(shape={inner}))\n"
            f"  hint: {_way_to(inner, have)}"
        )

    @property
    def input_shape(self) -> Any:
        """Shape of the input, or shapes of several."""
        found = self._input_shapes()
        if found is None:
            raise AttributeError(
                f"model {self.name!r} has no fixed input shape"
                "\n  hint: begin it with Input(shape), or call it on data first"
            )
        return found[1][0] if len(found[1]) == 1 else found[1]

    # ---- text ----------------------------------------------------------------------------------

    @hints_arguments
    def summary(
        self,
        line_length: int | None = None,
        positions: Any = None,
        print_fn: Any = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Any = None,
        timing: bool = False,
        device: str | None = None,
    ) -> None:
        r"""Prints layers, output shapes and numbers of weights as a table.

        Args:
            line_length: Characters of a line; None: as wide as the terminal allows.
            positions: Shares of the line where columns end.
            print_fn: Called with each line instead of print.
            expand_nested: Whether the layers of models inside are listed as well.
            show_trainable: Whether a column says what is trained.
            layer_range: Names of the first and the last layer to list.
            timing: Whether a column says how long each layer takes, alone, for 32 rows of zeros.
            device: A GPU, such as `"gpu"`: lines below the table say what a batch of 32 rows needs
                of its memory, in predictions and, for a compiled model, in training, for which
                its optimiser is built.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], name="line")
            >>> lines = []
            >>> model.summary(print_fn=lines.append)
            >>> "\n".join(lines).splitlines()[0]
            'Model: "line"'
        """
        from fastnn.display.summary import Layout, summary

        layout = Layout(line_length, positions, expand_nested, show_trainable, layer_range)
        layout.times = self._layer_times() if timing else None
        if device is not None:
            layout.memory = device_memory(self, device, self._zeros("what a device needs"))
        text = summary(self, layout)
        if print_fn is None:
            print(shown(text))
        else:
            print_fn(f"{text}\n")

    def _layer_times(self) -> dict[str, float]:
        """Seconds by the path of each layer, for zeros as the inputs say."""
        from fastnn.training.timing import layer_times

        found: dict[str, float] = {}
        for t in layer_times(self, self._zeros("the time")):
            found[t.path] = found.get(t.path, 0.0) + t.seconds
        return found

    def _zeros(self, what: str) -> Any:
        """A batch of 32 rows of zeros, open sizes as 16."""
        known = self._input_shapes()
        if known is None:
            raise ValueError(
                f"summary: model {self.name!r} has no known inputs to find {what} with\n"
                "  hint: begin it with Input(shape), or fastnn.debug.layer_times(model, x)"
            )
        types = [str(x.dtype) for x in getattr(self, "inputs", [])] or ["float32"] * len(known[1])
        arrays = [
            np.zeros([16 if d is None else d for d in (32, *s[1:])], t)
            for s, t in zip(known[1], types, strict=True)
        ]
        return arrays[0] if len(arrays) == 1 else arrays

    # ---- config and files ----------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON holds them.

        Returns:
            A dict; `from_config` makes a model of it.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)], name="m")
            >>> model.get_config()["name"]
            'm'
        """
        return Layer.get_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A new model from a config: of a functional model, or a subclass's own."""
        if {"layers", "inputs", "outputs"} <= config.keys() or "input_layers" in config:
            from fastnn.files.layer_records import functional_from_config

            made: Self = functional_from_config(
                model_class("Functional") if cls is Model else cls, config, custom_objects
            )
            return made
        with custom_object_scope(custom_objects):
            return super().from_config(config)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as a config.

        Returns:
            Optimizer, loss and metrics in terms of JSON; None when the model is not compiled or a
            part has no config.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> model.get_compile_config()["loss"]
            'mse'
        """
        from fastnn.files.compiling import compile_config

        settings = compile_config(self) if self.compiled else None
        if settings is None:
            return None
        optimizer = {"optimizer": settings.pop("optimizer")}
        return optimizer | settings | {
            "run_eagerly": self.run_eagerly, "steps_per_execution": 1, "jit_compile": "auto",
        }  # fmt: skip

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles with what `get_compile_config` gave.

        Args:
            config: The config.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile_from_config({"optimizer": "sgd", "loss": "mse"})
            >>> model.optimizer.name
            'sgd'
        """
        from fastnn.files.compiling import compile_as

        compile_as(self, config)

    def to_json(self, **kwargs: Any) -> str:
        """The layers' configs and the compile settings as JSON in Keras's layout, without weights.

        Keras reads it as well. Fastnn's own layout, without compile settings, stands for what
        Keras's cannot say: a mask as an output, or an op that Keras has not. Keyword arguments
        are those of `json.dumps`.

        Args:
            **kwargs: Given to the function.

        Returns:
            The text; `fastnn.models.model_from_json` makes a model of it.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> fastnn.models.model_from_json(model.to_json()).count_params()
            3
        """
        from fastnn.files.keras.write_config import model_entry

        try:
            entry = model_entry(self)
        except ValueError:
            entry = own_config(self)
        return as_json(entry, **kwargs)

    @hints_arguments
    def save(
        self,
        filepath: str | os.PathLike[str],
        overwrite: bool = True,
        zipped: Any = None,
        **settings: Any,
    ) -> None:
        """Writes weights, layers, compile settings and optimiser state to one file, atomically.

        A name that ends in `.keras` gives a file in Keras's format, `.h5` one in its older format,
        any other safetensors, which Rust reads as well.

        Args:
            filepath: The file.
            overwrite: Whether a file that is there is replaced.
            zipped: Accepted for Keras's sake.
            **settings: Those of `fastnn.models.save_model`.

        Raises:
            OSError: The file cannot be written.
            ValueError: The model has no weights yet, or holds what no file can.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.save("model.safetensors")
            >>> again = fastnn.models.load_model("model.safetensors")
        """
        from fastnn.files.native import save_model  # no file is written by most first steps

        save_model(self, filepath, overwrite, **settings)

    @hints_arguments
    def export(
        self,
        filepath: str | os.PathLike[str],
        format: str | None = None,
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> None:
        """Writes the inference graph for other programs, as ONNX (extra `[onnx]`).

        Inputs and outputs are named after their layers, open sizes are named dimensions, and what
        only training needs is left out.

        Args:
            filepath: The file.
            format: `"onnx"`; left out, the name's ending says it.
            verbose: Whether a line says what was written.
            input_signature: Shapes or `InputSpec`s, batch first, for a model without known inputs
                or to fix open sizes.
            **kwargs: `opset_version`, 17 or newer; 18 when left out.

        Raises:
            DataError: A layer does what ONNX has no counterpart for; the message names it.
            ImportError: The package onnx is not installed.
            OSError: The file cannot be written.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.export("model.onnx")
        """
        filepath = local_path(filepath)
        kind = format or os.path.splitext(filepath)[1].removeprefix(".") or "none"
        if kind != "onnx":
            raise ValueError(
                f"export: {filepath!r} as {kind!r} is not written, 'onnx' is\n"
                "  hint: model.export('m.onnx'); model.save('m.keras') opens in Keras, which "
                "exports further formats"
            )
        if unknown := set(kwargs) - {"opset_version", "is_static"}:
            raise reject_arguments("export()", unknown, _export_names)
        from fastnn.onnx.writer import export  # an extra

        export(self, filepath, kwargs.get("opset_version"), input_signature)
        if verbose:
            print(shown(f"Saved artifact at '{filepath}'."))

    @hints_arguments
    def quantize(
        self,
        mode: str = "int8",
        filters: str | Sequence[str] | Callable[[Any], bool] | None = None,
    ) -> None:
        """Stores the weights in a quarter or half of the memory, for predictions; in place.

        Kernels and tables of embeddings are kept as int8 with a scale for each output (of a table:
        for each row), or as bfloat16; biases and scales of normalisation stay float32. Everything
        computes in float32 as before. The weights are no longer trained; a compiled model begins
        its optimiser anew.

        Args:
            mode: `"int8"` or `"bfloat16"`.
            filters: Which layers: a regular expression that is searched in their names, several of
                them, or a function of a layer; None: all that have something to store.

        Raises:
            ValueError: The mode is not known, the model is not built, a weight is not finite, or
                there is nothing left to store.
            TypeError: `filters` is of another kind.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((64,)), fastnn.layers.Dense(64)])
            >>> before = model.predict(np.ones((1, 64)), verbose=0)
            >>> model.quantize("int8")
            >>> bool(np.abs(model.predict(np.ones((1, 64)), verbose=0) - before).max() < 0.1)
            True
        """
        if mode not in MODES:
            raise unknown_name("mode", mode, MODES)
        if not self.built:
            raise ValueError(
                f"model {self.name!r} is not built\n  hint: begin it with Input(shape), or call it"
            )
        wanted = layer_filter(filters)
        places = list(weights_in(layer for layer in self._every_layer() if wanted(layer)))
        if not places:
            hint = (
                "a model is quantized once; load the one before to choose another mode"
                if filters is None
                else f"layers are called {', '.join(layer.name for layer in self.layers)}"
            )
            raise ValueError(
                f"model {self.name!r} has no float32 kernels to store as {mode}"
                f"{'' if filters is None else f' where filters={filters!r}'}\n  hint: {hint}"
            )
        for _, _, v in places:
            if not np.isfinite(np.asarray(v)).all():
                raise ValueError(
                    f"weight {v.path!r} holds NaN or infinity\n"
                    "  hint: fastnn.debug.find_nan(model, x, y) says where they come from"
                )
        settings = self.get_compile_config() if self.compiled else None
        for layer, name, _ in places:
            with_fewer_bits(layer, name, mode)
        self._forget_traces()
        if settings is not None:
            self.compile_from_config(settings)

    def save_weights(self, filepath: str | os.PathLike[str], overwrite: bool = True) -> None:
        """Writes the weights alone.

        Args:
            filepath: The file; `.weights.h5` gives one in Keras's format (extra `[keras-files]`).
            overwrite: Whether a file that is there is replaced.

        Raises:
            OSError: The file cannot be written.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.save_weights("weights.safetensors")
            >>> model.load_weights("weights.safetensors")
        """
        from fastnn.files.native import save_weights

        save_weights(self, filepath, overwrite)

    @hints_arguments
    def load_weights(
        self,
        filepath: str | os.PathLike[str],
        skip_mismatch: bool = False,
        by_name: bool | None = None,
    ) -> None:
        """Reads weights that `save_weights` or `save` wrote, or a file of Keras's.

        Args:
            filepath: The file.
            skip_mismatch: Whether what fits is taken, and a warning names the rest.
            by_name: For files that end in `.h5` or `.hdf5`, not in `.weights.h5`: True gives
                weights to the layers that have the names of the file's, in any order, and leaves
                the others.

        Raises:
            FormatError: A weight is not in the file, has another shape, or is one too many.
            ValueError: The model is not built, or `by_name` is given for another kind of file.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.save_weights("weights.safetensors")
            >>> model.load_weights("weights.safetensors")
        """
        from fastnn.files.native import load_weights

        load_weights(self, filepath, skip_mismatch, by_name)

    def build(self, input_shape: Any) -> None:
        """Makes the weights of a subclassed model by calling it on placeholders.

        Args:
            input_shape: The shape of the inputs with the batch, or a structure of shapes.

        Example:
            >>> class Small(fastnn.Model):
            ...     def __init__(self):
            ...         super().__init__()
            ...         self.dense = fastnn.layers.Dense(1)
            ...     def call(self, inputs):
            ...         return self.dense(inputs)
            >>> model = Small()
            >>> model.build((None, 3))
            >>> model.count_params()
            4
        """
        if self.built:
            return
        shapes = input_shape
        self.built, self._build_config = True, {"input_shape": shapes}
        nested = isinstance(shapes, dict) or (
            isinstance(shapes, list | tuple)
            and any(isinstance(d, list | tuple | dict) for d in shapes)
        )
        try:
            with without_own_name(self.name):
                self.compute_output_shape(shapes if nested else tuple(shapes))
        except BaseException:
            self.built = False
            raise

    def _ensure_built(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if type(self).build is Model.build:
            if not self.built and len(args) == 1:
                self._build_config = {"input_shape": shapes_of(args[0])}
            self.built = True
            return
        super()._ensure_built(args, kwargs)

    def __repr__(self) -> str:
        n = sum(v.size for v in self.weights)
        return f"<{type(self).__name__} name={self.name}, {len(self.layers)} layers, {n:,} weights>"

    def _repr_html_(self) -> str:
        """The summary's table, and the graph of layers folded away below it."""
        from html import escape

        from fastnn.display.diagram import svg
        from fastnn.display.summary import Layout, summary

        table = f"<pre>{escape(summary(self, Layout(88)))}</pre>"
        if not self.layers:
            return table
        return f"{table}<details><summary>graph</summary>{svg(self)}</details>"


def _export_names(opset_version: int | None = None) -> None:
    """What `export` takes besides its own arguments."""


def _is_ours(layer: Layer) -> bool:
    """Whether nothing but this library runs when the layer is called.

    Code of others may read what no trace can watch, and acts at every call.
    """
    parts = [type(layer), *(v for v in layer.__dict__.values() if callable(v))]
    # Layers inside are looked at by themselves.
    return all(isinstance(p, Layer) or is_ours(p) for p in parts)


def _is_inference(training: Any) -> bool:
    """Whether a `training` argument asks for what calls outside of training do anyway."""
    return training is None or training is False


def _gives_graph(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether the constructor's arguments are inputs and outputs of a graph."""
    return len(args) >= 2 or "inputs" in kwargs or "outputs" in kwargs


def _replace_base(cls: type, functional: type) -> None:
    """Puts Functional in the place of Model above a subclass that gives its base a graph.

    `class Mine(Model)` says only when it calls `super().__init__(inputs, outputs)` that it is a
    functional model; Keras changes the bases at that moment, too.
    """
    if Model in cls.__bases__:
        cls.__bases__ = tuple(functional if base is Model else base for base in cls.__bases__)
        return
    for base in cls.__bases__:
        if issubclass(base, Model):
            _replace_base(base, functional)


def flat_names(values: Sequence[Any]) -> list[str]:
    """Names of the layers that made symbolic tensors."""
    return [x.node.operation.name for x in tree.flatten(values)]


def _way_to(inner: tuple[int | None, ...], have: tuple[int, ...]) -> str:
    """How data of the shape `have` become samples of the shape `inner`, for a hint."""

    def fits(sizes: tuple[int, ...]) -> bool:
        return len(sizes) == len(inner) and all(
            w in (None, n) for w, n in zip(inner, sizes, strict=True)
        )

    sample = have[1:]
    if fits(have):
        return "this looks like one sample without the batch axis: x[None] makes it a batch of one"
    if len(sample) > 2 and fits((*sample[1:], sample[0])):
        return "the channels come first here, the model wants them last: np.moveaxis(x, 1, -1)"
    if len(sample) > 2 and fits((sample[-1], *sample[:-1])):
        return "the channels come last here, the model wants them first: np.moveaxis(x, -1, 1)"
    return "check the columns of the data, or build the model for them"
