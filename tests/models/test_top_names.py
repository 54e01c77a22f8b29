"""Names at Keras's top: operations, scopes, versions; and what shows that a layer is frozen."""

import numpy as np
import pytest

import fastnn
from fastnn import keras, layers


def test_an_operation_computes_on_tensors_and_between_layers(rng):
    class Double(keras.Operation):
        def call(self, x):
            return x * 2

    inputs = fastnn.Input((3,))
    model = fastnn.Model(inputs, layers.Dense(2)(Double()(inputs)))
    x = rng.normal(size=(4, 3)).astype("float32")
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(model(x), 2 * x @ kernel + bias, atol=1e-5)
    assert isinstance(layers.Dense(2), keras.Operation)
    assert not isinstance(3, keras.Operation)
    assert isinstance(Double(), Double)
    assert not isinstance(layers.Dense(2), Double)


def test_a_stateless_scope_leaves_variables_alone():
    v, w = fastnn.Variable([1.0]), fastnn.Variable([2.0])
    with keras.StatelessScope(state_mapping=[(v, [5.0])]) as scope:
        assert keras.backend.in_stateless_scope()
        v.assign_add([1.0])
        np.testing.assert_array_equal(v + w, [8.0])
        scope.add_update((w, [3.0]))
        np.testing.assert_array_equal(v + w, [9.0])
    np.testing.assert_array_equal(scope.get_current_value(v), [6.0])
    np.testing.assert_array_equal(v + w, [3.0])
    assert not keras.backend.in_stateless_scope()


def test_small_names_of_keras_are_there():
    assert keras.version() == fastnn.version.VERSION == fastnn.__version__
    assert keras.utils.standardize_dtype(np.float32) == "float32"
    assert keras.FloatDTypePolicy("float32").name == "float32"
    assert keras.regularizers.orthogonal_regularizer is keras.regularizers.OrthogonalRegularizer
    np.testing.assert_array_equal(keras.activations.get("sparsemax")([[2.0, 0.0]]), [[1.0, 0.0]])
    assert keras.remat(len) is len
    keras.config.disable_traceback_filtering()
    assert not keras.config.is_traceback_filtering_enabled()
    keras.config.enable_traceback_filtering()
    keras.config.enable_unsafe_deserialization()


def test_weights_of_a_frozen_layer_say_that_they_are_not_trained():
    layer = layers.Dense(2, trainable=False)
    layer.build((None, 3))
    assert [w.trainable for w in layer.weights] == [False, False]
    layer.trainable = True
    assert [w.trainable for w in layer.weights] == [True, True]
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2), layers.BatchNormalization()])
    model.trainable = False
    assert not any(w.trainable for w in model.weights)
    model.trainable = True
    assert [w.trainable for w in model.weights] == [True] * 4 + [False] * 2
    model.layers[0].kernel.trainable = False
    assert len(model.trainable_weights) == 3


def test_adapted_weights_stay_frozen_when_their_layer_is_trained():
    layer = layers.Dense(2, lora_rank=1)
    layer.build((None, 3))
    layer.trainable = False
    assert not layer.trainable_weights
    layer.trainable = True
    names = [w.name for w in layer.trainable_weights]
    assert names == ["bias", "lora_kernel_a", "lora_kernel_b"]


def test_a_frozen_model_gets_no_gradient_from_a_tape(rng):
    import fastnn as tf

    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2)])
    model.trainable = False
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(model(rng.normal(size=(2, 3))))
    assert tape.gradient(value, model.trainable_variables) == []


@pytest.mark.parametrize("name", ["version", "remat", "device"])
def test_functions_at_the_top_are_the_same_in_both_packages(name):
    assert getattr(fastnn, name) is getattr(keras, name)
