"""What `compile` chooses, and the steps of a batch that are made of it.

A model of the user's may define a step, its loss or its metrics anew; what traces and runs them is
in `step` and `trainer`. Depends on `compile_utils`, `metrics`, `optimizers`.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable
from typing import Any

from fastnn import _core, metrics, ops, optimizers
from fastnn.base import tree
from fastnn.base.arguments import call_parameters
from fastnn.base.typing import TensorLike
from fastnn.data.batches import unpack
from fastnn.devices import choice
from fastnn.errors import NotCompiledError, reject_arguments
from fastnn.tracing.symbolic import value_of
from fastnn.tracing.variables import Variable, gradients
from fastnn.training.compile_utils import CompiledLoss, CompiledMetrics, OlderMetrics
from fastnn.training.step import Tracing

__all__ = ["Compiled"]

#: Layers that compute something else in training.
_IN_TRAINING = {
    "AlphaDropout", "BatchNormalization", "Dropout", "GaussianDropout", "GaussianNoise",
    "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "SpectralNormalization",
}  # fmt: skip


class Compiled(Tracing):
    """The part of a model that `compile` sets up: optimiser, loss, metrics, and steps of them."""

    compiled: bool
    #: Set by a callback: the run under way ends after the batch.
    stop_training: bool
    stop_evaluating: bool
    stop_predicting: bool
    run_eagerly: bool
    #: What `compile(jit_compile=...)` said, kept for Keras's sake: an epoch is always compiled,
    #: unless `run_eagerly` is set.
    jit_compile: bool
    #: As Keras tells whether a model can be compiled.
    supports_jit: bool = True
    optimizer: Any
    trainable_variables: list[Variable]

    def _init_compiled(self) -> None:
        self.compiled = False
        self.stop_training = self.stop_evaluating = self.stop_predicting = False
        self._compiled_loss: CompiledLoss | None = None
        self._compiled_metrics: CompiledMetrics | None = None
        self._loss_tracker: metrics.Mean | None = None
        self._compile_config: dict[str, Any] | None = None
        self.run_eagerly = False
        self.jit_compile = True

    # ---- compile -------------------------------------------------------------------------------

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: Any = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
        device: str | None = None,
        **unknown: Any,
    ) -> None:
        """Chooses optimiser, loss and metrics for `fit` and `evaluate`; unknown names are refused
        here. A further call without a loss keeps the one before, and its metrics unless others are
        given; with a loss it has the metrics that it gives.

        Args:
            optimizer: An `Optimizer`, or its name such as `"adam"`.
            loss: A `Loss`, a function of (y_true, y_pred), or a name such as `"mse"`; for several
                outputs a list, or a dict by the names of the outputs.
            loss_weights: Factors of the losses of several outputs, a list or dict.
            metrics: A list of metrics, functions or names such as `"accuracy"`; for several outputs
                a list of lists, or a dict.
            weighted_metrics: Metrics that sample and class weights count for.
            run_eagerly: Whether `train_step` runs in Python for every batch, so that breakpoints
                and prints see values.
            steps_per_execution: Accepted for Keras's sake: every epoch is one compiled execution.
            jit_compile: Accepted for Keras's sake: every epoch is one compiled execution.
            auto_scale_loss: Accepted for Keras's sake: float32 gradients need no scaling.
            device: Where `fit`, `evaluate` and `predict` run: `"cpu"`, `"gpu"`, a GPU such as
                `"gpu:1"`, or `"auto"`, which takes a GPU where it is faster. None: what
                `fastnn.device` or `fastnn.set_device` chose, else the CPU.
            **unknown: Given to the function.

        Raises:
            ValueError: A name is not known; the hint names the nearest ones.
            GpuUnavailableError: `device` is one that this machine lacks.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile(fastnn.optimizers.Adam(0.01), "mse", metrics=["mae"])
        """
        if unknown:
            raise reject_arguments("compile()", unknown, type(self).compile)
        if steps_per_execution != "auto" and int(steps_per_execution) < 1:
            raise ValueError(
                f"steps_per_execution is {steps_per_execution}, wanted 1 or more\n  hint: leave it"
            )
        placed = None if device is None else choice.parsed(device, auto=True)
        if run_eagerly and placed not in (None, choice.CPU):
            raise ValueError(
                f"run_eagerly=True runs steps in Python, on the CPU; device is {device!r}\n"
                "  hint: leave one of them"
            )
        if placed is not None:
            choice.look_for(placed)
        self._compiled_device = placed
        self.optimizer = optimizers.get(optimizer)
        if loss is None:
            before = self._compile_config or {}
            loss, loss_weights = before.get("loss"), before.get("loss_weights")
            if metrics is None and weighted_metrics is None:
                metrics, weighted_metrics = before.get("metrics"), before.get("weighted_metrics")
        self._compiled_loss = None if loss is None else CompiledLoss(loss, loss_weights)
        self._compiled_metrics = CompiledMetrics(
            metrics, weighted_metrics, getattr(self, "output_names", None), self._compiled_loss
        )
        self._loss_tracker = _mean("loss")
        self._compile_config = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.run_eagerly = bool(run_eagerly)
        self.jit_compile = not run_eagerly if jit_compile == "auto" else bool(jit_compile)
        self.loss = loss
        self.compiled = True
        self.stop_training = False
        self._step_programs.clear()

    def _require_compiled(self, verb: str) -> None:
        if not self.compiled:
            raise NotCompiledError(
                f"{verb} needs a compiled model\n"
                "  hint: model.compile(optimizer='adam', loss='mse') before it"
            )

    @property
    def metrics(self) -> list[Any]:
        """The loss tracker, compiled metrics, losses of outputs, and metrics held as attributes."""
        found: list[Any] = [self._loss_tracker] if self._loss_tracker is not None else []
        if self._compiled_metrics is not None:
            found += self._compiled_metrics.metrics
        if self._compiled_loss is not None:
            found += self._compiled_loss.trackers
        for layer in self._every_layer():
            if layer is self or not isinstance(layer, Compiled):
                for value in layer.__dict__.values():
                    if isinstance(value, list | tuple):
                        found += [m for m in value if isinstance(m, metrics.Metric)]
                    elif isinstance(value, metrics.Metric):
                        found.append(value)
        return list({id(m): m for m in found}.values())

    @property
    def metrics_variables(self) -> list[Any]:
        """The variables of all `metrics`, one metric after the other."""
        return [v for m in self.metrics for v in m.variables]

    @property
    def metrics_names(self) -> list[str]:
        """Names of the values that `evaluate` gives, in the order of its list."""
        return self._names_in_order(self.metrics)

    def _names_in_order(self, found: list[Any], logged: Iterable[str] | None = None) -> list[str]:
        """Names as `evaluate` lists them: metrics by output come last, sorted by name."""
        compiled = self._compiled_metrics
        later = compiled.metrics if compiled is not None and compiled.by_output else []
        first = [m.name for m in found if not any(m is other for other in later)]
        names = [m.name for m in found] if logged is None else list(logged)
        return [n for n in first if n in names] + sorted(n for n in names if n not in first)

    def reset_metrics(self) -> None:
        """Puts all metrics back to the start.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> model.reset_metrics()
        """
        for m in self.metrics:
            m.reset_state()

    def get_metrics_result(self) -> dict[str, Any]:
        """The values of all metrics.

        Returns:
            A dict: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> list(model.get_metrics_result())
            ['loss']
        """
        values: dict[str, Any] = {}
        for m in self.metrics:
            result = value_of(m.result())
            if isinstance(result, dict):
                values.update(result)
            else:
                values[m.name] = result
        return values

    # ---- one step ------------------------------------------------------------------------------

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: TensorLike = None,
        sample_weight: TensorLike = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss plus the losses that layers and penalties add.

        Args:
            x: Inputs; not used unless overridden.
            y: Labels.
            y_pred: What the model made of the inputs.
            sample_weight: How much each sample counts.
            training: Not used unless overridden.

        Returns:
            A tensor without axes.

        Raises:
            ValueError: There is no loss at all.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> float(model.compute_loss(y=np.zeros((2, 1)), y_pred=np.ones((2, 1))))
            1.0
        """
        parts: list[Any] = []
        if self._compiled_loss is not None:
            names = getattr(self, "output_names", None)
            parts.append(self._compiled_loss(y, y_pred, sample_weight, names))
        parts += [ops.sum(v) for v in self.losses]  # type: ignore[attr-defined]
        if not parts:
            raise ValueError(
                "there is no loss to minimise\n  hint: compile(loss='mse') or use add_loss"
            )
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def compiled_loss(
        self,
        y: Any,
        y_pred: TensorLike,
        sample_weight: TensorLike = None,
        regularization_losses: Any = None,
    ) -> Any:
        """What steps written for Keras 2 call: the compiled loss, which the logs then hold.

        Args:
            y: Labels.
            y_pred: What the model made of the inputs.
            sample_weight: How much each sample counts.
            regularization_losses: Further losses to add, as `model.losses`.

        Returns:
            A tensor without axes.

        Raises:
            ValueError: The model was compiled without a loss.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> float(model.compiled_loss(np.zeros((2, 1)), np.ones((2, 1))))
            1.0
        """
        if self._compiled_loss is None:
            raise ValueError("compiled_loss: there is none\n  hint: compile(loss='mse')")
        names = getattr(self, "output_names", None)
        total = self._compiled_loss(y, y_pred, sample_weight, names)
        for part in regularization_losses or ():
            total = total + ops.sum(part)
        self._track_loss(total, y_pred)
        return total

    @property
    def compiled_metrics(self) -> Any:
        """What steps written for Keras 2 update: the compiled metrics together."""
        return OlderMetrics(self)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: TensorLike, sample_weight: TensorLike = None
    ) -> dict[str, Any]:
        """Updates the compiled metrics with a batch and gives all values.

        Args:
            x: Inputs; not used unless overridden.
            y: Labels.
            y_pred: What the model made of the inputs.
            sample_weight: How much each sample counts.

        Returns:
            A dict: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse", metrics=["mae"])
            >>> logs = model.compute_metrics(None, np.zeros((2, 1)), np.ones((2, 1)))
            >>> float(logs["mae"])
            1.0
        """
        if self._compiled_metrics is not None:
            names = getattr(self, "output_names", None)
            self._compiled_metrics.update(y, y_pred, sample_weight, names)
        return self.get_metrics_result()

    def _loss_of(self, x: Any, y: Any, y_pred: TensorLike, weights: Any, training: bool) -> Any:
        """`compute_loss` as Keras calls it: by keyword, `training` where an override takes it."""
        given: dict[str, Any] = {"x": x, "y": y, "y_pred": y_pred, "sample_weight": weights}
        parameters = inspect.signature(self.compute_loss).parameters.values()
        if any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters):
            given["training"] = training
        return self.compute_loss(**given)

    def train_step(self, data: Any) -> dict[str, Any]:
        """What training does with one batch; override it for other training.

        It is traced once and compiled, as part of `fit`.

        Args:
            data: What `fit` was given: x, (x, y) or (x, y, sample_weight), as tensors of a batch.

        Returns:
            A dict of logs: name -> value.

        Example:
            >>> class Doubled(fastnn.Sequential):
            ...     def train_step(self, data):
            ...         super().train_step(data)
            ...         return super().train_step(data)
            >>> model = Doubled([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> history = model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
            >>> int(model.optimizer.iterations)
            2
        """
        x, y, weights = unpack(data)
        y_pred = self._call_in_training(x)
        loss = self._loss_of(x, y, y_pred, weights, True)
        variables = self.trainable_variables
        scale = self.optimizer.loss_scale_factor
        # Gradients come before anything reads the loss: run eagerly, a read forgets its inputs.
        grads = gradients(loss * scale if scale else loss, variables) if variables else []
        self._track_loss(loss, x)
        if variables:
            self.optimizer.apply(grads, variables)
        else:
            warnings.warn("the model does not have any trainable weights", stacklevel=2)
        return self.compute_metrics(x, y, y_pred, weights)

    def _call_in_training(self, x: Any) -> Any:
        """The outputs of a training step; as in Keras, a `call` that takes no `training` gets none.

        Its layers then run as they do in inference, which is told where it makes a difference.
        """
        if call_parameters(type(self).call)[1]:  # type: ignore[attr-defined]
            return self(x, training=True)  # type: ignore[operator]
        idle = sorted({type(v).__name__ for v in self._every_layer()} & _IN_TRAINING)
        if idle:
            warnings.warn(
                f"{type(self).__name__}.call takes no `training`, so its layers ({', '.join(idle)})"
                " run as in inference while it is trained, as in Keras\n"
                "  hint: def call(self, inputs, training=None), and pass training=training on",
                stacklevel=2,
            )
        return self(x)  # type: ignore[operator]

    def test_step(self, data: Any) -> dict[str, Any]:
        """What evaluation does with one batch; override it together with `train_step`.

        Args:
            data: x, (x, y) or (x, y, sample_weight), as tensors of a batch.

        Returns:
            A dict of logs: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.compile("sgd", "mse")
            >>> sorted(model.test_step((np.ones((4, 2)), np.ones((4, 1)))))
            ['loss']
        """
        x, y, weights = unpack(data)
        y_pred = self(x, training=False)  # type: ignore[operator]
        self._track_loss(self._loss_of(x, y, y_pred, weights, False), x)
        return self.compute_metrics(x, y, y_pred, weights)

    def predict_step(self, data: Any) -> Any:
        """What prediction does with one batch: the model's output.

        Args:
            data: Inputs, as tensors of a batch.

        Returns:
            The outputs.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> model.predict_step(np.ones((4, 2), "float32")).shape
            (4, 1)
        """
        x, _, _ = unpack(data)
        return self(x, training=False)  # type: ignore[operator]

    def _track_loss(self, loss: Any, x: Any) -> None:
        if self._loss_tracker is not None:
            first = tree.flatten(x)[0]
            self._loss_tracker.update_state(loss, _core.ops.extent(first, axis=[0]))


def _mean(name: str) -> metrics.Mean:
    return metrics.Mean(name=name)
