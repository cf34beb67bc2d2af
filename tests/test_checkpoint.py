"""Checkpointing: the same gradients with less memory, random state and modes, nesting, higher orders, errors."""

from __future__ import annotations

import gc

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import graph
from chainrule.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def leaf(*shape):
    cr.manual_seed(3)
    return cr.randn(*shape, dtype=cr.float64).requires_grad_()


def block(x):
    for _ in range(4):
        x = (x * x).tanh() + x.sin()
    return x


def count_runs(function):
    runs = []

    def counted(*args, **kwargs):
        runs.append(1)
        return function(*args, **kwargs)

    return counted, runs


def test_gradients_are_those_of_the_plain_call_and_the_function_runs_twice():
    x = leaf(5)
    counted, runs = count_runs(block)
    (expected,) = cr.autograd.grad(block(x).sum(), x)
    y = checkpoint(counted, x)
    assert len(runs) == 1
    y.sum().backward()
    assert len(runs) == 2
    assert cr.equal(x.grad, expected)


def bytes_kept(y):
    """The bytes of all arrays that the nodes of a graph hold, each counted once."""
    seen, arrays, waiting = set(), {}, [y.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        for name in getattr(node, "saved_names", ()):
            value = getattr(node, f"saved_{name}", None)
            if hasattr(value, "nbytes"):
                arrays[id(value)] = value.nbytes
        waiting += [edge for edge, _ in node.next_functions]
    return sum(arrays.values())


def test_memory_goes_down():
    x = leaf(1000)
    plain, kept = block(x).sum(), checkpoint(block, x).sum()
    assert bytes_kept(plain) == 8 * 8000
    assert bytes_kept(kept) == 0  # the input is held by the leaf and the frame


def test_what_is_recomputed_is_dropped_as_it_is_used():
    x = leaf(10)
    y = checkpoint(block, x).sum()
    y.backward(retain_graph=True)
    gc.collect()
    frames = [o for o in gc.get_objects() if type(o).__name__ == "_Frame"]
    assert all(not f.values for f in frames)
    before = x.grad.clone()
    y.backward()  # computed again once more
    assert cr.equal(x.grad, before * 2)


def test_a_chain_of_checkpoints_holds_one_segment_at_a_time():
    """The recomputed values of a segment are gone before the next one is computed."""
    x = leaf(100)
    alive = []
    frames = []

    def watched(t):
        gc.collect()
        alive.append(sum(len(o.values) for o in gc.get_objects() if type(o).__name__ == "_Frame"))
        frames.append(1)
        return block(t)

    y = x
    for _ in range(3):
        y = checkpoint(watched, y)
    y.sum().backward()
    assert len(frames) == 6
    assert alive == [0] * 6


def test_autograd_grad_create_graph_and_second_derivatives():
    x = leaf(4)
    for function in (block, lambda t: checkpoint(block, t)):
        (g,) = cr.autograd.grad(function(x).sum(), x, create_graph=True)
        (gg,) = cr.autograd.grad((g * g).sum(), x)
        if function is block:
            expected = gg
    assert cr.allclose(gg, expected, rtol=1e-12)
    assert cr.autograd.gradcheck(lambda t: checkpoint(block, t), x)
    assert cr.autograd.gradgradcheck(lambda t: checkpoint(block, t), x)


def test_nested():
    x = leaf(6)

    def outer(t):
        t = checkpoint(block, t.sin())
        return checkpoint(lambda u: checkpoint(block, u) * u, t).exp()

    def plain(t):
        t = block(t.sin())
        return (block(t) * t).exp()

    (expected,) = cr.autograd.grad(plain(x).sum(), x)
    y = checkpoint(outer, x).sum()
    assert bytes_kept(y) == 0
    y.backward()
    assert cr.allclose(x.grad, expected, rtol=1e-12)


def test_inner_inputs_are_not_kept_by_the_outer_checkpoint():
    x = leaf(1000)
    seen = []

    def outer(t):
        h = t.sin()
        seen.append(cr.autograd.graph.get_gradient_edge(h))
        import weakref

        seen.append(weakref.ref(h._data) if hasattr(h._data, "__weakref__") else None)
        return checkpoint(block, h)

    y = checkpoint(outer, x).sum()
    frames = [o for o in gc.get_objects() if type(o).__name__ == "_Frame"]
    inputs = [a.kept for f in frames for a in f.args]
    assert sum(hasattr(k, "nbytes") for k in inputs) == 1  # x itself; the inner input is a number
    y.backward()


def test_random_numbers_are_drawn_again():
    cr.manual_seed(0)
    x = cr.ones(100, requires_grad=True)
    y = checkpoint(lambda t: nn.functional.dropout(t * t, 0.5, True), x)
    state = cr.get_rng_state()
    y.sum().backward()
    assert cr.equal(x.grad, y * 2)
    assert cr.equal(cr.get_rng_state(), state)  # the second run is not seen outside


def test_without_the_random_state_the_masks_differ():
    cr.manual_seed(0)
    x = cr.ones(100, requires_grad=True)
    y = checkpoint(lambda t: nn.functional.dropout(t * t, 0.5, True), x, preserve_rng_state=False)
    y.sum().backward()
    assert not cr.equal(x.grad, y * 2)


def test_training_mode_and_running_statistics():
    cr.manual_seed(0)
    x = cr.randn(8, 3, requires_grad=True)
    plain, kept = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    expected = (plain(x) ** 3).sum()
    expected.backward()
    g, x.grad = x.grad, None
    y = (checkpoint(kept, x) ** 3).sum()
    kept.eval()  # after the forward pass: the second run is in training mode all the same
    y.backward()
    assert cr.allclose(x.grad, g, rtol=1e-5, atol=1e-6)
    assert not kept.training
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        assert cr.equal(getattr(kept, name), getattr(plain, name)), name


def test_parameters_used_inside_get_gradients():
    layer = nn.Linear(3, 2)
    x = cr.ones(4, 3)  # no input requires grad
    checkpoint(lambda t: layer(t).tanh(), x).sum().backward()
    got = layer.weight.grad
    layer.weight.grad = None
    layer(x).tanh().sum().backward()
    assert cr.equal(got, layer.weight.grad)


def test_under_no_grad_it_only_runs():
    x = leaf(3)
    counted, runs = count_runs(block)
    with cr.no_grad():
        y = checkpoint(counted, x)
    assert not y.requires_grad and len(runs) == 1


def test_a_part_under_no_grad_stays_so():
    x = leaf(3)

    def partly(t):
        with cr.no_grad():
            scale = t.exp()
        return t * scale

    checkpoint(partly, x).sum().backward()
    assert cr.equal(x.grad, x.detach().exp())


def test_several_inputs_and_outputs_keywords_and_other_values():
    x, w = leaf(3), leaf(3)

    def f(a, n, b=None, *, c):
        return a * b * n, (a * c).sin()

    y, z = checkpoint(f, x, 2, w, c=w)
    (y.sum() + z.sum()).backward()
    expected = 2 * w + w * (x * w).cos()
    assert cr.allclose(x.grad, expected)


def test_a_change_of_an_input_is_noticed():
    x = leaf(3)
    h = x * 1
    y = checkpoint(block, h).sum()
    h.add_(1)
    with pytest.raises(CheckpointError, match="an input was changed in place"):
        y.backward()


def test_another_second_run_is_noticed():
    x = leaf(3)
    calls = []

    def changing(t):
        calls.append(1)
        return t.sin() if len(calls) == 1 else (t[:2] * 1.0).sin()

    y = checkpoint(changing, x).sum()
    with pytest.raises(CheckpointError, match=r"was a float64 tensor of shape \(3,\), and is a float64"):
        y.backward()

    def fewer(t):
        calls.append(1)
        return t.sin().exp() if len(calls) == 1 else t.clone()

    calls.clear()
    y = checkpoint(fewer, x).sum()
    with pytest.raises(CheckpointError, match="saved 2 values when it ran first and 0"):
        y.backward()


def test_an_error_in_the_function_leaves_no_hooks_behind():
    x = leaf(3)
    with pytest.raises(ZeroDivisionError):
        checkpoint(lambda t: 1 / 0, x)
    (x * x).sum().backward()
    assert cr.equal(x.grad, 2 * x.detach())


def test_hooks_outside_see_the_inputs_only():
    x = leaf(50)
    packed = []

    def pack(t):
        packed.append(tuple(t.shape))
        return t

    with graph.saved_tensors_hooks(pack, lambda t: t):
        y = checkpoint(block, x)
    assert packed == [(50,)]
    y.sum().backward()
    assert x.grad is not None


def test_custom_functions_inside():
    class Square(cr.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.save_for_backward(t)
            return t * t

        @staticmethod
        def backward(ctx, g):
            (t,) = ctx.saved_tensors
            return g * 2 * t

    x = leaf(4)
    checkpoint(lambda t: Square.apply(t.sin()), x).sum().backward()
    assert cr.allclose(x.grad, 2 * x.sin() * x.cos())


def test_sequential():
    cr.manual_seed(1)
    model = nn.Sequential(*[part for _ in range(4) for part in (nn.Linear(5, 5), nn.Tanh())])
    x = cr.randn(3, 5, requires_grad=True)
    model(x).sum().backward()
    expected, x.grad = x.grad, None
    weights = [p.grad for p in model.parameters()]
    model.zero_grad()
    y = checkpoint_sequential(model, 3, x).sum()
    assert bytes_kept(y) < bytes_kept(model(x).sum())
    y.backward()
    assert cr.equal(x.grad, expected)
    for p, g in zip(model.parameters(), weights, strict=True):
        assert cr.equal(p.grad, g)
    with pytest.raises(ValueError, match="segments must be at least 1"):
        checkpoint_sequential(model, 0, x)


def test_graphs_with_checkpoints_are_freed_without_the_collector():
    x = leaf(10)
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o).__name__ == "_Frame" for o in gc.get_objects())
        for _ in range(3):
            checkpoint(block, x).sum().backward()
        checkpoint(block, x).sum()  # never differentiated
        assert sum(type(o).__name__ == "_Frame" for o in gc.get_objects()) == before
    finally:
        gc.enable()
