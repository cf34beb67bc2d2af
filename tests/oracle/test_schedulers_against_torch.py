"""Every schedule against PyTorch: 20 steps, saved in the middle, chained, with the momentum it moves; SWA and EMA."""

from __future__ import annotations

import copy
import inspect
import warnings

import numpy as np
import pytest

import chainrule as cr
import chainrule.optim.swa_utils as our_swa

torch = pytest.importorskip("torch", reason="compares with PyTorch (pip install 'chainrule[oracle]')")
import torch.optim.swa_utils as their_swa  # noqa: E402

pytestmark = pytest.mark.oracle


class Halving:
    """A function with state."""

    def __init__(self):
        self.base = 0.5

    def __call__(self, epoch):
        return self.base**epoch


def inverse(epoch):
    return 1 / (epoch + 1)


SCHEDULES = {
    "LambdaLR": [
        {"lr_lambda": inverse},
        {"lr_lambda": [inverse, lambda epoch: 0.5**epoch]},
        {"lr_lambda": Halving()},
        {"lr_lambda": (inverse, Halving())},
        {"lr_lambda": lambda epoch: 0.0},
        {"lr_lambda": lambda epoch: epoch},
    ],
    "MultiplicativeLR": [
        {"lr_lambda": lambda epoch: 0.9},
        {"lr_lambda": [inverse, lambda epoch: 0.5]},
        {"lr_lambda": lambda epoch: 1.0 + 0.1 * epoch},
        {"lr_lambda": (inverse, Halving())},
        {"lr_lambda": lambda epoch: 1.0},
        {"lr_lambda": lambda epoch: 0.5 if epoch % 4 == 0 else 1.1},
    ],
    "StepLR": [{"step_size": s, "gamma": g} for s, g in ((3, 0.5), (1, 0.9), (7, 0.1), (2, 2.0), (30, 0.5), (5, 0.0))],
    "MultiStepLR": [
        {"milestones": [2, 5, 5], "gamma": 0.3},
        {"milestones": [1]},
        {"milestones": []},
        {"milestones": [3, 2, 11], "gamma": 2.0},
        {"milestones": [0, 1], "gamma": 0.5},
        {"milestones": list(range(1, 20)), "gamma": 0.9},
    ],
    "ConstantLR": [
        {},
        {"factor": 0.5, "total_iters": 3},
        {"factor": 1.0},
        {"factor": 0.1, "total_iters": 30},
        {"factor": 0.25, "total_iters": 1},
        {"factor": 0.7, "total_iters": 0},
    ],
    "LinearLR": [
        {},
        {"start_factor": 0.5, "total_iters": 4},
        {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 10},
        {"start_factor": 0.1, "end_factor": 0.9},
        {"start_factor": 0.1, "total_iters": 30},
        {"start_factor": 0.5, "end_factor": 0.5},
    ],
    "ExponentialLR": [{"gamma": g} for g in (0.9, 0.5, 1.0, 1.1, 0.99, 0.0)],
    "PolynomialLR": [
        {},
        {"total_iters": 10, "power": 2.0},
        {"total_iters": 30, "power": 0.5},
        {"total_iters": 1},
        {"total_iters": 19, "power": 3.0},
        {"total_iters": 4, "power": 0.0},
    ],
    "CosineAnnealingLR": [
        {"T_max": t, "eta_min": low} for t, low in ((6, 0), (4, 0.01), (1, 0), (30, 0.1), (19, 0), (3, 0.5))
    ],
    "CosineAnnealingWarmRestarts": [
        {"T_0": 3},
        {"T_0": 2, "T_mult": 2},
        {"T_0": 1, "T_mult": 3, "eta_min": 0.01},
        {"T_0": 30},
        {"T_0": 1},
        {"T_0": 4, "T_mult": 2, "eta_min": 0.5},
    ],
    "CyclicLR": [
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3},
        {"base_lr": [0.1, 0.2], "max_lr": [1.0, 2.0], "step_size_up": 2, "step_size_down": 4},
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "mode": "triangular2"},
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9},
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2, "scale_fn": lambda x: 1 / x},
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2, "scale_fn": lambda x: 0.9**x, "scale_mode": "iterations"},
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "cycle_momentum": False},
        {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 3, "base_momentum": 0.2, "max_momentum": 0.95},
    ],
    "OneCycleLR": [
        {"max_lr": 1.0, "total_steps": 22},
        {"max_lr": [1.0, 2.0], "epochs": 5, "steps_per_epoch": 5},
        {"max_lr": 1.0, "total_steps": 22, "anneal_strategy": "linear", "pct_start": 0.5},
        {"max_lr": 1.0, "total_steps": 22, "three_phase": True},
        {"max_lr": 1.0, "total_steps": 25, "div_factor": 10.0, "final_div_factor": 100.0, "cycle_momentum": False},
        {"max_lr": 1.0, "total_steps": 22, "base_momentum": [0.5, 0.6], "max_momentum": 0.9, "three_phase": True},
    ],
    "SWALR": [
        {"swa_lr": 0.05},
        {"swa_lr": [0.05, 0.5], "anneal_epochs": 5},
        {"swa_lr": 0.05, "anneal_strategy": "linear"},
        {"swa_lr": 0.05, "anneal_epochs": 0},
        {"swa_lr": 1.0, "anneal_epochs": 30},
        {"swa_lr": 0.05, "anneal_epochs": 1, "anneal_strategy": "linear"},
    ],
}
CASES = [(name, i) for name, settings in SCHEDULES.items() for i in range(len(settings))]
each = pytest.mark.parametrize(("name", "i"), CASES)


def library(lib):
    return our_swa if lib is cr else their_swa


def schedule_class(lib, name):
    return getattr(library(lib), name) if name == "SWALR" else getattr(lib.optim.lr_scheduler, name)


def optimizer_of(lib, kind="SGD", lr=0.2):
    tensors = [lib.zeros(1, requires_grad=True) for _ in range(2)]
    options = {"momentum": 0.3} if kind == "SGD" else {}
    return getattr(lib.optim, kind)([{"params": tensors[:1]}, {"params": tensors[1:], "lr": 0.7}], lr=lr, **options)


def settings_of(optimizer):
    """Everything that a schedule may set."""
    keys = ("lr", "momentum", "betas", "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum", "swa_lr")
    found = [[group.get(k) for k in keys] for group in optimizer.param_groups]
    return np.array([float(v) for group in found for value in group if value is not None
                     for v in (value if isinstance(value, tuple) else [value])])  # fmt: skip


def trajectory(lib, name, options, kind="SGD", stop=None, epochs=None):
    """Settings after each step; at ``stop`` everything is saved, made anew and loaded."""
    optimizer = optimizer_of(lib, kind)
    schedule = schedule_class(lib, name)(optimizer, **copy.deepcopy(options))
    seen = [settings_of(optimizer)]
    for step in range(20):
        optimizer.step()
        if epochs is None:
            schedule.step()
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                schedule.step(epochs[step])
        seen.append(settings_of(optimizer))
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        assert [float(v) for v in schedule.get_last_lr()] == rates
        if step == stop:
            state, kept = copy.deepcopy(schedule.state_dict()), copy.deepcopy(optimizer.state_dict())
            optimizer = optimizer_of(lib, kind)
            schedule = schedule_class(lib, name)(optimizer, **copy.deepcopy(options))
            optimizer.load_state_dict(kept)
            schedule.load_state_dict(state)
    return np.array(seen)


@each
def test_twenty_steps(name, i):
    options = SCHEDULES[name][i]
    expected = trajectory(torch, name, options)
    np.testing.assert_allclose(trajectory(cr, name, options), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(trajectory(cr, name, options, stop=7), expected, rtol=1e-12, atol=1e-15)


@each
def test_betas_are_moved_like_momentum(name, i):
    options = SCHEDULES[name][i]
    expected = trajectory(torch, name, options, "Adam")
    np.testing.assert_allclose(trajectory(cr, name, options, "Adam"), expected, rtol=1e-12, atol=1e-15)


@each
def test_closed_forms(name, i):
    """``step(epoch)``: forward, backward, and twice the same."""
    if name in ("OneCycleLR", "SWALR"):
        epochs = list(range(1, 21))
    elif name == "CosineAnnealingWarmRestarts":
        epochs = [0, 0.5, 1.25, 2, 3, 3, 2, 7.5, 8, 14, 15.9, 16, 30, 31, 0, 1, 62, 63.5, 100, 4]
    else:
        epochs = [0, 1, 2, 3, 5, 5, 4, 9, 10, 11, 12, 20, 6, 1, 0, 19, 18, 17, 16, 2]
    options = SCHEDULES[name][i]
    if (name, options.get("total_iters")) in (("ConstantLR", 0), ("LinearLR", 0)):
        pytest.skip("divides by 0 in PyTorch, too")
    expected = trajectory(torch, name, options, epochs=epochs)
    np.testing.assert_allclose(trajectory(cr, name, options, epochs=epochs), expected, rtol=1e-12, atol=1e-15)


@each
def test_state_dicts_are_exchanged(name, i):
    options = SCHEDULES[name][i]
    states, schedules = [], []
    for lib in (cr, torch):
        optimizer = optimizer_of(lib)
        schedule = schedule_class(lib, name)(optimizer, **copy.deepcopy(options))
        for _ in range(5):
            optimizer.step(), schedule.step()
        states.append(copy.deepcopy(schedule.state_dict())), schedules.append(schedule)
    assert set(states[0]) == set(states[1])
    schedules[0].load_state_dict(states[1]), schedules[1].load_state_dict(states[0])
    for _ in range(5):
        for schedule in schedules:
            schedule.optimizer.step(), schedule.step()
    np.testing.assert_allclose(*(s.get_last_lr() for s in schedules), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("options", [
    {"patience": 2},
    {"patience": 0, "factor": 0.5},
    {"mode": "max", "patience": 1},
    {"threshold_mode": "abs", "threshold": 0.3, "patience": 1},
    {"mode": "max", "threshold_mode": "abs", "threshold": 0.3, "patience": 1, "cooldown": 2},
    {"patience": 1, "cooldown": 3, "min_lr": [0.1, 0.01]},
    {"patience": 0, "min_lr": 0.05, "eps": 1e-2},
])  # fmt: skip
def test_plateau(options):
    metrics = np.random.default_rng(3).normal(size=30).cumsum() / 5
    seen = []
    for lib in (cr, torch):
        optimizer = optimizer_of(lib)
        schedule = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        rates = []
        for step, metric in enumerate(metrics):
            schedule.step(lib.tensor(metric) if step % 2 else metric)
            rates.append(list(schedule.get_last_lr()))
            if step == 11:
                state = copy.deepcopy(schedule.state_dict())
                schedule = lib.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **options)
                schedule.load_state_dict(state)
        seen.append(rates)
        states = schedule.state_dict()
        seen[-1].append([states["best"], states["num_bad_epochs"]])
    np.testing.assert_allclose(*seen, rtol=1e-12)


def composed(lib, optimizer, which):
    s = lib.optim.lr_scheduler
    if which == 0:
        parts = [s.ConstantLR(optimizer, 0.1, 20), s.ExponentialLR(optimizer, 0.9)]
        return s.SequentialLR(optimizer, parts, [5])
    if which == 1:
        parts = [s.LinearLR(optimizer, 0.1, total_iters=4), s.CosineAnnealingLR(optimizer, 6), s.StepLR(optimizer, 2)]
        return s.SequentialLR(optimizer, parts, [4, 12])
    if which == 2:
        return s.ChainedScheduler([s.ConstantLR(optimizer, 0.1, 8), s.ExponentialLR(optimizer, 0.9)])
    if which == 3:
        parts = [s.LinearLR(optimizer, 0.5), s.MultiStepLR(optimizer, [3, 9], 0.3), s.CosineAnnealingLR(optimizer, 10)]
        return s.ChainedScheduler(parts, optimizer)
    if which == 4:
        inner = s.SequentialLR(optimizer, [s.LinearLR(optimizer, 0.5), s.ExponentialLR(optimizer, 0.8)], [3])
        return s.SequentialLR(optimizer, [inner, s.CosineAnnealingWarmRestarts(optimizer, 3, 2)], [9])
    if which == 5:
        parts = [s.PolynomialLR(optimizer, 10), s.LambdaLR(optimizer, inverse)]
        return s.SequentialLR(optimizer, parts, milestones=[0])
    parts = [s.ConstantLR(optimizer, 0.5, 3), s.MultiplicativeLR(optimizer, lambda epoch: 0.97)]
    return s.ChainedScheduler([*parts, library(lib).SWALR(optimizer, 0.05, 7)])


@pytest.mark.filterwarnings("ignore:Detected call of")  # PyTorch's own, of a SequentialLR in another
@pytest.mark.parametrize("which", range(7))
def test_composed(which):
    seen = []
    for lib, stop in ((torch, None), (cr, None), (cr, 6)):
        optimizer = optimizer_of(lib)
        schedule = composed(lib, optimizer, which)
        rates = [list(schedule.get_last_lr())]
        for step in range(20):
            optimizer.step(), schedule.step()
            rates.append([group["lr"] for group in optimizer.param_groups])
            assert rates[-1] == list(schedule.get_last_lr())
            if step == stop:
                state, kept = copy.deepcopy(schedule.state_dict()), copy.deepcopy(optimizer.state_dict())
                optimizer = optimizer_of(lib)
                schedule = composed(lib, optimizer, which)
                optimizer.load_state_dict(kept), schedule.load_state_dict(state)
        seen.append(rates)
    np.testing.assert_allclose(seen[1], seen[0], rtol=1e-12)
    np.testing.assert_allclose(seen[2], seen[0], rtol=1e-12)


def test_a_learning_rate_that_is_a_tensor():
    seen = []
    for lib in (cr, torch):
        lr = lib.tensor(0.5, dtype=lib.float64)
        optimizer = lib.optim.SGD([lib.zeros(1, requires_grad=True)], lr=lr)
        schedule = lib.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        for _ in range(3):
            optimizer.step(), schedule.step()
        assert optimizer.param_groups[0]["lr"] is lr
        seen.append([float(lr), float(schedule.get_last_lr()[0]), float(schedule.base_lrs[0])])
    np.testing.assert_allclose(*seen, rtol=1e-12)


def test_continuing_from_an_epoch():
    seen = []
    for lib in (cr, torch):
        optimizer = optimizer_of(lib)
        first = lib.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
        for _ in range(4):
            optimizer.step(), first.step()
        second = lib.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, last_epoch=4)
        rates = []
        for _ in range(5):
            optimizer.step(), second.step()
            rates.append(list(second.get_last_lr()))
        seen.append(rates)
    np.testing.assert_allclose(*seen, rtol=1e-12)


# ---- names and arguments --------------------------------------------------------------------------------------------


def signature(function):
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", torch.optim.lr_scheduler.__all__)
def test_signatures(name):
    mine, theirs = getattr(cr.optim.lr_scheduler, name), getattr(torch.optim.lr_scheduler, name)
    for method in ("__init__", "step", "get_lr", "get_last_lr", "state_dict", "load_state_dict"):
        assert signature(getattr(mine, method)) == signature(getattr(theirs, method)), method
    assert name in SCHEDULES or name in ("SequentialLR", "ChainedScheduler", "ReduceLROnPlateau", "LRScheduler")


@pytest.mark.parametrize("name", their_swa.__all__)
def test_signatures_of_averages(name):
    assert signature(getattr(our_swa, name)) == signature(getattr(their_swa, name))


# ---- averages of models ---------------------------------------------------------------------------------------------

WEIGHTS = np.random.default_rng(0).normal(size=(6, 3, 4)).astype(np.float32)
AVERAGES = [
    lambda swa: {},
    lambda swa: {"avg_fn": swa.get_ema_avg_fn(0.9)},
    lambda swa: {"avg_fn": swa.get_swa_avg_fn()},
    lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.7)},
    lambda swa: {"multi_avg_fn": swa.get_swa_multi_avg_fn()},
    lambda swa: {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.5), "use_buffers": True},
    lambda swa: {"avg_fn": lambda average, current, n: average * 0.5 + current * 0.5, "use_buffers": True},
]


@pytest.mark.parametrize("options", AVERAGES)
def test_averaged_model(options):
    states = []
    for lib, swa in ((cr, our_swa), (torch, their_swa)):
        model = lib.nn.Sequential(lib.nn.Linear(4, 3), lib.nn.BatchNorm1d(3))
        average = swa.AveragedModel(model, **options(swa))
        for step, weight in enumerate(WEIGHTS):
            with lib.no_grad():
                model[0].weight.copy_(lib.tensor(weight))
                model[0].bias.copy_(lib.tensor(weight[:, 0].copy()))
                model[1].running_mean.copy_(lib.tensor(weight[:, 1].copy()))
                model[1].num_batches_tracked.fill_(3 * step)
            average.update_parameters(model)
        states.append(average.state_dict())
        x = lib.tensor(WEIGHTS[0] * 2)
        average.eval()
        states[-1]["out"] = average(x).detach()
    assert list(states[0]) == list(states[1])
    for name, value in states[1].items():
        np.testing.assert_allclose(states[0][name].numpy(), value.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("pairs", [False, True])
def test_update_bn(pairs):
    found = []
    for lib, swa in ((cr, our_swa), (torch, their_swa)):
        model = lib.nn.Sequential(lib.nn.BatchNorm1d(4, momentum=0.3), lib.nn.BatchNorm1d(4))
        model.eval()
        batches = [lib.tensor(w + i) for i, w in enumerate(WEIGHTS)]
        swa.update_bn([(b, 0) for b in batches] if pairs else batches, model)
        assert not model.training and model[0].momentum == 0.3
        found.append([v.numpy() for v in model.state_dict().values()])
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
