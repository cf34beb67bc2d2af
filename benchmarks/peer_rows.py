"""The rows of the peer benchmark: small programs written once, for PyTorch and chainrule letter for letter the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

#: does the work once and gives a scalar tensor that must be the same in every library
Step = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One row: ``build(lib, quick)`` sets it up with the module ``torch`` or ``chainrule``.

    Attributes:
        name: what ``--rows`` selects by.
        what: one line for people.
        build: gives the step; ``quick``: at a size for a smoke test.
        overhead: whether the cost of a call rules the row, not arithmetic; the bar is lower there.
    """

    name: str
    what: str
    build: Callable[[Any, bool], Step]
    overhead: bool = False


# ---- pieces ---------------------------------------------------------------------------------------------------------


def _numbers(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def _filled(lib: Any, model: Any) -> Any:
    """The model with weights that do not depend on the library's random numbers."""
    with lib.no_grad():
        for i, (name, p) in enumerate(model.named_parameters()):
            if p.dim() > 1:
                fan_in = p[0].numel()
                p.copy_(lib.tensor(_numbers(i, *p.shape) * fan_in**-0.5))
            else:  # scales of normalisation layers are 1, biases 0
                p.fill_(1.0 if name.endswith("weight") else 0.0)
    return model


def _trained(optimizer: Any, loss_of: Callable[[], Any]) -> Step:
    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss

    return step


def _differentiated(leaves: list[Any], result_of: Callable[[], Any]) -> Step:
    """Forward and backward; the gradients are dropped before the next round."""

    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        loss = result_of()
        loss.backward()
        return loss

    return step


def _layer(lib: Any, layer: Any, *shape: int, inputs: bool = True) -> Step:
    """A layer, forward and backward, on random input that wants its gradient too."""
    _filled(lib, layer)
    x = lib.tensor(_numbers(100, *shape), requires_grad=inputs)
    weights: list[Any] = []

    def loss_of() -> Any:
        out = layer(x)
        if not weights:
            weights.append(lib.tensor(_numbers(101, *out.shape)))
        return (out * weights[0]).sum()

    return _differentiated([x, *layer.parameters()], loss_of)


# ---- training steps -------------------------------------------------------------------------------------------------


def _mlp(lib: Any, sizes: tuple[int, ...], batch: int) -> Step:
    nn = lib.nn
    layers: list[Any] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    model = _filled(lib, nn.Sequential(*layers[:-1]))
    x = lib.tensor(_numbers(100, batch, sizes[0]))
    y = lib.tensor(np.random.default_rng(101).integers(0, sizes[-1], batch))
    loss_of = nn.CrossEntropyLoss()
    return _trained(lib.optim.Adam(model.parameters(), lr=1e-3), lambda: loss_of(model(x), y))


def _xor(lib: Any, quick: bool) -> Step:
    nn = lib.nn
    model = _filled(lib, nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
    x = lib.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = lib.tensor([[0.0], [1.0], [1.0], [0.0]])
    loss_of = nn.MSELoss()
    return _trained(lib.optim.SGD(model.parameters(), lr=0.1), lambda: loss_of(model(x), y))


def _mlp_b64(lib: Any, quick: bool) -> Step:
    return _mlp(lib, (784, 128, 64, 10), 8 if quick else 64)


def _mlp_big_b512(lib: Any, quick: bool) -> Step:
    return _mlp(lib, (784, 64, 64, 10), 8) if quick else _mlp(lib, (784, 1024, 1024, 10), 512)


def _cnn_b64(lib: Any, quick: bool) -> Step:
    nn, batch = lib.nn, 2 if quick else 64
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    _filled(lib, model)
    x = lib.tensor(_numbers(100, batch, 1, 28, 28))
    y = lib.tensor(np.random.default_rng(101).integers(0, 10, batch))
    loss_of = nn.CrossEntropyLoss()
    return _trained(lib.optim.Adam(model.parameters(), lr=1e-3), lambda: loss_of(model(x), y))


def _block(lib: Any, before: int, after: int, stride: int = 1) -> Any:
    """The basic block of He et al. (2015)."""
    nn = lib.nn

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.relu = nn.ReLU(inplace=True)
            self.skip = nn.Identity()
            if stride != 1 or before != after:
                self.skip = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

        def forward(self, x: Any) -> Any:
            out = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(out)) + self.skip(x))

    return Block()


def _resblock_c64(lib: Any, quick: bool) -> Step:
    return _layer(lib, _block(lib, 64, 64), *((2, 64, 8, 8) if quick else (32, 64, 32, 32)))


def _resnet18(lib: Any, quick: bool) -> Step:
    nn, batch = lib.nn, 2 if quick else 32
    layers = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    before = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        layers.append(_block(lib, before, width, stride))
        before = width
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    _filled(lib, model)
    x = lib.tensor(_numbers(100, batch, 3, 32, 32))
    y = lib.tensor(np.random.default_rng(101).integers(0, 10, batch))
    loss_of = nn.CrossEntropyLoss()
    optimizer = lib.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    return _trained(optimizer, lambda: loss_of(model(x), y))


# ---- layers ---------------------------------------------------------------------------------------------------------


def _conv_forward(lib: Any, quick: bool) -> Step:
    layer = _filled(lib, lib.nn.Conv2d(64, 64, 3, padding=1))
    x = lib.tensor(_numbers(100, 2 if quick else 32, 64, 32, 32))

    def step() -> Any:
        with lib.no_grad():
            return layer(x)[0, 0, 0, 0]

    return step


def _conv(*arguments: Any, channels: int = 64, **options: Any) -> Callable[[Any, bool], Step]:
    def build(lib: Any, quick: bool) -> Step:
        return _layer(lib, lib.nn.Conv2d(*arguments, **options), 2 if quick else 32, channels, 32, 32)

    return build


def _transformer(lib: Any, quick: bool) -> Step:
    layer = lib.nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
    return _layer(lib, layer, *((2, 16, 128) if quick else (16, 128, 128)))


def _recurrent(kind: str) -> Callable[[Any, bool], Step]:
    def build(lib: Any, quick: bool) -> Step:
        layer = _filled(lib, getattr(lib.nn, kind)(64, 128))
        x = lib.tensor(_numbers(100, *((5, 2, 64) if quick else (50, 32, 64))), requires_grad=True)
        weight = lib.tensor(_numbers(101, *x.shape[:2], 128))
        return _differentiated([x, *layer.parameters()], lambda: (layer(x)[0] * weight).sum())

    return build


def _embedding(lib: Any, quick: bool) -> Step:
    nn, classes, tokens = lib.nn, 1000 if quick else 10_000, 32 if quick else 512
    model = _filled(lib, nn.Sequential(nn.Embedding(classes, 64), nn.Linear(64, classes)))
    rng = np.random.default_rng(100)
    x, y = (lib.tensor(rng.integers(0, classes, tokens)) for _ in range(2))
    loss_of = nn.CrossEntropyLoss()
    return _differentiated(list(model.parameters()), lambda: loss_of(model(x), y))


def _layernorm(lib: Any, quick: bool) -> Step:
    return _layer(lib, lib.nn.LayerNorm(512), 8 if quick else 2048, 512)


def _batchnorm(lib: Any, quick: bool) -> Step:
    return _layer(lib, lib.nn.BatchNorm2d(64), 2 if quick else 32, 64, 32, 32)


# ---- operations -----------------------------------------------------------------------------------------------------


def _elementwise(lib: Any, quick: bool) -> Step:
    n = 1000 if quick else 1_000_000
    a, b = (lib.tensor(_numbers(i, n), requires_grad=True) for i in range(2))
    return _differentiated([a, b], lambda: (lib.tanh(a) * lib.sigmoid(b) + lib.exp(-a * a)).sum())


def _scalar_chain(lib: Any, quick: bool) -> Step:
    a, b = lib.tensor(0.999, requires_grad=True), lib.tensor(0.001, requires_grad=True)

    def chain() -> Any:
        y = a
        for _ in range(20 if quick else 1000):
            y = y * a + b
        return y

    return _differentiated([a, b], chain)


def _adam(count: int, *shape: int) -> Callable[[Any, bool], Step]:
    def build(lib: Any, quick: bool) -> Step:
        wanted = (16,) if quick else shape
        leaves = [lib.tensor(_numbers(i, *wanted), requires_grad=True) for i in range(count)]
        for i, leaf in enumerate(leaves):
            leaf.grad = lib.tensor(_numbers(count + i, *wanted))
        optimizer = lib.optim.Adam(leaves, lr=1e-3)

        def step() -> Any:
            optimizer.step()
            return leaves[0].flatten()[0]

        return step

    return build


def _indexing(lib: Any, quick: bool) -> Step:
    rows, wanted = (100, 50) if quick else (50_000, 20_000)
    x = lib.tensor(_numbers(100, rows, 64), requires_grad=True)
    rng = np.random.default_rng(101)
    index, target = (lib.tensor(rng.integers(0, rows, wanted)) for _ in range(2))

    def loss_of() -> Any:
        picked = x[index]
        return (lib.zeros(rows, 64).index_add(0, target, picked) * x).sum() + x[: rows // 2, ::2].sum()

    return _differentiated([x], loss_of)


def _einsum(lib: Any, quick: bool) -> Step:
    b, n, d = (2, 8, 4) if quick else (32, 64, 64)
    q, k, v = (lib.tensor(_numbers(i, b, n, 8, d), requires_grad=True) for i in range(3))

    def loss_of() -> Any:
        scores = lib.einsum("bqhd,bkhd->bhqk", q, k) / d
        return lib.einsum("bhqk,bkhd->bqhd", scores, v).square().sum()

    return _differentiated([q, k, v], loss_of)


def _small_mlp(lib: Any, quick: bool) -> tuple[Any, Any]:
    nn = lib.nn
    width, batch = (16, 8) if quick else (256, 128)
    model = nn.Sequential(nn.Linear(64, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
    return _filled(lib, model), lib.tensor(_numbers(100, batch, 64), requires_grad=True)


def _gradient_penalty(lib: Any, quick: bool) -> Step:
    """Gulrajani et al. (2017): the gradient with respect to the input is part of the loss."""
    model, x = _small_mlp(lib, quick)

    def loss_of() -> Any:
        out = model(x)
        (g,) = lib.autograd.grad(out.sum(), x, create_graph=True)
        return out.mean() + ((g.square().sum(1) + 1e-12).sqrt() - 1).square().mean()

    return _differentiated([x, *model.parameters()], loss_of)


def _hvp(lib: Any, quick: bool) -> Step:
    model, x = _small_mlp(lib, quick)
    parameters = list(model.parameters())
    directions = [lib.tensor(_numbers(200 + i, *p.shape)) for i, p in enumerate(parameters)]

    def step() -> Any:
        grads = lib.autograd.grad(model(x).square().mean(), parameters, create_graph=True)
        along = sum((g * v).sum() for g, v in zip(grads, directions, strict=True))
        found = lib.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True)
        return sum((f * v).sum() for f, v in zip(found, directions, strict=True))

    return step


def rows() -> Iterator[PeerRow]:
    """Every row.

    Example:
        >>> next(rows()).name
        'xor_sgd'
    """
    yield PeerRow("xor_sgd", "XOR 2-8-1, SGD step", _xor, overhead=True)
    yield PeerRow("mlp_b64", "MLP 784-128-64-10, batch 64, Adam step", _mlp_b64, overhead=True)
    yield PeerRow("mlp_big_b512", "MLP 784-1024-1024-10, batch 512, Adam step", _mlp_big_b512)
    yield PeerRow("cnn_b64", "MNIST CNN, two 3x3 convolutions, batch 64, Adam step", _cnn_b64)
    yield PeerRow("resblock_c64", "residual block, 32x64x32x32, forward and backward", _resblock_c64)
    yield PeerRow("resnet18_cifar_b32", "ResNet-18 for CIFAR, batch 32, SGD step", _resnet18)
    yield PeerRow("conv3x3_forward", "3x3 convolution 64->64 of 32x64x32x32, forward", _conv_forward)
    yield PeerRow("conv3x3", "the same, forward and backward", _conv(64, 64, 3, padding=1))
    yield PeerRow("conv5x5_s2", "5x5 convolution 64->64, stride 2", _conv(64, 64, 5, stride=2, padding=2))
    yield PeerRow("conv1x1", "1x1 convolution 64->128", _conv(64, 128, 1))
    yield PeerRow("conv_depthwise", "3x3 depthwise convolution, 64 channels", _conv(64, 64, 3, padding=1, groups=64))
    yield PeerRow("transformer_d128", "encoder layer, 4 heads, 512 hidden, 16x128 tokens", _transformer)
    yield PeerRow("lstm_h128_t50", "LSTM 64->128, 50 steps, batch 32", _recurrent("LSTM"))
    yield PeerRow("gru_h128_t50", "GRU 64->128, 50 steps, batch 32", _recurrent("GRU"))
    yield PeerRow("embedding_softmax_10k", "embedding, linear, cross entropy over 10,000 classes", _embedding)
    yield PeerRow("elementwise_1M", "tanh(a) sigmoid(b) + exp(-a^2) on 1,000,000 floats", _elementwise)
    yield PeerRow("layernorm", "layer normalisation of 2048x512", _layernorm)
    yield PeerRow("batchnorm", "batch normalisation of 32x64x32x32", _batchnorm)
    yield PeerRow("scalar_chain_2000", "2,000 operations on scalars", _scalar_chain, overhead=True)
    yield PeerRow("adam_9M", "Adam step of 9,000,000 parameters", _adam(9, 1000, 1000))
    yield PeerRow("adam_50x4096", "Adam step of 50 tensors of 64x64", _adam(50, 64, 64), overhead=True)
    yield PeerRow("indexing", "rows picked and added by index, and a slice, of 50000x64", _indexing)
    yield PeerRow("einsum", "attention scores by einsum", _einsum)
    yield PeerRow("gradient_penalty", "double backward of an MLP", _gradient_penalty)
    yield PeerRow("hvp", "Hessian-vector product of an MLP", _hvp)
