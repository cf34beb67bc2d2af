"""Every public function under PyTorch's name; ``functions.pyi`` (generated) has the signatures for type checkers."""

# they publish the functions
from chainrule.autograd import creation, legacy, operators, ops, random, settings  # noqa: F401
from chainrule.autograd.public import of_module

__all__ = sorted(of_module(""))

globals().update(of_module(""))
