"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class SGD(Optimizer):
    """Gradient descent with momentum: ``p -= lr * buffer``, ``buffer = momentum * buffer + (1 - dampening) * g``.

    Args:
        lr: learning rate.
        momentum: how much of the last step is kept.
        dampening: how much of the gradient the momentum leaves out, from the second step on.
        weight_decay: this times the parameter is added to the gradient.
        nesterov: look ahead along the momentum (Sutskever et al., 2013).
        maximize: ascend.
        differentiable: record the step.
        foreach, fused: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range, or nesterov without momentum or with dampening.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.SGD([w], lr=0.1, momentum=0.9)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8000])
    """

    elementwise = True
    counts = False

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: Any = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        not_negative("SGD", momentum=momentum)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum and no dampening, got momentum={momentum} and dampening={dampening}"
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def gathers(self, group: dict[str, Any]) -> bool:
        return bool(group["momentum"])

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        momentum = group["momentum"]
        if not momentum:
            return g * group["lr"]
        buffer = state.get("momentum_buffer")
        if buffer is None:  # the first gradient is taken whole
            buffer = state["momentum_buffer"] = g * 1
        else:
            axpby(1 - group["dampening"], g, momentum, buffer)
        return (g + buffer * momentum if group["nesterov"] else buffer) * group["lr"]
