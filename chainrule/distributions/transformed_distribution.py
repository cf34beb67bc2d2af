"""Distributions of transformed variables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Parameter, Shape, sum_rightmost
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.independent import Independent
from chainrule.distributions.normal import Normal
from chainrule.distributions.transforms import AbsTransform, ComposeTransform, ExpTransform, Transform


class TransformedDistribution(Distribution):
    """The distribution of ``transforms(X)``, where X has the base distribution.

    Args:
        base_distribution: any distribution.
        transforms: one transform, or several that are done in order.

    Raises:
        TypeError: something else is among the transforms.
        ValueError: a transform takes more dimensions at once than the base has.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.distributions import Normal
        >>> from chainrule.distributions.transforms import TanhTransform
        >>> TransformedDistribution(Normal(0.0, 1.0), TanhTransform()).log_prob(cr.tensor(0.0))
        tensor(-0.9189)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for t in self.transforms:
            if not isinstance(t, Transform):
                raise TypeError(f"{type(self).__name__}: transforms must be Transforms, got {type(t).__name__}")
        base_event = len(base_distribution.event_shape)
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        whole = ComposeTransform(self.transforms)
        needed = whole.domain.event_dim
        if len(shape) < needed:
            raise ValueError(
                f"{type(self).__name__}: the transforms take {needed} dimensions as one value, "
                f"the base distribution has shape {shape}"
            )
        event = max(base_event, needed, whole.codomain.event_dim)
        transformed = tuple(whole.forward_shape(shape))
        # parameters of the transforms may broaden the batch
        base_shape = tuple(whole.inverse_shape(transformed))
        base_distribution = base_distribution.expand(base_shape[: len(base_shape) - base_event])
        if needed > base_event:
            base_distribution = Independent(base_distribution, needed - base_event)
        self.base_dist = base_distribution
        cut = len(transformed) - event
        super().__init__(transformed[:cut], transformed[cut:], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override] # a plain attribute of the others
        return self.base_dist.has_rsample

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        inner = self.transforms[-1].codomain
        more = len(self._event_shape) - inner.event_dim
        return constraints.independent(inner, more) if more > 0 else inner

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        with cr.no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return self._transformed(self.base_dist.rsample(sample_shape))

    def _transformed(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        event = len(self._event_shape)
        total: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform._inv_call(y)
            event += transform.domain.event_dim - transform.codomain.event_dim
            total = total - sum_rightmost(transform.log_abs_det_jacobian(x, y), event - transform.domain.event_dim)
            y = x
        return total + sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))

    def _monotone(self, value: Tensor) -> Tensor:
        """``value`` where the transforms rise, 1 - value where they fall."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        return value if isinstance(sign, int) and sign == 1 else sign * (value - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        for transform in reversed(self.transforms):
            value = transform._inv_call(value)
        return self._monotone(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._transformed(self.base_dist.icdf(self._monotone(value)))

    def __repr__(self) -> str:
        if type(self) is TransformedDistribution:
            return f"TransformedDistribution({self.base_dist!r}, {self.transforms!r})"
        shown = [(name, getattr(self, name)) for name in self.arg_constraints]
        arguments = ", ".join(f"{name}: {v if v.numel() == 1 else tuple(v.shape)}" for name, v in shown)
        return f"{type(self).__name__}({arguments})"


class LogNormal(TransformedDistribution):
    """The distribution of ``exp(X)``, where X is normal with mean ``loc`` and standard deviation ``scale``.

    Example:
        >>> import chainrule as cr
        >>> LogNormal(0.0, 1.0).log_prob(cr.tensor(1.0))
        tensor(-0.9189)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.positive
    base_dist: Normal

    def __init__(self, loc: Parameter, scale: Parameter, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args=validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The mean of the logarithm."""
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the logarithm."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        return (self.loc + self.scale.square() / 2).exp()

    @property
    def mode(self) -> Tensor:
        return (self.loc - self.scale.square()).exp()

    @property
    def variance(self) -> Tensor:
        square = self.scale.square()
        return square.expm1() * (2 * self.loc + square).exp()

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() + self.loc


class HalfNormal(TransformedDistribution):
    """The distribution of ``abs(X)``, where X is normal with mean 0 and standard deviation ``scale``.

    Example:
        >>> import chainrule as cr
        >>> HalfNormal(1.0).log_prob(cr.tensor(0.0))
        tensor(-0.2258)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"scale": constraints.positive}
    support = constraints.nonnegative
    base_dist: Normal

    def __init__(self, scale: Parameter, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, validate_args=False), AbsTransform(), validate_args)

    @property
    def scale(self) -> Tensor:
        """The standard deviation of X."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        return self.scale * (2 / cr.pi) ** 0.5

    @property
    def mode(self) -> Tensor:
        return cr.zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (1 - 2 / cr.pi)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        inside = self.base_dist.log_prob(value) + 0.6931471805599453  # log 2: two values of X give one
        return cr.where(value >= 0, inside, -cr.inf)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Tensor) -> Tensor:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Tensor:
        return self.base_dist.entropy() - 0.6931471805599453
