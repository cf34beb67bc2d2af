"""chainrule.metrics: against scikit-learn, by hand, over batches, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import metrics

AVERAGES = ["binary", "micro", "macro", "weighted", None]
#: name -> predicted classes, true classes
LABELS = {
    "two classes": lambda rng: (rng.integers(0, 2, 50), rng.integers(0, 2, 50)),
    "five classes": lambda rng: (rng.integers(0, 5, 50), rng.integers(0, 5, 50)),
    "a gap": lambda rng: (rng.choice([0, 3, 4], 50), rng.choice([0, 1, 4], 50)),
    "never predicted": lambda rng: (np.zeros(10, int), rng.integers(0, 2, 10)),
    "all right": lambda rng: (np.arange(6) % 2, np.arange(6) % 2),
}
SCORES = {
    "distinct": lambda rng: (rng.normal(size=60), rng.integers(0, 2, 60)),
    "ties": lambda rng: (rng.integers(0, 4, 60) / 4, rng.integers(0, 2, 60)),
    "all equal": lambda rng: (np.ones(10), np.arange(10) % 2),
    "perfect": lambda rng: (np.arange(10.0), (np.arange(10) > 4).astype(int)),
    "worst": lambda rng: (-np.arange(10.0), (np.arange(10) > 4).astype(int)),
}


@pytest.fixture(scope="module")
def sklearn():
    return pytest.importorskip("sklearn.metrics", reason="needs scikit-learn (pip install 'chainrule[examples]')")


@pytest.mark.example
@pytest.mark.parametrize("case", LABELS)
def test_labels_against_scikit_learn(case, sklearn):
    predicted, truth = LABELS[case](np.random.default_rng(0))
    assert metrics.accuracy(predicted, truth) == sklearn.accuracy_score(truth, predicted)
    n = int(max(predicted.max(), truth.max())) + 1
    for normalize in ("true", "pred", "all", None):
        expected = sklearn.confusion_matrix(truth, predicted, labels=range(n), normalize=normalize)
        result = metrics.confusion_matrix(predicted, truth, normalize=normalize)
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    for average in AVERAGES:
        if average == "binary" and n > 2:
            continue
        for ours, theirs in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
            for zero in (0.0, 1.0):
                expected = getattr(sklearn, theirs)(truth, predicted, average=average, zero_division=zero)
                result = getattr(metrics, ours)(predicted, truth, average=average, zero_division=zero)
                np.testing.assert_allclose(result, expected, rtol=1e-12, err_msg=f"{ours} {average} {zero}")


@pytest.mark.example
@pytest.mark.parametrize("case", SCORES)
def test_scores_against_scikit_learn(case, sklearn):
    scores, truth = SCORES[case](np.random.default_rng(0))
    for result, expected in zip(
        metrics.roc_curve(scores, truth), sklearn.roc_curve(truth, scores, drop_intermediate=False), strict=True
    ):
        np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert metrics.roc_auc(scores, truth) == pytest.approx(sklearn.roc_auc_score(truth, scores), rel=1e-12)
    expected = sklearn.average_precision_score(truth, scores)
    assert metrics.average_precision(scores, truth) == pytest.approx(expected, rel=1e-12)


@pytest.mark.example
@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_scores_of_classes_against_scikit_learn(average, sklearn):
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 80)
    scores = rng.dirichlet(np.ones(4), 80)
    expected = sklearn.roc_auc_score(truth, scores, average=average, multi_class="ovr")
    assert metrics.roc_auc(scores, truth, average) == pytest.approx(expected, rel=1e-12)
    expected = sklearn.average_precision_score(np.eye(4)[truth], scores, average=average)
    assert metrics.average_precision(scores, truth, average) == pytest.approx(expected, rel=1e-12)
    for k in (1, 2, 3):
        expected = sklearn.top_k_accuracy_score(truth, scores, k=k)
        assert metrics.top_k_accuracy(scores, truth, k) == metrics.accuracy(scores, truth, k) == expected


@pytest.mark.example
@pytest.mark.parametrize("shape", [(30,), (30, 3)])
def test_regression_against_scikit_learn(shape, sklearn):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape), 100 + rng.normal(size=shape)
    for ours, theirs in (("r2_score",) * 2, ("mean_absolute_error",) * 2, ("mean_squared_error",) * 2):
        assert getattr(metrics, ours)(x, y) == pytest.approx(getattr(sklearn, theirs)(y, x), rel=1e-12)
    constant = np.ones(4)
    for predicted in (constant, constant + 1):
        assert metrics.r2_score(predicted, constant) == sklearn.r2_score(constant, predicted)


# ---- by hand --------------------------------------------------------------------------------------------------------


def test_tensors_of_any_device_and_dtype():
    scores = cr.tensor([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]], requires_grad=True)
    assert metrics.accuracy(scores, cr.tensor([1, 0, 1])) == 2 / 3
    assert metrics.accuracy(scores.detach().to(cr.bfloat16), cr.tensor([1, 0, 1])) == 2 / 3
    assert metrics.precision(cr.tensor([True, True]), cr.tensor([True, False])) == 0.5
    assert metrics.mean_squared_error(cr.tensor([1.0, 3.0]), cr.tensor([0.0, 0.0])) == 5.0
    assert metrics.roc_auc(cr.tensor([0.2, 0.7], dtype=cr.float16), cr.tensor([0, 1])) == 1.0


def test_images_of_classes():
    scores = cr.zeros(2, 3, 4, 5)
    scores[:, 1] = 1
    truth = cr.ones(2, 4, 5, dtype=cr.int64)
    truth[0, 0, 0] = 2
    assert metrics.accuracy(scores, truth) == 39 / 40
    assert metrics.accuracy(scores, truth, k=2) == 39 / 40  # of equal scores the lower class comes first
    assert metrics.accuracy(scores, truth, k=3) == 1.0
    assert metrics.confusion_matrix(scores, truth).tolist() == [[0, 0, 0], [0, 39, 0], [0, 1, 0]]


def test_num_classes_counts_classes_that_do_not_occur():
    assert metrics.recall([0, 1], [0, 1], average="macro") == 1.0
    assert metrics.recall([0, 1], [0, 1], average="macro", num_classes=4) == 0.5
    assert metrics.recall([0, 1], [0, 1], average=None, num_classes=3).tolist() == [1.0, 1.0, 0.0]
    assert metrics.precision([0, 0], [0, 0]) == 0.0


# ---- over batches ---------------------------------------------------------------------------------------------------

BATCHED = {
    "Accuracy": (metrics.Accuracy(), metrics.accuracy, "classes"),
    "Accuracy of 2": (metrics.Accuracy(k=2), lambda x, y: metrics.accuracy(x, y, 2), "scores"),
    "ConfusionMatrix": (metrics.ConfusionMatrix(), metrics.confusion_matrix, "classes"),
    "ConfusionMatrix in shares": (
        metrics.ConfusionMatrix(normalize="true"), lambda x, y: metrics.confusion_matrix(x, y, None, "true"), "classes"
    ),
    "Precision": (metrics.Precision("macro"), lambda x, y: metrics.precision(x, y, "macro"), "classes"),
    "Recall": (metrics.Recall(None), lambda x, y: metrics.recall(x, y, None), "classes"),
    "F1": (metrics.F1("weighted"), lambda x, y: metrics.f1(x, y, "weighted"), "classes"),
    "ROCAUC": (metrics.ROCAUC(), metrics.roc_auc, "scores"),
    "AveragePrecision": (metrics.AveragePrecision("weighted"),
                         lambda x, y: metrics.average_precision(x, y, "weighted"), "scores"),
    "MeanSquaredError": (metrics.MeanSquaredError(), metrics.mean_squared_error, "numbers"),
    "MeanAbsoluteError": (metrics.MeanAbsoluteError(), metrics.mean_absolute_error, "numbers"),
    "R2Score": (metrics.R2Score(), metrics.r2_score, "numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BATCHED)
def test_batches_give_what_all_samples_give(name):
    metric, function, kind = BATCHED[name]
    rng = np.random.default_rng(1)
    truth = np.sort(rng.integers(0, 4, 60)) if kind != "numbers" else 1e6 + rng.normal(size=60)
    values = {
        "classes": lambda: rng.integers(0, 5, 60), "scores": lambda: rng.normal(size=(60, 4)),
        "numbers": lambda: truth + rng.normal(size=60),
    }[kind]()  # fmt: skip
    for _ in range(2):
        for start, stop in ((0, 1), (1, 20), (20, 60)):
            metric.update(cr.tensor(values[start:stop]), cr.tensor(truth[start:stop]))
        np.testing.assert_allclose(metric.compute(), function(values, truth), rtol=1e-9)
        np.testing.assert_allclose(metric.compute(), function(values, truth), rtol=1e-9)
        before = metric.compute()
        with pytest.raises((ValueError, TypeError)):
            metric.update(values[:3], truth[:2])
        np.testing.assert_array_equal(metric.compute(), before)
        metric.reset()
    with pytest.raises(RuntimeError, match="there was no update"):
        metric.compute()


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.host
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: metrics.accuracy([0.5, 1.0], [0, 1]), TypeError, "input must hold class numbers, got float64; scores"),
        (lambda: metrics.accuracy([0, 1], [0.0, 1.0]), TypeError, "target must hold class numbers"),
        (lambda: metrics.accuracy([0, 1], [0, 1, 1]), ValueError, r"shape \(3,\).*got \(2,\)"),
        (lambda: metrics.accuracy([0, -1], [0, 1]), ValueError, "from 0 on, got -1"),
        (lambda: metrics.accuracy([], []), ValueError, "input is empty"),
        (lambda: metrics.accuracy([[math.nan, 1.0]], [0]), ValueError, "input has NaN"),
        (lambda: metrics.accuracy([[0.0, 1.0]], [2]), ValueError, "target has class 2, the scores are for 2"),
        (lambda: metrics.accuracy([[0.0, 1.0]], [0, 1]), ValueError, r"scores of shape \(1, 2\) do not fit"),
        (lambda: metrics.accuracy([1], [1], k=0), ValueError, "k must be a positive number, got 0"),
        (lambda: metrics.accuracy([1], [1], k=2), ValueError, "k=2 needs scores"),
        (lambda: metrics.accuracy(["a"], [1]), TypeError, "input must hold real numbers"),
        (lambda: metrics.confusion_matrix([3], [0], num_classes=3), ValueError, "is 3, and there is a class 3"),
        (lambda: metrics.confusion_matrix([0], [0], normalize="x"), ValueError, "normalize must be"),
        (lambda: metrics.confusion_matrix([10**9], [0]), ValueError, "too large"),
        (lambda: metrics.f1([0, 2], [0, 1]), ValueError, "average='binary' is for two classes, got 3"),
        (lambda: metrics.f1([0], [0], average="mean"), ValueError, "average must be one of 'binary'"),
        (lambda: metrics.Precision("mean"), ValueError, "average must be one of 'binary'"),
        (lambda: metrics.ConfusionMatrix(normalize="x"), ValueError, "normalize must be"),
        (lambda: metrics.ROCAUC("micro"), ValueError, "average must be 'macro' or 'weighted'"),
        (lambda: metrics.roc_auc([0.1, 0.2], [1, 1]), ValueError, "must have both classes, all .* of class 1"),
        (lambda: metrics.roc_auc([0.1, 0.2], [1, 2]), ValueError, "target must hold 0 and 1, got 2"),
        (lambda: metrics.roc_auc(np.ones((2, 3)), [0, 1]), ValueError, "target has no sample of class 2"),
        (lambda: metrics.average_precision([0.1], [0]), ValueError, "no sample of the class"),
        (lambda: metrics.mean_squared_error([1.0], [[1.0]]), ValueError, r"one shape, got \(1,\) and \(1, 1\)"),
        (lambda: metrics.mean_absolute_error([1j], [1.0]), TypeError, "real numbers, got complex128"),
        (lambda: metrics.r2_score([1.0], [1.0]), ValueError, "at least two samples"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
