"""The functions that PyTorch also has as ``torch.f``, under its positional signatures, published as ``chainrule.f``.

Many are those of ``torch.nn.functional``; others differ in the order of their arguments, or number the reductions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.autograd.ops.border import pad
from chainrule.autograd.public import function
from chainrule.autograd.runtime import wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn.functional import (
    adaptive,
    convolution,
    ctc,
    dropouts,
    embeddings,
    folding,
    linear_maps,
    loss,
    loss_margin,
    normalization,
    pooling,
    vision,
)

for same in (
    convolution.conv1d, convolution.conv2d, convolution.conv3d, convolution.conv_tbc, convolution.conv_transpose1d,
    convolution.conv_transpose2d, convolution.conv_transpose3d, linear_maps.bilinear, normalization.rms_norm,
    pooling.max_pool1d, pooling.max_pool2d, pooling.max_pool3d, pooling.avg_pool1d, adaptive.adaptive_avg_pool1d,
    folding.pixel_shuffle, folding.pixel_unshuffle, folding.channel_shuffle,
):  # fmt: skip
    function(same.__name__, method=False)(same)
function("native_channel_shuffle", method=False)(folding.native_channel_shuffle)


def _named(caller: str, reduction: Any) -> str:
    """The name of a reduction that PyTorch numbers."""
    try:
        return ("none", "mean", "sum")[reduction]
    except (IndexError, TypeError):
        raise ValueError(f"{caller}: reduction must be 0 (none), 1 (mean) or 2 (sum), got {reduction!r}") from None


# ---- pooling and padding --------------------------------------------------------------------------------------------


@function(method=False)
def max_pool1d_with_indices(
    input: Tensor, kernel_size: Any, stride: Any = (), padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> tuple[Tensor, Tensor]:
    """The maximum of each window of (N, C, L) or (C, L), and its place.

    Example:
        >>> import chainrule as cr
        >>> cr.max_pool1d_with_indices(cr.tensor([[1.0, 2.0, 4.0, 3.0]]), 2)[1]
        tensor([[1, 2]])
    """
    return pooling.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


@function(method=False)
def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """The maximum of windows spread evenly so that the result is ``output_size`` long, and its place.

    Example:
        >>> import chainrule as cr
        >>> cr.adaptive_max_pool1d(cr.tensor([[1.0, 5.0, 3.0, 2.0]]), 2)[0]
        tensor([[5., 3.]])
    """
    return adaptive.adaptive_max_pool1d(input, output_size, True)


@function(method=False)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: float = 0) -> Tensor:
    """The tensor with a border of ``value``; the widths start with the last dimension's.

    Example:
        >>> import chainrule as cr
        >>> cr.constant_pad_nd(cr.tensor([1.0, 2.0]), (1, 0), 5.0)
        tensor([5., 1., 2.])
    """
    return _pad(input, pad, "constant", value)


_pad = pad


# ---- normalisation --------------------------------------------------------------------------------------------------


@function(method=False)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Tensor:
    """The last dimensions brought to mean 0 and variance 1, then scaled and shifted.

    Example:
        >>> import chainrule as cr
        >>> cr.layer_norm(cr.tensor([1.0, 3.0]), (2,))
        tensor([-1.0000,  1.0000])
    """
    return normalization.layer_norm(input, normalized_shape, weight, bias, eps)


@function(method=False)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Groups of channels of each sample brought to mean 0 and variance 1, then scaled and shifted.

    Example:
        >>> import chainrule as cr
        >>> cr.group_norm(cr.tensor([[1.0, 3.0]]), 1)
        tensor([[-1.0000,  1.0000]])
    """
    return normalization.group_norm(input, num_groups, weight, bias, eps)


@function(method=False)
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Channels brought to mean 0 and variance 1 over the batch; weight and bias come before the running statistics.

    Example:
        >>> import chainrule as cr
        >>> cr.batch_norm(cr.tensor([[1.0], [3.0]]), None, None, None, None, True, 0.1, 1e-5).flatten()
        tensor([-1.0000,  1.0000])
    """
    return normalization.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


@function(method=False)
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Each channel of each sample brought to mean 0 and variance 1; weight and bias come first.

    Example:
        >>> import chainrule as cr
        >>> cr.instance_norm(cr.tensor([[[1.0, 3.0]]]), None, None, None, None, True, 0.1, 1e-5).flatten()
        tensor([-1.0000,  1.0000])
    """
    return normalization.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


# ---- dropout --------------------------------------------------------------------------------------------------------


def _dropout(name: str, run: Any, what: str) -> None:
    def f(input: Tensor, p: float, train: bool) -> Tensor:
        return run(input, p, train)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"""{what}

    Example:
        >>> import chainrule as cr
        >>> cr.{name}(cr.ones(1, 2), 0.5, False)
        tensor([[1., 1.]])
    """
    function(name, method=False, inplace=True)(f)


_dropout("dropout", dropouts.dropout, "In training, elements set to 0 with probability ``p``, the others scaled up.")
_dropout("alpha_dropout", dropouts.alpha_dropout, "Dropout after SELU that keeps mean 0 and variance 1.")
_dropout(
    "feature_dropout",
    lambda input, p, train: dropouts._channels("feature_dropout", input, p, train, False, 0, None),
    "In training, channels (N, C, ...) set to 0 with probability ``p``, the others scaled up.",
)
_dropout(
    "feature_alpha_dropout",
    dropouts.feature_alpha_dropout,
    "Dropout of whole channels (N, C, ...) after SELU that keeps mean 0 and variance 1.",
)


# ---- embeddings -----------------------------------------------------------------------------------------------------


@function(method=False)
def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """The rows of ``weight`` that ``indices`` names; a negative ``padding_idx`` means none.

    Example:
        >>> import chainrule as cr
        >>> cr.embedding(cr.tensor([[1.0], [2.0]]), cr.tensor([1, 0])).flatten()
        tensor([2., 1.])
    """
    padding = None if padding_idx < 0 else padding_idx
    return embeddings.embedding(indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)


@function(method=False)
def embedding_renorm_(input: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """The rows that ``indices`` names shortened in place to a norm of at most ``max_norm``.

    There is no :func:`embedding_renorm` out of place.

    Example:
        >>> import chainrule as cr
        >>> cr.embedding_renorm_(cr.tensor([[3.0, 4.0], [3.0, 4.0]]), cr.tensor([1]), 1.0, 2.0)
        tensor([[3.0000, 4.0000],
                [0.6000, 0.8000]])
    """
    embeddings._renormalise(input, indices.long(), max_norm, norm_type)
    return input


@function(method=False)
def embedding_bag(
    weight: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The sum (mode 0), mean (1) or maximum (2) of the rows that each bag of indices names.

    Gives the result, the bag of every index, the number of indices in every bag, and an empty tensor where PyTorch
    keeps the places of maxima for its backward pass.

    Example:
        >>> import chainrule as cr
        >>> cr.embedding_bag(cr.tensor([[1.0], [3.0]]), cr.tensor([0, 1, 1]), cr.tensor([0, 2]))[0].flatten()
        tensor([4., 3.])
    """
    if mode not in (0, 1, 2):
        raise ValueError(f"embedding_bag: mode must be 0 (sum), 1 (mean) or 2 (max), got {mode!r}")
    out = embeddings.embedding_bag(
        indices,
        weight,
        offsets,
        scale_grad_by_freq=scale_grad_by_freq,
        mode=("sum", "mean", "max")[mode],
        sparse=sparse,
        per_sample_weights=per_sample_weights,
        include_last_offset=include_last_offset,
        padding_idx=padding_idx,
    )
    device = indices._device
    starts = embeddings._starts("embedding_bag", indices, offsets, include_last_offset)
    lengths = np.diff(np.append(starts, indices._data.shape[0]))
    bags = np.repeat(np.arange(starts.size), lengths)
    kept = [wrap(device.xp.asarray(a), device) for a in (bags, lengths, np.zeros(0, np.int64))]
    return out, kept[0], kept[1], kept[2]


# ---- positions ------------------------------------------------------------------------------------------------------


@function(method=False)
def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """The grid that affine maps give: see :func:`chainrule.nn.functional.affine_grid`.

    Example:
        >>> import chainrule as cr
        >>> cr.affine_grid_generator(cr.ones(1, 2, 3), (1, 1, 2, 2), True).shape
        (1, 2, 2, 2)
    """
    return vision.affine_grid(theta, size, align_corners)


@function("grid_sampler grid_sampler_2d grid_sampler_3d", method=False)
def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """The input read at the positions in ``grid``, by numbers for the modes (bilinear, nearest, bicubic) and paddings.

    Example:
        >>> import chainrule as cr
        >>> cr.grid_sampler(cr.ones(1, 1, 2, 2), cr.zeros(1, 1, 1, 2), 0, 0, True)
        tensor([[[[1.]]]])
    """
    if interpolation_mode not in (0, 1, 2) or padding_mode not in (0, 1, 2):
        raise ValueError(f"grid_sampler: modes must be 0, 1 or 2, got {interpolation_mode!r} and {padding_mode!r}")
    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    return vision.grid_sample(input, grid, mode, ("zeros", "border", "reflection")[padding_mode], align_corners)


# ---- losses, whose reductions are numbered --------------------------------------------------------------------------


@function(method=False)
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Tensor:
    """The negative log-probability of label sequences; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.ctc_loss(cr.full((2, 1, 2), 0.5).log(), cr.tensor([[1]]), [2], [1])
        tensor(0.2877)
    """
    name = _named("ctc_loss", reduction)
    return ctc.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, name, zero_infinity)


@function(method=False)
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """``1 - cos``, or ``max(0, cos - margin)`` where the target is -1; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.cosine_embedding_loss(cr.tensor([1.0, 0.0]), cr.tensor([0.0, 1.0]), cr.tensor(1))
        tensor(1.)
    """
    name = _named("cosine_embedding_loss", reduction)
    return loss_margin.cosine_embedding_loss(input1, input2, target, margin, reduction=name)


@function(method=False)
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 1) -> Tensor:
    """``x``, or ``max(0, margin - x)`` where the target is -1; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.hinge_embedding_loss(cr.tensor([0.5]), cr.tensor([1.0]))
        tensor(0.5000)
    """
    name = _named("hinge_embedding_loss", reduction)
    return loss_margin.hinge_embedding_loss(input, target, margin, reduction=name)


@function(method=False)
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 1
) -> Tensor:
    """``max(0, margin - t * (x1 - x2))``; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.margin_ranking_loss(cr.tensor([1.0]), cr.tensor([3.0]), cr.tensor([1.0]))
        tensor(2.)
    """
    name = _named("margin_ranking_loss", reduction)
    return loss_margin.margin_ranking_loss(input1, input2, target, margin, reduction=name)


@function(method=False)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Tensor:
    """``max(0, d(a, p) - d(a, n) + margin)``; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.triplet_margin_loss(cr.tensor([[0.0]]), cr.tensor([[1.0]]), cr.tensor([[3.0]]), 4.0)
        tensor(2.)
    """
    name = _named("triplet_margin_loss", reduction)
    return loss_margin.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=name)


@function(method=False)
def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """``exp(x) - t * x``, the negative log-likelihood of counts; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.poisson_nll_loss(cr.tensor([0.0]), cr.tensor([1.0]), True, False, 1e-8, 1)
        tensor(1.)
    """
    name = _named("poisson_nll_loss", reduction)
    return loss.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=name)


@function(method=False)
def kl_div(input: Tensor, target: Tensor, reduction: int = 1, *, log_target: bool = False) -> Tensor:
    """``t * (log(t) - x)`` of log-probabilities x; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.kl_div(cr.tensor([0.25, 0.75]).log(), cr.tensor([0.5, 0.5]), 2)
        tensor(0.1438)
    """
    return loss.kl_div(input, target, reduction=_named("kl_div", reduction), log_target=log_target)


@function(method=False)
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, pos_weight: Tensor | None = None, reduction: int = 1
) -> Tensor:
    """The binary cross-entropy of ``sigmoid(input)``; the reduction is 0 (none), 1 (mean) or 2 (sum).

    Example:
        >>> import chainrule as cr
        >>> cr.binary_cross_entropy_with_logits(cr.tensor([0.0]), cr.tensor([1.0]))
        tensor(0.6931)
    """
    name = _named("binary_cross_entropy_with_logits", reduction)
    return loss.binary_cross_entropy_with_logits(input, target, weight, reduction=name, pos_weight=pos_weight)
