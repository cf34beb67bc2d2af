"""Exponential families, whose entropies follow from their normalisers."""

from __future__ import annotations

from chainrule.distributions.distribution import Distribution


class ExponentialFamily(Distribution):
    """Base class of distributions of the form ``exp(t(x) . theta - F(theta) + k(x))``; a mark, as in ``isinstance``.

    Example:
        >>> from chainrule.distributions import Normal
        >>> isinstance(Normal(0.0, 1.0), ExponentialFamily)
        True
    """
