"""Sequence layers: special cases, state; tests/oracle compares the values."""

from __future__ import annotations

import copy
import gc
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn.utils import rnn


def host(t):
    return t.numpy(force=True)


def zeros(*shape, dtype=None):
    return cr.zeros(*shape, dtype=dtype)


def longs(*values):
    return cr.tensor(values)


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
