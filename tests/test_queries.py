"""Questions about tensors and dtypes, conversions by keyword, printing options, and memory made by others."""

from __future__ import annotations

import array

import numpy as np
import pytest

import chainrule as cr


def test_limits_of_dtypes():
    for name in ("float16", "float32", "float64"):
        ours, numpys = cr.finfo(getattr(cr, name)), np.finfo(name)
        assert (ours.bits, ours.max, ours.min, ours.eps) == (numpys.bits, numpys.max, numpys.min, numpys.eps)
        assert (ours.tiny, ours.smallest_normal, ours.dtype) == (numpys.tiny, numpys.tiny, name)
    assert (cr.finfo(cr.bfloat16).eps, cr.finfo().dtype, cr.finfo(cr.complex128).dtype) == (
        0.0078125,
        "float32",
        "float64",
    )
    assert (cr.iinfo(cr.uint8).max, cr.iinfo(cr.int64).min, cr.iinfo(cr.int16).bits) == (255, -(2**63), 16)
    assert repr(cr.iinfo(cr.int8)) == "iinfo(min=-128, max=127, dtype=int8)"
    with pytest.raises(TypeError, match="finfo: expected a floating-point dtype, got chainrule.int32"):
        cr.finfo(cr.int32)
    with pytest.raises(TypeError, match="iinfo: expected an integer dtype, got chainrule.float32"):
        cr.iinfo(cr.float32)


def test_result_types():
    half, whole = cr.ones(2, dtype=cr.float16), cr.ones(2, dtype=cr.int64)
    assert cr.result_type(half, 2.0) == cr.float16
    assert cr.result_type(whole, 2.0) == cr.float32
    assert cr.promote_types(cr.float16, cr.bfloat16) == cr.float32
    assert cr.promote_types(cr.uint8, cr.int8) == cr.int16
    assert cr.can_cast(cr.float32, cr.complex64)
    assert not cr.can_cast(cr.complex64, cr.float32)
    assert cr.can_cast(cr.bool, cr.uint8)


def test_memory():
    x = cr.zeros(3, 4)
    assert (x.stride(), x[1].storage_offset(), x.storage_offset(), x.t().stride()) == ((4, 1), 4, 0, (1, 4))
    assert x[1].data_ptr() - x.data_ptr() == 16
    assert x.data_ptr() == x.detach().data_ptr()
    assert cr.zeros(0).data_ptr() == 0
    assert x[:, 1:].is_set_to(x[:, 1:])
    assert not x.is_set_to(x.clone())
    assert (x.element_size(), x.nbytes, x.itemsize, x.ndimension()) == (4, 48, 4, 2)


def test_answers():
    assert cr.is_nonzero(cr.tensor([2]))
    with pytest.raises(RuntimeError, match=r"is_nonzero: expected one element, got shape \(2,\)"):
        cr.is_nonzero(cr.ones(2))
    assert cr.ones(2).is_signed()
    assert cr.ones(2).is_same_size(cr.zeros(2))
    assert not cr.is_complex(cr.ones(2))
    assert cr.ones(2, device="cpu").is_cpu
    assert cr.ones(2).layout is cr.strided
    assert not cr.ones(2).is_sparse
    assert cr.zeros(2, 3, 4).permute(2, 0, 1).dim_order() == (1, 2, 0)
    assert cr.is_complex(cr.ones(2, dtype=cr.complex64))


@pytest.mark.parametrize(
    "convert",
    [
        lambda x, f: x.double(memory_format=f), lambda x, f: x.to(cr.float64, memory_format=f),
        lambda x, f: x.to("cpu" if x.device.type == "cpu" else x.device, cr.float64, False, True, memory_format=f),
        lambda x, f: x.to(dtype=cr.float64, non_blocking=True, copy=True), lambda x, f: x.type(cr.float64),
        lambda x, f: x.to(other=cr.ones(1, dtype=cr.float64)), lambda x, f: x.type_as(cr.ones(1, dtype=cr.float64)),
    ],
)  # fmt: skip
def test_conversions_take_what_changes_nothing(convert):
    for memory_format in (cr.preserve_format, cr.contiguous_format, cr.channels_last):
        x = cr.ones(1, 2, 3, 4, requires_grad=True)
        y = convert(x, memory_format)
        assert y.dtype == cr.float64
        y.sum().backward()
        assert x.grad.dtype == cr.float32
    assert x.is_contiguous(memory_format=cr.channels_last)
    assert x.contiguous(memory_format=cr.channels_last) is x
    assert cr.zeros_like(x, memory_format=cr.preserve_format, layout=cr.strided).shape == (1, 2, 3, 4)


def test_copy_by_position():
    x = cr.ones(2)
    assert x.to(cr.float32) is x
    assert x.to(cr.float32, False, True) is not x
    assert x.to(cr.float32, True) is x


def test_only_strided_layouts():
    for make in (cr.zeros, cr.ones, cr.empty, cr.arange, cr.eye):
        assert make(2, layout=cr.strided).shape[0] == 2
        with pytest.raises(RuntimeError, match="the only layout is chainrule.strided, got 'torch.sparse_coo'"):
            make(2, layout="torch.sparse_coo")
    assert cr.zeros(size=(2, 3), pin_memory=False).shape == (2, 3)
    with pytest.raises(TypeError, match="zeros: unexpected keyword argument 'sized'"):
        cr.zeros(sized=(2, 3))


def test_buffers():
    numbers = array.array("i", [1, 2, 3])
    t = cr.frombuffer(numbers, dtype=cr.int32)
    numbers[0] = 9
    assert t.tolist() == [9, 2, 3]
    t[1] = 8
    assert numbers[1] == 8
    assert cr.frombuffer(numbers, dtype=cr.int32, count=1, offset=4).tolist() == [8]
    with pytest.raises(ValueError, match="frombuffer: 12 bytes from offset 0 do not hold count=4"):
        cr.frombuffer(numbers, dtype=cr.int32, count=4)
    with pytest.raises(ValueError, match="do not hold count=-1"):
        cr.frombuffer(numbers, dtype=cr.int64)
    with pytest.raises(RuntimeError, match="read-only"):
        cr.frombuffer(b"abcd", dtype=cr.uint8).add_(1)


def test_ranges():
    assert cr.arange(1.0, 5.000001, 2.0, dtype=cr.int64).tolist() == [1, 3]
    assert cr.linspace(0, 5, 3, dtype=cr.int64).tolist() == [0, 2, 5]
    assert cr.linspace(cr.tensor(1.0), cr.tensor(2.0), 3).tolist() == [1.0, 1.5, 2.0]
    assert cr.logspace(0, 3, 4, base=2, dtype=cr.float64).tolist() == [1.0, 2.0, 4.0, 8.0]
    with pytest.raises(RuntimeError, match="logspace: steps must not be negative, got -1"):
        cr.logspace(0, 1, -1)
    x = cr.tensor([2.0, -3.0], dtype=cr.float64, requires_grad=True)
    cr.vander(x, 3).sum().backward()
    assert x.grad.tolist() == [5.0, -5.0]


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett"])
def test_windows_are_numpys(name):
    window = getattr(cr, f"{name}_window")
    expected = getattr(np, "hanning" if name == "hann" else name)
    for n in (2, 5, 8):
        np.testing.assert_allclose(window(n, False, dtype=cr.float64).numpy(force=True), expected(n), atol=1e-15)
        np.testing.assert_allclose(window(n, dtype=cr.float64).numpy(force=True), expected(n + 1)[:-1], atol=1e-15)
    assert window(1).tolist() == [1.0]
    assert window(0).tolist() == []
    with pytest.raises(RuntimeError, match="expected a floating-point dtype"):
        window(3, dtype=cr.int64)


def test_the_kaiser_window_is_numpys():
    np.testing.assert_allclose(cr.kaiser_window(7, False, 5.0, dtype=cr.float64).numpy(force=True), np.kaiser(7, 5.0))


def test_memory_with_strides():
    assert cr.empty_strided((2, 3), (1, 2)).stride() == (1, 2)
    assert cr.empty_permuted((2, 3, 4), (2, 0, 1)).stride() == (3, 1, 6)
    assert cr.ones(1, dtype=cr.float64).new_empty_strided((2,), (3,)).dtype == cr.float64
    x = cr.empty_strided((2, 2), (1, 2)).fill_(3.0)
    assert x.t().is_contiguous()
    with pytest.raises(RuntimeError, match="empty_strided: size"):
        cr.empty_strided((2,), (1, 1))


def test_printing_options():
    x = cr.tensor([1.23456, 100.0], device="cpu")
    try:
        cr.set_printoptions(precision=2)
        assert repr(x) == "tensor([  1.23, 100.00])"
        cr.set_printoptions(sci_mode=True)
        assert repr(x) == "tensor([1.23e+00, 1.00e+02])"
        cr.set_printoptions(profile="default", threshold=5, edgeitems=1)
        assert repr(cr.arange(6, device="cpu")) == "tensor([0,  ..., 5])"
        cr.set_printoptions(profile="full")
        assert "..." not in repr(cr.zeros(2000))
        cr.set_printoptions(profile="default", linewidth=20)
        assert max(map(len, repr(cr.arange(30, device="cpu")).split("\n"))) <= 22
        with pytest.raises(ValueError, match="profile must be one of default, short, full, got 'long'"):
            cr.set_printoptions(profile="long")
    finally:
        cr.set_printoptions(profile="default")
    assert repr(x) == "tensor([  1.2346, 100.0000])"
