"""From facts to fits, scores, draws, ranks and reasons; `judging` is where a company is judged."""

from __future__ import annotations

from .scores import Scores, fit_matrix, group_matrix, score, score_fits, topsis, weighted_sum

__all__ = ["Scores", "fit_matrix", "group_matrix", "score", "score_fits", "topsis", "weighted_sum"]
