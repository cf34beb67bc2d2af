"""What scripts ask about CUDA, with PyTorch's names."""

from __future__ import annotations

from chainrule.backends.switch import synchronize as _synchronize
from chainrule.backends.switch import unavailable


def is_available() -> bool:
    """Whether the CUDA backend can be used here; ``backends.unavailable()["cuda"]`` says why not.

    Example:
        >>> import chainrule as cr
        >>> cr.cuda.is_available() in (True, False)
        True
    """
    return "cuda" not in unavailable()


def device_count() -> int:
    """The number of CUDA GPUs.

    Example:
        >>> import chainrule as cr
        >>> cr.cuda.device_count() >= 0
        True
    """
    if not is_available():
        return 0
    from chainrule.backends.devices import backend_for

    return backend_for("cuda").device_count()


def synchronize(device: str | None = None) -> None:
    """Wait until the GPU has done all work handed to it. Raises RuntimeError where there is none.

    Example:
        >>> import chainrule as cr
        >>> if cr.cuda.is_available():
        ...     cr.cuda.synchronize()
    """
    _synchronize("cuda" if device is None else device)
