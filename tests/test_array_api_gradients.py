"""chainrule.array_api: gradients flow through its functions, and through code of any namespace."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from host_arrays import value

import chainrule as cr
import chainrule.array_api as xp

X = np.array([[0.3, 0.6, 0.4], [0.5, 0.2, 0.7]])
RECORDED = {
    **{
        name: getattr(xp, name)
        for name in "abs acos asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 negative positive "
        "reciprocal sin sinh square sqrt tan tanh real conj sum prod mean std var max min sort".split()
    },
    **{
        name: functools.partial(lambda f, x: f(x, 0.5 * x + 0.3), getattr(xp, name))
        for name in "add atan2 divide hypot logaddexp maximum minimum multiply pow subtract".split()
    },
    "remainder": lambda x: xp.remainder(x, 0.5 * x + 0.17),
    "acosh": lambda x: xp.acosh(x + 1),
    "clip": lambda x: xp.clip(x, 0.35, 0.65),
    "where": lambda x: xp.where(x > 0.45, x, 2 * x),
    "cumulative_sum": lambda x: xp.cumulative_sum(x, axis=1, include_initial=True) ** 2,
    "cumulative_prod": lambda x: xp.cumulative_prod(x, axis=0),
    "diff": lambda x: xp.diff(x, n=2) ** 2,
    "concat": lambda x: xp.concat([x, x * x], axis=1),
    "stack": lambda x: xp.stack([x, x * x]),
    "tile": lambda x: xp.tile(x, (2, 2)) ** 2,
    "repeat": lambda x: xp.repeat(x, xp.asarray([2, 1]), axis=0) ** 2,
    "roll": lambda x: xp.roll(x, 1) * x,
    "flip": lambda x: xp.flip(x) * x,
    "take": lambda x: xp.take(x, xp.asarray([0, 0, 1]), axis=1) ** 2,
    "take_along_axis": lambda x: xp.take_along_axis(x, xp.asarray([[0, -1], [1, 1]])) ** 2,
    "moveaxis": lambda x: xp.moveaxis(x, 0, 1) @ x,
    "meshgrid": lambda x: xp.meshgrid(x[0, :], x[1, :])[0] ** 2,
    "broadcast_arrays": lambda x: xp.broadcast_arrays(x, xp.ones((2, 1, 1)))[0] ** 2,
    "unstack": lambda x: xp.unstack(x, axis=1)[2] ** 2,
    "unique_values": lambda x: xp.unique_values(x) ** 2,
    "tril": lambda x: xp.tril(x) ** 2,
    "matmul": lambda x: xp.matmul(x, x.T),
    "tensordot": lambda x: xp.tensordot(x, x, axes=2),
    "vecdot": lambda x: xp.vecdot(x, x * x),
    "astype": lambda x: xp.astype(xp.astype(x, xp.complex128), xp.complex128) * 1.0,
    "linalg.trace": lambda x: xp.linalg.trace(x @ x.T),
    "linalg.cross": lambda x: xp.linalg.cross(x, x * x),
    "linalg.outer": lambda x: xp.linalg.outer(x[0, :], x[1, :]),
    "linalg.inv": lambda x: xp.linalg.inv(x @ x.T),
    "linalg.solve": lambda x: xp.linalg.solve(x @ x.T, x[:, 0]),
    "linalg.det": lambda x: xp.linalg.det(x @ x.T),
    "linalg.vector_norm": lambda x: xp.linalg.vector_norm(x, axis=0),
    "linalg.matrix_norm": lambda x: xp.linalg.matrix_norm(x),
    "linalg.cholesky": lambda x: xp.linalg.cholesky(x @ x.T),
    "linalg.eigvalsh": lambda x: xp.linalg.eigvalsh(x @ x.T),
    "linalg.svdvals": lambda x: xp.linalg.svdvals(x),
    "fft.rfft": lambda x: xp.abs(xp.fft.rfft(x)) ** 2,
}


@pytest.mark.parametrize("name", RECORDED)
def test_gradients_flow_through(name):
    x = xp.asarray(X).requires_grad_()
    result = RECORDED[name](x)
    assert result.requires_grad
    assert cr.autograd.gradcheck(RECORDED[name], x)


def test_gradients_of_decompositions():
    x = xp.asarray(X).requires_grad_()
    assert cr.autograd.gradcheck(lambda x: xp.abs(xp.linalg.qr(x.T).R), x)
    assert cr.autograd.gradcheck(lambda x: xp.linalg.slogdet(x @ x.T).logabsdet, x)
    assert cr.autograd.gradcheck(lambda x: xp.linalg.eigh(x @ x.T).eigenvectors ** 2, x)
    assert cr.autograd.gradcheck(lambda x: xp.linalg.svd(x, full_matrices=False).S, x)


def test_a_function_of_any_namespace_runs_and_is_recorded():
    def softmax(x, axis):
        namespace = x.__array_namespace__()
        shifted = namespace.exp(x - namespace.max(x, axis=axis, keepdims=True))
        return shifted / namespace.sum(shifted, axis=axis, keepdims=True)

    x = xp.asarray(X).requires_grad_()
    softmax(x, -1)[0, 0].backward()
    expected_grad = cr.autograd.grad(cr.softmax(x, -1)[0, 0], x)[0]
    np.testing.assert_allclose(value(x.grad), value(expected_grad), atol=1e-12)
