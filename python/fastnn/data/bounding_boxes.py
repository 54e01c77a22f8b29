"""Boxes around things in images: Keras's `utils.bounding_boxes`.

A box is four numbers along the last axis. Sources: Zheng et al. 2020 (complete IoU); Girshick et
al. 2014 (deltas of boxes). Depends on `ops`.
"""

from __future__ import annotations

import math
from typing import Any

from fastnn import config, ops
from fastnn._core import Tensor
from fastnn.base.absent import answer_missing
from fastnn.base.arguments import hints_arguments
from fastnn.base.typing import TensorLike
from fastnn.errors import ShapeError

__all__ = [
    "affine_transform", "clip_to_image_size", "compute_ciou", "compute_iou", "convert_format",
    "crop", "decode_deltas_to_boxes", "encode_box_to_deltas", "pad",
]  # fmt: skip

#: Formats without `rel_`: whether y stands before x, and what the four numbers are.
_LAYOUTS = {
    "xyxy": (False, "corners"), "yxyx": (True, "corners"), "xywh": (False, "corner"),
    "center_xywh": (False, "center"), "center_yxhw": (True, "center"),
}  # fmt: skip
FORMATS = (*_LAYOUTS, "rel_xyxy", "rel_yxyx", "rel_xywh", "rel_center_xywh")


def _parts(boxes: Any, count: int = 4) -> list[Any]:
    return [boxes[..., i : i + 1] for i in range(count)]


def _known(name: str, form: Any) -> str:
    found = str(form).lower()
    if found not in FORMATS:
        raise ValueError(
            f"{name}: Invalid source or target format {form!r}. Supported formats: {FORMATS}\n"
            "  hint: 'xyxy' is (left, top, right, bottom)"
        )
    return found


def _boxes(name: str, boxes: Any) -> Any:
    x = ops.convert_to_tensor(boxes, "float32")
    if not x.shape or x.shape[-1] != 4:
        raise ShapeError(
            f"{name}: `boxes` must be a tensor with the last dimension of 4. Received: "
            f"boxes.shape={tuple(x.shape)}\n  hint: four numbers a box"
        )
    return x


@hints_arguments
def convert_format(
    boxes: Any, source: str, target: str, height: Any = None, width: Any = None,
    dtype: str = "float32",
) -> Any:  # fmt: skip
    """Boxes in another format.

    `"xyxy"` is (left, top, right, bottom), `"yxyx"` (top, left, bottom, right), `"xywh"` (left,
    top, width, height), `"center_xywh"` and `"center_yxhw"` the middle and the size. `"rel_xyxy"`,
    `"rel_yxyx"`, `"rel_xywh"` and `"rel_center_xywh"` are shares of the image.

    Args:
        boxes: (…, 4), or a dict with `"boxes"`, of which a copy is returned.
        source: The format they are in.
        target: The format that is wanted.
        height: Of the images, in pixels; needed between shares and pixels.
        width: Of the images, in pixels.
        dtype: `"float32"`.

    Returns:
        A tensor of the shape of `boxes`, or a dict.

    Raises:
        ShapeError: The last axis is not of 4.
        ValueError: A format is not known, or needs the size of the images.

    Example:
        >>> boxes = fastnn.utils.bounding_boxes
        >>> boxes.convert_format(np.array([[10.0, 20.0, 30.0, 60.0]]), "xyxy", "xywh").numpy()
        array([[10., 20., 20., 40.]], dtype=float32)
    """
    if isinstance(boxes, dict):
        inner = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": inner}
    x = _boxes("convert_format", boxes)
    first, second = _known("convert_format", source), _known("convert_format", target)
    shares = [form.startswith("rel_") for form in (first, second)]
    if any(shares) and (height is None or width is None):
        raise ValueError(
            "convert_format() must receive `height` and `width` transforming between relative and "
            f"absolute formats. convert_format() received source=`{source}`, target=`{target}`, "
            f"but height={height} and width={width}\n  hint: height=image.shape[0]"
        )
    if first == second:
        return x
    x1, y1, x2, y2 = _corners(x, first.removeprefix("rel_"))
    if shares[0] != shares[1]:
        wide, high = ops.cast(width, "float32"), ops.cast(height, "float32")
        if shares[0]:
            x1, y1, x2, y2 = x1 * wide, y1 * high, x2 * wide, y2 * high
        else:
            x1, y1, x2, y2 = x1 / wide, y1 / high, x2 / wide, y2 / high
    return _laid_out((x1, y1, x2, y2), second.removeprefix("rel_"))


def _corners(boxes: Any, form: str) -> tuple[Any, Any, Any, Any]:
    """Left, top, right and bottom."""
    turned, kind = _LAYOUTS[form]
    a, b, c, d = _parts(boxes)
    if turned:
        a, b, c, d = b, a, d, c
    if kind == "corner":
        return a, b, a + c, b + d
    if kind == "center":
        return a - c / 2.0, b - d / 2.0, a + c / 2.0, b + d / 2.0
    return a, b, c, d


def _laid_out(corners: tuple[Any, Any, Any, Any], form: str) -> Any:
    turned, kind = _LAYOUTS[form]
    a, b, c, d = corners
    if kind == "corner":
        c, d = c - a, d - b
    elif kind == "center":
        a, b, c, d = a + (c - a) / 2.0, b + (d - b) / 2.0, c - a, d - b
    return ops.concatenate((b, a, d, c) if turned else (a, b, c, d), axis=-1)


@hints_arguments
def clip_to_image_size(
    bounding_boxes: dict[str, Any], height: Any = None, width: Any = None,
    bounding_box_format: str = "xyxy",
) -> dict[str, Any]:  # fmt: skip
    """Boxes cut at the borders of the image; labels of those that nothing is left of become -1.

    Args:
        bounding_boxes: A dict of `"boxes"` (…, 4) and, if there are any, `"labels"` (…).
        height: Of the images, in pixels; needed for `"xyxy"`.
        width: Of the images, in pixels.
        bounding_box_format: `"xyxy"` or `"rel_xyxy"`.

    Returns:
        A dict like the one given.

    Raises:
        ValueError: Another format, or the size of the images is missing.

    Example:
        >>> given = {"boxes": np.array([[-5.0, 0.0, 5.0, 9.0]]), "labels": np.array([1])}
        >>> fastnn.utils.bounding_boxes.clip_to_image_size(given, 8, 8)["boxes"].numpy()
        array([[0., 0., 5., 8.]], dtype=float32)
    """
    _check_corners("clip_to_image_size", bounding_box_format, "rel_xyxy")
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    if height is None or width is None:
        raise ValueError(
            "`height` and `width` must be set if `format='xyxy'`\n  hint: height=image.shape[0]"
        )
    boxes = _boxes("clip_to_image_size", bounding_boxes["boxes"])
    cut = ops.concatenate(_inside(_parts(boxes), height, width), axis=-1)
    out = {**bounding_boxes, "boxes": cut}
    if bounding_boxes.get("labels") is not None:
        area = (cut[..., 2] - cut[..., 0]) * (cut[..., 3] - cut[..., 1])
        out["labels"] = ops.where(area > 0, bounding_boxes["labels"], -1)
    return out


def _check_corners(name: str, form: str, *others: str) -> None:
    if form not in ("xyxy", *others):
        raise ValueError(
            f"{name}: bounding_box_format is {form!r}\n  hint: convert_format to 'xyxy' first"
        )


def _inside(parts: list[Any], height: Any, width: Any) -> list[Any]:
    ends = (width, height, width, height)
    return [ops.clip(part, 0, end) for part, end in zip(parts, ends, strict=True)]


@hints_arguments
def crop(
    boxes: TensorLike, top: Any, left: Any, height: Any, width: Any,
    bounding_box_format: str = "xyxy",
) -> Tensor:  # fmt: skip
    """Boxes in a part that is cut out of the image, cut at its borders.

    Args:
        boxes: (…, 4).
        top: The first row of the part.
        left: Its first column.
        height: Its rows.
        width: Its columns.
        bounding_box_format: `"xyxy"`.

    Returns:
        A tensor of the shape of `boxes`.

    Raises:
        ValueError: Another format.

    Example:
        >>> found = fastnn.utils.bounding_boxes.crop(np.array([[2.0, 3.0, 9.0, 9.0]]), 1, 1, 5, 5)
        >>> found.numpy()
        array([[1., 2., 5., 5.]], dtype=float32)
    """
    _check_corners("crop", bounding_box_format)
    x1, y1, x2, y2 = _parts(_boxes("crop", boxes))
    moved = [x1 - left, y1 - top, x2 - left, y2 - top]
    return ops.concatenate(_inside(moved, height, width), axis=-1)


@hints_arguments
def pad(
    boxes: TensorLike, top: Any, left: Any, height: Any = None, width: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:  # fmt: skip
    """Boxes in an image that got rows above and columns at the left.

    Args:
        boxes: (…, 4).
        top: Rows that were added above.
        left: Columns that were added at the left.
        height: Taken for Keras's sake.
        width: Taken for Keras's sake.
        bounding_box_format: `"xyxy"`.

    Returns:
        A tensor of the shape of `boxes`.

    Raises:
        ValueError: Another format.

    Example:
        >>> fastnn.utils.bounding_boxes.pad(np.array([[0.0, 0.0, 2.0, 2.0]]), 1, 3).numpy()
        array([[3., 1., 5., 3.]], dtype=float32)
    """
    _check_corners("pad", bounding_box_format)
    x1, y1, x2, y2 = _parts(_boxes("pad", boxes))
    return ops.concatenate([x1 + left, y1 + top, x2 + left, y2 + top], axis=-1)


@hints_arguments
def affine_transform(
    boxes: TensorLike, angle: Any, translate_x: Any, translate_y: Any, scale: Any, shear_x: Any,
    shear_y: Any, height: Any, width: Any, center_x: Any = None, center_y: Any = None,
    bounding_box_format: str = "xyxy",
) -> Tensor:  # fmt: skip
    """The boxes around boxes that were turned, moved, scaled and sheared with their image.

    Args:
        boxes: (batch, boxes, 4).
        angle: Degrees against the clock, one for each image, as the further ones.
        translate_x: Moves to the right, as shares of the width.
        translate_y: Moves down, as shares of the height.
        scale: Factors of size.
        shear_x: Degrees along the width.
        shear_y: Degrees along the height.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
        center_x: Where it turns, as a share of the width; None: the middle.
        center_y: Likewise of the height.
        bounding_box_format: `"xyxy"`.

    Returns:
        A tensor of the shape of `boxes`.

    Raises:
        ValueError: Another format.

    Example:
        >>> zero, one = np.zeros(1, "float32"), np.ones(1, "float32")
        >>> fastnn.utils.bounding_boxes.affine_transform(
        ...     np.array([[[1.0, 1.0, 3.0, 2.0]]]), zero, zero, zero, one, zero, zero, 9, 9
        ... ).numpy()
        array([[[1., 1., 3., 2.]]], dtype=float32)
    """
    _check_corners("affine_transform", bounding_box_format)
    x = _boxes("affine_transform", boxes)

    def each(value: Any, factor: float = 1.0) -> Any:
        return ops.reshape(ops.convert_to_tensor(value, "float32"), (-1, 1, 1)) * factor

    degree = math.pi / 180.0
    turn, along, down = each(angle, -degree), each(shear_x, -degree), each(shear_y, -degree)
    px = each(0.5 if center_x is None else center_x) * (width - 1)
    py = each(0.5 if center_y is None else center_y) * (height - 1)
    # The inverse of a turn and two shears, as images are warped by it.
    a = ops.cos(turn - down) / ops.cos(down)
    b = a * ops.tan(along) + ops.sin(turn)
    c = -ops.sin(turn - down) / ops.cos(down)
    d = ops.cos(turn) - c * ops.tan(along)
    size = each(scale)
    x1, y1, x2, y2 = _parts(x)
    dx = ops.concatenate([x1, x2, x2, x1], axis=-1) - px + each(translate_x) * (width - 1)
    dy = ops.concatenate([y1, y1, y2, y2], axis=-1) - py + each(translate_y) * (height - 1)
    across, below = size * (d * dx - b * dy) + px, size * (a * dy - c * dx) + py
    ends = [f(v, axis=-1) for f in (ops.min, ops.max) for v in (across, below)]
    return ops.stack(ends, axis=-1)


def _sized(name: str, form: str, image_shape: Any) -> tuple[Any, Any]:
    if "rel" in form and image_shape is None:
        raise ValueError(
            f"{name}: When using relative bounding box formats (e.g. `rel_yxyx`) the `image_shape` "
            "argument must be provided. Received `image_shape`: None\n"
            "  hint: image_shape=(height, width, channels)"
        )
    return (None, None) if image_shape is None else (image_shape[0], image_shape[1])


@hints_arguments
def compute_iou(
    boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, use_masking: bool = False,
    mask_val: float = -1, image_shape: Any = None,
) -> Tensor:  # fmt: skip
    """How much of two boxes is common: the area of both over that of either, for all pairs.

    Args:
        boxes1: (m, 4) or (batch, m, 4).
        boxes2: (n, 4) or (batch, n, 4).
        bounding_box_format: The format of both.
        use_masking: Whether pairs with a box of negative numbers get `mask_val`.
        mask_val: What they get.
        image_shape: (height, width, channels), needed for shares.

    Returns:
        (m, n) or (batch, m, n).

    Raises:
        ShapeError: The boxes have other axes.
        ValueError: The format is not known, or `image_shape` is missing.

    Example:
        >>> a, b = np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]])
        >>> fastnn.utils.bounding_boxes.compute_iou(a, b, "xyxy").numpy().round(3)
        array([[0.333]], dtype=float32)
    """
    height, width = _sized("compute_iou", bounding_box_format, image_shape)
    pair = []
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        x = _boxes("compute_iou", boxes)
        if len(x.shape) not in (2, 3):
            raise ShapeError(
                f"compute_iou() expects {name} to be batched, or to be unbatched. Received "
                f"len({name}.shape)={len(x.shape)}\n  hint: (boxes, 4) or (batch, boxes, 4)"
            )
        pair.append(convert_format(x, bounding_box_format, "xyxy", height, width))
    first, second = ops.expand_dims(pair[0], -2), ops.expand_dims(pair[1], -3)
    common, either = _areas(first, second)
    found: Tensor = common / (either + config.epsilon())
    if not use_masking:
        return found
    nothing = ops.logical_or(ops.max(first, axis=-1) < 0.0, ops.max(second, axis=-1) < 0.0)
    masked: Tensor = ops.where(nothing, mask_val, found)
    return masked


def _areas(first: Any, second: Any) -> tuple[Any, Any]:
    """The area that boxes have in common, and that of either."""
    low = ops.maximum(first[..., :2], second[..., :2])
    high = ops.minimum(first[..., 2:], second[..., 2:])
    sides = ops.maximum(high - low, 0.0)
    common = sides[..., 0] * sides[..., 1]
    own = [(b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]) for b in (first, second)]
    return common, own[0] + own[1] - common


@hints_arguments
def compute_ciou(
    boxes1: TensorLike, boxes2: TensorLike, bounding_box_format: str, image_shape: Any = None
) -> Tensor:
    """The complete IoU of boxes one by one: less the distance of middles and the unlike form.

    Args:
        boxes1: (…, 4).
        boxes2: (…, 4), of a shape that broadcasts with `boxes1`.
        bounding_box_format: The format of both.
        image_shape: (height, width, channels), needed for shares.

    Returns:
        A tensor (…).

    Raises:
        ShapeError: The last axis is not of 4.
        ValueError: The format is not known, or `image_shape` is missing.

    Example:
        >>> a = np.array([[0.0, 0.0, 2.0, 2.0]])
        >>> fastnn.utils.bounding_boxes.compute_ciou(a, a, "xyxy").numpy().round(3)
        array([1.], dtype=float32)
    """
    height, width = _sized("compute_ciou", bounding_box_format, image_shape)
    first, second = (
        convert_format(_boxes("compute_ciou", b), bounding_box_format, "xyxy", height, width)
        for b in (boxes1, boxes2)
    )
    tiny = config.epsilon()
    common, either = _areas(first, second)
    iou: Any = common / (either + tiny)
    hull = ops.maximum(first[..., 2:], second[..., 2:]) - ops.minimum(
        first[..., :2], second[..., :2]
    )
    apart = (first[..., :2] + first[..., 2:] - second[..., :2] - second[..., 2:]) / 2.0
    distance = ops.sum(ops.square(apart), axis=-1) / (ops.sum(ops.square(hull), axis=-1) + tiny)
    slopes = [
        ops.arctan((b[..., 2] - b[..., 0]) / (b[..., 3] - b[..., 1] + tiny))
        for b in (first, second)
    ]
    form: Any = ops.square(slopes[1] - slopes[0]) * (4.0 / math.pi**2)
    found: Tensor = iou - distance - form * form / (form - iou + 1.0 + tiny)
    return found


_ENCODED = ("center_xywh", "center_yxhw")


def _deltas(name: str, form: str, variance: Any) -> Any:
    if form not in _ENCODED:
        raise ValueError(
            f"{name}: the encoded format should be one of 'center_xywh' or 'center_yxhw', got "
            f"{form!r}\n  hint: 'center_yxhw'"
        )
    if variance is None:
        return None
    found = ops.convert_to_tensor(variance, "float32")
    if tuple(found.shape[-1:]) != (4,):
        raise ShapeError(
            f"{name}: `variance` must be length 4, got shape {tuple(found.shape)}\n"
            "  hint: variance=[0.1, 0.1, 0.2, 0.2]"
        )
    return found


@hints_arguments
def encode_box_to_deltas(
    anchors: TensorLike, boxes: TensorLike, anchor_format: str, box_format: str,
    encoding_format: str = "center_yxhw", variance: Any = None, image_shape: Any = None,
) -> Tensor:  # fmt: skip
    """How boxes differ from anchors: moves over the anchor's size, and logarithms of sizes.

    Args:
        anchors: (…, 4).
        boxes: (…, 4).
        anchor_format: The format of the anchors.
        box_format: The format of the boxes.
        encoding_format: `"center_yxhw"` or `"center_xywh"`: the order of the result.
        variance: What the four numbers are divided by.
        image_shape: (height, width, channels), needed for shares.

    Returns:
        A tensor (…, 4).

    Raises:
        ShapeError: `variance` has not 4 numbers.
        ValueError: A format is not known.

    Example:
        >>> anchors, boxes = np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([[1.0, 0.0, 5.0, 4.0]])
        >>> fastnn.utils.bounding_boxes.encode_box_to_deltas(anchors, boxes, "xyxy", "xyxy").numpy()
        array([[0.  , 0.25, 0.  , 0.  ]], dtype=float32)
    """
    spread = _deltas("encode_box_to_deltas", encoding_format, variance)
    height, width = (None, None) if image_shape is None else image_shape[:2]
    first: Any = convert_format(anchors, anchor_format, encoding_format, height, width)
    second: Any = convert_format(boxes, box_format, encoding_format, height, width)
    sizes, wanted = (ops.maximum(b[..., 2:], config.epsilon()) for b in (first, second))
    moves = (second[..., :2] - first[..., :2]) / sizes
    found: Any = ops.concatenate([moves, ops.log(wanted / sizes)], axis=-1)
    return found if spread is None else found / spread  # type: ignore[no-any-return]


@hints_arguments
def decode_deltas_to_boxes(
    anchors: Any, boxes_delta: Any, anchor_format: str, box_format: str,
    encoded_format: str = "center_yxhw", variance: Any = None, image_shape: Any = None,
) -> Any:  # fmt: skip
    """The boxes that `encode_box_to_deltas` encoded.

    Args:
        anchors: (…, 4), or a dict of them.
        boxes_delta: (…, 4), or a dict with the same keys.
        anchor_format: The format of the anchors.
        box_format: The format that is wanted.
        encoded_format: `"center_yxhw"` or `"center_xywh"`: the order of the deltas.
        variance: What the four numbers were divided by.
        image_shape: (height, width, channels), needed for shares.

    Returns:
        A tensor (…, 4), or a dict of them.

    Raises:
        ShapeError: `variance` has not 4 numbers.
        ValueError: A format is not known.

    Example:
        >>> anchors, deltas = np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([[0.0, 0.25, 0.0, 0.0]])
        >>> boxes = fastnn.utils.bounding_boxes
        >>> boxes.decode_deltas_to_boxes(anchors, deltas, "xyxy", "xyxy").numpy()
        array([[1., 0., 5., 4.]], dtype=float32)
    """
    spread = _deltas("decode_deltas_to_boxes", encoded_format, variance)
    height, width = (None, None) if image_shape is None else image_shape[:2]

    def decoded(anchor: Any, delta: Any) -> Any:
        base: Any = convert_format(anchor, anchor_format, encoded_format, height, width)
        moves: Any = ops.convert_to_tensor(delta, "float32")
        moves = moves if spread is None else moves * spread
        middle = moves[..., :2] * base[..., 2:] + base[..., :2]
        box = ops.concatenate([middle, ops.exp(moves[..., 2:]) * base[..., 2:]], axis=-1)
        return convert_format(box, encoded_format, box_format, height, width)

    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        return {level: decoded(anchor, boxes_delta[level]) for level, anchor in anchors.items()}
    return decoded(anchors, boxes_delta)


answer_missing(globals(), "fastnn.utils.bounding_boxes")
