"""What scripts ask about the accelerator, whichever it is, with PyTorch's names: here it is a CUDA GPU or none.

>>> import chainrule as cr
>>> device = cr.accelerator.current_accelerator().type if cr.accelerator.is_available() else "cpu"
>>> device in ("cpu", "cuda")
True
"""

from __future__ import annotations

from chainrule import cuda as _cuda
from chainrule.backends.devices import device as _device


def is_available() -> bool:
    """Whether there is an accelerator that can be used here.

    Example:
        >>> import chainrule as cr
        >>> cr.accelerator.is_available() == cr.cuda.is_available()
        True
    """
    return _cuda.is_available()


def device_count() -> int:
    """The number of accelerators.

    Example:
        >>> import chainrule as cr
        >>> cr.accelerator.device_count() == cr.cuda.device_count()
        True
    """
    return _cuda.device_count()


def current_accelerator(check_available: bool = False) -> _device | None:
    """The device of the accelerator, without an index, or None where there is none.

    Args:
        check_available: There is no accelerator that could not be used here: both values answer the same.

    Example:
        >>> import chainrule as cr
        >>> (cr.accelerator.current_accelerator() is None) == (not cr.accelerator.is_available())
        True
    """
    return _device("cuda") if is_available() else None


def synchronize(device: str | None = None) -> None:
    """Wait until the accelerator has done all work handed to it. Raises RuntimeError where there is none.

    Example:
        >>> import chainrule as cr
        >>> if cr.accelerator.is_available():
        ...     cr.accelerator.synchronize()
    """
    _cuda.synchronize(device)
