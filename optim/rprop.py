"""Rprop."""

from __future__ import annotations

from typing import Any

from chainrule.optim.optimizer import Optimizer, Params


class Rprop(Optimizer):
    """Steps by the sign of the gradient; each element's step grows until the sign changes (Riedmiller, Braun, 1993).

    For gradients of the whole data set: noise in their signs makes every step small.

    Args:
        lr: the first step.
        etas: factors of a step after a change of sign, and after none.
        step_sizes: smallest and largest step.
        maximize: ascend.
        differentiable: record the step.
        foreach, capturable: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Rprop([w], lr=0.1)
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Rprop: etas must be a number in (0, 1) and one above 1, got {etas!r}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"prev": xp.zeros_like(p), "step_size": xp.full_like(p, float(group["lr"]))}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        turned = xp.sign(g * state["prev"])
        factor = xp.where(turned > 0, grow, xp.where(turned < 0, shrink, xp.ones_like(g)))
        size = state["step_size"] = xp.clip(state["step_size"] * factor, smallest, largest)
        # after a change of sign the element stays where it is, and its next step keeps its size
        g = state["prev"] = xp.where(turned < 0, 0.0, g)
        return xp.sign(g) * size
