"""Layers that write windows as columns and back, and exchange channels with space or with each other."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module

Sizes = int | Sequence[int]


class Fold(Module):
    """Columns (N, C * h * w, windows) added into images (N, C, *output_size), where windows overlap; or without N.

    Args:
        output_size: height and width of the images.
        kernel_size, dilation, padding, stride: an int, or one for each of height and width, of the windows.

    Raises, when called, RuntimeError when the number of rows or columns does not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Fold((1, 3), (1, 2))(cr.tensor([[1.0, 2.0], [2.0, 3.0]]))
        tensor([[[1., 4., 3.]]])
    """

    def __init__(
        self, output_size: Sizes, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """Every window of images (N, C, H, W) or (C, H, W) as a column: (N, C * h * w, windows).

    Args:
        kernel_size, dilation, padding, stride: an int, or one for each of height and width, of the windows.

    Raises, when called, RuntimeError for windows that do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Unfold((1, 2))(cr.tensor([[[1.0, 2.0, 3.0]]]))
        tensor([[1., 2.],
                [2., 3.]])
    """

    def __init__(self, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class PixelShuffle(Module):
    """Channels exchanged for pixels: (..., C * r * r, H, W) to (..., C, H * r, W * r) (Shi et al., 2016).

    Args:
        upscale_factor: r.

    Raises, when called, RuntimeError when the channels are no multiple of r * r.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PixelShuffle(2)(cr.arange(4).reshape(4, 1, 1))
        tensor([[[0, 1],
                 [2, 3]]])
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """The inverse of :class:`PixelShuffle`: (..., C, H * r, W * r) to (..., C * r * r, H, W).

    Args:
        downscale_factor: r.

    Raises, when called, RuntimeError when height or width is no multiple of r.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.PixelUnshuffle(2)(cr.arange(4).reshape(1, 2, 2)).flatten()
        tensor([0, 1, 2, 3])
    """

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class ChannelShuffle(Module):
    """The channels of (N, C, ...) dealt out: the first of every group, then the second (Zhang et al., 2018).

    Args:
        groups: how many groups the channels come in.

    Raises, when called, RuntimeError when the groups do not divide the channels.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ChannelShuffle(2)(cr.arange(4).reshape(1, 4, 1)).flatten()
        tensor([0, 2, 1, 3])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Tensor:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
