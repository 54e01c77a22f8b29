"""Article 003: a convolutional network reads handwritten digits. The program, in Keras's words.

    python examples/articles/003_mnist_cnn.py [epochs] [number of training images]

The article's network takes 64 * 7 * 7 = 3,136 features after two convolutions without padding,
which leave 64 * 5 * 5 = 1,600. `as_printed()` builds it as it stands there and shows what fastnn
says; `corrected()` pads the convolutions, so that 3,136 is right (421,642 parameters).
"""

import sys

import fastnn
from fastnn import layers
from fastnn.datasets import mnist


def network(padding: str) -> fastnn.Sequential:
    """Two convolutions, each with a pooling, and two dense layers."""
    return fastnn.Sequential(
        [
            fastnn.Input((28, 28, 1)),
            layers.Rescaling(2 / 255, offset=-1.0),  # ToTensor, then Normalize((0.5,), (0.5,))
            layers.Conv2D(32, 3, strides=1, padding=padding, activation="relu", name="conv1"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, strides=1, padding=padding, activation="relu", name="conv2"),
            layers.MaxPooling2D(2),
            layers.Reshape((64 * 7 * 7,), name="view"),
            layers.Dense(128, activation="relu", name="fc1"),
            layers.Dense(10, activation="log_softmax", name="fc2"),
        ]
    )


def as_printed() -> str:
    """What fastnn says of the network as the article prints it."""
    try:
        network("valid")
    except fastnn.ShapeError as error:
        return str(error)
    raise AssertionError("1,600 features passed for 3,136")


def negative_log_likelihood(y_true, y_pred):
    """`nn.NLLLoss`: minus the logarithm of the probability of the true class."""
    chosen = fastnn.ops.one_hot(fastnn.ops.reshape(y_true, (-1,)), 10)
    return -fastnn.ops.sum(chosen * y_pred, axis=-1)


def corrected(epochs: int = 5, count: int = 60_000) -> float:
    """Trains the padded network; returns the accuracy on the 10,000 test images."""
    (x, y), (x_test, y_test) = mnist.load_data()
    fastnn.utils.set_random_seed(1)
    model = network("same")
    model.summary()
    model.compile(
        optimizer=fastnn.optimizers.Adam(learning_rate=0.001),
        loss=negative_log_likelihood,
        metrics=["sparse_categorical_accuracy"],
    )
    model.fit(x[:count, ..., None], y[:count], batch_size=100, epochs=epochs)
    _, accuracy = model.evaluate(x_test[..., None], y_test, batch_size=100, verbose=0)
    print(f"Accuracy on the test set: {100 * accuracy:.2f} %")
    return float(accuracy)


if __name__ == "__main__":
    print("The network as the article prints it:\n")
    print(as_printed(), "\n")
    print("The network with padded convolutions:\n")
    corrected(*(int(a) for a in sys.argv[1:3]))
