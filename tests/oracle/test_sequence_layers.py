"""Recurrent layers, embeddings, attention and transformers beside PyTorch's: training, signatures, first values."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sequence_cases import QUIET, both, close, rng, torch

import chainrule as cr

pytestmark = [pytest.mark.oracle, *QUIET]

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
