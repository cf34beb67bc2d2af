"""Clipping of gradients, parametrised weights, pruning, fused layers, and sequences of unequal length."""

from chainrule.nn.utils import rnn as rnn
