"""Random bits on the host: NumPy's Philox 4x64-10, keyed by seed and call number.

The counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
Word ``i`` of call ``stream`` under ``key`` is a pure function of the three numbers, so any backend
can make the same words in any order.
"""

from __future__ import annotations

import numpy as np

_MASK = (1 << 64) - 1


def host_bits(key: int, stream: int, count: int) -> np.ndarray:
    """``count`` words of 64 random bits for call number ``stream`` under ``key``.

    Example:
        >>> host_bits(0, 0, 2).dtype
        dtype('uint64')
        >>> bool((host_bits(7, 1, 4) == host_bits(7, 1, 8)[:4]).all())
        True
    """
    generator = np.random.Philox(key=np.array([key & _MASK, stream & _MASK], dtype=np.uint64))
    bits: np.ndarray = generator.random_raw(count)
    return bits
