"""Images, sequences and volumes in another size."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from chainrule.autograd.op import traced as xp
from chainrule.autograd.ops.resampling import Taps
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.adaptive import _adaptive_mean
from chainrule.nn.functional.arguments import need_fractions, need_tensor

#: the modes with the number of spatial dimensions they take
_MODES = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,),
    "bicubic": (2,), "trilinear": (3,), "lanczos": (2,),
}  # fmt: skip
_SHAPES = {1: "(N, C, L)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


# ---- the weights along one dimension --------------------------------------------------------------------------------


def _entries(count: int, size: int, columns: Any, weights: Any) -> Taps:
    """Taps from columns and weights of shape (count, taps); weights of 0 that stand outside count for nothing."""
    rows = np.repeat(np.arange(count), columns.shape[1])
    return Taps(count, size, rows, np.clip(columns, 0, size - 1).reshape(-1), weights.reshape(-1))


def _sources(size: int, count: int, scale: float | None, align_corners: bool, cubic: bool) -> Any:
    """Where the results lie in the input, whose elements stand at 0, 1, 2 ..."""
    if align_corners:
        return np.arange(count) * ((size - 1) / (count - 1) if count > 1 else 0.0)
    found = (np.arange(count) + 0.5) * (1.0 / scale if scale else size / count) - 0.5
    return found if cubic else np.maximum(found, 0.0)


@functools.lru_cache(maxsize=256)
def _nearest(size: int, count: int, scale: float | None, exact: bool, double: bool, plane: bool) -> Taps:
    # in PyTorch's precision: which element is nearest can depend on the last bit
    kind: Callable[[Any], Any] = np.float64 if double else np.float32
    if plane and not exact and count in (size, 2 * size):
        scale = None  # PyTorch, for images only
    step = kind(1.0 / scale) if scale else kind(size) / kind(count)
    at = np.arange(count).astype(np.float64 if double else np.float32)
    if exact:
        at = np.maximum(step * (at + kind(0.5)) - kind(0.5), kind(0.0)) + kind(0.5)
    else:
        at = at * step
    columns = np.minimum(np.floor(at.astype(np.float32)).astype(np.int64), size - 1)
    return _entries(count, size, columns[:, None], np.ones((count, 1)))


@functools.lru_cache(maxsize=256)
def _linear(size: int, count: int, scale: float | None, align_corners: bool) -> Taps:
    if size == count:
        return _entries(count, size, np.arange(count)[:, None], np.ones((count, 1)))
    at = _sources(size, count, scale, align_corners, False)
    low = np.minimum(np.floor(at).astype(np.int64), size - 1)
    part = np.clip(at - low, 0.0, 1.0)
    return _entries(count, size, np.stack([low, low + 1], 1), np.stack([1.0 - part, part], 1))


def _cubic_weight(distance: Any, a: float) -> Any:
    """Keys' cubic convolution kernel at a distance of 0 to 2."""
    d = np.abs(distance)
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


@functools.lru_cache(maxsize=256)
def _cubic(size: int, count: int, scale: float | None, align_corners: bool) -> Taps:
    at = _sources(size, count, scale, align_corners, True)
    low = np.floor(at).astype(np.int64)
    columns = low[:, None] + np.arange(-1, 3)
    return _entries(count, size, columns, _cubic_weight(at[:, None] - columns, -0.75))


#: kernels for antialias=True, with their radius
_FILTERS: dict[str, tuple[float, Callable[[Any], Any]]] = {
    "bilinear": (1.0, lambda d: np.maximum(1.0 - np.abs(d), 0.0)),
    "bicubic": (2.0, lambda d: _cubic_weight(d, -0.5)),
    "lanczos": (3.0, lambda d: np.where(np.abs(d) < 3.0, np.sinc(d) * np.sinc(d / 3.0), 0.0)),
}


@functools.lru_cache(maxsize=256)
def _smooth(mode: str, size: int, count: int, scale: float | None, align_corners: bool) -> Taps:
    """The mode's kernel, as wide as a result's share of the input where the input is made smaller."""
    radius, kernel = _FILTERS[mode]
    if align_corners:
        step = (size - 1) / (count - 1) if count > 1 else 0.0
    else:
        step = 1.0 / scale if scale else size / count
    wide = max(step, 1.0)
    rows, columns, weights = [], [], []
    for i in range(count):
        centre = step * (i + 0.5)
        first = max(int(centre - radius * wide + 0.5), 0)
        end = min(int(centre + radius * wide + 0.5), size)
        near = np.arange(first, max(end, first + 1))
        w = kernel((near - centre + 0.5) / wide)
        total = w.sum()
        rows.append(np.full(near.size, i))
        columns.append(np.minimum(near, size - 1))
        weights.append(w / total if total else w)
    return Taps(count, size, np.concatenate(rows), np.concatenate(columns), np.concatenate(weights))


# ---- all dimensions -------------------------------------------------------------------------------------------------


def _output_size(input: Any, dims: int, size: Any, scale_factor: Any, recompute: bool) -> tuple[Any, Any]:
    """The size of the result and the scale factors that count (None: the ratio of the sizes)."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: expected one of size and scale_factor, got {size!r} and {scale_factor!r}")
    name, value = ("size", size) if scale_factor is None else ("scale_factor", scale_factor)
    values = list(value) if isinstance(value, (list, tuple)) else [value] * dims
    if len(values) != dims:
        raise ValueError(f"interpolate: {name} must be a number or {dims} for {describe(input)}, got {value!r}")
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor has no meaning with a size")
        if not all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in values):
            raise TypeError(f"interpolate: size must be an int or a tuple of ints, got {size!r}")
        return tuple([int(v) for v in values]), (None,) * dims
    factors = [float(v) for v in values]
    wanted = tuple([int(n * f) for n, f in zip(input._data.shape[2:], factors, strict=True)])
    return wanted, (None,) * dims if recompute else tuple(factors)


def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The input (N, C, L), (N, C, H, W) or (N, C, D, H, W) brought to another size.

    Args:
        size, scale_factor: one of them: the size of the result, or its ratio to the input's.
        mode: ``"nearest"``, ``"nearest-exact"``, ``"area"``; ``"linear"`` of sequences; ``"bilinear"``,
            ``"bicubic"`` and ``"lanczos"`` of images; ``"trilinear"`` of volumes.
        align_corners: whether the centres of the first and last elements (not their outer edges) stay where they are.
        recompute_scale_factor: take the ratio of the sizes, rounded to whole elements, for ``scale_factor``.
        antialias: smooth where the result is smaller; bilinear, bicubic and lanczos (which is always so).

    Raises:
        ValueError: arguments that contradict each other. NotImplementedError: a mode for other shapes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.interpolate(cr.tensor([[[0.0, 1.0]]]), size=4, mode="linear")
        tensor([[[0.0000, 0.2500, 0.7500, 1.0000]]])
    """
    need_tensor("interpolate", input=input)
    dims = input._data.ndim - 2
    if mode not in _MODES:
        raise ValueError(f"interpolate: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    if dims not in _MODES[mode]:
        shapes = " or ".join([_SHAPES[d] for d in _MODES[mode]])
        raise NotImplementedError(f"interpolate: mode {mode!r} takes input of shape {shapes}, got {describe(input)}")
    if align_corners is not None and mode in ("nearest", "nearest-exact", "area"):
        raise ValueError(f"interpolate: align_corners has no meaning in mode {mode!r}")
    if antialias and mode not in _FILTERS:
        modes = ", ".join(map(repr, _FILTERS))
        raise ValueError(f"interpolate: antialias=True needs one of {modes}, got mode {mode!r}")
    if mode == "lanczos" and (align_corners or not antialias):
        raise ValueError("interpolate: mode 'lanczos' needs antialias=True, and not align_corners")
    recompute = bool(recompute_scale_factor) or (mode == "area" and size is None)
    wanted, factors = _output_size(input, dims, size, scale_factor, recompute)
    if (min(wanted) < 1 and mode != "area") or 0 in input._data.shape[1:]:
        raise RuntimeError(
            f"interpolate: input and result must have no empty side, got {describe(input)} and a result of size "
            f"{wanted}"
        )
    if mode == "area":
        return _adaptive_mean("interpolate", dims, input, wanted)
    of_bytes = input._data.dtype == np.uint8 and mode in _FILTERS  # images as they are read from files
    if not of_bytes and mode not in ("nearest", "nearest-exact"):
        need_fractions(f"interpolate: mode {mode!r}", input)
    out: Any = input.float() if of_bytes else input
    double, corners = input._data.dtype.itemsize == 8, bool(align_corners)
    for d in reversed(range(dims)) if of_bytes else range(dims):
        n, w, f = input._data.shape[2 + d], wanted[d], factors[d]
        f = f if f and f > 0 else None
        if mode in ("nearest", "nearest-exact"):
            taps = _nearest(n, w, f, mode == "nearest-exact", double, dims == 2)
        elif antialias:
            taps = _smooth(mode, n, w, f, corners)
        else:
            taps = _cubic(n, w, f, corners) if mode == "bicubic" else _linear(n, w, f, corners)
        out = xp.resample(out, taps=taps, axis=2 + d)
        if of_bytes:  # as in PyTorch, along the width first, and each time rounded
            out = xp.clip(xp.floor(out + 0.5), min=0.0, max=255.0)
    out = out.to(input.dtype) if of_bytes else out
    return out


def upsample(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """The older name of :func:`interpolate`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.upsample(cr.tensor([[[0.0, 1.0]]]), scale_factor=2)
        tensor([[[0., 0., 1., 1.]]])
    """
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """:func:`interpolate` in mode ``"nearest"``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.upsample_nearest(cr.tensor([[[0.0, 1.0]]]), 4)
        tensor([[[0., 0., 1., 1.]]])
    """
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(
    input: Tensor, size: int | Sequence[int] | None = None, scale_factor: float | Sequence[float] | None = None
) -> Tensor:
    """:func:`interpolate` in mode ``"bilinear"`` with ``align_corners=True``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.upsample_bilinear(cr.tensor([[[[0.0, 1.0]]]]), (1, 3))
        tensor([[[[0.0000, 0.5000, 1.0000]]]])
    """
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
