"""A Transformer with encoder and decoder learns short sentences of French, and is scored in BLEU.

    python examples/translate_en_fr.py [FOLDER] [SENTENCES] [EPOCHS]

The folder holds `fra-eng.zip` (Tatoeba's pairs from manythings.org/anki, CC BY 2.0); without one it
is looked for in $FASTNN_DATA/translation. Of the pairs of up to eight English words some English
sentences are held back with all their translations; the model then translates these alone, word
by word, and BLEU compares with every French sentence that is given for them. Also shown is which
English word the decoder looks up for each French one.
"""

import os
import re
import sys
import zipfile
from pathlib import Path

import numpy as np

import fastnn
from fastnn import layers, nn, ops

WORDS, LENGTH, WIDTH, START, END = 8, 12, 128, "[start]", "[end]"


def words(text: str) -> str:
    """Lower-case words and marks with a space between each two."""
    text = text.lower().replace("\u202f", " ").replace("\u2019", "'")
    return " ".join(re.findall(r"\w+'?|[.?!,]", text))


def read(folder: Path) -> dict[str, list[str]]:
    """English sentences of few words, and the French ones for each."""
    with zipfile.ZipFile(folder / "fra-eng.zip") as file:
        lines = file.read("fra.txt").decode().splitlines()
    found: dict[str, list[str]] = {}
    for line in lines:
        english, french = (words(part) for part in line.split("\t")[:2])
        if len(english.split()) <= WORDS and len(french.split()) < LENGTH:
            found.setdefault(english, []).append(french)
    return found


class LookUp(layers.Layer):
    """Attention of one head from what is said to what is read; its weights can be seen."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(1, WIDTH)
        self.norm = layers.LayerNormalization()

    def call(self, x: object, memory: object, seen: object) -> tuple:
        """The new `x` (batch, steps, width), and the weights (batch, steps, words)."""
        out, weights = self.attention(
            self.norm(x), memory, attention_mask=ops.expand_dims(seen, 1),
            return_attention_scores=True,
        )  # fmt: skip
        return x + out, weights[:, 0]


def build(english: int, french: int) -> tuple[fastnn.Model, fastnn.Model, fastnn.Model]:
    """The model that learns; its encoder; its decoder, which also gives where it looks."""
    source = fastnn.Input((None,), dtype="int32", name="english")
    said = fastnn.Input((None,), dtype="int32", name="french")
    seen = ops.not_equal(source, 0)
    x = nn.TokenAndPositionEmbedding(english, LENGTH, WIDTH)(source)
    options = {"dropout": 0.1, "normalize_first": True}
    for _ in range(2):
        x = nn.TransformerEncoder(4 * WIDTH, 4, **options)(x, padding_mask=seen)
    memory = layers.LayerNormalization()(x)
    encoder = fastnn.Model(source, memory)
    y = nn.TokenAndPositionEmbedding(french, LENGTH, WIDTH)(said)
    for _ in range(2):
        y = nn.TransformerDecoder(4 * WIDTH, 4, **options)(y, memory, encoder_padding_mask=seen)
    y, looked = LookUp()(y, memory, seen)
    scores = layers.Dense(french)(layers.LayerNormalization()(y))
    model = fastnn.Model([source, said], scores)
    return model, encoder, fastnn.Model([source, said], [scores, looked])


def translate(decoder: fastnn.Model, source: np.ndarray, start: int, end: int) -> tuple:
    """The best word after each, for many sentences at once: words, and where each looked."""
    said = np.zeros((len(source), LENGTH + 1), np.int32)
    said[:, 0] = start
    looks = np.zeros((len(source), LENGTH, source.shape[1]), np.float32)
    for i in range(LENGTH):
        scores, looked = decoder.predict([source, said[:, :-1]], batch_size=256, verbose=0)
        said[:, i + 1] = np.argmax(scores[:, i], axis=-1)
        looks[:, i] = looked[:, i]
        if np.all(np.any(said == end, axis=1)):
            break
    return said[:, 1:], looks


def sentences(rows: np.ndarray, vocabulary: list[str]) -> list[str]:
    """Texts of rows of words, each up to its end."""
    texts = (" ".join(vocabulary[int(w)] for w in row) for row in rows)
    return [text.split(END)[0].strip() for text in texts]


def main(folder: str | None = None, count: int = 32_000, epochs: int = 12) -> float:
    """Trains, prints translations and what was looked up; returns BLEU on held-back sentences."""
    place = Path(folder or Path(os.environ.get("FASTNN_DATA", "."), "translation"))
    if not (place / "fra-eng.zip").exists():
        raise SystemExit(f"no fra-eng.zip in {place}: give its folder as an argument")
    fastnn.utils.set_random_seed(0)
    known = read(place)
    rng = np.random.default_rng(0)
    order = rng.permutation(list(known)).tolist()
    held, rest = order[:500], order[500:]
    pairs = [(e, f) for e in rest for f in known[e]][:count]
    tables = []
    for texts in ([e for e, _ in pairs], [f"{START} {f} {END}" for _, f in pairs]):
        table = layers.TextVectorization(
            max_tokens=8000, standardize=None, output_sequence_length=LENGTH + 1
        )
        table.adapt(texts)
        tables.append((table, np.asarray(table(texts))))
    (english, source), (french, target) = tables
    source = source[:, :WORDS]
    vocabulary = french.get_vocabulary()
    model, _, decoder = build(english.vocabulary_size(), len(vocabulary))
    steps = epochs * -(-len(source) // 64)
    rate = fastnn.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=1e-3, warmup_steps=min(400, steps // 4)
    )
    model.compile(
        fastnn.optimizers.Adam(rate, clipnorm=1.0),
        fastnn.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
    )
    model.fit([source, target[:, :-1]], target[:, 1:], batch_size=64, epochs=epochs, verbose=2)
    asked = np.asarray(english(held))[:, :WORDS]
    start, end = vocabulary.index(START), vocabulary.index(END)
    rows, looks = translate(decoder, asked, start, end)
    said = sentences(rows, vocabulary)
    score = float(fastnn.metrics.bleu([known[e] for e in held], said))
    for e, s in list(zip(held, said, strict=True))[:8]:
        print(f"{e:>40}  {s}")
    print("looked up:")
    for word, look in zip(said[0].split(), looks[0], strict=False):
        print(f"{word:>14}", *(f"{w}:{p:.2f}" for w, p in zip(held[0].split(), look, strict=False)))
    print(f"BLEU on {len(held)} sentences held back: {score:.3f}")
    return score


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:4]))
