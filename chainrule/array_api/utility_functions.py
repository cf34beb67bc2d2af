"""Whether all or any elements are true, and differences of neighbours."""

from __future__ import annotations

from chainrule.array_api.manipulation_functions import concat
from chainrule.array_api.promotion import array
from chainrule.array_api.statistical_functions import Axis, _reduce
from chainrule.autograd.ops.shape import normal_axis
from chainrule.autograd.tensor import Tensor


def all(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether all elements are true (not 0); true of no elements."""
    return _reduce("all", array("all", "x", x), axis, keepdims)


def any(x: Tensor, /, *, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Whether any element is true (not 0); false of no elements."""
    return _reduce("any", array("any", "x", x), axis, keepdims)


def diff(
    x: Tensor, /, *, axis: int = -1, n: int = 1, prepend: Tensor | None = None, append: Tensor | None = None
) -> Tensor:
    """Differences of neighbours along ``axis``, taken ``n`` times."""
    x = array("diff", "x", x)
    if not x.ndim or n < 0:
        raise ValueError(f"diff: expected at least one dimension and n >= 0, got shape {tuple(x.shape)} and n={n}")
    d = normal_axis("diff", axis, x.ndim, "axis")
    parts = [t for t in (prepend, x, append) if t is not None]
    x = concat(parts, axis=d) if len(parts) > 1 else x
    lead = (slice(None),) * d
    for _ in range(n):
        upper, lower = x[(*lead, slice(1, None))], x[(*lead, slice(None, -1))]
        x = upper != lower if x._data.dtype.kind == "b" else upper - lower
    return x
