"""Short-time Fourier transforms: the spectra of overlapping windows of a signal."""

from __future__ import annotations

import warnings

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.ops.border import pad
from chainrule.autograd.ops.fourier import resized
from chainrule.autograd.ops.indexing import getitem_of
from chainrule.autograd.public import function
from chainrule.autograd.runtime import cast, wrap
from chainrule.autograd.tensor import Tensor


def _window(
    caller: str, input: Tensor, window: Tensor | None, n_fft: int, hop_length: int | None, win_length: int | None
) -> tuple[Tensor, int, int]:
    """The window in the middle of ``n_fft`` points, and both lengths; all are checked."""
    hop = n_fft // 4 if hop_length is None else int(hop_length)
    length = n_fft if win_length is None else int(win_length)
    if hop < 1:
        raise RuntimeError(f"{caller}: expected hop_length > 0, got {hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{caller}: expected 0 < win_length <= n_fft = {n_fft}, got {length}")
    if window is None:
        warnings.warn(
            f"{caller}: no window is given, so a rectangular one is used, which leaks between frequencies; pass a "
            f"window such as hann_window(win_length), or ones(win_length) to silence this",
            UserWarning,
            stacklevel=3,
        )
        xp, real = input._device.xp, input._data.dtype.char.lower()
        window = wrap(xp.ones((length,), dtype=real), input._device)
    if tuple(window._data.shape) != (length,):
        raise RuntimeError(f"{caller}: expected a window of shape ({length},), got {tuple(window.shape)}")
    if window._device is not input._device:
        raise RuntimeError(f"{caller}: expected one device, got input on {input._device}, window on {window._device}")
    left = (n_fft - length) // 2
    if length < n_fft:
        window = xp_of_tensors.pad_constant(window, widths=((left, n_fft - length - left),), value=0.0)
    return window, hop, length


@function("stft")
def _stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Spectra of windows of a signal: (L) or (B, L) to (..., frequencies, windows).

    Args:
        n_fft: points of each transform.
        hop_length: steps from one window to the next (default: ``n_fft // 4``).
        win_length: length of the window (default: ``n_fft``), which lies in the middle of the points.
        window: its values, one-dimensional (default: ones).
        center: pad the signal by ``n_fft // 2`` at both ends, so that window t is centred at ``t * hop_length``.
        pad_mode: with what, as :func:`chainrule.nn.functional.pad`.
        normalized: divide by the root of ``n_fft``.
        onesided: only the frequencies up to the half (default: unless signal or window are complex).
        return_complex: needed for real signals and windows; False gives pairs of real numbers instead.
        align_to_window: with ``center=False``, let windows begin at the signal's start where the window is shorter
            than ``n_fft``.

    Raises RuntimeError for a signal that is not floating-point or too short, and lengths and windows that do not fit.

    Example:
        >>> import chainrule as cr
        >>> cr.stft(cr.ones(16), 8, window=cr.ones(8), return_complex=True).shape
        (5, 9)
    """
    if center and align_to_window is not None:
        raise RuntimeError("stft: align_to_window is only for center=False")
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(f"stft: expected a floating-point or complex signal, got {input.dtype}")
    if input._data.dtype.itemsize == 2:
        raise RuntimeError(f"stft: unsupported dtype {input.dtype}; convert with .float() first")
    if input._data.ndim not in (1, 2):
        raise RuntimeError(f"stft: expected a signal of shape (L) or (B, L), got {tuple(input.shape)}")
    with_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not with_complex:
            raise RuntimeError("stft: return_complex must be given for real signals; pass return_complex=True")
        return_complex = True
    if onesided is None:
        onesided = not with_complex
    elif onesided and with_complex:
        raise RuntimeError("stft: cannot have onesided output if window or input is complex")
    signal = input if input._data.ndim == 2 else xp_of_tensors.reshape(input, shape=(1, -1))
    if center:
        side = n_fft // 2
        if pad_mode in ("reflect", "circular") and side >= signal._data.shape[1] + (pad_mode == "circular"):
            raise RuntimeError(
                f"stft: a signal of {signal._data.shape[1]} points cannot be padded by n_fft // 2 = {side} at both "
                f"ends in mode {pad_mode!r}"
            )
        signal = pad(signal[:, None], (side, side), pad_mode)[:, 0]
    window, hop, length = _window("stft", signal, window, n_fft, hop_length, win_length)
    if align_to_window and length < n_fft:
        left = (n_fft - length) // 2
        signal = xp_of_tensors.pad_constant(signal, widths=((0, 0), (left, n_fft - length - left)), value=0.0)
    if not 0 < n_fft <= signal._data.shape[1]:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {signal._data.shape[1]}, the signal's length, got {n_fft}")
    frames = xp_of_tensors.windows(signal, axis=1, size=n_fft, step=hop) * window
    norm = "ortho" if normalized else "backward"
    if onesided:
        spectra = xp_of_tensors.fourier_half(frames, axis=2, norm=norm)
    else:
        to = dtypes.promote(frames._data.dtype, dtypes.complex64.dtype)
        spectra = xp_of_tensors.fourier(cast(frames, to), axes=(2,), inverse=False, norm=norm)
    result = xp_of_tensors.permute_dims(spectra, axes=(0, 2, 1))
    if input._data.ndim == 1:
        result = result[0]
    return result if return_complex else xp_of_tensors.view_as_real(result)


@function("istft")
def _istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of a :func:`stft`: (..., frequencies, windows) to (L) or (B, L).

    Args:
        n_fft: points of each transform; further arguments as given to ``stft``.
        length: of the signal, which its windows do not tell exactly.
        return_complex: the signal is complex; for ``onesided=False`` only.

    Raises RuntimeError for real input, arguments that do not fit it, and windows that leave out points of the signal.

    Example:
        >>> import chainrule as cr
        >>> x, w = cr.arange(16.0), cr.ones(8)
        >>> cr.allclose(cr.istft(cr.stft(x, 8, window=w, return_complex=True), 8, window=w), x, atol=1e-5)
        True
    """
    if not input.is_complex():
        raise RuntimeError(
            f"istft: expected a complex tensor, as stft(..., return_complex=True) gives, got {input.dtype}"
        )
    if input._data.ndim not in (2, 3) or not input._data.size:
        raise RuntimeError(
            f"istft: expected a tensor with elements of shape (frequencies, windows) or (B, frequencies, windows), "
            f"got {tuple(input.shape)}"
        )
    spectra = input if input._data.ndim == 3 else input[None]
    batch, points, count = spectra._data.shape
    if onesided is None:
        onesided = points != n_fft
    expected = n_fft // 2 + 1 if onesided else n_fft
    if points != expected:
        raise RuntimeError(
            f"istft: expected {expected} frequencies for n_fft={n_fft}, onesided={onesided}, got {points}"
        )
    if return_complex and onesided:
        raise RuntimeError("istft: cannot have onesided input and complex output")
    if window is not None and window.is_complex() and not return_complex:
        raise RuntimeError("istft: a complex window needs return_complex=True")
    window, hop, win_length = _window("istft", spectra, window, n_fft, hop_length, win_length)
    if hop > win_length:
        raise RuntimeError(f"istft: expected hop_length <= win_length = {win_length}, got {hop}")
    norm = "ortho" if normalized else "backward"
    spectra = xp_of_tensors.permute_dims(spectra, axes=(0, 2, 1))
    if return_complex:
        frames = xp_of_tensors.fourier(spectra, axes=(2,), inverse=True, norm=norm)
    else:
        spectra = resized(spectra, {2: n_fft // 2 + 1})
        frames = xp_of_tensors.fourier_from_half(spectra, n=n_fft, axis=2, norm=norm)
    frames = frames * window
    total = n_fft + hop * (count - 1)
    signal = xp_of_tensors.windows_back(frames, shape=(batch, total), axis=1, size=n_fft, step=hop)
    squares = xp_of_tensors.broadcast_to(xp_of_tensors.square(window), shape=(1, count, n_fft))
    weight = xp_of_tensors.windows_back(squares, shape=(1, total), axis=1, size=n_fft, step=hop)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - (n_fft // 2 if center else 0)
    inside = (slice(None), slice(start, min(end, total)))
    signal, weight = getitem_of(signal, inside), getitem_of(weight, inside)
    xp = signal._device.xp
    if weight._data.size and float(xp.min(xp.abs(weight._data))) < 1e-11:
        raise RuntimeError(
            f"istft: the windows leave out points of the signal (their squares add up to 0 there) with n_fft={n_fft}, "
            f"hop_length={hop}, win_length={win_length}; with center=True, or an overlapping window, they would not"
        )
    signal = signal / weight
    if end > total:
        warnings.warn(
            f"istft: the signal has {total - start} points, fewer than length={length}; zeros follow them",
            UserWarning,
            stacklevel=2,
        )
        signal = resized(signal, {1: end - start})
    return signal if input._data.ndim == 3 else signal[0]
