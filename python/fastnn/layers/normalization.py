"""Layers that bring activations to a common scale. Depends on `base`.

Sources: Ioffe & Szegedy 2015 (batch), Ba et al. 2016 (layer), Wu & He 2018 (group),
Zhang & Sennrich 2019 (RMS). Defaults are Keras's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastnn import constraints, initializers, ops, regularizers
from fastnn._core import Tensor
from fastnn.base.finder import answer_earlier
from fastnn.base.typing import DTypeLike, Identifier, Shape, TensorLike
from fastnn.layers.base.axes import sizes_along, spread_along
from fastnn.layers.base.input_spec import InputSpec
from fastnn.layers.base.layer import Layer
from fastnn.ops.linalg import over_root_mean_square, scale_of_squares, shrink_for
from fastnn.tracing.ranks import current_step

__all__ = [
    "BatchNormalization", "GroupNormalization", "LayerNormalization", "RMSNormalization",
    "UnitNormalization",
]  # fmt: skip

answer_earlier(globals())


class _Affine(Layer):
    """Shared by the layers with a `gamma` and a `beta`."""

    center: bool
    scale: bool

    def _set_affine(
        self,
        center: bool,
        scale: bool,
        options: dict[str, Any],
    ) -> None:
        self.center, self.scale = center, scale
        for which in ("beta", "gamma"):
            start = "zeros" if which == "beta" else "ones"
            setattr(self, f"{which}_initializer",
                    initializers.get(options.get(f"{which}_initializer", start)))  # fmt: skip
            setattr(self, f"{which}_regularizer",
                    regularizers.get(options.get(f"{which}_regularizer")))  # fmt: skip
            setattr(self, f"{which}_constraint",
                    constraints.get(options.get(f"{which}_constraint")))  # fmt: skip
        self.gamma: Any = None
        self.beta: Any = None

    def _add_affine(self, shape: Sequence[int], only_gamma: bool = False) -> None:
        wants = {"gamma": self.scale or only_gamma, "beta": self.center and not only_gamma}
        for which, wanted in wants.items():
            if wanted:
                setattr(
                    self,
                    which,
                    self.add_weight(
                        name=which,
                        shape=shape,
                        initializer=getattr(self, f"{which}_initializer"),
                        regularizer=getattr(self, f"{which}_regularizer"),
                        constraint=getattr(self, f"{which}_constraint"),
                    ),
                )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)


def _follow(average: Any, value: Any, keep: float) -> None:
    average.assign(average * keep + value * (1.0 - keep))


def _clipping(bounds: Any) -> dict[str, Any]:
    """The bounds of batch renormalisation, checked."""
    keys = ["rmax", "rmin", "dmax"]
    unknown = set(bounds) - set(keys)
    if unknown:
        raise ValueError(
            f"Received invalid keys for `renorm_clipping` argument: {bounds}. Supported values: "
            f"{keys}.\n  hint: renorm_clipping={{'rmax': 3.0, 'rmin': 1 / 3, 'dmax': 5.0}}"
        )
    rmax, rmin, dmax = (bounds.get(key) for key in keys)
    if rmax is not None and rmin is not None and rmax < rmin:
        raise ValueError(
            "rmax should be greater than rmin in the `renorm_clipping` argument. Received: "
            f"rmax={rmax}, rmin={rmin}.\n  hint: rmin=1 / rmax"
        )
    if dmax is not None and dmax < 0:
        raise ValueError(
            "dmax should be non-negative in the `renorm_clipping` argument. Received: "
            f"dmax={dmax}.\n  hint: the largest offset in either direction"
        )
    return dict(bounds)


class BatchNormalization(_Affine):
    """Normalises over the batch in training, by moving averages otherwise.

    Training: (x - mean) / sqrt(variance + epsilon) * gamma + beta with mean and population variance
    of the batch, and moving = moving * momentum + batch * (1 - momentum). With `trainable = False`
    the moving averages are used always. Shapes: the output has the input's; each weight has the
    size of `axis`. A moving variance beyond float32's range, of inputs that differ by 1e19 or more,
    is infinite, and outputs by it are 0: rescale such inputs. Source: Ioffe & Szegedy 2015.

    Args:
        axis: The axis that keeps its own statistics, usually that of the features or channels.
        momentum: The share of the old value that a moving average keeps each step.
        epsilon: A small number added to the variance.
        center: Whether an offset `beta` is learned and added.
        scale: Whether a scale `gamma` is learned and multiplied.
        beta_initializer: First values of the offset `beta`.
        gamma_initializer: First values of the scale `gamma`.
        moving_mean_initializer: First values of the moving mean.
        moving_variance_initializer: First values of the moving variance.
        beta_regularizer: Penalty on `beta`, added to the loss.
        gamma_regularizer: Penalty on `gamma`, added to the loss.
        beta_constraint: What `beta` is brought back to after each step.
        gamma_constraint: What `gamma` is brought back to after each step.
        renorm: Whether training normalises towards moving averages of its own, `renorm_mean` and
            `renorm_stddev`, so that small batches do not decide alone: (x * r + d) * gamma + beta,
            where gradients take r and d as given. Source: Ioffe 2017.
        renorm_clipping: Bounds of these corrections by name, "rmax", "rmin" and "dmax"; None: none.
        renorm_momentum: The share of the old value that those averages keep each step.
        synchronized: Accepted for Keras's sake: ranks that train together (`fastnn.distributed`)
            always normalise by the rows of all of them.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The axis is no whole number, or the bounds of `renorm_clipping` are none.

    Example:
        >>> layer = fastnn.layers.BatchNormalization()
        >>> layer(np.array([[0.0], [2.0]]), training=True).numpy().round(3)
        array([[-1.],
               [ 1.]], dtype=float32)
        >>> layer.moving_mean.numpy()
        array([0.01], dtype=float32)
    """

    axis: int
    momentum: float
    epsilon: float
    moving_mean_initializer: Any
    moving_variance_initializer: Any
    moving_mean: Any
    moving_variance: Any
    renorm: bool = False  # older pickles have none of these
    renorm_clipping: Any = None
    renorm_momentum: float = 0.99
    moving_stddev: Any
    renorm_mean: Any
    renorm_stddev: Any
    input_spec: Any

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        moving_mean_initializer: Identifier = "zeros",
        moving_variance_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int):
            raise ValueError(f"axis is {axis!r}, wanted a whole number\n  hint: axis=-1")
        self.axis, self.momentum, self.epsilon = axis, float(momentum), epsilon
        self.synchronized = synchronized
        self.renorm, self.renorm_momentum = bool(renorm), float(renorm_momentum)
        self.renorm_clipping = _clipping(renorm_clipping or {}) if renorm else renorm_clipping
        self._set_affine(center, scale, locals())
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        """The settings, without those that older Keras does not know where they change nothing."""
        config = super().get_config()
        if self.renorm:
            return config
        return {k: v for k, v in config.items() if not k.startswith("renorm")}

    def build(self, input_shape: Shape) -> None:
        """gamma, beta, moving_mean, moving_variance, each of the size of the axis; with `renorm`
        moving_stddev, renorm_mean and renorm_stddev too.
        """
        (size,) = sizes_along(input_shape, [self.axis], f"BatchNormalization {self.name!r}")
        self._add_affine((size,))
        self.moving_mean = self.add_weight(
            (size,), self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            (size,), self.moving_variance_initializer, trainable=False, name="moving_variance"
        )
        if self.renorm:
            for name, first in (
                ("moving_stddev", self._first_stddev),
                ("renorm_mean", self.moving_mean_initializer),
                ("renorm_stddev", self._first_stddev),
            ):
                setattr(self, name, self.add_weight((size,), first, trainable=False, name=name))
        self.input_spec = InputSpec(min_ndim=2, axes={self.axis: size})
        self.built = True

    def _first_stddev(self, shape: Any, dtype: DTypeLike = None) -> Any:
        return ops.sqrt(self.moving_variance_initializer(shape, dtype))

    def call(
        self, inputs: TensorLike, training: bool | None = None, mask: TensorLike = None
    ) -> Tensor:
        """Normalised inputs; in training the moving averages follow."""
        x = ops.convert_to_tensor(inputs, "float32")
        rank, axis = ops.ndim(x), [self.axis]
        moved = None
        trains = training and self.trainable
        if trains:
            axes = [i for i in range(rank) if i != self.axis % rank]
            shrink = shrink_for(float(self.epsilon))
            mean, power = self._batch_moments(x, axes, mask, shrink)
            variance = power * shrink**-2
            scale = ops.rsqrt(power + self.epsilon * shrink**2) * shrink
            _follow(self.moving_mean, mean, self.momentum)
            if self.renorm:
                stddev = ops.sqrt(variance + self.epsilon)
                r, moved = self._corrections(mean, stddev)
                scale = scale * r
                self._follow_stddev(mean, stddev)
            else:
                _follow(self.moving_variance, variance, self.momentum)
        else:
            mean = self.moving_mean.value
            scale = ops.rsqrt(self.moving_variance.value + self.epsilon)
        if self.gamma is not None:
            scale = scale * self.gamma
            moved = None if moved is None else moved * self.gamma
        if not trains:
            shift = -mean * scale
            if self.beta is not None:
                shift = shift + self.beta
            return x * spread_along(scale, x.shape, axis) + spread_along(shift, x.shape, axis)
        # From the distances, which keep the digits that a large mean would take from products.
        y = (x - spread_along(mean, x.shape, axis)) * spread_along(scale, x.shape, axis)
        for shift in (moved, None if self.beta is None else self.beta.value):
            if shift is not None:
                y = y + spread_along(shift, x.shape, axis)
        return y

    def _corrections(self, mean: Any, stddev: Any) -> tuple[Any, Any]:
        """The factor and the offset that lead from the batch's statistics to the averages."""
        usual = ops.maximum(self.renorm_stddev.value, float(self.epsilon) ** 0.5)
        r, d = stddev / usual, (mean - self.renorm_mean.value) / usual
        bounds = self.renorm_clipping
        if bounds.get("rmin") is not None:
            r = ops.maximum(r, float(bounds["rmin"]))
        if bounds.get("rmax") is not None:
            r = ops.minimum(r, float(bounds["rmax"]))
        if bounds.get("dmax") is not None:
            d = ops.clip(d, -float(bounds["dmax"]), float(bounds["dmax"]))
        return ops.stop_gradient(r), ops.stop_gradient(d)

    def _follow_stddev(self, mean: Any, stddev: Any) -> None:
        _follow(self.renorm_mean, mean, self.renorm_momentum)
        _follow(self.renorm_stddev, stddev, self.renorm_momentum)
        _follow(self.moving_stddev, stddev, self.momentum)
        # What inference reads; rounding must not make it negative.
        variance = ops.square(self.moving_stddev.value) - self.epsilon
        self.moving_variance.assign(ops.relu(variance))

    def _batch_moments(
        self, x: TensorLike, axes: list[int], mask: TensorLike, shrink: float
    ) -> tuple[Any, Any]:
        """The mean, and the variance of `x * shrink`, over the rows of all ranks."""
        step = current_step()
        if step is not None:
            weights = ops.ones_like(x) if mask is None else ops.expand_dims(
                ops.cast(mask, "float32"), axis=-1
            ) * ops.ones_like(x)  # fmt: skip
            # One step for both sums; a rank whose rows do not count adds nothing.
            sums = [ops.sum(x * weights, axis=axes), ops.sum(weights, axis=axes)]
            total, count = ops.unstack(step.sum(step.present(ops.stack(sums))))
            count = count + (0.0 if mask is None else 1e-7)
            mean = total / count
            d = (x - spread_along(mean, x.shape, [self.axis])) * shrink
            power = ops.sum(ops.square(d) * weights, axis=axes)
            return mean, step.sum(step.present(power)) / count
        if mask is None:
            return ops.mean(x, axis=axes), ops.var(x * shrink, axis=axes)
        weights = ops.expand_dims(ops.cast(mask, "float32"), axis=-1)
        total = ops.sum(weights * ops.ones_like(x), axis=axes) + 1e-7
        mean = ops.sum(x * weights, axis=axes) / total
        d = (x - spread_along(mean, x.shape, [self.axis])) * shrink
        return mean, ops.sum(ops.square(d) * weights, axis=axes) / total


class LayerNormalization(_Affine):
    """Normalises each sample over its own axes, then scales and shifts.

    (x - mean) / sqrt(variance + epsilon) * gamma + beta. With `rms_scaling`, x * gamma /
    sqrt(variance + epsilon), without mean and beta, as Keras has it; for the root mean square there
    is `RMSNormalization`. Shapes: the output has the input's. Source: Ba, Kiros & Hinton 2016.

    Args:
        axis: The axis or axes to normalise over, usually the last.
        epsilon: A small number added to the variance.
        center: Whether an offset `beta` is learned and added.
        scale: Whether a scale `gamma` is learned and multiplied.
        beta_initializer: First values of the offset `beta`.
        gamma_initializer: First values of the scale `gamma`.
        beta_regularizer: Penalty on `beta`, added to the loss.
        gamma_regularizer: Penalty on `gamma`, added to the loss.
        beta_constraint: What `beta` is brought back to after each step.
        gamma_constraint: What `gamma` is brought back to after each step.
        rms_scaling: Whether only the scale is normalised.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> layer = fastnn.layers.LayerNormalization()
        >>> layer(np.array([[1.0, 2.0, 3.0]])).numpy().round(3)
        array([[-1.224,  0.   ,  1.224]], dtype=float32)
    """

    epsilon: float
    rms_scaling: bool

    input_spec: Any

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int | list | tuple):
            raise TypeError(
                "Expected an int or a list/tuple of ints for the argument 'axis', but received "
                f"instead: {axis}\n  hint: axis=-1"
            )
        self.axis: Any = list(axis) if isinstance(axis, list | tuple) else axis
        self.epsilon, self.rms_scaling = epsilon, rms_scaling
        self.input_spec = InputSpec()
        self._set_affine(center, scale, locals())
        self.supports_masking = True

    def _axes(self) -> list[int]:
        return sorted(self.axis) if isinstance(self.axis, list) else [self.axis]

    def build(self, input_shape: Shape) -> None:
        """Gamma and beta of the sizes of the axes."""
        sizes = sizes_along(input_shape, self._axes(), f"LayerNormalization {self.name!r}")
        self._add_affine(sizes, only_gamma=self.rms_scaling)
        self.built = True

    def call(self, inputs: TensorLike) -> Tensor:
        """(x - mean) / sqrt(variance + epsilon) * gamma + beta."""
        x = ops.convert_to_tensor(inputs, "float32")
        axes = self._axes()
        if len(axes) == 1 and not self.rms_scaling:
            gamma, beta = (v if v is None else v.value for v in (self.gamma, self.beta))
            return ops.layer_normalization(x, gamma, beta, axes[0], self.epsilon)
        d = x - ops.mean(x, axis=axes, keepdims=True)
        y = (x if self.rms_scaling else d) * over_root_mean_square(d, axes, self.epsilon)
        if self.gamma is not None:
            y = y * spread_along(self.gamma.value, x.shape, axes)
        if self.beta is not None:
            y = y + spread_along(self.beta.value, x.shape, axes)
        return y


class RMSNormalization(Layer):
    """Divides each sample by its root mean square over some axes, then scales.

    x / sqrt(mean(x²) + epsilon) * scale. Shapes: the output has the input's. Source: Zhang &
    Sennrich 2019.

    Args:
        axis: The axis or axes to average over, usually the last.
        epsilon: A small number added to the mean square.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.RMSNormalization()(np.array([[3.0, 4.0]])).numpy().round(3)
        array([[0.849, 1.131]], dtype=float32)
    """

    scale: Any
    input_spec: Any

    def __init__(
        self, axis: int | Sequence[int] = -1, epsilon: float = 1e-6, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.axis: Any = sorted(axis) if isinstance(axis, list | tuple) else axis
        self.epsilon = epsilon
        self.input_spec = InputSpec()

    def build(self, input_shape: Shape) -> None:
        """One scale per element of the axes."""
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        sizes = sizes_along(input_shape, axes, f"RMSNormalization {self.name!r}")
        self.scale = self.add_weight(sizes, "ones", name="scale")
        self.built = True

    def call(self, inputs: TensorLike) -> Tensor:
        """X / sqrt(mean(x²) + epsilon) * scale."""
        x = ops.convert_to_tensor(inputs, "float32")
        axes = self.axis if isinstance(self.axis, list) else [self.axis]
        if len(axes) == 1:
            return ops.rms_normalization(x, self.scale.value, axes[0], self.epsilon)
        y = x * over_root_mean_square(x, axes, self.epsilon)
        return y * spread_along(self.scale.value, x.shape, axes)


class GroupNormalization(_Affine):
    """Normalises each sample over groups of channels, then scales and shifts.

    Shapes: the output has the input's; `gamma` and `beta` have one number a channel. Source: Wu &
    He 2018.

    Args:
        groups: The number of groups; it divides the number of channels, and -1 makes one group a
            channel.
        axis: The axis of the channels.
        epsilon: A small number added to the variance.
        center: Whether an offset `beta` is learned and added.
        scale: Whether a scale `gamma` is learned and multiplied.
        beta_initializer: First values of the offset `beta`.
        gamma_initializer: First values of the scale `gamma`.
        beta_regularizer: Penalty on `beta`, added to the loss.
        gamma_regularizer: Penalty on `gamma`, added to the loss.
        beta_constraint: What `beta` is brought back to after each step.
        gamma_constraint: What `gamma` is brought back to after each step.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: The groups do not divide the channels.

    Example:
        >>> layer = fastnn.layers.GroupNormalization(groups=2)
        >>> layer(np.array([[1.0, 3.0, 10.0, 30.0]])).numpy().round(3)
        array([[-1.,  1., -1.,  1.]], dtype=float32)
    """

    groups: int
    axis: int
    epsilon: float
    input_spec: Any

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Identifier = "zeros",
        gamma_initializer: Identifier = "ones",
        beta_regularizer: Identifier = None,
        gamma_regularizer: Identifier = None,
        beta_constraint: Identifier = None,
        gamma_constraint: Identifier = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(groups, bool) or not isinstance(groups, int) or groups < -1 or groups == 0:
            raise ValueError(
                "Received an invalid value for argument `groups`, expected a positive integer (or "
                f"`-1` for instance normalization). Received: groups={groups}"
                "\n  hint: groups=1, or a divisor of the channels"
            )
        self.groups, self.axis, self.epsilon = groups, axis, epsilon
        self.input_spec = InputSpec()
        self._set_affine(center, scale, locals())
        self.supports_masking = True

    def build(self, input_shape: Shape) -> None:
        """Gamma and beta of the size of the axis."""
        (size,) = sizes_along(input_shape, [self.axis], f"GroupNormalization {self.name!r}")
        if self.groups == -1:
            self.groups = size
        if size < self.groups or size % self.groups:
            wrong = "cannot be more than" if size < self.groups else "must be a multiple of"
            raise ValueError(
                f"GroupNormalization {self.name!r}: Number of groups ({self.groups}) {wrong} the "
                f"number of channels ({size})\n  hint: groups must divide the channels"
            )
        self._add_affine((size,))
        self.built = True

    def call(self, inputs: TensorLike) -> Tensor:
        """Normalised over positions and the channels of a group."""
        x = ops.convert_to_tensor(inputs, "float32")
        rank = ops.ndim(x)
        axis = self.axis % rank
        last = x if axis == rank - 1 else ops.moveaxis(x, axis, -1)
        sizes = last.shape
        split = ops.reshape(last, [-1, *sizes[1:-1], self.groups, sizes[-1] // self.groups])
        axes = [*range(1, rank - 1), rank]
        d = split - ops.mean(split, axis=axes, keepdims=True)
        y = d * over_root_mean_square(d, axes, self.epsilon)
        y = ops.reshape(y, [-1, *sizes[1:]])
        if self.gamma is not None:
            y = y * self.gamma
        if self.beta is not None:
            y = y + self.beta
        return y if axis == rank - 1 else ops.moveaxis(y, -1, axis)


class UnitNormalization(Layer):
    """Scales each sample to length 1 over some axes.

    Shapes: the output has the input's.

    Args:
        axis: The axis or axes whose squares add up to 1.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Example:
        >>> fastnn.layers.UnitNormalization()(np.array([[3.0, 4.0]])).numpy()
        array([[0.6, 0.8]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(axis, int | list | tuple):
            raise TypeError(
                "Invalid value for `axis` argument: expected an int or a list/tuple of ints. "
                f"Received: axis={axis}\n  hint: axis=-1"
            )
        self.axis: Any = list(axis) if isinstance(axis, list | tuple) else axis
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs: TensorLike) -> Tensor:
        """X / |x|."""
        x = ops.convert_to_tensor(inputs, "float32")
        x = x * scale_of_squares(x, self.axis)
        total = ops.sum(ops.square(x), axis=self.axis, keepdims=True)
        return x * ops.rsqrt(ops.maximum(total, 1e-24))
