"""`keras.applications.resnet50`: ResNet50 under its older module."""

from __future__ import annotations

from fastnn.applications.resnet import ResNet50, decode_predictions, preprocess_input

__all__ = ["ResNet50", "decode_predictions", "preprocess_input"]
