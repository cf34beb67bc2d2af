"""Data sets, loaders, and what stands on top of the rest."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.autograd import refusals as _refusals
from chainrule.utils import dlpack as dlpack

if _TYPE_CHECKING:
    from chainrule.utils import checkpoint as checkpoint
    from chainrule.utils import checkpoints as checkpoints
    from chainrule.utils import data as data
    from chainrule.utils import safetensors as safetensors
    from chainrule.utils import tensorboard as tensorboard

#: modules that many programs never use: imported when they are first named
_LATER = ("checkpoint", "checkpoints", "data", "safetensors", "tensorboard")


def __getattr__(name: str) -> _Any:
    if name in _LATER:
        return _import_module(f"chainrule.utils.{name}")
    return _refusals.missing("utils", name, __dir__())


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])
