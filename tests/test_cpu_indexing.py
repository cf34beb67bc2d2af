"""Reading and adding by index on the CPU: the plain and the compiled kernels beside the declared forwards."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd.ops.indexing import SLOT, fill_layout
from chainrule.backends import compiled, cpu_indexing, pool
from chainrule.backends.namespace import FORWARDS

pytestmark = pytest.mark.host
XP = cr.device("cpu").xp
ALL = slice(None)


@pytest.fixture(params=["plain", "compiled"], autouse=True)
def every_kernel(request, monkeypatch):
    """However few numbers there are, the kernels take them; and with parts of few elements."""
    if request.param == "compiled" and not compiled.enabled():
        pytest.skip("Numba is not installed or switched off (pip install 'chainrule[fast]')")
    monkeypatch.setattr(compiled, "worth", 0 if request.param == "compiled" else 1 << 60)
    monkeypatch.setattr(cpu_indexing, "_FEW", 1)
    monkeypatch.setattr(cpu_indexing, "_BLOCK", 16)
    if request.param == "compiled":
        compiled.load(cr.device("cpu").backend, "indexing")
        from chainrule.backends.compiled import indexing

        monkeypatch.setattr(indexing, "_PART", 64)
    yield
    pool.set_num_threads(2)


def check(name, args, kwargs):
    """The kernel agrees with the declared forward, with any number of threads, and leaves its arguments alone."""
    kept = [a.copy() for a in args]
    wanted = FORWARDS[name](XP, *args, **kwargs)
    for threads in (1, 2, 3):
        pool.set_num_threads(threads)
        got = getattr(XP, name)(*args, **kwargs)
        assert got.dtype == wanted.dtype and got.shape == wanted.shape
        assert not any(np.shares_memory(got, a) for a in args)
        if threads == 1:
            first = got
            # the base may be added to the sum of the rows, or the rows one by one to the base
            bound = {"e": 1e-2, "f": 3e-6, "d": 1e-13, "F": 3e-6}.get(wanted.dtype.char, 0)
            np.testing.assert_allclose(got, wanted, rtol=bound, atol=10 * bound)
        np.testing.assert_array_equal(got, first)
    for a, k in zip(args, kept, strict=True):
        np.testing.assert_array_equal(a, k)


def numbers(rng, shape, dtype):
    return (rng.standard_normal(shape) * 5).astype(dtype)


def layouts(x):
    yield x
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, -1)[..., ::2]


DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "bool", "complex64"]
PICKS = [
    ((7, 5), (SLOT, ...), [(6,)]),
    ((7, 5), (SLOT, ...), [(4, 3)]),
    ((7, 5), (ALL, SLOT, ...), [(9,)]),
    ((7, 5), (..., SLOT), [(9,)]),
    ((4, 7, 5), (..., SLOT, ALL), [(9,)]),
    ((4, 7, 5), (ALL, SLOT, ...), [(2, 3)]),
    ((4, 7, 5), (SLOT, SLOT, ...), [(6,), (6,)]),
    ((4, 7, 5), (SLOT, SLOT, ...), [(6, 1), (3,)]),
    ((4, 7, 5), (ALL, SLOT, SLOT, ...), [(6,), (6,)]),
    ((4, 7, 5), (SLOT, SLOT, SLOT, ...), [(6,), (6,), (6,)]),
    ((4, 7, 5), (SLOT, ALL, SLOT, ...), [(6,), (6,)]),
    ((4, 7, 5), (SLOT, None, slice(0, 2), ...), [(6,)]),
    ((7, 5), (SLOT, ...), [(0,)]),
    ((7, 0), (SLOT, ...), [(6,)]),
    ((50,), (SLOT, ...), [(40,)]),
    ((60, 9), (SLOT, ...), [(200,)]),
    ((3, 60), (SLOT, ...), [(200,)]),
    ((300, 12), (SLOT, ...), [(10,)]),
    ((6, 2), (SLOT, ...), [(40,)]),
]


def picked(rng, shape, layout, lengths):
    axis = 0
    for part in layout:
        if part is SLOT:
            break
        axis += len(shape) - sum(p is not Ellipsis for p in layout) if part is Ellipsis else part is not None
    places, at = [], axis
    for part in layout[layout.index(SLOT) :]:
        if part is SLOT:
            places.append(at)
        at += part is not None
    return [rng.integers(-shape[d], shape[d], n) for d, n in zip(places, lengths, strict=True)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "layout", "lengths"), PICKS, ids=str)
def test_rows(shape, layout, lengths, dtype):
    rng = np.random.default_rng(0)
    indices = picked(rng, shape, layout, lengths)
    for x in layouts(numbers(rng, shape, dtype)):
        check("take_at", (x, *indices), {"layout": layout})
    part = FORWARDS["take_at"](XP, x, *indices, layout=layout)
    for y in (numbers(rng, part.shape, dtype), np.broadcast_to(np.asarray(2, dtype), part.shape)):
        check("take_at_back", (y, *indices), {"shape": shape, "layout": layout})
        for base in layouts(numbers(rng, shape, dtype)):
            check("put_at", (base, y, *indices), {"layout": layout, "accumulate": True})
            total, wanted = base.copy("K"), FORWARDS["put_at"](XP, base, y, *indices, layout=layout, accumulate=True)
            cr.device("cpu").backend.scatter_add(total, fill_layout(layout, indices), y)
            bound = 1e-2 if dtype == "float16" else 3e-6
            np.testing.assert_allclose(total, wanted, rtol=bound, atol=10 * bound)
            if part.ndim > 1:
                check("put_at", (base, y[:1], *indices), {"layout": layout, "accumulate": True})


@pytest.mark.parametrize("kind", ["int64", "int32", "int16", "uint8"])
def test_kinds_of_index(kind):
    rng = np.random.default_rng(1)
    x, i = numbers(rng, (9, 8), "float32"), rng.integers(0, 9, 20).astype(kind)
    check("take_at", (x, i), {"layout": (SLOT, ...)})
    check("take_at_back", (x[i], i), {"shape": (9, 8), "layout": (SLOT, ...)})
    check("add_rows", (x[i], i), {"shape": (9, 8)})
    check("gather", (x, np.resize(i, (4, 8))), {"axis": 0})
    check("scatter_add", (x, np.resize(i, (4, 8)), x[:4]), {"axis": 0})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "length", "axis"),
    [
        ((50,), 70, 0),
        ((8, 20), 9, 0),
        ((8, 20), 30, 1),
        ((4, 6, 40), 5, 1),
        ((1, 6, 40), 9, 1),
        ((5, 1), 9, 0),
        ((3, 4, 5), 7, 2),
    ],
)
def test_along_an_axis(shape, length, axis, dtype):
    rng = np.random.default_rng(2)
    wanted = [length if d == axis else n for d, n in enumerate(shape)]
    one = [length if d == axis else 1 for d in range(len(shape))]
    each = rng.integers(0, shape[axis], wanted)
    rows = np.broadcast_to(rng.integers(0, shape[axis], one), wanted)
    fewer = each[tuple([ALL if d == axis else slice(0, max(1, n - 1)) for d, n in enumerate(shape)])]
    for index in (each, np.asfortranarray(each), rows, rows.copy(), fewer):
        for x in layouts(numbers(rng, shape, dtype)):
            check("gather", (x, index), {"axis": axis})
            src = numbers(rng, index.shape, dtype)
            check("scatter_add", (x, index, src), {"axis": axis})
        check("gather_back", (src, index), {"shape": shape, "axis": axis})


@pytest.mark.parametrize(
    ("shape", "index"),
    [
        ((90,), (slice(None, 40), ...)),
        ((90,), (slice(None, None, 3), ...)),
        ((30, 6), (slice(None, 15), slice(None, None, 2), ...)),
        ((30, 6), (slice(7, 20), 2, ...)),
        ((30, 6), (slice(20, 7), ...)),
        ((30, 6), (slice(-9, None), ...)),
        ((30, 6), (ALL, None, slice(1, 4), ...)),
        ((30, 6), (3, ...)),
        ((30, 6), (..., slice(1, 4))),
        ((30, 5, 6), (ALL, ..., 3)),
        ((0, 6), (ALL, ...)),
        ((30, 0), (slice(2, 5), ...)),
        ((), (...,)),
    ],
)
def test_slices(shape, index):
    part = np.zeros(shape, np.float32)[index]
    x = numbers(np.random.default_rng(3), part.shape, "float32")
    check("getitem_back", (x,), {"shape": shape, "index": index})
    spread = np.broadcast_to(np.float32(3), part.shape)
    check("getitem_back", (spread,), {"shape": shape, "index": index})


@pytest.mark.parametrize("wrong", [9, -10, 2**40, -(2**40)])
def test_out_of_bounds(wrong):
    """Each refuses as NumPy does; nothing is read or written outside."""
    rng = np.random.default_rng(4)
    x, index = numbers(rng, (9, 8), "float32"), rng.integers(0, 9, 20)
    index[13] = wrong
    layout = (SLOT, ...)
    square = np.zeros((9, 8), np.int64)
    square[4, 4] = wrong
    calls = [
        ("take_at", (x, index), {"layout": layout}),
        ("take_at", (x, index, index), {"layout": (SLOT, SLOT, ...)}),
        ("take_at_back", (x[:1], index), {"shape": (9, 8), "layout": layout}),
        ("put_at", (x, x[:1], index), {"layout": layout, "accumulate": True}),
        ("add_rows", (np.ones((20, 8), np.float32), index), {"shape": (9, 8)}),
        ("gather", (x, square), {"axis": 0}),
        ("gather", (x, square), {"axis": 1}),
        ("gather_back", (x, square), {"shape": (9, 8), "axis": 0}),
        ("scatter_add", (x, square, x), {"axis": 0}),
        ("scatter_add", (x, square, x), {"axis": 1}),
        ("scatter_add", (x[None], square[None], x[None]), {"axis": 1}),
    ]
    for name, args, kwargs in calls:
        if abs(wrong) < 100 and kwargs.get("axis") == 1:
            args = (args[0][..., :8], np.where(args[1] == wrong, min(wrong, 9), args[1]), *args[2:])
        with pytest.raises(IndexError, match="out of bounds"):
            getattr(XP, name)(*args, **kwargs)


def test_negative_numbers_along_an_axis():
    """The declared forwards count them from the end."""
    rng = np.random.default_rng(5)
    x, index = numbers(rng, (9, 8), "float32"), rng.integers(-8, 8, (9, 8))
    for axis in (0, 1):
        check("gather", (x, index), {"axis": axis})
        check("scatter_add", (x, index, x), {"axis": axis})


def test_sums_take_the_order_of_the_index():
    """Also where a target gets thousands of rows: bit for bit the sum one after the other."""
    rng = np.random.default_rng(6)
    block, rows = numbers(rng, (5000, 6), "float32"), rng.integers(0, 3, 5000)
    wanted = np.zeros((3, 6), np.float32)
    np.add.at(wanted, rows, block)
    np.testing.assert_array_equal(XP.rows_summed(block, rows, count=3), wanted)


def test_special_values():
    block = np.array([[np.inf, np.nan, -0.0, 1]] * 2, np.float32)
    block[1] *= -1
    got = XP.rows_summed(block, np.array([1, 1]), count=2)
    np.testing.assert_array_equal(got, np.array([[0, 0, 0, 0], [np.nan, np.nan, 0, 0]], np.float32))


def test_gradients():
    """Of each public function, against those of one-hot products in float64."""
    rng = np.random.default_rng(7)
    x = cr.tensor(rng.standard_normal((9, 6)), requires_grad=True)
    i, j = cr.tensor(rng.integers(0, 9, 30)), cr.tensor(rng.integers(0, 6, (9, 12)))
    weight = cr.tensor(rng.standard_normal((30, 6)))
    eye = cr.eye(9, dtype=cr.float64)[i]
    for picked_rows in (x[i], x.index_select(0, i), cr.nn.functional.embedding(i, x)):
        (g,) = cr.autograd.grad((picked_rows * weight).sum(), x)
        assert cr.allclose(g, eye.T @ weight)
    cr.autograd.gradcheck(lambda t: t.gather(1, j) ** 2, [x])
    cr.autograd.gradcheck(lambda t: cr.zeros(9, 6, dtype=cr.float64).index_add(0, i, t[i] ** 2), [x])
    cr.autograd.gradgradcheck(lambda t: cr.zeros(9, 6, dtype=cr.float64).index_add(0, i, t[i] ** 2), [x])
    cr.autograd.gradcheck(lambda t: t.scatter_add(1, j, (t**2).repeat(1, 2)), [x])
