"""`keras.tree`, and names that programs import by their TensorFlow or Keras paths."""

from collections import namedtuple

import numpy as np
import pytest

import fastnn
import fastnn.math
import fastnn.strings
from fastnn import layers, tree

Point = namedtuple("Point", "x y")


def test_leaves_are_listed_by_sorted_key_and_none_is_one():
    nest = {"b": [1, None], "a": Point(2, (3,))}
    assert tree.flatten(nest) == [2, 3, 1, None]
    assert tree.flatten_with_path(nest)[0] == (("a", 0), 2)
    assert tree.pack_sequence_as(nest, [5, 6, 7, 8]) == {"b": [7, 8], "a": Point(5, (6,))}
    assert list(tree.map_structure(lambda v: v, nest)) == ["b", "a"]
    assert tree.map_structure(lambda a, b: a + b, [1, (2,)], [3, (4,)]) == [4, (6,)]
    assert tree.map_structure_up_to([0, {"k": 0}], list, [(1, 2), {"k": (3,)}]) == [
        [1, 2], {"k": [3]},
    ]  # fmt: skip
    assert tree.lists_to_tuples({"a": [1, [2]]}) == {"a": (1, (2,))}
    assert tree.traverse(lambda v: tree.MAP_TO_NONE if v == 1 else None, [1, 2]) == [None, 2]
    assert tree.map_shape_structure(lambda s: s[0], [(1, 2), {"a": [3, None]}]) == [1, {"a": 3}]
    assert fastnn.keras.tree is not None
    assert fastnn.keras.tree.is_nested({})


@pytest.mark.parametrize(
    "slip",
    [
        lambda: tree.assert_same_structure([1], (1,)),
        lambda: tree.assert_same_structure({"a": 1}, {"b": 1}),
        lambda: tree.assert_same_paths([1], [1, 2]),
        lambda: tree.map_structure(lambda a, b: a, [1], [1, 2]),
        lambda: tree.map_structure(3, [1]),
        lambda: tree.pack_sequence_as([0, 0], [1]),
        lambda: tree.map_structure_up_to([0], len, 3),
    ],
)
def test_structures_that_differ_are_refused(slip):
    with pytest.raises((ValueError, TypeError), match="hint:"):
        slip()


def test_tensorflows_namespaces_are_modules_to_import():
    assert fastnn.strings.lower("A").item() == "a"
    assert float(fastnn.math.log(1.0)) == 0.0


def test_functions_of_losses_are_found_among_metrics():
    names = (
        "mean_absolute_error mean_squared_error mean_absolute_percentage_error huber hinge "
        "mean_squared_logarithmic_error binary_crossentropy categorical_crossentropy poisson "
        "sparse_categorical_crossentropy kl_divergence log_cosh squared_hinge categorical_hinge"
    )
    for name in names.split():
        assert getattr(fastnn.metrics, name) is getattr(fastnn.losses, name)
    assert type(fastnn.metrics.get("mse")).__name__ == "MeanSquaredError"


def test_a_build_that_wants_no_shape_is_called_without_one():
    class Scaled(layers.Layer):
        def build(self):
            self.scale = self.add_weight((), initializer="ones")
            self.built = True

        def call(self, inputs):
            return inputs["a"] * self.scale

    layer = Scaled()
    assert layer({"a": np.ones((2, 1))}).shape == (2, 1)
    assert len(layer.weights) == 1
