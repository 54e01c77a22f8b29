"""`Optimizer`: what all optimisers share, as builders of graph updates. Depends on `ops`.

`apply(grads, variables)` assigns new values; inside a traced step the assignments become updates
of the step, outside they happen at once. Order and arithmetic follow Keras 3.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Self

from fastnn import _core, ops
from fastnn.base.typing import TensorLike
from fastnn.config import snake_case, unique_name
from fastnn.constraints import KeptZeros
from fastnn.errors import check_arguments, reject_arguments
from fastnn.ops.linalg import scale_for
from fastnn.optimizers.state import OptimizerState
from fastnn.serialization.encoding import to_config
from fastnn.tracing.ranks import current_step
from fastnn.tracing.tape import GradientTape
from fastnn.tracing.variables import Scope, Variable, read_all

__all__ = ["Optimizer"]

_c = _core.ops


class Optimizer(OptimizerState):
    """How gradients change weights: the base of all optimisers.

    Subclasses name their slots in `slots` and define `update_step(gradient, variable,
    learning_rate)`. In `fit` an optimiser is part of the compiled step. Squares of gradients, where
    they are kept, are float32: a gradient of 1.8e19 or more makes them infinite, and its weight NaN
    or no longer trained; `clipvalue` and the norms, which do not overflow, prevent it.

    Args:
        learning_rate: A number above 0, or a schedule.
        weight_decay: The share of each weight that is taken off a step, times the learning rate;
            None: none.
        clipnorm: The largest norm of the gradient of a weight.
        clipvalue: The largest absolute value in a gradient.
        global_clipnorm: The largest norm of all gradients together.
        use_ema: Whether running averages of the weights are kept.
        ema_momentum: The share of the old average that is kept each step.
        ema_overwrite_frequency: Every how many steps the weights become the averages; None: never.
        loss_scale_factor: A factor of the loss while gradients are computed.
        gradient_accumulation_steps: How many batches are averaged for a step.
        name: The name of the optimizer.
        **kwargs: `name`, `clipnorm`, `weight_decay`, `use_ema` and what else every `Optimizer`
            takes.

    Example:
        >>> optimizer = fastnn.optimizers.SGD(0.5)
        >>> w = fastnn.Variable([1.0, 2.0])
        >>> optimizer.apply([np.array([1.0, 1.0])], [w])
        >>> w.numpy()
        array([0.5, 1.5], dtype=float32)
    """

    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    ema_momentum: float
    name: str
    use_ema: bool

    def __init__(
        self,
        learning_rate: TensorLike = 0.001,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        if "lr" in kwargs:
            raise TypeError(f"{kind} got 'lr'\n  hint: the argument is called `learning_rate`")
        if "decay" in kwargs:
            raise TypeError(
                f"{kind} got 'decay', which older versions of Keras had\n  hint: learning_rate="
                "fastnn.optimizers.schedules.InverseTimeDecay(0.01, 1, decay)"
            )
        if kwargs:
            raise reject_arguments(kind, kwargs, type(self).__init__)
        self.name = name or unique_name(snake_case(kind))
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise ValueError(
                "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set\n"
                f"  hint: got clipnorm={clipnorm}, clipvalue={clipvalue}, "
                f"global_clipnorm={global_clipnorm}"
            )
        self.use_ema, self.ema_momentum = use_ema, ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        if use_ema and not 0 <= ema_momentum <= 1:
            raise ValueError(f"ema_momentum is {ema_momentum}, wanted 0 to 1\n  hint: 0.99")
        if gradient_accumulation_steps is not None and gradient_accumulation_steps < 2:
            raise ValueError(
                f"gradient_accumulation_steps is {gradient_accumulation_steps}, wanted 2 or more\n"
                "  hint: None updates at every batch"
            )
        self.gradient_accumulation_steps = gradient_accumulation_steps
        self.loss_scale_factor = loss_scale_factor
        self._no_decay: set[Variable] = set()
        self._no_decay_names: list[str] = []
        self._init_state(learning_rate)

    # ---- updates -------------------------------------------------------------------------------

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[Any, Variable]], **accepted: Any
    ) -> Any:
        """One update from pairs of gradient and variable.

        Args:
            grads_and_vars: Pairs (gradient, variable).
            **accepted: Keras's `name` and the like, which change nothing here.

        Returns:
            The number of updates so far, a variable.

        Example:
            >>> w = fastnn.Variable([1.0])
            >>> int(fastnn.optimizers.SGD(0.5).apply_gradients([(np.array([1.0]), w)]))
            1
            >>> w.numpy()
            array([0.5], dtype=float32)
        """
        names = ("experimental_aggregate_gradients", "name", "skip_gradients_aggregation")
        check_arguments("apply_gradients()", accepted, names, type(self).apply_gradients)
        pairs = list(grads_and_vars)
        self.apply([g for g, _ in pairs], [v for _, v in pairs])
        return self.iterations

    def minimize(
        self, loss: Any, var_list: Any, tape: Any = None, name: str | None = None, **accepted: Any
    ) -> Any:
        """One update that makes a loss smaller, as optimisers of Keras 2 have it.

        Args:
            loss: A function without arguments that gives the loss; or a loss, with its `tape`.
            var_list: The variables, or a function that gives them.
            tape: The tape that recorded a loss.
            name: Taken and not needed.
            **accepted: Arguments of Keras 2's, which change nothing here.

        Returns:
            The number of updates so far, a variable.

        Raises:
            ValueError: A loss without its tape.

        Example:
            >>> w = fastnn.Variable(3.0)
            >>> int(fastnn.optimizers.SGD(0.5).minimize(lambda: w * w, [w])), float(w)
            (1, 0.0)
        """
        check_arguments("minimize()", accepted, ("grad_loss",), type(self).minimize)
        if not callable(loss) and tape is None:
            raise ValueError(
                "minimize: a loss without its tape\n  hint: minimize(lambda: loss(), variables)"
            )
        if callable(loss):
            with GradientTape() as tape:
                loss = loss()
        variables = list(var_list() if callable(var_list) else var_list)
        return self.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    def get_weights(self) -> list[Any]:
        """Copies of the values of `variables`, for `set_weights`.

        Returns:
            A list of NumPy arrays.

        Example:
            >>> len(fastnn.optimizers.SGD().get_weights())
            2
        """
        return read_all(self.variables)

    def apply(
        self, grads: Sequence[Any], trainable_variables: Sequence[Variable] | None = None
    ) -> None:
        """One update: clips, decays weights, steps, averages, constrains, counts.

        Args:
            grads: Gradients, one a variable; None leaves the variable alone.
            trainable_variables: The variables; None: those the optimiser was built on.

        Raises:
            ValueError: The numbers of gradients and variables differ.

        Example:
            >>> w = fastnn.Variable([1.0])
            >>> fastnn.optimizers.SGD(0.5).apply([np.array([1.0])], [w])
            >>> w.numpy()
            array([0.5], dtype=float32)
        """
        if not len(grads):
            return
        if trainable_variables is None:
            if not self.built:
                raise ValueError(
                    "apply(grads) needs the variables on its first call\n"
                    "  hint: optimizer.apply(grads, model.trainable_variables)"
                )
            trainable_variables = self._trainable
        variables = list(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(
                f"{len(grads)} gradients for {len(variables)} variables\n"
                "  hint: give one gradient per variable, in the same order"
            )
        if any(v not in self._slots for v in variables):
            self.build(variables)
        pairs = [(g, v) for g, v in zip(grads, variables, strict=True) if g is not None]
        if not pairs:
            raise ValueError(
                "No gradients provided for any variable.\n  hint: the loss does not depend on them"
            )
        if len(pairs) < len(variables):
            without = [v.path for g, v in zip(grads, variables, strict=True) if g is None]
            warnings.warn(f"no gradient for {', '.join(without)}", stacklevel=2)
        gs, vs = [ops.convert_to_tensor(g) for g, _ in pairs], [v for _, v in pairs]
        step = current_step()
        if step is not None:
            gs = step.mean_of(gs)
        if self.loss_scale_factor:
            gs = [g / self.loss_scale_factor for g in gs]
        if self.gradient_accumulation_steps:
            self._accumulate(gs, vs)
        else:
            self._update(gs, vs)
        if self.use_ema:
            self._average()
        for v in vs:
            if v.constraint is not None:
                v.assign(v.constraint(v.value))
        self._iterations.assign(self._iterations.value + 1)

    def _update(self, gs: list[Any], vs: list[Variable]) -> None:
        gs = self._clip_gradients(gs)
        rate = self.learning_rate
        rate = rate.value if isinstance(rate, Variable) else rate
        for v in vs:
            decay = self.decay_of(v)
            if decay and self._decays(v):
                v.assign(v.value - v.value * decay * rate)
        self.update_all(gs, vs, rate)

    def update_all(self, gs: list[Any], vs: list[Variable], rate: Any) -> None:
        """Steps every variable; a subclass that computes over all at once defines it.

        Args:
            gs: Gradients, one per variable.
            vs: The variables.
            rate: The learning rate, a tensor.

        Example:
            >>> optimizer, w = fastnn.optimizers.SGD(0.5), fastnn.Variable([1.0])
            >>> optimizer.build([w])
            >>> optimizer.update_all([fastnn.tensor([1.0])], [w], 0.5)
            >>> w.numpy()
            array([0.5], dtype=float32)
        """
        for g, v in zip(gs, vs, strict=True):
            self.update_step(g, v, rate)

    def update_step(
        self, gradient: TensorLike, variable: Variable, learning_rate: TensorLike
    ) -> None:
        """Assigns the new value of one variable and of its slots; subclasses define it.

        Args:
            gradient: The gradient, a tensor of the variable's shape.
            variable: The variable.
            learning_rate: The rate of this step, a tensor.

        Example:
            >>> class Plain(fastnn.optimizers.Optimizer):
            ...     def update_step(self, gradient, variable, learning_rate):
            ...         variable.assign_sub(learning_rate * gradient)
            >>> w = fastnn.Variable([1.0])
            >>> Plain(0.5).apply([np.array([1.0])], [w])
            >>> w.numpy()
            array([0.5], dtype=float32)
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define update_step"
            "\n  hint: def update_step(self, gradient, variable, learning_rate): ..."
        )

    def _by_core(self, kind: str, hyper: dict[str, Any], g: Any, v: Variable, rate: Any) -> None:
        """An update whose arithmetic stands in the core."""
        slots = self._slots[v]
        new, new_slots = _core.optimizer_update(
            kind, v.value, g, [s.value for s in slots], self._step(), rate, hyper
        )
        v.assign(new)
        for slot, value in zip(slots, new_slots, strict=True):
            slot.assign(value)

    def _clip_gradients(self, gs: list[Any]) -> list[Any]:
        # A limit that is not above 0 is none, as in Keras: by it gradients would change sign.
        if self.clipnorm and self.clipnorm > 0:
            return [self._clip_norm([g], self.clipnorm)[0] for g in gs]
        if self.global_clipnorm and self.global_clipnorm > 0:
            return self._clip_norm(gs, self.global_clipnorm)
        if self.clipvalue and self.clipvalue > 0:
            return [ops.clip(g, -self.clipvalue, self.clipvalue) for g in gs]
        return gs

    @staticmethod
    def _clip_norm(gs: list[Any], limit: float) -> list[Any]:
        """Gradients whose common length is above `limit` brought to it, however long they are."""
        largest: Any = 0.0
        for g in gs:
            largest = ops.maximum(largest, ops.max(ops.abs(g)))
        scale = scale_for(largest)
        scaled = [g * scale for g in gs]
        total: Any = 0.0
        for g in scaled:
            total = total + ops.sum(ops.square(g))
        norm = ops.sqrt(total)
        clipped = norm > limit * scale
        return [_c.where(clipped, s * (limit / norm), g) for s, g in zip(scaled, gs, strict=True)]

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Names variables that weight decay leaves alone; called before training.

        Args:
            var_list: Variables.
            var_names: Parts of names of variables.

        Example:
            >>> optimizer = fastnn.optimizers.AdamW()
            >>> optimizer.exclude_from_weight_decay(var_names=["bias"])
        """
        if self.built:
            raise ValueError(
                "exclude_from_weight_decay comes too late, the optimizer is built\n"
                "  hint: call it before fit"
            )
        self._no_decay.update(var_list or ())
        self._no_decay_names.extend(var_names or ())

    def decay_of(self, variable: Variable) -> float | None:
        """The weight decay of a variable, unless it is excluded from weight decay.

        Args:
            variable: A variable that is trained.

        Returns:
            A number, or None for none.

        Example:
            >>> fastnn.optimizers.AdamW(weight_decay=0.1).decay_of(fastnn.Variable([1.0]))
            0.1
        """
        return self.weight_decay

    def _decays(self, v: Variable) -> bool:
        return v not in self._no_decay and not any(
            re.search(n, v.path) for n in self._no_decay_names
        )

    def _accumulate(self, gs: list[Any], vs: list[Variable]) -> None:
        steps = float(self.gradient_accumulation_steps or 1)
        due = ops.equal(ops.mod(self._iterations.value + 1, int(steps)), 0)
        sums = [self._sums[v].value + g for g, v in zip(gs, vs, strict=True)]
        state = [*vs, *self._extra, *(s for v in vs for s in self._slots[v])]
        before = [s.value for s in state]
        self._update([s / steps for s in sums], vs)
        for s, old in zip(state, before, strict=True):
            s.assign(_c.where(due, s.value, old))
        for v, total in zip(vs, sums, strict=True):
            self._sums[v].assign(_c.where(due, ops.zeros_like(total), total))

    def _average(self) -> None:
        started = ops.cast(ops.not_equal(self._step(), 0), "float32")
        momentum = started * self.ema_momentum
        for v, average in self._averages.items():
            average.assign(momentum * average.value + (1.0 - momentum) * v.value)
        if self.ema_overwrite_frequency:
            every = int(self.ema_overwrite_frequency)
            due = ops.equal(ops.mod(self._step() + 1, every), 0)
            for v, average in self._averages.items():
                v.assign(_c.where(due, average.value, v.value))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """At the end of training the averages become the weights, with use_ema.

        Before the first update there are no averages, so the weights stay.

        Args:
            var_list: The weights.

        Example:
            >>> optimizer = fastnn.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
            >>> w = fastnn.Variable([4.0])
            >>> optimizer.apply([np.array([2.0])], [w])
            >>> optimizer.finalize_variable_values([w])
            >>> w.numpy()
            array([2.], dtype=float32)
        """
        if self.use_ema and int(self._iterations):
            for v in var_list:
                if v in self._averages:
                    v.assign(KeptZeros.keep(v, self._averages[v].value))

    # ---- config --------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, with the learning rate as it is now.

        Returns:
            A dict; `from_config` makes an optimiser of it.

        Example:
            >>> fastnn.optimizers.SGD(0.5).get_config()["learning_rate"]
            0.5
        """
        rate = (
            to_config(self._schedule) if self._schedule is not None else float(self._stored_rate())
        )
        config: dict[str, Any] = {"name": self.name, "learning_rate": rate}
        for key in (
            "weight_decay", "clipnorm", "global_clipnorm", "clipvalue", "use_ema", "ema_momentum",
            "ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps",
        ):  # fmt: skip
            config[key] = getattr(self, key)
        config.update({key: getattr(self, key) for key in self.hyper_names})
        return config

    #: Settings of the subclass.
    hyper_names: tuple[str, ...] = ()

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """An optimiser from a config."""
        return cls(**config)

    def scale_loss(self, loss: Any) -> Any:
        """The loss times `loss_scale_factor`; `apply` divides the gradients by it.

        Args:
            loss: A number or tensor.

        Returns:
            The same, scaled.

        Example:
            >>> fastnn.optimizers.SGD(loss_scale_factor=8.0).scale_loss(2.0)
            16.0
        """
        return loss if self.loss_scale_factor is None else loss * self.loss_scale_factor

    def stateless_apply(
        self, optimizer_variables: Sequence[Any], grads: Sequence[Any], trainable_variables: Any
    ) -> tuple[list[Any], list[Any]]:
        """New values of the trainable variables and of `variables`; the stored ones stay.

        Args:
            optimizer_variables: A value for each of `variables`.
            grads: A gradient for each trainable variable.
            trainable_variables: Values for the variables that the optimizer was built on.

        Returns:
            Two lists of tensors: the trainable variables, and `variables`.

        Example:
            >>> optimizer = fastnn.optimizers.SGD(0.5)
            >>> optimizer.build([fastnn.Variable([1.0])])
            >>> state = [v.value for v in optimizer.variables]
            >>> new, state = optimizer.stateless_apply(state, [np.array([1.0])], [np.array([1.0])])
            >>> new[0].numpy()
            array([0.5], dtype=float32)
        """
        if not self.built:
            raise ValueError(
                "stateless_apply needs a built optimizer\n"
                "  hint: optimizer.build(model.trainable_variables)"
            )
        with Scope() as scope:
            own = self.variables
            for v, value in zip([*own, *self._trainable], [*optimizer_variables,
                                *trainable_variables], strict=True):  # fmt: skip
                scope.put(v, value)
            self.apply(grads, self._trainable)
            return [v.value for v in self._trainable], [v.value for v in own]

    def __repr__(self) -> str:
        rate = self._schedule if self._schedule is not None else float(self._stored_rate())
        return f"<{type(self).__name__} learning_rate={rate}>"
