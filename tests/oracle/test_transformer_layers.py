"""Attention and transformers against PyTorch: masks, layouts, outputs, and first and second gradients."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_cases import QUIET, compare, normal, plain

pytestmark = [pytest.mark.oracle, *QUIET]

# ---- attention ------------------------------------------------------------------------------------------------------

#: batch, heads, queries, keys
N, H, L, S = 2, 2, 3, 5
HIDDEN = np.triu(np.ones((L, S), bool), 2)  # what a query may not look at
PADDED = np.array([[False] * 5, [False, False, False, True, True]])
BIAS = normal(L, S, seed=9)


def attend(lib, m, q, k, v, **options):
    return m(q, k, v, **{n: lib.tensor(a) if isinstance(a, np.ndarray) else a for n, a in options.items()})


def qkv(batch_first=False, width=(4, 4, 4)):
    sizes = [(N, n, w) if batch_first else (n, N, w) for n, w in zip((L, S, S), width, strict=True)]
    return [normal(*s, seed=i) for i, s in enumerate(sizes)]


ATTENTION = {
    "plain": ({}, qkv(), {}),
    "no weights": ({}, qkv(), {"need_weights": False}),
    "weights of heads": ({}, qkv(), {"average_attn_weights": False}),
    "batch first": ({"batch_first": True}, qkv(True), {}),
    "no bias": ({"bias": False}, qkv(), {}),
    "other widths": ({"kdim": 3, "vdim": 6}, qkv(width=(4, 3, 6)), {}),
    "other key": ({"kdim": 3, "batch_first": True, "bias": False}, qkv(True, (4, 3, 4)), {"need_weights": False}),
    "bias kv": ({"add_bias_kv": True}, qkv(), {"attn_mask": HIDDEN, "key_padding_mask": PADDED}),
    "zero attention": ({"add_zero_attn": True}, qkv(), {"attn_mask": HIDDEN, "key_padding_mask": PADDED}),
    "both": ({"add_zero_attn": True, "add_bias_kv": True, "kdim": 3}, qkv(width=(4, 3, 4)), {}),
    "mask": ({}, qkv(), {"attn_mask": HIDDEN}),
    "mask of numbers": ({}, qkv(), {"attn_mask": BIAS, "need_weights": False}),
    "mask of heads": ({}, qkv(), {"attn_mask": np.stack([HIDDEN] * (N * H))}),
    "padding": ({"batch_first": True}, qkv(True), {"key_padding_mask": PADDED, "need_weights": False}),
    "padding of numbers": ({}, qkv(), {"key_padding_mask": np.where(PADDED, -2.0, 0.5)}),
    "masks": ({}, qkv(), {"attn_mask": HIDDEN, "key_padding_mask": PADDED}),
    "unbatched": ({}, [a[:, 0] for a in qkv()], {"attn_mask": HIDDEN}),
    "unbatched batch first": ({"batch_first": True}, [a[:, 0] for a in qkv()], {"key_padding_mask": PADDED[1]}),
}


@pytest.mark.parametrize("case", ATTENTION)
def test_attention(case):
    options, arrays, call = ATTENTION[case]
    run = lambda lib, m, *a: attend(lib, m, *a, **call)  # noqa: E731
    compare(lambda n: n.MultiheadAttention(4, H, **options), run, arrays, second=case in ("plain", "masks", "both"))


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("need_weights", [False, True])
def test_self_attention(batch_first, need_weights):
    """One product serves the three projections of one tensor."""
    causal = np.triu(np.ones((L, L), bool), 1)

    def run(lib, m, x):
        return m(x, x, x, need_weights=need_weights, attn_mask=lib.tensor(causal), is_causal=True)

    compare(lambda n: n.MultiheadAttention(4, H, batch_first=batch_first), run, qkv(batch_first)[:1], second=True)


# ---- transformers ---------------------------------------------------------------------------------------------------

CAUSAL = np.triu(np.full((L, L), -np.inf), 1)
SOURCE = np.triu(np.ones((S, S), bool), 3)
MEMORY = np.triu(np.ones((L, S), bool), 2)
LATE = np.array([[False] * 3, [False, False, True]])


def layer(name, **options):
    return lambda n: getattr(n, name)(4, H, 6, dropout=0.0, **options)


def tanh(x):
    return x.tanh()


LAYERS = {
    "plain": ({}, {}),
    "gelu first": ({"activation": "gelu", "norm_first": True}, {"masked": True}),
    "batch first": ({"batch_first": True}, {"padded": True}),
    "no bias": ({"bias": False, "layer_norm_eps": 1e-3}, {"masked": True, "padded": True}),
    "function": ({"activation": tanh, "norm_first": True, "bias": False}, {}),
    "causal": ({"norm_first": True, "batch_first": True}, {"masked": True, "causal": True}),
    "unbatched": ({}, {"unbatched": True, "masked": True}),
}


def placed(arrays, batch_first=False, unbatched=False):
    if unbatched:
        return [a[:, 0] for a in arrays]
    return [a.swapaxes(0, 1).copy() for a in arrays] if batch_first else arrays


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("case", LAYERS)
def test_encoder_layer(case, mode):
    options, how = LAYERS[case]

    def run(lib, m, x):
        causal = how.get("causal", False)
        square = CAUSAL if causal else SOURCE[:L, :L]
        mask = lib.tensor(square) if how.get("masked") else None
        padding = lib.tensor(LATE) if how.get("padded") else None
        return m(x, mask, padding, is_causal=causal)

    arrays = placed([normal(L, N, 4)], options.get("batch_first", False), how.get("unbatched", False))
    compare(layer("TransformerEncoderLayer", **options), run, arrays, mode, second=case in ("plain", "causal"))


def decode(lib, m, tgt, memory, how, prefix=()):
    causal = how.get("causal", False)
    return m(
        *prefix,
        tgt,
        memory,
        tgt_mask=lib.tensor(CAUSAL) if how.get("masked") else None,
        memory_mask=lib.tensor(MEMORY) if how.get("masked") else None,
        tgt_key_padding_mask=lib.tensor(np.where(LATE, -np.inf, 0.0)) if how.get("padded") else None,
        memory_key_padding_mask=lib.tensor(PADDED) if how.get("padded") else None,
        tgt_is_causal=causal,
    )


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("case", LAYERS)
def test_decoder_layer(case, mode):
    options, how = LAYERS[case]
    arrays = placed(
        [normal(L, N, 4), normal(S, N, 4, seed=1)], options.get("batch_first", False), how.get("unbatched", False)
    )
    run = lambda lib, m, t, s: decode(lib, m, t, s, how)  # noqa: E731
    compare(layer("TransformerDecoderLayer", **options), run, arrays, mode, second=case in ("plain", "causal"))


def test_a_module_as_activation():
    make = lambda n: n.TransformerEncoderLayer(4, H, 6, 0.0, n.Tanh())  # noqa: E731
    compare(make, plain, [normal(L, N, 4)])


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("case", LAYERS)
def test_stacks(case, norm):
    options, how = LAYERS[case]

    def encoder(n):
        return n.TransformerEncoder(layer("TransformerEncoderLayer", **options)(n), 2, n.LayerNorm(4) if norm else None)

    def decoder(n):
        return n.TransformerDecoder(layer("TransformerDecoderLayer", **options)(n), 2, n.LayerNorm(4) if norm else None)

    def encode(lib, m, x):
        causal = True if how.get("causal") else None
        mask = lib.tensor(CAUSAL) if how.get("masked") else None
        return m(x, mask, lib.tensor(np.where(LATE, -np.inf, 0)) if how.get("padded") else None, causal)

    arrays = placed(
        [normal(L, N, 4), normal(S, N, 4, seed=1)], options.get("batch_first", False), how.get("unbatched", False)
    )
    compare(encoder, encode, arrays[:1])
    compare(decoder, lambda lib, m, t, s: decode(lib, m, t, s, how), arrays)


@pytest.mark.parametrize("case", LAYERS)
def test_transformer(case):
    options, how = LAYERS[case]

    def make(n):
        return n.Transformer(4, H, 2, 1, 6, 0.0, **options)

    def run(lib, m, tgt, src):
        return m(
            src,
            tgt,
            src_mask=lib.tensor(SOURCE) if how.get("masked") else None,
            tgt_mask=m.generate_square_subsequent_mask(L).double() if how.get("masked") else None,
            memory_mask=lib.tensor(MEMORY) if how.get("masked") else None,
            src_key_padding_mask=lib.tensor(PADDED) if how.get("padded") else None,
            tgt_key_padding_mask=lib.tensor(LATE) if how.get("padded") else None,
            memory_key_padding_mask=lib.tensor(PADDED) if how.get("padded") else None,
            tgt_is_causal=how.get("causal"),
        )

    arrays = placed(
        [normal(L, N, 4), normal(S, N, 4, seed=1)], options.get("batch_first", False), how.get("unbatched", False)
    )
    compare(make, run, arrays)
