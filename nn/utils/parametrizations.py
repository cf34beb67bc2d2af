"""Weights of bounded norm and orthogonal weights, as parametrisations."""

from __future__ import annotations

import functools
from typing import Any

from chainrule.autograd.functions import (
    cat,
    eye,
    geqrf,
    matrix_exp,
    mv,
    norm_except_dim,
    randn,
    vdot,
    zeros,
    zeros_like,
)
from chainrule.autograd.modes import no_grad
from chainrule.autograd.public import FUNCTIONS
from chainrule.autograd.queries import finfo
from chainrule.autograd.tensor import Tensor
from chainrule.nn import functional as F
from chainrule.nn.module import Module
from chainrule.nn.utils.parametrize import register_parametrization

_householder = FUNCTIONS["linalg.householder_product"]


def _tensor_of(caller: str, module: Module, name: str) -> Tensor:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise ValueError(f"{caller}: {type(module).__name__} has no parameter or buffer {name!r}")
    return found


# ---- length and direction apart -------------------------------------------------------------------------------------


class _WeightNorm(Module):
    """``v * g / norm(v)`` from g (``original0``) and v (``original1``)."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, 2, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, 2, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn a weight's length and direction apart: ``g * v / norm(v)`` (Salimans and Kingma, 2016).

    Args:
        name: of the parameter.
        dim: the dimension whose entries have a length each; None for one length of everything.

    Returns:
        the module; state dicts of the older :func:`chainrule.nn.utils.weight_norm` can be loaded into it.

    Example:
        >>> from chainrule import nn
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        (40, 1)
    """
    _tensor_of("weight_norm", module, name)
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
    module._register_load_state_dict_pre_hook(functools.partial(_rename, name))
    return module


def _rename(name: str, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    """What the older function calls length and direction, under the names that they have now."""
    new = f"{prefix}parametrizations.{name}.original"
    if f"{prefix}{name}_g" in state_dict and f"{prefix}{name}_v" in state_dict:
        state_dict[new + "0"] = state_dict.pop(f"{prefix}{name}_g")
        state_dict[new + "1"] = state_dict.pop(f"{prefix}{name}_v")


# ---- largest singular value 1 ----------------------------------------------------------------------------------------


class _SpectralNorm(Module):
    """A weight divided by its largest singular value, which power iteration follows while the weight changes."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if not -weight.ndim <= dim < weight.ndim:
            raise IndexError(f"spectral_norm: dim must be in [{-weight.ndim}, {weight.ndim - 1}], got {dim}")
        if n_power_iterations <= 0:
            raise ValueError(f"spectral_norm: n_power_iterations must be positive, got {n_power_iterations}")
        self.dim = dim % weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim > 1:  # of a vector the norm is known
            with no_grad():
                matrix = self._matrix(weight.detach())
                like: dict[str, Any] = {"dtype": matrix.dtype, "device": matrix.device}
                for name, size in (("_u", matrix.shape[0]), ("_v", matrix.shape[1])):
                    self.register_buffer(name, F.normalize(randn(size, **like), dim=0, eps=eps))
            self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _iterate(self, matrix: Tensor, steps: int) -> None:
        with no_grad():
            for _ in range(steps):
                self._u.copy_(F.normalize(mv(matrix, self._v), dim=0, eps=self.eps))
                self._v.copy_(F.normalize(mv(matrix.mH, self._u), dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix.detach(), self.n_power_iterations)
        # copies, for a later call changes u and v in place before this one is differentiated
        return weight / vdot(self._u.clone(), mv(matrix, self._v.clone()))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def default_dim(module: Module) -> int:
    """The dimension of a weight that holds the outputs: 1 in transposed convolutions, else 0."""
    return 1 if any(cls.__name__.startswith("ConvTranspose") for cls in type(module).__mro__) else 0


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide a weight by its largest singular value (Miyato et al., 2018), estimated by power iteration.

    Args:
        name: of the parameter.
        n_power_iterations: steps in each call in training.
        eps: the least norm that is divided by.
        dim: the dimension of the outputs; by default 1 for transposed convolutions, else 0.

    Returns:
        the module.

    Example:
        >>> import chainrule as cr
        >>> layer = cr.nn.utils.parametrizations.spectral_norm(cr.nn.Linear(4, 3), n_power_iterations=50)
        >>> round(cr.linalg.matrix_norm(layer.weight, 2).item(), 4)
        1.0
    """
    weight = _tensor_of("spectral_norm", module, name)
    dim = default_dim(module) if dim is None else dim
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


# ---- orthogonal matrices ---------------------------------------------------------------------------------------------


def _orthogonalised(a: Tensor) -> Tensor:
    """Orthonormal columns that span what those of ``a`` do: Q of a QR decomposition whose R has a positive diagonal."""
    packed, tau = geqrf(a)
    return _householder(packed, tau) * packed.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q: Tensor) -> bool:
    k = q.shape[-1]
    tolerance = 10 * k * finfo(q.dtype).eps
    return bool(((q.mH @ q - eye(k, dtype=q.dtype, device=q.device)).abs() <= tolerance).all())


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows, where it is wider than high) from one without constraints."""

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("orthogonal: the map 'householder' takes no complex tensors; use 'matrix_exp' or 'cayley'")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Tensor) -> Tensor:
        n, k = X.shape[-2:]
        transposed = n < k
        if transposed:
            X, n, k = X.mT, k, n
        if self.orthogonal_map == "householder":
            # reflections along the columns of A, whose diagonal counts as 1; signs stand on the diagonal of X
            A = X.tril(-1)
            Q = _householder(A, 2.0 / (1.0 + (A * A).sum(-2))) * X.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
        else:
            X = X.tril()
            if n != k:
                rest = zeros(*X.shape[:-1], n - k, dtype=X.dtype, device=X.device)
                X = cat([X, rest], -1)
            A = X - X.mH
            if self.orthogonal_map == "matrix_exp":
                Q = matrix_exp(A)
            else:
                one = eye(n, dtype=A.dtype, device=A.device)
                Q = FUNCTIONS["linalg.solve"](one - A / 2, one + A / 2)
            Q = Q[..., :k]
        if self.use_trivialization and self.base is not None:
            Q = self.base @ Q
        return Q.mT if transposed else Q

    def right_inverse(self, Q: Tensor) -> Tensor:
        if Q.shape != self.shape:
            raise ValueError(f"orthogonal: expected a tensor of shape {tuple(self.shape)}, got {tuple(Q.shape)}")
        given = Q
        n, k = Q.shape[-2:]
        transposed = n < k
        if transposed:
            Q, n, k = Q.mT, k, n
        if not self.use_trivialization:
            if self.orthogonal_map != "householder":
                raise NotImplementedError("'matrix_exp' and 'cayley' cannot be inverted without trivialization")
            packed, tau = geqrf(Q)
            diagonal = packed.diagonal(dim1=-2, dim2=-1)
            # the signs of R's diagonal; a reflection that was left out (tau 0) counts as one, of the other sign
            signs = diagonal.sign() * (1 - 2 * (tau == 0).to(packed.dtype))
            diagonal.copy_(signs)
            return packed.mT if transposed else packed
        if n == k:
            Q = Q.clone() if _is_orthogonal(Q) else _orthogonalised(Q)
        else:  # the missing columns are random
            rest = randn(*Q.shape[:-1], n - k, dtype=Q.dtype, device=Q.device)
            Q = _orthogonalised(cat([Q, rest], -1))
        self.base = Q
        start = zeros_like(given)  # both families of maps take minus the identity to the identity
        start.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return start


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep a weight orthogonal, or its columns or rows orthonormal, while an optimizer changes it freely.

    Args:
        name: of the parameter; with more than two dimensions, matrices are its last two.
        orthogonal_map: how orthogonal matrices are made: ``"matrix_exp"`` and ``"cayley"`` of a skew-symmetric matrix,
            or ``"householder"`` reflections; by default ``"matrix_exp"`` for square and complex matrices, else
            ``"householder"``.
        use_trivialization: start from the present weight (Lezcano-Casado, 2019); it allows assigning the weight.

    Returns:
        the module.

    Raises:
        ValueError: there is no such tensor, it has fewer than two dimensions, or the map is not known.

    Example:
        >>> import chainrule as cr
        >>> weight = cr.nn.utils.parametrizations.orthogonal(cr.nn.Linear(4, 2)).weight
        >>> bool(cr.allclose(weight @ weight.T, cr.eye(2), atol=1e-5))
        True
    """
    weight = _tensor_of("orthogonal", module, name)
    if weight.ndim < 2:
        raise ValueError(f"orthogonal: expected a tensor of two or more dimensions, got shape {tuple(weight.shape)}")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f"orthogonal: orthogonal_map must be 'matrix_exp', 'cayley' or 'householder', got {orthogonal_map!r}"
        )
    return register_parametrization(
        module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True
    )
