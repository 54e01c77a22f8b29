"""Layers that resize, crop and change images: `base` holds what they share.

Modules: `sizes`, `geometry` (where pixels come from), `colour`, `levels` and `adaptive` (how
values are spread), `mixing` (boxes and other images), `combined` (several changes at random).
"""

from __future__ import annotations

from fastnn.layers.image.adaptive import ContrastLimitedAdaptiveHistogramEqualization
from fastnn.layers.image.colour import (
    RandomBrightness,
    RandomColorDegeneration,
    RandomColorJitter,
    RandomContrast,
    RandomGrayscale,
    RandomHue,
    RandomInvert,
    RandomPosterization,
    RandomSaturation,
)
from fastnn.layers.image.combined import (
    AugMix,
    RandAugment,
)
from fastnn.layers.image.geometry import (
    RandomFlip,
    RandomPerspective,
    RandomRotation,
    RandomShear,
    RandomTranslation,
    RandomZoom,
)
from fastnn.layers.image.levels import (
    AutoContrast,
    Equalization,
    RandomElasticTransform,
    RandomGaussianBlur,
    RandomSharpness,
    Solarization,
)
from fastnn.layers.image.mixing import (
    CutMix,
    MixUp,
    RandomErasing,
)
from fastnn.layers.image.sizes import (
    CenterCrop,
    RandomCrop,
    Resizing,
)

__all__ = [
    "AugMix", "AutoContrast", "CenterCrop",
    "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "Equalization", "MixUp",
    "RandAugment", "RandomBrightness", "RandomColorDegeneration", "RandomColorJitter",
    "RandomContrast", "RandomCrop", "RandomElasticTransform", "RandomErasing", "RandomFlip",
    "RandomGaussianBlur", "RandomGrayscale", "RandomHue", "RandomInvert",
    "RandomPerspective", "RandomPosterization", "RandomRotation", "RandomSaturation",
    "RandomSharpness", "RandomShear", "RandomTranslation", "RandomZoom", "Resizing",
    "Solarization",
]  # fmt: skip
