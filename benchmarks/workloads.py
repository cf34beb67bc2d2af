"""The small programs that the overhead benchmark runs under chainrule and under PyTorch, letter for letter the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

#: calls in one timed call of an op, so that the loop around it does not count
REPEAT = 100


def numpy_op(name: str) -> Callable[[], None]:
    """The bare NumPy call on 4 float32 elements, ``REPEAT`` times."""
    x, y = np.arange(4, dtype=np.float32), np.arange(4, dtype=np.float32) + 1
    function = {"add": np.add, "mul": np.multiply}[name]

    def run() -> None:
        for _ in range(REPEAT):
            function(x, y)

    return run


def taped_op(lib: Any, name: str) -> Callable[[], None]:
    """``x + y`` or ``x * y``, both requiring grad, ``REPEAT`` times; each result is dropped with its node."""
    x, y = (lib.tensor([0.0, 1.0, 2.0, 3.0], requires_grad=True) for _ in range(2))

    def add() -> None:
        for _ in range(REPEAT):
            x + y

    def mul() -> None:
        for _ in range(REPEAT):
            x * y

    return {"add": add, "mul": mul}[name]


def op_chain(lib: Any, name: str, *, both: bool, backward: bool) -> Callable[[], None]:
    """``REPEAT`` ops in a row, each on the last result and a constant (``both``: a leaf), with or without backward."""
    x = lib.tensor([0.5, 0.75, 1.0, 1.25], requires_grad=True)
    w = lib.tensor([1.0, 1.01, 0.99, 1.0], requires_grad=both)
    g = lib.tensor([1.0, 1.0, 1.0, 1.0])

    def run() -> None:
        y = x
        if name == "add":
            for _ in range(REPEAT):
                y = y + w
        else:
            for _ in range(REPEAT):
                y = y * w
        if backward:
            y.backward(g)
            x.grad = w.grad = None

    return run


def scalar_chain(lib: Any, count: int = 2000) -> Callable[[], Any]:
    """``count`` ops on scalars, then backward: where nothing but overhead is measured."""
    a, b = lib.tensor(0.999, requires_grad=True), lib.tensor(0.001, requires_grad=True)

    def run() -> Any:
        a.grad = b.grad = None
        y = a
        for _ in range(count // 2):
            y = y * a + b
        y.backward()
        return a.grad

    return run


def training_step(lib: Any, nn: Any, optim: Any, name: str) -> Callable[[], Any]:
    """One training step of ``"xor"`` (2-8-1, SGD) or ``"mlp"`` (784-128-64-10, batch 64, Adam); gives the loss."""
    rng = np.random.default_rng(0)
    sizes = {"xor": (2, 8, 1), "mlp": (784, 128, 64, 10)}[name]
    layers: list[Any] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.Tanh() if name == "xor" else nn.ReLU()]
    model = nn.Sequential(*layers[:-1])
    with lib.no_grad():
        for parameter in model.parameters():
            scale = float(parameter.shape[-1]) ** -0.5
            parameter.copy_(lib.tensor((scale * rng.standard_normal(tuple(parameter.shape))).astype(np.float32)))
    if name == "xor":
        x, y = lib.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]), lib.tensor([[0.0], [1.0], [1.0], [0.0]])
        loss_of, optimizer = nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1)
    else:
        x = lib.tensor(rng.standard_normal((64, 784)).astype(np.float32))
        y = lib.tensor(rng.integers(0, 10, 64))
        loss_of, optimizer = nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=1e-3)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step
