"""Batching rules of convolution and pooling: a batch of batches of images is one larger batch, and filters that differ
over the batch are groups of channels.
"""

from __future__ import annotations

from typing import Any

from chainrule.autograd.batching.array import BatchedArray, Level
from chainrule.autograd.batching.rules import bare, is_batched, rule


def _whole(x: Any, level: Level) -> Any:
    """The inner array with the batch in dimension 0, whether it differs or not."""
    whole = x if type(x) is BatchedArray and x.level is level else BatchedArray(x, level, False)
    return whole.materialise()


def _folded(xp: Any, data: Any) -> Any:
    """(B, N, ...) as (B * N, ...)."""
    return xp.reshape(data, (data.shape[0] * data.shape[1], *data.shape[2:]))


def _unfolded(xp: Any, data: Any, size: int) -> Any:
    return xp.reshape(data, (size, data.shape[0] // size, *data.shape[1:])) if size else data


def _as_groups(xp: Any, data: Any) -> Any:
    """(B, N, C, H, W) as (N, B * C, H, W)."""
    b, n, c, h, w = data.shape
    return xp.reshape(xp.permute_dims(data, (1, 0, 2, 3, 4)), (n, b * c, h, w))


def _from_groups(xp: Any, data: Any, size: int) -> Any:
    """(N, B * C, H, W) as (B, N, C, H, W)."""
    n, c, h, w = data.shape
    return xp.permute_dims(xp.reshape(data, (n, size, c // size, h, w)), (1, 0, 2, 3, 4))


@rule("conv2d")
def conv2d(level: Level, xp: Any, x: Any, weight: Any, bias: Any = None, *, groups: int = 1, **options: Any) -> Any:
    size = level.size
    if not any(is_batched(t, level) for t in (x, weight, bias)):
        return BatchedArray(
            xp.conv2d(bare(x, level), bare(weight, level), bare(bias, level), groups=groups, **options), level, False
        )
    if is_batched(weight, level) and size:
        images = _as_groups(xp, _whole(x, level))
        filters = _folded(xp, weight.data)
        out = _from_groups(xp, xp.conv2d(images, filters, None, groups=groups * size, **options), size)
    else:
        found = xp.conv2d(_folded(xp, _whole(x, level)), bare(weight, level), None, groups=groups, **options)
        out = _unfolded(xp, found, size)
    if bias is not None:
        b = bare(bias, level)
        out = out + (b[:, None, :, None, None] if is_batched(bias, level) else b[:, None, None])
    return BatchedArray(out, level, True)


@rule("conv2d_input")
def conv2d_input(level: Level, xp: Any, x: Any, weight: Any, *, x_size: Any, groups: int, **options: Any) -> Any:
    size = level.size
    n, c, h, w = x_size
    if not (is_batched(x, level) or is_batched(weight, level)):
        found = xp.conv2d_input(bare(x, level), bare(weight, level), x_size=x_size, groups=groups, **options)
        return BatchedArray(found, level, False)
    if is_batched(weight, level) and size:
        given = _as_groups(xp, _whole(x, level))
        filters = _folded(xp, weight.data)
        found = xp.conv2d_input(given, filters, x_size=(n, size * c, h, w), groups=groups * size, **options)
        return BatchedArray(_from_groups(xp, found, size), level, True)
    given = _folded(xp, _whole(x, level))
    found = xp.conv2d_input(given, bare(weight, level), x_size=(n * size, c, h, w), groups=groups, **options)
    return BatchedArray(_unfolded(xp, found, size), level, True)


@rule("conv2d_weight")
def conv2d_weight(level: Level, xp: Any, x: Any, y: Any, *, weight_size: Any, groups: int, **options: Any) -> Any:
    size = level.size
    k, c, kh, kw = weight_size
    if not (is_batched(x, level) or is_batched(y, level)):
        found = xp.conv2d_weight(bare(x, level), bare(y, level), weight_size=weight_size, groups=groups, **options)
        return BatchedArray(found, level, False)
    images, given = _as_groups(xp, _whole(x, level)), _as_groups(xp, _whole(y, level))
    found = xp.conv2d_weight(images, given, weight_size=(size * k, c, kh, kw), groups=groups * size, **options)
    return BatchedArray(_unfolded(xp, found, size), level, True)


def _image_by_image(name: str) -> None:
    """Functions of images (N, C, H, W) that treat each of them alone: the batch makes one larger N."""

    def run(level: Level, xp: Any, *arrays: Any, **options: Any) -> Any:
        if not any(is_batched(a, level) for a in arrays):
            return BatchedArray(getattr(xp, name)(*[bare(a, level) for a in arrays], **options), level, False)
        found = getattr(xp, name)(*[_folded(xp, _whole(a, level)) for a in arrays], **options)
        return BatchedArray(_unfolded(xp, found, level.size), level, True)

    rule(name)(run)


for _name in ("max_pool2d", "max_pool2d_back", "max_pool2d_pick", "avg_pool2d", "avg_pool2d_like"):
    _image_by_image(_name)
