"""Optimizers and schedules without PyTorch: formulas as plain loops, robustness, state, bad input."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.optim import Optimizer, plan

RNG = np.random.default_rng(0)


def sgd(p, g, s, lr, momentum=0.0, dampening=0.0, nesterov=False):
    if not momentum:
        return p - lr * g
    s["b"] = g if "b" not in s else momentum * s["b"] + (1 - dampening) * g
    return p - lr * (g + momentum * s["b"] if nesterov else s["b"])


def rmsprop(p, g, s, lr, alpha=0.99, eps=1e-8, momentum=0.0, centered=False):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    s["m"] = alpha * s.get("m", 0) + (1 - alpha) * g
    step = g / (np.sqrt(s["v"] - (s["m"] ** 2 if centered else 0)) + eps)
    s["b"] = momentum * s.get("b", 0) + step
    return p - lr * s["b"]


def adam(p, g, s, lr, betas=(0.9, 0.999), eps=1e-8, amsgrad=False):
    s["t"] = s.get("t", 0) + 1
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g * g
    s["max"] = np.maximum(s.get("max", 0), s["v"])
    v = s["max"] if amsgrad else s["v"]
    return p - lr * (s["m"] / (1 - betas[0] ** s["t"])) / (np.sqrt(v / (1 - betas[1] ** s["t"])) + eps)


def lion(p, g, s, lr, betas=(0.9, 0.99)):
    """Algorithm 2 of Chen et al., 2023, without its decay."""
    m = s.get("m", 0 * g)
    step = np.sign(betas[0] * m + (1 - betas[0]) * g)
    s["m"] = betas[1] * m + (1 - betas[1]) * g
    return p - lr * step


def rprop(p, g, s, lr, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    sign = np.sign(g * s.get("prev", 0 * g))
    size = s.get("size", lr + 0 * g) * np.where(sign > 0, etas[1], np.where(sign < 0, etas[0], 1.0))
    s["size"] = np.clip(size, *step_sizes)
    s["prev"] = np.where(sign < 0, 0.0, g)
    return p - np.sign(s["prev"]) * s["size"]


def asgd(p, g, s, lr, lambd=1e-4, alpha=0.75, t0=1e6):
    s["t"] = s.get("t", 0) + 1
    p = p * (1 - lambd * s.get("eta", lr)) - s.get("eta", lr) * g
    s["ax"] = s.get("ax", 0) + s.get("mu", 1) * (p - s.get("ax", 0))
    s["eta"] = lr / (1 + lambd * lr * s["t"]) ** alpha
    s["mu"] = 1 / max(1, s["t"] - t0)
    return p


def adagrad(p, g, s, lr, lr_decay=0.0, eps=1e-10):
    s["t"], s["sum"] = s.get("t", 0) + 1, s.get("sum", 0) + g * g
    return p - lr / (1 + (s["t"] - 1) * lr_decay) * g / (np.sqrt(s["sum"]) + eps)


#: optimizer, settings, the formula for one parameter
UNDER_TEST = [
    ("SGD", {"lr": 0.1}, sgd),
    ("SGD", {"lr": 0.1, "momentum": 0.9}, sgd),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}, sgd),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}, sgd),
    ("RMSprop", {"lr": 0.01}, rmsprop),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "momentum": 0.9, "centered": True}, rmsprop),
    ("Adam", {"lr": 0.01}, adam),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.9), "amsgrad": True}, adam),
    ("Lion", {"lr": 0.01}, lion),
    ("Lion", {"lr": 0.01, "betas": (0.5, 0.7)}, lion),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1}, adagrad),
    ("ASGD", {"lr": 0.1, "lambd": 0.01, "t0": 2}, asgd),
    ("Rprop", {"lr": 0.01}, rprop),
]
DECAYING = pytest.mark.parametrize(
    ("name", "options", "formula"), [case for case in UNDER_TEST if case[0] not in ("Lion", "Rprop")]
)
each = pytest.mark.parametrize(("name", "options", "formula"), UNDER_TEST)
SHAPES = [(3, 2), (), (7,), (0,), (140, 130)]


def parameters(dtype=np.float64):
    rng = np.random.default_rng(1)
    return [cr.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in SHAPES]


def gradient(i, shape, step):
    return np.random.default_rng((i, step)).normal(size=shape)


def set_grads(params, step, without=()):
    for i, p in enumerate(params):
        g = gradient(i, tuple(p.shape), step)
        p.grad = None if i in without else cr.tensor(g).to(p.dtype)


def host(t):
    return t.numpy(force=True)


@each
def test_formula(name, options, formula):
    params = parameters()
    optimizer = getattr(cr.optim, name)(params, **options)
    expected, states = [host(p).copy() for p in params], [{} for _ in params]
    for step in range(6):
        without = (1, 2) if step in (2, 4) else ()
        set_grads(params, step, without)
        optimizer.step()
        for i, p in enumerate(params):
            if i not in without:
                expected[i] = formula(expected[i], gradient(i, tuple(p.shape), step), states[i], **options)
            np.testing.assert_allclose(host(p), expected[i], rtol=1e-9, atol=1e-12)


@DECAYING
def test_weight_decay_and_maximize(name, options, formula):
    params = parameters()
    optimizer = getattr(cr.optim, name)(params, weight_decay=0.1, maximize=True, **options)
    expected, states = [host(p).copy() for p in params], [{} for _ in params]
    for step in range(3):
        set_grads(params, step)
        optimizer.step()
        for i, p in enumerate(params):
            g = -gradient(i, tuple(p.shape), step) + 0.1 * expected[i]
            expected[i] = formula(expected[i], g, states[i], **options)
            np.testing.assert_allclose(host(p), expected[i], rtol=1e-9, atol=1e-12)


def test_adamw_decays_the_parameter():
    p = cr.tensor([2.0], dtype=cr.float64, requires_grad=True)
    p.grad = cr.tensor([1.0], dtype=cr.float64)
    cr.optim.AdamW([p], lr=0.1, weight_decay=0.5).step()
    np.testing.assert_allclose(host(p), adam(2.0 * (1 - 0.1 * 0.5), np.ones(1), {}, 0.1), rtol=1e-9)


@each
@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16])
def test_half_precision(name, options, formula, dtype):
    p = cr.tensor([1.0, -2.0]).to(dtype).requires_grad_()
    optimizer = getattr(cr.optim, name)([p], **options)
    expected, state = np.array([1.0, -2.0]), {}
    for _ in range(3):
        p.grad = cr.tensor([300.0, 0.5]).to(dtype)  # its square is beyond float16
        optimizer.step()
        expected = formula(expected, np.array([300.0, 0.5]), state, **options)
    assert p.dtype == dtype
    np.testing.assert_allclose(host(p.float()), expected, rtol=2e-2)


@each
def test_pieces_of_a_large_tensor(name, options, formula, monkeypatch):
    monkeypatch.setattr(plan, "BLOCK", 40)
    start = np.random.default_rng(2).normal(size=(21, 5))
    p = cr.tensor(start, requires_grad=True)
    optimizer = getattr(cr.optim, name)([p], **options)
    expected, state = start, {}
    for step in range(3):
        set_grads([p], step)
        optimizer.step()
        expected = formula(expected, gradient(0, (21, 5), step), state, **options)
    np.testing.assert_allclose(host(p), expected, rtol=1e-9)


@each
def test_memory_order(name, options, formula):
    start = np.random.default_rng(2).normal(size=(4, 3))
    p = cr.tensor(start, requires_grad=True)
    p._data = p._data.transpose(1, 0).copy().transpose(1, 0)  # what a convolution may do to its weight
    p.grad = cr.tensor(start)
    getattr(cr.optim, name)([p], **options).step()
    np.testing.assert_allclose(host(p), formula(start, start, {}, **options), rtol=1e-9)


@each
def test_descends(name, options, formula):
    def rosenbrock(w):
        return (1 - w[0]) ** 2 + 10 * (w[1] - w[0] ** 2) ** 2

    w = cr.tensor([-0.5, 1.0], requires_grad=True)
    optimizer = getattr(cr.optim, name)([w], **{**options, "lr": 0.1 if name == "Adagrad" else 0.003})

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    first = optimizer.step(closure)
    for _ in range(300):
        with cr.no_grad():
            last = optimizer.step(closure)
    assert isinstance(first, cr.Tensor)
    assert last.item() < 0.5 * first.item()


@each
def test_differentiable(name, options, formula):
    """The gradient through two recorded steps, against the formula's central differences."""
    gradients = [gradient(5, (4,), 0), gradient(5, (4,), 1)]

    def after(start):
        p, state = start, {}
        for g in gradients:
            p = formula(p, g * start + 0.5, state, **options)
        return float(np.sum(p * p))

    start = np.random.default_rng(4).normal(size=4)
    x = cr.tensor(start, requires_grad=True)
    p = x.clone()
    optimizer = getattr(cr.optim, name)([p], differentiable=True, **options)
    for g in gradients:
        p.grad = x * cr.tensor(g) + 0.5
        optimizer.step()
    (p * p).sum().backward()
    numeric = [(after(start + d) - after(start - d)) / 2e-6 for d in np.eye(4) * 1e-6]
    np.testing.assert_allclose(host(x.grad), numeric, rtol=1e-5, atol=1e-8)


def test_gradient_of_the_learning_rate():
    lr = cr.tensor(0.1, requires_grad=True)
    x = cr.tensor([2.0], requires_grad=True)
    p = x.clone()
    optimizer = cr.optim.SGD([p], lr=lr, differentiable=True)
    p.grad = cr.tensor([3.0])
    optimizer.step()
    p.sum().backward()
    assert lr.grad.item() == -3.0


def test_learning_rate_as_a_tensor():
    p = cr.tensor([1.0], requires_grad=True)
    p.grad = cr.tensor([1.0])
    cr.optim.SGD([p], lr=cr.tensor(0.5)).step()
    assert p.item() == 0.5


# ---- parameters that change underneath ------------------------------------------------------------------------------


@each
def test_a_change_is_noticed(name, options, formula):
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    getattr(cr.optim, name)([w], **options).step()
    with pytest.raises(RuntimeError, match="modified by an inplace"):
        loss.backward()


@each
def test_memory_stays_where_it_was(name, options, formula):
    params = parameters()
    aliases = [p.detach() for p in params]
    optimizer = getattr(cr.optim, name)(params, **options)
    for step in range(3):
        set_grads(params, step)
        kept = [host(p.grad).copy() for p in params]
        optimizer.step()
        for p, alias, g in zip(params, aliases, kept, strict=True):
            np.testing.assert_array_equal(host(p), host(alias))
            np.testing.assert_array_equal(host(p.grad), g)


@each
def test_replaced_data_and_dtype(name, options, formula):
    params = [cr.tensor([1.0, 2.0], requires_grad=True), cr.tensor([3.0], requires_grad=True)]
    optimizer = getattr(cr.optim, name)(params, **options)
    expected, states = [host(p).astype(np.float64) for p in params], [{}, {}]
    for step in range(6):
        if step == 2:
            for p in params:
                p.data = p.data + 1.0
            expected = [e + 1.0 for e in expected]
        if step == 4:
            for p in params:
                p.data = p.data.double()
        set_grads(params, step)
        optimizer.step()
        for i, p in enumerate(params):
            expected[i] = formula(expected[i], gradient(i, tuple(p.shape), step), states[i], **options)
            np.testing.assert_allclose(host(p), expected[i], rtol=1e-4, atol=1e-5)
    assert params[0].dtype == cr.float64


def test_frozen_and_unfrozen():
    w = cr.tensor([1.0], requires_grad=True)
    v = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.Adam([w, v], lr=0.1)
    w.requires_grad_(False)
    for _ in range(2):
        optimizer.zero_grad()
        (w * v * v).sum().backward()
        optimizer.step()
    assert w.item() == 1.0 and v.item() < 1.0
    w.requires_grad_()
    optimizer.zero_grad()
    (w * v).sum().backward()
    optimizer.step()
    assert w.item() == pytest.approx(0.9)


def test_changing_sets_of_gradients_give_up_joining():
    params = parameters()
    optimizer = cr.optim.Adam(params, lr=0.01)
    for step in range(30):
        set_grads(params, step, without=(step % 2,))
        optimizer.step()
    assert all(len(chunk.params) == 1 for chunk in optimizer._plans[0].chunks)
    assert optimizer.state[params[2]]["step"] == 30 and optimizer.state[params[0]]["step"] == 15


def test_no_gradients_at_all():
    w = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.Adam([w])
    optimizer.step()
    assert w.item() == 1.0 and not optimizer.state


def test_zero_grad():
    w = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.SGD([w])
    (w * w).sum().backward(create_graph=True)
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.item() == 0.0 and not w.grad.requires_grad
    optimizer.zero_grad()
    assert w.grad is None


# ---- state ----------------------------------------------------------------------------------------------------------


@each
def test_state_goes_on(name, options, formula):
    params = parameters()
    optimizer = getattr(cr.optim, name)(params, **options)
    for step in range(3):
        set_grads(params, step)
        optimizer.step()
    others = [p.detach().clone().requires_grad_() for p in params]
    other = getattr(cr.optim, name)(others, lr=55.0)
    other.load_state_dict(optimizer.state_dict())
    copied, third = copy.deepcopy((params, optimizer))
    pickled, fourth = pickle.loads(pickle.dumps((params, optimizer)))
    for step in range(3, 6):
        for some, one in ((params, optimizer), (others, other), (copied, third), (pickled, fourth)):
            set_grads(some, step)
            one.step()
    for some in (others, copied, pickled):
        for p, q in zip(params, some, strict=True):
            np.testing.assert_allclose(host(p), host(q), rtol=1e-12)


def test_state_dict_is_a_copy():
    w = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.SGD([w], lr=0.1, momentum=0.9)
    w.grad = cr.tensor([1.0])
    optimizer.step()
    saved = optimizer.state_dict()
    saved["state"][0]["momentum_buffer"].fill_(100.0)
    saved["param_groups"][0]["lr"] = 100.0
    optimizer.step()
    assert w.item() == pytest.approx(1.0 - 0.1 - 0.19)


def bad_states():
    w = [cr.tensor([1.0, 2.0], requires_grad=True)]
    good = cr.optim.Adam(w).state_dict()
    yield {}, "'state' and 'param_groups'"
    yield {**good, "param_groups": good["param_groups"] * 2}, "has 1 parameter groups, the state dict 2"
    yield {**good, "param_groups": [{**good["param_groups"][0], "params": [0, 1]}]}, "has 1 parameters, 2 in the state"
    yield (
        {**good, "state": {0: {"step": 1, "exp_avg": np.zeros(3), "exp_avg_sq": np.zeros(2)}}},
        "'exp_avg' of parameter 0",
    )
    yield {**good, "state": {7: {}}}, "parameter 7"


@pytest.mark.parametrize("i", range(5))
def test_bad_state_changes_nothing(i):
    state, message = list(bad_states())[i]
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    optimizer = cr.optim.Adam([w], lr=0.25)
    w.grad = cr.tensor([1.0, 1.0])
    optimizer.step()
    before = optimizer.state_dict()
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    np.testing.assert_array_equal(host(after["state"][0]["exp_avg"]), host(before["state"][0]["exp_avg"]))


# ---- bad input ------------------------------------------------------------------------------------------------------


def weight():
    return cr.tensor([1.0], requires_grad=True)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.optim.SGD([]), ValueError, "params is empty"),
        (lambda: cr.optim.SGD(weight()), TypeError, "a single float32 tensor"),
        (lambda: cr.optim.SGD([1.0]), TypeError, r"params\[0\] must be a Tensor, got float"),
        (lambda: cr.optim.SGD([weight() * 2]), ValueError, "only leaf tensors"),
        (lambda: cr.optim.SGD([w := weight(), w]), ValueError, "more than once"),
        (lambda: cr.optim.SGD({weight()}), TypeError, "ordered"),
        (lambda: cr.optim.SGD([{"params": {weight()}}]), TypeError, "ordered"),
        (lambda: cr.optim.SGD([{"lr": 1.0}]), ValueError, "must have 'params'"),
        (lambda: cr.optim.SGD([weight()], lr=-1), ValueError, "SGD: lr must not be negative, got -1"),
        (lambda: cr.optim.SGD([weight()], lr="1"), TypeError, "lr must be a number"),
        (lambda: cr.optim.SGD([weight()], lr=math.nan), ValueError, "lr"),
        (lambda: cr.optim.SGD([weight()], momentum=-1), ValueError, "momentum"),
        (lambda: cr.optim.SGD([weight()], nesterov=True), ValueError, "nesterov needs momentum"),
        (lambda: cr.optim.Adam([weight()], betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda: cr.optim.Adam([weight()], eps=-1), ValueError, "eps"),
        (lambda: cr.optim.AdamW([weight()], weight_decay=-1), ValueError, "AdamW: weight_decay"),
        (lambda: cr.optim.RMSprop([weight()], alpha=-1), ValueError, "RMSprop: alpha"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_failed_group_is_not_added():
    w = weight()
    optimizer = cr.optim.SGD([("w", w)], lr=0.1)
    with pytest.raises(ValueError, match=r"params\[1\] \('again'\) is given more than once"):
        optimizer.add_param_group({"params": [("new", weight()), ("again", w)]})
    assert len(optimizer.param_groups) == 1


def test_base_class_says_what_is_missing():
    w = weight()
    w.grad = cr.tensor([1.0])
    with pytest.raises(NotImplementedError, match="Optimizer does not define update"):
        Optimizer([w], {"lr": 0.1}).step()


def test_own_optimizer():
    class Normalised(Optimizer):
        """Reads the whole parameter, so nothing may be joined or cut."""

        def init_state(self, xp, p, group):
            return {"seen": xp.zeros_like(p)}

        def update(self, xp, p, g, state, group):
            state["seen"] += g
            return g / xp.sum(p * p) * group["lr"]

    params = [cr.tensor([3.0, 4.0], requires_grad=True), cr.tensor(2.0, requires_grad=True)]
    optimizer = Normalised(params, {"lr": 25.0})
    for p in params:
        p.grad = cr.ones_like(p)
    optimizer.step()
    np.testing.assert_allclose(host(params[0]), [2.0, 3.0])
    np.testing.assert_allclose(host(params[1]), 2.0 - 25 / 4)
    assert optimizer.state[params[1]]["seen"].shape == ()


def test_repr():
    text = repr(cr.optim.SGD([weight()], lr=0.1))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n") and text.endswith("\n)")
    assert "    lr: 0.1\n" in text and "params" not in text
