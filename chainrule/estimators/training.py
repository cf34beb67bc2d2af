"""What the estimators share: the checks of their settings, and their training."""

from __future__ import annotations

import sys
import warnings
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, gen_batches, shuffle
from sklearn.utils.validation import check_is_fitted, column_or_1d

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.estimators.perceptron import (
    ACTIVATIONS,
    Perceptron,
    make_optimizer,
    minimize_lbfgs,
    to_arrays,
    to_tensors,
)

_SOLVERS = ("lbfgs", "sgd", "adam")
_RATES = ("constant", "invscaling", "adaptive")


def _validated(estimator: Any, *data: Any, **settings: Any) -> Any:
    """scikit-learn's checks of X and y, which moved in version 1.6."""
    try:
        from sklearn.utils.validation import validate_data
    except ImportError:
        return estimator._validate_data(*data, **settings)
    return validate_data(estimator, *data, **settings)


def is_stochastic(estimator: Any) -> bool:
    """True for the solvers that learn from one batch at a time; AttributeError says why there is no ``partial_fit``."""
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for the solvers 'sgd' and 'adam', not for 'lbfgs'")
    return True


class MultilayerPerceptron(BaseEstimator):  # type: ignore[misc] # scikit-learn is not typed
    """What the classifier and the regressor share: the checks of their settings, and the training."""

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: str = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: int = 10,
        max_fun: int = 15000,
        device: Any = None,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.device = device

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _check_settings(self) -> tuple[int, ...]:
        """Raise ValueError for a setting out of range; gives the sizes of the hidden layers."""
        name = type(self).__name__
        for setting, allowed in (("activation", ACTIVATIONS), ("solver", _SOLVERS), ("learning_rate", _RATES)):
            if getattr(self, setting) not in allowed:
                raise ValueError(f"{name}: {setting} must be one of {list(allowed)}, got {getattr(self, setting)!r}")
        ranges: list[tuple[str, Any, float, float, str]] = [
            ("alpha", Real, 0, np.inf, "[]"), ("learning_rate_init", Real, 0, np.inf, "()"),
            ("power_t", Real, 0, np.inf, "[]"), ("max_iter", Integral, 1, np.inf, "[]"),
            ("tol", Real, 0, np.inf, "[]"), ("momentum", Real, 0, 1, "[]"),
            ("validation_fraction", Real, 0, 1, "()"), ("beta_1", Real, 0, 1, "[)"), ("beta_2", Real, 0, 1, "[)"),
            ("epsilon", Real, 0, np.inf, "()"), ("n_iter_no_change", Real, 1, np.inf, "[]"),
            ("max_fun", Integral, 1, np.inf, "[]"),
        ]  # fmt: skip
        for setting, kind, low, high, ends in ranges:
            value: Any = getattr(self, setting)
            inside = isinstance(value, kind) and not isinstance(value, bool) and low <= value <= high
            if not inside or (ends[0] == "(" and value == low) or (ends[1] == ")" and value == high):
                what = "an int" if kind is Integral else "a number"
                raise ValueError(f"{name}: {setting} must be {what} in {ends[0]}{low}, {high}{ends[1]}, got {value!r}")
        given: Any = self.hidden_layer_sizes
        sizes: tuple[Any, ...] = tuple(given) if hasattr(given, "__iter__") else (given,)
        if not all(isinstance(n, Integral) and int(n) > 0 for n in sizes):
            raise ValueError(f"{name}: hidden_layer_sizes must be positive ints, got {given!r}")
        batch: Any = self.batch_size
        if batch != "auto" and not (isinstance(batch, Integral) and int(batch) >= 1):
            raise ValueError(f"{name}: batch_size must be 'auto' or a positive int, got {batch!r}")
        return sizes

    def _data(self, X: Any, y: Any, first: bool) -> tuple[Any, Any]:
        """X as floating-point array (or sparse matrix), and y as the array to learn."""
        X, y = _validated(
            self, X, y, accept_sparse="csr", multi_output=True, dtype=(np.float64, np.float32), reset=first,
            **self._y_checks(),
        )  # fmt: skip
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _y_checks(self) -> dict[str, Any]:
        return {}

    def _tensor(self, array: Any, dtype: Any = None) -> Tensor:
        dense = array.toarray() if hasattr(array, "toarray") else array
        return cr.tensor(np.ascontiguousarray(dense, dtype=dtype), device=self.device)

    # ---- training ---------------------------------------------------------------------------------------------------

    def _encode(self, y: Any, first: bool) -> Any:
        """The targets as the loss takes them; sets ``n_outputs_`` and ``out_activation_``."""
        raise NotImplementedError

    def _score_of(self, y: Any, predicted: Any) -> float:
        raise NotImplementedError

    def _decode(self, output: Any) -> Any:
        """Predictions from the network's output."""
        raise NotImplementedError

    def _start(self, sizes: tuple[int, ...], features: int, dtype: Any) -> None:
        """New weights: Glorot and Bengio (2010), uniform; and a new history."""
        layers = [features, *sizes, self.n_outputs_]
        self.n_layers_ = len(layers)
        self.coefs_, self.intercepts_ = [], []
        for fan_in, fan_out in pairwise(layers):
            bound = np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (fan_in + fan_out))
            self.coefs_.append(self._random.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype, copy=False))
            self.intercepts_.append(self._random.uniform(-bound, bound, fan_out).astype(dtype, copy=False))
        self.n_iter_, self.t_ = 0, 0
        self._optimizer_state: Any = None
        self._waited = 0
        if self.solver != "lbfgs":
            self.loss_curve_: list[float] = []
            self.validation_scores_: list[float] | None = [] if self.early_stopping else None
            self.best_validation_score_ = -np.inf if self.early_stopping else None
            self.best_loss_ = None if self.early_stopping else np.inf

    def _fit(self, X: Any, y: Any, incremental: bool = False) -> Self:
        sizes = self._check_settings()
        fitted = hasattr(self, "coefs_")
        first = not fitted or not (self.warm_start or incremental)
        X, y = self._data(X, y, first)
        target = self._encode(y, first)
        self._random = check_random_state(self.random_state) if first else getattr(
            self, "_random", check_random_state(self.random_state)
        )  # fmt: skip
        if first:
            self._start(sizes, X.shape[1], X.dtype)
        elif [c.shape[1] for c in self.coefs_[:-1]] != list(sizes):
            raise ValueError(
                f"{type(self).__name__}: hidden_layer_sizes={self.hidden_layer_sizes!r} are not those of the weights "
                "to go on with; use clone() for a new start"
            )
        model = Perceptron(self.coefs_, self.intercepts_, self.activation, self.out_activation_, self.device)
        if self.solver == "lbfgs":
            self._fit_lbfgs(model, X, target)
        else:
            self.n_iter_ = 0
            if not incremental:
                self._waited, self._optimizer_state = 0, None
            self._fit_stochastic(model, X, target, y, incremental)
        if not all(np.isfinite(a).all() for a in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                f"{type(self).__name__}: the solver made weights that are not finite; scale the features or lower "
                "learning_rate_init"
            )
        return self

    def _fit_lbfgs(self, model: Perceptron, X: Any, target: Any) -> None:
        x, y = self._tensor(X), self._tensor(target)
        result = minimize_lbfgs(
            model, x, y, self.alpha, maxiter=self.max_iter, maxfun=self.max_fun, gtol=self.tol
        )  # fmt: skip
        if result.status != 0:
            self._warn(f"lbfgs stopped early (status {result.status}: {result.message}); raise max_iter or scale X")
        self.n_iter_ = min(int(result.nit), self.max_iter)
        self.coefs_, self.intercepts_ = model.arrays()
        with cr.no_grad():
            self.loss_ = model.losses(x, y, self.alpha)[1]

    def _warn(self, message: str) -> None:
        warnings.warn(f"{type(self).__name__}: {message}", ConvergenceWarning, stacklevel=5)

    def _fit_stochastic(self, model: Perceptron, X: Any, target: Any, y: Any, incremental: bool) -> None:
        validation = None
        if self.early_stopping and not incremental:
            share, strata = self.validation_fraction, self._strata(target)
            X, X_val, target, _, _, y_val = train_test_split(
                X, target, y, random_state=self._random, test_size=share, stratify=strata
            )
            if len(y_val) < 2:
                raise ValueError(
                    f"{type(self).__name__}: validation_fraction={share} leaves {len(y_val)} samples to validate on; "
                    "raise it, or switch early_stopping off"
                )
            validation = self._tensor(X_val), y_val
        n = X.shape[0]
        size = min(200, n) if self.batch_size == "auto" else int(self.batch_size)
        if size > n:
            warnings.warn(f"batch_size={size} is more than the {n} samples: it is clipped", stacklevel=4)
            size = n
        optimizer = make_optimizer(model, self.get_params(deep=False))
        if self._optimizer_state is not None:
            optimizer.load_state_dict(to_tensors(self._optimizer_state, self.device))
        # sparse data becomes dense batch by batch; other data goes to the device once
        sparse = hasattr(X, "toarray")
        everything, targets = X if sparse else self._tensor(X), self._tensor(target)
        order = np.arange(n)
        best = model.arrays()
        for _ in range(1 if incremental else self.max_iter):
            if self.shuffle:
                order = shuffle(order, random_state=self._random)
            total = 0.0
            for batch in gen_batches(n, size):
                rows = order[batch]
                index = cr.tensor(rows, device=self.device)
                x = self._tensor(X[rows]) if sparse else everything[index]
                loss, reported = model.losses(x, targets[index], self.alpha)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += reported * len(rows)
            self.n_iter_ += 1
            self.t_ += n
            self.loss_ = total / n
            self.loss_curve_.append(self.loss_)
            if self.verbose:
                sys.stdout.write(f"Iteration {self.n_iter_}, loss = {self.loss_:.8f}\n")
            if self._improved(model, validation):
                best = model.arrays()
            group = optimizer.param_groups[0]
            if self.solver == "sgd" and self.learning_rate == "invscaling":
                group["lr"] = self.learning_rate_init / (self.t_ + 1) ** self.power_t
            if self._waited > self.n_iter_no_change:
                if self.solver == "sgd" and self.learning_rate == "adaptive" and group["lr"] > 1e-6:
                    group["lr"] /= 5.0
                    self._waited = 0
                else:
                    break
        else:
            if not incremental:
                self._warn(f"max_iter={self.max_iter} iterations were made, and the loss still falls")
        self.coefs_, self.intercepts_ = best if validation is not None else model.arrays()
        if incremental:
            self._optimizer_state = to_arrays(optimizer.state_dict())

    def _improved(self, model: Perceptron, validation: Any) -> bool:
        """Judge an iteration; True when it gave the best validation score so far."""
        if validation is None:
            if self.best_loss_ is None:  # a fit with early stopping came before
                self.best_loss_ = np.inf
            self._waited = self._waited + 1 if self.loss_ > self.best_loss_ - self.tol else 0
            self.best_loss_ = min(self.best_loss_, self.loss_)
            return False
        x, y = validation
        with cr.no_grad():
            score = self._score_of(y, self._decode(model.predict(x).numpy(force=True)))
        if self.validation_scores_ is None or self.best_validation_score_ is None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf
        self.validation_scores_.append(score)
        if self.verbose:
            sys.stdout.write(f"Validation score: {score:.6f}\n")
        self._waited = self._waited + 1 if score < self.best_validation_score_ + self.tol else 0
        better = score > self.best_validation_score_
        self.best_validation_score_ = max(self.best_validation_score_, score)
        return bool(better)

    def _strata(self, target: Any) -> Any:
        """What has the same shares in the validation set as in the whole; None for a split at random."""
        return None

    def _output(self, X: Any) -> Any:
        """The network's output for X."""
        check_is_fitted(self)
        X = _validated(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        dtype = self.coefs_[0].dtype
        model = Perceptron(self.coefs_, self.intercepts_, self.activation, self.out_activation_, self.device)
        with cr.no_grad():
            return model.predict(self._tensor(X, dtype)).numpy(force=True)

    # ---- what users call --------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from X (samples, features) and y (samples) or (samples, outputs)."""
        return self._fit(X, y)

    def predict(self, X: Any) -> Any:
        """The predictions for X (samples, features)."""
        return self._decode(self._output(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags
