"""Clipping of gradients, parametrised weights, pruning, fused layers, and sequences of unequal length."""
