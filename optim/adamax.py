"""Adamax."""

from __future__ import annotations

from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import betas as both_betas
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class Adamax(Optimizer):
    """Adam with the largest recent gradient, decaying, in place of the root mean square (Kingma and Ba, 2015).

    Args:
        lr: learning rate.
        betas: how much of the running mean and of the largest gradient is kept at each step.
        eps: added to the size of the gradient, against division by 0.
        weight_decay: this times the parameter is added to the gradient.
        maximize: ascend.
        differentiable: record the step.
        foreach, capturable: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Adamax([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        not_negative("Adamax", eps=eps)
        defaults = {
            "lr": lr,
            "betas": both_betas("Adamax", betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(p), "exp_inf": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"]
        axpby(1 - beta1, g, beta1, mean)
        largest = state["exp_inf"] = xp.maximum(state["exp_inf"] * beta2, xp.abs(g) + group["eps"])
        return mean / largest * (group["lr"] / (1 - beta1 ** state["step"]))
