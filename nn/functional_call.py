"""Modules as functions of their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.autograd.op import traced
from chainrule.autograd.tensor import Tensor
from chainrule.nn.module import Module


def functional_call(
    module: Module,
    parameter_and_buffer_dicts: Mapping[str, Tensor] | Sequence[Mapping[str, Tensor]],
    args: Any = None,
    kwargs: Mapping[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """``module(*args, **kwargs)`` with other tensors in the place of its parameters and buffers.

    Args:
        parameter_and_buffer_dicts: the tensors by their dotted names, or several such dicts.
        args: a tuple of arguments, or one argument.
        tie_weights: a parameter that the module has under several names is replaced under all of them.
        strict: raise where the dicts do not name every parameter and buffer.

    Raises:
        KeyError: a name that the module does not have (RuntimeError with ``strict``).

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.Linear(2, 1, bias=False)
        >>> cr.func.functional_call(layer, {"weight": cr.ones(1, 2)}, cr.tensor([3.0, 4.0]))
        tensor([7.])
    """
    given: dict[str, Tensor] = {}
    for part in (
        [parameter_and_buffer_dicts]
        if isinstance(parameter_and_buffer_dicts, Mapping)
        else list(parameter_and_buffer_dicts)
    ):
        twice = sorted(set(part) & set(given))
        if twice:
            raise ValueError(f"functional_call: {twice} stand in more than one of the dicts")
        given.update(part)
    places: dict[str, tuple[Any, str]] = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        for registry in (owner._parameters, owner._buffers):
            for name in registry:
                places[f"{prefix}.{name}" if prefix else name] = (registry, name)
    unknown = sorted(set(given) - set(places))
    missing = sorted(n for n in set(places) - set(given) if places[n][0][places[n][1]] is not None)
    if strict and (unknown or missing):
        raise RuntimeError(f"functional_call: unexpected names {unknown}, missing names {missing}")
    if unknown:
        raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {unknown}")
    if tie_weights:
        by_tensor = {id(places[n][0][places[n][1]]): t for n, t in given.items()}
        for name, (registry, key) in places.items():
            current = registry[key]
            if current is not None and name not in given and id(current) in by_tensor:
                given[name] = by_tensor[id(current)]
    before = {name: places[name][0][places[name][1]] for name in given}
    try:
        for name, t in given.items():
            registry, key = places[name]
            registry[key] = t
        positional = () if args is None else args if isinstance(args, tuple) else (args,)
        return module(*positional, **(kwargs or {}))
    finally:
        for name, t in before.items():
            registry, key = places[name]
            registry[key] = t


def stack_module_state(models: Sequence[Module]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the buffers of several modules of one architecture, each stacked along a new dimension 0.

    Example:
        >>> import chainrule as cr
        >>> parameters, buffers = cr.func.stack_module_state([cr.nn.Linear(2, 3) for _ in range(5)])
        >>> parameters["weight"].shape
        (5, 3, 2)
    """
    if not models:
        raise RuntimeError("stack_module_state: expected at least one model, got none")
    if len({type(m) for m in models}) > 1:
        raise RuntimeError(
            f"stack_module_state: expected models of one class, got {[type(m).__name__ for m in models]}"
        )
    if len({m.training for m in models}) > 1:
        raise RuntimeError("stack_module_state: expected all models in training mode or all in evaluation mode")
    parameters, buffers = ([dict(getattr(m, kind)()) for m in models] for kind in ("named_parameters", "named_buffers"))
    return _stacked(parameters, leaf=True), _stacked(buffers, leaf=False)


def _stacked(states: list[dict[str, Any]], leaf: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, first in states[0].items():
        stacked = traced.stack_tensors(*[s[name].detach() for s in states], axis=0)
        found[name] = stacked.requires_grad_(first.requires_grad) if leaf else stacked
    return found
