"""The constructors by dtype of old PyTorch scripts."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr


def test_data_sizes_and_instances():
    t = cr.FloatTensor([[1, 2], [3, 4]])
    assert t.dtype == cr.float32
    assert t.shape == (2, 2)
    assert cr.LongTensor(2, 3).shape == (2, 3)
    assert cr.DoubleTensor(np.ones(2)).dtype == cr.float64
    assert cr.FloatTensor().shape == (0,)
    assert isinstance(t, cr.FloatTensor)
    assert not isinstance(t, cr.LongTensor)
    assert not isinstance(3, cr.FloatTensor)


def test_errors():
    with pytest.raises(TypeError, match="FloatTensor: expected a chainrule.float32 tensor or data"):
        cr.FloatTensor(cr.ones(2, dtype=cr.float64))
    with pytest.raises(TypeError, match="sizes as non-negative ints"):
        cr.IntTensor(2, -1)
