"""Further optimisers as formulas over `ops`: Adafactor, Muon and schedule-free AdamW.

Sources: Shazeer & Stern 2018 (Adafactor), Jordan 2024 and Liu et al. 2025 (Muon), Defazio et al.
2024 (schedule-free). Order and arithmetic follow Keras 3.15.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from fastnn import _core, ops
from fastnn.base.typing import TensorLike
from fastnn.optimizers.base import Optimizer
from fastnn.optimizers.methods import _flushed
from fastnn.tracing.variables import Variable

__all__ = ["Adafactor", "Muon", "ScheduleFreeAdamW"]

_c = _core.ops


def _rms(x: Any) -> Any:
    return ops.sqrt(ops.mean(_c.square(x)))


class Adafactor(Optimizer):
    """Adam with squares kept as a row and a column of each matrix, in much less memory.

    Steps are measured against the size of the weights, and cut where they are large. Source:
    Shazeer & Stern 2018.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_2_decay: The power of the step by which the mean of squares slows down.
        epsilon_1: A small number that squares of gradients start from.
        epsilon_2: The smallest size of weights that steps are measured against.
        clip_threshold: Steps of a larger root mean square are cut to it.
        relative_step: Whether a rate that is a number is at most 1 / sqrt(step).
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([[1.0, 2.0]])
        >>> fastnn.optimizers.Adafactor(0.1).apply([np.array([[3.0, 3.0]])], [w])
        >>> w.numpy().round(4)
        array([[0.8419, 1.8419]], dtype=float32)
    """

    beta_2_decay: float
    epsilon_1: float
    epsilon_2: float
    clip_threshold: float
    relative_step: bool

    slot_names: tuple[str, ...] = ("row", "column", "velocity")
    hyper_names: tuple[str, ...] = (
        "beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step",
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_2_decay, self.epsilon_1, self.epsilon_2 = beta_2_decay, epsilon_1, epsilon_2
        self.clip_threshold, self.relative_step = clip_threshold, relative_step

    def slot_shape(self, name: str, variable: Variable) -> tuple[int, ...]:
        """Rows and columns stand for the last two axes; vectors have unused numbers for them."""
        shape = tuple(variable.shape)
        if name not in ("row", "column"):
            return shape
        if len(shape) < 2:
            return ()
        return shape[:-1] if name == "row" else (*shape[:-2], shape[-1])

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Shazeer's update."""
        t = ops.cast(self._step(), "float32") + 1.0
        slow = 1.0 / ops.sqrt(t)
        rate = learning_rate
        if self._schedule is None and self.relative_step:
            rate = ops.minimum(rate, slow)
        size = ops.maximum(self.epsilon_2, _rms(variable.value)) * ops.minimum(rate, slow)
        # Squares below the smallest float are 0: the floor under them then divides nothing by 0.
        squares = _c.square(gradient) + self.epsilon_1
        new = _c.power(t, float(self.beta_2_decay))
        row, column, velocity = self._slots[variable]
        if len(variable.shape) > 1:
            row.assign((1.0 - new) * row.value + new * ops.mean(squares, axis=-1))
            column.assign((1.0 - new) * column.value + new * ops.mean(squares, axis=-2))
            share = row.value / ops.mean(row.value, axis=-1, keepdims=True)
            velocity.assign(ops.expand_dims(share, -1) * ops.expand_dims(column.value, -2))
        else:
            velocity.assign((1.0 - new) * velocity.value + new * squares)
        step = gradient / ops.sqrt(velocity.value)
        step = step / ops.maximum(1.0, _rms(step) / self.clip_threshold)
        variable.assign(variable.value - size * step)


class Muon(Optimizer):
    """Matrices step by their momentum made orthogonal, all other weights by AdamW.

    Embeddings count among the others, and the layers named in `exclude_layers`; the output layer
    is best named there. Source: Jordan 2024; the scale of steps is that of Liu et al. 2025.

    Args:
        learning_rate: A number above 0, or a schedule.
        adam_beta_1: AdamW's share of the old mean of gradients.
        adam_beta_2: AdamW's share of the old mean of squares.
        adam_weight_decay: The weight decay of AdamW's weights.
        epsilon: A small number that keeps AdamW's division finite.
        weight_decay: The weight decay of the matrices.
        clipnorm: The largest norm of the gradient of a weight.
        clipvalue: The largest absolute value in a gradient.
        global_clipnorm: The largest norm of all gradients together.
        use_ema: Whether running averages of the weights are kept.
        ema_momentum: The share of the old average that is kept each step.
        ema_overwrite_frequency: Every how many steps the weights become the averages; None: never.
        loss_scale_factor: A factor of the loss while gradients are computed.
        gradient_accumulation_steps: How many batches are averaged for a step.
        name: The name of the optimizer.
        exclude_layers: Patterns (regular expressions) of paths of weights that AdamW takes.
        exclude_embeddings: Whether AdamW takes weights with `embedding` in their path.
        muon_a: First coefficient of the iteration that makes orthogonal.
        muon_b: Its second coefficient.
        muon_c: Its third coefficient.
        adam_lr_ratio: AdamW's rate is so many times the learning rate.
        momentum: The share of the last step that is kept.
        ns_steps: How many rounds the iteration has.
        nesterov: Whether the gradient counts as if the momentum had been followed already.
        rms_rate: Steps are scaled to this times the root of the longer side; None: they are not.
        **kwargs: None; others are refused by name.

    Example:
        >>> w = fastnn.Variable(np.eye(2))
        >>> fastnn.optimizers.Muon(0.1, weight_decay=None).apply([np.eye(2)], [w])
        >>> bool(w.numpy()[0, 0] < 1.0)
        True
    """

    adam_beta_1: float
    adam_beta_2: float
    adam_weight_decay: float | None
    epsilon: float
    exclude_layers: list[str]
    exclude_embeddings: bool
    muon_a: float
    muon_b: float
    muon_c: float
    adam_lr_ratio: float
    momentum: float
    ns_steps: int
    nesterov: bool
    rms_rate: float | None

    slot_names: tuple[str, ...] = ("momentum", "velocity")
    hyper_names: tuple[str, ...] = (
        "adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_layers",
        "exclude_embeddings", "muon_a", "muon_b", "muon_c", "adam_lr_ratio", "momentum", "ns_steps",
        "nesterov", "rms_rate",
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, weight_decay, clipnorm, clipvalue, global_clipnorm, use_ema,
            ema_momentum, ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps,
            name, **kwargs,
        )  # fmt: skip
        self.adam_beta_1, self.adam_beta_2, self.epsilon = adam_beta_1, adam_beta_2, epsilon
        self.adam_weight_decay, self.adam_lr_ratio = adam_weight_decay, adam_lr_ratio
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = exclude_embeddings
        self.muon_a, self.muon_b, self.muon_c = muon_a, muon_b, muon_c
        self.momentum, self.ns_steps, self.nesterov = momentum, ns_steps, nesterov
        self.rms_rate = rms_rate

    def _is_adams(self, variable: Variable) -> bool:
        return (
            len(variable.shape) != 2
            or (self.exclude_embeddings and "embedding" in variable.path.lower())
            or any(re.search(pattern, variable.path) for pattern in self.exclude_layers)
        )

    def slots_of(self, variable: Variable) -> Sequence[str]:
        """Squares are kept for AdamW's weights alone."""
        return self.slot_names if self._is_adams(variable) else self.slot_names[:1]

    def decay_of(self, variable: Variable) -> float | None:
        """AdamW's weights have a decay of their own."""
        return self.adam_weight_decay if self._is_adams(variable) else self.weight_decay

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Jordan's update, or AdamW's."""
        momentum, *squares = self._slots[variable]
        if squares:
            hyper = {
                "beta_1": float(self.adam_beta_1),
                "beta_2": float(self.adam_beta_2),
                "epsilon": float(self.epsilon),
                "amsgrad": False,
            }
            self._by_core("adam", hyper, gradient, variable, learning_rate * self.adam_lr_ratio)
            return
        momentum.assign(_flushed(momentum.value * self.momentum + gradient))
        ahead = gradient + self.momentum * momentum.value if self.nesterov else momentum.value
        step = learning_rate * self._orthogonal(ahead)
        if self.rms_rate is not None:
            step = step * (max(variable.shape) ** 0.5 * self.rms_rate)
        variable.assign(variable.value - step)

    def _orthogonal(self, x: Any) -> Any:
        """Nearly the orthogonal matrix next to `x`, by Newton and Schulz's iteration."""
        tall = x.shape[0] > x.shape[1]
        x = ops.transpose(x) if tall else x
        x = x / (ops.norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            a = ops.matmul(x, ops.transpose(x))
            b = self.muon_b * a + self.muon_c * ops.matmul(a, a)
            x = self.muon_a * x + ops.matmul(b, x)
        return ops.transpose(x) if tall else x


class ScheduleFreeAdamW(Optimizer):
    """AdamW that averages its weights as it goes, and so needs no schedule of the rate.

    While it trains, weights lie between the averaged ones and those that the gradients move.
    Source: Defazio et al. 2024.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_1: The share of the averaged weights in those that the model has.
        beta_2: The share of the old mean of squares that is kept each step.
        epsilon: A small number that keeps the division finite.
        warmup_steps: Over how many steps the rate grows from 0.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.ScheduleFreeAdamW(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9], dtype=float32)
    """

    beta_1: float
    beta_2: float
    epsilon: float
    warmup_steps: int

    slot_names: tuple[str, ...] = ("momentum", "velocity")
    hyper_names: tuple[str, ...] = ("beta_1", "beta_2", "epsilon", "warmup_steps")

    def __init__(
        self,
        learning_rate: TensorLike = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.warmup_steps = warmup_steps

    def _slot(self, variable: Variable, name: str) -> Variable:
        slot = super()._slot(variable, name)
        if name == "momentum":  # where the weights start
            slot.store(variable.stored())
        return slot

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Defazio's update."""
        moved, velocity = self._slots[variable]
        t = ops.cast(self._step(), "float32") + 1.0
        rate, b1, b2 = learning_rate, float(self.beta_1), float(self.beta_2)
        if self.warmup_steps > 0:
            rate = rate * ops.minimum(t / float(self.warmup_steps), 1.0)
        square = _c.square(gradient) - velocity.value
        velocity.assign(_flushed(velocity.value + square * (1.0 - b2), 1e-34))
        root = ops.sqrt(velocity.value / (1.0 - _c.power(b2, t))) + self.epsilon
        mean = (variable.value - (1.0 - b1) * moved.value) / b1
        moved.assign(moved.value - rate * gradient / root)
        mean = mean + (moved.value - mean) / t
        variable.assign((1.0 - b1) * moved.value + b1 * mean)
