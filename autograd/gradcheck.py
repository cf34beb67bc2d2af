"""Checking gradients against central differences, in float64, to second order.

For a random cotangent ``v`` the scalar ``sum(v * f(x))`` is differentiated both ways, element by element of
the inputs; a wrong rule shows for almost every ``v``. Failures name the worst element and say when
the function has a kink there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.engine import grad
from chainrule.autograd.modes import enable_grad, no_grad
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor


class GradcheckError(RuntimeError):
    """A gradient differs from its central differences."""


def _host(t: Tensor) -> np.ndarray:
    return np.array(t._device.backend.to_host(t._data), order="C")  # row-major, so that reshape(-1) is a view


def _upcast(t: Any) -> Any:
    """A float64 (or complex128) leaf with the values of ``t``; anything else as it is."""
    if not isinstance(t, Tensor) or not (t.requires_grad and t._data.dtype in dtypes.DIFFERENTIABLE):
        return t
    to = np.complex128 if t._data.dtype.kind == "c" else np.float64
    array = t._device.xp.astype(t._data, np.dtype(to), copy=True)
    return wrap(array, t._device).requires_grad_()


def _outputs(func: Callable[..., Any], inputs: Sequence[Any]) -> list[Tensor]:
    """The differentiable outputs of one call."""
    result = func(*inputs)
    results = [result] if isinstance(result, Tensor) else list(result)
    return [r for r in results if isinstance(r, Tensor) and r._data.dtype in dtypes.DIFFERENTIABLE]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    seed: int = 0,
) -> bool:
    """Compare the gradients of ``func`` with central differences.

    Inputs that require grad are taken in float64, whatever their dtype; outputs that are not are left out.

    Args:
        func: takes the inputs, gives a Tensor or several.
        inputs: a Tensor or a sequence; those that require grad are checked.
        eps: step of the differences.
        atol, rtol: the gradient passes where ``|analytic - numeric| <= atol + rtol * |numeric|``.
        raise_exception: raise instead of returning False.
        nondet_tol: by how much two backward passes may differ.

    Raises:
        GradcheckError: with the worst element, both values, and whether the function has a kink there.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([0.3, 1.2], requires_grad=True)
        >>> cr.autograd.gradcheck(lambda x: (x * x).sin(), x)
        True
    """
    return _run(func, inputs, eps, atol, rtol, raise_exception, nondet_tol, seed, False)


def _run(
    func: Callable[..., Any],
    inputs: Any,
    eps: float,
    atol: float,
    rtol: float,
    raise_exception: bool,
    nondet_tol: float,
    seed: int,
    constants: bool,
) -> bool:
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    taken = [_upcast(t) for t in given]
    checked = [i for i, t in enumerate(taken) if isinstance(t, Tensor) and t.requires_grad]
    if not checked:
        raise ValueError("gradcheck: none of the inputs requires grad; make one with requires_grad=True")
    try:
        _compare(func, taken, checked, eps, atol, rtol, nondet_tol, seed, constants)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _compare(
    func: Callable[..., Any],
    inputs: list[Any],
    checked: list[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
    seed: int,
    constants: bool,
) -> None:
    with enable_grad():
        every = _outputs(func, inputs)
    tracked = [i for i, o in enumerate(every) if o.requires_grad]
    untracked = [i for i, o in enumerate(every) if not o.requires_grad]
    outputs = [every[i] for i in tracked]
    if not outputs or (constants and untracked):
        _check_constant(func, inputs, checked, untracked, eps, atol)
    if not outputs:
        return
    rng = np.random.default_rng(seed)
    cotangents = [_random_like(o, rng) for o in outputs]
    wanted = [inputs[i] for i in checked]
    first = grad(outputs, wanted, cotangents, retain_graph=True, allow_unused=True)
    second = grad(outputs, wanted, cotangents, allow_unused=True)
    for i, a, b in zip(checked, first, second, strict=True):
        if a is not None and b is not None and a._data.size and np.abs(_host(a) - _host(b)).max() > nondet_tol:
            raise GradcheckError(f"gradcheck: two backward passes gave different gradients for input {i}")
    weights = [_host(c) for c in cotangents]

    def objective() -> float:
        with no_grad():
            values = _outputs(func, inputs)
        return float(sum(np.sum(w.conj() * _host(values[i])) for w, i in zip(weights, tracked, strict=True)).real)

    for i, analytic in zip(checked, first, strict=True):
        array = np.zeros(inputs[i]._data.shape) if analytic is None else _host(analytic)
        if array.shape != inputs[i]._data.shape:
            raise GradcheckError(
                f"gradcheck: the gradient of input {i} has shape {array.shape}, the input {inputs[i].shape}"
            )
        _compare_input(objective, inputs[i], i, array, eps, atol, rtol)


def _random_like(t: Tensor, rng: np.random.Generator) -> Tensor:
    values = rng.uniform(0.5, 1.5, t._data.shape) * rng.choice([-1.0, 1.0], t._data.shape)
    if t._data.dtype.kind == "c":
        values = values + 1j * rng.uniform(0.5, 1.5, t._data.shape)
    return wrap(_place(np.asarray(values, dtype=t._data.dtype), t), t._device)


def _place(host: np.ndarray, like: Tensor) -> Any:
    return host if like._device.type == "cpu" else like._device.backend.from_host(host, like._device.index or 0)


def _difference(objective: Callable[[], float], t: Tensor, at: int, step: complex) -> float:
    """``objective`` with one element of ``t`` moved by ``step``."""
    host = _host(t)
    host.reshape(-1)[at] += step
    before = t._data
    t._data = _place(host, t)
    try:
        return objective()
    finally:
        t._data = before


def _compare_input(
    objective: Callable[[], float], t: Tensor, number: int, analytic: np.ndarray, eps: float, atol: float, rtol: float
) -> None:
    parts: list[complex] = [1.0, 1j] if t._data.dtype.kind == "c" else [1.0]
    worst: tuple[float, int, complex, float, float] | None = None
    for at in range(t._data.size):
        for part in parts:
            up, down = _difference(objective, t, at, part * eps), _difference(objective, t, at, -part * eps)
            numeric = (up - down) / (2 * eps)
            # PyTorch's convention: the gradient of a real function of z is dL/dRe + i dL/dIm
            value = analytic.reshape(-1)[at]
            got = float(value.real if part == 1.0 else value.imag)
            if np.isnan(got) and np.isnan(numeric):
                continue
            excess = abs(got - numeric) - atol - rtol * abs(numeric)
            if not excess <= 0 and (worst is None or not excess <= worst[0]):
                worst = (excess, at, part, got, numeric)
    if worst is None:
        return
    _, at, part, got, numeric = worst
    index = tuple(int(i) for i in np.unravel_index(at, t._data.shape)) if t._data.ndim else ()
    here = objective()
    right = (_difference(objective, t, at, part * eps) - here) / eps
    left = (here - _difference(objective, t, at, -part * eps)) / eps
    message = (
        f"gradcheck: input {number}, element {index} (value {_host(t).reshape(-1)[at]!r:.24}): the gradient is "
        f"{got:.8g}, central differences give {numeric:.8g}"
    )
    if abs(right - left) > atol + 1e-2 * max(abs(right), abs(left)):
        message += (
            f"; the function has a kink here (slope {left:.6g} from the left, {right:.6g} from the right), where no "
            f"difference can decide: check at another point"
        )
    raise GradcheckError(message)


def _check_constant(
    func: Callable[..., Any], inputs: list[Any], checked: list[int], which: list[int], eps: float, atol: float
) -> None:
    """Outputs that do not require grad must not depend on the inputs."""

    def objective() -> float:
        with no_grad():
            values = _outputs(func, inputs)
        totals = [np.sum(_host(values[i])) for i in which]
        return float(sum(total.real + total.imag for total in totals))

    for i in checked:
        _compare_input(objective, inputs[i], i, np.zeros(inputs[i]._data.shape), eps, atol, 0.0)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    seed: int = 1,
) -> bool:
    """Compare the second derivatives of ``func`` with central differences of its first.

    The gradient itself is checked as a function of the inputs and the cotangents; arguments as for :func:`gradcheck`.

    Raises:
        GradcheckError: with the worst element.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([0.3, 1.2], requires_grad=True)
        >>> cr.autograd.gradgradcheck(lambda x: (x * x).sin(), x)
        True
    """
    given = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    taken = [_upcast(t) for t in given]
    with enable_grad():
        outputs = [o for o in _outputs(func, taken) if o.requires_grad]
    if not outputs:
        return True
    rng = np.random.default_rng(seed)
    if grad_outputs is None:
        cotangents = [_random_like(o, rng).requires_grad_() for o in outputs]
    else:
        seeds = [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
        cotangents = [_upcast(s.detach().requires_grad_()) for s in seeds]

    def gradient(*args: Any) -> list[Tensor]:
        xs, vs = args[: len(taken)], args[len(taken) :]
        with enable_grad():
            results = [o for o in _outputs(func, xs) if o.requires_grad]
            wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
            found = grad(results, wanted, list(vs), create_graph=True, allow_unused=True)
        return [f for f in found if f is not None]

    # a gradient that does not require grad must be constant: otherwise its rule left the graph
    return _run(gradient, [*taken, *cotangents], eps, atol, rtol, raise_exception, nondet_tol, seed, True)
