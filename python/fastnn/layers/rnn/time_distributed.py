"""`TimeDistributed`: a layer applied to each step. Depends on `layers.core`."""

from __future__ import annotations

from typing import Any

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.arguments import call_parameters
from fastnn.base.typing import Shape, TensorLike
from fastnn.errors import ShapeError
from fastnn.layers.base.layer import Layer
from fastnn.layers.core import Lambda, Wrapper
from fastnn.layers.normalization import BatchNormalization
from fastnn.layers.rnn.loop import time_major

__all__ = ["TimeDistributed"]


class TimeDistributed(Wrapper):
    """Applies a layer to each step of a sequence, with the same weights.

    Shapes: (batch, steps, …) -> (batch, steps, …), the last axes as the inner layer gives them.
    Layers that treat samples one by one run over all steps at once; others, such as batch
    normalisation and models, step by step.

    Args:
        layer: The layer inside.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `layer` is no layer, or the input has fewer than three axes.

    Example:
        >>> layer = fastnn.layers.TimeDistributed(fastnn.layers.Dense(4))
        >>> layer(np.ones((2, 3, 5))).shape
        (2, 3, 4)
    """

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                "Please initialize `TimeDistributed` layer with a `keras.layers.Layer` instance. "
                f"Received: {layer}\n  hint: TimeDistributed(layers.Dense(8))"
            )
        super().__init__(layer, **kwargs)
        self.supports_masking = True

    def _step_shape(self, input_shape: Any) -> tuple[Any, ...]:
        if not isinstance(input_shape, list | tuple) or len(input_shape) < 3:
            raise ValueError(
                "`TimeDistributed` Layer should be passed an `input_shape` with at least 3 "
                f"dimensions, received: {input_shape}\n  hint: shape (batch, steps, features)"
            )
        return (input_shape[0], *tuple(input_shape)[2:])

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, steps, …) with the last axes of the inner layer."""
        inner = self.layer.compute_output_shape(self._step_shape(input_shape))
        return (inner[0], input_shape[1], *tuple(inner)[1:])

    def build(self, input_shape: Shape) -> None:
        """Builds the inner layer for one step."""
        super().build(self._step_shape(input_shape))

    def call(self, inputs: Tensor, training: bool | None = None, mask: TensorLike = None) -> Any:
        """The inner layer of every step."""
        if mask is not None:
            self._check_mask(mask, inputs)
        _, takes_training, takes_mask, _ = call_parameters(type(self.layer).call)
        given = {"training": training} if takes_training else {}
        mask = mask if takes_mask else None
        if mask is None and _by_sample(self.layer):
            batch, steps, *inner = ops.shape(inputs)
            out = self.layer.call(ops.reshape(inputs, (-1, *inner)), **given)
            return ops.reshape(out, (batch, steps, *ops.shape(out)[1:]))

        def one(x: TensorLike) -> Any:
            if mask is None:
                return self.layer.call(x, **given)
            return self.layer.call(x[0], mask=x[1], **given)

        xs = time_major(inputs)
        return time_major(ops.map(one, xs if mask is None else (xs, time_major(mask))))

    def _check_mask(self, mask: TensorLike, inputs: TensorLike) -> None:
        sizes, shape = tuple(mask.shape), tuple(inputs.shape)
        if len(sizes) < 2:
            raise ValueError(
                "The `mask` passed to the `TimeDistributed` layer must be at least 2D (e.g., "
                f"`(batch_size, timesteps)`), but it has {len(sizes)} dimension(s) with shape "
                f"{sizes}.\n  hint: one truth value a step"
            )
        pairs = zip(sizes[:2], shape[:2], strict=True)
        if any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in pairs):
            raise ShapeError(
                f"The `mask` passed to the `TimeDistributed` layer has a shape {sizes} that is "
                f"incompatible with the input shape {shape}. The first two dimensions of the mask "
                "(batch size and timesteps) must match the input's first two dimensions. Expected "
                f"mask shape prefix: ({shape[0]}, {shape[1]}).\n  hint: shape (batch, steps)"
            )


def _by_sample(layer: Any) -> bool:
    """Whether all layers inside treat samples one by one, as far as is known."""
    return all(
        type(x).__module__.startswith("fastnn.layers.")
        and not isinstance(x, Lambda | BatchNormalization)
        and not getattr(x, "stateful", False)
        for x in layer._every_layer()
    )
