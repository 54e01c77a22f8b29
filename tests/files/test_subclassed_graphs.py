"""Subclasses of functional and Sequential models come back from configs and files as they were."""

import numpy as np
import pytest

import fastnn
from fastnn import layers

X = np.random.default_rng(0).normal(size=(4, 3)).astype("f")


class HandsOn(fastnn.Model):
    def __init__(self, *args, factor=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = factor

    def get_config(self):
        return super().get_config() | {"factor": self.factor}


class Named(fastnn.Model):
    def __init__(self, inputs, outputs, factor, name=None):
        super().__init__(inputs, outputs, name=name)
        self.factor = factor


class OwnGraph(fastnn.Model):
    def __init__(self, factor):
        x = fastnn.Input((3,))
        super().__init__(x, layers.Dense(factor)(x))
        self.factor = factor


class Stack(fastnn.Sequential):
    def __init__(self, layers=None, factor=1.0, name=None):
        super().__init__(layers, name=name)
        self.factor = factor


class OwnStack(fastnn.Sequential):
    def __init__(self, factor, name=None):
        super().__init__([fastnn.Input((3,)), layers.Dense(factor)], name=name)
        self.factor = factor


class Added(fastnn.Sequential):
    factor = 5

    def __init__(self, name=None):
        super().__init__(name=name)


def made(cls):
    x = fastnn.Input((3,))
    if cls is HandsOn:
        return cls(inputs=x, outputs=layers.Dense(5)(x), factor=5)
    if cls is Named:
        return cls(x, layers.Dense(5)(x), 5)
    if cls is Stack:
        return cls([x, layers.Dense(5)], factor=5)
    if cls is Added:
        model = cls()
        model.add(x)
        model.add(layers.Dense(5))
        return model
    return cls(5)


KINDS = [HandsOn, Named, OwnGraph, Stack, OwnStack, Added]


@pytest.mark.parametrize("cls", KINDS)
def test_a_subclass_comes_back_with_its_own_arguments(cls, tmp_path):
    model = made(cls)
    model.layers[-1].trainable = False
    objects = {cls.__name__: cls}
    again = [
        cls.from_config(model.get_config()),
        fastnn.models.clone_model(model),
        fastnn.models.model_from_json(model.to_json(), custom_objects=objects),
    ]
    for ending in ("keras", "safetensors"):
        model.save(tmp_path / f"m.{ending}")
        loaded = fastnn.models.load_model(tmp_path / f"m.{ending}", custom_objects=objects)
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
        again.append(loaded)
    for other in again:
        assert type(other) is cls
        assert other.factor == 5
        assert other.name == model.name
        assert other.output_shape == (None, 5)
        assert len(other.layers) == len(model.layers)
        other.set_weights(model.get_weights())
        np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_a_frozen_stack_stays_frozen():
    model = made(Stack)
    model.trainable = False
    assert Stack.from_config(model.get_config()).trainable_weights == []
