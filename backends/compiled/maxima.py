"""Compiled loops of max pooling: maxima of shifted signals (see ``stencils.py``) in planes, of pixels in channels-last.

NaN is the maximum of its window, as in NumPy. The gradient goes to the first maximum of a window; none is equal to NaN.
"""

from __future__ import annotations

from typing import Any

from chainrule.backends.compiled.jit import inlined, loop
from chainrule.backends.compiled.stencils import fill, gather, spread

#: elements of a signal that are worked on at once
_RUN = 2048


@inlined
def _larger(a: Any, b: Any) -> Any:
    larger = a if a > b else b  # b where it is NaN
    return larger if a == a else a


@loop
def _raise_three(s: Any, k: Any, out: Any) -> None:
    s0, s1, s2 = s[k[0] :], s[k[1] :], s[k[2] :]
    for m in range(out.size):
        out[m] = _larger(_larger(s0[m], s1[m]), _larger(s2[m], out[m]))


@loop
def _raise(s: Any, out: Any) -> None:
    for m in range(out.size):
        out[m] = _larger(s[m], out[m])


@loop
def forward_of_four(images: Any, out: Any) -> None:
    """The maxima (P, OH, OW) of windows of 2x2 side by side."""
    for p in range(images.shape[0]):
        for r in range(out.shape[1]):
            upper, lower, target = images[p, 2 * r], images[p, 2 * r + 1], out[p, r]
            for q in range(target.size):
                first = _larger(upper[2 * q], upper[2 * q + 1])
                target[q] = _larger(first, _larger(lower[2 * q], lower[2 * q + 1]))


@loop
def forward(images: Any, geometry: Any, starts: Any, lowest: Any, signal: Any, full: Any, out: Any) -> None:
    """The maxima (P, OH, OW) of the windows of planes (P, H, W); the border is ``lowest``."""
    top, left, rows, columns, sh, sw = geometry
    _, oh, ow = out.shape
    size = (oh - 1) * columns + ow
    fill(signal, lowest)
    for p in range(images.shape[0]):
        spread(images[p], top, left, rows, columns, sh, sw, signal)
        for a in range(0, size, _RUN):
            part, moved = full[a : min(a + _RUN, size)], signal[a:]
            fill(part, lowest)
            t = 0
            while t + 3 <= starts.size:
                _raise_three(moved, starts[t:], part)
                t += 3
            while t < starts.size:
                _raise(moved[starts[t] :], part)
                t += 1
        gather(full, 0, 0, oh, columns, 1, 1, out[p])


@loop
def _take(s: Any, best: Any, rest: Any, out: Any) -> None:
    """Move from ``rest`` to ``out`` where ``s`` is the best."""
    zero = rest[0] * 0
    for m in range(rest.size):
        hit, g = s[m] == best[m], rest[m]
        out[m] += g if hit else zero
        rest[m] = zero if hit else g


@loop
def input_gradient(
    images: Any,
    values: Any,
    gradients: Any,
    geometry: Any,
    starts: Any,
    lowest: Any,
    signal: Any,
    back: Any,
    best: Any,
    rest: Any,
    out: Any,
) -> None:
    """The gradients (P, OH, OW) at the first places of planes (P, H, W) that have the windows' maxima ``values``."""
    top, left, rows, columns, sh, sw = geometry
    oh = values.shape[1]
    fill(signal, lowest)
    fill(best, 0)
    fill(rest, 0)
    for p in range(images.shape[0]):
        spread(images[p], top, left, rows, columns, sh, sw, signal)
        spread(values[p], 0, 0, oh, columns, 1, 1, best)
        spread(gradients[p], 0, 0, oh, columns, 1, 1, rest)
        fill(back, 0)
        for t in range(starts.size):
            _take(signal[starts[t] :], best, rest, back[starts[t] :])
        gather(back, top, left, rows, columns, sh, sw, out[p])


# ---- channels-last memory -------------------------------------------------------------------------------------------


@loop
def forward_last(images: Any, sizes: Any, window: Any, lowest: Any, out: Any) -> None:
    """The maxima (N, OH * OW * C) of the windows of images (N, H * W * C).

    ``sizes``: H, W, C, OH, OW; ``window``: kernel, stride, padding, dilation.
    """
    h, w, channels, oh, ow = sizes
    kh, kw, sh, sw, ph, pw, dh, dw = window
    for n in range(images.shape[0]):
        fill(out[n], lowest)
        for r in range(oh):
            target = out[n, r * ow * channels : (r + 1) * ow * channels]
            for i in range(kh):
                y = r * sh - ph + i * dh
                if y < 0 or y >= h:
                    continue
                line = images[n, y * w * channels : (y + 1) * w * channels]
                for j in range(kw):
                    left = j * dw - pw
                    if sw == 1:  # all windows of the row at once
                        a, b = max(0, -left), min(ow, w - left)
                        if a < b:
                            _raise(line[(a + left) * channels :], target[a * channels : b * channels])
                        continue
                    for q in range(ow):
                        x = q * sw + left
                        if x >= 0 and x < w:
                            _raise(line[x * channels :], target[q * channels : (q + 1) * channels])


@loop
def _take_border(best: Any, lowest: Any, rest: Any) -> None:
    """The border is a maximum too where all of a window is as low."""
    for m in range(rest.size):
        rest[m] = 0 if best[m] == lowest else rest[m]


@loop
def input_gradient_last(
    images: Any, values: Any, gradients: Any, sizes: Any, window: Any, lowest: Any, rest: Any, out: Any
) -> None:
    """The gradients (N, OH * OW * C) at the first places of images (N, H * W * C) with the maxima ``values``."""
    h, w, channels, oh, ow = sizes
    kh, kw, sh, sw, ph, pw, dh, dw = window
    size = ow * channels
    for n in range(images.shape[0]):
        fill(out[n], 0)
        for r in range(oh):
            best, g = values[n, r * size : (r + 1) * size], gradients[n, r * size : (r + 1) * size]
            for m in range(size):
                rest[m] = g[m]
            for i in range(kh):
                y = r * sh - ph + i * dh
                if y < 0 or y >= h:
                    _take_border(best, lowest, rest)
                    continue
                line = images[n, y * w * channels : (y + 1) * w * channels]
                back = out[n, y * w * channels : (y + 1) * w * channels]
                for j in range(kw):
                    left = j * dw - pw
                    if sw == 1:
                        a = min(max(0, -left), ow)
                        b = max(min(ow, w - left), a)
                        _take_border(best[: a * channels], lowest, rest[: a * channels])
                        if a < b:
                            at = (a + left) * channels
                            part = rest[a * channels : b * channels]
                            _take(line[at:], best[a * channels :], part, back[at:])
                        _take_border(best[b * channels :], lowest, rest[b * channels :])
                        continue
                    for q in range(ow):
                        x, part = q * sw + left, rest[q * channels : (q + 1) * channels]
                        if x >= 0 and x < w:
                            _take(line[x * channels :], best[q * channels :], part, back[x * channels :])
                        else:
                            _take_border(best[q * channels :], lowest, part)
