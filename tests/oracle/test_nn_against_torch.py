"""Every layer, activation and loss against PyTorch: outputs, gradients of inputs and parameters, printed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(0)


def data(*shape, low=-2.0, high=2.0):
    return RNG.uniform(low, high, shape)


def copied_layer(make):
    """The layer of ``make(nn)`` in both libraries, with the same values, in float64."""
    theirs = make(torch.nn).double()
    ours = make(nn).double()
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return ours, theirs


def close(ours, theirs, rtol=1e-9, atol=1e-11):
    np.testing.assert_allclose(ours.numpy(force=True), theirs.detach().numpy(), rtol=rtol, atol=atol)


#: PyTorch's own float64 results have float32 constants in them (1 / 6, 1 / alpha)
FLOAT32_CONSTANTS = {"Hardsigmoid", "CELU"}


def compare_layer(make, x, mode="train", rtol=1e-9):
    ours, theirs = copied_layer(make)
    getattr(ours, mode)(), getattr(theirs, mode)()
    a = cr.tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    for _ in range(2):  # twice: layers may remember
        out, expected = ours(a), theirs(b)
        assert tuple(out.shape) == tuple(expected.shape)
        close(out, expected, rtol)
        g = np.random.default_rng(1).normal(size=tuple(out.shape))
        out.backward(cr.tensor(g))
        expected.backward(torch.tensor(g))
    close(a.grad, b.grad, rtol)
    for (name, p), (other, q) in zip(ours.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other
        if q.grad is None:
            assert p.grad is None
        else:
            close(p.grad, q.grad)
    state, expected_state = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected_state)
    for name, value in state.items():
        close(value, expected_state[name])
    assert repr(ours) == repr(theirs)


LAYERS = {
    "linear": (lambda n: n.Linear(3, 4), (5, 3)),
    "linear no bias": (lambda n: n.Linear(3, 4, bias=False), (2, 5, 3)),
    "linear vector": (lambda n: n.Linear(3, 4), (3,)),
    "conv": (lambda n: n.Conv2d(3, 4, 3), (2, 3, 6, 7)),
    "conv stride": (lambda n: n.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0)), (2, 2, 7, 6)),
    "conv dilation": (lambda n: n.Conv2d(2, 4, 3, dilation=2, padding=2, bias=False), (2, 2, 7, 6)),
    "conv groups": (lambda n: n.Conv2d(4, 6, 3, groups=2, padding=1), (2, 4, 5, 5)),
    "conv depthwise": (lambda n: n.Conv2d(4, 4, 3, groups=4), (2, 4, 5, 5)),
    "conv same": (lambda n: n.Conv2d(2, 3, 3, padding="same"), (2, 2, 5, 5)),
    "conv same even": (lambda n: n.Conv2d(2, 3, (2, 4), padding="same", dilation=(1, 1)), (2, 2, 5, 6)),
    "conv valid": (lambda n: n.Conv2d(2, 3, 3, padding="valid"), (2, 2, 5, 5)),
    "conv one image": (lambda n: n.Conv2d(2, 3, 3), (2, 5, 5)),
    "max pool": (lambda n: n.MaxPool2d(2), (2, 3, 6, 7)),
    "max pool overlapping": (lambda n: n.MaxPool2d(3, stride=2, padding=1), (2, 3, 6, 7)),
    "max pool dilation": (lambda n: n.MaxPool2d((2, 3), stride=1, dilation=2), (2, 3, 8, 8)),
    "max pool ceil": (lambda n: n.MaxPool2d(3, 2, ceil_mode=True), (3, 6, 8)),
    "avg pool": (lambda n: n.AvgPool2d(2), (2, 3, 6, 7)),
    "avg pool padding": (lambda n: n.AvgPool2d(3, 2, 1), (2, 3, 6, 7)),
    "avg pool no pad": (lambda n: n.AvgPool2d(3, 2, 1, count_include_pad=False, ceil_mode=True), (2, 3, 6, 8)),
    "avg pool divisor": (lambda n: n.AvgPool2d(2, divisor_override=3), (3, 6, 6)),
    "adaptive 1": (lambda n: n.AdaptiveAvgPool2d(1), (2, 3, 6, 7)),
    "adaptive even": (lambda n: n.AdaptiveAvgPool2d((3, 2)), (2, 3, 6, 8)),
    "adaptive uneven": (lambda n: n.AdaptiveAvgPool2d((4, None)), (2, 3, 6, 7)),
    "batch norm 1d": (lambda n: n.BatchNorm1d(3), (5, 3)),
    "batch norm 1d sequences": (lambda n: n.BatchNorm1d(3), (5, 3, 4)),
    "batch norm 2d": (lambda n: n.BatchNorm2d(3), (5, 3, 2, 2)),
    "batch norm momentum None": (lambda n: n.BatchNorm2d(3, momentum=None), (5, 3, 2, 2)),
    "batch norm no affine": (lambda n: n.BatchNorm2d(3, affine=False, eps=1e-3), (5, 3, 2, 2)),
    "batch norm no bias": (lambda n: n.BatchNorm1d(3, bias=False), (5, 3)),
    "batch norm no stats": (lambda n: n.BatchNorm1d(3, track_running_stats=False), (5, 3)),
    "flatten": (lambda n: n.Flatten(), (2, 3, 4)),
    "flatten some": (lambda n: n.Flatten(0, 1), (2, 3, 4)),
    "unflatten": (lambda n: n.Unflatten(1, (2, 3)), (2, 6)),
    "identity": (lambda n: n.Identity(), (2, 3)),
    "dropout off": (lambda n: n.Dropout(0.0), (2, 3)),
    "prelu": (lambda n: n.PReLU(), (2, 3)),
    "prelu channels": (lambda n: n.PReLU(3, 0.1), (2, 3, 4)),
    **{
        name: ((lambda n, name=name, kwargs=kwargs: getattr(n, name)(**kwargs)), (4, 5))
        for name, kwargs in {
            "ReLU": {},
            "ReLU6": {},
            "LeakyReLU": {"negative_slope": 0.2},
            "ELU": {"alpha": 0.7},
            "SELU": {},
            "CELU": {"alpha": 0.7},
            "SiLU": {},
            "Mish": {},
            "GELU": {"approximate": "tanh"},
            "Hardtanh": {"min_val": -0.5, "max_val": 0.7},
            "Hardsigmoid": {},
            "Hardswish": {},
            "Tanh": {},
            "Tanhshrink": {},
            "Sigmoid": {},
            "LogSigmoid": {},
            "Softplus": {"beta": 2.0, "threshold": 3.0},
            "Softsign": {},
            "Softmax": {"dim": 1},
            "Softmin": {"dim": 0},
            "LogSoftmax": {"dim": -1},
        }.items()
    },
    "sequential": (lambda n: n.Sequential(n.Linear(3, 4), n.ReLU(), n.Sequential(n.Linear(4, 2), n.Tanh())), (5, 3)),
}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, mode):
    make, shape = LAYERS[name]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using padding='same' with even kernel")
        compare_layer(make, data(*shape, low=-3, high=3), mode, 1e-6 if name in FLOAT32_CONSTANTS else 1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda n: n.ReLU(inplace=True),
        lambda n: n.ReLU6(inplace=True),
        lambda n: n.LeakyReLU(inplace=True),
        lambda n: n.ELU(2.0, True),
        lambda n: n.Hardtanh(inplace=True),
        lambda n: n.SiLU(inplace=True),
        lambda n: n.Dropout(0.3, inplace=True),
        lambda n: n.ModuleList([n.Linear(2, 2), n.Linear(2, 2), n.ReLU()]),
        lambda n: n.ModuleList([n.Sequential(n.ReLU()), n.Sequential(n.ReLU())]),
        lambda n: n.ModuleList(),
        lambda n: n.Sequential(),
        lambda n: n.ModuleDict({"a": n.Linear(1, 2, bias=False), "b": n.MSELoss()}),
        lambda n: n.CrossEntropyLoss(),
        lambda n: n.Conv2d(2, 4, 3, padding="same", bias=False, groups=2, dilation=2),
        lambda n: n.Unflatten(1, (2, 2)),
        lambda n: n.Identity(),
    ],
)
def test_repr(make):
    assert repr(make(nn)) == repr(make(torch.nn))


@pytest.mark.parametrize("name", ["relu", "relu6", "leaky_relu", "elu", "selu", "celu", "hardtanh", "silu", "mish"])
def test_inplace_activation(name):
    x = data(4, 3)
    a, b = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = a * 2, b * 2
    out = getattr(F, name)(y, inplace=True)
    assert out is y
    (out * out).sum().backward()
    t = getattr(torch.nn.functional, name)(z, inplace=True)
    (t * t).sum().backward()
    close(y, z)
    close(a.grad, b.grad)


# ---- losses ---------------------------------------------------------------------------------------------------------


def compare_loss(f, x, target, **options):
    """``f(functional, tensor, target, options)``; floating targets get gradients too."""
    a, b = cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    soft = np.asarray(target).dtype.kind == "f"
    t, u = cr.tensor(target, requires_grad=soft), torch.tensor(target, requires_grad=soft)
    ours = f(F, a, t, **{k: cr.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()})
    theirs = f(
        torch.nn.functional,
        b,
        u,
        **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in options.items()},
    )
    assert tuple(ours.shape) == tuple(theirs.shape)
    close(ours, theirs)
    g = np.random.default_rng(1).normal(size=tuple(ours.shape))
    ours.backward(cr.tensor(g))
    theirs.backward(torch.tensor(g))
    close(a.grad, b.grad, 1e-8)  # PyTorch's 1e-12 in the gradient of BCE is a float32
    if soft:  # BCE's at probabilities 0 and 1 is infinite in PyTorch; ours is that of the limited logarithm
        finite = np.isfinite(u.grad.numpy())
        np.testing.assert_allclose(t.grad.numpy(force=True)[finite], u.grad.numpy()[finite], rtol=1e-9, atol=1e-11)


REDUCTIONS = ["mean", "sum", "none"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mse_loss", {}),
        ("l1_loss", {}),
        ("smooth_l1_loss", {}),
        ("smooth_l1_loss", {"beta": 0.3}),
        ("smooth_l1_loss", {"beta": 0.0}),
        ("huber_loss", {"delta": 0.6}),
        ("mse_loss", {"weight": data(3, 4, low=0.1, high=1)}),
        ("l1_loss", {"weight": data(3, 4, low=0.1, high=1)}),
    ],
)
def test_distance(name, options, reduction):
    compare_loss(
        lambda lib, x, t, **o: getattr(lib, name)(x, t, **o), data(3, 4), data(3, 4), reduction=reduction, **options
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, data(3, 4, low=0, high=2), data(4, low=0, high=2)])
def test_binary_cross_entropy(weight, reduction):
    x = data(3, 4, low=0.01, high=0.99)
    x[0, 0], x[0, 1], x[0, 2], x[1, 1] = 0.0, 1.0, 0.0, 1.0
    t = data(3, 4, low=0.1, high=0.9)
    t[0, :3], t[1, 1] = (1.0, 0.0, 0.0), 1.0
    compare_loss(
        lambda lib, x, t, **o: lib.binary_cross_entropy(x, t, **o),
        x,
        t,
        **({"weight": weight} if weight is not None else {}),
        reduction=reduction,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight": data(3, 4, low=0, high=2)},
        {"pos_weight": data(4, low=0.1, high=3)},
        {"weight": data(3, 1, low=0, high=2), "pos_weight": data(4, low=0.1, high=3)},
    ],
)
def test_binary_cross_entropy_with_logits(options, reduction):
    x = data(3, 4, low=-5, high=5)
    x[0, 0], x[0, 1] = 200.0, -200.0
    compare_loss(
        lambda lib, x, t, **o: lib.binary_cross_entropy_with_logits(x, t, **o),
        x,
        data(3, 4, low=0, high=1),
        reduction=reduction,
        **options,
    )


CLASSES = {
    "plain": ((5, 3), (5,), {}),
    "one sample": ((3,), (), {}),
    "images": ((2, 3, 2, 2), (2, 2, 2), {}),
    "weight": ((5, 3), (5,), {"weight": np.array([0.2, 1.0, 3.0])}),
    "ignored": ((5, 3), (5,), {"ignore_index": 1}),
    "ignored outside": ((5, 3), (5,), {"ignore_index": -100}),
    "weight ignored images": ((2, 3, 2, 2), (2, 2, 2), {"weight": np.array([0.2, 1.0, 3.0]), "ignore_index": 2}),
}


def class_target(shape, options):
    target = np.random.default_rng(3).integers(0, 3, shape)
    if options.get("ignore_index") == -100:
        target.flat[1] = -100
    return target


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", CLASSES)
def test_nll(case, reduction):
    shape, target, options = CLASSES[case]
    compare_loss(
        lambda lib, x, t, **o: lib.nll_loss(x, t, **o),
        data(*shape),
        class_target(target, options),
        reduction=reduction,
        **options,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("case", CLASSES)
def test_cross_entropy(case, smoothing, reduction):
    shape, target, options = CLASSES[case]
    compare_loss(
        lambda lib, x, t, **o: lib.cross_entropy(x, t, **o),
        data(*shape),
        class_target(target, options),
        reduction=reduction,
        label_smoothing=smoothing,
        **options,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, np.array([0.2, 1.0, 3.0])])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 3, 2, 2)])
def test_cross_entropy_of_probabilities(shape, weight, smoothing, reduction):
    compare_loss(
        lambda lib, x, t, **o: lib.cross_entropy(x, t, **o),
        data(*shape),
        data(*shape, low=0.1, high=1.0),
        reduction=reduction,
        label_smoothing=smoothing,
        **({} if weight is None else {"weight": weight}),
    )


@pytest.mark.parametrize("weight", [None, np.ones(3)])
def test_all_ignored_is_nan(weight):
    x, t = data(2, 3), np.full(2, -100)
    ours = F.cross_entropy(cr.tensor(x), cr.tensor(t), None if weight is None else cr.tensor(weight))
    theirs = torch.nn.functional.cross_entropy(torch.tensor(x), torch.tensor(t))
    assert np.isnan(ours.item()) and np.isnan(theirs.item())


LOSS_MODULES = [
    ("MSELoss", {}, "like"),
    ("L1Loss", {"reduction": "sum"}, "like"),
    ("SmoothL1Loss", {"beta": 0.5}, "like"),
    ("HuberLoss", {"delta": 0.5}, "like"),
    ("BCELoss", {}, "unit"),
    ("BCEWithLogitsLoss", {"reduction": "none"}, "unit"),
    ("CrossEntropyLoss", {"label_smoothing": 0.1, "ignore_index": 0}, "class"),
    ("NLLLoss", {"ignore_index": 1}, "class"),
]


@pytest.mark.parametrize(("name", "options", "kind"), LOSS_MODULES)
def test_loss_module(name, options, kind):
    x = data(4, 3, low=0.05, high=0.95)
    t = np.array([0, 2, 1, 2]) if kind == "class" else data(4, 3, low=0, high=1)
    ours = getattr(nn, name)(**options)(cr.tensor(x), cr.tensor(t))
    close(ours, getattr(torch.nn, name)(**options)(torch.tensor(x), torch.tensor(t)))


def test_backward_hooks():
    x = data(4, 3)
    seen = {}

    def run(lib, module_lib, key, tensor):
        model = module_lib.Sequential(module_lib.Linear(3, 3), module_lib.Tanh()).double()
        with lib.no_grad():
            for i, p in enumerate(model.parameters()):
                p.copy_(tensor(np.random.default_rng(i).normal(size=tuple(p.shape))))
        calls = seen.setdefault(key, [])
        model[1].register_full_backward_hook(lambda m, gi, go: calls.append((gi[0].numpy(), go[0].numpy())))
        model[0].register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
        a = tensor(x).requires_grad_()
        (a * 3 + model(a)).sum().backward()
        calls.append((a.grad.numpy(),))

    run(cr, nn, "ours", cr.tensor)
    run(torch, torch.nn, "theirs", torch.tensor)
    assert len(seen["ours"]) == len(seen["theirs"])
    for ours, theirs in zip(seen["ours"], seen["theirs"], strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9)


@pytest.mark.parametrize(
    "name", ["xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_", "trunc_normal_"]
)
def test_init_statistics(name):
    torch.manual_seed(0)
    cr.manual_seed(0)
    ours = getattr(nn.init, name)(cr.empty(200, 100, 2, 2)).numpy(force=True)
    theirs = getattr(torch.nn.init, name)(torch.empty(200, 100, 2, 2)).numpy()
    assert abs(ours.mean() - theirs.mean()) < 0.02 * theirs.std()
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)
    np.testing.assert_allclose(np.abs(ours).max(), np.abs(theirs).max(), rtol=0.2)


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"])
def test_gain(name):
    assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))


@pytest.mark.parametrize("make", [lambda n: n.Linear(100, 300), lambda n: n.Conv2d(16, 40, 5)])
def test_default_init(make):
    torch.manual_seed(0)
    cr.manual_seed(0)
    for (name, p), (_, q) in zip(make(nn).named_parameters(), make(torch.nn).named_parameters(), strict=True):
        a, b = p.numpy(force=True), q.detach().numpy()
        np.testing.assert_allclose(np.abs(a).max(), np.abs(b).max(), rtol=0.05, err_msg=name)
        np.testing.assert_allclose(a.std(), b.std(), rtol=0.1, err_msg=name)
