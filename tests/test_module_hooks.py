"""Hooks of modules, and errors that name the path of the module they come from."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.autograd.modes import mode
from chainrule.autograd.runtime import tracer


def host(t):
    return t.numpy(force=True)


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
