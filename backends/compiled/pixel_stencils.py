"""Compiled loops of depthwise convolution in channels-last memory: the signals of ``stencils.py``, of whole pixels.

A run of a row's pixels times a run of the filters' elements, which repeat from pixel to pixel: ``tiled`` has them for
some pixels one after another, so that loops are long for few channels too.
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.compiled.jit import loop, part


@part
def _fill(out: Any, value: Any) -> None:
    for m in range(out.size):
        out[m] = value


@part
def _copy(of: Any, to: Any) -> None:
    for m in range(to.size):
        to[m] = of[m]


@part
def _spread(image: Any, size: Any, top: int, left: int, rows: int, columns: int, sh: int, sw: int, signal: Any) -> None:
    """Write an image of ``size`` (H, W, C) into ``signal`` as (sh, sw, rows, columns, C), with zeros around it.

    Pixel (y, x) goes to (y + top, x + left), or is left out where there is no such place.
    """
    height, width, channels = size
    _fill(signal, 0)
    for y in range(max(0, -top), min(height, rows * sh - top)):
        u = y + top
        line = image[y * width * channels :]
        for b in range(sw):
            x = (b - left) % sw  # the first pixel of this row that goes to column b, b + sw, ..
            while x + left < 0:
                x += sw
            start = (((u % sh * sw + b) * rows + u // sh) * columns + (x + left) // sw) * channels
            count = min((width - x + sw - 1) // sw, columns - (x + left) // sw)
            if count <= 0:
                continue
            if sw == 1:
                _copy(line[x * channels :], signal[start : start + count * channels])
            else:
                for q in range(count):
                    to = start + q * channels
                    _copy(line[(x + q * sw) * channels :], signal[to : to + channels])


@part
def _add_nine(s: Any, k: Any, w: Any, out: Any) -> None:
    """``out[m] +=`` nine shifts of ``s``, by ``k``, with their weights."""
    s0, s1, s2, s3, s4 = s[k[0] :], s[k[1] :], s[k[2] :], s[k[3] :], s[k[4] :]
    s5, s6, s7, s8 = s[k[5] :], s[k[6] :], s[k[7] :], s[k[8] :]
    w0, w1, w2, w3, w4, w5, w6, w7, w8 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8]
    for m in range(out.size):
        first = w0[m] * s0[m] + w1[m] * s1[m] + w2[m] * s2[m]
        second = w3[m] * s3[m] + w4[m] * s4[m] + w5[m] * s5[m]
        out[m] += first + second + (w6[m] * s6[m] + w7[m] * s7[m] + w8[m] * s8[m])


@part
def _add_three(s: Any, k: Any, w: Any, out: Any) -> None:
    s0, s1, s2, w0, w1, w2 = s[k[0] :], s[k[1] :], s[k[2] :], w[0], w[1], w[2]
    for m in range(out.size):
        out[m] += w0[m] * s0[m] + w1[m] * s1[m] + w2[m] * s2[m]


@part
def _add_one(s: Any, k: Any, w: Any, out: Any) -> None:
    s0, w0 = s[k[0] :], w[0]
    for m in range(out.size):
        out[m] += w0[m] * s0[m]


@part
def _shifted_sums(signal: Any, starts: Any, tiled: Any, first: Any, out: Any) -> None:
    """``out[m] = first[m] + sum of tiled[t][m] * signal[starts[t] + m]``, where rows of ``tiled`` repeat."""
    taps, run = starts.size, first.size
    for a in range(0, out.size, run):
        part, moved = out[a : a + run], signal[a:]
        _copy(first, part)
        t = 0
        while t + 9 <= taps:
            _add_nine(moved, starts[t:], tiled[t:], part)
            t += 9
        while t + 3 <= taps:
            _add_three(moved, starts[t:], tiled[t:], part)
            t += 3
        while t < taps:
            _add_one(moved, starts[t:], tiled[t:], part)
            t += 1


@loop
def forward(image: Any, size: Any, geometry: Any, starts: Any, tiled: Any, first: Any, signal: Any, out: Any) -> None:
    """Convolve some rows of an image, flat and of ``size`` (H, W, C), into ``out`` (rows, OW * C)."""
    top, left, rows, columns, sh, sw = geometry
    _spread(image, size, top, left, rows, columns, sh, sw, signal)
    step = columns * size[2]
    for r in range(out.shape[0]):
        _shifted_sums(signal[r * step :], starts, tiled, first, out[r])


@loop
def input_gradient(
    gradient: Any,
    size: Any,
    geometry: Any,
    border: Any,
    stride: Any,
    starts: Any,
    bounds: Any,
    tiled: Any,
    zeros: Any,
    signal: Any,
    line: Any,
    out: Any,
) -> None:
    """The gradient for rows of an image, written to ``out`` (rows, W * C), from that of the result, (OH, OW, C) flat.

    Args:
        geometry: how the gradient becomes a signal.
        border: the place of the first pixel of ``out`` in the image with its border.
        starts: where the taps look for the first row. Those that lead to row and column i, j modulo the strides are
            ``bounds[n]:bounds[n + 1]`` with n = i * sw + j.
    """
    top, left, rows, columns, _, _ = geometry
    (y0, x0), (sh, sw), channels = border, stride, size[2]
    width = out.shape[1] // channels
    _spread(gradient, size, top, left, rows, columns, 1, 1, signal)
    for y in range(out.shape[0]):
        u = y + y0
        moved, target = signal[(u // sh - y0 // sh) * columns * channels :], out[y]
        for b in range(sw):
            i = u % sh * sw + b
            taps, weights = starts[bounds[i] : bounds[i + 1]], tiled[bounds[i] : bounds[i + 1]]
            x = (b - x0) % sw  # the first pixel of this kind
            if x >= width:
                continue
            shifted = moved[(x + x0) // sw * channels :]
            if sw == 1:
                _shifted_sums(shifted, taps, weights, zeros, target)
                continue
            count = (width - x + sw - 1) // sw
            _shifted_sums(shifted, taps, weights, zeros, line[: count * channels])
            for q in range(count):
                to = (x + q * sw) * channels
                _copy(line[q * channels :], target[to : to + channels])


@part
def _add_four_products(s: Any, g: Any, run: int, out: Any) -> None:
    s0, s1, s2, s3 = s, s[run:], s[2 * run :], s[3 * run :]
    g0, g1, g2, g3 = g, g[run:], g[2 * run :], g[3 * run :]
    for m in range(out.size):
        out[m] += s0[m] * g0[m] + s1[m] * g1[m] + (s2[m] * g2[m] + s3[m] * g3[m])


@part
def _add_products(s: Any, g: Any, out: Any) -> None:
    for m in range(out.size):
        out[m] += s[m] * g[m]


@loop
def weight_gradient(image: Any, size: Any, gradient: Any, geometry: Any, starts: Any, signal: Any, sums: Any) -> None:
    """Add the gradient of the filters to ``sums``, from an image and the gradient of its result, (rows, OW * C).

    The image is flat and of ``size`` (H, W, C); ``sums`` (T, run) has some pixels one after another, as ``tiled`` has.
    """
    top, left, rows, columns, sh, sw = geometry
    _spread(image, size, top, left, rows, columns, sh, sw, signal)
    step, run = columns * size[2], sums.shape[1]
    for r in range(gradient.shape[0]):
        for t in range(starts.size):
            s, g, total = signal[r * step + starts[t] :], gradient[r], sums[t]
            a = 0
            while a + 4 * run <= g.size:
                _add_four_products(s[a:], g[a:], run, total)
                a += 4 * run
            while a < g.size:
                _add_products(s[a:], g[a:], total[: g.size - a])
                a += run
