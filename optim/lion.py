"""Lion."""

from __future__ import annotations

from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import betas as both_betas
from chainrule.optim.optimizer import Optimizer, Params


class Lion(Optimizer):
    """Steps by the sign of a mixture of momentum and gradient (Chen et al., 2023, algorithm 2); not in PyTorch.

    Every element moves by ``lr``, so that should be 3 to 10 times smaller than Adam's, and ``weight_decay`` as much
    larger.

    Args:
        lr: learning rate.
        betas: how much momentum the mixture has, and how much of the momentum is kept at each step.
        weight_decay: this times ``lr`` shrinks the parameters themselves.
        maximize: ascend.
        differentiable: record the step.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Lion([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])
    """

    elementwise = True
    decoupled_decay = True

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": both_betas("Lion", betas),
            "weight_decay": weight_decay,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"exp_avg": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        beta1, beta2 = group["betas"]
        mean = state["exp_avg"]
        step = xp.sign(mean * beta1 + g * (1 - beta1)) * group["lr"]
        axpby(1 - beta2, g, beta2, mean)
        return step
