"""Networks as scikit-learn estimators, for its pipelines, searches and ensembles.

Needs scikit-learn (extra `[sklearn]`), which is imported when a name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.sklearn.classifier import FastNNClassifier
    from fastnn.sklearn.features import FastNNFeatures
    from fastnn.sklearn.regressor import FastNNRegressor

__all__ = ["FastNNClassifier", "FastNNFeatures", "FastNNRegressor"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"fastnn.sklearn has no {name!r}\n  hint: it has {', '.join(__all__)}")
    try:
        from fastnn.sklearn import classifier, features, regressor
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("sklearn", "scipy"):
            raise
        raise ImportError(
            f"fastnn.sklearn.{name} needs scikit-learn 1.6 or newer, which is not installed\n"
            '  hint: pip install "fastnn-rs[sklearn]"'
        ) from None
    for module in (classifier, features, regressor):
        for each in module.__all__:
            globals()[each] = getattr(module, each)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
