"""`keras.wrappers`: compiled models as scikit-learn estimators.

Needs scikit-learn (extra `[sklearn]`), which is imported when a name is first used. New programs
find more in `fastnn.sklearn`: sample weights, class weights, seeds, sparse rows, `partial_fit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastnn.sklearn.compiled import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

#: Paths of older Keras below this module are answered by `fastnn.base.finder`.
__path__: list[str] = []

__all__ = ["SKLearnClassifier", "SKLearnRegressor", "SKLearnTransformer"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        from fastnn.base.absent import missing

        raise missing(__name__, name, __all__)
    try:
        from fastnn.sklearn import compiled
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("sklearn", "scipy"):
            raise
        raise ImportError(
            f"fastnn.wrappers.{name} needs scikit-learn 1.6 or newer, which is not installed\n"
            '  hint: pip install "fastnn-rs[sklearn]"'
        ) from None
    for each in __all__:
        globals()[each] = getattr(compiled, each)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted(__all__)
