"""The estimators: scikit-learn's own checks, its trainings repeated, and what they are used in."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed (pip install 'chainrule[sklearn]')")

from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_classification, make_multilabel_classification, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

import chainrule as cr
from chainrule import estimators as ours

#: scikit-learn's checks take long and touch no device but the default one
on_cpu = pytest.mark.skipif(cr.get_default_device().type != "cpu", reason="once is enough")


# small networks, for speed: `test_check_estimator_of_what_is_the_default` has the others
CHECKS = parametrize_with_checks([ours.MLPClassifier((20,), max_iter=100), ours.MLPRegressor((20,), max_iter=100)]).mark


@on_cpu
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(CHECKS.args[0], list(CHECKS.args[1]), **CHECKS.kwargs)  # older versions give a generator
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@on_cpu
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", [ours.MLPClassifier(), ours.MLPRegressor()], ids=["classifier", "regressor"])
def test_check_estimator_of_what_is_the_default(estimator):
    check_estimator(estimator)


X_two, y_two = make_classification(120, 6, n_informative=4, random_state=0)
X_many, y_many = make_blobs(150, 5, centers=4, cluster_std=3.0, random_state=0)
X_labels, y_labels = make_multilabel_classification(100, 6, n_classes=3, random_state=0)
X_real, y_real = make_regression(120, 5, noise=2.0, random_state=0)
X_pair, y_pair = make_regression(90, 4, n_targets=2, random_state=0)
X_many, X_labels = X_many / 5, X_labels / 5
y_real, y_pair = y_real / 50, y_pair / 50
DATA = {
    "two": ("MLPClassifier", X_two, y_two),
    "many": ("MLPClassifier", X_many, np.array(["a", "b", "c", "d"])[y_many]),
    "labels": ("MLPClassifier", X_labels, y_labels),
    "real": ("MLPRegressor", X_real, y_real),
    "pair": ("MLPRegressor", X_pair, y_pair),
}
#: scikit-learn's Adam adds epsilon before the correction of the second moment: only a small one is the same
TINY = 1e-16
SETTINGS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05},
    "no momentum": {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05},
    "plain momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate_init": 0.02},
    "invscaling": {"solver": "sgd", "momentum": 0.0, "learning_rate": "invscaling", "learning_rate_init": 0.3},
    "adaptive": {
        "solver": "sgd", "momentum": 0.0, "learning_rate": "adaptive", "tol": 0.05,
        "n_iter_no_change": 2, "max_iter": 25,
    },
    "adam": {"solver": "adam", "learning_rate_init": 0.01, "epsilon": TINY},
    "batches": {"batch_size": 32, "hidden_layer_sizes": (7, 5), "activation": "tanh", "alpha": 0.1},
    "logistic": {"activation": "logistic", "batch_size": 50},
    "linear": {"activation": "identity", "shuffle": False, "hidden_layer_sizes": 4},
    "early": {
        "early_stopping": True, "n_iter_no_change": 3, "learning_rate_init": 0.05, "max_iter": 40, "epsilon": TINY,
    },
    "lbfgs": {"solver": "lbfgs", "max_iter": 6, "hidden_layer_sizes": (6,), "alpha": 0.01},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("data", DATA)
def test_the_same_training_as_scikit_learns(data, setting):
    """One seed: the same weights at the start, the same batches, the same steps."""
    name, X, y = DATA[data]
    options = {"max_iter": 6, "hidden_layer_sizes": (8,), "random_state": 3, **SETTINGS[setting]}
    a, b = getattr(theirs, name)(**options).fit(X, y), getattr(ours, name)(**options).fit(X, y)
    # scikit-learn's lbfgs follows a slope that does not fit its loss for pairs
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if options.get("solver", "adam") != "sgd" else {"rtol": 1e-7}
    if (data, setting) != ("pair", "lbfgs"):
        for theirs_, ours_ in zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_, strict=True):
            np.testing.assert_allclose(ours_, theirs_, **tolerance)
            assert ours_.dtype == theirs_.dtype
        np.testing.assert_allclose(b.loss_, a.loss_, **tolerance)
        assert b.n_iter_ == a.n_iter_
    for attribute in ("n_layers_", "n_outputs_", "out_activation_", "t_"):
        assert getattr(b, attribute) == getattr(a, attribute)
    if setting != "lbfgs":
        np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, **tolerance)
        assert (b.best_loss_ is None) == (a.best_loss_ is None)
        if setting == "early":
            np.testing.assert_allclose(b.validation_scores_, a.validation_scores_, rtol=1e-3)
            assert b.best_validation_score_ == pytest.approx(a.best_validation_score_, rel=1e-3)
    if name == "MLPClassifier":
        assert b.predict_proba(X).shape == a.predict_proba(X).shape
        np.testing.assert_allclose(b.predict_proba(X), a.predict_proba(X), rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(np.exp(b.predict_log_proba(X)), b.predict_proba(X))
        assert b.predict(X).dtype == a.predict(X).dtype
        np.testing.assert_array_equal(b.classes_, a.classes_)


@pytest.mark.filterwarnings("ignore")
def test_partial_fit_goes_on_where_it_was():
    """Also through pickle: the optimizer's memory travels along, as arrays."""
    a, b = [m.MLPClassifier((8,), random_state=1) for m in (theirs, ours)]
    for i in range(6):
        if i == 3:
            b = pickle.loads(pickle.dumps(b))
        for model in (a, b):
            model.partial_fit(X_many, y_many, classes=np.arange(4))
    np.testing.assert_allclose(b.loss_curve_, a.loss_curve_, rtol=1e-4)
    assert (b.n_iter_, b.t_) == (a.n_iter_, a.t_) == (1, 900)
    with pytest.raises(ValueError, match="not the same as on last call"):
        b.partial_fit(X_many, y_many, classes=[0, 1])
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        ours.MLPClassifier().partial_fit(X_many, y_many)
    with pytest.raises(ValueError, match=r"of which \[4\] are not among"):
        b.partial_fit(X_many, y_many + 1)
    with pytest.raises(ValueError, match="does not go with early_stopping"):
        ours.MLPRegressor(early_stopping=True).partial_fit(X_real, y_real)
    assert not hasattr(ours.MLPClassifier(solver="lbfgs"), "partial_fit")
    regressor = ours.MLPRegressor((8,), random_state=1, learning_rate_init=0.01)
    scores = [regressor.partial_fit(X_real, y_real).score(X_real, y_real) for _ in range(40)]
    assert scores[-1] > scores[0]
    with pytest.raises(ValueError, match="y must have 1 outputs, got 2"):
        regressor.partial_fit(X_real, np.stack([y_real, y_real], 1))


@pytest.mark.filterwarnings("ignore")
def test_warm_start():
    model = ours.MLPClassifier((8,), random_state=1, warm_start=True, max_iter=10).fit(X_two, y_two)
    first = model.loss_
    model.fit(X_two, y_two)
    assert model.loss_ < first and len(model.loss_curve_) == 20 and model.n_iter_ == 10
    cold = ours.MLPClassifier((8,), random_state=1, max_iter=10)
    assert cold.fit(X_two, y_two).loss_ == cold.fit(X_two, y_two).loss_ == first
    with pytest.raises(ValueError, match="not among those of the first call"):
        model.fit(X_two, y_two + 1)
    with pytest.raises(ValueError, match="are not those of the weights to go on with"):
        model.set_params(hidden_layer_sizes=(9,)).fit(X_two, y_two)


@pytest.mark.filterwarnings("ignore")
def test_in_pipelines_and_searches():
    model = ours.MLPClassifier((8,), max_iter=30, learning_rate_init=0.03, random_state=0)
    pipeline = make_pipeline(StandardScaler(), model)
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1.0]}, cv=2).fit(X_two, y_two)
    assert search.best_score_ > 0.6
    model = search.best_estimator_[-1]
    again = pickle.loads(pickle.dumps(model))
    scaled = search.best_estimator_[0].transform(X_two)
    np.testing.assert_array_equal(again.predict_proba(scaled), model.predict_proba(scaled))
    assert all(type(a) is np.ndarray for a in (*again.coefs_, *again.intercepts_))
    assert not any(isinstance(v, cr.Tensor) for v in vars(model).values())
    assert clone(model).get_params() == model.get_params() and not hasattr(clone(model), "coefs_")
    assert copy.deepcopy(model).score(scaled, y_two) == model.score(scaled, y_two)
    assert repr(ours.MLPRegressor((3,), alpha=0.1)) == "MLPRegressor(alpha=0.1, hidden_layer_sizes=(3,))"


@pytest.mark.filterwarnings("ignore")
def test_devices_and_dtypes():
    here = ours.MLPClassifier((8,), max_iter=5, random_state=0, device="cpu").fit(X_two, y_two)
    default = ours.MLPClassifier((8,), max_iter=5, random_state=0).fit(X_two, y_two)
    np.testing.assert_allclose(default.predict_proba(X_two), here.predict_proba(X_two), rtol=1e-9)
    narrow = ours.MLPRegressor((8,), max_iter=5, random_state=0).fit(X_real.astype(np.float32), y_real)
    assert narrow.coefs_[0].dtype == np.float32 and narrow.predict(X_real).dtype == np.float32
    state = cr.get_rng_state().tolist()
    ours.MLPRegressor((8,), max_iter=5).fit(X_real, y_real)
    assert cr.get_rng_state().tolist() == state  # the global generator is the user's


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_sparse_data():
    from scipy.sparse import csr_matrix

    dense = np.where(np.abs(X_two) > 0.5, X_two, 0.0)
    a, b = [ours.MLPClassifier((8,), max_iter=5, random_state=0, batch_size=30).fit(x, y_two) for x in (
        dense, csr_matrix(dense))]  # fmt: skip
    np.testing.assert_allclose(b.predict_proba(csr_matrix(dense)), a.predict_proba(dense), rtol=1e-9)


@pytest.mark.filterwarnings("ignore:.*max_iter=1 iterations")
def test_what_it_says(capsys):
    with pytest.warns(ConvergenceWarning, match="max_iter=2 iterations were made"):
        ours.MLPClassifier((4,), max_iter=2, verbose=True, random_state=0).fit(X_two, y_two)
    assert capsys.readouterr().out.startswith("Iteration 1, loss = ")
    with pytest.warns(ConvergenceWarning, match="lbfgs stopped early"):
        ours.MLPClassifier((4,), solver="lbfgs", max_iter=1).fit(X_two, y_two)
    with pytest.warns(UserWarning, match="batch_size=500 is more than the 120 samples"):
        ours.MLPRegressor((4,), max_iter=1, batch_size=500).fit(X_real, y_real)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "gelu"}, "activation must be one of .*'relu'.*got 'gelu'"),
        ({"solver": "lion"}, "solver must be one of"),
        ({"learning_rate": "cosine"}, "learning_rate must be one of"),
        ({"alpha": -1.0}, r"alpha must be a number in \[0, inf\], got -1.0"),
        ({"learning_rate_init": 0.0}, r"learning_rate_init must be a number in \(0, inf\)"),
        ({"max_iter": 0}, "max_iter must be an int"),
        ({"momentum": 1.5}, "momentum"),
        ({"beta_1": 1.0}, r"beta_1 must be a number in \[0, 1\), got 1.0"),
        ({"hidden_layer_sizes": (3, -1)}, "hidden_layer_sizes must be positive ints"),
        ({"batch_size": 0}, "batch_size must be 'auto' or a positive int"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "validation_fraction=0.001 leaves 1 samples"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(ValueError, match=message):
        ours.MLPRegressor(**settings).fit(X_real, y_real)


@pytest.mark.filterwarnings("ignore")
def test_weights_that_overflow_are_an_error():
    with pytest.raises(ValueError, match="not finite; scale the features"):
        ours.MLPRegressor((4,), solver="sgd", learning_rate_init=1e6, momentum=0.99).fit(X_real * 100, y_real)


def test_without_scikit_learn_the_error_says_what_to_install():
    code = """
import sys
sys.modules["sklearn"] = None
sys.modules["sklearn.base"] = None
import chainrule
try:
    chainrule.estimators
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'chainrule[sklearn]'" in done.stdout
