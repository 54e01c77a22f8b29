"""`tf.data.Dataset`: windows, groups, several sets in turn, padding, and files of text."""

import gzip

import numpy as np
import pytest

import fastnn as tf
from fastnn.errors import DataError

D = tf.data.Dataset


def listed(data):
    """The elements as Python values."""

    def plain(a):
        values = np.asarray(a).tolist()
        return tf.tree.map_structure(lambda v: v.decode() if isinstance(v, bytes) else v, values)

    return [tf.tree.map_structure(plain, e) for e in data.as_numpy_iterator()]


@pytest.mark.parametrize("source", [lambda: D.range(7), lambda: D.range(7).map(lambda x: x)])
@pytest.mark.parametrize(
    ("args", "want"),
    [
        ((3,), [[0, 1, 2], [3, 4, 5], [6]]),
        ((3, None, 1, True), [[0, 1, 2], [3, 4, 5]]),
        ((3, 1, 2, True), [[0, 2, 4], [1, 3, 5], [2, 4, 6]]),
        ((2, 3), [[0, 1], [3, 4], [6]]),
        ((2, 3, 3, True), [[0, 3], [3, 6]]),
        ((2, 10), [[0, 1]]),
        ((9, 1, 1, True), []),
    ],
)
def test_windows_are_data_sets_of_what_tensorflow_puts_in_them(source, args, want):
    windows = source().window(*args)
    assert [listed(w) for w in windows] == want
    if windows.cardinality() >= 0:
        assert windows.cardinality() == len(want)


def test_windows_of_pairs_and_dicts_have_a_data_set_for_each_part():
    pairs = D.from_tensor_slices((np.arange(4), np.arange(4) * 2))
    joined = pairs.window(2).flat_map(lambda x, y: D.zip((x.batch(2), y.batch(2))))
    assert listed(joined) == [([0, 1], [0, 2]), ([2, 3], [4, 6])]
    named = D.from_tensor_slices({"a": np.arange(3), "b": np.ones((3, 2))}).window(2)
    assert [listed(w["a"]) for w in named] == [[0, 1], [2]]


def test_windows_of_a_series_train_a_model():
    series = np.sin(np.arange(60) / 5).astype("float32")
    data = D.from_tensor_slices(series[:, None]).window(9, shift=1, drop_remainder=True)
    data = data.flat_map(lambda w: w.batch(9)).shuffle(20, seed=0)
    data = data.map(lambda w: (w[:-1], w[-1])).batch(16).prefetch(1)
    assert [x.shape for x, _ in data] == [(16, 8, 1)] * 3 + [(4, 8, 1)]
    model = tf.keras.Sequential([tf.keras.layers.SimpleRNN(4), tf.keras.layers.Dense(1)])
    model.compile("adam", "mse")
    assert len(model.fit(data, epochs=2, verbose=0).history["loss"]) == 2


def test_interleave_takes_blocks_in_turn_and_refills_what_has_ended():
    data = D.range(1, 6).interleave(
        lambda x: D.from_tensors(x).repeat(6), cycle_length=2, block_length=4
    )
    assert listed(data) == [
        *[1] * 4, *[2] * 4, 1, 1, 2, 2, *[3] * 4, *[4] * 4, 3, 3, 4, 4, *[5] * 4, 5, 5,
    ]  # fmt: skip


def test_groups_come_when_they_are_full_and_the_rest_by_key():
    data = D.range(10).group_by_window(lambda x: x % 2, lambda key, d: d.batch(5), window_size=5)
    assert listed(data) == [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]
    data = D.range(5).group_by_window(lambda x: x % 2, lambda key, d: d.batch(4), window_size=2)
    assert listed(data) == [[0, 2], [1, 3], [4]]


LENGTHS = [[0], [1, 2, 3, 4], [5, 6, 7], [7, 8, 9, 10, 11], [13, 14, 15, 16, 19, 20], [21, 22]]


def test_buckets_hold_elements_of_similar_lengths():
    data = D.from_generator(lambda: (np.array(v) for v in LENGTHS), tf.int64, output_shapes=[None])
    asked = dict(
        element_length_func=lambda e: tf.shape(e)[0], bucket_boundaries=[3, 5],
        bucket_batch_sizes=[2, 2, 2],
    )  # fmt: skip
    assert listed(data.bucket_by_sequence_length(**asked)) == [
        [[1, 2, 3, 4], [5, 6, 7, 0]],
        [[7, 8, 9, 10, 11, 0], [13, 14, 15, 16, 19, 20]],
        [[0, 0], [21, 22]],
    ]
    short = data.filter(lambda e: tf.shape(e)[0] < 5)
    padded = short.bucket_by_sequence_length(
        **asked, pad_to_bucket_boundary=True, padding_values=-1
    )
    assert listed(padded) == [[[1, 2, 3, 4], [5, 6, 7, -1]], [[0, -1], [21, 22]]]
    with pytest.raises(DataError, match="hint:"):
        listed(data.bucket_by_sequence_length(**asked, pad_to_bucket_boundary=True))
    with pytest.raises(ValueError, match="hint:"):
        data.bucket_by_sequence_length(len, [5, 3], [1, 1, 1])


def test_padding_goes_to_the_shapes_that_are_asked_for():
    rows = D.range(1, 5).map(lambda x: tf.fill([x], x))
    assert listed(rows.padded_batch(2)) == [
        [[1, 0], [2, 2]], [[3, 3, 3, 0], [4, 4, 4, 4]],
    ]  # fmt: skip
    want = [[[1, 9, 9, 9, 9], [2, 2, 9, 9, 9]], [[3, 3, 3, 9, 9], [4, 4, 4, 4, 9]]]
    assert listed(rows.padded_batch(2, padded_shapes=5, padding_values=9)) == want
    assert listed(rows.padded_batch(2, padded_shapes=[5], padding_values=9)) == want
    with pytest.raises(DataError, match="padded_shapes says 3"):
        listed(rows.padded_batch(4, padded_shapes=[3]))
    pairs = rows.map(lambda x: (x, x[0]))
    got = listed(pairs.padded_batch(2, padded_shapes=([None], []), padding_values=(-1, 0)))
    assert got == [([[1, -1], [2, 2]], [1, 2]), ([[3, 3, 3, -1], [4, 4, 4, 4]], [3, 4])]
    with pytest.raises(DataError, match="hint:"):
        listed(pairs.padded_batch(2, padded_shapes=[None]))


def test_text_is_padded_with_nothing_and_never_cut():
    words = D.from_generator(
        lambda: (np.array(v) for v in (["a"], ["bcd", "ef"])), tf.string, output_shapes=[None]
    )
    assert listed(words.padded_batch(2)) == [[["a", ""], ["bcd", "ef"]]]
    assert listed(words.padded_batch(2, padding_values="<pad>")) == [
        [["a", "<pad>"], ["bcd", "ef"]]
    ]


def test_several_sets_are_chosen_from_and_drawn_from():
    first, second = D.from_tensors("foo").repeat(), D.from_tensors("bar").repeat()
    chosen = D.choose_from_datasets([first, second], D.range(2).repeat(2))
    assert listed(chosen) == ["foo", "bar", "foo", "bar"]
    both = D.sample_from_datasets([D.range(4), D.range(10, 14)], weights=[0.5, 0.5], seed=1)
    assert sorted(listed(both)) == [0, 1, 2, 3, 10, 11, 12, 13]
    assert listed(both) == listed(both)
    endless = D.sample_from_datasets([D.range(1).repeat(), D.range(1, 2).repeat()], [0.9, 0.1], 3)
    share = np.mean(listed(endless.take(500)))
    assert 0.05 < share < 0.16
    with pytest.raises(ValueError, match="hint:"):
        D.sample_from_datasets([D.range(4)], weights=[0.5, 0.5])


def test_classes_are_resampled_to_the_shares_that_are_asked_for():
    data = D.from_tensor_slices((np.arange(4000) % 10 == 0).astype("int32"))
    out = data.rejection_resample(lambda x: x, [0.5, 0.5], [0.9, 0.1], seed=0)
    labels = [int(c) for c, _ in out]
    assert 0.45 < np.mean(labels) < 0.55
    assert sum(labels) == 400


def test_states_single_elements_and_what_is_known_of_sizes():
    sums = D.range(5).scan(0, lambda state, i: (state + i, state + i))
    assert listed(sums) == [0, 1, 3, 6, 10]
    assert listed(D.from_tensor_slices([1, 1, 2, 3, 3]).unique()) == [1, 2, 3]
    assert listed(D.range(6).batch(3).rebatch(2)) == [[0, 1], [2, 3], [4, 5]]
    assert int(D.from_tensors(3).get_single_element()) == 3
    with pytest.raises(DataError, match="several"):
        D.range(2).get_single_element()
    assert D.range(42).cardinality().numpy() == 42
    assert tf.data.experimental.cardinality(D.range(3)).numpy() == 3
    assert D.range(3).reduce(np.int64(0), lambda s, _: s + 1).numpy() == 3
    it = iter(D.range(3))
    assert (next(it).numpy(), it.get_next().numpy()) == (0, 1)
    assert len(listed(D.random(seed=4).take(2))) == 2


def test_lines_of_text_files(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\r\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("drei é", encoding="utf-8")
    with gzip.open(tmp_path / "c.gz", "wt", encoding="utf-8") as file:
        file.write("packed\n")
    lines = tf.data.TextLineDataset([str(tmp_path / "a.txt"), tmp_path / "b.txt"])
    assert listed(lines) == ["one", "two", "drei é"]
    assert [x.numpy().decode() for x in lines] == ["one", "two", "drei é"]
    assert listed(tf.data.TextLineDataset(tmp_path / "c.gz", "GZIP")) == ["packed"]
    files = D.list_files(str(tmp_path / "*.txt"), shuffle=False)
    assert [tf.strings.split(p, "/")[-1].numpy() for p in files] == [b"a.txt", b"b.txt"]
    turns = files.interleave(tf.data.TextLineDataset, cycle_length=2)
    assert listed(turns) == ["one", "drei é", "two"]
    with pytest.raises(DataError, match="no file fits"):
        tf.data.TextLineDataset(str(tmp_path / "none.txt"))


def test_columns_of_csv_files(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('n,x,name,y\n1,0.5,"a, b",1\n2,,c,0\n3,1.5,d,1\n', encoding="utf-8")
    make = tf.data.experimental.make_csv_dataset
    data = make(str(path), 2, label_name="y", num_epochs=1, shuffle=False)
    (first, labels), (rest, _) = list(data)
    assert [first["n"].numpy().tolist(), first["x"].numpy().tolist()] == [[1, 2], [0.5, 0.0]]
    assert first["name"].tolist() == ["a, b", "c"]
    assert labels.numpy().tolist() == [1, 0]
    assert rest["n"].shape == (1,)
    assert str(first["n"].dtype) == "int32"
    endless = make(str(path), 2, select_columns=["x"], shuffle_seed=1)
    assert [b["x"].shape for b in endless.take(3)] == [(2,)] * 3
    typed = make(
        str(path), 3, column_names=["n", "x", "name", "y"], column_defaults=[0.0, [9.0], "", [0]],
        num_epochs=1, shuffle=False,
    )  # fmt: skip
    assert next(iter(typed))["x"].numpy().tolist() == [0.5, 9.0, 1.5]
    rows = tf.data.experimental.CsvDataset(
        str(path), [tf.float32, [7.0], tf.string], header=True, select_cols=[0, 1, 2]
    )
    assert listed(rows) == [(1.0, 0.5, "a, b"), (2.0, 7.0, "c"), (3.0, 1.5, "d")]
    for call in (
        lambda: make(str(path), 2, label_name="z"),
        lambda: make(str(path), 2, field_delim=";", column_names=["a", "b"]),
        lambda: listed(tf.data.experimental.CsvDataset(str(path), [tf.float32] * 4, header=True)),
    ):
        with pytest.raises(DataError, match="hint:"):
            call()


def test_parts_of_text_stay_text_with_a_tensors_methods():
    (pair,) = D.from_tensor_slices({"t": ["ab", "c"]}).batch(2)
    text = pair["t"]
    assert text[0].numpy() == b"ab"
    assert text.numpy().tolist() == [b"ab", b"c"]
    assert [t.numpy().decode() for t in text] == ["ab", "c"]
    assert {text[0]: 1}["ab"] == 1
    assert str(text[1]) == "c"
    assert text[tf.constant([1, 0])].tolist() == ["c", "ab"]
    assert (text == "ab").tolist() == [True, False]
    with pytest.raises(TypeError, match="hint:"):
        hash(text)


COUNTS = {
    "batch_size": lambda n: D.range(4).batch(n),
    "buffer_size": lambda n: D.range(4).shuffle(n),
    "count": lambda n: D.range(4).skip(n),
    "num_shards": lambda n: D.range(4).shard(n, 0),
    "size": lambda n: D.range(4).window(n),
}


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("wrong", [2.5, True, "2", -2, [2], None])
def test_counts_of_data_sets_are_whole_numbers_as_those_of_fit_are(name, wrong):
    with pytest.raises(ValueError, match=f"{name} is .*wanted a whole number.*\n  hint: {name}=1"):
        COUNTS[name](wrong)


@pytest.mark.parametrize("count", [np.int64(2), np.array(2), tf.constant(2), tf.Variable(2)])
def test_counts_of_data_sets_may_be_arrays_and_tensors_of_one_number(count):
    assert listed(D.range(4).batch(count)) == [[0, 1], [2, 3]]
    assert listed(D.range(4).skip(count)) == [2, 3]


@pytest.mark.parametrize("kind", [tuple, list])
def test_arrays_are_split_into_two_data_sets(kind):
    x, y = np.arange(10), np.arange(10) * 2
    left, right = tf.keras.utils.split_dataset(kind([x, y]), left_size=7)
    assert (int(left.cardinality()), len(right)) == (7, 3)
    assert listed(right) == [(7, 14), (8, 16), (9, 18)]
    named = tf.keras.utils.split_dataset({"a": x}, right_size=0.2)
    assert listed(named[1]) == [{"a": 8}, {"a": 9}]
    again = tf.keras.utils.split_dataset(D.range(10), left_size=0.8, shuffle=True, seed=1)
    assert sorted(listed(again[0]) + listed(again[1])) == list(range(10))
