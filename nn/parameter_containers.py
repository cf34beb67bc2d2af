"""Modules that hold parameters, as a list or as a dict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, KeysView, Mapping
from typing import Any, NoReturn, overload

from chainrule.autograd.tensor import Tensor
from chainrule.nn.containers import position
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


def _as_parameter(value: Any) -> Any:
    """A tensor as a parameter; anything else as it is."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _described(entries: Iterable[tuple[Any, Any]]) -> str:
    lines = []
    for name, value in entries:
        what = f"Object of type: {type(value).__name__}"
        if isinstance(value, Tensor):
            kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
            what = f"{kind} containing: [{value.dtype} of size {'x'.join(map(str, value.shape))}]"
        lines.append(f"  ({name}): {what}")
    return "\n".join(lines)


class ParameterList(Module):
    """A list of parameters, which count as the model's; tensors become parameters, other objects are merely kept.

    Raises TypeError for what is no iterable.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> len(nn.ParameterList([cr.zeros(2), cr.zeros(3)]))
        2
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    @overload
    def __getitem__(self, idx: int) -> Any: ...
    @overload
    def __getitem__(self, idx: slice) -> ParameterList: ...
    def __getitem__(self, idx: int | slice) -> Any:
        if isinstance(idx, slice):
            return type(self)(getattr(self, str(i)) for i in range(self._size)[idx])
        return getattr(self, str(position("ParameterList", idx, self._size)))

    def __setitem__(self, idx: int, param: Any) -> None:
        setattr(self, str(position("ParameterList", idx, self._size)), _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter([getattr(self, str(i)) for i in range(self._size)])

    def __iadd__(self, parameters: Iterable[Any]) -> ParameterList:
        return self.extend(parameters)

    def append(self, value: Any) -> ParameterList:
        """Add a value at the end; returns the list."""
        setattr(self, str(self._size), _as_parameter(value))
        self._size += 1
        return self

    def extend(self, values: Iterable[Any]) -> ParameterList:
        """Add values at the end; returns the list."""
        if isinstance(values, Tensor) or not isinstance(values, Iterable):
            raise TypeError(f"ParameterList.extend: expected a list of tensors, got {type(values).__name__}")
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return _described(enumerate(self))

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError("ParameterList: it holds parameters and cannot be called")


class ParameterDict(Module):
    """A dict of parameters, which count as the model's; tensors become parameters, other objects are merely kept.

    An ordinary dict is taken over in the order of its sorted names, as in PyTorch; an OrderedDict or a list of pairs
    in its own order.

    Raises TypeError or ValueError for what are no pairs, KeyError for names that are no valid attribute.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> list(nn.ParameterDict({"left": cr.zeros(2)}).state_dict())
        ['left']
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def __getitem__(self, key: str) -> Any:
        if key not in self._keys:
            raise KeyError(key)
        return getattr(self, key)

    def __setitem__(self, key: str, value: Any) -> None:
        if not isinstance(key, str):
            raise TypeError(f"ParameterDict: a name must be a string, got {type(key).__name__} {key!r}")
        if key not in self._keys:
            self._check_name(key, "_parameters")  # it must not hide a method or an attribute
        setattr(self, key, _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key: str) -> None:
        if key not in self._keys:
            raise KeyError(key)
        del self._keys[key]
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(list(self._keys))

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """Another dict of the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any | None = None) -> Any:
        """The value of ``key``, after setting it to ``default`` if it is not there."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove everything."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove a value and return it. Raises KeyError where it is not there."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove what came last; returns its name and value. Raises KeyError when the dict is empty."""
        if not self._keys:
            raise KeyError("ParameterDict.popitem: the dict is empty")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key: str, default: Any | None = None) -> Any:
        """The value of ``key``, or ``default`` where it is not there."""
        return self[key] if key in self._keys else default

    def fromkeys(self, keys: Iterable[str], default: Any | None = None) -> ParameterDict:
        """Another dict with these names, all with the value ``default``."""
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The names and values."""
        return [(key, self[key]) for key in self._keys]

    def values(self) -> Iterable[Any]:
        """The values."""
        return [self[key] for key in self._keys]

    def update(self, parameters: Any) -> None:
        """Add or replace values by name; ``parameters`` may be pairs too."""
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            pairs = list(parameters.items())
        elif isinstance(parameters, Mapping):
            pairs = sorted(parameters.items())
        elif isinstance(parameters, Iterable) and not isinstance(parameters, Tensor):
            pairs = []
            for i, pair in enumerate(parameters):
                if not isinstance(pair, Iterable) or len(entry := tuple(pair)) != 2:
                    raise ValueError(f"ParameterDict.update: element {i} is no pair of a name and a value: {pair!r}")
                pairs.append(entry)
        else:
            raise TypeError(
                f"ParameterDict.update: expected a dict or pairs of names and values, got {type(parameters).__name__}"
            )
        for key, value in pairs:
            self[key] = value

    def extra_repr(self) -> str:
        return _described(self.items())

    def __call__(self, input: Any) -> NoReturn:
        raise RuntimeError("ParameterDict: it holds parameters and cannot be called")

    def __or__(self, other: ParameterDict) -> ParameterDict:
        result = self.copy()
        result.update(other)
        return result

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        result = other.copy()
        result.update(self)
        return result

    def __ior__(self, other: ParameterDict) -> ParameterDict:
        self.update(other)
        return self
