"""Training keeps its memory flat without the cycle collector."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, grad
from chainrule.autograd.node import Edge, View

STEPS = 300


class Layer(Function):
    @staticmethod
    def forward(ctx, x):
        y = x.tanh()
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx, g):
        _, y = ctx.saved_tensors
        return g * (1 - y * y)


def parameters():
    rng = np.random.default_rng(0)
    return [cr.tensor(rng.standard_normal(s) * 0.1, dtype=cr.float32, requires_grad=True) for s in ((4, 32), (32,),
        (32, 3))]


X = np.random.default_rng(1).standard_normal((64, 4)).astype(np.float32)


def update(ps):
    with cr.no_grad():
        for p in ps:
            p -= 1e-4 * p.grad
            p.grad = None


def plain(ps):
    w, b, v = ps
    loss = (((cr.tensor(X) @ w + b).relu() @ v).log_softmax(1)[:, 0]).mean()
    loss.backward()
    update(ps)


def gradient_penalty(ps):
    w, b, v = ps
    x = cr.tensor(X, requires_grad=True)
    out = ((x @ w + b).tanh() @ v).sum()
    (g,) = grad(out, x, create_graph=True)
    ((g * g).sum() + out).backward()
    update(ps)


def create_graph_into_grad(ps):
    """The gradients hold graphs until they are dropped."""
    w, b, v = ps
    ((cr.tensor(X) @ w + b).sigmoid() @ v).sum().backward(create_graph=True)
    update(ps)


def hooks(ps):
    w, b, v = ps
    h = (cr.tensor(X) @ w + b).sin()
    seen = []
    h.register_hook(lambda g: seen.append(g) or g * 2)
    h.grad_fn.register_hook(lambda ins, outs: seen.extend(ins))
    handle = w.register_hook(lambda g: g * 1)
    (h @ v).sum().backward()
    handle.remove()
    update(ps)


def retain_grad(ps):
    w, b, v = ps
    h = cr.tensor(X) @ w + b
    h.retain_grad()
    (h.tanh() @ v).sum().backward()
    assert h.grad is not None
    update(ps)


def in_place(ps):
    w, b, v = ps
    h = cr.tensor(X) @ w
    h += b
    h[:, 0] *= 2
    h[[0, 1]] = h[[1, 0]]
    h[2:].relu_()
    out = cr.zeros(64, 3)
    out[:] = h @ v
    out.sum().backward()
    update(ps)


def views(ps):
    w, b, v = ps
    h = (cr.tensor(X) @ w + b).t().reshape(2, 16, 64).permute(2, 0, 1)
    rows = [r.flatten() for r in h.unbind(0)]
    (cr.stack(rows) @ v).sum().backward()
    update(ps)


def custom_function(ps):
    w, b, v = ps
    (Layer.apply(cr.tensor(X) @ w + b) @ v).sum().backward()
    update(ps)


def retained_graph(ps):
    w, b, v = ps
    loss = ((cr.tensor(X) @ w + b).tanh() @ v).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    update(ps)


def evaluation(ps):
    w, b, v = ps
    with cr.no_grad():
        ((cr.tensor(X) @ w + b).relu() @ v).argmax(1)


def unfinished(ps):
    """A forward pass that nobody differentiates."""
    w, b, v = ps
    ((cr.tensor(X) @ w + b).relu() @ v).sum()


def failing(ps):
    w, b, _ = ps
    h = cr.tensor(X) @ w + b
    loss = (h.sin() * h).sum()
    h.add_(1)
    with pytest.raises(RuntimeError, match="inplace"):
        loss.backward()


PROGRAMS = [
    plain, gradient_penalty, create_graph_into_grad, hooks, retain_grad, in_place, views, custom_function,
    retained_graph, evaluation,
    unfinished, failing,
]  # fmt: skip


def live():
    """How many tensors, nodes and views there are."""
    # not isinstance: the objects of some libraries do things when asked for their class
    return sum(issubclass(type(o), (cr.Tensor, Edge, View)) for o in gc.get_objects())


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_memory_is_flat_over_300_steps_without_the_collector(program):
    ps = parameters()
    for _ in range(20):
        program(ps)
    gc.collect()
    gc.disable()
    try:
        before = live()
        tracemalloc.start()
        try:
            for _ in range(20):
                program(ps)
            first, _ = tracemalloc.get_traced_memory()
            for _ in range(STEPS - 20):
                program(ps)
            last, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert live() == before
        # one leaked 64 x 32 array a step would be 2,293,760 bytes; Python's free lists fill up to some 100,000
        assert last - first < 200_000, f"grew by {last - first} bytes"
    finally:
        gc.enable()


def test_numbers_kept_for_reuse_stay_few():
    """A new Python number in every step: what is kept of them is bounded."""
    x = cr.ones(2, requires_grad=True)
    for k in range(100):
        x * (1.0 + k)
    gc.collect()
    before = live()
    for k in range(10_000):
        x * (1.5 + k / 977)
    gc.collect()
    assert live() - before < 5000


def test_growing_a_loss_over_steps_is_the_users_own_graph():
    """``total += loss`` keeps every step's graph, as in PyTorch, and frees it at once when dropped."""
    gc.collect()
    gc.disable()
    try:
        ps = parameters()
        before = live()
        total = cr.zeros(())
        for _ in range(50):
            total = total + (ps[0] * ps[0]).sum()
        assert live() > before + 100
        total.backward()
        del total
        ps[0].grad = None
        assert live() == before
    finally:
        gc.enable()


def test_float32_steps_allocate_no_float64_arrays():
    """Everything that a plain float32 step makes stays float32 (see needs.md A3)."""
    made = []
    wrap = Layer.apply(cr.ones(2, requires_grad=True))
    assert wrap.dtype == cr.float32
    w, b, v = parameters()
    nodes, found = [], [((cr.tensor(X) @ w + b).sigmoid() @ v).log_softmax(1).mean().grad_fn]
    for node in found:
        nodes.append(node)
        found.extend(e for e in node.inputs if e is not None and e not in found)
    for node in nodes:
        for name in getattr(type(node), "__slots__", ()):
            saved = getattr(node, name, None)
            if hasattr(saved, "dtype") and hasattr(saved, "shape") and saved.dtype == np.float64:
                made.append((node, name))
    assert not made
