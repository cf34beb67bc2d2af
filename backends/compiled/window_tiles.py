"""Sums over windows of an image with the results in vector registers, written down for LLVM.

An image is flat memory; a window's elements are found by two tables: where the window of each pixel begins, and how far
from there each of its elements (a tap) lies. So kernels, strides, dilations, groups and dimensions are all alike here.
Nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic

from chainrule.backends.compiled.jit import part

#: bytes of the results of one pixel in a tile, in the wide one and the narrow one
WIDE, NARROW = 64, 32

#: pixels of a tile: as many as leave a register for the operands
_PIXELS = {WIDE: 6, NARROW: 8}

#: taps of a tile of products
TAPS = 6

_32 = ir.IntType(32)


class _Builder:
    """What both kinds of tile need of LLVM."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any, width: int) -> None:
        self.context, self.builder, self.signature, self.arguments = context, builder, signature, arguments
        number = context.get_value_type(signature.args[0].dtype)
        self.align = 8 if number == ir.DoubleType() else 4
        self.lanes = width // self.align
        self.vector = ir.VectorType(number, self.lanes)

    def place(self, position: int, at: Any) -> Any:
        """The address of element ``at`` of an argument."""
        array = self.context.make_array(self.signature.args[position])(
            self.context, self.builder, self.arguments[position]
        )
        return self.builder.gep(array.data, [at])

    def load(self, pointer: Any) -> Any:
        return self.builder.load(self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.align)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, self.vector.as_pointer()), align=self.align)

    def everywhere(self, pointer: Any) -> Any:
        """A vector with the number at an address in each lane."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        one = self.builder.insert_element(undefined, self.builder.load(pointer), _32(0))
        return self.builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(_32, self.lanes), None))

    def sums(self, start: list[Any], count: Any, step: Callable[[Any], tuple[list[Any], Any]]) -> list[Any]:
        """``start[r] += factors[r] * line`` for each of ``count`` > 0 steps, where ``step(k)`` gives both."""
        builder, index = self.builder, count.type
        before, loop, after = builder.block, builder.append_basic_block("k"), builder.append_basic_block("summed")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(index)
        sums = [builder.phi(self.vector) for _ in start]
        factors, line = step(k)
        added = [
            builder.fadd(total, builder.fmul(factor, line, flags=["contract"]), flags=["contract"])
            for total, factor in zip(sums, factors, strict=True)
        ]
        following = builder.add(k, index(1))
        k.add_incoming(index(0), before)
        k.add_incoming(following, loop)
        for total, first, value in zip(sums, start, added, strict=True):
            total.add_incoming(first, before)
            total.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
        builder.position_at_end(after)
        return added


def _results(width: int) -> Any:
    """``out[r, j] = first[j] + sum_t x[pixels[r] + starts[t]] weights[t, j]`` for the pixels and lanes of a tile."""
    pixels_of_tile = _PIXELS[width]

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        b = _Builder(context, builder, signature, arguments, width)
        _, x_at, _, pixel, _, _, w_at, _, first_at, _, out_at, out_step, taps = arguments
        index = taps.type
        image, pixels, starts = b.place(0, x_at), b.place(2, pixel), b.place(4, index(0))
        weights, results = b.place(5, w_at), b.place(9, out_at)
        windows = [builder.gep(image, [builder.load(builder.gep(pixels, [index(r)]))]) for r in range(pixels_of_tile)]
        first = b.load(b.place(7, first_at))

        def step(t: Any) -> tuple[list[Any], Any]:
            along = builder.load(builder.gep(starts, [t]))
            factors = [b.everywhere(builder.gep(window, [along])) for window in windows]
            return factors, b.load(builder.gep(weights, [builder.mul(t, index(b.lanes))]))

        for r, total in enumerate(b.sums([first] * pixels_of_tile, taps, step)):
            b.store(total, builder.gep(results, [builder.mul(out_step, index(r))]))
        return context.get_dummy_value()

    @intrinsic
    def tile(
        _: Any,
        x: Any,
        x_at: Any,
        pixels: Any,
        pixel: Any,
        starts: Any,
        weights: Any,
        w_at: Any,
        first: Any,
        first_at: Any,
        out: Any,
        out_at: Any,
        out_step: Any,
        taps: Any,
    ) -> Any:
        n = numba.types.intp
        return numba.types.void(x, n, pixels, n, starts, weights, n, first, n, out, n, n, n), generate

    return tile


_wide, _narrow = _results(WIDE), _results(NARROW)


@part
def window_sums(
    x: Any,
    x_at: Any,
    pixels: Any,
    count: Any,
    starts: Any,
    weights: Any,
    w_at: Any,
    lanes: Any,
    first: Any,
    first_at: Any,
    filters: Any,
    out: Any,
    out_at: Any,
    out_step: Any,
    tile: Any,
) -> None:
    """``out[p, k] = first[k] + sum_t x[pixels[p] + starts[t]] weights[t, k]`` for p < count and k < filters.

    ``weights``: panels of ``lanes`` filters, each (taps, lanes), with zeros at the end; ``first`` ends in as many.
    ``pixels`` has 8 at least, of which ``count`` are wanted. ``tile``: memory for 128 results.
    """
    taps, wide = starts.size, lanes * x.itemsize == WIDE
    some = 6 if wide else 8
    for k in range(0, filters, lanes):
        there, panel = first_at + k, w_at + k * taps
        used = min(lanes, filters - k)
        whole = used == lanes and count >= some
        for p in range(0, count, some):
            p = max(min(p, count - some), 0)
            to, step = out_at + p * out_step + k, out_step
            target = out
            if not whole:
                target, to, step = tile, 0, lanes
            if wide:
                _wide(x, x_at, pixels, p, starts, weights, panel, first, there, target, to, step, taps)
            else:
                _narrow(x, x_at, pixels, p, starts, weights, panel, first, there, target, to, step, taps)
            if not whole:
                for r in range(min(some, count - p)):
                    for j in range(used):
                        out[out_at + (p + r) * out_step + k + j] = tile[r * lanes + j]


@intrinsic
def _products(
    _: Any, x: Any, x_at: Any, starts: Any, tap: Any, pixels: Any, y: Any, y_at: Any, out: Any, out_at: Any, count: Any
) -> Any:
    """``out[r, j] += sum_p x[pixels[p] + starts[tap + r]] y[p, j]`` for the taps of a tile and its lanes, p < count."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        b = _Builder(context, builder, signature, arguments, WIDE)
        _, x_at, _, tap, _, _, y_at, _, out_at, count = arguments
        index = count.type
        image, starts, pixels = b.place(0, x_at), b.place(2, tap), b.place(4, index(0))
        lines, results = b.place(5, y_at), b.place(7, out_at)
        shifted = [builder.gep(image, [builder.load(builder.gep(starts, [index(r)]))]) for r in range(TAPS)]
        targets = [builder.gep(results, [index(r * b.lanes)]) for r in range(TAPS)]

        def step(p: Any) -> tuple[list[Any], Any]:
            along = builder.load(builder.gep(pixels, [p]))
            factors = [b.everywhere(builder.gep(there, [along])) for there in shifted]
            return factors, b.load(builder.gep(lines, [builder.mul(p, index(b.lanes))]))

        for target, total in zip(targets, b.sums([b.load(t) for t in targets], count, step), strict=True):
            b.store(total, target)
        return context.get_dummy_value()

    n = numba.types.intp
    return numba.types.void(x, n, starts, n, pixels, y, n, out, n, n), generate


@part
def window_products(
    x: Any, x_at: Any, starts: Any, pixels: Any, count: Any, y: Any, y_at: Any, out: Any, out_at: Any
) -> None:
    """``out[t, j] += sum_p x[pixels[p] + starts[t]] y[p, j]`` over p < count, for 64 bytes of j.

    The number of taps is a multiple of 6.
    """
    lanes = WIDE // x.itemsize
    for t in range(0, starts.size, TAPS):
        _products(x, x_at, starts, t, pixels, y, y_at, out, out_at + t * lanes, count)
