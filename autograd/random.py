"""Random tensors: every draw is a pure function of the seed and the number of the call, on every device.

The definitions are in ``chainrule.backends.random``; here is the state (a seed and a call counter) and the
functions with PyTorch's names.
"""

from __future__ import annotations

import math
import os
import threading
from typing import Any

import numpy as np

from chainrule.autograd import batching, dtypes
from chainrule.autograd.creation import _finish, _on, _sizes
from chainrule.autograd.public import function
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends import distributions
from chainrule.backends import random as definitions
from chainrule.backends.devices import device as Device

_MASK = (1 << 64) - 1


class Generator:
    """A source of random numbers: a seed and the number of draws made so far.

    Args:
        device: accepted as in PyTorch; the numbers are the same on every device.

    Example:
        >>> import chainrule as cr
        >>> a, b = cr.Generator().manual_seed(1), cr.Generator().manual_seed(1)
        >>> cr.equal(cr.rand(3, generator=a), cr.rand(3, generator=b))
        True
    """

    def __init__(self, device: Any = "cpu") -> None:
        self.device = Device(device)
        self._seed = 67280421310721  # PyTorch's default seed
        self._calls = 0
        self._lock = threading.Lock()

    def manual_seed(self, seed: int) -> Generator:
        """Start again from ``seed``; returns the generator."""
        self._seed, self._calls = int(seed) & _MASK, 0
        return self

    def seed(self) -> int:
        """Start again from a seed of the operating system's randomness, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed it was started from."""
        return self._seed

    def get_state(self) -> Tensor:
        """Seed and number of draws, as an int64 tensor for :meth:`set_state`."""
        state = np.array([self._seed, self._calls], dtype=np.uint64).view(np.int64)
        return wrap(state, Device("cpu"))

    def set_state(self, state: Tensor) -> None:
        """Go on from where :meth:`get_state` was called. Raises ValueError for anything else."""
        if not isinstance(state, Tensor) or state._data.shape != (2,) or state.dtype != dtypes.int64:
            raise ValueError(f"Generator.set_state: expected what get_state() gives, got {state!r:.80}")
        seed, calls = np.asarray(state._device.backend.to_host(state._data)).view(np.uint64).tolist()
        self._seed, self._calls = int(seed), int(calls)

    def next_stream(self) -> tuple[int, int]:
        """Seed and call number of the next draw, which is counted."""
        with self._lock:
            stream = self._calls
            self._calls += 1
        return self._seed, stream


default_generator = Generator()


@function(method=False)
def manual_seed(seed: int) -> Generator:
    """Start the default generator again from ``seed``; returns it.

    Example:
        >>> import chainrule as cr
        >>> _ = cr.manual_seed(0); a = cr.rand(2)
        >>> _ = cr.manual_seed(0); cr.equal(a, cr.rand(2))
        True
    """
    return default_generator.manual_seed(seed)


@function(method=False)
def seed() -> int:
    """Start the default generator from a random seed, and return it.

    Example:
        >>> import chainrule as cr
        >>> cr.seed() >= 0
        True
    """
    return default_generator.seed()


@function(method=False)
def initial_seed() -> int:
    """The seed of the default generator.

    Example:
        >>> import chainrule as cr
        >>> _ = cr.manual_seed(5); cr.initial_seed()
        5
    """
    return default_generator.initial_seed()


@function(method=False)
def get_rng_state() -> Tensor:
    """The state of the default generator, for :func:`set_rng_state`.

    Example:
        >>> import chainrule as cr
        >>> state = cr.get_rng_state(); a = cr.rand(2); cr.set_rng_state(state)
        >>> cr.equal(a, cr.rand(2))
        True
    """
    return default_generator.get_state()


@function(method=False)
def set_rng_state(new_state: Tensor) -> None:
    """Let the default generator go on from a state.

    Example:
        >>> import chainrule as cr
        >>> state = cr.get_rng_state(); a = cr.rand(2); cr.set_rng_state(state)
        >>> cr.equal(a, cr.rand(2))
        True
    """
    default_generator.set_state(new_state)


def _floating(caller: str, dtype: Any) -> np.dtype[Any]:
    chosen = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    if not chosen.is_floating_point:
        raise TypeError(f"{caller}: expected a floating-point dtype, got {chosen}")
    return chosen.dtype


def _where(device: Any) -> Device:
    """Where random numbers are made: inside vmap, at its levels."""
    return batching.at_active_levels(_on(device)) if batching.active.levels else _on(device)


def _draw_in_vmap(
    kind: Any, device: Device, shape: tuple[int, ...], generator: Generator | None, *args: Any
) -> Any:
    """A draw for one element of the batch: the same for all, or another one for each, as vmap was told."""
    levels = batching.active.levels
    if any(level.randomness == "error" for level in levels):
        raise RuntimeError(
            "vmap: a random function was called; say what is meant by vmap(..., randomness='different') (other numbers "
            "for each element of the batch) or randomness='same'"
        )
    if any(type(a) is batching.BatchedArray for a in args):
        if kind is not definitions.bernoulli:
            raise RuntimeError("vmap: the parameters of a random function cannot differ over the batch")
        (probability,) = args
        return _draw(definitions.uniform, device, shape, generator) < probability
    different = [level for level in levels if level.randomness == "different"]  # outermost first
    base = batching.base_of(device)
    key, stream = (default_generator if generator is None else generator).next_stream()
    with base.backend.device_context(base.index or 0):
        array = kind(base.backend, key, stream, (*[level.size for level in different], *shape), *args)
    return batching.drawn(array, different, device)


def _draw(kind: Any, device: Device, shape: tuple[int, ...], generator: Generator | None, *args: Any) -> Any:
    levels = batching.active.levels
    if levels:
        return _draw_in_vmap(kind, device, shape, generator, *args)
    key, stream = (default_generator if generator is None else generator).next_stream()
    with device.backend.device_context(device.index or 0):
        return kind(device.backend, key, stream, shape, *args)


def _numbers(caller: str, device: Device, shape: tuple[int, ...], generator: Generator | None, dtype: Any) -> Any:
    """Uniform or normal numbers; complex ones are drawn as pairs of real ones."""
    kind = definitions.uniform if caller == "rand" else definitions.normal
    chosen = None if dtype is None else dtypes.as_dtype(dtype)
    if chosen is None or not chosen.is_complex:
        return _draw(kind, device, shape, generator, _floating(caller, dtype))
    real = np.dtype(np.float32 if chosen == dtypes.complex64 else np.float64)
    pairs = _draw(kind, device, (*shape, 2), generator, real)
    if kind is definitions.normal:
        pairs *= math.sqrt(0.5)
    return device.xp.complex_of_parts(pairs)


@function(method=False)
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Uniform random numbers in [0, 1); of complex dtypes both parts.

    Example:
        >>> import chainrule as cr
        >>> cr.rand(2, 3).shape
        (2, 3)
    """
    where = _where(device)
    array = _numbers("rand", where, _sizes("rand", size), generator, dtype)
    return _finish(array, where, requires_grad)


@function(method=False)
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """Normal random numbers of mean 0 and variance 1; of complex dtypes each part has variance 1/2.

    Example:
        >>> import chainrule as cr
        >>> cr.randn(2, 3).shape
        (2, 3)
    """
    where = _where(device)
    array = _numbers("randn", where, _sizes("randn", size), generator, dtype)
    return _finish(array, where, requires_grad)


@function(method=False)
def randint(
    *bounds: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    **named: Any,
) -> Tensor:
    """``randint(high, size)`` or ``randint(low, high, size)``: random integers in [low, high).

    Example:
        >>> import chainrule as cr
        >>> bool((cr.randint(3, 5, (10,)) >= 3).all())
        True
    """
    values = list(bounds)
    size = named.pop("size", None)
    if size is None and values:
        size = values.pop()
    high = named.pop("high", None)
    if high is None and values:
        high = values.pop()
    low = named.pop("low", None)
    if low is None:
        low = values.pop() if values else 0
    if named or values or high is None or size is None:
        raise TypeError(f"randint: expected (high, size) or (low, high, size), got {bounds} {named or ''}")
    if not low < high:
        raise RuntimeError(f"randint: low must be below high, got low={low}, high={high}")
    where = _where(device)
    spec = np.dtype(np.int64) if dtype is None else dtypes.as_dtype(dtype).dtype
    drawn = np.dtype(np.int64) if dtypes.category(spec) != 1 else spec
    array = _draw(definitions.integers, where, _sizes("randint", (size,)), generator, int(low), int(high), drawn)
    return _finish(where.xp.astype(array, spec) if spec != drawn else array, where, requires_grad)


@function(method=False)
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
) -> Tensor:
    """The integers 0 to n - 1 in random order.

    Example:
        >>> import chainrule as cr
        >>> sorted(cr.randperm(3).tolist())
        [0, 1, 2]
    """
    if n < 0:
        raise RuntimeError(f"randperm: n must not be negative, got {n}")
    where = _where(device)
    key, stream = (default_generator if generator is None else generator).next_stream()
    order = definitions.permutation(where.backend, key, stream, int(n))
    t = wrap(order, where)
    if dtype is not None:
        t = t.to(dtype)
    return t.requires_grad_() if requires_grad else t


def _like(name: str, make: Any) -> None:
    def like(
        input: Tensor,
        *,
        generator: Generator | None = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        layout: Any = None,
        pin_memory: bool = False,
        memory_format: Any = None,
    ) -> Tensor:
        return make(
            tuple(input._data.shape),
            generator=generator,
            dtype=input._data.dtype if dtype is None else dtype,
            device=input._device if device is None else device,
            requires_grad=requires_grad,
        )

    like.__name__ = f"{name}_like"
    like.__doc__ = f"""As :func:`{name}`, with the size, dtype and device of ``input``.

    Example:
        >>> import chainrule as cr
        >>> cr.{name}_like(cr.zeros(2)).shape
        (2,)
    """
    function(method=False)(like)


_like("rand", rand)
_like("randn", randn)


@function(method=False)
def randint_like(
    input: Tensor,
    *bounds: Any,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    layout: Any = None,
    pin_memory: bool = False,
    memory_format: Any = None,
    **named: Any,
) -> Tensor:
    """Random integers in [0, high) or [low, high), with the size, dtype and device of ``input``.

    Example:
        >>> import chainrule as cr
        >>> cr.randint_like(cr.zeros(2), 5).dtype
        chainrule.float32
    """
    spec = input._data.dtype if dtype is None else dtype
    where = input._device if device is None else device
    return randint(
        *bounds,
        size=tuple(input._data.shape),
        generator=generator,
        dtype=spec,
        device=where,
        requires_grad=requires_grad,
        **named,
    )


def keep_mask(like: Tensor, keep: float, generator: Generator | None = None) -> Tensor:
    """A bool tensor of the size of ``like``, true with probability ``keep``; for dropout."""
    device = _where(like._device)
    return wrap(_draw(definitions.keep_mask, device, tuple(like._data.shape), generator, keep), device)


def open_uniform(shape: Any, like: Tensor, generator: Generator | None = None) -> Tensor:
    """Uniform float64 numbers in (0, 1), never 0 and never 1, on the device of ``like``; to invert distributions."""
    device = _where(like._device)
    return wrap(_draw(distributions.open_uniform, device, tuple(shape), generator), device)
