"""Group normalisation, compiled and plain: any shape, memory order, number of threads; numbers far from zero, NaN."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, cpu_group_norm, pool
from chainrule.backends.namespace import FORWARDS
from chainrule.nn import functional as F

pytestmark = pytest.mark.host
needs_numba = pytest.mark.skipif(
    not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
)
XP = cr.device("cpu").xp
#: shape, groups
SHAPES = [((2, 6, 40), 3), ((5, 4, 3, 6), 2), ((1, 8, 5, 5), 8), ((3, 6, 2, 3, 3), 1), ((1, 2, 5000), 1)]


@pytest.fixture(params=[pytest.param("compiled", marks=needs_numba), "plain"])
def kernel(request, monkeypatch):
    """The kernels of one kind, for arrays of any size; a function of the op's name."""
    before = pool.get_num_threads()
    if request.param == "plain":
        monkeypatch.setattr(cpu_group_norm, "_WORTH", 0)
        monkeypatch.setattr(cpu_group_norm, "_SHORTEST", 1)
        backend = cr.device("cpu").backend
        plain = getattr(backend, "plain_kernels", {})
        yield lambda name: plain.get(name) or getattr(backend.xp, name)
    else:
        from chainrule.backends.compiled import flat, group_norm

        monkeypatch.setattr(flat, "SLOW", 64)
        monkeypatch.setattr(group_norm, "_SHORTEST", 1)
        yield lambda name: getattr(group_norm, name)
    pool.set_num_threads(before)


def of_all_threads(compute):
    """The results, which are the same for any number of threads."""
    found = []
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        result = compute()
        found.append(result if isinstance(result, tuple) else (result,))
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)
    return found[0]


def orders(x):
    """x, channels last, and every second element of an array."""
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    return x, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1), wide[..., ::2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_agrees_with_the_declared_forward(kernel, shape, groups, dtype):
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
    weight, bias = (rng.standard_normal(shape[1]).astype(dtype) for _ in range(2))
    bound = 2e-6 if dtype == np.float32 else 1e-13
    for given, slopes in zip(orders(x), (*orders(g)[:2], np.broadcast_to(dtype(0.5), shape)), strict=True):
        for name, arrays in (
            ("group_norm", (given, weight, bias)),
            ("group_norm", (given, None, bias)),
            ("group_norm", (given, None, None)),
            ("group_norm_back", (slopes, given, weight)),
            ("group_norm_back", (slopes, given, None)),
        ):
            exact = [None if a is None else a.astype(np.float64) for a in arrays]
            wanted = FORWARDS[name](XP, *exact, groups=groups, eps=1e-3)
            kept = [None if a is None else a.copy() for a in arrays]
            got = of_all_threads(lambda n=name, a=arrays: kernel(n)(*a, groups=groups, eps=1e-3))
            for one, w in zip(got, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
                assert one.dtype == dtype and one.shape == w.shape and one.flags.c_contiguous
                np.testing.assert_allclose(one, w, atol=bound * max(1, np.abs(w).max()))
            for a, k in zip(arrays, kept, strict=True):
                np.testing.assert_array_equal(a, k)


def test_of_numbers_far_from_zero(kernel):
    x = (1000 + np.random.default_rng(0).standard_normal((2, 4, 600))).astype(np.float32)
    wanted = FORWARDS["group_norm"](XP, x.astype(np.float64), groups=2, eps=0.0)
    np.testing.assert_allclose(kernel("group_norm")(x, groups=2, eps=0.0), wanted, atol=2e-3)


def test_nan_and_infinity_stay_in_their_group(kernel):
    x = np.random.default_rng(0).standard_normal((2, 4, 40)).astype(np.float32)
    x[0, 1, 3], x[1, 2, 5] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        got = kernel("group_norm")(x, groups=2, eps=1e-5)
    assert np.isnan(got[0, :2]).all() and np.isfinite(got[0, 2:]).all()
    assert np.isfinite(got[1, :2]).all() and np.isnan(got[1, 2:]).all()


@pytest.mark.parametrize("affine", [True, False])
def test_layers_are_what_they_are_by_hand(affine):
    """Gradients too; instance norm is group norm with as many groups as channels."""
    rng = np.random.default_rng(0)
    x = cr.tensor(rng.standard_normal((3, 4, 50, 60)).astype(np.float32), requires_grad=True)
    g = cr.tensor(rng.standard_normal((3, 4, 50, 60)).astype(np.float32))
    weight, bias = (cr.tensor(rng.standard_normal(4).astype(np.float32), requires_grad=True) for _ in range(2))
    given = (weight, bias) if affine else (None, None)
    inputs = [x, weight, bias] if affine else [x]

    def by_hand(groups):
        rows = x.reshape(3, groups, -1)
        spread = rows.var(2, correction=0, keepdim=True)
        z = ((rows - rows.mean(2, keepdim=True)) / (spread + 1e-5).sqrt()).reshape(3, 4, 50, 60)
        return z * weight.reshape(1, 4, 1, 1) + bias.reshape(1, 4, 1, 1) if affine else z

    for out, wanted in (
        (F.group_norm(x, 2, *given), by_hand(2)),
        (F.instance_norm(x, None, None, *given), by_hand(4)),
    ):
        np.testing.assert_allclose(out.detach().numpy(), wanted.detach().numpy(), atol=1e-5)
        for one, w in zip(cr.autograd.grad(out, inputs, g), cr.autograd.grad(wanted, inputs, g), strict=True):
            np.testing.assert_allclose(one.numpy(), w.numpy(), atol=1e-4 * max(1, abs(w.numpy()).max()))
