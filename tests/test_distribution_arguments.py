"""Arguments of distributions: shapes, validation, what is refused."""

from __future__ import annotations

import math

import pytest

import chainrule as cr
from chainrule import distributions as d


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: d.Normal(0.0, -1.0), ValueError, r"Normal: expected parameter 'scale' .*GreaterThan"),
        (lambda: d.Normal(math.nan, 1.0), ValueError, "parameter 'loc' to satisfy Real"),
        (lambda: d.Normal(cr.tensor([0, 1]), 1.0), TypeError, "'loc' must be a floating-point tensor, got"),
        (lambda: d.Normal("0", 1.0), TypeError, "argument 'loc' must be a Tensor or a number, got str"),
        (lambda: d.Bernoulli(1.5), ValueError, "parameter 'probs' to satisfy Interval"),
        (lambda: d.Bernoulli(), ValueError, "exactly one of probs, logits, got none"),
        (lambda: d.Bernoulli(0.5, 0.0), ValueError, "got probs and logits"),
        (lambda: d.Uniform(1.0, 1.0), ValueError, "parameter 'low' must be below 'high'"),
        (lambda: d.Categorical(cr.tensor([-1.0, 2.0])), ValueError, "parameter 'probs' to satisfy Simplex"),
        (lambda: d.Categorical(0.5), ValueError, "must have at least one dimension"),
        (lambda: d.Dirichlet(cr.tensor(1.0)), ValueError, "at least one dimension"),
        (lambda: d.Geometric(0.0), ValueError, "'probs' must be above 0"),
        (lambda: d.Binomial(-1, 0.5), ValueError, "parameter 'total_count'"),
        (lambda: d.Multinomial(1.5, cr.ones(2)), ValueError, "total_count must be an int"),
        (lambda: d.MultivariateNormal(cr.zeros(2)), ValueError, "exactly one of covariance_matrix"),
        (lambda: d.MultivariateNormal(cr.zeros(3), cr.eye(2)), ValueError, r"must end in \(3, 3\)"),
        (lambda: d.MultivariateNormal(cr.zeros(2), -cr.eye(2)), ValueError, "'covariance_matrix' to satisfy Positive"),
        (lambda: d.MultivariateNormal(0.0, cr.eye(2)), TypeError, "'loc' must be a floating-point tensor"),
        (lambda: d.MultivariateNormal(cr.zeros(2), scale_tril=cr.ones(2, 2)), ValueError, "LowerCholesky"),
        (lambda: d.Independent(d.Normal(0.0, 1.0), 1), ValueError, "must be from 0 to 0"),
        (lambda: d.TransformedDistribution(d.Normal(0.0, 1.0), [abs]), TypeError, "must be Transforms"),
        (lambda: d.TransformedDistribution(d.Normal(0.0, 1.0), d.AffineTransform(0.0, 1.0, 1)), ValueError, "take 1"),
        (lambda: d.ExpTransform(cache_size=2), ValueError, "cache_size must be 0 or 1"),
        (lambda: d.Distribution.set_default_validate_args(3), ValueError, "expected a bool"),
    ],
)
def test_bad_parameters(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda: d.Exponential(1.0).log_prob(cr.tensor(-1.0)), ValueError, "Exponential.log_prob.*within the support"),
        (lambda: d.Normal(0.0, 1.0).log_prob(0.5), TypeError, "'value' must be a Tensor, got float"),
        (lambda: d.Normal(cr.zeros(3), 1.0).log_prob(cr.zeros(2)), ValueError, r"\(2,\) does not broadcast"),
        (lambda: d.Dirichlet(cr.ones(3)).log_prob(cr.ones(2) / 2), ValueError, r"must end in the event shape \(3,\)"),
        (lambda: d.Categorical(cr.ones(3)).log_prob(cr.tensor(3)), ValueError, "within the support IntegerInterval"),
        (lambda: d.Bernoulli(0.5).rsample(), NotImplementedError, "Bernoulli: its samples are no differentiable"),
        (lambda: d.Poisson(1.0).entropy(), NotImplementedError, "Poisson has no entropy in closed form"),
        (lambda: d.Normal(0.0, 1.0).enumerate_support(), NotImplementedError, "cannot be listed"),
        (lambda: d.AbsTransform().sign, NotImplementedError, "neither rises nor falls"),
        (lambda: d.Distribution().support, NotImplementedError, "does not say"),
    ],
)
def test_bad_questions(ask, error, message):
    with pytest.raises(error, match=message):
        ask()


def test_checks_can_be_switched_off():
    assert d.Exponential(1.0, validate_args=False).log_prob(cr.tensor(-1.0)).item() == 1.0
    d.Distribution.set_default_validate_args(False)
    try:
        assert d.Normal(0.0, -1.0).scale.item() == -1.0
    finally:
        d.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="scale"):
        d.Normal(0.0, -1.0)


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: d.Normal(0.0, 1.0), "Normal(loc: 0.0, scale: 1.0)"),
        (lambda: d.Normal(cr.zeros(3), 1.0), "Normal(loc: (3,), scale: (3,))"),
        (lambda: d.Bernoulli(logits=0.0), "Bernoulli(logits: 0.0)"),
        (lambda: d.Categorical(cr.ones(3)), "Categorical(probs: (3,))"),
        (lambda: d.OneHotCategorical(cr.ones(3)), "OneHotCategorical(probs: (3,))"),
        (lambda: d.Beta(1.0, 2.0), "Beta(concentration1: 1.0, concentration0: 2.0)"),
        (lambda: d.Chi2(3.0), "Chi2(df: 3.0)"),
        (lambda: d.LogNormal(0.0, 1.0), "LogNormal(loc: 0.0, scale: 1.0)"),
        (lambda: d.Independent(d.Normal(cr.zeros(3), 1.0), 1), "Independent(Normal(loc: (3,), scale: (3,)), 1)"),
        (
            lambda: d.TransformedDistribution(d.Normal(0.0, 1.0), [d.ExpTransform(), d.ExpTransform().inv]),
            "TransformedDistribution(Normal(loc: 0.0, scale: 1.0), [ExpTransform(), Inverse(ExpTransform())])",
        ),
    ],
)
def test_repr(made, text):
    assert repr(made()) == text


def test_numbers_and_tensors_together():
    made = d.Normal(cr.zeros(2, dtype=cr.float64), 1)
    assert made.scale.dtype == cr.float64 and made.sample().dtype == cr.float64
    assert d.Normal(0, 1).loc.dtype == cr.get_default_dtype() and d.Normal(0, 1).batch_shape == ()
    half = d.Gamma(cr.ones(2, dtype=cr.float16), 1.0)
    assert half.sample().dtype == cr.float16


def test_parameters_computed_on_demand_keep_their_graph():
    logits = cr.tensor([0.3], requires_grad=True)
    made = d.Bernoulli(logits=logits)
    made.sample()  # reads probs inside no_grad
    made.probs.sum().backward()
    assert logits.grad is not None


@pytest.mark.parametrize(
    "make",
    [
        lambda: d.Normal(cr.zeros(3, 1), 1.0),
        lambda: d.Beta(cr.ones(3, 1), 2.0),
        lambda: d.Categorical(logits=cr.zeros(3, 1, 4)),
        lambda: d.Independent(d.Normal(cr.zeros(3, 1, 4), 1.0), 1),
        lambda: d.LogNormal(cr.zeros(3, 1), 1.0),
        lambda: d.TransformedDistribution(d.Independent(d.Normal(cr.zeros(3, 1, 4), 1.0), 1), d.TanhTransform()),
        lambda: d.TransformedDistribution(d.Normal(cr.zeros(3, 1, 4), 1.0), d.AffineTransform(0.0, 2.0, 1)),
        lambda: d.MultivariateNormal(cr.zeros(3, 1, 4), cr.eye(4)),
    ],
)
def test_expand(make):
    made = make()
    wide = made.expand((5, 3, 2))
    assert type(wide) is type(made)
    assert wide.batch_shape == (5, 3, 2) and wide.event_shape == made.event_shape
    value = wide.sample((7,))
    assert value.shape == (7, 5, 3, 2, *made.event_shape)
    assert wide.log_prob(value).shape == (7, 5, 3, 2)
    assert made.batch_shape == (3, 1)
    with pytest.raises(RuntimeError):
        make().expand((4, 2))


def test_a_distribution_of_ones_own():
    class Square(d.Distribution):
        arg_constraints = {"side": d.constraints.positive}  # noqa: RUF012
        support = d.constraints.real_vector

        def __init__(self, side):
            self.side = side
            super().__init__(side.shape, (2,))

        def log_prob(self, value):
            self._validate_sample(value)
            return -2 * self.side.log()

    made = Square(cr.tensor([1.0, 2.0]))
    assert made.log_prob(cr.zeros(2)).tolist() == pytest.approx([0.0, -2 * math.log(2)])
    assert made.expand((3, 2)).log_prob(cr.zeros(2)).shape == (3, 2)
    assert repr(made) == "Square(side: (2,))"
    with pytest.raises(ValueError, match="'side'"):
        Square(cr.tensor([-1.0]))
    with pytest.raises(ValueError, match="event shape"):
        made.log_prob(cr.zeros(3))


def test_a_cached_transform_inverts_where_tanh_is_flat():
    x = cr.tensor([20.0], requires_grad=True)
    plain, cached = d.TanhTransform(), d.TanhTransform(cache_size=1)
    assert plain.inv(plain(x)).item() == math.inf
    y = cached(x)
    assert cached.inv(y) is x and cached.inv.inv is cached
    made = d.TransformedDistribution(d.Normal(19.0, 1.0), [d.TanhTransform(cache_size=1)])
    assert math.isfinite(made.log_prob(made.rsample()).item())
    assert d.TanhTransform() == cached and d.ExpTransform() != cached
    assert d.AffineTransform(0.0, 1.0) == d.AffineTransform(0.0, 1.0) != d.AffineTransform(0.0, 2.0)
    assert d.TanhTransform().with_cache(1)._cache_size == 1


def test_policy_gradient_and_variational_bound_train():
    """The two uses: a score function estimate with log_prob, and a bound with rsample and kl_divergence."""
    cr.manual_seed(0)
    logits = cr.zeros(3, requires_grad=True)
    for _ in range(60):
        policy = d.Categorical(logits=logits)
        action = policy.sample((32,))
        reward = (action == 2).float()
        loss = -(policy.log_prob(action) * (reward - reward.mean())).mean()
        (g,) = cr.autograd.grad(loss, [logits])
        with cr.no_grad():
            logits -= 1.0 * g
    assert d.Categorical(logits=logits).probs[2].item() > 0.9

    loc, log_scale = cr.zeros(1, requires_grad=True), cr.zeros(1, requires_grad=True)
    prior, data = d.Normal(cr.zeros(1), 1.0), cr.tensor([2.0])
    for _ in range(150):
        posterior = d.Normal(loc, log_scale.exp())
        x = posterior.rsample((64,))
        bound = d.Normal(x, 1.0).log_prob(data).mean() - d.kl_divergence(posterior, prior).sum()
        gradients = cr.autograd.grad(-bound, [loc, log_scale])
        with cr.no_grad():
            loc -= 0.1 * gradients[0]
            log_scale -= 0.1 * gradients[1]
    assert abs(loc.item() - 1.0) < 0.1 and abs(log_scale.exp().item() - math.sqrt(0.5)) < 0.1


def test_it_is_imported_when_first_named():
    from chainrule.distributions.categorical import Categorical
    from chainrule.distributions.normal import Normal

    assert cr.distributions.Normal is Normal and cr.distributions.Categorical is Categorical
