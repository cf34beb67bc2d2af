"""Distributions: samples and their gradients, divergences, and what PyTorch is not asked about."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

import chainrule as cr
from chainrule import distributions as d
from chainrule.autograd.op import traced


def host(t):
    return t.numpy(force=True)


def t64(values, **options):
    return cr.tensor(values, dtype=cr.float64, **options)


#: name -> parameters and SciPy's distribution of the same
CONTINUOUS = {
    "Normal": ({"loc": 0.5, "scale": 2.0}, stats.norm(0.5, 2)),
    "LogNormal": ({"loc": 0.2, "scale": 0.5}, stats.lognorm(0.5, scale=math.exp(0.2))),
    "HalfNormal": ({"scale": 2.0}, stats.halfnorm(scale=2)),
    "Uniform": ({"low": -1.0, "high": 3.0}, stats.uniform(-1, 4)),
    "Exponential": ({"rate": 2.0}, stats.expon(scale=0.5)),
    "Laplace": ({"loc": 1.0, "scale": 2.0}, stats.laplace(1, 2)),
    "Cauchy": ({"loc": 1.0, "scale": 2.0}, stats.cauchy(1, 2)),
    "HalfCauchy": ({"scale": 2.0}, stats.halfcauchy(scale=2)),
    "Gumbel": ({"loc": 1.0, "scale": 2.0}, stats.gumbel_r(1, 2)),
    "StudentT": ({"df": 3.0, "loc": 1.0, "scale": 2.0}, stats.t(3, 1, 2)),
    "Gamma": ({"concentration": 0.3, "rate": 2.0}, stats.gamma(0.3, scale=0.5)),
    "Chi2": ({"df": 5.0}, stats.chi2(5)),
    "Beta": ({"concentration1": 0.6, "concentration0": 2.0}, stats.beta(0.6, 2)),
}
DISCRETE = {
    "Bernoulli": ({"probs": 0.3}, stats.bernoulli(0.3)),
    "Binomial": ({"total_count": 6, "probs": 0.3}, stats.binom(6, 0.3)),
    "Poisson": ({"rate": 2.5}, stats.poisson(2.5)),
    "Geometric": ({"probs": 0.3}, stats.geom(0.3, loc=-1)),
}


def parameters(arguments, **options):
    return {k: v if k == "total_count" else t64(v, **options) for k, v in arguments.items()}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_follow_the_distribution(name):
    arguments, theirs = CONTINUOUS[name]
    cr.manual_seed(1)
    samples = host(getattr(d, name)(**parameters(arguments)).sample((4000,)))
    assert samples.dtype == np.float64
    assert stats.kstest(samples, theirs.cdf).pvalue > 0.01
    # the test does see a wrong parameter
    assert stats.kstest(samples * 1.15 + 0.15, theirs.cdf).pvalue < 0.01


@pytest.mark.parametrize("name", DISCRETE)
def test_counts_follow_the_distribution(name):
    arguments, theirs = DISCRETE[name]
    cr.manual_seed(1)
    samples = host(getattr(d, name)(**parameters(arguments)).sample((4000,)))
    values = np.arange(0, 8)
    seen = np.array([(samples == v).sum() for v in values])
    expected = 4000 * theirs.pmf(values)
    error = np.abs(seen - expected) / np.sqrt(expected + 1e-9)
    assert error[expected > 5].max() < 4 and samples.min() >= 0
    assert seen[expected == 0].sum() == 0


@pytest.mark.parametrize("name", [*CONTINUOUS, *DISCRETE])
def test_values_against_scipy(name):
    arguments, theirs = {**CONTINUOUS, **DISCRETE}[name]
    ours = getattr(d, name)(**parameters(arguments), validate_args=False)
    x = np.array([0.0, 1.0, 1.0]) if name in DISCRETE else np.array([0.05, 0.4, 0.95])
    density = theirs.logpmf if name in DISCRETE else theirs.logpdf
    np.testing.assert_allclose(host(ours.log_prob(t64(x))), density(x), rtol=1e-9)
    mean, variance = theirs.stats("mv")
    if name not in ("Cauchy", "HalfCauchy"):
        np.testing.assert_allclose([ours.mean.item(), ours.variance.item()], [mean, variance], rtol=1e-9)
    if name != "Poisson":
        np.testing.assert_allclose(ours.entropy().item(), theirs.entropy(), rtol=1e-6)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_gradients_of_samples_are_how_they_move(name):
    """With one seed a sample is a smooth function of the parameters: its derivative is a quotient of differences."""
    arguments, _ = CONTINUOUS[name]
    made = parameters(arguments, requires_grad=True)

    def sample(**values):
        cr.manual_seed(3)
        return getattr(d, name)(**values).rsample((40,))

    x = sample(**made)
    for k, p in made.items():
        h = 1e-5
        moved = [sample(**{**made, k: (p + s).detach()}) for s in (-h, h)]
        expected = host((moved[1] - moved[0]) / (2 * h))
        weights = t64(np.cos(np.arange(40)))
        (g,) = cr.autograd.grad((x * weights).sum(), [p], retain_graph=True)
        np.testing.assert_allclose(g.item(), (expected * np.cos(np.arange(40))).sum(), rtol=1e-5, atol=1e-7)


def test_dirichlet_samples_and_gradients():
    a = t64([0.3, 1.0, 4.0], requires_grad=True)
    cr.manual_seed(0)
    samples = d.Dirichlet(a).rsample((4000,))
    values = host(samples)
    np.testing.assert_allclose(values.sum(-1), 1.0, rtol=1e-12)
    total = 5.3
    for i, alpha in enumerate((0.3, 1.0, 4.0)):  # the marginals
        assert stats.kstest(values[:, i], stats.beta(alpha, total - alpha).cdf).pvalue > 0.01
    mean = d.Dirichlet(a).mean
    for i in range(3):
        (exact,) = cr.autograd.grad(mean[i], [a], retain_graph=True)
        (estimate,) = cr.autograd.grad(samples[:, i].mean(), [a], retain_graph=True)
        np.testing.assert_allclose(host(estimate), host(exact), atol=0.02)


def test_tiny_concentrations_do_not_make_nan():
    cr.manual_seed(0)
    a = cr.full((3,), 1e-3, requires_grad=True)
    x = d.Dirichlet(a).rsample((200,))
    assert bool(x.isfinite().all()) and np.allclose(host(x).sum(-1), 1)
    x[:, 0].sum().backward()
    assert bool(a.grad.isfinite().all())
    assert bool((d.Gamma(1e-3, 1.0).sample((200,)) > 0).all())
    beta = host(d.Beta(1e-3, 1e-3).sample((400,)))
    assert 0.4 < beta.mean() < 0.6 and np.isin(np.round(beta, 3), [0.0, 1.0]).mean() > 0.98


@pytest.mark.parametrize("shape", [1e-3, 0.02, 0.5, 1.0, 7.0, 300.0])
def test_gamma_quantiles_move_with_the_shape(shape):
    """Against central differences of the quantile itself."""
    u = t64(np.array([0.01, 0.3, 0.6, 0.99]))
    a = t64(np.full(4, shape), requires_grad=True)
    y = traced.log_gamma_quantile(a, u)
    (g,) = cr.autograd.grad(y.sum(), [a])
    h = shape * 1e-4
    points = [traced.log_gamma_quantile(t64(np.full(4, shape + s * h)), u) for s in (-2, -1, 1, 2)]
    expected = host((points[0] - 8 * points[1] + 8 * points[2] - points[3]) / (12 * h))
    np.testing.assert_allclose(host(g), expected, rtol=1e-7)


def test_cdf_of_gamma_has_a_gradient_by_its_shape():
    a = t64([0.5, 2.0, 9.0], requires_grad=True)
    x = t64([0.0, 3.0, 4.0])
    d.Gamma(a, 1.0).cdf(x).sum().backward()
    h = 1e-5
    base = host(a)
    expected = (stats.gamma(base + h).cdf(host(x)) - stats.gamma(base - h).cdf(host(x))) / (2 * h)
    np.testing.assert_allclose(host(a.grad), expected, rtol=1e-6, atol=1e-12)


def test_multivariate_normal_samples():
    covariance = np.array([[2.0, 0.6], [0.6, 1.0]])
    made = {
        "covariance_matrix": covariance,
        "precision_matrix": np.linalg.inv(covariance),
        "scale_tril": np.linalg.cholesky(covariance),
    }
    drawn = []
    for name, matrix in made.items():
        cr.manual_seed(0)
        mvn = d.MultivariateNormal(t64([1.0, -1.0]), **{name: t64(matrix)})
        np.testing.assert_allclose(host(mvn.scale_tril), made["scale_tril"], rtol=1e-12, atol=1e-12)
        drawn.append(host(mvn.sample((20000,))))
    for samples in drawn:
        np.testing.assert_allclose(samples, drawn[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(samples.mean(0), [1, -1], atol=0.03)
        np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.06)
    loc, tril = t64([0.0, 0.0], requires_grad=True), t64(np.linalg.cholesky(covariance), requires_grad=True)
    d.MultivariateNormal(loc, scale_tril=tril).rsample((5,)).sum().backward()
    assert loc.grad.tolist() == [5.0, 5.0] and tril.grad is not None
    wide = d.MultivariateNormal(cr.zeros(2), cr.eye(2)).expand((3, 4))
    assert wide.sample((5,)).shape == (5, 3, 4, 2) and wide.log_prob(cr.zeros(2)).shape == (3, 4)
    assert wide.covariance_matrix.shape == (3, 4, 2, 2) and wide.entropy().shape == (3, 4)


def test_categories_are_drawn_in_proportion():
    cr.manual_seed(0)
    probs = np.array([[0.1, 0.2, 0.7], [0.5, 0.5, 0.0]])
    samples = host(d.Categorical(cr.tensor(probs)).sample((5000,)))
    assert samples.shape == (5000, 2) and samples.dtype == np.int64
    seen = np.stack([(samples == k).mean(0) for k in range(3)], -1)
    np.testing.assert_allclose(seen, probs, atol=0.03)
    one_hot = host(d.OneHotCategorical(cr.tensor(probs)).sample((5000,)))
    np.testing.assert_allclose(one_hot.mean(0), probs, atol=0.03)
    counts = host(d.Multinomial(10, cr.tensor(probs)).sample((2000,)))
    np.testing.assert_allclose(counts.mean(0), 10 * probs, atol=0.2)
    assert (counts.sum(-1) == 10).all()
    assert d.Categorical(cr.ones(3)).sample((0, 2)).shape == (0, 2)


def test_samples_of_a_mixture():
    cr.manual_seed(0)
    made = d.MixtureSameFamily(d.Categorical(t64([0.3, 0.7])), d.Normal(t64([-2.0, 1.0]), t64([0.5, 1.0])))
    samples = host(made.sample((4000,)))
    low, high = stats.norm(-2, 0.5), stats.norm(1, 1)
    assert stats.kstest(samples, lambda x: 0.3 * low.cdf(x) + 0.7 * high.cdf(x)).pvalue > 0.01
    for bad, error in [
        (lambda: d.MixtureSameFamily(d.Normal(0.0, 1.0), d.Normal(0.0, 1.0)), TypeError),
        (lambda: d.MixtureSameFamily(d.Categorical(cr.ones(2)), 1.0), TypeError),
        (lambda: d.MixtureSameFamily(d.Categorical(cr.ones(2)), d.Normal(cr.zeros(3), 1.0)), ValueError),
        (lambda: d.MixtureSameFamily(d.Categorical(cr.ones(4, 2)), d.Normal(cr.zeros(3, 2), 1.0)), ValueError),
    ]:
        with pytest.raises(error, match="MixtureSameFamily: "):
            bad()


def test_straight_through_samples_take_the_gradient_of_their_probabilities():
    logits = t64([0.1, 0.7, -0.4], requires_grad=True)
    made = d.OneHotCategoricalStraightThrough(logits=logits)
    x = made.rsample()
    weights = t64([1.0, 2.0, 3.0])
    (g,) = cr.autograd.grad((x * weights).sum(), [logits], retain_graph=True)
    (expected,) = cr.autograd.grad((made.probs * weights).sum(), [logits])
    assert sorted(np.round(host(x), 12).tolist()) == [0.0, 0.0, 1.0]
    np.testing.assert_allclose(host(g), host(expected))


def test_entropy_of_a_multinomial_by_counting():
    probs = t64([0.2, 0.3, 0.5])
    made = d.Multinomial(3, probs)
    vectors = [v for v in itertools.product(range(4), repeat=3) if sum(v) == 3]
    log_probs = host(made.log_prob(t64(np.array(vectors, dtype=float))))
    np.testing.assert_allclose(np.exp(log_probs).sum(), 1.0)
    np.testing.assert_allclose(made.entropy().item(), -(np.exp(log_probs) * log_probs).sum())


# ---- divergences ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("p", "q"),
    [
        (d.Normal(0.3, 0.7), d.Gumbel(0.1, 1.3)),
        (d.Uniform(0.2, 0.7), d.Gamma(1.4, 0.8)),
        (d.Uniform(0.2, 0.7), d.Beta(1.4, 0.8)),
        (d.Beta(2.0, 3.0), d.Uniform(-0.5, 1.5)),
        (d.Gamma(2.0, 3.0), d.Gumbel(0.1, 1.3)),
        (d.Exponential(2.0), d.Gamma(1.4, 0.8)),
        (d.Laplace(0.2, 0.6), d.Normal(0.5, 1.2)),
        (d.Normal(0.3, 0.7), d.Laplace(0.5, 1.2)),
        (d.Independent(d.Normal(cr.zeros(2), 1.0), 1), d.Independent(d.Normal(cr.ones(2), 2.0), 1)),
        (d.LogNormal(0.0, 1.0), d.LogNormal(0.3, 1.2)),
        (d.Dirichlet(cr.tensor([2.0, 3.0])), d.Dirichlet(cr.tensor([1.0, 1.5]))),
        (d.Poisson(2.0), d.Poisson(3.0)),
        (d.Chi2(3.0), d.Gamma(1.0, 1.0)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_divergences_are_means_over_samples(p, q):
    cr.manual_seed(0)
    x = p.sample((20000,))
    terms = host(p.log_prob(x) - q.log_prob(x))
    error = 4.5 * terms.std() / math.sqrt(len(terms)) + 1e-6
    assert abs(d.kl_divergence(p, q).item() - terms.mean()) < error


def test_divergences_where_something_is_impossible():
    sure, fair = d.Bernoulli(cr.tensor([0.0, 1.0])), d.Bernoulli(cr.tensor([0.5, 0.5]))
    np.testing.assert_allclose(host(d.kl_divergence(sure, fair)), math.log(2), rtol=1e-6)
    assert d.kl_divergence(fair, sure).tolist() == [math.inf, math.inf]
    p = cr.tensor([0.5, 0.5, 0.0], requires_grad=True)
    kl = d.kl_divergence(d.Categorical(p), d.Categorical(cr.tensor([0.25, 0.5, 0.25])))
    kl.backward()
    assert abs(kl.item() - 0.5 * math.log(2)) < 1e-6 and bool(p.grad.isfinite().all())
    assert d.kl_divergence(d.Categorical(cr.ones(2)), d.Categorical(cr.tensor([1.0, 0.0]))).item() == math.inf
    assert d.kl_divergence(d.Uniform(0.0, 2.0), d.Uniform(0.0, 1.0)).item() == math.inf
    assert d.kl_divergence(d.Normal(0.0, 1.0), d.Exponential(cr.ones(2))).tolist() == [math.inf] * 2
    assert d.kl_divergence(d.Uniform(cr.tensor([-1.0, 0.5]), 1.0), d.Exponential(1.0))[0].item() == math.inf


def test_registering_a_divergence():
    class Mine(d.Normal):
        pass

    assert d.kl_divergence(Mine(0.0, 1.0), d.Normal(1.0, 1.0)).item() == 0.5  # that of the base class

    @d.register_kl(Mine, d.Normal)
    def mine(p, q):
        return cr.tensor(7.0)

    assert d.kl_divergence(Mine(0.0, 1.0), d.Normal(1.0, 1.0)).item() == 7.0
    assert d.kl_divergence(d.Normal(0.0, 1.0), Mine(1.0, 1.0)).item() == 0.5
    with pytest.raises(NotImplementedError, match="Cauchy and Normal; register one with register_kl"):
        d.kl_divergence(d.Cauchy(0.0, 1.0), d.Normal(0.0, 1.0))
    with pytest.raises(TypeError, match="type_q must be a subclass of Distribution"):
        d.register_kl(Mine, int)
    base = d.Normal(cr.zeros(2), 1.0)
    with pytest.raises(NotImplementedError, match="reinterpret 1 and 0"):
        d.kl_divergence(d.Independent(base, 1), d.Independent(base, 0))
    with pytest.raises(NotImplementedError, match="must not have the larger total_count"):
        d.kl_divergence(d.Binomial(2, 0.5), d.Binomial(3, 0.5))
