"""The standard's extension ``fft``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chainrule.array_api.promotion import array, ours
from chainrule.autograd.tensor import Tensor


def fft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Discrete Fourier transform along ``axis``."""
    return ours("fft.fft")(array("fft", "x", x), n, axis, norm)


def fftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """Frequencies of the bins of ``fft``."""
    return ours("fft.fftfreq")(n, d, dtype=dtype, device=device)


def fftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """Discrete Fourier transform along several axes."""
    return ours("fft.fftn")(array("fftn", "x", x), s, axes, norm)


def fftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """Frequency 0 moved to the middle."""
    return ours("fft.fftshift")(array("fftshift", "x", x), axes)


def hfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """``fft`` of numbers with Hermitian symmetry, which is real."""
    return ours("fft.hfft")(array("hfft", "x", x), n, axis, norm)


def ifft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of ``fft``."""
    return ours("fft.ifft")(array("ifft", "x", x), n, axis, norm)


def ifftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """Inverse of ``fftn``."""
    return ours("fft.ifftn")(array("ifftn", "x", x), s, axes, norm)


def ifftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Tensor:
    """Inverse of ``fftshift``."""
    return ours("fft.ifftshift")(array("ifftshift", "x", x), axes)


def ihfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of ``hfft``."""
    return ours("fft.ihfft")(array("ihfft", "x", x), n, axis, norm)


def irfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """Inverse of ``rfft``."""
    return ours("fft.irfft")(array("irfft", "x", x), n, axis, norm)


def irfftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """Inverse of ``rfftn``."""
    return ours("fft.irfftn")(array("irfftn", "x", x), s, axes, norm)


def rfft(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: str = "backward") -> Tensor:
    """``fft`` of real numbers, without its redundant half."""
    return ours("fft.rfft")(array("rfft", "x", x), n, axis, norm)


def rfftfreq(n: int, /, *, d: float = 1.0, dtype: Any = None, device: Any = None) -> Tensor:
    """Frequencies of the bins of ``rfft``."""
    return ours("fft.rfftfreq")(n, d, dtype=dtype, device=device)


def rfftn(
    x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: str = "backward"
) -> Tensor:
    """``fftn`` of real numbers, without its redundant half."""
    return ours("fft.rfftn")(array("rfftn", "x", x), s, axes, norm)
