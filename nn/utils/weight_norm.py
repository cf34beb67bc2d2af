"""Weight normalisation by a hook: the older form of :func:`chainrule.nn.utils.parametrizations.weight_norm`."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from chainrule.autograd.functions import norm_except_dim
from chainrule.autograd.tensor import Tensor
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter

M = TypeVar("M", bound=Module)


class WeightNorm:
    """A forward pre-hook that computes a weight from its length ``NAME_g`` and direction ``NAME_v``."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight that length and direction give now."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except_dim(v, 2, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn a weight's length ``NAME_g`` and direction ``NAME_v`` apart (Salimans and Kingma, 2016).

    Warns, for PyTorch has deprecated it in favour of ``parametrizations.weight_norm``.

    Args:
        name: of the parameter.
        dim: the dimension whose entries have a length each; None for one length of everything.

    Returns:
        the module.

    Raises:
        RuntimeError: the parameter has this hook already. ValueError: there is no such parameter.
    """
    text = "nn.utils.weight_norm is deprecated in favour of nn.utils.parametrizations.weight_norm"
    warnings.warn(text, FutureWarning, stacklevel=2)
    if any(isinstance(h, WeightNorm) and h.name == name for h in module._forward_pre_hooks.values()):
        raise RuntimeError(f"weight_norm: {name!r} has a weight norm already")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"weight_norm: {type(module).__name__} has no parameter {name!r}")
    hook = WeightNorm(name, dim)
    del module._parameters[name]
    value = weight.detach()
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(value, 2, hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(value))
    setattr(module, name, hook.compute_weight(module))
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make a weight an ordinary parameter again, with its present value; returns the module.

    Raises ValueError where there is no weight norm.
    """
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            weight = hook.compute_weight(module).detach()
            delattr(module, name)
            del module._parameters[f"{name}_g"]
            del module._parameters[f"{name}_v"]
            module.register_parameter(name, Parameter(weight))
            module._hook_dict("_forward_pre_hooks").pop(number)
            return module
    raise ValueError(f"remove_weight_norm: {type(module).__name__} has no weight norm of {name!r}")
