"""Matrix products on all threads, handed out without the interpreter: worth it from 30 us of work on.

The products themselves are NumPy's OpenBLAS's, called by its address; a bias is added to each piece while it is cached.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends import blas
from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.jit import intrinsic, loop, types

Array = np.ndarray

#: Multiplications from which on there are 4, 8 and 16 items, not 2. OpenBLAS puts the operand that all items share in
#: order for each of them anew.
_MORE = (20_000_000, 100_000_000, 400_000_000)
#: multiplications that are worth waking a sleeping helper, about 100 us
_WORTH_WAKING = 4_000_000

_NOTHING = {char: np.empty(0, char) for char in "fd"}

_ROW_MAJOR, _AS_IT_IS, _TRANSPOSED = 101, 111, 112


@intrinsic
def _gemm(_: Any, function: Any, flags: Any, sizes: Any, steps: Any, x: Any, y: Any, out: Any, at: Any) -> Any:
    """``out = x @ y`` by the BLAS function at an address; x and y are addresses, the result an array from ``at`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address, transposed, sizes, steps, left, right, result, at = arguments
        number = context.get_value_type(signature.args[6].dtype)
        whole, short, pointer = ir.IntType(64), ir.IntType(32), number.as_pointer()
        kind = ir.FunctionType(
            ir.VoidType(),
            [short] * 3 + [whole] * 3 + [number, pointer, whole, pointer, whole, number, pointer, whole],
        )

        def each(values: Any, count: int) -> list[Any]:
            return [builder.extract_value(values, i) for i in range(count)]

        orders = [builder.trunc(f, short) for f in each(transposed, 2)]
        of_x, of_y, of_out = each(steps, 3)
        memory = context.make_array(signature.args[6])(context, builder, result).data
        operands = [builder.inttoptr(left, pointer), of_x, builder.inttoptr(right, pointer), of_y]
        given = [short(_ROW_MAJOR), *orders, *each(sizes, 3), number(1.0), *operands, number(0.0)]
        builder.call(builder.inttoptr(address, kind.as_pointer()), [*given, builder.gep(memory, [at]), of_out])
        return context.get_dummy_value()

    return types.void(function, flags, sizes, steps, x, y, out, at), generate


@item
def _piece(function: Any, flags: Any, steps: Any, depth: Any, x: Any, y: Any, bias: Any, out: Any, bounds: Any) -> None:
    """Rows and columns of the product within the four bounds."""
    top, bottom, left, right = bounds[0], bounds[1], bounds[2], bounds[3]
    x += top * out.itemsize * (steps[0] if flags[0] == _AS_IT_IS else 1)
    y += left * out.itemsize * (1 if flags[1] == _AS_IT_IS else steps[1])
    sizes = (bottom - top, right - left, depth)
    _gemm(function, flags, sizes, steps, x, y, out, top * steps[2] + left)
    if bias.size:
        added = bias[left:right]
        for i in range(top, bottom):
            row = out[i * steps[2] + left : i * steps[2] + right]
            for j in range(row.size):
                row[j] += added[j]


@loop
def _product(
    crew: Any, items: int, function: int, x: Any, x_transposed: bool, y: Any, y_transposed: bool, bias: Any, out: Any
) -> None:
    """Cut by rows, or where there are more columns by columns, at multiples of 16."""
    m, n = out.shape
    size = -(-max(m, n) // (16 * items)) * 16
    items = -(-max(m, n) // size)
    bounds = np.empty((items, 4), np.int64)
    for i in range(items):
        first, end = i * size, min((i + 1) * size, max(m, n))
        bounds[i, 0], bounds[i, 1] = (first, end) if m >= n else (0, m)
        bounds[i, 2], bounds[i, 3] = (0, n) if m >= n else (first, end)
    flags = (_TRANSPOSED if x_transposed else _AS_IT_IS, _TRANSPOSED if y_transposed else _AS_IT_IS)
    steps = (x.strides[0] // x.itemsize, y.strides[0] // y.itemsize, n)
    depth = x.shape[0] if x_transposed else x.shape[1]
    whole = (function, flags, steps, depth, x.ctypes.data, y.ctypes.data, bias, out.reshape(-1))
    share(crew, items, _piece(items, (), whole, (bounds,)))


def _by_rows(x: Array) -> tuple[Array, bool] | None:
    """A matrix whose rows lie in memory one after the other, and whether it is the transpose of x; None for others."""
    flags = x.flags
    if flags.c_contiguous:
        return x, False
    if flags.f_contiguous:
        return x.T, True
    size, (down, across) = x.itemsize, x.strides
    if across == size and down >= x.shape[1] * size and down % size == 0:
        return x, False
    if down == size and across >= x.shape[0] * size and across % size == 0:
        return x.T, True
    return None


def product(x: Array, y: Array, bias: Array | None = None) -> Array | None:
    """(M, K) @ (K, N) + (N), all of one dtype, float32 or float64; None where BLAS cannot read the memory."""
    (m, k), n = x.shape, y.shape[1]
    function, of_x, of_y = blas.gemm(x.dtype), _by_rows(x), _by_rows(y)
    work = m * n * k
    if function is None or of_x is None or of_y is None or not work:
        return None
    items = 2
    for least in _MORE:
        if work >= least:
            items *= 2
    added = _NOTHING[x.dtype.char] if bias is None else np.ascontiguousarray(bias)
    out = np.empty((m, n), dtype=x.dtype)
    _product(crew(items, work >= _WORTH_WAKING), items, function, *of_x, *of_y, added, out)
    return out
