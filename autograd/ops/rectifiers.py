"""Rectifiers, limits, and the choice between two tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.op import formula, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function, method_only
from chainrule.autograd.runtime import harmonise, result_dtype, wrap
from chainrule.autograd.samples import Binary, Sample, Samples, Unary, normal
from chainrule.autograd.tensor import Tensor


@op(
    vjp={"x": lambda xp, g, y: xp.relu_back(g, y)},
    check=Samples(
        lambda rng: [Sample((normal(rng, *s), np.maximum(normal(rng, *s), 0))) for s in ((), (3,), (2, 3))],
        reference=lambda x, y: x * (y > 0),
    ),
)
def relu_back(xp, x, y):
    """The gradient of relu from that of its result y: ``x * (y > 0)``."""
    return x * (y > 0)


def _relu_back(xp: Any, g: Any, out: Any) -> Any:
    """``g * (out > 0)``"""
    return xp.relu_back(g, out)


@op(
    vjp={"x": _relu_back},
    check=Unary(special=[0.0], reference=lambda x: np.maximum(x, 0)),
    public="relu",
    inplace=True,
)
def relu(xp, x):
    """``max(x, 0)``; its gradient at 0 is 0.

    Example:
        >>> import chainrule as cr
        >>> cr.relu(cr.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    if xp.isdtype(x.dtype, "bool"):
        raise TypeError("expected numbers, got bools")
    return xp.maximum(x, 0)


@formula
def leaky_relu_back(xp: Any, g: Any, x: Any, *, negative_slope: float) -> Any:
    """The gradient of :func:`leaky_relu`."""
    return xp.where(x > 0, g, g * negative_slope)


def _leaky_relu_back(xp: Any, g: Any, x: Any, negative_slope: float) -> Any:
    """``where(x > 0, g, g * negative_slope)``"""
    return xp.leaky_relu_back(g, x, negative_slope=negative_slope)


@op(
    vjp={"x": _leaky_relu_back},
    check=Unary(attributes=[{}, {"negative_slope": 0.2}], special=[0.0]),
)
def leaky_relu(xp, x, *, negative_slope=0.01):
    """``x`` where positive, else ``negative_slope * x`` (Maas et al., 2013)."""
    return xp.where(x > 0, x, x * negative_slope)


@formula
def elu_back(xp: Any, g: Any, x: Any, *, alpha: float, scale: float, input_scale: float) -> Any:
    """The gradient of :func:`elu`."""
    below = g * (xp.exp(xp.minimum(x, 0) * input_scale) * (alpha * scale * input_scale))
    return xp.where(x > 0, g * scale, below)


def _elu_back(xp: Any, g: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    """``g * scale * where(x > 0, 1, alpha * input_scale * exp(x * input_scale))``"""
    return xp.elu_back(g, x, alpha=alpha, scale=scale, input_scale=input_scale)


@op(
    vjp={"x": _elu_back},
    check=Unary(
        attributes=[{}, {"alpha": 0.7}, {"alpha": 0.7, "scale": 1.5, "input_scale": 2.0}], special=[0.0, 1000.0]
    ),
)
def elu(xp, x, *, alpha=1.0, scale=1.0, input_scale=1.0):
    """``scale * x`` where positive, else ``scale * alpha * (exp(input_scale * x) - 1)`` (Clevert et al., 2016)."""
    return xp.where(x > 0, x * scale, xp.expm1(xp.minimum(x, 0) * input_scale) * (alpha * scale))


@formula
def softplus_back(xp: Any, g: Any, x: Any, *, beta: float, threshold: float) -> Any:
    """``where(x * beta > threshold, g, g * sigmoid(x * beta))``"""
    return xp.where(x * beta > threshold, g, g * xp.sigmoid(x * beta))


def _softplus_back(xp: Any, g: Any, x: Any, beta: float, threshold: float) -> Any:
    """``where(x * beta > threshold, g, g * sigmoid(x * beta))``"""
    return xp.softplus_back(g, x, beta=beta, threshold=threshold)


@op(
    vjp={"x": _softplus_back},
    check=Unary(attributes=[{}, {"beta": 2.0, "threshold": 3.0}], special=[0.0, 1000.0, -1000.0]),
    floating=True,
)
def softplus(xp, x, *, beta=1.0, threshold=20.0):
    """``log(1 + exp(beta * x)) / beta``, and ``x`` itself where ``beta * x`` exceeds ``threshold``."""
    scaled = x * beta
    smooth = (xp.maximum(scaled, 0) + xp.log1p(xp.exp(-xp.abs(scaled)))) / beta
    return xp.where(scaled > threshold, x, smooth)


@op(
    vjp={"x": lambda xp, g, x, min, max: g * _inside(x, min, max)},
    check=Unary(attributes=[{"min": -0.5, "max": 0.7}, {"min": 0.1}, {"max": 0.3}]),
)
def clip(xp, x, *, min=None, max=None):
    """The tensor with its elements limited to [min, max]; the gradient is 1 on the bounds."""
    if min is not None:
        x = xp.maximum(x, min)
    return x if max is None else xp.minimum(x, max)


def _inside(x: Any, min: Any, max: Any) -> Any:
    if min is None:
        return x <= max
    return x >= min if max is None else (x >= min) & (x <= max)


def _share(xp: Any, g: Any, lost: Any, tied: Any) -> Any:
    """The gradient of one of two rivals: none where it lost, half where they are equal; all of it at NaN."""
    return xp.where(lost, xp.zeros_like(g), xp.where(tied, g * 0.5, g))


@function("clamp clip", inplace=True)
def _clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """The elements limited to [min, max]; the bounds are numbers or tensors, one of them may be left out.

    Raises ValueError when both are missing.

    Example:
        >>> import chainrule as cr
        >>> cr.clamp(cr.tensor([-1.0, 0.5, 3.0]), 0, 1)
        tensor([0.0000, 0.5000, 1.0000])
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be given")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        if min is not None:
            input = _where(_beyond(xp_of_tensors.less(input, min), min), min, input)
        return input if max is None else _where(_beyond(xp_of_tensors.greater(input, max), max), max, input)
    if dtypes.category(input._data.dtype) < 2 and any(isinstance(v, float) for v in (min, max)):
        input = input.to(dtypes.get_default_dtype())
    return xp_of_tensors.clip(input, min=min, max=max)


def _beyond(outside: Tensor, bound: Any) -> Any:
    """Where a bound takes the place of the element: NaN as a bound does everywhere."""
    return outside | bound.isnan() if isinstance(bound, Tensor) and bound.is_floating_point() else outside


@function("clamp_min", inplace=True)
def _clamp_min(input: Tensor, min: Any) -> Tensor:
    """The elements, but at least ``min``, a number or a tensor.

    Example:
        >>> import chainrule as cr
        >>> cr.clamp_min(cr.tensor([-1.0, 0.5]), 0)
        tensor([0.0000, 0.5000])
    """
    return _clamp(input, min=min)


@function("clamp_max", inplace=True)
def _clamp_max(input: Tensor, max: Any) -> Tensor:
    """The elements, but at most ``max``, a number or a tensor.

    Example:
        >>> import chainrule as cr
        >>> cr.clamp_max(cr.tensor([-1.0, 0.5]), 0)
        tensor([-1.,  0.])
    """
    return _clamp(input, max=max)


@op(
    vjp={
        "x": lambda xp, g, x, y: _share(xp, g, x < y, x == y),
        "y": lambda xp, g, x, y: _share(xp, g, y < x, x == y),
    },
    check=Binary(reference=np.maximum),
    public="maximum",
    harmonise=True,
    broadcasts=True,
)
def maximum(xp, x, y):
    """The larger of two elements; where they are equal each gets half of the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.maximum(cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0]))
        tensor([3., 5.])
    """
    return xp.maximum(x, y)


@op(
    vjp={
        "x": lambda xp, g, x, y: _share(xp, g, x > y, x == y),
        "y": lambda xp, g, x, y: _share(xp, g, y > x, x == y),
    },
    check=Binary(reference=np.minimum),
    public="minimum",
    harmonise=True,
    broadcasts=True,
)
def minimum(xp, x, y):
    """The smaller of two elements; where they are equal each gets half of the gradient.

    Example:
        >>> import chainrule as cr
        >>> cr.minimum(cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0]))
        tensor([1., 2.])
    """
    return xp.minimum(x, y)


def _where_samples(rng: Any) -> Any:
    for c, a, b in [((3,), (3,), (3,)), ((2, 1), (3,), (2, 3)), ((2, 3), (), ()), ((), (2,), (1,))]:
        yield Sample((np.asarray(rng.random(c) > 0.5), normal(rng, *a), normal(rng, *b)))


@op(
    vjp={
        "x": lambda xp, g, condition: xp.where(condition, g, xp.zeros_like(g)),
        "y": lambda xp, g, condition: xp.where(condition, xp.zeros_like(g), g),
    },
    check=Samples(_where_samples, reference=np.where),
    broadcasts=True,
    arithmetic=False,
)
def where(xp, condition, x, y):
    """Elements of ``x`` where the condition holds, else of ``y``."""
    return xp.where(condition, x, y)


@function("where", method=False)
def _where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Elements of ``input`` where ``condition`` holds, else of ``other``; all three broadcast.

    A NaN in the branch that is not taken still reaches the gradient of what computed it: make the argument of the
    dangerous function safe as well, ``where(x > 0, log(where(x > 0, x, 1)), 0)``.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([-1.0, 2.0])
        >>> cr.where(x > 0, x, 0.0)
        tensor([0., 2.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if not isinstance(condition, Tensor):
        raise TypeError(f"where: condition must be a bool Tensor, got {type(condition).__name__}")
    if condition._data.dtype.kind != "b":
        raise TypeError(
            f"where: condition must be a bool tensor, got {condition.dtype}; compare it with something first"
        )
    from chainrule.autograd.op import OPS

    if not isinstance(input, Tensor) and not isinstance(other, Tensor):  # numbers go where the condition is
        common, place = result_dtype([input, other]), condition._device
        input, other = [wrap(place.asarray(v, common), place) for v in (input, other)]
    x, y = harmonise(OPS["where"], input, other)
    return xp_of_tensors.where(condition, x, y)


@method_only("where")
def _where_of(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """Elements of the tensor where ``condition`` holds, else of ``other``; see :func:`where`."""
    return _where(condition, self, other)
