"""Module: registration, modes, conversion, containers."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict

import pytest
from small_modules import Net

import chainrule as cr
from chainrule import nn


def host(t):
    return t.numpy(force=True)


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
