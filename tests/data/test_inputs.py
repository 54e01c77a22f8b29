"""What fit, evaluate and predict read: frames, loaders, generators, datasets, read ahead."""

import itertools
import threading

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.data.prefetch import Prefetch, gather
from fastnn.errors import DataError, ShapeError

X = np.arange(24, dtype=np.float32).reshape(12, 2) / 24
Y = X.sum(1, keepdims=True)


def net(seed=3):
    fastnn.utils.set_random_seed(seed)
    made = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    made.compile("sgd", "mse")
    return made


def trained(x, y=None, **options):
    model = net()
    model.fit(x, y, verbose=0, shuffle=False, **{"epochs": 2, "batch_size": 4, **options})
    return model.get_weights()


def same(a, b):
    return all(np.array_equal(p, q) for p, q in zip(a, b, strict=True))


def threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("fastnn-")]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    yield
    assert threads() == []


@pytest.fixture
def frames():
    def make(kind):
        library = pytest.importorskip(kind, reason=f"{kind} is not installed")
        frame = library.DataFrame({"a": X[:, 0].tolist(), "b": X[:, 1].tolist()})
        return library, frame, library.Series(Y[:, 0].tolist())

    return make


# ---- frames -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_and_series_train_as_their_arrays_do(frames, kind):
    _, frame, series = frames(kind)
    assert same(trained(frame, series), trained(X, Y))
    split = {"validation_split": 0.25}
    assert same(trained(frame, series, **split), trained(X, Y, **split))
    model = net()
    assert model.evaluate(frame, series, verbose=0) == model.evaluate(X, Y, verbose=0)
    assert np.array_equal(model.predict(frame, verbose=0), model.predict(X, verbose=0))
    target = frame[["a"]]
    model.fit(frame, target, validation_data=(frame, target), sample_weight=series, verbose=0)
    assert np.isfinite(model.history.history["val_loss"][0])


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_columns_of_a_frame_serve_named_inputs(frames, kind):
    _, frame, series = frames(kind)
    a, b = fastnn.Input((1,), name="a"), fastnn.Input((1,), name="b")
    model = fastnn.Model({"a": a, "b": b}, layers.Dense(1)(layers.Concatenate()([a, b])))
    model.compile("sgd", "mse")
    model.fit({"a": frame["a"], "b": frame["b"]}, series, verbose=0)
    assert model.predict({"a": frame["a"], "b": frame["b"]}, verbose=0).shape == (12, 1)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_whole_numbers_and_truth_values_of_frames_are_numbers(frames, kind):
    library, _, series = frames(kind)
    mixed = library.DataFrame({"n": list(range(12)), "t": [True, False] * 6})
    wanted = np.array([range(12), [1, 0] * 6], np.float32).T
    assert same(trained(mixed, series), trained(wanted, Y))


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_text_in_a_frame_is_refused_with_its_column(frames, kind):
    library, _, series = frames(kind)
    frame = library.DataFrame({"age": [1.0] * 12, "city": ["Oslo"] * 12})
    with pytest.raises(fastnn.DataError, match=r"x holds text or objects in column 'city'"):
        net().fit(frame, series)


def test_missing_values_of_pandas_are_nan():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame({"a": pandas.array([1, None], "Int64"), "b": [0.5, 0.5]})
    got = net().predict(frame, verbose=0)
    assert np.isfinite(got[0, 0])
    assert np.isnan(got[1, 0])


# ---- loaders and datasets -----------------------------------------------------------------------


class Loader:
    """What a PyTorch DataLoader is to us: sized, iterable, lists of tensors with `.numpy()`."""

    class Tensor:
        def __init__(self, array):
            self.array = array

        def numpy(self):
            return self.array

    def __len__(self):
        return 3

    def __iter__(self):
        for i in range(0, 12, 4):
            yield [self.Tensor(X[i : i + 4]), self.Tensor(Y[i : i + 4])]


class Batches(fastnn.utils.PyDataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.calls = []

    def __len__(self):
        return 3

    def __getitem__(self, i):
        return X[4 * i : 4 * i + 4], Y[4 * i : 4 * i + 4]

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.calls.append("end")


def test_loaders_and_datasets_train_as_their_arrays_do():
    wanted = trained(X, Y)
    assert same(trained(Loader()), wanted)
    dataset = Batches()
    assert same(trained(dataset), wanted)
    assert dataset.calls == ["begin", "end"] * 2
    assert same(trained(Batches(workers=3, max_queue_size=2)), wanted)


def test_steps_per_epoch_starts_a_loader_again_where_it_ends():
    wanted = trained(X, Y)
    assert same(trained(Loader(), steps_per_epoch=3), wanted)
    assert same(trained(Loader(), steps_per_epoch=2, epochs=3), wanted)
    assert same(trained(Batches(), steps_per_epoch=6, epochs=1), wanted)


def test_a_generator_is_read_as_far_as_training_went():
    def generate():
        for i in itertools.cycle(range(0, 12, 4)):
            yield X[i : i + 4], Y[i : i + 4]

    source = generate()
    model = net()
    for _ in range(2):
        model.fit(source, steps_per_epoch=3, epochs=1, verbose=0)
    assert same(model.get_weights(), trained(X, Y))
    model.evaluate(source, steps=1, verbose=0)
    model.predict(source, steps=1, verbose=0)
    assert np.array_equal(next(source)[0], X[8:12])
    check = generate()
    model.fit(X, Y, epochs=4, validation_data=check, validation_steps=2, validation_freq=2,
              verbose=0)  # fmt: skip
    assert np.array_equal(next(check)[0], X[8:12])


# ---- reading ahead ------------------------------------------------------------------------------


def test_batches_are_read_while_training_goes_on():
    """The third batch is asked for before the first is trained on: nobody would wait otherwise."""
    asked, trained_on = threading.Event(), []

    def generate():
        yield X, Y
        yield X, Y
        asked.set()
        yield X, Y

    class Wait(fastnn.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            trained_on.append(asked.wait(timeout=60))

    net().fit(generate(), callbacks=[Wait()], verbose=0)
    assert trained_on == [True, True, True]


def test_order_is_kept_and_no_more_than_depth_is_ahead():
    read = []
    full = threading.Event()

    def source():
        for i in range(8):
            read.append(i)
            if len(read) == 3:
                full.set()
            yield i

    ahead = Prefetch(source(), lambda i: i * 10, depth=2)
    assert full.wait(timeout=60)
    assert read == [0, 1, 2]  # two ready, one waiting for room
    assert list(ahead) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert list(gather(lambda i: i * i, range(20), workers=4)) == [i * i for i in range(20)]


def test_an_error_in_a_generator_says_where_and_the_model_stays_usable():
    def broken():
        for _ in range(4):
            yield X, Y
        raise OSError("disk gone")

    model = net()
    with pytest.raises(OSError, match="disk gone") as caught:
        model.fit(broken(), steps_per_epoch=3, epochs=3, verbose=0)
    assert caught.value.__notes__ == ["  while reading batch 2 of x", "  in epoch 2"]
    assert caught.traceback[-1].name == "broken"
    assert model.history.epoch == [0]
    assert model.predict(X, verbose=0).shape == (12, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_a_dataset_says_where(workers):
    class Broken(Batches):
        def __getitem__(self, i):
            if i == 2:
                raise KeyError("no row 9")
            return super().__getitem__(i)

    with pytest.raises(KeyError, match="no row 9") as caught:
        net().fit(X, Y, validation_data=Broken(workers=workers), verbose=0)
    assert caught.value.__notes__ == ["  while reading batch 3 of validation_data"]


def test_batches_of_other_shapes_say_which():
    pairs = [(X, Y), (X[:, :1], Y)]
    with pytest.raises(fastnn.ShapeError, match="x has 1 features") as caught:
        net().fit((p for p in pairs), verbose=0)
    assert caught.value.__notes__ == ["  in batch 2", "  in epoch 1"]
    with pytest.raises(fastnn.DataError, match="a batch has 4 parts") as caught:
        net().evaluate(iter([(X, Y), (X, Y, Y, Y)]), verbose=0)
    assert caught.value.__notes__ == ["  while reading batch 2 of x"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError, None])
def test_the_thread_ends_with_fit_however_it_ends(stop):
    class Stop(fastnn.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 2:
                self.model.stop_training = True
                if stop is not None:
                    raise stop("enough")

    source = ((X, Y) for _ in itertools.count())
    model = net()
    if stop is None:
        model.fit(source, callbacks=[Stop()], verbose=0)
    else:
        with pytest.raises(stop):
            model.fit(source, callbacks=[Stop()], verbose=0)
    assert threads() == []
    assert next(source) is not None  # the user's generator stays open
    assert model.predict(X, verbose=0).shape == (12, 1)


def test_own_iterators_are_closed_on_the_thread_that_ran_them():
    closed = []

    class Closing(Loader):
        def __iter__(self):
            try:
                while True:
                    yield from super().__iter__()
            finally:
                closed.append(threading.current_thread().name)

    net().fit(Closing(), steps_per_epoch=2, verbose=0)
    assert closed == ["fastnn-prefetch"]


# ---- what a run is told besides the data --------------------------------------------------------


def three_classes():
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_a_generator_that_ends_early_gives_its_first_batches_again_and_says_so():
    x, y = np.zeros((4, 2)), np.arange(4) % 3
    with pytest.warns(UserWarning, match="x ran out after 2 of 3 batches in epoch 2"):
        history = three_classes().fit(((x, y) for _ in range(3)), epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    with pytest.raises(DataError, match="no batches"):
        three_classes().fit(iter(()), epochs=3, verbose=0)


def test_sample_weights_of_no_fitting_shape_are_named():
    x, y = np.zeros((3, 2)), np.arange(3)
    with pytest.raises(ShapeError, match=r"sample_weight has shape .*3\).*\n  hint: one weight"):
        three_classes().fit(x, y, sample_weight=np.ones((3, 3)), verbose=0)
    loss = fastnn.losses.MeanSquaredError()
    with pytest.raises(ShapeError, match="sample_weight has shape"):
        loss(np.zeros((4, 1)), np.ones((4, 1)), sample_weight=np.ones(3))


@pytest.mark.parametrize("given", [np.ones(3), {7: 2.0}, {-1: 1.0}])
def test_class_weights_of_no_class_are_refused(given):
    with pytest.raises(ValueError, match=r"class_weight(?s:.)*hint:"):
        three_classes().fit(np.zeros((4, 2)), np.arange(4) % 3, class_weight=given, verbose=0)


@pytest.mark.parametrize("part", ["x", "y", "sample_weight"])
def test_the_warning_of_a_nan_loss_names_the_data_that_hold_it(part):
    data = {"x": np.zeros((4, 2)), "y": np.zeros((4, 1)), "sample_weight": np.ones(4)}
    data[part][2] = np.nan
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=f"{part} holds NaN or infinity, first in row 2"):
        model.fit(**data, verbose=0)


def ids_model(dtype="int32"):
    x = fastnn.Input((3,), dtype=dtype)
    model = fastnn.Model(x, fastnn.layers.Flatten()(fastnn.layers.Embedding(7, 2)(x)))
    model.compile("sgd", "mse")
    return model


def test_token_ids_below_0_are_no_rows_from_the_end():
    ids = np.array([[1, 2, -2]])
    for run in (lambda: ids_model().predict(ids, verbose=0),
                lambda: ids_model().fit(ids, np.zeros((1, 6)), verbose=0)):  # fmt: skip
        with pytest.raises(DataError, match=r"token id -2 .*outside 0…6(?s:.)*hint: .*from 0"):
            run()
    with pytest.raises(DataError, match="out of range"):
        fastnn.layers.Embedding(7, 2)(ids).numpy()


def test_fractions_are_no_values_of_an_input_of_whole_numbers():
    ids = np.array([[1, 2, 2.5]])
    for run in (lambda: ids_model().predict(ids, verbose=0),
                lambda: ids_model().fit(ids, np.zeros((1, 6)), verbose=0)):  # fmt: skip
        with pytest.raises(DataError, match=r"x holds 2\.5 at position \(0, 2\)(?s:.)*hint:"):
            run()
    assert ids_model().predict(np.array([[1.0, 2.0, 6.0]]), verbose=0).shape == (1, 6)
