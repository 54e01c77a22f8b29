"""Metrics under Keras's names. A module of them is loaded when one of it is asked for; `lookup` has
the tables that strings are looked up in.
"""

# ruff: noqa: F403, F405
from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing, homes_of

if TYPE_CHECKING:
    from fastnn.losses import (
        binary_crossentropy,
        binary_focal_crossentropy,
        categorical_crossentropy,
        categorical_focal_crossentropy,
        categorical_hinge,
        hinge,
        huber,
        kl_divergence,
        log_cosh,
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_error,
        mean_squared_logarithmic_error,
        poisson,
        sparse_categorical_crossentropy,
        squared_hinge,
    )
    from fastnn.metrics.accuracies import *
    from fastnn.metrics.confusion import *
    from fastnn.metrics.crossentropies import *
    from fastnn.metrics.errors import *
    from fastnn.metrics.language import *
    from fastnn.metrics.lookup import (
        ALIASES as ALIASES,
        BY_SHAPE as BY_SHAPE,
        KLD as KLD,
        MAE as MAE,
        MAPE as MAPE,
        MSE as MSE,
        MSLE as MSLE,
        TABLE as TABLE,
        by_shape as by_shape,
        check_name as check_name,
        deserialize,
        get,
        kld as kld,
        kullback_leibler_divergence as kullback_leibler_divergence,
        logcosh as logcosh,
        mae as mae,
        mape as mape,
        mse as mse,
        msle as msle,
        serialize,
    )
    from fastnn.metrics.metric import *
    from fastnn.metrics.overlap import *
    from fastnn.metrics.scores import *

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "BinaryIoU", "CategoricalAccuracy",
    "CategoricalCrossentropy", "CategoricalHinge", "ConcordanceCorrelation", "CosineSimilarity",
    "F1Score", "FBetaScore", "FalseNegatives", "FalsePositives", "Hinge", "IoU", "KLDivergence",
    "LogCoshError", "Mean", "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanIoU",
    "MeanMetricWrapper", "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric", "OneHotIoU",
    "OneHotMeanIoU", "PearsonCorrelation", "Perplexity", "Poisson", "Precision",
    "PrecisionAtRecall", "R2Score", "Recall", "RecallAtPrecision", "RootMeanSquaredError",
    "SensitivityAtSpecificity", "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpecificityAtSensitivity", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "accuracy", "binary_accuracy",
    "binary_crossentropy", "binary_focal_crossentropy", "bleu", "categorical_accuracy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge",
    "concordance_correlation", "deserialize", "get", "hinge", "huber", "kl_divergence", "log_cosh",
    "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "pearson_correlation", "poisson", "serialize",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy", "squared_hinge", "top_k_categorical_accuracy",
]  # fmt: skip

#: The module of each name, below this package; the others are functions of `losses`.
MODULES = {
    "accuracies": (
        "Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy "
        "SparseTopKCategoricalAccuracy TopKCategoricalAccuracy accuracy binary_accuracy "
        "categorical_accuracy sparse_categorical_accuracy sparse_top_k_categorical_accuracy "
        "top_k_categorical_accuracy"
    ),
    "crossentropies": (
        "BinaryCrossentropy CategoricalCrossentropy KLDivergence Poisson "
        "SparseCategoricalCrossentropy"
    ),
    "errors": (
        "CategoricalHinge ConcordanceCorrelation CosineSimilarity Hinge LogCoshError "
        "MeanAbsoluteError MeanAbsolutePercentageError MeanSquaredError "
        "MeanSquaredLogarithmicError PearsonCorrelation RootMeanSquaredError SquaredHinge "
        "concordance_correlation pearson_correlation"
    ),
    "metric": "Mean MeanMetricWrapper Metric Sum",
    "confusion": (
        "AUC FalseNegatives FalsePositives Precision PrecisionAtRecall Recall "
        "RecallAtPrecision SensitivityAtSpecificity SpecificityAtSensitivity TrueNegatives "
        "TruePositives"
    ),
    "language": "Perplexity bleu",
    "overlap": "BinaryIoU IoU MeanIoU OneHotIoU OneHotMeanIoU",
    "scores": "F1Score FBetaScore R2Score",
    "lookup": "deserialize get serialize",
}
#: Names of `lookup` that are not public: the tables, and Keras's short names of functions.
_OF_LOOKUP = (
    "ALIASES BY_SHAPE KLD MAE MAPE MSE MSLE TABLE by_shape check_name kld "
    "kullback_leibler_divergence logcosh mae mape mse msle"
)

answer_missing(
    globals(),
    homes={
        **{name: f"{__name__}.{name}" for name in (*MODULES, "base")},
        **dict.fromkeys(__all__, "fastnn.losses"),
        **dict.fromkeys(_OF_LOOKUP.split(), f"{__name__}.lookup"),
        **homes_of(__name__, MODULES),
    },
)
