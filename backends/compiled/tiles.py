"""Products of small matrices inside compiled loops: 6 rows by 16 columns of the result at a time, in registers.

A library's product first copies its operands into an order of its own, which for small matrices takes as long as the
product. Here the right operand is put in order once, by :func:`pack`, and used again and again. The sum of each element
runs over k from first to last, however many rows there are.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic

from chainrule.backends.compiled.jit import part

#: columns of a panel: two registers of 8 floats or one of 16
WIDE = 16


def padded(columns: int) -> int:
    """``columns`` as a multiple of the panel's width."""
    return -(-columns // WIDE) * WIDE


def pack(*blocks: Any) -> Any:
    """The matrices (K, N_i), side by side, in panels of 16 columns (N / 16, K, 16), flat; what is missing is zero."""
    depth, columns = blocks[0].shape[0], sum(b.shape[1] for b in blocks)
    side_by_side = np.zeros((depth, padded(columns)), dtype=blocks[0].dtype)
    first = 0
    for block in blocks:
        side_by_side[:, first : first + block.shape[1]] = block
        first += block.shape[1]
    return np.ascontiguousarray(side_by_side.reshape(depth, -1, WIDE).transpose(1, 0, 2)).reshape(-1)


def _tile(rows: int) -> Any:
    """``out[out_at + r out_step + j] += sum_k a[a_at + r a_step + k a_next] b[b_at + k b_step + j]``, r < rows, j < 16.

    Arrays are flat and contiguous, their dtype is the same; nothing is checked. Numba would keep the sums in memory, so
    the loop over k is written down for LLVM, with a vector of sums for each row.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, a_at, a_step, a_next, b, b_at, b_step, out, out_at, out_step, depth = arguments
        number = context.get_value_type(signature.args[0].dtype)
        vector, index = ir.VectorType(number, WIDE), depth.type
        align = 8 if number == ir.DoubleType() else 4

        def first(position: int, array: Any, at: Any) -> Any:
            return builder.gep(context.make_array(signature.args[position])(context, builder, array).data, [at])

        def row(pointer: Any, step: Any, r: int) -> Any:
            return builder.gep(pointer, [builder.mul(step, index(r))])

        left, right, result = first(0, a, a_at), first(4, b, b_at), first(7, out, out_at)
        lefts = [row(left, a_step, r) for r in range(rows)]
        results = [builder.bitcast(row(result, out_step, r), vector.as_pointer()) for r in range(rows)]
        given = [builder.load(p, align=align) for p in results]

        before, loop, after = builder.block, builder.append_basic_block("k"), builder.append_basic_block("stored")
        builder.cbranch(builder.icmp_signed(">", depth, index(0)), loop, after)
        builder.position_at_end(loop)
        k = builder.phi(index)
        k.add_incoming(index(0), before)
        sums = [builder.phi(vector) for _ in range(rows)]
        for total, start in zip(sums, given, strict=True):
            total.add_incoming(start, before)
        there = builder.gep(right, [builder.mul(k, b_step)])
        along = builder.mul(k, a_next)
        line = builder.load(builder.bitcast(there, vector.as_pointer()), align=align)
        undefined, everywhere = (
            ir.Constant(vector, ir.Undefined),
            ir.Constant(ir.VectorType(ir.IntType(32), WIDE), None),
        )
        added = []
        for pointer, total in zip(lefts, sums, strict=True):
            one = builder.insert_element(undefined, builder.load(builder.gep(pointer, [along])), ir.IntType(32)(0))
            factor = builder.shuffle_vector(one, undefined, everywhere)
            added.append(builder.fadd(total, builder.fmul(factor, line, flags=["contract"]), flags=["contract"]))
        following = builder.add(k, index(1))
        k.add_incoming(following, loop)
        for total, value in zip(sums, added, strict=True):
            total.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, depth), loop, after)

        builder.position_at_end(after)
        final = [builder.phi(vector) for _ in range(rows)]
        for total, start, value in zip(final, given, added, strict=True):
            total.add_incoming(start, before)
            total.add_incoming(value, loop)
        for pointer, total in zip(results, final, strict=True):
            builder.store(total, pointer, align=align)
        return context.get_dummy_value()

    @intrinsic
    def tile(
        _: Any,
        a: Any,
        a_at: Any,
        a_step: Any,
        a_next: Any,
        b: Any,
        b_at: Any,
        b_step: Any,
        out: Any,
        out_at: Any,
        out_step: Any,
        depth: Any,
    ) -> Any:
        n = numba.types.intp
        return numba.types.void(a, n, n, n, b, n, n, out, n, n, n), generate

    return tile


_six, _four, _one = _tile(6), _tile(4), _tile(1)


@part
def multiply_add(
    a: Any,
    a_at: Any,
    a_step: Any,
    a_next: Any,
    rows: Any,
    b: Any,
    b_at: Any,
    b_step: Any,
    b_panel: Any,
    depth: Any,
    columns: Any,
    out: Any,
    out_at: Any,
    out_step: Any,
) -> None:
    """``out += a @ b`` with a (rows, depth), b (depth, columns) and out (rows, columns) somewhere in flat arrays.

    ``at`` is the position of the first element, ``step`` the distance of the rows, ``a_next`` that of the columns of
    ``a`` and ``b_panel`` that of the panels of ``b``: a packed ``b`` has the step 16 and the panel 16 * depth, one that
    lies row by row has its own step and the panel 16. ``columns`` is a multiple of 16. Nothing is checked.
    """
    # the rows from which on tiles have 4 rows and 1: as few of these as can be
    left = rows % 6
    left = left + 6 if 2 <= left <= 3 and rows >= 8 else left
    fours, singles = rows - left, rows - left % 4
    for first in range(0, columns, 16):
        panel = b_at + first // 16 * b_panel
        for r in range(0, fours, 6):
            at = out_at + r * out_step + first
            _six(a, a_at + r * a_step, a_step, a_next, b, panel, b_step, out, at, out_step, depth)
        for r in range(fours, singles, 4):
            at = out_at + r * out_step + first
            _four(a, a_at + r * a_step, a_step, a_next, b, panel, b_step, out, at, out_step, depth)
        for r in range(singles, rows):
            at = out_at + r * out_step + first
            _one(a, a_at + r * a_step, a_step, a_next, b, panel, b_step, out, at, out_step, depth)
