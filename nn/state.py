"""Loading a state dict: every value is checked and converted before the first one is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor
from chainrule.autograd.foreign import host_array
from chainrule.autograd.modes import no_grad
from chainrule.autograd.tensor import Tensor
from chainrule.nn.parameter import Parameter

if TYPE_CHECKING:
    from chainrule.nn.module import Module

#: names of one kind that a message lists before it only counts them
_SHOWN = 20


class IncompatibleKeys(NamedTuple):
    """What did not match in a ``load_state_dict``: names the model has alone, and names the state dict has alone."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def own_entries(module: Module) -> dict[str, tuple[Module, str, Tensor]]:
    """What belongs into the module's state dict: name -> (owner, attribute, tensor), in PyTorch's order."""
    entries: dict[str, tuple[Module, str, Tensor]] = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        dot = prefix + "." if prefix else ""
        for name, parameter in owner._parameters.items():
            if parameter is not None:
                entries[dot + name] = (owner, name, parameter)
        for name, buffer in owner._buffers.items():
            if buffer is not None and name not in owner._non_persistent:
                entries[dot + name] = (owner, name, buffer)
    return entries


def load(module: Module, state: Any, strict: bool, assign: bool) -> IncompatibleKeys:
    """``module.load_state_dict``; nothing is changed unless everything fits."""
    label = f"load_state_dict ({type(module).__name__})"
    if not isinstance(state, Mapping):
        raise TypeError(f"{label}: expected a dict of names and tensors, got {type(state).__name__}")
    own = own_entries(module)
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    values = {name: _value(label, name, state[name]) for name in own if name in state}
    misshapen = [name for name, value in values.items() if value.shape != own[name][2].shape]
    if misshapen or (strict and (missing or unexpected)):
        raise RuntimeError(_difference(label, own, state, values, missing, unexpected, misshapen, strict))
    with no_grad():
        if assign:
            for name, value in values.items():
                _assign(*own[name], value)
            return IncompatibleKeys(missing, unexpected)
        ready = {name: _converted(label, name, value, own[name][2]) for name, value in values.items()}
        for name, value in ready.items():
            own[name][2].copy_(value)
    return IncompatibleKeys(missing, unexpected)


def _value(label: str, name: str, value: Any) -> Tensor:
    """An entry of the state dict as a Tensor: Tensors, NumPy arrays and what converts to them are taken."""
    if isinstance(value, Tensor):
        return value.detach()
    try:
        if isinstance(value, (int, float)) or hasattr(value, "__array__"):
            return tensor(host_array(value), device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{label}: {name!r} cannot be read as a tensor: {error}") from None
    raise TypeError(f"{label}: {name!r} must be a tensor or an array, got {type(value).__name__}")


def _converted(label: str, name: str, value: Tensor, like: Tensor) -> Tensor:
    if dtypes.category(value._data.dtype) == 3 and dtypes.category(like._data.dtype) != 3:
        raise RuntimeError(
            f"{label}: {name!r} is {value.dtype} in the state dict, which a {like.dtype} tensor cannot hold"
        )
    return value.to(like.device, like.dtype)


def _assign(owner: Module, name: str, before: Tensor, value: Tensor) -> None:
    if name in owner._parameters:
        owner._parameters[name] = Parameter(value, requires_grad=before.requires_grad)
    else:
        owner._buffers[name] = value


def _difference(
    label: str,
    own: dict[str, tuple[Module, str, Tensor]],
    state: Mapping[str, Any],
    values: dict[str, Tensor],
    missing: list[str],
    unexpected: list[str],
    misshapen: list[str],
    strict: bool,
) -> str:
    """The two sets of names side by side, with the likely cause where one shows."""
    lines = [f"{label}: the state dict does not fit; nothing was loaded"]
    if strict:
        # each missing name is offered once, to the unexpected name that is closest to it
        lines += _section(
            "missing (the model has it, the state dict does not)", [f"{n} {_shape(own[n][2])}" for n in missing]
        )
        shown = []
        for name in unexpected:
            import difflib

            close = difflib.get_close_matches(name, missing, n=1, cutoff=0.75)
            shown.append(f"{name} {_shape(state[name])}" + (f"   did you mean {close[0]!r}?" if close else ""))
        lines += _section("unexpected (the state dict has it, the model does not)", shown)
    lines += _section(
        "shapes differ",
        [f"{n}: the model has {_shape(own[n][2])}, the state dict {_shape(values[n])}" for n in misshapen],
    )
    if strict:
        lines += _prefix_hint(list(own), list(state))
    return "\n".join(lines)


def _shape(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return str(tuple(shape)) if shape is not None else f"({type(value).__name__})"


def _section(title: str, entries: list[str]) -> list[str]:
    if not entries:
        return []
    more = [f"    ... and {len(entries) - _SHOWN} more"] if len(entries) > _SHOWN else []
    return [f"  {title}:", *(f"    {entry}" for entry in entries[:_SHOWN]), *more]


def _prefix_hint(own: list[str], given: list[str]) -> list[str]:
    """Say so when all names would match after adding or removing one prefix, such as ``module.``"""
    if not own or not given:
        return []
    for longer, shorter, what in ((given, own, "remove"), (own, given, "add")):
        prefix, found, _ = longer[0].rpartition(shorter[0])
        if found and prefix and {prefix + name for name in shorter} == set(longer):
            return [f"  all names match if you {what} the prefix {prefix!r}"]
    return []
