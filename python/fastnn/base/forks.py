"""A forked child forgets the imports that threads of its parent had under way.

What is loaded when it is first asked for may be on its way in one thread while another forks. The
child has no such thread: the module would stay half made and its lock held, and the first import
of it there would not return. To wait before the fork is no way, as a module may register handlers
of forks, which would then run after a fork without having run before. Depends on the standard
library.
"""

from __future__ import annotations

import importlib
import os
import sys
from _thread import get_ident  # `threading` itself costs 2 ms at import

__all__ = ["forget_imports", "install"]


def forget_imports() -> None:
    """In a child: modules that a thread of the parent was importing count as not imported."""
    # Python offers no public way to see who imports what.
    frozen = importlib._bootstrap
    locks = getattr(frozen, "_module_locks", {})
    own = get_ident()
    for name, ref in list(locks.items()):
        owner = getattr(ref(), "owner", None)
        if owner is None or owner == own:
            continue
        del locks[name]  # the next import makes another
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if getattr(spec, "_initializing", False):
            del sys.modules[name]
    waiting = getattr(frozen, "_blocking_on", {})
    for thread in [t for t in list(waiting) if t != own]:
        del waiting[thread]


_installed = False


def install() -> None:
    """Has every forked child do so, from now on."""
    global _installed
    if not _installed and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget_imports)
        _installed = True
