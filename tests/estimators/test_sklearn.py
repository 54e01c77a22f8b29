"""`fastnn.sklearn`: estimators that scikit-learn takes for its own."""

import copy
import pickle
import threading
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the `sklearn` extra", minversion="1.6")

from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import make_blobs, make_classification, make_regression
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastnn
from fastnn import layers
from fastnn.sklearn import FastNNClassifier, FastNNFeatures, FastNNRegressor

pytestmark = pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API:UserWarning")


def body(n_features, n_outputs):
    """A model function, at the top level so that it can be pickled."""
    x = fastnn.Input((n_features,))
    h = layers.LayerNormalization()(layers.Dense(8, "relu", name="first")(x))
    return fastnn.Model(x, layers.Dense(n_outputs)(h))


def blobs(n=120, centers=3, seed=0):
    return make_blobs(n, centers=centers, n_features=5, random_state=seed)


# ---- scikit-learn's own checks -------------------------------------------------------------------

ESTIMATORS = [
    FastNNClassifier(),
    FastNNRegressor(),
    FastNNFeatures(),
    FastNNFeatures(task="reconstruction", hidden_layer_sizes=(8, 2)),
    FastNNClassifier(model=body, epochs=300),
    FastNNRegressor((32, 32), l2=1e-5),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_check_of_scikit_learn_passes(estimator, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    ran, failed = 0, []
    for checked, check in estimator_checks_generator(estimator):
        name = check.func.__name__
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                check(checked)
            except Exception as error:
                failed.append(f"{name}: {error!r}"[:300])
        ran += 1
    assert not failed, "\n".join(failed)
    assert ran >= 50


# ---- bits ----------------------------------------------------------------------------------------


def bits(estimator, X):
    return estimator.predict_proba(X).tobytes()


def test_a_seed_gives_the_same_bits_whatever_the_process_drew_before(moons):
    X, y = moons
    net = FastNNClassifier([16], epochs=5, batch_size=32, dropout=0.2, random_state=3)
    first = bits(net.fit(X, y), X)
    fastnn.random.set_seed(99)
    fastnn.random.normal((3,))
    np.random.seed(5)
    assert bits(clone(net).fit(X, y), X) == first
    assert bits(clone(net).set_params(random_state=4).fit(X, y), X) != first


def test_fitting_leaves_the_seeds_of_the_process_alone(moons):
    X, y = moons
    fastnn.random.set_seed(1)
    want = [fastnn.random.make_default_seed(), fastnn.random.normal((2,)).numpy().tolist()]
    fastnn.random.set_seed(1)
    FastNNClassifier(epochs=1, random_state=0).fit(X, y)
    assert [fastnn.random.make_default_seed(), fastnn.random.normal((2,)).numpy().tolist()] == want


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_any_number_of_jobs_gives_the_same_bits(backend, moons):
    import joblib

    X, y = moons
    net = FastNNClassifier([8], epochs=3, batch_size=50, dropout=0.1, random_state=1)
    bag = BaggingClassifier(net, 4, random_state=0)
    alone = clone(bag).fit(X, y)
    with joblib.parallel_backend(backend, n_jobs=2):
        together = clone(bag).set_params(n_jobs=2).fit(X, y)
    assert bits(together, X) == bits(alone, X)


def test_threads_do_not_mix_their_seeds(moons):
    X, y = moons
    net = FastNNClassifier([8], epochs=3, batch_size=50, dropout=0.3, random_state=1)
    want, got = bits(clone(net).fit(X, y), X), {}

    def work(i):
        got[i] = bits(clone(net).fit(X, y), X)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(v == want for v in got.values())
    assert len(got) == 3


def test_in_one_batch_weights_are_repeated_rows_and_order_is_nothing(rng):
    X, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    counts = rng.integers(0, 4, 40)
    net = FastNNClassifier([16], epochs=50, random_state=0)
    weighed = bits(clone(net).fit(X, y, counts), X)
    repeated = bits(clone(net).fit(X.repeat(counts, 0), y.repeat(counts)), X)
    order = rng.permutation(40)
    turned = bits(clone(net).fit(X[order], y[order], 7.0 * counts[order]), X)
    assert weighed == repeated == turned


def test_the_scale_of_weights_does_not_matter_in_batches_either(moons):
    X, y = moons
    w = np.linspace(0.5, 2, len(y))
    net = FastNNClassifier([8], epochs=3, batch_size=32, random_state=0)
    # Powers of two are exact.
    assert bits(clone(net).fit(X, y, w), X) == bits(clone(net).fit(X, y, w / 1024), X)
    assert bits(clone(net).fit(X, y, w), X) != bits(clone(net).fit(X, y), X)


def test_rows_without_weight_are_no_rows(moons):
    X, y = moons
    w = np.where(np.arange(len(y)) % 3 == 0, 0.0, 1.0)
    net = FastNNClassifier([8], epochs=3, batch_size=32, random_state=0)
    assert bits(clone(net).fit(X, y, w), X) == bits(clone(net).fit(X[w > 0], y[w > 0]), X)


# ---- data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array, sparse.csc_array])
def test_sparse_rows_train_as_dense_ones(kind, rng):
    X = np.where(rng.random((300, 20)) < 0.8, 0, rng.normal(size=(300, 20))).astype(np.float32)
    y = (X.sum(1) > 0).astype(int)
    net = FastNNClassifier([8], epochs=3, batch_size=64, random_state=0)
    dense = clone(net).fit(X, y)
    thin = clone(net).fit(kind(X), y)
    assert bits(thin, X) == bits(dense, X) == bits(dense, kind(X))


def test_large_sparse_rows_are_made_dense_a_batch_at_a_time(monkeypatch, rng):
    import fastnn.data.arrays

    X = sparse.random(400, 30, 0.1, format="csr", random_state=0, dtype=np.float32)
    y = np.asarray(X.sum(axis=1)).ravel()
    net = FastNNRegressor([8], epochs=4, batch_size=64, random_state=0)
    want = clone(net).fit(X, y).predict(X)
    monkeypatch.setattr(fastnn.data.arrays, "DENSE_BYTES", 1)
    rows = []
    whole = type(X).toarray
    monkeypatch.setattr(type(X), "toarray", lambda self, *a, **k: rows.append(self.shape[0])
                        or whole(self, *a, **k))  # fmt: skip
    got = clone(net).fit(X, y).predict(X)
    assert max(rows) <= 256
    assert np.allclose(got, want, rtol=1e-4, atol=1e-5)


def test_frames_name_their_columns():
    pd = pytest.importorskip("pandas")
    X, y = blobs()
    frame = pd.DataFrame(X, columns=list("abcde"))
    net = FastNNClassifier(epochs=2).fit(frame, pd.Series(y))
    assert net.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[list("edcba")])
    features = FastNNFeatures([4, 3], epochs=2).set_output(transform="pandas")
    out = features.fit_transform(frame, y)
    assert out.columns.tolist() == ["fastnnfeatures0", "fastnnfeatures1", "fastnnfeatures2"]


@pytest.mark.parametrize("labels", [["no", "yes"], [-1, 1], [2.0, 7.0], [False, True]])
def test_labels_of_any_kind_come_back(labels):
    X, y = blobs(centers=2)
    y = np.array(labels)[y]
    net = FastNNClassifier(epochs=60, random_state=0).fit(X, y)
    assert net.predict(X).dtype == y.dtype
    assert net.score(X, y) > 0.95
    assert net.classes_.tolist() == labels
    assert net.decision_function(X).shape == (len(y),)


def test_probabilities_agree_with_scores_and_add_up():
    X, y = blobs()
    net = FastNNClassifier(epochs=50, random_state=0).fit(X, y)
    p, scores = net.predict_proba(X), net.decision_function(X)
    assert p.shape == scores.shape == (120, 3)
    assert np.allclose(p.sum(1), 1, atol=1e-6)
    assert (net.classes_[p.argmax(1)] == net.predict(X)).all()
    far = net.predict_log_proba(1000 * X)
    assert np.isfinite(far).all()


def test_one_class_is_always_predicted():
    net = FastNNClassifier(epochs=2).fit(np.eye(4), ["a"] * 4)
    assert net.predict(-np.eye(4)).tolist() == ["a"] * 4
    assert net.predict_proba(np.eye(4)).tolist() == [[1.0]] * 4


def test_several_labels_at_once(rng):
    X = rng.normal(size=(300, 4))
    y = (X[:, :3] > 0).astype(int)
    net = FastNNClassifier(epochs=100, random_state=0).fit(X, y)
    assert net.predict(X).shape == net.predict_proba(X).shape == (300, 3)
    assert (net.predict(X) == y).mean() > 0.95
    assert bits(clone(net).fit(X, sparse.csr_matrix(y)), X) == bits(net, X)
    heavy = clone(net).set_params(class_weight=[{0: 1, 1: 50}] * 3, epochs=10).fit(X, y)
    assert heavy.predict(X).mean() > net.predict(X).mean()


def test_labels_rank_by_probability_as_by_score_where_float32_cannot_tell(rng):
    X = rng.normal(size=(200, 4))
    net = FastNNClassifier((), epochs=300, learning_rate=0.1, random_state=0)
    net.fit(X, (X[:, :2] > 0).astype(int))
    far = np.linspace(1, 2, 30)[:, None] * np.array([[2.0, 2.0, 0.0, 0.0]])
    scores, p = net.decision_function(far), net.predict_proba(far)
    assert ((scores > 17) & (scores < 30)).any(axis=0).all()
    order = np.argsort(scores, axis=0)
    steps = np.diff(np.take_along_axis(p, order, 0), axis=0)
    told = np.diff(np.take_along_axis(scores, order, 0), axis=0) > 0
    below = np.take_along_axis(scores, order, 0)[1:] < 30
    assert (steps[told & below] > 0).all()


def test_refusals_name_labels_as_they_were_given(moons):
    X, y = moons
    with pytest.raises(ValueError, match="no class of y, and not 'no'\n"):
        FastNNClassifier(class_weight={"maybe": 2.0}).fit(X, np.where(y, "yes", "no"))


def test_several_numbers_at_once():
    X, y = make_regression(200, 5, n_targets=3, random_state=0)
    y = y / y.std()
    net = FastNNRegressor(epochs=150, batch_size=32, random_state=0).fit(X, y)
    assert net.predict(X).shape == (200, 3)
    assert net.score(X, y) > 0.9
    large = TransformedTargetRegressor(clone(net), transformer=StandardScaler())
    assert large.fit(X, 1e6 * y + 1e7).score(X, 1e6 * y + 1e7) > 0.9


# ---- settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", ["balanced", {0: 1.0, 1: 19.0}])
def test_class_weights_find_the_rare_class(weights):
    X, y = make_classification(1000, weights=[0.95], flip_y=0.05, random_state=0)
    plain = FastNNClassifier(epochs=20, batch_size=50, random_state=0).fit(X, y)
    net = clone(plain).set_params(class_weight=weights).fit(X, y)
    rare = y == 1
    assert (net.predict(X)[rare] == 1).mean() > (plain.predict(X)[rare] == 1).mean() + 0.05


def test_balanced_counts_by_sample_weight():
    from sklearn.utils.class_weight import compute_class_weight

    from fastnn.sklearn.rows import by_class

    y = np.array([0, 0, 0, 1, 2, 2])
    classes = np.array([0, 1, 2])
    want = compute_class_weight("balanced", classes=classes, y=y)
    assert np.allclose(by_class("balanced", classes, y, None), want)
    w = np.array([1.0, 1, 1, 3, 1.5, 1.5])
    assert np.allclose(by_class("balanced", classes, y, w), 1)


def test_early_stopping_holds_rows_out_and_keeps_the_best():
    X, y = make_classification(400, flip_y=0.3, random_state=0)
    net = FastNNClassifier([64], epochs=300, batch_size=32, learning_rate=0.01, random_state=0,
                           early_stopping=True, n_iter_no_change=5).fit(X, y)  # fmt: skip
    assert net.n_iter_ < 300
    lowest = int(np.argmin(net.history_["val_loss"]))
    assert net.n_iter_ >= lowest + 5
    assert bits(clone(net).fit(X, y), X) == bits(net, X)


def test_partial_fit_goes_on_and_knows_all_classes():
    X, y = blobs()
    net = FastNNClassifier([32], learning_rate=0.01, random_state=0)
    first = y < 2
    net.partial_fit(X[first], y[first], classes=[0, 1, 2])
    for _ in range(80):
        net.partial_fit(X, y)
    assert net.score(X, y) > 0.95
    assert net.n_iter_ == len(net.history_["loss"]) == 81
    with pytest.raises(ValueError, match=r"holds the class \d, the network"):
        net.partial_fit(X, y + 5)
    with pytest.raises(ValueError, match="first call"):
        FastNNClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="early_stopping"):
        FastNNRegressor(early_stopping=True).partial_fit(X, y)


def test_warm_start_goes_on_and_cold_start_forgets(moons):
    X, y = moons
    net = FastNNClassifier([16], epochs=5, batch_size=32, random_state=0, warm_start=True)
    losses = [net.fit(X, y).history_["loss"][-1] for _ in range(3)]
    assert losses == sorted(losses, reverse=True)
    assert net.n_iter_ == 15
    cold = clone(net).set_params(warm_start=False)
    assert bits(cold.fit(X, y), X) == bits(cold.fit(X, y), X)
    with pytest.raises(ValueError, match="the network was made for 0, 1"):
        net.fit(X, y + 1)


@pytest.mark.parametrize("kind", ["fit", "partial_fit"])
def test_settings_that_change_on_the_way_count_or_are_refused(kind, moons):
    X, y = moons

    def train(net):
        return net.fit(X, y) if kind == "fit" else net.partial_fit(X, y, classes=[0, 1])

    net = FastNNClassifier((8,), epochs=2, batch_size=32, random_state=0, warm_start=True)
    train(train(net.set_params(hidden_layer_sizes=[8])))
    for changed in ({"hidden_layer_sizes": (8, 8)}, {"activation": "tanh"}, {"dropout": 0.5},
                    {"l2": 0.1}, {"model": lambda n, k: None}):  # fmt: skip
        other = pickle.loads(pickle.dumps(net)).set_params(**changed)
        with pytest.raises(ValueError, match=rf"{next(iter(changed))} is .*made with"):
            train(other)
    before = net.model_.get_weights()
    train(net.set_params(learning_rate=0.0))
    for a, b in zip(before, net.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    train(net.set_params(learning_rate=None, optimizer="sgd"))
    assert type(net.model_.optimizer).__name__ == "SGD"
    assert (net.model_.get_weights()[0] != before[0]).any()
    regressor = FastNNRegressor(epochs=1, random_state=0, warm_start=True).fit(X, y)
    assert regressor.set_params(loss="mae").fit(X, y).model_.loss == fastnn.losses.get("mae")


def test_an_optimizer_object_stays_as_it_was(moons):
    X, y = moons
    optimizer = fastnn.optimizers.SGD(0.1, momentum=0.9)
    net = FastNNClassifier(optimizer=optimizer, epochs=3, random_state=0)
    first = bits(net.fit(X, y), X)
    assert int(optimizer.iterations) == 0
    assert bits(net.fit(X, y), X) == first
    assert net.model_.optimizer is not optimizer
    with pytest.raises(ValueError, match="has its own"):
        net.set_params(learning_rate=0.1).fit(X, y)


def test_callbacks_may_come_from_a_function(moons):
    X, y = moons
    seen = []

    def fresh():
        hook = fastnn.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(e))
        return [hook]

    FastNNClassifier(epochs=3, callbacks=fresh).fit(X, y)
    assert seen == [0, 1, 2]


def test_any_model_function_serves(moons):
    X, y = moons
    net = FastNNClassifier(model=body, epochs=100, learning_rate=0.01, random_state=0).fit(X, y)
    assert net.score(X, y) > 0.85
    hidden = FastNNFeatures(model=body, layer="first", epochs=2).fit(X, y)
    assert hidden.transform(X).shape == (200, 8)
    assert (hidden.transform(X) >= 0).all()


def test_features_are_those_of_the_layer(moons):
    X, y = moons
    deep = FastNNFeatures([12, 6, 3], dropout=0.1, epochs=3, random_state=0).fit(X, y)
    assert deep.transform(X).shape == (200, 3)
    x = X.astype(np.float32)
    kernels = [w for w in deep.model_.get_weights()]
    for w, b in zip(kernels[0:6:2], kernels[1:6:2], strict=True):
        x = np.maximum(x @ w + b, 0)
    assert np.allclose(deep.transform(X), x, atol=1e-5)
    assert clone(deep).set_params(layer=0).fit(X, y).transform(X).shape == (200, 12)


def test_without_targets_features_reproduce_the_rows(rng):
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 6))
    net = FastNNFeatures([2], activation="linear", epochs=300, batch_size=50, learning_rate=0.01,
                         random_state=0).fit(X)  # fmt: skip
    assert net.task_ == "reconstruction"
    assert net.history_["loss"][-1] < 0.05 * X.var()
    assert FastNNFeatures(epochs=1).fit(X, X[:, 0]).task_ == "regression"
    assert FastNNFeatures(epochs=1).fit(X, X[:, 0] > 0).task_ == "classification"


# ---- bad input -----------------------------------------------------------------------------------

SETTINGS = [
    ({"hidden_layer_sizes": (5, 0)}, "hidden_layer_sizes is 0"),
    ({"epochs": -1}, "epochs is -1"),
    ({"epochs": 2.5}, "epochs is 2.5"),
    ({"batch_size": 0}, "batch_size is 0"),
    ({"dropout": 1.0}, "dropout is 1.0"),
    ({"l2": -1}, "l2 is -1"),
    ({"learning_rate": -1}, "learning_rate is -1"),
    ({"learning_rate": float("nan")}, "learning_rate is nan"),
    ({"early_stopping": True, "validation_fraction": 1.0}, "validation_fraction is 1.0"),
    ({"activation": "rleu"}, "relu"),
    ({"optimizer": "adm"}, "adam"),
    ({"class_weight": "balancd"}, "class_weight is 'balancd'"),
    ({"class_weight": {0: -1.0}}, "weight -1.0"),
    ({"class_weight": {"a": 1.0}}, "names 'a', which is no class"),
    ({"model": lambda n, k: None}, "gave NoneType"),
    ({"model": lambda n, k: fastnn.Sequential([fastnn.Input((n,)), layers.Dense(7)])}, "wanted"),
    ({"model": lambda n, k: fastnn.Sequential([fastnn.Input((n,)), layers.Dense(k, "sigmoid")])},
     "ends in sigmoid"),
    ({"model": "mlp"}, "model is str"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "says"), SETTINGS, ids=lambda v: str(v)[:40])
def test_settings_that_make_no_sense_are_refused_with_a_hint(given, says, moons):
    with pytest.raises(ValueError, match=says) as caught:
        FastNNClassifier(**given).fit(*moons)
    assert "\n  hint: " in str(caught.value)


def test_data_that_make_no_sense_are_refused_with_a_hint(moons):
    X, y = moons
    cases = [
        (lambda: FastNNClassifier().fit(X, np.c_[y, y + 2]), "multiclass-multioutput"),
        (lambda: FastNNClassifier().fit(X, y, -np.ones(len(y))), "Negative values"),
        (lambda: FastNNClassifier(class_weight={0: 0, 1: 0}).fit(X, y), "are zero"),
        (lambda: FastNNRegressor().fit(X, np.where(y, 1e300, 0)), "beyond float32"),
        (lambda: FastNNFeatures(layer=3).fit(X, y), "1 hidden layers"),
        (lambda: FastNNFeatures(task="regress").fit(X, y), "task is 'regress'"),
        (lambda: FastNNFeatures(task="regression").fit(X), "requires y"),
        (lambda: FastNNClassifier(early_stopping=True).fit(X[:3], y[:3]), "cannot hold out"),
    ]
    for case, says in cases:
        with pytest.raises(ValueError, match=says) as caught:
            case()
        assert "\n  hint: " in str(caught.value), says


def test_without_scikit_learn_the_hint_says_how_to_get_it(run_python):
    program = """
import sys
sys.modules["sklearn"] = None
import fastnn, fastnn.sklearn, fastnn.wrappers
from fastnn import *
for module, name in ((fastnn.sklearn, "FastNNClassifier"), (fastnn.wrappers, "SKLearnRegressor")):
    try:
        getattr(module, name)
    except ImportError as error:
        print(error)
"""
    assert run_python(program).count('pip install "fastnn-rs[sklearn]"') == 2


# ---- copies --------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [FastNNClassifier, FastNNFeatures])
def test_trained_estimators_are_pickled_and_go_on(make, moons):
    X, y = moons
    net = make([8], epochs=3, batch_size=32, dropout=0.2, random_state=0, model=None).fit(X, y)
    for other in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        run = "predict_proba" if make is FastNNClassifier else "transform"
        same = net.__class__(**net.get_params())
        same.__dict__.update(pickle.loads(pickle.dumps(net)).__dict__)
        assert (getattr(other, run)(X) == getattr(net, run)(X)).all()
        a, b = (e.partial_fit(X, y) for e in (same, other))
        assert (getattr(a, run)(X) == getattr(b, run)(X)).all()
        assert (getattr(a, run)(X) != getattr(net, run)(X)).any()


# ---- with others ---------------------------------------------------------------------------------


def small(**more):
    return FastNNClassifier([16], epochs=60, learning_rate=0.02, random_state=0, **more)


def test_ensembles_of_networks(moons):
    X, y = moons
    for model in (
        BaggingClassifier(small(), 3, random_state=0),
        AdaBoostClassifier(small(), n_estimators=3, random_state=0),
        VotingClassifier([("net", small()), ("line", LogisticRegression())], voting="soft"),
        StackingClassifier([("net", small()), ("line", LogisticRegression())], cv=3),
    ):
        assert model.fit(X, y).score(X, y) > 0.85, model
    X, y = make_regression(150, 4, random_state=0)
    boost = AdaBoostRegressor(FastNNRegressor([16], epochs=50, learning_rate=0.05), n_estimators=3)
    assert boost.fit(X, y / y.std()).score(X, y / y.std()) > 0.8


def test_boosting_hands_weights_on(monkeypatch, moons):
    X, y = moons
    seen = []
    fit = FastNNClassifier.fit
    monkeypatch.setattr(FastNNClassifier, "fit", lambda self, X, y, sample_weight=None:
                        seen.append(sample_weight) or fit(self, X, y, sample_weight))  # fmt: skip
    AdaBoostClassifier(small(), n_estimators=3, random_state=0).fit(X, y)
    assert len(seen) >= 2
    assert len({w.tobytes() for w in seen}) == len(seen)


def test_pipelines_columns_and_searches():
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"size": rng.normal(50, 20, 200), "town": rng.choice(list("abc"), 200)})
    y = (frame["size"] > 50) ^ (frame["town"] == "a")
    columns = ColumnTransformer(
        [("numbers", StandardScaler(), ["size"]), ("words", OneHotEncoder(), ["town"])]
    )
    pipe = make_pipeline(columns, small())
    grid = {"fastnnclassifier__hidden_layer_sizes": [[4], [16]],
            "fastnnclassifier__learning_rate": [1e-3, 2e-2]}  # fmt: skip
    one = GridSearchCV(pipe, grid, cv=3).fit(frame, y)
    two = GridSearchCV(pipe, grid, cv=3, n_jobs=2).fit(frame, y)
    assert one.best_score_ > 0.9
    assert one.best_params_ == two.best_params_
    assert (one.cv_results_["mean_test_score"] == two.cv_results_["mean_test_score"]).all()
    drawn = RandomizedSearchCV(pipe, grid, n_iter=2, cv=3, random_state=0).fit(frame, y)
    assert drawn.best_score_ > 0.5
    scores = cross_val_score(pipe, frame, y, cv=4, n_jobs=2)
    assert (scores == cross_val_score(pipe, frame, y, cv=4)).all()


def test_hidden_features_serve_other_estimators(moons):
    X, y = moons
    pipe = make_pipeline(
        StandardScaler(), FastNNFeatures([32, 8], epochs=100, learning_rate=0.02, random_state=0),
        LogisticRegression(),
    )  # fmt: skip
    line = make_pipeline(StandardScaler(), LogisticRegression())
    assert cross_val_score(pipe, X, y).mean() > cross_val_score(line, X, y).mean() + 0.02
