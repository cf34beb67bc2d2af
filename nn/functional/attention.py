"""Attention: what each query takes from the values whose keys it resembles."""

from __future__ import annotations

import math
from typing import Any

from chainrule.autograd import dtypes
from chainrule.autograd.op import traced as xp
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.runtime import describe, wrap
from chainrule.autograd.tensor import Tensor
from chainrule.nn import attention_ops as attention_ops  # declares the op
from chainrule.nn.functional.arguments import need_tensor, need_tensor_or_none
from chainrule.nn.functional.dropouts import dropout
from chainrule.nn.functional.linear_maps import linear


def _repeated(x: Any, times: int) -> Any:
    """Every head (dimension -3) ``times`` times in a row."""
    if times == 1:
        return x
    *lead, heads, length, width = x._data.shape
    spread = xp.broadcast_to(x.unsqueeze(-3), shape=(*lead, heads, times, length, width))
    return xp.reshape(spread, shape=(*lead, heads * times, length, width))


def _constant(like: Any, value: float) -> Any:
    return wrap(like._device.asarray(value, like._data.dtype), like._device)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.mT * scale + mask) @ value`` (Vaswani et al., 2017).

    Query (..., L, E), key (..., S, E), value (..., S, V); gives (..., L, V).

    Args:
        attn_mask: broadcasts to (..., L, S): bools, true where a query may look at a key, or numbers that are added. A
            query that may look at nothing gets 0.
        dropout_p: the probability with which weights are set to 0; it holds whenever it is given.
        is_causal: query i may look at keys 0 to i only.
        scale: ``1 / sqrt(E)`` unless given.
        enable_gqa: the heads (dimension -3) of key and value may be fewer, each serving several heads of the query.

    Raises RuntimeError when shapes or dtypes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> q, k, v = cr.ones(1, 2), cr.zeros(2, 2), cr.tensor([[1.0], [3.0]])
        >>> F.scaled_dot_product_attention(q, k, v)
        tensor([[2.]])
    """
    caller = "scaled_dot_product_attention"
    need_tensor(caller, query=query, key=key, value=value)
    need_tensor_or_none(caller, attn_mask=attn_mask)
    q, k, v = query._data.shape, key._data.shape, value._data.shape
    if min(len(q), len(k), len(v)) < 2 or q[-1] != k[-1] or k[-2] != v[-2]:
        raise RuntimeError(
            f"{caller}: expected query (..., L, E), key (..., S, E) and value (..., S, V), got {describe(query)}, "
            f"{describe(key)} and {describe(value)}"
        )
    if not query._data.dtype == key._data.dtype == value._data.dtype:
        raise RuntimeError(
            f"{caller}: query, key and value must have one dtype, got {query.dtype}, {key.dtype} and {value.dtype}"
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError(f"{caller}: attn_mask has no meaning with is_causal=True")
    if enable_gqa:
        if min(len(q), len(k), len(v)) < 3 or q[-3] % k[-3] or q[-3] % v[-3]:
            raise RuntimeError(
                f"{caller}: the heads of key and value must divide those of the query, got {describe(query)}, "
                f"{describe(key)} and {describe(value)}"
            )
        key, value = _repeated(key, q[-3] // k[-3]), _repeated(value, q[-3] // v[-3])
    factor = (1.0 / math.sqrt(q[-1]) if q[-1] else 1.0) if scale is None else float(scale)
    if not dropout_p > 0.0:
        together = _together(query, key, value, attn_mask)
        if together is not None:
            attended: Tensor = xp.attention(*together, scale=factor, causal=bool(is_causal))[0]
            return attended
    scores: Any = xp.matmul(query * factor, FUNCTIONS["transpose"](key, -2, -1))
    f, device = query._device.xp, query._device
    if is_causal:
        seen = f.arange(q[-2])[:, None] >= f.arange(k[-2])
        scores = xp.where(wrap(seen, device), scores, _constant(scores, -math.inf))
    elif attn_mask is not None:
        scores = _masked(caller, scores, attn_mask)
    weights = _softmax(scores, attn_mask is not None)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    return xp.matmul(weights, value)


def _together(q: Any, k: Any, v: Any, mask: Any) -> tuple[Any, ...] | None:
    """What the op for all of it takes; None where it has to be done in parts."""
    shapes = q._data.shape, k._data.shape, v._data.shape
    if not shapes[0][:-2] == shapes[1][:-2] == shapes[2][:-2] or 0 in (*shapes[0], *shapes[1], *shapes[2]):
        return None
    if dtypes.category(q._data.dtype) != 2:
        return None
    if mask is None:
        return None, q, k, v
    fits = (*shapes[0][:-1], shapes[1][-2])
    shape = mask._data.shape
    enlarges = len(shape) > len(fits) or any(m not in (1, n) for m, n in zip(shape[::-1], fits[::-1], strict=False))
    kind = dtypes.category(mask._data.dtype)
    if enlarges or kind not in (0, 2) or mask.requires_grad:
        return None
    return mask if kind == 0 or mask._data.dtype == q._data.dtype else mask.to(q.dtype), q, k, v


def _masked(caller: str, scores: Any, mask: Any) -> Any:
    kind = dtypes.category(mask._data.dtype)
    if kind not in (0, 2):
        raise RuntimeError(f"{caller}: attn_mask must be bool or floating point, got {mask.dtype}")
    if kind == 0:
        out = xp.where(mask, scores, _constant(scores, -math.inf))
    else:
        out = scores + (mask if mask._data.dtype == scores._data.dtype else mask.to(scores.dtype))
    if out._data.shape[-2:] != scores._data.shape[-2:]:
        raise RuntimeError(f"{caller}: attn_mask must broadcast to {tuple(scores.shape)}, got {describe(mask)}")
    return out


def _softmax(scores: Any, rows_may_be_empty: bool) -> Any:
    """The softmax of the last dimension; 0 where all of it is minus infinity."""
    if not scores._data.size:
        return scores
    if not rows_may_be_empty:
        return xp.softmax(scores, axis=scores._data.ndim - 1)
    f, device = scores._device.xp, scores._device
    empty = wrap(f.max(scores._data, axis=-1, keepdims=True) == -math.inf, device)
    weights = xp.softmax(xp.where(empty, _constant(scores, 0.0), scores), axis=scores._data.ndim - 1)
    return xp.where(empty, _constant(scores, 0.0), weights)


# ---- several heads --------------------------------------------------------------------------------------------------


def _added(caller: str, name: str, mask: Any, dtype: Any) -> Any:
    """A mask as numbers to add: minus infinity where a bool mask is true."""
    if mask is None:
        return None
    kind = dtypes.category(mask._data.dtype)
    if kind not in (0, 2):
        raise RuntimeError(f"{caller}: {name} must be bool or floating point, got {mask.dtype}")
    if kind == 2:
        return mask
    f = mask._device.xp
    return wrap(f.where(mask._data, f.asarray(-math.inf, dtype=dtype), f.asarray(0.0, dtype=dtype)), mask._device)


def _one_more(mask: Any) -> Any:
    """A mask for one key more, which may be looked at."""
    if mask is None:
        return None
    return xp.pad_constant(mask, widths=(*[(0, 0)] * (mask._data.ndim - 1), (0, 1)), value=0.0)


def _projected(caller: str, inputs: Any, in_proj_weight: Any, weights: Any, bias: Any, separate: bool) -> list[Any]:
    width = inputs[0]._data.shape[-1]
    if not separate:
        need_tensor(caller, in_proj_weight=in_proj_weight)
        if inputs[0] is inputs[1] and inputs[1] is inputs[2]:  # one product for all three
            together = linear(inputs[0], in_proj_weight, bias)
            return list(xp.split_sizes(together, sizes=(width,) * 3, axis=together._data.ndim - 1))
        weights = [in_proj_weight[i * width : (i + 1) * width] for i in range(3)]
    need_tensor(caller, q_proj_weight=weights[0], k_proj_weight=weights[1], v_proj_weight=weights[2])
    biases = [None if bias is None else bias[i * width : (i + 1) * width] for i in range(3)]
    return [linear(x, w, b) for x, w, b in zip(inputs, weights, biases, strict=True)]


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of several heads: projections, :func:`scaled_dot_product_attention` in each head, and a projection.

    Query (L, N, E) or (L, E), key and value (S, N, E) or (S, E).

    Args:
        embed_dim_to_check: E.
        in_proj_weight, in_proj_bias: (3 * E, E) and (3 * E): the projections of query, key and value.
        bias_k, bias_v: (1, 1, E): a key and a value more, after the projection.
        add_zero_attn: a key and a value of zeros more.
        key_padding_mask: (N, S): true where a key is padding, or numbers that are added to its scores.
        need_weights: also give the weights, averaged over the heads where ``average_attn_weights`` holds.
        attn_mask: (L, S) or (N * num_heads, L, S): true where a query may *not* look at a key, or numbers to add.
        use_separate_proj_weight: use ``q_proj_weight``, ``k_proj_weight`` and ``v_proj_weight``.
        static_k, static_v: (N * num_heads, S, E / num_heads) instead of the projected ones.
        is_causal: a hint that ``attn_mask`` is causal.

    Raises RuntimeError when shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.nn import functional as F
        >>> x, w = cr.ones(2, 1, 4), cr.ones(12, 4)
        >>> out, weights = F.multi_head_attention_forward(
        ...     x, x, x, 4, 2, w, None, None, None, False, 0.0, cr.eye(4), None)
        >>> out.shape, weights[0, 0].tolist()
        ((2, 1, 4), [0.5, 0.5])
    """
    return several_heads(
        query,
        key,
        value,
        embed_dim_to_check,
        num_heads,
        in_proj_weight,
        in_proj_bias,
        bias_k,
        bias_v,
        add_zero_attn,
        dropout_p,
        out_proj_weight,
        out_proj_bias,
        training,
        key_padding_mask,
        need_weights,
        attn_mask,
        use_separate_proj_weight,
        q_proj_weight,
        k_proj_weight,
        v_proj_weight,
        static_k,
        static_v,
        average_attn_weights,
        is_causal,
    )


def several_heads(
    query: Any,
    key: Any,
    value: Any,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Any,
    in_proj_bias: Any,
    bias_k: Any,
    bias_v: Any,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Any,
    out_proj_bias: Any,
    training: bool,
    key_padding_mask: Any,
    need_weights: bool,
    attn_mask: Any,
    use_separate_proj_weight: bool,
    q_proj_weight: Any,
    k_proj_weight: Any,
    v_proj_weight: Any,
    static_k: Any,
    static_v: Any,
    average_attn_weights: bool,
    is_causal: bool,
    batch_first: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """:func:`multi_head_attention_forward`; ``batch_first``: of (N, L, E) and (N, S, E), and gives (N, L, E).

    Nothing is transposed for that, which would cost copies: only the places of two dimensions change.
    """
    caller = "multi_head_attention_forward"
    need_tensor(caller, query=query, key=key, value=value)
    need_tensor_or_none(caller, key_padding_mask=key_padding_mask, attn_mask=attn_mask, bias_k=bias_k, bias_v=bias_v)
    if query._data.ndim not in (2, 3) or not query._data.ndim == key._data.ndim == value._data.ndim:
        raise RuntimeError(
            f"{caller}: expected query (L, N, E) and key and value (S, N, E), or all without N, got {describe(query)}, "
            f"{describe(key)} and {describe(value)}"
        )
    single = query._data.ndim == 2
    inputs: list[Any] = [query, key, value]
    if single:
        query3 = query.unsqueeze(1)
        key3 = query3 if key is query else key.unsqueeze(1)
        inputs = [query3, key3, key3 if value is key else value.unsqueeze(1)]
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    along, across = (1, 0) if batch_first else (0, 1)  # the dimensions of positions and of sequences
    width = inputs[0]._data.shape[2]
    length, batch = inputs[0]._data.shape[along], inputs[0]._data.shape[across]
    if width != embed_dim_to_check or width % num_heads:
        raise RuntimeError(
            f"{caller}: the query's last dimension must be embed_dim_to_check={embed_dim_to_check} and divisible by "
            f"num_heads={num_heads}, got {width}"
        )
    same = 2 if use_separate_proj_weight else 3
    if inputs[1]._data.shape[:same] != inputs[2]._data.shape[:same] or inputs[1]._data.shape[across] != batch:
        raise RuntimeError(f"{caller}: key and value do not fit the query, got {describe(key)} and {describe(value)}")
    if is_causal and attn_mask is None:
        raise RuntimeError(f"{caller}: is_causal=True needs attn_mask as well")
    hint = is_causal and key_padding_mask is None and not need_weights
    dtype = query._data.dtype
    mask = None if hint else _added(caller, "attn_mask", attn_mask, dtype)
    padding = _added(caller, "key_padding_mask", key_padding_mask, dtype)
    sources = inputs[1]._data.shape[along]
    if mask is not None:
        expected = (length, sources) if mask._data.ndim == 2 else (batch * num_heads, length, sources)
        if mask._data.ndim not in (2, 3) or tuple(mask._data.shape) != expected:
            raise RuntimeError(f"{caller}: attn_mask must have shape {expected}, got {describe(attn_mask)}")
        mask = mask.unsqueeze(0) if mask._data.ndim == 2 else mask
    separate = [q_proj_weight, k_proj_weight, v_proj_weight]
    q, k, v = _projected(caller, inputs, in_proj_weight, separate, in_proj_bias, use_separate_proj_weight)
    if (bias_k is None) != (bias_v is None):
        raise RuntimeError(f"{caller}: bias_k and bias_v come together")
    cat = FUNCTIONS["cat"]
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise RuntimeError(f"{caller}: bias_k and bias_v have no meaning with static_k or static_v")
        one = (batch, 1, width) if batch_first else (1, batch, width)
        k = cat([k, xp.broadcast_to(bias_k.reshape(1, 1, width), shape=one)], along)
        v = cat([v, xp.broadcast_to(bias_v.reshape(1, 1, width), shape=one)], along)
        mask, padding = _one_more(mask), _one_more(padding)

    each = width // num_heads

    def split(x: Any) -> Any:  # to (N, heads, T, E / heads), without a copy
        return xp.permute_dims(xp.reshape(x, shape=(*x._data.shape[:2], num_heads, each)), axes=(across, 2, along, 3))

    def static(name: str, x: Any) -> Any:
        if x._data.ndim != 3 or x._data.shape[0] != batch * num_heads or x._data.shape[2] != each:
            raise RuntimeError(f"{caller}: {name} must have shape ({batch * num_heads}, S, {each}), got {describe(x)}")
        return xp.reshape(x, shape=(batch, num_heads, *x._data.shape[1:]))

    q = split(q)
    k = split(k) if static_k is None else static("static_k", static_k)
    v = split(v) if static_v is None else static("static_v", static_v)
    if add_zero_attn:
        zeros = wrap(q._device.xp.zeros((batch, num_heads, 1, each), dtype=dtype), q._device)
        k, v = cat([k, zeros], 2), cat([v, zeros], 2)
        mask, padding = _one_more(mask), _one_more(padding)
    sources = k._data.shape[2]
    if mask is not None and mask._data.shape[0] != 1:
        mask = xp.reshape(mask, shape=(batch, num_heads, *mask._data.shape[1:]))
    if padding is not None:
        if tuple(padding._data.shape) != (batch, sources):
            raise RuntimeError(
                f"{caller}: key_padding_mask must have shape ({batch}, {sources}), got {describe(padding)}"
            )
        padding = padding.reshape(batch, 1, 1, sources)
        mask = padding if mask is None else mask + padding
    drop = dropout_p if training else 0.0
    weights = None
    if need_weights:
        scores = xp.matmul(q * math.sqrt(1.0 / each), FUNCTIONS["transpose"](k, 2, 3))
        weights = xp.softmax(scores if mask is None else scores + mask, axis=3)
        weights = dropout(weights, drop) if drop > 0.0 else weights
        out = xp.matmul(weights, v)
        weights = xp.mean(weights, axis=1, keepdims=False) if average_attn_weights else weights
    else:
        out = scaled_dot_product_attention(q, k, v, mask, drop, hint)
    order, shape = ((0, 2, 1, 3), (batch, length)) if batch_first else ((2, 0, 1, 3), (length, batch))
    out = xp.reshape(xp.permute_dims(out, axes=order), shape=(*shape, width))
    out = linear(out, out_proj_weight, out_proj_bias)
    if single:
        return out.squeeze(1), None if weights is None else weights.squeeze(0)
    return out, weights
