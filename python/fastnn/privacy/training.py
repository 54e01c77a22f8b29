"""`PrivateModel`: gradients clipped row by row, and noise. Depends on `models`, `tracing`."""

from __future__ import annotations

import secrets
from typing import Any

from fastnn import ops, random
from fastnn.base import tree
from fastnn.base.arguments import as_number, is_whole
from fastnn.data.batches import unpack
from fastnn.errors import ShapeError
from fastnn.layers import BatchNormalization
from fastnn.models import Functional
from fastnn.tracing.ranks import current_step
from fastnn.tracing.variables import gradients

__all__ = ["PrivateModel"]


class PrivateModel(Functional):
    """Trains a model so that no single row shows in it: DP-SGD (Abadi et al. 2016).

    In each step the gradient of every row is cut to a norm of `l2_norm_clip`, the gradients are
    added, and normal noise of `noise_multiplier` times that norm is added to the sum. What that
    promises is told by `fastnn.privacy.epsilon`. The layers and weights are those of the model that
    was given: once trained, predict and save with that one.

    Every row is a pass of its own, so an epoch takes many times as long. Layers that mix rows, such
    as `BatchNormalization`, are refused.

    Args:
        model: A built model of layers, `Sequential` or functional.
        l2_norm_clip: The largest norm of a row's gradient: near the median of what they are.
        noise_multiplier: The deviation of the noise over that norm; 0 clips only, and promises
            nothing.
        microbatch_size: Rows whose mean gradient is cut as one: quicker, and noisier, since a row
            then changes the sum by up to twice the norm. It has to divide every batch.
        seed: Of the noise. None draws one from the system: whoever knows the seed can take the
            noise away.

    Raises:
        ValueError: A setting is out of range, or a layer mixes rows.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> private = fastnn.privacy.PrivateModel(model, l2_norm_clip=1.0, noise_multiplier=1.1)
        >>> private.compile(fastnn.optimizers.SGD(0.1), "mse")
        >>> x = np.ones((64, 3), "float32")
        >>> history = private.fit(x, x.sum(1), epochs=2, verbose=0)
        >>> model.predict(x, verbose=0).shape
        (64, 1)
    """

    l2_norm_clip: float
    noise_multiplier: float
    microbatch_size: int

    def __init__(
        self,
        model: Any,
        l2_norm_clip: float = 1.0,
        noise_multiplier: float = 1.1,
        microbatch_size: int = 1,
        seed: int | None = None,
    ) -> None:
        clip, noise, rows = as_number([l2_norm_clip, noise_multiplier, microbatch_size])
        if isinstance(clip, bool) or not isinstance(clip, int | float) or (
            not 0 < clip < float("inf")
        ):  # fmt: skip
            raise ValueError(
                f"l2_norm_clip is {l2_norm_clip!r}, wanted a number above 0\n"
                "  hint: l2_norm_clip=1.0"
            )
        if isinstance(noise, bool) or not isinstance(noise, int | float) or (
            not 0 <= noise < float("inf")
        ):  # fmt: skip
            raise ValueError(
                f"noise_multiplier is {noise_multiplier!r}, wanted a number of at least 0\n"
                "  hint: noise_multiplier=1.1"
            )
        if not is_whole(rows) or rows < 1:
            raise ValueError(
                f"microbatch_size is {microbatch_size!r}, wanted a whole number of at least 1\n"
                "  hint: microbatch_size=1"
            )
        inputs, outputs = getattr(model, "inputs", None), getattr(model, "outputs", None)
        if not inputs or not outputs:
            raise ValueError(
                f"model {getattr(model, 'name', model)!r} is not built of layers with an Input\n"
                "  hint: begin it with Input(shape)"
            )
        for layer in model._every_layer():
            if isinstance(layer, BatchNormalization):
                raise ValueError(
                    f"layer {layer.name!r} mixes the rows of a batch, so no row's gradient is its "
                    "own\n  hint: LayerNormalization looks at one row at a time"
                )
        graph = getattr(model, "_layer_graph", None)
        super().__init__(
            graph.inputs if graph is not None else inputs[0],
            graph.outputs if graph is not None else outputs[0],
            name=f"private_{model.name}",
        )
        self.l2_norm_clip, self.noise_multiplier = float(clip), float(noise)
        self.microbatch_size = int(rows)
        self._noise = random.SeedGenerator(secrets.randbits(31) if seed is None else seed)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains as every model does.

        Args:
            *args: As of `Model.fit`.
            **kwargs: As of `Model.fit`.

        Returns:
            A `History`.

        Raises:
            ShapeError: A batch, or the last one, is not whole microbatches.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> private = fastnn.privacy.PrivateModel(model, microbatch_size=4)
            >>> private.compile("sgd", "mse")
            >>> len(private.fit(np.ones((8, 2)), np.ones(8), verbose=0).epoch)
            1
        """
        try:
            return super().fit(*args, **kwargs)
        except ShapeError as error:
            if self.microbatch_size > 1:
                error.add_note(
                    f"  microbatch_size={self.microbatch_size} has to divide every batch, the last "
                    "one too: leave rows out, or take microbatch_size=1"
                )
            raise

    def get_config(self) -> dict[str, Any]:
        """Refused: what is to be kept is the model that was given.

        Returns:
            Nothing.

        Raises:
            ValueError: Always.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> private = fastnn.privacy.PrivateModel(model)
            >>> try:
            ...     private.save("private.safetensors")
            ... except ValueError:
            ...     model.save("model.safetensors")
        """
        raise ValueError(
            f"{self.name!r} is a way to train, not a model to save\n"
            "  hint: save the model that it was made of, which has the weights"
        )

    def train_step(self, data: Any) -> dict[str, Any]:
        """One update: clipped gradients row by row, their sum with noise, over the rows.

        Args:
            data: (x, y) or (x, y, sample_weight), as tensors of a batch.

        Returns:
            A dict of logs: name -> value.

        Example:
            >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
            >>> private = fastnn.privacy.PrivateModel(model)
            >>> private.compile("sgd", "mse")
            >>> sorted(private.train_on_batch(np.ones((4, 2)), np.ones(4), return_dict=True))
            ['loss']
        """
        if current_step() is not None:
            raise ValueError(
                "PrivateModel counts the privacy that is spent by the batch of one process, and "
                "several ranks train together\n  hint: leave out fastnn.distributed.init()"
            )
        x, y, weights = unpack(data)
        variables = self.trainable_variables
        parts = (x, y, weights)
        count, clip = self.microbatch_size, self.l2_norm_clip
        leaves = [
            ops.expand_dims(a, 1) if count == 1 else ops.reshape(a, (-1, count, *a.shape[1:]))
            for a in tree.flatten(parts)
        ]

        def one(sums: Any, rows: Any) -> Any:
            x, y, weights = tree.pack(parts, list(rows))
            loss = self._loss_of(x, y, self(x, training=True), weights, True)
            slopes = gradients(loss, variables)
            norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in slopes))
            # A gradient that is not finite is none: it would be the whole sum.
            scale = ops.where(ops.isfinite(norm), clip / ops.maximum(norm, clip), 0.0)
            kept = [ops.where(ops.isfinite(norm), g * scale, 0.0) for g in slopes]
            return [s + g for s, g in zip(sums, kept, strict=True)], loss

        start = [ops.zeros_like(v.value) for v in variables]
        sums, losses = ops.scan(one, start, leaves)
        groups = ops.cast(ops.shape(leaves[0])[0], "float32")
        # A row changes one gradient: from nothing to the norm, or among others from one end of the
        # ball to the other.
        reach = clip if count == 1 else 2 * clip
        deviation = self.noise_multiplier * reach
        noisy = [
            (s + random.normal(v.shape, stddev=deviation, seed=self._noise)) / groups
            if deviation else s / groups
            for s, v in zip(sums, variables, strict=True)
        ]  # fmt: skip
        self._track_loss(ops.mean(losses), x)
        self.optimizer.apply(noisy, variables)
        return self.compute_metrics(x, y, self(x, training=False), weights)
