"""Distributions over counts: Poisson, binomial, multinomial, geometric."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import (
    Parameter,
    Shape,
    broadcast_all,
    lazy_property,
    logits_to_probs,
    one_of,
    open_uniform,
    probs_to_logits,
)
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.exp_family import ExponentialFamily
from chainrule.nn import functional as F


class Poisson(ExponentialFamily):
    """The Poisson distribution of the given ``rate``, its mean.

    Example:
        >>> import chainrule as cr
        >>> Poisson(1.0).log_prob(cr.tensor(0.0))
        tensor(-1.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Parameter, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all("Poisson", rate=rate)
        super().__init__(self.rate.shape, validate_args=validate_args)

    @property
    def mean(self) -> Tensor:
        return self.rate

    @property
    def mode(self) -> Tensor:
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        return self.rate

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        with cr.no_grad():
            return cr.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return cr.xlogy(value, self.rate) - self.rate - (value + 1).lgamma()


class Binomial(Distribution):
    """How many of ``total_count`` trials succeed, each with probability ``probs``.

    Args:
        total_count: the number of trials, a number or a tensor.
        probs: the probability of success.
        logits: its log odds, in the place of ``probs``.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` was given.

    Example:
        >>> import chainrule as cr
        >>> Binomial(2, probs=0.5).log_prob(cr.tensor([0.0, 1.0, 2.0])).exp()
        tensor([0.2500, 0.5000, 0.2500])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = one_of("Binomial", probs=probs, logits=logits)
        (given,) = broadcast_all("Binomial", **{name: probs if name == "probs" else logits})
        if isinstance(total_count, Tensor):  # counts may come as integers
            total_count = total_count.to(given.dtype)
        self.total_count, self.__dict__[name] = broadcast_all("Binomial", total_count=total_count, **{name: given})
        super().__init__(self.total_count.shape, validate_args=validate_args)

    @lazy_property
    def logits(self) -> Tensor:
        """The log odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities of success."""
        return logits_to_probs(self.logits, is_binary=True)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self.total_count)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._batch_shape

    @property
    def mean(self) -> Tensor:
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        with cr.no_grad():
            return cr.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n, logits = self.total_count, self.logits
        # k log p + (n - k) log(1 - p) = k logit - n softplus(logit)
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return ways + value * logits - n * (logits.clamp(min=0) + (-logits.abs()).exp().log1p())

    def _count(self, caller: str) -> int:
        """The number of trials, where it is one for the whole batch."""
        count = int(self.total_count.max())
        if not bool((self.total_count == count).all()):
            raise NotImplementedError(f"Binomial.{caller}: the total_count of all distributions must be the same")
        return count

    def entropy(self) -> Tensor:
        self._count("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = cr.arange(1 + self._count("enumerate_support"), dtype=self.total_count.dtype,
                           device=self.total_count.device)  # fmt: skip
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values


class Multinomial(Distribution):
    """How often each of K categories came in ``total_count`` draws.

    Args:
        total_count: the number of draws, an int.
        probs: weights (..., K) that are not negative, and are divided by their sum.
        logits: logarithms of weights, in the place of ``probs``.

    Raises:
        ValueError: not exactly one of ``probs`` and ``logits`` was given.

    Example:
        >>> import chainrule as cr
        >>> Multinomial(3, cr.tensor([0.0, 1.0])).sample()
        tensor([0., 3.])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(
        self, total_count: int = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        if isinstance(total_count, bool) or not isinstance(total_count, int) or total_count < 0:
            raise ValueError(f"Multinomial: total_count must be an int that is not negative, got {total_count!r}")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        shape = self._categorical.param_shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def _check_parameters(self) -> None:
        """The Categorical has checked them."""

    @property
    def probs(self) -> Tensor:
        """The probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> constraints.Constraint:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        return self.probs * self.total_count

    @property
    def variance(self) -> Tensor:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        drawn = self._categorical.sample((self.total_count, *sample_shape))
        return F.one_hot(drawn, self._event_shape[0]).sum(0).to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        # a category of probability 0 that never came counts 0, not 0 * -inf
        logits = cr.where((value == 0) & (self.logits == -cr.inf), 0.0, self.logits)
        return (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1) + (value * logits).sum(-1)

    def entropy(self) -> Tensor:
        n = self.total_count
        each = Binomial(n, self.probs, validate_args=False)  # how often one category comes
        counts = each.enumerate_support(False)
        mean_log_factorials = (each.log_prob(counts).exp() * (counts + 1).lgamma()).sum((0, -1))
        return n * self._categorical.entropy() - math.lgamma(n + 1) + mean_log_factorials

    def __repr__(self) -> str:
        return repr(self._categorical).replace("Categorical", "Multinomial", 1)


class Geometric(Distribution):
    """The number of failures before the first success, which has probability ``probs``.

    Args:
        probs: the probability of success, in (0, 1].
        logits: its log odds, in the place of ``probs``.

    Raises:
        ValueError: not exactly one of the two was given.

    Example:
        >>> import chainrule as cr
        >>> Geometric(0.5).log_prob(cr.tensor([0.0, 1.0])).exp()
        tensor([0.5000, 0.2500])
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        name = one_of("Geometric", probs=probs, logits=logits)
        (given,) = broadcast_all("Geometric", **{name: probs if name == "probs" else logits})
        self.__dict__[name] = given
        super().__init__(given.shape, validate_args=validate_args)
        if self._validate_args and name == "probs" and not bool((given > 0).all()):
            raise ValueError(f"Geometric: parameter 'probs' must be above 0, got {given}")

    @lazy_property
    def logits(self) -> Tensor:
        """The log odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities of success."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return cr.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        with cr.no_grad():
            u = open_uniform(self._extended_shape(sample_shape), self.probs)
            # probs of 1: log1p is -inf, and the quotient 0
            return (u.log() / (-self.probs.double()).log1p()).floor().to(self.probs.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        failure = 1 - self.probs
        return cr.xlogy(value, failure) + self.probs.log()

    def entropy(self) -> Tensor:
        return F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
