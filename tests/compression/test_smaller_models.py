"""Fewer bits and fewer weights: what is kept, what is lost, and that it stays so."""

import copy
import json
import pickle

import numpy as np
import pytest

import fastnn
from fastnn import compression, layers


@pytest.fixture(scope="module")
def digits():
    """A trained model of the digits, and the test set."""
    (x, y), (x_test, y_test) = fastnn.datasets.digits.load_data()
    fastnn.utils.set_random_seed(0)
    model = fastnn.Sequential(
        [
            fastnn.Input((8, 8)),
            layers.Rescaling(1 / 16),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=15, verbose=0)
    return model, (x, y), (x_test, y_test)


def accuracy(model, test):
    return np.mean(model.predict(test[0], verbose=0).argmax(1) == test[1])


@pytest.mark.parametrize(("mode", "size", "loss"), [("int8", 0.3, 0.01), ("bfloat16", 0.55, 0.005)])
def test_files_shrink_and_digits_are_still_known(digits, tmp_path, mode, size, loss):
    model, _, test = digits
    plain = fastnn.models.clone_model(model)
    plain.set_weights(model.get_weights())
    plain.save(tmp_path / "before.safetensors")
    before = accuracy(plain, test)
    plain.quantize(mode)
    assert accuracy(plain, test) > before - loss
    plain.save(tmp_path / "after.safetensors")
    sizes = [(tmp_path / f"{n}.safetensors").stat().st_size for n in ("before", "after")]
    weights = 4 * model.count_params()
    assert sizes[1] - (sizes[0] - weights) < size * weights
    again = fastnn.models.load_model(tmp_path / "after.safetensors")
    wanted = plain.predict(test[0], verbose=0)
    assert (again.predict(test[0], verbose=0) == wanted).all()
    assert (fastnn.Predictor(tmp_path / "after.safetensors").predict(test[0]) == wanted).all()


def test_codes_are_the_nearest_multiples_of_the_scale(rng):
    model = fastnn.Sequential([fastnn.Input((5,)), layers.Dense(3)])
    w, b = rng.normal(size=(5, 3)).astype("float32"), np.ones(3, "float32")
    w[:, 1] = 0  # a column of zeros has no scale of its own
    model.set_weights([w, b])
    model.quantize("int8")
    scale = np.abs(w).max(0) / np.float32(127)
    scale[1] = 1
    dense = model.layers[-1]
    assert (dense.kernel.numpy() == np.rint(w / scale)).all()
    assert np.allclose(np.asarray(dense.kernel.value), w, atol=scale.max() / 2)
    x = rng.normal(size=(4, 5)).astype("float32")
    wanted = x @ (np.rint(w / scale) * scale) + 1
    assert np.allclose(model.predict(x, verbose=0), wanted, atol=1e-5)


def every_kind():
    words = fastnn.Input((6,), dtype="int32")
    h = layers.Embedding(20, 8)(words)
    for name, given in (("Conv1D", {"filters": 4, "kernel_size": 3}), ("LSTM", {"units": 5}),
                        ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": 7})):  # fmt: skip
        if hasattr(layers, name):
            h = getattr(layers, name)(**given)(h)
    if len(h.shape) > 2:
        h = layers.Flatten()(h)
    return fastnn.Model(words, layers.Dense(2)(layers.BatchNormalization()(h)))


@pytest.mark.parametrize("mode", ["int8", "bfloat16"])
def test_layers_of_every_kind_take_it(rng, tmp_path, mode):
    fastnn.utils.set_random_seed(0)
    model = every_kind()
    x = rng.integers(0, 20, (9, 6))
    before = model.predict(x, verbose=0)
    names = [w.path for w in model.weights if w.ndim >= 2]
    model.quantize(mode)
    assert {w.path for w in model.weights if w.dtype == mode} == set(names)
    after = model.predict(x, verbose=0)
    assert (after != before).any()
    assert np.allclose(after, before, atol=0.05 * np.abs(before).max())
    model.save(tmp_path / "m.safetensors")
    for same in (
        fastnn.models.load_model(tmp_path / "m.safetensors"),
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
    ):
        assert (same.predict(x, verbose=0) == after).all()
        assert [w.dtype for w in same.weights] == [w.dtype for w in model.weights]


def test_a_compiled_model_trains_the_rest(digits):
    model, train, test = digits
    small = fastnn.models.clone_model(model)
    small.set_weights(model.get_weights())
    small.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    small.fit(*train, epochs=1, verbose=0)
    small.quantize("int8")
    codes = [w.numpy().copy() for w in small.weights if w.dtype == "int8"]
    small.fit(*train, epochs=1, verbose=0)
    assert all(
        (a == w.numpy()).all()
        for a, w in zip(codes, [w for w in small.weights if w.dtype == "int8"], strict=True)
    )
    assert {w.name for w in small.trainable_weights} == {"bias"}
    assert small.evaluate(*test, verbose=0)[1] > 0.85


def test_what_fewer_bits_cannot_do_is_refused(digits, tmp_path):
    model = digits[0]
    small = fastnn.models.clone_model(model)
    small.set_weights(model.get_weights())
    with pytest.raises(ValueError, match="unknown mode"):
        small.quantize("int3")
    small.quantize("int8")
    with pytest.raises(ValueError, match="quantized once"):
        small.quantize("bfloat16")
    for name in ("m.keras", "m.h5"):
        with pytest.raises(ValueError, match="fewer bits"):
            small.save(tmp_path / name)
    with pytest.raises(ValueError, match="fewer bits"):
        small.save_weights(tmp_path / "m.weights.h5")
    # Codes are never read as the weights of a model that has no scales.
    small.save_weights(tmp_path / "w.safetensors")
    before = model.get_weights()
    with pytest.raises(fastnn.FormatError, match="no place"):
        model.load_weights(tmp_path / "w.safetensors")
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    with pytest.raises(ValueError, match="not built"):
        fastnn.Sequential([layers.Dense(1)]).quantize()
    bad = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    bad.set_weights([np.full((2, 1), np.nan), np.zeros(1)])
    with pytest.raises(ValueError, match="NaN"):
        bad.quantize()


@pytest.mark.parametrize("mode", ["int8", "bfloat16"])
def test_scales_of_a_table_are_not_stored_in_fewer_bits_themselves(tmp_path, mode):
    x = np.arange(12).reshape(3, 4) % 9
    model = fastnn.Sequential(
        [fastnn.Input((4,), dtype="int32"), layers.Embedding(9, 3), layers.GRU(2), layers.Dense(2)]
    )
    model.quantize(mode)
    wanted = model.predict(x, verbose=0)
    for again in ("int8", "bfloat16"):
        with pytest.raises(ValueError, match="quantized once"):
            model.quantize(again)
    model.save(tmp_path / "m.safetensors")
    loaded = fastnn.load_model(tmp_path / "m.safetensors")
    assert (loaded.predict(x, verbose=0) == wanted).all()
    with pytest.raises(ValueError, match="quantized once"):
        loaded.quantize(mode)


def test_files_that_lie_about_their_bits_are_refused(tmp_path):
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    model.quantize("int8")
    path = tmp_path / "m.safetensors"
    model.save(path)
    data = path.read_bytes()
    for old, new in ((b'int8\\"', b'int4\\"'), (b'dense/kernel\\": \\"', b'dense/kernal\\": \\"')):
        assert old in data
        path.write_bytes(data.replace(old, new))
        with pytest.raises(fastnn.FormatError, match="hint"):
            fastnn.models.load_model(path)


# ---- pruning -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["layer", "model"])
def test_the_smallest_weights_go_and_stay_gone(digits, by):
    model, train, test = digits
    pruned = fastnn.models.clone_model(model)
    pruned.set_weights(model.get_weights())
    assert compression.prune(pruned, 0.8, by=by) == pytest.approx(0.8, abs=1e-3)
    kernels = [(a, b) for a, b in zip(model.get_weights(), pruned.get_weights(), strict=True)
               if a.ndim == 2]  # fmt: skip
    groups = [kernels] if by == "model" else [[k] for k in kernels]
    for group in groups:
        gone = np.concatenate([np.abs(a[b == 0]) for a, b in group])
        left = np.concatenate([np.abs(a[b != 0]) for a, b in group])
        assert gone.max() <= left.min()
    zeros = [w == 0 for w in pruned.get_weights() if w.ndim == 2]
    pruned.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    pruned.fit(*train, epochs=5, verbose=0)
    after = [w for w in pruned.get_weights() if w.ndim == 2]
    assert all((w[z] == 0).all() for w, z in zip(after, zeros, strict=True))
    assert any((w[~z] != 0).any() for w, z in zip(after, zeros, strict=True))
    assert compression.sparsity(pruned) == pytest.approx(0.8, abs=1e-3)
    assert accuracy(pruned, test) > accuracy(model, test) - 0.03


def test_pruning_a_compiled_model_counts_at_once_and_goes_on(digits):
    model, train, _ = digits
    pruned = fastnn.models.clone_model(model)
    pruned.compile("adam", "sparse_categorical_crossentropy")
    pruned.fit(*train, epochs=1, verbose=0)  # a step is traced without masks
    for share in (0.3, 0.6):
        compression.prune(pruned, share)
        pruned.fit(*train, epochs=1, verbose=0)
        assert compression.sparsity(pruned) == pytest.approx(share, abs=1e-3)


def test_other_constraints_still_hold(rng):
    norm = fastnn.constraints.NonNeg()
    model = fastnn.Sequential([fastnn.Input((6,)), layers.Dense(5, kernel_constraint=norm)])
    compression.prune(model, 0.5)
    compression.prune(model, 0.6)  # the masks do not pile up
    model.compile(fastnn.optimizers.SGD(0.5), "mse")
    model.fit(rng.normal(size=(40, 6)), -np.ones((40, 5)), epochs=3, verbose=0)
    kernel = model.get_weights()[0]
    assert (kernel >= 0).all()
    assert np.mean(kernel == 0) >= 0.6


@pytest.mark.parametrize("every", [None, 3])
def test_averages_of_weights_keep_the_zeros_too(every, rng):
    model = fastnn.Sequential([fastnn.Input((6,)), layers.Dense(8, "relu"), layers.Dense(2)])
    x, y = rng.normal(size=(64, 6)), rng.normal(size=(64, 2))
    adam = fastnn.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=every)
    model.compile(adam, "mse")
    model.fit(x, y, epochs=1, verbose=0)  # the averages begin without masks
    compression.prune(model, 0.5)
    swap = fastnn.callbacks.SwapEMAWeights(swap_on_epoch=True)
    seen = []
    epochs = fastnn.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: seen.append(compression.sparsity(model))
    )
    model.fit(x, y, epochs=3, batch_size=16, verbose=0, callbacks=[swap, epochs])
    assert [*seen, compression.sparsity(model)] == [0.5] * 4


def test_frozen_and_quantized_weights_count_as_zeros_too(digits):
    pruned = fastnn.models.clone_model(digits[0])
    compression.prune(pruned, 0.5)
    share = compression.sparsity(pruned)
    pruned.layers[0].trainable = False
    assert compression.sparsity(pruned) == share
    pruned.quantize("int8")
    assert compression.sparsity(pruned) >= share


@pytest.mark.parametrize("how", ["file", "pickle", "clone"])
def test_pruned_weights_stay_pruned_in_a_model_that_was_kept(digits, tmp_path, how):
    model, train, _ = digits
    pruned = fastnn.models.clone_model(model)
    pruned.set_weights(model.get_weights())
    pruned.compile("adam", "sparse_categorical_crossentropy")
    compression.prune(pruned, 0.5)
    kernel = pruned.layers[-1].kernel
    value = kernel.numpy().copy()
    # A zero that training may change.
    value[np.unravel_index(np.abs(value).argmax(), value.shape)] = 0.0
    kernel.assign(value)
    zeros = [w == 0 for w in pruned.get_weights()]
    if how == "pickle":
        again = pickle.loads(pickle.dumps(pruned))
    elif how == "file":
        pruned.save(tmp_path / "p.safetensors")
        again = fastnn.models.load_model(tmp_path / "p.safetensors")
        again.save(tmp_path / "q.safetensors")  # and once more
        again = fastnn.models.load_model(tmp_path / "q.safetensors")
    else:
        again = fastnn.models.clone_model(pruned)
        again.set_weights(pruned.get_weights())
        again.compile("adam", "sparse_categorical_crossentropy")
        assert compression.keep_zeros(again) == pytest.approx(0.5, abs=1e-3)
    again.fit(*train, epochs=1, verbose=0)
    after = [w == 0 for w in again.get_weights() if w.ndim == 2]
    before = [z for z in zeros if z.ndim == 2]
    freed = sum(int((b & ~a).sum()) for a, b in zip(after, before, strict=True))
    assert freed == (0 if how == "clone" else 1)


def test_keras_formats_say_that_zeros_do_not_stay(digits, tmp_path):
    pytest.importorskip("h5py", reason="needs the `keras-files` extra")
    pruned = fastnn.models.clone_model(digits[0])
    compression.prune(pruned, 0.5)
    with pytest.warns(UserWarning, match=r"keep_zeros\(model\)"):
        pruned.save(tmp_path / "p.keras")
    again = fastnn.models.load_model(tmp_path / "p.keras")
    assert compression.keep_zeros(again) == pytest.approx(0.5, abs=1e-3)


@pytest.mark.parametrize(
    "noted", ["[]", '{"no such weight": []}', '{"NAME": [-1]}', '{"NAME": [1e3]}', '{"NAME": 7}']
)
def test_files_that_lie_about_pruned_weights_are_refused(tmp_path, noted):
    model = fastnn.Sequential([fastnn.Input((4,)), layers.Dense(3)])
    compression.prune(model, 0.5)
    model.save(tmp_path / "p.safetensors")
    tensors, metadata = fastnn._core.load_file(tmp_path / "p.safetensors")
    (name,) = json.loads(metadata["fastnn.pruned"])
    metadata["fastnn.pruned"] = noted.replace("NAME", name)
    fastnn._core.save_file(tmp_path / "q.safetensors", tensors, metadata)
    with pytest.raises(fastnn.errors.FormatError, match="prune"):
        fastnn.models.load_model(tmp_path / "q.safetensors")


@pytest.mark.parametrize("more", [{"share": 1}, {"share": -0.1}, {"share": "x"}, {"by": "row"}])
def test_shares_out_of_range_are_refused(more):
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(1)])
    with pytest.raises(ValueError, match=f"{next(iter(more))} is"):
        compression.prune(model, **{"share": 0.5} | more)
    with pytest.raises(ValueError, match="not built"):
        compression.prune(fastnn.Sequential([layers.Dense(1)]), 0.5)


@pytest.mark.parametrize(
    ("filters", "stored"),
    [
        ("hidden_1", ["hidden_1"]),
        (["hidden_1$", "out"], ["hidden_1", "out"]),
        (lambda layer: "hidden" in layer.name, ["hidden_1", "hidden_2"]),
        (None, ["hidden_1", "hidden_2", "out"]),
    ],
)
def test_layers_are_chosen_for_fewer_bits(filters, stored, tmp_path):
    model = fastnn.Sequential(
        [fastnn.Input((64,))]
        + [fastnn.layers.Dense(64, name=name) for name in ("hidden_1", "hidden_2", "out")]
    )
    x = np.random.default_rng(0).normal(size=(4, 64)).astype("f")
    before = model.predict(x, verbose=0)
    model.quantize("int8", filters=filters)
    assert [layer.name for layer in model.layers if layer.kernel.dtype == "int8"] == stored
    after = model.predict(x, verbose=0)
    assert 0 < np.abs(after - before).max() < 0.2
    model.save(tmp_path / "m.safetensors")
    again = fastnn.models.load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(x, verbose=0), after)
    if filters is not None:
        model.quantize("bfloat16")  # the others
        assert {layer.kernel.dtype for layer in model.layers} == {"int8", "bfloat16"}


def test_a_filter_that_means_no_layer_is_refused():
    model = fastnn.Sequential([fastnn.Input((8,)), fastnn.layers.Dense(8, name="only")])
    with pytest.raises(ValueError, match=r"where filters='dense'\n  hint: layers are called only"):
        model.quantize("int8", filters="dense")
    with pytest.raises(TypeError, match=r"filters is 3, wanted .*\n.*hint"):
        model.quantize("int8", filters=3)
