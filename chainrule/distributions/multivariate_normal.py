"""The normal distribution over vectors."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import chainrule as cr
from chainrule.autograd.tensor import Tensor
from chainrule.distributions import constraints
from chainrule.distributions.arguments import Shape, lazy_property, one_of
from chainrule.distributions.distribution import Distribution


def mahalanobis(scale_tril: Tensor, difference: Tensor) -> Tensor:
    """The squared length of ``inverse(L) @ difference``, for L (..., D, D) and differences (..., D).

    Example:
        >>> import chainrule as cr
        >>> mahalanobis(2 * cr.eye(2), cr.tensor([2.0, 2.0]))
        tensor(2.)
    """
    if scale_tril.ndim == 2:  # one matrix for all: they are the columns of one system
        n = difference.shape[-1]
        columns = difference.reshape(-1, n).T
        solved = cr.linalg.solve_triangular(scale_tril, columns, upper=False)
        return solved.square().sum(0).reshape(difference.shape[:-1])
    solved = cr.linalg.solve_triangular(scale_tril, difference.unsqueeze(-1), upper=False)
    return solved.squeeze(-1).square().sum(-1)


def half_log_determinant(scale_tril: Tensor) -> Tensor:
    """The logarithm of the determinant of L: half of that of ``L @ L.T``.

    Example:
        >>> import chainrule as cr
        >>> half_log_determinant(cr.eye(2))
        tensor(0.)
    """
    return scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class MultivariateNormal(Distribution):
    """The normal distribution over vectors of D numbers.

    Args:
        loc: the mean (..., D).
        covariance_matrix: positive definite (..., D, D).
        precision_matrix: the inverse of the covariance, in its place.
        scale_tril: L, lower triangular with a positive diagonal, where the covariance is ``L @ L.T``; in its place.
            It is what is computed with, so it is the fastest to give.

    Raises:
        ValueError: ``loc`` has no dimension, or not exactly one of the three matrices was given.

    Example:
        >>> import chainrule as cr
        >>> d = MultivariateNormal(cr.zeros(2), cr.eye(2))
        >>> d.log_prob(cr.zeros(2))
        tensor(-1.8379)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        name = one_of("MultivariateNormal", **given)
        matrix = given[name]
        for what, value, least in (("loc", loc, 1), (name, matrix, 2)):
            if not isinstance(value, Tensor) or not value.is_floating_point():
                raise TypeError(
                    f"MultivariateNormal: argument {what!r} must be a floating-point tensor, got "
                    f"{value.dtype if isinstance(value, Tensor) else type(value).__name__}"
                )
            if value.ndim < least:
                raise ValueError(
                    f"MultivariateNormal: argument {what!r} must have at least {least} dimensions, "
                    f"got shape {tuple(value.shape)}"
                )
        assert matrix is not None
        n = loc.shape[-1]
        if tuple(matrix.shape[-2:]) != (n, n):
            raise ValueError(
                f"MultivariateNormal: argument {name!r} must end in ({n}, {n}) as loc has shape {tuple(loc.shape)}, "
                f"got shape {tuple(matrix.shape)}"
            )
        batch = cr.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.loc = loc.expand((*batch, n))
        self.__dict__[name] = matrix.expand((*batch, n, n))
        self._given = matrix  # as it came, not repeated over the batch
        self._given_as = name
        super().__init__(batch, (n,), validate_args=validate_args)

    def _shared(self) -> tuple[str, ...]:
        return ("_given", "_factor")

    @lazy_property
    def _factor(self) -> Tensor:
        """L, not repeated over the batch."""
        if self._given_as == "scale_tril":
            return self._given
        if self._given_as == "covariance_matrix":
            return cr.linalg.cholesky(self._given)
        # reversed in both dimensions, the factor of the precision is the transposed inverse of a lower factor
        reverse = cr.linalg.cholesky(self._given.flip((-2, -1))).flip((-2, -1)).mT
        identity = cr.eye(reverse.shape[-1], dtype=reverse.dtype, device=reverse.device)
        return cr.linalg.solve_triangular(reverse, identity.expand(reverse.shape), upper=False)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """L, the lower triangular factor of the covariance."""
        n = self._event_shape[0]
        return self._factor.expand((*self._batch_shape, n, n))

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """``L @ L.T``."""
        n = self._event_shape[0]
        return (self._factor @ self._factor.mT).expand((*self._batch_shape, n, n))

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance."""
        n = self._event_shape[0]
        identity = cr.eye(n, dtype=self._factor.dtype, device=self._factor.device)
        inverse = cr.linalg.solve_triangular(self._factor, identity.expand(self._factor.shape), upper=False)
        return (inverse.mT @ inverse).expand((*self._batch_shape, n, n))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self._factor.square().sum(-1).expand((*self._batch_shape, *self._event_shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        noise = cr.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self._factor @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        if self._validate_args:
            self._validate_sample(value)
        n = self._event_shape[0]
        distance = mahalanobis(self._factor, value - self.loc)
        return -0.5 * (n * math.log(2 * math.pi) + distance) - half_log_determinant(self._factor)

    def entropy(self) -> Tensor:
        n = self._event_shape[0]
        entropy = 0.5 * n * (1 + math.log(2 * math.pi)) + half_log_determinant(self._factor)
        return entropy.expand(self._batch_shape)
