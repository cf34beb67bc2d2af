"""Muon."""

from __future__ import annotations

import math
from typing import Any

from chainrule.backends.blas import axpby
from chainrule.optim.groups import not_negative
from chainrule.optim.optimizer import Optimizer, Params


class Muon(Optimizer):
    """Momentum whose matrices are made nearly orthogonal before the step (Jordan et al., 2024); for matrices only.

    Biases, embeddings and the last layer are better left to :class:`AdamW`. PyTorch computes the Newton-Schulz
    iteration in bfloat16; here it is computed in the parameter's own precision.

    Args:
        lr: learning rate.
        weight_decay: this times ``lr`` shrinks the parameters themselves.
        momentum: how much of the running mean of the gradients is kept at each step.
        nesterov: look ahead along the momentum.
        ns_coefficients: ``(a, b, c)`` of the iteration ``X = a X + (b X X^T + c (X X^T)^2) X``.
        eps: the least norm that a matrix is divided by.
        ns_steps: iterations, fewer than 100.
        adjust_lr_fn: ``"original"`` (also None): ``lr`` times ``sqrt(max(1, rows / columns))``;
            ``"match_rms_adamw"``: times ``0.2 sqrt(max(rows, columns))``, so that settings of AdamW can be kept.

    Raises:
        ValueError: a parameter is no matrix, or a number is out of range.

    Example:
        >>> import chainrule as cr
        >>> w = cr.tensor([[2.0, 0.0], [0.0, 2.0]], requires_grad=True)
        >>> optimizer = cr.optim.Muon([w], lr=0.1, weight_decay=0.0)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> round(w[0, 0].item(), 2), w[0, 1].item()
        (1.89, 0.0)
    """

    decoupled_decay = True
    counts = False

    def __init__(
        self,
        params: Params,
        lr: Any = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        not_negative("Muon", momentum=momentum, eps=eps)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(
                f"Muon: adjust_lr_fn must be 'original', 'match_rms_adamw' or None, got {adjust_lr_fn!r}"
            )
        if len(ns_coefficients) != 3:
            raise ValueError(f"Muon: ns_coefficients must be three numbers, got {ns_coefficients!r}")
        if ns_steps >= 100:
            raise ValueError(f"Muon: ns_steps must be less than 100, got {ns_steps}")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add matrices; see :meth:`Optimizer.add_param_group`."""
        super().add_param_group(param_group)
        for i, p in enumerate(self.param_groups[-1]["params"]):
            if p.ndim != 2:
                del self.param_groups[-1]
                raise ValueError(
                    f"Muon: params[{i}] must be a matrix, got shape {tuple(p.shape)}; give it to another optimizer"
                )

    def init_state(self, xp: Any, p: Any, group: dict[str, Any]) -> dict[str, Any]:
        return {"momentum_buffer": xp.zeros_like(p)}

    def update(self, xp: Any, p: Any, g: Any, state: dict[str, Any], group: dict[str, Any]) -> Any:
        momentum = group["momentum"]
        mean = state["momentum_buffer"]
        axpby(1 - momentum, g, momentum, mean)
        ahead = g * (1 - momentum) + mean * momentum if group["nesterov"] else mean
        rows, columns = g.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            ratio = 0.2 * math.sqrt(max(rows, columns))
        else:
            ratio = math.sqrt(max(1.0, rows / columns)) if columns else 1.0
        return _orthogonal(xp, ahead, group) * (group["lr"] * ratio)


def _orthogonal(xp: Any, x: Any, group: dict[str, Any]) -> Any:
    """Nearly ``U V^T`` of the singular value decomposition of ``x``, by a Newton-Schulz iteration of degree five."""
    a, b, c = group["ns_coefficients"]
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = xp.permute_dims(x, (1, 0))
    norm = xp.sqrt(xp.sum(x * x))
    x = x / xp.clip(norm, group["eps"], None)
    for _ in range(group["ns_steps"]):
        gram = xp.matmul(x, xp.permute_dims(x, (1, 0)))
        x = x * a + xp.matmul(gram * b + xp.matmul(gram, gram) * c, x)
    return xp.permute_dims(x, (1, 0)) if tall else x
