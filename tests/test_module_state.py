"""State dicts of modules, and copies of modules."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
from small_modules import Net

import chainrule as cr
from chainrule import nn


def host(t):
    return t.numpy(force=True)


# ---- state dicts ----------------------------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_loads():
    net, other = Net(), Net()
    state = net.state_dict()
    with cr.no_grad():
        net.scale.fill_(7.0)
    assert state["scale"].item() == 7.0 and not state["scale"].requires_grad
    assert net.state_dict(keep_vars=True)["scale"] is net.scale
    assert next(iter(net.state_dict(prefix="m."))) == "m.scale"
    p = other.scale
    assert repr(other.load_state_dict(state)) == "<All keys matched successfully>"
    assert other.scale is p and p.item() == 7.0 and p.requires_grad
    other.load_state_dict({name: host(t).astype("float64") for name, t in state.items()})
    assert p.dtype == cr.float32


def test_loading_is_noticed_by_a_graph():
    net = Net()
    out = net(cr.ones(1, 2)).sum()
    net.load_state_dict(net.state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        out.backward()


def test_not_strict():
    net = Net()
    result = net.load_state_dict({"scale": cr.tensor(3.0), "other": cr.ones(1)}, strict=False)
    assert net.scale.item() == 3.0
    assert result.unexpected_keys == ["other"] and len(result.missing_keys) == 4
    with pytest.raises(RuntimeError, match="shapes differ"):
        net.load_state_dict({"scale": cr.ones(2)}, strict=False)


def test_assign():
    net = Net()
    state = {k: v.double() for k, v in net.state_dict().items()}
    net.load_state_dict(state, assign=True)
    assert net.scale.dtype == cr.float64 and isinstance(net.scale, nn.Parameter) and net.first.seen.dtype == cr.float64


def test_difference_is_readable_and_changes_nothing():
    net = Net()
    before = {k: host(v).copy() for k, v in net.state_dict().items()}
    state = {k: v + 1 for k, v in net.state_dict().items()}
    state["rest.0.wieght"] = state.pop("rest.0.weight")
    state["first.weight"] = cr.ones(3)
    del state["scale"]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).splitlines() == [
        "load_state_dict (Net): the state dict does not fit; nothing was loaded",
        "  missing (the model has it, the state dict does not):",
        "    scale ()",
        "    rest.0.weight (3, 2)",
        "  unexpected (the state dict has it, the model does not):",
        "    rest.0.wieght (3, 2)   did you mean 'rest.0.weight'?",
        "  shapes differ:",
        "    first.weight: the model has (2,), the state dict (3,)",
    ]
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(host(value), before[name])


def test_difference_by_a_prefix():
    net = Net()
    with pytest.raises(RuntimeError, match="all names match if you remove the prefix 'module.'"):
        net.load_state_dict({"module." + k: v for k, v in net.state_dict().items()})
    with pytest.raises(RuntimeError, match="all names match if you add the prefix '0.'"):
        nn.Sequential(net).load_state_dict(net.state_dict())


def test_long_differences_are_cut():
    with pytest.raises(RuntimeError, match=r"\.\.\. and 10 more"):
        nn.ParameterList([cr.zeros(1)] * 30).load_state_dict({})


@pytest.mark.parametrize(
    ("state", "error", "message"),
    [
        ([1], TypeError, "expected a dict of names and tensors, got list"),
        ({"scale": "x"}, TypeError, "'scale' must be a tensor or an array, got str"),
        ({"scale": np.array("x")}, TypeError, "'scale' cannot be read as a tensor"),
        ({"scale": np.array(1j)}, RuntimeError, "'scale' is chainrule.complex128"),
    ],
)
def test_bad_state_dicts(state, error, message):
    net = Net()
    with pytest.raises(error, match=message):
        net.load_state_dict({**net.state_dict(), **state} if isinstance(state, dict) else state)


# ---- copies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(twin_of):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))
    net[2].weight = nn.Parameter(cr.ones(2, 3))
    net.tied = net[0].weight
    net.eval()
    twin = twin_of(net)
    assert repr(twin) == repr(net) and not twin.training
    assert twin.tied is twin[0].weight and twin.tied is not net.tied
    x = cr.ones(4, 2)
    np.testing.assert_array_equal(host(twin(x)), host(net(x)))
    with cr.no_grad():
        twin.tied.fill_(0.0)
    assert host(net.tied).any()
    assert all(p.requires_grad for p in twin.parameters())


def test_freed_by_reference_counting():
    net = Net()
    net(cr.ones(4, 2)).sum().backward()
    alive = weakref.ref(net)
    gc.disable()
    try:
        del net
        assert alive() is None
    finally:
        gc.enable()
