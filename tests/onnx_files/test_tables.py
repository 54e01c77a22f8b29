"""Nodes of the domain ai.onnx.ml that stand around networks, as skl2onnx writes them."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")
pytest.importorskip("onnxruntime", reason="needs onnxruntime to compare with")

import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

import fastnn

rng = np.random.default_rng(0)
F, INT, S = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING
X = rng.normal(size=(6, 4)).astype(np.float32)
K, B = rng.normal(size=12).round(3).tolist(), rng.normal(size=3).round(3).tolist()
LACKING = np.where(X > 0.8, np.float32(np.nan), X)
CODES = rng.integers(0, 4, (6, 1))
WORDS = np.array([["cat"], ["dog"], ["cow"], ["cat"], ["emu"], ["dog"]], object)


def proto(nodes, x, outputs, arrays=None):
    kind = {"f": F, "i": INT, "O": S}[x.dtype.kind]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", kind, ["n", *x.shape[1:]])],
        [helper.make_tensor_value_info(n, t, None) for n, t in outputs.items()],
        [numpy_helper.from_array(a, k) for k, a in (arrays or {}).items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def one(op, inputs=("x",), **attributes):
    return [helper.make_node(op, list(inputs), ["y"], domain="ai.onnx.ml", **attributes)]


def classifier(**more):
    return [helper.make_node(
        "LinearClassifier", ["x"], ["label", "y"], domain="ai.onnx.ml", coefficients=K,
        intercepts=B, **more,
    )]  # fmt: skip


#: Nodes, the input, the outputs' types, arrays of the file, and whether a trace holds it.
CASES = {
    "scaler": (one("Scaler", offset=[1.0, 2.0, 3.0, 4.0], scale=[0.5, 1.0, 2.0, 0.1]), X, {"y": F}),
    "scaler of whole numbers": (one("Scaler", offset=[1.0], scale=[0.5]), CODES, {"y": F}),
    "largest": (one("Normalizer", norm="MAX"), X, {"y": F}),
    "l1": (one("Normalizer", norm="L1"), X, {"y": F}),
    "l2 of zeros too": (one("Normalizer", norm="L2"), np.r_[X, 0 * X[:1]], {"y": F}),
    "regression": (one("LinearRegressor", coefficients=K, intercepts=B, targets=3), X, {"y": F}),
    "softmax": (classifier(classlabels_ints=[4, 5, 7], post_transform="SOFTMAX"), X,
                {"label": INT, "y": F}),
    "logistic": (classifier(classlabels_ints=[4, 5, 7], post_transform="LOGISTIC"), X,
                 {"label": INT, "y": F}),
    "words": (classifier(classlabels_strings=["a", "b", "c"]), X, {"label": S, "y": F}, None,
              False),
    "binarizer": (one("Binarizer", threshold=0.25), X, {"y": F}),
    "imputer": (one("Imputer", imputed_value_floats=[1.0, 2.0, 3.0, 4.0],
                    replaced_value_float=float("nan")), LACKING, {"y": F}),
    "imputer of whole numbers": (one("Imputer", imputed_value_int64s=[9], replaced_value_int64=2),
                                 CODES, {"y": INT}),
    "vectorizer": (one("FeatureVectorizer", ["x", "x"], inputdimensions=[4, 4]), X, {"y": F}),
    "one-hot": (one("OneHotEncoder", cats_int64s=[0, 2, 3]), CODES, {"y": F}),
    "one-hot of words": (one("OneHotEncoder", cats_strings=["cat", "dog"]), WORDS, {"y": F}, None,
                         False),
    "labels": (one("LabelEncoder", keys_strings=["cat", "dog"], values_int64s=[3, 5],
                   default_int64=-7), WORDS, {"y": INT}, None, False),
    "columns": (one("ArrayFeatureExtractor", ["x", "at"]), X, {"y": F},
                {"at": np.array([3, 0], np.int64)}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_nodes_for_tables_give_what_onnx_runtime_does(case):
    nodes, x, outputs, arrays, compiled = (*CASES[case], *(None, True)[len(CASES[case]) - 3 :])
    data = proto(nodes, x, outputs, arrays)
    wanted = ort.InferenceSession(data).run(None, {"x": x})
    model = fastnn.onnx.load(data)
    found = model(x)
    found = list(found) if isinstance(found, list | tuple) else [found]
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert np.shape(a) == b.shape
        assert (np.asarray(a) == b).all() if b.dtype == object else np.allclose(a, b, atol=1e-6)
    if compiled:
        twice = model.predict(np.concatenate([x, x]), verbose=0)
        for a, b in zip(twice if isinstance(twice, list) else [twice], wanted, strict=True):
            assert np.allclose(a, np.concatenate([b, b]), atol=1e-6)


def test_the_classes_of_a_network_are_looked_up():
    # As skl2onnx writes a classifier's end, where the place of the largest score is computed.
    nodes = [
        helper.make_node("ArgMax", ["x"], ["at"], axis=1),
        helper.make_node("ArrayFeatureExtractor", ["classes", "at"], ["row"], domain="ai.onnx.ml"),
        helper.make_node("Reshape", ["row", "flat"], ["y"]),
    ]
    arrays = {"classes": np.array([10, 20, 30, 40]), "flat": np.array([-1])}
    data = proto(nodes, X, {"y": INT}, arrays)
    wanted = ort.InferenceSession(data).run(None, {"x": X})[0]
    model = fastnn.onnx.load(data)
    assert (np.asarray(model(X)) == wanted).all()
    assert (model.predict(X, verbose=0) == wanted).all()


REFUSED = {
    "columns": (one("Scaler", offset=[1.0, 2.0], scale=[1.0]), X, "2 numbers for 4 columns"),
    "kernel": (one("LinearRegressor", coefficients=K[:5], targets=3), X, "5 coefficients"),
    "classes": (classifier(classlabels_ints=[1, 2]), X, "other than its 2 classes"),
    "transform": (one("LinearRegressor", coefficients=K, targets=3, post_transform="PROBIT"), X,
                  "post_transform is 'PROBIT'"),
    "norm": (one("Normalizer", norm="L7"), X, "norm is 'L7'"),
    "unknown class": (one("OneHotEncoder", cats_int64s=[9], zeros=0), CODES, "none of its classes"),
    "keys": (one("LabelEncoder", keys_int64s=[1, 2], values_int64s=[1]), CODES, "2 keys and 1"),
    "zipmap": (one("ZipMap", classlabels_int64s=[1]), X, "zipmap"),
    "trees": (one("TreeEnsembleRegressor"), X, "there is no op"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_nodes_for_tables_that_make_no_sense_are_named(case):
    nodes, x, says = REFUSED[case]
    with pytest.raises(fastnn.FormatError, match=says) as caught:
        fastnn.onnx.load(proto(nodes, x, {"y": F}))(x)
    assert f"(ai.onnx.ml.{nodes[0].op_type})" in str(caught.value)
    assert "\n  hint: " in str(caught.value)


def test_columns_beyond_the_array_are_refused():
    data = proto(
        one("ArrayFeatureExtractor", ["x", "at"]), X, {"y": F}, {"at": np.array([4], np.int64)}
    )
    with pytest.raises(fastnn.FormatError, match="indices 4 to 4, of 4 values"):
        fastnn.onnx.load(data)(X)
