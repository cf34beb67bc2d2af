"""Parameter groups as they are given to an optimizer, checked; and the checks of settings."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor


def kind(value: Any) -> str:
    """What a value is, for messages."""
    return describe(value)


def check_settings(label: str, defaults: dict[str, Any]) -> None:
    """Raise TypeError or ValueError when ``lr`` or ``weight_decay`` is no number, or negative."""
    for name in ("lr", "weight_decay"):
        value = defaults.get(name, 0.0)
        number(label, name, value)
        if not value >= 0:
            raise ValueError(f"{label}: {name} must not be negative, got {float(value)}")
    if defaults.get("fused"):
        for other in ("foreach", "differentiable"):
            if defaults.get(other):
                raise RuntimeError(f"{label}: fused=True and {other}=True exclude each other")


def number(label: str, name: str, value: Any) -> None:
    """Raise TypeError or ValueError unless ``value`` is a number or a Tensor of one element."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError(f"{label}: {name} must be one number, got a tensor of shape {tuple(value.shape)}")
    elif isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(f"{label}: {name} must be a number, got {value!r}")


def not_negative(label: str, **settings: Any) -> None:
    """Raise TypeError or ValueError unless each setting is a number of at least 0."""
    for name, value in settings.items():
        number(label, name, value)
        if not value >= 0:
            raise ValueError(f"{label}: {name} must not be negative, got {value}")


def betas(label: str, given: Any) -> tuple[float, float]:
    """Two numbers in [0, 1), as floats; raise ValueError for anything else."""
    try:
        first, second = (float(b) for b in given)
    except (TypeError, ValueError):
        raise ValueError(f"{label}: betas must be two numbers in [0, 1), got {given!r}") from None
    if not (0.0 <= first < 1.0 and 0.0 <= second < 1.0):
        raise ValueError(f"{label}: betas must be two numbers in [0, 1), got {given!r}")
    return first, second


def as_groups(label: str, params: Any) -> list[Any]:
    """What the constructor was given, as a list of groups."""
    _ordered(label, params)
    try:
        given = list(params)
    except TypeError:
        raise TypeError(f"{label}: params must be an iterable of tensors or dicts, got {kind(params)}") from None
    if not given:
        raise ValueError(f"{label}: params is empty; if it is a generator, was it used up before?")
    return given if isinstance(given[0], dict) else [{"params": given}]


def checked(
    label: str, groups: list[dict[str, Any]], defaults: dict[str, Any], param_group: dict[str, Any]
) -> dict[str, Any]:
    """A new group, complete; nothing is changed, and errors are raised before anything could be."""
    if not isinstance(param_group, dict):
        raise TypeError(f"{label}: a parameter group must be a dict, got {type(param_group).__name__}")
    given = param_group.get("params")
    if given is None:
        raise ValueError(f"{label}: a parameter group must have 'params', got {sorted(param_group)}")
    _ordered(label, given)
    entries = [given] if isinstance(given, Tensor) else list(given)
    names, params = _names(label, entries)
    known = {id(p) for group in groups for p in group["params"]}
    for i, p in enumerate(params):
        where = f"params[{i}]" + (f" ({names[i]!r})" if names else "")
        if not isinstance(p, Tensor):
            raise TypeError(f"{label}: {where} must be a Tensor, got {type(p).__name__}")
        if not (p.is_leaf or p.retains_grad or defaults.get("differentiable")):
            raise ValueError(f"{label}: {where} is the result of {p.grad_fn}; only leaf tensors can be optimized")
        try:
            _ = p.shape
        except RuntimeError as error:  # of a lazy module that was not called yet
            raise ValueError(f"{label}: {where} cannot be optimized: {error}") from None
        if id(p) in known:
            raise ValueError(f"{label}: {where} is given more than once")
        known.add(id(p))
    group = {"params": params, **{k: v for k, v in param_group.items() if k != "params"}}
    if names:
        group["param_names"] = names
    for i, other in enumerate(groups):
        if ("param_names" in other) != ("param_names" in group):
            has, lacks = ("the new one", f"group {i}") if "param_names" in group else (f"group {i}", "the new one")
            raise ValueError(f"{label}: all groups must have parameter names or none: {has} has, {lacks} has not")
    for name, value in defaults.items():
        group.setdefault(name, value)
    check_settings(label, group)
    return group


def _ordered(label: str, params: Any) -> None:
    if isinstance(params, (set, frozenset)):
        raise TypeError(f"{label}: params must be ordered, got a set, whose order changes between runs")


def _names(label: str, entries: list[Any]) -> tuple[list[str], list[Any]]:
    """Names (none, or one for each) and parameters of tensors or ``(name, tensor)`` pairs."""
    named = [isinstance(e, tuple) for e in entries]
    if not any(named):
        return [], entries
    if not all(named):
        raise ValueError(f"{label}: params[{named.index(False)}] has no name, others have; give all names or none")
    for i, entry in enumerate(entries):
        if len(entry) != 2:
            raise TypeError(f"{label}: params[{i}] must be a (name, Tensor) pair, got {len(entry)} items")
    return [e[0] for e in entries], [e[1] for e in entries]
