"""Probability distributions, their divergences and transforms, under PyTorch's names.

>>> import chainrule as cr
>>> from chainrule.distributions import Normal
>>> loc = cr.tensor(0.0, requires_grad=True)
>>> Normal(loc, 1.0).log_prob(cr.tensor(2.0)).backward()
>>> loc.grad
tensor(2.)
"""

from chainrule.autograd import refusals as _refusals
from chainrule.distributions import constraints as constraints
from chainrule.distributions import transforms as transforms
from chainrule.distributions.bernoulli import Bernoulli as Bernoulli
from chainrule.distributions.categorical import Categorical as Categorical
from chainrule.distributions.counts import Binomial as Binomial
from chainrule.distributions.counts import Geometric as Geometric
from chainrule.distributions.counts import Multinomial as Multinomial
from chainrule.distributions.counts import Poisson as Poisson
from chainrule.distributions.dirichlet import Beta as Beta
from chainrule.distributions.dirichlet import Dirichlet as Dirichlet
from chainrule.distributions.distribution import Distribution as Distribution
from chainrule.distributions.exp_family import ExponentialFamily as ExponentialFamily
from chainrule.distributions.exponential import Exponential as Exponential
from chainrule.distributions.exponential import Laplace as Laplace
from chainrule.distributions.gamma import Chi2 as Chi2
from chainrule.distributions.gamma import Gamma as Gamma
from chainrule.distributions.heavy_tails import Cauchy as Cauchy
from chainrule.distributions.heavy_tails import Gumbel as Gumbel
from chainrule.distributions.heavy_tails import HalfCauchy as HalfCauchy
from chainrule.distributions.heavy_tails import StudentT as StudentT
from chainrule.distributions.independent import Independent as Independent
from chainrule.distributions.kl import kl_divergence as kl_divergence
from chainrule.distributions.kl import register_kl as register_kl
from chainrule.distributions.mixture_same_family import MixtureSameFamily as MixtureSameFamily
from chainrule.distributions.multivariate_normal import MultivariateNormal as MultivariateNormal
from chainrule.distributions.normal import Normal as Normal
from chainrule.distributions.one_hot_categorical import OneHotCategorical as OneHotCategorical
from chainrule.distributions.one_hot_categorical import (
    OneHotCategoricalStraightThrough as OneHotCategoricalStraightThrough,
)
from chainrule.distributions.transformed_distribution import HalfNormal as HalfNormal
from chainrule.distributions.transformed_distribution import LogNormal as LogNormal
from chainrule.distributions.transformed_distribution import TransformedDistribution as TransformedDistribution
from chainrule.distributions.transforms import AbsTransform as AbsTransform
from chainrule.distributions.transforms import AffineTransform as AffineTransform
from chainrule.distributions.transforms import ComposeTransform as ComposeTransform
from chainrule.distributions.transforms import ExpTransform as ExpTransform
from chainrule.distributions.transforms import PowerTransform as PowerTransform
from chainrule.distributions.transforms import SigmoidTransform as SigmoidTransform
from chainrule.distributions.transforms import SoftplusTransform as SoftplusTransform
from chainrule.distributions.transforms import TanhTransform as TanhTransform
from chainrule.distributions.transforms import Transform as Transform
from chainrule.distributions.transforms import identity_transform as identity_transform
from chainrule.distributions.uniform import Uniform as Uniform

__getattr__ = _refusals.module_getattr("distributions", lambda: globals())
