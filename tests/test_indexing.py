"""Reading and writing by index: the cases where libraries differ, gradients, and errors. See also tests/oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck


def value(t):
    return t.numpy(force=True)


BASE = np.arange(24.0).reshape(3, 2, 4)

PARTS = [slice(None), slice(1, None), slice(None, None, 2), slice(0, 0), 0, -1, None, Ellipsis]


def combinations():
    for n in (1, 2, 3):
        for index in itertools.product(range(len(PARTS)), repeat=n):
            index = tuple(PARTS[i] for i in index)
            if sum(p is Ellipsis for p in index) <= 1:
                yield index


def test_every_basic_index_of_up_to_three_parts_is_numpys():
    t = cr.tensor(BASE)
    for index in combinations():
        expected = BASE[index]
        got = t[index]
        assert got.shape == expected.shape, index
        np.testing.assert_array_equal(value(got), expected)


def test_every_basic_write_of_up_to_three_parts_is_numpys():
    for index in combinations():
        t, expected = cr.tensor(BASE), BASE.copy()
        t[index] = 99.0
        expected[index] = 99.0
        np.testing.assert_array_equal(value(t), expected, err_msg=str(index))


INDICES = [
    0, (1, -1), (slice(None), 0), (Ellipsis, slice(1, 3)), None, [0, 2], [2, 2, 0], (slice(None), [0, 1, 1]),
    ([0, 1], [1, 0]),
    ([0, 1], slice(None), [3, 3]), (0, slice(None), [1, 0]), ([[0], [1]], [0, 1]), np.array([True, False, True]),
    (Ellipsis, np.array([True, False, True, True])),
    np.arange(24).reshape(3, 2, 4) % 5 == 0, (None, [1, 0]), (slice(0, 2), [0], slice(None, None, 2)), True,
    (slice(None), True, 0),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=lambda i: repr(i)[:40].replace("\n", ""))
def test_gradients_of_reading(index):
    x = cr.tensor(BASE / 10, requires_grad=True)
    gradcheck(lambda t: t[index], x)
    gradgradcheck(lambda t: t[index] ** 2, x)


REPEATING = {6, 7}  # they name an element twice: what is stored is not defined


@pytest.mark.parametrize("number", sorted(set(range(len(INDICES))) - REPEATING))
@pytest.mark.parametrize("full", [True, False])
def test_gradients_of_writing(number, full):
    index = INDICES[number]
    x = cr.tensor(BASE / 10, requires_grad=True)
    part = x.detach()[index]
    v = cr.tensor(np.linspace(-1, 1, part.numel()).reshape(tuple(part.shape)) if full else np.array(0.3),
    requires_grad=True)

    def write(t, u):
        y = t * 1
        y[index] = u
        return y**2

    gradcheck(write, [x, v])
    gradgradcheck(write, [x, v])


def test_integers_beside_index_arrays_select_first():
    """As in PyTorch; in NumPy the 0 would count as an index array and move the last dimension to the front."""
    t = cr.tensor(BASE)
    np.testing.assert_array_equal(value(t[0, :, [1, 0, 2]]), BASE[0][:, [1, 0, 2]])
    np.testing.assert_array_equal(value(t[[0, 1], :, 1]), BASE[..., 1][[0, 1]])
    t[0, :, [1, 0]] = cr.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=cr.float64)
    assert t[0, :, :2].tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_index_arrays_apart_move_to_the_front():
    t = cr.tensor(BASE)
    np.testing.assert_array_equal(value(t[[0, 1], :, [1, 2]]), BASE[[0, 1], :, [1, 2]])
    np.testing.assert_array_equal(value(t[[0, 1], None, [1, 0]]), BASE[[0, 1], None, [1, 0]])


@pytest.mark.parametrize("make",
    [lambda i: i, np.int64, np.array, cr.tensor, lambda i: cr.tensor(i, dtype=cr.int32),
    lambda i: np.array(i, dtype=np.uint8)])
def test_zero_dimensional_integers_are_integers(make):
    t = cr.tensor(BASE)
    row = t[make(1)]
    np.testing.assert_array_equal(value(row), BASE[1])
    row.zero_()  # a view, as for an int
    assert t[1].abs().sum().item() == 0.0


@pytest.mark.parametrize("dtype", ["int64", "int32", "int16", "int8", "uint8"])
def test_index_tensors_of_every_integer_dtype(dtype):
    index = cr.tensor([2, 0], dtype=cr.autograd.dtypes.as_dtype(dtype))
    np.testing.assert_array_equal(value(cr.tensor(BASE)[index]), BASE[[2, 0]])


def test_negative_integers_in_index_tensors():
    x = cr.tensor(BASE, requires_grad=True)
    y = x[cr.tensor([-1, 2, -3])]
    np.testing.assert_array_equal(value(y), BASE[[-1, 2, -3]])
    y.sum().backward()
    assert value(x.grad)[:, 0, 0].tolist() == [1.0, 0.0, 2.0]


def test_repeated_indices_add_their_gradients():
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x[[0, 0, 0, 2]] * cr.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad.tolist() == [6.0, 0.0, 4.0]


def test_many_repeated_indices_in_float32():
    """An embedding's gradient: 20,000 rows into 7, in the dtype of the table."""
    rng = np.random.default_rng(0)
    index, rows = rng.integers(0, 7, 20_000), rng.standard_normal((20_000, 3)).astype(np.float32)
    table = cr.zeros(7, 3, requires_grad=True)
    table[cr.tensor(index)].backward(cr.tensor(rows))
    expected = np.zeros((7, 3))
    np.add.at(expected, index, rows.astype(np.float64))
    assert table.grad.dtype == cr.float32
    np.testing.assert_allclose(value(table.grad), expected, rtol=1e-4, atol=2e-3)


def test_masks_of_every_rank():
    t = cr.tensor(BASE)
    for mask in (BASE > 100, BASE > 5, BASE[0] > 2, BASE[:, 0, 0] > 2):
        if mask.shape == BASE.shape[: mask.ndim]:
            np.testing.assert_array_equal(value(t[cr.tensor(mask)]), BASE[mask])
        else:
            with pytest.raises(IndexError,
                match=r"the mask has shape \(2, 4\), the dimensions it selects from \(3, 2\)"):
                t[cr.tensor(mask)]


def test_slices_give_views_and_arrays_copies():
    t = cr.tensor(BASE)
    t[0].zero_()
    t[[1, 2]].zero_()
    t[t > 20].zero_()
    assert value(t)[0].sum() == 0
    np.testing.assert_array_equal(value(t)[1:], BASE[1:])


def test_augmented_assignment_through_an_index():
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = x * 1
    y[:2] *= 10
    y[[2, 0]] += 5
    y[y > 20] -= 1
    assert y.tolist() == [15.0, 19.0 + 1, 8.0]
    y.sum().backward()
    assert x.grad.tolist() == [10.0, 10.0, 1.0]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (3, "index: 3 is out of bounds for dimension 0 with length 3"),
        (-4, "index: -4 is out of bounds for dimension 0 with length 3"),
        ((0, 2), "2 is out of bounds for dimension 1 with length 2"),
        ((..., 4), "4 is out of bounds for dimension 2 with length 4"),
        ((0, 0, 0, 0), r"too many indices for a 3-d tensor of shape \(3, 2, 4\): got 4"),
        ([0, 3], "3 is out of bounds for dimension 0 with length 3"),
        ((slice(None), [0, -3]), "-3 is out of bounds for dimension 1 with length 2"),
        ((..., 0, ...), "only one ellipsis"),
        (np.array([True, False]), r"the mask has shape \(2,\), the dimensions it selects from \(3,\)"),
        (([0, 1], [0, 1, 0]), "shape mismatch|broadcast"),
        (np.array([0.5]), "must be integers or bools, got chainrule.float64"),
    ],
    ids=str,
)
def test_a_bad_index_says_what_is_wrong(index, message):
    t = cr.tensor(BASE)
    with pytest.raises(IndexError, match=message):
        t[index]
    with pytest.raises((IndexError, RuntimeError, ValueError), match=message):
        t[index] = 0.0
    np.testing.assert_array_equal(value(t), BASE)


@pytest.mark.parametrize("index", ["a", 1.5, {}, print], ids=str)
def test_what_is_no_index_is_refused(index):
    with pytest.raises((TypeError, IndexError), match="index: expected ints, slices, None, ..., or tensors"):
        cr.tensor(BASE)[index]


@pytest.mark.parametrize("index", [0, [0, 1], slice(0, 2)])
def test_a_value_of_the_wrong_shape_is_refused(index):
    t = cr.tensor(BASE)
    with pytest.raises((RuntimeError, ValueError), match="setitem|put_at|broadcast"):
        t[index] = cr.ones(5, dtype=cr.float64)
    x = cr.tensor(BASE, requires_grad=True) * 1
    with pytest.raises((RuntimeError, ValueError), match="setitem|put_at|broadcast|copy_"):
        x[index] = cr.ones(5, dtype=cr.float64)
    np.testing.assert_array_equal(value(t), BASE)


def test_values_are_converted_to_the_dtype_of_the_tensor():
    t = cr.zeros(4, dtype=cr.int64)
    t[0] = 1.9
    t[1:3] = cr.tensor([2.9, -2.9])
    t[3] = True
    assert t.tolist() == [1, 2, -2, 1]
    b = cr.zeros(2, dtype=cr.bool)
    b[0] = 5
    assert b.tolist() == [True, False]
    f = cr.zeros(3, dtype=cr.float16)
    f[[0, 1]] = np.array([1.0, 2.0])
    f[2] = np.float64(3)
    assert f.tolist() == [1.0, 2.0, 3.0]


def test_leading_ones_of_a_value_are_dropped():
    for index in (0, [0, 1], slice(None)):
        t = cr.zeros(3, 4, dtype=cr.float64)
        v = cr.ones(1, 1, 4, dtype=cr.float64, requires_grad=True)
        y = t * 1
        y[index] = v
        y.sum().backward()
        assert v.grad.shape == (1, 1, 4)
        assert v.grad.sum().item() == y.sum().item()


def test_empty_selections():
    x = cr.tensor(BASE, requires_grad=True)
    for index in ([], slice(0, 0), np.zeros(3, dtype=bool), (slice(None), [])):
        y = x[index]
        assert y.numel() == 0
        y.sum().backward()
        z = x * 1
        z[index] = 5.0
        z.sum().backward()
    assert (value(x.grad) == 4).all()


def test_indexing_a_zero_dimensional_tensor():
    t = cr.tensor(5.0, requires_grad=True)
    assert t[()].item() == 5.0
    assert t[...].shape == ()
    assert t[None].shape == (1,)
    (t[None] * 2).backward(cr.ones(1))
    assert t.grad.item() == 2.0
    with pytest.raises(IndexError, match="too many indices for a 0-d tensor"):
        t[0]


def test_index_functions():
    t = cr.arange(12).reshape(3, 4)
    assert t.index_select(1, cr.tensor([3, 0])).tolist() == [[3, 0], [7, 4], [11, 8]]
    assert t.masked_select(t > 8).tolist() == [9, 10, 11]
    assert cr.nonzero(t > 9).tolist() == [[2, 2], [2, 3]]
    assert [i.tolist() for i in cr.where(t > 9)] == [[2, 2], [2, 3]]
    assert cr.gather(t, 1, cr.tensor([[0], [1], [2]])).tolist() == [[0], [5], [10]]


def test_an_ellipsis_that_stands_for_nothing_separates_nothing():
    """PyTorch keeps the place of neighbouring index tensors; NumPy takes an ellipsis between them for a dimension."""
    t = cr.arange(24).reshape(2, 3, 4)
    assert t[:, [0, 2], ..., [1, 1]].tolist() == [[1, 9], [13, 21]]
    assert t[:, [0], ..., 0, None].shape == (2, 1, 1)
    with pytest.raises(IndexError, match="only one ellipsis"):
        t[..., 0, 0, 0, ...]


def test_index_put_takes_no_values_with_more_dimensions():
    with pytest.raises(RuntimeError, match=r"values of shape \(1, 2, 3\) have more dimensions .* 2; reshape"):
        cr.zeros(2, 3).index_put((cr.tensor([0, 1]),), cr.ones(1, 2, 3))


def test_a_range_picks_elements_as_a_list_does():
    """``-log_probs[range(n), target].mean()`` stands in PyTorch's first tutorial."""
    x = cr.arange(6.0).reshape(2, 3).requires_grad_()
    picked = x[range(2), cr.tensor([2, 0])]
    assert picked.tolist() == [2.0, 3.0]
    picked.sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    y = x.detach().clone()
    y[range(1, -1, -1)] = cr.zeros(2, 3)
    assert y[range(0)].shape == (0, 3) and y.sum().item() == 0.0


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
def test_the_gradients_of_slices_meet_in_one_array(dtype):
    """Slices and picked rows in a loop, beside other uses of the tensor; each pass, and each hook, sees its own."""
    rng = np.random.default_rng(0)
    w, i = cr.tensor(rng.standard_normal((6, 4))), cr.tensor([4, 0, 4, -1])
    x = cr.tensor(rng.standard_normal((6, 4)).astype(dtype), requires_grad=True)
    seen = []

    def f(t, hooked=False):
        total = (t[i] * w[:4]).sum() + (t * w).sum() + t[1:5, ::2].sum() + t[2, 3]
        for k in range(6):
            part = t[k]
            if hooked and k % 2:
                part.register_hook(seen.append)
            total = total + (part * w[k]).sum()
        return (total + t[..., 0].sum()).real

    wanted = 2 * w
    for row, source in zip([4, 0, 4, 5], w[:4], strict=True):
        wanted[row] += source
    wanted[1:5, ::2] += 1
    wanted[2, 3] += 1
    wanted[:, 0] += 1
    y = x * 1
    y.retain_grad()
    loss = f(y, hooked=True)
    for passes in (1, 2):
        loss.backward(retain_graph=passes == 1)
        for t in (x, y):
            assert t.grad.dtype == x.dtype
            np.testing.assert_allclose(value(t.grad), passes * value(wanted), rtol=1e-5)
    assert len(seen) == 6
    for k, g in zip([5, 3, 1], seen, strict=False):
        np.testing.assert_allclose(value(g), value(w[k]), rtol=1e-6)
    if dtype == "float64":
        gradcheck(lambda t: f(t * t), [x])
        gradgradcheck(lambda t: f(t * t), [x])


@pytest.mark.parametrize("number", [2.5, float("nan"), 3])
def test_a_number_written_at_a_mask(number):
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    mask = (x % 3 == 0).T
    t = cr.tensor(x.copy())
    view = t.mT  # another memory order
    before = t._version
    view[cr.tensor(mask)] = number
    x.T[mask] = number
    np.testing.assert_array_equal(value(t), x)
    assert t._version > before and t.dtype == cr.float32
    with pytest.raises(RuntimeError, match="expand"):
        cr.zeros(1, 4).expand(3, 4)[cr.tensor(mask.T)] = number


def test_a_number_written_at_a_mask_of_integers_and_bools():
    whole, bools = cr.arange(4), cr.zeros(4, dtype=cr.bool)
    whole[cr.tensor([True, False, True, False])] = 7.9
    bools[cr.tensor([True, False, False, False])] = 2
    assert whole.tolist() == [7, 1, 7, 3] and bools.tolist() == [True, False, False, False]


def test_a_number_written_at_a_mask_is_recorded():
    x, value = cr.ones(3, requires_grad=True), cr.tensor(2.0, requires_grad=True)
    y = x * 3
    y[cr.tensor([True, False, True])] = value
    (y * cr.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert x.grad.tolist() == [0.0, 30.0, 0.0] and value.grad.item() == 101.0
