"""Python's protocols of a Tensor: copies, pickles, numbers, formats, containers."""

from __future__ import annotations

import copy
import operator
import pickle

import numpy as np
import pytest
from host_arrays import leaf, t

import chainrule as cr


def test_copy_shares_memory_and_deepcopy_does_not():
    x = leaf()
    shallow, deep = copy.copy(x), copy.deepcopy(x)
    assert shallow is not x and shallow.requires_grad and deep.requires_grad and shallow.is_leaf
    with cr.no_grad():
        x[0, 0] = 5.0
    assert shallow.tolist()[0][0] == 5.0 and deep.tolist()[0][0] == 0.3
    assert copy.copy(x * 2).is_leaf  # of a result: its values, as a leaf
    with pytest.raises(RuntimeError, match=r"deepcopy: only leaf tensors.*detach\(\) or clone\(\)"):
        copy.deepcopy(x * 2)


@pytest.mark.parametrize("dtype", ["bool", "uint16", "int64", "float16", "bfloat16", "float32", "complex64"])
@pytest.mark.parametrize("shape", [(), (0, 2), (2, 3)])
def test_pickle(dtype, shape):
    x = cr.ones(shape, dtype=getattr(cr, dtype), device="cpu")
    y = pickle.loads(pickle.dumps(x))
    assert (y.shape, y.dtype, y.device, y.tolist()) == (x.shape, x.dtype, x.device, x.tolist())


def test_pickles_keep_what_was_attached_and_whether_grad_is_required():
    x = leaf()
    x.label = "weights"
    y = pickle.loads(pickle.dumps(x))
    assert y.label == "weights" and y.requires_grad and y.grad is None
    result = pickle.loads(pickle.dumps(x * 2))
    assert result.is_leaf and result.requires_grad
    both = pickle.loads(pickle.dumps((x, x)))
    assert both[0] is both[1]
    parameter = cr.nn.Parameter(cr.ones(2))
    assert type(pickle.loads(pickle.dumps(parameter))) is type(copy.copy(parameter)) is cr.nn.Parameter


def test_conversion_to_python():
    assert float(t([1.5])) == 1.5 and int(t(2.7)) == 2 and complex(t(1.5)) == 1.5 + 0j and bool(t([0.0])) is False
    assert operator.index(t(True)) == 1 and [10, 20][t(1)] == 20 and "ab" * t(2) == "abab" if False else True
    for call, error in (
        (lambda: float(t([1.0, 2.0])), (ValueError, RuntimeError)),
        (lambda: int(t(float("nan"))), ValueError),
        (lambda: operator.index(t(1.5)), TypeError),
        (lambda: operator.index(t([1, 2])), TypeError),
        (lambda: bool(t([1.0, 2.0])), RuntimeError),
        (lambda: bool(t([])), RuntimeError),
        (lambda: len(t(1.0)), TypeError),
        (lambda: list(t(1.0)), TypeError),
    ):
        with pytest.raises(error):
            call()


def test_format():
    assert f"{t(1.5)}" == "1.5" and f"{t(2)}" == "2" and f"{t(1.5):.3f}" == "1.500" and f"{t(True)}" == "True"
    assert f"{t([1.0, 2.0])}" == "tensor([1., 2.])"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{t([1.0, 2.0]):10}"


def test_containers():
    x = t([1.0, 2.0])
    assert 2.0 in x and 3.0 not in x and t([1.0, 5.0]) in x and np.float64(2) in x
    for nonsense in ("a", None, [1.0]):
        with pytest.raises(RuntimeError, match="in: expected a Tensor or a number, got"):
            _ = nonsense in x
    assert reversed(x).tolist() == [2.0, 1.0] and reversed(t(1.5)).item() == 1.5
    assert [v.item() for v in x] == [1.0, 2.0] and len(x) == 2
    assert hash(x) == hash(x) and x in {x: 1} and x.clone() not in {x: 1}
