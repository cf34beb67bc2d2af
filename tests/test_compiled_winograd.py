"""Winograd's transforms as compiled loops, beside those in NumPy: sizes, borders, layouts, threads."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import compiled, cpu_halving, cpu_winograd, cpu_winograd_transforms, pool

_ = cr.device("cpu").backend  # the compiled kernels are there once it is
pytestmark = [
    pytest.mark.host,
    pytest.mark.skipif(
        not compiled.enabled(), reason="Numba is not installed or switched off (pip install 'chainrule[fast]')"
    ),
]

#: images (N, H, W, C), filters, their size, padding
CASES = [
    ((2, 8, 8, 32), 32, 3, (1, 1)),  # whole tiles, whole lanes
    ((3, 13, 14, 20), 70, 3, (1, 1)),  # neither
    ((1, 70, 18, 16), 17, 3, (0, 2)),  # blocks of rows of one image
    ((2, 9, 9, 16), 16, 3, (7, 3)),  # rows of tiles that lie in the border
    ((20, 7, 8, 32), 300, 3, (1, 1)),  # more filters than tiles: by pieces of filters
    ((2, 14, 15, 50), 48, 5, (2, 2)),
    ((20, 6, 7, 33), 130, 5, (4, 0)),
]


def numbers(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def layouts(x):
    """(N, H, W, C) channels last, channels first, and neither."""
    yield x
    yield np.ascontiguousarray(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    wide = np.full((*x.shape[:3], 2 * x.shape[3]), np.nan, np.float32)
    wide[..., ::2] = x
    yield wide[..., ::2]


@pytest.fixture(autouse=True)
def uninitialised_memory_is_nan(monkeypatch):
    """What a kernel reads before it has written it shows in the result."""

    def filled(function):
        def fill(*args):
            memory = function(*args)
            memory[...] = np.nan
            return memory

        return fill

    monkeypatch.setattr(cpu_winograd, "_shared", filled(cpu_winograd._shared))
    for module in (cpu_winograd, cpu_winograd_transforms, compiled.module("winograd")):
        monkeypatch.setattr(module, "scratch", filled(pool.scratch))


@pytest.fixture
def in_numpy(monkeypatch):
    """Call a function with the transforms in NumPy."""

    def call(function, *args):
        with monkeypatch.context() as patch:
            patch.setattr(cpu_winograd, "_transforms", lambda: cpu_winograd_transforms)
            return function(*args)

    return call


def close(got, wanted):
    assert got.dtype == np.float32 and got.shape == wanted.shape
    assert np.isfinite(wanted).all()
    assert np.abs(got - wanted).max() <= 2e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_forward_agrees_with_numpy(case, in_numpy):
    size, k, r, padding = case
    x, bias = numbers(*size), numbers(k)
    weight = numbers(k, size[3], r, r).transpose(2, 3, 1, 0)
    for some in (weight, weight[::-1, ::-1], np.ascontiguousarray(weight)):
        wanted = in_numpy(cpu_winograd.forward, x, some, bias, padding)
        for image in layouts(x):
            kept = image.copy()
            close(cpu_winograd.forward(image, some, bias, padding), wanted)
            np.testing.assert_array_equal(image, kept)
    close(
        cpu_winograd.forward(x, weight, None, padding), in_numpy(cpu_winograd.forward, x, weight, bias, padding) - bias
    )


@pytest.mark.parametrize("case", CASES, ids=str)
def test_weight_gradient_agrees_with_numpy(case, in_numpy):
    (n, h, w, c), k, r, padding = case
    x, g = numbers(n, h, w, c), numbers(n, h + 2 * padding[0] - r + 1, w + 2 * padding[1] - r + 1, k)
    wanted = in_numpy(cpu_winograd.weight_gradient, x, g, (r, r), padding)
    for image in layouts(x):
        for gradient in layouts(g):
            kept = gradient.copy()
            close(cpu_winograd.weight_gradient(image, gradient, (r, r), padding), wanted)
            np.testing.assert_array_equal(gradient, kept)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_number_of_threads_changes_nothing(case):
    (n, h, w, c), k, r, padding = case
    x, weight = numbers(n, h, w, c), numbers(r, r, c, k)
    g = numbers(n, h + 2 * padding[0] - r + 1, w + 2 * padding[1] - r + 1, k)
    before, results = pool.get_num_threads(), []
    try:
        for threads in (1, 3):
            pool.set_num_threads(threads)
            results.append(
                (
                    cpu_winograd.forward(x, weight, None, padding),
                    cpu_winograd.weight_gradient(x, g, (r, r), padding),
                )
            )
    finally:
        pool.set_num_threads(before)
    for one, three in zip(*results, strict=True):
        np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize(("r", "c"), [(3, 512), (5, 64)])
def test_error_against_float64(r, c):
    """The promise of ``precise``: 2e-5 of the largest result."""
    x, weight = numbers(2, 8, 8, c), numbers(r, r, c, 16)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (r, r), (1, 2))
    close(cpu_winograd.forward(x, weight, None, (0, 0)), np.einsum("nhwcij,ijck->nhwk", windows, weight, optimize=True))
    g = numbers(2, 9 - r, 9 - r, 16)
    close(cpu_winograd.weight_gradient(x, g, (r, r), (0, 0)), np.einsum("nhwcij,nhwk->ijck", windows, g, optimize=True))


@pytest.mark.parametrize("size", [(3, 8, 6, 40), (2, 7, 9, 5), (2, 16, 17, 33), (40, 5, 6, 16)])
@pytest.mark.parametrize("padding", [(2, 2), (0, 4)])
def test_squares_of_pixels_as_one_pixel(size, padding, in_numpy):
    """5x5 with stride 2: the compiled transforms regroup pixels as they go, NumPy's get copies."""
    x, weight, bias = numbers(*size), numbers(37, size[3], 5, 5), numbers(37)
    g = None
    for image in layouts(x):
        y = cpu_halving.forward(image, weight, bias, padding)
        close(y, in_numpy(cpu_halving.forward, x, weight, bias, padding))
        g = numbers(*y.shape)
        wanted = in_numpy(cpu_halving.weight_gradient, x, g, padding)
        close(cpu_halving.weight_gradient(image, g, padding), wanted)
    wanted = in_numpy(cpu_halving.input_gradient, g, weight, size[1:3], padding)
    for gradient in layouts(g):
        close(cpu_halving.input_gradient(gradient, weight, size[1:3], padding), wanted)
