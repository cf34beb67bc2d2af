"""Transposed copies of matrices: squares of 32 bytes by 32 bytes are turned in vector registers."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from chainrule.backends.compiled.jit import intrinsic, loop, types
from chainrule.backends.pool import ranges

#: Columns of a block: few lines of the cache of every row, of so many rows at a time as the cache has ways.
_WIDTH = 64

#: bytes of a square's rows
_BYTES = 32


@intrinsic
def turn(_: Any, x: Any, x_at: Any, x_step: Any, out: Any, out_at: Any, out_step: Any) -> Any:
    """``out[out_at + j out_step + i] = x[x_at + i x_step + j]`` for i and j below 32 / itemsize; nothing is checked.

    Pairs of rows exchange halves, then quarters of these halves, and so on down to single elements.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        x, x_at, x_step, out, out_at, out_step = arguments
        number = context.get_value_type(signature.args[0].dtype)
        align = context.get_abi_sizeof(number)
        side = _BYTES // align
        vector = ir.VectorType(number, side)

        def lines(position: int, array: Any, at: Any, step: Any) -> list[Any]:
            data = context.make_array(signature.args[position])(context, builder, array).data
            places = [builder.add(at, builder.mul(step, step.type(i))) for i in range(side)]
            return [builder.bitcast(builder.gep(data, [place]), vector.as_pointer()) for place in places]

        def chosen(a: Any, b: Any, lanes: list[int]) -> Any:
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), side), lanes))

        rows = [builder.load(line, align=align) for line in lines(0, x, x_at, x_step)]
        half = side // 2
        while half:
            for i in range(side):
                if not i & half:
                    a, b = rows[i], rows[i + half]
                    rows[i] = chosen(a, b, [j if not j & half else side + j - half for j in range(side)])
                    rows[i + half] = chosen(a, b, [j + half if not j & half else side + j for j in range(side)])
            half //= 2
        for row, line in zip(rows, lines(3, out, out_at, out_step), strict=True):
            builder.store(row, line, align=align)
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, out, n, n), generate


@loop
def _transpose(out: Any, x: Any, rows: int, columns: int, first: int, end: int) -> None:
    """The columns ``first:end`` of a matrix x (rows, columns) as the rows of out."""
    side = _BYTES // x.itemsize
    whole, last = rows - rows % side, end - (end - first) % side
    for left in range(first, end, _WIDTH):
        stop = min(left + _WIDTH, end)
        for top in range(0, whole, side):
            for j in range(left, min(stop, last), side):
                turn(x, top * columns + j, columns, out, (j - first) * rows + top, rows)
        for j in range(left, stop):
            for i in range(0 if j >= last else whole, rows):
                out[(j - first) * rows + i] = x[i * columns + j]


@loop
def _transpose_all(out: Any, x: Any, rows: int, columns: int) -> None:
    """The same for all columns of matrices that lie one after the other."""
    size = rows * columns
    for start in range(0, x.size, size):
        _transpose(out[start : start + size], x[start : start + size], rows, columns, 0, columns)


def parts(count: int, rows: int, columns: int, elements: int) -> list[tuple[int, int]]:
    """Parts of about so many elements of ``count`` matrices: ranges of matrices, or of the columns of a single one."""
    pieces = count * rows * columns // elements
    return ranges(count, pieces) if count > 1 else ranges(columns, pieces, 16)


def transpose_part(out: np.ndarray, x: np.ndarray, part: tuple[int, int]) -> None:
    """One of the parts of matrices x (count, rows, columns), transposed into out; both contiguous, x unsigned integers.

    With one matrix the part is of its columns, else of the matrices.
    """
    count, rows, columns = x.shape
    flat, target = x.reshape(-1), out.reshape(-1).view(x.dtype)
    if count > 1:
        size = rows * columns
        _transpose_all(target, flat[part[0] * size : part[1] * size], rows, columns)
    else:
        _transpose(target, flat, rows, columns, *part)
