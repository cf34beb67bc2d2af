"""Inputs that do not fit sequence layers and losses: errors that say what and where."""

from __future__ import annotations

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import init
from chainrule.nn.utils import rnn


def zeros(*shape, dtype=None):
    return cr.zeros(*shape, dtype=dtype)


def longs(*values):
    return cr.tensor(values)


ERRORS = {
    # making a layer
    "rnn nonlinearity": (lambda: nn.RNN(3, 4, nonlinearity="gelu"), ValueError, "RNN: nonlinearity must be 'tanh' or"),
    "mode": (lambda: nn.RNNBase("QRNN", 3, 4), ValueError, "RNNBase: mode must be one of LSTM, GRU, .* got 'QRNN'"),
    "hidden float": (lambda: nn.LSTM(3, 4.0), TypeError, "LSTM: hidden_size must be an int, got float 4.0"),
    "hidden 0": (lambda: nn.GRU(3, 0), ValueError, "GRU: hidden_size must be at least 1, got 0"),
    "input 0": (lambda: nn.RNN(0, 4), ValueError, "RNN: input_size must be at least 1, got 0"),
    "layers 0": (lambda: nn.GRU(3, 4, num_layers=0), ValueError, "GRU: num_layers must be at least 1, got 0"),
    "projection": (lambda: nn.LSTM(3, 4, proj_size=4), ValueError, "proj_size must be less than hidden_size 4, got 4"),
    "gru projection": (lambda: nn.RNNBase("GRU", 3, 4, proj_size=2), ValueError, "proj_size is for LSTM only"),
    "dropout": (lambda: nn.LSTM(3, 4, 2, dropout=1.5), ValueError, "LSTM: dropout must be a probability .* got 1.5"),
    "cell": (lambda: nn.LSTMCell(3, 0), ValueError, "LSTMCell: input_size .* got 3 and 0"),
    "cell nonlinearity": (lambda: nn.RNNCell(3, 4, nonlinearity="x"), ValueError, "RNNCell: nonlinearity must be"),
    "padding index": (lambda: nn.Embedding(3, 4, padding_idx=3), ValueError, r"Embedding: padding_idx must be in \[-3"),
    "table": (lambda: nn.Embedding(3, 4, _weight=zeros(4, 3)), ValueError, r"_weight must be .* \(3, 4\), got .*4.*3"),
    "pretrained": (lambda: nn.Embedding.from_pretrained(zeros(3)), ValueError, "from_pretrained: .* 2 dimensions, got"),
    "bag mode": (lambda: nn.EmbeddingBag(3, 4, mode="min"), ValueError, "EmbeddingBag: mode must be 'sum', 'mean' or"),
    "heads": (lambda: nn.MultiheadAttention(5, 2), ValueError, "embed_dim divisible by num_heads, got 5 and 2"),
    "no heads": (lambda: nn.MultiheadAttention(4, 0), ValueError, "must be positive, .* got 4 and 0"),
    "activation": (
        lambda: nn.TransformerEncoderLayer(4, 2, activation="tanh"),
        RuntimeError,
        "TransformerEncoderLayer: activation must be 'relu', 'gelu' or a function, got 'tanh'",
    ),
    "activation number": (
        lambda: nn.TransformerDecoderLayer(4, 2, activation=3),
        TypeError,
        "or a function, got int 3",
    ),
    "layer": (lambda: nn.TransformerEncoder(zeros(2), 2), TypeError, "TransformerEncoder: the layer must be a Module"),
    "reduction": (lambda: nn.CTCLoss(reduction="avg"), ValueError, "CTCLoss: reduction must be 'mean', 'sum' or"),
    "kl reduction": (
        lambda: nn.KLDivLoss(reduction="avg"),
        ValueError,
        "KLDivLoss: reduction must be 'mean', 'sum', 'none' or 'batchmean', got 'avg'",
    ),
    "a reduction in the wrong place": (lambda: nn.MSELoss("sum"), TypeError, "MSELoss: size_average must be a bool"),
    "weight": (lambda: nn.CrossEntropyLoss([1.0, 2.0]), TypeError, "CrossEntropyLoss.weight: expected a Tensor"),
    "power": (lambda: nn.MultiMarginLoss(p=3), ValueError, "MultiMarginLoss: p must be 1 or 2, got 3"),
    "weight matrix": (lambda: nn.MultiMarginLoss(weight=zeros(2, 2)), ValueError, "weight must have 1 dimension, got"),
    "margin": (lambda: nn.TripletMarginLoss(margin=0.0), ValueError, "TripletMarginLoss: margin must be positive"),
    "distance margin": (
        lambda: nn.TripletMarginWithDistanceLoss(margin=-1.0),
        ValueError,
        "TripletMarginWithDistanceLoss: margin must be positive, got -1.0",
    ),
    "cutoffs": (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [10, 4]), ValueError, r"n_classes - 1 = 19, got \[10"),
    "no cutoffs": (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, []), ValueError, "cutoffs must be at least one"),
    "last cutoff": (lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [20]), ValueError, r"got \[20\]"),
    # calling it
    "list": (lambda: nn.LSTM(3, 4)([1.0]), TypeError, "LSTM: input must be a Tensor or a PackedSequence, got"),
    "vector": (lambda: nn.LSTM(3, 4)(zeros(3)), ValueError, r"expected input of shape \(T, N, 3\) or \(T, 3\), got"),
    "batch first": (lambda: nn.GRU(3, 4, batch_first=True)(zeros(3)), ValueError, r"shape \(N, T, 3\) or \(T, 3\)"),
    "width": (lambda: nn.RNN(3, 4)(zeros(5, 2, 7)), RuntimeError, "must be input_size=3, got .*5.*2.*7"),
    "dtype": (lambda: nn.RNN(3, 4)(zeros(5, 2, 3).double()), ValueError, "parameters' dtype .*float32, got .*float64"),
    "no steps": (lambda: nn.LSTM(3, 4)(zeros(0, 2, 3)), RuntimeError, "LSTM: .* at least one step, got"),
    "state shape": (
        lambda: nn.GRU(3, 4)(zeros(5, 2, 3), zeros(1, 3, 4)),
        RuntimeError,
        r"GRU: with batched input hx must have shape \(1, 2, 4\), got .*1, 3, 4",
    ),
    "state pair": (lambda: nn.LSTM(3, 4)(zeros(5, 2, 3), zeros(1, 2, 4)), TypeError, r"hx must be a pair \(h, c\)"),
    "second state": (
        lambda: nn.LSTM(3, 4, proj_size=2)(zeros(5, 2, 3), (zeros(1, 2, 2), zeros(1, 2, 2))),
        RuntimeError,
        r"hx\[1\] must have shape \(1, 2, 4\), got",
    ),
    "batched state": (
        lambda: nn.GRU(3, 4)(zeros(5, 3), zeros(1, 1, 4)),
        RuntimeError,
        r"with unbatched input hx must have shape \(1, 4\)",
    ),
    "state dtype": (
        lambda: nn.GRU(3, 4)(zeros(5, 2, 3), zeros(1, 2, 4).double()),
        ValueError,
        "GRU: hx must have the input's dtype",
    ),
    "packed": (lambda: nn.LSTM(3, 4)(rnn.pack_sequence([zeros(2, 5)])), RuntimeError, "must be input_size=3, got"),
    "cell input": (lambda: nn.GRUCell(3, 4)(zeros(2, 5)), ValueError, r"GRUCell: expected input of shape \(N, 3\) or"),
    "cell state": (lambda: nn.GRUCell(3, 4)(zeros(2, 3), zeros(3, 4)), ValueError, r"hx must have shape \(2, 4\), got"),
    "cell pair": (lambda: nn.LSTMCell(3, 4)(zeros(2, 3), zeros(2, 4)), TypeError, r"LSTMCell: hx must be a pair"),
    "index": (lambda: nn.Embedding(3, 4)(longs(0, 3)), IndexError, r"Embedding\(3, 4\): .*index 3 is out of range"),
    "float index": (lambda: nn.Embedding(3, 4)(zeros(2)), RuntimeError, "Embedding.*integer indices, got"),
    "offsets": (lambda: nn.EmbeddingBag(3, 4)(longs(0, 1)), ValueError, "EmbeddingBag.*1-d offsets, got"),
    "query": (
        lambda: nn.MultiheadAttention(4, 2)(zeros(3, 2, 5), zeros(3, 2, 4), zeros(3, 2, 4)),
        RuntimeError,
        r"MultiheadAttention: expected query of shape \(length, N, 4\).* got .*3, 2, 5",
    ),
    "key": (
        lambda: nn.MultiheadAttention(4, 2, kdim=3, batch_first=True)(zeros(3, 2, 4), zeros(3, 2, 4), zeros(3, 2, 4)),
        RuntimeError,
        r"expected key of shape \(N, length, 3\).* got .*3, 2, 4",
    ),
    "dimensions": (
        lambda: nn.MultiheadAttention(4, 2)(zeros(2, 4), zeros(3, 2, 4), zeros(3, 2, 4)),
        RuntimeError,
        "expected key of shape",
    ),
    "causal without mask": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8)(zeros(3, 2, 4), is_causal=True),
        RuntimeError,
        "self_attn.*is_causal=True needs attn_mask",
    ),
    "mask shape": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8)(zeros(3, 2, 4), zeros(2, 2)),
        RuntimeError,
        r"TransformerEncoderLayer.self_attn .*attn_mask must have shape \(3, 3\), got .*2, 2",
    ),
    "padding shape": (
        lambda: nn.TransformerEncoderLayer(4, 2, 8)(zeros(3, 2, 4), None, zeros(3, 2)),
        RuntimeError,
        r"key_padding_mask must have shape \(2, 3\), got",
    ),
    "source width": (
        lambda: nn.Transformer(4, 2, 1, 1, 8)(zeros(3, 2, 5), zeros(3, 2, 4)),
        RuntimeError,
        "dimensions of src must be d_model=4",
    ),
    "sequences": (
        lambda: nn.Transformer(4, 2, 1, 1, 8)(zeros(3, 2, 4), zeros(3, 1, 4)),
        RuntimeError,
        "src and tgt must hold equally many sequences in dimension 1, got",
    ),
    "loss shapes": (lambda: nn.HuberLoss()(zeros(2), zeros(3)), ValueError, r"HuberLoss\(\): .*\(2,\).*\(3,\)"),
    "ignored probabilities": (
        lambda: nn.CrossEntropyLoss(ignore_index=1)(zeros(2, 3), zeros(2, 3)),
        RuntimeError,
        "ignore_index=1 has no meaning where the target holds probabilities",
    ),
    "adaptive input": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(zeros(2, 7), longs(1, 2)),
        RuntimeError,
        r"input_ must have shape \(N, 8\) or \(8,\), got",
    ),
    "adaptive target": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(zeros(2, 8), longs(1, 2, 3)),
        RuntimeError,
        r"target_ must have shape \(2,\), got",
    ),
    "adaptive class": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(zeros(2, 8), longs(1, 20)),
        RuntimeError,
        "target_ must hold classes from 0 to 19, got 1 to 20",
    ),
    "adaptive floats": (
        lambda: nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4])(zeros(2, 8), zeros(2)),
        TypeError,
        "target_ must hold integer classes, got",
    ),
    # packing
    "unsorted": (
        lambda: rnn.pack_padded_sequence(zeros(3, 2), [1, 3]),
        RuntimeError,
        r"with enforce_sorted=True the lengths must not rise, got \[1, 3\]; .* enforce_sorted=False",
    ),
    "too long": (lambda: rnn.pack_padded_sequence(zeros(3, 2), [4, 3]), RuntimeError, r"between 1 and 3, .* \[4, 3\]"),
    "empty": (lambda: rnn.pack_padded_sequence(zeros(3, 2), [3, 0]), RuntimeError, r"between 1 and 3, .* \[3, 0\]"),
    "lengths": (lambda: rnn.pack_padded_sequence(zeros(3, 2), [3]), RuntimeError, "expected 2 lengths, .* got 1"),
    "float lengths": (lambda: rnn.pack_padded_sequence(zeros(3, 2), zeros(2)), TypeError, "lengths must hold integers"),
    "vector to pack": (lambda: rnn.pack_padded_sequence(zeros(3), [3]), RuntimeError, r"must be a Tensor \(T, N"),
    "total": (
        lambda: rnn.pad_packed_sequence(rnn.pack_sequence([zeros(3)]), total_length=2),
        ValueError,
        "total_length must be at least the longest length 3, got 2",
    ),
    "not packed": (lambda: rnn.pad_packed_sequence(zeros(3)), TypeError, "sequence must be a PackedSequence, got"),
    "side": (lambda: rnn.pad_sequence([zeros(2)], padding_side="top"), ValueError, "padding_side must be 'left' or"),
    "none": (lambda: rnn.pad_sequence([]), RuntimeError, "pad_sequence: expected at least one sequence, got none"),
    "inner": (lambda: rnn.pad_sequence([zeros(2, 3), zeros(2, 4)]), RuntimeError, "sequence 1 is .*4.*, the first"),
    "not a sequence": (lambda: rnn.pad_sequence([zeros(2), 3]), TypeError, "sequence 1 must be a Tensor, got int 3"),
    "unpad": (lambda: rnn.unpad_sequence(zeros(3, 2), longs(4, 1)), RuntimeError, r"between 0 and 3, .* got \[4, 1\]"),
    "sizes": (lambda: rnn.PackedSequence(zeros(3), [3]), TypeError, "batch_sizes must be a Tensor, got"),
    # initialisation
    "dirac": (lambda: init.dirac_(zeros(3, 3)), ValueError, "dirac_: expected a kernel of 3, 4 or 5 dimensions, got"),
    "dirac groups": (lambda: init.dirac_(zeros(3, 3, 3), 2), ValueError, "divisible by groups=2, got"),
    "sparse": (lambda: init.sparse_(zeros(3), 0.1), ValueError, "sparse_: expected a matrix, got"),
    "sparsity": (lambda: init.sparse_(zeros(3, 3), 1.5), ValueError, r"sparsity must be in \[0, 1\], got 1.5"),
    "truncated": (lambda: init.trunc_normal_(zeros(3), std=0.0), ValueError, "std must be positive, got 0.0"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_misfits(case):
    act, kind, message = ERRORS[case]
    with pytest.raises(kind, match=message):
        act()


@pytest.mark.parametrize("layer", [nn.LSTM(3, 4), nn.GRUCell(3, 4), nn.RNN(3, 4, bidirectional=True)])
def test_an_error_says_where_in_the_model(layer):
    model = nn.ModuleDict({"body": nn.Sequential(layer)})
    model.forward = lambda x: model["body"](x)
    with pytest.raises((ValueError, RuntimeError), match=r"ModuleDict.body.0 \(" + type(layer).__name__):
        model(zeros(5, 2, 9))
