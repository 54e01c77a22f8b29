"""Article 001's text classifier, trained on real sentences: Embedding, LSTM, Dense.

    python examples/articles/001_text_classifier.py [FOLDER]

The folder holds `sentence_polarity.zip` (Pang and Lee 2005, CC BY 4.0): 5,331 favourable and 5,331
unfavourable sentences of film reviews; without one it is looked for in
$FASTNN_DATA/sentiment/sentence_polarity. As printed the article's program does three things wrong:
PyTorch's LSTM takes (time, batch, features) unless it is told `batch_first=True`, so that samples
and time are swapped; `x[:, -1, :]` is then the last sample, not the last step; and the training loop
is left out. Here the LSTM reads (batch, time, features), gives its state after the last word (padding
is masked), and what a network of 1.7 million numbers does on 8,500 sentences, learn them by heart, is
met by dropping half of the features of the words, by the mean of the weights of late steps, and by
stopping at the best of a validation part.
"""

import os
import sys
import zipfile
from pathlib import Path

import numpy as np

import fastnn as keras
from fastnn import layers

VOCABULARY, EMBEDDING, HIDDEN, LENGTH = 10_000, 128, 256, 40
GOAL = 0.77


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The sentences and their labels, in an order that is always the same."""
    with zipfile.ZipFile(folder / "sentence_polarity.zip") as archive:
        parts = [
            archive.read(f"sentence_polarity/rt-polarity.{kind}").decode().splitlines()
            for kind in ("neg", "pos")
        ]
    texts = np.array(parts[0] + parts[1])
    labels = np.repeat([0, 1], [len(p) for p in parts])
    order = np.random.default_rng(0).permutation(len(texts))
    return texts[order], labels[order]


def build() -> keras.Sequential:
    """The article's network; dropout is the remedy for what it would learn by heart."""
    model = keras.Sequential([
        keras.Input((None,), dtype="int32"),
        layers.Embedding(VOCABULARY, EMBEDDING, mask_zero=True),
        layers.SpatialDropout1D(0.5),
        layers.LSTM(HIDDEN),
        layers.Dropout(0.5),
        layers.Dense(2),  # two classes
    ])
    model.compile(
        optimizer=keras.optimizers.Adam(5e-4, use_ema=True),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def main(folder: str | None = None, epochs: int = 7) -> float:
    """Trains, prints and returns the accuracy on sentences that no choice has seen."""
    place = Path(
        folder or Path(os.environ.get("FASTNN_DATA", "."), "sentiment", "sentence_polarity")
    )
    if not (place / "sentence_polarity.zip").exists():
        raise SystemExit(f"no sentence_polarity.zip in {place}: give its folder as an argument")
    texts, labels = read(place)
    train, check, test = slice(0, 8530), slice(8530, 9596), slice(9596, None)
    keras.utils.set_random_seed(1)
    vectorize = layers.TextVectorization(max_tokens=VOCABULARY, output_sequence_length=LENGTH)
    vectorize.adapt(texts[train])
    words = np.asarray(vectorize(texts))
    model = build()
    print(f"{model.count_params():,} parameters")
    model.fit(
        words[train], labels[train], batch_size=32, epochs=epochs, verbose=2,
        validation_data=(words[check], labels[check]),
        callbacks=[
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            keras.callbacks.EarlyStopping("val_accuracy", patience=3, restore_best_weights=True),
        ],
    )  # fmt: skip
    _, accuracy = model.evaluate(words[test], labels[test], verbose=0)
    print(f"accuracy on {len(labels[test])} held-back sentences: {accuracy:.3f}")
    whole = keras.Sequential([vectorize, model])
    for text in ("a moving , beautifully acted film", "tedious and far too long"):
        scores = np.asarray(whole.predict([text], verbose=0))[0]
        print(f"{text!r}: {('unfavourable', 'favourable')[int(scores.argmax())]}")
    return accuracy


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]) < GOAL)
