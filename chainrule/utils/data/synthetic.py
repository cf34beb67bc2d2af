"""Small data sets that are made, not loaded: XOR, moons, circles, spirals and blobs, with scikit-learn's arguments.

Each gives ``(X, y)``: float32 points (or the default dtype) and int64 class numbers. The same seed gives the same set.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import chainrule as cr
from chainrule.autograd.random import Generator
from chainrule.autograd.tensor import Tensor

Points = tuple[Tensor, Tensor]


def make_xor(
    n_samples: int = 100,
    *,
    shuffle: bool = True,
    noise: float | None = None,
    random_state: int | Generator | None = None,
) -> Points:
    """The corners of a square, of class 0 where both coordinates are equal and of class 1 where they differ.

    Args:
        n_samples: how many points; 4 gives each corner once.
        shuffle: in random order.
        noise: standard deviation of what is added to the points.
        random_state: a seed, or a Generator (default: the global one).

    Example:
        >>> from chainrule.utils.data.synthetic import make_xor
        >>> X, y = make_xor(4, shuffle=False)
        >>> X.tolist(), y.tolist()
        ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])
    """
    corner = cr.arange(_count("make_xor", n_samples)) % 4
    points = cr.stack([corner // 2, corner % 2], 1).to(cr.get_default_dtype())
    return _finished(points, (corner // 2 != corner % 2).long(), shuffle, noise, random_state)


def make_moons(
    n_samples: int | tuple[int, int] = 100,
    *,
    shuffle: bool = True,
    noise: float | None = None,
    random_state: int | Generator | None = None,
) -> Points:
    """Two half circles that reach into each other.

    Args:
        n_samples: how many points, or how many in each moon.
        shuffle, noise, random_state: as in :func:`make_xor`.

    Example:
        >>> from chainrule.utils.data.synthetic import make_moons
        >>> X, y = make_moons(100, noise=0.1, random_state=0)
        >>> X.shape, y.sum()
        ((100, 2), tensor(50))
    """
    outer, inner = _halves("make_moons", n_samples)
    a, b = cr.linspace(0, math.pi, outer), cr.linspace(0, math.pi, inner)
    points = cr.cat([cr.stack([a.cos(), a.sin()], 1), cr.stack([1 - b.cos(), 0.5 - b.sin()], 1)])
    return _finished(points, _labels(outer, inner), shuffle, noise, random_state)


def make_circles(
    n_samples: int | tuple[int, int] = 100,
    *,
    shuffle: bool = True,
    noise: float | None = None,
    random_state: int | Generator | None = None,
    factor: float = 0.8,
) -> Points:
    """A circle of radius 1 and one of radius ``factor`` inside it.

    Args:
        n_samples: how many points, or how many on the outer and on the inner circle.
        factor: from 0 to less than 1.
        shuffle, noise, random_state: as in :func:`make_xor`.

    Example:
        >>> from chainrule.utils.data.synthetic import make_circles
        >>> X, y = make_circles(6, factor=0.5, random_state=0)
        >>> (X[y == 1] ** 2).sum(1)
        tensor([0.2500, 0.2500, 0.2500])
    """
    if not 0 <= factor < 1:
        raise ValueError(f"make_circles: factor must be from 0 to less than 1, got {factor}")
    outer, inner = _halves("make_circles", n_samples)
    rings = []
    for count, radius in ((outer, 1.0), (inner, factor)):
        angle = cr.arange(count).to(cr.get_default_dtype()) * (2 * math.pi / max(count, 1))
        rings.append(cr.stack([angle.cos(), angle.sin()], 1) * radius)
    return _finished(cr.cat(rings), _labels(outer, inner), shuffle, noise, random_state)


def make_spirals(
    n_samples: int = 100,
    n_classes: int = 2,
    *,
    turns: float = 1.0,
    shuffle: bool = True,
    noise: float | None = None,
    random_state: int | Generator | None = None,
) -> Points:
    """Arms that turn around the origin, one for each class, from radius 0 to 1.

    Args:
        n_samples: how many points in all.
        turns: how often each arm goes around.
        shuffle, noise, random_state: as in :func:`make_xor`.

    Example:
        >>> from chainrule.utils.data.synthetic import make_spirals
        >>> X, y = make_spirals(90, n_classes=3, noise=0.05, random_state=0)
        >>> y.bincount()
        tensor([30, 30, 30])
    """
    if n_classes < 1:
        raise ValueError(f"make_spirals: n_classes must be positive, got {n_classes}")
    number = cr.arange(_count("make_spirals", n_samples))
    arm, step = number % n_classes, number // n_classes
    radius = (step + 1).to(cr.get_default_dtype()) / (-(-n_samples // n_classes))
    angle = 2 * math.pi * (turns * radius + arm / n_classes)
    points = cr.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return _finished(points, arm, shuffle, noise, random_state)


def make_blobs(
    n_samples: int | Sequence[int] = 100,
    n_features: int = 2,
    *,
    centers: int | Sequence[Sequence[float]] | Tensor | None = None,
    cluster_std: float | Sequence[float] = 1.0,
    center_box: tuple[float, float] = (-10.0, 10.0),
    shuffle: bool = True,
    random_state: int | Generator | None = None,
    return_centers: bool = False,
) -> Any:
    """Normal clouds around centres.

    Args:
        n_samples: how many points in all, or in each blob.
        n_features: coordinates of a point, where ``centers`` does not say.
        centers: how many (default: 3), or the centres themselves.
        cluster_std: standard deviation, of all blobs or of each.
        center_box: where the centres lie if they are drawn.
        shuffle, random_state: as in :func:`make_xor`.
        return_centers: give ``(X, y, centers)``.

    Example:
        >>> from chainrule.utils.data.synthetic import make_blobs
        >>> X, y = make_blobs(60, centers=[[0.0, 0.0], [9.0, 9.0]], random_state=0)
        >>> X.shape, y.bincount()
        ((60, 2), tensor([30, 30]))
    """
    generator = _generator(random_state)
    dtype = cr.get_default_dtype()
    each = list(n_samples) if isinstance(n_samples, Sequence) else None
    if centers is None or isinstance(centers, int):
        count = len(each) if each is not None else 3 if centers is None else centers
        if centers is not None and count != centers:
            raise ValueError(f"make_blobs: {len(each or [])} values of n_samples do not fit {centers} centers")
        low, high = center_box
        places = low + (high - low) * cr.rand(count, n_features, generator=generator)
    else:
        places = cr.as_tensor(centers, dtype=dtype)
        if places.ndim != 2:
            raise ValueError(f"make_blobs: centers must be (blobs, features), got shape {tuple(places.shape)}")
    blobs, features = places.shape
    if each is None:
        total = _count("make_blobs", n_samples)
        each = [total // blobs + (i < total % blobs) for i in range(blobs)]
    spread = list(cluster_std) if isinstance(cluster_std, Sequence) else [cluster_std] * blobs
    for name, values in (("n_samples", each), ("cluster_std", spread)):
        if len(values) != blobs:
            raise ValueError(f"make_blobs: {name} must have one value for each of {blobs} blobs, got {len(values)}")
    y = cr.cat([cr.full((n,), i) for i, n in enumerate(each)]).long()
    noise = cr.randn(int(y.shape[0]), features, generator=generator)
    X = places[y] + noise * cr.tensor(spread, dtype=dtype)[y].unsqueeze(1)
    X, y = _finished(X, y, shuffle, None, generator)
    return (X, y, places) if return_centers else (X, y)


def _count(caller: str, n_samples: Any) -> int:
    if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 1:
        raise ValueError(f"{caller}: n_samples must be a positive integer, got {n_samples!r}")
    return n_samples


def _halves(caller: str, n_samples: Any) -> tuple[int, int]:
    if isinstance(n_samples, (tuple, list)):
        if len(n_samples) != 2 or not all(isinstance(n, int) and n >= 0 for n in n_samples):
            raise ValueError(f"{caller}: n_samples must be an integer or two, got {n_samples!r}")
        return n_samples[0], n_samples[1]
    half = _count(caller, n_samples) // 2
    return half, n_samples - half


def _labels(first: int, second: int) -> Tensor:
    return cr.cat([cr.zeros(first), cr.ones(second)]).long()


def _generator(random_state: int | Generator | None) -> Generator | None:
    if random_state is None or isinstance(random_state, Generator):
        return random_state
    return cr.Generator().manual_seed(random_state)


def _finished(points: Tensor, y: Tensor, shuffle: bool, noise: float | None, random_state: Any) -> Points:
    generator = _generator(random_state)
    if shuffle:
        order = cr.randperm(int(y.shape[0]), generator=generator)
        points, y = points[order], y[order]
    if noise is not None:
        points = points + noise * cr.randn(*points.shape, generator=generator)
    return points, y
