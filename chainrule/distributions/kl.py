"""Kullback-Leibler divergences, by pairs of families.

Where the two families differ, the divergence is ``-entropy(p) - E[log q(X)]`` for X of p, and what q needs are moments
of p: those are spelled out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions.arguments import sum_rightmost
from chainrule.distributions.bernoulli import Bernoulli
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.counts import Binomial, Geometric, Poisson
from chainrule.distributions.dirichlet import Beta, Dirichlet
from chainrule.distributions.distribution import Distribution
from chainrule.distributions.exponential import Exponential, Laplace
from chainrule.distributions.gamma import Gamma
from chainrule.distributions.heavy_tails import Cauchy, Gumbel
from chainrule.distributions.independent import Independent
from chainrule.distributions.multivariate_normal import MultivariateNormal, half_log_determinant, mahalanobis
from chainrule.distributions.normal import Normal
from chainrule.distributions.one_hot_categorical import OneHotCategorical
from chainrule.distributions.transformed_distribution import HalfNormal, TransformedDistribution
from chainrule.distributions.uniform import Uniform
from chainrule.nn import functional as F

Rule = Callable[[Any, Any], Tensor]
_RULES: dict[tuple[type, type], Rule] = {}
_EULER = 0.5772156649015329


def register_kl(type_p: type, type_q: type) -> Callable[[Rule], Rule]:
    """Decorator: the function gives the divergence of two distributions of these classes (or of subclasses).

    Raises:
        TypeError: an argument is no subclass of Distribution.

    Example:
        >>> from chainrule.distributions import Distribution
        >>> class Point(Distribution):
        ...     pass
        >>> @register_kl(Point, Point)
        ... def point(p, q):
        ...     return cr.zeros(())
        >>> kl_divergence(Point(), Point())
        tensor(0.)
    """
    for name, given in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(given, type) and issubclass(given, Distribution)):
            raise TypeError(f"register_kl: {name} must be a subclass of Distribution, got {given!r}")

    def register(rule: Rule) -> Rule:
        _RULES[type_p, type_q] = rule
        return rule

    return register


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The divergence ``E[log p(X) - log q(X)]`` for X of p, of shape ``batch_shape``.

    Raises:
        NotImplementedError: no formula is registered for the two classes.

    Example:
        >>> from chainrule.distributions import Normal
        >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
        tensor(0.5000)
    """
    for type_p in type(p).__mro__:
        for type_q in type(q).__mro__:
            if (type_p, type_q) in _RULES:
                return _RULES[type_p, type_q](p, q)
    raise NotImplementedError(
        f"kl_divergence: no formula is known for {type(p).__name__} and {type(q).__name__}; register one with "
        "register_kl, or estimate the mean of p.log_prob(x) - q.log_prob(x) over samples x of p"
    )


# ---- one family -----------------------------------------------------------------------------------------------------


def _times_log_ratio(weight: Tensor, log_p: Tensor, log_q: Tensor, never_q: Tensor) -> Tensor:
    """``weight * (log_p - log_q)``: 0 where the weight is 0, else infinite where q gives probability 0."""
    possible = weight > 0
    difference = cr.where(possible & ~never_q, log_p - log_q, 0.0)  # no infinity that a 0 would make NaN
    return cr.where(possible & never_q, math.inf, weight * difference)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    yes = _times_log_ratio(p.probs, -F.softplus(-p.logits), -F.softplus(-q.logits), q.probs == 0)
    return yes + _times_log_ratio(1 - p.probs, -F.softplus(p.logits), -F.softplus(q.logits), q.probs == 1)


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if bool((p.total_count < q.total_count).any()):
        raise NotImplementedError("kl_divergence: of two Binomials the second must not have the larger total_count")
    one = _bernoulli(Bernoulli(p.probs, validate_args=False), Bernoulli(q.probs, validate_args=False))
    return cr.where(p.total_count > q.total_count, math.inf, p.total_count * one)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    return _times_log_ratio(p.probs, p.logits, q.logits, q.probs == 0).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(p._categorical, q._categorical)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    mean_logs = a.digamma() - total.digamma().unsqueeze(-1)
    normalisers = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    return normalisers + ((a - b) * mean_logs).sum(-1)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    return _dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log()
        + b.lgamma()
        - a.lgamma()
        + (a - b) * a.digamma()
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio, shift = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return shift - ratio.log() + ratio * _EULER + ((1 + ratio).lgamma() - shift).exp() - (1 + _EULER)


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: HalfNormal, q: HalfNormal) -> Tensor:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, distance = p.scale / q.scale, (p.loc - q.loc).abs()
    return distance / q.scale + ratio * (-distance / p.scale).exp() - 1 - ratio.log()


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: MultivariateNormal, q: MultivariateNormal) -> Tensor:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"kl_divergence: the MultivariateNormals have event shapes {tuple(p.event_shape)} and "
            f"{tuple(q.event_shape)}, which must be equal"
        )
    n = p.event_shape[0]
    volumes = half_log_determinant(q._factor) - half_log_determinant(p._factor)
    relative = cr.linalg.solve_triangular(q._factor, p._factor, upper=False)
    trace = relative.square().sum((-2, -1))
    return volumes + 0.5 * (trace + mahalanobis(q._factor, q.loc - p.loc) - n)


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return cr.xlogy(p.rate, p.rate) - cr.xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    outside = (q.low > p.low) | (q.high < p.high)
    return cr.where(outside, math.inf, ((q.high - q.low) / (p.high - p.low)).log())


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    return ((p.scale + q.scale).square() + (p.loc - q.loc).square()).log() - (4 * p.scale * q.scale).log()


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError(
            f"kl_divergence: the Independents reinterpret {p.reinterpreted_batch_ndims} and "
            f"{q.reinterpreted_batch_ndims} dimensions, which must be equal"
        )
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError("kl_divergence: two TransformedDistributions must have the same transforms and event")
    return kl_divergence(p.base_dist, q.base_dist)  # the same function of both changes nothing


# ---- two families: -entropy(p) - E[log q(X)] ------------------------------------------------------------------------


def _mean_log(p: Any) -> Tensor:
    """``E[log X]`` of a positive variable."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -p.rate.log() - _EULER
    return (cr.xlogy(p.high, p.high) - cr.xlogy(p.low, p.low)) / (p.high - p.low) - 1  # Uniform


def _only(possible: Tensor, divergence: Callable[[Uniform], Tensor], p: Uniform) -> Tensor:
    """The divergence where p lies inside the support of q, elsewhere infinite."""
    low, high = cr.where(possible, p.low, 0.25), cr.where(possible, p.high, 0.75)  # any numbers without a NaN
    return cr.where(possible, divergence(Uniform(low, high, validate_args=False)), math.inf)


def _to_normal(p: Any, q: Normal) -> Tensor:
    mean_square = p.variance + (p.mean - q.loc).square()
    return -p.entropy() + 0.5 * (2 * math.pi * q.variance).log() + mean_square / (2 * q.variance)


def _to_exponential(p: Any, q: Exponential) -> Tensor:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


def _to_gamma(p: Any, q: Gamma) -> Tensor:
    a = q.concentration
    return -p.entropy() - a * q.rate.log() + a.lgamma() - (a - 1) * _mean_log(p) + q.rate * p.mean


for _family in (Beta, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(_family, Normal)(_to_normal)
for _family in (Beta, Gamma):
    register_kl(_family, Exponential)(_to_exponential)
for _family in (Beta, Exponential):
    register_kl(_family, Gamma)(_to_gamma)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Uniform, q: Exponential) -> Tensor:
    return _only(p.low >= 0, lambda inside: _to_exponential(inside, q), p)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Uniform, q: Gamma) -> Tensor:
    return _only(p.low >= 0, lambda inside: _to_gamma(inside, q), p)


@register_kl(Uniform, Beta)
def _uniform_beta(p: Uniform, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0

    def divergence(inside: Uniform) -> Tensor:
        mirrored = Uniform(1 - inside.high, 1 - inside.low, validate_args=False)
        normaliser = a.lgamma() + b.lgamma() - (a + b).lgamma()
        return -inside.entropy() + normaliser - (a - 1) * _mean_log(inside) - (b - 1) * _mean_log(mirrored)

    return _only((p.low >= 0) & (p.high <= 1), divergence, p)


@register_kl(Beta, Uniform)
def _beta_uniform(p: Beta, q: Uniform) -> Tensor:
    return cr.where((q.low > 0) | (q.high < 1), math.inf, -p.entropy() + (q.high - q.low).log())


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return -p.entropy() - cr.xlogy(p.probs, q.rate) + q.rate


def _to_gumbel(p: Any, q: Gumbel, log_mean_exp: Tensor) -> Tensor:
    """``log_mean_exp`` is ``log E[exp(-X / scale)]``."""
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + (q.loc / q.scale + log_mean_exp).exp()


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Normal, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, (p.scale / q.scale).square() / 2 - p.loc / q.scale)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Exponential, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, -(1 / (p.rate * q.scale)).log1p())


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Gamma, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, -p.concentration * (1 / (p.rate * q.scale)).log1p())


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Uniform, q: Gumbel) -> Tensor:
    width = (p.high - p.low) / q.scale
    return _to_gumbel(p, q, -p.low / q.scale + (-(-width).expm1() / width).log())


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    shift = p.loc - q.loc
    relative = shift / p.scale
    distance = p.scale * math.sqrt(2 / math.pi) * (-0.5 * relative.square()).exp() + shift * (
        relative / math.sqrt(2)
    ).erf()
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale


def _infinite(p: Distribution, q: Distribution) -> Tensor:
    """p gives values that q never does."""
    like = next(v for d in (p, q) for v in vars(d).values() if isinstance(v, Tensor))
    shape = cr.broadcast_shapes(p.batch_shape, q.batch_shape)
    return cr.full(tuple(shape), math.inf, dtype=like.dtype, device=like.device)


_WIDER: list[tuple[tuple[type, ...], tuple[type, ...]]] = [
    ((Gumbel, Laplace, Normal), (Beta, Exponential, Gamma, Uniform)),
    ((Exponential, Gamma), (Beta, Uniform)),
    ((Poisson,), (Bernoulli, Binomial)),
]
for _wide, _narrow in _WIDER:
    for _type_p in _wide:
        for _type_q in _narrow:
            register_kl(_type_p, _type_q)(_infinite)
