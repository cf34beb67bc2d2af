"""How random bits become numbers: one definition for all backends.

Every draw names a ``key`` (the seed) and a ``stream`` (the number of the call), and is a pure function of
the two, its shape and its dtype. The bits are :meth:`Backend.random_bits`. Uniforms, masks, integers and
permutations are the same on every backend bit for bit; normals up to the rounding of ``log``, ``sqrt``,
``cos`` and ``sin``. Changing a definition changes every seeded result: do not.

A 64-bit word is used in parts, lowest first (their order in memory on little-endian machines):
quarters of 16 bits, halves of 32 bits.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from chainrule.backends.base import Backend

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)

#: dtype -> (unsigned part of a word, the same signed, bits used of it). As many bits as the significand
#: has, so that every value is exact and 1.0 cannot come out of rounding.
_PARTS: dict[np.dtype[Any], tuple[Any, Any, int]] = {
    np.dtype(np.float64): (np.uint64, np.int64, 53),
    np.dtype(np.float32): (np.uint32, np.int32, 24),
    np.dtype(np.float16): (np.uint16, np.int16, 11),
    _BFLOAT16: (np.uint16, np.int16, 8),
}


def _parts(caller: str, dtype: Any) -> tuple[Any, Any, int]:
    found = _PARTS.get(np.dtype(dtype))
    if found is None:
        expected = ", ".join(d.name for d in _PARTS)
        raise TypeError(f"{caller}: argument 'dtype' must be one of {expected}, got {np.dtype(dtype)}")
    return found


def uniform(backend: Backend, key: int, stream: int, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    """Uniform numbers in [0, 1): the top bits of a word (float64), half (float32) or quarter, divided by 2**bits.

    53 bits for float64, 24 for float32, 11 for float16, 8 for bfloat16.

    Example:
        >>> from chainrule.backends import backend_for
        >>> uniform(backend_for("cpu"), 0, 0, (2,), np.float64)
        array([0.01154675, 0.2415492 ])
    """
    part, signed, bits = _parts("uniform", dtype)
    width = part(0).itemsize
    shift, scale = part(8 * width - bits), np.dtype(dtype).type(2.0**-bits)

    def convert(words: Any, out: Any) -> None:
        parts = words.view(part)[: out.size]
        parts >>= shift
        # Signed integers convert faster (AVX-512 has both, AVX2 only these), and none uses the sign bit.
        out[...] = parts.view(signed)
        out *= scale

    numbers = backend.xp.empty(shape, dtype=dtype)
    backend.fill_from_bits(key, stream, numbers.reshape(-1), 8 // width, convert)
    return numbers


def normal(backend: Backend, key: int, stream: int, shape: tuple[int, ...], dtype: Any = np.float32) -> Any:
    """Standard normal numbers by the transform of Box and Muller.

    With u in (0, 1] and v in [0, 1): r = sqrt(-2 log u), and r cos(2 pi v), r sin(2 pi v) are independent
    normals (G. E. P. Box, M. E. Muller, "A note on the generation of random normal deviates", 1958). Of n
    numbers the first ceil(n / 2) are cosines, the others the sines of the same pairs. Pair i has

    - float32: u = (low half of word i + 1) / 2**32 and v = the top 24 bits of the high half / 2**24,
    - float64: u = (top 53 bits of word i + 1) / 2**53 and v = the top 53 bits of word ceil(n / 2) + i / 2**53,
    - float16, bfloat16: the float32 number, rounded.

    Example:
        >>> from chainrule.backends import backend_for
        >>> normal(backend_for("cpu"), 0, 0, (2, 3)).shape
        (2, 3)
    """
    _parts("normal", dtype)
    xp = backend.xp
    count = math.prod(shape)
    half = -(-count // 2)
    if np.dtype(dtype) == np.float64:
        words = backend.random_bits(key, stream, 2 * half)
        words >>= np.uint64(11)
        numbers = words.view(np.int64).astype(np.float64)
        u, v = numbers[:half], numbers[half:]
        u += 1.0
        u *= 2.0**-53
        v *= 2.0 * math.pi * 2.0**-53
    else:
        halves = backend.random_bits(key, stream, half).view(np.uint32)
        u = halves[0::2].astype(np.float32)
        v = (halves[1::2] >> np.uint32(8)).view(np.int32).astype(np.float32)
        u += np.float32(1.0)
        u *= np.float32(2.0**-32)
        v *= np.float32(2.0 * math.pi * 2.0**-24)
    r = xp.sqrt(-2.0 * xp.log(u))
    result = xp.empty((count,), dtype=r.dtype)
    xp.multiply(r, xp.cos(v), out=result[:half])
    xp.multiply(r[: count - half], xp.sin(v[: count - half]), out=result[half:])
    result = result.reshape(shape)
    return result if result.dtype == np.dtype(dtype) else result.astype(dtype)


def bernoulli(backend: Backend, key: int, stream: int, shape: tuple[int, ...], p: Any) -> Any:
    """True with probability ``p``, a number or an array: where :func:`uniform` in float32 is below ``p``.

    Example:
        >>> from chainrule.backends import backend_for
        >>> bool(bernoulli(backend_for("cpu"), 0, 0, (100,), 1.0).all())
        True
    """
    if isinstance(p, (int, float)) and not 0.0 <= p <= 1.0:
        raise ValueError(f"bernoulli: argument 'p' must be between 0 and 1, got {p}")
    return backend.asarray(uniform(backend, key, stream, shape) < p)


def keep_mask(backend: Backend, key: int, stream: int, shape: tuple[int, ...], keep: float) -> Any:
    """A mask for dropout: True where a 16-bit quarter is below ``keep`` * 65536, rounded.

    The probability is so exact to 1 / 131072, and a word serves four elements.

    Example:
        >>> from chainrule.backends import backend_for
        >>> keep_mask(backend_for("cpu"), 0, 0, (4,), 0.5).dtype
        dtype('bool')
    """
    if not 0.0 <= keep <= 1.0:
        raise ValueError(f"keep_mask: argument 'keep' must be between 0 and 1, got {keep}")
    below = round(keep * 65536)
    if below > 65535:
        return backend.xp.ones(shape, dtype=np.bool_)
    xp = backend.xp

    def convert(words: Any, out: Any) -> None:
        xp.less(words.view(np.uint16)[: out.size], np.uint16(below), out=out)

    mask = xp.empty(shape, dtype=np.bool_)
    backend.fill_from_bits(key, stream, mask.reshape(-1), 4, convert)
    return mask


def integers(
    backend: Backend, key: int, stream: int, shape: tuple[int, ...], low: int, high: int, dtype: Any = np.int64
) -> Any:
    """Integers in [low, high): low + the upper 64 bits of word * (high - low).

    D. Lemire, "Fast random integer generation in an interval" (2019), without the rejection step: no
    probability is off by more than 2**-64.

    Example:
        >>> from chainrule.backends import backend_for
        >>> integers(backend_for("cpu"), 0, 0, (5,), 0, 10)
        array([0, 2, 1, 5, 5])
    """
    info = np.iinfo(np.dtype(dtype))
    if not high > low:
        raise ValueError(f"integers: expected low < high, got low={low}, high={high}")
    if low < info.min or high - 1 > info.max:
        raise ValueError(f"integers: [{low}, {high}) does not fit into {np.dtype(dtype)}")
    span = high - low
    start = np.uint64(low % (1 << 64))  # modulo 2**64: two's complement

    def convert(words: Any, out: Any) -> None:
        offsets = words if span == 1 << 64 else _upper_product(words, span)
        offsets += start
        out[...] = offsets.astype(out.dtype)

    numbers = backend.xp.empty(shape, dtype=dtype)
    backend.fill_from_bits(key, stream, numbers.reshape(-1), 1, convert)
    return numbers


def _upper_product(words: Any, factor: int) -> Any:
    """The upper 64 bits of the 128-bit products, from 32-bit halves."""
    shift, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    low, high = words & mask, words >> shift
    f_low, f_high = np.uint64(factor & 0xFFFFFFFF), np.uint64(factor >> 32)
    middle = high * f_low + ((low * f_low) >> shift)
    if not f_high:
        return middle >> shift
    return high * f_high + (middle >> shift) + (((middle & mask) + low * f_high) >> shift)


def permutation(backend: Backend, key: int, stream: int, n: int) -> Any:
    """The numbers 0 to n - 1 in random order: the stable argsort of ``n`` random words.

    Example:
        >>> from chainrule.backends import backend_for
        >>> permutation(backend_for("cpu"), 0, 0, 5)
        array([0, 2, 1, 4, 3])
    """
    if n < 0:
        raise ValueError(f"permutation: argument 'n' must not be negative, got {n}")
    return backend.xp.argsort(backend.random_bits(key, stream, n)).astype(np.int64)
