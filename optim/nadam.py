"""NAdam."""

from __future__ import annotations

from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import betas as both_betas
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class NAdam(Optimizer):
    """Adam that looks ahead along its momentum, as Nesterov's method does (Dozat, 2016).

    Args:
        lr: learning rate.
        betas: how much of the two running means is kept at each step.
        eps: added to the root, against division by 0.
        weight_decay: this times the parameter is added to the gradient.
        momentum_decay: how fast the momentum approaches ``betas[0]`` from half of it.
        decoupled_weight_decay: weight decay shrinks the parameters themselves (NAdamW).
        maximize: ascend.
        differentiable: record the step.
        foreach, capturable: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.NAdam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8944])
    """

    elementwise = True
    numbers = ("mu_product",)

    def __init__(
        self,
        params: Params,
        lr: Any = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        not_negative("NAdam", eps=eps, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": both_betas("NAdam", betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"mu_product": 1.0, "exp_avg": xp.zeros_like(p), "exp_avg_sq": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        (beta1, beta2), lr, step = group["betas"], group["lr"], state["step"]
        now, later = (beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"])) for t in (step, step + 1))
        state["mu_product"] *= now
        product = state["mu_product"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        axpby(1 - beta1, g, beta1, mean)
        axpby(1 - beta2, g * g, beta2, square)
        ahead = g * ((1 - now) / (1 - product)) + mean * (later / (1 - product * later))
        return ahead / (xp.sqrt(square / (1 - beta2**step)) + group["eps"]) * lr
