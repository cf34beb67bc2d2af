"""What users of small engines trip over, and what happens here: one test for each trap.

A1 in-place operations, A2 lifetime of graphs, A3 dtypes, A6 messages, A7 NaN and gradient checks; NumPy arrays beside
tensors (A4) and higher derivatives (A5) have files of their own: test_numpy_operators.py, test_numpy_functions.py and
test_numpy_conversion.py; oracle/test_func_against_torch.py.
"""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F


def host(t):
    return t.numpy(force=True)


# ---- A1: in-place operations, views, version counters ----------------------------------------------------------------


def test_assigning_a_tracked_block_into_an_array():
    a = cr.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    b = cr.zeros(3, 3)
    b[:2, :2] = a
    (b * b).sum().backward()
    np.testing.assert_array_equal(host(a.grad), 2 * host(a))


def test_filling_a_result_element_by_element_in_a_loop():
    x = cr.tensor([1.0, 2.0, 3.0], requires_grad=True)
    result = cr.zeros(3)
    for m in range(3):
        result[m] = x[m] * (m + 1)
    result.sum().backward()
    assert x.grad.tolist() == [1.0, 2.0, 3.0]


def test_assigning_into_a_leaf_says_why_and_what_to_do():
    w = cr.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"leaf tensor that requires grad cannot be changed in place.*no_grad"):
        w[0] = 2.0
    assert w.tolist() == [1.0, 1.0, 1.0]


def test_a_slice_multiplied_by_itself_in_place():
    v = cr.tensor([2.0, 3.0], requires_grad=True)
    x = cr.tensor([1.0, 2.0]) * 1.0
    x[0] = x[0].clone() * v[0]
    x[0] = x[0].clone() * v[1]
    x.sum().backward()
    assert v.grad.tolist() == [3.0, 2.0]
    x = cr.tensor([1.0, 2.0]) * 1.0
    x[0] = x[0] * v[0]  # the product saves the very element that is overwritten, as in PyTorch
    with pytest.raises(RuntimeError, match="it saved 'input' at version 0, which is now at version 1.*clone"):
        x.sum().backward()


@pytest.mark.parametrize("how", ["data", "detach", "no_grad view", "no_grad"])
def test_a_write_behind_the_tapes_back_is_noticed(how):
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    h = x * 1.0
    y = (h * h).sum()
    if how == "data":
        h.data.mul_(2.0)
    elif how == "detach":
        h.detach()[0] = 5.0
    elif how == "no_grad view":
        with cr.no_grad():
            h[:1].add_(1.0)
    else:
        with cr.no_grad():
            h.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation.*version"):
        y.backward()
    assert x.grad is None


def test_chained_views_share_one_counter_and_one_graph():
    x = cr.ones(2, 3, requires_grad=True)
    base = x * 1.0
    inner = base[0][1:][0]
    inner.mul_(5.0)
    base.sum().backward()
    assert x.grad.tolist() == [[1.0, 5.0, 1.0], [1.0, 1.0, 1.0]]


def test_a_custom_backward_that_changes_its_gradient_hurts_nobody_else():
    class Greedy(cr.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2.0

        @staticmethod
        def backward(ctx, g):
            return g.mul_(2.0)

    x, y = cr.ones(2, requires_grad=True), cr.ones(2, requires_grad=True)
    (Greedy.apply(x) + y).sum().backward()
    assert y.grad.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("kind", ["tensor", "prehook", "node"])
def test_a_hook_that_changes_its_gradient_in_place_is_refused(kind):
    x, y = cr.ones(2, requires_grad=True), cr.ones(2, requires_grad=True)
    h = x * 2
    if kind == "tensor":
        h.register_hook(lambda g: g.mul_(2.0))
    elif kind == "prehook":
        h.grad_fn.register_prehook(lambda gs: (gs[0].mul_(2.0),))
    else:
        h.grad_fn.register_hook(lambda inputs, outputs: (outputs[0].mul_(2.0),))
    with pytest.raises(RuntimeError, match="changed the gradient it was given in place.*return the new gradient"):
        (h + y).backward(cr.ones(2))


def test_two_parents_of_a_sum_have_gradients_of_their_own():
    x, y = cr.ones(3, requires_grad=True), cr.ones(3, requires_grad=True)
    (x + y).sum().backward()
    x.grad.mul_(7.0)
    assert y.grad.tolist() == [1.0, 1.0, 1.0]


def test_gradients_that_numpy_would_make_read_only_can_be_written():
    x = cr.ones(3, requires_grad=True)
    x.sum().backward()
    x.grad.add_(1.0)
    assert x.grad.tolist() == [2.0, 2.0, 2.0]


# ---- A2: lifetime of graphs ------------------------------------------------------------------------------------------


def test_create_graph_makes_no_cycle_that_the_collector_has_to_find():
    gc.disable()
    try:
        x = cr.ones(2, requires_grad=True)
        (x**3).sum().backward(create_graph=True)
        alive = weakref.ref(x)
        x.grad = None
        del x
        assert alive() is None
    finally:
        gc.enable()


def test_a_hook_whose_closure_holds_its_result_goes_with_it():
    gc.disable()
    try:
        x = cr.ones(2, requires_grad=True)
        y = x * 2
        seen = []
        y.register_hook(lambda g, name="y": seen.append(name))
        node = weakref.ref(y.grad_fn)
        y.sum().backward()
        del y
        assert seen == ["y"]
        assert node() is None
    finally:
        gc.enable()


def test_a_state_carried_across_steps_is_named_in_the_error():
    w = cr.ones(2, requires_grad=True)
    state = cr.zeros(2)
    state = cr.tanh(state + w)
    state.sum().backward()
    state = cr.tanh(state + w)
    with pytest.raises(RuntimeError, match=r"second time.*a tensor of an earlier step is still in this graph: detach"):
        state.sum().backward()


# ---- A3: dtypes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16, cr.float32, cr.float64])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: x * 2.0,
        lambda x: x / math.sqrt(10),
        lambda x: 1 / x,
        lambda x: x**2,
        lambda x: x.mean() / 3,
        lambda x: x.std() + 1e-5,
        lambda x: x * cr.tensor(2.0, dtype=cr.float64),
        lambda x: x / cr.tensor([1, 2, 3]),
        lambda x: cr.where(x > 1, x, 0.0),
        lambda x: x.max() - x.min(),
        lambda x: F.softmax(x, 0) * x.shape[0],
    ],
)
def test_nothing_widens_a_floating_dtype(f, dtype):
    x = cr.tensor([1.0, 2.0, 3.0], dtype=dtype, requires_grad=True)
    y = f(x)
    y.sum().backward()
    assert y.dtype == dtype
    assert x.grad.dtype == dtype


def test_integers_refuse_gradients_and_add_up_wide():
    with pytest.raises(RuntimeError, match="only floating-point and complex tensors can require gradients"):
        cr.tensor([1, 2], requires_grad=True)
    assert cr.tensor([200, 100], dtype=cr.uint8).sum().item() == 300


def test_half_precision_sums_do_not_stop_growing():
    x = cr.ones(4096 * 4, dtype=cr.float16)
    assert x.sum().item() == 4096 * 4
    assert x.mean().item() == 1.0


# ---- A6: messages ----------------------------------------------------------------------------------------------------


def test_a_shape_mismatch_names_both_shapes_and_the_layer():
    model = cr.nn.Sequential(cr.nn.Flatten(), cr.nn.Linear(10, 5), cr.nn.ReLU(), cr.nn.Linear(4, 2))
    with pytest.raises(RuntimeError) as caught:
        model(cr.ones(3, 10))
    for part in ("3", "linear", "(3, 5)", "(2, 4)"):
        assert part in str(caught.value)


def test_a_second_backward_says_what_to_do():
    x = cr.ones(2, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"mul: .*a second time.*retain_graph=True"):
        y.backward()


def test_the_gradient_of_a_result_is_none_with_a_warning():
    x = cr.ones(2, requires_grad=True)
    y = x * 2
    y.sum().backward()
    with pytest.warns(UserWarning, match="of a tensor that is no leaf is read.*retain_grad"):
        assert y.grad is None
    kept = x * 2
    kept.retain_grad()
    assert kept.grad is None


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss])
def test_a_loss_does_not_broadcast(loss):
    with pytest.raises(ValueError, match=r"\(4, 1\).*\(4,\)|\(4,\).*\(4, 1\)"):
        loss(cr.ones(4, 1), cr.ones(4))


# ---- A7: NaN, infinities and checks of gradients ---------------------------------------------------------------------


def test_an_unused_branch_of_where_gives_nan_and_two_wheres_do_not():
    x = cr.tensor([0.0, 4.0], requires_grad=True)
    cr.where(x > 0, cr.sqrt(x) / x, 1.0).sum().backward()
    assert math.isnan(x.grad[0].item())
    x.grad = None
    safe = cr.where(x > 0, x, 1.0)
    cr.where(x > 0, cr.sqrt(safe) / safe, 1.0).sum().backward()
    assert host(x.grad).tolist() == [0.0, -0.0625]


@pytest.mark.parametrize(
    "f", [cr.abs, lambda x: x.norm(), lambda x: x.std(), lambda x: cr.relu(x), lambda x: x.abs().max()]
)
def test_subgradients_at_zero_are_finite(f):
    x = cr.zeros(3, requires_grad=True)
    f(x).sum().backward()
    assert np.isfinite(host(x.grad)).all()


def test_zero_to_a_power_and_products_with_zeros():
    x = cr.tensor([0.0, 2.0, 0.0], requires_grad=True)
    (x**2).sum().backward()
    assert x.grad.tolist() == [0.0, 4.0, 0.0]
    x.grad = None
    x.prod().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_large_logits_stay_finite():
    x = cr.tensor([[1000.0, -1000.0]], requires_grad=True)
    F.cross_entropy(x, cr.tensor([1])).backward()
    assert np.isfinite(host(x.grad)).all()
    assert F.softplus(cr.tensor([1000.0])).item() == 1000.0
    assert cr.sigmoid(cr.tensor([-1000.0])).item() == 0.0


def test_duplicate_indices_add_up():
    w = cr.zeros(3, requires_grad=True)
    w[cr.tensor([1, 1, 1])].sum().backward()
    assert w.grad.tolist() == [0.0, 3.0, 0.0]


def test_integer_overflow_wraps_as_in_pytorch():
    assert (cr.tensor([127], dtype=cr.int8) + 1).tolist() == [-128]


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
def test_empty_tensors_have_gradients(shape):
    x = cr.zeros(shape, requires_grad=True)
    (x.exp() * 2).sum().backward()
    assert x.grad.shape == shape
    with pytest.raises((RuntimeError, IndexError), match="max"):
        x.max()


def test_overlapping_memory_is_not_written():
    x = cr.ones(1, 3).expand(4, 3)
    with pytest.raises(RuntimeError, match="single memory location.*clone"):
        x.add_(1.0)
    assert x.sum().item() == 12.0
