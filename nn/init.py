"""Initialisation of parameters, in place and outside of the graph, under PyTorch's names."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor as from_host
from chainrule.autograd.modes import no_grad
from chainrule.autograd.random import Generator, rand
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor

_GAINS = {
    **dict.fromkeys(("linear", "conv1d", "conv2d", "conv3d", "sigmoid"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
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

    Raises:
        ValueError: ``std`` is not positive. RuntimeError: ``a`` is greater than ``b``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> bool((init.trunc_normal_(cr.empty(9)).abs() <= 2.0).all())
        True
    """
    from scipy import special  # a third of a second that most programs need not spend

    if not std > 0:
        raise ValueError(f"trunc_normal_: std must be positive, got {std}")
    if a > b:
        raise RuntimeError(f"trunc_normal_: a must not be greater than b, got {a} and {b}")
    # uniform between the two values of the distribution function, then through its inverse (on the host); from the
    # left tail, where numbers are fine, so [a, b] to the right of the mean is mirrored
    bounds = [(a - mean) / std, (b - mean) / std]
    side = -1.0 if sum(bounds) > 0 else 1.0
    low, high = sorted(float(special.ndtr(side * bound)) for bound in bounds)
    wide = tensor.dtype == dtypes.float64
    drawn = rand(*tensor.shape, generator=generator, dtype=dtypes.float64 if wide else dtypes.float32)
    half = 2.0**-54 if wide else 2.0**-25  # the middle of each step of the draws: never 0 or 1
    values = special.ndtri(low + (high - low) * (_host(drawn) + half))
    return _write(tensor, np.clip(side * values * std + mean, a, b))


def _host(t: Tensor) -> Any:
    """The values as float64 (or complex128) on the host."""
    values = t._device.backend.to_host(t.detach()._data)
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _write(tensor: Tensor, host: Any) -> Tensor:
    with no_grad():
        return tensor.copy_(from_host(np.ascontiguousarray(host), device=tensor.device))


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
    bound = gain * math.sqrt(6.0 / max(fan_in + fan_out, 1))
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
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / max(fan_in + fan_out, 1)), generator)


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
    flat = _host(tensor).reshape(tensor.shape[0], -1)
    rows, columns = flat.shape
    q, r = np.linalg.qr(flat.T if rows < columns else flat)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return _write(tensor, (gain * (q.T if rows < columns else q)).reshape(tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The kernel (out, in, ...) of a convolution that passes its channels on: 1 in the middle of each, else 0.

    Args:
        groups: each group of outputs passes the input channels on.

    Raises:
        ValueError: not 3 to 5 dimensions, or the outputs are not divisible by ``groups``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> init.dirac_(cr.empty(1, 2, 3))
        tensor([[[0., 1., 0.],
                 [0., 0., 0.]]])
    """
    if tensor.ndim not in (3, 4, 5):
        raise ValueError(f"dirac_: expected a kernel of 3, 4 or 5 dimensions, got {describe(tensor)}")
    outputs, inputs, *sizes = tensor.shape
    if groups < 1 or outputs % groups:
        raise ValueError(f"dirac_: dimension 0 must be divisible by groups={groups}, got {describe(tensor)}")
    kernel: Any = np.zeros(tensor.shape)
    each = outputs // groups
    for i in range(min(each, inputs)):
        kernel[(slice(i, None, each), i, *[size // 2 for size in sizes])] = 1.0
    return _write(tensor, kernel)


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal random numbers of mean 0, with a share of each column set to 0 (Martens, 2010).

    Args:
        sparsity: the share of each column that is 0, rounded up.

    Raises:
        ValueError: the tensor is no matrix, or ``sparsity`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import init
        >>> int((init.sparse_(cr.empty(10, 4), sparsity=0.3) == 0).sum())
        12
    """
    if tensor.ndim != 2:
        raise ValueError(f"sparse_: expected a matrix, got {describe(tensor)}")
    if not 0.0 <= sparsity <= 1.0:
        raise ValueError(f"sparse_: sparsity must be in [0, 1], got {sparsity}")
    rows, columns = tensor.shape
    normal_(tensor, 0.0, std, generator)
    order = np.argsort(_host(rand(rows, columns, generator=generator)), axis=0)
    values = _host(tensor)
    np.put_along_axis(values, order[: math.ceil(sparsity * rows)], 0.0, axis=0)
    return _write(tensor, values)


# ---- what PyTorch has besides -----------------------------------------------------------------------------------


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    return _fans("_calculate_fan_in_and_fan_out", tensor)


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    if mode.lower() not in ("fan_in", "fan_out"):
        raise ValueError(f"_calculate_correct_fan: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return _fans("_calculate_correct_fan", tensor)[mode.lower() == "fan_out"]


def _older(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The older name of a function: without the underscore, and with a FutureWarning."""
    name = function.__name__[:-1]

    @functools.wraps(function)
    def deprecated(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"nn.init.{name} is deprecated; use nn.init.{name}_", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    deprecated.__name__ = deprecated.__qualname__ = name
    deprecated.__doc__ = f"""The older name of :func:`{name}_`, with a FutureWarning."""
    return deprecated


uniform = _older(uniform_)
normal = _older(normal_)
constant = _older(constant_)
eye = _older(eye_)
dirac = _older(dirac_)
xavier_uniform = _older(xavier_uniform_)
xavier_normal = _older(xavier_normal_)
kaiming_uniform = _older(kaiming_uniform_)
kaiming_normal = _older(kaiming_normal_)
orthogonal = _older(orthogonal_)
sparse = _older(sparse_)
