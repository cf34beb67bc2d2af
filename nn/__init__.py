"""Layers, models, losses and their initialisation, under PyTorch's names."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING as _TYPE_CHECKING
from typing import Any as _Any

from chainrule.autograd import refusals as _refusals
from chainrule.nn import functional as functional
from chainrule.nn import init as init
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
from chainrule.nn.conv import Conv1d as Conv1d
from chainrule.nn.conv import Conv2d as Conv2d
from chainrule.nn.conv import Conv3d as Conv3d
from chainrule.nn.dropout import AlphaDropout as AlphaDropout
from chainrule.nn.dropout import Dropout as Dropout
from chainrule.nn.dropout import Dropout1d as Dropout1d
from chainrule.nn.dropout import Dropout2d as Dropout2d
from chainrule.nn.dropout import Dropout3d as Dropout3d
from chainrule.nn.dropout import FeatureAlphaDropout as FeatureAlphaDropout
from chainrule.nn.linear import Bilinear as Bilinear
from chainrule.nn.linear import Flatten as Flatten
from chainrule.nn.linear import Identity as Identity
from chainrule.nn.linear import Linear as Linear
from chainrule.nn.linear import Unflatten as Unflatten
from chainrule.nn.loss import BCELoss as BCELoss
from chainrule.nn.loss import BCEWithLogitsLoss as BCEWithLogitsLoss
from chainrule.nn.loss import GaussianNLLLoss as GaussianNLLLoss
from chainrule.nn.loss import HuberLoss as HuberLoss
from chainrule.nn.loss import KLDivLoss as KLDivLoss
from chainrule.nn.loss import L1Loss as L1Loss
from chainrule.nn.loss import MSELoss as MSELoss
from chainrule.nn.loss import PoissonNLLLoss as PoissonNLLLoss
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
from chainrule.nn.parameter import UninitializedBuffer as UninitializedBuffer
from chainrule.nn.parameter import UninitializedParameter as UninitializedParameter
from chainrule.nn.pooling import AvgPool1d as AvgPool1d
from chainrule.nn.pooling import AvgPool2d as AvgPool2d
from chainrule.nn.pooling import AvgPool3d as AvgPool3d
from chainrule.nn.pooling import LPPool1d as LPPool1d
from chainrule.nn.pooling import LPPool2d as LPPool2d
from chainrule.nn.pooling import LPPool3d as LPPool3d
from chainrule.nn.pooling import MaxPool1d as MaxPool1d
from chainrule.nn.pooling import MaxPool2d as MaxPool2d
from chainrule.nn.pooling import MaxPool3d as MaxPool3d
from chainrule.nn.pooling import MaxUnpool1d as MaxUnpool1d
from chainrule.nn.pooling import MaxUnpool2d as MaxUnpool2d
from chainrule.nn.pooling import MaxUnpool3d as MaxUnpool3d
from chainrule.nn.softmax import LogSoftmax as LogSoftmax
from chainrule.nn.softmax import Softmax as Softmax
from chainrule.nn.softmax import Softmax2d as Softmax2d
from chainrule.nn.softmax import Softmin as Softmin

if _TYPE_CHECKING:
    from chainrule.nn import modules as modules
    from chainrule.nn import utils as utils
    from chainrule.nn.adaptive_pooling import AdaptiveAvgPool1d as AdaptiveAvgPool1d
    from chainrule.nn.adaptive_pooling import AdaptiveAvgPool2d as AdaptiveAvgPool2d
    from chainrule.nn.adaptive_pooling import AdaptiveAvgPool3d as AdaptiveAvgPool3d
    from chainrule.nn.adaptive_pooling import AdaptiveMaxPool1d as AdaptiveMaxPool1d
    from chainrule.nn.adaptive_pooling import AdaptiveMaxPool2d as AdaptiveMaxPool2d
    from chainrule.nn.adaptive_pooling import AdaptiveMaxPool3d as AdaptiveMaxPool3d
    from chainrule.nn.adaptive_pooling import FractionalMaxPool2d as FractionalMaxPool2d
    from chainrule.nn.adaptive_pooling import FractionalMaxPool3d as FractionalMaxPool3d
    from chainrule.nn.adaptive_softmax import AdaptiveLogSoftmaxWithLoss as AdaptiveLogSoftmaxWithLoss
    from chainrule.nn.conv_transpose import ConvTranspose1d as ConvTranspose1d
    from chainrule.nn.conv_transpose import ConvTranspose2d as ConvTranspose2d
    from chainrule.nn.conv_transpose import ConvTranspose3d as ConvTranspose3d
    from chainrule.nn.distance import CosineSimilarity as CosineSimilarity
    from chainrule.nn.distance import PairwiseDistance as PairwiseDistance
    from chainrule.nn.embedding import Embedding as Embedding
    from chainrule.nn.embedding import EmbeddingBag as EmbeddingBag
    from chainrule.nn.folding import ChannelShuffle as ChannelShuffle
    from chainrule.nn.folding import Fold as Fold
    from chainrule.nn.folding import PixelShuffle as PixelShuffle
    from chainrule.nn.folding import PixelUnshuffle as PixelUnshuffle
    from chainrule.nn.folding import Unfold as Unfold
    from chainrule.nn.gates import GLU as GLU
    from chainrule.nn.gates import AdaptivePiecewiseLinear as AdaptivePiecewiseLinear
    from chainrule.nn.gates import Maxout as Maxout
    from chainrule.nn.layer_norm import GroupNorm as GroupNorm
    from chainrule.nn.layer_norm import LayerNorm as LayerNorm
    from chainrule.nn.layer_norm import LocalResponseNorm as LocalResponseNorm
    from chainrule.nn.layer_norm import RMSNorm as RMSNorm
    from chainrule.nn.lazy import LazyModuleMixin as LazyModuleMixin
    from chainrule.nn.lazy_layers import LazyConv1d as LazyConv1d
    from chainrule.nn.lazy_layers import LazyConv2d as LazyConv2d
    from chainrule.nn.lazy_layers import LazyConv3d as LazyConv3d
    from chainrule.nn.lazy_layers import LazyConvTranspose1d as LazyConvTranspose1d
    from chainrule.nn.lazy_layers import LazyConvTranspose2d as LazyConvTranspose2d
    from chainrule.nn.lazy_layers import LazyConvTranspose3d as LazyConvTranspose3d
    from chainrule.nn.lazy_layers import LazyLinear as LazyLinear
    from chainrule.nn.lazy_normalization import LazyBatchNorm1d as LazyBatchNorm1d
    from chainrule.nn.lazy_normalization import LazyBatchNorm2d as LazyBatchNorm2d
    from chainrule.nn.lazy_normalization import LazyBatchNorm3d as LazyBatchNorm3d
    from chainrule.nn.lazy_normalization import LazyInstanceNorm1d as LazyInstanceNorm1d
    from chainrule.nn.lazy_normalization import LazyInstanceNorm2d as LazyInstanceNorm2d
    from chainrule.nn.lazy_normalization import LazyInstanceNorm3d as LazyInstanceNorm3d
    from chainrule.nn.loss_classes import CrossEntropyLoss as CrossEntropyLoss
    from chainrule.nn.loss_classes import CTCLoss as CTCLoss
    from chainrule.nn.loss_classes import LinearCrossEntropyLoss as LinearCrossEntropyLoss
    from chainrule.nn.loss_classes import LinearCrossEntropyOptions as LinearCrossEntropyOptions
    from chainrule.nn.loss_classes import MultiLabelMarginLoss as MultiLabelMarginLoss
    from chainrule.nn.loss_classes import MultiLabelSoftMarginLoss as MultiLabelSoftMarginLoss
    from chainrule.nn.loss_classes import MultiMarginLoss as MultiMarginLoss
    from chainrule.nn.loss_classes import NLLLoss as NLLLoss
    from chainrule.nn.loss_classes import NLLLoss2d as NLLLoss2d
    from chainrule.nn.loss_margin import CosineEmbeddingLoss as CosineEmbeddingLoss
    from chainrule.nn.loss_margin import HingeEmbeddingLoss as HingeEmbeddingLoss
    from chainrule.nn.loss_margin import MarginRankingLoss as MarginRankingLoss
    from chainrule.nn.loss_margin import SoftMarginLoss as SoftMarginLoss
    from chainrule.nn.loss_margin import TripletMarginLoss as TripletMarginLoss
    from chainrule.nn.loss_margin import TripletMarginWithDistanceLoss as TripletMarginWithDistanceLoss
    from chainrule.nn.multihead_attention import MultiheadAttention as MultiheadAttention
    from chainrule.nn.padding import CircularPad1d as CircularPad1d
    from chainrule.nn.padding import CircularPad2d as CircularPad2d
    from chainrule.nn.padding import CircularPad3d as CircularPad3d
    from chainrule.nn.padding import ConstantPad1d as ConstantPad1d
    from chainrule.nn.padding import ConstantPad2d as ConstantPad2d
    from chainrule.nn.padding import ConstantPad3d as ConstantPad3d
    from chainrule.nn.padding import ReflectionPad1d as ReflectionPad1d
    from chainrule.nn.padding import ReflectionPad2d as ReflectionPad2d
    from chainrule.nn.padding import ReflectionPad3d as ReflectionPad3d
    from chainrule.nn.padding import ReplicationPad1d as ReplicationPad1d
    from chainrule.nn.padding import ReplicationPad2d as ReplicationPad2d
    from chainrule.nn.padding import ReplicationPad3d as ReplicationPad3d
    from chainrule.nn.padding import ZeroPad1d as ZeroPad1d
    from chainrule.nn.padding import ZeroPad2d as ZeroPad2d
    from chainrule.nn.padding import ZeroPad3d as ZeroPad3d
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
    from chainrule.nn.transformer import Transformer as Transformer
    from chainrule.nn.transformer import TransformerDecoder as TransformerDecoder
    from chainrule.nn.transformer import TransformerEncoder as TransformerEncoder
    from chainrule.nn.transformer_layers import TransformerDecoderLayer as TransformerDecoderLayer
    from chainrule.nn.transformer_layers import TransformerEncoderLayer as TransformerEncoderLayer
    from chainrule.nn.upsampling import Upsample as Upsample
    from chainrule.nn.upsampling import UpsamplingBilinear2d as UpsamplingBilinear2d
    from chainrule.nn.upsampling import UpsamplingNearest2d as UpsamplingNearest2d

#: what many programs never use is imported when it is first named: modules, and names by the file they are in
_LATER = {
    "modules": "modules",
    "utils": "utils",
    **dict.fromkeys(
        "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d "
        "AdaptiveMaxPool3d FractionalMaxPool2d FractionalMaxPool3d".split(),
        "adaptive_pooling",
    ),
    **dict.fromkeys("AdaptiveLogSoftmaxWithLoss".split(), "adaptive_softmax"),
    **dict.fromkeys("ChannelShuffle Fold PixelShuffle PixelUnshuffle Unfold".split(), "folding"),
    **dict.fromkeys("LazyModuleMixin".split(), "lazy"),
    **dict.fromkeys(
        "LazyConv1d LazyConv2d LazyConv3d LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d "
        "LazyLinear".split(),
        "lazy_layers",
    ),
    **dict.fromkeys(
        "LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d "
        "LazyInstanceNorm3d".split(),
        "lazy_normalization",
    ),
    **dict.fromkeys(
        "CosineEmbeddingLoss HingeEmbeddingLoss MarginRankingLoss SoftMarginLoss TripletMarginLoss "
        "TripletMarginWithDistanceLoss".split(),
        "loss_margin",
    ),
    **dict.fromkeys(
        "CircularPad1d CircularPad2d CircularPad3d ConstantPad1d ConstantPad2d ConstantPad3d ReflectionPad1d "
        "ReflectionPad2d ReflectionPad3d ReplicationPad1d ReplicationPad2d ReplicationPad3d ZeroPad1d "
        "ZeroPad2d ZeroPad3d".split(),
        "padding",
    ),
    **dict.fromkeys("GRUCell LSTMCell RNNCell RNNCellBase".split(), "recurrent_cells"),
    **dict.fromkeys("Transformer TransformerDecoder TransformerEncoder".split(), "transformer"),
    **dict.fromkeys("TransformerDecoderLayer TransformerEncoderLayer".split(), "transformer_layers"),
    **dict.fromkeys("Upsample UpsamplingBilinear2d UpsamplingNearest2d".split(), "upsampling"),
    **dict.fromkeys("ConvTranspose1d ConvTranspose2d ConvTranspose3d".split(), "conv_transpose"),
    **dict.fromkeys("CosineSimilarity PairwiseDistance".split(), "distance"),
    **dict.fromkeys("Embedding EmbeddingBag".split(), "embedding"),
    **dict.fromkeys("AdaptivePiecewiseLinear GLU Maxout".split(), "gates"),
    **dict.fromkeys("GroupNorm LayerNorm LocalResponseNorm RMSNorm".split(), "layer_norm"),
    **dict.fromkeys(
        "CTCLoss CrossEntropyLoss LinearCrossEntropyLoss LinearCrossEntropyOptions MultiLabelMarginLoss "
        "MultiLabelSoftMarginLoss MultiMarginLoss NLLLoss NLLLoss2d".split(),
        "loss_classes",
    ),
    **dict.fromkeys("MultiheadAttention".split(), "multihead_attention"),
    **dict.fromkeys("ParameterDict ParameterList".split(), "parameter_containers"),
    **dict.fromkeys("GRU LSTM RNN RNNBase".split(), "recurrent"),
    **dict.fromkeys("Hardshrink RReLU Softshrink Threshold".split(), "shrink"),
}


def __getattr__(name: str) -> _Any:
    if name not in _LATER:
        return _refusals.missing("nn", name, [*globals(), *_LATER])
    module = _import_module(f"chainrule.nn.{_LATER[name]}")
    found = globals()[name] = module if name == _LATER[name] else getattr(module, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})
