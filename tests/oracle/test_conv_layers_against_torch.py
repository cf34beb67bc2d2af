"""Convolution, pooling, padding, upsampling, folding and lazy layers against PyTorch, from the same state dict.

Every layer in at least 6 configurations, in float64 and float32: results, gradients of the input and of the parameters,
printed forms, state dicts; and the signature of every class.
"""

from __future__ import annotations

import copy
import inspect
import zlib

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths"),  # PyTorch's
]

DIMS = (1, 2, 3)
SIZE = {1: (9,), 2: (7, 8), 3: (5, 6, 7)}


class Samples:
    """Numbers in [0, 1) that both libraries get as their own tensor."""

    def __init__(self, *shape):
        self.values = np.random.default_rng(1).uniform(size=shape)

    def __repr__(self):  # in the names of tests, which must be the same in every process
        return f"Samples{self.values.shape}"


class Config:
    """``cls(*args, **kwargs)`` called on random numbers of a shape, in an interval, and with further arguments."""

    def __init__(self, args, shape, low=-2.0, high=2.0, call=None, **kwargs):
        self.args, self.kwargs, self.shape = tuple(args), kwargs, tuple(shape)
        self.interval, self.call = (low, high), call or {}

    def __repr__(self):
        given = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in (self.kwargs | self.call).items()]
        return f"({', '.join(given)}){self.shape}".replace(" ", "")

    def make(self, name, module, tensor):
        given = {k: tensor(v.values) if isinstance(v, Samples) else v for k, v in self.kwargs.items()}
        return getattr(module, name)(*self.args, **given)

    def data(self, name):
        rng = np.random.default_rng(zlib.crc32(f"{name}{self}".encode()))
        return rng.uniform(*self.interval, self.shape)


def convolutions(d):
    n, k, s, p = SIZE[d], (3, 2, 1)[:d], (2, 1, 3)[:d], (1, 0, 2)[:d]
    yield Config((3, 4, 3), (2, 3, *n))
    yield Config((2, 4, k, s, p), (2, 2, *n))
    yield Config((2, 4, 2), (2, 2, *n), dilation=2, padding=2, bias=False)
    yield Config((4, 6, 3), (2, 4, *n), groups=2, padding=1, stride=2)
    yield Config((4, 4, k), (2, 4, *n), groups=4)
    yield Config((4, 8, 3), (4, *n), groups=4, padding=1)  # without N
    yield Config((2, 3, 3), (2, 2, *n), padding="same")
    yield Config((2, 3, (2, 4, 2)[:d]), (2, 2, *n), padding="same", dilation=(1, 1, 2)[:d])
    yield Config((2, 3, 3), (1, 2, *n), padding="valid", stride=2)
    for mode in ("reflect", "replicate", "circular"):
        yield Config((2, 3, 3), (2, 2, *n), padding=2, padding_mode=mode)
        yield Config((2, 3, k), (2, *n), padding=p, stride=s, padding_mode=mode, bias=False)
        yield Config((2, 2, (2, 4, 2)[:d]), (2, 2, *n), padding="same", padding_mode=mode, groups=2)
    yield Config((2, 3, 3), (2, 2, *n), padding="valid", padding_mode="reflect")
    yield Config((2, 3, 1), (0, 2, *n))


def transposed(d):
    n, k, s, p = {1: (5,), 2: (4, 5), 3: (3, 4, 2)}[d], (3, 2, 4)[:d], (2, 1, 3)[:d], (1, 0, 1)[:d]
    yield Config((3, 4, 3), (2, 3, *n))
    yield Config((2, 4, k, s, p), (2, 2, *n))
    yield Config((2, 4, k, s, p, (1, 0, 2)[:d]), (2, 2, *n), bias=False)
    yield Config((4, 6, 3), (2, 4, *n), groups=2, padding=1, stride=2)
    yield Config((4, 4, 2), (4, *n), groups=4)  # without N
    yield Config((2, 3, 2), (2, 2, *n), dilation=2, stride=3, output_padding=2)
    yield Config((2, 3, 2), (2, 2, *n), dilation=3, output_padding=2)  # more than the stride, less than the dilation
    longer = [(length - 1) * 2 - 2 + 3 + 1 for length in n]
    yield Config((2, 3, 3), (2, 2, *n), stride=2, padding=1, call={"output_size": longer})
    yield Config((2, 3, 3), (2, *n), stride=2, padding=1, call={"output_size": (3, *longer)})


def max_pools(d):
    n, k = SIZE[d], (3, 2, 2)[:d]
    yield Config((2,), (2, 3, *n))
    yield Config((3, 2, 1), (2, 3, *n))
    yield Config((k,), (2, 3, *n), stride=1, dilation=2)
    yield Config((3, 2), (3, *n), ceil_mode=True)
    yield Config((k,), (2, 3, *n), return_indices=True)
    yield Config((3, 2, 1), (3, *n), return_indices=True, ceil_mode=True)
    yield Config((k, (1, 2, 1)[:d], (1, 1, 0)[:d]), (2, 2, *n))


def avg_pools(d):
    n, k = SIZE[d], (3, 2, 2)[:d]
    yield Config((2,), (2, 3, *n))
    yield Config((3, 2, 1), (2, 3, *n))
    yield Config((3, 2, 1), (2, 3, *n), count_include_pad=False)
    yield Config((3, 2, 1), (3, *n), ceil_mode=True)
    yield Config((3, 2, 1), (2, 3, *n), ceil_mode=True, count_include_pad=False)
    yield Config((k, (1, 2, 1)[:d], (1, 1, 0)[:d]), (2, 2, *n))
    if d > 1:
        yield Config((2,), (2, 3, *n), divisor_override=3)
        yield Config((3, 2, 1), (3, *n), divisor_override=-2, ceil_mode=True)


def lp_pools(d):
    n, k = SIZE[d], (3, 2, 2)[:d] if d > 1 else 3  # PyTorch's LPPool1d takes no tuple
    yield Config((2, 2), (2, 3, *n))
    yield Config((2, 3), (2, 3, *n), stride=2)
    yield Config((1, k), (2, 3, *n), low=0.1)
    yield Config((3.0, k), (3, *n), low=0.1, stride=1)
    yield Config((1.5, 3), (2, 3, *n), low=0.1, stride=2, ceil_mode=True)
    yield Config((4, 2), (2, 3, *n), ceil_mode=True)


def adaptive(d):
    n = SIZE[d]
    for shape in ((2, 3, *n), (3, *n)):
        yield Config((1,), shape)
        yield Config((3,), shape)
        yield Config(((2, 3, 4)[:d],), shape)
    yield Config((tuple(length + 2 for length in n),), (2, 3, *n))  # larger than the input
    if d > 1:  # PyTorch takes None for a side only, not alone
        yield Config(((None, 2, 3)[:d],), (2, 3, *n))


def adaptive_max(d):
    for config in adaptive(d):
        yield config
        yield Config(config.args, config.shape, return_indices=True)


def fractional(d):
    n = SIZE[d]
    samples = Samples(2, 3, d)
    yield Config((2,), (2, 3, *n), output_size=3, _random_samples=samples)
    yield Config((2,), (2, 3, *n), output_ratio=0.5, _random_samples=samples)
    yield Config(((2, 1, 3)[:d],), (2, 3, *n), output_size=(2, 3, 4)[:d], _random_samples=samples)
    yield Config((2,), (2, 3, *n), output_ratio=(0.5, 0.7, 0.6)[:d], _random_samples=samples)
    yield Config((2,), (2, 3, *n), output_ratio=0.6, return_indices=True, _random_samples=samples)
    yield Config((3,), (3, *n), output_size=2, _random_samples=Samples(1, 3, d))
    yield Config((2,), (2, 3, *n), output_size=1, _random_samples=samples)


def edge_pads(d):
    n = SIZE[d]
    mixed = ((1, 2), (0, 3), (2, 1))[:d]
    for shape in ((2, 3, *n), (3, *n)):
        yield Config((2,), shape)
        yield Config(([w for pair in mixed for w in pair],), shape)
        yield Config(((1, 0) * d,), shape)
        yield Config(((0, 0) * d,), shape)
        yield Config(((-1, 2) * d,), shape)
        yield Config(((2, -3) * d,), shape)
    yield Config((tuple(length - 1 for length in reversed(n) for _ in range(2)),), (1, 2, *n))


def constant_pads(d):
    for config in edge_pads(d):
        yield Config((*config.args, 1.5), config.shape)
    yield Config(((-1, 2) * d, 0.5), (2, 3, *SIZE[d]))
    yield Config(((-1, -2) * d, 0.5), (3, *SIZE[d]))
    yield Config(((1, 2), -1), (2, 3, *SIZE[d]))


def zero_pads(d):
    yield from edge_pads(d)
    yield Config(((-1, 2) * d,), (2, 3, *SIZE[d]))


def upsample():
    yield Config((), (2, 3, 4), scale_factor=2)
    yield Config((7,), (2, 3, 4))
    yield Config(((7, 3),), (2, 3, 4, 5))
    yield Config((), (2, 3, 4, 5), scale_factor=(1.5, 2.0), mode="bilinear")
    yield Config((), (2, 3, 4, 5), scale_factor=1.7, mode="bilinear", recompute_scale_factor=True)
    yield Config(((7, 9),), (2, 3, 4, 5), mode="bicubic", align_corners=True)
    yield Config((), (2, 3, 6), scale_factor=0.5, mode="linear", align_corners=False)
    yield Config(((5, 6, 3),), (2, 2, 3, 4, 5), mode="trilinear", align_corners=True)
    yield Config((), (2, 2, 3, 4, 5), scale_factor=2, mode="nearest-exact")
    yield Config((), (2, 2, 5, 4), scale_factor=0.7, mode="area")


def upsample_images():
    for shape in ((2, 3, 4, 5), (1, 1, 1, 2)):
        yield Config((7,), shape)
        yield Config(((3, 8),), shape)
        yield Config((), shape, scale_factor=2)
        yield Config((), shape, scale_factor=(1.5, 3.0))


def folds():
    yield Config((4, 2), (2, 12, 9))
    yield Config(((4, 5), (2, 3)), (2, 12, 9))
    yield Config((4, 2), (12, 9))
    yield Config((5, 2, 2, 1, 2), (2, 8, 9))
    yield Config((6, 3), (1, 9, 4), stride=3)
    yield Config(((5, 6), (2, 2)), (2, 4, 42), padding=1)


def unfolds():
    yield Config((2,), (2, 3, 5, 6))
    yield Config(((2, 3),), (2, 3, 5, 6))
    yield Config((3,), (3, 5, 6))
    yield Config((2, 2, 1, 2), (2, 3, 5, 6))
    yield Config((2,), (2, 3, 5, 6), stride=(2, 1), padding=(0, 1))
    yield Config((3,), (1, 1, 9, 9), dilation=3)


def shuffles(kind):
    shapes = {
        "PixelShuffle": [(2, 8, 3, 4), (4, 2, 2), (2, 3, 4, 1, 5), (3, 4, 2, 2), (1, 16, 1, 1)],
        "PixelUnshuffle": [(2, 3, 4, 6), (1, 2, 2), (2, 3, 1, 8, 2), (3, 1, 2, 2), (1, 2, 4, 4)],
        "ChannelShuffle": [(2, 4, 3, 4), (1, 6, 5), (2, 2, 3, 1, 2), (0, 4, 2, 2), (1, 8, 1, 3)],
    }[kind]
    yield from [Config((2,), shape) for shape in shapes]
    yield Config((1,), (2, 3, 4, 5))
    yield Config((3,), {"PixelShuffle": (1, 18, 2, 1)}.get(kind, (1, 6, 3, 6)))


def by_dims(kind, configs, dims=DIMS):
    return {f"{kind}{d}d": list(configs(d)) for d in dims}


CONFIGS = {
    **by_dims("Conv", convolutions),
    **by_dims("ConvTranspose", transposed),
    **by_dims("MaxPool", max_pools),
    **by_dims("AvgPool", avg_pools),
    **by_dims("LPPool", lp_pools),
    **by_dims("AdaptiveAvgPool", adaptive),
    **by_dims("AdaptiveMaxPool", adaptive_max),
    **by_dims("FractionalMaxPool", fractional, (2, 3)),
    **by_dims("ReflectionPad", edge_pads),
    **by_dims("ReplicationPad", edge_pads),
    **by_dims("CircularPad", edge_pads),
    **by_dims("ConstantPad", constant_pads),
    **by_dims("ZeroPad", zero_pads),
    "Upsample": list(upsample()),
    "UpsamplingNearest2d": list(upsample_images()),
    "UpsamplingBilinear2d": list(upsample_images()),
    "Fold": list(folds()),
    "Unfold": list(unfolds()),
    **{kind: list(shuffles(kind)) for kind in ("PixelShuffle", "PixelUnshuffle", "ChannelShuffle")},
}
#: compared on their own below
LAZY = {
    "LazyLinear": [Config((4,), s) for s in ((5, 3), (3,), (2, 5, 3))]
    + [Config((4, False), s) for s in ((5, 3), (3,), (2, 5, 3))],
    **{f"Lazy{k}{d}d": [Config(c.args[1:], c.shape, call=c.call, **c.kwargs) for c in CONFIGS[f"{k}{d}d"]]
       for k in ("Conv", "ConvTranspose") for d in DIMS},
    **{f"Lazy{k}{d}d": [Config((), shape, **kwargs)
                        for shape in ((4, 3, *SIZE[d]), (2, 5, *SIZE[d]))
                        for kwargs in ({}, {"affine": False}, {"track_running_stats": False, "eps": 1e-3},
                                       {"bias": False, "momentum": 0.3})]
       for k in ("BatchNorm", "InstanceNorm") for d in DIMS},
}  # fmt: skip
UNPOOL = [f"MaxUnpool{d}d" for d in DIMS]
DTYPES = {"float64": (1e-9, 1e-10), "float32": (2e-5, 2e-5)}
EVERY = [pytest.param(name, c, id=f"{name}{c}") for name, cs in CONFIGS.items() for c in cs]
EVERY_LAZY = [pytest.param(name, c, id=f"{name}{c}") for name, cs in LAZY.items() for c in cs]


def test_every_layer_has_six_configurations():
    assert not [name for name, configs in {**CONFIGS, **LAZY}.items() if len(configs) < 6]


def agree(ours, theirs, dtype):
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    assert tuple(ours.shape) == tuple(theirs.shape)
    rtol, atol = DTYPES[dtype]
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=rtol, atol=atol)


def same_state(ours, theirs, dtype):
    mine, expected = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(expected)
    for name, value in mine.items():
        agree(value, expected[name], dtype)


def compare_calls(ours, theirs, x, dtype, call):
    """Results, and the gradients that random numbers in place of the loss's give the input and the parameters."""
    a = cr.tensor(x.astype(dtype), requires_grad=True)
    b = torch.tensor(x.astype(dtype), requires_grad=True)
    out, expected = ours(a, **call), theirs(b, **call)
    if isinstance(expected, tuple):
        assert isinstance(out, tuple) and len(out) == 2
        agree(out[1], expected[1], dtype)
        out, expected = out[0], expected[0]
    agree(out, expected, dtype)
    g = np.random.default_rng(2).normal(size=tuple(expected.shape)).astype(dtype)
    out.backward(cr.tensor(g))
    expected.backward(torch.tensor(g))
    agree(a.grad, b.grad, dtype)
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        agree(p.grad, q.grad, dtype)


def load(ours, theirs):
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "config"), EVERY)
def test_layer(name, config, dtype):
    theirs = config.make(name, torch.nn, torch.tensor).to(getattr(torch, dtype))
    ours = config.make(name, cr.nn, cr.tensor).to(getattr(cr, dtype))
    load(ours, theirs)
    assert repr(ours) == repr(theirs)
    compare_calls(ours, theirs, config.data(name), dtype, config.call)
    same_state(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("d", DIMS)
def test_unpooling(d, dtype):
    n = {1: (8,), 2: (6, 8), 3: (4, 6, 4)}[d]
    odd = tuple(2 * length + 1 for length in n)
    cases = [
        ((2,), (2, 3, *n), None),
        ((2,), (3, *n), None),
        ((3, 2, 1), (2, 3, *n), n),
        (((2, 3, 1)[:d],), (2, 3, *odd), odd),
        ((2, 2), (2, 3, *odd), (2, 3, *odd)),
        ((3, 1), (1, 2, *n), None),
        ((2, (1, 2, 2)[:d], (1, 0, 1)[:d]), (2, 2, *n), n),
    ]
    for args, shape, size in cases:
        x = np.random.default_rng(sum(shape)).uniform(-2, 2, shape).astype(dtype)
        found = []
        for library in (cr, torch):
            pool = getattr(library.nn, f"MaxPool{d}d")(*args, return_indices=True)
            unpool = getattr(library.nn, f"MaxUnpool{d}d")(*args)
            leaf = library.tensor(x, requires_grad=True)
            values, indices = pool(leaf)
            out = unpool(values, indices) if size is None else unpool(values, indices, output_size=size)
            g = np.random.default_rng(2).normal(size=tuple(out.shape)).astype(dtype)
            out.backward(library.tensor(g))
            found.append((out, leaf.grad, repr(unpool)))
        (out, grad, text), (expected, expected_grad, expected_text) = found
        agree(out, expected, dtype)
        agree(grad, expected_grad, dtype)
        assert text == expected_text


@pytest.mark.parametrize(("name", "config"), EVERY_LAZY)
def test_lazy_layer(name, config):
    """Printed forms before and after; a state dict loaded before the first call, and one loaded after it."""
    theirs, ours = config.make(name, torch.nn, torch.tensor).double(), config.make(name, cr.nn, cr.tensor).double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for t in ours.parameters():
        assert t.dtype == cr.float64 and repr(t) == "<UninitializedParameter>"
    x = config.data(name)
    theirs(torch.tensor(x), **config.call)
    early = config.make(name, cr.nn, cr.tensor).double()
    load(early, theirs)
    ours(cr.tensor(x), **config.call)
    load(ours, theirs)
    for layer in (ours, early):
        reference = copy.deepcopy(theirs)
        compare_calls(layer, reference, x, "float64", config.call)
        same_state(layer, reference, "float64")
        assert repr(layer) == repr(theirs) and type(layer).__name__ == type(theirs).__name__ == name[4:]


@pytest.mark.parametrize("name", [*CONFIGS, *LAZY, *UNPOOL, "UninitializedParameter", "UninitializedBuffer"])
def test_signature(name):
    ours, theirs = getattr(cr.nn, name), getattr(torch.nn, name)
    made = "__new__" if name.startswith("Uninitialized") else "__init__"
    pairs = [(ours.__init__, getattr(theirs, made))]
    if hasattr(theirs, "forward"):
        pairs.append((ours.forward, theirs.forward))
    for mine, expected in pairs:
        mine, expected = (list(inspect.signature(f).parameters.values())[1:] for f in (mine, expected))
        assert [(p.name, p.kind, p.default) for p in mine] == [(p.name, p.kind, p.default) for p in expected]


@pytest.mark.parametrize("name", [*CONFIGS, *UNPOOL])
def test_attributes(name):
    """What PyTorch's layer keeps under public names, ours keeps too."""
    config = CONFIGS[name][0] if name in CONFIGS else Config((2,), ())
    theirs, ours = config.make(name, torch.nn, torch.tensor), config.make(name, cr.nn, cr.tensor)
    for key, value in vars(theirs).items():
        if not key.startswith("_"):
            assert getattr(ours, key) == value, key


@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("d", DIMS)
def test_distribution_of_the_first_parameters(kind, d):
    """Uniform in the same range: the largest of many, and the spread."""
    args = (16, 24, {1: 40, 2: 7, 3: 4}[d])
    theirs, ours = getattr(torch.nn, f"{kind}{d}d")(*args), getattr(cr.nn, f"{kind}{d}d")(*args)
    for name, p in ours.named_parameters():
        values, expected = p.numpy(force=True), theirs.get_parameter(name).detach().numpy()
        bound = 1 / np.sqrt(np.prod(ours.weight.shape[1:]))
        assert np.abs(values).max() <= bound and np.abs(expected).max() <= bound
        if name == "weight":
            assert np.abs(values).max() > 0.99 * bound and np.abs(expected).max() > 0.99 * bound
            assert values.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)
            assert abs(values.mean()) < 0.03 * bound
        else:
            assert np.abs(values).max() > 0.5 * bound


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(5, 12), (20, 30)])
def test_upsampling_of_bytes(mode, size):
    """PyTorch's weights are fixed-point numbers: a value may lie 1 beside ours."""
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 7)).astype("uint8")
    for corners in (False, True) if mode.startswith("bi") else (None,):
        out = cr.nn.Upsample(size, mode=mode, align_corners=corners)(cr.tensor(x))
        expected = torch.nn.Upsample(size, mode=mode, align_corners=corners)(torch.tensor(x))
        assert out.dtype == cr.uint8 and tuple(out.shape) == tuple(expected.shape)
        apart = np.abs(out.numpy(force=True).astype(int) - expected.numpy().astype(int))
        assert apart.max() <= (1 if mode.startswith("bi") else 0) and np.mean(apart > 0) < 0.05


@pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64", "complex128"])
@pytest.mark.parametrize("name", [f"{k}{d}d" for k in ("Conv", "ConvTranspose") for d in DIMS])
def test_convolution_of_other_dtypes(name, dtype):
    mine, other = getattr(cr, dtype), getattr(torch, dtype)
    theirs = getattr(torch.nn, name)(3, 4, 3, padding=1, dtype=other)
    ours = getattr(cr.nn, name)(3, 4, 3, padding=1, dtype=mine)
    wide = "complex128" if dtype.startswith("complex") else "float64"
    load(ours, theirs.to(getattr(torch, wide)))
    theirs = theirs.to(other)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, *SIZE[int(name[-2])])).astype(wide)
    x = x + 1j * rng.normal(size=x.shape) if wide == "complex128" else x
    out, expected = ours(cr.tensor(x).to(mine)), theirs(torch.tensor(x).to(other))
    assert out.dtype == mine
    rtol = {"float16": 3e-3, "bfloat16": 3e-2, "complex64": 1e-5, "complex128": 1e-10}[dtype]
    out, expected = out.to(getattr(cr, wide)), expected.to(getattr(torch, wide))
    np.testing.assert_allclose(out.numpy(force=True), expected.detach().numpy(), rtol=rtol, atol=rtol)
