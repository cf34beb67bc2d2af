"""Pooling layers to a stated size, and over random windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.functional.arguments import sizes
from chainrule.nn.module import Module

Sizes = int | Sequence[int]
Wanted = int | None | Sequence[int | None]


class _AdaptiveAvgPool(Module):
    """Args:
        output_size: an int, or one for each dimension; None keeps a side's length.

    Raises, when called, RuntimeError for other shapes, TypeError for an ``output_size`` of another length.
    """

    def __init__(self, output_size: Wanted) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    __doc__ = f"""Means over windows of (N, C, L) or (C, L) spread evenly so that ``output_size`` of them come out.

    {(_AdaptiveAvgPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveAvgPool1d(2)(cr.tensor([[1.0, 3.0, 5.0]]))
        tensor([[2., 4.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    __doc__ = f"""Means over windows of (N, C, H, W) or (C, H, W) spread evenly: images come out as ``output_size``.

    {(_AdaptiveAvgPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveAvgPool2d(1)(cr.zeros(2, 3, 7, 5)).shape
        (2, 3, 1, 1)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    __doc__ = f"""Means over windows of (N, C, D, H, W) or (C, D, H, W): volumes come out as ``output_size``.

    {(_AdaptiveAvgPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveAvgPool3d((1, 2, None))(cr.zeros(2, 3, 4, 5, 6)).shape
        (2, 3, 1, 2, 6)
    """

    def forward(self, input: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMaxPool(Module):
    """Args:
        output_size: an int, or one for each dimension; None keeps a side's length.
        return_indices: give the place of each maximum in its channel as well.

    Raises, when called, RuntimeError for other shapes, TypeError for an ``output_size`` of another length.
    """

    def __init__(self, output_size: Wanted, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPool):
    __doc__ = f"""Maxima of windows of (N, C, L) or (C, L) spread evenly so that ``output_size`` of them come out.

    {(_AdaptiveMaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveMaxPool1d(2)(cr.tensor([[1.0, 5.0, 3.0, 2.0]]))
        tensor([[5., 3.]])
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPool):
    __doc__ = f"""Maxima of windows of (N, C, H, W) or (C, H, W) spread evenly: images come out as ``output_size``.

    {(_AdaptiveMaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveMaxPool2d((None, 2))(cr.zeros(2, 3, 7, 5)).shape
        (2, 3, 7, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPool):
    __doc__ = f"""Maxima of windows of (N, C, D, H, W) or (C, D, H, W): volumes come out as ``output_size``.

    {(_AdaptiveMaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.AdaptiveMaxPool3d(2)(cr.zeros(2, 3, 4, 5, 6)).shape
        (2, 3, 2, 2, 2)
    """

    def forward(self, input: Tensor) -> Any:
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _FractionalMaxPool(Module):
    """The windows start at random steps, other ones in each call (Graham, 2014).

    Args:
        kernel_size: an int, or one for each dimension.
        output_size, output_ratio: one of them: the size of the result, or its ratio to the input's, in (0, 1).
        return_indices: give the place of each maximum in its channel as well.
        _random_samples: numbers in [0, 1), (N, C, dimensions), instead of drawn ones.

    Raises:
        ValueError: sizes make no sense, or not one of ``output_size`` and ``output_ratio`` is given.
        RuntimeError: an input of another shape, or windows that do not fit.
    """

    _dims = 0
    _random_samples: Tensor | None

    def __init__(
        self,
        kernel_size: Sizes,
        output_size: Sizes | None = None,
        output_ratio: float | Sequence[float] | None = None,
        return_indices: bool = False,
        _random_samples: Tensor | None = None,
    ) -> None:
        super().__init__()
        label, dims = type(self).__name__, self._dims
        self.kernel_size = sizes(label, "kernel_size", kernel_size, dims, 1)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        if (output_size is None) == (output_ratio is None):
            raise ValueError(f"{label}: expected one of output_size={output_size} and output_ratio={output_ratio}")
        self.output_size = None if output_size is None else sizes(label, "output_size", output_size, dims, 1)
        self.output_ratio: tuple[float, ...] | None = None
        if output_ratio is not None:
            ratios = (output_ratio,) * dims if isinstance(output_ratio, (int, float)) else tuple(output_ratio)
            if len(ratios) != dims or not all(0 < r < 1 for r in ratios):
                raise ValueError(f"{label}: output_ratio must be in (0, 1), a number or {dims}, got {output_ratio!r}")
            self.output_ratio = ratios

    def forward(self, input: Tensor) -> Any:
        pool: Any = F.fractional_max_pool2d if self._dims == 2 else F.fractional_max_pool3d
        return pool(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool2d(_FractionalMaxPool):
    __doc__ = f"""The maximum of windows of (N, C, H, W) or (C, H, W) whose starts are drawn at random.

    {(_FractionalMaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.FractionalMaxPool2d(2, output_size=3)(cr.rand(1, 2, 5, 5)).shape
        (1, 2, 3, 3)
    """
    _dims = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    __doc__ = f"""The maximum of windows of (N, C, D, H, W) or (C, D, H, W) whose starts are drawn at random.

    {(_FractionalMaxPool.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.FractionalMaxPool3d(2, output_ratio=0.5)(cr.rand(2, 5, 5, 5)).shape
        (2, 2, 2, 2)
    """
    _dims = 3
