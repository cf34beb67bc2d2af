"""What the declarations of ops and the oracle do not cover of nn.functional: second derivatives of what is composed
from ops, randomness, writing in place, special values, and errors."""

from __future__ import annotations

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import gradcheck, gradgradcheck
from chainrule.nn import functional as F

RNG = np.random.default_rng(0)


def host(t):
    return t.numpy(force=True)


def normal(*shape, grad=True):
    return cr.tensor(np.random.default_rng(sum(shape)).normal(size=shape), requires_grad=grad)


def spread(*shape):
    """Distinct values, far from ties."""
    count = math.prod(shape)
    return cr.tensor(
        np.random.default_rng(count).permutation(np.linspace(-2, 2, count)).reshape(shape)
    ).requires_grad_()


INDEX = [[0, 2, 1], [1, 1, 3]]
SECOND_ORDER = {
    "conv1d": (lambda x, w: F.conv1d(x, w, stride=2, padding=1), lambda: (normal(1, 2, 5), normal(2, 2, 3))),
    "conv1d same": (lambda x, w: F.conv1d(x, w, padding="same"), lambda: (normal(2, 5), normal(1, 2, 2))),
    "conv_transpose2d": (
        lambda x, w: F.conv_transpose2d(x, w, stride=2, padding=1, output_padding=(2, 0), dilation=3),
        lambda: (normal(1, 2, 2, 3), normal(2, 1, 2, 2)),
    ),
    "max_pool2d with indices": (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], lambda: (spread(1, 2, 4, 4),)),
    "max_pool3d": (lambda x: F.max_pool3d(x, 2, stride=1), lambda: (spread(1, 1, 3, 3, 3),)),
    "avg_pool3d": (lambda x: F.avg_pool3d(x, 2, 1, 1, count_include_pad=False), lambda: (normal(1, 1, 2, 2, 3),)),
    "adaptive_max_pool1d": (lambda x: F.adaptive_max_pool1d(x, 2), lambda: (spread(2, 5),)),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), lambda: (normal(1, 5, 4),)),
    "lp_pool1d": (lambda x: F.lp_pool1d(x.abs() + 0.5, 3.0, 2), lambda: (spread(2, 4),)),
    "interpolate": (lambda x: F.interpolate(x, size=(5, 2), mode="bicubic"), lambda: (normal(1, 1, 3, 3),)),
    "grid_sample": (
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        lambda: (normal(1, 2, 4, 4), cr.tensor(RNG.uniform(-0.7, 0.7, (1, 2, 2, 2)), requires_grad=True)),
    ),
    "grid_sample bicubic": (
        lambda x, g: F.grid_sample(x, g, "bicubic", "reflection", True),
        lambda: (normal(1, 1, 4, 4), cr.tensor(RNG.uniform(-1.5, 1.5, (1, 2, 2, 2)), requires_grad=True)),
    ),
    "layer_norm": (
        lambda x, w, b: F.layer_norm(x, (3,), w, b),
        lambda: (normal(2, 3), normal(3), normal(3)),
    ),
    "group_norm": (lambda x, w: F.group_norm(x, 2, w, eps=0.1), lambda: (normal(2, 4, 2), normal(4))),
    "instance_norm": (lambda x, w: F.instance_norm(x, weight=w, eps=0.1), lambda: (normal(2, 2, 3), normal(2))),
    "rms_norm": (lambda x, w: F.rms_norm(x, (3,), w), lambda: (normal(2, 3), normal(3))),
    "local_response_norm": (lambda x: F.local_response_norm(x, 2, alpha=1.0), lambda: (normal(1, 3, 2),)),
    "embedding": (lambda w: F.embedding(cr.tensor(INDEX), w), lambda: (normal(4, 2),)),
    "embedding_bag": (
        lambda w, s: F.embedding_bag(cr.tensor(INDEX), w, mode="sum", per_sample_weights=s, padding_idx=None),
        lambda: (normal(4, 2), normal(2, 3)),
    ),
    "embedding_bag max": (lambda w: F.embedding_bag(cr.tensor(INDEX), w, mode="max"), lambda: (spread(4, 2),)),
    "bilinear": (F.bilinear, lambda: (normal(2, 3), normal(2, 2), normal(2, 3, 2), normal(2))),
    "attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda: (normal(2, 3, 2), normal(2, 4, 2), normal(2, 4, 3)),
    ),
    "ctc_loss": (
        lambda x: F.ctc_loss(x.log_softmax(2), cr.tensor([[1, 2], [1, 1]]), [4, 3], [2, 2], reduction="sum"),
        lambda: (normal(4, 2, 3),),
    ),
    "gru": (
        lambda x, h, w, u: cr.gru(x, h, [w, u], False, 1, 0.0, False, False, False)[0],
        lambda: (normal(2, 1, 2), normal(1, 1, 2), normal(6, 2), normal(6, 2)),
    ),
    "kl_div": (F.kl_div, lambda: (normal(2, 3), cr.tensor(RNG.uniform(0.1, 1, (2, 3)), requires_grad=True))),
    "gaussian_nll_loss": (
        F.gaussian_nll_loss,
        lambda: (normal(2, 3), normal(2, 3), cr.tensor(RNG.uniform(0.5, 1, (2, 1)), requires_grad=True)),
    ),
    "multi_margin_loss": (
        lambda x: F.multi_margin_loss(x, cr.tensor([1, 0]), p=2, margin=5.0),
        lambda: (spread(2, 3),),
    ),
    "multilabel_margin_loss": (
        lambda x: F.multilabel_margin_loss(x, cr.tensor([[2, -1, 0], [0, 1, -1]])),
        lambda: (spread(2, 3),),
    ),
    "linear_cross_entropy": (
        lambda x, w: F.linear_cross_entropy(x, w, cr.tensor([1, 0])),
        lambda: (normal(2, 3), normal(2, 3)),
    ),
}


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_gradients_of_two_orders(name):
    f, inputs = SECOND_ORDER[name]
    inputs = inputs()
    assert gradcheck(f, inputs, atol=1e-5)
    assert gradgradcheck(f, inputs, atol=1e-4)


# ---- shapes ---------------------------------------------------------------------------------------------------------


def test_a_single_sample_is_like_a_batch_of_one():
    x = normal(2, 6, 6, grad=False)
    w = normal(3, 2, 3, 3, grad=False)
    cases = [
        lambda t: F.conv2d(t, w), lambda t: F.conv_transpose2d(t, normal(2, 3, 2, 2)), lambda t: F.max_pool2d(t, 2),
        lambda t: F.avg_pool2d(t, 3, 2, 1), lambda t: F.adaptive_avg_pool2d(t, (4, None)),
        lambda t: F.adaptive_max_pool2d(t, 5), lambda t: F.lp_pool2d(t.abs(), 2, 2), lambda t: F.unfold(t, 2),
    ]  # fmt: skip
    for f in cases:
        np.testing.assert_array_equal(host(f(x)), host(f(x.unsqueeze(0)))[0])


def test_one_dimension_is_a_row_of_two():
    x, w = normal(2, 3, 8, grad=False), normal(4, 3, 3, grad=False)
    np.testing.assert_allclose(host(F.conv1d(x, w)), host(F.conv2d(x.unsqueeze(2), w.unsqueeze(2)).squeeze(2)))
    np.testing.assert_array_equal(
        host(F.max_pool1d(x, 3, 2)), host(F.max_pool2d(x.unsqueeze(2), (1, 3), (1, 2)))[:, :, 0]
    )


def test_a_result_does_not_share_memory_with_its_argument():
    x = cr.ones(1, 4, 4, 4)
    for f in (
        lambda t: F.adaptive_avg_pool2d(t, 4), lambda t: F.interpolate(t, size=(4, 4)), lambda t: F.pixel_shuffle(t, 1),
        lambda t: F.pixel_unshuffle(t, 1), lambda t: F.channel_shuffle(t, 1), lambda t: F.max_pool2d(t, 1),
        lambda t: F.unfold(t, 1), lambda t: F.embedding(cr.tensor([0]), t[0, 0]),
    ):  # fmt: skip
        f(x).zero_()
        assert (host(x) == 1).all()


def test_fold_undoes_unfold_up_to_the_overlaps():
    x = normal(2, 3, 5, 6, grad=False)
    options = {"kernel_size": (2, 3), "padding": 1, "stride": (1, 2)}
    folded = F.fold(F.unfold(x, **options), (5, 6), **options)
    counts = F.fold(F.unfold(cr.ones_like(x), **options), (5, 6), **options)
    np.testing.assert_allclose(host(folded / counts), host(x))


def test_unpooling_puts_the_maxima_back():
    x = spread(1, 2, 4, 6).detach()
    out, places = F.max_pool2d(x, 2, return_indices=True)
    back = F.max_unpool2d(out, places, 2)
    kept = host(back) != 0
    np.testing.assert_array_equal(host(back)[kept], host(x)[kept])
    assert kept.sum() == out.numel()


# ---- special values -------------------------------------------------------------------------------------------------


def test_an_infinity_stays_where_it_is():
    x = cr.tensor([[[0.0, 1.0, math.inf, 1.0, 0.0, 2.0, 1.0, 3.0]]])
    for f in (
        lambda t: F.interpolate(t, size=16, mode="linear"),
        lambda t: F.adaptive_avg_pool1d(t, 3),
        lambda t: F.avg_pool1d(t, 2),
    ):
        out = host(f(x))
        assert np.isinf(out).any() and not np.isnan(out).any() and np.isfinite(out[..., -1]).all()


def test_pooling_passes_nan_on():
    x = cr.tensor([[1.0, math.nan, 0.0, 2.0]])
    assert np.isnan(host(F.max_pool1d(x, 2))).tolist() == [[True, False]]
    values, places = F.max_pool1d(x, 2, return_indices=True)
    assert np.isnan(host(values)).tolist() == [[True, False]] and host(places).tolist() == [[1, 3]]


def test_the_mean_of_integers_is_rounded_towards_zero():
    x = cr.tensor([[-3, -4, 3, 4]])
    assert F.avg_pool1d(x, 2).tolist() == [[-3, 3]] and F.avg_pool1d(x, 2).dtype == cr.int64


def test_a_query_that_may_look_at_nothing_gets_nothing():
    q, k, v = normal(1, 2, 3), normal(1, 4, 3), normal(1, 4, 2)
    mask = cr.tensor([[True, True, False, False], [False] * 4])
    out = F.scaled_dot_product_attention(q, k, v, mask)
    assert (host(out)[0, 1] == 0).all()
    out.sum().backward()
    for t in (q, k, v):
        assert np.isfinite(host(t.grad)).all()
    assert (host(q.grad)[0, 1] == 0).all()


def test_losses_do_not_overflow():
    big = cr.tensor([1000.0, -1000.0])
    assert host(F.soft_margin_loss(big, cr.tensor([-1.0, -1.0]), reduction="none")).tolist() == [1000.0, 0.0]
    assert math.isfinite(F.multilabel_soft_margin_loss(big, cr.tensor([0.0, 1.0])).item())
    p = cr.tensor([0.0, 1.0], requires_grad=True)
    loss = F.kl_div(cr.tensor([-1.0, -2.0]), p, reduction="sum")
    loss.backward()
    assert loss.item() == 2.0 and np.isfinite(host(p.grad)).all()


def test_ctc_without_an_alignment():
    x = normal(2, 1, 3)
    loss = F.ctc_loss(x.log_softmax(2), cr.tensor([[1, 1]]), [2], [2], reduction="none")
    assert host(loss).tolist() == [math.inf]
    loss = F.ctc_loss(x.log_softmax(2), cr.tensor([[1, 1]]), [2], [2], zero_infinity=True)
    loss.backward()
    assert loss.item() == 0.0 and (host(x.grad) == 0).all()


# ---- randomness and writing in place --------------------------------------------------------------------------------

DROPOUTS = {
    "dropout": ((64, 64), (64, 64)),
    "dropout1d": ((64, 32, 3), (64, 32, 1)),
    "dropout2d": ((64, 32, 2, 2), (64, 32, 1, 1)),
    "dropout3d": ((64, 32, 2, 1, 2), (64, 32, 1, 1, 1)),
}


@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_zeroes_the_stated_part(name):
    shape, together = DROPOUTS[name]
    x = cr.ones(*shape, requires_grad=True)
    out = getattr(F, name)(x, 0.25, generator=cr.Generator().manual_seed(1))
    values = host(out)
    assert set(np.unique(values)) == {0.0, np.float32(1 / 0.75)}
    lead = values[tuple(slice(0, n) for n in together)]
    assert (values == lead).all()  # a channel is kept or dropped as a whole
    assert abs((lead == 0).mean() - 0.25) < 4 * math.sqrt(0.25 * 0.75 / lead.size)
    out.sum().backward()
    np.testing.assert_array_equal(host(x.grad), values)  # the gradient is the mask
    again = getattr(F, name)(cr.ones(*shape), 0.25, generator=cr.Generator().manual_seed(1))
    np.testing.assert_array_equal(host(again), values)


@pytest.mark.parametrize("name", ["alpha_dropout", "feature_alpha_dropout"])
def test_alpha_dropout_keeps_mean_and_variance(name):
    cr.manual_seed(3)
    x = cr.randn(200, 500, requires_grad=True)
    out = getattr(F, name)(x, 0.3, training=True)
    assert abs(out.mean().item()) < 0.02 and abs(out.var().item() - 1) < 0.03
    out.sum().backward()
    assert np.unique(host(x.grad)).size == 2  # a scale where it was kept, 0 where not


@pytest.mark.parametrize("name", [*DROPOUTS, "alpha_dropout", "feature_alpha_dropout"])
def test_dropout_at_the_ends(name):
    x = cr.ones(*DROPOUTS.get(name, ((2, 3), None))[0])
    f = getattr(F, name)
    assert f(x, 0.0, True) is x and f(x, 0.5, False) is x
    assert (host(f(x, 1.0, True)) == 0).all()
    y = x.clone()
    assert f(y, 0.5, True, inplace=True) is y
    with pytest.raises(ValueError, match=name):
        f(x, 1.5)


def test_running_statistics_of_instance_norm_move():
    x = cr.tensor(RNG.normal(2.0, 3.0, (4, 2, 50)).astype(np.float32))
    mean, var = cr.zeros(2), cr.ones(2)
    F.instance_norm(x, mean, var, momentum=0.1)
    np.testing.assert_allclose(host(mean), 0.1 * host(x).mean((0, 2)), rtol=1e-5)
    np.testing.assert_allclose(host(var), 0.9 + 0.1 * host(x).var(2, ddof=1).mean(0), rtol=1e-5)


def test_a_table_shortened_in_place_is_noticed():
    w = cr.ones(3, 2)
    scale = cr.ones(3, 2, requires_grad=True)
    product = w * scale
    F.embedding(cr.tensor([1]), w, max_norm=1.0)
    np.testing.assert_allclose(np.linalg.norm(host(w), axis=1), [math.sqrt(2), 1, math.sqrt(2)], rtol=1e-6)
    with pytest.raises(RuntimeError, match="inplace"):
        product.sum().backward()


# ---- one element at a time ------------------------------------------------------------------------------------------

MAPPED = {
    "cross_entropy": (
        lambda x, t: F.cross_entropy(x, t, cr.tensor([1.0, 2.0, 3.0], dtype=cr.float64), ignore_index=1),
        lambda: (normal(3, 2, 3, grad=False), cr.tensor([[0, 1], [1, 2], [2, 2]])),
    ),
    "multi_margin_loss": (
        F.multi_margin_loss,
        lambda: (normal(3, 2, 3, grad=False), cr.tensor([[0, 1], [1, 2], [2, 2]])),
    ),
    "gaussian_nll_loss": (
        lambda x, t: F.gaussian_nll_loss(x, t, t.exp()),
        lambda: (normal(3, 2, 3, grad=False), normal(3, 3, 2, grad=False).mT),
    ),
    "embedding": (
        lambda i: F.embedding(i, cr.tensor([[1.0], [2.0], [3.0]]), padding_idx=1),
        lambda: (cr.tensor([[0, 1], [1, 1], [2, 0]]),),
    ),
    "grid_sample": (
        lambda x, g: F.grid_sample(x, g, align_corners=False),
        lambda: (normal(3, 1, 2, 4, 4, grad=False), normal(3, 1, 3, 3, 2, grad=False)),
    ),
    "scaled_dot_product_attention": (
        lambda q, m: F.scaled_dot_product_attention(q, q, q, m > 0.5),
        lambda: (normal(3, 2, 3, 4, grad=False), normal(3, 3, 3, grad=False)),
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], lambda: (spread(3, 1, 2, 4, 4).detach(),)),
}


@pytest.mark.filterwarnings("ignore:vmap")
@pytest.mark.parametrize("name", MAPPED)
def test_vmap(name):
    f, inputs = MAPPED[name]
    inputs = inputs()
    expected = [host(f(*[t[i] for t in inputs])) for i in range(3)]
    np.testing.assert_allclose(host(cr.vmap(f)(*inputs)), np.stack(expected), rtol=1e-10)


# ---- names and errors -----------------------------------------------------------------------------------------------


def test_names_of_torch_itself():
    x = normal(2, 3, grad=False)
    np.testing.assert_array_equal(host(cr.layer_norm(x, (3,))), host(F.layer_norm(x, (3,))))
    table, index = normal(4, 2, grad=False), cr.tensor([1, 0])
    np.testing.assert_array_equal(host(cr.embedding(table, index)), host(F.embedding(index, table)))
    target = cr.ones(2, 3)
    for number, name in enumerate(("none", "mean", "sum")):
        ours = cr.hinge_embedding_loss(x, target, 1.0, number)
        np.testing.assert_array_equal(host(ours), host(F.hinge_embedding_loss(x, target, reduction=name)))
    with pytest.raises(ValueError, match="reduction"):
        cr.kl_div(x, target, 3)
    y = x.clone()
    assert cr.dropout_(y, 0.5, True) is y and not cr.equal(x, y)


def test_older_arguments_of_losses():
    x, t = normal(3, grad=False), cr.zeros(3, dtype=cr.float64)
    assert F.mse_loss(x, t, False).item() == F.mse_loss(x, t, reduction="sum").item()
    assert F.l1_loss(x, t, reduce=False).shape == (3,)
    with pytest.raises(TypeError, match="size_average"):
        F.mse_loss(x, t, "sum")


ERRORS = [
    (lambda: F.conv1d(cr.ones(1, 2, 5), cr.ones(1, 3, 2)), RuntimeError, "conv1d: weight .* expects 3 input channels"),
    (lambda: F.conv3d(cr.ones(1, 1, 2, 2, 2), cr.ones(1, 1, 3, 1, 1)), RuntimeError, "smaller than the kernel"),
    (lambda: F.conv_transpose1d(cr.ones(1, 1, 3), cr.ones(1, 1, 2), output_padding=1), RuntimeError, "output_padding"),
    (lambda: F.conv_transpose2d(cr.ones(2, 2, 3), cr.ones(1, 1, 2, 2)), RuntimeError, "expects 1 input channels"),
    (lambda: F.conv2d(cr.ones(1, 3, 3), cr.ones(1, 1, 2, 2), stride=(1, 2, 3)), TypeError, "stride must be an int or"),
    (lambda: F.max_pool3d(cr.ones(1, 3, 3, 3), 5), RuntimeError, "max_pool3d: a window"),
    (lambda: F.max_unpool1d(cr.ones(1, 2), cr.tensor([[0, 9]]), 2), IndexError, "index 9"),
    (lambda: F.max_unpool1d(cr.ones(1, 2), cr.tensor([[0, 1]]), 2, output_size=9), ValueError, "output_size"),
    (lambda: F.fractional_max_pool2d(cr.ones(1, 4, 4), 2), ValueError, "output_ratio"),
    (lambda: F.fractional_max_pool2d(cr.ones(1, 4, 4), 2, 4), RuntimeError, "do not fit"),
    (lambda: F.interpolate(cr.ones(1, 1, 4), size=2, mode="bilinear"), NotImplementedError, "bilinear"),
    (lambda: F.interpolate(cr.ones(1, 1, 4), size=2, scale_factor=2), ValueError, "one of size and scale_factor"),
    (lambda: F.interpolate(cr.ones(1, 1, 4), size=2, align_corners=True), ValueError, "align_corners"),
    (lambda: F.grid_sample(cr.ones(1, 1, 2, 2), cr.ones(1, 2, 2, 3)), RuntimeError, "grid"),
    (lambda: F.grid_sample(cr.ones(1, 1, 2, 2), cr.ones(1, 2, 2, 2), "linear"), ValueError, "mode"),
    (lambda: F.affine_grid(cr.ones(1, 2, 2), (1, 1, 2, 2)), RuntimeError, "theta"),
    (lambda: F.layer_norm(cr.ones(2, 3), (2,)), RuntimeError, "normalized_shape"),
    (lambda: F.group_norm(cr.ones(2, 3, 2), 2), RuntimeError, "num_groups"),
    (lambda: F.instance_norm(cr.ones(2, 3, 1)), ValueError, "spatial"),
    (lambda: F.layer_norm(cr.ones(2, 3, dtype=cr.int64), (3,)), RuntimeError, "floating-point"),
    (lambda: F.embedding(cr.tensor([3]), cr.ones(3, 2)), IndexError, "index 3 is out of range"),
    (lambda: F.embedding(cr.tensor([0]), cr.ones(3, 2), sparse=True), ValueError, "sparse"),
    (lambda: F.embedding(cr.tensor([0]), cr.ones(3, 2), padding_idx=3), ValueError, "padding_idx"),
    (lambda: F.embedding_bag(cr.tensor([0, 1]), cr.ones(3, 2)), ValueError, "offsets"),
    (lambda: F.embedding_bag(cr.tensor([0]), cr.ones(3, 2), cr.tensor([1])), RuntimeError, "start with 0"),
    (lambda: F.unfold(cr.ones(1, 2, 2), 3), RuntimeError, "does not fit"),
    (lambda: F.fold(cr.ones(4, 3), (3, 3), 2), RuntimeError, "columns"),
    (lambda: F.pixel_shuffle(cr.ones(3, 1, 1), 2), RuntimeError, "divisible by 4"),
    (lambda: F.pixel_unshuffle(cr.ones(1, 3, 2), 2), RuntimeError, "divisible by 2"),
    (lambda: F.bilinear(cr.ones(2, 3), cr.ones(2, 2), cr.ones(1, 2, 2)), RuntimeError, "bilinear"),
    (lambda: F.scaled_dot_product_attention(cr.ones(2, 3), cr.ones(2, 4), cr.ones(2, 4)), RuntimeError, "query"),
    (lambda: F.ctc_loss(cr.ones(2, 1, 2), cr.tensor([[1]]), [3], [1]), RuntimeError, "input_lengths"),
    (lambda: F.ctc_loss(cr.ones(2, 1, 2), cr.tensor([[2]]), [2], [1]), ValueError, "labels"),
    (lambda: F.multi_margin_loss(cr.ones(1, 2), cr.tensor([2])), IndexError, "class 2"),
    (lambda: F.multilabel_margin_loss(cr.ones(2), cr.tensor([2, -1])), IndexError, "class 2"),
    (lambda: F.triplet_margin_loss(cr.ones(2, 3), cr.ones(2, 3), cr.ones(3)), RuntimeError, "one shape"),
    (lambda: F.kl_div(cr.ones(3), cr.ones(3, 1)), ValueError, "same shape"),
    (lambda: F.gaussian_nll_loss(cr.ones(3), cr.ones(3), cr.tensor([-1.0, 1.0, 1.0])), ValueError, "negative"),
    (lambda: F.cosine_embedding_loss(cr.ones(2, 3), cr.ones(2, 3), cr.ones(2, 1)), ValueError, "target"),
    (
        lambda: cr.lstm(cr.ones(2, 1, 2), (cr.ones(1, 1, 2),), [], False, 1, 0.0, False, False, False),
        RuntimeError,
        "hx",
    ),
    (
        lambda: cr.gru(cr.ones(2, 1, 2), cr.ones(1, 1, 2), [], False, 1, 0.0, False, False, False),
        RuntimeError,
        "params",
    ),
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
