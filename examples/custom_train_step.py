"""A training step of one's own: train on digits and on digits moved against the gradient.

`train_step` says what a batch does; `fit` traces it once and keeps loop, callbacks and progress.
"""

import fastnn
from fastnn import layers, ops


class Hardened(fastnn.Sequential):
    """Learns each batch as it is and as it hurts most within `size` grey levels."""

    size = 0.05

    def train_step(self, data: tuple) -> dict:
        """One batch: the worst small change of the images, then a step on both."""
        x, y = data
        x = ops.cast(x, "float32") / 16
        with fastnn.GradientTape() as tape:
            tape.watch(x)
            loss = self.compute_loss(x=x, y=y, y_pred=self(x, training=True))
        worse = x + self.size * ops.sign(tape.gradient(loss, x))
        with fastnn.GradientTape() as tape:
            answers = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=answers)
            loss += self.compute_loss(x=x, y=y, y_pred=self(worse, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, answers)
        return {metric.name: metric.result() for metric in self.metrics}


def attacked(model: fastnn.Model, x, y, size: float) -> float:
    """The accuracy on images moved against the model."""
    loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    slope = fastnn.grad(lambda images: loss(y, model(images)))
    moved = x + size * ops.sign(slope(x))
    return float((model.predict(moved.numpy(), verbose=0).argmax(axis=1) == y).mean())


def main(epochs: int = 20) -> tuple[float, float]:
    """Train a plain and a hardened model; gives their accuracies under attack."""
    (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
    results = []
    for kind in (fastnn.Sequential, Hardened):
        fastnn.utils.set_random_seed(0)
        model = kind(
            [
                fastnn.Input((8, 8)),
                layers.Flatten(),
                layers.Dense(64, activation="relu"),
                layers.Dense(10),
            ]
        )
        loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"])
        model.fit(x if kind is Hardened else x / 16, y, epochs=epochs, verbose=0)
        results.append(attacked(model, (x_test / 16).astype("float32"), y_test, Hardened.size))
        print(f"{kind.__name__}: {results[-1]:.1%} of the moved test images are read right")
    return results[0], results[1]


if __name__ == "__main__":
    main()
