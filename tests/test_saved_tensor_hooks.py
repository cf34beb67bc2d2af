"""Hooks on saved tensors, reading what nodes keep, gradient edges, hooks on several gradients."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import graph
from chainrule.autograd.modes import ordinary
from chainrule.autograd.op import OPS


def leaf(*values):
    return cr.tensor(list(values), dtype=cr.float64, requires_grad=True)


def through_numpy():
    """Hooks that keep NumPy arrays; the tensors come back as others."""
    return graph.saved_tensors_hooks(
        lambda t: (t.cpu().numpy().copy(), t.device), lambda kept: cr.tensor(kept[0], device=kept[1])
    )


def arguments(sample):
    made = []
    for a in sample.args:
        if a is None:
            made.append(None)
            continue
        t = cr.tensor(np.asarray(a))
        made.append(t.requires_grad_() if t.is_floating_point() else t)
    return made


@pytest.mark.parametrize(
    "name", sorted(n for n, op in OPS.items() if op.rules and n not in ("to_device", "view_scatter"))
)
def test_every_op_has_the_same_gradients_with_hooks_and_without(name):
    op = OPS[name]
    for sample in op.check.samples()[:2]:
        found = []
        for hooked in (False, True):
            args = arguments(sample)
            leaves = [a for a in args if a is not None and a.requires_grad]
            if hooked:
                with through_numpy():
                    out = op.apply(*args, **sample.kwargs)
            else:
                out = op.apply(*args, **sample.kwargs)
            outs = [o for o in (out if isinstance(out, (tuple, list)) else [out]) if o.requires_grad]
            if not outs or not leaves:
                break
            seeds = [cr.ones_like(o) for o in outs]
            try:
                first = cr.autograd.grad(outs, leaves, seeds, create_graph=True, allow_unused=True)
            except RuntimeError as error:
                if "no formula" in str(error):
                    break
                raise
            kept = [g for g in first if g is not None and g.requires_grad]
            second = cr.autograd.grad(kept, leaves, [cr.ones_like(g) for g in kept], allow_unused=True) if kept else ()
            found.append([*first, *second])
        for a, b in zip(*found, strict=True) if len(found) == 2 else ():
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(a.numpy(force=True), b.numpy(force=True))


def test_hooks_see_every_saved_tensor():
    seen = []
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with graph.saved_tensors_hooks(lambda t: (seen.append(t.tolist()), t)[1], lambda t: t):
        (x * w).exp().sum()
    assert seen == [[1.0, 2.0], [3.0, 4.0], pytest.approx([np.exp(3.0), np.exp(8.0)])]


def test_custom_functions_are_seen_and_only_when_recorded():
    class Square(cr.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.save_for_backward(t, None)
            return t * t

        @staticmethod
        def backward(ctx, g):
            t, nothing = ctx.saved_tensors
            assert nothing is None
            return 2 * t * g

    seen, unpacked = [], []
    x = leaf(3.0)
    with graph.saved_tensors_hooks(lambda t: (seen.append(1), t * 1)[1], lambda t: (unpacked.append(1), t)[1]):
        y = Square.apply(x)
        Square.apply(x.detach())
        with cr.no_grad():
            Square.apply(x)
    assert seen == [1] and unpacked == []
    (g,) = cr.autograd.grad(y, x, create_graph=True)
    assert g.item() == 6 and unpacked == [1]
    assert cr.autograd.grad(g, x)[0].item() == 2


def test_what_the_pack_hook_keeps_is_all_that_is_kept():
    class Box:
        def __init__(self, t):
            self.array = t.numpy().copy()

    boxes = []

    def pack(t):
        box = Box(t)
        boxes.append(weakref.ref(box))
        return box

    with cr.device("cpu"):
        x = leaf(1.0, 2.0)
        with graph.saved_tensors_hooks(pack, lambda box: cr.tensor(box.array)):
            h = x.exp()
            y = (h * h).sum()
        arrays = weakref.ref(h)
        del h
        assert arrays() is None
        assert all(b() is not None for b in boxes) and len(boxes) == 3
        y.backward()
        assert all(b() is None for b in boxes)  # freed as it was used
        assert cr.allclose(x.grad, 2 * (2 * x.detach()).exp())


def test_each_value_is_unpacked_once_in_a_pass():
    unpacked = []
    x, y = leaf(2.0), leaf(3.0)
    with graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: (unpacked.append(1), t)[1]):
        z = x / y  # both rules use y
    z.backward()
    assert len(unpacked) == 2
    assert x.grad.item() == pytest.approx(1 / 3) and y.grad.item() == pytest.approx(-2 / 9)


def test_innermost_hooks_win_and_hooks_are_not_packed_themselves():
    log = []
    x = leaf(2.0)

    def hooks(name):
        def pack(t):
            log.append(name)
            with cr.enable_grad():
                return (x.exp() * t).detach() / x.exp().detach()  # recorded, and saves

        return graph.saved_tensors_hooks(pack, lambda t: t)

    with hooks("outer"):
        with hooks("inner"):
            a = x * x
        b = a * x
    assert log == ["inner", "inner", "outer", "outer"]
    b.backward()
    assert x.grad.item() == pytest.approx(12.0)


def test_hooks_of_one_thread_are_not_those_of_another():
    import threading

    seen = []
    with graph.saved_tensors_hooks(lambda t: (seen.append(1), t)[1], lambda t: t):
        thread = threading.Thread(target=lambda: leaf(1.0).exp())
        thread.start()
        thread.join()
    assert seen == []


def test_in_place_changes_are_noticed_where_the_memory_is_the_same():
    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        h = x * 1
        y = (h * h).sum()
    h.add_(1)
    with pytest.raises(RuntimeError, match="mul.*modified by an inplace operation"):
        y.backward()
    with graph.saved_tensors_hooks(lambda t: t.clone(), lambda t: t):  # a copy may outlive its original
        h = x * 1
        y = (h * h).sum()
    h.add_(1)
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_in_place_operations_are_packed_as_they_end():
    x = leaf(1.0, 2.0)
    with through_numpy():
        h = (x * 1).exp_()
        y = (h * 2).sum()
    y.backward()
    assert cr.allclose(x.grad, 2 * x.detach().exp())


@pytest.mark.parametrize(
    ("unpack", "error", "message"),
    [
        (lambda t: 3, TypeError, "unpack hook must return a Tensor, got int 3"),
        (lambda t: t[:1], RuntimeError, r"must return a float64 tensor of shape \(2,\)"),
        (lambda t: t.float(), RuntimeError, "must return a float64 tensor"),
    ],
)
def test_wrong_hooks(unpack, error, message):
    x = leaf(1.0, 2.0)
    with graph.saved_tensors_hooks(lambda t: t.clone(), unpack):
        y = x.exp().sum()
    with pytest.raises(error, match=message):
        y.backward()


def test_an_error_in_a_pack_hook_leaves_nothing_behind():
    def refuse(t):
        raise ZeroDivisionError

    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError), graph.saved_tensors_hooks(refuse, lambda t: t):
        x.exp()
    assert ordinary.everywhere
    x.exp().backward()


def test_save_on_cpu_and_disable():
    x = leaf(1.0, 2.0)
    with graph.save_on_cpu(pin_memory=True):
        y = (x * x).sin().sum()
    y.backward()
    assert cr.allclose(x.grad, (x.detach() ** 2).cos() * 2 * x.detach())
    with (
        graph.disable_saved_tensors_hooks("no hooks here"),
        pytest.raises(RuntimeError, match="no hooks here"),
        graph.save_on_cpu(),
    ):
        pass
    with graph.save_on_cpu():  # allowed again
        pass
    assert ordinary.everywhere


def test_mutation_is_allowed_where_it_is_said():
    x = leaf(1.0, 2.0)
    with graph.allow_mutation_on_saved_tensors():
        h = x * 2
        y = (h * h).sum()
        h.zero_()
    y.backward()
    assert x.grad.tolist() == [8.0, 16.0]


def test_nothing_is_slower_or_kept_without_hooks():
    assert ordinary.everywhere
    x = leaf(1.0)
    y = x * x
    assert not hasattr(y.grad_fn.saved_x, "restore")


# ---- reading what nodes keep ----------------------------------------------------------------------------------------


def test_saved_values_have_pytorchs_names():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    node = (x * w).grad_fn
    assert cr.equal(node._saved_self, x.detach()) and cr.equal(node._saved_other, w.detach())
    assert {"_saved_self", "_saved_other"} <= set(dir(node))
    assert x.exp().grad_fn._saved_result.tolist() == x.exp().tolist()
    m = cr.ones(2, 3, requires_grad=True)
    assert m.sum(1).grad_fn._saved_dim == 1 and m.sum(1).grad_fn._saved_keepdim is False
    with pytest.raises(AttributeError, match="no attribute '_saved_weight'"):
        _ = node._saved_weight
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = node.nothing
    y = x * w
    h = y.grad_fn
    y.sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        _ = h._saved_self


def test_saved_values_come_through_hooks_and_are_checked():
    x = leaf(1.0, 2.0)
    with through_numpy():
        y = x.exp()
    assert y.grad_fn._saved_result.tolist() == y.tolist()
    h = x * 1
    y = h.sin()
    h.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        _ = y.grad_fn._saved_self
    assert x.sin().grad_fn._saved_self.requires_grad is False


def test_metadata_belongs_to_the_node():
    x = leaf(1.0)
    y = x.exp()
    y.grad_fn.metadata["name"] = "here"
    assert y.grad_fn.metadata == {"name": "here"} and (y * 2).grad_fn.metadata == {}
    assert isinstance(y.grad_fn, graph.Node)


# ---- gradient edges -------------------------------------------------------------------------------------------------


def test_edges_stand_for_tensors():
    x = leaf(1.0, 2.0)
    h = x * 2
    edge = graph.get_gradient_edge(h)
    assert edge.node is h.grad_fn and edge.output_nr == 0
    y = (h * h).sum()
    kept = weakref.ref(h)
    del h
    assert kept() is None  # the edge does not keep the tensor
    (g,) = cr.autograd.grad(y, edge, retain_graph=True)
    assert g.tolist() == [4.0, 8.0]
    (g,) = cr.autograd.grad(edge, x, cr.ones(2, dtype=cr.float64), retain_graph=True)
    assert g.tolist() == [2.0, 2.0]
    cr.autograd.backward(edge, cr.ones(2, dtype=cr.float64), retain_graph=True)
    assert x.grad.tolist() == [2.0, 2.0]
    (g,) = cr.autograd.grad(y, graph.get_gradient_edge(x))
    assert g.tolist() == [8.0, 16.0]
    with pytest.raises(RuntimeError, match="does not require grad"):
        graph.get_gradient_edge(cr.ones(2))


def test_edges_of_several_outputs():
    x = cr.tensor([[3.0, 1.0], [2.0, 4.0]], dtype=cr.float64, requires_grad=True)
    a, b = x.unbind(0)
    first, second = graph.get_gradient_edge(a), graph.get_gradient_edge(b)
    assert first.node is second.node and (first.output_nr, second.output_nr) == (0, 1)
    ga, gb = cr.autograd.grad((a * b).sum(), (first, second), retain_graph=True)
    assert ga.tolist() == b.tolist() and gb.tolist() == a.tolist()
    built = graph.GradientEdge(first.node, 1)
    assert cr.autograd.grad(b.sum(), built)[0].tolist() == [1.0, 1.0]


# ---- hooks on several gradients -------------------------------------------------------------------------------------


def test_a_hook_on_several_gradients_runs_once_when_all_are_known():
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    calls = []
    handle = graph.register_multi_grad_hook(
        (a, b, c), lambda gs: calls.append([None if g is None else g.item() for g in gs])
    )
    (a * b + c).backward()
    (a * b).backward()  # c is not part of this one
    assert calls == [[2.0, 1.0, 1.0], [2.0, 1.0, None]]
    cr.autograd.grad(a * b, a)  # b is not asked for
    assert calls[2:] == [[2.0, None, None]]
    handle.remove()
    (a * b + c).backward()
    assert len(calls) == 3


def test_a_hook_on_any_gradient_runs_once():
    a, b = leaf(1.0), leaf(2.0)
    calls = []
    with graph.register_multi_grad_hook((a, b), lambda g: calls.append(g.item()), mode="any"):
        (a * b).backward()
        (a * b).backward()
    assert len(calls) == 2
    with pytest.raises(ValueError, match="mode"):
        graph.register_multi_grad_hook((a,), print, mode="some")
    with pytest.raises(RuntimeError, match=r"tensors\[1\] does not require grad"):
        graph.register_multi_grad_hook((a, cr.ones(1)), print)


def test_a_pass_that_fails_leaves_the_hook_ready():
    a, b = leaf(1.0), leaf(2.0)
    calls = []
    graph.register_multi_grad_hook((a, b), lambda gs: calls.append(len(gs)))
    y = a * 1
    y.register_hook(lambda g: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (y + b).backward()
    (a * b).backward()
    assert calls == [2]


def test_versions_can_be_counted_by_hand():
    x = leaf(1.0, 2.0)
    h = x * 1
    y = (h * h).sum()
    graph.increment_version(h)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()
    graph.increment_version([h, x])
    assert (h._version, x._version) == (2, 1)


def test_graphs_with_hooks_are_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        layer = nn.Linear(2, 2)
        with through_numpy():
            y = layer(cr.ones(1, 2)).exp()
        node = weakref.ref(y.grad_fn)
        del y
        assert node() is None
    finally:
        gc.enable()
