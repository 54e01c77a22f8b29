"""`fastnn.wrappers`: compiled models as estimators of scikit-learn."""

import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="needs the `sklearn` extra", minversion="1.6")

from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

import fastnn
from fastnn import layers
from fastnn.wrappers import SKLearnClassifier, SKLearnRegressor, SKLearnTransformer

pytestmark = pytest.mark.filterwarnings("ignore:.*SCIPY_ARRAY_API:UserWarning")


def dynamic(X, y, loss, out=None):
    x = fastnn.Input((X.shape[1],))
    h = layers.Dense(20, "relu")(x)
    model = fastnn.Model(x, layers.Dense(y.shape[1], out)(h))
    model.compile("adam", loss)
    return model


QUIET = {"epochs": 20, "verbose": 0}
WRAPPED = [
    SKLearnClassifier(
        dynamic, False, {"loss": "categorical_crossentropy", "out": "softmax"}, QUIET
    ),
    SKLearnRegressor(dynamic, False, {"loss": "mse"}, QUIET, random_state=0),
    SKLearnTransformer(dynamic, False, {"loss": "mse"}, QUIET, random_state=0),
]


@pytest.mark.parametrize("estimator", WRAPPED, ids=lambda e: type(e).__name__)
def test_keras_wrappers_pass_the_checks_that_their_interface_allows(estimator):
    # `decision_function` gives the model's outputs, two for two classes, as in Keras.
    known = {"check_classifiers_train", "check_classifiers_classes"}
    known = known if isinstance(estimator, SKLearnClassifier) else set()
    failed = set()
    for checked, check in estimator_checks_generator(estimator):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                check(checked)
            except pytest.skip.Exception:
                continue
            except Exception as error:
                if type(error).__name__ != "SkipTest":
                    failed.add(check.func.__name__)
    assert failed <= known | {"check_classifiers_one_label_sample_weights"}


def test_a_compiled_model_is_copied_unless_it_goes_on(moons):
    X, y = moons
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(8, "relu"), layers.Dense(2)])
    model.compile("adam", fastnn.losses.CategoricalCrossentropy(from_logits=True))
    before = model.get_weights()
    net = SKLearnClassifier(model, fit_kwargs={"epochs": 3, "verbose": 0}, random_state=0)
    first = net.fit(X, y).decision_function(X)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    assert (clone(net).fit(X, y).decision_function(X) == first).all()
    assert (first.argmax(1) == net.predict(X)).all()
    assert net.epoch_ == 3
    warm = SKLearnClassifier(model, warm_start=True, fit_kwargs={"verbose": 0})
    assert warm.fit(X, y).model_ is model


@pytest.mark.parametrize(("units", "out", "loss"), [
    (1, "sigmoid", "binary_crossentropy"),
    (2, "softmax", "sparse_categorical_crossentropy"),
    (2, "softmax", "categorical_crossentropy"),
])  # fmt: skip
def test_targets_are_those_of_the_loss(units, out, loss, moons):
    X, y = moons

    def build(X, y):
        assert y.shape == (200, 2)
        model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(16, "relu"),
                                   layers.Dense(units, out)])  # fmt: skip
        model.compile(fastnn.optimizers.Adam(0.02), loss)
        return model

    net = SKLearnClassifier(build, fit_kwargs={"epochs": 30, "verbose": 0}, random_state=0)
    assert net.fit(X, np.array(["a", "b"])[y]).score(X, np.array(["a", "b"])[y]) > 0.85


def test_a_model_that_is_not_compiled_is_refused(moons):
    model = fastnn.Sequential([fastnn.Input((2,)), layers.Dense(2)])
    with pytest.raises(RuntimeError, match="needs to be compiled"):
        SKLearnClassifier(model).fit(*moons)
    with pytest.raises(ValueError, match="model is str"):
        SKLearnRegressor("net").fit(*moons)
