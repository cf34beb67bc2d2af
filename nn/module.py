"""Module: the base of every layer and model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from chainrule.autograd import refusals as _refusals
from chainrule.autograd.node import Leaf
from chainrule.autograd.runtime import tracer
from chainrule.autograd.tensor import Tensor
from chainrule.nn import hooks as _hooks
from chainrule.nn.convert import Convertible
from chainrule.nn.hook_registration import Hookable
from chainrule.nn.locate import add_path
from chainrule.nn.parameter import Buffer, Parameter
from chainrule.nn.state import Stateful

M = TypeVar("M", bound="Module")

_REGISTRIES = ("_parameters", "_buffers", "_modules")


class Module(Hookable, Stateful, Convertible):
    """Base of all layers and models: keeps track of the parameters, buffers and modules assigned to it.

    A subclass calls ``super().__init__()``, assigns its parts as attributes, and defines ``forward``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = nn.Linear(2, 8)
        ...         self.out = nn.Linear(8, 1)
        ...     def forward(self, x):
        ...         return self.out(self.hidden(x).tanh())
        >>> net = Net()
        >>> net(cr.zeros(4, 2)).shape
        (4, 1)
        >>> [name for name, _ in net.named_parameters()]
        ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    training: bool
    #: PyTorch's switches for subclasses; here they have no effect
    call_super_init = False
    dump_patches = False
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent_buffers_set: set[str]

    def __init__(self) -> None:
        self.__dict__.update(training=True, _parameters={}, _buffers={}, _modules={}, _non_persistent_buffers_set=set())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; subclasses define it. Raises NotImplementedError here."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if self._hooked or tracer.locate is not None:
                return _hooks.call(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except Exception as error:
            add_path(error, self, args)
            raise

    # ---- attributes -------------------------------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        registries = self.__dict__
        if "_parameters" not in registries:
            if isinstance(value, (Parameter, Module, Buffer)):
                raise AttributeError(
                    f"{type(self).__name__}: {name!r} was assigned before super().__init__() was called; call it first"
                )
            object.__setattr__(self, name, value)
        elif isinstance(value, Parameter):
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            self._forget(name, "_modules")
            self._modules[name] = _hooks.registered(self, "_modules", name, value)
        elif isinstance(value, Buffer) and name not in self._buffers:
            self._forget(name, "_buffers")
            self.register_buffer(name, value, value.persistent)
        else:
            for registry, kind in (("_parameters", "Parameter"), ("_modules", "Module"), ("_buffers", "Tensor")):
                if name in registries[registry]:
                    if value is not None and not (kind == "Tensor" and isinstance(value, Tensor)):
                        raise TypeError(
                            f"{type(self).__name__}.{name}: expected a {kind} or None, got {type(value).__name__}; "
                            f"delete the attribute first if it is to become something else"
                        )
                    registries[registry][name] = value
                    return
            object.__setattr__(self, name, value)

    def _forget(self, name: str, keep: str) -> None:
        """Remove ``name`` from everywhere but the registry that will hold it."""
        self.__dict__.pop(name, None)
        for registry in _REGISTRIES:
            if registry != keep:
                self.__dict__[registry].pop(name, None)
        if keep != "_buffers":
            self._non_persistent_buffers_set.discard(name)

    def __getattr__(self, name: str) -> Any:
        # reached only for names that are no ordinary attributes
        own = self.__dict__
        if "_parameters" in own:
            # written out: a model's forward comes here for every layer, a layer's for every parameter
            if name in own["_parameters"]:
                return own["_parameters"][name]
            if name in own["_modules"]:
                return own["_modules"][name]
            if name in own["_buffers"]:
                return own["_buffers"][name]
        reason = _refusals.table()["nn.Module"].get(name)
        what = f"{type(self).__name__!r} object has no attribute {name!r}"
        if reason is not None:
            what = f"chainrule.nn.Module has no {name!r}, which PyTorch's has: {reason}"
        raise AttributeError(what, name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        for registry in _REGISTRIES:
            if name in self.__dict__.get(registry, ()):
                del self.__dict__[registry][name]
                self._non_persistent_buffers_set.discard(name)
                return
        object.__delattr__(self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def __dir__(self) -> list[str]:
        names = {*super().__dir__(), *self._parameters, *self._buffers, *self._modules}
        return sorted(name for name in names if not name[:1].isdigit())

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a parameter under ``name``; None reserves the name.

        Raises TypeError when it is no Parameter, KeyError for a name that is taken or not usable.
        """
        self._check_name(name, "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name}: expected a Parameter or None, got {type(param).__name__}; wrap it in "
                f"nn.Parameter"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"{type(self).__name__}.{name}: a parameter must be a leaf, this one was computed by {param.grad_fn}"
            )
        self._parameters[name] = _hooks.registered(self, "_parameters", name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Add a tensor that moves with the module and is no parameter; in the state dict only when ``persistent``.

        Raises TypeError when it is no Tensor, KeyError for a name that is taken or not usable.
        """
        self._check_name(name, "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"{type(self).__name__}.{name}: expected a Tensor or None, got {type(tensor).__name__}")
        self._buffers[name] = _hooks.registered(self, "_buffers", name, tensor)
        (self._non_persistent_buffers_set.discard if persistent else self._non_persistent_buffers_set.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child module under ``name``; None reserves the name.

        Raises TypeError when it is no Module, KeyError for a name that is taken or not usable.
        """
        self._check_name(name, "_modules")
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}.{name}: expected a Module or None, got {type(module).__name__}")
        self._modules[name] = _hooks.registered(self, "_modules", name, module)

    add_module = register_module

    def _check_name(self, name: str, registry: str) -> None:
        label = type(self).__name__
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"{label}: call super().__init__() before registering {name!r}")
        if not isinstance(name, str):
            raise TypeError(f"{label}: the name must be a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{label}: a name must not be empty nor contain a dot, got {name!r}")
        if name not in self.__dict__[registry] and hasattr(self, name):
            raise KeyError(f"{label}: the attribute {name!r} exists already")

    # ---- walking the tree -------------------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module and all modules in it, each with its dotted name; a shared one once."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """This module and all modules in it; a shared one once, unless ``remove_duplicate`` is False."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The direct children with their names; a shared one once."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The direct children."""
        for _, module in self.named_children():
            yield module

    def _named_members(
        self, registry: str, prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Any] = set()
        owners = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, owner in owners:
            for name, member in owner.__dict__[registry].items():
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield (f"{path}.{name}" if path else name), member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names; a shared one once."""
        return self._named_members("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module, and of all modules in it if ``recurse``."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names; a shared one once."""
        return self._named_members("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers of this module, and of all modules in it if ``recurse``."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def get_submodule(self, target: str) -> Module:
        """The module with the dotted name ``target``; "" is this one. Raises AttributeError where there is none."""
        module: Any = self
        for part in target.split(".") if target else ():
            found = getattr(module, part, None)
            if not isinstance(found, Module):
                known = ", ".join(module._modules) or "none"
                raise AttributeError(f"{type(module).__name__} has no module {part!r} (of {target!r}); it has {known}")
            module = found
        return module

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put ``module`` in the place with the dotted name ``target``, of a module that is there already.

        Args:
            strict: there must be a module in that place already.

        Raises:
            ValueError: ``target`` is empty, or ``module`` is no Module.
            AttributeError: a module on the way is not there, or with ``strict`` the last one.

        Example:
            >>> from chainrule import nn
            >>> net = nn.Sequential(nn.Sequential(nn.ReLU()))
            >>> net.set_submodule("0.0", nn.Tanh())
            >>> net.get_submodule("0.0")
            Tanh()
        """
        if not target:
            raise ValueError("set_submodule: the name of the module is empty")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule: expected a Module for {target!r}, got {type(module).__name__}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict or hasattr(parent, name):
            parent.get_submodule(name)  # it must be there, and be a module
        setattr(parent, name, module)

    def _get_member(self, target: str, registry: str, kind: str) -> Any:
        path, _, name = target.rpartition(".")
        owner = self.get_submodule(path)
        if name not in owner.__dict__[registry]:
            raise AttributeError(f"{type(owner).__name__} has no {kind} {name!r} (of {target!r})")
        return owner.__dict__[registry][name]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter with the dotted name ``target``. Raises AttributeError where there is none."""
        return self._get_member(target, "_parameters", "parameter")

    def get_buffer(self, target: str) -> Tensor:
        """The buffer with the dotted name ``target``. Raises AttributeError where there is none."""
        return self._get_member(target, "_buffers", "buffer")

    def apply(self: M, fn: Callable[[Module], None]) -> M:
        """Call ``fn`` on every module in this one, children first, then on this one; returns it."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ---- state ------------------------------------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Switch this module and all in it to training (or evaluation) behaviour; returns it."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode must be True or False, got {mode!r}")
        self.training = mode
        for child in self.children():
            child.train(mode)
        return self

    def eval(self: M) -> M:
        """Switch to evaluation behaviour: dropout off, batch norm by running statistics; returns the module."""
        return self.train(False)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing, whatever the arguments: there is no compiler here, and the results of one are the same."""

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze (False) or unfreeze all parameters; returns the module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        clear_grads(self.parameters(), set_to_none)

    # ---- printing ---------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the module's printed form; layers define it."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indented(repr(child))}" for name, child in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join([*lines, *children]) + "\n)"


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def clear_grads(parameters: Any, set_to_none: bool) -> None:
    """Drop the gradients of ``parameters``, or fill them with zeros (outside of any graph)."""
    for p in parameters:
        node = p._node
        if set_to_none:
            if type(node) is Leaf:
                node.grad = None
            else:
                p.grad = None
        elif p.grad is not None:
            if p.grad._node is not None:
                p.grad = p.grad.detach()
            p.grad.zero_()
