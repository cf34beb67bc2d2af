"""Invertible functions with the logarithms of their derivatives; they make new distributions from others.

>>> import chainrule as cr
>>> t = ComposeTransform([AffineTransform(1.0, 2.0), ExpTransform()])
>>> t.inv(t(cr.tensor(3.0)))
tensor(3.)
"""

from __future__ import annotations

import math
from typing import Any

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import sum_rightmost
from chainrule.distributions.transform import ComposeTransform as ComposeTransform
from chainrule.distributions.transform import Transform as Transform
from chainrule.nn import functional as F

__all__ = [
    "AbsTransform", "AffineTransform", "ComposeTransform", "ExpTransform", "PowerTransform", "SigmoidTransform",
    "SoftplusTransform", "TanhTransform", "Transform", "identity_transform",
]  # fmt: skip

identity_transform = ComposeTransform([])


class ExpTransform(Transform):
    """``exp(x)``.

    Example:
        >>> import chainrule as cr
        >>> ExpTransform()(cr.tensor(0.0))
        tensor(1.)
    """

    bijective = True
    codomain = constraints.positive
    _sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x


class PowerTransform(Transform):
    """``x ** exponent``, of positive numbers.

    Example:
        >>> import chainrule as cr
        >>> PowerTransform(2.0)(cr.tensor(3.0))
        tensor(9.)
    """

    bijective = True
    domain = constraints.positive
    codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else math.copysign(1, self.exponent)

    def _call(self, x: Tensor) -> Tensor:
        return x**self.exponent

    def _inverse(self, y: Tensor) -> Tensor:
        return y ** (1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        return cr.broadcast_shapes(shape, getattr(self.exponent, "shape", ()))

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PowerTransform) and same(self.exponent, other.exponent)

    __hash__ = object.__hash__


class SigmoidTransform(Transform):
    """``1 / (1 + exp(-x))``.

    Example:
        >>> import chainrule as cr
        >>> SigmoidTransform()(cr.tensor(0.0))
        tensor(0.5000)
    """

    bijective = True
    codomain = constraints.unit_interval
    _sign = 1

    def _call(self, x: Tensor) -> Tensor:
        limits = cr.finfo(x.dtype)  # 0 and 1 have no inverse
        return x.sigmoid().clamp(min=limits.tiny, max=1.0 - limits.eps)

    def _inverse(self, y: Tensor) -> Tensor:
        limits = cr.finfo(y.dtype)
        y = y.clamp(min=limits.tiny, max=1.0 - limits.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -F.softplus(-x) - F.softplus(x)


class SoftplusTransform(Transform):
    """``log(1 + exp(x))``.

    Example:
        >>> import chainrule as cr
        >>> SoftplusTransform()(cr.tensor(0.0))
        tensor(0.6931)
    """

    bijective = True
    codomain = constraints.positive
    _sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return F.softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -F.softplus(-x)


class TanhTransform(Transform):
    """``tanh(x)``; with ``cache_size=1`` its inverse is right where it saturates.

    Example:
        >>> import chainrule as cr
        >>> TanhTransform()(cr.tensor(0.0))
        tensor(0.)
    """

    bijective = True
    codomain = constraints.interval(-1.0, 1.0)
    _sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        # log(1 - tanh(x)**2) without the cancellation
        return 2.0 * (math.log(2.0) - x - F.softplus(-2.0 * x))


class AbsTransform(Transform):
    """``abs(x)``; as the inverse the positive number is taken.

    Example:
        >>> import chainrule as cr
        >>> AbsTransform()(cr.tensor(-1.0))
        tensor(1.)
    """

    codomain = constraints.positive

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


def same(a: Any, b: Any) -> bool:
    """Whether two numbers or tensors are equal in all elements.

    Example:
        >>> import chainrule as cr
        >>> same(1.0, cr.tensor(1.0)), same(1.0, 2.0)
        (True, False)
    """
    equal = a == b
    return bool(equal.all()) if isinstance(equal, Tensor) else bool(equal)


class AffineTransform(Transform):
    """``loc + scale * x``, with ``event_dim`` dimensions taken as one value.

    Example:
        >>> import chainrule as cr
        >>> AffineTransform(1.0, 2.0)(cr.tensor(3.0))
        tensor(7.)
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale, self._event_dim = loc, scale, event_dim

    @property
    def event_dim(self) -> int:
        return self._event_dim

    @property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, self._event_dim) if self._event_dim else constraints.real

    codomain = domain

    @property
    def sign(self) -> Any:
        return self.scale.sign() if isinstance(self.scale, Tensor) else math.copysign(1, self.scale)

    def _call(self, x: Tensor) -> Tensor:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        scale = self.scale if isinstance(self.scale, Tensor) else cr.full_like(x, self.scale)
        return sum_rightmost(scale.abs().log().expand(cr.broadcast_shapes(x.shape, scale.shape)), self._event_dim)

    def forward_shape(self, shape: Any) -> Any:
        return cr.broadcast_shapes(shape, getattr(self.loc, "shape", ()), getattr(self.scale, "shape", ()))

    inverse_shape = forward_shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AffineTransform) and same(self.loc, other.loc) and same(self.scale, other.scale)

    __hash__ = object.__hash__
