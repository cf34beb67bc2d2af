"""What scripts ask about CUDA, with PyTorch's names."""

from __future__ import annotations

from chainrule.autograd.random import manual_seed as _manual_seed
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


def manual_seed(seed: int) -> None:
    """Seed what is drawn on the GPU; nothing happens where there is none.

    There is one default generator for all devices, so that on a machine with a GPU draws on the CPU start again too.

    Example:
        >>> import chainrule as cr
        >>> cr.cuda.manual_seed(0)
    """
    if is_available():
        _manual_seed(seed)


def manual_seed_all(seed: int) -> None:
    """Seed what is drawn on all GPUs: the same as :func:`manual_seed`.

    Example:
        >>> import chainrule as cr
        >>> cr.cuda.manual_seed_all(0)
    """
    manual_seed(seed)


def empty_cache() -> None:
    """Give the memory that is kept for later use back to the GPU; nothing happens where there is no GPU.

    Example:
        >>> import chainrule as cr
        >>> cr.cuda.empty_cache()
    """
    if is_available():
        from chainrule.backends.devices import backend_for

        backend_for("cuda").empty_cache()
