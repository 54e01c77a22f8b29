"""Pictures with boxes and masks on them, side by side: Keras's `visualization` namespace.

The names are loaded when they are asked for. Depends on `data`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastnn.base.absent import answer_missing, homes_of

if TYPE_CHECKING:
    from fastnn.visualization.drawn import draw_bounding_boxes, draw_segmentation_masks
    from fastnn.visualization.galleries import (
        plot_bounding_box_gallery,
        plot_image_gallery,
        plot_segmentation_mask_gallery,
    )

__all__ = [
    "draw_bounding_boxes", "draw_segmentation_masks", "plot_bounding_box_gallery",
    "plot_image_gallery", "plot_segmentation_mask_gallery",
]  # fmt: skip

_MODULES = {
    "drawn": "draw_bounding_boxes draw_segmentation_masks",
    "galleries": "plot_bounding_box_gallery plot_image_gallery plot_segmentation_mask_gallery",
}

answer_missing(globals(), homes=homes_of(__name__, _MODULES))
