"""chainrule.array_api: the names, signatures, dtypes, special cases and gradients that the standard asks for."""

from __future__ import annotations

import functools
import inspect
import math
import operator

import numpy as np
import pytest
from array_api_special_cases import AS_IF, BINARY, COMPLEX, CONJUGATE, EVEN, ODD, UNARY
from array_api_standard import ARRAY, CONSTANTS, DTYPES, PROMOTION, SIGNATURES

import chainrule as cr
import chainrule.array_api as xp

# ---- names and signatures -------------------------------------------------------------------------------------------


def attribute(path):
    return operator.attrgetter(path)(xp)


def shape_of(signature):
    """Names, kinds and defaults of parameters."""
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


@pytest.mark.host
@pytest.mark.parametrize("line", SIGNATURES.split("\n")[1:-1])
def test_function_has_the_standards_signature(line):
    name, parameters = line[: line.index("(")], line[line.index("(") :]
    scope = {}
    exec(f"def f{parameters}: ...", scope)
    function = attribute(name)
    assert shape_of(inspect.signature(function)) == shape_of(inspect.signature(scope["f"]))
    assert inspect.getdoc(function)


@pytest.mark.host
def test_the_table_is_whole():
    assert len(SIGNATURES.split("\n")[1:-1]) == 171


@pytest.mark.host
@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name):
    expected = {"e": math.e, "inf": math.inf, "nan": math.nan, "newaxis": None, "pi": math.pi}[name]
    assert getattr(xp, name) == expected or (name == "nan" and math.isnan(xp.nan))


@pytest.mark.parametrize("name", ARRAY)
def test_arrays_have_the_standards_attributes(name):
    x = xp.ones((2, 2))
    assert hasattr(x, name)


def test_namespace_of_an_array():
    x = xp.ones(2)
    assert x.__array_namespace__() is xp is x.__array_namespace__(api_version="2024.12")
    assert xp.__array_api_version__ == "2024.12"
    with pytest.raises(ValueError, match=r"api_version must be one of .*2024\.12, got '1066'"):
        x.__array_namespace__(api_version="1066")
    with pytest.raises(TypeError):
        x.__array_namespace__("2024.12")


def test_attributes_of_an_array():
    x = xp.reshape(xp.arange(6), (2, 3))
    assert (x.ndim, x.shape, x.size, x.dtype) == (2, (2, 3), 6, xp.int64)
    assert x.T.shape == x.mT.shape == (3, 2)
    assert x.to_device(x.device) is x
    with pytest.raises(ValueError, match="stream must be None"):
        x.to_device(x.device, stream=1)


AUGMENTED = {
    operator.iadd: 5, operator.isub: 1, operator.imul: 6, operator.ifloordiv: 1, operator.imod: 1, operator.ipow: 9,
    operator.iand: 2, operator.ior: 3, operator.ixor: 1, operator.ilshift: 12, operator.irshift: 0,
}  # fmt: skip


@pytest.mark.parametrize("f", AUGMENTED, ids=lambda f: f.__name__)
def test_augmented_assignment(f):
    x = xp.asarray([3])
    y = f(x, 2)
    assert y is x and x.tolist() == [AUGMENTED[f]]


def test_augmented_division_and_product_of_matrices():
    x = xp.asarray([3.0])
    x /= 2
    assert x.tolist() == [1.5]
    m = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    m @= xp.asarray([[0.0, 1.0], [1.0, 0.0]])
    assert m.tolist() == [[2.0, 1.0], [4.0, 3.0]]


@pytest.mark.parametrize("f", [operator.lshift, operator.rshift, operator.and_, operator.or_, operator.xor])
def test_operators_on_bits_from_both_sides(f):
    assert f(xp.asarray([5]), 2).tolist() == [f(5, 2)]
    assert f(5, xp.asarray([2])).tolist() == [f(5, 2)]


# ---- inspection -----------------------------------------------------------------------------------------------------


def test_inspection():
    info = xp.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_device() == cr.get_default_device() and info.default_device() in info.devices()
    assert info.default_dtypes() == {
        "real floating": xp.float32, "complex floating": xp.complex64, "integral": xp.int64, "indexing": xp.int64,
    }  # fmt: skip
    assert list(info.dtypes()) == DTYPES
    assert all(getattr(xp, name) == dtype for name, dtype in info.dtypes().items())
    assert list(info.dtypes(kind="unsigned integer")) == ["uint8", "uint16", "uint32", "uint64"]
    assert list(info.dtypes(kind=("bool", "complex floating"))) == ["bool", "complex64", "complex128"]
    assert list(info.dtypes(device="cpu", kind="real floating")) == ["float32", "float64"]
    with pytest.raises(ValueError, match="kind must be one of"):
        info.dtypes(kind="quaternion")


def test_the_largest_number_of_dimensions():
    most = xp.__array_namespace_info__().capabilities()["max dimensions"]
    assert xp.zeros((1,) * most, device="cpu").ndim == most
    with pytest.raises(ValueError):
        xp.zeros((1,) * (most + 1), device="cpu")


# ---- dtypes ---------------------------------------------------------------------------------------------------------

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


# ---- special cases --------------------------------------------------------------------------------------------------

P, N = [1.5, 0.25, 3.0], [-1.5, -0.25, -3.0]
ZEROS, INFINITIES = [0.0, -0.0], [math.inf, -math.inf]
SETS = {
    "P": P, "N": N, "Z": ZEROS, "I": INFINITIES, "F": P + N + ZEROS, "G": [*P, math.inf], "L": [*N, -math.inf],
    "A": P + N + ZEROS + INFINITIES + [math.nan], "T": P + N + ZEROS + INFINITIES,
    "B": [1.5, -1.5, 3.0, -3.0], "S": [0.25, -0.25],
    "O": [1.0, 3.0], "E": [0.5, 2.0, 4.0],
}  # fmt: skip
FLOATS = ["float32", "float64"]


def values(word):
    if word in SETS:
        return SETS[word]
    return [-math.nan if word == "-nan" else float(word)]


def lines(table):
    rows = [line for line in table.replace("\n", " ").split(";") if line.strip()]
    return [tuple(side.split() for side in row.split("->")) for row in rows]


def floor(x):
    return float(np.floor(x)) if math.isfinite(x) else x


def expected(words, **names):
    """The alternatives of a result: (value, approximate)."""
    scope = {"pi": math.pi, "inf": math.inf, "nan": math.nan, "abs": abs, "floor": floor, "cos": math.cos,
        "sin": math.sin, "log": math.log, "True": True, "False": False, **names}
    zeros = {"+0": 0.0, "-0": -0.0}  # Python's -0 is the int 0
    return [
        (zeros[text] if text in zeros else eval(text.lstrip("~"), scope), text.startswith("~"))
        for text in words.split("|")
    ]


def agrees(got, want, approximate, eps, any_sign=False):
    if isinstance(want, bool):
        return got is want
    if math.isnan(want):
        return math.isnan(got)
    if any_sign:
        got, want = abs(got), abs(want)
    if want == 0 or math.isinf(want):
        return got == want and (math.copysign(1, got) == math.copysign(1, want) or type(want) is int)
    return math.isclose(got, want, rel_tol=8 * eps if approximate else eps, abs_tol=0)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_special_cases_of_one_argument(name, dtype):
    wrong = []
    for [word], result in lines(UNARY[name]):
        for x in values(word):
            got = getattr(xp, name)(xp.asarray([x], dtype=getattr(xp, dtype))).tolist()[0]
            if not any(agrees(got, w, near, np.finfo(dtype).eps) for w, near in expected(" ".join(result), x=x)):
                wrong.append(f"{name}({x}) = {got}, expected {' '.join(result)}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_special_cases_of_two_arguments(name, dtype):
    wrong = []
    for (first, second), result in lines(BINARY[name]):
        negate = result[-1] == "!"
        text = " ".join(result[:-1] if negate else result)
        for a in values(first):
            for b in values(second):
                x1, x2 = [xp.asarray([v], dtype=getattr(xp, dtype)) for v in (a, -b if negate else b)]
                results = [getattr(xp, name)(x1, x2).tolist()[0]]
                if second != "-nan" and not math.isnan(b):  # numbers as they are, on either side
                    results.append(getattr(xp, name)(x1, -b if negate else b).tolist()[0])
                if not math.isnan(a):
                    results.append(getattr(xp, name)(a, x2).tolist()[0])
                for got in results:
                    wants = expected(text, x1=a, x2=b)
                    if not any(agrees(got, w, near, np.finfo(dtype).eps) for w, near in wants):
                        wrong.append(f"{name}({x1.tolist()}, {x2.tolist()}) = {got}, expected {text}")
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_sign_of_nan_in_copysign():
    for magnitude in (math.nan, -math.nan):
        for sign, bit in ((-1.0, True), (-0.0, True), (0.0, False), (2.0, False), (-math.nan, True), (math.nan, False)):
            result = xp.copysign(xp.asarray([magnitude]), xp.asarray([sign]))
            assert xp.signbit(result).tolist() == [bit] and xp.isnan(result).tolist() == [True]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", COMPLEX)
def test_special_cases_of_complex_numbers(name, dtype):
    wrong = []
    eps = np.finfo(dtype).eps
    for (first, second), result in lines(COMPLEX[name]):
        for a in values(first):
            for b in values(second):
                x = complex(a, b)
                got = getattr(xp, name)(xp.asarray([x], dtype=getattr(xp, dtype))).tolist()[0]
                parts = [got.real, got.imag] if len(result) == 2 else [got]
                for part, text in zip(parts, result, strict=True):
                    wants = expected(text.lstrip("?"), a=a, b=b)
                    if not any(agrees(part, w, near, eps, text.startswith("?")) for w, near in wants):
                        wrong.append(f"{name}({x}) = {got}, expected {' '.join(result)}")
    assert not wrong, "\n".join(wrong)


FINITE = [complex(a, b) for a in (0.5, -0.5, 2.0, -2.0) for b in (0.25, -0.25, 3.0)]


@pytest.mark.parametrize("name", CONJUGATE)
def test_symmetry_under_conjugation(name):
    x = xp.asarray([*FINITE, complex(math.inf, 1), complex(1, math.inf)], dtype=xp.complex128)
    f = getattr(xp, name)
    np.testing.assert_allclose(value(f(xp.conj(x))), value(xp.conj(f(x))), rtol=1e-15)  # a rounding error apart


@pytest.mark.parametrize("name", [*EVEN, *ODD])
def test_symmetry_under_a_change_of_sign(name):
    x = xp.asarray(FINITE, dtype=xp.complex128)
    f = getattr(xp, name)
    np.testing.assert_allclose(value(f(-x)), value(f(x)) if name in EVEN else -value(f(x)), rtol=1e-15)


@pytest.mark.parametrize("name", AS_IF)
def test_functions_of_complex_numbers_that_follow_others(name):
    other, factor = AS_IF[name]
    x = xp.asarray([*FINITE, 1 + 0j], dtype=xp.complex128)
    np.testing.assert_allclose(value(getattr(xp, name)(x)), factor * value(getattr(xp, other)(x * 1j)), rtol=1e-12)


def test_logarithms_of_complex_numbers_to_other_bases():
    x = xp.asarray(FINITE, dtype=xp.complex128)
    np.testing.assert_allclose(value(xp.log2(x)), value(xp.log(x)) / math.log(2), rtol=1e-12)
    np.testing.assert_allclose(value(xp.log10(x)), value(xp.log(x)) / math.log(10), rtol=1e-12)


def test_complex_numbers_by_parts():
    z = xp.asarray([1.5 - 2.5j, complex(math.nan, 0.5)])
    assert xp.real(z).dtype == xp.imag(z).dtype == xp.float32 and xp.conj(z).dtype == z.dtype
    assert xp.round(z).tolist()[0] == 2 - 2j and math.isnan(xp.round(z).tolist()[1].real)
    assert xp.isnan(z).tolist() == [False, True] and xp.isfinite(z).tolist() == [True, False]
    assert xp.isinf(xp.asarray([complex(math.nan, math.inf)])).tolist() == [True]
    np.testing.assert_allclose(value(xp.sign(xp.asarray([3 + 4j])))[0], 0.6 + 0.8j, rtol=1e-6)
    assert xp.real(xp.ones(2)).tolist() == xp.conj(xp.ones(2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", ["ceil", "floor", "trunc", "round", "abs", "sign", "square", "negative", "positive"])
@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_functions_that_keep_integers(name, dtype):
    x = xp.asarray([0, 3, 7], dtype=getattr(xp, dtype))
    result = getattr(xp, name)(x)
    assert result.dtype == x.dtype
    if name in ("ceil", "floor", "trunc", "round", "abs", "positive"):
        assert result.tolist() == [0, 3, 7]


def test_clip():
    x = xp.asarray([-2.0, 0.5, 3.0, math.nan])
    assert value(xp.clip(x, 0, 1)).tolist()[:3] == [0.0, 0.5, 1.0] and math.isnan(xp.clip(x, 0, 1).tolist()[3])
    assert xp.clip(x, max=xp.asarray([1.0, 0.0, 5.0, 0.0])).tolist()[:3] == [-2.0, 0.0, 3.0]
    assert xp.clip(x, xp.asarray(0.0), 1.0).tolist()[:3] == [0.0, 0.5, 1.0]
    assert xp.clip(x).tolist()[:3] == x.tolist()[:3] and xp.clip(x) is not x
    for bounds in ((math.nan, None), (None, math.nan)):
        assert xp.all(xp.isnan(xp.clip(x, *bounds)))
    assert xp.clip(xp.asarray([1, 5], dtype=xp.int8), 2, 3).dtype == xp.int8
    assert xp.clip(xp.ones((2, 1)), min=xp.zeros((1, 3))).shape == (2, 3)


# ---- reductions, sorting, searching ---------------------------------------------------------------------------------


def value(t):
    return t.numpy(force=True)


def test_reductions_of_nothing():
    empty = xp.zeros((0, 3))
    assert xp.sum(empty).tolist() == 0.0 and xp.prod(empty).tolist() == 1.0
    assert xp.sum(empty, axis=0).tolist() == [0.0] * 3 and xp.prod(empty, axis=0).tolist() == [1.0] * 3
    assert xp.all(empty).tolist() is True and xp.any(empty).tolist() is False
    assert xp.count_nonzero(empty).tolist() == 0
    for f in (xp.max, xp.min):
        with pytest.raises((ValueError, RuntimeError), match=r"max|min"):
            f(empty)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "std", "var"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (-1, 0, 1), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(name, axis, keepdims):
    data = np.linspace(-1, 1, 24).reshape(2, 3, 4)
    result = getattr(xp, name)(xp.asarray(data), axis=axis, keepdims=keepdims)
    want = getattr(np, name)(data, axis=axis, keepdims=keepdims)
    np.testing.assert_allclose(value(result), want, rtol=1e-12, atol=1e-15)
    assert result.shape == want.shape


def test_moments_keep_float32_and_take_a_correction():
    x = xp.asarray([1.0, 2.0, 4.0])
    assert xp.mean(x).dtype == xp.std(x).dtype == xp.float32
    np.testing.assert_allclose(xp.var(x, correction=1).item(), np.var([1, 2, 4], ddof=1), rtol=1e-6)
    np.testing.assert_allclose(xp.std(x).item(), np.std([1, 2, 4]), rtol=1e-6)
    with pytest.raises(TypeError, match="mean: expected a floating-point array, got chainrule.int64"):
        xp.mean(xp.asarray([1]))


def test_nan_in_extremes():
    x = xp.asarray([1.0, math.nan, 3.0])
    assert all(math.isnan(f(x).item()) for f in (xp.max, xp.min, xp.sum, xp.prod, xp.mean))
    assert xp.any(x) and xp.all(x)


def test_cumulative_functions():
    x = xp.asarray([[1, 2], [3, 4]])
    assert xp.cumulative_sum(x, axis=0).tolist() == [[1, 2], [4, 6]]
    assert xp.cumulative_sum(x, axis=-1, include_initial=True).tolist() == [[0, 1, 3], [0, 3, 7]]
    assert xp.cumulative_prod(x, axis=1).tolist() == [[1, 2], [3, 12]]
    assert xp.cumulative_prod(xp.asarray([2, 3]), include_initial=True).tolist() == [1, 2, 6]
    assert xp.cumulative_sum(xp.asarray([2, 3]), dtype=xp.float64).dtype == xp.float64
    with pytest.raises(ValueError, match="axis is required"):
        xp.cumulative_sum(x)


def test_sorting():
    x = xp.asarray([[3.0, 1.0, 2.0], [math.nan, -math.inf, 0.0]])
    assert xp.sort(x).tolist()[0] == [1.0, 2.0, 3.0] and xp.sort(x, descending=True).tolist()[0] == [3.0, 2.0, 1.0]
    assert xp.sort(x).tolist()[1][:2] == [-math.inf, 0.0] and math.isnan(xp.sort(x).tolist()[1][2])
    assert xp.sort(x, axis=0).tolist()[0] == [3.0, -math.inf, 0.0]
    assert xp.argsort(x, axis=1).tolist()[0] == [1, 2, 0]
    same = xp.asarray([1, 0, 1, 0])
    assert xp.argsort(same, stable=True).tolist() == [1, 3, 0, 2]
    assert xp.argsort(same, descending=True).tolist() == [0, 2, 1, 3]
    assert xp.argsort(same).dtype == xp.int64 and xp.sort(xp.asarray(True)).tolist() is True
    with pytest.raises(IndexError):
        xp.sort(x, axis=2)


def test_searching():
    x = xp.asarray([[0, 5, 5], [7, 0, 1]])
    assert xp.argmax(x).tolist() == 3 and xp.argmax(x, axis=1).tolist() == [1, 0]
    assert xp.argmin(x, axis=0, keepdims=True).tolist() == [[0, 1, 1]]
    assert [i.tolist() for i in xp.nonzero(x)] == [[0, 0, 1, 1], [1, 2, 0, 2]]
    assert xp.count_nonzero(x, axis=0).tolist() == [1, 1, 2] and xp.count_nonzero(x).dtype == xp.int64
    assert xp.count_nonzero(xp.asarray([0j, 1j])).tolist() == 1
    with pytest.raises(ValueError, match="nonzero: a 0-d array has no indices"):
        xp.nonzero(xp.asarray(1))


def test_searchsorted():
    x = xp.asarray([1.0, 2.0, 2.0, 3.0])
    v = xp.asarray([[0.0, 2.0], [2.5, 9.0]])
    assert xp.searchsorted(x, v).tolist() == [[0, 1], [3, 4]]
    assert xp.searchsorted(x, v, side="right").tolist() == [[0, 3], [3, 4]]
    mixed = xp.asarray([3.0, 1.0, 2.0])
    assert xp.searchsorted(mixed, xp.asarray([2.0]), sorter=xp.argsort(mixed)).tolist() == [1]
    assert xp.searchsorted(x, v).dtype == xp.int64 and xp.searchsorted(x, xp.asarray(2.5)).shape == ()
    with_nan = xp.asarray([1.0, math.nan])
    assert xp.searchsorted(with_nan, xp.asarray([2.0, math.nan])).tolist() == [1, 1]
    with pytest.raises(ValueError, match="side must be"):
        xp.searchsorted(x, v, side="middle")
    with pytest.raises(ValueError, match="x1 must be a vector"):
        xp.searchsorted(v, x)


def test_unique():
    x = xp.asarray([[3.0, 1.0], [3.0, -0.0], [0.0, 1.0]])
    found = xp.unique_all(x)
    assert found._fields == ("values", "indices", "inverse_indices", "counts")
    assert [t.tolist() for t in (found.values, found.counts)] == [[0.0, 1.0, 3.0], [2, 2, 2]]
    assert found.indices.tolist() == [3, 1, 0] and found.inverse_indices.tolist() == [[2, 1], [2, 0], [0, 1]]
    assert xp.unique_counts(x)._fields == ("values", "counts")
    assert xp.unique_inverse(x)._fields == ("values", "inverse_indices")
    nans = xp.unique_all(xp.asarray([math.nan, 1.0, math.nan]))
    assert nans.values.shape == (3,) and nans.counts.tolist() == [1, 1, 1]
    assert xp.unique_values(xp.zeros((0, 2))).shape == (0,)
    assert xp.unique_all(xp.zeros((0, 2))).inverse_indices.shape == (0, 2)
    assert xp.unique_values(xp.asarray([True, False, True])).tolist() == [False, True]
    assert xp.unique_counts(xp.asarray(5)).counts.tolist() == [1]
    assert xp.unique_values(xp.asarray([2j, 1 + 1j, 2j])).tolist() == [2j, 1 + 1j]


def test_where_promotes_and_takes_numbers():
    condition = xp.asarray([True, False])
    assert xp.where(condition, xp.asarray([1.0, 2.0]), 0).tolist() == [1.0, 0.0]
    assert xp.where(condition, 1, xp.asarray([5, 6], dtype=xp.int8)).dtype == xp.int8
    assert xp.where(condition, xp.asarray(1, dtype=xp.float64), xp.ones(2)).dtype == xp.float64


# ---- creation -------------------------------------------------------------------------------------------------------


def test_creation():
    assert xp.zeros(3).shape == xp.zeros((3,)).shape == (3,) and xp.ones(()).shape == ()
    assert xp.zeros(2).dtype == xp.float32 and xp.empty((2, 0), dtype=xp.uint16).dtype == xp.uint16
    assert xp.full((2,), 1j).dtype == xp.complex64 and xp.full(2, True).dtype == xp.bool
    assert xp.full(2, 3).dtype == xp.int64 and xp.full(2, 3.0).dtype == xp.float32
    assert xp.full_like(xp.ones(2), 5, dtype=xp.int8).tolist() == [5, 5]
    assert xp.eye(2, 3, k=1).tolist() == [[0, 1, 0], [0, 0, 1]] and xp.eye(2, k=-1, dtype=xp.bool).dtype == xp.bool
    x = xp.ones((2, 2), dtype=xp.int16)
    assert xp.zeros_like(x).dtype == xp.int16 and xp.ones_like(x, dtype=xp.float64).dtype == xp.float64
    assert xp.empty_like(x).shape == (2, 2)
    assert xp.zeros(2, device="cpu").device == cr.device("cpu")
    assert xp.tril(xp.ones((3, 3)), k=-1).tolist() == np.tril(np.ones((3, 3)), -1).tolist()
    assert xp.triu(xp.ones((2, 3, 3)), k=1).tolist() == np.triu(np.ones((2, 3, 3)), 1).tolist()


def test_arange():
    assert xp.arange(3).tolist() == [0, 1, 2] and xp.arange(1, 4, 2).tolist() == [1, 3]
    assert xp.arange(3, 0, -1).tolist() == [3, 2, 1] and xp.arange(0.0, 1, 0.25).dtype == xp.float32
    assert xp.arange(3, 1).shape == xp.arange(1, 3, -1).shape == xp.arange(-1).shape == (0,)
    assert xp.arange(2, dtype=xp.uint8).dtype == xp.uint8
    with pytest.raises(ValueError, match="step must not be 0"):
        xp.arange(1, 2, 0)


def test_linspace():
    np.testing.assert_allclose(value(xp.linspace(0, 1, 5)), np.linspace(0, 1, 5))
    np.testing.assert_allclose(value(xp.linspace(0, 1, 5, endpoint=False)), np.linspace(0, 1, 5, endpoint=False))
    assert xp.linspace(0, 1j, 3).dtype == xp.complex64 and xp.linspace(0, 1, 3, dtype=xp.float64).dtype == xp.float64
    assert xp.linspace(5, 5, 0).shape == (0,) and xp.linspace(2, 3, 1).tolist() == [2.0]


def test_asarray():
    assert xp.asarray([True]).dtype == xp.bool and xp.asarray([True, 2]).dtype == xp.int64
    assert xp.asarray([1, 2.0]).dtype == xp.float32 and xp.asarray([1, 2j]).dtype == xp.complex64
    x = xp.ones(2)
    assert xp.asarray(x) is x and xp.asarray(x, copy=True) is not x
    host = np.zeros(2, np.float32)
    shared = xp.asarray(host, device="cpu")
    host[0] = 5
    assert shared.tolist() == [5.0, 0.0]
    apart = xp.asarray(host, device="cpu", copy=True)
    host[0] = 6
    assert apart.tolist() == [5.0, 0.0]
    for obj, dtype in (([1.0], None), (host, xp.float64)):
        with pytest.raises(ValueError, match="asarray: .*copy=False|copy=False.*"):
            xp.asarray(obj, dtype=dtype, device="cpu", copy=False)
    buffer = bytearray(b"ab")
    assert xp.asarray(buffer).dtype == xp.uint8 and xp.asarray(buffer).tolist() == [97, 98]
    assert xp.asarray(memoryview(np.arange(3.0)), device="cpu").dtype == xp.float64


def test_from_dlpack():
    host = np.arange(3.0)
    shared, copied = xp.from_dlpack(host), xp.from_dlpack(host, copy=True)
    host[0] = 7
    assert shared.tolist() == [7.0, 1.0, 2.0] and copied.tolist() == [0.0, 1.0, 2.0]
    assert xp.from_dlpack(host, device="cpu", copy=False).device == cr.device("cpu")


def test_meshgrid():
    a, b = xp.arange(2), xp.arange(3)
    for indexing in ("xy", "ij"):
        host = np.meshgrid(value(a), value(b), indexing=indexing)
        for mine, other in zip(xp.meshgrid(a, b, indexing=indexing), host, strict=True):
            np.testing.assert_array_equal(value(mine), other)
    with pytest.raises(ValueError, match="indexing must be"):
        xp.meshgrid(a, b, indexing="yx")


# ---- shape ----------------------------------------------------------------------------------------------------------


def test_shapes():
    x = xp.reshape(xp.arange(6), (1, 2, 3))
    n = np.arange(6).reshape(1, 2, 3)
    pairs = [
        (xp.expand_dims(x, -1), np.expand_dims(n, -1)),
        (xp.expand_dims(x, axis=1), np.expand_dims(n, 1)),
        (xp.squeeze(x, 0), n[0]),
        (xp.flip(x), np.flip(n)),
        (xp.flip(x, axis=(0, -1)), np.flip(n, (0, -1))),
        (xp.moveaxis(x, 0, -1), np.moveaxis(n, 0, -1)),
        (xp.moveaxis(x, (0, 1), (-1, 0)), np.moveaxis(n, (0, 1), (-1, 0))),
        (xp.permute_dims(x, (2, 0, 1)), np.transpose(n, (2, 0, 1))),
        (xp.roll(x, 2), np.roll(n, 2)),
        (xp.roll(x, (1, -1), axis=(1, 2)), np.roll(n, (1, -1), (1, 2))),
        (xp.roll(x, 1, axis=(1, 2)), np.roll(n, 1, (1, 2))),
        (xp.tile(x, (2, 1)), np.tile(n, (2, 1))),
        (xp.tile(x, (2, 1, 1, 3)), np.tile(n, (2, 1, 1, 3))),
        (xp.repeat(x, 2), np.repeat(n, 2)),
        (xp.repeat(x, 2, axis=1), np.repeat(n, 2, 1)),
        (xp.repeat(x, xp.asarray([0, 2, 1]), axis=2), np.repeat(n, [0, 2, 1], 2)),
        (xp.broadcast_to(x, (4, 2, 3)), np.broadcast_to(n, (4, 2, 3))),
        (xp.concat([x, x], axis=-1), np.concatenate([n, n], -1)),
        (xp.concat((x, x), axis=None), np.concatenate([n, n], None)),
        (xp.stack([x, x], axis=-1), np.stack([n, n], -1)),
        (xp.reshape(x, (-1, 2)), n.reshape(-1, 2)),
        (xp.unstack(x, axis=2)[1], n[:, :, 1]),
        (xp.broadcast_arrays(x, xp.ones((5, 1, 1, 1)))[0], np.broadcast_to(n, (5, 1, 2, 3))),
        (xp.take(x, xp.asarray([2, -3]), axis=-1), np.take(n, [2, -3], -1)),
        (xp.take_along_axis(x, xp.asarray([[[0], [-1]]])), np.take_along_axis(n, np.array([[[0], [-1]]]), -1)),
        (xp.take_along_axis(x, xp.asarray([[[0, 0, 1]]]), axis=1), np.take_along_axis(n, np.array([[[0, 0, 1]]]), 1)),
        (xp.diff(x), np.diff(n)),
        (xp.diff(x, axis=1, n=2, prepend=x, append=x), np.diff(n, 2, 1, n, n)),
        (xp.matrix_transpose(x), np.swapaxes(n, -1, -2)),
    ]
    for i, (mine, other) in enumerate(pairs):
        assert mine.shape == other.shape, i
        np.testing.assert_array_equal(value(mine), other, err_msg=str(i))
        assert mine.dtype == xp.int64


def test_reshape_with_copy():
    x = xp.ones((2, 3))
    view, copied = xp.reshape(x, (6,), copy=False), xp.reshape(x, (6,), copy=True)
    view[0] = 5.0
    assert x.tolist()[0][0] == 5.0 and copied.tolist()[0] == 1.0
    with pytest.raises(ValueError, match="needs a copy"):
        xp.reshape(x.T, (6,), copy=False)


def test_errors_of_shape_functions():
    x = xp.ones((2, 3))
    for call, error, text in (
        (lambda: xp.squeeze(x, 0), ValueError, "length 1"),
        (lambda: xp.expand_dims(x, 4), IndexError, "must be in"),
        (lambda: xp.concat([x, xp.ones(3)]), ValueError, "number of dimensions"),
        (lambda: xp.concat([x, xp.ones((3, 2))]), ValueError, "shapes must agree"),
        (lambda: xp.take(x, xp.asarray([0])), ValueError, "axis is required"),
        (lambda: xp.take_along_axis(x, xp.asarray([0])), ValueError, "must have 2 dimensions"),
        (lambda: xp.broadcast_to(x, (2,)), RuntimeError, "expand"),
        (lambda: xp.add([1], x), TypeError, "x1"),
        (lambda: xp.exp(1.0), TypeError, "exp: argument 'x' must be a Tensor, got float 1.0"),
    ):
        with pytest.raises(error, match=text):
            call()


# ---- linear algebra and transforms ----------------------------------------------------------------------------------


def test_products():
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    x, y = xp.asarray(a), xp.asarray(b, dtype=xp.float64)
    np.testing.assert_allclose(value(xp.matmul(x, y)), a @ b)
    np.testing.assert_allclose(value(xp.matmul(xp.astype(x, xp.float32), y)), a @ b)
    np.testing.assert_allclose(value(xp.tensordot(x, y, axes=1)), np.tensordot(a, b, 1))
    np.testing.assert_allclose(value(xp.tensordot(x, y, axes=((1,), (0,)))), np.tensordot(a, b, 1))
    np.testing.assert_allclose(value(xp.vecdot(x, xp.ones(3))), a.sum(-1))
    np.testing.assert_allclose(value(xp.vecdot(x, xp.ones((1, 2, 3)), axis=-2)), a.sum(0)[None])
    assert xp.vecdot(xp.asarray([1j]), xp.asarray([1j])).tolist() == 1 + 0j
    assert xp.vecdot(xp.asarray([1, 2], dtype=xp.int8), xp.asarray([3, 4], dtype=xp.int8)).dtype == xp.int8
    assert xp.linalg.outer(xp.asarray([1, 2]), xp.asarray([3.0])).tolist() == [[3.0], [6.0]]
    assert xp.linalg.cross(xp.asarray([1, 0, 0]), xp.asarray([[0, 1, 0]])).tolist() == [[0, 0, 1]]
    for call in (
        lambda: xp.vecdot(xp.ones(3), xp.ones(1)),
        lambda: xp.linalg.cross(xp.ones(2), xp.ones(2)),
        lambda: xp.linalg.cross(xp.ones(3), xp.ones(3), axis=0),
        lambda: xp.linalg.outer(xp.ones((1, 1)), xp.ones(1)),
    ):
        with pytest.raises(ValueError):
            call()


def matrices(seed=0, shape=(2, 3, 3)):
    return np.random.default_rng(seed).standard_normal(shape)


def test_linalg():
    a = matrices()
    x = xp.asarray(a)
    s, spd = a + np.swapaxes(a, 1, 2), a @ np.swapaxes(a, 1, 2) + np.eye(3)
    lin = xp.linalg
    pairs = [
        (lin.det(x), np.linalg.det(a)),
        (lin.inv(x), np.linalg.inv(a)),
        (lin.cholesky(xp.asarray(spd)), np.linalg.cholesky(spd)),
        (lin.cholesky(xp.asarray(spd), upper=True), np.swapaxes(np.linalg.cholesky(spd), 1, 2)),
        (lin.eigvalsh(xp.asarray(s)), np.linalg.eigvalsh(s)),
        (lin.svdvals(x), np.linalg.svd(a)[1]),
        (lin.matrix_power(x, 3), np.linalg.matrix_power(a, 3)),
        (lin.matrix_power(x, -1), np.linalg.inv(a)),
        (lin.pinv(x), np.linalg.pinv(a)),
        (lin.matrix_rank(x), np.array([3, 3])),
        (lin.matrix_rank(xp.ones((2, 2)), rtol=0.1), np.array(1)),
        (lin.slogdet(x).sign, np.linalg.slogdet(a)[0]),
        (lin.slogdet(x).logabsdet, np.linalg.slogdet(a)[1]),
        (lin.trace(x), np.trace(a, axis1=1, axis2=2)),
        (lin.trace(x, offset=1), np.trace(a, 1, 1, 2)),
        (lin.diagonal(x, offset=-1), np.diagonal(a, -1, 1, 2)),
        (lin.solve(x, xp.asarray(a[0, 0])), np.linalg.solve(a, np.broadcast_to(a[0, 0][:, None], (2, 3, 1)))[..., 0]),
        (lin.solve(x, xp.asarray(a[1])), np.linalg.solve(a, a[1])),
        (lin.solve(x, xp.asarray(a[0, :2].T)), np.linalg.solve(a, a[0, :2].T)),
        (lin.vector_norm(x), np.linalg.norm(a.ravel())),
        (lin.vector_norm(x, axis=(0, 2), keepdims=True, ord=1), np.abs(a).sum((0, 2), keepdims=True)),
        (lin.vector_norm(x, axis=1, ord=math.inf), np.abs(a).max(1)),
    ]
    for kind in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        pairs.append((lin.matrix_norm(x, ord=kind), np.linalg.norm(a, kind, (1, 2))))
        pairs.append((lin.matrix_norm(x, ord=kind, keepdims=True), np.linalg.norm(a, kind, (1, 2), keepdims=True)))
    for i, (mine, other) in enumerate(pairs):
        assert mine.shape == other.shape, i
        np.testing.assert_allclose(value(mine), other, rtol=1e-9, atol=1e-12, err_msg=str(i))


def test_solve_takes_matrices_that_look_like_batches_of_vectors():
    """PyTorch would take shape (2, 3) beside (2, 3, 3) for two vectors; for the standard it is a 2x3 matrix."""
    a = matrices()
    with pytest.raises((ValueError, RuntimeError)):
        xp.linalg.solve(xp.asarray(a), xp.asarray(a[:, 0]))
    square = matrices(1, (3, 3, 3))
    np.testing.assert_allclose(
        value(xp.linalg.solve(xp.asarray(square), xp.asarray(square[0]))), np.linalg.solve(square, square[0]), rtol=1e-9
    )


def test_decompositions_have_the_standards_fields():
    x = xp.asarray(matrices(2, (4, 3)))
    u, s, vh = xp.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(value((u * s) @ vh), value(x), rtol=1e-9)
    assert xp.linalg.svd(x)._fields == ("U", "S", "Vh") and xp.linalg.svd(x).U.shape == (4, 4)
    q, r = xp.linalg.qr(x)
    np.testing.assert_allclose(value(q @ r), value(x), rtol=1e-9)
    assert xp.linalg.qr(x, mode="complete")._fields == ("Q", "R") and xp.linalg.qr(x, mode="complete").Q.shape == (4, 4)
    h = x.mT @ x
    w, v = xp.linalg.eigh(h)
    np.testing.assert_allclose(value((v * w) @ v.mT), value(h), rtol=1e-9)
    assert xp.linalg.eigh(h)._fields == ("eigenvalues", "eigenvectors")
    assert xp.linalg.slogdet(h)._fields == ("sign", "logabsdet")
    singular = xp.linalg.slogdet(xp.zeros((2, 2)))
    assert singular.sign.tolist() == 0.0 and singular.logabsdet.tolist() == -math.inf


def test_fft():
    rng = np.random.default_rng(3)
    a, z = rng.standard_normal((3, 8)), rng.standard_normal((3, 8)) + 1j * rng.standard_normal((3, 8))
    for norm in ("backward", "ortho", "forward"):
        for name in ("fft", "ifft", "hfft", "irfft"):
            for kwargs in ({}, {"axis": 0}, {"n": 6}):
                mine = getattr(xp.fft, name)(xp.asarray(z), norm=norm, **kwargs)
                np.testing.assert_allclose(value(mine), getattr(np.fft, name)(z, norm=norm, **kwargs), atol=1e-12)
        for name in ("rfft", "ihfft"):
            mine = getattr(xp.fft, name)(xp.asarray(a), norm=norm)
            np.testing.assert_allclose(value(mine), getattr(np.fft, name)(a, norm=norm), atol=1e-12)
        for name in ("fftn", "ifftn", "irfftn"):
            mine = getattr(xp.fft, name)(xp.asarray(z), norm=norm)
            np.testing.assert_allclose(value(mine), getattr(np.fft, name)(z, norm=norm), atol=1e-12)
        mine = xp.fft.rfftn(xp.asarray(a), s=(2, 6), axes=(0, 1), norm=norm)
        np.testing.assert_allclose(value(mine), np.fft.rfftn(a, s=(2, 6), axes=(0, 1), norm=norm), atol=1e-12)
    assert xp.fft.fft(xp.ones(4)).dtype == xp.fft.rfft(xp.ones(4)).dtype == xp.complex64
    assert xp.fft.irfft(xp.ones(4, dtype=xp.complex64)).dtype == xp.float32
    np.testing.assert_allclose(value(xp.fft.fftfreq(5, d=0.5)), np.fft.fftfreq(5, 0.5), rtol=1e-6)
    assert xp.fft.rfftfreq(5, dtype=xp.float64).dtype == xp.float64 and xp.fft.fftfreq(5).dtype == xp.float32
    np.testing.assert_allclose(value(xp.fft.fftshift(xp.asarray(a))), np.fft.fftshift(a))
    np.testing.assert_allclose(value(xp.fft.ifftshift(xp.asarray(a), axes=1)), np.fft.ifftshift(a, 1))


# ---- gradients ------------------------------------------------------------------------------------------------------

X = np.array([[0.3, 0.6, 0.4], [0.5, 0.2, 0.7]])
RECORDED = {
    **{
        name: getattr(xp, name)
        for name in "abs acos asin asinh atan atanh cos cosh exp expm1 log log1p log2 log10 negative positive "
        "reciprocal sin sinh square sqrt tan tanh real conj sum prod mean std var max min sort".split()
    },
    **{
        name: functools.partial(lambda f, x: f(x, 0.5 * x + 0.3), getattr(xp, name))
        for name in "add atan2 divide hypot logaddexp maximum minimum multiply pow subtract".split()
    },
    "remainder": lambda x: xp.remainder(x, 0.5 * x + 0.17),
    "acosh": lambda x: xp.acosh(x + 1),
    "clip": lambda x: xp.clip(x, 0.35, 0.65),
    "where": lambda x: xp.where(x > 0.45, x, 2 * x),
    "cumulative_sum": lambda x: xp.cumulative_sum(x, axis=1, include_initial=True) ** 2,
    "cumulative_prod": lambda x: xp.cumulative_prod(x, axis=0),
    "diff": lambda x: xp.diff(x, n=2) ** 2,
    "concat": lambda x: xp.concat([x, x * x], axis=1),
    "stack": lambda x: xp.stack([x, x * x]),
    "tile": lambda x: xp.tile(x, (2, 2)) ** 2,
    "repeat": lambda x: xp.repeat(x, xp.asarray([2, 1]), axis=0) ** 2,
    "roll": lambda x: xp.roll(x, 1) * x,
    "flip": lambda x: xp.flip(x) * x,
    "take": lambda x: xp.take(x, xp.asarray([0, 0, 1]), axis=1) ** 2,
    "take_along_axis": lambda x: xp.take_along_axis(x, xp.asarray([[0, -1], [1, 1]])) ** 2,
    "moveaxis": lambda x: xp.moveaxis(x, 0, 1) @ x,
    "meshgrid": lambda x: xp.meshgrid(x[0, :], x[1, :])[0] ** 2,
    "broadcast_arrays": lambda x: xp.broadcast_arrays(x, xp.ones((2, 1, 1)))[0] ** 2,
    "unstack": lambda x: xp.unstack(x, axis=1)[2] ** 2,
    "unique_values": lambda x: xp.unique_values(x) ** 2,
    "tril": lambda x: xp.tril(x) ** 2,
    "matmul": lambda x: xp.matmul(x, x.T),
    "tensordot": lambda x: xp.tensordot(x, x, axes=2),
    "vecdot": lambda x: xp.vecdot(x, x * x),
    "astype": lambda x: xp.astype(xp.astype(x, xp.complex128), xp.complex128) * 1.0,
    "linalg.trace": lambda x: xp.linalg.trace(x @ x.T),
    "linalg.cross": lambda x: xp.linalg.cross(x, x * x),
    "linalg.outer": lambda x: xp.linalg.outer(x[0, :], x[1, :]),
    "linalg.inv": lambda x: xp.linalg.inv(x @ x.T),
    "linalg.solve": lambda x: xp.linalg.solve(x @ x.T, x[:, 0]),
    "linalg.det": lambda x: xp.linalg.det(x @ x.T),
    "linalg.vector_norm": lambda x: xp.linalg.vector_norm(x, axis=0),
    "linalg.matrix_norm": lambda x: xp.linalg.matrix_norm(x),
    "linalg.cholesky": lambda x: xp.linalg.cholesky(x @ x.T),
    "linalg.eigvalsh": lambda x: xp.linalg.eigvalsh(x @ x.T),
    "linalg.svdvals": lambda x: xp.linalg.svdvals(x),
    "fft.rfft": lambda x: xp.abs(xp.fft.rfft(x)) ** 2,
}


@pytest.mark.parametrize("name", RECORDED)
def test_gradients_flow_through(name):
    x = xp.asarray(X).requires_grad_()
    result = RECORDED[name](x)
    assert result.requires_grad
    assert cr.autograd.gradcheck(RECORDED[name], x)


def test_gradients_of_decompositions():
    x = xp.asarray(X).requires_grad_()
    assert cr.autograd.gradcheck(lambda x: xp.abs(xp.linalg.qr(x.T).R), x)
    assert cr.autograd.gradcheck(lambda x: xp.linalg.slogdet(x @ x.T).logabsdet, x)
    assert cr.autograd.gradcheck(lambda x: xp.linalg.eigh(x @ x.T).eigenvectors ** 2, x)
    assert cr.autograd.gradcheck(lambda x: xp.linalg.svd(x, full_matrices=False).S, x)


def test_a_function_of_any_namespace_runs_and_is_recorded():
    def softmax(x, axis):
        namespace = x.__array_namespace__()
        shifted = namespace.exp(x - namespace.max(x, axis=axis, keepdims=True))
        return shifted / namespace.sum(shifted, axis=axis, keepdims=True)

    x = xp.asarray(X).requires_grad_()
    softmax(x, -1)[0, 0].backward()
    expected_grad = cr.autograd.grad(cr.softmax(x, -1)[0, 0], x)[0]
    np.testing.assert_allclose(value(x.grad), value(expected_grad), atol=1e-12)
