"""Special functions: the functions of ``torch.special``; ``special.pyi`` (generated) has the signatures."""

from chainrule.autograd import (
    ops,  # noqa: F401  (it publishes the functions)
    refusals,
)
from chainrule.autograd.public import of_module

__all__ = sorted(of_module("special"))

globals().update(of_module("special"))

__getattr__ = refusals.module_getattr("special", lambda: globals())
