"""Large masks of several dimensions: read with one number for each element; and what is not zero, in any shape."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.ops import indexing
from chainrule.backends import cpu_shortcuts

pytestmark = pytest.mark.host
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def any_size(monkeypatch):
    """However small a mask is."""
    monkeypatch.setattr(indexing, "_LARGE_MASK", 1)
    monkeypatch.setattr(cpu_shortcuts, "_LONG", 1)


@pytest.mark.parametrize("shape", [(6, 7), (3, 4, 5), (9, 1), (1, 9), (2, 3, 4, 5), (0, 3), (3, 0)])
def test_nonzero(shape):
    x = RNG.integers(0, 2, shape)
    for values in (x, x > 0, x * 1.5, np.asfortranarray(x), np.zeros(shape), np.full(shape, np.nan)):
        got, wanted = cr.device("cpu").xp.nonzero(values), values.nonzero()
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize(("shape", "masked"), [((6, 7), 2), ((3, 4, 5), 2), ((3, 4, 5), 3), ((4, 1), 2), ((2, 0), 2)])
@pytest.mark.parametrize("turned", [False, True])
def test_reading_and_its_gradient(shape, masked, turned):
    values, mask = RNG.standard_normal(shape), RNG.random(shape[:masked]) < 0.5
    x = cr.tensor(np.asfortranarray(values) if turned else values, requires_grad=True)
    picked = x[cr.tensor(mask)]
    np.testing.assert_array_equal(picked.detach().numpy(), values[mask])
    assert type(picked.grad_fn).__name__ == "IndexBackward"
    (picked * picked).sum().backward()
    chosen = mask.reshape(mask.shape + (1,) * (len(shape) - masked))
    np.testing.assert_array_equal(x.grad.numpy(), np.where(chosen, 2 * values, 0))
    picked = x.detach()[cr.tensor(mask)]
    picked[...] = 0.0  # a copy
    np.testing.assert_array_equal(x.detach().numpy(), values)


def test_masked_select_broadcasts():
    x, mask = RNG.standard_normal((5, 6)), RNG.random((1, 6)) < 0.5
    got = cr.masked_select(cr.tensor(x), cr.tensor(mask))
    np.testing.assert_array_equal(got.numpy(), x[np.broadcast_to(mask, x.shape)])


def test_writing():
    x, mask = RNG.standard_normal((5, 6)), RNG.random((5, 6)) < 0.5
    t = cr.tensor(x)
    t[cr.tensor(mask)] = 3.0
    np.testing.assert_array_equal(t.numpy(), np.where(mask, 3.0, x))


def test_a_mask_that_does_not_fit_is_refused():
    with pytest.raises(IndexError, match=r"the mask has shape \(5, 5\)"):
        cr.zeros(5, 6)[cr.ones(5, 5, dtype=cr.bool)]
