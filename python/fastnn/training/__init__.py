"""Fitting, evaluating and predicting: what `Model` does beyond `Layer`."""

from fastnn.base.finder import answer_earlier

answer_earlier(globals())
