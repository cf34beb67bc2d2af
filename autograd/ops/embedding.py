"""Rows of a table by number."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.autograd.op import op
from chainrule.autograd.samples import Sample, Samples, normal


def _spread(xp: Any, g: Any, index: Any, factor: Any, x_shape: tuple[int, ...]) -> Any:
    if factor is not None:
        g = g * xp.reshape(factor, shape=(*factor.shape, 1))
    return xp.add_rows(g, index, shape=x_shape)


def _samples(rng: Any) -> Any:
    for shape in ((3,), (2, 2), (), (0,)):
        yield Sample((normal(rng, 4, 3), rng.integers(0, 4, shape), None))


def _add_rows_reference(x: Any, index: Any, shape: Any) -> Any:
    out = np.zeros(shape)
    np.add.at(out, index, x)
    return out


@op(
    vjp={"x": _spread},
    check=Samples(_samples, reference=lambda x, index, factor: x[index]),
    label="embedding",
    arithmetic=False,
)
def table_rows(xp, x, index, factor=None):
    """``x[index]``; what each row gives to the gradient is multiplied by ``factor``, of the shape of ``index``."""
    return xp.copy(xp.take(x, index, axis=0)) if index.ndim == 0 else xp.take(x, index, axis=0)


@op(
    vjp={"x": lambda xp, g, index: xp.table_rows(g, index)},
    check=Samples(
        lambda rng: [
            Sample((normal(rng, 3, 2), np.array([1, 3, 1])), {"shape": (4, 2)}),
            Sample((normal(rng, 2, 2, 2), np.array([[0, 3], [2, 0]])), {"shape": (4, 2)}),
        ],
        reference=_add_rows_reference,
    ),
)
def add_rows(xp, x, index, *, shape):
    """Zeros of the given shape with the rows of ``x`` added at the row numbers ``index``."""
    return xp.scatter_add_at(xp.zeros(shape, dtype=x.dtype), index, x)
