"""What a student is compared with its teacher by: outputs, or features within.

Source: Hinton, Vinyals & Dean 2015 (softened outputs). Depends on `losses`, `ops`.
"""

from __future__ import annotations

from typing import Any

from fastnn import losses, ops
from fastnn.base import nests
from fastnn.base.arguments import as_number
from fastnn.errors import hint_of, told
from fastnn.serialization.objects import deserialize_keras_object, serialize_keras_object

__all__ = ["DistillationLoss", "FeatureDistillation", "LogitsDistillation"]

#: Losses of distributions, by the name of the function or class: they compare probabilities.
_OF_DISTRIBUTIONS = {
    "kl_divergence": "kl", "KLDivergence": "kl",
    "categorical_crossentropy": "entropy", "CategoricalCrossentropy": "entropy",
}  # fmt: skip


def loss_of(value: Any) -> Any:
    """The loss that a name means; losses, functions and None stay."""
    return losses.get(value) if isinstance(value, str) else value


def _same_structure(name: str, first: Any, second: Any, what: str) -> None:
    try:
        nests.assert_same_structure(first, second)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name}: {what} are nested differently: {error}\n"
            "  hint: teacher and student give outputs in the same lists or dicts"
        ) from None


def _written(loss: Any) -> Any:
    """Losses as configs hold them: functions by name, as Keras reads them as well."""
    if nests.is_nested(loss):
        return nests.map_structure(_written, loss)
    name = getattr(loss, "__name__", None)
    known = name is not None and losses.TABLE.names.get(name) is loss
    return name if known else serialize_keras_object(loss)


class DistillationLoss:
    """The base of what a student is compared with its teacher by; subclasses define `compute_loss`.

    Example:
        >>> class Apart(fastnn.distillation.DistillationLoss):
        ...     def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        ...         return fastnn.ops.mean(fastnn.ops.abs(teacher_outputs - student_outputs))
        >>> float(Apart().compute_loss(np.zeros(2), np.ones(2)))
        1.0
    """

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """The loss of a batch, a tensor without axes."""
        raise NotImplementedError(
            f"{type(self).__name__} must define compute_loss\n"
            "  hint: def compute_loss(self, teacher_outputs, student_outputs, **kwargs): ..."
        )

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Refuses outputs that are nested differently."""
        _same_structure(type(self).__name__, teacher_outputs, student_outputs, "outputs")

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Refuses models that it cannot compare; subclasses may define it."""

    def _summed(self, loss: Any, teacher: Any, student: Any, each: Any) -> Any:
        """The sum over outputs of `each(loss, teacher output, student output)`."""
        pairs = zip(nests.flatten(teacher), nests.flatten(student), strict=True)
        found = nests.flatten(loss)
        if len(found) == 1 and nests.is_nested(teacher) and not nests.is_nested(loss):
            found = found * len(nests.flatten(teacher))
        total: Any = 0.0
        for fn, (t, s) in zip(found, pairs, strict=True):
            if fn is not None:
                total = total + each(fn, t, s)
        return total


def _some_loss(name: str, loss: Any) -> Any:
    made = nests.map_structure(loss_of, loss, none_is_leaf=False) if nests.is_nested(loss) else (
        loss_of(loss)
    )  # fmt: skip
    if all(fn is None for fn in nests.flatten(made)):
        raise ValueError(
            f"{name}: At least one loss must be non-`None`, got {loss!r}\n  hint: loss='mse'"
        )
    return made


class LogitsDistillation(DistillationLoss):
    """Compares the outputs of both models, softened by a temperature.

    Outputs are logits. For the KL divergence and the categorical cross-entropy they become
    probabilities, softmax(output / temperature), and the KL divergence is multiplied by
    temperature squared, which keeps the size of gradients. Other losses compare output /
    temperature.

    Args:
        temperature: What outputs are divided by, above 0: higher ones make them softer.
        loss: The name of a loss, a loss, or one for each output, None for those left out.

    Raises:
        ValueError: The temperature is not above 0, or there is no loss.

    Example:
        >>> loss = fastnn.distillation.LogitsDistillation(2.0)
        >>> round(float(loss.compute_loss(np.array([[1.0, 2, 3]]), np.array([[2.0, 1, 0.5]]))), 4)
        0.9804
    """

    def __init__(self, temperature: float = 3.0, loss: Any = "kl_divergence") -> None:
        temperature = as_number(temperature)
        if isinstance(temperature, bool) or not isinstance(temperature, int | float):
            raise ValueError(
                f"temperature must be a number, got {type(temperature).__name__}\n"
                "  hint: temperature=3.0"
            )
        if not temperature > 0.0:
            raise ValueError(
                f"temperature must be positive, got {temperature}\n  hint: temperature=3.0"
            )
        self.temperature = temperature
        self.loss = _some_loss("LogitsDistillation", loss)

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """The loss of a batch of logits."""
        return self._summed(self.loss, teacher_outputs, student_outputs, self._one)

    def _one(self, fn: Any, teacher: Any, student: Any) -> Any:
        teacher = ops.convert_to_tensor(teacher, "float32") / self.temperature
        student = ops.convert_to_tensor(student, "float32") / self.temperature
        kind = _OF_DISTRIBUTIONS.get(getattr(fn, "__name__", type(fn).__name__))
        if kind is not None:
            teacher = ops.softmax(teacher, axis=-1)
            if not _from_logits(fn):
                student = ops.softmax(student, axis=-1)
        value = ops.mean(fn(teacher, student))
        return value * self.temperature**2 if kind == "kl" else value

    def get_config(self) -> dict[str, Any]:
        """Temperature and loss."""
        return {"temperature": self.temperature, "loss": _written(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """What a config describes."""
        return cls(**{**config, "loss": deserialize_keras_object(config["loss"])})


def _from_logits(fn: Any) -> bool:
    if getattr(fn, "from_logits", False):
        return True
    config = fn.get_config() if hasattr(fn, "get_config") else {}
    return bool(config.get("from_logits"))


class FeatureDistillation(DistillationLoss):
    """Compares what layers of both models give, or their outputs.

    Args:
        loss: The name of a loss, a loss, or one for each output, None for those left out.
        teacher_layer_name: The layer of the teacher; None: its outputs.
        student_layer_name: The layer of the student; None: its outputs.

    Raises:
        ValueError: There is no loss, or a model has no such layer.

    Example:
        >>> loss = fastnn.distillation.FeatureDistillation("mse")
        >>> float(loss.compute_loss(np.zeros((1, 2)), np.ones((1, 2))))
        1.0
    """

    def __init__(
        self,
        loss: Any = "mse",
        teacher_layer_name: str | None = None,
        student_layer_name: str | None = None,
    ) -> None:
        self.teacher_layer_name = teacher_layer_name
        self.student_layer_name = student_layer_name
        self.loss = _some_loss("FeatureDistillation", loss)

    def validate_model_compatibility(self, teacher: Any, student: Any) -> None:
        """Refuses models without these layers, or without a graph of layers."""
        for kind, model, name in (
            ("teacher", teacher, self.teacher_layer_name),
            ("student", student, self.student_layer_name),
        ):
            if name is None:
                continue
            if getattr(model, "inputs", None) is None:
                raise ValueError(
                    "FeatureDistillation with specific layer names requires Functional or "
                    f"Sequential models that are built. The {kind} {model.name!r} has no symbolic "
                    "inputs\n  hint: keras.Input first, or leave the names out to compare outputs"
                )
            try:
                model.get_layer(name=name)
            except ValueError as error:
                text, hint = told(error), hint_of(error)
                raise ValueError(f"In {kind} model: {text}\n  hint: {hint}") from None

    def validate_outputs(self, teacher_outputs: Any, student_outputs: Any) -> None:
        """Refuses outputs that are nested differently than each other or the losses."""
        super().validate_outputs(teacher_outputs, student_outputs)
        if nests.is_nested(self.loss):
            _same_structure("FeatureDistillation", self.loss, teacher_outputs, "losses and outputs")

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **kwargs: Any) -> Any:
        """The loss of a batch of features."""
        return self._summed(
            self.loss, teacher_outputs, student_outputs, lambda fn, t, s: ops.mean(fn(t, s))
        )

    def get_config(self) -> dict[str, Any]:
        """Loss and names of layers."""
        return {
            "loss": _written(self.loss),
            "teacher_layer_name": self.teacher_layer_name,
            "student_layer_name": self.student_layer_name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """What a config describes."""
        return cls(**{**config, "loss": deserialize_keras_object(config["loss"])})
