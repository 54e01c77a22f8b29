"""Each row of the op table is written in ONNX, or is listed with what to do instead."""

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")
pytest.importorskip("onnxruntime", reason="needs onnxruntime to compare with")

import onnx
import onnxruntime as ort

import fastnn
from fastnn import _core, layers, ops
from fastnn.onnx import rows, to_proto
from fastnn.onnx.traced import TracedModel, _as_file
from fastnn.onnx.writer import _graph
from row_table import ROWS, cases_of, sample

#: Results of rows that only gradients read, or that ONNX numbers otherwise: they are refused.
REFUSED = {
    "gru": {"gates", "inner", "before"},
    "lstm": {"gates", "cells", "before"}, "max_pool": {"indices"}, "simple_rnn": {"before"},
}  # fmt: skip
OPSETS = sorted({17, 18, min(onnx.defs.onnx_opset_version(), 23)})


def test_every_row_is_written_or_listed_with_its_reason():
    known = set(ROWS)
    assert not known - set(rows.ROWS) - set(rows.NOT_WRITTEN), "rows without a translation"
    assert not set(rows.ROWS) & set(rows.NOT_WRITTEN)
    assert set(rows.ROWS) - known == {"scan"}, "a loop, which stands in no table"
    assert set(rows.NOT_WRITTEN) <= known


def test_a_row_that_is_listed_is_refused_with_what_to_do_instead():
    draws = layers.Lambda(lambda x: x + _core.ops.random_uniform(np.zeros(4, "int32"), shape=(4,)))
    with pytest.raises(fastnn.DataError, match=r"op 'random_uniform'.*\n  hint: random numbers"):
        to_proto(fastnn.Sequential([fastnn.Input((4,)), draws]))


def written(feeds, result, opset):
    """A file that gives one tensor, as bytes."""
    graph, tensors = _as_file(_core.Function(feeds, [result], []), {})
    names = [f"x{i}" for i in range(len(feeds))]
    traced = TracedModel(graph, tensors, names, ["y"], [tuple(result.shape)], [], feeds)
    proto = onnx.helper.make_model(
        _graph(onnx, traced, opset, "row"),
        opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString()


def run(file, arrays):
    session = ort.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: arrays[int(i.name[1:])] for i in session.get_inputs()})[0]


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", sorted(set(ROWS) & set(rows.ROWS)))
def test_onnx_runtime_gives_all_results_of_a_row(name, opset, rng):
    row, refused = ROWS[name], set()
    labels = ["", *(part for part, _ in row.parts)]
    cases = (cases_of(row, small=True) or cases_of(row, small=False))[:12]
    if "weights" in row.args:  # ONNX Runtime runs no Scan of no steps
        cases = [one for one in cases if 0 not in one.inputs[0]]
    assert cases, name
    for one in cases:
        arrays = sample(row, one, rng)
        feeds = [_core.placeholder(a.shape, dtype=str(a.dtype)) for a in arrays]
        # What drops states belongs to training: only the number 1 is written.
        given = [1.0 if a == "drop" else x for a, x in zip(row.args, feeds, strict=False)]
        given += feeds[len(given) :]
        made = getattr(_core.ops, name)(*given, **one.attrs)
        made = list(made) if row.parts else [made]
        for label, result in zip(labels, made, strict=True):
            want = np.asarray(_core.Function(feeds, [result], [])(*arrays))
            # NumPy, and so ONNX Runtime's interface, has no bfloat16.
            shown = ops.cast(result, "float32") if result.dtype == "bfloat16" else result
            want = want.astype(shown.dtype)
            try:
                file = written(feeds, shown, opset)
            except fastnn.DataError as error:
                if f"op {name!r}, which has no counterpart" not in str(error):
                    raise
                refused.add(label)
                continue
            got = run(file, arrays)
            assert got.shape == want.shape, one.label()
            assert str(got.dtype) == str(shown.dtype), one.label()
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5, err_msg=one.label())
    assert refused == REFUSED.get(name, set())
