"""Initialisation against PyTorch: the same distributions (by moments, bounds and quantiles), values, names, errors."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import init

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle

DISTRIBUTIONS = {
    "uniform": lambda i, t: i.uniform_(t, -2.0, 3.0),
    "normal": lambda i, t: i.normal_(t, 1.0, 2.0),
    "truncated": lambda i, t: i.trunc_normal_(t),
    "truncated narrow": lambda i, t: i.trunc_normal_(t, 0.5, 2.0, -1.0, 1.0),
    "truncated right": lambda i, t: i.trunc_normal_(t, 0.0, 1.0, 0.5, 3.0),
    "xavier uniform": lambda i, t: i.xavier_uniform_(t, gain=2.0),
    "xavier normal": lambda i, t: i.xavier_normal_(t, gain=0.5),
    "kaiming uniform": lambda i, t: i.kaiming_uniform_(t, a=1.0),
    "kaiming uniform out": lambda i, t: i.kaiming_uniform_(t, mode="fan_out", nonlinearity="relu"),
    "kaiming normal": lambda i, t: i.kaiming_normal_(t, nonlinearity="tanh"),
    "kaiming normal out": lambda i, t: i.kaiming_normal_(t, 0.1, "fan_out"),
    "orthogonal": lambda i, t: i.orthogonal_(t, gain=1.5),
}


@pytest.mark.parametrize("case", DISTRIBUTIONS)
def test_distribution(case):
    fill = DISTRIBUTIONS[case]
    torch.manual_seed(0)
    cr.manual_seed(0)
    ours, theirs = cr.empty(150, 20, 3, 3), torch.empty(150, 20, 3, 3)
    assert fill(cr.nn.init, ours) is ours
    a, b = ours.numpy(force=True), fill(torch.nn.init, theirs).numpy()
    levels = [0.0005, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.9995]
    error = 5 * b.std() / math.sqrt(a.size)
    np.testing.assert_allclose(a.mean(), b.mean(), atol=2 * error)
    np.testing.assert_allclose(a.std(), b.std(), rtol=0.02)
    np.testing.assert_allclose(np.quantile(a, levels[1:-1]), np.quantile(b, levels[1:-1]), atol=8 * error)
    np.testing.assert_allclose(np.quantile(a, levels), np.quantile(b, levels), atol=0.2 * b.std())


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_truncated_normal_in_other_dtypes(dtype):
    cr.manual_seed(0)
    t = init.trunc_normal_(cr.empty(20000, dtype=getattr(cr, dtype)), 0.0, 1.0, -2.0, 2.0)
    assert t.dtype == getattr(cr, dtype)
    values = t.double().numpy(force=True)
    assert np.abs(values).max() <= 2 and abs(values.mean()) < 0.03 and abs(values.std() - 0.8796) < 0.02


def test_truncated_normal_far_from_the_mean():
    """PyTorch warns that its own values may be wrong there."""
    cr.manual_seed(0)
    values = init.trunc_normal_(cr.empty(20000), 0.0, 1.0, 6.0, math.inf).numpy(force=True)
    assert values.min() >= 6 and np.isfinite(values).all() and len(np.unique(values)) > 5000
    assert abs(values.mean() - 6.1585) < 0.005  # the density over the distribution function's tail


@pytest.mark.parametrize(
    ("shape", "groups"), [((2, 4, 3), 1), ((4, 2, 3), 2), ((6, 2, 3, 4), 3), ((3, 3, 2, 2, 3), 1), ((5, 2, 1), 1)]
)
def test_dirac(shape, groups):
    ours, theirs = init.dirac_(cr.empty(*shape), groups), torch.nn.init.dirac_(torch.empty(*shape), groups)
    np.testing.assert_array_equal(ours.numpy(force=True), theirs.numpy())


@pytest.mark.parametrize("shape", [(3, 3), (2, 5), (5, 2)])
def test_constants(shape):
    for name, arguments in (("eye_", ()), ("ones_", ()), ("zeros_", ()), ("constant_", (2.5,))):
        ours = getattr(init, name)(cr.empty(*shape), *arguments)
        np.testing.assert_array_equal(
            ours.numpy(force=True), getattr(torch.nn.init, name)(torch.empty(*shape), *arguments).numpy()
        )


@pytest.mark.parametrize("sparsity", [0.0, 0.15, 0.5, 1.0])
def test_sparse(sparsity):
    cr.manual_seed(0)
    torch.manual_seed(0)
    a = init.sparse_(cr.empty(40, 300), sparsity, std=2.0).numpy(force=True)
    b = torch.nn.init.sparse_(torch.empty(40, 300), sparsity, std=2.0).numpy()
    np.testing.assert_array_equal((a == 0).sum(0), (b == 0).sum(0))
    np.testing.assert_allclose(a.std(), b.std(), rtol=0.03)
    if 0 < sparsity < 1:  # each row has its share of zeros
        assert (a == 0).sum(1).min() > 0 and len({tuple(column) for column in (a == 0).T}) > 200


@pytest.mark.parametrize("name", ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "conv1d", "conv3d"])
def test_gain(name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain("leaky_relu", 0.3) == torch.nn.init.calculate_gain("leaky_relu", 0.3)


NAMES = [n for n, f in vars(torch.nn.init).items() if inspect.isfunction(f) and f.__module__ == "torch.nn.init"]


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("_")])
def test_every_name_and_signature(name):
    ours, theirs = getattr(init, name), getattr(torch.nn.init, name)
    if name.endswith("_") or name == "calculate_gain":
        a, b = (inspect.signature(f).parameters.values() for f in (ours, theirs))
        assert [(p.name, p.kind, p.default) for p in a] == [(p.name, p.kind, p.default) for p in b]


@pytest.mark.parametrize("name", [n for n in NAMES if hasattr(torch.nn.init, n + "_") and not n.startswith("_")])
def test_older_names(name):
    arguments = {"constant": (0.5,), "sparse": (0.1,)}.get(name, ())
    shape = (2, 3, 3) if name == "dirac" else (3, 3)
    cr.manual_seed(0)
    with pytest.warns(FutureWarning, match=f"nn.init.{name} is deprecated; use nn.init.{name}_") as told:
        ours = getattr(init, name)(cr.empty(*shape), *arguments)
    assert told[0].filename == __file__
    cr.manual_seed(0)
    np.testing.assert_array_equal(
        ours.numpy(force=True), getattr(init, name + "_")(cr.empty(*shape), *arguments).numpy(force=True)
    )
    with pytest.warns(FutureWarning):
        getattr(torch.nn.init, name)(torch.empty(*shape), *arguments)


ERRORS = {
    "dirac matrix": lambda t, i: i.dirac_(t.empty(3, 3)),
    "dirac groups": lambda t, i: i.dirac_(t.empty(3, 3, 3), groups=2),
    "sparse vector": lambda t, i: i.sparse_(t.empty(3), 0.1),
    "eye vector": lambda t, i: i.eye_(t.empty(3)),
    "xavier vector": lambda t, i: i.xavier_uniform_(t.empty(3)),
    "kaiming vector": lambda t, i: i.kaiming_normal_(t.empty(3)),
    "orthogonal vector": lambda t, i: i.orthogonal_(t.empty(3)),
    "kaiming mode": lambda t, i: i.kaiming_normal_(t.empty(3, 3), mode="fan"),
    "truncated empty": lambda t, i: i.trunc_normal_(t.empty(3), a=3.0, b=1.0),
    "uniform reversed": lambda t, i: i.uniform_(t.empty(3), 2.0, 1.0),
    "negative deviation": lambda t, i: i.normal_(t.empty(3), 0.0, -1.0),
    "unknown gain": lambda t, i: i.calculate_gain("foo"),
    "bool slope": lambda t, i: i.calculate_gain("leaky_relu", True),
}


@pytest.mark.filterwarnings("ignore:mean is more than 2 std")
@pytest.mark.parametrize("case", ERRORS)
def test_errors_have_the_same_type(case):
    with pytest.raises((ValueError, RuntimeError)) as theirs:
        ERRORS[case](torch, torch.nn.init)
    with pytest.raises(type(theirs.value)):
        ERRORS[case](cr, init)
