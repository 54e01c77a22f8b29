"""Smaller models: weights that are pruned and stay so. Fewer bits are `model.quantize`."""

from fastnn.base.absent import answer_missing
from fastnn.compression.pruning import keep_zeros, prune, sparsity

__all__ = ["keep_zeros", "prune", "sparsity"]

answer_missing(globals())
