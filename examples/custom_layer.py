"""A layer of one's own: a residual block with a learned share, saved and loaded with its config."""

import sys
import tempfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers, ops


@fastnn.utils.register_keras_serializable(package="examples")
class Residual(layers.Layer):
    """`x + share * dense(x)`; the share starts at 0, so the block starts as the identity.

    Args:
        activation: The activation of the dense layer inside.
    """

    def __init__(self, activation: str = "relu", **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.activation = activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """One dense layer as wide as the input, and one number."""
        self.dense = layers.Dense(input_shape[-1], activation=self.activation)
        self.share = self.add_weight((), "zeros", name="share")

    def call(self, inputs: fastnn.Tensor) -> fastnn.Tensor:
        """The input and a share of what the dense layer makes of it."""
        return inputs + ops.tanh(self.share) * self.dense(inputs)


def main(folder: str | None = None) -> float:
    """Train, save, load, compare; gives the accuracy on the test images."""
    (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(48, activation="relu"),
            Residual(),
            Residual("tanh"),
            layers.Dense(10),
        ]
    )
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    model.fit(x, y, epochs=20, verbose=0)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(folder or temporary) / "residual.safetensors"
        model.save(path)
        again = fastnn.models.load_model(path)
    same = np.array_equal(again.predict(x_test, verbose=0), model.predict(x_test, verbose=0))
    print(f"test accuracy {accuracy:.1%}; loaded model gives the same bits: {same}")
    if not same:
        sys.exit("the loaded model differs")
    return float(accuracy)


if __name__ == "__main__":
    main()
