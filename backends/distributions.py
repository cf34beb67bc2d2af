"""How random bits become numbers of other distributions; see ``random.py`` for uniforms and normals.

As there, every draw is a pure function of key, stream, shape and dtype, and changing a definition changes every
seeded result. All of these invert a distribution function at u, which is one number in (0, 1) for each element: (the
top 52 bits of a word + 1/2) / 2**52, exact in float64, never 0 and never 1. They are computed in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.backends.base import Backend


def open_uniform(backend: Backend, key: int, stream: int, shape: tuple[int, ...]) -> Any:
    """Uniform float64 numbers in (0, 1), symmetric about 1/2.

    Example:
        >>> from chainrule.backends import backend_for
        >>> open_uniform(backend_for("cpu"), 0, 0, (2,))
        array([0.01154675, 0.2415492 ])
    """
    words = backend.random_bits(key, stream, math.prod(shape))
    words >>= np.uint64(12)
    numbers = words.view(np.int64).astype(np.float64)
    numbers += 0.5
    numbers *= 2.0**-52
    return numbers.reshape(shape)


def exponential(backend: Backend, key: int, stream: int, shape: tuple[int, ...], rate: float = 1.0) -> Any:
    """Exponential numbers: ``-log(u) / rate``.

    Example:
        >>> from chainrule.backends import backend_for
        >>> bool((exponential(backend_for("cpu"), 0, 0, (100,)) > 0).all())
        True
    """
    return backend.asarray(backend.xp.log(open_uniform(backend, key, stream, shape)) / -rate)


def cauchy(backend: Backend, key: int, stream: int, shape: tuple[int, ...], median: float, sigma: float) -> Any:
    """Cauchy numbers: ``median + sigma * tan(pi * (u - 1/2))``.

    Example:
        >>> from chainrule.backends import backend_for
        >>> cauchy(backend_for("cpu"), 0, 0, (2,), 0.0, 1.0).shape
        (2,)
    """
    angle = (open_uniform(backend, key, stream, shape) - 0.5) * math.pi
    return backend.asarray(backend.xp.tan(angle) * sigma + median)


def geometric(backend: Backend, key: int, stream: int, shape: tuple[int, ...], p: float) -> Any:
    """The number of trials up to the first success: ``ceil(log(u) / log(1 - p))``, at least 1.

    Example:
        >>> from chainrule.backends import backend_for
        >>> bool((geometric(backend_for("cpu"), 0, 0, (100,), 0.9) >= 1).all())
        True
    """
    xp = backend.xp
    trials = xp.ceil(xp.log(open_uniform(backend, key, stream, shape)) / math.log1p(-p))
    return backend.asarray(xp.maximum(trials, xp.asarray(1.0)))


# ---- counts: the least k whose distribution function reaches u, found by bisection ----------------------------------


def _invert(xp: Any, reached: Any, arrays: tuple[Any, ...], low: Any, high: Any, guess: Any) -> Any:
    """For each element the least k in (low, high] for which ``reached(k, *arrays)``; it is reached at ``high``.

    The search begins at a guess and goes on beside it; what is still open then is bisected. All arrays are 1-d.
    """
    probes = 0
    found, open_ = high, None  # the numbers of the elements that are still open; None: all
    while low.size:
        middle = xp.floor((low + high) * 0.5)
        if probes == 0:
            middle = xp.where((guess > low) & (guess < high), guess, middle)
        elif probes == 1:  # high or low is where the first probe was
            middle = xp.where(high == guess, high - 1.0, xp.where(low == guess, low + 1.0, middle))
        inside = (middle > low) & (middle < high)
        above = reached(xp.where(inside, middle, high), *arrays) | ~inside
        low, high = xp.where(above, low, middle), xp.where(above & inside, middle, high)
        probes += 1
        wide = high - low > 1.0
        # beyond 2**53 there may be no number between the two
        rest = xp.nonzero(wide if probes < 3 else wide & inside)[0]
        found = high if open_ is None else xp.put(found, open_, high)
        open_ = rest if open_ is None else open_[rest]
        low, high, guess = low[rest], high[rest], guess[rest]
        arrays = tuple([a[rest] for a in arrays])
    return found


def _guess(xp: Any, u: Any, mean: Any, deviation: Any, skew: Any) -> Any:
    """About where a distribution function on the integers reaches u: the first terms of Cornish and Fisher's series."""
    z = xp.ndtri(u)
    return xp.ceil(mean + deviation * z + skew * (z * z - 1.0) * (1.0 / 6.0) - 0.5)


def poisson(backend: Backend, key: int, stream: int, rate: Any) -> Any:
    """Poisson numbers for an array of rates: the least k with ``P(X <= k) = Q(k + 1, rate) >= u``.

    Q is the regularized upper incomplete gamma function.

    Example:
        >>> from chainrule.backends import backend_for
        >>> poisson(backend_for("cpu"), 0, 0, np.zeros(3))
        array([0., 0., 0.])
    """
    xp = backend.xp
    rate = backend.asarray(xp.astype(rate, np.float64))
    u = open_uniform(backend, key, stream, rate.shape)
    # u stays 2**-53 away from 1, less than ten standard deviations of a normal; for small rates 40 is that far
    reach = 10.0 * xp.sqrt(rate) + 40.0
    low = xp.maximum(xp.floor(rate - reach), xp.asarray(-1.0))
    # low + 1 may be 0: k = -1 is below every result, and is never asked for
    guess = _guess(xp, u, rate, xp.sqrt(rate), 1.0)
    flat = [xp.reshape(a, (-1,)) for a in (u, rate, low, xp.ceil(rate + reach), guess)]
    found = _invert(xp, lambda k, u, rate: xp.igammac(k + 1.0, rate) >= u, tuple(flat[:2]), *flat[2:])
    found = xp.reshape(found, rate.shape)
    return backend.asarray(xp.where(rate > 0, found, xp.zeros_like(found)))


def binomial(backend: Backend, key: int, stream: int, count: Any, p: Any) -> Any:
    """Binomial numbers for arrays of counts and probabilities: the least k with ``P(X <= k) >= u``.

    ``P(X <= k)`` is the regularized incomplete beta function of 1 - p with n - k and k + 1.

    Example:
        >>> from chainrule.backends import backend_for
        >>> binomial(backend_for("cpu"), 0, 0, np.array([5.0, 5.0]), np.array([0.0, 1.0]))
        array([0., 5.])
    """
    xp = backend.xp
    count, p = xp.astype(count, np.float64), xp.astype(p, np.float64)
    count, p = backend.asarray(count), backend.asarray(p)
    u = open_uniform(backend, key, stream, count.shape)
    inside = (p > 0) & (p < 1) & (count > 0)
    n, q = xp.where(inside, count, xp.ones_like(count)), xp.where(inside, 1.0 - p, xp.full_like(p, 0.5))

    def reached(k: Any, u: Any, n: Any, q: Any) -> Any:
        return (k >= n) | (xp.betainc(xp.maximum(n - k, xp.asarray(1.0)), k + 1.0, q) >= u)

    reach = 10.0 * xp.sqrt(n * q * (1.0 - q)) + 40.0
    mean = n * (1.0 - q)
    low = xp.maximum(xp.floor(mean - reach), xp.asarray(-1.0))
    guess = _guess(xp, u, mean, xp.sqrt(mean * q), 2.0 * q - 1.0)
    flat = [xp.reshape(a, (-1,)) for a in (u, n, q, low, xp.minimum(xp.ceil(mean + reach), n), guess)]
    found = xp.reshape(_invert(xp, reached, tuple(flat[:3]), *flat[3:]), count.shape)
    return backend.asarray(xp.where(inside, found, xp.where(p >= 1, count, xp.zeros_like(count))))


# ---- categories -----------------------------------------------------------------------------------------------------


def categories(backend: Backend, key: int, stream: int, weights: Any, count: int, replacement: bool) -> Any:
    """``count`` indices for each row of float64 weights (R, N), drawn in proportion to them: int64 (R, count).

    With replacement, the first index whose running sum of weights exceeds u times their sum. Without, the indices of
    the smallest ``-log(u) / weight``, one u for each category, in order: exponential numbers of those rates race, and
    the next to arrive is distributed as the next draw (each time among those that are left).

    Example:
        >>> from chainrule.backends import backend_for
        >>> categories(backend_for("cpu"), 0, 0, np.array([[0.0, 1.0, 0.0]]), 3, True)
        array([[1, 1, 1]])
    """
    xp = backend.xp
    rows, n = weights.shape
    if not replacement:
        arrival = xp.where(
            weights > 0,
            exponential(backend, key, stream, (rows, n)) / xp.where(weights > 0, weights, xp.ones_like(weights)),
            xp.full_like(weights, math.inf),
        )
        return backend.asarray(xp.argsort(arrival, axis=1)[:, :count])
    sums = xp.cumulative_sum(weights, axis=1)
    places = xp.where(weights > 0, xp.reshape(xp.arange(n), (1, n)), xp.zeros((1, n), dtype=np.int64))
    last = xp.max(places, axis=1, keepdims=True)  # rounding must not lead behind the last possible category
    targets = open_uniform(backend, key, stream, (rows, count)) * sums[:, -1:]
    return backend.asarray(xp.minimum(xp.bisect(sums, targets, side="right"), last))
