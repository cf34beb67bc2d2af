"""Embedding and EmbeddingBag against PyTorch: outputs, gradients, and what max_norm changes."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_cases import QUIET, both, close, compare, normal, plain, torch

import chainrule as cr

pytestmark = [pytest.mark.oracle, *QUIET]

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
