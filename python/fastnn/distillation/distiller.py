"""`Distiller`: a model that trains a student on labels and on what a teacher says.

Depends on `models`, `terms`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from fastnn import metrics as measures, models, ops
from fastnn.base import nests
from fastnn.base.arguments import as_number
from fastnn.distillation.terms import DistillationLoss
from fastnn.serialization.objects import deserialize_keras_object, serialize_keras_object

__all__ = ["Distiller"]


class Distiller(models.Model):
    """Trains a student on labels and on the outputs or features of a teacher, which stays as it is.

    The loss is `student_loss_weight` times the compiled one, which heeds sample weights, plus the
    rest of 1 times the sum of the distillation losses. The logs have `student_loss`,
    `distillation_loss` and `total_loss` besides. Called, it is the student.

    Args:
        teacher: A trained model.
        student: The model to train; afterwards, `distiller.student` stands on its own.
        distillation_losses: One of `fastnn.distillation`, or several.
        distillation_loss_weights: A number for each of several losses; None: 1 each.
        student_loss_weight: The share of the loss on labels, from 0 to 1.
        name: The name of the model.
        **kwargs: What `Model` takes besides.

    Raises:
        ValueError: The models take or give other shapes, a layer is missing, or a weight does not
            fit.

    Example:
        >>> teacher = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(3)])
        >>> student = fastnn.Sequential([fastnn.Input((4,)), fastnn.layers.Dense(3)])
        >>> distiller = fastnn.distillation.Distiller(
        ...     teacher, student, fastnn.distillation.LogitsDistillation(2.0)
        ... )
        >>> loss = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> distiller.compile("adam", loss)
        >>> logs = distiller.fit(np.ones((8, 4)), np.zeros(8), verbose=0).history
        >>> sorted(logs)
        ['distillation_loss', 'loss', 'student_loss', 'total_loss']
    """

    teacher: Any
    student: Any
    distillation_losses: list[Any]
    _seen: Any

    def __init__(
        self,
        teacher: Any,
        student: Any,
        distillation_losses: Any,
        distillation_loss_weights: Sequence[float] | None = None,
        student_loss_weight: float = 0.5,
        name: str = "distiller",
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        for kind, model in (("Teacher", teacher), ("Student", student)):
            if not isinstance(model, models.Model):
                raise ValueError(
                    f"{kind} must be a keras.Model, got {type(model).__name__}\n"
                    "  hint: Distiller(teacher, student, LogitsDistillation())"
                )
        for what in ("inputs", "outputs"):
            _compatible(teacher, student, what)
        share = as_number(student_loss_weight)
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ValueError(
                "student_loss_weight must be a number and between 0.0 and 1.0, got "
                f"{student_loss_weight!r}\n  hint: student_loss_weight=0.5"
            )
        if distillation_losses is None:
            raise ValueError(
                "'distillation_losses' cannot be `None`\n"
                "  hint: distillation_losses=fastnn.distillation.LogitsDistillation()"
            )
        single = not isinstance(distillation_losses, list | tuple)
        terms = [distillation_losses] if single else list(distillation_losses)
        weights = [1.0] * len(terms)
        if distillation_loss_weights is not None and not single:
            weights = [float(w) for w in distillation_loss_weights]
        if len(weights) != len(terms) or not terms:
            raise ValueError(
                f"Number of distillation_loss_weights ({len(weights)}) must match number of "
                f"distillation_losses ({len(terms)})\n  hint: one number for each loss"
            )
        for term in terms:
            if not isinstance(term, DistillationLoss):
                raise ValueError(
                    f"Distiller: {type(term).__name__} is no distillation loss\n"
                    "  hint: LogitsDistillation(), FeatureDistillation() or a subclass of "
                    "DistillationLoss"
                )
            term.validate_model_compatibility(teacher, student)
        self.student_loss_weight = share
        self.distillation_losses = terms
        self.distillation_loss_weights = weights
        self.teacher, self.student = teacher, student
        teacher.trainable = False
        # The models within share layers, so a namespace hides them from the layers of this one.
        self._inner = SimpleNamespace(
            teacher=_features(teacher, [getattr(t, "teacher_layer_name", None) for t in terms]),
            student=_features(student, [getattr(t, "student_layer_name", None) for t in terms]),
        )
        self._keep(None)
        self.student_loss_tracker = measures.Mean(name="student_loss")
        self.distillation_loss_tracker = measures.Mean(name="distillation_loss")
        self.total_loss_tracker = measures.Mean(name="total_loss")
        self.built = bool(teacher.built and student.built)

    def _keep(self, found: Any) -> None:
        """Keeps what a pass gave until `compute_loss`, out of the sight of what lists layers."""
        self.__dict__["_seen"] = found

    def compile(  # type: ignore[override]
        self, optimizer: Any = "adam", loss: Any = None, metrics: Any = None, **kwargs: Any
    ) -> None:
        """As `Model.compile`; `loss` is the student's on labels, and cannot be left out."""
        if loss is None:
            raise ValueError("'loss' cannot be `None`.\n  hint: the student's loss on labels")
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as a file says; those that Keras writes do not say the student's loss."""
        if config.get("loss") is None:
            warnings.warn(
                f"{self.name!r} is not compiled: the file does not say the student's loss; "
                "compile(optimizer, loss) before training goes on",
                stacklevel=2,
            )
            return
        super().compile_from_config(config)

    def call(self, inputs: Any, training: Any = None, **kwargs: Any) -> Any:
        """What the student says."""
        inner = self._inner.student
        if inner is None or not training or kwargs:
            return self.student(inputs, training=training, **kwargs)
        # Features and outputs of one pass, for `compute_loss`, which gets the outputs alone.
        found = inner(inputs, training=training)
        self._keep(found)
        return found[""]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The share of the loss on labels and of the distillation losses."""
        if y_pred is None:
            y_pred = self(x, training=training)
        share = self.student_loss_weight
        student_loss: Any = 0.0
        apart: Any = 0.0
        seen = self._seen
        self._keep(None)
        if share > 0.0 and y is not None:
            student_loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        else:
            for extra in self.losses:
                student_loss = student_loss + ops.sum(extra)
        if share < 1.0:
            apart = self._apart(x, y_pred, seen, training)
        total = share * student_loss + (1.0 - share) * apart
        self.student_loss_tracker.update_state(student_loss)
        self.distillation_loss_tracker.update_state(apart)
        self.total_loss_tracker.update_state(total)
        return total

    def _apart(self, x: Any, y_pred: Any, seen: Any, training: bool) -> Any:
        """The weighted sum of the distillation losses."""
        inner = self._inner
        if inner.teacher is None:
            taught = {"": self.teacher(x, training=False)}
        else:
            taught = inner.teacher(x, training=False)
        learnt = {"": y_pred}
        if inner.student is not None:
            learnt = seen if seen is not None else inner.student(x, training=training)
        total: Any = 0.0
        for term, weight in zip(
            self.distillation_losses, self.distillation_loss_weights, strict=True
        ):
            first = taught[getattr(term, "teacher_layer_name", None) or ""]
            name = getattr(term, "student_layer_name", None)
            second = learnt[name] if name else y_pred
            term.validate_outputs(first, second)
            value = term.compute_loss(first, second)
            if getattr(value, "shape", ()) not in ((), []) and len(value.shape):
                raise ValueError(
                    f"Distillation loss {type(term).__name__} returned a non-scalar loss with "
                    f"shape {tuple(value.shape)}\n  hint: ops.mean(...) at its end"
                )
            total = total + weight * value
        return total

    def get_config(self) -> dict[str, Any]:
        """Both models, the losses and their weights."""
        return {
            "name": self.name,
            "teacher": serialize_keras_object(self.teacher),
            "student": serialize_keras_object(self.student),
            "distillation_losses": [serialize_keras_object(t) for t in self.distillation_losses],
            "distillation_loss_weights": self.distillation_loss_weights,
            "student_loss_weight": self.student_loss_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The distiller that a config describes."""

        def read(value: Any) -> Any:
            return deserialize_keras_object(value, custom_objects)

        return cls(**{
            **config, "teacher": read(config["teacher"]), "student": read(config["student"]),
            "distillation_losses": [read(t) for t in config["distillation_losses"]],
        })  # fmt: skip


def _compatible(teacher: Any, student: Any, what: str) -> None:
    """Refuses models with a graph whose inputs or outputs have other shapes or types."""
    pair = [getattr(model, what, None) for model in (teacher, student)]
    if None in pair:
        return
    first, second = (nests.flatten(ends) for ends in pair)
    for one, other in zip(first, second, strict=False):
        a, b = tuple(one.shape), tuple(other.shape)
        same = len(a) == len(b) and all(
            None in (m, n) or m == n for m, n in zip(a, b, strict=True)
        )  # fmt: skip
        if not same or one.dtype != other.dtype:
            raise ValueError(
                f"Teacher and student {what[:-1]} shapes are incompatible. Teacher: {a} of "
                f"{one.dtype}, Student: {b} of {other.dtype}. All dimensions must match.\n"
                f"  hint: models that {'take' if what == 'inputs' else 'give'} the same"
            )
    if len(first) != len(second):
        raise ValueError(
            f"Teacher and student have {len(first)} and {len(second)} {what}\n"
            "  hint: models with the same inputs and outputs"
        )


def _features(model: Any, names: Sequence[str | None]) -> Any:
    """A model of the outputs, under "", and of what the layers give; None without names."""
    wanted = {name: model.get_layer(name).output for name in names if name}
    if not wanted:
        return None
    return models.Model(model.inputs, {"": model.output, **wanted})
