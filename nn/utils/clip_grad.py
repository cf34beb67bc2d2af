"""Clipping of gradients, by their common norm or one by one, in place."""

from __future__ import annotations

import types
import warnings
from collections.abc import Iterable
from typing import Any

from chainrule.autograd.functions import stack
from chainrule.autograd.modes import no_grad
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor


def _listed(caller: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        return [tensors]
    found = list(tensors)
    if isinstance(tensors, types.GeneratorType) and not found:
        warnings.warn(f"{caller}: the generator of parameters is empty; was it used up before?", stacklevel=3)
    for t in found:
        if not isinstance(t, Tensor):
            raise TypeError(f"{caller}: expected tensors, got {type(t).__name__}")
    return found


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all elements of some tensors, as if they were one vector.

    Args:
        norm_type: the p of the p-norm; ``float("inf")`` for the largest absolute value.
        error_if_nonfinite: raise where the norm is NaN or infinite.
        foreach: has no effect.

    Raises:
        RuntimeError: the norm is not finite, with ``error_if_nonfinite``.

    Example:
        >>> import chainrule as cr
        >>> cr.nn.utils.get_total_norm([cr.tensor([3.0]), cr.tensor([4.0])])
        tensor(5.)
    """
    found = _listed("get_total_norm", tensors)
    p = float(norm_type)
    if not found:
        return FUNCTIONS["zeros"](())
    norm = FUNCTIONS["linalg.vector_norm"]
    total = norm(stack([norm(t, p).to(found[0].device) for t in found]), p)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"get_total_norm: the norm of order {p} of the gradients is {total.item()}, so they cannot be clipped; to "
            "clip them all the same set error_if_nonfinite=False"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Multiply the gradients of parameters by ``max_norm / total_norm`` where that is less than 1.

    Args:
        total_norm: their norm, from :func:`get_total_norm`.
        foreach: has no effect.

    Example:
        >>> import chainrule as cr
        >>> w = cr.ones(1, requires_grad=True)
        >>> w.grad = cr.tensor([8.0])
        >>> cr.nn.utils.clip_grads_with_norm_(w, 1.0, cr.tensor(2.0))
        >>> w.grad
        tensor([4.0000])
    """
    grads = [p.grad for p in _listed("clip_grads_with_norm_", parameters) if p.grad is not None]
    with no_grad():
        # 1e-6 keeps a norm of 0 from being divided by; multiplying by 1 costs less than waiting for a GPU's answer
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for g in grads:
            g.mul_(factor.to(g.device))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients down, in place, so that their common norm is at most ``max_norm`` (Pascanu et al., 2013).

    Args:
        parameters: one or several; those without a gradient do not count.
        norm_type: the p of the p-norm; ``float("inf")`` for the largest absolute value.
        error_if_nonfinite: raise, and change nothing, where the norm is NaN or infinite.
        foreach: has no effect.

    Returns:
        the norm before clipping.

    Raises:
        RuntimeError: the norm is not finite, with ``error_if_nonfinite``.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(2, requires_grad=True)
        >>> w.grad = cr.tensor([3.0, 4.0])
        >>> cr.nn.utils.clip_grad_norm_([w], 1.0)
        tensor(5.)
        >>> w.grad
        tensor([0.6000, 0.8000])
    """
    found = _listed("clip_grad_norm_", parameters)
    with no_grad():
        total = get_total_norm([p.grad for p in found if p.grad is not None], norm_type, error_if_nonfinite)
    clip_grads_with_norm_(found, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The older name of :func:`clip_grad_norm_`; warns."""
    warnings.warn("clip_grad_norm is deprecated in favour of clip_grad_norm_", FutureWarning, stacklevel=2)
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value], in place.

    Example:
        >>> import chainrule as cr
        >>> w = cr.zeros(2, requires_grad=True)
        >>> w.grad = cr.tensor([-3.0, 0.5])
        >>> cr.nn.utils.clip_grad_value_([w], 1.0)
        >>> w.grad
        tensor([-1.0000,  0.5000])
    """
    limit = float(clip_value)
    with no_grad():
        for p in _listed("clip_grad_value_", parameters):
            if p.grad is not None:
                p.grad.clamp_(-limit, limit)
