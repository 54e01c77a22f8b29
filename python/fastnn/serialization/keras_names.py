"""The closed tables between Keras's names in files and what exists here.

A file's `module` text is compared with these tables and never imported; what no table holds is
refused, unless the caller handed it in or registered it. Depends on `registry`.
Layout: Keras 3.15 `saving/serialization_lib.py`, `ops/*.py`.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from fastnn.base.caching import cached
from fastnn.config import snake_case
from fastnn.errors import FormatError, nearest
from fastnn.serialization.custom_objects import custom_objects
from fastnn.serialization.registry import (
    MODULES,
    OF_KERAS_NETWORKS,
    OF_NETWORKS,
    Registry,
    model_class,
    network_layer,
    table,
)

__all__ = [
    "FEATURES", "KIND_OF_MODULE", "SEED_MODULES", "Op", "find_class", "op_of_class",
    "op_of_function", "own_name", "tables",
]  # fmt: skip

MODELS = {
    "Sequential": ("keras", "keras.models", "keras.src.models.sequential"),
    "Functional": ("keras", "keras.models", "keras.src.models.functional"),
    "Model": ("keras", "keras.models", "keras.src.models.model"),
    "OnnxModel": ("fastnn.models.onnx_graph",),
    "FeatureSpace": ("keras.utils",),
}

#: Parts of a feature space, which are no layers: the module in which Keras looks them up.
FEATURES = {name: "keras.src.layers.preprocessing.feature_space" for name in ("Feature", "Cross")}
#: Where files say that generators of seeds come from.
SEED_MODULES = ("keras.random", "keras.src.random.seed_generator", None)
#: What else has a config and is in no table.
_OTHERS = {**FEATURES, "SeedGenerator": SEED_MODULES[0]}


#: Keras's public modules and the kind of table that stands for each; a name that layers share with
#: others (`Identity`) means the layer.
_KINDS = {
    f"keras.{module}": kind
    for kind, module in sorted(MODULES.items(), key=lambda item: item[0] != "layer")
    if kind != "model"
}


@cached()
def tables() -> dict[str, Registry]:
    """Keras's public modules and the table that stands for each."""
    return {module: table(kind) for module, kind in _KINDS.items()}


#: Which module a config's key points to, where a class name alone would not say.
KIND_OF_MODULE = {
    "loss": "keras.losses",
    "metrics": "keras.metrics",
    "weighted_metrics": "keras.metrics",
    "optimizer": "keras.optimizers",
    "learning_rate": "keras.optimizers.schedules",
}


#: Classes that Keras exports under another name than their own: files hold the exported one.
EXPORTED = {"GroupedQueryAttention": "GroupQueryAttention"}


def module_of(class_name: str, key: str | None) -> str | None:
    """The Keras module that exports this class, None for a class of the caller's."""
    hinted = KIND_OF_MODULE.get(key or "")
    order = [hinted, *tables()] if hinted else list(tables())
    for module in order:
        thing = tables()[module].names.get(class_name)
        if inspect.isclass(thing) and thing.__name__ == class_name:
            return module
    if class_name in MODELS and class_name not in custom_objects():
        return MODELS[class_name][-1 if class_name == "Functional" else 0]
    if class_name in OF_KERAS_NETWORKS and class_name not in custom_objects():
        return f"keras.src.{OF_KERAS_NETWORKS[class_name]}"
    return _OTHERS.get(class_name)


def own_name(class_name: str) -> str:
    """The name here of a class that Keras exports by another."""
    return next((n for n, exported in EXPORTED.items() if exported == class_name), class_name)


def find_class(module: object, class_name: str, registered: object, where: str) -> Any:
    """The layer or model class that a config names; FormatError when no table holds it."""
    for name in (registered, class_name):
        found = custom_objects().get(name) if isinstance(name, str) else None
        if found is not None:
            return found
    if class_name in MODELS and module in MODELS[class_name]:
        return model_class(class_name)
    layers = tables()["keras.layers"].names
    own = own_name(class_name)
    found = layers.get(own)
    if module == "keras.layers" and found is not None and found.__name__ == own:
        return found
    if class_name in OF_NETWORKS:  # whatever the module: older files do not say it
        return network_layer(class_name)
    known = [n for n, c in layers.items() if c.__name__ == n]
    close = nearest(class_name, known)
    looks = f"did you mean {', '.join(close)}? or " if close else ""
    raise FormatError(
        f"{where}: class {class_name!r} of module {module!r} is not known\n"
        f"  hint: {looks}for your own class pass custom_objects={{{class_name!r}: {class_name}}}"
    )


@dataclass(frozen=True)
class Op:
    """One op of functional models: its Keras class and how its arguments are kept in a config."""

    class_name: str
    module: str
    function: str
    #: Names of the arguments of a call, in order; then those kept in the config.
    call: tuple[str, ...]
    config: tuple[str, ...] = ()


def _rows() -> list[Op]:
    numpy, nn, core, math, linalg = (
        f"keras.src.ops.{m}" for m in ("numpy", "nn", "core", "math", "linalg")
    )
    unary = (
        "Absolute Negative Exp Exp2 Expm1 Log Log1p Log2 Log10 Sqrt Cbrt Square Sin Cos Tan Sinh "
        "Cosh Tanh Arcsin Arccos Arctan Arcsinh Arccosh Arctanh Floor Ceil Trunc Sign Signbit Sinc "
        "I0 Reciprocal LogicalNot Isnan Isinf Isfinite Isneginf Isposinf Ravel Copy Fabs Deg2rad "
        "Rad2deg Fliplr Flipud BitwiseNot BitwiseInvert Corrcoef"
    )
    binary = (
        "Add Subtract Multiply Divide Power Maximum Minimum Fmax Fmin Mod Fmod FloorDivide Equal "
        "NotEqual Less LessEqual Greater GreaterEqual LogicalAnd LogicalOr LogicalXor Matmul Dot "
        "Arctan2 Hypot Logaddexp Logaddexp2 Heaviside DivideNoNan Outer Inner Vdot Kron Ldexp "
        "Nextafter"
    )
    bitwise = (
        "BitwiseAnd BitwiseOr BitwiseXor BitwiseLeftShift BitwiseRightShift LeftShift RightShift"
    )
    reduced = (
        "Sum Mean Max Min Prod Any All Var Std Argmax Argmin Median Ptp Nanmax Nanmin Nanmean "
        "Nansum Nanprod Nanstd Nanvar Nanmedian Nanargmax Nanargmin"
    )
    shares = "Quantile Percentile Nanquantile Nanpercentile"
    active = (
        "Relu Relu6 Sigmoid Softplus Softsign Silu LogSigmoid HardSigmoid HardSilu Selu HardTanh "
        "TanhShrink SparsePlus SparseSigmoid"
    )

    def row(module: str, name: str, call: str, config: str = "", function: str = "") -> Op:
        return Op(name, module, function or snake_case(name), tuple(call.split()),
                  tuple(config.split()))  # fmt: skip

    return [
        *(row(numpy, n, "x") for n in unary.split()),
        *(row(numpy, n, "x1 x2") for n in binary.split()),
        *(row(numpy, n, "x", "axis keepdims") for n in reduced.split()),
        *(row(numpy, n, "x y") for n in bitwise.split()),
        *(row(numpy, n, "x q", "axis method keepdims") for n in shares.split()),
        *(row(numpy, n, "x", "axis") for n in ("Cumsum", "Cumprod")),
        *(row(numpy, n, "x", "axis") for n in ("Argsort", "Sort", "Flip", "CountNonzero")),
        *(row(numpy, n, "x", "k") for n in ("Diag", "Diagflat", "Tril", "Triu")),
        *(row(numpy, n, "x", "dtype") for n in ("OnesLike", "ZerosLike")),
        *(row(numpy, n, "xs") for n in ("Hstack", "Vstack", "Dstack")),
        *(row(numpy, n, "x", "indices_or_sections axis") for n in ("Split", "ArraySplit")),
        *(row(numpy, n, "x", "indices_or_sections") for n in ("Hsplit", "Vsplit", "Dsplit")),
        *(row(numpy, n, "x", "offset axis1 axis2") for n in ("Diagonal", "Trace")),
        row(numpy, "Append", "x1 x2", "axis"),
        row(numpy, "Average", "x weights", "axis"),
        row(numpy, "BroadcastTo", "x", "shape"),
        row(numpy, "Cross", "x1 x2", "axisa axisb axisc axis"),
        row(numpy, "Diff", "a", "n axis"),
        row(numpy, "Digitize", "x bins"),
        Op("Einsum", numpy, "einsum", (), ("subscripts",)),
        row(numpy, "FullLike", "x fill_value", "dtype"),
        row(numpy, "NanToNum", "x", "nan posinf neginf"),
        row(numpy, "Pad", "x constant_values", "pad_width mode"),
        row(numpy, "Repeat", "x", "repeats axis"),
        row(numpy, "Roll", "x", "shift axis"),
        row(numpy, "Rot90", "array", "k axes"),
        row(numpy, "Round", "x", "decimals"),
        row(numpy, "TakeAlongAxis", "x indices", "axis"),
        row(numpy, "Tensordot", "x1 x2", "axes"),
        row(numpy, "Tile", "x", "repeats"),
        row(numpy, "Vander", "x", "N increasing"),
        *(row(nn, n, "x") for n in active.split()),
        *(row(nn, n, "x", "threshold") for n in ("HardShrink", "SoftShrink")),
        *(row(nn, n, "x", "block_size data_format") for n in ("DepthToSpace", "SpaceToDepth")),
        row(nn, "Threshold", "x", "threshold default_value"),
        row(nn, "Squareplus", "x", "b"),
        row(nn, "Sparsemax", "x", "axis"),
        row(nn, "OneHot", "x", "num_classes axis dtype"),
        row(nn, "Normalize", "x", "axis order epsilon"),
        row(nn, "Moments", "x", "axes keepdims"),
        row(nn, "BinaryCrossentropy", "target output", "from_logits"),
        row(nn, "CategoricalCrossentropy", "target output", "from_logits axis"),
        row(nn, "SparseCategoricalCrossentropy", "target output", "from_logits axis"),
        row(numpy, "Where", "condition x1 x2"),
        row(numpy, "Clip", "x", "x_min x_max"),
        row(numpy, "GetItem", "x key"),
        row(numpy, "Concatenate", "xs", "axis"),
        row(numpy, "Stack", "xs", "axis"),
        row(numpy, "ExpandDims", "x", "axis"),
        row(numpy, "Squeeze", "x", "axis"),
        row(numpy, "Reshape", "x", "newshape"),
        row(numpy, "Transpose", "x", "axes"),
        row(numpy, "Swapaxes", "x", "axis1 axis2"),
        row(numpy, "Moveaxis", "x", "source destination"),
        row(numpy, "Take", "x indices", "axis"),
        row(nn, "LeakyRelu", "x", "negative_slope"),
        row(nn, "Elu", "x", "alpha"),
        row(nn, "Celu", "x", "alpha"),
        row(nn, "Gelu", "x", "approximate"),
        row(nn, "Glu", "x", "axis"),
        row(nn, "Softmax", "x", "axis"),
        row(nn, "LogSoftmax", "x", "axis"),
        *(
            row(nn, n, "inputs", "pool_size strides padding data_format")
            for n in ("MaxPool", "AveragePool")
        ),
        *(
            row(nn, n, "inputs", "output_size data_format")
            for n in ("AdaptiveMaxPool", "AdaptiveAveragePool")
        ),
        *(
            row(nn, n, "inputs kernel", "strides padding data_format dilation_rate")
            for n in ("Conv", "DepthwiseConv")
        ),
        row(
            nn,
            "SeparableConv",
            "inputs depthwise_kernel pointwise_kernel",
            "strides padding data_format dilation_rate",
        ),
        row(
            nn,
            "ConvTranspose",
            "inputs kernel",
            "strides padding output_padding data_format dilation_rate",
        ),
        *(row(math, n, "x") for n in ("Rsqrt", "Erf", "Erfc", "Erfinv", "Logdet")),
        *(
            row(math, n, "data segment_ids", "num_segments sorted")
            for n in ("SegmentSum", "SegmentMax", "SegmentMin", "SegmentProd")
        ),
        row(math, "TopK", "x", "k sorted"),
        row(math, "InTopK", "targets predictions", "k"),
        row(math, "ExtractSequences", "x", "sequence_length sequence_stride"),
        *(row(linalg, n, "x") for n in ("Det", "Inv")),
        row(linalg, "Cholesky", "x", "upper"),
        row(linalg, "Norm", "x", "ord axis keepdims"),
        row(linalg, "Solve", "a b"),
        row(linalg, "SolveTriangular", "a b", "lower"),
        row(core, "Scatter", "indices values", "shape"),
        row(core, "ScatterUpdate", "inputs indices updates", "reduction"),
        row(core, "Slice", "inputs start_indices", "shape"),
        row(core, "SliceUpdate", "inputs start_indices updates"),
        row(core, "Unstack", "x", "num axis"),
        row(core, "SaturateCast", "x", "dtype"),
        row(math, "Logsumexp", "x", "axis keepdims"),
        row(core, "Cast", "x", "dtype"),
        row(core, "StopGradient", "variable"),
    ]


@cached()
def _ops() -> tuple[dict[str, Op], dict[str, Op]]:
    rows = _rows()
    return {r.class_name: r for r in rows}, {r.function: r for r in rows}


#: Other names of the same op: in Keras's files, and in `fastnn.ops`.
_CLASS_ALIASES = {"TrueDivide": "Divide", "Abs": "Absolute", "Amax": "Max", "Amin": "Min"}
_FUNCTION_ALIASES = {
    "abs": "absolute", "amax": "max", "amin": "min", "is_nan": "isnan", "is_inf": "isinf",
    "is_finite": "isfinite", "swish": "silu", "hard_swish": "hard_silu", "exponential": "exp",
}  # fmt: skip


def op_of_class(class_name: str) -> Op | None:
    """The op that a Keras operation class stands for."""
    return _ops()[0].get(_CLASS_ALIASES.get(class_name, class_name))


def op_of_function(name: str) -> Op | None:
    """The op of a function's name in `fastnn.ops`."""
    return _ops()[1].get(_FUNCTION_ALIASES.get(name, name))
