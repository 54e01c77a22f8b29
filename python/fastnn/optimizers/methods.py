"""The optimisers. SGD, RMSprop and Adam are rows of the core; the others are formulas over `ops`.

Sources: Sutskever 2013 (momentum), Hinton 2012 (RMSprop), Kingma & Ba 2015 (Adam, Adamax),
Loshchilov & Hutter 2019 (AdamW), Dozat 2016 (Nadam), Duchi 2011 (Adagrad), Zeiler 2012 (Adadelta),
Chen 2023 (Lion), McMahan 2013 (Ftrl), You 2020 (Lamb), Reddi 2018 (amsgrad).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import _core, ops
from fastnn.base.typing import TensorLike
from fastnn.errors import hinted
from fastnn.optimizers.base import Optimizer
from fastnn.tracing.variables import Variable

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Ftrl", "Lamb", "Lion", "Nadam",
    "RMSprop",
]  # fmt: skip

_c = _core.ops


class SGD(Optimizer):
    """Gradient descent: w - lr g, with momentum if asked.

    With momentum m = momentum m - lr g and w + m; with `nesterov` the step looks ahead along m.

    Args:
        learning_rate: A number above 0, or a schedule.
        momentum: The share of the last step that is kept, from 0 to 1.
        nesterov: Whether the gradient counts as if the momentum had been followed already.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Raises:
        ValueError: `momentum` lies outside 0 to 1.

    Example:
        >>> w = fastnn.Variable([1.0, 2.0])
        >>> fastnn.optimizers.SGD(0.1).apply([np.array([1.0, -1.0])], [w])
        >>> w.numpy()
        array([0.9, 2.1], dtype=float32)
    """

    momentum: float
    nesterov: bool

    hyper_names: tuple[str, ...] = ("momentum", "nesterov")

    def __init__(
        self,
        learning_rate: TensorLike = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(
                f"`momentum` must be a float between [0, 1]. Received: {momentum!r}\n"
                "  hint: momentum=0.9"
            )
        self.momentum, self.nesterov = momentum, nesterov

    def slots(self) -> Sequence[str]:
        """`momentum` when there is some."""
        return ("momentum",) if self.momentum else ()

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """The core's row `sgd`."""
        hyper = {"momentum": float(self.momentum), "nesterov": bool(self.nesterov)}
        self._by_core("sgd", hyper, gradient, variable, learning_rate)


class RMSprop(Optimizer):
    """Gradients over the root of the running mean of their squares: lr g / sqrt(v + epsilon).
    Source: Tieleman & Hinton 2012.

    Args:
        learning_rate: A number above 0, or a schedule.
        rho: The share of the old mean of squares that is kept each step.
        momentum: The share of the last step that is kept.
        epsilon: A small number under the root.
        centered: Whether the square of the running mean of gradients is taken off v.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.RMSprop(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.6838], dtype=float32)
    """

    rho: float
    momentum: float
    epsilon: float
    centered: bool

    hyper_names: tuple[str, ...] = ("rho", "momentum", "epsilon", "centered")
    slots_together: int = 1

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    def slots(self) -> Sequence[str]:
        """`velocity`, and what momentum and centring need."""
        extra = (["momentum"] if self.momentum > 0 else []) + (
            ["average_gradient"] if self.centered else []
        )
        return ["velocity", *extra]

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """The core's row `rmsprop`."""
        hyper = {
            "rho": float(self.rho),
            "momentum": float(self.momentum),
            "epsilon": float(self.epsilon),
            "centered": bool(self.centered),
        }
        self._by_core("rmsprop", hyper, gradient, variable, learning_rate)


class Adam(Optimizer):
    """Steps by running means of gradients and of their squares.

    m and v are running means of g and g², corrected for their start; the step is lr m / (sqrt(v) +
    epsilon), with epsilon in the folded form of the paper's section 2. Source: Kingma & Ba 2015.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_1: The share of the old mean of gradients that is kept each step.
        beta_2: The share of the old mean of squares that is kept each step.
        epsilon: A small number that keeps the division finite.
        amsgrad: Whether the largest v so far is divided by (Reddi et al. 2018).
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Adam(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9], dtype=float32)
    """

    beta_1: float
    beta_2: float
    epsilon: float
    amsgrad: bool

    hyper_names: tuple[str, ...] = ("beta_1", "beta_2", "epsilon", "amsgrad")
    slots_together: int = 2

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    def slots(self) -> Sequence[str]:
        """`momentum`, `velocity` and, with amsgrad, the largest velocity."""
        return ("momentum", "velocity", *(("velocity_hat",) if self.amsgrad else ()))

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """The core's row `adam`."""
        hyper = {
            "beta_1": float(self.beta_1),
            "beta_2": float(self.beta_2),
            "epsilon": float(self.epsilon),
            "amsgrad": bool(self.amsgrad),
        }
        self._by_core("adam", hyper, gradient, variable, learning_rate)


class AdamW(Adam):
    """Adam with decoupled weight decay: w - lr wd w before the step. Source: Loshchilov & Hutter
    2019.

    Args:
        learning_rate: A number above 0, or a schedule.
        weight_decay: The share of each weight that is taken off a step, times the learning rate.
        beta_1: The share of the old mean of gradients that is kept each step.
        beta_2: The share of the old mean of squares that is kept each step.
        epsilon: A small number that keeps the division finite.
        amsgrad: Whether the largest mean of squares so far is divided by.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.AdamW(0.1, weight_decay=0.5).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.85], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, amsgrad, weight_decay=weight_decay, **kwargs
        )
        if weight_decay is None:
            raise ValueError(
                "Argument `weight_decay` must be a float. Received: weight_decay=None\n"
                "  hint: weight_decay=0.004, or use Adam"
            )


#: Averages nearer to zero than this become zero, as in the core's rows: one that fades away would
#: else stay a denormal for good, and each product of denormals costs a hundred others.
_FLOOR, _SQUARES_FLOOR = 1e-30, 1e-34


def _flushed(average: Any, floor: float = _FLOOR) -> Any:
    return _c.where(_c.less(_c.absolute(average), floor), 0.0, average)


def _mix(old: Any, new: Any, beta: float, floor: float = _FLOOR) -> Any:
    return _flushed(old + (new - old) * (1.0 - beta), floor)


class Nadam(Optimizer):
    """Adam with Nesterov momentum and a schedule that warms beta_1 up. Source: Dozat 2016.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_1: The share of the old mean of gradients that is kept each step.
        beta_2: The share of the old mean of squares that is kept each step.
        epsilon: A small number that keeps the division finite.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Nadam(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.8937], dtype=float32)
    """

    beta_1: float
    beta_2: float
    epsilon: float

    slot_names: tuple[str, ...] = ("momentum", "velocity")
    hyper_names: tuple[str, ...] = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, var_list: Any) -> None:
        """Slots and the product of the momentum schedule."""
        if not self._extra:
            self._u_product = self._own(1.0, "u_product")
        super().build(var_list)

    def update_all(self, gs: list[Any], vs: list[Variable], rate: Any) -> None:
        """Steps every variable after moving the momentum schedule."""
        t = ops.cast(self._step(), "float32") + 1.0
        self._u_product.assign(self._u_product * (self.beta_1 * (1.0 - 0.5 * _c.power(0.96, t))))
        super().update_all(gs, vs, rate)

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Dozat's update."""
        m, v = self._slots[variable]
        t = ops.cast(self._step(), "float32") + 1.0
        u_t = self.beta_1 * (1.0 - 0.5 * _c.power(0.96, t))
        u_next = self.beta_1 * (1.0 - 0.5 * _c.power(0.96, t + 1.0))
        product = self._u_product.value
        m.assign(_mix(m.value, gradient, self.beta_1))
        v.assign(_mix(v.value, _c.square(gradient), self.beta_2, _SQUARES_FLOOR))
        m_hat = u_next * m.value / (1.0 - product * u_next) + (1.0 - u_t) * gradient / (
            1.0 - product
        )
        v_hat = v.value / (1.0 - _c.power(float(self.beta_2), t))
        variable.assign(variable.value - m_hat * learning_rate / (_c.sqrt(v_hat) + self.epsilon))


class Adagrad(Optimizer):
    """Gradients over the root of the sum of their squares: lr g / sqrt(sum of g² + epsilon).
    Source: Duchi, Hazan & Singer 2011.

    Args:
        learning_rate: A number above 0, or a schedule.
        initial_accumulator_value: Where the sum of squares starts, at least 0.
        epsilon: A small number under the root.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Adagrad(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9006], dtype=float32)
    """

    initial_accumulator_value: float
    epsilon: float

    slot_names: tuple[str, ...] = ("accumulator",)
    hyper_names: tuple[str, ...] = ("initial_accumulator_value", "epsilon")

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.initial_accumulator_value, self.epsilon = initial_accumulator_value, epsilon

    def slot_start(self, name: str) -> float:
        """The initial accumulator value."""
        return self.initial_accumulator_value if name == "accumulator" else 0.0

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Duchi's update."""
        (a,) = self._slots[variable]
        a.assign(a.value + _c.square(gradient))
        variable.assign(variable.value - learning_rate * gradient / _c.sqrt(a.value + self.epsilon))


class Adadelta(Optimizer):
    """Steps of the size that earlier steps had, over the size of gradients. Source: Zeiler 2012.

    Args:
        learning_rate: A number above 0, or a schedule.
        rho: The share of the old means that is kept each step.
        epsilon: A small number under the roots.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Adadelta(1.0).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9986], dtype=float32)
    """

    rho: float
    epsilon: float

    slot_names: tuple[str, ...] = ("accumulated_grad", "accumulated_delta_var")
    hyper_names: tuple[str, ...] = ("rho", "epsilon")

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.rho, self.epsilon = rho, epsilon

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Zeiler's update."""
        g2, d2 = self._slots[variable]
        rho = self.rho
        squares = rho * g2.value + (1 - rho) * _c.square(gradient)
        g2.assign(_flushed(squares, _SQUARES_FLOOR))
        root = _c.sqrt(d2.value + self.epsilon)
        delta = -(root * gradient / _c.sqrt(g2.value + self.epsilon))
        squares = rho * d2.value + (1 - rho) * _c.square(delta)
        d2.assign(_flushed(squares, _SQUARES_FLOOR))
        variable.assign(variable.value + learning_rate * delta)


class Adamax(Optimizer):
    """Adam with the largest gradient of the recent past instead of the root of mean squares.
    Source: Kingma & Ba 2015, section 7.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_1: The share of the old mean of gradients that is kept each step.
        beta_2: The factor by which the largest gradient so far shrinks each step.
        epsilon: A small number that keeps the division finite.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Adamax(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9], dtype=float32)
    """

    beta_1: float
    beta_2: float
    epsilon: float

    slot_names: tuple[str, ...] = ("momentum", "norm")
    hyper_names: tuple[str, ...] = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Kingma & Ba, section 7.1."""
        m, u = self._slots[variable]
        t = ops.cast(self._step(), "float32") + 1.0
        m.assign(_mix(m.value, gradient, self.beta_1))
        u.assign(_c.maximum(_flushed(self.beta_2 * u.value), _c.absolute(gradient)))
        scale = (1.0 - _c.power(float(self.beta_1), t)) * (u.value + self.epsilon)
        variable.assign(variable.value - learning_rate * m.value / scale)


class Lion(Optimizer):
    """Steps by the sign of an interpolated momentum; one slot a weight. Source: Chen et al. 2023.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_1: The share of the momentum in what the sign is taken of.
        beta_2: The share of the old momentum that is kept each step.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Lion(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9], dtype=float32)
    """

    beta_1: float
    beta_2: float

    slot_names: tuple[str, ...] = ("momentum",)
    hyper_names: tuple[str, ...] = ("beta_1", "beta_2")

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        if not 0 < beta_1 <= 1:
            raise ValueError(
                "Argument `beta_1` must be in the [0, 1] range. Otherwise, the optimizer "
                f"degenerates to SignSGD. Received: beta_1={beta_1}.\n  hint: beta_1=0.9"
            )
        self.beta_1, self.beta_2 = beta_1, beta_2

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Chen's update."""
        (m,) = self._slots[variable]
        direction = _c.sign(m.value * self.beta_1 + gradient * (1.0 - self.beta_1))
        variable.assign(variable.value - learning_rate * direction)
        m.assign(_flushed(m.value * self.beta_2 + gradient * (1.0 - self.beta_2)))


class Lamb(Optimizer):
    """Adam with the step of each variable scaled to the norm of the variable, for large batches.
    Source: You et al. 2020.

    Args:
        learning_rate: A number above 0, or a schedule.
        beta_1: The share of the old mean of gradients that is kept each step.
        beta_2: The share of the old mean of squares that is kept each step.
        epsilon: A small number that keeps the division finite.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Lamb(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.9], dtype=float32)
    """

    beta_1: float
    beta_2: float
    epsilon: float

    slot_names: tuple[str, ...] = ("momentum", "velocity")
    hyper_names: tuple[str, ...] = ("beta_1", "beta_2", "epsilon")

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """You's update."""
        m, v = self._slots[variable]
        t = ops.cast(self._step(), "float32") + 1.0
        m.assign(_mix(m.value, gradient, self.beta_1))
        v.assign(_mix(v.value, _c.square(gradient), self.beta_2, _SQUARES_FLOOR))
        m_hat = m.value / (1.0 - _c.power(float(self.beta_1), t))
        v_hat = v.value / (1.0 - _c.power(float(self.beta_2), t))
        step = m_hat / (_c.sqrt(v_hat) + self.epsilon)
        weight_norm, step_norm = ops.norm(variable.value), ops.norm(step)
        usable = ops.logical_and(weight_norm > 0.0, step_norm > 0.0)
        ratio = _c.where(usable, weight_norm / _c.where(usable, step_norm, 1.0), 1.0)
        variable.assign(variable.value - ratio * learning_rate * step)


class Ftrl(Optimizer):
    """Follow the regularised leader: sparse weights for models of many rare features. Source:
    McMahan et al. 2013.

    Args:
        learning_rate: A number above 0, or a schedule.
        learning_rate_power: The power of the sum of squares in the step, at most 0.
        initial_accumulator_value: Where the sum of squares starts, at least 0.
        l1_regularization_strength: The weight of the sum of absolute weights, at least 0.
        l2_regularization_strength: The weight of the sum of squared weights, at least 0.
        l2_shrinkage_regularization_strength: The weight of a penalty on the size of the step.
        beta: A number added to the root of the sum of squares.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> w = fastnn.Variable([1.0])
        >>> fastnn.optimizers.Ftrl(0.1).apply([np.array([3.0])], [w])
        >>> w.numpy().round(4)
        array([0.7957], dtype=float32)
    """

    slot_names: tuple[str, ...] = ("accumulator", "linear")
    hyper_names: tuple[str, ...] = (
        "learning_rate_power", "initial_accumulator_value", "l1_regularization_strength",
        "l2_regularization_strength", "l2_shrinkage_regularization_strength", "beta",
    )  # fmt: skip

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        for key, value in (
            ("initial_accumulator_value", initial_accumulator_value),
            ("l1_regularization_strength", l1_regularization_strength),
            ("l2_regularization_strength", l2_regularization_strength),
            ("l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength),
        ):
            if value < 0:
                raise hinted(
                    ValueError(f"`{key}` needs to be positive or zero. Received: {key}={value}."),
                    f"{key}=0.0",
                )
        if learning_rate_power > 0:
            raise hinted(
                ValueError(
                    "`learning_rate_power` needs to be negative or zero. "
                    f"Received: learning_rate_power={learning_rate_power}."
                ),
                "learning_rate_power=-0.5",
            )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = initial_accumulator_value
        self.l1_regularization_strength = l1_regularization_strength
        self.l2_regularization_strength = l2_regularization_strength
        self.l2_shrinkage_regularization_strength = l2_shrinkage_regularization_strength
        self.beta = beta

    def slot_start(self, name: str) -> float:
        """The initial accumulator value."""
        return self.initial_accumulator_value if name == "accumulator" else 0.0

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """McMahan's update."""
        a, z = self._slots[variable]
        w, lr, p = variable.value, learning_rate, float(self.learning_rate_power)
        l1 = self.l1_regularization_strength
        l2 = self.l2_regularization_strength + self.beta / (2.0 * lr)
        shrunk = gradient + 2.0 * self.l2_shrinkage_regularization_strength * w
        total = a.value + _c.square(gradient)
        new, old = _c.power(total, -p), _c.power(a.value, -p)
        z.assign(z.value + shrunk - (new - old) / lr * w)
        quadratic = new / lr + 2.0 * l2
        clipped = ops.clip(z.value, -l1, l1)
        variable.assign((clipped - z.value) / quadratic)
        a.assign(total)
