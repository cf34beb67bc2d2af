"""Convolution, pooling, padding and lazy layers without PyTorch: bad input, lazy modules, state dicts."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn.parameter import is_lazy


def normal(*shape):
    return cr.tensor(np.random.default_rng(sum(shape)).normal(size=shape).astype("float32"))


def same(a, b):
    assert tuple(a.shape) == tuple(b.shape) and a.tolist() == b.tolist()


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: nn.Conv1d(3, 4, 2, groups=2),
            ValueError,
            "Conv1d: groups must .* divide in_channels=3 and .*=4, got 2",
        ),
        (
            lambda: nn.Conv3d(2, 3, 2, groups=2),
            ValueError,
            "Conv3d: groups must .* divide in_channels=2 and .*=3, got 2",
        ),
        (lambda: nn.Conv2d(2, 4, 3, groups=0), ValueError, "Conv2d: groups must be positive"),
        (lambda: nn.Conv2d(-2, 4, 3), ValueError, "channels must not be negative, got -2 and 4"),
        (lambda: nn.Conv2d(2, 4, (3, 3, 3)), TypeError, "Conv2d: kernel_size must be an int or two of them"),
        (lambda: nn.Conv3d(2, 4, (3, 3)), TypeError, "Conv3d: kernel_size must be an int or three of them"),
        (lambda: nn.Conv2d(2, 4, 0), ValueError, "Conv2d: kernel_size must be at least 1, got 0"),
        (lambda: nn.Conv2d(2, 4, 3, stride=0), ValueError, "Conv2d: stride must be at least 1"),
        (lambda: nn.Conv2d(2, 4, 3, dilation=0), ValueError, "Conv2d: dilation must be at least 1"),
        (lambda: nn.Conv2d(2, 4, 3, padding=-1), ValueError, "Conv2d: padding must be at least 0"),
        (lambda: nn.Conv2d(2, 4, 3, padding="full"), ValueError, "'valid' or 'same', got 'full'"),
        (lambda: nn.Conv2d(2, 4, 3, 2, "same"), ValueError, r"padding='same' needs stride 1, got \(2, 2\)"),
        (lambda: nn.Conv2d(2, 4, 3, padding_mode="mirror"), ValueError, "'zeros', 'reflect', .*, got 'mirror'"),
        (lambda: nn.ConvTranspose2d(2, 4, 3, padding="same"), TypeError, "ConvTranspose2d: padding must be an int"),
        (
            lambda: nn.ConvTranspose1d(2, 4, 3, padding_mode="reflect"),
            ValueError,
            "ConvTranspose1d: .* must be 'zeros'",
        ),
        (lambda: nn.ConvTranspose2d(2, 4, 3, output_padding=-1), ValueError, "output_padding must be at least 0"),
        (lambda: nn.MaxUnpool2d((2, 2, 2)), TypeError, "MaxUnpool2d: kernel_size must be an int or two"),
        (lambda: nn.AvgPool1d((2, 2)), TypeError, "AvgPool1d: kernel_size must be an int or one"),
        (lambda: nn.FractionalMaxPool2d(2), ValueError, "FractionalMaxPool2d: expected one of output_size"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), ValueError, "FractionalMaxPool2d: expected one of output_size"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=1.5), ValueError, r"output_ratio must be in \(0, 1\)"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=(0.5, 0.5)), ValueError, "a number or 3"),
        (lambda: nn.ReflectionPad2d((1, 1)), TypeError, "ReflectionPad2d: padding must be an int or 4 of them"),
        (lambda: nn.ReplicationPad1d(1.5), TypeError, "ReplicationPad1d: padding must be an int or 2 of them, got 1.5"),
        (lambda: nn.ZeroPad2d((1, 1, 1)), TypeError, "ZeroPad2d: padding must be an int or 4 of them"),
        (lambda: nn.LazyConv2d(3, 3, groups=2), ValueError, "LazyConv2d: groups must divide out_channels=3, got 2"),
        (lambda: nn.LazyLinear(-1), ValueError, "LazyLinear: out_features must not be negative"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "error", "message"),
    [
        (
            nn.Conv1d(3, 4, 2),
            (2, 4, 9),
            RuntimeError,
            r"expects 3 input channels, got 4 in an input of shape \(2, 4, 9\)",
        ),
        (nn.Conv1d(3, 4, 2), (3,), RuntimeError, r"must have shape \(N, C, L\) or \(C, L\), got \(3,\)"),
        (nn.Conv2d(3, 4, 2), (2, 3, 9), RuntimeError, "expects 3 input channels, got 2"),
        (nn.Conv3d(3, 4, 2), (2, 3, 9, 9), RuntimeError, "expects 3 input channels, got 2"),
        (nn.Conv2d(3, 4, 5), (1, 3, 4, 9), RuntimeError, "4 x 9, smaller than the kernel's reach of 5 x 5"),
        (nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), (1, 2, 5, 5), RuntimeError, "C = 3, got .*2, 5, 5"),
        (
            nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"),
            (5, 5),
            RuntimeError,
            r"\(N, C, H, W\) or \(C, H, W\)",
        ),
        (nn.Conv2d(3, 4, 3, padding=5, padding_mode="reflect"), (3, 5, 5), ValueError, "'reflect' cannot pad a dim.*5"),
        (nn.ConvTranspose2d(3, 4, 3), (1, 2, 5, 5), RuntimeError, "expects 3 input channels, got 2"),
        (nn.ConvTranspose2d(3, 4, 3), (5, 5), RuntimeError, r"must have shape \(N, C, H, W\) or \(C, H, W\)"),
        (nn.ConvTranspose1d(3, 4, 1, padding=3), (1, 3, 4), RuntimeError, "the result would have spatial size"),
        (nn.ConvTranspose1d(3, 4, 2, 2, 0, 2), (1, 3, 4), RuntimeError, "output_padding must be smaller than stride"),
        (nn.MaxPool1d(2), (4,), RuntimeError, r"must have shape \(N, C, L\) or \(C, L\), got \(4,\)"),
        (nn.MaxPool2d(4), (3, 3, 3), RuntimeError, "does not fit into an input of shape"),
        (nn.MaxPool2d(2, padding=2), (3, 3, 3), RuntimeError, "padding must be at most half of the kernel"),
        (nn.AvgPool3d(2), (3, 3, 3), RuntimeError, r"must have shape \(N, C, D, H, W\) or \(C, D, H, W\)"),
        (nn.AvgPool2d(2, divisor_override=0), (1, 4, 4), ValueError, "divisor_override must not be 0"),
        (nn.LPPool2d(2, 3), (1, 2, 2), RuntimeError, "does not fit"),
        (nn.AdaptiveAvgPool2d((1, 2, 3)), (1, 4, 4), TypeError, "output_size must be an int or 2 of them"),
        (nn.AdaptiveMaxPool3d(2), (4, 4, 4), RuntimeError, r"\(N, C, D, H, W\)"),
        (nn.FractionalMaxPool2d(3, 4), (1, 5, 5), RuntimeError, "do not fit into an input of shape"),
        (
            nn.ReflectionPad2d(1),
            (5, 5),
            ValueError,
            r"expected input of shape \(N, C, H, W\) or \(C, H, W\), got .*5, 5",
        ),
        (nn.ReflectionPad1d(1), (1, 2, 3, 4), ValueError, r"expected input of shape \(N, C, L\) or \(C, L\)"),
        (nn.ReflectionPad1d(4), (1, 2, 4), ValueError, "mode 'reflect' cannot pad a dimension of length 4 by 4 and 4"),
        (nn.CircularPad2d(5), (1, 4, 4), ValueError, "mode 'circular' cannot pad a dimension of length 4"),
        (nn.ZeroPad2d(-2), (1, 3, 3), ValueError, "take away more than there is"),
        (nn.Fold(4, 2), (1, 12, 8), RuntimeError, "take 3 x 3 columns of a multiple of 4 rows"),
        (nn.Unfold(4), (1, 3, 3), RuntimeError, "does not fit"),
        (nn.PixelShuffle(2), (3, 2, 2), RuntimeError, "channels must be divisible by 4, got 3"),
        (nn.PixelUnshuffle(2), (3, 3, 2), RuntimeError, "height and width must be divisible by 2, got 3 and 2"),
        (nn.ChannelShuffle(2), (1, 3, 2), RuntimeError, "divide the 3 channels, got 2"),
        (nn.Upsample(), (1, 1, 2), ValueError, "expected one of size and scale_factor"),
        (nn.Upsample(2, mode="bilinear"), (1, 1, 2), NotImplementedError, r"'bilinear' takes input of shape \(N, C, H"),
        (nn.LazyConv2d(4, 3, groups=2), (1, 3, 5, 5), ValueError, "groups=2 must divide the 3 channels of .*3, 5, 5"),
        (nn.LazyConv2d(4, 3), (1, 3), RuntimeError, r"expected input of shape \(N, C, H, W\) or \(C, H, W\)"),
        (nn.LazyLinear(4), (), RuntimeError, "must have at least 1 dimension"),
        (nn.LazyBatchNorm2d(), (2, 3), ValueError, r"expected input of shape \(N, C, H, W\)"),
    ],
    ids=repr,
)
def test_misfit_input_names_the_layer_in_its_model(layer, shape, error, message):
    """The path, the layer with its settings, what was expected and what came; and the layer is as it was before."""
    model = nn.Sequential(nn.Identity(), nn.Sequential(layer))
    before = repr(model)
    with pytest.raises(error, match=message) as caught:
        model(cr.zeros(*shape))
    assert str(caught.value).startswith(f"Sequential.1.0 ({before.splitlines()[3].strip()[5:]})")
    assert repr(model) == before


def test_other_dtypes_are_named():
    with pytest.raises(RuntimeError, match="Conv2d.*must have one dtype, got .*float64, .*float32 and .*float32"):
        nn.Conv2d(1, 1, 1)(cr.zeros(1, 2, 2, dtype=cr.float64))


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((10,), r"must have 2 numbers, or 4 as a whole shape, got \(10,\)"),
        ((8, 9), r"must be from \(9, 9\) to \(10, 10\) for an input of shape \(1, 2, 5, 5\), got \(8, 9\)"),
        ((9, 11), r"must be from \(9, 9\) to \(10, 10\)"),
        ((1, 2, 9, 8), r"must be from \(9, 9\) to \(10, 10\)"),
    ],
)
def test_impossible_output_size(size, message):
    layer = nn.ConvTranspose2d(2, 3, 3, stride=2, padding=1)
    with pytest.raises(ValueError, match="ConvTranspose2d: output_size " + message):
        layer(cr.zeros(1, 2, 5, 5), output_size=size)


def test_unpooling_refuses_what_does_not_belong_together():
    values, indices = nn.MaxPool2d(2, return_indices=True)(normal(1, 2, 4, 4))
    unpool = nn.MaxUnpool2d(2)
    with pytest.raises(RuntimeError, match="indices must be integers of the input's shape"):
        unpool(values, indices[:, :1])
    with pytest.raises(ValueError, match="output_size must be within less than the stride"):
        unpool(values, indices, output_size=(4, 6))
    with pytest.raises(IndexError, match="out of bounds"):
        unpool(values, indices + 16)


# ---- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Conv1d, nn.Conv3d, nn.ConvTranspose2d, nn.LazyConv2d, nn.LazyConvTranspose1d])
def test_device_and_dtype(layer):
    sizes = (4, 3) if layer.__name__.startswith("Lazy") else (2, 4, 3)
    made = layer(*sizes, device="guard", dtype=cr.float64)
    for p in (made.weight, made.bias):
        assert p.dtype == cr.float64 and str(p.device) == "guard" and p.requires_grad


@pytest.mark.parametrize("layer", [nn.AdaptiveAvgPool1d(2), nn.AdaptiveAvgPool1d(1), nn.Upsample(7, mode="linear")])
def test_weighted_sums_of_integers_are_refused(layer):
    """In whole numbers the weights would all be 0."""
    with pytest.raises(NotImplementedError, match=r"expected floating-point numbers, got int64 .*use .float"):
        layer(cr.arange(6).reshape(1, 2, 3))
    same(nn.Upsample(6)(cr.arange(3).reshape(1, 1, 3)), cr.tensor([[[0, 0, 1, 1, 2, 2]]]))


def test_sizes_may_be_numpy_integers():
    layer = nn.Conv2d(1, 1, np.int64(3), stride=np.int32(2), padding=(np.int64(1), 0))
    assert repr(layer) == "Conv2d(1, 1, kernel_size=(3, 3), stride=(2, 2), padding=(1, 0))"


def test_complex_parameters_start_in_the_same_range():
    layer = nn.Conv2d(4, 50, 5, dtype=cr.complex64)
    for part in (layer.weight.real, layer.weight.imag):
        assert 0.099 < float(part.max()) <= 0.1 and -0.1 <= float(part.min()) < -0.099
    x = cr.ones(1, 4, 5, 5, dtype=cr.complex64)
    expected = layer.weight.sum(dim=(1, 2, 3)) + layer.bias
    np.testing.assert_allclose(layer(x).numpy(force=True).ravel(), expected.numpy(force=True), rtol=1e-5)


def test_convolution_of_no_channels():
    layer = nn.Conv2d(0, 2, 3)
    same(layer(cr.zeros(1, 0, 3, 3)), cr.zeros(1, 2, 1, 1))


def test_fractional_pooling_follows_the_seed_and_draws_anew():
    layer, x = nn.FractionalMaxPool2d(2, output_size=5), normal(2, 3, 12, 12)
    cr.manual_seed(1)
    first, second = layer(x), layer(x)
    cr.manual_seed(1)
    same(layer(x), first)
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose1d(2, 2, 3, stride=2),
        nn.MaxUnpool1d(2),
        nn.LazyConv2d(2, 3),
        nn.LazyBatchNorm1d(),
    ],
)
def test_copies_and_pickles(layer):
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(other) == repr(layer) and type(other) is type(layer)
        for (name, a), (twin, b) in zip(layer.state_dict().items(), other.state_dict().items(), strict=True):
            assert name == twin and is_lazy(a) == is_lazy(b) and a is not b
            if not is_lazy(a):
                same(a, b)


# ---- lazy modules ---------------------------------------------------------------------------------------------------

LAZY = [
    (nn.Linear, nn.LazyLinear, (3, 4), (5, 3)),
    (nn.Conv2d, nn.LazyConv2d, (3, 4, 2), (1, 3, 5, 5)),
    (nn.ConvTranspose1d, nn.LazyConvTranspose1d, (3, 4, 2), (1, 3, 5)),
    (nn.BatchNorm1d, nn.LazyBatchNorm1d, (3,), (5, 3)),
    (nn.InstanceNorm2d, nn.LazyInstanceNorm2d, (3, 1e-5, 0.1, True, True), (3, 5, 5)),
]


@pytest.mark.parametrize(("ordinary", "lazy", "args", "shape"), LAZY)
def test_a_lazy_layer_becomes_the_ordinary_one(ordinary, lazy, args, shape):
    """With the same seed, the same parameters; those that were there are the same objects."""
    cr.manual_seed(3)
    expected = ordinary(*args)
    cr.manual_seed(3)
    layer = lazy(*args[1:])
    parameters = list(layer.parameters())
    assert layer.has_uninitialized_params() and all(is_lazy(p) for p in parameters)
    x = normal(*shape)
    same(layer(x), expected(x))
    assert type(layer) is ordinary and repr(layer) == repr(expected)
    assert [id(p) for p in layer.parameters()] == [id(p) for p in parameters]
    for (name, a), (twin, b) in zip(layer.state_dict().items(), expected.state_dict().items(), strict=True):
        assert name == twin
        same(a, b)
    assert all(type(p) is nn.Parameter and p.is_leaf and not vars(p) for p in parameters)


@pytest.mark.parametrize(("ordinary", "lazy", "args", "shape"), LAZY)
def test_a_state_dict_initialises_a_lazy_layer(ordinary, lazy, args, shape):
    expected, x = ordinary(*args), normal(*shape)
    for assign in (False, True):
        layer = lazy(*args[1:])
        layer.load_state_dict(copy.deepcopy(expected).state_dict(), assign=assign)
        assert not layer.has_uninitialized_params()
        same(layer.eval()(x), copy.deepcopy(expected).eval()(x))
        assert repr(layer) == repr(expected)


def test_a_part_of_a_state_dict_is_kept_by_the_first_call():
    weight = normal(4, 3)
    layer = nn.LazyLinear(4)
    layer.load_state_dict({"weight": weight}, strict=False)
    layer(cr.zeros(2, 3))
    same(layer.weight, weight)
    assert 0 < float(layer.bias.abs().max()) <= 3**-0.5


def test_state_dicts_of_uninitialised_modules():
    model = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    state = model.state_dict()
    assert list(state)[:3] == ["0.weight", "0.bias", "1.weight"] and is_lazy(state["0.weight"])
    other = nn.Sequential(nn.LazyLinear(4), nn.LazyBatchNorm1d())
    assert str(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert other[0].has_uninitialized_params()
    with pytest.raises(
        RuntimeError, match=r"(?s)does not fit; nothing.*weight: the model has \(4, 3\), .*no shape yet"
    ):
        nn.Linear(3, 4).load_state_dict(nn.LazyLinear(4).state_dict())


@pytest.mark.parametrize(
    ("layer", "other", "message"),
    [
        (nn.LazyLinear(3), nn.Linear(2, 4), r"weight: the model has \(3, \?\), the state dict \(4, 2\)"),
        (
            nn.LazyConv2d(4, 3),
            nn.Conv2d(2, 4, 2),
            r"weight: the model has \(4, \?, 3, 3\), the state dict \(4, 2, 2, 2\)",
        ),
        (nn.LazyConvTranspose1d(4, 3), nn.ConvTranspose1d(2, 6, 3), r"has \(\?, 4, 3\), the state dict \(2, 6, 3\)"),
    ],
)
def test_a_lazy_layer_refuses_a_state_dict_of_another(layer, other, message):
    with pytest.raises(RuntimeError, match=message):
        layer.load_state_dict(other.state_dict())
    assert layer.has_uninitialized_params() and is_lazy(layer.weight) and is_lazy(layer.bias)


def test_a_lazy_layer_takes_another_dtype_and_device_before_its_first_call():
    layer = nn.Sequential(nn.LazyConv1d(2, 3)).double()
    assert layer[0].weight.dtype == cr.float64
    assert layer.to("guard")[0].bias.device.type == "guard"
    out = layer(cr.zeros(1, 4, 5, dtype=cr.float64, device="guard"))
    assert out.dtype == cr.float64 and layer[0].weight.shape == (2, 4, 3)


def test_a_frozen_lazy_layer_stays_frozen():
    layer = nn.LazyLinear(2).requires_grad_(False)
    layer(cr.zeros(1, 3))
    assert not layer.weight.requires_grad and not layer.bias.requires_grad
    layer = nn.LazyLinear(2)
    layer(cr.zeros(1, 3)).sum().backward()
    assert layer.weight.grad.shape == (2, 3)


def test_a_lazy_layer_that_was_not_called():
    layer = nn.LazyLinear(3)
    layer.zero_grad()
    for use in (lambda p: p + 1, lambda p: p.numel(), lambda p: p.clone(), nn.init.zeros_, len, float):
        with pytest.raises(
            ValueError, match="UninitializedParameter has no shape and no elements yet; call the module"
        ):
            use(layer.weight)
    with pytest.raises(RuntimeError, match="UninitializedParameter has no shape yet; call the module"):
        _ = layer.weight.shape
    with pytest.raises(ValueError, match="no elements yet; call the module"):
        layer.forward(cr.zeros(2, 2))
    with pytest.raises(TypeError, match="no shape yet; give it one with materialize"):
        layer.weight.data = cr.zeros(2)


@pytest.mark.parametrize("optimizer", [cr.optim.SGD, cr.optim.Adam])
def test_an_optimizer_refuses_uninitialised_parameters(optimizer):
    model = nn.Sequential(nn.Linear(2, 3), nn.LazyLinear(3))
    with pytest.raises(
        ValueError, match=rf"{optimizer.__name__}: params\[2\] .*call the module that it belongs to once"
    ):
        optimizer(model.parameters(), lr=0.1)
    model(cr.zeros(1, 2))
    optimizer(model.parameters(), lr=0.1)


class Scale(nn.LazyModuleMixin):
    """A lazy module that stays what it is."""

    def __init__(self):
        super().__init__()
        self.factor = nn.UninitializedParameter()
        self.mean = nn.UninitializedBuffer(persistent=False)
        self.calls = 0

    def initialize_parameters(self, x, *, bad=False):
        self.calls += 1
        if self.has_uninitialized_params():
            self.factor.materialize(x.shape[-1:])
            nn.init.ones_(self.factor)
            if not bad:
                self.mean.materialize(x.shape[-1:], dtype=cr.float64)

    def forward(self, x, *, bad=False):
        return x * self.factor


def test_a_lazy_module_of_ones_own():
    layer = Scale()
    assert list(layer.state_dict()) == ["factor"] and [n for n, _ in layer.named_buffers()] == ["mean"]
    same(layer(cr.ones(2, 3)), cr.ones(2, 3))
    layer(cr.ones(4, 3))
    assert type(layer) is Scale and layer.calls == 1
    assert layer.mean.dtype == cr.float64 and type(layer.mean) is cr.Tensor
    with pytest.raises(RuntimeError, match=r"Scale.initialize_parameters has left uninitialised: mean"):
        Scale()(cr.ones(2, 3), bad=True)
    with pytest.raises(NotImplementedError, match="does not define initialize_parameters"):
        nn.LazyModuleMixin()(1)


def test_hooks_of_a_lazy_layer_run_in_its_first_call():
    layer, seen = nn.LazyLinear(2), []
    layer.register_forward_pre_hook(lambda module, args: seen.append(type(module).__name__))
    layer.register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
    layer(cr.zeros(4, 3))
    assert seen == ["Linear", (4, 2)]
