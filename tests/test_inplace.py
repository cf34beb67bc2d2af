"""In-place operations and views: values and gradients."""

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


# ---- values and gradients -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inplace", "functional"),
    [
        (lambda y: y.add_(2), lambda y: y + 2), (lambda y: y.sub_(2), lambda y: y - 2),
        (lambda y: y.mul_(3), lambda y: y * 3),
        (lambda y: y.div_(3), lambda y: y / 3), (lambda y: y.pow_(2), lambda y: y**2),
        (lambda y: y.neg_(), lambda y: -y),
        (lambda y: y.exp_(), lambda y: y.exp()), (lambda y: y.tanh_(), lambda y: y.tanh()),
        (lambda y: y.sigmoid_(), lambda y: y.sigmoid()),
        (lambda y: y.relu_(), lambda y: y.relu()), (lambda y: y.abs_(), lambda y: y.abs()),
        (lambda y: y.sin_(), lambda y: y.sin()),
        (lambda y: y.clamp_(-0.5, 0.5), lambda y: y.clamp(-0.5, 0.5)), (lambda y: y.square_(), lambda y: y.square()),
        (lambda y: y.zero_(), lambda y: y * 0), (lambda y: y.fill_(4.0), lambda y: y * 0 + 4),
        (lambda y: y.add_(y), lambda y: y + y),
        (lambda y: y.mul_(y.detach().clone()), lambda y: y * y.detach()),
        (lambda y: y.copy_(cr.ones(3, dtype=cr.float64)), lambda y: y * 0 + 1),
        (lambda y: y.masked_fill_(y > 0, 5.0), lambda y: cr.where(y > 0, 5.0, y)),
        (lambda y: y.add_(y[0], alpha=2), lambda y: y + 2 * y[0]),
        (lambda y: y.__iadd__(1), lambda y: y + 1), (lambda y: y.__imul__(2), lambda y: y * 2),
        (lambda y: y.__itruediv__(2), lambda y: y / 2),
        (lambda y: y.__isub__(1), lambda y: y - 1), (lambda y: y.__ipow__(3), lambda y: y**3),
        (lambda y: y.reciprocal_(), lambda y: 1 / y), (lambda y: y.remainder_(0.4), lambda y: y % 0.4),
        (lambda y: y.expm1_(), lambda y: y.expm1()),
    ],
)  # fmt: skip
def test_an_in_place_operation_is_its_functional_twin(inplace, functional):
    a, b = leaf(VALUES), leaf(VALUES)
    y, z = a * 2, b * 2
    same = inplace(y)
    assert same is y
    z = functional(z)
    np.testing.assert_allclose(value(y), value(z))
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(value(a.grad), value(b.grad), atol=1e-15)


@pytest.mark.parametrize("order", [1, 2])
def test_in_place_chains_have_higher_derivatives(order):
    def program(x, inplace):
        y = x * 2
        if inplace:
            y.sin_()
            y[0].mul_(3)
            y[:, 1] = y[:, 2].clone() ** 2
        else:
            y = y.sin()
            y = cr.cat([y[:1] * 3, y[1:]])
            y = cr.stack([y[:, 0], y[:, 2] * y[:, 2], y[:, 2]], 1)
        return (y**3).sum()

    results = []
    for inplace in (False, True):
        x = leaf(VALUES)
        g = program(x, inplace)
        for _ in range(order):
            (g,) = grad(g.sum(), x, create_graph=True)
        results.append(value(g))
    np.testing.assert_allclose(*results, rtol=1e-12)


def test_an_in_place_operation_makes_an_untracked_tensor_tracked():
    x, y = leaf([1.0, 2.0]), cr.zeros(2, dtype=cr.float64)
    y.add_(x)
    assert y.requires_grad
    assert not y.is_leaf
    y.mul_(3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_running_sums_in_a_buffer():
    x = leaf(VALUES)
    total = cr.zeros(3, dtype=cr.float64)
    for i in range(2):
        total += x[i] * (i + 1)
    total.sum().backward()
    assert x.grad.tolist() == [[1.0] * 3, [2.0] * 3]


def test_rows_written_one_by_one():
    x = leaf([1.0, 2.0, 3.0])
    y = cr.zeros(3, 2, dtype=cr.float64)
    for i in range(3):
        y[i] = x[i] ** 2
    y[:, 1] = 0
    y.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


def test_the_dtype_of_the_tensor_stays():
    x = cr.ones(2, dtype=cr.float32)
    x.add_(cr.ones(2, dtype=cr.float64)).mul_(2)
    assert x.dtype == cr.float32
    x += np.float64(1)
    assert x.dtype == cr.float32
    i = cr.ones(2, dtype=cr.int64)
    i += 2
    assert (i.dtype, i.tolist()) == (cr.int64, [3, 3])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.ones(2, dtype=cr.int64).add_(1.5),
        "add_: a result of dtype .*float.* cannot be stored in a .*int64"),
        (lambda: cr.ones(2, dtype=cr.int64).div_(2), "div_: a result of dtype"),
        (lambda: cr.ones(2).add_(cr.ones(3, 2)), r"add_: the result has shape \(3, 2\)"),
        (lambda: cr.ones(1).add_(cr.ones(3)), r"add_: the result has shape \(3,\)"),
        (lambda: leaf([1.0]).add_(1), "add_: a leaf tensor that requires grad cannot be changed in place"),
        (lambda: leaf([1.0])[0].add_(1), "add_: a view of a leaf tensor that requires grad"),
        (lambda: leaf([1.0]).__setitem__(0, 1.0), "setitem: a leaf tensor that requires grad"),
        (lambda: (leaf([1.0, 2.0]) * 1).unbind()[0].add_(1),
        "add_: this tensor is one of several views made by one operation"),
        (lambda: cr.ones(1).expand(3).add_(1),
        "add_: more than one element of the written-to tensor refers to a single memory location"),
        (lambda: cr.ones(1).expand(3).__setitem__(slice(0, 2), 5.0), "refers to a single memory location"),
        (lambda: cr.ones(2).copy_(cr.ones(3)), "copy_|broadcast"),
        (lambda: cr.ones(2).fill_(cr.ones(2)), r"fill_: expected a number or a 0-d tensor, got shape \(2,\)"),
    ],
)
def test_what_cannot_be_done_in_place_says_why(call, message):
    with pytest.raises((RuntimeError, ValueError), match=message):
        call()


def test_leaves_are_updated_under_no_grad():
    w = leaf([1.0, 2.0])
    with cr.no_grad():
        w -= 0.1
        w[0] = 5.0
        w.mul_(2)
    np.testing.assert_allclose(value(w), [10.0, 3.8])
    assert w.is_leaf
    assert w.requires_grad


def test_a_failed_in_place_operation_changes_nothing():
    y = leaf([1.0, 2.0]) * 1
    node = y.grad_fn
    with pytest.raises((RuntimeError, ValueError)):
        y.add_(cr.ones(3))
    assert y.tolist() == [1.0, 2.0]
    assert y.grad_fn is node
    y.sum().backward()


# ---- views ----------------------------------------------------------------------------------------------------------

VIEWS = {
    "row": lambda y: y[0],
    "column": lambda y: y[:, 1],
    "slice": lambda y: y[:, :2],
    "step": lambda y: y[:, ::2],
    "transpose": lambda y: y.t(),
    "permute": lambda y: y.permute(1, 0),
    "reshape": lambda y: y.reshape(-1),
    "view": lambda y: y.view(3, 2),
    "unsqueeze": lambda y: y.unsqueeze(1),
    "none index": lambda y: y[None],
    "flatten": lambda y: y.flatten(),
    "view of view": lambda y: y[0][1:],
    "chained": lambda y: y.t()[1:].t()[0],
    "reshape of slice": lambda y: y[:1].reshape(3, 1),
    "element": lambda y: y[1, 2],
    "whole": lambda y: y[...],
    "mT": lambda y: y.mT,
    "squeeze": lambda y: y[:1].squeeze(0),
    "expand of same size": lambda y: y.expand(2, 3),
    "one of an expand": lambda y: y.expand(2, 2, 3)[1],
}
WRITES = {
    "add_": lambda v: v.add_(0.5),
    "mul_": lambda v: v.mul_(-1.5),
    "zero_": lambda v: v.zero_(),
    "fill_": lambda v: v.fill_(0.25),
    "exp_": lambda v: v.exp_(),
    "relu_": lambda v: v.relu_(),
    "clamp_": lambda v: v.clamp_(-0.2, 0.6),
    "setitem": lambda v: v.__setitem__(..., 2.0),
    "mask": lambda v: v.__setitem__(v > 0.2, 0.1),
    "self": lambda v: v.mul_(v.clone()),
}


def by_index_map(view, base):
    """Which elements of the base a view shows: numbers through the same view."""
    numbers = cr.arange(base.numel()).reshape(tuple(base.shape))
    return value(view(numbers)).reshape(-1)


@pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))
@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_write_through_a_view_reaches_the_base_and_its_graph(view, write):
    """Against the functional form: elements taken out of the base, changed, put back by a matrix of zeros and ones."""
    x, a = leaf(VALUES), leaf(VALUES)
    y = x * 2
    before = y.sin().sum()  # the old values
    write(view(y))
    total = (y * y).sum() + before
    places = by_index_map(view, y)
    z = (a * 2).reshape(-1)
    old = z.sin().sum()
    part = z[cr.tensor(places)].clone()
    write(part)
    keep = np.ones(6)
    keep[places] = 0
    back = np.zeros((6, len(places)))
    back[places, np.arange(len(places))] = 1
    z = z * cr.tensor(keep) + cr.tensor(back) @ part
    expected = (z * z).sum() + old
    np.testing.assert_allclose(value(y).reshape(-1), value(z))
    expected.backward()
    with pytest.raises(RuntimeError, match="sin: .*'input' at version 0"):
        total.backward()  # `before` saved y, which has changed since
    x.grad = None
    y = x * 2
    before = (x * 2).sin().sum()
    write(view(y))
    ((y * y).sum() + before).backward()
    np.testing.assert_allclose(value(x.grad), value(a.grad), atol=1e-14)


@pytest.mark.parametrize("view", VIEWS.values(), ids=list(VIEWS))
def test_a_write_into_the_base_is_seen_by_its_views(view):
    x = leaf(VALUES)
    y = x * 2
    v = view(y)
    y.mul_(3)
    np.testing.assert_allclose(value(v), value(view(y)))
    (v * v).sum().backward()
    a = leaf(VALUES)
    (view(a * 6) ** 2).sum().backward()
    np.testing.assert_allclose(value(x.grad), value(a.grad))


def test_siblings_see_each_other():
    x = leaf(VALUES)
    y = x * 1
    row, column = y[0], y[:, 0]
    row.mul_(10)
    assert column[0].item() == 3.0
    column.sum().backward()
    assert x.grad.tolist() == [[10.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_a_tracked_value_written_into_a_view_of_a_plain_tensor():
    x, y = leaf([2.0, 3.0]), cr.zeros(2, 2, dtype=cr.float64)
    early = y[:, 0]
    y[0].copy_(x)
    assert y.requires_grad
    assert early.requires_grad
    (y * cr.tensor([[1.0, 10.0], [100.0, 1000.0]], dtype=cr.float64)).sum().backward()
    assert x.grad.tolist() == [1.0, 10.0]


def test_many_writes_into_the_same_view():
    x = leaf([1.0])
    y = cr.zeros(3, dtype=cr.float64)
    for k in range(5):
        y[1] += x[0] * (k + 1)
    y.sum().backward()
    assert (y.tolist(), x.grad.tolist()) == ([0.0, 15.0, 0.0], [15.0])


def test_an_overwritten_value_gets_no_gradient():
    x, w = leaf([1.0, 2.0]), leaf([5.0])
    y = x * 3
    y[:1] = w
    y.sum().backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([0.0, 3.0], [1.0])


def test_iterating_gives_views_that_cannot_be_written():
    for row in leaf(VALUES) * 1:
        with pytest.raises(RuntimeError, match="one of several views"):
            row.zero_()
    y = cr.ones(2, 2)
    for row in y:
        row.zero_()
    assert y.sum().item() == 0.0


def test_a_view_made_under_no_grad_cannot_be_written_where_recording_is_on():
    y = leaf([1.0, 2.0]) * 1
    with cr.no_grad():
        v = y[:1]
        v.mul_(2)  # here it can
    with pytest.raises(RuntimeError, match=r"made under no_grad\(\)"):
        v.mul_(2)


def test_a_chosen_leaf_view_stands_for_itself():
    base = cr.zeros(3, dtype=cr.float64)
    v = base[:2].requires_grad_()
    (v * 2).sum().backward()
    assert v.grad.tolist() == [2.0, 2.0]


def test_writes_into_tensors_whose_memory_order_is_ours():
    """Results that lie in memory in another order are laid out anew once, before the first view."""
    x = leaf(np.arange(12.0).reshape(2, 3, 2))
    y = x.permute(2, 0, 1) * 1
    flat = y.view(-1)
    flat[3] = 100.0
    assert y[0, 1, 0].item() == 100.0
    y.sum().backward()
    assert x.grad.sum().item() == 11.0


@pytest.mark.parametrize("write", [lambda d: d.add_(1), lambda d: d.zero_(), lambda d: d.__setitem__(0, 7.0)])
@pytest.mark.parametrize("handle",
    [lambda t: t.detach(), lambda t: t.data, lambda t: t.detach()[...], lambda t: t.data.view(-1)])
def test_detached_handles_share_memory(handle, write):
    y = leaf([1.0, 2.0]) * 1
    write(handle(y))
    assert y.tolist() != [1.0, 2.0]
    assert y.requires_grad
    y.sum().backward()
