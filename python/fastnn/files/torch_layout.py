"""Weights of PyTorch's modules as those of layers: transposed products, order of gates, two biases.

Depends on NumPy, `errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments
from fastnn.errors import FormatError

__all__ = ["torch_layout"]

Array = np.ndarray[Any, Any]


@hints_arguments
def torch_layout(
    layer: Any, tensors: Mapping[str, Any], prefix: str = "", assign: bool = True
) -> list[Array]:
    """The weights of a layer from those of the PyTorch module that it stands for.

    Dense is `Linear`, the embedding, recurrent and normalising layers are PyTorch's of the same
    kind (recurrent ones of one level; `Bidirectional` reads `_reverse`), convolutions are
    `ConvNd`. PyTorch's recurrent modules have two biases: an LSTM's are added up.

    Args:
        layer: A built layer.
        tensors: Arrays by name, as `safetensors.numpy.load_file` gives a `state_dict`.
        prefix: What stands before the names of the module: `"lstm."`.
        assign: Whether the layer takes them.

    Returns:
        The arrays in the order of the layer's weights.

    Raises:
        FormatError: A name is missing, the layer has no counterpart, or shapes differ.

    Example:
        >>> dense = fastnn.layers.Dense(2)
        >>> dense.build((None, 3))
        >>> state = {"fc.weight": np.ones((2, 3)), "fc.bias": np.zeros(2)}
        >>> [w.shape for w in fastnn.files.torch_layout(dense, state, "fc.")]
        [(3, 2), (2,)]
    """
    found = _arrays(layer, _Names(tensors, prefix))
    wanted = [tuple(w.shape) for w in layer.weights]
    given = [a.shape for a in found]
    if wanted != given:
        raise FormatError(
            f"layer {layer.name!r} ({type(layer).__name__}) has weights of shapes {wanted}, those "
            f"under {prefix!r} make {given}\n  hint: a built layer of the module's sizes"
        )
    if assign:
        layer.set_weights(found)
    return found


class _Names:
    def __init__(self, tensors: Mapping[str, Any], prefix: str) -> None:
        self.tensors, self.prefix = tensors, prefix

    def __getitem__(self, name: str) -> Array:
        full = self.prefix + name
        if full not in self.tensors:
            close = [n for n in self.tensors if n.startswith(self.prefix)] or list(self.tensors)
            raise FormatError(
                f"there is no {full!r} among the tensors\n  hint: there are {', '.join(close[:6])}"
            )
        return np.asarray(self.tensors[full], np.float32)


def _arrays(layer: Any, get: _Names) -> list[Array]:
    kinds = [c.__name__ for c in type(layer).__mro__]
    if "Bidirectional" in kinds:
        return [
            *_recurrent(layer.forward_layer, get, "_l0"),
            *_recurrent(layer.backward_layer, get, "_l0_reverse"),
        ]
    if "GatedRNN" in kinds:
        return _recurrent(layer, get, "_l0")
    if "Embedding" in kinds:
        return [get["weight"]]
    if "Dense" in kinds:
        return [get["weight"].T, *([get["bias"]] if layer.use_bias else [])]
    if "BatchNormalization" in kinds:
        return [get[n] for n in ("weight", "bias", "running_mean", "running_var")]
    if "LayerNormalization" in kinds or "GroupNormalization" in kinds:
        return [get["weight"], get["bias"]]
    if type(layer).__name__ in ("Conv1D", "Conv2D", "Conv3D"):
        weight = get["weight"]
        kernel = weight.transpose(*range(2, weight.ndim), 1, 0)
        return [kernel, *([get["bias"]] if layer.use_bias else [])]
    raise FormatError(
        f"layer {layer.name!r} ({type(layer).__name__}) has no counterpart in PyTorch's layout\n"
        "  hint: layer.set_weights(arrays)"
    )


def _recurrent(layer: Any, get: _Names, level: str) -> list[Array]:
    order = [1, 0, 2] if layer.cell.gates == 3 else list(range(layer.cell.gates))
    kernel, recurrent = (_gates(get[f"weight_{n}{level}"], order).T for n in ("ih", "hh"))
    if not layer.use_bias:
        return [kernel, recurrent]
    into, back = (_gates(get[f"bias_{n}{level}"], order) for n in ("ih", "hh"))
    if layer.cell.gates == 3:
        return [kernel, recurrent, np.stack([into, back])]
    return [kernel, recurrent, into + back]


def _gates(array: Array, order: list[int]) -> Array:
    """The rows of the gates in Keras's order: PyTorch's GRU has reset before update."""
    parts = np.split(array, len(order))
    return np.concatenate([parts[i] for i in order])
