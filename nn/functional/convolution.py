"""Convolution over one, two and three dimensions, and its transpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional.arguments import batched, need_tensor_or_none, sizes

Sizes = int | Sequence[int]

_KERNEL = {1: "l", 2: "h, w", 3: "d, h, w"}


def _checked(caller: str, dims: int, x: Any, weight: Any, bias: Any, groups: int, transposed: bool) -> None:
    """Raise where shapes, dtypes and groups do not fit each other."""
    first, second = ("C", "K / groups") if transposed else ("K", "C / groups")
    if not isinstance(weight, Tensor) or weight._data.ndim != dims + 2:
        raise RuntimeError(
            f"{caller}: weight must have shape ({first}, {second}, {_KERNEL[dims]}), got {describe(weight)}"
        )
    need_tensor_or_none(caller, bias=bias)
    rows, columns = weight._data.shape[:2]
    if not isinstance(groups, int) or groups < 1 or rows % groups:
        what = "input channels" if transposed else "filters"
        raise ValueError(f"{caller}: groups must be positive and divide the {rows} {what}, got {groups}")
    expected, filters = (rows, columns * groups) if transposed else (columns * groups, rows)
    if x._data.shape[1] != expected:
        raise RuntimeError(
            f"{caller}: weight of shape {tuple(weight.shape)} with groups={groups} expects {expected} input channels, "
            f"got {x._data.shape[1]} in an input of shape {tuple(x.shape)}"
        )
    if bias is not None and bias._data.shape != (filters,):
        raise RuntimeError(f"{caller}: bias must have shape ({filters},), one for each filter, got {tuple(bias.shape)}")
    dtype = x._data.dtype
    if weight._data.dtype != dtype or (bias is not None and bias._data.dtype != dtype):
        raise RuntimeError(
            f"{caller}: input, weight and bias must have one dtype, got {x.dtype}, {weight.dtype}"
            + (f" and {bias.dtype}" if bias is not None else "")
        )


def _convolve(
    caller: str, dims: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    x, single = batched(caller, input, dims)
    _checked(caller, dims, x, weight, bias, groups, transposed=False)
    kernel = weight._data.shape[2:]
    steps, spread = sizes(caller, "stride", stride, dims, 1), sizes(caller, "dilation", dilation, dims, 1)
    if isinstance(padding, str):
        x, border = _named_padding(caller, x, padding, kernel, steps, spread)
    else:
        border = sizes(caller, "padding", padding, dims, 0)
    for n, p, k, d in zip(x._data.shape[2:], border, kernel, spread, strict=True):
        if n + 2 * p < (k - 1) * d + 1 or k < 1:
            have = " x ".join(str(n + 2 * p) for n, p in zip(x._data.shape[2:], border, strict=True))
            reach = " x ".join(str((k - 1) * d + 1) for k, d in zip(kernel, spread, strict=True))
            raise RuntimeError(
                f"{caller}: the padded input is {have}, smaller than the kernel's reach of {reach}; input "
                f"{tuple(input.shape)}, weight {tuple(weight.shape)}, padding={padding!r}, dilation={dilation!r}"
            )
    if dims == 1:  # a line is an image of height 1
        attributes = {"stride": (1, *steps), "padding": (0, *border), "dilation": (1, *spread), "groups": groups}
        out = xp.conv2d(x.unsqueeze(2), weight.unsqueeze(2), bias, **attributes).squeeze(2)
    else:
        run = xp.conv2d if dims == 2 else xp.conv3d
        out = run(x, weight, bias, stride=steps, padding=border, dilation=spread, groups=groups)
    return out.squeeze(0) if single else out


def _named_padding(
    caller: str, x: Any, padding: str, kernel: Any, stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[Any, tuple[int, ...]]:
    """The border that ``"valid"`` or ``"same"`` means; a longer end is put onto ``x`` at once, as in PyTorch."""
    if padding == "valid":
        return x, (0,) * len(stride)
    if padding != "same":
        raise ValueError(f"{caller}: padding must be numbers, 'valid' or 'same', got {padding!r}")
    if max(stride) > 1:
        raise ValueError(f"{caller}: padding='same' needs stride 1, got {stride}")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    if any(t % 2 for t in total):
        x = xp.pad_constant(x, widths=((0, 0), (0, 0), *[(0, t % 2) for t in total]), value=0.0)
    return x, tuple([t // 2 for t in total])


def _transpose(
    caller: str,
    dims: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    x, single = batched(caller, input, dims)
    _checked(caller, dims, x, weight, bias, groups, transposed=True)
    steps, spread = sizes(caller, "stride", stride, dims, 1), sizes(caller, "dilation", dilation, dims, 1)
    border = sizes(caller, "padding", padding, dims, 0)
    extra = sizes(caller, "output_padding", output_padding, dims, 0)
    kernel = weight._data.shape[2:]
    if any(e >= max(s, d) for e, s, d in zip(extra, steps, spread, strict=True)):
        raise RuntimeError(
            f"{caller}: output_padding must be smaller than stride or dilation, got {output_padding!r} with "
            f"stride={stride!r} and dilation={dilation!r}"
        )
    # every window's reach, before the border is cut off
    full = [(n - 1) * s + d * (k - 1) + 1 for n, s, d, k in zip(x._data.shape[2:], steps, spread, kernel, strict=True)]
    out = tuple([f - 2 * p + e for f, p, e in zip(full, border, extra, strict=True)])
    if min(out) < 1:
        raise RuntimeError(
            f"{caller}: the result would have spatial size {out}; input {tuple(input.shape)}, weight "
            f"{tuple(weight.shape)}, stride={stride!r}, padding={padding!r}, dilation={dilation!r}"
        )
    if any(e >= s for e, s in zip(extra, steps, strict=True)):
        # a convolution of that size would have further windows: take the whole reach, and cut or lengthen it
        y = _spread(x, weight, tuple(full), steps, (0,) * dims, spread, groups)
        cut = [slice(p, min(f, p + n)) for p, f, n in zip(border, full, out, strict=True)]
        y = y[(slice(None), slice(None), *cut)]
        widths = [(0, n - have) for n, have in zip(out, y._data.shape[2:], strict=True)]
        if any(high for _, high in widths):
            y = xp.pad_constant(y, widths=((0, 0), (0, 0), *widths), value=0.0)
    else:
        y = _spread(x, weight, out, steps, border, spread, groups)
    if bias is not None:
        y = y + bias.reshape(1, -1, *(1,) * dims)
    return y.squeeze(0) if single else y


def _spread(x: Any, weight: Any, out: tuple[int, ...], steps: Any, border: Any, spread: Any, groups: int) -> Any:
    """The gradient that a convolution's result ``x`` gives its input of spatial size ``out``."""
    size = (x._data.shape[0], weight._data.shape[1] * groups, *out)
    if len(out) == 1:
        attributes = {"stride": (1, *steps), "padding": (0, *border), "dilation": (1, *spread), "groups": groups}
        size = (*size[:2], 1, *out)
        return xp.conv2d_input(x.unsqueeze(2), weight.unsqueeze(2), x_size=size, **attributes).squeeze(2)
    run: Callable[..., Any] = xp.conv2d_input if len(out) == 2 else xp.conv3d_input
    return run(x, weight, x_size=size, stride=steps, padding=border, dilation=spread, groups=groups)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of sequences with a bank of filters.

    Input (N, C, L) or (C, L), weight (K, C / groups, l), bias (K).

    Args:
        padding: zeros at both ends, ``"valid"`` (none), or ``"same"`` (the output has the input's size; stride 1).

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv1d(cr.tensor([[1.0, 2.0, 3.0]]), cr.ones(1, 1, 2))
        tensor([[3., 5.]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of images with a bank of filters.

    Input (N, C, H, W) or (C, H, W), weight (K, C / groups, h, w), bias (K).

    Args:
        padding: zeros around the image, ``"valid"`` (none), or ``"same"`` (the output has the input's size; stride 1).

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv2d(cr.ones(1, 1, 3, 3), cr.ones(1, 1, 2, 2))
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution of volumes with a bank of filters.

    Input (N, C, D, H, W) or (C, D, H, W), weight (K, C / groups, d, h, w), bias (K).

    Args:
        padding: zeros around the volume, ``"valid"`` (none), or ``"same"`` (the output has the input's size; stride 1).

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv3d(cr.ones(1, 1, 2, 2, 2), cr.ones(1, 1, 2, 2, 2))
        tensor([[[[[8.]]]]])
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of :func:`conv1d`: each element of the input adds a scaled filter to the result.

    Input (N, C, L) or (C, L), weight (C, K / groups, l), bias (K).

    Args:
        padding: what is cut off both ends of the result.
        output_padding: what one end of the result is lengthened by; less than the stride or the dilation.

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv_transpose1d(cr.tensor([[1.0, 2.0]]), cr.ones(1, 1, 2), stride=2)
        tensor([[1., 1., 2., 2.]])
    """
    return _transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of :func:`conv2d`: each pixel of the input adds a scaled filter to the result.

    Input (N, C, H, W) or (C, H, W), weight (C, K / groups, h, w), bias (K).

    Args:
        padding: what is cut off each side of the result.
        output_padding: what the lower and right sides are lengthened by; less than the stride or the dilation.

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv_transpose2d(cr.tensor([[[1.0, 2.0]]]), cr.ones(1, 1, 2, 2))
        tensor([[[1., 3., 2.],
                 [1., 3., 2.]]])
    """
    return _transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    """The transpose of :func:`conv3d`: each element of the input adds a scaled filter to the result.

    Input (N, C, D, H, W) or (C, D, H, W), weight (C, K / groups, d, h, w), bias (K).

    Args:
        padding: what is cut off each side of the result.
        output_padding: what the far sides are lengthened by; less than the stride or the dilation.

    Raises:
        RuntimeError: shapes or dtypes do not fit. ValueError: stride, padding, dilation or groups make no sense.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv_transpose3d(cr.ones(1, 1, 1, 1), cr.ones(1, 2, 2, 2, 2)).shape
        (2, 2, 2, 2)
    """
    return _transpose("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_tbc(input: Tensor, weight: Tensor, bias: Tensor, pad: int = 0) -> Tensor:
    """Convolution of sequences in the order time, batch, channels: (T, N, C) with weight (l, C, K) and bias (K).

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> F.conv_tbc(cr.ones(3, 1, 2), cr.ones(2, 2, 1), cr.zeros(1)).flatten()
        tensor([4., 4.])
    """
    for name, value in (("input", input), ("weight", weight)):
        if not isinstance(value, Tensor) or value._data.ndim != 3:
            raise RuntimeError(f"conv_tbc: {name} must have 3 dimensions, got {describe(value)}")
    permute = FUNCTIONS["permute"]
    out = _convolve("conv_tbc", 1, permute(input, (1, 2, 0)), permute(weight, (2, 1, 0)), bias, 1, pad, 1, 1)
    return permute(out, (2, 0, 1))
