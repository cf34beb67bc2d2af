"""What an optimizer remembers: live state, hooks, names, saving and loading; optimizers written as for PyTorch."""

from __future__ import annotations

import copy
import pickle
from collections import defaultdict

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import blas
from chainrule.optim import Optimizer, plan
from chainrule.optim.optimizer import register_optimizer_step_post_hook

NAMES = ["Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "ASGD", "Lion", "NAdam", "RAdam", "RMSprop",
         "Rprop", "SGD"]  # fmt: skip
every = pytest.mark.parametrize("name", NAMES)
SHAPES = [(3, 2), (), (7,), (90, 20)]


def options_of(name):
    return {"momentum": 0.9} if name in ("SGD", "RMSprop") else {}


def problem(name, dtype=np.float64, **options):
    rng = np.random.default_rng(1)
    params = [cr.tensor(rng.normal(size=s).astype(dtype), requires_grad=True) for s in SHAPES]
    return params, getattr(cr.optim, name)(params, **{**options_of(name), **options})


def walk(params, optimizer, start, stop):
    for step in range(start, stop):
        for i, p in enumerate(params):
            p.grad = cr.tensor(np.random.default_rng((i, step)).normal(size=tuple(p.shape))).to(p.dtype)
        optimizer.step()


def host(t):
    return t.numpy(force=True)


def same(some, others, rtol=1e-12):
    for p, q in zip(some, others, strict=True):
        np.testing.assert_allclose(host(p), host(q), rtol=rtol, atol=1e-14)


# ---- live state -----------------------------------------------------------------------------------------------------


@every
def test_looking_at_the_state_changes_nothing(name):
    (params, optimizer), (others, other) = problem(name), problem(name)
    for step in range(4):
        walk(params, optimizer, step, step + 1), walk(others, other, step, step + 1)
        assert all(optimizer.state[p] for p in params)
    same(params, others)


@every
def test_what_is_written_to_the_state_counts(name):
    params, optimizer = problem(name)
    others, other = problem(name)
    walk(params, optimizer, 0, 3), walk(others, other, 0, 3)
    with cr.no_grad():  # start again with what the first one had after no step
        for p, q in zip(params, others, strict=True):
            q.copy_(p)
    fresh = getattr(cr.optim, name)(others, **options_of(name))
    entries = optimizer.state
    for p in params:
        if name == "Adagrad":
            entries[p]["sum"].zero_()
            entries[p]["step"].zero_()
        else:
            entries[p].clear()
    walk(params, optimizer, 3, 5), walk(others, fresh, 3, 5)
    same(params, others)


def test_the_state_can_be_replaced():
    params, optimizer = problem("Adam")
    walk(params, optimizer, 0, 2)
    optimizer.state = defaultdict(dict)
    assert not optimizer.state_dict()["state"]
    walk(params, optimizer, 2, 3)
    assert [s["step"].item() for s in optimizer.state.values()] == [1.0] * 4


def test_state_that_does_not_fit_is_refused_at_the_next_step():
    params, optimizer = problem("Adam")
    walk(params, optimizer, 0, 1)
    del optimizer.state[params[0]]["exp_avg"]
    with pytest.raises(ValueError, match="Adam: the state of a parameter has no 'exp_avg'"):
        walk(params, optimizer, 1, 2)


class Momentum(Optimizer):
    """Written as for PyTorch: overrides step, and keeps Tensors in self.state."""

    def __init__(self, params, lr=0.1, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @cr.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if len(state) == 0:
                    state["step"] = 0
                    state["buffer"] = cr.zeros_like(p)
                state["step"] += 1
                state["buffer"].mul_(group["momentum"]).add_(p.grad)
                p.add_(state["buffer"], alpha=-group["lr"])


def test_an_optimizer_written_as_for_pytorch():
    params, expected = problem("SGD", lr=0.1, momentum=0.9)
    others, _ = problem("SGD")
    optimizer = Momentum(others)
    calls = []
    optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(o.state[others[0]]["step"]))
    walk(params, expected, 0, 3), walk(others, optimizer, 0, 3)
    same(params, others)
    assert calls == [1, 2, 3]
    third = Momentum([p.detach().clone().requires_grad_() for p in others])
    third.load_state_dict(optimizer.state_dict())
    copied, fourth = copy.deepcopy((others, optimizer))
    for some, one in ((others, optimizer), (third.param_groups[0]["params"], third), (copied, fourth)):
        walk(some, one, 3, 5)
        assert one.state[some[0]]["step"] == 5
    same(others, third.param_groups[0]["params"])
    same(others, copied)


# ---- saving and loading ---------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_state_goes_on(name, dtype):
    params, optimizer = problem(name, dtype)
    walk(params, optimizer, 0, 3)
    others = [p.detach().clone().requires_grad_() for p in params]
    other = getattr(cr.optim, name)(others)
    other.load_state_dict(optimizer.state_dict())
    assert repr(other) == repr(optimizer)
    copied, third = copy.deepcopy((params, optimizer))
    pickled, fourth = pickle.loads(pickle.dumps((params, optimizer)))
    for some, one in ((params, optimizer), (others, other), (copied, third), (pickled, fourth)):
        walk(some, one, 3, 6)
    rtol = 1e-12 if dtype is np.float64 else 1e-5
    for some in (others, copied, pickled):
        same(params, some, rtol)


@every
def test_a_state_dict_of_another_optimizer_changes_nothing(name):
    params, optimizer = problem(name)
    walk(params, optimizer, 0, 2)
    before = optimizer.state_dict()
    other = "Adadelta" if name != "Adadelta" else "Adagrad"
    others, second = problem(other)
    walk(others, second, 0, 1)
    if name != "SGD":  # which knows no state that it could not do without
        with pytest.raises(ValueError, match=f"{name}.load_state_dict: the state of parameter 0 has no"):
            optimizer.load_state_dict(second.state_dict())
    for broken in (None, {}, {"state": {}, "param_groups": []}):
        with pytest.raises(ValueError, match=f"{name}.load_state_dict"):
            optimizer.load_state_dict(broken)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    for i, entries in before["state"].items():
        for key, value in entries.items():
            np.testing.assert_array_equal(host(after["state"][i][key]), host(value))


def test_factored_state_of_another_shape_is_refused():
    params, optimizer = problem("Adafactor")
    walk(params, optimizer, 0, 1)
    state = optimizer.state_dict()
    state["state"][0]["row_var"] = cr.zeros(2, 2)
    with pytest.raises(ValueError, match=r"'row_var' of parameter 0 has shape \(2, 2\), expected \(3, 1\)"):
        optimizer.load_state_dict(state)


def test_names():
    model = cr.nn.Linear(2, 1)
    optimizer = cr.optim.Adam(model.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"]
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    w = cr.zeros(1, requires_grad=True)
    with pytest.raises(ValueError, match="all groups must have parameter names or none"):
        optimizer.add_param_group({"params": [w]})
    with pytest.raises(ValueError, match=r"params\[1\] has no name"):
        cr.optim.SGD([("w", w), cr.zeros(1, requires_grad=True)])
    assert len(optimizer.param_groups) == 1


# ---- hooks ----------------------------------------------------------------------------------------------------------


def test_step_hooks():
    w = cr.tensor([1.0], requires_grad=True)
    w.grad = cr.tensor([1.0])
    optimizer = cr.optim.SGD([w], lr=0.5)
    seen = []
    first = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", w.item())))
    optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", w.item())))
    with register_optimizer_step_post_hook(lambda o, args, kwargs: seen.append(o)):
        optimizer.step()
    assert seen == [("before", 1.0), ("after", 0.5), optimizer]
    first.remove()
    optimizer.step()
    assert seen[3:] == [("after", 0.0)]
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"SGD.step: a hook before the step must return None or \(args, kwargs\)"):
        optimizer.step()


def test_a_hook_can_hand_in_a_closure():
    w = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.SGD([w], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (w * 2).sum()
        loss.backward()
        return loss

    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((o, closure), {}))
    assert optimizer.step().item() == 2.0 and w.item() == 0.0


def test_state_dict_hooks():
    w = cr.tensor([1.0], requires_grad=True)
    optimizer = cr.optim.SGD([w], lr=0.5)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("save"))
    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "more": 1})
    optimizer.register_state_dict_post_hook(lambda o, d: seen.append("first"), prepend=True)
    optimizer.register_load_state_dict_pre_hook(lambda o, d: d.pop("more") and None)
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    saved = optimizer.state_dict()
    assert saved["more"] == 1
    optimizer.load_state_dict(saved)
    assert seen == ["save", "first", "loaded"] and saved["more"] == 1


# ---- parameters of all kinds ----------------------------------------------------------------------------------------


def test_a_gradient_of_another_dtype_is_refused():
    w = cr.tensor([1.0, 2.0], requires_grad=True)
    w.grad = cr.ones(2)
    w.data = w.data.double()
    with pytest.raises(RuntimeError, match="SGD: the gradient of parameter 0 must be of its kind"):
        cr.optim.SGD([w], momentum=0.9).step()
    assert w.tolist() == [1.0, 2.0]


def test_integers_and_complex_matrices_are_refused():
    for name, dtype, message in (
        ("Adam", cr.int64, "Adam: expected floating-point parameters, got .*int64"),
        ("Adafactor", cr.complex64, "complex parameters cannot be optimized by this optimizer"),
    ):
        w = cr.zeros(2, 2, dtype=dtype)
        w.grad = cr.ones(2, 2, dtype=dtype)
        with pytest.raises(TypeError, match=message):
            getattr(cr.optim, name)([w]).step()


@every
def test_parameters_on_several_devices(name):
    if "guard" not in cr.backends.available():
        pytest.skip("needs the guard device")
    params, optimizer = problem(name)
    mixed = [p.detach().to(d).requires_grad_() for p, d in zip(params, ("cpu", "guard", "guard", "cpu"), strict=True)]
    second = getattr(cr.optim, name)(mixed, **options_of(name))
    walk(params, optimizer, 0, 3)
    for step in range(3):
        for i, p in enumerate(mixed):
            g = np.random.default_rng((i, step)).normal(size=tuple(p.shape))
            p.grad = cr.tensor(g, device=p.device)
        second.step()
    same(params, mixed)


@every
def test_blocks_joined_and_single_tensors_agree(name, monkeypatch):
    results = []
    for block, small in ((262_144, 16_384), (500, 10), (64, 4), (262_144, 0)):
        monkeypatch.setattr(plan, "BLOCK", block)
        monkeypatch.setattr(plan, "SMALL", small)
        params, optimizer = problem(name, weight_decay=0.1) if name != "Rprop" else problem(name)
        walk(params, optimizer, 0, 4)
        results.append(params)
    for params in results[1:]:
        same(results[0], params)


def test_blocks_of_a_tensor_in_another_memory_order(monkeypatch):
    monkeypatch.setattr(plan, "BLOCK", 100)
    start = np.random.default_rng(2).normal(size=(40, 30))
    params = [cr.tensor(start, requires_grad=True) for _ in range(2)]
    params[1]._data = params[1]._data.transpose(1, 0).copy().transpose(1, 0)
    for p in params:
        optimizer = cr.optim.AdamW([p], lr=0.1)
        for _ in range(3):
            p.grad = cr.tensor(start)
            optimizer.step()
    same(params[:1], params[1:])


@pytest.mark.parametrize("dtype", [cr.float16, cr.bfloat16])
@every
def test_half_precision_is_computed_in_single(name, dtype):
    params, optimizer = problem(name, np.float32)
    halves = [p.detach().to(dtype).requires_grad_() for p in params]
    with cr.no_grad():
        for p, q in zip(params, halves, strict=True):
            p.copy_(q.float())
    second = getattr(cr.optim, name)(halves, **options_of(name))
    for step in range(2):
        for i, (p, q) in enumerate(zip(params, halves, strict=True)):
            q.grad = cr.tensor(np.random.default_rng((i, step)).normal(size=tuple(p.shape))).to(dtype)
            p.grad = q.grad.float()
        optimizer.step(), second.step()
    for p, q in zip(params, halves, strict=True):
        assert q.dtype == dtype
        np.testing.assert_allclose(host(q.float()), host(p), rtol=0.02, atol=0.02)


def test_what_is_left_out_says_so():
    with pytest.raises(AttributeError, match="no SparseAdam: gradients are never sparse here"):
        _ = cr.optim.SparseAdam
    with pytest.raises(AttributeError, match="has no attribute 'Sofia'"):
        _ = cr.optim.Sofia
    assert {"LBFGS", "Muon", "swa_utils", "SGD"} <= set(dir(cr.optim))


# ---- bad arguments --------------------------------------------------------------------------------------------------


def w():
    return cr.tensor([[1.0, 2.0]], requires_grad=True)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.optim.Adam([w()], eps="small"), TypeError, "Adam: eps must be a number, got 'small'"),
        (lambda: cr.optim.Adam([w()], betas=(0.9,)), ValueError, "two numbers"),
        (lambda: cr.optim.Adam([w()], betas=None), ValueError, "two numbers"),
        (lambda: cr.optim.Adam([w()], lr=cr.ones(2)), ValueError, "lr must be one number"),
        (lambda: cr.optim.Adam([w()], fused=True, foreach=True), RuntimeError, "exclude each other"),
        (lambda: cr.optim.SGD([w()], fused=True, differentiable=True), RuntimeError, "exclude each other"),
        (lambda: cr.optim.Adam([{"params": [w()], "lr": -1}]), ValueError, "lr must not be negative, got -1"),
        (lambda: cr.optim.Adam(3), TypeError, "params must be an iterable"),
        (lambda: cr.optim.NAdam([w()], momentum_decay=-1), ValueError, "NAdam: momentum_decay must not be negative"),
        (lambda: cr.optim.RAdam([w()], betas=(1.0, 0.9)), ValueError, "RAdam: betas"),
        (lambda: cr.optim.Adamax([w()], eps=-1), ValueError, "Adamax: eps"),
        (lambda: cr.optim.Lion([w()], betas=(0.9, 1.0)), ValueError, "Lion: betas"),
        (lambda: cr.optim.Rprop([w()], etas=(1.5, 2.0)), ValueError, "Rprop: etas"),
        (lambda: cr.optim.Adagrad([w()], lr_decay=-1), ValueError, "Adagrad: lr_decay"),
        (lambda: cr.optim.Adadelta([w()], rho=1.5), ValueError, r"Adadelta: rho must be in \[0, 1\], got 1.5"),
        (lambda: cr.optim.ASGD([w()], weight_decay=-1), ValueError, "ASGD: weight_decay"),
        (lambda: cr.optim.Adafactor([w()], d=0.5), ValueError, "Adafactor: d must be at least 1"),
        (lambda: cr.optim.Adafactor([w()], beta2_decay=1), ValueError, "beta2_decay"),
        (lambda: cr.optim.Adafactor([w()], eps=(-1, 1)), ValueError, r"eps\[0\]"),
        (lambda: cr.optim.Muon([cr.zeros(3, requires_grad=True)]), ValueError, r"params\[0\] must be a matrix"),
        (lambda: cr.optim.Muon([w()], adjust_lr_fn="x"), ValueError, "adjust_lr_fn"),
        (lambda: cr.optim.Muon([w()], ns_steps=100), ValueError, "ns_steps must be less than 100"),
        (lambda: cr.optim.LBFGS([w()], line_search_fn="x"), ValueError, "LBFGS: line_search_fn"),
        (lambda: cr.optim.LBFGS([w()], history_size=0), ValueError, "history_size"),
        (lambda: cr.optim.LBFGS([{"params": [w()]}, {"params": [w()]}]), ValueError, "only one parameter group"),
        (lambda: cr.optim.LBFGS([w()]).step(), TypeError, "expected a closure"),
    ],
)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_lbfgs_without_gradients_or_steps():
    p = w()
    optimizer = cr.optim.LBFGS([p], max_iter=0)
    loss = optimizer.step(lambda: (p * 0).sum())
    assert loss.item() == 0.0 and p.tolist() == [[1.0, 2.0]]
    optimizer = cr.optim.LBFGS([p, cr.zeros((), requires_grad=True)])

    def closure():
        optimizer.zero_grad()
        loss = ((p - 3) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(2):
        with cr.no_grad():
            optimizer.step(closure)
    np.testing.assert_allclose(host(p), 3.0, rtol=1e-5)


@pytest.mark.host
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [3, 20_003])
def test_axpby(dtype, size, monkeypatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=size).astype(dtype), rng.normal(size=size).astype(dtype)
    expected = 0.9 * y.astype(np.float64) + 0.1 * x
    found = []
    for functions in (None, {}):  # with the BLAS of NumPy, and where it has no such function
        monkeypatch.setattr(blas, "_functions", functions)
        z, strided = y.copy(), np.zeros((size, 2), dtype)
        strided[:, 0] = y
        blas.axpby(0.1, x, 0.9, z)
        blas.axpby(0.1, x, 0.9, strided[:, 0])
        found += [z, strided[:, 0]]
    for z in found:
        np.testing.assert_allclose(z, expected, rtol=1e-5 if dtype is np.float32 else 1e-12, atol=1e-6)
