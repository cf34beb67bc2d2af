"""Initialisation of parameters, in place and outside of the graph, under PyTorch's names."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd.modes import no_grad
from chainrule.autograd.random import Generator
from chainrule.autograd.runtime import bump, describe
from chainrule.autograd.tensor import Tensor

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance of signals through a nonlinearity (``param``: slope of ``"leaky_relu"``).

    Raises ValueError for a name that is not known.

    Example:
        >>> from chainrule.nn import init
        >>> round(init.calculate_gain("relu"), 4)
        1.4142
    """
    if nonlinearity == "leaky_relu":
        slope = 0.01 if param is None else param
        if isinstance(slope, bool) or not isinstance(slope, (int, float)):
            raise ValueError(f"calculate_gain: param must be the slope of leaky_relu, got {param!r}")
        return math.sqrt(2.0 / (1 + slope**2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(f"calculate_gain: unknown nonlinearity {nonlinearity!r}; expected one of {known}")
    return _GAINS[nonlinearity]


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform random numbers in [a, b) in the place of every element; returns the tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> bool((init.uniform_(cr.empty(9), 2.0, 3.0) >= 2.0).all())
        True
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal random numbers in the place of every element; returns the tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.normal_(cr.empty(2), mean=3.0, std=0.0)
        tensor([3., 3.])
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal random numbers, limited to [a, b] by leaving out what is outside, in the place of every element.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> bool((init.trunc_normal_(cr.empty(9)).abs() <= 2.0).all())
        True
    """
    # uniform between the two values of the distribution function, then through its inverse (on the host)
    from scipy import special  # a third of a second that most programs need not spend

    low, high = (float(special.ndtr((bound - mean) / std)) for bound in (a, b))
    uniform_(tensor, low, high, generator)
    values = special.ndtri(tensor.numpy(force=True).astype(np.float64)) * std + mean
    return _write(tensor, np.clip(values, a, b))


def _write(tensor: Tensor, host: Any) -> Tensor:
    device = tensor._device
    array = np.ascontiguousarray(host.astype(tensor._data.dtype))
    tensor._data[...] = array if device.type == "cpu" else device.backend.from_host(array, device.index or 0)
    bump(tensor)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` in the place of every element; returns the tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.constant_(cr.empty(2), 0.5)
        tensor([0.5000, 0.5000])
    """
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 in the place of every element; returns the tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.zeros_(cr.empty(2))
        tensor([0., 0.])
    """
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 in the place of every element; returns the tensor.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.ones_(cr.empty(2))
        tensor([1., 1.])
    """
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity in the place of a matrix; returns it. Raises ValueError for other numbers of dimensions.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.eye_(cr.empty(1, 2))
        tensor([[1., 0.]])
    """
    if tensor.ndim != 2:
        raise ValueError(f"eye_: expected a matrix, got {describe(tensor)}")
    return _write(tensor, np.eye(*tensor.shape))


def _fans(caller: str, tensor: Tensor) -> tuple[int, int]:
    """How many inputs each output has, and how many outputs each input."""
    if tensor.ndim < 2:
        raise ValueError(f"{caller}: expected at least 2 dimensions (out, in, ...), got {describe(tensor)}")
    area = math.prod(tensor.shape[2:])
    return tensor.shape[1] * area, tensor.shape[0] * area


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ±gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010); returns the tensor.

    Raises ValueError for tensors of fewer than 2 dimensions.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> bool((init.xavier_uniform_(cr.empty(3, 3)).abs() <= 1.0).all())
        True
    """
    fan_in, fan_out = _fans("xavier_uniform_", tensor)
    bound = gain * math.sqrt(6.0 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal of deviation gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio, 2010); returns the tensor.

    Raises ValueError for tensors of fewer than 2 dimensions.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.xavier_normal_(cr.empty(3, 2)).shape
        (3, 2)
    """
    fan_in, fan_out = _fans("xavier_normal_", tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / (fan_in + fan_out)), generator)


def _kaiming_std(caller: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{caller}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(caller, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in ±gain * sqrt(3 / fan) (He et al., 2015); ``a`` is the slope of a leaky ReLU. Returns the tensor.

    Raises ValueError for tensors of fewer than 2 dimensions and unknown modes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> bool((init.kaiming_uniform_(cr.empty(2, 6)).abs() <= 1.0).all())
        True
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal of deviation gain / sqrt(fan) (He et al., 2015); ``a`` is the slope of a leaky ReLU. Returns the tensor.

    Raises ValueError for tensors of fewer than 2 dimensions and unknown modes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.kaiming_normal_(cr.empty(3, 2), nonlinearity="relu").shape
        (3, 2)
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """A random matrix with orthonormal rows or columns, times ``gain`` (Saxe et al., 2014).

    Dimensions after the first are flattened.

    Raises ValueError for tensors of fewer than 2 dimensions.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> w = init.orthogonal_(cr.empty(2, 3))
        >>> bool(((w @ w.T - cr.eye(2)).abs() < 1e-6).all())
        True
    """
    _fans("orthogonal_", tensor)
    if not tensor.numel():
        return tensor
    normal_(tensor, 0.0, 1.0, generator)
    flat = tensor.numpy(force=True).astype(np.float64).reshape(tensor.shape[0], -1)
    rows, columns = flat.shape
    q, r = np.linalg.qr(flat.T if rows < columns else flat)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return _write(tensor, (gain * (q.T if rows < columns else q)).reshape(tensor.shape))
