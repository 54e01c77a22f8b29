"""A model's variables as nested dicts by their paths. Depends on `base`, `errors`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastnn.base.arguments import hints_arguments
from fastnn.base.messages import shown
from fastnn.errors import unknown_name

__all__ = ["StateTree"]

FORMATS = ("backend_tensor", "numpy_array")


class StateTree:
    """`get_state_tree` and `set_state_tree` of models."""

    @hints_arguments
    def get_state_tree(self, value_format: str = "backend_tensor") -> dict[str, Any]:
        """The values of all variables as nested dicts, by kind and then by parts of their paths.

        Args:
            value_format: `"backend_tensor"`, or `"numpy_array"` for arrays of NumPy's.

        Returns:
            A dict with the keys `"trainable_variables"`, `"non_trainable_variables"`,
            `"optimizer_variables"` and `"metrics_variables"`.

        Raises:
            ValueError: Another format, or two variables have one path.

        Example:
            >>> inputs, layer = fastnn.Input((2,)), fastnn.layers.Dense(1, name="d")
            >>> model = fastnn.Sequential([inputs, layer], name="m")
            >>> tree = model.get_state_tree("numpy_array")
            >>> tree["trainable_variables"]["m"]["d"]["bias"]
            array([0.], dtype=float32)
        """
        if value_format not in FORMATS:
            raise unknown_name("value_format of get_state_tree", value_format, FORMATS)
        return {
            kind: _nested(variables, value_format)
            for kind, variables in self._variables_by_kind().items()
        }

    @hints_arguments
    def set_state_tree(self, state_tree: Mapping[str, Any]) -> None:
        """Assigns the values of a tree that `get_state_tree` gave; variables it lacks stay.

        An optimizer that was not used yet gets its variables, and its state fits under whatever
        name the other one had. Metrics that the model has not are passed over, and so is the
        optimizer's state where nothing is compiled.

        Args:
            state_tree: Nested dicts of values, all four kinds or some.

        Raises:
            ValueError: A kind that there is not, a path that no variable has, or a value of
                another shape.

        Example:
            >>> inputs, layer = fastnn.Input((2,)), fastnn.layers.Dense(1, name="d")
            >>> model = fastnn.Sequential([inputs, layer], name="m")
            >>> model.set_state_tree({"trainable_variables": {"m": {"d": {"bias": [3.0]}}}})
            >>> model.layers[0].bias.numpy()
            array([3.], dtype=float32)
        """
        optimizer = getattr(self, "optimizer", None)
        if state_tree.get("optimizer_variables") and optimizer is not None and not optimizer.built:
            optimizer.build(self.trainable_variables)  # type: ignore[attr-defined]
        kinds = self._variables_by_kind()
        found: list[tuple[Any, Any]] = []
        for kind, values in state_tree.items():
            if kind not in kinds:
                raise unknown_name("kind of set_state_tree", kind, kinds)
            if kind == "optimizer_variables":
                if optimizer is None:
                    continue
                if len(values) == 1:  # of another number, such as `adam_1`
                    values = {optimizer.name: next(iter(values.values()))}
            known = {v.path: v for v in kinds[kind]}
            for path, value in _flat(values):
                if path not in known:
                    if kind == "metrics_variables":
                        continue
                    raise unknown_name(f"path in {kind} of set_state_tree", path, known)
                found.append((known[path], value))
        for variable, value in found:
            variable.assign(value)

    def _variables_by_kind(self) -> dict[str, list[Any]]:
        model: Any = self
        optimizer = getattr(model, "optimizer", None)
        return {
            "trainable_variables": list(model.trainable_variables),
            "non_trainable_variables": list(model.non_trainable_variables),
            "optimizer_variables": [] if optimizer is None else list(optimizer.variables),
            "metrics_variables": list(model.metrics_variables),
        }


def _nested(variables: list[Any], value_format: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    seen: set[str] = set()
    for variable in variables:
        if variable.path in seen:
            raise ValueError(
                f"get_state_tree: two variables have the path {shown(variable.path)}\n"
                "  hint: a name of its own for each layer"
            )
        seen.add(variable.path)
        *folders, name = variable.path.split("/")
        at = tree
        for folder in folders:
            at = at.setdefault(folder, {})
        at[name] = variable.numpy() if value_format == "numpy_array" else variable.value
    return tree


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}/")
        else:
            yield f"{above}{name}", value
