"""NumPy functions called on Tensors give NumPy's values and shapes as recorded Tensors; what is listed, and loaded."""

from __future__ import annotations

import operator
import subprocess
import sys

import numpy as np
import pytest
from host_arrays import flat, leaf, t, value

import chainrule as cr
from chainrule.autograd import numpy_functions
from chainrule.autograd.numpy_ufuncs import COVERED

A = np.array([[0.3, 0.7, 0.9], [0.5, 0.2, 0.4]])
S = np.array([[2.0, 0.5], [0.5, 1.0]])
#: NumPy function by name -> arguments; `...` stands for the tensor, an array in its place is made one (square matrices)
CALLS = {
    "sum": [(...,), (..., 0), {"axis": (0, 1), "keepdims": True}],
    "prod": [(...,), (..., 1), (..., (0, 1))],
    "mean": [(...,), (..., 0), {"axis": 1, "keepdims": True}],
    "std": [(...,), (..., 0), {"ddof": 1}],
    "var": [(...,), (..., 0), {"axis": 1, "ddof": 1}, {"correction": 1}],
    "max": [(...,), (..., 0), {"axis": 1, "keepdims": True}],
    "min": [(...,), (..., 0)],
    "ptp": [(...,), (..., 1)],
    "all": [(...,), (..., 0)],
    "any": [(...,), (..., 0)],
    "argmax": [(...,), (..., 1)],
    "argmin": [(...,), (..., 0)],
    "average": [(...,), (..., 1), {"axis": 1, "weights": np.array([1.0, 2.0, 3.0])}],
    "median": [(...,), (..., 1), (..., 0)],
    "quantile": [(..., 0.3), (..., 0.3, 1)],
    "percentile": [(..., 30.0), (..., [25.0, 50.0], 0)],
    "cumsum": [(...,), (..., 1)],
    "cumprod": [(...,), (..., 0)],
    "sort": [(...,), (..., 0), (..., None)],
    "argsort": [(...,), (..., 0)],
    "count_nonzero": [(...,), (..., 0)],
    "nonzero": [(...,)],
    "diff": [(...,), (..., 2), (..., 1, 0)],
    "clip": [(..., 0.3, 0.6), (..., None, 0.6), (..., 0.4, None), {"min": 0.4}, (..., np.full(3, 0.4), 0.6)],
    "unique": [(...,)],
    "reshape": [(..., (3, 2)), (..., -1)],
    "ravel": [(...,)],
    "transpose": [(...,), (..., (1, 0))],
    "swapaxes": [(..., 0, 1)],
    "moveaxis": [(..., 0, -1)],
    "rollaxis": [(..., 1), (..., 0, 2)],
    "squeeze": [(...,)],
    "expand_dims": [(..., 0), (..., -1), (..., (0, 2))],
    "broadcast_to": [(..., (4, 2, 3))],
    "atleast_1d": [(...,)],
    "atleast_2d": [(...,)],
    "atleast_3d": [(...,)],
    "concatenate": [((..., A),), ((..., A), 1), ((..., A), None)],
    "stack": [((..., A),), ((..., A), -1)],
    "vstack": [((..., A),)],
    "hstack": [((..., A),)],
    "dstack": [((..., A),)],
    "column_stack": [((..., A),)],
    "append": [(..., A), (..., A, 0)],
    "split": [(..., 3, 1), (..., [1], 0)],
    "array_split": [(..., 2, 1)],
    "vsplit": [(..., 2)],
    "hsplit": [(..., 3)],
    "unstack": [(...,)],
    "tile": [(..., 2), (..., (2, 1, 2))],
    "repeat": [(..., 2), (..., 2, 0), (..., [1, 0, 2], 1)],
    "take": [(..., [0, 5]), (..., np.array([[0], [-1]]), 1), (..., 1, 0)],
    "take_along_axis": [(..., np.array([[0], [-1]]), 1)],
    "roll": [(..., 1), (..., 1, 1), (..., (1, 2), (0, 1)), (..., 1, (0, 1))],
    "flip": [(...,), (..., 0)],
    "flipud": [(...,)],
    "fliplr": [(...,)],
    "rot90": [(...,), (..., 2), (..., -1)],
    "pad": [(..., 1), (..., ((1, 0), (0, 2)), "edge"), {"pad_width": 1, "mode": "constant", "constant_values": 5.0}],
    "copy": [(...,)],
    "zeros_like": [(...,)],
    "ones_like": [(...,)],
    "full_like": [(..., 3.0)],
    "dot": [(..., A.T), (..., A[0]), (..., 2.0), (..., np.ones((4, 3, 2)))],
    "vdot": [(..., A)],
    "inner": [(..., A), (..., A[0])],
    "outer": [(..., A)],
    "kron": [(..., A)],
    "tensordot": [(..., A.T, 1), (..., A), (..., A, ((0,), (0,)))],
    "cross": [(..., A)],
    "trace": [(...,), (..., 1)],
    "diagonal": [(...,), (..., 1)],
    "diag": [(...,), (..., 1)],
    "tril": [(...,), (..., 1)],
    "triu": [(...,), (..., -1)],
    "matrix_transpose": [(...,)],
    "isclose": [(..., A)],
    "allclose": [(..., A)],
    "array_equal": [(..., A), (..., A.T)],
    "nan_to_num": [(...,)],
    "real": [(...,)],
    "imag": [(...,)],
    "angle": [(...,), (..., True)],
    "round": [(...,), (..., 1)],
    "sinc": [(...,)],
    "nansum": [(...,), (..., 0)],
    "nanmean": [(...,)],
    "shape": [(...,)],
    "ndim": [(...,)],
    "size": [(...,), (..., 1)],
    "iscomplexobj": [(...,)],
    "linalg.norm": [(...,), (..., 1), {"axis": 0}, {"axis": (0, 1), "ord": 2}],
    "linalg.pinv": [(...,)],
    "linalg.svd": [(..., False, False)],
    "linalg.svdvals": [(...,)],
    "linalg.inv": [(S,)],
    "linalg.det": [(S,)],
    "linalg.slogdet": [(S,)],
    "linalg.eigvalsh": [(S,)],
    "linalg.cholesky": [(S,)],
    "linalg.solve": [(S, A), (S, A[:, 0])],
    "linalg.matrix_power": [(S, 3)],
    "fft.fft": [(...,), (..., 4), (..., None, 0, "ortho")],
    "fft.ifft": [(...,)],
    "fft.rfft": [(...,)],
    "fft.fft2": [(...,)],
    "fft.fftn": [(...,)],
    "fft.fftshift": [(...,)],
    "fft.ifftshift": [(...,), (..., 1)],
    **{f"fft.{name}": [(...,)] for name in "hfft ihfft irfft ifft2 rfft2 irfft2 ifftn rfftn irfftn".split()},
    "linalg.qr": [(S,), (S, "complete")],
    "linalg.eigh": [(S,)],
    "linalg.eig": [(S,)],
    "linalg.eigvals": [(S,), (np.array([[0.0, 1.0], [-1.0, 0.5]]),)],
    "linalg.matrix_transpose": [(...,)],
    "linalg.multi_dot": [((..., A.T, A),)],
}


def fill(arguments, tensor):
    """Arguments with the tensor in its place, and S as a tensor where it stands for one."""
    filled = []
    for i, v in enumerate(arguments):
        if v is ...:
            filled.append(tensor)
        elif isinstance(v, tuple) and ... in v[:1]:
            filled.append(fill(v, tensor))
        elif isinstance(v, np.ndarray) and i == 0:
            filled.append(t(v, requires_grad=True) if isinstance(tensor, cr.Tensor) else v)
        else:
            filled.append(v)
    return tuple(filled)


@pytest.mark.parametrize("name", CALLS)
def test_function(name):
    """NumPy's numbers and shapes; Tensors come back as Tensors, recorded."""
    function = operator.attrgetter(name)(np)
    for call in CALLS[name]:
        arguments, keywords = ((...,), call) if isinstance(call, dict) else (call, {})
        x = t(A, requires_grad=True)
        mine = flat(function(*fill(arguments, x), **keywords))
        other = flat(function(*fill(arguments, A), **keywords))
        assert len(mine) == len(other)
        for got, want in zip(mine, other, strict=True):
            if name in ("shape", "ndim", "size", "iscomplexobj", "allclose", "array_equal"):
                assert got == want
                continue
            assert isinstance(got, cr.Tensor), (name, call)
            assert got.shape == np.shape(want), (name, call)
            np.testing.assert_allclose(value(got), want, rtol=1e-9, atol=1e-12, err_msg=f"{name} {call}")
            constant = name in ("zeros_like", "ones_like", "full_like", "imag", "unique")  # as in PyTorch
            if got.dtype.is_floating_point and not constant:
                assert got.requires_grad, (name, call)


def test_functions_that_take_arrays_first():
    x = leaf()
    a = value(x)
    np.testing.assert_allclose(value(np.where(a > 0.4, x, 0.0)), np.where(a > 0.4, a, 0.0))
    np.testing.assert_allclose(value(np.where(np.array([True, False]), a, x)), a)
    np.testing.assert_allclose(value(np.einsum("ij,kj->ik", a, x)), a @ a.T)
    np.testing.assert_allclose(value(np.concatenate([a, x])), np.concatenate([a, a]))
    np.testing.assert_allclose(value(np.matmul(a, x)), a @ a)
    for mine, other in zip(np.meshgrid(x[0], x[1]), np.meshgrid(a[0], a[1]), strict=True):
        np.testing.assert_allclose(value(mine), other)
    for mine, other in zip(np.broadcast_arrays(x, np.ones(2)), np.broadcast_arrays(a, np.ones(2)), strict=True):
        np.testing.assert_allclose(value(mine), other)
    assert [i.tolist() for i in np.where(t([0, 3, 4]))] == [[1, 2]]
    assert np.searchsorted(t([1.0, 2.0]), t([1.5, 2.0]), side="right").tolist() == [1, 2]
    values, inverse, counts = np.unique(t([2, 1, 2]), return_inverse=True, return_counts=True)
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == ([1, 2], [1, 0, 1], [1, 2])
    assert np.unique(t([np.nan, 1.0, np.nan])).shape == (2,)
    assert np.result_type(t([1.0]), np.float64) == np.float64


def test_there_are_more_than_eighty_functions():
    np.sum(t([1.0]))
    assert len(numpy_functions.TABLE) > 80
    with pytest.raises(ValueError, match="length 1"):
        np.squeeze(t([1.0, 2.0]), 0)
    with pytest.raises(ValueError, match="equal parts"):
        np.split(t([1.0, 2.0, 3.0]), 2)


def test_the_page_lists_what_is_covered(checkout):
    np.sum(t([1.0]))
    blocks = (checkout / "docs" / "numpy.md").read_text().split("```")[1::2]
    ufuncs, functions = [set(block.removeprefix("text").split()) for block in blocks]
    assert ufuncs == {*COVERED, "divmod"}
    assert functions == {numpy_functions.label_of(f).removeprefix("np.") for f in numpy_functions.TABLE}


def test_numpy_functions_mean_numpys():
    x = t([1.0, 2.0, 4.0, 7.0])
    assert abs(np.std(x).item() - np.std([1, 2, 4, 7])) < 1e-6 and np.std(x).item() != x.std().item()
    assert np.median(x).item() == 3.0 and x.median().item() == 2.0
    assert isinstance(np.sort(x), cr.Tensor) and np.max(x, axis=0).item() == 7.0
    assert np.mean(t([1, 2])).item() == 1.5  # PyTorch's mean refuses integers


def test_nothing_of_this_is_loaded_at_import():
    code = """
import sys
import chainrule as cr
x = cr.ones(2, requires_grad=True)
(x * 2.0).sum().backward()
print(sorted(n for n in sys.modules if n.startswith(('chainrule.array_api', 'chainrule.autograd.numpy'))))
assert cr.array_api.pi > 3
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
