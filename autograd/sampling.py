"""Samples of distributions with PyTorch's names, and the draws that fill a tensor in place.

A sample depends on its parameters, but not smoothly: as in PyTorch it requires grad where they do, and gives them a
gradient of zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.inplace import _check_writable, _records
from chainrule.autograd.modes import no_grad
from chainrule.autograd.op import op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.shape import integers
from chainrule.autograd.public import function, method_only
from chainrule.autograd.random import Generator, _draw, _floating, _numbers, default_generator, randn
from chainrule.autograd.runtime import cast, describe, wrap
from chainrule.autograd.samples import Sample, Samples
from chainrule.autograd.samples import normal as spread_values
from chainrule.autograd.tensor import Tensor
from chainrule.backends import distributions
from chainrule.backends import random as definitions


@op(
    vjp={"x": lambda xp, g: xp.zeros_like(g)},
    check=Samples(
        lambda rng: [Sample((spread_values(rng, 2, 3), spread_values(rng, 2, 3)))], reference=lambda x, y: y
    ),
    arithmetic=False,
    label="sample",
)
def sample_of(xp: Any, x: Any, y: Any) -> Any:
    """The sample ``y``, drawn with the parameters ``x`` (of the same shape), which get a gradient of zero."""
    return xp.copy(y)


def _sample(parameters: Tensor, drawn: Any) -> Tensor:
    """What was drawn, in the dtype of the parameters and recorded where they are."""
    device = parameters._device
    sample = wrap(device.xp.astype(device.asarray(drawn, None), parameters._data.dtype), device)
    return xp_of_tensors.sample_of(parameters, sample) if parameters.requires_grad else sample


def _all(values: Any) -> bool:
    return not values.size or bool(values.all())


def _need_floats(caller: str, name: str, t: Any) -> None:
    if not isinstance(t, Tensor):
        raise TypeError(f"{caller}: argument {name!r} must be a Tensor, got {describe(t)}")
    if dtypes.category(t._data.dtype) != 2:
        raise RuntimeError(f"{caller}: argument {name!r} must be a floating-point tensor, got {t.dtype}")


# ---- new tensors ----------------------------------------------------------------------------------------------------


@function()
def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element gives (or ``p``), else 0.

    Raises RuntimeError when a probability is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> cr.bernoulli(cr.tensor([0.0, 1.0]))
        tensor([0., 1.])
    """
    probability: Any = input._data if p is None else p
    if p is None:
        _need_floats("bernoulli", "input", input)
    if not _all((probability >= 0) & (probability <= 1) if p is None else np.asarray(0 <= probability <= 1)):
        raise RuntimeError(f"bernoulli: probabilities must be in [0, 1]{'' if p is None else f', got {p}'}")
    drawn = _draw(definitions.bernoulli, input._device, tuple(input._data.shape), generator, probability)
    return _sample(input, drawn)


def _spread(std: Any) -> None:
    negative = not _all(std._data >= 0) if isinstance(std, Tensor) else std < 0
    if negative:
        raise RuntimeError(f"normal: std must not be negative, got {'a tensor' if isinstance(std, Tensor) else std}")


@function(method=False)
def normal(
    mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, **options: Any
) -> Tensor:
    """Normal random numbers of the given mean and standard deviation (numbers with a size, or tensors).

    Raises RuntimeError when a standard deviation is negative.

    Example:
        >>> import chainrule as cr
        >>> cr.normal(cr.zeros(3), 1.0).shape
        (3,)
    """
    _spread(std)
    tensors = [v for v in (mean, std) if isinstance(v, Tensor)]
    if size is None and not tensors:
        raise TypeError("normal: expected a size, or tensors for mean or std")
    if not tensors:
        return randn(*integers("normal", (size,)), generator=generator, **options) * std + mean
    for name, t in (("mean", mean), ("std", std)):
        if isinstance(t, Tensor):
            _need_floats("normal", name, t)
    shape = np.broadcast_shapes(*[t._data.shape for t in tensors]) if size is None else integers("normal", (size,))
    dtype = tensors[0]._data.dtype if len(tensors) == 1 else dtypes.promote(mean._data.dtype, std._data.dtype)
    options = {"dtype": dtype, "device": tensors[0]._device, **options}
    with no_grad():
        drawn = randn(*shape, generator=generator, **options) * std + mean
    if not any(t.requires_grad for t in tensors):
        return drawn
    parameters = tensors[0] if len(tensors) == 1 else tensors[0] + tensors[1]
    parameters = cast(xp_of_tensors.broadcast_to(parameters, shape=tuple(shape)), drawn._data.dtype)
    return xp_of_tensors.sample_of(parameters, drawn)


@function(method=False)
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson random numbers, whose rates are the elements of ``input``.

    Raises RuntimeError when a rate is negative or not finite.

    Example:
        >>> import chainrule as cr
        >>> cr.poisson(cr.tensor([0.0, 0.0]))
        tensor([0., 0.])
    """
    _need_floats("poisson", "input", input)
    if not _all((input._data >= 0) & (input._data < math.inf)):
        raise RuntimeError("poisson: the rates must be finite and not negative")
    key, stream = (default_generator if generator is None else generator).next_stream()
    with input._device.backend.device_context(input._device.index or 0):
        drawn = distributions.poisson(input._device.backend, key, stream, input._data)
    return _sample(input, drawn)


@function(method=False)
def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of ``count`` trials succeed, each with probability ``prob``; the two broadcast.

    Raises RuntimeError for negative counts and for probabilities outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> cr.binomial(cr.tensor([5.0, 5.0]), cr.tensor([0.0, 1.0]))
        tensor([0., 5.])
    """
    _need_floats("binomial", "count", count)
    _need_floats("binomial", "prob", prob)
    if count._data.dtype != prob._data.dtype:
        raise RuntimeError(f"binomial: expected one dtype, got count of {count.dtype} and prob of {prob.dtype}")
    if not _all((count._data >= 0) & (count._data < math.inf)):
        raise RuntimeError("binomial: the counts must be finite and not negative")
    if not _all((prob._data >= 0) & (prob._data <= 1)):
        raise RuntimeError("binomial: the probabilities must be in [0, 1]")
    shape = np.broadcast_shapes(count._data.shape, prob._data.shape)
    n, p = [xp_of_tensors.broadcast_to(t, shape=shape) for t in (count, prob)]
    key, stream = (default_generator if generator is None else generator).next_stream()
    with p._device.backend.device_context(p._device.index or 0):
        trials = p._device.xp.floor(n._data)
        drawn = distributions.binomial(p._device.backend, key, stream, trials, p._data)
    return _sample(p, drawn)


@function()
def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn from each row of ``input`` in proportion to its elements: (num_samples) or (rows, num_samples).

    Args:
        replacement: whether an index may be drawn twice.

    Raises RuntimeError for weights that are negative, not finite or sum to 0, and for more draws than categories of a
    positive weight without replacement.

    Example:
        >>> import chainrule as cr
        >>> cr.multinomial(cr.tensor([0.0, 1.0, 0.0]), 2, replacement=True)
        tensor([1, 1])
    """
    _need_floats("multinomial", "input", input)
    if input._data.ndim not in (1, 2) or not input._data.shape[-1]:
        raise RuntimeError(f"multinomial: expected a 1-d or 2-d tensor of weights, got a {describe(input)}")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: num_samples must be positive, got {num_samples}")
    if num_samples > input._data.shape[-1] and not replacement:
        raise RuntimeError(
            f"multinomial: {num_samples} draws without replacement need as many categories, got a {describe(input)}"
        )
    xp, backend = input._device.xp, input._device.backend
    weights = xp.astype(input._data, np.float64)
    weights = xp.reshape(weights, (1, -1)) if weights.ndim == 1 else weights
    if not _all((weights >= 0) & (weights < math.inf)):
        raise RuntimeError("multinomial: the weights must be finite and not negative")
    possible = xp.sum(xp.astype(weights > 0, np.int64), axis=1)
    if not _all(possible > 0):
        raise RuntimeError("multinomial: the weights of a row must not all be 0")
    if not replacement and not _all(possible >= num_samples):
        raise RuntimeError(
            f"multinomial: {num_samples} draws without replacement need as many positive weights in every row"
        )
    key, stream = (default_generator if generator is None else generator).next_stream()
    with backend.device_context(input._device.index or 0):
        drawn = distributions.categories(backend, key, stream, weights, num_samples, bool(replacement))
    shape = (*input._data.shape[:-1], num_samples)
    return wrap(xp.reshape(xp.astype(drawn, np.int64), shape), input._device)


# ---- in place -------------------------------------------------------------------------------------------------------


def _fill(caller: str, t: Tensor, drawn: Any) -> Tensor:
    """``drawn`` in the place of the elements of ``t``, which keep no gradient from before."""
    _check_writable(caller, t, _records(t, ()))
    device = t._device
    return t.copy_(wrap(device.xp.astype(device.asarray(drawn, None), t._data.dtype), device))


@method_only()
def uniform_(self: Tensor, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Uniform random numbers in [a, b) in the place of every element; of complex ones, of both parts."""
    if not a <= b:
        raise RuntimeError(f"uniform_: expected a <= b, got a={a}, b={b}")
    if self.is_complex():
        array = _numbers("rand", self._device, tuple(self._data.shape), generator, self.dtype)
        return _fill("uniform_", self, (wrap(array, self._device) * (b - a) + complex(a, a))._data)
    dtype = _floating("uniform_", self.dtype)
    array = _draw(definitions.uniform, self._device, tuple(self._data.shape), generator, dtype)
    return _fill("uniform_", self, (wrap(array, self._device) * (b - a) + a)._data)


@method_only()
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Normal random numbers in the place of every element."""
    if std < 0:
        raise RuntimeError(f"normal_: std must not be negative, got {std}")
    array = _numbers("randn", self._device, tuple(self._data.shape), generator, self.dtype)
    return _fill("normal_", self, (wrap(array, self._device) * std + mean)._data)


@method_only()
def log_normal_(self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None) -> Tensor:
    """The exponential of normal random numbers of that mean and standard deviation in the place of every element."""
    if not std > 0:
        raise RuntimeError(f"log_normal_: std must be positive, got {std}")
    _floating("log_normal_", self.dtype)
    array = _draw(definitions.normal, self._device, tuple(self._data.shape), generator, np.float64)
    return _fill("log_normal_", self, self._device.xp.exp(array * std + mean))


@method_only()
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Exponential random numbers of rate ``lambd`` in the place of every element."""
    if not lambd > 0:
        raise RuntimeError(f"exponential_: lambd must be positive, got {lambd}")
    _floating("exponential_", self.dtype)
    array = _draw(distributions.exponential, self._device, tuple(self._data.shape), generator, lambd)
    return _fill("exponential_", self, array)


@method_only()
def cauchy_(self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Cauchy random numbers in the place of every element."""
    if not sigma > 0:
        raise RuntimeError(f"cauchy_: sigma must be positive, got {sigma}")
    _floating("cauchy_", self.dtype)
    array = _draw(distributions.cauchy, self._device, tuple(self._data.shape), generator, median, sigma)
    return _fill("cauchy_", self, array)


@method_only()
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """The number of trials up to the first success, of probability ``p``, in the place of every element."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_: p must be in (0, 1), got {p}")
    if dtypes.category(self._data.dtype) not in (1, 2):
        raise RuntimeError(f"geometric_: expected real numbers, got {self.dtype}")
    array = _draw(distributions.geometric, self._device, tuple(self._data.shape), generator, p)
    return _fill("geometric_", self, array)


@method_only()
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """1 with probability ``p`` (a number, or a tensor that broadcasts), else 0, in the place of every element."""
    probability = p
    if isinstance(p, Tensor):
        _need_floats("bernoulli_", "p", p)
        probability = p._device.xp.broadcast_to(p._data, tuple(self._data.shape))
    inside = _all((probability >= 0) & (probability <= 1)) if isinstance(p, Tensor) else 0 <= p <= 1
    if not inside:
        raise RuntimeError(f"bernoulli_: probabilities must be in [0, 1], got {describe(p)}")
    drawn = _draw(definitions.bernoulli, self._device, tuple(self._data.shape), generator, probability)
    return _fill("bernoulli_", self, drawn)


@method_only()
def random_(self: Tensor, *bounds: Any, generator: Generator | None = None, **named: Any) -> Tensor:
    """Random integers in the place of every element: ``random_()``, ``random_(to)``, ``random_(from, to)``.

    They are in [from, to), by default from 0 to the largest number of an integer dtype, or up to which a floating
    dtype has every integer (inclusive).
    """
    if len(bounds) > 2 or not set(named) <= {"from", "to"} or (bounds and named):
        raise TypeError(f"random_: expected (to) or (from, to), got {bounds} {named or ''}")
    low, high = bounds if len(bounds) == 2 else (0, bounds[0]) if bounds else (named.get("from", 0), named.get("to"))
    dtype = self._data.dtype
    kind = dtypes.category(dtype)
    if kind == 3:
        raise RuntimeError(f"random_: expected real numbers, got {self.dtype}")
    if kind == 2:
        digits = {np.dtype(np.float64): 53, np.dtype(np.float32): 24, np.dtype(np.float16): 11}.get(dtype, 8)
        lowest, largest = -(1 << 63) if high is not None else 0, (1 << 63) - 1 if high is not None else 1 << digits
    elif kind == 0:
        lowest, largest = 0, 1
    else:
        lowest, largest = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    low, high = int(low), largest + 1 if high is None else int(high)
    if not low < high:
        raise RuntimeError(f"random_: from must be below to, got from={low}, to={high}")
    if low < lowest or high - 1 > largest:
        raise RuntimeError(f"random_: [{low}, {high}) does not fit into {self.dtype}")
    shape = tuple(self._data.shape)
    drawn = _draw(definitions.integers, self._device, shape, generator, low, high, dtype if kind == 1 else np.int64)
    return _fill("random_", self, drawn)
