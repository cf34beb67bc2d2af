"""Recurrent layers, embeddings, attention and transformers against PyTorch, from the same state dict.

Outputs, gradients of inputs and parameters, printed forms, state dicts, signatures, and training trajectories.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = [
    pytest.mark.oracle,
    # PyTorch tells of its fast path, and of masks of two kinds
    pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning"),
    pytest.mark.filterwarnings("ignore:Support for mismatched:UserWarning"),
]


def close(ours, theirs, rtol=1e-9, atol=1e-11):
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=rtol, atol=atol)


def both(make, double=True):
    """The module of ``make(nn)`` in both libraries, with PyTorch's values, loaded from its state dict."""
    torch.manual_seed(0)
    theirs, ours = make(torch.nn), make(cr.nn)
    if double:
        theirs, ours = theirs.double(), ours.double()
    state = theirs.state_dict()
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == {k: tuple(v.shape) for k, v in state.items()}
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})
    assert repr(ours) == repr(theirs)
    return ours, theirs


def tensors(lib, arrays):
    """Floats require grad; integers and bools do not."""
    return [lib.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]


def leaves(tree):
    """The tensors of nested tuples, in order."""
    if tree is None:
        return []
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def scalar(lib, outputs, seed=1):
    """A sum of all floating outputs, each element with its own weight."""
    rng = np.random.default_rng(seed)
    weights = [lib.tensor(rng.normal(size=tuple(t.shape))) for t in outputs]
    return sum(((t * w).sum() for t, w in zip(outputs, weights, strict=True)), start=lib.zeros(()).double())


def compare(make, run, arrays, mode="train", second=False):
    # PyTorch's fused attention has no second derivative
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        found = [values_and_gradients(*pair, run, arrays, mode, second) for pair in zip((cr, torch), both(make))]
    (a, da), (b, db) = found
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        close(x, y)
    assert len(da) == len(db)
    for x, y in zip(da, db, strict=True):
        if x is not None and y is not None:
            close(x, y, 1e-8, 1e-10)
        elif x is not y:  # not used: the one side says None, the other may say 0
            assert not np.any((y if x is None else x).detach().numpy())


def values_and_gradients(lib, module, run, arrays, mode, second):
    """Values and gradients of ``run(lib, module, *tensors)``; with ``second`` also the gradients of gradients."""
    getattr(module, mode)()
    given = tensors(lib, arrays)
    outputs = [t for t in leaves(run(lib, module, *given)) if t.is_floating_point()]
    inputs = [t for t in given if t.requires_grad] + [p for p in module.parameters() if p.requires_grad]
    grads = lib.autograd.grad(scalar(lib, outputs), inputs, create_graph=second, allow_unused=True)
    if second:
        used = [g for g in grads if g is not None and g.requires_grad]
        grads = [*grads, *lib.autograd.grad(scalar(lib, used, 2), inputs, allow_unused=True)]
    return outputs, grads


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    return rng(seed).normal(size=shape)


# ---- recurrent layers -----------------------------------------------------------------------------------------------


def plain(lib, m, x):
    return m(x)


def with_state(lib, m, x, h, c):
    return m(x, (h, c) if isinstance(m, lib.nn.LSTM) else h)


def packed(lib, m, x, *states):
    rnn = lib.nn.utils.rnn
    given = rnn.pack_padded_sequence(x, [5, 3, 3, 1], batch_first=m.batch_first)
    out, last = m(given, *([states if isinstance(m, lib.nn.LSTM) else states[0]] if states else []))
    assert isinstance(out, rnn.PackedSequence)
    return out.data, last


def packed_unsorted(lib, m, x, *states):
    rnn = lib.nn.utils.rnn
    lengths = lib.tensor([3, 5, 1, 3])
    given = rnn.pack_padded_sequence(x, lengths, batch_first=m.batch_first, enforce_sorted=False)
    out, last = m(given, *([states if isinstance(m, lib.nn.LSTM) else states[0]] if states else []))
    padded, found = rnn.pad_packed_sequence(out, m.batch_first, padding_value=0.5, total_length=6)
    assert found.tolist() == [3, 5, 1, 3]
    return padded, out.data, last


#: options of the layer, how it is called, and the shapes of what it gets
RECURRENT = {
    "plain": ({}, plain, [(5, 4, 3)]),
    "one step": ({}, plain, [(1, 4, 3)]),
    "no bias": ({"bias": False}, plain, [(5, 4, 3)]),
    "batch first": ({"batch_first": True}, plain, [(4, 5, 3)]),
    "layers": ({"num_layers": 3}, plain, [(5, 4, 3)]),
    "bidirectional": ({"num_layers": 2, "bidirectional": True}, plain, [(5, 4, 3)]),
    "unbatched": ({"bidirectional": True}, plain, [(5, 3)]),
    "unbatched batch first": ({"batch_first": True}, plain, [(5, 3)]),
    "unbatched state": ({}, with_state, [(5, 3), (1, 6), (1, 6)]),
    "state": ({"num_layers": 2, "bidirectional": True}, with_state, [(5, 4, 3), (4, 4, 6), (4, 4, 6)]),
    "packed": ({}, packed, [(5, 4, 3)]),
    "packed deep": ({"num_layers": 2, "bidirectional": True, "batch_first": True}, packed, [(4, 5, 3)]),
    "packed state": ({"bidirectional": True}, packed, [(5, 4, 3), (2, 4, 6), (2, 4, 6)]),
    "unsorted": ({"num_layers": 2}, packed_unsorted, [(5, 4, 3)]),
    "unsorted state": (
        {"num_layers": 2, "bidirectional": True, "batch_first": True},
        packed_unsorted,
        [(4, 5, 3), (4, 4, 6), (4, 4, 6)],
    ),
}


@pytest.mark.parametrize("case", RECURRENT)
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_recurrent(name, case):
    options, run, shapes = RECURRENT[case]
    if name != "LSTM":
        shapes = shapes[:2]
        run = (lambda lib, m, x, h: m(x, h)) if run is with_state else run
    arrays = [normal(*s, seed=i) for i, s in enumerate(shapes)]
    compare(lambda n: getattr(n, name)(3, 6, **options), run, arrays)


@pytest.mark.parametrize(
    ("options", "run", "shapes"),
    [
        ({"nonlinearity": "relu"}, plain, [(5, 4, 3)]),
        ({"nonlinearity": "relu", "num_layers": 2, "bidirectional": True}, packed, [(5, 4, 3)]),
        ({"nonlinearity": "tanh", "num_layers": 2, "bias": False}, plain, [(5, 3)]),
    ],
)
def test_rnn_nonlinearity(options, run, shapes):
    compare(lambda n: n.RNN(3, 6, **options), run, [normal(*s) for s in shapes])


PROJECTED = {
    "plain": ({}, plain, [(5, 4, 3)]),
    "deep": ({"num_layers": 2, "bidirectional": True}, plain, [(5, 4, 3)]),
    "no bias": ({"bias": False, "batch_first": True}, plain, [(4, 5, 3)]),
    "unbatched": ({}, with_state, [(5, 3), (1, 2), (1, 6)]),
    "state": ({"num_layers": 2}, with_state, [(5, 4, 3), (2, 4, 2), (2, 4, 6)]),
    "packed": ({"num_layers": 2, "bidirectional": True}, packed, [(5, 4, 3)]),
    "unsorted": ({"bidirectional": True}, packed_unsorted, [(5, 4, 3), (2, 4, 2), (2, 4, 6)]),
}


@pytest.mark.parametrize("case", PROJECTED)
def test_projected_lstm(case):
    options, run, shapes = PROJECTED[case]
    arrays = [normal(*s, seed=i) for i, s in enumerate(shapes)]
    compare(lambda n: n.LSTM(3, 6, proj_size=2, **options), run, arrays)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.RNN(3, 4),
        lambda n: n.RNN(3, 4, nonlinearity="relu", bidirectional=True),
        lambda n: n.LSTM(3, 4, num_layers=2),
        lambda n: n.LSTM(3, 4, proj_size=2),
        lambda n: n.GRU(3, 4),
        lambda n: n.GRU(3, 4, num_layers=2, bidirectional=True),
    ],
)
def test_second_gradients_of_recurrence(make):
    compare(make, plain, [normal(3, 2, 3)], second=True)


def cell(lib, m, x, *states):
    if not states:
        return m(x)
    return m(x, states if isinstance(m, lib.nn.LSTMCell) else states[0])


@pytest.mark.parametrize("shapes", [[(4, 3)], [(3,)], [(4, 3), (4, 6), (4, 6)], [(3,), (6,), (6,)]])
@pytest.mark.parametrize("options", [{}, {"bias": False}])
@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_cells(name, options, shapes):
    arrays = [normal(*s, seed=i) for i, s in enumerate(shapes if name == "LSTMCell" else shapes[:2])]
    compare(lambda n: getattr(n, name)(3, 6, **options), cell, arrays, second=True)


def test_relu_cell():
    compare(lambda n: n.RNNCell(3, 6, nonlinearity="relu"), cell, [normal(4, 3), normal(4, 6)])


def test_a_state_dict_of_float32_gives_the_same_outputs():
    ours, theirs = both(lambda n: n.LSTM(20, 64, num_layers=2, bidirectional=True), double=False)
    x = normal(40, 3, 20).astype(np.float32)
    out, (h, c) = ours(cr.tensor(x))
    expected, (h2, c2) = theirs(torch.tensor(x))
    for a, b in ((out, expected), (h, h2), (c, c2)):
        assert a.dtype == cr.float32
        close(a, b, rtol=1e-4, atol=1e-6)


# ---- sequences ------------------------------------------------------------------------------------------------------


def test_packing():
    sequences = [rng(i).normal(size=(n, 2)) for i, n in enumerate([3, 5, 5, 1])]
    for enforce in (False, True):
        items = sorted(sequences, key=len, reverse=True) if enforce else sequences
        a = cr.nn.utils.rnn.pack_sequence([cr.tensor(s) for s in items], enforce)
        b = torch.nn.utils.rnn.pack_sequence([torch.tensor(s) for s in items], enforce)
        assert a._fields == b._fields
        for x, y in zip(a, b, strict=True):
            if y is None:
                assert x is None
            else:
                close(x, y)
                assert str(x.dtype).rpartition(".")[2] == str(y.dtype).rpartition(".")[2]
        for s, t in zip(cr.nn.utils.rnn.unpack_sequence(a), torch.nn.utils.rnn.unpack_sequence(b), strict=True):
            close(s, t)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("value", [0.0, -1.5])
@pytest.mark.parametrize("inner", [(), (2,), (2, 3)])
def test_padding(batch_first, side, value, inner):
    items = [rng(i).normal(size=(n, *inner)) for i, n in enumerate([3, 0, 5, 1])]
    found = []
    for lib in (cr, torch):
        rnn = lib.nn.utils.rnn
        given = tensors(lib, items)
        padded = rnn.pad_sequence(given, batch_first, value, side)
        # a clone: PyTorch transposes the tensor it is given in place
        back = rnn.unpad_sequence(padded.clone(), lib.tensor([3, 0, 5, 1]), batch_first)
        found.append([padded, *back, *lib.autograd.grad(scalar(lib, [padded]), given)])
    for x, y in zip(*found, strict=True):
        close(x, y)


# ---- embeddings -----------------------------------------------------------------------------------------------------

INDEX = np.array([[1, 0, 4], [4, 4, 2]])
EMBEDDINGS = {
    "plain": ({}, INDEX),
    "vector": ({}, INDEX[0]),
    "number": ({}, np.array(3)),
    "padding": ({"padding_idx": 4}, INDEX),
    "padding from the end": ({"padding_idx": -1}, INDEX),
    "by frequency": ({"scale_grad_by_freq": True}, INDEX),
    "both": ({"scale_grad_by_freq": True, "padding_idx": 4}, INDEX),
    "norm": ({"max_norm": 0.7}, INDEX),
    "norm 1": ({"max_norm": 0.7, "norm_type": 1.0, "padding_idx": 0}, INDEX),
    "int32": ({}, INDEX.astype(np.int32)),
}


@pytest.mark.parametrize("case", EMBEDDINGS)
def test_embedding(case):
    options, index = EMBEDDINGS[case]
    compare(lambda n: n.Embedding(5, 3, **options), plain, [index])
    ours, theirs = both(lambda n: n.Embedding(5, 3, **options))
    ours(cr.tensor(index)), theirs(torch.tensor(index))
    close(ours.weight, theirs.weight)  # max_norm changes it


@pytest.mark.parametrize("freeze", [True, False])
@pytest.mark.parametrize(
    ("name", "options"), [("Embedding", {"padding_idx": 1}), ("EmbeddingBag", {"mode": "max"}), ("EmbeddingBag", {})]
)
def test_pretrained(name, options, freeze):
    table = normal(5, 3)
    a = getattr(cr.nn, name).from_pretrained(cr.tensor(table), freeze, **options)
    b = getattr(torch.nn, name).from_pretrained(torch.tensor(table), freeze, **options)
    assert repr(a) == repr(b)
    assert a.weight.requires_grad == b.weight.requires_grad == (not freeze)
    close(a(cr.tensor(INDEX)), b(torch.tensor(INDEX)))
    close(a.weight, b.weight)


FLAT = np.array([1, 0, 4, 4, 4, 2])
OFFSETS = np.array([0, 2, 2, 5])
BAGS = {
    "rows": ({}, [INDEX]),
    "offsets": ({}, [FLAT, OFFSETS]),
    "last offset": ({"include_last_offset": True}, [FLAT, np.array([0, 2, 2, 6])]),
    "padding": ({"padding_idx": 4}, [FLAT, OFFSETS]),
    "padding rows": ({"padding_idx": -1}, [INDEX]),
    "norm": ({"max_norm": 0.7, "norm_type": 1.0}, [FLAT, OFFSETS]),
}


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("case", BAGS)
def test_embedding_bag(case, mode):
    options, arrays = BAGS[case]
    compare(lambda n: n.EmbeddingBag(5, 3, mode=mode, **options), lambda lib, m, *a: m(*a), arrays)


@pytest.mark.parametrize("mode", ["sum", "mean"])
def test_embedding_bag_by_frequency(mode):
    make = lambda n: n.EmbeddingBag(5, 3, mode=mode, scale_grad_by_freq=True)  # noqa: E731
    compare(make, lambda lib, m, *a: m(*a), [FLAT, OFFSETS])


@pytest.mark.parametrize("arrays", [[FLAT, normal(6), OFFSETS], [INDEX, normal(2, 3)]])
@pytest.mark.parametrize("options", [{}, {"padding_idx": 4}])
def test_embedding_bag_weights(arrays, options):
    compare(
        lambda n: n.EmbeddingBag(5, 3, mode="sum", **options),
        lambda lib, m, x, w, *offsets: m(x, *offsets, per_sample_weights=w),
        arrays,
    )


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


# ---- training -------------------------------------------------------------------------------------------------------


class Sequences:
    """Recurrent layer or transformer, then a linear layer on the last step."""

    @staticmethod
    def of(name, n):
        body = {
            "RNN": lambda: n.RNN(4, 6, num_layers=2, bidirectional=True),
            "LSTM": lambda: n.LSTM(4, 6, num_layers=2, proj_size=3),
            "GRU": lambda: n.GRU(4, 6, bidirectional=True),
            "Transformer": lambda: n.TransformerEncoder(
                n.TransformerEncoderLayer(4, 2, 8, 0.0, "gelu"), 2, enable_nested_tensor=False
            ),
        }[name]()
        width = {"RNN": 12, "LSTM": 3, "GRU": 12, "Transformer": 4}[name]
        return n.ModuleList([n.Embedding(7, 4), body, n.Linear(width, 3)])


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "Transformer"])
def test_training(name, optimizer):
    """20 steps give the same losses, and the same parameters in the end."""
    ours, theirs = both(lambda n: Sequences.of(name, n))
    losses = []
    for lib, model in ((cr, ours), (torch, theirs)):
        options = {"lr": 0.05, "momentum": 0.9} if optimizer == "SGD" else {"lr": 0.01}
        steps = getattr(lib.optim, optimizer)(model.parameters(), **options)
        embed, body, out = model
        criterion = lib.nn.CrossEntropyLoss(label_smoothing=0.1)
        losses.append([])
        for step in range(20):
            x, t = lib.tensor(rng(step).integers(0, 7, (5, 4))), lib.tensor(rng(step).integers(0, 3, 4))
            hidden = body(embed(x))
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
            loss = criterion(out(hidden[-1]), t)
            steps.zero_grad()
            loss.backward()
            steps.step()
            losses[-1].append(float(loss.detach()))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-7)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        close(p, q, 1e-5, 1e-6)


# ---- signatures -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    """
    RNNBase RNNCellBase RNNCell LSTMCell GRUCell Embedding EmbeddingBag MultiheadAttention TransformerEncoderLayer
    TransformerDecoderLayer TransformerEncoder TransformerDecoder Transformer
    """.split(),
)
def test_signature(name):
    ours, theirs = (inspect.signature(getattr(n, name).__init__).parameters.values() for n in (cr.nn, torch.nn))

    def told(parameters):
        found = [(p.name, p.kind, getattr(p.default, "__name__", p.default)) for p in parameters]
        return found

    assert told(ours) == told(theirs)
    if not name.endswith("Base"):
        ours, theirs = (inspect.signature(getattr(n, name).forward).parameters.values() for n in (cr.nn, torch.nn))
        assert told(ours) == told(theirs)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("RNN", (3, 4, 2, "relu", False, True, 0.5, True)),
        ("LSTM", (3, 4, 2, False, True, 0.5, True, 2)),
        ("GRU", (3, 4, 2, False, True, 0.5, True)),
        ("RNN", (3, 4)),
        ("RNNCell", (3, 4, False, "relu")),
        ("LSTMCell", (3, 4, False)),
        ("GRUCell", (3, 4)),
    ],
)
def test_positional_arguments_and_attributes(name, arguments):
    """PyTorch's own signature is ``*args, **kwargs``; its documentation gives the order."""
    ours, theirs = both(lambda n: getattr(n, name)(*arguments))
    for attribute in theirs.__constants__:
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    if hasattr(theirs, "all_weights"):
        assert [[tuple(p.shape) for p in w] for w in ours.all_weights] == [
            [tuple(p.shape) for p in w] for w in theirs.all_weights
        ]
        assert ours.flatten_parameters() is None


@pytest.mark.parametrize(
    "name",
    [
        "pack_padded_sequence",
        "pad_packed_sequence",
        "pad_sequence",
        "unpad_sequence",
        "pack_sequence",
        "unpack_sequence",
        "invert_permutation",
        "PackedSequence",
    ],
)
def test_signature_of_packing(name):
    ours, theirs = (inspect.signature(getattr(lib.nn.utils.rnn, name)).parameters.values() for lib in (cr, torch))
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.LSTM(30, 40, 2),
        lambda n: n.GRUCell(30, 40),
        lambda n: n.Embedding(300, 40, padding_idx=3),
        lambda n: n.MultiheadAttention(60, 4, add_bias_kv=True),
        lambda n: n.MultiheadAttention(60, 4, kdim=20, vdim=40),
        lambda n: n.Transformer(40, 4, 1, 1, 100),
    ],
)
def test_default_initialisation(make):
    torch.manual_seed(0)
    cr.manual_seed(0)
    for (name, p), (_, q) in zip(make(cr.nn).named_parameters(), make(torch.nn).named_parameters(), strict=True):
        a, b = p.numpy(force=True), q.detach().numpy()
        np.testing.assert_allclose(a.std(), b.std(), rtol=0.2, err_msg=name)
        np.testing.assert_allclose(np.abs(a).max(), np.abs(b).max(), rtol=0.5, err_msg=name)
        np.testing.assert_array_equal((a == 0).sum(), (b == 0).sum(), err_msg=name)
