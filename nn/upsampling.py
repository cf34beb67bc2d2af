"""Layers that bring their input to a larger size by interpolation."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module

Sizes = int | Sequence[int]
Factors = float | Sequence[float]


class Upsample(Module):
    """The input (N, C, L), (N, C, H, W) or (N, C, D, H, W) brought to another size.

    Args:
        size, scale_factor: one of them: the size of the result, or its ratio to the input's.
        mode: ``"nearest"``; ``"linear"`` of sequences; ``"bilinear"`` and ``"bicubic"`` of images; ``"trilinear"`` of
            volumes; and the other modes of :func:`chainrule.nn.functional.interpolate`.
        align_corners: whether the centres of the first and last elements (not their outer edges) stay where they are.
        recompute_scale_factor: take the ratio of the sizes, rounded to whole elements, for ``scale_factor``.

    Raises, when called, ValueError for arguments that contradict each other, NotImplementedError for a mode that the
    input's shape does not have.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Upsample(scale_factor=2)(cr.tensor([[[1.0, 2.0]]]))
        tensor([[[1., 1., 2., 2.]]])
    """

    def __init__(
        self,
        size: Sizes | None = None,
        scale_factor: Factors | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        self.scale_factor: float | tuple[float, ...] | None
        if isinstance(scale_factor, Sequence):
            self.scale_factor = tuple([float(factor) for factor in scale_factor])
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        to = f"size={self.size!r}" if self.scale_factor is None else f"scale_factor={self.scale_factor!r}"
        return f"{to}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Images (N, C, H, W) brought to another size, each pixel that of the nearest in the input.

    Args:
        size, scale_factor: one of them: the size of the result, or its ratio to the input's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.UpsamplingNearest2d(scale_factor=2)(cr.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1., 1., 2., 2.],
                  [1., 1., 2., 2.]]]])
    """

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Images (N, C, H, W) brought to another size, linearly between the pixels; the corners stay where they are.

    Args:
        size, scale_factor: one of them: the size of the result, or its ratio to the input's.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.UpsamplingBilinear2d((1, 3))(cr.tensor([[[[1.0, 2.0]]]]))
        tensor([[[[1.0000, 1.5000, 2.0000]]]])
    """

    def __init__(self, size: Sizes | None = None, scale_factor: Factors | None = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
