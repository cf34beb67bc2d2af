"""chainrule.array_api beside array-api-strict, an implementation of the standard: signatures and values."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

strict = pytest.importorskip("array_api_strict", reason="array-api-strict is not installed")

sys.path.insert(0, str(Path(__file__).parent.parent))

from array_api_standard import DTYPES, SIGNATURES  # noqa: E402

import chainrule as cr  # noqa: E402  (after the check for array-api-strict)
import chainrule.array_api as xp  # noqa: E402

pytestmark = pytest.mark.oracle

LINES = [line for line in SIGNATURES.split("\n") if line]


@pytest.fixture(autouse=True)
def version():
    with strict.ArrayAPIStrictFlags(api_version="2024.12"):
        yield


def of(namespace, path):
    for part in path.split("."):
        namespace = getattr(namespace, part)
    return namespace


def names(function):
    return [(p.name, p.kind) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("path", [line[: line.index("(")] for line in LINES])
def test_parameters(path):
    assert names(of(xp, path)) == names(of(strict, path))


def test_no_function_is_missing():
    with strict.ArrayAPIStrictFlags(api_version="2024.12"):
        later = {"isin", "broadcast_shapes"}  # of the next version of the standard
        tools = {"set_array_api_strict_flags", "get_array_api_strict_flags", "reset_array_api_strict_flags"}
        for prefix, namespace in (("", strict), ("linalg.", strict.linalg), ("fft.", strict.fft)):
            functions = {n for n in namespace.__all__ if inspect.isfunction(getattr(namespace, n))}
            ours = {line[: line.index("(")] for line in LINES}
            assert {prefix + n for n in functions - later - tools} <= ours


NOT_ELEMENTWISE = {
    "matrix_transpose", "nonzero", "unique_all", "unique_counts", "unique_inverse", "unique_values", "matmul"
}  # fmt: skip
SHORT = [line[: line.index("(")] for line in LINES if line.endswith(("(x, /)", "(x1, x2, /)")) and "." not in line]


def sample(dtype, seed):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random((3, 4)) > 0.5
    if "int" in dtype:
        return rng.integers(1, 6, (3, 4)).astype(dtype)
    values = rng.uniform(0.1, 0.9, (3, 4))
    return (values + 1j * rng.uniform(0.1, 0.9, (3, 4)) if "complex" in dtype else values).astype(dtype)


def compare(name, dtype, arrays, keywords):
    """Compares all results of a function; says whether the standard defines it for the dtype."""
    try:
        with np.errstate(invalid="ignore"):
            expected = getattr(strict, name)(*[strict.asarray(a) for a in arrays], **keywords)
    except TypeError:
        return False
    result = getattr(xp, name)(*[xp.asarray(a, device="cpu") for a in arrays], **keywords)
    tolerance = 2e-6 if dtype in ("float32", "complex64") else 1e-12
    for got, want in zip(*[r if isinstance(r, tuple) else (r,) for r in (result, expected)], strict=True):
        assert got.dtype == str(want.dtype).rpartition(".")[2], dtype
        np.testing.assert_allclose(got.numpy(), np.asarray(want), rtol=tolerance, err_msg=dtype)
    return True


@pytest.mark.parametrize("name", [n for n in SHORT if n not in NOT_ELEMENTWISE])
def test_values_of_elementwise_functions(name):
    count = len(names(getattr(xp, name)))
    assert sum(compare(name, dtype, [sample(dtype, seed) for seed in range(count)], {}) for dtype in DTYPES)


OF_ONE_ARRAY = """
sum prod max min mean std var all any argmax argmin count_nonzero cumulative_sum cumulative_prod sort argsort
unique_values unique_counts unique_inverse unique_all flip diff
""".split()


@pytest.mark.parametrize("name", OF_ONE_ARRAY)
def test_values_of_functions_of_one_array(name):
    keywords = {"axis": 1} if "cumulative" in name else {}
    assert sum(compare(name, dtype, [sample(dtype, 7)], keywords) for dtype in DTYPES)


@pytest.mark.parametrize("a", DTYPES)
def test_promotion_and_casting(a):
    for b in DTYPES:
        try:
            expected = strict.result_type(getattr(strict, a), getattr(strict, b))
        except TypeError:
            continue  # between kinds: left open
        found = xp.result_type(getattr(xp, a), getattr(xp, b))
        assert found == str(expected).rpartition(".")[2]
        assert xp.can_cast(getattr(xp, a), getattr(xp, b)) == strict.can_cast(getattr(strict, a), getattr(strict, b))


def test_one_program_for_both():
    """Written against any namespace of the standard."""

    def program(x):
        namespace = x.__array_namespace__()
        y = namespace.matmul(x, namespace.matrix_transpose(x)) + namespace.eye(x.shape[0], dtype=x.dtype)
        z = namespace.concat([namespace.expand_dims(y, axis=0), namespace.ones((1, *y.shape), dtype=x.dtype)])
        order = namespace.argsort(namespace.reshape(z, (-1,)), descending=True)
        top = namespace.take(namespace.reshape(z, (-1,)), order[:5])
        return namespace.sum(namespace.linalg.inv(y)) + namespace.mean(top) + namespace.linalg.trace(y)

    a = sample("float64", 3)
    mine, other = program(xp.asarray(a, device="cpu")), program(strict.asarray(a))
    np.testing.assert_allclose(float(mine), float(other), rtol=1e-12)
    assert cr.autograd.gradcheck(program, xp.asarray(a, device="cpu").requires_grad_())
