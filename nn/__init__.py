"""Layers, models, losses and their initialisation, under PyTorch's names."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.autograd import refusals as _refusals
from chainrule.nn import functional as functional
from chainrule.nn import init as init
from chainrule.nn import utils as utils
from chainrule.nn.activation import CELU as CELU
from chainrule.nn.activation import ELU as ELU
from chainrule.nn.activation import GELU as GELU
from chainrule.nn.activation import SELU as SELU
from chainrule.nn.activation import Hardsigmoid as Hardsigmoid
from chainrule.nn.activation import Hardswish as Hardswish
from chainrule.nn.activation import Hardtanh as Hardtanh
from chainrule.nn.activation import LeakyReLU as LeakyReLU
from chainrule.nn.activation import LogSigmoid as LogSigmoid
from chainrule.nn.activation import Mish as Mish
from chainrule.nn.activation import PReLU as PReLU
from chainrule.nn.activation import ReLU as ReLU
from chainrule.nn.activation import ReLU6 as ReLU6
from chainrule.nn.activation import Sigmoid as Sigmoid
from chainrule.nn.activation import SiLU as SiLU
from chainrule.nn.activation import Softplus as Softplus
from chainrule.nn.activation import Softsign as Softsign
from chainrule.nn.activation import Tanh as Tanh
from chainrule.nn.activation import Tanhshrink as Tanhshrink
from chainrule.nn.containers import ModuleDict as ModuleDict
from chainrule.nn.containers import ModuleList as ModuleList
from chainrule.nn.containers import Sequential as Sequential
from chainrule.nn.conv import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from chainrule.nn.conv import AvgPool2d as AvgPool2d
from chainrule.nn.conv import Conv2d as Conv2d
from chainrule.nn.conv import MaxPool2d as MaxPool2d
from chainrule.nn.distance import CosineSimilarity as CosineSimilarity
from chainrule.nn.distance import PairwiseDistance as PairwiseDistance
from chainrule.nn.dropout import AlphaDropout as AlphaDropout
from chainrule.nn.dropout import Dropout as Dropout
from chainrule.nn.dropout import Dropout1d as Dropout1d
from chainrule.nn.dropout import Dropout2d as Dropout2d
from chainrule.nn.dropout import Dropout3d as Dropout3d
from chainrule.nn.dropout import FeatureAlphaDropout as FeatureAlphaDropout
from chainrule.nn.embedding import Embedding as Embedding
from chainrule.nn.embedding import EmbeddingBag as EmbeddingBag
from chainrule.nn.gates import GLU as GLU
from chainrule.nn.gates import AdaptivePiecewiseLinear as AdaptivePiecewiseLinear
from chainrule.nn.gates import Maxout as Maxout
from chainrule.nn.layer_norm import CrossMapLRN2d as CrossMapLRN2d
from chainrule.nn.layer_norm import GroupNorm as GroupNorm
from chainrule.nn.layer_norm import LayerNorm as LayerNorm
from chainrule.nn.layer_norm import LocalResponseNorm as LocalResponseNorm
from chainrule.nn.layer_norm import RMSNorm as RMSNorm
from chainrule.nn.linear import Bilinear as Bilinear
from chainrule.nn.linear import Flatten as Flatten
from chainrule.nn.linear import Identity as Identity
from chainrule.nn.linear import Linear as Linear
from chainrule.nn.linear import Unflatten as Unflatten
from chainrule.nn.loss import BCELoss as BCELoss
from chainrule.nn.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from chainrule.nn.loss import CrossEntropyLoss as CrossEntropyLoss
from chainrule.nn.loss import HuberLoss as HuberLoss
from chainrule.nn.loss import L1Loss as L1Loss
from chainrule.nn.loss import MSELoss as MSELoss
from chainrule.nn.loss import NLLLoss as NLLLoss
from chainrule.nn.loss import SmoothL1Loss as SmoothL1Loss
from chainrule.nn.module import Module as Module
from chainrule.nn.normalization import BatchNorm1d as BatchNorm1d
from chainrule.nn.normalization import BatchNorm2d as BatchNorm2d
from chainrule.nn.normalization import BatchNorm3d as BatchNorm3d
from chainrule.nn.normalization import InstanceNorm1d as InstanceNorm1d
from chainrule.nn.normalization import InstanceNorm2d as InstanceNorm2d
from chainrule.nn.normalization import InstanceNorm3d as InstanceNorm3d
from chainrule.nn.parameter import Buffer as Buffer
from chainrule.nn.parameter import Parameter as Parameter
from chainrule.nn.parameter_containers import ParameterDict as ParameterDict
from chainrule.nn.parameter_containers import ParameterList as ParameterList
from chainrule.nn.recurrent import GRU as GRU
from chainrule.nn.recurrent import LSTM as LSTM
from chainrule.nn.recurrent import RNN as RNN
from chainrule.nn.recurrent import RNNBase as RNNBase
from chainrule.nn.recurrent_cells import GRUCell as GRUCell
from chainrule.nn.recurrent_cells import LSTMCell as LSTMCell
from chainrule.nn.recurrent_cells import RNNCell as RNNCell
from chainrule.nn.recurrent_cells import RNNCellBase as RNNCellBase
from chainrule.nn.shrink import Hardshrink as Hardshrink
from chainrule.nn.shrink import RReLU as RReLU
from chainrule.nn.shrink import Softshrink as Softshrink
from chainrule.nn.shrink import Threshold as Threshold
from chainrule.nn.softmax import LogSoftmax as LogSoftmax
from chainrule.nn.softmax import Softmax as Softmax
from chainrule.nn.softmax import Softmax2d as Softmax2d
from chainrule.nn.softmax import Softmin as Softmin

if _TYPE_CHECKING:
    from chainrule.nn import modules as modules
    from chainrule.nn import utils as utils

#: modules that many programs never use; they are imported when they are first named
_LATER = ("modules", "utils")


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        return _refusals.missing("nn", name, [*globals(), *_LATER])
    return _import_module(f"chainrule.nn.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
