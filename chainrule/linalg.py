"""Linear algebra: the functions of ``torch.linalg``; ``linalg.pyi`` (generated) has the signatures."""

from chainrule.autograd import (
    ops,  # noqa: F401  (it publishes the functions)
    refusals,
)
from chainrule.autograd.public import of_module
from chainrule.backends.linear_algebra import LinAlgError as LinAlgError

__all__ = sorted([*of_module("linalg"), "LinAlgError"])

globals().update(of_module("linalg"))

__getattr__ = refusals.module_getattr("linalg", lambda: globals())
