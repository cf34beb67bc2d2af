"""Copies between arrays in different memory orders, such as images (N, C, H, W) stored channels first or last.

NumPy copies these element by element, with jumps of a power of two between them that all fall on the same few lines
of the cache. Here the copy goes through blocks that fit into the second-level cache, with rows of an odd number of
cache lines, and on all threads; with the extra ``fast`` by a compiled transposition of 16 rows at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.backends import compiled
from chainrule.backends.pool import parallel, scratch

Array = np.ndarray
Index = tuple[Any, ...]

#: Elements from which on a copy is worth a closer look, and from which on it goes through blocks in any case.
_WORTH, _LARGE = 1 << 16, 1 << 19

#: Elements of one block: a quarter of a MB of float32.
_BLOCK = 1 << 16

#: Elements from which on the threads share the work.
_SHARED = 1 << 18

#: Bytes of a cache line, and the distance at which two elements are kept in the same one of 64 places.
_LINE, _PAGE = 64, 4096

#: Dtypes of 4 and 8 bytes.
_NUMBERS = "fdilqFILQ"

#: Matrices with a shorter side are left to NumPy.
_NARROW = 8

_as_strided = np.lib.stride_tricks.as_strided


def _transposition(first: Array, second: Array) -> tuple[Array, Array] | None:
    """Views of two arrays of one shape as matrices: their last axis is innermost in the first, the other in the second.

    None where they have one innermost axis in common, or where it is short, or an element stands for several.
    """
    axes: list[list[int]] = []
    order = [i for i in range(first.ndim) if first.shape[i] > 1]
    for i in sorted(order, key=lambda i: -abs(first.strides[i])):
        length, a, b = first.shape[i], first.strides[i], second.strides[i]
        if not a or not b:
            return None
        if axes and axes[-1][1] == a * length and axes[-1][2] == b * length:
            axes[-1] = [axes[-1][0] * length, a, b]
        else:
            axes.append([length, a, b])
    if len(axes) < 2:
        return None
    inner = min(range(len(axes)), key=lambda k: abs(axes[k][2]))
    if inner == len(axes) - 1 or min(axes[inner][0], axes[-1][0]) < _NARROW:
        return None
    axes.insert(-1, axes.pop(inner))  # the two innermost axes: that of the second array, then that of the first
    shape = [n for n, _, _ in axes]
    return _as_strided(first, shape, [a for _, a, _ in axes]), _as_strided(second, shape, [b for _, _, b in axes])


def _blocks(shape: tuple[int, ...]) -> Iterator[Index]:
    """Indices that cut an array into blocks of about ``_BLOCK`` elements: of whole matrices, or parts of one."""
    *batch, rows, columns = shape
    if rows * columns >= _BLOCK // 2:
        width = min(columns, 1024)
        height = max(16, _BLOCK // width)
        for index in itertools.product(*map(range, batch)):
            for i in range(0, rows, height):
                for j in range(0, columns, width):
                    yield (*index, slice(i, i + height), slice(j, j + width))
        return
    step = max(1, _BLOCK // (rows * columns))
    outer = batch[:-1] if batch else []
    for index in itertools.product(*map(range, outer)):
        for i in range(0, batch[-1] if batch else 1, step):
            yield (*index, slice(i, i + step)) if batch else ()


def _crowded(x: Array) -> bool:
    """Whether steps along the last axis of x come back to few places in the cache."""
    step = abs(x.strides[-1])
    return step >= 512 and x.shape[-1] >= 16 and np.gcd(step, _PAGE) >= 512


def _copy_block(out: Array, x: Array, crowded: bool) -> None:
    """``out[...] = x``, where the last axis but one is x's innermost and the last is out's."""
    if crowded:
        rows = x.shape[-2]
        lines = -(-rows * x.itemsize // _LINE) | 1
        block = scratch("layout", (*x.shape[:-2], x.shape[-1], lines * _LINE // x.itemsize), x.dtype)[..., :rows]
        np.copyto(block, x.swapaxes(-1, -2))
        x = block.swapaxes(-1, -2)
    np.copyto(out, x)


def _run(work: Callable[[Index], None], tasks: list[Index], size: int) -> None:
    """All tasks, by all threads where that pays."""
    if size < _SHARED:
        for task in tasks:
            work(task)
    else:
        parallel(lambda i: work(tasks[i]), len(tasks))


def copy_to(out: Array, x: Array) -> None:
    """``out[...] = x`` for arrays of one shape that do not overlap, whatever their memory order.

    Example:
        >>> import numpy as np
        >>> out = np.empty((3, 2)).T
        >>> copy_to(out, np.arange(6.0).reshape(2, 3))
        >>> out
        array([[0., 1., 2.],
               [3., 4., 5.]])
    """
    pair = _transposition(out, x) if x.size >= _WORTH and x.shape == out.shape and x.dtype == out.dtype else None
    if pair is None:
        np.copyto(out, x)
        return
    target, source = pair
    crowded = _crowded(source)
    if x.size < _LARGE and not crowded:
        np.copyto(out, x)
        return
    if _transposed(target, source):
        return
    _run(lambda index: _copy_block(target[index], source[index], crowded), list(_blocks(target.shape)), x.size)


def _transposed(out: Array, x: Array) -> bool:
    """Copy matrices that lie one after the other by a compiled loop; False where it is not made for these."""
    rows = x.swapaxes(-1, -2)
    if not (
        compiled.available
        and out.ndim <= 3
        and x.dtype.char in _NUMBERS
        and out.flags.c_contiguous
        and rows.flags.c_contiguous
    ):
        return False
    from chainrule.backends.compiled import transposition

    transposition.transpose(out.reshape(-1), rows.reshape(-1), *rows.shape[-2:])
    return True


def contiguous(x: Array) -> Array:
    """x in C order: itself, or a copy."""
    if x.flags.c_contiguous:
        return x
    out = np.empty(x.shape, x.dtype)
    copy_to(out, x)
    return out


def like(x: Array, other: Array) -> Array:
    """x in the memory order of ``other``, an array of the same shape: itself, or a copy."""
    if x.strides == other.strides:
        return x
    out = np.empty_like(other, dtype=x.dtype)
    if out.strides == x.strides:
        return x
    copy_to(out, x)
    return out


def channels_last(x: Array) -> Array:
    """Images (N, C, H, W) with the channels innermost in memory: themselves, or a copy."""
    return contiguous(x.transpose(0, *range(2, x.ndim), 1)).transpose(0, x.ndim - 1, *range(1, x.ndim - 1))
