"""Names of PyTorch that are deprecated there, or that few scripts use."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr


@pytest.mark.parametrize(("bounds", "expected"), [
    ((3,), [0, 1, 2, 3]), ((1, 4), [1, 2, 3, 4]), ((0, 1, 0.5), [0, 0.5, 1]), ((2, -1, -2), [2, 0]), ((1, 2.7), [1, 2]),
])  # fmt: skip
def test_range_has_its_end(bounds, expected):
    with pytest.warns(UserWarning, match="range is deprecated"):
        made = cr.range(*bounds)
    assert made.dtype == cr.float32
    assert made.tolist() == expected


def test_range_refuses_a_step_that_leads_away():
    with pytest.warns(UserWarning, match="range is"), pytest.raises(RuntimeError, match="range: the step must lead"):
        cr.range(1, 0)


def test_resize_and_resize_as_are_reshapes_that_warn():
    x = cr.arange(6.0, requires_grad=True)
    with pytest.warns(UserWarning, match="non-inplace resize is deprecated"):
        y = x.resize(2, 3)
    with pytest.warns(UserWarning, match="non-inplace resize_as is deprecated"):
        z = x.resize_as(y.detach())
    assert y.shape == z.shape == (2, 3)
    (y * z).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(force=True), 2 * np.arange(6.0))
    with pytest.warns(UserWarning, match="resize is"), pytest.raises(RuntimeError, match="number of elements"):
        x.resize(4)


def test_resize_as_in_place_as_a_function():
    x = cr.arange(4)
    assert cr.resize_as_(x, cr.zeros(2)) is x
    assert x.tolist() == [0, 1]


@pytest.mark.skipif(cr.get_default_device().type != "cpu", reason="map2_ is for the CPU")
def test_map2():
    x = cr.tensor([1.0, 2.0])
    assert x.map2_(cr.tensor(10.0), cr.tensor([3.0, 4.0]), lambda a, b, c: a * b + c) is x
    assert x.tolist() == [13, 24]
    with pytest.raises(TypeError, match="map2_: argument 'y'"):
        x.map2_(x, 1.0, lambda a, b, c: a)


def test_set_anomaly_enabled():
    cr.set_anomaly_enabled(True)
    try:
        assert cr.is_anomaly_enabled()
    finally:
        cr.set_anomaly_enabled(False)
    assert not cr.is_anomaly_enabled()


def test_copies_of_complex_views_have_their_own_memory():
    pairs = cr.tensor([[1.0, 2.0]])
    z = cr.view_as_complex_copy(pairs)
    back = cr.view_as_real_copy(z)
    z.zero_()
    assert pairs.tolist() == back.tolist() == [[1, 2]]


def test_no_tensor_is_bound_to_inference_mode():
    assert not cr.ones(1).is_inference()


def test_bmm_takes_batches_of_one_size():
    for product in (cr.bmm, lambda a, b: cr.baddbmm(cr.zeros(2, 2, 2), a, b)):
        with pytest.raises(RuntimeError, match="bmm: expected batches of one size, got shapes"):
            product(cr.ones(1, 2, 3), cr.ones(2, 3, 2))


def test_parts_of_tensor_split_can_be_written_to():
    x = cr.ones(5, requires_grad=True)
    y = x * 2
    first, second = y.tensor_split(2)
    assert (len(first), len(second)) == (3, 2)
    first.mul_(3)
    y.sum().backward()
    assert x.grad.tolist() == [6, 6, 6, 2, 2]


def test_flatten_of_one_dimension_is_the_tensor_itself():
    x = cr.ones(3)
    assert x.flatten() is x
    assert cr.ones(2, 3).flatten(1).shape == (2, 3)


def test_variable_of_old_scripts_is_a_tensor():
    data = cr.ones(2)
    x = cr.autograd.Variable(data, requires_grad=True)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert isinstance(x, cr.autograd.Variable) and isinstance(x, cr.Tensor)
    assert not isinstance(1.0, cr.autograd.Variable) and not data.requires_grad
    x.data[0] = 5.0
    assert data.tolist() == [5.0, 1.0]
    with pytest.raises(TypeError, match="Variable: data must be a Tensor, got list"):
        cr.autograd.Variable([1.0])
