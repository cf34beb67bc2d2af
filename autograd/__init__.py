"""Tensor, operations, and the backward pass."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.autograd import anomaly as anomaly
from chainrule.autograd import creation as creation
from chainrule.autograd import operators as operators
from chainrule.autograd import ops as ops  # declares every op
from chainrule.autograd import queries as queries
from chainrule.autograd import random as random
from chainrule.autograd import ranges as ranges
from chainrule.autograd import sampling as sampling
from chainrule.autograd import shared_memory as shared_memory
from chainrule.autograd.anomaly import AnomalyError as AnomalyError
from chainrule.autograd.anomaly import detect_anomaly as detect_anomaly
from chainrule.autograd.anomaly import is_anomaly_enabled as is_anomaly_enabled
from chainrule.autograd.anomaly import set_detect_anomaly as set_detect_anomaly
from chainrule.autograd.engine import backward as backward
from chainrule.autograd.engine import grad as grad
from chainrule.autograd.function import Function as Function
from chainrule.autograd.gradcheck import GradcheckError as GradcheckError
from chainrule.autograd.gradcheck import gradcheck as gradcheck
from chainrule.autograd.gradcheck import gradgradcheck as gradgradcheck
from chainrule.autograd.location import record_locations as record_locations
from chainrule.autograd.modes import enable_grad as enable_grad
from chainrule.autograd.modes import inference_mode as inference_mode
from chainrule.autograd.modes import is_grad_enabled as is_grad_enabled
from chainrule.autograd.modes import no_grad as no_grad
from chainrule.autograd.modes import set_grad_enabled as set_grad_enabled
from chainrule.autograd.tensor import Tensor as Tensor
from chainrule.autograd.variable import Variable as Variable

if _TYPE_CHECKING:
    from chainrule.autograd import functional as functional
    from chainrule.autograd import graph as graph


def __getattr__(name: str) -> _Any:
    """The transforms and the graph tools, which most programs never use, are imported when they are first named."""
    if name in ("functional", "graph"):
        return _import_module(f"chainrule.autograd.{name}")
    raise AttributeError(f"module 'chainrule.autograd' has no attribute {name!r}")
