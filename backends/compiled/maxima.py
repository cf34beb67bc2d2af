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
    return a if (a > b) | (a != a) else b


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
    _, oh, ow = values.shape
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
        image = images[n]
        for r in range(oh):
            for q in range(ow):
                at = (r * ow + q) * channels
                target = out[n, at : at + channels]
                fill(target, lowest)
                for i in range(kh):
                    y = r * sh - ph + i * dh
                    if y < 0 or y >= h:
                        continue
                    for j in range(kw):
                        x = q * sw - pw + j * dw
                        if x >= 0 and x < w:
                            _raise(image[(y * w + x) * channels :], target)


@loop
def input_gradient_last(
    images: Any, values: Any, gradients: Any, sizes: Any, window: Any, lowest: Any, rest: Any, out: Any
) -> None:
    """The gradients (N, OH * OW * C) at the first places of images (N, H * W * C) with the windows' maxima ``values``."""
    h, w, channels, oh, ow = sizes
    kh, kw, sh, sw, ph, pw, dh, dw = window
    zero = rest[0] * 0
    for n in range(images.shape[0]):
        image, back = images[n], out[n]
        fill(back, 0)
        for r in range(oh):
            for q in range(ow):
                at = (r * ow + q) * channels
                best, g = values[n, at : at + channels], gradients[n, at : at + channels]
                for c in range(rest.size):
                    rest[c] = g[c]
                for i in range(kh):
                    y = r * sh - ph + i * dh
                    for j in range(kw):
                        x = q * sw - pw + j * dw
                        if y >= 0 and y < h and x >= 0 and x < w:
                            place = (y * w + x) * channels
                            _take(image[place:], best, rest, back[place:])
                        else:  # the border is a maximum too where all is as low
                            for c in range(rest.size):
                                rest[c] = zero if best[c] == lowest else rest[c]
