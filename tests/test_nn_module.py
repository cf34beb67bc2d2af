"""Module: registration, state, conversion, hooks, errors with paths, copies."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd.modes import mode
from chainrule.autograd.runtime import tracer


def host(t):
    return t.numpy(force=True)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(cr.ones(2))
        self.register_buffer("seen", cr.zeros(1))
        self.register_buffer("scratch", cr.zeros(1), persistent=False)

    def forward(self, x):
        return x * self.weight


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.rest = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        self.scale = nn.Parameter(cr.tensor(2.0))

    def forward(self, x):
        return self.rest(self.first(x)) * self.scale


# ---- registration ---------------------------------------------------------------------------------------------------


def test_names():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "first.weight", "rest.0.weight", "rest.0.bias"]
    assert [n for n, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [n for n, _ in net.named_buffers()] == ["first.seen", "first.scratch"]
    assert [n for n, _ in net.named_modules()] == ["", "first", "rest", "rest.0", "rest.1"]
    assert [n for n, _ in net.named_children()] == ["first", "rest"]
    assert list(net.state_dict()) == ["scale", "first.weight", "first.seen", "rest.0.weight", "rest.0.bias"]
    assert len(list(net.parameters())) == 4 and len(list(net.buffers())) == 2 and len(list(net.modules())) == 5
    assert {"first", "scale", "rest"} <= set(dir(net))


def test_shared_modules_and_parameters_appear_once():
    layer = nn.Linear(2, 2)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    net.tied = layer.weight
    assert [n for n, _ in net.named_parameters()] == ["tied", "0.bias"]
    assert len(list(net.named_parameters(remove_duplicate=False))) == 5
    assert [n for n, _ in net.named_modules()] == ["", "0", "1"]
    assert len(list(net.children())) == 2
    assert list(net.state_dict()) == ["tied", "0.weight", "0.bias", "2.weight", "2.bias"]


def test_assignment_moves_a_name_between_kinds():
    m = nn.Module()
    m.x = 5
    m.x = nn.Parameter(cr.ones(1))
    assert "x" in m._parameters and "x" not in m.__dict__
    m.x = nn.Linear(1, 1)
    assert "x" in m._modules and "x" not in m._parameters
    with pytest.raises(TypeError, match=r"Module.x: expected a Module or None, got int"):
        m.x = 5
    m.x = None
    assert m.x is None and "x" in m._modules
    del m.x
    m.x = nn.Buffer(cr.zeros(2), persistent=False)
    assert "x" in m._buffers and not m.state_dict()
    m.x = cr.ones(2)  # another tensor in the same place
    assert m._buffers["x"] is m.x and not m.state_dict()
    with pytest.raises(AttributeError, match="no attribute 'y'"):
        _ = m.y


def test_a_tensor_is_no_parameter():
    m = nn.Module()
    m.w = cr.ones(2)
    assert not list(m.parameters())
    m.p = nn.Parameter(cr.ones(2))
    with pytest.raises(TypeError, match=r"expected a Parameter or None, got Tensor"):
        m.p = cr.ones(2)
    assert isinstance(m.p, nn.Parameter)


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda m: m.register_parameter("p", cr.ones(1)), TypeError, "wrap it in nn.Parameter"),
        (lambda m: m.register_parameter("a.b", None), KeyError, "dot"),
        (lambda m: m.register_buffer("", None), KeyError, "empty"),
        (lambda m: m.register_buffer(3, None), TypeError, "must be a string, got int"),
        (lambda m: m.register_buffer("b", 3), TypeError, "expected a Tensor or None, got int"),
        (lambda m: m.register_buffer("forward", None), KeyError, "exists already"),
        (lambda m: m.add_module("c", 3), TypeError, "expected a Module or None, got int"),
        (
            lambda m: m.get_submodule("rest.7"),
            AttributeError,
            "Sequential has no module '7' .of 'rest.7'.; it has 0, 1",
        ),
        (lambda m: m.get_parameter("rest.0.w"), AttributeError, "Linear has no parameter 'w'"),
        (lambda m: m.get_buffer("scale"), AttributeError, "Net has no buffer 'scale'"),
        (lambda m: m.train(1), ValueError, "mode must be True or False"),
        (lambda m: m.to(cr.int64), TypeError, "expected a floating-point dtype, got chainrule.int64"),
        (lambda m: m.to("nowhere"), RuntimeError, "unknown device 'nowhere'"),
        (lambda m: nn.Parameter([1.0]), TypeError, "data must be a Tensor, got list"),
        (lambda m: nn.Parameter(cr.tensor([1])), RuntimeError, "only floating-point"),
        (lambda m: nn.Module()(1), NotImplementedError, "Module does not define forward"),
    ],
)
def test_bad_input(act, error, message):
    with pytest.raises(error, match=message):
        act(Net())


def test_super_init_forgotten():
    class Forgetful(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"Forgetful: 'layer' was assigned before super\(\).__init__\(\)"):
        Forgetful()


def test_lookups():
    net = Net()
    assert net.get_submodule("rest.0") is net.rest[0] and net.get_submodule("") is net
    assert net.get_parameter("first.weight") is net.first.weight
    assert net.get_buffer("first.seen") is net.first.seen


def test_parameter():
    t = cr.ones(2)
    p = nn.Parameter(t)
    assert isinstance(p, cr.Tensor) and p.requires_grad and p.is_leaf
    with cr.no_grad():
        p += 1
    assert t.tolist() == [2.0, 2.0]  # the same memory
    assert type(p * 2) is cr.Tensor
    assert not nn.Parameter(t, requires_grad=False).requires_grad
    assert repr(p).startswith("Parameter containing:\ntensor(")
    for twin in (copy.deepcopy(p), pickle.loads(pickle.dumps(p))):
        assert type(twin) is nn.Parameter and twin.requires_grad and twin.tolist() == p.tolist()


# ---- modes, gradients, conversion -----------------------------------------------------------------------------------


def test_train_eval_apply_zero_grad():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert net.train() is net and all(m.training for m in net.modules())
    seen = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Block", "Linear", "ReLU", "Sequential", "Net"]
    net(cr.ones(4, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert all(not host(p.grad).any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    assert not any(p.requires_grad for p in net.requires_grad_(False).parameters())


def test_dtype_in_place():
    net = Net()
    net.register_buffer("count", cr.tensor(3))
    before = dict(net.named_parameters())
    net(cr.ones(4, 2)).sum().backward()
    assert net.double() is net
    for name, p in net.named_parameters():
        assert p is before[name] and p.dtype == cr.float64 and p.grad.dtype == cr.float64
    assert net.first.seen.dtype == cr.float64 and net.count.dtype == cr.int64
    net(cr.ones(4, 2, dtype=cr.float64)).sum().backward()
    assert net.half().scale.dtype == cr.float16 and net.bfloat16().scale.dtype == cr.bfloat16
    assert net.to(cr.zeros(1, dtype=cr.float64)).scale.dtype == cr.float64
    assert net.float().scale.dtype == cr.float32


def test_device_in_place():
    net = Net().to("cpu")
    p = net.scale
    net(cr.ones(4, 2, device="cpu")).sum().backward()
    net.to(cr.device("guard"), dtype=cr.float64)
    assert net.scale is p and str(p.device) == str(p.grad.device) == "guard" and p.grad.dtype == cr.float64
    assert str(net.first.seen.device) == "guard"
    net(cr.ones(4, 2, device="guard", dtype=cr.float64)).sum().backward()
    assert str(net.cpu().scale.device) == "cpu"


def test_cuda_without_one_says_why():
    if cr.cuda.is_available():
        pytest.skip("there is a CUDA device")
    net = Net().to("cpu")
    with pytest.raises(RuntimeError, match="(?i)cu"):
        net.cuda()
    assert str(net.scale.device) == "cpu"


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


# ---- containers -----------------------------------------------------------------------------------------------------


def test_sequential():
    net = nn.Sequential(OrderedDict(a=nn.Linear(2, 3), b=nn.ReLU()))
    assert net.a is net[0] is net[-2] and len(net) == 2 and [type(m) for m in net] == [nn.Linear, nn.ReLU]
    assert list(net[1:].state_dict()) == [] and isinstance(net[1:], nn.Sequential)
    net = nn.Sequential(nn.ReLU()).append(nn.Tanh()).extend([nn.Sigmoid()]).insert(0, nn.Identity())
    assert [n for n, _ in net.named_children()] == ["0", "1", "2", "3"]
    del net[0]
    net[0] = nn.ELU()
    assert [type(m).__name__ for m in net] == ["ELU", "Tanh", "Sigmoid"] and "0" in net._modules
    assert nn.Sequential()(5) == 5
    with pytest.raises(IndexError, match="index 3 is out of range for length 3"):
        net[3]
    with pytest.raises(TypeError, match="expected a Module or None, got int"):
        nn.Sequential(5)


def test_module_list():
    layers = nn.ModuleList([nn.Linear(1, 1)])
    layers += [nn.ReLU()]
    layers.insert(0, nn.Tanh())
    layers[1] = nn.ELU()
    assert [type(m).__name__ for m in layers] == ["Tanh", "ELU", "ReLU"]
    assert isinstance(layers[:2], nn.ModuleList) and len(layers[:2]) == 2
    del layers[0]
    assert list(layers._modules) == ["0", "1"]
    with pytest.raises(TypeError):
        layers.append(3)
    with pytest.raises(NotImplementedError):
        layers(1)


def test_module_dict():
    layers = nn.ModuleDict({"a": nn.ReLU()})
    layers["b"] = nn.Tanh()
    layers.update([("c", nn.ELU())])
    assert list(layers) == list(layers.keys()) == ["a", "b", "c"] and "b" in layers and len(layers) == 3
    assert isinstance(layers.pop("a"), nn.ReLU)
    del layers["b"]
    assert [k for k, v in layers.items()] == ["c"] and isinstance(next(iter(layers.values())), nn.ELU)
    layers.clear()
    assert not len(layers)


def test_parameter_list():
    values = nn.ParameterList([cr.zeros(2)])
    values.append(nn.Parameter(cr.ones(3)))
    values[0] = cr.ones(2)
    assert [n for n, _ in values.named_parameters()] == ["0", "1"] and values[-1].shape == (3,)
    assert len(values) == 2 and [p.numel() for p in values] == [2, 3]
    assert "(0): Parameter containing: [chainrule.float32 of size 2]" in repr(values)


# ---- hooks ----------------------------------------------------------------------------------------------------------


def test_forward_hooks():
    layer = nn.Linear(2, 2)
    x = cr.ones(1, 2)
    plain = host(layer(x))
    calls = []
    first = layer.register_forward_pre_hook(lambda m, args: calls.append("pre"))
    second = layer.register_forward_pre_hook(lambda m, args: (args[0] * 2,), prepend=True)
    third = layer.register_forward_hook(lambda m, args, out: calls.append(args[0].tolist()))
    fourth = layer.register_forward_hook(lambda m, args, out: out * 0)
    assert not host(layer(x)).any()
    assert calls == ["pre", [[2.0, 2.0]]]
    for handle in (first, second, third, fourth):
        handle.remove()
    np.testing.assert_array_equal(host(layer(x)), plain)


def test_hooks_with_kwargs():
    class Scale(nn.Module):
        def forward(self, x, *, by=1):
            return x * by

    m = Scale()
    seen = []
    m.register_forward_pre_hook(lambda m, args, kwargs: (args, {"by": 3}), with_kwargs=True)
    m.register_forward_hook(lambda m, args, kwargs, out: seen.append((kwargs, out)), with_kwargs=True)
    assert m(2) == 6 and m(2, by=5) == 6 and seen == [({"by": 3}, 6)] * 2
    m.register_forward_pre_hook(lambda m, args, kwargs: 5, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or \(args, kwargs\), got int"):
        m(2)


def test_backward_hooks():
    class Product(nn.Module):
        def forward(self, x, y, label):
            return x * y

    m = Product()
    seen = []
    handle = m.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    x, y = cr.tensor([2.0], requires_grad=True), cr.tensor([3.0], requires_grad=True)
    (m(x, y, "label") + x).sum().backward()
    ((gx, gy, none), (g,)) = seen[0]
    assert (gx.item(), gy.item(), none, g.item()) == (3.0, 2.0, None, 1.0)
    assert x.grad.item() == 4.0
    m(cr.ones(1), y, "label").sum().backward()
    assert seen[1][0][0] is None and seen[1][0][1].item() == 1.0
    handle.remove()
    m.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10, gi[1], None))
    x.grad = None
    m(x, y, "label").sum().backward()
    assert x.grad.item() == 30.0
    m.register_full_backward_hook(lambda m, gi, go: (gi[0],))
    with pytest.raises(RuntimeError, match="must return None or 3 gradients, one for each input, got 1"):
        m(x, y, "label").sum().backward()


def test_backward_hook_without_input_gradients():
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    layer(cr.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])]


# ---- where an error came from ---------------------------------------------------------------------------------------


def test_error_names_path_and_layer():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.ModuleList([nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(16, 2))])

        def forward(self, x):
            return self.encoder[0](x)

    with pytest.raises(RuntimeError) as caught:
        Model()(cr.ones(3, 4))
    message = str(caught.value)
    assert message.startswith("Model.encoder.0.2 (Linear(in_features=16, out_features=2, bias=True)): linear: ")
    assert "(2, 16)" in message and "(3, 8)" in message


@pytest.mark.parametrize("recording", [True, False])
def test_error_names_what_fed_the_layer(recording):
    inner = nn.Sequential(nn.Linear(4, 2))
    with cr.set_grad_enabled(recording), pytest.raises(RuntimeError, match=r"; Sequential\.1 \(ReLU\(\)\) fed it$"):
        nn.Sequential(nn.Linear(2, 3), nn.ReLU(), inner)(cr.ones(1, 2))


def test_error_names_what_fed_the_layer_outside_sequential():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(1, 2, 3))
            self.head = nn.Linear(7, 2)

        def forward(self, x):
            return self.head(self.body(x).relu().flatten(1))

    with pytest.raises(RuntimeError, match=r"; reshape fed it, after Model\.body\.0$"):
        Model()(cr.ones(1, 1, 5, 5))
    with cr.no_grad(), pytest.raises(RuntimeError, match=r"got input of shape \(1, 18\)$"):
        Model()(cr.ones(1, 1, 5, 5))


def test_error_of_one_layer():
    with pytest.raises(RuntimeError, match=r"^Linear\(in_features=4, out_features=2, bias=True\): linear: "):
        nn.Linear(4, 2)(cr.ones(3))


def test_error_of_the_model_itself():
    class Outer(nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x):
            return self.inner(x)

    class Broken(Outer):
        def forward(self, x):
            raise ValueError("no")

    with pytest.raises(ValueError, match=r"^Outer.inner \(Broken\): no$"):
        Outer(Broken(nn.ReLU()))(1)
    with pytest.raises(ValueError, match=r"^Broken: no$"):
        Broken(nn.ReLU())(1)


@pytest.mark.parametrize(
    "error", [KeyError("k"), UnicodeDecodeError("utf-8", b"x", 0, 1, "why"), ValueError(), OSError(2, "x")]
)
def test_error_with_other_arguments_gets_a_note(error):
    class Broken(nn.Module):
        def forward(self, x):
            raise error

    before = str(error)
    with pytest.raises(type(error)) as caught:
        nn.Sequential(nn.Sequential(Broken()))(1)
    assert str(caught.value) == before
    assert caught.value.__notes__ == ["in Sequential.0.0 (Broken())"]


def test_unregistered_module_in_a_path():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.__dict__["layer"] = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(x)

    with pytest.raises(RuntimeError, match=r"^Hidden.<Linear> \(Linear\("):
        Hidden()(cr.ones(2))


def test_paths_while_recording():
    seen = []

    class Look(nn.Module):
        def forward(self, x):
            seen.append(list(mode.modules))
            return x

    net = nn.Sequential(nn.Sequential(OrderedDict(look=Look())), Look())
    net(1) if hasattr(mode, "modules") else None
    seen.clear()
    before, tracer.locate = tracer.locate, lambda: "here"
    try:
        net(1)
    finally:
        tracer.locate = before
    assert seen == [["Sequential", "0", "look"], ["Sequential", "1"]]
    assert mode.modules == []
