"""`visualization`: boxes and masks drawn into pictures, and galleries of them."""

import numpy as np
import pytest

import fastnn
from fastnn import visualization


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def test_boxes_are_outlined_in_their_colour():
    boxes = {
        "boxes": np.array([[[2, 1, 6, 5], [0, 0, 7, 7]]], "f"), "labels": np.array([[3, -1]]),
    }  # fmt: skip
    images = np.full((1, 8, 9, 3), 0.2)
    drawn = visualization.draw_bounding_boxes(
        images, boxes, "xyxy", color=(1, 2, 3), line_thickness=1
    )
    wanted = np.full((8, 9, 3), 51, np.uint8)
    for y, x in [(y, x) for y in range(1, 6) for x in range(2, 7)]:
        if y in (1, 5) or x in (2, 6):
            wanted[y, x] = (1, 2, 3)
    np.testing.assert_array_equal(drawn[0], wanted)
    assert images.max() == 0.2
    shares = {"boxes": boxes["boxes"] / np.array([9, 8, 9, 8]), "labels": boxes["labels"]}
    again = visualization.draw_bounding_boxes(
        images.transpose(0, 3, 1, 2), {**shares, "boxes": shares["boxes"] + 1e-4}, "rel_xyxy",
        color=(1, 2, 3), line_thickness=1, data_format="channels_first",
    )  # fmt: skip
    np.testing.assert_array_equal(again, drawn)


def test_names_are_written_above_boxes():
    pytest.importorskip("PIL")
    boxes = {"boxes": np.array([[[5, 30, 60, 60]]], "f"), "labels": np.array([[1]])}
    images = np.zeros((1, 64, 64, 3), "uint8")
    plain = visualization.draw_bounding_boxes(images, boxes, "xyxy", {0: "no"}, (255, 0, 0))
    named = visualization.draw_bounding_boxes(images, boxes, "xyxy", {1: "cat"}, (255, 0, 0))
    changed = np.argwhere((plain != named).any(-1)[0])
    assert len(changed) > 10
    assert changed[:, 0].max() < 30
    sure = {**boxes, "confidences": np.array([[0.5]])}
    more = visualization.draw_bounding_boxes(images, sure, "xyxy", {1: "cat"}, (255, 0, 0))
    assert (more > 0).sum() > (named > 0).sum()


def test_classes_have_colours_that_blend():
    image = np.full((1, 2, 2, 3), 100.0)
    mask = np.array([[[[0], [2]], [[-1], [1]]]])
    colours = {0: (0, 0, 0), 1: (255, 255, 255), 2: (200, 0, 40)}
    drawn = visualization.draw_segmentation_masks(image, mask, None, colours, alpha=0.25)
    assert drawn[0].tolist() == [
        [[75, 75, 75], [125, 75, 85]], [[100, 100, 100], [138, 138, 138]],
    ]  # fmt: skip
    solid = visualization.draw_segmentation_masks(image, mask, 3, colours, blend=False)
    assert solid[0].tolist() == [
        [[0, 0, 0], [200, 0, 40]], [[100, 100, 100], [255, 255, 255]],
    ]  # fmt: skip
    fewer = visualization.draw_segmentation_masks(image, mask, 2, colours, blend=False)
    assert fewer[0, 0, 1].tolist() == [100, 100, 100]
    own = visualization.draw_segmentation_masks(image, mask, blend=False)
    assert len({tuple(c) for c in own[0].reshape(-1, 3).tolist()}) == 4


def test_all_images_of_a_gallery_are_there_with_their_titles(pyplot, tmp_path):
    images = np.stack([np.full((4, 4, 3), v) for v in (-1.0, 0.0, 0.5, 1.0, 1.5)])
    figure = visualization.plot_image_gallery(
        images, [0, 1, 0, 1, 2], np.array([1, 1, 0, 0, 0]), {0: "cat", 1: "dog"},
        value_range=(-1, 1), show=False,
    )  # fmt: skip
    shown = [axes for axes in figure.axes if axes.images]
    assert [int(a.images[0].get_array().flat[0]) for a in shown] == [0, 127, 191, 255, 255]
    assert shown[0].get_title() == "Label: cat  Pred: dog"
    assert shown[4].get_title() == "Label: Unknown  Pred: cat"
    assert visualization.plot_image_gallery(
        images.transpose(0, 3, 1, 2)[..., :1], rows=1, path=tmp_path / "g.png",
        data_format="channels_first",
    )  # fmt: skip
    assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_galleries_of_boxes_and_masks(pyplot):
    boxes = {"boxes": np.array([[[1, 1, 4, 4]]] * 2, "f"), "labels": np.zeros((2, 1), int)}
    figure = visualization.plot_bounding_box_gallery(
        np.zeros((2, 6, 6, 3)), "xyxy", boxes, boxes, pred_color=(7, 8, 9), legend=True,
        line_thickness=1, show=False,
    )  # fmt: skip
    assert figure.axes[0].images[0].get_array()[1, 1].tolist() == [7, 8, 9]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["Ground Truth", "Prediction"]
    masks = np.ones((2, 6, 6, 1))
    figure = visualization.plot_segmentation_mask_gallery(
        np.full((2, 6, 6, 3), 0.5), 2, (0, 1), masks, 0 * masks,
        {0: (0, 0, 0), 1: (255, 255, 255)}, blend=False, show=False,
    )  # fmt: skip
    values = [int(a.images[0].get_array().flat[0]) for a in figure.axes]
    assert values == [127, 255, 0] * 2


def test_what_cannot_be_drawn_is_refused(pyplot):
    image, boxes = np.zeros((1, 4, 4, 3)), {"boxes": np.zeros((1, 1, 4)), "labels": [[0]]}
    draw, masks = visualization.draw_bounding_boxes, visualization.draw_segmentation_masks
    plot = visualization.plot_image_gallery
    for error, call in (
        (fastnn.ShapeError, lambda: draw(image[0], boxes, "xyxy")),
        (fastnn.DataError, lambda: draw(image, {"boxes": 1}, "xyxy")),
        (fastnn.ShapeError, lambda: draw(image, {**boxes, "labels": [[0, 1]]}, "xyxy")),
        (TypeError, lambda: masks(image, np.zeros((1, 4, 4, 1)))),
        (fastnn.ShapeError, lambda: masks(image, np.zeros((1, 3, 4, 1), int))),
        (fastnn.DataError, lambda: masks(image, np.ones((1, 4, 4, 1), int), None, {0: (0, 0, 0)})),
        (ValueError, lambda: plot(image, y_true=[0], show=False)),
        (ValueError, lambda: plot(image, path="a.png", show=True)),
        (fastnn.ShapeError, lambda: plot(image[0], show=False)),
    ):
        with pytest.raises(error, match="hint:"):
            call()
