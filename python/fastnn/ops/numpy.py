"""`keras.ops.numpy`: the functions of `fastnn.ops` under Keras's other path to them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    from fastnn.base.absent import namespace

    return namespace("fastnn.ops.numpy", name)
