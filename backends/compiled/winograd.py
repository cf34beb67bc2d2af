"""Winograd's transforms as compiled loops; ``cpu_winograd_transforms.py`` has the same four in NumPy.

A loop works on ``_LANES`` channels at a time, in buffers that fit the first-level cache and whose rows are a constant
number of elements apart: so the compiler knows that they do not overlap, and uses vector instructions. Indices are
unsigned, as signed ones are asked each time whether they count from the end. Images come flat and contiguous, channels
first (``planar``) or last: a layout costs no copy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.backends.compiled.jit import inlined, loop
from chainrule.backends.pool import scratch

Array = np.ndarray

_LANES = 32
_COLUMN = 6 * _LANES

#: of a filter's channels, how many are read at a time: neighbours in memory
_CHANNELS = 8

_f, _u = np.float32, np.uintp
_ALL, _2, _3, _4, _5 = _u(_LANES), _u(2), _u(3), _u(4), _u(5)


@inlined
def _copy(x: Any, a: Any, y: Any, b: Any, size: Any) -> None:
    a, b = _u(a), _u(b)
    for e in range(_u(size)):
        y[b + e] = x[a + e]


@inlined
def _zero(y: Any, a: Any, size: Any) -> None:
    a = _u(a)
    for e in range(_u(size)):
        y[a + e] = _f(0)


@inlined
def _load(
    x: Any, planar: Any, size: Any, image: Any, top: Any, left: Any, rows: Any, width: Any, c0: Any, y: Any, apart: Any
) -> None:
    """Pixels (rows, width) of an image from (top, left) and channel c0 on, as y (width, 6, lanes); zeros outside.

    ``apart``: how far apart these pixels are in the image, and where the first is.
    """
    c, h, w = size
    step, down, right = apart
    lanes = min(_LANES, c - c0)
    r0, r1 = max(0, -top), min(rows, (h - down + step - 1) // step - top)
    q0, q1 = max(0, -left), min(width, (w - right + step - 1) // step - left)
    if r0 > 0 or r1 < rows or lanes < _LANES:
        _zero(y, 0, width * _COLUMN)
    else:
        _zero(y, 0, q0 * _COLUMN)
        _zero(y, q1 * _COLUMN, (width - q1) * _COLUMN)
    if planar:
        for e in range(lanes):
            for r in range(r0, r1):
                line = ((image * c + c0 + e) * h + (top + r) * step + down) * w + left * step + right
                place = r * _LANES + e
                for q in range(q0, q1):
                    y[_u(place) + _u(q) * _u(_COLUMN)] = x[_u(line) + _u(q) * _u(step)]
    else:
        for r in range(r0, r1):
            for q in range(q0, q1):
                place = (image * h + (top + r) * step + down) * w + (left + q) * step + right
                _copy(x, place * c + c0, y, q * _COLUMN + r * _LANES, lanes)


@inlined
def _analyse(x: Any, a: Any, s: Any, y: Any, b: Any, t: Any) -> None:
    """Six inputs from x[a] on, s apart, to six from y[b] on, t apart."""
    a, s, b, t = _u(a), _u(s), _u(b), _u(t)
    for e in range(_ALL):
        i, o = a + e, b + e
        d0, d1, d2 = x[i], x[i + s], x[i + _2 * s]
        d3, d4, d5 = x[i + _3 * s], x[i + _4 * s], x[i + _5 * s]
        even, odd = d4 - _f(4) * d2, d3 - _f(4) * d1
        near, far = d4 - d2, _f(2) * (d3 - d1)
        y[o] = _f(4) * (d0 - d2) + near
        y[o + t] = even + odd
        y[o + _2 * t] = even - odd
        y[o + _3 * t] = near + far
        y[o + _4 * t] = near - far
        y[o + _5 * t] = d5 - d3 - _f(2) * far


@inlined
def _combine(m: Any, x: Any, a: Any, s: Any, y: Any, b: Any, t: Any) -> None:
    """Six products from x[a] on, s apart, to m (4 or 2) results from y[b] on, t apart."""
    a, s, b, t = _u(a), _u(s), _u(b), _u(t)
    if m == 4:
        for e in range(_ALL):
            i, o = a + e, b + e
            p1, p2, p3, p4 = x[i + s], x[i + _2 * s], x[i + _3 * s], x[i + _4 * s]
            p0, p5 = x[i], x[i + _5 * s]
            even, odd = p1 + p2, p1 - p2
            far, farther = p3 + p4, p3 - p4
            y[o] = p0 + even + far
            y[o + t] = odd + _f(2) * farther
            y[o + _2 * t] = even + _f(4) * far
            y[o + _3 * t] = odd + _f(8) * farther + p5
    else:
        for e in range(_ALL):
            i, o = a + e, b + e
            p1, p2, p3, p4 = x[i + s], x[i + _2 * s], x[i + _3 * s], x[i + _4 * s]
            p0, p5 = x[i], x[i + _5 * s]
            y[o] = p0 + (p1 + p2) + (p3 + p4)
            y[o + t] = (p1 - p2) + _f(2) * (p3 - p4) + p5


@inlined
def _spread(m: Any, x: Any, a: Any, s: Any, y: Any, b: Any, t: Any) -> None:
    """The opposite of :func:`_combine`, its transpose: m gradients to six."""
    a, s, b, t = _u(a), _u(s), _u(b), _u(t)
    if m == 4:
        for e in range(_ALL):
            i, o = a + e, b + e
            g0, g1, g2, g3 = x[i], x[i + s], x[i + _2 * s], x[i + _3 * s]
            even, odd = g0 + g2, g1 + g3
            far, farther = g0 + _f(4) * g2, _f(2) * g1 + _f(8) * g3
            y[o] = g0
            y[o + t] = even + odd
            y[o + _2 * t] = even - odd
            y[o + _3 * t] = far + farther
            y[o + _4 * t] = far - farther
            y[o + _5 * t] = g3
    else:
        for e in range(_ALL):
            i, o = a + e, b + e
            g0, g1 = x[i], x[i + s]
            y[o] = g0
            y[o + t] = g0 + g1
            y[o + _2 * t] = g0 - g1
            y[o + _3 * t] = g0 + _f(2) * g1
            y[o + _4 * t] = g0 - _f(2) * g1
            y[o + _5 * t] = g1


@loop
def _inputs(
    x: Any, planar: Any, size: Any, step: Any, block: Any, m: Any, tw: Any, padding: Any, buffers: Any, y: Any, tap: Any
) -> None:
    first, end, top, bottom = block
    (ph, pw), (pixels, patch, square) = padding, buffers
    c, width = size[0], tw * m + 6 - m
    tile = 0
    for image in range(first, end):
        for i in range(top, bottom):
            for phase in range(step * step):
                apart = (step, phase // step, phase % step)
                for c0 in range(0, c, _LANES):
                    _load(x, planar, size, image, i * m - ph, -pw, 6, width, c0, pixels, apart)
                    for q in range(width):
                        _analyse(pixels, q * _COLUMN, _LANES, patch, q * _COLUMN, _LANES)
                    for j in range(tw):
                        to = ((tile + j) * step * step + phase) * c + c0
                        for r in range(6):
                            _analyse(patch, j * m * _COLUMN + r * _LANES, _COLUMN, square, 0, _LANES)
                            for q in range(6):
                                _copy(square, q * _LANES, y, (r * 6 + q) * tap + to, min(_LANES, c - c0))
            tile += tw


@loop
def _gradients(
    x: Any, planar: Any, size: Any, block: Any, m: Any, tw: Any, filters: Any, buffers: Any, y: Any, tap: Any
) -> None:
    first, end, top, bottom = block
    (k0, k1), (pixels, patch, square) = filters, buffers
    width, k = tw * m, k1 - k0
    tile = 0
    for image in range(first, end):
        for i in range(top, bottom):
            for c0 in range(k0, k1, _LANES):
                _load(x, planar, size, image, i * m, 0, m, width, c0, pixels, (1, 0, 0))
                for q in range(width):
                    _spread(m, pixels, q * _COLUMN, _LANES, patch, q * _COLUMN, _LANES)
                for j in range(tw):
                    for r in range(6):
                        _spread(m, patch, j * m * _COLUMN + r * _LANES, _COLUMN, square, 0, _LANES)
                        for q in range(6):
                            place = (r * 6 + q) * tap + (tile + j) * k + c0 - k0
                            _copy(square, q * _LANES, y, place, min(_LANES, k1 - c0))
            tile += tw


@loop
def _results(
    x: Any, tap: Any, bias: Any, block: Any, m: Any, tw: Any, filters: Any, buffers: Any, y: Any, size: Any, step: Any
) -> None:
    first, end, top, bottom = block
    (k0, k1), (half, square), (h, w, c) = filters, buffers, size
    tile = 0
    for image in range(first, end):
        for i in range(top, bottom):
            for j in range(tw):
                for phase in range(step * step):
                    down, right = phase // step, phase % step
                    stop = min(k1, (phase + 1) * c)
                    for c0 in range(max(k0, phase * c), stop, _LANES):
                        for q in range(6):
                            _combine(m, x, q * tap + tile * (k1 - k0) + c0 - k0, 6 * tap, half, q * _LANES, _COLUMN)
                        for a in range(min(m, (h - down + step - 1) // step - i * m)):
                            _combine(m, half, a * _COLUMN, _LANES, square, 0, _LANES)
                            line = image * h + (i * m + a) * step + down
                            for b in range(min(m, (w - right + step - 1) // step - j * m)):
                                place = (line * w + (j * m + b) * step + right) * c + c0 - phase * c
                                for e in range(min(_LANES, stop - c0)):
                                    result = square[_u(b * _LANES) + _u(e)] + bias[_u(c0) + _u(e)]
                                    y[_u(place) + _u(e)] = result
                tile += 1


@inlined
def _expand(r: Any, x: Any, a: Any, s: Any, y: Any, b: Any, t: Any) -> None:
    """r (3 or 5) weights of a filter from x[a] on, s apart, to six from y[b] on, t apart."""
    a, s, b, t = _u(a), _u(s), _u(b), _u(t)
    for e in range(_ALL):
        i, o = a + e, b + e
        w0, w1, w2 = x[i], x[i + s], x[i + _2 * s]
        w3 = x[i + _3 * s] if r == 5 else _f(0)
        w4 = x[i + _4 * s] if r == 5 else _f(0)
        even, odd = _f(-1 / 6) * (w0 + w2 + w4), _f(-1 / 6) * (w1 + w3)
        far, farther = _f(1 / 24) * (w0 + _f(4) * w2 + _f(16) * w4), _f(1 / 12) * (w1 + _f(4) * w3)
        y[o] = _f(0.25) * w0
        y[o + t] = even + odd
        y[o + _2 * t] = even - odd
        y[o + _3 * t] = far + farther
        y[o + _4 * t] = far - farther
        y[o + _5 * t] = w4 if r == 5 else w2


@loop
def _filters(r: Any, x: Any, buffers: Any, y: Any, tap: Any, row: Any) -> None:
    stage, half, square = buffers
    _, c, k = x.shape
    for k0 in range(0, k, _LANES):
        lanes = min(_LANES, k - k0)
        for first in range(0, c, _CHANNELS):
            channels = min(_CHANNELS, c - first)
            for e in range(lanes):
                place = e
                for channel in range(first, first + channels):
                    for t in range(r * r):
                        stage[_u(place)] = x[t, channel, k0 + e]
                        place += _LANES
            for channel in range(channels):
                for j in range(r):
                    _expand(r, stage, (channel * r * r + j) * _LANES, r * _LANES, half, j * _LANES, _COLUMN)
                for i in range(6):
                    _expand(r, half, i * _COLUMN, _LANES, square, 0, _LANES)
                    for j in range(6):
                        place = (i * 6 + j) * tap + (first + channel) * row + k0
                        _copy(square, j * _LANES, y, place, lanes)


def _flat(x: Array) -> tuple[Array, bool]:
    """The elements of (N, H, W, C) in the order of memory, and whether that is (N, C, H, W)."""
    planes = x.transpose(0, 3, 1, 2)
    if planes.flags.c_contiguous and not x.flags.c_contiguous:
        return planes.reshape(-1), True
    return np.ascontiguousarray(x).reshape(-1), False


def _memory(x: Array) -> tuple[Array, list[int]]:
    """What lies between the first element of x and its last, and the strides of x in elements."""
    steps = [s // x.itemsize for s in x.strides]
    size = 1 + sum((n - 1) * s for n, s in zip(x.shape, steps))
    return np.lib.stride_tricks.as_strided(x, (size,), (x.itemsize,)), steps


def _buffers(**squares: int) -> tuple[Array, ...]:
    """This thread's memory for so many columns of six pixels."""
    return tuple(scratch(name, (count * _COLUMN,), np.float32) for name, count in squares.items())


def inputs(tiles: Any) -> Callable[[Any, Array], None]:
    """As ``cpu_winograd_transforms.inputs``."""
    flat, planar = _flat(tiles.x)
    _, h, w, c = tiles.x.shape
    m, tw, step = tiles.m, tiles.tw, tiles.step

    def run(block: Any, out: Array) -> None:
        memory, (tap, *_) = _memory(out)
        buffers = _buffers(pixels=tw * m + 6 - m, patch=tw * m + 6 - m, square=1)
        _inputs(flat, planar, (c, h, w), step, block, m, tw, tiles.padding, buffers, memory, tap)

    return run


def gradients(tiles: Any, g: Array) -> Callable[[Any, int, int, Array], None]:
    """As ``cpu_winograd_transforms.gradients``."""
    flat, planar = _flat(g)
    _, h, w, k = g.shape
    m, tw = tiles.m, tiles.tw

    def run(block: Any, k0: int, k1: int, out: Array) -> None:
        memory, (tap, *_) = _memory(out)
        buffers = _buffers(pixels=tw * m, patch=tw * m, square=1)
        _gradients(flat, planar, (k, h, w), block, m, tw, (k0, k1), buffers, memory, tap)

    return run


def results(
    tiles: Any, products: Array, bias: Array | None, block: Any, k0: int, k1: int, out: Array, step: int = 1
) -> None:
    """As ``cpu_winograd_transforms.results``; with a step, results of K / step**2 channels, so many as pixels."""
    memory, (tap, *_) = _memory(products)
    k = out.shape[3] * step * step
    bias = np.zeros(k, np.float32) if bias is None else np.ascontiguousarray(bias)
    buffers = _buffers(half=6, square=1)
    _results(memory, tap, bias, block, tiles.m, tiles.tw, (k0, k1), buffers, out.reshape(-1), out.shape[1:], step)


def filters(weight: Array, out: Array) -> None:
    """As ``cpu_winograd_transforms.filters``."""
    memory, (tap, row, _) = _memory(out)
    r, _, c, k = weight.shape
    buffers = _buffers(stage=_CHANNELS * r, half=6, square=1)  # r pixels are enough for a column of the stage
    _filters(r, weight.reshape(r * r, c, k), buffers, memory, tap, row)
