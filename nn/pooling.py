"""Pooling layers over regular windows: maxima, means and p-norms; and the way back from maxima."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.functional.arguments import sizes
from chainrule.nn.module import Module

Sizes = int | Sequence[int]


class _MaxPool(Module):
    """The stride is the kernel's size unless given.

    Args:
        kernel_size, stride, dilation: an int, or one for each dimension.
        padding: positions around the input that never are the maximum; at most half of the kernel.
        return_indices: give the place of each maximum in its channel as well, for the layer that unpools.
        ceil_mode: whether a last window may stick out at the end.

    Raises, when called, RuntimeError for other shapes and windows that do not fit, ValueError for unusable sizes.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    __doc__ = f"""The maximum of each window of (N, C, L) or (C, L).

    {(_MaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxPool1d(2)(cr.tensor([[1.0, 2.0, 4.0, 3.0]]))
        tensor([[2., 4.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    __doc__ = f"""The maximum of each window of (N, C, H, W) or (C, H, W).

    {(_MaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxPool2d(2)(cr.zeros(1, 3, 8, 8)).shape
        (1, 3, 4, 4)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool3d(_MaxPool):
    __doc__ = f"""The maximum of each window of (N, C, D, H, W) or (C, D, H, W).

    {(_MaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxPool3d((1, 2, 2))(cr.zeros(1, 3, 4, 8, 8)).shape
        (1, 3, 4, 4, 4)
    """

    def forward(self, input: Tensor) -> Any:
        return F.max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class _MaxUnpool(Module):
    """Called with the maxima and their places, which a max pooling layer with ``return_indices=True`` gives.

    Args:
        kernel_size, stride, padding: those of the layer that pooled; the stride is the kernel's size unless given.

    The call takes an ``output_size`` where inputs of several sizes are pooled to the same.

    Raises, when called, RuntimeError for shapes that do not fit, ValueError for an impossible ``output_size``,
    IndexError for an index out of bounds.
    """

    _dims = 0

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        super().__init__()
        label, dims = type(self).__name__, self._dims
        self.kernel_size = sizes(label, "kernel_size", kernel_size, dims, 1)
        self.stride = self.kernel_size if stride is None else sizes(label, "stride", stride, dims, 1)
        self.padding = sizes(label, "padding", padding, dims, 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        unpool: Any = _UNPOOL[self._dims]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


_UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}


class MaxUnpool1d(_MaxUnpool):
    __doc__ = f"""Zeros (N, C, L) or (C, L), with the maxima that :class:`MaxPool1d` found put back in place.

    {(_MaxUnpool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxUnpool1d(2)(*nn.MaxPool1d(2, return_indices=True)(cr.tensor([[1.0, 2.0, 4.0, 3.0]])))
        tensor([[0., 2., 4., 0.]])
    """
    _dims = 1


class MaxUnpool2d(_MaxUnpool):
    __doc__ = f"""Zeros (N, C, H, W) or (C, H, W), with the maxima that :class:`MaxPool2d` found put back in place.

    {(_MaxUnpool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.MaxUnpool2d(2)(*nn.MaxPool2d(2, return_indices=True)(cr.tensor([[[1.0, 2.0], [4.0, 3.0]]])))
        tensor([[[0., 0.],
                 [4., 0.]]])
    """
    _dims = 2


class MaxUnpool3d(_MaxUnpool):
    __doc__ = f"""Zeros (N, C, D, H, W), with the maxima that :class:`MaxPool3d` found put back in place.

    The input may come without N.

    {(_MaxUnpool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> pool, unpool = nn.MaxPool3d(3, 2, return_indices=True), nn.MaxUnpool3d(3, 2)
        >>> unpool(*pool(cr.zeros(1, 1, 6, 5, 5)), output_size=(6, 5, 5)).shape
        (1, 1, 6, 5, 5)
    """
    _dims = 3


class _AvgPool(Module):
    """The stride is the kernel's size unless given.

    Args:
        kernel_size, stride: an int, or one for each dimension.
        padding: zeros around the input; at most half of the kernel.
        ceil_mode: whether a last window may stick out at the end.
        count_include_pad: whether the zeros of the padding count.
        divisor_override: what to divide the sums by instead of the number of elements (images and volumes).

    Raises, when called, RuntimeError for other shapes and windows that do not fit, ValueError for unusable sizes.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(Module):
    __doc__ = f"""The mean of each window of (N, C, L) or (C, L).

    {(_AvgPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AvgPool1d(2)(cr.tensor([[1.0, 2.0, 4.0, 3.0]]))
        tensor([[1.5000, 3.5000]])
    """

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = sizes("AvgPool1d", "kernel_size", kernel_size, 1, 1)
        self.stride = self.kernel_size if stride is None else sizes("AvgPool1d", "stride", stride, 1, 1)
        self.padding = sizes("AvgPool1d", "padding", padding, 1, 0)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    __doc__ = f"""The mean of each window of (N, C, H, W) or (C, H, W).

    {(_AvgPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AvgPool2d(2)(cr.zeros(1, 3, 8, 8)).shape
        (1, 3, 4, 4)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPool):
    __doc__ = f"""The mean of each window of (N, C, D, H, W) or (C, D, H, W).

    {(_AvgPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AvgPool3d(2)(cr.ones(1, 2, 2, 2)).flatten()
        tensor([1.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPool(Module):
    """``sum(x ** norm_type) ** (1 / norm_type)``; the stride is the kernel's size unless given.

    Args:
        norm_type: the exponent; 1 gives sums, a large one comes near the maximum.
        kernel_size, stride: an int, or one for each dimension.
        ceil_mode: whether a last window may stick out at the end.

    Raises, when called, RuntimeError for other shapes and windows that do not fit, ValueError for unusable sizes.
    """

    def __init__(
        self, norm_type: float, kernel_size: Sizes, stride: Sizes | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    __doc__ = f"""The p-norm of each window of (N, C, L) or (C, L).

    {(_LPPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LPPool1d(2, 2)(cr.tensor([[3.0, 4.0]]))
        tensor([[5.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    __doc__ = f"""The p-norm of each window of (N, C, H, W) or (C, H, W).

    {(_LPPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LPPool2d(2, (1, 2))(cr.tensor([[[3.0, 4.0]]]))
        tensor([[[5.]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    __doc__ = f"""The p-norm of each window of (N, C, D, H, W) or (C, D, H, W).

    {(_LPPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LPPool3d(1, 2)(cr.ones(1, 2, 2, 2)).flatten()
        tensor([8.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)
