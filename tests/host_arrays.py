"""Tensors in host memory and their elements as arrays, for the tests of NumPy functions and of the array API.

The Tensors of ``t`` and ``leaf`` are in host memory whatever the default device is: arrays are. What holds on other
devices is tested by name.
"""

from __future__ import annotations

import numpy as np

import chainrule as cr


def t(data, **options):
    return cr.tensor(data, device="cpu", **options)


def leaf(data=((0.3, 0.7), (0.5, 0.2)), dtype=cr.float64):
    return t(np.asarray(data), dtype=dtype, requires_grad=True)


def value(x):
    return x.numpy(force=True) if isinstance(x, cr.Tensor) else np.asarray(x)


def flat(results):
    return [r for v in results for r in flat(v)] if isinstance(results, (tuple, list)) else [results]
