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


def concatenated(L):
    words, other = fastnn.Input((6,), name="words"), fastnn.Input((4,), name="other")
    plain = L.Dense(4, name="plain")(L.Embedding(9, 4, name="e1")(other))
    masked = L.Dense(4, name="masked")(L.Embedding(9, 4, mask_zero=True, name="e2")(words))
    joined = L.Concatenate(axis=1, name="joined")([plain, masked])
    return fastnn.Model([words, other], L.SimpleRNN(5, name="rnn")(joined))


def with_masking(L):
    a, b = fastnn.Input((6, 3), name="a"), fastnn.Input((6, 3), name="b")
    plain = L.Dense(4, name="plain2")(L.Dense(4, name="plain")(b))
    masked = L.Masking(name="skip")(L.Dense(4, name="masked")(a))
    x, y = L.LSTM(4, name="l1")(plain), L.LSTM(4, name="l2")(masked)
    return fastnn.Model([a, b], L.Add(name="sum")([x, y]))


def attending(L):
    a, b = fastnn.Input((6, 3), name="a"), fastnn.Input((6, 3), name="b")
    q = L.Masking(name="m1")(L.Dense(4, name="query")(a))
    v = L.Masking(name="m2")(L.Dense(4, name="value")(b))
    both = L.Attention(name="look")([q, L.Dense(4, name="more")(v)])
    ends = [L.GRU(2, name="g1")(L.Dense(2, name="x")(both)), L.GRU(2, name="g2")(q)]
    return fastnn.Model([a, b], ends)


ORDERS = [  # as Keras 3.15 lists them, in which a mask is made by calls of its own
    (concatenated, "words other e2 e1 masked plain joined rnn"),
    (with_masking, "a b masked plain plain2 skip l1 l2 sum"),
    (attending, "b a value query m2 m1 more look x g1 g2"),
]


@pytest.mark.parametrize(("make", "order"), ORDERS)
def test_layers_that_masks_reach_are_listed_in_the_order_of_keras(make, order):
    assert [layer.name for layer in make(layers).layers] == order.split()


@pytest.mark.parametrize("swapped", [False, True])
def test_weights_of_a_file_follow_the_order_in_which_the_file_lists_layers(swapped, tmp_path, rng):
    model = concatenated(layers)
    listed = model._layer_graph.operations
    names = [op.name for op in listed]
    if swapped:  # as written before masks counted
        i, j = names.index("plain"), names.index("masked")
        listed[i], listed[j] = listed[j], listed[i]
    path = tmp_path / "m.keras"
    model.save(path)
    again = fastnn.saving.load_model(path)
    x = [rng.integers(1, 9, (2, 6)), rng.integers(1, 9, (2, 4))]
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    assert [op.name for op in again._layer_graph.operations] == [op.name for op in listed]


def test_a_mask_given_to_a_model_reaches_its_layers(rng):
    x = rng.normal(size=(3, 5, 2)).astype("float32")
    mask = np.arange(5) < np.array([[5], [3], [1]])
    lstm = layers.LSTM(4)
    want = np.asarray(lstm(x, mask=mask))
    assert not np.allclose(want, np.asarray(lstm(x)))
    inputs = fastnn.Input((5, 2))
    unbuilt = fastnn.Sequential([layers.Identity(), lstm])
    for model in (fastnn.Model(inputs, lstm(inputs)), fastnn.Sequential([inputs, lstm]), unbuilt):
        np.testing.assert_allclose(np.asarray(model(x, mask=mask)), want, rtol=1e-6)
        np.testing.assert_allclose(np.asarray(model.call(ops.array(x), mask=mask)), want, rtol=1e-6)
    with pytest.raises(ValueError, match="holds 2 masks, the model has 1 inputs"):
        unbuilt(x, mask=[mask, mask])


def test_a_model_over_time_leaves_out_masked_rows_of_each_step(rng):
    x = rng.normal(size=(4, 3, 2)).astype("float32")
    mask = np.array([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], bool)
    inner = fastnn.Sequential([layers.BatchNormalization(momentum=0.0, epsilon=1e-5)])
    layers.TimeDistributed(inner)(x, training=True, mask=mask)
    last = x[mask[:, 2], 2]
    np.testing.assert_allclose(inner.layers[0].moving_mean.numpy(), last.mean(0), rtol=1e-4)


def test_a_function_is_the_calls_between_symbolic_tensors():
    keras = fastnn.keras
    a, b = keras.Input((3,)), keras.Input((3,))
    total = a + b
    dense = keras.layers.Dense(2)
    whole = keras.Function({"b": b, "a": a}, {"total": total, "out": dense(total)}, name="whole")
    x, y = np.full((2, 3), 2.0, "float32"), np.full((2, 3), 0.5, "float32")
    out = whole({"a": x, "b": y})
    np.testing.assert_array_equal(out["total"], x + y)
    np.testing.assert_array_equal(out["out"], dense(x + y))
    assert whole.compute_output_shape({"a": (5, 3), "b": (5, 3)}) == {
        "total": (5, 3),
        "out": (5, 2),
    }
    inner = keras.Function([total], total * 2)  # from the middle of a graph
    np.testing.assert_array_equal(inner([x]), x * 2)
    model = keras.Model([a, b], inner([total]))
    np.testing.assert_array_equal(model([x, y]), (x + y) * 2)
    i = keras.Input((1,), dtype="int32")
    assert keras.Function(i, i // 2)(np.array([[3.0]])).numpy().tolist() == [[1]]
    for bad in (lambda: keras.Function(a, 3), lambda: keras.Function(a, total)):
        with pytest.raises(ValueError, match="hint"):
            bad()
    with pytest.raises(fastnn.DataError, match="lacks the input 'b'"):
        whole({"a": x})
    with pytest.raises(fastnn.DataError, match="2 inputs, got 1"):
        keras.Function([a, b], total)([x])
