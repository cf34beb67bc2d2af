"""Compiled loops of depthwise convolution: weighted sums of shifted signals.

In planes an image channel becomes a signal in which every shift of a window is a shift of the whole plane: its rows
stand behind each other with the border's zeros between them, and a stride of s splits it into s * s signals of the
pixels that are s apart. A convolution is then a weighted sum of shifts of these signals, row by row or in long runs
where rows are short, and so are its gradients. In channels-last memory the runs are those of the channels.
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.compiled.jit import loop, part
from chainrule.backends.compiled.shifts import BYTES, long_sums, shifted_products, shifted_sums

#: elements whose products are added in their own dtype
_RUN = 2048


@part
def fill(out: Any, value: Any) -> None:
    for m in range(out.size):
        out[m] = value


@part
def spread(image: Any, top: int, left: int, rows: int, columns: int, sh: int, sw: int, signal: Any) -> None:
    """Write an image (H, W) into ``signal`` as (sh, sw, rows, columns): pixel (y, x) goes to (y + top, x + left).

    Pixels that this leads out of ``signal`` are left out; what no pixel goes to is left alone.
    """
    height, width = image.shape
    for y in range(max(0, -top), min(height, rows * sh - top)):
        u = y + top
        for b in range(sw):  # the pixels of this row that go to column b, b + sw, ..
            x = (b - left) % sw  # the first of them
            while x + left < 0:
                x += sw
            to = signal[((u % sh * sw + b) * rows + u // sh) * columns + (x + left) // sw :]
            count = min((width - x + sw - 1) // sw, columns - (x + left) // sw)
            line = image[y, x:]
            if sw == 1:
                for m in range(count):
                    to[m] = line[m]
            elif sw == 2:  # which vector instructions can do, other than any distance
                for m in range(count):
                    to[m] = line[2 * m]
            else:
                for m in range(count):
                    to[m] = line[m * sw]


@part
def gather(signal: Any, top: int, left: int, rows: int, columns: int, sh: int, sw: int, image: Any) -> None:
    """What :func:`spread` does, backwards; pixels that lie outside of ``signal`` become 0."""
    height, width = image.shape
    whole = top == left == 0 and height <= rows * sh and width <= columns * sw
    if not whole:
        for y in range(height):
            fill(image[y], 0)
    for y in range(max(0, -top), min(height, rows * sh - top)):
        u = y + top
        for b in range(sw):
            x = (b - left) % sw
            while x + left < 0:
                x += sw
            of = signal[((u % sh * sw + b) * rows + u // sh) * columns + (x + left) // sw :]
            count = min((width - x + sw - 1) // sw, columns - (x + left) // sw)
            line = image[y, x:]
            if sw == 1:
                for m in range(count):
                    line[m] = of[m]
            elif sw == 2:
                for m in range(count):
                    line[2 * m] = of[m]
            else:
                for m in range(count):
                    line[m * sw] = of[m]


@loop
def forward(
    images: Any, geometry: Any, starts: Any, weights: Any, biases: Any, first: int, signal: Any, full: Any, out: Any
) -> None:
    """Convolve planes (P, H, W), the first of which belongs to channel ``first``, into ``out`` (P, OH, OW).

    ``geometry``: the padding above and to the left, the rows and columns of a signal, the strides.
    """
    top, left, rows, columns, sh, sw = geometry
    channels, taps = biases.size, starts.size
    _, oh, ow = out.shape
    filters, results = weights.reshape(-1), out.reshape(-1)
    fill(signal, 0)
    for p in range(images.shape[0]):
        c = (first + p) % channels
        spread(images[p], top, left, rows, columns, sh, sw, signal)
        if ow >= BYTES // signal.itemsize:
            at = p * oh * ow
            shifted_sums(signal, 0, columns, starts, filters, c * taps, biases[c], results, at, ow, oh, ow)
        else:  # rows too short for vector instructions
            long_sums(signal, 0, starts, filters, c * taps, biases[c], full, 0, (oh - 1) * columns + ow)
            gather(full, 0, 0, oh, columns, 1, 1, out[p])


@loop
def input_gradient(
    gradients: Any,
    geometry: Any,
    starts: Any,
    bounds: Any,
    weights: Any,
    lead: int,
    first: int,
    signal: Any,
    full: Any,
    out: Any,
) -> None:
    """The gradients for planes (P, H, W), written to ``out``, from those of the results (P, OH, OW).

    ``starts`` and ``weights`` come by the signal they belong to: those of signal i are ``bounds[i]:bounds[i + 1]``.
    """
    top, left, rows, columns, sh, sw = geometry
    channels, size, taps = weights.shape[0], rows * columns, starts.size
    _, h, w = out.shape
    filters, results = weights.reshape(-1), out.reshape(-1)
    fill(full, 0)
    fill(signal, 0)
    zero = weights[0, 0] * 0
    for p in range(gradients.shape[0]):
        c = (first + p) % channels
        spread(gradients[p], 0, 0, rows, columns, 1, 1, full[lead:])
        if sh == sw == 1 and w >= BYTES // full.itemsize:
            at, to = top * columns + left, p * h * w
            shifted_sums(full, at, columns, starts, filters, c * taps, zero, results, to, w, h, w)
            continue
        for i in range(sh * sw):
            a, b = bounds[i], bounds[i + 1]
            if a < b:
                long_sums(full, 0, starts[a:b], filters, c * taps + a, zero, signal, i * size, size)
            else:  # what stood behind the signal before
                fill(signal[i * size : (i + 1) * size], 0)
        gather(signal, top, left, rows, columns, sh, sw, out[p])


@loop
def weight_gradient(
    images: Any, gradients: Any, geometry: Any, starts: Any, signal: Any, full: Any, sums: Any, out: Any
) -> None:
    """For each plane of images (P, H, W) and gradients (P, OH, OW) the gradient of its filter, into ``out`` (P, T)."""
    top, left, rows, columns, sh, sw = geometry
    _, oh, ow = gradients.shape
    flat, lanes = gradients.reshape(-1), BYTES // 2 // signal.itemsize
    fill(signal, 0)
    fill(full, 0)
    for p in range(images.shape[0]):
        fill(out[p], 0)
        spread(images[p], top, left, rows, columns, sh, sw, signal)
        if ow % lanes == 0:
            some = max(1, _RUN // ow)
            for r in range(0, oh, some):
                at, count = (p * oh + r) * ow, min(some, oh - r)
                shifted_products(signal, r * columns, columns, starts, flat, at, ow, count, ow, sums, out[p])
        else:
            spread(gradients[p], 0, 0, oh, columns, 1, 1, full)
            size = (oh - 1) * columns + ow
            for m in range(0, size, _RUN):
                count = (min(_RUN, size - m) + lanes - 1) // lanes * lanes
                shifted_products(signal, m, 0, starts, full, m, 0, 1, count, sums, out[p])
