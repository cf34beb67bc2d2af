"""The largest of a row of numbers inside compiled loops, 16 at a time.

The compiler takes maxima of floats one by one, as it may not reorder them where there could be a NaN.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

from chainrule.backends.compiled.jit import part

_AT_ONCE = 16
_index = ir.IntType(32)


def _larger(builder: Any, one: Any, other: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", one, other), one, other)


@intrinsic
def _of_blocks(_: Any, x: Any, at: Any, count: Any) -> Any:
    """The largest of ``count`` numbers, a multiple of 16, from ``at`` on in contiguous memory; it passes over NaN."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, first, size = arguments
        number = context.get_value_type(signature.return_type)
        vector, index = ir.VectorType(number, _AT_ONCE), size.type
        lowest = ir.Constant(vector, [float("-inf")] * _AT_ONCE)
        start = builder.gep(context.make_array(signature.args[0])(context, builder, array).data, [first])

        before, loop, after = builder.block, builder.append_basic_block("block"), builder.append_basic_block("found")
        builder.cbranch(builder.icmp_signed(">", size, index(0)), loop, after)
        builder.position_at_end(loop)
        k, best = builder.phi(index), builder.phi(vector)
        place = builder.bitcast(builder.gep(start, [k]), vector.as_pointer())
        numbers = builder.load(place, align=number.get_abi_size(context.target_data))
        found, following = _larger(builder, numbers, best), builder.add(k, index(_AT_ONCE))
        for phi, given, later in ((k, index(0), following), (best, lowest, found)):
            phi.add_incoming(given, before)
            phi.add_incoming(later, loop)
        builder.cbranch(builder.icmp_signed("<", following, size), loop, after)

        builder.position_at_end(after)
        result = builder.phi(vector)
        result.add_incoming(lowest, before)
        result.add_incoming(found, loop)
        width = _AT_ONCE
        while width > 1:
            width //= 2
            undefined = ir.Constant(result.type, ir.Undefined)
            halves = [
                builder.shuffle_vector(result, undefined, ir.Constant(ir.VectorType(_index, width), list(places)))
                for places in (range(width), range(width, 2 * width))
            ]
            result = _larger(builder, *halves)
        return builder.extract_element(result, _index(0))

    n = numba.types.intp
    return x.dtype(x, n, n), generate


@part
def highest(x: Any, r: Any, count: Any) -> Any:
    """The largest of the first ``count`` float32 in row r of contiguous memory; minus infinity if there are none.

    NaN are passed over.
    """
    whole = count // _AT_ONCE * _AT_ONCE
    best = _of_blocks(x, r * x.shape[1], whole)
    for j in range(whole, count):
        best = x[r, j] if x[r, j] > best else best
    return best
