"""What scripts ask of ``torch.backends.mps`` before they choose a device: there is no backend for Apple's GPUs."""

from __future__ import annotations


def is_available() -> bool:
    """Always False.

    Example:
        >>> import chainrule as cr
        >>> cr.backends.mps.is_available()
        False
    """
    return False


def is_built() -> bool:
    """Always False.

    Example:
        >>> import chainrule as cr
        >>> cr.backends.mps.is_built()
        False
    """
    return False
