"""Spectral normalisation by a hook: the older form of :func:`chainrule.nn.utils.parametrizations.spectral_norm`."""

from __future__ import annotations

from typing import Any, TypeVar

from chainrule.autograd.functions import dot, mv, randn
from chainrule.autograd.modes import no_grad
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter
from chainrule.nn.utils.parametrizations import default_dim

M = TypeVar("M", bound=Module)


class SpectralNorm:
    """A forward pre-hook that divides ``NAME_orig`` by its largest singular value."""

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix whose rows are the outputs."""
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """The weight over its largest singular value, which is followed in training."""
        weight, u, v = (getattr(module, f"{self.name}_{part}") for part in ("orig", "u", "v"))
        matrix = self.matrix(weight)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(mv(matrix.T, u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(mv(matrix, v), dim=0, eps=self.eps))
                # copies, for a later call changes them in place before this one is differentiated
                u, v = u.clone(), v.clone()
        return weight / dot(u, mv(matrix, v))

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, module.training))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its largest singular value (Miyato et al., 2018), estimated by power iteration in training.

    The older form: the parameter becomes ``NAME_orig``, and ``NAME_u`` and ``NAME_v`` are buffers.

    Args:
        name: of the parameter.
        n_power_iterations: steps in each call in training.
        eps: the least norm that is divided by.
        dim: the dimension of the outputs; by default 1 for transposed convolutions, else 0.

    Returns:
        the module.

    Raises:
        RuntimeError: the parameter has this hook already. ValueError: there is no such parameter.

    Example:
        >>> from chainrule import nn
        >>> list(nn.utils.spectral_norm(nn.Linear(2, 3)).state_dict())
        ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if any(isinstance(h, SpectralNorm) and h.name == name for h in module._forward_pre_hooks.values()):
        raise RuntimeError(f"spectral_norm: {name!r} has a spectral norm already")
    if n_power_iterations <= 0:
        raise ValueError(f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}")
    hook = SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    value = weight.detach()
    rows, columns = hook.matrix(value).shape
    like: dict[str, Any] = {"dtype": value.dtype, "device": value.device}
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, value)
    module.register_buffer(f"{name}_u", F.normalize(randn(rows, **like), dim=0, eps=eps))
    module.register_buffer(f"{name}_v", F.normalize(randn(columns, **like), dim=0, eps=eps))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make a weight an ordinary parameter again, with its present value; returns the module.

    Raises ValueError where there is no spectral norm.
    """
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            with no_grad():
                weight = hook.compute_weight(module, do_power_iteration=False)
            delattr(module, name)
            for part in ("orig", "u", "v"):
                delattr(module, f"{name}_{part}")
            module.register_parameter(name, Parameter(weight.detach()))
            module._hook_dict("_forward_pre_hooks").pop(number)
            return module
    raise ValueError(f"remove_spectral_norm: {type(module).__name__} has no spectral norm of {name!r}")
