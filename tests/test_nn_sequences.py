"""Sequence layers, losses, initialisation: misfit inputs, special cases, state; tests/oracle compares the values."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.utils import rnn


def host(t):
    return t.numpy(force=True)


def zeros(*shape, dtype=None):
    return cr.zeros(*shape, dtype=dtype)


def longs(*values):
    return cr.tensor(values)


# ---- errors ---------------------------------------------------------------------------------------------------------

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


# ---- recurrent layers -----------------------------------------------------------------------------------------------


def test_names_and_order_of_parameters():
    lstm = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    kinds = ["weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"]
    assert list(lstm.state_dict()) == [f"{k}_l{n}{d}" for n in (0, 1) for d in ("", "_reverse") for k in kinds]
    assert [len(weights) for weights in lstm.all_weights] == [5] * 4
    assert lstm.all_weights[3][4] is lstm.weight_hr_l1_reverse
    assert lstm.weight_ih_l1.shape == (16, 4) and lstm.weight_hh_l1.shape == (16, 2)


def test_dropout_between_layers():
    with pytest.warns(UserWarning, match="GRU: dropout=0.5 .* no effect with num_layers=1") as told:
        nn.GRU(3, 4, dropout=0.5)
    assert told[0].filename == __file__
    cr.manual_seed(0)
    lstm = nn.LSTM(3, 4, num_layers=2, dropout=0.5)
    x = cr.randn(6, 5, 3)
    assert not cr.equal(lstm(x)[0], lstm(x)[0])
    lstm.eval()
    kept = lstm(x)[0]
    assert cr.equal(kept, lstm(x)[0])
    lstm.train()
    lstm.dropout = 1.0  # the second layer sees zeros, whatever comes in
    assert cr.equal(lstm(x)[0], lstm(x * 2)[0]) and not cr.equal(lstm(x)[0], kept)


@pytest.mark.parametrize(("kind", "expected"), [("LSTM", [1, 1]), ("GRU", [1, 1]), ("RNN", [5, 10])])
def test_a_whole_sequence_is_one_node(kind, expected):
    """However long it is; a plain RNN has one product for all inputs, and one more for each step."""
    counts = []
    for steps in (4, 9):
        out, _ = getattr(nn, kind)(3, 4)(cr.randn(steps, 2, 3))
        seen, waiting, nodes = set(), [out.grad_fn], 0
        while waiting:
            node = waiting.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            nodes += any(name in node.name() for name in ("Linear", "Matmul", "Lstm", "Gru"))
            waiting += [parent for parent, _ in node.next_functions]
        counts.append(nodes)
    assert counts == expected


def test_packed_sequences_do_not_see_padding():
    lstm = nn.LSTM(3, 4, bidirectional=True)
    x = cr.randn(5, 3, 3)
    lengths = [2, 5, 3]
    packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    out, found = rnn.pad_packed_sequence(lstm(packed)[0])
    assert found.tolist() == lengths and found.device.type == "cpu" and packed.batch_sizes.device.type == "cpu"
    for i, n in enumerate(lengths):
        alone, _ = lstm(x[:n, i])
        np.testing.assert_allclose(host(out[:n, i]), host(alone), rtol=1e-5, atol=1e-6)
        assert not host(out[n:, i]).any()


def test_packed_gradients_reach_the_input_and_nothing_of_the_padding():
    x = cr.randn(4, 2, 3, requires_grad=True)
    gru = nn.GRU(3, 5)
    out, last = gru(rnn.pack_padded_sequence(x, longs(4, 2)))
    (out.data.sum() + last.sum()).backward()
    grad = host(x.grad)
    assert grad[:4, 0].all() and grad[:2, 1].all() and not grad[2:, 1].any()


def test_conversions_of_packed_sequences():
    packed = rnn.pack_sequence([cr.ones(2), cr.ones(3)], enforce_sorted=False)
    assert packed.double().data.dtype == cr.float64 and packed.long().data.dtype == cr.int64
    assert packed.to(cr.float16).batch_sizes.dtype == cr.int64
    assert packed.float() is packed and packed.to(packed.data.device) is packed
    assert packed.half().sorted_indices.tolist() == [1, 0] == packed.unsorted_indices.tolist()
    assert isinstance(packed.int(), rnn.PackedSequence) and packed.short().data.dtype == cr.int16
    assert packed.char().data.dtype == cr.int8 and packed.byte().data.dtype == cr.uint8
    assert packed.cpu().data.device.type == "cpu"
    assert rnn.invert_permutation(None) is None
    same = rnn.PackedSequence((packed.data, packed.batch_sizes))
    assert same.data is packed.data and same.sorted_indices is None


def test_many_steps_are_freed_without_the_collector():
    gc.collect()
    gc.disable()
    try:
        lstm = nn.LSTM(2, 3, num_layers=2, bidirectional=True)
        lstm(cr.randn(300, 2, 2))[0].sum().backward()
        assert gc.collect() < 50
    finally:
        gc.enable()


def test_recurrent_layers_are_copied_and_pickled():
    for layer in (nn.LSTM(3, 4, 2, proj_size=2), nn.GRUCell(3, 4), nn.Embedding(5, 3, padding_idx=1)):
        for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
            assert repr(twin) == repr(layer)
            for (name, p), (other, q) in zip(layer.named_parameters(), twin.named_parameters(), strict=True):
                assert name == other and cr.equal(p, q) and p is not q


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_dtypes(dtype):
    kind = getattr(cr, dtype)
    layers = {
        nn.LSTM(3, 4, dtype=kind): lambda m: m(zeros(2, 2, 3, dtype=kind))[0],
        nn.GRUCell(3, 4, dtype=kind): lambda m: m(zeros(2, 3, dtype=kind)),
        nn.Embedding(3, 4, dtype=kind): lambda m: m(longs(0, 2)),
        nn.EmbeddingBag(3, 4, dtype=kind): lambda m: m(cr.tensor([[0, 2]])),
        nn.TransformerEncoderLayer(4, 2, 8, dtype=kind): lambda m: m(zeros(2, 2, 4, dtype=kind)),
        nn.TransformerDecoderLayer(4, 2, 8, dtype=kind): lambda m: m(*[zeros(2, 2, 4, dtype=kind)] * 2),
        nn.AdaptiveLogSoftmaxWithLoss(8, 9, [3], dtype=kind): lambda m: m(zeros(2, 8, dtype=kind), longs(1, 5)).output,
    }
    for layer, run in layers.items():
        out = run(layer)
        assert out.dtype == kind, layer
        out.sum().backward()
        assert {p.dtype for p in layer.parameters()} == {kind}
        assert {p.grad.dtype for p in layer.parameters() if p.grad is not None} == {kind}


# ---- embeddings, attention, transformers ----------------------------------------------------------------------------


def test_padding_row():
    table = nn.Embedding(4, 3, padding_idx=-2)
    assert table.padding_idx == 2 and not host(table.weight)[2].any() and host(table.weight)[[0, 1, 3]].all()
    table(longs(2, 2, 1)).sum().backward()
    assert host(table.weight.grad).tolist() == [[0] * 3, [1] * 3, [0] * 3, [0] * 3]
    bag = nn.EmbeddingBag(4, 3, padding_idx=0)
    assert not host(bag(cr.tensor([[0, 0]]))).any()


@pytest.mark.parametrize("kind", [nn.Embedding, nn.EmbeddingBag])
def test_sparse_has_no_effect(kind):
    with pytest.warns(UserWarning, match=f"{kind.__name__}: sparse=True has no effect: gradients are dense") as told:
        table = kind(3, 2, sparse=True)
    assert told[0].filename == __file__ and table.sparse is True
    table(cr.tensor([[0, 1]])).sum().backward()
    assert table.weight.grad.shape == (3, 2)


def test_pretrained_tables_share_memory():
    weight = cr.ones(3, 2)
    table = nn.Embedding.from_pretrained(weight, freeze=False)
    weight.mul_(2)
    assert table(longs(1)).tolist() == [[2.0, 2.0]] and table.weight.requires_grad


def test_a_query_that_may_look_at_nothing():
    """NaN where the weights are asked for, as in PyTorch; 0 through scaled_dot_product_attention."""
    attention = nn.MultiheadAttention(4, 2, bias=False)
    x = cr.randn(2, 1, 4)
    mask = cr.tensor([[True, True], [False, False]])
    out, _ = attention(x, x, x, attn_mask=mask, need_weights=False)
    assert not host(out)[0].any() and host(out)[1].any()
    assert np.isnan(host(attention(x, x, x, attn_mask=mask)[0])[0]).all()


def test_weights_sum_to_one_and_dropout_is_off_in_evaluation():
    cr.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, dropout=0.5)
    x = cr.randn(4, 3, 8)
    assert not cr.equal(attention(x, x, x)[0], attention(x, x, x)[0])
    attention.eval()
    out, weights = attention(x, x, x)
    assert cr.equal(out, attention(x, x, x)[0])
    np.testing.assert_allclose(host(weights.sum(-1)), 1, rtol=1e-6)
    assert attention(x, x, x, need_weights=False)[1] is None


def test_stacks_copy_their_layer():
    layer = nn.TransformerEncoderLayer(4, 2, 8)
    stack = nn.TransformerEncoder(layer, 3)
    assert len(stack.layers) == 3 and stack.layers[0] is not layer
    ids = {id(p) for module in (layer, *stack.layers) for p in module.parameters()}
    assert len(ids) == 4 * len(list(layer.parameters()))
    for a, b in zip(stack.layers[0].parameters(), stack.layers[2].parameters(), strict=True):
        assert cr.equal(a, b)


def test_custom_parts_of_a_transformer():
    class Part(nn.Module):
        def forward(self, *tensors, **masks):
            return tensors[0] + 1

    model = nn.Transformer(4, 2, custom_encoder=Part(), custom_decoder=Part())
    assert model(zeros(3, 2, 4), zeros(5, 2, 4)).tolist() == cr.ones(5, 2, 4).tolist()


def test_causal_mask():
    mask = nn.Transformer.generate_square_subsequent_mask(3, dtype=cr.float64)
    assert mask.dtype == cr.float64
    assert host(mask).tolist() == [[0, -np.inf, -np.inf], [0, 0, -np.inf], [0, 0, 0]]
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    x = cr.randn(2, 3, 4)
    before = layer(x, mask.float())
    x[:, 2] = 5.0
    np.testing.assert_allclose(host(layer(x, mask.float()))[:, :2], host(before)[:, :2], rtol=1e-6)


# ---- losses and initialisation --------------------------------------------------------------------------------------


def test_weights_of_losses_are_buffers():
    for loss in (nn.CrossEntropyLoss, nn.NLLLoss, nn.BCELoss, nn.MultiMarginLoss, nn.MultiLabelSoftMarginLoss):
        made = loss(weight=cr.ones(3))
        assert list(made.state_dict()) == ["weight"] and not list(made.parameters())
        assert made.double().weight.dtype == cr.float64
        assert not loss().state_dict() and loss().weight is None
    both = nn.BCEWithLogitsLoss(cr.ones(3), pos_weight=cr.ones(3))
    assert list(both.state_dict()) == ["weight", "pos_weight"]


def test_a_distance_of_ones_own():
    loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().max(-1).values, margin=2.0)
    a, p, n = zeros(1, 2), cr.tensor([[1.0, 0.5]]), cr.tensor([[0.0, 2.5]])
    assert float(loss(a, p, n)) == 0.5
    assert float(nn.TripletMarginWithDistanceLoss()(a, a, a)) == pytest.approx(1.0)
    layer = nn.Linear(2, 2)
    learnt = nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(p=1.0))
    assert isinstance(learnt.distance_function, nn.PairwiseDistance)
    learnt(layer(a), layer(p), layer(n)).backward()
    assert layer.weight.grad is not None


def test_the_parts_of_adaptive_softmax_agree():
    cr.manual_seed(0)
    model = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True)
    x, target = cr.randn(6, 8), longs(0, 3, 4, 9, 10, 19)
    output, loss = model(x, target)
    everything = model.log_prob(x)
    np.testing.assert_allclose(host(everything.exp().sum(1)), 1, rtol=1e-5)
    np.testing.assert_allclose(host(output), host(everything)[np.arange(6), target.tolist()], rtol=1e-5)
    assert float(loss) == pytest.approx(-host(output).mean())
    assert model.predict(x).tolist() == host(everything).argmax(1).tolist()
    model.reset_parameters()
    assert not cr.equal(model.log_prob(x), everything)


@pytest.mark.parametrize(
    "fill",
    [
        lambda p, g: init.uniform_(p, generator=g),
        lambda p, g: init.normal_(p, generator=g),
        lambda p, g: init.trunc_normal_(p, generator=g),
        lambda p, g: init.xavier_uniform_(p, generator=g),
        lambda p, g: init.xavier_normal_(p, generator=g),
        lambda p, g: init.kaiming_uniform_(p, generator=g),
        lambda p, g: init.kaiming_normal_(p, generator=g),
        lambda p, g: init.orthogonal_(p, generator=g),
        lambda p, g: init.sparse_(p, 0.5, generator=g),
    ],
)
def test_initialisation_is_seeded_and_unrecorded(fill):
    first, second = nn.Parameter(cr.zeros(4, 3)), nn.Parameter(cr.zeros(4, 3))
    recorded = (first * first).sum()
    for p in (first, second):
        assert fill(p, cr.Generator().manual_seed(3)) is p
        assert p.is_leaf and p.requires_grad and p.grad_fn is None
    assert cr.equal(first, second) and host(first).any()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        recorded.backward()
    before = cr.get_rng_state()
    fill(first, cr.Generator().manual_seed(4))
    assert not cr.equal(first, second)
    assert cr.equal(before, cr.get_rng_state())  # a generator of one's own leaves the common one alone


def test_initialisation_of_parts_of_a_tensor():
    p = cr.zeros(4, 6)
    init.eye_(p[:2, 1:3])
    init.orthogonal_(p[2:, ::2])
    init.constant_(p[0, 4:], 7.0)
    values = host(p)
    assert values[:2, 1:3].tolist() == [[1, 0], [0, 1]] and values[0, 4:].tolist() == [7, 7]
    np.testing.assert_allclose(values[2:, ::2] @ values[2:, ::2].T, np.eye(2), atol=1e-6)
    assert not values[2:, 1::2].any()
    for fill in (init.xavier_uniform_, init.xavier_normal_, init.kaiming_normal_, init.orthogonal_):
        assert fill(cr.empty(0, 0)).shape == (0, 0)


def test_orthogonal_of_complex_numbers():
    q = host(init.orthogonal_(cr.empty(3, 5, dtype=cr.complex128), gain=2.0))
    np.testing.assert_allclose(q @ q.conj().T, 4 * np.eye(3), atol=1e-12)
    assert np.abs(q.imag).max() > 0.1


def test_functions_and_layers_agree():
    x, target = cr.randn(4, 3), longs(0, 1, 2, 1)
    assert float(nn.CrossEntropyLoss(label_smoothing=0.1)(x, target)) == float(
        F.cross_entropy(x, target, label_smoothing=0.1)
    )
