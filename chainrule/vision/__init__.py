"""Image data sets, transforms and models under torchvision's names; Pillow is imported when an image file is read."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

if _TYPE_CHECKING:
    from chainrule.vision import datasets as datasets
    from chainrule.vision import models as models
    from chainrule.vision import transforms as transforms
    from chainrule.vision import utils as utils

_PARTS = ("datasets", "models", "transforms", "utils")


def __getattr__(name: str) -> _Any:
    if name in _PARTS:
        return _import_module(f"chainrule.vision.{name}")
    raise AttributeError(f"chainrule.vision has no attribute {name!r}; it has {', '.join(_PARTS)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PARTS])
