"""Custom differentiable functions, with PyTorch's interface."""

from __future__ import annotations

from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.modes import mode, no_grad, ordinary
from chainrule.autograd.node import FREED, Node, freed, new_output_slot, next_sequence, output_slot
from chainrule.autograd.runtime import bump, conjugated, counter_of, tracked_node, wrap
from chainrule.autograd.saved import checked, pack
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.watch import watch


class FunctionContext:
    """What ``forward`` leaves for ``backward``: saved tensors, and any attribute set on it."""

    def __init__(self) -> None:
        self._to_save: tuple[Any, ...] = ()
        self._saved: Any = ()
        self._not_differentiable: frozenset[int] = frozenset()
        self._dirty: frozenset[int] = frozenset()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for ``backward``; an in-place change of one of them is noticed there."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError(f"save_for_backward: expected Tensors, got {type(t).__name__}; set other values on ctx")
        self._to_save = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """State that these outputs have no gradient."""
        self._not_differentiable = frozenset(id(t) for t in tensors)

    def mark_dirty(self, *tensors: Tensor) -> None:
        """State that these inputs were changed in place (and are returned)."""
        self._dirty = frozenset(id(t) for t in tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (True) or None for outputs that nothing used."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What ``save_for_backward`` kept.

        Raises RuntimeError after a backward that freed them, and when one was changed in place since.
        """
        if self._saved is FREED:
            raise freed(self._node())
        tensors: list[Tensor | None] = []
        for i, saved in enumerate(self._saved):
            if saved is None:
                tensors.append(None)
                continue
            array, device, version, at, edge, is_output = saved
            if version[0] != at:
                array = checked(self._node(), array, f"saved_tensors[{i}]", version, at)
            if is_output is not None:
                edge = _output_edge(self._node(), is_output)
            t = wrap(array, device, edge)
            t._counter = version  # a later change is noticed in the second derivative too
            tensors.append(t)
        return tuple(tensors)

    def _node(self) -> Any:
        return self._node_ref()

    _node_ref: Any = None


def _output_edge(node: Any, index: int) -> Any:
    return node if len(node.output_meta) == 1 else output_slot(node, index, node.output_meta[index][0])


class _Label:
    def __init__(self, label: str) -> None:
        self.label = label
        self.name = label
        self.needs: dict[str, tuple[str, ...]] = {}


class FunctionNode(Node):
    """The node of one call of a custom :class:`Function`."""

    __slots__ = ("ctx", "function", "input_meta", "op", "output_meta", "positions")
    ctx: FunctionContext
    function: Any
    output_meta: Any
    input_meta: Any
    positions: list[bool]

    def run(self, g: Any, needed: Any, free: bool = False) -> tuple[Any, ...]:
        with no_grad():
            results = self._run(g, raw=True)
        if free:
            self.release()
        return results

    def run_taped(self, g: Any, needed: Any) -> tuple[Any, ...]:
        return self._run(g, raw=False)

    def _run(self, g: Any, raw: bool) -> tuple[Any, ...]:
        parts = g if isinstance(g, list) else [g]
        tensors: list[Any] = []
        for part, (shape, dtype) in zip(parts, self.output_meta, strict=True):
            if part is None and self.ctx._materialize:
                part = wrap(self.device.xp.zeros(shape, dtype=dtype), self.device)
            elif part is not None:
                part = conjugated(part, self.device)  # user code sees PyTorch's convention
                # a copy: backward may change it in place, and other nodes may have been given the same array
                part = part if isinstance(part, Tensor) else wrap(part.copy(), self.device)
            tensors.append(part)
        found = self.function.backward(self.ctx, *tensors)
        results = list(found) if isinstance(found, tuple) else [found]
        if len(results) < len(self.positions) or any(r is not None for r in results[len(self.positions) :]):
            raise RuntimeError(
                f"{self.op.label}: backward must return one gradient (or None) for each of the {len(self.positions)} "
                f"arguments of forward, got {len(results)}"
            )
        checked: list[Any] = []
        for position, r in enumerate(results[: len(self.positions)]):
            if not self.positions[position]:
                continue
            if r is None:
                checked.append(None)
                continue
            shape, dtype = self.input_meta[position]
            if not isinstance(r, Tensor):
                raise TypeError(
                    f"{self.op.label}: backward must return Tensors, got {type(r).__name__} for argument {position}"
                )
            if tuple(r._data.shape) != tuple(shape):
                try:
                    r = r.sum_to_size(shape) if hasattr(r, "sum_to_size") else _sum_to(r, shape)
                except (RuntimeError, ValueError):
                    raise RuntimeError(
                        f"{self.op.label}: backward gave a gradient of shape {tuple(r.shape)} for argument {position}, "
                        f"which has shape {tuple(shape)}"
                    ) from None
            if r._data.dtype != dtype:
                r = (r.real if r.is_complex() and dtype.kind != "c" else r).to(dtype)
            checked.append(conjugated(r._data if raw else r, self.device))
        return tuple(checked)

    def release(self) -> None:
        self.ctx._saved = FREED

    @property
    def _saved_tensors(self) -> Any:
        return self.ctx.saved_tensors

    def name(self) -> str:
        return f"{self.op.label}Backward"


def _sum_to(r: Tensor, shape: tuple[int, ...]) -> Tensor:
    from chainrule.autograd.op import traced
    from chainrule.autograd.runtime import unbroadcast

    result = unbroadcast(traced, r, tuple(shape))
    if tuple(result.shape) != tuple(shape):
        raise ValueError("not a broadcast of the argument")
    return result


class Function:
    """Base of custom differentiable functions: static ``forward(ctx, ...)`` and ``backward(ctx, *grad_outputs)``.

    Call it as ``YourFunction.apply(...)``. ``forward`` is not recorded; ``backward`` is, under ``create_graph``.

    Example:
        >>> import chainrule as cr
        >>> class Cube(cr.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x * x * x
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         (x,) = ctx.saved_tensors
        ...         return g * 3 * x * x
        >>> x = cr.tensor([2.0], requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad
        tensor([12.])
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result; ``ctx`` is the first argument unless ``setup_context`` is defined."""
        raise NotImplementedError("Function: define the static method forward(ctx, ...)")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """One gradient (or None) for each argument of ``forward``."""
        raise NotImplementedError("Function: define the static method backward(ctx, *grad_outputs)")

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and record the call when one of the tensors requires grad."""
        ctx = FunctionContext()
        edges = [tracked_node(a) if isinstance(a, Tensor) else None for a in args]
        tracked = mode.enabled and any(e is not None for e in edges)
        ctx.needs_input_grad = tuple([e is not None and mode.enabled for e in edges])
        with no_grad():
            if hasattr(cls, "setup_context"):
                result = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args, **kwargs)
        results = list(result) if isinstance(result, tuple) else [result]
        if not tracked:
            ctx._saved = _pack(ctx, args, edges, results)
            return result
        given = {id(a) for a in args}
        for i, r in enumerate(results):
            if isinstance(r, Tensor) and id(r) in given and id(r) not in ctx._dirty:
                results[i] = r.detach()  # an input returned as it is: the result gets its own node
        differentiable = [
            i
            for i, r in enumerate(results)
            if isinstance(r, Tensor) and id(r) not in ctx._not_differentiable and r._data.dtype in dtypes.DIFFERENTIABLE
        ]
        node: Any = object.__new__(FunctionNode)
        first = next(a for a, e in zip(args, edges, strict=True) if e is not None)
        node.positions = [isinstance(a, Tensor) for a in args]
        node.inputs = tuple([e for a, e in zip(args, edges, strict=True) if isinstance(a, Tensor)])
        node.sequence = next_sequence()
        node.hooks = None
        node.shape = results[differentiable[0]]._data.shape if len(differentiable) == 1 else None
        node.device = first._device
        node.where = None
        node.op = _Label(cls.__name__)
        node.function = cls
        node.ctx = ctx
        node.output_meta = tuple([(results[i]._data.shape, results[i]._data.dtype) for i in differentiable])
        node.input_meta = [(a._data.shape, a._data.dtype) if isinstance(a, Tensor) else None for a in args]
        import weakref

        ctx._node_ref = weakref.ref(node)  # the node owns the context
        for slot, i in enumerate(differentiable):
            r = results[i]
            if id(r) in ctx._dirty:
                bump(r)
            r._node = node if len(differentiable) == 1 else new_output_slot(node, slot, r._data.shape)
        ctx._saved = _pack(ctx, args, edges, results, differentiable)
        if not ordinary.everywhere:
            tensors = [a for a in args if isinstance(a, Tensor)], [r for r in results if isinstance(r, Tensor)]
            watch(node, *map(tuple, tensors))
        return tuple(results) if isinstance(result, tuple) else results[0]


def _pack(
    ctx: FunctionContext,
    args: tuple[Any, ...],
    edges: list[Any],
    results: list[Any],
    differentiable: list[int] | None = None,
) -> tuple[Any, ...]:
    """Saved tensors as arrays with their counters and edges; an output keeps no edge to its own node."""
    order = {id(results[i]): slot for slot, i in enumerate(differentiable or [])}
    by_input = {id(a): e for a, e in zip(args, edges, strict=True)}
    packed: list[Any] = []
    for t in ctx._to_save:
        if t is None:
            packed.append(None)
        else:
            output = order.get(id(t))
            edge = by_input.get(id(t)) if output is None else None
            version = counter_of(t)
            array: Any = t._data
            at: int | None = version[0]
            if mode.saved_hooks and differentiable is not None:
                array, at = pack(array, t._device, version), None
            packed.append((array, t._device, version, at, edge, output))
    ctx._to_save = ()
    return tuple(packed)
