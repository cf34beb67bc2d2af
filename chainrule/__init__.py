"""chainrule: reverse-mode automatic differentiation with PyTorch's names, on NumPy and CuPy.

>>> import chainrule as cr
>>> w = cr.tensor([1.0, 2.0], requires_grad=True)
>>> (w * w).sum().backward()
>>> w.grad
tensor([2., 4.])
"""

import warnings as _warnings
from importlib import import_module as _import_module
from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule import autograd as autograd
from chainrule import backends as backends
from chainrule import cuda as cuda
from chainrule import fft as fft
from chainrule import linalg as linalg
from chainrule import nn as nn
from chainrule import optim as optim
from chainrule import special as special
from chainrule import utils as utils
from chainrule.autograd import refusals as _refusals
from chainrule.autograd.anomaly import is_anomaly_check_nan_enabled as is_anomaly_check_nan_enabled
from chainrule.autograd.anomaly import is_anomaly_enabled as is_anomaly_enabled
from chainrule.autograd.anomaly import set_anomaly_enabled as set_anomaly_enabled
from chainrule.autograd.dtypes import bfloat16 as bfloat16
from chainrule.autograd.dtypes import bool_ as bool
from chainrule.autograd.dtypes import complex64 as complex64
from chainrule.autograd.dtypes import complex128 as complex128
from chainrule.autograd.dtypes import dtype as dtype
from chainrule.autograd.dtypes import float16 as float16
from chainrule.autograd.dtypes import float16 as half
from chainrule.autograd.dtypes import float32 as float
from chainrule.autograd.dtypes import float32 as float32
from chainrule.autograd.dtypes import float64 as double
from chainrule.autograd.dtypes import float64 as float64
from chainrule.autograd.dtypes import get_default_dtype as get_default_dtype
from chainrule.autograd.dtypes import int8 as int8
from chainrule.autograd.dtypes import int16 as int16
from chainrule.autograd.dtypes import int16 as short
from chainrule.autograd.dtypes import int32 as int
from chainrule.autograd.dtypes import int32 as int32
from chainrule.autograd.dtypes import int64 as int64
from chainrule.autograd.dtypes import int64 as long
from chainrule.autograd.dtypes import set_default_dtype as set_default_dtype
from chainrule.autograd.dtypes import uint8 as uint8
from chainrule.autograd.dtypes import uint16 as uint16
from chainrule.autograd.dtypes import uint32 as uint32
from chainrule.autograd.dtypes import uint64 as uint64
from chainrule.autograd.formats import channels_last as channels_last
from chainrule.autograd.formats import channels_last_3d as channels_last_3d
from chainrule.autograd.formats import contiguous_format as contiguous_format
from chainrule.autograd.formats import layout as layout
from chainrule.autograd.formats import memory_format as memory_format
from chainrule.autograd.formats import preserve_format as preserve_format
from chainrule.autograd.formats import strided as strided
from chainrule.autograd.functions import *
from chainrule.autograd.modes import enable_grad as enable_grad
from chainrule.autograd.modes import inference_mode as inference_mode
from chainrule.autograd.modes import is_grad_enabled as is_grad_enabled
from chainrule.autograd.modes import is_inference_mode_enabled as is_inference_mode_enabled
from chainrule.autograd.modes import no_grad as no_grad
from chainrule.autograd.modes import set_grad_enabled as set_grad_enabled
from chainrule.autograd.printing import set_printoptions as set_printoptions
from chainrule.autograd.queries import finfo as finfo
from chainrule.autograd.queries import iinfo as iinfo
from chainrule.autograd.random import Generator as Generator
from chainrule.autograd.tensor import Size as Size
from chainrule.autograd.tensor import Tensor as Tensor
from chainrule.backends.devices import device as device
from chainrule.backends.devices import get_default_device as get_default_device
from chainrule.backends.devices import set_default_device as set_default_device
from chainrule.backends.pool import get_num_threads as get_num_threads
from chainrule.backends.pool import set_num_threads as set_num_threads
from chainrule.version import __version__ as __version__

if _TYPE_CHECKING:
    from chainrule import accelerator as accelerator
    from chainrule import array_api as array_api
    from chainrule import distributions as distributions
    from chainrule import estimators as estimators
    from chainrule import func as func
    from chainrule import metrics as metrics
    from chainrule import profiler as profiler
    from chainrule import training as training
    from chainrule import vision as vision
    from chainrule.autograd.drawing import draw as draw
    from chainrule.autograd.drawing import draw_text as draw_text
    from chainrule.autograd.explain import explain as explain
    from chainrule.autograd.vmap import vmap as vmap
    from chainrule.autograd.why import why_no_grad as why_no_grad
    from chainrule.model_summary import summary as summary
    from chainrule.profiler import why_slow as why_slow
    from chainrule.saving import load as load
    from chainrule.saving import save as save
    from chainrule.training import seed_everything as seed_everything

# log(0) is -inf and 0/0 is NaN without a word, as in PyTorch; for other users of NumPy nothing changes.
_warnings.filterwarnings(
    "ignore", "(divide by zero|invalid value|overflow|underflow) encountered", RuntimeWarning, r"chainrule\."
)

_refusals.refuse_methods(Tensor)


#: what many programs never use is imported when it is first named: modules, and names with their modules
_LATER = {
    **dict.fromkeys("array_api distributions estimators func metrics profiler training vision".split(), ""),
    **dict.fromkeys("accelerator array_api distributions estimators func metrics training vision".split(), ""),
    "draw": "autograd.drawing", "draw_text": "autograd.drawing", "explain": "autograd.explain", "load": "saving",
    "save": "saving", "seed_everything": "training", "summary": "model_summary", "vmap": "autograd.vmap",
    "why_no_grad": "autograd.why", "why_slow": "profiler",
}  # fmt: skip


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        return _refusals.missing("", name, [*globals(), *_LATER])
    module = _import_module(f"chainrule.{_LATER[name] or name}")
    found = globals()[name] = getattr(module, name) if _LATER[name] else module
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATER])
