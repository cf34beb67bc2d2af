"""Inspection: what this namespace can do, and its dtypes and devices."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from chainrule.array_api.data_type_functions import isdtype
from chainrule.autograd import dtypes as tensor_dtypes
from chainrule.backends.devices import backend_for, get_default_device
from chainrule.backends.devices import device as Device

_NAMES = """
bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128
""".split()
_KINDS = {
    "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric"
}  # fmt: skip


class Info:
    """What ``__array_namespace_info__`` gives."""

    def capabilities(self) -> dict[str, Any]:
        """Whether boolean indexing and data-dependent shapes work, and the largest number of dimensions."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """The device of new arrays."""
        return get_default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, tensor_dtypes.dtype]:
        """The dtypes of new arrays by kind, and of indices."""
        real = tensor_dtypes.get_default_dtype()
        complex_ = tensor_dtypes.promote(real.dtype, np.dtype(np.complex64))
        return {
            "real floating": real,
            "complex floating": tensor_dtypes.as_dtype(complex_),
            "integral": tensor_dtypes.int64,
            "indexing": tensor_dtypes.int64,
        }

    def dtypes(
        self, *, device: Any = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, tensor_dtypes.dtype]:
        """The standard's dtypes by name: all of them, or those of a kind."""
        for k in kind if isinstance(kind, tuple) else () if kind is None else (kind,):
            if k not in _KINDS:
                raise ValueError(f"dtypes: kind must be one of {', '.join(sorted(_KINDS))}, got {k!r}")
        found = {name: tensor_dtypes.as_dtype(name) for name in _NAMES}
        return {name: spec for name, spec in found.items() if kind is None or isdtype(spec, kind)}

    def devices(self) -> list[Device]:
        """The devices that can be used here."""
        found = [Device("cpu")]
        with contextlib.suppress(RuntimeError):  # there is no GPU
            found += [Device("cuda", i) for i in range(backend_for("cuda").device_count())]
        default = get_default_device()
        return found if default in found else [*found, default]


def __array_namespace_info__() -> Info:
    """The namespace's inspection functions."""
    return Info()
