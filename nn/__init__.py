"""Layers, models, losses and their initialisation, under PyTorch's names."""

from chainrule.nn.module import Module as Module
from chainrule.nn.parameter import Buffer as Buffer
from chainrule.nn.parameter import Parameter as Parameter
