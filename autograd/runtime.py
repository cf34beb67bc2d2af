"""What the generated wrappers call outside their fast path: operands, devices, views, error messages."""

from __future__ import annotations

import numbers
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.modes import mode as mode
from chainrule.autograd.modes import ordinary as ordinary
from chainrule.autograd.modes import tracer as tracer
from chainrule.autograd.node import Node, View, next_sequence
from chainrule.autograd.op import OPS, PUBLIC_NAMES, Op, traced
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.backends.devices import get_default_device
from chainrule.backends.linear_algebra import LinAlgError

if TYPE_CHECKING:
    pass

_CONSTANTS_KEPT = 4096
#: of one tensor, the lines of how many in-place changes are remembered
_CHANGES_KEPT = 32

#: the kinds of errors that keep their type when they are told again with the op's name
_EXPLAINED: tuple[type[Exception], ...] = (
    LinAlgError, IndexError, TypeError, ValueError, RuntimeError, OverflowError, MemoryError,
)  # fmt: skip


def where() -> Any:
    """The place of the running operation while it is traced, else None."""
    return None if tracer.locate is None else tracer.locate()


def counter_of(t: Tensor) -> list[int]:
    """The version counter of a tensor, made when something first needs to notice changes."""
    counter = t._counter
    if counter is None:
        counter = t._counter = [0]
    return counter


def bump(t: Tensor) -> None:
    """Count an in-place change; its line is kept while lines are."""
    counter = counter_of(t)
    counter[0] += 1
    if tracer.locate is not None:
        changes: list[Any] = counter
        changes.append((counter[0], tracer.locate()))
        if len(changes) > _CHANGES_KEPT:
            del changes[1]


def wrap(array: Any, device: Device, node: Any = None) -> Tensor:
    """A tensor around an array of ``device``."""
    t: Tensor = object.__new__(Tensor)
    t._data = array if type(array) is device.array_type else device.asarray(array)
    t._device = device
    t._counter = None
    t._view = None
    t._node = node
    return t


def rewrap(node: Node, array: Any, edge: Any, version: list[int]) -> Tensor:
    """A saved array as the tensor it was: connected to the graph, and noticing in-place changes."""
    t = wrap(array, node.device, edge)
    t._counter = version
    return t


# ---- operands -------------------------------------------------------------------------------------------------------


def describe(value: Any) -> str:
    """A value in a few words, for error messages."""
    if isinstance(value, Tensor):
        return f"{dtypes.of_array(value._data).name} tensor of shape {tuple(value._data.shape)}"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array of shape {value.shape}"
    return f"{type(value).__name__} {value!r:.60}"


def operand(op: Op, name: str, value: Any, like: Tensor | None) -> Tensor:
    """``value`` as a tensor argument of ``op``: arrays and numbers are taken, lists are not."""
    device = like._device if like is not None else get_default_device()
    name = PUBLIC_NAMES.get(name, name)
    if isinstance(value, (np.ndarray, np.generic, numbers.Number)):
        if device.type != "cpu" and isinstance(value, np.ndarray) and value.ndim:
            raise TypeError(
                f"{op.label}: argument {name!r} is a NumPy array, the other operand is on {device}; nothing is copied "
                f"silently, use chainrule.tensor(array, device={str(device)!r})"
            )
        if isinstance(value, (np.ndarray, np.generic)):
            spec: Any = value.dtype
        else:
            spec = dtypes.as_dtype(type(value)).dtype if isinstance(value, (bool, int, float, complex)) else None
            if isinstance(value, float):
                spec = dtypes.get_default_dtype().dtype
        dtypes.as_dtype(spec)
        array = np.array(value, spec)  # a copy: the user may change the array before the backward pass reads it
        return wrap(array if device.type == "cpu" else device.backend.from_host(array, device.index or 0), device)
    raise TypeError(f"{op.label}: argument {name!r} must be a Tensor, got {describe(value)}")


def operands(op: Op, name: str, values: tuple[Any, ...]) -> tuple[Tensor, ...]:
    """The variadic tensors of ``op``."""
    if not values:
        raise ValueError(f"{op.label}: expected at least one tensor in {name!r}, got none")
    first = next((v for v in values if isinstance(v, Tensor)), None)
    return tuple([v if isinstance(v, Tensor) else operand(op, f"{name}[{i}]", v, first) for i, v in enumerate(values)])


def mixed_devices(op: Op, x: Tensor, y: Tensor) -> RuntimeError:
    """The error for tensors on two devices."""
    return RuntimeError(
        f"{op.label}: expected all tensors on one device, got a {describe(x)} on {x._device} and a {describe(y)} on "
        f"{y._device}; move one of them with .to({str(x._device)!r})"
    )


def on_one_device(op: Op, tensors: tuple[Any, ...], **attributes: Any) -> Any:
    """The op on tensors that are not all on one device: an error, but where vmap brings them together."""
    return op.apply(*lifted(op, tensors), **attributes)


def lifted(op: Op, tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors among the values at one level of vmap. Raises RuntimeError for tensors on several devices."""
    from chainrule.autograd import batching

    found = batching.together(tensors)
    if found is None:
        given = [t for t in tensors if isinstance(t, Tensor)]
        raise mixed_devices(op, given[0], next(t for t in given if t._device is not given[0]._device))
    return found


def no_complex(op: Op, x: Tensor) -> RuntimeError:
    """The error for complex numbers where an order is needed."""
    hint = "use sgn()" if op.name == "sign" else "use .abs(), .real or .imag of them"
    return RuntimeError(f"{op.label}: complex numbers have no order, got a {describe(x)}; {hint}")


def harmonise(op: Op, *values: Any) -> tuple[Tensor, ...]:
    """Bring the arguments of an elementwise op to one device and dtype, by PyTorch's promotion rules.

    Tensors with dimensions decide; 0-d tensors and Python or NumPy scalars only matter when they are of a
    higher category (bool < integer < floating point < complex).
    """
    if len(values) == 2:
        x, y = values
        if isinstance(x, Tensor) and (type(y) is float or type(y) is int):
            constant = _constant(y, x)
            if constant is not None:
                return x, constant
        elif (type(x) is float or type(x) is int) and isinstance(y, Tensor):
            constant = _constant(x, y)
            if constant is not None:
                return constant, y
    first = next((v for v in values if isinstance(v, Tensor)), None)
    if any(isinstance(v, Tensor) and v._device is not first._device for v in values):  # type: ignore[union-attr]
        values = lifted(op, values)
        first = next(v for v in values if isinstance(v, Tensor))
    tensors: list[Any] = []
    for name, value in zip(op.parameters[-len(values) :], values, strict=True):
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, np.ndarray) and value.ndim:
            tensors.append(operand(op, name, value, first))
        elif isinstance(value, (np.ndarray, np.generic)):
            tensors.append(value.item())
        elif isinstance(value, numbers.Number):
            tensors.append(value)
        else:
            shown = PUBLIC_NAMES.get(name, name)
            raise TypeError(f"{op.label}: argument {shown!r} must be a Tensor or a number, got {describe(value)}")
    common = result_dtype(tensors)
    device = first._device if first is not None else get_default_device()
    return tuple(
        [cast(t, common) if isinstance(t, Tensor) else wrap(device.asarray(t, common), device) for t in tensors]
    )


def _constant(value: float, like: Tensor) -> Tensor | None:
    """A Python number as a 0-d tensor of ``like``'s dtype; None where it would not stay that dtype.

    Kept for floating dtypes, because NumPy takes twice as long on a Python float as on a 0-d array.
    """
    dtype = like._data.dtype
    floating = dtype in dtypes.DIFFERENTIABLE
    if not floating and (type(value) is float or dtype.kind == "b"):
        return None
    if not floating:
        return wrap(like._device.asarray(value, dtype), like._device)
    constants = like._device.constants
    found = constants.get((value, dtype)) if value else None
    if found is None:
        with np.errstate(over="ignore"):  # beyond the largest float16 is inf, as in PyTorch
            found = wrap(like._device.asarray(np.asarray(value).astype(dtype)), like._device)
        if value:  # 0.0 and -0.0 are equal keys
            if len(constants) >= _CONSTANTS_KEPT:
                constants.clear()
            constants[value, dtype] = found
    return found


def constant(value: float, like: Tensor) -> Any:
    """A Python number as a constant of ``like``'s dtype, or the number itself where promotion has to decide."""
    found = like._device.constants.get((value, like._data.dtype))
    if found is None:
        found = _constant(value, like)
    return value if found is None else found


def result_dtype(values: list[Any]) -> np.dtype[Any]:
    """PyTorch's result type of tensors and Python numbers."""
    groups: list[np.dtype[Any] | None] = [None, None, None]  # dimensioned tensors, 0-d tensors, numbers
    for value in values:
        if isinstance(value, Tensor):
            group, kind = (0 if value._data.ndim else 1), value._data.dtype
        elif isinstance(value, float):
            group, kind = 2, dtypes.get_default_dtype().dtype
        elif isinstance(value, complex):
            group, kind = 2, dtypes.default_complex().dtype
        else:
            group, kind = 2, np.dtype(bool if isinstance(value, bool) else np.int64)
        before = groups[group]
        groups[group] = kind if before is None else dtypes.promote(before, kind)
    result: np.dtype[Any] | None = None
    for kind_of_group in reversed(groups):
        result = _combine(kind_of_group, result)
    assert result is not None
    return result


def _combine(higher: np.dtype[Any] | None, lower: np.dtype[Any] | None) -> np.dtype[Any] | None:
    if higher is None or lower is None:
        return higher if lower is None else lower
    if dtypes.category(higher) >= dtypes.category(lower):
        return higher
    if dtypes.category(lower) == 3 and dtypes.category(higher) == 2:
        return np.dtype(np.complex128 if higher.itemsize == 8 else np.complex64)
    return lower


def cast(t: Tensor, to: np.dtype[Any]) -> Tensor:
    """``t`` in another dtype, recorded when both are differentiable."""
    if t._data.dtype == to:
        return t
    if t._data.dtype.kind == "c" and to.kind not in "cb":
        warnings.warn("Casting complex values to real discards the imaginary part", UserWarning, stacklevel=3)
    if to in dtypes.DIFFERENTIABLE:
        return traced.astype(t, dtype=to)
    converted = wrap(t._device.xp.astype(t._data, to), t._device)
    if tracer.locate is not None:
        from chainrule.autograd import cuts

        cuts.note(f"the conversion to {to}", "no gradient", tracer.locate(), converted, [tracked_node(t)])
    return converted


def to_floating(*tensors: Tensor) -> Any:
    """Integer tensors in the default floating dtype; what PyTorch's float functions do with integers."""
    to = dtypes.get_default_dtype().dtype
    done = tuple([cast(t, to) if dtypes.category(t._data.dtype) < 2 else t for t in tensors])
    return done if len(done) > 1 else done[0]


def half_precision(device: Device, dtype: np.dtype[Any]) -> bool:
    """Whether ops on this dtype run in float32 on this device.

    NumPy has no fast or exact arithmetic on 2-byte floats (and bfloat16 times a Python float is float32 there);
    CuPy has float16.
    """
    return dtype == dtypes.bfloat16.dtype or (dtype == np.float16 and device.backend.name == "numpy")


def in_float32(op: Op, tensors: tuple[Any, ...], **attributes: Any) -> Any:
    """The op on its 2-byte floats as float32; recorded conversions around it, so every rule holds as it is."""
    half = next(t._data.dtype for t in tensors if t is not None and t._data.dtype.itemsize == 2)
    wide = [cast(t, np.dtype(np.float32)) if t is not None and t._data.dtype == half else t for t in tensors]
    result = op.apply(*wide, **attributes)
    if isinstance(result, tuple):
        return tuple([cast(r, half) if r._data.dtype == np.float32 else r for r in result])
    return cast(result, half) if result._data.dtype == np.float32 else result


def explain(op: Op, error: Exception, tensors: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    """The array library's error again, with the op's name and what it was given."""
    if getattr(error, "explained", False):
        return error
    names = [PUBLIC_NAMES.get(p, p) for p in op.parameters]
    names += [f"{op.variadic}[{i}]" for i in range(len(tensors) - len(names))]
    given = [f"{name}: {describe(t)}" for name, t in zip(names, tensors, strict=True) if t is not None]
    given += [f"{k}={v!r:.80}" for k, v in attributes.items()]
    text = f"{op.label}: {error} ({'; '.join(given)})"
    kind = next((k for k in _EXPLAINED if isinstance(error, k)), RuntimeError)
    explained = kind(text)
    explained.explained = True  # type: ignore[attr-defined]
    return explained


# ---- gradients ------------------------------------------------------------------------------------------------------


def conjugated(g: Any, device: Device) -> Any:
    """A gradient, array or Tensor, from the engine's convention to PyTorch's or back (see ``engine.py``)."""
    if g.dtype.kind != "c":
        return g
    return traced.conj(g) if isinstance(g, Tensor) else device.xp.conj(g)


def unbroadcast(xp: Any, g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which its argument was broadcast."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    axes = tuple(range(extra)) + tuple([i + extra for i, n in enumerate(shape) if n == 1 and g.shape[i + extra] != 1])
    g = xp.sum(g, axis=axes, keepdims=False) if not shape else xp.sum(g, axis=axes, keepdims=True)
    return g if not shape or not extra else xp.reshape(g, shape)


def fill_missing(node: Any, g: list[Any], taped: bool) -> tuple[Any, ...]:
    """Zeros for the outputs of a multi-output op that nothing used."""
    xp = node.device.xp
    filled = []
    for i, (shape, dtype) in enumerate(node.output_meta):
        if g[i] is None:
            zeros = xp.zeros(shape, dtype=dtype)
            filled.append(wrap(zeros, node.device) if taped else zeros)
        else:
            filled.append(g[i])
    return tuple(filled)


# ---- views ----------------------------------------------------------------------------------------------------------


def own_layout(t: Tensor) -> None:
    """Re-lay a tensor whose memory order we chose, before the first view of it is made."""
    if t._order_is_ours():
        t._data = t._device.xp.ascontiguousarray(t._data)


def attach_view(op: Op, t: Tensor, x: Tensor, attributes: dict[str, Any], output: int | None = None) -> None:
    """Make ``t`` a view of ``x``: shared version counter, and the steps that lead from the base to it."""
    if op.view == "maybe" and not _shares(x._data, t._data):
        return
    counter = t._counter = counter_of(x)
    outer = x._view
    base, steps, kind = (x, (), "single") if outer is None else (outer.base, outer.steps, outer.kind)
    if output is not None:
        kind = "multi"
    if not mode.enabled and base._node is not None:
        kind = "no_grad"
    t._view = View(base, (*steps, (op, attributes, output)), counter[0], kind)


def _shares(x: Any, y: Any) -> bool:
    owner = x if x.base is None else x.base
    return y is x or y.base is x or (y.base is not None and y.base is owner)


def replay(xp: Any, base: Any, steps: tuple[Any, ...]) -> Any:
    """The view that ``steps`` describe, of an array or Tensor like the base."""
    for op, attributes, output in steps:
        base = getattr(xp, op.name)(base, **attributes)
        if output is not None:
            base = base[output]
    return base


def view_edge(t: Tensor) -> Any:
    """The node of a view, made anew when its base or a sibling was changed in place since."""
    view = t._view
    assert view is not None
    version = counter_of(t)[0]
    if version != view.version and mode.enabled:
        view.version = version
        if view.kind != "no_grad":
            base = wrap(view.base._data, t._device, view.base._node)
            node = None if base._node is None else tracked_node(replay(traced, base, view.steps))
            keep_retained(t._node, node)
            t._node = node
    return t._node


def keep_retained(old: Any, node: Any) -> None:
    """After a write, ``retain_grad`` means the gradient of the new value."""
    if old is not None and node is not None and old.hooks is not None and old.hooks.retain is not None:
        node.ensure_hooks().retain, old.hooks.retain = old.hooks.retain, None


def tracked_node(t: Tensor) -> Any:
    """The node or leaf of a tensor, up to date."""
    return t._node if t._view is None else view_edge(t)


def make_node(op_name: str, inputs: tuple[Any, ...], device: Device, shape: tuple[int, ...], **saved: Any) -> Node:
    """A node of ``op_name`` built by hand (in-place writes)."""
    node_type = OPS[op_name].node_type
    node: Node = object.__new__(node_type)
    node.inputs = inputs
    node.shape = shape
    node.sequence = next_sequence()
    node.hooks = None
    node.device = device
    node.where = where()
    for name, value in saved.items():
        setattr(node, name, value)
    return node
