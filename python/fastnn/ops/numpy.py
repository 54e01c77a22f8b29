"""`keras.ops.numpy`: the functions of `fastnn.ops` under Keras's other path to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastnn.base.absent import answer_from

if TYPE_CHECKING:  # the package answers with its own names

    def __getattr__(name: str) -> Any: ...


answer_from(globals(), "fastnn.ops")
