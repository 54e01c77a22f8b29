"""Layers for inputs: scales, look-ups, vectorisation, encodings, hashing.

`host` has those that work on values of the host, and reads a model's text inputs.
Depends on `layers.base`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing, homes_of

if TYPE_CHECKING:  # models need `host` alone
    from fastnn.layers.preprocessing.audio import MelSpectrogram, STFTSpectrogram
    from fastnn.layers.preprocessing.category import CategoryEncoding, Discretization, Hashing
    from fastnn.layers.preprocessing.crossing import HashedCrossing
    from fastnn.layers.preprocessing.lookup import IntegerLookup, StringLookup
    from fastnn.layers.preprocessing.scaling import Normalization, Rescaling
    from fastnn.layers.preprocessing.text_vectorization import TextVectorization

__all__ = [
    "CategoryEncoding", "Discretization", "HashedCrossing", "Hashing", "IntegerLookup",
    "MelSpectrogram", "Normalization", "Rescaling", "STFTSpectrogram", "StringLookup",
    "TextVectorization",
]  # fmt: skip

_MODULES = {
    "audio": "MelSpectrogram STFTSpectrogram",
    "category": "CategoryEncoding Discretization Hashing", "crossing": "HashedCrossing",
    "lookup": "IntegerLookup StringLookup", "scaling": "Normalization Rescaling",
    "text_vectorization": "TextVectorization",
}  # fmt: skip

answer_missing(
    globals(),
    "fastnn.layers",
    homes_of(__name__, _MODULES),
)
