"""`SpectralNormalization`: a kernel divided by its largest singular value. Depends on `core`."""

from __future__ import annotations

from typing import Any

from fastnn import initializers, ops
from fastnn._core import Tensor
from fastnn.base.typing import Shape
from fastnn.errors import DataError
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.layers.core import Wrapper

__all__ = ["SpectralNormalization"]


class SpectralNormalization(Wrapper):
    """Divides the kernel of a layer by its largest singular value in every training step.

    The value is found by power iteration, which goes on from the vector of the step before. A
    kernel of several axes counts as a matrix whose columns are its last axis. Source: Miyato et al.
    2018.

    Args:
        layer: A layer with a `kernel` or `embeddings`.
        power_iterations: Iterations in each step, a whole number above 0.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `power_iterations` is not above 0, or the layer has no kernel.

    Example:
        >>> inner = fastnn.layers.Dense(2, kernel_initializer="ones")
        >>> layer = fastnn.layers.SpectralNormalization(inner, power_iterations=8)
        >>> layer(np.ones((1, 2)), training=True).numpy().round(3)
        array([[1., 1.]], dtype=float32)
    """

    power_iterations: int
    #: Only of its own, not of the layer inside.
    _rounds_products = False
    kernel: Any
    vector_u: Any
    input_spec: Any

    def __init__(self, layer: Layer, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(
                "`power_iterations` should be greater than zero. Received: "
                f"`power_iterations={power_iterations}`\n  hint: power_iterations=1"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape: Any) -> None:
        """Builds the inner layer and the vector (1, columns) of the power iteration."""
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        for name in ("kernel", "embeddings"):
            if hasattr(self.layer, name):
                self.kernel = getattr(self.layer, name)
                break
        else:
            raise DataError(
                f"{type(self.layer).__name__} object has no attribute 'kernel' nor 'embeddings'"
                "\n  hint: a layer with a kernel, such as Dense or Conv2D"
            )
        self.vector_u = self.add_weight(
            shape=(1, self.kernel.shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
            name="vector_u",
        )

    def call(self, inputs: Tensor, training: bool | None = False) -> Any:
        """The inner layer, in training with its kernel normalised first."""
        if training:
            vector, kernel = self.normalized_weights()
            self.vector_u.assign(vector)
            self.kernel.assign(kernel)
        return self.layer(inputs)

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """That of the inner layer."""
        return self.layer.compute_output_shape(input_shape)

    def normalized_weights(self) -> tuple[Any, Any]:
        """The vector after this step's iterations and the kernel divided by its singular value.

        A kernel of zeros stays as it is.
        """
        weights = ops.reshape(self.kernel.value, [-1, self.kernel.shape[-1]])
        right = self.vector_u.value
        left = ops.matmul(right, ops.transpose(weights))
        for _ in range(self.power_iterations):
            left = ops.normalize(ops.matmul(right, ops.transpose(weights)))
            right = ops.normalize(ops.matmul(left, weights))
        left, right = ops.stop_gradient(left), ops.stop_gradient(right)
        sigma = ops.matmul(ops.matmul(left, weights), ops.transpose(right))[0, 0]
        zero = ops.all(ops.equal(weights, 0.0))
        sigma = ops.where(zero, 1.0, sigma)
        vector = ops.where(zero, self.vector_u.value, right)
        return vector, ops.reshape(weights / sigma, self.kernel.shape)
