"""Elements, or whole channels, set to 0 at random."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.inplace import adopt
from chainrule.autograd.op import traced as xp
from chainrule.autograd.random import Generator, keep_mask
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import ops as ops  # declares masked_scale
from chainrule.nn.functional.arguments import need_tensor


def _checked(caller: str, input: Any, p: float) -> None:
    need_tensor(caller, input=input)
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{caller}: p must be in [0, 1], got {p}")


def _floating(caller: str, input: Tensor) -> None:
    if dtypes.category(input._data.dtype) < 2:
        raise RuntimeError(f"{caller}: expected a floating-point tensor, got {input.dtype}")


def dropout(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """In training, elements set to 0 with probability ``p`` and the others multiplied by ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.dropout(cr.ones(2), 0.5, training=False)
        tensor([1., 1.])
    """
    _checked("dropout", input, p)
    if not training or p == 0.0:
        return input
    _floating("dropout", input)
    if p == 1.0:
        return input.mul_(0.0) if inplace else input * 0.0
    out = xp.masked_scale(input, keep_mask(input, 1.0 - p, generator), scale=1.0 / (1.0 - p))
    if inplace:
        adopt("dropout", input, out)
        return input
    return out


def _finish(caller: str, input: Any, out: Any, inplace: bool) -> Any:
    if not inplace:
        return out
    adopt(caller, input, out)
    return input


def _channel_mask(x: Any, keep: float, generator: Generator | None) -> Any:
    """1 or 0 for each channel, (N, C, 1, ...), in the dtype of ``x``."""
    f = x._device.xp
    like = wrap(f.empty((*x._data.shape[:2], *(1,) * (x._data.ndim - 2)), dtype=x._data.dtype), x._device)
    return wrap(f.astype(keep_mask(like, keep, generator)._data, x._data.dtype), x._device)


def _channels(
    caller: str, input: Any, p: float, training: bool, inplace: bool, alone: int, generator: Generator | None
) -> Any:
    """Dropout of channels; an input with ``alone`` dimensions is a single sample."""
    _checked(caller, input, p)
    if input._data.ndim < 2:
        raise RuntimeError(f"{caller}: input must have shape (N, C, ...), got {tuple(input.shape)}")
    if not training or p == 0.0:
        return input
    _floating(caller, input)
    x = input.unsqueeze(0) if input._data.ndim == alone else input
    out = x * 0.0 if p == 1.0 else x * (_channel_mask(x, 1.0 - p, generator) * (1.0 / (1.0 - p)))
    return _finish(caller, input, out.squeeze(0) if x is not input else out, inplace)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """In training, channels of (N, C, L) or (C, L) set to 0 with probability ``p``, the others times ``1 / (1 - p)``.

    Raises ValueError when ``p`` is outside [0, 1], RuntimeError for other shapes.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.dropout1d(cr.ones(1, 2), 0.5, training=False)
        tensor([[1., 1.]])
    """
    if isinstance(input, Tensor) and input._data.ndim not in (2, 3):
        raise RuntimeError(f"dropout1d: input must have shape (N, C, L) or (C, L), got {tuple(input.shape)}")
    return _channels("dropout1d", input, p, training, inplace, 2, generator)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """In training, channels of (N, C, H, W) set to 0 with probability ``p``, the others times ``1 / (1 - p)``.

    Three dimensions are taken as (N, C, L), as in PyTorch.

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.dropout2d(cr.ones(1, 1, 1, 2), 0.5, training=False)
        tensor([[[[1., 1.]]]])
    """
    return _channels("dropout2d", input, p, training, inplace, 0, generator)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """In training, channels of volumes set to 0 with probability ``p``, the others times ``1 / (1 - p)``.

    Args:
        input: (N, C, D, H, W) or (C, D, H, W).

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.dropout3d(cr.ones(1, 1, 1, 2), 0.5, training=False)
        tensor([[[[1., 1.]]]])
    """
    return _channels("dropout3d", input, p, training, inplace, 4, generator)


#: what SELU tends to for very negative inputs, with the sign changed: scale * alpha
_SATURATION = 1.7580993408473766


def _alpha(
    caller: str, input: Any, p: float, training: bool, inplace: bool, channels: bool, generator: Generator | None
) -> Any:
    _checked(caller, input, p)
    if not training or p == 0.0:
        return input
    _floating(caller, input)
    if p == 1.0:
        return _finish(caller, input, input * 0.0, inplace)
    if channels:
        if input._data.ndim < 2:
            raise RuntimeError(f"{caller}: input must have shape (N, C, ...), got {tuple(input.shape)}")
        mask = _channel_mask(input, 1.0 - p, generator)
    else:
        kept = keep_mask(input, 1.0 - p, generator)._data
        mask = wrap(input._device.xp.astype(kept, input._data.dtype), input._device)
    # scaled and shifted so that mean 0 and variance 1 stay
    scale = 1.0 / math.sqrt((_SATURATION**2 * p + 1.0) * (1.0 - p))
    shift = (mask - 1.0) * (_SATURATION * scale) + _SATURATION * scale * p
    return _finish(caller, input, input * (mask * scale) + shift, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Dropout after SELU that keeps mean 0 and variance 1 (Klambauer et al., 2017).

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.alpha_dropout(cr.ones(2), 0.5)
        tensor([1., 1.])
    """
    return _alpha("alpha_dropout", input, p, training, inplace, False, generator)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Dropout of whole channels after SELU: :func:`alpha_dropout` of (N, C, ...).

    Raises ValueError when ``p`` is outside [0, 1].

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.feature_alpha_dropout(cr.ones(1, 2), 0.5)
        tensor([[1., 1.]])
    """
    return _alpha("feature_alpha_dropout", input, p, training, inplace, True, generator)
