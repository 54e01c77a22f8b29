"""`Bidirectional`: a recurrent layer run along and against time. Depends on `layers.base`."""

from __future__ import annotations

from typing import Any, Self

from fastnn import ops
from fastnn.base.arguments import call_parameters
from fastnn.base.typing import Shape, TensorLike
from fastnn.layers.base.layer import Layer
from fastnn.layers.rnn.rnn import RNN
from fastnn.serialization.keras_config import deserialize
from fastnn.serialization.objects import own_config
from fastnn.tracing.call_context import CallContext, current_call

__all__ = ["Bidirectional"]

_MODES = ("sum", "mul", "ave", "concat", None)


class Bidirectional(Layer):
    """Runs a recurrent layer along time and a second one against it, and merges what they give.

    Shapes: (batch, steps, features) -> as the inner layer, twice as wide with "concat".

    Args:
        layer: The recurrent layer; two of its kind are made, with weights of their own.
        merge_mode: `"concat"`, `"sum"`, `"mul"`, `"ave"`, or None for both outputs.
        weights: First values of the weights, those along time first.
        backward_layer: The layer that runs against time, where it is to be another one.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: `layer` is no recurrent layer, the mode is not known, or the two layers do not
            go together.

    Example:
        >>> layer = fastnn.layers.Bidirectional(fastnn.layers.LSTM(4, return_sequences=True))
        >>> layer(np.ones((2, 3, 5))).shape
        (2, 3, 8)
    """

    forward_layer: Any
    backward_layer: Any
    stateful: Any
    return_sequences: Any
    return_state: Any
    input_spec: Any

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: Any = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        if not isinstance(layer, Layer):
            raise ValueError(
                "Please initialize `Bidirectional` layer with a `keras.layers.Layer` instance. "
                f"Received: {layer}\n  hint: Bidirectional(layers.LSTM(32))"
            )
        if backward_layer is not None and not isinstance(backward_layer, Layer):
            raise ValueError(
                "`backward_layer` need to be a `keras.layers.Layer` instance. Received: "
                f"{backward_layer}\n  hint: layers.LSTM(32, go_backwards=True)"
            )
        if merge_mode not in _MODES:
            raise ValueError(
                f"Invalid merge mode. Received: {merge_mode}. Merge mode should be one of "
                '{"sum", "mul", "ave", "concat", None}\n  hint: merge_mode="concat"'
            )
        lacking = [n for n in ("go_backwards", "return_sequences") if not hasattr(layer, n)]
        if lacking:
            raise ValueError(
                f"Bidirectional got {type(layer).__name__} {layer.name!r}, which has no "
                f"`{lacking[0]}`: it is no recurrent layer\n  hint: Bidirectional(layers.LSTM(32))"
            )
        super().__init__(**kwargs)
        given: Any = layer
        self.forward_layer = _again(layer, "forward_")
        if backward_layer is None:
            self.backward_layer = _again(layer, "backward_", go_backwards=True)
        else:
            self.backward_layer = backward_layer
        for inner in (self.forward_layer, self.backward_layer):
            if getattr(layer, "use_cudnn", None) is not None:
                inner.use_cudnn = given.use_cudnn
        self._check_layers()
        for inner in (self.forward_layer, self.backward_layer):
            if getattr(inner, "zero_output_for_mask", None) is not None:
                inner.zero_output_for_mask = inner.return_sequences
        self.merge_mode = merge_mode
        self._first_weights = weights
        self.stateful = given.stateful
        self.return_sequences = given.return_sequences
        self.return_state = given.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_layers(self) -> None:
        ahead, back = self.forward_layer, self.backward_layer
        if ahead.go_backwards == back.go_backwards:
            raise ValueError(
                "Forward layer and backward layer should have different `go_backwards` value. "
                f"Received: forward_layer.go_backwards {ahead.go_backwards}, "
                f"backward_layer.go_backwards={back.go_backwards}\n"
                "  hint: backward_layer=layers.LSTM(units, go_backwards=True)"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            a, b = getattr(ahead, name), getattr(back, name)
            if a != b:
                raise ValueError(
                    "Forward layer and backward layer are expected to have the same value for "
                    f'attribute "{name}", got "{a}" for forward layer and "{b}" for backward layer'
                    f"\n  hint: {name}={a} in both"
                )

    def compute_output_shape(self, sequences_shape: Any, initial_state_shape: Any = None) -> Shape:
        """The inner layer's, merged."""
        output = self.forward_layer.compute_output_shape(sequences_shape)
        states: tuple[Any, ...] = ()
        if self.return_state:
            output, states = output[0], tuple(output[1:])
        if self.merge_mode == "concat":
            output = (*output[:-1], output[-1] * 2)
        elif self.merge_mode is None:
            return (output, output, *states, *states)
        return (output, *states, *states) if self.return_state else tuple(output)

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Builds both layers."""
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
                layer.built = True
        if self._first_weights:
            half = len(self._first_weights) // 2
            self.forward_layer.set_weights(self._first_weights[:half])
            self.backward_layer.set_weights(self._first_weights[half:])
        self.built = True

    def call(
        self,
        sequences: TensorLike,
        initial_state: TensorLike = None,
        mask: TensorLike = None,
        training: bool | None = None,
    ) -> Any:
        """Both outputs merged, and the states of both with `return_state`."""
        first: list[Any] = [None, None]
        if initial_state is not None:
            half = len(initial_state) // 2
            first = [list(initial_state[:half]), list(initial_state[half:])]
        outputs, states = [], []
        # Our own layers leave each output at its step's place, so nothing is turned twice.
        context = current_call() or CallContext()
        own = isinstance(self.backward_layer, RNN)
        if own:
            context.kept["in place", id(self.backward_layer)] = True
        for layer, state in zip((self.forward_layer, self.backward_layer), first, strict=True):
            _, takes_training, takes_mask, _ = call_parameters(type(layer).call)
            given: dict[str, Any] = {"training": training} if takes_training else {}
            if takes_mask:
                given["mask"] = mask
            if state is not None:
                given["initial_state"] = state
            out = layer(sequences, **given)
            if self.return_state:
                states += out[1:]
                out = out[0]
            outputs.append(out)
        context.kept.pop(("in place", id(self.backward_layer)), None)
        ahead, back = outputs
        if self.return_sequences and not (own and self.backward_layer.go_backwards):
            back = ops.flip(back, axis=1)
        if self.merge_mode is None:
            return (ahead, back, *states)
        merged = self._merged(ahead, back)
        return (merged, *states) if self.return_state else merged

    def _merged(self, ahead: Any, back: Any) -> Any:
        if self.merge_mode == "concat":
            return ops.concatenate([ahead, back], axis=-1)
        if self.merge_mode == "mul":
            return ahead * back
        return (ahead + back) / 2 if self.merge_mode == "ave" else ahead + back

    def reset_states(self) -> None:
        """The same as `reset_state`."""
        self.reset_state()

    def reset_state(self) -> None:
        """Sets the states that both layers keep to zero."""
        if not self.stateful:
            raise AttributeError(
                "Layer must be stateful.\n  hint: Bidirectional(layers.LSTM(32, stateful=True))"
            )
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    @property
    def states(self) -> Any:
        """The variables that keep the states of both layers; None before they are built."""
        ahead, back = self.forward_layer.states, self.backward_layer.states
        return (*ahead, *back) if ahead and back else None

    def compute_mask(self, inputs: TensorLike, mask: TensorLike = None) -> TensorLike:
        """The mask of the steps where sequences are returned."""
        mask = mask[0] if isinstance(mask, list) else mask
        mask = mask if self.return_sequences else None
        masks = [mask, mask] if self.merge_mode is None else [mask]
        return masks if len(masks) > 1 or self.return_state else mask

    def get_config(self) -> dict[str, Any]:
        """Both layers and how they are merged."""
        config = super().get_config()
        for key in ("weights", "layer", "backward_layer"):
            config.pop(key, None)
        return {
            **config,
            "layer": own_config(self.forward_layer),
            "backward_layer": own_config(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """A wrapper and its layers."""
        config = dict(config)
        for key in ("layer", "backward_layer"):
            if config.get(key) is not None:
                config[key] = deserialize(config[key], custom_objects)
        return cls(**config)


def _again(layer: Any, prefix: str, **changes: Any) -> Any:
    """A fresh layer of the same config under a name with the prefix."""
    config = {**layer.get_config(), "name": prefix + layer.name.removeprefix(prefix), **changes}
    return type(layer).from_config(config)
