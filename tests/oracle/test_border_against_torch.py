"""Padding and triangles against PyTorch, values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'chainrule[oracle]')")

import chainrule as cr  # noqa: E402  (after the check for torch)
from chainrule.nn import functional as F  # noqa: E402

pytestmark = pytest.mark.oracle


@pytest.mark.parametrize(
    ("shape", "pad", "mode", "value"),
    [
        ((2, 3), (1, 2), "constant", None),
        ((2, 3), (1, 2, 3, 0), "constant", 1.5),
        ((2, 5), (-1, 2), "constant", None),
        ((2, 5), (-2, -1, 1, -1), "constant", 7.0),
        ((1, 2, 5), (2, 3), "reflect", None),
        ((1, 2, 5), (2, 3), "replicate", None),
        ((1, 2, 5), (2, 3), "circular", None),
        ((1, 1, 4, 5), (1, 2, 3, 0), "reflect", None),
        ((1, 1, 4, 5), (1, 2, 3, 0), "replicate", None),
    ],
)
def test_pad(shape, pad, mode, value):
    data = np.random.default_rng(0).normal(size=shape)
    theirs = torch.tensor(data, requires_grad=True)
    ours = cr.tensor(data, requires_grad=True)
    expected = torch.nn.functional.pad(theirs, pad, mode=mode, value=value)
    got = F.pad(ours, pad, mode=mode, value=value)
    np.testing.assert_array_equal(got.numpy(force=True), expected.detach().numpy())
    (expected**3).sum().backward()
    (got**3).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(force=True), theirs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["tril", "triu"])
@pytest.mark.parametrize("diagonal", [0, 1, -2])
def test_triangles(name, diagonal):
    data = np.random.default_rng(0).normal(size=(2, 3, 4))
    ours = cr.tensor(data, requires_grad=True)
    theirs = torch.tensor(data, requires_grad=True)
    got, expected = getattr(ours, name)(diagonal), getattr(theirs, name)(diagonal)
    np.testing.assert_array_equal(got.numpy(force=True), expected.detach().numpy())
    (got**2).sum().backward()
    (expected**2).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(force=True), theirs.grad.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("pad", "mode", "message"),
    [((1,), "constant", "pairs of widths"), ((9, 9), "reflect", "cannot pad"), ((1, 1), "mirror", "mode must be")],
)
def test_bad_padding_is_named(pad, mode, message):
    with pytest.raises(ValueError, match=f"pad: .*{message}"):
        F.pad(cr.ones(1, 2, 3), pad, mode=mode)
