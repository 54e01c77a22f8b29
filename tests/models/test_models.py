"""Models: three ways to write one, sharing, nesting, several inputs and outputs, texts."""

import json

import numpy as np
import pytest

import fastnn
from fastnn import layers


def array(x) -> np.ndarray:
    return np.asarray(x)


def net():
    return [fastnn.Input((5,)), layers.Dense(4, activation="relu"), layers.Dense(2)]


def test_three_ways_to_write_a_model_give_the_same_bits(rng):
    x = rng.normal(size=(7, 5)).astype(np.float32)
    sequential = fastnn.Sequential(net())
    start = fastnn.Input((5,))
    functional = fastnn.Model(start, layers.Dense(2)(layers.Dense(4, activation="relu")(start)))

    class Own(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.a, self.b = layers.Dense(4, activation="relu"), layers.Dense(2)

        def call(self, inputs):
            return self.b(self.a(inputs))

    own = Own()
    own(x)
    functional.set_weights(sequential.get_weights())
    own.set_weights(sequential.get_weights())
    results = [array(m.predict(x, verbose=0)) for m in (sequential, functional, own)]
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])
    assert np.array_equal(results[0], array(sequential(x)))


def test_sequential_is_built_on_first_use():
    model = fastnn.Sequential([layers.Dense(3), layers.Dense(1)])
    assert not model.built
    assert array(model(np.ones((2, 4), np.float32))).shape == (2, 1)
    assert model.count_params() == 4 * 3 + 3 + 3 + 1
    assert [layer.name for layer in model.layers] == [
        v.path.split("/")[-2] for v in model.weights[::2]
    ]


def test_add_and_pop():
    model = fastnn.Sequential()
    model.add(fastnn.Input((3,)))
    model.add(layers.Dense(2))
    model.add(layers.Dense(1))
    assert model.output_shape == (None, 1)
    model.pop()
    assert model.output_shape == (None, 2)
    assert len(model.layers) == 1


def test_a_shared_layer_is_one_set_of_weights(rng):
    a, b = fastnn.Input((3,)), fastnn.Input((3,))
    shared = layers.Dense(2)
    model = fastnn.Model([a, b], layers.Subtract()([shared(a), shared(b)]))
    assert model.count_params() == 8
    x = rng.normal(size=(4, 3)).astype(np.float32)
    assert array(model.predict([x, x], verbose=0)) == pytest.approx(np.zeros((4, 2)))


def test_nested_models_train_inside_another():
    fastnn.utils.set_random_seed(0)
    inner = fastnn.Sequential(
        [fastnn.Input((3,)), layers.Dense(4, activation="relu")], name="inner"
    )
    start = fastnn.Input((3,))
    model = fastnn.Model(start, layers.Dense(1)(inner(start)))
    model.compile("adam", "mse")
    before = inner.get_weights()[0].copy()
    model.fit(np.ones((8, 3), np.float32), np.ones((8, 1), np.float32), epochs=2, verbose=0)
    assert not np.array_equal(before, inner.get_weights()[0])


def test_several_inputs_and_outputs_by_name(rng):
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((2,), name="b")
    joined = layers.Concatenate()([a, b])
    price = layers.Dense(1, name="price")(joined)
    kind = layers.Dense(3, activation="softmax", name="kind")(joined)
    model = fastnn.Model({"a": a, "b": b}, [price, kind])
    model.compile(
        "sgd",
        {"price": "mse", "kind": "sparse_categorical_crossentropy"},
        metrics={"kind": ["accuracy"]},
        loss_weights={"price": 0.5, "kind": 2.0},
    )
    x = {"a": rng.normal(size=(10, 3)), "b": rng.normal(size=(10, 2))}
    y = {"price": rng.normal(size=10), "kind": rng.integers(0, 3, 10)}
    history = model.fit(x, y, epochs=2, verbose=0)
    assert list(history.history) == ["kind_accuracy", "kind_loss", "loss", "price_loss"]
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert logs["loss"] == pytest.approx(0.5 * logs["price_loss"] + 2 * logs["kind_loss"], rel=1e-5)
    first, second = model.predict(x, verbose=0)
    assert (first.shape, second.shape) == ((10, 1), (10, 3))


def test_ops_between_layers_are_part_of_the_model(rng):
    start = fastnn.Input((4,))
    hidden = fastnn.ops.tanh(layers.Dense(4)(start)) * 2.0 + start
    model = fastnn.Model(start, 1.0 - hidden[:, :2])
    x = rng.normal(size=(3, 4)).astype(np.float32)
    kernel, bias = model.get_weights()
    expected = 1.0 - (np.tanh(x @ kernel + bias) * 2 + x)[:, :2]
    assert array(model.predict(x, verbose=0)) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    again = fastnn.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


def test_json_is_in_kerass_layout_and_brings_the_compile_settings_back():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1, kernel_regularizer="l2")])
    model.compile(fastnn.optimizers.Adam(0.25), "mse", metrics=["mae"])
    whole = json.loads(model.to_json())
    dense = whole["config"]["layers"][1]
    assert (whole["module"], whole["class_name"], whole["registered_name"]) == (
        "keras", "Sequential", None,
    )  # fmt: skip
    assert whole["build_config"] == {"input_shape": [None, 3]}
    assert dense["module"] == "keras.layers"
    assert dense["build_config"] == {"input_shape": [None, 3]}
    assert dense["config"]["dtype"]["class_name"] == "DTypePolicy"
    assert dense["config"]["kernel_initializer"]["module"] == "keras.initializers"
    again = fastnn.models.model_from_json(model.to_json())
    assert again.loss == "mse"
    assert float(again.optimizer.learning_rate) == 0.25
    assert again.to_json() == model.to_json()


def test_json_of_what_keras_cannot_say_is_in_our_own_layout():
    class Doubled(fastnn.Model):
        def __init__(self, n=2, **kwargs):
            super().__init__(**kwargs)
            self.n = n

        def call(self, x):
            return x * self.n

    start = fastnn.Input((4,), dtype="int32")
    masked = layers.Embedding(5, 2, mask_zero=True)(start)
    model = fastnn.Model(start, [masked, masked._keras_mask])
    again = fastnn.models.model_from_json(model.to_json())
    assert len(again.outputs) == 2
    own = fastnn.models.model_from_json(Doubled(3).to_json(), {"Doubled": Doubled})
    assert own.n == 3


def test_an_input_that_is_an_output_must_be_among_the_inputs():
    first, second = fastnn.Input((2,)), fastnn.Input((3,))
    for outputs in (second, [layers.Dense(2)(first), second]):
        with pytest.raises(ValueError, match=r"not among inputs\n  hint:"):
            fastnn.Model(first, outputs)
    assert fastnn.Model([first, second], second).outputs[0].shape == (None, 3)


def test_a_part_of_a_model_is_a_model(rng):
    model = fastnn.Sequential(net())
    part = fastnn.Model(model.inputs, model.layers[0].output)
    x = rng.normal(size=(2, 5)).astype(np.float32)
    kernel, bias = model.get_weights()[:2]
    assert array(part(x)) == pytest.approx(np.maximum(x @ kernel + bias, 0), rel=1e-5)


def test_clone_has_its_own_weights():
    model = fastnn.Sequential(net())
    copy = fastnn.models.clone_model(model)
    assert copy.to_json() == model.to_json()
    assert not np.array_equal(copy.get_weights()[0], model.get_weights()[0])


def test_a_frozen_layer_keeps_its_bits(rng):
    model = fastnn.Sequential(net())
    model.layers[0].trainable = False
    model.compile("adam", "mse")
    before = model.get_weights()
    model.fit(rng.normal(size=(32, 5)), rng.normal(size=(32, 2)), epochs=3, verbose=0)
    after = model.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before[:2], after[:2], strict=True))
    assert not np.array_equal(before[2], after[2])
    model.layers[0].trainable = True
    model.fit(rng.normal(size=(32, 5)), rng.normal(size=(32, 2)), epochs=1, verbose=0)
    assert not np.array_equal(after[0], model.get_weights()[0])


def test_summary_counts_weights(capsys):
    model = fastnn.Sequential(
        [fastnn.Input((1,)), layers.Dense(units=1, name="line")], name="regression"
    )
    model.compile("sgd", "mse")
    model.fit(np.ones((2, 1)), np.ones((2, 1)), verbose=0)
    model.summary()
    text = capsys.readouterr().out
    assert text.splitlines()[0] == 'Model: "regression"'
    assert "│ line (Dense)" in text
    assert "(None, 1)" in text
    assert text.splitlines()[-4:] == [
        " Total params: 4 (16.00 B)",
        " Trainable params: 2 (8.00 B)",
        " Non-trainable params: 0 (0.00 B)",
        " Optimizer params: 2 (8.00 B)",
    ]


def test_names_count_up_until_the_session_is_cleared():
    fastnn.utils.clear_session()
    assert [layers.Dense(1).name for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert layers.BatchNormalization().name == "batch_normalization"
    fastnn.utils.clear_session()
    assert layers.Dense(1).name == "dense"


def test_keras_is_a_namespace_of_the_same_objects():
    from fastnn.keras.layers import Dense
    from fastnn.keras.optimizers.schedules import CosineDecay

    assert Dense is layers.Dense is fastnn.keras.layers.Dense
    assert CosineDecay is fastnn.optimizers.schedules.CosineDecay
    assert fastnn.keras.Sequential is fastnn.Sequential


def test_import_is_lazy(run_python):
    out = run_python(
        "import sys, fastnn; print(sorted(m for m in sys.modules if m.startswith('fastnn')))"
    )
    assert "fastnn.layers" not in out
    assert "fastnn.training.trainer" not in out


def test_a_part_of_a_model_is_a_model_of_its_own(tmp_path, rng):
    start = fastnn.Input((None, 2))
    x1 = layers.Dense(3, name="d1")(start)
    x2 = layers.Dense(4, name="d2")(layers.Masking()(x1))
    out = layers.Dense(5, name="d3")(x2 * 2.0)
    whole = fastnn.Model(start, out)
    part = fastnn.Model(x1, out)
    assert [type(x).__name__ for x in part.layers] == ["InputLayer", "Masking", "Dense", "Dense"]
    data = rng.normal(size=(2, 3, 2)).astype(np.float32)
    middle = array(fastnn.Model(start, x1)(data))
    want = array(whole(data))
    assert np.array_equal(array(part(middle)), want)
    assert whole.get_layer("d2").output is not None
    names = ["p.safetensors"]
    try:
        import h5py  # noqa: F401

        names.append("p.keras")
    except ImportError:
        pass
    for name in names:
        part.save(tmp_path / name)
        again = fastnn.models.load_model(tmp_path / name)
        assert np.array_equal(array(again(middle)), want)


def test_clones_are_compiled_alike_and_made_by_functions_of_the_callers():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, "relu"), layers.Dense(1)])
    assert not fastnn.models.clone_model(model).compiled
    model.compile("adam", "mse", metrics=["mae"])
    copy = fastnn.models.clone_model(model)
    assert copy.compiled
    copy.fit(np.ones((4, 3)), np.ones(4), verbose=0)
    inner = fastnn.Model(start := fastnn.Input((3,)), layers.Dense(3)(start))
    x = fastnn.Input((3,))
    outer = fastnn.Model(x, layers.Dense(1)(inner(x)))

    def call(layer, *args, **kwargs):
        y = layer(*args, **kwargs)
        return layers.Dropout(0.5)(y) if isinstance(layer, layers.Dense) else y

    def kinds(model):
        return [type(layer).__name__ for layer in model.layers]

    flat = fastnn.models.clone_model(outer, call_function=call)
    assert kinds(flat) == ["InputLayer", "Functional", "Dense", "Dropout"]
    assert kinds(flat.layers[1]) == ["InputLayer", "Dense"]
    deep = fastnn.models.clone_model(outer, call_function=call, recursive=True)
    assert kinds(deep.layers[1]) == ["InputLayer", "Dense", "Dropout"]


def test_a_clone_begins_with_the_tensors_that_are_given(rng):
    inputs, other = fastnn.Input((5, 3)), fastnn.Input((5, 3))
    x = fastnn.layers.Masking()(inputs)
    x = fastnn.layers.Concatenate(axis=1)([x, fastnn.layers.Dense(3)(other)])
    two = fastnn.Model([inputs, other], fastnn.layers.LSTM(2)(x))
    row = fastnn.Sequential([fastnn.Input((5, 3)), fastnn.layers.LSTM(2)])
    for model, n in ((two, 2), (row, 1)):
        starts = [fastnn.Input((None, 3)) for _ in range(n)]
        copy = fastnn.models.clone_model(model, input_tensors=starts if n > 1 else starts[0])
        copy.set_weights(model.get_weights())
        data = [rng.normal(size=(4, 5, 3)).astype(np.float32) for _ in range(n)]
        data = data if n > 1 else data[0]
        assert copy.predict(data, verbose=0) == pytest.approx(model.predict(data, verbose=0))
        longer = [np.ones((4, 7, 3), np.float32)] * n
        assert copy.predict(longer if n > 1 else longer[0], verbose=0).shape == (4, 2)
    for wrong, words in (
        ([fastnn.Input((5, 3))], "input_tensors are 1, the model has 2 inputs"),
        (np.ones((4, 5, 3)), "input_tensors hold ndarray, wanted symbolic tensors"),
    ):
        with pytest.raises(ValueError, match=words + r"(.|\n)*hint:"):
            fastnn.models.clone_model(two, input_tensors=wrong)


def test_nested_structures_of_inputs_and_outputs_are_kept():
    a, b, c = fastnn.Input((1,)), fastnn.Input((2,)), fastnn.Input((3,))
    tree = {"1": a, "others": {"2": b, "3": c}}
    outs = {"1": layers.Dense(1)(a), "others": {"2": layers.Dense(2)(b), "3": layers.Dense(3)(c)}}
    model = fastnn.Model(tree, outs)
    out = model({"1": np.ones((2, 1)), "others": {"2": np.ones((2, 2)), "3": np.ones((2, 3))}})
    assert array(out["1"]).shape == (2, 1)
    assert array(out["others"]["3"]).shape == (2, 3)


def test_inputs_that_a_model_has_not_are_told():
    a = fastnn.Input((3,), name="a")
    model = fastnn.Model({"a": a}, a * 2.0)
    with pytest.warns(UserWarning, match=r"structure of `inputs` doesn't match.*no input 'b'"):
        model({"a": np.ones((1, 3)), "b": np.ones((1, 1))})


def test_an_override_of_compute_loss_gets_its_arguments_by_keyword():
    seen = []

    class Own(fastnn.Sequential):
        def compute_loss(self, *, y, x, sample_weight=None, y_pred=None):
            seen.append(sorted({"x": x, "y": y}))
            return fastnn.ops.mean(fastnn.ops.square(y - y_pred)) * 2.0

    fastnn.utils.set_random_seed(0)
    model = Own([fastnn.Input((2,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", "mse")
    history = model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0).history
    assert history["loss"] == [2.0]
    assert seen == [["x", "y"]]


def test_layers_of_a_model_cannot_be_set():
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    with pytest.raises(AttributeError, match=r"`Sequential.layers` attribute is reserved"):
        model.layers = []


def test_a_layer_that_says_what_it_gives_is_not_traced():
    class Says(layers.Layer):
        def call(self, x, training=False):
            assert training
            return x

        def compute_output_spec(self, x, training=False):
            return fastnn.KerasTensor(x.shape, dtype=x.dtype)

    x = fastnn.Input((3,))
    model = fastnn.Model(x, Says()(x))
    assert array(model(np.ones((2, 3)), training=True)).shape == (2, 3)


def two_outputs():
    fastnn.utils.set_random_seed(1)
    x = fastnn.Input((3,))
    a, b = layers.Dense(1, name="a")(x), layers.Dense(1, "sigmoid", name="b")(x)
    return fastnn.Model(x, [a, b])


def test_losses_and_metrics_of_outputs_are_named_as_in_keras():
    x, y = np.ones((4, 3)), [np.ones((4, 1)), np.zeros((4, 1))]
    model = two_outputs()
    model.compile(
        "sgd", ["mse", ["binary_crossentropy"]], metrics=["mse", ["mse", "accuracy"]],
        weighted_metrics={"a": ["mse"], "b": ["mae"]},
    )  # fmt: skip
    assert sorted(model.fit(x, y, verbose=0).history) == [
        "a_loss", "a_mse", "a_weighted_mse", "b_accuracy", "b_loss", "b_mae", "b_mse", "loss",
    ]  # fmt: skip
    model.compile("sgd", {"a": ["mse"], "b": ["mse", "mae"]})
    with pytest.raises(ValueError, match=r"output 'b' has 2 losses, wanted one\n  hint:"):
        model.fit(x, y, verbose=0)


def test_nested_outputs_take_nested_losses():
    x = fastnn.Input((3,))
    outs = {"a": layers.Dense(1)(x), "more": {"b": layers.Dense(1)(x), "c": layers.Dense(1)(x)}}
    model = fastnn.Model(x, outs)
    model.compile("sgd", {"a": "mse", "more": {"b": "mae", "c": "mse"}})
    y = {"a": np.ones((4, 1)), "more": {"b": np.ones((4, 1)), "c": np.ones((4, 1))}}
    history = model.fit(np.ones((4, 3)), y, verbose=0).history
    assert np.isfinite(history["loss"]).all()


def test_optional_inputs_may_be_none_when_the_model_is_called():
    class Maybe(layers.Layer):
        def call(self, x, y=None):
            return x if y is None else x + y

    a, b = fastnn.Input((2,), name="a"), fastnn.Input((2,), name="b", optional=True)
    model = fastnn.Model([a, b], Maybe()(a, b))
    x = np.ones((1, 2), np.float32)
    assert array(model([x, None])).tolist() == [[1.0, 1.0]]
    assert array(model({"a": x, "b": None})).tolist() == [[1.0, 1.0]]
    assert array(model([x, x])).tolist() == [[2.0, 2.0]]
    with pytest.raises(fastnn.DataError, match=r"input 'a' of model .* not optional"):
        model([None, x])


@pytest.mark.parametrize("kwargs", [{}, {"training": False}, {"training": None}])
def test_a_call_of_inference_runs_the_traced_graph_from_the_second_time_on(kwargs, monkeypatch):
    model = fastnn.Sequential(
        [
            fastnn.Input((6, 6, 3)),
            fastnn.layers.Conv2D(4, 3),
            fastnn.layers.BatchNormalization(),
            fastnn.layers.Dropout(0.5),
            fastnn.layers.GlobalAveragePooling2D(),
        ]
    )
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 3)).astype("float32")
    first = np.asarray(model(x, **kwargs))
    calls = []
    plain = fastnn.layers.Layer.__call__
    monkeypatch.setattr(
        fastnn.layers.Layer,
        "__call__",
        lambda self, *a, **k: calls.append(self) or plain(self, *a, **k),
    )
    np.testing.assert_allclose(np.asarray(model(x, **kwargs)), first, rtol=1e-5, atol=1e-6)
    assert not calls
    assert not np.array_equal(
        np.asarray(model(x, training=True)), np.asarray(model(x, training=True))
    )
    assert calls
    kernel = model.layers[0].kernel
    kernel.assign(np.asarray(kernel) * 2.0)
    np.testing.assert_array_equal(np.asarray(model(x, **kwargs)), model.predict(x, verbose=0))
