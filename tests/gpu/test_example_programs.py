"""The programs of the examples and articles under `set_device("gpu")`, small: the CPU's numbers."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import fastnn
from fastnn import layers

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def load(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, EXAMPLES / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def on_both(gpu):
    """Runs a program on the CPU and under `set_device("gpu")`; what it gives has to agree."""

    def run(program, rtol=1e-5, atol=1e-6):
        given = []
        for device in ("cpu", "gpu"):
            fastnn.utils.set_random_seed(3)
            fastnn.set_device(device)
            try:
                given.append(program())
            finally:
                fastnn.set_device("cpu")
        for mine, theirs in zip(given[1], given[0], strict=True):
            if isinstance(theirs, str):
                assert mine == theirs
            else:
                np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)

    return run


def test_a_classifier_of_sentences_with_averaged_weights(on_both, monkeypatch, rng):
    article = load("articles/001_text_classifier.py")
    for name, value in {"VOCABULARY": 30, "EMBEDDING": 8, "HIDDEN": 8}.items():
        monkeypatch.setattr(article, name, value)
    words = np.array(["good film", "dull plot here", "fine", "long and bad", "a good one"] * 8)
    labels = np.array([1, 0, 1, 0, 1] * 8)

    def program():
        vectorize = layers.TextVectorization(max_tokens=30, output_sequence_length=6)
        vectorize.adapt(words)
        ids = np.asarray(vectorize(words))
        model = article.build()
        best = fastnn.callbacks.EarlyStopping("val_accuracy", restore_best_weights=True)
        model.fit(
            ids[:32], labels[:32], batch_size=8, epochs=3, verbose=0,
            validation_data=(ids[32:], labels[32:]),
            callbacks=[fastnn.callbacks.SwapEMAWeights(swap_on_epoch=True), best],
        )  # fmt: skip
        loss, accuracy = model.evaluate(ids, labels, verbose=0)
        whole = fastnn.Sequential([vectorize, model])
        scores = whole.predict(["a good film", "dull"], verbose=0)
        return [loss, accuracy, model.history.history["loss"], scores, whole(["fine film"])]

    on_both(program, rtol=1e-4, atol=1e-5)


def test_a_convolutional_network_with_a_loss_of_its_own(on_both, rng):
    article = load("articles/003_mnist_cnn.py")
    x = rng.integers(0, 256, (40, 28, 28, 1)).astype("f")
    y = rng.integers(0, 10, 40)

    def program():
        model = article.network("same")
        model.compile(
            fastnn.optimizers.Adam(0.001), article.negative_log_likelihood,
            metrics=["sparse_categorical_accuracy"],
        )  # fmt: skip
        model.fit(x, y, batch_size=10, epochs=1, verbose=0)
        return [model.history.history["loss"], model.evaluate(x, y, batch_size=20, verbose=0)]

    on_both(program)


def test_a_network_of_photographs_from_folders(on_both, rng, tmp_path):
    image = pytest.importorskip("PIL.Image")
    for kind in ("daisy", "dandelion"):
        (tmp_path / kind).mkdir()
        for at in range(3):
            pixels = rng.integers(0, 256, (40, 36, 3)).astype("u1")
            image.fromarray(pixels).save(tmp_path / kind / f"{at}.png")

    def program():
        from fastnn.preprocessing.image import ImageDataGenerator

        flow = {"target_size": (32, 32), "batch_size": 3, "class_mode": "binary", "seed": 1}
        train = ImageDataGenerator(
            rescale=1 / 255, shear_range=0.2, zoom_range=0.2, horizontal_flip=True
        ).flow_from_directory(str(tmp_path), **flow)
        check = ImageDataGenerator(rescale=1 / 255).flow_from_directory(
            str(tmp_path), shuffle=False, **flow
        )
        base = fastnn.applications.VGG16(weights=None, include_top=False, input_shape=(32, 32, 3))
        base.trainable = False
        x = layers.Dense(8, activation="relu")(layers.Flatten()(base.output))
        model = fastnn.Model(base.input, layers.Dense(1, activation="sigmoid")(x))
        model.compile(fastnn.optimizers.Adam(1e-3), "binary_crossentropy", metrics=["accuracy"])
        stop = fastnn.callbacks.EarlyStopping(monitor="val_loss", patience=10)
        model.fit(train, epochs=1, validation_data=check, callbacks=[stop], verbose=0)
        loss, _ = model.evaluate(check, verbose=0)
        return [model.history.history["loss"], loss, model.predict(check[0][0], verbose=0)]

    on_both(program, rtol=1e-4)


def test_a_language_model_of_letters(on_both):
    example = load("char_gpt.py")
    text = "to be or not to be, that is the question. " * 20
    letters = fastnn.CharTokenizer(text)
    tokens = np.array(letters.encode(text))

    def program():
        example.WINDOW = 12
        model = fastnn.applications.GPT(len(letters), 16, 2, heads=2, max_length=32, dropout=0.1)
        loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(fastnn.optimizers.AdamW(2e-3, weight_decay=0.01, clipnorm=1.0), loss)
        x, y = example.windows(tokens, 48, np.random.default_rng(0))
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        said = "".join(
            fastnn.generate(
                model, "to be", max_tokens=12, temperature=0.8, seed=1, stream=True,
                tokenizer=letters,
            )
        )  # fmt: skip
        return [model.history.history["loss"], model.evaluate(x, y, batch_size=8, verbose=0), said]

    on_both(program)


def test_two_networks_against_each_other(on_both):
    example = load("gan_ring.py")

    def program():
        model = example.Ring()
        model.compile(fastnn.optimizers.Adam(1e-3, beta_1=0.5))
        x = example.points(256, np.random.default_rng(0))
        model.fit(x, batch_size=32, epochs=2, verbose=0)
        noise = np.random.default_rng(1).normal(size=(50, example.NOISE)).astype("f")
        history = model.history.history
        return [history["judge"], history["maker"], model.maker.predict(noise, verbose=0)]

    on_both(program, rtol=1e-4, atol=1e-5)
