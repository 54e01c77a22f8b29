"""`Input`: where a model's data enter. Depends on `base`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import DTypeLike
from fastnn.config import stored_dtype, unique_name
from fastnn.layers.base.layer import Layer
from fastnn.tracing.symbolic import KerasTensor, Node, wrap

__all__ = ["Input", "InputLayer"]


class InputLayer(Layer):
    """The start of a model: a layer without a call that holds an input's shape and type.

    `Input` makes one and gives its tensor; models list it among their layers.

    Args:
        shape: Sizes of a sample, without the batch.
        batch_size: The size of the batch, where it is fixed.
        dtype: The type of the input: `"float32"`, `"int32"` or `"bool"`.
        sparse: Not supported; None or False.
        ragged: Not supported; None or False.
        batch_shape: All sizes with the batch, instead of `shape`.
        input_tensor: A symbolic tensor to stand for the input.
        optional: Whether the input may be None when the model is called.
        name: The name of the layer; made from the class name when left out.
        **kwargs: `name`, `trainable`, `dtype` and what else every `Layer` takes.

    Raises:
        ValueError: There is no shape, or one that is not of whole numbers.

    Example:
        >>> fastnn.layers.InputLayer((4,)).output.shape
        (None, 4)
    """

    batch_shape: tuple[int | None, ...]

    def __init__(
        self,
        shape: Sequence[int | None] | int | None = None,
        batch_size: int | None = None,
        dtype: DTypeLike = None,
        sparse: Any = None,
        ragged: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        input_tensor: KerasTensor | None = None,
        optional: bool = False,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        if "input_shape" in kwargs:
            warnings.warn(
                "Argument `input_shape` is deprecated. Use `shape` instead.", stacklevel=2
            )
            shape = kwargs.pop("input_shape")
        super().__init__(name=name or unique_name("input_layer"), **kwargs)
        for other, value in (("shape", shape), ("batch_size", batch_size)):
            if batch_shape is not None and value is not None:
                raise ValueError(
                    f"You cannot pass both `{other}` and `batch_shape` at the same time.\n"
                    "  hint: batch_shape=(batch, features) alone, or shape=(features,)"
                )
        if input_tensor is not None and not isinstance(input_tensor, KerasTensor):
            raise ValueError(
                f"Argument `input_tensor` must be a KerasTensor. Received: {type(input_tensor)}\n"
                "  hint: give arrays when the model is called"
            )
        if input_tensor is not None:
            given: list[tuple[str, Any, Any]] = [
                ("shape", shape, input_tensor.shape[1:]),
                ("batch_size", batch_size, input_tensor.shape[0]),
                ("batch_shape", batch_shape, input_tensor.shape),
                ("dtype", dtype, input_tensor.dtype),
                ("sparse", sparse, False),
                ("ragged", ragged, False),
            ]
            for other, value, own in given:
                value = tuple(value) if isinstance(value, list) else value
                if value is not None and value != own:
                    raise ValueError(
                        "When providing the `input_tensor` argument, you cannot provide an "
                        f"incompatible `{other}` argument: {value}, the tensor has {own}"
                        "\n  hint: leave it out: the tensor says it"
                    )
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        if sparse or ragged:
            raise ValueError(
                f"Input {self.name!r}: `{'sparse' if sparse else 'ragged'}=True` is not supported\n"
                "  hint: give dense arrays, padded with pad_sequences"
            )
        self.sparse = self.ragged = False
        self.optional = optional
        if batch_shape is None:
            if shape is None:
                raise ValueError(
                    f"Input {self.name!r} needs a shape: pass a `shape` argument.\n"
                    "  hint: Input(shape=(features,))"
                )
            if isinstance(shape, int) and batch_size is not None:
                raise ValueError(
                    f"Input {self.name!r}: {shape}, {batch_size} may be the shape of a sample, or "
                    "a size and a batch\n"
                    f"  hint: Input(({shape}, {batch_size})), or Input(({shape},), "
                    f"batch_size={batch_size})"
                )
            sizes = (shape,) if isinstance(shape, int) else tuple(shape)
            batch_shape = (batch_size, *sizes)
        for size in tuple(batch_shape)[1:]:
            if size is not None and (not hasattr(size, "__index__") or size < 0):
                raise ValueError(
                    f"Input {self.name!r}: size {size!r} in shape {tuple(batch_shape)} "
                    "is not a whole number\n  hint: Input(shape=(features,)), without the batch"
                )
        self.batch_shape = tuple(None if d is None else int(d) for d in batch_shape)
        self._input_dtype = stored_dtype(dtype or "float32")
        self.built = True
        node = Node(self, (), {})
        if input_tensor is not None and input_tensor.node is None:
            output = input_tensor
        else:
            output = KerasTensor(self.batch_shape, dtype=self._input_dtype, name=self.name)
        wrap(output, node, self.name)
        self._call_nodes.append(node)

    @property
    def dtype(self) -> str:
        """The type of the input."""
        return self._input_dtype

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along; the symbolic output is made anew."""
        return super().__getstate__() | {"_init_arguments": ((), {})}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores what `__getstate__` gave and makes the output."""
        super().__setstate__(state)
        node = Node(self, (), {})
        wrap(KerasTensor(self.batch_shape, self._input_dtype, name=self.name), node, self.name)
        self._call_nodes.append(node)

    def call(self) -> Any:
        """Nothing: an input layer is not called, its output is the start of a model."""
        return None

    def get_config(self) -> dict[str, Any]:
        """Shape with batch, type and name."""
        config = {
            "batch_shape": list(self.batch_shape),
            "dtype": self._input_dtype,
            "name": self.name,
        }
        return {**config, "optional": True} if self.optional else config


@hints_arguments
def Input(
    shape: Sequence[int | None] | int | None = None,
    batch_size: int | None = None,
    dtype: DTypeLike = None,
    sparse: Any = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
    tensor: KerasTensor | None = None,
    optional: bool = False,
) -> Any:
    """The symbolic input of a functional model, or the first entry of a `Sequential`.

    Args:
        shape: Sizes of a sample, without the batch. A size that is None takes any size, batch by
            batch; weights must not depend on it.
        batch_size: The size of the batch, where it is fixed.
        dtype: `"float32"` (default), `"int32"` or `"bool"`.
        sparse: Not supported; None or False.
        batch_shape: All sizes with the batch, instead of `shape`.
        name: The name of the layer; made from the class name when left out.
        tensor: A symbolic tensor to stand for the input.
        optional: Whether the input may be None when the model is called.

    Returns:
        A `KerasTensor` to call layers with.

    Raises:
        ValueError: There is no shape, or one that is not of whole numbers.

    Example:
        >>> x = fastnn.Input((4,))
        >>> model = fastnn.Model(x, fastnn.layers.Dense(2)(x))
        >>> x.shape, model.output_shape
        ((None, 4), (None, 2))
    """
    layer = InputLayer(
        shape,
        batch_size,
        dtype,
        sparse=sparse,
        batch_shape=batch_shape,
        input_tensor=tensor,
        optional=optional,
        name=name,
    )
    return layer.output
