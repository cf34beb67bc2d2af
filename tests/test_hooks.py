"""Hooks on tensors, nodes and accumulators: when they run, in which order, what they may replace."""

from __future__ import annotations

import gc
import weakref

import pytest

import chainrule as cr
from chainrule.autograd import backward, grad


def leaf(data):
    return cr.tensor(data, dtype=cr.float64, requires_grad=True)


def test_a_hook_sees_the_gradient():
    x = leaf([1.0, 2.0])
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(("y", g.tolist())))
    x.register_hook(lambda g: seen.append(("x", g.tolist())))
    (y * y).sum().backward()
    assert seen == [("y", [6.0, 12.0]), ("x", [18.0, 36.0])]


def test_what_a_hook_returns_replaces_the_gradient():
    x = leaf([1.0, 2.0])
    y = x * 3
    y.register_hook(lambda g: g * 10)
    x.register_hook(lambda g: g + 1)
    y.sum().backward()
    assert x.grad.tolist() == [31.0, 31.0]


def test_hooks_run_in_order_of_registration_each_on_what_the_last_gave():
    x = leaf([1.0])
    seen = []
    for factor in (2, 3, 5):
        x.register_hook(lambda g, factor=factor: (seen.append(g.item()), g * factor)[1])
    x.sum().backward()
    assert seen == [1.0, 2.0, 6.0]
    assert x.grad.tolist() == [30.0]


def test_a_hook_sees_the_sum_of_all_paths_once():
    x = leaf([2.0])
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 2 + y * 3 + y * y).sum().backward()
    assert seen == [9.0]


def test_hooks_can_be_removed():
    x = leaf([1.0])
    seen = []
    handle = x.register_hook(lambda g: seen.append(1))
    with x.register_hook(lambda g: seen.append(2)):
        (x * 2).backward()
    (x * 2).backward()
    handle.remove()
    handle.remove()
    (x * 2).backward()
    assert seen == [1, 2, 1]


def test_a_hook_can_remove_itself_while_it_runs():
    x = leaf([1.0])
    seen = []

    def once(g):
        seen.append(g.item())
        handle.remove()

    handle = x.register_hook(once)
    x.register_hook(lambda g: seen.append("other"))
    (x * 2).backward()
    (x * 2).backward()
    assert seen == [2.0, "other", "other"]


def test_hooks_on_outputs_of_one_operation():
    x = leaf([1.0, 2.0, 3.0])
    a, b, _ = x.unbind()
    a.register_hook(lambda g: g * 10)
    b.register_hook(lambda g: g * 100)
    (a + b).backward()
    assert x.grad.tolist() == [10.0, 100.0, 0.0]


def test_hooks_run_in_grad_too():
    x = leaf([1.0])
    y = x * 2
    y.register_hook(lambda g: g * 5)
    gx, gy = grad(y * 3, [x, y])
    assert (gx.tolist(), gy.tolist()) == ([30.0], [15.0])


def test_hooks_are_differentiated_with_create_graph():
    x = leaf([3.0])
    y = x * x
    y.register_hook(lambda g: g * x)
    (g,) = grad(y.sum(), x, create_graph=True)
    assert g.tolist() == [18.0]  # 2x * x
    assert grad(g.sum(), x)[0].tolist() == [12.0]


@pytest.mark.parametrize("result", [lambda g: g.sum(), lambda g: 1.0, lambda g: [g]])
def test_a_hook_that_returns_something_else_is_named(result):
    x = leaf([1.0, 2.0])
    y = x * 2
    y.register_hook(result)
    with pytest.raises(RuntimeError, match=r"MulBackward0: a hook must return None or a gradient of shape \(2,\)"):
        y.sum().backward()


def test_hooks_on_what_gets_no_gradient_are_refused():
    with pytest.raises(RuntimeError, match="register_hook: this tensor does not require grad"):
        cr.ones(2).register_hook(print)
    with pytest.raises(RuntimeError, match="retain_grad: this tensor does not require grad"):
        cr.ones(2).retain_grad()
    with pytest.raises(RuntimeError, match="only leaves that require grad accumulate"):
        (leaf([1.0]) * 2).register_post_accumulate_grad_hook(print)


def test_retain_grad():
    x = leaf([1.0, 2.0])
    y = x * 3
    assert not y.retains_grad
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad
    assert not x.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
    assert not y.grad.requires_grad
    x.retain_grad()  # leaves keep theirs anyway


def test_retain_grad_sees_what_hooks_gave():
    y = leaf([1.0]) * 3
    y.retain_grad()
    y.register_hook(lambda g: g * 7)
    y.backward()
    assert y.grad.tolist() == [7.0]


def test_retain_grad_of_outputs_of_one_operation():
    a, b = leaf([1.0, 2.0]).unbind()
    a.retain_grad()
    b.retain_grad()
    (a * 2 + b * 3).backward()
    assert (a.grad.item(), b.grad.item()) == (2.0, 3.0)


def test_retain_grad_with_create_graph_can_be_differentiated():
    x = leaf([2.0])
    y = x * x
    y.retain_grad()
    (y * y).sum().backward(create_graph=True)
    assert grad(y.grad.sum(), x)[0].tolist() == [8.0]


def test_retain_grad_keeps_no_tensor_alive():
    gc.collect()
    gc.disable()
    try:
        y = leaf([1.0]) * 2
        y.retain_grad()
        z = y * 3
        ref = weakref.ref(y)
        del y
        assert ref() is None
        z.backward()
    finally:
        gc.enable()


def test_post_accumulate_hooks():
    x = leaf([1.0, 2.0])
    seen = []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append((t is x, t.grad.tolist())))
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    handle.remove()
    (x * 4).sum().backward()
    assert seen == [(True, [2.0, 2.0]), (True, [5.0, 5.0])]


def test_an_optimizer_in_a_post_accumulate_hook():
    w = leaf([1.0, 2.0])

    @w.register_post_accumulate_grad_hook
    def step(t):
        with cr.no_grad():
            t -= 0.5 * t.grad
        t.grad = None

    for _ in range(2):
        (w * w).sum().backward()
    assert w.tolist() == [0.0, 0.0]
    assert w.grad is None
    del step


def test_post_accumulate_hooks_do_not_run_in_grad():
    x = leaf([1.0])
    seen = []
    x.register_post_accumulate_grad_hook(seen.append)
    grad(x * 2, x)
    assert not seen


def test_node_hooks():
    x, w = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = x * w
    seen = []
    before = y.grad_fn.register_prehook(lambda outs: seen.append(("before", [g.tolist() for g in outs])))
    y.grad_fn.register_hook(lambda ins, outs: seen.append(([g.tolist() for g in ins], [g.tolist() for g in outs])))
    y.sum().backward(retain_graph=True)
    assert seen == [("before", [[1.0, 1.0]]), ([[3.0, 4.0], [1.0, 2.0]], [[1.0, 1.0]])]
    before.remove()
    y.sum().backward()
    assert len(seen) == 3


def test_node_hooks_can_replace():
    x = leaf([1.0])
    y = x * 2
    y.grad_fn.register_prehook(lambda outs: (outs[0] * 10,))
    y.grad_fn.register_hook(lambda ins, outs: tuple(None if g is None else g + 1 for g in ins))
    y.backward()
    assert x.grad.tolist() == [21.0]


def test_node_hooks_of_an_operation_with_several_outputs():
    x = leaf([1.0, 2.0, 3.0])
    a, b = x.split(2)
    seen = []
    a.grad_fn.register_prehook(lambda outs: seen.append([None if g is None else g.tolist() for g in outs]))
    b.sum().backward()
    assert seen == [[None, [1.0]]]
    assert x.grad.tolist() == [0.0, 0.0, 1.0]


def test_hooks_of_an_in_place_result_belong_to_the_new_value():
    x = leaf([2.0])
    y = x * 1
    seen = []
    y.register_hook(lambda g: seen.append(("old", g.item())))
    y.mul_(10)
    y.register_hook(lambda g: seen.append(("new", g.item())))
    (y * 1).backward()
    assert seen == [("new", 1.0), ("old", 10.0)]


def test_retain_grad_follows_in_place_writes():
    x = leaf([1.0, 2.0])
    for write in (lambda y: y.mul_(3), lambda y: y[:1].mul_(3), lambda y: y.__setitem__([0], 5.0)):
        y = x * 2
        y.retain_grad()
        write(y)
        (y * 7).sum().backward()
        assert y.grad.tolist() == [7.0, 7.0]


def test_hooks_on_inputs_of_backward():
    x = leaf([1.0])
    y = x * 2
    seen = []
    x.register_hook(lambda g: seen.append(g.item()))
    (y * 3).backward(inputs=[x])
    backward([y * 3], inputs=[y])
    assert seen == [6.0]
    assert y.grad.tolist() == [3.0]


def test_a_removed_graph_takes_its_hooks_along():
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0])

        class Token:
            pass

        token = Token()
        ref = weakref.ref(token)
        y = x * 2
        handle = y.register_hook(lambda g, token=token: None)
        del token
        y.sum().backward()
        del y
        assert ref() is None
        handle.remove()
    finally:
        gc.enable()
