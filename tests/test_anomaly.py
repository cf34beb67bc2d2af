# ruff: noqa: PT012  (the mode and what it finds belong in one block)
"""Anomaly mode: which operation is blamed for a NaN, what the error says, and what it costs nobody."""

from __future__ import annotations

import gc
import math

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd import AnomalyError, detect_anomaly, is_anomaly_enabled, set_detect_anomaly
from chainrule.autograd.modes import ordinary
from chainrule.autograd.node import Leaf


def leaf(*values, dtype=cr.float64):
    return cr.tensor(list(values), dtype=dtype, requires_grad=True)


def line_of(text, inside=__file__):
    """The number of the (only) line of this file that ends with the comment ``# text``."""
    with open(inside) as file:
        found = [n for n, line in enumerate(file, 1) if line.rstrip().endswith(f"# {text}")]
    assert len(found) == 1
    return f"test_anomaly.py:{found[0]}"


# ---- forward --------------------------------------------------------------------------------------------------------


def test_forward_blames_the_first_operation_that_makes_a_nan():
    x = leaf(1.0, -1.0, 4.0)
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        h = x * 2
        h = h.sqrt()  # makes the nan
        (h * 3).sum().backward()
    text = str(caught.value)
    assert text.startswith(f"sqrt ({line_of('makes the nan')}) made 1 NaN out of inputs without any")
    assert "input: (3,) float64, min -2, max 8, 0 NaN, 0 inf" in text
    assert caught.value.direction == "forward" and caught.value.node.name() == "SqrtBackward0"


def test_the_module_is_named():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 2), Log())

        def forward(self, x):
            return self.body(x)

    class Log(nn.Module):
        def forward(self, x):
            return (x * 0 - 1).log()

    net = Net()
    with pytest.raises(AnomalyError, match=r"log \(test_anomaly.py:\d+, in Net.body.1\) made 4 NaN"), detect_anomaly():
        net(cr.ones(2, 2))


def test_a_nan_that_was_there_is_not_blamed_on_what_passes_it_on():
    x = leaf(1.0, math.nan)
    with detect_anomaly():
        y = (x * 2).exp() + 1
    assert y.isnan().any()


def test_an_infinity_is_no_error_forward_but_is_named_when_a_nan_comes_of_it():
    x = leaf(0.0, 1.0)
    with detect_anomaly():
        x.log()  # -inf: fine by itself
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        a = x.log()  # makes the infinity
        b = a * 2
        b - b
    text = str(caught.value)
    assert text.startswith("sub (") and "out of infinite inputs" in text
    assert f"the infinity came from log ({line_of('makes the infinity')})" in text


def test_masks_of_infinities_pass():
    x = cr.randn(3, 3, requires_grad=True)
    mask = cr.triu(cr.ones(3, 3), 1).bool()
    with detect_anomaly():
        nn.functional.softmax(x.masked_fill(mask, -math.inf), dim=-1).square().sum().backward()
    assert x.grad.isfinite().all()


def test_several_outputs_and_integers_are_looked_at():
    x = leaf(3.0, 1.0)
    with detect_anomaly():
        values, _ = x.sort()
        values.sum().backward()
    with pytest.raises(AnomalyError), detect_anomaly():
        cr.stack([x, -x]).sqrt().unbind(0)


# ---- backward -------------------------------------------------------------------------------------------------------


def test_backward_blames_the_node_that_makes_it_and_shows_values():
    x = leaf(0.0, 4.0)
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        h = x.sqrt()  # infinite slope
        (h * 3).sum().backward()
    text = str(caught.value)
    assert text.startswith(
        f"the backward of sqrt ({line_of('infinite slope')}) made 1 inf out of a finite gradient, for 'input'"
    )
    assert "gradient that arrived: (2,) float64, min 3, max 3, 0 NaN, 0 inf" in text
    assert "its result: (2,) float64, min 0, max 2, 0 NaN, 0 inf" in text
    assert caught.value.direction == "backward"
    assert "double-where" not in text


@pytest.mark.parametrize("mask", ["where", "clamp", "masked_fill"])
def test_a_nan_out_of_a_masked_branch_comes_with_the_recipe(mask):
    x = leaf(0.0, 4.0)
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        h = x.sqrt()
        if mask == "where":
            y = cr.where(x > 0, h, cr.zeros(2, dtype=cr.float64))
        elif mask == "clamp":
            y = h.clamp(min=1.0)
        else:
            y = h.masked_fill(x <= 0, 0.0)
        (y * 2).sum().backward()
    text = str(caught.value)
    assert "the double-where recipe" in text and "safe = where(mask, x, 1.0)" in text
    assert "masked out by" in text


def test_the_recipe_helps():
    x = leaf(0.0, 4.0)
    with detect_anomaly():
        safe = cr.where(x > 0, x, cr.ones(2, dtype=cr.float64))
        cr.where(x > 0, safe.sqrt(), cr.zeros(2, dtype=cr.float64)).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_the_recipe_is_given_through_several_operations():
    x = leaf(0.0, 4.0)
    with pytest.raises(AnomalyError, match="double-where"), detect_anomaly():
        h = x.sqrt() * 2 + 1
        cr.where(x > 0, h, cr.zeros(2, dtype=cr.float64)).sum().backward()


def test_custom_functions_are_blamed_by_name():
    class Wrong(cr.autograd.Function):
        @staticmethod
        def forward(ctx, t):
            ctx.save_for_backward(t)
            return t * 2

        @staticmethod
        def backward(ctx, g):
            return g * math.nan

    x = leaf(1.0, 2.0)
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        Wrong.apply(x).sum().backward()
    assert str(caught.value).startswith("the backward of Wrong (test_anomaly.py:")
    assert "saved_tensors[0]: (2,) float64, min 1, max 2" in str(caught.value)


def test_a_bad_gradient_from_outside_is_not_blamed_on_the_graph():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        (x * 2).backward(cr.tensor([math.nan, 1.0], dtype=cr.float64))
    assert x.grad.isnan().any()


def test_double_backward_names_the_forward_line():
    x = leaf(0.0, 1.0)
    with detect_anomaly():
        y = (x * x.abs().sqrt() * x).sum()
    assert y.grad_fn is not None
    x = leaf(0.0, 4.0)
    with pytest.raises(AnomalyError) as caught, detect_anomaly():
        y = x**1.5  # its second derivative is infinite at 0
        (g,) = cr.autograd.grad(y.sum(), x, create_graph=True)
        cr.autograd.grad(g.sum(), x)
    text = str(caught.value)
    assert text.startswith("the backward of pow")
    assert line_of("its second derivative is infinite at 0") in text


def test_targets_and_retained_graphs():
    x = leaf(0.0, 4.0)
    for _ in range(2):
        with pytest.raises(AnomalyError), detect_anomaly():
            y = x.sqrt().sum()
            cr.autograd.grad(y, x, retain_graph=True)


# ---- switching ------------------------------------------------------------------------------------------------------


def test_switches():
    assert not is_anomaly_enabled() and ordinary.everywhere
    with detect_anomaly():
        assert is_anomaly_enabled() and cr.is_anomaly_check_nan_enabled()
        with set_detect_anomaly(False):
            assert not is_anomaly_enabled()
        assert is_anomaly_enabled()
        with detect_anomaly(check_nan=False):
            assert is_anomaly_enabled() and not cr.is_anomaly_check_nan_enabled()
        assert cr.is_anomaly_check_nan_enabled()
    assert not is_anomaly_enabled() and ordinary.everywhere
    set_detect_anomaly(True)
    assert is_anomaly_enabled()
    set_detect_anomaly(False)
    assert not is_anomaly_enabled() and ordinary.everywhere

    @detect_anomaly()
    def inside():
        return is_anomaly_enabled()

    assert inside() and not is_anomaly_enabled()


def test_an_error_inside_switches_it_off():
    with pytest.raises(ZeroDivisionError), detect_anomaly():
        1 / 0  # noqa: B018
    assert not is_anomaly_enabled() and ordinary.everywhere
    x = leaf(0.0)
    x.sqrt().backward()
    assert x.grad.isinf().all()


def test_without_checks_only_lines_are_recorded():
    x = leaf(-1.0)
    with detect_anomaly(check_nan=False):
        y = x.sqrt()
        y.backward()
    assert str(y.grad_fn.where).startswith("test_anomaly.py:") and x.grad.isnan().all()


def test_every_so_many_steps():
    with detect_anomaly(every=3):
        caught = []
        for step in range(7):
            x = leaf(4.0 if step % 3 == 0 and step < 6 else 0.0)
            try:
                x.sqrt().backward()
            except AnomalyError:
                caught.append(step)
        assert caught == [6]
    with pytest.raises(ValueError, match="every must be a positive number"):
        detect_anomaly(every=0)


def test_gradients_are_those_without():
    cr.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = cr.randn(5, 3)
    net(x).square().mean().backward()
    plain = [p.grad for p in net.parameters()]
    net.zero_grad()
    with detect_anomaly():
        net(x).square().mean().backward()
    for p, g in zip(net.parameters(), plain, strict=True):
        assert cr.equal(p.grad, g)


def test_graphs_are_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        before = sum(type(o) is Leaf for o in gc.get_objects())
        for _ in range(3):
            x = leaf(1.0, 4.0)
            with detect_anomaly():
                cr.where(x > 0, x.sqrt() * 2, x).sum().backward()
            del x
        assert sum(type(o) is Leaf for o in gc.get_objects()) == before
    finally:
        gc.enable()


# ---- what was changed in place, and where ---------------------------------------------------------------------------


def test_a_change_in_place_names_both_lines():
    x = leaf(1.0, 2.0)
    with detect_anomaly():
        h = x * 1
        y = (h * h).sum()  # saves h
        h.add_(1)  # changes h
        h.mul_(2)
    with pytest.raises(RuntimeError) as caught:
        y.backward()
    text = str(caught.value)
    assert text.startswith(f"mul (recorded at {line_of('saves h')}): ")
    assert "it saved 'other' at version 0, which is now at version 2." in text
    assert f"{line_of('changes h')} changed it." in text
    assert "detect_anomaly" not in text


def test_without_lines_the_error_says_how_to_see_them():
    x = leaf(1.0, 2.0)
    h = x * 1
    y = (h * h).sum()
    h.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation.*autograd.detect_anomaly\(\) to see the"):
        y.backward()
    z = (x * x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match=r"a second time.*autograd.detect_anomaly\(\) to see the lines"):
        z.backward()


def test_the_module_and_the_line_of_a_second_backward():
    layer = nn.Linear(2, 1)
    with detect_anomaly():
        y = layer(cr.ones(1, 2)).square().sum()
        y.backward()
        with pytest.raises(RuntimeError, match=r"recorded at test_anomaly.py:\d+\): trying to backward through"):
            y.backward()

    class Net(nn.Module):
        def forward(self, x):
            return x.exp()

    x = leaf(1.0)
    with detect_anomaly():
        y = Net()(x)
    y.backward()
    with pytest.raises(RuntimeError, match=r"exp \(Net, recorded at test_anomaly.py:\d+\)"):
        y.backward()


def test_an_optimizer_step_between_forward_and_backward_is_named():
    w = cr.nn.Parameter(cr.ones(2))
    optimizer = cr.optim.SGD([w], lr=0.1)
    with detect_anomaly():
        loss = (w * w).sum()
        loss.backward(retain_graph=True)
        optimizer.step()  # changes the weights
    with pytest.raises(RuntimeError, match=f"{line_of('changes the weights')} changed it"):
        loss.backward()
