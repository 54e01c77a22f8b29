"""Reading and writing files as a careful editor does, and below it the formats of models."""

from __future__ import annotations

from fastnn.base.absent import answer_missing
from fastnn.base.atomic import (
    check_regular,
    quoted,
    replace_file,
    uninterrupted,
    write_bytes,
    write_text,
)
from fastnn.files.torch_layout import torch_layout

__all__ = [
    "check_regular", "quoted", "replace_file", "torch_layout", "uninterrupted", "write_bytes",
    "write_text",
]  # fmt: skip

answer_missing(globals())
