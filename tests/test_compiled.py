"""The kernels that Numba compiles: each beside the plain one that it stands for; and everything without Numba."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.autograd.op import OPS
from chainrule.backends import compiled

pytestmark = pytest.mark.host
needs_numba = pytest.mark.skipif(
    not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
)
XP = cr.device("cpu").xp


@pytest.fixture
def everything_compiled(monkeypatch):
    """However small an array is, its op goes to the compiled kernel."""
    monkeypatch.setattr(compiled, "worth", 0)


def cases():
    return [
        pytest.param(name, i, id=f"{name}-{i}")
        for name in sorted(compiled.MODULES)
        if name in OPS
        for i in range(len(OPS[name].check.samples()))
    ]


def run(function, sample, dtype):
    """The results of a kernel on a sample's arrays in one dtype, as a list."""
    arrays = [a.astype(dtype) if a is not None and a.dtype.kind == "f" else a for a in sample.args]
    kept = [None if a is None else a.copy() for a in arrays]
    with np.errstate(all="ignore"):
        result = function(*arrays, **sample.kwargs)
    for a, k in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(a, k)
    return list(result) if isinstance(result, (tuple, list)) else [result]


@needs_numba
@pytest.mark.usefixtures("everything_compiled")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "i"), cases())
def test_samples_agree_with_the_plain_kernel(name, i, dtype):
    sample = OPS[name].check.samples()[i]
    wanted = run(cr.device("cpu").backend.plain_kernels[name], sample, dtype)
    got = run(getattr(XP, name), sample, dtype)
    bound = 2e-6 if dtype == "float32" else 1e-13
    for g, w in zip(got, wanted, strict=True):
        assert g.dtype == w.dtype and g.shape == w.shape
        scale = np.abs(w[np.isfinite(w)]).max(initial=1.0) if w.dtype.kind == "f" else 1.0
        np.testing.assert_allclose(g, w, rtol=bound, atol=bound * scale)


@needs_numba
@pytest.mark.usefixtures("everything_compiled")
@pytest.mark.parametrize(("name", "i"), [c for c in cases() if OPS[c.values[0]].rules])
def test_gradients_to_second_order(name, i):
    op, sample = OPS[name], OPS[name].check.samples()[i]
    inputs = []
    for position, array in enumerate(sample.args):
        parameter = op.parameters[position] if position < len(op.parameters) else op.variadic
        t = None if array is None else cr.tensor(array)
        tracked = t is not None and parameter in op.rules and parameter not in op.check.constant
        inputs.append(t.requires_grad_() if tracked else t)
    gradcheck(lambda *ts: op.apply(*ts, **sample.kwargs), inputs, atol=op.check.atol)
    gradgradcheck(lambda *ts: op.apply(*ts, **sample.kwargs), inputs, atol=10 * op.check.atol)


@needs_numba
def test_numba_is_not_imported_for_small_arrays():
    code = "import sys, chainrule as cr; cr.tensor([1.0]).exp(); assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_environment_switches_it_off(monkeypatch):
    monkeypatch.setenv("CHAINRULE_FAST", "0")
    assert not compiled.enabled()
    monkeypatch.setenv("CHAINRULE_FAST", "1")
    assert compiled.enabled() is (importlib.util.find_spec("numba") is not None)
    monkeypatch.setenv("CHAINRULE_FAST", "yes")
    with pytest.raises(ValueError, match="CHAINRULE_FAST is 'yes'; expected 0"):
        compiled.enabled()


@needs_numba
@pytest.mark.parametrize(("name", "ulps"), [("exp", 2), ("tanh", 2), ("sigmoid", 3), ("erf", 12)])
def test_elementary_functions(name, ulps):
    """Against float64 over their whole range, in units in the last place; and their special values."""
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal(20_000) * 4, rng.standard_normal(20_000) * 1e-3, np.linspace(-86, 86, 20_001)]
    x = np.concatenate(parts).astype(np.float32)
    exact = {
        "exp": np.exp,
        "tanh": np.tanh,
        "sigmoid": lambda v: 1 / (1 + np.exp(-v)),
        "erf": np.vectorize(math.erf),
    }[name]
    with np.errstate(all="ignore"):
        wanted = exact(x.astype(np.float64))
        got = getattr(XP, name)(x)
        assert got.dtype == np.float32
        assert (np.abs(got - wanted) / np.spacing(np.abs(wanted).astype(np.float32))).max() <= ulps
        special = np.resize(np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 89, -104, -100], np.float32), compiled.worth)
        got = getattr(XP, name)(special)
        np.testing.assert_allclose(got, exact(special.astype(np.float64)).astype(np.float32), rtol=2e-2, atol=0)
        np.testing.assert_array_equal(np.signbit(got[3:5]), np.signbit(exact(special[3:5])))


@needs_numba
def test_a_change_in_any_file_of_the_package_compiles_its_loops_again():
    from chainrule.backends.compiled import jit, sums

    assert jit._stamp() == jit.STAMP
    loop = sums.sum_of
    index = loop._cache._cache_file
    loop(np.zeros(4, np.float32))
    assert index._load_index()  # it is on disk under this stamp,
    index._source_stamp = (0.0, 0)
    try:
        assert not index._load_index()  # and not under another
    finally:
        index._source_stamp = jit.STAMP


@needs_numba
@pytest.mark.usefixtures("everything_compiled")
def test_every_backend_has_kernels_of_its_own(monkeypatch):
    from chainrule.backends.cpu import NumpyBackend

    monkeypatch.setattr("chainrule.backends.base.KERNELS", {})  # the list of the one backend that everybody uses stays
    x = np.linspace(-1, 1, 8, dtype=np.float32)
    for backend in (cr.device("cpu").backend, NumpyBackend(), cr.device("cpu").backend):
        for array in (x, x.astype(np.float64)):  # the second goes on to the plain kernel
            np.testing.assert_allclose(backend.xp.softmax(array[None], axis=1).sum(), 1, rtol=1e-6)
            np.testing.assert_allclose(backend.xp.exp(array), np.exp(array), rtol=1e-6)
