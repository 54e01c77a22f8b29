"""Files of ONNX that are damaged, foreign or hostile are refused, whatever is in them."""

import copy
import os

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs the `onnx` extra", minversion="1.16")

from onnx import TensorProto, helper
from onnx_graphs import F, floats, network, proto, rng

import fastnn


def refused(data, match, **more):
    with pytest.raises(fastnn.FormatError, match=match) as caught:
        fastnn.onnx.load(data, **more)
    assert "hint:" in str(caught.value)


def test_cut_and_foreign_files(tmp_path):
    data = network().SerializeToString()
    for n in (0, 1, 7, len(data) // 3, len(data) // 2, len(data) - 1):
        refused(data[:n], "the bytes")
    refused(b"\x89HDF\r\n\x1a\n" + b"\0" * 64, "the bytes")
    refused(b"PK\x03\x04 not an onnx file", "the bytes")
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[:100])
    refused(path, "cut.onnx")
    with pytest.raises(FileNotFoundError, match="hint:"):
        fastnn.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(IsADirectoryError):
        fastnn.onnx.load(tmp_path)


def test_flipped_bytes_never_do_more_than_be_refused():
    data = bytearray(network().SerializeToString())
    x = floats(2, 4)
    refusals = 0
    for at in rng.integers(0, len(data), 400):
        mutant = bytearray(data)
        mutant[at] ^= 1 << int(rng.integers(8))
        try:
            fastnn.onnx.load(bytes(mutant))(x)
        except (fastnn.FastnnError, TypeError, ValueError):
            refusals += 1
    assert 0 < refusals < 400  # some bytes are weights, which may be any


def test_circles_and_names_that_nothing_gives():
    relu = helper.make_node
    circle = [relu("Relu", ["b"], ["a"], name="one"), relu("Relu", ["a"], ["b"], name="two")]
    made = proto(circle, [("x", F, [1])], [("b", F, [1])])
    refused(made.SerializeToString(), r"node 'one' \(Relu\) reads 'b'.*circular")
    made = proto([relu("Relu", ["nobody"], ["y"])], [("x", F, [1])], [("y", F, [1])])
    refused(made.SerializeToString(), "reads 'nobody', which nothing gives")
    made = proto([relu("Relu", ["x"], ["y"])], [("x", F, [1])], [("z", F, [1])])
    refused(made.SerializeToString(), "output 'z', which no node gives")
    twice = [relu("Relu", ["x"], ["y"]), relu("Exp", ["x"], ["y"])]
    made = proto(twice, [("x", F, [1])], [("y", F, [1])])
    refused(made.SerializeToString(), "another node gives too")


def test_functions_that_call_themselves_or_explode():
    def function(name, calls, count=1):
        nodes = [helper.make_node(calls, ["a"], [f"v{i}"], domain="own") for i in range(count)]
        nodes.append(helper.make_node("Identity", ["v0"], ["b"]))
        return helper.make_function(
            "own", name, ["a"], ["b"], nodes,
            [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)],
        )  # fmt: skip

    for functions in (
        [function("F0", "F0")],
        [function("F0", "F1"), function("F1", "F0")],
        [function(f"F{i}", f"F{i + 1}", 10) for i in range(9)] + [
            helper.make_function("own", "F9", ["a"], ["b"], [
                helper.make_node("Identity", ["a"], ["b"])], [helper.make_opsetid("", 18)])],
    ):  # fmt: skip
        made = proto([helper.make_node("F0", ["x"], ["y"], domain="own")],
                     [("x", F, [1])], [("y", F, [1])], functions=functions)  # fmt: skip
        made.opset_import.append(helper.make_opsetid("own", 1))
        refused(made.SerializeToString(), "calls itself|stands for more than")


def test_sizes_are_looked_at_before_anything_is_made():
    made = network()
    made.graph.initializer[0].dims[0] = 1 << 40
    refused(made.SerializeToString(), "holds 32")
    made = network()
    made.graph.initializer[0].dims[0] = -4
    refused(made.SerializeToString(), "has the shape")
    grow = [
        ("ConstantOfShape", {"s": np.array([1 << 20, 1 << 20])}, ["s"], {}),
        ("Expand", {"s": np.array([1 << 20, 1 << 20])}, ["x", "s"], {}),
        ("Tile", {"s": np.array([1 << 40])}, ["x", "s"], {}),
        ("Range", {"a": np.int64(0), "b": np.int64(1 << 40), "c": np.int64(1)}, "abc", {}),
        ("Pad", {"s": np.array([1 << 40, 0])}, ["x", "s"], {}),
        ("OneHot", {"i": np.zeros(8, np.int64), "d": np.int64(1 << 40),
                    "v": np.array([0, 1.0], np.float32)}, "idv", {}),
        ("Resize", {"e": np.zeros(0, np.float32), "z": np.array([1e8], np.float32)},
         ["x", "e", "z"], {}),
        ("RandomNormal", {}, [], {"shape": [1 << 20, 1 << 20]}),
    ]  # fmt: skip
    for op, arrays, inputs, attrs in grow:
        node = helper.make_node(op, list(inputs), ["y"], **attrs)
        made = proto([node], [("x", F, [4])], [("y", F, None)], arrays)
        model = fastnn.onnx.load(made.SerializeToString())
        with pytest.raises((fastnn.ShapeError, fastnn.FormatError), match=r"elements|hint:"):
            model(floats(4))


def test_shapes_beyond_memory_are_refused_with_their_node():
    for op, shape in (("Reshape", [2, 2**63 - 1]), ("Reshape", [2**62, 0]), ("Expand", [2**40, 4]),
                      ("Tile", [2**40, 2**40])):  # fmt: skip
        made = proto([helper.make_node(op, ["x", "to"], ["y"], name="large")], [("x", F, [2, 4])],
                     [("y", F, None)], {"to": np.array(shape)})  # fmt: skip
        for run in (lambda m: m(floats(2, 4)), lambda m: m.predict(floats(2, 4), verbose=0)):
            with pytest.raises(fastnn.FastnnError, match=rf"'large' \({op}\)(.|\n)*hint: "):
                run(fastnn.onnx.load(made.SerializeToString()))


@pytest.mark.parametrize("again", ["Identity", "Not"])
def test_loops_end(again, monkeypatch):
    # `c2` is what came in, or computed from another value: true all the time.
    said = ["c"] if again == "Identity" else ["never"]
    body = helper.make_graph(
        [helper.make_node(again, said, ["c1"]), helper.make_node("Identity", ["c1"], ["c2"]),
         helper.make_node("Relu", ["v"], ["v2"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []),
         helper.make_tensor_value_info("c", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v", F, [1])],
        [helper.make_tensor_value_info("c2", TensorProto.BOOL, []),
         helper.make_tensor_value_info("v2", F, [1])],
        [helper.make_tensor("never", TensorProto.BOOL, [], [False])],
    )  # fmt: skip
    made = proto([helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)],
                 [("n", TensorProto.INT64, []), ("x", F, [1])], [("y", F, [1])])  # fmt: skip
    model = fastnn.onnx.load(made.SerializeToString())
    np.testing.assert_array_equal(model([np.int64(3), np.float32([-1.0])]), [0.0])
    import fastnn.onnx.run as run

    monkeypatch.setattr(run, "MOST_ROUNDS", 50)
    rounds = []
    monkeypatch.setattr(run.Inside, "run", lambda *a, of=run.Inside.run: rounds.append(0) or of(*a))
    with pytest.raises(fastnn.FormatError, match="more rounds"):
        model([np.int64(1 << 60), np.float32([1.0])])
    # Where only the trip count ends it, that is known before the first round.
    assert len(rounds) == (0 if again == "Identity" else 50)


#: A node, and what the refusal says of it.
AGAINST_THE_SCHEMA = [
    (("Add", ["x"], {}), "has 1 inputs, its op takes 2"),
    (("Add", ["x", ""], {}), "input 1 is left out"),
    (("Neg", ["x", "x"], {}), "has 2 inputs, its op takes 1"),
    (("Softmax", ["x"], {"axis": "one"}), "'axis' is of type STRING, wanted INT"),
    (("Softmax", ["x"], {"axis": 1.5}), "'axis' is of type FLOAT, wanted INT"),
    # From opset 13 on the axes are an input; as an attribute they would be passed over.
    (("ReduceSum", ["x"], {"axes": [0]}), "no attribute 'axes'.*\n  hint: it has keepdims"),
    (("Cast", ["x"], {}), "has no attribute 'to'"),
]


@pytest.mark.parametrize("inside", [False, True], ids=["graph", "function"])
@pytest.mark.parametrize(("node", "says"), AGAINST_THE_SCHEMA, ids=lambda v: str(v)[:24])
def test_nodes_that_their_op_does_not_allow_are_refused(node, says, inside):
    op, inputs, attributes = node
    nodes = [helper.make_node(op, inputs, ["y"], **attributes)]
    if not inside:
        refused(proto(nodes, [("x", F, [2])], [("y", F, None)]).SerializeToString(), says)
        return
    made = proto([helper.make_node("Own", ["x"], ["y"], domain="own")],
                 [("x", F, [2])], [("y", F, None)])  # fmt: skip
    made.opset_import.append(helper.make_opsetid("own", 1))
    opsets = [helper.make_opsetid("", made.opset_import[0].version)]
    made.functions.append(helper.make_function("own", "Own", ["x"], ["y"], nodes, opsets))
    refused(made.SerializeToString(), says)
    made.graph.node[0].input.append("x")
    refused(made.SerializeToString(), "has 2 inputs, its op takes 0 to 1|" + says)


def test_unknown_ops_are_named_with_their_node():
    made = proto([helper.make_node("Reluu", ["x"], ["y"], name="here")],
                 [("x", F, [1])], [("y", F, [1])])  # fmt: skip
    refused(made.SerializeToString(), r"node 'here' \(Reluu\).*\n  hint: .*Relu")
    made = proto([helper.make_node("Magic", ["x"], ["y"], name="there", domain="com.example")],
                 [("x", F, [1])], [("y", F, [1])])  # fmt: skip
    made.opset_import.append(helper.make_opsetid("com.example", 1))
    refused(made.SerializeToString(), r"node 'there' \(com.example.Magic\)")


def external(tmp_path, location, offset=0, length=None, inside=True):
    made = network()
    tensor = made.graph.initializer[0]
    raw = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": location, "offset": str(offset), "length": str(length or len(raw))}
    for key, value in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    if inside:
        (folder / "data.bin").write_bytes(b"\0" * offset + raw)
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def test_data_outside_of_the_file_stays_in_its_folder(tmp_path):
    path = external(tmp_path, "data.bin", 16)
    x = floats(2, 4)
    fastnn.onnx.load(path)(x)
    refused(path.read_bytes(), "which bytes cannot name")
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"\1" * 4096)
    for location in ("../secret.bin", str(secret), "", "a/../../secret.bin", "no\0name", "none"):
        refused(external(tmp_path, location), "no plain file|cannot be opened")
    folder = tmp_path / "model"
    (folder / "link.bin").symlink_to(secret)
    refused(external(tmp_path, "link.bin"), "no plain file")
    os.link(secret, folder / "hard.bin")
    refused(external(tmp_path, "hard.bin"), "no plain file")
    os.mkfifo(folder / "pipe.bin")
    refused(external(tmp_path, "pipe.bin"), "no plain file")
    refused(external(tmp_path, "data.bin", 1 << 20, inside=False), "ends before")
    refused(external(tmp_path, "data.bin", 0, 64), "takes 128 bytes")


def test_a_damaged_config_is_refused(tmp_path):
    model = fastnn.onnx.load(network().SerializeToString())
    config = model.get_config()
    for change in (
        lambda c: c["graph"]["nodes"][0].update(op="Nothing"),
        lambda c: c["graph"]["nodes"][0].update(inputs=["y", "w/1"]),
        lambda c: c["graph"].pop("outputs"),
        lambda c: c["weights"].pop(0),
        lambda c: c["weights"].append(["other", [2], True]),
        lambda c: c["graph"]["arrays"].update(sizes={"dtype": "int64", "shape": [9], "data": ""}),
    ):
        damaged = copy.deepcopy(config)
        change(damaged)
        with pytest.raises(fastnn.FormatError, match="hint:"):
            type(model).from_config(damaged)
