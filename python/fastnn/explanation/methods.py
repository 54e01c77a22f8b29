"""`explain`: integrated gradients, saliency, occlusion, Grad-CAM, permutation importance.

Depends on `models`, `transforms`; scikit-learn (extra `[explain]`) is imported for the last one.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn import ops, transforms
from fastnn.base import tree
from fastnn.base.arguments import as_number, hints_arguments, is_whole
from fastnn.data.image_resize import resize_picture
from fastnn.errors import DataError, ShapeError, reject_arguments, unknown_name
from fastnn.layers.preprocessing.host import text_inputs
from fastnn.models import Model
from fastnn.training.inputs import as_array_data

__all__ = ["METHODS", "Explanation", "explain"]

Array = np.ndarray[Any, Any]

#: Rows of one run.
_ROWS = 256
#: Integrated gradients are refined until they add up to this share of what they explain.
_CLOSE, _MOST_STEPS = 1e-3, 1024


@dataclass(frozen=True)
class Explanation:
    """What `explain` found.

    Args:
        method: The method.
        values: How much each number of each row counts, shaped like the inputs; of permutation
            importance one value a feature.
        outputs: The explained output of each row (of permutation importance None).
        target: Which output was explained, row by row.
        base: The output at the baseline, row by row, where the method has one.
        gap: By how much the values of a row miss `outputs - base` at most (integrated gradients).
        deviation: The deviation over the repeats (permutation importance).

    Example:
        >>> fastnn.explanation.Explanation("saliency", np.zeros((1, 2))).values.shape
        (1, 2)
    """

    method: str
    values: Any
    outputs: Any = None
    target: Any = None
    base: Any = None
    gap: float | None = None
    deviation: Any = None


@hints_arguments
def explain(
    model: Any, x: Any, method: str = "integrated_gradients", *, target: Any = None, **settings: Any
) -> Explanation:
    """How much each input counts for what a model says.

    `"integrated_gradients"`: gradients summed on the way from a baseline to the row; the values of
    a row add up to what its output differs from that of the baseline (Sundararajan et al. 2017).
    `"saliency"`: the gradient of the output by the input. `"occlusion"`: by how much the output
    falls when a feature, or a window of an image, is put to the baseline. `"grad_cam"`: where in an
    image the channels of a convolution speak for the output (Selvaraju et al. 2017); its values are
    (n, height, width), not below 0. `"permutation"`: by how much the score falls when a feature is
    shuffled over the rows (scikit-learn's, extra `[explain]`); it needs `y`, and says what matters
    over all rows.

    Other methods ask nothing but a function: `shap.Explainer(model.predict, x)` works as it is.

    Args:
        model: A built model with outputs (n,) or (n, k).
        x: Rows, as `model.predict` takes them.
        method: One of the five.
        target: Which output: its number, one number a row, or None for the only one, or for the
            one that is largest for the row.
        **settings: `baseline` (integrated gradients, occlusion: a number, or an array like a row;
            0), `steps` (integrated gradients: how many; None refines until they add up), `window`
            (occlusion: sizes per axis of a row; 1), `layer` (Grad-CAM: a layer or its name whose
            output has channels at positions; None: the last such), and for permutation `y`,
            `scoring` (a function (y, outputs) -> number, more is better; None: minus the compiled
            loss), `repeats` (10) and `seed` (0).

    Returns:
        An `Explanation`.

    Raises:
        ValueError: The method or a setting is not known, or out of range.
        DataError: Gradients are asked for inputs that are whole numbers, x is no numbers, or the
            model looks its inputs up first, as `StringLookup` does.
        ShapeError: The outputs are not (n,) or (n, k).
        ImportError: Permutation importance without scikit-learn.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> model.set_weights([np.array([[2.0], [-1.0]]), np.zeros(1)])
        >>> found = fastnn.explain(model, [[1.0, 3.0]])
        >>> found.values.round(4).tolist(), found.outputs.tolist()
        ([[2.0, -3.0]], [-1.0])
    """
    if method not in METHODS:
        raise unknown_name("method", method, METHODS)
    if not isinstance(model, Model):
        raise ValueError(
            f"model is a {type(model).__name__}, wanted a fastnn model\n"
            "  hint: of other functions use shap.Explainer(function, x)"
        )
    function = METHODS[method]
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    names += function.__code__.co_varnames[len(names) : len(names) + _keywords(function)]
    unknown = [k for k in settings if k not in names]
    if unknown:
        raise reject_arguments(f"explain(method={method!r})", unknown, function)
    return function(_Asked(model, x, target), **settings)


def _keywords(function: Any) -> int:
    return int(function.__code__.co_kwonlyargcount)


class _Asked:
    """A model, rows, and which output of each row is to be explained."""

    def __init__(self, model: Any, x: Any, target: Any) -> None:
        if looked_up := [r.name for text in text_inputs(model).values() for r in text.layers]:
            raise DataError(
                f"layers of model {model.name!r} look its inputs up before it runs "
                f"({', '.join(looked_up)}), and what they give is what can be explained\n  hint: "
                "explain(fastnn.Model(layer.output, model.output), layer(x))"
            )
        data = as_array_data(model, x, None, None)
        data = data.dense() if data.by_batch else data
        self.model, self.x, self.leaves, self.n = model, data.x, data.leaves, data.n
        if self.n == 0:
            raise DataError("x has 0 rows\n  hint: give at least one")
        first = np.asarray(self._whole(self.leaves))
        self.flat = first.ndim == 1
        if first.ndim > 2:
            raise ShapeError(
                f"the model gives outputs of shape {first.shape}, wanted (n,) or (n, k)\n"
                "  hint: explain a model that ends in the output of interest, such as "
                "Model(inputs, pooled)"
            )
        self.scores = first[:, None] if self.flat else first
        self.target = self._chosen(target)
        self.outputs = self.scores[np.arange(self.n), self.target]

    def _whole(self, leaves: Sequence[Array]) -> Any:
        out = self.model.predict(tree.pack(self.x, list(leaves)), batch_size=_ROWS, verbose=0)
        if not isinstance(out, np.ndarray):
            raise ShapeError(
                "the model gives several outputs, wanted one\n"
                "  hint: explain Model(inputs, one_output)"
            )
        return out

    def _chosen(self, target: Any) -> Array:
        count = self.scores.shape[1]
        if target is None:
            largest: Array = self.scores.argmax(axis=1)
            return largest
        chosen = np.asarray(as_number(target))
        whole = chosen.dtype.kind in "iu" and chosen.shape in ((), (self.n,))
        if not whole or (chosen < 0).any() or (chosen >= count).any():
            raise ValueError(
                f"target is {target!r}, wanted a number from 0 to {count - 1}, or one for each of "
                f"{self.n} rows\n  hint: target=None explains the largest output of a row"
            )
        return np.broadcast_to(chosen, (self.n,)).astype(np.int64)

    def output(self, leaves: Sequence[Array], rows: Array) -> Array:
        """The explained outputs of other rows; `rows` says whose target counts."""
        out = self._whole(leaves)
        out = out[:, None] if self.flat else out
        return out[np.arange(len(out)), self.target[rows]]  # type: ignore[no-any-return]

    def floats(self, method: str) -> None:
        """Refuses inputs that have no derivative."""
        for name, a in zip(self.names(), self.leaves, strict=True):
            if a.dtype.kind != "f" and not self._takes_floats(name):
                raise DataError(
                    f"{method}: input {name!r} takes whole numbers, by which there is no "
                    "derivative\n  hint: method='occlusion', or explain the model from the "
                    "embedding on"
                )
        self.leaves = [np.asarray(a, np.float32) for a in self.leaves]

    def names(self) -> list[str]:
        """Names of the inputs."""
        found = self.model._input_shapes()
        return list(found[0]) if found else [f"x[{i}]" for i in range(len(self.leaves))]

    def _takes_floats(self, name: str) -> bool:
        inputs = getattr(self.model, "inputs", None) or ()
        kinds = dict(zip(self.names(), (str(i.dtype) for i in inputs), strict=False))
        return kinds.get(name, "float32") == "float32"

    def gradient(self) -> Callable[[Sequence[Array], Array], list[Array]]:
        """A function from inputs and rows to the gradients of the explained outputs."""
        model, structure, count, flat = self.model, self.x, self.scores.shape[1], self.flat

        def total(marks: Any, *leaves: Any) -> Any:
            out = model(tree.pack(structure, list(leaves)), training=False)
            out = ops.expand_dims(out, -1) if flat else out
            return ops.sum(out * marks)

        slope = transforms.grad(total, tuple(range(1, len(self.leaves) + 1)))

        def run(leaves: Sequence[Array], rows: Array) -> list[Array]:
            marks = np.zeros((len(rows), count), np.float32)
            marks[np.arange(len(rows)), self.target[rows]] = 1.0
            found: list[list[Array]] = []
            for start in range(0, len(rows), _ROWS):
                part = slice(start, start + _ROWS)
                found.append(
                    [np.asarray(g) for g in slope(marks[part], *(a[part] for a in leaves))]
                )
            return [np.concatenate(column) for column in zip(*found, strict=True)]

        return run

    def baseline(self, given: Any) -> list[Array]:
        """The baseline of each input, shaped like its rows."""
        parts = tree.flatten(given) if isinstance(given, dict | list | tuple) else None
        single = len(self.leaves) == 1
        if parts is None or (single and len(parts) != 1):
            parts = [given] * len(self.leaves)
        if len(parts) != len(self.leaves):
            raise DataError(
                f"baseline has {len(parts)} parts, the model {len(self.leaves)} inputs\n"
                "  hint: a number, or an array per input"
            )
        found = []
        for value, a in zip(parts, self.leaves, strict=True):
            base = np.asarray(value, np.float32 if a.dtype.kind == "f" else a.dtype)
            base = base[0] if base.ndim == a.ndim and len(base) == 1 else base
            try:
                found.append(np.broadcast_to(base, a.shape[1:]))
            except ValueError:
                raise ShapeError(
                    f"baseline has shape {base.shape}, a row has {a.shape[1:]}\n"
                    "  hint: baseline=x.mean(axis=0), or a number"
                ) from None
        return found


def _saliency(asked: _Asked) -> Explanation:
    asked.floats("saliency")
    values = asked.gradient()(asked.leaves, np.arange(asked.n))
    return Explanation("saliency", tree.pack(asked.x, values), asked.outputs, asked.target)


def _integrated(asked: _Asked, *, baseline: Any = 0.0, steps: int | None = None) -> Explanation:
    if steps is not None and (not is_whole(steps) or not 1 <= as_number(steps) <= 100_000):
        raise ValueError(
            f"steps is {steps!r}, wanted a whole number from 1 to 100000\n  hint: steps=None"
        )
    asked.floats("integrated_gradients")
    base = asked.baseline(baseline)
    rows = np.arange(asked.n)
    start = [np.broadcast_to(b, a.shape) for a, b in zip(asked.leaves, base, strict=True)]
    at_base = asked.output([np.ascontiguousarray(s) for s in start], rows)
    wanted = (asked.outputs - at_base).astype(np.float64)
    count, slope = int(steps or 32), asked.gradient()
    while True:
        sums = [np.zeros(a.shape, np.float64) for a in asked.leaves]
        # Midpoints: a network of straight pieces is met evenly, wherever it bends.
        for step in range(count):
            share = np.float32((step + 0.5) / count)
            between = [s + share * (a - s) for a, s in zip(asked.leaves, start, strict=True)]
            for total, g in zip(sums, slope(between, rows), strict=True):
                total += g
        values = [
            total / count * (a - s) for total, a, s in zip(sums, asked.leaves, start, strict=True)
        ]
        found = sum(v.reshape(asked.n, -1).sum(axis=1) for v in values)
        gaps = np.abs(found - wanted)
        scale = np.maximum(np.abs(wanted), max(float(np.abs(wanted).max()), 1e-6) * 0.1)
        if steps is not None or (gaps <= _CLOSE * scale).all():
            break
        if count >= _MOST_STEPS:
            warnings.warn(
                f"integrated gradients miss the difference of outputs by {gaps.max():.2g} after "
                f"{count} steps; give steps= for more, or a nearer baseline",
                stacklevel=3,
            )
            break
        count *= 2
    packed = tree.pack(asked.x, [v.astype(np.float32) for v in values])
    return Explanation(
        "integrated_gradients", packed, asked.outputs, asked.target, at_base, float(gaps.max())
    )


def _occlusion(asked: _Asked, *, baseline: Any = 0.0, window: Any = 1) -> Explanation:
    base = asked.baseline(baseline)
    rows = np.arange(asked.n)
    values = []
    for at, a in enumerate(asked.leaves):
        sizes = _window(window, a.shape[1:])
        found = np.zeros(a.shape, np.float32)
        counts = [math.ceil(n / w) for n, w in zip(a.shape[1:], sizes, strict=True)]
        for place in itertools.product(*map(range, counts)):
            cut = tuple(
                slice(p * w, (p + 1) * w) for p, w in zip(place, sizes, strict=True)
            )  # fmt: skip
            changed = a.copy()
            changed[(slice(None), *cut)] = base[at][cut]
            leaves = [changed if i == at else b for i, b in enumerate(asked.leaves)]
            fall = asked.outputs - asked.output(leaves, rows)
            found[(slice(None), *cut)] = fall.reshape(-1, *([1] * (a.ndim - 1)))
        values.append(found)
    return Explanation("occlusion", tree.pack(asked.x, values), asked.outputs, asked.target)


def _window(window: Any, shape: tuple[int, ...]) -> list[int]:
    given = as_number(window)
    sizes = [given] * len(shape) if is_whole(given) else list(given)
    if len(sizes) != len(shape) or any(not is_whole(w) or w < 1 for w in sizes):
        raise ValueError(
            f"window is {window!r}, wanted a whole number, or one for each axis of a row {shape}\n"
            "  hint: window=1 occludes one feature at a time"
        )
    return [min(int(w), n) for w, n in zip(sizes, shape, strict=True)]


def _grad_cam(asked: _Asked, *, layer: Any = None) -> Explanation:
    model = asked.model
    if len(asked.leaves) != 1 or asked.leaves[0].ndim != 4:
        shapes = [tuple(a.shape) for a in asked.leaves]
        raise ShapeError(
            f"grad_cam takes one input of images (n, height, width, channels), got {shapes}\n"
            "  hint: method='saliency' for other inputs"
        )
    seen = _with_positions(model, layer)
    image = asked.leaves[0]
    maps = Model(model.inputs, seen.output).predict(image, batch_size=_ROWS, verbose=0)
    rest = _Asked(Model(seen.output, model.outputs[0]), maps, asked.target)
    slope = rest.gradient()(rest.leaves, np.arange(rest.n))[0]
    axis = 1 if getattr(seen, "data_format", None) == "channels_first" else 3
    spatial = tuple(a for a in (1, 2, 3) if a != axis)
    weights = slope.mean(axis=spatial, keepdims=True)
    found = np.maximum((maps * weights).sum(axis=axis), 0.0)
    sides = image.shape[2:] if axis == 1 else image.shape[1:3]
    values = np.stack([resize_picture(one[..., None], sides, "bilinear")[..., 0] for one in found])
    return Explanation("grad_cam", values, asked.outputs, asked.target)


def _with_positions(model: Any, wanted: Any) -> Any:
    """The layer whose output has channels at positions: the one that is wanted, or the last."""
    if not getattr(model, "inputs", None):
        raise DataError(
            f"grad_cam needs the graph of the layers, which model {model.name!r} has not\n"
            "  hint: a Sequential or functional model, called or built"
        )
    if wanted is not None:
        layer = model.get_layer(wanted) if isinstance(wanted, str) else wanted
        if len(layer.output.shape) != 4:
            raise ShapeError(
                f"layer {layer.name!r} gives {tuple(layer.output.shape)}, wanted (n, height, "
                "width, channels)\n  hint: a convolution or what follows it"
            )
        return layer
    for layer in reversed(model.layers):
        shape: Any = getattr(getattr(layer, "output", None), "shape", ())
        pooled = len(shape) == 4 and shape[1] == shape[2] == 1
        if len(shape) == 4 and not pooled and "input" not in type(layer).__name__.lower():
            return layer
    raise DataError(
        f"model {model.name!r} has no layer that gives channels at positions\n"
        "  hint: layer='name' of one inside a nested model is not found; take that model apart"
    )


def _permutation(
    asked: _Asked, *, y: Any = None, scoring: Any = None, repeats: int = 10, seed: int = 0
) -> Explanation:
    try:
        from sklearn.inspection import permutation_importance
    except ImportError:
        raise ImportError(
            "permutation importance needs scikit-learn, which is not installed\n"
            '  hint: pip install "fastnn-rs[explain]"'
        ) from None
    if y is None:
        raise ValueError(
            "permutation importance asks how well the model does, so it needs the targets\n"
            "  hint: explain(model, x, 'permutation', y=y)"
        )
    if len(asked.leaves) != 1 or asked.leaves[0].ndim != 2:
        raise ShapeError(
            f"permutation importance takes rows of features (n, k), x has shape "
            f"{tuple(asked.leaves[0].shape)}\n  hint: method='occlusion' with a window for images"
        )
    model = asked.model
    if scoring is None:
        model._require_compiled("explain(method='permutation') without scoring")

        def score(_: Any, rows: Any, truth: Any) -> float:
            logs = model.evaluate(rows, truth, verbose=0, return_dict=True, batch_size=_ROWS)
            return -float(logs["loss"])

    elif callable(scoring):

        def score(_: Any, rows: Any, truth: Any) -> float:
            return float(scoring(truth, model.predict(rows, verbose=0, batch_size=_ROWS)))

    else:
        raise ValueError(
            f"scoring is {scoring!r}, wanted a function (y, outputs) -> number\n"
            "  hint: lambda y, p: sklearn.metrics.accuracy_score(y, p.argmax(1))"
        )
    found = permutation_importance(
        _Fitted(), asked.leaves[0], np.asarray(y), scoring=score, n_repeats=repeats,
        random_state=seed,
    )  # fmt: skip
    return Explanation(
        "permutation", found.importances_mean, deviation=found.importances_std, target=None
    )


class _Fitted:
    """What scikit-learn asks an estimator to be; the score calls the model itself."""

    def fit(self, *_: Any) -> _Fitted:
        """Nothing: the model is trained."""
        return self


#: What `explain` offers, by name.
METHODS: dict[str, Callable[..., Explanation]] = {
    "integrated_gradients": _integrated,
    "saliency": _saliency,
    "occlusion": _occlusion,
    "grad_cam": _grad_cam,
    "permutation": _permutation,
}
