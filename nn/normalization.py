"""Batch normalisation and dropout: the layers that behave differently in training."""

from __future__ import annotations

from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.creation import ones, zeros
from chainrule.autograd.runtime import bump
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class _BatchNorm(Module):
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

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim not in self._dims or input.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: expected input of shape {self._shapes} with C = {self.num_features}, got "
                f"{tuple(input.shape)}"
            )
        mean, var = self.running_mean, self.running_var
        if not self.training:
            return F.batch_norm(input, mean, var, self.weight, self.bias, mean is None, 0.0, self.eps)
        momentum = self.momentum
        seen = self.num_batches_tracked
        if seen is not None:
            if momentum is None:
                momentum = 1.0 / (float(seen) + 1.0)
            out = F.batch_norm(input, mean, var, self.weight, self.bias, True, momentum, self.eps)
            seen._data += 1  # counted once the batch was accepted
            bump(seen)
            return out
        return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


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


class Dropout(Module):
    """In training, elements set to 0 with probability ``p`` and the others multiplied by ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Dropout(0.5).eval()(cr.ones(2))
        tensor([1., 1.])
    """

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"Dropout: p must be in [0, 1], got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        return F.dropout(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"
