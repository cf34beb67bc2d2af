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
    """Where the windows of a convolution lie in the patches of its blocks, for one geometry."""

    def __init__(
        self,
        size: tuple[int, ...],
        rows: int,
        kernel: Triple,
        out: Triple,
        stride: Triple,
        padding: Triple,
        dilation: Triple,
        groups: int,
        itemsize: int,
        in_place: bool,
    ) -> None:
        c, _, h, w = size
        (kd, kh, kw), (_, oh, ow), (_, sh, sw), (dd, dh, dw) = kernel, out, stride, dilation
        columns = w if in_place else (ow - 1) * sw + (kw - 1) * dw + 1
        most = max(1, _PATCH // (kd * columns * c * itemsize))
        self.height = max(1, min(oh, rows, (most - (kh - 1) * dh - 1) // sh + 1, _PIXELS // ow))
        rows = (self.height - 1) * sh + (kh - 1) * dh + 1
        plane = h * w if in_place else rows * columns
        r, q = np.divmod(np.arange(max(self.height * ow, 8)).clip(max=self.height * ow - 1), ow)
        self.pixels = (r * sh * columns + q * sw) * c
        a, i, j, k = (n.reshape(-1) for n in np.indices((kd, kh, kw, c // groups)))
        far = dd if in_place else 1
        self.starts = (a * far * plane + i * dh * columns + j * dw) * c + k
        self.tapped = np.append(self.starts, np.repeat(self.starts[-1:], -self.starts.size % TAPS))
        #: the patch: its planes and their distance in the image, rows, columns; then stride and padding
        self.geometry = (kd, dd, rows, columns, *stride, *padding)
        self.size = 0 if in_place else kd * rows * columns * c


_plan = functools.lru_cache(maxsize=256)(_Plan)


@functools.lru_cache(maxsize=256)
def _blocks(n: int, depth: int, rows: int, height: int) -> Array:
    """(image, plane, first row, end) of blocks of ``height`` rows."""
    tops = np.arange(0, rows, height)
    image, plane, top = (a.reshape(-1) for a in np.meshgrid(np.arange(n), np.arange(depth), tops, indexing="ij"))
    return np.stack([image, plane, top, np.minimum(top + height, rows)], 1)


def _flat(x: Array) -> tuple[Array, tuple[int, ...]]:
    """The memory of (N, C, D, H, W), flat, and the distances of its elements along each axis."""
    _, c, d, h, w = x.shape
    if not any(x.strides):  # one number everywhere
        return x[:1, 0, 0, 0, 0].copy(), (0, 0, 0, 0, 0)
    last = x.transpose(0, 2, 3, 4, 1)
    if x.flags.c_contiguous and not last.flags.c_contiguous:
        flat, steps = x.reshape(-1), (c * d * h * w, d * h * w, h * w, w, 1)
    else:
        flat, steps = np.ascontiguousarray(last).reshape(-1), (c * d * h * w, 1, h * w * c, w * c, c)
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
def _fill(x: Any, steps: Any, size: Any, geometry: Any, block: Any, patch: Any) -> None:
    """Copy what a block of results looks at, channels innermost, with zeros around the image."""
    planes, apart, rows, columns, sd, sh, _, pd, ph, pw = geometry
    c, d, h, w = size
    width = max(0, min(w, columns - pw))
    left = min(pw, columns)
    for a in range(planes):
        z = block[1] * sd + a * apart - pd
        for r in range(rows):
            y, to = block[2] * sh + r - ph, (a * rows + r) * columns * c
            if left or columns > left + width or z < 0 or z >= d or y < 0 or y >= h:
                _clear(patch, to, columns * c)
            if 0 <= z < d and 0 <= y < h:
                at = block[0] * steps[0] + z * steps[2] + y * steps[3]
                _interleave(x, at, steps[1], steps[4], c, width, patch, to + left * c, c)


@part
def _base(size: Any, geometry: Any, block: Any) -> Any:
    """Where the windows of a block begin in an image that is read in place."""
    c, d, h, w = size
    return ((block[0] * d + block[1] * geometry[4]) * h + block[2] * geometry[5]) * w * c


@item
def _result_rows(
    blocks: Any,
    x: Any,
    steps: Any,
    size: Any,
    geometry: Any,
    patch_size: Any,
    pixels: Any,
    starts: Any,
    weights: Any,
    first: Any,
    grouping: Any,
    out: Any,
    out_size: Any,
) -> None:
    (groups, each, filters, lanes), (depth, height, width) = grouping, out_size
    memory, tile = np.empty(patch_size, x.dtype), np.empty(128, x.dtype)
    padded = first.size // groups
    for b in range(blocks.shape[0]):
        block = blocks[b]
        patch, base = memory, 0
        if patch_size:
            _fill(x, steps, size, geometry, block, memory)
        else:
            patch, base = x, _base(size, geometry, block)
        at = ((block[0] * depth + block[1]) * height + block[2]) * width * groups * filters
        for g in range(groups):
            window_sums(
                patch, base + g * each, pixels, (block[3] - block[2]) * width, starts, weights,
                g * padded * starts.size, lanes, first, g * padded, filters, out, at + g * filters, groups * filters,
                tile,
            )  # fmt: skip


@loop
def _convolve(
    crew: Any, items: int, blocks: Any, x: Any, steps: Any, size: Any, geometry: Any, patch_size: int, pixels: Any,
    starts: Any, weights: Any, first: Any, grouping: Any, out: Any, out_size: Any,
) -> None:  # fmt: skip
    whole = (x, steps, size, geometry, patch_size, pixels, starts, weights, first, grouping, out, out_size)
    share(crew, items, _result_rows(items, (blocks,), whole, ()))


@part
def _panels(g: Any, steps: Any, block: Any, width: Any, groups: Any, filters: Any, lanes: Any, packed: Any) -> None:
    """Copy the gradient of a block's results into panels (pixels, lanes), of each group its own."""
    pixels, to = (block[3] - block[2]) * width, 0
    for group in range(groups):
        for k in range(0, filters, lanes):
            used = min(lanes, filters - k)
            if used < lanes:
                _clear(packed, to, pixels * lanes)
            for r in range(block[2], block[3]):
                at = block[0] * steps[0] + (group * filters + k) * steps[1] + block[1] * steps[2] + r * steps[3]
                _interleave(g, at, steps[1], steps[4], used, width, packed, to, lanes)
                to += width * lanes


@item
def _filter_sums(
    blocks: Any,
    x: Any,
    steps: Any,
    size: Any,
    geometry: Any,
    patch_size: Any,
    pixels: Any,
    starts: Any,
    g: Any,
    g_steps: Any,
    grouping: Any,
    width: Any,
    sums: Any,
) -> None:
    groups, each, filters, lanes = grouping
    panels = (filters + lanes - 1) // lanes
    memory, packed = np.empty(patch_size, x.dtype), np.empty(pixels.size * groups * panels * lanes, x.dtype)
    for b in range(blocks.shape[0]):
        block = blocks[b]
        patch, base = memory, 0
        if patch_size:
            _fill(x, steps, size, geometry, block, memory)
        else:
            patch, base = x, _base(size, geometry, block)
        _panels(g, g_steps, block, width, groups, filters, lanes, packed)
        count = (block[3] - block[2]) * width
        for n in range(groups * panels):
            here = base + n // panels * each
            window_products(
                patch, here, starts, pixels, count, packed, n * count * lanes, sums, n * starts.size * lanes
            )


@loop
def _weigh(
    crew: Any, items: int, blocks: Any, x: Any, steps: Any, size: Any, geometry: Any, patch_size: int, pixels: Any,
    starts: Any, g: Any, g_steps: Any, grouping: Any, width: int, sums: Any,
) -> None:  # fmt: skip
    whole = (x, steps, size, geometry, patch_size, pixels, starts, g, g_steps, grouping, width)
    share(crew, items, _filter_sums(items, (blocks,), whole, (sums,)))


@item
def _image_rows(
    blocks: Any,
    g: Any,
    steps: Any,
    filters: Any,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    pixels: Any,
    starts: Any,
    weights: Any,
    lanes: Any,
    zeros: Any,
    g_size: Any,
    size: Any,
    out: Any,
) -> None:
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = kernel, stride, padding, dilation
    (oh, ow), (c, h, w), taps = g_size, size, zeros.size
    line, product, tile = np.empty(ow * filters, g.dtype), np.empty(ow * taps, g.dtype), np.empty(128, g.dtype)
    runs, run = (1, kw) if dw == 1 else (kw, 1)  # taps that are side by side in the image
    for b in range(blocks.shape[0]):
        image, top, bottom = blocks[b, 0], blocks[b, 2], blocks[b, 3]
        _clear(out, (image * h + top) * w * c, (bottom - top) * w * c)
        for oy in range(max(0, -((dh * (kh - 1) - ph - top) // sh)), min(oh, (bottom - 1 + ph) // sh + 1)):
            at = image * steps[0] + oy * steps[3]
            _interleave(g, at, steps[1], steps[4], filters, ow, line, 0, filters)
            window_sums(line, 0, pixels, ow, starts, weights, 0, lanes, zeros, 0, kh * kw * c, product, 0, taps, tile)
            for i in range(kh):
                y = oy * sh - ph + i * dh
                if y < top or y >= bottom:
                    continue
                row = (image * h + y) * w * c
                for q in range(ow):
                    for j in range(runs):
                        x = q * sw - pw + j * dw
                        first, end = max(0, -x), min(run, w - x)
                        to, of = np.uint64(row + (x + first) * c), np.uint64(q * taps + ((i * kw + j) + first) * c)
                        for m in range((end - first) * c):
                            out[to + np.uint64(m)] += product[of + np.uint64(m)]


@loop
def _lead_back(
    crew: Any, items: int, blocks: Any, g: Any, steps: Any, filters: int, kernel: Any, stride: Any, padding: Any,
    dilation: Any, pixels: Any, starts: Any, weights: Any, lanes: int, zeros: Any, g_size: Any, size: Any, out: Any,
) -> None:  # fmt: skip
    whole = (
        g, steps, filters, kernel, stride, padding, dilation, pixels, starts, weights, lanes, zeros, g_size, size, out
    )  # fmt: skip
    share(crew, items, _image_rows(items, (blocks,), whole, ()))


# ---- what the convolution kernels call ------------------------------------------------------------------------------


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


def _planned(
    x: Array, kernel: Triple, out: Triple, stride: Triple, padding: Triple, dilation: Triple, groups: int
) -> tuple[_Plan, Array, tuple[int, ...]]:
    flat, steps = _flat(x)
    in_place = not any(padding) and steps[1] == 1
    rows = -(-x.shape[0] * out[0] * out[1] // _PARTIALS)
    plan = _plan(x.shape[1:], rows, kernel, out, stride, padding, dilation, groups, x.itemsize, in_place)
    return plan, flat, steps


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
    p, flat, steps = _planned(x, weight.shape[2:], out, stride, padding, dilation, groups)
    each, lanes = k // groups, _lanes(k // groups, x.itemsize)
    matrix = weight.reshape(groups, each, -1, *weight.shape[2:]).transpose(0, 3, 4, 5, 2, 1).reshape(groups, -1, each)
    first = np.zeros((groups, -(-each // lanes) * lanes), x.dtype)
    if bias is not None:
        first[:, :each] = bias.reshape(groups, each)
    result = np.empty((n, *out, k), x.dtype)
    blocks = _blocks(n, out[0], out[1], p.height)
    items = min(_ITEMS, len(blocks))
    _convolve(
        crew(items, result.size * p.starts.size >= _WORTH_WAKING), items, blocks, flat, steps, x.shape[1:], p.geometry,
        p.size, p.pixels, p.starts, _packed(matrix, lanes), first.reshape(-1),
        (groups, x.shape[1] // groups, each, lanes), result.reshape(-1), out,
    )  # fmt: skip
    return result.transpose(0, 4, 1, 2, 3)


def weight_gradient(
    x: Array, g: Array, kernel: Triple, stride: Triple, padding: Triple, dilation: Triple, groups: int
) -> Array:
    """The gradient for filters (K, C / groups, *kernel) from x (N, C, D, H, W) and g (N, K, OD, OH, OW)."""
    n, k, *sizes = g.shape
    out = (sizes[0], sizes[1], sizes[2])
    p, flat, steps = _planned(x, kernel, out, stride, padding, dilation, groups)
    gradient, g_steps = _flat(g)
    each, lanes = k // groups, WIDE // x.itemsize
    panels, taps = -(-each // lanes), p.tapped.size
    blocks = _blocks(n, out[0], out[1], p.height)
    items = min(_PARTIALS, len(blocks))
    sums = np.zeros((items, groups * panels * taps * lanes), x.dtype)
    _weigh(
        crew(items, g.size * taps >= _WORTH_WAKING), items, blocks, flat, steps, x.shape[1:], p.geometry, p.size,
        p.pixels, p.tapped, gradient, g_steps, (groups, x.shape[1] // groups, each, lanes), out[2], sums,
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
    # bands of rows where there are few images; those at their borders are computed twice
    blocks = _blocks(n, 1, h, -(-h // max(1, _PARTIALS // n)))
    items = min(_ITEMS, len(blocks))
    out = np.empty((n, h, w, c), g.dtype)
    pixels = np.arange(max(ow, 8)).clip(max=ow - 1) * k
    _lead_back(
        crew(items, g.size * zeros.size >= _WORTH_WAKING), items, blocks, flat, steps, k, kernel, stride, padding,
        dilation, pixels, np.arange(k), _packed(matrix, lanes), lanes, zeros, (oh, ow), (c, h, w), out.reshape(-1),
    )  # fmt: skip
    return out.transpose(0, 3, 1, 2)
