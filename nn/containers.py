"""Modules that hold other modules."""

from __future__ import annotations

import itertools
import operator
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from chainrule.nn.module import Module


def position(caller: str, index: Any, length: int) -> int:
    """A list index counted from 0. Raises IndexError where there is no such element."""
    i = operator.index(index)
    if not -length <= i < length:
        raise IndexError(f"{caller}: index {i} is out of range for length {length}")
    return i % length


class Sequential(Module):
    """Modules that run one after another, each on the output of the one before.

    Takes the modules, or one OrderedDict that names them.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        Sequential(
          (0): Linear(in_features=2, out_features=3, bias=True)
          (1): ReLU()
        )
    """

    def __init__(self, *args: Module | OrderedDict[str, Module]) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, given in enumerate(args):
                self.add_module(str(i), given)  # type: ignore[arg-type]

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))  # type: ignore[arg-type]
        return list(self._modules.values())[position("Sequential", index, len(self))]

    def __setitem__(self, index: int, module: Module) -> None:
        self.__setattr__(list(self._modules)[position("Sequential", index, len(self))], module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [names[position("Sequential", index, len(self))]]:
            del self._modules[name]
        self._modules = dict(zip(map(str, itertools.count()), self._modules.values()))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())  # type: ignore[arg-type]

    def append(self, module: Module) -> Sequential:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: int | slice) -> Module:
        """Remove a module, or a slice of them, and return it."""
        found = self[key]
        del self[key]
        return found

    def insert(self, index: int, module: Module) -> Sequential:
        """Add a module before position ``index``; returns the container."""
        self._modules = _inserted("Sequential", self._modules, index, module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Sequential:
        """Add modules at the end; returns the container."""
        for module in list(sequential):
            self.append(module)
        return self

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"Sequential: only another Sequential can be added, got {type(other).__name__}")
        return Sequential(*self, *other)

    def __iadd__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(f"Sequential: only another Sequential can be added, got {type(other).__name__}")
        return self.extend(other)

    def __mul__(self, other: int) -> Sequential:
        return Sequential(*list(self) * _times(other))

    def __rmul__(self, other: int) -> Sequential:
        return self * other

    def __imul__(self, other: int) -> Sequential:
        return self.extend(list(self) * (_times(other) - 1))


def _times(count: Any) -> int:
    if not isinstance(count, int):
        raise TypeError(f"Sequential: it can be multiplied by an int, got {type(count).__name__}")
    if count <= 0:
        raise ValueError(f"Sequential: it can be multiplied by a positive int, got {count}")
    return count


def _inserted(caller: str, modules: dict[str, Module | None], index: int, module: Any) -> dict[str, Module | None]:
    if not isinstance(module, Module):
        raise TypeError(f"{caller}.insert: expected a Module, got {type(module).__name__}")
    if not -len(modules) <= index <= len(modules):
        raise IndexError(f"{caller}.insert: index {index} is out of range for length {len(modules)}")
    if list(modules) != [str(i) for i in range(len(modules))]:
        raise KeyError(
            f"{caller}.insert: the modules have names ({', '.join(modules)}) that numbers would replace; make a new "
            f"{caller} of an OrderedDict"
        )
    values = list(modules.values())
    values.insert(index, module)
    return {str(i): m for i, m in enumerate(values)}


class ModuleList(Module):
    """A list of modules, whose parameters count as the model's.

    Raises TypeError when an element is no Module.

    Example:
        >>> from chainrule import nn
        >>> nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        ModuleList(
          (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
        )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> ModuleList: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])  # type: ignore[arg-type]
        return list(self._modules.values())[position("ModuleList", index, len(self))]

    def __setitem__(self, index: int, module: Module) -> None:
        self.__setattr__(str(position("ModuleList", index, len(self))), module)

    def __delitem__(self, index: int | slice) -> None:
        names = list(self._modules)
        for name in names[index] if isinstance(index, slice) else [names[position("ModuleList", index, len(self))]]:
            del self._modules[name]
        self._modules = {str(i): m for i, m in enumerate(self._modules.values())}

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())  # type: ignore[arg-type]

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __iadd__(self, modules: Iterable[Module]) -> ModuleList:
        return self.extend(modules)

    def append(self, module: Module) -> ModuleList:
        """Add a module at the end; returns the list."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: int | slice) -> Module | ModuleList:
        """Remove a module, or a slice of them, and return it."""
        found = self[key]
        del self[key]
        return found

    def insert(self, index: int, module: Module) -> None:
        """Add a module before position ``index``."""
        self._modules = _inserted("ModuleList", self._modules, index, module)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        """Add modules at the end; returns the list."""
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList.extend: expected modules, got {type(modules).__name__}")
        for module in list(modules):
            self.append(module)
        return self

    def __repr__(self) -> str:
        # runs of layers that print alike are printed once, as PyTorch does
        groups: list[tuple[int, int, str]] = []
        for i, module in enumerate(self):
            text = repr(module)
            if groups and groups[-1][2] == text:
                groups[-1] = (groups[-1][0], i, text)
            else:
                groups.append((i, i, text))
        if not groups:
            return f"{self._get_name()}()"
        lines = []
        for first, last, text in groups:
            count = f"({first}): " if first == last else f"({first}-{last}): {last - first + 1} x "
            lines.append((count + text).replace("\n", "\n  "))
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """A dict of modules, whose parameters count as the model's.

    Raises TypeError when a value is no Module, KeyError for names that are no valid attribute.

    Example:
        >>> from chainrule import nn
        >>> nn.ModuleDict({"relu": nn.ReLU()})["relu"]
        ReLU()
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Remove a module and return it."""
        return self._modules.pop(key)  # type: ignore[return-value]

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Module]]:
        """The names and modules."""
        return self._modules.items()  # type: ignore[return-value]

    def values(self) -> Iterable[Module]:
        """The modules."""
        return self._modules.values()  # type: ignore[return-value]

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Add or replace modules by name."""
        if isinstance(modules, ModuleDict):
            modules = dict(modules.items())
        for key, module in modules.items() if isinstance(modules, Mapping) else modules:
            self[key] = module
