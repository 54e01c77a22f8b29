"""Mistakes of users while they build, train and save: each message says what, where and how on.

`test_errors.py` holds the catalogue; these came from a walk through Keras's guides with slips.
"""

import numpy as np
import pytest

import fastnn
from fastnn import DataError, ShapeError, layers

X = np.ones((6, 4), np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])
TARGETS = np.ones((6, 1), np.float32)


def classifier(**settings):
    model = fastnn.Sequential(
        [fastnn.Input((4,)), layers.Dense(3, activation="softmax", name="head")], name="net"
    )
    model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", **settings})
    return model


def two_outputs():
    a = fastnn.Input((4,), name="a")
    model = fastnn.Model(a, [layers.Dense(1, name="p")(a), layers.Dense(1, name="q")(a)])
    model.compile("sgd", {"p": "mse", "q": "mse"})
    return model


def two_outputs_by_key():
    a = fastnn.Input((4,), name="a")
    model = fastnn.Model(a, {"p": layers.Dense(1)(a), "q": layers.Dense(1)(a)})
    model.compile("sgd", "mse")
    return model


def words():
    model = fastnn.Sequential(
        [
            fastnn.Input((3,), dtype="int32"),
            layers.Embedding(5, 2, name="tokens"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


class Forgets(layers.Layer):
    def call(self, inputs):
        inputs * 2


class ForgetsToo(fastnn.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(1)

    def call(self, inputs):
        self.dense(inputs)


class Holder(layers.Layer):
    def __init__(self, thing):
        super().__init__(name="holder")
        self.thing = thing

    def call(self, inputs):
        return inputs


def holding_an_object(path):
    inputs = fastnn.Input((4,))
    fastnn.Model(inputs, Holder(object())(inputs)).save(path / "m.safetensors")


def forgetting_model():
    model = ForgetsToo()
    model.compile("sgd", "mse")
    model.fit(X, TARGETS, verbose=0)


ROWS = [[1.0, 2.0, 3.0, 4.0], [1.0, 2.0]]
MISTAKES = {
    "argument by another name": (
        lambda path: layers.Dense(unit=3), TypeError,
        r"Dense needs the argument 'units'.*\n  hint: `unit` is called `units`",
    ),
    "call without return": (
        lambda path: Forgets(name="f")(fastnn.Input((4,))), DataError,
        r"layer 'f' \(Forgets\): its call returned nothing\n  hint: .*return",
    ),
    "model without return": (
        lambda path: forgetting_model(), DataError, r"call returned nothing.*\n  hint: .*return"),
    "no outputs": (
        lambda path: fastnn.Model(inputs=fastnn.Input((3,))), TypeError,
        r"Model got no outputs, wanted both\n  hint: Model\(inputs=x, outputs=layer\(x\)\)",
    ),
    "layer on a row": (
        lambda path: layers.Dense(3)([1, 2, 3]), ShapeError,
        r"expects inputs of at least 2 axes, got shape \(3,\)\n  hint: the first axis is the batch",
    ),
    "layer on a number": (
        lambda path: layers.Dense(3)(np.float32(1)), ShapeError,
        r"expects inputs of at least 2 axes, got shape \(\)\n  hint: the first axis is the batch",
    ),
    "ragged rows": (
        lambda path: classifier().fit(ROWS, [0, 1], verbose=0), DataError,
        r"x has rows of different lengths: row 0 has 4, row 1 has 2\n  hint: .*pad_sequences",
    ),
    "labels with fractions": (
        lambda path: classifier().fit(X, Y + 0.5, verbose=0), DataError,
        r"y holds 0.5 at position \(0,\), wanted whole class numbers 0…2\n  hint:",
    ),
    "labels below 0": (
        lambda path: classifier().fit(X, Y - 1, verbose=0), DataError,
        r"y holds class -1 at position \(0,\).*\n  hint: number the classes from 0",
    ),
    "token out of the table, training": (
        lambda path: words().fit(np.array([[1, 2, 9]]), TARGETS[:1], verbose=0), DataError,
        r"Embedding 'tokens': token id 9 at position \(0, 2\).*outside 0…4.*\n  hint: input_dim=10",
    ),
    "token out of the table, evaluating": (
        lambda path: words().evaluate(np.array([[1, 7, 0]]), TARGETS[:1], verbose=0), DataError,
        r"Embedding 'tokens': token id 7 at position \(0, 1\)",
    ),
    "token out of the table, predicting": (
        lambda path: words().predict(np.array([[5, 2, 0]]), verbose=0), DataError,
        r"Embedding 'tokens': token id 5 at position \(0, 0\)",
    ),
    "token out of the table, a batch of training": (
        lambda path: words().train_on_batch(np.array([[1, 2, 9]]), TARGETS[:1]), DataError,
        r"Embedding 'tokens': token id 9 at position \(0, 2\).*outside 0…4.*\n  hint: input_dim=10",
    ),
    "token out of the table, a batch of evaluating": (
        lambda path: words().test_on_batch(np.array([[1, -1, 0]]), TARGETS[:1]), DataError,
        r"Embedding 'tokens': token id -1 at position \(0, 1\)",
    ),
    "token out of the table, a batch of predicting": (
        lambda path: words().predict_on_batch(np.array([[5, 2, 0]])), DataError,
        r"Embedding 'tokens': token id 5 at position \(0, 0\)",
    ),
    "words to pad": (
        lambda path: fastnn.utils.pad_sequences([["a"], ["b", "c"]]), ValueError,
        r"sequences\[0\] does not fit dtype int32.*\n  hint: number the words first",
    ),
    "pictures of several sizes": (
        lambda path: classifier().fit([np.zeros(4), np.zeros(5)], [0, 1], verbose=0), ShapeError,
        r"x\[1\] has shape \(5,\), x\[0\] has \(4,\)\n  hint: .*resize pictures",
    ),
    "pictures of several sizes, augmented": (
        lambda path: fastnn.keras.preprocessing.image.ImageDataGenerator().flow(
            [np.zeros((4, 4, 3)), np.zeros((5, 4, 3))]
        ), ShapeError,
        r"x\[1\] has shape \(5, 4, 3\), x\[0\] has \(4, 4, 3\)\n  hint:",
    ),
    "the mean of no steps": (
        lambda path: layers.GlobalAveragePooling1D()(np.zeros((2, 0, 3))), ShapeError,
        r"no positions to average.*\(2, 0, 3\)(?s:.)*hint: at least one",
    ),
    "one state of two": (
        lambda path: layers.LSTMCell(2)(np.zeros((2, 3)), [np.zeros((2, 2))]), DataError,
        r"got 1 states, wanted 2\n.*hint: states=\[h, c\]",
    ),
    "upsampling by nothing": (
        lambda path: layers.UpSampling2D(0), ValueError,
        r"`size` argument must be a tuple of 2 integers. Received size=0.*\n  hint:",
    ),
    "validation data without targets": (
        lambda path: classifier().fit(X, Y, validation_data=X, verbose=0), DataError,
        r"validation_data is ndarray without targets.*\n  hint: validation_data=\(x_val, y_val\)",
    ),
    "target of an unknown output": (
        lambda path: two_outputs().fit(X, {"p": TARGETS, "r": TARGETS}, verbose=0), ValueError,
        r"unknown output in y: 'r'\n  hint: known names: p, q",
    ),
    "target of an unknown key of the outputs": (
        lambda path: two_outputs_by_key().fit(X, {"q": TARGETS, "r": TARGETS}, verbose=0),
        ValueError, r"unknown output in y: 'r'\n  hint: known names: p, q",
    ),
    "target of a key missing": (
        lambda path: two_outputs_by_key().evaluate(X, {"p": TARGETS}, verbose=0), DataError,
        r"y lacks the output 'q', it has 'p'\n  hint: .*p, q",
    ),
    "loss without a return": (
        lambda path: classifier(loss=lambda y, p: None).fit(X, Y, verbose=0), DataError,
        r"the loss '<lambda>' returned None.*\n  hint: end it with `return",
    ),
    "target missing": (
        lambda path: two_outputs().fit(X, {"p": TARGETS}, verbose=0), DataError,
        r"y lacks the output 'q', it has 'p'\n  hint: .*p, q",
    ),
    "callback class": (
        lambda path: classifier().fit(X, Y, callbacks=[fastnn.callbacks.EarlyStopping]), TypeError,
        r"callbacks hold <class .*\n  hint: callbacks=\[EarlyStopping\(\.\.\.\)\]",
    ),
    "loss of one argument": (
        lambda path: classifier(loss=lambda y: y), TypeError,
        r"loss '<lambda>' takes \(y\), it is called with \(y_true, y_pred\).*\n  hint: def my_loss",
    ),
    "file of another library": (
        lambda path: classifier().save(path / "model.pt"), ValueError,
        r"fastnn does not write .pt files\n  hint: save to 'model.safetensors', or",
    ),
    "folder for a file": (
        lambda path: fastnn.models.load_model(path), IsADirectoryError,
        r"is a folder, wanted a file\n  hint:",
    ),
    "config of an object": (
        holding_an_object, TypeError,
        r"layer 'holder' \(Holder\): argument `thing`: <object .*\n  hint: define get_config",
    ),
    "too wide": (
        lambda path: layers.Dense(10**12, name="wide").build((None, 10**6)), MemoryError,
        r"layer 'wide' \(Dense\): weight 'kernel' of shape \(1000000, 1000000000000\) needs",
    ),
    "layer of PyTorch": (
        lambda path: layers.TorchModuleWrapper(None), AttributeError,
        r"has no 'TorchModuleWrapper': there is no PyTorch back end\n  hint:",
    ),
    "quantised policy": (
        lambda path: fastnn.dtype_policies.GPTQDTypePolicy, AttributeError,
        r"weights are quantised after training\n  hint: model.quantize",
    ),
    "map of policies": (
        lambda path: fastnn.dtype_policies.DTypePolicyMap(), AttributeError,
        r"a layer has the policy it was made with\n  hint: layers.Dense",
    ),
    "limit of epochs": (
        lambda path: fastnn.config.set_max_epochs(3), AttributeError,
        r"runs are not cut from outside\n  hint: fit\(epochs",
    ),
    "remat scope": (
        lambda path: fastnn.keras.RematScope(), AttributeError, r"by the compiler\n  hint:",
    ),
    "file editor": (
        lambda path: fastnn.saving.KerasFileEditor("m.keras"), AttributeError,
        r"files are not edited in place\n  hint: load_model",
    ),
    "session": (
        lambda path: fastnn.Session(), AttributeError, r"no graph session\n  hint: .*jit"),
    "variables as argnums": (
        lambda path: fastnn.value_and_grad(lambda w: w, classifier().trainable_variables),
        TypeError, r"argnums is list of Variable.*\n  hint: value_and_grad\(loss\)\(model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("slip", MISTAKES)
def test_the_message_names_the_mistake_and_the_way_on(slip, tmp_path):
    act, kind, text = MISTAKES[slip]
    with pytest.raises(kind, match=text):
        act(tmp_path)


def test_faults_in_validation_data_are_said_to_be_there():
    with pytest.raises(ShapeError, match=r"x has 2 features, .* expects 4") as caught:
        classifier().fit(X, Y, validation_data=(X[:, :2], Y), verbose=0)
    assert "in validation_data" in caught.value.__notes__[0]


def pictures(*shape):
    model = fastnn.Sequential([fastnn.Input((4, 5, 3)), layers.GlobalAveragePooling2D()])
    return model.predict(np.ones(shape, np.float32), verbose=0)


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((4, 5, 3), r"x\[None\] makes it a batch of one"),
        ((2, 3, 4, 5), r"np\.moveaxis\(x, 1, -1\)"),
        ((2, 4, 6, 3), "check the columns"),
    ],
)
def test_shapes_that_do_not_fit_are_told_what_brings_them_there(shape, hint):
    with pytest.raises(ShapeError, match=hint):
        pictures(*shape)


@pytest.mark.parametrize("y", [Y, Y[:3] * 0], ids=["numbers", "zeros"])
def test_class_numbers_for_a_one_hot_loss_are_told_the_sparse_one(y):
    with pytest.raises(DataError, match="sparse_categorical_crossentropy"):
        classifier(loss="categorical_crossentropy").fit(X[: len(y)], y, verbose=0)


def test_a_softmax_of_one_unit_warns():
    with pytest.warns(UserWarning, match=r"softmax of one unit.*\n  hint: activation='sigmoid'"):
        layers.Dense(1, activation="softmax")


def test_copies_of_layers_need_no_arguments():
    import copy

    layer = layers.Dense(3, name="d")
    assert copy.deepcopy(layer).units == 3


def test_an_embedding_that_is_called_names_the_number_as_it_was_given():
    tokens = layers.Embedding(5, 2, name="tokens")
    compiled = fastnn.jit(lambda x: tokens(x))
    slope = fastnn.jit(lambda x: fastnn.ops.sum(fastnn.Sequential([tokens])(x)))
    for _ in range(3):  # the shorter way of calls after the first
        compiled(fastnn.tensor(np.zeros((2, 2), "i4")))
    for given, place, hint in (
        (-1, (0, 1), "number the"),
        (-5, (1, 0), "from 0"),
        (5, (1, 1), "6 or"),
    ):
        ids = np.zeros((2, 2), "i4")
        ids[place] = given
        at = rf"position \({place[0]}, {place[1]}\)"
        wanted = rf"'tokens': token id {given} at {at}(?s:.)*hint: .*{hint}"
        with pytest.raises(fastnn.errors.DataError, match=wanted):
            tokens(ids)
        with pytest.raises(fastnn.errors.DataError, match=wanted):
            fastnn.Sequential([tokens])(ids)
        with pytest.raises(fastnn.errors.DataError, match=wanted):
            compiled(fastnn.tensor(ids))
        with pytest.raises(fastnn.errors.DataError, match=wanted):
            slope(ids)


@pytest.mark.parametrize(
    "setting",
    [
        {"validation_freq": 0}, {"validation_freq": -1}, {"validation_freq": "2"},
        {"validation_freq": 1.5}, {"validation_freq": [0, 2]}, {"validation_freq": None},
        {"validation_steps": 0}, {"validation_steps": "2"}, {"validation_batch_size": 0},
    ],
)  # fmt: skip
def test_settings_of_validation_are_refused_before_an_epoch_is_trained(setting):
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.get_weights()
    (name,) = setting
    with pytest.raises(ValueError, match=rf"^{name} is .*, wanted (.|\n)*hint:"):
        model.fit(X, TARGETS, validation_data=(X, TARGETS), verbose=0, **setting)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


class _NoBase(layers.Layer):
    def __init__(self):
        self.factor = 2.0

    def call(self, inputs):
        return inputs * self.factor


FIRST = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ("slip", "kind", "says"),
    [
        (lambda: fastnn.Sequential(layers.Dense(2), layers.Dense(1)), TypeError, "one list of lay"),
        (lambda: fastnn.Sequential([layers.Dense]), ValueError, "the class Dense"),
        (lambda: fastnn.Input(8, 8), ValueError, r"8, 8 may be .*\n  hint: Input\(\(8, 8\)\)"),
        (lambda: fastnn.models.load_model(None), TypeError, "the path is None"),
        (lambda: fastnn.Sequential().save(3), TypeError, "the path is 3"),
        (lambda: fastnn.Sequential().export(None), TypeError, "the path is None"),
        (lambda: fastnn.models.clone_model(3), ValueError, "takes a model, got 3"),
        (lambda: fastnn.evaluate_stability("m", FIRST, FIRST), TypeError, "build is 'm', wan"),
        (lambda: fastnn.grad(3.0), TypeError, "grad takes a function, got float"),
        (lambda: fastnn.value_and_grad(None), TypeError, "takes a function, got NoneType"),
        (lambda: fastnn.jit(FIRST), TypeError, "jit takes a function, got ndarray"),
        (lambda: _NoBase()(FIRST), AttributeError, r"base is not set up\n  hint: super\(\)"),
        (lambda: fastnn.Sequential([fastnn.Input((3,)), _NoBase()]), AttributeError, "not set up"),
        (lambda: layers.MultiHeadAttention(2, 3)(FIRST[None]), TypeError,
         r"'value', which is missing\n  hint: MultiHeadAttention\(...\)\(query, value\)"),
    ],
)  # fmt: skip
def test_a_slip_of_a_first_day_is_told_and_mended(slip, kind, says):
    with pytest.raises(kind, match=says) as caught:
        slip()
    assert "\n  hint: " in str(caught.value)


def test_an_attribute_that_a_property_of_a_layer_misses_is_the_one_named():
    class Half(layers.Layer):
        @property
        def half(self):
            return self.whole / 2

    with pytest.raises(AttributeError, match=r"no attribute 'whole'$"):
        _ = Half().half
    assert not hasattr(Half(), "half")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: fastnn.ops.zeros(-1), "size -1 in shape"),
        (lambda: fastnn.ops.ones((2, -3)), "size -3 in shape"),
        (lambda: fastnn.ops.full((2.5,), 1.0), "size 2.5 in shape"),
        (lambda: fastnn.ops.zeros("ab"), "size 'ab' in shape"),
        (lambda: fastnn.ops.zeros(None), "size None in shape"),
        (lambda: fastnn.ops.zeros([[2, 3]]), "in shape"),
        (lambda: fastnn.ops.ones((2**31, 2**31)), "more than 2\\^60 elements"),
        (lambda: fastnn.ops.eye(-1), "eye: size -1"),
        (lambda: fastnn.ops.eye(2**40), "eye: .*more than 2\\^60"),
        (lambda: fastnn.ops.arange(0.0, 1.0, 0.0), "arange: step is 0"),
    ],
)
def test_shapes_that_no_array_has_are_refused_with_a_hint(wrong, said):
    with pytest.raises((ValueError, TypeError), match=rf"{said}(.|\n)*hint: "):
        wrong()


def test_shapes_of_arrays_may_be_any_whole_numbers():
    sizes = np.array([2, 3])
    for shape in (sizes, list(sizes), tuple(sizes), fastnn.tensor(sizes), (np.int8(2), 3)):
        assert fastnn.ops.zeros(shape).shape == (2, 3)
    assert fastnn.ops.ones(np.int64(2)).shape == (2,)
    assert fastnn.ops.eye(np.int64(2), np.int32(3)).shape == (2, 3)
