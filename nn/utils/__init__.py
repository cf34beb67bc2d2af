"""Clipping of gradients, parametrised weights, pruning, fused layers, and sequences of unequal length."""
"""What is done to whole modules and their parameters: clipping, parametrisation, pruning, packed sequences."""

from chainrule.nn.utils import rnn as rnn
