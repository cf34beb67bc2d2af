"""Transposed convolution layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.conv import Sizes, _ConvNd


class _ConvTranspose(_ConvNd):
    """Each element of the input adds a scaled filter to the result, which is what the gradient of a convolution does.

    Weight and bias start uniform in ±1 / sqrt(out_channels / groups * elements of the kernel), as in PyTorch.

    Args:
        kernel_size, stride, dilation: an int, or one for each dimension, of the convolution that this transposes.
        padding: what is cut off both ends of the result.
        output_padding: what one end of the result is lengthened by; less than the stride or the dilation.
        groups: how many parts of the channels are kept apart from each other.
        bias: whether there is one.
        padding_mode: ``"zeros"`` only, as in PyTorch.

    The call takes an ``output_size``, instead of ``output_padding``, where several sizes are possible.

    Raises:
        ValueError: an argument makes no sense. RuntimeError: an input of another shape or dtype.
    """

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        output_padding: Sizes = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Sizes = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        label = type(self).__name__
        if padding_mode != "zeros":
            raise ValueError(f"{label}: padding_mode must be 'zeros' (the padding cuts off), got {padding_mode!r}")
        self._settle(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            output_padding,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _lengthening(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output padding that gives ``output_size``. Raises ValueError where none does."""
        label, dims = type(self).__name__, self._dims
        wanted = tuple([int(n) for n in output_size])
        if input.ndim in (dims + 1, dims + 2) and len(wanted) == input.ndim:
            wanted = wanted[-dims:]  # as a shape with batch and channels, which are not looked at
        if len(wanted) != dims or input.ndim not in (dims + 1, dims + 2):
            raise ValueError(
                f"{label}: output_size must have {dims} numbers, or {input.ndim} as a whole shape, got "
                f"{tuple(output_size)} for an input of shape {tuple(input.shape)}"
            )
        least = []
        for d, n in enumerate(input.shape[-dims:]):
            reach = self.dilation[d] * (self.kernel_size[d] - 1) + 1
            least.append((n - 1) * self.stride[d] - 2 * int(self.padding[d]) + reach)
        if not all(n <= w < n + s for n, w, s in zip(least, wanted, self.stride, strict=True)):
            most = tuple([n + s - 1 for n, s in zip(least, self.stride, strict=True)])
            raise ValueError(
                f"{label}: output_size must be from {tuple(least)} to {most} for an input of shape "
                f"{tuple(input.shape)}, got {wanted}"
            )
        return tuple([w - n for w, n in zip(wanted, least, strict=True)])

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding if output_size is None else self._lengthening(input, output_size)
        run: Any = _TRANSPOSE[self._dims]
        return run(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)


_TRANSPOSE = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


class ConvTranspose1d(_ConvTranspose):
    __doc__ = f"""Transposed convolution of sequences: (N, in_channels, L) to (N, out_channels, L'), or without N.

    {(_ConvTranspose.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConvTranspose1d(2, 8, 2, stride=2)(cr.zeros(4, 2, 9)).shape
        (4, 8, 18)
    """
    _dims = 1


class ConvTranspose2d(_ConvTranspose):
    __doc__ = f"""Transposed convolution of images: (N, in_channels, H, W) to (N, out_channels, H', W'), or without N.

    {(_ConvTranspose.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.ConvTranspose2d(2, 4, 3, stride=2, padding=1)
        >>> layer(cr.zeros(1, 2, 6, 6)).shape, layer(cr.zeros(1, 2, 6, 6), output_size=(12, 12)).shape
        ((1, 4, 11, 11), (1, 4, 12, 12))
    """
    _dims = 2


class ConvTranspose3d(_ConvTranspose):
    __doc__ = f"""Transposed convolution of volumes: (N, in_channels, D, H, W) to (N, out_channels, D', H', W').

    The input may come without N.

    {(_ConvTranspose.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConvTranspose3d(1, 2, 2)(cr.zeros(1, 3, 4, 5)).shape
        (2, 4, 5, 6)
    """
    _dims = 3
