"""Loss modules and initialisation: special cases and state; tests/oracle compares the values."""

from __future__ import annotations

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional as F
from chainrule.nn import init


def host(t):
    return t.numpy(force=True)


def zeros(*shape, dtype=None):
    return cr.zeros(*shape, dtype=dtype)


def longs(*values):
    return cr.tensor(values)


def test_weights_of_losses_are_buffers():
    for loss in (nn.CrossEntropyLoss, nn.NLLLoss, nn.BCELoss, nn.MultiMarginLoss, nn.MultiLabelSoftMarginLoss):
        made = loss(weight=cr.ones(3))
        assert list(made.state_dict()) == ["weight"] and not list(made.parameters())
        assert made.double().weight.dtype == cr.float64
        assert not loss().state_dict() and loss().weight is None
    both = nn.BCEWithLogitsLoss(cr.ones(3), pos_weight=cr.ones(3))
    assert list(both.state_dict()) == ["weight", "pos_weight"]


def test_a_distance_of_ones_own():
    loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().max(-1).values, margin=2.0)
    a, p, n = zeros(1, 2), cr.tensor([[1.0, 0.5]]), cr.tensor([[0.0, 2.5]])
    assert float(loss(a, p, n)) == 0.5
    assert float(nn.TripletMarginWithDistanceLoss()(a, a, a)) == pytest.approx(1.0)
    layer = nn.Linear(2, 2)
    learnt = nn.TripletMarginWithDistanceLoss(distance_function=nn.PairwiseDistance(p=1.0))
    assert isinstance(learnt.distance_function, nn.PairwiseDistance)
    learnt(layer(a), layer(p), layer(n)).backward()
    assert layer.weight.grad is not None


def test_the_parts_of_adaptive_softmax_agree():
    cr.manual_seed(0)
    model = nn.AdaptiveLogSoftmaxWithLoss(8, 20, [4, 10], div_value=2.0, head_bias=True)
    x, target = cr.randn(6, 8), longs(0, 3, 4, 9, 10, 19)
    output, loss = model(x, target)
    everything = model.log_prob(x)
    np.testing.assert_allclose(host(everything.exp().sum(1)), 1, rtol=1e-5)
    np.testing.assert_allclose(host(output), host(everything)[np.arange(6), target.tolist()], rtol=1e-5)
    assert float(loss) == pytest.approx(-host(output).mean())
    assert model.predict(x).tolist() == host(everything).argmax(1).tolist()
    model.reset_parameters()
    assert not cr.equal(model.log_prob(x), everything)


@pytest.mark.parametrize(
    "fill",
    [
        lambda p, g: init.uniform_(p, generator=g),
        lambda p, g: init.normal_(p, generator=g),
        lambda p, g: init.trunc_normal_(p, generator=g),
        lambda p, g: init.xavier_uniform_(p, generator=g),
        lambda p, g: init.xavier_normal_(p, generator=g),
        lambda p, g: init.kaiming_uniform_(p, generator=g),
        lambda p, g: init.kaiming_normal_(p, generator=g),
        lambda p, g: init.orthogonal_(p, generator=g),
        lambda p, g: init.sparse_(p, 0.5, generator=g),
    ],
)
def test_initialisation_is_seeded_and_unrecorded(fill):
    first, second = nn.Parameter(cr.zeros(4, 3)), nn.Parameter(cr.zeros(4, 3))
    recorded = (first * first).sum()
    for p in (first, second):
        assert fill(p, cr.Generator().manual_seed(3)) is p
        assert p.is_leaf and p.requires_grad and p.grad_fn is None
    assert cr.equal(first, second) and host(first).any()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        recorded.backward()
    before = cr.get_rng_state()
    fill(first, cr.Generator().manual_seed(4))
    assert not cr.equal(first, second)
    assert cr.equal(before, cr.get_rng_state())  # a generator of one's own leaves the common one alone


def test_initialisation_of_parts_of_a_tensor():
    p = cr.zeros(4, 6)
    init.eye_(p[:2, 1:3])
    init.orthogonal_(p[2:, ::2])
    init.constant_(p[0, 4:], 7.0)
    values = host(p)
    assert values[:2, 1:3].tolist() == [[1, 0], [0, 1]] and values[0, 4:].tolist() == [7, 7]
    np.testing.assert_allclose(values[2:, ::2] @ values[2:, ::2].T, np.eye(2), atol=1e-6)
    assert not values[2:, 1::2].any()
    for fill in (init.xavier_uniform_, init.xavier_normal_, init.kaiming_normal_, init.orthogonal_):
        assert fill(cr.empty(0, 0)).shape == (0, 0)


def test_orthogonal_of_complex_numbers():
    q = host(init.orthogonal_(cr.empty(3, 5, dtype=cr.complex128), gain=2.0))
    np.testing.assert_allclose(q @ q.conj().T, 4 * np.eye(3), atol=1e-12)
    assert np.abs(q.imag).max() > 0.1


def test_functions_and_layers_agree():
    x, target = cr.randn(4, 3), longs(0, 1, 2, 1)
    assert float(nn.CrossEntropyLoss(label_smoothing=0.1)(x, target)) == float(
        F.cross_entropy(x, target, label_smoothing=0.1)
    )
