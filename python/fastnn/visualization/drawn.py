"""Boxes and masks drawn into pictures. Names of boxes need Pillow (extra `[image]`).

Depends on `data.bounding_boxes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.base.arguments import hints_arguments, whole_number
from fastnn.config import standardize_data_format
from fastnn.data.bounding_boxes import convert_format
from fastnn.errors import DataError, ShapeError

__all__ = ["draw_bounding_boxes", "draw_segmentation_masks"]

Array = np.ndarray[Any, Any]


def batch_of(name: str, images: Any, data_format: str | None, what: str = "images") -> Array:
    """Images as an array (batch, height, width, channels)."""
    x = np.asarray(images)
    if x.ndim != 4:
        raise ShapeError(
            f"{name}: `{what}` must be batched 4D tensor. Received: {what}.shape={x.shape}\n"
            f"  hint: {what}[None] for one"
        )
    first = standardize_data_format(data_format) == "channels_first"
    return x.transpose(0, 2, 3, 1) if first else x


def _bytes(images: Array) -> Array:
    """Pixels from 0 to 255; numbers up to 1 are shares."""
    if images.dtype.kind == "f" and images.size and images.max() <= 1.0:
        images = images * 255.0
    return np.clip(images, 0, 255).astype(np.uint8)


@hints_arguments
def draw_bounding_boxes(
    images: Any,
    bounding_boxes: Mapping[str, Any],
    bounding_box_format: str,
    class_mapping: Mapping[int, str] | None = None,
    color: Sequence[int] = (128, 128, 128),
    line_thickness: int = 2,
    text_thickness: int | None = 1,
    font_scale: float = 1.0,
    data_format: str | None = None,
) -> Array:
    """Copies of images with boxes drawn on them.

    Args:
        images: (batch, height, width, 3) of bytes, numbers up to 255, or shares up to 1.
        bounding_boxes: A dict of `"boxes"` (batch, boxes, 4), `"labels"` (batch, boxes), where
            -1 is no box, and perhaps `"confidences"` of the same shape.
        bounding_box_format: The format of the boxes, as in `utils.bounding_boxes`.
        class_mapping: The names of labels, which are written above the boxes.
        color: Red, green and blue, up to 255.
        line_thickness: Of the lines, in pixels.
        text_thickness: Of the letters, in pixels.
        font_scale: The size of the letters: 1 for 12 pixels.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        Bytes (batch, height, width, 3).

    Raises:
        DataError: Boxes or labels are missing.
        ImportError: There are names to write, and Pillow (extra `[image]`) is not installed.
        ShapeError: The images or boxes have other axes.

    Example:
        >>> boxes = {"boxes": np.array([[[1, 1, 4, 4]]]), "labels": np.array([[0]])}
        >>> drawn = fastnn.visualization.draw_bounding_boxes(
        ...     np.zeros((1, 6, 6, 3)), boxes, "xyxy", color=(9, 9, 9), line_thickness=1
        ... )
        >>> drawn[0, 1, :, 0]
        array([0, 9, 9, 9, 9, 0], dtype=uint8)
    """
    drawn = _bytes(batch_of("draw_bounding_boxes", images, data_format)).copy()
    if not isinstance(bounding_boxes, Mapping) or not {"boxes", "labels"} <= bounding_boxes.keys():
        raise DataError(
            "`bounding_boxes` should be a dict containing 'boxes' and 'labels' keys. Received: "
            f"{bounding_boxes!r}"[:300]
            + "\n  hint: {'boxes': boxes, 'labels': labels}"
        )
    thick = whole_number("line_thickness", line_thickness, 1)
    high, wide = drawn.shape[1:3]
    boxes = np.asarray(
        convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", high, wide)
    )
    labels = np.asarray(bounding_boxes["labels"])
    if boxes.ndim != 3 or boxes.shape[:2] != labels.shape[:2] or len(boxes) != len(drawn):
        raise ShapeError(
            f"draw_bounding_boxes: {len(drawn)} images, boxes {boxes.shape}, labels {labels.shape}"
            "\n  hint: (batch, boxes, 4) and (batch, boxes)"
        )
    labels = labels.reshape(labels.shape[:2])
    sure = bounding_boxes.get("confidences")
    sure = None if sure is None else np.asarray(sure).reshape(labels.shape)
    for i, image in enumerate(drawn):
        for j in np.flatnonzero(labels[i] != -1):
            ends = [int(v) for v in boxes[i, j]]
            _outline(image, ends, color, thick)
            name = (class_mapping or {}).get(int(labels[i, j]))
            if name is not None:
                text = str(name) if sure is None else f"{name} | {sure[i, j]:.2f}"
                _written(image, ends, text, color, font_scale, text_thickness or thick)
    return drawn


def _outline(image: Array, ends: Sequence[int], color: Any, thick: int) -> None:
    """Four lines with their middle on the border of a box."""
    x1, y1, x2, y2 = ends
    before, after = (thick - 1) // 2, thick - (thick - 1) // 2

    def filled(left: int, top: int, right: int, bottom: int) -> None:
        rows = slice(max(top - before, 0), max(bottom + after, 0))
        image[rows, max(left - before, 0) : max(right + after, 0)] = color

    filled(x1, y1, x2, y1)
    filled(x1, y2, x2, y2)
    filled(x1, y1, x1, y2)
    filled(x2, y1, x2, y2)


def _written(
    image: Array, ends: Sequence[int], text: str, color: Any, scale: float, thick: int
) -> None:
    """A line of text above a box, or within it at the top of the picture."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError:
        raise ImportError(
            "draw_bounding_boxes needs Pillow to write names, which is not installed\n"
            '  hint: pip install "fastnn-rs[image]", or leave class_mapping out'
        ) from None
    size = max(1, round(12 * scale))
    x, y = ends[0], ends[1] - size - 4
    if y < 0:
        x, y = ends[0] + 3, ends[1] + 3
    picture = Image.fromarray(image)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    pen.text((x, y), text, fill=tuple(color), font=font, stroke_width=max(0, thick - 1) // 2)
    image[...] = np.asarray(picture)


def _palette(count: int) -> list[list[int]]:
    """Colours far from each other; class 0 is black."""
    steps = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    return [(i * steps % 255).tolist() for i in range(count)]


@hints_arguments
def draw_segmentation_masks(
    images: Any,
    segmentation_masks: Any,
    num_classes: int | None = None,
    color_mapping: Mapping[int, Sequence[int]] | None = None,
    alpha: float = 0.8,
    blend: bool = True,
    ignore_index: int = -1,
    data_format: str | None = None,
) -> Array:
    """Copies of images in which the pixels of each class have its colour.

    Args:
        images: (batch, height, width, 3) of numbers from 0 to 255.
        segmentation_masks: The class of each pixel: whole numbers (batch, height, width, 1).
        num_classes: How many classes there are; None: up to the largest one there.
        color_mapping: Red, green and blue for each class; None: colours far from each other.
        alpha: How strong the colours are, from 0 to 1.
        blend: Whether the image shines through.
        ignore_index: The class of pixels that stay as they are.
        data_format: `"channels_last"` or `"channels_first"`; None: `config.image_data_format()`.

    Returns:
        Bytes (batch, height, width, 3).

    Raises:
        DataError: A class has no colour.
        ShapeError: Images and masks do not fit.
        TypeError: The masks are no whole numbers.

    Example:
        >>> image, mask = np.full((1, 1, 3, 3), 100.0), np.array([[[[0], [1], [-1]]]])
        >>> colours = {0: (0, 0, 0), 1: (200, 0, 0)}
        >>> fastnn.visualization.draw_segmentation_masks(
        ...     image, mask, color_mapping=colours, alpha=0.5
        ... )[0, 0].tolist()
        [[50, 50, 50], [150, 50, 50], [100, 100, 100]]
    """
    x = batch_of("draw_segmentation_masks", images, data_format).astype(np.float32)
    masks = batch_of("draw_segmentation_masks", segmentation_masks, data_format,
                     "segmentation_masks")  # fmt: skip
    if masks.dtype.kind not in "iu":
        raise TypeError(
            "`segmentation_masks` must be in integer dtype. Received: "
            f"segmentation_masks.dtype={masks.dtype}\n  hint: scores.argmax(-1)[..., None]"
        )
    if masks.shape != (*x.shape[:3], 1):
        raise ShapeError(
            f"draw_segmentation_masks: images {x.shape}, masks {masks.shape}\n"
            f"  hint: masks of shape {(*x.shape[:3], 1)}"
        )
    classes = masks[..., 0].astype(np.int64)
    count = int(classes.max(initial=0)) + 1 if num_classes is None else num_classes
    wanted = sorted({int(c) for c in np.unique(classes) if 0 <= c < count and c != ignore_index})
    palette: Any = _palette(count) if color_mapping is None else color_mapping
    if color_mapping is not None and (bare := [c for c in wanted if c not in color_mapping]):
        raise DataError(
            f"draw_segmentation_masks: color_mapping has no colour for the classes {bare}\n"
            "  hint: {0: (0, 0, 0), 1: (255, 0, 0)}"
        )
    out = x.copy()
    strength = alpha if blend else 1.0
    for c in wanted:
        there = classes == c
        out[there] = x[there] * (1.0 - strength) + np.asarray(palette[c], np.float32) * strength
    return np.clip(out, 0, 255).astype(np.uint8)
