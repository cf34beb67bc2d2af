"""chainrule: reverse-mode automatic differentiation with PyTorch's names, on NumPy and CuPy."""
from chainrule import autograd, backends
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.dtypes import *
from chainrule.autograd.modes import *
from chainrule.backends import device, get_default_device, set_default_device
globals().update(FUNCTIONS)
