"""Which op is in which family: a family is loaded when an op of it is asked for.

Depends on the standard library.
"""

from __future__ import annotations

from typing import Any

__all__ = ["FAMILIES", "IN_FILES", "name_ops"]

PACKAGE = "fastnn.ops"

#: The ops of each family, a module of this package; those of `rows` are what no family has.
FAMILIES = {
    "convert": (
        "arange array cast convert_to_numpy convert_to_tensor dtype eye full identity "
        "is_tensor linspace ndim ones ones_like shape size zeros zeros_like"
    ),
    "elements": (
        "abs allclose angle array_equal clip conj conjugate divide_no_nan fabs fmax fmin fmod "
        "heaviside imag isclose isfinite isinf isnan isneginf isposinf isreal nan_to_num real "
        "round saturate_cast signbit stop_gradient true_divide where"
    ),
    "whole_numbers": "hard_tanh power relu relu6 square trunc",
    "thresholds": (
        "hard_shrink hard_swish snake soft_shrink sparse_plus sparse_sigmoid squareplus swish "
        "threshold"
    ),
    "special": (
        "arccos arccosh arcsin arcsinh arctan2 arctanh bartlett blackman cbrt cosh deg2rad "
        "erfc erfinv exp2 hamming hanning hypot i0 kaiser ldexp log10 log2 logaddexp "
        "logaddexp2 rad2deg sinc sinh tan"
    ),
    "shapes": (
        "concatenate expand_dims get_item hstack moveaxis pad ravel reshape split squeeze "
        "stack swapaxes take transpose unstack vstack"
    ),
    "arrays": (
        "append array_split copy dsplit dstack empty empty_like extract_sequences flip fliplr "
        "flipud full_like geomspace hsplit logspace meshgrid rearrange repeat roll rot90 "
        "vsplit"
    ),
    "diagonals": "diag diagflat diagonal kron trace tri tril triu vander",
    "index": (
        "bincount digitize isin multi_hot scatter scatter_update searchsorted segment_max "
        "segment_min segment_prod segment_sum select take_along_axis"
    ),
    "window": "slice slice_update",
    "reduce": (
        "all amax amin any argmax argmin average count_nonzero logsumexp max mean min moments "
        "prod std sum var"
    ),
    "order": "argsort in_top_k sort top_k",
    "quantiles": (
        "argpartition median nanmedian nanpercentile nanquantile percentile quantile sparsemax"
    ),
    "cumulate": (
        "corrcoef correlate cumprod cumsum diff nanargmax nanargmin nancumprod nancumsum "
        "nanmax nanmean nanmin nanprod nanstd nansum nanvar ptp trapezoid"
    ),
    "contract": "dot einsum inner tensordot",
    "linalg": "cdist cross jvp matmul norm outer vdot",
    "matrices": (
        "cholesky cholesky_inverse det inv logdet lstsq matrix_power qr slogdet solve "
        "solve_triangular"
    ),
    "fourier": "fft fft2 ifft2 irfft rfft",
    "audio": "istft stft",
    "nn": (
        "batch_normalization binary_crossentropy categorical_crossentropy depth_to_space "
        "dot_product_attention gelu glu layer_normalization log_softmax normalize one_hot "
        "psnr rms_normalization softmax space_to_depth sparse_categorical_crossentropy"
    ),
    "recurrence": "gru lstm simple_rnn",
    "convolution": (
        "adaptive_average_pool adaptive_max_pool average_pool conv conv_transpose "
        "depthwise_conv max_pool separable_conv"
    ),
    "unfolding": "fold unfold",
    "control": (
        "associative_scan cond custom_gradient fori_loop map scan switch vectorize "
        "vectorized_map while_loop"
    ),
    "ctc": "ctc_decode ctc_loss",
    "vocabulary": "linear_cross_entropy",
    "host": (
        "bitwise_and bitwise_invert bitwise_left_shift bitwise_not bitwise_or "
        "bitwise_right_shift bitwise_xor eig eigh gcd histogram lcm left_shift lu_factor "
        "matrix_rank nextafter nonzero pinv right_shift svd unique unravel_index"
    ),
}

#: Ops by the names and with the defaults that model files know, where Keras's defaults differ: the
#: family, and the name there.
IN_FILES = {
    "concatenate": ("shapes", "joined"), "cumsum": ("rows", "cumsum"), "gelu": ("rows", "gelu"),
    "take_along_axis": ("rows", "take_along_axis"),
}  # fmt: skip


def name_ops(family: dict[str, Any], module: str = PACKAGE) -> None:
    """Names what a family offers by the package, as pickles and files do, or by another module."""
    for name in family["__all__"]:
        family[name].__module__ = module
