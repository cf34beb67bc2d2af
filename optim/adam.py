"""Adam and AdamW."""

from __future__ import annotations

import math
from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import betas as both_betas
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class Adam(Optimizer):
    """Steps by the ratio of running mean and root mean square of the gradient (Kingma and Ba, 2015).

    Args:
        lr: learning rate.
        betas: how much of the two running means is kept at each step.
        eps: added to the root, against division by 0.
        weight_decay: this times the parameter is added to the gradient.
        amsgrad: divide by the largest root so far (Reddi et al., 2018).
        maximize: ascend.
        differentiable: record the step.
        decoupled_weight_decay: weight decay shrinks the parameters themselves, as :class:`AdamW` does.
        foreach, capturable, fused: accepted for PyTorch's sake; the step is always done the fastest way.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Adam([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])
    """

    elementwise = True

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        not_negative(self._label, eps=eps)
        defaults = {
            "lr": lr,
            "betas": both_betas(self._label, betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        state = {"exp_avg": xp.zeros_like(p), "exp_avg_sq": xp.zeros_like(p)}
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = xp.zeros_like(p)
        return state

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        """Adam's step.

        The moments are kept as PyTorch keeps them, so that a state dict holds them to the last bit and a run that goes
        on from one is the same run.
        """
        beta1, beta2 = group["betas"]
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        axpby(1 - beta1, g, beta1, mean)
        axpby(1 - beta2, g * g, beta2, square)
        if group["amsgrad"]:
            largest = state.get("max_exp_avg_sq", square)  # amsgrad may have been switched on meanwhile
            square = state["max_exp_avg_sq"] = xp.maximum(largest, square)
        step = state["step"]
        scale = math.sqrt(1 - beta2**step)
        root = xp.sqrt(square) + group["eps"] * scale
        return mean / root * (group["lr"] / (1 - beta1**step) * scale)


class AdamW(Adam):
    """:class:`Adam` whose weight decay shrinks the parameters themselves (Loshchilov and Hutter, 2019).

    The arguments are those of :class:`Adam`.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.AdamW([w], lr=0.1, weight_decay=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.8500])
    """

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
