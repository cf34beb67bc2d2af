"""Sums and products of a signal's shifts with the results in vector registers, written down for LLVM.

Numba keeps the sums of such loops in memory. Arrays are flat here and nothing is checked: ``at`` is the position of the
first element, ``step`` the distance of two rows.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

from chainrule.backends.compiled.jit import part

#: bytes of a row's elements that :func:`shifted_sums` has in registers, and rows
BYTES = 64
_ROWS = 4

#: elements that it writes to a run at once; what it reads of the signal and writes may end so many later
RUN = _ROWS * BYTES // 4

_32 = ir.IntType(32)


def _place(context: Any, builder: Any, signature: Any, arguments: Any, position: int, at: Any) -> Any:
    array = context.make_array(signature.args[position])(context, builder, arguments[position])
    return builder.gep(array.data, [at])


def _everywhere(builder: Any, value: Any, vector: Any) -> Any:
    """A vector with ``value`` in each lane."""
    undefined, zeros = ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(_32, vector.count), None)
    return builder.shuffle_vector(builder.insert_element(undefined, value, _32(0)), undefined, zeros)


def _load(builder: Any, pointer: Any, vector: Any) -> Any:
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=_size(vector))


def _size(vector: Any) -> int:
    return 8 if vector.element == ir.DoubleType() else 4


def _multiply_add(builder: Any, total: Any, a: Any, b: Any) -> Any:
    return builder.fadd(total, builder.fmul(a, b, flags=["contract"]), flags=["contract"])


def _sums(rows: int) -> Any:
    """``out[r, j] = first + sum_t weights[t] s[r, starts[t] + j]`` for r < rows and 64 bytes of j."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, s_at, s_step, _, _, w_at, first, _, out_at, out_step, taps = arguments
        number = context.get_value_type(signature.args[0].dtype)
        vector = ir.VectorType(number, BYTES // (8 if number == ir.DoubleType() else 4))
        index = taps.type

        def lines(pointer: Any, step: Any) -> list[Any]:
            return [builder.gep(pointer, [builder.mul(step, index(r))]) for r in range(rows)]

        sources = lines(_place(context, builder, signature, arguments, 0, s_at), s_step)
        targets = lines(_place(context, builder, signature, arguments, 7, out_at), out_step)
        offsets = _place(context, builder, signature, arguments, 3, index(0))
        factors = _place(context, builder, signature, arguments, 4, w_at)
        start = _everywhere(builder, first, vector)

        before, loop, after = builder.block, builder.append_basic_block("t"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        t = builder.phi(index)
        t.add_incoming(index(0), before)
        sums = [builder.phi(vector) for _ in range(rows)]
        offset = builder.load(builder.gep(offsets, [t]))
        factor = _everywhere(builder, builder.load(builder.gep(factors, [t])), vector)
        added = [
            _multiply_add(builder, total, factor, _load(builder, builder.gep(line, [offset]), vector))
            for line, total in zip(sources, sums, strict=True)
        ]
        following = builder.add(t, index(1))
        t.add_incoming(following, loop)
        for total, value in zip(sums, added, strict=True):
            total.add_incoming(start, before)
            total.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, taps), loop, after)
        builder.position_at_end(after)
        for target, value in zip(targets, added, strict=True):
            builder.store(value, builder.bitcast(target, vector.as_pointer()), align=_size(vector))
        return context.get_dummy_value()

    @intrinsic
    def sums(
        _: Any,
        s: Any,
        s_at: Any,
        s_step: Any,
        starts: Any,
        weights: Any,
        w_at: Any,
        first: Any,
        out: Any,
        out_at: Any,
        out_step: Any,
        taps: Any,
    ) -> Any:
        n = numba.types.intp
        return numba.types.void(s, n, n, starts, weights, n, s.dtype, out, n, n, n), generate

    return sums


_four_sums, _one_sum = _sums(_ROWS), _sums(1)


@part
def shifted_sums(
    s: Any,
    s_at: Any,
    s_step: Any,
    starts: Any,
    weights: Any,
    w_at: Any,
    first: Any,
    out: Any,
    out_at: Any,
    out_step: Any,
    rows: Any,
    columns: Any,
) -> None:
    """``out[r, j] = first + sum_t weights[t] s[r, starts[t] + j]`` for r < rows and j < columns, of which there are 16.

    The last columns and rows may be computed twice.
    """
    lanes, taps = BYTES // s.itemsize, starts.size
    j = 0
    while j < columns:
        j = min(j, columns - lanes)
        if rows >= _ROWS:
            r = 0
            while r < rows:
                r = min(r, rows - _ROWS)
                at, to = s_at + r * s_step + j, out_at + r * out_step + j
                _four_sums(s, at, s_step, starts, weights, w_at, first, out, to, out_step, taps)
                r += _ROWS
        else:
            for r in range(rows):
                at, to = s_at + r * s_step + j, out_at + r * out_step + j
                _one_sum(s, at, s_step, starts, weights, w_at, first, out, to, out_step, taps)
        j += lanes


@part
def long_sums(
    s: Any, s_at: Any, starts: Any, weights: Any, w_at: Any, first: Any, out: Any, out_at: Any, size: Any
) -> None:
    """As :func:`shifted_sums`, for one long row; it reads and writes up to a multiple of ``RUN`` elements."""
    lanes = BYTES // s.itemsize
    for m in range(0, size, _ROWS * lanes):
        _four_sums(s, s_at + m, lanes, starts, weights, w_at, first, out, out_at + m, lanes, starts.size)


def _products(taps: int) -> Any:
    """``out[t, e] = sum of a[r, j] s[r, starts[t] + j]`` over the j = e modulo the lanes of a register, t < taps."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _, s_at, s_step, _, first, _, a_at, a_step, rows, columns, _ = arguments
        number = context.get_value_type(signature.args[0].dtype)
        lanes = BYTES // 2 // (8 if number == ir.DoubleType() else 4)
        vector, index = ir.VectorType(number, lanes), rows.type
        offsets = _place(context, builder, signature, arguments, 3, first)
        source = _place(context, builder, signature, arguments, 0, s_at)
        other = _place(context, builder, signature, arguments, 5, a_at)
        target = _place(context, builder, signature, arguments, 10, index(0))
        shifts = [builder.gep(source, [builder.load(builder.gep(offsets, [index(t)]))]) for t in range(taps)]
        zero = ir.Constant(vector, None)

        before = builder.block
        row, column = builder.append_basic_block("r"), builder.append_basic_block("j")
        end, after = builder.append_basic_block("row"), builder.append_basic_block("summed")
        builder.branch(row)

        builder.position_at_end(row)
        r = builder.phi(index)
        s_row, a_row = builder.phi(index), builder.phi(index)
        outer = [builder.phi(vector) for _ in range(taps)]
        builder.branch(column)

        builder.position_at_end(column)
        j = builder.phi(index)
        inner = [builder.phi(vector) for _ in range(taps)]
        line = _load(builder, builder.gep(other, [builder.add(a_row, j)]), vector)
        there = builder.add(s_row, j)
        added = [
            _multiply_add(builder, total, line, _load(builder, builder.gep(shift, [there]), vector))
            for shift, total in zip(shifts, inner, strict=True)
        ]
        next_j = builder.add(j, index(lanes))
        builder.cbranch(builder.icmp_signed("<", next_j, columns), column, end)

        builder.position_at_end(end)
        next_r, next_s, next_a = builder.add(r, index(1)), builder.add(s_row, s_step), builder.add(a_row, a_step)
        builder.cbranch(builder.icmp_signed("<", next_r, rows), row, after)

        for value, later in ((r, next_r), (s_row, next_s), (a_row, next_a)):
            value.add_incoming(index(0), before)
            value.add_incoming(later, end)
        j.add_incoming(index(0), row)
        j.add_incoming(next_j, column)
        for total, part_of_row, value in zip(outer, inner, added, strict=True):
            total.add_incoming(zero, before)
            total.add_incoming(value, end)
            part_of_row.add_incoming(total, row)
            part_of_row.add_incoming(value, column)

        builder.position_at_end(after)
        for t, value in enumerate(added):
            place = builder.gep(target, [index(t * lanes)])
            builder.store(value, builder.bitcast(place, vector.as_pointer()), align=_size(vector))
        return context.get_dummy_value()

    @intrinsic
    def products(
        _: Any,
        s: Any,
        s_at: Any,
        s_step: Any,
        starts: Any,
        first: Any,
        a: Any,
        a_at: Any,
        a_step: Any,
        rows: Any,
        columns: Any,
        out: Any,
    ) -> Any:
        n = numba.types.intp
        return numba.types.void(s, n, n, starts, n, a, n, n, n, n, out), generate

    return products


_nine_products, _three_products, _one_product = _products(9), _products(3), _products(1)


@part
def _add_lanes(lanes: Any, sums: Any, taps: Any, out: Any, first: Any) -> None:
    for t in range(taps):
        total = sums[0] * 0
        for e in range(lanes):
            total += sums[t * lanes + e]
        out[first + t] += total


@part
def shifted_products(
    s: Any,
    s_at: Any,
    s_step: Any,
    starts: Any,
    a: Any,
    a_at: Any,
    a_step: Any,
    rows: Any,
    columns: Any,
    sums: Any,
    out: Any,
) -> None:
    """``out[t] += sum of a[r, j] s[r, starts[t] + j]`` over r < rows and j < columns, a multiple of 8.

    ``sums``: memory for nine registers.
    """
    lanes, taps = BYTES // 2 // s.itemsize, starts.size
    t = 0
    while t + 9 <= taps:
        _nine_products(s, s_at, s_step, starts, t, a, a_at, a_step, rows, columns, sums)
        _add_lanes(lanes, sums, 9, out, t)
        t += 9
    while t + 3 <= taps:
        _three_products(s, s_at, s_step, starts, t, a, a_at, a_step, rows, columns, sums)
        _add_lanes(lanes, sums, 3, out, t)
        t += 3
    while t < taps:
        _one_product(s, s_at, s_step, starts, t, a, a_at, a_step, rows, columns, sums)
        _add_lanes(lanes, sums, 1, out, t)
        t += 1
