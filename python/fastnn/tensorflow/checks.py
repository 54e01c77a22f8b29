"""`tf.debugging`: checks of values and shapes; while a step is traced, those of values pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.absent import missing
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError

__all__ = ["debugging"]


def _holds(found: Any) -> bool:
    """Whether all are true; True where they have no values yet."""
    every = ops.all(found)
    return not isinstance(every, Tensor) or every.is_traced or bool(every)


def _checked(name: str, test: Callable[[Any, Any], Any], says: str) -> Callable[..., Any]:
    def check(
        x: TensorLike,
        y: TensorLike,
        message: Any = None,
        summarize: Any = None,
        name: str | None = None,
    ) -> None:
        if not _holds(test(x, y)):
            raise ValueError(f"{message or says}\n  hint: look at x and y")

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"ValueError unless elements are so: the error says that {says}."
    return check


def _against_zero(name: str, test: Callable[[Any, Any], Any], says: str) -> Callable[..., Any]:
    def check(
        x: TensorLike, message: Any = None, summarize: Any = None, name: str | None = None
    ) -> None:
        if not _holds(test(x, 0)):
            raise ValueError(f"{message or says}\n  hint: look at x")

    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"ValueError unless elements are so: the error says that {says}."
    return check


class _Debugging(ModuleType):
    """Checks under the names of `tf.debugging`."""

    assert_equal: Callable[..., Any] = staticmethod(
        _checked("assert_equal", ops.equal, "tensors differ")
    )
    assert_none_equal: Callable[..., Any] = staticmethod(
        _checked("assert_none_equal", ops.not_equal, "some are equal")
    )
    assert_greater: Callable[..., Any] = staticmethod(
        _checked("assert_greater", ops.greater, "not all are greater")
    )
    assert_greater_equal: Callable[..., Any] = staticmethod(
        _checked("assert_greater_equal", ops.greater_equal, "some are less")
    )
    assert_less: Callable[..., Any] = staticmethod(
        _checked("assert_less", ops.less, "not all are less")
    )
    assert_less_equal: Callable[..., Any] = staticmethod(
        _checked("assert_less_equal", ops.less_equal, "some are greater")
    )
    assert_positive: Callable[..., Any] = staticmethod(
        _against_zero("assert_positive", ops.greater, "not all above 0")
    )
    assert_negative: Callable[..., Any] = staticmethod(
        _against_zero("assert_negative", ops.less, "not all below 0")
    )
    assert_non_negative: Callable[..., Any] = staticmethod(
        _against_zero("assert_non_negative", ops.greater_equal, "some are below 0")
    )
    assert_non_positive: Callable[..., Any] = staticmethod(
        _against_zero("assert_non_positive", ops.less_equal, "some are above 0")
    )

    @staticmethod
    def assert_all_finite(x: TensorLike, message: str = "", name: str | None = None) -> Any:
        """`x`, unless NaN or an infinity is in it."""
        x = ops.convert_to_tensor(x)
        if not _holds(ops.isfinite(x)):
            raise ValueError(f"{message or 'a tensor'} holds NaN or infinities\n  hint: look at x")
        return x

    check_numerics = assert_all_finite

    @staticmethod
    def assert_near(
        x: TensorLike, y: TensorLike, rtol: Any = 1e-6, atol: Any = 1e-6, message: Any = None,
        summarize: Any = None, name: str | None = None,
    ) -> None:  # fmt: skip
        """ValueError unless elements are close to each other."""
        a, b = ops.convert_to_tensor(x), ops.convert_to_tensor(y)
        if not _holds(ops.abs(a - b) <= atol + rtol * ops.abs(b)):
            raise ValueError(f"{message or 'tensors differ'}\n  hint: look at x and y")

    @staticmethod
    def assert_rank(x: TensorLike, rank: int, message: Any = None, name: str | None = None) -> None:
        """ShapeError unless a tensor has so many axes."""
        if ops.ndim(x) != rank:
            raise ShapeError(
                f"{message or 'a tensor'} has {ops.ndim(x)} axes, wanted {rank}\n  hint: reshape it"
            )

    @staticmethod
    def assert_rank_at_least(
        x: TensorLike, rank: int, message: Any = None, name: str | None = None
    ) -> None:
        """ShapeError unless a tensor has so many axes or more."""
        if ops.ndim(x) < rank:
            raise ShapeError(
                f"{message or 'a tensor'} has {ops.ndim(x)} axes, wanted {rank} or more\n"
                "  hint: reshape it"
            )

    @staticmethod
    def assert_rank_in(
        x: TensorLike, ranks: Sequence[int], message: Any = None, name: str | None = None
    ) -> None:
        """ShapeError unless the number of a tensor's axes is one of these."""
        if ops.ndim(x) not in ranks:
            raise ShapeError(
                f"{message or 'a tensor'} has {ops.ndim(x)} axes, wanted one of {tuple(ranks)}\n"
                "  hint: reshape it"
            )

    @staticmethod
    def assert_scalar(tensor: TensorLike, message: Any = None, name: str | None = None) -> Any:
        """The value, unless it has axes."""
        if ops.ndim(tensor):
            raise ShapeError(
                f"{message or 'a tensor'} has shape {tuple(ops.shape(tensor))}, wanted a number\n"
                "  hint: take one element of it"
            )
        return tensor

    @staticmethod
    def assert_type(
        tensor: TensorLike, tf_type: Any, message: Any = None, name: str | None = None
    ) -> None:
        """TypeError unless a tensor is of that type."""
        found = str(ops.convert_to_tensor(tensor).dtype)
        if found != str(tf_type):
            raise TypeError(
                f"{message or 'a tensor'} is of type {found}, wanted {tf_type}\n"
                "  hint: tf.cast(tensor, ...)"
            )

    @staticmethod
    def assert_integer(x: TensorLike, message: Any = None, name: str | None = None) -> None:
        """TypeError unless a tensor is of whole numbers."""
        found = str(ops.convert_to_tensor(x).dtype)
        if "int" not in found:
            raise TypeError(
                f"{message or 'a tensor'} is of type {found}, wanted whole numbers\n"
                "  hint: tf.cast(x, tf.int32)"
            )

    @staticmethod
    def Assert(
        condition: TensorLike, data: Any, summarize: Any = None, name: str | None = None
    ) -> None:
        """ValueError with `data` unless the condition holds."""
        if not _holds(condition):
            said = ", ".join(str(v) for v in data) if isinstance(data, list | tuple) else str(data)
            raise ValueError(f"assertion failed: {said}\n  hint: look at the condition")

    @staticmethod
    def assert_shapes(shapes: Any, data: Any = None, message: Any = None, **_: Any) -> None:
        """ShapeError unless tensors have these shapes; names stand for sizes that are equal."""
        found: dict[str, Any] = {}
        for x, wanted in dict(shapes).items() if isinstance(shapes, dict) else shapes:
            have = tuple(ops.shape(x))
            fits = len(have) == len(wanted) and all(
                w is None or w == -1 or (found.setdefault(w, h) if isinstance(w, str) else w) == h
                for h, w in zip(have, wanted, strict=False)
            )
            if not fits:
                raise ShapeError(
                    f"{message or 'a tensor'} has shape {have}, wanted {tuple(wanted)}\n"
                    "  hint: reshape it"
                )

    @staticmethod
    def is_numeric_tensor(tensor: TensorLike) -> bool:
        """Whether a tensor is of numbers."""
        return isinstance(tensor, Tensor | np.ndarray) and str(tensor.dtype) != "bool"

    @staticmethod
    def set_log_device_placement(enabled: bool) -> None:
        """Nothing: `fastnn.get_device` says where models compute."""

    def __getattr__(self, name: str) -> Any:
        raise missing(self.__name__, name, [n for n in vars(_Debugging) if n[0] != "_"])


debugging = _Debugging("fastnn.debugging")
