"""Recurrent layers, embeddings, attention and transformers against PyTorch, from the same state dict.

Outputs, gradients of inputs and parameters, printed forms, state dicts, signatures, and training trajectories.
"""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle


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
    """Values and gradients of ``run(lib, module, *tensors)``; with ``second`` also the gradients of gradients."""
    found = []
    ours, theirs = both(make)
    for lib, module in ((cr, ours), (torch, theirs)):
        getattr(module, mode)()
        given = tensors(lib, arrays)
        outputs = [t for t in leaves(run(lib, module, *given)) if t.is_floating_point()]
        inputs = [t for t in given if t.requires_grad] + [p for p in module.parameters() if p.requires_grad]
        total = scalar(lib, outputs)
        grads = lib.autograd.grad(total, inputs, create_graph=second, allow_unused=True)
        if second:
            used = [g for g in grads if g is not None and g.requires_grad]
            again = lib.autograd.grad(scalar(lib, used, 2), inputs, allow_unused=True)
            grads = [*grads, *again]
        found.append((outputs, grads))
    (a, da), (b, db) = found
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        close(x, y)
    assert len(da) == len(db)
    for x, y in zip(da, db, strict=True):
        if x is None or y is None:  # an unused tensor: the one says None, the other perhaps zeros
            assert not np.any((y if x is None else x).detach().numpy()) if (x is not None or y is not None) else True
        else:
            close(x, y, 1e-8, 1e-10)


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
