"""The import paths of ``torch.nn.modules``, for scripts: ``from chainrule.nn.modules.conv import Conv2d``.

Nothing is defined here. Layers stand in ``chainrule.nn``; private bases such as ``_BatchNorm`` in the files next to it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from chainrule import nn
from chainrule.nn import hook_registration, module
from chainrule.nn.modules import tuples

#: the modules of PyTorch's package
NAMES = (
    "activation adaptive batchnorm channelshuffle container conv distance dropout flatten fold instancenorm lazy "
    "linear loss module normalization padding pixelshuffle pooling rnn sparse transformer upsampling utils"
).split()

#: what stands in them beside layers
_OTHERS: dict[str, tuple[ModuleType, ...]] = {"module": (module, hook_registration), "utils": (tuples,)}


def _find(place: str, name: str) -> Any:
    """What ``chainrule.nn.modules[.place]`` has under a name: a layer, or what is defined beside the layers."""
    found = vars(nn).get(name)
    if isinstance(found, type):
        return found
    for other in _OTHERS.get(place, ()):
        if name in vars(other):
            return vars(other)[name]
    if name.startswith("_") and not name.startswith("__"):
        for path, other in list(sys.modules.items()):
            found = vars(other).get(name) if path.startswith("chainrule.nn.") else None
            if isinstance(found, type) and found.__module__ == path and issubclass(found, nn.Module):
                return found
    raise AttributeError(f"chainrule.nn.modules{place and '.' + place} has no {name!r}", name=name)


class _Alias(ModuleType):
    """A module whose names are looked up where they are defined."""

    def __getattr__(self, name: str) -> Any:
        return _find(self.__name__.rpartition(".")[2], name)


for _name in NAMES:
    sys.modules[f"{__name__}.{_name}"] = globals()[_name] = _Alias(f"{__name__}.{_name}", "See chainrule.nn.")


def __getattr__(name: str) -> Any:
    return _find("", name)
