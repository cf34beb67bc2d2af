"""Attention of several heads as a layer."""

from __future__ import annotations

from typing import Any

from chainrule.autograd.creation import empty
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import init
from chainrule.nn.functional.attention import several_heads
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.parameter import Parameter


class NonDynamicallyQuantizableLinear(Linear):
    """:class:`Linear`, under the name that PyTorch prints for the last projection of attention.

    Example:
        >>> from chainrule.nn.multihead_attention import NonDynamicallyQuantizableLinear
        >>> NonDynamicallyQuantizableLinear(2, 3)
        NonDynamicallyQuantizableLinear(in_features=2, out_features=3, bias=True)
    """


class MultiheadAttention(Module):
    """What each query takes from the values whose keys it resembles, in several heads (Vaswani et al., 2017).

    Query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), or all without N; gives the output of the query's
    shape, and the weights (N, L, S).

    Args:
        embed_dim: features of queries and output, divided among the heads.
        num_heads: how many heads there are.
        dropout: the probability with which weights are set to 0 in training.
        bias: whether the projections have biases.
        add_bias_kv: a learnt key and value more.
        add_zero_attn: a key and value of zeros more.
        kdim, vdim: features of keys and values; ``embed_dim`` unless given.
        batch_first: query, key, value and output are (N, L, features).

    Raises:
        ValueError: sizes are not positive, or ``embed_dim`` is not divisible by ``num_heads``.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> x = cr.zeros(2, 5, 8)
        >>> out, weights = nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)
        >>> out.shape, weights.shape
        ((2, 5, 8), (2, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim and num_heads must be positive, and embed_dim divisible by num_heads, "
                f"got {embed_dim} and {num_heads}"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        one = self._qkv_same_embed_dim
        shapes = {
            "in_proj_weight": (3 * embed_dim, embed_dim) if one else None,
            "q_proj_weight": None if one else (embed_dim, embed_dim),
            "k_proj_weight": None if one else (embed_dim, self.kdim),
            "v_proj_weight": None if one else (embed_dim, self.vdim),
            "in_proj_bias": (3 * embed_dim,) if bias else None,
            "bias_k": (1, 1, embed_dim) if add_bias_kv else None,
            "bias_v": (1, 1, embed_dim) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            self.register_parameter(
                name, None if shape is None else Parameter(empty(*shape, device=device, dtype=dtype))
            )
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None and self.out_proj.bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        if self.bias_k is not None and self.bias_v is not None:
            init.xavier_normal_(self.bias_k)
            init.xavier_normal_(self.bias_v)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output, and the weights or None.

        Args:
            key_padding_mask: (N, S): true where a key is padding, or numbers that are added to its scores.
            need_weights: give the weights too, averaged over the heads where ``average_attn_weights`` holds.
            attn_mask: (L, S) or (N * num_heads, L, S): true where a query may *not* look at a key, or numbers to add.
            is_causal: a hint that ``attn_mask``, which is needed as well, is causal.
        """
        self._check(query=(query, self.embed_dim), key=(key, self.kdim), value=(value, self.vdim))
        return several_heads(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            self.training,
            key_padding_mask,
            need_weights,
            attn_mask,
            not self._qkv_same_embed_dim,
            self.q_proj_weight,
            self.k_proj_weight,
            self.v_proj_weight,
            None,
            None,
            average_attn_weights,
            is_causal,
            batch_first=self.batch_first and query._data.ndim == 3,
        )

    def _check(self, **inputs: tuple[Any, int]) -> None:
        dims = set()
        order = "(N, length, " if self.batch_first else "(length, N, "
        for name, (value, width) in inputs.items():
            if not isinstance(value, Tensor):
                raise TypeError(f"MultiheadAttention: {name} must be a Tensor, got {describe(value)}")
            dims.add(value._data.ndim)
            if value._data.ndim not in (2, 3) or value._data.shape[-1] != width or len(dims) > 1:
                raise RuntimeError(
                    f"MultiheadAttention: expected {name} of shape {order}{width}), or all of query, key and value "
                    f"without N, got {describe(value)}"
                )
