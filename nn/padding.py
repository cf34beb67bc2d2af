"""Layers that put a border around their input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.functional.arguments import _SPATIAL
from chainrule.nn.module import Module

Sizes = int | Sequence[int]


def _widths(label: str, padding: Any, count: int, fewer: bool) -> tuple[int, ...]:
    """``padding`` as one width for each end of each dimension, the last dimension first."""
    given = (padding,) * count if isinstance(padding, int) else padding
    try:
        found = tuple([int(n.__index__()) for n in given])
    except (TypeError, AttributeError):
        found = ()
    if len(found) != count and not (fewer and found and len(found) % 2 == 0):
        raise TypeError(f"{label}: padding must be an int or {count} of them, got {padding!r}")
    return found


class _ConstantPad(Module):
    """Where a width is negative, so much of the input is cut off instead.

    Args:
        padding: the width of the border: an int, or one for each end of each dimension, the last dimension first,
            such as (left, right, top, bottom).

    Raises:
        TypeError: ``padding`` is neither. ValueError: the input, when called, has too few dimensions or elements.
    """

    _dims = 0
    value: float

    def __init__(self, padding: Sizes, value: float) -> None:
        super().__init__()
        self.padding = _widths(type(self).__name__, padding, 2 * self._dims, fewer=True)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    __doc__ = f"""``value`` around the last dimension: (..., L) to (..., left + L + right).

    {(_ConstantPad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConstantPad1d((1, 2), 0.5)(cr.tensor([[1.0, 2.0]]))
        tensor([[0.5000, 1.0000, 2.0000, 0.5000, 0.5000]])
    """
    _dims = 1


class ConstantPad2d(_ConstantPad):
    __doc__ = f"""``value`` around the last two dimensions: (..., H, W) to (..., top + H + bottom, left + W + right).

    {(_ConstantPad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConstantPad2d((1, 0, 0, 1), 7.0)(cr.ones(1, 2, 2))
        tensor([[[7., 1., 1.],
                 [7., 1., 1.],
                 [7., 7., 7.]]])
    """
    _dims = 2


class ConstantPad3d(_ConstantPad):
    __doc__ = f"""``value`` around the last three dimensions of volumes (..., D, H, W).

    {(_ConstantPad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ConstantPad3d((1, 1, 0, 0, 2, 0), 0.5)(cr.ones(1, 2, 3, 4)).shape
        (1, 4, 3, 6)
    """
    _dims = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Sizes) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad):
    __doc__ = f"""Zeros around the last dimension: (..., L) to (..., left + L + right).

    {(_ConstantPad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ZeroPad1d((1, 2))(cr.tensor([[1.0, 2.0]]))
        tensor([[0., 1., 2., 0., 0.]])
    """
    _dims = 1


class ZeroPad2d(_ZeroPad):
    __doc__ = f"""Zeros around the last two dimensions: (..., H, W) to (..., top + H + bottom, left + W + right).

    {(_ConstantPad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ZeroPad2d((1, 0, 0, 1))(cr.ones(1, 2, 2))
        tensor([[[0., 1., 1.],
                 [0., 1., 1.],
                 [0., 0., 0.]]])
    """
    _dims = 2


class ZeroPad3d(_ZeroPad):
    __doc__ = f"""Zeros around the last three dimensions of volumes (..., D, H, W).

    {(_ConstantPad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ZeroPad3d(1)(cr.ones(1, 2, 3, 4)).shape
        (1, 4, 5, 6)
    """
    _dims = 3


class _EdgePad(Module):
    """Where a width is negative, so much of the input is cut off instead.

    Args:
        padding: the width of the border: an int, or one for each end of each dimension, the last dimension first,
            such as (left, right, top, bottom).

    Raises:
        TypeError: ``padding`` is neither. ValueError: the input, when called, has another shape or is too small.
    """

    _dims = 0
    _mode = ""

    def __init__(self, padding: Sizes) -> None:
        super().__init__()
        self.padding = _widths(type(self).__name__, padding, 2 * self._dims, fewer=False)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in (self._dims + 1, self._dims + 2):
            shape = _SPATIAL[self._dims]
            raise ValueError(f"expected input of shape (N, C, {shape}) or (C, {shape}), got {describe(input)}")
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPad(_EdgePad):
    _mode = "reflect"


class ReflectionPad1d(_ReflectionPad):
    __doc__ = f"""The input (N, C, L) or (C, L) mirrored at its ends, which are not repeated.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReflectionPad1d(2)(cr.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """
    _dims = 1


class ReflectionPad2d(_ReflectionPad):
    __doc__ = f"""Images (N, C, H, W) or (C, H, W) mirrored at their sides, which are not repeated.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReflectionPad2d((1, 0, 1, 0))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[4., 3., 4.],
                 [2., 1., 2.],
                 [4., 3., 4.]]])
    """
    _dims = 2


class ReflectionPad3d(_ReflectionPad):
    __doc__ = f"""Volumes (N, C, D, H, W) or (C, D, H, W) mirrored at their sides, which are not repeated.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReflectionPad3d(1)(cr.ones(1, 2, 3, 4)).shape
        (1, 4, 5, 6)
    """
    _dims = 3


class _ReplicationPad(_EdgePad):
    _mode = "replicate"


class ReplicationPad1d(_ReplicationPad):
    __doc__ = f"""The input (N, C, L) or (C, L) with its first and last elements repeated.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReplicationPad1d(2)(cr.tensor([[1.0, 2.0, 3.0]]))
        tensor([[1., 1., 1., 2., 3., 3., 3.]])
    """
    _dims = 1


class ReplicationPad2d(_ReplicationPad):
    __doc__ = f"""Images (N, C, H, W) or (C, H, W) with the pixels at their sides repeated.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReplicationPad2d((1, 0, 1, 0))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[1., 1., 2.],
                 [1., 1., 2.],
                 [3., 3., 4.]]])
    """
    _dims = 2


class ReplicationPad3d(_ReplicationPad):
    __doc__ = f"""Volumes (N, C, D, H, W) or (C, D, H, W) with the elements at their sides repeated.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.ReplicationPad3d(1)(cr.ones(1, 2, 3, 4)).shape
        (1, 4, 5, 6)
    """
    _dims = 3


class _CircularPad(_EdgePad):
    _mode = "circular"


class CircularPad1d(_CircularPad):
    __doc__ = f"""The input (N, C, L) or (C, L) continued periodically.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CircularPad1d((1, 2))(cr.tensor([[1.0, 2.0, 3.0]]))
        tensor([[3., 1., 2., 3., 1., 2.]])
    """
    _dims = 1


class CircularPad2d(_CircularPad):
    __doc__ = f"""Images (N, C, H, W) or (C, H, W) continued periodically.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CircularPad2d((1, 0, 1, 0))(cr.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[[4., 3., 4.],
                 [2., 1., 2.],
                 [4., 3., 4.]]])
    """
    _dims = 2


class CircularPad3d(_CircularPad):
    __doc__ = f"""Volumes (N, C, D, H, W) or (C, D, H, W) continued periodically.

    {(_EdgePad.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.CircularPad3d(1)(cr.ones(1, 2, 3, 4)).shape
        (1, 4, 5, 6)
    """
    _dims = 3
