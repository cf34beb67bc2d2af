"""The functions of nn.functional on shapes, sizes and modes drawn at random: values and gradients are PyTorch's."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional as F

torch = pytest.importorskip("torch")
TF = torch.nn.functional

pytestmark = pytest.mark.oracle


def ints(values):
    return tuple(int(v) for v in values)


def parts(result):
    found = result if isinstance(result, (tuple, list)) else (result,)
    return [r for r in found if r is not None]


def compare(theirs, ours, arrays, what, tol=1e-9):
    """Values of all results, and the gradients of their weighted sum."""
    x = [torch.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    y = [cr.tensor(a, requires_grad=a.dtype.kind == "f") for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = parts(theirs(*x))
    got = parts(ours(*y))
    assert len(want) == len(got), what
    for w, g in zip(want, got, strict=True):
        assert tuple(w.shape) == tuple(g.shape), what
        assert str(w.dtype).split(".")[1] == g.dtype.name, what
        np.testing.assert_allclose(g.numpy(force=True), w.detach().numpy(), rtol=tol, atol=tol, err_msg=str(what))
    pairs = [(w, g) for w, g in zip(want, got, strict=True) if w.requires_grad]
    if not pairs:
        return
    seeds = [np.random.default_rng(i).normal(size=tuple(w.shape)) for i, (w, _) in enumerate(pairs)]
    a = torch.autograd.grad(
        [w for w, _ in pairs],
        [t for t in x if t.requires_grad],
        [torch.tensor(s).to(w.dtype) for s, (w, _) in zip(seeds, pairs, strict=True)],
        allow_unused=True,
    )
    b = cr.autograd.grad(
        [g for _, g in pairs],
        [t for t in y if t.requires_grad],
        [cr.tensor(s).to(g.dtype) for s, (_, g) in zip(seeds, pairs, strict=True)],
        allow_unused=True,
    )
    for i, (w, g) in enumerate(zip(a, b, strict=True)):
        w = np.zeros(()) if w is None else w.numpy()
        g = np.zeros(()) if g is None else g.numpy(force=True)
        np.testing.assert_allclose(
            *np.broadcast_arrays(g, w), rtol=10 * tol, atol=10 * tol, err_msg=f"{what}, gradient {i}"
        )


MODES = [
    ("nearest", 1), ("nearest", 2), ("nearest", 3), ("nearest-exact", 1), ("nearest-exact", 3), ("linear", 1),
    ("bilinear", 2), ("bicubic", 2), ("trilinear", 3), ("area", 2),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("mode", "dims"), MODES)
def test_interpolate(mode, dims, dtype):
    rng = np.random.default_rng(dims)
    for trial in range(16):
        x = rng.normal(size=(1, 2, *rng.integers(2, 9, dims))).astype(dtype)
        options = {"mode": mode}
        if trial % 2:
            options["size"] = ints(rng.integers(1, 14, dims))
        else:
            options["scale_factor"] = [float(v) for v in rng.uniform(0.6, 3.0, dims)] if trial % 4 else 1.5
            if trial % 3 == 0:
                options["recompute_scale_factor"] = True
        if "linear" in mode or mode == "bicubic":
            options["align_corners"] = bool(trial % 5 < 2)
        if mode == "nearest" and dims == 1:
            # where a size stays the same, PyTorch's gradient is not that of its own value
            wanted = TF.interpolate(torch.tensor(x), **options).shape[2]
            if wanted in (x.shape[2], 2 * x.shape[2]):
                continue
        tol = 1e-9 if dtype == "float64" else 1e-4
        compare(lambda a: TF.interpolate(a, **options), lambda a: F.interpolate(a, **options), [x], options, tol)  # noqa: B023


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_interpolate_smoothly(mode):
    rng = np.random.default_rng(1)
    for trial in range(12):
        x = rng.normal(size=(1, 2, *rng.integers(2, 9, 2)))
        options = {"mode": mode, "size": ints(rng.integers(2, 12, 2)), "antialias": True}
        if mode != "lanczos":
            options["align_corners"] = bool(trial % 2)
        compare(lambda a: TF.interpolate(a, **options), lambda a: F.interpolate(a, **options), [x], options)  # noqa: B023


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding, dims):
    if mode == "bicubic" and dims == 3:
        pytest.skip("images only")
    rng = np.random.default_rng(2)
    for align, scale in itertools.product((True, False), (0.9, 3.0)):
        x = rng.normal(size=(2, 3, *rng.integers(1, 6, dims)))
        grid = rng.normal(size=(2, *rng.integers(1, 5, dims), dims)) * scale
        compare(
            lambda a, b: TF.grid_sample(a, b, mode, padding, align),  # noqa: B023
            lambda a, b: F.grid_sample(a, b, mode, padding, align),  # noqa: B023
            [x, grid],
            (align, scale),
        )


@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 2, 1, 3), (2, 1, 3, 4, 2)])
def test_affine_grid(size, align):
    dims = len(size) - 2
    theta = np.random.default_rng(3).normal(size=(size[0], dims, dims + 1))
    compare(lambda t: TF.affine_grid(t, size, align), lambda t: F.affine_grid(t, size, align), [theta], size)


def both(name, arrays, *args):
    """A function of one name in both libraries."""
    compare(lambda *t: getattr(TF, name)(*t, *args), lambda *t: getattr(F, name)(*t, *args), arrays, (name, args))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_convolutions(dims):
    rng = np.random.default_rng(dims)
    for trial in range(20):
        groups, s, d, k = int(rng.integers(1, 3)), *(ints(rng.integers(1, 4, dims)) for _ in range(3))
        p = ints(rng.integers(0, 3, dims))
        extra = ints(rng.integers(0, max(a, b)) for a, b in zip(s, d, strict=True))
        w, b = rng.normal(size=(2 * groups, 3, *k)), rng.normal(size=3 * groups)
        x = rng.normal(size=(2, 2 * groups, *rng.integers(1, 5, dims)))
        size = [(n - 1) * s[i] - 2 * p[i] + d[i] * (k[i] - 1) + 1 + extra[i] for i, n in enumerate(x.shape[2:])]
        if min(size) > 0:
            both(f"conv_transpose{dims}d", [x, w, b], s, p, extra, groups, d)
        w, b = rng.normal(size=(4 * groups, 2, *k)), rng.normal(size=4 * groups)
        x = rng.normal(size=(2, 2 * groups, *rng.integers(7, 10, dims)))
        border = (s, p) if trial % 4 else (1, "same")
        both(f"conv{dims}d", [x, w, b], *border, d, groups)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_pooling(dims):
    rng = np.random.default_rng(dims)
    for trial in range(16):
        k, s, d = (ints(rng.integers(1, n, dims)) for n in (4, 4, 3))
        p = ints(rng.integers(0, n // 2 + 1) for n in k)
        x = rng.normal(size=(2, 2, *rng.integers(5, 8, dims)))
        if trial % 4 == 0:
            x = np.round(x)  # equal maxima
        ceil = bool(trial % 2)
        both(f"max_pool{dims}d", [x], k, s, p, d, ceil)
        both(f"max_pool{dims}d", [x], k, s, p, d, ceil, True)
        divisor = (3,) if dims > 1 and trial % 3 == 0 else ()
        both(f"avg_pool{dims}d", [x], k, s, p, ceil, bool(trial % 3), *divisor)
        both(f"avg_pool{dims}d", [np.round(x * 9).astype(np.int64)], k, s, p, ceil, bool(trial % 3), *divisor)
        both(f"adaptive_avg_pool{dims}d", [x], ints(rng.integers(1, 9, dims)))
        both(f"adaptive_max_pool{dims}d", [x], ints(rng.integers(1, 9, dims)), True)
        both(f"lp_pool{dims}d", [np.abs(x) + 0.1], 3.0, k[0], s[0], ceil)


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_pooling_and_back(dims):
    rng = np.random.default_rng(4)
    for _ in range(5):
        x, u = rng.normal(size=(2, 2, *rng.integers(5, 9, dims))), rng.random((2, 2, dims))
        size, k = ints(rng.integers(1, 4, dims)), ints(rng.integers(1, 3, dims))
        name = f"fractional_max_pool{dims}d"
        compare(
            lambda a, b: getattr(TF, name)(a, k, size, return_indices=True, _random_samples=b.detach()),  # noqa: B023
            lambda a, b: getattr(F, name)(a, k, size, return_indices=True, _random_samples=b),  # noqa: B023
            [x, u],
            (size, k),
        )


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("mask", [None, "2d", "3d", "bool"])
@pytest.mark.parametrize("padding", [None, "bool", "float"])
def test_multi_head_attention(heads, mask, padding):
    rng = np.random.default_rng(5)
    length, sources, width = 3, 5, 4
    for single, separate, weights, average, zero, bias in itertools.product((False, True), repeat=6):
        if rng.random() > 0.25:
            continue
        batch = 1 if single else 2
        q, k, v = (rng.normal(size=(n, batch, width)) for n in (length, sources, sources))
        if single:
            q, k, v = q[:, 0], k[:, 0], v[:, 0]
        w, b, bk, bv = (rng.normal(size=n) for n in ((3 * width, width), 3 * width, (1, 1, width), (1, 1, width)))
        wo, bo = rng.normal(size=(width, width)), rng.normal(size=width)
        m = {
            None: None,
            "2d": rng.normal(size=(length, sources)),
            "3d": rng.normal(size=(batch * heads, length, sources)),
            "bool": np.arange(sources) > np.arange(length)[:, None],
        }[mask]
        pad = {None: None, "bool": np.arange(sources) == 4, "float": rng.normal(size=sources)}[padding]
        pad = pad if pad is None or single else np.stack([pad] * batch)

        def run(functional, tensor, q, k, v, w, b, bk, bv, wo, bo):
            given = (w[:width], w[width : 2 * width], w[2 * width :]) if separate else (None, None, None)  # noqa: B023
            return functional.multi_head_attention_forward(
                q, k, v, width, heads, None if separate else w, b, bk if bias else None, bv if bias else None, zero,  # noqa: B023
                0.0, wo, bo, True, None if pad is None else tensor(pad), weights, None if m is None else tensor(m),  # noqa: B023
                separate, *given, average_attn_weights=average,  # noqa: B023
            )  # fmt: skip

        compare(
            lambda *t: run(TF, torch.tensor, *t),
            lambda *t: run(F, cr.tensor, *t),
            [q, k, v, w, b, bk, bv, wo, bo],
            (single, separate, weights, average, zero, bias),
        )


def test_attention():
    rng = np.random.default_rng(6)
    for trial in range(24):
        length, sources, e, f = ints(rng.integers(1, 6, 4))
        heads = int(rng.choice([1, 2, 4]))
        q, k = rng.normal(size=(2, 4, length, e)), rng.normal(size=(2, heads, sources, e))
        v = rng.normal(size=(2, heads, sources, f))
        m = [
            None,
            rng.random((length, sources)) < 0.5,  # some rows may look at nothing
            rng.normal(size=(2, 1, length, sources)),
            rng.random((2, 4, 1, sources)) < 0.3,
        ][trial % 4]
        options = {"enable_gqa": heads != 4, "scale": (None, 0.7)[trial % 2]}
        if m is None:
            options["is_causal"] = bool(trial % 8)
        compare(
            lambda *t: TF.scaled_dot_product_attention(*t, None if m is None else torch.tensor(m), **options),  # noqa: B023
            lambda *t: F.scaled_dot_product_attention(*t, None if m is None else cr.tensor(m), **options),  # noqa: B023
            [q, k, v],
            (trial, options),
        )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "lstm_projected", "gru", "rnn_tanh", "rnn_relu"])
def test_recurrent(kind, packed):
    rng = np.random.default_rng(7)
    name, projected = kind.removesuffix("_projected"), kind.endswith("projected")
    gates = {"lstm": 4, "gru": 3}.get(name, 1)
    steps, batch, features, hidden = 4, 3, 3, 4
    sizes, state = [3, 2, 2, 1], 2 if projected else 4
    for both_ways, biases, layers, first in itertools.product((False, True), (False, True), (1, 2), (False, True)):
        if packed and first:
            continue
        shape = (sum(sizes),) if packed else (batch, steps) if first else (steps, batch)
        directions = 1 + both_ways
        arrays = [rng.normal(size=(*shape, features))]
        arrays += [rng.normal(size=(layers * directions, batch, n)) for n in (state, hidden)]
        for layer in range(layers):
            for _ in range(directions):
                width = state * directions if layer else features
                arrays += [rng.normal(size=(gates * hidden, n)) * 0.5 for n in (width, state)]
                arrays += [rng.normal(size=gates * hidden) for _ in range(2 * biases)]
                arrays += [rng.normal(size=(state, hidden))] * projected

        def run(library, x, h, c, *params):
            hx = (h, c) if name == "lstm" else h
            f = getattr(library, name)
            if packed:
                return f(x, library.tensor(sizes), hx, list(params), biases, layers, 0.0, True, both_ways)  # noqa: B023
            return f(x, hx, list(params), biases, layers, 0.0, True, both_ways, first)  # noqa: B023

        compare(lambda *t: run(torch, *t), lambda *t: run(cr, *t), arrays, (both_ways, biases, layers, first))


@pytest.mark.parametrize("name", ["lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"])
def test_cells(name):
    rng = np.random.default_rng(8)
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)
    sizes = ((2, 3), (2, 4), (2, 4), (gates * 4, 3), (gates * 4, 4), (gates * 4,), (gates * 4,))

    def run(library, x, h, c, *weights):
        return getattr(library, name)(x, (h, c) if name == "lstm_cell" else h, *weights)

    arrays = [rng.normal(size=s) for s in sizes]
    compare(lambda *t: run(torch, *t), lambda *t: run(cr, *t), arrays, name)


def test_ctc_of_short_inputs_and_concatenated_targets():
    rng = np.random.default_rng(9)
    x = rng.normal(size=(5, 3, 4))
    for lengths, targets in (([5, 3, 4], [2, 3, 0]), ([1, 5, 2], [3, 1, 2]), ([5, 0, 5], [1, 0, 2])):
        flat = rng.integers(1, 4, sum(targets))
        for reduction in ("none", "mean", "sum"):
            options = {"reduction": reduction, "zero_infinity": True}
            compare(
                lambda a: TF.ctc_loss(a.log_softmax(2), torch.tensor(flat), tuple(lengths), tuple(targets), **options),  # noqa: B023
                lambda a: F.ctc_loss(a.log_softmax(2), cr.tensor(flat), tuple(lengths), tuple(targets), **options),  # noqa: B023
                [x],
                (lengths, targets, reduction),
            )


def test_embeddings():
    rng = np.random.default_rng(10)
    weight, index = rng.normal(size=(6, 3)), np.array([[1, 2, 2], [5, 1, 1]])
    for options in (
        {},
        {"padding_idx": 1},
        {"padding_idx": -1, "scale_grad_by_freq": True},
        {"max_norm": 1.0},
        {"max_norm": 1.0, "norm_type": 1.0},
    ):
        compare(
            lambda i, w: TF.embedding(i, w * 1.0, **options) if "max_norm" not in options else None,  # noqa: B023
            lambda i, w: F.embedding(i, w * 1.0, **options) if "max_norm" not in options else None,  # noqa: B023
            [index, weight],
            options,
        )
        if "max_norm" in options:
            theirs, ours = torch.tensor(weight), cr.tensor(weight)
            a, b = TF.embedding(torch.tensor(index), theirs, **options), F.embedding(cr.tensor(index), ours, **options)
            np.testing.assert_allclose(b.numpy(force=True), a.numpy(), rtol=1e-12)
            np.testing.assert_allclose(ours.numpy(force=True), theirs.numpy(), rtol=1e-12)  # changed in place
    for mode, offsets, last, padding in itertools.product(
        ("sum", "mean", "max"), ([0, 2, 2, 5], [0, 0, 6]), (False, True), (None, 2)
    ):
        given = [*offsets, 6] if last else offsets
        options = {"mode": mode, "include_last_offset": last, "padding_idx": padding}
        compare(
            lambda i, o, w: TF.embedding_bag(i, w, o, **options),  # noqa: B023
            lambda i, o, w: F.embedding_bag(i, w, o, **options),  # noqa: B023
            [index.reshape(-1), np.array(given), weight],
            (options, offsets),
        )
