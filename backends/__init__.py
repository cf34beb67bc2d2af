"""The backend switch: which array library does the arithmetic, and on which device."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.backends import cudnn as cudnn
from chainrule.backends import mps as mps
from chainrule.backends.base import Backend as Backend
from chainrule.backends.base import kernel as kernel
from chainrule.backends.devices import backend_for as backend_for
from chainrule.backends.devices import device as device
from chainrule.backends.devices import get_default_device as get_default_device
from chainrule.backends.devices import set_default_device as set_default_device
from chainrule.backends.switch import available as available
from chainrule.backends.switch import show_config as show_config
from chainrule.backends.switch import synchronize as synchronize
from chainrule.backends.switch import unavailable as unavailable
from chainrule.backends.switch import use as use

if _TYPE_CHECKING:
    from chainrule.backends import cpu as cpu


def __getattr__(name: str) -> _Any:
    """The kernels are imported with the first tensor, or when somebody sets ``cr.backends.cpu.precise`` before."""
    if name == "cpu":
        return _import_module("chainrule.backends.cpu")
    raise AttributeError(f"module 'chainrule.backends' has no attribute {name!r}", name=name)
