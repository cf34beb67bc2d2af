"""Devices by name, the backend behind each, and the default device."""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any, ClassVar, Self

from chainrule.backends.base import Backend
from chainrule.backends.large import Arithmetic

#: Device type -> "module:class" of its backend, imported on first use.
_BACKENDS = {
    "cpu": "chainrule.backends.cpu:NumpyBackend",
    "cuda": "chainrule.backends.cuda:CupyBackend",
    "guard": "chainrule.backends.guard:GuardBackend",
}
_loaded: dict[str, Backend] = {}
_load_lock = threading.RLock()


def backend_for(device_type: str) -> Backend:
    """The backend that serves a device type, created on first use.

    Raises RuntimeError with the reason when the backend cannot be used on this machine.
    """
    backend = _loaded.get(device_type)
    if backend is None:
        with _load_lock:
            if device_type not in _loaded:
                module, _, name = _BACKENDS[device_type].partition(":")
                _loaded[device_type] = getattr(importlib.import_module(module), name)()
            backend = _loaded[device_type]
    return backend


class device:
    """A place where arrays live, such as ``"cpu"`` or ``"cuda:0"``; also a context that makes it the default.

    Args:
        name: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, or a device.
        index: the number of the device, when ``name`` has none.

    Raises:
        RuntimeError: the name is not known.

    Example:
        >>> import chainrule as cr
        >>> cr.device("cpu")
        device(type='cpu')
        >>> with cr.device("cpu"):
        ...     cr.zeros(2).device
        device(type='cpu')
    """

    __slots__ = ("_outer", "array_type", "asarray", "backend", "constants", "index", "large", "type", "xp")
    type: str
    index: int | None
    backend: Backend
    xp: Any
    array_type: Any
    asarray: Any
    large: Arithmetic
    constants: dict[Any, Any]
    _outer: threading.local
    _interned: ClassVar[dict[tuple[str, int | None], device]] = {}

    def __new__(cls, name: str | device, index: int | None = None) -> device:
        if isinstance(name, device):
            return name
        if not isinstance(name, str):
            raise TypeError(f"device: expected a name such as 'cpu' or 'cuda:0', got {type(name).__name__}")
        kind, colon, number = name.partition(":")
        if kind not in _BACKENDS or (colon and not number.isdigit()) or (colon and index is not None):
            known = ", ".join(repr(k) for k in _BACKENDS)
            raise RuntimeError(f"device: unknown device {name!r}; expected one of {known}, with an optional ':index'")
        if colon:
            index = int(number)
        if kind != "cuda":
            index = None
        elif index is None:
            index = 0
        found = cls._interned.get((kind, index))
        if found is None:
            found = object.__new__(_UnloadedDevice)
            found.type, found.index = kind, index
            found.constants = {}
            found._outer = threading.local()
            cls._interned[kind, index] = found
        return found

    def covers(self, other: device) -> bool:
        """Whether arrays of ``other`` can be taken to this device without a copy (see ``autograd/batching``)."""
        return self is other

    def __reduce__(self) -> tuple[Any, ...]:
        return (device, (str(self),))

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self) -> str:
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __enter__(self) -> Self:
        stack = self._outer.__dict__.setdefault("stack", [])
        stack.append(getattr(_scope, "device", None))
        _scope.device = self
        return self

    def __exit__(self, *error: object) -> None:
        _scope.device = self._outer.stack.pop()


class _UnloadedDevice(device):
    """A device that was named but not used yet: the first use loads its backend and makes it a plain ``device``.

    The hot path reads ``device.xp`` on every op; a class with ``__getattr__`` would pay 50 ns each time.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name not in ("backend", "xp", "array_type", "asarray", "large"):
            raise AttributeError(f"device has no attribute {name!r}")
        backend = backend_for(self.type)
        if self.index is not None and self.index >= backend.device_count():
            raise RuntimeError(f"{self}: this machine has {backend.device_count()} device(s) of type {self.type!r}")
        self.backend = backend
        self.xp = backend.xp
        self.array_type = backend.array_type
        self.asarray = backend.asarray
        self.large = backend.arithmetic()
        self.__class__ = device  # type: ignore[assignment]
        return getattr(self, name)


class _Scope(threading.local):
    device: device | None = None


_scope = _Scope()
_default: device | None = None


def get_default_device() -> device:
    """The device on which new tensors are made when none is named.

    In order: the innermost ``with device(...)``, :func:`set_default_device`, the environment variable
    ``CHAINRULE_DEVICE``, the CPU.

    Example:
        >>> import chainrule as cr
        >>> cr.get_default_device().type in ("cpu", "cuda", "guard")
        True
    """
    global _default
    if _scope.device is not None:
        return _scope.device
    if _default is None:
        _default = device(os.environ.get("CHAINRULE_DEVICE", "cpu"))
    return _default


def set_default_device(name: str | device | None) -> None:
    """Make ``name`` the default device of this process (``None``: back to the environment's choice).

    Raises RuntimeError with the reason when the device cannot be used here.

    Example:
        >>> import chainrule as cr
        >>> cr.set_default_device(None)
    """
    global _default
    if name is None:
        _default = None
        return
    chosen = device(name)
    _ = chosen.backend  # fail here, with the reason, and not at the first tensor
    _default = chosen


def device_of(array: Any) -> device:
    """The device of an array of one of the backends in use.

    Example:
        >>> import chainrule as cr
        >>> device_of(cr.ones(2, device="cpu").numpy())
        device(type='cpu')
    """
    for kind, backend in _loaded.items():
        if type(array) is backend.array_type:
            return device(kind, getattr(getattr(array, "device", None), "id", None) if kind == "cuda" else None)
    raise TypeError(f"device_of: {type(array).__name__} is an array of no backend")
