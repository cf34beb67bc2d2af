"""The categorical distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Shape, broadcast_all, lazy_property, one_of, probs_to_logits
from chainrule.distributions.distribution import Distribution
from chainrule.nn import functional as F


class Categorical(Distribution):
    """The numbers 0 to K - 1, with the probabilities of the last dimension of ``probs`` (..., K).

    Args:
        probs: weights that are not negative, and are divided by their sum.
        logits: logarithms of weights, in the place of ``probs``.

    Raises:
        ValueError: not exactly one of the two was given, or it has no dimension.

    Example:
        >>> import chainrule as cr
        >>> Categorical(cr.tensor([1.0, 3.0])).log_prob(cr.tensor(1)).exp()
        tensor(0.7500)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        caller = type(self).__name__
        name = one_of(caller, probs=probs, logits=logits)
        (given,) = broadcast_all(caller, **{name: probs if name == "probs" else logits})
        if given.ndim < 1:
            raise ValueError(f"{caller}: parameter {name!r} must have at least one dimension, the categories; got 0")
        if name == "probs":
            self.__dict__["probs"] = given / given.sum(-1, keepdim=True)
        else:
            self.__dict__["logits"] = given - given.logsumexp(-1, keepdim=True)
        self._num_events = given.shape[-1]
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @lazy_property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return F.softmax(self.logits, -1)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"].shape

    @property
    def mean(self) -> Tensor:
        return cr.full_like(self.probs[..., 0].detach(), cr.nan)

    @property
    def mode(self) -> Tensor:
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        return cr.full_like(self.probs[..., 0].detach(), cr.nan)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        count = 1
        for n in sample_shape:
            count *= n
        with cr.no_grad():
            if not count:
                return cr.zeros(self._extended_shape(sample_shape), dtype=cr.int64, device=self.probs.device)
            rows = self.probs.reshape(-1, self._num_events)
            return cr.multinomial(rows, count, True).T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        index = value.to(cr.int64).unsqueeze(-1)
        shape = cr.broadcast_shapes(index.shape[:-1], self.logits.shape[:-1])
        logits = self.logits.expand(*shape, self._num_events)
        return logits.gather(-1, index.expand(*shape, 1)).squeeze(-1)

    def entropy(self) -> Tensor:
        # logits of impossible categories are -inf: 0 * -inf must be 0
        logits = self.logits.clamp(min=cr.finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        values = cr.arange(self._num_events, device=self.probs.device)
        values = values.reshape(-1, *[1] * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values
