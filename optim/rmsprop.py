"""RMSprop."""

from __future__ import annotations

from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class RMSprop(Optimizer):
    """Gradients divided by a running root mean square of their size (Hinton, 2012; centered: Graves, 2013).

    Args:
        lr: learning rate.
        alpha: how much of the running mean is kept at each step.
        eps: added to the root, against division by 0.
        weight_decay: this times the parameter is added to the gradient.
        momentum: how much of the last step is kept.
        centered: divide by the running standard deviation instead.
        maximize: ascend.
        differentiable: record the step.
        capturable, foreach: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is negative.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.RMSprop([w], lr=0.01)
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
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        not_negative("RMSprop", alpha=alpha, eps=eps, momentum=momentum)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"square_avg": xp.zeros_like(p)}
        if group["momentum"]:
            state["momentum_buffer"] = xp.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = xp.zeros_like(p)
        return state

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        alpha = group["alpha"]
        square = state["square_avg"]
        axpby(1 - alpha, g * g, alpha, square)
        if group["centered"]:
            mean = state.get("grad_avg")  # momentum and centering may have been switched on meanwhile
            if mean is None:
                mean = state["grad_avg"] = xp.zeros_like(g)
            mean += (g - mean) * (1 - alpha)
            root = xp.sqrt(square - mean * mean)
        else:
            root = xp.sqrt(square)
        step = g / (root + group["eps"])
        if group["momentum"]:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = state["momentum_buffer"] = xp.zeros_like(g)
            buffer *= group["momentum"]
            buffer += step
            step = buffer
        return step * group["lr"]
