"""Every optimizer against PyTorch: trajectories of parameters, states, states carried over, settings and names."""

from __future__ import annotations

import copy
import inspect

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
from optimizers import CASES, COMPLEX, CONFIGURATIONS, agree, agree_states, both, set_grads, shapes_for  # noqa: E402

pytestmark = pytest.mark.oracle
each = pytest.mark.parametrize(("name", "options"), CASES, ids=[f"{n}-{i % 6}" for i, (n, _) in enumerate(CASES)])


@pytest.fixture(autouse=True)
def _exact(monkeypatch):
    """PyTorch keeps single numbers of its state in the default dtype, and rounds Muon's matrices to bfloat16."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make(name, options, dtype="float64"):
    ours, theirs = both(dtype, shapes_for(name))
    return ours, theirs, getattr(cr.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)


@each
def test_trajectory(name, options):
    ours, theirs, a, b = make(name, options)
    for step in range(20):
        # gradients come and go, so that the parameters' numbers of updates differ
        set_grads(ours, theirs, step, without={3: (0,), 4: (0, 3), 7: (1, 2)}.get(step, ()))
        a.step(), b.step()
        agree(ours, theirs)
    agree_states(a, b)


@each
def test_float32(name, options):
    ours, theirs, a, b = make(name, options, "float32")
    for step in range(20):
        set_grads(ours, theirs, step, "float32")
        a.step(), b.step()
    agree(ours, theirs, 1e-5)


@each
def test_large_tensors_in_blocks(name, options, monkeypatch):
    monkeypatch.setattr("chainrule.optim.plan.BLOCK", 1000)
    monkeypatch.setattr("chainrule.optim.plan.SMALL", 100)
    shapes = [(60, 50), (101, 3), (40, 40), (3, 3)]
    ours, theirs = both("float64", shapes)
    a, b = getattr(cr.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(4):
        set_grads(ours, theirs, step)
        a.step(), b.step()
    agree(ours, theirs)
    agree_states(a, b)


@pytest.mark.parametrize(("name", "options"), COMPLEX)
def test_complex(name, options):
    ours, theirs = both("complex128")
    a, b = getattr(cr.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(5):
        set_grads(ours, theirs, step, "complex128")
        a.step(), b.step()
    agree(ours, theirs)
    agree_states(a, b)


@each
def test_state_of_pytorch_goes_on_here(name, options):
    ours, theirs, a, b = make(name, options)
    for step in range(3):
        set_grads(ours, theirs, step)
        b.step()
    with cr.no_grad():
        for p, q in zip(ours, theirs, strict=True):
            p.copy_(cr.tensor(q.detach().numpy()))
    a = getattr(cr.optim, name)(ours, lr=123.0)
    a.load_state_dict(b.state_dict())
    for step in range(3, 8):
        set_grads(ours, theirs, step)
        a.step(), b.step()
    agree(ours, theirs)
    agree_states(a, b)


@each
def test_state_from_here_goes_on_in_pytorch(name, options):
    ours, theirs, a, b = make(name, options)
    for step in range(3):
        set_grads(ours, theirs, step)
        a.step()
    with torch.no_grad():
        for p, q in zip(ours, theirs, strict=True):
            q.copy_(torch.tensor(p.numpy(force=True)))
    saved = a.state_dict()
    saved["state"] = {
        i: {k: torch.tensor(v.numpy(force=True)) for k, v in entries.items()} for i, entries in saved["state"].items()
    }
    b = getattr(torch.optim, name)(theirs, lr=123.0)
    b.load_state_dict(saved)
    for step in range(3, 8):
        set_grads(ours, theirs, step)
        a.step(), b.step()
    agree(ours, theirs)
    agree_states(a, b)


def test_settings_changed_between_steps():
    ours, theirs = both()
    a, b = cr.optim.Adam(ours, lr=0.1, amsgrad=True), torch.optim.Adam(theirs, lr=0.1, amsgrad=True)
    for step in range(6):
        set_grads(ours, theirs, step)
        for group in (a.param_groups[0], b.param_groups[0]):
            group["lr"] = 0.1 / (step + 1)
            group["betas"] = (0.9 - 0.1 * step, 0.99 - 0.01 * step)
        a.step(), b.step()
        agree(ours, theirs)
    agree_states(a, b)


def test_groups_and_names():
    ours, theirs = both()

    def groups(params):
        named = [(f"p{i}", p) for i, p in enumerate(params)]
        return [{"params": named[:2], "lr": 0.5}, {"params": named[2:], "weight_decay": 0.1}]

    a, b = cr.optim.AdamW(groups(ours), lr=0.01), torch.optim.AdamW(groups(theirs), lr=0.01)
    late, other = cr.tensor([1.0], dtype=cr.float64, requires_grad=True), torch.tensor([1.0], requires_grad=True)
    for step in range(4):
        if step == 2:
            a.add_param_group({"params": [("late", late)], "lr": 1.0})
            b.add_param_group({"params": [("late", other)], "lr": 1.0})
        set_grads(ours, theirs, step)
        late.grad, other.grad = cr.tensor([2.0], dtype=cr.float64), torch.tensor([2.0])
        a.step(), b.step()
    agree([*ours, late], [*theirs, other])
    agree_states(a, b)
    assert repr(a) == repr(b)
    assert [g["param_names"] for g in a.param_groups] == [["p0", "p1"], ["p2", "p3", "p4", "p5"], ["late"]]


def test_muon_beside_the_bfloat16_of_pytorch(monkeypatch):
    monkeypatch.undo()
    ours, theirs = both("float32", shapes_for("Muon"))
    a, b = cr.optim.Muon(ours, lr=0.1), torch.optim.Muon(theirs, lr=0.1)
    for step in range(5):
        set_grads(ours, theirs, step, "float32")
        a.step(), b.step()
    agree(ours, theirs, 2e-2)


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("options", [
    {"lr": 0.1},
    {"lr": 0.1, "history_size": 2, "max_iter": 3},
    {"lr": 0.1, "max_eval": 3},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 4, "lr": 0.3},
    {"line_search_fn": "strong_wolfe", "max_eval": 7},
    {"line_search_fn": "strong_wolfe", "lr": 20.0, "max_iter": 5},
    {"lr": 0.1, "tolerance_grad": 0.2, "tolerance_change": 1e-3},
])  # fmt: skip
def test_lbfgs(options, dtype):
    matrix = np.random.default_rng(5).normal(size=(12, 6))
    trajectories, counts, optimizers = [], [], []
    for lib, params in zip((cr, torch), both(dtype, [(3, 2), (4,), ()]), strict=True):
        optimizer = lib.optim.LBFGS(params, **options)
        a = lib.tensor(matrix.astype(dtype))

        def closure(lib=lib, params=params, optimizer=optimizer, a=a):
            optimizer.zero_grad()
            pieces = [(a @ params[0].reshape(6)).abs(), (params[1] - 1.0).abs(), (params[2] - 0.5).abs()]
            loss = sum((p**2).mean() + 0.1 * (p**4).mean() for p in pieces)
            loss.backward()
            return loss

        seen = []
        for step in range(6):
            loss = optimizer.step(closure)
            seen.append([loss.item(), *(np.ravel(p.detach().numpy()).copy() for p in params)])
            if step == 3:  # goes on from a saved state
                state = copy.deepcopy(optimizer.state_dict())
                optimizer = lib.optim.LBFGS(params)
                optimizer.load_state_dict(state)
        trajectories.append([np.hstack(s) for s in seen])
        counts.append([int(optimizer.state[params[0]][k]) for k in ("n_iter", "func_evals")])
        optimizers.append((optimizer, params, closure))
    np.testing.assert_allclose(*trajectories, rtol=1e-6, atol=1e-6)
    assert counts[0] == counts[1]
    assert set(optimizers[0][0].state_dict()["state"][0]) == set(optimizers[1][0].state_dict()["state"][0]) - {"al"}


def test_lbfgs_takes_the_state_of_pytorch():
    ours, theirs = both("float64", [(4,)])
    values_of = np.arange(4.0)
    a, b = cr.optim.LBFGS(ours, lr=0.5, max_iter=3), torch.optim.LBFGS(theirs, lr=0.5, max_iter=3)

    def closure_of(lib, optimizer, p):
        def closure():
            optimizer.zero_grad()
            loss = ((p - lib.tensor(values_of)) ** 4).sum()
            loss.backward()
            return loss

        return closure

    b.step(closure_of(torch, b, theirs[0]))
    with cr.no_grad():
        ours[0].copy_(cr.tensor(theirs[0].detach().numpy()))
    a.load_state_dict(b.state_dict())
    for _ in range(3):
        a.step(closure_of(cr, a, ours[0])), b.step(closure_of(torch, b, theirs[0]))
    agree(ours, theirs, 1e-8)
    assert np.abs(ours[0].numpy(force=True) - values_of).max() < 1.0


# ---- names, arguments, defaults -------------------------------------------------------------------------------------


def signature(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", sorted([*CONFIGURATIONS, "LBFGS", "Optimizer"]))
def test_signatures_and_defaults(name):
    mine, theirs = getattr(cr.optim, name), getattr(torch.optim, name)
    assert signature(mine.__init__) == signature(theirs.__init__)
    methods = ["add_param_group", "load_state_dict", "state_dict", "zero_grad", *dir(theirs)]
    for method in {m for m in methods if m.startswith("register_") or m in methods[:4]}:
        assert signature(getattr(mine, method)) == signature(getattr(theirs, method)), method
    if name != "Optimizer":
        ours, others = both(shapes=[(2, 2)])
        a, b = mine(ours), theirs(others)
        assert a.defaults == b.defaults and list(a.defaults) == list(b.defaults)
        assert repr(a) == repr(b)


def test_every_optimizer_of_pytorch_is_here():
    classes = {n for n in dir(torch.optim) if inspect.isclass(getattr(torch.optim, n))}
    assert classes - {n for n in dir(cr.optim) if n[0].isupper()} == {"SparseAdam"}
    assert classes == {*CONFIGURATIONS, "LBFGS", "Optimizer", "SparseAdam"}
    assert all(len(settings) >= 6 for settings in CONFIGURATIONS.values())


def test_step_hooks_like_pytorch():
    seen = []
    for lib in (cr, torch):
        w = lib.zeros(1, requires_grad=True)
        optimizer = lib.optim.SGD([w], lr=0.5)
        calls = []

        def closure(w=w):
            loss = (w * 2).sum()
            loss.backward()
            return loss

        before = lambda o, args, kwargs, c=calls: c.append(("before", len(args), list(kwargs)))  # noqa: E731
        after = lambda o, args, kwargs, c=calls, w=w: c.append(("after", len(args), w.item()))  # noqa: E731
        optimizer.register_step_pre_hook(before)
        handle = optimizer.register_step_post_hook(after)
        optimizer.step(closure)
        optimizer.step(closure=closure)
        handle.remove()
        optimizer.step()
        calls.append(w.item())
        seen.append(calls)
    assert seen[0] == seen[1]
