"""RAdam."""

from __future__ import annotations

import math
from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import betas as both_betas
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class RAdam(Optimizer):
    """Adam that does without its root mean square while that rests on too few steps (Liu et al., 2020).

    Args:
        lr: learning rate.
        betas: how much of the two running means is kept at each step.
        eps: added to the root, against division by 0.
        weight_decay: this times the parameter is added to the gradient.
        decoupled_weight_decay: weight decay shrinks the parameters themselves (RAdamW).
        maximize: ascend.
        differentiable: record the step.
        foreach, capturable: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.RAdam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8000])
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        not_negative("RAdam", eps=eps)
        defaults = {
            "lr": lr,
            "betas": both_betas("RAdam", betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(p), "exp_avg_sq": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        (beta1, beta2), step = group["betas"], state["step"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        axpby(1 - beta1, g, beta1, mean)
        axpby(1 - beta2, g * g, beta2, square)
        lr = group["lr"] / (1 - beta1**step)
        # how many steps the root mean square rests on: now, and in the limit
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * step * beta2**step / (1 - beta2**step)
        if length <= 5.0:
            return mean * lr
        rectified = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
        return mean / (xp.sqrt(square) + group["eps"]) * (lr * math.sqrt(rectified * (1 - beta2**step)))
