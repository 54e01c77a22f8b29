"""A real language model tells a story: llama2.c's stories260K, its weights and its tokens.

    python examples/stories.py FOLDER [PROMPT]

The folder holds `stories260K.bin` and `tok512.bin` (karpathy/tinyllamas, MIT). Without a prompt the
model begins on its own, takes the best token each time, and the text is that of llama2.c to the
letter; with one it draws tokens.
"""

import os
import struct
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

import fastnn
from fastnn.applications import Llama


def read_model(path: Path) -> Llama:
    """The model of a file in llama2.c's first format: seven sizes, then the weights in order."""
    data = path.read_bytes()
    width, hidden, layers, heads, shared, vocabulary, length = struct.unpack("<7i", data[:28])
    model = Llama(
        abs(vocabulary), width, layers, heads, shared, hidden, length, interleaved=True,
        tied=vocabulary > 0,
    )  # fmt: skip
    numbers, at = np.frombuffer(data, "<f4", offset=28), 0

    def take(*shape: int) -> np.ndarray:
        nonlocal at
        size = int(np.prod(shape))
        at += size
        return numbers[at - size : at].reshape(shape)

    size = width // heads
    tensors = {"model.embed_tokens.weight": take(abs(vocabulary), width)}
    for name, shape in (
        ("input_layernorm", (width,)), ("self_attn.q_proj", (width, width)),
        ("self_attn.k_proj", (shared * size, width)), ("self_attn.v_proj", (shared * size, width)),
        ("self_attn.o_proj", (width, width)), ("post_attention_layernorm", (width,)),
        ("mlp.gate_proj", (hidden, width)), ("mlp.down_proj", (width, hidden)),
        ("mlp.up_proj", (hidden, width)),
    ):  # fmt: skip
        for layer, part in enumerate(take(layers, *shape)):
            tensors[f"model.layers.{layer}.{name}.weight"] = part
    tensors["model.norm.weight"] = take(width)
    if vocabulary < 0:
        take(2 * length * (size // 2))  # angles, which the model computes itself
        tensors["lm_head.weight"] = take(-vocabulary, width)
    model.set_tensors(tensors)
    return model


class Tokenizer:
    """llama2.c's tokens: pieces of text with scores; the best pair is joined again and again."""

    def __init__(self, path: Path) -> None:
        data, at = path.read_bytes(), 4
        self.pieces, self.scores = [], []
        while at < len(data):
            score, length = struct.unpack("<fi", data[at : at + 8])
            self.pieces.append(data[at + 8 : at + 8 + length])
            self.scores.append(score)
            at += 8 + length
        self.numbers = {piece: i for i, piece in enumerate(self.pieces)}

    def encode(self, text: str) -> list[int]:
        """Token 1, which begins a text, and the tokens of the text."""
        tokens = [self.numbers[b" "]] if text else []
        for letter in text:
            found = self.numbers.get(letter.encode())
            tokens += [found] if found is not None else [b + 3 for b in letter.encode()]
        while True:
            pairs = [self.pieces[a] + self.pieces[b] for a, b in pairwise(tokens)]
            best = max(
                ((self.scores[self.numbers[p]], -i) for i, p in enumerate(pairs)
                 if p in self.numbers), default=None,
            )  # fmt: skip
            if best is None:
                return [1, *tokens]
            at = -best[1]
            tokens[at : at + 2] = [self.numbers[pairs[at]]]

    def decode(self, tokens: list[int]) -> str:
        """The text of tokens; a space that begins it is left out."""
        out = b""
        for token in tokens:
            piece = self.pieces[token]
            if piece.startswith(b"<0x") and piece.endswith(b">"):
                piece = bytes([int(piece[3:5], 16)])
            out += piece
        return out.decode("utf-8", "replace").removeprefix(" ")


def main() -> None:
    """Prints a story."""
    default = Path(os.environ.get("FASTNN_DATA", "."), "weights", "stories260K")
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    if not (folder / "stories260K.bin").exists():
        print(f"no stories260K.bin in {folder}: python examples/stories.py FOLDER")
        return
    model, tokenizer = read_model(folder / "stories260K.bin"), Tokenizer(folder / "tok512.bin")
    prompt = tokenizer.encode(sys.argv[2] if len(sys.argv) > 2 else "")
    greedy = len(sys.argv) < 3
    for piece in fastnn.generate(
        model, prompt, max_tokens=200, temperature=0.0 if greedy else 0.8, top_p=0.9, stop=1,
        seed=None, stream=True, tokenizer=tokenizer,
    ):  # fmt: skip
        print(piece, end="", flush=True)
    print()


if __name__ == "__main__":
    main()
