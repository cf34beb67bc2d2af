"""Every loss layer against PyTorch: values, gradients, second gradients, state dicts, printed forms, signatures."""

from __future__ import annotations

import inspect
import warnings

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle


def rng(seed=0):
    return np.random.default_rng(seed)


def normal(*shape, seed=0):
    return rng(seed).normal(size=shape)


def uniform(*shape, low=0.05, high=0.95, seed=0):
    return rng(seed).uniform(low, high, shape)


def classes(*shape, count=4, seed=0):
    return rng(seed).integers(0, count, shape)


def signs(*shape, seed=0):
    return rng(seed).choice([-1.0, 1.0], shape)


def logs(*shape, axis=1):
    x = normal(*shape)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


X, Y = normal(5, 4), normal(5, 4, seed=1)
P, Q = uniform(5, 4), uniform(5, 4, seed=1)
T = classes(5)
W = np.array([0.2, 1.0, 3.0, 0.5])
REDUCTIONS = [{"reduction": r} for r in ("mean", "sum", "none")]
SIGNED = [(np.abs(X), signs(5, 4))] * 2
VECTORS = (X, Y, signs(5))
TRIPLET = (X, Y, normal(5, 4, seed=2))
LABELS = np.array([[1, 3, 3], [4, 4, 1], [3, 1, 1]])  # without the blanks 0 and 2
SEVERAL = np.array([[3, 0, -1, 1], [-1, 0, 1, 2], [0, 1, 2, 3], [2, -1, 0, 0], [2, -1, 1, 0]])
IMAGE, PIXELS = normal(2, 4, 3, 3), classes(2, 3, 3)


def each(*options):
    """Every option with every reduction."""
    return [{**o, **r} for o in options for r in REDUCTIONS]


def ignoring(target, at=-100):
    target = target.copy()
    target.flat[1] = at
    return target


#: loss, list of options, list of what it is called with
CASES = {
    "MSELoss": (each({}), [(X, Y), (X[0], Y[0])]),
    "L1Loss": (each({}), [(X, Y), (X[0], Y[0])]),
    "SmoothL1Loss": (each({}, {"beta": 0.3}, {"beta": 0.0}), [(X, Y)]),
    "HuberLoss": (each({}, {"delta": 0.3}), [(X, Y)]),
    "KLDivLoss": (
        [*each({}, {"log_target": True}), {"reduction": "batchmean"}, {"reduction": "batchmean", "log_target": True}],
        [(logs(5, 4), P), (logs(4, axis=0), Q[0])],
    ),
    "PoissonNLLLoss": (
        each({}, {"full": True}, {"log_input": False}, {"log_input": False, "full": True, "eps": 1e-3}),
        [(P, classes(5, 4).astype(float))],
    ),
    "GaussianNLLLoss": (each({}, {"full": True}, {"eps": 0.3}), [(X, Y, P), (X, Y, P[:, 0]), (X, Y, P[:, :1])]),
    "BCELoss": (each({}, {"weight": Q}, {"weight": W}), [(P, Q), (P, (Q > 0.5).astype(float))]),
    "BCEWithLogitsLoss": (
        each({}, {"weight": Q}, {"pos_weight": W}, {"weight": W, "pos_weight": W[::-1].copy()}),
        [(X * 3, Q), (X * 300, (Q > 0.5).astype(float))],
    ),
    "NLLLoss": (
        each({}, {"weight": W}, {"ignore_index": 2}, {"weight": W, "ignore_index": -1}),
        [(logs(5, 4), T), (logs(4, axis=0), np.array(3)), (logs(2, 4, 3, 3), PIXELS)],
    ),
    "CrossEntropyLoss": (
        each({}, {"weight": W}, {"label_smoothing": 0.2}, {"weight": W, "ignore_index": 2, "label_smoothing": 0.1}),
        [(X, T), (X[0], np.array(3)), (IMAGE, PIXELS), (X, P / P.sum(1, keepdims=True)), (X, ignoring(T, 2))],
    ),
    "MultiLabelMarginLoss": (each({}), [(X, SEVERAL), (X[0], SEVERAL[0])]),
    "MultiLabelSoftMarginLoss": (each({}, {"weight": W}), [(X, (Q > 0.5).astype(float)), (X[0], Q[0])]),
    "MultiMarginLoss": (
        each({}, {"p": 2}, {"margin": 0.4}, {"p": 2, "margin": 0.7, "weight": W}, {"weight": W}),
        [(X, T), (X[0], np.array(3))],
    ),
    "HingeEmbeddingLoss": (each({}, {"margin": 0.4}), [(np.abs(X), signs(5, 4))]),
    "SoftMarginLoss": (each({}), [(X, signs(5, 4)), (X[0] * 9, signs(4))]),
    "MarginRankingLoss": (each({}, {"margin": 0.5}), [VECTORS[:2] + (signs(5, 4),), (X[0], Y[0], signs(4))]),
    "CosineEmbeddingLoss": (each({}, {"margin": 0.2}), [VECTORS, (X[0], Y[0], np.array(-1.0))]),
    "TripletMarginLoss": (
        each({}, {"margin": 0.3}, {"p": 1.0}, {"swap": True}, {"p": 3.0, "eps": 1e-3, "swap": True}),
        [TRIPLET],
    ),
    "TripletMarginWithDistanceLoss": (each({}, {"margin": 0.3}, {"swap": True}), [TRIPLET]),
    "CTCLoss": (
        each({}, {"blank": 2}, {"zero_infinity": True}),
        [
            (logs(6, 3, 5, axis=2), LABELS, np.array([6, 5, 4]), np.array([3, 2, 1])),
            (logs(6, 3, 5, axis=2), LABELS.reshape(-1)[:6], np.array([6, 5, 6]), np.array([3, 2, 1])),
        ],
    ),
    "LinearCrossEntropyLoss": (
        [
            {"in_features": 4, "num_classes": 4, **o}
            for o in each({}, {"bias": True, "weight": W}, {"label_smoothing": 0.2})
        ],
        [(X, T), (X[0], np.array(3))],
    ),
}
#: the second derivative of these is not PyTorch's business, or jumps
NO_SECOND = {
    "CTCLoss": "PyTorch has none",
    "MultiMarginLoss": "PyTorch has none",
    "MultiLabelMarginLoss": "PyTorch has none",
}
FLAT = {
    (name, i, j)
    for name, (options, calls) in CASES.items()
    for i in range(len(options))
    for j in range(len(calls))
    # both refuse to ignore a class among probabilities, see tests/test_nn_misfits.py
    if not (options[i].get("ignore_index", -1) >= 0 and calls[j][1].dtype.kind == "f")
}


def lifted(lib, options):
    return {k: lib.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}


def close(ours, theirs, rtol=1e-8, atol=1e-10):
    assert tuple(ours.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=rtol, atol=atol)


def both(name, options):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(**lifted(torch, options)).double()
    ours = getattr(cr.nn, name)(**lifted(cr, options)).double()
    assert repr(ours) == repr(theirs)
    state = theirs.state_dict()
    assert list(ours.state_dict()) == list(state)
    ours.load_state_dict({k: v.numpy() for k, v in state.items()})
    return ours, theirs


@pytest.mark.parametrize(("name", "option", "call"), sorted(FLAT))
def test_loss(name, option, call):
    options, arrays = CASES[name][0][option], CASES[name][1][call]
    if options.get("log_target"):
        arrays = (arrays[0], np.log(arrays[1]))
    warnings.filterwarnings("ignore", message="reduction: 'mean' divides the total loss")
    soft = {"BCELoss", "KLDivLoss", "MSELoss", "L1Loss", "GaussianNLLLoss"}  # gradients of the target as well
    found = []
    for lib, loss in zip((cr, torch), both(name, options), strict=True):
        given = [lib.tensor(a) for a in arrays]
        for i, t in enumerate(given):
            last = i == len(given) - 1 and name not in soft and "Triplet" not in name
            if t.is_floating_point() and not last:
                t.requires_grad_()
        out = loss(*given)
        total = (out * lib.tensor(rng(1).normal(size=tuple(out.shape)))).sum()
        inputs = [t for t in given if t.requires_grad] + list(loss.parameters())
        second = name not in NO_SECOND
        grads = list(lib.autograd.grad(total, inputs, create_graph=second))
        parts = [out, *grads]
        if second:
            used = [g for g in grads if g.requires_grad]
            if used:
                weighted = sum((g * lib.tensor(rng(2).normal(size=tuple(g.shape)))).sum() for g in used)
                for t in lib.autograd.grad(weighted, inputs, allow_unused=True):
                    parts.append(None if t is None else t.clone())
        found.append(parts)
    for i in range(max(map(len, found))):
        x, y = (parts[i] if i < len(parts) else None for parts in found)
        if x is None or y is None:
            left = y if x is None else x
            assert left is None or not np.any(left.detach().numpy()), "only one side has this gradient"
        else:
            close(x, y)


def test_every_loss_is_here():
    special = {"AdaptiveLogSoftmaxWithLoss", "NLLLoss2d"}
    assert {n for n in dir(torch.nn) if n.endswith("Loss")} | special == set(CASES) | special
    assert all(len(options) * len(calls) >= 6 for options, calls in CASES.values())


@pytest.mark.parametrize("name", sorted({*CASES, "AdaptiveLogSoftmaxWithLoss", "NLLLoss2d"}))
def test_signature(name):
    for method in ("__init__", "forward"):
        ours = inspect.signature(getattr(getattr(cr.nn, name), method)).parameters
        theirs = inspect.signature(getattr(getattr(torch.nn, name), method)).parameters
        assert [(p.name, p.kind, p.default) for p in ours.values()] == [
            (p.name, p.kind, p.default) for p in theirs.values()
        ]


@pytest.mark.parametrize("average", [None, True, False])
@pytest.mark.parametrize("reduce", [None, True, False])
@pytest.mark.parametrize("name", ["MSELoss", "CrossEntropyLoss", "HingeEmbeddingLoss", "PoissonNLLLoss"])
def test_older_arguments(name, average, reduce):
    found = []
    for lib in (cr, torch):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            loss = getattr(lib.nn, name)(size_average=average, reduce=reduce)
        found.append((loss.reduction, len(told), [w.category for w in told]))
        assert not told or told[0].filename == __file__ or lib is torch
    assert found[0] == found[1]


def test_nll_loss_2d():
    with pytest.warns(FutureWarning, match="NLLLoss2d is deprecated; use NLLLoss"):
        ours = cr.nn.NLLLoss2d(cr.tensor(W))
    with pytest.warns(FutureWarning):
        theirs = torch.nn.NLLLoss2d(torch.tensor(W))
    assert repr(ours) == repr(theirs)
    x = logs(2, 4, 3, 3)
    close(ours(cr.tensor(x), cr.tensor(PIXELS)), theirs(torch.tensor(x), torch.tensor(PIXELS)))


def test_loss_of_a_linear_layer_with_further_dimensions():
    options = {"in_features": 4, "num_classes": 3, "out_features": (2,), "bias": True}
    ours, theirs = both("LinearCrossEntropyLoss", options)
    target = classes(5, 2, count=3)
    a, b = ours(cr.tensor(X), cr.tensor(target)), theirs(torch.tensor(X), torch.tensor(target))
    a.backward(), b.backward()
    close(a, b)
    close(ours.linear.weight.grad, theirs.linear.weight.grad)


ADAPTIVE = [
    {"cutoffs": [4, 10]},
    {"cutoffs": [4, 10], "div_value": 2.0, "head_bias": True},
    {"cutoffs": [1]},
    {"cutoffs": [19], "div_value": 1.5},
    {"cutoffs": [4, 5, 6, 7], "div_value": 1.2},
    {"cutoffs": (3, 12), "div_value": 2},
]


@pytest.mark.parametrize("options", ADAPTIVE)
@pytest.mark.parametrize("target", [classes(9, count=20), classes(9, count=3), np.array(15), np.full(9, 19)])
def test_adaptive_softmax(options, target):
    x = normal(*target.shape, 8)
    found = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Initializing zero-element tensors")
        ours, theirs = both("AdaptiveLogSoftmaxWithLoss", {"in_features": 8, "n_classes": 20, **options})
    for lib, module in ((cr, ours), (torch, theirs)):
        a = lib.tensor(x, requires_grad=True)
        result = module(a, lib.tensor(target))
        assert result._fields == ("output", "loss")
        inputs = [a, *module.parameters()]
        total = result.loss + (result.output * lib.tensor(rng(1).normal(size=target.shape))).sum()
        grads = lib.autograd.grad(total, inputs, create_graph=True, allow_unused=True)
        again = lib.autograd.grad(sum((g * g).sum() for g in grads if g is not None), inputs, allow_unused=True)
        batch = lib.tensor(normal(4, 8))
        found.append([result.output, result.loss, module.log_prob(batch), module.predict(batch), *grads, *again])
    for i, (p, q) in enumerate(zip(*found, strict=True)):
        if p is None or q is None:
            left = q if p is None else p
            assert left is None or not np.any(left.detach().numpy()), i
        else:
            close(p, q)
