"""Pictures side by side. matplotlib comes with the extra `[plot]` and is imported when used.

Depends on `drawn`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments
from fastnn.errors import ShapeError
from fastnn.visualization.drawn import batch_of, draw_bounding_boxes, draw_segmentation_masks

__all__ = [
    "plot_bounding_box_gallery", "plot_image_gallery", "plot_segmentation_mask_gallery",
]  # fmt: skip


def _pyplot(name: str) -> Any:
    try:
        from matplotlib import pyplot
    except ImportError:
        raise ImportError(
            f"fastnn.visualization.{name} needs matplotlib, which is not installed\n"
            '  hint: pip install "fastnn-rs[plot]"'
        ) from None
    return pyplot


@hints_arguments
def plot_image_gallery(
    images: Any,
    y_true: Any = None,
    y_pred: Any = None,
    label_map: Mapping[int, str] | None = None,
    rows: int | None = None,
    cols: int | None = None,
    value_range: Sequence[float] = (0, 255),
    scale: float = 2,
    path: Any = None,
    show: bool | None = None,
    transparent: bool = True,
    dpi: int = 60,
    legend_handles: Any = None,
    data_format: str | None = None,
) -> Any:
    """Draws images in rows and columns, shows them or writes them to a file.

    Args:
        images: (batch, height, width, channels).
        y_true: The class of each image.
        y_pred: The predicted class of each image.
        label_map: The names of classes, for the titles.
        rows: Rows of the gallery; None: as many as columns, about.
        cols: Columns of the gallery.
        value_range: The range of values of the images.
        scale: The side of an image, in inches.
        path: The file to write; None: none.
        show: Whether to open a window; None: where there is no `path`.
        transparent: Whether the file has no background.
        dpi: Pixels per inch of the file.
        legend_handles: What matplotlib's legend is made of.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        The matplotlib Figure, which is closed once it was written or shown.

    Raises:
        ImportError: matplotlib (extra `[plot]`) is not installed.
        ShapeError: The images have no batch.
        ValueError: `path` and `show` are both given, or classes without `label_map`.

    Example:
        >>> figure = fastnn.visualization.plot_image_gallery(np.zeros((3, 4, 4, 3)), show=False)
        >>> len([axes for axes in figure.axes if axes.images])
        3
    """
    pyplot = _pyplot("plot_image_gallery")
    if path is not None and show:
        raise ValueError(
            "plot_gallery() expects either `path` to be set, or `show` to be true.\n"
            "  hint: leave show out to write the file"
        )
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError(
            "If `y_true` or `y_pred` are provided, a `label_map` must also be provided.\n"
            "  hint: label_map={0: 'cat', 1: 'dog'}"
        )
    x = batch_of("plot_image_gallery", images, data_format).astype(np.float32)
    if not len(x):
        raise ShapeError("plot_image_gallery: there are no images\n  hint: one or more")
    low, high = (float(v) for v in value_range)
    x = np.clip((x - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)
    if rows is None:
        rows = math.ceil(math.sqrt(len(x))) if cols is None else math.ceil(len(x) / cols)
    cols = cols or math.ceil(len(x) / rows)
    figure, axes = pyplot.subplots(
        rows, cols, figsize=(cols * scale, rows * scale), frameon=False, layout="tight",
        squeeze=False,
    )  # fmt: skip
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    given = (("Label", y_true), ("Pred", y_pred))
    classes = [(word, np.asarray(y).ravel()) for word, y in given if y is not None]
    for i, place in enumerate(axes.ravel()):
        place.axis("off")
        if i >= len(x):
            continue
        place.imshow(x[i, ..., 0] if x.shape[-1] == 1 else x[i], cmap="gray", vmin=0, vmax=255)
        names: Mapping[int, str] = label_map or {}
        title = [f"{w}: {names.get(int(y[i]), 'Unknown')}" for w, y in classes if i < len(y)]
        if title:
            place.set_title("  ".join(title), fontsize=8)
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show or show is None:
        pyplot.show()
    if path is not None or show is not False:
        pyplot.close(figure)
    return figure


@hints_arguments
def plot_bounding_box_gallery(
    images: Any,
    bounding_box_format: str,
    y_true: Any = None,
    y_pred: Any = None,
    value_range: Sequence[float] = (0, 255),
    true_color: Sequence[int] = (0, 188, 212),
    pred_color: Sequence[int] = (255, 235, 59),
    line_thickness: int = 2,
    font_scale: float = 1.0,
    text_thickness: int | None = None,
    class_mapping: Mapping[int, str] | None = None,
    ground_truth_mapping: Mapping[int, str] | None = None,
    prediction_mapping: Mapping[int, str] | None = None,
    legend: bool = False,
    legend_handles: Any = None,
    rows: int | None = None,
    cols: int | None = None,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """Draws images with true and predicted boxes in rows and columns.

    Args:
        images: (batch, height, width, 3).
        bounding_box_format: The format of the boxes, as in `utils.bounding_boxes`.
        y_true: True boxes, as in `draw_bounding_boxes`.
        y_pred: Predicted boxes.
        value_range: The range of values of the images.
        true_color: Of true boxes.
        pred_color: Of predicted boxes.
        line_thickness: Of the lines, in pixels.
        font_scale: The size of the letters: 1 for 12 pixels.
        text_thickness: Of the letters, in pixels.
        class_mapping: The names of labels.
        ground_truth_mapping: Those of true boxes, if others.
        prediction_mapping: Those of predicted boxes, if others.
        legend: Whether a legend says which colour is which.
        legend_handles: Or what a legend is made of.
        rows: Rows of the gallery.
        cols: Columns of the gallery.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        **kwargs: What `plot_image_gallery` takes besides.

    Returns:
        The matplotlib Figure.

    Raises:
        ImportError: matplotlib (extra `[plot]`) is not installed.
        ValueError: `legend` and `legend_handles` are both given.

    Example:
        >>> boxes = {"boxes": np.array([[[1, 1, 4, 4]]]), "labels": np.array([[0]])}
        >>> figure = fastnn.visualization.plot_bounding_box_gallery(
        ...     np.zeros((1, 6, 6, 3)), "xyxy", boxes, show=False
        ... )
        >>> len(figure.axes)
        1
    """
    _pyplot("plot_bounding_box_gallery")
    if legend and legend_handles:
        raise ValueError(
            "Only pass `legend` OR `legend_handles` to plot_bounding_box_gallery().\n"
            "  hint: leave legend out"
        )
    x = batch_of("plot_bounding_box_gallery", images, data_format).astype(np.float32)
    low, high = (float(v) for v in value_range)
    drawn: Any = np.clip((x - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)
    for boxes, color, names in (
        (y_true, true_color, ground_truth_mapping), (y_pred, pred_color, prediction_mapping),
    ):  # fmt: skip
        if boxes is not None:
            drawn = draw_bounding_boxes(
                drawn, boxes, bounding_box_format, names or class_mapping, color, line_thickness,
                text_thickness, font_scale, "channels_last",
            )  # fmt: skip
    if legend:
        from matplotlib.patches import Patch

        legend_handles = [
            Patch(color=(color[0] / 255, color[1] / 255, color[2] / 255), label=label)
            for color, label in ((true_color, "Ground Truth"), (pred_color, "Prediction"))
        ]
    return plot_image_gallery(
        drawn, legend_handles=legend_handles, rows=rows, cols=cols, data_format="channels_last",
        **kwargs,
    )  # fmt: skip


@hints_arguments
def plot_segmentation_mask_gallery(
    images: Any,
    num_classes: int | None,
    value_range: Sequence[float] = (0, 255),
    y_true: Any = None,
    y_pred: Any = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    blend: bool = True,
    alpha: float = 0.8,
    ignore_index: int = -1,
    data_format: str | None = None,
    **kwargs: Any,
) -> Any:
    """Draws a row for each image: itself, with its true mask, and with the predicted one.

    Args:
        images: (batch, height, width, 3).
        num_classes: How many classes there are; None: up to the largest one there.
        value_range: The range of values of the images.
        y_true: True masks, as in `draw_segmentation_masks`.
        y_pred: Predicted masks.
        color_mapping: Red, green and blue for each class.
        blend: Whether the image shines through.
        alpha: How strong the colours are, from 0 to 1.
        ignore_index: The class of pixels that stay as they are.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.
        **kwargs: What `plot_image_gallery` takes besides.

    Returns:
        The matplotlib Figure.

    Raises:
        ImportError: matplotlib (extra `[plot]`) is not installed.
        ShapeError: Images and masks do not fit.

    Example:
        >>> figure = fastnn.visualization.plot_segmentation_mask_gallery(
        ...     np.zeros((2, 4, 4, 3)), 3, y_true=np.ones((2, 4, 4, 1), "int32"), show=False
        ... )
        >>> len(figure.axes)
        4
    """
    name = "plot_segmentation_mask_gallery"
    x = batch_of(name, images, data_format).astype(np.float32)
    low, high = (float(v) for v in value_range)
    columns = [np.clip((x - low) / (high - low) * 255.0, 0, 255).astype(np.uint8)]
    for masks in (y_true, y_pred):
        if masks is not None:
            classes = batch_of(name, masks, data_format, "segmentation_masks").astype(np.int32)
            columns.append(
                draw_segmentation_masks(
                    columns[0],
                    classes,
                    num_classes,
                    color_mapping,
                    alpha,
                    blend,
                    ignore_index,
                    "channels_last",
                )
            )
    gallery = np.stack(columns, axis=1).reshape(-1, *x.shape[1:])
    return plot_image_gallery(
        gallery, rows=len(x), cols=len(columns), data_format="channels_last", **kwargs
    )
