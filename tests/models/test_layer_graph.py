"""The graph of layers as one value: run, cut, written down and made again."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops
from fastnn.base import tree
from fastnn.errors import FormatError
from fastnn.tracing.layer_graph import LayerGraph, Place, Record


def made():
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((3,), name="b")
    shared = layers.Dense(3, name="shared")
    x = shared(a) + shared(b)
    return LayerGraph([a, b], {"out": ops.relu(x), "sum": x}, "m"), shared


def test_run_calls_each_operation_once_in_order_of_need():
    graph, shared = made()
    x, y = np.ones((2, 3), "f4"), np.zeros((2, 3), "f4")
    called = []

    def call(node, args, kwargs):
        called.append(node.operation.name)
        return node.operation(*args, **kwargs)

    out = graph.run([x, y], call)
    want = np.asarray(shared(x) + shared(y))
    np.testing.assert_allclose(out["sum"], want)
    np.testing.assert_allclose(out["out"], np.maximum(want, 0))
    assert called[:2] == ["shared", "shared"]
    assert len(called) == 4


def test_operations_are_listed_once_and_their_calls_in_the_order_they_were_made():
    graph, shared = made()
    assert [op.name for op in graph.operations].count("shared") == 1
    assert [node.inputs[0].name for node in graph.calls_of(shared)] == ["a", "b"]


def test_records_hold_no_symbolic_tensor_and_give_the_graph_again():
    graph, shared = made()
    records, ends = graph.to_records()
    assert not any(
        isinstance(x, fastnn.KerasTensor)
        for x in tree.flatten([[r.args, r.kwargs] for r in records] + [ends])
    )
    again = LayerGraph(*LayerGraph.from_records(records, ends), "again")
    assert [n.operation.name for n in again.calls] == [n.operation.name for n in graph.calls]
    x = np.ones((1, 3), "f4")
    run = lambda g: g.run([x, 2 * x], lambda n, a, k: n.operation(*a, **k))["out"]  # noqa: E731
    np.testing.assert_array_equal(run(graph), run(again))
    assert shared in again.operations


def test_a_record_of_a_tensor_that_no_call_gave_is_refused():
    with pytest.raises(FormatError, match="missing tensor 3 of call 7"):
        LayerGraph.from_records([Record(layers.Dense(2), (Place(7, 3),), {})], [[], []])


def test_a_graph_cut_out_of_a_larger_one_starts_at_new_inputs_and_leaves_that_one_alone():
    a = fastnn.Input((3,))
    inner = layers.Dense(3)(a)
    end = layers.Dense(2)(inner)
    whole = LayerGraph(a, end, "whole")
    part = LayerGraph.between(
        inner, end, "part", lambda x: fastnn.Input(batch_shape=x.shape, dtype=x.dtype)
    )
    assert len(part.calls) == 2
    assert part.starts[0].node.starts
    assert [n.operation for n in whole.calls][-1] is part.calls[-1].operation
    assert end.node is whole.calls[-1]


def test_an_output_that_depends_on_another_input_names_it():
    a, b = fastnn.Input((3,), name="a"), fastnn.Input((3,), name="b")
    with pytest.raises(ValueError, match=r"depends on 'b'.*\n  hint: "):
        LayerGraph(a, a + b, "m")
