"""What an optimiser keeps: its step number, its learning rate, its slots of each variable.

Depends on `ops`, `tracing.variables`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from fastnn import _core, initializers, ops
from fastnn.base.typing import TensorLike
from fastnn.optimizers.schedules import TABLE as SCHEDULES, LearningRateSchedule
from fastnn.serialization.encoding import Configurable
from fastnn.tracing.late import made_variables, waiting
from fastnn.tracing.variables import Variable


def _rate_number(rate: Any) -> Any:
    try:
        return np.float32(float(rate))
    except (TypeError, ValueError):
        raise ValueError(
            f"learning_rate is {rate!r}, wanted a number or a schedule\n  hint: learning_rate=0.001"
        ) from None


class OptimizerState(Configurable):
    """The state of an optimiser, made for the variables that it is built on."""

    name: str
    use_ema: bool
    gradient_accumulation_steps: int | None
    built: bool

    #: Names of the state kept for each variable, and where it starts.
    slot_names: tuple[str, ...] = ()
    #: How many slots of one variable stand side by side in `variables`; the others follow by kind.
    slots_together: int | None = None

    def _init_state(self, learning_rate: TensorLike) -> None:
        """What there is before `build`: the step number and the learning rate."""
        self.built = False
        self._iterations = Variable(0, dtype="int32", trainable=False, name="iteration")
        self._iterations.path = f"{self.name}/iteration"
        self._trainable: list[Variable] = []
        self._slots: dict[Variable, list[Variable]] = {}
        self._extra: list[Variable] = []
        self._averages: dict[Variable, Variable] = {}
        self._sums: dict[Variable, Variable] = {}
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
    def _learning_rate(self) -> Any:
        """What was given, by the name that own optimisers of Keras read: a variable or schedule."""
        return self._rate if self._schedule is None else self._schedule

    @property
    def learning_rate(self) -> Any:
        """The rate at this step: a variable, or the schedule's value."""
        if self._schedule is not None:
            if isinstance(self._schedule, LearningRateSchedule):
                return self._schedule(self._iterations.value)  # of batches, not of updates
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

    def build(self, var_list: Iterable[Variable]) -> None:
        """Makes the state for variables; those already known keep theirs.

        Args:
            var_list: The variables to be trained.

        Example:
            >>> optimizer = fastnn.optimizers.Adam()
            >>> optimizer.build([fastnn.Variable([1.0])])
            >>> len(optimizer.variables)
            4
        """
        new = [v for v in var_list if v not in self._slots]
        for v in new:
            self._trainable.append(v)
            if self.use_ema:
                self._averages[v] = self._slot(v, "average")
            if self.gradient_accumulation_steps:
                self._sums[v] = self._slot(v, "gradient_accumulator")
        for v in new:
            self._slots[v] = [self._slot(v, n) for n in self.slots_of(v)]
        self.built = True
        if new and waiting:
            made_variables()

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

    def slots_of(self, variable: Variable) -> Sequence[str]:
        """Names of the state of one variable, for optimisers whose variables differ in it.

        Args:
            variable: A variable that is trained.

        Returns:
            Some of `slots`, in their order.

        Example:
            >>> list(fastnn.optimizers.Muon().slots_of(fastnn.Variable([[1.0]])))
            ['momentum']
        """
        return self.slots()

    def slot_shape(self, name: str, variable: Variable) -> tuple[int, ...]:
        """The shape of a slot of a variable.

        Args:
            name: One of `slots`.
            variable: A variable that is trained.

        Returns:
            A tuple; unless a subclass says otherwise, the variable's.

        Example:
            >>> fastnn.optimizers.Adam().slot_shape("momentum", fastnn.Variable([1.0, 2.0]))
            (2,)
        """
        return tuple(variable.shape)

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
        shape = self.slot_shape(name, variable)
        value = ops.full(shape, _core.tensor(self.slot_start(name), dtype="float32"))
        slot = Variable(value, dtype="float32", trainable=False, name=_slot_name(variable, name))
        slot.path, slot.kind = f"{self.name}/{slot.name}", name
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
        name = name or "state"
        own = _slot_name(reference_variable, name)
        v = self.add_variable(reference_variable.shape, initializer, name=own)
        v.kind = name
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

    # ---- values --------------------------------------------------------------------------------

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

    @property
    def _model_variables_moving_average(self) -> list[Variable]:
        return list(self._averages.values())

    @property
    def _accumulated_gradients(self) -> list[Variable]:
        return list(self._sums.values())

    def _stored_rate(self) -> Any:
        return np.asarray(self._rate) if self._rate is not None else 0.0


def _slot_name(variable: Variable, name: str) -> str:
    """The name of a state of a variable, as Keras gives it."""
    return f"{variable.path.replace('/', '_')}_{name}"
