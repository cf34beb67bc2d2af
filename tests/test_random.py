"""Random tensors with PyTorch's names: seeds, generators, ranges, distributions. The bits: test_random_streams.py."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import chainrule as cr


def value(t):
    return t.numpy(force=True)


DRAWS = {
    "rand": lambda **o: cr.rand(5, 3, **o),
    "randn": lambda **o: cr.randn(5, 3, **o),
    "randint": lambda **o: cr.randint(0, 1000, (5, 3), **o),
    "randperm": lambda **o: cr.randperm(50, **o),
    "bernoulli": lambda **o: cr.bernoulli(cr.full((40,), 0.5), **o),
    "normal": lambda **o: cr.normal(0.0, 1.0, (4,), **o),
    "uniform_": lambda **o: cr.zeros(5).uniform_(**o),
    "normal_": lambda **o: cr.zeros(5).normal_(**o),
    "bernoulli_": lambda **o: cr.zeros(50).bernoulli_(**o),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_the_same_seed_gives_the_same_numbers(draw):
    cr.manual_seed(7)
    a, b = value(draw()), value(draw())
    cr.manual_seed(7)
    np.testing.assert_array_equal(value(draw()), a)
    np.testing.assert_array_equal(value(draw()), b)
    assert (a != b).any()
    cr.manual_seed(8)
    assert (value(draw()) != a).any()


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_a_generator_of_its_own_leaves_the_default_one_alone(draw):
    cr.manual_seed(1)
    first, second = value(cr.rand(3)), value(cr.rand(3))
    cr.manual_seed(1)
    own = cr.Generator().manual_seed(5)
    np.testing.assert_array_equal(value(cr.rand(3)), first)
    a = value(draw(generator=own))
    np.testing.assert_array_equal(value(cr.rand(3)), second)
    np.testing.assert_array_equal(value(draw(generator=cr.Generator().manual_seed(5))), a)


@pytest.mark.parametrize("name", ["rand", "randn", "randint", "randperm"])
def test_every_device_gives_the_same_numbers(name):
    results = []
    for device in ("cpu", "guard"):
        cr.manual_seed(3)
        results.append(value(DRAWS[name](device=device)))
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_the_state_can_be_saved_and_set():
    cr.manual_seed(0)
    cr.rand(3)
    state = cr.get_rng_state()
    a = cr.rand(4)
    cr.set_rng_state(state)
    assert cr.equal(cr.rand(4), a)
    g = cr.Generator().manual_seed(2)
    cr.rand(1, generator=g)
    state = g.get_state()
    b = cr.randn(3, generator=g)
    other = cr.Generator()
    other.set_state(state)
    assert cr.equal(cr.randn(3, generator=other), b)
    for bad in (cr.zeros(3), np.zeros(2), cr.zeros(2)):
        with pytest.raises(ValueError, match="expected what get_state"):
            other.set_state(bad)


def test_seeds():
    assert cr.manual_seed(5).initial_seed() == 5
    assert cr.initial_seed() == 5
    a, b = cr.seed(), cr.seed()
    assert a != b
    assert cr.initial_seed() == b
    for seed in (-1, 2**64 - 1, 2**70):
        cr.manual_seed(seed)
        assert 0 <= cr.rand(1).item() < 1


def test_uniform_numbers():
    cr.manual_seed(0)
    for dtype in (cr.float32, cr.float64, cr.float16, cr.bfloat16):
        t = cr.rand(100_000, dtype=dtype)
        assert t.dtype == dtype
        a = value(t).astype(np.float64)
        assert (a >= 0).all()
        assert (a < 1).all()
        assert abs(a.mean() - 0.5) < 0.01
        assert abs(a.var() - 1 / 12) < 0.005
    a = value(cr.zeros(10_000).uniform_(-3, -1))
    assert ((a >= -3) & (a < -1)).all()


def test_normal_numbers():
    cr.manual_seed(0)
    for dtype in (cr.float32, cr.float64):
        a = value(cr.randn(200_000, dtype=dtype)).astype(np.float64)
        assert np.isfinite(a).all()
        assert abs(a.mean()) < 0.01
        assert abs(a.std() - 1) < 0.01
        assert abs((a**3).mean()) < 0.05
        assert abs((a**4).mean() - 3) < 0.1
    a = value(cr.zeros(100_000).normal_(5, 2))
    assert abs(a.mean() - 5) < 0.05
    assert abs(a.std() - 2) < 0.05
    mean = cr.tensor([0.0, 100.0])
    a = value(cr.normal(mean.expand(1000, 2), 0.1))
    np.testing.assert_allclose(a.mean(0), [0.0, 100.0], atol=0.05)


def test_integers():
    cr.manual_seed(0)
    t = cr.randint(-3, 4, (100_000,))
    assert t.dtype == cr.int64
    counts = np.bincount(value(t) + 3)
    assert len(counts) == 7
    assert abs(counts / 100_000 - 1 / 7).max() < 0.01
    assert set(value(cr.randint(2, (100,))).tolist()) == {0, 1}
    assert cr.randint(high=5, size=(2,)).shape == (2,)
    assert cr.randint(0, 5, (2,), dtype=cr.float32).dtype == cr.float32
    assert cr.randint(0, 200, (50,), dtype=cr.uint8).dtype == cr.uint8
    big = value(cr.randint(-(2**62), 2**62, (1000,)))
    assert big.min() < -(2**60)
    assert big.max() > 2**60


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutations(n):
    t = cr.randperm(n)
    assert t.dtype == cr.int64
    assert sorted(t.tolist()) == list(range(n))


def test_every_permutation_is_about_equally_likely():
    cr.manual_seed(0)
    counts = {}
    for _ in range(3000):
        key = tuple(cr.randperm(3).tolist())
        counts[key] = counts.get(key, 0) + 1
    assert len(counts) == 6
    assert max(counts.values()) - min(counts.values()) < 150


def test_bernoulli():
    cr.manual_seed(0)
    t = cr.bernoulli(cr.tensor([0.0, 1.0, 0.25]).expand(20_000, 3))
    np.testing.assert_allclose(value(t).mean(0), [0.0, 1.0, 0.25], atol=0.02)
    assert set(np.unique(value(t))) == {0.0, 1.0}


@pytest.mark.parametrize("name", ["rand_like", "randn_like"])
def test_like(name):
    x = cr.zeros(2, 3, dtype=cr.float64)
    t = getattr(cr, name)(x)
    assert (t.shape, t.dtype, t.device) == (x.shape, x.dtype, x.device)
    assert getattr(cr, name)(x, dtype=cr.float32).dtype == cr.float32
    assert cr.randint_like(cr.zeros(3, dtype=cr.int32), 5).dtype == cr.int32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.rand(2, dtype=cr.int64), "rand: expected a floating-point dtype, got chainrule.int64"),
        (lambda: cr.randn(2, dtype=cr.bool), "randn: expected a floating-point dtype"),
        (lambda: cr.randint(5, 5, (2,)), "low must be below high, got low=5, high=5"),
        (lambda: cr.randint(5), "randint: expected"),
        (lambda: cr.randperm(-1), "n must not be negative, got -1"),
        (lambda: cr.zeros(2).uniform_(1, 0), "expected a <= b, got a=1, b=0"),
        (lambda: cr.zeros(2).normal_(0, -1), "std must not be negative, got -1"),
        (lambda: cr.bernoulli(cr.tensor([1.5])), r"probabilities must be in \[0, 1\]"),
        (lambda: cr.normal(0.0, 1.0), "expected a size"),
        (lambda: cr.zeros(2, dtype=cr.int64).uniform_(), "expected a floating-point dtype"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises((RuntimeError, TypeError), match=message):
        call()


def test_in_place_draws_on_leaves_views_and_counters():
    w = cr.zeros(2, 3, requires_grad=True)
    with cr.no_grad():
        w[0].uniform_(1, 2)
    assert (value(w)[0] >= 1).all()
    assert (value(w)[1] == 0).all()
    y = (w * w).sum()
    with cr.no_grad():
        w.normal_()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        y.backward()


def test_random_leaves():
    w = cr.randn(2, 2, requires_grad=True)
    assert w.is_leaf
    w.sum().backward()
    assert w.grad is not None
    assert not cr.bernoulli(w.detach().sigmoid()).requires_grad


def test_threads_never_draw_the_same_numbers():
    cr.manual_seed(0)
    drawn = []

    def work():
        for _ in range(50):
            drawn.append(cr.rand(1).item())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(set(drawn)) == 200
