"""Averaged stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from chainrule.optim.optimizer import Optimizer, Params


class ASGD(Optimizer):
    """Gradient descent with a falling rate that also averages the parameters (Polyak and Juditsky, 1992).

    The average of each parameter is in ``optimizer.state[p]["ax"]``.

    Args:
        lr: learning rate at the start.
        lambd: the parameters are shrunk by ``lambd`` times the rate; and how fast the rate falls.
        alpha: power of the rate's fall: ``lr / (1 + lambd * lr * step)**alpha``.
        t0: the step at which averaging starts.
        weight_decay: this times the parameter is added to the gradient.
        maximize: ascend.
        differentiable: record the step.
        foreach, capturable: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: lr or weight_decay is negative.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.ASGD([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8000])
    """

    elementwise = True
    reads_parameter = True
    numbers = ("eta", "mu")

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"eta": float(group["lr"]), "mu": 1.0, "ax": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        lr, step, shrink = group["lr"], state["step"], group["lambd"]
        rate = lr if step == 1 else state["eta"]
        delta = (p * shrink + g) * rate
        new = p - delta
        # the average is the parameter itself until averaging starts
        state["ax"] = new if state["mu"] == 1 else state["ax"] + (new - state["ax"]) * state["mu"]
        state["eta"] = lr / (1 + shrink * lr * step) ** group["alpha"]
        state["mu"] = 1 / max(1, step - group["t0"])
        return delta
