"""The gradient for images of few channels as sums of overlapping windows, against the declared forward."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import cpu_convolution, cpu_direct, cpu_windows, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = pytest.mark.host
XP = cr.device("cpu").xp

# x, filters, stride, padding, dilation
CASES = [
    ((3, 1, 12, 13), (6, 1, 5, 5), (1, 1), (0, 0), (1, 1)),
    ((9, 3, 11, 22), (8, 3, 3, 3), (2, 2), (1, 1), (1, 1)),
    ((2, 3, 17, 33), (5, 3, 7, 3), (2, 3), (3, 2), (1, 1)),
    ((2, 2, 9, 25), (4, 2, 3, 3), (2, 1), (2, 3), (3, 2)),  # a stride together with a dilation
    ((2, 2, 5, 12), (4, 2, 2, 2), (1, 1), (3, 4), (1, 1)),  # padding beyond the kernel's reach
    ((2, 1, 11, 40), (4, 1, 2, 2), (3, 4), (0, 0), (1, 1)),  # some pixels meet no window
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_few_channels(case, dtype, monkeypatch):
    monkeypatch.setattr(cpu_direct, "_WEIGHTS", 0)
    size, filters, stride, padding, dilation = case
    assert cpu_convolution.choose(size, filters, stride, padding, dilation, 1, True) == "planar"
    rng = np.random.default_rng(0)
    attributes = {"stride": stride, "padding": padding, "dilation": dilation, "groups": 1}
    weight = rng.standard_normal(filters)
    g = rng.standard_normal(FORWARDS["conv2d"](XP, np.zeros(size), weight, None, **attributes).shape)
    wanted = FORWARDS["conv2d_input"](XP, g, weight, x_size=size, **attributes)
    first, results = g.astype(dtype), []
    last = np.ascontiguousarray(first.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for gradient in (first, last):
        got = XP.conv2d_input(gradient, weight.astype(dtype), x_size=size, **attributes)
        assert got.dtype == dtype
        assert got.shape == size
        assert np.abs(got - wanted).max() <= (2e-6 if dtype == np.float32 else 1e-13) * np.abs(wanted).max()
        results.append(got)
    before = pool.get_num_threads()
    monkeypatch.setattr("chainrule.backends.cpu_pointwise._WORTH", 0)
    try:
        for threads in (1, 3):
            pool.set_num_threads(threads)
            again = XP.conv2d_input(first, weight.astype(dtype), x_size=size, **attributes)
            np.testing.assert_array_equal(again, results[0])
    finally:
        pool.set_num_threads(before)


def test_large_images_take_no_such_memory(monkeypatch):
    monkeypatch.setattr(cpu_windows, "_BLOCK", 100)
    g, weight = np.ones((1, 4, 8, 30), np.float32), np.ones((4, 2, 3, 3), np.float32)
    assert not cpu_windows.overlaps_fit(g, weight)
    attributes = {"stride": (2, 1), "padding": (1, 1), "dilation": (1, 1), "groups": 1, "x_size": (1, 2, 16, 30)}
    np.testing.assert_array_equal(
        XP.conv2d_input(g, weight, **attributes), FORWARDS["conv2d_input"](XP, g, weight, **attributes)
    )
