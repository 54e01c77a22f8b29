"""Low-rank adaptation (LoRA): a frozen weight plus the product of two small ones that are trained.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". Depends on `layer`.
"""

from __future__ import annotations

from typing import Any

from fastnn import initializers, ops
from fastnn.base.arguments import is_whole
from fastnn.base.typing import Identifier
from fastnn.layers.base.layer import Layer
from fastnn.tracing.variables import Variable

__all__ = ["Adapted", "LowRank"]


class Adapted:
    """A weight as layers show it: the variable, and with adapters the sum that they compute with.

    The variable itself stays under the name in the layer's `__dict__`.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        if layer is None:
            return self
        held = layer.__dict__.get(self.name)
        if held is None and self.name not in layer.__dict__:
            raise AttributeError(
                f"You must build the layer before accessing `{self.name}`: {layer.name!r} is not "
                "built\n  hint: call it on data, or layer.build(input_shape)"
            )
        return layer._with_adapters() if layer.lora_enabled else held

    def __set__(self, layer: Any, value: Any) -> None:
        layer.__dict__[self.name] = value

    def __delete__(self, layer: Any) -> None:
        self.__get__(layer)
        del layer.__dict__[self.name]


class LowRank(Layer):
    """A layer whose weight `_adapted` can be frozen and adapted by two of a low rank."""

    #: The attribute of the weight, which also names the adapters, regulariser and constraint.
    _adapted: str
    lora_rank: int | None
    lora_alpha: float | None
    lora_enabled: bool = False

    def _take_rank(self, rank: int | None, alpha: float | None) -> None:
        """Keeps the arguments of the constructor."""
        if rank is not None:
            self._check_rank(rank)
        self.lora_rank = rank
        self.lora_alpha = rank if alpha is None else alpha

    def _check_rank(self, rank: Any) -> None:
        if not is_whole(rank) or rank < 1:
            raise ValueError(
                f"{type(self).__name__} {self.name!r}: the rank of LoRA is {rank!r}, wanted a "
                "whole number above 0\n  hint: 4 or 8"
            )

    def _adapt_as_given(self) -> None:
        """At the end of `build`: adapters, where the constructor asks for them."""
        if self.lora_rank:
            self.enable_lora(self.lora_rank, self.lora_alpha)

    def enable_lora(
        self,
        rank: int,
        lora_alpha: float | None = None,
        a_initializer: Identifier = "he_uniform",
        b_initializer: Identifier = "zeros",
    ) -> None:
        """Freezes the large weight and trains the product of two small ones beside it (LoRA).

        The layer computes with `weight + lora_alpha / rank * a @ b`. `a` is (…, rank) and `b`
        (rank, out); `b` starts at zero, so the outputs are the same at first. Compile a model
        again afterwards. `.keras` and `.weights.h5` files hold the sum, as Keras's do;
        `.safetensors` files hold all three.

        Args:
            rank: The rank of the product, a whole number above 0.
            lora_alpha: The product is multiplied by `lora_alpha / rank`; `rank` where it is None.
            a_initializer: First values of `a`.
            b_initializer: First values of `b`.

        Raises:
            ValueError: The layer is not built, has adapters already, or constrains its weight.

        Example:
            >>> layer = fastnn.layers.Dense(3)
            >>> layer.build((None, 4))
            >>> layer.enable_lora(2)
            >>> [(w.name, w.shape) for w in layer.trainable_weights]
            [('bias', (3,)), ('lora_kernel_a', (4, 2)), ('lora_kernel_b', (2, 3))]
        """
        name, where = self._adapted, f"{type(self).__name__} {self.name!r}"
        self._check_rank(rank)
        if getattr(self, f"{name}_constraint") is not None:
            raise ValueError(
                f"{where}: Lora is incompatible with {name.removesuffix('s')} constraints: the sum "
                f"of weight and adapters would not keep them\n  hint: leave {name}_constraint out"
            )
        if not self.built:
            raise ValueError(
                f"{where}: Cannot enable lora on a layer that isn't yet built\n"
                "  hint: call it on data, or layer.build(input_shape), first; or give lora_rank="
            )
        if self.lora_enabled:
            raise ValueError(
                f"{where}: lora is already enabled\n  hint: enable_lora is called once a layer"
            )
        base = self.__dict__[name]
        for part, shape, first in (
            ("a", (*base.shape[:-1], rank), a_initializer),
            ("b", (rank, base.shape[-1]), b_initializer),
        ):
            adapter = self.add_weight(
                name=f"lora_{name}_{part}",
                shape=shape,
                initializer=initializers.get(first),
                regularizer=getattr(self, f"{name}_regularizer"),
            )
            adapter.path = f"{base.path.rpartition('/')[0]}/{adapter.name}".lstrip("/")
            setattr(self, adapter.name, adapter)
        base.trainable, base.fixed = False, True
        self.lora_rank = rank
        self.lora_alpha = rank if lora_alpha is None else lora_alpha
        self.lora_enabled = True

    @property
    def _adapters(self) -> tuple[Variable, Variable]:
        """The two small weights."""
        return getattr(self, f"lora_{self._adapted}_a"), getattr(self, f"lora_{self._adapted}_b")

    @property
    def _adapter_scale(self) -> float:
        """What their product is multiplied by."""
        assert self.lora_rank is not None
        return float((self.lora_alpha or 0.0) / self.lora_rank)

    def _with_adapters(self, base: Any = None, a: Any = None, b: Any = None) -> Any:
        """The weight that the layer computes with, of the stored values unless others are given."""
        if base is None:
            base = self.__dict__[self._adapted].value
        if not self.lora_enabled:
            return base
        if a is None or b is None:
            a, b = (v.value for v in self._adapters)
        return base + ops.matmul(a, b) * self._adapter_scale

    def get_config(self) -> dict[str, Any]:
        """The arguments; those of LoRA where it is on."""
        config = super().get_config()
        for key in ("lora_rank", "lora_alpha"):
            config.pop(key, None)
            if self.lora_rank:
                config[key] = getattr(self, key)
        return config
