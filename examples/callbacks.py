"""Callbacks: stop early, keep the best model, lower the rate, log, and one written for the task."""

import tempfile
from pathlib import Path

import fastnn
from fastnn import callbacks, layers


class Confusions(callbacks.Callback):
    """After each epoch, counts which digit is taken for which."""

    def __init__(self, x, y) -> None:
        super().__init__()
        self.x, self.y = x, y
        self.worst: list[tuple[int, int, int]] = []

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Notes the most frequent mistake: the digit, what it was taken for, how often."""
        taken = self.model.predict(self.x, verbose=0).argmax(axis=1)
        pairs = [(int(a), int(b)) for a, b in zip(self.y, taken, strict=True) if a != b]
        if pairs:
            pair = max(set(pairs), key=pairs.count)
            self.worst.append((*pair, pairs.count(pair)))


def main(folder: str | None = None) -> tuple[int, float]:
    """Train under callbacks; gives the epochs that ran and the accuracy of the best model."""
    (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        fastnn.optimizers.Adam(0.005), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    watch = Confusions(x[-144:], y[-144:])
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary)
        history = model.fit(
            x,
            y,
            epochs=100,
            validation_split=0.1,
            verbose=0,
            callbacks=[
                callbacks.EarlyStopping(monitor="val_loss", patience=5),
                callbacks.ReduceLROnPlateau(factor=0.5, patience=2),
                callbacks.ModelCheckpoint(place / "best.safetensors", save_best_only=True),
                callbacks.CSVLogger(place / "log.csv"),
                callbacks.TerminateOnNaN(),
                watch,
            ],
        )
        best = fastnn.models.load_model(place / "best.safetensors")
    _, accuracy = best.evaluate(x_test, y_test, verbose=0)
    print(f"{len(history.epoch)} epochs, test accuracy of the best {accuracy:.1%}")
    for digit, taken, count in watch.worst[-1:]:
        print(f"most frequent mistake of the last epoch: {digit} taken for {taken}, {count} times")
    return len(history.epoch), float(accuracy)


if __name__ == "__main__":
    main()
