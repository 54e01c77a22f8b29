"""Values that were read before there was a variable for them: whoever makes variables tells it
here, and those who wait set them. Depends on nothing of fastnn.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["made_variables", "waiting"]

#: Called when a layer or an optimizer has made variables; True from one that has what it needs.
waiting: list[Callable[[], bool]] = []


def made_variables() -> None:
    """Told that there are new variables."""
    for put in tuple(waiting):
        if put() and put in waiting:
            waiting.remove(put)
