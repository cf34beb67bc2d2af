"""Every public function under PyTorch's name; ``functions.pyi`` (generated) has the signatures for type checkers."""

# they publish the functions
from chainrule.autograd import creation as creation
from chainrule.autograd import dlpack as dlpack
from chainrule.autograd import legacy as legacy
from chainrule.autograd import operators as operators
from chainrule.autograd import ops as ops
from chainrule.autograd import queries as queries
from chainrule.autograd import random as random
from chainrule.autograd import ranges as ranges
from chainrule.autograd import sampling as sampling
from chainrule.autograd import settings as settings
from chainrule.autograd import shared_memory as shared_memory
from chainrule.autograd import sharing as sharing
from chainrule.autograd.public import of_module

__all__ = sorted(of_module(""))

globals().update(of_module(""))
