"""Multi-layer perceptrons as scikit-learn estimators."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, MultiOutputMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from chainrule.estimators.perceptron import Perceptron
from chainrule.estimators.training import MultilayerPerceptron, is_stochastic


class MLPClassifier(ClassifierMixin, MultilayerPerceptron):  # type: ignore[misc] # scikit-learn is not typed
    """A multi-layer perceptron that learns classes by cross-entropy: scikit-learn's, and it can run on a GPU.

    Args:
        hidden_layer_sizes: units of each hidden layer.
        activation: ``"identity"``, ``"logistic"``, ``"tanh"`` or ``"relu"``.
        solver: ``"lbfgs"`` (all samples at once), ``"sgd"`` or ``"adam"``.
        alpha: strength of the L2 penalty.
        batch_size: samples of a step; ``"auto"`` is 200, or all where there are fewer.
        learning_rate: of ``"sgd"``: ``"constant"``, ``"invscaling"`` or ``"adaptive"``.
        learning_rate_init: the step size.
        power_t: the exponent of ``"invscaling"``.
        max_iter: passes over the data, at most.
        shuffle: take the samples in another order in each pass.
        random_state: seed of weights, order and validation split.
        tol: an improvement by less counts as none.
        verbose: write each iteration's loss to standard output.
        warm_start: go on from the weights of the last ``fit``.
        momentum: of ``"sgd"``.
        nesterovs_momentum: whether it looks ahead.
        early_stopping: judge by the score on samples that are set aside.
        validation_fraction: how many of them.
        beta_1: decay of Adam's mean of gradients.
        beta_2: decay of Adam's mean of squares.
        epsilon: what Adam adds to its denominator.
        n_iter_no_change: stop after more iterations than this without an improvement.
        max_fun: evaluations of the loss by ``"lbfgs"``, at most.
        device: where to train and predict, such as ``"cuda"``; None is the default device. The results are NumPy
            arrays in any case.

    Example:
        >>> import numpy as np
        >>> X, y = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), np.array([0, 1, 1, 0])
        >>> model = MLPClassifier((8,), "tanh", solver="lbfgs", random_state=0).fit(X, y)
        >>> model.predict(X)
        array([0, 1, 1, 0])
    """

    #: whether y has a column of 0 and 1 for each class
    _multilabel: bool

    def _data(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        X, y = super()._data(X, y, first)
        check_classification_targets(y)
        return X, y

    def _encode(self, y: Any, first: bool) -> Any:
        multilabel = type_of_target(y) == "multilabel-indicator"
        found = unique_labels(y)
        if first and not getattr(self, "_classes_given", False):
            self.classes_ = found
        self._classes_given = False
        unknown = np.setdiff1d(found, self.classes_)
        same_kind = first or multilabel == self._multilabel
        if unknown.size or not same_kind or (multilabel and y.shape[1] != len(self.classes_)):
            raise ValueError(
                f"{type(self).__name__}: y has the classes {found.tolist()}, of which {unknown.tolist()} are not among "
                f"those of the first call: {self.classes_.tolist()}"
            )
        self._multilabel = multilabel
        count = len(self.classes_)
        self.n_outputs_ = count if multilabel or count > 2 else 1
        self.out_activation_ = "softmax" if not multilabel and count > 2 else "logistic"
        if multilabel:
            return y.astype(self._target_dtype)
        index = np.searchsorted(self.classes_, y)
        return index if count > 2 else index.reshape(-1, 1).astype(self._target_dtype)

    def _fit(self, X: Any, y: Any, incremental: bool = False) -> Self:
        self._target_dtype = np.float32 if getattr(X, "dtype", None) == np.float32 else np.float64
        return super()._fit(X, y, incremental)

    def _strata(self, target: Any) -> Any:
        # only of two classes, as in scikit-learn: so a seed splits as it does there
        return target if self.n_outputs_ == 1 and not self._multilabel else None

    def _score_of(self, y: Any, predicted: Any) -> float:
        return float(accuracy_score(y, predicted))

    def _decode(self, output: Any) -> Any:
        if self._multilabel:
            return (output > 0.5).astype(int)
        if self.n_outputs_ > 1:
            return self.classes_[output.argmax(1)]
        return self.classes_[np.minimum((output.ravel() > 0.5).astype(int), len(self.classes_) - 1)]

    @available_if(is_stochastic)  # type: ignore[untyped-decorator] # scikit-learn is not typed
    def partial_fit(self, X: Any, y: Any, classes: Any = None) -> Self:
        """Make one pass over these samples.

        Args:
            classes: all classes there will ever be; needed by the first call.

        Raises:
            ValueError: the classes are missing, or other ones than before.
        """
        if self.early_stopping:
            raise ValueError(f"{type(self).__name__}: partial_fit does not go with early_stopping=True")
        if not hasattr(self, "coefs_"):
            if classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            self.classes_ = unique_labels(classes)
            self._classes_given = True
        elif classes is not None and not np.array_equal(self.classes_, unique_labels(classes)):
            raise ValueError(
                f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {self.classes_!r}"
            )
        return self._fit(X, y, incremental=True)

    def predict_proba(self, X: Any) -> Any:
        """The probability of each class: (samples, classes)."""
        output = self._output(X)
        return np.hstack([1 - output, output]) if self.n_outputs_ == 1 and not self._multilabel else output

    def predict_log_proba(self, X: Any) -> Any:
        """The logarithms of :meth:`predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class MLPRegressor(RegressorMixin, MultiOutputMixin, MultilayerPerceptron):  # type: ignore[misc] # scikit-learn is not typed
    """A multi-layer perceptron that learns numbers by squared error: scikit-learn's, and it can run on a GPU.

    The parameters are those of :class:`MLPClassifier`.

    Example:
        >>> import numpy as np
        >>> X = np.linspace(-1, 1, 50)[:, None]
        >>> model = MLPRegressor((20,), solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
        >>> bool(model.score(X, X[:, 0] ** 2) > 0.99)
        True
    """

    def _y_checks(self) -> dict[str, Any]:
        return {"y_numeric": True}

    def _encode(self, y: Any, first: bool) -> Any:
        target = y.reshape(-1, 1) if y.ndim == 1 else y
        if first:
            self.n_outputs_, self.out_activation_ = target.shape[1], "identity"
        elif target.shape[1] != self.n_outputs_:
            raise ValueError(f"{type(self).__name__}: y must have {self.n_outputs_} outputs, got {target.shape[1]}")
        return target

    def _fit_lbfgs(self, model: Perceptron, X: Any, target: Any) -> None:
        super()._fit_lbfgs(model, X, target.astype(X.dtype))

    def _fit_stochastic(self, model: Perceptron, X: Any, target: Any, y: Any, incremental: bool) -> None:
        super()._fit_stochastic(model, X, target.astype(X.dtype), y, incremental)

    def _score_of(self, y: Any, predicted: Any) -> float:
        return float(r2_score(y, predicted))

    def _decode(self, output: Any) -> Any:
        return output.ravel() if self.n_outputs_ == 1 else output

    @available_if(is_stochastic)  # type: ignore[untyped-decorator] # scikit-learn is not typed
    def partial_fit(self, X: Any, y: Any) -> Self:
        """Make one pass over these samples."""
        if self.early_stopping:
            raise ValueError(f"{type(self).__name__}: partial_fit does not go with early_stopping=True")
        return self._fit(X, y, incremental=True)
