"""Two kinds of photographs told apart with a network that was trained on others.

    python examples/transfer_photos.py [folder with train/ and validation/] [epochs of fine-tuning]

SqueezeNet's trained weights (squeezenet_weights_tf_dim_ordering_tf_kernels_notop.h5 in FASTNN_DATA
or ~/.cache/fastnn/models) give features of each photograph. With the network frozen, these are
computed once, and a small classifier is trained on them in seconds. Then both are joined and the
last modules of the network are trained too, at a small rate, on photographs that change at random.
"""

import os
import sys
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers
from fastnn.applications import SqueezeNet
from fastnn.applications.squeezenet import preprocess_input
from fastnn.preprocessing.image import ImageDataGenerator
from fastnn.training import cache_features

SIDE = 224
GOAL = 0.93


def head() -> fastnn.Model:
    """A classifier of the features of a photograph."""
    features = fastnn.Input((SIDE // 16 - 1, SIDE // 16 - 1, 512))
    x = layers.Dropout(0.3)(features)
    x = layers.Conv2D(64, 1, activation="relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5)(x)
    outputs = layers.Dense(1, activation="sigmoid", kernel_regularizer="l2")(x)
    return fastnn.Model(features, outputs, name="head")


def main(folder: str | None = None, fine_tuning: int = 16, count: int | None = None) -> float:
    """Trains in two steps; returns the accuracy on the validation photographs."""
    data = Path(folder or Path(os.environ.get("FASTNN_DATA", "../shared/data")))
    data = data if (data / "train").is_dir() else data / "photos_daisy_dandelion"
    fastnn.utils.set_random_seed(2)
    how = dict(target_size=(SIDE, SIDE), class_mode="binary", interpolation="bilinear",
               keep_aspect_ratio=True)  # fmt: skip
    still = ImageDataGenerator(preprocessing_function=preprocess_input)
    moving = ImageDataGenerator(
        preprocessing_function=preprocess_input, horizontal_flip=True, zoom_range=(0.7, 1.1),
        rotation_range=20, width_shift_range=0.1, height_shift_range=0.1,
    )  # fmt: skip
    train = still.flow_from_directory(data / "train", seed=1, **how)
    held = still.flow_from_directory(data / "validation", shuffle=False, **how)

    print("\n1. The frozen network: features once, then a classifier of them")
    body = SqueezeNet(weights="imagenet", include_top=False, input_shape=(SIDE, SIDE, 3))
    body.trainable = False
    features, labels = cache_features(body, train)
    mirrored, _ = cache_features(body, _Mirrored(train))
    held_features, held_labels = cache_features(body, held)
    top = head()
    rate = fastnn.optimizers.schedules.CosineDecay(1e-3, decay_steps=10 * 2 * len(train))
    top.compile(fastnn.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    history = top.fit(
        np.concatenate([features, mirrored]), np.concatenate([labels, labels]), epochs=10,
        validation_data=(held_features, held_labels), verbose=2,
    )  # fmt: skip

    print("\n2. Fine-tuning: the last modules too, on photographs that change at random")
    body.trainable = True
    for layer in body.layers:
        layer.trainable = layer.name.startswith(("fire6", "fire7", "fire8", "fire9"))
    model = fastnn.Model(body.inputs, top(body.outputs[0]))
    rate = fastnn.optimizers.schedules.CosineDecay(2e-4, decay_steps=fine_tuning * len(train) or 1)
    # What is kept in the end is the mean of the weights over the last steps.
    averaged = fastnn.optimizers.Adam(rate, use_ema=True, ema_momentum=0.98)
    model.compile(averaged, "binary_crossentropy", metrics=["accuracy"])
    if fine_tuning:
        model.fit(
            moving.flow_from_directory(data / "train", seed=2, **how), epochs=fine_tuning,
            validation_data=held, validation_freq=4, verbose=1,
        )  # fmt: skip
    loss, accuracy = model.evaluate(held, verbose=0)
    print(f"\n{accuracy:.1%} of {held.samples} validation photographs right (loss {loss:.3f})")
    draw(history, model, held)
    return float(accuracy)


class _Mirrored(fastnn.utils.PyDataset):
    """The same batches, left and right exchanged."""

    def __init__(self, source: object) -> None:
        super().__init__()
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> tuple:
        x, y = self.source[index]
        return x[:, :, ::-1], y


def draw(history: object, model: fastnn.Model, held: object) -> None:
    """The curves, and a grid of photographs with what the model says of them."""
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        return
    fastnn.plot.history(history)
    names = sorted(held.class_indices)
    rows = np.random.default_rng(0).permutation(held.samples)[:12]
    paths = [held.filepaths[i] for i in rows]
    size = dict(target_size=(SIDE, SIDE), interpolation="bilinear", keep_aspect_ratio=True)
    photos = np.stack([np.asarray(fastnn.utils.load_img(p, **size)) for p in paths])
    scores = model.predict(preprocess_input(photos.astype("float32")), verbose=0)[:, 0]
    said = (scores > 0.5).astype(int)
    fastnn.plot.images(
        photos,
        [f"{names[s]} {max(p, 1 - p):.0%}" for s, p in zip(said, scores, strict=True)],
        wrong=said != held.classes[rows],
    )
    plt.show()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2], *(int(a) for a in sys.argv[2:3])) < GOAL)
