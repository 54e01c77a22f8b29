"""What `fastnn` and `fastnn.keras` offer under which name, and how it is loaded when used.

One table for both packages, so that they hold the same objects. Depends on the standard library.
"""

from __future__ import annotations

__all__ = [
    "CORE",
    "FURTHER",
    "KERAS",
    "KERAS_MODULES",
    "MODULES",
    "TENSORFLOW",
    "TENSORFLOW_FUNCTIONS",
    "TENSORFLOW_MODULES",
    "TENSORFLOW_OPS",
    "TENSORFLOW_SPACES",
]  # fmt: skip

#: Submodules by public name.
MODULES = {
    name: f"fastnn.{name}"
    for name in (
        "activations", "applications", "backend", "callbacks", "compression", "config",
        "constraints", "data", "datasets", "debug", "devices", "distributed", "distribution",
        "dtype_policies", "ensemble", "errors", "explanation", "files", "hub", "initializers",
        "keras_backend", "layers", "losses", "metrics", "mixed_precision", "models", "nn", "onnx",
        "ops", "optimizers", "plot", "preprocessing", "privacy", "random", "regularizers",
        "saving", "serving", "sklearn", "training", "transforms", "utils", "wrappers",
    )
}  # fmt: skip

MODULES["tree"] = "fastnn.base.nests"

#: What `fastnn` has besides.
FURTHER = {
    "keras": "fastnn.keras", "exit_strategy": "fastnn.exit_strategy",
    "distribute": "fastnn.distribution",
}  # fmt: skip

#: What `fastnn.keras` has of them: Keras's own namespaces.
KERAS_MODULES = {
    k: v
    for k, v in MODULES.items()
    if k not in (
        "compression", "data", "debug", "devices", "distributed", "ensemble", "errors",
        "explanation", "files", "hub", "keras_backend", "nn", "onnx", "plot", "privacy", "serving",
        "sklearn", "training", "transforms",
    )
}  # fmt: skip

#: Names of Keras at the top, and the module that holds them.
KERAS = {
    "Input": "layers", "Layer": "layers", "InputSpec": "layers", "Model": "models",
    "Sequential": "models", "Functional": "models", "Variable": "tracing.variables",
    "KerasTensor": "tracing.symbolic", "Loss": "losses", "Metric": "metrics",
    "Optimizer": "optimizers", "Initializer": "initializers", "Regularizer": "regularizers",
    "Constraint": "constraints", "Callback": "callbacks", "name_scope": "backend",
    "DTypePolicy": "dtype_policies",
}  # fmt: skip

#: Further names of fastnn itself.
CORE = {
    "grad": "transforms", "value_and_grad": "transforms", "jit": "transforms",
    "load_model": "models", "Tensor": "_core", "Function": "_core", "tensor": "_core",
    "op_table": "_core", "set_num_threads": "_core", "get_num_threads": "_core", "info": "_core",
    "gradients": "_core", "DataError": "errors", "DeviceError": "errors", "RankError": "errors",
    "FastnnError": "errors", "FormatError": "errors", "InternalError": "errors",
    "ShapeError": "errors", "TraceError": "errors", "Ensemble": "ensemble",
    "Predictor": "serving", "profile": "debug", "explain": "explanation",
    "fit_many": "training.many",
    "CharTokenizer": "generation", "generate": "generation",
    "device": "devices", "get_device": "devices", "set_device": "devices",
    "Stability": "stability", "evaluate_stability": "stability",
}  # fmt: skip


#: Where the names of TensorFlow's top level are, and where its namespaces are made.
TENSORFLOW_FUNCTIONS, TENSORFLOW_SPACES = (
    "fastnn.tensorflow.functions",
    "fastnn.tensorflow.namespaces",
)

#: Namespaces of TensorFlow.
TENSORFLOW_MODULES = ("debugging", "image", "linalg", "math", "strings")

#: Functions of `fastnn.ops` that TensorFlow calls by the same name with the same arguments.
TENSORFLOW_OPS = (
    "abs", "add", "cast", "cond", "convert_to_tensor", "cos", "cosh",
    "cumprod", "cumsum", "divide", "einsum", "equal", "exp", "eye", "floor",
    "greater", "greater_equal", "less", "less_equal", "linspace", "logical_and", "logical_not",
    "logical_or", "matmul", "maximum", "meshgrid", "minimum", "multiply", "norm", "not_equal",
    "ones", "ones_like", "repeat", "roll", "round", "searchsorted", "shape",
    "sigmoid", "sign", "sin", "sinh", "size", "sqrt", "square", "stop_gradient",
    "subtract", "tan", "tanh", "tensordot", "tile", "unstack",
    "vectorized_map", "where", "while_loop", "zeros", "zeros_like", "stack", "slice",
    "clip", "arange", "arctan2", "logical_xor",
)  # fmt: skip

#: Names of TensorFlow's top level that `fastnn.tensorflow.functions` defines.
TENSORFLOW = (
    "GradientTape", "TensorShape", "TensorSpec", "add_n", "argmax", "argmin", "argsort",
    "boolean_mask", "clip_by_global_norm", "clip_by_norm", "clip_by_value", "concat", "constant",
    "ensure_shape", "expand_dims",
    "executing_eagerly", "fill", "function", "gather", "gather_nd", "global_norm", "group",
    "identity", "is_tensor", "map_fn", "newaxis", "no_op", "one_hot", "pad", "pow", "rank",
    "reduce_all", "reduce_any", "reduce_euclidean_norm", "reduce_logsumexp", "reduce_max",
    "reduce_mean", "reduce_min", "reduce_prod", "reduce_std", "reduce_sum", "reduce_variance",
    "reshape", "reverse", "scatter_nd", "sort", "split", "squeeze", "string",
    "tensor_scatter_nd_update", "transpose", "range", "print",
    "bool", "float16", "float32", "float64", "double", "half", "bfloat16",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
)  # fmt: skip
