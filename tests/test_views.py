"""Views and what is written through them: diagonals, windows, strides, dtypes; tensors that become views in place."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import grad


def value(t):
    return t.numpy(force=True)


def leaf(data):
    return cr.tensor(data, dtype=cr.float64, requires_grad=True)


VALUES = np.array([[0.3, -0.7, 1.1], [0.9, 0.4, -1.3]])

#: a view, and the places it shows
VIEWS = {
    "diagonal": lambda y: y.diagonal(),
    "upper diagonal": lambda y: y.diagonal(1),
    "windows that do not overlap": lambda y: y.unfold(1, 1, 2),
    "windows of rows": lambda y: y.unfold(0, 2, 1),
    "strides": lambda y: y.as_strided((2, 2), (3, 1), 1),
    "strides of a view": lambda y: y[1].as_strided((2,), (2,)),
    "narrow": lambda y: y.narrow(1, 1, 2),
    "select": lambda y: y.select(0, -1),
    "movedim": lambda y: y.movedim(0, 1),
    "atleast_3d": lambda y: cr.atleast_3d(y),
    "same dtype": lambda y: y.view(y.dtype),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_write_through_a_view_reaches_the_base_and_its_graph(view):
    places = value(view(cr.arange(6).reshape(2, 3))).reshape(-1)
    x = leaf(VALUES)
    y = x * 2
    v = view(y)
    v.mul_(5)
    factor = np.ones(6)
    factor[places] = 5
    np.testing.assert_allclose(value(y), VALUES * 2 * factor.reshape(2, 3))
    (y * y).sum().backward()
    np.testing.assert_allclose(value(x.grad), VALUES * 8 * factor.reshape(2, 3) ** 2)


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_view_follows_its_base(view):
    x = leaf(VALUES)
    y = x * 2
    v = view(y)
    y.mul_(3)
    np.testing.assert_allclose(value(v), value(view(y)))
    (g,) = grad((v**3).sum(), x, create_graph=True)
    (gg,) = grad(g.sum(), x)
    places = value(view(cr.arange(6).reshape(2, 3))).reshape(-1)
    shown = np.bincount(places, minlength=6).reshape(2, 3)
    np.testing.assert_allclose(value(gg), shown * 6**3 * 6 * VALUES)


@pytest.mark.parametrize(
    "view",
    [lambda y: y.view(-1)[:4], lambda y: y.reshape(3, 2)[0], lambda y: y.as_strided((4,), (1,)), lambda y: y.view(6)],
)
def test_the_gradient_of_a_write_does_not_depend_on_the_memory_order_of_gradients(view):
    """The gradient that arrives is in the order of the transpose; what was overwritten must not get any."""
    x = leaf(VALUES)
    y = x * 2
    places = value(view(cr.arange(6).reshape(2, 3))).reshape(-1)
    view(y).zero_()
    weights = np.arange(1.0, 7.0).reshape(3, 2)
    (y.t() * cr.tensor(weights)).sum().backward()
    expected = 2 * weights.T.reshape(-1)
    expected[places] = 0
    np.testing.assert_array_equal(value(x.grad), expected.reshape(2, 3))


@pytest.mark.parametrize(
    "view",
    [
        lambda y: y.unfold(1, 2, 1),
        lambda y: y.as_strided((3, 3), (1, 1)),
        lambda y: y[0].expand(2, 3),
        lambda y: y.as_strided((2,), (0,)),
    ],
)
@pytest.mark.parametrize("recorded", [True, False])
def test_elements_that_a_view_shows_twice_cannot_be_written(view, recorded):
    y = leaf(VALUES) * 1 if recorded else cr.tensor(VALUES)
    before = value(y).copy()
    for write in (lambda v: v.add_(1), lambda v: v.zero_(), lambda v: v.__setitem__(..., 2.0)):
        with pytest.raises(
            RuntimeError, match="more than one element of the written-to tensor refers to a single memory"
        ):
            write(view(y))
    np.testing.assert_array_equal(value(y), before)


def test_retained_gradients_follow_a_write_to_the_base():
    base = leaf(np.arange(6.0)) * 1
    v = base[:3]
    v.retain_grad()
    base.mul_(2)
    (v * v).sum().backward()
    assert v.grad.tolist() == [0.0, 4.0, 8.0]


def test_strides_of_a_view_look_at_its_base():
    x = leaf(np.arange(6.0))
    y = x * 1
    part = y[2:]
    z = part.as_strided((2, 2), (2, 1), 1)
    assert z.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert (z.storage_offset(), z.stride()) == (1, (2, 1))
    # as in PyTorch: what the view itself does not show gets no gradient through it
    (z * cr.tensor([[1.0, 2.0], [3.0, 4.0]])).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 2.0, 3.0, 4.0, 0.0]


def test_strides_beyond_the_memory_are_refused():
    for size, stride, offset in [
        ((7,), (1,), 0),
        ((2,), (5,), 1),
        ((1,), (1,), 6),
        ((2,), (-1,), 1),
        ((2,), (1, 1), 0),
    ]:
        with pytest.raises(RuntimeError, match="as_strided: size"):
            cr.arange(6).as_strided(size, stride, offset)
    assert cr.arange(6).as_strided((0, 3), (100, 100)).shape == (0, 3)


# ---- other dtypes on the same bytes ---------------------------------------------------------------------------------


def test_bytes_as_other_elements():
    x = cr.tensor([1.0, -2.0], dtype=cr.float32)
    bits = x.view(cr.int32)
    assert bits.tolist() == [0x3F800000, -0x40000000]
    bits[0] = 0x40400000
    assert x.tolist() == [3.0, -2.0]
    assert x.view(cr.uint8).shape == (8,)
    assert cr.arange(4, dtype=cr.int16).view(cr.int64).shape == (1,)
    with pytest.raises(RuntimeError, match="cannot be read as"):
        cr.arange(3, dtype=cr.int16).view(cr.int64)
    with pytest.raises(RuntimeError, match="view: a 0-d"):
        cr.tensor(1.0).view(cr.uint8)


def test_no_gradient_passes_a_view_of_another_dtype():
    x = leaf([1.0, 2.0])
    y = x * 1
    bits = y.view(cr.int64)
    assert not bits.requires_grad
    with pytest.raises(RuntimeError, match="as another dtype"):
        bits.add_(1)
    with cr.no_grad():
        bits.zero_()
    assert y.tolist() == [0.0, 0.0]


# ---- tensors that become views --------------------------------------------------------------------------------------

BECOME = {
    "t_": (lambda y: y.t_(), lambda y: y.t()),
    "transpose_": (lambda y: y.transpose_(0, 1), lambda y: y.transpose(0, 1)),
    "unsqueeze_": (lambda y: y.unsqueeze_(1), lambda y: y.unsqueeze(1)),
    "squeeze_": (lambda y: y.unsqueeze_(0).squeeze_(), lambda y: y[...]),
    "swapaxes_": (lambda y: y.swapaxes_(0, -1), lambda y: y.t()),
    "as_strided_": (lambda y: y.as_strided_((2,), (4,)), lambda y: y.as_strided((2,), (4,))),
}


@pytest.mark.parametrize(("change", "same"), BECOME.values(), ids=list(BECOME))
def test_a_tensor_becomes_a_view_of_itself(change, same):
    x, a = leaf(VALUES), leaf(VALUES)
    y = x * 2
    memory = y.detach()
    row = y[1]  # a view made before
    expected = same(a * 2)
    assert change(y) is y
    np.testing.assert_array_equal(value(y), value(expected))
    assert (y.stride(), y.shape) == (expected.stride(), expected.shape)
    (y * y * y).sum().backward()
    (expected**3).sum().backward()
    np.testing.assert_allclose(value(x.grad), value(a.grad))
    # and all still share their memory and their gradients
    x.grad = None
    y = x * 2
    row, memory = y[1], y.detach()
    change(y)
    y.mul_(10)
    np.testing.assert_array_equal(value(row), value(memory)[1])
    changed = row.sum()
    changed.backward()
    b = leaf(VALUES)
    z = b * 2
    same(z).mul_(10)
    z[1].sum().backward()
    np.testing.assert_allclose(value(x.grad), value(b.grad))


def test_a_leaf_that_requires_grad_changes_its_shape_only_where_nothing_is_recorded():
    w = leaf(VALUES)
    with pytest.raises(RuntimeError, match="t_: a leaf tensor that requires grad"):
        w.t_()
    with cr.no_grad():
        w.mul_(1.0)
        w.t_()
    assert w.is_leaf
    (w * w).sum().backward()
    np.testing.assert_allclose(value(w.grad), 2 * VALUES.T)
    v = w[0]
    with cr.no_grad(), pytest.raises(RuntimeError, match="t_: this leaf has views"):
        w.t_()
    assert v.shape == (2,)


def test_in_place_views_are_noticed_by_what_saved_the_tensor():
    y = leaf(VALUES) * 1
    z = y * y
    y.t_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_resize():
    x = cr.arange(6)
    assert x.resize_(2, 2).tolist() == [[0, 1], [2, 3]]
    assert x.resize_(3, 2).tolist()[:2] == [[0, 1], [2, 3]]
    y = cr.arange(4)
    v = y[:2]
    y.resize_(2)
    y[0] = 9
    assert v.tolist() == [9, 1]
    with pytest.raises(RuntimeError, match="shared with other tensors cannot grow"):
        y.resize_(10)
    assert cr.empty(0).resize_as_(cr.ones(2, 3)).shape == (2, 3)
    with pytest.raises(RuntimeError, match="resize_: a tensor that requires grad"):
        leaf([1.0]).resize_(2)
    with pytest.raises(RuntimeError, match="set_: a tensor cannot be put on other memory"):
        x.set_(y)


def test_elements_by_a_python_function():
    x = cr.tensor([1.0, 2.0])
    assert x.apply_(lambda v: v * 10).tolist() == [10.0, 20.0]
    assert x.map_(cr.tensor([1.0]), lambda a, b: a + b).tolist() == [11.0, 21.0]
    assert x.view(1, 2).t().apply_(int).tolist() == [[11.0], [21.0]]
    with pytest.raises(RuntimeError, match="apply_: a Python function cannot be recorded"):
        leaf([1.0]).apply_(abs)


# ---- copies in which a part is replaced -----------------------------------------------------------------------------


def test_scattered_parts_have_the_shape_of_the_part():
    for call in (
        lambda: cr.select_scatter(cr.zeros(2, 3), cr.ones(1), 0, 0),
        lambda: cr.slice_scatter(cr.zeros(4), cr.ones(1), 0, 1, 3),
        lambda: cr.diagonal_scatter(cr.zeros(2, 2), cr.ones(1)),
    ):
        with pytest.raises(RuntimeError, match="src must have shape"):
            call()
    with pytest.raises(RuntimeError, match="name an element twice"):
        cr.as_strided_scatter(cr.zeros(4), cr.ones(2, 2), (2, 2), (1, 1))


def test_the_diagonal_is_filled():
    x = leaf(np.zeros((3, 3)))
    y = x + 1
    y.fill_diagonal_(5.0)
    y.sum().backward()
    np.testing.assert_array_equal(value(y), np.ones((3, 3)) + 4 * np.eye(3))
    np.testing.assert_array_equal(value(x.grad), 1 - np.eye(3))
    tall = cr.zeros(7, 3)
    expected = np.zeros((7, 3))
    np.fill_diagonal(expected, 1.0, wrap=True)
    np.testing.assert_array_equal(value(tall.fill_diagonal_(1, wrap=True)), expected)
    with pytest.raises(RuntimeError, match="fill_diagonal_: all dimensions must have one length"):
        cr.zeros(2, 2, 3).fill_diagonal_(1)


@pytest.mark.parametrize(
    "view",
    [
        lambda t: t.diagonal(),
        lambda t: t.unfold(0, 2, 2),
        lambda t: t[0],
        lambda t: t.expand(2, 2).T,
    ],
)
def test_a_view_of_what_was_expanded_to_its_own_shape_can_be_written(view):
    t = cr.zeros(2, 2, requires_grad=True) * 1
    view(t.expand(2, 2)).fill_(3.0)
    expected = cr.zeros(2, 2)
    view(expected).fill_(3.0)
    assert t.tolist() == expected.tolist()
