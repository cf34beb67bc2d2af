"""chainrule.array_api: the standard's special cases (zeros, infinities, NaN), and symmetries of complex functions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from array_api_special_cases import AS_IF, BINARY, COMPLEX, CONJUGATE, EVEN, ODD, UNARY
from host_arrays import value

import chainrule.array_api as xp

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
