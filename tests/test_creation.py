"""Tensors from data, constants and ranges. See also tests/oracle, where the same calls are made to PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr


def value(t):
    return t.numpy(force=True)


def test_tensor_copies_its_data():
    a = np.zeros(3)
    t = cr.tensor(a)
    a[0] = 1.0
    assert t.tolist() == [0.0, 0.0, 0.0]
    u = cr.tensor(t)
    u[0] = 5.0
    assert t.tolist() == [0.0, 0.0, 0.0]


def test_tensor_of_a_tensor_is_a_leaf():
    x = cr.tensor([1.0], requires_grad=True)
    y = cr.tensor(x * 2, requires_grad=True)
    assert y.is_leaf
    y.sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, "int64"), (1.0, "float32"), (True, "bool"), ([1, 2.5], "float32"), ([True, 2], "int64"),
        (np.float64(1), "float64"),
        (np.ones(2, np.float32), "float32"), (np.ones(2), "float64"), ([np.float64(1.0)], "float64"),
        (np.int8(1), "int8"), ([], "float32"),
        ([[]], "float32"), (range(3), "int64"), ((1, 2), "int64"),
    ],
    ids=repr,
)  # fmt: skip
def test_the_dtype_comes_from_the_data(data, dtype):
    if isinstance(data, range):
        data = list(data)
    assert str(cr.tensor(data).dtype) == f"chainrule.{dtype}"


def test_tensors_inside_sequences():
    a, b = cr.tensor(1.0), cr.tensor([2.0, 3.0])
    assert cr.tensor([a, a]).tolist() == [1.0, 1.0]
    assert cr.tensor([[a, 5.0], b]).tolist() == [[1.0, 5.0], [2.0, 3.0]]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ([[1], [2, 3]], ValueError, "do not form a rectangular array"),
        ("text", TypeError, "expected numbers or nested sequences of numbers, got 'text'"),
        (["a"], TypeError, "expected numbers"),
        (None, TypeError, "expected numbers"),
        ([None], TypeError, "expected numbers"),
        (print, TypeError, "expected numbers"),
        (np.array(["a"]), TypeError, "expected one of bool"),
        ({"a": 1}, TypeError, "expected numbers"),
    ],
    ids=repr,
)
def test_what_are_no_numbers_is_refused(data, error, message):
    with pytest.raises(error, match=message):
        cr.tensor(data)


def test_infinities_are_no_integers():
    with pytest.raises(RuntimeError, match="infinities and NaN cannot be converted to chainrule.int64"):
        cr.tensor([float("inf")], dtype=cr.int64)


def test_as_tensor_shares_what_it_can():
    t = cr.ones(2)
    assert cr.as_tensor(t) is t
    a = np.zeros(2)
    shared = cr.as_tensor(a, device="cpu")
    a[0] = 1.0
    assert shared.tolist() == [1.0, 0.0]
    assert cr.as_tensor(a, dtype=cr.float32).dtype == cr.float32
    x = cr.tensor([1.0], requires_grad=True)
    assert cr.as_tensor(x, dtype=cr.float64).requires_grad


@pytest.mark.parametrize("make", [cr.zeros, cr.ones, cr.empty])
def test_sizes_are_taken_in_every_form(make):
    for size in ((2, 3), ((2, 3),), ([2, 3],), (cr.Size((2, 3)),), (np.array([2, 3]),), (np.int64(2), 3)):
        t = make(*size)
        assert t.shape == (2, 3)
        assert t.dtype == cr.float32
    assert make(()).shape == ()
    assert make(0).shape == (0,)
    t = make(2, dtype=cr.float64, requires_grad=True)
    assert t.requires_grad
    assert t.is_leaf


@pytest.mark.parametrize("make", [cr.zeros, cr.ones, cr.empty, cr.rand, cr.randn])
@pytest.mark.parametrize("size", [(2.5,), ("a",), (-1,), (2, -3), ([2.5],)])
def test_bad_sizes_are_refused(make, size):
    with pytest.raises((TypeError, RuntimeError), match=f"{make.__name__}: "):
        make(*size)


def test_full():
    assert cr.full((2, 2), 3).tolist() == [[3, 3], [3, 3]]
    assert cr.full((2,), 3).dtype == cr.int64
    assert cr.full((2,), 3.0).dtype == cr.float32
    assert cr.full((2,), np.float64(3)).dtype == cr.float32
    assert cr.full((2,), True).dtype == cr.bool
    assert cr.full((), cr.tensor(3.0)).item() == 3.0
    assert cr.full_like(cr.ones(2, dtype=cr.float16), 2).dtype == cr.float16


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_like_and_new(name):
    x = cr.tensor([[1.0, 2.0]], dtype=cr.float64, requires_grad=True)
    like = getattr(cr, f"{name}_like")(x)
    new = getattr(x, f"new_{name}")(3)
    assert (like.shape, like.dtype, like.device, like.requires_grad) == ((1, 2), cr.float64, x.device, False)
    assert (new.shape, new.dtype, new.device) == ((3,), cr.float64, x.device)
    assert getattr(cr, f"{name}_like")(x, dtype=cr.int32).dtype == cr.int32
    assert x.new_full((2,), 5).tolist() == [5.0, 5.0]
    assert x.new_tensor([1, 2]).dtype == cr.float64


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [((4,), [0, 1, 2, 3]), ((1, 4), [1, 2, 3]), ((0, 10, 4), [0, 4, 8]), ((3, 0, -1), [3, 2, 1]), ((0,), []),
    ((2, 2), [])],
)
def test_arange_of_integers(bounds, expected):
    t = cr.arange(*bounds)
    assert (t.tolist(), t.dtype) == (expected, cr.int64)


def test_arange_of_floats_counts_without_accumulating_errors():
    t = cr.arange(0, 1000, 0.1)
    assert (t.dtype, len(t)) == (cr.float32, 10_000)
    np.testing.assert_array_equal(value(t), (np.arange(10_000) * 0.1).astype(np.float32))
    assert cr.arange(start=1, end=3, dtype=cr.float64).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bounds", [(0, 1, 0), (3, 0), (0, 3, -1)])
def test_arange_with_a_wrong_step_is_refused(bounds):
    with pytest.raises(RuntimeError, match="arange: the step must lead from start to end"):
        cr.arange(*bounds)


def test_arange_with_wrong_arguments_is_refused():
    for args, named in [((), {}), ((1, 2, 3, 4), {}), ((3,), {"stop": 1})]:
        with pytest.raises(TypeError, match="arange: expected"):
            cr.arange(*args, **named)


def test_linspace_and_eye():
    assert cr.linspace(0, 1, 5).tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert cr.linspace(2, 3, 1).tolist() == [2.0]
    assert cr.linspace(0, 1, 0).tolist() == []
    with pytest.raises(RuntimeError, match="steps must not be negative, got -1"):
        cr.linspace(0, 1, -1)
    assert cr.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert cr.eye(2, 3, dtype=cr.int64).shape == (2, 3)


def test_one_hot():
    t = cr.one_hot(cr.tensor([[0, 2], [1, 1]]), 4)
    assert t.shape == (2, 2, 4)
    assert t.dtype == cr.int64
    assert t.argmax(-1).tolist() == [[0, 2], [1, 1]]
    assert cr.one_hot(cr.tensor([0, 2])).shape == (2, 3)
    for bad, message in [
        (lambda: cr.one_hot(cr.tensor([0.0])), "expected integer classes, got chainrule.float32"),
        (lambda: cr.one_hot(cr.tensor([-1])), "must not be negative"),
        (lambda: cr.one_hot(cr.tensor([3]), 3), "class 3 is not below num_classes 3"),
        (lambda: cr.one_hot(cr.zeros(0, dtype=cr.int64)), "cannot be found from an empty tensor"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            bad()


def test_created_tensors_are_distinct_memory():
    for make in (lambda: cr.zeros(2), lambda: cr.full((2,), 1.0), lambda: cr.arange(2), lambda: cr.eye(2),
        lambda: cr.tensor([1, 2])):
        a, b = make(), make()
        a.fill_(7)
        assert (value(b) != 7).all()


# ---- repr -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: cr.tensor([1.0, 2.5], device="cpu"), "tensor([1.0000, 2.5000])"),
        (lambda: cr.tensor([], device="cpu"), "tensor([])"),
        (lambda: cr.zeros(0, 3, device="cpu"), "tensor([], size=(0, 3))"),
        (lambda: cr.tensor([1], dtype=cr.int32, device="cpu"), "tensor([1], dtype=chainrule.int32)"),
        (lambda: cr.tensor(1.5, device="guard"), "tensor(1.5000, device='guard')"),
        (lambda: cr.tensor([1.0], device="cpu", requires_grad=True), "tensor([1.], requires_grad=True)"),
        (lambda: cr.tensor([1.0], device="cpu", requires_grad=True) * 2, "tensor([2.], grad_fn=<MulBackward0>)"),
        (lambda: cr.tensor([[1, 2], [3, 4]], device="cpu"), "tensor([[1, 2],\n        [3, 4]])"),
        (lambda: cr.tensor([1 + 2j], device="cpu"), "tensor([1.+2.j])"),
    ],
    ids=lambda v: "" if callable(v) else v[:30],
)
def test_repr(make, text):
    assert repr(make()) == text


def test_repr_of_a_large_tensor_is_short():
    assert len(repr(cr.zeros(1000, 1000))) < 600
    assert "..." in repr(cr.zeros(10_000))
