"""Train on digits and write what the Rust program reads: a model file and images as raw float32.

python examples/embed_rust/train.py [FOLDER]
cargo run --package fastnn --example embed -- FOLDER/digits.safetensors FOLDER/images.f32
"""

import sys
from pathlib import Path

import fastnn
from fastnn import layers


def main(folder: str = ".") -> list[int]:
    """Train, save, and give the classes that Python predicts for the test images."""
    (x, y), (x_test, _) = fastnn.datasets.digits.load_data()
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((64,)),
            layers.Rescaling(1 / 16),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x.reshape(-1, 64), y, epochs=10, verbose=0)
    images = x_test.reshape(-1, 64).astype("float32")
    model.save(Path(folder) / "digits.safetensors")
    images.tofile(Path(folder) / "images.f32")
    classes = model.predict(images, verbose=0).argmax(axis=1)
    print(f"wrote digits.safetensors and {len(images)} images to {folder}")
    return classes.tolist()


if __name__ == "__main__":
    main(*sys.argv[1:])
