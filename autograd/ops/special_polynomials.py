"""Orthogonal polynomials by their three-term recurrences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from chainrule.autograd.op import OPS, op
from chainrule.autograd.op import traced as xp_of_tensors
from chainrule.autograd.public import function
from chainrule.autograd.runtime import harmonise, to_floating
from chainrule.autograd.samples import Sample, Samples, normal, special
from chainrule.autograd.tensor import Tensor

#: p(k + 1) = (a * x + b) * p(k) - c * p(k - 1), where p(0) = 1 and p(-1) = 0: k -> (a, b, c)
_RECURRENCES: dict[str, Callable[[int], tuple[float, float, float]]] = {
    "chebyshev_t": lambda k: (2 if k else 1, 0, 1),
    "chebyshev_u": lambda k: (2, 0, 1),
    "chebyshev_v": lambda k: (2, 0 if k else -1, 1),
    "chebyshev_w": lambda k: (2, 0 if k else 1, 1),
    "hermite_h": lambda k: (2, 0, 2 * k),
    "hermite_he": lambda k: (1, 0, k),
    "laguerre_l": lambda k: (-1 / (k + 1), (2 * k + 1) / (k + 1), k / (k + 1)),
    "legendre_p": lambda k: ((2 * k + 1) / (k + 1), 0, k / (k + 1)),
}

#: SciPy's names, where it has the polynomial
_SCIPY = {
    "chebyshev_t": "eval_chebyt", "chebyshev_u": "eval_chebyu", "hermite_h": "eval_hermite",
    "hermite_he": "eval_hermitenorm", "laguerre_l": "eval_laguerre", "legendre_p": "eval_legendre",
}  # fmt: skip


def _samples(rng: Any) -> Any:
    for family in _SCIPY:
        n = np.array([0.0, 1.0, 2.0, 3.0, 6.0])
        yield Sample((normal(rng, 2, 5, low=-0.9, high=0.9), n), {"family": family})
    yield Sample((normal(rng, 3), np.array(4.0)), {"family": "hermite_he"})
    yield Sample((normal(rng, 0), np.array(4.0)), {"family": "hermite_he"})
    yield Sample((normal(rng), np.array([-1.0, 2.0])), {"family": "legendre_p"})


def _reference(x: Any, n: Any, family: str) -> Any:
    return np.where(n < 0, 0.0, getattr(special, _SCIPY[family])(np.maximum(n, 0).astype(int), x))


def _next_derivative(xp: Any, g: Any, x: Any, n: Any, family: str, derivative: int) -> Any:
    return g * xp.polynomial(x, n, family=family, derivative=derivative + 1)


@op(
    vjp={"x": _next_derivative},
    check=Samples(_samples, reference=_reference),
    broadcasts=True,
)
def polynomial(xp, x, n, *, family, derivative=0):
    """The polynomial of degree ``n`` (a float array of whole numbers) of a family, or a derivative of it, at x.

    The recurrence is differentiated with the polynomials: all orders up to the wanted one advance together.
    """
    x, n = xp.broadcast_arrays(x, n)
    zero = xp.zeros_like(x)
    before = [zero] * (derivative + 1)
    now = [xp.ones_like(x), *before[1:]]
    out = xp.where(n == 0, now[derivative], zero)
    highest = int(xp.max(n)) if 0 not in n.shape else 0
    for k in range(highest):
        a, b, c = _RECURRENCES[family](k)
        slope = a * x + b
        after = [slope * now[0] - c * before[0]]
        after += [slope * now[d] + (d * a) * now[d - 1] - c * before[d] for d in range(1, derivative + 1)]
        before, now = now, after
        out = xp.where(n == k + 1, now[derivative], out)
    return out


def _publish(name: str, family: str, what: str, shown: str, shifted: bool = False) -> None:
    def polynomial_of_degree(input: Any, n: Any) -> Tensor:
        x, degree = to_floating(*harmonise(OPS["polynomial"], input, n))
        degree = xp_of_tensors.trunc(degree.detach())
        if shifted:
            x = x * 2.0 - 1.0
        return xp_of_tensors.polynomial(x, degree, family=family)

    polynomial_of_degree.__name__ = name
    polynomial_of_degree.__doc__ = f"""{what} of degree ``n``, a whole number or a tensor of them; 0 for negative n.

    It has a gradient with respect to ``input``. The time grows with the largest degree.

    Example:
        >>> import chainrule as cr
        >>> cr.special.{name}(cr.tensor([0.5, 2.0]), 2)
        {shown}
    """
    function(f"special.{name}")(polynomial_of_degree)


for _row in (
    (
        "chebyshev_polynomial_t",
        "chebyshev_t",
        "The Chebyshev polynomial of the first kind",
        "tensor([-0.5000,  7.0000])",
        False,
    ),
    (
        "chebyshev_polynomial_u",
        "chebyshev_u",
        "The Chebyshev polynomial of the second kind",
        "tensor([ 0., 15.])",
        False,
    ),
    (
        "chebyshev_polynomial_v",
        "chebyshev_v",
        "The Chebyshev polynomial of the third kind",
        "tensor([-1., 11.])",
        False,
    ),
    (
        "chebyshev_polynomial_w",
        "chebyshev_w",
        "The Chebyshev polynomial of the fourth kind",
        "tensor([ 1., 19.])",
        False,
    ),
    (
        "shifted_chebyshev_polynomial_t",
        "chebyshev_t",
        "The shifted Chebyshev polynomial of the first kind",
        "tensor([-1., 17.])",
        True,
    ),
    (
        "shifted_chebyshev_polynomial_u",
        "chebyshev_u",
        "The shifted Chebyshev polynomial of the second kind",
        "tensor([-1., 35.])",
        True,
    ),
    (
        "shifted_chebyshev_polynomial_v",
        "chebyshev_v",
        "The shifted Chebyshev polynomial of the third kind",
        "tensor([-1., 29.])",
        True,
    ),
    (
        "shifted_chebyshev_polynomial_w",
        "chebyshev_w",
        "The shifted Chebyshev polynomial of the fourth kind",
        "tensor([-1., 41.])",
        True,
    ),
    ("hermite_polynomial_h", "hermite_h", "The physicist's Hermite polynomial", "tensor([-1., 14.])", False),
    (
        "hermite_polynomial_he",
        "hermite_he",
        "The probabilist's Hermite polynomial",
        "tensor([-0.7500,  3.0000])",
        False,
    ),
    ("laguerre_polynomial_l", "laguerre_l", "The Laguerre polynomial", "tensor([ 0.1250, -1.0000])", False),
    ("legendre_polynomial_p", "legendre_p", "The Legendre polynomial", "tensor([-0.1250,  5.5000])", False),
):
    _publish(*_row)
