"""``xp`` for batched arrays: a rule where there is one, else the op's own forward, else a loop over the batch."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from chainrule.autograd.batching import images as images  # more rules
from chainrule.autograd.batching.array import BatchedArray, Level, _array, made, shares
from chainrule.autograd.batching.rules import RULES, bare, elementwise, is_batched
from chainrule.autograd.op import OPS
from chainrule.backends.namespace import FORWARDS

_warned: set[str] = set()


class BatchedNamespace:
    """The functions of the inner namespace, for arrays that have one more dimension than they show."""

    def __init__(self, level: Level, inner: Any) -> None:
        self.level = level
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        rule = RULES.get(name)
        if rule is None and name in FORWARDS:
            rule = _rule_of_op(name)
        if rule is not None:
            return functools.partial(rule, self.level, self.inner)
        if name in FORWARDS:
            return functools.partial(_forward, self, name)
        return functools.partial(loop, self, name)

    def __repr__(self) -> str:
        return f"<xp of vmap level {self.level.number} over {self.inner!r}>"


def _rule_of_op(name: str) -> Any:
    """The rule of an op whose declaration says that it is elementwise."""
    op = OPS.get(name)
    samples = getattr(getattr(op, "check", None), "make", None)
    elementwise_samples = getattr(samples, "__qualname__", "").startswith(("Unary.", "Binary."))
    if op is None or op.outputs or op.variadic or op.view or not elementwise_samples:
        return None
    RULES[name] = elementwise(name)
    return RULES[name]


def _forward(namespace: BatchedNamespace, name: str, *args: Any, **kwargs: Any) -> Any:
    """The op as it was declared, run on the batch; where that cannot be done, one element after the other."""
    if not _differs(namespace.level, args, kwargs):
        return _once(namespace, name, args, kwargs)
    try:
        return FORWARDS[name](namespace, *args, **kwargs)
    except Exception:
        return loop(namespace, name, *args, **kwargs)


def _differs(level: Level, args: Any, kwargs: Any) -> bool:
    return any(is_batched(a, level) for a in (*args, *kwargs.values()))


def _once(namespace: BatchedNamespace, name: str, args: Any, kwargs: Any) -> Any:
    level = namespace.level
    given = [bare(a, level) for a in args]
    result = getattr(namespace.inner, name)(*given, **{k: bare(v, level) for k, v in kwargs.items()})
    if isinstance(result, (tuple, list)):
        return [made(_array(r), level, False, args) for r in result]
    return made(_array(result), level, False, args)


def loop(namespace: BatchedNamespace, name: str, *args: Any, **kwargs: Any) -> Any:
    """One element of the batch after the other: always right, and slow."""
    level = namespace.level
    if not _differs(level, args, kwargs):
        return _once(namespace, name, args, kwargs)
    run = getattr(namespace.inner, name)
    if not level.size:
        raise RuntimeError(f"vmap: {name!r} has no batching rule, and cannot be run on a batch of no elements")

    def part(value: Any, i: int) -> Any:
        return value.data[i, ...] if is_batched(value, level) else bare(value, level)

    results = []
    for i in range(level.size):
        given = [part(a, i) for a in args]
        results.append(run(*given, **{k: part(v, i) for k, v in kwargs.items()}))
    last = results[-1] if isinstance(results[-1], (tuple, list)) else results[-1:]
    arrays = [a for a in given if hasattr(a, "base")]
    copied = any(hasattr(r, "base") and shares(a, r) for a in arrays for r in last)
    if name not in _warned:  # now: an error of the op itself is no reason for a warning
        _warned.add(name)
        label = OPS[name].label if name in OPS else name
        warnings.warn(
            f"vmap: there is no batching rule for {label!r}; it runs once for each of the {level.size} elements of the "
            f"batch, which is slow",
            UserWarning,
            stacklevel=2,
        )
    if isinstance(results[0], (tuple, list)):
        return [_stacked(namespace, list(parts), copied) for parts in zip(*results, strict=True)]
    return _stacked(namespace, results, copied)


def _stacked(namespace: BatchedNamespace, parts: list[Any], copied: bool) -> BatchedArray:
    out = BatchedArray(namespace.inner.stack([_array(p) for p in parts], axis=0), namespace.level, True)
    out.copied = copied
    return out
