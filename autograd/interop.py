"""What other array libraries ask a Tensor for: NumPy's protocols, DLPack, the CUDA interface, the Array API.

Only the hooks stand here; the tables behind them are imported when a hook is first called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.autograd.tensor import Tensor


class ArrayProtocols:
    """Base of Tensor without state: the hooks by which other libraries see it."""

    __slots__ = ()

    # ---- NumPy ------------------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        from chainrule.autograd.numpy_ufuncs import apply_ufunc

        return apply_ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from chainrule.autograd.numpy_functions import apply_function

        return apply_function(function, args, kwargs)

    def __array__(self: Any, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.requires_grad:
            raise RuntimeError(
                "np.asarray: this tensor requires grad, and an array does not record; use .detach() first, "
                "or .numpy(force=True)"
            )
        if self._device.type != "cpu":
            raise TypeError(f"np.asarray: this tensor is on {self._device}; use .numpy(force=True), which copies it")
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    # ---- DLPack and CUDA --------------------------------------------------------------------------------------------

    def __dlpack__(
        self: Any,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        from chainrule.autograd.dlpack import capsule

        return capsule(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self: Any) -> tuple[int, int]:
        from chainrule.autograd.dlpack import device_of

        return device_of(self)

    @property
    def __cuda_array_interface__(self: Any) -> dict[str, Any]:
        """The memory of a CUDA tensor; other tensors do not have this attribute."""
        if self._device.type != "cuda":
            raise AttributeError(f"__cuda_array_interface__: this tensor is on {self._device}, not on CUDA")
        if self.requires_grad:
            raise RuntimeError(
                "__cuda_array_interface__: this tensor requires grad, and another library would not record; "
                "use .detach() first"
            )
        if self._data.dtype.kind == "V":
            raise TypeError(f"__cuda_array_interface__: the protocol has no {self.dtype}; convert with .float() first")
        return self._data.__cuda_array_interface__

    # ---- the Array API ----------------------------------------------------------------------------------------------

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        # by name: the namespace stands on top of this package, and most programs never load it
        namespace = importlib.import_module("chainrule.array_api")
        if api_version is not None and api_version not in namespace.SUPPORTED_VERSIONS:
            raise ValueError(
                f"__array_namespace__: api_version must be one of {', '.join(namespace.SUPPORTED_VERSIONS)}, "
                f"got {api_version!r}"
            )
        return namespace

    def to_device(self: Any, device: Any, /, *, stream: Any = None) -> Tensor:
        """The tensor on another device (itself where it is there already); the Array API's name of ``to``.

        Raises ValueError for a stream: work is ordered by the device's current one.
        """
        if stream is not None:
            raise ValueError(f"to_device: stream must be None, got {stream!r}; set the array library's current stream")
        return self.to(device)

    # ---- Python -----------------------------------------------------------------------------------------------------

    def __contains__(self: Any, element: Any) -> bool:
        import numbers

        if not isinstance(element, (type(self), ArrayProtocols, numbers.Number, np.generic)):
            raise RuntimeError(f"in: expected a Tensor or a number, got {type(element).__name__}")
        return bool((self == element).any())

    def __reversed__(self: Any) -> Tensor:
        return self.flip(0) if self._data.ndim else self
