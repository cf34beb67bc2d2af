"""Data sets, samplers and the loader."""

from __future__ import annotations

from collections import defaultdict, deque, namedtuple

import numpy as np
import pytest

import chainrule as cr
from chainrule.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
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


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Counted(Stream):
    """Claims fewer samples than it gives."""

    def __len__(self):
        return self.n - 1


class Together(Squares):
    """Remembers how it was asked."""

    def __getitems__(self, indices):
        self.asked = list(indices)
        return [self[i] for i in indices]


class Forgetful(Squares):
    def __init__(self):
        super().__init__(3)

    def __getitems__(self, indices):
        return [self[i] for i in indices[1:]]


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
    slow = list(DataLoader(data, batch_size=2, collate_fn=lambda samples: default_collate(samples)))
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
    assert samples == [[0.0, 0], [1.0, 1], [2.0, 4]]  # a list, as in PyTorch
    assert list(DataLoader([1, 2, 3], batch_size=2, collate_fn=sum)) == [3, 3]


def test_collate():
    Point = namedtuple("Point", "x y")
    batch = default_collate([{"a": 1, "b": [0.5, "s"]}, {"a": 2, "b": [1.5, "t"]}])
    assert batch["a"].tolist() == [1, 2] and batch["a"].dtype == cr.int64
    assert batch["b"][0].dtype == cr.float64 and batch["b"][1] == ("s", "t")
    points = default_collate([Point(np.zeros(2, "float32"), True), Point(np.ones(2, "float32"), False)])
    assert isinstance(points, Point) and points.x.tolist() == [[0, 0], [1, 1]] and points.x.dtype == cr.float32
    assert points.y.dtype == cr.bool
    assert default_collate([np.float32(1), np.float32(2)]).dtype == cr.float32
    assert default_collate([b"x", b"y"]) == [b"x", b"y"]
    assert default_collate([cr.ones(2), cr.zeros(2)]).shape == (2, 2)


def test_convert():
    Point = namedtuple("Point", "x y")
    converted = default_convert({"a": np.ones(2, "float32"), "b": ["s", Point(np.int64(3), 4)], "c": (np.array("x"),)})
    assert converted["a"].dtype == cr.float32 and converted["b"][0] == "s" and converted["c"] == [np.array("x")]
    assert isinstance(converted["b"][1], Point) and converted["b"][1].x.item() == 3 and converted["b"][1].y == 4


def test_collate_keeps_the_kind_of_containers():
    batch = default_collate([defaultdict(list, a=1), defaultdict(list, a=2)])
    assert type(batch) is defaultdict and batch["missing"] == [] and batch["a"].tolist() == [1, 2]
    assert type(default_collate([deque([1]), deque([2])])) is deque


def test_streams():
    loader = DataLoader(Stream(5), batch_size=2)
    assert [b.tolist() for b in loader] == [[0, 1], [2, 3], [4]] == [b.tolist() for b in loader]
    assert [b.tolist() for b in DataLoader(Stream(5), batch_size=2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    both = Stream(2) + Counted(2)
    assert isinstance(both, ChainDataset) and list(both) == [0, 1, 0, 1]
    assert len(ChainDataset([Counted(3), Counted(2)])) == 3


def test_a_stream_that_is_longer_than_it_says():
    loader = DataLoader(Counted(3), batch_size=1)
    assert sum(1 for _ in loader) == 3  # nobody has asked for the length
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="Counted said by its length that there are 2 batches, but gives batch 3"):
        list(loader)


def test_samples_asked_for_together():
    data = Together(9)
    assert seen(DataLoader(Subset(data, [4, 2, 0]), batch_size=2)) == [[16, 4], [0]] and data.asked == [0]
    stacked = StackDataset(data, cr.arange(9))
    assert len(stacked) == 9 and stacked[-9 + 3 + 6][1].item() == 0
    ((squares, numbers),) = DataLoader(stacked, sampler=[8, 1], batch_size=2)
    assert squares[1].tolist() == [64, 1] and numbers.tolist() == [8, 1] and data.asked == [8, 1]
    named = StackDataset(square=data, letter="abcdefghi")
    (batch,) = DataLoader(named, sampler=[2, 0], batch_size=2)
    assert batch["square"][1].tolist() == [4, 0] and batch["letter"] == ["c", "a"]


def test_weighted_sampler():
    drawn = list(WeightedRandomSampler([0.0, 1.0, 3.0], 4000, generator=generator()))
    assert set(drawn) == {1, 2} and 0.72 < drawn.count(2) / 4000 < 0.78
    again = WeightedRandomSampler(cr.tensor([0.0, 1.0, 3.0]), 4000, generator=generator())
    assert list(again) == drawn and len(again) == 4000
    assert sorted(WeightedRandomSampler([0.1, 1.0, 3.0], 3, replacement=False)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: TensorDataset(), ValueError, "at least one tensor"),
        (lambda: TensorDataset([1]), TypeError, r"tensors\[0\] must be a Tensor, got list"),
        (lambda: TensorDataset(cr.tensor(1)), ValueError, "0-d"),
        (lambda: TensorDataset(cr.ones(2), cr.ones(3, 1)), ValueError, r"got shapes \(2,\), \(3, 1\)"),
        (lambda: DataLoader(numbered(3), num_workers=1.5), TypeError, "must be an integer, got 1.5"),
        (lambda: DataLoader(numbered(3), timeout=-1), ValueError, "timeout must not be negative"),
        (lambda: DataLoader(numbered(3), prefetch_factor=2), ValueError, "prefetch_factor is for workers"),
        (lambda: DataLoader(numbered(3), persistent_workers=True), ValueError, "persistent_workers is for workers"),
        (lambda: DataLoader(numbered(3), num_workers=1, prefetch_factor=0), ValueError, "prefetch_factor must be a"),
        (lambda: DataLoader(numbered(3), multiprocessing_context="spawn"), ValueError, "num_workers is 0"),
        (lambda: DataLoader(numbered(3), num_workers=1, multiprocessing_context="fork"), ValueError, "not safe"),
        (lambda: DataLoader(numbered(3), num_workers=1, multiprocessing_context="spoon"), ValueError, "got 'spoon'"),
        (lambda: DataLoader(numbered(3), num_workers=1, multiprocessing_context=3), TypeError, "got int"),
        (lambda: setattr(DataLoader(numbered(3)), "batch_size", 2), ValueError, "batch_size cannot be changed"),
        (lambda: DataLoader(Stream(3), shuffle=True), ValueError, "decides its order itself"),
        (lambda: DataLoader(Stream(3), sampler=[1]), ValueError, "decides its order itself"),
        (lambda: len(DataLoader(Stream(3))), TypeError, "must define __len__"),
        (lambda: ConcatDataset([Stream(3)]), TypeError, "use ChainDataset"),
        (lambda: list(ChainDataset([numbered(3)])), TypeError, "got TensorDataset"),
        (lambda: next(iter(IterableDataset())), NotImplementedError, "does not define __iter__"),
        (lambda: StackDataset(), ValueError, "got none"),
        (lambda: StackDataset("a", b="b"), ValueError, "got both"),
        (lambda: StackDataset("ab", "c"), ValueError, r"of one length, got \[2, 1\]"),
        (lambda: StackDataset(Forgetful()).__getitems__([0, 1]), ValueError, "got 1"),
        (lambda: BatchSampler([1], 1, drop_last=1), ValueError, "drop_last must be a bool"),
        (lambda: RandomSampler("ab", replacement=1), TypeError, "replacement must be a bool"),
        (lambda: WeightedRandomSampler([1.0], 0), ValueError, "num_samples must be a positive"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, r"got shape \(1, 1\)"),
        (lambda: WeightedRandomSampler([1.0], 1, replacement=0), ValueError, "replacement must be a bool"),
        (lambda: default_collate([np.ones(2), np.ones(3)]), RuntimeError, "arrays of a batch must have the same shape"),
        (lambda: default_collate([np.array("a")]), TypeError, "dtype <U1"),
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
        (lambda: DataLoader([], shuffle=True), ValueError, "the data set is empty"),
        (lambda: default_collate([cr.ones(2), cr.ones(3)]), RuntimeError, r"same shape, got \[\(2,\), \(3,\)\]"),
        (lambda: default_collate([(1, 2), (1,)]), RuntimeError, r"same number of parts, got \[1, 2\]"),
        (lambda: default_collate([object()]), TypeError, "got object"),
        (lambda: Dataset()[0], NotImplementedError, "Dataset does not define __getitem__"),
    ],
)
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_the_benchmark_runs(capsys):
    from chainrule.benchmarks import data as benchmark

    assert benchmark.main(["--quick", "--workers", "0", "--batch", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:4]] == ["TensorDataset", "vision.datasets.MNIST"]
