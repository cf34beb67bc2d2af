"""Adafactor."""

from __future__ import annotations

import math
from typing import Any

from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class Adafactor(Optimizer):
    """Adam's root mean square from the means of rows and columns alone (Shazeer and Stern, 2018), without momentum.

    A matrix of R by C elements needs R + C numbers of state. The state of a parameter of fewer than two dimensions
    has its shape.

    Args:
        lr: the largest relative step: ``min(lr, 1 / sqrt(step))`` times the parameter's root mean square.
        beta2_decay: ``1 - step**beta2_decay`` of the mean squares is kept at each step.
        eps: least mean square (squared; None: the machine epsilon), and the least root mean square of a parameter.
        d: steps of a root mean square above this are scaled down to it.
        weight_decay: this times ``lr`` shrinks the parameters themselves.
        foreach: accepted for PyTorch's sake.
        maximize: ascend.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([1.0], requires_grad=True)
        >>> optimizer = cr.optim.Adafactor([w], lr=0.1)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.detach()
        tensor([0.9000])
    """

    decoupled_decay = None  # the step is relative to the parameter before it decays

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if not beta2_decay <= 0.0:
            raise ValueError(f"Adafactor: beta2_decay must not be positive, got {beta2_decay}")
        not_negative("Adafactor", **{"eps[0]": eps[0] or 0.0, "eps[1]": eps[1]})
        if not d >= 1.0:
            raise ValueError(f"Adafactor: d must be at least 1, got {d}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        if p.ndim < 2:
            return {"variance": xp.zeros_like(p)}
        return {"row_var": xp.zeros_like(p[..., :1]), "col_var": xp.zeros_like(p[..., :1, :])}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        lr, step, (least, least_size) = group["lr"], state["step"], group["eps"]
        if least is None:
            least = float(xp.finfo(p.dtype).eps)
        if not math.prod(p.shape):
            return g * lr
        weight = step ** group["beta2_decay"]
        relative = max(least_size, _rms(xp, p)) * min(lr, 1 / math.sqrt(step))
        squares = g * g
        if g.ndim > 1:
            rows, columns = state["row_var"], state["col_var"]
            rows += (xp.mean(squares, axis=-1, keepdims=True) - rows) * weight
            columns += (xp.mean(squares, axis=-2, keepdims=True) - columns) * weight
            mean = xp.clip(xp.mean(rows, axis=-2, keepdims=True), least, None)
            estimate = xp.matmul(rows, columns) / mean
        else:
            estimate = state["variance"]
            estimate += (squares - estimate) * weight
        move = g / xp.sqrt(xp.clip(estimate, least * least, None))
        clipped = relative / max(1.0, _rms(xp, move) / group["d"])
        return p * (lr * group["weight_decay"]) + move * clipped


def _rms(xp: Any, x: Any) -> float:
    """Root of the mean square."""
    return math.sqrt(float(xp.mean(x * x)))
