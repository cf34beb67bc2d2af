"""Transformers: stacks of encoder and decoder layers, and the whole model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from chainrule.autograd import dtypes
from chainrule.autograd.creation import tensor
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.containers import ModuleList
from chainrule.nn.layer_norm import LayerNorm
from chainrule.nn.module import Module
from chainrule.nn.transformer_layers import Activation, TransformerDecoderLayer, TransformerEncoderLayer


def _copies(label: str, layer: Any, count: int) -> ModuleList:
    if not isinstance(layer, Module):
        raise TypeError(f"{label}: the layer must be a Module, got {describe(layer)}")
    return ModuleList(copy.deepcopy(layer) for _ in range(count))


class TransformerEncoder(Module):
    """Copies of an encoder layer, one after another.

    Args:
        encoder_layer: the layer; its copies start with the same parameters.
        num_layers: how many copies.
        norm: applied to the last output.
        enable_nested_tensor, mask_check: accepted as in PyTorch, where they choose a faster way to the same result.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16), num_layers=2)(cr.zeros(5, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:
        super().__init__()
        self.layers = _copies("TransformerEncoder", encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.mask_check = mask_check

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """The output of the last layer; for the masks see :meth:`MultiheadAttention.forward`.

        Args:
            is_causal: a hint that ``mask`` is causal. PyTorch finds out by itself for None; here the mask is used.
        """
        for layer in self.layers:
            src = layer(src, src_mask=mask, is_causal=bool(is_causal), src_key_padding_mask=src_key_padding_mask)
        return src if self.norm is None else self.norm(src)


class TransformerDecoder(Module):
    """Copies of a decoder layer, one after another.

    Args:
        decoder_layer: the layer; its copies start with the same parameters.
        num_layers: how many copies.
        norm: applied to the last output.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), num_layers=2)
        >>> decoder(cr.zeros(5, 3, 8), cr.zeros(7, 3, 8)).shape
        (5, 3, 8)
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies("TransformerDecoder", decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The output of the last layer; for the masks see :meth:`MultiheadAttention.forward`."""
        for layer in self.layers:
            tgt = layer(
                tgt,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=bool(tgt_is_causal),
                memory_is_causal=memory_is_causal,
            )
        return tgt if self.norm is None else self.norm(tgt)


class Transformer(Module):
    """An encoder of the source and a decoder of the target, which attends to it (Vaswani et al., 2017).

    Source (S, N, d_model) and target (T, N, d_model), or both without N; gives (T, N, d_model).

    Args:
        d_model: features of inputs and output.
        nhead: heads of each attention.
        num_encoder_layers, num_decoder_layers: how many layers.
        dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias: see
            :class:`TransformerEncoderLayer`.
        custom_encoder, custom_decoder: used instead.

    Raises:
        RuntimeError: source and target do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Transformer(8, 2, 1, 1, 16)
        >>> model(cr.zeros(7, 3, 8), cr.zeros(5, 3, 8), tgt_mask=model.generate_square_subsequent_mask(5)).shape
        (5, 3, 8)
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made: dict[str, Any] = {"bias": bias, "device": device, "dtype": dtype}
        layer = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            norm = LayerNorm(d_model, eps=layer_norm_eps, **made)
            self.encoder = TransformerEncoder(TransformerEncoderLayer(*layer, **made), num_encoder_layers, norm)
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            norm = LayerNorm(d_model, eps=layer_norm_eps, **made)
            self.decoder = TransformerDecoder(TransformerDecoderLayer(*layer, **made), num_decoder_layers, norm)
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter._data.ndim > 1:
                init.xavier_uniform_(parameter)

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        """The decoder's output, of the shape of ``tgt``; for the masks see :meth:`MultiheadAttention.forward`."""
        self._check(src, tgt)
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    def _check(self, src: Any, tgt: Any) -> None:
        for name, value in (("src", src), ("tgt", tgt)):
            if not isinstance(value, Tensor):
                raise TypeError(f"Transformer: {name} must be a Tensor, got {describe(value)}")
            if value._data.ndim not in (2, 3) or value._data.shape[-1] != self.d_model:
                raise RuntimeError(
                    f"Transformer: the last of 2 or 3 dimensions of {name} must be d_model={self.d_model}, got "
                    f"{describe(value)}"
                )
        batch = 0 if self.batch_first else 1
        if src._data.ndim != tgt._data.ndim or (
            src._data.ndim == 3 and src._data.shape[batch] != tgt._data.shape[batch]
        ):
            raise RuntimeError(
                f"Transformer: src and tgt must hold equally many sequences in dimension {batch}, got {describe(src)} "
                f"and {describe(tgt)}"
            )

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """A causal mask to add (sz, sz): minus infinity above the diagonal, 0 elsewhere.

        Example:
            >>> from chainrule import nn
            >>> nn.Transformer.generate_square_subsequent_mask(2)
            tensor([[0., -inf],
                    [0., 0.]])
        """
        mask = np.triu(np.full((sz, sz), -np.inf), 1)
        return tensor(mask, dtype=dtypes.get_default_dtype() if dtype is None else dtype, device=device)
