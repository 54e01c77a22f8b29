"""`Optimizer`: what all optimisers share, as builders of graph updates. Depends on `ops`.

`apply(grads, variables)` assigns new values; inside a traced step the assignments become updates
of the step, outside they happen at once. Order and arithmetic follow Keras 3.
"""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from fastnn import _core, initializers, ops
from fastnn.config import snake_case, unique_name
from fastnn.errors import check_arguments, reject_arguments
from fastnn.ops.linalg import scale_for
from fastnn.optimizers.schedules import TABLE as SCHEDULES, LearningRateSchedule
from fastnn.serialization.encoding import Configurable, to_config
from fastnn.tracing.ranks import current_step
from fastnn.tracing.variables import Scope, Variable

_c = _core.ops


def _rate_number(rate: Any) -> Any:
    try:
        return np.float32(float(rate))
    except (TypeError, ValueError):
        raise ValueError(
            f"learning_rate is {rate!r}, wanted a number or a schedule\n  hint: learning_rate=0.001"
        ) from None


class Optimizer(Configurable):
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

    name: str
    clipnorm: float | None
    clipvalue: float | None
    global_clipnorm: float | None
    use_ema: bool
    ema_momentum: float
    built: bool

    #: Names of the state kept for each variable, and where it starts.
    slot_names: tuple[str, ...] = ()
    #: How many slots of one variable stand side by side in `variables`; the others follow by kind.
    slots_together: int | None = None

    def __init__(
        self,
        learning_rate: Any = 0.001,
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
        self.built = False
        self._iterations = Variable(0, dtype="int32", trainable=False, name="iteration")
        self._iterations.path = f"{self.name}/iteration"
        self._trainable: list[Variable] = []
        self._slots: dict[Variable, list[Variable]] = {}
        self._extra: list[Variable] = []
        self._averages: dict[Variable, Variable] = {}
        self._sums: dict[Variable, Variable] = {}
        self._no_decay: set[Variable] = set()
        self._no_decay_names: list[str] = []
        self._schedule: Any = None
        self._set_rate(learning_rate)

    def __setattr__(self, name: str, value: Any) -> None:
        if name[0] == "_" or name == "built" or not self.__dict__.get("built"):
            return super().__setattr__(name, value)
        before, had = self._layout(), self.__dict__.get(name)
        super().__setattr__(name, value)
        if name in self.__dict__ and (after := self._layout()) != before:
            super().__setattr__(name, had)
            now, wanted = (", ".join(layout) or "nothing" for layout in (before, after))
            new = f"optimizers.{type(self).__name__}({name}={value!r})"
            raise ValueError(
                f"{self.name}: {name} cannot become {value!r}, the optimizer is built and keeps "
                f"{now} for each variable, wanted {wanted}\n"
                f"  hint: compile with a new one, {new}"
            )

    def _layout(self) -> tuple[str, ...]:
        """What is kept for each variable, with the settings of this moment."""
        sums = ("gradient_accumulator",) if self.gradient_accumulation_steps else ()
        return (*self.slots(), *(("average",) if self.use_ema else ()), *sums)

    @property
    def iterations(self) -> Any:
        """The number of updates so far: a variable; with accumulation, a tensor made of it."""
        return self._step() if self.gradient_accumulation_steps else self._iterations

    def _step(self) -> Any:
        steps = self.gradient_accumulation_steps
        return self._iterations.value // steps if steps else self._iterations.value

    # ---- learning rate -------------------------------------------------------------------------

    def _set_rate(self, rate: Any) -> None:
        if isinstance(rate, dict):
            rate = SCHEDULES.from_config(rate)
        self._rate: Variable | None = None
        self._schedule = None
        if isinstance(rate, LearningRateSchedule) or (
            callable(rate) and not isinstance(rate, Variable)
        ):
            self._schedule = rate
            return
        self._rate = Variable(
            _rate_number(rate), dtype="float32", trainable=False, name="learning_rate"
        )
        self._rate.path = f"{self.name}/learning_rate"

    @property
    def learning_rate(self) -> Any:
        """The rate at this step: a variable, or the schedule's value."""
        if self._schedule is not None:
            if isinstance(self._schedule, LearningRateSchedule):
                return self._schedule(self._step())
            return self._schedule()
        return self._rate

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        if isinstance(value, LearningRateSchedule) or self._rate is None:
            if self._schedule is not None and not isinstance(value, LearningRateSchedule):
                raise TypeError(
                    "This optimizer was created with a `LearningRateSchedule`, so its "
                    "learning rate cannot be set to a number\n"
                    "  hint: make the optimizer with a number as learning_rate"
                )
            self._set_rate(value)
            return
        self._rate.assign(_rate_number(value))

    lr = learning_rate

    # ---- state ---------------------------------------------------------------------------------

    def build(self, variables: Iterable[Variable]) -> None:
        """Makes the state for variables; those already known keep theirs.

        Args:
            variables: The variables to be trained.

        Example:
            >>> optimizer = fastnn.optimizers.Adam()
            >>> optimizer.build([fastnn.Variable([1.0])])
            >>> len(optimizer.variables)
            4
        """
        new = [v for v in variables if v not in self._slots]
        for v in new:
            self._trainable.append(v)
            if self.use_ema:
                self._averages[v] = self._slot(v, "average")
            if self.gradient_accumulation_steps:
                self._sums[v] = self._slot(v, "gradient_accumulator")
        for v in new:
            self._slots[v] = [self._slot(v, n) for n in self.slots()]
        self.built = True

    def part(self, variables: Iterable[Variable]) -> Self:
        """This optimiser with the state of these variables alone, in their order; both share it.

        Args:
            variables: Some of the variables that the optimizer was built on.

        Returns:
            An optimizer.

        Example:
            >>> optimizer = fastnn.optimizers.SGD(0.1, momentum=0.9)
            >>> a, b = fastnn.Variable([1.0]), fastnn.Variable([2.0])
            >>> optimizer.build([a, b])
            >>> len(optimizer.part([b]).variables), len(optimizer.variables)
            (3, 4)
        """
        part = copy.copy(self)
        part._trainable = [v for v in variables if v in self._slots]
        for name in ("_slots", "_averages", "_sums"):
            held = getattr(self, name)
            setattr(part, name, {v: held[v] for v in part._trainable if v in held})
        return part

    def slots(self) -> Sequence[str]:
        """Names of the state per variable, with the settings of this optimiser.

        Returns:
            A tuple or list of names.

        Example:
            >>> list(fastnn.optimizers.SGD(0.1, momentum=0.9).slots())
            ['momentum']
        """
        return self.slot_names

    def slot_start(self, name: str) -> float:
        """The first value of a slot.

        Args:
            name: One of `slots`.

        Returns:
            A number.

        Example:
            >>> fastnn.optimizers.Adagrad(initial_accumulator_value=0.1).slot_start("accumulator")
            0.1
        """
        return 0.0

    def _slot(self, variable: Variable, name: str) -> Variable:
        # Computed, not copied from an array: large slots never lie in memory twice.
        value = ops.full(variable.shape, _core.tensor(self.slot_start(name), dtype="float32"))
        slot = Variable(value, dtype="float32", trainable=False, name=name)
        slot.path = f"{self.name}/{variable.path.replace('/', '_')}_{name}"
        return slot

    def _own(self, value: float, name: str) -> Variable:
        """A number of the optimiser's own."""
        v = Variable(np.float32(value), dtype="float32", trainable=False, name=name)
        v.path = f"{self.name}/{name}"
        self._extra.append(v)
        return v

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        aggregation: Any = None,
        layout: Any = None,
        name: str | None = None,
    ) -> Variable:
        """A variable of the optimiser's own, for subclasses that keep state of their own.

        Args:
            shape: Its shape; () for a number.
            initializer: First values: a name, an `Initializer` or a function.
            dtype: `"float32"` (default) or `"int32"`.
            aggregation: Accepted for Keras's sake.
            layout: Accepted for Keras's sake.
            name: Its name in paths.

        Returns:
            A `Variable`, which `variables` holds and files keep.

        Example:
            >>> fastnn.optimizers.SGD().add_variable((2,), name="own").numpy()
            array([0., 0.], dtype=float32)
        """
        v = Variable(
            initializers.get(initializer), shape, dtype or "float32", trainable=False, name=name
        )
        v.path = f"{self.name}/{v.name}"
        self._extra.append(v)
        return v

    def add_variable_from_reference(
        self, reference_variable: Variable, name: str | None = None, initializer: Any = "zeros"
    ) -> Variable:
        """A variable of the shape of one that is trained, as `build` of a subclass adds it.

        Args:
            reference_variable: The variable that is trained.
            name: What the state is called, as in "momentum".
            initializer: First values: a name, an `Initializer` or a function.

        Returns:
            A `Variable`.

        Example:
            >>> optimizer, w = fastnn.optimizers.SGD(), fastnn.Variable([1.0, 2.0])
            >>> optimizer.add_variable_from_reference(w, "momentum").shape
            (2,)
        """
        v = self.add_variable(reference_variable.shape, initializer, name=name or "state")
        v.path = f"{self.name}/{reference_variable.path.replace('/', '_')}_{v.name}"
        return v

    def add_optimizer_variables(
        self, trainable_variables: Sequence[Variable], name: Any, initializer: Any = "zeros"
    ) -> Any:
        """A variable for each one that is trained, or several where several names are given.

        Args:
            trainable_variables: The variables that are trained.
            name: What the state is called, or a tuple of such names.
            initializer: First values, or one for each name.

        Returns:
            A list of variables, or a tuple of lists for several names.

        Example:
            >>> optimizer, w = fastnn.optimizers.SGD(), fastnn.Variable([1.0, 2.0])
            >>> len(optimizer.add_optimizer_variables([w], ("m", "v")))
            2
        """
        if isinstance(name, str):
            return [
                self.add_variable_from_reference(v, name, initializer) for v in trainable_variables
            ]
        each = initializer if isinstance(initializer, list | tuple) else [initializer] * len(name)
        return tuple(
            self.add_optimizer_variables(trainable_variables, n, start)
            for n, start in zip(name, each, strict=True)
        )

    def _get_variable_index(self, variable: Variable) -> int:
        """Where a variable stands among those that are trained, as Keras's subclasses ask."""
        return next(i for i, v in enumerate(self._trainable) if v is variable)

    def assign(self, variable: Variable, value: Any) -> None:
        """Sets a variable in a step.

        Args:
            variable: A variable.
            value: Its new value.

        Example:
            >>> w = fastnn.Variable([1.0])
            >>> fastnn.optimizers.SGD().assign(w, [3.0])
            >>> w.numpy()
            array([3.], dtype=float32)
        """
        variable.assign(value)

    def assign_add(self, variable: Variable, value: Any) -> None:
        """Adds to a variable in a step.

        Args:
            variable: A variable.
            value: What is added.

        Example:
            >>> w = fastnn.Variable([1.0])
            >>> fastnn.optimizers.SGD().assign_add(w, [3.0])
            >>> w.numpy()
            array([4.], dtype=float32)
        """
        variable.assign_add(value)

    def assign_sub(self, variable: Variable, value: Any) -> None:
        """Takes from a variable in a step.

        Args:
            variable: A variable.
            value: What is taken off.

        Example:
            >>> w = fastnn.Variable([1.0])
            >>> fastnn.optimizers.SGD().assign_sub(w, [3.0])
            >>> w.numpy()
            array([-2.], dtype=float32)
        """
        variable.assign_sub(value)

    @property
    def variables(self) -> list[Variable]:
        """iterations, learning rate, then the state of each variable, in Keras's order."""
        first = [self._iterations] + ([self._rate] if self._rate is not None else [])
        each = list(self._slots.values())
        together = self.slots_together or len(self.slots())
        rest = zip(*(slots[together:] for slots in each), strict=True)
        return [
            *first, *self._averages.values(), *self._sums.values(),
            *(s for slots in each for s in slots[:together]),
            *(s for of_a_kind in rest for s in of_a_kind),
            *self._extra,
        ]  # fmt: skip

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
        if self.weight_decay:
            for v in vs:
                if self._decays(v):
                    v.assign(v.value - v.value * self.weight_decay * rate)
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

    def update_step(self, gradient: Any, variable: Variable, learning_rate: Any) -> None:
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
        if self.clipnorm:
            return [self._clip_norm([g], self.clipnorm)[0] for g in gs]
        if self.global_clipnorm:
            return self._clip_norm(gs, self.global_clipnorm)
        if self.clipvalue:
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
                    v.assign(self._averages[v].value)

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

    def _stored_rate(self) -> Any:
        return self._rate.numpy() if self._rate is not None else 0.0

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
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

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Sets `variables` in order; the optimiser must be built.

        Args:
            weights: Arrays of their shapes.

        Raises:
            ValueError: The number of arrays or a shape differs.

        Example:
            >>> optimizer = fastnn.optimizers.SGD()
            >>> optimizer.build([fastnn.Variable([1.0])])
            >>> optimizer.set_weights([w.numpy() for w in optimizer.variables])
        """
        if not self.built:
            raise ValueError(
                "You are calling `set_weights()` on an optimizer that has not yet been built.\n"
                "  hint: optimizer.build(model.trainable_variables)"
            )
        self.load_own_values([np.asarray(w) for w in weights])

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

    @property
    def _model_variables_moving_average(self) -> list[Variable]:
        return list(self._averages.values())

    @property
    def _accumulated_gradients(self) -> list[Variable]:
        return list(self._sums.values())

    def load_own_values(self, values: Sequence[Any]) -> None:
        """Sets `variables` in order.

        Args:
            values: An array for each of `variables`.

        Raises:
            ValueError: There are more or fewer.

        Example:
            >>> optimizer = fastnn.optimizers.SGD(0.1)
            >>> optimizer.load_own_values([np.int32(7), np.float32(0.5)])
            >>> int(optimizer.iterations.numpy()), float(optimizer.learning_rate)
            (7, 0.5)
        """
        own = self.variables
        if len(own) != len(values):
            raise ValueError(
                f"optimizer {self.name!r} has {len(own)} variables, got {len(values)} values\n"
                "  hint: build the optimizer on the same model first"
            )
        for v, value in zip(own, values, strict=True):
            v.assign(np.asarray(value).reshape(v.shape))

    def __repr__(self) -> str:
        rate = self._schedule if self._schedule is not None else float(self._stored_rate())
        return f"<{type(self).__name__} learning_rate={rate}>"
