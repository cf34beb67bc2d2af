"""backward() and grad(): what they accept, add up, give back and refuse; derivatives of higher orders."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import backward, grad


def value(t):
    return t.numpy(force=True)


def leaf(data, dtype=None):
    return cr.tensor(data, dtype=dtype or cr.float64, requires_grad=True)


# ---- backward() -----------------------------------------------------------------------------------------------------


def test_gradients_accumulate_over_calls():
    x = leaf([1.0])
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_second_backward_through_a_freed_graph_says_what_to_do():
    x = leaf([1.0])
    y = (x * x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"^mul: .*second time.*retain_graph=True.*detach"):
        y.backward()
    assert x.grad.tolist() == [2.0]


def test_second_backward_works_where_nothing_was_saved():
    x = leaf([1.0])
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_retain_graph_keeps_the_saved_arrays():
    x = leaf([3.0])
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_two_losses_share_a_part_of_the_graph():
    x = leaf([3.0])
    shared = x.exp()
    (shared * 2).sum().backward(retain_graph=True)
    (shared * 3).sum().backward()
    np.testing.assert_allclose(value(x.grad), 5 * np.exp([3.0]))


def test_backward_of_many_elements_needs_a_gradient():
    x = leaf([1.0, 2.0])
    with pytest.raises(RuntimeError, match=r"scalar outputs, got shape \(2,\)"):
        (x * 2).backward()
    (x * 2).backward(cr.tensor([1.0, 10.0], dtype=cr.float64))
    assert x.grad.tolist() == [2.0, 20.0]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_backward_of_one_element_of_any_shape(shape):
    x = cr.ones(shape, requires_grad=True)
    (x * 3).backward()
    assert tuple(x.grad.shape) == shape
    assert x.grad.sum().item() == 3.0


def test_backward_of_a_leaf_gives_the_gradient_itself():
    x = leaf(2.0)
    x.backward()
    x.backward(cr.tensor(5.0, dtype=cr.float64))
    assert x.grad.item() == 6.0


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        (lambda: cr.ones(3, dtype=cr.float64), r"shape \(2,\) of the tensor, got \(3,\)"),
        (lambda: [1.0, 2.0], "must be a Tensor, got list"),
        (lambda: np.ones(2), "must be a Tensor, got ndarray"),
        (lambda: 1.0, "must be a Tensor, got float"),
    ],
)
def test_backward_refuses_a_gradient_that_does_not_fit(gradient, message):
    y = leaf([1.0, 2.0]) * 2
    with pytest.raises((RuntimeError, TypeError), match=message):
        y.backward(gradient())


def test_backward_of_what_needs_no_gradient_says_why():
    with pytest.raises(RuntimeError, match=r"does not require grad.*no_grad\(\).*detach"):
        cr.ones(2).sum().backward()
    with pytest.raises(RuntimeError, match="does not require grad"), cr.no_grad():
        (leaf(1.0) * 2).backward()


def test_gradient_is_converted_to_the_dtype_of_the_tensor():
    x = leaf([1.0, 2.0])
    (x * 2).backward(cr.tensor([1.0, 3.0], dtype=cr.float32))
    assert x.grad.dtype == cr.float64


def test_mixed_dtypes_give_each_leaf_a_gradient_of_its_own_dtype():
    a = cr.tensor([1.0, 2.0], dtype=cr.float32, requires_grad=True)
    b = cr.tensor([3.0, 4.0], dtype=cr.float64, requires_grad=True)
    (a * b).sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (cr.float32, cr.float64)
    assert (a.grad.tolist(), b.grad.tolist()) == ([3.0, 4.0], [1.0, 2.0])


def test_autograd_backward_takes_several_tensors():
    x = leaf([1.0, 2.0])
    y = x * x
    backward([y.sum(), x * 2], [None, cr.tensor([1.0, 2.0], dtype=cr.float64)])
    assert x.grad.tolist() == [4.0, 8.0]
    with pytest.raises(RuntimeError, match="expected 2 gradients, one for each output, got 1"):
        backward([x.sum(), x.sum()], [None])


def test_the_same_root_twice_counts_twice():
    x = leaf(3.0)
    y = x * 2
    backward([y, y])
    assert x.grad.item() == 4.0


def test_a_root_below_another_root():
    x = leaf(3.0)
    y = x * 2
    z = y * y
    backward([y, z])
    assert x.grad.item() == 2 + 2 * 6 * 2


def test_backward_with_inputs_leaves_the_others_alone():
    a, b = leaf(2.0), leaf(3.0)
    middle = a * b
    (middle * middle).backward(inputs=[a])
    assert (a.grad.item(), b.grad) == (36.0, None)
    (a * b * 2).backward(inputs=b)
    assert (a.grad.item(), b.grad.item()) == (36.0, 4.0)


def test_backward_with_an_intermediate_result_as_input():
    a = leaf(2.0)
    middle = a * 3
    (middle * middle).backward(inputs=[middle, a])
    assert (middle.grad.item(), a.grad.item()) == (12.0, 36.0)


def test_backward_with_empty_inputs_is_refused():
    with pytest.raises(RuntimeError, match="inputs is empty"):
        (leaf(1.0) * 2).backward(inputs=[])


def test_multi_output_operations_with_unused_outputs():
    x = leaf(np.arange(6.0))
    _, second, _ = x.split(2)
    (second * second).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 4.0, 6.0, 0.0, 0.0]
    first, *_ = x.unbind()
    first.backward()
    assert x.grad.tolist() == [1.0, 0.0, 4.0, 6.0, 0.0, 0.0]


def test_all_outputs_of_a_multi_output_operation_in_any_order():
    x = leaf(np.arange(4.0))
    a, b = x.chunk(2)
    (b * 10 + a).sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 10.0, 10.0]


def test_values_and_indices_of_max_sort_topk():
    x = leaf([[3.0, 1.0, 2.0]])
    x.max(1).values.sum().backward()
    x.sort(1).values[:, 0].sum().backward()
    x.topk(2, 1).values.sum().backward()
    assert x.grad.tolist() == [[2.0, 1.0, 1.0]]
    assert not x.max(1).indices.requires_grad


# ---- grad() ---------------------------------------------------------------------------------------------------------


def test_grad_touches_no_grad_attribute():
    x = leaf([1.0, 2.0])
    (g,) = grad((x * x).sum(), x)
    assert g.tolist() == [2.0, 4.0]
    assert x.grad is None
    assert not g.requires_grad


def test_grad_of_an_unused_input():
    x, other = leaf([1.0]), leaf([[5.0, 6.0]])
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match=r"inputs\[1\] was not used.*allow_unused=True"):
        grad(y, [x, other], retain_graph=True)
    assert grad(y, [x, other], allow_unused=True, retain_graph=True)[1] is None
    zeros = grad(y, [x, other], materialize_grads=True)[1]
    assert zeros.tolist() == [[0.0, 0.0]]
    assert zeros.dtype == cr.float64


def test_grad_with_respect_to_what_needs_none_is_refused():
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match="does not require grad"):
        grad(x.sum(), cr.ones(1))
    with pytest.raises(TypeError, match="inputs must be Tensors, got ndarray"):
        grad(x.sum(), [np.ones(1)])


def test_grad_with_respect_to_intermediate_results():
    x = leaf(2.0)
    a = x * 3
    b = a * a
    c = b.sin()
    gx, ga, gb, gc = grad(c, [x, a, b, c])
    np.testing.assert_allclose(
        [gx.item(), ga.item(), gb.item(), gc.item()], [np.cos(36) * 36, np.cos(36) * 12, np.cos(36), 1.0]
    )


def test_grad_stops_at_an_intermediate_input():
    """The part of the graph behind the input does not run."""
    x = leaf(2.0)
    ran = []
    a = x * 3
    a.grad_fn.register_hook(lambda *_: ran.append("behind"))
    assert grad(a * a, a)[0].item() == 12.0
    assert not ran


def test_only_nodes_on_the_way_to_an_input_run():
    x, y = leaf(2.0), leaf(3.0)
    ran = []
    side = y.exp()
    side.register_hook(lambda g: ran.append("side"))
    total = x * x + side * side
    assert grad(total, x)[0].item() == 4.0
    assert not ran


def test_grad_of_the_same_input_twice():
    x = leaf([2.0])
    a, b = grad((x * x).sum(), [x, x])
    assert a.tolist() == b.tolist() == [4.0]
    a.zero_()
    assert b.tolist() == [4.0]


def test_grad_of_several_outputs_is_their_sum():
    x = leaf([2.0, 3.0])
    (g,) = grad([x.sum(), (x * x)], x, [None, cr.tensor([1.0, 2.0], dtype=cr.float64)])
    assert g.tolist() == [5.0, 13.0]
    with pytest.raises(RuntimeError, match="one grad_output for each of the 2 outputs, got 1"):
        grad([x.sum(), x.sum()], x, [None])


def test_grad_of_an_output_that_is_an_input():
    x = leaf([2.0, 3.0])
    y = x * 2
    seed = cr.tensor([1.0, 10.0], dtype=cr.float64)
    gy, gx = grad(y, [y, x], seed)
    assert (gy.tolist(), gx.tolist()) == ([1.0, 10.0], [2.0, 20.0])
    gy.zero_()
    assert seed.tolist() == [1.0, 10.0]
    assert grad(x, x, seed)[0].tolist() == [1.0, 10.0]


def test_grad_keeps_the_graph_only_when_asked():
    x = leaf(2.0)
    y = x * x
    grad(y, x, retain_graph=True)
    grad(y, x)
    with pytest.raises(RuntimeError, match="second time"):
        grad(y, x)


# ---- higher orders --------------------------------------------------------------------------------------------------


def test_third_order():
    x = leaf([0.3, 0.7])
    y = (x**4).sum()
    (first,) = grad(y, x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    (third,) = grad(second.sum(), x, create_graph=True)
    v = np.array([0.3, 0.7])
    np.testing.assert_allclose(value(first), 4 * v**3)
    np.testing.assert_allclose(value(second), 12 * v**2)
    np.testing.assert_allclose(value(third), 24 * v)
    np.testing.assert_allclose(value(grad(third.sum(), x)[0]), [24.0, 24.0])


@pytest.mark.parametrize("name", ["sin", "exp", "tanh", "sigmoid", "log1p"])
def test_third_order_against_differences_of_the_second(name):
    x = leaf([0.3, 0.9])

    def second(t):
        (first,) = grad(getattr(t, name)().sum(), t, create_graph=True)
        return grad(first.sum(), t, create_graph=True)[0]

    (third,) = grad(second(x).sum(), x)
    eps = 1e-5
    up, down = (value(second(leaf(np.array([0.3, 0.9]) + s))) for s in (eps, -eps))
    np.testing.assert_allclose(value(third), (up - down) / (2 * eps), rtol=1e-6)


def test_gradient_of_a_linear_function_has_no_gradient():
    x = leaf([1.0, 2.0])
    (g,) = grad((x * 3 + 1).sum(), x, create_graph=True)
    assert not g.requires_grad
    w = leaf([5.0, 6.0])
    (g,) = grad((x * w).sum(), x, create_graph=True)
    assert grad(g.sum(), w)[0].tolist() == [1.0, 1.0]
    assert grad((g * g).sum() if g.requires_grad else g.sum(), x, allow_unused=True) == (None,)


def test_mixed_second_derivatives_are_symmetric():
    x, y = leaf([0.5, 1.5]), leaf([2.0, 0.3])
    f = (x * y * y).sin().sum()
    gx, gy = grad(f, [x, y], create_graph=True)
    (xy,) = grad(gx.sum(), y, retain_graph=True)
    (yx,) = grad(gy.sum(), x)
    np.testing.assert_allclose(value(xy), value(yx))


def test_create_graph_keeps_the_graph_and_the_gradient_of_a_cotangent():
    x, v = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = x * x
    (g,) = grad(y, x, v, create_graph=True)
    (gv,) = grad(g.sum(), v)
    assert gv.tolist() == [2.0, 4.0]
    grad(y, x, v)  # create_graph kept it


def test_gradient_penalty_through_backward():
    w = leaf([1.0, -2.0])
    (w**3).sum().backward(create_graph=True)
    penalty = (w.grad**2).sum()
    w.grad = None
    penalty.backward()
    np.testing.assert_allclose(value(w.grad), 2 * 3 * np.array([1.0, 4.0]) * 6 * np.array([1.0, -2.0]))


def test_backward_with_create_graph_accumulates_into_a_plain_gradient():
    x = leaf(2.0)
    (x * x).backward()
    (x * x * x).backward(create_graph=True)
    assert x.grad.item() == 16.0
    assert grad(x.grad, x)[0].item() == 12.0


def test_no_graph_is_left_on_gradients_otherwise():
    x = leaf(2.0)
    (x * x).backward()
    (x * x).backward()
    assert not x.grad.requires_grad
    assert not grad(x * x, x)[0].requires_grad


def test_gradients_are_recorded_even_under_no_grad():
    x = leaf(2.0)
    y = x**3
    with cr.no_grad():
        (g,) = grad(y, x, create_graph=True)
    assert grad(g, x)[0].item() == 12.0
