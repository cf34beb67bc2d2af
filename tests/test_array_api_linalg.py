"""chainrule.array_api: products, linear algebra and Fourier transforms, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from host_arrays import value

import chainrule.array_api as xp


def test_products():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    x, y = xp.asarray(a), xp.asarray(b, dtype=xp.float64)
    np.testing.assert_allclose(value(xp.matmul(x, y)), a @ b)
    np.testing.assert_allclose(value(xp.matmul(xp.astype(x, xp.float32), y)), a @ b)
    np.testing.assert_allclose(value(xp.tensordot(x, y, axes=1)), np.tensordot(a, b, 1))
    np.testing.assert_allclose(value(xp.tensordot(x, y, axes=((1,), (0,)))), np.tensordot(a, b, 1))
    np.testing.assert_allclose(value(xp.vecdot(x, xp.ones(3))), a.sum(-1))
    np.testing.assert_allclose(value(xp.vecdot(x, xp.ones((1, 2, 3)), axis=-2)), a.sum(0)[None])
    assert xp.vecdot(xp.asarray([1j]), xp.asarray([1j])).tolist() == 1 + 0j
    assert xp.vecdot(xp.asarray([1, 2], dtype=xp.int8), xp.asarray([3, 4], dtype=xp.int8)).dtype == xp.int8
    assert xp.linalg.outer(xp.asarray([1, 2]), xp.asarray([3.0])).tolist() == [[3.0], [6.0]]
    assert xp.linalg.cross(xp.asarray([1, 0, 0]), xp.asarray([[0, 1, 0]])).tolist() == [[0, 0, 1]]
    for call in (
        lambda: xp.vecdot(xp.ones(3), xp.ones(1)),
        lambda: xp.linalg.cross(xp.ones(2), xp.ones(2)),
        lambda: xp.linalg.cross(xp.ones(3), xp.ones(3), axis=0),
        lambda: xp.linalg.outer(xp.ones((1, 1)), xp.ones(1)),
    ):
        with pytest.raises(ValueError):
            call()


def matrices(seed=0, shape=(2, 3, 3)):
    return np.random.default_rng(seed).standard_normal(shape)


def test_linalg():
    a = matrices()
    x = xp.asarray(a)
    s, spd = a + np.swapaxes(a, 1, 2), a @ np.swapaxes(a, 1, 2) + np.eye(3)
    lin = xp.linalg
    pairs = [
        (lin.det(x), np.linalg.det(a)),
        (lin.inv(x), np.linalg.inv(a)),
        (lin.cholesky(xp.asarray(spd)), np.linalg.cholesky(spd)),
        (lin.cholesky(xp.asarray(spd), upper=True), np.swapaxes(np.linalg.cholesky(spd), 1, 2)),
        (lin.eigvalsh(xp.asarray(s)), np.linalg.eigvalsh(s)),
        (lin.svdvals(x), np.linalg.svd(a)[1]),
        (lin.matrix_power(x, 3), np.linalg.matrix_power(a, 3)),
        (lin.matrix_power(x, -1), np.linalg.inv(a)),
        (lin.pinv(x), np.linalg.pinv(a)),
        (lin.matrix_rank(x), np.array([3, 3])),
        (lin.matrix_rank(xp.ones((2, 2)), rtol=0.1), np.array(1)),
        (lin.slogdet(x).sign, np.linalg.slogdet(a)[0]),
        (lin.slogdet(x).logabsdet, np.linalg.slogdet(a)[1]),
        (lin.trace(x), np.trace(a, axis1=1, axis2=2)),
        (lin.trace(x, offset=1), np.trace(a, 1, 1, 2)),
        (lin.diagonal(x, offset=-1), np.diagonal(a, -1, 1, 2)),
        (lin.solve(x, xp.asarray(a[0, 0])), np.linalg.solve(a, np.broadcast_to(a[0, 0][:, None], (2, 3, 1)))[..., 0]),
        (lin.solve(x, xp.asarray(a[1])), np.linalg.solve(a, a[1])),
        (lin.solve(x, xp.asarray(a[0, :2].T)), np.linalg.solve(a, a[0, :2].T)),
        (lin.vector_norm(x), np.linalg.norm(a.ravel())),
        (lin.vector_norm(x, axis=(0, 2), keepdims=True, ord=1), np.abs(a).sum((0, 2), keepdims=True)),
        (lin.vector_norm(x, axis=1, ord=math.inf), np.abs(a).max(1)),
    ]
    for kind in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        pairs.append((lin.matrix_norm(x, ord=kind), np.linalg.norm(a, kind, (1, 2))))
        pairs.append((lin.matrix_norm(x, ord=kind, keepdims=True), np.linalg.norm(a, kind, (1, 2), keepdims=True)))
    for i, (mine, other) in enumerate(pairs):
        assert mine.shape == other.shape, i
        np.testing.assert_allclose(value(mine), other, rtol=1e-9, atol=1e-12, err_msg=str(i))


def test_solve_takes_matrices_that_look_like_batches_of_vectors():
    """PyTorch would take shape (2, 3) beside (2, 3, 3) for two vectors; for the standard it is a 2x3 matrix."""
    a = matrices()
    with pytest.raises((ValueError, RuntimeError)):
        xp.linalg.solve(xp.asarray(a), xp.asarray(a[:, 0]))
    square = matrices(1, (3, 3, 3))
    np.testing.assert_allclose(
        value(xp.linalg.solve(xp.asarray(square), xp.asarray(square[0]))), np.linalg.solve(square, square[0]), rtol=1e-9
    )


def test_decompositions_have_the_standards_fields():
    x = xp.asarray(matrices(2, (4, 3)))
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(value((u * s) @ vh), value(x), rtol=1e-9)
    assert xp.linalg.svd(x)._fields == ("U", "S", "Vh") and xp.linalg.svd(x).U.shape == (4, 4)
    q, r = xp.linalg.qr(x)
    np.testing.assert_allclose(value(q @ r), value(x), rtol=1e-9)
    assert xp.linalg.qr(x, mode="complete")._fields == ("Q", "R") and xp.linalg.qr(x, mode="complete").Q.shape == (4, 4)
    h = x.mT @ x
    w, v = xp.linalg.eigh(h)
    np.testing.assert_allclose(value((v * w) @ v.mT), value(h), rtol=1e-9)
    assert xp.linalg.eigh(h)._fields == ("eigenvalues", "eigenvectors")
    assert xp.linalg.slogdet(h)._fields == ("sign", "logabsdet")
    singular = xp.linalg.slogdet(xp.zeros((2, 2)))
    assert singular.sign.tolist() == 0.0 and singular.logabsdet.tolist() == -math.inf


def test_fft():
    rng = np.random.default_rng(3)
    a, z = rng.standard_normal((3, 8)), rng.standard_normal((3, 8)) + 1j * rng.standard_normal((3, 8))
    for norm in ("backward", "ortho", "forward"):
        for name in ("fft", "ifft", "hfft", "irfft"):
            for kwargs in ({}, {"axis": 0}, {"n": 6}):
                mine = getattr(xp.fft, name)(xp.asarray(z), norm=norm, **kwargs)
                np.testing.assert_allclose(value(mine), getattr(np.fft, name)(z, norm=norm, **kwargs), atol=1e-12)
        for name in ("rfft", "ihfft"):
            mine = getattr(xp.fft, name)(xp.asarray(a), norm=norm)
            np.testing.assert_allclose(value(mine), getattr(np.fft, name)(a, norm=norm), atol=1e-12)
        for name in ("fftn", "ifftn", "irfftn"):
            mine = getattr(xp.fft, name)(xp.asarray(z), norm=norm)
            np.testing.assert_allclose(value(mine), getattr(np.fft, name)(z, norm=norm), atol=1e-12)
        mine = xp.fft.rfftn(xp.asarray(a), s=(2, 6), axes=(0, 1), norm=norm)
        np.testing.assert_allclose(value(mine), np.fft.rfftn(a, s=(2, 6), axes=(0, 1), norm=norm), atol=1e-12)
    assert xp.fft.fft(xp.ones(4)).dtype == xp.fft.rfft(xp.ones(4)).dtype == xp.complex64
    assert xp.fft.irfft(xp.ones(4, dtype=xp.complex64)).dtype == xp.float32
    np.testing.assert_allclose(value(xp.fft.fftfreq(5, d=0.5)), np.fft.fftfreq(5, 0.5), rtol=1e-6)
    assert xp.fft.rfftfreq(5, dtype=xp.float64).dtype == xp.float64 and xp.fft.fftfreq(5).dtype == xp.float32
    np.testing.assert_allclose(value(xp.fft.fftshift(xp.asarray(a))), np.fft.fftshift(a))
    np.testing.assert_allclose(value(xp.fft.ifftshift(xp.asarray(a), axes=1)), np.fft.ifftshift(a, 1))
