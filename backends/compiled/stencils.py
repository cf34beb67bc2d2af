"""Compiled loops of depthwise convolution: weighted sums of shifted signals.

In planes an image channel becomes a signal in which every shift of a window is a shift of the whole plane: its rows
stand behind each other with the border's zeros between them, and a stride of s splits it into s * s signals of the
pixels that are s apart. A convolution is then a weighted sum of shifts of these signals, in long runs for any width,
and so are its gradients. In channels-last memory the runs are those of the channels.
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.compiled.jit import loop

#: elements of a signal that are worked on at once: they and what they look at stay in the first-level cache
_RUN = 2048


@loop
def fill(out: Any, value: Any) -> None:
    for m in range(out.size):
        out[m] = value


@loop
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
            else:
                for m in range(count):
                    to[m] = line[m * sw]


@loop
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
            else:
                for m in range(count):
                    line[m * sw] = of[m]


@loop
def _add_nine(s: Any, k: Any, w: Any, out: Any) -> None:
    """``out[m] +=`` nine weighted shifts of ``s``, by ``k``."""
    s0, s1, s2, s3, s4 = s[k[0] :], s[k[1] :], s[k[2] :], s[k[3] :], s[k[4] :]
    s5, s6, s7, s8 = s[k[5] :], s[k[6] :], s[k[7] :], s[k[8] :]
    w0, w1, w2, w3, w4, w5, w6, w7, w8 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8]
    for m in range(out.size):
        first = w0 * s0[m] + w1 * s1[m] + w2 * s2[m]
        second = w3 * s3[m] + w4 * s4[m] + w5 * s5[m]
        out[m] += first + second + (w6 * s6[m] + w7 * s7[m] + w8 * s8[m])


@loop
def _add_three(s: Any, k: Any, w: Any, out: Any) -> None:
    s0, s1, s2, w0, w1, w2 = s[k[0] :], s[k[1] :], s[k[2] :], w[0], w[1], w[2]
    for m in range(out.size):
        out[m] += w0 * s0[m] + w1 * s1[m] + w2 * s2[m]


@loop
def _add_one(s: Any, k: Any, w: Any, out: Any) -> None:
    s0, w0 = s[k[0] :], w[0]
    for m in range(out.size):
        out[m] += w0 * s0[m]


@loop
def shifted_sums(signal: Any, starts: Any, weights: Any, first: Any, out: Any) -> None:
    """``out[m] = first + sum of weights[t] * signal[starts[t] + m]``."""
    taps = starts.size
    for a in range(0, out.size, _RUN):
        part, moved = out[a : a + _RUN], signal[a:]
        fill(part, first)
        t = 0
        while t + 9 <= taps:
            _add_nine(moved, starts[t:], weights[t:], part)
            t += 9
        while t + 3 <= taps:
            _add_three(moved, starts[t:], weights[t:], part)
            t += 3
        while t < taps:
            _add_one(moved, starts[t:], weights[t:], part)
            t += 1


@loop
def _three_products(s: Any, k: Any, other: Any, out: Any) -> None:
    s0, s1, s2 = s[k[0] :], s[k[1] :], s[k[2] :]
    p0 = p1 = p2 = other[0] * 0
    for m in range(other.size):
        p0 += s0[m] * other[m]
        p1 += s1[m] * other[m]
        p2 += s2[m] * other[m]
    out[0] += p0
    out[1] += p1
    out[2] += p2


@loop
def _one_product(s: Any, k: Any, other: Any, out: Any) -> None:
    s0, p0 = s[k[0] :], other[0] * 0
    for m in range(other.size):
        p0 += s0[m] * other[m]
    out[0] += p0


@loop
def shifted_products(signal: Any, starts: Any, other: Any, out: Any) -> None:
    """``out[t] = sum of signal[starts[t] + m] * other[m]``; ``out`` is in float64."""
    taps = starts.size
    fill(out, 0)
    for a in range(0, other.size, _RUN):
        part, moved = other[a : a + _RUN], signal[a:]
        t = 0
        while t + 3 <= taps:
            _three_products(moved, starts[t:], part, out[t:])
            t += 3
        while t < taps:
            _one_product(moved, starts[t:], part, out[t:])
            t += 1


@loop
def forward(
    images: Any, geometry: Any, starts: Any, weights: Any, biases: Any, first: int, signal: Any, full: Any, out: Any
) -> None:
    """Convolve planes (P, H, W), the first of which belongs to channel ``first``, into ``out`` (P, OH, OW).

    ``geometry``: the padding above and to the left, the rows and columns of a signal, the strides.
    """
    top, left, rows, columns, sh, sw = geometry
    channels = biases.size
    _, oh, ow = out.shape
    fill(signal, 0)
    for p in range(images.shape[0]):
        c = (first + p) % channels
        spread(images[p], top, left, rows, columns, sh, sw, signal)
        shifted_sums(signal, starts, weights[c], biases[c], full[: (oh - 1) * columns + ow])
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
    channels, size = weights.shape[0], rows * columns
    fill(full, 0)
    zero = weights[0, 0] * 0
    for p in range(gradients.shape[0]):
        c = (first + p) % channels
        spread(gradients[p], 0, 0, rows, columns, 1, 1, full[lead:])
        for i in range(sh * sw):
            a, b = bounds[i], bounds[i + 1]
            shifted_sums(full, starts[a:b], weights[c, a:b], zero, signal[i * size : (i + 1) * size])
        gather(signal, top, left, rows, columns, sh, sw, out[p])


@loop
def weight_gradient(images: Any, gradients: Any, geometry: Any, starts: Any, signal: Any, full: Any, out: Any) -> None:
    """For each plane of images (P, H, W) and gradients (P, OH, OW) the gradient of its filter, into ``out`` (P, T)."""
    top, left, rows, columns, sh, sw = geometry
    _, oh, ow = gradients.shape
    fill(signal, 0)
    fill(full, 0)
    for p in range(images.shape[0]):
        spread(images[p], top, left, rows, columns, sh, sw, signal)
        spread(gradients[p], 0, 0, oh, columns, 1, 1, full)
        shifted_products(signal, starts, full[: (oh - 1) * columns + ow], out[p])
