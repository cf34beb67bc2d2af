"""Values of other array libraries as NumPy arrays, without importing those libraries."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from chainrule.autograd import dtypes


def host_array(value: Any) -> np.ndarray:
    """The elements of an array of NumPy, or of a PyTorch tensor, of any device and dtype and recorded or not.

    Example:
        >>> host_array([1.0, 2.0])
        array([1., 2.])
    """
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        return np.asarray(value)
    torch = sys.modules["torch"]
    value = value.detach().cpu().resolve_conj().resolve_neg()
    if value.dtype == torch.bfloat16:  # which PyTorch does not hand to NumPy
        return value.contiguous().view(torch.int16).numpy().view(dtypes.bfloat16.dtype)
    return value.numpy()
