"""chainrule.array_api: promotion, weak Python numbers, limits of dtypes, casts, and the dtypes of sums."""

from __future__ import annotations

import numpy as np
import pytest
from array_api_standard import DTYPES, PROMOTION

import chainrule as cr
import chainrule.array_api as xp

ROWS = [row.split() for row in PROMOTION.replace(";", "\n").strip().split("\n")]


@pytest.mark.parametrize("row", ROWS, ids=" ".join)
@pytest.mark.parametrize("shape", [(), (2,)], ids=["0-d", "1-d"])
def test_promotion_of_two_arrays(row, shape):
    a, b, result = [getattr(xp, name) for name in row]
    for first, second in ((a, b), (b, a)):
        x, y = xp.ones((2,), dtype=first), xp.ones(shape, dtype=second)
        assert xp.result_type(x, y) == xp.result_type(first, y) == xp.result_type(first, second) == result
        functions = [xp.logical_and] if result == xp.bool else [xp.add, xp.multiply]
        for f in functions:
            assert f(x, y).dtype == f(y, x).dtype == result
        assert xp.where(xp.asarray([True, False]), x, y).dtype == result
        assert xp.equal(x, y).dtype == xp.bool
        if shape:
            assert xp.concat([x, y]).dtype == xp.stack([x, y]).dtype == result


@pytest.mark.parametrize("name", DTYPES)
def test_python_numbers_are_weak(name):
    dtype = getattr(xp, name)
    x = xp.ones((2,), dtype=dtype)
    numbers = [True]
    numbers += [2] if not xp.isdtype(dtype, "bool") else []
    numbers += [2.5] if xp.isdtype(dtype, ("real floating", "complex floating")) else []
    numbers += [1j] if xp.isdtype(dtype, "complex floating") else []
    for number in numbers:
        assert xp.result_type(x, number) == dtype
        if name != "bool":
            assert xp.add(x, number).dtype == xp.add(number, x).dtype == (x + number).dtype == dtype
    if xp.isdtype(dtype, "real floating"):
        assert xp.result_type(dtype, 1j) == (xp.complex64 if name == "float32" else xp.complex128)


def test_two_numbers_are_no_array():
    with pytest.raises(TypeError, match="add: at least one argument must be a Tensor, got int 1 and int 2"):
        xp.add(1, 2)
    with pytest.raises(TypeError, match="add: argument 'x2' must be a Tensor or a Python number, got list"):
        xp.add(xp.ones(1), [1])
    with pytest.raises(ValueError, match="at least one array or dtype"):
        xp.result_type(1, 2.0)


def test_uint64_has_no_common_dtype_with_signed_integers():
    with pytest.raises(TypeError, match="no integer dtype holds both uint64 and int8"):
        xp.add(xp.ones(1, dtype=xp.uint64), xp.ones(1, dtype=xp.int8))


def test_can_cast_follows_promotion():
    yes = [("int8", "int16"), ("uint8", "int16"), ("float32", "float64"), ("float32", "complex64"), ("bool", "bool")]
    no = [("int16", "int8"), ("int8", "uint8"), ("float64", "complex64"), ("int8", "float64"), ("bool", "int8"),
        ("uint64", "int64"), ("complex64", "float32")]
    for cases, expected in ((yes, True), (no, False)):
        for a, b in cases:
            source, target = getattr(xp, a), getattr(xp, b)
            assert xp.can_cast(source, target) is xp.can_cast(xp.ones(1, dtype=source), target) is expected, (a, b)


@pytest.mark.parametrize("name", ["float32", "float64", "complex64", "complex128"])
def test_finfo(name):
    found = xp.finfo(getattr(xp, name))
    expected = np.finfo(name)
    assert found.dtype == expected.dtype and found.bits == expected.bits
    for field in ("eps", "max", "min", "smallest_normal"):
        assert getattr(found, field) == float(getattr(expected, field)) and type(getattr(found, field)) is float
    assert xp.finfo(xp.ones(1, dtype=getattr(xp, name))) == found


@pytest.mark.parametrize("name", [n for n in DTYPES if "int" in n])
def test_iinfo(name):
    found = xp.iinfo(getattr(xp, name))
    assert (found.bits, found.max, found.min) == (np.iinfo(name).bits, np.iinfo(name).max, np.iinfo(name).min)
    assert found.dtype == getattr(xp, name) and type(found.max) is int


def test_limits_of_the_wrong_kind():
    with pytest.raises(ValueError, match="iinfo: expected an integer dtype"):
        xp.iinfo(xp.float32)
    with pytest.raises(ValueError, match="finfo: expected a floating-point"):
        xp.finfo(xp.int8)


def test_isdtype():
    assert xp.isdtype(xp.float32, "real floating") and xp.isdtype(xp.float32, ("integral", xp.float32))
    assert not xp.isdtype(xp.float32, xp.float64) and not xp.isdtype(xp.bool, "numeric")
    assert xp.isdtype(cr.bfloat16, "real floating")
    with pytest.raises(ValueError, match="isdtype: kind"):
        xp.isdtype(xp.float32, "real number")


def test_astype():
    x = xp.asarray([1.5, 0.0])
    assert xp.astype(x, xp.int32).tolist() == [1, 0] and xp.astype(x, xp.bool).tolist() == [True, False]
    assert xp.astype(x, xp.float32, copy=False) is x and xp.astype(x, xp.float32) is not x
    assert xp.astype(x, xp.float64, device=x.device).dtype == xp.float64
    with pytest.raises(TypeError, match=r"astype: a complex array has no one real value.*real\(\) or imag\(\)"):
        xp.astype(xp.asarray([1j]), xp.float32)
    assert xp.astype(xp.asarray([1j, 0j]), xp.bool).tolist() == [True, False]


@pytest.mark.parametrize("name", DTYPES)
def test_dtypes_of_sums(name):
    x = xp.ones((2, 2), dtype=getattr(xp, name))
    wide = "uint64" if name.startswith("uint") else "int64" if name == "bool" or "int" in name else name
    for f in (xp.sum, xp.prod):
        assert f(x).dtype == getattr(xp, wide) == f(x, axis=0).dtype
        assert f(x, dtype=xp.complex128).dtype == xp.complex128
    for f in (xp.cumulative_sum, xp.cumulative_prod):
        assert f(x, axis=1).dtype == getattr(xp, wide)
    assert xp.sum(x).tolist() == 4
