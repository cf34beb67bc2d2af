"""Loading a state dict: every value is checked and converted before the first one is written."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.autograd.creation import tensor
from chainrule.autograd.foreign import host_array
from chainrule.autograd.modes import no_grad
from chainrule.autograd.node import HookDict, RemovableHandle
from chainrule.autograd.tensor import Tensor
from chainrule.nn.parameter import Parameter, UninitializedTensorMixin, is_lazy

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
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


#: where a module's own extra state stands in a state dict
_EXTRA = "_extra_state"


class Stateful:
    """The state dict of :class:`Module`, and what may be hooked into it."""

    #: kept in state dicts, for a module's ``_load_from_state_dict`` to know what wrote them
    _version = 1

    if TYPE_CHECKING:
        _parameters: dict[str, Parameter | None]
        _buffers: dict[str, Tensor | None]
        _modules: dict[str, Module | None]
        _non_persistent_buffers_set: set[str]

        def _hook_dict(self, name: str) -> HookDict: ...

    def state_dict(
        self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Tensor]:
        """Parameters and persistent buffers by dotted name, sharing the module's memory.

        Args:
            destination: a dict to fill and return.
            prefix: put in front of every name.
            keep_vars: the parameters themselves instead of detached tensors.
        """
        if args:
            warnings.warn(
                "state_dict: positional arguments are deprecated; give destination, prefix and keep_vars by name",
                FutureWarning,
                stacklevel=2,
            )
            given = [destination, prefix, keep_vars]
            given[: len(args)] = args
            destination, prefix, keep_vars = given
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()  # as PyTorch's have
        about: dict[str, Any] = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = about
        for hook in self._state_hooks("_state_dict_pre_hooks"):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, child in self._modules.items():
            if child is not None:
                child.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook, may_replace in self._state_hooks("_state_dict_hooks"):
            changed = hook(self, destination, prefix, about)
            if changed is not None and not may_replace:
                raise RuntimeError(
                    f"{type(self).__name__}: a hook of register_state_dict_post_hook must return None; change the dict "
                    "in place"
                )
            destination = destination if changed is None else changed
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put this module's own entries, without its children's, into ``destination``; a subclass may add some."""
        for name, t in _own(self).items():
            destination[prefix + name] = t if keep_vars else t.detach()
        if type(self).get_extra_state is not Stateful.get_extra_state:
            destination[prefix + _EXTRA] = self.get_extra_state()

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy the values of a state dict (tensors or NumPy arrays) into the parameters and buffers of those names.

        Args:
            strict: names that only one side has are an error.
            assign: take the tensors themselves instead of copying their values.

        Returns:
            the names that only one side has.

        Raises:
            RuntimeError: names (if ``strict``) or shapes differ; it lists them, and nothing was changed.

        Example:
            >>> from chainrule import nn
            >>> nn.Linear(2, 3).load_state_dict(nn.Linear(2, 3).state_dict())
            <All keys matched successfully>
        """
        return load(self, state_dict, strict, assign)  # type: ignore[arg-type]

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Called on every module before anything is loaded; a subclass may rename, add or remove entries of the dict.

        Unlike PyTorch's it copies nothing: the values are copied once all entries are known to fit.
        """
        for hook, with_module in self._state_hooks("_load_state_dict_pre_hooks"):
            rest = (state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
            hook(self, *rest) if with_module else hook(*rest)

    def get_extra_state(self) -> Any:
        """What else the state dict shall hold for this module; a subclass defines it and :meth:`set_extra_state`."""
        raise RuntimeError(f"{type(self).__name__}: no extra state; define get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take back what :meth:`get_extra_state` gave; called by ``load_state_dict``."""
        raise RuntimeError(f"{type(self).__name__}: no extra state; define get_extra_state and set_extra_state")

    def _state_hooks(self, name: str) -> list[Any]:
        return list(self.__dict__.get(name, {}).values())

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, prefix, keep_vars)`` before this module's part of a state dict is made."""
        return _add_hook(self._hook_dict("_state_dict_pre_hooks"), hook)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after that; it may change the dict in place."""
        return _add_hook(self._hook_dict("_state_dict_hooks"), (hook, False))

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """:meth:`register_state_dict_post_hook` whose hook may return another dict."""
        return _add_hook(self._hook_dict("_state_dict_hooks"), (hook, True))

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call a hook before a state dict is loaded; it may change the entries of the (copied) dict.

        It is ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)``.
        """
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], with_module: bool = False
    ) -> RemovableHandle:
        """:meth:`register_load_state_dict_pre_hook`, without the module as first argument unless asked for."""
        return _add_hook(self._hook_dict("_load_state_dict_pre_hooks"), (hook, with_module))

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call ``hook(module, incompatible_keys)`` after a state dict was loaded; it may change the lists in place."""
        return _add_hook(self._hook_dict("_load_state_dict_post_hooks"), hook)


def _add_hook(hooks: HookDict, hook: Any) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def _own(module: Stateful) -> dict[str, Tensor]:
    """The parameters and persistent buffers of one module."""
    found: dict[str, Tensor] = {n: p for n, p in module._parameters.items() if p is not None}
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            found[name] = buffer
    return found


def own_entries(module: Module) -> dict[str, tuple[Module, str, Tensor]]:
    """What belongs into the module's state dict: name -> (owner, attribute, tensor), in PyTorch's order."""
    entries: dict[str, tuple[Module, str, Tensor]] = {}
    for prefix, owner in module.named_modules(remove_duplicate=False):
        dot = prefix + "." if prefix else ""
        for name, t in _own(owner).items():
            entries[dot + name] = (owner, name, t)
    return entries


def load(module: Module, state: Any, strict: bool, assign: bool) -> IncompatibleKeys:
    """``module.load_state_dict``; nothing is changed unless everything fits."""
    label = f"load_state_dict ({type(module).__name__})"
    if not isinstance(state, Mapping):
        raise TypeError(f"{label}: expected a dict of names and tensors, got {type(state).__name__}")
    metadata = getattr(state, "_metadata", {})
    state = dict(state)  # hooks may change it
    owners = list(module.named_modules(remove_duplicate=False))
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []
    for path, owner in owners:
        prefix, about = path + "." if path else "", metadata.get(path, {})
        owner._load_from_state_dict(state, prefix, about, strict, missing, unexpected, errors)
    own = own_entries(module)
    extra = {
        (path + "." if path else "") + _EXTRA: owner
        for path, owner in owners
        if type(owner).set_extra_state is not Stateful.set_extra_state
    }
    missing += [name for name in (*own, *extra) if name not in state]
    unexpected += [name for name in state if name not in own and name not in extra]
    values = {name: _value(label, name, state[name]) for name in own if name in state}
    # what has no shape yet takes any, and stays as it is where the state dict has none either
    values = {name: value for name, value in values.items() if not (is_lazy(value) and is_lazy(own[name][2]))}
    misshapen = [name for name, value in values.items() if not _fits(own[name], value)]
    hooks = [(owner, h) for _, owner in reversed(owners) for h in owner._state_hooks("_load_state_dict_post_hooks")]
    # hooks that run after loading, children's first, may say that names do not matter
    if misshapen or errors or (strict and not hooks and (missing or unexpected)):
        message = _difference(label, own, state, values, missing, unexpected, misshapen, strict)
        raise RuntimeError("\n".join([message, *(f"  {error}" for error in errors)]))
    with no_grad():
        if assign:
            for name, value in values.items():
                _assign(*own[name], value)
        else:
            ready = {name: _converted(label, name, value, own[name][2]) for name, value in values.items()}
            for name, value in ready.items():
                target = own[name][2]
                if isinstance(target, UninitializedTensorMixin):
                    target.materialize(value.shape)
                target.copy_(value)
    for name, owner in extra.items():
        if name in state:
            owner.set_extra_state(state[name])
    found = IncompatibleKeys(missing, unexpected)
    for owner, hook in hooks:
        if hook(owner, found) is not None:
            raise RuntimeError(f"{label}: a hook after loading must return None; change the two lists in place")
    if strict and (missing or unexpected):
        raise RuntimeError(_difference(label, own, state, values, missing, unexpected, misshapen, strict))
    return found


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


def _fits(entry: tuple[Module, str, Tensor], value: Tensor) -> bool:
    owner, name, target = entry
    if not is_lazy(target):
        return not is_lazy(value) and value.shape == target.shape
    expected = _expected(owner, name)
    return expected is None or (
        len(expected) == value.ndim and all(e in (None, n) for e, n in zip(expected, value.shape, strict=True))
    )


def _expected(owner: Module, name: str) -> tuple[int | None, ...] | None:
    """What a lazy module knows already of a parameter's shape; None for a length (or a shape) that it does not."""
    ask = getattr(owner, "expected_shape", None)
    return None if ask is None else ask(name)


def _converted(label: str, name: str, value: Tensor, like: Tensor) -> Tensor:
    if value.is_complex() and not like.is_complex():
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
        named = [f"{n} {_own_shape(own[n])}" if n in own else n for n in missing]
        lines += _section("missing (the model has it, the state dict does not)", named)
        shown = []
        for name in unexpected:
            import difflib

            close = difflib.get_close_matches(name, missing, n=1, cutoff=0.75)
            shown.append(f"{name} {_shape(state.get(name))}" + (f"   did you mean {close[0]!r}?" if close else ""))
        lines += _section("unexpected (the state dict has it, the model does not)", shown)
    lines += _section(
        "shapes differ",
        [f"{n}: the model has {_own_shape(own[n])}, the state dict {_shape(values[n])}" for n in misshapen],
    )
    if strict:
        lines += _prefix_hint(list(own), list(state))
    return "\n".join(lines)


def _own_shape(entry: tuple[Module, str, Tensor]) -> str:
    owner, name, target = entry
    expected = _expected(owner, name) if is_lazy(target) else None
    return _shape(target) if expected is None else str(expected).replace("None", "?")


def _shape(value: Any) -> str:
    if is_lazy(value):
        return "no shape yet (of a lazy module before its first call)"
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


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take ``prefix`` off the names of a state dict that have it, in place.

    Example:
        >>> from chainrule.nn.modules.utils import consume_prefix_in_state_dict_if_present
        >>> state = {"module.weight": 1, "bias": 2}
        >>> consume_prefix_in_state_dict_if_present(state, "module.")
        >>> state
        {'bias': 2, 'weight': 1}
    """
    for name in [n for n in state_dict if n.startswith(prefix)]:
        state_dict[name[len(prefix) :]] = state_dict.pop(name)
    metadata: dict[str, Any] = getattr(state_dict, "_metadata", {})
    for name in list(metadata):
        if name == prefix.rstrip("."):
            metadata[""] = metadata.pop(name)
        elif name.startswith(prefix):
            metadata[name[len(prefix) :]] = metadata.pop(name)
