"""Arrays in different memory orders, such as images (N, C, H, W) stored channels first and last: copies, arithmetic.

NumPy goes through these element by element, with jumps that are often a power of two, so that they all fall on the same
few lines of the cache. Here the work is cut into blocks that fit into the second-level cache, which are read in the
order of memory into rows of an odd number of cache lines; with the extra ``fast`` they are transposed by a compiled
loop, 16 rows at a time. The blocks are shared by all threads.
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

#: Elements from which on blocks are quicker than NumPy's own way.
WORTH = 1 << 19

#: Elements of one block: a quarter of a MB of float32.
_BLOCK = 1 << 16

#: Matrices with a shorter side are left to NumPy.
_NARROW = 8

#: Bytes of a cache line, and the distance at which two elements are kept in the same one of 64 places.
_LINE, _PAGE = 64, 4096

#: Dtypes that the compiled loop moves, by size.
_BITS = {4: np.dtype(np.uint32), 8: np.dtype(np.uint64)}

_as_strided = np.lib.stride_tricks.as_strided


def _transposition(arrays: list[Array]) -> list[Array] | None:
    """Views of arrays of one shape as matrices: their last axis is innermost in the first array, the other in the last.

    None where these have one innermost axis in common, or where it is short, or an element stands for several.
    """
    first = arrays[0]
    lengths: list[int] = []
    steps: list[list[int]] = []
    used = [axis for axis in range(first.ndim) if first.shape[axis] > 1]
    for axis in sorted(used, key=lambda axis: -abs(first.strides[axis])):
        length, step = first.shape[axis], [a.strides[axis] for a in arrays]
        if not all(step):
            return None
        if steps and steps[-1] == [s * length for s in step]:  # one axis in all of them
            lengths[-1], steps[-1] = lengths[-1] * length, step
        else:
            lengths.append(length)
            steps.append(step)
    if len(lengths) < 2:
        return None
    inner = min(range(len(lengths)), key=lambda k: abs(steps[k][-1]))
    if inner == len(lengths) - 1 or min(lengths[inner], lengths[-1]) < _NARROW:
        return None
    lengths.insert(-1, lengths.pop(inner))
    steps.insert(-1, steps.pop(inner))
    return [_as_strided(a, lengths, [step[i] for step in steps]) for i, a in enumerate(arrays)]


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
    for index in itertools.product(*map(range, batch[:-1])):
        for i in range(0, batch[-1] if batch else 1, step):
            yield (*index, slice(i, i + step)) if batch else ()


def _crowded(x: Array) -> bool:
    """Whether steps along the last axis of x come back to few places in the cache."""
    step = abs(x.strides[-1])
    return step >= 512 and x.shape[-1] >= 16 and int(np.gcd(step, _PAGE)) >= 512


def _aired(x: Array) -> Array:
    """x copied in the order of its memory, with rows that begin at different places in the cache."""
    rows = x.shape[-2]
    lines = -(-rows * x.itemsize // _LINE) | 1
    block = scratch("layout", (*x.shape[:-2], x.shape[-1], lines * _LINE // x.itemsize), x.dtype)[..., :rows]
    np.copyto(block, x.swapaxes(-1, -2))
    return block.swapaxes(-1, -2)


def _work(arrays: list[Array], work: Callable[..., object], copies: bool) -> bool:
    """``work(*parts)`` for parts of all arrays, in the memory order of the first; False where NumPy does as well.

    The parts of the last array are in another order than the others, or copies of it in the same; ``copies``: all that
    is wanted is the first array as a copy of the second.
    """
    merged = _transposition(arrays)
    if merged is None:
        return False
    *same, other = merged
    rows = other.swapaxes(-1, -2)
    movable = compiled.available and other.ndim <= 3 and other.itemsize in _BITS and not other.dtype.hasobject
    if movable and rows.flags.c_contiguous and all(a.flags.c_contiguous for a in same):
        _compiled(same, rows, work, copies)
        return True
    tasks, crowded = list(_blocks(other.shape)), _crowded(other)

    def run(i: int) -> None:
        part = other[tasks[i]]
        work(*[a[tasks[i]] for a in same], _aired(part) if crowded else part)

    parallel(run, len(tasks))
    return True


def _compiled(same: list[Array], x: Array, work: Callable[..., object], copies: bool) -> None:
    """``_work`` on contiguous matrices, which a compiled loop transposes."""
    from chainrule.backends.compiled import transposition

    rows, columns = x.shape[-2:]
    bits: Any = _BITS[x.itemsize]
    x = x.reshape(-1, rows, columns).view(bits)
    # along the first axis, parts are matrices, or columns of the one matrix
    same = [a.reshape(-1, columns, rows) if len(x) > 1 else a.reshape(columns, rows) for a in same]
    tasks = transposition.parts(len(x), rows, columns, 4 * _BLOCK if copies else 2 * _BLOCK)

    def run(i: int) -> None:
        parts = [a[slice(*tasks[i])] for a in same]
        out = parts[0] if copies else scratch("layout", parts[0].shape, same[0].dtype)
        transposition.transpose_part(out, x, tasks[i])
        if not copies:
            work(*parts, out)

    parallel(run, len(tasks))


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
    if x.size < WORTH or x.shape != out.shape or x.dtype != out.dtype or not _work([out, x], np.copyto, True):
        np.copyto(out, x)


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


def mixed(function: Any, x: Array, y: Array, out: Array | None = None) -> Array | None:
    """An arithmetic ufunc of two floating-point arrays in different memory orders; None where NumPy does as well.

    The result has the memory order that NumPy gives it.
    """
    if type(x) is not np.ndarray or type(y) is not np.ndarray or x.strides == y.strides or x.shape != y.shape:
        return None
    if x.size < WORTH:
        return None
    if x.dtype.char not in "fd" or x.dtype != y.dtype or (out is not None and out.dtype != x.dtype):
        return None
    if out is None:
        out = _empty_result(x, y)
    elif any(a is not out and np.may_share_memory(a, out) for a in (x, y)):
        return None
    if _work([out, x, y], lambda o, a, b: function(a, b, out=o), False):
        return out
    return out if _work([out, y, x], lambda o, b, a: function(a, b, out=o), False) else None


def _empty_result(x: Array, y: Array) -> Array:
    """An uninitialised array in the memory order of the result of a ufunc of x and y."""
    flags: list[Any] = [["readonly"], ["readonly"], ["writeonly", "allocate"]]
    return np.nditer([x, y, None], ["external_loop"], flags, op_dtypes=[x.dtype] * 3).operands[2]
