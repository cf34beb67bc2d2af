"""Jacobians and Hessians, as transforms of functions (torch.func's names)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.transforms import Call, Linear, _named, grad_and_value, vjp
from chainrule.autograd.vmap import vmap


def basis(caller: str, like: list[Tensor]) -> list[Tensor]:
    """Every unit vector of the space that these tensors span together: row i has a 1 in its i-th element.

    Raises RuntimeError for complex tensors: a function that is not holomorphic has no one complex derivative.
    """
    for t in like:
        if t.is_complex():
            raise RuntimeError(
                f"{caller}: grad can be implicitly created only for real scalar outputs but got {t.dtype}; "
                f"differentiate the real and the imaginary part apart (view_as_real)"
            )
    total = sum([t._data.size for t in like])
    rows, start = [], 0
    for t in like:
        xp, n = t._device.xp, t._data.size
        eye = xp.eye(total, dtype=t._data.dtype)[:, start : start + n]
        rows.append(wrap(xp.reshape(eye, (total, *t._data.shape)), t._device))
        start += n
    return rows


def _mapped(
    function: Callable[..., Any], rows: list[Tensor], chunk_size: int | None, randomness: str = "error"
) -> list[Any]:
    """``function`` of each row, stacked; the results are flat lists."""
    if not rows or not rows[0]._data.shape[0]:
        return []
    return list(vmap(lambda *row: tuple(function(list(row))), randomness=randomness, chunk_size=chunk_size)(*rows))


def _rows(stacked: Tensor, outer: list[Tensor], i: int, shape: tuple[int, ...]) -> Tensor:
    """The rows that belong to the i-th of ``outer``, with its shape in front."""
    start = sum([t._data.size for t in outer[:i]])
    n = outer[i]._data.size
    part = stacked if len(outer) == 1 else stacked[start : start + n]
    return part.reshape((*outer[i]._data.shape, *shape))


def _empty(outer: Tensor, inner: Tensor) -> Tensor:
    shape = (*outer._data.shape, *inner._data.shape)
    return wrap(outer._device.xp.zeros(shape, dtype=inner._data.dtype), outer._device)


def jacrev(
    func: Callable[..., Any],
    argnums: int | tuple[int, ...] = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian of ``func``, in reverse mode: all rows are pulled back at once.

    Each output tensor is replaced by its Jacobian, which has the output's shape followed by the input's; for
    several inputs, by a nest like theirs.

    Args:
        argnums: which argument to differentiate with respect to, or a tuple of them.
        has_aux: ``func`` returns (output, aux); the result is ``(jacobian, aux)``.
        chunk_size: how many rows to pull back at once; all by default.

    Example:
        >>> import chainrule as cr
        >>> cr.func.jacrev(cr.sin)(cr.tensor([0.0, 0.0]))
        tensor([[1., 0.],
                [0., 1.]])
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = Call("jacrev", func, args, argnums, kwargs, has_aux)
        found = _mapped(call.pulled, basis("jacrev", call.outputs), chunk_size)
        jacobians = [
            call.inputs_spec.build(
                [
                    _rows(found[j], call.outputs, i, t._data.shape) if found else _empty(out, t)
                    for j, t in enumerate(call.inputs)
                ]
            )
            for i, out in enumerate(call.outputs)
        ]
        result = call.outputs_spec.build(jacobians)
        return (result, call.left(call.aux)) if has_aux else result

    return _named(wrapper, func)


def jacfwd(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False, *, randomness: str = "error"
) -> Callable[..., Any]:
    """A function that gives the Jacobian of ``func``, column by column: all columns are pushed forward at once.

    Pays where there are fewer inputs than outputs. The result is that of :func:`jacrev`.

    Example:
        >>> import chainrule as cr
        >>> cr.func.jacfwd(lambda x: x * cr.ones(3))(cr.tensor(2.0))
        tensor([1., 1., 1.])
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = Call("jacfwd", func, args, argnums, kwargs, has_aux)
        linear = Linear(call)
        found = _mapped(linear.push, basis("jacfwd", call.inputs), None, randomness)
        jacobians = []
        for i, out in enumerate(call.outputs):
            columns = []
            for j, t in enumerate(call.inputs):
                if not found:
                    columns.append(_empty(out, t))
                    continue
                part = _rows(found[i], call.inputs, j, out._data.shape)
                columns.append(part.permute(*_last(t._data.ndim, part._data.ndim)) if t._data.ndim else part)
            jacobians.append(call.inputs_spec.build(columns))
        result = call.outputs_spec.build(jacobians)
        return (result, call.left(call.aux)) if has_aux else result

    return _named(wrapper, func)


def _last(n: int, ndim: int) -> tuple[int, ...]:
    """The order of dimensions that puts the first ``n`` last."""
    return (*range(n, ndim), *range(n))


def hessian(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that gives the Hessian of ``func``: the Jacobian of its Jacobian.

    Example:
        >>> import chainrule as cr
        >>> cr.func.hessian(lambda x: (x ** 3).sum())(cr.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)


def hvp(func: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """The value of ``func``, which gives a 0-d tensor, and its Hessian multiplied with ``tangents`` from the right.

    Args:
        primals: a tuple with the inputs.
        tangents: a tuple of the same structure.

    Returns the value, and the product: a tuple like ``primals``.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, 2.0])
        >>> cr.func.hvp(lambda x: (x ** 3).sum(), (x,), (cr.ones(2),))
        (tensor(9.), (tensor([ 6., 12.]),))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("hvp: primals and tangents must be tuples")
    positions = tuple(range(len(primals)))

    # reverse over reverse: the pullback of the gradient
    _, pullback, value = vjp(grad_and_value(func, positions), *primals, has_aux=True)
    return value, pullback(tangents)


def vhp(func: Callable[..., Any], primals: Any, cotangents: Any) -> tuple[Any, Any]:
    """The value of ``func`` and its Hessian multiplied with ``cotangents`` from the left; the Hessian is symmetric.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor([1.0, 2.0])
        >>> cr.func.vhp(lambda x: (x ** 3).sum(), (x,), (cr.ones(2),))[1]
        (tensor([ 6., 12.]),)
    """
    return hvp(func, primals, cotangents)
