"""Layers, activations and losses as functions, under PyTorch's names and signatures."""

from __future__ import annotations

from chainrule.autograd import refusals as _refusals
from chainrule.autograd.creation import one_hot as one_hot
from chainrule.autograd.ops.border import pad as pad
from chainrule.nn.functional.activation import celu as celu
from chainrule.nn.functional.activation import elu as elu
from chainrule.nn.functional.activation import gelu as gelu
from chainrule.nn.functional.activation import hardsigmoid as hardsigmoid
from chainrule.nn.functional.activation import hardswish as hardswish
from chainrule.nn.functional.activation import hardtanh as hardtanh
from chainrule.nn.functional.activation import leaky_relu as leaky_relu
from chainrule.nn.functional.activation import log_softmax as log_softmax
from chainrule.nn.functional.activation import logsigmoid as logsigmoid
from chainrule.nn.functional.activation import mish as mish
from chainrule.nn.functional.activation import prelu as prelu
from chainrule.nn.functional.activation import relu as relu
from chainrule.nn.functional.activation import relu6 as relu6
from chainrule.nn.functional.activation import selu as selu
from chainrule.nn.functional.activation import sigmoid as sigmoid
from chainrule.nn.functional.activation import silu as silu
from chainrule.nn.functional.activation import softmax as softmax
from chainrule.nn.functional.activation import softmin as softmin
from chainrule.nn.functional.activation import softplus as softplus
from chainrule.nn.functional.activation import softsign as softsign
from chainrule.nn.functional.activation import tanh as tanh
from chainrule.nn.functional.activation import tanhshrink as tanhshrink
from chainrule.nn.functional.gates import apl as apl
from chainrule.nn.functional.gates import glu as glu
from chainrule.nn.functional.gates import gumbel_softmax as gumbel_softmax
from chainrule.nn.functional.gates import maxout as maxout
from chainrule.nn.functional.inplace import celu_ as celu_
from chainrule.nn.functional.inplace import elu_ as elu_
from chainrule.nn.functional.inplace import hardtanh_ as hardtanh_
from chainrule.nn.functional.inplace import leaky_relu_ as leaky_relu_
from chainrule.nn.functional.inplace import relu_ as relu_
from chainrule.nn.functional.inplace import rrelu_ as rrelu_
from chainrule.nn.functional.inplace import selu_ as selu_
from chainrule.nn.functional.inplace import threshold_ as threshold_
from chainrule.nn.functional.layers import adaptive_avg_pool2d as adaptive_avg_pool2d
from chainrule.nn.functional.layers import avg_pool2d as avg_pool2d
from chainrule.nn.functional.layers import batch_norm as batch_norm
from chainrule.nn.functional.layers import conv2d as conv2d
from chainrule.nn.functional.layers import dropout as dropout
from chainrule.nn.functional.layers import linear as linear
from chainrule.nn.functional.layers import max_pool2d as max_pool2d
from chainrule.nn.functional.loss import binary_cross_entropy as binary_cross_entropy
from chainrule.nn.functional.loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from chainrule.nn.functional.loss import cross_entropy as cross_entropy
from chainrule.nn.functional.loss import huber_loss as huber_loss
from chainrule.nn.functional.loss import l1_loss as l1_loss
from chainrule.nn.functional.loss import mse_loss as mse_loss
from chainrule.nn.functional.loss import nll_loss as nll_loss
from chainrule.nn.functional.loss import smooth_l1_loss as smooth_l1_loss
from chainrule.nn.functional.shrink import hardshrink as hardshrink
from chainrule.nn.functional.shrink import rrelu as rrelu
from chainrule.nn.functional.shrink import softshrink as softshrink
from chainrule.nn.functional.shrink import threshold as threshold

__getattr__ = _refusals.module_getattr("nn.functional", lambda: globals())
