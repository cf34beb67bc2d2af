"""Optimizers and learning-rate schedules, under PyTorch's names."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.optim.adam import Adam as Adam
from chainrule.optim.adam import AdamW as AdamW
from chainrule.optim.optimizer import Optimizer as Optimizer
from chainrule.optim.rmsprop import RMSprop as RMSprop
from chainrule.optim.sgd import SGD as SGD

if _TYPE_CHECKING:
    from chainrule.optim import lr_scheduler as lr_scheduler
    from chainrule.optim import swa_utils as swa_utils
    from chainrule.optim.adadelta import Adadelta as Adadelta
    from chainrule.optim.adafactor import Adafactor as Adafactor
    from chainrule.optim.adagrad import Adagrad as Adagrad
    from chainrule.optim.adamax import Adamax as Adamax
    from chainrule.optim.asgd import ASGD as ASGD
    from chainrule.optim.lbfgs import LBFGS as LBFGS
    from chainrule.optim.lion import Lion as Lion
    from chainrule.optim.muon import Muon as Muon
    from chainrule.optim.nadam import NAdam as NAdam
    from chainrule.optim.radam import RAdam as RAdam
    from chainrule.optim.rprop import Rprop as Rprop

#: what many programs never use is imported when it is first named: names, with the file they are in
_LATER = {
    "ASGD": "asgd",
    "Adadelta": "adadelta",
    "Adafactor": "adafactor",
    "Adagrad": "adagrad",
    "Adamax": "adamax",
    "LBFGS": "lbfgs",
    "Lion": "lion",
    "Muon": "muon",
    "NAdam": "nadam",
    "RAdam": "radam",
    "Rprop": "rprop",
    "lr_scheduler": "lr_scheduler",
    "swa_utils": "swa_utils",
}


def __getattr__(name: str) -> _Any:
    if name == "SparseAdam":
        raise AttributeError(
            "chainrule.optim has no SparseAdam: gradients are never sparse here; use Adam, or SGD, whose step without "
            "momentum leaves rows without gradient alone"
        )
    if name not in _LATER:
        raise AttributeError(f"module 'chainrule.optim' has no attribute {name!r}")
    module = _import_module(f"chainrule.optim.{_LATER[name]}")
    found = globals()[name] = module if name == _LATER[name] else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted([*(name for name in globals() if not name.startswith("_")), *_LATER])
