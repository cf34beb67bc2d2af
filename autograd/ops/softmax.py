"""Softmax, its logarithm, and cross-entropy with logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.gather import along
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import NOT_GIVEN, function
from chainrule.autograd.runtime import cast
from chainrule.autograd.samples import Sample, Samples, normal, special
from chainrule.autograd.tensor import Tensor


def _axis_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 2, 3),), {"axis": 1})
    yield Sample((normal(rng, 3, 2),), {"axis": 0})
    yield Sample((normal(rng, 2, 3, 2),), {"axis": -2})


def _softmax_x(xp: Any, g: Any, out: Any, axis: int) -> Any:
    """``out * (g - sum(g * out, axis=axis, keepdims=True))``"""
    return xp.softmax_back(g, out, axis=axis)


def _log_softmax_x(xp: Any, g: Any, out: Any, axis: int) -> Any:
    """``g - exp(out) * sum(g, axis=axis, keepdims=True)``"""
    return xp.log_softmax_back(g, out, axis=axis)


@op(
    vjp={"x": _softmax_x},
    check=Samples(_axis_samples, reference=lambda x, axis: special.softmax(x, axis)),
)
def softmax(xp, x, *, axis):
    """``exp(x) / sum(exp(x))`` along one axis."""
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


def _pairs(rng: Any) -> Any:
    for s in _axis_samples(rng):
        yield Sample((normal(rng, *s.args[0].shape), s.args[0]), s.kwargs)


def _softmax_back_y(xp: Any, g: Any, x: Any, y: Any, axis: int) -> Any:
    along, total = xp.sum(x * y, axis=axis, keepdims=True), xp.sum(g * y, axis=axis, keepdims=True)
    return g * (x - along) - x * total


@op(
    vjp={"x": lambda xp, g, y, axis: xp.softmax_back(g, y, axis=axis), "y": _softmax_back_y},
    check=Samples(_pairs, reference=lambda x, y, axis: y * (x - np.sum(x * y, axis, keepdims=True))),
)
def softmax_back(xp, x, y, *, axis):
    """The gradient of :func:`softmax` from that of its result ``y``: ``y * (x - sum(x * y))``."""
    return y * (x - xp.sum(x * y, axis=axis, keepdims=True))


@op(
    vjp={"x": _log_softmax_x},
    check=Samples(_axis_samples, reference=lambda x, axis: special.log_softmax(x, axis)),
)
def log_softmax(xp, x, *, axis):
    """``log(softmax(x))`` along one axis, without overflow."""
    shifted = x - xp.max(x, axis=axis, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def _log_softmax_back_y(xp: Any, g: Any, x: Any, y: Any, axis: int) -> Any:
    return -g * xp.exp(y) * xp.sum(x, axis=axis, keepdims=True)


@op(
    vjp={
        "x": lambda xp, g, y, axis: g - xp.sum(g * xp.exp(y), axis=axis, keepdims=True),
        "y": _log_softmax_back_y,
    },
    check=Samples(_pairs, reference=lambda x, y, axis: x - np.exp(y) * np.sum(x, axis, keepdims=True)),
)
def log_softmax_back(xp, x, y, *, axis):
    """The gradient of :func:`log_softmax` from that of its result ``y``: ``x - exp(y) * sum(x)``."""
    return x - xp.exp(y) * xp.sum(x, axis=axis, keepdims=True)


def _along_dim(name: str, what: str, shown: str) -> None:
    def normalise(
        input: Tensor, dim: Any = NOT_GIVEN, _stacklevel: int = 3, dtype: Any = None, *, axis: Any = NOT_GIVEN
    ) -> Tensor:
        dim = dim if axis is NOT_GIVEN else axis
        if dim is NOT_GIVEN or dim is None:
            raise TypeError(f"{name}: missing argument 'dim': the dimension along which the results belong together")
        if dtype is not None:
            input = cast(input, dtypes.as_dtype(dtype).dtype)
        elif dtypes.category(input._data.dtype) < 2:
            raise RuntimeError(
                f"{name}: expected a floating-point tensor, got {input.dtype}; convert first, e.g. with .float()"
            )
        d = normal_axis(name, dim, input._data.ndim)
        if not input._data.ndim:
            return input * 0.0 + (1.0 if name == "softmax" else 0.0)
        if not input._data.size:
            return input.clone()
        return getattr(xp_of_tensors, name)(input, axis=d)

    normalise.__name__ = name
    normalise.__doc__ = f"""{what}

    Raises RuntimeError for integers, TypeError without ``dim``.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.tensor([0.0, 0.0]), dim=0)
        {shown}
    """
    function(name)(normalise)


_along_dim("softmax", "``exp(x) / sum(exp(x))`` along ``dim``.", "tensor([0.5000, 0.5000])")
_along_dim("log_softmax", "``log(softmax(x))`` along ``dim``, without overflow.", "tensor([-0.6931, -0.6931])")


# ---- cross-entropy --------------------------------------------------------------------------------------------------


def _class_samples(rng: Any) -> Any:
    yield Sample((normal(rng, 4, 3), rng.integers(0, 3, (4,))), {})
    yield Sample((normal(rng, 2, 3, 2), rng.integers(0, 3, (2, 2))), {})


def _class_reference(x: Any, target: Any) -> Any:
    return -np.take_along_axis(special.log_softmax(x, 1), target[:, None], 1)[:, 0]


def _at_target(xp: Any, target: Any) -> Any:
    """The full index of the target class of every sample: classes are axis 1."""
    column = xp.reshape(target, (target.shape[0], 1, *target.shape[1:]))
    return along(xp, column, 1)


def _column(xp: Any, v: Any) -> Any:
    """(N, ...) as (N, 1, ...)."""
    return xp.reshape(v, shape=(v.shape[0], 1, *v.shape[1:]))


@op(
    vjp={"x": lambda xp, g, x, target: xp.class_cross_entropy_back(x, target, g)},
    check=Samples(_class_samples, reference=_class_reference),
    label="cross_entropy",
)
def class_cross_entropy(xp, x, target):
    """``-log(softmax(x))`` at the target class: x (N, C, ...), target (N, ...) integers, result (N, ...)."""
    shifted = x - xp.max(x, axis=1, keepdims=True)
    picked = shifted[_at_target(xp, target)]
    total = xp.log(xp.sum(xp.exp(shifted), axis=1, keepdims=True))
    return xp.reshape(total - picked, target.shape)


def _class_back_x(xp: Any, g: Any, x: Any, y: Any) -> Any:
    p = xp.softmax(x, axis=1)
    return _column(xp, y) * p * (g - xp.sum(g * p, axis=1, keepdims=True))


def _class_back_y(xp: Any, g: Any, x: Any, target: Any) -> Any:
    index = _column(xp, target)
    picked = xp.gather(g, index, axis=1)
    total = xp.sum(g * xp.softmax(x, axis=1), axis=1, keepdims=True) - picked
    return xp.reshape(total, shape=target.shape)


@op(
    vjp={"x": _class_back_x, "y": _class_back_y},
    check=Samples(
        lambda rng: [Sample((s.args[0], s.args[1], normal(rng, *s.args[1].shape))) for s in _class_samples(rng)],
        reference=lambda x, target, y: (
            y[:, None] * (special.softmax(x, 1) - np.moveaxis(np.eye(x.shape[1])[target], -1, 1))
        ),
    ),
)
def class_cross_entropy_back(xp, x, target, y):
    """Gradient of :func:`class_cross_entropy`: ``y * (softmax(x) - one_hot(target))``."""
    e = xp.exp(x - xp.max(x, axis=1, keepdims=True))
    p = e / xp.sum(e, axis=1, keepdims=True)
    p[_at_target(xp, target)] -= 1
    p *= xp.reshape(y, (y.shape[0], 1, *y.shape[1:]))
    return p


@op(
    vjp={
        "x": lambda xp, g, x, y: _column(xp, g) * (xp.softmax(x, axis=1) * xp.sum(y, axis=1, keepdims=True) - y),
        "y": lambda xp, g, x: -_column(xp, g) * xp.log_softmax(x, axis=1),
    },
    check=Samples(
        lambda rng: [Sample((normal(rng, 4, 3), normal(rng, 4, 3, low=0.1, high=1.0)))],
        reference=lambda x, y: -np.sum(y * special.log_softmax(x, 1), 1),
    ),
    label="cross_entropy",
)
def soft_cross_entropy(xp, x, y):
    """``-sum(y * log(softmax(x)))`` over the classes: x and y (N, C, ...), result (N, ...)."""
    return -xp.sum(y * xp.log_softmax(x, axis=1), axis=1, keepdims=False)
