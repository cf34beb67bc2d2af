"""The switches of ``torch.backends.cudnn``, which scripts set for repeatable runs: accepted, and without effect.

Example:
    >>> import chainrule as torch
    >>> torch.backends.cudnn.deterministic = True
    >>> torch.backends.cudnn.benchmark = False
"""

from __future__ import annotations

import importlib.util

enabled = True
benchmark = False
deterministic = False
allow_tf32 = False


def is_available() -> bool:
    """Whether NVIDIA's ``cudnn`` package, through which convolutions go on CUDA, is installed.

    Example:
        >>> import chainrule as cr
        >>> cr.backends.cudnn.is_available() in (True, False)
        True
    """
    return importlib.util.find_spec("cudnn") is not None
