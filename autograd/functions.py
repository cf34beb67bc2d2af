"""Every public function under PyTorch's name; ``functions.pyi`` (generated) has the signatures for type checkers."""

from chainrule.autograd import creation, operators, ops, queries, random, ranges, shared_memory  # noqa: F401  (they publish the functions)
from chainrule.autograd.public import of_module

__all__ = sorted(of_module(""))

globals().update(of_module(""))
