"""`explain`: attributions that add up, on models whose answer is known."""

import sys
import warnings

import numpy as np
import pytest

import fastnn
from fastnn import layers


def linear(weights):
    weights = np.asarray(weights, "float32")
    model = fastnn.Sequential([fastnn.Input((len(weights),)), layers.Dense(weights.shape[1])])
    model.set_weights([weights, np.arange(weights.shape[1], dtype="float32")])
    return model


@pytest.fixture
def net():
    fastnn.utils.set_random_seed(0)
    return fastnn.Sequential(
        [fastnn.Input((5,)), layers.Dense(32, "relu"), layers.Dropout(0.5), layers.Dense(3)]
    )


@pytest.fixture
def x(rng):
    return rng.normal(size=(30, 5)).astype("float32")


W = [[2.0, 0.0], [-1.0, 1.0], [0.5, 3.0]]


@pytest.mark.parametrize("target", [0, 1])
def test_of_a_linear_model_every_method_gives_the_weights(rng, target):
    model, w = linear(W), np.array(W)[:, target]
    x = rng.normal(size=(7, 3)).astype("float32")
    base = np.array([1.0, -2.0, 0.5], "float32")
    saliency = fastnn.explain(model, x, "saliency", target=target)
    assert np.allclose(saliency.values, w, atol=1e-6)
    for method in ("integrated_gradients", "occlusion"):
        found = fastnn.explain(model, x, method, target=target, baseline=base)
        assert np.allclose(found.values, w * (x - base), atol=1e-5)
        assert np.allclose(found.outputs, model.predict(x, verbose=0)[:, target])


def test_integrated_gradients_add_up(net, x):
    out = net.predict(x, verbose=0)
    for target in (None, 1, np.arange(30) % 3):
        found = fastnn.explain(net, x, target=target)
        assert (found.target == (out.argmax(1) if target is None else target)).all()
        assert np.allclose(found.outputs, out[np.arange(30), found.target])
        sums = found.values.sum(axis=1)
        assert np.allclose(sums, found.outputs - found.base, atol=1e-3)
        assert found.gap < 1e-2
    coarse = fastnn.explain(net, x, steps=1)
    assert coarse.gap > found.gap


def test_saliency_is_the_slope(net, x):
    found = fastnn.explain(net, x, "saliency", target=2)
    step = 1e-2
    for j in range(5):
        moved = np.eye(5, dtype="float32")[j] * step
        rise = net.predict(x + moved, verbose=0) - net.predict(x - moved, verbose=0)
        near = np.abs(rise[:, 2] / (2 * step) - found.values[:, j]) < 0.05
        assert near.mean() > 0.9  # the others bend in between


def test_occlusion_of_windows_marks_the_place(rng):
    x = fastnn.Input((6, 6, 1))
    corner = layers.Flatten()(layers.Cropping2D(((0, 4), (0, 4)))(x)) if hasattr(
        layers, "Cropping2D"
    ) else layers.Flatten()(x[:, :2, :2])  # fmt: skip
    model = fastnn.Model(x, layers.Dense(1, kernel_initializer="ones")(corner))
    images = rng.random((3, 6, 6, 1)).astype("float32")
    found = fastnn.explain(model, images, "occlusion", window=(2, 2, 1))
    wanted = images[:, :2, :2].sum((1, 2, 3))
    assert np.allclose(found.values[:, :2, :2], wanted[:, None, None, None], atol=1e-5)
    assert (found.values[:, 2:] == 0).all()
    assert (found.values[:, :, 2:] == 0).all()


def test_several_inputs_and_words():
    words = fastnn.Input((2,), dtype="int32", name="words")
    size = fastnn.Input((1,), name="size")
    word = layers.Flatten()(layers.Embedding(4, 1, embeddings_initializer="ones")(words))
    out = layers.Dense(1, kernel_initializer="ones")(layers.Concatenate()([word, size]))
    model = fastnn.Model({"words": words, "size": size}, out)
    x = {"words": np.array([[1, 2], [3, 0]]), "size": np.array([[2.0], [5.0]])}
    found = fastnn.explain(model, x, "occlusion")
    assert found.values["size"].tolist() == [[2.0], [5.0]]
    assert found.values["words"].tolist() == [[0, 0], [0, 0]]  # all words weigh the same
    for method in ("saliency", "integrated_gradients"):
        with pytest.raises(fastnn.DataError, match="'words' takes whole numbers"):
            fastnn.explain(model, x, method)
    two = fastnn.Model([size, fastnn.Input((1,), name="b")], size * 2)
    parts = fastnn.explain(two, [np.ones((2, 1)), np.ones((2, 1))]).values
    assert np.allclose(parts[0], 2)
    assert np.allclose(parts[1], 0)


def test_whole_numbers_for_a_float_input_have_slopes():
    found = fastnn.explain(linear(W), np.array([[1, 2, 3]]), "saliency", target=0)
    assert np.allclose(found.values, np.array(W)[:, 0])


def test_permutation_finds_the_features_that_matter(rng):
    pytest.importorskip("sklearn", reason="needs the `explain` extra")
    model = linear([[3.0], [0.0], [1.0]])
    model.compile("sgd", "mse")
    x = rng.normal(size=(200, 3)).astype("float32")
    y = model.predict(x, verbose=0)[:, 0]
    found = fastnn.explain(model, x, "permutation", y=y, repeats=5)
    assert found.values[0] > found.values[2] > 0.5
    assert found.values[1] == 0
    assert found.deviation.shape == (3,)
    again = fastnn.explain(model, x, "permutation", y=y, repeats=5)
    assert (again.values == found.values).all()
    own = fastnn.explain(
        model, x, "permutation", y=y, scoring=lambda y, p: -np.abs(y - p[:, 0]).mean()
    )
    assert own.values[0] > own.values[2] > own.values[1] == 0


@pytest.mark.parametrize(
    ("more", "error", "text"),
    [
        ({"method": "lime"}, ValueError, "unknown method"),
        ({"method": "saliency", "steps": 3}, TypeError, "steps"),
        ({"step": 3}, TypeError, "did you mean `steps`"),
        ({"steps": 0}, ValueError, "steps is 0"),
        ({"target": 2}, ValueError, "0 to 1"),
        ({"target": [0]}, ValueError, "one for each of 3 rows"),
        ({"baseline": [1.0, 2.0]}, fastnn.ShapeError, "a row has"),
        ({"method": "occlusion", "window": 0}, ValueError, "window is 0"),
        ({"method": "permutation"}, ValueError, "needs the targets"),
        ({"method": "permutation", "y": [1, 2, 3]}, RuntimeError, "compile"),
        ({"method": "permutation", "y": [1, 2, 3], "scoring": "acc"}, ValueError, "a function"),
    ],
)
def test_what_cannot_be_meant_is_refused(more, error, text):
    pytest.importorskip("sklearn", reason="needs the `explain` extra")
    with pytest.raises(error, match=text):
        fastnn.explain(linear(W), np.ones((3, 3)), **more)


def test_what_cannot_be_explained_is_refused(x):
    with pytest.raises(ValueError, match="shap"):
        fastnn.explain(lambda x: x, x)
    with pytest.raises(fastnn.DataError, match="x has 0"):
        fastnn.explain(linear(W), np.ones((0, 3)))
    deep = fastnn.Sequential([fastnn.Input((4, 3)), layers.Dense(2)])
    with pytest.raises(fastnn.ShapeError, match="wanted"):
        fastnn.explain(deep, np.ones((2, 4, 3)))
    a = fastnn.Input((3,))
    two = fastnn.Model(a, [layers.Dense(1)(a), layers.Dense(1)(a)])
    with pytest.raises(fastnn.ShapeError, match="several outputs"):
        fastnn.explain(two, np.ones((2, 3)))


def test_the_model_is_left_as_it_was(net, x):
    net.compile("adam", "mse")
    before = [w.copy() for w in net.get_weights()]
    rate = float(net.optimizer.learning_rate)
    for method in ("integrated_gradients", "saliency", "occlusion"):
        fastnn.explain(net, x, method)
    assert all((a == b).all() for a, b in zip(before, net.get_weights(), strict=True))
    assert float(net.optimizer.learning_rate) == rate


def test_an_absent_scikit_learn_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.inspection", None)
    with pytest.raises(ImportError, match=r"fastnn-rs\[explain\]"):
        fastnn.explain(linear(W), np.ones((3, 3)), "permutation", y=[1, 2, 3])
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(ImportError, match=r"fastnn-rs\[explain\]"):
        fastnn.explanation.surrogate_tree(linear(W), np.ones((30, 3)))


# ---- surrogate trees -----------------------------------------------------------------------------


def test_a_tree_imitates_a_model_and_says_how_well(rng):
    pytest.importorskip("sklearn", reason="needs the `explain` extra")
    x = rng.normal(size=(600, 3)).astype("float32")
    steps = fastnn.explanation.surrogate_tree(lambda x: x[:, 1] > 0.3, x, names=list("abc"))
    assert steps.fidelity > 0.97
    text = str(steps)
    assert "b <= 0.3" in text or "b <= 0.2" in text
    assert f"{steps.fidelity:.1%}" in text
    noise = fastnn.explanation.surrogate_tree(
        lambda x: np.random.default_rng(1).normal(size=len(x)), x
    )
    assert not noise.classifies
    assert noise.fidelity < 0.2
    model = linear(W)
    found = fastnn.explanation.surrogate_tree(model, x, max_depth=5)
    assert found.classifies
    assert found.fidelity > 0.75
    for bad in (np.ones((5, 3)), np.ones((20, 3, 2))):
        with pytest.raises(fastnn.ShapeError):
            fastnn.explanation.surrogate_tree(model, bad)
    with pytest.raises(fastnn.ShapeError, match="2 names"):
        fastnn.explanation.surrogate_tree(model, x, names=["a", "b"])


# ---- pictures ------------------------------------------------------------------------------------


def test_pictures_of_features_and_images(net, x):
    plt = pytest.importorskip("matplotlib.pyplot", reason="needs the `plot` extra")
    plt.switch_backend("Agg")
    found = fastnn.explain(net, x)
    axes = fastnn.plot.attributions(found, row=3, names=list("abcde"))
    drawn = {
        t.get_text(): p.get_width()
        for t, p in zip(axes.get_yticklabels(), axes.patches, strict=True)
    }
    assert drawn == pytest.approx(dict(zip("abcde", found.values[3].tolist(), strict=True)))
    with pytest.raises(fastnn.DataError, match="1 names"):
        fastnn.plot.attributions(found, names=["a"])
    image = fastnn.explanation.Explanation("saliency", np.ones((1, 4, 5, 3)))
    assert fastnn.plot.attributions(image).images[0].get_array().shape == (4, 5)
    plt.close("all")


# ---- other libraries -----------------------------------------------------------------------------


def test_shap_of_a_linear_model_is_weight_times_distance(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shap = pytest.importorskip("shap", reason="needs the `explain` extra")
        model = linear([[2.0], [-1.0], [0.5]])
        background = rng.normal(size=(50, 3))
        x = rng.normal(size=(6, 3))
        explainer = shap.Explainer(lambda rows: model.predict(rows, verbose=0)[:, 0], background)
        found = explainer(x)
        mean = explainer.masker.data.mean(axis=0)
    assert np.allclose(found.values, np.array([2.0, -1.0, 0.5]) * (x - mean), atol=1e-3)
    sums = found.values.sum(axis=1) + found.base_values
    assert np.allclose(sums, model.predict(x, verbose=0)[:, 0], atol=1e-3)


def test_shap_takes_predict_of_a_classifier(net, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shap = pytest.importorskip("shap", reason="needs the `explain` extra")
        found = shap.Explainer(net.predict, x)(x[:4])
    out = net.predict(x[:4], verbose=0)
    assert found.values.shape == (4, 5, 3)
    assert np.allclose(found.values.sum(axis=1) + found.base_values, out, atol=1e-3)


def test_lime_finds_the_feature_that_decides(rng):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        lime = pytest.importorskip("lime.lime_tabular", reason="needs the package lime")
        x = rng.normal(size=(200, 3))
        model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(2, "softmax")])
        model.set_weights([np.array([[-4.0, 4.0], [0, 0], [0.2, -0.2]]), np.zeros(2)])
        explainer = lime.LimeTabularExplainer(x, discretize_continuous=False, random_state=0)
        predict = lambda rows: model.predict(rows, verbose=0)  # noqa: E731
        found = dict(explainer.explain_instance(x[0], predict, num_features=3).as_map()[1])
    assert found[0] > 10 * abs(found[1])
    assert found[0] > abs(found[2])


@pytest.mark.parametrize("method", ["occlusion", "permutation"])
def test_inputs_that_are_looked_up_first_are_explained_from_there_on(method):
    first = layers.IntegerLookup(vocabulary=[2, 1, 3])
    model = fastnn.Sequential(
        [fastnn.Input((2,), dtype="int32"), first, layers.Embedding(6, 2), layers.Flatten(),
         layers.Dense(1)]
    )  # fmt: skip
    model.compile("sgd", "mse")
    x = np.array([[1, 2], [3, 1], [2, 2]])
    more = {"y": np.zeros(3)} if method == "permutation" else {}
    with pytest.raises(fastnn.DataError, match=r"look its inputs up .*integer_lookup") as caught:
        fastnn.explain(model, x, method, **more)
    assert "hint: explain(fastnn.Model(layer.output, model.output), layer(x))" in str(caught.value)
    rest = fastnn.Model(first.output, model.output)
    rest.compile("sgd", "mse")
    found = fastnn.explain(rest, first(x), method, **more)
    if method == "occlusion":
        np.testing.assert_array_equal(found.outputs, model.predict(x, verbose=0).ravel())
