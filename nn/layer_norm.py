"""Normalisation of each sample by itself: over its last dimensions, groups of channels, or neighbouring channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class LayerNorm(Module):
    """The last dimensions brought to mean 0 and variance 1, then scaled and shifted (Ba et al., 2016).

    Args:
        normalized_shape: the sizes of these dimensions; an int for one dimension.
        elementwise_affine: whether there is a learnt scale, and with ``bias`` a learnt shift, of that shape.

    Raises:
        RuntimeError: the input's last dimensions are others.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LayerNorm(2)(cr.tensor([1.0, 3.0])).detach()
        tensor([-1.0000,  1.0000])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            made = Parameter(empty(self.normalized_shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1 and shift by 0 again."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """The last dimensions divided by the root of their mean square, then scaled (Zhang and Sennrich, 2019).

    Args:
        normalized_shape: the sizes of these dimensions; an int for one dimension.
        eps: added to the mean square; None for the dtype's resolution.
        elementwise_affine: whether there is a learnt scale of that shape.

    Raises:
        RuntimeError: the input's last dimensions are others.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.RMSNorm(2)(cr.tensor([2.0, -2.0])).detach()
        tensor([ 1., -1.])
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _sizes(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        made = Parameter(empty(self.normalized_shape, device=device, dtype=dtype)) if elementwise_affine else None
        self.register_parameter("weight", made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1 again."""
        _reset(self)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Groups of channels of each sample brought to mean 0 and variance 1, then scaled and shifted (Wu and He, 2018).

    Args:
        num_groups: the number of groups, which must divide num_channels.
        num_channels: the number of channels C of the input (N, C, ...).
        affine: whether there is a learnt scale, and with ``bias`` a learnt shift, of each channel.

    Raises:
        ValueError: num_groups does not divide num_channels.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.GroupNorm(2, 4)(cr.tensor([[1.0, 3.0, 5.0, 9.0]])).detach()
        tensor([[-1.0000,  1.0000, -1.0000,  1.0000]])
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must be positive and divide num_channels={num_channels}, got {num_groups}"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(empty(num_channels, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1 and shift by 0 again."""
        _reset(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """``x / (k + alpha * mean of squares over `size` neighbouring channels) ** beta`` (Krizhevsky et al., 2012).

    Raises ValueError unless the input is (N, C, L, ...).

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.LocalResponseNorm(2, alpha=1.0)(cr.ones(1, 2, 1)).flatten()
        tensor([0.7378, 0.5946])
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _sizes(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)


def _reset(layer: Module) -> None:
    for name, p in layer._parameters.items():
        if p is not None:
            (init.ones_ if name == "weight" else init.zeros_)(p)
