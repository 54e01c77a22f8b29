"""What a model is given, brought to the shapes that it wants. Depends on `data`."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastnn.base import tree
from fastnn.data.arrays import as_arrays, leaf
from fastnn.data.batches import ArrayData, IterableData, check_features, is_iterable_data, unpack
from fastnn.data.labels import class_weights
from fastnn.errors import DataError, ShapeError
from fastnn.training.compile_utils import CompiledLoss, CompiledMetrics

__all__ = ["Feeding"]


class Feeding:
    """The part of a model that checks and shapes inputs, targets and weights."""

    name: str
    _compiled_loss: CompiledLoss | None
    _compiled_metrics: CompiledMetrics | None

    def _fit_inputs(self, x: Any) -> Any:
        """`x` brought to the shapes that the model wants."""
        want = self._input_shapes()  # type: ignore[attr-defined]
        if want is None:
            return tree.map_structure(lambda a: a[:, None] if a.ndim == 1 else a, x)
        names, shapes = want
        leaves = self._match_inputs(x, names)
        if len(leaves) != len(shapes):
            raise DataError(
                f"x has {len(leaves)} arrays, model {self.name!r} has {len(shapes)} inputs"
                f" ({', '.join(names)})\n  hint: give a list or dict of {len(shapes)} arrays"
            )
        fixed = []
        for i, (a, shape) in enumerate(zip(leaves, shapes, strict=True)):
            where = self._expects(names[i], shape)  # type: ignore[attr-defined]
            if a.shape[1:] != tuple(shape[1:]) and self._takes(a, shape):
                fixed.append(a)
                continue
            fixed.append(check_features("x" if len(leaves) == 1 else f"x[{i}]", a, shape, where))
        return fixed[0] if not isinstance(x, dict | list | tuple) else (
            dict(zip(names, fixed, strict=True)) if isinstance(x, dict) else fixed
        )  # fmt: skip

    def _takes(self, array: Any, shape: Any) -> bool:
        """Whether inputs of another shape than that of the symbolic input are fine as they are."""
        return False

    @staticmethod
    def _match_inputs(x: Any, names: list[str]) -> list[Any]:
        if isinstance(x, dict) and all(n in x for n in names):
            return [x[n] for n in names]
        if isinstance(x, dict):
            missing = [n for n in names if n not in x]
            raise DataError(
                f"x lacks the input '{missing[0]}', it has {', '.join(map(repr, x))}\n"
                f"  hint: name the arrays after the inputs: {', '.join(names)}"
            )
        return tree.flatten(x)

    def _arrays(self, x: Any, y: Any, weights: Any) -> ArrayData:
        if isinstance(x, list) and x and isinstance(x[0], tuple | list) is False and not isinstance(
            x[0], int | float | str | bool | np.generic
        ) and self._single_input():  # fmt: skip
            rows = [leaf(v, f"x[{i}]") for i, v in enumerate(x)]
            x = rows[0] if len(rows) == 1 else np.stack(rows)
        data = ArrayData(as_arrays(x, "x"), as_arrays(y, "y"), as_arrays(weights, "sample_weight"))
        data.x = self._fit_inputs(data.x)
        data.join()
        return data

    def _single_input(self) -> bool:
        want = self._input_shapes()  # type: ignore[attr-defined]
        return want is not None and len(want[1]) == 1

    def _check_labels(self, y: Any, weights: Any = None) -> None:
        """DataError when labels lie outside the classes of the outputs, where these are known."""
        names = getattr(self, "output_names", None)
        if self._compiled_loss is not None and y is not None:
            sizes = getattr(self, "_output_sizes", None)
            self._compiled_loss.check_labels(y, names, sizes, weights)
        if self._compiled_metrics is not None and y is not None:
            self._compiled_metrics.check_labels(y, names, weights)

    def _by_class(self, y: Any, classes: Any, weights: Any) -> Any:
        """The sample weights times those of the classes."""
        loss = self._compiled_loss
        numbered = (loss is not None and loss.takes_numbers) or (
            getattr(self, "_output_sizes", None) == [1]
        )
        return class_weights(y, classes, weights, numbered)

    def _source(
        self, x: Any, y: Any, weights: Any, shuffle: bool, name: str = "x"
    ) -> ArrayData | IterableData:
        if is_iterable_data(x):
            if y is not None:
                raise ValueError(
                    f"{name} yields its own targets, so y must not be given\n"
                    "  hint: fit(generator) with batches (x, y)"
                )
            if weights is not None:
                raise ValueError(
                    f"{name} yields its own weights\n  hint: yield batches (x, y, sample_weight)"
                )
            return IterableData(x, name, shuffle)
        data = self._arrays(x, y, weights)
        self._check_labels(data.y, data.weights)
        return data

    def _validation(self, given: Any) -> ArrayData | IterableData:
        if is_iterable_data(given):
            return IterableData(given, "validation_data")
        x, y, w = unpack(given)
        if y is None and self._compiled_loss is not None:
            raise DataError(
                f"validation_data is {type(given).__name__} without targets, the loss needs them\n"
                "  hint: validation_data=(x_val, y_val)"
            )
        try:
            return self._source(x, y, w, False, "validation_data")
        except (DataError, ShapeError) as error:
            error.add_note("  in validation_data")
            raise
