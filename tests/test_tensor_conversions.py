"""Tensors converted, copied, moved and handed to NumPy."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import grad


def value(t):
    return t.numpy(force=True)


def leaf(data, **options):
    return cr.tensor(data, requires_grad=True, **{"dtype": cr.float64, **options})


# ---- conversions and copies -----------------------------------------------------------------------------------------


def test_to_gives_the_tensor_itself_when_nothing_changes():
    t = cr.ones(2)
    assert t.to(cr.float32) is t
    assert t.to(t.device) is t
    assert t.to(t) is t
    assert t.float() is t
    assert t.to(cr.float32, copy=True) is not t


@pytest.mark.parametrize("spec", [cr.float64, "float64", np.float64, np.dtype("float64"), cr.ones(1, dtype=cr.float64)])
def test_to_takes_dtypes_in_every_form(spec):
    assert cr.ones(2).to(spec).dtype == cr.float64


def test_to_converts_gradients_back():
    x = cr.tensor([1.0, 2.0], dtype=cr.float32, requires_grad=True)
    y = x.double()
    assert y.dtype == cr.float64
    (y**2).sum().backward()
    assert x.grad.dtype == cr.float32
    assert x.grad.tolist() == [2.0, 4.0]
    assert x.type_as(y).dtype == cr.float64
    assert x.type(cr.float16).dtype == cr.float16


def test_moving_between_devices_is_recorded():
    """The CPU and the guard stand for the CPU and a GPU."""
    x = cr.tensor([1.0, 2.0], device="cpu", requires_grad=True)
    y = (x * 3).to("guard")
    assert str(y.device) == "guard"
    (y * y).sum().backward()
    assert str(x.grad.device) == "cpu"
    assert x.grad.tolist() == [18.0, 36.0]
    assert y.cpu().device.type == "cpu"
    (g,) = grad((x.to("guard") ** 3).sum(), x, create_graph=True)
    assert grad(g.sum(), x)[0].tolist() == [6.0, 12.0]


def test_to_takes_a_device_and_a_dtype_together():
    t = cr.ones(2, device="cpu").to("guard", cr.float64)
    assert (str(t.device), t.dtype) == ("guard", cr.float64)
    u = cr.ones(2, device="cpu").to(t)
    assert (u.device, u.dtype) == (t.device, t.dtype)
    with pytest.raises(RuntimeError):
        cr.ones(2).to("warp:7")


def test_clone_has_its_own_memory_and_passes_the_gradient():
    x = leaf([1.0, 2.0])
    y = x.clone()
    with cr.no_grad():
        x.zero_()
    assert y.tolist() == [1.0, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_copy_deepcopy_pickle():
    x = leaf([[1.0, 2.0], [3.0, 4.0]])
    (x * 2).sum().backward()
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert (y.dtype, y.device, y.requires_grad, y.is_leaf) == (x.dtype, x.device, True, True)
        with cr.no_grad():
            y.zero_()
        assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert copy.deepcopy(x).grad.tolist() == x.grad.tolist()
    assert copy.deepcopy(x).grad is not x.grad
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]
    strided = cr.arange(6).reshape(2, 3).t()
    assert pickle.loads(pickle.dumps(strided)).tolist() == strided.tolist()
    assert copy.deepcopy(strided).tolist() == strided.tolist()
    with pytest.raises(RuntimeError, match="only leaf tensors"):
        copy.deepcopy(x * 2)
    assert pickle.loads(pickle.dumps(x * 2)).is_leaf


def test_tensors_are_hashed_and_found_by_identity():
    a, b = cr.ones(2), cr.ones(2)
    assert {a: 1, b: 2}[a] == 1
    assert len({a, b, a}) == 2


def test_attributes_can_be_added():
    t = cr.ones(2)
    t.note = "mine"
    assert t.note == "mine"


def test_the_legacy_constructor():
    assert cr.Tensor(2, 3).shape == (2, 3)
    assert cr.Tensor([1, 2]).dtype == cr.float32
    assert cr.Tensor([1, 2]).tolist() == [1.0, 2.0]
    assert cr.Tensor().shape == (0,)


# ---- NumPy ----------------------------------------------------------------------------------------------------------


def test_numpy_shares_memory_on_the_cpu():
    t = cr.zeros(3, device="cpu")
    a = t.numpy()
    a[0] = 5.0
    t[1] = 6.0
    assert (t.tolist(), a.tolist()) == ([5.0, 6.0, 0.0], [5.0, 6.0, 0.0])


def test_from_numpy_shares_memory():
    a = np.zeros((2, 3))
    t = cr.from_numpy(a)
    assert (t.dtype, str(t.device)) == (cr.float64, "cpu")
    a[0, 0] = 1.0
    t[1, 1] = 2.0
    assert t.tolist() == a.tolist() == [[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]]
    strided = cr.from_numpy(a.T)
    assert strided.shape == (3, 2)
    assert not strided.is_contiguous()
    strided[0, 1] = 7.0
    assert a[1, 0] == 7.0
    strided.reshape(6)[0] = -1.0
    assert a[0, 0] == 1.0
    for bad in ([1.0], 3.0, cr.ones(2)):
        with pytest.raises(TypeError, match="from_numpy: expected a NumPy array"):
            cr.from_numpy(bad)
    with pytest.raises(TypeError, match="expected one of"):
        cr.from_numpy(np.array(["a"]))


def test_a_read_only_numpy_array_stays_as_it_is():
    a = np.arange(3.0)
    a.flags.writeable = False
    t = cr.from_numpy(a)
    assert (t + 1).tolist() == [1.0, 2.0, 3.0]
    with pytest.raises((RuntimeError, ValueError), match="read-only"):
        t.add_(1)
    with pytest.raises((RuntimeError, ValueError), match="read-only"):
        t[0] = 5.0
    assert a.tolist() == [0.0, 1.0, 2.0]


def test_in_place_gradients_through_a_strided_numpy_array():
    t = cr.from_numpy(np.zeros((2, 3)).T)
    x = cr.tensor([1.0, 2.0], dtype=cr.float64, device="cpu", requires_grad=True)
    t[0] = x
    t[1:].mul_(2)
    (t * t).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_numpy_of_a_tensor_in_the_graph_says_what_to_do():
    x = leaf([1.0])
    with pytest.raises(RuntimeError, match=r"numpy: this tensor requires grad.*\.numpy\(force=True\)"):
        x.numpy()
    with pytest.raises((RuntimeError, TypeError), match="detach|force"):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == [1.0]
    assert x.detach().numpy(force=True).tolist() == [1.0]


def test_numpy_of_a_tensor_elsewhere_says_what_to_do():
    t = cr.ones(2, device="guard")
    with pytest.raises(TypeError, match=r"this tensor is on guard; use \.cpu\(\)\.numpy\(\)"):
        t.numpy()
    with pytest.raises(TypeError):
        np.asarray(t)
    assert t.numpy(force=True).tolist() == [1.0, 1.0]


def test_asarray_of_a_plain_cpu_tensor():
    t = cr.tensor([1.0, 2.0], device="cpu")
    assert np.asarray(t).tolist() == [1.0, 2.0]
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert np.array(t) is not t.numpy()
    assert np.allclose(t, [1.0, 2.0])


LEFT = [np.float64(2), np.float32(2), np.int64(2), np.bool_(True), np.array([2.0, 3.0]), np.array(2.0),
    np.array([2, 3]), 2, 2.0, True]
RIGHT_OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.lt, operator.ge,
    operator.eq]


@pytest.mark.parametrize("f", RIGHT_OPERATORS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("left", LEFT, ids=lambda v: f"{type(v).__name__}{getattr(v, 'shape', '')}")
def test_numpy_on_the_left_gives_a_tensor(left, f):
    """Never an object array, never an array without a graph."""
    x = cr.tensor([3.0, 4.0], device="cpu", requires_grad=True)
    result = f(left, x)
    assert isinstance(result, cr.Tensor)
    assert value(result).dtype != object
    np.testing.assert_allclose(value(result), f(np.asarray(left, dtype=float), value(x)), rtol=1e-6)
    if f not in (operator.lt, operator.ge, operator.eq):
        assert result.requires_grad
        if not (isinstance(left, np.ndarray) and left.ndim):
            assert result.dtype == cr.float32  # NumPy's numbers do not widen


def test_matmul_with_a_numpy_array_is_recorded_on_both_sides():
    x = cr.ones(2, 2, device="cpu", requires_grad=True)
    for result in (x @ np.full((2, 2), 3.0), np.full((2, 2), 3.0, dtype=np.float32) @ x):
        assert result.tolist() == [[6.0, 6.0], [6.0, 6.0]] and result.requires_grad
    with pytest.raises(TypeError, match="matmul: argument 'other' must be a Tensor, got list"):
        x @ [[1.0, 2.0], [3.0, 4.0]]


def test_augmented_assignment_of_an_array_with_a_tensor():
    a = np.ones(2)
    x = cr.tensor([1.0, 2.0], device="cpu")
    with pytest.raises(TypeError, match="array = array \\+ tensor"):
        a += x
    a = a + x
    assert isinstance(a, cr.Tensor)
