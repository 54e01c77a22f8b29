"""TensorFlow's names for choosing, tables, spectra and draws: what TensorFlow gives for them."""

import numpy as np
import pytest

import fastnn as tf


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (lambda: tf.where([[True, False], [False, True]]), [[0, 0], [1, 1]]),
        (lambda: tf.where(tf.constant([1, 0, 2]) > 0), [[0], [2]]),
        (lambda: tf.where([True, False], x=[1, 2], y=[3, 4]), [1, 4]),
        (lambda: tf.slice([[1, 2, 3], [4, 5, 6]], [0, 1], [-1, 2]), [[2, 3], [5, 6]]),
        (lambda: tf.slice([[1, 2, 3], [4, 5, 6]], begin=[1, 0], size=[1, 2]), [[4, 5]]),
        (lambda: tf.slice([1, 2, 3], [tf.constant(1)], [2]), [2, 3]),
        (lambda: tf.boolean_mask([[1, 2], [3, 4]], [True, False], axis=1), [[1], [3]]),
        (lambda: tf.gather_nd([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], [[1], [0]], batch_dims=1),
         [[3, 4], [5, 6]]),
        (lambda: tf.reverse_sequence([[1, 2, 3], [4, 5, 6]], [2, 3], seq_axis=1, batch_axis=0),
         [[2, 1, 3], [6, 5, 4]]),
        (lambda: tf.dynamic_partition([1, 2, 3], [0, 1, 0], 2)[0], [1, 3]),
        (lambda: tf.equal(tf.constant(["a", "b"]), "a"), [True, False]),
        (lambda: tf.not_equal(tf.constant("a"), "a"), False),
        (lambda: tf.math.divide_no_nan([1.0, 2.0], [0.0, 2.0]), [0, 1]),
        (lambda: tf.dtypes.cast([1.7], tf.int32), [1]),
        (lambda: tf.signal.frame(tf.range(0.0, 10.0), 4, 2)[1], [2, 3, 4, 5]),
        (lambda: tf.signal.frame(tf.range(0.0, 5.0), 3, 2, pad_end=True)[2], [4, 0, 0]),
    ],
)  # fmt: skip
def test_functions_mean_what_tensorflow_means(got, want):
    assert got().tolist() == want


def test_spectra_are_those_of_numpy():
    signal = np.random.default_rng(0).standard_normal((2, 64)).astype("float32")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(16) / 16)
    frames = np.stack([signal[:, i : i + 16] for i in range(0, 49, 8)], 1)
    want = np.abs(np.fft.rfft(frames * window, 16))
    got = tf.abs(tf.signal.stft(signal, frame_length=16, frame_step=8))
    assert np.allclose(got.numpy(), want, atol=1e-4)
    assert np.allclose(tf.signal.hann_window(16).numpy(), window, atol=1e-6)
    assert tf.signal.hann_window(5).numpy().round(4).tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert tf.signal.hann_window(1).numpy().tolist() == [1.0]
    spectrum = tf.signal.stft(signal, 16, 8, window_fn=None)
    assert spectrum.shape == (2, 7, 9)
    back = tf.signal.inverse_stft(spectrum, 16, 8, window_fn=None).numpy()
    assert np.allclose(back[:, 8:-8], 2 * signal[:, 8:-8], atol=1e-4)
    with pytest.raises(AttributeError, match="hint:"):
        tf.signal.kaiser_window(8)


def test_tables_are_looked_up_on_the_host(tmp_path):
    made = tf.lookup.KeyValueTensorInitializer(tf.constant(["a", "b"]), tf.constant([1, 2]))
    table = tf.lookup.StaticHashTable(made, default_value=-1)
    assert table.lookup(tf.constant([["b", "z"]])).tolist() == [[2, -1]]
    back = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1, 2], ["a", "b"]), "?")
    assert back.lookup(tf.constant([2, 7])).tolist() == ["b", "?"]
    (tmp_path / "words.txt").write_text("x\ny\n", encoding="utf-8")
    words = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(tmp_path / "words.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER,
        ),
        num_oov_buckets=1,
    )  # fmt: skip
    assert words.lookup(tf.constant(["y", "q"])).tolist() == [1, 2]
    assert int(words.size()) == 3
    rows = tf.data.Dataset.from_tensor_slices(["a", "z"]).map(table.lookup)
    assert [int(v) for v in rows] == [1, -1]
    with pytest.raises(tf.DataError, match="hint:"):
        tf.lookup.KeyValueTensorInitializer(["a"], [1, 2])


def test_candidates_are_drawn_by_zipfs_law():
    draw = tf.random.log_uniform_candidate_sampler
    classes, true, expected = draw([[3]], 1, 4, unique=True, range_max=9, seed=1)
    assert len(set(classes.tolist())) == 4
    assert true.shape == (1, 1)
    assert expected.shape == (4,)
    many = draw([[0]], 1, 4000, unique=False, range_max=50, seed=1)[0].numpy()
    assert abs(np.mean(many == 0) - np.log(2) / np.log(51)) < 0.03
    even = tf.random.uniform_candidate_sampler([[0]], 1, 4000, False, 4, seed=1)[0].numpy()
    assert abs(np.mean(even == 0) - 0.25) < 0.03
    with pytest.raises(ValueError, match="hint:"):
        draw([[3]], 1, 4, unique=True, range_max=3)


def test_a_function_of_arrays_may_be_decorated():
    @tf.numpy_function(Tout=[tf.float32, tf.int32])
    def step(action):
        return np.float32(action * 2), np.array(1, np.int32)

    double, one = step(tf.constant(3))
    assert (float(double), int(one)) == (6.0, 1)


def test_l2_normalize_is_of_the_whole_unless_an_axis_is_given():
    x = np.array([[3.0, 4.0], [0.0, 12.0]], "float32")
    for function in (tf.math.l2_normalize, tf.nn.l2_normalize, tf.linalg.l2_normalize):
        np.testing.assert_allclose(function(x), x / 13.0, rtol=1e-6)
        np.testing.assert_allclose(function(x, axis=1), [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)
