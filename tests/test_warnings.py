"""Infinities and NaN come without NumPy's warnings, as in PyTorch; NumPy's own users keep theirs."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

import chainrule as cr

X = [0.0, -1.0, 1e38]
SILENT = {
    "log": lambda x: cr.log(x),
    "sqrt": lambda x: cr.sqrt(x),
    "exp": lambda x: cr.exp(x),
    "reciprocal": lambda x: cr.reciprocal(x),
    "division by zero": lambda x: x / 0,
    "zero by zero": lambda x: x / (x - x),
    "overflow": lambda x: x * x,
    "power": lambda x: x**-1,
    "remainder": lambda x: x % 0,
    "matmul": lambda x: x @ x,
    "mean of nothing": lambda x: x[:0].mean(),
    "std of one": lambda x: x[:1].std(),
    "softmax of infinities": lambda x: (x / 0).softmax(0),
    "narrowing": lambda x: x.to(cr.float16),
}


@pytest.mark.parametrize("name", sorted(SILENT))
def test_no_warning_in_either_direction(name):
    x = cr.tensor(X, requires_grad=True)
    with warnings.catch_warnings(record=True) as caught:
        result = SILENT[name](x)
        result.sum().backward()
    assert not caught
    assert x.grad.shape == x.shape


SCRIPT = """
import warnings
warnings.simplefilter("error")
import numpy as np
import chainrule as cr
print(cr.log(cr.tensor([0.0])))
try:
    np.log(np.zeros(1))
except RuntimeWarning as warning:
    print("NumPy:", warning)
"""


@pytest.mark.host
def test_a_script_under_strict_warnings():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "tensor([-inf])\nNumPy: divide by zero encountered in log\n"


@pytest.mark.host
def test_numpy_still_warns_here():
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        np.log(np.zeros(1))
