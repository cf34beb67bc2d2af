"""The backward pass: graphs of every shape, errors in the middle, threads, the graph as users see it."""

from __future__ import annotations

import itertools
import threading
import time
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, backward, grad


def value(t):
    return t.numpy(force=True)


def leaf(data, dtype=None):
    return cr.tensor(data, dtype=dtype or cr.float64, requires_grad=True)


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
