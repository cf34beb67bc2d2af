"""The rows of the device benchmark: what is computed, its result for comparison, and what a transfer moves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import chainrule as cr

Device = Any


@dataclass(frozen=True, slots=True)
class Work:
    """One row set up on one device.

    Attributes:
        run: the timed function.
        result: computes the row once from its fixed inputs and gives what must agree between devices.
        inputs: host arrays that a caller without data on the device would send there each time.
        fetch: brings the result back to the host, as such a caller would.
    """

    run: Callable[[], Any]
    result: Callable[[], np.ndarray]
    inputs: tuple[np.ndarray, ...]
    fetch: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A benchmark.

    Attributes:
        name: what ``--rows`` selects by.
        what: one line for people.
        build: sets it up on a device.
        flops: floating-point operations of one run, where that is a meaningful number.
        tolerance: largest difference between two devices, relative to the largest value.
    """

    name: str
    what: str
    build: Callable[[Device], Work]
    flops: float | None = None
    tolerance: float = 1e-4


def rows(quick: bool = False) -> list[Row]:
    """Every row; ``quick`` gives the same rows at sizes for a smoke test.

    Example:
        >>> [row.name for row in rows(quick=True)][0]
        'matmul-16'
    """
    found = [_matmul(n) for n in ((16,) if quick else (64, 256, 1024, 2048))]
    shape = (2, 3, 8, 8, 4) if quick else (32, 64, 32, 32, 64)
    found += [_conv2d(*shape, backward=False), _conv2d(*shape, backward=True)]
    found.append(_mlp(*((20, (8, 6), 4, 5) if quick else (784, (128, 64), 10, 64)), name="mlp-small"))
    if not quick:
        found.append(_mlp(784, (1024, 1024), 10, 512, name="mlp-large"))
    found.append(_cnn(*((8, (2, 3), 5, 4) if quick else (28, (32, 64), 128, 64))))
    return found


def _random(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def host(t: Any) -> np.ndarray:
    """A tensor's elements as a NumPy array, in double precision."""
    return np.asarray(t.numpy(force=True), dtype=np.float64)


# ---- single operations ----------------------------------------------------------------------------------------------


def _matmul(n: int) -> Row:
    def build(device: Device) -> Work:
        a, b = _random(n, n, seed=1), _random(n, n, seed=2)
        x, y = cr.tensor(a, device=device), cr.tensor(b, device=device)
        product = x @ y
        return Work(lambda: x @ y, lambda: host(x @ y), (a, b), lambda: product.numpy(force=True))

    return Row(f"matmul-{n}", f"({n}, {n}) @ ({n}, {n}), forward", build, 2.0 * n**3)


def _conv2d(n: int, c: int, h: int, w: int, k: int, *, backward: bool) -> Row:
    def build(device: Device) -> Work:
        from chainrule.nn import functional as F

        image, kernel = _random(n, c, h, w, seed=3), _random(k, c, 3, 3, seed=4, scale=(9 * c) ** -0.5)
        x = cr.tensor(image, device=device, requires_grad=backward)
        weight = cr.tensor(kernel, device=device, requires_grad=backward)

        def forward() -> Any:
            return F.conv2d(x, weight, padding=1)

        out = forward().detach()
        g = cr.tensor(_random(*out.shape, seed=5), device=device)

        def run() -> Any:
            x.grad = weight.grad = None
            forward().backward(g)
            return x.grad

        def result() -> np.ndarray:
            run()
            return np.concatenate([host(x.grad).ravel(), host(weight.grad).ravel()])

        if not backward:
            return Work(forward, lambda: host(forward()), (image, kernel), lambda: out.numpy(force=True))
        return Work(run, result, (image, kernel), lambda: out.numpy(force=True))

    way = "forward and backward" if backward else "forward"
    name = f"conv2d-{'backward' if backward else 'forward'}"
    flops = 2.0 * n * k * h * w * c * 9 * (3 if backward else 1)
    return Row(name, f"3x3, {c} to {k} channels, {h}x{w}, batch {n}, {way}", build, flops)


# ---- training steps -------------------------------------------------------------------------------------------------


def _training(make: Callable[[], Any], image: np.ndarray, classes: int, device: Device) -> Work:
    """A step of Adam with cross-entropy; the result is the losses of the first steps from the same weights."""
    from chainrule import nn, optim

    labels = np.random.default_rng(7).integers(0, classes, len(image))
    x, y = cr.tensor(image, device=device), cr.tensor(labels, device=device)

    def start() -> Callable[[], Any]:
        model = make()
        for i, parameter in enumerate(model.parameters()):  # the same values on every device, from the host
            fan_in = int(np.prod(parameter.shape[1:])) if parameter.dim() > 1 else 100
            values = _random(*parameter.shape, seed=100 + i, scale=fan_in**-0.5)
            with cr.no_grad():
                parameter.copy_(cr.tensor(values, device="cpu"))
        model = model.to(device)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        loss_of = nn.CrossEntropyLoss()

        def step() -> Any:
            optimizer.zero_grad()
            loss = loss_of(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def result() -> np.ndarray:
        step = start()
        return np.array([float(host(step())) for _ in range(5)])

    step = start()
    last = step()
    return Work(step, result, (image, labels), lambda: last.detach().numpy(force=True))


def _mlp(inputs: int, hidden: tuple[int, ...], classes: int, batch: int, *, name: str) -> Row:
    sizes = (inputs, *hidden, classes)

    def make() -> Any:
        from chainrule import nn

        layers: list[Any] = []
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Linear(before, after, device="cpu"), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def build(device: Device) -> Work:
        return _training(make, _random(batch, inputs, seed=6), classes, device)

    flops = 6.0 * batch * sum(a * b for a, b in itertools.pairwise(sizes))
    what = f"training step (Adam), {'-'.join(map(str, sizes))}, batch {batch}"
    return Row(name, what, build, flops, tolerance=1e-3)


def _cnn(size: int, channels: tuple[int, int], hidden: int, batch: int) -> Row:
    first, second = channels
    pooled = (size - 4) // 2
    classes = 10

    def make() -> Any:
        from chainrule import nn

        return nn.Sequential(
            nn.Conv2d(1, first, 3, device="cpu"),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, device="cpu"),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * pooled * pooled, hidden, device="cpu"),
            nn.ReLU(),
            nn.Linear(hidden, classes, device="cpu"),
        )

    def build(device: Device) -> Work:
        return _training(make, _random(batch, 1, size, size, seed=8), classes, device)

    macs = first * 9 * (size - 2) ** 2 + first * second * 9 * (size - 4) ** 2
    macs += second * pooled * pooled * hidden + hidden * classes
    what = f"training step (Adam), two 3x3 conv, pool, two linear, {size}x{size}, batch {batch}"
    return Row("cnn", what, build, 6.0 * batch * macs, tolerance=1e-3)
