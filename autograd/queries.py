"""Questions about tensors and dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from chainrule.autograd import dtypes, formats, runtime
from chainrule.autograd.methods import TensorMethods
from chainrule.autograd.public import function, method_only
from chainrule.autograd.tensor import Tensor


@function("is_tensor", method=False)
def _is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a Tensor.

    Example:
        >>> import chainrule as cr
        >>> cr.is_tensor(cr.ones(2)), cr.is_tensor([1.0])
        (True, False)
    """
    return isinstance(obj, Tensor)


@function("is_floating_point", method=False)
def _is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating-point numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.is_floating_point(cr.ones(2))
        True
    """
    return input.is_floating_point()


@function("is_complex", method=False)
def _is_complex(input: Tensor) -> bool:
    """Whether the elements are complex numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.is_complex(cr.ones(2))
        False
    """
    return input.is_complex()


@function("is_signed")
def _is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.is_signed(cr.ones(2)), cr.is_signed(cr.ones(2, dtype=cr.uint8))
        (True, False)
    """
    return input.dtype.is_signed


@function("is_same_size")
def _is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have one shape.

    Example:
        >>> import chainrule as cr
        >>> cr.is_same_size(cr.ones(2), cr.ones(2, 1))
        False
    """
    return bool(input._data.shape == other._data.shape)


@function("is_nonzero")
def _is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero. Raises RuntimeError when there are more or none.

    Example:
        >>> import chainrule as cr
        >>> cr.is_nonzero(cr.tensor([0.0]))
        False
    """
    if input._data.size != 1:
        raise RuntimeError(f"is_nonzero: expected one element, got shape {tuple(input.shape)}")
    return bool(input)


@function("numel", method=False)
def _numel(input: Tensor) -> int:
    """The number of elements.

    Example:
        >>> import chainrule as cr
        >>> cr.numel(cr.ones(2, 3))
        6
    """
    return input.numel()


@function("get_device")
def _get_device(input: Tensor) -> int:
    """The number of the CUDA device; -1 for the CPU.

    Example:
        >>> import chainrule as cr
        >>> cr.get_device(cr.ones(2, device="cpu"))
        -1
    """
    return (input._device.index or 0) if input._device.type == "cuda" else -1


@function("typename", method=False)
def _typename(obj: Any) -> str:
    """The name of a tensor's dtype, or of the type of anything else.

    Example:
        >>> import chainrule as cr
        >>> cr.typename(cr.ones(2)), cr.typename(3)
        ('chainrule.float32', 'int')
    """
    if isinstance(obj, Tensor):
        return str(obj.dtype)
    kind = type(obj)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


@function("result_type", method=False)
def _result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of an arithmetic result of two tensors or numbers.

    Example:
        >>> import chainrule as cr
        >>> cr.result_type(cr.tensor([1, 2]), 1.0)
        chainrule.float32
    """
    return dtypes.as_dtype(runtime.result_dtype([tensor1, tensor2]))


@function("promote_types", method=False)
def _promote_types(type1: Any, type2: Any) -> dtypes.dtype:
    """The smallest dtype that holds both, by PyTorch's rules.

    Example:
        >>> import chainrule as cr
        >>> cr.promote_types(cr.int32, cr.float32)
        chainrule.float32
    """
    return dtypes.as_dtype(dtypes.promote(dtypes.as_dtype(type1).dtype, dtypes.as_dtype(type2).dtype))


@function("can_cast", method=False)
def _can_cast(from_: Any, to: Any) -> bool:
    """Whether results of one dtype may be stored in another: the kind (bool, integer, float, complex) must not fall.

    Example:
        >>> import chainrule as cr
        >>> cr.can_cast(cr.float64, cr.float32), cr.can_cast(cr.float32, cr.int64)
        (True, False)
    """
    return castable(dtypes.as_dtype(from_).dtype, dtypes.as_dtype(to).dtype)


def castable(have: np.dtype[Any], want: np.dtype[Any]) -> bool:
    """Whether a result of dtype ``have`` may be stored as ``want``."""
    return dtypes.category(have) <= dtypes.category(want)


class finfo:
    """The limits of a floating-point dtype (the default one unless another is given).

    Example:
        >>> import chainrule as cr
        >>> cr.finfo(cr.float32).max, cr.finfo(cr.float16).bits
        (3.4028234663852886e+38, 16)
    """

    def __init__(self, type: Any = None) -> None:
        found = dtypes.get_default_dtype() if type is None else dtypes.as_dtype(type)
        if not found.is_floating_point and not found.is_complex:
            raise TypeError(f"finfo: expected a floating-point dtype, got {found}; use iinfo for integers")
        from chainrule.backends.shims import finfo as limits

        numbers = limits(found.dtype if found.is_floating_point else np.zeros(0, found.dtype).real.dtype)
        self.bits = int(numbers.bits)
        self.eps, self.max, self.min = float(numbers.eps), float(numbers.max), float(numbers.min)
        self.tiny = self.smallest_normal = float(numbers.tiny)
        self.resolution = 10.0 ** round(math.log10(numbers.resolution))
        self.dtype = str(numbers.dtype)

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype.

    Example:
        >>> import chainrule as cr
        >>> cr.iinfo(cr.int8).max
        127
    """

    def __init__(self, type: Any) -> None:
        found = dtypes.as_dtype(type)
        if dtypes.category(found.dtype) != 1:
            raise TypeError(f"iinfo: expected an integer dtype, got {found}; use finfo for floating-point numbers")
        numbers = np.iinfo(found.dtype)
        self.bits, self.max, self.min = int(numbers.bits), int(numbers.max), int(numbers.min)
        self.dtype = found.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"


# ---- memory ---------------------------------------------------------------------------------------------------------


@method_only("data_ptr")
def _data_ptr(input: Tensor) -> int:
    """The address of the first element."""
    return int(input._device.xp.address(input._data)) if input._data.size else 0


@method_only("storage_offset")
def _storage_offset(input: Tensor) -> int:
    """How many elements of the base lie before the first one of this view; 0 for a tensor that is no view."""
    if input._view is None or not input._data.size:
        return 0
    base, address = input._view.base._data, input._device.xp.address
    return int(address(input._data) - address(base)) // int(input._data.dtype.itemsize)


@method_only("ndimension")
def _ndimension(input: Tensor) -> int:
    """The number of dimensions."""
    return input.dim()


@method_only("is_set_to")
def _is_set_to(input: Tensor, tensor: Tensor) -> bool:
    """Whether two tensors show the same memory in the same way."""
    same = input._data.shape == tensor._data.shape and input.stride() == tensor.stride()
    return bool(same and input.dtype == tensor.dtype and _data_ptr(input) == _data_ptr(tensor))


# ---- what tensors of other libraries may be -------------------------------------------------------------------------


def _is_cpu(input: Tensor) -> bool:
    """Whether the elements live in the memory of the CPU."""
    return input._device.type == "cpu"


def _layout(input: Tensor) -> formats.layout:
    """``chainrule.strided``: how the elements are stored."""
    return formats.strided


def _never(input: Tensor) -> bool:
    """False: there are no such tensors here."""
    return False


TensorMethods.is_cpu = property(_is_cpu)  # type: ignore[attr-defined]
TensorMethods.layout = property(_layout)  # type: ignore[attr-defined]
for _name in "is_sparse is_sparse_csr is_quantized is_meta is_nested is_mkldnn is_mps is_xpu is_xla is_vulkan".split():
    setattr(TensorMethods, _name, property(_never))


@method_only("is_pinned")
def _is_pinned(input: Tensor, device: Any = None) -> bool:
    """Whether the elements live in page-locked memory; never here."""
    return False


@method_only("pin_memory")
def _pin_memory(input: Tensor, device: Any = None) -> Tensor:
    """The tensor itself: there is no page-locked memory here."""
    return input


@method_only("dim_order")
def _dim_order(input: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions in the order in which they lie in memory, outermost first."""
    strides = input.stride()
    return tuple(sorted(range(len(strides)), key=lambda d: -strides[d]))


@method_only("to_dense")
def _to_dense(input: Tensor, dtype: Any = None, *, masked_grad: bool = True) -> Tensor:
    """The tensor itself, in another dtype where one is given: there are no sparse tensors here."""
    return input if dtype is None else input.to(dtype)
