"""Activations that write into their argument."""

from __future__ import annotations

from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional import activation, shrink


def relu_(input: Tensor) -> Tensor:
    """In-place version of :func:`relu`; returns the tensor itself."""
    return FUNCTIONS["relu_"](input)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place version of :func:`hardtanh`; returns the tensor itself."""
    return activation.hardtanh(input, min_val, max_val, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place version of :func:`leaky_relu`; returns the tensor itself."""
    return activation.leaky_relu(input, negative_slope, inplace=True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`elu`; returns the tensor itself."""
    return activation.elu(input, alpha, inplace=True)


def selu_(input: Tensor) -> Tensor:
    """In-place version of :func:`selu`; returns the tensor itself."""
    return activation.selu(input, inplace=True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of :func:`celu`; returns the tensor itself."""
    return activation.celu(input, alpha, inplace=True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """In-place version of :func:`threshold`; returns the tensor itself."""
    return shrink.threshold(input, threshold, value, inplace=True)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """In-place version of :func:`rrelu`; returns the tensor itself."""
    return shrink.rrelu(input, lower, upper, training, inplace=True)
