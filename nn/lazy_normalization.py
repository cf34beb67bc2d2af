"""Batch and instance normalisation that take the number of channels from their first input."""

from __future__ import annotations

from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.creation import zeros
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import need_tensor
from chainrule.nn.lazy_layers import _LazyLayer
from chainrule.nn.normalization import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    _InstanceNorm,
    _NormBase,
)
from chainrule.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy


class _LazyNorm(_LazyLayer, _NormBase):
    """Then it becomes an ordinary one. The arguments are those of that class, without ``num_features``.

    Raises:
        ValueError: the first input has another number of dimensions.
    """

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=bias)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = zeros((), device=device, dtype=dtypes.int64)

    def initialize_parameters(self, input: Tensor) -> None:
        """Take ``num_features`` from the input, or from what was loaded."""
        need_tensor(type(self).__name__, input=input)
        if input.ndim not in self._dims:
            raise ValueError(f"expected input of shape {self._shapes}, got {describe(input)}")
        alone = isinstance(self, _InstanceNorm) and input.ndim == self._dims[0]  # a single sample
        features = input.shape[0 if alone else 1]
        for t in (self.weight, self.bias, self.running_mean, self.running_var):
            if t is not None and not is_lazy(t):
                features = t.shape[0]
        names = ("weight", "bias", "running_mean", "running_var")
        self._materialize(**dict.fromkeys(names, (features,)))
        self.num_features = features

    def expected_shape(self, name: str) -> tuple[int | None, ...] | None:
        """One number for each channel."""
        return (None,)


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    __doc__ = f"""A :class:`BatchNorm1d` whose ``num_features`` are the channels of its first input.

    {(_LazyNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyBatchNorm1d()
        >>> layer(cr.zeros(4, 3)).shape, layer.num_features
        ((4, 3), 3)
    """
    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    __doc__ = f"""A :class:`BatchNorm2d` whose ``num_features`` are the channels of its first input.

    {(_LazyNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyBatchNorm2d()
        >>> layer(cr.zeros(4, 3, 2, 2)).shape, layer.num_features
        ((4, 3, 2, 2), 3)
    """
    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    __doc__ = f"""A :class:`BatchNorm3d` whose ``num_features`` are the channels of its first input.

    {(_LazyNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyBatchNorm3d()
        >>> layer(cr.zeros(4, 3, 2, 2, 2)).shape, layer.num_features
        ((4, 3, 2, 2, 2), 3)
    """
    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    __doc__ = f"""A :class:`InstanceNorm1d` whose ``num_features`` are the channels of its first input.

    {(_LazyNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyInstanceNorm1d()
        >>> layer(cr.zeros(4, 3, 5)).shape, layer.num_features
        ((4, 3, 5), 3)
    """
    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    __doc__ = f"""A :class:`InstanceNorm2d` whose ``num_features`` are the channels of its first input.

    {(_LazyNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyInstanceNorm2d()
        >>> layer(cr.zeros(4, 3, 2, 2)).shape, layer.num_features
        ((4, 3, 2, 2), 3)
    """
    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    __doc__ = f"""A :class:`InstanceNorm3d` whose ``num_features`` are the channels of its first input.

    {(_LazyNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.LazyInstanceNorm3d()
        >>> layer(cr.zeros(4, 3, 2, 2, 2)).shape, layer.num_features
        ((4, 3, 2, 2, 2), 3)
    """
    cls_to_become = InstanceNorm3d
