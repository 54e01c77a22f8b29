"""What `fastnn` and `fastnn.keras` offer under which name, and how it is loaded when used.

One table for both packages, so that they hold the same objects. Depends on the standard library.
"""

from __future__ import annotations

__all__ = [
    "CORE",
    "FURTHER",
    "KERAS",
    "KERAS_ALONE",
    "KERAS_MODULES",
    "MODULES",
    "OLDER",
    "TENSORFLOW",
    "TENSORFLOW_BESIDE",
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
        "constraints", "data", "datasets", "debug", "devices", "distillation", "distributed",
        "distribution", "dtype_policies", "ensemble", "errors", "explanation", "files", "hub",
        "initializers", "keras_backend", "layers", "losses", "metrics", "mixed_precision", "models",
        "nn", "onnx", "ops", "optimizers", "plot", "preprocessing", "privacy", "random",
        "regularizers", "saving", "serving", "sklearn", "training", "transforms", "utils",
        "visualization", "wrappers",
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

#: Paths of older Keras below a module, which are that module or another one here.
OLDER = {
    "layers.core": "layers", "layers.normalization": "layers", "layers.merging": "layers",
    "layers.merge": "layers", "layers.reshaping": "layers", "layers.regularization": "layers",
    "layers.activation": "layers", "layers.advanced_activations": "layers",
    "layers.experimental": "layers", "layers.experimental.preprocessing": "layers",
    "layers.preprocessing": "layers", "layers.noise": "layers",
    "optimizers.experimental": "optimizers",
    "utils.np_utils": "utils", "utils.data_utils": "utils", "utils.vis_utils": "utils",
    "utils.generic_utils": "utils", "callbacks.experimental": "callbacks",
    "mixed_precision.experimental": "mixed_precision",
    "preprocessing.timeseries": "preprocessing", "distribute": "distribution",
}  # fmt: skip

#: Names of Keras at the top, and the module that holds them.
KERAS = {
    "Input": "layers", "Layer": "layers", "InputSpec": "layers", "Model": "models",
    "Sequential": "models", "Functional": "models", "Variable": "tracing.variables",
    "KerasTensor": "tracing.symbolic", "Loss": "losses", "Metric": "metrics",
    "Optimizer": "optimizers", "Initializer": "initializers", "Regularizer": "regularizers",
    "Constraint": "constraints", "Callback": "callbacks", "name_scope": "backend",
    "DTypePolicy": "dtype_policies", "FloatDTypePolicy": "dtype_policies",
    "Operation": "backend", "StatelessScope": "backend", "device": "devices", "remat": "backend",
    "version": "backend",
}  # fmt: skip

#: Names of Keras at the top of `fastnn.keras` alone: `fastnn` calls something else so.
KERAS_ALONE = {"Function": "models.function"}

#: Further names of fastnn itself.
CORE = {
    "grad": "transforms", "value_and_grad": "transforms", "jit": "transforms",
    "load_model": "models", "Tensor": "_core", "Function": "_core", "tensor": "ops.convert",
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

#: Where TensorFlow's names are that a module has beside Keras's.
TENSORFLOW_BESIDE = {"random": "fastnn.tensorflow.randomness"}

#: Namespaces of TensorFlow.
TENSORFLOW_MODULES = (
    "audio",
    "autograph",
    "compat",
    "debugging",
    "dtypes",
    "image",
    "io",
    "linalg",
    "lookup",
    "math",
    "nest",
    "signal",
    "sparse",
    "strings",
    "summary",
    "test",
    "train",
)

#: Functions of `fastnn.ops` that TensorFlow calls by the same name with the same arguments.
TENSORFLOW_OPS = (
    "add", "bincount", "broadcast_to", "cond", "convert_to_tensor", "cos", "cosh",
    "divide", "einsum", "exp", "floor",
    "greater", "greater_equal", "less", "less_equal", "linspace", "logical_and", "logical_not",
    "logical_or", "maximum", "meshgrid", "minimum", "multiply", "negative", "norm",
    "ones", "ones_like", "repeat", "roll", "round", "searchsorted",
    "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient",
    "subtract", "tan", "tanh", "tensordot", "tile", "unstack",
    "vectorized_map", "while_loop", "zeros", "zeros_like", "stack",
    "clip", "arange", "arctan2", "logical_xor",
)  # fmt: skip

#: Names of TensorFlow's top level that `fastnn.tensorflow.functions` defines.
TENSORFLOW = (
    "Assert", "DType", "GradientTape", "IndexedSlices", "Module", "SparseTensor", "TensorArray",
    "TensorShape", "TensorSpec",
    "UnconnectedGradients", "abs", "acos", "acosh", "add_n", "argmax", "argmin", "argsort",
    "as_dtype", "as_string", "asin", "asinh", "assert_equal", "assert_greater",
    "assert_less", "assert_rank", "atan", "atan2", "atanh", "bfloat16", "bool", "boolean_mask",
    "broadcast_dynamic_shape", "broadcast_static_shape", "case", "cast", "clip_by_global_norm",
    "clip_by_norm", "clip_by_value", "concat", "constant", "constant_initializer",
    "control_dependencies", "cumprod", "cumsum", "custom_gradient", "double",
    "dynamic_partition", "ensure_shape", "equal", "executing_eagerly", "expand_dims", "eye",
    "fill", "float16", "float32", "float64", "floordiv", "floormod", "foldl", "foldr",
    "function", "gather", "gather_nd", "get_logger", "global_norm", "group", "half", "identity",
    "identity_n", "int16", "int32", "int64", "int8", "is_tensor", "map_fn", "matmul", "newaxis",
    "no_op", "not_equal", "numpy_function", "one_hot", "ones_initializer", "pad", "pow",
    "print", "py_function", "random_normal_initializer", "random_uniform_initializer", "range",
    "rank", "realdiv", "recompute_grad", "reduce_all", "reduce_any", "reduce_euclidean_norm",
    "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod", "reduce_std",
    "reduce_sum", "reduce_variance", "reshape", "reverse", "reverse_sequence", "saturate_cast",
    "scalar_mul", "scan", "scatter_nd", "sequence_mask", "shape", "shape_n", "size", "slice",
    "sort", "split", "squeeze", "strided_slice", "string", "switch_case", "tensor_scatter_nd_add",
    "tensor_scatter_nd_max", "tensor_scatter_nd_min", "tensor_scatter_nd_sub",
    "tensor_scatter_nd_update", "timestamp", "transpose", "truediv", "uint16", "uint32",
    "uint8", "unique", "unique_with_counts", "unravel_index", "where", "zeros_initializer",
)  # fmt: skip
