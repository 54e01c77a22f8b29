"""`fastnn.onnx.load`: models that predict, train further and are saved."""

import copy
import pickle

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")
pytest.importorskip("onnxruntime", reason="needs onnxruntime to compare with")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx_graphs import F, floats, network, proto, rng

import fastnn
from fastnn import _core, layers as L
from fastnn.onnx import backend


def runtime(model, inputs):
    run = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return run.run(None, inputs)


def test_a_model_predicts_what_onnx_runtime_does():
    made, x = network(), floats(6, 4)
    model = fastnn.onnx.load(made.SerializeToString())
    want = runtime(made, {"x": x})[0]
    np.testing.assert_allclose(model(x), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model({"x": x}), want, rtol=1e-5, atol=1e-5)
    assert (model.input_names, model.output_names) == (["x"], ["y"])
    assert model.input_shape == (None, 4)


def test_float_arrays_are_weights_and_statistics_stand_still():
    model = fastnn.onnx.load(network().SerializeToString())
    named = {w.name: w.trainable for w in model.weights}
    assert named == {
        "w/1": True, "b:1": True, "scale": True, "shift": True, "mean": False, "var": False,
        "w2": True, "b2": True,
    }  # fmt: skip
    before = {w.name: w.numpy().copy() for w in model.weights}
    model.compile("sgd", "mse")
    history = model.fit(floats(32, 4), floats(32, 3), epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for w in model.weights:
        assert np.array_equal(before[w.name], w.numpy()) == (not w.trainable), w.name


def test_gradients_are_those_of_the_same_layers():
    dense = fastnn.Sequential([fastnn.Input((4,)), L.Dense(5, "tanh"), L.Dense(2)])
    again = fastnn.onnx.load(fastnn.onnx.to_proto(dense).SerializeToString())
    x, y = floats(64, 4), floats(64, 2)
    for model in (dense, again):
        model.compile(fastnn.optimizers.SGD(0.1), "mse")
        model.fit(x, y, epochs=3, shuffle=False, verbose=0)
    np.testing.assert_allclose(
        dense.predict(x, verbose=0), again.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("how", ["file", "keras", "pickle", "copy", "config"])
def test_a_loaded_model_is_kept_like_any_other(how, tmp_path, monkeypatch):
    model = fastnn.onnx.load(network().SerializeToString(), name="net")
    x = floats(5, 4)
    want = model.predict(x, verbose=0)
    if how == "file":
        model.compile("adam", "mse")
        model.fit(x, floats(5, 3), verbose=0)
        want = model.predict(x, verbose=0)
        model.save(tmp_path / "m.safetensors")
        # The file is read without the package onnx.
        monkeypatch.setitem(__import__("sys").modules, "onnx", None)
        again = fastnn.load_model(tmp_path / "m.safetensors")
        rust = _core.Model.load(tmp_path / "m.safetensors")
        np.testing.assert_array_equal(rust.predict(x), want)
        again.fit(x, floats(5, 3), verbose=0)
        again = fastnn.load_model(tmp_path / "m.safetensors")
    elif how == "keras":
        model.save(tmp_path / "m.keras")
        monkeypatch.setitem(__import__("sys").modules, "onnx", None)
        again = fastnn.load_model(tmp_path / "m.keras")
    elif how == "pickle":
        again = pickle.loads(pickle.dumps(model))
    elif how == "copy":
        again = copy.deepcopy(model)
    else:
        again = type(model).from_config(model.get_config())
        again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again.predict(x, verbose=0), want)
    assert again.name == "net"


def test_a_loaded_model_is_a_layer_of_others_and_is_exported():
    inner = fastnn.onnx.load(network().SerializeToString())
    x = fastnn.Input((4,))
    model = fastnn.Model(x, L.Dense(2)(inner(x)))
    data = floats(6, 4)
    run = runtime(fastnn.onnx.to_proto(model), {x.name: data})[0]
    np.testing.assert_allclose(model.predict(data, verbose=0), run, rtol=1e-5, atol=1e-5)


def test_several_inputs_and_whole_numbers():
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceMean", ["rows"], ["m"], axes=[1], keepdims=0),
        helper.make_node("Add", ["m", "x"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["top"], axis=1),
    ]
    made = proto(
        nodes, [("ids", TensorProto.INT64, ["N", "T"]), ("x", F, ["N", 4])],
        [("y", F, ["N", 4]), ("top", TensorProto.INT64, ["N", 1])], {"table": floats(9, 4)}, 13,
    )  # fmt: skip
    model = fastnn.onnx.load(made.SerializeToString())
    ids, x = rng.integers(0, 9, (3, 5)), floats(3, 4)
    want = runtime(made, {"ids": ids, "x": x})
    for given in ([ids, x], {"ids": ids, "x": x}):
        y, top = model(given)
        np.testing.assert_allclose(y, want[0], rtol=1e-5, atol=1e-6)
        assert top.dtype == np.int64
        np.testing.assert_array_equal(top, want[1])
        y, top = model.predict(given, verbose=0)
        np.testing.assert_allclose(y, want[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(top, want[1])
    y, _ = model(ids, x)
    np.testing.assert_allclose(y, want[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(fastnn.DataError, match=r"2 inputs, got 1"):
        model([ids])
    with pytest.raises(fastnn.DataError, match=r"lacks the input 'x'"):
        model({"ids": ids})


def test_shapes_that_are_computed_are_followed():
    """Shape, Gather, Concat, Reshape: as exporters write `view(x.size(0), -1)`."""
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "zero"], ["n"]),
        helper.make_node("Unsqueeze", ["n", "axes"], ["n1"]),
        helper.make_node("Concat", ["n1", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
        helper.make_node("Gather", ["s", "one"], ["t"]),
        helper.make_node("Range", ["zero", "t", "one"], ["steps"]),
        helper.make_node("Cast", ["steps"], ["float_steps"], to=F),
        helper.make_node("ReduceSum", ["float_steps"], ["total"], keepdims=0),
        helper.make_node("Mul", ["y", "total"], ["z"]),
    ]
    arrays = {
        "zero": np.int64(0), "one": np.int64(1), "axes": np.array([0]), "rest": np.array([-1]),
    }  # fmt: skip
    made = proto(nodes, [("x", F, ["N", "T", 4])], [("z", F, ["N", "M"])], arrays)
    model = fastnn.onnx.load(made.SerializeToString())
    for n, t in ((2, 3), (5, 7), (1, 4)):
        x = floats(n, t, 4)
        want = runtime(made, {"x": x})[0]
        np.testing.assert_allclose(model(x), want, rtol=1e-5)
        np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5)


def test_files_for_a_fixed_number_of_rows():
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Reshape", ["r", "to"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]  # fmt: skip
    arrays = {"to": np.array([1, 12]), "w": floats(12, 2)}
    made = proto(nodes, [("x", F, [1, 3, 4])], [("y", F, [1, 2])], arrays)
    x = floats(5, 3, 4)
    want = np.concatenate([runtime(made, {"x": x[i : i + 1]})[0] for i in range(5)])
    fixed = fastnn.onnx.load(made.SerializeToString())
    np.testing.assert_allclose(fixed.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)
    with pytest.raises(fastnn.ShapeError, match=r"the file says \(1, 3, 4\)\n  hint: .*open_batch"):
        fixed(x)
    free = fastnn.onnx.load(made.SerializeToString(), open_batch=True)
    np.testing.assert_allclose(free.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(free(x), want, rtol=1e-5, atol=1e-6)
    free.compile("sgd", "mse")
    free.fit(x, floats(5, 2), verbose=0)


def test_results_that_are_not_by_rows_are_not_joined():
    nodes = [helper.make_node("ReduceSum", ["x"], ["total"], keepdims=0),
             helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0])]  # fmt: skip
    for given, sizes in (("total", []), ("turned", [3, 2])):
        made = proto(nodes, [("x", F, [2, 3])], [(given, F, sizes)])
        model = fastnn.onnx.load(made.SerializeToString())
        x = floats(4, 3)
        want = runtime(made, {"x": x[:2]})[0]
        np.testing.assert_allclose(model.predict(x[:2], verbose=0), want, rtol=1e-5)
        with pytest.raises(
            fastnn.ShapeError, match=rf"output '{given}'.*joined\n  hint: predict 2"
        ):
            model.predict(x, verbose=0)


def test_pictures_are_resized_for_any_number_of_rows():
    x = floats(3, 2, 4, 5)
    arrays = {"by": np.float32([1, 1, 2, 1.5]), "sizes": np.array([7, 6])}
    nodes = [
        helper.make_node("Resize", ["x", "", "by"], ["a"], mode="linear"),
        helper.make_node("Shape", ["a"], ["s"], end=2),
        helper.make_node("Concat", ["s", "sizes"], ["to"], axis=0),
        helper.make_node("Resize", ["a", "", "", "to"], ["y"], mode="nearest"),
    ]
    made = proto(nodes, [("x", F, ["N", 2, 4, 5])], [("y", F, ["N", 2, 7, 6])], arrays)
    model = fastnn.onnx.load(made.SerializeToString())
    want = runtime(made, {"x": x})[0]
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)
    made = proto(nodes[:1], [("x", F, ["N", 2, "H", 5])], [("a", F, ["N", 2, "M", 7])], arrays)
    want = runtime(made, {"x": x})[0]
    model = fastnn.onnx.load(made.SerializeToString())
    np.testing.assert_allclose(model.predict(x, verbose=0), want, rtol=1e-5, atol=1e-6)


def test_branches_loops_and_functions_of_the_file():
    body = helper.make_graph(
        [helper.make_node("Mul", ["s", "half"], ["s2"]),
         helper.make_node("Add", ["s2", "v"], ["n"]),
         helper.make_node("Identity", ["n"], ["o"])],
        "body", [helper.make_tensor_value_info(k, F, [3]) for k in ("s", "v")],
        [helper.make_tensor_value_info(k, F, [3]) for k in ("n", "o")],
        [numpy_helper.from_array(np.float32(0.5), "half")],
    )  # fmt: skip
    twice = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    made = proto(
        [helper.make_node("Scan", ["start", "x"], ["last", "y"], body=body, num_scan_inputs=1),
         helper.make_node("Twice", ["y"], ["z"], domain="own")],
        [("x", F, ["N", 3])], [("z", F, ["N", 3])], {"start": np.zeros(3, np.float32)},
        functions=[twice],
    )  # fmt: skip
    made.opset_import.append(helper.make_opsetid("own", 1))
    model = fastnn.onnx.load(made.SerializeToString())
    x = floats(40, 3)
    want = runtime(made, {"x": x})[0]
    np.testing.assert_allclose(model(x), want, rtol=1e-5, atol=1e-6)


def _recurrent(op, activations, alpha, beta, lengths=None):
    gates, d = {"RNN": 1, "GRU": 3, "LSTM": 4}[op], 2 if "," in activations else 1
    names = activations.replace(",", " ").split()
    attrs = {"activations": names, "activation_alpha": alpha, "activation_beta": beta}
    attrs |= {"direction": "bidirectional"} if d == 2 else {}
    arrays = {"w": floats(d, gates * 2, 3), "r": floats(d, gates * 2, 2), "h": floats(d, 3, 2)}
    if lengths is not None:
        arrays["lengths"] = np.array(lengths, np.int32)
    node = helper.make_node(
        op, ["x", "w", "r", "", "" if lengths is None else "lengths", "h"], ["y", "last"],
        hidden_size=2, **{k: v for k, v in attrs.items() if v},
    )  # fmt: skip
    outputs = [("y", F, [4, d, 3, 2]), ("last", F, [d, 3, 2])]
    return proto([node], [("x", F, [4, 3, 3])], outputs, arrays, opset=14)


@pytest.mark.parametrize(
    ("op", "activations", "alpha", "beta"),
    [
        ("LSTM", "Elu Elu HardSigmoid", [0.44, 0.72, 0.28], [0.33]),
        ("LSTM", "Sigmoid LeakyRelu HardSigmoid", [0.6, 0.25], [0.4]),
        ("GRU", "HardSigmoid LeakyRelu, Elu ScaledTanh", [0.2, 0.1, 0.7, 0.9], [0.3, 0.6]),
        ("RNN", "ThresholdedRelu, Affine", [0.1, 0.5], [0.2]),
    ],
)
def test_parameters_go_to_the_activations_that_take_them(op, activations, alpha, beta):
    made, x = _recurrent(op, activations, alpha, beta), floats(4, 3, 3)
    for got, want in zip(fastnn.onnx.load(made)(x), runtime(made, {"x": x}), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("op", "activations"), [("RNN", "Tanh"), ("GRU", "Sigmoid Tanh"), ("LSTM", "Sigmoid Tanh Tanh")]
)
def test_a_sequence_of_no_steps_ends_in_zeros(op, activations):
    made, x = _recurrent(op, activations, [], [], lengths=[2, 0, 4]), floats(4, 3, 3)
    want = runtime(made, {"x": x})
    assert not want[1][:, 1].any()
    for got, each in zip(fastnn.onnx.load(made)(x), want, strict=True):
        np.testing.assert_allclose(got, each, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [4, 5, 6])  # those that ONNX Runtime takes
def test_what_a_transposed_convolution_lacks_stands_at_its_end(length):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[3], output_shape=[length])
    made = proto([node], [("x", F, [2, 1, 2])], [("y", F, [2, 2, length])], {"w": floats(1, 2, 1)})
    x = floats(2, 1, 2)
    np.testing.assert_allclose(
        fastnn.onnx.load(made)(x), runtime(made, {"x": x})[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("lengths", [[3, 3], [2, 3]])
def test_sequences_of_an_old_scan_are_whole_or_refused(lengths):
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "each"], ["t"]), helper.make_node("Neg", ["t"], ["out"])],
        "body", [info("s", F, [2]), info("each", F, [2])], [info("t", F, [2]), info("out", F, [2])],
    )  # fmt: skip
    node = helper.make_node("Scan", ["n", "s0", "x"], ["s", "y"], body=body, num_scan_inputs=1)
    arrays = {"n": np.array(lengths, np.int64), "s0": floats(2, 2)}
    outputs = [("s", F, [2, 2]), ("y", F, [2, 3, 2])]
    made, x = proto([node], [("x", F, [2, 3, 2])], outputs, arrays, opset=8), floats(2, 3, 2)
    model = fastnn.onnx.load(made)
    if min(lengths) < 3:
        with pytest.raises(fastnn.FormatError, match=r"\(Scan\): its sequences have lengths"):
            model(x)
        return
    for got, want in zip(model(x), runtime(made, {"x": x}), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


#: Names of nodes around the input `x` and a number `k` of its type, which may leave the type.
LEAVING = [
    "Add x k y", "Sub k x y", "Mul x x y", "Abs x a | Add a a y", "Transpose x a | Mul a k y",
    "Greater x k g | Where g k x a | Sub a x y", "Cast x a | Add a k y", "ReduceSum x y",
    "Split x a b | Add a b y", "Neg x a | Div a k y", "Cast x a | Mul a a b | Cast b y",
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "dtype"), [
    (nodes, dtype)
    for nodes in LEAVING for dtype in ("int8", "uint8", "int16", "uint16")
    # There is no Neg of them, and no trace casts to uint16.
    if not ("Neg" in nodes and dtype[0] == "u") and not ("Cast b" in nodes and dtype == "uint16")
])  # fmt: skip
def test_narrow_whole_numbers_wrap_around_where_a_trace_has_wide_ones(nodes, dtype):
    info = np.iinfo(dtype)
    element, wide = helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), TensorProto.INT32
    x = np.array([[info.max, info.min], [info.max - 1, 3], [7, info.max // 2]], dtype)
    made, ends = [], element
    for text in nodes.split(" | "):
        op, *names = text.split()
        more = {"Transpose": {"perm": [0, 1]}, "ReduceSum": {"keepdims": 1}, "Split": {"axis": 1}}
        more |= {"Cast": {"to": element if names[0] == "b" else wide}}
        inputs = names[:1] if op in ("Abs", "Cast", "Neg", "ReduceSum", "Split", "Transpose") else (
            names[:-1])  # fmt: skip
        made.append(helper.make_node(op, inputs, names[len(inputs) :], **more.get(op, {})))
    if nodes.startswith("Cast x a | Add"):
        ends = wide
    number = np.array(-1 if "Div" in nodes else 100, np.int32 if ends == wide else dtype)
    if made[0].op_type == "ReduceSum":
        made[0].input.append("axes")
    arrays = {"k": number, "axes": np.array([1], np.int64)}
    model = fastnn.onnx.load(
        proto(made, [("x", element, ["N", 2])], [("y", ends, None)], arrays, opset=13)
    )
    exact = np.asarray(model(x))
    found = np.asarray(model.predict(x, verbose=0))
    np.testing.assert_array_equal(found, exact)
    # What NumPy computes, whose whole numbers wrap around as those of ONNX do.
    with np.errstate(all="ignore"):
        k = number
        want = {
            "Add x k y": lambda: x + k, "Sub k x y": lambda: k - x, "Mul x x y": lambda: x * x,
            "Cast x a | Add a k y": lambda: x.astype(np.int32) + k,
            "Split x a b | Add a b y": lambda: x[:, :1] + x[:, 1:],
        }.get(nodes)  # fmt: skip
        if want is not None:
            np.testing.assert_array_equal(found, want())


def test_what_no_trace_holds_runs_on_arrays():
    made = proto(
        [helper.make_node("Det", ["x"], ["y"])], [("x", F, ["N", 3, 3])], [("y", F, ["N"])]
    )
    model = fastnn.onnx.load(made.SerializeToString())
    x = floats(4, 3, 3)
    for _ in range(2):
        np.testing.assert_allclose(model(x), np.linalg.det(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(fastnn.DataError, match=r"\(Det\)(.|\n)*on arrays"):
        model.predict(x, verbose=0)


def test_graphs_without_inputs_and_with_optional_ones():
    value = numpy_helper.from_array(np.arange(3, dtype=np.int64))
    made = proto([helper.make_node("Constant", [], ["y"], value=value)], [],
                 [("y", TensorProto.INT64, [3])])  # fmt: skip
    np.testing.assert_array_equal(fastnn.onnx.load(made.SerializeToString())(), [0, 1, 2])
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(F, [3]))
    graph = helper.make_graph(
        [helper.make_node("OptionalHasElement", ["x"], ["y"])], "g",
        [helper.make_value_info("x", kind)],
        [helper.make_tensor_value_info("y", TensorProto.BOOL, [])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model = fastnn.onnx.load(made.SerializeToString())
    assert not bool(model(None))
    assert bool(model(floats(3)))


@pytest.mark.parametrize("saved", [False, True])
def test_an_optional_array_is_no_sequence(saved, tmp_path):
    kind = helper.make_optional_type_proto(helper.make_tensor_type_proto(F, [3]))
    graph = helper.make_graph(
        [helper.make_node("OptionalGetElement", ["x"], ["y"])], "g",
        [helper.make_value_info("x", kind)], [helper.make_tensor_value_info("y", F, [3])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    x = floats(3)
    run = backend.prepare(made).run
    for given in (x, [x], {"x": x}):
        np.testing.assert_array_equal(run(given)[0], x)
    model = fastnn.onnx.load(made.SerializeToString())
    if saved:
        model.save(tmp_path / "m.keras")
        model = fastnn.models.load_model(tmp_path / "m.keras")
    for given in (x, [x]):
        np.testing.assert_array_equal(model(given), x)


# ---- real files ----------------------------------------------------------------------------------


def weights_of(data_dir, name):
    folder = data_dir / "weights" / "onnx"
    if not (folder / name).exists():
        pytest.skip("needs the trained files")
    return folder / name, np.load(folder / f"{name.removesuffix('.onnx')}.reference.npz")


def test_a_trained_network_for_digits(data_dir):
    path, reference = weights_of(data_dir, "mnist_cntk.onnx")
    model = fastnn.onnx.load(path, open_batch=True)
    _, (images, labels) = fastnn.datasets.mnist.load_data(data_dir / "mnist")
    x = images[:1000, None].astype(np.float32)
    found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found[:16], reference["logits_first16_test"], rtol=1e-4, atol=1e-2)
    assert (found.argmax(1) == labels[:1000]).mean() > 0.97


def test_a_trained_network_for_pictures(data_dir):
    path, reference = weights_of(data_dir, "SqueezeNet_fp16.onnx")
    pictures = reference["rgb_uint8_nhwc"].astype(np.float32)[..., ::-1]
    x = (pictures - np.array([104, 117, 123], np.float32)).transpose(0, 3, 1, 2)
    model = fastnn.onnx.load(path, open_batch=True)
    found = model.predict(np.ascontiguousarray(x), verbose=0)
    found = found.reshape(2, 1000)
    assert (found.argmax(1) == 985).all()
    np.testing.assert_allclose(found, reference["probs"], atol=5e-3)
    given = model(x[:1].astype(np.float16))
    assert np.asarray(given).dtype == np.float16


@pytest.mark.parametrize("kind", ["float32", "int32"])
@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("known", [True, False])
def test_places_that_are_written_twice_hold_the_last_or_the_exact_sum(kind, reduction, known):
    element = F if kind == "float32" else TensorProto.INT32
    large = 2**24 + 1  # no float32
    x = np.arange(12).reshape(3, 4).astype(kind)
    at = np.array([[0, -4, 2], [1, 1, 1], [3, 2, 3]], np.int32)
    rows = np.array([[1], [1], [-2], [0]], np.int32)
    updates = (np.arange(9).reshape(3, 3) + (large if kind == "int32" else 0.5)).astype(kind)
    blocks = (np.arange(16).reshape(4, 4) - (large if kind == "int32" else 0.5)).astype(kind)
    for op, index, new, attrs in (
        ("ScatterElements", at, updates, {"axis": 1}), ("ScatterND", rows, blocks, {}),
    ):  # fmt: skip
        inputs = [("x", element, [3, 4]), ("u", element, list(new.shape))]
        feeds = {"x": x, "u": new}
        arrays = {"i": index} if known else {}
        if not known:
            inputs.append(("i", TensorProto.INT32, list(index.shape)))
            feeds["i"] = index
        node = helper.make_node("Cast", ["i"], ["i64"], to=TensorProto.INT64)
        write = helper.make_node(op, ["x", "i64", "u"], ["y"], reduction=reduction, **attrs)
        made = proto([node, write], inputs, [("y", element, [3, 4])], arrays)
        want = runtime(made, feeds)[0]
        model = fastnn.onnx.load(made.SerializeToString())
        traced = fastnn.jit(lambda *a, model=model: model(list(a)))(*feeds.values())
        np.testing.assert_array_equal(np.asarray(traced), want)
        np.testing.assert_array_equal(np.asarray(model(list(feeds.values()))), want)


@pytest.mark.parametrize(
    ("op", "left", "right", "sizes"),
    [("Add", [6, 3], [1, 3], [6, 3]), ("Add", ["n", 3], [1, 3], ["batch", 3]),
     ("MatMul", [6, 4], [4, 6], [6, 6]), ("MatMul", ["n", 4], [4, 2], ["batch", 2])],
)  # fmt: skip
def test_inputs_whose_first_sizes_differ_keep_them_in_files(tmp_path, op, left, right, sizes):
    node = helper.make_node(op, ["a", "b"], ["y"])
    made = proto([node], [("a", F, left), ("b", F, right)], [("y", F, None)])
    a, b = (floats(*[5 if d == "n" else d for d in shape]) for shape in (left, right))
    want = runtime(made, {"a": a, "b": b})[0]
    model = fastnn.onnx.load(made.SerializeToString())
    again = fastnn.onnx.to_proto(model)
    dims = again.graph.output[0].type.tensor_type.shape.dim
    assert [d.dim_param or d.dim_value for d in dims] == sizes
    np.testing.assert_allclose(runtime(again, {"a": a, "b": b})[0], want, rtol=1e-5, atol=1e-5)
    model.save(tmp_path / "m.safetensors")
    loaded = fastnn.models.load_model(tmp_path / "m.safetensors")
    np.testing.assert_allclose(loaded([a, b]), want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("op", ["Gather", "GatherElements", "GatherND"])
@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize("bad", [4, 7, -5])
def test_indices_outside_of_their_axis_are_refused(op, writes, bad):
    op = op.replace("Gather", "Scatter") if writes else op
    index = np.array([[0, bad], [1, 1]] if op[-2:] == "ND" else [[0, bad]] * 3, np.int32)
    attrs = {} if op[-2:] == "ND" else {"axis": 1}
    feeds = {"x": floats(3, 4), "i": index}
    if writes:
        feeds["u"] = floats(*index.shape[:1]) if op == "ScatterND" else floats(*index.shape)
    given = [(k, F if k != "i" else TensorProto.INT32, list(v.shape)) for k, v in feeds.items()]
    node = helper.make_node(op, list(feeds), ["y"], **attrs)
    made = proto([node], given, [("y", F, None)], opset=10 if op == "Scatter" else 18)
    model = fastnn.onnx.load(made.SerializeToString())
    for call in (model, fastnn.jit(lambda *a: model(list(a)))):
        given = [list(feeds.values())] if call is model else feeds.values()
        with pytest.raises(fastnn.DataError, match=r"index|indices"):
            call(*given)


@pytest.mark.parametrize("op", ["ReduceMean", "ReduceL2", "ReduceSum", "ReduceL1"])
def test_whole_numbers_are_reduced_to_whole_ones(op):
    x = np.array([[7, -2, 2**24 + 1], [-9, 4, 0], [-8, 3, 1]], np.int32)
    one = TensorProto.INT32
    nodes = [helper.make_node(op, ["x", "axes"], ["r"], keepdims=0),
             helper.make_node("Mul", ["r", "r"], ["s"]),
             helper.make_node("Cast", ["s"], ["y"], to=F)]  # fmt: skip
    arrays = {"axes": np.array([1], np.int64)}
    made = proto(nodes, [("x", one, ["n", 3])], [("y", F, ["n"])], arrays)
    small = x[1:] if op == "ReduceL2" else x  # squares of larger ones leave 32 bits
    model = fastnn.onnx.load(made.SerializeToString())
    want = ReferenceEvaluator(made).run(None, {"x": small})[0]
    np.testing.assert_array_equal(model.predict(small, verbose=0), want)
    np.testing.assert_array_equal(model(small), want)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("ceil", [0, 1])
def test_places_of_maxima_are_compiled(order, ceil, tmp_path):
    node = helper.make_node(
        "MaxPool", ["x"], ["y", "i"], kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 0],
        ceil_mode=ceil, storage_order=order,
    )  # fmt: skip
    cast = helper.make_node("Cast", ["i"], ["z"], to=TensorProto.INT32)
    outputs = [("y", F, ["n", 2, None, None]), ("z", TensorProto.INT32, ["n", 2, None, None])]
    made = proto([node, cast], [("x", F, ["n", 2, 6, 7])], outputs)
    x = np.round(floats(3, 2, 6, 7))  # with equal numbers: the first of them counts
    want = runtime(made, {"x": x})
    model = fastnn.onnx.load(made.SerializeToString())
    for got in (model(x), model.predict(x, verbose=0)):
        np.testing.assert_array_equal(got[0], want[0])
        np.testing.assert_array_equal(got[1], want[1])
    model.export(tmp_path / "again.onnx")
    got = runtime(onnx.load(tmp_path / "again.onnx"), {"x": x})
    np.testing.assert_array_equal(got[1], want[1])


def test_maxima_go_back_to_their_places_in_predict():
    nodes = [
        helper.make_node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("MaxUnpool", ["p", "i"], ["y"], kernel_shape=[2, 2], strides=[2, 2]),
    ]
    made = proto(nodes, [("x", F, ["n", 2, 6, 8])], [("y", F, ["n", 2, 6, 8])])
    x = floats(3, 2, 6, 8)
    model = fastnn.onnx.load(made.SerializeToString())
    np.testing.assert_array_equal(model.predict(x, verbose=0), runtime(made, {"x": x})[0])


def test_blocks_are_added_up_where_they_lie_and_train(tmp_path):
    node = helper.make_node(
        "Col2Im", ["m", "size", "block"], ["y"], strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 2]
    )
    scale = helper.make_node("Mul", ["x", "s"], ["m"])
    arrays = {"size": np.array([5, 6]), "block": np.array([3, 2]), "s": floats(12, 1)}
    made = proto([scale, node], [("x", F, ["n", 12, 12])], [("y", F, ["n", 2, 5, 6])], arrays, 18)
    x = floats(3, 12, 12)
    want = runtime(made, {"x": x})[0]
    model = fastnn.onnx.load(made.SerializeToString())
    np.testing.assert_allclose(model(x), want, atol=1e-5)
    np.testing.assert_allclose(model.predict(x, verbose=0), want, atol=1e-5)
    model.export(tmp_path / "again.onnx")
    again = runtime(onnx.load(tmp_path / "again.onnx"), {"x": x})[0]
    np.testing.assert_allclose(again, want, atol=1e-5)
    model.compile("adam", "mse")
    losses = model.fit(x, want * 0, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
