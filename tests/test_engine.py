"""The backward pass: graphs of every shape, who owns a gradient, what stays alive, what is left alone after errors."""

from __future__ import annotations

import gc
import itertools
import threading
import time
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, backward, grad
from chainrule.autograd.node import Edge, View


def value(t):
    return t.numpy(force=True)


def leaf(data, dtype=None):
    return cr.tensor(data, dtype=dtype or cr.float64, requires_grad=True)


@pytest.fixture
def no_gc():
    """Only reference counting frees anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def left_to_the_collector():
    """Tensors, nodes and arrays that only the cycle collector would free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        ours = (cr.Tensor, Edge, np.ndarray, View)
        return [type(o).__name__ for o in gc.garbage if issubclass(type(o), ours) or type(o).__name__ == "GuardArray"]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()


# ---- graphs of every shape ------------------------------------------------------------------------------------------


def test_diamond_sums_both_paths():
    x = leaf([1.0, 2.0])
    a = x * 3
    (a.sin() * a.cos() + a).sum().backward()
    np.testing.assert_allclose(value(x.grad), 3 * np.cos(6 * np.array([1.0, 2.0])) + 3)


def test_many_diamonds_in_a_row_run_each_node_once():
    x = leaf(1.0)
    y = x
    for _ in range(60):  # 2**60 paths
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.item() == 1.0


def test_one_tensor_as_both_arguments():
    x = leaf([3.0])
    (x * x).sum().backward()
    (x @ x).backward()
    assert x.grad.tolist() == [12.0]


def test_fan_out_and_fan_in():
    x = leaf([1.0, 2.0])
    cr.stack([x * i for i in range(100)]).sum().backward()
    assert x.grad.tolist() == [4950.0, 4950.0]


def test_chain_of_20000_operations(no_gc):
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 1e-3
    node = weakref.ref(y.grad_fn)
    y.backward()
    assert x.grad.item() == 1.0
    del y
    assert node() is None


def test_chain_of_20000_operations_differentiated_with_a_graph():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = -y
    (first,) = grad(y * y, x, create_graph=True)
    assert first.item() == 2.0
    assert grad(first, x)[0].item() == 2.0


def test_chain_of_a_million_operations_is_differentiated_and_freed(no_gc):
    x = leaf(1.0)
    y = x
    for _ in range(1_000_000 if x.device.type == "cpu" else 50_000):
        y = -y
    node = weakref.ref(y.grad_fn)
    y.backward()
    assert x.grad.item() == 1.0
    del y
    assert node() is None


def test_backward_needs_no_sorting_of_creation_order():
    """Old tensors used late, new ones early: nodes still run after all that use them."""
    a, b = leaf(2.0), leaf(3.0)
    early = a * b
    late = early.sin()
    other = b * early
    (late * other + early).backward()
    torch_like = np.cos(6) * 18 * 3 + np.sin(6) * 9 + 3
    np.testing.assert_allclose(a.grad.item(), torch_like)


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


# ---- who owns a gradient --------------------------------------------------------------------------------------------

SHARING = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a + a + b": lambda a, b: a + a + b,
    "reshape": lambda a, b: a.reshape(3, 2) + b.reshape(3, 2),
    "view": lambda a, b: a.view(-1) + b.view(-1),
    "transpose": lambda a, b: (a.t() + b.t()),
    "sum": lambda a, b: a.sum() + b.sum(),
    "sum dim": lambda a, b: a.sum(0) + b.sum(0),
    "mean": lambda a, b: a.mean() + b.mean(),
    "expand": lambda a, b: a.expand(4, 2, 3) + b.expand(4, 2, 3),
    "broadcast": lambda a, b: a[:1] + b,
    "flatten": lambda a, b: a.flatten() + b.flatten(),
    "getitem": lambda a, b: a[0] + b[0],
    "cat": lambda a, b: cr.cat([a, b]),
    "stack": lambda a, b: cr.stack([a, b]),
    "split": lambda a, b: a.split(1)[0] + b.split(1)[0],
    "unbind": lambda a, b: a.unbind()[0] + b.unbind()[1],
    "clone": lambda a, b: a.clone() + b.clone(),
    "where": lambda a, b: cr.where(a > 0, a, b),
    "to": lambda a, b: a.double() + b.double(),
    "unsqueeze": lambda a, b: a.unsqueeze(0) + b.unsqueeze(0),
    "squeeze": lambda a, b: a.unsqueeze(0).squeeze() + b,
    "max": lambda a, b: a.max() + b.max(),
    "leaf": lambda a, b: a,
    "neg": lambda a, b: -a + b,
    "mul": lambda a, b: a * b,
    "contiguous": lambda a, b: a.t().contiguous() + b.t().contiguous(),
    "copy_": lambda a, b: cr.zeros(2, 3, dtype=cr.float64).copy_(a) + b,
    "setitem": lambda a, b: _written(a) + b,
}


def _written(a):
    y = cr.zeros(2, 3, dtype=cr.float64)
    y[:] = a
    return y


def every_array(*tensors):
    return [None if t is None else value(t).copy() for t in tensors]


@pytest.mark.parametrize("mode", ["backward", "create_graph", "grad", "twice", "inputs"])
@pytest.mark.parametrize("name", SHARING)
def test_a_gradient_belongs_to_its_tensor_alone(name, mode):
    """Each gradient in turn is changed in place: inputs, results, seeds and the other gradients stay."""
    for victim in range(2):
        a, b = leaf(np.arange(1.0, 7).reshape(2, 3)), leaf(np.arange(7.0, 13).reshape(2, 3))
        out = SHARING[name](a, b)
        seed = cr.ones_like(out)
        inputs = [a, b] if b.grad_fn is None and name != "leaf" else [a]
        if mode == "grad":
            gradients = list(grad(out, inputs, seed, allow_unused=True))
        else:
            out.backward(
                seed,
                create_graph=mode == "create_graph",
                retain_graph=mode == "twice",
                inputs=inputs if mode == "inputs" else None,
            )
            if mode == "twice":
                out.backward(seed)
            gradients = [t.grad for t in inputs]
        if victim >= len(gradients) or gradients[victim] is None:
            continue
        others = [a, b, out, seed, *[g for i, g in enumerate(gradients) if i != victim]]
        before = every_array(*others)
        with cr.no_grad():
            gradients[victim].mul_(-7)
            gradients[victim][0] = 99.0
        for x, y in zip(before, every_array(*others), strict=True):
            np.testing.assert_array_equal(x, y)


def test_the_seed_of_a_leaf_is_copied():
    x, g = leaf([1.0, 2.0]), cr.ones(2, dtype=cr.float64)
    x.backward(g)
    x.grad.zero_()
    assert g.tolist() == [1.0, 1.0]
    x.grad = None
    x.backward(g)
    g.zero_()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_view_of_the_seed_that_the_user_keeps():
    x, whole = leaf([1.0, 2.0]), cr.ones(4, dtype=cr.float64)
    (x + 0).backward(whole[:2])
    x.grad.zero_()
    assert whole.tolist() == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("keep",
    [lambda g: g, lambda g: g[:1], lambda g: g.detach(), lambda g: g.view(1, 2), lambda g: g.t()])
def test_a_gradient_that_a_hook_kept_is_not_changed(keep):
    x = leaf([1.0, 2.0])
    kept = []
    x.register_hook(lambda g: kept.append(keep(g)))
    (x * x).sum().backward()
    before = value(kept[0]).copy()
    x.grad.mul_(-1)
    (x * x).sum().backward()
    np.testing.assert_array_equal(value(kept[0]), before)


def test_a_gradient_that_a_node_hook_kept_is_not_changed():
    a, b = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    kept = []
    y = a * b
    y.grad_fn.register_hook(lambda ins, outs: kept.extend([*ins, *outs]))
    y.sum().backward()
    before = every_array(*kept)
    for t in (a, b):
        t.grad.mul_(-1)
    for x, k in zip(before, kept, strict=True):
        np.testing.assert_array_equal(value(k), x)


def test_a_gradient_that_a_custom_function_keeps_is_not_changed():
    kept = []

    class Keep(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            kept.append(g)
            kept.append(g * 2)
            return kept[-1]

    x = leaf([1.0, 2.0])
    Keep.apply(x).sum().backward()
    x.grad.zero_()
    assert [k.tolist() for k in kept] == [[1.0, 1.0], [2.0, 2.0]]


def test_accumulation_is_in_place_so_that_a_kept_reference_sees_it():
    x = leaf([1.0])
    (x * 2).sum().backward()
    held = x.grad
    (x * 3).sum().backward()
    assert held is x.grad
    assert held.tolist() == [5.0]


def test_accumulation_does_not_write_into_a_gradient_with_a_graph():
    x = leaf([2.0])
    (x**3).sum().backward(create_graph=True)
    held = x.grad
    (x * 2).sum().backward()
    assert held.tolist() == [12.0]
    assert x.grad.tolist() == [14.0]


@pytest.mark.parametrize("build", SHARING.values(), ids=list(SHARING))
def test_every_gradient_is_writable(build):
    a, b = leaf(np.ones((2, 3))), leaf(np.ones((2, 3)))
    out = build(a, b)
    out.backward(cr.ones_like(out))
    for t in (a, b):
        if t.grad is not None:
            t.grad[...] = 1.0
            t.grad += 1
            assert (value(t.grad) == 2.0).all()


def test_gradients_of_results_kept_by_retain_grad_are_owned():
    x = leaf([1.0, 2.0])
    y, z = x + 1, x + 2
    total = y + z
    for t in (y, z, total):
        t.retain_grad()
    total.sum().backward()
    y.grad.zero_()
    assert z.grad.tolist() == total.grad.tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [2.0, 2.0]


# ---- what is kept alive ---------------------------------------------------------------------------------------------


class Watch:
    """Whether the array behind a tensor is still there."""

    def __init__(self, t):
        self.ref = weakref.ref(t._data)

    @property
    def alive(self):
        return self.ref() is not None


def test_addition_keeps_no_operand_alive(no_gc):
    x = leaf([1.0]) * 1
    watch = Watch(x)
    y = x + 1
    del x
    assert not watch.alive
    y.sum().backward()


@pytest.mark.parametrize(
    ("f", "kept"),
    [
        (lambda x: x + 1, False), (lambda x: x - 1, False), (lambda x: -x, False), (lambda x: x * 2, False),
        (lambda x: x / 2, False),
        (lambda x: x.sum(), False), (lambda x: x.mean(), False), (lambda x: x.exp(), False),
        (lambda x: x.tanh(), False),
        (lambda x: x.relu(), False), (lambda x: x.sigmoid(), False), (lambda x: x.clone(), False),
        (lambda x: x.cumsum(0), False),
        (lambda x: x[[0, 0]], False), (lambda x: x.float(), False), (lambda x: cr.cat([x, x]), False),
        (lambda x: x.softmax(0), False),
        (lambda x: cr.where(x > 0, x, 0.0), False), (lambda x: x.sin(), True), (lambda x: x * x, True),
        (lambda x: x.log(), True),
        (lambda x: x**2, True), (lambda x: x.abs(), True), (lambda x: x.var(), True),
    ],
)  # fmt: skip
def test_what_an_operation_saves_of_its_argument(f, kept, no_gc):
    x = leaf([1.0, 2.0, 3.0]) * 1
    watch = Watch(x)
    y = f(x)
    del x
    assert watch.alive == kept
    y.sum().backward()
    del y
    assert not watch.alive


def test_only_the_operand_that_a_rule_needs_is_saved(no_gc):
    w = leaf([2.0])
    x, y = cr.ones(1, dtype=cr.float64) + 1, w * 1
    watch_x, watch_y = Watch(x), Watch(y)
    z = x * y  # the gradient of y needs x; nobody needs y
    del x, y
    assert (watch_x.alive, watch_y.alive) == (True, False)
    z.backward()
    assert w.grad.tolist() == [2.0]


def test_saved_arrays_go_as_they_are_consumed(no_gc):
    """When the first node of the chain runs in backward, the later ones have let go of theirs."""
    x = leaf([0.5])
    a = x.sin()
    b = a.sin()
    c = b.sin()
    watches = {"a": Watch(a), "b": Watch(b)}
    alive = {}
    x.register_hook(lambda g: alive.update({k: w.alive for k, w in watches.items()}))
    total = c.sum()
    del a, b, c
    assert all(w.alive for w in watches.values())
    total.backward()
    assert alive == {"a": False, "b": False}


def test_retain_graph_keeps_saved_arrays_until_the_graph_goes(no_gc):
    a = leaf([0.5]).sin()
    watch = Watch(a)
    total = a.sin().sum()
    del a
    total.backward(retain_graph=True)
    assert watch.alive
    del total
    assert not watch.alive


@pytest.mark.parametrize(
    "build",
    [
        lambda x: (x * x).sin().sum(), lambda x: x.exp().sum(), lambda x: x.max(),
        lambda x: cr.stack(x.unbind()).prod(),
        lambda x: x.softmax(0).log().sum(), lambda x: (x.var() + x.std()).sqrt(),
        lambda x: x.sort().values[0] * x.norm(),
        lambda x: cr.einsum("i,i->", x, x), lambda x: x.reshape(1, -1).t().sum(), lambda x: x.cumsum(0).logsumexp(0),
    ],
)  # fmt: skip
@pytest.mark.parametrize("how", ["never run", "backward", "retained", "create_graph"])
def test_a_graph_is_freed_by_reference_counts_alone(build, how, no_gc):
    x = leaf([0.5, 1.5, 0.9])
    y = build(x)
    node = weakref.ref(y.grad_fn)
    if how == "create_graph":
        (g,) = grad(y, x, create_graph=True)
        again = weakref.ref(g.grad_fn) if g.requires_grad else lambda: None
        del g
        assert again() is None
    elif how != "never run":
        y.backward(retain_graph=how == "retained")
    del y
    assert node() is None
    assert left_to_the_collector() == []


def test_a_leaf_is_not_kept_by_its_graph_but_its_accumulator_is(no_gc):
    x = leaf([1.0])
    y = (x + 1).sum()
    ref = weakref.ref(x)
    del x
    assert ref() is None
    y.backward()  # nobody can see the gradient; nothing breaks


def test_in_place_chains_are_freed(no_gc):
    x = leaf([1.0, 2.0])
    y = x * 1
    for _ in range(100):
        y.mul_(1.01)
        y[0].add_(1)
    node = weakref.ref(y.grad_fn)
    y.sum().backward()
    del y
    assert node() is None
    assert left_to_the_collector() == []


# ---- errors in the middle -------------------------------------------------------------------------------------------


class Failing(Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        raise ArithmeticError("planted")


def test_an_exception_in_the_middle_leaves_gradients_as_they_were():
    a, b = leaf([1.0]), leaf([2.0])
    (a * b).sum().backward()
    before = a.grad, b.grad, a.grad.tolist(), b.grad.tolist()
    with pytest.raises(ArithmeticError, match="planted"):
        ((a * 5).sum() + (Failing.apply(b) * a).sum()).backward()
    assert a.grad is before[0]
    assert b.grad is before[1]
    assert (a.grad.tolist(), b.grad.tolist()) == before[2:]


def test_an_exception_in_a_hook_leaves_gradients_as_they_were():
    a, b = leaf([1.0]), leaf([2.0])
    y = a * 2

    def fail(g):
        raise ArithmeticError("planted")

    y.register_hook(fail)
    with pytest.raises(ArithmeticError, match="planted"):
        (y + b * 3).sum().backward()
    assert (a.grad, b.grad) == (None, None)


def test_recording_is_on_again_after_an_exception_in_backward():
    with pytest.raises(ArithmeticError):
        Failing.apply(leaf([1.0])).sum().backward()
    assert cr.is_grad_enabled()
    x = leaf([1.0])
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0]


def test_a_stale_value_found_late_leaves_gradients_as_they_were():
    a, b = leaf([1.0]), leaf([2.0])
    early = a * 1
    late = early * b
    early.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        (late + a * 3).sum().backward()
    assert (a.grad, b.grad) == (None, None)


# ---- threads --------------------------------------------------------------------------------------------------------


def test_threads_with_graphs_of_their_own():
    results, errors = {}, []

    def work(k):
        try:
            for step in range(30):
                x = leaf(np.full(50, float(k)))
                y = x
                for _ in range(20):
                    y = y * 1.01 + x.sin()
                (g,) = grad(y.sum(), x, create_graph=True)
                (h,) = grad(g.sum(), x)
                results.setdefault(k, []).append((value(g)[0], value(h)[0]))
                if step % 10 == 0:
                    time.sleep(0)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
    assert all(len(set(r)) == 1 and len(r) == 30 for r in results.values())


def test_no_grad_holds_in_its_own_thread_only():
    x = leaf([1.0])
    inside, leave, seen = threading.Event(), threading.Event(), []

    def work():
        with cr.no_grad():
            inside.set()
            leave.wait(10)
            seen.append((x * 2).requires_grad)

    t = threading.Thread(target=work)
    t.start()
    inside.wait(10)
    seen.append((x * 2).requires_grad)
    leave.set()
    t.join()
    assert seen == [True, False]


def test_backward_in_another_thread():
    x = leaf([3.0])
    y = (x * x).sum()
    t = threading.Thread(target=y.backward)
    t.start()
    t.join()
    assert x.grad.tolist() == [6.0]


# ---- the graph as users see it --------------------------------------------------------------------------------------


def test_grad_fn_and_next_functions():
    x, w = leaf([1.0]), cr.ones(1, dtype=cr.float64)
    y = (x * w).exp()
    assert y.grad_fn.name() == "ExpBackward0"
    (mul, index), *_ = y.grad_fn.next_functions
    assert (mul.name(), index) == ("MulBackward0", 0)
    assert mul.next_functions[1] == (None, 0)
    accumulate = mul.next_functions[0][0]
    assert accumulate.name() == "AccumulateGrad"
    assert accumulate.variable is x
    assert x.grad_fn is None
    assert [t.is_leaf for t in (x, w, y)] == [True, True, False]


def test_outputs_of_one_operation_share_their_node():
    a, b = leaf([1.0, 2.0]).unbind()
    assert a.grad_fn is b.grad_fn
    assert (a.output_nr, b.output_nr) == (0, 1)


def test_saved_outputs_of_several_are_part_of_the_graph():
    """A second derivative through a saved output reaches the tensors that are that output."""

    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            a, b = x * x, x * 3
            ctx.save_for_backward(a, x)
            return a, b

        @staticmethod
        def backward(ctx, ga, gb):
            a, x = ctx.saved_tensors
            return ga * 2 * x + gb * 3 + a * 0

    x = leaf([2.0])
    a, b = Two.apply(x)
    (g,) = grad([a, b], x, [cr.ones_like(a), cr.ones_like(b)], create_graph=True)
    assert g.tolist() == [7.0]
    assert grad(g.sum(), x)[0].tolist() == [2.0]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_the_order_of_seeds_does_not_matter(order):
    x = leaf([1.0, 2.0, 3.0])
    parts = [x * 2, (x * x).sum(), x[0]]
    seeds = [cr.ones(3, dtype=cr.float64), None, None]
    backward([parts[i] for i in order], [seeds[i] for i in order])
    assert x.grad.tolist() == [5.0, 6.0, 8.0]


def test_grad_takes_its_arguments_in_pytorchs_order():
    """Gradient penalties are written with only_inputs=True, and some call by position."""
    x = cr.ones(2, requires_grad=True)
    unused = cr.ones(2, requires_grad=True)
    seed = cr.ones(2)
    assert cr.autograd.grad(x * 3, x, grad_outputs=seed, only_inputs=True)[0].tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="unused|not used|does not depend"):
        cr.autograd.grad(x * 3, unused, seed, True, True, True)
    assert cr.autograd.grad(x * 3, unused, seed, True, True, True, True) == (None,)
    with pytest.warns(FutureWarning, match="only_inputs is deprecated and ignored"):
        cr.autograd.grad(x * 3, x, seed, only_inputs=False)
