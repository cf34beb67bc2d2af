"""The Tensor itself: what it reports, Python numbers, leaves, comparisons, the device switch."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest

import chainrule as cr


def value(t):
    return t.numpy(force=True)


def leaf(data, **options):
    return cr.tensor(data, requires_grad=True, **{"dtype": cr.float64, **options})


# ---- what it reports ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3), (1, 1, 1)])
def test_sizes(shape):
    t = cr.zeros(shape)
    assert t.shape == shape
    assert isinstance(t.shape, cr.Size)
    assert t.shape.numel() == t.numel() == t.nelement() == int(np.prod(shape))
    assert (t.ndim, t.dim()) == (len(shape), len(shape))
    assert t.size == int(np.prod(shape))
    assert t.size() == shape
    for d in range(-len(shape), len(shape)):
        assert t.size(d) == shape[d]
    with pytest.raises(IndexError, match="size: dim must be in"):
        t.size(len(shape))


@pytest.mark.parametrize("name", "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split())
def test_dtypes(name):
    d = cr.autograd.dtypes.as_dtype(name)
    t = cr.ones(3, dtype=d)
    assert t.dtype is d
    assert t.dtype == value(t).dtype
    assert (t.element_size(), t.itemsize, t.nbytes) == (d.itemsize, d.itemsize, 3 * d.itemsize)
    assert t.is_floating_point() == ("float" in name)
    assert not t.is_complex()
    assert repr(d) == f"chainrule.{name}"
    assert t.type() == f"chainrule.{name}"


def test_dtype_objects_are_numpys():
    assert cr.float32 == np.float32
    assert np.zeros(2, dtype=cr.float32).dtype == np.float32
    assert cr.float32 != cr.float64
    assert {cr.float32: 1}[cr.autograd.dtypes.as_dtype("float32")] == 1
    assert pickle.loads(pickle.dumps(cr.int64)) is cr.int64
    assert copy.deepcopy(cr.bfloat16) is cr.bfloat16
    with pytest.raises(TypeError, match=r"expected one of bool.*, got 'float99'"):
        cr.zeros(2, dtype="float99")


def test_strides_and_contiguity():
    t = cr.zeros(2, 3, 4)
    assert t.stride() == (12, 4, 1)
    assert t.stride(1) == 4
    assert t.is_contiguous()
    assert not t.permute(2, 0, 1).is_contiguous()
    assert t.permute(2, 0, 1).contiguous().is_contiguous()
    assert t.contiguous() is t
    # a result whose memory order we chose reports, and is, row-major
    u = t.permute(2, 0, 1) + 1
    assert u.is_contiguous()
    assert u.stride() == (6, 3, 1)
    assert u.view(24).shape == (24,)


def test_view_of_a_strided_view_is_refused():
    t = cr.zeros(2, 3).t()
    with pytest.raises(RuntimeError, match="view: .*needs a copy, because this tensor .* is not contiguous"):
        t.view(6)
    assert t.reshape(6).shape == (6,)


def test_a_new_dimension_never_copies():
    t = cr.zeros(2, 3)
    t.t().unsqueeze(0)[0, 0, 0] = 1.0
    t[:, 1:].unsqueeze(-1)[0, 0, 0] = 2.0
    assert t.tolist() == [[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]


# ---- Python numbers -------------------------------------------------------------------------------------------------


def test_one_element_converts_to_python():
    t = cr.tensor([[2.5]])
    assert (float(t), int(t), bool(t), complex(t), t.item(), t.tolist()) == (2.5, 2, True, 2.5 + 0j, 2.5, [[2.5]])
    assert [10, 20, 30][cr.tensor(1)] == 20
    assert isinstance(cr.tensor(True).item(), bool)
    assert isinstance(cr.tensor(3).item(), int)
    assert f"{cr.tensor(2.5):.2f}" == "2.50"
    assert range(cr.tensor(3)) == range(3)


@pytest.mark.parametrize("f", [bool, float, int, lambda t: t.item(), operator.index])
@pytest.mark.parametrize("shape", [(2,), (0,), (2, 2)])
def test_many_elements_do_not(f, shape):
    with pytest.raises((RuntimeError, TypeError), match=str(shape[0])):
        f(cr.zeros(shape))


def test_the_error_of_bool_says_what_to_use():
    with pytest.raises(RuntimeError, match=r"shape \(2,\) is neither true nor false; use \.any\(\), \.all\(\)"):
        bool(cr.tensor([1.0, 2.0]) > 0)
    with pytest.raises(TypeError, match=r"only integer tensors of one element can be an index, got chainrule.float32"):
        [1, 2][cr.tensor(1.0)]


def test_len_and_iteration():
    t = cr.arange(6).reshape(3, 2)
    assert len(t) == 3
    assert [row.tolist() for row in t] == [[0, 1], [2, 3], [4, 5]]
    _, _, c = t
    assert c.tolist() == [4, 5]
    for f in (len, list):
        with pytest.raises(TypeError, match="0-d"):
            f(cr.tensor(1.0))


def test_iteration_is_differentiable():
    x = leaf([1.0, 2.0, 3.0])
    sum(v * v for v in x).backward()
    assert x.grad.tolist() == [2.0, 4.0, 6.0]


# ---- leaves ---------------------------------------------------------------------------------------------------------


def test_requires_grad_can_be_switched():
    t = cr.ones(2)
    assert (t.requires_grad, t.is_leaf) == (False, True)
    assert t.requires_grad_() is t
    assert t.requires_grad
    t.requires_grad = False
    assert not (t * 2).requires_grad
    with pytest.raises(RuntimeError, match="only leaf tensors can stop requiring grad.*detach"):
        (leaf([1.0]) * 2).requires_grad_(False)


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64", "uint8"])
def test_integers_cannot_require_grad(dtype):
    t = cr.ones(2, dtype=cr.autograd.dtypes.as_dtype(dtype))
    with pytest.raises(RuntimeError, match=rf"only floating-point .* got chainrule.{dtype}"):
        t.requires_grad_()
    with pytest.raises(RuntimeError, match="only floating-point"):
        cr.tensor([1, 2], requires_grad=True)
    assert not leaf([1.5]).long().requires_grad


def test_grad_of_a_leaf_that_stops_and_starts_again_stays():
    x = leaf([1.0])
    (x * 2).backward()
    x.requires_grad_(False)
    assert x.grad.tolist() == [2.0]
    x.requires_grad_()
    (x * 3).backward()
    assert x.grad.tolist() == [5.0]


def test_a_graph_recorded_before_freezing_still_reaches_the_leaf():
    w = leaf([3.0])
    y = (w * 2).sum()
    w.requires_grad_(False)
    assert not (w * 2).requires_grad
    copied = copy.deepcopy(w)
    w.requires_grad_()
    y.backward()
    assert w.grad.tolist() == [2.0]
    assert copied.grad is None
    w.requires_grad_(False)
    w.data = cr.ones(2, 2, dtype=cr.float64)
    w.grad = None
    w.requires_grad_()
    (w * 5).sum().backward()
    assert w.grad.tolist() == [[5.0, 5.0], [5.0, 5.0]]


def test_grad_can_be_assigned_and_is_checked():
    x = leaf([1.0, 2.0])
    x.grad = cr.ones(2, dtype=cr.float64)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    x.grad = None
    with pytest.raises(RuntimeError, match=r"expected shape \(2,\) and chainrule.float64, got \(3,\)"):
        x.grad = cr.ones(3, dtype=cr.float64)
    with pytest.raises(RuntimeError, match="got .* chainrule.float32"):
        x.grad = cr.ones(2, dtype=cr.float32)
    with pytest.raises(TypeError, match="expected a Tensor or None, got ndarray"):
        x.grad = np.ones(2)


def test_grad_of_an_intermediate_result_is_none():
    y = leaf([1.0]) * 2
    y.sum().backward()
    with pytest.warns(UserWarning, match="retain_grad"):
        assert y.grad is None


def test_detach_shares_memory_and_is_out_of_the_graph():
    x = leaf([1.0, 2.0])
    d = (x * 2).detach()
    assert not d.requires_grad
    (x * d).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    t = cr.ones(2)
    t.detach()[0] = 5.0
    assert t.tolist() == [5.0, 1.0]


def test_detach_in_place():
    y = leaf([1.0]) * 2
    assert y.detach_() is y
    assert (y.requires_grad, y.grad_fn, y.is_leaf) == (False, None, True)
    with pytest.raises(RuntimeError, match="a view cannot be detached in place"):
        (leaf([1.0, 2.0]) * 1)[:1].detach_()


def test_data_can_be_replaced():
    w = leaf([1.0, 2.0])
    w.data = cr.tensor([5.0, 6.0, 7.0], dtype=cr.float64)
    assert w.requires_grad
    (w * w).sum().backward()
    assert w.grad.tolist() == [10.0, 12.0, 14.0]
    with pytest.raises(TypeError, match="data: expected a Tensor, got list"):
        w.data = [1.0]
    with pytest.raises(RuntimeError, match="cannot hold chainrule.int64"):
        w.data = cr.ones(3, dtype=cr.int64)


# ---- comparisons with other things ----------------------------------------------------------------------------------


def test_comparison_with_what_is_no_number():
    t = cr.ones(2)
    assert (t == None) is False  # noqa: E711
    assert (t != "text") is True
    assert t not in [None, "x"]
    with pytest.raises(TypeError):
        _ = t < "text"


@pytest.mark.parametrize("f", [operator.add, operator.mul, operator.sub, operator.truediv, operator.pow])
@pytest.mark.parametrize("other", [[1.0, 2.0], "text", None, (1.0,), {}])
def test_arithmetic_with_what_is_no_number_is_refused(f, other):
    with pytest.raises(TypeError):
        f(cr.ones(2), other)
    with pytest.raises(TypeError):
        f(other, cr.ones(2))


def test_operators_on_both_sides():
    x = cr.tensor([4.0, 9.0])
    assert (1 + x).tolist() == [5.0, 10.0]
    assert (1 - x).tolist() == [-3.0, -8.0]
    assert (36 / x).tolist() == [9.0, 4.0]
    assert (2**x).tolist() == [16.0, 512.0]
    assert (10 // x).tolist() == [2.0, 1.0]
    assert (10 % x).tolist() == [2.0, 1.0]
    assert (+x).tolist() == [4.0, 9.0]
    assert abs(-x).tolist() == [4.0, 9.0]
    assert (~cr.tensor([True, False])).tolist() == [False, True]
    assert (cr.tensor([6, 3]) & 2).tolist() == [2, 2]
    assert (1 | cr.tensor([6, 3])).tolist() == [7, 3]
    assert (cr.tensor([6, 3]) ^ cr.tensor([1, 1])).tolist() == [7, 2]


def test_numbers_beyond_the_dtype():
    assert (cr.tensor([1.0], dtype=cr.float16) * 1e6).tolist() == [float("inf")]
    assert (cr.tensor([1.0], dtype=cr.float32) * 1e300).tolist() == [float("inf")]
    assert (cr.tensor([1.0], dtype=cr.float32) * -1e300).tolist() == [float("-inf")]
    assert np.isnan((cr.tensor([1.0]) * float("nan")).item())


def test_negative_zero_and_zero_are_different_constants():
    x = cr.tensor([1.0])
    assert np.signbit(value(x * -0.0))[0]
    assert not np.signbit(value(x * 0.0))[0]
    assert np.signbit(value(cr.tensor([-1.0]) * 0.0))[0]


def test_one_true_and_one_are_different_constants():
    i, f = cr.tensor([2]), cr.tensor([2.0])
    assert [(i + v).dtype for v in (True, 1, 1.0)] == [cr.int64, cr.int64, cr.float32]
    assert [(f * v).tolist() for v in (1.0, True, 1)] == [[2.0]] * 3


def test_default_dtype_can_be_changed():
    cr.set_default_dtype(cr.float64)
    try:
        assert cr.tensor(1.5).dtype == cr.float64
        assert cr.zeros(1).dtype == cr.float64
        assert (cr.tensor([1]) * 2.5).dtype == cr.float64
        assert (cr.tensor([1], dtype=cr.float32) * 2.5).dtype == cr.float32
    finally:
        cr.set_default_dtype(cr.float32)
    with pytest.raises(TypeError, match="expected a floating-point dtype, got chainrule.int64"):
        cr.set_default_dtype(cr.int64)


# ---- the switch -----------------------------------------------------------------------------------------------------


def test_the_default_device_can_be_changed():
    with cr.device("guard"):
        assert str(cr.zeros(2).device) == "guard"
        with cr.device("cpu"):
            assert str(cr.tensor([1.0]).device) == "cpu"
        assert str(cr.rand(2).device) == "guard"
    before = cr.get_default_device()
    cr.set_default_device("guard")
    try:
        assert str(cr.arange(3).device) == "guard"
    finally:
        cr.set_default_device(before)


def test_results_stay_on_the_device_of_their_arguments():
    for name in ("cpu", "guard"):
        x = cr.tensor([1.0, 2.0], device=name, requires_grad=True)
        for y in (x + 1, x.sum(), x[0], x[[0, 1]], x.max(0).indices,
                  cr.zeros_like(x), x.new_zeros(3), x.sort().values, cr.stack([x, x]), x > 0,
                  cr.where(x > 0, 1.0, 2.0)):  # fmt: skip
            assert str(y.device) == name
        (x * 2).sum().backward()
        assert str(x.grad.device) == name
