"""Adadelta."""

from __future__ import annotations

from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class Adadelta(Optimizer):
    """Scales the gradient by the ratio of the root mean squares of past steps and past gradients (Zeiler, 2012).

    Args:
        lr: the step is multiplied by this.
        rho: how much of the two running means is kept at each step.
        eps: added under both roots.
        weight_decay: this times the parameter is added to the gradient.
        maximize: ascend.
        differentiable: record the step.
        foreach, capturable: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Adadelta([w], lr=100.0)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.6838])
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Adadelta: rho must be in [0, 1], got {rho}")
        not_negative("Adadelta", eps=eps)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"square_avg": xp.zeros_like(p), "acc_delta": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        rho, eps = group["rho"], group["eps"]
        square, steps = state["square_avg"], state["acc_delta"]
        axpby(1 - rho, g * g, rho, square)
        # a sum of its own, because a recorded root keeps what it is computed from
        delta = xp.sqrt(steps + eps) / xp.sqrt(square + eps) * g
        axpby(1 - rho, delta * delta, rho, steps)
        return delta * group["lr"]
