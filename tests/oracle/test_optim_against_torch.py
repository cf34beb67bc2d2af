"""Every optimizer and schedule against PyTorch: trajectories of parameters, states, and states carried over."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
pytestmark = pytest.mark.oracle

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.01, "maximize": True, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.5, "alpha": 0.9}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.1, "eps": 1e-3, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True}),
    ("Adam", {"lr": 0.01, "maximize": True}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
]
#: small ones are joined, one is above that limit, one large enough to be updated in pieces
SHAPES = [(3, 2), (2,), (), (0, 3), (130, 130), (5, 1, 2)]


def values(i, shape, step=0):
    return np.random.default_rng((i, step)).normal(size=shape)


def both(dtype="float64", shapes=SHAPES):
    ours = [cr.tensor(values(i, s).astype(dtype), requires_grad=True) for i, s in enumerate(shapes)]
    theirs = [torch.tensor(values(i, s).astype(dtype), requires_grad=True) for i, s in enumerate(shapes)]
    return ours, theirs


def set_grads(ours, theirs, step, dtype="float64", without=()):
    for i, (p, q) in enumerate(zip(ours, theirs, strict=True)):
        g = values(i + 100, tuple(p.shape), step).astype(dtype)
        p.grad = None if i in without else cr.tensor(g)
        q.grad = None if i in without else torch.tensor(g)


def agree(ours, theirs, rtol=1e-10):
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.numpy(force=True), q.detach().numpy(), rtol=rtol, atol=rtol)


def agree_states(a, b, rtol=1e-9):
    assert set(a.state_dict()["state"]) == set(b.state_dict()["state"])
    for i, entries in b.state_dict()["state"].items():
        mine = a.state_dict()["state"][i]
        for name, value in entries.items():
            if value is None:
                assert mine.get(name) is None
            elif name == "step":
                assert float(mine[name]) == float(value)
            else:
                np.testing.assert_allclose(mine[name].numpy(force=True), value.numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_trajectory(name, options):
    ours, theirs = both()
    a, b = getattr(cr.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(12):
        # gradients come and go, so that the parameters' numbers of updates differ
        set_grads(ours, theirs, step, without={3: (0,), 4: (0, 4), 7: (1, 2)}.get(step, ()))
        a.step(), b.step()
        agree(ours, theirs)
    agree_states(a, b)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_large_tensors_in_pieces(name, options):
    shapes = [(600, 1000)]
    ours, theirs = both("float32", shapes)
    a, b = getattr(cr.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(3):
        set_grads(ours, theirs, step, "float32")
        a.step(), b.step()
    # Adam's quotient of two nearly equal numbers turns rounding errors of m and v into errors of the step: of lr
    agree(ours, theirs, 2e-6)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_float32(name, options):
    ours, theirs = both("float32")
    a, b = getattr(cr.optim, name)(ours, **options), getattr(torch.optim, name)(theirs, **options)
    for step in range(20):
        set_grads(ours, theirs, step, "float32")
        a.step(), b.step()
    agree(ours, theirs, 5e-6)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_state_of_pytorch_goes_on_here(name, options):
    ours, theirs = both()
    b = getattr(torch.optim, name)(theirs, **options)
    for step in range(3):
        set_grads(ours, theirs, step)
        b.step()
    with cr.no_grad():
        for p, q in zip(ours, theirs, strict=True):
            p.copy_(cr.tensor(q.detach().numpy()))
    a = getattr(cr.optim, name)(ours, lr=123.0)
    a.load_state_dict(b.state_dict())
    assert a.param_groups[0]["lr"] == options["lr"]
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


def test_groups():
    ours, theirs = both()

    def groups(params):
        return [{"params": params[:2], "lr": 0.5}, {"params": params[2:], "weight_decay": 0.1}]

    a, b = cr.optim.AdamW(groups(ours), lr=0.01), torch.optim.AdamW(groups(theirs), lr=0.01)
    late, other = cr.tensor([1.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    for step in range(4):
        if step == 2:
            a.add_param_group({"params": late, "lr": 1.0})
            b.add_param_group({"params": other, "lr": 1.0})
        set_grads(ours, theirs, step)
        late.grad, other.grad = cr.tensor([2.0]), torch.tensor([2.0])
        a.step(), b.step()
    agree([*ours, late], [*theirs, other], 1e-6)


# ---- schedules ------------------------------------------------------------------------------------------------------

SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5], "gamma": 0.3}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 6}),
    ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (epoch + 1)}),
    ("LambdaLR", {"lr_lambda": [lambda epoch: 1 / (epoch + 1), lambda epoch: 0.5**epoch]}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULES)
def test_schedule(name, options):
    rates = []
    for lib in (cr, torch):
        tensors = [lib.zeros(1, requires_grad=True) for _ in range(2)]
        optimizer = lib.optim.SGD([{"params": tensors[:1]}, {"params": tensors[1:], "lr": 0.7}], lr=0.2)
        schedule = getattr(lib.optim.lr_scheduler, name)(optimizer, **options)
        seen = [schedule.get_last_lr()]
        for step in range(20):
            optimizer.step()
            schedule.step()
            seen.append([group["lr"] for group in optimizer.param_groups])
            if step == 7:  # stop, and go on from the state
                state, kept = copy.deepcopy(schedule.state_dict()), copy.deepcopy(optimizer.state_dict())
                optimizer = lib.optim.SGD([{"params": tensors[:1]}, {"params": tensors[1:], "lr": 0.7}], lr=0.2)
                schedule = getattr(lib.optim.lr_scheduler, name)(optimizer, **options)
                optimizer.load_state_dict(kept)
                schedule.load_state_dict(state)
        rates.append(seen)
        assert schedule.get_last_lr() == seen[-1]
    np.testing.assert_allclose(*rates, rtol=1e-12, atol=1e-15)
