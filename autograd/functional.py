"""Products with Jacobians, Jacobians and Hessians at a point, with torch.autograd.functional's names and signatures.

These take a function and its inputs, and give tensors; :mod:`chainrule.func` has transforms of functions, which nest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd import engine
from chainrule.autograd.jacobians import basis
from chainrule.autograd.modes import enable_grad
from chainrule.autograd.runtime import describe, tracked_node, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.vmap import vmap

Tensors = Tensor | tuple[Tensor, ...]


def _tuple(caller: str, what: str, value: Any) -> tuple[bool, tuple[Tensor, ...]]:
    """Whether ``value`` was a tuple, and the tuple."""
    several = isinstance(value, (tuple, list))
    values = tuple(value) if several else (value,)
    for i, t in enumerate(values):
        if not isinstance(t, Tensor):
            raise TypeError(f"{caller}: {what}[{i}] must be a Tensor, got {describe(t)}")
    return several, values


def _handles(inputs: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    """Inputs to differentiate at: connected to the caller's graph under ``create_graph``."""
    if create_graph:
        return tuple([t.view_as(t) if t.requires_grad else t.detach().requires_grad_() for t in inputs])
    return tuple([t.detach().requires_grad_() for t in inputs])


def _called(caller: str, func: Callable[..., Any], inputs: tuple[Tensor, ...]) -> tuple[bool, tuple[Tensor, ...]]:
    return _tuple(caller, "outputs", func(*inputs))


def _zeros(t: Tensor) -> Tensor:
    return wrap(t._device.xp.zeros(t._data.shape, dtype=t._data.dtype), t._device)


def _given(caller: str, v: Any, like: tuple[Tensor, ...], several: bool, name: str) -> tuple[Tensor, ...]:
    """The vectors of a product; ones where the only tensor that they belong to has one element."""
    if v is None:
        if len(like) != 1 or like[0]._data.size != 1:
            raise RuntimeError(
                f"{caller}: the vector v can only be None if the {name} is a single Tensor with a single element"
            )
        xp = like[0]._device.xp
        return (wrap(xp.ones(like[0]._data.shape, dtype=like[0]._data.dtype), like[0]._device),)
    _, values = _tuple(caller, "v", v)
    if len(values) != len(like):
        raise RuntimeError(f"{caller}: v must have one tensor for each of the {len(like)} {name}s, got {len(values)}")
    for i, (a, b) in enumerate(zip(values, like, strict=True)):
        if a._data.shape != b._data.shape:
            raise RuntimeError(f"{caller}: v[{i}] must have shape {tuple(b.shape)}, got {tuple(a.shape)}")
    return values


def _grad(
    outputs: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    seeds: tuple[Any, ...],
    create_graph: bool,
    keep: bool = True,
) -> tuple[Tensor | None, ...]:
    pairs = [(o, s) for o, s in zip(outputs, seeds, strict=True) if o is not None and tracked_node(o) is not None]
    if not pairs:
        return (None,) * len(inputs)
    roots, given = zip(*pairs)
    return engine.grad(roots, inputs, given, keep, create_graph, allow_unused=True)


def _filled(
    caller: str, found: tuple[Tensor | None, ...], like: tuple[Tensor, ...], strict: bool, create_graph: bool, what: str
) -> tuple[Tensor, ...]:
    """Zeros in place of None; with ``strict`` an error."""
    done = []
    for i, (g, t) in enumerate(zip(found, like, strict=True)):
        if g is None and strict:
            raise RuntimeError(f"{caller}: {what} {i} is independent of the other side of the derivative (strict=True)")
        if g is not None and strict and create_graph and not g.requires_grad:
            raise RuntimeError(f"{caller}: the derivative for {what} {i} is independent of the inputs (strict=True)")
        done.append(_zeros(t) if g is None else g)
    return tuple(done)


def _check_outputs(caller: str, outputs: tuple[Tensor, ...], strict: bool) -> None:
    if strict:
        for i, t in enumerate(outputs):
            if not t.requires_grad:
                raise RuntimeError(f"{caller}: output {i} is independent of the inputs (strict=True)")


def _finish(values: tuple[Tensor, ...], several: bool, create_graph: bool) -> Any:
    done = values if create_graph else tuple([t.detach() for t in values])
    return done if several else done[0]


def vjp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func`` at ``inputs``, and ``v`` multiplied with its Jacobian from the left.

    Example:
        >>> import chainrule as cr
        >>> cr.autograd.functional.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]), cr.ones(2))
        (tensor([1., 4.]), tensor([2., 4.]))
    """
    with enable_grad():
        several, given = _tuple("vjp", "inputs", inputs)
        handles = _handles(given, create_graph)
        many, outputs = _called("vjp", func, handles)
        _check_outputs("vjp", outputs, strict)
        vectors = _given("vjp", v, outputs, many, "output")
        found = _grad(outputs, handles, vectors, create_graph)
        result = _filled("vjp", found, handles, strict, create_graph, "input")
    return _finish(outputs, many, create_graph), _finish(result, several, create_graph)


def _pushforward(
    outputs: tuple[Tensor, ...], handles: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor | None, ...]]:
    """Dummies u, and the pullback of u, whose own pullback is the pushforward."""
    dummies = tuple([_zeros(t).requires_grad_() for t in outputs])
    return dummies, _grad(outputs, handles, dummies, True)


def jvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func`` at ``inputs``, and its Jacobian multiplied with ``v`` from the right.

    Example:
        >>> import chainrule as cr
        >>> cr.autograd.functional.jvp(lambda x: x * x, cr.tensor([1.0, 2.0]), cr.tensor([1.0, 0.0]))
        (tensor([1., 4.]), tensor([2., 0.]))
    """
    with enable_grad():
        _, given = _tuple("jvp", "inputs", inputs)
        vectors = _given("jvp", v, given, True, "input")
        handles = _handles(given, create_graph)
        many, outputs = _called("jvp", func, handles)
        _check_outputs("jvp", outputs, strict)
        dummies, pulled = _pushforward(outputs, handles)
        found = _grad(pulled, dummies, vectors, create_graph)  # type: ignore[arg-type]
        result = _filled("jvp", found, outputs, strict, create_graph, "output")
    return _finish(outputs, many, create_graph), _finish(result, many, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of ``func`` at ``inputs``: a tensor, or a tuple of (tuples of) them for several outputs or inputs.

    Args:
        create_graph: the Jacobian can be differentiated.
        strict: raise where an output does not depend on an input, in place of zeros.
        vectorize: compute all rows (or columns) at once.
        strategy: ``"reverse-mode"`` goes row by row; ``"forward-mode"`` column by column, which pays where there
            are fewer inputs than outputs.

    Example:
        >>> import chainrule as cr
        >>> cr.autograd.functional.jacobian(lambda x: x * x, cr.tensor([1.0, 2.0]))
        tensor([[2., 0.],
                [0., 4.]])
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ValueError(f"jacobian: strategy must be 'reverse-mode' or 'forward-mode', got {strategy!r}")
    if strict and vectorize:
        raise RuntimeError("jacobian: strict=True and vectorize=True are not supported together")
    with enable_grad():
        several, given = _tuple("jacobian", "inputs", inputs)
        handles = _handles(given, create_graph)
        many, outputs = _called("jacobian", func, handles)
        _check_outputs("jacobian", outputs, strict)
        forward = strategy == "forward-mode"
        if forward:
            dummies, pulled = _pushforward(outputs, handles)
            roots, targets, outer, inner = pulled, dummies, handles, outputs
        else:
            roots, targets, outer, inner = outputs, handles, outputs, handles

        def row(*seeds: Tensor) -> tuple[Tensor, ...]:
            found = _grad(roots, targets, seeds, create_graph)  # type: ignore[arg-type]
            return _filled("jacobian", found, inner, strict, create_graph, "output" if forward else "input")

        stacked = _stack_rows(row, basis("jacobian", list(outer)), vectorize)
        blocks = _blocks(stacked, outer, inner)
        if forward:
            blocks = [
                [_transposed(blocks[j][i], t._data.ndim) for j, t in enumerate(handles)] for i in range(len(outputs))
            ]
    done = [_finish(tuple(b), several, create_graph) for b in blocks]
    return tuple(done) if many else done[0]


def _stack_rows(row: Callable[..., Any], rows: list[Tensor], vectorize: bool) -> list[Tensor] | None:
    """``row`` of each unit vector, stacked; None where there are none."""
    if not rows or not rows[0]._data.shape[0]:
        return None
    if vectorize:
        return list(vmap(row)(*rows))
    from chainrule.autograd.op import traced

    done = [row(*[t[i] for t in rows]) for i in range(rows[0]._data.shape[0])]
    return [traced.stack_tensors(*parts, axis=0) for parts in zip(*done, strict=True)]


def _blocks(stacked: list[Tensor] | None, outer: tuple[Tensor, ...], inner: tuple[Tensor, ...]) -> list[list[Tensor]]:
    blocks, start = [], 0
    for o in outer:
        n = o._data.size
        shapes = [(*o._data.shape, *t._data.shape) for t in inner]
        if stacked is None:
            blocks.append([wrap(o._device.xp.zeros(s, dtype=o._data.dtype), o._device) for s in shapes])
        else:
            blocks.append([s[start : start + n].reshape(shape) for s, shape in zip(stacked, shapes, strict=True)])
        start += n
    return blocks


def _transposed(t: Tensor, n: int) -> Tensor:
    """The first ``n`` dimensions last."""
    return t.permute(*range(n, t._data.ndim), *range(n)) if 0 < n < t._data.ndim else t


def _scalar(caller: str, func: Callable[..., Any]) -> Callable[..., Any]:
    """``func``, checked to give one element."""

    def checked(*inputs: Any) -> Tensor:
        out = func(*inputs)
        if not isinstance(out, Tensor):
            raise RuntimeError(f"{caller}: the function must return one Tensor, got {describe(out)}")
        if out._data.size != 1:
            raise RuntimeError(f"{caller}: the function must return a single element, got shape {tuple(out.shape)}")
        return out.reshape(())

    return checked


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of ``func``, which gives a single element, at ``inputs``: a tensor, or a tuple of tuples of them.

    Example:
        >>> import chainrule as cr
        >>> cr.autograd.functional.hessian(lambda x: (x ** 3).sum(), cr.tensor([1.0, 2.0]))
        tensor([[ 6.,  0.],
                [ 0., 12.]])
    """
    several, _ = _tuple("hessian", "inputs", inputs)
    value = _scalar("hessian", func)

    def gradient(*given: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            given = tuple([t.view_as(t) for t in given])
        found = jacobian(value, given, create_graph=True, strict=strict)
        return found

    result = jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return result if several else result[0]


def _gradient(
    caller: str, func: Callable[..., Any], inputs: Any, strict: bool, create_graph: bool
) -> tuple[bool, tuple[Tensor, ...], Tensor, tuple[Tensor, ...]]:
    several, given = _tuple(caller, "inputs", inputs)
    handles = _handles(given, create_graph)
    value = func(*handles)
    if not isinstance(value, Tensor) or value._data.size != 1:
        raise RuntimeError(f"{caller}: the function must return a Tensor with a single element, got {describe(value)}")
    _check_outputs(caller, (value,), strict)
    seed = _given(caller, None, (value,), False, "output")
    found = _grad((value,), handles, seed, True)
    return several, handles, value, _filled(caller, found, handles, strict, True, "input")


def vhp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func``, which gives a single element, and ``v`` multiplied with its Hessian from the left.

    Example:
        >>> import chainrule as cr
        >>> cr.autograd.functional.vhp(lambda x: (x ** 3).sum(), cr.tensor([1.0, 2.0]), cr.ones(2))
        (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        several, handles, value, gradient = _gradient("vhp", func, inputs, strict, create_graph)
        vectors = _given("vhp", v, handles, several, "input")
        found = _grad(gradient, handles, vectors, create_graph)
        result = _filled("vhp", found, handles, strict, create_graph, "input")
    return _finish((value,), False, create_graph), _finish(result, several, create_graph)


def hvp(
    func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of ``func``, which gives a single element, and its Hessian multiplied with ``v`` from the right.

    The Hessian is symmetric, so this is :func:`vhp` (in PyTorch it is the slower of the two).

    Example:
        >>> import chainrule as cr
        >>> cr.autograd.functional.hvp(lambda x: (x ** 3).sum(), cr.tensor([1.0, 2.0]), cr.ones(2))
        (tensor(9.), tensor([ 6., 12.]))
    """
    with enable_grad():
        several, handles, value, gradient = _gradient("hvp", func, inputs, strict, create_graph)
        vectors = _given("hvp", v, handles, several, "input")
        found = _grad(gradient, handles, vectors, create_graph)
        result = _filled("hvp", found, handles, strict, create_graph, "input")
    return _finish((value,), False, create_graph), _finish(result, several, create_graph)
