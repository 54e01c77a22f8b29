"""`Predictor`: the answers of the model, for many threads, joined where they wait."""

import copy
import os
import pickle
import threading
import time

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.errors import ShapeError
from fastnn.serving import predictor as predictor_module


def net(seed=0, width=4, out=2):
    fastnn.utils.set_random_seed(seed)
    return fastnn.Sequential(
        [fastnn.Input((width,)), layers.Dense(16, "relu"), layers.Dense(out, "softmax")]
    )


def two_ends():
    fastnn.utils.set_random_seed(1)
    words = fastnn.Input((3,), dtype="int32", name="words")
    sizes = fastnn.Input((2,), name="sizes")
    word = layers.Flatten()(layers.Embedding(7, 2)(words))
    h = layers.Concatenate()([layers.Dense(3)(sizes), word])
    ends = {"b": layers.Dense(1, name="one")(h), "a": layers.Dense(2, name="two")(h)}
    return fastnn.Model([sizes, words], ends)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "m.safetensors"
    model = net()
    model.save(path)
    return path, model


@pytest.mark.parametrize("delay", [None, 0, 0.001])
@pytest.mark.parametrize("kind", ["file", "model", "keras"])
def test_answers_have_the_bits_of_predict(tmp_path, rng, delay, kind):
    if kind == "keras":
        pytest.importorskip("h5py")
    model = net()
    path = tmp_path / ("m.keras" if kind == "keras" else "m.safetensors")
    model.save(path)
    x = rng.normal(size=(300, 4)).astype("float32")
    with fastnn.Predictor(model if kind == "model" else path, max_delay=delay) as predictor:
        wanted = model.predict(x, verbose=0)
        assert (predictor.predict(x) == wanted).all()
        assert (predictor(x[5:6]) == wanted[5:6]).all()
        assert (predictor.predict(x[:3].tolist()) == wanted[:3]).all()
        assert (predictor.predict(x.astype("float64")) == wanted).all()


def test_names_and_structures_are_those_of_the_model(tmp_path, rng):
    model = two_ends()
    path = tmp_path / "m.safetensors"
    model.save(path)
    x = {"sizes": rng.normal(size=(5, 2)), "words": rng.integers(0, 7, (5, 3))}
    wanted = model.predict([x["sizes"], x["words"]], verbose=0)
    for source in (path, model):
        predictor = fastnn.Predictor(source)
        assert [p.name for p in predictor.inputs] == ["sizes", "words"]
        assert [(p.name, p.shape) for p in predictor.outputs] == [
            ("a", (None, 2)),
            ("b", (None, 1)),
        ]
        for given in (x, [x["sizes"], x["words"]]):
            found = predictor.predict(given)
            assert set(found) == {"a", "b"}
            assert all((found[k] == wanted[k]).all() for k in found)


def test_open_sizes_are_served_and_not_mixed(tmp_path, rng):
    model = fastnn.Sequential([fastnn.Input((None, 3)), layers.Dense(4)])
    path = tmp_path / "m.safetensors"
    model.save(path)
    with fastnn.Predictor(path, max_delay=0.05) as predictor:
        assert predictor.inputs[0].shape == (None, None, 3)
        given = [rng.normal(size=(1, n, 3)).astype("float32") for n in (2, 5, 2, 5)]
        asked = [predictor.submit(x) for x in given]
        for x, answer in zip(given, asked, strict=True):
            assert (answer.result(60) == model.predict(x, verbose=0)).all()


def test_requests_that_wait_become_one_batch(saved, rng):
    path, model = saved
    x = rng.normal(size=(64, 4)).astype("float32")
    wanted = model.predict(x, verbose=0)
    with fastnn.Predictor(path, max_delay=30, max_batch_size=64) as predictor:
        asked = [predictor.submit(x[i : i + 1]) for i in range(64)]
        found = np.concatenate([a.result(60) for a in asked])
        assert (found == wanted).all()
        assert predictor.batches == 1  # full, so that nobody waited for 30 seconds


def test_no_request_waits_longer_than_it_was_told(saved, rng):
    path, _ = saved
    with fastnn.Predictor(path, max_delay=0.01) as predictor:
        assert predictor.submit(np.zeros((1, 4), "float32")).result(60).shape == (1, 2)


def test_many_threads_get_their_own_answers(saved, rng):
    path, model = saved
    x = rng.normal(size=(40, 4)).astype("float32")
    wanted = model.predict(x, verbose=0)
    for delay in (None, 0.0):
        predictor = fastnn.Predictor(path, max_delay=delay)
        wrong = []

        def ask(at, predictor=predictor, wrong=wrong):
            for _ in range(200):
                if not (predictor.predict(x[at : at + 3]) == wanted[at : at + 3]).all():
                    wrong.append(at)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(120)
        assert not wrong


def test_a_bad_request_spoils_no_other(saved):
    path, model = saved
    good = np.ones((1, 4), "float32")
    with fastnn.Predictor(path, max_delay=0.05) as predictor:
        asked = [predictor.submit(good)]
        with pytest.raises(fastnn.ShapeError, match=r"x has shape \(1, 3\)"):
            predictor.submit(np.ones((1, 3)))
        cancelled = predictor.submit(good)
        cancelled.cancel()
        asked.append(predictor.submit(good))
        for answer in asked:
            assert (answer.result(60) == model.predict(good, verbose=0)).all()


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (np.ones((2, 3)), fastnn.ShapeError, r"\(2, 3\)"),
        (np.ones(4), fastnn.ShapeError, r"x\[None\] makes it one row"),
        ([["a"] * 4], fastnn.DataError, "text"),
        (None, fastnn.DataError, "x is None"),
        ([[1, 2, 3, 4], [1, 2]], fastnn.DataError, "different lengths"),
        ({"inptu_layer": np.ones((1, 4))}, fastnn.DataError, "lacks"),
        (np.full((1, 4), 1e300), fastnn.DataError, "beyond float32"),
    ],
)
@pytest.mark.parametrize("delay", [None, 0])
def test_what_is_no_input_is_refused(saved, given, error, text, delay):
    with fastnn.Predictor(saved[0], max_delay=delay) as predictor:
        with pytest.raises(error, match=text):
            predictor.predict(given)
        assert predictor.predict(np.ones((1, 4))).shape == (1, 2)


@pytest.mark.parametrize("saved_first", [True, False])
def test_an_id_outside_of_a_table_is_told_as_by_predict_and_spoils_no_other(saved_first, tmp_path):
    words = fastnn.layers.Embedding(5, 2, name="words")
    model = fastnn.Sequential([fastnn.Input((2,), dtype="int32"), words, fastnn.layers.Flatten()])
    path = tmp_path / "words.safetensors"
    model.save(path)
    with fastnn.Predictor(path if saved_first else model, max_delay=0.05) as predictor:
        for token in (-1, 5):
            bad = np.array([[0, token]])
            with pytest.raises(fastnn.DataError) as wanted:
                model.predict(bad, verbose=0)
            good = [predictor.submit(np.array([[1, 2]])) for _ in range(2)]
            asked = predictor.submit(bad)
            with pytest.raises(fastnn.DataError) as got:
                asked.result(60)
            assert str(got.value) == str(wanted.value)
            want = model.predict(np.array([[1, 2]]), verbose=0)
            assert all((one.result(60) == want).all() for one in good)


def test_whole_numbers_are_not_rounded_in_silence(tmp_path):
    predictor = fastnn.Predictor(two_ends())
    sizes = np.ones((1, 2))
    assert predictor.predict([sizes, [[1.0, 2.0, 3.0]]])["a"].shape == (1, 2)
    for bad in ([[1.5, 2, 3]], [[np.nan, 2, 3]], [[2.0**32 + 3, 2, 3]], [[-(2.0**32), 2, 3]]):
        with pytest.raises(fastnn.DataError, match="whole numbers"):
            predictor.predict([sizes, bad])
    with pytest.raises(fastnn.DataError, match="same number of rows"):
        predictor.predict([sizes, [[1, 2, 3], [1, 2, 3]]])


def test_a_replaced_file_is_served_when_asked_for_and_whole(saved, tmp_path, rng):
    path, model = saved
    x = rng.normal(size=(3, 4)).astype("float32")
    predictor = fastnn.Predictor(path)
    before = predictor.predict(x)
    other = net(seed=9)
    other.save(path)
    assert (predictor.predict(x) == before).all()
    predictor.reload()
    assert (predictor.predict(x) == other.predict(x, verbose=0)).all()
    for bad, error in ((b"junk", fastnn.FormatError), (None, fastnn.FormatError)):
        if bad is None:
            net(width=5).save(path)
        else:
            path.write_bytes(bad)
        with pytest.raises(error):
            predictor.reload()
        assert (predictor.predict(x) == other.predict(x, verbose=0)).all()
    os.remove(path)
    with pytest.raises(FileNotFoundError):
        predictor.reload()
    with pytest.raises(RuntimeError, match="made from a model"):
        fastnn.Predictor(model).reload()


def test_reloads_between_threads_mix_no_models(saved, rng):
    path, model = saved
    x = rng.normal(size=(2, 4)).astype("float32")
    other = net(seed=5)
    wanted = [m.predict(x, verbose=0) for m in (model, other)]
    predictor = fastnn.Predictor(path, max_delay=0)
    stop, wrong = threading.Event(), []

    def ask():
        while not stop.is_set():
            found = predictor.predict(x)
            if not any((found == w).all() for w in wanted):
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    for i in range(20):
        (other, model)[i % 2].save(path)
        predictor.reload()
    stop.set()
    for t in threads:
        t.join(60)
    assert not wrong


def test_a_closed_predictor_says_so_and_answers_what_waits(saved):
    predictor = fastnn.Predictor(saved[0], max_delay=30)
    asked = predictor.submit(np.zeros((1, 4), "float32"))
    predictor.close()
    assert asked.result(60).shape == (1, 2)
    for call in (predictor.predict, predictor.submit):
        with pytest.raises(RuntimeError, match="closed"):
            call(np.zeros((1, 4), "float32"))


def test_a_closed_or_resting_predictor_leaves_no_thread(saved, rng):
    x = rng.normal(size=(2, 4)).astype("float32")
    predictor = fastnn.Predictor(saved[0], max_delay=0)
    wanted, stop, found = predictor.predict(x), threading.Event(), []

    def ask():
        while not stop.is_set():
            found.append(predictor.predict(x))

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for t in asking:
        t.start()
    for _ in range(50):  # requests that meet the end of the thread start another one
        predictor.rest()
    stop.set()
    for t in asking:
        t.join(60)
    predictor.close()
    assert "fastnn-joiner" not in [t.name for t in threading.enumerate()]
    assert all((f == wanted).all() for f in found)
    assert 0 < predictor.batches <= len(found) + 1
    asked = []
    late = fastnn.Predictor(saved[0], max_delay=0)
    late.submit(x).add_done_callback(lambda _: asked.append(late.close()))
    late.close()  # and from the joining thread itself, which cannot wait for its own end
    assert "fastnn-joiner" not in [t.name for t in threading.enumerate()]
    assert asked == [None]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_joins_requests_by_itself(run_python, saved):
    program = """
import os, sys, warnings
import numpy as np, fastnn
warnings.simplefilter("ignore")
p = fastnn.Predictor(sys.argv[1], max_delay=0)
x = np.ones((1, 4), "float32")
before = p.predict(x)
pid = os.fork()
if pid == 0:
    os._exit(0 if (p.predict(x) == before).all() else 1)
assert os.waitpid(pid, 0)[1] == 0
print("same")
"""
    assert run_python(program, str(saved[0]), timeout=60).strip() == "same"


@pytest.mark.parametrize(
    "more",
    [{"max_delay": -1}, {"max_delay": "2"}, {"max_delay": float("nan")}, {"max_batch_size": 0}],
)
def test_settings_out_of_range_are_refused(saved, more):
    with pytest.raises(ValueError, match=f"{next(iter(more))} is"):
        fastnn.Predictor(saved[0], **more)


def test_files_without_a_graph_and_no_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        fastnn.Predictor(tmp_path / "none.safetensors")
    (tmp_path / "junk.safetensors").write_bytes(b"not a model")
    with pytest.raises(
        fastnn.FormatError, match=r"junk.safetensors.*\n  hint: is the file damaged"
    ):
        fastnn.Predictor(tmp_path / "junk.safetensors")
    (tmp_path / "m.onnx").write_bytes(b"whatever")
    with pytest.raises(fastnn.FormatError, match=r"is an ONNX file.*\n  hint: fastnn.onnx.load"):
        fastnn.Predictor(tmp_path / "m.onnx")
    net().save_weights(tmp_path / "w.safetensors")
    with pytest.raises(fastnn.FormatError, match="no inference graph"):
        fastnn.Predictor(tmp_path / "w.safetensors")


@pytest.mark.parametrize("of_file", [True, False])
@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_answer_as_the_first_one_and_with_threads_of_their_own(saved, of_file, copied, rng):
    path, model = saved
    x = rng.normal(size=(5, 4)).astype("float32")
    with fastnn.Predictor(path if of_file else model, max_delay=0.001, max_batch_size=3) as first:
        wanted = first.predict(x)
        with copied(first) as second:
            first.close()
            assert (second.predict(x) == wanted).all()
            assert second.path == (os.path.abspath(path) if of_file else None)
            assert (second._max_delay, second._max_rows) == (0.001, 3)


@pytest.mark.skipif(
    not hasattr(time, "pthread_getcpuclockid"), reason="no clock of a thread's processor time here"
)
def test_waiting_costs_no_processor(saved):
    """The thread of an idle predictor sleeps: its own processor time stands still."""
    before = set(threading.enumerate())
    with fastnn.Predictor(saved[0], max_delay=0.001) as predictor:
        predictor.submit(np.zeros((1, 4), "float32")).result()
        (waiting,) = set(threading.enumerate()) - before
        clock = time.pthread_getcpuclockid(waiting.ident)
        used = time.clock_gettime(clock)
        time.sleep(0.5)
        assert time.clock_gettime(clock) - used < 0.1


def test_short_requests_are_computed_by_the_caller_and_long_ones_are_not(saved, rng, monkeypatch):
    path, model = saved
    x = rng.normal(size=(3, *model.input_shape[1:])).astype("float32")
    before = set(threading.enumerate())
    monkeypatch.setattr(predictor_module, "_SHORT", 60.0)
    with fastnn.Predictor(path, max_delay=0) as predictor:
        asked = predictor.submit(x[:1])
        assert asked.done()
        assert (asked.result() == model.predict(x[:1], verbose=0)).all()
        assert predictor.batches == 1
        assert set(threading.enumerate()) == before
        # No run of so many numbers is known to be short.
        assert (predictor.submit(x).result() == model.predict(x, verbose=0)).all()
        assert set(threading.enumerate()) > before
        monkeypatch.setattr(predictor_module, "_SHORT", 0.0)
        predictor.submit(x).result()
        assert (predictor.submit(x).result() == model.predict(x, verbose=0)).all()
        assert predictor.batches == 4
    with pytest.raises(RuntimeError, match="closed"):
        predictor.submit(x[:1])
    monkeypatch.setattr(predictor_module, "_SHORT", 60.0)
    with fastnn.Predictor(path, max_delay=0.001) as predictor:
        assert predictor.submit(x[:1]).result().shape[0] == 1
        assert set(threading.enumerate()) > before, "it may wait for others"


def test_numbers_that_the_type_of_an_input_does_not_hold_are_refused(tmp_path):
    model = fastnn.Sequential([fastnn.Input((2,), dtype="uint8"), layers.Rescaling(0.5)])
    model.save(tmp_path / "m.safetensors")
    for source in (model, tmp_path / "m.safetensors"):
        predictor = fastnn.Predictor(source)
        assert predictor.predict([[255, 0]]).tolist() == [[127.5, 0.0]]
        for bad in ([[256, 0]], [[0, -1]], np.array([[3.0, 300.0]]), [[1.5, 2]], [[np.nan, 2]]):
            with pytest.raises(fastnn.DataError, match=r"from 0 to 255 \(uint8\)"):
                predictor.predict(bad)


def looking_up():
    fastnn.utils.set_random_seed(2)
    word = fastnn.Input((1,), dtype="string", name="word")
    zone = fastnn.Input((1,), dtype="int64", name="zone")
    size = fastnn.Input((2,), name="size")
    found = layers.StringLookup(vocabulary=["x", "y"], name="words")(word)
    zones = layers.IntegerLookup(vocabulary=[2, 1], output_mode="one_hot", name="zones")(zone)
    h = [layers.Flatten()(layers.Embedding(5, 3)(found)), zones, size]
    return fastnn.Model([word, zone, size], layers.Dense(2)(layers.Concatenate()(h)))


def test_inputs_are_looked_up_as_by_predict(tmp_path):
    model = looking_up()
    path = tmp_path / "m.safetensors"
    model.save(path)
    x = {"word": np.array([["x"], ["?"]]), "zone": [[1], [2**40]], "size": np.ones((2, 2))}
    wanted = model.predict({**x, "zone": np.array(x["zone"])}, verbose=0)
    for source in (path, model):
        predictor = pickle.loads(pickle.dumps(fastnn.Predictor(source)))
        assert [(p.name, p.shape, p.dtype) for p in predictor.inputs] == [
            ("word", (None, 1), "string"),
            ("zone", (None, 1), "int32"),
            ("size", (None, 2), "float32"),
        ]
        assert (predictor.predict(x) == wanted).all()
        with pytest.raises(fastnn.DataError, match="wants text"):
            predictor.predict({**x, "word": [[1], [2]]})
        with pytest.raises(fastnn.DataError, match="whole numbers"):
            predictor.predict({**x, "zone": [[1.5], [2]]})


def test_a_file_says_that_its_graph_begins_after_layers_that_look_up(tmp_path):
    path, plain = tmp_path / "m.safetensors", tmp_path / "plain.safetensors"
    looking_up().save(path)
    net().save(plain)
    key = "fastnn.before"
    assert fastnn._core.load_file(path)[1][key] == '["words", "zones"]'
    assert key not in fastnn._core.load_file(plain)[1]
    # Files of earlier versions say it by the classes of their layers alone.
    fastnn.utils.set_random_seed(2)
    first = layers.IntegerLookup(vocabulary=[7, 42], name="table")
    model = fastnn.Sequential([fastnn.Input((2,), dtype="int32"), first, layers.Embedding(99, 1)])
    model.save(path)
    metadata = fastnn._core.load_file(path)[1]
    assert metadata.pop(key) == '["table"]'
    path.write_bytes(path.read_bytes().replace(b"fastnn.before", b"fastnn.beforf"))
    x = np.array([[42, 7], [1, 2]])
    assert (fastnn.Predictor(path).predict(x) == model.predict(x, verbose=0)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_inputs_of_short_floats_are_not_rounded_where_predict_does_not(tmp_path, dtype, rng):
    model = fastnn.Sequential([fastnn.Input((3,), dtype=dtype), layers.Dense(2)])
    model.save(tmp_path / "m.safetensors")
    x = rng.normal(size=(4, 3))
    for source in (model, tmp_path / "m.safetensors"):
        assert (fastnn.Predictor(source).predict(x) == model.predict(x, verbose=0)).all()


@pytest.mark.parametrize(
    "inner",
    [
        layers.GRU(2), layers.LSTM(2), layers.SimpleRNN(2), layers.Bidirectional(layers.GRU(2)),
        layers.RNN(layers.LSTMCell(2)), layers.GlobalAveragePooling1D(),
    ],
)  # fmt: skip
@pytest.mark.parametrize("of_file", [True, False])
def test_sequences_of_no_steps_are_refused_as_by_predict(tmp_path, inner, of_file):
    model = fastnn.Sequential([fastnn.Input((None, 3)), inner, layers.Dense(2)])
    model.save(tmp_path / "m.safetensors")
    x = np.zeros((2, 0, 3), np.float32)
    with pytest.raises(ShapeError):
        model.predict(x, verbose=0)
    with fastnn.Predictor(tmp_path / "m.safetensors" if of_file else model) as predictor:
        with pytest.raises(ShapeError, match=r"no steps[\s\S]*hint:"):
            predictor.predict(x)
        with pytest.raises(ShapeError, match="no steps"):
            predictor.submit(x).result()
        assert predictor.predict(x[:, :, :][:0].reshape(0, 1, 3)).shape == (0, 2)


def test_outputs_name_the_sizes_that_do_not_depend_on_open_ones(tmp_path):
    x = fastnn.Input((None, 3))
    h = layers.GRU(4, return_sequences=True)(x)
    short = layers.MaxPooling1D(4, padding="same")(h)
    model = fastnn.Model(x, [layers.GlobalMaxPooling1D()(h), h, short])
    model.save(tmp_path / "m.safetensors")
    with fastnn.Predictor(tmp_path / "m.safetensors") as predictor:
        assert [p.shape for p in predictor.outputs] == [(None, 4), (None, None, 4), (None, None, 4)]


def test_threads_of_short_calls_take_turns_with_each_other_and_with_others(rng):
    model = net(width=20, out=64)
    x = rng.normal(size=(400, 20)).astype("float32")
    wanted = model.predict(x, verbose=0)
    predictor = fastnn.Predictor(model)
    counts, wrong, ended = [0, 0, 0], [], threading.Event()

    def ask(thread):
        rows = slice(100 * thread, 100 * thread + 100)
        while not ended.is_set():
            if (predictor.predict(x[rows]) != wanted[rows]).any():
                wrong.append(thread)
            counts[thread] += 1

    def count():
        while not ended.is_set():
            counts[2] += 1

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    threads.append(threading.Thread(target=count))
    for thread in threads:
        thread.start()
    limit = time.monotonic() + 60
    while min(counts) < 500 and time.monotonic() < limit:
        time.sleep(0.01)
    ended.set()
    for thread in threads:
        thread.join()
    assert min(counts) >= 500
    assert not wrong
