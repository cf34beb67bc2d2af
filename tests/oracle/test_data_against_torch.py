"""Samplers, collate functions and loaders against PyTorch's, where the result does not depend on random numbers."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils import data

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = [pytest.mark.oracle, pytest.mark.host]
theirs = torch.utils.data
Point = namedtuple("Point", "x y")


def same(ours, expected):
    """The same structure, types of containers included, with the same values and dtypes."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(ours, cr.Tensor)
        assert str(ours.dtype).rpartition(".")[2] == str(expected.dtype).rpartition(".")[2]
        np.testing.assert_array_equal(ours.numpy(force=True), expected.numpy())
        return
    assert type(ours) is type(expected)
    if isinstance(expected, dict):
        assert list(ours) == list(expected)
        for key in expected:
            same(ours[key], expected[key])
    elif isinstance(expected, (list, tuple)):
        assert len(ours) == len(expected)
        for a, b in zip(ours, expected, strict=True):
            same(a, b)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(ours, expected, strict=True)
    else:
        assert ours == expected


def outcome(act):
    """What a call gives, or the type of what it raises."""
    try:
        return act()
    except Exception as error:
        return type(error)


#: samples as a function of the library; all but tensors are the same for both
SAMPLES = {
    "floats": lambda lib: [0.5, 1.5],
    "ints": lambda lib: [1, 2],
    "bools": lambda lib: [True, False],
    "strings": lambda lib: ["a", "b"],
    "bytes": lambda lib: [b"a", b"b"],
    "tensors": lambda lib: [lib.ones(2), lib.zeros(2)],
    "scalars": lambda lib: [lib.tensor(1), lib.tensor(2)],
    "arrays": lambda lib: [np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)],
    "numbers": lambda lib: [np.float32(1), np.float32(2)],
    "doubles": lambda lib: [np.float64(1), np.float64(2)],
    "bytes in arrays": lambda lib: [np.arange(3, dtype=np.uint8)] * 2,
    "tuples": lambda lib: [(1, "a"), (2, "b")],
    "lists": lambda lib: [[1, 2.5], [3, 4.5]],
    "named": lambda lib: [Point(1, np.zeros(2)), Point(2, np.ones(2))],
    "dicts": lambda lib: [{"a": 1, "b": ["s", lib.ones(1)]}, {"a": 2, "b": ["t", lib.ones(1)]}],
    "empty tuples": lambda lib: [(), ()],
    "unequal shapes": lambda lib: [lib.ones(2), lib.ones(3)],
    "unequal lengths": lambda lib: [(1, 2), (1,)],
    "missing key": lambda lib: [{"a": 1}, {}],
    "text arrays": lambda lib: [np.array(["a"]), np.array(["b"])],
    "none": lambda lib: [None, None],
    "nothing": lambda lib: [],
}


@pytest.mark.parametrize("kind", SAMPLES)
@pytest.mark.parametrize("function", ["default_collate", "default_convert"])
def test_collate(kind, function):
    make = SAMPLES[kind]
    ours = outcome(lambda: getattr(data, function)(make(cr)))
    same(ours, outcome(lambda: getattr(theirs, function)(make(torch))))


class Squares:
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return i, float(i * i)


def stream(lib):
    class Stream(lib.IterableDataset):
        def __iter__(self):
            return iter(range(7))

        def __len__(self):
            return 7

    return Stream()


def tensors(lib, module):
    return module.TensorDataset(lib.arange(14).reshape(7, 2), lib.arange(7) * 2.0)


#: (data set, options of the loader), as functions of (library, its data module)
LOADERS = {
    "one by one": lambda lib, m: (Squares(4), {}),
    "batches": lambda lib, m: (Squares(7), {"batch_size": 3}),
    "drop_last": lambda lib, m: (Squares(7), {"batch_size": 3, "drop_last": True}),
    "no batches": lambda lib, m: (Squares(3), {"batch_size": None}),
    "tensors": lambda lib, m: (tensors(lib, m), {"batch_size": 3}),
    "part": lambda lib, m: (m.Subset(tensors(lib, m), [6, 0, 2]), {"batch_size": 2}),
    "joined": lambda lib, m: (m.ConcatDataset([tensors(lib, m), tensors(lib, m)]), {"batch_size": 4}),
    "stacked": lambda lib, m: (m.StackDataset(tensors(lib, m), Squares(7)), {"batch_size": 4}),
    "named": lambda lib, m: (m.StackDataset(a=Squares(3), b=Squares(3)), {"batch_size": 2}),
    "sampler": lambda lib, m: (Squares(5), {"sampler": [4, 1, 3], "batch_size": 2}),
    "batch_sampler": lambda lib, m: (Squares(5), {"batch_sampler": [[0, 4], [2]]}),
    "collate_fn": lambda lib, m: (Squares(5), {"batch_size": 2, "collate_fn": list}),
    "stream": lambda lib, m: (stream(m), {"batch_size": 3}),
    "stream, drop_last": lambda lib, m: (stream(m), {"batch_size": 3, "drop_last": True}),
    "stream, no batches": lambda lib, m: (stream(m), {"batch_size": None}),
    "chain": lambda lib, m: (m.ChainDataset([stream(m), stream(m)]), {"batch_size": 4}),
    "sequential": lambda lib, m: (Squares(5), {"sampler": m.SequentialSampler(range(2))}),
    "batched sampler": lambda lib, m: (Squares(5), {"batch_sampler": m.BatchSampler(range(5), 2, True)}),
    "both samplers": lambda lib, m: (Squares(5), {"sampler": [1], "batch_sampler": [[1]]}),
    "sampler and shuffle": lambda lib, m: (Squares(5), {"sampler": [1], "shuffle": True}),
    "stream and shuffle": lambda lib, m: (stream(m), {"shuffle": True}),
    "zero": lambda lib, m: (Squares(5), {"batch_size": 0}),
    "prefetch alone": lambda lib, m: (Squares(5), {"prefetch_factor": 2}),
    "persistent alone": lambda lib, m: (Squares(5), {"persistent_workers": True}),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_loader(kind):
    def run(lib, module):
        dataset, options = LOADERS[kind](lib, module)
        loader = module.DataLoader(dataset, **options)
        batches = [batch for batch in loader]  # noqa: C416 - list() asks for the length first
        return [loader.batch_size, loader.drop_last, len(loader), batches]

    with cr.device("cpu"):
        same(outcome(lambda: run(cr, data)), outcome(lambda: run(torch, theirs)))


@pytest.mark.parametrize(
    ("lengths"), [[3, 4, 3], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3], [0.9, 0.2], [5, 6], [0.25, 0.75]]
)
def test_random_split_sizes(lengths):
    def sizes(module):
        return [len(part) for part in module.random_split(range(10), lengths)]

    assert outcome(lambda: sizes(data)) == outcome(lambda: sizes(theirs))


def test_random_samplers_draw_as_often():
    """Not the same numbers, but the same lengths, and each sample as often."""
    makers = [
        lambda m: m.RandomSampler(range(4)),
        lambda m: m.RandomSampler(range(4), num_samples=10),
        lambda m: m.SubsetRandomSampler([3, 5, 7]),
        lambda m: m.WeightedRandomSampler([0.0, 1.0, 1.0], 2, replacement=False),
    ]
    for make in makers:
        ours, expected = make(data), make(theirs)
        assert len(ours) == len(expected) == len(list(ours))
        if len(list(ours)) != 10:
            assert sorted(ours) == sorted(expected)
    assert [list(data.RandomSampler(range(4), num_samples=10))[i : i + 4].sort() for i in (0, 4)] == [None, None]
