"""Distributions against PyTorch's: densities, moments, quantiles, divergences, and all their gradients."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'chainrule[oracle]')")

import chainrule as cr  # noqa: E402  (after the check for torch)

pytestmark = pytest.mark.oracle

rng = np.random.default_rng(0)


def spread(low, high, *shape):
    return rng.uniform(low, high, shape)


def rows(*shape):
    weights = rng.uniform(0.2, 1.0, shape)
    return weights / weights.sum(-1, keepdims=True)


def spd(*batch, n):
    a = rng.normal(size=(*batch, n, n))
    return a @ np.swapaxes(a, -1, -2) + n * np.eye(n)


REAL, POSITIVE, UNIT = spread(-3, 3, 4, 1, 2), spread(0.1, 3, 4, 1, 2), spread(0.05, 0.95, 4, 1, 2)
COUNTS = rng.integers(0, 5, (4, 1, 2)).astype(float)
LOC = {"loc": spread(-1, 1, 3, 1), "scale": spread(0.5, 2, 2)}

#: name -> keyword parameters and a value whose shape broadcasts against the batch
CASES = {
    "Normal": [(LOC, REAL)],
    "LogNormal": [(LOC, POSITIVE)],
    "Laplace": [(LOC, REAL)],
    "Cauchy": [(LOC, REAL)],
    "Gumbel": [(LOC, REAL)],
    "Uniform": [({"low": spread(-4, -3, 3, 1), "high": spread(3.5, 4, 2)}, REAL)],
    "Bernoulli": [
        ({"probs": spread(0.1, 0.9, 3, 2)}, COUNTS % 2),
        ({"logits": spread(-2, 2, 3, 2)}, COUNTS % 2),
        ({"logits": np.array([[60.0, -60.0]])}, COUNTS % 2),
    ],
    "Geometric": [({"probs": spread(0.1, 0.9, 3, 2)}, COUNTS), ({"logits": spread(-2, 2, 3, 2)}, COUNTS)],
    "Binomial": [
        ({"total_count": 7, "probs": spread(0.1, 0.9, 3, 2)}, COUNTS),
        ({"total_count": np.full((3, 1), 7.0), "logits": spread(-2, 2, 2)}, COUNTS),
    ],
    "Poisson": [({"rate": spread(0.2, 4, 3, 2)}, COUNTS), ({"rate": 2.5}, COUNTS)],
    "Categorical": [
        ({"probs": spread(0.1, 3, 3, 2, 5)}, COUNTS),
        ({"logits": spread(-2, 2, 2, 5)}, COUNTS[:2]),
    ],
    "OneHotCategorical": [
        ({"probs": spread(0.1, 3, 3, 5)}, np.eye(5)[[0, 3, 4]]),
        ({"logits": spread(-2, 2, 5)}, np.eye(5)),
    ],
    "OneHotCategoricalStraightThrough": [({"probs": spread(0.1, 3, 3, 5)}, np.eye(5)[[0, 3, 4]])],
    "Multinomial": [({"total_count": 4, "probs": spread(0.1, 3, 3, 2)}, np.array([[4.0, 0], [1, 3], [2, 2]]))],
    "Beta": [({"concentration1": spread(0.4, 4, 3, 1), "concentration0": spread(0.4, 4, 2)}, UNIT)],
    "Gamma": [({"concentration": spread(0.4, 4, 3, 1), "rate": spread(0.4, 4, 2)}, POSITIVE)],
    "Chi2": [({"df": spread(0.4, 4, 3, 2)}, POSITIVE)],
    "Dirichlet": [({"concentration": spread(0.4, 4, 3, 4)}, rows(2, 1, 4)), ({"concentration": np.ones(3)}, rows(3))],
    "Exponential": [({"rate": spread(0.4, 4, 3, 2)}, POSITIVE), ({"rate": 2.0}, POSITIVE)],
    "HalfNormal": [({"scale": spread(0.4, 4, 3, 2)}, POSITIVE)],
    "HalfCauchy": [({"scale": spread(0.4, 4, 3, 2)}, POSITIVE)],
    "StudentT": [({"df": np.array([[0.7], [1.5], [5.0]]), **LOC}, REAL)],
    "MultivariateNormal": [
        ({"loc": spread(-1, 1, 4, 3), "covariance_matrix": spd(n=3)}, spread(-2, 2, 2, 1, 3)),
        ({"loc": spread(-1, 1, 3), "precision_matrix": spd(2, n=3)}, spread(-2, 2, 5, 1, 3)),
        ({"loc": spread(-1, 1, 3), "scale_tril": np.linalg.cholesky(spd(4, 1, n=3))}, spread(-2, 2, 5, 3)),
    ],
}  # fmt: skip
TABLE = [(name, i) for name, cases in CASES.items() for i in range(len(cases))]
#: what is asked of both, as a function of the distribution and the value
QUESTIONS = {
    "log_prob": lambda d, v: d.log_prob(v),
    "cdf": lambda d, v: d.cdf(v),
    "icdf": lambda d, v: d.icdf(v),
    "entropy": lambda d, v: d.entropy(),
    "perplexity": lambda d, v: d.perplexity(),
    "mean": lambda d, v: d.mean,
    "variance": lambda d, v: d.variance,
    "stddev": lambda d, v: d.stddev,
    "mode": lambda d, v: d.mode,
    "enumerate_support": lambda d, v: d.enumerate_support(),
    "enumerate_support_unexpanded": lambda d, v: d.enumerate_support(expand=False),
    "probs": lambda d, v: d.probs,
    "logits": lambda d, v: d.logits,
    "covariance_matrix": lambda d, v: d.covariance_matrix,
    "precision_matrix": lambda d, v: d.precision_matrix,
    "scale_tril": lambda d, v: d.scale_tril,
    "expanded": lambda d, v: d.expand((6, *d.batch_shape)).entropy(),
    "expanded_log_prob": lambda d, v: d.expand((2, 1, *d.batch_shape)).log_prob(v),
}  # fmt: skip
#: PyTorch has no gradient of the incomplete gamma function by its shape
NO_GRADIENT = {("Gamma", "cdf"): {"concentration"}, ("Chi2", "cdf"): {"df"}}
LACKING = (NotImplementedError, AttributeError)


def tensors(library, arguments, constant=()):
    made = {}
    for name, v in arguments.items():
        tracked = isinstance(v, np.ndarray) and name != "total_count" and name not in constant
        made[name] = library.tensor(v, requires_grad=tracked) if isinstance(v, np.ndarray) else v
    return made


def ask(library, name, arguments, value, question):
    """The answer, and the gradients of its weighted sum; or that it was refused."""
    parameters = tensors(library, arguments, NO_GRADIENT.get((name, question), ()))
    value = library.tensor(value, requires_grad=True)
    asked = value.sigmoid() if question == "icdf" else value
    try:
        answer = QUESTIONS[question](getattr(library.distributions, name)(**parameters), asked)
    except LACKING:
        return None, {}
    host = answer.detach().cpu().numpy()
    if not answer.requires_grad:
        return host, {}
    weights = np.cos(np.arange(host.size)).reshape(host.shape)
    weights[~np.isfinite(host)] = 0
    wanted = {"value": value, **{k: p for k, p in parameters.items() if getattr(p, "requires_grad", False)}}
    (answer * library.tensor(weights, device=answer.device)).sum().backward()
    return host, {k: p.grad.cpu().numpy() for k, p in wanted.items() if p.grad is not None}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize(("name", "i"), TABLE)
def test_answers_and_gradients(name, i, question):
    arguments, value = CASES[name][i]
    theirs, their_gradients = ask(torch, name, arguments, value, question)
    if theirs is None:
        return
    ours, gradients = ask(cr, name, arguments, value, question)
    assert ours is not None, f"{name} lacks {question}"
    assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
    # PyTorch computes log(total_count!) in float32
    exact = ours.dtype == np.float64 and name != "Multinomial"
    np.testing.assert_allclose(ours, theirs, rtol=1e-9 if exact else 1e-6, atol=1e-11)
    for k, g in their_gradients.items():
        if k == "scale_tril":  # above the diagonal are constants
            g, gradients[k] = np.tril(g), np.tril(gradients[k])
        if k in gradients or np.abs(g[np.isfinite(g)]).max(initial=0) > 0:
            np.testing.assert_allclose(gradients[k], g, rtol=1e-7, atol=1e-9, err_msg=k)


DOUBLE = {
    "Normal": {"loc": np.array([0.3, -1.0]), "scale": np.array([0.7, 1.4])},
    "Bernoulli": {"probs": np.array([0.2, 0.7])},
    "Binomial": {"total_count": 5, "probs": np.array([0.2, 0.7])},
    "Categorical": {"probs": np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])},
    "OneHotCategorical": {"logits": np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])},
    "Uniform": {"low": np.array([0.1, 0.2]), "high": np.array([0.5, 0.8])},
    "Gamma": {"concentration": np.array([0.7, 3.0]), "rate": np.array([1.3, 0.4])},
    "Beta": {"concentration1": np.array([0.7, 3.0]), "concentration0": np.array([1.3, 0.4])},
    "Dirichlet": {"concentration": np.array([[0.7, 3.0, 1.0], [2.0, 1.0, 4.0]])},
    "MultivariateNormal": {"loc": np.array([0.3, -1.0]), "covariance_matrix": np.array([[2.0, 0.3], [0.3, 1.0]])},
    "Exponential": {"rate": np.array([0.7, 1.4])},
    "Laplace": {"loc": np.array([0.3, -1.0]), "scale": np.array([0.7, 1.4])},
    "Poisson": {"rate": np.array([0.7, 1.4])},
    "Geometric": {"probs": np.array([0.2, 0.7])},
    "Gumbel": {"loc": np.array([0.3, -1.0]), "scale": np.array([0.7, 1.4])},
    "Cauchy": {"loc": np.array([0.3, -1.0]), "scale": np.array([0.7, 1.4])},
    "HalfNormal": {"scale": np.array([0.7, 1.4])},
    "LogNormal": {"loc": np.array([0.3, -1.0]), "scale": np.array([0.7, 1.4])},
}


def shifted(arguments):
    """Other parameters of the same family, in a batch that broadcasts against the first."""
    if "covariance_matrix" in arguments:
        return {"loc": arguments["loc"][::-1].copy(), "covariance_matrix": np.array([[[1.0, 0.2], [0.2, 3.0]]] * 3)}
    if "low" in arguments:
        return {"low": arguments["low"][None] - 0.05, "high": arguments["high"][None] + 0.1}
    return {
        k: v if k == "total_count" else (np.stack([0.9 * v, v[::-1]]) if v.ndim == 1 else 0.5 * v + 0.1)
        for k, v in arguments.items()
    }


def divergence(library, p, q, p_arguments, q_arguments):
    a, b = tensors(library, p_arguments), tensors(library, q_arguments)
    d = library.distributions
    try:
        kl = d.kl_divergence(getattr(d, p)(**a), getattr(d, q)(**b))
    except NotImplementedError:
        return None, []
    host = kl.detach().cpu().numpy()
    leaves = [v for made in (a, b) for v in made.values() if getattr(v, "requires_grad", False)]
    if np.isfinite(host).all():
        kl.sum().backward()
    return host, [None if v.grad is None else v.grad.cpu().numpy() for v in leaves]


@pytest.mark.parametrize("q", DOUBLE)
@pytest.mark.parametrize("p", DOUBLE)
def test_divergences(p, q):
    a, b = DOUBLE[p], shifted(DOUBLE[q])
    if (p, q) == ("Uniform", "Beta"):
        b = {k: v[0] for k, v in b.items()}
    theirs, their_gradients = divergence(torch, p, q, a, b)
    if theirs is None:
        return
    ours, gradients = divergence(cr, p, q, a, b)
    assert ours is not None, f"no divergence of {p} and {q}"
    np.testing.assert_allclose(ours, np.broadcast_to(theirs, ours.shape), rtol=1e-9, atol=1e-11)
    for g, e in zip(gradients, their_gradients, strict=True):
        if e is not None:
            np.testing.assert_allclose(g, e, rtol=1e-7, atol=1e-9)


TRANSFORMS = {
    "tanh": lambda t: [t.TanhTransform(cache_size=1)],
    "sigmoid": lambda t: [t.SigmoidTransform()],
    "affine, exp": lambda t: [t.AffineTransform(0.5, -2.0), t.ExpTransform()],
    "softplus, power": lambda t: [t.SoftplusTransform(), t.PowerTransform(0.5)],
    "inverse": lambda t: [t.ExpTransform(), t.SigmoidTransform(), t.SigmoidTransform().inv],
    "composed": lambda t: [t.ComposeTransform([t.ExpTransform(), t.AffineTransform(1.0, 2.0)])],
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("independent", [0, 1])
def test_transformed_distributions(name, independent):
    base = np.array([[-0.6, 0.3, 0.9], [0.1, 0.5, -0.2]])
    results = []
    for library in (torch, cr):
        d, parameters = library.distributions, tensors(library, {"loc": base[0], "scale": np.abs(base)})
        inner = d.Normal(**parameters)
        inner = d.Independent(inner, independent) if independent else inner
        made = d.TransformedDistribution(inner, TRANSFORMS[name](d.transforms))
        x = library.tensor(base, requires_grad=True)
        for transform in made.transforms:
            x = transform(x)
        log_prob = made.log_prob(x)
        log_prob.sum().backward()
        answers = [x, log_prob]
        if not independent:
            answers += [made.cdf(x), made.icdf(made.cdf(x))]
        results.append(
            [a.detach().cpu().numpy() for a in answers] + [p.grad.cpu().numpy() for p in parameters.values()]
        )
        results[-1].append(np.array([*made.batch_shape, -1, *made.event_shape]))
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


MIXTURES = {
    "normal": lambda d, p: (d.Categorical(logits=p["weights"]), d.Normal(p["loc"], p["scale"])),
    "vectors": lambda d, p: (
        d.Categorical(logits=p["weights"]),
        d.Independent(d.Normal(p["loc"].unsqueeze(-1) * p["two"], p["scale"].unsqueeze(-1)), 1),
    ),
}


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures(name):
    given = {"weights": spread(-1, 1, 4, 3), "loc": spread(-2, 2, 4, 3), "scale": spread(0.5, 2, 4, 3)}
    given["two"] = spread(1, 2, 2)
    value = spread(-2, 2, 5, 4, *([2] if name == "vectors" else []))
    results = []
    for library in (torch, cr):
        parameters = tensors(library, given)
        made = library.distributions.MixtureSameFamily(*MIXTURES[name](library.distributions, parameters))
        x = library.tensor(value, requires_grad=True)
        answers = [made.log_prob(x), made.mean, made.variance]
        if name == "normal":
            answers += [made.cdf(x), made.expand((6, 4)).log_prob(x[:, None, :])]
        sum([a.sum() for a in answers]).backward()
        leaves = [x, *(p for k, p in parameters.items() if k != "two" or name == "vectors")]
        results.append([a.detach().cpu().numpy() for a in answers] + [p.grad.cpu().numpy() for p in leaves])
        assert tuple(made.sample((7,)).shape) == (7, *made.batch_shape, *made.event_shape)
    for theirs, ours in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


CONSTRAINTS = {
    "real": np.array([0.0, np.nan, np.inf]),
    "positive": np.array([0.0, 1.0]),
    "nonnegative": np.array([0.0, -1.0]),
    "unit_interval": np.array([0.0, 1.0, 1.1]),
    "boolean": np.array([0.0, 1.0, 0.5]),
    "nonnegative_integer": np.array([0.0, 1.5, -1.0]),
    "positive_integer": np.array([0.0, 1.0]),
    "simplex": np.array([[0.5, 0.5], [0.5, 0.6], [1.5, -0.5]]),
    "one_hot": np.array([[0.0, 1.0], [1.0, 1.0]]),
    "real_vector": np.array([[0.0, np.nan], [1.0, 1.0]]),
    "lower_triangular": np.array([[[1.0, 0.0], [2.0, -1.0]], [[1.0, 1.0], [2.0, 1.0]]]),
    "lower_cholesky": np.array([[[1.0, 0.0], [2.0, -1.0]], [[1.0, 0.0], [2.0, 1.0]]]),
    "square": np.ones((2, 3, 3)),
    "symmetric": np.array([[[1.0, 0.0], [2.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]),
    "positive_definite": np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]]]),
    "positive_semidefinite": np.array([[[1.0, 1.0], [1.0, 1.0 + 1e-9]], [[1.0, 2.0], [2.0, 1.0]]]),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints(name):
    values = CONSTRAINTS[name]
    ours, theirs = getattr(cr.distributions.constraints, name), getattr(torch.distributions.constraints, name)
    assert ours.check(cr.tensor(values)).tolist() == theirs.check(torch.tensor(values)).tolist()
    assert (ours.event_dim, ours.is_discrete) == (theirs.event_dim, theirs.is_discrete)


@pytest.mark.parametrize(("name", "i"), TABLE)
def test_shapes_flags_and_arguments(name, i):
    arguments, _ = CASES[name][i]
    theirs = getattr(torch.distributions, name)(**tensors(torch, arguments))
    ours = getattr(cr.distributions, name)(**tensors(cr, arguments))
    for shape in ((), (2,), (2, 1, 3)):
        assert tuple(ours.sample(shape).shape) == tuple(theirs.sample(shape).shape)
    assert ours.sample().dtype == getattr(cr, str(theirs.sample().dtype).split(".")[1])
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample
    assert ours.has_enumerate_support == theirs.has_enumerate_support
    assert list(ours.arg_constraints) == list(theirs.arg_constraints)
    assert not ours.sample().requires_grad
    if ours.has_rsample:
        assert ours.rsample().requires_grad == theirs.rsample().requires_grad
