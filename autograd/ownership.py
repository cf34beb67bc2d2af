"""Whose memory an array is: what nobody else holds can become a ``.grad`` without a copy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from chainrule.autograd.node import Leaf


def is_ours(g: Any, leaf: Leaf) -> bool:
    """Whether nobody but the engine holds this array, called by a function that got it from the engine's loop.

    A view keeps a reference to its base, so a base with views counts as held by somebody. A contiguous view of all of
    an array that nobody else holds, as reshaping leaves it, is as good as the array, and so are images in channels-last
    memory, as a convolution leaves them.
    """
    if sys.getrefcount(g) > _REFERENCES or type(g) is not leaf.device.array_type:
        return False
    base = g.base
    if base is None:
        return bool(g.flags.owndata)
    return (
        type(base) is leaf.device.array_type
        and sys.getrefcount(base) <= _BASE_REFERENCES
        and base.nbytes == g.nbytes
        and base.flags.owndata
        and (g.flags.c_contiguous or (g.ndim == 4 and g.transpose(0, 2, 3, 1).flags.c_contiguous))
        and getattr(g.flags, "writeable", True)  # CuPy has no arrays that cannot be written to
    )


def _count_references() -> int:
    """What ``getrefcount`` says in ``is_ours`` of an array that nobody else holds; it depends on the interpreter."""

    def run() -> int:
        g = object()
        return accumulate(g)

    def accumulate(g: object) -> int:
        return ours(g)

    def ours(g: object) -> int:
        return sys.getrefcount(g)

    return run()


def _count_base_references() -> int:
    """What it says of the base of such an array, which nobody but the array holds."""

    def ours(g: Any) -> int:
        base = g.base
        return sys.getrefcount(base)

    return ours(np.empty(1).reshape(1, 1))


_REFERENCES = _count_references()
_BASE_REFERENCES = _count_base_references()
