"""Batch normalisation folded into the layer before it, for evaluation."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from chainrule.autograd.functions import ones_like, rsqrt, zeros_like
from chainrule.autograd.modes import no_grad
from chainrule.autograd.tensor import Tensor
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter

M = TypeVar("M", bound=Module)


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that does what a convolution and a batch normalisation after it do.

    Args:
        bn_rm, bn_rv: the running mean and variance.
        transpose: the convolution is a transposed one, whose weight has the output's channels in dimension 1.

    Example:
        >>> import chainrule as cr
        >>> one = cr.ones(1)
        >>> cr.nn.utils.fuse_conv_bn_weights(cr.ones(1, 1, 1), None, one, one * 4, 0.0, None, None)[1].detach()
        tensor([-0.5000])
    """
    conv_b = zeros_like(bn_rm) if conv_b is None else conv_b
    bn_w = ones_like(bn_rm) if bn_w is None else bn_w
    bn_b = zeros_like(bn_rm) if bn_b is None else bn_b
    shape = (1, -1) if transpose else (-1, 1)
    with no_grad():
        scale = bn_w * rsqrt(bn_rv + bn_eps)
        weight = (conv_w * scale.reshape(*shape, *(1,) * (conv_w.ndim - 2))).to(conv_w.dtype)
        bias = ((conv_b - bn_rm) * scale + bn_b).to(conv_b.dtype)
    return Parameter(weight, conv_w.requires_grad), Parameter(bias, conv_b.requires_grad)


def fuse_conv_bn_eval(conv: M, bn: Any, transpose: bool = False) -> M:
    """A copy of a convolution that does what it and the batch normalisation after it do, both in evaluation mode.

    Raises RuntimeError in training mode, or without running statistics.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> conv, bn, x = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval(), cr.randn(1, 3, 8, 8)
        >>> bool(cr.allclose(nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5))
        True
    """
    fused: Any = _copied("fuse_conv_bn_eval", conv, bn)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the linear layer that does what a linear layer and a batch normalisation after it do.

    Example:
        >>> import chainrule as cr
        >>> one = cr.ones(1)
        >>> cr.nn.utils.fuse_linear_bn_weights(cr.ones(1, 1), None, one, one * 4, 0.0, one, one)[1].detach()
        tensor([0.5000])
    """
    linear_b = zeros_like(bn_rm) if linear_b is None else linear_b
    with no_grad():
        scale = bn_w * rsqrt(bn_rv + bn_eps)
        weight = (linear_w * scale.unsqueeze(-1)).to(linear_w.dtype)
        bias = ((linear_b - bn_rm) * scale + bn_b).to(linear_b.dtype)
    return Parameter(weight, linear_w.requires_grad), Parameter(bias, linear_b.requires_grad)


def fuse_linear_bn_eval(linear: M, bn: Any) -> M:
    """A copy of a linear layer that does what it and the batch normalisation after it do, both in evaluation mode.

    Raises RuntimeError in training mode, without running statistics, or where the two differ in their features.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> linear, bn, x = nn.Linear(3, 8).eval(), nn.BatchNorm1d(8).eval(), cr.randn(2, 3)
        >>> bool(cr.allclose(nn.utils.fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-5))
        True
    """
    fused: Any = _copied("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (1, fused.out_features):
        raise RuntimeError(
            f"fuse_linear_bn_eval: the linear layer has {fused.out_features} features, the normalisation "
            f"{bn.num_features}"
        )
    weight = ones_like(bn.running_mean) if bn.weight is None else bn.weight
    bias = zeros_like(bn.running_mean) if bn.bias is None else bn.bias
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, weight, bias
    )
    return fused


def _copied(caller: str, layer: M, bn: Any) -> M:
    if layer.training or bn.training:
        raise RuntimeError(f"{caller}: both modules must be in evaluation mode; call eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise RuntimeError(f"{caller}: the normalisation keeps no running statistics that could be folded in")
    return copy.deepcopy(layer)
