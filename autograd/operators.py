"""Python's operators on Tensor, and the binding of the Array API names that differ from PyTorch's."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.op import traced as xp
from chainrule.autograd.ops.arithmetic import _pow
from chainrule.autograd.ops.linalg import _matmul
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import constant
from chainrule.autograd.tensor import Tensor

_ACCEPTED = (Tensor, numbers.Number, np.ndarray, np.generic)


def _reflected(f: Any) -> Any:
    """``number op tensor``: the number becomes a constant first, which is quicker than letting the op find out."""

    def reflected(self: Tensor, other: Any) -> Any:
        if type(other) is float or type(other) is int:
            return f(constant(other, self), self)
        return f(other, self) if isinstance(other, _ACCEPTED) else NotImplemented

    return reflected


def _comparison(f: Any) -> Any:
    def compare(self: Tensor, other: Any) -> Any:
        return f(self, other) if isinstance(other, _ACCEPTED) else NotImplemented

    return compare


def _power(self: Tensor, exponent: Any) -> Tensor:
    return _pow(self, exponent)


for _name, _function in {
    "add": xp.add,
    "sub": xp.subtract,
    "mul": xp.multiply,
    "truediv": xp.divide,
    "floordiv": xp.floor_divide,
    "mod": xp.remainder,
    "and": xp.bitwise_and,
    "or": xp.bitwise_or,
    "xor": xp.bitwise_xor,
    "lshift": xp.bitwise_left_shift,
    "rshift": xp.bitwise_right_shift,
    "matmul": _matmul,
    "pow": _power,
}.items():
    setattr(TensorMethods, f"__{_name}__", _function)
    setattr(TensorMethods, f"__r{_name}__", _reflected(_pow if _name == "pow" else _function))

for _name, _function in {
    "eq": xp.equal,
    "ne": xp.not_equal,
    "lt": xp.less,
    "le": xp.less_equal,
    "gt": xp.greater,
    "ge": xp.greater_equal,
}.items():
    setattr(TensorMethods, f"__{_name}__", _comparison(_function))

for _name, _function in {
    "neg": xp.negative,
    "pos": lambda input: input,
    "abs": xp.abs,
    "invert": xp.bitwise_invert,
}.items():
    setattr(TensorMethods, f"__{_name}__", _function)

for _name, _public in {
    "iadd": "add_",
    "isub": "sub_",
    "imul": "mul_",
    "itruediv": "div_",
    "ifloordiv": "floor_divide_",
    "imod": "remainder_",
    "ipow": "pow_",
    "iand": "bitwise_and_",
    "ior": "bitwise_or_",
    "ixor": "bitwise_xor_",
    "ilshift": "bitwise_left_shift_",
    "irshift": "bitwise_right_shift_",
}.items():
    setattr(TensorMethods, f"__{_name}__", FUNCTIONS[_public])
