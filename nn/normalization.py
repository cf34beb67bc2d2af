"""Batch and instance normalisation: layers that bring each channel to mean 0 and variance 1."""

from __future__ import annotations

import warnings
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.creation import ones, zeros
from chainrule.autograd.runtime import bump
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class _NormBase(Module):
    """The learnt scale and shift, and the running statistics, of batch and instance normalisation."""

    _version = 2  # PyTorch's: since 2 there is num_batches_tracked

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _dims: tuple[int, ...] = ()
    _shapes = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features, device=device, dtype=dtype)) if affine else None)
        shift = Parameter(zeros(num_features, device=device, dtype=dtype)) if affine and bias else None
        self.register_parameter("bias", shift)
        track = track_running_stats
        self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype) if track else None)
        self.register_buffer("num_batches_tracked", zeros((), device=device, dtype=dtypes.int64) if track else None)

    def reset_running_stats(self) -> None:
        """Forget what was seen."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Forget what was seen and learnt."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        """Raise ValueError for an input of another number of dimensions; a subclass may accept others."""
        if input.ndim not in self._dims:
            raise ValueError(
                f"{type(self).__name__}: expected input of shape {self._shapes} with C = {self.num_features}, got "
                f"{tuple(input.shape)}"
            )

    def _check_channels(self, input: Tensor, dim: int) -> None:
        if input.shape[dim] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: expected input of shape {self._shapes} with C = {self.num_features}, got "
                f"{tuple(input.shape)}"
            )

    def _load_from_state_dict(self, state_dict: Any, prefix: str, local_metadata: Any, *rest: Any) -> None:
        version = local_metadata.get("version")
        if (version is None or version < 2) and self.num_batches_tracked is not None:
            # state dicts from before there was a count, and those that other programs wrote, lack it: ours stays
            state_dict.setdefault(f"{prefix}num_batches_tracked", self.num_batches_tracked)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_NormBase):
    """Each channel (dimension 1) brought to mean 0 and variance 1, then scaled and shifted by learnt numbers.

    In training the batch's statistics are used and running ones kept; after ``eval()`` the running ones are used.
    Statistics are biased for the result and unbiased where they are kept, as in PyTorch.

    Args:
        num_features: the number of channels C.
        momentum: weight of the newest batch in the running statistics; None keeps the mean over all batches.
        affine: whether there is a learnt scale, and with ``bias`` a learnt shift.
        track_running_stats: whether running statistics are kept; without, the batch's are always used.

    Raises:
        ValueError: the input has another number of dimensions, or one value per channel in training.
    """

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        self._check_channels(input, 1)
        mean, var, seen = self.running_mean, self.running_var, self.num_batches_tracked
        if not self.training:
            # without statistics of its own the layer uses the batch's
            batch = mean is None and var is None
            return F.batch_norm(input, mean, var, self.weight, self.bias, batch, 0.0, self.eps)
        if not self.track_running_stats:
            return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.momentum is None and seen is not None:
            momentum = 1.0 / (float(seen) + 1.0)
        out = F.batch_norm(input, mean, var, self.weight, self.bias, True, momentum, self.eps)
        if seen is not None:
            seen._data += 1  # counted once the batch was accepted
            bump(seen)
        return out


class BatchNorm1d(_BatchNorm):
    __doc__ = f"""Batch normalisation (Ioffe and Szegedy, 2015) of (N, C) or (N, C, L).

    {(_BatchNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BatchNorm1d(3)(cr.zeros(4, 3)).shape
        (4, 3)
    """
    _dims = (2, 3)
    _shapes = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    __doc__ = f"""Batch normalisation (Ioffe and Szegedy, 2015) of images (N, C, H, W).

    {(_BatchNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BatchNorm2d(3)(cr.zeros(4, 3, 2, 2)).shape
        (4, 3, 2, 2)
    """
    _dims = (4,)
    _shapes = "(N, C, H, W)"


class BatchNorm3d(_BatchNorm):
    __doc__ = f"""Batch normalisation (Ioffe and Szegedy, 2015) of volumes (N, C, D, H, W).

    {(_BatchNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.BatchNorm3d(3)(cr.zeros(4, 3, 2, 2, 2)).shape
        (4, 3, 2, 2, 2)
    """
    _dims = (5,)
    _shapes = "(N, C, D, H, W)"


class _InstanceNorm(_NormBase):
    """Each channel of each sample brought to mean 0 and variance 1, then perhaps scaled and shifted.

    Unlike batch normalisation it learns nothing and keeps nothing unless told to.

    Args:
        num_features: the number of channels C.
        momentum: weight of the newest batch in the running statistics.
        affine: whether there is a learnt scale, and with ``bias`` a learnt shift.
        track_running_stats: whether running statistics are kept, and used after ``eval()``.

    Raises:
        ValueError: the input has another number of dimensions or channels, or one value per channel.
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        alone = input.ndim == self._dims[0]  # a single sample
        channel = 0 if alone else 1
        if self.affine or self.running_mean is not None:
            self._check_channels(input, channel)
        elif input.shape[channel] != self.num_features:  # it has nothing that depends on their number
            warnings.warn(
                f"{type(self).__name__}: the input has {input.shape[channel]} channels, the layer was made for "
                f"{self.num_features}",
                stacklevel=2,
            )
        out = F.instance_norm(
            input.unsqueeze(0) if alone else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0,
            self.eps,
        )
        return out.squeeze(0) if alone else out


class InstanceNorm1d(_InstanceNorm):
    __doc__ = f"""Instance normalisation (Ulyanov et al., 2016) of (N, C, L) or (C, L).

    {(_InstanceNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.InstanceNorm1d(1)(cr.tensor([[[1.0, 3.0]]])).abs()
        tensor([[[1.0000, 1.0000]]])
    """
    _dims = (2, 3)
    _shapes = "(N, C, L) or (C, L)"


class InstanceNorm2d(_InstanceNorm):
    __doc__ = f"""Instance normalisation (Ulyanov et al., 2016) of images (N, C, H, W) or (C, H, W).

    {(_InstanceNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.InstanceNorm2d(3)(cr.zeros(4, 3, 2, 2)).shape
        (4, 3, 2, 2)
    """
    _dims = (3, 4)
    _shapes = "(N, C, H, W) or (C, H, W)"


class InstanceNorm3d(_InstanceNorm):
    __doc__ = f"""Instance normalisation (Ulyanov et al., 2016) of volumes (N, C, D, H, W) or (C, D, H, W).

    {(_InstanceNorm.__doc__ or "").strip()}

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.InstanceNorm3d(3)(cr.zeros(4, 3, 2, 2, 2)).shape
        (4, 3, 2, 2, 2)
    """
    _dims = (4, 5)
    _shapes = "(N, C, D, H, W) or (C, D, H, W)"
