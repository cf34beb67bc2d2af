"""Layers, activations, losses and initialisation without PyTorch: shapes, behaviour in training, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn import init
from chainrule.nn.functional import loss as loss_module
from chainrule.nn.functional import loss_classes as class_module


def host(t):
    return t.numpy(force=True)


def normal(*shape, seed=0):
    return cr.tensor(np.random.default_rng(seed).normal(size=shape).astype("float32"))


# ---- shapes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Linear(3, 4), (3,), (4,)),
        (nn.Linear(3, 4), (0, 3), (0, 4)),
        (nn.Linear(3, 4), (2, 5, 3), (2, 5, 4)),
        (nn.Conv2d(1, 2, 3, padding="same"), (4, 1, 5, 6), (4, 2, 5, 6)),
        (nn.Conv2d(1, 2, (2, 3), stride=2), (1, 5, 6), (2, 2, 2)),
        (nn.MaxPool2d(2, ceil_mode=True), (1, 1, 5, 5), (1, 1, 3, 3)),
        (nn.AvgPool2d(3, 1, 1), (1, 5, 5), (1, 5, 5)),
        (nn.AdaptiveAvgPool2d((None, 2)), (1, 2, 5, 5), (1, 2, 5, 2)),
        (nn.Flatten(2), (2, 3, 4, 5), (2, 3, 20)),
        (nn.Unflatten(-1, (2, -1)), (3, 8), (3, 2, 4)),
        (nn.Softmax(1), (3, 8), (3, 8)),
    ],
    ids=repr,
)
def test_shape(layer, shape, expected):
    assert tuple(layer(cr.zeros(*shape)).shape) == expected


def test_linear_whose_weight_is_no_parameter():
    layer = nn.Linear(2, 1)
    del layer.weight
    layer.weight = cr.tensor([[1.0, 2.0]])
    layer.bias = None
    assert layer(cr.ones(2)).tolist() == [3.0]
    assert F.linear(cr.ones(3, 2), cr.ones(2), cr.tensor(1.0)).tolist() == [3.0, 3.0, 3.0]


def test_dtype_and_device_arguments():
    layer = nn.Linear(2, 3, device="guard", dtype=cr.float64)
    assert layer.weight.dtype == cr.float64 and str(layer.bias.device) == "guard"
    norm = nn.BatchNorm1d(2, device="guard", dtype=cr.float64)
    assert norm.running_var.dtype == cr.float64 and norm.num_batches_tracked.dtype == cr.int64
    assert str(norm.num_batches_tracked.device) == "guard"


# ---- training and evaluation ----------------------------------------------------------------------------------------


def test_dropout():
    cr.manual_seed(0)
    x = cr.ones(100, 100, requires_grad=True)
    layer = nn.Dropout(0.25)
    out = layer(x)
    kept = host(out) != 0
    assert abs(kept.mean() - 0.75) < 0.02
    np.testing.assert_allclose(host(out)[kept], 1 / 0.75, rtol=1e-6)
    out.sum().backward()
    np.testing.assert_allclose(host(x.grad), host(out))
    assert layer.eval()(x) is x
    cr.manual_seed(0)
    np.testing.assert_array_equal(host(F.dropout(x, 0.25)), host(out))
    y = cr.ones(10, 10) * 1
    assert F.dropout(y, 1.0, inplace=True) is y and not host(y).any()
    y = cr.ones(10, 10) * 1
    assert F.dropout(y, 0.5, inplace=True) is y and set(np.unique(host(y))) == {0.0, 2.0}


def test_batch_norm_statistics():
    norm = nn.BatchNorm2d(3, momentum=0.5)
    x = normal(4, 3, 2, 2) * 3 + 1
    out = host(norm(x))
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(out.var((0, 2, 3)), 1, rtol=1e-4)
    np.testing.assert_allclose(host(norm.running_mean), 0.5 * host(x).mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(host(norm.running_var), 0.5 + 0.5 * host(x).var((0, 2, 3), ddof=1), rtol=1e-5)
    assert norm.num_batches_tracked.item() == 1
    norm.eval()
    before = host(norm.running_mean).copy()
    y = norm(x)
    np.testing.assert_array_equal(host(norm.running_mean), before)
    centred = host(x) - before.reshape(1, 3, 1, 1)
    np.testing.assert_allclose(
        host(y), centred / np.sqrt(host(norm.running_var) + 1e-5).reshape(1, 3, 1, 1), rtol=1e-4, atol=1e-6
    )
    norm.reset_parameters()
    assert norm.num_batches_tracked.item() == 0 and not host(norm.running_mean).any()


def test_a_refused_batch_changes_no_statistics():
    norm = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than 1 value per channel when training, got input of shape"):
        norm(cr.ones(1, 3))
    assert norm.num_batches_tracked.item() == 0 and not host(norm.running_mean).any()
    assert norm.eval()(cr.ones(1, 3)).shape == (1, 3)


def test_batch_norm_second_order():
    x = cr.tensor(np.random.default_rng(0).normal(size=(4, 2)), requires_grad=True)
    assert cr.autograd.gradgradcheck(lambda x: F.batch_norm(x, None, None, training=True), (x,))


# ---- losses ---------------------------------------------------------------------------------------------------------

PAIRED = [
    "mse_loss",
    "l1_loss",
    "smooth_l1_loss",
    "huber_loss",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
]


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize(("a", "b"), [((4,), (4, 1)), ((4, 1), (4,)), ((2, 3), (3,)), ((3,), ()), ((1,), (2,))])
def test_losses_refuse_to_broadcast(name, a, b):
    with pytest.raises(ValueError, match="must have the same shape") as caught:
        getattr(F, name)(cr.zeros(*a), cr.zeros(*b))
    assert str(a) in str(caught.value) and str(b) in str(caught.value) and name in str(caught.value)
    if math.prod(a) == math.prod(b):
        assert "target.reshape" in str(caught.value)


@pytest.mark.parametrize("name", PAIRED)
def test_losses_want_tensors(name):
    with pytest.raises(TypeError, match=f"{name}: target must be a Tensor, got float 1.0"):
        getattr(F, name)(cr.zeros(2), 1.0)
    with pytest.raises(ValueError, match=f"{name}: reduction must be 'mean', 'sum' or 'none', got 'avg'"):
        getattr(F, name)(cr.zeros(2), cr.zeros(2), reduction="avg")


def test_error_of_a_loss_module_names_it():
    with pytest.raises(ValueError, match=r"^MSELoss\(\): mse_loss: input of shape \(4,\) and target of shape \(4, 1\)"):
        nn.MSELoss()(cr.zeros(4), cr.zeros(4, 1))


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([0, 3])), IndexError, "class 3, expected 0 to 2"),
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([0, -1])), IndexError, "class -1, expected 0 to 2"),
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([[0], [1]])), ValueError, r"in shape \(2,\) or"),
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([0, 1, 2])), ValueError, r"in shape \(2,\) or"),
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.zeros(2)), ValueError, r"must have the input's shape \(2, 3\)"),
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([True, False])), TypeError, "got bool"),
        (lambda: F.cross_entropy(cr.tensor([[1, 2]]), cr.tensor([0])), RuntimeError, "floating-point logits"),
        (
            lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([0, 1]), cr.ones(2)),
            RuntimeError,
            r"weight must have shape \(3,\)",
        ),
        (lambda: F.cross_entropy(cr.zeros(2, 3), cr.tensor([0, 1]), label_smoothing=2), ValueError, "label_smoothing"),
        (lambda: F.cross_entropy(cr.tensor(1.0), cr.tensor(0)), RuntimeError, "0-d"),
        (
            lambda: F.nll_loss(cr.zeros(2, 3), cr.zeros(2)),
            TypeError,
            "must hold integer classes, got chainrule.float32",
        ),
        (
            lambda: F.binary_cross_entropy(cr.tensor([1.5]), cr.tensor([1.0])),
            RuntimeError,
            "between 0 and 1, got .* 1.5",
        ),
        (
            lambda: F.binary_cross_entropy(cr.tensor([0.5]), cr.ones(1), cr.ones(2)),
            ValueError,
            r"weight of shape \(2,\)",
        ),
        (lambda: F.smooth_l1_loss(cr.ones(1), cr.ones(1), beta=-1), ValueError, "beta"),
        (lambda: F.huber_loss(cr.ones(1), cr.ones(1), delta=0), ValueError, "delta"),
        (lambda: nn.MSELoss(reduction="avg"), ValueError, "MSELoss: reduction"),
        (
            lambda: F.linear(cr.ones(2, 3), cr.ones(4, 2)),
            RuntimeError,
            r"the 2 columns of weight \(4, 2\), got .*\(2, 3\)",
        ),
        (
            lambda: F.linear(cr.ones(2), cr.ones(4, 2), cr.ones(3)),
            RuntimeError,
            r"bias must have shape \(4,\), got \(3,\)",
        ),
        (lambda: F.linear([1.0], cr.ones(4, 2)), TypeError, "input must be a Tensor, got list"),
        (lambda: F.linear(cr.ones(2).double(), cr.ones(4, 2)), RuntimeError, "one dtype, got a float64 tensor"),
        (lambda: nn.Linear(-1, 2), ValueError, "Linear: sizes must not be negative"),
        (lambda: nn.Conv2d(3, 4, 3)(cr.ones(2, 1, 5, 5)), RuntimeError, "expects 3 input channels, got 1"),
        (
            lambda: nn.Conv2d(1, 1, 3)(cr.ones(5, 5)),
            RuntimeError,
            r"must have shape \(N, C, H, W\) or \(C, H, W\), got \(5, 5\)",
        ),
        (
            lambda: nn.Conv2d(1, 1, 7)(cr.ones(1, 1, 5, 5)),
            RuntimeError,
            "5 x 5, smaller than the kernel's reach of 7 x 7",
        ),
        (lambda: nn.Conv2d(1, 1, 3)(cr.ones(1, 1, 5, 5).double()), RuntimeError, "must have one dtype"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divide in_channels=3"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "'valid' or 'same', got 'full'"),
        (lambda: nn.Conv2d(1, 1, 3, stride=2, padding="same"), ValueError, "needs stride 1"),
        (lambda: nn.Conv2d(1, 1, (1, 2, 3)), TypeError, "kernel_size must be an int or two of them"),
        (lambda: nn.Conv2d(1, 1, 0), ValueError, "kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), ValueError, "stride must be at least 1"),
        (
            lambda: F.conv2d(cr.ones(1, 1, 3, 3), cr.ones(2, 1, 3, 3), cr.ones(3)),
            RuntimeError,
            r"bias must have shape \(2,\)",
        ),
        (lambda: F.max_pool2d(cr.ones(1, 3, 3), 4), RuntimeError, "does not fit into an input of shape"),
        (lambda: F.max_pool2d(cr.ones(1, 3, 3), 2, padding=2), RuntimeError, "at most half of the kernel"),
        (lambda: F.avg_pool2d(cr.ones(1, 3, 3), 2, divisor_override=0), ValueError, "divisor_override"),
        (lambda: F.adaptive_avg_pool2d(cr.ones(1, 3, 3), (1, 2, 3)), TypeError, "output_size"),
        (lambda: nn.BatchNorm2d(3)(cr.ones(2, 3)), ValueError, r"expected input of shape \(N, C, H, W\) with C = 3"),
        (lambda: nn.BatchNorm1d(3)(cr.ones(2, 4)), ValueError, r"with C = 3, got \(2, 4\)"),
        (lambda: F.batch_norm(cr.ones(2, 3), None, None), RuntimeError, "are needed unless training=True"),
        (
            lambda: F.batch_norm(cr.ones(2, 3), cr.ones(2), cr.ones(3)),
            RuntimeError,
            r"running_mean must have shape \(3,\)",
        ),
        (lambda: nn.Dropout(1.5), ValueError, "p must be in"),
        (lambda: F.dropout(cr.ones(1), -1), ValueError, "p must be in"),
        (lambda: F.dropout(cr.tensor([1])), RuntimeError, "floating-point"),
        (lambda: F.softmax(cr.ones(2)), TypeError, "softmax: missing argument 'dim'"),
        (lambda: F.hardtanh(cr.ones(1), 1, 0), ValueError, "must not exceed"),
        (lambda: F.prelu(cr.ones(2, 3), cr.ones(2)), RuntimeError, "one for each of the 3 channels"),
        (lambda: F.gelu(cr.ones(1), "other"), ValueError, "'none' or 'tanh'"),
    ],
)
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_ignored_class_may_be_out_of_range():
    loss = F.cross_entropy(cr.zeros(3, 2), cr.tensor([0, 255, 1]), ignore_index=255)
    assert loss.item() == pytest.approx(math.log(2))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.5]])
def test_class_losses_without_looking_at_values(monkeypatch, weight, smoothing):
    """What runs on CUDA: the same results, and NaN instead of an error."""
    x, weight = normal(4, 3), None if weight is None else cr.tensor(weight)
    options = {"ignore_index": 1, "label_smoothing": smoothing}
    target = cr.tensor([0, 2, 1, 2])
    expected = F.cross_entropy(x, target, weight, **options)
    for module in (loss_module, class_module):
        monkeypatch.setattr(module, "asynchronous", lambda t: True)
    np.testing.assert_allclose(host(F.cross_entropy(x, target, weight, **options)), host(expected), rtol=1e-6)
    for wrong in (-1, 3):
        assert math.isnan(F.cross_entropy(x, cr.tensor([0, wrong, 1, 2]), weight, **options).item())
        assert math.isnan(F.nll_loss(x, cr.tensor([0, wrong, 1, 2]), weight).item())
    assert math.isnan(F.binary_cross_entropy(cr.tensor([math.nan]), cr.ones(1)).item())


@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16])
def test_half_precision_model(dtype):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
    loss = F.cross_entropy(model(normal(5, 4).to(dtype)), cr.tensor([0, 1, 2, 0, 1]))
    loss.backward()
    assert loss.dtype == dtype and all(p.grad.dtype == dtype for p in model.parameters())


def test_a_network_learns_xor():
    cr.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = cr.optim.Adam(model.parameters(), lr=0.05)
    x, y = cr.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]]), cr.tensor([[0.0], [1], [1], [0]])
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
    assert ((model(x) > 0).float() == y).all()


# ---- initialisation -------------------------------------------------------------------------------------------------


def test_init_bounds_and_moments():
    cr.manual_seed(0)
    w = cr.empty(300, 200)
    assert init.uniform_(w, -2, 3) is w and host(w).min() >= -2 and host(w).max() < 3
    np.testing.assert_allclose(host(init.normal_(w, 1, 2)).std(), 2, rtol=0.02)
    values = host(init.trunc_normal_(w, 0.5, 2.0, -1.0, 1.0))
    assert values.min() >= -1 and values.max() <= 1 and 0 < values.mean() < 0.2
    np.testing.assert_allclose(host(init.xavier_normal_(w, 2.0)).std(), 2 * math.sqrt(2 / 500), rtol=0.02)
    assert np.abs(host(init.xavier_uniform_(w))).max() <= math.sqrt(6 / 500)
    np.testing.assert_allclose(host(init.kaiming_normal_(w, nonlinearity="relu")).std(), math.sqrt(2 / 200), rtol=0.02)
    assert np.abs(host(init.kaiming_uniform_(w, mode="fan_out"))).max() <= math.sqrt(6 / 300)
    q = host(init.orthogonal_(cr.empty(4, 3, 2), gain=2.0)).reshape(4, 6)
    np.testing.assert_allclose(q @ q.T, 4 * np.eye(4), atol=1e-5)
    assert init.eye_(cr.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.constant_(cr.empty(2), 3).tolist() == [3, 3] == (init.ones_(cr.empty(2)) * 3).tolist()


def test_init_of_parameters_is_seeded_and_unrecorded():
    first = host(init.normal_(cr.empty(5), generator=cr.Generator().manual_seed(1)))
    p = nn.Parameter(cr.empty(5))
    out = (p * p).sum()
    assert init.normal_(p, generator=cr.Generator().manual_seed(1)) is p and p.is_leaf and p.requires_grad
    np.testing.assert_array_equal(host(p), first)
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        out.backward()


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: init.xavier_uniform_(cr.empty(3)), "at least 2 dimensions"),
        (lambda: init.orthogonal_(cr.empty(3)), "at least 2 dimensions"),
        (lambda: init.eye_(cr.empty(3)), "expected a matrix"),
        (lambda: init.kaiming_normal_(cr.empty(3, 3), mode="fan"), "mode must be 'fan_in' or 'fan_out'"),
        (lambda: init.calculate_gain("softmax"), "unknown nonlinearity 'softmax'"),
        (lambda: init.calculate_gain("leaky_relu", "x"), "slope of leaky_relu"),
    ],
)
def test_bad_init(act, message):
    with pytest.raises(ValueError, match=message):
        act()
