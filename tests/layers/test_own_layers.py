"""Layers of the user's own: when they are built, what they keep, how masks and losses pass them."""

import numpy as np
import pytest

import fastnn
from fastnn import layers, ops


def test_own_variables_go_through_a_store(rng):
    a, b = layers.BatchNormalization(), layers.BatchNormalization()
    a.build((None, 3))
    b.build((None, 3))
    a.set_weights([rng.normal(size=3) for _ in range(4)])
    store = {}
    a.save_own_variables(store)
    b.load_own_variables(store)
    assert all(np.array_equal(*p) for p in zip(a.get_weights(), b.get_weights(), strict=True))
    with pytest.raises(ValueError, match="expected 4 variables, but received 3"):
        b.load_own_variables({k: store[k] for k in ("0", "1", "2")})
    with pytest.raises(fastnn.ShapeError, match="moving_variance"):
        b.load_own_variables({**store, "3": np.zeros(2)})


def test_a_layer_that_reads_values_works_eagerly_when_it_says_its_shape():
    class Eager(layers.Layer):
        def compute_output_shape(self, input_shape):
            return input_shape

        def call(self, inputs):
            return inputs * float(np.max(inputs))

    model = fastnn.Sequential([fastnn.Input((2,)), Eager()])
    x = np.array([[1.0, 3.0]], np.float32)
    for _ in range(2):
        assert np.asarray(model(x)).tolist() == [[3.0, 9.0]]
    with pytest.raises(fastnn.TraceError):
        model.predict(x, verbose=0)


def test_weights_are_listed_by_layer_with_trained_ones_first():
    bn = layers.BatchNormalization()
    bn.build((None, 2))
    assert [v.name for v in bn.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [v.name for v in bn.trainable_weights] == ["gamma", "beta"]
    bn.trainable = False
    assert bn.trainable_weights == []
    assert len(bn.non_trainable_weights) == 4


def test_own_layers_and_their_config():
    class Scale(layers.Layer):
        def __init__(self, factor, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def build(self, input_shape):
            self.w = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="w")

        def call(self, x):
            return x * self.w * self.factor

    layer = Scale(3.0, name="s")
    assert np.asarray(layer(np.ones((1, 2)))).tolist() == [[3.0, 3.0]]
    assert layer.w.path == "s/w"
    again = Scale.from_config(layer.get_config())
    assert (again.factor, again.name) == (3.0, "s")


def test_penalties_and_added_losses_are_collected():
    class Extra(layers.Layer):
        def call(self, x):
            self.add_loss(ops.sum(x) * 0.5)
            return x

    dense = layers.Dense(1, kernel_initializer="ones", kernel_regularizer="l2")
    dense(np.ones((1, 3), np.float32))
    assert [float(np.asarray(v)) for v in dense.losses] == pytest.approx([0.03])
    extra = Extra()
    extra(np.ones((1, 4), np.float32))
    assert [float(np.asarray(v)) for v in extra.losses] == [2.0]


def test_a_subclass_with_weights_is_built_by_its_own_build():
    class Scaled(layers.ReLU):
        def build(self, input_shape):
            self.scale = self.add_weight((input_shape[-1],), "ones")
            self.built = True

    layer = Scaled()
    assert not layer.built
    layer(np.ones((1, 3), np.float32))
    assert layer.scale.shape == (3,)


def test_a_layer_that_loses_a_mask_says_so_once():
    flat = layers.Flatten(name="flat")
    with pytest.warns(UserWarning, match=r"Layer 'flat' \(of type Flatten\).* destroy the mask"):
        model = fastnn.Sequential([fastnn.Input((2, 1)), layers.Masking(), flat, layers.Dense(1)])
    model.predict(np.ones((1, 2, 1)), verbose=0)

    class Pooled(layers.Layer):
        def call(self, inputs, mask=None):
            return ops.sum(inputs * ops.expand_dims(ops.cast(mask, "float32"), -1), axis=1)

    fastnn.Sequential([fastnn.Input((2, 1)), layers.Masking(), Pooled(), layers.Dense(1)])


def test_a_layer_that_says_what_becomes_of_masks_passes_them_on():
    class Table(fastnn.layers.Layer):
        def build(self, input_shape):
            self.rows = self.add_weight((9, 4), "random_normal", name="rows")

        def call(self, inputs):
            return fastnn.ops.take(self.rows, inputs, axis=0)

        def compute_mask(self, inputs, mask=None):
            return fastnn.ops.not_equal(inputs, 0)

    seen = []

    class Counts(fastnn.layers.Layer):
        def call(self, inputs, mask=None):
            seen.append(mask is not None)
            return fastnn.ops.sum(fastnn.ops.cast(mask, "float32"), axis=-1)

    ids = fastnn.Input((None,), dtype="int32")
    model = fastnn.Model(ids, Counts()(fastnn.layers.Dense(2)(Table()(ids))))
    assert model.predict(np.array([[1, 0, 2], [0, 0, 3]]), verbose=0).tolist() == [2, 1]
    assert all(seen)
    assert not fastnn.layers.Layer().supports_masking


def test_a_build_that_is_called_by_hand_is_not_run_again():
    class Own(fastnn.layers.Layer):
        def build(self, input_shape, start="zeros"):
            self.w = self.add_weight((input_shape[-1],), start, name="w")

        def call(self, x):
            return x * self.w

    class Further(Own):
        def build(self, input_shape):
            super().build(input_shape, "ones")
            self.b = self.add_weight((1,), "zeros", name="b")

    layer = Own()
    layer.build((None, 3), "ones")
    assert layer.built
    model = fastnn.Sequential([fastnn.Input((3,)), layer])
    assert model.predict(np.ones((1, 3)), verbose=0).tolist() == [[1, 1, 1]]
    assert len(model.weights) == 1
    assert layer.get_build_config() == {"input_shape": (None, 3)}
    more = Further()
    assert more(np.ones((2, 3))).numpy().tolist() == [[1] * 3] * 2
    assert [v.name for v in more.weights] == ["w", "b"]


def test_layers_may_be_kept_before_the_base_is_set_up():
    class Router(fastnn.layers.Layer):
        def __init__(self, count):
            self.count = count
            self.route = fastnn.layers.Dense(count)
            super().__init__()

        def call(self, x):
            return fastnn.ops.softmax(self.route(x))

    router = Router(3)
    assert router(np.ones((2, 4))).shape == (2, 3)
    assert len(router.weights) == 2

    class Forgot(fastnn.layers.Layer):
        def __init__(self):
            self.inner = fastnn.layers.Dense(2)

        def call(self, x):
            return self.inner(x)

    with pytest.raises(AttributeError, match=r"(?s)hint: super\(\)\.__init__\(\)"):
        Forgot()(np.ones((1, 2)))


def test_what_a_run_remembers_of_a_model_is_not_searched_for_layers(monkeypatch):
    from fastnn.layers.base import module

    class Net(fastnn.Model):
        def __init__(self):
            super().__init__()
            self.hidden = [layers.Dense(3) for _ in range(8)]

        def call(self, x):
            for layer in self.hidden:
                x = layer(x)
            return x

    model = Net()
    model.compile("adam", "mse")
    real, looked_at = module.modules_in, []
    monkeypatch.setattr(module, "modules_in", lambda x: looked_at.append(x) or real(x))
    list(model._sublayers())
    before = len(looked_at)
    for _ in range(3):
        model.train_on_batch(np.ones((2, 3)), np.ones((2, 3)))
    looked_at.clear()
    list(model._sublayers())
    assert len(looked_at) <= before + 10


FLOATS = ["float32", "float64", float, np.float32, np.float64, np.dtype("float64")]
WHOLE = ["int32", "int64", int, np.int32, np.dtype("int64")]


@pytest.mark.parametrize("dtype", [*FLOATS, *WHOLE], ids=repr)
def test_a_weight_of_any_float_type_starts_random_and_one_of_whole_numbers_at_zero(dtype):
    class Weighted(layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight((3, 4), dtype=dtype)

    layer = Weighted()
    layer.build((None, 3))
    drawn = dtype in FLOATS
    assert layer.w.dtype == ("float32" if drawn else "int32")
    assert np.any(layer.w.numpy() != 0) == drawn


@pytest.mark.parametrize("dtype", [float, np.float32, np.dtype("float32")], ids=repr)
def test_layers_losses_and_metrics_take_float_as_a_type(dtype):
    assert layers.Dense(2, dtype=dtype).dtype_policy.name == "float32"
    assert fastnn.metrics.Mean(dtype=dtype).dtype == "float32"
    assert float(fastnn.losses.MeanSquaredError(dtype=dtype)([1.0], [3.0])) == 4.0


def test_a_second_build_adds_no_weights():
    layer = layers.Dense(3)
    layer.build((None, 2))
    kept = layer.weights
    layer.build((8, 2))
    layer.build([None, 2])
    assert len(layer.weights) == 2
    assert all(a is b for a, b in zip(kept, layer.weights, strict=True))
    with pytest.raises(fastnn.ShapeError, match=r"is built for (?s:.*)from_config"):
        layer.build((None, 5))


def test_builds_of_two_bases_are_both_run():
    class First(layers.Layer):
        def build(self, input_shape):
            self.a = self.add_weight((input_shape[-1],), "ones", name="a")

    class Second(layers.Layer):
        def build(self, input_shape):
            self.b = self.add_weight((input_shape[-1],), "ones", name="b")

    class Both(First, Second):
        def build(self, input_shape):
            First.build(self, input_shape)
            Second.build(self, input_shape)

        def call(self, inputs):
            return inputs * self.a + self.b

    layer = Both()
    assert np.array_equal(layer(np.ones((1, 2), np.float32)), [[2.0, 2.0]])
    assert len(layer.weights) == 2


def test_a_layer_that_builds_a_layer_from_its_config_loads(tmp_path):
    pytest.importorskip("h5py")

    @fastnn.saving.register_keras_serializable("test_own_layers")
    class Wrapped(layers.Layer):
        def __init__(self, inner=None, **kwargs):
            super().__init__(**kwargs)
            self.inner = inner or layers.Dense(3)

        def build(self, input_shape):
            self.inner.build(input_shape)

        def call(self, inputs):
            return self.inner(inputs)

        def get_config(self):
            inner = fastnn.saving.serialize_keras_object(self.inner)
            return {**super().get_config(), "inner": inner}

        @classmethod
        def from_config(cls, config):
            inner = fastnn.saving.deserialize_keras_object(config.pop("inner"))
            return cls(inner, **config)

    model = fastnn.Sequential([fastnn.Input((2,)), Wrapped()])
    model.save(tmp_path / "m.keras")
    again = fastnn.models.load_model(tmp_path / "m.keras")
    x = np.ones((2, 2), np.float32)
    assert len(again.weights) == 2
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize(
    "name",
    "_nodes _moving _trace _evaluate _program _programs _inference _predictors _track _in_training"
    " _watched _signature _own _read _policy _device _placed _graph _step _state _values".split(),
)  # fmt: skip
def test_private_names_of_a_model_are_its_writers(name, rng, monkeypatch):
    monkeypatch.setattr("fastnn.devices.choice.is_used", True)  # as where a device was named before

    class Own(fastnn.Model):
        def __init__(self):
            super().__init__()
            setattr(self, name, layers.Dense(3, kernel_initializer="ones"))
            self.head = layers.Dense(1, kernel_initializer="ones")

        def call(self, inputs):
            return self.head(getattr(self, name)(inputs))

    model = Own()
    x = rng.normal(size=(8, 2)).astype(np.float32)
    assert np.allclose(model(x), 3 * x.sum(axis=1, keepdims=True), atol=1e-5)
    assert len(model.trainable_weights) == 4
    model.compile(fastnn.optimizers.SGD(0.1), "mse")
    model.fit(x, np.ones((8, 1)), verbose=0)
    assert not np.allclose(getattr(model, name).kernel, 1.0)
    assert np.isfinite(model.evaluate(x, np.ones((8, 1)), verbose=0))
    assert model.predict(x, verbose=0).shape == (8, 1)
