"""Distributions with heavy tails: Cauchy, half-Cauchy, Student's t, Gumbel."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Parameter, Shape, broadcast_all, open_uniform
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.gamma import log_gamma_sample

_EULER = 0.5772156649015329


class Cauchy(Distribution):
    """The Cauchy distribution of median ``loc`` and half width ``scale``; it has no mean.

    Example:
        >>> import chainrule as cr
        >>> Cauchy(0.0, 1.0).cdf(cr.tensor(1.0))
        tensor(0.7500)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Parameter, scale: Parameter, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all("Cauchy", loc=loc, scale=scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return cr.full_like(self.loc.detach(), math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return cr.full_like(self.loc.detach(), math.inf)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        angle = (open_uniform(self._extended_shape(sample_shape), self.loc) - 0.5) * math.pi
        return self.loc + angle.tan().to(self.loc.dtype) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return -math.log(math.pi) - self.scale.log() - ((value - self.loc) / self.scale).square().log1p()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Tensor) -> Tensor:
        return ((value - 0.5) * math.pi).tan() * self.scale + self.loc

    def entropy(self) -> Tensor:
        return math.log(4 * math.pi) + self.scale.log()


class HalfCauchy(Distribution):
    """The distribution of ``abs(X)``, where X is Cauchy with median 0 and half width ``scale``.

    Example:
        >>> import chainrule as cr
        >>> HalfCauchy(1.0).cdf(cr.tensor(1.0))
        tensor(0.5000)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, scale: Parameter, validate_args: bool | None = None) -> None:
        (self.scale,) = broadcast_all("HalfCauchy", scale=scale)
        super().__init__(self.scale.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return cr.full_like(self.scale.detach(), math.inf)

    @property
    def mode(self) -> Tensor:
        return cr.zeros_like(self.scale)

    @property
    def variance(self) -> Tensor:
        return cr.full_like(self.scale.detach(), math.inf)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        angle = open_uniform(self._extended_shape(sample_shape), self.scale) * (math.pi / 2)
        return angle.tan().to(self.scale.dtype) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        inside = math.log(2 / math.pi) - self.scale.log() - (value / self.scale).square().log1p()
        return cr.where(value >= 0, inside, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (value / self.scale).atan() * (2 / math.pi)

    def icdf(self, value: Tensor) -> Tensor:
        return (value * (math.pi / 2)).tan() * self.scale

    def entropy(self) -> Tensor:
        return math.log(2 * math.pi) + self.scale.log()


class StudentT(Distribution):
    """Student's t distribution with ``df`` degrees of freedom, moved by ``loc`` and stretched by ``scale``.

    Example:
        >>> import chainrule as cr
        >>> StudentT(1.0).log_prob(cr.tensor(0.0))
        tensor(-1.1447)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Parameter, loc: Parameter = 0.0, scale: Parameter = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all("StudentT", df=df, loc=loc, scale=scale)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return cr.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        above = cr.where(self.df > 2, self.df, 3.0)  # elsewhere any number: its gradient must not be NaN
        variance = cr.where(self.df > 2, self.scale.square() * above / (above - 2), math.inf)
        return cr.where(self.df > 1, variance, math.nan)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        noise = cr.randn(shape, dtype=self.df.dtype, device=self.df.device)
        # a chi-squared variable is twice a gamma variable of shape df / 2
        log_mean_square = log_gamma_sample(self.df / 2, shape) - (self.df / 2).log()
        return self.loc + self.scale * (noise * (-0.5 * log_mean_square).exp())

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        normaliser = (
            self.scale.log()
            + 0.5 * self.df.log()
            + 0.5 * math.log(math.pi)
            + (self.df / 2).lgamma()
            - ((self.df + 1) / 2).lgamma()
        )
        return -0.5 * (self.df + 1) * (y.square() / self.df).log1p() - normaliser

    def entropy(self) -> Tensor:
        half = (self.df + 1) / 2
        log_beta = (self.df / 2).lgamma() + math.lgamma(0.5) - half.lgamma()
        return (
            self.scale.log()
            + half * (half.digamma() - (self.df / 2).digamma())
            + 0.5 * self.df.log()
            + log_beta
        )


class Gumbel(Distribution):
    """The Gumbel distribution: the limit of maxima, with mode ``loc``.

    Example:
        >>> import chainrule as cr
        >>> Gumbel(0.0, 1.0).log_prob(cr.tensor(0.0))
        tensor(-1.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Parameter, scale: Parameter, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all("Gumbel", loc=loc, scale=scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.loc + self.scale * _EULER

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def stddev(self) -> Tensor:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Tensor:
        return self.scale.square() * (math.pi**2 / 6)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        unit = -(-open_uniform(self._extended_shape(sample_shape), self.loc).log()).log()
        return self.loc + unit.to(self.loc.dtype) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value: Tensor) -> Tensor:
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        return self.scale.log() + (1 + _EULER)
