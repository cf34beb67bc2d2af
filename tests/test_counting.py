"""Searching, unique elements, histograms and combinations, against NumPy's and by their definition."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import chainrule as cr

NAN = math.nan


def value(t):
    return t.numpy(force=True)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


# ---- searching ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("right", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 8, 9, 100])
def test_searching_in_rows_is_searching_in_each_row(rng, right, length):
    rows = np.sort(rng.integers(0, 20, (3, 2, length)), axis=-1)
    values = rng.integers(-2, 23, (3, 2, 11))
    found = cr.searchsorted(cr.tensor(rows), cr.tensor(values), right=right)
    assert found.dtype == cr.int64
    for i in np.ndindex(3, 2):
        expected = np.searchsorted(rows[i], values[i], side="right" if right else "left")
        np.testing.assert_array_equal(value(found)[i], expected)
        single = cr.bucketize(cr.tensor(values[i]), cr.tensor(rows[i]), right=right, out_int32=True)
        assert single.dtype == cr.int32
        np.testing.assert_array_equal(value(single), expected)


def test_searching_through_a_sorter(rng):
    x = rng.normal(size=(2, 7))
    order = np.argsort(x, axis=1)
    v = rng.normal(size=(2, 3))
    a = cr.searchsorted(cr.tensor(x), cr.tensor(v), sorter=cr.tensor(order))
    b = cr.searchsorted(cr.tensor(np.sort(x, axis=1)), cr.tensor(v))
    assert a.tolist() == b.tolist()


def test_searching_for_numbers():
    x = cr.tensor([1, 3, 5])
    assert cr.searchsorted(x, 3).item() == 1
    assert cr.searchsorted(x, 3, right=True).item() == 2
    assert cr.searchsorted(x, 2.5).item() == 1  # not rounded to the integers of the sequence
    assert cr.bucketize(9, x).item() == 3
    assert cr.searchsorted(cr.tensor([[1.0], [2.0]]), cr.zeros(2, 0)).shape == (2, 0)
    assert cr.searchsorted(cr.zeros(0), cr.ones(2)).tolist() == [0, 0]


@pytest.mark.parametrize("invert", [False, True])
def test_membership(rng, invert):
    x, y = rng.integers(0, 9, (4, 5)), rng.integers(0, 9, 4)
    found = cr.isin(cr.tensor(x), cr.tensor(y), invert=invert)
    np.testing.assert_array_equal(value(found), np.isin(x, y, invert=invert))
    nothing = cr.isin(cr.tensor(x), cr.zeros(0, dtype=cr.int64), invert=invert)
    assert bool(nothing.all()) is invert
    assert cr.isin(3, cr.tensor([1, 3]), invert=invert).item() is not invert
    assert cr.isin(cr.tensor([1, 2]), 2, invert=invert).tolist() == [invert, not invert]
    assert cr.isin(cr.tensor([1, 2]), 2.5).tolist() == [False, False]
    assert cr.isin(cr.tensor([NAN]), cr.tensor([NAN])).tolist() == [False]


# ---- unique ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [None, 0, 1, -1])
def test_unique_is_numpys(rng, dim):
    x = rng.integers(0, 2, (6, 4, 1 if dim == 0 else 2))
    ours = cr.unique(cr.tensor(x), return_inverse=True, return_counts=True, dim=dim)
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, axis=dim)
    np.testing.assert_array_equal(value(ours[0]), values)
    np.testing.assert_array_equal(value(ours[1]), inverse.reshape(ours[1].shape))
    np.testing.assert_array_equal(value(ours[2]), counts)
    again = ours[0].reshape(-1)[ours[1]] if dim is None else ours[0].index_select(dim, ours[1])
    np.testing.assert_array_equal(value(again), x)


@pytest.mark.parametrize("dim", [None, 0, 1])
def test_unique_consecutive_is_what_groupby_gives(rng, dim):
    x = rng.integers(0, 2, (3, 8))
    slices = x.reshape(-1).tolist() if dim is None else [tuple(s) for s in np.moveaxis(x, dim, 0).tolist()]
    groups = [(key, len(list(group))) for key, group in itertools.groupby(slices)]
    values, inverse, counts = cr.unique_consecutive(cr.tensor(x), True, True, dim)
    expected = np.array([key for key, _ in groups])
    np.testing.assert_array_equal(value(values), expected if dim is None else np.moveaxis(expected, 0, dim))
    assert counts.tolist() == [count for _, count in groups]
    np.testing.assert_array_equal(
        value(inverse).reshape(-1), np.repeat(np.arange(len(groups)), [count for _, count in groups])
    )


def test_unique_edge_cases():
    assert cr.unique(cr.tensor(3)).tolist() == [3]
    assert cr.unique(cr.tensor([NAN, NAN])).shape == (2,)
    assert cr.unique(cr.tensor([True, False, True])).tolist() == [False, True]
    assert cr.unique(cr.zeros(0, 3), dim=0).shape == (0, 3)
    values, inverse = cr.tensor([5, 5]).unique(return_inverse=True)
    assert (values.tolist(), inverse.tolist()) == ([5], [0, 0])
    for call in (lambda: cr.unique(cr.zeros(2, 0), dim=0), lambda: cr.unique(cr.tensor(1), dim=0)):
        with pytest.raises(RuntimeError, match=r"^unique: "):
            call()


# ---- counting -------------------------------------------------------------------------------------------------------


def test_bincount_is_numpys(rng):
    x, w = rng.integers(0, 9, 50), rng.normal(size=50)
    assert cr.bincount(cr.tensor(x)).tolist() == np.bincount(x).tolist()
    assert cr.tensor(x).bincount(minlength=12).tolist() == np.bincount(x, minlength=12).tolist()
    np.testing.assert_allclose(value(cr.bincount(cr.tensor(x), cr.tensor(w))), np.bincount(x, w), rtol=1e-12)
    assert cr.bincount(cr.tensor(x), cr.tensor(w).float()).dtype == cr.float32
    assert cr.bincount(cr.tensor(x), cr.tensor(x)).dtype == cr.float64
    assert cr.bincount(cr.zeros(0, dtype=cr.int32)).tolist() == []


def test_elements_on_edges_belong_to_the_bin_behind_and_the_last_edge_to_the_last_bin():
    x = cr.tensor([0.0, 1.0, 1.0, 2.0, 3.0, -0.1, 3.1, NAN])
    assert cr.histc(x[:7], 3, 0, 3).tolist() == [1.0, 2.0, 2.0]
    assert cr.histogram(x, 3, range=(0.0, 3.0)).hist.tolist() == [1.0, 2.0, 2.0]
    assert cr.histogram(x, cr.tensor([0.0, 1.0, 3.0])).hist.tolist() == [1.0, 4.0]
    # 0.7 * 10 / 10 is rounded: the edges decide, not the quotient
    grid = cr.linspace(0, 1, 11, dtype=cr.float64)
    assert cr.histogram(grid, 10, range=(0.0, 1.0)).hist.tolist() == [1.0] * 9 + [2.0]


@pytest.mark.parametrize("density", [False, True])
def test_histograms_are_numpys(rng, density):
    x, w = rng.normal(size=200), rng.uniform(size=200)
    edges = np.array([-1.5, -0.2, 0.0, 2.0])
    for bins, options in ((7, {}), (5, {"range": (-1.0, 1.5)}), (edges, {})):
        given = bins if isinstance(bins, int) else cr.tensor(bins)
        ours = cr.histogram(cr.tensor(x), given, weight=cr.tensor(w), density=density, **options)
        hist, found = np.histogram(x, bins, weights=w, density=density, **options)
        np.testing.assert_allclose(value(ours.hist), hist, rtol=1e-10)
        np.testing.assert_allclose(value(ours.bin_edges), found, rtol=1e-12)
    points = rng.normal(size=(100, 3))
    ours = cr.histogramdd(cr.tensor(points), [2, cr.tensor(edges), 4], density=density)
    hist, found = np.histogramdd(points, [2, edges, 4], density=density)
    np.testing.assert_allclose(value(ours.hist), hist, rtol=1e-10)
    for a, b in zip(ours.bin_edges, found, strict=True):
        np.testing.assert_allclose(value(a), b, rtol=1e-12)


def test_histc_takes_the_range_of_the_data():
    x = cr.tensor([1.0, 2.0, 5.0])
    assert x.histc(4).tolist() == [1.0, 1.0, 0.0, 1.0]
    assert cr.tensor([2.0, 2.0]).histc(2).tolist() == [0.0, 2.0]  # [1, 3]
    assert cr.zeros(0).histc(2).tolist() == [0.0, 0.0]


def test_combinations_and_products():
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    for r in (1, 2, 3):
        assert cr.combinations(x, r).tolist() == [list(c) for c in itertools.combinations([1.0, 2.0, 3.0], r)]
        assert cr.combinations(x, r, True).shape[0] == math.comb(3 + r - 1, r)
    assert cr.combinations(x, 0).shape == (0,)
    assert cr.combinations(x, 4).shape == (0, 4)
    y = cr.tensor([5.0, 7.0])
    assert cr.cartesian_prod(x, y).tolist() == [list(c) for c in itertools.product([1.0, 2.0, 3.0], [5.0, 7.0])]
    (g,) = cr.autograd.grad(cr.cartesian_prod(x, y).sum() + cr.combinations(x).sum(), x)
    assert g.tolist() == [4.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: cr.searchsorted(cr.ones(2, 3), x), "input must have the same dimensions before the last one"),
        (lambda x: cr.searchsorted(x, x.long()), "must have the dtype of the boundaries, chainrule.float32"),
        (lambda x: cr.searchsorted(x, x, right=True, side="left"), "right=True contradicts side='left'"),
        (lambda x: cr.searchsorted(x, x, side="up"), "side must be 'left' or 'right', got 'up'"),
        (lambda x: cr.searchsorted(x, x, sorter=cr.tensor([0, 1, 3])), r"indices in sorter must be in \[0, 2\]"),
        (lambda x: cr.searchsorted(x, x, sorter=cr.tensor([0])), "sorter must have the shape of the sequence"),
        (lambda x: cr.bucketize(x, cr.ones(2, 2)), "boundaries must be a 1-d tensor"),
        (lambda x: cr.bincount(x), "bincount: expected a 1-d tensor of integers"),
        (lambda x: cr.bincount(cr.tensor([-1])), "bincount: the elements must not be negative, got -1"),
        (lambda x: cr.bincount(cr.tensor([1]), x), "bincount: weights must have the shape of input"),
        (lambda x: cr.histc(x, 0), "histc: bins must be positive, got 0"),
        (lambda x: cr.histc(x, 3, 2, 1), "must not exceed the upper one, got 2.0 and 1.0"),
        (lambda x: cr.histc(cr.tensor([1.0, math.inf])), "is not finite"),
        (lambda x: cr.histc(x.long()), "histc: expected a floating-point tensor, got chainrule.int64"),
        (lambda x: cr.histogram(x, cr.tensor([1.0])), "bins must be 1-d tensors of chainrule.float32 edges"),
        (lambda x: cr.histogram(x, 2, weight=x[:2]), "weight must be a chainrule.float32 tensor of shape"),
        (lambda x: cr.histogramdd(x, [2]), "histogramdd: expected at least 2 dimensions"),
        (lambda x: cr.histogramdd(cr.ones(4, 2), [2]), "expected bins for each of 2 dimensions, got 1"),
        (lambda x: cr.combinations(cr.ones(2, 2)), "combinations: expected a 1-d tensor"),
        (lambda x: cr.cartesian_prod(x, x.long()), "cartesian_prod: expected one dtype"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(RuntimeError, match=message):
        call(cr.tensor([1.0, 2.0, 3.0]))


def test_unique_elements_have_a_gradient():
    x = cr.tensor([3.0, 1.0, 3.0, 2.0], requires_grad=True)
    (cr.unique(x) * cr.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [100.0, 1.0, 0.0, 10.0]
    rows = cr.tensor([[1.0, 2.0], [1.0, 2.0], [0.0, 5.0]], requires_grad=True)
    cr.unique_consecutive(rows, dim=0).sum().backward()
    assert rows.grad.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
