"""RNN, LSTM, GRU, their cells and packed sequences against PyTorch: outputs, and first and second gradients."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_cases import QUIET, both, close, compare, normal, plain, rng, scalar, tensors, torch

import chainrule as cr

pytestmark = [pytest.mark.oracle, *QUIET]

# ---- recurrent layers -----------------------------------------------------------------------------------------------


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
