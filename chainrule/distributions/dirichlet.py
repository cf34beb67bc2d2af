"""The Dirichlet distribution, and the beta distribution: its marginal."""

from __future__ import annotations

from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Parameter, Shape, broadcast_all
from chainrule.distributions.exp_family import ExponentialFamily
from chainrule.distributions.gamma import log_gamma_sample
from chainrule.nn import functional as F


class Dirichlet(ExponentialFamily):
    """The Dirichlet distribution over K numbers that sum to 1, of ``concentration`` (..., K).

    Example:
        >>> import chainrule as cr
        >>> Dirichlet(cr.ones(3)).log_prob(cr.tensor([0.2, 0.3, 0.5])).exp()
        tensor(2.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration": constraints.independent(constraints.positive, 1)
    }
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        (self.concentration,) = broadcast_all("Dirichlet", concentration=concentration)
        shape = self.concentration.shape
        if not shape:
            raise ValueError("Dirichlet: parameter 'concentration' must have at least one dimension, got 0")
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        above = (self.concentration - 1).clamp(min=0)
        inside = above / above.sum(-1, keepdim=True)
        # all at most 1: the density is largest at a corner, that of the largest concentration
        corner = F.one_hot(self.concentration.argmax(-1), self._event_shape[0]).to(inside.dtype)
        return cr.where((self.concentration < 1).all(-1, keepdim=True), corner, inside)

    @property
    def variance(self) -> Tensor:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total.square() * (total + 1))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        # gamma variables divided by their sum; by their logarithms, for all of them may underflow
        return F.softmax(log_gamma_sample(self.concentration, self._extended_shape(sample_shape)), -1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        a = self.concentration
        return cr.xlogy(a - 1, value).sum(-1) + a.sum(-1).lgamma() - a.lgamma().sum(-1)

    def entropy(self) -> Tensor:
        a, total = self.concentration, self.concentration.sum(-1)
        return (
            a.lgamma().sum(-1)
            - total.lgamma()
            - (a.shape[-1] - total) * total.digamma()
            - ((a - 1) * a.digamma()).sum(-1)
        )


class Beta(ExponentialFamily):
    """The beta distribution on [0, 1].

    Args:
        concentration1: the exponent of x, plus 1 (often called alpha).
        concentration0: the exponent of 1 - x, plus 1 (often called beta).

    Example:
        >>> import chainrule as cr
        >>> Beta(2.0, 1.0).log_prob(cr.tensor(0.5)).exp()
        tensor(1.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Parameter, concentration0: Parameter, validate_args: bool | None = None
    ) -> None:
        both = broadcast_all("Beta", concentration1=concentration1, concentration0=concentration0)
        # kept as one tensor: the last dimension is the Dirichlet distribution's
        self._concentration = cr.stack(both, -1)
        super().__init__(both[0].shape, validate_args=validate_args)

    @property
    def concentration1(self) -> Tensor:
        """The exponent of x, plus 1."""
        return self._concentration[..., 0]

    @property
    def concentration0(self) -> Tensor:
        """The exponent of 1 - x, plus 1."""
        return self._concentration[..., 1]

    @property
    def _dirichlet(self) -> Dirichlet:
        return Dirichlet(self._concentration, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Tensor:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        return self._dirichlet.rsample(sample_shape)[..., 0]

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return self._dirichlet.log_prob(cr.stack([value, 1 - value], -1))

    def entropy(self) -> Tensor:
        return self._dirichlet.entropy()

    def __repr__(self) -> str:
        shown = [(name, getattr(self, name)) for name in self.arg_constraints]
        return f"Beta({', '.join(f'{n}: {v if v.numel() == 1 else tuple(v.shape)}' for n, v in shown)})"
