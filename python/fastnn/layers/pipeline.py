"""`Pipeline`: layers one after another, such as changes of images. Depends on `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from fastnn._core import Tensor
from fastnn.base import tree
from fastnn.base.typing import Shape, TensorLike
from fastnn.errors import DataError
from fastnn.layers.base.layer import Layer
from fastnn.serialization.keras_config import deserialize
from fastnn.serialization.objects import own_config
from fastnn.tracing.call_context import masked

__all__ = ["Pipeline"]


class Pipeline(Layer):
    """Layers one after another, for data that are made ready outside a model.

    Other than in a `Sequential`, layers that change data at random do so unless told
    `training=False`, and data may be dicts.

    Args:
        layers: The layers, in order.
        name: The name of the layer; made from the class name when left out.

    Example:
        >>> double = fastnn.layers.Rescaling(2.0)
        >>> pipeline = fastnn.layers.Pipeline([double, fastnn.layers.Rescaling(1.0, offset=1.0)])
        >>> pipeline(np.array([1.0, 2.0])).numpy()
        array([3., 5.], dtype=float32)
    """

    def __init__(self, layers: Sequence[Layer], name: str | None = None) -> None:
        super().__init__(name=name)
        for layer in layers:
            if not isinstance(layer, Layer):
                raise DataError(
                    f"Pipeline: got {layer!r:.60}, wanted layers\n"
                    "  hint: Pipeline([Rescaling(1 / 255), RandomFlip()])"
                )
        self._steps = list(layers)

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return list(self._steps)

    def call(self, inputs: Tensor, training: bool | None = True, mask: TensorLike = None) -> Tensor:
        """What the last layer gives."""
        x = inputs
        with masked(tree.flatten(inputs), mask, training):
            for layer in self._steps:
                x = layer(x, training=training)
        return x

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shapes that the last layer gives."""
        for layer in self._steps:
            input_shape = layer.compute_output_shape(input_shape)
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The layers as configs, and the name."""
        return {"layers": [own_config(layer) for layer in self._steps], "name": self.name}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A pipeline made from a config; ValueError where it lists no layers."""
        if not isinstance(config.get("layers"), list | tuple):
            raise ValueError(
                f"Pipeline.from_config: `layers` is {config.get('layers')!r:.60}, wanted a list of "
                "configs\n  hint: pipeline.get_config() gives it"
            )
        return cls([deserialize(layer) for layer in config["layers"]], name=config.get("name"))
