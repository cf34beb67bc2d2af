"""The gamma distribution and those that are one in disguise."""

from __future__ import annotations

from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.op import traced
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Parameter, Shape, broadcast_all, open_uniform
from chainrule.distributions.exp_family import ExponentialFamily


def log_gamma_sample(concentration: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The logarithm of gamma samples of rate 1, differentiable by the concentration (implicit reparameterisation).

    The logarithm, because samples of small concentrations are too small for floating point.

    Example:
        >>> import chainrule as cr
        >>> log_gamma_sample(cr.tensor([1e-6, 1.0]), (3, 2)).isfinite().all()
        tensor(True)
    """
    quantile: Tensor = traced.log_gamma_quantile(concentration, open_uniform(shape, concentration))
    return quantile.to(concentration.dtype)


class Gamma(ExponentialFamily):
    """The gamma distribution of shape ``concentration`` and the given ``rate``.

    Example:
        >>> import chainrule as cr
        >>> Gamma(2.0, 1.0).log_prob(cr.tensor(1.0))
        tensor(-1.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Parameter, rate: Parameter, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(type(self).__name__, concentration=concentration, rate=rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        return self.concentration / self.rate.square()

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        sample = log_gamma_sample(self.concentration, self._extended_shape(sample_shape)).exp() / self.rate
        return sample.clamp(min=cr.finfo(sample.dtype).tiny)  # never 0, where the density may be infinite

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        shape, rate = self.concentration, self.rate
        return cr.xlogy(shape, rate) + cr.xlogy(shape - 1, value) - rate * value - shape.lgamma()

    def entropy(self) -> Tensor:
        shape = self.concentration
        return shape - self.rate.log() + shape.lgamma() + (1 - shape) * shape.digamma()

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return cr.special.gammainc(self.concentration, self.rate * value)


class Chi2(Gamma):
    """The sum of the squares of ``df`` standard normal variables.

    Example:
        >>> Chi2(3.0).mean
        tensor(3.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"df": constraints.positive}

    def __init__(self, df: Parameter, validate_args: bool | None = None) -> None:
        (shape,) = broadcast_all("Chi2", df=df)
        super().__init__(0.5 * shape, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self.concentration * 2

    def __repr__(self) -> str:
        return f"Chi2(df: {self.df if self.df.numel() == 1 else tuple(self.df.shape)})"
