"""Layers that take the number of their input's features or channels from their first input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.conv import Conv1d, Conv2d, Conv3d, Sizes, _Conv, _ConvNd
from chainrule.nn.conv_transpose import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, _ConvTranspose
from chainrule.nn.functional.arguments import _SPATIAL, need_tensor
from chainrule.nn.lazy import LazyModuleMixin
from chainrule.nn.linear import Linear
from chainrule.nn.parameter import UninitializedParameter, UninitializedTensorMixin, is_lazy


class _LazyLayer(LazyModuleMixin):
    """What the layers here share: parameters get their shapes and elements once the input's size is known."""

    def reset_parameters(self) -> None:
        """Draw the parameters anew; nothing happens as long as they have no shape."""
        if not self.has_uninitialized_params() and all(p.numel() for p in self.parameters()):
            super().reset_parameters()  # type: ignore[misc]

    def _materialize(self, **shapes: Sequence[int]) -> None:
        """Give what has no shape yet the shape of its name, and draw its elements; what was loaded stays as it is."""
        own = {**self._parameters, **self._buffers}
        loaded = [(t, t.clone()) for t in own.values() if t is not None and not is_lazy(t)]
        for name, shape in shapes.items():
            t = own.get(name)
            if isinstance(t, UninitializedTensorMixin):
                t.materialize(shape)
        self.reset_parameters()
        for t, value in loaded:
            t.copy_(value)


class LazyLinear(_LazyLayer, Linear):
    """A :class:`Linear` whose ``in_features`` is the last dimension of its first input; then it becomes one.

    Args:
        out_features: the size of the last dimension of the result.
        bias: whether there is one.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyLinear(2)
        >>> layer(cr.zeros(5, 3)).shape, layer
        ((5, 2), Linear(in_features=3, out_features=2, bias=True))
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        if out_features < 0:
            raise ValueError(f"LazyLinear: out_features must not be negative, got {out_features}")
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def initialize_parameters(self, input: Tensor) -> None:
        """Take ``in_features`` from the input, or from a weight that was loaded."""
        need_tensor("LazyLinear", input=input)
        if not input.ndim:
            raise RuntimeError("LazyLinear: input must have at least 1 dimension, got 0")
        features = input.shape[-1] if is_lazy(self.weight) else self.weight.shape[1]
        self.in_features = features  # the range of the bias depends on it
        self._materialize(weight=(self.out_features, features), bias=(self.out_features,))

    def expected_shape(self, name: str) -> tuple[int | None, ...] | None:
        """Of the weight all but ``in_features`` is known."""
        return (self.out_features, None) if name == "weight" else (self.out_features,)


class _LazyConvNd(_LazyLayer, _ConvNd):
    def _postpone(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        """Put parameters without a shape in the place of the base's, which have no input channels."""
        if out_channels < 0 or out_channels % self.groups:
            raise ValueError(
                f"{type(self).__name__}: groups must divide out_channels={out_channels}, got {self.groups}"
            )
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take ``in_channels`` from the input, or from a weight that was loaded."""
        label, dims = type(self).__name__, self._dims
        need_tensor(label, input=input)
        if input.ndim not in (dims + 1, dims + 2):
            shape = _SPATIAL[dims]
            raise RuntimeError(f"expected input of shape (N, C, {shape}) or (C, {shape}), got {describe(input)}")
        channels = input.shape[-dims - 1]
        if not is_lazy(self.weight):
            channels = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups
        if channels % self.groups:
            raise ValueError(f"groups={self.groups} must divide the {channels} channels of {describe(input)}")
        self._materialize(weight=self._weight_shape(channels), bias=(self.out_channels,))
        self.in_channels = channels

    def expected_shape(self, name: str) -> tuple[int | None, ...] | None:
        """Of the weight all but the input's channels is known."""
        if name == "bias":
            return (self.out_channels,)
        unknown = 0 if self.transposed else 1
        return tuple([None if d == unknown else n for d, n in enumerate(self._weight_shape(0))])


class _LazyConv(_LazyConvNd, _Conv):
    """Then it becomes an ordinary one. The arguments are those of that class, without ``in_channels``.

    Raises:
        ValueError: an argument makes no sense, or the groups do not divide the channels of the first input.
        RuntimeError: an input of another number of dimensions.
    """

    def __init__(
        self,
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
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._postpone(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvNd, _ConvTranspose):
    """Then it becomes an ordinary one. The arguments are those of that class, without ``in_channels``.

    Raises:
        ValueError: an argument makes no sense, or the groups do not divide the channels of the first input.
        RuntimeError: an input of another number of dimensions.
    """

    def __init__(
        self,
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
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode)
        self._postpone(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    __doc__ = f"""A :class:`Conv1d` whose ``in_channels`` are those of its first input.

    {(_LazyConv.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyConv1d(8, 3)
        >>> layer(cr.zeros(4, 2, 9)).shape, layer
        ((4, 8, 7), Conv1d(2, 8, kernel_size=(3,), stride=(1,)))
    """
    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    __doc__ = f"""A :class:`Conv2d` whose ``in_channels`` are those of its first input.

    {(_LazyConv.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyConv2d(8, 3)
        >>> layer(cr.zeros(4, 2, 9, 9)).shape, layer
        ((4, 8, 7, 7), Conv2d(2, 8, kernel_size=(3, 3), stride=(1, 1)))
    """
    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    __doc__ = f"""A :class:`Conv3d` whose ``in_channels`` are those of its first input.

    {(_LazyConv.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyConv3d(8, 3)
        >>> layer(cr.zeros(4, 2, 9, 9, 9)).shape, layer
        ((4, 8, 7, 7, 7), Conv3d(2, 8, kernel_size=(3, 3, 3), stride=(1, 1, 1)))
    """
    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    __doc__ = f"""A :class:`ConvTranspose1d` whose ``in_channels`` are those of its first input.

    {(_LazyConvTranspose.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyConvTranspose1d(8, 3)
        >>> layer(cr.zeros(4, 2, 9)).shape, layer
        ((4, 8, 11), ConvTranspose1d(2, 8, kernel_size=(3,), stride=(1,)))
    """
    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    __doc__ = f"""A :class:`ConvTranspose2d` whose ``in_channels`` are those of its first input.

    {(_LazyConvTranspose.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyConvTranspose2d(8, 3)
        >>> layer(cr.zeros(4, 2, 9, 9)).shape, layer
        ((4, 8, 11, 11), ConvTranspose2d(2, 8, kernel_size=(3, 3), stride=(1, 1)))
    """
    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    __doc__ = f"""A :class:`ConvTranspose3d` whose ``in_channels`` are those of its first input.

    {(_LazyConvTranspose.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyConvTranspose3d(8, 3)
        >>> layer(cr.zeros(4, 2, 9, 9, 9)).shape, layer
        ((4, 8, 11, 11, 11), ConvTranspose3d(2, 8, kernel_size=(3, 3, 3), stride=(1, 1, 1)))
    """
    cls_to_become = ConvTranspose3d
