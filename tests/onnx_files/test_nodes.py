"""ONNX's own tests of nodes, run by `fastnn.onnx.backend`: all pass but those listed here."""

import warnings

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")

import onnx
from onnx import numpy_helper

from fastnn import _core
from fastnn.errors import FastnnError
from fastnn.onnx import backend
from fastnn.onnx.exact import as_declared
from fastnn.onnx.reader import read
from fastnn.onnx.run import Runner
from fastnn.onnx.values import tensor
from fastnn.tracing.variables import Scope

#: Parts of names of cases that do not pass, and why.
REASONS = {
    "_bf16": "expects the roundings of bfloat16 between all steps; here sums are float32",
    "attention_4d_causal_fp16_expanded": "expects the roundings of float16 between all steps",
    "image_decoder": "pictures are read by fastnn.utils.load_img",
    "ai_onnx_ml_tree": "trees are scikit-learn's field",
    "adagrad": "steps of optimizers are fastnn.optimizers'",
    "adam": "steps of optimizers are fastnn.optimizers'",
    "momentum": "steps of optimizers are fastnn.optimizers'",
    "training_dropout": "draws by a generator that ONNX does not define",
    "bernoulli": "draws by a generator that ONNX does not define: shapes and values are checked",
}
#: What the newest version that was looked at has, and how many of its cases pass.
VERSION, CASES, PASS = "1.23.2", 1884, 1855
#: Of the cases with a float32 input, so many also give their results as a compiled function of
#: those inputs, as `predict` and files have it.
COMPILED = 1160


def _array(x):
    if isinstance(x, onnx.TensorProto):
        return numpy_helper.to_array(x)
    return numpy_helper.to_list(x) if isinstance(x, onnx.SequenceProto) else x


def assert_same(want, got, case):
    if isinstance(want, list | tuple):
        assert len(want) == len(got)
        for a, b in zip(want, got, strict=True):
            assert_same(a, b, case)
        return
    if want is None:
        assert got is None
        return
    want, got = np.asarray(want), np.asarray(got)
    assert want.shape == got.shape, (want.shape, got.shape)
    assert want.dtype == got.dtype, (want.dtype, got.dtype)
    if want.dtype == object:
        assert (want == got).all()
        return
    if want.dtype.kind not in "fiubc":
        want, got = want.astype(np.float32), got.astype(np.float32)
    np.testing.assert_allclose(got, want, rtol=case.rtol, atol=case.atol)


@pytest.fixture(scope="module")
def cases():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests

        return load_model_tests(kind="node")


@pytest.fixture(scope="module")
def faults(cases):
    """What went wrong, by the name of the case; None for those that pass."""
    found = {}
    for case in cases:
        try:
            model = backend.prepare(case.model)
            for inputs, outputs in case.data_sets:
                got = model.run([_array(x) for x in inputs])
                if "bernoulli" in case.name:
                    for want, have in zip(outputs, got, strict=True):
                        assert want.shape == have.shape
                        assert set(np.unique(have)) <= {0, 1}
                    continue
                assert len(got) == len(outputs)
                for want, have in zip(outputs, got, strict=True):
                    assert_same(_array(want), have, case)
            found[case.name] = None
        except (FastnnError, AssertionError) as error:
            found[case.name] = f"{type(error).__name__}: {str(error)[:200]}"
    return found


@pytest.mark.slow
def test_every_case_passes_or_is_listed_with_its_reason(faults):
    wrong = {
        name: fault
        for name, fault in faults.items()
        if fault is not None and not any(part in name for part in REASONS)
    }
    assert not wrong, "\n".join(f"{n}: {f}" for n, f in list(wrong.items())[:20])


@pytest.mark.slow
def test_so_many_cases_pass(faults):
    passed = sum(fault is None for fault in faults.values())
    assert passed >= 0.98 * len(faults)
    if onnx.__version__ == VERSION:
        assert (passed, len(faults)) >= (PASS, CASES)


@pytest.mark.slow
def test_refusals_name_the_node_and_the_op(faults):
    for name, fault in faults.items():
        if fault is not None and "there is no op" in fault:
            assert "node '" in fault, name


def compiled(case):
    """Results of a case as a compiled function of its float32 inputs; None when it has none."""
    graph = read(case.model)
    inputs, _ = case.data_sets[0]
    given = {v.name: _array(x) for v, x in zip(graph.inputs, inputs, strict=True)}
    feeds, arrays = {}, []
    for name, x in given.items():
        if isinstance(x, np.ndarray) and x.dtype == np.float32:
            feeds[name] = _core.placeholder(x.shape, dtype="float32")
            arrays.append(x)
    if not feeds:
        return None
    with Scope(training=False):
        found = [tensor(x) for x in Runner(graph).run({**given, **feeds})]
    results = _core.Function(list(feeds.values()), found, [])(*arrays)
    results = results if isinstance(results, tuple) else (results,)
    return [as_declared(x, v) for x, v in zip(results, graph.outputs, strict=True)]


@pytest.mark.slow
def test_most_cases_of_float32_are_compiled_as_well(cases, faults):
    """A refusal names what has to be known; a compiled graph never gives another result."""
    passed, refused = 0, {}
    for case in cases:
        if faults[case.name] is not None or "bernoulli" in case.name or "random" in case.name:
            continue
        try:
            got = compiled(case)
        except FastnnError as error:
            refused[case.name] = str(error)
            continue
        if got is None:
            continue
        for want, have in zip(case.data_sets[0][1], got, strict=True):
            assert_same(_array(want), have, case)
        passed += 1
    assert passed >= COMPILED, f"{passed} compiled, {len(refused)} refused"
    for name, text in refused.items():
        assert "hint:" in text, name
