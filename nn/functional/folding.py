"""Windows as columns and back, and channels exchanged with space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.op import traced as xp
from chainrule.autograd.ops.folding import windows_of
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import batched, need_tensor, pair

Sizes = int | Sequence[int]


def _window(caller: str, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> dict[str, Any]:
    return {
        "kernel": pair(caller, "kernel_size", kernel_size, 1),
        "dilation": pair(caller, "dilation", dilation, 1),
        "padding": pair(caller, "padding", padding, 0),
        "stride": pair(caller, "stride", stride, 1),
    }


def unfold(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    """Every window of (N, C, H, W) or (C, H, W) as a column: (N, C * h * w, number of windows).

    Raises RuntimeError for windows that do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.unfold(cr.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
        tensor([[1., 2.],
                [2., 3.]])
    """
    x, single = batched("unfold", input, 2)
    given = _window("unfold", kernel_size, dilation, padding, stride)
    if min(windows_of(x._data.shape[2:], **given)) < 1:
        raise RuntimeError(f"unfold: a window of {given} does not fit into an input of shape {tuple(input.shape)}")
    out = xp.unfold_windows(x, **given)
    return out.squeeze(0) if single else out


def fold(
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Tensor:
    """Columns (N, C * h * w, number of windows) added into images (N, C, *output_size), where windows overlap.

    Raises RuntimeError when the number of rows or columns does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.fold(cr.tensor([[1.0, 2.0], [2.0, 3.0]]), (1, 3), (1, 2))
        tensor([[[1., 4., 3.]]])
    """
    need_tensor("fold", input=input)
    if input._data.ndim not in (2, 3):
        raise RuntimeError(f"fold: input must have 2 or 3 dimensions, got {describe(input)}")
    single = input._data.ndim == 2
    x: Any = input.unsqueeze(0) if single else input
    size = pair("fold", "output_size", output_size, 1)
    given = _window("fold", kernel_size, dilation, padding, stride)
    height, width = windows_of(size, **given)
    kernel = given["kernel"]
    _, rows, columns = x._data.shape
    if rows % (kernel[0] * kernel[1]) or min(height, width) < 1 or columns != height * width:
        raise RuntimeError(
            f"fold: output_size {size} and {given} take {max(height, 0)} x {max(width, 0)} columns of a multiple of "
            f"{kernel[0] * kernel[1]} rows, got {describe(input)}"
        )
    out = xp.fold(x, size=size, **given)
    return out.squeeze(0) if single else out


def _images(caller: str, input: Any, factor: int) -> tuple[Any, ...]:
    need_tensor(caller, input=input)
    if input._data.ndim < 3:
        raise RuntimeError(f"{caller}: input must have shape (..., C, H, W), got {describe(input)}")
    if factor < 1:
        raise ValueError(f"{caller}: the factor must be positive, got {factor}")
    return tuple(input._data.shape)


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels exchanged for pixels: (..., C * r * r, H, W) to (..., C, H * r, W * r) (Shi et al., 2016).

    Raises RuntimeError when the channels are no multiple of the factor's square.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.pixel_shuffle(cr.arange(4).reshape(4, 1, 1), 2)
        tensor([[[0, 1],
                 [2, 3]]])
    """
    r = int(upscale_factor)
    *lead, c, h, w = _images("pixel_shuffle", input, r)
    if c % (r * r):
        raise RuntimeError(f"pixel_shuffle: channels must be divisible by {r * r}, got {c}")
    n = len(lead)
    split = xp.reshape(input, shape=(*lead, c // (r * r), r, r, h, w))
    moved = xp.permute_dims(split, axes=(*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return xp.clone(xp.reshape(moved, shape=(*lead, c // (r * r), h * r, w * r)))


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """The inverse of :func:`pixel_shuffle`: (..., C, H * r, W * r) to (..., C * r * r, H, W).

    Raises RuntimeError when height or width is no multiple of the factor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.pixel_unshuffle(cr.arange(4).reshape(1, 2, 2), 2).flatten()
        tensor([0, 1, 2, 3])
    """
    r = int(downscale_factor)
    *lead, c, h, w = _images("pixel_unshuffle", input, r)
    if h % r or w % r:
        raise RuntimeError(f"pixel_unshuffle: height and width must be divisible by {r}, got {h} and {w}")
    n = len(lead)
    split = xp.reshape(input, shape=(*lead, c, h // r, r, w // r, r))
    moved = xp.permute_dims(split, axes=(*range(n), n, n + 2, n + 4, n + 1, n + 3))
    return xp.clone(xp.reshape(moved, shape=(*lead, c * r * r, h // r, w // r)))


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of (N, C, ...) dealt out: the first of every group, then the second (Zhang et al., 2018).

    Raises RuntimeError when the groups do not divide the channels.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.channel_shuffle(cr.arange(4).reshape(1, 4, 1), 2).flatten()
        tensor([0, 2, 1, 3])
    """
    need_tensor("channel_shuffle", input=input)
    if input._data.ndim < 3:
        raise RuntimeError(f"channel_shuffle: input must have shape (N, C, ...), got {describe(input)}")
    n, c, *rest = input._data.shape
    if groups < 1 or c % groups:
        raise RuntimeError(f"channel_shuffle: groups must be positive and divide the {c} channels, got {groups}")
    dims = range(3, 3 + len(rest))
    split = xp.reshape(input, shape=(n, groups, c // groups, *rest))
    moved = xp.permute_dims(split, axes=(0, 2, 1, *dims))
    return xp.clone(xp.reshape(moved, shape=(n, c, *rest)))


#: PyTorch's name for :func:`channel_shuffle`, without its own gradient
native_channel_shuffle = channel_shuffle
