"""Plots: a run's history, classification and regression results, the graph of a model.

Each plot takes and returns a matplotlib Axes; `ax=None` makes a new figure. matplotlib and
scikit-learn come with the extra `[plot]` and are imported when used; `model` needs neither.
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.atomic import write_bytes
from fastnn.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "attributions", "confusion_matrix", "heatmap", "history", "images", "model", "regression",
    "roc",
]  # fmt: skip


def _needed(module: str, package: str, what: str) -> ModuleType:
    """The module of an extra, or an ImportError that says how to get it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise ImportError(
            f"fastnn.plot.{what} needs {package}, which is not installed\n"
            '  hint: pip install "fastnn-rs[plot]"'
        ) from None


def _axes(ax: Any, what: str) -> Any:
    if ax is not None:
        return ax
    return _needed("matplotlib.pyplot", "matplotlib", what).subplots()[1]


def _column(values: Any, name: str) -> np.ndarray[Any, Any]:
    """One number or label per sample; a last axis of size 1 is dropped."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not array.size:
        raise DataError(
            f"{name} has shape {array.shape}, wanted one value per sample\n"
            f"  hint: pass a single column, e.g. {name}[:, 0]"
        )
    return array


def _same_length(**columns: np.ndarray[Any, Any]) -> None:
    if len({len(c) for c in columns.values()}) > 1:
        sizes = ", ".join(f"{k} has {len(v)} samples" for k, v in columns.items())
        raise DataError(f"{sizes}\n  hint: all need the same number of rows")


def _classes(values: Any, name: str) -> np.ndarray[Any, Any]:
    """Class per sample; rows of scores give their largest, a column of probabilities rounds."""
    array = np.asarray(values.to_numpy() if hasattr(values, "to_numpy") else values)
    if array.ndim == 2 and array.shape[1] > 1:
        largest: np.ndarray[Any, Any] = array.argmax(-1)
        return largest
    array = _column(array, name)
    if array.dtype.kind == "f":
        if ((array >= 0) & (array <= 1)).all():
            return (array > 0.5).astype(np.int64)
        if (array == np.rint(array)).all():
            return array.astype(np.int64)
        raise DataError(
            f"{name} holds values from {array.min():.4g} to {array.max():.4g}, "
            "wanted classes or probabilities\n  hint: give class numbers, or scores per class"
        )
    return array


@hints_arguments
def history(history: Any, ax: Axes | None = None) -> Axes:
    """Draws loss and metrics over the epochs; validation values are dashed in their own colour.

    Args:
        history: What `fit` gave, or its dict of lists.
        ax: The matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib (extra `[plot]`) is not installed.

    Example:
        >>> axes = fastnn.plot.history({"loss": [1.0, 0.5], "val_loss": [1.2, 0.8]})
        >>> len(axes.lines)
        2
    """
    logs = getattr(history, "history", history)
    if not isinstance(logs, Mapping):
        raise TypeError(
            f"history is {type(history).__name__}, wanted what fit returned, or its dict\n"
            "  hint: plot.history(model.fit(x, y))"
        )
    curves = {k: v for k, v in logs.items() if len(v) and all(np.ndim(value) == 0 for value in v)}
    if not curves:
        raise DataError("history holds no epochs\n  hint: fit with epochs of at least 1")
    axes = _axes(ax, "history")
    colours: dict[str, Any] = {}
    first = min(getattr(history, "epoch", None) or [0])
    for key in sorted(curves, key=lambda k: (k.startswith("val_"), k)):
        values = [float(v) for v in curves[key]]
        base = key.removeprefix("val_")
        (line,) = axes.plot(
            range(first + 1, first + 1 + len(values)), values, label=key, color=colours.get(base),
            linestyle="--" if key.startswith("val_") else "-",
            marker="o" if len(values) == 1 else None,
        )  # fmt: skip
        colours.setdefault(base, line.get_color())
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    return axes  # type: ignore[no-any-return]


@hints_arguments
def confusion_matrix(y_true: Any, y_pred: Any, ax: Axes | None = None) -> Axes:
    """Draws counts of true against predicted classes.

    Args:
        y_true: Class numbers (n,).
        y_pred: Classes, probabilities of class 1 (cut at 0.5), or scores by class (the largest
            wins).
        ax: The matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib and scikit-learn (extra `[plot]`) are not installed.

    Example:
        >>> axes = fastnn.plot.confusion_matrix([0, 1, 1], [0, 1, 0])
        >>> axes.get_xlabel()
        'Predicted label'
    """
    true, predicted = _classes(y_true, "y_true"), _classes(y_pred, "y_pred")
    _same_length(y_true=true, y_pred=predicted)
    metrics = _needed("sklearn.metrics", "scikit-learn", "confusion_matrix")
    axes = _axes(ax, "confusion_matrix")
    return metrics.ConfusionMatrixDisplay.from_predictions(true, predicted, ax=axes).ax_  # type: ignore[no-any-return]


@hints_arguments
def roc(y_true: Any, scores: Any, ax: Axes | None = None) -> Axes:
    """Draws the true against the false positive rate: one curve, or one a class for scores of
    several.

    Args:
        y_true: Class numbers (n,).
        scores: Scores of class 1 (n,), or of all classes (n, classes).
        ax: The matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib and scikit-learn (extra `[plot]`) are not installed.

    Example:
        >>> axes = fastnn.plot.roc([0, 1, 1, 0], [0.1, 0.8, 0.4, 0.5])
    """
    true = _classes(y_true, "y_true")
    table = np.asarray(scores.to_numpy() if hasattr(scores, "to_numpy") else scores)
    columns = [_column(table, "scores")] if table.ndim < 2 or table.shape[1] < 2 else list(table.T)
    _same_length(y_true=true, scores=columns[0])
    if len(np.unique(true)) < 2:
        raise DataError(
            f"y_true holds only class {true[0]}, a ROC curve needs two\n"
            "  hint: evaluate on data of both classes"
        )
    metrics = _needed("sklearn.metrics", "scikit-learn", "roc")
    axes = _axes(ax, "roc")
    draw = metrics.RocCurveDisplay.from_predictions
    if len(columns) <= 2:
        return draw(true, columns[-1], ax=axes, plot_chance_level=True).ax_  # type: ignore[no-any-return]
    for c, column in enumerate(columns):
        if 0 < (true == c).sum() < len(true):
            draw(true == c, column, ax=axes, name=f"class {c}")
    return axes  # type: ignore[no-any-return]


@hints_arguments
def regression(x: Any, y: Any, y_pred: Any, ax: Axes | None = None) -> Axes:
    """Draws the data as points and the prediction as a line, one value per sample.

    Args:
        x: Inputs (n,) or (n, 1).
        y: True values (n,).
        y_pred: Predicted values (n,).
        ax: The matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib (extra `[plot]`) is not installed.

    Example:
        >>> axes = fastnn.plot.regression([1, 2, 3], [1, 2, 4], [1, 2, 3])
    """
    xs, ys, fitted = _column(x, "x"), _column(y, "y"), _column(y_pred, "y_pred")
    _same_length(x=xs, y=ys, y_pred=fitted)
    axes = _axes(ax, "regression")
    order = np.argsort(xs, kind="stable")
    axes.scatter(xs, ys, label="data", alpha=0.7)
    axes.plot(xs[order], fitted[order], color="C1", label="prediction")
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.legend()
    return axes  # type: ignore[no-any-return]


@hints_arguments
def model(model: Any, format: str = "mermaid") -> str:
    """The graph of layers with shapes and parameter counts, as a text that draws itself.

    Args:
        model: A built model.
        format: `"mermaid"` or `"svg"`.

    Returns:
        The text.

    Raises:
        ValueError: The format is neither.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((3,)), fastnn.layers.Dense(1)])
        >>> fastnn.plot.model(model).splitlines()[0]
        'flowchart TD'
    """
    from fastnn.display import diagram as graph

    if not hasattr(model, "layers"):
        raise TypeError(
            f"model is {type(model).__name__}, wanted a fastnn model"
            "\n  hint: plot_model(model, 'model.svg')"
        )
    writers = {"mermaid": graph.mermaid, "svg": graph.svg}
    if format not in writers:
        raise ValueError(f"format is {format!r}\n  hint: {' or '.join(map(repr, writers))}")
    return writers[format](model)


@hints_arguments
def attributions(
    explanation: Any, row: int = 0, names: Sequence[str] | None = None, ax: Axes | None = None
) -> Axes:
    """Draws what `fastnn.explain` found: bars of features, or a heat map of an image.

    Red raises the output, blue lowers it. Of a row of features the largest twenty are shown.

    Args:
        explanation: The `Explanation` of a model with one input.
        row: Which row; of permutation importance there is only one.
        names: Names of the features.
        ax: The matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        DataError: The rows have more than three axes, or names do not fit.
        ImportError: matplotlib (extra `[plot]`) is not installed.

    Example:
        >>> model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
        >>> axes = fastnn.plot.attributions(fastnn.explain(model, [[1.0, 2.0]]), names=["a", "b"])
        >>> len(axes.patches)
        2
    """
    if not isinstance(explanation.values, np.ndarray):
        raise DataError(
            "the model has several inputs, whose values cannot be drawn in one picture\n"
            "  hint: draw those of one: dataclasses.replace(found, values=found.values[0])"
        )
    overall = explanation.method == "permutation"
    values = explanation.values if overall else explanation.values[row]
    if not 1 <= values.ndim <= 3:
        raise DataError(
            f"a row has {values.ndim} axes, wanted 1 to 3\n  hint: draw a part of its values"
        )
    axes = _axes(ax, "attributions")
    if values.ndim > 1:
        shown = values.sum(axis=-1) if values.ndim == 3 else values
        most = float(np.abs(shown).max()) or 1.0
        axes.imshow(shown, cmap="RdBu_r", vmin=-most, vmax=most)
        axes.axis("off")
        return axes  # type: ignore[no-any-return]
    names = [f"x{i}" for i in range(len(values))] if names is None else list(names)
    if len(names) != len(values):
        raise DataError(
            f"there are {len(names)} names for {len(values)} features\n  hint: one per feature"
        )
    order = np.argsort(np.abs(values), kind="stable")[-20:]
    spread = None if explanation.deviation is None else explanation.deviation[order]
    axes.barh(
        [names[i] for i in order], values[order], xerr=spread,
        color=["tab:red" if v > 0 else "tab:blue" for v in values[order]],
    )  # fmt: skip
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(explanation.method.replace("_", " "))
    return axes  # type: ignore[no-any-return]


def _shown(image: Any) -> np.ndarray[Any, Any]:
    """Pixels from 0 to 1 as matplotlib shows them."""
    pixels = np.asarray(image, np.float32)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise DataError(
            f"an image has shape {pixels.shape}, wanted (height, width) or (height, width, "
            "channels) with 1, 3 or 4 channels\n  hint: one image of a batch: x[0]"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if low >= 0 and high <= 1:
        return pixels
    if low >= 0 and high <= 255:
        return pixels / 255
    return (pixels - low) / ((high - low) or 1.0)


@hints_arguments
def heatmap(
    values: Any, image: Any = None, row: int = 0, alpha: float = 0.5, ax: Axes | None = None
) -> Axes:
    """Draws which parts of an image count, over the image itself.

    Values that are never below 0 (Grad-CAM) go from transparent to red; others from blue (lowers
    the output) over transparent to red.

    Args:
        values: What `fastnn.explain` found for images, or an array (height, width) or (height,
            width, channels).
        image: The image, in any range of values; None draws the values alone.
        row: Which row of an `Explanation`.
        alpha: How much the strongest values cover, from 0 to 1.
        ax: The matplotlib Axes to draw on; None makes a figure.

    Returns:
        The Axes.

    Raises:
        DataError: The values or the image are of another shape.
        ImportError: matplotlib (extra `[plot]`) is not installed.

    Example:
        >>> axes = fastnn.plot.heatmap(np.array([[0.0, 1.0]]), np.zeros((1, 2, 3)))
        >>> len(axes.images)
        2
    """
    found = values.values[row] if hasattr(values, "values") else values
    shown = np.asarray(found, np.float32)
    shown = shown.sum(axis=-1) if shown.ndim == 3 else shown
    if shown.ndim != 2:
        raise DataError(
            f"values have shape {shown.shape}, wanted (height, width)\n"
            "  hint: those of one image: explanation.values[0]"
        )
    axes = _axes(ax, "heatmap")
    size = shown.shape
    if image is not None:
        pixels = _shown(image)
        if pixels.shape[:2] != size:
            raise DataError(
                f"values of shape {size} for an image of shape {pixels.shape[:2]}\n"
                "  hint: the image that was explained, at that size"
            )
        axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray")
    most = float(np.abs(shown).max()) or 1.0
    cover = np.abs(shown) / most * alpha if image is not None else None
    low = 0.0 if float(shown.min()) >= 0 else -most
    axes.imshow(shown, cmap="Reds" if low == 0 else "RdBu_r", vmin=low, vmax=most, alpha=cover)
    axes.axis("off")
    return axes  # type: ignore[no-any-return]


@hints_arguments
def images(
    pictures: Any, titles: Sequence[str] | None = None, columns: int = 4, wrong: Any = None
) -> Any:
    """Draws pictures side by side, with what the model says of them.

    Args:
        pictures: (n, height, width, channels) in any range of values.
        titles: A line above each.
        columns: Pictures of a row.
        wrong: Which of them are marked by a red title: n truth values.

    Returns:
        The matplotlib Figure.

    Raises:
        DataError: The numbers of pictures and titles differ.
        ImportError: matplotlib (extra `[plot]`) is not installed.

    Example:
        >>> figure = fastnn.plot.images(np.zeros((3, 4, 4, 1)), ["a", "b", "c"])
        >>> [axes.get_title() for axes in figure.axes]
        ['a', 'b', 'c']
    """
    pyplot = _needed("matplotlib.pyplot", "matplotlib", "images")
    count = len(pictures)
    for name, given in (("titles", titles), ("wrong", wrong)):
        if given is not None and len(given) != count:
            raise DataError(
                f"there are {len(given)} {name} for {count} pictures\n  hint: one per picture"
            )
    rows = -(-count // columns)
    figure = pyplot.figure(figsize=(2.2 * columns, 2.4 * rows))
    for i in range(count):
        axes = figure.add_subplot(rows, columns, i + 1)
        pixels = _shown(pictures[i])
        axes.imshow(pixels[..., 0] if pixels.shape[-1] == 1 else pixels, cmap="gray")
        axes.axis("off")
        if titles is not None:
            red = wrong is not None and bool(wrong[i])
            axes.set_title(titles[i], color="tab:red" if red else "black", fontsize=9)
    return figure


#: Endings of pictures that `write_picture` makes.
PICTURES = (".png", ".pdf", ".jpg", ".jpeg")


class Drawing(str):
    """The text of a drawn model; a notebook that gets it as a value shows the drawing."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg


def write_picture(svg: str, path: str, dpi: float = 96) -> None:
    """Writes the drawing of `model(m, "svg")` as a .png, .pdf or .jpg file through matplotlib.

    `dpi` are pixels per inch; the drawing's own units are 96 to an inch.
    """
    import re
    from xml.etree import ElementTree

    figures = _needed("matplotlib.figure", "matplotlib", "write_picture")
    paths = _needed("matplotlib.path", "matplotlib", "write_picture")
    patches = _needed("matplotlib.patches", "matplotlib", "write_picture")
    root = ElementTree.fromstring(svg)
    width, height = (max(float(root.get(k, "1")), 1.0) for k in ("width", "height"))
    figure = figures.Figure(figsize=(width / 96, height / 96), facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, width), ylim=(height, 0))
    ax.axis("off")
    kinds = {"M": paths.Path.MOVETO, "L": paths.Path.LINETO, "C": paths.Path.CURVE4}
    for shape in root:
        at = {k: float(shape.get(k, 0)) for k in ("x", "y", "width", "height")}
        kind = shape.tag.rpartition("}")[2]
        if kind == "rect":
            box = patches.FancyBboxPatch(
                (at["x"], at["y"]), at["width"], at["height"], fill=False,
                boxstyle=patches.BoxStyle("Round", pad=0, rounding_size=4),
            )  # fmt: skip
            ax.add_patch(box)
        elif kind == "text":
            ax.text(at["x"], at["y"], shape.text or "", ha="center", va="baseline", fontsize=8.5,
                    family="monospace", weight=shape.get("font-weight", "normal"))  # fmt: skip
        elif kind == "path":
            codes: list[Any] = []
            points: list[tuple[float, float]] = []
            for letter, numbers in re.findall(r"([MLC])([^MLC]*)", shape.get("d", "")):
                values = [float(v) for v in numbers.split()]
                points += zip(values[::2], values[1::2], strict=True)
                codes += [kinds[letter]] * (len(values) // 2)
            ax.add_patch(patches.PathPatch(paths.Path(points, codes), fill=False))
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi, format=os.path.splitext(path)[1][1:].lower())
    write_bytes(path, picture.getvalue())


answer_missing(globals())
