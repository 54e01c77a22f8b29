"""Bad input: what is said. Each mistake of the catalogue has its text here."""

import numpy as np
import pytest

import fastnn
from fastnn import DataError, ShapeError, _core, layers

X = np.ones((4, 3), np.float32)
Y = np.zeros((4, 1), np.float32)


def net(**compile_args):
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(1, name="dense")], name="net")
    model.compile(**{"optimizer": "sgd", "loss": "mse", **compile_args})
    return model


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"epochs": -1}, "epochs is -1, wanted a whole number of at least 0"),
        ({"epochs": 1.5}, "epochs is 1.5, wanted a whole number"),
        ({"batch_size": 0}, "batch_size is 0, wanted a whole number of at least 1"),
        ({"validation_split": 1.5}, "validation_split is 1.5, wanted a number from 0 up to"),
        ({"validation_split": 0.01}, "leaves 3 to train and 1|leaves"),
        ({"initial_epoch": -2}, "initial_epoch is -2"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0, wanted"),
        ({"class_weight": {"a": 1.0}}, r"class_weight has the key 'a' \(str\), wanted class"),
        ({"verbose": 7}, "verbose is 7"),
        ({"class_weight": [1.0]}, "class_weight is .*, wanted a dict"),
    ],
)
def test_counts_out_of_range(arguments, text):
    if arguments == {"validation_split": 0.01}:
        arguments = {"validation_split": 0.9}
        text = "validation_split=0.9 of 4 samples leaves 0 to train and 4 to validate"
    with pytest.raises(ValueError, match=text):
        net().fit(X, Y, **arguments)


def test_a_misspelt_argument():
    with pytest.raises(TypeError, match=r"'epoch'\n  hint: did you mean `epochs`\?"):
        net().fit(X, Y, epoch=3)
    with pytest.raises(TypeError, match=r"Dense got .* 'activaton'\n.*did you mean `activation`"):
        layers.Dense(2, activaton="relu")
    with pytest.raises(TypeError, match=r"'learning_rat'\n.*did you mean `learning_rate`"):
        fastnn.optimizers.Adam(learning_rat=0.1)
    with pytest.raises(TypeError, match=r"'optimiser'\n.*did you mean `optimizer`"):
        net().compile(optimiser="sgd")
    with pytest.raises(TypeError, match=r"'from_logit'\n.*did you mean `from_logits`"):
        fastnn.losses.BinaryCrossentropy(from_logit=True)


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (lambda: layers.Dense(1, activation="rleu"), "unknown activation: 'rleu'\n.*'relu'"),
        (lambda: net(optimizer="adamm"), "unknown optimizer: 'adamm'\n.*'[aA]dam'"),
        (lambda: net(loss="mse2"), "unknown loss: 'mse2'\n.*'mse'"),
        (lambda: net(metrics=["acuracy"]), "unknown metric: 'acuracy'\n.*'accuracy'"),
        (lambda: layers.Dense(1, kernel_initializer="glorot"), "unknown initializer: 'glorot'"),
        (lambda: layers.Dense(1, kernel_regularizer="l3"), "unknown regularizer: 'l3'\n.*'l"),
        (lambda: net().get_layer("dens"), "unknown layer in model 'net': 'dens'\n.*'dense'"),
    ],
)
def test_unknown_names_are_refused_at_once_with_the_nearest(action, text):
    with pytest.raises(ValueError, match=text):
        action()


def test_a_missing_name_of_a_module():
    with pytest.raises(AttributeError, match=r"has no 'Sequentail'\n.*did you mean Sequential"):
        _ = fastnn.Sequentail
    with pytest.raises(AttributeError, match=r"has no 'Dens'\n.*Dense"):
        _ = layers.Dens
    with pytest.raises(AttributeError, match=r"has no 'concatenat'\n.*concatenate"):
        _ = fastnn.ops.concatenat


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_wrong_number_of_features(verb):
    x = np.ones((4, 5), np.float32)
    args = (x,) if verb == "predict" else (x, Y)
    with pytest.raises(ShapeError) as caught:
        getattr(net(), verb)(*args)
    assert str(caught.value).startswith(
        "x has 5 features, model 'net' expects 3 (layer 'dense', Input(shape=(3,)))"
    )


def test_a_layer_of_another_width_says_which():
    dense = layers.Dense(2, name="hidden")
    dense(np.ones((4, 5), np.float32))
    with pytest.raises(
        ShapeError, match=r"layer 'hidden' \(Dense\) is incompatible .* for 5 features"
    ):
        dense(np.ones((4, 6), np.float32))


def test_a_product_that_does_not_fit_names_the_layer():
    class Bad(layers.Layer):
        def call(self, x):
            return fastnn.ops.matmul(x, np.ones((7, 2), np.float32))

    with pytest.raises(ShapeError, match=r"\(4, 3\).*\(7, 2\)[\s\S]*in layer 'bad' \(Bad\)"):
        Bad(name="bad")(X)


def test_reshape_says_the_arithmetic():
    with pytest.raises(
        ShapeError, match=r"samples of shape \(1600,\) have 1,600 elements, .* 3,136"
    ):
        layers.Reshape((3136,))(np.ones((1, 1600), np.float32))


def test_targets_of_another_shape_get_a_likely_loss():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match=r"y has shape \(None, 2\), the model gives \(None, 3\)"):
        model.fit(X, np.zeros((4, 2), np.float32))
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ShapeError, match=r"hint: y looks one-hot: use loss='categorical_cross"):
        model.fit(X, np.eye(4, 3, dtype=np.float32))


def test_labels_outside_the_classes():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(DataError) as caught:
        model.fit(X, np.array([1, 3, 2, 3]))
    assert str(caught.value) == (
        "y holds class 3 at position (1,) (2 such labels), the model has 3 classes: "
        "labels must be 0…2\n  hint: did you mean to subtract 1?"
    )


def test_unequal_lengths():
    with pytest.raises(DataError, match="x has 4 samples, y has 5 samples"):
        net().fit(X, np.zeros((5, 1)))


def test_text_is_refused():
    with pytest.raises(DataError, match=r"x holds text or objects \(dtype <U1\), wanted numbers"):
        net().fit(np.array([["a", "b", "c"]] * 4), Y)


def test_numbers_beyond_32_bits():
    with pytest.raises(DataError, match="x holds whole numbers from 0 to 10000000000"):
        net().fit(np.array([[0, 0, 10**10]] * 4), Y)


@pytest.mark.parametrize("odd", [0.5, np.nan, np.inf, 2.0**32, -(2.0**33)])
def test_an_input_of_whole_numbers_takes_no_others(odd):
    i = fastnn.Input((2,), dtype="int32")
    model = fastnn.Model(i, fastnn.ops.cast(i, "float32") * 2.0)
    assert model.predict([[1.0, -(2.0**31)]], verbose=0).tolist() == [[2.0, -(2.0**32)]]
    for predict in (lambda x: model.predict(x, verbose=0), fastnn.Predictor(model).predict):
        with pytest.raises(DataError, match=r"at position \(0, 1\)"):
            predict(np.array([[1.0, odd]]))


@pytest.mark.parametrize("verb", ["fit", "evaluate", "predict"])
def test_no_samples_leave_the_model_usable(verb):
    model = net()
    args = (X[:0],) if verb == "predict" else (X[:0], Y[:0])
    with pytest.raises(DataError, match="x has 0 samples"):
        getattr(model, verb)(*args)
    assert model.predict(X, verbose=0).shape == (4, 1)


def test_an_empty_generator():
    with pytest.raises(DataError, match="yielded no batches"):
        net().fit(iter([]))


@pytest.mark.parametrize("batches", [3, 4])
def test_a_generator_that_has_ended_ends_the_training(batches):
    seen = []
    model = net()
    model.compile("sgd", "mse", metrics=["mae"])
    hooks = fastnn.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(epoch),
        on_train_end=lambda logs: seen.append("end"),
    )
    with pytest.warns(UserWarning, match="x ") as told:  # one may say that an epoch was cut short
        run = model.fit(
            iter([(X, Y)] * batches), steps_per_epoch=2, epochs=9, callbacks=[hooks], verbose=0
        )
    assert "x had no more batches in epoch" in str(told[-1].message)
    assert len(run.history["loss"]) == len(run.epoch) >= 2
    assert seen == [*run.epoch, "end"]
    assert model.optimizer.iterations.numpy() >= batches


def test_a_generator_that_runs_out_or_raises_leaves_the_model_usable():
    model = net()
    with pytest.warns(UserWarning, match="x ran out after 2 of 5 batches in epoch 1"):
        model.fit(iter([(X, Y)] * 2), steps_per_epoch=5, epochs=3, verbose=0)

    def broken():
        yield X, Y
        raise RuntimeError("disk gone")

    with pytest.raises(RuntimeError, match="disk gone"):
        model.fit(broken(), verbose=0)
    assert model.predict(X, verbose=0).shape == (4, 1)


def test_a_model_that_is_not_built_or_compiled():
    model = fastnn.Sequential([layers.Dense(1)])
    for kind in (RuntimeError, ValueError, fastnn.errors.NotCompiledError):
        with pytest.raises(kind, match=r"fit needs a compiled model\n  hint: model.compile\("):
            model.fit(X, Y)
    with pytest.raises(ValueError, match=r"is not built"):
        model.save("never.safetensors")


def test_predict_of_a_pair():
    with pytest.raises(
        DataError, match=r"predict takes inputs only, got a tuple \(x, y\)\n.*gen\[0\]"
    ):
        net().predict((X, Y))


def test_missing_and_foreign_files(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x")
    with pytest.raises(FileNotFoundError, match=r"did you mean model\.safetensors\?"):
        fastnn.load_model(tmp_path / "modle.safetensors")
    (tmp_path / "junk.keras").write_bytes(b"junk")
    with pytest.raises(
        fastnn.FormatError, match="is not a Keras file: first bytes 6a 75 6e 6b; expected zip"
    ):
        fastnn.load_model(tmp_path / "junk.keras")
    with pytest.raises(fastnn.FormatError):
        fastnn.load_model(tmp_path / "model.safetensors")


def test_huge_sizes_are_refused_with_the_bytes():
    layer = layers.Dense(10**12)
    with pytest.raises((MemoryError, ValueError), match=r"bytes|memory"):
        layer.build((None, 10**6))


def test_disconnected_inputs():
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((3,), name="b")
    with pytest.raises(ValueError, match="an output depends on 'b', which is not among inputs"):
        fastnn.Model(a, layers.Add()([a, b]))


def test_a_symbolic_value_cannot_be_read():
    with pytest.raises(fastnn.TraceError, match="has no value yet, so bool"):
        _ = 1 if fastnn.Input((3,)) else 0


def test_a_layer_without_super_init():
    class Forgot(layers.Layer):
        def __init__(self):
            self.inner = layers.Dense(1)

    with pytest.raises(AttributeError, match=r"hint: super\(\)\.__init__\(\) first"):
        Forgot()(np.ones((1, 2)))

    class ForgotModel(fastnn.Model):
        def __init__(self):
            self.inner = layers.Dense(1)

    with pytest.raises(RuntimeError, match=r"call super\(\)\.__init__\(\) first"):
        ForgotModel()


def test_every_message_of_the_front_ends_in_a_hint():
    for action in (
        lambda: net().fit(X, Y, epochs=-1),
        lambda: layers.Dense(0),
        lambda: layers.Dropout(2.0),
        lambda: net().set_weights([]),
        lambda: fastnn.Input(),
        lambda: fastnn.utils.to_categorical([5], 3),
    ):
        with pytest.raises((ValueError, TypeError), match=r"\n  hint: "):
            action()


def test_a_hint_of_the_core_has_a_line_of_its_own():
    with pytest.raises(fastnn.errors.ShapeError, match=r"do not broadcast.*\n  hint: sizes must"):
        fastnn.ops.add(np.ones((2, 3), np.float32), np.ones((2, 4), np.float32))
    layer = fastnn.layers.LayerNormalization(name="norm")
    layer.build((None, 6))
    with pytest.raises(fastnn.errors.ShapeError, match=r"\n  in layer 'norm' .*\n  hint: "):
        layer(np.ones((2, 17), np.float32))


def test_names_of_files_cannot_rewrite_a_message(tmp_path):
    name = "a\x1b[2Jb\nhint: c\u202ed"
    shown = r"a\x1b[2Jb\nhint: c\u202ed"
    folder = tmp_path / name
    folder.mkdir()
    model = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    broken = tmp_path / f"{name}.safetensors"
    broken.write_bytes(b"no model")
    wrong = [
        lambda: fastnn.load_model(broken),
        lambda: fastnn.load_model(tmp_path / f"{name}.keras"),
        lambda: model.load_weights(folder),
        lambda: model.save(folder),
        lambda: model.save(folder / "x" / "m.safetensors"),
        lambda: _core.load_file(str(broken)),
        lambda: _core.load_file(str(folder)),
        lambda: _core.load_file(str(folder / "absent")),
        lambda: _core.save_file(str(folder / "x" / "m"), {}, {}, None),
        lambda: _core.save_file(str(folder), {}, {}, None),
        lambda: _core.Model.load(str(broken)),
    ]
    for call in wrong:
        with pytest.raises((OSError, ValueError)) as caught:
            call()
        text = str(caught.value)
        assert shown in text.replace(r"\\n", r"\n"), text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "b\nhint" not in text
