"""Who owns a gradient, and what a graph keeps alive."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, grad
from chainrule.autograd.node import Edge, View


def value(t):
    return t.numpy(force=True)


def leaf(data, dtype=None):
    return cr.tensor(data, dtype=dtype or cr.float64, requires_grad=True)


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
