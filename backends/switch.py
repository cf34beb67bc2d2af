"""What people ask the backend switch: what is there, use that one, what is in force."""

from __future__ import annotations

import platform

from chainrule.backends import runtime
from chainrule.backends.devices import _BACKENDS, backend_for, device, get_default_device, set_default_device

#: Array library -> the device type it serves.
_LIBRARIES = {"numpy": "cpu", "cupy": "cuda", "guard": "guard"}


def available() -> list[str]:
    """The device types that can be used on this machine; ``"guard"`` is the test double of ``"cuda"``.

    Example:
        >>> import chainrule.backends
        >>> "cpu" in chainrule.backends.available()
        True
    """
    missing = unavailable()
    return [kind for kind in _BACKENDS if kind not in missing]


def unavailable() -> dict[str, str]:
    """The device types that cannot be used on this machine, each with the reason and the remedy.

    Example:
        >>> import chainrule.backends
        >>> all("install" in reason for reason in chainrule.backends.unavailable().values())
        True
    """
    reasons = {}
    for kind in _BACKENDS:
        try:
            backend_for(kind)
        except RuntimeError as error:
            reasons[kind] = str(error)
    return reasons


def use(name: str | None) -> device:
    """Make one backend the default of this process, by its library or its device; returns the default device.

    Args:
        name: ``"numpy"``, ``"cupy"``, ``"guard"``, or a device such as ``"cuda:1"``; None for the environment's choice.

    Raises:
        RuntimeError: the backend is not known, or cannot be used here (the message has the reason).

    Example:
        >>> import chainrule.backends
        >>> chainrule.backends.use("numpy")
        device(type='cpu')
        >>> chainrule.backends.use(None).type in chainrule.backends.available()
        True
    """
    if name is not None and not isinstance(name, str):
        raise TypeError(f"use: argument 'name' must be a str or None, got {type(name).__name__}")
    if name is not None and name not in _LIBRARIES and name.partition(":")[0] not in _BACKENDS:
        known = ", ".join(map(repr, {**_LIBRARIES, **_BACKENDS}))
        raise RuntimeError(f"use: argument 'name' must be one of {known}, got {name!r}")
    set_default_device(None if name is None else _LIBRARIES.get(name, name))
    return get_default_device()


def synchronize(name: str | device | None = None) -> None:
    """Wait until the work handed to a device (the default one, if none is named) is done.

    Example:
        >>> import chainrule.backends
        >>> chainrule.backends.synchronize("cpu")
    """
    chosen = get_default_device() if name is None else device(name)
    with chosen.backend.device_context(chosen.index or 0):
        chosen.backend.synchronize()


def show_config() -> str:
    """What computes here, as text: versions, BLAS threads, allocator, default device, and why CUDA is missing.

    Example:
        >>> import chainrule.backends
        >>> print(chainrule.backends.show_config().splitlines()[0])
        chainrule backends
    """
    lines = ["chainrule backends", f"  python: {platform.python_version()} on {platform.platform()}"]
    lines.append(f"  default device: {get_default_device()}")
    missing = unavailable()
    for kind in _BACKENDS:
        if kind in missing:
            lines.append(f"  {kind}: not available")
            lines.append(f"    reason: {missing[kind]}")
            continue
        backend = backend_for(kind)
        lines.append(f"  {kind}: {backend.name}, {backend.device_count()} device(s)")
        lines += [f"    {key}: {value}" for key, value in backend.describe().items()]
    for library in runtime.blas_in_force():
        lines.append(f"  blas: {library}")
    return "\n".join(lines)
