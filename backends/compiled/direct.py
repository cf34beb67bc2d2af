"""Direct convolution by compiled loops: for few channels, where copies of windows take longer than their products.

A block of result rows reads a patch of its image, channels innermost and with its border, and each tile of results is
summed in registers over the window (``window_tiles.py``); so is each tile of the filters' gradient over the pixels. The
gradient of the images is such a convolution too, or where they have fewer channels than a register has lanes, products
of the gradient with all taps, which are added up where the windows overlap. Images are volumes (N, C, D, H, W) here.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from chainrule.backends.compiled.crew import crew, item, share
from chainrule.backends.compiled.jit import loop, part
from chainrule.backends.compiled.transposition import turn
from chainrule.backends.compiled.window_tiles import NARROW, TAPS, WIDE, window_products, window_sums

Array = np.ndarray
Triple = tuple[int, int, int]

#: Bytes of a patch, and pixels of a block: both stay in the second-level cache.
_PATCH, _PIXELS = 96 << 10, 512

#: Items of one job, and partial sums of a weight gradient: fixed, so that no result depends on the number of threads.
_ITEMS, _PARTIALS = 32, 8

#: multiplications that are worth waking a sleeping helper, about 50 us
_WORTH_WAKING = 2_000_000


class _Plan:
    """The blocks of a convolution's results, and where their windows lie in the patches, for one geometry.

    Args:
        size: that of the images, (N, C, D, H, W).
        steps: how far apart their images, channels and pixels are in memory.
    """

    def __init__(
        self,
        size: tuple[int, ...],
        steps: Triple,
        kernel: Triple,
        out: Triple,
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
        itemsize: int,
    ) -> None:
        n, c, d, h, w = size
        (kd, kh, kw), (od, oh, ow), (sd, sh, sw), (dd, dh, dw) = kernel, out, stride, dilation
        pd, ph, pw = padding
        in_place = steps[1:] == (1, c) and not any(padding)
        columns = w if in_place else (ow - 1) * sw + (kw - 1) * dw + 1
        most = max(1, _PATCH // (kd * columns * c * itemsize))
        height = min(oh, -(-n * od * oh // _PARTIALS), (most - (kh - 1) * dh - 1) // sh + 1, _PIXELS // ow)
        height = max(1, height)
        rows = (height - 1) * sh + (kh - 1) * dh + 1
        #: where windows begin, and from there their elements; the latter a second time for products of 6 at once
        r, q = np.divmod(np.arange(max(height * ow, 8)).clip(max=height * ow - 1), ow)
        self.pixels = (r * sh * columns + q * sw) * c
        a, i, j, k = (m.reshape(-1) for m in np.indices((kd, kh, kw, c // groups)))
        plane = dd * h * w if in_place else rows * columns
        self.starts = (a * plane + i * dh * columns + j * dw) * c + k
        self.tapped = np.append(self.starts, np.repeat(self.starts[-1:], -self.starts.size % TAPS))
        # image, plane and first row of each block
        image, z, top = (m.reshape(-1) for m in np.meshgrid(range(n), range(od), range(0, oh, height), indexing="ij"))
        base = image * steps[0] + (z * sd * h + top * sh) * w * steps[2] if in_place else np.zeros_like(image)
        #: of each block: the image, the first pixel in it, how many, and where their patch begins
        self.blocks = np.stack([image, (z * oh + top) * ow, np.minimum(height, oh - top) * ow, base], 1)
        #: of each block: where the rows of its patch begin in the image, -1 where they lie outside of it
        self.sources = np.empty((len(self.blocks), 0), np.int64)
        if not in_place:
            deep = (z * sd - pd)[:, None, None] + np.arange(kd)[:, None] * dd
            down = (top * sh - ph)[:, None, None] + np.arange(rows)
            begin = image[:, None, None] * steps[0] + (deep * h + down) * w * steps[2]
            inside = (deep >= 0) & (deep < d) & (down >= 0) & (down < h)
            self.sources = np.where(inside, begin, -1).reshape(len(self.blocks), -1)
        left = min(pw, columns)
        #: of the patch: how far apart channels and pixels lie in the image, the channels, the elements of a row and of
        #: its border on the left, and the pixels of the image in it
        self.patch = (*steps[1:], c, columns * c, left * c, min(w, columns - left))


_plan = functools.lru_cache(maxsize=256)(_Plan)


def _flat(x: Array) -> tuple[Array, Triple]:
    """The memory of (N, C, D, H, W), flat, and how far apart images, channels and pixels are in it."""
    _, c, d, h, w = x.shape
    if not any(x.strides):  # one number everywhere
        return x[:1, 0, 0, 0, 0].copy(), (0, 0, 0)
    last = x.transpose(0, 2, 3, 4, 1)
    if x.flags.c_contiguous and not last.flags.c_contiguous:
        flat, steps = x.reshape(-1), (c * d * h * w, d * h * w, 1)
    else:
        flat, steps = np.ascontiguousarray(last).reshape(-1), (c * d * h * w, 1, c)
    return flat if flat.flags.writeable else flat.copy(), steps  # the loops are not compiled for memory read-only


@part
def _copy(x: Any, a: Any, y: Any, b: Any, count: Any) -> None:
    a, b = np.uint64(a), np.uint64(b)
    for e in range(count):
        y[b + np.uint64(e)] = x[a + np.uint64(e)]


@part
def _clear(y: Any, a: Any, count: Any) -> None:
    a = np.uint64(a)
    for e in range(count):
        y[a + np.uint64(e)] = 0


@part
def _interleave(
    x: Any, at: Any, k_step: Any, q_step: Any, channels: Any, pixels: Any, out: Any, to: Any, out_step: Any
) -> None:
    """``out[to + q out_step + k] = x[at + k k_step + q q_step]`` for k < channels and q < pixels."""
    side = 32 // x.itemsize
    first = 0  # the first channel that is left
    if k_step == 1:
        if q_step == out_step == channels:  # all of it is one piece
            channels, pixels = pixels * channels, 1
        for q in range(pixels):
            _copy(x, at + q * q_step, out, to + q * out_step, channels)
        return
    if q_step == 1 and pixels >= side:
        first = channels - channels % side
        for k in range(0, first, side):
            for q in range(0, pixels, side):
                q = min(q, pixels - side)
                turn(x, at + k * k_step + q, k_step, out, to + q * out_step + k, out_step)
    for k in range(first, channels):
        for q in range(pixels):
            out[np.uint64(to + q * out_step + k)] = x[np.uint64(at + k * k_step + q * q_step)]


@part
def _fill(x: Any, geometry: Any, rows: Any, patch: Any) -> None:
    """Copy what a block of results looks at, channels innermost, with zeros around the image."""
    k_step, q_step, channels, line, left, width = geometry
    for r in range(rows.size):
        at, to = rows[r], r * line
        if at < 0 or width * channels < line:
            _clear(patch, to, line)
        if at >= 0:
            _interleave(x, at, k_step, q_step, channels, width, patch, to + left, channels)


@item
def _result_rows(
    blocks: Any,
    sources: Any,
    x: Any,
    geometry: Any,
    pixels: Any,
    starts: Any,
    weights: Any,
    first: Any,
    grouping: Any,
    out: Any,
) -> None:
    groups, each, filters, lanes, size = grouping
    memory, tile = np.empty(sources.shape[1] * geometry[3], x.dtype), np.empty(128, x.dtype)
    padded = first.size // groups
    for b in range(blocks.shape[0]):
        patch = x
        if sources.shape[1]:
            patch = memory
            _fill(x, geometry, sources[b], patch)
        at = (blocks[b, 0] * size + blocks[b, 1]) * groups * filters
        for g in range(groups):
            window_sums(
                patch, blocks[b, 3] + g * each, pixels, blocks[b, 2], starts, weights, g * padded * starts.size, lanes,
                first, g * padded, filters, out, at + g * filters, groups * filters, tile,
            )  # fmt: skip


@loop
def _convolve(
    crew: Any, items: int, blocks: Any, sources: Any, x: Any, geometry: Any, pixels: Any, starts: Any, weights: Any,
    first: Any, grouping: Any, out: Any,
) -> None:  # fmt: skip
    whole = (x, geometry, pixels, starts, weights, first, grouping, out)
    share(crew, items, _result_rows(items, (blocks, sources), whole, ()))


@item
def _filter_sums(
    blocks: Any,
    sources: Any,
    x: Any,
    geometry: Any,
    pixels: Any,
    starts: Any,
    g: Any,
    steps: Any,
    grouping: Any,
    sums: Any,
) -> None:
    groups, each, filters, lanes, _ = grouping
    memory, packed = np.empty(sources.shape[1] * geometry[3], x.dtype), np.empty(pixels.size * lanes, x.dtype)
    for b in range(blocks.shape[0]):
        patch, count, to = x, blocks[b, 2], 0
        if sources.shape[1]:
            patch = memory
            _fill(x, geometry, sources[b], patch)
        at = blocks[b, 0] * steps[0] + blocks[b, 1] * steps[2]
        for group in range(groups):
            for k in range(0, filters, lanes):
                used = min(lanes, filters - k)
                if used < lanes:
                    _clear(packed, 0, count * lanes)
                first = at + (group * filters + k) * steps[1]
                _interleave(g, first, steps[1], steps[2], used, count, packed, 0, lanes)
                window_products(patch, blocks[b, 3] + group * each, starts, pixels, count, packed, 0, sums, to)
                to += starts.size * lanes


@loop
def _weigh(
    crew: Any, items: int, blocks: Any, sources: Any, x: Any, geometry: Any, pixels: Any, starts: Any, g: Any,
    steps: Any, grouping: Any, sums: Any,
) -> None:  # fmt: skip
    whole = (x, geometry, pixels, starts, g, steps, grouping)
    share(crew, items, _filter_sums(items, (blocks, sources), whole, (sums,)))


@item
def _image_rows(
    bands: Any,
    g: Any,
    steps: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    pixels: Any,
    starts: Any,
    weights: Any,
    lanes: Any,
    zeros: Any,
    sizes: Any,
    out: Any,
) -> None:
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    (c, h, w, oh, ow), filters, taps = sizes, starts.size, zeros.size
    line, product, tile = np.empty(ow * filters, g.dtype), np.empty(ow * taps, g.dtype), np.empty(128, g.dtype)
    runs, run = (1, kw) if dw == 1 else (kw, 1)  # taps that are side by side in the image
    for b in range(bands.shape[0]):
        image, top, bottom = bands[b, 0], bands[b, 1], bands[b, 2]
        _clear(out, (image * h + top) * w * c, (bottom - top) * w * c)
        for oy in range(max(0, -((dh * (kh - 1) - ph - top) // sh)), min(oh, (bottom - 1 + ph) // sh + 1)):
            at = image * steps[0] + oy * ow * steps[2]
            _interleave(g, at, steps[1], steps[2], filters, ow, line, 0, filters)
            window_sums(line, 0, pixels, ow, starts, weights, 0, lanes, zeros, 0, kh * kw * c, product, 0, taps, tile)
            for i in range(kh):
                y = oy * sh - ph + i * dh
                if y < top or y >= bottom:
                    continue
                for q in range(ow):
                    for j in range(runs):
                        x = q * sw - pw + j * dw
                        first, end = max(0, -x), min(run, w - x)
                        to = np.uint64(((image * h + y) * w + x + first) * c)
                        of = np.uint64(q * taps + (i * kw + j + first) * c)
                        for m in range((end - first) * c):
                            out[to + np.uint64(m)] += product[of + np.uint64(m)]


@loop
def _lead_back(
    crew: Any, items: int, bands: Any, g: Any, steps: Any, kernel: Any, stride: Any, padding: Any, dilation: Any,
    pixels: Any, starts: Any, weights: Any, lanes: int, zeros: Any, sizes: Any, out: Any,
) -> None:  # fmt: skip
    whole = (g, steps, kernel, stride, padding, dilation, pixels, starts, weights, lanes, zeros, sizes, out)
    share(crew, items, _image_rows(items, (bands,), whole, ()))


# ---- what the convolution kernels call ------------------------------------------------------------------------------


def _bands(n: int, height: int) -> Array:
    """(image, first row, end): whole images, or where there are few bands of rows, whose borders are computed twice."""
    rows = -(-height // max(1, _PARTIALS // n))
    return np.array([(i, a, min(a + rows, height)) for i in range(n) for a in range(0, height, rows)])


def _lanes(filters: int, itemsize: int) -> int:
    """Filters of one tile: the narrow one where the wide one would be half empty."""
    half = NARROW // itemsize
    return half if -(-filters // half) % 2 else WIDE // itemsize


def _packed(matrix: Array, lanes: int) -> Array:
    """(groups, taps, filters) in panels (groups, panels, taps, lanes) that end in zeros, flat."""
    groups, taps, filters = matrix.shape
    wide = np.zeros((groups, taps, -(-filters // lanes) * lanes), matrix.dtype)
    wide[..., :filters] = matrix
    return np.ascontiguousarray(wide.reshape(groups, taps, -1, lanes).transpose(0, 2, 1, 3)).reshape(-1)


def forward(
    x: Array,
    weight: Array,
    bias: Array | None,
    out: Triple,
    stride: Triple,
    padding: Triple,
    dilation: Triple,
    groups: int,
) -> Array:
    """x (N, C, D, H, W) with filters (K, C / groups, KD, KH, KW), plus a bias (K): (N, K, *out), channels innermost."""
    n, k = x.shape[0], weight.shape[0]
    flat, steps = _flat(x)
    p = _plan(x.shape, steps, weight.shape[2:], out, stride, padding, dilation, groups, x.itemsize)
    each, lanes = k // groups, _lanes(k // groups, x.itemsize)
    matrix = weight.reshape(groups, each, -1, *weight.shape[2:]).transpose(0, 3, 4, 5, 2, 1).reshape(groups, -1, each)
    first = np.zeros((groups, -(-each // lanes) * lanes), x.dtype)
    if bias is not None:
        first[:, :each] = bias.reshape(groups, each)
    result = np.empty((n, *out, k), x.dtype)
    items = min(_ITEMS, len(p.blocks))
    _convolve(
        crew(items, result.size * p.starts.size >= _WORTH_WAKING), items, p.blocks, p.sources, flat, p.patch, p.pixels,
        p.starts, _packed(matrix, lanes), first.reshape(-1),
        (groups, x.shape[1] // groups, each, lanes, out[0] * out[1] * out[2]), result.reshape(-1),
    )  # fmt: skip
    return result.transpose(0, 4, 1, 2, 3)


def weight_gradient(
    x: Array, g: Array, kernel: Triple, stride: Triple, padding: Triple, dilation: Triple, groups: int
) -> Array:
    """The gradient for filters (K, C / groups, *kernel) from x (N, C, D, H, W) and g (N, K, OD, OH, OW)."""
    k, out = g.shape[1], (g.shape[2], g.shape[3], g.shape[4])
    (flat, steps), (gradient, g_steps) = _flat(x), _flat(g)
    p = _plan(x.shape, steps, kernel, out, stride, padding, dilation, groups, x.itemsize)
    each, lanes = k // groups, WIDE // x.itemsize
    panels, taps = -(-each // lanes), p.tapped.size
    items = min(_PARTIALS, len(p.blocks))
    sums = np.zeros((items, groups * panels * taps * lanes), x.dtype)
    _weigh(
        crew(items, g.size * taps >= _WORTH_WAKING), items, p.blocks, p.sources, flat, p.patch, p.pixels, p.tapped,
        gradient, g_steps, (groups, x.shape[1] // groups, each, lanes, 0), sums,
    )  # fmt: skip
    total = np.add.reduce(sums, 0).reshape(groups, panels, taps, lanes)[:, :, : p.starts.size]
    total = total.transpose(0, 1, 3, 2).reshape(groups, panels * lanes, *kernel, -1)[:, :each]
    return np.ascontiguousarray(total.transpose(0, 1, 5, 2, 3, 4)).reshape(k, -1, *kernel)


def input_gradient(
    g: Array,
    weight: Array,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Array:
    """The gradient for images (N, C, *size) from g (N, K, OH, OW) and filters (K, C, KH, KW), channels innermost."""
    n, k, oh, ow = g.shape
    c, kernel = weight.shape[1], (weight.shape[2], weight.shape[3])
    flat, steps = _flat(g[:, :, None])
    h, w = size
    matrix = weight.transpose(0, 2, 3, 1).reshape(1, k, -1)
    lanes = _lanes(matrix.shape[2], g.itemsize)
    zeros = np.zeros(-(-matrix.shape[2] // lanes) * lanes, g.dtype)
    bands = _bands(n, h)
    items = min(_ITEMS, len(bands))
    out = np.empty((n, h, w, c), g.dtype)
    pixels = np.arange(max(ow, 8)).clip(max=ow - 1) * k
    _lead_back(
        crew(items, g.size * zeros.size >= _WORTH_WAKING), items, bands, flat, steps, kernel, stride, padding,
        dilation, pixels, np.arange(k), _packed(matrix, lanes), lanes, zeros, (c, h, w, oh, ow), out.reshape(-1),
    )  # fmt: skip
    return out.transpose(0, 3, 1, 2)
