"""The compiled activations and the formulas of their gradients, beside the plain ones."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.backends import compiled

pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(not compiled.enabled(), reason="Numba is not installed (pip install 'chainrule[fast]')"),
]
XP = cr.device("cpu").xp
BACKS = [
    ("tanh_back", {}),
    ("sigmoid_back", {}),
    ("silu_back", {}),
    ("gelu_back", {"approximate": "none"}),
    ("gelu_back", {"approximate": "tanh"}),
]


@pytest.mark.parametrize(("name", "attributes"), BACKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("orders", [((0, 1, 2), (0, 1, 2)), ((2, 0, 1), (2, 0, 1)), ((0, 1, 2), (2, 0, 1))])
def test_gradients_agree_with_the_formula(name, attributes, dtype, orders):
    rng = np.random.default_rng(0)
    g, x = (
        np.ascontiguousarray(rng.standard_normal((60, 80, 91)).astype(dtype).transpose(o)).transpose(np.argsort(o))
        for o in orders
    )
    if name in ("tanh_back", "sigmoid_back"):
        x = np.tanh(x)
    kept = g.copy(), x.copy()
    plain = cr.device("cpu").backend.plain_kernels[name]
    wanted, got = plain(g, x, **attributes), getattr(XP, name)(g, x, **attributes)
    assert got.dtype == wanted.dtype and got.strides == wanted.strides
    bound = 2e-6 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(got, wanted, rtol=bound, atol=bound * np.abs(wanted).max())
    np.testing.assert_array_equal((g, x), kept)


@pytest.mark.parametrize(
    ("name", "attributes"), [*BACKS, ("silu", {}), ("gelu", {}), ("gelu", {"approximate": "tanh"})]
)
def test_special_values(name, attributes):
    x = np.resize(np.array([np.nan, np.inf, -np.inf, 0.0, 1e30, -1e30, 40, -40, -100], np.float32), compiled.worth)
    arrays = (np.ones_like(x), x) if name.endswith("back") else (x,)
    with np.errstate(all="ignore"):
        plain = cr.device("cpu").backend.plain_kernels[name]
        wanted, got = plain(*arrays, **attributes), getattr(XP, name)(*arrays, **attributes)
    np.testing.assert_allclose(got, wanted, rtol=2e-6, atol=1e-30)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("int64", "float32")])
def test_two_dtypes_and_broadcasting_are_left_to_the_formula(dtypes):
    g, y = np.ones((100, 100), dtypes[0]), np.full((100, 100), 0.5, dtypes[1])
    for other in (y, y[:, :1]):
        wanted, got = g * (1 - other * other), XP.tanh_back(g, other)
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("function", [cr.tanh, cr.sigmoid, cr.nn.functional.silu, cr.nn.functional.gelu])
def test_second_order(function, monkeypatch):
    monkeypatch.setattr(compiled, "worth", 0)
    x = cr.tensor(np.random.default_rng(0).standard_normal(5), requires_grad=True)
    assert gradcheck(function, [x]) and gradgradcheck(function, [x])
