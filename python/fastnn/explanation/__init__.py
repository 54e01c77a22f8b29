"""Why a model says what it says: attributions to inputs, and trees that imitate it."""

from fastnn.base.absent import answer_missing
from fastnn.explanation.methods import METHODS, Explanation, explain
from fastnn.explanation.surrogate import Surrogate, surrogate_tree

__all__ = ["METHODS", "Explanation", "Surrogate", "explain", "surrogate_tree"]

answer_missing(globals())
