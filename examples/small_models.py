"""Smaller models of the digits: fewer bits, fewer weights, and a small one taught by a large one.

Prints the bytes of each file, of the pruned one also compressed, and the accuracy on the test set.
"""

import gzip
import tempfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import compression, layers, losses, ops


def network(*widths: int) -> fastnn.Sequential:
    """A classifier that ends in scores."""
    hidden = [layers.Dense(n, activation="relu") for n in widths]
    return fastnn.Sequential(
        [
            fastnn.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            *hidden,
            layers.Dense(10),
        ]
    )


class Distiller(fastnn.Model):
    """Teaches a student the teacher's opinions beside the labels (Hinton et al. 2015).

    Args:
        student: Learns.
        teacher: Knows; it is not trained.
        temperature: How soft opinions are made.
        share: How much opinions count; labels count the rest.
    """

    def __init__(self, student, teacher, temperature: float = 5.0, share: float = 0.9) -> None:
        super().__init__()
        teacher.trainable = False
        self.student, self.teacher = student, teacher
        self.temperature, self.share = temperature, share

    def call(self, x, training=None):
        """The student's scores."""
        return self.student(x, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of the labels, and how far the student's opinions are from the teacher's."""
        labels = super().compute_loss(x, y, y_pred, sample_weight, training)
        t = self.temperature
        wanted = ops.softmax(self.teacher(x, training=False) / t)
        opinions = losses.categorical_crossentropy(wanted, y_pred / t, from_logits=True)
        return (1 - self.share) * labels + self.share * t * t * ops.mean(opinions)


def main() -> dict[str, tuple[int, float]]:
    """Bytes of the file and accuracy, by the name of the model."""
    (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
    found: dict[str, tuple[int, float]] = {}
    loss = losses.SparseCategoricalCrossentropy(from_logits=True)

    def tell(name: str, model: fastnn.Model, packed: bool = False) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "m.safetensors")
            plain = model
            if not packed:  # without the optimiser
                plain = fastnn.models.clone_model(model)
                plain.set_weights(model.get_weights())
            plain.save(path)
            data = path.read_bytes()
        right = float(np.mean(model.predict(x_test, verbose=0).argmax(axis=1) == y_test))
        found[name] = (len(data), right)
        squeezed = len(gzip.compress(data))
        print(f"{name:<14}{len(data):>9,} bytes, {squeezed:>8,} in a zip, {right:.1%} right")

    def trained(seed: int = 0) -> fastnn.Sequential:
        fastnn.utils.set_random_seed(seed)
        model = network(256, 128)
        model.compile("adam", loss, metrics=["accuracy"])
        model.fit(x, y, epochs=15, verbose=0)
        return model

    teacher = trained()
    tell("float32", teacher)
    for mode in ("bfloat16", "int8"):
        model = network(256, 128)
        model.set_weights(teacher.get_weights())
        model.quantize(mode)
        tell(mode, model, packed=True)

    pruned = trained()
    for share in (0.5, 0.75, 0.9):  # a little more each time, with training between
        compression.prune(pruned, share)
        pruned.fit(x, y, epochs=4, verbose=0)
    small = network(256, 128)
    small.set_weights(pruned.get_weights())
    small.quantize("int8")
    tell("pruned, int8", small, packed=True)

    for name, share in (("small alone", 0.0), ("distilled", 0.9)):
        fastnn.utils.set_random_seed(0)
        student = network(8)
        school = Distiller(student, teacher, share=share)
        school.compile(fastnn.optimizers.Adam(0.003), loss)
        school.fit(x, y, epochs=60, verbose=0)
        tell(name, student)
    return found


if __name__ == "__main__":
    main()
