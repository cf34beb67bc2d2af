"""Nested tuples, lists and dicts of tensors: taken apart into a flat list, and put together again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Spec:
    """The shape of a nest: what its containers are, and where the leaves stand."""

    __slots__ = ("kind", "keys", "children", "count")

    def __init__(self, kind: Any, keys: tuple[Any, ...], children: tuple[Spec, ...]) -> None:
        self.kind = kind  # the container's class; None for a leaf
        self.keys = keys
        self.children = children
        self.count: int = sum([c.count for c in children]) if kind is not None else 1

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Spec)
            and (self.kind, self.keys) == (other.kind, other.keys)
            and self.children == other.children
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return str(self.build(["*"] * self.count))

    def build(self, leaves: Any) -> Any:
        """The nest of this shape with these leaves."""
        return _build(self, iter(leaves))


LEAF = Spec(None, (), ())


def flatten(value: Any) -> tuple[list[Any], Spec]:
    """The leaves of nested tuples, lists and dicts, in order, and the shape of the nest.

    Example:
        >>> leaves, spec = flatten({"w": 1, "b": (2, [3])})
        >>> leaves
        [1, 2, 3]
        >>> spec.build(v * 10 for v in leaves)
        {'w': 10, 'b': (20, [30])}
    """
    leaves: list[Any] = []
    return leaves, _flatten(value, leaves)


def _flatten(value: Any, leaves: list[Any]) -> Spec:
    if isinstance(value, (tuple, list)):
        return Spec(type(value), (), tuple([_flatten(v, leaves) for v in value]))
    if isinstance(value, dict):
        return Spec(type(value), tuple(value), tuple([_flatten(v, leaves) for v in value.values()]))
    leaves.append(value)
    return LEAF


def _build(spec: Spec, leaves: Any) -> Any:
    if spec.kind is None:
        return next(leaves)
    parts = [_build(c, leaves) for c in spec.children]
    if issubclass(spec.kind, dict):
        made = dict(zip(spec.keys, parts, strict=True))
        return made if spec.kind is dict else spec.kind(made)
    return spec.kind(*parts) if hasattr(spec.kind, "_fields") else spec.kind(parts)


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """The same nest with ``function`` of each leaf.

    Example:
        >>> tree_map(len, {"a": "xy", "b": ["z"]})
        {'a': 2, 'b': [1]}
    """
    leaves, spec = flatten(value)
    return spec.build([function(v) for v in leaves])


def broadcast_prefix(prefix: Any, spec: Spec, what: str) -> list[Any]:
    """One entry of ``prefix`` for each leaf of ``spec``: an entry that stands for a whole subtree counts for all of it.

    Raises ValueError where ``prefix`` does not have the shape of the upper part of ``spec``.

    Example:
        >>> _, spec = flatten((1, {"a": 2, "b": 3}))
        >>> broadcast_prefix((0, None), spec, "in_dims")
        [0, None, None]
    """
    if not isinstance(prefix, (tuple, list, dict)):
        return [prefix] * spec.count
    keys = tuple(prefix) if isinstance(prefix, dict) else ()
    parts = prefix.values() if isinstance(prefix, dict) else prefix
    if (
        spec.kind is None
        or isinstance(prefix, dict) != issubclass(spec.kind, dict)
        or len(prefix) != len(spec.children)
    ):
        raise ValueError(f"{what}: {prefix!r} does not fit the structure {spec!r}")
    if keys and set(keys) != set(spec.keys):
        raise ValueError(f"{what}: the keys {sorted(map(str, keys))} are not those of {spec!r}")
    if keys:
        parts = [prefix[k] for k in spec.keys]
    return [
        entry for part, child in zip(parts, spec.children, strict=True) for entry in broadcast_prefix(part, child, what)
    ]
