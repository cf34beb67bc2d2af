"""What modules can do beyond their layers: hooks, state dicts, copies, containers. Against PyTorch: tests/oracle/."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn.modules import module as everywhere


def test_a_misfit_names_what_is_missing_unexpected_and_misshapen():
    model = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.Linear(3, 1)))
    state = dict(model.state_dict())
    state["c.weight"] = state.pop("b.bias")
    state["a.weight"] = cr.zeros(3, 5)
    before = [p.tolist() for p in model.parameters()]
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(state)
    message = str(caught.value)
    assert "missing" in message and "b.bias (1,)" in message and "c.weight (1,)" in message
    assert "a.weight: the model has (3, 2), the state dict (3, 5)" in message
    assert [p.tolist() for p in model.parameters()] == before
    with pytest.raises(RuntimeError, match="shapes differ"):
        model.load_state_dict(state, strict=False)


def test_assign_takes_the_tensors_and_extra_state_is_kept():
    class Counted(nn.Linear):
        count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    first, second = Counted(2, 2), Counted(2, 2)
    first.count = 3
    state = first.state_dict()
    assert list(state) == ["weight", "bias", "_extra_state"]
    second.load_state_dict(state, assign=True)
    assert second.count == 3 and isinstance(second.weight, nn.Parameter)
    first.weight.data[0, 0] = 7.0
    assert second.weight[0, 0].item() == 7.0
    with pytest.raises(RuntimeError, match=r"missing.*\n.*_extra_state"):
        Counted(2, 2).load_state_dict(nn.Linear(2, 2).state_dict())


def test_a_state_dict_with_positional_arguments_warns():
    with pytest.warns(FutureWarning, match="by name"):
        state = nn.Linear(1, 1).state_dict(None, "net.")
    assert list(state) == ["net.weight", "net.bias"]


def test_a_hook_that_renames_entries_does_not_touch_the_given_dict():
    layer = nn.Linear(1, 1)
    layer.register_load_state_dict_pre_hook(
        lambda module, state, prefix, *rest: state.update({prefix + "weight": state.pop(prefix + "old")})
    )
    given = {"old": cr.ones(1, 1), "bias": cr.zeros(1)}
    layer.load_state_dict(given)
    assert layer.weight.item() == 1.0 and list(given) == ["old", "bias"]


def test_an_error_message_of_a_subclass_stops_loading():
    class Picky(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing, unexpected, errors):
            super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing, unexpected, errors)
            errors.append("not today")

    layer = Picky(1, 1)
    before = layer.weight.item()
    with pytest.raises(RuntimeError, match="not today"):
        layer.load_state_dict({"weight": cr.ones(1, 1), "bias": cr.zeros(1)})
    assert layer.weight.item() == before


def test_hooks_of_all_modules_cost_nothing_when_they_are_gone():
    seen = []
    with everywhere.register_module_forward_hook(lambda m, args, out: seen.append(type(m).__name__)):
        assert nn.ReLU._hooked
        nn.Sequential(nn.ReLU())(cr.ones(1))
    assert seen == ["ReLU", "Sequential"] and not nn.ReLU._hooked
    nn.ReLU()(cr.ones(1))
    assert len(seen) == 2


def test_a_registration_hook_replaces():
    handle = everywhere.register_module_parameter_registration_hook(lambda m, n, p: nn.Parameter(cr.zeros(p.shape)))
    try:
        assert not nn.PReLU(3).weight.any()
    finally:
        handle.remove()
    assert nn.PReLU(3).weight.all()


def test_backward_hooks_of_both_kinds_do_not_mix():
    layer = nn.ReLU()
    layer.register_backward_hook(lambda m, gi, go: None)
    with pytest.raises(RuntimeError, match="either full backward hooks"):
        layer.register_full_backward_hook(lambda m, gi, go: None)


def test_a_pre_hook_that_returns_too_few_gradients():
    class Two(nn.Module):
        def forward(self, x):
            return x, x * 2

    m = Two()
    m.register_full_backward_pre_hook(lambda m, go: (go[0],))
    out = m(cr.ones(1, requires_grad=True))
    with pytest.raises(RuntimeError, match="pre-hook must return None or 2 gradients, one for each output, got 1"):
        out[0].sum().backward()


def test_an_error_in_an_always_called_hook_is_only_a_warning():
    layer = nn.ReLU()
    layer.register_forward_hook(lambda m, args, out: 1 / 0, always_call=True)
    with pytest.warns(UserWarning, match="always_call=True raised too"), pytest.raises(TypeError, match="forward"):
        layer()


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LayerNorm(3), nn.PReLU()),
        lambda: nn.ParameterDict({"a": cr.ones(2), "b": 3}),
        lambda: nn.ParameterList([cr.ones(2), 3]),
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 3)),
        lambda: nn.utils.parametrizations.orthogonal(nn.Linear(3, 3)),
        lambda: nn.AdaptivePiecewiseLinear(3),
    ],
)
def test_copies_and_pickles(make):
    module = make()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == repr(module) and list(twin.state_dict()) == list(module.state_dict())
        for a, b in zip(twin.parameters(), module.parameters(), strict=True):
            assert a is not b and a.tolist() == b.tolist()


def test_parameter_dict_keeps_its_methods():
    with pytest.raises(KeyError, match="exists already"):
        nn.ParameterDict({"keys": cr.ones(1)})
    found = nn.ParameterDict({"a": cr.ones(1)})
    with pytest.raises(KeyError):
        found.pop("b")
    with pytest.raises(KeyError, match="empty"):
        nn.ParameterDict().popitem()
    with pytest.raises(TypeError, match="a name must be a string"):
        found[3] = cr.ones(1)
    assert list(found) == ["a"]


def test_inserting_into_named_modules_is_refused():
    model = nn.Sequential(OrderedDict(a=nn.ReLU()))
    with pytest.raises(KeyError, match="an OrderedDict"):
        model.insert(0, nn.Tanh())
    assert list(model._modules) == ["a"]


def test_moving_without_values_and_changing_all_dtypes():
    layer = nn.BatchNorm1d(3)
    layer.to_empty(device=None)
    assert layer.weight.shape == (3,) and layer.weight.requires_grad
    layer.type(cr.float64)
    assert layer.weight.dtype is cr.float64 and layer.num_batches_tracked.dtype is cr.float64
    with pytest.raises(AttributeError, match="is not shared between processes"):
        layer.share_memory()


def test_state_dicts_without_a_count_of_batches_load():
    layer = nn.BatchNorm1d(2)
    layer(cr.randn(4, 2))
    state = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if k != "num_batches_tracked"}
    layer.load_state_dict(state)
    assert layer.num_batches_tracked.item() == 1
    current = nn.BatchNorm1d(2).state_dict()
    del current["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):  # it says that it has one
        layer.load_state_dict(current)
