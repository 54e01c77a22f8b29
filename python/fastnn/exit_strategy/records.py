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
        """The one function that is compiled: what is given goes to its field.

        Its own names begin with an underscore, so that a field may have any other.
        """
        known = {"_put": object.__setattr__, "_Factory": _FACTORY}
        plain, named, held = [], [], []
        for row in rows:
            name, source = row.name, row.name
            if row.default_factory is not dataclasses.MISSING:
                known[f"_make_{name}"] = row.default_factory
                source = f"_make_{name}()"
                if row.init:
                    source += f" if {name} is _Factory else {name}"
            elif row.default is not dataclasses.MISSING:
                known[f"_default_{name}"] = row.default
                source = name if row.init else f"_default_{name}"
            elif not row.init:
                continue
            if row.init:
                given = (
                    f"{name}=_Factory"
                    if row.default_factory is not dataclasses.MISSING
                    else (name if row.default is dataclasses.MISSING else f"{name}=_default_{name}")
                )
                (named if row.kw_only else plain).append(given)
            held.append((name, source))
        quick = frozen and len(held) > 2 and _is_plain(cls, rows)
        body = [f"_put(self, {name!r}, {source})" for name, source in held]
        if quick:
            known |= {"_Own": cls, "_Bare": None, "_turn": _TURN}
            known["_first"] = _first_of(known, cls, held)
            body = [
                "if _Bare is None or self.__class__ is not _Own:",
                f"  _first(self, {', '.join(source for _, source in held)})",
                "else:",
                "  _turn(self, _Bare)",
                *(f"  self.{name} = {source}" for name, source in held),
                "  self.__class__ = _Own",
            ]
        elif not frozen:
            body = [f"self.{name} = {source}" for name, source in held]
        if hasattr(cls, "__post_init__"):
            body.append("self.__post_init__()")
        head = ", ".join(["self", *plain, *(["*", *named] if named else [])])
        text = f"def __init__({head}):\n  " + "\n  ".join(body or ["pass"])
        exec(text, known)
        made = known["__init__"]
        made.__qualname__, made.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
        made.__annotations__ = {row.name: row.type for row in rows if row.init} | {"return": None}
        return made

    #: Gives an object another class of the same slots. A frozen record is filled as one of a class
    #: that is not frozen: a quarter of the time that `object.__setattr__` takes for each field.
    _TURN = object.__dict__["__class__"].__set__

    def _is_plain(cls, rows):
        """Whether a class has the slots of its fields and nothing else."""
        return cls.__bases__ == (object,) and vars(cls).get("__slots__") == tuple(
            row.name for row in rows
        )

    def _first_of(known, cls, held):
        """What fills the first record of a class, and those of its subclasses."""
        names = [name for name, _ in held]

        def first(self, *values):
            if known["_Bare"] is None:
                known["_Bare"] = type(cls.__name__, (), {"__slots__": vars(cls)["__slots__"]})
            for name, value in zip(names, values, strict=True):
                object.__setattr__(self, name, value)

        return first

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
