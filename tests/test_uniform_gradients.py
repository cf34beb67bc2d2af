"""Gradients that are one number everywhere, as those of sums are: rules of large arrays take no pass over memory."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends.large import LARGE

pytestmark = pytest.mark.host
by_rule = cr.device("cpu").large.by_rule


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def multiplied(_, g, y):
    return g * y


def test_a_product_with_ones_is_the_other_operand():
    y = numbers(4, 5)
    ones = np.broadcast_to(np.float32(1), y.shape)
    assert by_rule(multiplied, np, ones, y) is y
    assert by_rule(multiplied, np, y, ones) is y
    assert by_rule(lambda _, g, y: -(g * y), np, ones, y) is not y


def test_one_number_everywhere_stays_so():
    two, three = (np.broadcast_to(np.float32(number), (4, 5)) for number in (2, 3))
    for got, wanted in ((by_rule(multiplied, np, two, three), 6), (by_rule(lambda _, g: -g, np, two), -2)):
        assert got.shape == (4, 5) and got.dtype == np.float32 and not any(got.strides)
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("number", [1.0, -1.0, 0.0, -0.0, 2.5, np.inf, np.nan])
def test_values_are_those_of_the_rule(number):
    y = np.array([0.0, -0.0, 1.0, -3.0, np.inf, -np.inf, np.nan, 1e-40], np.float32)
    others = [y, np.broadcast_to(np.float32(1), (8,)), np.float32(4).reshape(()), y[:1], y.astype(np.float64)]
    rules = [multiplied, lambda _, g, y: -(g * y), lambda _, g, y: g / y, lambda _, g, y: -(g * (y / y)) / y]
    g = np.broadcast_to(np.float32(number), y.shape)
    for rule in rules:
        for other in others:
            with np.errstate(all="ignore"):
                wanted, got = rule(np, g, other), by_rule(rule, np, g, other)
            assert got.dtype == wanted.dtype and got.shape == wanted.shape
            np.testing.assert_array_equal(got, wanted)
            signs = [np.where(np.isnan(a), False, np.signbit(a)) for a in (got, wanted)]
            np.testing.assert_array_equal(*signs)


def test_arrays_without_elements():
    empty = np.empty((0, 3), np.float32)
    assert by_rule(multiplied, np, np.broadcast_to(np.float32(1), (0, 3)), empty).shape == (0, 3)
    assert by_rule(lambda _, g: -g, np, empty).shape == (0, 3)


def test_a_gradient_shares_no_memory_with_what_the_user_holds():
    x, w = (cr.tensor(numbers(LARGE), requires_grad=True) for _ in range(2))
    kept = w.detach().clone()
    y = x * w
    y.retain_grad()
    z = cr.exp(y - y.detach())  # its rule multiplies with its own result
    z.retain_grad()
    (y + z * 0 + y.detach() * 0).sum().backward(retain_graph=True)
    for tensor in (x, w, y, z):
        assert not any(np.shares_memory(tensor.grad._data, t._data) for t in (x, w, y, z, kept))
    with cr.no_grad():
        x.grad.mul_(7)
        z.grad.fill_(3)
    assert bool((w == kept).all()) and bool((z == 1).all())
    x.grad = w.grad = None
    y.sum().backward()  # the graph is as it was
    assert bool((x.grad == kept).all())


def test_gradients_that_come_twice_are_added():
    x, w = (cr.tensor(numbers(LARGE), requires_grad=True) for _ in range(2))
    kept = w.detach().clone()
    ((x * w).sum() + (x * w).sum() + (w * x).sum()).backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * kept.numpy(), rtol=1e-6)
    (x * w).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 4 * kept.numpy(), rtol=1e-6)
    assert bool((w == kept).all())


def test_a_result_that_nobody_holds_becomes_the_gradient():
    x = cr.zeros(LARGE, requires_grad=True)
    cr.exp(x).sum().backward()
    gc.collect()
    np.testing.assert_array_equal(x.grad.numpy(), 1.0)
    with cr.no_grad():
        x.grad += 1
    np.testing.assert_array_equal(x.grad.numpy(), 2.0)


def test_a_hook_cannot_change_what_others_hold():
    x, w = (cr.tensor(numbers(LARGE), requires_grad=True) for _ in range(2))
    y = x * 1.0
    y.register_hook(lambda g: g.mul_(2))
    with pytest.raises(RuntimeError, match="changed the gradient it was given in place"):
        (y * w).sum().backward()


@pytest.mark.parametrize(
    ("function", "slope"), [(cr.log, lambda x: 1 / x), (cr.reciprocal, lambda x: -1 / x**2), (cr.exp, np.exp)]
)
def test_functions_of_large_arrays(function, slope):
    x = cr.tensor(np.abs(numbers(LARGE)) + 1, requires_grad=True)
    for g in (cr.ones(LARGE), cr.full((LARGE,), 3.0).expand(LARGE), cr.tensor(3.0).expand(LARGE)):
        x.grad = None
        function(x).backward(g)
        np.testing.assert_allclose(x.grad.numpy(), g.numpy() * slope(x.detach().numpy()), rtol=2e-6)
