"""Programs that say `import fastnn as tf`: tapes, tf.data, tf's own names, and what is absent."""

import math
import pickle
import re
import sys
from fnmatch import fnmatchcase

import numpy as np
import pytest

import fastnn
import fastnn as tf
from fastnn import layers, namespaces, ops
from fastnn.base.absent import ABSENT as ABSENT_NAMES


def test_a_tape_gives_gradients_of_values_that_were_read():
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x**2
        assert float(y) == 9.0
        z = y * 2.0 if float(y) > 1 else y
    assert f"{z:.1f}" == "18.0"
    assert float(tape.gradient(z, x)) == 12.0


def test_a_tape_takes_nested_sources_several_targets_and_weights():
    a, b, c = tf.Variable([1.0, 2.0]), tf.Variable(3.0), tf.Variable(1.0)
    with tf.GradientTape(persistent=True) as tape:
        y, z = a * b, b**2
    found = tape.gradient([y, z], {"a": a, "rest": [b, c]})
    assert found["a"].tolist() == [3.0, 3.0]
    assert float(found["rest"][0]) == 3.0 + 6.0
    assert found["rest"][1] is None
    assert tape.gradient(y, a, output_gradients=[1.0, 10.0]).tolist() == [3.0, 30.0]
    assert float(tape.gradient(y, c, unconnected_gradients="zero")) == 0.0


def test_a_tape_passes_through_sorting_and_views_of_values_that_were_read():
    x = tf.Variable([3.0, 1.0, 2.0])
    with tf.GradientTape() as tape:
        y = tf.sort(tf.reshape(x, (3, 1)), axis=0)
        assert y.numpy().ravel().tolist() == [1.0, 2.0, 3.0]
        z = tf.reduce_sum(y * tf.constant([[1.0], [10.0], [100.0]]))
        assert float(z) == 321.0
    assert tape.gradient(z, x).tolist() == [100.0, 1.0, 10.0]


def test_nested_tapes_give_second_derivatives():
    x = tf.Variable(2.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x**3
        first = inner.gradient(y, x)
        assert float(first) == 12.0
    assert float(outer.gradient(first, x)) == 12.0


def test_a_tape_watches_tensors_when_told_and_only_then():
    x = tf.constant([1.0, 2.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        before = tf.reduce_sum(x * x)
        tape.watch(x)
        after = tf.reduce_sum(x * x)
        masked = tf.reduce_sum(tf.reshape(x, (3, 1)) * tf.cast(x > 1.5, tf.float32))
    assert tape.gradient(before, x) is None
    assert tape.gradient(after, x).tolist() == [2.0, 4.0, 6.0]
    assert tape.gradient(masked, x).tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(TypeError, match=r"wanted a tensor\n  hint: x = fastnn.constant"):
        tape.watch(np.ones(2))
    with pytest.raises(TypeError, match=r"target is a float.*\n  hint: float\(\)"):
        tape.gradient(1.5, x)


def test_a_tape_sees_each_value_that_a_variable_had():
    v, fixed = tf.Variable(2.0), tf.Variable(5.0, trainable=False)
    with tf.GradientTape(persistent=True) as tape:
        y = v * fixed
        v.assign_add(1.0)
        z = y + v * v
    assert float(z) == 10.0 + 9.0
    assert float(tape.gradient(z, v)) == 5.0 + 6.0
    assert tape.gradient(z, fixed) is None
    assert [float(w) for w in tape.watched_variables()] == [3.0]


def test_a_tape_gives_one_set_of_gradients_and_keeps_nothing_after():
    x = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = ops.exp(x)
    g = tape.gradient(y, x)
    assert float(g) == pytest.approx(np.e)
    with pytest.raises(RuntimeError, match="persistent"):
        tape.gradient(y, x)
    assert not y.is_recorded
    assert not g.is_recorded
    total = tf.constant(0.0)
    for _ in range(3):  # outside a tape no history piles up
        total = total + y
    assert not total.is_recorded


def test_a_tape_gives_jacobians():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
    whole = np.asarray(tape.jacobian(y, x))
    assert whole.shape == (2, 2, 2, 2)
    assert np.asarray(tape.batch_jacobian(y, x)).tolist() == [
        [[2.0, 0.0], [0.0, 4.0]], [[6.0, 0.0], [0.0, 8.0]],
    ]  # fmt: skip


def written_loop(model, optimizer, x, y, steps, decorate=lambda f: f):
    loss_of = fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)

    @decorate
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        grads = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(grads, model.trainable_variables, strict=True))
        return loss

    return [float(step(x, y)) for _ in range(steps)]


@pytest.mark.parametrize("decorate", [lambda f: f, tf.function], ids=["eager", "tf.function"])
def test_a_loop_with_a_tape_trains_as_fit_does(rng, decorate):
    x = rng.normal(size=(32, 4)).astype("f")
    y = rng.integers(0, 3, 32).astype("int32")

    def made():
        fastnn.utils.set_random_seed(3)
        return fastnn.Sequential(
            [fastnn.Input((4,)), layers.Dense(8, "relu"), layers.BatchNormalization(),
             layers.Dense(3)]
        )  # fmt: skip

    model, other = made(), made()
    losses = written_loop(model, fastnn.optimizers.Adam(0.01), x, y, 4, decorate)
    other.compile(
        fastnn.optimizers.Adam(0.01), fastnn.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    fitted = other.fit(x, y, batch_size=32, epochs=4, shuffle=False, verbose=0).history["loss"]
    np.testing.assert_allclose(losses, fitted, rtol=2e-5)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_function_that_reads_values_runs_as_written_and_says_so():
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def f(x):
        return x * 2.0 if x > 0 else x

    with pytest.warns(UserWarning, match="runs uncompiled"):
        assert float(f(tf.constant(3.0))) == 6.0
    assert float(f(tf.constant(-3.0))) == -3.0


def test_numbers_of_python_are_constants_of_a_function(rng):
    x = rng.normal(size=(2, 4, 9)).astype("f")
    kinds = []

    @tf.function
    def channel(x, i):
        kinds.append(type(i))
        return x[:, 1:-1, i]

    # More choices than programs are kept at first, and the first ones again.
    for i in (*range(9), 0, 1):
        np.testing.assert_array_equal(channel(x, i), x[:, 1:-1, i])
    assert kinds.count(int) == 9

    assert tf.function(lambda n: tf.zeros((n, 3)))(4).shape == (4, 3)
    assert float(tf.function(lambda x, n=3: sum(x + i for i in range(n)))(1.0, n=4)) == 10.0
    with pytest.raises(KeyError):
        tf.function(lambda x, n: {1: x}[n])(x, 2)


def test_numbers_of_many_steps_are_inputs_of_one_program():
    traces = []

    @tf.function
    def scaled(x, step):
        traces.append(type(step))
        return x * step

    assert [float(scaled(2.0, step)) for step in range(40)] == [2.0 * s for s in range(40)]
    assert len(traces) < 10

    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def halved(x):
        traces.append(x)
        return x / 2

    assert float(halved(3.0)) == 1.5
    assert tf.is_tensor(traces[-1])


@pytest.mark.parametrize(
    "element", [3, (np.zeros((2, 4)), np.zeros(3)), (np.zeros((2, 4)), np.float32(1))]
)
@pytest.mark.parametrize("split", [lambda d: d.unbatch(), lambda d: d.rebatch(2)])
def test_elements_without_one_number_of_rows_are_not_unbatched(element, split):
    ds = tf.data.Dataset.from_tensors(element)
    with pytest.raises(fastnn.errors.DataError, match=r"unbatch: got .*\n  hint: "):
        list(split(ds))


def test_options_of_data_sets_are_taken():
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.experimental_optimization.map_parallelization = True
    options.threading.private_threadpool_size = 4
    options.autotune.enabled = False
    options.deterministic = False
    options = options.merge(tf.data.Options())
    assert options.threading.private_threadpool_size == 4
    ds = tf.data.Dataset.range(3).with_options(options)
    assert [int(x) for x in ds] == [0, 1, 2]
    ds.options().experimental_distribute.num_devices = 1


def test_data_sets_batch_shuffle_map_and_train(rng):
    x, y = rng.normal(size=(100, 4)).astype("f"), rng.normal(size=100).astype("f")
    ds = tf.data.Dataset.from_tensor_slices((x, y))
    assert len(ds) == 100
    assert ds.cardinality() == 100
    chain = ds.shuffle(100, seed=1).batch(32).map(lambda a, b: (a * 2.0, b)).prefetch(
        tf.data.AUTOTUNE
    )  # fmt: skip
    assert len(chain) == 4
    seen = np.concatenate([np.asarray(b) for _, b in chain])
    assert sorted(seen.tolist()) == sorted(y.tolist())
    assert seen.tolist() != y.tolist()
    again = np.concatenate([np.asarray(b) for _, b in chain])
    assert again.tolist() != seen.tolist()
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    history = model.fit(chain, epochs=2, validation_data=ds.batch(50), verbose=0).history
    assert len(history["val_loss"]) == 2
    assert model.predict(ds.map(lambda a, b: a).batch(10), verbose=0).shape == (100, 1)
    assert np.isfinite(model.evaluate(ds.batch(7), verbose=0))


def test_data_sets_have_the_steps_of_tensorflow():
    D = tf.data.Dataset
    numbers = D.range(10)
    as_list = lambda d: [x.tolist() for x in d.as_numpy_iterator()]  # noqa: E731
    assert as_list(numbers.filter(lambda v: v % 2 == 0)) == [0, 2, 4, 6, 8]
    assert as_list(numbers.skip(7).repeat(2)) == [7, 8, 9, 7, 8, 9]
    assert as_list(numbers.batch(4, drop_remainder=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert as_list(numbers.batch(3).unbatch().take(4)) == [0, 1, 2, 3]
    assert as_list(numbers.take(2).concatenate(D.range(1))) == [0, 1, 0]
    assert [(int(i), v.tolist()) for i, v in D.range(2).enumerate(5)] == [(5, 0), (6, 1)]
    assert [tuple(map(int, p)) for p in D.zip((numbers, D.range(2)))] == [(0, 0), (1, 1)]
    assert as_list(numbers.shard(3, 1)) == [1, 4, 7]
    assert sorted(as_list(numbers.shuffle(3, seed=0))) == list(range(10))
    fixed = numbers.shuffle(10, seed=0, reshuffle_each_iteration=False)
    assert as_list(fixed) == as_list(fixed)
    assert as_list(D.from_tensor_slices([[1, 2], [3, 4]])) == [[1, 2], [3, 4]]
    ragged = D.from_generator(lambda: iter([[1], [2, 3]]))
    assert as_list(ragged.padded_batch(2)) == [[[1, 0], [2, 3]]]
    assert numbers.reduce(0, lambda s, v: s + int(v)) == 45
    calls = []
    cached = numbers.map(lambda v: calls.append(1) or v).cache()
    assert as_list(cached) == as_list(cached)
    assert len(calls) == 10
    assert numbers.repeat().cardinality() == -1
    with pytest.raises(TypeError, match="no end"):
        len(numbers.repeat())
    named = D.from_tensor_slices({"a": np.arange(3), "b": np.ones(3)}).batch(2)
    assert {k: v.shape for k, v in next(iter(named)).items()} == {"a": (2,), "b": (2,)}


def test_mistakes_in_data_sets_are_named(rng):
    D = tf.data.Dataset
    with pytest.raises(fastnn.DataError, match=r"first axes of one size\n  hint"):
        D.from_tensor_slices((np.ones(3), np.ones(4)))
    with pytest.raises(fastnn.DataError, match=r"wanted one shape\n  hint: padded_batch"):
        list(D.from_generator(lambda: iter([[1], [2, 3]])).batch(2))
    with pytest.raises(AttributeError, match=r"no 'shufle'.*\n  hint: did you mean shuffle"):
        D.range(3).shufle(2)
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    endless = D.from_tensor_slices((np.ones((4, 2)), np.ones(4))).repeat().batch(2)
    with pytest.raises(fastnn.DataError, match=r"repeats without end.*\n  hint: steps_per_epoch"):
        model.fit(endless, verbose=0)
    assert len(model.fit(endless, steps_per_epoch=3, epochs=2, verbose=0).history["loss"]) == 2


def test_windows_of_a_time_series_are_a_data_set():
    ds = fastnn.utils.timeseries_dataset_from_array(
        np.arange(10.0), np.arange(10) * 10, sequence_length=3, sampling_rate=2, batch_size=4
    )
    x, y = next(iter(ds))
    assert x.tolist()[0] == [0.0, 2.0, 4.0]
    assert y.tolist() == [0, 10, 20, 30]
    assert len(ds) == 2
    with pytest.raises(ValueError, match=r"no window of 30 rows\n  hint"):
        fastnn.utils.timeseries_dataset_from_array(np.arange(10.0), None, 30)
    assert (
        len(fastnn.utils.timeseries_dataset_from_array(np.arange(9.0), None, 3, format="tf")) == 1
    )
    with pytest.raises(ValueError, match=r"`format` is 'grain', fastnn has 'tf'\n  hint"):
        fastnn.utils.timeseries_dataset_from_array(np.arange(9.0), None, 3, format="grain")


def test_a_window_has_the_target_of_its_first_row_wherever_windows_begin():
    rows = np.arange(12.0)
    ds = fastnn.utils.timeseries_dataset_from_array(
        rows, rows * 10, 4, start_index=2, end_index=9, batch_size=None
    )
    assert [(x[0].item(), y.item()) for x, y in ds] == [(2, 20), (3, 30), (4, 40), (5, 50)]
    # Fewer targets than rows: windows that have none are left out.
    ds = fastnn.utils.timeseries_dataset_from_array(rows, rows[:5] * 10, 4, start_index=2)
    assert [y.tolist() for _, y in ds] == [[20, 30, 40]]


def test_names_of_tensorflow_are_functions_of_ops():
    a = np.arange(6.0, dtype="f").reshape(2, 3)
    assert tf.constant([1, 2]).dtype == "int32"
    assert tf.cast(a, tf.int32).dtype == "int32"
    assert float(tf.reduce_mean(a)) == 2.5
    assert tf.reduce_sum(a, axis=1, keepdims=True).shape == (2, 1)
    assert tf.argmax(a).tolist() == [1, 1, 1]
    assert tf.concat([a, a], 0).shape == (4, 3)
    assert tf.gather(a, [1, 1]).shape == (2, 3)
    assert tf.gather_nd(a, [[0, 1], [1, 2]]).tolist() == [1.0, 5.0]
    assert tf.boolean_mask(a, a > 3).tolist() == [4.0, 5.0]
    assert [p.shape for p in tf.split(a, [1, 2], 1)] == [(2, 1), (2, 2)]
    assert tf.range(3).tolist() == [0, 1, 2]
    assert tf.one_hot([0, 2], 3).shape == (2, 3)
    assert float(tf.math.log(1.0)) == 0.0
    assert tf.nn.relu(-1.0).tolist() == 0.0
    assert tf.linalg.trace(np.eye(3, dtype="f")).tolist() == 3.0
    assert float(tf.nn.l2_loss([2.0])) == 2.0
    clipped, size = tf.clip_by_global_norm([np.float32([3.0]), None, np.float32([4.0])], 1.0)
    assert float(size) == 5.0
    assert clipped[1] is None
    np.testing.assert_allclose(clipped[0], [0.6], rtol=1e-6)
    assert tf.config.list_physical_devices("GPU") == []
    assert tf.executing_eagerly()
    with tf.distribute.MirroredStrategy().scope():
        assert layers.Dense(2)(a).shape == (2, 2)
    with pytest.raises(ValueError, match=r"2 devices.*\n  hint"):
        tf.distribute.MirroredStrategy(["gpu:0", "gpu:1"])


def test_a_mixed_policy_is_taken_and_computes_in_float32():
    try:
        with pytest.warns(UserWarning, match="everything computes in float32"):
            fastnn.keras.mixed_precision.set_global_policy("mixed_float16")
        assert fastnn.config.dtype_policy().name == "mixed_float16"
        layer = layers.Dense(2)
        assert layer(np.ones((1, 3))).dtype == "float32"
        assert layer.compute_dtype == "float32"
    finally:
        fastnn.config.set_dtype_policy("float32")


IMPORTS = [
    "from fastnn.keras.preprocessing.sequence import pad_sequences",
    "from fastnn.preprocessing.sequence import pad_sequences",
    "import fastnn.keras.layers as L; L.Dense",
    "from fastnn.keras.layers import Dense",
    "from fastnn.keras.optimizers import schedules",
    "import fastnn.keras.optimizers.schedules as s; s.ExponentialDecay",
    "from fastnn.optimizers.legacy import Adam",
    "from fastnn.utils.np_utils import to_categorical",
    "from fastnn.keras.layers.experimental.preprocessing import Normalization",
    "from fastnn.keras.mixed_precision import set_global_policy",
    "from fastnn.keras import backend as K; K.epsilon()",
    "from fastnn.keras.datasets import mnist",
    "from fastnn.keras.utils import to_categorical, timeseries_dataset_from_array",
]


@pytest.mark.parametrize("line", IMPORTS)
def test_paths_of_keras_lead_to_fastnns_modules(line):
    exec(line, {})


@pytest.mark.parametrize(
    "name", sorted(namespaces.MODULES.keys() - namespaces.KERAS_MODULES.keys())
)
def test_modules_of_fastnn_alone_are_no_namespace_of_keras(name):
    exec(f"import fastnn.{name}", {})
    with pytest.raises(ModuleNotFoundError, match=f"(?s)fastnn's own.*hint: import fastnn.{name}"):
        exec(f"import fastnn.keras.{name}", {})
    with pytest.raises(ImportError, match=r"fastnn\.keras has no"):
        exec(f"from fastnn.keras import {name}", {})
    assert name not in dir(fastnn.keras)


def test_the_ensemble_is_a_module_of_fastnn_alone():
    assert "ensemble" not in namespaces.KERAS_MODULES
    assert fastnn.Ensemble is fastnn.ensemble.Ensemble


ABSENT = [
    ("from fastnn.layers import CuDNNLSTM", ImportError, "one implementation"),
    ("from fastnn.layers import FeatureSpace", ImportError, "fastnn.utils.FeatureSpace"),
    ("from fastnn.applications import ResNet51", ImportError, "did you mean ResNet50"),
    ("from fastnn.wrappers import KerasClassifier", ImportError, "older Keras and scikeras"),
    ("from fastnn.keras.wrappers.scikit_learn import KerasRegressor", ImportError, "scikeras"),
    ("from fastnn.wrappers.scikit_learn import KerasRegressor", ImportError, "scikeras"),
    ("from fastnn.callbacks import EarlyStoping", ImportError, "did you mean EarlyStopping"),
    ("import fastnn as t; t.saved_model", AttributeError, "SavedModels"),
    ("import fastnn as t; t.io.parse_single_example", AttributeError, "TFRecord"),
    ("import fastnn as t; t.distribute.TPUStrategy", AttributeError, "cores of one machine"),
    ("import fastnn as t; t.data.TFRecordDataset", AttributeError, "TFRecord"),
    ("import fastnn as t; t.io.TFRecordWriter", AttributeError, "TFRecord.*\n  hint: numpy"),
    ("import fastnn as t; t.io.TFRecordOptions", AttributeError, "TFRecord.*\n  hint: numpy"),
    ("import fastnn as t; t.frobnicate", AttributeError, "lists what there is"),
]


@pytest.mark.parametrize(("line", "kind", "says"), ABSENT)
def test_what_is_absent_says_why_and_what_to_do(line, kind, says):
    with pytest.raises(kind, match=says) as caught:
        exec(line, {})
    assert "\n  hint: " in str(caught.value)


def module_of(section):
    """The module that a section of the table speaks of, or None: some say that one is absent."""
    found = fastnn
    for part in section.split(".") if section else ():
        try:
            found = getattr(found, part)
        except AttributeError:
            return None
    return found


@pytest.mark.parametrize("entry", ABSENT_NAMES)
def test_no_name_that_exists_is_said_to_be_absent(entry):
    """A reason must go when what it speaks of comes; patterns would answer for misspelt names."""
    where, _, pattern = entry.rpartition(".")
    module = module_of(where)
    if module is None or entry in namespaces.OLDER:  # that is a path of imports alone
        return
    if "*" not in pattern:
        if (where, pattern) != ("models", "Model"):  # named by its module for the sake of typing
            with pytest.raises((AttributeError, ImportError)):
                getattr(module, pattern)
        return
    present = {n for n in module.__all__ if fnmatchcase(n, pattern)}
    # Whatever else a strategy may be called, it is about several devices.
    assert pattern == "*" or not present


def test_hints_of_absent_names_name_what_exists():
    """`fastnn.a.b` in a hint, and `layers.X` and `ops.x`, lead to something."""
    for entry, (why, instead) in ABSENT_NAMES.items():
        for path in re.findall(r"\b(?:fastnn|layers|ops)(?:\.[A-Za-z_]\w*)+", f"{why} {instead}"):
            found = fastnn
            for part in path.removeprefix("fastnn.").split("."):
                found = getattr(found, part, None)
                assert found is not None, f"{entry}: {path}"


def test_unknown_modules_are_left_to_python():
    import importlib.util

    assert importlib.util.find_spec("fastnn.nothing_of_ours") is None
    assert sum(getattr(f, "__module__", "") == "fastnn.base.finder" for f in sys.meta_path) == 2


def test_tensors_are_numbers_where_python_wants_numbers():
    t = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    loss = tf.reduce_mean(t)
    assert f"{loss:.4f}" == "2.5000"
    assert f"{tf.constant(3):d}" == "3"
    assert f"{loss:>8.2f}" == "    2.50"
    assert round(loss, 1) == 2.5
    assert round(loss) == 2
    assert int(loss) == 2
    assert 1 < loss < 4
    assert np.mean(t) == 2.5
    assert len(t) == 2
    assert [r.tolist() for r in t] == [[1.0, 2.0], [3.0, 4.0]]
    assert t[None].shape == (1, 2, 2)
    assert t[..., 0].tolist() == [1.0, 3.0]
    assert t[t > 2].tolist() == [3.0, 4.0]
    assert t[tf.constant([1, 0])].tolist() == [[3.0, 4.0], [1.0, 2.0]]
    with pytest.raises(TypeError, match=r"needs one number.*\n  hint"):
        f"{t:.2f}"
    with pytest.raises(fastnn.TraceError, match=r"ops.where. or .fastnn.ops.cond"):
        fastnn.jit(lambda x: x if ops.mean(x) > 0 else -x)(t)
    with pytest.raises(fastnn.TraceError, match=r"hint"):
        fastnn.jit(lambda x: f"{ops.mean(x):.2f}")(t)


def test_text_is_changed_as_in_tensorflow():
    texts = tf.constant(["Ab <br />", "ć"])
    assert tf.strings.lower(texts).tolist() == ["ab <br />", "ć"]
    assert tf.strings.upper(texts).tolist() == ["AB <BR />", "Ć"]
    assert tf.strings.strip([" a "]).tolist() == ["a"]
    assert tf.strings.regex_replace(texts, "<br />", "").tolist() == ["Ab ", "ć"]
    assert tf.strings.regex_replace(["aab"], "a", "(\\0)", replace_global=False).tolist() == [
        "(a)ab"
    ]
    assert tf.strings.regex_replace(["k=v"], "(.)=(.)", r"\2=\1").tolist() == ["v=k"]
    assert tf.strings.regex_full_match(["ab", "abc"], "ab").numpy().tolist() == [True, False]
    assert tf.strings.length(texts).numpy().tolist() == [9, 2]
    assert tf.strings.length(texts, unit="UTF8_CHAR").numpy().tolist() == [9, 1]
    assert tf.strings.substr(["hello"], -3, 2).tolist() == ["ll"]
    assert tf.strings.join([["a", "b"], "c"], separator="-").tolist() == ["a-c", "b-c"]
    assert tf.strings.reduce_join([["a", "b"], ["c", "d"]], axis=1).tolist() == ["ab", "cd"]
    assert tf.strings.split("a b").tolist() == ["a", "b"]
    assert tf.strings.split(["a b", "c"]).tolist() == [["a", "b"], ["c", ""]]
    assert tf.strings.to_number(["1.5", "-2"]).numpy().tolist() == [1.5, -2]
    assert tf.strings.as_string(np.array([1, 2])).tolist() == ["1", "2"]
    for wrong, given in (
        (lambda x: tf.strings.regex_replace(x, "(", ""), ["a"]),
        (tf.strings.to_number, ["one"]),
        (tf.strings.lower, [1, 2]),
    ):
        with pytest.raises(fastnn.DataError, match="hint:"):
            wrong(given)


def test_text_takes_shapes_and_layers_read_it_in_a_data_set():
    assert tf.expand_dims(["a", "b"], -1).shape == (2, 1)
    assert tf.reshape(tensor=["a", "b"], shape=(1, 2)).shape == (1, 2)
    assert tf.squeeze([["a"]], axis=-1).shape == (1,)
    assert tf.squeeze(np.ones((1, 2))).shape == (2,)
    layer = fastnn.layers.TextVectorization(
        standardize=lambda x: tf.strings.regex_replace(tf.strings.lower(x), "[!]", "")
    )
    layer.adapt(["B b!", "a"])
    assert layer.get_vocabulary() == ["", "[UNK]", "b", "a"]
    rows = tf.data.Dataset.from_tensor_slices((["a b", "b"], [0, 1])).batch(2)
    read = rows.map(lambda x, y: (layer(tf.expand_dims(x, -1)), y))
    assert [x.numpy().tolist() for x, _ in read] == [[[3, 2], [2, 0]]]
    symbolic = fastnn.Input((1,), dtype=tf.string)
    assert fastnn.Model(symbolic, layer(symbolic)).predict([["b"]], verbose=0).tolist() == [[2]]


def test_segments_are_joined_as_in_tensorflow():
    x, ids = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), [0, 0, 2]
    assert tf.math.unsorted_segment_sum(data=x, segment_ids=ids, num_segments=4).numpy().tolist() \
        == [[4, 6], [0, 0], [5, 6], [0, 0]]  # fmt: skip
    assert tf.math.unsorted_segment_mean(x, ids, 3).numpy().tolist() == [[2, 3], [0, 0], [5, 6]]
    assert tf.math.segment_mean(x, [0, 0, 1]).numpy().tolist() == [[2, 3], [5, 6]]
    assert tf.math.segment_max(x, [0, 0, 1]).numpy().tolist() == [[3, 4], [5, 6]]
    assert tf.math.unsorted_segment_prod(x, ids, 1).shape == (1, 2)


def test_matrices_are_taken_apart_and_rooted_as_in_tensorflow():
    draw = np.random.default_rng(0).normal(size=(2, 4, 4)).astype("float32")
    factors, order = tf.linalg.lu(draw)
    for both, rows, x in zip(factors.numpy(), order.numpy(), draw, strict=True):
        product = (np.tril(both, -1) + np.eye(4)) @ np.triu(both)
        np.testing.assert_allclose(product, x[rows], atol=1e-5)
    good = draw @ draw.swapaxes(1, 2) + np.eye(4, dtype="float32")
    for scale in (1e-3, 1.0, 1e4):
        root = tf.linalg.sqrtm(good * np.float32(scale)).numpy()
        np.testing.assert_allclose(root @ root / scale, good, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(tf.linalg.sqrtm([[4.0, 1.0], [0.0, 9.0]]), [[2, 0.2], [0, 3]], 1e-5)
    assert np.isnan(tf.linalg.sqrtm([[-4.0, 0.0], [0.0, 9.0]]).numpy()).all()


def test_losses_of_drawn_classes_are_those_of_tensorflow():
    draw = np.random.default_rng(0)
    weights, bias = draw.normal(size=(10, 4)), np.linspace(-1, 1, 10)
    inputs, labels = draw.normal(size=(3, 4)), np.array([[1], [5], [2]])
    drawn, right, others = np.array([0, 5, 7]), np.array([[0.5], [0.2], [0.4]]), [0.9, 0.2, 0.1]
    given = weights.astype("f"), bias.astype("f"), labels, inputs.astype("f"), 3, 10, 1
    values = drawn, right.astype("f"), np.array(others, "f")
    first = (inputs[:, None] * weights[labels]).sum(-1) + bias[labels] - np.log(right)
    second = inputs @ weights[drawn].T + bias[drawn] - np.log(others)
    logits = np.concatenate([first, second], 1)
    apart = np.log1p(np.exp(logits)).sum(1) - first[:, 0]
    np.testing.assert_allclose(tf.nn.nce_loss(*given, values), apart, rtol=1e-5)
    logits[1, 2] = -np.inf  # class 5 was drawn, and is right
    softmax = np.log(np.exp(logits).sum(1)) - first[:, 0]
    np.testing.assert_allclose(tf.nn.sampled_softmax_loss(*given, values), softmax, rtol=1e-5)
    with pytest.raises(ValueError, match="hint"):
        tf.nn.nce_loss(*given[:6], num_true=2)


def test_a_compiled_step_draws_other_classes_every_time():
    weights, bias = np.eye(50, 4, dtype="f"), np.zeros(50, "f")

    @tf.function
    def step(x):
        return tf.nn.sampled_softmax_loss(weights, bias, [3, 4], x, 5, 50)

    x = np.ones((2, 4), "f")
    assert len({float(step(x).numpy().sum()) for _ in range(5)}) > 1


def test_lines_of_a_csv_file_are_columns_as_in_tensorflow():
    read = tf.io.decode_csv
    first, second = read(["1,2.5", "3,"], [[0], [7.0]])
    assert (first.numpy().tolist(), second.numpy().tolist()) == ([1, 3], [2.5, 7.0])
    assert (first.dtype, second.dtype) == ("int32", "float32")
    assert tf.constant([], tf.string).dtype.kind == "U"
    number, text = read('1;"a;b"', [0, tf.constant([], tf.string)], field_delim=";")
    assert (number.shape, text.numpy()) == ((), b"a;b")
    assert read("1,2,NA", [5], select_cols=[2], na_value="NA")[0].numpy() == 5
    lines = tf.data.Dataset.from_tensor_slices(["1,2,0", "3,,1"])
    needed = [0.0, 0.0, tf.constant([], dtype=tf.float32)]
    stacked = lines.map(lambda line: tf.stack(read(line, record_defaults=needed)))
    assert [row.numpy().tolist() for row in stacked] == [[1, 2, 0], [3, 0, 1]]
    for bad in ("1,2,", "1,2", "1,2,3,4", "1,b,3"):
        with pytest.raises(ValueError, match="hint:"):
            read(bad, needed)


def test_buckets_of_texts_are_those_of_tensorflow():
    long = "hello world this is quite long indeed yes it is so long, really"
    assert tf.strings.to_hash_bucket_fast(["a", "b", long], 97).numpy().tolist() == [53, 61, 78]
    strong = tf.strings.to_hash_bucket_strong(["a", "b"], 97, key=[1, 2])
    assert strong.numpy().tolist() == [70, 36]


def test_positions_of_an_index_are_one_tensor_as_in_tensorflow():
    assert tf.unravel_index([3, 5], (2, 3)).numpy().tolist() == [[1, 1], [0, 2]]


def test_segments_without_a_slice_are_those_of_tensorflow():
    x, ids = np.array([[1.0, 2.0], [-3.0, -4.0]], "float32"), [0, 2]
    for name in ("segment_max", "segment_min", "segment_mean", "segment_sum"):
        assert getattr(tf.math, name)(x, ids).numpy().tolist() == [[1, 2], [0, 0], [-3, -4]]
    ends = np.finfo("float32")
    assert tf.math.unsorted_segment_max(x, ids, 3).numpy()[1].tolist() == [ends.min] * 2
    assert tf.math.unsorted_segment_min(x, ids, 3).numpy()[1].tolist() == [ends.max] * 2
    whole = np.array([3, -5], "int32")
    assert tf.math.segment_max(whole, ids).numpy().tolist() == [3, 0, -5]
    assert tf.math.unsorted_segment_max(whole, ids, 3).numpy().tolist() == [3, -(2**31), -5]
    assert tf.math.unsorted_segment_min(whole, ids, 3).numpy().tolist() == [3, 2**31 - 1, -5]
    root = tf.math.unsorted_segment_sqrt_n(x, [0, 0], 2).numpy()
    np.testing.assert_allclose(root, [x.sum(0) / np.sqrt(2.0), [0, 0]], rtol=1e-6)


def test_pictures_are_changed_as_in_tensorflow():
    image = tf.image
    x = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
    whole = image.convert_image_dtype(x, tf.float32)
    assert whole.numpy() == pytest.approx(x / 255)
    assert image.convert_image_dtype(whole, tf.float32).numpy().tolist() == whole.numpy().tolist()
    assert image.resize(x, (2, 6)).shape == (2, 6, 2)
    assert image.resize(x[None], [8, 8], preserve_aspect_ratio=True).shape == (1, 8, 6, 2)
    assert image.resize(np.ones((2, 2, 1)), (4, 4), method="nearest").numpy().min() == 1
    assert image.flip_left_right(x).numpy().tolist() == x[:, ::-1].tolist()
    assert image.flip_up_down(x[None]).numpy()[0].tolist() == x[::-1].tolist()
    assert image.rot90(x).numpy().tolist() == np.rot90(x).tolist()
    assert image.adjust_brightness(whole, 0.5).numpy() == pytest.approx(x / 255 + 0.5)
    flat = image.adjust_contrast(x.astype("float32"), 0.0).numpy()
    assert flat == pytest.approx(np.broadcast_to(x.mean((0, 1)), x.shape))
    even = image.per_image_standardization(x).numpy()
    assert (even.mean(), even.std()) == pytest.approx((0, 1), abs=1e-5)
    assert image.per_image_standardization(np.ones((2, 2, 1))).numpy().tolist() == [[[0]] * 2] * 2
    assert image.grayscale_to_rgb(x[..., :1]).shape == (4, 3, 3)
    assert image.rgb_to_grayscale(np.ones((1, 2, 2, 3))).numpy() == pytest.approx(1, abs=1e-3)
    assert image.crop_to_bounding_box(x, 1, 0, 2, 2).numpy().tolist() == x[1:3, :2].tolist()
    padded = image.pad_to_bounding_box(x, 1, 2, 6, 5).numpy()
    assert padded[1:5, 2:5].tolist() == x.tolist()
    assert padded.sum() == x.sum()
    assert image.central_crop(np.ones((8, 4, 1)), 0.5).shape == (4, 2, 1)
    assert image.random_crop(x, (2, 2, 2), seed=1).shape == (2, 2, 2)
    for wrong in (lambda: image.convert_image_dtype(np.array([300]), tf.float32),
                  lambda: image.resize(np.ones(3), (2, 2)), lambda: image.central_crop(x, 2),
                  lambda: image.crop_to_bounding_box(x, 3, 0, 2, 2),
                  lambda: image.pad_to_bounding_box(x, 0, 0, 2, 2),
                  lambda: image.random_crop(x, (9, 2, 2))):  # fmt: skip
        with pytest.raises(ValueError, match="hint:"):
            wrong()


def test_pictures_are_changed_at_random_one_by_one():
    tf.keras.utils.set_random_seed(0)
    x = np.arange(64.0).reshape(64, 1, 1, 1) + np.array([0.0, 0.5]).reshape(1, 1, 2, 1)
    flipped = tf.image.random_flip_left_right(x).numpy() != x
    assert 0.2 < flipped.any((1, 2, 3)).mean() < 0.8
    assert 0.2 < (tf.image.random_flip_up_down(x.transpose(0, 2, 1, 3)).numpy()
                  != x.transpose(0, 2, 1, 3)).any((1, 2, 3)).mean() < 0.8  # fmt: skip
    moved = tf.image.random_brightness(x, 0.25).numpy() - x
    assert np.ptp(moved) < 1e-4
    assert abs(moved.mean()) <= 0.25
    assert tf.image.random_contrast(x, 0.5, 0.6).shape == x.shape
    rows = tf.data.Dataset.from_tensor_slices(np.zeros((4, 6, 6, 3), np.uint8))
    sized = rows.map(lambda v: tf.image.resize(v, (3, 3))).batch(4)
    assert [b.shape for b in sized] == [(4, 3, 3, 3)]


def test_the_gamma_function_and_its_derivative_are_those_of_the_standard_library():
    x = np.concatenate([np.linspace(0.01, 20.0, 401), [-0.3, -2.5, 1e3, 1e6]]).astype("f")
    want = np.array([math.lgamma(float(v)) for v in x])
    np.testing.assert_allclose(tf.math.lgamma(x).numpy(), want, 2e-6, 2e-6)
    v = tf.Variable(x)
    with tf.GradientTape() as tape:
        y = tf.math.lgamma(v)
    slope = tape.gradient(y, v).numpy()
    h = 1e-5 * np.maximum(1.0, np.abs(x.astype("d")))
    steps = [
        (math.lgamma(float(a) + s) - math.lgamma(float(a) - s)) / (2 * s)
        for a, s in zip(x, h, strict=True)
    ]
    np.testing.assert_allclose(slope, steps, 1e-4, 1e-4)
    np.testing.assert_array_equal(slope, tf.math.digamma(x).numpy())
    assert tf.math.lgamma([0.0, -1.0, np.inf]).numpy().tolist() == [np.inf] * 3
    assert np.isnan(tf.math.digamma([0.0, -1.0]).numpy()).all()
    found = tf.math.lbeta([[1.0, 2.0, 3.0], [0.5, 0.5, 0.5]]).numpy()
    np.testing.assert_allclose(found, [math.log(1 / 60), math.log(2 * math.pi)], 1e-5)
    assert float(tf.math.ndtri(0.975)) == pytest.approx(1.959964, 1e-5)


def test_exponentials_and_eigenvalues_of_matrices():
    a = np.random.default_rng(0).normal(size=(3, 4, 4)) * np.array([0.1, 1.0, 3.0])[:, None, None]
    roots, vectors = np.linalg.eig(a)
    want = ((vectors * np.exp(roots)[:, None]) @ np.linalg.inv(vectors)).real
    found = tf.linalg.expm(a.astype("f")).numpy()
    np.testing.assert_allclose(found, want, 1e-4, 1e-4 * np.abs(want).max())
    assert tf.linalg.expm(-500.0 * np.eye(2, dtype="f")).numpy().tolist() == [[0.0, 0.0]] * 2
    with pytest.raises(tf.errors.ShapeError, match="square"):
        tf.linalg.expm(np.ones((2, 3), "f"))
    found = tf.linalg.eigvalsh([[2.0, 1.0], [1.0, 3.0]]).numpy()
    np.testing.assert_allclose(found, [1.381966, 3.618034], 1e-5)


def test_tensor_diag_takes_all_axes_twice_and_gives_them_back():
    x = np.arange(6.0, dtype="f").reshape(2, 3)
    wide = tf.linalg.tensor_diag(x)
    assert wide.shape == (2, 3, 2, 3)
    assert float(wide[1, 2, 1, 2]) == 5.0
    assert float(tf.reduce_sum(wide)) == 15.0
    assert tf.linalg.tensor_diag_part(wide).numpy().tolist() == x.tolist()
    with pytest.raises(tf.errors.ShapeError, match="same sizes twice"):
        tf.linalg.tensor_diag_part(np.ones((2, 3, 3, 2), "f"))


def test_spectra_are_shifted_to_the_middle_and_frames_added():
    assert tf.signal.fftshift(np.arange(5)).numpy().tolist() == [3, 4, 0, 1, 2]
    assert tf.signal.ifftshift(np.arange(5)).numpy().tolist() == [2, 3, 4, 0, 1]
    rows = np.arange(6).reshape(2, 3)
    assert tf.signal.fftshift(rows, axes=1).numpy().tolist() == [[2, 0, 1], [5, 3, 4]]
    assert tf.signal.fftshift(rows).numpy().tolist() == [[5, 3, 4], [2, 0, 1]]
    frames = tf.signal.frame(tf.range(6, dtype="float32"), 2, 2)
    assert tf.signal.overlap_and_add(frames, 2).numpy().tolist() == [0, 1, 2, 3, 4, 5]


def test_the_euclidean_norm_of_whole_numbers_is_whole():
    assert tf.reduce_euclidean_norm([3, 4]).numpy().tolist() == 5
    assert tf.reduce_euclidean_norm([[1, 2], [3, 3]], axis=1).numpy().tolist() == [2, 4]
    assert tf.math.reduce_euclidean_norm([1.0, 1.0]).numpy() == pytest.approx(2**0.5)


def test_gradients_flow_where_numpy_stands_on_the_left_of_a_variable():
    v = tf.Variable([1.0, 2.0])
    for left, want in (
        (lambda: np.float32(3.0) * v * v, [6.0, 12.0]),
        (lambda: np.sqrt(4.0) * v, [2.0, 2.0]),
        (lambda: np.array([1.0, 3.0], "f") * v, [1.0, 3.0]),
        (lambda: np.ones((3, 2), "f") @ v, [3.0, 3.0]),
        (lambda: np.ones(2) / v, [-1.0, -0.25]),
        (lambda: fastnn.tensor([v[0], 3.0 * v[1]]), [1.0, 3.0]),
    ):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(left())
        assert tape.gradient(y, v).numpy().tolist() == want
    assert (np.ones(2) < v).numpy().tolist() == [False, True]


def test_texts_of_numbers_and_their_buckets_are_tensorflows():
    text = tf.strings.as_string
    assert text([1.5, -2.25]).tolist() == ["1.500000", "-2.250000"]
    assert text([1.5, 2.0], precision=2).tolist() == ["1.50", "2.00"]
    assert text([0.1], precision=9).tolist() == ["0.100000001"]  # of float32
    assert text([1.5e-9], scientific=True).tolist() == ["1.500000e-09"]
    assert text([1.5, 1e-9], shortest=True).tolist() == ["1.5", "1e-09"]
    assert text([3, -4], width=4, fill="0").tolist() == ["0003", "-004"]
    assert text([True, False]).tolist() == ["true", "false"]
    assert str(tf.strings.format("{} is {}", (1, "b"))) == '1 is "b"'
    with pytest.raises(tf.DataError, match="are for floats"):
        text([1], precision=2)
    buckets = tf.strings.to_hash_bucket(["abc", "", "12345678", "123456789"], 1000)
    assert buckets.tolist() == [710, 899, 287, 971]


def test_narrow_types_have_limits_of_their_own():
    assert (tf.uint8.max, tf.int8.min, tf.uint16.max, tf.int32.max) == (255, -128, 65535, 2**31 - 1)
    assert (tf.uint8.as_numpy_dtype, tf.uint8.size) == (np.uint8, 1)
    assert tf.constant([1], tf.uint8).dtype == tf.uint8 == tf.int32
    assert pickle.loads(pickle.dumps(tf.uint8)) == "int32"
    assert tf.saturate_cast([300, -1, 7], tf.uint8).tolist() == [255, 0, 7]
    assert tf.saturate_cast([300.0, -200.0, 99.9], tf.int8).tolist() == [127, -128, 99]
    assert tf.saturate_cast([1.5], tf.float32).tolist() == [1.5]
    doubled = tf.function(lambda x: tf.saturate_cast(x * 2, tf.uint8))
    assert doubled(tf.constant([100.0, 200.0])).tolist() == [200, 255]


def test_checks_of_types_and_ranks_pass_or_say_what_they_found():
    x, check = np.ones((2, 3), np.float32), tf.debugging
    check.assert_type(x, tf.float32)
    check.assert_integer([1])
    check.assert_rank_in(x, (1, 2))
    check.assert_rank_at_least(x, 2)
    assert check.assert_scalar(2.0) == 2.0
    tf.Assert(True, [x])
    for run, error, said in (
        (lambda: check.assert_type(x, tf.int32), TypeError, "float32, wanted int32"),
        (lambda: check.assert_integer(x, "the ids"), TypeError, "the ids is of type float32"),
        (lambda: check.assert_rank_in(x, (0, 1)), tf.ShapeError, r"2 axes, wanted one of \(0, 1\)"),
        (lambda: check.assert_rank_at_least(x, 3), tf.ShapeError, "2 axes, wanted 3 or more"),
        (lambda: check.assert_scalar(x), tf.ShapeError, r"shape \(2, 3\), wanted a number"),
        (lambda: tf.Assert(tf.reduce_all(x > 1), ["x is", 1]), ValueError, "failed: x is, 1"),
    ):
        with pytest.raises(error, match=said):
            run()


def test_the_package_of_tensorflows_names_answers_for_all_of_them():
    tf = fastnn.tensorflow
    assert tf.keras.layers.Dense is fastnn.layers.Dense
    assert tf.math.reduce_sum([1.0, 2.0]).numpy() == 3.0
    for name, text in (
        ("ragged", "pad_sequences"), ("RaggedTensorSpec", "pad_sequences"),
        ("igamma", "scipy.special"), ("nonsense", "dir"),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=rf"has no '{name}'(.|\n)*hint: .*{text}"):
            getattr(tf, name)
    with pytest.raises(ImportError, match="ragged tensors are not supported"):
        exec("from fastnn.tensorflow import ragged")
    for name, text in (("TFRecordWriter", "numpy.save"), ("parse_tensor", "numpy.load")):
        with pytest.raises(AttributeError, match=rf"{name}(.|\n)*hint: .*{text}"):
            getattr(tf.io, name)
    with pytest.raises(AttributeError, match=r"special function(.|\n)*scipy.special"):
        tf.math.igammac  # noqa: B018
