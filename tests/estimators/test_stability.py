"""`evaluate_stability`: what is reckoned, and that it is the same again."""

import numpy as np
import pytest

import fastnn
from fastnn import layers
from fastnn.stability import t_quantile


def build():
    model = fastnn.Sequential([fastnn.Input((3,)), layers.Dense(8, "relu"), layers.Dropout(0.2),
                               layers.Dense(2, "softmax")])  # fmt: skip
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture
def data(rng):
    x = rng.normal(size=(90, 3))
    return x, (x[:, 0] > 0.8).astype(int)


def run(data, **more):
    given = {"seeds": 2, "folds": 3, "epochs": 3, "verbose": 0} | more
    return fastnn.evaluate_stability(build, *data, **given)


def test_the_figures_are_those_of_the_runs(data):
    found = run(data)
    assert list(found) == ["accuracy", "loss"]
    for name, spread in found.items():
        v = spread.values
        assert v.shape == (2, 3)
        assert spread.mean == pytest.approx(v.mean())
        assert spread.deviation == pytest.approx(v.std(ddof=1))
        half = 2.5705818366 * v.std(ddof=1) * np.sqrt(1 / 6 + 1 / 2)
        assert spread.interval == pytest.approx((v.mean() - half, v.mean() + half))
        assert spread.worst == (v.min() if name == "accuracy" else v.max())
        seed, fold = spread.worst_fold
        assert v[seed, fold] == spread.worst
        assert spread.rises == (name == "accuracy")


def test_it_is_the_same_in_every_bit_again_and_leaves_the_seeds_alone(data):
    first = run(data)
    fastnn.random.set_seed(77)
    before = fastnn.random.make_default_seed()
    fastnn.random.set_seed(77)
    second = run(data)
    assert fastnn.random.make_default_seed() == before
    assert all((first[k].values == second[k].values).all() for k in first)
    # A seed stands for itself, wherever it is in the list.
    other = run(data, seeds=[5, 1])
    assert (other["loss"].values[1] == first["loss"].values[1]).all()
    assert (other["loss"].values[0] != first["loss"].values[0]).all()


def test_every_row_is_tested_on_once_a_seed_and_classes_are_shared_out(data):
    from fastnn.stability import _Rows

    x, y = data
    for seed in range(3):
        folds = list(_Rows(x, y, None).cut(4, seed))
        assert sorted(np.concatenate([test for _, test in folds])) == list(range(90))
        rare = [int(y[test].sum()) for _, test in folds]
        assert max(rare) - min(rare) <= 1
        assert all(not set(train) & set(test) for train, test in folds)
        assert max(len(t) for _, t in folds) - min(len(t) for _, t in folds) <= 1


def test_progress_is_shown(data, capsys):
    run(data, verbose=2)
    out = capsys.readouterr().out
    assert "seed 1, fold 2: " in out
    assert "95 % interval" in out
    run(data, verbose=0)
    assert capsys.readouterr().out == ""


def test_weights_and_several_inputs(rng):
    def two():
        a, b = fastnn.Input((2,), name="a"), fastnn.Input((1,), name="b")
        model = fastnn.Model([a, b], layers.Dense(1)(layers.Concatenate()([a, b])))
        model.compile("sgd", "mse")
        return model

    x = {"a": rng.normal(size=(40, 2)), "b": rng.normal(size=(40, 1))}
    y = x["a"].sum(1)
    found = fastnn.evaluate_stability(two, x, y, seeds=1, folds=2, verbose=0)
    again = fastnn.evaluate_stability(two, x, y, seeds=1, folds=2, verbose=0,
                                      sample_weight=np.linspace(0.1, 2, 40))  # fmt: skip
    assert (found["loss"].values != again["loss"].values).all()


def test_estimators_are_scored(data):
    pytest.importorskip("sklearn", reason="needs the `sklearn` extra")
    pd = pytest.importorskip("pandas")
    from fastnn.sklearn import FastNNClassifier

    x, y = data
    frame = pd.DataFrame(x, columns=list("abc"))
    seen = []

    class Net(FastNNClassifier):
        def fit(self, X, y, sample_weight=None):
            seen.append((list(X.columns), self.random_state))
            return super().fit(X, y, sample_weight)

    found = fastnn.evaluate_stability(lambda: Net(epochs=2), frame, np.array(["n", "y"])[y],
                                      seeds=2, folds=2, verbose=0)  # fmt: skip
    assert found["score"].values.shape == (2, 2)
    assert {tuple(c) for c, _ in seen} == {("a", "b", "c")}
    assert len({s for _, s in seen}) == 4


def test_a_metric_that_does_not_say_where_to_has_no_worst_fold(data):
    def own():
        model = build()
        model.compile("adam", "sparse_categorical_crossentropy", metrics=[spread_of])
        return model

    def spread_of(y_true, y_pred):
        return fastnn.ops.max(y_pred, -1)

    found = fastnn.evaluate_stability(own, *data, seeds=1, folds=2, verbose=0)
    assert found["spread_of"].worst is None
    assert "worst" not in str(found["spread_of"])


def test_what_makes_no_sense_is_refused_with_a_hint(data):
    cases = [
        ({"seeds": 0}, "seeds is 0"), ({"seeds": [1, 1]}, "each once"),
        ({"folds": 1}, "folds is 1"), ({"folds": 91}, "number of rows"),
        ({"validation_split": 0.1}, "cannot be given"),
    ]  # fmt: skip
    for given, says in cases:
        with pytest.raises(ValueError, match=says) as caught:
            run(data, **given)
        assert "hint:" in str(caught.value)
    with pytest.raises(ValueError, match="gave int"):
        fastnn.evaluate_stability(lambda: 1, *data, verbose=0)
    built = fastnn.Sequential([fastnn.Input((2,)), fastnn.layers.Dense(1)])
    with pytest.raises(TypeError, match="wanted a function that gives a model"):
        fastnn.evaluate_stability(built, *data, verbose=0)
    with pytest.raises(ValueError, match="X has 90, y has 89 rows"):
        run((data[0], data[1][1:]))


def test_the_quantiles_are_those_of_the_tables():
    for freedom, want in (
        (1, 12.706204736),
        (4, 2.776445105),
        (49, 2.009575235),
        (999, 1.96234146),
    ):
        assert t_quantile(0.975, freedom) == pytest.approx(want, abs=1e-6)
