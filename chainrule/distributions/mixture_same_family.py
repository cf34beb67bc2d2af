"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Shape
from chainrule.distributions.categorical import Categorical
from chainrule.distributions.distribution import Distribution


class MixtureSameFamily(Distribution):
    """A mixture: the last batch dimension of ``component_distribution`` are the components.

    Args:
        mixture_distribution: a Categorical with their weights; its batch shape is the mixture's.
        component_distribution: with one more batch dimension.

    Raises:
        TypeError: the weights are no Categorical. ValueError: the shapes do not fit.

    Example:
        >>> import chainrule as cr
        >>> from chainrule.distributions import Categorical, Normal
        >>> MixtureSameFamily(Categorical(cr.ones(2)), Normal(cr.tensor([-1.0, 1.0]), 1.0)).mean
        tensor(0.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise TypeError(
                "MixtureSameFamily: mixture_distribution must be a Categorical, "
                f"got {type(mixture_distribution).__name__}"
            )
        if not isinstance(component_distribution, Distribution):
            raise TypeError(
                "MixtureSameFamily: component_distribution must be a Distribution, "
                f"got {type(component_distribution).__name__}"
            )
        weights, components = tuple(mixture_distribution.batch_shape), tuple(component_distribution.batch_shape)
        count = mixture_distribution.param_shape[-1]
        if not components or components[-1] != count:
            raise ValueError(
                f"MixtureSameFamily: the last batch dimension of component_distribution must be the {count} "
                f"components, got batch shape {components}"
            )
        batch = components[:-1]
        if weights and weights != batch:
            raise ValueError(
                f"MixtureSameFamily: the batch shapes of mixture_distribution {weights} and of the components "
                f"{batch} differ"
            )
        self._mixture_distribution = mixture_distribution.expand(batch)
        self._component_distribution = component_distribution
        super().__init__(batch, component_distribution.event_shape, validate_args)

    @property
    def mixture_distribution(self) -> Categorical:
        """The weights."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @constraints.dependent_property
    def support(self) -> Any:
        return self._component_distribution.support

    def _weights(self) -> Tensor:
        """The weights with a dimension for each one of the event."""
        probs = self._mixture_distribution.probs
        return probs.reshape(*probs.shape, *[1] * len(self._event_shape))

    def _mean_of(self, values: Tensor) -> Tensor:
        return (self._weights() * values).sum(-1 - len(self._event_shape))

    @property
    def mean(self) -> Tensor:
        return self._mean_of(self._component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        component = self._component_distribution
        spread = component.mean - self.mean.unsqueeze(-1 - len(self._event_shape))
        return self._mean_of(component.variance) + self._mean_of(spread.square())

    def _each(self, value: Tensor) -> Tensor:
        """The value with a dimension for the components."""
        return value.unsqueeze(-1 - len(self._event_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        log_probs = self._component_distribution.log_prob(self._each(value))
        return (log_probs + self._mixture_distribution.logits).logsumexp(-1)

    def cdf(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        return (self._component_distribution.cdf(self._each(value)) * self._mixture_distribution.probs).sum(-1)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        with cr.no_grad():
            events = len(self._event_shape)
            drawn = self._component_distribution.sample(sample_shape)
            chosen = self._mixture_distribution.sample(sample_shape)
            index = chosen.reshape(*chosen.shape, *[1] * (events + 1))
            index = index.expand(*chosen.shape, 1, *self._event_shape)
            return drawn.gather(-1 - events, index).squeeze(-1 - events)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self._mixture_distribution!r}, {self._component_distribution!r})"
