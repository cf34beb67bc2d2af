"""The layers of a transformer: one of its encoder, one of its decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.dropout import Dropout
from chainrule.nn.layer_norm import LayerNorm
from chainrule.nn.linear import Linear
from chainrule.nn.module import Module
from chainrule.nn.multihead_attention import MultiheadAttention

Activation = str | Callable[[Tensor], Tensor]


def _activation(label: str, activation: Any) -> Callable[[Tensor], Tensor]:
    if isinstance(activation, str):
        if activation not in ("relu", "gelu"):
            raise RuntimeError(f"{label}: activation must be 'relu', 'gelu' or a function, got {activation!r}")
        return F.relu if activation == "relu" else F.gelu
    if not callable(activation):
        raise TypeError(f"{label}: activation must be 'relu', 'gelu' or a function, got {describe(activation)}")
    return activation


class TransformerEncoderLayer(Module):
    """Self-attention and a feed-forward network, each added to its input and normalised (Vaswani et al., 2017).

    Args:
        d_model: features of input and output.
        nhead: heads of the attention.
        dim_feedforward: features between the two linear layers.
        dropout: probability of all dropouts.
        activation: ``"relu"``, ``"gelu"``, or a function or module.
        layer_norm_eps: added to variances.
        batch_first: the input is (N, S, d_model) instead of (S, N, d_model).
        norm_first: normalise before attention and network, not after.
        bias: whether linear layers and normalisations have biases.

    Raises:
        RuntimeError: another activation. ValueError: sizes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.TransformerEncoderLayer(8, 2, 16)(cr.zeros(5, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _activation("TransformerEncoderLayer", activation)

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, of the shape of ``src``; for the masks see :meth:`MultiheadAttention.forward`."""

        def attend(x: Tensor) -> Tensor:
            out = self.self_attn(
                x, x, x, src_key_padding_mask, need_weights=False, attn_mask=src_mask, is_causal=is_causal
            )
            return self.dropout1(out[0])

        def feed(x: Tensor) -> Tensor:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = src
        if self.norm_first:
            x = x + attend(self.norm1(x))
            return x + feed(self.norm2(x))
        x = self.norm1(x + attend(x))
        return self.norm2(x + feed(x))


class TransformerDecoderLayer(Module):
    """Self-attention, attention to the encoder's output, and a feed-forward network (Vaswani et al., 2017).

    Args:
        d_model: features of input and output.
        nhead: heads of each attention.
        dim_feedforward: features between the two linear layers.
        dropout: probability of all dropouts.
        activation: ``"relu"``, ``"gelu"``, or a function or module.
        layer_norm_eps: added to variances.
        batch_first: inputs are (N, T, d_model) instead of (T, N, d_model).
        norm_first: normalise before attentions and network, not after.
        bias: whether linear layers and normalisations have biases.

    Raises:
        RuntimeError: another activation. ValueError: sizes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.TransformerDecoderLayer(8, 2, 16)(cr.zeros(5, 3, 8), cr.zeros(7, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **made)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **made)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, **made)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _activation("TransformerDecoderLayer", activation)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The layer's output, of the shape of ``tgt``; for the masks see :meth:`MultiheadAttention.forward`."""

        def attend(x: Tensor) -> Tensor:
            out = self.self_attn(
                x, x, x, tgt_key_padding_mask, need_weights=False, attn_mask=tgt_mask, is_causal=tgt_is_causal
            )
            return self.dropout1(out[0])

        def look(x: Tensor) -> Tensor:
            out = self.multihead_attn(
                x,
                memory,
                memory,
                memory_key_padding_mask,
                need_weights=False,
                attn_mask=memory_mask,
                is_causal=memory_is_causal,
            )
            return self.dropout2(out[0])

        def feed(x: Tensor) -> Tensor:
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = tgt
        if self.norm_first:
            x = x + attend(self.norm1(x))
            x = x + look(self.norm2(x))
            return x + feed(self.norm3(x))
        x = self.norm1(x + attend(x))
        x = self.norm2(x + look(x))
        return self.norm3(x + feed(x))
