"""``cr.summary``: runs a stand-in of a model once, and notes for each module what it computes and keeps."""

from __future__ import annotations

import bisect
import contextlib
import copy
import math
import random as python_random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from chainrule.autograd import batching
from chainrule.autograd.creation import ones
from chainrule.autograd.modes import enable_grad
from chainrule.autograd.random import default_generator
from chainrule.autograd.saved import saved_tensors_hooks
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import device as Device
from chainrule.backends.devices import get_default_device
from chainrule.nn.module import Module
from chainrule.nn.parameter import is_lazy
from chainrule.summary_table import Row, Summary


def summary(model: Module, input: Any = None, **named: Any) -> Summary:
    """A table of the model's layers: output shapes, parameters, multiply-adds and memory, from one forward pass.

    The pass runs on a stand-in with copies of the buffers, in the mode (training or not) that the model is in: the
    model, its gradients and the random numbers stay as they are. Counted are the multiply-adds of products (linear
    layers, convolutions, matmul, einsum, and what is made of them), of the forward pass; not elementwise operations,
    sums and decompositions. What a module computes outside of the modules in it stands in its own row.

    Args:
        model: the module.
        input: a tensor; a tuple or list of arguments; a dict of keyword arguments; or a shape (a tuple of ints), or a
            list of shapes, for tensors of ones in the model's dtype and on its device.
        named: keyword arguments of the model.

    Returns:
        an object that prints as the table; ``rows`` and the totals are data.

    Raises:
        TypeError: ``model`` is no module, or there is no input. Whatever the model raises for this input.

    Example:
        >>> import chainrule as cr
        >>> model = cr.nn.Sequential(cr.nn.Linear(4, 8), cr.nn.ReLU(), cr.nn.Linear(8, 2))
        >>> cr.summary(model, (16, 4))
        layer               output   parameters  mult-adds  output bytes  saved bytes
        -----------------------------------------------------------------------------
        model (Sequential)  (16, 2)           -          -             -            -
          0 (Linear)        (16, 8)          40        512           512          256
          1 (ReLU)          (16, 8)           -          -           512          512
          2 (Linear)        (16, 2)          18        256           128            -
        -----------------------------------------------------------------------------
        parameters: 58 (58 trainable, 0 frozen), 232 B; buffers: 0 B
        multiply-adds: 768
        memory: input 256 B, outputs of the layers 1.15 kB, saved for the backward pass 768 B
        >>> cr.summary(model, (16, 4)).mult_adds
        768
    """
    if not isinstance(model, Module):
        raise TypeError(f"cr.summary: model must be a Module, got {type(model).__name__}")
    args, kwargs = _arguments(model, input, named)
    if not args and not kwargs:
        raise TypeError("cr.summary: give an input: a tensor, a tuple or dict of tensors, or a shape like (1, 3, 8, 8)")
    stand_in, memo = _stand_in(model)
    measured = _Measured(model, memo)
    with _random_kept(), _counting(_devices(stand_in, args, kwargs), measured), enable_grad():
        result = _run(stand_in, args, kwargs, measured)
    del result  # until here it kept the tape
    return measured.summary(stand_in, args, kwargs)


def _run(stand_in: Module, args: tuple[Any, ...], kwargs: dict[str, Any], measured: _Measured) -> Any:
    for module in stand_in.modules():
        module.register_forward_pre_hook(measured.enter, prepend=True)
        module.register_forward_hook(measured.leave)
    measured.keep_apart([*stand_in.parameters(), *stand_in.buffers()])
    with saved_tensors_hooks(measured.saved, lambda t: t):
        return stand_in(*args, **kwargs)


# ---- the arguments ---------------------------------------------------------------------------------------------------


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and bool(value) and all(type(n) is int for n in value)


def _arguments(model: Module, input: Any, named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    like = next((p for p in model.parameters() if not is_lazy(p) and p.is_floating_point()), None)

    def made(shape: Any) -> Tensor:
        if like is None:
            return ones(*shape)
        return ones(*shape, dtype=like.dtype, device=like.device)

    if input is None:
        return (), dict(named)
    if isinstance(input, dict):
        return (), {**input, **named}
    if _is_shape(input):
        return (made(input),), dict(named)
    if isinstance(input, (tuple, list)) and not hasattr(input, "_fields"):  # a named tuple is one argument
        return tuple([made(v) if _is_shape(v) else v for v in input]), dict(named)
    return (input,), dict(named)


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    waiting = [value]
    while waiting:
        v = waiting.pop()
        if isinstance(v, Tensor):
            yield v
        elif isinstance(v, (tuple, list)):
            waiting += v
        elif isinstance(v, dict):
            waiting += v.values()


def _devices(model: Module, *arguments: Any) -> set[Device]:
    found = {t.device for t in _tensors([*model.parameters(), *model.buffers(), *arguments])}
    return found | {get_default_device()}


# ---- the stand-in ----------------------------------------------------------------------------------------------------


def _stand_in(model: Module) -> tuple[Module, dict[int, Module]]:
    """Modules that compute what the model does: on its parameters, on copies of its buffers and of plain attributes."""
    memo: dict[int, Module] = {}
    buffers: dict[int, Tensor] = {}
    for module in model.modules():
        memo[id(module)] = object.__new__(type(module))

    def value_of(value: Any) -> Any:
        if isinstance(value, Module):
            return memo.get(id(value), value)
        if type(value) in (list, tuple):
            return type(value)([value_of(v) for v in value])
        if type(value) is dict:
            return {k: value_of(v) for k, v in value.items()}
        if type(value) is Tensor and not value.requires_grad:
            return value.clone()
        return value

    def buffer_of(buffer: Tensor | None) -> Tensor | None:
        if buffer is None or is_lazy(buffer):
            return copy.deepcopy(buffer)
        return buffers.setdefault(id(buffer), buffer.detach().clone())

    for module in model.modules():
        copied = memo[id(module)].__dict__
        for name, value in module.__dict__.items():
            if name == "_modules":
                copied[name] = {k: None if m is None else memo[id(m)] for k, m in value.items()}
            elif name == "_buffers":
                copied[name] = {k: buffer_of(b) for k, b in value.items()}
            elif name == "_parameters":  # a lazy one is made when it first runs, and must not be made in the model
                copied[name] = {k: copy.deepcopy(p) if p is not None and is_lazy(p) else p for k, p in value.items()}
            elif name.endswith("_hooks"):
                copied[name] = copy.copy(value)
            else:
                copied[name] = value_of(value)
    return memo[id(model)], memo


@contextlib.contextmanager
def _random_kept() -> Iterator[None]:
    """Random numbers go on afterwards as if nothing had been drawn."""
    ours, pythons, numpys = default_generator.get_state(), python_random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        default_generator.set_state(ours)
        python_random.setstate(pythons)
        np.random.set_state(numpys)  # noqa: NPY002  (models may draw from it)


# ---- counting --------------------------------------------------------------------------------------------------------


def _contracted(x: Any, y: Any, *, left: str, right: str, result: str) -> int:
    sizes = dict(zip(left + right, (*x.shape, *y.shape), strict=True))
    return math.prod(sizes.values())


def _over_steps(x: Any, w_ih: Any, w_hh: Any) -> int:
    """A recurrent layer: each step of each sequence meets both weights."""
    return math.prod(x.shape[:2]) * (math.prod(w_ih.shape) + math.prod(w_hh.shape))


def _attended(q: Any, k: Any, v: Any) -> int:
    """Each query with each key, and each of the weights with a value."""
    return math.prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


#: the multiply-adds of the operations that sum products, from their arguments and their result
PRODUCTS: dict[str, Callable[..., int]] = {
    "linear": lambda out, x, weight, bias=None: math.prod(out.shape) * x.shape[-1],
    "matmul": lambda out, x, y: math.prod(out.shape) * x.shape[-1],
    "transposed_matmul": lambda out, x, y: math.prod(out.shape) * x.shape[0],
    "contract": lambda out, x, y, **letters: _contracted(x, y, **letters),
    "conv2d": lambda out, x, weight, bias=None, **_: math.prod(out.shape) * math.prod(weight.shape[1:]),
    "conv3d": lambda out, x, weight, bias=None, **_: math.prod(out.shape) * math.prod(weight.shape[1:]),
    # the transposed convolutions: each element of x meets the whole kernel of its channel
    "conv2d_input": lambda out, x, weight, **_: math.prod(x.shape) * math.prod(weight.shape[1:]),
    "conv3d_input": lambda out, x, weight, **_: math.prod(x.shape) * math.prod(weight.shape[1:]),
    "lstm_sequence": lambda out, x, h, c, w_ih, w_hh, *_, **__: _over_steps(x, w_ih, w_hh),
    "gru_sequence": lambda out, x, h, w_ih, w_hh, *_, **__: _over_steps(x, w_ih, w_hh),
    "attention": lambda out, mask, q, k, v, **_: _attended(q, k, v),
}


class _CountingNamespace:
    """A device's functions; those that sum products are noted."""

    def __init__(self, xp: Any, note: Callable[[int], None]) -> None:
        self._xp = xp
        thread = threading.get_ident()
        for name, cost in PRODUCTS.items():
            setattr(self, name, self._noted(getattr(xp, name), cost, note, thread))

    @staticmethod
    def _noted(function: Any, cost: Callable[..., int], note: Callable[[int], None], thread: int) -> Any:
        def counted(*args: Any, **kwargs: Any) -> Any:
            out = function(*args, **kwargs)
            if threading.get_ident() == thread:
                note(cost(out, *args, **kwargs))
            return out

        return counted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)


@contextlib.contextmanager
def _counting(devices: set[Device], measured: _Measured) -> Iterator[None]:
    """Every operation asks its device for the function to run; meanwhile it gets one that is noted."""
    before = {device: device.xp for device in devices}
    try:
        for device, xp in before.items():
            device.xp = _CountingNamespace(xp, measured.computed)
        yield
    finally:
        for device, xp in before.items():
            device.xp = xp


class _Bytes:
    """Which addresses have been counted, as ranges that do not touch."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []

    def add(self, start: int, stop: int) -> int:
        """How many of these bytes are new."""
        if start >= stop:
            return 0
        i = bisect.bisect_left(self._stops, start)
        j = bisect.bisect_right(self._starts, stop)
        known = sum(min(b, stop) - max(a, start) for a, b in zip(self._starts[i:j], self._stops[i:j], strict=True))
        low, high = min([start, *self._starts[i:j]]), max([stop, *self._stops[i:j]])
        self._starts[i:j], self._stops[i:j] = [low], [high]
        return stop - start - known


class _Measured:
    """The rows of the table while the model runs."""

    def __init__(self, model: Module, memo: dict[int, Module]) -> None:
        self.rows: list[Row] = []
        self._row_of: dict[int, Row] = {}  # by the id of the stand-in's module
        self._stack: list[Row] = []
        self._seen: dict[Device, _Bytes] = {}
        self._kept: list[Tensor] = []  # so that no address is used twice
        self._total = 0
        for name, module in model.named_modules(remove_duplicate=False):
            row = Row(name, type(module).__name__, name.count(".") + 1 if name else 0)
            self.rows.append(row)
            first = self._row_of.setdefault(id(memo[id(module)]), row)
            if first is not row:
                row.notes.append(f"the same as {first.name!r}")

    # hooks of the modules

    def enter(self, module: Module, args: Any) -> None:
        self._stack.append(self._row_of[id(module)])

    def leave(self, module: Module, args: Any, output: Any) -> None:
        row = self._stack.pop()
        row.calls += 1
        if row.calls == 1:
            row.output = _shapes(output)
        if not module._modules:
            row.output_bytes += sum(t.nbytes for t in _tensors(output))

    # what operations do

    def _current(self) -> Row:
        return self._stack[-1] if self._stack else self.rows[0]

    def computed(self, mult_adds: int) -> None:
        self._current().mult_adds += mult_adds

    def saved(self, t: Tensor) -> Tensor:
        """The hook on saved tensors."""
        new = self._new_bytes(t)
        self._kept.append(t)
        self._current().saved_bytes += new
        self._total += new
        return t

    def keep_apart(self, tensors: list[Tensor]) -> None:
        """Parameters and buffers are there anyway: that the tape refers to them costs nothing."""
        for t in tensors:
            if not is_lazy(t):
                self._new_bytes(t)

    def _new_bytes(self, t: Tensor) -> int:
        array, device = t._data, batching.base_of(t.device)
        while type(array) is batching.BatchedArray:  # inside vmap: the elements of all the batch
            array = array.data
        if not array.size:
            return 0
        start = device.xp.address(array)
        reach = [s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True)]
        low, high = start + sum(r for r in reach if r < 0), start + sum(r for r in reach if r > 0)
        return self._seen.setdefault(device, _Bytes()).add(low, high + array.dtype.itemsize)

    # the end

    def summary(self, stand_in: Module, args: Any, kwargs: Any) -> Summary:
        counted: dict[int, Row] = {}
        for module in stand_in.modules():
            row = self._row_of[id(module)]
            for name, parameter in module._parameters.items():
                if parameter is None or is_lazy(parameter):
                    continue
                if id(parameter) in counted:
                    owner = counted[id(parameter)]
                    row.notes.append(f"{name} is tied" + (f" to {owner.name}" if owner is not row else ""))
                    continue
                counted[id(parameter)] = row
                row.parameters += parameter.numel()
                row.trainable += parameter.numel() if parameter.requires_grad else 0
            if row.parameters > row.trainable:
                row.notes.append("partly frozen" if row.trainable else "frozen")
            if row.calls > 1:
                row.notes.append(f"called {row.calls} times")
            elif not row.calls and (row.parameters or not module._modules):  # a ModuleList never is
                row.notes.append("not called")
        parameters = [p for p in stand_in.parameters() if not is_lazy(p)]
        return Summary(
            self.rows,
            input_bytes=sum(t.nbytes for t in _tensors([args, kwargs])),
            parameter_bytes=sum(p.nbytes for p in parameters),
            buffer_bytes=sum(b.nbytes for b in stand_in.buffers() if not is_lazy(b)),
            saved_bytes=self._total,
        )


def _shapes(output: Any) -> Any:
    """The shapes of what a module returned, in its structure; of other values their type."""
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, dict):
        return {key: _shapes(v) for key, v in output.items()}
    if isinstance(output, (tuple, list)):
        return [_shapes(v) for v in output if v is not None]
    return type(output).__name__
