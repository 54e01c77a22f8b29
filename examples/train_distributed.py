"""Digits on several processes: `mpiexec -n 2 python train_distributed.py`, or just `python ...`.

The one line that ranks need is `fastnn.distributed.init()`; started alone the program is the same.
"""

import fastnn
from fastnn import callbacks, layers


def main(epochs: int = 20) -> dict[str, float]:
    """Train together; gives the values on the test set, which are the same on every rank."""
    fastnn.distributed.init()
    (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(64, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu"),
            layers.Dropout(0.2),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        x, y, batch_size=32, epochs=epochs, validation_split=0.1, verbose=0,
        callbacks=[callbacks.EarlyStopping(patience=5, restore_best_weights=True)],
    )  # fmt: skip
    values = model.evaluate(x_test, y_test, verbose=0, return_dict=True)
    if fastnn.distributed.rank() == 0:
        ranks = fastnn.distributed.size()
        print(f"{ranks} rank{'s' * (ranks > 1)}: accuracy {values['accuracy']:.3f}")
    return values


if __name__ == "__main__":
    main()
