"""``FloatTensor`` and its kin: the constructors by dtype that old PyTorch scripts use."""

from __future__ import annotations

from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.backends.devices import get_default_device


class _TensorOfDtype(type):
    """Type of these classes: a tensor is an instance of the one for its dtype."""

    dtype: dtypes.dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype == cls.dtype

    def __call__(cls, *data: Any) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], int):
            given = data[0]
            if isinstance(given, Tensor) and given.dtype != cls.dtype:
                raise TypeError(f"{cls.__name__}: expected a {cls.dtype} tensor or data, got {describe(given)}")
            return tensor(given, dtype=cls.dtype)
        if not all(isinstance(n, int) and n >= 0 for n in data):
            raise TypeError(f"{cls.__name__}: expected data, or sizes as non-negative ints, got {data!r:.80}")
        device = get_default_device()
        return wrap(device.xp.zeros(data or (0,), dtype=cls.dtype.dtype), device)


def _make(name: str, dtype: dtypes.dtype) -> None:
    doc = (
        f"A {dtype} tensor of the given data, or of zeros of the given sizes; prefer ``tensor(data, dtype=...)``.\n\n"
        f"Example:\n    >>> import chainrule as cr\n    >>> cr.{name}([1, 0]).dtype\n    {dtype}\n"
    )
    FUNCTIONS[name] = _TensorOfDtype(name, (), {"dtype": dtype, "__doc__": doc, "__module__": "chainrule"})


for _name, _dtype in {
    "BFloat16Tensor": dtypes.bfloat16, "BoolTensor": dtypes.bool_, "ByteTensor": dtypes.uint8,
    "CharTensor": dtypes.int8, "DoubleTensor": dtypes.float64, "FloatTensor": dtypes.float32,
    "HalfTensor": dtypes.float16, "IntTensor": dtypes.int32, "LongTensor": dtypes.int64, "ShortTensor": dtypes.int16,
}.items():  # fmt: skip
    _make(_name, _dtype)
