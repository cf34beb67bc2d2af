"""The rows of the peer benchmark in JAX: ``peer_rows.py`` again, as a JAX program is written.

Each row is one pure function, compiled when it is built: from the state that is carried between steps and the data (all
are its arguments, for what is known when it is compiled might be computed then) to the loss, the next state, and the
gradients where those are the work. A step ends when all of them are there. Fields of parameters stand in the order of
PyTorch's ``named_parameters``: the weights are drawn in this order.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import math
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

# Nothing that the rows need is made before one is built, so that the file can be read where JAX is missing.
jax: Any = importlib.import_module("jax") if importlib.util.find_spec("jax") else None
jnp: Any = jax and jax.numpy
lax: Any = jax and jax.lax

#: does the work once and gives the scalar that must be the same in every library
Step = Callable[[], Any]
#: sets a row up with the module ``jax``; true: at a size for a smoke test
Build = Callable[[Any, bool], Step]


#: the row of ``peer_rows.py`` that has this name, and how it is set up
JaxRow = namedtuple("JaxRow", "name build")

# Parameters, or their shapes
Affine = namedtuple("Affine", "weight bias", defaults=[None])  # of a linear layer, a convolution or a normalisation
Recurrent = namedtuple("Recurrent", "weight_ih weight_hh bias_ih bias_hh")
Encoder = namedtuple("Encoder", "in_proj_weight in_proj_bias out_proj linear1 linear2 norm1 norm2")
Block = namedtuple("Block", "conv1 bn1 conv2 bn2 skip")  # skip: the convolution and normalisation there, if any
ResNet = namedtuple("ResNet", "conv bn blocks head")


# ---- pieces ---------------------------------------------------------------------------------------------------------


def _numbers(seed: int, *shape: int) -> Any:
    return jnp.array(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def _integers(seed: int, end: int, *shape: int) -> Any:
    return jnp.array(np.random.default_rng(seed).integers(0, end, shape))


def _filled(shapes: Any) -> Any:
    """Parameters of these shapes (the leaves of ``shapes``), with the weights that ``peer_rows.py`` gives them."""
    places, tree = jax.tree_util.tree_flatten_with_path(shapes, is_leaf=lambda leaf: type(leaf) is tuple)
    leaves = []
    for i, (path, shape) in enumerate(places):
        if len(shape) > 1:
            leaves.append(_numbers(i, *shape) * math.prod(shape[1:]) ** -0.5)
        else:  # scales of normalisation layers are 1, biases 0
            leaves.append(jnp.full(shape, 1.0 if path[-1].name.endswith("weight") else 0.0))
    return jax.tree.unflatten(tree, leaves)


def _stepped(function: Callable[..., Any], state: Any, *data: Any) -> Step:
    """``function(state, *data)`` gives the loss, the next state (in the old one's memory), and what else is work."""
    compiled = jax.jit(function, donate_argnums=0).lower(state, *data).compile()

    def step() -> Any:
        nonlocal state
        loss, state, *_ = jax.block_until_ready(compiled(state, *data))
        return loss

    return step


def _running(loss_of: Callable[..., Any], *arguments: Any) -> list[tuple[Any, Any]]:
    """Running means and variances for the batch normalisations of ``loss_of``."""
    _, batch = jax.eval_shape(loss_of, *arguments)
    return [(jnp.zeros(mean.shape), jnp.ones(var.shape)) for mean, var in batch]


def _averaged(running: Any, batch: Any) -> Any:
    return jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, running, batch)


def _trained(optimizer: tuple[Any, Any], params: Any, loss_of: Callable[..., Any], *data: Any) -> Step:
    """``loss_of(params, *data)`` gives the loss and the statistics of its batch normalisations."""
    init, update = optimizer

    def train(state: Any, *data: Any) -> Any:
        params, memory, running = state
        (loss, batch), grads = jax.value_and_grad(loss_of, has_aux=True)(params, *data)
        params, memory = update(params, grads, memory)
        return loss, (params, memory, _averaged(running, batch))

    return _stepped(train, (params, init(params), _running(loss_of, params, *data)), *data)


def _differentiated(leaves: Any, loss_of: Callable[..., Any], *data: Any) -> Step:
    """Forward and backward of a loss of the kind that ``_trained`` takes."""

    def work(running: Any, leaves: Any, *data: Any) -> Any:
        (loss, batch), grads = jax.value_and_grad(loss_of, has_aux=True)(leaves, *data)
        return loss, _averaged(running, batch), grads

    return _stepped(work, _running(loss_of, leaves, *data), leaves, *data)


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function without batch normalisation as one that gives its statistics too."""
    return lambda *arguments: (function(*arguments), [])


def _observed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that adds its statistics to a list, its last argument, as one that gives them."""

    def call(*arguments: Any) -> tuple[Any, list[Any]]:
        batch: list[Any] = []
        return function(*arguments, batch), batch

    return call


def _layer(forward: Callable[..., Any], shapes: Any, small: tuple[int, ...], full: tuple[int, ...]) -> Build:
    """``forward(params, x)`` gives the output and its statistics; the input's gradient is wanted too."""

    def build(lib: Any, quick: bool) -> Step:
        leaves = _filled(shapes), _numbers(100, *(small if quick else full))
        weights = _numbers(101, *jax.eval_shape(forward, *leaves)[0].shape)

        def loss_of(leaves: Any, weights: Any) -> Any:
            out, batch = forward(*leaves)
            return (out * weights).sum(), batch

        return _differentiated(leaves, loss_of, weights)

    return build


def _sgd(lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> tuple[Any, Any]:
    def update(params: Any, grads: Any, memory: Any) -> Any:
        if weight_decay:
            grads = jax.tree.map(lambda p, g: g + weight_decay * p, params, grads)
        if momentum:
            grads = memory = jax.tree.map(lambda m, g: momentum * m + g, memory, grads)
        return jax.tree.map(lambda p, g: p - lr * g, params, grads), memory

    return (lambda params: jax.tree.map(jnp.zeros_like, params) if momentum else ()), update


def _adam(lr: float, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> tuple[Any, Any]:
    def init(params: Any) -> Any:
        return jnp.array(0), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)

    def update(params: Any, grads: Any, memory: Any) -> Any:
        t, first, second = memory
        t = t + 1
        first = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, first, grads)
        second = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, second, grads)
        rate, correction = lr / (1 - beta1**t), 1 / jnp.sqrt(1 - beta2**t)
        new = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * correction + eps), params, first, second)
        return new, (t, first, second)

    return init, update


# ---- layers ---------------------------------------------------------------------------------------------------------


def _dense(*widths: int) -> list[Affine]:
    """The shapes of linear layers of these widths."""
    return [Affine((after, before), (after,)) for before, after in itertools.pairwise(widths)]


def _norm_shapes(width: int) -> Affine:
    return Affine((width,), (width,))


def _linear(p: Affine, x: Any) -> Any:
    return x @ p.weight.T + p.bias


def _conv(p: Affine, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
    # images are NCHW and weights OIHW unless it is told otherwise
    out = lax.conv_general_dilated(x, p.weight, [stride] * 2, [(padding, padding)] * 2, feature_group_count=groups)
    return out if p.bias is None else out + p.bias[:, None, None]


def _batch_norm(p: Affine, x: Any, batch: list[Any]) -> Any:
    """The mean and the variance that the running statistics take are added to ``batch``."""
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    count = x.size // x.shape[1]
    batch.append((mean, var * (count / (count - 1))))
    scale = p.weight * lax.rsqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + p.bias[:, None, None]


def _layer_norm(p: Affine, x: Any) -> Any:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(var + 1e-5) * p.weight + p.bias


def _cross_entropy(logits: Any, y: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1).mean()


def _chain(activation: Callable[[Any], Any], params: Sequence[Affine], x: Any) -> Any:
    """Linear layers with an activation between them."""
    for p in params[:-1]:
        x = activation(_linear(p, x))
    return _linear(params[-1], x)


def _block_shapes(before: int, after: int, stride: int = 1) -> Block:
    skip = [] if stride == 1 and before == after else [Affine((after, before, 1, 1)), _norm_shapes(after)]
    first, second = Affine((after, before, 3, 3)), Affine((after, after, 3, 3))
    return Block(first, _norm_shapes(after), second, _norm_shapes(after), skip)


def _block(p: Block, x: Any, batch: list[Any], stride: int = 1) -> Any:
    """The basic block of He et al. (2015)."""
    out = jax.nn.relu(_batch_norm(p.bn1, _conv(p.conv1, x, stride, 1), batch))
    out = _batch_norm(p.bn2, _conv(p.conv2, out, 1, 1), batch)
    if p.skip:
        x = _batch_norm(p.skip[1], _conv(p.skip[0], x, stride), batch)
    return jax.nn.relu(out + x)


def _encoder(p: Encoder, x: Any) -> Any:
    q, k, v = jnp.split(_linear(Affine(p.in_proj_weight, p.in_proj_bias), x), 3, axis=-1)
    heads = (*x.shape[:2], 4, -1)
    attended = jax.nn.dot_product_attention(q.reshape(heads), k.reshape(heads), v.reshape(heads)).reshape(x.shape)
    x = _layer_norm(p.norm1, x + _linear(p.out_proj, attended))
    return _layer_norm(p.norm2, x + _chain(jax.nn.relu, (p.linear1, p.linear2), x))


def _lstm(p: Recurrent, state: Any, into: Any) -> Any:
    h, c = state
    i, f, g, o = jnp.split(into + h @ p.weight_hh.T + p.bias_hh, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def _gru(p: Recurrent, state: Any, into: Any) -> Any:
    (h,) = state
    r, z, n = jnp.split(into, 3, axis=-1)
    hr, hz, hn = jnp.split(h @ p.weight_hh.T + p.bias_hh, 3, axis=-1)
    z = jax.nn.sigmoid(z + hz)
    h = (1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + hr) * hn) + z * h
    return (h,), h


# ---- training steps and layers --------------------------------------------------------------------------------------


def _mlp(batch: int, *widths: int) -> Step:
    x, y = _numbers(100, batch, widths[0]), _integers(101, widths[-1], batch)
    loss_of = _plain(lambda p, x, y: _cross_entropy(_chain(jax.nn.relu, p, x), y))
    return _trained(_adam(1e-3), _filled(_dense(*widths)), loss_of, x, y)


def _xor_sgd(lib: Any, quick: bool) -> Step:
    params, x = _filled(_dense(2, 8, 1)), jnp.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = jnp.array([[0.0], [1.0], [1.0], [0.0]])
    loss_of = _plain(lambda p, x, y: jnp.square(_chain(jnp.tanh, p, x) - y).mean())
    return _trained(_sgd(0.1), params, loss_of, x, y)


def _cnn_b64(lib: Any, quick: bool) -> Step:
    batch = 2 if quick else 64
    params = _filled([Affine((32, 1, 3, 3), (32,)), Affine((64, 32, 3, 3), (64,)), *_dense(9216, 128, 10)])

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        x = jax.nn.relu(_conv(p[0], x))
        x = jax.nn.relu(_conv(p[1], x))
        x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")  # the 2x2 maximum
        return _cross_entropy(_chain(jax.nn.relu, p[2:], x.reshape(len(x), -1)), y)

    return _trained(_adam(1e-3), params, _plain(loss_of), _numbers(100, batch, 1, 28, 28), _integers(101, 10, batch))


def _resnet18(lib: Any, quick: bool) -> Step:
    count = 2 if quick else 32
    widths, strides = (64, 64, 64, 128, 128, 256, 256, 512, 512), (1, 1, 2, 1, 2, 1, 2, 1)
    blocks = [_block_shapes(a, b, stride) for (a, b), stride in zip(itertools.pairwise(widths), strides, strict=True)]
    params = _filled(ResNet(Affine((64, 3, 3, 3)), _norm_shapes(64), blocks, *_dense(512, 10)))

    def loss_of(p: ResNet, x: Any, y: Any, batch: list[Any]) -> Any:
        x = jax.nn.relu(_batch_norm(p.bn, _conv(p.conv, x, 1, 1), batch))
        for block, stride in zip(p.blocks, strides, strict=True):
            x = _block(block, x, batch, stride)
        return _cross_entropy(_linear(p.head, x.mean((2, 3))), y)

    optimizer = _sgd(1e-3, momentum=0.9, weight_decay=5e-4)
    return _trained(optimizer, params, _observed(loss_of), _numbers(100, count, 3, 32, 32), _integers(101, 10, count))


def _conv_forward(lib: Any, quick: bool) -> Step:
    def forward(state: Any, params: Affine, x: Any) -> Any:
        out = _conv(params, x, padding=1)
        return out[0, 0, 0, 0], state, out

    return _stepped(forward, (), _filled(Affine((64, 64, 3, 3), (64,))), _numbers(100, 2 if quick else 32, 64, 32, 32))


def _convolution(after: int, size: int, **options: int) -> Build:
    shapes = Affine((after, 64 // options.get("groups", 1), size, size), (after,))
    return _layer(_plain(lambda p, x: _conv(p, x, **options)), shapes, (2, 64, 32, 32), (32, 64, 32, 32))


def _transformer() -> Build:
    linears, norms = _dense(128, 128, 512, 128), [_norm_shapes(128)] * 2
    return _layer(_plain(_encoder), Encoder((384, 128), (384,), *linears, *norms), (2, 16, 128), (16, 128, 128))


def _recurrent(cell: Callable[..., Any], gates: int, states: int) -> Build:
    def forward(p: Recurrent, x: Any) -> Any:
        start = (jnp.zeros((x.shape[1], 128)),) * states
        into = _linear(Affine(p.weight_ih, p.bias_ih), x)  # for all steps at once
        return lax.scan(functools.partial(cell, p), start, into)[1]

    shapes = Recurrent((gates * 128, 64), (gates * 128, 128), (gates * 128,), (gates * 128,))
    return _layer(_plain(forward), shapes, (5, 2, 64), (50, 32, 64))


def _embedding(lib: Any, quick: bool) -> Step:
    classes, tokens = (1000, 32) if quick else (10_000, 512)
    params = _filled([Affine((classes, 64)), *_dense(64, classes)])
    x, y = _integers(100, classes, 2, tokens)
    loss_of = _plain(lambda p, x, y: _cross_entropy(_linear(p[1], p[0].weight[x]), y))
    return _differentiated(params, loss_of, x, y)


# ---- operations -----------------------------------------------------------------------------------------------------


def _elementwise(lib: Any, quick: bool) -> Step:
    n = 1000 if quick else 1_000_000
    loss_of = _plain(lambda ab: (jnp.tanh(ab[0]) * jax.nn.sigmoid(ab[1]) + jnp.exp(-ab[0] * ab[0])).sum())
    return _differentiated([_numbers(i, n) for i in range(2)], loss_of)


def _scalar_chain(lib: Any, quick: bool) -> Step:
    """A loop that is written as one is compiled as one."""
    count = 20 if quick else 1000
    loss_of = _plain(lambda ab: lax.fori_loop(0, count, lambda _, y: y * ab[0] + ab[1], ab[0]))
    return _differentiated([jnp.array(0.999), jnp.array(0.001)], loss_of)


def _adam_step(count: int, *shape: int) -> Step:
    leaves, grads = ([_numbers(first + i, *shape) for i in range(count)] for first in (0, count))
    init, update = _adam(1e-3)

    def work(state: Any, grads: Any) -> Any:
        params, memory = update(state[0], grads, state[1])
        return params[0].ravel()[0], (params, memory)

    return _stepped(work, (leaves, init(leaves)), grads)


def _indexing(lib: Any, quick: bool) -> Step:
    rows, wanted = (100, 50) if quick else (50_000, 20_000)
    index, target = _integers(101, rows, 2, wanted)

    def loss_of(x: Any, index: Any, target: Any) -> Any:
        added = jnp.zeros((rows, 64)).at[target].add(x[index])
        return (added * x).sum() + x[: rows // 2, ::2].sum()

    return _differentiated(_numbers(100, rows, 64), _plain(loss_of), index, target)


def _einsum(lib: Any, quick: bool) -> Step:
    b, n, d = (2, 8, 4) if quick else (32, 64, 64)

    def loss_of(leaves: Any) -> Any:
        q, k, v = leaves
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / d
        return jnp.square(jnp.einsum("bhqk,bkhd->bqhd", scores, v)).sum()

    return _differentiated([_numbers(i, b, n, 8, d) for i in range(3)], _plain(loss_of))


def _small_mlp(quick: bool) -> tuple[Any, Any]:
    width, batch = (16, 8) if quick else (256, 128)
    return _filled(_dense(64, width, width, 1)), _numbers(100, batch, 64)


def _gradient_penalty(lib: Any, quick: bool) -> Step:
    def loss_of(leaves: Any) -> Any:
        params, x = leaves
        out, pull = jax.vjp(lambda x: _chain(jnp.tanh, params, x), x)
        (g,) = pull(jnp.ones_like(out))
        return out.mean() + jnp.square(jnp.sqrt(jnp.square(g).sum(1) + 1e-12) - 1).mean()

    return _differentiated(_small_mlp(quick), _plain(loss_of))


def _hvp(lib: Any, quick: bool) -> Step:
    params, x = _small_mlp(quick)
    leaves, tree = jax.tree.flatten(params)
    directions = jax.tree.unflatten(tree, [_numbers(200 + i, *p.shape) for i, p in enumerate(leaves)])

    def work(state: Any, params: Any, directions: Any, x: Any) -> Any:
        gradient = jax.grad(lambda params: jnp.square(_chain(jnp.tanh, params, x)).mean())
        _, found = jax.jvp(gradient, (params,), (directions,))  # forward over reverse
        return sum(jax.tree.leaves(jax.tree.map(jnp.vdot, found, directions))), state, found

    return _stepped(work, (), params, directions, x)


def rows() -> Iterator[JaxRow]:
    """Every row of ``peer_rows.py``; JAX lacks none.

    Example:
        >>> next(rows()).name
        'xor_sgd'
    """
    yield JaxRow("xor_sgd", _xor_sgd)
    yield JaxRow("mlp_b64", lambda _, quick: _mlp(8 if quick else 64, 784, 128, 64, 10))
    yield JaxRow("mlp_big_b512", lambda _, quick: _mlp(8, 784, 64, 64, 10) if quick else _mlp(512, 784, 1024, 1024, 10))
    yield JaxRow("cnn_b64", _cnn_b64)
    yield JaxRow("resblock_c64", _layer(_observed(_block), _block_shapes(64, 64), (2, 64, 8, 8), (32, 64, 32, 32)))
    yield JaxRow("resnet18_cifar_b32", _resnet18)
    yield JaxRow("conv3x3_forward", _conv_forward)
    yield JaxRow("conv3x3", _convolution(64, 3, padding=1))
    yield JaxRow("conv5x5_s2", _convolution(64, 5, stride=2, padding=2))
    yield JaxRow("conv1x1", _convolution(128, 1))
    yield JaxRow("conv_depthwise", _convolution(64, 3, padding=1, groups=64))
    yield JaxRow("transformer_d128", _transformer())
    yield JaxRow("lstm_h128_t50", _recurrent(_lstm, gates=4, states=2))
    yield JaxRow("gru_h128_t50", _recurrent(_gru, gates=3, states=1))
    yield JaxRow("embedding_softmax_10k", _embedding)
    yield JaxRow("elementwise_1M", _elementwise)
    yield JaxRow("layernorm", _layer(_plain(_layer_norm), _norm_shapes(512), (8, 512), (2048, 512)))
    yield JaxRow("batchnorm", _layer(_observed(_batch_norm), _norm_shapes(64), (2, 64, 32, 32), (32, 64, 32, 32)))
    yield JaxRow("scalar_chain_2000", _scalar_chain)
    yield JaxRow("adam_9M", lambda _, quick: _adam_step(9, *((16,) if quick else (1000, 1000))))
    yield JaxRow("adam_50x4096", lambda _, quick: _adam_step(50, *((16,) if quick else (64, 64))))
    yield JaxRow("indexing", _indexing)
    yield JaxRow("einsum", _einsum)
    yield JaxRow("gradient_penalty", _gradient_penalty)
    yield JaxRow("hvp", _hvp)
