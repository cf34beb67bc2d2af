"""Parameters that are computed from others whenever they are read."""

from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator, Sequence
from typing import Any

from chainrule.autograd.modes import no_grad
from chainrule.autograd.tensor import Tensor
from chainrule.nn.containers import ModuleDict, ModuleList
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter

#: how many `cached()` blocks are open, and what was computed in them, by module and name
_open_blocks = 0
_computed: dict[tuple[int, str], Tensor] = {}


@contextlib.contextmanager
def cached() -> Iterator[None]:
    """A block in which each parametrised tensor is computed once, when it is first read.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn.utils import parametrizations, parametrize
        >>> layer = parametrizations.weight_norm(cr.nn.Linear(2, 3))
        >>> with parametrize.cached():
        ...     layer.weight is layer.weight
        True
    """
    global _open_blocks
    _open_blocks += 1
    try:
        yield
    finally:
        _open_blocks -= 1
        if not _open_blocks:
            _computed.clear()


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor, applied one after the other, and what the first of them starts from.

    That is ``original``, or ``original0``, ``original1``, ... where ``right_inverse`` gives several tensors.
    """

    def __init__(self, modules: Sequence[Module], original: Tensor, unsafe: bool = False) -> None:
        if not modules:
            raise ValueError("ParametrizationList: expected at least one parametrisation")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        with no_grad():
            start: Any = original
            for module in reversed(list(self)):
                if hasattr(module, "right_inverse"):
                    with contextlib.suppress(NotImplementedError):
                        start = module.right_inverse(start)
        if not isinstance(start, (Tensor, Sequence)):
            raise ValueError(f"right_inverse must return a tensor or several, got {type(start).__name__}")
        self.is_tensor = isinstance(start, Tensor)
        self.ntensors = 1 if self.is_tensor else len(start)
        if isinstance(start, Tensor):
            if start.dtype != dtype:
                raise ValueError(f"right_inverse must keep the dtype {dtype} of a single tensor, got {start.dtype}")
            original.data = start.detach()  # the same object: an optimizer may hold it
            _register(self, "original", original)
        else:
            for i, part in enumerate(start):
                if not isinstance(part, Tensor):
                    raise ValueError(f"right_inverse must return tensors, got a {type(part).__name__}")
                if isinstance(original, Parameter):
                    part = Parameter(part.detach(), original.requires_grad)
                _register(self, f"original{i}", part)
        if not unsafe:
            _check(self(), shape, dtype, "the parametrised tensor")

    def originals(self) -> list[Tensor]:
        """What the first parametrisation is applied to."""
        return [getattr(self, "original" if self.is_tensor else f"original{i}") for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parametrised tensor becomes ``value``, as far as the parametrisations can.

        Raises RuntimeError where one of them has no ``right_inverse``, ValueError for another dtype or number.
        """
        with no_grad():
            start: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"{type(module).__name__} has no right_inverse, so the parametrised tensor cannot be assigned"
                    )
                start = module.right_inverse(start)
            parts = [start] if isinstance(start, Tensor) else list(start)
            olds = self.originals()
            if self.is_tensor != isinstance(start, Tensor) or len(parts) != len(olds):
                raise ValueError(f"right_inverse must return {len(olds)} tensors, got {len(parts)}")
            for part, old in zip(parts, olds, strict=True):
                if not isinstance(part, Tensor) or part.dtype != old.dtype:
                    got = part.dtype if isinstance(part, Tensor) else type(part).__name__
                    raise ValueError(f"right_inverse must return tensors of dtype {old.dtype}, got {got}")
            for part, old in zip(parts, olds, strict=True):
                old.data = part.detach()

    def forward(self) -> Tensor:
        steps = iter(self)
        result = next(steps)(*self.originals())
        for module in steps:
            result = module(result)
        return result


def _register(module: Module, name: str, tensor: Tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


def _check(value: Any, shape: Any, dtype: Any, what: str) -> None:
    if not isinstance(value, Tensor):
        raise ValueError(f"{what} must be a tensor, got {type(value).__name__}")
    if value.dtype != dtype:
        raise ValueError(f"{what} must keep the dtype {dtype}, got {value.dtype}; unsafe=True allows another one")
    if value.shape != shape:
        raise ValueError(
            f"{what} must keep the shape {tuple(shape)}, got {tuple(value.shape)}; unsafe=True allows another one"
        )


class _Parametrized:
    """What a parametrised module's class has before its original class: reading and assigning parametrised tensors."""

    def __getattr__(self, name: str) -> Any:
        steps = self.__dict__.get("_modules", {}).get("parametrizations", ())
        if name not in steps:
            return super().__getattr__(name)  # type: ignore[misc]
        if not _open_blocks:
            return steps[name]()
        key = (id(self), name)
        if key not in _computed:
            _computed[key] = steps[name]()
        return _computed[key]

    def __setattr__(self, name: str, value: Any) -> None:
        steps = self.__dict__.get("_modules", {}).get("parametrizations", ())
        if name not in steps:
            super().__setattr__(name, value)
            return
        steps[name].right_inverse(value)
        _computed.pop((id(self), name), None)

    def __dir__(self) -> list[str]:
        return sorted([*super().__dir__(), *self.__dict__.get("_modules", {}).get("parametrizations", ())])

    def __reduce_ex__(self, protocol: Any) -> Any:
        # the class exists in memory only: copies and pickles make it again
        return _made_again, (type_before_parametrizations(self),), self.__dict__  # type: ignore[arg-type]


@functools.cache
def _parametrized_class(cls: type) -> type:
    return type(f"Parametrized{cls.__name__}", (_Parametrized, cls), {"__module__": __name__, "__doc__": cls.__doc__})


def _made_again(cls: type) -> Any:
    return object.__new__(_parametrized_class(cls))


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Have a parameter or buffer computed by ``parametrization`` from what then is ``parametrizations.NAME.original``.

    A parametrisation may have a method ``right_inverse``: it gives what the original has to be for a given value, now
    and when the tensor is assigned. Several parametrisations of one tensor are applied in turn.

    Args:
        unsafe: do not check that shape and dtype stay the same.

    Returns:
        the module.

    Raises:
        ValueError: there is no such tensor, or its shape or dtype would change.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class Symmetric(nn.Module):
        ...     def forward(self, X):
        ...         return X.triu() + X.triu(1).T
        >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
        >>> bool((layer.weight == layer.weight.T).all())
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        steps: Any = module.parametrizations[tensor_name]
        if not unsafe:
            with no_grad():
                value = getattr(module, tensor_name)
                _check(parametrization(value), value.shape, value.dtype, "the parametrised tensor")
        steps.append(parametrization)
        steps.unsafe = steps.unsafe or unsafe
        return module
    if tensor_name not in module._parameters and tensor_name not in module._buffers:
        raise ValueError(
            f"register_parametrization: {type(module).__name__} has no parameter or buffer {tensor_name!r}"
        )
    original = getattr(module, tensor_name)
    before = original.data
    try:
        steps = ParametrizationList([parametrization], original, unsafe)
    except Exception:
        original.data = before
        raise
    _install(module, tensor_name, steps)
    return module


def _install(module: Module, name: str, steps: ParametrizationList) -> None:
    """Put a list in the place of a tensor."""
    if hasattr(module, name):
        delattr(module, name)
    if not is_parametrized(module):
        cls: Any = type(module)
        module.__class__ = _parametrized_class(cls)
        module.parametrizations = ModuleDict()
    module.parametrizations[name] = steps


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrised tensors, or this one.

    Example:
        >>> from chainrule import nn
        >>> nn.utils.parametrize.is_parametrized(nn.Linear(2, 3))
        False
    """
    steps = module._modules.get("parametrizations")
    if not isinstance(steps, ModuleDict):
        return False
    return len(steps) > 0 if tensor_name is None else tensor_name in steps


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make a parametrised tensor an ordinary parameter or buffer again.

    Args:
        leave_parametrized: keep the value that it has now, else that of the original.

    Returns:
        the module.

    Raises:
        ValueError: it is not parametrised, or has several originals and ``leave_parametrized`` is False.

    Example:
        >>> from chainrule import nn
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
        >>> nn.utils.parametrize.remove_parametrizations(layer, "weight")
        Linear(in_features=2, out_features=3, bias=True)
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"remove_parametrizations: {type(module).__name__} has no parametrisation of {tensor_name!r}")
    everything: Any = module.parametrizations
    steps: Any = everything[tensor_name]
    original: Any = steps.originals()[0]
    if not steps.is_tensor and not leave_parametrized:
        raise ValueError(
            f"remove_parametrizations: {tensor_name!r} has {steps.ntensors} originals, none of which has its shape; "
            "use leave_parametrized=True"
        )
    if leave_parametrized:
        with no_grad():
            value = getattr(module, tensor_name).detach()
        if steps.is_tensor and value.dtype == original.dtype:
            original.data = value  # the same object: an optimizer may hold it
        else:
            original = Parameter(value, original.requires_grad) if isinstance(original, Parameter) else value
    del everything[tensor_name]
    if not len(everything):
        cls = type_before_parametrizations(module)
        del module._modules["parametrizations"]
        module.__class__ = cls
    _register(module, tensor_name, original)
    return module


def type_before_parametrizations(module: Module) -> type:
    """The module's class before a tensor of it was parametrised.

    Example:
        >>> from chainrule import nn
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
        >>> nn.utils.parametrize.type_before_parametrizations(layer).__name__
        'Linear'
    """
    return type(module).__bases__[1] if isinstance(module, _Parametrized) else type(module)


def transfer_parametrizations_and_params(
    from_module: Module, to_module: Module, tensor_name: str | None = None
) -> Module:
    """Give a module the parametrisations of another one, and their originals; both share them afterwards.

    Args:
        tensor_name: only those of this tensor.

    Returns:
        ``to_module``.

    Example:
        >>> from chainrule import nn
        >>> first = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
        >>> second = nn.utils.parametrize.transfer_parametrizations_and_params(first, nn.Linear(2, 3))
        >>> second.parametrizations.weight.original0 is first.parametrizations.weight.original0
        True
    """
    if not is_parametrized(from_module):
        return to_module
    given: Any = from_module.parametrizations
    for name in list(given) if tensor_name is None else [tensor_name]:
        steps = copy.copy(given[name])
        for registry in ("_parameters", "_buffers", "_modules"):  # a list of its own, of the same tensors and modules
            steps.__dict__[registry] = dict(steps.__dict__[registry])
        _install(to_module, name, steps)
    return to_module
