"""Discrete Fourier transforms: the functions of ``torch.fft``; ``fft.pyi`` (generated) has the signatures."""

from chainrule.autograd import (
    ops,  # noqa: F401  (it publishes the functions)
    refusals,
)
from chainrule.autograd.public import of_module

__all__ = sorted(of_module("fft"))

globals().update(of_module("fft"))

__getattr__ = refusals.module_getattr("fft", lambda: globals())
