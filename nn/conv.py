"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.functional.arguments import _SPATIAL, sizes
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter

Sizes = int | Sequence[int]


class _ConvNd(Module):
    """What convolutions and transposed convolutions of 1, 2 and 3 dimensions share: parameters, settings, printing."""

    weight: Parameter
    bias: Parameter | None
    padding: tuple[int, ...] | str
    transposed = False
    _dims = 0

    def _settle(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes,
        padding: Sizes | str,
        dilation: Sizes,
        output_padding: Sizes,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        """Check and keep what the constructor was given, and make the parameters."""
        label, dims = type(self).__name__, self._dims
        if in_channels < 0 or out_channels < 0:
            raise ValueError(f"{label}: channels must not be negative, got {in_channels} and {out_channels}")
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{label}: groups must be positive and divide in_channels={in_channels} and "
                f"out_channels={out_channels}, got {groups}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = sizes(label, "kernel_size", kernel_size, dims, 1)
        self.stride = sizes(label, "stride", stride, dims, 1)
        self.dilation = sizes(label, "dilation", dilation, dims, 1)
        self.output_padding = sizes(label, "output_padding", output_padding, dims, 0)
        named = isinstance(padding, str) and not self.transposed
        self.padding = padding if named else sizes(label, "padding", padding, dims, 0)  # type: ignore[assignment]
        self.groups = groups
        self.padding_mode = padding_mode
        shape = self._weight_shape(in_channels)
        self.weight = Parameter(empty(*shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _weight_shape(self, in_channels: int) -> tuple[int, ...]:
        first, second = (in_channels, self.out_channels) if self.transposed else (self.out_channels, in_channels)
        return (first, second // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        # kaiming with a = sqrt(5) is uniform in ±1 / sqrt(fan in)
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        zeros, ones = (0,) * self._dims, (1,) * self._dims
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"]
        if self.padding != zeros:
            parts.append(f"padding={self.padding}")
        if self.dilation != ones:
            parts.append(f"dilation={self.dilation}")
        if self.output_padding != zeros:
            parts.append(f"output_padding={self.output_padding}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        if self.padding_mode != "zeros":
            parts.append(f"padding_mode={self.padding_mode}")
        return ", ".join(parts)


class _Conv(_ConvNd):
    """Weight and bias start uniform in ±1 / sqrt(in_channels / groups * elements of the kernel), as in PyTorch.

    Args:
        kernel_size, stride, dilation: an int, or one for each dimension.
        padding: the same, or ``"valid"`` (none) or ``"same"`` (the output has the input's size; stride 1).
        groups: how many parts of the channels are convolved apart from each other.
        bias: whether there is one.
        padding_mode: what the padding holds: ``"zeros"``, or the input mirrored (``"reflect"``), its edge repeated
            (``"replicate"``), or its other end (``"circular"``).

    Raises:
        ValueError: an argument makes no sense. RuntimeError: an input of another shape or dtype.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        label, dims = type(self).__name__, self._dims
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(
                f"{label}: padding_mode must be 'zeros', 'reflect', 'replicate' or 'circular', got {padding_mode!r}"
            )
        if isinstance(padding, str):
            if padding not in ("valid", "same"):
                raise ValueError(f"{label}: padding must be numbers, 'valid' or 'same', got {padding!r}")
            steps = sizes(label, "stride", stride, dims, 1)
            if padding == "same" and max(steps) > 1:
                raise ValueError(f"{label}: padding='same' needs stride 1, got {steps}")
        self._settle(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            0,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    @property
    def _reversed_padding_repeated_twice(self) -> list[int]:
        """The padding as ``F.pad`` takes it: both ends of the last dimension, then of the one before it."""
        if self.padding == "valid":
            return [0] * (2 * self._dims)
        if self.padding == "same":  # where the total is odd, the end gets more
            total = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return [n for t in reversed(total) for n in (t // 2, t - t // 2)]
        return [p for p in reversed(self.padding) for _ in range(2)]  # type: ignore[misc]

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        convolve: Any = _CONVOLVE[self._dims]
        if self.padding_mode == "zeros":
            return convolve(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        # checked before the border is put on, so that a message shows the shape that came
        dims = self._dims
        if input.ndim not in (dims + 1, dims + 2) or input.shape[-dims - 1] != self.in_channels:
            raise RuntimeError(
                f"expected input of shape (N, C, {_SPATIAL[dims]}) or (C, {_SPATIAL[dims]}) with C = "
                f"{self.in_channels}, got {describe(input)}"
            )
        padded = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return convolve(padded, weight, bias, self.stride, 0, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, self.weight, self.bias)


_CONVOLVE = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


class Conv1d(_Conv):
    __doc__ = f"""Convolution of sequences: (N, in_channels, L) to (N, out_channels, L'), or without N.

    {(_Conv.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Conv1d(2, 8, 3, stride=2)(cr.zeros(4, 2, 9)).shape
        (4, 8, 4)
    """
    _dims = 1


class Conv2d(_Conv):
    __doc__ = f"""Convolution of images: (N, in_channels, H, W) to (N, out_channels, H', W'), or without N.

    {(_Conv.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Conv2d(1, 8, 3, padding=1)(cr.zeros(2, 1, 28, 28)).shape
        (2, 8, 28, 28)
    """
    _dims = 2


class Conv3d(_Conv):
    __doc__ = f"""Convolution of volumes: (N, in_channels, D, H, W) to (N, out_channels, D', H', W'), or without N.

    {(_Conv.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Conv3d(1, 4, 2, padding="same", padding_mode="circular")(cr.zeros(1, 3, 4, 5)).shape
        (4, 3, 4, 5)
    """
    _dims = 3
