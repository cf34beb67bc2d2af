"""Random bits: NumPy's Philox 4x64-10, keyed by seed and call number.

The counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
Word ``i`` of call ``stream`` under ``key`` is a pure function of the three numbers, so any backend
can make the same words in any order: it is lane ``i % 4`` of the block with counter ``i // 4 + 1``
(NumPy increments the counter before it makes the first block).
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from chainrule.backends.pool import get_num_threads, parallel, ranges

_MASK = (1 << 64) - 1

#: From this many words on, all threads of the pool share the work (waking one costs as much as 10,000 words).
_TWO_THREADS = 1 << 18

#: Words per chunk: 256 KiB, half of a core's second-level cache or less.
_CHUNK = 1 << 15

CUDA_SOURCE = r"""
extern "C" __global__ void philox4x64(unsigned long long key0, unsigned long long key1, unsigned long long count,
                                      unsigned long long* out) {
    const unsigned long long M0 = 0xD2E7470EE14C6C93ull, M1 = 0xCA5A826395121157ull;  // multipliers
    const unsigned long long W0 = 0x9E3779B97F4A7C15ull, W1 = 0xBB67AE8584CAA73Bull;  // key increments
    const unsigned long long step = (unsigned long long)gridDim.x * blockDim.x;
    unsigned long long block = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x;
    for (; block * 4 < count; block += step) {
        unsigned long long c0 = block + 1, c1 = 0, c2 = 0, c3 = 0, k0 = key0, k1 = key1;
        for (int round = 0; round < 10; ++round) {
            const unsigned long long h0 = __umul64hi(M0, c0), l0 = M0 * c0;
            const unsigned long long h1 = __umul64hi(M1, c2), l1 = M1 * c2;
            c0 = h1 ^ c1 ^ k0;
            c1 = l1;
            c2 = h0 ^ c3 ^ k1;
            c3 = l0;
            k0 += W0;
            k1 += W1;
        }
        const unsigned long long lanes[4] = {c0, c1, c2, c3};
        for (int lane = 0; lane < 4; ++lane) {
            if (block * 4 + lane < count) out[block * 4 + lane] = lanes[lane];
        }
    }
}
"""


class _Local(threading.local):
    """One generator per thread: setting its state takes a third of the time that making one does."""

    def __init__(self) -> None:
        self.generator = np.random.Philox(key=0)
        self.state = self.generator.state


_local = _Local()


def _generator(key: int, stream: int, first: int) -> np.random.Philox:
    """This thread's generator, before word ``4 * first``."""
    generator, state = _local.generator, _local.state
    state["state"]["counter"] = np.array([first, 0, 0, 0], dtype=np.uint64)
    state["state"]["key"] = np.array([key & _MASK, stream & _MASK], dtype=np.uint64)
    state["buffer_pos"] = 4  # nothing is buffered: the first word comes from the next block
    generator.state = state
    return generator


def host_bits(key: int, stream: int, count: int) -> np.ndarray:
    """``count`` words of 64 random bits for call number ``stream`` under ``key``.

    Example:
        >>> host_bits(0, 0, 2).dtype
        dtype('uint64')
        >>> bool((host_bits(7, 1, 4) == host_bits(7, 1, 8)[:4]).all())
        True
    """
    if count < _TWO_THREADS:
        bits: np.ndarray = _generator(key, stream, 0).random_raw(count)
        return bits
    words = np.empty(count, dtype=np.uint64)
    host_fill(key, stream, words, 1, lambda part, out: np.copyto(out, part))
    return words


def host_fill(
    key: int, stream: int, out: np.ndarray, per_word: int, convert: Callable[[np.ndarray, np.ndarray], None]
) -> None:
    """Fill ``out`` with ``convert(words, part of out)``, each word giving ``per_word`` elements.

    Works in chunks that stay in the cache, from two threads where that pays; the result depends on neither.
    """
    words = -(-out.size // per_word)
    chunks = -(-words // _CHUNK)

    def run(begin: int, end: int) -> None:
        generator = _generator(key, stream, begin * _CHUNK // 4)
        for chunk in range(begin, end):
            first = chunk * _CHUNK
            count = min(_CHUNK, words - first)
            convert(generator.random_raw(count), out[first * per_word : (first + count) * per_word])

    if words < _TWO_THREADS or get_num_threads() < 2:
        run(0, chunks)
        return
    pieces = ranges(chunks, get_num_threads())
    parallel(lambda i: run(*pieces[i]), len(pieces))
