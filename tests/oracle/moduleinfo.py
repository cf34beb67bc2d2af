"""PyTorch's own database of sample arguments for its layers, run through both libraries.

``module_db`` of ``torch.testing`` gives, for each layer, arguments of its constructor and of its forward. Both
libraries build it, ours takes over PyTorch's state dict, and what comes out, goes back and is remembered is compared.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from typing import Any
from unittest import mock

import numpy as np
import opinfo
import torch

import chainrule as cr

opinfo.torch = torch


def load() -> list[Any]:
    """PyTorch's database; importing it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_modules import module_db
    return list(module_db)


@dataclasses.dataclass
class Sample:
    """One layer, and one call of it, as PyTorch's arguments."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]
    named_inputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        def shown(value: Any) -> str:
            return f"<{tuple(value.shape)}>" if isinstance(value, torch.Tensor) else repr(value).split("\n")[0]

        def listed(args: Any, kwargs: Any) -> str:
            return ", ".join([*map(shown, args), *(f"{k}={shown(v)}" for k, v in kwargs.items())])

        return f"({listed(self.args, self.kwargs)})({listed(self.inputs, self.named_inputs)}) {self.note}".rstrip()


class Recorded:
    """A layer of PyTorch's that the database makes itself, with the arguments that it was made with."""

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        layer = self.cls(*args, **kwargs)
        layer.__dict__["made_with"] = (args, kwargs)
        return layer


def samples_of(info: Any, dtype: Any, training: bool, most: int) -> list[Sample]:
    """At most ``most`` of the database's samples, spread over all."""
    makes = torch.nn.TransformerEncoderLayer
    with warnings.catch_warnings(), mock.patch.object(torch.nn, "TransformerEncoderLayer", Recorded(makes)):
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        found = list(
            info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training)
        )
    return [
        Sample(
            tuple(s.constructor_input.args), dict(s.constructor_input.kwargs),
            distinct(s.forward_input.args), dict(s.forward_input.kwargs), s.desc,
        )
        for s in opinfo.spread(found, most)
    ]


def distinct(inputs: Any) -> tuple[Any, ...]:
    """The inputs with a copy where one tensor stands twice (KLDivLoss): each has a gradient of its own."""
    found: list[Any] = []
    for value in inputs:
        if isinstance(value, torch.Tensor) and any(value is other for other in found):
            value = value.detach().clone().requires_grad_(value.requires_grad)
        found.append(value)
    return tuple(found)


def to_ours(value: Any) -> Any:
    """An argument of PyTorch's as ours; its functions and layers too."""
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields") and not isinstance(value, torch.Size):
        return type(value)(map(to_ours, value))
    if isinstance(value, dict):
        return {k: to_ours(v) for k, v in value.items()}
    if isinstance(value, torch.nn.Module):
        if "made_with" in value.__dict__:
            args, kwargs = value.__dict__["made_with"]
            return getattr(cr.nn, type(value).__name__)(*to_ours(args), **to_ours(kwargs))
        if isinstance(value, torch.nn.PairwiseDistance):
            return opinfo.to_ours(value)
        raise TypeError(f"a sample holds a layer that cannot be built again: {value}")
    name = getattr(value, "__name__", "")
    if callable(value) and name and not isinstance(value, type):
        for ours, theirs in ((cr.nn.functional, torch.nn.functional), (cr, torch)):
            if getattr(theirs, name, None) is value:
                return getattr(ours, name)
    return opinfo.to_ours(value)


def load_state(ours: Any, theirs: Any) -> None:
    """PyTorch's state into our layer, through NumPy arrays in memory."""
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state), f"names {list(ours.state_dict())}, not {list(state)}"
    ours.load_state_dict({k: np.array(opinfo.same_array(v)) for k, v in state.items()})


def build(cls: type, sample: Sample, dtype: Any, training: bool) -> tuple[Any, Any]:
    """The layer in both libraries with one state."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = cls(*sample.args, **sample.kwargs)
        ours = getattr(cr.nn, cls.__name__)(*to_ours(sample.args), **to_ours(sample.kwargs))
    theirs.to(dtype).train(training)
    ours.to(opinfo.to_ours(dtype)).train(training)
    if isinstance(theirs, torch.nn.modules.lazy.LazyModuleMixin):  # the first call makes the parameters
        with warnings.catch_warnings(), torch.no_grad(), cr.no_grad():
            warnings.simplefilter("ignore")
            theirs(*sample.inputs, **sample.named_inputs)
            ours(*to_ours(sample.inputs), **to_ours(sample.named_inputs))
        assert type(ours).__name__ == type(theirs).__name__
    return ours, theirs


def run(library: Any, layer: Any, inputs: Any, named: Any) -> tuple[list[Any], list[Any], list[Any], list[str]]:
    """The tensors of the result, the gradients, what they belong to, and its names."""
    leaves = [t for t in opinfo.tensors_of([inputs, named]) if t.requires_grad]
    labels = [f"input {i}" for i in range(len(leaves))]
    for name, p in layer.named_parameters():
        if p.requires_grad:
            leaves.append(p)
            labels.append(name)
    if getattr(layer, "inplace", False):  # a leaf must not be overwritten
        inputs = tuple(t.clone() if isinstance(t, library.Tensor) else t for t in inputs)
        named = {k: t.clone() if isinstance(t, library.Tensor) else t for k, t in named.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        outputs = opinfo.tensors_of(layer(*inputs, **named))
        grads = opinfo.gradients(library, outputs, leaves, 1) if leaves else []
    return outputs, grads[0] if grads else [None] * len(leaves), leaves, labels


def compare(cls: type, sample: Sample, dtype: Any, training: bool, rtol: float, only_shapes: bool = False) -> None:
    """The layer of both libraries on one sample: result, gradients of inputs and parameters, buffers afterwards."""
    what = f"{cls.__name__}{sample} {'train' if training else 'eval'}"
    try:
        ours, theirs = build(cls, sample, dtype, training)
        load_state(ours, theirs)
        named = to_ours(sample.named_inputs)
        out, grads, leaves, labels = run(cr, ours, to_ours(sample.inputs), named)
    except Exception as error:
        raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    out_theirs, grads_theirs, leaves_theirs, labels_theirs = run(torch, theirs, sample.inputs, sample.named_inputs)
    assert repr(ours) == repr(theirs), f"{what}: printed as {ours}, not {theirs}"
    assert len(out) == len(out_theirs), f"{what}: {len(out)} results instead of {len(out_theirs)}"
    assert labels == labels_theirs, f"{what}: gradients of {labels}, not {labels_theirs}"
    for i, (x, y) in enumerate(zip(out, out_theirs, strict=True)):
        assert x.requires_grad == y.requires_grad, f"{what}: result {i} has requires_grad={x.requires_grad}"
        if only_shapes:
            assert tuple(x.shape) == tuple(y.shape) and opinfo.dtype_name(x) == opinfo.dtype_name(y), what
        else:
            opinfo.compare_tensors(x, y, rtol, rtol, f"{what}: result {i}")
    if only_shapes:
        return
    for label, g, w, leaf, other in zip(labels, grads, grads_theirs, leaves, leaves_theirs, strict=True):
        g, w = opinfo.zeros_for_none(g, leaf), opinfo.zeros_for_none(w, other)
        opinfo.compare_tensors(g, w, 10 * rtol, 10 * rtol, f"{what}: gradient of {label}")
    for name, buffer in theirs.state_dict().items():  # parameters may be renormalised in a forward too
        opinfo.compare_tensors(ours.state_dict()[name], buffer, rtol, rtol, f"{what}: {name} afterwards")


def public_classes() -> dict[str, type]:
    """The classes that stand in ``torch.nn``."""
    return {n: c for n, c in vars(torch.nn).items() if not n.startswith("_") and inspect.isclass(c)}
