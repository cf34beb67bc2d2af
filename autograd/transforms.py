"""Transforms of functions: gradients, products with Jacobians, Jacobians and Hessians, with torch.func's names.

Each transform calls the function on its own handles of the inputs. Where an input is already tracked from outside, its
handle is connected to it, so that transforms nest: ``grad(grad(f))`` differentiates what the inner one recorded.
A result is recorded only where it depends on something that is tracked outside.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from chainrule.autograd import batching, dtypes, engine
from chainrule.autograd.modes import enable_grad, mode, set_grad_enabled
from chainrule.autograd.node import Leaf
from chainrule.autograd.runtime import describe, make_node, tracked_node, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.tree import Spec, flatten

# ---- handles --------------------------------------------------------------------------------------------------------


def enter(caller: str, t: Any) -> Tensor:
    """A handle of an input for one transform: the same memory, tracked, and connected to what tracks the input."""
    if not isinstance(t, Tensor):
        raise TypeError(f"{caller}: expected the inputs to be Tensors, got {describe(t)}")
    if t._data.dtype not in dtypes.DIFFERENTIABLE:
        raise RuntimeError(f"{caller}: only floating-point and complex inputs have gradients, got {describe(t)}")
    t = batching.lift_to_active(t)  # inside vmap, each element has its own gradient
    node = tracked_node(t) if mode.enabled else None
    handle = t.detach()
    handle._view = None
    if node is None:
        return handle.requires_grad_()
    handle._node = make_node("clone", (node,), t._device, t._data.shape)
    return handle


#: handles of calls that have returned: that a graph leads to them says nothing about the outside
closed: weakref.WeakSet[Leaf] = weakref.WeakSet()


def leave(t: Any, own: set[Any], recorded: bool) -> Any:
    """A result as the outside sees it: without the graph, where that only leads to our own handles."""
    if not isinstance(t, Tensor) or tracked_node(t) is None:
        return t
    return t if recorded and depends_outside([t], own) else t.detach()


def depends_outside(tensors: list[Any], own: set[Any]) -> bool:
    """Whether a graph leads to a leaf that is none of ``own``."""
    found = [node for node in {tracked_node(t) for t in tensors} if node is not None]
    seen = set(found)
    for node in found:  # grows while it is walked
        if type(node) is Leaf and node not in own and node not in closed:
            return True
        for edge in node.inputs:
            if edge is not None and edge not in seen:
                seen.add(edge)
                found.append(edge)
    return False


def _zeros(t: Tensor) -> Tensor:
    return wrap(t._device.xp.zeros(t._data.shape, dtype=t._data.dtype), t._device)


# ---- one call, taken apart ------------------------------------------------------------------------------------------


class Call:
    """One call of a function on handles of its inputs, and its outputs."""

    def __init__(self, caller: str, function: Callable[..., Any], args: Any, argnums: Any, kwargs: Any, aux: bool):
        self.caller = caller
        self.recorded = mode.enabled
        args = list(args)
        positions = [argnums] if isinstance(argnums, int) else list(argnums)
        if not positions:
            raise RuntimeError(f"{caller}: argnums must not be empty")
        for n in positions:
            if not isinstance(n, int) or not -len(args) <= n < len(args):
                raise RuntimeError(
                    f"{caller}: argnums is {argnums!r}, but the function was called with {len(args)} inputs"
                )
        if len({n % len(args) for n in positions}) < len(positions):
            raise RuntimeError(f"{caller}: argnums must not name an input twice, got {argnums!r}")
        chosen = args[argnums] if isinstance(argnums, int) else tuple([args[n] for n in positions])
        leaves, self.inputs_spec = flatten(chosen)
        with set_grad_enabled(self.recorded):
            self.inputs = [enter(caller, t) for t in leaves]
        self.own = {t._node for t in self.inputs if type(t._node) is Leaf}
        handles = self.inputs_spec.build(self.inputs)
        for n, handle in zip(positions, [handles] if isinstance(argnums, int) else handles):
            args[n] = handle
        with enable_grad():
            result = function(*args, **kwargs)
        closed.update(self.own)
        self.aux: Any = None
        if aux:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise RuntimeError(
                    f"{caller}: with has_aux=True the function must return (output, aux), got {type(result).__name__}"
                )
            result, self.aux = result
        self.outputs, self.outputs_spec = flatten(result)
        for t in self.outputs:
            if not isinstance(t, Tensor):
                raise RuntimeError(f"{caller}: the function must return Tensors, got {describe(t)}")
        self.handles = self.inputs
        self._outside: bool | None = None

    def outside(self) -> bool:
        """Whether derivatives of the outputs are to be recorded."""
        if self._outside is None:
            self._outside = self.recorded and depends_outside(self.outputs, self.own)
        return self._outside

    def left(self, value: Any) -> Any:
        """A nest of results as the outside sees them."""
        leaves, spec = flatten(value)
        return spec.build([leave(t, self.own, self.recorded) for t in leaves])

    def output(self) -> Any:
        return self.outputs_spec.build([leave(t, self.own, self.recorded) for t in self.outputs])

    def pull(self, cotangents: list[Tensor], create_graph: bool, retain: bool = True) -> list[Tensor | None]:
        """The cotangents of the inputs; None for an input that no output depends on."""
        tracked = [(t, c) for t, c in zip(self.outputs, cotangents, strict=True) if tracked_node(t) is not None]
        if not tracked:
            return [None] * len(self.inputs)
        roots, seeds = zip(*tracked)
        return list(engine.grad(roots, self.inputs, seeds, retain, create_graph, allow_unused=True))

    def pulled(self, cotangents: list[Tensor], create_graph: bool | None = None, retain: bool = True) -> list[Tensor]:
        """The same with zeros in place of None, as the outside sees them."""
        if create_graph is None:
            create_graph = mode.enabled and (
                self.outside() or any(tracked_node(c) is not None for c in cotangents if isinstance(c, Tensor))
            )
        found = self.pull(cotangents, create_graph, retain)
        done: list[Tensor] = []
        for t, g in zip(self.inputs, found, strict=True):
            done.append(_zeros(t) if g is None else leave(g, self.own, create_graph))
        return done


# ---- gradients ------------------------------------------------------------------------------------------------------


def grad_and_value(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of ``func`` and its value.

    Args:
        func: returns a 0-d tensor, or (that, anything) with ``has_aux``.
        argnums: which argument to differentiate with respect to, or a tuple of them; nests of tensors are allowed.
        has_aux: the result is ``(gradient, (value, aux))``.

    Example:
        >>> import chainrule as cr
        >>> cr.func.grad_and_value(lambda x: x * x)(cr.tensor(3.0))
        (tensor(6.), tensor(9.))
    """

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        call = Call("grad", func, args, argnums, kwargs, has_aux)
        if call.outputs_spec.kind is not None:
            raise RuntimeError(f"grad: the function must return one Tensor, got {call.outputs_spec.kind.__name__}")
        out = call.outputs[0]
        if out._data.ndim:
            raise RuntimeError(
                f"grad: the function must return a 0-d tensor, got shape {tuple(out.shape)}; reduce it, for example "
                f"with .sum(), or use jacrev or vjp"
            )
        if out._data.dtype not in dtypes.DIFFERENTIABLE:
            raise RuntimeError(f"grad: the function must return a floating-point tensor, got {describe(out)}")
        if out.is_complex():
            raise RuntimeError(
                f"grad: grad can be implicitly created only for real scalar outputs but got {out.dtype}; return a real "
                f"function of it, such as .abs() or .real, or use vjp"
            )
        record = call.outside()
        one = wrap(out._device.xp.ones((), dtype=out._data.dtype), out._device)
        gradient = call.inputs_spec.build(call.pulled([one], record, retain=True))
        value = call.output()
        return gradient, ((value, call.left(call.aux)) if has_aux else value)

    return _named(wrapper, func)


def value_and_grad(
    func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """Like :func:`grad_and_value`, with the value first.

    Example:
        >>> import chainrule as cr
        >>> cr.func.value_and_grad(lambda x: x * x)(cr.tensor(3.0))
        (tensor(9.), tensor(6.))
    """
    both = grad_and_value(func, argnums, has_aux)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return value, gradient

    return _named(wrapper, func)


def grad(func: Callable[..., Any], argnums: int | tuple[int, ...] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of ``func``, which returns a 0-d tensor.

    Args:
        func: returns a 0-d tensor, or (that, anything) with ``has_aux``.
        argnums: which argument to differentiate with respect to, or a tuple of them; nests of tensors are allowed.
        has_aux: the result is ``(gradient, aux)``.

    Example:
        >>> import chainrule as cr
        >>> cr.func.grad(cr.func.grad(lambda x: x ** 3))(cr.tensor(2.0))
        tensor(12.)
    """
    both = grad_and_value(func, argnums, has_aux)

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return _named(wrapper, func)


def _named(wrapper: Any, func: Any) -> Any:
    wrapper.__wrapped__ = func
    wrapper.__name__ = getattr(func, "__name__", type(func).__name__)
    return wrapper


# ---- products with the Jacobian -------------------------------------------------------------------------------------


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of ``func``, and a function that multiplies a cotangent with its Jacobian from the left.

    Returns ``(output, vjp_fn)``, or ``(output, vjp_fn, aux)`` with ``has_aux``. ``vjp_fn(cotangents)`` takes a nest
    like the output and returns a tuple with one entry for each primal.

    Example:
        >>> import chainrule as cr
        >>> out, pullback = cr.func.vjp(lambda x: x * x, cr.tensor([1.0, 2.0]))
        >>> pullback(cr.ones(2))
        (tensor([2., 4.]),)
    """
    if not primals:
        raise RuntimeError("vjp: expected at least one input")
    call = Call("vjp", func, primals, tuple(range(len(primals))), {}, has_aux)

    def vjp_fn(cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None) -> Any:
        leaves = _matching("vjp_fn", "cotangents", cotangents, call.outputs_spec, call.outputs)
        return call.inputs_spec.build(call.pulled(leaves, create_graph, retain_graph))

    return (call.output(), vjp_fn, call.left(call.aux)) if has_aux else (call.output(), vjp_fn)


def _matching(caller: str, what: str, value: Any, spec: Spec, like: list[Tensor]) -> list[Tensor]:
    """The leaves of ``value``, which must be tensors in the structure and the shapes of ``like``."""
    leaves, found = flatten(value)
    if found != spec:
        raise RuntimeError(f"{caller}: expected {what} with the structure {spec!r}, got {found!r}")
    for i, (v, t) in enumerate(zip(leaves, like, strict=True)):
        if not isinstance(v, Tensor) or v._data.shape != t._data.shape:
            raise RuntimeError(f"{caller}: {what}[{i}] must be a tensor of shape {tuple(t.shape)}, got {describe(v)}")
    return leaves


class Linear:
    """The Jacobian of a call as a function of tangents: the derivative of the pullback, which is linear.

    Reverse mode twice: the pullback of dummies ``u`` is recorded once, and its own pullback is the pushforward.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.record = call.outside()
        #: outputs that the inputs lead to, and their dummies
        self.reached = [i for i, t in enumerate(call.outputs) if tracked_node(t) is not None]
        with enable_grad():
            self.dummies = [_zeros(call.outputs[i]).requires_grad_() for i in self.reached]
            self.own = call.own | {tracked_node(u) for u in self.dummies}
            closed.update(self.own)
            roots = [call.outputs[i] for i in self.reached]
            found: Any = (
                engine.grad(roots, call.inputs, self.dummies, True, True, allow_unused=True)
                if roots
                else [None] * len(call.inputs)
            )
        self.pulled: list[Tensor | None] = [None if g is None or tracked_node(g) is None else g for g in found]

    def push(self, tangents: list[Tensor], create_graph: bool | None = None) -> list[Tensor]:
        """The tangents of the outputs."""
        if create_graph is None:
            tracked = any(tracked_node(v) is not None for v in tangents)
            create_graph = mode.enabled and (self.record or tracked)
        pairs = [(g, v) for g, v in zip(self.pulled, tangents, strict=True) if g is not None]
        results: list[Tensor | None] = [None] * len(self.call.outputs)
        if pairs and self.dummies:
            roots, seeds = zip(*pairs)
            found = engine.grad(roots, self.dummies, seeds, True, create_graph, allow_unused=True)
            for i, r in zip(self.reached, found, strict=True):
                results[i] = r
        return [
            _zeros(t) if r is None else leave(r, self.own, create_graph)
            for t, r in zip(self.call.outputs, results, strict=True)
        ]


def jvp(func: Callable[..., Any], primals: Any, tangents: Any, *, strict: bool = False, has_aux: bool = False) -> Any:
    """The value of ``func``, and its Jacobian multiplied with ``tangents`` from the right.

    Args:
        primals: a tuple with the inputs.
        tangents: a tuple of the same structure.
        strict: raise where an output does not depend on the inputs.
        has_aux: ``func`` returns (output, aux); the result is ``(output, tangent, aux)``.

    Example:
        >>> import chainrule as cr
        >>> cr.func.jvp(lambda x: x * x, (cr.tensor([1.0, 2.0]),), (cr.tensor([1.0, 0.0]),))
        (tensor([1., 4.]), tensor([2., 0.]))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp: primals and tangents must be tuples")
    call = Call("jvp", func, primals, tuple(range(len(primals))), {}, has_aux)
    leaves = _matching("jvp", "tangents", tangents, call.inputs_spec, call.inputs)
    linear = Linear(call)
    if strict and len(linear.reached) < len(call.outputs):
        raise RuntimeError("jvp: with strict=True, every output must depend on the inputs")
    pushed = call.outputs_spec.build(linear.push(leaves))
    return (call.output(), pushed, call.left(call.aux)) if has_aux else (call.output(), pushed)


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """The value of ``func``, and the linear function that approximates it there: ``jvp_fn(*tangents)``.

    Example:
        >>> import chainrule as cr
        >>> out, jvp_fn = cr.func.linearize(cr.sin, cr.tensor([0.0, 1.0]))
        >>> jvp_fn(cr.tensor([2.0, 0.0]))
        tensor([2., 0.])
    """
    if not primals:
        raise RuntimeError("linearize: expected at least one input")
    call = Call("linearize", func, primals, tuple(range(len(primals))), {}, False)
    linear = Linear(call)

    def jvp_fn(*tangents: Any) -> Any:
        leaves = _matching("jvp_fn", "tangents", tangents, call.inputs_spec, call.inputs)
        return call.outputs_spec.build(linear.push(leaves))

    return call.output(), jvp_fn


def batched_grad(
    roots: list[Any], wanted: list[Any], seeds: list[Any], retain: Any, create_graph: bool, unused: bool, zeros: bool
) -> tuple[Tensor | None, ...]:
    """``autograd.grad`` with ``is_grads_batched``: the gradients for many grad_outputs in one walk of the graph."""
    from chainrule.autograd.vmap import vmap

    if any(s is None for s in seeds):
        raise RuntimeError("grad: with is_grads_batched=True, every output needs a grad_output")
    missing: list[bool] = []

    def pull(*one: Tensor) -> tuple[Tensor, ...]:
        found = engine.grad(roots, wanted, one, retain, create_graph, allow_unused=unused, materialize_grads=zeros)
        missing[:] = [g is None for g in found]
        return tuple([g for g in found if g is not None])

    found = iter(vmap(pull)(*seeds))
    return tuple([None if m else next(found) for m in missing])
