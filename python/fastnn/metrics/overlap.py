"""Overlap of predicted and true classes: intersection over union. Depends on `base`, `ops`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastnn import ops
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike, TensorLike
from fastnn.config import stored_dtype
from fastnn.data.labels import check_class_numbers, known_values
from fastnn.errors import ShapeError
from fastnn.losses.base import match_weights
from fastnn.losses.targets import Targets, guarded
from fastnn.metrics.metric import Metric
from fastnn.tracing.variables import Variable, current_scope

__all__ = [
    "BinaryIoU", "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU",
]  # fmt: skip


#: A count of a cell is kept below this; how often it was passed stands apart.
_CARRY = 1 << 30


class _Overlap(Metric):
    """A confusion matrix of classes (rows: truth) and its intersections over unions.

    Class numbers outside 0…num_classes-1, and `ignore_class`, are left out, as in Keras; a warning
    says so where they are known before they are counted. Fractions are refused. Counts are int32,
    with multiples of 2^30 in a second variable; from the first float weights on they are float32,
    so that weights count as they are given (Keras cuts their fractions off). With `dtype="float32"`
    they are so from the start.
    """

    num_classes: int
    ignore_class: int | None
    axis: int
    sparse_y_true: bool
    sparse_y_pred: bool
    total_cm: Variable

    _direction = "up"
    _carries: Variable | None = None

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        whole = dtype is None or stored_dtype(dtype) == "int32"
        super().__init__(name=name, dtype=None if whole else dtype)
        self.num_classes, self.ignore_class, self.axis = num_classes, ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = sparse_y_true, sparse_y_pred
        self.total_cm = self.add_variable(
            (num_classes, num_classes),
            dtype="int32" if whole else "float32",
            name="total_confusion_matrix",
        )
        if self.total_cm.dtype == "int32":
            self._carries = Variable(np.zeros((num_classes, num_classes), np.int32), dtype="int32",
                                     trainable=False, name="carries")  # fmt: skip

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Counts a batch of class numbers, or of scores per class where it is not sparse."""
        if self.sparse_y_true:
            self.check_labels(y_true)
        else:
            y_true = self._best_true(y_true, sample_weight)
        if self.sparse_y_pred:
            self.check_labels(y_pred, "y_pred")
        else:
            y_pred = self._best("y_pred", y_pred)
        self._count(y_true, y_pred, sample_weight)

    def check_labels(self, labels: TensorLike, what: str = "y") -> None:
        """Warns of class numbers, as far as they are known, that lie outside the classes."""
        known = known_values(labels) if self.sparse_y_true or what == "y_pred" else None
        if known is None or not known.size:
            return
        outside = (known < 0) | (known >= self.num_classes)
        if self.ignore_class is not None:
            outside &= known != self.ignore_class
        # What is inside shall be whole numbers.
        check_class_numbers(known[~outside], self.num_classes, what, self.name, self.ignore_class)
        if outside.any():
            warnings.warn(
                f"{self.name} leaves out {int(outside.sum())} of {known.size} class numbers in "
                f"{what}, which are not in 0…{self.num_classes - 1}, such as {known[outside][0]}",
                stacklevel=4,
            )

    @property
    def _targets(self) -> Targets | None:
        return None if self.sparse_y_true else Targets("share", self.name, self.axis)

    def _best_true(self, y_true: TensorLike, sample_weight: TensorLike) -> Any:
        """Class numbers of one-hot rows; -1, which is left out, for others in a trace."""
        best = self._best("y_true", y_true)
        numbers = ops.cast(best, "float32")
        checked = guarded(self._targets, numbers, y_true, y_true, sample_weight)
        return best if checked is numbers else ops.where(ops.isnan(checked), -1, best)

    def _best(self, what: str, scores: TensorLike) -> Any:
        """The class with the best score; ShapeError when there are other than `num_classes`."""
        scores = ops.convert_to_tensor(scores)
        shape = tuple(scores.shape)
        if len(shape) < 2 or shape[self.axis] not in (self.num_classes, None):
            raise ShapeError(
                f"{type(self).__name__}: {what} has shape {shape}, wanted {self.num_classes} scores"
                f" along axis {self.axis}\n  hint: class numbers are counted by MeanIoU and IoU"
            )
        return ops.argmax(scores, axis=self.axis)

    def _count(self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike) -> None:
        shapes = [tuple(ops.convert_to_tensor(v).shape) for v in (y_true, y_pred)]
        for at, what in enumerate(("y_true", "y_pred")):
            own, other = shapes[at], shapes[1 - at]
            if len(own) == len(other) + 1 and own[-1] == self.num_classes > 1:
                raise ShapeError(
                    f"{self.name}: {what} has shape {own}, the other {other}: a score per class "
                    f"where class numbers are counted\n  hint: sparse_{what}=False takes scores"
                )
        y, p = (ops.ravel(ops.cast(v, "int32")) for v in (y_true, y_pred))
        keep = ops.logical_and(
            ops.logical_and(y >= 0, y < self.num_classes),
            ops.logical_and(p >= 0, p < self.num_classes),
        )
        if self.ignore_class is not None:
            keep = ops.logical_and(keep, ops.not_equal(y, self.ignore_class))
        weight = ops.cast(keep, "float32")
        if sample_weight is not None:
            given = ops.convert_to_tensor(sample_weight)
            if given.dtype == "float32":
                self._take_fractions()
            given = ops.cast(given, "float32")
            every = ops.cast(ops.ones_like(y_true), "float32")
            given, _ = match_weights(given, every)  # a picture's weight counts for its pixels
            weight = weight * ops.ravel(given * every)
        rows = ops.one_hot(ops.where(keep, y, 0), self.num_classes)
        columns = ops.one_hot(ops.where(keep, p, 0), self.num_classes)
        counts = ops.matmul(ops.transpose(rows * ops.expand_dims(weight, axis=-1)), columns)
        if self.total_cm.dtype == "float32":
            self._accumulate(self.total_cm, counts)
            return
        total = self.total_cm.value + ops.cast(counts, "int32")
        if self._carries is None or self._stateless:
            self.total_cm.assign(total)
            return
        carried = total // _CARRY
        self._carries.assign(self._carries + carried)
        self.total_cm.assign(total - carried * _CARRY)

    def _take_fractions(self) -> None:
        """Goes on counting in float32."""
        old = self.total_cm
        if old.dtype == "float32":
            return
        scope, carries = current_scope(), self._carries
        counted = np.asarray(old.stored()).astype(np.float64)
        if carries is not None:
            counted += np.asarray(carries.stored()) * float(_CARRY)
        self.total_cm = Variable(counted.astype(np.float32), trainable=False, name=old.name)
        self.total_cm.path = old.path
        self._carries = None
        self._variables = [self.total_cm if v is old else v for v in self._variables]
        # As the sum, whatever is traced: a step that sets it would set it again each time.
        self._rest_of(self.total_cm).store((counted - counted.astype(np.float32)).astype("f4"))
        if scope is None or old not in scope.values:
            return
        if self._stateless:
            scope.put(self.total_cm, ops.cast(old.value, "float32"))
            return
        # What the step under way has counted so far is in no stored value.
        fresh = ops.cast(old.value - scope.leaf(old), "float32")
        if carries is not None:
            carried = ops.cast(carries.value - scope.leaf(carries), "float32")
            fresh = fresh + carried * float(_CARRY)
        self._accumulate(self.total_cm, fresh)

    @property
    def _state(self) -> list[Variable]:
        return super()._state + ([] if self._carries is None else [self._carries])

    def _shares(self) -> tuple[Any, Any]:
        """Intersection over union per class, and 1 for each class that occurs."""
        matrix = ops.cast(self.total_cm.value, "float32")
        if self._carries is not None:
            matrix = matrix + ops.cast(self._carries.value, "float32") * float(_CARRY)
        both = ops.sum(matrix * ops.eye(self.num_classes), axis=1)
        union = ops.sum(matrix, axis=0) + ops.sum(matrix, axis=1) - both
        return ops.divide_no_nan(both, union), ops.cast(union > 0.0, "float32")


class IoU(_Overlap):
    """The mean intersection over union of chosen classes.

    Args:
        num_classes: The number of classes.
        target_class_ids: The classes whose mean is taken.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        ignore_class: A label whose positions are not counted.
        sparse_y_true: Whether labels are class numbers; False: one-hot.
        sparse_y_pred: Whether predictions are class numbers; False: scores by class.
        axis: The axis of the classes, where there is one.

    Example:
        >>> metric = fastnn.metrics.IoU(num_classes=2, target_class_ids=[1])
        >>> metric.update_state([0, 1, 1, 0], [0, 1, 0, 0])
        >>> float(metric.result())
        0.5
    """

    target_class_ids: Sequence[int]

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        if max(target_class_ids) >= num_classes:
            raise ValueError(
                f"Target class id {max(target_class_ids)} is out of range, which is [0, "
                f"{num_classes})\n  hint: class numbers start at 0"
            )
        self.target_class_ids = list(target_class_ids)

    def result(self) -> Any:
        """The mean over the target classes that occur; 0 when none does."""
        shares, occurs = self._shares()
        chosen = [float(i in self.target_class_ids) for i in range(self.num_classes)]
        weight = occurs * ops.convert_to_tensor(chosen, "float32")
        return ops.divide_no_nan(ops.sum(shares * weight), ops.sum(weight))


class BinaryIoU(IoU):
    """The mean intersection over union of the classes 0 and 1 of scores above a threshold.

    Args:
        target_class_ids: The classes whose mean is taken: 0, 1 or both.
        threshold: The score from which on a prediction counts as 1.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.

    Example:
        >>> metric = fastnn.metrics.BinaryIoU(target_class_ids=[1])
        >>> metric.update_state([0, 1, 1, 0], [0.1, 0.8, 0.3, 0.2])
        >>> float(metric.result())
        0.5
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: DTypeLike = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    @hints_arguments
    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> None:
        """Counts a batch of scores."""
        self.check_labels(y_true)
        scores = ops.convert_to_tensor(y_pred, "float32")
        self._count(y_true, scores >= self.threshold, sample_weight)


class MeanIoU(_Overlap):
    """The mean intersection over union of all classes that occur.

    Args:
        num_classes: The number of classes.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        ignore_class: A label whose positions are not counted.
        sparse_y_true: Whether labels are class numbers; False: one-hot.
        sparse_y_pred: Whether predictions are class numbers; False: scores by class.
        axis: The axis of the classes, where there is one.

    Example:
        >>> metric = fastnn.metrics.MeanIoU(num_classes=2)
        >>> metric.update_state([0, 1, 1, 0], [0, 1, 0, 0])
        >>> round(float(metric.result()), 4)
        0.5833
    """

    def result(self) -> Any:
        """The mean over the classes that occur; 0 when none does."""
        shares, occurs = self._shares()
        return ops.divide_no_nan(ops.sum(shares), ops.sum(occurs))


class OneHotIoU(IoU):
    """`IoU` of one-hot labels and scores by class.

    Args:
        num_classes: The number of classes.
        target_class_ids: The classes whose mean is taken.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        ignore_class: A class whose positions are not counted.
        sparse_y_pred: Whether predictions are class numbers; False: scores by class.
        axis: The axis of the classes.

    Example:
        >>> metric = fastnn.metrics.OneHotIoU(num_classes=2, target_class_ids=[1])
        >>> metric.update_state([[1, 0], [0, 1]], [[0.7, 0.3], [0.2, 0.8]])
        >>> float(metric.result())
        1.0
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(
            num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis
        )


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of one-hot labels and scores by class.

    Args:
        num_classes: The number of classes.
        name: The name of the metric; made from the class name when left out.
        dtype: Type of the results; float32 computes, and others are taken for Keras's sake.
        ignore_class: A class whose positions are not counted.
        sparse_y_pred: Whether predictions are class numbers; False: scores by class.
        axis: The axis of the classes.

    Example:
        >>> metric = fastnn.metrics.OneHotMeanIoU(num_classes=2)
        >>> metric.update_state([[1, 0], [0, 1]], [[0.7, 0.3], [0.8, 0.2]])
        >>> float(metric.result())
        0.25
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: DTypeLike = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
