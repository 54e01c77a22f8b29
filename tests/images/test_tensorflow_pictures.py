"""`tf.image` and `tf.io`: pictures are measured, coloured, cut and read as in TensorFlow."""

import colorsys

import numpy as np
import pytest

import fastnn as tf


def test_likeness_of_pictures_is_measured_one_by_one(rng):
    a = rng.random((2, 24, 20, 3)).astype("f")
    b = np.clip(a + rng.normal(0, 0.1, a.shape), 0, 1).astype("f")
    wanted = 10 * np.log10(4.0 / ((a - b) ** 2).mean((1, 2, 3)))
    np.testing.assert_allclose(tf.image.psnr(a, b, max_val=2.0), wanted, rtol=1e-5)
    measure = pytest.importorskip("skimage.metrics").structural_similarity
    wanted = [
        measure(p, q, data_range=1.0, channel_axis=-1, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False)
        for p, q in zip(a, b, strict=True)
    ]  # fmt: skip
    np.testing.assert_allclose(tf.image.ssim(a, b, max_val=1.0), wanted, rtol=1e-4)
    np.testing.assert_allclose(tf.image.ssim(a[0], a[0], 1.0), 1.0, rtol=1e-6)
    variation = np.abs(np.diff(a, axis=1)).sum((1, 2, 3)) + np.abs(np.diff(a, axis=2)).sum(
        (1, 2, 3)
    )
    np.testing.assert_allclose(tf.image.total_variation(a), variation, rtol=1e-5)
    down, right = tf.image.image_gradients(a)
    np.testing.assert_allclose(down[:, :-1], np.diff(a, axis=1), atol=1e-6)
    np.testing.assert_allclose(right[:, :, :-1], np.diff(a, axis=2), atol=1e-6)
    slope = np.broadcast_to(np.arange(6.0, dtype="f")[None, :, None, None], (1, 6, 5, 1))
    np.testing.assert_allclose(tf.image.sobel_edges(slope)[0, 2, 2, 0], [8.0, 0.0], atol=1e-5)
    patches = tf.image.extract_patches(a, (1, 4, 5, 1), (1, 4, 5, 1), (1, 1, 1, 1), "VALID")
    assert patches.shape == (2, 6, 4, 60)
    np.testing.assert_array_equal(patches[1, 0, 1], a[1, :4, 5:10].ravel())


def test_colours_are_changed_as_by_their_definitions(rng):
    x = rng.random((3, 4, 3)).astype("f")
    turned = tf.image.adjust_hue(x, 0.2)
    paler = tf.image.adjust_saturation(x, 0.5)
    for i, j in np.ndindex(3, 4):
        h, s, v = colorsys.rgb_to_hsv(*map(float, x[i, j]))
        np.testing.assert_allclose(
            turned[i, j], colorsys.hsv_to_rgb((h + 0.2) % 1, s, v), atol=1e-5
        )
        np.testing.assert_allclose(paler[i, j], colorsys.hsv_to_rgb(h, s * 0.5, v), atol=1e-5)
    np.testing.assert_allclose(tf.image.yuv_to_rgb(tf.image.rgb_to_yuv(x)), x, atol=1e-5)
    np.testing.assert_allclose(tf.image.yiq_to_rgb(tf.image.rgb_to_yiq(x)), x, atol=1e-5)
    bright = x @ np.array([0.299, 0.587, 0.114], "f")
    np.testing.assert_allclose(tf.image.rgb_to_yuv(x)[..., 0], bright, rtol=1e-5)
    whole = (x * 255).astype("uint8")
    assert tf.image.adjust_hue(whole, 0.0).dtype == "int32"
    np.testing.assert_array_equal(tf.image.adjust_hue(whole, 0.0), whole)
    assert tf.image.random_hue(x, 0.1).shape == tf.image.random_saturation(x, 0.5, 2).shape
    same = [tf.image.stateless_random_brightness(x, 0.5, (1, 2)).tolist() for _ in range(2)]
    assert same[0] == same[1]
    with pytest.raises(tf.ShapeError, match=r"wanted \(rows, columns, 3\).*\n  hint"):
        tf.image.rgb_to_hsv(x[..., :1])


def kept_by_hand(boxes, scores, count, overlap):
    def share(a, b):
        sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
        area = [np.prod(c[2:] - c[:2]) for c in (a, b)]
        return sides.prod() / (sum(area) - sides.prod())

    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if len(kept) < count and all(share(boxes[i], boxes[j]) <= overlap for j in kept):
            kept.append(int(i))
    return kept


def test_the_best_of_boxes_that_overlap_is_kept(rng):
    low = rng.random((30, 2))
    boxes = np.concatenate([low, low + 0.1 + 0.4 * rng.random((30, 2))], 1).astype("f")
    scores = rng.random(30).astype("f")
    found = tf.image.non_max_suppression(boxes, scores, 10, 0.3)
    assert found.tolist() == kept_by_hand(boxes, scores, 10, 0.3)
    few = tf.image.non_max_suppression(boxes, scores, 10, 0.3, score_threshold=0.9)
    assert few.tolist() == [i for i in found.tolist() if scores[i] > 0.9]
    turned = boxes[:, [2, 3, 0, 1]]
    assert tf.image.non_max_suppression(turned, scores, 10, 0.3).tolist() == found.tolist()
    each = rng.random((1, 30, 2)).astype("f")
    out = tf.image.combined_non_max_suppression(
        boxes[None, :, None], each, 5, 8, 0.3, clip_boxes=False
    )
    wanted = sorted(
        ((float(each[0, i, c]), c, i) for c in range(2)
         for i in kept_by_hand(boxes, each[0, :, c], 5, 0.3)), reverse=True,
    )[:8]  # fmt: skip
    assert int(out.valid_detections[0]) == len(wanted)
    np.testing.assert_allclose(out.nmsed_scores[0, : len(wanted)], [w[0] for w in wanted])
    assert out.nmsed_classes[0, : len(wanted)].tolist() == [w[1] for w in wanted]
    np.testing.assert_allclose(out.nmsed_boxes[0, : len(wanted)], boxes[[w[2] for w in wanted]])
    # A layer of a model decodes what the model predicts.
    i, s = tf.keras.Input((30, 1, 4)), tf.keras.Input((30, 2))
    decoded = tf.keras.layers.Lambda(
        lambda v: tuple(tf.image.combined_non_max_suppression(v[0], v[1], 5, 8, 0.3))
    )([i, s])
    model = tf.keras.Model([i, s], decoded)
    again = model.predict([boxes[None, :, None], each], verbose=0)
    np.testing.assert_allclose(again[1], out.nmsed_scores)


def test_boxes_are_cut_and_resized(rng):
    x = rng.random((2, 8, 6, 3)).astype("f")
    whole = tf.image.crop_and_resize(x, [[0, 0, 1, 1], [0, 0, 1, 1]], [1, 0], (8, 6))
    np.testing.assert_allclose(whole, x[::-1], atol=1e-6)
    turned = tf.image.crop_and_resize(x, [[1, 0, 0, 1]], [0], (8, 6))
    np.testing.assert_allclose(turned[0], x[0, ::-1], atol=1e-6)
    outside = tf.image.crop_and_resize(x, [[-1.0, 0, 0, 1]], [0], (3, 6), extrapolation_value=9.0)
    assert (outside[0, :2].numpy() == 9.0).all()
    np.testing.assert_allclose(outside[0, 2], x[0, 0], atol=1e-6)
    half = tf.image.crop_and_resize(x, [[0, 0, 1 / 7, 1]], [0], (3, 6))
    np.testing.assert_allclose(half[0, 1], (x[0, 0] + x[0, 1]) / 2, atol=1e-6)


def test_pictures_fit_sizes_by_every_method(rng):
    x = rng.random((4, 6, 2)).astype("f")
    area = tf.image.resize(x, (2, 3), method=tf.image.ResizeMethod.AREA)
    np.testing.assert_allclose(area, x.reshape(2, 2, 3, 2, 2).mean((1, 3)), rtol=1e-5)
    assert tf.image.resize(x[None], (8, 8), "mitchellcubic").shape == (1, 8, 8, 2)
    padded = tf.image.resize_with_pad(np.ones((2, 4, 1), "f"), 8, 8)
    assert padded[:, 0, 0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]
    both = tf.image.resize_with_crop_or_pad(x, 2, 8)
    np.testing.assert_array_equal(both[:, 1:7], x[1:3])
    assert both[:, [0, 7]].numpy().max() == 0


def test_pictures_are_read_from_files_and_written(rng, tmp_path):
    pytest.importorskip("PIL")
    x = rng.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    path = str(tmp_path / "folder" / "x.png")
    tf.io.write_file(path, tf.io.encode_png(x))
    assert tf.io.gfile.exists(path)
    data = tf.data.Dataset.from_tensor_slices([path, path])
    read = data.map(tf.io.read_file).map(lambda c: tf.io.decode_png(c, channels=3)).batch(2)
    np.testing.assert_array_equal(next(iter(read)), [x, x])
    grey = tf.image.decode_image(tf.io.read_file(path), channels=1, dtype=tf.float32)
    assert grey.shape == (5, 4, 1)
    assert float(tf.reduce_max(grey)) <= 1
    assert tf.io.decode_jpeg(tf.io.encode_jpeg(x)).shape == (5, 4, 3)
    assert tf.io.matching_files(str(tmp_path / "folder" / "*.png")).tolist() == [path]
    with pytest.raises(tf.DataError, match=r"no picture.*\n  hint"):
        tf.io.decode_png(b"text")
    with pytest.raises(tf.DataError, match=r"of whole numbers\n  hint"):
        tf.io.encode_png(x / 255)


def test_pictures_of_eight_bits_are_changed_by_shares_of_their_range():
    x = np.array([[[122, 203, 248], [16, 0, 255]]], np.uint8)
    wanted = {  # TensorFlow 2.21's
        "adjust_brightness": ((0.2,), [173, 254, 255, 67, 51, 255]),
        "adjust_contrast": ((2.0,), [175, 255, 244, 0, 0, 255]),
        "adjust_gamma": ((2.0, 1.5), [87, 242, 255, 1, 0, 255]),
        "rgb_to_grayscale": ((), [184, 33]),
    }
    for name, (arguments, values) in wanted.items():
        got = getattr(tf.image, name)(x, *arguments)
        assert got.dtype == "int32", name
        assert np.ravel(got).tolist() == values, name
        shares = getattr(tf.image, name)(x / np.float32(255), *arguments)
        assert shares.dtype == "float32", name
    drawn = np.asarray(tf.image.stateless_random_brightness(x, 0.4, (1, 2)))
    assert 20 < abs(int(drawn[0, 0, 0]) - 122) <= 103
    assert np.array_equal(tf.image.random_contrast(x, 1.0, 1.0000001), x)


def test_floats_become_pictures_of_eight_bits():
    x = np.array([0.0, 0.5, 0.999, 1.0], np.float32)
    assert tf.image.convert_image_dtype(x, tf.uint8).tolist() == [0, 127, 255, 255]
    assert tf.image.convert_image_dtype(x * 2, tf.uint8, saturate=True).tolist()[1:] == [255] * 3
    with pytest.raises(tf.DataError, match="hint: saturate=True"):
        tf.image.convert_image_dtype(x * 2, tf.uint8)
