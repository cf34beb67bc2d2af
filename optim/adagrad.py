"""Adagrad."""

from __future__ import annotations

from typing import Any

from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params
from chainrule.optim.plan import slot_of


class Adagrad(Optimizer):
    """Divides each element's gradient by the root of the sum of all its squares so far (Duchi et al., 2011).

    Args:
        lr: learning rate.
        lr_decay: the learning rate is divided by ``1 + (step - 1) * lr_decay``.
        weight_decay: this times the parameter is added to the gradient.
        initial_accumulator_value: where the sums start.
        eps: added to the root, against division by 0.
        maximize: ascend.
        differentiable: record the step.
        foreach, fused: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Adagrad([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        not_negative("Adagrad", lr_decay=lr_decay, eps=eps, initial_accumulator_value=initial_accumulator_value)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:  # as PyTorch does: the state is there before the first step
            for p in group["params"]:
                slot_of(self, p, group)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"sum": xp.full_like(p, group["initial_accumulator_value"])}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        total = state["sum"]
        total += g * g
        lr = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        return g / (xp.sqrt(total) + group["eps"]) * lr
