"""Custom differentiable functions."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import Function, grad, gradcheck, gradgradcheck


def value(t):
    return t.numpy(force=True)


def leaf(data):
    return cr.tensor(data, dtype=cr.float64, requires_grad=True)


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 3 * x * x


class Exp(Function):
    """Saves its result."""

    @staticmethod
    def forward(ctx, x):
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, g):
        return g * ctx.saved_tensors[0]


class SinCos(Function):
    """Two outputs."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin(), x.cos()

    @staticmethod
    def backward(ctx, gs, gc):
        (x,) = ctx.saved_tensors
        return gs * x.cos() - gc * x.sin()


class Scale(Function):
    """Tensors and plain values."""

    @staticmethod
    def forward(ctx, x, factor, w, mode="plus"):
        ctx.factor, ctx.mode = factor, mode
        return x * factor + w if mode == "plus" else x * factor - w

    @staticmethod
    def backward(ctx, g):
        return g * ctx.factor, None, g if ctx.mode == "plus" else -g, None


def test_value_and_gradient():
    x = leaf([1.0, 2.0])
    y = Cube.apply(x)
    assert y.tolist() == [1.0, 8.0]
    assert y.grad_fn.name() == "CubeBackward"
    y.sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]


@pytest.mark.parametrize("f",
    [Cube.apply, Exp.apply, lambda x: sum(SinCos.apply(x)), lambda x: SinCos.apply(x)[1],
    lambda x: Scale.apply(x, 2.0, x)])
def test_first_and_second_order(f):
    x = leaf([[0.3, 0.8], [1.1, -0.4]])
    assert gradcheck(f, x)
    assert gradgradcheck(f, x)


def test_third_order():
    x = leaf([0.7])
    y = Cube.apply(x)
    for expected in (3 * 0.49, 6 * 0.7, 6.0):
        (y,) = grad(y.sum(), x, create_graph=True)
        np.testing.assert_allclose(value(y), [expected])


def test_plain_arguments_and_keywords():
    x, w = leaf([1.0]), leaf([5.0])
    y = Scale.apply(x, 3, w, "minus")
    assert y.tolist() == [-2.0]
    y.backward()
    assert (x.grad.tolist(), w.grad.tolist()) == ([3.0], [-1.0])


def test_needs_input_grad():
    seen = []

    class F(Function):
        @staticmethod
        def forward(ctx, x, y, z):
            return x + y

        @staticmethod
        def backward(ctx, g):
            seen.append(ctx.needs_input_grad)
            return g, g, None

    F.apply(leaf([1.0]), cr.ones(1, dtype=cr.float64), "text").backward()
    assert seen == [(True, False, False)]


def test_forward_runs_unrecorded_and_backward_too_unless_asked():
    modes = []

    class F(Function):
        @staticmethod
        def forward(ctx, x):
            modes.append(cr.is_grad_enabled())
            return x * 2

        @staticmethod
        def backward(ctx, g):
            modes.append(cr.is_grad_enabled())
            return g * 2

    x = leaf([1.0])
    F.apply(x).sum().backward()
    grad(F.apply(x).sum(), x, create_graph=True)
    assert modes == [False, False, False, True]


def test_without_anything_that_requires_grad_nothing_is_recorded():
    assert not Cube.apply(cr.ones(2)).requires_grad
    with cr.no_grad():
        assert not Cube.apply(leaf([1.0])).requires_grad


def test_setup_context():
    class Square(Function):
        @staticmethod
        def forward(x, power):
            return x**power

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.power = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            assert y is not None
            return g * ctx.power * x, None

    x = leaf([3.0])
    Square.apply(x, 2).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_unused_outputs_are_zeros_or_none():
    given = []

    class Two(Function):
        materialize = True

        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(Two.materialize)
            return x * 1, x[:1] * 2

        @staticmethod
        def backward(ctx, a, b):
            given.append((a, b))
            return cr.ones(3, dtype=cr.float64)

    for Two.materialize in (True, False):
        x = leaf([1.0, 2.0, 3.0])
        Two.apply(x)[1].sum().backward()
    (a, b), (c, d) = given
    assert (a.tolist(), b.tolist()) == ([0.0, 0.0, 0.0], [1.0])
    assert c is None
    assert d.tolist() == [1.0]


def test_non_differentiable_outputs():
    class Best(Function):
        @staticmethod
        def forward(ctx, x):
            values, indices = x.max(0)
            soft = x * 0
            ctx.save_for_backward(indices)
            ctx.mark_non_differentiable(soft)
            return values, indices, soft

        @staticmethod
        def backward(ctx, g, *others):
            (i,) = ctx.saved_tensors
            out = cr.zeros(3, dtype=cr.float64)
            out[i] = g
            return out

    x = leaf([1.0, 5.0, 2.0])
    values, indices, soft = Best.apply(x)
    assert [t.requires_grad for t in (values, indices, soft)] == [True, False, False]
    values.backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


def test_mark_dirty():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf([1.0, 3.0])
    y = x * 1
    z = Double.apply(y)
    assert z is y
    assert z.tolist() == [2.0, 6.0]
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    y = x * 1
    early = y.sin()
    Double.apply(y)
    with pytest.raises(RuntimeError, match="sin: .*modified by an inplace"):
        early.sum().backward()


def test_an_argument_returned_as_it_is():
    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 10

    x = leaf([1.0])
    y = Same.apply(x)
    assert y is not x
    y.backward()
    assert x.grad.tolist() == [10.0]
    assert x.is_leaf


def test_a_function_without_tensors_in_its_result():
    class Text(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2, "note", None

        @staticmethod
        def backward(ctx, g, *rest):
            return g * 2

    x = leaf([1.0])
    y, note, nothing = Text.apply(x)
    assert (note, nothing) == ("note", None)
    y.backward()
    assert x.grad.tolist() == [2.0]


def test_gradients_are_brought_to_shape_and_dtype_of_the_argument():
    class Broadcast(Function):
        @staticmethod
        def forward(ctx, x):
            return x.expand(3, 2) * 1

        @staticmethod
        def backward(ctx, g):
            return g  # (3, 2) for an argument of shape (2,)

    x = cr.tensor([1.0, 2.0], dtype=cr.float32, requires_grad=True)
    Broadcast.apply(x).double().sum().backward()
    assert (x.grad.tolist(), x.grad.dtype) == ([3.0, 3.0], cr.float32)


def broken(result):
    class Broken(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return result(g)

    return Broken


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda g: g, "one gradient .* for each of the 2 arguments of forward, got 1"),
        (lambda g: (g, g, g), "for each of the 2 arguments of forward, got 3"),
        (lambda g: (g.reshape(1, 3)[:, :2], g), r"gradient of shape \(1, 2\) for argument 0, which has shape \(3,\)"),
        (lambda g: (value(g), g), "backward must return Tensors, got ndarray for argument 0"),
        (lambda g: (1.0, g), "backward must return Tensors, got float"),
    ],
)
def test_a_wrong_backward_is_named(result, message):
    a, b = leaf([1.0, 2.0, 3.0]), leaf([4.0, 5.0, 6.0])
    with pytest.raises((RuntimeError, TypeError), match=f"Broken: .*{message}"):
        broken(result).apply(a, b).sum().backward()


def test_extra_nones_are_fine():
    a, b = leaf([1.0]), leaf([2.0])
    broken(lambda g: (g, g, None)).apply(a, b).backward()
    assert a.grad.tolist() == b.grad.tolist() == [1.0]


def test_missing_methods_say_so():
    class Nothing(Function):
        pass

    with pytest.raises(NotImplementedError, match=r"define the static method forward\(ctx, ...\)"):
        Nothing.apply(leaf([1.0]))

    class Forward(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

    with pytest.raises(NotImplementedError, match="define the static method backward"):
        Forward.apply(leaf([1.0])).backward()


def test_saving_what_is_no_tensor_is_refused():
    class F(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3.0)
            return x

    with pytest.raises(TypeError, match="save_for_backward: expected Tensors, got float; set other values on ctx"):
        F.apply(leaf([1.0]))


def test_saved_tensors_are_guarded_and_freed():
    x = leaf([1.0, 2.0])
    a = x * 1
    y = Cube.apply(a)
    a.add_(1)
    with pytest.raises(RuntimeError, match=r"Cube: .*'saved_tensors\[0\]' at version 0, which is now at version 1"):
        y.sum().backward()
    y = Exp.apply(x)
    y.add_(1)
    with pytest.raises(RuntimeError, match="Exp: .*modified by an inplace"):
        y.sum().backward()
    y = Cube.apply(x).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="Cube: .*second time"):
        y.backward()


def test_a_change_between_first_and_second_derivative_is_noticed():
    x = leaf([1.0, 2.0])
    a = x * 1
    (g,) = grad(Cube.apply(a).sum(), x, create_graph=True)
    a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        grad(g.sum(), x)


def test_saving_none_and_intermediate_results():
    class F(Function):
        @staticmethod
        def forward(ctx, x):
            half = x / 2
            ctx.save_for_backward(None, half)
            return half * half

        @staticmethod
        def backward(ctx, g):
            nothing, half = ctx.saved_tensors
            assert nothing is None
            return g * half

    x = leaf([3.0])
    F.apply(x).backward()
    assert x.grad.tolist() == [1.5]


@pytest.mark.parametrize("f", [Cube.apply, Exp.apply, lambda x: sum(SinCos.apply(x))])
@pytest.mark.parametrize("run", [False, True])
def test_the_graph_is_freed_by_reference_counts_alone(f, run):
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        y = f(x)
        node = weakref.ref(y.grad_fn)
        if run:
            y.sum().backward()
        del y
        assert node() is None
    finally:
        gc.enable()


def test_functions_inside_functions():
    class Outer(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return Cube.apply(x) + 1

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with cr.enable_grad():
                t = x.detach().requires_grad_()
                (inner,) = grad(Cube.apply(t), t, g)
            return inner

    x = leaf([2.0])
    Outer.apply(x).backward()
    assert x.grad.tolist() == [12.0]


def test_other_devices():
    for device in ("cpu", "guard"):
        x = cr.tensor([1.0, 2.0], device=device, requires_grad=True)
        a, b = SinCos.apply(x)
        (a * b).sum().backward()
        assert str(x.grad.device) == device


def test_positional_only_as_in_pytorch_numbers_of_outputs():
    x = leaf([1.0, 2.0])
    s, c = SinCos.apply(x)
    assert s.grad_fn is c.grad_fn
    assert (s.output_nr, c.output_nr) == (0, 1)
    c.sum().backward()
    np.testing.assert_allclose(value(x.grad), -np.sin([1.0, 2.0]))


def test_a_saved_output_is_the_output_itself_in_the_second_derivative():
    """Gradients with respect to an output that backward saved meet at that output."""

    class Pair(Function):
        @staticmethod
        def forward(ctx, x):
            a = x.exp()
            ctx.save_for_backward(a)
            return a, x * 2

        @staticmethod
        def backward(ctx, g, h):
            (a,) = ctx.saved_tensors
            return g * a + 2 * h

    x = cr.tensor([1.0], requires_grad=True)
    a, _ = Pair.apply(x)
    (g,) = cr.autograd.grad(a.sum(), x, create_graph=True)
    assert cr.autograd.grad(g.sum(), a)[0].tolist() == [1.0]
