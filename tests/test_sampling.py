"""Distributions: that samples have them, are the same everywhere, and are recorded as PyTorch records them."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import distributions

stats = pytest.importorskip("scipy.stats")
special = pytest.importorskip("scipy.special")

#: the chance of a false alarm in the fixed seeds below was this, before they were fixed
RARE = 1e-3


def value(t):
    return t.numpy(force=True)


@pytest.fixture(autouse=True)
def seed():
    cr.manual_seed(1234)


CONTINUOUS = {
    "uniform_": (lambda t: t.uniform_(-1.0, 3.0), stats.uniform(-1, 4)),
    "normal_": (lambda t: t.normal_(1.0, 2.0), stats.norm(1, 2)),
    "log_normal_": (lambda t: t.log_normal_(0.5, 0.75), stats.lognorm(0.75, scale=math.exp(0.5))),
    "exponential_": (lambda t: t.exponential_(2.5), stats.expon(scale=1 / 2.5)),
    "cauchy_": (lambda t: t.cauchy_(-1.0, 0.5), stats.cauchy(-1, 0.5)),
    "normal": (lambda t: cr.normal(t + 3, cr.full_like(t, 0.5)), stats.norm(3, 0.5)),
}


@pytest.mark.parametrize("dtype", [cr.float32, cr.float64])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous_distributions(name, dtype):
    draw, expected = CONTINUOUS[name]
    sample = draw(cr.zeros(20_000, dtype=dtype))
    assert sample.dtype == dtype
    assert stats.kstest(value(sample).astype(np.float64), expected.cdf).pvalue > RARE


@pytest.mark.parametrize("dtype", [cr.complex64, cr.complex128])
def test_complex_numbers(dtype):
    for draw, expected in ((cr.randn, stats.norm(0, math.sqrt(0.5))), (cr.rand, stats.uniform())):
        t = draw(100, 100, dtype=dtype)
        assert (t.shape, t.dtype) == ((100, 100), dtype)
        sample = value(t).reshape(-1)
        assert abs(np.corrcoef(sample.real, sample.imag)[0, 1]) < 0.04
        for part in (sample.real, sample.imag):
            assert stats.kstest(part.astype(np.float64), expected.cdf).pvalue > RARE
    assert cr.randn_like(t).dtype == dtype
    assert cr.randn(dtype=dtype).shape == ()


def check_counts(sample, expected):
    """A chi-squared test on the values that are expected at least five times; the others are put together."""
    n = len(sample)
    low, high = int(expected.ppf(1e-9)), int(expected.ppf(1 - 1e-9))
    support = np.arange(low, high + 1)
    wanted = expected.pmf(support) * n
    seen = np.array([(sample == k).sum() for k in support], dtype=float)
    often = wanted >= 5
    rest = n - wanted[often].sum()
    wanted, seen = wanted[often], seen[often]
    if rest > 1:
        wanted, seen = np.append(wanted, rest), np.append(seen, n - seen.sum())
    if len(wanted) > 1:
        assert stats.chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue > RARE
    assert ((sample >= expected.support()[0]) & (sample <= expected.support()[1])).all()


@pytest.mark.parametrize("rate", [1e-3, 0.3, 4.0, 37.5, 2000.0, 1e6])
def test_poisson_numbers(rate):
    sample = value(cr.poisson(cr.full((20_000,), rate, dtype=cr.float64)))
    assert abs(sample.mean() - rate) < 5 * math.sqrt(rate / 20_000)
    if rate < 1e5:
        check_counts(sample, stats.poisson(rate))
    else:
        assert stats.kstest(sample, lambda x: stats.norm.cdf((x + 0.5 - rate) / math.sqrt(rate))).pvalue > RARE


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (10, 0.02), (10, 0.5), (300, 0.97), (5000, 0.4), (10**6, 1e-6)])
def test_binomial_numbers(n, p):
    count = cr.full((20_000,), float(n), dtype=cr.float64)
    check_counts(value(cr.binomial(count, cr.full_like(count, p))), stats.binom(n, p))


def test_geometric_numbers():
    check_counts(value(cr.zeros(20_000).geometric_(0.15)), stats.geom(0.15))
    assert cr.zeros(5, dtype=cr.int64).geometric_(0.5).min().item() >= 1


def test_parameters_that_leave_no_choice():
    assert cr.poisson(cr.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert cr.binomial(cr.tensor([0.0, 7.0, 7.0]), cr.tensor([0.5, 0.0, 1.0])).tolist() == [0.0, 0.0, 7.0]
    assert cr.zeros(3).bernoulli_(cr.tensor([0.0, 1.0, 1.0])).tolist() == [0.0, 1.0, 1.0]
    assert cr.multinomial(cr.tensor([0.0, 0.0, 3.0, 0.0]), 5, True).tolist() == [2] * 5
    for draw in (lambda t: cr.poisson(t), lambda t: cr.binomial(t, t), lambda t: t.exponential_()):
        assert draw(cr.zeros(0, 2)).shape == (0, 2)


def test_rates_and_counts_of_many_sizes_at_once():
    rates = cr.tensor([0.0, 0.1, 5.0, 300.0, 1e5], dtype=cr.float64).expand(4000, 5)
    sample = value(cr.poisson(rates))
    np.testing.assert_allclose(sample.mean(0), [0, 0.1, 5, 300, 1e5], rtol=0.1)
    counts = cr.tensor([[3.0], [1000.0]]).expand(2, 4000)
    found = value(cr.binomial(counts, cr.tensor([[0.5], [0.1]])))
    np.testing.assert_allclose(found.mean(1), [1.5, 100], rtol=0.05)


# ---- categories -----------------------------------------------------------------------------------------------------


def test_categories_with_replacement():
    weights = np.array([[1.0, 0.0, 3.0, 6.0], [2.0, 2.0, 0.0, 0.0]])
    drawn = value(cr.multinomial(cr.tensor(weights), 20_000, replacement=True))
    assert drawn.shape == (2, 20_000)
    assert drawn.dtype == np.int64
    for row, w in zip(drawn, weights, strict=True):
        seen = np.bincount(row, minlength=4)
        assert (seen[w == 0] == 0).all()
        assert stats.chisquare(seen[w > 0], w[w > 0] / w.sum() * 20_000).pvalue > RARE


def test_categories_without_replacement_are_drawn_one_after_the_other():
    weights = np.array([1.0, 2.0, 5.0])
    drawn = value(cr.multinomial(cr.tensor(weights).expand(20_000, 3), 2))
    assert (drawn[:, 0] != drawn[:, 1]).all()
    seen, wanted = [], []
    for i in range(3):
        for j in range(3):
            if i != j:
                seen.append(((drawn[:, 0] == i) & (drawn[:, 1] == j)).sum())
                wanted.append(weights[i] / 8 * weights[j] / (8 - weights[i]) * 20_000)
    assert stats.chisquare(seen, wanted).pvalue > RARE
    assert sorted(cr.multinomial(cr.ones(6), 6).tolist()) == list(range(6))
    assert cr.multinomial(cr.tensor([0.0, 1.0, 0.0, 1.0]), 2).sort().values.tolist() == [1, 3]


# ---- integers -------------------------------------------------------------------------------------------------------


def test_random_integers_in_place():
    assert set(cr.zeros(200).random_(3, 6).tolist()) == {3.0, 4.0, 5.0}
    assert set(cr.zeros(200, dtype=cr.int8).random_(2).tolist()) == {0, 1}
    assert set(cr.zeros(50, dtype=cr.bool).random_().tolist()) == {False, True}
    assert cr.zeros(500, dtype=cr.uint8).random_().max().item() > 240
    assert cr.zeros(500, dtype=cr.int64).random_().min().item() >= 0
    x = cr.zeros(500, dtype=cr.float16).random_()
    assert x.max().item() > 1900
    assert bool((x == x.long()).all())
    assert cr.zeros(9).random_(**{"from": -2, "to": -1}).tolist() == [-2.0] * 9


# ---- the same everywhere --------------------------------------------------------------------------------------------

DRAWS = {
    "poisson": lambda d: cr.poisson(cr.full((300,), 6.5, device=d)),
    "binomial": lambda d: cr.binomial(cr.full((300,), 30.0, device=d), cr.full((300,), 0.3, device=d)),
    "multinomial": lambda d: cr.multinomial(cr.arange(20.0, device=d), 9),
    "multinomial again": lambda d: cr.multinomial(cr.arange(20.0, device=d), 90, True),
    "geometric_": lambda d: cr.zeros(100, device=d).geometric_(0.2),
    "exponential_": lambda d: cr.zeros(100, device=d).exponential_(),
    "cauchy_": lambda d: cr.zeros(100, device=d).cauchy_(),
    "log_normal_": lambda d: cr.zeros(100, device=d).log_normal_(),
    "random_": lambda d: cr.zeros(100, device=d).random_(1000),
    "bernoulli_": lambda d: cr.zeros(100, device=d).bernoulli_(cr.full((100,), 0.3, device=d)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_seeds_and_devices(draw):
    results = []
    for device in ("cpu", "guard", "cpu"):
        cr.manual_seed(3)
        results.append(value(draw(device)))
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
    assert (value(draw("cpu")) != results[0]).any()


def test_a_generator_of_its_own():
    for draw in (
        lambda g: cr.poisson(cr.ones(50), generator=g),
        lambda g: cr.binomial(cr.full((50,), 9.0), cr.full((50,), 0.5), generator=g),
        lambda g: cr.multinomial(cr.ones(50), 9, generator=g),
        lambda g: cr.zeros(50).exponential_(generator=g),
        lambda g: cr.zeros(50).random_(100, generator=g),
    ):
        a, b = (draw(cr.Generator().manual_seed(5)) for _ in range(2))
        assert cr.equal(a, b)
        assert not cr.equal(a, draw(None))


# ---- gradients ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "draw",
    [
        lambda p: cr.bernoulli(p),
        lambda p: cr.poisson(p),
        lambda p: cr.binomial(cr.full_like(p, 5.0), p),
        lambda p: cr.normal(p, 1.0),
        lambda p: cr.normal(p, p),
        lambda p: cr.normal(0.0, p),
    ],
)
def test_a_sample_gives_its_parameters_a_gradient_of_zero(draw):
    p = cr.full((3,), 0.5, requires_grad=True)
    sample = draw(p)
    assert sample.requires_grad
    (sample * 3).sum().backward()
    assert p.grad.tolist() == [0.0, 0.0, 0.0]
    assert not draw(p.detach()).requires_grad


IN_PLACE = {
    name: (lambda t, name=name, args=args: getattr(t, name)(*args))
    for name, args in {
        "uniform_": (), "normal_": (), "log_normal_": (), "exponential_": (), "cauchy_": (), "geometric_": (0.5,),
        "bernoulli_": (0.5,), "random_": (5,),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_what_was_there_before_an_in_place_draw_gets_no_gradient(name):
    x = cr.ones(4, requires_grad=True)
    y = x * 2
    assert IN_PLACE[name](y) is y
    y.sum().backward()
    assert x.grad.tolist() == [0.0] * 4
    with pytest.raises(RuntimeError, match=f"{name}: a leaf tensor that requires grad cannot be changed in place"):
        IN_PLACE[name](x)
    with cr.no_grad():
        IN_PLACE[name](x)
    saved = cr.ones(4)
    loss = (x.detach().requires_grad_() * saved).sum()
    IN_PLACE[name](saved)
    with pytest.raises(RuntimeError, match="changed"):
        loss.backward()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cr.poisson(cr.tensor([-1.0])), "poisson: the rates must be finite and not negative"),
        (lambda: cr.poisson(cr.tensor([math.nan])), "poisson: the rates must be finite"),
        (lambda: cr.poisson(cr.tensor([1])), "'input' must be a floating-point tensor, got chainrule.int64"),
        (lambda: cr.binomial(cr.tensor([-1.0]), cr.tensor([0.5])), "binomial: the counts must be finite"),
        (lambda: cr.binomial(cr.tensor([1.0]), cr.tensor([1.5])), r"binomial: the probabilities must be in \[0, 1\]"),
        (lambda: cr.binomial(cr.tensor([1.0]), cr.tensor([0.5]).double()), "binomial: expected one dtype"),
        (lambda: cr.multinomial(cr.zeros(3), 1), "multinomial: the weights of a row must not all be 0"),
        (lambda: cr.multinomial(cr.tensor([1.0, -1.0]), 1), "multinomial: the weights must be finite and not negative"),
        (lambda: cr.multinomial(cr.ones(2), 3), "3 draws without replacement need as many categories"),
        (lambda: cr.multinomial(cr.tensor([1.0, 0.0]), 2), "need as many positive weights in every row"),
        (lambda: cr.multinomial(cr.ones(2), 0), "multinomial: num_samples must be positive, got 0"),
        (lambda: cr.multinomial(cr.ones(2, 2, 2), 1), "multinomial: expected a 1-d or 2-d tensor of weights"),
        (lambda: cr.normal(cr.zeros(2), cr.tensor([1.0, -1.0])), "normal: std must not be negative"),
        (lambda: cr.normal(0.0, -1.0, (2,)), "normal: std must not be negative, got -1.0"),
        (lambda: cr.bernoulli(cr.tensor([0.5]), 2.0), r"bernoulli: probabilities must be in \[0, 1\], got 2.0"),
        (lambda: cr.ones(2).exponential_(0.0), "exponential_: lambd must be positive, got 0.0"),
        (lambda: cr.ones(2).cauchy_(0.0, 0.0), "cauchy_: sigma must be positive, got 0.0"),
        (lambda: cr.ones(2).geometric_(1.0), r"geometric_: p must be in \(0, 1\), got 1.0"),
        (lambda: cr.ones(2).log_normal_(0.0, 0.0), "log_normal_: std must be positive, got 0.0"),
        (lambda: cr.ones(2).random_(0), "random_: from must be below to, got from=0, to=0"),
        (lambda: cr.ones(2, dtype=cr.int8).random_(300), r"random_: \[0, 300\) does not fit into chainrule.int8"),
        (lambda: cr.ones(2).bernoulli_(1.5), r"bernoulli_: probabilities must be in \[0, 1\]"),
    ],
)
def test_bad_parameters_are_refused(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_like_functions_take_all_of_pytorchs_keywords():
    x = cr.zeros(2, 3)
    for make in (
        lambda **o: cr.rand_like(x, **o),
        lambda **o: cr.randn_like(x, **o),
        lambda **o: cr.randint_like(x, 2, 9, **o),
        lambda **o: cr.randint_like(x, low=2, high=9, **o),
    ):
        g = cr.Generator().manual_seed(1)
        t = make(dtype=cr.float64, device="cpu", requires_grad=True, generator=g, layout=None, memory_format=None)
        assert (t.shape, t.dtype, t.requires_grad) == ((2, 3), cr.float64, True)
        same = make(dtype=cr.float64, device="cpu", generator=cr.Generator().manual_seed(1), pin_memory=False)
        assert cr.equal(t.detach(), same)
    assert cr.randperm(4, dtype=cr.float32, requires_grad=True).requires_grad


def test_counts_are_the_least_that_the_distribution_function_reaches():
    """Rates over the whole range, in one draw: each element by itself, whatever its neighbours are."""
    rng = np.random.default_rng(0)
    rates = np.concatenate([10 ** rng.uniform(-5, 6, 400), [0.0, 1e-300, 1e17, 1e300]])
    n = np.floor(10 ** rng.uniform(0, 5, 400))
    p = rng.random(400)
    backend = cr.device("cpu").backend
    u = distributions.open_uniform(backend, 3, 5, rates.shape)
    found = distributions.poisson(backend, 3, 5, rates)
    for k, rate, at in list(zip(found, rates, u, strict=True))[:401]:
        assert stats.poisson.cdf(k, rate) >= at - 1e-12 and stats.poisson.cdf(k - 1, rate) < at + 1e-12
    np.testing.assert_allclose(found[-2:], rates[-2:], rtol=1e-6)
    u, found = u[:400], distributions.binomial(backend, 3, 5, n, p)
    u = distributions.open_uniform(backend, 3, 5, n.shape)
    assert (stats.binom.cdf(found, n, p) >= u - 1e-12).all() and (stats.binom.cdf(found - 1, n, p) < u + 1e-12).all()
    one_by_one = [distributions.poisson(backend, 3, 5, np.full(rates.shape, r))[i] for i, r in enumerate(rates[:40])]
    np.testing.assert_array_equal(distributions.poisson(backend, 3, 5, rates)[:40], one_by_one)


def test_special_functions_in_parts():
    """Long arrays are shared by the threads, to the same bits."""
    rng = np.random.default_rng(1)
    x = rng.random((3, 20_011)) * 4
    for function, arrays in (("igammac", (x, x[::-1].copy())), ("airy_functions", (x,)), ("ndtri", (x / 4,))):
        got = getattr(cr.device("cpu").xp, function)(*arrays)
        wanted = getattr(special, {"igammac": "gammaincc", "airy_functions": "airy"}.get(function, function))(*arrays)
        if not isinstance(wanted, tuple):
            got, wanted = [got], [wanted]
        for a, b in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(a, b)
