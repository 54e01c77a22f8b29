"""`dataclass` as the standard library's, made in a fraction of the time.

The standard decorator compiles up to seven functions for a class, which takes 0.6 ms: 40 ms for the
records that one command of the exit tool loads. Here `__init__` alone is compiled; the others are
the same for all classes. Depends on the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from operator import attrgetter
    from reprlib import recursive_repr

    class _Factory:
        """Stands for what is made anew for every record, in signatures."""

        def __repr__(self):
            return "<factory>"

    _FACTORY = _Factory()

    def dataclass(cls=None, /, *, frozen=False, slots=False):
        """What `dataclasses.dataclass` makes of a class, for the two settings used here.

        Fields, `replace`, `asdict`, pickles, equality, hashes and texts are the standard ones;
        fields that are for `__init__` alone (`InitVar`) are not known.
        """
        if cls is None:
            return lambda found: _made(found, frozen, slots)
        return _made(cls, frozen, slots)

    def _made(cls, frozen, slots):
        own = vars(cls)
        texted, compared = "__repr__" in own, "__eq__" in own
        made = dataclasses.dataclass(cls, init=False, repr=False, eq=False, slots=slots)
        rows = dataclasses.fields(made)
        made.__init__ = _init_of(made, rows, frozen)
        if not texted:
            made.__repr__ = _repr_of([row.name for row in rows if row.repr])
        names = [row.name for row in rows if row.compare]
        if not compared:
            values = _values_of(names)
            made.__eq__ = _eq_of(values)
            if "__hash__" not in own:
                made.__hash__ = _hash_of(values) if frozen else None
        if frozen:
            held = frozenset(row.name for row in rows)
            made.__setattr__, made.__delattr__ = _setattr_of(made, held), _delattr_of(made, held)
            if slots:
                made.__getstate__, made.__setstate__ = _getstate, _setstate
        return made

    def _init_of(cls, rows, frozen):
        """The one function that is compiled: what is given goes to its field."""
        known = {"put": object.__setattr__, "Factory": _FACTORY}
        plain, named, body = [], [], []
        for row in rows:
            name, source = row.name, row.name
            if row.default_factory is not dataclasses.MISSING:
                known[f"make_{name}"] = row.default_factory
                source = f"make_{name}()"
                if row.init:
                    source += f" if {name} is Factory else {name}"
            elif row.default is not dataclasses.MISSING:
                known[f"default_{name}"] = row.default
                source = name if row.init else f"default_{name}"
            elif not row.init:
                continue
            if row.init:
                given = (
                    f"{name}=Factory"
                    if row.default_factory is not dataclasses.MISSING
                    else (name if row.default is dataclasses.MISSING else f"{name}=default_{name}")
                )
                (named if row.kw_only else plain).append(given)
            body.append(f"put(self, {name!r}, {source})" if frozen else f"self.{name} = {source}")
        if hasattr(cls, "__post_init__"):
            body.append("self.__post_init__()")
        head = ", ".join(["self", *plain, *(["*", *named] if named else [])])
        text = f"def __init__({head}):\n  " + "\n  ".join(body or ["pass"])
        exec(text, known)
        made = known["__init__"]
        made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
        made.__annotations__ = {row.name: row.type for row in rows if row.init} | {"return": None}
        return made

    def _values_of(names):
        if not names:
            return lambda record: ()
        get = attrgetter(*names)
        return get if len(names) > 1 else lambda record: (get(record),)

    def _eq_of(values):
        def __eq__(self, other):
            if other.__class__ is self.__class__:
                return values(self) == values(other)
            return NotImplemented

        return __eq__

    def _hash_of(values):
        def __hash__(self):
            return hash(values(self))

        return __hash__

    def _repr_of(names):
        @recursive_repr()
        def __repr__(self):
            shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{self.__class__.__qualname__}({shown})"

        return __repr__

    def _setattr_of(cls, held):
        def __setattr__(self, name, value):
            if type(self) is cls or name in held:
                raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")
            super(cls, self).__setattr__(name, value)

        return __setattr__

    def _delattr_of(cls, held):
        def __delattr__(self, name):
            if type(self) is cls or name in held:
                raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")
            super(cls, self).__delattr__(name)

        return __delattr__

    def _getstate(self):
        return [getattr(self, row.name) for row in dataclasses.fields(self)]

    def _setstate(self, state):
        for row, value in zip(dataclasses.fields(self), state, strict=True):
            object.__setattr__(self, row.name, value)
