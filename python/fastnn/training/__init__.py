"""Fitting, evaluating and predicting: what `Model` does beyond `Layer`."""

from fastnn.base.finder import answer_earlier
from fastnn.training.features import cache_features

__all__ = ["cache_features"]

answer_earlier(globals())
