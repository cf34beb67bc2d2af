"""The gamma distribution as a function of its shape: its quantiles, and how they move.

Quantiles are those of ``log(X)``: for small shapes X itself underflows, its logarithm does not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal, special

#: places and weights of the double-exponential rule ``w = exp(t - exp(-t))`` for integrals over w > 0 of functions that
#: decay like exp(-w): Takahasi and Mori (1974), "Double exponential formulas for numerical integration", section 4.
#: With this step the relative error is below 1e-10 for shapes from 0.001 on.
_STEP = 1 / 16
_PLACES = [math.exp(t - math.exp(-t)) for t in np.arange(-52, 68) * _STEP]
_WEIGHTS = [w * (1 + math.exp(-t)) * _STEP for w, t in zip(_PLACES, np.arange(-52, 68) * _STEP, strict=True)]


def _log_density(xp: Any, a: Any, y: Any) -> Any:
    """The logarithm of the density at ``y`` of the logarithm of a gamma variable of shape ``a``."""
    return a * y - xp.exp(y) - xp.lgamma(a)


def _cumulants(xp: Any, a: Any, order: int) -> list[Any]:
    """Minus the first ``order`` derivatives of ``log(gamma(a))``."""
    return [-xp.polygamma_of_order(a, n=i) for i in range(order)]


def _derivative_over_density(y: Any, cumulants: list[Any]) -> Any:
    """The derivative of the density (``_log_density``) by the shape, of order ``len(cumulants)``, over the density.

    The first derivative of its logarithm is ``y - digamma(a)``, the others do not depend on y; those of the density
    itself follow by the complete Bell polynomials.
    """
    of_logarithm = [y + cumulants[0], *cumulants[1:]]
    bell: list[Any] = [1.0]
    for n in range(len(cumulants)):
        terms = [math.comb(n, i) * (of_logarithm[i] * bell[n - i]) for i in range(n + 1)]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        bell.append(total)
    return bell[-1]


def _by_shape(xp: Any, g: Any, x: Any, y: Any, out: Any, n: int) -> Any:
    return g * (xp.gamma_shape_ratio(x, y, n=n + 1) - out * (y - xp.polygamma_of_order(x, n=0)))


def _by_bound(xp: Any, g: Any, x: Any, y: Any, out: Any, n: int) -> Any:
    return g * (_derivative_over_density(y, _cumulants(xp, x, n)) - out * (x - xp.exp(y)))


def _samples(rng: Any, **attributes: Any) -> list[Sample]:
    pairs = [((3,), (3,)), ((2, 1), (1, 3)), ((), ()), ((0, 3), (3,))]
    return [
        Sample((normal(rng, *a, low=0.4, high=3.0), normal(rng, *b, low=-2.0, high=1.5)), attributes) for a, b in pairs
    ]


@op(
    vjp={"x": _by_shape, "y": _by_bound},
    check=Samples(lambda rng: [*_samples(rng, n=1), *_samples(rng, n=2)]),
    harmonise=True,
    floating=True,
    broadcasts=True,
    label="gamma_shape_ratio",
)
def gamma_shape_ratio(xp, x, y, *, n):
    """The ``n``-th derivative of ``igamma(x, exp(y))`` by ``x``, over its derivative by ``y``.

    With x the shape and y the logarithm of the bound, it is the integral up to y of the n-th derivative of the density
    of ``log(X)`` by the shape, over that density. It is computed as that, by quadrature: from y down where the bound
    is below the mean or below 1, else from y up (with a minus: over the whole line the integral is 0).
    """
    shape, log_bound = xp.astype(x, np.float64), xp.astype(y, np.float64)
    bound = xp.exp(log_bound)
    down = bound <= xp.maximum(shape, xp.ones_like(shape))
    side = xp.where(down, -1.0, 1.0)
    # how far the integrand reaches
    width = 1.0 / xp.where(bound <= 1, shape, xp.abs(shape - bound) + xp.sqrt(bound))
    cumulants = _cumulants(xp, shape, n)
    total = 0.0
    for place, weight in zip(_PLACES, _WEIGHTS, strict=True):
        step = side * (width * place)
        density = xp.exp(shape * step - bound * xp.expm1(step))
        total = total + density * _derivative_over_density(log_bound + step, cumulants) * weight
    return xp.astype(-side * width * total, x.dtype)


@op(
    vjp={
        "x": lambda xp, g, x, out: -g * xp.gamma_shape_ratio(x, out, n=1),
        "y": lambda xp, g, x, out: g * xp.exp(-_log_density(xp, x, out)),
    },
    check=Samples(
        lambda rng: [
            Sample((normal(rng, *a, low=0.4, high=4.0), normal(rng, *b, low=0.1, high=0.9)))
            for a, b in [((3,), (3,)), ((2, 1), (1, 3)), ((), ()), ((0, 3), (3,))]
        ],
        reference=lambda a, u: np.log(special.gammaincinv(a, u)),
        special=[(1e-3, 0.5), (0.01, 0.1), (50.0, 0.999)],
    ),
    harmonise=True,
    floating=True,
    broadcasts=True,
    label="log_gamma_quantile",
)
def log_gamma_quantile(xp, x, y):
    """The logarithm of the quantile at probability ``y`` of the gamma distribution of shape ``x`` and rate 1.

    At a fixed y it moves with the shape by ``-(dP/dx) / (dP/dquantile)``: the implicit reparameterisation of Figurnov,
    Mohamed and Mnih (2018), "Implicit Reparameterization Gradients".
    """
    shape, probability = xp.astype(x, np.float64), xp.astype(y, np.float64)
    quantile = xp.igamma_inverse(shape, probability)
    # near 0 the distribution function is quantile**shape / gamma(shape + 1): exact here, and free of underflow
    small = quantile < 1e-50
    near_zero = (xp.log(probability) + xp.lgamma(shape + 1.0)) / shape
    return xp.astype(xp.where(small, near_zero, xp.log(xp.where(small, xp.ones_like(quantile), quantile))), x.dtype)
