"""Transforms of functions, with torch.func's names: gradients, Jacobians, and batches, in any combination."""

from chainrule.autograd.jacobians import hessian as hessian
from chainrule.autograd.jacobians import hvp as hvp
from chainrule.autograd.jacobians import jacfwd as jacfwd
from chainrule.autograd.jacobians import jacrev as jacrev
from chainrule.autograd.jacobians import vhp as vhp
from chainrule.autograd.transforms import grad as grad
from chainrule.autograd.transforms import grad_and_value as grad_and_value
from chainrule.autograd.transforms import jvp as jvp
from chainrule.autograd.transforms import linearize as linearize
from chainrule.autograd.transforms import value_and_grad as value_and_grad
from chainrule.autograd.transforms import vjp as vjp
from chainrule.autograd.vmap import vmap as vmap
from chainrule.nn.functional_call import functional_call as functional_call
from chainrule.nn.functional_call import stack_module_state as stack_module_state
