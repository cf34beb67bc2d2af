"""The base class of transforms, the inverse of one, and several in a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import sum_rightmost


class Transform:
    """An invertible function of tensors; a subclass defines ``_call``, ``_inverse`` and ``log_abs_det_jacobian``.

    Args:
        cache_size: 1 to remember the last pair of argument and result, so that the inverse of a result is exactly
            its argument (the inverse of a saturated tanh is not finite otherwise); 0 not to.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.distributions import ExpTransform
        >>> ExpTransform().inv(cr.tensor(1.0))
        tensor(0.)
    """

    bijective = False
    domain: Any = constraints.real
    codomain: Any = constraints.real
    #: the sign of the derivative, where it is one everywhere
    _sign: Any = None

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError(f"{type(self).__name__}: cache_size must be 0 or 1, got {cache_size!r}")
        self._cache_size = cache_size
        self._cached: tuple[Tensor | None, Tensor | None] = (None, None)

    @property
    def event_dim(self) -> int:
        """How many dimensions on the right it takes as one value."""
        return int(self.domain.event_dim)

    @property
    def sign(self) -> Any:
        """The sign of the derivative; 1 and -1 stand for functions that rise and fall."""
        if self._sign is None:
            raise NotImplementedError(f"{type(self).__name__}: it neither rises nor falls everywhere")
        return self._sign

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _InverseTransform(self)

    def __call__(self, x: Tensor) -> Tensor:
        """The value at ``x``."""
        if not self._cache_size:
            return self._call(x)
        if x is self._cached[0] and self._cached[1] is not None:
            return self._cached[1]
        y = self._call(x)
        self._cached = (x, y)
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if not self._cache_size:
            return self._inverse(y)
        if y is self._cached[1] and self._cached[0] is not None:
            return self._cached[0]
        x = self._inverse(y)
        self._cached = (x, y)
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a transform must define _call(x)")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}: a transform that is inverted must define _inverse(y)")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The logarithm of the absolute value of the derivative at ``x``, whose value is ``y``."""
        raise NotImplementedError(f"{type(self).__name__}: a transform must define log_abs_det_jacobian(x, y)")

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the value for an argument of this shape."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the argument for a value of this shape."""
        return shape

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same transform with that cache."""
        if cache_size == self._cache_size:
            return self
        new = type(self).__new__(type(self))
        new.__dict__.update(self.__dict__)
        Transform.__init__(new, cache_size)
        return new

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and not self._settings() and self._plain())

    def _settings(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("_cache_size", "_cached")}

    def _plain(self) -> bool:
        """Whether two of this class without settings are the same function."""
        return type(self) is not Transform

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    """The inverse of a transform; its own inverse is that very transform."""

    def __init__(self, transform: Transform) -> None:
        super().__init__(transform._cache_size)
        self._inv = transform

    @property
    def domain(self) -> Any:
        return self._inv.codomain

    @property
    def codomain(self) -> Any:
        return self._inv.domain

    @property
    def bijective(self) -> bool:  # type: ignore[override] # a plain attribute of the others
        return self._inv.bijective

    @property
    def sign(self) -> Any:
        return self._inv.sign

    @property
    def inv(self) -> Transform:
        return self._inv

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self._inv.with_cache(cache_size).inv

    def __call__(self, x: Tensor) -> Tensor:
        return self._inv._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._inv(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return -self._inv.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self._inv.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._inv.forward_shape(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self._inv == other._inv

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"Inverse({self._inv!r})"


class ComposeTransform(Transform):
    """Several transforms, one after the other.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.distributions import AffineTransform, ExpTransform
        >>> ComposeTransform([ExpTransform(), AffineTransform(1.0, 1.0)])(cr.tensor(0.0))
        tensor(2.)
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)

    @property
    def domain(self) -> Any:
        if not self.parts:
            return constraints.real
        inner = self.parts[0].domain
        more = self._event_dim() - inner.event_dim
        return constraints.independent(inner, more) if more else inner

    @property
    def codomain(self) -> Any:
        if not self.parts:
            return constraints.real
        inner = self.parts[-1].codomain
        more = self._event_dim() - inner.event_dim
        return constraints.independent(inner, more) if more > 0 else inner

    def _event_dim(self) -> int:
        return max(max(part.domain.event_dim, part.codomain.event_dim) for part in self.parts)

    @property
    def bijective(self) -> bool:  # type: ignore[override] # a plain attribute of the others
        return all(part.bijective for part in self.parts)

    @property
    def sign(self) -> Any:
        sign: Any = 1
        for part in self.parts:
            sign = sign * part.sign
        return sign

    @property
    def inv(self) -> Transform:
        return _InverseTransform(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if cache_size == self._cache_size else ComposeTransform(self.parts, cache_size)

    def _call(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        event_dim = self._event_dim() if self.parts else 0
        total: Any = cr.zeros_like(x)
        total = sum_rightmost(total, event_dim)
        for part in self.parts:
            value = part(x)
            total = total + sum_rightmost(part.log_abs_det_jacobian(x, value), event_dim - part.event_dim)
            x = value
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts!r})"
