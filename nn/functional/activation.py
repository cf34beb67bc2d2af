"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd.inplace import make_inplace
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.tensor import Tensor

_softmax = FUNCTIONS["softmax"]
_log_softmax = FUNCTIONS["log_softmax"]


def _run(caller: str, f: Callable[[Any], Tensor], input: Tensor, inplace: bool) -> Tensor:
    """``f(input)``; with ``inplace`` written into the input, which continues from the result's node."""
    return make_inplace(caller, f, None)(input) if inplace else f(input)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.relu(cr.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return input.relu_() if inplace else xp.relu(input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x, 0), 6)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.relu6(cr.tensor([-1.0, 2.0, 8.0]))
        tensor([0., 2., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` limited to [min_val, max_val], elementwise, with gradient 0 on the bounds.

    Raises ValueError when the bounds are in the wrong order.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.hardtanh(cr.tensor([-2.0, 0.5]))
        tensor([-1.0000, 0.5000])
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not exceed max_val, got {min_val} and {max_val}")

    low, high = (min_val, max_val) if input.is_floating_point() else (int(min_val), int(max_val))
    return _run("hardtanh", lambda x: xp.hardtanh(x, min=low, max=high), input, inplace)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where positive, else ``negative_slope * x``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.leaky_relu(cr.tensor([-1.0, 2.0]), 0.5)
        tensor([-0.5000, 2.0000])
    """
    return _run("leaky_relu", lambda x: xp.leaky_relu(x, negative_slope=negative_slope), input, inplace)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where positive, else ``alpha * (exp(x) - 1)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.elu(cr.tensor([0.0, 2.0]))
        tensor([0., 2.])
    """
    return _run("elu", lambda x: xp.elu(x, alpha=alpha), input, inplace)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising ELU of Klambauer et al. (2017), elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.selu(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 1.0507])
    """
    return _run("selu", FUNCTIONS["selu"], input, inplace)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where positive, else ``alpha * (exp(x / alpha) - 1)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.celu(cr.tensor([0.0, 1.0]), 2.0)
        tensor([0., 1.])
    """
    return _run("celu", lambda x: FUNCTIONS["celu"](x, alpha), input, inplace)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.silu(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7311])
    """
    return _run("silu", xp.silu, input, inplace)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.mish(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8651])
    """
    return _run("mish", xp.mish, input, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x`` times the normal distribution's probability of less than ``x``, elementwise (Hendrycks and Gimpel, 2016).

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the approximation by a tanh.

    Raises ValueError for another name.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.gelu(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.8413])
        >>> F.gelu(cr.tensor([0.0, 1.0]), approximate="tanh")
        tensor([0.0000, 0.8412])
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return xp.gelu(input, approximate=approximate)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.tanh(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    return xp.tanh(input)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.sigmoid(cr.tensor([0.0, 1.0]))
        tensor([0.5000, 0.7311])
    """
    return xp.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(x))``, elementwise, without overflow.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.logsigmoid(cr.tensor([0.0, -1000.0]))
        tensor([-6.9315e-01, -1.0000e+03])
    """
    return xp.logsigmoid(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * x)) / beta``, elementwise, and ``x`` itself where ``beta * x`` exceeds ``threshold``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.softplus(cr.tensor([0.0, 30.0]))
        tensor([ 0.6931, 30.0000])
    """
    return xp.softplus(input, beta=beta, threshold=threshold)


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + abs(x))``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.softsign(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.5000])
    """
    if input.is_complex():  # no function of one complex variable: no formula of its own
        return input / (xp.abs(input) + 1)
    return xp.soft_sign(input)


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.tanhshrink(cr.tensor([0.0, 1.0]))
        tensor([0.0000, 0.2384])
    """
    return input - xp.tanh(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``x / 6 + 1 / 2`` limited to [0, 1], elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.hardsigmoid(cr.tensor([-4.0, 0.0]))
        tensor([0.0000, 0.5000])
    """
    return _run("hardsigmoid", xp.hardsigmoid, input, inplace)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * hardsigmoid(x)``, elementwise.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.hardswish(cr.tensor([-4.0, 3.0]))
        tensor([-0., 3.])
    """
    return _run("hardswish", xp.hardswish, input, inplace)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where positive, else ``weight * x``; weight of one element, or one for each channel (dimension 1).

    Raises RuntimeError when the number of weights fits neither.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.prelu(cr.tensor([-2.0, 2.0]), cr.tensor([0.25]))
        tensor([-0.5000, 2.0000])
    """
    return FUNCTIONS["prelu"](input, weight)


def _last_resort_dim(name: str, dim: int | None, ndim: int) -> int:
    if dim is None:
        raise TypeError(f"{name}: missing argument 'dim', the dimension of the classes (often {1 if ndim > 1 else 0})")
    return dim


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``. Raises TypeError without ``dim``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.softmax(cr.tensor([0.0, 0.0]), dim=0)
        tensor([0.5000, 0.5000])
    """
    return _softmax(input, _last_resort_dim("softmax", dim, input.ndim), dtype=dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``softmax(-x)`` along ``dim``. Raises TypeError without ``dim``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.softmin(cr.tensor([0.0, 0.0]), dim=0)
        tensor([0.5000, 0.5000])
    """
    return _softmax(-input, _last_resort_dim("softmin", dim, input.ndim), dtype=dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``log(softmax(x))`` along ``dim``, without overflow. Raises TypeError without ``dim``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.log_softmax(cr.tensor([0.0, 0.0]), dim=0)
        tensor([-0.6931, -0.6931])
    """
    return _log_softmax(input, _last_resort_dim("log_softmax", dim, input.ndim), dtype=dtype)
