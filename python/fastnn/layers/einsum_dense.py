"""`EinsumDense`: a dense layer whose product is an einsum. Depends on `layers.base`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from fastnn import activations, constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.typing import Identifier, Shape
from fastnn.errors import ShapeError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.low_rank import Adapted, LowRank

__all__ = ["EinsumDense"]

_W = "([a-zA-Z]+)"
_FORMS = (
    f"{_W},{_W}->{_W}",
    rf"\.\.\.{_W},{_W}->\.\.\.{_W}",
    rf"([a-zA-Z]{{2,}})\.\.\.,{_W}->{_W}\.\.\.",
)


class EinsumDense(LowRank):
    """A dense layer whose product is an einsum: `activation(einsum(equation, x, kernel) + bias)`.

    Shapes: as the equation says. Weights: `kernel`, shaped as its term says, and `bias`.

    Args:
        equation: The product, such as `"abc,cd->abd"`; `...` stands for axes at one end.
        output_shape: Sizes of the output without the batch, None where the input's stay; a number
            for a single one.
        activation: A function, or its name such as `"relu"`; None leaves the sums as they are.
        bias_axes: The letters of the output that the bias has; None for no bias.
        kernel_initializer: First values of the kernel: a name, a config or an `Initializer`.
        bias_initializer: First values of the bias.
        kernel_regularizer: Penalty on the kernel, added to the loss: a name or a `Regularizer`.
        bias_regularizer: Penalty on the bias, added to the loss.
        kernel_constraint: What the kernel is brought back to after each step: a `Constraint`.
        bias_constraint: What the bias is brought back to after each step.
        lora_rank: The rank of a trained change of a frozen kernel (`enable_lora`); None for none.
        lora_alpha: The change is multiplied by `lora_alpha / lora_rank`; None for `lora_rank`.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The equation does not have two terms and a result.
        ShapeError: The input does not fit the equation.

    Example:
        >>> layer = fastnn.layers.EinsumDense("abc,cd->abd", output_shape=(None, 4), bias_axes="d")
        >>> layer(np.ones((2, 3, 5))).shape
        (2, 3, 4)
    """

    equation: str
    _adapted = "kernel"
    kernel: Adapted = Adapted("kernel")
    bias: Any
    kernel_initializer: Any
    bias_initializer: Any
    kernel_regularizer: Any
    bias_regularizer: Any
    kernel_constraint: Any
    bias_constraint: Any
    input_spec: Any
    activation: Callable[..., Tensor]

    def __init__(
        self,
        equation: str,
        output_shape: Sequence[int | None] | int,
        activation: Identifier = None,
        bias_axes: str | None = None,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier = None,
        bias_regularizer: Identifier = None,
        kernel_constraint: Identifier = None,
        bias_constraint: Identifier = None,
        lora_rank: int | None = None,
        lora_alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._take_rank(lora_rank, lora_alpha)
        self.equation = equation
        if isinstance(output_shape, int):
            self.partial_output_shape: tuple[int | None, ...] = (output_shape,)
        else:
            self.partial_output_shape = tuple(output_shape)
        self.bias_axes = bias_axes
        self.activation = activations.get(activation)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, input_shape: Shape) -> None:
        """Kernel and bias, shaped as the equation says."""
        kernel, bias, _ = _weights(
            self.equation, self.bias_axes, tuple(input_shape), self.partial_output_shape
        )
        self.input_spec = InputSpec(ndim=len(input_shape))
        sizes, outgoing = kernel
        self.kernel = self.add_weight(
            name="kernel",
            shape=sizes,
            initializer=_by_fans(self.kernel_initializer, sizes, outgoing),
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if bias is not None:
            self.bias = self.add_weight(
                name="bias",
                shape=bias,
                initializer=self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )
        self.built = True
        self._adapt_as_given()

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """As the equation says."""
        return _weights(
            self.equation, self.bias_axes, tuple(input_shape), self.partial_output_shape
        )[2]

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """activation(einsum(equation, inputs, kernel) + bias)."""
        x = ops.einsum(self.equation, inputs, self._with_adapters())
        if self.bias is not None:
            x = x + self.bias.value
        return x if self.activation is None else self.activation(x)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "output_shape": list(self.partial_output_shape)}


def _by_fans(first: Any, sizes: tuple[int, ...], outgoing: list[int]) -> Any:
    """The initialiser, told how many numbers go in and come out: a kernel of three axes or more
    says that by its place in the equation, not by the order of its axes.
    """
    if not isinstance(first, initializers.VarianceScaling) or len(sizes) < 2:
        return first
    out = math.prod(sizes[i] for i in outgoing)
    into = math.prod(sizes) // max(out, 1)

    def make(shape: Any, *args: Any, **kwargs: Any) -> Any:
        return ops.reshape(first((into, out), *args, **kwargs), shape)

    return make


def _weights(
    equation: str, bias_axes: str | None, given: tuple[Any, ...], wanted: tuple[Any, ...]
) -> tuple[tuple[tuple[Any, ...], list[int]], tuple[Any, ...] | None, tuple[Any, ...]]:
    """The kernel's shape and its axes that make outputs, the bias's shape, the output's shape."""
    found = [re.fullmatch(form, equation.replace(" ", "")) for form in _FORMS]
    match = next((m for m in found if m), None)
    if match is None:
        raise ValueError(
            f"Invalid einsum equation '{equation}'. Equations must be in the form [X],[Y]->[Z], "
            "...[X],[Y]->...[Z], or [X]...,[Y]->[Z]....\n  hint: 'abc,cd->abd'"
        )
    left = match is found[1]
    into, kernel, out = match.groups()
    more = len(given) - len(into)
    if more < 0:
        raise ShapeError(
            f"EinsumDense {equation!r}: the input has shape {given}, the equation names "
            f"{len(into)} axes\n  hint: one letter an axis, the batch's too"
        )
    output = [given[0], *wanted]
    if left:
        output[1:1] = given[1:more]
    elif more:
        output += given[-more:]
    offset = more if left else 0
    sizes_in = {d: given[i + offset] for i, d in enumerate(into)}
    if len(output) != len(out) + more:
        raise ShapeError(
            f"EinsumDense {equation!r}: output_shape {tuple(wanted)} has {len(wanted)} sizes, "
            f"wanted {len(wanted) + len(out) + more - len(output)}\n"
            "  hint: one for each axis of the output but the batch and what '...' stands for"
        )
    sizes_out = {d: output[i + offset] for i, d in enumerate(out)}
    for d in into:
        size = sizes_out.get(d)
        if size is not None and size != sizes_in[d]:
            raise ShapeError(
                f"Input shape and output shape do not match at shared dimension '{d}'. Input shape "
                f"is {sizes_in[d]}, and output shape is {size}.\n  hint: None keeps the input's"
            )
    for d in out:
        if d not in into and d not in kernel:
            raise ValueError(
                f"Dimension '{d}' was specified in the output '{out}' but has no corresponding dim "
                f"in the input spec '{into}' or weight spec '{kernel}'\n  hint: 'abc,cd->abd'"
            )
    for d in kernel:
        if d not in sizes_out and d not in sizes_in:
            raise ValueError(
                f"Weight dimension '{d}' did not have a match in either the input spec '{into}' or "
                f"the output spec '{out}'. For this layer, the weight must be fully specified.\n"
                "  hint: 'abc,cd->abd'"
            )
    shape = tuple(sizes_out[d] if sizes_out.get(d) is not None else sizes_in.get(d) for d in kernel)
    outgoing = [i for i, d in enumerate(kernel) if d in sizes_out]
    full = tuple(
        sizes_in.get(out[i - offset]) if size is None and 0 <= i - offset < len(out) else size
        for i, size in enumerate(output)
    )
    bias = _bias(equation, bias_axes, out, sizes_out, sizes_in)
    if bias is not None and not left:
        bias += (1,) * more
    return (shape, outgoing), bias, full


def _bias(
    equation: str, axes: str | None, out: str, sizes: dict[str, Any], given: dict[str, Any]
) -> tuple[Any, ...] | None:
    if axes is None:
        return None
    for d in axes:
        if d not in out:
            raise ValueError(
                f"Bias dimension '{d}' was requested, but is not part of the output spec '{out}'\n"
                f"  hint: letters of the result of {equation!r}"
            )
    shape = [(sizes[d] if sizes[d] is not None else given.get(d)) if d in axes else 1 for d in out]
    first = min(out.index(d) for d in axes) if axes else len(out)
    return tuple(shape[first:])
