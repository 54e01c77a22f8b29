"""The functional API: one image and one number in, two answers out.

The model reads a digit and is told a number; it says the digit and whether the sum is at least ten.
"""

import numpy as np

import fastnn
from fastnn import layers


def build() -> fastnn.Model:
    """Two inputs, a shared trunk, two heads."""
    image = fastnn.Input((8, 8), name="image")
    number = fastnn.Input((), dtype="int32", name="number")
    seen = layers.Flatten()(layers.Rescaling(1 / 16)(image))
    seen = layers.Dense(64, activation="relu")(seen)
    told = layers.Embedding(input_dim=10, output_dim=8)(number)
    both = layers.Dense(64, activation="relu")(layers.Concatenate()([seen, told]))
    digit = layers.Dense(10, activation="softmax", name="digit")(seen)
    carries = layers.Dense(1, activation="sigmoid", name="carries")(both)
    return fastnn.Model([image, number], {"digit": digit, "carries": carries})


def main(epochs: int = 30) -> dict[str, float]:
    """Train and test; gives the losses and accuracies on test images."""
    fastnn.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = build()
    model.compile(
        optimizer="adam",
        loss={"digit": "sparse_categorical_crossentropy", "carries": "binary_crossentropy"},
        metrics={"digit": ["accuracy"], "carries": ["accuracy"]},
    )
    data = []
    for images, digits in fastnn.datasets.digits.load_data():
        numbers = rng.integers(0, 10, len(digits))
        labels = {"digit": digits, "carries": (digits + numbers >= 10)[:, None].astype("float32")}
        data.append(({"image": images, "number": numbers}, labels))
    (x, y), (x_test, y_test) = data
    model.fit(x, y, epochs=epochs, verbose=0)
    results = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    for name, value in results.items():
        print(f"{name}: {value:.3f}")
    return results


if __name__ == "__main__":
    main()
