"""chainrule.array_api: names, signatures, attributes, operators and inspection as the standard asks for them."""

from __future__ import annotations

import inspect
import math
import operator

import pytest
from array_api_standard import ARRAY, CONSTANTS, DTYPES, SIGNATURES

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
