"""``vmap``: a function of one element, run on a whole batch at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from chainrule.autograd import batching
from chainrule.autograd.op import traced
from chainrule.autograd.runtime import describe
from chainrule.autograd.tensor import Tensor
from chainrule.autograd.tree import broadcast_prefix, flatten


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """A function that maps ``func`` over a dimension of its arguments as a loop would, but runs each operation once.

    Inside ``func`` a tensor looks like one element of the batch. Operations without a batching rule run in a loop,
    with one warning for each operation. Keyword arguments are mapped over their dimension 0.

    Args:
        in_dims: the dimension of each argument to map over; None: the argument is the same for all. One entry for all,
            or a nest like the arguments.
        out_dims: where the batch stands in the results; one entry for all, or a nest like the results.
        randomness: ``"error"`` (random functions raise), ``"different"`` or ``"same"`` random numbers for the elements.
        chunk_size: how many elements to run at once; all by default.

    Raises:
        ValueError: the arguments have no dimension to map over, or of another length.

    Example:
        >>> import chainrule as cr
        >>> cr.vmap(cr.dot)(cr.tensor([[1.0, 2.0], [3.0, 4.0]]), cr.ones(2, 2))
        tensor([3., 7.])
        >>> per_sample = cr.vmap(cr.func.grad(lambda w, x: (w * x).sum()), in_dims=(None, 0))
        >>> per_sample(cr.ones(2), cr.tensor([[1.0, 2.0], [3.0, 4.0]]))
        tensor([[1., 2.],
                [3., 4.]])
    """
    if randomness not in ("error", "different", "same"):
        raise ValueError(f"vmap: randomness must be 'error', 'different' or 'same', got {randomness!r}")
    if chunk_size is not None and (not isinstance(chunk_size, int) or chunk_size < 1):
        raise ValueError(f"vmap: chunk_size must be None or a positive number, got {chunk_size!r}")

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        leaves, spec, dims, size = _arguments(args, kwargs, in_dims)
        if chunk_size is None or size <= chunk_size:
            results, shape = _run(func, leaves, spec, dims, size, randomness)
        else:
            parts = []
            for start in range(0, size, chunk_size):
                length = min(chunk_size, size - start)
                chunk = [t if d is None else t.narrow(d, start, length) for t, d in zip(leaves, dims)]
                done, shape = _run(func, chunk, spec, dims, length, randomness)
                parts.append(done)
            results = [traced.concatenate(*pieces, axis=0) for pieces in zip(*parts, strict=True)]
        return shape.build(_placed(results, shape, out_dims))

    return wrapper


def _arguments(args: Any, kwargs: Any, in_dims: Any) -> tuple[list[Any], Any, list[int | None], int]:
    """The leaves of the arguments with the dimension of each, and the size of the batch."""
    if not args and not kwargs:
        raise ValueError("vmap: the function was called without arguments, so there is nothing to map over")
    if isinstance(in_dims, list):
        in_dims = tuple(in_dims)
    if not isinstance(in_dims, (int, tuple)) or isinstance(in_dims, bool):
        raise ValueError(f"vmap: in_dims must be an int or a tuple like the arguments, got {in_dims!r}")
    if isinstance(in_dims, tuple) and len(in_dims) != len(args):
        raise ValueError(f"vmap: in_dims has {len(in_dims)} entries for {len(args)} arguments")
    leaves, spec = flatten((args, kwargs))
    _, args_spec = flatten(args)
    given = broadcast_prefix(in_dims, args_spec, "vmap: in_dims")
    given += [0 if isinstance(t, Tensor) else None for t in leaves[len(given) :]]
    if isinstance(in_dims, int):  # one entry for all tensors; what is no tensor is passed on
        given = [d if isinstance(t, Tensor) else None for t, d in zip(leaves, given)]
    dims: list[int | None] = []
    sizes: dict[int, Tensor] = {}
    for t, d in zip(leaves, given):
        if d is None:
            dims.append(None)
            continue
        if not isinstance(d, int) or isinstance(d, bool):
            raise ValueError(f"vmap: in_dims must have ints or None, got {d!r}")
        if not isinstance(t, Tensor):
            raise ValueError(f"vmap: in_dims is {d} for an argument that is no Tensor, {describe(t)}; give None for it")
        n = t._data.ndim
        if not -n <= d < n:
            raise ValueError(f"vmap: in_dims is {d} for a {describe(t)}, which has no such dimension")
        dims.append(d % n)
        sizes.setdefault(t._data.shape[d], t)
    if not sizes:
        raise ValueError("vmap: in_dims is None for every argument, so there is nothing to map over")
    if len(sizes) > 1:
        raise ValueError(f"vmap: the mapped dimensions must have one length, got {sorted(sizes)}")
    return leaves, spec, dims, next(iter(sizes))


def _run(
    func: Callable[..., Any], leaves: list[Any], spec: Any, dims: list[int | None], size: int, randomness: str
) -> tuple[list[Any], Any]:
    """One run; the results have the batch in dimension 0."""
    level = batching.new_level(size, randomness)
    batching.active.levels.append(level)
    try:
        args, kwargs = spec.build([t if d is None else batching.enter(t, level, d) for t, d in zip(leaves, dims)])
        found, shape = flatten(func(*args, **kwargs))
    finally:
        batching.active.levels.remove(level)
    for t in found:
        if not isinstance(t, Tensor):
            raise ValueError(
                f"vmap: the function must return Tensors (in nested tuples, lists or dicts), got {describe(t)}"
            )
    return [batching.exit(t, level, 0) for t in found], shape


def _placed(results: list[Any], shape: Any, out_dims: Any) -> list[Any]:
    placed = []
    for t, d in zip(results, broadcast_prefix(out_dims, shape, "vmap: out_dims"), strict=True):
        n = t._data.ndim
        if d is None:  # the same for all elements
            placed.append(t[0])
            continue
        if not isinstance(d, int) or not -n <= d < n:
            raise ValueError(f"vmap: out_dims is {d!r} for a result of {n} dimensions with the batch")
        placed.append(t if d % n == 0 else traced.permute_dims(t, axes=_order(n, d % n)))
    return placed


def _order(n: int, dim: int) -> tuple[int, ...]:
    axes = list(range(1, n))
    axes.insert(dim, 0)
    return tuple(axes)
