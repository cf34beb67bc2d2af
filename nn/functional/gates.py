"""Activations that combine several elements: gates, choices among pieces, and sums of hinges."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.op import traced as xp
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.backends.shims import finfo


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a * sigmoid(b)`` of the halves a and b of ``input`` along ``dim`` (Dauphin et al., 2017).

    Raises RuntimeError when the dimension has no halves.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.glu(cr.tensor([2.0, 0.0]))
        tensor([1.])
    """
    if not input.ndim:
        raise RuntimeError("glu: expected a tensor with dimensions, got a 0-d tensor")
    d = normal_axis("glu", dim, input.ndim)
    length = input.shape[d]
    if length % 2:
        raise RuntimeError(f"glu: expected an even length of dimension {dim}, got {length}")
    before = (slice(None),) * d
    return xp.gated(input[(*before, slice(0, length // 2))], input[(*before, slice(length // 2, length))])


def gumbel_softmax(
    logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1, generator: Any = None
) -> Tensor:
    """A sample of the Gumbel-softmax distribution along ``dim`` (Jang et al., 2017; Maddison et al., 2017).

    Args:
        tau: temperature; small ones give nearly one-hot samples.
        hard: one-hot samples, with the gradient of the soft ones.
        eps: has no effect, as in PyTorch.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.gumbel_softmax(cr.zeros(4, 3), hard=True).sum(1)
        tensor([1., 1., 1., 1.])
    """
    uniform = FUNCTIONS["rand"](
        tuple(logits.shape), dtype=logits.dtype, device=logits.device, generator=generator
    )  # fmt: skip
    # -log(1 - u) is exponential; u = 0 would give an infinite sample
    waiting = (-(-uniform).log1p()).clamp_min(float(finfo(logits._data.dtype).tiny))
    soft = FUNCTIONS["softmax"]((logits - waiting.log()) / tau, dim)
    if not hard:
        return soft
    constant = soft.detach()
    chosen = constant.argmax(dim, keepdim=True)
    one_hot = FUNCTIONS["zeros_like"](constant).scatter_add(dim, chosen, chosen.to(constant.dtype) * 0 + 1)
    return one_hot - constant + soft


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of every ``pieces`` neighbours along ``dim``, which becomes that much shorter.

    After a linear layer with ``pieces`` times the features, a unit that learns a convex piecewise linear activation
    (Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", 2013).

    Raises ValueError when the length of the dimension is no multiple of ``pieces``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.maxout(cr.tensor([[1.0, 3.0, -2.0, -1.0]]), 2)
        tensor([[ 3., -1.]])
    """
    d = normal_axis("maxout", dim, input.ndim)
    length = input.shape[d]
    if pieces < 1 or length % pieces:
        raise ValueError(f"maxout: expected a length of dimension {dim} that {pieces} pieces divide, got {length}")
    shape = tuple(input.shape)
    grouped = input.reshape(*shape[:d], length // pieces, pieces, *shape[d + 1 :])
    return grouped.max(d + 1).values


def apl(input: Tensor, slopes: Tensor, hinges: Tensor) -> Tensor:
    """Adaptive piecewise linear units: ``max(0, x) + sum(a[s] * max(0, -x + b[s]) for s in range(S))``.

    Slopes and hinges are learned, for each unit or shared (Agostinelli, Hoffman, Sadowski and Baldi, "Learning
    activation functions to improve deep neural networks", 2014).

    Args:
        slopes: the ``a`` of shape (S, ...), where ``...`` broadcasts with the input.
        hinges: the ``b``, of the same shape.

    Raises ValueError when the two shapes differ or have no dimension.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.apl(cr.tensor([-1.0, 2.0]), slopes=cr.tensor([[0.5]]), hinges=cr.tensor([[0.0]]))
        tensor([0.5000, 2.0000])
    """
    if not slopes.ndim or tuple(slopes.shape) != tuple(hinges.shape):
        raise ValueError(
            f"apl: slopes and hinges must have one shape (S, ...), got {describe(slopes)} and {describe(hinges)}"
        )
    out: Any = xp.relu(input)
    for s in range(slopes.shape[0]):
        out = out + slopes[s] * xp.relu(hinges[s] - input)
    return out
