"""Imports of Keras's further paths and of earlier ones: they find fastnn's modules, or say why
there is nothing.

`import fastnn.keras.layers.core` and the like are other names of modules that exist, as are the
paths that modules had in earlier versions, which pickles and programs name; paths of the table in
`absent` raise ModuleNotFoundError with a reason. All else is left to Python. Depends on the
standard library.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from fastnn.namespaces import (
    FURTHER,
    KERAS_MODULES,
    MODULES,
    OLDER,
    TENSORFLOW_MODULES,
    TENSORFLOW_SPACES,
)

__all__ = ["AbsentFinder", "AliasFinder", "answer_earlier", "install"]

#: Modules of earlier versions and where their names are now: pickles and programs name them.
_EARLIER = {
    "absent": "base.absent", "arguments": "base.arguments", "arrays": "data.arrays",
    "caching": "base.caching", "charts": "display.charts", "compiled": "training.compile_utils",
    "datapipe": "data.pipeline", "faults": "training.diagnostics", "feeding": "training.inputs",
    "finder": "base.finder", "fingerprint": "tracing.fingerprint", "fitting": "training.loop",
    "keras_files": "files.keras", "keras_files.archive": "files.keras.archive",
    "keras_files.hdf5": "files.keras.hdf5", "keras_files.hdf5_layout": "files.keras.hdf5_layout",
    "keras_files.legacy": "files.keras.legacy", "keras_files.names": "serialization.keras_names",
    "keras_files.read_config": "serialization.keras_config",
    "keras_files.state": "files.keras.state",
    "keras_files.write_config": "files.keras.write_config", "labels": "data.labels",
    "messages": "base.messages", "models.graph": "display.diagram",
    "models.summary": "display.summary", "notebook": "display.notebook",
    "predicting": "training.predict", "prefetch": "data.prefetch", "progress": "display.progress",
    "recent": "base.recent", "resampling": "ops.resampling", "serial": "serialization",
    "sizes": "tracing.sizes", "symbolic": "tracing.symbolic", "tape": "tracing.tape",
    "tfnames": "tensorflow.namespaces", "tree": "base.nests", "variables": "tracing.variables",
}  # fmt: skip
#: The same below `fastnn.exit_strategy`.
_EARLIER_EXIT = {
    "base_rates": "scoring.base_rates", "captable": "money.captable",
    "captable_read": "money.captable_read", "completion": "scoring.completion",
    "deals": "money.deals", "explain": "scoring.explain", "fields": "reading.fields",
    "fx": "reading.fx", "gate_data": "gates.data", "interest": "money.interest",
    "leaves": "scoring.leaves", "liquidity": "money.liquidity", "model_card": "model.card",
    "model_cli": "cli.model", "model_fit": "model.fit", "model_metrics": "model.metrics",
    "model_table": "model.table", "ocf": "money.ocf", "ocf_items": "money.ocf_items",
    "ocf_papers": "money.ocf_papers", "parse": "reading.parse", "process_data": "process.chart",
    "profile_tables": "profile.tables", "report_data": "report.data", "report_format": "wording",
    "report_html": "report.html", "report_markdown": "report.markdown",
    "report_sentences": "report.sentences", "report_svg": "report.svg",
    "report_tables": "report.tables", "report_terminal": "report.terminal",
    "sampling": "scoring.sampling", "schema": "profile.schema",
    "uncertainty": "scoring.uncertainty", "valuation": "profile.valuation",
    "waterfall": "money.waterfall", "whatif": "scoring.whatif", "windows": "gates.windows",
}  # fmt: skip
_EARLIER |= {f"exit_strategy.{k}": f"exit_strategy.{v}" for k, v in _EARLIER_EXIT.items()}

#: Names that a module had in earlier versions, and the module that has them now.
_NAMES = {
    "training": {"Trainer": "training.trainer"},
    "tracing": {
        "KEPT_PREDICTORS": "training.step", "KEPT_STEPS": "training.step",
        "Tracing": "training.step", "gradients": "tracing.variables",
    },
    "ops.arrays": dict.fromkeys(
        "diag diagflat diagonal kron trace tri tril triu vander".split(), "ops.diagonals"
    ),
    "ops.elements": dict.fromkeys(
        "hard_shrink hard_swish soft_shrink sparse_plus sparse_sigmoid squareplus swish "
        "threshold".split(), "ops.thresholds",
    ) | dict.fromkeys(["power", "square", "trunc"], "ops.whole_numbers"),
    "layers.core": {
        "Embedding": "layers.embedding", "Input": "layers.input_layer",
        "InputLayer": "layers.input_layer", "positive_size": "base.arguments",
    },
    "layers.normalization": dict.fromkeys(
        ["Normalization", "Rescaling"], "layers.preprocessing.scaling"
    ),
    "exit_strategy.captable": {
        "PARTICIPATION": "exit_strategy.money.terms", "COMPOUNDING": "exit_strategy.money.terms",
    },
    "exit_strategy.deals": {"value_option": "exit_strategy.money.paths"},
    "exit_strategy.report_sentences": {"sale_floor": "exit_strategy.process.advice"},
}  # fmt: skip


#: Modules of fastnn alone: `fastnn.keras` has none of them.
_OWN = MODULES.keys() - KERAS_MODULES.keys()


class _Alias(ModuleType):
    """Another name of a module: every attribute is the module's."""

    def __getattr__(self, name: str) -> Any:
        if name in ("__path__", "__file__", "__all__") and name not in vars(self):
            if name == "__path__":
                return []
            target = importlib.import_module(vars(self)["_target"])
            if hasattr(target, name):
                return getattr(target, name)
            raise AttributeError(name)
        inner = self.__name__.removeprefix("fastnn.").removeprefix("keras.")
        if f"{inner}.{name}" in OLDER:
            return importlib.import_module(f"{self.__name__}.{name}")
        target = importlib.import_module(vars(self)["_target"])
        try:
            return getattr(target, name)
        except AttributeError as error:
            from fastnn.base.absent import as_asked

            raise as_asked(str(error), self.__name__) from None


class _Loader:
    def __init__(self, target: str) -> None:
        self.target = target

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty alias."""
        module = _Alias(spec.name)
        vars(module)["_target"] = self.target
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Puts a module of an earlier version itself there; of others attributes are found on use.

        A package stays behind its alias: else Python would load its modules a second time.
        """
        found = importlib.import_module(self.target)
        inner = module.__name__.removeprefix("fastnn.")
        if inner in _EARLIER and not hasattr(found, "__path__"):
            for name in _NAMES.get(inner, {}):
                setattr(found, name, _earlier_name(inner, name))
            sys.modules[module.__name__] = found


class _Space(_Loader):
    """Loads a namespace of TensorFlow's: an object that is made elsewhere."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The namespace."""
        space: ModuleType = getattr(importlib.import_module(TENSORFLOW_SPACES), self.target)
        return space

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it is made already."""


class AliasFinder:
    """Finds fastnn's modules under Keras's further paths.

    It stands before Python's own finders: folders of stubs in `fastnn/keras` look like packages.
    """

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The spec of an alias, or None."""
        if not fullname.startswith("fastnn.keras."):
            return None
        inner = fullname.removeprefix("fastnn.keras.")
        return None if inner.partition(".")[0] in _OWN else _alias(fullname, _target(inner))


class AbsentFinder:
    """Finds older paths below `fastnn`, and says of modules that are absent why."""

    @staticmethod
    def find_spec(fullname: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """The spec of an alias, None, or ModuleNotFoundError with a reason."""
        if not fullname.startswith("fastnn."):
            return None
        inner = fullname.removeprefix("fastnn.")
        if inner in _EARLIER:
            return _alias(fullname, f"fastnn.{_EARLIER[inner]}")
        if inner in OLDER:
            return _alias(fullname, _target(inner))
        if inner in TENSORFLOW_MODULES:
            return ModuleSpec(fullname, _Space(inner))  # type: ignore[arg-type]
        from fastnn.base.absent import reason

        inner = inner.removeprefix("keras.")
        first, _, rest = inner.partition(".")
        why = reason("fastnn", first) or (reason(f"fastnn.{first}", rest) if rest else None)
        if first in _OWN and fullname.startswith("fastnn.keras."):
            why = (f"{first!r} is fastnn's own", f"import fastnn.{inner}")
        if why is not None:
            # Python passes over an error of this very name in `from package import name`, and asks
            # the package, which answers itself unless it has no `__getattr__`.
            parent = sys.modules.get(fullname.rpartition(".")[0])
            name = fullname if hasattr(parent, "__getattr__") else inner
            raise ModuleNotFoundError(
                f"there is no module {fullname!r}: {why[0]}\n  hint: {why[1]}", name=name
            )
        return None


def _earlier_name(module: str, name: str) -> Any:
    return getattr(importlib.import_module(f"fastnn.{_NAMES[module][name]}"), name)


def answer_earlier(package: dict[str, Any]) -> None:
    """Gives a module a `__getattr__` for names that it, or a module in its place, had before."""
    where = package["__name__"]
    inner = where.removeprefix("fastnn.")

    def __getattr__(name: str) -> Any:
        if name in _NAMES[inner]:
            return _earlier_name(inner, name)
        from fastnn.base.absent import missing

        raise missing(where, name, package.get("__all__", ()))

    package["__getattr__"] = __getattr__


def _alias(fullname: str, found: str | None) -> Any:
    if found is None:
        return None
    return ModuleSpec(fullname, _Loader(found), is_package=True)  # type: ignore[arg-type]


def _target(inner: str) -> str | None:
    """The module of fastnn that a path below `fastnn` or `fastnn.keras` stands for."""
    if inner in OLDER:
        return MODULES[OLDER[inner]]
    if inner in MODULES:
        return MODULES[inner]
    if inner in FURTHER and inner not in ("keras", "exit_strategy"):
        return FURTHER[inner]
    first, _, rest = inner.partition(".")
    if rest and first in MODULES:
        parent, _, own = f"{MODULES[first]}.{rest}".rpartition(".")
        where = getattr(sys.modules.get(parent), "__path__", None)
        if where is None and parent == MODULES[first]:
            where = getattr(importlib.import_module(parent), "__path__", None)
        found = PathFinder.find_spec(f"{parent}.{own}", where) if where else None
        return None if found is None else f"{parent}.{own}"
    return None


def install() -> None:
    """Puts the finders before and after Python's own, once."""
    known = [getattr(f, "__module__", "") for f in sys.meta_path]
    if __name__ not in known:
        sys.meta_path.insert(0, AliasFinder)
        sys.meta_path.append(AbsentFinder)
