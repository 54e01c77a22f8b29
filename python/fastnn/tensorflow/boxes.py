"""`tf.image`'s functions of boxes (top, left, bottom, right). Depends on `ops`."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastnn import ops
from fastnn._core import Tensor
from fastnn.base.typing import TensorLike
from fastnn.errors import DataError, ShapeError

__all__ = ["combined_non_max_suppression", "crop_and_resize", "non_max_suppression"]


class Detections(NamedTuple):
    """What `combined_non_max_suppression` keeps; rows after `valid_detections` are zeros."""

    nmsed_boxes: Tensor
    nmsed_scores: Tensor
    nmsed_classes: Tensor
    valid_detections: Tensor


def _overlap(box: Any, boxes: Any) -> Any:
    """Shares of union of (…, 1, 4) and (…, n, 4), whatever corners the boxes name."""
    low_a, high_a = ops.minimum(box[..., :2], box[..., 2:]), ops.maximum(box[..., :2], box[..., 2:])
    low_b = ops.minimum(boxes[..., :2], boxes[..., 2:])
    high_b = ops.maximum(boxes[..., :2], boxes[..., 2:])
    sides = ops.maximum(ops.minimum(high_a, high_b) - ops.maximum(low_a, low_b), 0.0)
    both = sides[..., 0] * sides[..., 1]
    area_a, area_b = (
        (high - low)[..., 0] * (high - low)[..., 1]
        for low, high in ((low_a, high_a), (low_b, high_b))
    )
    union = area_a + area_b - both
    return ops.where(union > 0.0, both / ops.where(union > 0.0, union, 1.0), 0.0)


_OUT = -1e30


def _picked(
    boxes: Any, scores: TensorLike, count: int, overlap: float, least: float
) -> tuple[Any, Any]:
    """The best boxes one after the other, without those that overlap a better one.

    Of boxes (…, n, 4) and scores (…, n): positions (…, count), and scores, `_OUT` where none is
    left.
    """
    left = ops.where(scores > least, scores, _OUT)
    places, found = [], []
    for _ in range(count):
        at = ops.expand_dims(ops.argmax(left, axis=-1), axis=-1)
        score = ops.take_along_axis(left, at, axis=-1)
        spread = ops.repeat(ops.expand_dims(at, axis=-1), 4, axis=-1)
        box = ops.take_along_axis(boxes, spread, axis=-2)
        same = ops.equal(ops.arange(scores.shape[-1]), at)
        gone = ops.logical_or(_overlap(box, boxes) > overlap, same)
        left = ops.where(gone, _OUT, left)
        places.append(at)
        found.append(score)
    return ops.concatenate(places, axis=-1), ops.concatenate(found, axis=-1)


def non_max_suppression(
    boxes: Any, scores: TensorLike, max_output_size: Any, iou_threshold: float = 0.5,
    score_threshold: float = float("-inf"), name: str | None = None,
) -> Tensor:  # fmt: skip
    """Positions of the best boxes, best first, without those that overlap a better one."""
    b, s = ops.convert_to_tensor(boxes, "float32"), ops.convert_to_tensor(scores, "float32")
    if len(b.shape) != 2 or b.shape[-1] != 4 or b.shape[:1] != s.shape:
        raise ShapeError(
            f"tf.image.non_max_suppression: boxes of shape {tuple(b.shape)} and scores of shape "
            f"{tuple(s.shape)}\n  hint: (n, 4) and (n,)"
        )
    count = min(int(max_output_size), int(b.shape[0]))
    if count == 0:
        return ops.zeros((0,), "int32")
    least = max(float(score_threshold), _OUT)
    places, found = _picked(b, s, count, float(iou_threshold), least)
    return places[: int(ops.sum(ops.cast(found > _OUT, "int32")))]


def combined_non_max_suppression(
    boxes: Any, scores: TensorLike, max_output_size_per_class: Any, max_total_size: Any,
    iou_threshold: float = 0.5, score_threshold: float = float("-inf"), pad_per_class: bool = False,
    clip_boxes: bool = True, name: str | None = None,
) -> Detections:  # fmt: skip
    """The best boxes of each class of each picture, those of all classes together cut to a number.

    Boxes are (batch, n, classes or 1, 4) and scores (batch, n, classes).
    """
    b, s = ops.convert_to_tensor(boxes, "float32"), ops.convert_to_tensor(scores, "float32")
    if len(b.shape) != 4 or len(s.shape) != 3 or b.shape[-1] != 4:
        raise ShapeError(
            f"tf.image.combined_non_max_suppression: boxes of shape {tuple(b.shape)} and scores of "
            f"shape {tuple(s.shape)}\n  hint: (batch, n, classes or 1, 4) and (batch, n, classes)"
        )
    n, classes = s.shape[1:]
    each, total = min(int(max_output_size_per_class), n), int(max_total_size)
    b, s = ops.transpose(b, (0, 2, 1, 3)), ops.transpose(s, (0, 2, 1))
    if b.shape[1] != classes:
        b = ops.repeat(b, classes, axis=1)
    places, found = _picked(b, s, each, float(iou_threshold), max(float(score_threshold), _OUT))
    spread = ops.repeat(ops.expand_dims(places, axis=-1), 4, axis=-1)
    kept = ops.reshape(ops.take_along_axis(b, spread, axis=2), (-1, classes * each, 4))
    found = ops.reshape(found, (-1, classes * each))
    count = min(total, classes * each)
    best, at = ops.top_k(found, count)
    valid = best > _OUT
    kept = ops.take_along_axis(kept, ops.repeat(ops.expand_dims(at, axis=-1), 4, axis=-1), axis=1)
    kept = ops.clip(kept, 0.0, 1.0) if clip_boxes else kept
    kept = ops.where(ops.expand_dims(valid, axis=-1), kept, 0.0)
    best = ops.where(valid, best, 0.0)
    number = ops.where(valid, ops.cast(ops.floor_divide(at, each), "float32"), 0.0)
    size = min(total, int(max_output_size_per_class) * classes) if pad_per_class else total
    if size > count:
        more = (0, size - count)
        kept = ops.pad(kept, [(0, 0), more, (0, 0)])
        best, number = ops.pad(best, [(0, 0), more]), ops.pad(number, [(0, 0), more])
    return Detections(kept, best, number, ops.sum(ops.cast(valid, "int32"), axis=-1))


def crop_and_resize(
    image: TensorLike, boxes: Any, box_indices: Any, crop_size: Any, method: str = "bilinear",
    extrapolation_value: float = 0.0, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Boxes of pictures, in shares of their sides, brought to one size: (boxes, rows, columns, …).

    Each box is of the picture that `box_indices` names.
    """
    x, b = ops.convert_to_tensor(image, "float32"), ops.convert_to_tensor(boxes, "float32")
    of = ops.cast(box_indices, "int32")
    if len(x.shape) != 4 or len(b.shape) != 2 or b.shape[-1] != 4:
        raise ShapeError(
            f"tf.image.crop_and_resize: pictures of shape {tuple(x.shape)} and boxes of shape "
            f"{tuple(b.shape)}\n  hint: (batch, rows, columns, channels) and (boxes, 4)"
        )
    if method not in ("bilinear", "nearest"):
        raise DataError(
            f"tf.image.crop_and_resize: method={method!r}\n  hint: 'bilinear' or 'nearest'"
        )
    rows, columns = (int(n) for n in crop_size)
    height, width, channels = x.shape[1:]
    flat = ops.reshape(x, (-1, channels))

    def places(low: Any, high: Any, count: int, size: int) -> Any:
        """(boxes, count) positions along an axis of `size` pixels."""
        low, high = ops.expand_dims(low, axis=1), ops.expand_dims(high, axis=1)
        if count == 1:
            return 0.5 * (low + high) * (size - 1.0)
        steps = ops.expand_dims(ops.cast(ops.arange(count), "float32"), axis=0)
        return low * (size - 1.0) + steps * (high - low) * ((size - 1.0) / (count - 1.0))

    y, z = places(b[:, 0], b[:, 2], rows, height), places(b[:, 1], b[:, 3], columns, width)
    start = ops.reshape(of * (height * width), (-1, 1, 1))

    def at(row: Any, column: Any) -> Any:
        row = ops.cast(ops.clip(row, 0.0, height - 1.0), "int32")
        column = ops.cast(ops.clip(column, 0.0, width - 1.0), "int32")
        index = start + ops.expand_dims(row * width, axis=2) + ops.expand_dims(column, axis=1)
        return ops.take(flat, index, axis=0)

    if method == "nearest":
        out = at(ops.round(y), ops.round(z))
    else:
        top, left = ops.floor(y), ops.floor(z)
        down = ops.reshape(y - top, (-1, rows, 1, 1))
        right = ops.reshape(z - left, (-1, 1, columns, 1))
        upper = at(top, left) * (1.0 - right) + at(top, left + 1.0) * right
        lower = at(top + 1.0, left) * (1.0 - right) + at(top + 1.0, left + 1.0) * right
        out = upper * (1.0 - down) + lower * down
    inside = ops.logical_and(
        ops.reshape(ops.logical_and(y >= 0.0, y <= height - 1.0), (-1, rows, 1, 1)),
        ops.reshape(ops.logical_and(z >= 0.0, z <= width - 1.0), (-1, 1, columns, 1)),
    )
    return ops.where(inside, out, float(extrapolation_value))
