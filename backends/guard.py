"""The guard: the CUDA backend over a fake CuPy, so that mistakes on GPUs show without one.

Its arrays compute on the CPU by NumPy, but refuse what CuPy refuses and do what CuPy does where the two
differ (:mod:`chainrule.backends.guard_array`); its module has only CuPy's names and keywords
(:mod:`chainrule.backends.guard_module`). It is for tests and far slower than either backend.
"""

from __future__ import annotations

from chainrule.backends.cuda import CupyBackend
from chainrule.backends.guard_array import GuardArray, GuardError
from chainrule.backends.guard_module import module

__all__ = ["GuardArray", "GuardBackend", "GuardError"]


class GuardBackend(CupyBackend):
    """:class:`CupyBackend` with a stand-in for CuPy and no kernels.

    Example:
        >>> backend = GuardBackend()
        >>> x = backend.asarray([1.0, 2.0])
        >>> type(backend.xp.sum(x)).__name__  # a 0-d array, as on CUDA
        'GuardArray'
    """

    name = "guard"
    device_type = "guard"

    def __init__(self) -> None:
        super().__init__(module())
