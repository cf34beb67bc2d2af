"""The base class of all distributions."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import chainrule as cr
from chainrule.autograd.tensor import Size, Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Shape, lazy_property


class Distribution:
    """A probability distribution over tensors, or a batch of them.

    ``batch_shape`` is the shape of its parameters: so many distributions there are. ``event_shape`` is the shape of
    one sample of one of them. A subclass has ``arg_constraints``, ``support`` and the methods below that it can offer.
    It keeps its parameters as tensors whose shape starts with ``batch_shape``, as :meth:`expand` expects.

    Args:
        validate_args: whether parameters, and the values given to :meth:`log_prob`, are checked.

    Raises:
        ValueError: a parameter is outside of its constraint.

    Example:
        >>> from chainrule.distributions import Normal
        >>> Normal(0.0, 1.0).log_prob(cr.tensor(0.0))
        tensor(-0.9189)
        >>> Normal(0.0, -1.0)
        Traceback (most recent call last):
        ValueError: Normal: expected parameter 'scale' to satisfy GreaterThan(lower_bound=0.0), but found tensor(-1.)
    """

    #: whether samples are differentiable functions of the parameters (``rsample``)
    has_rsample: bool = False
    #: whether the values it can take can be listed
    has_enumerate_support: bool = False
    #: what each parameter must satisfy
    arg_constraints: ClassVar[dict[str, Any]] = {}
    _validate_args: bool = __debug__

    def __init__(
        self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Switch the checks of all distributions made from now on."""
        if value not in (True, False):
            raise ValueError(f"Distribution.set_default_validate_args: expected a bool, got {value!r}")
        Distribution._validate_args = value

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property):
                continue  # follows from the one that was given
            value = getattr(self, name)
            with cr.no_grad():
                satisfied = bool(constraint.check(value).all())
            if not satisfied:
                raise ValueError(
                    f"{type(self).__name__}: expected parameter {name!r} to satisfy {constraint!r}, but found {value!r}"
                )

    # ---- shapes -----------------------------------------------------------------------------------------------------

    @property
    def batch_shape(self) -> Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample of one distribution."""
        return self._event_shape

    @property
    def support(self) -> Any:
        """The constraint that its samples satisfy."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its support is")

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Self:
        """The same distribution with the parameters expanded to another batch shape; no memory is copied."""
        new = type(self).__new__(type(self)) if _instance is None else _instance
        wanted, old = Size(batch_shape), len(self._batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor) and name not in self._shared():
                value = value.expand((*wanted, *value.shape[old:]))
            elif isinstance(value, Distribution):
                value = value.expand((*wanted, *value.batch_shape[old:]))
            new.__dict__[name] = value
        new._batch_shape = wanted
        return new

    def _shared(self) -> tuple[str, ...]:
        """Tensors that are the same for the whole batch."""
        return ()

    def _extended_shape(self, sample_shape: Shape = ()) -> tuple[int, ...]:
        """The shape of so many samples."""
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    # ---- samples ----------------------------------------------------------------------------------------------------

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Samples of shape ``sample_shape + batch_shape + event_shape``, without a graph."""
        with cr.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Samples that are differentiable functions of the parameters."""
        raise NotImplementedError(
            f"{type(self).__name__}: its samples are no differentiable function of its parameters; use sample(), and "
            "log_prob() of what it gives for a score-function estimate"
        )

    def sample_n(self, n: int) -> Tensor:
        """``n`` samples, as ``sample((n,))``."""
        return self.sample((n,))

    # ---- what is known of it ----------------------------------------------------------------------------------------

    def _lacks(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} has no {what} in closed form")

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density (or of the probability) at ``value``."""
        raise self._lacks("log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of a sample that is at most ``value``."""
        raise self._lacks("cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The quantile at probability ``value``: the inverse of :meth:`cdf`."""
        raise self._lacks("icdf")

    def entropy(self) -> Tensor:
        """The entropy of each distribution of the batch, in nats."""
        raise self._lacks("entropy")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values it can take, along a new first dimension; ``expand`` repeats them over the batch."""
        raise NotImplementedError(f"{type(self).__name__}: its values cannot be listed")

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return self.entropy().exp()

    @property
    def mean(self) -> Tensor:
        """The mean."""
        raise self._lacks("mean")

    @property
    def mode(self) -> Tensor:
        """Where the density is largest."""
        raise self._lacks("mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise self._lacks("variance")

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    # ---- checks -----------------------------------------------------------------------------------------------------

    def _validate_sample(self, value: Any) -> None:
        """Raise ValueError where ``value`` has a wrong shape or lies outside of the support."""
        caller = f"{type(self).__name__}.log_prob"
        if not isinstance(value, Tensor):
            raise TypeError(f"{caller}: argument 'value' must be a Tensor, got {type(value).__name__}")
        event = len(self._event_shape)
        if event and tuple(value.shape[-event:]) != tuple(self._event_shape):
            raise ValueError(
                f"{caller}: argument 'value' must end in the event shape {tuple(self._event_shape)}, "
                f"got shape {tuple(value.shape)}"
            )
        batch = value.shape[: value.ndim - event]
        for i, j in zip(reversed(batch), reversed(self._batch_shape), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"{caller}: argument 'value' of shape {tuple(value.shape)} does not broadcast against "
                    f"batch shape {tuple(self._batch_shape)} and event shape {tuple(self._event_shape)}"
                )
        try:
            support = self.support
        except NotImplementedError:
            return
        with cr.no_grad():
            inside = bool(support.check(value).all())
        if not inside:
            raise ValueError(
                f"{caller}: expected argument 'value' to be within the support {support!r}, but found {value!r}"
            )

    def __repr__(self) -> str:
        shown = [(name, self.__dict__[name]) for name in self.arg_constraints if name in self.__dict__]
        arguments = ", ".join(f"{name}: {v if v.numel() == 1 else tuple(v.shape)}" for name, v in shown)
        return f"{type(self).__name__}({arguments})"
