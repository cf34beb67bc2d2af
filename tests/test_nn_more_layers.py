"""Norms, dropouts, gates and distances as layers: shapes, mistakes, and what PyTorch does not have."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

RNG = np.random.default_rng(0)


def host(t):
    return t.numpy(force=True)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm1d(3), (4, 2), r"BatchNorm1d.*\(N, C\) or \(N, C, L\) with C = 3, got \(4, 2\)"),
        (nn.BatchNorm2d(3), (4, 3), r"BatchNorm2d.*\(N, C, H, W\)"),
        (nn.BatchNorm3d(3), (4, 3, 2, 2), r"BatchNorm3d.*\(N, C, D, H, W\)"),
        (nn.BatchNorm1d(3), (1, 3), "more than 1 value per channel"),
        (nn.InstanceNorm1d(3, affine=True), (4, 2, 5), "with C = 3"),
        (nn.InstanceNorm2d(3), (4, 3), r"\(N, C, H, W\) or \(C, H, W\)"),
        (nn.InstanceNorm1d(3), (4, 3, 1), "more than 1 spatial element"),
        (nn.LayerNorm(4), (2, 3), "normalized_shape"),
        (nn.RMSNorm((2, 3)), (2, 4), "normalized_shape"),
        (nn.GroupNorm(2, 4), (2, 6, 3), r"weight must have shape \(6,\)"),
        (nn.LocalResponseNorm(2), (2, 3), "3 dimensions"),
        (nn.Softmax2d(), (2, 3), r"Softmax2d: expected input \(N, C, H, W\)"),
        (nn.GLU(), (2, 3), "even length"),
        (nn.Maxout(2), (2, 3), "2 pieces divide, got 3"),
        (nn.Softshrink(-1.0), (2,), "negative"),
        (nn.RReLU(0.5, 0.1), (2,), "lower"),
    ],
)
def test_inputs_that_do_not_fit(layer, shape, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        layer(cr.ones(shape))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Dropout2d(1.5), ValueError, r"Dropout2d: p must be in \[0, 1\], got 1.5"),
        (lambda: nn.AlphaDropout(-0.1), ValueError, "AlphaDropout: p"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "num_groups must be positive and divide num_channels=4, got 3"),
        (lambda: nn.Hardtanh(1.0, 1.0), ValueError, "min_val must be less than max_val"),
        (lambda: nn.Bilinear(0, 2, 3), ValueError, "in1_features must be positive"),
        (lambda: nn.AdaptivePiecewiseLinear(3, hinges=0), ValueError, "hinges must be positive"),
        (lambda: nn.Unflatten(1, 3), TypeError, "a tuple of ints, got 3"),
        (lambda: nn.SyncBatchNorm(3), AttributeError, "use BatchNorm1d"),
        (lambda: nn.DataParallel(nn.ReLU()), AttributeError, "several devices"),
        (lambda: nn.CrossMapLRN2d(3), AttributeError, "use LocalResponseNorm"),
        (lambda: nn.Linaer(1, 2), AttributeError, "did you mean 'Linear'"),
    ],
)
def test_mistakes_in_constructors(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_batch_that_is_refused_leaves_the_statistics():
    layer = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="more than 1 value"):
        layer(cr.ones(1, 2))
    assert layer.num_batches_tracked.item() == 0 and layer.running_mean.tolist() == [0.0, 0.0]


def test_instance_norm_wonders_at_another_number_of_channels():
    with pytest.warns(UserWarning, match="the input has 2 channels, the layer was made for 3"):
        nn.InstanceNorm1d(3)(cr.randn(4, 2, 5))


def test_batch_norm_forgets():
    layer = nn.BatchNorm2d(2)
    layer(cr.randn(3, 2, 2, 2))
    assert layer.running_mean.any()
    with cr.no_grad():
        layer.weight.fill_(5.0)
    layer.reset_parameters()
    assert not layer.running_mean.any() and layer.num_batches_tracked.item() == 0
    assert layer.weight.tolist() == [1.0, 1.0] and layer.running_var.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("make", [nn.Dropout, nn.AlphaDropout])
def test_elements_are_dropped(make):
    cr.manual_seed(0)
    out = host(make(0.4)(cr.ones(4000)))
    dropped = np.isclose(out, out.min())
    assert 0.35 < dropped.mean() < 0.45 and len(np.unique(out.round(5))) == 2
    if make is nn.Dropout:
        assert np.isclose(out.max(), 1 / 0.6) and out.min() == 0.0


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Dropout1d(0.5), (50, 20, 3)), (nn.Dropout2d(0.5), (50, 20, 3, 2)), (nn.Dropout3d(0.5), (50, 20, 2, 2, 2)),
     (nn.FeatureAlphaDropout(0.5), (50, 20, 3))],
)  # fmt: skip
def test_whole_channels_are_dropped(layer, shape):
    cr.manual_seed(0)
    out = host(layer(cr.ones(shape))).reshape(1000, -1)
    assert (out == out[:, :1]).all()
    dropped = np.isclose(out[:, 0], out.min())
    assert 0.4 < dropped.mean() < 0.6


def test_rrelu_draws_slopes_in_training():
    cr.manual_seed(0)
    layer = nn.RReLU(0.1, 0.3)
    slopes = -host(layer(-cr.ones(1000)))
    assert slopes.min() >= 0.1 and slopes.max() <= 0.3 and slopes.std() > 0.03
    np.testing.assert_allclose(host(layer.eval()(-cr.ones(3))), -0.2, rtol=1e-6)


def test_maxout_and_adaptive_piecewise_linear_units():
    x = RNG.normal(size=(5, 6))
    np.testing.assert_array_equal(host(nn.Maxout(3)(cr.tensor(x))), x.reshape(5, 2, 3).max(2))
    layer = nn.AdaptivePiecewiseLinear(6, hinges=3, dtype=cr.float64)
    a, b = host(layer.slopes), host(layer.hinges)
    expected = np.maximum(x, 0) + sum(a[s] * np.maximum(-x + b[s], 0) for s in range(3))
    np.testing.assert_allclose(host(layer(cr.tensor(x))), expected, rtol=1e-12)
    layer(cr.tensor(x)).sum().backward()
    np.testing.assert_allclose(host(layer.slopes.grad), np.maximum(-x + b[:, None], 0).sum(1), rtol=1e-12)
    assert repr(layer) == "AdaptivePiecewiseLinear((6,), hinges=3)" and repr(nn.Maxout(2)) == "Maxout(pieces=2, dim=1)"
    shared = nn.AdaptivePiecewiseLinear(())
    assert shared.slopes.shape == (5,) and shared(cr.ones(2, 3)).shape == (2, 3)
    model = nn.Sequential(nn.Linear(6, 8), nn.Maxout(2), nn.AdaptivePiecewiseLinear(4))
    assert model(cr.ones(3, 6)).shape == (3, 4)


@pytest.mark.parametrize(
    "make",
    [lambda **k: nn.LayerNorm(3, **k), lambda **k: nn.RMSNorm(3, **k), lambda **k: nn.GroupNorm(1, 3, **k),
     lambda **k: nn.BatchNorm3d(3, **k), lambda **k: nn.InstanceNorm1d(3, affine=True, **k),
     lambda **k: nn.Bilinear(3, 2, 1, **k), lambda **k: nn.AdaptivePiecewiseLinear(3, **k)],
)  # fmt: skip
def test_parameters_are_made_with_the_dtype_and_device(make):
    layer = make(dtype=cr.float64, device=cr.get_default_device())
    assert {p.dtype for p in layer.parameters()} == {cr.float64}
    assert {str(p.device) for p in layer.parameters()} == {str(cr.zeros(1).device)}


def test_old_names_of_hardtanh():
    with pytest.warns(FutureWarning, match="min_val and max_val"):
        assert repr(nn.Hardtanh(min_value=-2.0, max_value=3.0)) == "Hardtanh(min_val=-2.0, max_val=3.0)"


# ---- nn.utils on every device (against PyTorch: tests/oracle/test_nn_utils_against_torch.py) -------------------------


def test_clipping_on_the_device():
    w = cr.zeros(2, requires_grad=True)
    w.grad = cr.tensor([3.0, 4.0])
    assert nn.utils.clip_grad_norm_([w], 1.0).item() == pytest.approx(5.0)
    np.testing.assert_allclose(host(w.grad), [0.6, 0.8], rtol=1e-5)
    nn.utils.clip_grad_value_(w, 0.7)
    np.testing.assert_allclose(host(w.grad), [0.6, 0.7], rtol=1e-5)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm", "orthogonal"])
def test_parametrisations_train_on_the_device(name):
    cr.manual_seed(0)
    layer = getattr(nn.utils.parametrizations, name)(nn.Linear(4, 4, dtype=cr.float64))
    layer(cr.ones(2, 4, dtype=cr.float64)).square().sum().backward()
    gradients = [p.grad for p in layer.parametrizations.parameters()]
    assert all(g is not None for g in gradients) and any(host(g).any() for g in gradients)
    nn.utils.parametrize.remove_parametrizations(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter) and type(layer) is nn.Linear


def test_pruning_on_the_device():
    layer = nn.utils.prune.ln_structured(nn.Linear(4, 3), "weight", 1, n=2, dim=0)
    nn.utils.prune.l1_unstructured(layer, "weight", 2)
    layer(cr.ones(1, 4)).sum().backward()
    assert int((layer.weight_orig.grad == 0).sum()) == 6
    nn.utils.prune.remove(layer, "weight")
    assert int((layer.weight == 0).sum()) == 6 and isinstance(layer.weight, nn.Parameter)


def test_hooks_stand_in_their_dict_as_they_were_given():
    """Scripts look for their hook among a module's, as the pruning tutorial does."""
    layer = nn.Linear(3, 2)
    pruning = nn.utils.prune.l1_unstructured(layer, "weight", 1)
    assert [type(hook).__name__ for hook in pruning._forward_pre_hooks.values()] == ["L1Unstructured"]
    seen = []

    def plain(module, args, output):
        seen.append("plain")

    def with_names(module, args, kwargs, output):
        seen.append(sorted(kwargs))

    layer.register_forward_hook(plain)
    layer.register_forward_hook(with_names, with_kwargs=True)
    assert next(iter(layer._forward_hooks.values())) is plain
    layer(input=cr.ones(1, 3))
    assert seen == ["plain", ["input"]]
