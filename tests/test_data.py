"""Data sets, samplers and the loader."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
    random_split,
)


def generator(seed=0):
    return cr.Generator().manual_seed(seed)


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return float(i), i * i


def numbered(n):
    return TensorDataset(cr.arange(n * 2).reshape(n, 2).float(), cr.arange(n))


def seen(loader):
    return [batch[1].tolist() for batch in loader]


def test_tensor_dataset():
    data = numbered(5)
    assert len(data) == 5
    x, y = data[-1]
    assert x.tolist() == [8.0, 9.0] and y.item() == 4
    assert data[1:3][1].tolist() == [1, 2]


def test_subset_and_concat():
    data = Subset(numbered(10), [7, 2, 5])
    assert len(data) == 3 and data[1][1].item() == 2
    both = numbered(3) + data
    assert isinstance(both, ConcatDataset) and len(both) == 6
    assert [both[i][1].item() for i in range(-6, 6)] == [0, 1, 2, 7, 2, 5] * 2
    with pytest.raises(IndexError, match="index 6 is out of range for 6 samples"):
        both[6]


def test_random_split():
    parts = random_split(range(10), [5, 3, 2], generator=generator())
    assert [len(p) for p in parts] == [5, 3, 2]
    assert sorted(v for p in parts for v in p) == list(range(10))
    again = random_split(range(10), [5, 3, 2], generator=generator())
    assert [p.indices for p in again] == [p.indices for p in parts]
    assert [len(p) for p in random_split(range(10), [1 / 3, 1 / 3, 1 / 3], generator=generator())] == [4, 3, 3]
    assert [len(p) for p in random_split(range(1), [1])] == [1]


@pytest.mark.parametrize(
    ("n", "size", "drop_last"), [(7, 3, False), (7, 3, True), (6, 3, False), (2, 5, True), (0, 4, False)]
)
@pytest.mark.parametrize("make", [numbered, Squares, lambda n: Subset(numbered(n + 5), range(5, n + 5))])
def test_order_and_length(make, n, size, drop_last):
    loader = DataLoader(make(n), batch_size=size, drop_last=drop_last)
    batches = seen(loader)
    stop = n - n % size if drop_last else n
    first = [int(make(n)[i][1]) for i in range(stop)]
    assert batches == [first[i : i + size] for i in range(0, stop, size)]
    assert len(loader) == len(batches)


@pytest.mark.parametrize("make", [numbered, Squares, lambda n: Subset(numbered(n), range(n))])
def test_shuffle(make):
    def epochs(seed):
        loader = DataLoader(make(20), batch_size=6, shuffle=True, generator=generator(seed))
        return [seen(loader), seen(loader)]

    first, second = epochs(1)
    flat = [sorted(i for batch in epoch for i in batch) for epoch in (first, second)]
    assert flat == [sorted(int(make(20)[i][1]) for i in range(20))] * 2
    assert first != second and epochs(1) == [first, second] and epochs(2) != [first, second]
    assert [len(b) for b in first] == [6, 6, 6, 2]


def test_default_generator_is_seeded():
    cr.manual_seed(3)
    first = seen(DataLoader(numbered(10), shuffle=True))
    cr.manual_seed(3)
    assert seen(DataLoader(numbered(10), shuffle=True)) == first


def test_fast_path_equals_samples():
    x = cr.randn(11, 2, 3)
    data = Subset(Subset(TensorDataset(x, cr.arange(11)), [9, 1, 5, 7]), [-1, 0, 2])
    fast = list(DataLoader(data, batch_size=2))
    slow = list(DataLoader(data, batch_size=2, collate_fn=default_collate))
    for a, b in zip(fast, slow, strict=True):
        assert type(a) is type(b) is list
        for s, t in zip(a, b, strict=True):
            np.testing.assert_array_equal(s.numpy(force=True), t.numpy(force=True))
            assert s.dtype == t.dtype and str(s.device) == str(t.device)


def test_batches_have_their_own_memory():
    data = numbered(4)
    for x, _ in DataLoader(data, batch_size=4):
        x.zero_()
    assert data.tensors[0].sum().item() == 28.0


def test_subclasses_decide_what_a_sample_is():
    class Doubled(TensorDataset):
        def __getitem__(self, i):
            return tuple(2 * t for t in super().__getitem__(i))

    assert seen(DataLoader(Doubled(cr.zeros(3), cr.arange(3)), batch_size=3)) == [[0, 2, 4]]


def test_gradients_pass_through():
    w = cr.ones(4, requires_grad=True)
    for (batch,) in DataLoader(TensorDataset(w * 2), batch_size=2):
        batch.sum().backward(retain_graph=True)
    assert w.grad.tolist() == [2.0] * 4


def test_samplers():
    assert list(SequentialSampler(range(3))) == [0, 1, 2] and len(SequentialSampler(range(3))) == 3
    many = RandomSampler(range(3), num_samples=7, generator=generator())
    drawn = list(many)
    assert len(many) == len(drawn) == 7 and sorted(drawn[:3]) == [0, 1, 2] == sorted(drawn[3:6])
    replaced = list(RandomSampler(range(3), replacement=True, num_samples=50, generator=generator()))
    assert set(replaced) == {0, 1, 2} and len(replaced) == 50
    assert sorted(SubsetRandomSampler([4, 2, 9])) == [2, 4, 9]
    batches = BatchSampler(SequentialSampler(range(5)), 2, drop_last=True)
    assert list(batches) == [[0, 1], [2, 3]] and len(batches) == 2


def test_loader_with_samplers():
    assert seen(DataLoader(numbered(5), batch_size=2, sampler=[4, 0, -2])) == [[4, 0], [3]]
    loader = DataLoader(numbered(5), batch_sampler=[[0, 1], [4]])
    assert seen(loader) == [[0, 1], [4]] and len(loader) == 2
    samples = list(DataLoader(Squares(3), batch_size=None))
    assert samples == [(0.0, 0), (1.0, 1), (2.0, 4)]
    assert list(DataLoader([1, 2, 3], batch_size=2, collate_fn=sum)) == [3, 3]


def test_collate():
    Point = namedtuple("Point", "x y")
    batch = default_collate([{"a": 1, "b": [0.5, "s"]}, {"a": 2, "b": [1.5, "t"]}])
    assert batch["a"].tolist() == [1, 2] and batch["a"].dtype == cr.int64
    assert batch["b"][0].dtype == cr.float64 and batch["b"][1] == ["s", "t"]
    points = default_collate([Point(np.zeros(2, "float32"), True), Point(np.ones(2, "float32"), False)])
    assert isinstance(points, Point) and points.x.tolist() == [[0, 0], [1, 1]] and points.x.dtype == cr.float32
    assert points.y.dtype == cr.bool
    assert default_collate([np.float32(1), np.float32(2)]).dtype == cr.float32
    assert default_collate([b"x", b"y"]) == [b"x", b"y"]
    assert default_collate([cr.ones(2), cr.zeros(2)]).shape == (2, 2)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: TensorDataset(), ValueError, "at least one tensor"),
        (lambda: TensorDataset([1]), TypeError, r"tensors\[0\] must be a Tensor, got list"),
        (lambda: TensorDataset(cr.tensor(1)), ValueError, "0-d"),
        (lambda: TensorDataset(cr.ones(2), cr.ones(3, 1)), ValueError, r"got shapes \(2,\), \(3, 1\)"),
        (lambda: DataLoader(numbered(3), num_workers=2), ValueError, "not supported yet, got num_workers=2"),
        (lambda: DataLoader(numbered(3), num_workers=-1), ValueError, "must not be negative"),
        (lambda: DataLoader(numbered(3), batch_size=0), ValueError, "batch_size must be a positive integer, got 0"),
        (lambda: DataLoader(numbered(3), batch_size=1.5), ValueError, "positive integer, got 1.5"),
        (lambda: DataLoader(numbered(3), shuffle=True, sampler=[0]), ValueError, "exclude each other"),
        (lambda: DataLoader(numbered(3), batch_size=2, batch_sampler=[[0]]), ValueError, "batch_sampler decides"),
        (lambda: DataLoader(numbered(3), batch_size=None, drop_last=True), ValueError, "no last one"),
        (lambda: DataLoader(5), TypeError, "got int"),
        (lambda: DataLoader(iter([])), TypeError, "got list_iterator"),
        (
            lambda: list(DataLoader(numbered(3), sampler=[3])),
            IndexError,
            "sample 3 is out of range for a data set of 3",
        ),
        (lambda: random_split(range(5), [2, 2]), ValueError, "must add up to the 5 samples"),
        (lambda: random_split(range(5), [6, -1]), ValueError, "must not be negative"),
        (lambda: RandomSampler(range(3), num_samples=0), ValueError, "num_samples"),
        (lambda: default_collate([cr.ones(2), cr.ones(3)]), RuntimeError, r"same shape, got \[\(2,\), \(3,\)\]"),
        (lambda: default_collate([(1, 2), (1,)]), RuntimeError, r"same number of parts, got \[1, 2\]"),
        (lambda: default_collate([object()]), TypeError, "got object"),
        (lambda: Dataset()[0], NotImplementedError, "Dataset does not define __getitem__"),
    ],
)
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()
