"""`utils.bounding_boxes` against figures worked out by hand and loops in NumPy."""

import itertools
import math

import numpy as np
import pytest

import fastnn
from fastnn.keras.utils import bounding_boxes

#: One box of an image 100 high and 200 wide, in every format.
SAME = {
    "xyxy": [20, 30, 60, 50], "yxyx": [30, 20, 50, 60], "xywh": [20, 30, 40, 20],
    "center_xywh": [40, 40, 40, 20], "center_yxhw": [40, 40, 20, 40],
    "rel_xyxy": [0.1, 0.3, 0.3, 0.5], "rel_yxyx": [0.3, 0.1, 0.5, 0.3],
    "rel_xywh": [0.1, 0.3, 0.2, 0.2], "rel_center_xywh": [0.2, 0.4, 0.2, 0.2],
}  # fmt: skip
RNG = np.random.default_rng(0)


def some(*shape):
    boxes = RNG.uniform(0, 50, (*shape, 4))
    boxes[..., 2:] += boxes[..., :2]
    return boxes


@pytest.mark.parametrize(("source", "target"), list(itertools.product(SAME, SAME)))
def test_every_format_becomes_every_other(source, target):
    boxes = np.array([[SAME[source]]], "f")
    found = bounding_boxes.convert_format(boxes, source, target, height=100, width=200)
    np.testing.assert_allclose(found.numpy()[0, 0], SAME[target], rtol=1e-5)
    given = {"boxes": boxes, "labels": 3}
    held = bounding_boxes.convert_format(given, source, target, 100, 200)
    assert held["labels"] == 3
    assert given["boxes"] is boxes


def by_hand(a, b):
    """Common over either area of two boxes."""
    wide = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    high = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    own = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return wide * high / (sum(own) - wide * high)


def test_overlaps_of_all_pairs():
    a, b = some(2, 3), some(2, 5)
    wanted = [[[by_hand(p, q) for q in b[i]] for p in a[i]] for i in (0, 1)]
    found = bounding_boxes.compute_iou(a, b, "xyxy").numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    one = bounding_boxes.compute_iou(a[0], b, "xyxy").numpy()
    np.testing.assert_allclose(one[0], found[0], rtol=1e-5)
    assert one.shape == (2, 3, 5)
    shares = [v / np.array([200, 100, 200, 100]) for v in (a, b)]
    again = bounding_boxes.compute_iou(*shares, "rel_xyxy", image_shape=(100, 200, 3)).numpy()
    np.testing.assert_allclose(again, found, rtol=1e-4, atol=1e-6)
    a[0, 1] = -1
    masked = bounding_boxes.compute_iou(a, b, "xyxy", use_masking=True, mask_val=-7).numpy()
    assert masked[0, 1].tolist() == [-7.0] * 5
    np.testing.assert_allclose(masked[1], found[1], rtol=1e-5)


def test_complete_overlaps_count_distance_and_form():
    a, b = some(6), some(6)
    wanted = []
    for p, q in zip(a, b, strict=True):
        iou = by_hand(p, q)
        hull = (max(p[2], q[2]) - min(p[0], q[0])) ** 2 + (max(p[3], q[3]) - min(p[1], q[1])) ** 2
        apart = ((p[0] + p[2] - q[0] - q[2]) / 2) ** 2 + ((p[1] + p[3] - q[1] - q[3]) / 2) ** 2
        angles = [math.atan((c[2] - c[0]) / (c[3] - c[1])) for c in (p, q)]
        form = 4 / math.pi**2 * (angles[0] - angles[1]) ** 2
        wanted.append(iou - apart / hull - form * form / (1 - iou + form))
    found = bounding_boxes.compute_ciou(a, b, "xyxy").numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-5)
    gradient = fastnn.grad(
        lambda v: fastnn.ops.sum(bounding_boxes.compute_ciou(v, b, "xyxy"))
    )(a.astype("f")).numpy()  # fmt: skip
    step = RNG.normal(size=a.shape)
    ends = [
        float(fastnn.ops.sum(bounding_boxes.compute_ciou((a + s * 0.01 * step), b, "xyxy")))
        for s in (1, -1)
    ]
    assert float((gradient * step).sum()) == pytest.approx((ends[0] - ends[1]) / 0.02, abs=5e-3)


def test_deltas_are_undone():
    anchors, boxes = some(7), some(7)
    deltas = bounding_boxes.encode_box_to_deltas(
        anchors, boxes, "xyxy", "xyxy", "center_xywh", [0.1, 0.1, 0.2, 0.2]
    )
    size = anchors[:, 2:] - anchors[:, :2]
    middle = [(b[:, :2] + b[:, 2:]) / 2 for b in (anchors, boxes)]
    wanted = np.hstack([
        (middle[1] - middle[0]) / size / 0.1, np.log((boxes[:, 2:] - boxes[:, :2]) / size) / 0.2,
    ])  # fmt: skip
    np.testing.assert_allclose(deltas.numpy(), wanted, rtol=1e-3, atol=1e-3)
    back = bounding_boxes.decode_deltas_to_boxes(
        {"a": anchors}, {"a": deltas}, "xyxy", "xyxy", "center_xywh", [0.1, 0.1, 0.2, 0.2]
    )
    np.testing.assert_allclose(back["a"].numpy(), boxes, rtol=1e-4, atol=1e-3)


def test_boxes_follow_their_image():
    boxes = np.array([[[2.0, 3.0, 6.0, 5.0], [-3.0, 1.0, -1.0, 4.0]]])
    cut = bounding_boxes.clip_to_image_size({"boxes": boxes, "labels": [[4, 5]]}, 4, 5)
    assert cut["boxes"].numpy().tolist() == [[[2, 3, 5, 4], [0, 1, 0, 4]]]
    assert cut["labels"].numpy().tolist() == [[4, -1]]
    assert bounding_boxes.crop(boxes, 1, 3, 3, 2).numpy().tolist() == [[[0, 2, 2, 3], [0, 0, 0, 3]]]
    assert bounding_boxes.pad(boxes, 2, 1).numpy()[0, 0].tolist() == [3, 5, 7, 7]
    none, one = np.zeros(1, "f"), np.ones(1, "f")
    turned = bounding_boxes.affine_transform(
        boxes[:, :1], 90 * one, none, none, one, none, none, 11, 11
    )  # fmt: skip
    # A quarter about (5, 5) against the clock: (x, y) comes to (y, 10 - x).
    np.testing.assert_allclose(turned.numpy()[0, 0], [3, 4, 5, 8], atol=1e-4)
    large = bounding_boxes.affine_transform(
        boxes[:, :1], none, none, none, 2 * one, none, none, 11, 11
    )  # fmt: skip
    np.testing.assert_allclose(large.numpy()[0, 0], [-1, 1, 7, 5], atol=1e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda b: bounding_boxes.convert_format(b, "xyxy", "corners"),
        lambda b: bounding_boxes.convert_format(b, "xyxy", "rel_xyxy"),
        lambda b: bounding_boxes.convert_format(b[..., :3], "xyxy", "xywh"),
        lambda b: bounding_boxes.compute_iou(b, b, "rel_xyxy"),
        lambda b: bounding_boxes.compute_iou(b[0], b, "xyxy"),
        lambda b: bounding_boxes.clip_to_image_size({"boxes": b}),
        lambda b: bounding_boxes.crop(b, 0, 0, 1, 1, "xywh"),
        lambda b: bounding_boxes.encode_box_to_deltas(b, b, "xyxy", "xyxy", "xyxy"),
        lambda b: bounding_boxes.encode_box_to_deltas(b, b, "xyxy", "xyxy", variance=[1.0]),
    ],
)
def test_what_is_no_box_is_refused(call):
    with pytest.raises(ValueError, match="hint:"):
        call(np.ones((2, 4)))
